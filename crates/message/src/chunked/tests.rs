use super::*;
use crate::framing::{Body, Framing, Taken};

/// A body comes out as its content and what is left behind it, or is malformed.
fn check(bytes: &[u8], expected: Result<(&[u8], &[u8]), Malformed>) {
    let mut content = Vec::new();
    let mut body = Body::new(Framing::Chunked);
    let found = body.take_decoded(bytes, &mut content).map(|taken| {
        assert!(body.is_done(), "{} goes on", bytes.escape_ascii());
        (content.as_slice(), &bytes[taken..])
    });
    assert_eq!(found, expected, "{}", bytes.escape_ascii());
}

fn good(bytes: &[u8], content: &[u8]) {
    check(bytes, Ok((content, b"")));
}

fn bad(bytes: &[u8]) {
    check(bytes, Err(Malformed));
}

fn kept(kept: usize) -> Taken {
    Taken { kept, dropped: 0 }
}

/// What of the body may be sent on, however it arrives.
fn passes(bytes: &[u8], expected: &[u8]) {
    for size in 1..=bytes.len() {
        let mut body = Body::new(Framing::Chunked);
        let (mut sent, mut held) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            held.extend_from_slice(piece);
            loop {
                let taken = body.take(&held).unwrap_or_else(|_| panic!("{} in pieces of {size}", bytes.escape_ascii()));
                sent.extend_from_slice(&held[..taken.kept]);
                held.drain(..taken.total());
                if taken.total() == 0 || held.is_empty() {
                    break;
                }
            }
        }
        assert!(body.is_done() && held.is_empty(), "{} in pieces of {size}", bytes.escape_ascii());
        assert_eq!(sent.escape_ascii().to_string(), expected.escape_ascii().to_string(), "in pieces of {size}");
    }
}

/// Nothing wrong so far, and more to come.
fn open(bytes: &[u8]) {
    let mut body = Body::new(Framing::Chunked);
    assert_eq!(body.take(bytes), Ok(kept(bytes.len())), "{}", bytes.escape_ascii());
    assert!(!body.is_done(), "{}", bytes.escape_ascii());
}

