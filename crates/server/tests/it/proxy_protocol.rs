//! The PROXY protocol (PP, `proxy-protocol.txt` of HAProxy) on both sides: headers as scripted bytes, and HAProxy as the proxy in
//! front and as the target behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use headworks_testkit::{Authority, Caller, Client, Headworks, Origin, ask, check, free_port, wait};
use http::Method;

use crate::http2_targets::{self, connect, request, run};
use crate::start;
use crate::tls::{folder, secure};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const CLIENT: &str = "203.0.113.7";
const ONE: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n";
/// The same in version 2.
const TWO: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\xc0\0\x02\x01\xdc\x04\x01\xbb";

/// HAProxy with one more section of its configuration.
struct HaProxy {
    child: Child,
}

impl HaProxy {
    fn start(folder: &Path, section: &str, address: SocketAddr) -> HaProxy {
        let path = folder.join("haproxy.cfg");
        let text = format!(
            "global\n  nbthread 1\n  maxconn 100\ndefaults\n  timeout connect 5s\n  timeout client 30s\n  timeout server \
             30s\n{section}"
        );
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("no configuration: {error}"));
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("no HAProxy ({error}): make packages"));
        wait::until("HAProxy", || TcpStream::connect(address).ok());
        HaProxy { child }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// A listener that these proxies stand before, in front of `<web>`.
