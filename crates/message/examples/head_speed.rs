//! Time to parse a request head and to write what its target is sent, for a load generator's head and a browser's.
//!
//! `cargo run --release -p headworks-message --example head_speed [rounds]`

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Instant;

use headworks_message::send::{self, ForwardedFor, Host, Outgoing};
use headworks_message::{Parsed, RequestHead, RequestView, ResponseHead, request, response};

const SMALL: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: www.example.com:8080\r\nUser-Agent: wrk/4.2.0\r\n\r\n";

const BROWSER: &[u8] = b"GET /products/1234/details?color=blue&size=large HTTP/1.1\r\n\
Host: shop.example.com\r\n\
Connection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Referer: https://shop.example.com/products?page=3\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n\
Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=analytics:0|ads:0; AWSALB=abcdefghijklmnopq\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 16:00:00 GMT\r\n\
Content-Type: text/html\r\nContent-Length: 612\r\nLast-Modified: Tue, 04 Dec 2025 14:44:49 GMT\r\n\
Connection: keep-alive\r\nETag: \"5c0694a8-264\"\r\nAccept-Ranges: bytes\r\n\r\n";

/// Nanoseconds per call, the best of many short rounds: noise only ever adds.
fn best(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 1_000;
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1500);
    let round = |_: u32| {
        let start = Instant::now();
        for _ in 0..CALLS {
            work();
        }
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}

fn report(what: &str, bytes: usize, nanoseconds: f64) {
    println!("{what:24} {nanoseconds:7.1} ns  {:5.2} bytes/ns", bytes as f64 / nanoseconds);
}

fn main() {
    for (name, bytes) in [("small", SMALL), ("browser", BROWSER)] {
        let mut head = RequestHead::default();
        let parse = best(|| {
            assert_eq!(request::parse(black_box(bytes), &mut head), Ok(Parsed::Complete));
            black_box(&head);
        });
        report(&format!("{name}: parse"), bytes.len(), parse);
        // for scale: another parser, which finds the lines but not what they mean
        let other = best(|| {
            let mut fields = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut fields);
            assert!(request.parse(black_box(bytes)).is_ok_and(|s| s.is_complete()));
            black_box(&request);
        });
        report(&format!("{name}: httparse"), bytes.len(), other);
        let plan = Outgoing {
            target: None,
            host: Host::Keep,
            drop_unusual_names: false,
            forwarded_for: ForwardedFor::Append(b"192.0.2.17"),
            forwarded_lines: b"X-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n",
            certificate_lines: &[],
            cipher_lines: None,
            trace: b"1-67891233-abcdef012345678912345678",
            trailers: false,
            reserved: &[],
            renewed: &[],
            withheld_cookie: Some(b"headworks_session"),
        };
        let mut out = Vec::new();
        let view = RequestView { bytes, head: &head };
        let send = best(|| {
            out.clear();
            send::request(black_box(view), black_box(&plan), &mut out);
            black_box(&out);
        });
        report(&format!("{name}: send"), out.len(), send);
    }
    let mut head = ResponseHead::default();
    let parse = best(|| {
        assert_eq!(response::parse(black_box(ANSWER), &mut head), Ok(Parsed::Complete));
        black_box(&head);
    });
    report("answer: parse", ANSWER.len(), parse);
    let plan = send::Answer {
        version: headworks_message::Version::Http11,
        keep_alive: true,
        reframe: send::Reframe::Keep,
        removed: [&[], &[]],
        lines: b"",
    };
    let mut out = Vec::new();
    let send = best(|| {
        out.clear();
        send::response(black_box(ANSWER), black_box(&head), black_box(&plan), &mut out);
        black_box(&out);
    });
    report("answer: send", out.len(), send);
}
