//! What the hunts begin with.

use headworks_testkit::frames::{self, PREFACE, flag};

/// Requests: one after the other, with bodies, ambiguous, for another protocol.
pub(super) const CLIENT: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /fixed HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloHEAD /old HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/\
1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"PUT /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\
\n\r\nGET /a HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled H\
TTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
    b"POST /fixed HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET /h2/a HTTP/1.0\r\nC\
onnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nCookie: AWSALB=x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n\r\nDELETE http://b/c HTT\
P/1.1\r\nHost: a\r\n\r\n",
];

/// Answers: of every framing, interim, one too many, to another protocol.
pub(super) const TARGET: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\
\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil the end",
    b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\
\r\nevil",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n5\r\nhell\
o\r\n0\r\n\r\n",
    b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\nContent-Encoding: br\r\nVary: *\r\n\r\n",
];

/// Requests in frames: heads in one and in several, bodies, small windows, padding, trailers, resets.
pub(super) const CLIENT_HTTP2: &[&[u8]] = &[
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x86\
\x84A\x01a\0\x007\x01\x05\0\0\0\x03\0\x07:method\x03GET\0\x07:scheme\x04http\0\n:authority\x01a\0\x05:path\x06/f\
ixed",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x0c\x04\0\0\0\0\0\0\x04\0\0\0\x01\0\x03\0\0\0\x02\0\0\0\x04\x01\0\0\0\0\0\
\0F\x01\x04\0\0\0\x01\0\x07:method\x04POST\0\x07:scheme\x04http\0\n:authority\x01a\0\x05:path\x02/a\0\x0econte\
nt-length\x015\0\0\x02\0\0\0\0\0\x01he\0\0\x03\0\x01\0\0\0\x01llo\0\0\x04\x08\0\0\0\0\0\0\0\0\x05\0\0\x04\x08\
\0\0\0\0\x01\0\0\0\x05",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x14\x01\0\0\0\0\x01\0\x07:method\x03GET\0\x07:sche\0\
\0\x1f\x09\x04\0\0\0\x01me\x04http\0\n:authority\x01a\0\x05:path\x02/x\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08\0\0\
\x08\x06\0\0\0\0\x0012345678\0\0\x06\x01\x05\0\0\0\x03\x82\x86\x84A\x01a",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\0H\x01,\0\0\0\x01\x02\0\0\0\0\x10\
\0\x07:method\x03PUT\0\x07:scheme\x04http\0\n:authority\x01a\0\x05:path\x02/b\0\x02te\x08trailers\0\0\0\0\x07\
\0\x08\0\0\0\x01\x03abc\0\0\0\0\0\x07\x01\x05\0\0\0\x01\0\x03x-t\x011\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\x006\x01\x05\0\0\0\x01\0\x07:method\
\x03GET\0\x07:scheme\x04http\0\n:authority\x01a\0\x05:path\x05/h2/a\0\x006\x01\x05\0\0\0\x03\0\x07:method\x04HEA\
D\0\x07:scheme\x04http\0\n:authority\x01a\0\x05:path\x04/old\0\0\x05\x02\0\0\0\0\x05\0\0\0\x01\x10\0\0\\\x01\
\x05\0\0\0\x05\0\x07:method\x03GET\0\x07:scheme\x04http\0\n:authority\x01a\0\x05:path\x02/a\0\x0faccept-encodi\
ng\x02br\0\x06expect\x0c100-continue",
];

/// Answers in frames, likewise.
pub(super) const TARGET_HTTP2: &[&[u8]] = &[
    b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x1a\x01\x04\0\0\0\x01\x88\0\x0ccontent-type\ntext/plain\0\0\x05\
\0\x01\0\0\0\x01hello\0\0\x01\x01\x05\0\0\0\x03\x89",
    b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0\x01\0\x04\0\0\0\x02\0\0\0\x04\x01\0\0\0\0\0\0\r\x01\x04\0\0\0\x01\0\x07:sta\
tus\x03103\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x03\0\0\0\0\0\x01abc\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\
\x010\0\0\x04\x08\0\0\0\0\0\0\0\0\x09",
    b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\
\0\0\0\0\0\x08\x06\0\0\0\0\x0012345678",
    b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x88\0\0\x12\x09\x04\0\0\0\x01\0\x0econtent-\
length\x019\0\0\x0c\0\x08\0\0\0\x01\x02abcdefghi\0\0\0\0\0\0\x01\0\0\0\x01",
];

/// What a client of HTTP/2 asks of a target that says anything.
pub(super) fn http2_asks() -> Vec<u8> {
    let post = frames::block(&[":method: POST", ":scheme: http", ":authority: a", ":path: /h2/b"]);
    let head = frames::block(&[":method: HEAD", ":scheme: http", ":authority: a", ":path: /h2/c"]);
    [
        PREFACE,
        &frames::settings(&[]),
        &frames::headers(flag::END_STREAM, 1, frames::request("/h2/a", &[])),
        &frames::headers(flag::NONE, 3, post),
        &frames::data(flag::END_STREAM, 3, "hello"),
        &frames::headers(flag::END_STREAM, 5, head),
        &frames::window(0, 65_536),
    ]
    .concat()
}
