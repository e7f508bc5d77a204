//! Compression of answers: who gets what, that it is the same content, that nothing is held back, and what is left alone.

use std::io::Read;

use headworks_testkit::stream::End;
use headworks_testkit::wire::{Framing, Response};
use headworks_testkit::{Client, Gate, Origin, Step, ask, check};

use crate::{proxy, start};

/// Text that can be made shorter, but not to nothing.
fn text(length: usize) -> String {
    let mut seed = 11u64;
    let words = ["balancer ", "target ", "listener ", "rule ", "<p>", "</p>\n", "0123 ", "zone=\"a\" "];
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        text.push_str(words[(seed >> 33) as usize % words.len()]);
    }
    text.truncate(length);
    text
}

/// Head fields, then a body of known length.
fn answer(fields: &[&str], body: &str) -> Step {
    Step::answer_with(200, fields, body)
}

fn chunked(fields: &[&str], body: &str, size: usize) -> Step {
    let mut sent = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n");
    for field in fields {
        sent.push_str(field);
        sent.push_str("\r\n");
    }
    sent.push_str("\r\n");
    for chunk in body.as_bytes().chunks(size) {
        sent.push_str(&format!("{:x};a=b\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
    }
    sent.push_str("0\r\nX-Sum: 1\r\n\r\n");
    Step::send(sent)
}

/// As far as it can be read: the end may be missing.
fn decoded(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(coded)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(coded).unwrap_or_else(|error| panic!("{error}"))),
        "br" => Box::new(brotli::Decompressor::new(coded, 4096)),
        other => panic!("{other} was not offered"),
    };
    let mut content = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = reader.read(&mut piece) {
        content.extend_from_slice(&piece[..n]);
    }
    content
}

/// The content of an answer, and its coding.
fn content(response: &Response) -> (Vec<u8>, Option<String>) {
    match response.field("Content-Encoding") {
        None => (response.body.content.clone(), None),
        Some(coding) => (decoded(coding, &response.body.content), Some(coding.to_owned())),
    }
}

const HTML: &str = "Content-Type: text/html; charset=utf-8";

/// However the target frames it, whatever its length, each coding gives back what was sent.
#[test]
fn the_content_is_the_same() {
    let lengths = [1024, 1025, 32 * 1024, 100_000, 3_000_000];
    let mut origin = Origin::new("web");
    for length in lengths {
        let body = text(length);
        origin = origin
            .on(&format!("/sized/{length}"), [answer(&[HTML], &body)])
            .on(&format!("/chunked/{length}"), [chunked(&[HTML, "Trailer: X-Sum"], &body, length / 3 + 1)])
            .on(
                &format!("/open/{length}"),
                [Step::send(format!("HTTP/1.1 200 OK\r\n{HTML}\r\n\r\n{body}")), Step::Close],
            );
    }
    let web = origin.start();
    let headworks = start(&proxy(", compression: {}", ""), &[("web", &web)]);
    let mut client = headworks.client();
    for length in lengths {
        for framing in ["sized", "chunked", "open"] {
            for coding in ["br", "zstd", "gzip"] {
                let asked = ask("GET", &format!("/{framing}/{length}")).with(&format!("Accept-Encoding: {coding}"));
                let response = client.exchange(&asked);
                let (found, said) = content(&response);
                assert_eq!(said.as_deref(), Some(coding), "{}", response.reason);
                assert!(found == text(length).as_bytes(), "{coding} of {framing} {length}");
                assert_eq!((response.framing, response.field("Content-Length")), (Framing::Chunked, None));
                assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
                // chunks are made anew: what stood behind the old ones is gone, and not announced
                assert_eq!((response.body.trailers.0.len(), response.field("Trailer")), (0, None));
                let shorter = response.body.content.len();
                assert!(shorter * 2 < length, "{coding} of {framing} {length}: {shorter}");
            }
        }
    }
    let metrics = headworks.metrics();
    for algorithm in ["br", "zstd", "gzip"] {
        let sum = |name: &str| metrics.sum(name, &[("algorithm", algorithm), ("listener", "http")]);
        assert_eq!(sum("headworks_compressed_responses_total"), 15.0);
        let content = sum("headworks_compression_input_bytes_total");
        assert_eq!(content, 3.0 * lengths.iter().sum::<usize>() as f64);
        let sent = sum("headworks_compression_output_bytes_total");
        assert!(sent > 0.0 && sent * 2.0 < content, "{algorithm}: {sent}");
    }
}

