//! A connection to a target, over TCP or a socket in the file system.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::runtime::socket::Socket;

/// Where to connect to: an address that needs no more looking up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Ip(SocketAddr),
    Unix(PathBuf),
}

/// An open connection to a target.
pub(crate) type Connection = Socket;

/// Opens a connection. The caller bounds its time.
///
/// # Errors
/// Those of the socket.
pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<Connection> {
    match endpoint {
        Endpoint::Ip(address) => Socket::connect_tcp(*address).await,
        Endpoint::Unix(path) => Socket::connect_unix(path).await,
    }
}
