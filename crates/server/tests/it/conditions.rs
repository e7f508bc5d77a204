//! What a caller says that it knew, and changes that are only judged: every call of the description that changes something is held
//! to both, or says why it cannot be.

use headworks_testkit::{Headworks, Origin};
use serde_json::{Value, json};

use crate::api::NOBODY;
use crate::identities::allow;
use crate::{proxy, start};

/// Calls that change nothing which has a tag.
const UNCONDITIONAL: [&str; 8] = [
    "DELETE /v1/session",
    "POST /v1/explain",
    "POST /v1/iam/roles/{name}/sessions",
    "POST /v1/iam/session-token",
    "POST /v1/iam/simulate",
    "POST /v1/reload",
    "POST /v1/session",
    "POST /v1/session/password",
];

/// One of each that can be named in a path, and the id of an access key.
fn furnished(headworks: &Headworks) -> String {
    let put = |line: &str, body: Value| drop(NOBODY.expect(headworks, line, &body, 201));
    put("PUT /v1/target-groups/api", json!({ "targets": ["127.0.0.1:1"], "health_check": { "protocol": "none" } }));
    let rules = json!([{ "name": "api", "if": { "path": ["/api"] }, "then": { "forward": "api" } }]);
    let listener = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "api" } });
    put("PUT /v1/load-balancers/edge", json!({ "listeners": { "http": listener } }));
    put("PUT /v1/security-groups/x", json!({}));
    put("PUT /v1/network-acls/x", json!({}));
    let document = allow(&json!("headworks:Get*"), &json!("*"));
    put("PUT /v1/iam/groups/staff", json!({}));
    put("PUT /v1/iam/users/alice", json!({ "groups": ["staff"] }));
    let trust = json!({ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "headworks:AssumeRole" });
    put("PUT /v1/iam/roles/deploy", json!({ "trust": { "Statement": trust } }));
    for owner in ["users/alice/", "groups/staff/", "roles/deploy/", ""] {
        put(&format!("PUT /v1/iam/{owner}policies/own"), document.clone());
    }
    put("POST /v1/iam/policies/own/versions", json!({ "document": document }));
    put("POST /v1/iam/users/alice/mfa", Value::Null);
    let password = json!({ "password": "Correct-Horse-7" });
    NOBODY.expect(headworks, "PUT /v1/iam/users/alice/password", &password, 204);
    let key = NOBODY.expect(headworks, "POST /v1/iam/users/alice/access-keys", &Value::Null, 201);
    key["access_key_id"].as_str().unwrap_or_default().to_owned()
}

/// A path of the description with names in it of what is there.
fn named(path: &str, key: &str) -> String {
    let name = match path.split('/').nth(if path.starts_with("/v1/iam/") { 3 } else { 2 }).unwrap_or_default() {
        "load-balancers" => "edge",
        "target-groups" => "api",
        "users" => "alice",
        "groups" => "staff",
        "roles" => "deploy",
        "policies" => "own",
        _ => "x",
    };
    let rows = [
        ("{name}", name),
        ("{listener}", "http"),
        ("{rule}", "api"),
        ("{target}", "127.0.0.1:1"),
        ("{key}", key),
        ("{policy}", "own"),
        ("{version}", "v2"),
        ("{user}", "alice"),
        ("{revision}", "1"),
    ];
    rows.iter().fold(path.to_owned(), |path, (param, value)| path.replace(param, value))
}

/// What the call takes.
fn body(line: &str, path: &str) -> Value {
    let document = || allow(&json!("headworks:List*"), &json!("*"));
    match line {
        _ if path.ends_with("/policies/{policy}") || line == "PUT /v1/iam/policies/{name}" => document(),
        _ if path.ends_with("/versions") => json!({ "document": document() }),
        _ if path.ends_with("/default-version") => json!({ "version": "v2" }),
        _ if path.ends_with("/password") => json!({ "password": "Correct-Horse-8" }),
        _ if path.ends_with("/{key}") => json!({ "status": "inactive" }),
        _ if path.ends_with("/targets") => json!(["127.0.0.1:1"]),
        _ if path.ends_with("/rules") => json!([]),
        "PUT /v1/iam/users/{name}/mfa" => json!({ "codes": ["000000", "000001"] }),
        _ if line.starts_with("DELETE") => Value::Null,
        _ => json!({}),
    }
}

/// Where the tag is of what a call changes.
fn tag_of(path: &str) -> String {
    match path {
        "/v1/iam/groups/{name}/members/{user}" => "/v1/iam/groups/{name}".to_owned(),
        "/v1/target-groups/{name}/targets/{target}" => "/v1/target-groups/{name}/targets".to_owned(),
        "/v1/revisions/{revision}/restore" => "/v1/changes".to_owned(),
        path => path.to_owned(),
    }
}

