//! TLS to targets (S5): what is verified when that is asked for, what a target sees, and what a client gets when it fails.

use headworks_testkit::authority::Key;
use headworks_testkit::stream::End;
use headworks_testkit::tls::Serves;
use headworks_testkit::{Authority, Gate, Origin, Step, ask, check, wait};

use crate::start;
use crate::tls::folder;

/// One http listener in front of a group of `<web>` that speaks https, with further lines for the group.
fn secured(group: &str) -> String {
    format!(
        "workers: 1\nload_balancers:\n  shop: {{ access_log: access.log, listeners: {{ http: {{ address: 127.0.0.1:0, \
         default: {{ forward: web }} }} }} }}\ntarget_groups:\n  web: {{ protocol: https, targets: [<web>], \
         health_check: {{ protocol: none }}{group} }}\n"
    )
}

#[test]
fn requests_over_tls() {
    let authority = Authority::new("Targets");
    let web = Origin::new("web").tls(Serves::new(&authority.issue(&["web.internal"]), None)).start();
    // the name that a target is declared by is the name that it is asked for
    let named = format!("localhost:{}", web.address().port());
    let headworks = start(&secured(""), &[("web", &named)]);
    let mut client = headworks.client();
    for number in 1..=3 {
        let echo = client.exchange(&ask("POST", "/x").body("body")).echo();
        assert_eq!((echo.connection, echo.request, echo.body_length), (1, number, 4));
        assert_eq!(echo.fields.all("X-Forwarded-Proto"), ["http"]);
    }
    let handshakes = web.handshakes();
    assert_eq!(handshakes[0].as_ref().unwrap().server_name.as_deref(), Some("localhost"));
    // what is cut off while idle is not used again; the next connection resumes the session
    web.reset_connections();
    wait::until("another connection", || (headworks.ask(&ask("GET", "/")).echo().connection == 2).then_some(()));
    assert!(web.handshakes()[1].as_ref().unwrap().resumed);
    let big = "x".repeat(2 << 20);
    assert_eq!(client.exchange(&ask("POST", "/big").body(&big)).echo().body_length, big.len() as u64);
}

/// What a target is taken for, by its certificate and by what is asked of it.
#[test]
fn verification() {
    let folder = folder();
    let (authority, strangers) = (Authority::new("Targets"), Authority::new("Strangers"));
    let ca = authority.place(folder.path(), "ca.pem").display().to_string();
    let good = authority.issue(&["web.internal", "127.0.0.1"]);
    let rsa = authority.order(&["web.internal"]).key(Key::Rsa).issue();
    let expired = authority.order(&["web.internal", "127.0.0.1"]).valid(2020, 2021).issue();
    let other = authority.issue(&["other.internal"]);
    let stranger = strangers.issue(&["web.internal", "127.0.0.1"]);
    let named = format!(", tls: {{ verify: true, ca: {ca}, server_name: web.internal }}");
    let addressed = format!(", tls: {{ verify: true, ca: {ca} }}");
    let rows = [
        (&named, "good", &good, 200),
        (&named, "rsa", &rsa, 200),
        (&named, "expired", &expired, 502),
        (&named, "another name", &other, 502),
        (&named, "another authority", &stranger, 502),
        (&addressed, "good", &good, 200),
        (&addressed, "another name", &rsa, 502),
    ];
    check(
        rows.into_iter().map(|(group, who, issued, status)| (group.clone(), who, issued, status)).chain([
            (String::new(), "another authority", &stranger, 200),
            (String::new(), "expired", &expired, 200),
            (", tls: { server_name: x.internal }".to_owned(), "another name", &other, 200),
        ]),
        |(group, who, ..)| format!("{who} with {group:?}"),
        |(group, _, issued, status)| {
            let web = Origin::new("web").tls(Serves::new(issued, None)).start();
            let headworks = start(&secured(group), &[("web", &web)]);
            let response = headworks.ask(&ask("GET", "/"));
            assert_eq!(response.status, *status, "{response}");
            if *status != 200 {
                let lines = headworks.log_lines("access.log", 1);
                assert!(lines[0].contains("\"error\":\"TargetTlsError\""), "{lines:?}");
                assert!(web.received().is_empty());
            }
        },
    );
}

