//! A door: a port behind which the test itself stands, and answers each connection by hand.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

use crate::client::Client;
use crate::wait::until;

/// A port of this machine that takes connections.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A port of this machine that refuses connections, as long as this lives.
#[derive(Debug)]
pub struct Walled {
    _socket: Socket,
    address: SocketAddr,
}

impl Door {
    /// Opens one.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn open() -> Door {
        Door::open_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Opens one at another address of the machine.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn open_at(ip: IpAddr) -> Door {
        let listener = TcpListener::bind((ip, 0)).unwrap_or_else(|e| panic!("no door: {e}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        listener.set_nonblocking(true).unwrap_or_else(|error| panic!("no door: {error}"));
        Door { listener, address }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn accept(&self) -> Client {
        until("a connection", || self.try_accept())
    }

    /// The next connection, if one is there; does not wait.
    #[must_use]
    pub fn try_accept(&self) -> Option<Client> {
        self.listener.accept().ok().map(|(stream, _)| Client::new(stream))
    }
}

impl Walled {
    /// Takes a port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn up() -> Walled {
        let take = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
            let address = socket.local_addr()?.as_socket();
            Ok::<_, std::io::Error>((socket, address))
        };
        match take() {
            Ok((socket, Some(address))) => Walled { _socket: socket, address },
            other => panic!("no port: {other:?}"),
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl fmt::Display for Walled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
