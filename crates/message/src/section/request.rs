//! The rules for a request's fields (RFC 9113 sections 8.2 and 8.3, RFC 9114 sections 4.2 and 4.3).

use super::FieldSection;
use crate::bytes::is_token;

/// A field section that is no message: `MessageError`, which ends the stream (section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a request's pseudo-fields say (section 4.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFields<'a> {
    /// `:method`, a token.
    pub method: &'a [u8],
    /// `:scheme`
    pub scheme: Option<&'a [u8]>,
    /// `:authority`
    pub authority: Option<&'a [u8]>,
    /// `:path`
    pub path: Option<&'a [u8]>,
    /// `:protocol` (RFC 9220)
    pub protocol: Option<&'a [u8]>,
    /// How many lines those are; all other fields follow them.
    pub count: usize,
}

/// Reads a request's pseudo-fields, and checks the fields behind them.
///
/// # Errors
/// When the request is malformed.
pub fn request(section: &FieldSection) -> Result<RequestFields<'_>, Malformed> {
    let mut fields = RequestFields::default();
    let mut method = None;
    for (name, value) in section.iter().take_while(|(name, _)| name.first() == Some(&b':')) {
        let place = match name {
            b":method" => &mut method,
            b":scheme" => &mut fields.scheme,
            b":authority" => &mut fields.authority,
            b":path" => &mut fields.path,
            b":protocol" => &mut fields.protocol,
            _ => return Err(Malformed),
        };
        if place.replace(value).is_some() || !is_value(value) {
            return Err(Malformed);
        }
        fields.count += 1;
    }
    fields.method =
        method.filter(|method| !method.is_empty() && method.iter().all(|b| is_token(*b))).ok_or(Malformed)?;
    let is_tunnel = fields.method == b"CONNECT" && fields.protocol.is_none();
    // a tunnel has neither, everything else has both
    if fields.scheme.is_none() != is_tunnel || fields.path.is_none() != is_tunnel {
        return Err(Malformed);
    }
    if fields.protocol.is_some() && fields.method != b"CONNECT" {
        return Err(Malformed);
    }
    // what it may consist of besides is for whoever reads it as the target that it is (RFC 3986 section 3)
    if fields.path.is_some_and(|path| path.iter().any(u8::is_ascii_whitespace)) {
        return Err(Malformed);
    }
    section.iter().skip(fields.count).try_for_each(|(name, value)| check(name, value))?;
    Ok(fields)
}

/// Checks that a field may be sent in HTTP/3 (sections 4.2 and 10.3). Pseudo-fields may not: of trailers, and behind other
/// fields.
///
/// # Errors
/// When it makes a message malformed.
pub fn check(name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let is_name = !name.is_empty() && name.iter().all(|b| is_token(*b) && !b.is_ascii_uppercase());
    let is_of_connection =
        matches!(name, b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade");
    let is_fit = is_name && !is_of_connection && is_value(value) && (name != b"te" || value == b"trailers");
    if is_fit { Ok(()) } else { Err(Malformed) }
}

/// RFC 9110 section 5.5: no control characters, no white space around.
fn is_value(value: &[u8]) -> bool {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    !value.first().is_some_and(is_blank)
        && !value.last().is_some_and(is_blank)
        && value.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qpack;

    #[test]
    fn requests() {
        const GET: &[(&str, &str)] = &[(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a")];
        let without = |name: &str| GET.iter().filter(|(n, _)| *n != name).copied().collect::<Vec<_>>();
        let with = |more: &[(&'static str, &'static str)]| [GET, more].concat();
        let rows = [
            (with(&[]), true),
            (with(&[("accept", "*/*"), ("te", "trailers")]), true),
            (without(":authority"), true),
            (without(":method"), false),
            (without(":scheme"), false),
            (without(":path"), false),
            (with(&[(":path", "/")]), false),
            ([&without(":path")[..], &[(":path", "/a b")]].concat(), false),
            ([&without(":path")[..], &[(":path", "/a\tb")]].concat(), false),
            (with(&[(":status", "200")]), false),
            (with(&[("accept", "*/*"), (":protocol", "websocket")]), false),
            (with(&[(":protocol", "websocket")]), false),
            (with(&[("Accept", "*/*")]), false),
            (with(&[("", "a")]), false),
            (with(&[("a b", "a")]), false),
            (with(&[("a", "b\r\nc: d")]), false),
            (with(&[("a", " b")]), false),
            (with(&[("a", "b\t")]), false),
            (with(&[("a", "")]), true),
            (with(&[("connection", "close")]), false),
            (with(&[("transfer-encoding", "chunked")]), false),
            (with(&[("te", "gzip")]), false),
            (vec![(":method", "CONNECT"), (":authority", "a:443")], true),
            (vec![(":method", "CONNECT"), (":authority", "a:443"), (":path", "/")], false),
            (vec![(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/")], true),
            (vec![(":method", "G T"), (":scheme", "https"), (":path", "/")], false),
        ];
        for (lines, expected) in rows {
            let mut encoded = Vec::new();
            qpack::begin(&mut encoded);
            for (name, value) in &lines {
                // as written: `put` would mend the case
                if name.bytes().any(|b| b.is_ascii_uppercase()) {
                    encoded.push(0x20 | name.len() as u8);
                    encoded.extend_from_slice(name.as_bytes());
                    encoded.push(value.len() as u8);
                    encoded.extend_from_slice(value.as_bytes());
                } else {
                    qpack::put(&mut encoded, name.as_bytes(), value.as_bytes());
                }
            }
            let mut section = FieldSection::default();
            qpack::decode(&encoded, 10_000, &mut section).unwrap();
            assert_eq!(request(&section).is_ok(), expected, "{lines:?}");
        }
    }
}
