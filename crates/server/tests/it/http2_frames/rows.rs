//! The rows: what is sent, what must come of it, and where something else does.

use headworks_testkit::frames::code::{
    COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED,
};
use headworks_testkit::frames::flag::{ACK, END_HEADERS, END_STREAM, NONE, PADDED, PRIORITY, WHOLE};
use headworks_testkit::frames::{block, data, frame, headers, kind, ping, request, reset, setting, settings, window};

/// What a client says, or waits for.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Say(Vec<u8>),
    /// The answer on this stream has ended.
    Answered(u32),
}
pub(super) use Part::{Answered, Say};

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// A connection error (RFC 9113 section 5.4.1): GOAWAY with this code, then the end.
    Ends(u32),
    /// A stream error (section 5.4.2) on stream 1: RST_STREAM with this code, and other streams go on.
    Resets(u32),
    /// A malformed request on stream 1 (section 8.1.1): RST_STREAM with PROTOCOL_ERROR or 400, and other streams go on.
    Malformed,
    /// This status on stream 1, and other streams go on.
    Status(u16),
    /// Nothing in particular, and other streams go on.
    Ignored,
    /// A frame of this type with ACK, and other streams go on.
    Acknowledged(u8),
}
pub(super) use Expect::{Acknowledged, Ends, Ignored, Malformed, Resets, Status};

