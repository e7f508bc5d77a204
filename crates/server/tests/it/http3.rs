//! HTTP/3: with Python's aioquic, which is what people test with, and byte by byte with a client of our own.

mod frames;
pub(crate) mod quic;

use std::path::PathBuf;
use std::process::{Child, Stdio};

use headworks_message::h3::{Code, FrameKind, INTEGER_MAX, integer};
use headworks_testkit::wait::PATIENCE;
use headworks_testkit::{Authority, Caller, Gate, Headworks, Origin, Step, ask, check, wait};
use rustix::process::Signal;
use tempfile::TempDir;

use self::quic::{Client, NAME, Refused, frame, headers, request};
use crate::python::program;
use crate::start;
use crate::tls::{folder, secure};

/// One https listener with HTTP/3 that forwards everything to `<web>`.
fn secured(folder: &TempDir, balancer: &str) -> String {
    Authority::new("Test Authority").issue(&[NAME, "shop.test"]).place(folder.path(), "a");
    secure(folder.path(), &["a"], balancer, ", http3: true")
}

/// Starts `http3/client.py`, which goes through these acts.
fn peer(headworks: &Headworks, acts: &[&str]) -> Child {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut command = program("python");
    command.arg(PathBuf::from(folder).join("tests/it/http3/client.py"));
    command.arg(headworks.address().port().to_string()).args(acts).stdout(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("cannot start the client: {error}"))
}

