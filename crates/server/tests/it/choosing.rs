//! Choosing a target (T7, T8) and everything that makes the choice a different one: weights, limits, failures, kinds of
//! addresses.

use std::collections::{BTreeMap, BTreeSet};

use headworks_testkit::{Ask, Client, Gate, Headworks, Origin, Step, ask, wait};
use serde_json::Value;

use crate::start;

/// A group `web` with these targets and settings, and one worker where the order of choices is to be exact.
fn group(workers: &str, targets: &str, settings: &str) -> String {
    format!(
        "workers: {workers}\nload_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\n\
         target_groups:\n  web: {{ targets: {targets}, {settings} }}\n"
    )
}

const UNCHECKED: &str = "health_check: { protocol: none }";

/// Who answers a series of requests on one connection.
fn series(headworks: &Headworks, count: usize) -> Vec<String> {
    let mut client = headworks.client();
    (0..count).map(|_| client.exchange(&ask("GET", "/")).echo().origin).collect()
}

fn shares(origins: &[String]) -> BTreeMap<&str, usize> {
    let mut shares = BTreeMap::new();
    origins.iter().for_each(|origin| *shares.entry(origin.as_str()).or_default() += 1);
    shares
}

#[test]
fn round_robin() {
    let (a, b, c) = (Origin::echo("a"), Origin::echo("b"), Origin::echo("c"));
    let mut headworks = start(&group("1", "[<a>, <b>, <c>]", UNCHECKED), &[("a", &a), ("b", &b), ("c", &c)]);
    let seen = series(&headworks, 30);
    assert_eq!(shares(&seen), BTreeMap::from([("a", 10), ("b", 10), ("c", 10)]));
    for round in seen.chunks(3) {
        assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 3, "not in turn: {seen:?}");
    }
    // T7 and CONFIG: by weight, and 0 takes nothing
    let weighted = "[{ address: <a>, weight: 1 }, { address: <b>, weight: 3 }, { address: <c>, weight: 0 }]";
    headworks.reload(&group("1", weighted, UNCHECKED), &[("a", &a), ("b", &b), ("c", &c)]);
    let seen = series(&headworks, 40);
    assert_eq!(shares(&seen), BTreeMap::from([("a", 10), ("b", 30)]));
    // interleaved, not one after the other
    assert!(!seen.join("").contains("bbbbbb"), "{seen:?}");
}

/// Over several workers the shares are about right as well.
#[test]
fn round_robin_over_workers() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let headworks = start(&group("4", "[<a>, <b>]", UNCHECKED), &[("a", &a), ("b", &b)]);
    let seen: Vec<_> = (0..20).flat_map(|_| series(&headworks, 4)).collect();
    let of_a = shares(&seen)["a"];
    assert!((32..=48).contains(&of_a), "a had {of_a} of 80");
}

/// A gate for one held request, and the client that waits for it.
fn hold(headworks: &Headworks, origins: [&Origin; 2]) -> (Client, String) {
    let before: Vec<usize> = origins.iter().map(|origin| origin.received().len()).collect();
    let mut client = headworks.client();
    client.ask(&ask("GET", "/held"));
    let at = wait::until("a held request at a target", || {
        origins.iter().zip(&before).position(|(origin, before)| origin.received().len() > *before)
    });
    (client, ["a", "b"][at].to_owned())
}

