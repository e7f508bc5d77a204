//! TLS on listeners: certificates and their choice, policies, tickets, and what clients get that do not speak it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headworks_model::tls_policy::{TlsPolicy, TlsVersion};
use headworks_testkit::authority::Key;
use headworks_testkit::{Authority, Caller, Client, Gate, Headworks, Origin, Step, ask, check, wait};
use rustls::ProtocolVersion;
use tempfile::TempDir;

use crate::{HEADWORKS, start};

/// One https listener that forwards everything to `<web>`, with certificates from `<folder>/<name>.pem` and `.key`, and
/// further lines for the load balancer and the listener in flow style.
pub(crate) fn secure(folder: &Path, certificates: &[&str], balancer: &str, listener: &str) -> String {
    let named: String = certificates
        .iter()
        .map(|name| {
            let path = folder.join(name).display().to_string();
            format!("  {name}: {{ certificate: {path}.pem, key: {path}.key }}\n")
        })
        .collect();
    format!(
        "load_balancers:\n  shop: {{ listeners: {{ https: {{ address: 127.0.0.1:0, protocol: https, \
         certificates: [{}], default: {{ forward: web }}{listener} }} }}{balancer} }}\n\
         target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }} }}\ncertificates:\n{named}",
        certificates.join(", "),
    )
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"))
}

/// A certificate for `a.example.com` as `a`, of an authority that is new.
fn one(folder: &TempDir) -> Authority {
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    authority
}

/// Waits until so many handshakes failed for this reason.
fn wait_failures(headworks: &Headworks, reason: &str, count: f64) {
    let _ = headworks.wait_metrics("headworks_tls_handshake_failures_total", &[("reason", reason)], count);
}

#[test]
fn a_request_over_tls() {
    let folder = folder();
    let authority = one(&folder);
    let web = Origin::echo("web");
    let headworks = start(&secure(folder.path(), &["a"], "", ""), &[("web", &web)]);
    let caller = Caller::trusting(&authority).build();
    let mut client = caller.connect(headworks.address(), "a.example.com");
    for number in 1..=3 {
        let echo = client.exchange(&ask("POST", "/x").with("Host: a.example.com").body("body")).echo();
        assert_eq!((echo.target.as_str(), echo.body_length, echo.request), ("/x", 4, number));
        let port = headworks.address().port();
        assert_eq!(echo.fields.all("X-Forwarded-Proto"), ["https"]);
        assert_eq!(echo.fields.all("X-Forwarded-Port"), [port.to_string()]);
        assert_eq!(echo.fields.one("Host"), Some(format!("a.example.com:{port}").as_str()));
    }
    // the end is said in both directions
    client.exchange(&ask("GET", "/").with("Connection: close"));
    client.expect_closed();
}

#[test]
fn large_bodies_both_ways() {
    let folder = folder();
    let authority = one(&folder);
    let big = vec![b'x'; 3 << 20];
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n".as_slice(), &big].concat();
    let web = Origin::new("web").on("/big", [Step::Body, Step::Send(answer)]).start();
    let headworks = start(&secure(folder.path(), &["a"], "", ""), &[("web", &web)]);
    for versions in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let caller = Caller::trusting(&authority).versions(&[versions]).build();
        let mut client = caller.connect(headworks.address(), "a.example.com");
        let response = client.exchange(&ask("POST", "/big").body(&big));
        assert!(response.body.content == big, "{} bytes", response.body.content.len());
    }
}

