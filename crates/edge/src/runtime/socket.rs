//! A stream socket on the runtime, whatever its family.
//!
//! The system calls are made directly: in a program with threads, the C library wraps each of them in the bookkeeping of
//! thread cancellation, which came to 3 % of a small request.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_socket_reuseaddr, set_tcp_nodelay, socket_error};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
};
use socket2::{SockFilter, SockRef};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::pipe::Pipe;
use super::transparent;

/// New sockets do not block, and are not inherited by programs that are started.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Reading, writing, and whether there is urgent data.
const ALL: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// Has the runtime watch a descriptor.
#[expect(
    unsafe_code,
    reason = "the safe constructors are deprecated, because they take what may change its descriptor"
)]
pub(super) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one open descriptor, the same in each call of `as_raw_fd`, until it is dropped; it is owned by
    // the `AsyncFd` from here on and never handed out but by shared reference.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// A connected stream socket. Reading clears the runtime's readiness after a short read, so that no speculative read
/// follows a whole message.
pub(crate) struct Socket {
    fd: AsyncFd<OwnedFd>,
    is_tcp: bool,
}

impl Socket {
    fn watched(fd: OwnedFd, is_tcp: bool) -> io::Result<Socket> {
        Ok(Socket { fd: watch(fd, ALL)?, is_tcp })
    }

