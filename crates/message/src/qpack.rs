//! Field sections of HTTP/3 (QPACK, RFC 9204), without a dynamic table: what one connection asks leaves no state behind
//! that another could be timed against (section 7.1), a lost packet holds up no other stream, and a client costs no memory
//! between requests. We announce a capacity of 0, so that nobody may send what would need one.

mod huffman;
mod table;

use self::table::{Found, STATIC};
use crate::head::Span;

/// What RFC 9114 section 4.2.2 counts for each field besides its bytes.
pub const FIELD_OVERHEAD: usize = 32;

/// Field lines as they were sent. Reused from one to the next.
#[derive(Clone, Debug, Default)]
pub struct FieldSection {
    /// Names and values, one behind the other.
    text: Vec<u8>,
    lines: Vec<(Span, Span)>,
}

/// Why a field section cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not by the grammar, or refers to a dynamic table: `QPACK_DECOMPRESSION_FAILED`, which ends the connection.
    Undecodable,
    /// It is longer than the limit, counted as RFC 9114 section 4.2.2 counts.
    TooLarge,
}

impl FieldSection {
    /// Decodes a whole encoded field section. What was here before is gone.
    ///
    /// # Errors
    /// When it cannot be decoded, or has more than `limit` bytes.
    pub fn decode(&mut self, encoded: &[u8], limit: usize) -> Result<(), Fault> {
        self.text.clear();
        self.lines.clear();
        let mut rest = Reader(encoded);
        // section 4.5.1: with no dynamic table, nothing is required of it
        if rest.integer(8)? != 0 || rest.integer(7)? != 0 {
            return Err(Fault::Undecodable);
        }
        let mut size = 0;
        while let Some(first) = rest.peek() {
            let start = self.text.len();
            let name = match first {
                // indexed field line, static (section 4.5.2)
                0xc0.. => {
                    let (name, value) = entry(rest.integer(6)?)?;
                    self.text.extend_from_slice(name.as_bytes());
                    let end = self.text.len();
                    self.text.extend_from_slice(value.as_bytes());
                    end
                }
                // literal with a name from the static table (section 4.5.4), whose sensitivity is kept by never indexing
                0x40..0x80 if first & 0x10 != 0 => {
                    let (name, _) = entry(rest.integer(4)?)?;
                    self.text.extend_from_slice(name.as_bytes());
                    let end = self.text.len();
                    rest.string(7, &mut self.text)?;
                    end
                }
                // literal with a literal name (section 4.5.6)
                0x20..0x40 => {
                    rest.string(3, &mut self.text)?;
                    let end = self.text.len();
                    rest.string(7, &mut self.text)?;
                    end
                }
                // all others refer to the dynamic table
                _ => return Err(Fault::Undecodable),
            };
            let end = self.text.len();
            size += end - start + FIELD_OVERHEAD;
            if size > limit {
                return Err(Fault::TooLarge);
            }
            self.lines.push((Span::new(start, name), Span::new(name, end)));
        }
        Ok(())
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

fn entry(index: u64) -> Result<(&'static str, &'static str), Fault> {
    usize::try_from(index).ok().and_then(|index| STATIC.get(index)).copied().ok_or(Fault::Undecodable)
}

/// What is left of an encoded field section.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.0.split_first().ok_or(Fault::Undecodable)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer in the low `prefix` bits of the next byte and what follows (RFC 7541 section 5.1).
    fn integer(&mut self, prefix: u32) -> Result<u64, Fault> {
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
    fn string(&mut self, prefix: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
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

/// Begins an encoded field section: its prefix, which asks for no dynamic table.
pub fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
}

/// Appends a field line; the name is sent in lower case, as RFC 9114 section 4.2 has it. Literals go as they are: Huffman
/// coding would save a fifth of some hundred bytes, for more cycles than everything else here.
pub fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match table::find(name, value) {
        Found::Field(index) => return put_integer(out, 0xc0, 6, usize::from(index)),
        Found::Name(index) => put_integer(out, 0x50, 4, usize::from(index)),
        Found::Nothing => {
            put_integer(out, 0x20, 3, name.len());
            out.extend(name.iter().map(u8::to_ascii_lowercase));
        }
    }
    put_integer(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

fn put_integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8], limit: usize) -> Result<Vec<(String, String)>, Fault> {
        let mut section = FieldSection::default();
        section.decode(encoded, limit)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(section.iter().map(|(name, value)| (text(name), text(value))).collect())
    }

    #[test]
    fn sections() {
        let long = "v".repeat(300);
        let lines = [
            (":status", "200"),
            (":status", "418"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("content-type", "text/html"),
            ("X-Frame-Options", "deny"),
            ("x-unknown", ""),
            ("x-a-name-that-is-longer-than-seven", &long),
        ];
        let mut encoded = Vec::new();
        begin(&mut encoded);
        lines.iter().for_each(|(name, value)| put(&mut encoded, name.as_bytes(), value.as_bytes()));
        let expected: Vec<_> = lines.iter().map(|(n, v)| (n.to_lowercase(), (*v).to_owned())).collect();
        assert_eq!(decoded(&encoded, 10_000), Ok(expected));
        let size: usize = lines.iter().map(|(n, v)| n.len() + v.len() + 32).sum();
        assert!(decoded(&encoded, size).is_ok());
        assert_eq!(decoded(&encoded, size - 1), Err(Fault::TooLarge));
        for cut in 1..encoded.len() {
            // cut between lines is a shorter section, anywhere else it is none
            let _ = decoded(&encoded[..cut], 10_000);
        }
    }

    #[test]
    fn sections_of_others() {
        type Lines = Result<&'static [(&'static str, &'static str)], Fault>;
        let rows: [(&[u8], Lines); 16] = [
            // RFC 9204 appendix B.1
            (b"\x00\x00\x51\x0b/index.html", Ok(&[(":path", "/index.html")])),
            (&[0, 0, 0xd1, 0xd7], Ok(&[(":method", "GET"), (":scheme", "https")])),
            // Huffman coded, never indexed
            (
                &[0, 0, 0x70, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff],
                Ok(&[(":authority", "www.example.com")]),
            ),
            (b"\x00\x00\x23abc\x03def", Ok(&[("abc", "def")])),
            (&[0, 0], Ok(&[])),
            (&[], Err(Fault::Undecodable)),
            (&[0], Err(Fault::Undecodable)),
            // asks for the dynamic table
            (&[1, 0], Err(Fault::Undecodable)),
            (&[0, 1], Err(Fault::Undecodable)),
            (&[0, 0, 0x80], Err(Fault::Undecodable)),
            (&[0, 0, 0x40, 0], Err(Fault::Undecodable)),
            (&[0, 0, 0x10], Err(Fault::Undecodable)),
            (&[0, 0, 0x00, 0], Err(Fault::Undecodable)),
            // no such entry: 99
            (&[0, 0, 0xff, 36], Err(Fault::Undecodable)),
            // an integer without end
            (&[0, 0, 0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0], Err(Fault::Undecodable)),
            // a string that is not there
            (b"\x00\x00\x23ab", Err(Fault::Undecodable)),
        ];
        for (encoded, expected) in rows {
            let expected =
                expected.map(|lines| lines.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>());
            assert_eq!(decoded(encoded, 1000), expected, "{encoded:x?}");
        }
    }
}