/// Plain HTTP is told what is wrong, junk is not talked to, and both are counted.
#[test]
fn clients_that_do_not_speak_tls() {
    let folder = folder();
    one(&folder);
    let web = Origin::echo("web");
    let headworks = start(&secure(folder.path(), &["a"], "", ""), &[("web", &web)]);
    let mut client = Client::connect(headworks.address());
    let response = client.exchange(&ask("GET", "/"));
    assert_eq!((response.status, response.field("Connection")), (400, Some("close")), "{response}");
    assert!(response.text().contains("HTTPS"), "{response}");
    client.expect_closed();
    wait_failures(&headworks, "plain_http", 1.0);
    for junk in [b"\x00\x01\x02\x03".as_slice(), b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\n"] {
        let mut client = Client::connect(headworks.address());
        client.send(junk);
        client.expect_ended();
    }
    wait_failures(&headworks, "not_tls", 3.0);
    // a record of a handshake, and nothing that makes sense in it
    let mut client = Client::connect(headworks.address());
    client.send(b"\x16\x03\x01\x00\x05hello");
    client.rest();
    wait_failures(&headworks, "malformed", 1.0);
    drop(Client::connect(headworks.address()));
    wait_failures(&headworks, "closed", 1.0);
    assert!(web.received().is_empty());
    let metrics = headworks.metrics();
    assert_eq!(metrics.sum("headworks_tls_handshakes_in_flight", &[]), 0.0);
}

/// S1, by the certificate that a client is shown.
#[test]
fn which_certificate_is_shown() {
    let folder = folder();
    let authority = Authority::new("Test Authority");
    let default = authority.issue(&["default.example.com"]);
    let rsa = authority.order(&["both.example.com"]).key(Key::Rsa).issue();
    let ecdsa = authority.issue(&["both.example.com", "*.wild.example.com"]);
    for (issued, name) in [(&default, "default"), (&rsa, "rsa"), (&ecdsa, "ecdsa")] {
        issued.place(folder.path(), name);
    }
    let web = Origin::echo("web");
    let headworks = start(&secure(folder.path(), &["default", "rsa", "ecdsa"], "", ""), &[("web", &web)]);
    let all = Caller::trusting_all().build();
    let only_rsa = Caller::trusting_all()
        .versions(&[&rustls::version::TLS12])
        .ciphers(|suite| format!("{suite:?}").contains("ECDHE_RSA"))
        .build();
    let nameless = Caller::trusting_all().nameless().build();
    let rows = [
        ("default.example.com", &all, &default),
        ("both.example.com", &all, &ecdsa),
        ("BOTH.example.com", &all, &ecdsa),
        ("both.example.com", &only_rsa, &rsa),
        ("both.example.com", &nameless, &default),
        ("x.wild.example.com", &all, &ecdsa),
        ("y.x.wild.example.com", &all, &default),
        ("wild.example.com", &all, &default),
        ("other.example.org", &all, &default),
    ];
    check(
        rows,
        |(name, ..)| (*name).to_owned(),
        |(name, caller, expected)| {
            let agreed = caller.connect(headworks.address(), name).agreed();
            assert!(agreed.certificate.as_ref() == Some(&expected.der), "another certificate was shown");
        },
    );
}

/// S2: what each policy lets be negotiated, by a client of one version.
#[test]
fn each_policy() {
    let folder = folder();
    let authority = one(&folder);
    let path = folder.path().join("a").display().to_string();
    let mut yaml = "load_balancers:\n  shop:\n    listeners:\n".to_owned();
    for (i, policy) in TlsPolicy::all().enumerate() {
        yaml.push_str(&format!(
            "      l{i}: {{ address: 127.0.0.1:0, protocol: https, certificates: [a], tls_policy: {}, default: {{ \
             fixed_response: {{ status: 200 }} }} }}\n",
            policy.name()
        ));
    }
    yaml.push_str(&format!("certificates: {{ a: {{ certificate: {path}.pem, key: {path}.key }} }}\n"));
    let headworks = start(&yaml, &[]);
    let callers = [
        (TlsVersion::Tls12, ProtocolVersion::TLSv1_2, &rustls::version::TLS12),
        (TlsVersion::Tls13, ProtocolVersion::TLSv1_3, &rustls::version::TLS13),
    ];
    check(
        TlsPolicy::all().enumerate(),
        |(_, policy)| policy.name(),
        |(i, policy)| {
            let to = headworks.listener(&format!("shop/l{i}"));
            for (version, spoken, offered) in callers {
                let caller = Caller::trusting(&authority).versions(&[offered]).build();
                match caller.try_connect(to, "a.example.com") {
                    Ok(mut client) => {
                        assert!(policy.has(version), "{version} is spoken");
                        assert_eq!(client.agreed().version, spoken);
                        assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
                    }
                    Err(error) => {
                        assert!(!policy.has(version), "{version} is not spoken: {error}");
                        assert!(error.to_string().contains("ProtocolVersion"), "no alert, but {error}");
                    }
                }
            }
        },
    );
    assert!(
        headworks.said().contains("ELBSecurityPolicy-2016-08 lists what is not spoken here"),
        "{}",
        headworks.said()
    );
    let failed = headworks.metrics().sum("headworks_tls_handshake_failures_total", &[("reason", "version")]);
    assert!(failed > 10.0, "{failed}");
}