/// RFC 9110 section 12.5.3: weights first, then the order of the configuration.
#[test]
fn the_client_chooses() {
    let web = Origin::new("web").on("/", [answer(&[HTML], &text(5000))]).start();
    let parts: &[(&str, &dyn std::fmt::Display)] = &[("web", &web)];
    let usual = start(&proxy(", compression: {}", ""), parts);
    let other = start(&proxy(", compression: { algorithms: [gzip, br], levels: { br: 1, gzip: 9 } }", ""), parts);
    let off = start(&proxy("", ""), parts);
    let rows: [(&[&str], Option<&str>, Option<&str>); 12] = [
        (&[], None, None),
        (&["Accept-Encoding:"], None, None),
        (&["Accept-Encoding: gzip, deflate, br, zstd"], Some("br"), Some("gzip")),
        (&["Accept-Encoding: gzip", "Accept-Encoding: zstd"], Some("zstd"), Some("gzip")),
        (&["Accept-Encoding: zstd"], Some("zstd"), None),
        (&["Accept-Encoding: br;q=0.1, gzip;q=0.2"], Some("gzip"), Some("gzip")),
        (&["Accept-Encoding: br;q=0.2, gzip;q=0.1"], Some("br"), Some("br")),
        (&["Accept-Encoding: br;q=0, *;q=0.1"], Some("zstd"), Some("gzip")),
        (&["Accept-Encoding: identity"], None, None),
        (&["Accept-Encoding: identity, gzip;q=0.5"], None, None),
        (&["Accept-Encoding: gzip;q=0"], None, None),
        (&["Accept-Encoding: br", "Cache-Control: no-transform"], None, None),
    ];
    check(
        rows,
        |row| row.0.join(" | "),
        |(fields, of_usual, of_other)| {
            for (headworks, expected) in [(&usual, of_usual), (&other, of_other)] {
                let response = headworks.ask(&ask("GET", "/").with_all(fields));
                let (found, said) = content(&response);
                assert_eq!(said.as_deref(), *expected, "{}", response.raw.escape_ascii());
                assert!(found == text(5000).as_bytes());
                assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
                assert_eq!(response.field("Content-Length"), expected.is_none().then_some("5000"));
            }
            let plain = off.ask(&ask("GET", "/").with_all(fields));
            assert_eq!((plain.field("Content-Encoding"), plain.field("Vary")), (None, None));
        },
    );
    // the target sees what the client asked for
    let accept = web.received().into_iter().filter_map(|r| r.request.fields.one("Accept-Encoding").map(str::to_owned));
    assert!(accept.into_iter().any(|value| value == "gzip, deflate, br, zstd"));
}

