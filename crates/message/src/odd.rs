//! Request lines and field lines that are not by RFC 9112's grammar: each kind of leniency, and where it ends.
//!
//! What comes out is marked, so that the target is sent something clean or nothing at all.

use crate::bytes::{is_control, is_plain_name, is_target, is_token, trim};
use crate::desync::{Reason, Tier, Verdict, imitates};
use crate::fields::known;
use crate::head::{Field, Fitness, RequestHead, Span, Version};
use crate::request::{REQUEST_LINE_LIMIT, Refusal};

/// The end of the line at `at`: offset of its CR. None while it is incomplete.
fn line_end(bytes: &[u8], at: usize, reason: Reason) -> Result<Option<usize>, Refusal> {
    let line = bytes.get(at..).unwrap_or(&[]);
    let end = memchr::memchr(b'\n', line);
    let text = &line[..end.unwrap_or(line.len())];
    // NUL anywhere, CR anywhere but before LF, LF without CR: readers split such lines in different places
    let inner = match text {
        [inner @ .., b'\r'] => inner,
        _ if end.is_some() => return Err(Refusal::bad(reason)),
        _ => text,
    };
    if memchr::memchr2(b'\r', 0, inner).is_some() {
        return Err(Refusal::bad(reason));
    }
    Ok(end.map(|lf| at + lf - 1))
}

/// A request line with something unusual in it.
pub(crate) fn request_line(
    bytes: &[u8],
    at: usize,
    head: &mut RequestHead,
    verdict: &mut Verdict,
) -> Result<Option<usize>, Refusal> {
    let method = head.method.len as usize;
    match bytes.get(at + method) {
        Some(b' ') if method > 0 => {}
        // "\r" may yet become an empty line
        None | Some(b'\r') if bytes.len() - at <= REQUEST_LINE_LIMIT && bytes.len() <= at + method + 1 => {
            return Ok(None);
        }
        _ => return Err(Refusal::bad(Reason::BadMethod)),
    }
    let Some(cr) = line_end(bytes, at, Reason::BadUri)? else {
        return if bytes.len() - at > REQUEST_LINE_LIMIT { Err(too_long(bytes, at, method)) } else { Ok(None) };
    };
    if cr - at > REQUEST_LINE_LIMIT {
        return Err(too_long(bytes, at, method));
    }
    let start = at + method + 1;
    let (_, end) = trim(bytes, start, cr);
    let end = end.max(start);
    if end < cr {
        verdict.raise(Tier::Acceptable, Reason::NonCompliantVersion);
    }
    let rest = bytes.get(start..end).unwrap_or(&[]);
    let space = rest.iter().rposition(|b| *b == b' ');
    let last = space.map_or(0, |s| s + 1);
    let (target, version) = match rest.get(last..) {
        Some(word @ [b'H', b'T', b'T', b'P', b'/', ..]) => (&rest[..last.saturating_sub(1)], Some(word)),
        _ => (rest, None),
    };
    head.version = match version {
        Some(b"HTTP/1.1") => Version::Http11,
        Some(b"HTTP/1.0") => Version::Http10,
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) => {
            verdict.raise(Tier::Acceptable, Reason::NonCompliantVersion);
            Version::Http11
        }
        // "/ http/1.1", "/ HTTP /1.1": is it a version, or part of the target?
        None if target.contains(&b' ') => return Err(Refusal::bad(Reason::BadVersion)),
        None | Some(b"HTTP/0.9") => {
            verdict.raise(Tier::Acceptable, Reason::NonCompliantVersion);
            Version::Http10
        }
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal { status: 505, reason: Reason::BadVersion });
        }
        Some(_) => return Err(Refusal::bad(Reason::BadVersion)),
    };
    if memchr::memmem::find(target, b" HTTP/").is_some() {
        return Err(Refusal::bad(Reason::BadVersion));
    }
    if target.is_empty() {
        if version.is_none() {
            return Err(Refusal::bad(Reason::MissingUri));
        }
        verdict.raise(Tier::Ambiguous, Reason::MissingUri);
    }
    if target.iter().any(|b| is_control(*b) || *b == b'\t') {
        verdict.raise(Tier::Ambiguous, Reason::AmbiguousUri);
    } else if target.contains(&b' ') {
        verdict.raise(Tier::Acceptable, Reason::SpaceInUri);
    }
    let end = start + target.len();
    head.set_target(bytes, start, end);
    head.target_unclean = target.is_empty() || !target.iter().all(|b| is_target(*b));
    Ok(Some(cr + 2))
}

fn too_long(bytes: &[u8], at: usize, method: usize) -> Refusal {
    // RFC 9112 section 3: a target too long to parse is 414; a method too long is just a bad request
    let status = if method < 64 && bytes.len() > at + method { 414 } else { 400 };
    Refusal { status, reason: Reason::BadUri }
}

/// A field line with something unusual in it, and the offset behind it. None while it is incomplete.
pub(crate) fn field(bytes: &[u8], at: usize, verdict: &mut Verdict) -> Result<Option<(Field, usize)>, Refusal> {
    let Some(cr) = line_end(bytes, at, Reason::BadHeader)? else {
        return Ok(None);
    };
    let line = bytes.get(at..cr).unwrap_or(&[]);
    let folded = matches!(line.first(), Some(b' ' | b'\t'));
    let Some(colon) = line.iter().position(|b| *b == b':') else {
        return Err(Refusal::bad(Reason::BadHeader));
    };
    let (name_start, name_end) = trim(bytes, at, at + colon);
    let name = bytes.get(name_start..name_end).unwrap_or(&[]);
    let (value_start, value_end) = trim(bytes, at + colon + 1, cr);
    let value = Span::new(value_start, value_end);
    let control = value.of(bytes).iter().any(|b| is_control(*b));
    let unfit = |name| Field { name, value, known: crate::head::Known::Other, fitness: Fitness::Unfit };
    let next = cr + 2;
    if name.is_empty() {
        verdict.raise(Tier::Ambiguous, Reason::EmptyHeader);
        return Ok(Some((unfit(Span::new(at, at + colon)), next)));
    }
    if folded {
        // a folded line is refused (RFC 9112 section 5.2), unless it only imitates a framing field: that one is
        // dropped as the tiers ask, and the connections are closed behind it
        return match imitates(name) {
            Some(_) => Ok(Some((unfit(Span::new(at, at + colon)), next))),
            None => Err(Refusal::bad(Reason::BadHeader)),
        };
    }
    let span = Span::new(at, at + colon);
    if !span.of(bytes).iter().all(|b| is_token(*b)) {
        verdict.raise(Tier::Acceptable, Reason::NonCompliantHeader);
        return Ok(Some((unfit(span), next)));
    }
    // the name is fine, so it is the value that has control characters
    debug_assert!(control);
    verdict.raise(Tier::Acceptable, Reason::NonCompliantHeader);
    let plain = name.iter().all(|b| is_plain_name(*b));
    let fitness = if plain { Fitness::ControlInValue } else { Fitness::Unfit };
    Ok(Some((Field { name: span, value, known: known(name), fitness }, next)))
}
