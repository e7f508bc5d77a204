//! An endpoint's socket: what comes in for a connection of another endpoint is handed on to that one, be it in a process that
//! was replaced and still has connections.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime, UdpPoller};
use tokio::sync::mpsc;

use super::Secrets;
use super::identity::{Identities, Owner, destination};
use super::relay::{Predecessor, Way};
use crate::observe::counters::ListenerCounters;

/// Datagrams that wait for an endpoint. What is over is lost, as datagrams may be.
const WAITING: usize = 1024;

/// A datagram on its way from one endpoint to another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(super) bytes: Box<[u8]>,
    pub(crate) from: SocketAddr,
    pub(crate) to: Option<IpAddr>,
    pub(crate) ecn: Option<EcnCodepoint>,
}

/// Where endpoints of a listener take in what others hand on to them, by their places.
pub(crate) type Doors = Arc<[mpsc::Sender<Datagram>]>;

/// What one endpoint needs to receive: its socket, what others hand on to it, and where it hands on what is theirs.
pub(crate) struct Mouth {
    socket: UdpSocket,
    place: u16,
    doors: Doors,
    inbox: mpsc::Receiver<Datagram>,
}

impl Mouth {
    /// Its endpoint among those of the listener.
    pub(super) fn place(&self) -> u16 {
        self.place
    }
}

/// Joins the sockets of one listener.
pub(crate) fn join(sockets: Vec<UdpSocket>) -> (Doors, Vec<Mouth>) {
    let (doors, inboxes): (Vec<_>, Vec<_>) = sockets.iter().map(|_| mpsc::channel(WAITING)).unzip();
    let doors: Doors = doors.into();
    let joined = sockets.into_iter().zip(inboxes).zip(0..);
    let mouths = joined.map(|((socket, inbox), place)| Mouth { socket, place, doors: doors.clone(), inbox }).collect();
    (doors, mouths)
}

/// A socket that hands on.
pub(super) struct Steered {
    socket: Arc<dyn AsyncUdpSocket>,
    doors: Doors,
    /// Locked by this endpoint only.
    inbox: Mutex<mpsc::Receiver<Datagram>>,
    identities: Identities,
    owner: Owner,
    /// Those before this process that had the listener, and where they take in what is theirs.
    predecessors: Arc<[Predecessor]>,
    ways: Vec<Way>,
    /// The socket is another process's to read: what is for this one is handed on by that.
    let_go: Arc<AtomicBool>,
    worker: usize,
    counters: Arc<Vec<ListenerCounters>>,
}

impl Steered {
    /// Takes a socket into the runtime of worker `worker`.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(super) fn new(
        mouth: Mouth,
        secrets: &Secrets,
        worker: usize,
        let_go: &Arc<AtomicBool>,
        counters: Arc<Vec<ListenerCounters>>,
    ) -> io::Result<Arc<Steered>> {
        let owner = Owner { generation: secrets.generation, place: mouth.place };
        let address = mouth.socket.local_addr()?;
        Ok(Arc::new(Steered {
            socket: TokioRuntime.wrap_udp_socket(mouth.socket)?,
            doors: mouth.doors,
            inbox: Mutex::new(mouth.inbox),
            identities: Identities::new(secrets.identity, owner),
            owner,
            ways: secrets.predecessors.iter().map(|predecessor| predecessor.way(address)).collect(),
            predecessors: secrets.predecessors.clone(),
            let_go: let_go.clone(),
            worker,
            counters,
        }))
    }

    /// What others have handed on.
    fn poll_inbox(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        for (buf, meta) in bufs.iter_mut().zip(meta) {
            let Poll::Ready(Some(datagram)) = inbox.poll_recv(cx) else { break };
            let length = datagram.bytes.len();
            // one that does not fit was sent by nobody who speaks QUIC with us
            let Some(place) = buf.get_mut(..length) else { continue };
            place.copy_from_slice(&datagram.bytes);
            *meta = RecvMeta::default();
            (meta.addr, meta.dst_ip, meta.ecn) = (datagram.from, datagram.to, datagram.ecn);
            (meta.len, meta.stride) = (length, length);
            taken += 1;
        }
        taken
    }

    /// Hands on what is not for this endpoint, and moves the rest together.
    fn keep_own(&self, buf: &mut [u8], meta: &mut RecvMeta) {
        if meta.stride == 0 {
            return;
        }
        let (mut at, mut kept) = (0, 0);
        while at < meta.len {
            let end = (at + meta.stride).min(meta.len);
            let datagram = buf.get(at..end).unwrap_or(&[]);
            let owner = destination(datagram).and_then(|identity| self.identities.owner(identity));
            if owner.is_some_and(|owner| owner != self.owner && self.hand_on(owner, datagram, meta)) {
                if let Some(counters) = self.counters.get(self.worker) {
                    counters.tls.handed_on.add(1);
                }
            } else {
                if kept != at {
                    buf.copy_within(at..end, kept);
                }
                kept += end - at;
            }
            at = end;
        }
        meta.len = kept;
    }

    /// Hands a datagram on to whose it is. False when there is nobody any more: then the client is told so.
    fn hand_on(&self, owner: Owner, datagram: &[u8], meta: &RecvMeta) -> bool {
        let datagram = Datagram { bytes: datagram.into(), from: meta.addr, to: meta.dst_ip, ecn: meta.ecn };
        if owner.generation == self.owner.generation {
            let Some(door) = self.doors.get(usize::from(owner.place)) else { return false };
            // what finds no room is lost
            let _ = door.try_send(datagram);
            return true;
        }
        let mut predecessors = self.predecessors.iter().zip(&self.ways);
        let found = predecessors.find(|(predecessor, _)| predecessor.generation() == owner.generation);
        found.is_some_and(|(predecessor, way)| predecessor.hand_on(*way, owner.place, &datagram))
    }
}

impl fmt::Debug for Steered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steered").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for Steered {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let taken = self.poll_inbox(cx, bufs, meta);
        if taken > 0 {
            return Poll::Ready(Ok(taken));
        }
        if self.let_go.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let received = std::task::ready!(self.socket.poll_recv(cx, bufs, meta))?;
        for (buf, meta) in bufs.iter_mut().zip(meta).take(received) {
            self.keep_own(buf, meta);
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