pub(super) type Row = (&'static str, Vec<Part>, Expect);

fn say(frames: &[Vec<u8>]) -> Vec<Part> {
    vec![Say(frames.concat())]
}

/// A request without a body.
pub(super) fn get(stream: u32) -> Vec<u8> {
    headers(END_STREAM, stream, request("/", &[]))
}

/// A request whose body is to come.
fn post(stream: u32, more: &[&str]) -> Vec<u8> {
    let usual = [":method: POST", ":scheme: http", ":authority: test.example", ":path: /"];
    headers(NONE, stream, block(&[&usual, more].concat()))
}

pub(super) fn connection_rows() -> Vec<Row> {
    let half = request("/", &[]);
    let (first, second) = half.split_at(9);
    let begun = frame(kind::HEADERS, END_STREAM, 1, first);
    let ended = frame(kind::CONTINUATION, END_HEADERS, 1, second);
    let padded = |pad: u8, rest: &[u8]| [&[pad], rest].concat();
    let depends = |on: u32, rest: &[u8]| [&on.to_be_bytes()[..], &[15], rest].concat();
    vec![
        // 4.1, 5.5: what is not known is ignored
        ("4.1 unknown type", say(&[frame(0xfa, 0xff, 0, "12345678"), frame(0xfa, 0, 1, "1")]), Ignored),
        ("4.1 unknown flags", say(&[frame(kind::PING, 0xfe, 0, [7; 8])]), Acknowledged(kind::PING)),
        ("4.1 reserved bit", say(&[frame(kind::PING, NONE, 1 << 31, [7; 8])]), Acknowledged(kind::PING)),
        (
            "5.5 unknown type inside a block",
            say(&[begun.clone(), frame(0xfa, 0, 0, ""), ended.clone()]),
            Ends(PROTOCOL_ERROR),
        ),
        // 4.2
        ("4.2 DATA of the largest size", say(&[post(1, &[]), data(END_STREAM, 1, [0; 16384])]), Status(200)),
        ("4.2 DATA above the size", say(&[post(1, &[]), data(END_STREAM, 1, [0; 16385])]), Ends(FRAME_SIZE_ERROR)),
        (
            "4.2 HEADERS above the size",
            say(&[headers(END_STREAM, 1, request("/", &[&format!("x: {}", "y".repeat(16384))]))]),
            Ends(FRAME_SIZE_ERROR),
        ),
        // 4.3
        ("4.3 index of nothing", say(&[headers(END_STREAM, 1, [0x80])]), Ends(COMPRESSION_ERROR)),
        (
            "4.3 PRIORITY inside a block",
            say(&[begun.clone(), frame(kind::PRIORITY, NONE, 1, depends(0, &[])), ended.clone()]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "4.3 HEADERS of another stream inside a block",
            say(&[begun.clone(), get(3), ended.clone()]),
            Ends(PROTOCOL_ERROR),
        ),
        // 5.1: idle
        ("5.1 DATA on idle", say(&[data(END_STREAM, 1, "x")]), Ends(PROTOCOL_ERROR)),
        ("5.1 RST_STREAM on idle", say(&[reset(1, 8)]), Ends(PROTOCOL_ERROR)),
        ("5.1 WINDOW_UPDATE on idle", say(&[window(1, 100)]), Ends(PROTOCOL_ERROR)),
        ("5.1 CONTINUATION on idle", say(std::slice::from_ref(&ended)), Ends(PROTOCOL_ERROR)),
        ("5.1 PRIORITY on idle", say(&[frame(kind::PRIORITY, NONE, 3, depends(0, &[]))]), Ignored),
        // 5.1: half-closed by the client
        ("5.1 DATA on half-closed", say(&[get(1), data(END_STREAM, 1, "x")]), Resets(STREAM_CLOSED)),
        ("5.1 HEADERS on half-closed", say(&[get(1), get(1)]), Resets(STREAM_CLOSED)),
        ("5.1 CONTINUATION on half-closed", say(&[get(1), ended.clone()]), Ends(PROTOCOL_ERROR)),
        ("5.1 WINDOW_UPDATE on half-closed", say(&[get(1), window(1, 100)]), Status(200)),
        // 5.1: closed by the client's reset
        ("5.1 DATA after a reset", say(&[post(1, &[]), reset(1, 8), data(END_STREAM, 1, "x")]), Resets(STREAM_CLOSED)),
        ("5.1 HEADERS after a reset", say(&[post(1, &[]), reset(1, 8), get(1)]), Resets(STREAM_CLOSED)),
        ("5.1 CONTINUATION after a reset", say(&[post(1, &[]), reset(1, 8), ended.clone()]), Ends(PROTOCOL_ERROR)),
        // 5.1: closed by both ends
        ("5.1 DATA on closed", vec![Say(get(1)), Answered(1), Say(data(END_STREAM, 1, "x"))], Ends(STREAM_CLOSED)),
        ("5.1 HEADERS on closed", vec![Say(get(1)), Answered(1), Say(get(1))], Ends(STREAM_CLOSED)),
        ("5.1 CONTINUATION on closed", vec![Say(get(1)), Answered(1), Say(ended.clone())], Ends(PROTOCOL_ERROR)),
        ("5.1 WINDOW_UPDATE on closed", vec![Say(get(1)), Answered(1), Say(window(1, 100))], Ignored),
        ("5.1 RST_STREAM on closed", vec![Say(get(1)), Answered(1), Say(reset(1, 8))], Ignored),
        (
            "5.1 PRIORITY on closed",
            vec![Say(get(1)), Answered(1), Say(frame(kind::PRIORITY, NONE, 1, depends(0, &[])))],
            Ignored,
        ),
        // 5.1.1
        ("5.1.1 even identifier", say(&[get(2)]), Ends(PROTOCOL_ERROR)),
        ("5.1.1 decreasing identifier", vec![Say(get(5)), Answered(5), Say(get(3))], Ends(PROTOCOL_ERROR)),
        ("5.1.1 stream 0", say(&[get(0)]), Ends(PROTOCOL_ERROR)),
        // 5.3.1 of RFC 7540, whose PRIORITY is only parsed
        (
            "5.3.1 HEADERS depends on itself",
            say(&[frame(kind::HEADERS, WHOLE | PRIORITY, 1, depends(1, &half))]),
            Resets(PROTOCOL_ERROR),
        ),
        (
            "5.3.1 PRIORITY depends on itself",
            say(&[post(1, &[]), frame(kind::PRIORITY, NONE, 1, depends(1, &[]))]),
            Resets(PROTOCOL_ERROR),
        ),
        (
            "5.3.1 HEADERS with priority",
            say(&[frame(kind::HEADERS, WHOLE | PRIORITY, 1, depends(0, &half))]),
            Status(200),
        ),
        // 6.1
        ("6.1 DATA on stream 0", say(&[data(END_STREAM, 0, "x")]), Ends(PROTOCOL_ERROR)),
        ("6.1 padding", say(&[post(1, &[]), data(END_STREAM | PADDED, 1, padded(3, b"ab\0\0\0"))]), Status(200)),
        (
            "6.1 nothing but padding",
            say(&[post(1, &[]), data(END_STREAM | PADDED, 1, padded(3, b"\0\0\0"))]),
            Status(200),
        ),
        (
            "6.1 padding too long",
            say(&[post(1, &[]), data(END_STREAM | PADDED, 1, padded(6, b"ab"))]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "6.1 padding without its length",
            say(&[post(1, &[]), data(END_STREAM | PADDED, 1, "")]),
            Ends(FRAME_SIZE_ERROR),
        ),
        // 6.2
        (
            "6.2 padding",
            say(&[frame(kind::HEADERS, WHOLE | PADDED, 1, padded(2, &[&half[..], b"\0\0"].concat()))]),
            Status(200),
        ),
        (
            "6.2 padding too long",
            say(&[frame(kind::HEADERS, WHOLE | PADDED, 1, padded(255, &half))]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "6.2 padding and priority",
            say(&[frame(
                kind::HEADERS,
                WHOLE | PADDED | PRIORITY,
                1,
                padded(1, &depends(0, &[&half[..], b"\0"].concat())),
            )]),
            Status(200),
        ),
        ("6.2 priority cut short", say(&[frame(kind::HEADERS, WHOLE | PRIORITY, 1, [0; 3])]), Ends(FRAME_SIZE_ERROR)),
        // 6.3
        ("6.3 PRIORITY on stream 0", say(&[frame(kind::PRIORITY, NONE, 0, depends(1, &[]))]), Ends(PROTOCOL_ERROR)),
        (
            "6.3 PRIORITY of 4 bytes",
            say(&[post(1, &[]), frame(kind::PRIORITY, NONE, 1, [0; 4])]),
            Resets(FRAME_SIZE_ERROR),
        ),
        // 6.4
        ("6.4 RST_STREAM on stream 0", say(&[reset(0, 8)]), Ends(PROTOCOL_ERROR)),
        (
            "6.4 RST_STREAM of 3 bytes",
            say(&[post(1, &[]), frame(kind::RST_STREAM, NONE, 1, [0; 3])]),
            Ends(FRAME_SIZE_ERROR),
        ),
        (
            "6.4 RST_STREAM of 5 bytes",
            say(&[post(1, &[]), frame(kind::RST_STREAM, NONE, 1, [0; 5])]),
            Ends(FRAME_SIZE_ERROR),
        ),
        ("6.4 RST_STREAM", say(&[post(1, &[]), reset(1, 8)]), Ignored),
        ("6.4 RST_STREAM with an unknown code", say(&[post(1, &[]), reset(1, 0xfefe)]), Ignored),
        // 6.5
        ("6.5 acknowledged", say(&[settings(&[])]), Acknowledged(kind::SETTINGS)),
        ("6.5 ACK with a payload", say(&[frame(kind::SETTINGS, ACK, 0, [0; 6])]), Ends(FRAME_SIZE_ERROR)),
        ("6.5 ACK of nothing", say(&[frame(kind::SETTINGS, ACK, 0, "")]), Ends(PROTOCOL_ERROR)),
        ("6.5 on a stream", say(&[frame(kind::SETTINGS, NONE, 1, "")]), Ends(PROTOCOL_ERROR)),
        ("6.5 of 3 bytes", say(&[frame(kind::SETTINGS, NONE, 0, [0; 3])]), Ends(FRAME_SIZE_ERROR)),
        ("6.5 of 7 bytes", say(&[frame(kind::SETTINGS, NONE, 0, [0, 9, 0, 0, 0, 0, 0])]), Ends(FRAME_SIZE_ERROR)),
        ("6.5.2 unknown setting", say(&[settings(&[(0xfa, 7)])]), Acknowledged(kind::SETTINGS)),
        ("6.5.2 ENABLE_PUSH of 2", say(&[settings(&[(setting::ENABLE_PUSH, 2)])]), Ends(PROTOCOL_ERROR)),
        (
            "6.5.2 window of 2^31",
            say(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])]),
            Ends(FLOW_CONTROL_ERROR),
        ),
        ("6.5.2 frames of 16383", say(&[settings(&[(setting::MAX_FRAME_SIZE, 16383)])]), Ends(PROTOCOL_ERROR)),
        ("6.5.2 frames of 2^24", say(&[settings(&[(setting::MAX_FRAME_SIZE, 1 << 24)])]), Ends(PROTOCOL_ERROR)),
        (
            "6.5.2 everything at its limit",
            say(&[
                settings(&[
                    (setting::HEADER_TABLE_SIZE, 0),
                    (setting::ENABLE_PUSH, 0),
                    (setting::MAX_CONCURRENT_STREAMS, 0),
                    (setting::INITIAL_WINDOW_SIZE, (1 << 31) - 1),
                    (setting::MAX_FRAME_SIZE, (1 << 24) - 1),
                    (setting::MAX_HEADER_LIST_SIZE, u32::MAX),
                ]),
                get(1),
            ]),
            Acknowledged(kind::SETTINGS),
        ),
        (
            "6.5.3 the last of two counts",
            say(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 0), (setting::INITIAL_WINDOW_SIZE, 65535)]), get(1)]),
            Status(200),
        ),
        // 6.6, 8.4
        (
            "6.6 PUSH_PROMISE",
            say(&[get(1), frame(kind::PUSH_PROMISE, END_HEADERS, 1, [&2_u32.to_be_bytes()[..], &half].concat())]),
            Ends(PROTOCOL_ERROR),
        ),
        // 6.7
        ("6.7 answered", say(&[ping(*b"01234567")]), Acknowledged(kind::PING)),
        ("6.7 an answer is not answered", say(&[frame(kind::PING, ACK, 0, [1; 8])]), Ignored),
        ("6.7 on a stream", say(&[frame(kind::PING, NONE, 1, [0; 8])]), Ends(PROTOCOL_ERROR)),
        ("6.7 of 6 bytes", say(&[frame(kind::PING, NONE, 0, [0; 6])]), Ends(FRAME_SIZE_ERROR)),
        ("6.7 of 9 bytes", say(&[frame(kind::PING, NONE, 0, [0; 9])]), Ends(FRAME_SIZE_ERROR)),
        // 6.8
        ("6.8 GOAWAY on a stream", say(&[frame(kind::GOAWAY, NONE, 1, [0; 8])]), Ends(PROTOCOL_ERROR)),
        ("6.8 GOAWAY cut short", say(&[frame(kind::GOAWAY, NONE, 0, [0; 7])]), Ends(FRAME_SIZE_ERROR)),
        ("6.8 GOAWAY", say(&[frame(kind::GOAWAY, NONE, 0, [0; 8])]), Ends(NO_ERROR)),
        // 6.9
        ("6.9 increment of 0", say(&[window(0, 0)]), Ends(PROTOCOL_ERROR)),
        ("6.9 increment of 0 on a stream", say(&[post(1, &[]), window(1, 0)]), Resets(PROTOCOL_ERROR)),
        ("6.9 of 3 bytes", say(&[frame(kind::WINDOW_UPDATE, NONE, 0, [0; 3])]), Ends(FRAME_SIZE_ERROR)),
        ("6.9 of 5 bytes", say(&[frame(kind::WINDOW_UPDATE, NONE, 0, [1; 5])]), Ends(FRAME_SIZE_ERROR)),
        (
            "6.9.1 window over 2^31-1",
            say(&[window(0, (1 << 31) - 1), window(0, (1 << 31) - 1)]),
            Ends(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.1 window of a stream over 2^31-1",
            say(&[post(1, &[]), window(1, (1 << 31) - 1), window(1, (1 << 31) - 1)]),
            Resets(FLOW_CONTROL_ERROR),
        ),
        (
            "6.9.2 new window over 2^31-1",
            say(&[
                post(1, &[]),
                window(1, (1 << 31) - 1 - 65_535),
                settings(&[(setting::INITIAL_WINDOW_SIZE, 65_536)]),
            ]),
            Ends(FLOW_CONTROL_ERROR),
        ),
        // 6.10
        (
            "6.10 CONTINUATION",
            say(&[begun.clone(), frame(kind::CONTINUATION, NONE, 1, ""), ended.clone()]),
            Status(200),
        ),
        ("6.10 DATA inside a block", say(&[begun.clone(), data(NONE, 1, "x"), ended.clone()]), Ends(PROTOCOL_ERROR)),
        (
            "6.10 on stream 0",
            say(&[begun.clone(), frame(kind::CONTINUATION, END_HEADERS, 0, second)]),
            Ends(PROTOCOL_ERROR),
        ),
        (
            "6.10 on another stream",
            say(&[begun, frame(kind::CONTINUATION, END_HEADERS, 3, second)]),
            Ends(PROTOCOL_ERROR),
        ),
        ("6.10 after END_HEADERS", say(&[post(1, &[]), ended.clone()]), Ends(PROTOCOL_ERROR)),
        (
            "6.10 after END_HEADERS of another CONTINUATION",
            say(&[frame(kind::HEADERS, NONE, 1, first), ended.clone(), ended.clone()]),
            Ends(PROTOCOL_ERROR),
        ),
        ("6.10 after DATA", say(&[post(1, &[]), data(NONE, 1, "x"), ended]), Ends(PROTOCOL_ERROR)),
    ]
}

