//! A request's content as it comes in on its stream: DATA, perhaps trailers.

use headworks_message::h2::Code;
use http::HeaderMap;
use tokio::io::ReadBuf;

use crate::l7::multiplexed::STREAM_WINDOW;

/// What has come and has not been read.
#[derive(Debug)]
pub(super) struct Content {
    bytes: Vec<u8>,
    /// Of those, the bytes that have been read.
    read: usize,
    ended: bool,
    /// Bytes that its Content-Length still promises.
    promised: Option<u64>,
    /// Bytes that the client may still send.
    window: u32,
    /// Bytes that it could be allowed again.
    released: u32,
    trailers: Option<HeaderMap>,
}

impl Content {
    /// Of a request whose head has come; `ended` with it.
    pub(super) fn new(ended: bool) -> Content {
        Content {
            bytes: Vec::new(),
            read: 0,
            ended,
            promised: None,
            window: STREAM_WINDOW,
            released: 0,
            trailers: None,
        }
    }

    /// Its Content-Length. More or less than that makes the request malformed (RFC 9113 section 8.1.1).
    pub(super) fn promise(&mut self, length: u64) {
        self.promised = Some(length);
    }

    /// Whether the client has said its last.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Takes in the content of a DATA frame, which took `length` bytes of the window.
    ///
    /// # Errors
    /// The code for the stream.
    pub(super) fn take(&mut self, content: &[u8], length: u32) -> Result<(), Code> {
        self.window = self.window.checked_sub(length).ok_or(Code::FlowControlError)?;
        self.released += length - content.len() as u32;
        if let Some(left) = &mut self.promised {
            *left = left.checked_sub(content.len() as u64).ok_or(Code::ProtocolError)?;
        }
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
        }
        self.bytes.extend_from_slice(content);
        Ok(())
    }

    /// Nothing follows any more.
    ///
    /// # Errors
    /// The code for the stream.
    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Code> {
        self.ended = true;
        self.trailers = trailers;
        if self.promised.is_some_and(|left| left > 0) { Err(Code::ProtocolError) } else { Ok(()) }
    }

    /// Reads: the bytes that were; none when more are waited for.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>) -> Option<usize> {
        let rest = self.bytes.get(self.read..).unwrap_or(&[]);
        if rest.is_empty() {
            return self.ended.then_some(0);
        }
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..taken).unwrap_or(&[]));
        self.read += taken;
        self.released += taken as u32;
        if self.read == self.bytes.len() && self.bytes.capacity() > STREAM_WINDOW as usize / 4 {
            // a burst is no reason to hold its room for the rest of the stream
            self.bytes = Vec::new();
            self.read = 0;
        }
        Some(taken)
    }

    /// By how much the client's window is to be opened, when that is worth a frame.
    pub(super) fn window_update(&mut self) -> Option<u32> {
        if self.ended || self.released < STREAM_WINDOW / 2 {
            return None;
        }
        self.window += self.released;
        Some(std::mem::take(&mut self.released))
    }

    /// Bytes that nobody will read.
    pub(super) fn unread(&self) -> u32 {
        (self.bytes.len() - self.read) as u32
    }

    /// What followed the content and may be sent on, once.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().filter(|trailers| !trailers.is_empty())
    }
}
