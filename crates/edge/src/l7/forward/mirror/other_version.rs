//! A whole request as a target of the other version is to get it. Its head says the same to both; what differs is how a body of
//! unknown length ends, and that trailers can be answered.

use std::borrow::Cow;

use headworks_message::number::hex;
use headworks_message::{Body, Framing, Known, Parsed, RequestHead, request};
use headworks_model::target_group::HttpVersion;

/// The request `bytes`, made for a target of the other version, for one of this. Nothing when it is none, or not whole.
pub(super) fn reword(bytes: &[u8], version: HttpVersion) -> Option<Cow<'_, [u8]>> {
    let mut head = RequestHead::default();
    let Ok(Parsed::Complete) = request::parse(bytes, &mut head) else { return None };
    let (text, content) = bytes.split_at_checked(head.len)?;
    match (version, head.framing) {
        (HttpVersion::Http2, Framing::Chunked) => {
            let (mut body, mut reworded) = (Body::new(Framing::Chunked), text.to_vec());
            let taken = body.take_decoded(content, &mut reworded).ok()?;
            (body.is_done() && taken == content.len()).then_some(Cow::Owned(reworded))
        }
        (HttpVersion::Http2, _) => Some(Cow::Borrowed(bytes)),
        (HttpVersion::Http1, framing) => {
            let mut reworded = without_te(text, &head);
            if framing == Framing::Chunked && !content.is_empty() {
                reworded.extend_from_slice(&hex::<8>(content.len() as u64));
                reworded.extend_from_slice(b"\r\n");
                reworded.extend_from_slice(content);
                reworded.extend_from_slice(b"\r\n");
            } else {
                reworded.extend_from_slice(content);
            }
            if framing == Framing::Chunked {
                reworded.extend_from_slice(b"0\r\n\r\n");
            }
            Some(Cow::Owned(reworded))
        }
    }
}

/// The head without TE, which is of one connection (RFC 9110 section 10.1.4).
fn without_te(text: &[u8], head: &RequestHead) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len() + 16);
    let mut from = 0;
    for field in head.fields.iter().filter(|field| field.known == Known::Te) {
        let (start, end) = (field.name.start as usize, (field.value.start + field.value.len) as usize);
        kept.extend_from_slice(text.get(from..start).unwrap_or_default());
        let rest = text.get(end..).unwrap_or_default();
        from = end + rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
    }
    kept.extend_from_slice(text.get(from..).unwrap_or_default());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: HttpVersion, bytes: &str, expected: Option<&str>) {
        let reworded = reword(bytes.as_bytes(), version).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(reworded.as_deref(), expected, "{bytes:?}");
    }

    #[test]
    fn bodies_end_as_the_version_has_it() {
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let sized = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
        let (one, two) = (HttpVersion::Http1, HttpVersion::Http2);
        check(two, &format!("{chunked}2\r\nab\r\n1;x\r\nc\r\n0\r\nX: y\r\n\r\n"), Some(&format!("{chunked}abc")));
        check(two, &format!("{chunked}2\r\nab\r\n"), None);
        check(two, sized, Some(sized));
        check(one, sized, Some(sized));
        check(one, &format!("{chunked}abc"), Some(&format!("{chunked}00000003\r\nabc\r\n0\r\n\r\n")));
        check(one, chunked, Some(&format!("{chunked}0\r\n\r\n")));
        check(
            one,
            "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nX: y\r\n\r\n",
            Some("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"),
        );
        check(one, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", Some("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        check(one, "GET / HTTP/1.1\r\n", None);
    }
}
