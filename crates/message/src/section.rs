//! Field sections of HTTP/2 and HTTP/3: what HPACK (RFC 7541) and QPACK (RFC 9204) have in common, and the rules for the
//! fields of a request, which RFC 9113 and RFC 9114 say in almost the same words.

mod huffman;
pub(crate) mod lookup;
mod request;

pub use self::request::{Malformed, RequestFields, check, request};
use crate::head::Span;

/// What RFC 9113 section 6.5.2 and RFC 9114 section 4.2.2 count for each field besides its bytes.
pub const FIELD_OVERHEAD: usize = 32;

/// Field lines as they were sent. Reused from one to the next.
#[derive(Clone, Debug, Default)]
pub struct FieldSection {
    /// Names and values, one behind the other.
    text: Vec<u8>,
    lines: Vec<(Span, Span)>,
    /// Bytes as [`FIELD_OVERHEAD`] counts them.
    size: usize,
}

/// Why a field section cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not by the grammar, or refers to what is in no table. That ends the connection.
    Undecodable,
    /// It is longer than the limit, counted as [`FIELD_OVERHEAD`] says.
    TooLarge,
}

impl FieldSection {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.size = 0;
    }

    /// Where the next line's text is written.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Makes a line of the text behind `start`, which has been written: a name up to `middle`, then a value.
    ///
    /// # Errors
    /// When there is no room for it within `limit`; its text is forgotten.
    pub(crate) fn push(&mut self, start: usize, middle: usize, limit: usize) -> Result<(), Fault> {
        let end = self.text.len();
        self.size = self.size.saturating_add(end - start + FIELD_OVERHEAD);
        if self.size > limit {
            self.text.truncate(start);
            return Err(Fault::TooLarge);
        }
        self.lines.push((Span::new(start, middle), Span::new(middle, end)));
        Ok(())
    }

    /// Bytes that all lines had, those for which there was no room among them.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Bytes of memory held for names and values.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<(Span, Span)>()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter().map(|(name, value)| (name.of(&self.text), value.of(&self.text)))
    }
}

/// What is left of an encoded field section.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.0.split_first().ok_or(Fault::Undecodable)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer in the low `prefix` bits of the next byte and what follows (RFC 7541 section 5.1).
    pub(crate) fn integer(&mut self, prefix: u32) -> Result<u64, Fault> {
        let full = (1u64 << prefix) - 1;
        let mut value = u64::from(self.byte()?) & full;
        if value < full {
            return Ok(value);
        }
        // nothing of ours is counted in more than 4 such bytes
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Undecodable)
    }

    /// A string whose length stands in the low `prefix` bits, the bit above saying whether it is Huffman coded (RFC 7541
    /// section 5.2), appended to `out`.
    pub(crate) fn string(&mut self, prefix: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
        let coded = self.peek().ok_or(Fault::Undecodable)? & 1 << prefix != 0;
        let length = usize::try_from(self.integer(prefix)?).map_err(|_| Fault::Undecodable)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(Fault::Undecodable)?;
        self.0 = rest;
        if !coded {
            out.extend_from_slice(string);
        } else if !huffman::decode(string, out) {
            return Err(Fault::Undecodable);
        }
        Ok(())
    }
}

/// Appends an integer in the low `prefix` bits of a byte, whose other bits are `pattern`, and what follows it.
pub(crate) fn put_integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let full = (1usize << prefix) - 1;
    if value < full {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | full as u8);
    let mut left = value - full;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}
