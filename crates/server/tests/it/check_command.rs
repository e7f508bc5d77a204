//! `headworks check`: every fault of a file at once, with its place, and what a file would change.

use headworks_testkit::program::filled;
use headworks_testkit::{Origin, check};

use crate::{HEADWORKS, proxy, start};

/// Writes a file, checks it, and gives exit status and what was said on stderr.
fn checked(yaml: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let written = std::fs::write(folder.path().join("headworks.yaml"), yaml);
    assert!(written.is_ok());
    let output = HEADWORKS.run(folder.path(), &["check", "-c", "headworks.yaml"]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

const ADMIN: &str = "admin: { address: 127.0.0.1:0 }\n";

/// CONFIG: `file:line:column: path.to.key: what is wrong, what was expected`, exit status 2.
#[test]
fn faults_and_their_places() {
    // the file behind the admin line, and the start of each line that is to be said, `what` being within it
    let rows: [(&str, &[(&str, &str)]); 14] = [
        ("wrokers: 2\n", &[("headworks.yaml:2:1: wrokers: ", "workers")]),
        ("workers: many\n", &[("headworks.yaml:2:10: workers: ", "many")]),
        (
            "load_balancers:\n  shop:\n    listeners:\n      http:\n        address: 127.0.0.1:0\n        default: { forward: wbe }\ntarget_groups:\n  web: { targets: [] }\n",
            &[("headworks.yaml:7:29: load_balancers.shop.listeners.http.default.forward: ", "wbe")],
        ),
        (
            "load_balancers:\n  shop:\n    idle_timeout: 60\n    listeners:\n      http: { default: { fixed_response: { status: 301 } } }\n",
            &[
                ("headworks.yaml:4:19: load_balancers.shop.idle_timeout: ", "60"),
                ("headworks.yaml:6:13: load_balancers.shop.listeners.http.port: ", "missing"),
                ("headworks.yaml:6:52: load_balancers.shop.listeners.http.default.fixed_response.status: ", "301"),
            ],
        ),
        (
            "target_groups:\n  web: { targets: [\"127.0.0.1\", \"127.0.0.1:99999\", \":80\"] }\n",
            &[
                ("headworks.yaml:3:20: target_groups.web.targets[0]: ", "127.0.0.1"),
                ("headworks.yaml:3:33: target_groups.web.targets[1]: ", "99999"),
                ("headworks.yaml:3:52: target_groups.web.targets[2]: ", ":80"),
            ],
        ),
        (
            "target_groups:\n  web: { targets: [\"127.0.0.1:1\", \"127.0.0.1:1\"] }\n",
            &[("headworks.yaml:3:35: target_groups.web.targets[1]", "twice")],
        ),
        ("target_groups:\n  web: {}\n  web: {}\n", &[("headworks.yaml:4:3: target_groups.web: ", "")]),
        ("target_groups:\n  -web: {}\n", &[("headworks.yaml:3:3: target_groups.-web: ", "")]),
        (
            "target_groups:\n  web: { algorithm: fastest, health_check: { matcher: \"2xx\" }, retry: { attempts: 0 } }\n",
            &[
                ("headworks.yaml:3:21: target_groups.web.algorithm: ", "fastest"),
                ("headworks.yaml:3:55: target_groups.web.health_check.matcher: ", "2xx"),
                ("headworks.yaml:3:83: target_groups.web.retry.attempts: ", "0"),
            ],
        ),
        (
            "target_groups:\n  web: { algorithm: least_outstanding_requests, slow_start: 30s }\n",
            &[("headworks.yaml:3:61: target_groups.web.slow_start: ", "least_outstanding_requests")],
        ),
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, default: { redirect: { status: 302 } } } } }\n",
            &[("headworks.yaml:3:62: load_balancers.shop.listeners.http.default.redirect: ", "")],
        ),
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { path: [{ regex: \"(\" }] }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            &[("headworks.yaml:3:73: load_balancers.shop.listeners.http.rules[0].if.path[0].regex: ", "")],
        ),
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, default: { redirect: { path: \"/#{pth}\" } } } } }\n",
            &[("headworks.yaml:3:70: load_balancers.shop.listeners.http.default.redirect.path: ", "pth")],
        ),
        ("load_balancers: [\n", &[("headworks.yaml:", "")]),
    ];
    check(
        rows,
        |(yaml, _)| yaml.to_string(),
        |(yaml, expected)| {
            let (status, said) = checked(&format!("{ADMIN}{yaml}"));
            assert_eq!(status, Some(2), "{said}");
            let lines: Vec<&str> = said.lines().collect();
            for (place, what) in *expected {
                let found = lines.iter().any(|line| line.starts_with(place) && line.contains(what));
                assert!(found, "no line starts with {place:?} and has {what:?} in it:\n{said}");
            }
            assert_eq!(lines.len(), expected.len(), "{said}");
        },
    );
}

/// AWS's own limits on meaning: R15's HTTPS to HTTP, weighted groups with stickiness of their own.
#[test]
fn what_does_not_go_together() {
    let rows = [
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, default: { forward: { groups: { a: 1, b: 1 } } } } } }\ntarget_groups:\n  a: { stickiness: { type: lb_cookie } }\n  b: {}\n",
            "stickiness",
        ),
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, default: { forward: { groups: { a: 1, b: 1 }, stickiness: 1h } } } } }\ntarget_groups:\n  a: { stickiness: { type: app_cookie, name: S } }\n  b: {}\n",
            "app_cookie",
        ),
        (
            // R15
            "load_balancers:\n  shop: { listeners: { http: { port: 0, protocol: https, certificates: [c], default: { redirect: { protocol: HTTP } } } } }\ncertificates:\n  c: { certificate: c.pem, key: c.key }\n",
            "HTTPS to HTTP",
        ),
        (
            // R12
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: {}, then: { fixed_response: { status: 200 }, redirect: { host: a.example.com } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "redirect",
        ),
        (
            // R5
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { header: { Host: [a.example.com] } }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "host",
        ),
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { header: { \"X-*\": [a] } }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "X-*",
        ),
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { method: [get] }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "get",
        ),
        (
            // R6
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { host: [\"a.example.c0m\"] }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "c0m",
        ),
        (
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { host: [\"a.example.com:80\"] }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "port",
        ),
        (
            // R7
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { path: [\"/a b\"] }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "/a b",
        ),
        (
            // R9
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: { source_ip: [10.0.0.0/33] }, then: { fixed_response: { status: 200 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "10.0.0.0/33",
        ),
        (
            // R13
            "load_balancers:\n  shop: { listeners: { http: { port: 0, default: { forward: { groups: { a: 1000 } } } } } }\ntarget_groups:\n  a: {}\n",
            "1000",
        ),
        (
            // R14
            "load_balancers:\n  shop: { listeners: { http: { port: 0, default: { forward: { groups: { a: 1 }, stickiness: 8d } } } } }\ntarget_groups:\n  a: {}\n",
            "8d",
        ),
        (
            // R16
            "load_balancers:\n  shop: { listeners: { http: { port: 0, rules: [{ if: {}, then: { fixed_response: { status: 302 } } }], default: { fixed_response: { status: 200 } } } } }\n",
            "302",
        ),
        ("target_groups:\n  a: { stickiness: { type: app_cookie, name: AWSALBX } }\n", "AWSALB"),
        ("target_groups:\n  a: { fallback: { forward: b } }\n  b: { fallback: { forward: a } }\n", "fallback"),
        (
            "load_balancers:\n  shop: { listeners: { a: { address: 127.0.0.1:8080, default: { fixed_response: { status: 200 } } }, b: { address: 127.0.0.1:8080, default: { fixed_response: { status: 200 } } } } }\n",
            "8080",
        ),
    ];
    check(
        rows,
        |(yaml, _)| yaml.to_string(),
        |(yaml, what)| {
            let (status, said) = checked(&format!("{ADMIN}{yaml}"));
            assert_eq!(status, Some(2), "{said}");
            assert!(said.contains(what), "{said}");
        },
    );
}

#[test]
fn files_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    for command in ["check", "run"] {
        let output = HEADWORKS.run(folder.path(), &[command, "-c", "nowhere.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere.yaml"), "{output:?}");
    }
}

/// `run` with a broken file is refused as `check` refuses it.
#[test]
fn run_says_the_same() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let written = std::fs::write(folder.path().join("headworks.yaml"), format!("{ADMIN}wrokers: 2\nworkers: x\n"));
    assert!(written.is_ok());
    let [check, run] = ["check", "run"].map(|command| HEADWORKS.run(folder.path(), &[command, "-c", "headworks.yaml"]));
    assert_eq!((check.status.code(), run.status.code()), (Some(2), Some(2)));
    assert_eq!(String::from_utf8_lossy(&check.stderr), String::from_utf8_lossy(&run.stderr));
}

/// What a file would change in the instance that runs.
#[test]
fn the_difference_to_a_running_instance() {
    let (web, other) = (Origin::echo("web"), Origin::echo("other"));
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let write = |name: &str, yaml: &str, origin: &Origin| {
        let admin = format!("admin: {{ address: {} }}\n", headworks.admin());
        let text = filled(&format!("{admin}{yaml}"), &[("web", origin)]);
        assert!(std::fs::write(headworks.path(name), text).is_ok());
    };
    write("changed.yaml", &proxy(", idle_timeout: 5s", ", slow_start: 40s"), &other);
    let output = headworks.beside(&["check", "-c", "changed.yaml"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for what in ["idle_timeout", "slow_start", &other.address().to_string()] {
        assert!(said.contains(what), "{what} is not said to change:\n{said}");
    }
    assert!(!said.contains("deregistration_delay"), "{said}");
    // nobody runs there
    assert!(std::fs::write(headworks.path("alone.yaml"), filled(&proxy("", ""), &[("web", &web)])).is_ok());
    let output = headworks.beside(&["check", "-c", "alone.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// CONFIG: `${env:NAME}` and `${file:/path}` in any string.
#[test]
fn values_from_outside() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let secret = folder.path().join("secret");
    assert!(std::fs::write(&secret, "from a file\n").is_ok());
    let yaml = "load_balancers:\n  shop: { listeners: { http: { address: 127.0.0.1:0, default: { fixed_response: { status: 200, body: \"${file:<secret>}\" } } } } }\n";
    let headworks = start(yaml, &[("secret", &secret.display())]);
    assert_eq!(headworks.ask(&headworks_testkit::ask("GET", "/")).text(), "from a file");
    let (status, said) = checked(&format!("{ADMIN}{}", yaml.replace("file:<secret>", "env:HEADWORKS_NO_SUCH_THING")));
    assert_eq!(status, Some(2));
    assert!(said.contains("HEADWORKS_NO_SUCH_THING"), "{said}");
}
