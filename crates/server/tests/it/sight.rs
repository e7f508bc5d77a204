//! What shows many things leaves out what somebody is denied to get by itself: lists, overviews, streams, differences.

use headworks_testkit::{Client, Headworks, Origin, ask, free_port};
use serde_json::{Value, json};

use crate::api::Api;
use crate::identities::{locked, user};

/// What the names of all that is hidden have in them.
const HIDDEN: [&str; 3] = ["payments", "vault", "hush"];

/// An installation, its root, and a user who may look at everything but what is hidden.
fn hiding(web: &Origin) -> (Headworks, Api, Api) {
    let (headworks, root) = locked(web);
    let olga = user(&headworks, &root, "olga");
    let listener = |rules: Value, group: &str| json!({ "listeners": { "http": { "address": "127.0.0.1:0", "rules": rules, "default": { "forward": group } } } });
    let rule = |name: &str| json!({ "name": name, "if": { "path": format!("/{name}") }, "then": { "forward": "web" } });
    let target = web.address().to_string();
    let group = json!({ "targets": [target], "health_check": { "protocol": "none" } });
    root.expect(&headworks, "PUT /v1/target-groups/payments", &group, 201);
    root.expect(&headworks, "PUT /v1/target-groups/plain", &group, 201);
    root.expect(&headworks, "PUT /v1/load-balancers/vault", &listener(json!([]), "payments"), 201);
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &listener(json!([rule("open")]), "plain"), 201);
    let both = listener(json!([rule("hush"), rule("open")]), "plain");
    root.expect(&headworks, "PUT /v1/load-balancers/mixed", &both, 201);
    root.expect(&headworks, "PUT /v1/iam/users/olga", &json!({ "attached": ["ReadOnlyAccess"] }), 200);
    let policy = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "headworks:Get*", "Resource": [
        "hrn:headworks:target-group/pay*", "hrn:headworks:load-balancer/vault*", "hrn:headworks:*/rule/hush",
        "hrn:headworks:user/vault" ] } });
    root.expect(&headworks, "PUT /v1/iam/users/olga/policies/own", &policy, 201);
    (headworks, root, olga)
}

/// Where root sees `shown` and all that is hidden of `hidden`, olga sees `shown` alone.
fn check(headworks: &Headworks, root: &Api, olga: &Api, target: &str, shown: &[&str], hidden: &[&str]) {
    let told = |api: &Api| {
        let response = api.call(headworks, &format!("GET {target}"), &Value::Null);
        assert_eq!(response.status, 200, "{target}: {response}");
        response.text()
    };
    let (all, seen) = (told(root), told(olga));
    for word in shown {
        assert!(all.contains(word) && seen.contains(word), "{target} has no {word}: {seen}");
    }
    for word in HIDDEN {
        assert_eq!(all.contains(word), hidden.contains(&word), "{target} of {word}, to root: {all}");
        assert!(!seen.contains(word), "{target} tells of {word}: {seen}");
    }
}

