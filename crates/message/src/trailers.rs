//! What may stand behind a body: which trailer fields are sent on (RFC 9110 section 6.5).
//!
//! A reader that merges trailers into the header section, as some do, takes a trailer field for something its sender said
//! before the content. So nothing goes on that frames, routes, authenticates, controls or describes a message, and nothing
//! that this program vouches for in a header section. Deliberately absent: a list of fields that may pass; RFC 9110 leaves
//! that to each field's definition, and there will be new ones.

use crate::desync::imitates;

/// What becomes of a trailer field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent on as it is.
    Pass,
    /// It is left out, the rest of the message goes on.
    Drop,
    /// No honest sender says where a message ends, or whom it is for, behind its content: the message is refused.
    Refuse,
}

/// Field names, in lower case, that mean something in a header section only: RFC 9110 section 6.5.1 by kind, Go's and
/// hyper's lists for the members.
const HEADER_ONLY: &[&[u8]] = &[
    // of one connection
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
    // who asks, and what is remembered of them
    b"authorization",
    b"cookie",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"set-cookie",
    b"www-authenticate",
    // request modifiers
    b"cache-control",
    b"expect",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"max-forwards",
    b"pragma",
    b"range",
    // response control
    b"age",
    b"alt-svc",
    b"date",
    b"expires",
    b"location",
    b"retry-after",
    b"strict-transport-security",
    b"vary",
    b"warning",
    // what the content is
    b"content-encoding",
    b"content-range",
    b"content-type",
    // what a proxy says of the request
    b"forwarded",
    b"via",
    b"x-real-ip",
];

/// Families that proxies, this one among them, speak for.
const VOUCHED_FOR: &[&[u8]] = &[b"x-forwarded-", b"x-amzn-", b"access-control-"];

/// What becomes of the trailer field `name`, which is a token.
pub fn fate(name: &[u8]) -> Fate {
    let starts = |prefix: &&[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if name.eq_ignore_ascii_case(b"host") || imitates(name).is_some() {
        Fate::Refuse
    } else if HEADER_ONLY.iter().any(|known| name.eq_ignore_ascii_case(known)) || VOUCHED_FOR.iter().any(starts) {
        Fate::Drop
    } else {
        Fate::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates() {
        let rows: [(&str, Fate); 19] = [
            ("X-Checksum", Fate::Pass),
            ("grpc-status", Fate::Pass),
            ("Digest", Fate::Pass),
            ("ETag", Fate::Pass),
            ("Server-Timing", Fate::Pass),
            ("x_a", Fate::Pass),
            ("Content-Length", Fate::Refuse),
            ("CONTENT_LENGTH", Fate::Refuse),
            ("transfer-encoding", Fate::Refuse),
            ("TransferEncoding", Fate::Refuse),
            ("Host", Fate::Refuse),
            ("Connection", Fate::Drop),
            ("TE", Fate::Drop),
            ("authorization", Fate::Drop),
            ("Set-Cookie", Fate::Drop),
            ("Content-Type", Fate::Drop),
            ("X-Forwarded-For", Fate::Drop),
            ("X-Amzn-Trace-Id", Fate::Drop),
            ("x-amzn-", Fate::Drop),
        ];
        for (name, expected) in rows {
            assert_eq!(fate(name.as_bytes()), expected, "{name}");
        }
    }
}
