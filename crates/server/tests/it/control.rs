//! Resources by the API: live in all workers when the call returns, right as a whole or refused with every fault, the file's
//! own left to the file, and there after a restart.

use headworks_testkit::{Client, Headworks, Origin, ask, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::{Api, NOBODY, who};
use crate::{proxy, start};

const SHOP: &str = "
load_balancers:
  shop: { listeners: { http: { address: 127.0.0.1:0, default: { forward: web } } } }
target_groups:
  web: { targets: [<web>], health_check: { protocol: none } }
";

const API: Api = NOBODY;

fn group(origin: &Origin) -> Value {
    json!({ "targets": [origin.address().to_string()], "health_check": { "protocol": "none" } })
}

fn balancer(rules: &Value) -> Value {
    let listener = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "web" } });
    json!({ "listeners": { "http": listener } })
}

/// Asks the load balancer that was made by the API.
fn through(headworks: &Headworks, path: &str) -> String {
    let status = headworks.status();
    let address = status["load_balancers"]["edge"]["listeners"]["http"]["address"].as_str().unwrap_or_default();
    let address = address.parse().unwrap_or_else(|_| panic!("no listener in {status:#}"));
    who(&Client::connect(address).exchange(&ask("GET", path)))
}

#[test]
fn a_change_is_live_when_its_call_returns_and_outlives_a_restart() {
    let (web, a, b) = (Origin::echo("web"), Origin::echo("a"), Origin::echo("b"));
    let mut headworks = start(SHOP, &[("web", &web)]);
    API.expect(&headworks, "PUT /v1/target-groups/api", &group(&a), 201);
    let rules = json!([{ "name": "api", "if": { "path": ["/api"] }, "then": { "forward": "api" } }]);
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(&rules), 201);
    assert!(through(&headworks, "/api") == "a");
    for round in 0..10 {
        let (origin, name) = if round % 2 == 0 { (&b, "b") } else { (&a, "a") };
        API.expect(&headworks, "PUT /v1/target-groups/api", &group(origin), 200);
        // workers take connections in turn, so that each is asked
        for _ in 0..6 {
            assert_eq!(through(&headworks, "/api"), name, "round {round}");
        }
    }
    for signal in [Signal::TERM, Signal::KILL] {
        headworks.restart(signal);
        assert!(through(&headworks, "/api") == "a", "after {signal:?}");
        assert!(through(&headworks, "/") == "web");
    }
    let config = headworks.admin_get("/v1/config").json();
    assert_eq!(config["load_balancers"]["edge"]["listeners"]["http"]["rules"][0]["name"], "api");
}

/// Method and path, what is sent, the status, and what the answer's errors must have: path and a part of what is said.
type Wrong = (&'static str, Value, u16, &'static [(&'static str, &'static str)]);

