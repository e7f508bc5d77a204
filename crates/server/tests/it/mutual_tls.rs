//! Client certificates (S4): who is let in, and what targets are told.

use headworks_testkit::authority::Key;
use headworks_testkit::{Authority, Caller, DnType, Headworks, Issued, Origin, ask, check};
use rustls::SupportedProtocolVersion;

use crate::start;
use crate::tls::{folder, secure};

const NAMES: [&str; 6] = [
    "X-Amzn-Mtls-Clientcert",
    "X-Amzn-Mtls-Clientcert-Serial-Number",
    "X-Amzn-Mtls-Clientcert-Issuer",
    "X-Amzn-Mtls-Clientcert-Subject",
    "X-Amzn-Mtls-Clientcert-Validity",
    "X-Amzn-Mtls-Clientcert-Leaf",
];

/// PEM as the documentation encodes it: `+=/` are safe.
fn encoded(pem: &str) -> String {
    let pem = pem.replace("\r\n", "\n");
    pem.chars()
        .map(|c| match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '+' | '=' | '/' => c.to_string(),
            c => format!("%{:02X}", c as u32),
        })
        .collect()
}

fn caller(server: &Authority, shows: Option<&Issued>, version: &'static SupportedProtocolVersion) -> Caller {
    let caller = Caller::trusting(server).versions(&[version]);
    match shows {
        Some(issued) => caller.showing(issued).build(),
        None => caller.build(),
    }
}

/// What a target is told of this client, who lies about it; none when it is not let in.
fn told(headworks: &Headworks, caller: &Caller) -> Option<[Option<String>; 6]> {
    // with TLS 1.3 the refusal comes behind the handshake
    let mut client = caller.try_connect(headworks.address(), "a.example.com").ok()?;
    let lies = NAMES.map(|name| format!("{name}: lie"));
    let mut asked = ask("GET", "/").with("x_amzn_mtls_clientcert: lie");
    for lie in &lies {
        asked = asked.with(lie);
    }
    client.send_anyway(asked.bytes());
    let echo = client.try_response_to("GET").ok()?.echo();
    assert!(!echo.fields.0.iter().any(|(_, value)| value == "lie"), "{echo:?}");
    Some(NAMES.map(|name| echo.fields.one(name).map(str::to_owned)))
}

#[test]
fn the_three_modes() {
    let folder = folder();
    let at = folder.path();
    let (server, clients, strangers) =
        (Authority::new("Server Authority"), Authority::new("Clients, \"and\" others"), Authority::new("Strangers"));
    server.issue(&["a.example.com"]).place(at, "a");
    let trusted = clients.place(at, "clients.pem").display().to_string();
    let subject = [(DnType::CountryName, "US"), (DnType::OrganizationName, "A+B"), (DnType::CommonName, "client-1")];
    let good = clients.order(&["client.example.com"]).subject(&subject).valid(2023, 2060).issue();
    let rsa = clients.order(&["client.example.com"]).key(Key::Rsa).issue();
    let expired = clients.order(&["client.example.com"]).valid(2020, 2022).issue();
    let revoked = clients.issue(&["client.example.com"]);
    let stranger = strangers.issue(&["client.example.com"]);
    std::fs::write(at.join("crl.pem"), clients.revoke(&[&revoked])).unwrap();
    let crl = at.join("crl.pem").display().to_string();
    let verify = format!("{{ mode: verify, trust_store: {trusted}, crl: {crl} }}");
    let lenient = format!("{{ mode: verify, trust_store: {trusted}, ignore_expiry: true }}");
    let passthrough = "{ mode: passthrough }".to_owned();
    let none = "{ mode: none }".to_owned();

    let verified = |issued: &Issued, subject: &str, validity: &str| {
        Some([
            None,
            Some(issued.serial()),
            Some("CN=Clients\\, \\\"and\\\" others,O=Headworks,C=US".to_owned()),
            Some(subject.to_owned()),
            Some(validity.to_owned()),
            Some(encoded(&issued.pem)),
        ])
    };
    let plain = "CN=client.example.com";
    let long = "NotBefore=2020-01-01T00:00:00Z;NotAfter=2090-01-01T00:00:00Z";
    let handed_on = |issued: &Issued| Some([Some(encoded(&issued.pem)), None, None, None, None, None]);
    let nothing = Some([const { None }; 6]);
    let good_told =
        verified(&good, "CN=client-1,O=A\\+B,C=US", "NotBefore=2023-01-01T00:00:00Z;NotAfter=2060-01-01T00:00:00Z");
    let expired_told = verified(&expired, plain, "NotBefore=2020-01-01T00:00:00Z;NotAfter=2022-01-01T00:00:00Z");
    let rows = [
        (&verify, "none", None, None),
        (&verify, "good", Some(&good), good_told),
        (&verify, "rsa", Some(&rsa), verified(&rsa, plain, long)),
        (&verify, "expired", Some(&expired), None),
        (&verify, "revoked", Some(&revoked), None),
        (&verify, "stranger", Some(&stranger), None),
        (&lenient, "expired", Some(&expired), expired_told),
        (&lenient, "revoked, without a list", Some(&revoked), verified(&revoked, plain, long)),
        (&lenient, "stranger", Some(&stranger), None),
        (&lenient, "none", None, None),
        (&passthrough, "none", None, nothing.clone()),
        (&passthrough, "stranger", Some(&stranger), handed_on(&stranger)),
        (&passthrough, "expired", Some(&expired), handed_on(&expired)),
        (&none, "good", Some(&good), nothing),
    ];
    let web = Origin::echo("web");
    check(
        rows,
        |(mutual, who, ..)| format!("{who} with {mutual}"),
        |(mutual, _, shows, expected)| {
            let yaml = secure(at, &["a"], "", &format!(", mutual_authentication: {mutual}"));
            let headworks = start(&yaml, &[("web", &web)]);
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                let caller = caller(&server, *shows, version);
                // the second time on a ticket
                for _ in 0..2 {
                    assert_eq!(&told(&headworks, &caller), expected, "{version:?}");
                }
            }
            if expected.is_none() {
                let reason = if shows.is_some() { "client_certificate_refused" } else { "client_certificate_missing" };
                let labels = [("reason", reason)];
                let _ = headworks.wait_metrics("headworks_tls_handshake_failures_total", &labels, 4.0);
            }
        },
    );
}

