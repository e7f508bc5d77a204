//! Frames as they come in on a stream, whatever pieces the network makes of them.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use headworks_message::h3::{Code, FRAME_HEAD_LIMIT, FrameHead, FrameKind, integer};
use quinn::{ReadError, RecvStream, VarInt};

/// Bytes taken from a stream at once.
const PIECE: usize = 64 * 1024;

/// Why a stream is not read any further.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The request is broken; the others are not (RFC 9114 section 8).
    Stream(Code),
    /// The connection must end.
    Connection(Code),
    /// The client has given the stream up, or is gone.
    Gone,
}

impl From<ReadError> for Fault {
    fn from(_: ReadError) -> Fault {
        Fault::Gone
    }
}

/// A stream's frames.
pub(super) struct Frames {
    stream: RecvStream,
    /// Of the last piece, what has not been read.
    held: Bytes,
    /// The beginning of a frame's head, or of a stream's type, that is not whole.
    partial: ([u8; FRAME_HEAD_LIMIT], usize),
    /// Bytes of the current frame's payload that have not been read.
    left: u64,
    ended: bool,
}

impl Frames {
    pub(super) fn new(stream: RecvStream) -> Frames {
        Frames { stream, held: Bytes::new(), partial: ([0; FRAME_HEAD_LIMIT], 0), left: 0, ended: false }
    }

    /// Whether everything has been read, up to the end.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.held.is_empty()
    }

    /// The type of a unidirectional stream, with which it begins (RFC 9114 section 6.2); none when it ends before.
    pub(super) fn poll_stream_type(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u64>, Fault>> {
        self.poll_start(cx, integer)
    }

    /// The head of the next frame; none at the end of the stream. The payload of the one before has been read.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<FrameHead>, Fault>> {
        debug_assert_eq!(self.left, 0);
        let head = ready!(self.poll_start(cx, FrameHead::parse))?;
        self.left = head.map_or(0, |head| head.length);
        Poll::Ready(Ok(head))
    }

    /// What `parse` finds next, in one piece or in many.
    fn poll_start<T>(
        &mut self,
        cx: &mut Context<'_>,
        parse: impl Fn(&[u8]) -> Option<(T, usize)>,
    ) -> Poll<Result<Option<T>, Fault>> {
        loop {
            if self.partial.1 == 0
                && let Some((found, length)) = parse(&self.held)
            {
                self.held.advance(length);
                return Poll::Ready(Ok(Some(found)));
            }
            while self.held.has_remaining()
                && let Some(place) = self.partial.0.get_mut(self.partial.1)
            {
                *place = self.held.get_u8();
                self.partial.1 += 1;
                if let Some((found, _)) = parse(self.partial.0.get(..self.partial.1).unwrap_or(&[])) {
                    self.partial.1 = 0;
                    return Poll::Ready(Ok(Some(found)));
                }
            }
            if !ready!(self.poll_piece(cx))? {
                return Poll::Ready(if self.partial.1 == 0 { Ok(None) } else { Err(broken_off()) });
            }
        }
    }

    /// More of the current frame's payload, up to `limit` bytes; nothing when it has been read whole.
    pub(super) fn poll_payload(&mut self, limit: usize, cx: &mut Context<'_>) -> Poll<Result<Bytes, Fault>> {
        if self.left == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        if !ready!(self.poll_piece(cx))? {
            return Poll::Ready(Err(broken_off()));
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(limit);
        let taken = self.held.split_to(wanted.min(self.held.len()));
        self.left -= taken.len() as u64;
        Poll::Ready(Ok(taken))
    }

    /// Whether the current frame's payload has been read whole.
    pub(super) fn is_payload_read(&self) -> bool {
        self.left == 0
    }

    /// Goes over what is left of the current frame's payload.
    pub(super) fn poll_skip(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.left > 0 {
            ready!(self.poll_payload(PIECE, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// The whole payload of the current frame, into `out`, which holds the first of it already.
    pub(super) fn poll_whole(&mut self, out: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.left > 0 {
            out.extend_from_slice(&ready!(self.poll_payload(PIECE, cx))?);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the end of a stream whose frame has been read: whether nothing follows.
    pub(super) fn poll_is_over(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        if self.left > 0 {
            return Poll::Ready(Ok(false));
        }
        Poll::Ready(Ok(!ready!(self.poll_piece(cx))?))
    }

    /// Has something in hand, unless the stream has ended.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        while self.held.is_empty() {
            if self.ended {
                return Poll::Ready(Ok(false));
            }
            match ready!(pin!(self.stream.read_chunk(PIECE, true)).poll(cx))? {
                Some(chunk) => self.held = chunk.bytes,
                None => self.ended = true,
            }
        }
        Poll::Ready(Ok(true))
    }

    /// The next byte of a stream that has no frames; none at its end.
    pub(super) fn poll_byte(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u8>, Fault>> {
        let more = ready!(self.poll_piece(cx))?;
        Poll::Ready(Ok(more.then(|| self.held.get_u8())))
    }

    /// Tells the client that nothing more will be read.
    pub(super) fn stop(&mut self, code: Code) {
        let _ = self.stream.stop(number(code));
    }
}

/// RFC 9114 section 7.1: a stream that ends inside a frame.
fn broken_off() -> Fault {
    Fault::Connection(Code::FrameError)
}

/// The kinds that have no place where requests are (RFC 9114 section 7.2).
pub(super) fn belongs_elsewhere(kind: FrameKind) -> bool {
    !matches!(kind, FrameKind::Data | FrameKind::Headers | FrameKind::Unknown)
}

/// As QUIC says it.
pub(super) fn number(code: Code) -> VarInt {
    VarInt::from_u32(code as u32)
}