#[test]
fn what_is_wrong_is_told_with_every_fault_and_its_path() {
    let web = Origin::echo("web");
    let headworks = start(SHOP, &[("web", &web)]);
    API.expect(&headworks, "PUT /v1/target-groups/tcp", &json!({ "protocol": "tcp" }), 201);
    API.expect(&headworks, "PUT /v1/target-groups/api", &group(&web), 201);
    let rules = json!([{ "if": { "path": ["/api"] }, "then": { "forward": "api" } }]);
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(&rules), 201);
    let faults: Vec<Wrong> = vec![
        (
            "PUT /v1/target-groups/api",
            json!({ "targtes": [], "algorithm": "wrong", "targets": ["nowhere"], "health_check": { "interval": 5 } }),
            400,
            &[
                ("target_groups.api.targtes", "did you mean targets?"),
                ("target_groups.api.algorithm", "round_robin"),
                ("target_groups.api.targets[0]", "has no port"),
                ("target_groups.api.health_check.interval", "a duration"),
            ],
        ),
        ("PUT /v1/target-groups/new", json!([]), 400, &[("target_groups.new", "is a list")]),
        ("PUT /v1/target-groups/-new", json!({}), 400, &[("name", "not a name")]),
        (
            "PUT /v1/load-balancers/edge",
            balancer(&json!([{ "then": { "forward": "nobody" } }])),
            400,
            &[("load_balancers.edge.listeners.http.rules[0].then.forward", "no target group \"nobody\"")],
        ),
        (
            "PATCH /v1/load-balancers/edge/listeners/http",
            json!({ "protocol": "tcp" }),
            400,
            &[
                ("load_balancers.edge.listeners.http.protocol", "application"),
                ("load_balancers.edge.listeners.http.rules[0].if.path", "no meaning here"),
                ("load_balancers.edge.listeners.http.rules[0].then.forward", "api speaks http, the listener tcp"),
                ("load_balancers.edge.listeners.http.default.forward", "web speaks http, the listener tcp"),
            ],
        ),
        // a group that others forward to is not to become what they cannot forward to
        (
            "PATCH /v1/target-groups/api",
            json!({ "protocol": "tcp", "algorithm": null, "unhealthy_connection_termination": null }),
            400,
            &[("load_balancers.edge.listeners.http.rules[0].then.forward", "speaks tcp")],
        ),
        (
            "PATCH /v1/target-groups/api",
            json!({ "fallback": { "forward": "api" } }),
            400,
            &[("target_groups.api.fallback", "leads back")],
        ),
        (
            "PUT /v1/certificates/none",
            json!({ "certificate": "none.pem" }),
            400,
            &[("certificates.none.key", "is missing")],
        ),
        (
            "PUT /v1/security-groups/x",
            json!({ "inbound": [{ "from": ["y"] }] }),
            400,
            &[("security_groups.x.inbound[0].from[0]", "no security group")],
        ),
        (
            "PUT /v1/network-acls/x",
            json!({ "inbound": [{ "rule": 0, "action": "allow", "from": "::/0" }] }),
            400,
            &[("network_acls.x.inbound[0].rule", "1 to 32766")],
        ),
        ("GET /v1/target-groups?colour=red", Value::Null, 400, &[("?colour", "unknown parameter")]),
        ("GET /v1/target-groups?limit=0", Value::Null, 400, &[("?limit", "1 to 500")]),
        ("PUT /v1/target-groups/web", group(&web), 409, &[]),
        ("PATCH /v1/target-groups/web", json!({ "algorithm": "weighted_random" }), 409, &[]),
        ("DELETE /v1/load-balancers/shop", Value::Null, 409, &[]),
        (
            "DELETE /v1/target-groups/api",
            Value::Null,
            409,
            &[("load_balancers.edge.listeners.http.rules[0]", "refers to")],
        ),
        ("GET /v1/target-groups/nobody", Value::Null, 404, &[]),
        ("PATCH /v1/target-groups/nobody", json!({}), 404, &[]),
        ("DELETE /v1/target-groups/nobody", Value::Null, 404, &[]),
        ("DELETE /v1/target-groups/api/targets/127.0.0.1:1", Value::Null, 404, &[]),
        ("PUT /v1/load-balancers/nobody/listeners/http", json!({}), 404, &[]),
        ("GET /v1/load-balancers/edge/listeners/http/rules/9", Value::Null, 404, &[]),
        ("GET /v1/nothing", Value::Null, 404, &[]),
        ("POST /v1/target-groups/api", json!({}), 405, &[]),
    ];
    for (line, body, status, expected) in faults {
        let response = API.call(&headworks, line, &body);
        assert_eq!(response.status, status, "{line}\n{response}");
        assert_eq!(response.field("Content-Type"), Some("application/problem+json"), "{line}\n{response}");
        let problem: Value = response.json();
        assert_eq!(problem["status"], status);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        for (path, part) in expected {
            let found = errors.iter().find(|error| error["path"] == *path);
            let detail = found.and_then(|error| error["detail"].as_str()).unwrap_or_default();
            assert!(detail.contains(part), "{line}: nothing of {part:?} at {path} in {problem:#}");
        }
        assert!(expected.is_empty() || errors.len() == expected.len(), "{line}: {problem:#}");
    }
    for (body, status) in [(&b"{"[..], 400), (b"\xff", 400), (b"", 400), (&vec![b' '; (16 << 20) + 1], 413)] {
        let response = API.raw(&headworks, "PUT /v1/target-groups/new", &[], body);
        assert_eq!(response.status, status, "{response}");
    }
    // nothing of all this has changed anything
    assert_eq!(API.get(&headworks, "/v1/revisions")["revisions"][0]["revision"], 3);
    headworks.expect_alive();
}

