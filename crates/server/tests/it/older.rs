//! What an older version has kept, and this one would refuse: it starts with it, made right, and says so.

use headworks_testkit::{Client, Headworks, Origin, ask};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::{Api, NOBODY};
use crate::{proxy, start};

const API: Api = NOBODY;
const RULES: &str = "/v1/load-balancers/edge/listeners/http/rules";

fn names(headworks: &Headworks) -> Vec<Value> {
    API.get(headworks, RULES).as_array().into_iter().flatten().map(|rule| rule["name"].clone()).collect()
}

fn newest(headworks: &Headworks) -> Value {
    API.get(headworks, "/v1/revisions?limit=1")["revisions"][0].clone()
}

/// Makes of a database one of the version before audit entries were found by time, that let rules share a name.
fn grow_old(database: &std::path::Path) {
    let old = Connection::open(database).unwrap_or_else(|error| panic!("{error}"));
    let grown = old.execute_batch(
        "UPDATE change SET body = replace(body, '\"second\"', '\"first\"');
         UPDATE resource SET body = replace(body, '\"second\"', '\"first\"');
         DROP TRIGGER audit_is_timed; DROP TABLE audit_time; PRAGMA user_version = 3;",
    );
    grown.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn rules_that_shared_a_name_are_told_apart() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let rule = |name: &str, status: u16| json!({ "name": name, "if": { "path": format!("/{name}") }, "then": { "fixed_response": { "status": status } } });
    let rules =
        json!([rule("first", 410), { "if": { "path": "/x" }, "then": { "forward": "web" } }, rule("second", 411)]);
    let listener = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "web" } });
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &json!({ "listeners": { "http": listener } }), 201);
    API.expect(&headworks, "PUT /v1/target-groups/other", &json!({}), 201);
    headworks.signal(Signal::TERM);
    headworks.wait_exit();
    let database = headworks.path("state/headworks.db");
    grow_old(&database);
    let saved = std::fs::read(&database).unwrap();

    headworks.save(&proxy("", ""), &[("web", &web)]);
    headworks.again();
    assert_eq!(names(&headworks), [json!("first"), Value::Null, json!("first-2")]);
    let revision = newest(&headworks);
    assert_eq!((&revision["revision"], &revision["principal"]), (&json!(3), &json!("hrn:headworks:local")));
    assert!(revision["reason"].as_str().unwrap().contains("kept by an older version"), "{revision:#}");
    let changes = API.get(&headworks, "/v1/revisions/3")["changes"].to_string();
    assert!(changes.contains("rules[2].name: first -> first-2"), "{changes}");
    let audit = API.get(&headworks, "/v1/audit?limit=1&action=headworks:ChangeResources")["entries"][0].clone();
    assert_eq!((&audit["revision"], &audit["source"]), (&json!(3), &json!("headworks run")), "{audit:#}");
    assert_eq!(API.get(&headworks, "/v1/audit/verify")["intact"], true);
    let status = |path: &str| Client::connect(headworks.listener("edge/http")).ask(&ask("GET", path)).response().status;
    assert_eq!((status("/first"), status("/second")), (410, 411));

    // what was before is shown as it was, and brought back as it can be
    let before = API.get(&headworks, "/v1/revisions/2/resources").to_string();
    assert_eq!(before.matches("\"first\"").count(), 2, "{before}");
    API.expect(&headworks, &format!("DELETE {RULES}/first-2"), &Value::Null, 204);
    API.expect(&headworks, "POST /v1/revisions/2/restore", &Value::Null, 200);
    assert_eq!(names(&headworks), [json!("first"), Value::Null, json!("first-2")]);
    API.expect(&headworks, &format!("DELETE {RULES}/first"), &Value::Null, 204);
    assert_eq!(API.raw(&headworks, "POST /v1/restore", &[], &saved).status, 200);
    assert_eq!(names(&headworks), [json!("first"), Value::Null, json!("first-2")]);

    // once is enough
    let revision = newest(&headworks);
    headworks.restart(Signal::TERM);
    assert_eq!(newest(&headworks), revision);
}
