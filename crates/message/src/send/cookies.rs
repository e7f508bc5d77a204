//! Cookies on their way to a target: all of them, but one that is not for targets. What is left of a field is as it was.

use memchr::memmem;

use crate::bytes::is_control;

/// Whether the value of a Cookie field may have the cookie in it: if not, it goes on as it is.
pub(super) fn may_have(value: &[u8], name: &[u8]) -> bool {
    memmem::find(value, name).is_some()
}

/// Appends the values as one Cookie field (RFC 9113 section 8.2.3), without the cookie `withheld`, however often it is there; no
/// field where nothing else is. Targets read quotes in different ways: where a pair ends is told by the semicolon alone, as browsers
/// have it, which put none into names and values.
pub(super) fn put<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>, withheld: Option<&[u8]>) {
    let mut start: &[u8] = b"Cookie: ";
    let mut put = |pairs: &[u8]| {
        out.extend_from_slice(std::mem::replace(&mut start, b"; "));
        out.extend(pairs.iter().map(|byte| if is_control(*byte) { b' ' } else { *byte }));
    };
    for value in values {
        match withheld.filter(|name| may_have(value, name)) {
            None => put(value),
            Some(name) => {
                let pairs = value.split(|byte| *byte == b';').map(trim);
                pairs.filter(|pair| !pair.is_empty() && !is(pair, name)).for_each(&mut put);
            }
        }
    }
    if start == b"; " {
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a pair is the cookie of this name.
fn is(pair: &[u8], name: &[u8]) -> bool {
    pair.strip_prefix(name).is_some_and(|rest| trim(rest).first() == Some(&b'='))
}

/// Without what is blank at its ends, once it is sent on.
fn trim(mut text: &[u8]) -> &[u8] {
    let is_blank = |byte: u8| byte.is_ascii_whitespace() || is_control(byte);
    while let Some((_, rest)) = text.split_first().filter(|(first, _)| is_blank(**first)) {
        text = rest;
    }
    while let Some((_, rest)) = text.split_last().filter(|(last, _)| is_blank(**last)) {
        text = rest;
    }
    text
}
