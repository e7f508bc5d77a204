//! Health of targets: checks (T2, T3), states with reasons (T4, T5), what happens when nothing is healthy (T6), and how
//! targets leave (T9).

use headworks_testkit::frames::{block, code, flag, frame, headers, kind, settings};
use headworks_testkit::origin::{Health, PROBE};
use headworks_testkit::{Gate, Headworks, Origin, Step, ask, check, wait};
use serde_json::Value;

use crate::start;

/// A check that is quick enough for a test.
const QUICK: &str = "interval: 100ms, timeout: 100ms, healthy_threshold: 3, unhealthy_threshold: 2";

fn forward(group: &str, groups: &str) -> String {
    format!(
        "load_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: {group} }} }} }} }}\n\
         target_groups:\n{groups}"
    )
}

/// State, reason and description of a target.
fn state(status: &Value, group: &str, address: &str) -> Option<(String, Value, Value)> {
    let targets = status["target_groups"][group]["targets"].as_array()?;
    let target = targets.iter().find(|target| target["address"] == address)?;
    Some((target["state"].as_str()?.to_owned(), target["reason"].clone(), target["description"].clone()))
}

fn wait_state(headworks: &Headworks, group: &str, origin: &Origin, wanted: &str) -> (Value, Value) {
    let address = origin.address().to_string();
    headworks.wait_status(&format!("{wanted} of {address}"), |status| {
        state(status, group, &address).filter(|(state, ..)| state == wanted).map(|(_, reason, text)| (reason, text))
    })
}

/// T3: what a check looks like.
#[test]
fn the_check_itself() {
    let web = Origin::echo("web");
    let other = Origin::echo("other");
    let groups = format!(
        "  web: {{ targets: [<web>], health_check: {{ path: \"/health?full=1\", {QUICK} }} }}\n\
         \x20 aside: {{ targets: [<aside>], health_check: {{ port: {}, path: /, {QUICK} }} }}\n",
        other.address().port()
    );
    let aside = Origin::echo("aside");
    let headworks = start(&forward("{ groups: { web: 1, aside: 1 } }", &groups), &[("web", &web), ("aside", &aside)]);
    for probe in web.wait_probes(3) {
        assert_eq!((probe.method.as_str(), probe.target.as_str()), ("GET", "/health?full=1"));
        assert_eq!(probe.fields.one("Host"), Some(web.address().to_string().as_str()));
        assert_eq!(probe.fields.one("User-Agent"), Some(PROBE));
        assert!(probe.fields.lists("Connection", "close"), "{probe:?}");
    }
    assert!(web.connections() >= 3, "each check is on a connection of its own");
    other.wait_probes(2);
    assert!(aside.probes().is_empty(), "the check has a port of its own");
    wait_state(&headworks, "aside", &aside, "healthy");
}

/// RFC 9113 section 6.8: a target of HTTP/2 that hangs up right behind its answer has answered.
#[test]
fn an_answer_that_is_the_last_word_counts() {
    const HEAD_THAT_ENDS: [u8; 6] = [kind::HEADERS, flag::WHOLE, 0, 0, 0, 1];
    let away = frame(kind::GOAWAY, flag::NONE, 0, [1_u32.to_be_bytes(), code::NO_ERROR.to_be_bytes()].concat());
    let answer = |status: &str| headers(flag::END_STREAM, 1, block(&[&format!(":status: {status}")]));
    let says = |status: &str| {
        let last_word = [answer(status), away.clone()].concat();
        let steps =
            [Step::Send(settings(&[])), Step::ReadThrough(HEAD_THAT_ENDS.to_vec()), Step::Send(last_word), Step::Close];
        Origin::new(status).at_accept(steps).lenient().start()
    };
    let (well, ill) = (says("200"), says("503"));
    let group =
        |name: &str| format!("  {name}: {{ version: http2, targets: [<{name}>], health_check: {{ {QUICK} }} }}\n");
    let groups = group("well") + &group("ill");
    let headworks = start(&forward("{ groups: { well: 1, ill: 1 } }", &groups), &[("well", &well), ("ill", &ill)]);
    wait_state(&headworks, "well", &well, "healthy");
    let (reason, _) = wait_state(&headworks, "ill", &ill, "unhealthy");
    assert_eq!(reason, "Target.ResponseCodeMismatch");
}

