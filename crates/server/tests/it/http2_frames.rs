//! HTTP/2 frame by frame: what a client must not send, and what must be answered, section by section of RFC 9113 and
//! RFC 7541. What is expected is the RFCs' word.

mod rows;

use headworks_testkit::frames::code::PROTOCOL_ERROR;
use headworks_testkit::frames::flag::{ACK, END_STREAM};
use headworks_testkit::frames::{Frame, PREFACE, data, frame, headers, kind, ping, request, reset, settings, window};
use headworks_testkit::stream::End;
use headworks_testkit::{Client, Origin, check};

use self::rows::{
    Acknowledged, Answered, Ends, Expect, Ignored, Malformed, Resets, Row, Say, Status, connection_rows, get,
    hpack_rows, message_rows,
};
use crate::{proxy, start};

/// Several requests, one after the other: behind what is tried, another one must be answered on this stream.
const NEXT: u32 = 201;

#[test]
fn connection_and_frames() {
    run(connection_rows());
}

#[test]
fn header_compression() {
    run(hpack_rows());
}

#[test]
fn messages() {
    run(message_rows());
}

fn run(rows: Vec<Row>) {
    let web = Origin::new("web").lenient().start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    check(
        rows,
        |row| row.0,
        |(_, parts, expect)| {
            let mut client = headworks.client();
            client.begin_http2(&[]);
            // the settings of the handshake are acknowledged before anything is judged by its ACK
            client.frame_until("the first ACK", |frame| frame.kind == kind::SETTINGS && frame.flags == ACK);
            for part in parts {
                match part {
                    Say(bytes) => {
                        client.send_anyway(bytes);
                    }
                    Answered(stream) => {
                        client.frame_until("an answer", |frame| frame.stream == *stream && frame.ends_stream());
                    }
                }
            }
            judge(&mut client, *expect);
        },
    );
    headworks.expect_alive();
    let malformed = web.malformed();
    assert!(malformed.is_empty(), "the target was sent what is not by RFC 9112: {malformed:?}");
}

fn judge(client: &mut Client, expect: Expect) {
    let what = format!("{expect:?}");
    let decides = |frame: &Frame| {
        let of_stream = frame.stream == 1 && matches!(frame.kind, kind::RST_STREAM | kind::HEADERS);
        match expect {
            Acknowledged(kind) if frame.kind == kind => true,
            Ignored | Acknowledged(_) => frame.kind == kind::GOAWAY,
            Ends(_) => frame.kind == kind::GOAWAY,
            // an answer may be on its way already when the stream is reset
            Resets(_) => frame.kind == kind::GOAWAY || of_stream && frame.kind == kind::RST_STREAM,
            Malformed | Status(_) => frame.kind == kind::GOAWAY || of_stream,
        }
    };
    if expect == Ignored {
        return goes_on(client);
    }
    let frame = client.frame_until(&what, decides);
    let status = frame.status();
    let matches = match expect {
        Ends(code) => frame.kind == kind::GOAWAY && frame.code() == Some(code),
        Resets(code) => frame.kind == kind::RST_STREAM && frame.code() == Some(code),
        Malformed => frame.kind == kind::RST_STREAM && frame.code() == Some(PROTOCOL_ERROR) || status == Some(400),
        Status(expected) => status == Some(expected),
        Acknowledged(kind) => frame.kind == kind && frame.flags == ACK,
        Ignored => true,
    };
    assert!(matches, "expected {what}, there came {frame:x?}, {status:?}");
    match expect {
        Ends(_) => {
            let end = loop {
                match client.frame() {
                    Ok(frame) => assert!(frame.kind == kind::GOAWAY || frame.kind == kind::RST_STREAM, "{frame:x?}"),
                    Err(end) => break end,
                }
            };
            assert!(matches!(end, End::Closed | End::Reset), "{end}");
        }
        _ => goes_on(client),
    }
}

/// Another request on the same connection is answered.
fn goes_on(client: &mut Client) {
    client.send_anyway(headers(END_STREAM, NEXT, request("/next", &[])));
    let answer = client.frame_until("the next answer", |frame| frame.stream == NEXT || frame.kind == kind::GOAWAY);
    assert_eq!(answer.status(), Some(200), "{answer:x?}");
}

/// RFC 9113 section 3.4: what is no preface is no HTTP/2.
#[test]
fn prefaces() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let broken = [&PREFACE[..20], b"XX\r\n\r\n"].concat();
    let rows: [(&str, Vec<u8>); 4] = [
        ("another word at its end", broken),
        ("a word that is none", b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec()),
        ("no SETTINGS behind it", [PREFACE, &ping([0; 8])].concat()),
        ("a request behind it", [PREFACE, &get(1)].concat()),
    ];
    check(
        rows,
        |row| row.0,
        |(_, bytes)| {
            let mut client = headworks.client();
            client.send_anyway(bytes);
            let (rest, end) = client.rest();
            assert!(matches!(end, End::Closed | End::Reset), "{end}");
            let answered = web.received().len();
            assert_eq!(answered, 0, "{rest:x?}");
        },
    );
    headworks.expect_alive();
}

/// Frames at random, from a seed that a failure names and `HEADWORKS_SEED` repeats: whatever comes, the program answers other
/// clients.
#[test]
fn noise() {
    let web = Origin::new("web").lenient().start();
    let headworks = start(&proxy(", idle_timeout: 2s", ""), &[("web", &web)]);
    let seed = std::env::var("HEADWORKS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u32);
    check(
        seed..seed + 300,
        |seed| format!("seed {seed}"),
        |seed| {
            let mut random = u64::from(*seed) | 1 << 40;
            let mut below = move |limit: u64| {
                // xorshift64
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % limit
            };
            let mut client = headworks.client();
            client.begin_http2(&[]);
            for _ in 0..below(40) {
                let stream = u32::try_from(below(12)).unwrap_or(1);
                let bytes = match below(8) {
                    0..3 => headers((below(2) as u8) * END_STREAM, stream, request("/", &[])),
                    3 => data((below(2) as u8) * END_STREAM, stream, vec![b'x'; below(2000) as usize]),
                    4 => reset(stream, below(14) as u32),
                    5 => window(below(2) as u32 * stream, below(1 << 31) as u32),
                    6 => settings(&[(below(8) as u16, below(1 << 20) as u32)]),
                    _ => {
                        let payload: Vec<u8> = (0..below(64)).map(|_| below(256) as u8).collect();
                        frame(below(11) as u8, below(256) as u8, stream, payload)
                    }
                };
                client.send_anyway(bytes);
            }
            client.finish();
            while client.frame().is_ok() {}
        },
    );
    let mut client = headworks.client();
    client.begin_http2(&[]);
    goes_on(&mut client);
    let _ = headworks.wait_metrics("headworks_target_in_flight_requests", &[], 0.0);
    let malformed = web.malformed();
    assert!(malformed.is_empty(), "the target was sent what is not by RFC 9112: {malformed:?}");
}