/// A ticket of a listener that asks for no certificate opens no door on one that does, nor one from before a revocation.
#[test]
fn tickets_are_no_certificates() {
    let folder = folder();
    let at = folder.path();
    let (server, clients) = (Authority::new("Server Authority"), Authority::new("Clients"));
    server.issue(&["a.example.com"]).place(at, "a");
    let trusted = clients.place(at, "clients.pem").display().to_string();
    let good = clients.issue(&["client.example.com"]);
    let crl = at.join("crl.pem");
    std::fs::write(&crl, clients.revoke(&[])).unwrap();
    let path = at.join("a").display().to_string();
    let listener = |name: &str, mutual: &str| {
        format!(
            "      {name}: {{ address: 127.0.0.1:0, protocol: https, certificates: [a], mutual_authentication: {mutual}, \
             default: {{ fixed_response: {{ status: 200 }} }} }}\n"
        )
    };
    let yaml = format!(
        "load_balancers:\n  shop:\n    listeners:\n{}{}{}certificates: {{ a: {{ certificate: {path}.pem, key: {path}.key }} }}\n",
        listener("open", "{ mode: none }"),
        listener("any", "{ mode: passthrough }"),
        listener("closed", &format!("{{ mode: verify, trust_store: {trusted}, crl: {} }}", crl.display())),
    );
    let headworks = start(&yaml, &[]);
    let ask_at = |caller: &Caller, listener: &str| {
        let to = headworks.listener(&format!("shop/{listener}"));
        let mut client = caller.try_connect(to, "a.example.com").ok()?;
        client.send_anyway(ask("GET", "/").bytes());
        client.try_response_to("GET").ok()?;
        Some(client.agreed().resumed)
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let nobody = caller(&server, None, version);
        assert_eq!(ask_at(&nobody, "open"), Some(false));
        assert_eq!(ask_at(&nobody, "open"), Some(true));
        assert_eq!(ask_at(&nobody, "closed"), None);
        assert_eq!(ask_at(&nobody, "any"), Some(false));
        assert_eq!(ask_at(&nobody, "closed"), None);
        let known = caller(&server, Some(&good), version);
        assert_eq!(ask_at(&known, "any"), Some(false));
        assert_eq!(ask_at(&known, "closed"), Some(false));
        assert_eq!(ask_at(&known, "closed"), Some(true));
    }
    let known = caller(&server, Some(&good), &rustls::version::TLS13);
    assert_eq!(ask_at(&known, "closed"), Some(false));
    std::fs::write(&crl, clients.revoke(&[&good])).unwrap();
    headworks_testkit::wait::until("the revocation", || ask_at(&known, "closed").is_none().then_some(()));
    assert_eq!(ask_at(&known, "closed"), None);
}

