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
        // moved only when no more is left than has been read, so that no byte is moved often
        if self.read >= self.bytes.len() - self.read {
            self.bytes.drain(..self.read);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &mut Content, most: usize) -> Option<Vec<u8>> {
        let mut block = vec![0; most];
        let mut buf = ReadBuf::new(&mut block);
        content.read(&mut buf).map(|_| buf.filled().to_vec())
    }

    /// A reader that never catches up holds no more than the window.
    #[test]
    fn what_is_held_is_bounded() {
        let mut content = Content::new(false);
        let (mut sent, mut seen) = (0_u64, 0_u64);
        let mut next = |length: usize| {
            let piece: Vec<u8> = (0..length as u64).map(|n| ((sent + n) % 251) as u8).collect();
            sent += length as u64;
            piece
        };
        assert_eq!(content.take(&next(100_000), 100_000), Ok(()));
        for _ in 0..1000 {
            let piece = read(&mut content, 10_000).unwrap();
            assert!(piece.iter().enumerate().all(|(n, byte)| *byte == ((seen + n as u64) % 251) as u8));
            seen += piece.len() as u64;
            content.window_update();
            assert_eq!(content.take(&next(10_000), 10_000), Ok(()));
            assert!(content.bytes.capacity() <= 2 * STREAM_WINDOW as usize, "{}", content.bytes.capacity());
        }
    }

    #[test]
    fn windows() {
        let mut content = Content::new(false);
        let half = STREAM_WINDOW / 2;
        assert_eq!(content.take(&vec![0; half as usize], half), Ok(()));
        // padding is no content, and is released at once
        assert_eq!(content.take(&[], half), Ok(()));
        assert_eq!((content.window_update(), content.window_update()), (Some(half), None));
        assert_eq!(content.take(&[], half + 1), Err(Code::FlowControlError));
        assert_eq!(content.unread(), half);
        // the end needs no window
        assert_eq!(read(&mut content, half as usize).map(|piece| piece.len()), Some(half as usize));
        assert_eq!(content.end(None), Ok(()));
        assert_eq!((content.window_update(), read(&mut content, 1)), (None, Some(vec![])));
    }

    #[test]
    fn promises() {
        for (promised, sent, expected) in
            [(3, 3, Ok(())), (4, 3, Err(Code::ProtocolError)), (2, 3, Err(Code::ProtocolError))]
        {
            let mut content = Content::new(false);
            content.promise(promised);
            let taken = content.take(&vec![0; sent], sent as u32).and_then(|()| content.end(None));
            assert_eq!(taken, expected, "{promised}");
        }
    }
}
