//! Certificates by ACME, of a real authority that asks for its proofs at the listeners of the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use headworks_testkit::{Caller, Client, Headworks, Pebble, ask, wait};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tempfile::TempDir;

use crate::{HEADWORKS, start};

/// Where nobody listens.
const NOBODY: &str = "https://127.0.0.1:1/dir";
const NAME: &str = "a.example.com";

/// Two listeners, the one of https with these certificates; `more` goes on in the section acme, in flow style.
fn configuration(directory: &str, ca: &Path, data: &Path, certificates: &str, more: &str) -> String {
    format!(
        "admin: {{ address: 127.0.0.1:0, data: {data} }}\n\
         acme: {{ directory: \"{directory}\", ca: {ca}, terms_agreed: true{more} }}\n\
         load_balancers: {{ shop: {{ listeners: {{\n\
         \x20 http: {{ address: 127.0.0.1:0, default: {{ fixed_response: {{ status: 404 }} }} }},\n\
         \x20 https: {{ address: 127.0.0.1:0, protocol: https, certificates: [{certificates}],\n\
         \x20          default: {{ fixed_response: {{ status: 200, content_type: text/plain, body: served }} }} }} }} }} }}\n",
        data = data.display(),
        ca = ca.display(),
    )
}

/// The program, first with an authority that nobody reaches, so that the real one can be told the ports of its listeners.
struct Bench {
    headworks: Headworks,
    data: TempDir,
}

impl Bench {
    /// Starts the program with these certificates.
    fn new(certificates: &str) -> Bench {
        let data = crate::tls::folder();
        let ca = headworks_testkit::Authority::new("Nobody").place(data.path(), "nobody.pem");
        let headworks = start(&configuration(NOBODY, &ca, data.path(), certificates, ""), &[]);
        Bench { headworks, data }
    }

    fn http(&self) -> std::net::SocketAddr {
        self.headworks.listener("shop/http")
    }

    fn https(&self) -> std::net::SocketAddr {
        self.headworks.listener("shop/https")
    }

    /// An authority that asks for proofs here.
    fn pebble(&self) -> Pebble {
        Pebble::asking(self.http(), self.https()).start()
    }

    /// Has the program order of this authority.
    fn turn_to(&mut self, pebble: &Pebble, certificates: &str, more: &str) {
        let text = configuration(&pebble.directory(), &pebble.ca(), self.data.path(), certificates, more);
        self.headworks.reload(&text, &[]);
    }

    /// The leaf that a client is shown who asks for this name.
    fn shown(&self, name: &str) -> CertificateDer<'static> {
        let agreed = Caller::trusting_all().build().connect(self.https(), name).agreed();
        agreed.certificate.unwrap_or_else(|| panic!("no certificate for {name}"))
    }

    /// The leaf that is kept in this file.
    fn kept(&self, label: &str) -> CertificateDer<'static> {
        let path = self.file(label);
        CertificateDer::from_pem_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn file(&self, label: &str) -> std::path::PathBuf {
        self.data.path().join("acme").join(format!("{label}.pem"))
    }

    /// Waits until the certificate of this label is in a state; what the status says of it.
    fn wait_state(&self, label: &str, state: &str) -> Value {
        wait_state(&self.headworks, label, state)
    }
}

fn wait_state(headworks: &Headworks, label: &str, state: &str) -> Value {
    headworks.wait_status(&format!("{label} {state}"), |status| {
        let certificate = &status["certificates"][format!("acme:{label}")];
        (certificate["state"] == state).then(|| certificate.clone())
    })
}

fn acme(names: &[&str]) -> String {
    format!("{{ acme: [{}] }}", names.join(", "))
}

