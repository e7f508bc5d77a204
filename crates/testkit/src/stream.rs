//! A TCP or Unix stream, the ways it can end, and a buffer to read it through.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;

use crate::tls::Secured;
use crate::wait::PATIENCE;

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// Over IP.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// TLS over IP.
    Tls(Box<Secured>),
}

/// How reading came to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer said that nothing more follows.
    Closed,
    /// The peer reset the connection, or ended it without the close_notify of RFC 8446 section 6.1.
    Reset,
    /// Nothing came in time.
    TimedOut,
    /// What came is not by RFC 9112; why.
    Malformed(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("closed"),
            End::Reset => f.write_str("reset"),
            End::TimedOut => write!(f, "silent for {PATIENCE:?}"),
            End::Malformed(why) => write!(f, "malformed: {why}"),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Stream {
        Stream::Unix(stream)
    }
}

impl Stream {
    /// Sets it up for a test: blocking with deadlines, each write a segment of its own.
    pub(crate) fn prepare(&self, patience: Duration) -> io::Result<()> {
        let socket = self.socket();
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        if let Stream::Tcp(stream) = self {
            stream.set_nodelay(true)?;
        }
        Ok(())
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Unix(stream) => SockRef::from(stream),
            Stream::Tls(secured) => SockRef::from(&secured.socket),
        }
    }

    /// The other end's address.
    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()?.as_socket().ok_or(ErrorKind::Unsupported.into())
    }

    /// A second handle on the same socket.
    pub(crate) fn twin(&self) -> io::Result<Stream> {
        Ok(match self {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone()?),
            Stream::Unix(stream) => Stream::Unix(stream.try_clone()?),
            Stream::Tls(secured) => Stream::Tcp(secured.socket.try_clone()?),
        })
    }

    /// Ends one or both directions.
    pub(crate) fn shutdown(&mut self, how: Shutdown) {
        match self {
            Stream::Tls(secured) if how == Shutdown::Write => secured.finish(),
            _ => drop(self.socket().shutdown(how)),
        }
    }

    /// Ends the direction out, without a word of TLS.
    pub(crate) fn cut_off(&self) {
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Sends one byte of urgent data.
    pub(crate) fn urge(&self, byte: u8) -> io::Result<usize> {
        self.socket().send_out_of_band(&[byte])
    }

    /// Closes it with a reset in place of an orderly end.
    pub(crate) fn reset(self) {
        let _ = self.socket().set_linger(Some(Duration::ZERO));
    }

    /// Whether a read would not wait.
    pub(crate) fn is_readable(&self) -> bool {
        let socket = self.socket();
        let mut byte = [std::mem::MaybeUninit::uninit(); 1];
        let _ = socket.set_nonblocking(true);
        let waits = matches!(socket.peek(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock);
        let _ = socket.set_nonblocking(false);
        !waits
    }

    /// Reads what is there, at most `into.len()` bytes and at least one.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Result<usize, End> {
        let read = match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
            Stream::Tls(secured) => secured.read(into),
        };
        match read {
            Ok(0) => Err(End::Closed),
            Ok(n) => Ok(n),
            Err(error) => Err(end_of(&error)),
        }
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let written = match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tls(secured) => secured.write_all(bytes),
        };
        written.map_err(|error| end_of(&error))
    }
}

fn end_of(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => End::TimedOut,
        _ => End::Reset,
    }
}

/// A stream with the bytes that were read and not yet used.
#[derive(Debug)]
pub struct Buffered {
    pub(crate) stream: Stream,
    pub(crate) buffer: Vec<u8>,
}

impl Buffered {
    pub(crate) fn new(stream: Stream) -> Buffered {
        Buffered { stream, buffer: Vec::new() }
    }

    /// These bytes, after which nothing comes.
    pub(crate) fn of(bytes: &[u8]) -> Buffered {
        let (ended, _) = UnixStream::pair().unwrap_or_else(|error| panic!("no sockets: {error}"));
        Buffered { stream: Stream::Unix(ended), buffer: bytes.to_vec() }
    }

    /// Reads some more.
    pub(crate) fn fill(&mut self) -> Result<(), End> {
        let mut block = [0; 32 * 1024];
        let read = self.stream.read(&mut block)?;
        self.buffer.extend_from_slice(&block[..read]);
        Ok(())
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<Vec<u8>, End> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Everything up to and with the first `mark`.
    pub(crate) fn take_through(&mut self, mark: &[u8]) -> Result<Vec<u8>, End> {
        let mut searched = 0;
        loop {
            let found = self.buffer[searched..].windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Ok(self.buffer.drain(..searched + at + mark.len()).collect());
            }
            searched = self.buffer.len().saturating_sub(mark.len() - 1);
            self.fill()?;
        }
    }

    /// Everything until the peer closes.
    pub(crate) fn take_rest(&mut self) -> (Vec<u8>, End) {
        loop {
            if let Err(end) = self.fill() {
                return (std::mem::take(&mut self.buffer), end);
            }
        }
    }
}