    /// Connects over TCP. The caller bounds its time.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) async fn connect_tcp(address: SocketAddr, first: First) -> io::Result<Socket> {
        let connecting = Connecting::tcp(address, None, first)?;
        connecting.socket.send_at_once()?;
        connecting.done().await
    }

    /// Takes in a socket that is connected and does not block.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    #[cfg(test)]
    pub(crate) fn connected(fd: OwnedFd) -> io::Result<Socket> {
        Self::watched(fd, true)
    }

    /// Connects to a socket in the file system.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) async fn connect_unix(path: &Path) -> io::Result<Socket> {
        Connecting::unix(path)?.done().await
    }

    /// Small segments over TCP no longer wait until those before are acknowledged (RFC 896).
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn send_at_once(&self) -> io::Result<()> {
        Ok(set_tcp_nodelay(self.fd.get_ref(), true)?)
    }

    /// Whether an idle connection still waits: the other side has neither spoken nor hung up. Costs no system call while
    /// the runtime knows the socket to be drained.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0; 1];
        let read = self.fd.try_io(Interest::READABLE, |fd| {
            rustix::net::recv(fd, &mut byte, RecvFlags::PEEK).map_err(io::Error::from)
        });
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Looks at what can be read without taking it: 0 at the end of the stream.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_peek_into(&mut [0; 1], cx)
    }

    /// Copies what can be read, as far as it fits, without taking it: 0 at the end of the stream.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn poll_peek_into(&self, into: &mut [u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(cx))?;
            match rustix::net::recv(ready.get_inner(), &mut *into, RecvFlags::PEEK) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                peeked => return Poll::Ready(peeked.map(|(_, n)| n).map_err(io::Error::from)),
            }
        }
    }

    /// Says that the connection is there, where that was to go with the first bytes ([`First::Here`]) and there are none yet.
    pub(crate) fn acknowledge(&self) {
        set_if_taken(self.fd.get_ref(), libc::IPPROTO_TCP, libc::TCP_QUICKACK, 1);
    }

    /// The address that the other side has connected to, or that this one has connected from.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(self.fd.get_ref()).ok()?.try_into().ok()
    }

    /// Bytes that were sent and that the other side has not acknowledged: they are in the kernel's buffer still, or on their
    /// way.
    pub(crate) fn unacknowledged(&self) -> usize {
        /// `TIOCOUTQ`, which is what a TCP socket calls `SIOCOUTQ` (tcp(7)).
        const OUTPUT_QUEUE: rustix::ioctl::Opcode = 0x5411;
        #[expect(unsafe_code, reason = "there is no safe way to ask for it")]
        // SAFETY: on Linux, `TIOCOUTQ` of a socket writes one `int`, and nothing else is read or written.
        let asked: rustix::io::Result<i32> =
            unsafe { rustix::ioctl::ioctl(self.fd.get_ref(), rustix::ioctl::Getter::<OUTPUT_QUEUE, i32>::new()) };
        asked.ok().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0)
    }

    /// Makes the coming close a reset.
    pub(crate) fn reset_on_close(&self) {
        let _ = set_socket_linger(self.fd.get_ref(), Some(Duration::ZERO));
    }

    /// Whether the other side takes nothing any more: it has reset the connection, or both sides have said their last.
    /// Of use while nothing is to be read or written; what is, tells by itself.
    pub(crate) fn poll_hung_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(mut ready) = ready!(self.fd.poll_write_ready(cx)) else { return Poll::Ready(()) };
            if ready.ready().is_write_closed() {
                return Poll::Ready(());
            }
            // writing is tried before readiness is asked for, so that nothing is lost with it
            ready.clear_ready();
        }
    }

    #[inline]
    fn poll_receive(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(cx))?;
            let free = buf.initialize_unfilled();
            let wanted = free.len();
            match rustix::net::recv(ready.get_inner(), free, RecvFlags::empty()) {
                Ok((_, read)) => {
                    // edge-triggered: what comes later is announced anew. The stream's end stays announced.
                    if read > 0 && read < wanted {
                        ready.clear_ready();
                    }
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// What is known of the stream's end behind a read. `was_short`: there was more room than bytes.
    pub(crate) fn ending(&self, was_short: bool, cx: &mut Context<'_>) -> Ending {
        // all at once: something always is, at the least that it can be written
        let Poll::Ready(Ok(guard)) = pin!(self.fd.ready(ALL)).poll(cx) else { return Ending::Unknown };
        let known = guard.ready();
        if !known.is_read_closed() {
            return Ending::Unknown;
        }
        // a short read has taken all that came before FIN, but that it stops at the place of urgent data (RFC 6093 section 3). A reset
        // ends both ways, and has to be told from FIN by reading on.
        let is_next = self.is_tcp && was_short && !known.is_priority() && !known.is_write_closed();
        if is_next { Ending::Next } else { Ending::Announced }
    }

    /// Sends bytes behind which more come at once, or the end: over TCP the last segment waits for that, and goes with it.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) fn poll_write_more(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |fd| rustix::net::send(fd, bytes, SendFlags::NOSIGNAL | SendFlags::MORE))
    }

    /// Moves what can be read into a pipe: its bytes, 0 at the end of the stream. The pipe must have room.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) fn poll_splice_to(&self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(cx))?;
            match pipe.fill_from(ready.get_inner()) {
                // a full pipe is not distinguishable from an empty socket, hence the condition
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                moved => return Poll::Ready(moved.map_err(io::Error::from)),
            }
        }
    }

    /// Sends what a pipe holds, as much as the socket takes.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) fn poll_splice_from(&self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |fd| pipe.drain_to(fd))
    }

    /// Sends by `call` as soon as the socket takes any bytes.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(&OwnedFd) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        // nearly every send finds room, so that it is tried before the runtime is asked whether there is any
        match call(self.fd.get_ref()) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            sent => return Poll::Ready(sent.map_err(io::Error::from)),
        }
        loop {
            let mut ready = ready!(self.fd.poll_write_ready(cx))?;
            match call(ready.get_inner()) {
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                sent => return Poll::Ready(sent.map_err(io::Error::from)),
            }
        }
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_receive(cx, buf)
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |fd| rustix::net::send(fd, bytes, SendFlags::NOSIGNAL))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // the usual case over TLS, and the cheaper call
        if let [only] = slices {
            return self.poll_write(cx, only);
        }
        self.poll_send(cx, |fd| {
            rustix::net::sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(self.fd.get_ref(), Shutdown::Write).map_err(io::Error::from))
    }
}

/// How near the end of what a socket receives is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing has been heard of it.
    #[default]
    Unknown,
    /// The other side has said its last, some of which may not have been read.
    Announced,
    /// All that comes before it has been read.
    Next,
}

/// Who speaks first on a connection that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// We do, as soon as it is there; else it is to be [acknowledged](Socket::acknowledge).
    Here,
    /// The other side may.
    There,
}

/// Has the end of the handshake go in one packet with the first bytes, which must follow at once: otherwise it goes by itself
/// a fifth of a second later. Saves a small connection one of its ten packets.
fn acknowledge_with_data(fd: &OwnedFd) {
    let seconds = 1;
    set_if_taken(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, seconds);
}