#[test]
fn least_outstanding_requests() {
    let gate = Gate::new();
    let held = |name: &str| Origin::new(name).on("/held", [Step::Wait(gate.clone()), Step::answer(200, name)]).start();
    let (a, b) = (held("a"), held("b"));
    let settings = format!("algorithm: least_outstanding_requests, {UNCHECKED}");
    let headworks = start(&group("1", "[<a>, <b>]", &settings), &[("a", &a), ("b", &b)]);
    let (mut one, first) = hold(&headworks, [&a, &b]);
    // the other has none, so it gets all that come and go meanwhile
    let other = if first == "a" { "b" } else { "a" };
    assert_eq!(shares(&series(&headworks, 6)), BTreeMap::from([(other, 6)]));
    let held: Vec<_> = (0..5).map(|_| hold(&headworks, [&a, &b])).collect();
    let all: Vec<String> = held.iter().map(|(_, origin)| origin.clone()).chain([first.clone()]).collect();
    assert_eq!(shares(&all), BTreeMap::from([("a", 3), ("b", 3)]), "{all:?}");
    let status = headworks.status();
    let targets = status["target_groups"]["web"]["targets"].as_array().cloned().unwrap_or_default();
    assert!(targets.iter().all(|target| target["in_flight"] == 3), "{targets:#?}");
    gate.open();
    assert_eq!(one.response().text(), first);
    for (mut client, origin) in held {
        assert_eq!(client.response().text(), origin);
    }
}

#[test]
fn weighted_random() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    for anomaly_mitigation in ["false", "true"] {
        let settings = format!("algorithm: weighted_random, anomaly_mitigation: {anomaly_mitigation}, {UNCHECKED}");
        let targets = "[{ address: <a>, weight: 1 }, { address: <b>, weight: 3 }]";
        let headworks = start(&group("1", targets, &settings), &[("a", &a), ("b", &b)]);
        let seen = series(&headworks, 400);
        let of_a = shares(&seen)["a"];
        // five standard deviations of the binomial
        assert!((57..=143).contains(&of_a), "a had {of_a} of 400");
        let mut runs = seen.clone();
        runs.dedup();
        assert!(runs.len() > 80, "in turn, not at random: {seen:?}");
    }
}

#[test]
fn consistent_hash() {
    type Key = fn(usize) -> Ask;
    let rows: [(&str, Key); 4] = [
        ("{ header: X-User }", |key| ask("GET", "/").with(&format!("x-user: user-{key}"))),
        ("{ cookie: user }", |key| ask("GET", "/").with(&format!("Cookie: a=b; user=user-{key}"))),
        ("path", |key| ask("GET", &format!("/user/{key}?{}", key % 3))),
        ("source_ip", |_| ask("GET", "/")),
    ];
    let (a, b, c) = (Origin::echo("a"), Origin::echo("b"), Origin::echo("c"));
    for (hash_on, key) in rows {
        let settings = format!("algorithm: consistent_hash, hash_on: {hash_on}, {UNCHECKED}, deregistration_delay: 0s");
        let mut headworks = start(&group("2", "[<a>, <b>, <c>]", &settings), &[("a", &a), ("b", &b), ("c", &c)]);
        let place = |headworks: &Headworks, number: usize| {
            let from = if hash_on == "source_ip" { format!("127.0.2.{}", number + 1) } else { "127.0.0.1".to_owned() };
            Client::connect_from(&from, headworks.address()).exchange(&key(number)).echo().origin
        };
        let before: Vec<String> = (0..60).map(|number| place(&headworks, number)).collect();
        assert_eq!(shares(&before).len(), 3, "{hash_on}: {before:?}");
        assert!(shares(&before).values().all(|share| *share >= 8), "{hash_on}: {:?}", shares(&before));
        let again: Vec<String> = (0..60).map(|number| place(&headworks, number)).collect();
        assert_eq!(before, again, "{hash_on}: the same key went to another target");
        // one target less moves its own keys, and few others
        headworks.reload(&group("2", "[<a>, <c>]", &settings), &[("a", &a), ("c", &c)]);
        let after: Vec<String> = (0..60).map(|number| place(&headworks, number)).collect();
        let moved = before.iter().zip(&after).filter(|(before, after)| *before != "b" && before != after).count();
        assert!(moved <= 6, "{hash_on}: {moved} keys of targets that stayed have moved");
    }
}