#[test]
fn overviews_leave_out_what_is_denied() {
    let web = Origin::echo("web");
    let (headworks, root, olga) = hiding(&web);
    root.expect(&headworks, "PUT /v1/iam/users/vault", &Value::Null, 201);
    for (target, shown, hidden) in [
        ("/v1/target-groups", &["plain", "web"][..], &["payments"][..]),
        ("/v1/target-groups?limit=1&after=a", &["\"next\""], &["payments"]),
        // one body is shown whole, or not at all
        ("/v1/load-balancers", &["edge"], &HIDDEN),
        ("/v1/config", &["plain", "edge", "mixed", "open"], &HIDDEN),
        ("/v1/status", &["plain", "edge", "mixed", "open"], &HIDDEN),
        ("/metrics", &["load_balancer=\"edge\"", "target_group=\"plain\"", "# EOF"], &["payments", "vault"]),
        ("/v1/revisions", &["plain", "edge", "mixed"], &["payments", "vault"]),
        ("/v1/revisions/1", &["\"revision\":1"], &["payments"]),
        ("/v1/revisions/2", &["plain"], &[]),
        ("/v1/revisions/5", &["mixed"], &["hush"]),
        ("/v1/revisions/5?against=0", &["plain", "edge"], &HIDDEN),
        ("/v1/revisions/5/resources", &["plain", "edge"], &HIDDEN),
        ("/v1/iam/users", &["olga"], &["vault"]),
        ("/v1/iam/credential-report", &["olga"], &["vault"]),
    ] {
        check(&headworks, &root, &olga, target, shown, hidden);
    }
    // nobody to whom nothing of it is denied pays for that, and what is listed is in pages as before
    assert_eq!(olga.get(&headworks, "/v1/target-groups?limit=1")["next"], "plain");
    for (target, status) in [
        ("/v1/target-groups/payments", 403),
        ("/v1/load-balancers/edge", 200),
        ("/v1/load-balancers/vault", 403),
        ("/v1/load-balancers/vault/listeners", 403),
        ("/v1/load-balancers/mixed", 403),
        ("/v1/load-balancers/mixed/listeners/http", 403),
        ("/v1/load-balancers/mixed/listeners/http/rules", 403),
        ("/v1/load-balancers/mixed/listeners/http/rules/1", 403),
        ("/v1/load-balancers/mixed/listeners/http/rules/2", 200),
        ("/v1/revisions?resource=target_groups.payments", 403),
        ("/v1/live?target_group=payments", 403),
    ] {
        olga.expect(&headworks, &format!("GET {target}"), &Value::Null, status);
    }
    assert_eq!(olga.get(&headworks, "/v1/load-balancers/mixed/listeners"), json!({}));
}

#[test]
fn why_a_request_goes_somewhere_is_told_of_what_is_seen() {
    let web = Origin::echo("web");
    let (headworks, _, olga) = hiding(&web);
    let asked =
        |listener: &str, path: &str| json!({ "method": "GET", "url": format!("http://a{path}"), "listener": listener });
    for (listener, path, status) in
        [("edge/http", "/", 200), ("vault/http", "/", 403), ("mixed/http", "/hush", 403), ("mixed/http", "/open", 200)]
    {
        let told = olga.expect(&headworks, "POST /v1/explain", &asked(listener, path), status).to_string();
        assert!(status == 403 || HIDDEN.iter().all(|word| !told.contains(word)), "{told}");
    }
}