#[test]
fn what_cannot_be_run_is_not_kept() {
    let web = Origin::echo("web");
    let mut headworks = start(SHOP, &[("web", &web)]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listener = json!({ "listeners": { "http": { "address": address, "default": { "forward": "web" } } } });
    let problem = API.expect(&headworks, "PUT /v1/load-balancers/edge", &listener, 400);
    assert_eq!(problem["errors"][0]["path"], "load_balancers.edge.listeners.http.address", "{problem:#}");
    let none = json!({ "certificate": "none.pem", "key": "none.key" });
    API.expect(&headworks, "PUT /v1/certificates/none", &none, 400);
    assert_eq!(API.get(&headworks, "/v1/revisions")["revisions"], json!([]));
    headworks.restart(Signal::TERM);
    assert_eq!(who(&headworks.ask(&ask("GET", "/"))), "web");
}

#[test]
fn a_tag_tells_whether_something_has_changed() {
    let (web, other) = (Origin::echo("web"), Origin::echo("other"));
    let headworks = start(SHOP, &[("web", &web)]);
    let put =
        |fields: &[&str], body: &Value, line: &str| API.raw(&headworks, line, fields, body.to_string().as_bytes());
    let line = "PUT /v1/target-groups/api";
    let first = put(&["If-None-Match: *"], &group(&web), line);
    assert_eq!(first.status, 201, "{first}");
    let tag = first.field("ETag").unwrap_or_else(|| panic!("no tag: {first}")).to_owned();
    assert_eq!(put(&["If-None-Match: *"], &group(&web), line).status, 412);
    let (matches, stale) = (format!("If-Match: {tag}"), "If-Match: \"stale\"".to_owned());
    assert_eq!(put(&[&stale], &group(&other), line).status, 412);
    let second = put(&[&matches], &group(&other), line);
    assert_eq!(second.status, 200, "{second}");
    assert_eq!(put(&[&matches], &group(&web), line).status, 412, "it has changed since");
    assert_eq!(API.raw(&headworks, "DELETE /v1/target-groups/api", &[&matches], b"").status, 412);
    let known = format!("If-None-Match: {}", second.field("ETag").unwrap_or_default());
    assert_eq!(API.raw(&headworks, "GET /v1/target-groups/api", &[&known], b"").status, 304);
    let missing = put(&["If-Match: *"], &group(&web), "PUT /v1/target-groups/new");
    assert_eq!(missing.status, 412, "{missing}");
    // a part has a tag of its own
    API.expect(
        &headworks,
        "PUT /v1/load-balancers/edge",
        &balancer(&json!([{ "name": "x", "then": { "forward": "api" } }])),
        201,
    );
    let rule = "/v1/load-balancers/edge/listeners/http/rules/x";
    let part = API.call(&headworks, &format!("GET {rule}"), &Value::Null);
    let tag = format!("If-Match: {}", part.field("ETag").unwrap_or_default());
    let patch = json!({ "then": { "forward": { "groups": { "web": 10 } } } });
    assert_eq!(put(&[&tag], &patch, &format!("PATCH {rule}")).status, 200);
    assert_eq!(put(&[&tag], &patch, &format!("PATCH {rule}")).status, 412);
}

#[test]
fn dry_runs_say_what_would_be_and_do_nothing() {
    let web = Origin::echo("web");
    let headworks = start(SHOP, &[("web", &web)]);
    let would = API.expect(&headworks, "PUT /v1/target-groups/api?dry_run=true", &group(&web), 200);
    assert_eq!(would["dry_run"], true);
    assert!(would["changes"][0].as_str().is_some_and(|line| line.starts_with("+ target_groups.api")), "{would:#}");
    API.expect(&headworks, "GET /v1/target-groups/api", &Value::Null, 404);
    API.expect(&headworks, "PUT /v1/target-groups/api?dry_run=true", &json!({ "x": 1 }), 400);
    API.expect(&headworks, "PUT /v1/target-groups/api", &group(&web), 201);
    API.expect(&headworks, "DELETE /v1/target-groups/api?dry_run=true", &Value::Null, 200);
    API.get(&headworks, "/v1/target-groups/api");
}

#[test]
fn listeners_rules_and_targets_by_themselves() {
    let (web, a, b) = (Origin::echo("web"), Origin::echo("a"), Origin::echo("b"));
    let headworks = start(SHOP, &[("web", &web)]);
    API.expect(&headworks, "PUT /v1/target-groups/api", &group(&a), 201);
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(&json!([])), 201);
    let listeners = "/v1/load-balancers/edge/listeners";
    let rule = |body: &str, path: &str| json!({ "name": body, "if": { "path": [path] }, "then": { "fixed_response": { "status": 200, "body": body } } });
    API.expect(&headworks, &format!("POST {listeners}/http/rules"), &rule("last", "/*"), 201);
    let rules = API.expect(&headworks, &format!("POST {listeners}/http/rules?before=1"), &rule("first", "/first"), 201);
    assert_eq!(rules[0]["name"], "first", "{rules:#}");
    assert_eq!(through(&headworks, "/first"), "first");
    assert_eq!(through(&headworks, "/other"), "last");
    let turned = json!([rules[1], rules[0]]);
    API.expect(&headworks, &format!("PUT {listeners}/http/rules"), &turned, 200);
    assert_eq!(through(&headworks, "/first"), "last");
    API.expect(&headworks, &format!("PUT {listeners}/http/rules/1"), &json!({ "then": { "forward": "api" } }), 200);
    assert!(through(&headworks, "/first") == "a");
    API.expect(&headworks, &format!("DELETE {listeners}/http/rules/1"), &Value::Null, 204);
    assert_eq!(through(&headworks, "/first"), "first");
    let more = json!({ "address": "127.0.0.1:0", "default": { "forward": "api" } });
    API.expect(&headworks, &format!("PUT {listeners}/more"), &more, 201);
    API.expect(&headworks, &format!("PUT {listeners}/more"), &more, 200);
    assert_eq!(API.get(&headworks, listeners).as_object().map(serde_json::Map::len), Some(2));
    API.expect(&headworks, &format!("DELETE {listeners}/more"), &Value::Null, 204);
    API.expect(&headworks, &format!("GET {listeners}/more"), &Value::Null, 404);

    let targets = "/v1/target-groups/api/targets";
    let [a, b] = [&a, &b].map(|origin| origin.address().to_string());
    let list =
        API.expect(&headworks, &format!("POST {targets}"), &json!({ "targets": [{ "address": b, "weight": 7 }] }), 200);
    assert_eq!(list, json!([{ "address": a, "weight": 1 }, { "address": b, "weight": 7 }]));
    let health = API.get(&headworks, "/v1/target-groups/api/health");
    assert_eq!(health["targets"].as_array().map(Vec::len), Some(2), "{health:#}");
    API.expect(&headworks, &format!("DELETE {targets}"), &json!([a]), 200);
    let health = API.get(&headworks, "/v1/target-groups/api/health");
    let state = |address: &str| {
        let targets = health["targets"].as_array().cloned().unwrap_or_default();
        let found = targets.into_iter().find(|target| target["address"] == address);
        found.map(|target| target["state"].clone())
    };
    assert_eq!(state(&a), Some("draining".into()), "{health:#}");
    API.expect(&headworks, &format!("DELETE {targets}/{b}"), &Value::Null, 200);
    assert_eq!(API.get(&headworks, targets), json!([]));
    let wrong = API.expect(&headworks, &format!("POST {targets}"), &json!(["nowhere", b]), 400);
    assert_eq!(wrong["errors"][0]["path"], "target_groups.api.targets[0]", "{wrong:#}");
}

