//! What somebody who may do some things cannot do by them: give more than it has, name what it may not, go around a denial, go on
//! when it may no more.

use headworks_testkit::{Client, Origin};
use serde_json::{Value, json};

use crate::api::{Api, Key};
use crate::identities::{allow, attempt, locked, user};

/// Who may put users does not give them, or itself, what it is denied to give: each group, policy and boundary is asked for.
#[test]
fn what_is_given_is_asked_for() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let helen = user(&headworks, &root, "helen");
    root.expect(&headworks, "PUT /v1/iam/groups/admins", &json!({ "attached": ["AdministratorAccess"] }), 201);
    root.expect(&headworks, "PUT /v1/iam/groups/staff", &json!({}), 201);
    let mine = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["headworks:Put*", "headworks:Attach*", "headworks:Detach*", "headworks:*User*Group"], "Resource": "*" },
        { "Effect": "Deny", "Action": "*", "Resource": ["hrn:headworks:group/admins", "hrn:headworks:policy/AdministratorAccess"] },
    ] });
    root.expect(&headworks, "PUT /v1/iam/users/helen/policies/own", &mine, 201);
    let bounded = json!({ "boundary": "ReadOnlyAccess" });
    root.expect(&headworks, "PUT /v1/iam/users/bounded", &bounded, 201);
    let trust =
        json!({ "Statement": { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "headworks:AssumeRole" } });
    let role = |attached: &str| json!({ "trust": trust, "attached": [attached] });
    attempt(
        &headworks,
        &[
            (&helen, "PUT /v1/iam/users/new", json!({ "groups": ["staff"], "attached": ["ReadOnlyAccess"] }), 201),
            (&helen, "PUT /v1/iam/users/helen", json!({ "groups": ["admins"] }), 403),
            (&helen, "PUT /v1/iam/users/helen", json!({ "attached": ["AdministratorAccess"] }), 403),
            (&helen, "PUT /v1/iam/users/helen?dry_run=true", json!({ "attached": ["AdministratorAccess"] }), 403),
            (&helen, "PUT /v1/iam/groups/staff", json!({ "attached": ["AdministratorAccess"] }), 403),
            (&helen, "PUT /v1/iam/roles/own", role("AdministratorAccess"), 403),
            (&helen, "PUT /v1/iam/roles/own", role("ReadOnlyAccess"), 201),
            // a boundary may be put, and is not lost by what does not speak of it
            (&helen, "PUT /v1/iam/users/new", json!({ "boundary": "ReadOnlyAccess" }), 200),
            (&helen, "PUT /v1/iam/users/bounded", json!({}), 403),
            (&helen, "PUT /v1/iam/users/bounded", json!({ "boundary": "ReadOnlyAccess", "groups": ["staff"] }), 200),
        ],
    );
}