/// A client that does not get on with the handshake is not waited for.
#[test]
fn slow_handshakes() {
    let folder = folder();
    one(&folder);
    let web = Origin::echo("web");
    let headworks = start(&secure(folder.path(), &["a"], ", idle_timeout: 500ms", ""), &[("web", &web)]);
    let mut silent = Client::connect(headworks.address());
    let mut slow = Client::connect(headworks.address());
    slow.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    silent.expect_ended();
    slow.expect_ended();
    wait_failures(&headworks, "timeout", 2.0);
}

/// Tickets of both versions are taken, by every worker, also behind a reload.
#[test]
fn sessions_are_resumed() {
    let folder = folder();
    let authority = one(&folder);
    let web = Origin::echo("web");
    let yaml = format!("workers: 2\n{}", secure(folder.path(), &["a"], "", ""));
    let mut headworks = start(&yaml, &[("web", &web)]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let caller = Caller::trusting(&authority).versions(&[version]).build();
        for number in 0..8 {
            if number == 4 {
                headworks.reload(&format!("{yaml}# again\n"), &[("web", &web)]);
            }
            let mut client = caller.connect(headworks.address(), "a.example.com");
            // with TLS 1.3, tickets come with what is read
            assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
            assert_eq!(client.agreed().resumed, number > 0, "{version:?}, connection {number}");
        }
    }
    for version in ["TLSv1.2", "TLSv1.3"] {
        let count = |resumed| {
            let labels = [("version", version), ("resumed", resumed)];
            headworks.metrics().sum("headworks_tls_handshakes_total", &labels)
        };
        assert_eq!((count("false"), count("true")), (1.0, 7.0), "{version}");
    }
}

#[test]
fn protocols_by_alpn() {
    let folder = folder();
    let authority = one(&folder);
    let web = Origin::echo("web");
    let headworks = start(&secure(folder.path(), &["a"], "", ""), &[("web", &web)]);
    let both = Caller::trusting(&authority).protocols(&["http/1.1", "http/1.0"]).build();
    let agreed = both.connect(headworks.address(), "a.example.com").agreed();
    assert_eq!(agreed.protocol.as_deref(), Some(&b"http/1.1"[..]));
    // the server's order counts
    let newer = Caller::trusting(&authority).protocols(&["http/1.1", "h2"]).build();
    let agreed = newer.connect(headworks.address(), "a.example.com").agreed();
    assert_eq!(agreed.protocol.as_deref(), Some(&b"h2"[..]));
    let other = Caller::trusting(&authority).protocols(&["spdy/3"]).build();
    let error = other.try_connect(headworks.address(), "a.example.com").map(drop).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    wait_failures(&headworks, "protocol", 1.0);
}