#[test]
fn lists_come_in_pages_and_can_be_filtered() {
    let web = Origin::echo("web");
    let headworks = start(SHOP, &[("web", &web)]);
    let put: serde_json::Map<String, Value> = (0..25).map(|number| (format!("api-{number:02}"), group(&web))).collect();
    API.expect(&headworks, "POST /v1/changes", &json!({ "put": { "target_groups": put } }), 200);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = API.get(&headworks, &format!("/v1/target-groups?limit=10{after}"));
        let names = page["target_groups"].as_object().cloned().unwrap_or_default();
        assert!(names.len() <= 10);
        seen.extend(names.keys().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 26);
    assert!(seen.is_sorted(), "{seen:?}");
    let count = |query: &str| {
        let page = API.get(&headworks, &format!("/v1/target-groups?{query}"));
        page["target_groups"].as_object().map(serde_json::Map::len)
    };
    assert_eq!(count("origin=file"), Some(1));
    assert_eq!(count("origin=api"), Some(25));
    assert_eq!(count("prefix=api-1"), Some(10));
    let page = API.get(&headworks, "/v1/target-groups?origin=file");
    assert_eq!(page["meta"]["web"]["origin"], "file", "{page:#}");
}

/// The file and the API have one name space, and the file may change while what came by the API stays.
#[test]
fn a_reload_keeps_what_came_by_the_api_and_never_breaks_it() {
    let (web, other) = (Origin::echo("web"), Origin::echo("other"));
    let mut headworks = start(SHOP, &[("web", &web)]);
    API.expect(&headworks, "PUT /v1/target-groups/api", &group(&web), 201);
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(&json!([])), 201);
    headworks.reload(SHOP, &[("web", &other)]);
    assert!(through(&headworks, "/") == "other");
    // what it would do is told, and not done
    headworks.save(SHOP, &[("web", &web)]);
    let judged = API.expect(&headworks, "POST /v1/reload?dry_run=true", &Value::Null, 200);
    assert!(
        judged["dry_run"] == true
            && judged["changes"][0].as_str().is_some_and(|line| line.starts_with("~ target_groups.web.targets[0]")),
        "{judged:#}"
    );
    assert!(through(&headworks, "/") == "other");
    let refused = |headworks: &Headworks, yaml: &str, expected: &str| {
        headworks.save(yaml, &[("web", &other)]);
        for line in ["POST /v1/reload?dry_run=true", "POST /v1/reload"] {
            let refused = API.expect(headworks, line, &Value::Null, 422);
            let errors = refused["errors"].to_string();
            assert!(errors.contains(expected), "{line}: nothing of {expected:?} in {errors}");
        }
        assert!(through(headworks, "/") == "other");
    };
    let twice = format!("{SHOP}  api: {{ health_check: {{ protocol: none }} }}\n");
    refused(&headworks, &twice, "target_groups.api: is declared by the API as well");
    let unreadable = format!("{SHOP}certificates: {{ shop: {{ certificate: gone.pem, key: gone.key }} }}\n");
    refused(&headworks, &unreadable, "certificates.shop");
    let gone = SHOP.replace("web:", "old:").replace("forward: web", "forward: old");
    refused(&headworks, &gone, "load_balancers.edge.listeners.http.default");
}