#[test]
fn bodies() {
    good(b"0\r\n\r\n", b"");
    good(b"000\r\n\r\n", b"");
    good(b"5\r\nhello\r\n0\r\n\r\n", b"hello");
    good(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789");
    good(b"0005\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n");
    check(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", Ok((b"a", b"GET / HTTP/1.1\r\n")));
    open(b"");
    open(b"5\r\nhel");
    open(b"5\r\nhello\r\n0\r\n");
    open(b"5\r\nhello\r\n0\r\n\r");
}

#[test]
fn sizes() {
    open(b"7fffffffffffffff\r\n");
    bad(b"8000000000000000\r\n");
    bad(b"ffffffffffffffff\r\n");
    bad(b"10000000000000000\r\n");
    bad(b"10000000000000005\r\nhello\r\n");
    for start in ["", " 5", "+5", "-5", "0x5", "5 5", "5h", "g", "5,", "5 ", "5\t", "\u{665}"] {
        bad(format!("{start}\r\nhello\r\n0\r\n\r\n").as_bytes());
    }
    let zeros = "0".repeat(LINE_LIMIT as usize - 3);
    open(format!("{zeros}5\r\n").as_bytes());
    bad(format!("{zeros}05\r\n").as_bytes());
}

#[test]
fn line_ends() {
    bad(b"5\nhello\r\n0\r\n\r\n");
    bad(b"5\r\r\nhello\r\n0\r\n\r\n");
    bad(b"5\r\nhello\n0\r\n\r\n");
    bad(b"5\r\nhello0\r\n\r\n");
    bad(b"5\r\nhello\r0\r\n\r\n");
    bad(b"5\r\nhello!\r\n0\r\n\r\n");
    bad(b"0\r\n\n");
    bad(b"0\n\r\n");
    bad(b"\r\n0\r\n\r\n");
    bad(b"0\r\n\r0");
}

#[test]
fn extensions() {
    good(b"1;a\r\na\r\n0;a=b;c=\"d e\"\r\n\r\n", b"a");
    good(b"1;a=\"\\\";\t\xe9\";b\r\na\r\n0\r\n\r\n", b"a");
    // white space that RFC 9110 section 5.6.3 forbids to send
    for extension in [" ;a", "\t;a", "; a", ";a =b", ";a= b", ";a ", ";a=b ", ";a=\"b\" ", " "] {
        bad(format!("1{extension}\r\na\r\n0\r\n\r\n").as_bytes());
    }
    // none of the grammar
    for extension in [";", ";;a", ";a;", ";=b", ";a=", ";a=b=c", ";a=\"b", ";a=\"b\"c", ";a\"b\"", ";\u{e9}", ";a=\"\\"]
    {
        bad(format!("1{extension}\r\na\r\n0\r\n\r\n").as_bytes());
    }
    bad(b"1;a\nb\r\na\r\n0\r\n\r\n");
    bad(b"1;a\rb\r\na\r\n0\r\n\r\n");
    bad(b"1;\0\r\n");
    bad(b"1;\x7f\r\n");
    // the limit is by line
    let full = format!("1;{}\r\na\r\n", "x".repeat(LINE_LIMIT as usize - 4));
    open(full.repeat(3).as_bytes());
    bad(format!("1;{}\r\n", "x".repeat(LINE_LIMIT as usize)).as_bytes());
}

#[test]
fn trailers() {
    good(b"0\r\nX-A: b\r\nx_c:\r\nD:\t\xe9\r\n\r\n", b"");
    bad(b"0\r\nX-A\r\n\r\n");
    bad(b"0\r\nX A: b\r\n\r\n");
    bad(b"0\r\nX-A : b\r\n\r\n");
    bad(b"0\r\n: b\r\n\r\n");
    bad(b"0\r\n X-A: b\r\n\r\n");
    bad(b"0\r\nX-A: b\r\n c\r\n\r\n");
    bad(b"0\r\nX-A: b\nc: d\r\n\r\n");
    bad(b"0\r\nX-A: b\rc\r\n\r\n");
    bad(b"0\r\nX-A: \0\r\n\r\n");
    let line = format!("X: {}\r\n", "a".repeat(1019));
    let name = "X".repeat(NAME_LIMIT);
    good(format!("0\r\n{name}: a\r\n\r\n").as_bytes(), b"");
    bad(format!("0\r\n{name}X: a\r\n\r\n").as_bytes());
    bad(format!("0\r\n{name}X").as_bytes());
    open(format!("0\r\n{}", line.repeat(16)).as_bytes());
    bad(format!("0\r\n{}\r\n", line.repeat(16)).as_bytes());
}

/// RFC 9110 section 6.5.1.
#[test]
fn trailers_that_may_not_be() {
    let start = "3;x=y\r\nabc\r\n0\r\n";
    let rows = [
        ("X-A: b\r\nX-C: d\r\n", "X-A: b\r\nX-C: d\r\n"),
        ("Cookie: a=b\r\n", ""),
        ("X-A: b\r\nAuthorization: x\r\nX-Forwarded-For: 1\r\nX-C: d\r\nConnection:\r\n", "X-A: b\r\nX-C: d\r\n"),
        ("Cooki: a\r\nCookie:\r\nCookies: b\r\n", "Cooki: a\r\nCookies: b\r\n"),
    ];
    for (trailers, expected) in rows {
        passes(format!("{start}{trailers}\r\n").as_bytes(), format!("{start}{expected}\r\n").as_bytes());
    }
    for line in ["Content-Length: 3", "content_length: 3", "Transfer-Encoding: chunked", "Host: a"] {
        bad(format!("{start}X-A: b\r\n{line}\r\n\r\n").as_bytes());
        bad(format!("{start}Cookie: b\r\n{line}").as_bytes());
    }
    // what is left out is read as strictly as what is not
    bad(b"0\r\nCookie: a\nb\r\n\r\n");
    bad(b"0\r\nCookie: a\rb\r\n\r\n");
    bad(b"0\r\nCookie : a\r\n\r\n");
}

#[test]
fn other_framings_count_bytes() {
    let mut body = Body::new(Framing::Length(5));
    assert_eq!(body.take(b"hel"), Ok(kept(3)));
    assert!(!body.is_done());
    let mut content = Vec::new();
    assert_eq!(body.take_decoded(b"lo, world", &mut content), Ok(2));
    assert!(body.is_done());
    assert_eq!(content, b"lo");
    assert_eq!(body.take(b"more"), Ok(kept(0)));
    assert!(Body::new(Framing::None).is_done() && Body::new(Framing::Length(0)).is_done());
    let mut body = Body::new(Framing::UntilClose);
    assert_eq!(body.take(b"anything"), Ok(kept(8)));
    assert!(!body.is_done());
    let mut whole = Body::new(Framing::Length(u64::MAX));
    assert_eq!(whole.take(b"x"), Ok(kept(1)));
    assert!(!whole.is_done());
}
