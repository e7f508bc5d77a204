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

/// What a client does on streams of HTTP/3 ([`super::http3`]): settings, requests in pieces, trailers, streams that nobody knows,
/// that are cut off, that end though they must not.
pub(super) const CLIENT_HTTP3: &[&[u8]] = &[
    b"\x08\0\x03\0\x04\0\x10\0\n\x01\x08\0\0\xd1\xd7\xc1P\x01a",
    b"\x08\0\x08\0\x04\x05\x06A\0!\x05\t\0\x01\x02\n\0\x01\x03\0\0\x10\x01\x0e\0\0\xd4\xd7Q\x02/aP\x01aT\x015\0\0\x04\0\
\x02he\x11\0\x11\x01\x0f\0\0\xd2\xd7Q\x06/fixedP\x01a\x10\0\x0f\0\x03llo\x01\x08\0\0#x-t\x011",
    b"\x10\0,\x01\x17\0\0\xd5\xd7Q\x02/bP\x01a\"te\x08trailers!\x03abc\0\0\0\n0123456789\x19\0\x07@Thello\x08\0\t\0\x04\0\
\r\x01\x07\x07\x01\0\"\0\x10\x01\x0e\0\0\xd1\xd7Q\x05/h2/aP\x01a",
    b"\x08\0\x03\0\x04\x003\0\x0f\x01\r\0\0\xd1\xd7Q\x04/oldP\x01a\x14\x001\x01/\0\0\xd1\xd7Q\x02/aP\x01a&cookie\x03a=b&cookie\
\x03c=d'\x01priority\x03u=1\x05\0\t\x01\x0e\0\0\xd1\xd7Q\x05/\n\0\x04\x03A\x7f\x01",
    b"\x08\0\x03\0\x04\0\0\0#\x01!\0\0\xcf'\x02:protocol\twebsocket\xd7Q\x03/wsP\x01a\0\0\t\0\x07\x81\x05hello\x11\0*\x01#\
\0\0\xd4\xd7Q\x06/fixedP\x01a&expect\x0c100-continue\0\x03abc",
    b"\x18\0\x03\0\x04\0",
    b"\x08\0\x04\0\x07\x01\0\0\0\x02\x04\0",
];

/// What servers of PostgreSQL say; the first byte is not theirs ([`super::databases`]).
pub(super) const POSTGRES: &[&[u8]] = &[
    b"\0R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0",
    b"\0E\0\0\0\x17SFATAL\0C28P01\0Mno\0\0",
    b"\x01E\0\0\0\x17SFATAL\0C57P03\0Mno\0\0",
    b"\x02R\0\0\0\x08\0\0\0\x03R\0\0\0\x08\0\0\0\0S\0\0\0\x16server_version\x0017\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\
\x05IT\0\0\0.\0\x02a\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0b\0\0\0\0\0\0\0\0\0\x06\xa4\xff\xff\xff\xff\xff\
\xff\0\0D\0\0\0\x12\0\x02\0\0\0\x01t\0\0\0\x030.5C\0\0\0\rSELECT 1\0Z\0\0\0\x05I",
    b"\x02R\0\0\0\x0c\0\0\0\x05abcdR\0\0\0\x08\0\0\0\0Z\0\0\0\x05IT\0\0\0.\0\x02a\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\
\xff\xff\0\0b\0\0\0\0\0\0\0\0\0\x06\xa4\xff\xff\xff\xff\xff\xff\0\0D\0\0\0\x11\0\x02\0\0\0\x01t\0\0\0\x0299C\0\0\0\rSE\
LECT 1\0Z\0\0\0\x05I",
    b"\x04R\0\0\0\x08\0\0\0\0S\0\0\0\x16server_version\x0017\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x02N\0\0\0\x18SNOTICE\0C00000\0Mhi\
\0\0Z\0\0\0\x05IT\0\0\0.\0\x02a\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0b\0\0\0\0\0\0\0\0\0\x06\xa4\xff\xff\
\xff\xff\xff\xff\0\0D\0\0\0\x0f\0\x02\0\0\0\x01f\xff\xff\xff\xffC\0\0\0\rSELECT 1\0Z\0\0\0\x05I",
    b"\x04R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IT\0\0\0.\0\x02a\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0b\0\0\0\0\0\0\0\
\0\0\x06\xa4\xff\xff\xff\xff\xff\xff\0\0D\0\0\0\x0f\0\x02\0\0\0\x01t\xff\xff\xff\xffC\0\0\0\rSELECT 1\0Z\0\0\0\x05I",
    b"\x02R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0R\0\0\0\x1b\0\0\0\x0br=abc,s=QSXC,i=4096",
    b"\x04E\0\0\0\x17SFATAL\0C3D000\0Mno\0\0",
];