/// Whoever has a file applied, and however, is in the trail with what changed, or why it was refused.
#[test]
fn reloads_are_in_the_trail() {
    let (web, other) = (Origin::echo("web"), Origin::echo("other"));
    let mut headworks = start(SHOP, &[("web", &web)]);
    let newest = |headworks: &Headworks, source: &str| {
        let trail = API.get(headworks, "/v1/audit?action=headworks:ReloadConfiguration&limit=1");
        let entry = trail["entries"][0].clone();
        assert_eq!((&entry["source"], &entry["outcome"]), (&json!(source), &json!("allowed")), "{entry:#}");
        entry
    };
    let changed = |entry: &Value| entry["changes"].to_string().contains("~ target_groups.web.targets[0]");
    headworks.reload(SHOP, &[("web", &other)]);
    let entry = wait::until("the entry", || {
        let trail = API.get(&headworks, "/v1/audit?action=headworks:ReloadConfiguration&limit=1");
        (!trail["entries"][0].is_null()).then(|| newest(&headworks, "SIGHUP"))
    });
    assert!(entry["principal"] == "hrn:headworks:local" && entry["status"] == 200 && changed(&entry), "{entry:#}");
    headworks.save(SHOP, &[("web", &web)]);
    API.expect(&headworks, "POST /v1/reload?dry_run=true", &Value::Null, 200);
    let entry = newest(&headworks, "127.0.0.1");
    assert!(entry["dry_run"] == true && changed(&entry), "{entry:#}");
    API.expect(&headworks, "POST /v1/reload", &Value::Null, 200);
    let entry = newest(&headworks, "127.0.0.1");
    assert!(entry["dry_run"].is_null() && changed(&entry), "{entry:#}");
    // all that is wrong, with its place, as a problem
    let wrong = SHOP.replace("forward: web", "forward: wbe").replace("health_check:", "algorithm: x, health_check:");
    headworks.save(&wrong, &[("web", &web)]);
    let response = API.call(&headworks, "POST /v1/reload", &Value::Null);
    assert_eq!(
        (response.status, response.field("Content-Type")),
        (422, Some("application/problem+json")),
        "{response}"
    );
    let problem = response.json();
    assert_eq!(problem["type"], "urn:headworks:problem:file-refused", "{problem:#}");
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let has = |path: &str, what: &str| {
        errors.iter().any(|error| {
            error["path"].as_str().is_some_and(|at| at.starts_with(path))
                && error["detail"].as_str().is_some_and(|detail| detail.contains(what))
                && [&error["line"], &error["column"]].iter().all(|number| number.as_u64() > Some(0))
                && error["file"].as_str().is_some_and(|file| file.ends_with("headworks.yaml"))
        })
    };
    assert!(has("target_groups.web.algorithm", "expected"), "{problem:#}");
    assert!(has("load_balancers.shop.listeners.http.default", "did you mean web?"), "{problem:#}");
    assert_eq!(newest(&headworks, "127.0.0.1")["why"], problem["detail"]);
    headworks.signal(Signal::HUP);
    let entry = wait::until("the entry", || {
        let trail = API.get(&headworks, "/v1/audit?action=headworks:ReloadConfiguration&limit=1");
        (trail["entries"][0]["source"] == "SIGHUP").then(|| newest(&headworks, "SIGHUP"))
    });
    assert!(entry["status"] == 422 && entry["why"] == problem["detail"], "{entry:#}");
    let output = headworks.beside(&["reload", "-c", "headworks.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("target_groups.web.algorithm"), "{said}");
    // what was only asked of a resource is marked as well
    API.expect(&headworks, "PUT /v1/target-groups/new?dry_run=true", &json!({}), 200);
    let trail = API.get(&headworks, "/v1/audit?action=headworks:PutTargetGroup&limit=1");
    assert_eq!(trail["entries"][0]["dry_run"], true, "{trail:#}");
}

#[test]
fn secrets_are_neither_shown_nor_kept_as_they_are() {
    let web = Origin::echo("web");
    let mut headworks = start(SHOP, &[("web", &web)]);
    let check = json!({ "protocol": "redis", "password": "correct-horse" });
    let body = json!({ "protocol": "tcp", "targets": [web.address().to_string()], "health_check": check });
    let path = "/v1/target-groups/cache";
    API.expect(&headworks, &format!("PUT {path}"), &body, 201);
    let mut shown = API.get(&headworks, path);
    assert_eq!(shown["health_check"]["password"], "***");
    // what is shown can be sent back
    shown["algorithm"] = "least_connections".into();
    API.expect(&headworks, &format!("PUT {path}"), &shown, 200);
    for place in [path, "/v1/config", "/v1/audit", "/v1/revisions/1", "/v1/revisions/1/resources", "/v1/target-groups"]
    {
        let text = API.get(&headworks, place).to_string();
        assert!(!text.contains("correct-horse"), "{place} tells");
    }
    headworks.restart(Signal::TERM);
    for file in ["state/headworks.db", "state/headworks.db-wal"] {
        let bytes = std::fs::read(headworks.path(file)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("correct-horse"), "{file} tells");
    }
    API.expect(&headworks, "POST /v1/revisions/1/restore", &Value::Null, 200);
    let changes = API.get(&headworks, "/v1/revisions/3")["changes"].to_string();
    assert!(changes.contains("least_connections") && !changes.contains("password"), "the secret was lost: {changes}");
}

/// Copies of requests, and those that a group stands in for, are a reason to keep it; what they need of it is asked for again
/// when it changes.
#[test]
fn a_group_that_is_only_mirrored_to_or_stands_in_is_in_use() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    ["a", "copies", "spare"].iter().for_each(|name| {
        API.expect(&headworks, &format!("PUT /v1/target-groups/{name}"), &json!({}), 201);
    });
    let forward = json!({ "groups": { "a": 1 }, "mirror": { "group": "copies" }, "fallback": { "forward": "spare" } });
    let rule = json!({ "name": "one", "then": { "forward": forward } });
    let balancer = |rules: &[&Value]| {
        let listener = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "a" } });
        json!({ "listeners": { "http": listener } })
    };
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(&[&rule]), 201);
    for name in ["a", "copies", "spare"] {
        let refused = API.expect(&headworks, &format!("DELETE /v1/target-groups/{name}"), &Value::Null, 409);
        let path = "load_balancers.edge.listeners.http.rules[0]";
        assert_eq!(refused["errors"][0]["path"], path, "{name}: {refused:#}");
        API.expect(&headworks, &format!("PATCH /v1/target-groups/{name}"), &json!({ "protocol": "tcp" }), 400);
    }
    let twice = API.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(&[&rule, &rule]), 400);
    let error = &twice["errors"][0];
    assert_eq!(error["path"], "load_balancers.edge.listeners.http.rules[1].name", "{twice:#}");
    assert_eq!(error["pointer"], "#/listeners/http/rules/1/name", "{twice:#}");
    let added = API.expect(&headworks, "POST /v1/load-balancers/edge/listeners/http/rules", &rule, 400);
    assert_eq!(added["errors"].as_array().map(Vec::len), Some(1), "{added:#}");
    API.expect(&headworks, "DELETE /v1/load-balancers/edge", &Value::Null, 204);
    API.expect(&headworks, "DELETE /v1/target-groups/copies", &Value::Null, 204);
}