/// What is named by a path is used with the rights of the program: who may put a rule does not have any secret of the machine
/// served by that.
#[test]
fn files_are_named_by_those_who_may() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let place = |name: &str| headworks.path(name).canonicalize().unwrap_or_else(|error| panic!("{name}: {error}"));
    std::fs::create_dir(headworks.path("pages")).unwrap();
    std::fs::write(headworks.path("pages/sorry.html"), "sorry").unwrap();
    std::fs::write(headworks.path("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(place("secret"), headworks.path("pages/link")).unwrap();
    let pages = format!("hrn:headworks:file{}/*", place("pages").display());
    let [olga, paula] = ["olga", "paula"].map(|name| user(&headworks, &root, name));
    let put = allow(&json!(["headworks:Put*", "headworks:Get*", "headworks:ChangeResources"]), &json!("*"));
    for (name, policy) in [("olga", json!(["OperatorAccess"])), ("paula", json!([]))] {
        root.expect(&headworks, &format!("PUT /v1/iam/users/{name}"), &json!({ "attached": policy }), 200);
    }
    root.expect(&headworks, "PUT /v1/iam/users/paula/policies/put", &put, 201);
    let served = |file: &str| json!({ "health_check": { "protocol": "none" }, "fallback": { "file": file } });
    let balancer = |rules: Value| json!({ "listeners": { "http": { "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "web" } } } });
    let rule = |file: &str| {
        json!({ "name": "own", "if": { "path": "/x" },
                "then": { "forward": { "groups": "web", "fallback": { "file": file } } } })
    };
    let socket = json!({ "targets": ["unix:/run/docker.sock"], "health_check": { "protocol": "none" } });
    let logs = |path: &str| json!({ "access_log": path, "listeners": balancer(json!([]))["listeners"] });
    let certificate = json!({ "certificate": "/etc/ssl/private/a.pem", "key": "/etc/ssl/private/a.key" });
    let batch = json!({ "put": { "target_groups": { "pages": served("secret") } } });
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(json!([])), 201);
    let [add, own] =
        ["POST /v1/load-balancers/edge/listeners/http/rules", "PUT /v1/load-balancers/edge/listeners/http/rules/own"];
    // without a word on files, none
    attempt(
        &headworks,
        &[
            (&olga, add, rule("state/control.key"), 403),
            (&paula, add, rule("secret"), 403),
            (&paula, "PUT /v1/target-groups/pages", served("pages/sorry.html"), 403),
            (&paula, "PUT /v1/target-groups/pages?dry_run=true", served("pages/sorry.html"), 403),
            (&paula, "POST /v1/changes", batch.clone(), 403),
            (&paula, "PUT /v1/target-groups/pages", socket, 403),
            (&paula, "PUT /v1/load-balancers/logs", logs("/etc/cron.d/own"), 403),
            (&paula, "PUT /v1/certificates/own", certificate, 403),
        ],
    );
    // in a folder, as far as that goes
    let uses = allow(&json!("headworks:UseFile"), &json!(pages));
    root.expect(&headworks, "PUT /v1/iam/users/paula/policies/files", &uses, 201);
    attempt(
        &headworks,
        &[
            (&paula, "PUT /v1/target-groups/pages", served("pages/sorry.html"), 201),
            (&paula, "PUT /v1/target-groups/pages", served("pages/../pages/sorry.html"), 200),
            (&paula, "PUT /v1/target-groups/pages", served("pages/../secret"), 403),
            (&paula, "PUT /v1/target-groups/pages", served("pages/link"), 403),
            (&paula, "POST /v1/changes", batch, 403),
            (&paula, "PUT /v1/load-balancers/logs", logs("pages/access.log"), 201),
        ],
    );
    // what may be written to is not served by that
    let mut logged = balancer(json!([]));
    logged["access_log"] = "own.log".into();
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &logged, 200);
    olga.expect(&headworks, add, &rule("own.log"), 403);
    let served = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "headworks:UseFile", "Resource": "*",
        "Condition": { "StringEquals": { "headworks:FileUse": "serve" } } } });
    root.expect(&headworks, "PUT /v1/iam/users/olga/policies/serves", &served, 201);
    olga.expect(&headworks, &format!("{add}?dry_run=true"), &rule("own.log"), 200);
    olga.expect(&headworks, "PUT /v1/target-groups/web", &json!({}), 403);
    root.expect(&headworks, "DELETE /v1/iam/users/olga/policies/serves", &Value::Null, 204);
    // what somebody else has named stays as it is in what is changed otherwise
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(json!([rule("secret")])), 200);
    let fields = json!({ "if": { "path": "/y" }, "then": rule("secret")["then"] });
    olga.expect(&headworks, own, &fields, 200);
    root.expect(
        &headworks,
        own,
        &json!({ "name": "renamed", "if": { "path": "/y" }, "then": rule("secret")["then"] }),
        200,
    );
    let refused = olga.expect(&headworks, &own.replace("own", "renamed"), &rule("pages/sorry.html"), 403);
    let detail = refused["detail"].as_str().unwrap_or_default();
    let resource = format!("file{}", place("pages/sorry.html").display());
    assert!(detail.contains("headworks:UseFile") && detail.contains(&resource), "{detail}");
    let audit = root.get(&headworks, "/v1/audit?outcome=denied&limit=1");
    assert_eq!(audit["entries"][0]["why"], refused["detail"], "{audit:#}");
}

/// A rule that has a name is under what is said of that, by whatever it is asked for.
#[test]
fn a_rule_is_the_same_by_its_number() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let olga = user(&headworks, &root, "olga");
    let rule = |name: &str| json!({ "name": name, "if": { "path": "/x" }, "then": { "forward": "web" } });
    let rules = json!([rule("first"), rule("second"), { "if": { "path": "/y" }, "then": { "forward": "web" } }]);
    let listener = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "web" } });
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &json!({ "listeners": { "http": listener } }), 201);
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "headworks:*Rule", "Resource": "*" },
        { "Effect": "Deny", "Action": "*", "Resource": "hrn:*/rule/first" },
    ] });
    root.expect(&headworks, "PUT /v1/iam/users/olga/policies/own", &policy, 201);
    let body = json!({ "if": { "path": "/z" }, "then": { "forward": "web" } });
    for (method, rule, status) in [
        ("PUT", "first", 403),
        ("PUT", "1", 403),
        ("GET", "1", 403),
        ("PATCH", "1", 403),
        ("DELETE", "1", 403),
        ("PUT", "01", 404),
        ("GET", "+2", 404),
        ("PUT", "2", 200),
        ("PUT", "second", 200),
        ("PUT", "3", 200),
        ("PUT", "4", 404),
    ] {
        let line = format!("{method} /v1/load-balancers/edge/listeners/http/rules/{rule}");
        let body = if ["GET", "DELETE"].contains(&method) { Value::Null } else { body.clone() };
        olga.expect(&headworks, &line, &body, status);
    }
}

