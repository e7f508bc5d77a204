//! TLS on listeners: certificates and their choice, policies, tickets, and what clients get that do not speak it.

use std::path::Path;

use headworks_testkit::authority::Key;
use headworks_testkit::{Authority, Caller, Client, Headworks, Origin, ask};
use tempfile::TempDir;

use crate::start;

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
    let web =
        Origin::new("web").on("/big", [headworks_testkit::Step::Body, headworks_testkit::Step::Send(answer)]).start();
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
    headworks_testkit::check(
        rows,
        |(name, ..)| (*name).to_owned(),
        |(name, caller, expected)| {
            let agreed = caller.connect(headworks.address(), name).agreed();
            assert!(agreed.certificate.as_ref() == Some(&expected.der), "another certificate was shown");
        },
    );
}
