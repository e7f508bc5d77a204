//! Answers that are not whole: however a target breaks off, its client can tell, whichever versions both speak (RFC 9112 section 8,
//! RFC 9113 section 8.1.1, RFC 9114 section 4.1.2); and what is whole is not cut off.

use h2::client::Builder;
use headworks_testkit::frames::flag::{END_HEADERS, END_STREAM, NONE, PADDED};
use headworks_testkit::frames::{block, code, data, frame, headers, kind, reset, settings};
use headworks_testkit::tls::Serves;
use headworks_testkit::{Authority, Caller, Client, Headworks, Origin, Step, ask, check};

use crate::http2::client::Http2;
use crate::http3::quic::{self, NAME};
use crate::start;
use crate::tls::folder;

/// What a target speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http1OverTls,
    Http2,
}

/// What a client makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It is the target's, and this is all of it.
    Whole(&'static str),
    /// It breaks off.
    Cut,
    /// It is our own.
    Own(u16),
}

/// What a client of each kind is told, if it is told anything: a status and content.
type Answered = Result<(u16, String), String>;

/// A client: what it is called, and how it asks for a path.
type Asks = (&'static str, fn(&Headworks, &str) -> Answered);

/// Those of connections, then those of streams.
const CLIENTS: [Asks; 5] = [
    ("http1", |headworks, path| answered(Client::connect(headworks.listener("shop/http")), &ask("GET", path))),
    ("http1-0", |headworks, path| {
        answered(Client::connect(headworks.listener("shop/http")), &ask("GET", path).http10())
    }),
    ("tls-1-0", |headworks, path| {
        let caller = Caller::trusting_all().build();
        answered(caller.connect(headworks.listener("shop/https"), NAME), &ask("GET", path).http10())
    }),
    ("http2", |headworks, path| {
        let asked = Http2::at(headworks.listener("shop/http"), &Builder::new()).ask(&ask("GET", path)).response();
        asked.map(|response| (response.status, response.text())).map_err(|error| error.to_string())
    }),
    ("http3", |headworks, path| {
        let client = quic::Client::greet(&Caller::trusting_all().build(), headworks.listener("shop/https"));
        let asked = client.ask(&quic::request("GET", path, &[]));
        let text = |body: Vec<u8>| String::from_utf8_lossy(&body).into_owned();
        asked.map(|answer| (answer.status, text(answer.body))).map_err(|refused| format!("{refused:?}"))
    }),
];

fn answered(mut client: Client, asked: &headworks_testkit::Ask) -> Answered {
    client.ask(asked);
    loop {
        let response = client.try_response_to("GET").map_err(|end| end.to_string())?;
        if response.status >= 200 {
            return Ok((response.status, response.text()));
        }
    }
}

/// What a target of HTTP/1.1 does with a request, and of HTTP/2 with stream 1.
struct Row(&'static str, Speaks, Vec<Step>, Told);

impl Row {
    /// Who may ask: what comes over connections does not go to targets of HTTP/2.
    fn clients(&self) -> impl Iterator<Item = Asks> {
        CLIENTS.into_iter().skip(if self.1 == Speaks::Http2 { 3 } else { 0 })
    }
}

/// The same in one piece.
fn says(name: &'static str, speaks: Speaks, bytes: impl AsRef<[u8]>, end: Step, told: Told) -> Row {
    Row(name, speaks, vec![Step::send(bytes), end], told)
}

fn of_http1() -> Vec<Row> {
    use Speaks::{Http1, Http1OverTls};
    use Told::{Cut, Own, Whole};
    const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const CLOSES: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let http1 = |name, head: &str, rest: &str, end, told| says(name, Http1, [head, rest].concat(), end, told);
    let tls = |name, head: &str, rest: &str, end, told| says(name, Http1OverTls, [head, rest].concat(), end, told);
    vec![
        http1("sized", SIZED, "hello", Step::Close, Whole("hello")),
        http1("sized-reset", SIZED, "hello", Step::Reset, Whole("hello")),
        http1("sized-cut", SIZED, "hel", Step::Close, Cut),
        http1("sized-cut-by-reset", SIZED, "hel", Step::Reset, Cut),
        http1("sized-without-content", SIZED, "", Step::Close, Cut),
        http1("sized-and-more", SIZED, "hello world", Step::Close, Whole("hello")),
        http1("chunked", CHUNKED, "5\r\nhello\r\n0\r\n\r\n", Step::Close, Whole("hello")),
        http1("chunked-with-trailers", CHUNKED, "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", Step::Close, Whole("hello")),
        http1("chunked-without-content", CHUNKED, "", Step::Close, Cut),
        http1("chunked-cut-in-a-size", CHUNKED, "5\r\nhello\r\n5", Step::Close, Cut),
        http1("chunked-cut-in-a-chunk", CHUNKED, "5\r\nhel", Step::Close, Cut),
        http1("chunked-cut-between-chunks", CHUNKED, "5\r\nhello\r\n", Step::Close, Cut),
        http1("chunked-cut-between-chunks-by-reset", CHUNKED, "5\r\nhello\r\n", Step::Reset, Cut),
        http1("chunked-cut-in-the-last", CHUNKED, "5\r\nhello\r\n0", Step::Close, Cut),
        http1("chunked-cut-behind-the-last", CHUNKED, "5\r\nhello\r\n0\r\n", Step::Close, Cut),
        http1("chunked-cut-in-trailers", CHUNKED, "5\r\nhello\r\n0\r\nX-A: b\r\n", Step::Close, Cut),
        http1("chunked-broken", CHUNKED, "5\r\nhello\r\nx\r\n", Step::ReadToEnd, Cut),
        http1("until-close", CLOSES, "hello", Step::Close, Whole("hello")),
        http1("until-reset", CLOSES, "hello", Step::Reset, Cut),
        http1("head-cut", "HTTP/1.1 200 OK\r\nContent-Le", "", Step::Close, Own(502)),
        tls("tls-until-close", CLOSES, "hello", Step::Close, Whole("hello")),
        // RFC 8446 section 6.1: who has ended it is not known
        tls("tls-until-cut-off", CLOSES, "hello", Step::CutOff, Cut),
        tls("tls-sized-cut-off", SIZED, "hel", Step::CutOff, Cut),
        tls("tls-sized-and-cut-off", SIZED, "hello", Step::CutOff, Whole("hello")),
        tls("tls-chunked-cut-off", CHUNKED, "5\r\nhello\r\n", Step::CutOff, Cut),
    ]
}

fn of_http2() -> Vec<Row> {
    use Told::{Cut, Own, Whole};
    let head = |flags| headers(flags, 1, block(&[":status: 200"]));
    let sized = |flags, length| headers(flags, 1, block(&[":status: 200", &format!("content-length: {length}")]));
    let trailers = |flags| headers(flags, 1, block(&["x-a: b"]));
    let away = |last: u32| frame(kind::GOAWAY, NONE, 0, [last.to_be_bytes(), code::NO_ERROR.to_be_bytes()].concat());
    let (begun, ends) = (data(NONE, 1, "hel"), data(END_STREAM, 1, "lo"));
    let padded = |flags, payload: &[u8]| frame(kind::DATA, PADDED | flags, 1, payload);
    let row = |name, frames: &[Vec<u8>], told| says(name, Speaks::Http2, frames.concat(), Step::Close, told);
    let open = head(NONE);
    vec![
        row("frames", &[open.clone(), begun.clone(), ends.clone()], Whole("hello")),
        row("frames-sized", &[sized(NONE, 5), begun.clone(), ends.clone()], Whole("hello")),
        row("frames-padded", &[open.clone(), padded(END_STREAM, b"\x02hello\0\0")], Whole("hello")),
        row("frames-with-trailers", &[open.clone(), begun.clone(), trailers(END_STREAM)], Whole("hel")),
        row("frames-without-content", &[head(END_STREAM)], Whole("")),
        row(
            "frames-then-reset",
            &[open.clone(), begun.clone(), ends.clone(), reset(1, code::NO_ERROR)],
            Whole("hello"),
        ),
        row("frames-and-more", &[open.clone(), begun.clone(), ends.clone(), begun.clone()], Whole("hello")),
        row("away-and-on", &[open.clone(), begun.clone(), away(1), ends.clone()], Whole("hello")),
        row("head-then-close", std::slice::from_ref(&open), Cut),
        row("head-then-reset", &[open.clone(), reset(1, code::NO_ERROR)], Cut),
        row("close", &[open.clone(), begun.clone()], Cut),
        row("close-in-a-frame", &[open.clone(), data(NONE, 1, "hello")[..11].to_vec()], Cut),
        row("close-sized", &[sized(NONE, 5), begun.clone()], Cut),
        row("reset-no-error", &[open.clone(), begun.clone(), reset(1, code::NO_ERROR)], Cut),
        row("reset-cancel", &[open.clone(), begun.clone(), reset(1, code::CANCEL)], Cut),
        row("reset-refused", &[open.clone(), begun.clone(), reset(1, code::REFUSED_STREAM)], Cut),
        row("away-then-close", &[open.clone(), begun.clone(), away(1)], Cut),
        row("away-from-it", &[open.clone(), begun.clone(), away(0), ends.clone()], Cut),
        row("too-little", &[sized(NONE, 9), begun.clone(), ends.clone()], Cut),
        row("too-little-then-trailers", &[sized(NONE, 9), begun.clone(), trailers(END_STREAM)], Cut),
        row("nothing-of-much", &[sized(END_STREAM, 9)], Own(502)),
        row("too-much", &[sized(NONE, 4), data(NONE, 1, "hello"), data(END_STREAM, 1, "")], Cut),
        row("trailers-that-do-not-end", &[open.clone(), begun.clone(), trailers(NONE), ends.clone()], Cut),
        row("trailers-cut", &[open.clone(), begun.clone(), frame(kind::HEADERS, END_STREAM, 1, b"\0\x01")], Cut),
        row("another-head", &[open.clone(), begun.clone(), open.clone(), ends.clone()], Cut),
        row("padding-eats-all", &[sized(NONE, 4), padded(END_STREAM, b"\x04\0\0\0\0")], Cut),
        row("padding-eats-more", &[open.clone(), padded(END_STREAM, b"\x06hello")], Cut),
        row("head-without-end", &[frame(kind::HEADERS, NONE, 1, block(&[":status: 200"]))], Own(502)),
        row("interim-only", &[headers(END_HEADERS, 1, block(&[":status: 103"]))], Own(502)),
        row("interim-that-ends", &[headers(END_STREAM, 1, block(&[":status: 103"]))], Own(502)),
        row("content-without-head", &[begun, ends], Own(502)),
    ]
}

/// Each row and client has a target of its own.
#[test]
fn what_is_not_whole_is_not_taken_for_it() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&[NAME]).place(folder.path(), "a");
    let shows = authority.issue(&["localhost"]);
    let (mut origins, mut rules, mut groups) = (Vec::new(), String::new(), String::new());
    let rows: Vec<Row> = of_http1().into_iter().chain(of_http2()).collect();
    for row in &rows {
        let Row(name, speaks, steps, _) = row;
        for (client, _) in row.clients() {
            let path = format!("/{name}/{client}");
            let origin = Origin::new(name).lenient();
            let origin = match speaks {
                Speaks::Http1 => origin.on(&path, steps.clone()),
                Speaks::Http1OverTls => origin.on(&path, steps.clone()).tls(Serves::new(&shows, None)),
                Speaks::Http2 => {
                    // a head that is whole, and all there is, on stream 1
                    let asked = [kind::HEADERS, END_HEADERS | END_STREAM, 0, 0, 0, 1].to_vec();
                    let begins = [Step::Send(settings(&[])), Step::ReadThrough(asked)];
                    origin.at_accept([&begins, steps.as_slice()].concat())
                }
            };
            let origin = origin.start();
            let version = match speaks {
                Speaks::Http1 => "",
                Speaks::Http1OverTls => "protocol: https, ",
                Speaks::Http2 => "version: http2, ",
            };
            rules += &format!("{{ if: {{ path: [{path}] }}, then: {{ forward: {name}-{client} }} }}, ");
            groups +=
                &format!("  {name}-{client}: {{ {version}targets: [{origin}], health_check: {{ protocol: none }} }}\n");
            origins.push(origin);
        }
    }
    let certificate = folder.path().join("a").display().to_string();
    let yaml = format!(
        "workers: 1\nload_balancers:\n  shop:\n    listeners:\n      \
         http: {{ address: 127.0.0.1:0, rules: &rules [{rules}], default: {{ fixed_response: {{ status: 404 }} }} }}\n      \
         https: {{ address: 127.0.0.1:0, protocol: https, http3: true, certificates: [a], rules: *rules, \
         default: {{ fixed_response: {{ status: 404 }} }} }}\ntarget_groups:\n{groups}\
         certificates: {{ a: {{ certificate: {certificate}.pem, key: {certificate}.key }} }}\n"
    );
    let headworks = start(&yaml, &[]);
    let all = rows.iter().flat_map(|row| row.clients().map(move |client| (row, client)));
    check(
        all,
        |(row, client)| format!("{} to {}", row.0, client.0),
        |(Row(name, _, _, told), (client, asks))| {
            let answered = asks(&headworks, &format!("/{name}/{client}"));
            match *told {
                Told::Whole(content) => assert_eq!(answered, Ok((200, content.to_owned()))),
                Told::Cut => assert!(answered.is_err(), "taken for whole: {answered:?}"),
                Told::Own(status) => {
                    let status_told = answered.as_ref().map(|(status, _)| *status);
                    assert_eq!(status_told, Ok(status), "{answered:?}");
                }
            }
        },
    );
    headworks.expect_alive();
}
