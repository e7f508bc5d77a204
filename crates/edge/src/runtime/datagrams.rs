//! A socket for datagrams on the runtime: many at a call, both ways, and those that the kernel has put together as one.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::net::SendFlags;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::socket::{set_if_taken, watch};
use super::transparent;

/// Room for the longest datagram, or as many as the kernel puts together.
const ROOM: usize = 64 * 1024;
/// Datagrams taken at a call.
const BATCH: usize = 32;

/// What datagrams are received into, for all sockets of a worker: nobody holds it while waiting.
pub(crate) struct Batch {
    room: Vec<u8>,
    met: [RecvMeta; BATCH],
}

impl Default for Batch {
    fn default() -> Batch {
        // touched by whoever receives first: a worker without datagrams has none of it
        Batch { room: Vec::new(), met: [RecvMeta::default(); BATCH] }
    }
}

/// Datagrams from one sender, each but the last of the same length.
#[derive(Clone, Copy)]
pub(crate) struct Train<'a> {
    pub(crate) bytes: &'a [u8],
    /// Length of each.
    pub(crate) each: usize,
    pub(crate) from: SocketAddr,
    /// The address it was sent to, of a socket that is bound to all.
    pub(crate) to: Option<IpAddr>,
}

impl Train<'_> {
    /// How many datagrams there are.
    pub(crate) fn count(&self) -> u64 {
        self.bytes.len().div_ceil(self.each.max(1)).max(1) as u64
    }
}

/// Has datagrams that are longer than the network takes sent in pieces, of both families: a socket for all addresses has both.
fn allow_fragments(socket: &UdpSocket) {
    let _ = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT);
    let _ = set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT);
    set_if_taken(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
}

/// A socket.
pub(crate) struct Datagrams {
    socket: AsyncFd<OwnedFd>,
    state: UdpSocketState,
}

impl Datagrams {
    /// Takes in a socket that does not block.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Datagrams> {
        let state = UdpSocketState::new((&socket).into())?;
        // that forbids fragments, as QUIC must; what others send is for the network to judge
        allow_fragments(&socket);
        Ok(Datagrams { socket: watch(socket.into(), Interest::READABLE)?, state })
    }

    /// Opens a socket that sends to one place and hears from nowhere else; from another's address if one is given, of the same
    /// family.
    ///
    /// # Errors
    /// Those of the system, and of [`transparent::bind`].
    pub(crate) fn connected(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<Datagrams> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if let Some(from) = from {
            // no address is reused: of two sockets with both ends the same, the kernel would not say that there are two
            transparent::bind(&socket, from)?;
        }
        socket.connect(&to.into())?;
        Datagrams::new(socket.into())
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.socket.get_ref().try_clone()
    }

    /// Takes what has come, at most `most` trains of it, and hands each to `take`. One call of the system.
    ///
    /// # Errors
    /// Those of the socket; of one that is connected, also what became of datagrams sent before.
    pub(crate) fn poll_receive(
        &self,
        batch: &RefCell<Batch>,
        most: usize,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Train<'_>),
    ) -> Poll<io::Result<()>> {
        let mut batch = batch.borrow_mut();
        let Batch { room, met } = &mut *batch;
        let received = loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            if room.is_empty() {
                room.resize(ROOM * BATCH, 0);
            }
            let most = most.min(BATCH);
            let mut places: [IoSliceMut<'_>; BATCH] = {
                let mut chunks = room.chunks_mut(ROOM);
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()))
            };
            let places = places.get_mut(..most).unwrap_or_default();
            match self.state.recv(ready.get_inner().into(), places, met) {
                Ok(received) => {
                    // the next datagram says so by itself: no call that only learns that there is none
                    if received < most {
                        ready.clear_ready();
                    }
                    break received;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        };
        for (place, met) in room.chunks(ROOM).zip(met).take(received) {
            let bytes = place.get(..met.len).unwrap_or(&[]);
            take(Train { bytes, each: met.stride.max(1), from: met.addr, to: met.dst_ip });
        }
        Poll::Ready(Ok(()))
    }

    /// Sends to where the socket is connected to.
    ///
    /// # Errors
    /// When there is no room, and they are lost; or what became of datagrams sent before.
    pub(crate) fn send(&self, train: &Train<'_>, to: SocketAddr) -> io::Result<()> {
        if train.bytes.len() <= train.each {
            rustix::net::send(self.socket.get_ref(), train.bytes, SendFlags::empty())?;
            return Ok(());
        }
        self.send_from(train, to, None)
    }

    /// Sends to a place, from an address of ours where the socket has more than one.
    ///
    /// # Errors
    /// When there is no room, and they are lost.
    pub(crate) fn send_from(&self, train: &Train<'_>, to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        let most = self.state.max_gso_segments().max(1);
        let step = train.each.saturating_mul(most).max(1);
        // an empty datagram is one, too
        let pieces = train.bytes.chunks(step).chain(train.bytes.is_empty().then_some(&[][..]));
        for piece in pieces {
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: piece,
                segment_size: (piece.len() > train.each).then_some(train.each),
                src_ip: from,
            };
            self.state.try_send(self.socket.get_ref().into(), &transmit)?;
        }
        Ok(())
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}