fn behind(from: &str, listener: &str, group: &str) -> String {
    format!(
        "workers: 1\nload_balancers:\n  shop:\n    access_log: {{ path: access.log, format: json }}\n    listeners: {{ http: \
         {{ address: 127.0.0.1:0, proxy_protocol: {{ from: [{from}] }}, rules: [ {{ if: {{ source_ip: [{CLIENT}] }}, then: \
         {{ forward: web }} }} ], default: {{ fixed_response: {{ status: 200, body: elsewhere }} }}{listener} }} }}\n\
         target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }}{group} }}\n"
    )
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[0x20 | command, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
}

#[test]
fn whoever_is_told_of_is_the_client() {
    let web = Origin::echo("web");
    let headworks = start(&behind("127.0.0.0/8", "", ""), &[("web", &web)]);
    let asked = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mapped = b"PROXY TCP6 ::ffff:203.0.113.7 ::1 56324 443\r\n";
    let rows: [(&str, Vec<u8>); 4] = [
        ("version 1", ONE.to_vec()),
        ("version 2", TWO.to_vec()),
        ("version 1, IPv4 in IPv6", mapped.to_vec()),
        ("version 2 with records", v2(1, 0x11, &[&TWO[16..], &[0xea, 0, 2, 1, b'v']].concat())),
    ];
    check(
        rows,
        |(what, _)| (*what).to_owned(),
        |(_, header)| {
            let mut client = headworks.client();
            let echo = client.send([header, &asked[..]].concat()).response().echo();
            assert_eq!(echo.fields.all("X-Forwarded-For"), [CLIENT]);
            // the header is said once
            assert_eq!(client.exchange(&ask("GET", "/")).echo().fields.all("X-Forwarded-For"), [CLIENT]);
            // byte by byte
            let mut slow = headworks.client();
            for byte in header {
                slow.send([*byte]);
            }
            assert_eq!(slow.exchange(&ask("GET", "/")).echo().fields.all("X-Forwarded-For"), [CLIENT]);
        },
    );
    let lines = headworks.log_lines("access.log", 12);
    assert!(lines.iter().all(|line| line.contains("\"client\":\"203.0.113.7:56324\"")), "{lines:?}");
    // a proxy that speaks for itself is the client
    let rows = [
        ("UNKNOWN", b"PROXY UNKNOWN 203.0.113.7\r\n".to_vec()),
        ("LOCAL", v2(0, 0x11, &TWO[16..])),
        ("UNSPEC", v2(1, 0, &[])),
    ];
    check(
        rows,
        |(what, _)| (*what).to_owned(),
        |(_, header)| {
            let mut client = headworks.client();
            client.send(header);
            assert_eq!(client.exchange(&ask("GET", "/")).text(), "elsewhere");
        },
    );
}

fn wait_refusals(headworks: &Headworks, reason: &str, count: f64) {
    let _ = headworks.wait_metrics("headworks_proxy_protocol_refusals_total", &[("reason", reason)], count);
}

/// Nothing of a connection without a good header is served, or forwarded.
#[test]
fn whoever_says_nothing_good_is_closed() {
    let web = Origin::echo("web");
    let headworks = start(&behind("127.0.0.1", ", limits: { header_timeout: 300ms }", ""), &[("web", &web)]);
    let asked = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let checksum = v2(1, 0x11, &[&TWO[16..], &[3, 0, 4, 1, 2, 3, 4]].concat());
    let rows: [(&str, &[u8], &str); 8] = [
        ("a request", asked, "missing"),
        ("a handshake", b"\x16\x03\x01\x02\0\x01", "missing"),
        ("a line that ends otherwise", b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n", "malformed"),
        ("another family", &v2(1, 0x12, &TWO[16..]), "malformed"),
        (
            "no end",
            &[b'P', b'R', b'O', b'X', b'Y', b' '].iter().copied().chain([b'x'; 120]).collect::<Vec<_>>(),
            "too_long",
        ),
        ("a wrong checksum", &checksum, "checksum"),
        ("half of it", &ONE[..20], "timeout"),
        ("nothing", b"", "timeout"),
    ];
    let mut counts = std::collections::HashMap::new();
    for (_, bytes, reason) in rows {
        let mut client = headworks.client();
        client.send_anyway(bytes).expect_ended();
        let count = counts.entry(reason).or_insert(0.0);
        *count += 1.0;
        wait_refusals(&headworks, reason, *count);
    }
    let mut gone = headworks.client();
    gone.send(&TWO[..14]).finish().expect_ended();
    wait_refusals(&headworks, "closed", 1.0);
    // a good header from elsewhere
    let mut stranger = Client::connect_from("127.0.0.2", headworks.address());
    stranger.send_anyway([ONE, asked].concat()).expect_ended();
    wait_refusals(&headworks, "stranger", 1.0);
    assert_eq!(web.connections(), 0);
    headworks.expect_alive();
}

/// Limits of a client are those of whom the proxy speaks for, and what one has done is nobody else's offence.
#[test]
fn limits_are_those_of_the_client() {
    let limits =
        ", limits: { connections_per_client: 2, header_timeout: 300ms, block: { after: 3, within: 1m, for: 1m } }";
    let web = Origin::echo("web");
    let headworks = start(&behind("127.0.0.1", limits, ""), &[("web", &web)]);
    let from = |client: u8| {
        let mut connection = headworks.client();
        connection.send(format!("PROXY TCP4 203.0.113.{client} 192.0.2.1 56324 443\r\n"));
        connection.send_anyway(ask("GET", "/").bytes());
        connection
    };
    let served = |client: u8| from(client).try_response_to("GET").is_ok();
    let open: Vec<_> =
        [7, 7, 8, 8].map(from).into_iter().map(|mut client| (client.response().status, client)).collect();
    assert!(open.iter().all(|(status, _)| *status == 200));
    assert_eq!([7, 8, 9].map(served), [false, false, true]);
    let refused = |reason, count| {
        let _ = headworks.wait_metrics("headworks_refused_connections_total", &[("reason", reason)], count);
    };
    refused("connections_per_client", 2.0);
    let top = &headworks.status()["load_balancers"]["shop"]["listeners"]["http"]["top_clients"];
    let most = [&top[0], &top[1]].map(|top| (top["client"].clone(), top["connections"]["active"].clone()));
    assert_eq!(most, [("203.0.113.8".into(), 2.into()), ("203.0.113.7".into(), 2.into())]);
    drop(open);
    let _ = headworks.wait_metrics("headworks_top_client_connections", &[], 0.0);
    assert!(served(7));
    // two more offences of one that has one already, by a head that does not end
    for _ in 0..2 {
        let mut slow = headworks.client();
        slow.send("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\nGET / HTTP/1.1\r\n");
        assert_eq!(slow.response().status, 408);
    }
    assert_eq!([7, 8, 9].map(served), [false, true, true]);
    refused("blocked", 1.0);
}

/// Before the handshake, by HAProxy in both versions.
#[test]
fn haproxy_in_front() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let web = Origin::echo("web");
    check(
        ["send-proxy", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"],
        |how| (*how).to_owned(),
        |how| {
            let yaml = secure(folder.path(), &["a"], "", ", proxy_protocol: { from: [127.0.0.1] }");
            let headworks = start(&yaml, &[("web", &web)]);
            let front = free_address();
            let to = headworks.address();
            let section = format!(
                "listen front\n  mode tcp\n  bind {front}\n  unique-id-format %[uuid()]\n  tcp-request connection set-src \
                 str({CLIENT})\n  server one {to} {how}\n"
            );
            let _haproxy = HaProxy::start(folder.path(), &section, front);
            let caller = Caller::trusting(&authority).build();
            let mut client = caller.connect(front, "a.example.com");
            let echo = client.exchange(&ask("GET", "/").with("Host: a.example.com")).echo();
            assert_eq!(echo.fields.all("X-Forwarded-For"), [CLIENT]);
        },
    );
}

/// A target that wants a header of version 1 or 2, and answers with it, and with the number of the request on the connection.
struct Told {
    address: SocketAddr,
    headers: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Told {
    fn start() -> Told {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("cannot listen: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let headers = Arc::new(Mutex::new(Vec::new()));
        let kept = headers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                std::thread::spawn(move || Told::serve(stream, &kept));
            }
        });
        Told { address, headers }
    }

    fn serve(stream: TcpStream, kept: &Mutex<Vec<Vec<u8>>>) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut header = vec![0; 6];
        reader.read_exact(&mut header).ok()?;
        if header == b"PROXY " {
            reader.read_until(b'\n', &mut header).ok()?;
        } else {
            header.resize(16, 0);
            reader.read_exact(&mut header[6..]).ok()?;
            let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
            header.resize(16 + length, 0);
            reader.read_exact(&mut header[16..]).ok()?;
        }
        kept.lock().ok()?.push(header.clone());
        for number in 1.. {
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
            }
            let body = format!("{number} {}", header.escape_ascii());
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            reader.get_mut().write_all(answer.as_bytes()).ok()?;
        }
        None
    }

    fn headers(&self) -> Vec<Vec<u8>> {
        self.headers.lock().unwrap_or_else(|_| panic!("a connection failed")).clone()
    }
}

