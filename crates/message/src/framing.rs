//! How a body is delimited (RFC 9112 section 6), and the walk along it.

use crate::chunked::{Chunked, Malformed, Part};

/// How a message's body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    #[default]
    None,
    /// This many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the source ends: a response until its connection closes, anything of HTTP/2 and 3 until the stream ends.
    UntilClose,
}

/// Where in a body the reader is. Bytes are counted off as they pass; none is kept.
#[derive(Clone, Debug)]
pub enum Body {
    /// All of it has passed.
    Done,
    /// This many bytes are to come; never 0.
    Length(u64),
    /// Inside a chunked body.
    Chunked(Chunked),
    /// Until the connection closes.
    UntilClose,
}

/// What of the bytes at hand belongs to a body. It counts as passed; what is behind it does not: it is the next message's,
/// or, while the body is not done, to be offered again with more behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that may be sent on, framing included.
    pub kept: usize,
    /// Bytes behind those that must not be sent on: trailer fields that have no business there.
    pub dropped: usize,
}

impl Taken {
    /// All that passed.
    pub fn total(self) -> usize {
        self.kept + self.dropped
    }
}

impl Body {
    /// At the first byte of a body.
    pub fn new(framing: Framing) -> Body {
        match framing {
            Framing::None | Framing::Length(0) => Body::Done,
            Framing::Length(n) => Body::Length(n),
            Framing::Chunked => Body::Chunked(Chunked::default()),
            Framing::UntilClose => Body::UntilClose,
        }
    }

    /// Whether the whole body has passed.
    #[inline]
    pub fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    /// How many of `bytes` belong to this body; they count as passed.
    ///
    /// # Errors
    /// When chunked framing is broken; nothing of `bytes` may be sent on then.
    #[inline]
    pub fn take(&mut self, bytes: &[u8]) -> Result<Taken, Malformed> {
        let kept = match self {
            Body::Done => 0,
            Body::UntilClose => bytes.len(),
            Body::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                if *left == 0 {
                    *self = Body::Done;
                }
                taken as usize
            }
            Body::Chunked(_) => return self.take_chunks(bytes),
        };
        Ok(Taken { kept, dropped: 0 })
    }

    fn take_chunks(&mut self, bytes: &[u8]) -> Result<Taken, Malformed> {
        let Body::Chunked(chunked) = self else { return Ok(Taken::default()) };
        let mut taken = Taken::default();
        while taken.kept < bytes.len() && !chunked.is_done() {
            let step = chunked.step(&bytes[taken.kept..])?;
            if step.part == Part::Dropped {
                taken.dropped = step.consumed;
                break;
            }
            if step.consumed == 0 {
                break;
            }
            taken.kept += step.consumed;
        }
        if chunked.is_done() {
            *self = Body::Done;
        }
        Ok(taken)
    }

    /// Like [`Body::take`], but appends the content without its framing to `out`, and drops trailers: for a reader that
    /// knows no chunked coding (HTTP/1.0), or is to see the content in another coding. The number is that of the bytes that
    /// passed.
    ///
    /// # Errors
    /// When chunked framing is broken.
    pub fn take_decoded(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let Body::Chunked(chunked) = self else {
            let taken = self.take(bytes)?.kept;
            out.extend_from_slice(&bytes[..taken]);
            return Ok(taken);
        };
        let mut at = 0;
        while at < bytes.len() && !chunked.is_done() {
            let step = chunked.step(&bytes[at..])?;
            if step.part == Part::Data {
                out.extend_from_slice(&bytes[at..at + step.consumed]);
            }
            if step.consumed == 0 {
                break;
            }
            at += step.consumed;
        }
        if chunked.is_done() {
            *self = Body::Done;
        }
        Ok(at)
    }
}