/// A stand-in first; then the certificate, on the wire and in the file, and a connection that was open before lives on.
#[test]
fn a_first_certificate_by_each_challenge() {
    for challenge in ["http-01", "tls-alpn-01", "auto"] {
        let certificates = acme(&[NAME]);
        let mut bench = Bench::new(&certificates);
        let before = bench.wait_state(NAME, "stand_in");
        assert_eq!(before["issuer"], "CN=Headworks stand-in", "{before:#}");
        let stand_in = bench.shown(NAME);
        let mut open = Caller::trusting_all().build().connect(bench.https(), NAME);
        assert_eq!(open.exchange(&ask("GET", "/")).text(), "served");
        let pebble = bench.pebble();
        bench.turn_to(&pebble, &certificates, &format!(", email: admin@example.com, challenge: {challenge}"));
        let issued = bench.wait_state(NAME, "issued");
        assert!(issued["issuer"].as_str().is_some_and(|issuer| issuer.contains("Pebble")), "{issued:#}");
        assert_eq!(issued["names"][0], NAME, "{issued:#}");
        let shown = bench.shown(NAME);
        assert!(shown != stand_in, "{challenge}: still the stand-in");
        wait::until("the file", || bench.file(NAME).exists().then_some(()));
        assert!(shown == bench.kept(NAME), "{challenge}: another certificate is kept");
        assert_eq!(open.exchange(&ask("GET", "/")).text(), "served");
        // the proof is not shown any more
        let response = Client::connect(bench.http()).exchange(&ask("GET", "/.well-known/acme-challenge/x"));
        assert_eq!(response.status, 404, "{response}");
        let refused = Caller::trusting_all().protocols(&["acme-tls/1"]).build().try_connect(bench.https(), NAME);
        assert!(refused.is_err(), "{challenge}: a handshake for a proof that nobody asks for");
        // the authority asked where it was to: the answer to a request for a token is the only one of its status here
        let answers = [("listener", "http"), ("origin", "headworks"), ("status", "200")];
        let asked_http = bench.headworks.metrics().sum("headworks_responses_total", &answers) > 0.0;
        assert_eq!(asked_http, challenge == "http-01", "{challenge}: {}", pebble.said());
        let _ = bench.headworks.wait_metrics("headworks_acme_orders_total", &[("outcome", "issued")], 1.0);
        let left = bench
            .headworks
            .metrics()
            .sum("headworks_certificate_expiry_seconds", &[("certificate", "acme:a.example.com")]);
        assert!((89.0 * 86_400.0..=90.0 * 86_400.0).contains(&left), "{left}");
    }
}

/// One order for each set, equal sets once; nobody is asked about any other name.
#[test]
fn several_names_and_sets() {
    let certificates =
        format!("{}, {}, {}", acme(&["b.example.com", NAME]), acme(&["c.example.com"]), acme(&[NAME, "B.example.com"]));
    let mut bench = Bench::new(&certificates);
    let pebble = bench.pebble();
    bench.turn_to(&pebble, &certificates, ", challenge: http-01");
    let both = bench.wait_state("a.example.com+9f69282d92767952", "issued");
    assert_eq!(both["names"], serde_json::json!([NAME, "b.example.com"]));
    bench.wait_state("c.example.com", "issued");
    assert!(bench.shown(NAME) == bench.shown("b.example.com"));
    assert!(bench.shown(NAME) != bench.shown("c.example.com"));
    // a name that is not configured is shown the default, and nothing is ordered for it
    assert!(bench.shown("d.example.com") == bench.shown(NAME));
    let _ = bench.headworks.wait_metrics("headworks_acme_orders_total", &[("outcome", "issued")], 2.0);
    assert_eq!(pebble.names.asked(), [NAME, "b.example.com", "c.example.com"]);
}