fn telling(group: &str) -> String {
    crate::proxy("", &format!(", proxy_protocol: {group}")) + "workers: 1\n"
}

/// A connection that was announced for a client carries nobody else's requests.
#[test]
fn targets_are_told_who_each_connection_is_for() {
    let told = Told::start();
    let headworks = start(&telling("v1"), &[("web", &told.address)]);
    let listener = headworks.address();
    let expected = |client: &Client, number: usize| {
        format!("{number} PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\\r\\n", client.local().port(), listener.port())
    };
    let (mut one, mut two) = (headworks.client(), headworks.client());
    for number in 1..=3 {
        for client in [&mut one, &mut two] {
            let said = client.exchange(&ask("GET", "/")).text();
            assert_eq!(said, expected(client, number));
        }
    }
    assert_eq!(told.headers().len(), 2);
    // theirs are closed when they are gone, and never given to another
    drop((one, two));
    let mut three = headworks.client();
    let said = three.exchange(&ask("GET", "/")).text();
    assert_eq!(said, expected(&three, 1));
    headworks.wait_status("one idle connection", |status| {
        let idle = status.pointer("/target_groups/web/targets/0/connections/idle")?;
        (idle == 1).then_some(())
    });
}

/// On all addresses of the machine, the one that the client connected to is told.
#[test]
fn the_address_that_was_connected_to() {
    let told = Told::start();
    let yaml = telling("v1").replace("127.0.0.1:0", "\"[::]:0\"");
    let headworks = start(&yaml, &[("web", &told.address)]);
    let port = headworks.address().port();
    let mut client = Client::connect((Ipv4Addr::LOCALHOST, port).into());
    let said = client.exchange(&ask("GET", "/")).text();
    assert_eq!(said, format!("1 PROXY TCP4 127.0.0.1 127.0.0.1 {} {port}\\r\\n", client.local().port()));
}