/// T2, T4: which answers count, and what is said of those that do not.
#[test]
fn states_and_reasons() {
    const CODES: &str = "Health checks failed with these codes";
    let rows = [
        ("matcher: \"200\"", Health::Status(200), "healthy", None, None),
        (
            "matcher: \"200\"",
            Health::Status(500),
            "unhealthy",
            Some("Target.ResponseCodeMismatch"),
            Some(format!("{CODES}: [500]")),
        ),
        (
            "matcher: \"200\"",
            Health::Status(204),
            "unhealthy",
            Some("Target.ResponseCodeMismatch"),
            Some(format!("{CODES}: [204]")),
        ),
        ("matcher: \"200-299\"", Health::Status(204), "healthy", None, None),
        ("matcher: \"200,301-302,404\"", Health::Status(404), "healthy", None, None),
        ("matcher: \"200,301-302,404\"", Health::Status(302), "healthy", None, None),
        (
            "matcher: \"200,301-302,404\"",
            Health::Status(303),
            "unhealthy",
            Some("Target.ResponseCodeMismatch"),
            Some(format!("{CODES}: [303]")),
        ),
        ("path: /x", Health::Silent, "unhealthy", Some("Target.Timeout"), Some("Request timed out".to_owned())),
        (
            "path: /x",
            Health::Reset,
            "unhealthy",
            Some("Target.FailedHealthChecks"),
            Some("Health checks failed".to_owned()),
        ),
        ("protocol: tcp", Health::Silent, "healthy", None, None),
    ];
    let mut groups = String::new();
    let mut names = String::new();
    let origins: Vec<Origin> = rows
        .iter()
        .map(|(_, health, ..)| {
            let origin = Origin::echo("web");
            origin.set_health(*health);
            origin
        })
        .collect();
    for (number, ((settings, ..), origin)) in rows.iter().zip(&origins).enumerate() {
        groups.push_str(&format!("  g{number}: {{ targets: [{origin}], health_check: {{ {settings}, {QUICK} }} }}\n"));
        names.push_str(&format!("g{number}: 1, "));
    }
    let headworks = start(&forward(&format!("{{ groups: {{ {names} }} }}"), &groups), &[]);
    check(
        rows.iter().zip(&origins).enumerate(),
        |(_, ((settings, health, wanted, ..), _))| format!("{settings} and {health:?}: {wanted}"),
        |(number, ((_, _, wanted, reason, text), origin))| {
            let (said, description) = wait_state(&headworks, &format!("g{number}"), origin, wanted);
            assert_eq!(said.as_str(), *reason, "{description}");
            assert_eq!(description.as_str(), text.as_deref());
        },
    );
}

/// T3, scenario 9: one success makes a new target healthy, a recovering one needs its threshold; traffic follows.
#[test]
fn down_and_up_again() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    a.set_health(Health::Status(503));
    let groups = format!("  web: {{ targets: [<a>, <b>], health_check: {{ {QUICK} }} }}\n");
    let headworks = start(&forward("web", &groups), &[("a", &a), ("b", &b)]);
    wait_state(&headworks, "web", &b, "healthy");
    wait_state(&headworks, "web", &a, "unhealthy");
    let answers = |count: usize| (0..count).map(|_| headworks.ask(&ask("GET", "/")).echo().origin).collect::<Vec<_>>();
    assert_eq!(answers(10), ["b"; 10]);
    let metrics = headworks.metrics();
    let count = |name: &str| metrics.sum(&format!("headworks_target_group_{name}_targets"), &[("target_group", "web")]);
    assert_eq!((count("healthy"), count("unhealthy")), (1.0, 1.0));
    a.forget();
    a.set_health(Health::Status(200));
    wait_state(&headworks, "web", &a, "healthy");
    assert!(a.probes().len() >= 3, "healthy after {} checks, the threshold is 3", a.probes().len());
    wait::until("requests at the target that is back", || answers(4).contains(&"a".to_owned()).then_some(()));
    b.set_health(Health::Silent);
    let (reason, _) = wait_state(&headworks, "web", &b, "unhealthy");
    assert_eq!(reason, "Target.Timeout");
    assert_eq!(answers(10), ["a"; 10]);
}

/// T5: what no rule uses is not checked. CONFIG: neither is what says so.
#[test]
fn targets_that_are_not_checked() {
    let (used, unused, unchecked) = (Origin::echo("used"), Origin::echo("unused"), Origin::echo("unchecked"));
    let groups = format!(
        "  used: {{ targets: [<used>], health_check: {{ {QUICK} }} }}\n\
         \x20 unused: {{ targets: [<unused>], health_check: {{ {QUICK} }} }}\n\
         \x20 unchecked: {{ targets: [<unchecked>], health_check: {{ protocol: none }} }}\n"
    );
    let headworks = start(
        &forward("{ groups: { used: 1, unchecked: 1 } }", &groups),
        &[("used", &used), ("unused", &unused), ("unchecked", &unchecked)],
    );
    wait_state(&headworks, "used", &used, "healthy");
    used.wait_probes(4);
    let (reason, _) = wait_state(&headworks, "unused", &unused, "unused");
    assert_eq!(reason, "Target.NotInUse");
    let (reason, _) = wait_state(&headworks, "unchecked", &unchecked, "unavailable");
    assert_eq!(reason, "Target.HealthCheckDisabled");
    assert!(unused.probes().is_empty() && unchecked.probes().is_empty());
    assert_eq!(unused.connections() + unchecked.connections(), 0);
}

