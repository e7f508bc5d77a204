//! Header compression of HTTP/2 (HPACK, RFC 7541).
//!
//! What others send may use the dynamic table, of the size that everybody has without asking. What we send does not: an
//! encoder's table is state for each connection, and whoever can put a field of its own beside a secret one can guess at the
//! secret by its length (section 7.1).

mod dynamic;
pub(crate) mod table;

use self::dynamic::Dynamic;
use self::table::{STATIC, find};
use crate::section::lookup::Found;
use crate::section::{Fault, FieldSection, Reader, put_integer};

/// Times a section may be as long as the limit before no more of it is decoded.
const PATIENCE: usize = 4;

/// Decodes the sections of one connection, in the order in which they came.
#[derive(Debug, Default)]
pub struct Decoder {
    dynamic: Dynamic,
}

impl Decoder {
    /// Decodes a whole field block. What was in `section` before is gone.
    ///
    /// # Errors
    /// When it cannot be decoded (`COMPRESSION_ERROR`), or has more than `limit` bytes; the latter leaves a decoder that can
    /// go on. A block many times that long is not decoded to its end and counts as one that cannot be.
    pub fn decode(&mut self, block: &[u8], limit: usize, section: &mut FieldSection) -> Result<(), Fault> {
        section.clear();
        let mut rest = Reader(block);
        let mut fits = Ok(());
        let mut is_first = true;
        while let Some(first) = rest.peek() {
            // dynamic table size update (section 6.3), in front of all fields (section 4.2)
            if first & 0xe0 == 0x20 {
                if !is_first || !self.dynamic.resize(rest.integer(5)?) {
                    return Err(Fault::Undecodable);
                }
                continue;
            }
            is_first = false;
            let start = section.text().len();
            let (middle, is_kept) = match first {
                // indexed (section 6.1)
                0x80.. => (self.field(rest.integer(7)?, section.text())?, false),
                // literal with incremental indexing (section 6.2.1)
                0x40.. => (self.literal(&mut rest, 6, section.text())?, true),
                // literal without (section 6.2.2), or that must never be (section 6.2.3)
                _ => (self.literal(&mut rest, 4, section.text())?, false),
            };
            if is_kept {
                let (name, value) = section.text().get(start..).unwrap_or(&[]).split_at(middle - start);
                self.dynamic.insert(name, value);
            }
            fits = fits.and(section.push(start, middle, limit));
            if section.size() > limit.saturating_mul(PATIENCE) {
                return Err(Fault::Undecodable);
            }
        }
        fits
    }

    /// Writes an indexed field: where its value begins.
    fn field(&self, index: u64, out: &mut Vec<u8>) -> Result<usize, Fault> {
        let (name, value) = self.entry(index)?;
        out.extend_from_slice(name);
        let middle = out.len();
        out.extend_from_slice(value);
        Ok(middle)
    }

    /// Writes a literal field, the index of whose name stands in the low `prefix` bits: where its value begins.
    fn literal(&self, rest: &mut Reader<'_>, prefix: u32, out: &mut Vec<u8>) -> Result<usize, Fault> {
        match rest.integer(prefix)? {
            0 => rest.string(7, out)?,
            index => out.extend_from_slice(self.entry(index)?.0),
        }
        let middle = out.len();
        rest.string(7, out)?;
        Ok(middle)
    }

    /// The entry at an index of both tables (section 2.3.3).
    fn entry(&self, index: u64) -> Result<(&[u8], &[u8]), Fault> {
        let index = usize::try_from(index).ok().and_then(|index| index.checked_sub(1)).ok_or(Fault::Undecodable)?;
        match STATIC.get(index) {
            Some((name, value)) => Ok((name.as_bytes(), value.as_bytes())),
            None => self.dynamic.get(index - STATIC.len()).ok_or(Fault::Undecodable),
        }
    }
}

/// Appends what the first block on a connection begins with: that no dynamic table is used (section 4.2).
pub fn begin(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// Appends a field; the name is sent in lower case (RFC 9113 section 8.2). Literals go as they are: Huffman coding would save
/// a fifth of some hundred bytes, for more cycles than everything else here.
pub fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match find(name, value) {
        Found::Field(index) => return put_integer(out, 0x80, 7, usize::from(index) + 1),
        Found::Name(index) => put_integer(out, 0x00, 4, usize::from(index) + 1),
        Found::Nothing => {
            out.push(0x00);
            put_integer(out, 0, 7, name.len());
            out.extend(name.iter().map(u8::to_ascii_lowercase));
        }
    }
    put_integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