/// What is denied of a part holds against who may put the whole of it.
#[test]
fn a_part_is_guarded_within_its_whole() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let paul = user(&headworks, &root, "paul");
    let at = web.address().to_string();
    let rule = |name: &str, path: &str| json!({ "name": name, "if": { "path": path }, "then": { "forward": "web" } });
    let [guarded, moved, open] = [rule("guarded", "/g"), rule("guarded", "/x"), rule("open", "/o")];
    let bare = json!({ "if": { "path": "/b" }, "then": { "forward": "web" } });
    let listener =
        |rules: &[&Value]| json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "web" } });
    let balancer = |rules: &[&Value]| json!({ "listeners": { "http": listener(rules), "inner": listener(&[]) } });
    let group = |targets: &[&str], algorithm: &str| json!({ "targets": targets, "algorithm": algorithm, "health_check": { "protocol": "none" } });
    let mut other = balancer(&[&guarded, &open]);
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer(&[&moved, &open]), 201);
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &other, 200);
    root.expect(&headworks, "PUT /v1/target-groups/pay", &group(&[&at], "round_robin"), 201);
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "headworks:*", "Resource": "*" },
        { "Effect": "Deny", "Action": ["headworks:PutRule", "headworks:DeleteRule"], "Resource": "hrn:*/rule/guarded" },
        { "Effect": "Deny", "Action": "headworks:*Listener", "Resource": "hrn:*/listener/inner" },
        { "Effect": "Deny", "Action": "headworks:*Targets", "Resource": "hrn:headworks:target-group/pay" },
    ] });
    root.expect(&headworks, "PUT /v1/iam/users/paul/policies/own", &policy, 201);
    let rules = "PUT /v1/load-balancers/edge/listeners/http/rules";
    let [whole, pay] = ["PUT /v1/load-balancers/edge", "PUT /v1/target-groups/pay"];
    let put = |body: &Value| json!({ "put": { "load_balancers": { "edge": body } } });
    other["listeners"]["inner"]["default"] = json!({ "fixed_response": { "status": 404 } });
    let mut less = balancer(&[&guarded, &open]);
    less["listeners"].as_object_mut().unwrap().remove("inner");
    attempt(
        &headworks,
        &[
            (&paul, "PUT /v1/load-balancers/edge/listeners/http/rules/guarded", moved.clone(), 403),
            (&paul, rules, json!([open, bare, guarded]), 200),
            (&paul, rules, json!([open, bare, moved]), 403),
            (&paul, rules, json!([open, bare]), 403),
            (&paul, "PUT /v1/load-balancers/edge/listeners/http/rules?dry_run=true", json!([open]), 403),
            // neither under another name, nor is another given its
            (&paul, rules, json!([open, bare, rule("other", "/g")]), 403),
            (&paul, "PATCH /v1/load-balancers/edge/listeners/http/rules/2", json!({ "name": "guarded" }), 403),
            (&paul, "PUT /v1/load-balancers/edge/listeners/http", listener(&[&moved]), 403),
            (&paul, "DELETE /v1/load-balancers/edge/listeners/http", Value::Null, 403),
            (&paul, "PATCH /v1/load-balancers/edge", json!({ "listeners": { "http": { "rules": [] } } }), 403),
            (&paul, "PATCH /v1/load-balancers/edge", json!({ "idle_timeout": "9s" }), 200),
            (&paul, whole, balancer(&[&moved, &open]), 403),
            (&paul, whole, less, 403),
            (&paul, whole, other, 403),
            (&paul, "DELETE /v1/load-balancers/edge", Value::Null, 403),
            (&paul, "PUT /v1/load-balancers/new", balancer(&[&guarded]), 403),
            (&paul, "POST /v1/changes", put(&balancer(&[])), 403),
            (&paul, "POST /v1/changes", json!({ "delete": { "load_balancers": ["edge"] } }), 403),
            (&paul, "POST /v1/revisions/1/restore", json!({}), 403),
            (&paul, whole, balancer(&[&guarded]), 200),
            (&paul, pay, group(&[&at], "least_outstanding_requests"), 200),
            (&paul, pay, group(&[&at, "127.0.0.1:9"], "round_robin"), 403),
            (&paul, pay, group(&[], "round_robin"), 403),
            (&paul, "DELETE /v1/target-groups/pay", Value::Null, 403),
        ],
    );
    let refused = paul.expect(&headworks, rules, &json!([]), 403);
    let detail = refused["detail"].as_str().unwrap_or_default();
    for part in ["headworks:DeleteRule", "load-balancer/edge/listener/http/rule/guarded", "user/paul/own"] {
        assert!(detail.contains(part), "{detail}");
    }
}