#[test]
fn no_change_passes_over_what_the_caller_knew_or_is_made_when_it_is_to_be_judged() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let key = furnished(&headworks);
    let backup = NOBODY.raw(&headworks, "GET /v1/backup", &[], b"").body.content;
    let description = NOBODY.get(&headworks, "/v1/openapi.json");
    let (mut held, mut refused) = (0, Vec::new());
    for (path, methods) in description["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten().filter(|(method, _)| *method != "get") {
            let line = format!("{} {path}", method.to_ascii_uppercase());
            let call = format!("{} {}", method.to_ascii_uppercase(), named(path, &key));
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let takes = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
            let is_file = operation["requestBody"]["content"].get("application/octet-stream").is_some();
            let body = match body(&line, path) {
                _ if is_file => backup.clone(),
                Value::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            };
            let ask = |line: &str, field: &str| NOBODY.raw(&headworks, line, &[field], &body);
            let stale = ask(&call, "If-Match: \"stale\"");
            if !takes("If-Match") {
                assert_eq!(stale.status, 400, "{call}\n{stale}");
                assert!(stale.text().contains("If-Match has no meaning"), "{call}\n{stale}");
                refused.push(line);
                continue;
            }
            assert_eq!(stale.status, 412, "{call}\n{stale}");
            assert!(takes("dry_run"), "{line} cannot be judged");
            let judged = format!("{call}?dry_run=true");
            assert_eq!(ask(&judged, "If-Match: \"stale\"").status, 412, "{judged}");
            assert_eq!(ask(&judged, "If-Match: W/\"stale\", \"older\"").status, 412, "{judged}");
            let get = format!("GET {}", named(&tag_of(path), &key));
            let tag = || NOBODY.raw(&headworks, &get, &[], b"").field("ETag").map(str::to_owned);
            let Some(known) = tag() else {
                // a certificate needs files: that it is not there is what is known of it
                assert!(path.starts_with("/v1/certificates/"), "{get} has no tag");
                continue;
            };
            for field in
                [format!("If-Match: {known}"), format!("If-Match: \"stale\", {known}"), "If-Match: *".to_owned()]
            {
                let current = ask(&judged, &field);
                // what does not hold for another reason was let in
                assert!(![412, 404].contains(&current.status) && current.status < 500, "{judged} {field}\n{current}");
            }
            assert_eq!(tag(), Some(known), "{judged} was done");
            held += 1;
        }
    }
    refused.sort();
    assert_eq!(refused, UNCONDITIONAL);
    assert!(held > 45, "only {held}");
}

#[test]
fn one_of_two_who_knew_the_same_is_told_of_the_other() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let key = furnished(&headworks);
    let one = format!("/v1/iam/users/alice/access-keys/{key}");
    let password = |word: &str| json!({ "password": format!("Correct-Horse-{word}") });
    let rows = [
        ("PUT /v1/iam/password-policy", json!({ "minimum_length": 12 }), json!({ "minimum_length": 13 })),
        ("PATCH KEY", json!({ "status": "inactive" }), json!({ "status": "active" })),
        ("PUT /v1/iam/users/alice/password", password("8"), password("9")),
        ("POST /v1/iam/users/alice/mfa", json!({}), json!({})),
        ("POST /v1/iam/users/alice/access-keys", json!({}), json!({})),
        (
            "POST /v1/changes",
            json!({ "put": { "target_groups": { "one": {} } } }),
            json!({ "put": { "target_groups": { "two": {} } } }),
        ),
        ("PUT /v1/iam/policies/own/default-version", json!({ "version": "v2" }), json!({ "version": "v1" })),
    ];
    for (line, first, second) in rows {
        let line = line.replace("KEY", &one);
        let (_, path) = line.split_once(' ').unwrap_or_default();
        let tag = NOBODY.raw(&headworks, &format!("GET {path}"), &[], b"").field("ETag").map(str::to_owned);
        let field = format!("If-Match: {}", tag.unwrap_or_else(|| panic!("{path} has no tag")));
        let ask = |body: &Value| NOBODY.raw(&headworks, &line, &[&field], body.to_string().as_bytes());
        let (made, late) = (ask(&first), ask(&second));
        assert!(made.status < 300, "{line}\n{made}");
        assert_eq!(late.status, 412, "{line}\n{late}");
        assert!(late.text().contains("urn:headworks:problem:precondition-failed"), "{late}");
    }
    // the answer's tag is that of what is now, so that changes can follow one another
    let changes = "POST /v1/changes";
    let ask = |field: &str, name: &str| {
        let body = json!({ "put": { "target_groups": { name: {} } } });
        NOBODY.raw(&headworks, changes, &[field], body.to_string().as_bytes())
    };
    let first = ask("If-Match: *", "three");
    let field = format!("If-Match: {}", first.field("ETag").unwrap_or_default());
    let restored = NOBODY.raw(&headworks, "POST /v1/revisions/1/restore", &[&field], b"");
    assert_eq!(restored.status, 200, "{restored}");
    assert_eq!(ask(&field, "four").status, 412);
    // what is read can be held to what was known as well
    let read = NOBODY.raw(&headworks, "GET /v1/changes", &[&field], b"");
    assert_eq!(read.status, 412, "{read}");
}
