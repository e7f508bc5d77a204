//! What is answered when a group has nothing healthy: by the group, and by the rule, which comes first (`fallback`).

use headworks_testkit::origin::Health;
use headworks_testkit::{Headworks, Origin, ask, check};

use crate::{HEADWORKS, start};

const CHECKED: &str = "health_check: { interval: 100ms, timeout: 1s, unhealthy_threshold: 2, healthy_threshold: 2 }";

/// A sick group, a healthy one, an empty one, and a rule for each way out.
fn yaml() -> String {
    format!(
        "
workers: 1
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - {{ if: {{ path: [/open] }}, then: {{ forward: sick }} }}
          - {{ if: {{ path: [/refuse] }}, then: {{ forward: {{ groups: sick, fallback: refuse }} }} }}
          - {{ if: {{ path: [/other] }}, then: {{ forward: {{ groups: sick, fallback: {{ forward: well }} }} }} }}
          - {{ if: {{ path: [/fixed] }}, then: {{ forward: {{ groups: sick, fallback: {{ fixed_response: {{ status: 503, body: soon }} }} }} }} }}
          - {{ if: {{ path: [/file] }}, then: {{ forward: {{ groups: sick, fallback: {{ file: sorry.html }} }} }} }}
          - {{ if: {{ path: [/json] }}, then: {{ forward: {{ groups: sick, fallback: {{ file: {{ path: sorry.html, status: 200, content_type: application/json }} }} }} }} }}
          - {{ if: {{ path: [/empty] }}, then: {{ forward: {{ groups: empty, fallback: {{ forward: well }} }} }} }}
          - {{ if: {{ path: [/own] }}, then: {{ forward: own }} }}
          - {{ if: {{ path: [/rule-first] }}, then: {{ forward: {{ groups: own, fallback: {{ forward: well }} }} }} }}
        default: {{ forward: well }}
target_groups:
  sick: {{ targets: [<sick>], {CHECKED} }}
  own: {{ targets: [<sick>], {CHECKED}, fallback: {{ file: sorry.html }} }}
  well: {{ targets: [<well>], health_check: {{ protocol: none }} }}
  empty: {{ targets: [], health_check: {{ protocol: none }} }}
"
    )
}

fn wait_sick(headworks: &Headworks) {
    for group in ["sick", "own"] {
        let _ = headworks.wait_metrics("headworks_target_group_unhealthy_targets", &[("target_group", group)], 1.0);
    }
}

#[test]
fn by_rule_and_by_group() {
    let (sick, well) = (Origin::echo("sick"), Origin::echo("well"));
    sick.set_health(Health::Status(500));
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let page = folder.path().join("sorry.html");
    let html = "<h1>so sorry \u{fc}</h1>";
    std::fs::write(&page, html).unwrap_or_else(|error| panic!("cannot write: {error}"));
    let yaml = yaml().replace("sorry.html", &page.display().to_string());
    let headworks = start(&yaml, &[("sick", &sick), ("well", &well)]);
    wait_sick(&headworks);
    let rows: [(&str, u16, Option<&str>, Option<&str>); 9] = [
        ("/open", 200, Some("sick"), None),
        ("/refuse", 503, None, None),
        ("/other", 200, Some("well"), None),
        ("/fixed", 503, None, Some("soon")),
        ("/file", 503, None, Some(html)),
        ("/json", 200, None, Some(html)),
        ("/empty", 200, Some("well"), None),
        ("/own", 503, None, Some(html)),
        ("/rule-first", 200, Some("well"), None),
    ];
    check(
        rows,
        |row| row.0,
        |(target, status, origin, body)| {
            let response = headworks.ask(&ask("GET", target));
            assert_eq!(response.status, *status, "{response}");
            if let Some(origin) = origin {
                assert_eq!(response.echo().origin, *origin);
            }
            if let Some(body) = body {
                assert_eq!(response.text(), *body);
            }
        },
    );
    assert_eq!(headworks.ask(&ask("GET", "/file")).field("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(headworks.ask(&ask("GET", "/json")).field("Content-Type"), Some("application/json"));
    let head = headworks.client().ask(&ask("HEAD", "/file")).response_to("HEAD");
    assert_eq!((head.status, head.text().len()), (503, 0));
    // once it is well, it is asked again
    sick.set_health(Health::Status(200));
    let _ = headworks.wait_metrics("headworks_target_group_healthy_targets", &[("target_group", "sick")], 1.0);
    assert_eq!(headworks.ask(&ask("GET", "/other")).echo().origin, "sick");
}

/// A network load balancer goes elsewhere, too, when there is no target at all.
#[test]
fn of_flows() {
    let well = Origin::echo("well");
    let yaml = "
load_balancers:
  shop: { type: network, listeners: { tcp: { protocol: tcp, address: 127.0.0.1:0, default: { forward: empty } } } }
target_groups:
  empty: { protocol: tcp, targets: [], health_check: { protocol: none }, fallback: { forward: well } }
  well: { protocol: tcp, targets: [<well>], health_check: { protocol: none } }
";
    let headworks = start(yaml, &[("well", &well)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "well");
}

/// A file that is not there is an error with its place, before anything changes.
#[test]
fn files_that_cannot_be_sent() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let path = folder.path().join("headworks.yaml");
    let text = "load_balancers:
  s: { listeners: { l: { port: 0, default: { forward: { groups: w, fallback: { file: gone.html } } } } } }
target_groups:
  w: { targets: [127.0.0.1:1], fallback: { file: { path: large.html } } }
";
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write: {error}"));
    std::fs::write(folder.path().join("large.html"), vec![b'x'; 1024 * 1024 + 1])
        .unwrap_or_else(|error| panic!("cannot write: {error}"));
    let output = HEADWORKS.run(folder.path(), &["check", "-c", "headworks.yaml"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for expected in [
        "headworks.yaml:2:80: load_balancers.s.listeners.l.default.forward.fallback.file: ",
        "headworks.yaml:4:44: target_groups.w.fallback.file: ",
        "larger than 1 MiB",
    ] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
}