/// T6: with nothing healthy, everything counts as healthy, or what `fallback` says happens.
#[test]
fn when_nothing_is_healthy() {
    let (a, b, other) = (Origin::echo("a"), Origin::echo("b"), Origin::echo("other"));
    for origin in [&a, &b] {
        origin.set_health(Health::Status(500));
    }
    let groups = |fallback: &str| {
        format!(
            "  web: {{ targets: [<a>, <b>], health_check: {{ {QUICK} }}{fallback} }}\n\
             \x20 other: {{ targets: [<other>], health_check: {{ protocol: none }} }}\n"
        )
    };
    let unhealthy = |headworks: &Headworks| {
        wait_state(headworks, "web", &a, "unhealthy");
        wait_state(headworks, "web", &b, "unhealthy");
    };
    for fallback in ["", ", fallback: fail_open"] {
        let headworks = start(&forward("web", &groups(fallback)), &[("a", &a), ("b", &b), ("other", &other)]);
        unhealthy(&headworks);
        assert_eq!(headworks.status()["target_groups"]["web"]["fail_open"], true);
        let mut answered: Vec<_> = (0..12).map(|_| headworks.ask(&ask("GET", "/")).echo().origin).collect();
        answered.sort();
        answered.dedup();
        assert_eq!(answered, ["a", "b"]);
        let counted = headworks.metrics().sum("headworks_target_group_unhealthy_routing_requests_total", &[]);
        assert!(counted >= 12.0, "{counted}");
    }
    let fixed = ", fallback: { fixed_response: { status: 503, body: \"back soon\" } }";
    let headworks = start(&forward("web", &groups(fixed)), &[("a", &a), ("b", &b), ("other", &other)]);
    unhealthy(&headworks);
    let response = headworks.ask(&ask("GET", "/"));
    assert_eq!((response.status, response.text().as_str()), (503, "back soon"), "{response}");
    let elsewhere = ", fallback: { forward: other }";
    let headworks = start(&forward("web", &groups(elsewhere)), &[("a", &a), ("b", &b), ("other", &other)]);
    unhealthy(&headworks);
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "other");
    // and back, once one is healthy
    a.set_health(Health::Status(200));
    wait_state(&headworks, "web", &a, "healthy");
    wait::until("requests at the group that is back", || {
        (headworks.ask(&ask("GET", "/")).echo().origin == "a").then_some(())
    });
}

/// T9: a deregistered target finishes what it has, gets nothing new, and stays `draining` for its delay.
#[test]
fn draining() {
    let gate = Gate::new();
    let held = |name: &str| Origin::new(name).on("/held", [Step::Wait(gate.clone()), Step::answer(200, name)]).start();
    let (a, b) = (held("a"), Origin::echo("b"));
    let groups = |targets: &str, delay: &str| {
        forward(
            "web",
            &format!(
                "  web: {{ targets: {targets}, deregistration_delay: {delay}, health_check: {{ protocol: none }} }}\n"
            ),
        )
    };
    let mut headworks = start(&groups("[<a>]", "1h"), &[("a", &a)]);
    let mut client = headworks.client();
    client.ask(&ask("GET", "/held"));
    a.wait_heads(1);
    headworks.reload(&groups("[<b>]", "1h"), &[("b", &b)]);
    let (reason, _) = wait_state(&headworks, "web", &a, "draining");
    assert_eq!(reason, "Target.DeregistrationInProgress");
    for _ in 0..6 {
        assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "b");
    }
    gate.open();
    assert_eq!(client.response().text(), "a");
    // the client's connection goes on, with another target
    assert_eq!(client.exchange(&ask("GET", "/")).echo().origin, "b");
    assert_eq!(state(&headworks.status(), "web", &a.address().to_string()).map(|s| s.0).as_deref(), Some("draining"));
    // registered again, it is used again
    headworks.reload(&groups("[<a>]", "1h"), &[("a", &a)]);
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "a");
}

/// T9: when the delay is over, what is still in flight gets 502, and the target is gone.
#[test]
fn drained() {
    let gate = Gate::new();
    let a = Origin::new("a").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let b = Origin::echo("b");
    let groups = |targets: &str| {
        forward(
            "web",
            &format!(
                "  web: {{ targets: {targets}, deregistration_delay: 500ms, health_check: {{ protocol: none }} }}\n"
            ),
        )
    };
    let mut headworks = start(&groups("[<a>]"), &[("a", &a)]);
    let mut client = headworks.client();
    client.ask(&ask("GET", "/held"));
    a.wait_heads(1);
    headworks.reload(&groups("[<b>]"), &[("b", &b)]);
    let cut = client.response();
    assert_eq!((cut.status, cut.field("Server")), (502, Some("headworks")), "{cut}");
    headworks.wait_status("a drained target that is gone", |status| {
        let left = state(status, "web", &a.address().to_string());
        (left.is_none() || left.is_some_and(|(state, ..)| state == "unused")).then_some(())
    });
    gate.open();
}