/// So it is with connections of HTTP/2, each of which carries many requests at once.
#[test]
fn connections_of_http2_are_for_one_client_each() {
    let (folder, back) = (folder(), free_address());
    let section = format!(
        "frontend back\n  mode http\n  bind {back} accept-proxy proto h2\n  http-request return status 200 content-type \
         text/plain lf-string \"%[src]:%[src_port]\"\n"
    );
    let _haproxy = HaProxy::start(folder.path(), &section, back);
    let headworks = start(&telling("v2, version: http2"), &[("web", &back)]);
    let said = run(async {
        let mut clients = [connect(headworks.address()).await, connect(headworks.address()).await];
        let mut said = Vec::new();
        for _ in 0..3 {
            for client in &mut clients {
                let answer = http2_targets::ask(client, request(Method::GET, "/"), None).await;
                assert_eq!(answer.status, 200);
                said.push(String::from_utf8_lossy(&answer.body).into_owned());
            }
        }
        said
    });
    assert!(said[0].starts_with("127.0.0.1:") && said[0] != said[1], "{said:?}");
    assert_eq!(said, [&said[..2], &said[..2], &said[..2]].concat());
    let connections = headworks.metrics().sum("headworks_target_connections_total", &[("target_group", "web")]);
    assert_eq!(connections as u64, 2);
}

/// What records of version 2 say of a client over TLS: that of the client's own connection.
#[test]
fn records_of_tls() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let told = Told::start();
    let yaml =
        secure(folder.path(), &["a"], "", "").replace("targets: [<web>]", "targets: [<web>], proxy_protocol: v2");
    let headworks = start(&yaml, &[("web", &told.address)]);
    let caller = Caller::trusting(&authority).protocols(&["http/1.1"]).build();
    let mut client = caller.connect(headworks.address(), "a.example.com");
    assert_eq!(client.exchange(&ask("GET", "/").with("Host: a.example.com")).status, 200);
    let header = &told.headers()[0];
    let records = &header[28..];
    let expected: &[u8] = b"\x01\0\x08http/1.1\x02\0\x0da.example.com\x20\0";
    assert!(records.starts_with(expected), "{}", records.escape_ascii());
    let ssl = &records[expected.len() + 1..];
    assert!(ssl.starts_with(b"\x01\0\0\0\x01\x21\0\x07TLSv1.3\x23\0"), "{}", ssl.escape_ascii());
    assert_eq!(records[records.len() - 7..records.len() - 4], [3, 0, 4]);
}

/// Whether the client has shown a certificate that is trusted, now or when its session began (PP 2.2.6).
#[test]
fn records_of_a_client_s_certificate() {
    let folder = folder();
    let (authority, clients) = (Authority::new("Test Authority"), Authority::new("Clients"));
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let trusted = clients.place(folder.path(), "clients.pem").display().to_string();
    let shown = clients.issue(&["client.example.com"]);
    let rows = [
        (format!("{{ mode: verify, trust_store: {trusted} }}"), [(7, 0), (5, 0)]),
        // nobody has looked at it
        ("{ mode: passthrough }".to_owned(), [(1, 1), (1, 1)]),
    ];
    check(
        rows,
        |(mutual, _)| mutual.clone(),
        |(mutual, expected)| {
            let told = Told::start();
            let yaml = secure(folder.path(), &["a"], "", &format!(", mutual_authentication: {mutual}"))
                .replace("targets: [<web>]", "targets: [<web>], proxy_protocol: v2");
            let headworks = start(&yaml, &[("web", &told.address)]);
            let caller = Caller::trusting(&authority).showing(&shown).build();
            for _ in expected {
                let mut client = caller.connect(headworks.address(), "a.example.com");
                assert_eq!(client.exchange(&ask("GET", "/").with("Host: a.example.com")).status, 200);
            }
            let said: Vec<(u8, u8)> = told
                .headers()
                .iter()
                .map(|header| {
                    let records = &header[28..];
                    let version = records.windows(3).position(|bytes| bytes == [0x21, 0, 7]).expect("a version");
                    (records[version - 5], records[version - 1])
                })
                .collect();
            assert_eq!(said, expected);
        },
    );
}