#[test]
fn kinds_of_addresses() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let unix = Origin::new("unix").at_path(&folder.path().join("web.sock")).start();
    let six = Origin::new("six").at("[::1]:0").start();
    let named = Origin::echo("named");
    let name = format!("\"localhost:{}\"", named.address().port());
    let headworks =
        start(&group("1", "[<unix>, <six>, <name>]", UNCHECKED), &[("unix", &unix), ("six", &six), ("name", &name)]);
    // where localhost is also ::1, nobody listens there, and the request goes to another target
    let seen = series(&headworks, 24);
    assert_eq!(shares(&seen).keys().copied().collect::<Vec<_>>(), ["named", "six", "unix"]);
    // the log and the status name them as they are declared or resolved
    let status = headworks.status();
    let addresses: Vec<_> = status["target_groups"]["web"]["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|t| t["address"].to_string())
        .collect();
    assert!(addresses.iter().any(|address| address.contains("web.sock")), "{addresses:?}");
}

/// A connection that cannot be made is tried on another target, whatever the method: no byte of the request has left.
#[test]
fn targets_that_refuse() {
    let refusing = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let refusing = refusing.unwrap_or_else(|error| panic!("no socket: {error}"));
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    refusing.bind(&any.into()).unwrap_or_else(|error| panic!("cannot bind: {error}"));
    let address = refusing.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(any);
    let good = Origin::echo("good");
    let headworks = start(&group("1", "[<bad>, <good>]", UNCHECKED), &[("bad", &address), ("good", &good)]);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        for _ in 0..2 {
            let response = headworks.ask(&ask(method, "/").body("body"));
            assert_eq!(response.status, 200, "{method}: {response}");
            assert_eq!(response.echo().body_length, 4);
        }
    }
    let failures = headworks.metrics().sum("headworks_target_connection_errors_total", &[("target_group", "web")]);
    assert!(failures >= 1.0, "the refusals were not counted");
}

/// CONFIG `retry`: what may be sent again is, once, elsewhere, within the budget.
#[test]
fn retries() {
    let script = |name: &str, answer: Vec<Step>| Origin::new(name).on("/reset", answer).start();
    let (bad, good) = (script("bad", vec![Step::Body, Step::Reset]), Origin::echo("good"));
    let busy = Origin::new("busy").on("/busy", [Step::answer(503, "busy")]).start();
    let settings = |retry: &str| format!("{UNCHECKED}{retry}");
    let reset = ", retry: { attempts: 2, when: [reset_before_response], budget: 1 }";
    let headworks = start(&group("1", "[<bad>, <good>]", &settings(reset)), &[("bad", &bad), ("good", &good)]);
    let statuses = |headworks: &Headworks, ask: &Ask| -> Vec<u16> {
        (0..6).map(|_| headworks.ask(ask)).map(|response| response.status).collect()
    };
    assert_eq!(statuses(&headworks, &ask("GET", "/reset")), [200; 6]);
    // not idempotent: the target may have acted on it
    let posts = statuses(&headworks, &ask("POST", "/reset"));
    assert_eq!(posts.iter().filter(|status| **status == 502).count(), 3, "{posts:?}");
    let metrics = headworks.metrics();
    let retried = metrics.sum("headworks_target_group_retries_total", &[("target_group", "web")]);
    assert!((3.0..=6.0).contains(&retried), "{retried} retries of 6 requests");
    // a status of choice; the other target's answer is what the client sees
    let status = ", retry: { attempts: 2, when: [status_503], budget: 1 }";
    let headworks = start(&group("1", "[<busy>, <good>]", &settings(status)), &[("busy", &busy), ("good", &good)]);
    assert_eq!(statuses(&headworks, &ask("GET", "/busy")), [200; 6]);
    // without `retry` nothing is sent twice
    let headworks = start(&group("1", "[<bad>, <good>]", &settings("")), &[("bad", &bad), ("good", &good)]);
    let plain = statuses(&headworks, &ask("GET", "/reset"));
    assert_eq!(plain.iter().filter(|status| **status == 502).count(), 3, "{plain:?}");
    // a budget of nothing forbids all but the three that need not be earned
    let none = ", retry: { attempts: 2, when: [reset_before_response], budget: 0 }";
    let headworks = start(&group("1", "[<bad>, <good>]", &settings(none)), &[("bad", &bad), ("good", &good)]);
    assert_eq!(statuses(&headworks, &ask("GET", "/reset")), [200; 6]);
    let broke = statuses(&headworks, &ask("GET", "/reset"));
    assert_eq!(broke.iter().filter(|status| **status == 502).count(), 3, "{broke:?}");
    let over = headworks.metrics().sum("headworks_target_group_retries_over_budget_total", &[]);
    assert_eq!(over, 3.0, "what the budget forbade");
}