/// A target that asks for a certificate is shown ours, and one that has none to show is not let in.
#[test]
fn a_certificate_for_targets() {
    let folder = folder();
    let (targets, ours) = (Authority::new("Targets"), Authority::new("Ours"));
    let shown = ours.issue(&["headworks.internal"]);
    shown.place(folder.path(), "ours");
    let serves = Serves::new(&targets.issue(&["web.internal"]), Some(&ours));
    let path = folder.path().join("ours").display().to_string();
    let web = Origin::new("web").tls(serves).start();
    let certificates = format!("certificates: {{ ours: {{ certificate: {path}.pem, key: {path}.key }} }}\n");
    let with = start(&format!("{}{certificates}", secured(", tls: { certificate: ours }")), &[("web", &web)]);
    assert_eq!(with.ask(&ask("GET", "/")).status, 200);
    assert_eq!(web.handshakes()[0].as_ref().unwrap().certificate.as_ref(), Some(&shown.der));
    let without = start(&secured(""), &[("web", &web)]);
    assert_eq!(without.ask(&ask("GET", "/")).status, 502);
}

/// Targets that do not speak TLS, and one that says nothing: 502, in time, as AWS documents.
#[test]
fn targets_that_do_not_speak_tls() {
    let bad_request = [Step::send("HTTP/1.1 400 Bad Request\r\n\r\n"), Step::Close];
    let plain = Origin::new("plain").at_accept(bad_request).lenient().start();
    let headworks = start(&secured(""), &[("web", &plain)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 502);
    let gate = Gate::new();
    let silent = Origin::new("silent").at_accept([Step::Wait(gate.clone())]).lenient().start();
    let headworks = start(&secured(", response_timeout: 500ms"), &[("web", &silent)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 502);
    let lines = headworks.log_lines("access.log", 1);
    assert!(lines[0].contains("\"error\":\"TargetTlsTimeout\""), "{lines:?}");
    gate.open();
}

/// What a target sends without being asked is not taken for an answer to the next request.
#[test]
fn unasked_answers_are_not_used() {
    let authority = Authority::new("Targets");
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let [one, evil] = [Step::answer(200, "one"), Step::answer(200, "evil")];
    let sent = Gate::new();
    let web = Origin::new("web")
        .tls(Serves::new(&authority.issue(&["web.internal"]), None))
        .on("/twice", [Step::send(twice)])
        .on("/apart", [one, evil, Step::Open(sent.clone())])
        .start();
    let headworks = start(&secured(""), &[("web", &web)]);
    for path in ["/twice", "/apart"] {
        assert_eq!(headworks.ask(&ask("GET", path)).text(), "one");
        if path == "/apart" {
            // one that comes when the next request is on its way cannot be told from an answer to it
            sent.expect("the other answer");
        }
        assert_eq!(headworks.ask(&ask("GET", "/next")).echo().target, "/next");
    }
}

/// T2 with TLS: the group's own protocol is the default of its health check, and either may be of the other kind.
#[test]
fn health_checks_over_tls() {
    let authority = Authority::new("Targets");
    let folder = folder();
    let ca = authority.place(folder.path(), "ca.pem").display().to_string();
    let issued = authority.issue(&["web.internal"]);
    let serves = || Serves::new(&issued, None);
    let group = |more: &str, check: &str| {
        secured(more)
            .replace("health_check: { protocol: none }", &format!("health_check: {{ interval: 100ms{check} }}"))
    };
    let rows = [
        (group("", ""), "healthy"),
        (group("", ", protocol: tls"), "healthy"),
        (group("", ", protocol: http"), "unhealthy"),
        (group(&format!(", tls: {{ verify: true, ca: {ca}, server_name: web.internal }}"), ""), "healthy"),
        (group(&format!(", tls: {{ verify: true, ca: {ca}, server_name: other.internal }}"), ""), "unhealthy"),
    ];
    check(
        rows,
        |(yaml, _)| yaml.lines().last().unwrap_or_default().to_owned(),
        |(yaml, state)| {
            let web = Origin::new("web").tls(serves()).lenient().start();
            let headworks = start(yaml, &[("web", &web)]);
            headworks.wait_status(state, |status| status.to_string().contains(&format!("\"{state}\"")).then_some(()));
        },
    );
}

/// Other settings mean other connections: what was opened without verification is not used with it.
#[test]
fn idle_connections_do_not_outlive_their_settings() {
    let folder = folder();
    let authority = Authority::new("Targets");
    let ca = authority.place(folder.path(), "ca.pem").display().to_string();
    let web = Origin::new("web").tls(Serves::new(&authority.issue(&["other.internal"]), None)).start();
    let mut headworks = start(&secured(""), &[("web", &web)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().connection, 1);
    // a reload that changes nothing about it keeps them
    headworks.reload(&secured(", response_timeout: 50s"), &[("web", &web)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().connection, 1);
    let strict = format!(", tls: {{ verify: true, ca: {ca}, server_name: web.internal }}");
    headworks.reload(&secured(&strict), &[("web", &web)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 502);
    // and those before are ended in good order
    assert_eq!(web.wait_end(1), End::Closed);
}