/// What was issued is used again after a restart, without a word to the authority. Nobody else may read it.
#[test]
fn a_restart_takes_up_what_was_issued() {
    let certificates = acme(&[NAME]);
    let mut bench = Bench::new(&certificates);
    let pebble = bench.pebble();
    bench.turn_to(&pebble, &certificates, "");
    let issued = bench.wait_state(NAME, "issued");
    wait::until("the file", || bench.file(NAME).exists().then_some(()));
    let folder = bench.data.path().join("acme");
    let mode = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    let files: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    assert_eq!(files.len(), 2, "an account and a certificate, in {files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(&folder), 0o700);
    let shown = bench.shown(NAME);
    let text = configuration(NOBODY, &pebble.ca(), bench.data.path(), &certificates, "");
    let Bench { headworks, data } = bench;
    drop(headworks);
    let bench = Bench { headworks: start(&text, &[]), data };
    assert!(bench.shown(NAME) == shown, "another certificate after the restart");
    let again = bench.wait_state(NAME, "issued");
    assert_eq!(again["serial"], issued["serial"]);
    let order = bench.headworks.wait_status("the order", |status| {
        let order = &status["certificates"]["acme:a.example.com"]["order"];
        (!order.is_null()).then(|| order.clone())
    });
    assert_eq!((&order["state"], &order["failures"]), (&"scheduled".into(), &0.into()), "{order:#}");
    // a damaged file is no obstacle
    fs::write(bench.file(NAME), "junk").unwrap_or_else(|error| panic!("{error}"));
    let bench = Bench { headworks: start(&text, &[]), data: bench.data };
    bench.wait_state(NAME, "stand_in");
    assert!(bench.headworks.said().contains("kept certificate is not used"), "{}", bench.headworks.said());
}

/// An authority that is not there holds nothing up, and is said.
#[test]
fn an_authority_that_is_not_there() {
    let bench = Bench::new(&acme(&[NAME]));
    let failed = bench.headworks.wait_status("a failure", |status| {
        let certificate = &status["certificates"]["acme:a.example.com"];
        (certificate["order"]["failures"] == 1).then(|| certificate.clone())
    });
    assert_eq!((&failed["state"], &failed["order"]["state"]), (&"stand_in".into(), &"failed".into()));
    let what = failed["order"]["last_error"]["what"].as_str().unwrap_or_default();
    assert!(what.contains("refused"), "{what}");
    let mut client = Caller::trusting_all().build().connect(bench.https(), NAME);
    assert_eq!(client.exchange(&ask("GET", "/")).text(), "served");
    let metrics = bench.headworks.metrics();
    assert_eq!(metrics.sum("headworks_acme_orders_total", &[("outcome", "failed")]), 1.0);
    assert_eq!(metrics.sum("headworks_certificate_expiry_seconds", &[("certificate", "acme:a.example.com")]), 0.0);
    assert!(bench.headworks.said().contains("a self-signed certificate stands in"), "{}", bench.headworks.said());
}

/// A name that the authority does not find is refused with its word, and holds up no other.
#[test]
fn a_name_that_is_not_believed() {
    let certificates = format!("{}, {}", acme(&["nowhere.example.com"]), acme(&[NAME]));
    let mut bench = Bench::new(&certificates);
    let pebble = bench.pebble();
    bench.turn_to(&pebble, &certificates, ", challenge: http-01");
    bench.wait_state(NAME, "issued");
    let what = bench.headworks.wait_status("the refusal", |status| {
        let order = &status["certificates"]["acme:nowhere.example.com"]["order"];
        order["last_error"]["what"].as_str().map(str::to_owned)
    });
    assert!(what.contains("the authority does not believe it: nowhere.example.com: "), "{what}");
    bench.wait_state("nowhere.example.com", "stand_in");
}

/// RFC 8555 section 7.3.4; and the key is shown nowhere.
#[test]
fn an_account_bound_to_an_external_one() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let certificates = acme(&[NAME]);
    let mut bench = Bench::new(&certificates);
    let pebble = Pebble::asking(bench.http(), bench.https()).external("kid-1", KEY).start();
    let wrong = KEY.replace('z', "y");
    for (more, expected) in [
        (String::new(), "externalAccountBinding"),
        (format!(", external_account: {{ kid: kid-1, hmac_key: {wrong} }}"), "external"),
    ] {
        bench.turn_to(&pebble, &certificates, &more);
        let what = bench.headworks.wait_status("a refusal", |status| {
            let what = status["certificates"]["acme:a.example.com"]["order"]["last_error"]["what"].as_str()?;
            what.contains(expected).then(|| what.to_owned())
        });
        assert!(!what.contains(&wrong), "{what}");
    }
    bench.turn_to(&pebble, &certificates, &format!(", external_account: {{ kid: kid-1, hmac_key: {KEY} }}"));
    bench.wait_state(NAME, "issued");
    let shown = bench.headworks.admin_get("/v1/config").text();
    assert!(shown.contains("kid-1") && !shown.contains(KEY), "{shown}");
    assert!(!bench.headworks.said().contains(KEY));
}