/// What it said until it ended.
fn said(peer: Child) -> Vec<String> {
    let output = peer.wait_with_output().unwrap_or_else(|error| panic!("the client is lost: {error}"));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn what_clients_do() {
    let folder = folder();
    let large = "l".repeat(1_000_000);
    let web = Origin::new("web")
        .on("/large", [Step::answer(200, &large)])
        .on("/held", [Step::ReadToEnd])
        .on("/socket", [Step::send(SWITCHED), Step::Mirror])
        .start();
    let yaml = secured(&folder, ", access_log: { path: access.log, format: json }");
    let headworks = start(&format!("workers: 2\n{yaml}"), &[("web", &web)]);
    let lines = said(peer(&headworks, &["plain", "large", "resumed", "cancelled", "websocket", "moved"]));
    let mut expected = vec![
        "get 200 /hello?a=1",
        "post 200 300000",
        "trailers 200 3",
        "many [200] 100",
        "cookies ['a=1; b=2']",
        "large 200 1000000",
        "resumed True 200",
        "after cancelled 200",
        "websocket 200",
        "echoed b'\\x81\\x85\\x00\\x00\\x00\\x00hello'",
        "before 200",
    ];
    // as often as it takes to be dealt to the other worker, almost surely
    expected.extend(["moved 200 5000"; 8]);
    assert_eq!(lines, expected);
    assert!(headworks.metrics().sum("headworks_quic_datagrams_handed_on_total", &[]) > 0.0);
    let lines = headworks.log_lines("access.log", 120);
    assert!(lines.iter().all(|line| line.contains("\"version\":\"HTTP/3.0\"")), "{lines:?}");
    let says = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert!(says("\"tls_resumed\":true") >= 1, "{lines:?}");
    assert!(says("\"tls_cipher\":\"TLS_A") == lines.len() && says("\"server_name\":\"shop.test\"") == lines.len());
    let malformed = web.malformed();
    assert!(malformed.is_empty(), "{malformed:?}");
}

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What a target is sent does not tell which version its client spoke.
#[test]
fn targets_see_what_they_see_of_http1() {
    let folder = folder();
    let web = Origin::echo("web");
    let headworks = start(&secured(&folder, ""), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [u8]);
    let rows: [Row; 5] = [
        ("GET", "/a/b?c=d&e", &[], b""),
        ("HEAD", "/", &[], b""),
        ("GET", "/%41//x", &[("x-forwarded-for", "192.0.2.1"), ("user-agent", "t/1"), ("accept", "*/*")], b""),
        ("DELETE", "/", &[("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("x-empty", "")], b""),
        ("POST", "/", &[("content-length", "4"), ("content-type", "text/plain")], b"body"),
    ];
    check(
        rows,
        |(method, path, ..)| format!("{method} {path}"),
        |(method, path, fields, body)| {
            let client = Client::greet(&caller, headworks.address());
            let mut bytes = request(method, path, fields);
            if !body.is_empty() {
                bytes.extend(frame(0, body));
            }
            let answer = client.ask(&bytes).unwrap_or_else(|refused| panic!("{refused:?}"));
            let mut plain = caller.connect(headworks.address(), NAME);
            let mut asked = ask(method, path).with(&format!("Host: {NAME}"));
            for (name, value) in fields.iter().filter(|(name, _)| *name != "content-length") {
                asked = asked.with(&format!("{name}: {value}"));
            }
            if !body.is_empty() {
                asked = asked.body(*body);
            }
            let same = plain.exchange(&asked);
            assert_eq!(answer.status, same.status);
            let length = same.fields.one("content-length").unwrap_or_default().to_owned();
            assert_eq!(answer.field("content-length"), Some(length.as_str()));
            let mut heads = web.received().into_iter().rev().take(2).map(|received| {
                let own = ["x-amzn-trace-id"];
                let fields = received.request.fields.0.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone()));
                let mut fields: Vec<_> = fields.filter(|(name, _)| !own.contains(&name.as_str())).collect();
                fields.sort();
                (received.request.method, received.request.target, fields, received.request.framing)
            });
            assert_eq!(heads.next(), heads.next());
        },
    );
}

/// A client of HTTP/3 may send cookies in pieces (RFC 9114, section 4.2.1); the console's is not for targets.
#[test]
fn the_cookie_of_the_console_stays_here() {
    let folder = folder();
    let web = Origin::echo("web");
    let headworks = start(&secured(&folder, ""), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    check(
        [
            (&["a=1; headworks_session=x; b=2"][..], Some("a=1; b=2")),
            (&["a=1", "headworks_session=x", "b=2"], Some("a=1; b=2")),
            (&["headworks_session=x"], None),
            (&["headworks_sessions=x"], Some("headworks_sessions=x")),
        ],
        |(cookies, _)| cookies.join(" | "),
        |(cookies, expected)| {
            let fields: Vec<(&str, &str)> = cookies.iter().map(|cookie| ("cookie", *cookie)).collect();
            let answer = Client::greet(&caller, headworks.address()).ask(&request("GET", "/", &fields));
            assert_eq!(answer.unwrap_or_else(|refused| panic!("{refused:?}")).status, 200);
            let seen = web.received().pop().unwrap().request;
            assert_eq!(seen.fields.one("Cookie"), *expected, "{:?}", seen.fields);
        },
    );
}

/// Connections over QUIC count as others do, together with them, and pass the same doors.
#[test]
fn who_may_connect() {
    let folder = folder();
    let web = Origin::echo("web");
    let yaml = |balancer: &str, limits: &str| {
        Authority::new("Test Authority").issue(&[NAME]).place(folder.path(), "a");
        secure(
            folder.path(),
            &["a"],
            balancer,
            &format!(", http3: true, limits: {{ connections_per_client: {limits} }}"),
        )
    };
    let headworks = start(&yaml("", "2"), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    let first = Client::greet(&caller, headworks.address());
    assert_eq!(first.ask(&request("GET", "/", &[])).map(|answer| answer.status).ok(), Some(200));
    let mut second = caller.connect(headworks.address(), NAME);
    assert_eq!(second.exchange(&ask("GET", "/")).status, 200);
    let third = Client::greet(&caller, headworks.address());
    assert_eq!(third.ended(), Some(0x107), "H3_EXCESSIVE_LOAD");
    let _ = headworks.wait_metrics(REFUSED, &[("reason", "connections_per_client")], 1.0);

    // TCP is open, UDP is not: what comes by it gets no answer
    let groups = "security_groups: { web: { inbound: [ { protocol: tcp, from: [127.0.0.0/8] } ] } }\n";
    let headworks = start(&format!("{groups}{}", yaml(", security_groups: [web]", "0")), &[("web", &web)]);
    let mut plain = caller.connect(headworks.address(), NAME);
    assert_eq!(plain.exchange(&ask("GET", "/")).status, 200);
    let to = headworks.address();
    // it goes on trying until the test is over
    std::thread::spawn(move || drop(Client::try_connect(&caller, to)));
    let refused = || headworks.metrics().sum(REFUSED, &[("reason", "security_group")]) >= 1.0;
    wait::until("a refusal", || refused().then_some(()));
    assert_eq!(headworks.metrics().sum("headworks_connections_total", &[]), 1.0);
}

const REFUSED: &str = "headworks_refused_connections_total";

/// Clients of other versions are told where HTTP/3 is (RFC 7838), by whatever answers them.
#[test]
fn it_is_announced() {
    let folder = folder();
    let web = Origin::new("web").on("/own", [Step::answer_with(200, &["Alt-Svc: h3=\":1\""], "")]).start();
    let headworks = start(&secured(&folder, ""), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    let mut client = caller.connect(headworks.address(), NAME);
    let expected = format!("h3=\":{}\"; ma=86400", headworks.address().port());
    let rows = [ask("GET", "/"), ask("GET", "/own"), ask("TRACE", "/")];
    for asked in rows {
        let answer = client.exchange(&asked.with(&format!("Host: {NAME}")));
        assert_eq!(answer.fields.all("alt-svc"), [expected.as_str()]);
    }
}

/// A client that breaks off all that it begins is not served for long, whatever way it does that.
#[test]
fn floods() {
    let folder = folder();
    let web = Origin::new("web").on("/held", [Step::ReadToEnd]).lenient().start();
    let headworks = start(&format!("workers: 1\n{}", secured(&folder, "")), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    type Flood = fn(&mut Client) -> Option<()>;
    let rows: [(&str, Flood); 4] = [
        ("rapid reset", |client| {
            let mut exchange = client.begin(&request("GET", "/held", &[]), true).ok()?;
            client.give_up(&mut exchange);
            Some(())
        }),
        ("heads that never come", |client| {
            let mut exchange = client.begin(&[0x01], false).ok()?;
            client.give_up(&mut exchange);
            Some(())
        }),
        ("malformed requests", |client| client.begin(&headers(&[(":method", "GET")]), true).ok().map(drop)),
        ("streams nobody knows", |client| {
            client.say(&[0x21, 0], true);
            client.connection.close_reason().is_none().then_some(())
        }),
    ];
    check(
        rows,
        |row| row.0,
        |(_, flood)| {
            let mut client = Client::greet(&caller, headworks.address());
            let times = (0..20_000).take_while(|_| flood(&mut client).is_some()).count();
            assert!(times < 20_000, "it may go on for ever");
            assert_eq!(client.ended(), Some(Code::ExcessiveLoad as u64), "after {times}");
            let other = Client::greet(&caller, headworks.address());
            assert_eq!(other.ask(&request("GET", "/", &[])).map(|answer| answer.status), Ok(200));
        },
    );
    headworks.expect_alive();
}

/// Nothing waits for ever: a head, content, a connection without requests.
#[test]
fn silence() {
    let folder = folder();
    let web = Origin::new("web").lenient().start();
    let yaml =
        secured(&folder, ", idle_timeout: 1s").replace("http3: true", "http3: true, limits: { header_timeout: 500ms }");
    let headworks = start(&yaml, &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    let client = Client::greet(&caller, headworks.address());
    let head = request("GET", "/", &[]);
    let begun = client.begin(head.get(..9).unwrap_or_default(), false).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(client.answer(begun), Err(Refused::Reset(Code::RequestIncomplete as u64)));
    let content = [request("POST", "/", &[("content-length", "9")]), frame(0, "abc")].concat();
    let begun = client.begin(&content, false).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(client.answer(begun).map(|answer| answer.status), Ok(408));
    assert_eq!(client.ended(), Some(Code::NoError as u64));
}

/// A client that takes nothing of an answer is not waited for much longer than its rate allows, and its connection goes on (G6).
#[test]
fn a_rate_for_those_who_read() {
    let folder = folder();
    let web = Origin::new("web").on("/big", [Step::answer(200, &"x".repeat(16 << 20))]).start();
    let yaml = secured(&folder, "").replace("http3: true", "http3: true, limits: { minimum_rate: 100000 }");
    let headworks = start(&yaml, &[("web", &web)]);
    let client = Client::greet(&Caller::trusting_all().build(), headworks.address());
    let held = client.begin(&request("GET", "/big", &[]), true).unwrap_or_else(|refused| panic!("{refused:?}"));
    web.wait_heads(1);
    // the grace, and as much again for what was sent before
    let ended = || (headworks.metrics().sum("headworks_target_in_flight_requests", &[]) == 0.0).then_some(());
    assert!(wait::within(PATIENCE * 2, ended).is_some(), "a client that does not read stays");
    assert_eq!(client.answer(held), Err(Refused::Reset(Code::InternalError as u64)));
    assert_eq!(client.ask(&request("GET", "/", &[])).map(|answer| answer.status), Ok(200));
}

/// A connection that has to go says so twice, and lets what is asked meanwhile be answered (RFC 9114 section 5.2).
#[test]
fn leaving() {
    let folder = folder();
    let (held, reached) = (Gate::new(), Gate::new());
    let web = Origin::new("web")
        .on("/held", [Step::Open(reached.clone()), Step::Wait(held.clone()), Step::answer(200, "at last")])
        .start();
    let mut headworks = start(&secured(&folder, ""), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    let client = Client::greet(&caller, headworks.address());
    let begun = client.begin(&request("GET", "/held", &[]), true).unwrap_or_else(|refused| panic!("{refused:?}"));
    reached.expect("the request");
    headworks.signal(Signal::TERM);
    let frames = client.control_frames(3);
    let kinds: Vec<_> = frames.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [FrameKind::Settings, FrameKind::GoAway, FrameKind::GoAway]);
    let last: Vec<_> = frames.iter().skip(1).map(|(_, id)| integer(id).map(|(id, _)| id)).collect();
    assert_eq!(last, [Some(INTEGER_MAX - 3), Some(4)]);
    assert_eq!(client.ask(&request("GET", "/", &[])), Err(Refused::Reset(Code::RequestRejected as u64)));
    held.open();
    assert_eq!(client.answer(begun).map(|answer| answer.body), Ok(b"at last".to_vec()));
    assert_eq!(client.ended(), Some(Code::NoError as u64));
    assert!(headworks.wait_exit().success());
}

/// With `http3` gone from a listener its connections over QUIC end, and nothing else does; and it can come back.
#[test]
fn reloads() {
    let folder = folder();
    let web = Origin::echo("web");
    let with = format!("workers: 2\n{}", secured(&folder, ""));
    let without = with.replace(", http3: true", "");
    let mut headworks = start(&without, &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    let mut plain = caller.connect(headworks.address(), NAME);
    let get = || request("GET", "/", &[]);
    for _ in 0..2 {
        headworks.reload(&with, &[("web", &web)]);
        let client = Client::greet(&caller, headworks.address());
        assert_eq!(client.ask(&get()).map(|answer| answer.status), Ok(200));
        // one that changes nothing here
        headworks.reload(&with.replace("workers: 2\n", "workers: 2\n# the same\n"), &[("web", &web)]);
        assert_eq!(client.ask(&get()).map(|answer| answer.status), Ok(200));
        headworks.reload(&without, &[("web", &web)]);
        assert_eq!(client.ended(), Some(Code::NoError as u64));
        assert_eq!(plain.exchange(&ask("GET", "/").with(&format!("Host: {NAME}"))).status, 200);
    }
}

/// A client moves from port to port in mid-connection, and every worker knows whose it is.
#[test]
fn moves() {
    let folder = folder();
    let web = Origin::echo("web");
    let headworks = start(&format!("workers: 4\n{}", secured(&folder, "")), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    let client = Client::greet(&caller, headworks.address());
    for _ in 0..12 {
        let body = vec![b'b'; 20_000];
        let asked = [request("POST", "/", &[]), frame(0, body)].concat();
        assert_eq!(client.ask(&asked).map(|answer| answer.status), Ok(200));
        client.move_away();
    }
    assert!(headworks.metrics().sum("headworks_quic_datagrams_handed_on_total", &[]) > 0.0);
    assert_eq!(headworks.metrics().sum("headworks_tls_handshakes_total", &[]), 1.0);
}

/// While too many handshakes are under way, clients prove where they are before anything is computed for them (RFC 9000
/// section 8.1).
#[test]
fn addresses_are_proved_under_load() {
    let folder = folder();
    let web = Origin::echo("web");
    let headworks = start(&format!("workers: 1\n{}", secured(&folder, "")), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    // all of them ask while nobody answers
    headworks.signal(Signal::STOP);
    let clients: Vec<_> = (0..120)
        .map(|_| {
            let (caller, to) = (caller.clone(), headworks.address());
            std::thread::spawn(move || Client::greet(&caller, to).ask(&request("GET", "/", &[])))
        })
        .collect();
    wait_queued(headworks.address().port(), 100 * 1200);
    headworks.signal(Signal::CONT);
    for client in clients {
        let answer = client.join().unwrap_or_else(|_| panic!("a client has failed"));
        assert_eq!(answer.map(|answer| answer.status), Ok(200));
    }
    assert!(headworks.metrics().sum("headworks_quic_address_validations_total", &[]) > 0.0);
}

/// Waits until datagrams of so many bytes wait to be received on a port.
fn wait_queued(port: u16, bytes: u64) {
    wait::until("datagrams that wait", || {
        let sockets = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
        let of_port = sockets.lines().filter(|line| line.contains(&format!(":{port:04X} ")));
        let queued = of_port.filter_map(|line| line.split_whitespace().nth(4)?.split_once(':'));
        let queued: u64 = queued.filter_map(|(_, queue)| u64::from_str_radix(queue, 16).ok()).sum();
        (queued >= bytes).then_some(())
    });
}

/// Client certificates are asked for and told of as over TCP.
#[test]
fn client_certificates() {
    let folder = folder();
    let web = Origin::echo("web");
    let people = Authority::new("People");
    let trusted = folder.path().join("people.pem");
    std::fs::write(&trusted, people.pem()).unwrap_or_else(|error| panic!("no trust store: {error}"));
    let mutual = format!(", mutual_authentication: {{ mode: verify, trust_store: {} }}", trusted.display());
    let yaml = secured(&folder, "").replace(", http3: true", &format!(", http3: true{mutual}"));
    let headworks = start(&yaml, &[("web", &web)]);
    let somebody = people.issue(&["somebody"]);
    let caller = Caller::trusting_all().showing(&somebody).build();
    for _ in 0..2 {
        // the second time by a ticket
        let client = Client::greet(&caller, headworks.address());
        let answer = client.ask(&request("GET", "/", &[])).unwrap_or_else(|refused| panic!("{refused:?}"));
        let body = String::from_utf8_lossy(&answer.body).to_lowercase();
        assert!(body.contains("x-amzn-mtls-clientcert-subject"), "{body}");
    }
    let client = Client::connect(&Caller::trusting_all().build(), headworks.address());
    // in TLS 1.3 the client is done before the server has seen that there is no certificate
    assert_eq!(client.ended(), None);
    let missing = [("reason", "client_certificate_missing")];
    let _ = headworks.wait_metrics("headworks_tls_handshake_failures_total", &missing, 1.0);
}
