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

/// Offset of the first control character other than HTAB at or after `from`, or the length. Eight bytes at a time: field
/// values are most of a head.
#[inline]
pub(crate) fn find_control(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = from;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|c| <[u8; 8]>::try_from(c).ok()) {
        let word = u64::from_le_bytes(chunk);
        // a byte below 0x20 borrows; bytes with the high bit (obs-text) are masked out; 0x7f is found by its complement
        let below = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let delete = (word ^ (ONES * 0x7f)).wrapping_sub(ONES) & !(word ^ (ONES * 0x7f)) & HIGH;
        let hits = below | delete;
        if hits != 0 {
            let hit = at + (hits.trailing_zeros() / 8) as usize;
            // the lowest hit is never false: a borrow only reaches bytes above one that is below 0x20 itself
            if is_control(bytes[hit]) {
                return hit;
            }
            // HTAB
            at = hit + 1;
            continue;
        }
        at += 8;
    }
    while at < bytes.len() && !is_control(bytes[at]) {
        at += 1;
    }
    at.min(bytes.len())
}

/// Without surrounding SP and HTAB (OWS of RFC 9110 section 5.6.3), as offsets.
#[inline]
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
