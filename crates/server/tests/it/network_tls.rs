//! Network load balancers and TLS: ended here, begun anew to targets, or gone through by the name in its ClientHello (N9).

use std::path::Path;
use std::process::{Command, Stdio};

use headworks_testkit::stream::End;
use headworks_testkit::tls::Serves;
use headworks_testkit::{Authority, Caller, Client, Door, Headworks, Origin, Step, check, echo};
use serde_json::Value;

use crate::start;
use crate::tls::folder;

/// A tls listener with the certificate `a` of `folder` in front of one target.
fn ended_here(folder: &Path, listener: &str, target: &str, group: &str) -> String {
    let path = folder.join("a").display().to_string();
    format!(
        "load_balancers:\n  net: {{ type: network, access_log: access.log, listeners: {{ tls: {{ address: 127.0.0.1:0, \
         protocol: tls, certificates: [a], default: {{ forward: web }}{listener} }} }} }}\ntarget_groups:\n  web: {{ \
         targets: [{target}], health_check: {{ protocol: none }}{group} }}\ncertificates: {{ a: {{ certificate: {path}.pem, \
         key: {path}.key }} }}\n"
    )
}

fn mirror(serves: Option<Serves>) -> Origin {
    let origin = Origin::new("mirror").at_accept([Step::Mirror]);
    match serves {
        Some(serves) => origin.tls(serves).start(),
        None => origin.start(),
    }
}

fn log_line(headworks: &Headworks) -> Value {
    let lines = headworks.log_lines("access.log", 1);
    serde_json::from_str(&lines[0]).unwrap_or_else(|error| panic!("{error} in {lines:?}"))
}

/// Small and large, and an end in good order.
fn expect_mirrored(client: &mut Client) {
    assert_eq!(client.send(b"hello").bytes(5), b"hello");
    let bulk: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for piece in bulk.chunks(100_000) {
        client.send(piece);
        assert_eq!(echo::hash(&client.bytes(piece.len())), echo::hash(piece));
    }
    client.finish();
    client.expect_closed();
}

#[test]
fn tls_ends_here() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let plain = mirror(None);
    let secured = mirror(Some(Serves::new(&authority.issue(&["web.internal"]), None)));
    let ca = authority.place(folder.path(), "ca.pem").display().to_string();
    let verified = format!(", protocol: tls, tls: {{ verify: true, ca: {ca}, server_name: web.internal }}");
    let rows = [
        (plain.address().to_string(), ", protocol: tcp".to_owned()),
        (secured.address().to_string(), ", protocol: tls".to_owned()),
        (secured.address().to_string(), verified),
    ];
    for (target, group) in rows {
        let headworks = start(&ended_here(folder.path(), "", &target, &group), &[]);
        let caller = Caller::trusting(&authority).build();
        let mut client = caller.connect(headworks.address(), "a.example.com");
        expect_mirrored(&mut client);
        let line = log_line(&headworks);
        assert_eq!(
            (&line["server_name"], &line["tls_version"]),
            (&"a.example.com".into(), &"TLSv1.3".into()),
            "{line}"
        );
        assert_eq!((&line["received_bytes"], &line["ended"]), (&3_000_005.into(), &"closed".into()), "{line}");
        // the next one resumes; what is no TLS gets no word
        assert!(caller.connect(headworks.address(), "a.example.com").agreed().resumed);
        let mut other = headworks.client();
        other.send(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n");
        other.expect_ended();
        let _ = headworks.wait_metrics("headworks_tls_handshake_failures_total", &[("reason", "plain_http")], 1.0);
    }
    // resets go through TLS as they do without
    let door = Door::open();
    let headworks = start(&ended_here(folder.path(), "", &door.to_string(), ", protocol: tcp"), &[]);
    let caller = Caller::trusting(&authority).build();
    let client = caller.connect(headworks.address(), "a.example.com");
    let mut target = door.accept();
    client.reset();
    assert_eq!(target.rest(), (Vec::new(), End::Reset));
    let mut client = caller.connect(headworks.address(), "a.example.com");
    door.accept().reset();
    assert_eq!(client.rest(), (Vec::new(), End::Reset));
}

/// A target whose certificate is not taken, or that speaks no TLS, is like one that refuses.
#[test]
fn targets_that_are_not_taken() {
    let folder = folder();
    let (authority, strangers) = (Authority::new("Test Authority"), Authority::new("Strangers"));
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let ca = authority.place(folder.path(), "ca.pem").display().to_string();
    let stranger = mirror(Some(Serves::new(&strangers.issue(&["web.internal"]), None)));
    let group = format!(", protocol: tls, tls: {{ verify: true, ca: {ca}, server_name: web.internal }}");
    let yaml = ended_here(folder.path(), "", &stranger.address().to_string(), &group);
    let headworks = start(&yaml, &[]);
    let mut client = Caller::trusting(&authority).build().connect(headworks.address(), "a.example.com");
    assert_eq!(client.rest().1, End::Reset);
    assert_eq!(log_line(&headworks)["ended"], "target_tls_error");
}

