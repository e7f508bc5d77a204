use super::*;
use crate::head::RequestHead;
use crate::{request, response};

use ContentCoding::{Brotli, Gzip, Zstd};

#[test]
fn preferences() {
    let rows: [(&[&str], Option<ContentCoding>); 37] = [
        (&[], None),
        (&[""], None),
        (&["identity"], None),
        (&["gzip"], Some(Gzip)),
        (&["GZip"], Some(Gzip)),
        (&["x-gzip"], Some(Gzip)),
        (&["br"], Some(Brotli)),
        (&["zstd"], Some(Zstd)),
        (&["deflate"], None),
        (&["gzip, deflate, br, zstd"], Some(Brotli)),
        (&["gzip", "zstd"], Some(Zstd)),
        (&[" , gzip ,\t, "], Some(Gzip)),
        (&["*"], Some(Brotli)),
        (&["*;q=0"], None),
        (&["gzip, *;q=0"], Some(Gzip)),
        (&["br;q=0, *"], Some(Zstd)),
        (&["br;q=0.5, gzip;q=0.501"], Some(Gzip)),
        (&["br;q=0.5, gzip;q=0.5"], Some(Brotli)),
        (&["br;q=0.05, gzip;q=0.5, *;q=0.1"], Some(Gzip)),
        (&["gzip;q=0"], None),
        (&["gzip;q=0.000"], None),
        (&["gzip;q=0.001"], Some(Gzip)),
        (&["gzip; q=1.000"], Some(Gzip)),
        (&["gzip ;\tQ=0.3"], Some(Gzip)),
        (&["gzip;q=1."], Some(Gzip)),
        // the content as it is, if that is liked better
        (&["identity, gzip;q=0.5"], None),
        (&["identity;q=0.5, gzip;q=0.5"], Some(Gzip)),
        (&["identity;q=0, gzip;q=0.1"], Some(Gzip)),
        // no weights
        (&["gzip;q=2"], None),
        (&["gzip;q=1.001"], None),
        (&["gzip;q=0.1234"], None),
        (&["gzip;q=-1"], None),
        (&["gzip;q=.5"], None),
        (&["gzip;q"], None),
        (&["gzip;level=9"], None),
        (&["gzip;q=1;q=1"], None),
        (&["gzip, gzip;q=0"], None),
    ];
    for (values, expected) in rows {
        assert_eq!(negotiate(values.iter().map(|v| v.as_bytes()), &ContentCoding::ALL), expected, "{values:?}");
    }
    let order = |offered: &[ContentCoding]| negotiate([b"br, gzip, zstd;q=0.9".as_slice()], offered);
    assert_eq!(order(&[Gzip, Brotli]), Some(Gzip));
    assert_eq!(order(&[Zstd, Gzip]), Some(Gzip));
    assert_eq!(order(&[Zstd]), Some(Zstd));
    assert_eq!(order(&[]), None);
}

fn offer() -> Offer {
    let types = ["text/*", "application/json"].map(Into::into).to_vec();
    Offer { codings: ContentCoding::ALL.to_vec(), types, minimum_size: 100 }
}

#[test]
fn what_requests_allow() {
    let check = |request: &str, expected: Asked| {
        let text = format!("{}\r\n\r\n", request.replace('|', "\r\n"));
        let mut head = RequestHead::default();
        request::parse(text.as_bytes(), &mut head).unwrap();
        let view = RequestView { bytes: text.as_bytes(), head: &head };
        assert_eq!(asked(view, &offer()), expected, "{request}");
    };
    let coding = |coding| Asked { coding, holds_weak: false };
    check("GET / HTTP/1.1|Host: a|Accept-Encoding: gzip|accept-encoding: zstd", coding(Some(Zstd)));
    check("POST / HTTP/1.1|Host: a|Content-Length: 0|Accept-Encoding: gzip", coding(Some(Gzip)));
    check("GET / HTTP/1.1|Host: a", coding(None));
    check("HEAD / HTTP/1.1|Host: a|Accept-Encoding: gzip", coding(None));
    check("GET / HTTP/1.0|Host: a|Accept-Encoding: gzip", coding(None));
    check("GET / HTTP/1.1|Host: a|Accept-Encoding: gzip|Cache-Control: max-age=0, no-transform", coding(None));
    check(
        "GET / HTTP/1.1|Host: a|Accept-Encoding: br|If-None-Match: \"a\", W/\"b\"",
        Asked { coding: Some(Brotli), holds_weak: true },
    );
    check("GET / HTTP/1.1|Host: a|If-None-Match: \"W/\"", coding(None));
}

/// What is added to and removed from an answer, `|` being CRLF, when the client asked for this.
fn check(answer: &str, asked: Asked, coding: Option<ContentCoding>, lines: &str, removed: &[&str]) {
    let text = format!("HTTP/1.1 {answer}\r\n\r\n").replace('|', "\r\n");
    let mut head = ResponseHead::default();
    response::parse(text.as_bytes(), &mut head).unwrap();
    let mut added = Vec::new();
    let framing = head.framing(false);
    let shaped = shape(text.as_bytes(), &head, framing, &offer(), asked, &mut added, Some);
    assert_eq!(shaped.encoder, coding, "{answer}");
    assert_eq!(String::from_utf8(added).unwrap().replace("\r\n", "|"), lines, "{answer}");
    assert_eq!(shaped.removed, removed, "{answer}");
}

