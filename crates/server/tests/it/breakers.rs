//! Targets that are left alone for what requests met at them (`circuit_breaker`): when, for how long, and how they come back.

use headworks_testkit::{Gate, Headworks, Origin, Step, ask, wait};
use serde_json::Value;

use crate::start;

fn group(targets: &str, breaker: &str, more: &str) -> String {
    format!(
        "workers: 1\nload_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\n\
         target_groups:\n  web: {{ targets: {targets}, health_check: {{ protocol: none }}, circuit_breaker: {{ {breaker} }}{more} }}\n"
    )
}

fn target(headworks: &Headworks, origin: &Origin) -> Value {
    let status = headworks.status();
    let targets = status["target_groups"]["web"]["targets"].as_array().cloned().unwrap_or_default();
    let address = origin.address().to_string();
    targets.into_iter().find(|target| target["address"] == address.as_str()).unwrap_or_default()
}

fn is_ejected(headworks: &Headworks, origin: &Origin) -> bool {
    target(headworks, origin)["ejected"] == true
}

/// A share of failures ejects a target that never fails often enough in a row.
#[test]
fn a_share_of_failures() {
    let bad = Origin::new("bad").on("/x", [Step::answer(500, "bad")]).start();
    let good = Origin::echo("good");
    let breaker = "consecutive_failures: 0, error_ratio: 0.4, minimum_requests: 10, open_for: 1h";
    let headworks = start(&group("[<bad>, <good>]", breaker, ""), &[("bad", &bad), ("good", &good)]);
    let mut client = headworks.client();
    wait::until("the ejection", || {
        // half of what the bad one gets succeeds
        for target in ["/x", "/x", "/y", "/y"] {
            let _ = client.exchange(&ask("GET", target));
        }
        is_ejected(&headworks, &bad).then_some(())
    });
    assert!(!is_ejected(&headworks, &good));
    let metrics = headworks.metrics();
    assert_eq!(metrics.sum("headworks_target_group_ejections_total", &[("reason", "error_ratio")]), 1.0);
    assert_eq!(metrics.sum("headworks_target_ejected", &[("target", &bad.address().to_string())]), 1.0);
}

/// A target that answers like its peers, only far slower.
#[test]
fn latency_against_peers() {
    let quick = [Origin::echo("a"), Origin::echo("b"), Origin::echo("c")];
    let late = std::time::Duration::from_millis(60);
    let slow = Origin::new("slow").on("/x", [Step::Pause(late), Step::answer(200, "slow")]).start();
    let breaker = "consecutive_failures: 0, latency_factor: 3, minimum_requests: 5, window: 1s, open_for: 1h";
    let parts: [(&str, &dyn std::fmt::Display); 4] =
        [("a", &quick[0]), ("b", &quick[1]), ("c", &quick[2]), ("slow", &slow)];
    let headworks = start(&group("[<a>, <b>, <c>, <slow>]", breaker, ""), &parts);
    let mut client = headworks.client();
    wait::until("the ejection", || {
        for _ in 0..8 {
            assert_eq!(client.exchange(&ask("GET", "/x")).status, 200);
        }
        is_ejected(&headworks, &slow).then_some(())
    });
    assert!(quick.iter().all(|origin| !is_ejected(&headworks, origin)));
    let ejections = headworks.metrics().sum("headworks_target_group_ejections_total", &[("reason", "latency")]);
    assert_eq!(ejections, 1.0);
}

/// As soon as it has failed often enough, not when somebody comes by and looks: of the hundreds that are asked in a quarter of a
/// second, hardly any meets it. Its retries do not take the turns of others, who would leave it more than its own.
#[test]
fn at_once() {
    let bad = Origin::new("bad").on("/x", [Step::Reset]).start();
    let good = [Origin::echo("a"), Origin::echo("b")];
    let yaml = group("[<bad>, <a>, <b>]", "consecutive_failures: 9, open_for: 1h", ", retry: { budget: 1 }");
    let headworks = start(&yaml, &[("bad", &bad), ("a", &good[0]), ("b", &good[1])]);
    let mut client = headworks.client();
    let mut asked = 0;
    while !is_ejected(&headworks, &bad) {
        for _ in 0..9 {
            assert_eq!(client.exchange(&ask("GET", "/x")).status, 200);
            asked += 1;
        }
        assert_eq!(bad.received().len().min(9), (asked / 3).min(9), "its share of {asked} first attempts");
    }
    assert!(asked < 200, "{asked} requests until it was ejected");
}