pub(super) fn hpack_rows() -> Vec<Row> {
    // :method GET, :scheme http, :path /, and :authority as a literal
    let indexed = [&[0x82, 0x86, 0x84, 0x41, 4][..], b"a.ex"].concat();
    let with = |tail: &[u8]| say(&[headers(END_STREAM, 1, [&indexed[..], tail].concat())]);
    let front = |head: &[u8]| say(&[headers(END_STREAM, 1, [head, &indexed].concat())]);
    vec![
        (
            "2.3.2 the dynamic table",
            [front(&[])[0].clone(), Answered(1), Say(headers(END_STREAM, 3, [0x82, 0x86, 0x84, 0xbe])), Answered(3)]
                .to_vec(),
            Ignored,
        ),
        ("2.3.3 index of 0", with(&[0x80]), Ends(COMPRESSION_ERROR)),
        ("2.3.3 index above both tables", with(&[0xff, 0x80, 0x01]), Ends(COMPRESSION_ERROR)),
        ("2.3.3 name index above both tables", with(&[0x7f, 0x80, 0x01, 1, b'x']), Ends(COMPRESSION_ERROR)),
        ("4.2 new size at the front", front(&[0x20]), Status(200)),
        ("4.2 two new sizes at the front", front(&[0x20, 0x3f, 0xe1, 0x1f]), Status(200)),
        ("4.2 new size at the end", with(&[0x20]), Ends(COMPRESSION_ERROR)),
        ("6.3 new size over the limit", front(&[0x3f, 0xe2, 0x1f]), Ends(COMPRESSION_ERROR)),
        ("5.1 integer over 32 bits", front(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), Ends(COMPRESSION_ERROR)),
        ("5.1 integer without an end", with(&[0xff, 0x80]), Ends(COMPRESSION_ERROR)),
        ("5.2 text cut short", with(&[0x00, 1, b'x', 5, b'a']), Ends(COMPRESSION_ERROR)),
        ("5.2 field without a value", with(&[0x00, 1, b'x']), Ends(COMPRESSION_ERROR)),
        // `a` in five bits, and three of padding
        ("5.2 Huffman", with(&[0x00, 1, b'x', 0x81, 0b0001_1111]), Status(200)),
        ("5.2 Huffman padding with zeros", with(&[0x00, 1, b'x', 0x81, 0b0001_1000]), Ends(COMPRESSION_ERROR)),
        (
            "5.2 Huffman padding of more than 7 bits",
            with(&[0x00, 1, b'x', 0x82, 0b0001_1111, 0xff]),
            Ends(COMPRESSION_ERROR),
        ),
        ("5.2 Huffman with EOS", with(&[0x00, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]), Ends(COMPRESSION_ERROR)),
        ("6.2.3 never indexed", with(&[0x10, 1, b'x', 1, b'y']), Status(200)),
    ]
}