/// What goes out as it came, and whether caches hear that others may get another.
#[test]
fn answers_that_are_left_alone() {
    let body = text(5000);
    let range = format!(
        "HTTP/1.1 206 Partial Content\r\n{HTML}\r\nContent-Range: bytes 0-4999/9999\r\nContent-Length: 5000\r\n\r\n{body}"
    );
    let web = Origin::new("web")
        .on("/short", [answer(&[HTML], &text(1023))])
        .on("/empty", [answer(&[HTML], "")])
        .on("/image", [answer(&["Content-Type: image/png"], &body)])
        .on("/untyped", [answer(&[], &body)])
        .on("/encoded", [answer(&[HTML, "Content-Encoding: br", "ETag: \"a\""], &body)])
        .on("/fixed", [answer(&[HTML, "Cache-Control: public, no-transform"], &body)])
        .on("/events", [answer(&["Content-Type: text/event-stream"], &body)])
        .on("/range", [Step::send(range)])
        .on("/304", [Step::send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Type: text/html\r\n\r\n")])
        .on("/204", [Step::send("HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n")])
        .on("/ok", [answer(&[HTML, "ETag: \"a\"", "Accept-Ranges: bytes"], &body)])
        .on("/head", [Step::send(format!("HTTP/1.1 200 OK\r\n{HTML}\r\nETag: \"a\"\r\nContent-Length: 5000\r\n\r\n"))])
        .on("/chunks", [chunked(&[HTML], &body, 1000)])
        .start();
    let headworks = start(&proxy(", compression: {}", ""), &[("web", &web)]);
    let varies = Some("Accept-Encoding");
    let rows = [
        ("GET", "/short", None),
        ("GET", "/empty", None),
        ("GET", "/image", None),
        ("GET", "/untyped", None),
        ("GET", "/encoded", None),
        ("GET", "/fixed", None),
        ("GET", "/events", None),
        ("GET", "/range", None),
        ("GET", "/304", None),
        ("GET", "/204", None),
        ("HEAD", "/head", varies),
        ("GET1.0", "/ok", varies),
        ("GET1.0", "/chunks", varies),
    ];
    check(
        rows,
        |row| format!("{} {}", row.0, row.1),
        |(method, path, vary)| {
            let asked = ask(method.trim_end_matches("1.0"), path).with("Accept-Encoding: gzip, br");
            let response = headworks.ask(&if method.ends_with("1.0") { asked.http10() } else { asked });
            let encoding = response.field("Content-Encoding");
            assert_eq!(encoding, (*path == "/encoded").then_some("br"), "{}", response.raw.escape_ascii());
            assert_eq!(response.field("Vary"), *vary, "{}", response.raw.escape_ascii());
            let tag = response.field("ETag");
            assert!(tag.is_none() || tag == Some("\"a\""), "{tag:?}");
            if matches!(*path, "/image" | "/untyped" | "/encoded" | "/fixed" | "/events" | "/range" | "/ok" | "/chunks")
            {
                assert!(response.text() == body);
            }
        },
    );
    assert_eq!(headworks.metrics().sum("headworks_compressed_responses_total", &[]), 0.0);
}

/// Caches and validators: Vary is merged, a strong entity tag is one no longer, and a 304 speaks of the tag that is held.
#[test]
fn validators_and_caches() {
    let body = text(5000);
    let web = Origin::new("web")
        .on("/strong", [answer(&[HTML, "ETag: \"a\"", "Accept-Ranges: bytes", "Vary: Origin", "Digest: x"], &body)])
        .on("/weak", [answer(&[HTML, "ETag: W/\"a\"", "Vary: origin, accept-encoding"], &body)])
        .on("/any", [answer(&[HTML, "Vary: *"], &body)])
        .on("/304", [Step::send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nVary: Origin\r\n\r\n")])
        .start();
    let headworks = start(&proxy(", compression: {}", ""), &[("web", &web)]);
    let mut client = headworks.client();
    let mut get = |path: &str, fields: &[&str]| client.exchange(&ask("GET", path).with_all(fields));
    // path and request fields; then ETag, Vary and Accept-Ranges of the answer
    type Row = (&'static str, &'static [&'static str], [Option<&'static str>; 3]);
    let rows: [Row; 8] = [
        ("/strong", &["Accept-Encoding: gzip"], [Some("W/\"a\""), Some("Origin, Accept-Encoding"), None]),
        ("/strong", &[], [Some("\"a\""), Some("Origin, Accept-Encoding"), Some("bytes")]),
        ("/weak", &["Accept-Encoding: gzip"], [Some("W/\"a\""), Some("origin, accept-encoding"), None]),
        ("/weak", &[], [Some("W/\"a\""), Some("origin, accept-encoding"), None]),
        ("/any", &["Accept-Encoding: gzip"], [None, Some("*"), None]),
        (
            "/304",
            &["Accept-Encoding: gzip", "If-None-Match: W/\"a\""],
            [Some("W/\"a\""), Some("Origin, Accept-Encoding"), None],
        ),
        ("/304", &["If-None-Match: \"b\", W/\"a\""], [Some("W/\"a\""), Some("Origin, Accept-Encoding"), None]),
        (
            "/304",
            &["Accept-Encoding: gzip", "If-None-Match: \"a\""],
            [Some("\"a\""), Some("Origin, Accept-Encoding"), None],
        ),
    ];
    for (path, fields, [tag, vary, ranges]) in rows {
        let response = get(path, fields);
        let shown = response.raw.escape_ascii().to_string();
        assert_eq!(response.field("ETag"), tag, "{path} {fields:?}: {shown}");
        assert_eq!(response.field("Vary"), vary, "{path} {fields:?}: {shown}");
        assert_eq!(response.field("Accept-Ranges"), ranges, "{path} {fields:?}: {shown}");
        if response.field("Content-Encoding").is_some() {
            assert_eq!(response.field("Digest"), None, "{shown}");
        }
    }
    // what the client holds goes to the target as it is: weak comparison finds it
    let asked = web.received().into_iter().filter_map(|r| r.request.fields.one("If-None-Match").map(str::to_owned));
    assert_eq!(asked.collect::<Vec<_>>(), ["W/\"a\"", "\"b\", W/\"a\"", "\"a\""]);
}

/// Reads chunks until `length` bytes of content can be decoded.
fn read_until(client: &mut Client, coding: &str, coded: &mut Vec<u8>, length: usize) -> Vec<u8> {
    loop {
        let found = decoded(coding, coded);
        if found.len() >= length {
            return found;
        }
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.extend(client.bytes(1));
        }
        let size = String::from_utf8_lossy(&size);
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap_or_else(|_| panic!("size {size:?}"));
        assert_ne!(size, 0, "the end, and only {} of {length} bytes", found.len());
        coded.extend_from_slice(&client.bytes(size));
        assert_eq!(client.bytes(2), b"\r\n");
    }
}

/// What a target has sent so far can be read by the client before the target sends more, event by event.
#[test]
fn nothing_is_held_back() {
    let pieces = ["data: one\n\n".to_owned(), "data: two\n\n".to_owned(), text(50_000), "data: end\n\n".to_owned()];
    let mut origin = Origin::new("web");
    let mut gates = Vec::new();
    for coding in ["br", "zstd", "gzip"] {
        let own: Vec<Gate> = pieces.iter().map(|_| Gate::new()).collect();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut steps = vec![Step::send(head)];
        for (piece, gate) in pieces.iter().zip(&own) {
            steps.push(Step::send(format!("{:x}\r\n{piece}\r\n", piece.len())));
            steps.push(Step::Wait(gate.clone()));
        }
        steps.push(Step::send("0\r\n\r\n"));
        origin = origin.on(&format!("/{coding}"), steps);
        gates.push((coding, own));
    }
    let web = origin.start();
    let headworks = start(&proxy(", compression: { types: text/event-stream }", ""), &[("web", &web)]);
    for (coding, gates) in gates {
        let mut client = headworks.client();
        client.ask(&ask("GET", &format!("/{coding}")).with(&format!("Accept-Encoding: {coding}")));
        let head = client.response_head();
        assert_eq!((head.field("Content-Encoding"), head.framing), (Some(coding), Framing::Chunked), "{head}");
        let (mut coded, mut sent) = (Vec::new(), String::new());
        for (piece, gate) in pieces.iter().zip(&gates) {
            sent.push_str(piece);
            let found = read_until(&mut client, coding, &mut coded, sent.len());
            assert!(found == sent.as_bytes(), "{coding}");
            gate.open();
        }
        coded.extend_from_slice(&client.body(Framing::Chunked));
        assert!(decoded(coding, &coded) == sent.as_bytes(), "{coding}");
        assert_eq!(client.exchange(&ask("GET", "/next")).echo().target, "/next");
    }
}

/// A client that does not read stops the target; when it does read, it gets everything.
#[test]
fn back_pressure() {
    // random enough that it stays large
    let mut seed = 5u64;
    let noise: String = (0..24_000_000)
        .map(|_| {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            char::from(b'!' + (seed >> 58) as u8)
        })
        .collect();
    let done = Gate::new();
    let web = Origin::new("web")
        .on("/noise", [answer(&["Content-Type: text/plain"], &noise), Step::Open(done.clone())])
        .start();
    let headworks = start(&proxy(", compression: { algorithms: [zstd], levels: { zstd: 1 } }", ""), &[("web", &web)]);
    let mut client = headworks.client();
    client.ask(&ask("GET", "/noise").with("Accept-Encoding: zstd"));
    let head = client.response_head();
    assert_eq!(head.field("Content-Encoding"), Some("zstd"), "{head}");
    // other requests are served meanwhile
    for _ in 0..20 {
        assert_eq!(headworks.ask(&ask("GET", "/other")).status, 200);
    }
    let memory = crate::body::resident(headworks.pid());
    assert!(memory < 200 * 1024, "{memory} KiB are held for an answer that nobody reads");
    let coded = client.body(Framing::Chunked);
    assert!(coded.len() > 10_000_000, "{}", coded.len());
    assert!(decoded("zstd", &coded) == noise.as_bytes());
    done.expect("the target to be rid of its answer");
}

/// A body that breaks off looks broken in any coding: no last chunk, and the connection ends.
#[test]
fn answers_that_break_off() {
    let part = text(4000);
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{HTML}\r\n{fields}\r\n\r\n");
    let rows = [
        ("/sized", vec![Step::send(head("Content-Length: 100000") + &part), Step::Close]),
        ("/reset", vec![Step::send(head("Content-Length: 100000") + &part), Step::Reset]),
        ("/chunked", vec![Step::send(head("Transfer-Encoding: chunked") + &format!("fa0\r\n{part}\r\n")), Step::Close]),
        (
            "/malformed",
            vec![Step::send(head("Transfer-Encoding: chunked") + &format!("fa0\r\n{part}\r\nzz\r\n")), Step::ReadToEnd],
        ),
    ];
    let origin = rows.iter().fold(Origin::new("web"), |origin, (path, steps)| origin.on(path, steps.clone()));
    let web = origin.start();
    let headworks = start(&proxy(", compression: {}", ""), &[("web", &web)]);
    check(
        rows.iter().flat_map(|(path, _)| ["br", "zstd", "gzip"].map(|coding| (*path, coding))),
        |row| format!("{} {}", row.0, row.1),
        |(path, coding)| {
            let mut client = headworks.client();
            let asked = ask("GET", path).with(&format!("Accept-Encoding: {coding}"));
            match client.ask(&asked).try_response_to("GET") {
                Ok(response) => assert_eq!(response.status, 502, "{response}"),
                Err(end) => assert!(matches!(end, End::Reset | End::Malformed(_)), "{end}"),
            }
            let (_, end) = client.rest();
            assert!(matches!(end, End::Closed | End::Reset), "{end}");
        },
    );
    headworks.expect_alive();
}

/// What a listener says in every answer goes with it, and connections are used again on both sides.
#[test]
fn together_with_attributes_and_cookies() {
    let web = Origin::new("web").on("/", [answer(&[HTML, "Server: app", "Set-Cookie: own=1"], &text(5000))]).start();
    let yaml = proxy(", compression: {}", ", stickiness: { type: lb_cookie, duration: 1h }")
        .replace("default:", "response_headers: { server: false, x_frame_options: DENY }, default:");
    let headworks = start(&format!("workers: 1\n{yaml}"), &[("web", &web)]);
    let mut client = headworks.client();
    for number in 1..=3 {
        let response = client.exchange(&ask("GET", "/").with("Accept-Encoding: br"));
        assert!(content(&response).0 == text(5000).as_bytes());
        assert_eq!((response.field("X-Frame-Options"), response.field("Server")), (Some("DENY"), None));
        assert_eq!(response.fields.all("Set-Cookie").len(), 3);
        let last = web.received().last().map(|received| (received.connection, received.number));
        assert_eq!(last, Some((1, number)));
    }
}
