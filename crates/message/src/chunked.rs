//! Chunked transfer coding (RFC 9112 section 7.1), read strictly and passed on as it is.
//!
//! Strictness is the point: a chunk size, extension or trailer that another reader could read differently is an error
//! here. That goes for the white space that the grammar tolerates around extensions, too: RFC 9110 section 5.6.3 forbids
//! to send it, readers are known to disagree about it, and to take it out would be to write every body anew. Trailer fields
//! that have no business behind a body are told apart from the rest (see [`crate::trailers`]). Deliberately absent: the
//! meaning of extensions and of the other trailers; they are validated and sent on.

use crate::bytes::{is_control, is_token};
use crate::trailers::{self, Fate};

/// Longest chunk-size line, and longest trailer section, in bytes. Longer ones are refused: a body of empty extensions would
/// otherwise cost without end.
const LINE_LIMIT: u32 = 4096;
const TRAILER_LIMIT: u32 = 16 * 1024;
/// Longest name of a trailer field. Nothing of a line is sent on before its name is known, so that this much may wait.
const NAME_LIMIT: usize = 256;

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
    /// Behind `;`: a token must follow.
    NameStart,
    Name,
    /// Behind `=`: a token or a quoted string must follow.
    ValueStart,
    Value,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
    QuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerValue,
    TrailerLf,
    /// As the two before, in a line that is left out.
    DroppedValue,
    DroppedLf,
    EndLf,
    Done,
}

/// What a [`Chunked::step`] went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes gone over. 0 when these bytes are the beginning of a trailer field's name: they are to be offered again, with
    /// more behind them.
    pub consumed: usize,
    /// What they are.
    pub part: Part,
}

/// A part of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Content.
    Data,
    /// Framing, or a trailer that may be sent on.
    Framing,
    /// A trailer line that must not be sent on, or a part of one.
    Dropped,
}

impl Chunked {
    /// Whether the last chunk and its trailers have passed.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Goes over some of `bytes`, which must not be empty: a run of one [`Part`].
    ///
    /// # Errors
    /// At the first byte that breaks the grammar or a limit.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        match self.state {
            State::Data => {
                let taken = self.left.min(bytes.len() as u64);
                self.left -= taken;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Step { consumed: taken as usize, part: Part::Data });
            }
            State::TrailerStart if bytes.first() != Some(&b'\r') => {
                let Some(name) = self.trailer_name(bytes)? else {
                    return Ok(Step { consumed: 0, part: Part::Framing });
                };
                return self.run(bytes, name + 1);
            }
            _ => {}
        }
        self.run(bytes, 0)
    }

    /// Goes over framing from `consumed` on.
    fn run(&mut self, bytes: &[u8], mut consumed: usize) -> Result<Step, Malformed> {
        let drops = self.drops();
        for byte in bytes.get(consumed..).unwrap_or(&[]) {
            self.state = self.framing(*byte)?;
            consumed += 1;
            if matches!(self.state, State::Data | State::TrailerStart | State::Done) {
                break;
            }
        }
        Ok(Step { consumed, part: if drops { Part::Dropped } else { Part::Framing } })
    }

    fn drops(&self) -> bool {
        matches!(self.state, State::DroppedValue | State::DroppedLf)
    }

    /// The length of the name that a trailer line begins with, once its colon is there; what becomes of the line is decided
    /// then.
    fn trailer_name(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let length = bytes.iter().take(NAME_LIMIT + 1).take_while(|b| is_token(**b)).count();
        if length > NAME_LIMIT {
            return Err(Malformed);
        }
        match bytes.get(length) {
            None => return Ok(None),
            Some(b':') if length > 0 => {}
            Some(_) => return Err(Malformed),
        }
        self.count(length as u32 + 1, TRAILER_LIMIT)?;
        self.state = match trailers::fate(bytes.get(..length).unwrap_or(&[])) {
            Fate::Pass => State::TrailerValue,
            Fate::Drop => State::DroppedValue,
            Fate::Refuse => return Err(Malformed),
        };
        Ok(Some(length))
    }

    fn count(&mut self, bytes: u32, limit: u32) -> Result<(), Malformed> {
        self.seen += bytes;
        if self.seen > limit { Err(Malformed) } else { Ok(()) }
    }

    /// One byte of framing.
    fn framing(&mut self, byte: u8) -> Result<State, Malformed> {
        self.count(1, if self.state < State::TrailerStart { LINE_LIMIT } else { TRAILER_LIMIT })?;
        match (self.state, byte) {
            (State::SizeStart | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from((byte as char).to_digit(16).ok_or(Malformed)?);
                if self.left >> 59 != 0 {
                    return Err(Malformed);
                }
                self.left = self.left << 4 | digit;
                Ok(State::Size)
            }
            (State::Size | State::Name | State::Value | State::QuotedEnd, b'\r') => Ok(State::SizeLf),
            (State::Size | State::Name | State::Value | State::QuotedEnd, b';') => Ok(State::NameStart),
            (State::NameStart | State::Name, _) if is_token(byte) => Ok(State::Name),
            (State::Name, b'=') => Ok(State::ValueStart),
            (State::ValueStart, b'"') => Ok(State::Quoted),
            (State::ValueStart | State::Value, _) if is_token(byte) => Ok(State::Value),
            (State::Quoted, b'"') => Ok(State::QuotedEnd),
            (State::Quoted, b'\\') => Ok(State::Escaped),
            (State::Quoted | State::Escaped, _) if !is_control(byte) => Ok(State::Quoted),
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
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::DroppedValue, b'\r') => Ok(State::DroppedLf),
            (State::TrailerValue | State::DroppedValue, _) if !is_control(byte) => Ok(self.state),
            (State::TrailerLf | State::DroppedLf, b'\n') => Ok(State::TrailerStart),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
