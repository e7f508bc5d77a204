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
    match bind {
        Bind::Address(address) => bind_at(address, workers),
        Bind::Any(port) => match bind_at((Ipv6Addr::UNSPECIFIED, port).into(), workers) {
            // a machine without IPv6
            Err(error)
                if error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable =>
            {
                bind_at((Ipv4Addr::UNSPECIFIED, port).into(), workers)
            }
            result => result,
        },
    }
}

/// Binds one socket for datagrams for each worker. The connections of the same listener are bound there, so that no other
/// instance has the port.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn bind_datagrams(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    let sockets = (0..workers).map(|_| {
        let socket = socket(address, Type::DGRAM, Protocol::UDP, Share::Yes)?;
        // as much as the system allows: what comes while a worker is busy waits here
        let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER);
        let _ = socket.set_send_buffer_size(DATAGRAM_BUFFER);
        socket.bind(&address.into())?;
        Ok(UdpSocket::from(socket))
    });
    sockets.collect()
}

const EAFNOSUPPORT: i32 = 97;

fn bind_at(mut address: SocketAddr, workers: usize) -> io::Result<Bound> {
    // With SO_REUSEPORT a second instance would silently take a share of the connections; a socket without it finds that
    // the port is taken.
    let probe = stream_socket(address, Share::No)?;
    probe.bind(&address.into())?;
    if address.port() == 0 {
        address.set_port(probe.local_addr()?.as_socket().map_or(0, |a| a.port()));
    }
    drop(probe);
    let sockets = (0..workers)
        .map(|_| {
            let socket = stream_socket(address, Share::Yes)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(TcpListener::from(socket))
        })
        .collect::<io::Result<_>>()?;
    Ok(Bound { address, sockets })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Yes,
    No,
}

fn stream_socket(address: SocketAddr, share: Share) -> io::Result<Socket> {
    let socket = socket(address, Type::STREAM, Protocol::TCP, share)?;
    // accepted sockets inherit it, which saves a call for each
    SockRef::from(&socket).set_tcp_nodelay(true)?;
    Ok(socket)
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol, share: Share) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share == Share::Yes)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
