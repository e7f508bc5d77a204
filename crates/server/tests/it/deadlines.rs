//! How long a request may take as a whole, and what targets are told of it (`request_timeout`, `read_timeout`,
//! `deadline_header`, `grpc-timeout`).

use std::time::{Duration, Instant};

use headworks_testkit::stream::End;
use headworks_testkit::{Origin, Step, ask};
use serde_json::Value;

use crate::{proxy, start};

fn logged(group: &str) -> String {
    format!("workers: 1\n{}", proxy(", access_log: logs/access.log", group))
}

/// A whole request has a deadline, whatever keeps it: attempts one after the other, a body that drips, a wait for a place.
#[test]
fn of_whole_requests() {
    let drip: Vec<Step> = std::iter::once(Step::send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
        .chain((0..100).flat_map(|_| [Step::Pause(Duration::from_millis(100)), Step::send("x")]))
        .collect();
    let web = Origin::new("web").on("/stall", [Step::ReadToEnd]).on("/drip", drip).start();
    let retry = "retry: { attempts: 10, when: [timeout], per_try_timeout: 200ms, budget: 1 }";
    let headworks = start(&logged(&format!(", request_timeout: 500ms, {retry}")), &[("web", &web)]);
    let begin = Instant::now();
    let late = headworks.ask(&ask("GET", "/stall"));
    assert_eq!(late.status, 504, "{late}");
    let mut client = headworks.client();
    let broken = client.ask(&ask("GET", "/drip")).try_response_to("GET");
    assert!(broken.is_err(), "a body that drips passed for a whole one: {broken:?}");
    assert_ne!(client.rest().1, End::TimedOut);
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
    let lines = headworks.log_lines("logs/access.log", 2);
    let dripped: Value = serde_json::from_str(&lines[1]).unwrap_or_default();
    assert_eq!(dripped["error"], "DeadlinePassed", "{dripped:#}");
    assert_eq!(headworks.ask(&ask("GET", "/")).status, 200);
}

/// It has that also while a client is waited for, whatever rate it must keep.
#[test]
fn of_requests_of_slow_clients() {
    let web = Origin::new("web").on("/big", [Step::answer(200, &"x".repeat(16 << 20))]).start();
    for limits in ["", ", limits: { minimum_rate: 10 }", ", limits: { minimum_rate: 0 }"] {
        let yaml = logged(", request_timeout: 500ms")
            .replace("address: 127.0.0.1:0", &format!("address: 127.0.0.1:0{limits}"));
        let headworks = start(&yaml, &[("web", &web)]);
        let begin = Instant::now();
        let mut brings = headworks.client();
        brings.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.");
        assert_eq!(brings.response().status, 504, "{limits}");
        let mut takes = headworks.client();
        takes.ask(&ask("GET", "/big"));
        for line in headworks.log_lines("logs/access.log", 2) {
            assert!(line.contains("\"error\":\"DeadlinePassed\""), "{limits}: {line}");
        }
        assert!(begin.elapsed() < Duration::from_secs(4), "{limits}: it took {:?}", begin.elapsed());
    }
}

/// Between two reads of an answer, less may be allowed than before its head.
#[test]
fn between_bytes() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let web = Origin::new("web")
        .on("/stall", [Step::send(head), Step::ReadToEnd])
        .on("/slow-head", [Step::Pause(Duration::from_millis(700)), Step::answer(200, "late")])
        .start();
    let headworks = start(&logged(", read_timeout: 200ms, response_timeout: 1m"), &[("web", &web)]);
    assert_eq!(headworks.ask(&ask("GET", "/slow-head")).text(), "late");
    let begin = Instant::now();
    assert!(headworks.client().ask(&ask("GET", "/stall")).try_response_to("GET").is_err());
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
}