/// N9: what is agreed on with the client is what the target is offered.
#[test]
fn protocols_by_alpn() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let issued = authority.issue(&["web.internal"]);
    type Row = (&'static str, &'static [&'static str], Option<&'static str>);
    let rows: [Row; 7] = [
        ("None", &["h2", "http/1.1"], None),
        ("HTTP1Only", &["h2", "http/1.1"], Some("http/1.1")),
        ("HTTP2Only", &["http/1.1", "h2"], Some("h2")),
        ("HTTP2Optional", &["h2", "http/1.1"], Some("http/1.1")),
        ("HTTP2Optional", &["h2"], Some("h2")),
        ("HTTP2Preferred", &["http/1.0", "h2"], Some("h2")),
        ("HTTP2Preferred", &[], None),
    ];
    check(
        rows,
        |(policy, offered, _)| format!("{policy} with {offered:?}"),
        |(policy, offered, expected)| {
            let serves = Serves::new(&issued, None).protocols(&["http/1.0", "http/1.1", "h2"]);
            let target = mirror(Some(serves));
            let listener = format!(", alpn_policy: {policy}");
            let address = target.address().to_string();
            let headworks = start(&ended_here(folder.path(), &listener, &address, ", protocol: tls"), &[]);
            let caller = Caller::trusting(&authority).protocols(offered).build();
            let mut client = caller.connect(headworks.address(), "a.example.com");
            let expected = expected.map(|name| name.as_bytes().to_vec());
            assert_eq!(client.agreed().protocol, expected);
            assert_eq!(client.send(b"hello").bytes(5), b"hello");
            assert_eq!(target.handshakes()[0].as_ref().unwrap().protocol, expected);
        },
    );
    let target = mirror(None);
    let yaml = ended_here(folder.path(), ", alpn_policy: HTTP2Only", &target.address().to_string(), ", protocol: tcp");
    let headworks = start(&yaml, &[]);
    let caller = Caller::trusting(&authority).protocols(&["http/1.1"]).build();
    assert!(caller.try_connect(headworks.address(), "a.example.com").is_err());
    let _ = headworks.wait_metrics("headworks_tls_handshake_failures_total", &[("reason", "protocol")], 1.0);
}

/// Client certificates are verified; there is no place to put them for targets.
#[test]
fn client_certificates() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let ca = authority.place(folder.path(), "ca.pem").display().to_string();
    let shown = authority.issue(&["client"]);
    let target = mirror(None);
    let listener = format!(", mutual_authentication: {{ mode: verify, trust_store: {ca} }}");
    let yaml = ended_here(folder.path(), &listener, &target.address().to_string(), ", protocol: tcp");
    let headworks = start(&yaml, &[]);
    let known = Caller::trusting(&authority).showing(&shown).build();
    let mut client = known.connect(headworks.address(), "a.example.com");
    assert_eq!(client.send(b"hello").bytes(5), b"hello");
    let mut unknown = Caller::trusting(&authority).build().connect(headworks.address(), "a.example.com");
    let (came, end) = unknown.rest();
    assert!(came.is_empty() && end != End::TimedOut, "{end}");
}

/// A tls_passthrough listener with rules by name and by protocol, in front of targets with a TLS of their own.
fn passthrough(listener: &str, targets: [&Origin; 3]) -> String {
    let [db, mail, web] = targets.map(|target| target.address().to_string());
    format!(
        "load_balancers:\n  net:\n    type: network\n    access_log: access.log\n    listeners:\n      any:\n        address: \
         127.0.0.1:0\n        protocol: tls_passthrough{listener}\n        rules:\n          - {{ name: db, if: {{ sni: \
         [\"*.db.example.com\", db.example.com] }}, then: {{ forward: db }} }}\n          - {{ name: mail, if: {{ alpn: \
         [imap] }}, then: {{ forward: mail }} }}\n        default: {{ forward: web }}\ntarget_groups:\n  db: {{ protocol: tls, \
         targets: [{db}], health_check: {{ protocol: none }} }}\n  mail: {{ protocol: tcp, targets: [{mail}], health_check: \
         {{ protocol: none }} }}\n  web: {{ protocol: tls, targets: [{web}], health_check: {{ protocol: none }} }}\n"
    )
}

