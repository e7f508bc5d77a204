//! Redirects as users write them.

use super::*;
use headworks_message::RequestHead;

/// `(protocol, host, port, path, query)`; an empty protocol keeps the request's.
type Written<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

const KEEP: Written<'_> = ("", "#{host}", "#{port}", "/#{path}", "#{query}");

fn run(written: Written<'_>, arrival: (Scheme, u16), host: &[u8], target: &[u8]) -> Result<String, RedirectError> {
    let protocol = match written.0 {
        "HTTP" => Some(Scheme::Http),
        "HTTPS" => Some(Scheme::Https),
        _ => None,
    };
    let [host_template, port, path, query] =
        [written.1, written.2, written.3, written.4].map(|text| Template::parse(text).unwrap());
    let redirect = Redirect { protocol, host: host_template, port, path, query, status: 301 };
    let mut bytes = Vec::new();
    let mut head = RequestHead::default();
    head.lay_out(&mut bytes, b"GET", target, host, []);
    let mut out = b"left over".to_vec();
    let arrival = Arrival { scheme: arrival.0, port: arrival.1, fallback_host: b"192.0.2.1" };
    let done = location(&redirect, &RequestView { bytes: &bytes, head: &head }, &arrival, &mut out);
    assert!(done.is_ok() || out.is_empty());
    done.map(|()| String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(written: Written<'_>, arrival: (Scheme, u16), host: &str, target: &str, expected: &str) {
    assert_eq!(run(written, arrival, host.as_bytes(), target.as_bytes()), Ok(expected.to_owned()));
}

#[test]
fn placeholders_are_the_request() {
    use Scheme::{Http, Https};
    let host = "shop.example.com:8080";
    check(KEEP, (Http, 8080), host, "/a?b=c", "http://shop.example.com:8080/a?b=c");
    check(("HTTPS", KEEP.1, "443", KEEP.3, KEEP.4), (Http, 80), host, "/a?b=c", "https://shop.example.com/a?b=c");
    check(("HTTPS", KEEP.1, "8443", KEEP.3, KEEP.4), (Http, 80), host, "/", "https://shop.example.com:8443/");
    check(
        ("", "blog.#{host}", KEEP.2, "/x/#{path}", ""),
        (Https, 443),
        host,
        "/a/b?c",
        "https://blog.shop.example.com/x/a/b",
    );
    check(
        ("", KEEP.1, KEEP.2, "/#{protocol}/#{host}/#{port}/#{path}/#{query}", "x=#{path}"),
        (Http, 80),
        host,
        "/a?b",
        "http://shop.example.com/http/shop.example.com/80/a/b?x=a",
    );
}

#[test]
fn the_port_is_left_out_only_where_it_is_the_schemes_own() {
    use Scheme::{Http, Https};
    check(KEEP, (Http, 80), "a.b", "/", "http://a.b/");
    check(KEEP, (Https, 443), "a.b", "/", "https://a.b/");
    check(KEEP, (Http, 443), "a.b", "/", "http://a.b:443/");
    check(("HTTPS", KEEP.1, KEEP.2, KEEP.3, KEEP.4), (Http, 80), "a.b", "/", "https://a.b:80/");
}

#[test]
fn an_empty_query_has_no_question_mark() {
    check(KEEP, (Scheme::Http, 80), "a.b", "/x?", "http://a.b/x");
    check((KEEP.0, KEEP.1, KEEP.2, KEEP.3, ""), (Scheme::Http, 80), "a.b", "/x?y", "http://a.b/x");
}

#[test]
fn a_request_without_host_or_path_still_gets_a_place() {
    check(KEEP, (Scheme::Http, 80), "", "/x", "http://192.0.2.1/x");
    check(KEEP, (Scheme::Http, 80), "a.b", "*", "http://a.b/");
    check(KEEP, (Scheme::Http, 80), "[2001:db8::1]:80", "/x", "http://[2001:db8::1]/x");
    check((KEEP.0, KEEP.1, KEEP.2, "#{path}", KEEP.4), (Scheme::Http, 80), "a.b", "/x", "http://a.b/x");
}

#[test]
fn nothing_a_client_sends_breaks_the_header() {
    let location = run(KEEP, (Scheme::Http, 80), b"a.b\r\nX", b"/\r\nSet-Cookie: a=b?\x00\xff#\x7f").unwrap();
    assert_eq!(location, "http://a.b%0D%0AX/%0D%0ASet-Cookie:%20a=b?%00%FF%23%7F");
    let location = run(KEEP, (Scheme::Http, 80), b"evil.com/@a.b", b"//evil.com/%2e").unwrap();
    assert_eq!(location, "http://evil.com%2F%40a.b//evil.com/%2e");
}

#[test]
fn what_makes_no_location_is_an_error() {
    let long = |n: usize| run(KEEP, (Scheme::Http, 80), b"a.b", format!("/{}", "x".repeat(n)).as_bytes());
    assert_eq!(long(LONGEST - "http://a.b/".len()).map(|l| l.len()), Ok(LONGEST));
    assert_eq!(long(LONGEST - "http://a.b/".len() + 1), Err(RedirectError::TooLong));
    assert_eq!(long(100_000), Err(RedirectError::TooLong));
    let spaces = format!("/{}", " ".repeat(4_000));
    assert_eq!(run(KEEP, (Scheme::Http, 80), b"a.b", spaces.as_bytes()), Err(RedirectError::TooLong));
    let port = |port| run((KEEP.0, KEEP.1, port, KEEP.3, KEEP.4), (Scheme::Http, 80), b"a.b", b"/");
    for bad in ["", "0", "65536", "+80", "80x"] {
        assert_eq!(port(bad), Err(RedirectError::BadPort), "{bad}");
    }
    assert_eq!(run((KEEP.0, "", KEEP.2, KEEP.3, KEEP.4), (Scheme::Http, 80), b"a.b", b"/"), Err(RedirectError::NoHost));
}