/// What is ambiguous, or in another form than is read, is refused rather than guessed at.
#[test]
fn what_is_ambiguous_or_in_another_form_is_refused() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    API.expect(&headworks, "PUT /v1/target-groups/p", &json!({}), 201);
    let [merge, json, patch, yaml] = ["merge-patch+json", "json; charset=utf-8", "json-patch+json", "yaml"]
        .map(|kind| format!("Content-Type: application/{kind}"));
    let [form, plain] = ["application/x-www-form-urlencoded", "text/plain"].map(|kind| format!("Content-Type: {kind}"));
    let zipped = "Content-Encoding: gzip".to_owned();
    let group = "/v1/target-groups/p";
    let twice = |query: &str| format!("PUT {group}?{query}");
    for (line, field, body, status, said) in [
        (&*format!("PATCH {group}"), &merge, "{}", 200, "protocol"),
        (&*format!("PATCH {group}"), &json, "{}", 200, "protocol"),
        (&*format!("PATCH {group}"), &form, "{}", 200, "protocol"),
        (&*format!("PATCH {group}"), &patch, "[]", 415, "expected application/merge-patch+json, application/json"),
        (&*format!("PUT {group}"), &merge, "{}", 415, "expected application/json"),
        (&*format!("PUT {group}"), &yaml, "targets: []", 415, "application/yaml is not read"),
        (&*format!("PUT {group}"), &plain, "{}", 415, "text/plain is not read"),
        (&*format!("PUT {group}"), &zipped, "{}", 415, "gzip is not read"),
        (
            &*format!("PUT {group}"),
            &json,
            "{\"targets\":[],\n\"targets\":[]}",
            400,
            "\"targets\" is there twice at line 2",
        ),
        (&*twice("dry_run=true&dry_run=false"), &json, "{}", 400, "?dry_run: is there more than once"),
        ("POST /v1/changes", &json, "{\"put\":[]}", 400, "put: is no mapping"),
        ("POST /v1/changes", &json, "{\"put\":{\"target_groups\":[]}}", 400, "put.target_groups: is no mapping"),
        ("POST /v1/changes", &json, "{\"delete\":{\"target_groups\":{}}}", 400, "delete.target_groups: is no list"),
        (
            "POST /v1/changes",
            &json,
            "{\"put\":{\"target_groups\":{\"z\":{}}},\"delete\":{\"target_groups\":[\"z\"]}}",
            400,
            "target_groups.z: is put or deleted more than once",
        ),
        (&*format!("DELETE {group}/targets"), &json, "", 400, "?target: is missing"),
        ("POST /v1/explain", &json, "{}", 400, "method: is missing, expected a text such as GET"),
    ] {
        let answer = API.raw(&headworks, line, &[field], body.as_bytes());
        assert!(
            answer.status == status && answer.json().to_string().contains(&said.replace('"', "\\\"")),
            "{line} {body}\n{answer}"
        );
        let is_told = answer.field("Accept-Patch") == Some("application/merge-patch+json, application/json");
        assert_eq!(is_told, status == 415, "{answer}");
    }
    let answer = API.raw(&headworks, &format!("POST {group}"), &[], b"{}");
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD, PUT, PATCH, DELETE")));
}