#[test]
fn tls_goes_through_by_name() {
    let authority = Authority::new("Test Authority");
    let at = |name: &str| mirror(Some(Serves::new(&authority.issue(&[name]), None).protocols(&["imap", "h2"])));
    let (db, mail, web) = (at("*.db.example.com"), at("mail.example.com"), at("web.example.com"));
    let headworks = start(&passthrough("", [&db, &mail, &web]), &[]);
    let rows = [
        ("x.db.example.com", &[][..], &db, "db"),
        ("X.DB.example.com", &["imap"], &db, "db"),
        ("mail.example.com", &["imap", "h2"], &mail, "mail"),
        ("web.example.com", &["h2"], &web, "default"),
    ];
    for (number, (name, protocols, origin, rule)) in rows.into_iter().enumerate() {
        // it is the target's certificate that the client sees, and verifies
        let before = origin.connections();
        let caller = Caller::trusting(&authority).protocols(protocols).build();
        let mut client = caller.connect(headworks.address(), name);
        expect_mirrored(&mut client);
        assert_eq!(origin.connections(), before + 1, "{name}");
        let line: Value = serde_json::from_str(&headworks.log_lines("access.log", number + 1)[number]).unwrap();
        let expected = (&Value::from(name.to_lowercase()), &Value::from(rule));
        assert_eq!((&line["server_name"], &line["rule"]), expected, "{line}");
        assert!(line["tls_version"].is_null(), "{line}");
    }
    // without a name: the default
    let caller = Caller::trusting_all().nameless().build();
    assert_eq!(caller.connect(headworks.address(), "x.db.example.com").send(b"hello").bytes(5), b"hello");
    assert_eq!(web.connections(), 2);
}

/// OpenSSL's own client, with each version that is in use.
#[test]
fn openssl_goes_through() {
    let authority = Authority::new("Test Authority");
    let at = |name: &str| mirror(Some(Serves::new(&authority.issue(&[name]), None)));
    let (db, mail, web) = (at("*.db.example.com"), at("mail.example.com"), at("web.example.com"));
    let headworks = start(&passthrough("", [&db, &mail, &web]), &[]);
    let address = headworks.address().to_string();
    for (number, version) in ["-tls1_2", "-tls1_3"].into_iter().enumerate() {
        let run = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "x.db.example.com", version, "-brief"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(said.contains("CONNECTION ESTABLISHED"), "{said}");
        assert_eq!(db.connections(), number + 1);
    }
}

/// However a hello arrives; and what is none is closed and counted.
#[test]
fn hellos_in_pieces_and_garbage() {
    let authority = Authority::new("Test Authority");
    let plain = Origin::new("plain").at_accept([Step::Mirror]).start();
    let (mail, web) = (mirror(None), mirror(Some(Serves::new(&authority.issue(&["web"]), None))));
    let yaml = passthrough("\n        limits: { header_timeout: 1s }", [&plain, &mail, &web]);
    let headworks = start(&yaml, &[]);
    let hello = hello_for("x.db.example.com");
    for size in [1, 7, 100] {
        let mut client = headworks.client();
        for piece in hello.chunks(size) {
            client.send(piece);
        }
        // the target gets every byte as it came
        assert_eq!(client.bytes(hello.len()), hello);
        client.send(b"more");
        assert_eq!(client.bytes(4), b"more");
    }
    let ends = |reason, count| headworks.wait_metrics("headworks_flows_ended_total", &[("reason", reason)], count);
    for (number, garbage) in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x00\x00", b"\x80\x2e\x01\x03\x01"].into_iter().enumerate()
    {
        let mut client = headworks.client();
        client.send(garbage);
        client.expect_ended();
        let _ = ends("malformed_hello", number as f64 + 1.0);
    }
    // one that does not go on, one that goes away
    let mut slow = headworks.client();
    slow.send(&hello[..hello.len() - 1]);
    slow.expect_ended();
    let _ = ends("hello_timeout", 1.0);
    headworks.client().finish().expect_ended();
    let _ = ends("client_closed", 1.0);
    headworks.expect_alive();
}

/// A hello as rustls sends it.
fn hello_for(name: &str) -> Vec<u8> {
    let door = Door::open();
    let (address, name) = (door.address(), name.to_owned());
    let caller = std::thread::spawn(move || Caller::trusting_all().build().try_connect(address, &name).is_err());
    let mut peer = door.accept();
    let header = peer.bytes(5);
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let hello = [header, peer.bytes(length)].concat();
    peer.reset();
    assert!(caller.join().is_ok_and(|failed| failed), "nobody answers it");
    hello
}