/// Of TLS that goes through, the name that the client asks for is known; of a proxy in front, nothing that this one knows.
#[test]
fn the_name_of_tls_that_goes_through() {
    let authority = Authority::new("Test Authority");
    let told = Told::start();
    let yaml = "load_balancers:\n  net: { type: network, listeners: { tls: { address: 127.0.0.1:0, protocol: tls_passthrough, default: { \
                forward: web } } } }\ntarget_groups:\n  web: { protocol: tls, targets: [<web>], proxy_protocol: v2, health_check: { \
                protocol: none } }\n";
    let headworks = start(yaml, &[("web", &told.address)]);
    let caller = Caller::trusting(&authority).build();
    assert!(caller.try_connect(headworks.address(), "db.example.com").is_err(), "no TLS is spoken there");
    let headers = told.headers();
    assert_eq!(headers.len(), 1);
    let records = &headers[0][28..];
    assert!(records.starts_with(b"\x02\0\x0edb.example.com\x03\0\x04"), "{}", records.escape_ascii());
    assert_eq!(records.len(), 3 + 14 + 7, "and a checksum is all that follows");
}

/// What a proxy in front has said goes on to targets, and health checks are for nobody.
#[test]
fn from_one_side_to_the_other() {
    let told = Told::start();
    let yaml = behind("127.0.0.1", "", ", proxy_protocol: v2");
    let headworks = start(&yaml, &[("web", &told.address)]);
    let header = v2(1, 0x11, &[&TWO[16..], &[0xea, 0, 2, 1, b'v'], &[4, 0, 0]].concat());
    let mut client = headworks.client();
    assert_eq!(client.send(header).exchange(&ask("GET", "/")).status, 200);
    let headers = told.headers();
    // a checksum takes the padding's place
    assert_eq!(headers[0][..33], v2(1, 0x11, &[&TWO[16..], &[0xea, 0, 2, 1, b'v'], &[0; 7]].concat())[..33]);
    assert_eq!(headers[0].len(), 40);
    for (version, expected) in [("v1", b"PROXY UNKNOWN\r\n".to_vec()), ("v2", v2(0, 0, &[]))] {
        let told = Told::start();
        let yaml = telling(version).replace("health_check: { protocol: none }", "health_check: { interval: 100ms }");
        let headworks = start(&yaml, &[("web", &told.address)]);
        if version == "v2" {
            let _ = headworks.wait_metrics("headworks_target_group_healthy_targets", &[], 1.0);
        }
        wait::until("a check", || told.headers().first().map(|header| assert_eq!(*header, expected)));
    }
}

/// HAProxy reads what is written, over HTTP/1.1 and HTTP/2, and answers with it.
#[test]
fn haproxy_behind() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let back = free_address();
    let section = format!(
        "frontend back\n  mode http\n  bind {back} accept-proxy proto h1\n  http-request return status 200 content-type \
         text/plain lf-string \"%[src]:%[src_port] %[dst]:%[dst_port] %[fc_pp_authority]\"\n"
    );
    let _haproxy = HaProxy::start(folder.path(), &section, back);
    check(
        ["v1", "v2"],
        |version| (*version).to_owned(),
        |version| {
            let group = format!("targets: [<web>], proxy_protocol: {version}");
            let yaml = secure(folder.path(), &["a"], "", "").replace("targets: [<web>]", &group);
            let headworks = start(&yaml, &[("web", &back)]);
            let mut client = Caller::trusting(&authority).build().connect(headworks.address(), "a.example.com");
            let said = client.exchange(&ask("GET", "/").with("Host: a.example.com")).text();
            let authority = if *version == "v2" { "a.example.com" } else { "" };
            assert_eq!(said, format!("{} {} {authority}", client.local(), headworks.address()));
        },
    );
}
