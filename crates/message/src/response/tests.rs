use super::*;

/// A head's status, reason, framing (not to a HEAD request) and whether its connection stays; or what is wrong.
fn outcome(text: &str) -> Result<(u16, String, Framing, bool), BadResponse> {
    let mut head = ResponseHead::default();
    match parse(text.as_bytes(), &mut head)? {
        Parsed::Incomplete => panic!("incomplete: {text:?}"),
        Parsed::Complete => {}
    }
    assert_eq!(head.len, text.len(), "{text:?}");
    let reason = String::from_utf8_lossy(head.reason.of(text.as_bytes())).into_owned();
    Ok((head.status, reason, head.framing(false), head.connection.keep_alive))
}

#[test]
fn status_lines() {
    let line = |line: &str| outcome(&format!("{line}\r\n\r\n")).map(|(status, reason, ..)| (status, reason));
    let good =
        |text: &str, status: u16, reason: &str| assert_eq!(line(text), Ok((status, reason.to_owned())), "{text:?}");
    good("HTTP/1.1 200 OK", 200, "OK");
    good("HTTP/1.0 404 Not Found", 404, "Not Found");
    good("HTTP/1.1 200 ", 200, "");
    good("HTTP/1.1 200", 200, "");
    good("HTTP/1.1 200  a\tb ", 200, " a\tb ");
    good("HTTP/1.1 200 \u{e9}", 200, "\u{e9}");
    good("HTTP/1.9 999 x", 999, "x");
    for bad in [
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 099 x",
        "HTTP/1.1 +20 x",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200OK",
        "HTTP/2.0 200 OK",
        "HTTP/1 200 OK",
        "HTTP/1.x 200 OK",
        "http/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "\r\nHTTP/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 200 a\rb",
        "HTTP/1.1 200 a\nb",
        "HTTP/1.1 200 \0",
        "HTTP/1.1 200 \x7f",
        "",
        "HTTP/1.10 200 OK",
    ] {
        assert_eq!(line(bad), Err(BadResponse::StatusLine), "{bad:?}");
    }
}

#[test]
fn field_lines() {
    let field = |line: &str| outcome(&format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 0\r\n\r\n")).err();
    for good in ["X-A: b", "x_a!:", "X:\t\u{e9} \t", "Set-Cookie: a=b; c"] {
        assert_eq!(field(good), None, "{good:?}");
    }
    for bad in
        ["X A: b", "X-A : b", ": b", "X-A", " b", "X-A: b\r\n c", "X: \x01", "X: a\nb: c", "X: a\rb", "\0X: a", "\r"]
    {
        assert_eq!(field(bad), Some(BadResponse::Field), "{bad:?}");
    }
    assert_eq!(field(&format!("Connection: {}", "a,".repeat(33))), Some(BadResponse::Field));
}

#[test]
fn framing_of_responses() {
    use Framing::{Chunked, Length, None, UntilClose};
    let check = |line: &str, fields: &[&str], expected: Result<(Framing, bool), BadResponse>| {
        let text = format!("HTTP/{line}\r\n{}\r\n", fields.iter().map(|f| format!("{f}\r\n")).collect::<String>());
        assert_eq!(outcome(&text).map(|(_, _, framing, keep)| (framing, keep)), expected, "{text:?}");
    };
    const OK: &str = "1.1 200 OK";
    const CHUNKED: &str = "Transfer-Encoding: chunked";
    check(OK, &[], Ok((UntilClose, true)));
    check(OK, &["Content-Length: 0"], Ok((Length(0), true)));
    check(OK, &["Content-Length: 5", "Content-Length: 05"], Ok((Length(5), true)));
    check(OK, &["Content-Length: 5", "Content-Length: 6"], Err(BadResponse::Framing));
    check(OK, &["Content-Length: 5,5"], Err(BadResponse::Framing));
    check(OK, &["Content-Length:"], Err(BadResponse::Framing));
    check(OK, &[CHUNKED], Ok((Chunked, true)));
    check(OK, &["Transfer-Encoding: identity, CHUNKED"], Ok((Chunked, true)));
    check(OK, &["Transfer-Encoding: identity"], Ok((UntilClose, true)));
    for bad in ["gzip, chunked", "chunked, chunked", "chunked, identity", "xchunked", "", "chunked\x0c"] {
        let expected = if bad.contains('\x0c') { BadResponse::Field } else { BadResponse::Framing };
        check(OK, &[&format!("Transfer-Encoding: {bad}")], Err(expected));
    }
    check(OK, &[CHUNKED, CHUNKED], Err(BadResponse::Framing));
    // nobody can be sure of what follows these: the connection is not used again
    check(OK, &[CHUNKED, "Content-Length: 5"], Ok((Chunked, false)));
    check("1.0 200 OK", &[CHUNKED, "Connection: keep-alive"], Ok((Chunked, false)));
    check("1.1 204 No Content", &["Content-Length: 5"], Ok((None, false)));
    check("1.1 204 No Content", &[CHUNKED], Ok((None, false)));
    check("1.1 103 Early Hints", &["Content-Length: 5"], Ok((None, false)));

    check("1.1 204 No Content", &["Content-Length: 0"], Ok((None, true)));
    check("1.1 304 Not Modified", &["Content-Length: 5"], Ok((None, true)));
    check("1.1 101 Switching Protocols", &[], Ok((None, true)));
    check("1.0 200 OK", &["Content-Length: 5"], Ok((Length(5), false)));
    check("1.0 200 OK", &["Content-Length: 5", "Connection: keep-alive"], Ok((Length(5), true)));
    check(OK, &["Content-Length: 5", "Connection: close"], Ok((Length(5), false)));
}

#[test]
fn head_requests_are_answered_without_a_body() {
    let mut head = ResponseHead::default();
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &mut head), Ok(Parsed::Complete));
    assert_eq!((head.framing(true), head.framing(false)), (Framing::None, Framing::Length(5)));
}

#[test]
fn interim_is_all_below_200_but_101() {
    for (status, interim) in [(100, true), (101, false), (102, true), (103, true), (199, true), (200, false)] {
        assert_eq!(ResponseHead { status, ..ResponseHead::default() }.is_interim(), interim, "{status}");
    }
}

#[test]
fn limit() {
    let of = |length: usize| {
        let start = "HTTP/1.1 200 OK\r\nX: ";
        format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4))
    };
    assert!(outcome(&of(HEAD_LIMIT)).is_ok());
    assert_eq!(outcome(&of(HEAD_LIMIT + 1)), Err(BadResponse::TooLong));
    let mut head = ResponseHead::default();
    assert_eq!(parse(&of(HEAD_LIMIT + 9).as_bytes()[..HEAD_LIMIT], &mut head), Ok(Parsed::Incomplete));
    assert_eq!(parse(&of(HEAD_LIMIT + 9).as_bytes()[..=HEAD_LIMIT], &mut head), Err(BadResponse::TooLong));
}
