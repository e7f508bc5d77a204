//! Field lines, shared by request and response heads (RFC 9112 section 5).

use crate::bytes::{find_control, is_plain_name, is_token, skip_plain_name, trim};
use crate::desync::imitates;
use crate::head::{Field, Fitness, Known, Span};

/// What stood where a field line was expected.
pub(crate) enum Line {
    /// The empty line; the head ends before this offset.
    End(usize),
    /// A field, added to the others; the next line starts at this offset.
    Field(usize),
    /// A field line that is not by the grammar; its end is not known yet.
    Odd,
    /// More bytes are needed.
    Incomplete,
}

/// Reads one line at `at`. Only lines that are right by RFC 9112 come out as [`Line::Field`]; the rest is for the caller,
/// whose answer depends on who sent them.
#[inline]
pub(crate) fn line(bytes: &[u8], at: usize, fields: &mut Vec<Field>) -> Line {
    let mut i = skip_plain_name(bytes, at);
    let mut plain = true;
    loop {
        match bytes.get(i) {
            Some(b':') => break,
            None => return Line::Incomplete,
            Some(b'\r') if i == at => {
                return match bytes.get(at + 1) {
                    None => Line::Incomplete,
                    Some(b'\n') => Line::End(at + 2),
                    Some(_) => Line::Odd,
                };
            }
            Some(b) if is_token(*b) => {
                plain = false;
                i += 1;
            }
            Some(_) => return Line::Odd,
        }
    }
    if i == at {
        return Line::Odd;
    }
    let end = find_control(bytes, i + 1);
    match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => {}
        (None, _) | (Some(b'\r'), None) => return Line::Incomplete,
        _ => return Line::Odd,
    }
    let (start, stop) = trim(bytes, i + 1, end);
    let name = Span::new(at, i);
    let fitness = if plain { Fitness::Clean } else { Fitness::UnusualName };
    // pushed here, not returned: on its way through a return value it would be written in pieces and read at once, which
    // a processor has to wait for
    fields.push(Field { name, value: Span::new(start, stop), known: known(name.of(bytes)), fitness });
    Line::Field(end + 2)
}

/// What a field is, and whether it may be sent on, when it has not come as a line.
pub(crate) fn judge(name: &[u8], value: &[u8]) -> (Known, Fitness) {
    let known = known(name);
    let is_unfit = name.is_empty() || !name.iter().all(|b| is_token(*b));
    let fitness = if is_unfit || known == Known::Other && imitates(name).is_some() {
        Fitness::Unfit
    } else if find_control(value, 0) < value.len() {
        Fitness::ControlInValue
    } else if name.iter().all(|b| is_plain_name(*b)) {
        Fitness::Clean
    } else {
        Fitness::UnusualName
    };
    (known, fitness)
}

/// Whether a target could read `name` as `other`: many fold `_`, some any sign, to `-`.
pub(crate) fn reads_as(name: &[u8], other: &[u8]) -> bool {
    name.len() == other.len() && name.iter().zip(other).all(|(a, b)| fold(a) == fold(b))
}

fn fold(byte: &u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Fields that tell a target of its client's TLS. What a target could read as one of them is one: many fold `_`, some any
/// sign, to `-`.
fn of_amazon(name: &[u8]) -> Known {
    let spells =
        |word: &[u8]| name.len() >= word.len() && name.iter().zip(word).all(|(byte, like)| fold(byte) == *like);
    if spells(b"x-amzn-mtls-") {
        Known::XAmznMtls
    } else if spells(b"x-amzn-tls-version") && name.len() == 18
        || spells(b"x-amzn-tls-cipher-suite") && name.len() == 23
    {
        Known::XAmznTls
    } else {
        Known::Other
    }
}

/// Which field `name` is, compared without case.
#[inline]
pub fn known(name: &[u8]) -> Known {
    let eq = |word: &[u8], known| if name.eq_ignore_ascii_case(word) { known } else { Known::Other };
    let first = name.first().map_or(0, |b| b | 0x20);
    match (name.len(), first) {
        (2, b't') => eq(b"te", Known::Te),
        (4, b'h') => eq(b"host", Known::Host),
        (4, b'd') => eq(b"date", Known::Date),
        (6, b'c') => eq(b"cookie", Known::Cookie),
        (6, b'e') => eq(b"expect", Known::Expect),
        (6, b's') => eq(b"server", Known::Server),
        (7, b'u') => eq(b"upgrade", Known::Upgrade),
        (7, b't') => eq(b"trailer", Known::Trailer),
        (7, b'r') => eq(b"referer", Known::Referer),
        (10, b'c') => eq(b"connection", Known::Connection),
        (10, b'k') => eq(b"keep-alive", Known::KeepAlive),
        (10, b'u') => eq(b"user-agent", Known::UserAgent),
        (10, b's') => eq(b"set-cookie", Known::SetCookie),
        (14, b'c') => eq(b"content-length", Known::ContentLength),
        (14, b'h') => eq(b"http2-settings", Known::Http2Settings),
        (15, b'x') if name.eq_ignore_ascii_case(b"x-amzn-trace-id") => Known::XAmznTraceId,
        (15, b'x') if name.eq_ignore_ascii_case(b"x-forwarded-for") => Known::XForwardedFor,
        (16, b'x') if name.eq_ignore_ascii_case(b"x-forwarded-port") => Known::XForwardedPort,
        (16, b'p') => eq(b"proxy-connection", Known::ProxyConnection),
        (17, b'x') if name.eq_ignore_ascii_case(b"x-forwarded-proto") => Known::XForwardedProto,
        (17, b't') => eq(b"transfer-encoding", Known::TransferEncoding),
        (18, b'p') => eq(b"proxy-authenticate", Known::ProxyAuthenticate),
        (19, b'p') => eq(b"proxy-authorization", Known::ProxyAuthorization),
        (19, b'x') if name.eq_ignore_ascii_case(b"x-headworks-explain") => Known::XHeadworksExplain,
        (12.., b'x') => of_amazon(name),
        _ => Known::Other,
    }
}