#[test]
fn streams_leave_out_what_is_denied() {
    let web = Origin::echo("web");
    let (headworks, root, olga) = hiding(&web);
    let mut events = olga.watch(&headworks, "/v1/events?since=0", &[]);
    let mut live = olga.watch(&headworks, "/v1/live", &[]);
    let ports = root.get(&headworks, "/v1/status")["load_balancers"].clone();
    let address = |balancer: &str| ports[balancer]["listeners"]["http"]["address"].as_str().map(str::to_owned);
    let request = |balancer: &str| {
        let address = address(balancer).and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{ports:#}"));
        assert_eq!(Client::connect(address).ask(&ask("GET", "/hush")).response().status, 200, "{balancer}");
    };
    for group in ["payments", "plain"] {
        let line = format!("POST /v1/target-groups/{group}/targets");
        root.expect(&headworks, &line, &json!({ "address": web.address().to_string(), "weight": 7 }), 200);
    }
    let mut told = String::new();
    while !told.contains("\"revision\":7") {
        told += &events.next().unwrap_or_else(|| panic!("the stream has ended: {told}"));
    }
    assert!(told.contains("load_balancers.mixed") && told.contains("\"revision\":6"), "{told}");
    assert!(HIDDEN.iter().all(|word| !told.contains(word)), "{told}");
    let mut told = String::new();
    while !told.contains("rule/edge/http/default") || told.matches("event: sample").count() < 4 {
        for balancer in ["vault", "mixed", "edge"] {
            request(balancer);
        }
        for line in live.by_ref().take(3) {
            told += &line;
        }
    }
    assert!(told.contains("listener/edge/http") && told.contains("group/plain"), "{told}");
    for word in ["payments", "vault", "rule/mixed/http/1"] {
        assert!(!told.contains(word), "{word}: {told}");
    }
}

/// Who may change what it may not get is not shown it by that.
#[test]
fn changes_show_no_more_than_is_seen() {
    let web = Origin::echo("web");
    let (headworks, root, olga) = hiding(&web);
    let put = crate::identities::allow(&json!("headworks:Put*"), &json!("*"));
    root.expect(&headworks, "PUT /v1/iam/users/olga/policies/put", &put, 201);
    let weight = json!({ "deregistration_delay": "1s" });
    let patch = |name: &str, query: &str| {
        olga.expect(&headworks, &format!("PATCH /v1/target-groups/{name}{query}"), &weight, 200)
    };
    assert_eq!(patch("payments", "?dry_run=true")["changes"], json!([]));
    assert_ne!(patch("plain", "?dry_run=true")["changes"], json!([]));
    assert_eq!(patch("payments", ""), Value::Null);
    assert_eq!(patch("plain", "")["deregistration_delay"], "1s");
    let noted = root.get(&headworks, "/v1/audit?resource=hrn:headworks:target-group/payments&limit=1").to_string();
    assert!(noted.contains("target_groups.payments.deregistration_delay"), "{noted}");
}

/// What is wrong, or stands in the way, is said without the names of what is not seen.
#[test]
fn faults_name_what_is_seen_alone() {
    let web = Origin::echo("web");
    let (headworks, root, olga) = hiding(&web);
    let put = crate::identities::allow(&json!(["headworks:Put*", "headworks:Delete*"]), &json!("*"));
    root.expect(&headworks, "PUT /v1/iam/users/olga/policies/put", &put, 201);
    let all = crate::identities::allow(&json!("*"), &json!("*"));
    root.expect(&headworks, "PUT /v1/iam/policies/shared", &all, 201);
    root.expect(&headworks, "PUT /v1/iam/users/vault", &json!({ "attached": ["shared"] }), 201);
    let port = free_port();
    let at =
        |port: u16, group: &str| json!({ "listeners": { "http": { "port": port, "default": { "forward": group } } } });
    root.expect(&headworks, "PUT /v1/load-balancers/vault2", &at(port, "plain"), 201);
    let tcp = json!({ "protocol": "tcp", "health_check": { "protocol": "none" } });
    for (line, body, status, said) in [
        ("PUT /v1/load-balancers/new", at(0, "payment"), 400, "there is no target group"),
        ("PUT /v1/load-balancers/new", at(0, "plan"), 400, "did you mean plain?"),
        ("PUT /v1/load-balancers/early", at(port, "plain"), 400, "not shown to whoever asks"),
        ("PUT /v1/load-balancers/zebra", at(port, "plain"), 400, "is taken, expected another port"),
        ("PUT /v1/target-groups/payments", tcp, 400, "not shown to whoever asks"),
        ("DELETE /v1/target-groups/payments", Value::Null, 409, "by 1 that are not shown to whoever asks"),
        ("DELETE /v1/target-groups/plain", Value::Null, 409, "load_balancers.edge"),
        ("DELETE /v1/iam/policies/shared", Value::Null, 409, "by 1 that are not shown to whoever asks"),
    ] {
        let problem = olga.expect(&headworks, line, &body, status);
        let told = problem.to_string().replace(line.rsplit('/').next().unwrap_or("?"), "");
        assert!(told.contains(said), "{line}: {told}");
        assert!(HIDDEN.iter().all(|word| !told.contains(word)), "{line}: {told}");
        let all = root.expect(&headworks, line, &body, status).to_string();
        assert!(!all.contains("not shown"), "{line}: {all}");
    }
}