/// Those of MySQL.
pub(super) const MYSQL: &[&[u8]] = &[
    b"\0I\0\0\0\n8.4.0\0\x07\0\0\0abcdefgh\0\x01\x82-\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_passwo\
rd\0\x07\0\0\x02\0\0\0\x02\0\0\0",
    b"\x02I\0\0\0\n8.4.0\0\x07\0\0\0abcdefgh\0\x01\x82-\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_pass\
word\0\x02\0\0\x02\x01\x03\x07\0\0\x03\0\0\0\x02\0\0\0",
    b"\x02I\0\0\0\n8.4.0\0\x07\0\0\0abcdefgh\0\x01\x82-\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_pass\
word\0\x02\0\0\x02\x01\x04:\0\0\x04\x01-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n",
    b"\x03C\0\0\0\n8.4.0\0\x07\0\0\0abcdefgh\0\x01\x82-\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0sha256_password\0\
,\0\0\x02\xfemysql_native_password\0abcdefghijklmnopqrst\0\x07\0\0\x04\0\0\0\x02\0\0\0",
    b"\0I\0\0\0\n8.4.0\0\x07\0\0\0abcdefgh\0\x01\x82-\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0mysql_native_passwo\
rd\0\x16\0\0\x02\xff\x15\x04#28000Access denied",
    b"\0\x17\0\0\0\xff\x10\x04Too many connections",
];

/// Those of Redis.
pub(super) const REDIS: &[&[u8]] = &[
    b"\0+PONG\r\n",
    b"\0-NOAUTH Authentication required.\r\n",
    b"\x02+PONG\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
    b"\x02+PONG\r\n*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:14\r\n",
    b"\x04+OK\r\n+PONG\r\n*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:14\r\n",
    b"\x04-WRONGPASS invalid\r\n-NOAUTH\r\n",
    b"\x04+OK\r\n-LOADING wait\r\n",
    b"\x03-ERR max number of clients reached\r\n",
];

/// What targets answer to health checks; the first byte is not theirs ([`super::checks`]).
pub(super) const HEALTH_CHECK: &[&[u8]] = &[
    b"\0HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell",
    b"\x01HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    b"\x02\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0",
    b"\x03\0\0\0\x04\0\0\0\0\0\0\0\x0d\x01\x04\0\0\0\x01\0\x07:status\x03103\0\0\x01\x01\x04\0\0\0\x01\x8d\0\0\x02\0\x01\0\0\0\x01no",
    b"\x04\0\0\0\x04\0\0\0\0\0\0\0\x11\x01\x05\0\0\0\x01\x88\0\x0bgrpc-status\x0212",
    b"\x05\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x05\0\0\0\0\0\x01\0\0\0\0\0\0\0\x10\x01\x05\0\0\0\x01\0\x0bgrpc-status\x0213",
    b"\x06\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010",
    b"\x06\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x02\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010",
];

/// What a client of HTTP/2 asks, below this path, of a target that says anything.
pub(super) fn http2_asks(below: &str) -> Vec<u8> {
    let block = |method: &str, name: &str| {
        let (method, path) = (format!(":method: {method}"), format!(":path: {below}/{name}"));
        frames::block(&[&method, ":scheme: http", ":authority: a", &path])
    };
    [
        PREFACE,
        &frames::settings(&[]),
        &frames::headers(flag::END_STREAM, 1, block("GET", "a")),
        &frames::headers(flag::NONE, 3, block("POST", "b")),
        &frames::data(flag::END_STREAM, 3, "hello"),
        &frames::headers(flag::END_STREAM, 5, block("HEAD", "c")),
        &frames::window(0, 65_536),
    ]
    .concat()
}
