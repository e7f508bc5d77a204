//! How a body is delimited (RFC 9112 section 6), and the walk along it.

use crate::chunked::{Chunked, Malformed};

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

    /// How many of `bytes` belong to this body, framing included; they count as passed. Fewer than all only when the body
    /// ends within them.
    ///
    /// # Errors
    /// When chunked framing is broken; nothing of `bytes` may be sent on then.
    #[inline]
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Body::Done => Ok(0),
            Body::UntilClose => Ok(bytes.len()),
            Body::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                if *left == 0 {
                    *self = Body::Done;
                }
                Ok(taken as usize)
            }
            Body::Chunked(chunked) => {
                let mut at = 0;
                while at < bytes.len() && !chunked.is_done() {
                    at += chunked.step(&bytes[at..])?.consumed;
                }
                if chunked.is_done() {
                    *self = Body::Done;
                }
                Ok(at)
            }
        }
    }

    /// Like [`Body::take`], but appends the content without its framing to `out`, and drops trailers: for a reader that
    /// knows no chunked coding (HTTP/1.0).
    ///
    /// # Errors
    /// When chunked framing is broken.
    pub fn take_decoded(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let Body::Chunked(chunked) = self else {
            let taken = self.take(bytes)?;
            out.extend_from_slice(&bytes[..taken]);
            return Ok(taken);
        };
        let mut at = 0;
        while at < bytes.len() && !chunked.is_done() {
            let step = chunked.step(&bytes[at..])?;
            if step.is_data {
                out.extend_from_slice(&bytes[at..at + step.consumed]);
            }
            at += step.consumed;
        }
        if chunked.is_done() {
            *self = Body::Done;
        }
        Ok(at)
    }
}