/// Who is known may do what is everybody's, unless it is denied; and who is not is told so before anything it sends is taken.
#[test]
fn at_the_door() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let mia = user(&headworks, &root, "mia");
    mia.expect(&headworks, "POST /v1/changes", &json!({}), 200);
    let nothing = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Deny", "Action": "*", "Resource": "*" } });
    root.expect(&headworks, "PUT /v1/iam/users/mia/policies/nothing", &nothing, 201);
    mia.expect(&headworks, "POST /v1/iam/users/mia/mfa", &json!({}), 403);
    mia.expect(&headworks, "POST /v1/changes", &json!({}), 403);
    assert_eq!(mia.get(&headworks, "/v1/iam/whoami")["principal"], "hrn:headworks:user/mia");
    let host = headworks.admin();
    for authorization in [
        "x",
        "AWS4-HMAC-SHA256 Credential=HWNOBODY/20260101/local/headworks/aws4_request, SignedHeaders=host;x-amz-date, Signature=00",
    ] {
        let mut client = Client::connect(host);
        // nothing of the body comes
        client.send(format!(
            "PUT /v1/target-groups/x HTTP/1.1\r\nHost: {host}\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: \
             {authorization}\r\nContent-Length: 9000000\r\n\r\n"
        ));
        assert_eq!(client.response_to("PUT").status, 401, "{authorization}");
    }
    let problem = root.expect(&headworks, "GET /v1/target-groups/%FF", &Value::Null, 404);
    assert_eq!(problem["status"], 404);
    let long = format!("GET /v1/target-groups/{}", "x".repeat(2000));
    root.expect(&headworks, &long, &Value::Null, 404);
}

/// Who watches sees no more when it may ask no more, whatever it had shown.
#[test]
fn watching_ends_with_the_leave_to() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let mut watching = Vec::new();
    let trust = json!({ "Statement": { "Effect": "Allow", "Principal": { "AWS": "hrn:headworks:user/role" }, "Action": "headworks:AssumeRole" } });
    let watcher = json!({ "trust": trust, "attached": ["ReadOnlyAccess"] });
    root.expect(&headworks, "PUT /v1/iam/roles/watcher", &watcher, 201);
    let policy = "PUT /v1/iam/users/policy";
    for (name, target, ends) in [
        ("key", "/v1/events", "PATCH /v1/iam/users/key/access-keys/"),
        ("live", "/v1/live", "PATCH /v1/iam/users/live/access-keys/"),
        ("policy", "/v1/events", policy),
        ("user", "/v1/events", "DELETE /v1/iam/users/user"),
        ("role", "/v1/events", "DELETE /v1/iam/roles/watcher"),
    ] {
        root.expect(&headworks, &format!("PUT /v1/iam/users/{name}"), &json!({ "attached": ["ReadOnlyAccess"] }), 201);
        let mut key = root.expect(&headworks, &format!("POST /v1/iam/users/{name}/access-keys"), &Value::Null, 201);
        let line = if ends.ends_with('/') { format!("{ends}{}", Key::of(&key).id) } else { ends.to_owned() };
        if name == "role" {
            let who = Api::with(Key::of(&key));
            key = who.expect(&headworks, "POST /v1/iam/roles/watcher/sessions", &json!({ "session_name": "one" }), 201);
        }
        let mut lines = Api::with(Key::of(&key)).watch(&headworks, target, &[]);
        assert!(lines.any(|line| line.starts_with("event: ")), "{name} sees nothing");
        watching.push((name, line, lines));
    }
    for (name, line, lines) in watching {
        let body = match line.split(' ').next() {
            Some("PATCH") => json!({ "status": "inactive" }),
            Some("PUT") => json!({ "attached": [] }),
            _ => Value::Null,
        };
        let response = root.call(&headworks, &line, &body);
        assert!(response.status < 300, "{line}: {response}");
        // what was on its way by then may still come
        assert!(lines.take(500).count() < 500, "{name} goes on");
    }
}