/// Targets are told what is left, in milliseconds, and clients are believed that are to be believed.
#[test]
fn targets_are_told() {
    let web = Origin::echo("web");
    let told = |group: &str, lines: &[&str]| -> Option<u64> {
        let headworks = start(&logged(group), &[("web", &web)]);
        let response = headworks.ask(&ask("GET", "/").with_all(lines));
        assert_eq!(response.status, 200, "{response}");
        let fields = response.echo().fields;
        let all = fields.all("X-Time-Left");
        assert!(all.len() <= 1, "{all:?}");
        all.first().map(|value| value.parse().unwrap_or_else(|_| panic!("{value}")))
    };
    let header = ", deadline_header: X-Time-Left";
    let trusting = ", deadline_header: { name: X-Time-Left, from: 127.0.0.0/8 }";
    let near = |left: Option<u64>, most: u64| {
        let left = left.unwrap_or_else(|| panic!("nothing was told"));
        assert!(left <= most && left + 3000 > most, "{left} of {most}");
    };
    assert_eq!(told(header, &[]), None, "nothing bounds it");
    assert_eq!(told(header, &["X-Time-Left: 5000"]), None, "a stranger's word goes no further");
    near(told(&format!("{header}, request_timeout: 20s"), &["X-Time-Left: 5000"]), 20_000);
    near(told(trusting, &["x-time-left: 5000"]), 5_000);
    near(told(&format!("{trusting}, request_timeout: 20s"), &["X-Time-Left: 60000"]), 20_000);
    near(told(&format!("{trusting}, request_timeout: 20s"), &["X-Time-Left: soon"]), 20_000);
    // what a client gives is kept
    let stall = Origin::new("stall").on("/x", [Step::ReadToEnd]).start();
    let headworks = start(&logged(trusting), &[("web", &stall)]);
    let begin = Instant::now();
    assert_eq!(headworks.ask(&ask("GET", "/x").with("X-Time-Left: 200")).status, 504);
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
}

/// A further attempt is told what is left then.
#[test]
fn further_attempts_are_told_less() {
    let bad = Origin::new("bad").on("/x", [Step::Pause(Duration::from_millis(400)), Step::Reset]).start();
    let good = Origin::echo("good");
    let retry = "retry: { when: [reset_before_response], budget: 1 }";
    let yaml = logged(&format!(", request_timeout: 20s, deadline_header: X-Time-Left, {retry}"))
        .replace("[<web>]", "[<bad>, <good>]");
    let headworks = start(&yaml, &[("bad", &bad), ("good", &good)]);
    let response = headworks.ask(&ask("GET", "/x").with("X-Other: kept"));
    assert_eq!(response.status, 200, "{response}");
    let left = |fields: &headworks_testkit::wire::Fields| -> u64 {
        fields.one("X-Time-Left").and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    let first = left(&bad.received()[0].request.fields);
    let echo = response.echo();
    assert!(first > left(&echo.fields) + 300, "{first}, then {}", left(&echo.fields));
    assert_eq!(echo.fields.one("X-Other"), Some("kept"));
}

/// `per_try_timeout` is the target's: neither a wait in the queue before it nor a client that sends slowly takes from it, and a
/// target is not blamed for either.
#[test]
fn of_attempts() {
    let late = Duration::from_millis(400);
    let slow = Origin::new("slow").on("/x", [Step::Pause(late), Step::answer(200, "slow")]).start();
    let retry = "retry: { when: [timeout], per_try_timeout: 1s, budget: 1 }";
    let limits = "limits: { max_connections: 1, max_pending: 10, pending_timeout: 1m }";
    let headworks = start(&logged(&format!(", {retry}, {limits}")), &[("web", &slow)]);
    // the last of them waits longer for its place than an attempt may take
    let mut clients: Vec<_> = (0..5).map(|_| headworks.client()).collect();
    for client in &mut clients {
        client.ask(&ask("GET", "/x"));
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let (one, two) = (Origin::echo("one"), Origin::echo("two"));
    let yaml = proxy(
        ", idle_timeout: 1s",
        ", retry: { when: [timeout], per_try_timeout: 300ms, budget: 1 }, circuit_breaker: { consecutive_failures: 1, max_ejected: 1, open_for: 1h }",
    );
    let headworks =
        start(&format!("workers: 1\n{}", yaml.replace("[<web>]", "[<one>, <two>]")), &[("one", &one), ("two", &two)]);
    let mut client = headworks.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.");
    assert_eq!(client.response().status, 408);
    // whose leave to go on a client waits for, though, is late
    let mute = Origin::new("mute").on("/a", [Step::ReadToEnd]).start();
    let retry = ", retry: { when: [timeout], per_try_timeout: 300ms, budget: 1 }";
    let waiting = start(&logged(retry), &[("web", &mute)]);
    let mut client = waiting.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 504);
    let targets = &headworks.status()["target_groups"]["web"]["targets"];
    assert!(targets.as_array().is_some_and(|all| all.iter().all(|target| target["ejected"] != true)), "{targets:#}");
}

/// A target that only ever says that an answer is to come does not hold its request for ever.
#[test]
fn of_interim_answers() {
    let hints = |times: usize| Step::send("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(times));
    let web = Origin::new("web")
        .on("/some", [hints(100), Step::answer(200, "web")])
        .on("/endless", [hints(101), Step::ReadToEnd])
        .start();
    let headworks = start(&logged(""), &[("web", &web)]);
    // a client that knows none of them gets none
    for (target, status) in [("/some", 200), ("/endless", 502)] {
        assert_eq!(headworks.ask(&ask("GET", target).http10()).status, status, "{target}");
    }
}
