//! The console in a real browser. What is done there is in `console/tests`; here is the program that it is done to.

use std::path::PathBuf;
use std::process::Command;

use headworks_testkit::{Headworks, Origin};
use serde_json::{Value, json};

use crate::api::{Api, NOBODY};
use crate::identities::initialise;
use crate::signing_in::{PASSWORD, second_factor};
use crate::start;

/// Runs one of the console's tests.
fn browse(script: &str, parts: &[(&str, String)]) {
    let console = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../console");
    let is_there = console.join("node_modules/playwright-core").exists() && console.join("dist/index.html").exists();
    assert!(is_there, "the console has not been built: `make console`");
    let ran = Command::new("node")
        .arg(console.join("tests").join(script))
        .envs(parts.iter().map(|(name, value)| (*name, value.as_str())))
        .output()
        .unwrap_or_else(|error| panic!("node: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}");
}

/// A load balancer whose resources came by the API, so that they can be changed there, and where it listens.
fn shop(headworks: &Headworks, api: &Api, origins: [&Origin; 4]) -> String {
    let put = |line: &str, body: &Value| api.expect(headworks, line, body, 201);
    let group = |targets: &[&Origin]| {
        let targets: Vec<String> = targets.iter().map(|origin| origin.address().to_string()).collect();
        json!({ "targets": targets, "health_check": { "protocol": "none" } })
    };
    let [blue, green, first, second] = origins;
    put("PUT /v1/target-groups/blue", &group(&[blue]));
    put("PUT /v1/target-groups/green", &group(&[green]));
    put("PUT /v1/target-groups/pool", &group(&[first, second]));
    let listener = json!({
        "address": "127.0.0.1:0",
        "rules": [
            { "name": "pool", "if": { "path": ["/pool"] }, "then": { "forward": "pool" } },
            { "name": "release", "if": { "path": ["/*"] }, "then": { "forward": { "groups": { "blue": 50, "green": 50 } } } },
        ],
        "default": { "fixed_response": { "status": 404 } },
    });
    put("PUT /v1/load-balancers/shop", &json!({ "listeners": { "http": listener } }));
    let status = api.get(headworks, "/v1/status");
    status["load_balancers"]["shop"]["listeners"]["http"]["address"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_operator_shifts_drains_is_told_and_restores() {
    let origins = ["blue", "green", "first", "second"].map(Origin::echo);
    let [blue, green, first, second] = &origins;
    let headworks = start("admin: { address: 127.0.0.1:0, auth: required }\n", &[]);
    let root = initialise(&headworks);
    let listener = shop(&headworks, &root, [blue, green, first, second]);
    let user = json!({ "attached": ["AdministratorAccess"] });
    root.expect(&headworks, "PUT /v1/iam/users/alice", &user, 201);
    let secret = second_factor(&headworks, &root, "alice");
    let parts = [
        ("CONSOLE", headworks.admin().to_string()),
        ("LISTENER", listener),
        ("NAME", "alice".to_owned()),
        ("PASSWORD", PASSWORD.to_owned()),
        ("SECRET", secret),
        ("TARGET", first.address().to_string()),
    ];
    browse("operate.mjs", &parts);
    let audit = root.get(&headworks, "/v1/audit?principal=hrn:headworks:user/alice&action=headworks:PutRule");
    assert!(audit["entries"].as_array().is_some_and(|entries| !entries.is_empty()), "{audit:#}");
}

#[test]
fn every_page_is_whole_named_and_readable() {
    let origins = ["blue", "green", "first", "second"].map(Origin::echo);
    let [blue, green, first, second] = &origins;
    let headworks = start("admin: { address: 127.0.0.1:0 }\n", &[]);
    shop(&headworks, &NOBODY, [blue, green, first, second]);
    NOBODY.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "attached": ["ReadOnlyAccess"] }), 201);
    browse("pages.mjs", &[("CONSOLE", headworks.admin().to_string())]);
}
