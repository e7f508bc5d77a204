//! Byte classes of RFC 9110 and the scans that the parsers are made of.

mod lanes;

use self::lanes::{Lanes, Mask};

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
pub fn is_authority(value: &[u8]) -> bool {
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

/// Offset of the first byte at or after `from` that is not [`is_plain_name`], or the length.
#[inline(always)]
pub(crate) fn skip_plain_name(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |lanes| !lanes.plain_name(), |b| !is_plain_name(b))
}

/// Offset of the first byte at or after `from` that is not [`is_target`], or the length.
#[inline]
pub(crate) fn skip_target(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |lanes| !(lanes.within(0x21, 0x7e) & !lanes.is(b'#')), |b| !is_target(b))
}

/// Offset of the first control character other than HTAB at or after `from`, or the length. Field values are most of a
/// head.
#[inline(always)]
pub(crate) fn find_control(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, |lanes| lanes.within(0, 0x1f) & !lanes.is(b'\t') | lanes.is(0x7f), is_control)
}

/// Offset of the first byte that cannot stand in a quoted text as it is: a quote, a backslash, or what is not printable
/// ASCII; or the length.
#[inline]
pub fn find_unquotable(text: &[u8]) -> usize {
    let printable = |b: u8| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\';
    find(text, 0, |l| !l.within(0x20, 0x7e) | l.is(b'"') | l.is(b'\\'), |b| !printable(b))
}

/// Offset of the first byte at or after `from` that is looked for, or the length; `lanes` and `one` say the same of many
/// bytes and of one.
#[inline(always)]
fn find(bytes: &[u8], from: usize, lanes: impl Fn(Lanes) -> Mask, one: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    while let Some(many) = Lanes::at(bytes, at) {
        match lanes(many).first() {
            Some(i) => return at + i,
            None => at += Lanes::WIDTH,
        }
    }
    // the rest once more with what is before it, if that makes enough
    if let Some(last) = bytes.len().checked_sub(Lanes::WIDTH)
        && let Some(many) = Lanes::at(bytes, last)
        && at >= last
    {
        return lanes(many).first_from(at - last).map_or(bytes.len().max(from), |i| last + i);
    }
    let rest = bytes.get(at..).unwrap_or(&[]);
    rest.iter().position(|b| one(*b)).map_or(bytes.len().max(from), |i| at + i)
}

impl Lanes {
    /// See [`is_plain_name`].
    #[inline(always)]
    fn plain_name(self) -> Mask {
        self.lower().within(b'a', b'z') | self.within(b'0', b'9') | self.is(b'-')
    }
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
