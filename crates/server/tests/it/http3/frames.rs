//! HTTP/3 frame by frame: what a client must not send, section by section of RFC 9114 and RFC 9204, and the error that the
//! RFC names for it.

use headworks_message::h3::Code;
use headworks_testkit::{Caller, Origin, check};

use super::quic::{Answer, Client, NAME, Refused, control, frame, headers, request};
use super::secured;
use crate::start;
use crate::tls::folder;

const DATA: u64 = 0x00;
const HEADERS: u64 = 0x01;
const CANCEL_PUSH: u64 = 0x03;
const SETTINGS: u64 = 0x04;
const PUSH_PROMISE: u64 = 0x05;
const GOAWAY: u64 = 0x07;
const MAX_PUSH_ID: u64 = 0x0d;

/// What a client does.
#[derive(Clone)]
enum Part {
    /// A unidirectional stream; whether it ends.
    Uni(Vec<u8>, bool),
    /// A request's stream, whole.
    Ask(Vec<u8>),
}
use Part::{Ask, Uni};

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Status(u16),
    Resets(Code),
    Ends(Code),
}
use Expect::{Ends, Resets, Status};

type Row = (&'static str, Vec<Part>, Expect);

fn get() -> Vec<u8> {
    request("GET", "/", &[])
}

fn on_control(more: impl AsRef<[u8]>) -> Part {
    Uni([&control(), more.as_ref()].concat(), false)
}

/// RFC 9114 sections 6 and 7, where a connection ends.
fn connection_rows() -> Vec<Row> {
    let ask = |parts: &[&[u8]]| Ask(parts.concat());
    let greeted = |part: Part| vec![Uni(control(), false), part];
    let with_settings = |payload: &[u8]| vec![Uni([&[0][..], &frame(SETTINGS, payload)].concat(), false)];
    let unexpected = Ends(Code::FrameUnexpected);
    let mut rows = vec![
        (
            "6.2: a stream that nobody knows",
            vec![Uni(vec![0x21, 1, 2, 3], true), Uni(control(), false), Ask(get())],
            Status(200),
        ),
        (
            "6.2: a stream that ends before its type",
            vec![Uni(vec![0x40], true), Uni(control(), false), Ask(get())],
            Status(200),
        ),
        (
            "6.2.1: two control streams",
            vec![Uni(control(), false), Uni(control(), false)],
            Ends(Code::StreamCreationError),
        ),
        ("6.2.1: a control stream that ends", vec![Uni(control(), true)], Ends(Code::ClosedCriticalStream)),
        ("6.2.1: no settings", vec![Uni([&[0][..], &frame(GOAWAY, [0])].concat(), false)], Ends(Code::MissingSettings)),
        ("6.2.2: a push stream", greeted(Uni(vec![0x01, 0], false)), Ends(Code::StreamCreationError)),
        ("7.1: a frame that breaks off", greeted(ask(&[&get(), &[0x00, 0x05, b'a']])), Ends(Code::FrameError)),
        ("7.1: a frame head that breaks off", greeted(ask(&[&get(), &[0x00]])), Ends(Code::FrameError)),
        ("7.1: a head that breaks off", greeted(ask(&[&[0x01, 0x05, 0x00]])), Ends(Code::FrameError)),
        ("7.2.1: DATA before a head", greeted(ask(&[&frame(DATA, "a"), &get()])), unexpected),
        ("7.2.1: DATA on the control stream", vec![on_control(frame(DATA, "a"))], unexpected),
        ("7.2.2: HEADERS on the control stream", vec![on_control(get())], unexpected),
        ("7.2.3: CANCEL_PUSH of nothing", vec![on_control(frame(CANCEL_PUSH, [0]))], Ends(Code::IdError)),
        ("7.2.4: SETTINGS again", vec![on_control(frame(SETTINGS, ""))], unexpected),
        ("7.2.4: a setting that breaks off", with_settings(&[0x06]), Ends(Code::FrameError)),
        ("7.2.4: a setting twice", with_settings(&[0x06, 0, 0x06, 0]), Ends(Code::SettingsError)),
        ("7.2.4.1: a setting of HTTP/2", with_settings(&[0x02, 0]), Ends(Code::SettingsError)),
        ("RFC 9220 3: no boolean", with_settings(&[0x08, 2]), Ends(Code::SettingsError)),
        ("7.2.5: PUSH_PROMISE on the control stream", vec![on_control(frame(PUSH_PROMISE, [0]))], unexpected),
        ("7.2.6: GOAWAY", vec![on_control(frame(GOAWAY, [0])), Ask(get())], Status(200)),
        ("7.2.6: GOAWAY without a number", vec![on_control(frame(GOAWAY, ""))], Ends(Code::FrameError)),
        ("7.2.6: GOAWAY with more than one", vec![on_control(frame(GOAWAY, [0, 0]))], Ends(Code::FrameError)),
        ("7.2.7: MAX_PUSH_ID", vec![on_control(frame(MAX_PUSH_ID, [8])), Ask(get())], Status(200)),
        (
            "7.2.7: MAX_PUSH_ID that shrinks",
            vec![on_control([frame(MAX_PUSH_ID, [8]), frame(MAX_PUSH_ID, [7])].concat())],
            Ends(Code::IdError),
        ),
        (
            "9: unknown frames",
            vec![on_control(frame(0x21, "a")), ask(&[&frame(0x21, "abc"), &get(), &frame(0x40, "")])],
            Status(200),
        ),
        ("10.5: endless settings", vec![Uni(vec![0, 0x04, 0x80, 1, 0, 0], false)], Ends(Code::ExcessiveLoad)),
        (
            "4.1: DATA behind trailers",
            greeted(ask(&[&post(), &frame(DATA, "a"), &headers(&[("a", "b")]), &frame(DATA, "b")])),
            unexpected,
        ),
        ("4.1: trailers twice", greeted(ask(&[&post(), &headers(&[("a", "b")]), &headers(&[("a", "b")])])), unexpected),
        (
            "RFC 9204 4.2: two encoder streams",
            vec![Uni(vec![0x02], false), Uni(vec![0x02], false)],
            Ends(Code::StreamCreationError),
        ),
        (
            "RFC 9204 4.2: two decoder streams",
            vec![Uni(vec![0x03], false), Uni(vec![0x03], false)],
            Ends(Code::StreamCreationError),
        ),
        ("RFC 9204 4.2: an encoder stream that ends", vec![Uni(vec![0x02], true)], Ends(Code::ClosedCriticalStream)),
        (
            "RFC 9204 4.3.1: a capacity of 0",
            vec![Uni(control(), false), Uni(vec![0x02, 0x20], false), Ask(get())],
            Status(200),
        ),
        (
            "RFC 9204 4.3.1: a capacity above ours",
            vec![Uni(vec![0x02, 0x21], false)],
            Ends(Code::QpackEncoderStreamError),
        ),
        (
            "RFC 9204 4.3.2: an insertion",
            vec![Uni(vec![0x02, 0xc0, 0x01, b'a'], false)],
            Ends(Code::QpackEncoderStreamError),
        ),
        (
            "RFC 9204 4.4.1: an acknowledgment of nothing",
            vec![Uni(vec![0x03, 0x80], false)],
            Ends(Code::QpackDecoderStreamError),
        ),
        (
            "RFC 9204 4.4.2: a stream cancellation",
            vec![Uni(control(), false), Uni(vec![0x03, 0x44, 0x7f, 0x81, 0x01], false), Ask(get())],
            Status(200),
        ),
        ("RFC 9204 4.4.3: an increment", vec![Uni(vec![0x03, 0x01], false)], Ends(Code::QpackDecoderStreamError)),
        (
            "RFC 9204 2.2.3: a dynamic reference",
            greeted(ask(&[&frame(HEADERS, [0, 0, 0x80])])),
            Ends(Code::QpackDecompressionFailed),
        ),
        (
            "RFC 9204 4.5.1: a required insert",
            greeted(ask(&[&frame(HEADERS, [1, 0, 0xd1])])),
            Ends(Code::QpackDecompressionFailed),
        ),
        (
            "RFC 9204 3.1: no such entry",
            greeted(ask(&[&frame(HEADERS, [0, 0, 0xff, 0x7f])])),
            Ends(Code::QpackDecompressionFailed),
        ),
        (
            "RFC 9204 4.1.2: padding that is none",
            greeted(ask(&[&frame(HEADERS, [0, 0, 0x51, 0x81, 0x00])])),
            Ends(Code::QpackDecompressionFailed),
        ),
    ];
    for (name, kind) in [
        ("7.2.3: CANCEL_PUSH on a request's stream", CANCEL_PUSH),
        ("7.2.4: SETTINGS on a request's stream", SETTINGS),
        ("7.2.5: PUSH_PROMISE on a request's stream", PUSH_PROMISE),
        ("7.2.6: GOAWAY on a request's stream", GOAWAY),
        ("7.2.7: MAX_PUSH_ID on a request's stream", MAX_PUSH_ID),
        ("7.2.8: PRIORITY of HTTP/2", 0x02),
        ("7.2.8: PING of HTTP/2", 0x06),
        ("7.2.8: WINDOW_UPDATE of HTTP/2", 0x08),
        ("7.2.8: CONTINUATION of HTTP/2", 0x09),
    ] {
        rows.push((name, greeted(ask(&[&frame(kind, [0]), &get()])), unexpected));
        rows.push((name, greeted(ask(&[&post(), &frame(kind, [0])])), unexpected));
    }
    rows.push(("7.2.8: one of HTTP/2 on the control stream", vec![on_control(frame(0x06, [0; 8]))], unexpected));
    rows
}

/// A request that has content to come.
fn post() -> Vec<u8> {
    request("POST", "/", &[])
}

/// RFC 9114 section 4: what is no request, or one that cannot be forwarded.
fn message_rows() -> Vec<Row> {
    let ask = |parts: &[&[u8]]| vec![Ask(parts.concat())];
    let malformed = Resets(Code::MessageError);
    let with = |more: &[(&str, &str)]| ask(&[&request("GET", "/", more)]);
    let only = |fields: &[(&str, &str)]| ask(&[&headers(fields)]);
    let raw = |bytes: &[u8]| {
        let base: Vec<u8> = request("GET", "/", &[])[2..].to_vec();
        ask(&[&frame(HEADERS, [&base, bytes].concat())])
    };
    let (method, scheme, path, authority) =
        ((":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", NAME));
    let long = "x".repeat(17_000);
    let longer: Vec<(&str, &str)> = vec![("x-long", long.get(..8000).unwrap_or_default()); 10];
    vec![
        ("4.1: nothing", ask(&[]), Resets(Code::RequestIncomplete)),
        ("4.1: unknown frames alone", ask(&[&frame(0x21, "a")]), Resets(Code::RequestIncomplete)),
        (
            "4.1: content and trailers",
            ask(&[&post(), &frame(DATA, "abc"), &frame(DATA, ""), &headers(&[("x-sum", "1")])]),
            Status(200),
        ),
        (
            "4.1: an unknown frame behind trailers",
            ask(&[&post(), &headers(&[("x-sum", "1")]), &frame(0x21, "a")]),
            Status(200),
        ),
        (
            "4.1.2: more than Content-Length says",
            ask(&[&request("POST", "/", &[("content-length", "2")]), &frame(DATA, "abc")]),
            malformed,
        ),
        (
            "4.1.2: less than Content-Length says",
            ask(&[&request("POST", "/", &[("content-length", "4")]), &frame(DATA, "abc")]),
            malformed,
        ),
        (
            "4.1.2: as much as Content-Length says",
            ask(&[&request("POST", "/", &[("content-length", "3")]), &frame(DATA, "a"), &frame(DATA, "bc")]),
            Status(200),
        ),
        ("4.2: a name in upper case", raw(b"\x21A\x01a"), malformed),
        ("4.2: a name with a space", raw(b"\x23a b\x01a"), malformed),
        ("4.2: a name that is empty", raw(b"\x20\x01a"), malformed),
        ("4.2: a value with CR LF", raw(b"\x21a\x05a\r\nb:"), malformed),
        ("4.2: a value with NUL", raw(b"\x21a\x02a\0"), malformed),
        ("4.2: a value with space around", raw(b"\x21a\x02 a"), malformed),
        ("4.2: Connection", with(&[("connection", "close")]), malformed),
        ("4.2: Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), malformed),
        ("4.2: Upgrade", with(&[("upgrade", "websocket")]), malformed),
        ("4.2: Keep-Alive", with(&[("keep-alive", "1")]), malformed),
        ("4.2: Proxy-Connection", with(&[("proxy-connection", "close")]), malformed),
        ("4.2: TE that says more", with(&[("te", "gzip")]), malformed),
        ("4.2: TE: trailers", with(&[("te", "trailers")]), Status(200)),
        ("4.2.2: a head that is too long", with(&longer), Status(400)),
        ("4.2.2: a field that is too long", with(&[("x-long", &long)]), Status(400)),
        ("4.3: a pseudo-field behind others", only(&[method, scheme, authority, ("a", "b"), path]), malformed),
        ("4.3: a pseudo-field nobody knows", only(&[method, scheme, authority, path, (":x", "y")]), malformed),
        ("4.3: one of answers", only(&[method, scheme, authority, path, (":status", "200")]), malformed),
        ("4.3: in trailers", ask(&[&post(), &headers(&[(":path", "/")])]), malformed),
        ("4.3.1: no method", only(&[scheme, authority, path]), malformed),
        ("4.3.1: no scheme", only(&[method, authority, path]), malformed),
        ("4.3.1: no path", only(&[method, scheme, authority]), malformed),
        ("4.3.1: a path twice", only(&[method, scheme, authority, path, path]), malformed),
        ("4.3.1: a method that is none", only(&[(":method", "G T"), scheme, authority, path]), malformed),
        ("4.3.1: nobody it is for", only(&[method, scheme, path]), Status(400)),
        ("4.3.1: Host in place of an authority", only(&[method, scheme, path, ("host", NAME)]), Status(200)),
        ("4.3.1: another Host", only(&[method, scheme, authority, path, ("host", "b")]), Status(400)),
        ("4.3.1: an authority with a user", only(&[method, scheme, (":authority", "u@a"), path]), Status(400)),
        ("4.3.1: a path that is none", only(&[method, scheme, authority, (":path", "x")]), Status(400)),
        ("4.3.1: an empty path", only(&[method, scheme, authority, (":path", "")]), Status(400)),
        ("4.3.1: * of OPTIONS", only(&[(":method", "OPTIONS"), scheme, authority, (":path", "*")]), Status(200)),
        ("4.3.1: * of others", only(&[method, scheme, authority, (":path", "*")]), Status(400)),
        ("4.4: CONNECT", only(&[(":method", "CONNECT"), authority]), Status(405)),
        ("4.4: CONNECT with a path", only(&[(":method", "CONNECT"), authority, path]), malformed),
        (
            "RFC 9220: a protocol nobody knows",
            only(&[(":method", "CONNECT"), (":protocol", "x"), scheme, authority, path]),
            Status(501),
        ),
        (
            "RFC 9220: a protocol of GET",
            only(&[method, (":protocol", "websocket"), scheme, authority, path]),
            malformed,
        ),
        ("RFC 9110 9.3.8: TRACE", only(&[(":method", "TRACE"), scheme, authority, path]), Status(405)),
    ]
}

fn run(rows: Vec<Row>, greets: bool) {
    let folder = folder();
    let web = Origin::new("web").lenient().start();
    let headworks = start(&secured(&folder, ""), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    check(
        rows,
        |row| row.0,
        |(_, parts, expect)| {
            let mut client = Client::connect(&caller, headworks.address());
            if greets {
                client.say(&control(), false);
            }
            let mut answer: Option<Result<Answer, Refused>> = None;
            for part in parts {
                match part {
                    Uni(bytes, ends) => client.say(bytes, *ends),
                    Ask(bytes) => answer = Some(client.ask(bytes)),
                }
            }
            match expect {
                Ends(code) => assert_eq!(client.ended(), Some(*code as u64), "{answer:?}"),
                Resets(code) => assert_eq!(answer, Some(Err(Refused::Reset(*code as u64)))),
                Status(status) => {
                    let found = answer.and_then(Result::ok).map(|answer| answer.status);
                    assert_eq!(found, Some(*status));
                }
            }
            if !matches!(expect, Ends(_)) {
                let next = client.ask(&get()).map(|answer| answer.status);
                assert_eq!(next, Ok(200), "another request on the same connection");
            }
        },
    );
    headworks.expect_alive();
    let malformed = web.malformed();
    assert!(malformed.is_empty(), "the target was sent what is not by RFC 9112: {malformed:?}");
}

#[test]
fn connections() {
    run(connection_rows(), false);
}

#[test]
fn messages() {
    run(message_rows(), true);
}
