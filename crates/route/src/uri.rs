//! Percent-encoding of what may not stand in a URI (RFC 3986 section 2.1).
//!
//! Text that is encoded already stays as it is, so that a redirect does not encode twice. Nothing is decoded.

use headworks_message::send::put_percent;

/// A part of a URI, each with its own alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `reg-name` (section 3.2.2).
    Host,
    /// An IP literal in brackets.
    Literal,
    /// `path` (section 3.3).
    Path,
    /// `query` (section 3.4).
    Query,
}

impl Part {
    /// Whether `byte` may stand in this part as it is.
    fn allows(self, byte: u8) -> bool {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
            b':' => self != Part::Host,
            b'[' | b']' => self == Part::Literal,
            b'@' | b'/' => matches!(self, Part::Path | Part::Query),
            b'?' => self == Part::Query,
            _ => false,
        }
    }
}

/// Appends `text`, with what `part` does not allow percent-encoded.
pub(crate) fn encode(part: Part, text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let encoded = matches!((byte, after), (b'%', [a, b, ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
        if encoded || part.allows(*byte) {
            out.push(*byte);
        } else {
            put_percent(out, *byte);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(part: Part, text: &[u8], expected: &str) {
        let mut out = Vec::new();
        encode(part, text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn each_part_has_its_alphabet() {
        check(Part::Path, b"/a b\r\n?#\"<>\\^`{|}\x7f", "/a%20b%0D%0A%3F%23%22%3C%3E%5C%5E%60%7B%7C%7D%7F");
        check(Part::Path, "/é".as_bytes(), "/%C3%A9");
        check(Part::Query, b"a=/?:@&b=[1]#x", "a=/?:@&b=%5B1%5D%23x");
        check(Part::Host, b"evil.com/@x:1", "evil.com%2F%40x%3A1");
        check(Part::Literal, b"[2001:db8::1]", "[2001:db8::1]");
    }

    #[test]
    fn what_is_encoded_is_not_encoded_again() {
        check(Part::Path, b"/a%20b%2f", "/a%20b%2f");
        check(Part::Path, b"/100%", "/100%25");
        check(Part::Path, b"/%zz%4", "/%25zz%254");
    }
}