/// After its time, a target gets a few requests from each worker, and no more until they have been answered; then it is
/// back.
#[test]
fn a_trial_is_a_few_requests() {
    let gate = Gate::new();
    let sick = Origin::new("sick")
        .on("/fail", [Step::answer(500, "sick")])
        .on("/x", [Step::Wait(gate.clone()), Step::answer(200, "sick")])
        .start();
    let good = Origin::new("good").on("/fail", [Step::answer(200, "")]).on("/x", [Step::answer(200, "good")]).start();
    let breaker = "consecutive_failures: 2, open_for: 2s, probes: 2";
    let headworks = start(&group("[<sick>, <good>]", breaker, ""), &[("sick", &sick), ("good", &good)]);
    let mut client = headworks.client();
    wait::until("the ejection", || {
        let _ = client.exchange(&ask("GET", "/fail"));
        is_ejected(&headworks, &sick).then_some(())
    });
    sick.forget();
    wait::until("the trial", || (!is_ejected(&headworks, &sick)).then_some(()));
    // two are held by the one on trial, whatever else comes goes to the other
    let mut held: Vec<_> = (0..12).map(|_| headworks.client()).collect();
    for client in &mut held {
        client.ask(&ask("GET", "/x"));
    }
    sick.wait_heads(2);
    good.wait_heads(10);
    assert_eq!(sick.received().len(), 2, "more than the trial's requests");
    gate.open();
    let answers: Vec<String> = held.iter_mut().map(|client| client.response().text()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "sick").count(), 2, "{answers:?}");
    // and with that it has passed
    wait::until("its share", || {
        let seen: Vec<String> = (0..4).map(|_| client.exchange(&ask("GET", "/x")).text()).collect();
        (seen.iter().filter(|answer| *answer == "sick").count() == 2).then_some(())
    });
}

/// A request that waits at a target while that is ejected still finds the other one, although only that is left.
#[test]
fn requests_under_way_at_an_ejected_target() {
    let bad = Origin::new("bad").on("/stall", [Step::ReadToEnd]).on("/reset", [Step::Reset]).start();
    let good = Origin::echo("good");
    let retry = ", retry: { when: [timeout], per_try_timeout: 2s, budget: 1 }";
    let yaml = group("[<bad>, <good>]", "consecutive_failures: 1, open_for: 1h", retry);
    let headworks = start(&yaml, &[("bad", &bad), ("good", &good)]);
    // in turn, one to each
    let mut held = [headworks.client(), headworks.client()];
    for client in &mut held {
        client.ask(&ask("GET", "/stall"));
    }
    bad.wait_heads(1);
    wait::until("the ejection", || {
        assert!(matches!(headworks.ask(&ask("GET", "/reset")).status, 200 | 502));
        is_ejected(&headworks, &bad).then_some(())
    });
    for client in &mut held {
        let response = client.response();
        assert_eq!((response.status, response.echo().origin.as_str()), (200, "good"), "{response}");
    }
}

/// Of two targets that fail alike, one stays while the other is out or on trial; and one on trial takes everything when it
/// is the only one.
#[test]
fn a_trial_refuses_nothing() {
    let gate = Gate::new();
    let sick = |name: &str| {
        Origin::new(name)
            .on("/fail", [Step::answer(500, "sick")])
            .on("/x", [Step::Wait(gate.clone()), Step::answer(200, "well")])
            .start()
    };
    let origins = [sick("a"), sick("b")];
    let parts: [(&str, &dyn std::fmt::Display); 2] = [("a", &origins[0]), ("b", &origins[1])];
    let breaker = "consecutive_failures: 2, open_for: 500ms, max_ejected: 1, probes: 1";
    let mut headworks = start(&group("[<a>, <b>]", breaker, ""), &parts);
    let mut client = headworks.client();
    let ejected = |headworks: &Headworks| origins.iter().position(|origin| is_ejected(headworks, origin));
    let mut fail =
        |headworks: &Headworks| assert_eq!(client.exchange(&ask("GET", "/fail")).status, 500, "{}", headworks.said());
    let out = wait::until("the ejection", || {
        fail(&headworks);
        ejected(&headworks)
    });
    wait::until("the trial", || {
        fail(&headworks);
        ejected(&headworks).is_none().then_some(())
    });
    let again = wait::until("the end of it", || {
        fail(&headworks);
        ejected(&headworks)
    });
    assert_eq!(again, out, "the one that had stayed was ejected for what the one on trial met");
    wait::until("another trial", || ejected(&headworks).is_none().then_some(()));
    headworks.reload(&group("[<last>]", breaker, ""), &[("last", &origins[out])]);
    let mut held: Vec<_> = (0..8).map(|_| headworks.client()).collect();
    for client in &mut held {
        client.ask(&ask("GET", "/x"));
    }
    gate.open();
    for client in &mut held {
        assert_eq!(client.response().status, 200);
    }
}

/// Where another group stands in, all targets may be out: it is asked in their stead, but for the requests of a trial.
#[test]
fn what_stands_in_for_all_of_them() {
    let sick =
        Origin::new("sick").on("/fail", [Step::answer(500, "sick")]).on("/x", [Step::answer(200, "sick")]).start();
    let well =
        Origin::new("well").on("/fail", [Step::answer(200, "well")]).on("/x", [Step::answer(200, "well")]).start();
    let breaker = "consecutive_failures: 2, open_for: 500ms, max_ejected: 1, probes: 1";
    let other = ", fallback: { forward: other } }\n  other: { targets: [<well>], health_check: { protocol: none }";
    let headworks = start(&group("[<sick>]", breaker, other), &[("sick", &sick), ("well", &well)]);
    let mut client = headworks.client();
    let mut answer = |target: &str| client.exchange(&ask("GET", target)).text();
    wait::until("the other group", || (answer("/fail") == "well").then_some(()));
    assert!(is_ejected(&headworks, &sick));
    // one request is tried on it, and then the other group has them again
    wait::until("a trial", || (answer("/fail") == "sick").then_some(()));
    assert_eq!([(); 3].map(|()| answer("/fail")), ["well"; 3]);
    wait::until("its return", || ([(); 3].map(|()| answer("/x")) == ["sick"; 3]).then_some(()));
}
