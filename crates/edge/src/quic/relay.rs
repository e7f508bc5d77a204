//! From a process to one that it has replaced: datagrams of connections that the other still has.
//!
//! Both hold the same sockets, but only the newest reads them. What it finds to be another's goes through a socket pair that
//! was handed over with the rest: one message a datagram, behind a head of fixed length. What finds no room is lost, as
//! datagrams may be.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use quinn::udp::EcnCodepoint;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

use super::steer::{Datagram, Doors};

/// Listener, endpoint, codepoint, where it comes from (family, address, port, scope), where it went to (family, address).
const HEAD: usize = 2 + 2 + 1 + (1 + 16 + 2 + 4) + (1 + 16);
/// Longer than any datagram and its head.
const ROOM: usize = HEAD + 64 * 1024;

/// A process that was replaced, and may still have connections.
pub(crate) struct Predecessor {
    generation: u16,
    /// Where its listeners with QUIC are bound, in the order that it knows them by.
    listeners: Vec<SocketAddr>,
    socket: OwnedFd,
}

/// Which of a predecessor's listeners one of ours was; none when it did not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way(Option<u16>);

impl Predecessor {
    pub(crate) fn new(generation: u16, listeners: Vec<SocketAddr>, socket: OwnedFd) -> Predecessor {
        Predecessor { generation, listeners, socket }
    }

    pub(crate) fn generation(&self) -> u16 {
        self.generation
    }

    pub(crate) fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether it is still there.
    pub(crate) fn is_alive(&self) -> bool {
        // one that is too short says nothing
        !matches!(self.send(&[0]), Err(Errno::CONNREFUSED | Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN))
    }

    pub(super) fn way(&self, address: SocketAddr) -> Way {
        let place = self.listeners.iter().position(|known| *known == address);
        Way(place.and_then(|place| u16::try_from(place).ok()))
    }

    /// Hands on what is for its endpoint `place`. False when nobody takes it any more.
    pub(super) fn hand_on(&self, way: Way, place: u16, datagram: &Datagram) -> bool {
        let Way(Some(listener)) = way else { return false };
        match self.send(&encode(listener, place, datagram)) {
            // there was no room
            Ok(()) | Err(Errno::AGAIN | Errno::NOBUFS) => true,
            Err(_) => false,
        }
    }

    fn send(&self, message: &[u8]) -> Result<(), Errno> {
        rustix::net::send(&self.socket, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(drop)
    }
}

/// What the process that takes over sends by, and what this one receives by: packets in sequence, which unlike datagrams of
/// this machine have room for as many as fit, and an end.
///
/// # Errors
/// When the system has no more descriptors.
pub(crate) fn pair() -> io::Result<(OwnedFd, UnixDatagram)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (theirs, ours) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok((theirs, ours.into()))
}

/// Takes in what is handed on, for the endpoints behind these doors, until nobody has the other end.
pub(crate) async fn receive(socket: UnixDatagram, listeners: Vec<Doors>) {
    let socket = match tokio::net::UnixDatagram::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "datagrams of connections that go on cannot be received"),
    };
    let mut room = vec![0; ROOM];
    while let Ok(length @ 1..) = socket.recv(&mut room).await {
        let Some((listener, place, datagram)) = room.get(..length).and_then(decode) else { continue };
        let door = listeners.get(usize::from(listener)).and_then(|doors| doors.get(usize::from(place)));
        if let Some(door) = door {
            let _ = door.try_send(datagram);
        }
    }
}

pub(crate) fn encode(listener: u16, place: u16, datagram: &Datagram) -> Vec<u8> {
    let Datagram { bytes, from, to, ecn } = datagram;
    let mut out = Vec::with_capacity(HEAD + bytes.len());
    out.extend(listener.to_be_bytes());
    out.extend(place.to_be_bytes());
    out.push(ecn.map_or(0, |ecn| ecn as u8));
    put_ip(&mut out, Some(from.ip()));
    out.extend(from.port().to_be_bytes());
    let scope = match from {
        SocketAddr::V6(from) => from.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    out.extend(scope.to_be_bytes());
    put_ip(&mut out, *to);
    out.extend(bytes);
    out
}

fn put_ip(out: &mut Vec<u8>, ip: Option<IpAddr>) {
    let (family, octets) = match ip {
        None => (0, [0; 16]),
        Some(IpAddr::V4(ip)) => (4, ip.to_ipv6_mapped().octets()),
        Some(IpAddr::V6(ip)) => (6, ip.octets()),
    };
    out.push(family);
    out.extend(octets);
}

pub(crate) fn decode(message: &[u8]) -> Option<(u16, u16, Datagram)> {
    let (listener, rest) = message.split_first_chunk()?;
    let (place, rest) = rest.split_first_chunk()?;
    let (ecn, rest) = rest.split_first()?;
    let (from, rest) = take_ip(rest)?;
    let (port, rest) = rest.split_first_chunk()?;
    let (scope, rest) = rest.split_first_chunk()?;
    let (to, bytes) = take_ip(rest)?;
    let (port, scope) = (u16::from_be_bytes(*port), u32::from_be_bytes(*scope));
    let from = match from? {
        IpAddr::V4(ip) => SocketAddr::from((ip, port)),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope).into(),
    };
    let datagram = Datagram { bytes: bytes.into(), from, to, ecn: EcnCodepoint::from_bits(*ecn) };
    Some((u16::from_be_bytes(*listener), u16::from_be_bytes(*place), datagram))
}

fn take_ip(bytes: &[u8]) -> Option<(Option<IpAddr>, &[u8])> {
    let (family, rest) = bytes.split_first()?;
    let (octets, rest) = rest.split_first_chunk::<16>()?;
    let ip = Ipv6Addr::from(*octets);
    let ip = match family {
        0 => None,
        4 => Some(IpAddr::V4(ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED))),
        6 => Some(IpAddr::V6(ip)),
        _ => return None,
    };
    Some((ip, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let rows = [
            ("1.2.3.4:5", None, None, &b"payload"[..]),
            ("[::ffff:1.2.3.4]:5", Some("1.2.3.4"), EcnCodepoint::from_bits(1), b""),
            ("[fe80::1%7]:65535", Some("fe80::2"), EcnCodepoint::from_bits(2), &[0; 1200]),
        ];
        for (from, to, ecn, bytes) in rows {
            let from = from.parse().unwrap();
            let datagram = Datagram { bytes: bytes.into(), from, to: to.map(|to| to.parse().unwrap()), ecn };
            let message = encode(3, 300, &datagram);
            assert_eq!(message.len(), HEAD + bytes.len());
            assert_eq!(decode(&message), Some((3, 300, datagram)));
            for short in [0, 1, 3, 5, 20, HEAD - 1] {
                assert_eq!(decode(&message[..short]), None, "{short} bytes");
            }
        }
    }

    #[test]
    fn one_that_is_gone_takes_nothing() {
        let (theirs, ours) = pair().unwrap();
        let address = "127.0.0.1:443".parse().unwrap();
        let predecessor = Predecessor::new(7, vec![address], theirs);
        let datagram = Datagram { bytes: [1].into(), from: address, to: None, ecn: None };
        assert!(predecessor.is_alive() && predecessor.hand_on(predecessor.way(address), 0, &datagram));
        let elsewhere = predecessor.way("127.0.0.2:443".parse().unwrap());
        assert!(!predecessor.hand_on(elsewhere, 0, &datagram));
        drop(ours);
        assert!(!predecessor.is_alive() && !predecessor.hand_on(predecessor.way(address), 0, &datagram));
    }
}
