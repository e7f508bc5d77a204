//! A worker's socket: what comes in for a connection of another worker is handed on to that one.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime, UdpPoller};
use tokio::sync::mpsc;

use super::Secrets;
use super::identity::{Identities, destination};
use crate::observe::counters::ListenerCounters;

/// Datagrams that wait for a worker. What is over is lost, as datagrams may be.
const WAITING: usize = 1024;

/// A datagram on its way from one worker to another.
#[derive(Debug)]
pub(crate) struct Datagram {
    bytes: Box<[u8]>,
    from: SocketAddr,
    to: Option<IpAddr>,
    ecn: Option<EcnCodepoint>,
}

/// What one worker needs to receive: its socket, what others hand on to it, and where it hands on what is theirs.
pub(crate) struct Mouth {
    socket: UdpSocket,
    doors: Arc<[mpsc::Sender<Datagram>]>,
    inbox: mpsc::Receiver<Datagram>,
}

/// Joins the sockets of one listener, one for each worker.
pub(crate) fn join(sockets: Vec<UdpSocket>) -> Vec<Mouth> {
    let (doors, inboxes): (Vec<_>, Vec<_>) = sockets.iter().map(|_| mpsc::channel(WAITING)).unzip();
    let doors: Arc<[_]> = doors.into();
    let joined = sockets.into_iter().zip(inboxes);
    joined.map(|(socket, inbox)| Mouth { socket, doors: doors.clone(), inbox }).collect()
}

/// A socket that hands on.
pub(super) struct Steered {
    socket: Arc<dyn AsyncUdpSocket>,
    doors: Arc<[mpsc::Sender<Datagram>]>,
    /// Locked by this worker's endpoint only.
    inbox: Mutex<mpsc::Receiver<Datagram>>,
    identities: Identities,
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
        counters: Arc<Vec<ListenerCounters>>,
    ) -> io::Result<Arc<Steered>> {
        Ok(Arc::new(Steered {
            socket: TokioRuntime.wrap_udp_socket(mouth.socket)?,
            doors: mouth.doors,
            inbox: Mutex::new(mouth.inbox),
            identities: Identities::new(secrets.identity.clone(), worker),
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

    /// Hands on what is not for this worker, and moves the rest together.
    fn keep_own(&self, buf: &mut [u8], meta: &mut RecvMeta) {
        if meta.stride == 0 {
            return;
        }
        let (mut at, mut kept) = (0, 0);
        while at < meta.len {
            let end = (at + meta.stride).min(meta.len);
            let datagram = buf.get(at..end).unwrap_or(&[]);
            let owner = destination(datagram).and_then(|identity| self.identities.worker(identity));
            match owner.filter(|owner| *owner != self.worker).and_then(|owner| self.doors.get(owner)) {
                Some(door) => {
                    let bytes = datagram.into();
                    if let Some(counters) = self.counters.get(self.worker) {
                        counters.tls.handed_on.add(1);
                    }
                    let _ = door.try_send(Datagram { bytes, from: meta.addr, to: meta.dst_ip, ecn: meta.ecn });
                }
                None => {
                    if kept != at {
                        buf.copy_within(at..end, kept);
                    }
                    kept += end - at;
                }
            }
            at = end;
        }
        meta.len = kept;
    }
}

impl fmt::Debug for Steered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steered").field("worker", &self.worker).finish_non_exhaustive()
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