const GZIP: Asked = Asked { coding: Some(Gzip), holds_weak: false };
const NOTHING: Asked = Asked { coding: None, holds_weak: false };
const WEAK: Asked = Asked { coding: Some(Gzip), holds_weak: true };

#[test]
fn answers_that_are_encoded() {
    let all = &REMOVED[1..];
    let yes = |answer: &str| check(answer, GZIP, Some(Gzip), "Vary: Accept-Encoding|Content-Encoding: gzip|", all);
    yes("200 OK|Content-Type: text/html|Content-Length: 100");
    yes("200 OK|Content-Type: TEXT/CSS; charset=utf-8|Transfer-Encoding: chunked");
    yes("404 Not Found|Content-Type: application/json");
    yes("500 Oh|Content-Type: application/JSON ;x|Cache-Control: max-age=5, public");
    // others see from Vary that they might have got another
    let plain = |answer: &str| check(answer, NOTHING, None, "Vary: Accept-Encoding|", &[]);
    plain("200 OK|Content-Type: text/html|Content-Length: 100|ETag: \"a\"");
}

#[test]
fn answers_that_are_not_encoded() {
    let no = |answer: &str| check(answer, WEAK, None, "", &[]);
    no("200 OK|Content-Length: 1000");
    no("200 OK|Content-Type: text/html|Content-Length: 99");
    no("200 OK|Content-Type: image/png|Content-Length: 1000");
    no("200 OK|Content-Type: text/");
    no("200 OK|Content-Type: application/jsonl");
    no("200 OK|Content-Type: text/html|Content-Type: text/css");
    no("200 OK|Content-Type: text/html|Content-Encoding: gzip|ETag: \"a\"");
    no("200 OK|Content-Type: text/html|Content-Encoding: identity");
    no("200 OK|Content-Type: text/html|Cache-Control: public|Cache-Control: x, No-Transform");
    no("200 OK|Content-Type: text/html|Content-Range: bytes 0-1/2");
    no("200 OK|Content-Type: text/html|Connection: Vary|Vary: *");
    no("204 No Content|Content-Type: text/html");
    no("205 Reset Content|Content-Type: text/html");
    no("206 Partial Content|Content-Type: text/html");
    no("101 Switching Protocols|Content-Type: text/html");
}

#[test]
fn vary_is_merged() {
    let vary = |fields: &str, asked: Asked, lines: &str, removed: &[&str]| {
        check(&format!("200 OK|Content-Type: text/html{fields}"), asked, asked.coding, lines, removed);
    };
    vary("|Vary: Origin", NOTHING, "Vary: Origin, Accept-Encoding|", &["Vary"]);
    vary("|Vary: Origin|vary: Cookie,", GZIP, "Vary: Origin, Cookie, Accept-Encoding|Content-Encoding: gzip|", REMOVED);
    vary("|Vary: accept-encoding", NOTHING, "", &[]);
    vary("|Vary: Origin|Vary: Accept-Encoding|Vary: X", NOTHING, "", &[]);
    vary("|Vary: *", GZIP, "Content-Encoding: gzip|", &REMOVED[1..]);
    check("304 Not Modified|Vary: Origin", NOTHING, None, "Vary: Origin, Accept-Encoding|", &["Vary"]);
    check("304 Not Modified", NOTHING, None, "", &[]);
}

#[test]
fn entity_tags_are_weakened() {
    let tag = |tag: &str, expected: &str| {
        let lines = format!("Vary: Accept-Encoding|Content-Encoding: gzip|{expected}");
        check(&format!("200 OK|Content-Type: text/html|ETag: {tag}"), GZIP, Some(Gzip), &lines, &REMOVED[1..]);
    };
    tag("\"a\"", "ETag: W/\"a\"|");
    tag("W/\"a\"", "ETag: W/\"a\"|");
    tag("\"\"", "ETag: W/\"\"|");
    tag("a", "");
    tag("\"", "");
    check("304 Not Modified|ETag: \"a\"", GZIP, None, "", &[]);
    check("304 Not Modified|ETag: \"a\"", WEAK, None, "ETag: W/\"a\"|", &["ETag"]);
    check(
        "304 Not Modified|ETag: \"a\"|Vary: X",
        WEAK,
        None,
        "Vary: X, Accept-Encoding|ETag: W/\"a\"|",
        &["Vary", "ETag"],
    );
}

#[test]
fn without_an_encoder_it_goes_as_it_is() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"a\"\r\n\r\n";
    let mut head = ResponseHead::default();
    response::parse(text, &mut head).unwrap();
    let mut lines = Vec::new();
    let shaped = shape(text, &head, head.framing(false), &offer(), GZIP, &mut lines, |_| None::<()>);
    assert_eq!((shaped.encoder, shaped.removed), (None, &[][..]));
    assert_eq!(lines, b"Vary: Accept-Encoding\r\n");
}