/// Sets an option that no library has, where the socket takes it: without it all goes on, if not as well.
pub(super) fn set_if_taken(socket: &impl AsRawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let length = size_of_val(&value) as libc::socklen_t;
    #[expect(unsafe_code, reason = "there is no safe way to ask for it")]
    // SAFETY: the kernel reads one `int` from a place that is one, and keeps no reference to it.
    let _ = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
}

/// A connection that has been begun.
pub(crate) struct Connecting {
    socket: Socket,
    is_done: bool,
}

impl Connecting {
    /// To an address, over TCP, from another's address if one is given, of the same family. Small segments wait for each other
    /// until [`Socket::send_at_once`].
    ///
    /// # Errors
    /// Those of the socket, and of [`transparent::bind`].
    pub(crate) fn tcp(address: SocketAddr, from: Option<SocketAddr>, first: First) -> io::Result<Connecting> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = rustix::net::socket_with(family, SocketType::STREAM, FLAGS, None)?;
        if first == First::Here {
            acknowledge_with_data(&fd);
        }
        if let Some(from) = from {
            // a port is taken only where both ends are the same; one that the kernel chooses is nobody else's
            set_socket_reuseaddr(&fd, from.port() != 0)?;
            transparent::bind(&fd, from)?;
        }
        let begun = rustix::net::connect(&fd, &address);
        Self::begun(fd, begun, true)
    }

    /// To a socket in the file system.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn unix(path: &Path) -> io::Result<Connecting> {
        let address = SocketAddrUnix::new(path)?;
        let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
        let begun = rustix::net::connect(&fd, &address);
        Self::begun(fd, begun, false)
    }

    fn begun(fd: OwnedFd, begun: Result<(), Errno>, is_tcp: bool) -> io::Result<Connecting> {
        let is_done = match begun {
            Ok(()) => true,
            Err(Errno::INPROGRESS | Errno::INTR) => false,
            Err(error) => return Err(error.into()),
        };
        // registered only now: a socket that has not begun to connect would be reported as hung up
        Ok(Connecting { socket: Socket::watched(fd, is_tcp)?, is_done })
    }

    /// Waits until the connection is there. The caller bounds its time.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) async fn done(self) -> io::Result<Socket> {
        if !self.is_done {
            let failed = poll_fn(|cx| self.socket.fd.poll_write_ready(cx)).await?.ready().is_write_closed();
            // the reason is asked for only when there is one: a failure is announced as a hang-up
            if failed {
                socket_error(self.socket.fd.get_ref())??;
            }
        }
        Ok(self.socket)
    }
}

/// A listening socket on the runtime.
pub(crate) struct Acceptor(AsyncFd<OwnedFd>);

impl Acceptor {
    /// Takes in a socket that listens and does not block.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Acceptor> {
        Ok(Acceptor(watch(listener.into(), Interest::READABLE)?))
    }

    /// Waits for the next connection, and for where it comes from.
    ///
    /// # Errors
    /// Those of the call, which may concern one connection only.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        poll_fn(|cx| {
            loop {
                let mut ready = ready!(self.0.poll_read_ready(cx))?;
                match accept(ready.get_inner()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                    accepted => return Poll::Ready(accepted),
                }
            }
        })
        .await
    }

    /// Has the kernel drop what the filter does not let begin; none lets all begin.
    ///
    /// # Errors
    /// When the kernel does not take the filter; the one before goes on then.
    pub(crate) fn set_filter(&self, filter: Option<&[SockFilter]>) -> io::Result<()> {
        let socket = SockRef::from(self.0.get_ref());
        match filter {
            Some(filter) => socket.attach_filter(filter),
            None => match socket.detach_filter() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                detached => detached,
            },
        }
    }

    /// The next connection that the kernel has queued already.
    pub(crate) fn accept_queued(&self) -> Option<(Socket, SocketAddr)> {
        accept(self.0.get_ref()).ok()
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

fn accept(listener: &OwnedFd) -> io::Result<(Socket, SocketAddr)> {
    let (fd, peer) = rustix::net::acceptfrom_with(listener, FLAGS)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).ok_or(io::ErrorKind::NotConnected)?;
    Ok((Socket::watched(fd, true)?, peer))
}
