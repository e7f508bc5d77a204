//! Binding: one socket a worker on the same port (`SO_REUSEPORT`), for connections or for datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use headworks_model::primitive::Bind;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections the kernel queues for each socket.
const BACKLOG: i32 = 4096;
/// Bytes of datagrams that the kernel holds for each socket.
const DATAGRAM_BUFFER: usize = 2 * 1024 * 1024;

/// The sockets of one listener, one for each worker, not yet handed over.
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
}

/// Binds one socket for each worker.
///
/// # Errors
/// When the address cannot be bound: in use, not ours, or not permitted.
pub(crate) fn bind(bind: Bind, workers: usize) -> io::Result<Bound> {
    let (address, sockets) = on_any(bind, |address| bind_at(address, Kind::Connections, workers))?;
    let sockets = sockets.into_iter().map(|socket| {
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    });
    Ok(Bound { address, sockets: sockets.collect::<io::Result<_>>()? })
}

/// Binds one socket for datagrams for each worker, and nothing else.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn bind_datagrams(bind: Bind, workers: usize) -> io::Result<(SocketAddr, Vec<UdpSocket>)> {
    let (address, sockets) = on_any(bind, |address| bind_at(address, Kind::Datagrams, workers))?;
    Ok((address, sockets.into_iter().map(UdpSocket::from).collect()))
}

/// Binds one socket for datagrams for each worker where connections of the same listener come in, so that no other
/// instance has the port.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn bind_datagrams_beside(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    let sockets = (0..workers).map(|_| bound(address, Kind::Datagrams, Share::Yes).map(UdpSocket::from));
    sockets.collect()
}

/// Binds further sockets for connections beside those that are there, which share their port.
///
/// # Errors
/// When they do not share it.
pub(crate) fn bind_beside(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let sockets = (0..count).map(|_| {
        let socket = bound(address, Kind::Connections, Share::Yes)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    });
    sockets.collect()
}

/// Tries all addresses of the machine by IPv6, which is for IPv4 as well, and without it where there is none.
fn on_any<T>(bind: Bind, at: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match bind {
        Bind::Address(address) => at(address),
        Bind::Any(port) => match at((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(error)
                if error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable =>
            {
                at((Ipv4Addr::UNSPECIFIED, port).into())
            }
            result => result,
        },
    }
}

const EAFNOSUPPORT: i32 = 97;

fn bind_at(mut address: SocketAddr, kind: Kind, workers: usize) -> io::Result<(SocketAddr, Vec<Socket>)> {
    // With SO_REUSEPORT a second instance would silently take a share; a socket without it finds that the port is taken.
    let probe = bound(address, kind, Share::No)?;
    if address.port() == 0 {
        address.set_port(probe.local_addr()?.as_socket().map_or(0, |a| a.port()));
    }
    drop(probe);
    let sockets = (0..workers).map(|_| bound(address, kind, Share::Yes)).collect::<io::Result<_>>()?;
    Ok((address, sockets))
}

/// What comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connections,
    Datagrams,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Yes,
    No,
}

fn bound(address: SocketAddr, kind: Kind, share: Share) -> io::Result<Socket> {
    let (of_type, protocol) = match kind {
        Kind::Connections => (Type::STREAM, Protocol::TCP),
        Kind::Datagrams => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), of_type, Some(protocol))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    // of datagrams, it would let two instances have one port
    socket.set_reuse_address(kind == Kind::Connections)?;
    socket.set_reuse_port(share == Share::Yes)?;
    match kind {
        // accepted sockets inherit it, which saves a call for each
        Kind::Connections => SockRef::from(&socket).set_tcp_nodelay(true)?,
        Kind::Datagrams => {
            // as much as the system allows: what comes while a worker is busy waits here
            let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER);
            let _ = socket.set_send_buffer_size(DATAGRAM_BUFFER);
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