/// S3: a renewed certificate is shown within a moment, connections that are open go on, nothing fails; what is broken
/// changes nothing.
#[test]
fn a_certificate_is_exchanged_under_load() {
    let folder = folder();
    let authority = one(&folder);
    let web = Origin::echo("web");
    let headworks = start(&secure(folder.path(), &["a"], "", ""), &[("web", &web)]);
    let to = headworks.address();
    let stop = Arc::new(AtomicBool::new(false));
    let caller = Caller::trusting(&authority).build();
    let load: Vec<_> = (0..4)
        .map(|number| {
            let (stop, caller) = (stop.clone(), caller.clone());
            std::thread::spawn(move || {
                let mut client = caller.connect(to, "a.example.com");
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) {
                    if number % 2 == 1 {
                        client = caller.connect(to, "a.example.com");
                    }
                    assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    let shown = || Caller::trusting_all().build().connect(to, "a.example.com").agreed().certificate;
    let mut kept = caller.connect(to, "a.example.com");
    for _ in 0..2 {
        let renewed = authority.issue(&["a.example.com"]);
        renewed.place(folder.path(), "a");
        wait::until("the renewed certificate", || (shown().as_ref() == Some(&renewed.der)).then_some(()));
    }
    let before = shown();
    std::fs::write(folder.path().join("a.pem"), "no certificate").unwrap();
    wait::until("a word about the broken file", || headworks.said().contains("has no certificate in it").then_some(()));
    assert_eq!(shown(), before);
    assert_eq!(kept.exchange(&ask("GET", "/")).status, 200);
    stop.store(true, Ordering::Relaxed);
    for thread in load {
        assert!(thread.join().expect("no request failed") > 0);
    }
    // the broken file is no base for a new configuration
    let checked = headworks.beside(&["check", "-c", "headworks.yaml"]);
    assert_eq!(checked.status.code(), Some(2));
}

/// What is wrong with files, in the words of `check`, each with its place.
#[test]
fn files_at_fault() {
    let folder = folder();
    let at = folder.path();
    let authority = one(&folder);
    let other = authority.issue(&["b.example.com"]);
    std::fs::write(at.join("other.key"), &other.key_pem).unwrap();
    authority.order(&["a.example.com"]).valid(2020, 2021).issue().place(at, "expired");
    std::fs::write(at.join("junk"), "junk").unwrap();
    std::fs::write(at.join("torn.pem"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    let rows = [
        ("{ certificate: none.pem, key: a.key }", "certificates.c.certificate", "cannot be read"),
        ("{ certificate: a.pem, key: none.key }", "certificates.c.key", "cannot be read"),
        ("{ certificate: junk, key: a.key }", "certificates.c.certificate", "has no certificate in it"),
        ("{ certificate: torn.pem, key: a.key }", "certificates.c.certificate", "is not PEM"),
        ("{ certificate: a.pem, key: junk }", "certificates.c.key", "has no private key in it"),
        ("{ certificate: a.pem, key: a.pem }", "certificates.c.key", "has no private key in it"),
        ("{ certificate: a.pem, key: other.key }", "certificates.c.key", "does not fit the certificate"),
        (
            "{ certificate: expired.pem, key: expired.key }",
            "certificates.c.certificate",
            "expired at 2021-01-01T00:00:00Z",
        ),
        ("{ certificate: a.pem, key: a.key, ocsp: junk }", "certificates.c.ocsp", "OCSP"),
    ];
    check(
        rows,
        |(certificate, ..)| (*certificate).to_owned(),
        |(certificate, path, what)| {
            // paths start at the file's folder
            let yaml = format!(
                "admin: {{ address: 127.0.0.1:0 }}\ncertificates:\n  c: {certificate}\nload_balancers:\n  s: {{ \
                 listeners: {{ l: {{ port: 0, protocol: https, certificates: [c], default: {{ fixed_response: {{ \
                 status: 200 }} }} }} }} }}\n"
            );
            std::fs::write(at.join("headworks.yaml"), yaml).unwrap();
            for command in ["check", "run"] {
                let output = HEADWORKS.run(at, &[command, "-c", "headworks.yaml"]);
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(2), "{said}");
                let found = said.lines().any(|line| {
                    line.starts_with("headworks.yaml:3:")
                        && line.contains(&format!(": {path}: "))
                        && line.contains(what)
                });
                assert!(found, "{command} does not say {what:?} of {path}:\n{said}");
            }
        },
    );
}

#[test]
fn a_reload_with_a_broken_file_changes_nothing() {
    let folder = folder();
    let authority = one(&folder);
    let web = Origin::echo("web");
    let yaml = secure(folder.path(), &["a"], "", "");
    let headworks = start(&yaml, &[("web", &web)]);
    std::fs::write(folder.path().join("b.pem"), "").unwrap();
    std::fs::write(folder.path().join("b.key"), "").unwrap();
    headworks.save(&secure(folder.path(), &["b", "a"], "", ""), &[("web", &web)]);
    let reloaded = headworks.beside(&["reload", "-c", "headworks.yaml"]);
    assert_eq!(reloaded.status.code(), Some(2));
    headworks.signal(rustix::process::Signal::HUP);
    wait::until("the refusal", || headworks.said().contains("configuration refused").then_some(()));
    let mut client = Caller::trusting(&authority).build().connect(headworks.address(), "a.example.com");
    assert_eq!(client.exchange(&ask("GET", "/")).status, 200);
}

#[test]
fn an_ocsp_response_is_stapled() {
    let folder = folder();
    one(&folder);
    let response = [0x30, 0x03, 0x0a, 0x01, 0x06];
    std::fs::write(folder.path().join("a.ocsp"), response).unwrap();
    let web = Origin::echo("web");
    let yaml = secure(folder.path(), &["a"], "", "");
    let ocsp = folder.path().join("a.ocsp").display().to_string();
    let headworks = start(&yaml.replace(".key }", &format!(".key, ocsp: {ocsp} }}")), &[("web", &web)]);
    let caller = Caller::trusting_all().build();
    drop(caller.connect(headworks.address(), "a.example.com"));
    assert_eq!(caller.stapled(), response);
}

/// H6: the target is told version and cipher, by OpenSSL's names, when that is asked for; a client's word never counts then.
#[test]
fn fields_of_version_and_cipher() {
    let folder = folder();
    let authority = one(&folder);
    let web = Origin::echo("web");
    let fields = |headworks: &Headworks, caller: &Caller| {
        let mut client = caller.connect(headworks.address(), "a.example.com");
        let lie = ask("GET", "/").with("X-Amzn-Tls-Version: SSLv2").with("x_amzn_tls_cipher_suite: NULL");
        let echo = client.exchange(&lie).echo();
        ["x-amzn-tls-version", "x-amzn-tls-cipher-suite", "x_amzn_tls_cipher_suite"]
            .map(|name| echo.fields.all(name).join(","))
    };
    let old = Caller::trusting(&authority).versions(&[&rustls::version::TLS12]).build();
    let new = Caller::trusting(&authority).build();
    let headworks =
        start(&secure(folder.path(), &["a"], ", tls_version_and_cipher_headers: true", ""), &[("web", &web)]);
    assert_eq!(fields(&headworks, &new), ["TLSv1.3", "TLS_AES_128_GCM_SHA256", ""]);
    assert_eq!(fields(&headworks, &old), ["TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", ""]);
    let headworks = start(&secure(folder.path(), &["a"], "", ""), &[("web", &web)]);
    assert_eq!(fields(&headworks, &new), ["SSLv2", "", "NULL"]);
}

/// While an answer is awaited, what the client does is noticed and nothing that it sends is lost.
#[test]
fn clients_that_do_not_wait() {
    let folder = folder();
    let authority = one(&folder);
    let gate = Gate::new();
    let slow = [Step::Wait(gate.clone()), Step::answer(200, "slow")];
    let web = Origin::new("web").on("/slow", slow).on("/never", [Step::ReadToEnd]).start();
    let yaml = secure(folder.path(), &["a"], ", access_log: access.log", "");
    let headworks = start(&yaml, &[("web", &web)]);
    let caller = Caller::trusting(&authority).build();
    let mut client = caller.connect(headworks.address(), "a.example.com");
    client.ask(&ask("GET", "/slow"));
    web.wait_heads(1);
    client.ask(&ask("GET", "/next"));
    client.ask(&ask("POST", "/last").body("body"));
    gate.open();
    assert_eq!(client.response().text(), "slow");
    assert_eq!(client.response().echo().target, "/next");
    assert_eq!(client.response().echo().body_length, 4);
    let mut gone = caller.connect(headworks.address(), "a.example.com");
    gone.ask(&ask("GET", "/never"));
    web.wait_heads(4);
    gone.reset();
    let lines = headworks.log_lines("access.log", 4);
    assert!(lines.iter().any(|line| line.contains("\"status\":460")), "{lines:#?}");
}

/// What logs say of a connection, in both formats; a tunnel over TLS works both ways.
#[test]
fn what_logs_say() {
    let folder = folder();
    let authority = one(&folder);
    let switch = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let web = Origin::new("web").on("/up", [Step::send(switch), Step::Mirror]).start();
    let caller = Caller::trusting(&authority).build();
    let other = Caller::trusting_all().versions(&[&rustls::version::TLS12]).build();
    for format in ["alb", "json"] {
        let log = format!(", access_log: {{ path: access.log, format: {format} }}");
        let yaml = format!("workers: 1\n{}", secure(folder.path(), &["a"], &log, ""));
        let headworks = start(&yaml, &[("web", &web)]);
        let to = headworks.address();
        assert_eq!(other.connect(to, "other.example.com").exchange(&ask("GET", "/1")).status, 200);
        assert_eq!(
            Caller::trusting(&authority).build().connect(to, "a.example.com").exchange(&ask("GET", "/2")).status,
            200
        );
        assert_eq!(caller.connect(to, "a.example.com").exchange(&ask("GET", "/3")).status, 200);
        let mut tunnel = caller.connect(to, "a.example.com");
        tunnel.ask(&ask("GET", "/up").with("Connection: upgrade").with("Upgrade: x"));
        assert_eq!(tunnel.response().status, 101);
        let words = vec![b'w'; 300_000];
        tunnel.send(&words);
        assert_eq!(tunnel.bytes(words.len()), words);
        tunnel.finish().expect_closed();
        let lines = headworks.log_lines("access.log", 4);
        if format == "alb" {
            let expected = [
                ("https ", " ECDHE-ECDSA-AES128-GCM-SHA256 TLSv1.2 ", " \"-\" \"a\" "),
                ("https ", " TLS_AES_128_GCM_SHA256 TLSv1.3 ", " \"a.example.com\" \"a\" "),
                ("https ", " TLS_AES_128_GCM_SHA256 TLSv1.3 ", " \"a.example.com\" "),
                ("wss ", " TLS_AES_128_GCM_SHA256 TLSv1.3 ", " \"a.example.com\" \"session-reused\" "),
            ];
            for (line, (kind, cipher, names)) in lines.iter().zip(expected) {
                assert!(line.starts_with(kind) && line.contains(cipher) && line.contains(names), "{line}");
                assert!(line.contains(" https://test.example:"), "{line}");
            }
        } else {
            let lines: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            let of = |i: usize, key: &str| lines[i][key].to_string();
            assert_eq!(of(0, "tls_version"), "\"TLSv1.2\"");
            assert_eq!(of(0, "server_name"), "null");
            assert_eq!(of(1, "tls_cipher"), "\"TLS_AES_128_GCM_SHA256\"");
            assert_eq!((of(1, "certificate"), of(1, "server_name")), ("\"a\"".into(), "\"a.example.com\"".into()));
            assert_eq!((of(1, "tls_resumed"), of(3, "tls_resumed")), ("false".into(), "true".into()));
        }
    }
}

/// R15 over TLS: what stands for the request's own is what TLS makes it.
#[test]
fn redirects_keep_the_scheme() {
    let folder = folder();
    let authority = one(&folder);
    let web = Origin::echo("web");
    let rule = ", rules: [{ if: { path: [/r] }, then: { redirect: { host: b.example.com } } }]";
    let headworks = start(&secure(folder.path(), &["a"], "", rule), &[("web", &web)]);
    let mut client = Caller::trusting(&authority).build().connect(headworks.address(), "a.example.com");
    let response = client.exchange(&ask("GET", "/r"));
    let port = headworks.address().port();
    assert_eq!(response.field("Location"), Some(format!("https://b.example.com:{port}/r").as_str()));
}
