//! Chunked transfer coding (RFC 9112 section 7.1), read strictly and passed on as it is.
//!
//! Strictness is the point: a chunk size, extension or trailer that another reader could read differently is an error
//! here. Deliberately absent: meaning of extensions and trailers; they are validated and sent on.

use crate::bytes::{is_control, is_token};

/// Longest chunk-size line, and longest trailer section, in bytes. Longer ones are refused: a body of empty extensions would
/// otherwise cost without end.
const LINE_LIMIT: u32 = 4096;
const TRAILER_LIMIT: u32 = 16 * 1024;

/// The framing of a chunked body is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed chunked body")
    }
}

impl std::error::Error for Malformed {}

/// A reader of chunked framing: holds a position, never bytes.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    state: State,
    /// Size of the current chunk while it is read, then what is left of it.
    left: u64,
    /// Bytes of the current line or trailer section, for the limits.
    seen: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Before the first digit of a size.
    #[default]
    SizeStart,
    Size,
    /// BWS between size and extension: only a `;` may follow.
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// What a [`Chunked::step`] went over.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Bytes gone over; at least 1.
    pub consumed: usize,
    /// They are content, not framing.
    pub is_data: bool,
}

impl Chunked {
    /// Whether the last chunk and its trailers have passed.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Goes over some of `bytes`, which must not be empty: a run of content, or a run of framing.
    ///
    /// # Errors
    /// At the first byte that breaks the grammar or a limit.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        if self.state == State::Data {
            let taken = self.left.min(bytes.len() as u64);
            self.left -= taken;
            if self.left == 0 {
                self.state = State::DataCr;
            }
            return Ok(Step { consumed: taken as usize, is_data: true });
        }
        let mut consumed = 0;
        for byte in bytes {
            if matches!(self.state, State::Data | State::Done) {
                break;
            }
            self.state = self.framing(*byte)?;
            consumed += 1;
        }
        Ok(Step { consumed, is_data: false })
    }

    /// One byte of framing.
    fn framing(&mut self, byte: u8) -> Result<State, Malformed> {
        self.seen += 1;
        let limit = if self.state < State::TrailerStart { LINE_LIMIT } else { TRAILER_LIMIT };
        if self.seen > limit {
            return Err(Malformed);
        }
        match (self.state, byte) {
            (State::SizeStart | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from((byte as char).to_digit(16).ok_or(Malformed)?);
                if self.left >> 59 != 0 {
                    return Err(Malformed);
                }
                self.left = self.left << 4 | digit;
                Ok(State::Size)
            }
            (State::Size | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size | State::SizeSpace, b';') => Ok(State::Extension),
            (State::Size | State::SizeSpace, b' ' | b'\t') => Ok(State::SizeSpace),
            (State::Extension, _) if !is_control(byte) => Ok(State::Extension),
            (State::SizeLf, b'\n') => {
                self.seen = 0;
                Ok(if self.left == 0 { State::TrailerStart } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.seen = 0;
                Ok(State::SizeStart)
            }
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) if !is_control(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
