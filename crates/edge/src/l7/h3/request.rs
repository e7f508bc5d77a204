//! A request as it comes in on its stream: a head, content, perhaps trailers (RFC 9114 section 4.1).

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use headworks_message::h3::{self, Code, FrameKind};
use headworks_message::qpack;
use headworks_message::request::HEAD_LIMIT;
use headworks_message::section::{Fault as Undecodable, FieldSection};
use http::HeaderMap;
use tokio::io::ReadBuf;

use super::frames::{Fault, Frames, belongs_elsewhere};
use crate::l7::codec::translate;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its head has been read.
    Content,
    /// In a DATA frame.
    Data,
    /// In a frame that is gone over.
    Skipping,
    /// In the frame with its trailers.
    Trailers,
    /// Its trailers have been read.
    Complete,
    /// The stream has ended.
    Over,
}

/// A request whose head has been read.
pub(super) struct Incoming {
    frames: Frames,
    stage: Stage,
    /// Of a DATA frame, what has not been read.
    unread: Bytes,
    /// Bytes that its Content-Length still promises.
    promised: Option<u64>,
    /// A field section that is not whole.
    block: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// What came of reading a head.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// It is in the section; whether nothing follows it.
    Whole { bodiless: bool },
    /// It is longer than what is taken.
    TooLarge,
}

/// Reads a request's head into `section`.
///
/// # Errors
/// When it is none.
pub(super) async fn head(frames: &mut Frames, section: &mut FieldSection) -> Result<Head, Fault> {
    loop {
        let frame = poll_fn(|cx| frames.poll_head(cx)).await?.ok_or(Fault::Stream(Code::RequestIncomplete))?;
        match frame.kind {
            FrameKind::Headers if frame.length > HEAD_LIMIT as u64 => return Ok(Head::TooLarge),
            FrameKind::Headers => break,
            FrameKind::Unknown => poll_fn(|cx| frames.poll_skip(cx)).await?,
            _ => return Err(Fault::Connection(Code::FrameUnexpected)),
        }
    }
    // usually the whole of it has come in one piece
    let first = poll_fn(|cx| frames.poll_payload(HEAD_LIMIT, cx)).await?;
    let mut block = Vec::new();
    let encoded = if frames.is_payload_read() {
        &first[..]
    } else {
        block.extend_from_slice(&first);
        poll_fn(|cx| frames.poll_whole(&mut block, cx)).await?;
        &block
    };
    match qpack::decode(encoded, HEAD_LIMIT, section) {
        Ok(()) => {
            let over = match poll_now(|cx| frames.poll_is_over(cx))? {
                None if has_no_content_usually(section) => Some(poll_fn(|cx| frames.poll_is_over(cx)).await?),
                over => over,
            };
            Ok(Head::Whole { bodiless: over == Some(true) })
        }
        Err(Undecodable::TooLarge) => Ok(Head::TooLarge),
        Err(Undecodable::Undecodable) => Err(Fault::Connection(Code::QpackDecompressionFailed)),
    }
}

/// Whether the end of the stream, which may come in a packet of its own, is worth waiting for: a target must not be told of
/// content that does not come.
fn has_no_content_usually(section: &FieldSection) -> bool {
    section.iter().any(|line| matches!(line, (b":method", b"GET" | b"HEAD" | b"DELETE" | b"OPTIONS")))
}

/// What there is without waiting for more.
fn poll_now<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T, Fault>>) -> Result<Option<T>, Fault> {
    match poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(found) => found.map(Some),
        Poll::Pending => Ok(None),
    }
}

impl Incoming {
    /// A request whose head has been taken from `frames`.
    pub(super) fn new(frames: Frames) -> Incoming {
        let stage = if frames.is_over() { Stage::Over } else { Stage::Content };
        Incoming { frames, stage, unread: Bytes::new(), promised: None, block: Vec::new(), trailers: None }
    }

    /// What followed the content and may be sent on, once.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().filter(|trailers| !trailers.is_empty())
    }

    /// Its Content-Length. More or less than that makes it malformed (section 4.1.2).
    pub(super) fn promise(&mut self, length: u64) {
        self.promised = Some(length);
    }

    /// Reads content; nothing at its end, when trailers have come as well.
    ///
    /// # Errors
    /// When the request is broken, or given up.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Fault>> {
        while self.unread.is_empty() {
            match self.stage {
                Stage::Data => {
                    self.unread = ready!(self.frames.poll_payload(buf.remaining(), cx))?;
                    if self.unread.is_empty() {
                        self.stage = Stage::Content;
                    }
                }
                Stage::Skipping => {
                    ready!(self.frames.poll_skip(cx))?;
                    self.stage = if self.trailers.is_some() { Stage::Complete } else { Stage::Content };
                }
                Stage::Trailers => {
                    ready!(self.frames.poll_whole(&mut self.block, cx))?;
                    self.trailers = Some(trailers(&std::mem::take(&mut self.block))?);
                    self.stage = Stage::Complete;
                }
                Stage::Content | Stage::Complete => {
                    let frame = ready!(self.frames.poll_head(cx))?;
                    self.begin_frame(frame)?;
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..taken).unwrap_or(&[]));
        self.unread.advance(taken);
        Poll::Ready(Ok(()))
    }

    fn begin_frame(&mut self, frame: Option<h3::FrameHead>) -> Result<(), Fault> {
        let Some(frame) = frame else {
            self.stage = Stage::Over;
            return if self.promised.is_some_and(|left| left > 0) { Err(malformed()) } else { Ok(()) };
        };
        self.stage = match frame.kind {
            FrameKind::Unknown => Stage::Skipping,
            kind if belongs_elsewhere(kind) || self.stage == Stage::Complete => {
                return Err(Fault::Connection(Code::FrameUnexpected));
            }
            FrameKind::Data => {
                if let Some(left) = &mut self.promised {
                    *left = left.checked_sub(frame.length).ok_or_else(malformed)?;
                }
                Stage::Data
            }
            _ if frame.length > HEAD_LIMIT as u64 => return Err(Fault::Stream(Code::ExcessiveLoad)),
            _ => Stage::Trailers,
        };
        Ok(())
    }

    /// Tells the client that the rest is not wanted, if there is any.
    pub(super) fn stop(&mut self, code: Code) {
        if self.stage != Stage::Over && !self.frames.is_over() {
            self.frames.stop(code);
        }
    }
}

fn malformed() -> Fault {
    Fault::Stream(Code::MessageError)
}

/// The trailers of a request that may be sent on (RFC 9110 section 6.5.1).
fn trailers(encoded: &[u8]) -> Result<HeaderMap, Fault> {
    let mut section = FieldSection::default();
    qpack::decode(encoded, HEAD_LIMIT, &mut section).map_err(|fault| match fault {
        Undecodable::TooLarge => Fault::Stream(Code::ExcessiveLoad),
        Undecodable::Undecodable => Fault::Connection(Code::QpackDecompressionFailed),
    })?;
    translate::trailers(&section).map_err(|_| malformed())
}
