//! Sockets with the address of another machine for their own: `IP_TRANSPARENT` of ip(7), and `IPV6_TRANSPARENT`.
//!
//! That answers to such an address come to this machine, and to its sockets, is for the machine's routes to see to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, SockRef, Socket, Type};

/// Gives a socket this address, whoever's it is; with port 0, and a port that nobody else has of it here.
///
/// # Errors
/// `PermissionDenied` without the privilege, or of a low port without the one for those; `AddrInUse` when the port is taken.
pub(super) fn bind(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
    let socket = SockRef::from(socket);
    match address {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(true)?,
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(true)?,
    }
    socket.bind(&address.into())
}

/// Whether this process may use other machines' addresses, by trying: the system asks for `CAP_NET_ADMIN` or `CAP_NET_RAW`.
///
/// # Errors
/// Those of the system: `PermissionDenied` without the privilege.
pub(crate) fn permitted() -> io::Result<()> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    Socket::new(Domain::for_address(any), Type::DGRAM, None)?.set_ip_transparent_v4(true)
}
