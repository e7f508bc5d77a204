//! `headworks explain`: the decision that is told is the one that a real request gets.

use std::net::SocketAddr;
use std::process::Output;

use headworks_testkit::origin::Health;
use headworks_testkit::program::filled;
use headworks_testkit::{Client, Gate, Headworks, Origin, Step, ask, check, wait};
use serde_json::Value;

use crate::{HEADWORKS, start};

const SHOP: &str = r#"
load_balancers:
  shop:
    desync_mitigation: strictest
    access_log: access.log
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { name: maintenance, if: { host: [old.example.com] }, then: { fixed_response: { status: 503 } } }
          - { if: { path: [/admin/*], source_ip: [10.0.0.0/8] }, then: { forward: one } }
          - { if: { path: [/blog/*], not: { method: [POST] } }, then: { redirect: { host: blog.example.com } } }
          - { if: { header: { X-Version: [v2] }, query: [{ x: "1" }] }, then: { forward: { groups: { one: 80, two: 20 }, stickiness: 1h } } }
          - { if: { path: [/refuse/*] }, then: { forward: dead } }
          - { if: { path: [/fallback/*] }, then: { forward: falls } }
          - { if: { path: [/open/*] }, then: { forward: open } }
          - { if: { path: [/hash/*] }, then: { forward: hashed } }
        default: { forward: one }
  other:
    listeners: { admin: { address: 127.0.0.1:0, default: { fixed_response: { status: 200 } } } }
target_groups:
  one: { targets: [<a>], health_check: { protocol: none } }
  two: { targets: [<a>, { address: <b>, weight: 3 }], health_check: { protocol: none }, stickiness: { type: lb_cookie } }
  dead: { targets: [<dead>], health_check: { interval: 100ms, timeout: 100ms }, fallback: refuse }
  falls: { targets: [<dead>], health_check: { interval: 100ms, timeout: 100ms }, fallback: { forward: one } }
  open: { targets: [<dead>], health_check: { interval: 100ms, timeout: 100ms } }
  hashed: { targets: [<a>, <b>], algorithm: consistent_hash, hash_on: path, health_check: { protocol: none } }
"#;

/// The shop with two targets and one that is ill.
struct Shop {
    headworks: Headworks,
    a: Origin,
    b: Origin,
    _ill: Origin,
}

impl Shop {
    fn start() -> Shop {
        let [a, b, ill] = ["a", "b", "ill"].map(|name| Origin::new(name).start());
        ill.set_health(Health::Status(500));
        let headworks = start(SHOP, &[("a", &a), ("b", &b), ("dead", &ill)]);
        // the same file, where the running instance can be found by it
        let here = format!("admin: {{ address: \"{}\" }}\n", headworks.admin());
        let file = filled(&(here + SHOP), &[("a", &a), ("b", &b), ("dead", &ill)]);
        let written = std::fs::write(headworks.path("aside.yaml"), file);
        assert!(written.is_ok());
        Shop { headworks, a, b, _ill: ill }
    }

    fn http(&self) -> SocketAddr {
        self.headworks.listener("shop/http")
    }

    fn url(&self, path: &str) -> String {
        format!("http://shop.example.com:{}{path}", self.http().port())
    }

    fn explain(&self, arguments: &[&str]) -> Output {
        self.headworks.beside(&[&["explain", "-c", "aside.yaml"], arguments].concat())
    }

    fn decision(&self, arguments: &[&str]) -> Value {
        let output = self.explain(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }
}

/// The decision in short: rule, action, group, target, answer, and the conditions that failed.
fn short(decision: &Value) -> String {
    let text = |pointer: &str| decision.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let failed = decision["rules"].as_array().map_or(&[][..], Vec::as_slice);
    let failed: Vec<&str> = failed.iter().filter_map(|rule| rule["failed"].as_str()).collect();
    let answer = text("/answer");
    let answer = answer.split_once(':').map_or("-", |(status, _)| status);
    format!("{} {} {} {answer} [{}]", text("/rule"), text("/action"), text("/group/name"), failed.join(", "))
}

#[test]
fn decisions() {
    let shop = Shop::start();
    let states = |group: &str| {
        let status = shop.headworks.status();
        let targets = status["target_groups"][group]["targets"].as_array().cloned().unwrap_or_default();
        targets.iter().map(|target| target["state"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    for group in ["dead", "falls", "open"] {
        wait::until("targets to be unhealthy", || states(group).iter().all(|state| state == "unhealthy").then_some(()));
    }
    let rows: [(&[&str], &str); 11] = [
        (&["/"], "default forward one - [host, path, path, header x-version, path, path, path, path]"),
        (&["/", "-H", "Host: old.example.com"], "maintenance fixed_response 503 - - []"),
        (&["/admin/x"], "default forward one - [host, source_ip, path, header x-version, path, path, path, path]"),
        (&["/admin/x", "--from", "10.1.2.3"], "2 forward one - [host]"),
        (&["/blog/x"], "3 redirect 302 - - [host, path]"),
        (&["/?x=1", "-H", "X-Version: V2"], "4 forward - - [host, path, path]"),
        (&["/?x=2", "-H", "X-Version: v2"], "default forward one - [host, path, path, query, path, path, path, path]"),
        (&["/refuse/"], "5 forward dead 503 [host, path, path, header x-version]"),
        (&["/fallback/"], "6 forward one - [host, path, path, header x-version, path]"),
        (&["/open/"], "7 forward open - [host, path, path, header x-version, path, path]"),
        (&["/hash/1"], "8 forward hashed - [host, path, path, header x-version, path, path, path]"),
    ];
    check(
        rows,
        |row| format!("{:?}", row.0),
        |(arguments, expected)| {
            let [path, rest @ ..] = arguments else { panic!("no path") };
            let decision = shop.decision(&[&[shop.url(path).as_str()], rest].concat());
            assert_eq!(short(&decision), *expected, "{decision:#}");
            assert_eq!(decision["live"], true);
        },
    );
    let of_method = shop.decision(&[&format!("POST {}", shop.url("/blog/x"))]);
    assert_eq!(
        short(&of_method),
        "default forward one - [host, path, not.method, header x-version, path, path, path, path]"
    );
    let refused = shop.decision(&[&shop.url("/"), "-H", "Content-Length: 0"]);
    assert_eq!(refused["refused"], "400 (GetHeadZeroContentLength, strictest)");
}

/// Who is said to be the target gets the request; of those that take turns, each has its share.
#[test]
fn targets() {
    let shop = Shop::start();
    for n in 0..8 {
        let path = format!("/hash/{n}");
        let decision = shop.decision(&[&shop.url(&path)]);
        let origin =
            [&shop.a, &shop.b].into_iter().find(|o| decision["target"]["name"] == o.address().to_string().as_str());
        let origin = origin.unwrap_or_else(|| panic!("{decision:#}"));
        let before = origin.received().len();
        assert_eq!(
            Client::connect(shop.http()).exchange(&ask("GET", &path).with("Host: shop.example.com")).status,
            200
        );
        assert_eq!(origin.received().len(), before + 1, "{path} went elsewhere");
    }
    let by_weight = shop.decision(&[&shop.url("/?x=1"), "-H", "X-Version: v2"]);
    let shares: Vec<_> = by_weight["groups"].as_array().into_iter().flatten().map(|g| g["share"].as_f64()).collect();
    assert_eq!(shares, [Some(0.8), Some(0.2)]);
    let of_two: Vec<_> = by_weight["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|target| target["group"] == "two")
        .map(|target| target["chance"].as_f64())
        .collect();
    assert_eq!(of_two, [Some(0.25), Some(0.75)]);
    assert!(by_weight.get("target").is_none());
}

/// What a person reads, and what is said when there is no answer.
#[test]
fn words() {
    let shop = Shop::start();
    let port = shop.http().port();
    let said = |arguments: &[&str]| {
        let output = shop.explain(arguments);
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), text)
    };
    let (status, text) = said(&[&format!("http://shop.example.com:{port}/admin/"), "--from", "10.0.0.1"]);
    let expected = format!(
        "request   GET http://shop.example.com:{port}/admin/ from 10.0.0.1\n\
         listener  shop/http (http, 127.0.0.1:{port})\n\
         rules     maintenance  no: host\n          2            meets it\n\
         action    forward\n\
         group     one: the only one\n\
         targets   one  {}  unavailable (Target.HealthCheckDisabled)  weight 1  0 in flight  100 %\n\
         target    {}: the only one that may be chosen\n",
        shop.a.address(),
        shop.a.address()
    );
    assert_eq!((status, text), (Some(0), expected));
    let rows: [(&[&str], &str); 5] = [
        (&["/x"], "no request: /x: a URL with http:// or https:// is expected"),
        (&["https://shop.example.com/"], "no listener for https://shop.example.com; there are other/admin, shop/http"),
        (
            &["http://shop.example.com/"],
            "several listeners take it: name one of other/admin, shop/http with --listener",
        ),
        (&["http://a/", "--listener", "web"], "no listener for web; there are other/admin, shop/http"),
        (&["http://a/", "--listener", "http", "-H", "X"], "no request: header X: Name: value is expected"),
    ];
    check(
        rows,
        |row| format!("{:?}", row.0),
        |(arguments, expected)| assert_eq!(said(arguments), (Some(2), format!("{expected}\n"))),
    );
    let (status, text) = said(&["http://a/", "--listener", "http"]);
    assert_eq!(status, Some(0), "{text}");
}

/// What becomes of a request besides its way: what is refused, injected and copied, who waits, how often it is tried.
#[test]
fn handling() {
    const YAML: &str = r#"
workers: 1
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { path: [/held] }, then: { forward: small } }
          - { if: { path: [/small/*] }, then: { forward: small } }
          - if: { path: [/tried/*] }
            criticality: sheddable
            fault: { delay: { for: 2s, share: 0 }, abort: { status: 418, share: 0 } }
            then: { forward: { groups: tried, mirror: { group: small, share: 0.25, buffer: 1KiB } } }
          - { if: { path: [/late/*] }, then: { forward: { groups: { tried: 1, plain: 1 }, hedge: p95 } } }
        default: { forward: plain, criticality: critical, fault: { abort: { status: 500, share: 0 } } }
target_groups:
  small: { targets: [<a>], health_check: { protocol: none }, limits: { max_connections: 1, max_requests: 3, max_pending: 5, pending_timeout: 9s } }
  tried: { targets: [<a>], health_check: { protocol: none }, hedge: { after: 50ms, attempts: 2 },
           retry: { attempts: 3, when: [timeout, status_503], buffer: 4KiB }, limits: { adaptive: { minimum: 7, maximum: 7 } } }
  plain: { targets: [<a>], health_check: { protocol: none } }
"#;
    let gate = Gate::new();
    let a = Origin::new("a").on("/held", [Step::Wait(gate.clone()), Step::answer(200, "")]).start();
    let headworks = start(YAML, &[("a", &a)]);
    let here = format!("admin: {{ address: \"{}\" }}\n", headworks.admin());
    let written = std::fs::write(headworks.path("aside.yaml"), filled(&(here + YAML), &[("a", &a)]));
    assert!(written.is_ok());
    let mut held: Vec<Client> = (0..2).map(|_| headworks.client()).collect();
    for client in &mut held {
        client.ask(&ask("GET", "/held"));
    }
    a.wait_heads(1);
    let _ = headworks.wait_metrics("headworks_target_group_pending_requests", &[("target_group", "small")], 1.0);
    wait::until("a limit", || headworks.metrics().has("headworks_target_group_adaptive_limit").then_some(()));
    let said = |arguments: &[&str]| {
        let output = headworks.beside(&[&["explain", "-c", "aside.yaml", "--listener", "http"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = ["overload", "fault", "mirror", "limits", "retry", "hedge", "budget"];
        let lines = text.lines().filter(|line| words.iter().any(|word| line.starts_with(word)));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let rows: [(&[&str], &[&str]); 5] = [
        (
            &["http://a/small/1"],
            &["limits small: 1 in flight, at most 3, at most 1 for each target; 1 of 5 wait, 9s at most"],
        ),
        (
            &["http://a/tried/1"],
            &[
                "overload sheddable: none is refused now",
                "fault 2s of delay for 0 %, 418 for 0 %",
                "mirror small: a copy of 25 %",
                "limits tried: 0 in flight, 7 were found to be possible; none waits",
                "retry tried: 3 attempts in all, after timeout, status_503",
                "hedge tried: to another target as well after 50ms, up to 2 times",
                "budget tried: 20 % of live requests, 3 left",
            ],
        ),
        (
            &["POST http://a/tried/1", "-H", "Content-Length: 2000"],
            &[
                "overload sheddable: none is refused now",
                "fault 2s of delay for 0 %, 418 for 0 %",
                "mirror small: no copy of this one, its body is longer than what is kept",
                "limits tried: 0 in flight, 7 were found to be possible; none waits",
                "retry tried: none of this one, POST is not idempotent",
                "hedge tried: none of this one, only GET and HEAD without a body are sent twice",
                "budget tried: 20 % of live requests, 3 left",
            ],
        ),
        (
            &["http://a/late/1"],
            &[
                "limits tried: 0 in flight, 7 were found to be possible; none waits",
                "retry tried: 3 attempts in all, after timeout, status_503",
                "hedge tried: none yet, too few answers tell how long they take",
                "budget tried: 20 % of live requests, 3 left",
                "hedge plain: none yet, too few answers tell how long they take",
                "budget plain: 20 % of live requests, 3 left",
            ],
        ),
        (&["http://a/"], &["overload critical: never refused", "fault 500 for 0 %"]),
    ];
    check(rows, |row| format!("{:?}", row.0), |(arguments, expected)| assert_eq!(said(arguments), *expected));
    let waits = headworks.beside(&["explain", "-c", "aside.yaml", "--listener", "http", "http://a/small/1"]);
    let waits = String::from_utf8_lossy(&waits.stdout).into_owned();
    assert!(
        waits.contains("all of it has as many requests as it may, and this one waits") && !waits.contains("503"),
        "{waits}"
    );
    gate.open();
    for client in &mut held {
        assert_eq!(client.response().status, 200);
    }
}

/// Without an instance the file alone is told of.
#[test]
fn from_the_file_alone() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let yaml = "admin: { address: 127.0.0.1:1 }\nload_balancers:\n  shop: { listeners: { web: { port: 80, default: { forward: web } } } }\n\
                target_groups:\n  web: { targets: [127.0.0.1:9001, { address: 127.0.0.1:9002, weight: 3 }] }\n";
    let written = std::fs::write(folder.path().join("headworks.yaml"), yaml);
    assert!(written.is_ok());
    let output = HEADWORKS.run(folder.path(), &["explain", "http://shop.example.com/"]);
    let expected = "request   GET http://shop.example.com/ from 127.0.0.1\n\
                    listener  shop/web (http)\n\
                    rules     default  meets it\n\
                    action    forward\n\
                    group     web: the only one\n\
                    targets   web  127.0.0.1:9001  unknown  weight 1  25 %\n          web  127.0.0.1:9002  unknown  weight 3  75 %\n\
                    target    any of those with a chance; whose turn it is, each worker knows for itself\n\
                    note      no instance runs: nothing is known of targets but what the file says\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
}

/// A request that may ask is told in its answer; who may not ask sees nothing of it, and targets never do.
#[test]
fn in_the_answer() {
    let shop = Shop::start();
    let signed = shop.headworks.beside(&["explain", "-c", "aside.yaml", "--sign", "5"]);
    let line = String::from_utf8_lossy(&signed.stdout).trim().to_owned();
    assert!(line.starts_with("X-Headworks-Explain: "), "{signed:?}");
    let asked = |path: &str, line: &str| {
        let response =
            Client::connect(shop.http()).exchange(&ask("GET", path).with("Host: shop.example.com").with(line));
        let told = response.fields.one("X-Headworks-Decision").map(str::to_owned);
        told.map(|told| serde_json::from_str::<Value>(&told).unwrap_or_else(|error| panic!("{told}: {error}")))
    };
    let told = asked("/admin/x", &line).unwrap_or_else(|| panic!("nothing is told"));
    assert_eq!(short(&told), "default forward one - [host, source_ip, path, header x-version, path, path, path, path]");
    assert_eq!(told["came"]["target"], shop.a.address().to_string().as_str());
    let of_target = shop.a.received().pop().unwrap_or_else(|| panic!("nothing came"));
    assert_eq!(of_target.request.fields.one("X-Headworks-Explain"), None);
    let told = asked("/blog/x", &line).unwrap_or_else(|| panic!("nothing is told of a redirect"));
    assert_eq!(short(&told), "3 redirect 302 - - [host, path]");
    assert_eq!(asked("/refuse/x", &line).map(|told| told["came"]["error"].clone()), Some("NoTarget".into()));
    let logged = shop.headworks.log_lines("access.log", 3);
    let logged: Vec<Value> = logged.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let decided: Vec<String> = logged.iter().map(|line| short(&line["decision"])).collect();
    assert!(decided.contains(&"3 redirect 302 - - [host, path]".to_owned()), "{decided:?}");
    let forged = line.replacen(": A", ": B", 1);
    for wrong in ["X-Headworks-Explain: 1", forged.as_str(), "X-Other: 1"] {
        assert_eq!(asked("/blog/x", wrong), None, "{wrong}");
    }
    let all = shop.headworks.log_lines("access.log", 6);
    assert_eq!(all.iter().filter(|line| line.contains("\"decision\"")).count(), 3, "{all:?}");
}