#[test]
fn trust_stores_at_fault() {
    let folder = folder();
    let at = folder.path();
    let authority = Authority::new("Authority");
    authority.issue(&["a.example.com"]).place(at, "a");
    authority.place(at, "clients.pem");
    std::fs::write(at.join("junk"), "junk").unwrap();
    let rows = [
        ("trust_store: none.pem", "trust_store", "cannot be read"),
        ("trust_store: junk", "trust_store", "has no certificate in it"),
        ("trust_store: clients.pem, crl: none.pem", "crl", "cannot be read"),
        ("trust_store: clients.pem, crl: clients.pem", "crl", "has no revocation list in it"),
    ];
    check(
        rows,
        |(mutual, ..)| (*mutual).to_owned(),
        |(mutual, key, what)| {
            let yaml = format!(
                "admin: {{ address: 127.0.0.1:0 }}\ncertificates: {{ c: {{ certificate: a.pem, key: a.key }} }}\n\
                 load_balancers:\n  s: {{ listeners: {{ l: {{ port: 0, protocol: https, certificates: [c], \
                 mutual_authentication: {{ mode: verify, {mutual} }}, default: {{ fixed_response: {{ status: 200 }} }} \
                 }} }} }}\n"
            );
            std::fs::write(at.join("headworks.yaml"), yaml).unwrap();
            let output = crate::HEADWORKS.run(at, &["check", "-c", "headworks.yaml"]);
            let said = String::from_utf8_lossy(&output.stderr);
            let path = format!("load_balancers.s.listeners.l.mutual_authentication.{key}: ");
            assert!(said.lines().any(|line| line.contains(&path) && line.contains(what)), "{said}");
            assert_eq!(output.status.code(), Some(2));
        },
    );
}

/// H11: other names, which a client cannot say either, however it spells them.
#[test]
fn fields_by_other_names() {
    let folder = folder();
    let at = folder.path();
    let (server, clients) = (Authority::new("Server Authority"), Authority::new("Clients"));
    server.issue(&["a.example.com"]).place(at, "a");
    let trusted = clients.place(at, "clients.pem").display().to_string();
    let listener = format!(
        ", mutual_authentication: {{ mode: verify, trust_store: {trusted} }}, request_headers: {{ \
         x_amzn_mtls_clientcert_subject: X-Client-Name, x_amzn_tls_version: X-Spoken }}"
    );
    let web = Origin::echo("web");
    let yaml = secure(at, &["a"], ", tls_version_and_cipher_headers: true", &listener);
    let headworks = start(&yaml, &[("web", &web)]);
    let shown = clients.order(&["c"]).subject(&[(DnType::CommonName, "client-1")]).issue();
    let caller = Caller::trusting(&server).showing(&shown).build();
    let mut client = caller.connect(headworks.address(), "a.example.com");
    let lies = ["X-Client-Name", "x_client_name", "X.Client-NAME", "X-Spoken", "X-Amzn-Mtls-Clientcert-Subject"];
    let asked =
        lies.iter().fold(ask("GET", "/").with("X-Client: stays"), |ask, name| ask.with(&format!("{name}: lie")));
    client.send_anyway(asked.bytes());
    let echo = client.response_to("GET").echo();
    assert!(!echo.fields.0.iter().any(|(_, value)| value == "lie"), "{echo:?}");
    assert_eq!(echo.fields.one("X-Client-Name"), Some("CN=client-1"));
    assert_eq!(echo.fields.one("X-Spoken"), Some("TLSv1.3"));
    assert_eq!(echo.fields.one("X-Amzn-Mtls-Clientcert-Serial-Number"), Some(shown.serial().as_str()));
    assert_eq!(echo.fields.one("X-Client"), Some("stays"));
    for gone in ["X-Amzn-Mtls-Clientcert-Subject", "X-Amzn-Tls-Version"] {
        assert_eq!(echo.fields.one(gone), None);
    }
}