/// Certificates of seconds: each is followed by another before it ends.
#[test]
fn renewal() {
    let certificates = acme(&[NAME]);
    let mut bench = Bench::new(&certificates);
    let pebble = Pebble::asking(bench.http(), bench.https()).seconds(6).start();
    bench.turn_to(&pebble, &certificates, "");
    let first = bench.wait_state(NAME, "issued");
    let shown = bench.shown(NAME);
    for count in 2..=3 {
        let serial = bench.wait_state(NAME, "issued")["serial"].clone();
        let renewed = bench.headworks.wait_status("a renewal", |status| {
            let certificate = &status["certificates"]["acme:a.example.com"];
            (certificate["serial"] != serial).then(|| certificate.clone())
        });
        assert!(renewed["not_after"].as_str() > first["not_after"].as_str(), "{renewed:#}");
        let _ = bench.headworks.wait_metrics("headworks_acme_orders_total", &[("outcome", "issued")], f64::from(count));
    }
    assert!(bench.shown(NAME) != shown);
    // the first authority may have failed, this one has not
    let failed = bench.headworks.metrics().sum("headworks_acme_orders_total", &[("outcome", "failed")]);
    assert!(failed <= 1.0, "{failed} orders failed");
}

/// Names that are new are ordered, names that are gone forgotten; what was issued for them is kept for their return.
#[test]
fn names_come_and_go() {
    let mut bench = Bench::new(&acme(&[NAME]));
    let pebble = bench.pebble();
    bench.turn_to(&pebble, &acme(&[NAME]), "");
    let first = bench.wait_state(NAME, "issued");
    wait::until("the file", || bench.file(NAME).exists().then_some(()));
    bench.turn_to(&pebble, &acme(&["b.example.com"]), "");
    bench.wait_state("b.example.com", "issued");
    assert!(bench.headworks.status()["certificates"]["acme:a.example.com"].is_null());
    assert!(bench.file(NAME).exists());
    bench.turn_to(&pebble, &format!("{}, {}", acme(&[NAME]), acme(&["b.example.com"])), "");
    let back = bench.wait_state(NAME, "issued");
    assert_eq!(back["serial"], first["serial"]);
    let _ = bench.headworks.wait_metrics("headworks_acme_orders_total", &[("outcome", "issued")], 2.0);
}

/// `headworks certificates`, for people and for programs.
#[test]
fn the_command() {
    let certificates = acme(&[NAME]);
    let mut bench = Bench::new(&certificates);
    let pebble = bench.pebble();
    bench.turn_to(&pebble, &certificates, "");
    let issued = bench.wait_state(NAME, "issued");
    let asked = format!("admin: {{ address: {} }}\n", bench.headworks.admin());
    fs::write(bench.headworks.path("ask.yaml"), asked).unwrap_or_else(|error| panic!("{error}"));
    let table = bench.headworks.beside(&["certificates", "-c", "ask.yaml"]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.status.success(), "{text}{}", String::from_utf8_lossy(&table.stderr));
    let line = text.lines().find(|line| line.starts_with("acme:a.example.com ")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(issued["serial"].as_str().unwrap_or("?")), "{line}");
    let json = bench.headworks.beside(&["certificates", "-c", "ask.yaml", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(json["acme:a.example.com"]["serial"], issued["serial"]);
    let nobody = HEADWORKS.run(bench.data.path(), &["certificates", "-c", "none.yaml"]);
    assert_eq!(nobody.status.code(), Some(2));
}

/// What cannot be issued is refused with its place, not served without.
#[test]
fn what_is_refused() {
    let folder = crate::tls::folder();
    let https = "load_balancers: { s: { listeners: { h: { port: 0, protocol: https, certificates: [{ acme: [a.b] }],\n\
                 \x20 default: { fixed_response: { status: 200 } } } } } }\n";
    let rows = [
        (
            String::new(),
            "x.yaml:1:83: load_balancers.s.listeners.h.certificates[0]: needs the section acme, with terms_agreed: true",
        ),
        (
            "acme: { terms_agreed: true, challenge: http-01 }\n".to_owned(),
            "x.yaml:1:29: acme.challenge: http-01 is answered by http listeners, and there is none",
        ),
        ("acme: { terms_agreed: true, ca: x.yaml }\n".to_owned(), "has no certificate in it"),
        (
            "acme: { terms_agreed: false }\n".to_owned(),
            "x.yaml:1:23: acme.terms_agreed: is false, expected true, once you agree to the authority's terms of service",
        ),
    ];
    headworks_testkit::check(
        rows,
        |(section, _)| section.clone(),
        |(section, expected)| {
            fs::write(folder.path().join("x.yaml"), format!("{section}{https}")).unwrap_or_else(|e| panic!("{e}"));
            let output = HEADWORKS.run(folder.path(), &["check", "-c", "x.yaml"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(2) && said.contains(expected), "{said}");
        },
    );
}