/// CONFIG `circuit_breaker`: a target that fails in a row is left alone, but not more than `max_ejected` of them.
#[test]
fn circuit_breaker() {
    let bad = Origin::new("bad").on("/x", [Step::answer(500, "bad")]).start();
    let good = Origin::new("good").on("/x", [Step::answer(200, "good")]).start();
    let settings =
        format!("{UNCHECKED}, circuit_breaker: {{ consecutive_failures: 3, open_for: 1h, max_ejected: 0.5 }}");
    let headworks = start(&group("1", "[<bad>, <good>]", &settings), &[("bad", &bad), ("good", &good)]);
    let mut client = headworks.client();
    let mut failures = 0;
    // failures in a row are seen within a second; until then requests still fail
    let ejected = wait::until("the ejection of a failing target", || {
        failures += usize::from(client.exchange(&ask("GET", "/x")).status == 500);
        let status = headworks.status();
        let ejected = |target: &Value| target["ejected"] == true;
        status["target_groups"]["web"]["targets"].as_array()?.iter().find(|target| ejected(target)).cloned()
    });
    assert_eq!(ejected["address"], bad.address().to_string());
    assert!(failures >= 3, "ejected after {failures} failures");
    for _ in 0..10 {
        assert_eq!(client.exchange(&ask("GET", "/x")).text(), "good");
    }
}

/// CONFIG `limits.max_connections`: over it 503 at once.
#[test]
fn targets_at_their_limit() {
    let gate = Gate::new();
    let web = Origin::new("web").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "late")]).start();
    let headworks =
        start(&group("1", "[<web>]", &format!("{UNCHECKED}, limits: {{ max_connections: 2 }}")), &[("web", &web)]);
    let mut held: Vec<Client> = (0..2).map(|_| headworks.client()).collect();
    for client in &mut held {
        client.ask(&ask("GET", "/held"));
    }
    web.wait_heads(2);
    let over = headworks.ask(&ask("GET", "/"));
    assert_eq!((over.status, over.field("Server")), (503, Some("headworks")), "{over}");
    assert_eq!(headworks.metrics().sum("headworks_target_group_overloaded_total", &[]), 1.0);
    gate.open();
    for client in &mut held {
        assert_eq!(client.response().text(), "late");
    }
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 200);
}

/// T8: a target that joins others starts with a small share; the first of a group do not.
#[test]
fn slow_start() {
    let (a, b) = (Origin::echo("a"), Origin::echo("b"));
    let settings = "slow_start: 300s, health_check: { interval: 100ms, timeout: 1s }";
    let mut headworks = start(&group("1", "[<a>]", settings), &[("a", &a)]);
    let target = |status: &Value, address: String| {
        let targets = status["target_groups"]["web"]["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().find(|target| target["address"] == address.as_str())
    };
    let healthy =
        |status: &Value, address: String| target(status, address).filter(|target| target["state"] == "healthy");
    let first = headworks.wait_status("a healthy first target", |status| healthy(status, a.address().to_string()));
    assert_eq!(first["slow_start"], Value::Null, "{first:#}");
    headworks.reload(&group("1", "[<a>, <b>]", settings), &[("a", &a), ("b", &b)]);
    let joined = headworks.wait_status("a healthy second target", |status| healthy(status, b.address().to_string()));
    assert_eq!(joined["slow_start"], true, "{joined:#}");
    assert!(joined["effective_weight"].as_f64() < joined["weight"].as_f64(), "{joined:#}");
    let seen = series(&headworks, 60);
    let of_b = shares(&seen).get("b").copied().unwrap_or_default();
    assert!(of_b <= 10, "the new target had {of_b} of 60");
}