pub(super) fn message_rows() -> Vec<Row> {
    const METHOD: &str = ":method: GET";
    const SCHEME: &str = ":scheme: http";
    const AUTHORITY: &str = ":authority: test.example";
    const PATH: &str = ":path: /";
    let fields = |fields: &[&str]| say(&[headers(END_STREAM, 1, block(fields))]);
    let more = |more: &[&str]| say(&[headers(END_STREAM, 1, request("/", more))]);
    let body = |fields: &[&str], frames: &[Vec<u8>]| say(&[&[post(1, fields)], frames].concat());
    let trailers = |fields: &[&str]| say(&[post(1, &[]), data(NONE, 1, "x"), headers(END_STREAM, 1, block(fields))]);
    vec![
        ("8.1 trailers", trailers(&["x-sum: 1"]), Status(200)),
        (
            "8.1 trailers that do not end the stream",
            say(&[post(1, &[]), headers(NONE, 1, block(&["x: 1"])), data(END_STREAM, 1, "")]),
            Malformed,
        ),
        ("8.1 pseudo-header in trailers", trailers(&[":method: GET"]), Malformed),
        ("8.1 :path in trailers", trailers(&[":path: /"]), Malformed),
        ("8.1.1 length above the body", body(&["content-length: 2"], &[data(END_STREAM, 1, "x")]), Malformed),
        ("8.1.1 length below the body", body(&["content-length: 1"], &[data(END_STREAM, 1, "xy")]), Malformed),
        (
            "8.1.1 length of several frames",
            body(&["content-length: 1"], &[data(NONE, 1, "x"), data(END_STREAM, 1, "y")]),
            Malformed,
        ),
        ("8.1.1 length without a body", more(&["content-length: 1"]), Malformed),
        (
            "8.1.1 length met",
            body(&["content-length: 2"], &[data(NONE, 1, "x"), data(END_STREAM, 1, "y")]),
            Status(200),
        ),
        (
            "8.1.1 length met, then trailers",
            body(&["content-length: 1"], &[data(NONE, 1, "x"), headers(END_STREAM, 1, block(&["x: 1"]))]),
            Status(200),
        ),
        (
            "8.1.1 length not met by trailers",
            body(&["content-length: 2"], &[data(NONE, 1, "x"), headers(END_STREAM, 1, block(&["x: 1"]))]),
            Malformed,
        ),
        ("8.1.1 length of 0", more(&["content-length: 0"]), Status(200)),
        (
            "8.1.1 two lengths",
            body(&["content-length: 1", "content-length: 1"], &[data(END_STREAM, 1, "x")]),
            Malformed,
        ),
        (
            "8.1.1 two lengths that differ",
            body(&["content-length: 1", "content-length: 2"], &[data(END_STREAM, 1, "x")]),
            Malformed,
        ),
        ("8.1.1 length that is no number", body(&["content-length: one"], &[data(END_STREAM, 1, "x")]), Malformed),
        ("8.1.1 length with a sign", body(&["content-length: +1"], &[data(END_STREAM, 1, "x")]), Malformed),
        ("8.1.1 length that is empty", body(&["content-length: "], &[data(END_STREAM, 1, "x")]), Malformed),
        (
            "8.1.1 length over 64 bits",
            body(&["content-length: 18446744073709551616"], &[data(END_STREAM, 1, "x")]),
            Malformed,
        ),
        ("8.2 upper case", more(&["X-Test: 1"]), Malformed),
        ("8.2.1 space in a name", more(&["x test: 1"]), Malformed),
        ("8.2.1 colon in a name", more(&["x:test: 1"]), Malformed),
        ("8.2.1 line end in a value", more(&["x: a\r\nevil: 1"]), Malformed),
        ("8.2.1 LF in a value", more(&["x: a\nb"]), Malformed),
        ("8.2.1 NUL in a value", more(&["x: a\0b"]), Malformed),
        ("8.2.2 connection", more(&["connection: keep-alive"]), Malformed),
        ("8.2.2 keep-alive", more(&["keep-alive: 5"]), Malformed),
        ("8.2.2 proxy-connection", more(&["proxy-connection: close"]), Malformed),
        (
            "8.2.2 transfer-encoding",
            body(&["transfer-encoding: chunked"], &[data(END_STREAM, 1, "0\r\n\r\n")]),
            Malformed,
        ),
        ("8.2.2 upgrade", more(&["upgrade: h2c"]), Malformed),
        ("8.2.2 te", more(&["te: gzip"]), Malformed),
        ("8.2.2 te with trailers and more", more(&["te: trailers, gzip"]), Malformed),
        ("8.2.2 te: trailers", more(&["te: trailers"]), Status(200)),
        ("8.3 unknown pseudo-header", fields(&[METHOD, SCHEME, AUTHORITY, PATH, ":test: 1"]), Malformed),
        ("8.3 :status", fields(&[METHOD, SCHEME, AUTHORITY, PATH, ":status: 200"]), Malformed),
        (
            "8.3 :protocol without CONNECT",
            fields(&[METHOD, SCHEME, AUTHORITY, PATH, ":protocol: websocket"]),
            Malformed,
        ),
        ("8.3 pseudo-header behind a field", fields(&[METHOD, SCHEME, AUTHORITY, "x: 1", PATH]), Malformed),
        ("8.3.1 no :method", fields(&[SCHEME, AUTHORITY, PATH]), Malformed),
        ("8.3.1 no :scheme", fields(&[METHOD, AUTHORITY, PATH]), Malformed),
        ("8.3.1 no :path", fields(&[METHOD, SCHEME, AUTHORITY]), Malformed),
        ("8.3.1 no :path, host as a field", fields(&[METHOD, SCHEME, "host: test.example"]), Malformed),
        ("8.3.1 empty :path", fields(&[METHOD, SCHEME, AUTHORITY, ":path: "]), Malformed),
        (":path that is relative", fields(&[METHOD, SCHEME, AUTHORITY, ":path: a"]), Malformed),
        (":path that is a URI", fields(&[METHOD, SCHEME, AUTHORITY, ":path: http://evil.example/"]), Malformed),
        (":path with a space", fields(&[METHOD, SCHEME, AUTHORITY, ":path: /a b"]), Malformed),
        (":path with a line end", fields(&[METHOD, SCHEME, AUTHORITY, ":path: / HTTP/1.1\r\nevil: 1"]), Malformed),
        ("* without OPTIONS", fields(&[METHOD, SCHEME, AUTHORITY, ":path: *"]), Malformed),
        ("* with OPTIONS", fields(&[":method: OPTIONS", SCHEME, AUTHORITY, ":path: *"]), Status(200)),
        ("8.3.1 two :method", fields(&[METHOD, METHOD, SCHEME, AUTHORITY, PATH]), Malformed),
        ("8.3.1 two :scheme", fields(&[METHOD, SCHEME, SCHEME, AUTHORITY, PATH]), Malformed),
        ("8.3.1 two :path", fields(&[METHOD, SCHEME, AUTHORITY, PATH, PATH]), Malformed),
        ("8.3.1 two :authority", fields(&[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH]), Malformed),
        ("8.3.1 neither :authority nor host", fields(&[METHOD, SCHEME, PATH]), Malformed),
        ("8.3.1 empty :authority", fields(&[METHOD, SCHEME, ":authority: ", PATH]), Malformed),
        ("8.3.1 user in :authority", fields(&[METHOD, SCHEME, ":authority: user@test.example", PATH]), Malformed),
        ("8.3.1 host in place of :authority", fields(&[METHOD, SCHEME, PATH, "host: test.example"]), Status(200)),
        ("8.3.1 empty host in place of :authority", fields(&[METHOD, SCHEME, PATH, "host: "]), Malformed),
        ("8.3.1 host that is the same", more(&["host: test.example"]), Status(200)),
        ("8.3.1 host that differs", more(&["host: evil.example"]), Malformed),
        ("8.3.1 host that is empty", more(&["host: "]), Malformed),
        ("8.3.1 two hosts, one of them another", more(&["host: test.example", "host: evil.example"]), Malformed),
        ("8.3.1 method that is no token", fields(&[":method: GE T", SCHEME, AUTHORITY, PATH]), Malformed),
        (
            "8.3.1 method with a line end",
            fields(&[":method: GET / HTTP/1.1\r\nx: ", SCHEME, AUTHORITY, PATH]),
            Malformed,
        ),
        ("8.3.1 another method", fields(&[":method: PURGE", SCHEME, AUTHORITY, PATH]), Status(200)),
        ("8.5 CONNECT", fields(&[":method: CONNECT", ":authority: test.example:80"]), Status(405)),
        (
            "8.5 CONNECT with :path",
            fields(&[":method: CONNECT", ":authority: test.example:80", SCHEME, PATH]),
            Malformed,
        ),
        ("8.5 CONNECT without :authority", fields(&[":method: CONNECT"]), Malformed),
    ]
}
