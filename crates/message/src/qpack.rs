//! Field sections of HTTP/3 (QPACK, RFC 9204), without a dynamic table: what one connection asks leaves no state behind
//! that another could be timed against (section 7.1), a lost packet holds up no other stream, and a client costs no memory
//! between requests. We announce a capacity of 0, so that nobody may send what would need one.

pub(crate) mod table;

use self::table::{STATIC, find};
use crate::section::lookup::Found;
use crate::section::{Fault, FieldSection, Reader, put_integer};

/// Decodes a whole encoded field section. What was in `section` before is gone.
///
/// # Errors
/// When it cannot be decoded (`QPACK_DECOMPRESSION_FAILED`), or has more than `limit` bytes.
pub fn decode(encoded: &[u8], limit: usize, section: &mut FieldSection) -> Result<(), Fault> {
    section.clear();
    let mut rest = Reader(encoded);
    // section 4.5.1: with no dynamic table, nothing is required of it
    if rest.integer(8)? != 0 || rest.integer(7)? != 0 {
        return Err(Fault::Undecodable);
    }
    while let Some(first) = rest.peek() {
        let text = section.text();
        let start = text.len();
        let middle = match first {
            // indexed field line, static (section 4.5.2)
            0xc0.. => {
                let (name, value) = entry(rest.integer(6)?)?;
                text.extend_from_slice(name.as_bytes());
                let middle = text.len();
                text.extend_from_slice(value.as_bytes());
                middle
            }
            // literal with a name from the static table (section 4.5.4), whose sensitivity is kept by never indexing
            0x40..0x80 if first & 0x10 != 0 => {
                let (name, _) = entry(rest.integer(4)?)?;
                text.extend_from_slice(name.as_bytes());
                let middle = text.len();
                rest.string(7, text)?;
                middle
            }
            // literal with a literal name (section 4.5.6)
            0x20..0x40 => {
                rest.string(3, text)?;
                let middle = text.len();
                rest.string(7, text)?;
                middle
            }
            // all others refer to the dynamic table
            _ => return Err(Fault::Undecodable),
        };
        section.push(start, middle, limit)?;
    }
    Ok(())
}

fn entry(index: u64) -> Result<(&'static str, &'static str), Fault> {
    usize::try_from(index).ok().and_then(|index| STATIC.get(index)).copied().ok_or(Fault::Undecodable)
}

/// Begins an encoded field section: its prefix, which asks for no dynamic table.
pub fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
}

/// Appends a field line; the name is sent in lower case, as RFC 9114 section 4.2 has it. Literals go as they are: Huffman
/// coding would save a fifth of some hundred bytes, for more cycles than everything else here.
pub fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    match find(name, value) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8], limit: usize) -> Result<Vec<(String, String)>, Fault> {
        let mut section = FieldSection::default();
        decode(encoded, limit, &mut section)?;
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
