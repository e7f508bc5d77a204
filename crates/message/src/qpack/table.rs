//! The static table of QPACK (RFC 9204 appendix A).

/// By index: a field's name and value.
pub(super) static STATIC: [(&str, &str); 99] = [
    (":authority", ""),
    (":path", "/"),
    ("age", "0"),
    ("content-disposition", ""),
    ("content-length", "0"),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("referer", ""),
    ("set-cookie", ""),
    (":method", "CONNECT"),
    (":method", "DELETE"),
    (":method", "GET"),
    (":method", "HEAD"),
    (":method", "OPTIONS"),
    (":method", "POST"),
    (":method", "PUT"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "103"),
    (":status", "200"),
    (":status", "304"),
    (":status", "404"),
    (":status", "503"),
    ("accept", "*/*"),
    ("accept", "application/dns-message"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"),
    ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"),
    ("access-control-allow-origin", "*"),
    ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"),
    ("cache-control", "max-age=604800"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "public, max-age=31536000"),
    ("content-encoding", "br"),
    ("content-encoding", "gzip"),
    ("content-type", "application/dns-message"),
    ("content-type", "application/javascript"),
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"),
    ("content-type", "image/jpeg"),
    ("content-type", "image/png"),
    ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"),
    ("range", "bytes=0-"),
    ("strict-transport-security", "max-age=31536000"),
    ("strict-transport-security", "max-age=31536000; includesubdomains"),
    ("strict-transport-security", "max-age=31536000; includesubdomains; preload"),
    ("vary", "accept-encoding"),
    ("vary", "origin"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "1; mode=block"),
    (":status", "100"),
    (":status", "204"),
    (":status", "206"),
    (":status", "302"),
    (":status", "400"),
    (":status", "403"),
    (":status", "421"),
    (":status", "425"),
    (":status", "500"),
    ("accept-language", ""),
    ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"),
    ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"),
    ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"),
    ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"),
    ("access-control-request-method", "get"),
    ("access-control-request-method", "post"),
    ("alt-svc", "clear"),
    ("authorization", ""),
    ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
    ("early-data", "1"),
    ("expect-ct", ""),
    ("forwarded", ""),
    ("if-range", ""),
    ("origin", ""),
    ("purpose", "prefetch"),
    ("server", ""),
    ("timing-allow-origin", "*"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", ""),
    ("x-forwarded-for", ""),
    ("x-frame-options", "deny"),
    ("x-frame-options", "sameorigin"),
];

/// Buckets of [`PLACES`]; a prime, so that lengths and letters spread.
const BUCKETS: usize = 127;
/// No entry.
const NONE: u8 = u8::MAX;

/// The first entry of a name, by its hash; entries of one name are not all neighbours, so each knows the next.
static PLACES: ([u8; BUCKETS], [u8; STATIC.len()]) = places();

const fn bucket(name: &[u8]) -> usize {
    let (first, last) = match name {
        [first, .., last] => (*first | 0x20, *last | 0x20),
        [only] => (*only | 0x20, 0),
        [] => (0, 0),
    };
    let middle = if name.len() > 8 { name[name.len() / 2] | 0x20 } else { 0 };
    (name.len() * 31 + first as usize * 7 + last as usize * 3 + middle as usize) % BUCKETS
}

const fn places() -> ([u8; BUCKETS], [u8; STATIC.len()]) {
    let (mut first, mut next) = ([NONE; BUCKETS], [NONE; STATIC.len()]);
    let mut index = STATIC.len();
    while index > 0 {
        index -= 1;
        let at = bucket(STATIC[index].0.as_bytes());
        next[index] = first[at];
        first[at] = index as u8;
    }
    (first, next)
}

/// What the table has of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Name and value.
    Field(u8),
    /// The name.
    Name(u8),
    Nothing,
}

/// Looks a field up; its name may be written in any case.
pub(super) fn find(name: &[u8], value: &[u8]) -> Found {
    let (first, next) = &PLACES;
    let mut found = Found::Nothing;
    let mut index = first[bucket(name)];
    while index != NONE {
        let (known, with) = STATIC[usize::from(index)];
        if name.eq_ignore_ascii_case(known.as_bytes()) {
            if value == with.as_bytes() {
                return Found::Field(index);
            }
            if found == Found::Nothing {
                found = Found::Name(index);
            }
        }
        index = next[usize::from(index)];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_found() {
        for (index, (name, value)) in STATIC.iter().enumerate() {
            let found = find(name.to_uppercase().as_bytes(), value.as_bytes());
            assert_eq!(found, Found::Field(index as u8), "{name}: {value}");
            let first = STATIC.iter().position(|(other, _)| other == name).unwrap();
            assert_eq!(find(name.as_bytes(), b"something else"), Found::Name(first as u8), "{name}");
        }
        for name in [&b""[..], b"x", b"content-lengti", b":statuss"] {
            assert_eq!(find(name, b""), Found::Nothing);
        }
    }
}
