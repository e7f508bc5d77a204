//! Byte classes of RFC 9110 and the scans that the parsers are made of.

const TOKEN: u8 = 1;
const PLAIN_NAME: u8 = 2;
const TARGET: u8 = 4;
const HOST: u8 = 8;

static CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let mut class = 0;
        if b.is_ascii_alphanumeric() || b == b'-' {
            class |= TOKEN | PLAIN_NAME | HOST;
        }
        if matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        {
            class |= TOKEN;
        }
        // RFC 3986 section 3.2.2: reg-name
        if matches!(
            b,
            b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        ) {
            class |= HOST;
        }
        if b > 0x20 && b < 0x7f && b != b'#' {
            class |= TARGET;
        }
        table[i] = class;
        i += 1;
    }
    table
};

#[inline(always)]
fn is(b: u8, class: u8) -> bool {
    CLASS[b as usize] & class != 0
}

/// `tchar` of RFC 9110 section 5.6.2.
#[inline(always)]
pub(crate) fn is_token(b: u8) -> bool {
    is(b, TOKEN)
}

/// A visible character that may stand in a request target unescaped.
#[inline(always)]
pub(crate) fn is_target(b: u8) -> bool {
    is(b, TARGET)
}

/// `uri-host [ ":" port ]` of RFC 9110 section 7.2, not empty. Percent signs are not looked behind.
#[inline]
pub(crate) fn is_authority(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', rest @ ..] => match rest.iter().position(|b| *b == b']').and_then(|i| rest.split_at_checked(i)) {
            Some((literal, [_, port @ ..])) if literal.iter().all(|b| is(*b, HOST) || *b == b':') => (literal, port),
            _ => return false,
        },
        _ => value.split_at(value.iter().position(|b| !is(*b, HOST)).unwrap_or(value.len())),
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !host.is_empty() && port_fits
}

/// `[-A-Za-z0-9]`, the names that `drop_invalid_header_fields` leaves.
#[inline(always)]
pub(crate) fn is_plain_name(b: u8) -> bool {
    is(b, PLAIN_NAME)
}

/// A control character that may not stand in a field value (everything but HTAB).
#[inline(always)]
pub(crate) fn is_control(b: u8) -> bool {
    (b < 0x20 && b != b'\t') || b == 0x7f
}

/// Eight bytes at once. Each test sets the high bit of the bytes that pass it, and is exact: no carry leaves a byte,
/// because all tests are on seven bits.
#[derive(Clone, Copy)]
struct Word(u64);

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

impl Word {
    #[inline(always)]
    fn at(bytes: &[u8], at: usize) -> Option<Word> {
        bytes.get(at..at + 8)?.try_into().ok().map(|eight| Word(u64::from_le_bytes(eight)))
    }

    /// Bytes of `n` and above, of those below 0x80.
    #[inline(always)]
    fn from(self, n: u8) -> u64 {
        (self.0 & !HIGH).wrapping_add(ONES * u64::from(0x80 - n))
    }

    /// Bytes that are `b`, give or take their high bit.
    #[inline(always)]
    fn is(self, b: u8) -> u64 {
        !((self.0 & !HIGH) ^ (ONES * u64::from(b))).wrapping_add(HIGH - ONES)
    }

    /// See [`is_plain_name`].
    #[inline(always)]
    fn plain_name(self) -> u64 {
        let lower = Word(self.0 | (ONES * 0x20));
        let letter = lower.from(b'a') & !lower.from(b'z' + 1);
        let digit = self.from(b'0') & !self.from(b'9' + 1);
        (letter | digit | self.is(b'-')) & !self.0
    }

    /// See [`is_target`].
    #[inline(always)]
    fn target(self) -> u64 {
        self.from(0x21) & !self.from(0x7f) & !self.is(b'#') & !self.0
    }

    /// See [`is_control`]; HTAB is one here.
    #[inline(always)]
    fn control(self) -> u64 {
        (!self.from(0x20) | self.from(0x7f)) & !self.0
    }

    /// The lowest byte among `hits`.
    #[inline(always)]
    fn first(hits: u64) -> Option<usize> {
        let hits = hits & HIGH;
        if hits == 0 { None } else { Some((hits.trailing_zeros() / 8) as usize) }
    }
}

/// Offset of the first byte at or after `from` that is not [`is_plain_name`], or the length.
#[inline(always)]
pub(crate) fn skip_plain_name(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = Word::at(bytes, at) {
        match Word::first(!word.plain_name()) {
            Some(i) => return at + i,
            None => at += 8,
        }
    }
    skip(bytes, at, is_plain_name)
}

/// Offset of the first byte at or after `from` that is not [`is_target`], or the length.
#[inline]
pub(crate) fn skip_target(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = Word::at(bytes, at) {
        match Word::first(!word.target()) {
            Some(i) => return at + i,
            None => at += 8,
        }
    }
    skip(bytes, at, is_target)
}

/// Offset of the first control character other than HTAB at or after `from`, or the length. Field values are most of a
/// head.
#[inline(always)]
pub(crate) fn find_control(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    // sixteen at once as long as there is none: vector instructions are good at "any", and at nothing else
    while let Some(many) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        if many.iter().fold(false, |found, b| found | is_control_arithmetic(*b)) {
            break;
        }
        at += 16;
    }
    while let Some(word) = Word::at(bytes, at) {
        match Word::first(word.control()) {
            Some(i) if bytes.get(at + i) == Some(&b'\t') => at += i + 1,
            Some(i) => return at + i,
            None => at += 8,
        }
    }
    skip(bytes, at, |b| !is_control(b))
}

#[inline(always)]
fn is_control_arithmetic(b: u8) -> bool {
    (b < 0x20) & (b != b'\t') | (b == 0x7f)
}

#[inline(always)]
fn skip(bytes: &[u8], from: usize, passes: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or(&[]);
    rest.iter().position(|b| !passes(*b)).map_or(bytes.len().max(from), |i| from + i)
}

/// Without surrounding SP and HTAB (OWS of RFC 9110 section 5.6.3), as offsets.
#[inline(always)]
pub(crate) fn trim(bytes: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    while start < end && matches!(bytes[start], b' ' | b'\t') {
        start += 1;
    }
    while end > start && matches!(bytes[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    (start, end)
}

/// A number of decimal digits and nothing else, within 64 bits (RFC 9110 section 8.6).
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// Without surrounding SP and HTAB, and nothing else: `trim_ascii` would take a form feed for white space, and make
/// `chunked` of what another reader calls an unknown coding.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    let (start, end) = trim(text, 0, text.len());
    text.get(start..end).unwrap_or(&[])
}

/// The members of a comma-separated list, trimmed.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trimmed)
}

#[cfg(test)]
mod tests;
