//! Who may do what where `admin.auth` is `required`: signatures, policies, roles, and every route as nobody, as a stranger and as
//! an owner.

use headworks_iam::sigv4::content_hash;
use headworks_testkit::{Headworks, Origin};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::{Api, Key, NOBODY};
use crate::python::program;
use crate::{HEADWORKS, start};

pub(crate) const LOCKED: &str = "
admin: { address: 127.0.0.1:0, auth: required }
load_balancers:
  shop: { listeners: { http: { address: 127.0.0.1:0, default: { forward: web } } } }
target_groups:
  web: { targets: [<web>], health_check: { protocol: none } }
";

/// An installation, and its root identity.
pub(crate) fn locked(web: &Origin) -> (Headworks, Api) {
    let headworks = start(LOCKED, &[("web", web)]);
    let root = initialise(&headworks);
    (headworks, root)
}

pub(crate) fn initialise(headworks: &Headworks) -> Api {
    let output = headworks.beside(&["init", "-c", "headworks.yaml", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    Api::with(Key::of(&answer))
}

/// A new user and its key.
pub(crate) fn user(headworks: &Headworks, root: &Api, name: &str) -> Api {
    root.expect(headworks, &format!("PUT /v1/iam/users/{name}"), &Value::Null, 201);
    let key = root.expect(headworks, &format!("POST /v1/iam/users/{name}/access-keys"), &Value::Null, 201);
    Api::with(Key::of(&key))
}

pub(crate) fn allow(actions: &Value, resources: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": actions, "Resource": resources } })
}

#[test]
fn an_installation_is_locked_until_it_is_initialised_and_then_has_one_root() {
    let web = Origin::echo("web");
    let mut headworks = start(LOCKED, &[("web", &web)]);
    headworks.expect_alive();
    NOBODY.expect(&headworks, "GET /v1/target-groups", &Value::Null, 401);
    let root = initialise(&headworks);
    assert_eq!(root.get(&headworks, "/v1/iam/whoami")["principal"], "hrn:headworks:root");
    let again = headworks.beside(&["init", "-c", "headworks.yaml", "--json"]);
    assert_eq!((again.status.code(), again.stdout.len()), (Some(1), 0), "{again:?}");
    headworks.restart(Signal::TERM);
    root.get(&headworks, "/v1/target-groups/web");
    let other = headworks.beside(&["init", "-c", "headworks.yaml", "--json", "--replace"]);
    let other: Value = serde_json::from_slice(&other.stdout).unwrap();
    let other = Api::with(Key::of(&other));
    other.get(&headworks, "/v1/target-groups/web");
    root.expect(&headworks, "GET /v1/target-groups/web", &Value::Null, 401);
}

#[test]
fn without_authentication_the_api_is_for_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("headworks.yaml"), "admin: { address: 0.0.0.0:0 }\n").unwrap();
    let output = HEADWORKS.run(folder.path(), &["run", "-c", "headworks.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("admin.address") && said.contains("auth: required"), "{said}");
}

/// Who, what, with what, and the status.
pub(crate) type Attempt<'a> = (&'a Api, &'static str, Value, u16);

pub(crate) fn attempt(headworks: &Headworks, attempts: &[Attempt<'_>]) {
    for (api, line, body, status) in attempts {
        api.expect(headworks, line, body, *status);
    }
}

/// Scenario 10: groups Developers, Audit, Operations and none; a user in two groups has what both have; a policy of its own gives
/// one user more.
#[test]
fn groups_and_policies_add_up() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let developers = allow(
        &json!(["headworks:PutTargetGroup", "headworks:GetTargetGroup"]),
        &json!("hrn:headworks:target-group/dev-*"),
    );
    let audit = allow(&json!("headworks:ListAuditEntries"), &json!("*"));
    let operations = json!({ "Version": "2012-10-17", "Id": "operations", "Statement": [
        { "Sid": "Targets", "Effect": "Allow", "Action": ["headworks:*Targets", "headworks:Get*"], "Resource": "*",
          "Condition": { "IpAddress": { "aws:SourceIp": ["127.0.0.0/8", "::1/128"] } } },
        { "Sid": "NotTheSecret", "Effect": "Deny", "NotAction": "headworks:List*", "Resource": "hrn:headworks:target-group/secret" },
    ] });
    for (group, policy) in [("Developers", &developers), ("Audit", &audit), ("Operations", &operations)] {
        root.expect(&headworks, &format!("PUT /v1/iam/groups/{group}"), &json!({}), 201);
        root.expect(&headworks, &format!("PUT /v1/iam/groups/{group}/policies/own"), policy, 201);
    }
    let [dana, otto, both, none] = ["dana", "otto", "both", "none"].map(|name| user(&headworks, &root, name));
    root.expect(&headworks, "PUT /v1/iam/groups/Developers/members/dana", &Value::Null, 204);
    root.expect(&headworks, "PUT /v1/iam/groups/Operations/members/otto", &Value::Null, 204);
    root.expect(&headworks, "PUT /v1/iam/users/both", &json!({ "groups": ["Developers", "Audit"] }), 200);
    root.expect(&headworks, "PUT /v1/target-groups/secret", &json!({}), 201);
    let group = || json!({ "health_check": { "protocol": "none" } });
    let register = || json!(["127.0.0.1:1"]);
    attempt(
        &headworks,
        &[
            (&dana, "PUT /v1/target-groups/dev-1", group(), 201),
            (&dana, "PUT /v1/target-groups/prod", group(), 403),
            (&dana, "GET /v1/audit", Value::Null, 403),
            (&dana, "DELETE /v1/target-groups/dev-1", Value::Null, 403),
            (&both, "PUT /v1/target-groups/dev-1", group(), 200),
            (&both, "GET /v1/audit", Value::Null, 200),
            (&both, "POST /v1/target-groups/dev-1/targets", register(), 403),
            (&otto, "POST /v1/target-groups/dev-1/targets", register(), 200),
            (&otto, "POST /v1/target-groups/secret/targets", register(), 403),
            (&otto, "GET /v1/target-groups/web", Value::Null, 200),
            (&none, "GET /v1/target-groups/web", Value::Null, 403),
            (&none, "GET /v1/target-groups/nobody", Value::Null, 403),
            (&none, "GET /v1/iam/users/none", Value::Null, 403),
        ],
    );
    // a policy of one user's own, and what a change as a whole needs is asked of each part
    let own = allow(&json!("headworks:*TargetGroup"), &json!("hrn:headworks:target-group/${aws:username}-*"));
    root.expect(&headworks, "PUT /v1/iam/users/none/policies/own", &own, 201);
    attempt(
        &headworks,
        &[
            (&none, "PUT /v1/target-groups/none-1", group(), 201),
            (&none, "PUT /v1/target-groups/dana-1", group(), 403),
            (&none, "POST /v1/changes", json!({ "put": { "target_groups": { "none-2": {} } } }), 200),
            (&none, "POST /v1/changes", json!({ "put": { "target_groups": { "none-3": {}, "dana-1": {} } } }), 403),
            (&none, "DELETE /v1/target-groups/none-1", Value::Null, 204),
        ],
    );
    root.expect(&headworks, "DELETE /v1/iam/users/none/policies/own", &Value::Null, 204);
    none.expect(&headworks, "PUT /v1/target-groups/none-1", &group(), 403);
    // who was denied what is there to be read
    let denied = root.get(&headworks, "/v1/audit?outcome=denied&principal=hrn:headworks:user/otto");
    let entry = &denied["entries"][0];
    assert_eq!(entry["resource"], "hrn:headworks:target-group/secret", "{denied:#}");
    assert_eq!(entry["action"], "headworks:RegisterTargets");
    assert!(entry["why"].as_str().is_some_and(|why| why.contains("statement NotTheSecret")), "{entry:#}");
}

#[test]
fn policies_with_mistakes_are_refused_with_their_places() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    user(&headworks, &root, "alice");
    let statement = |more: Value| {
        let mut statement = json!({ "Effect": "Allow", "Action": "headworks:*", "Resource": "*" });
        if let (Some(statement), Some(more)) = (statement.as_object_mut(), more.as_object()) {
            statement.extend(more.clone());
        }
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    };
    for (document, path) in [
        (json!([]), ""),
        (json!({ "Version": "2020-01-01", "Statement": [] }), "Version"),
        (json!({ "Version": "2012-10-17" }), "Statement"),
        (statement(json!({ "Effect": "Permit" })), "Statement[0].Effect"),
        (statement(json!({ "Action": ["headworks:Get*", "everything"] })), "Statement[0].Action[1]"),
        (statement(json!({ "NotAction": "headworks:Get*" })), "Statement[0].NotAction"),
        (statement(json!({ "Resource": "target-group/web" })), "Statement[0].Resource"),
        (statement(json!({ "Principal": "*" })), "Statement[0].Principal"),
        (statement(json!({ "Sid": "not fine" })), "Statement[0].Sid"),
        (
            statement(json!({ "Condition": { "StringEqual": { "aws:username": "a" } } })),
            "Statement[0].Condition.StringEqual.aws:username",
        ),
        (
            statement(json!({ "Condition": { "IpAddress": { "aws:SourceIp": "here" } } })),
            "Statement[0].Condition.IpAddress.aws:SourceIp",
        ),
        (statement(json!({ "Colour": "red" })), "Statement[0].Colour"),
    ] {
        let problem = root.expect(&headworks, "PUT /v1/iam/users/alice/policies/own", &document, 400);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.iter().any(|error| error["path"] == path), "{document}: nothing at {path} in {problem:#}");
    }
    let many: Vec<String> = (0..200).map(|number| format!("headworks:GetTargetGroup{number}")).collect();
    root.expect(&headworks, "PUT /v1/iam/users/alice/policies/own", &allow(&json!(many), &json!("*")), 409);
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "groups": ["nobody"] }), 400);
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "colour": "red" }), 400);
    root.expect(&headworks, "PUT /v1/iam/users/not%20fine", &json!({}), 400);
}

#[test]
fn keys_come_in_pairs_can_be_turned_off_and_tell_when_they_were_used() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let alice = user(&headworks, &root, "alice");
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "attached": ["ReadOnlyAccess"] }), 200);
    alice.get(&headworks, "/v1/target-groups/web");
    let keys = root.get(&headworks, "/v1/iam/users/alice/access-keys");
    let key = &keys["access_keys"][0];
    assert_eq!(key["last_used"]["action"], "headworks:GetTargetGroup", "{keys:#}");
    let path = format!("/v1/iam/users/alice/access-keys/{}", key["access_key_id"].as_str().unwrap_or_default());
    let second = root.expect(&headworks, "POST /v1/iam/users/alice/access-keys", &json!({}), 201);
    root.expect(&headworks, "POST /v1/iam/users/alice/access-keys", &json!({}), 409);
    root.expect(&headworks, &format!("PATCH {path}"), &json!({ "status": "inactive" }), 200);
    alice.expect(&headworks, "GET /v1/target-groups/web", &Value::Null, 401);
    Api::with(Key::of(&second)).get(&headworks, "/v1/target-groups/web");
    root.expect(&headworks, &format!("PATCH {path}"), &json!({ "status": "active" }), 200);
    alice.get(&headworks, "/v1/target-groups/web");
    root.expect(&headworks, &format!("DELETE {path}"), &Value::Null, 204);
    alice.expect(&headworks, "GET /v1/target-groups/web", &Value::Null, 401);
    let told = root.get(&headworks, "/v1/iam/users/alice").to_string();
    assert!(!told.contains(second["secret_access_key"].as_str().unwrap_or("?")), "a secret is told twice");
    root.expect(&headworks, "DELETE /v1/iam/users/alice", &Value::Null, 204);
    Api::with(Key::of(&second)).expect(&headworks, "GET /v1/target-groups/web", &Value::Null, 401);
}

#[test]
fn roles_are_assumed_by_whom_they_trust_within_their_bounds() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let (alice, bob) = (user(&headworks, &root, "alice"), user(&headworks, &root, "bob"));
    let trust = |principal: &str| {
        json!({ "Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "headworks:AssumeRole" } })
    };
    let boundary = allow(&json!("headworks:*TargetGroup*"), &json!("*"));
    root.expect(&headworks, "PUT /v1/iam/policies/groups-only", &boundary, 201);
    let role = json!({ "trust": trust("hrn:headworks:user/alice"), "attached": ["AdministratorAccess"], "boundary": "groups-only" });
    root.expect(&headworks, "PUT /v1/iam/roles/deploy", &role, 201);
    let assume = "POST /v1/iam/roles/deploy/sessions";
    bob.expect(&headworks, assume, &json!({ "session_name": "ci" }), 403);
    bob.expect(&headworks, "POST /v1/iam/roles/nobody/sessions", &json!({ "session_name": "ci" }), 403);
    alice.expect(&headworks, assume, &json!({ "session_name": "ci", "duration_seconds": 10 }), 400);
    let session = alice.expect(&headworks, assume, &json!({ "session_name": "ci" }), 201);
    let session = Api::with(Key::of(&session));
    assert_eq!(session.get(&headworks, "/v1/iam/whoami")["principal"], "hrn:headworks:assumed-role/deploy/ci");
    session.expect(&headworks, "PUT /v1/target-groups/x", &json!({}), 201);
    session.expect(&headworks, "GET /v1/audit", &Value::Null, 403);
    let bounded = json!({ "session_name": "less", "policy": allow(&json!("headworks:GetTargetGroup"), &json!("*")) });
    let bounded = alice.expect(&headworks, assume, &bounded, 201);
    let bounded = Api::with(Key::of(&bounded));
    bounded.get(&headworks, "/v1/target-groups/x");
    bounded.expect(&headworks, "PUT /v1/target-groups/x", &json!({}), 403);
    // trust in all leaves it to what each is allowed by itself
    let all = json!({ "trust": trust("hrn:headworks:root"), "attached": ["AdministratorAccess"] });
    root.expect(&headworks, "PUT /v1/iam/roles/deploy", &all, 200);
    bob.expect(&headworks, assume, &json!({ "session_name": "ci" }), 403);
    let may = allow(&json!("headworks:AssumeRole"), &json!("hrn:headworks:role/deploy"));
    root.expect(&headworks, "PUT /v1/iam/users/bob/policies/assume", &may, 201);
    bob.expect(&headworks, assume, &json!({ "session_name": "ci" }), 201);
    root.expect(&headworks, "DELETE /v1/iam/policies/groups-only", &Value::Null, 204);
    root.expect(&headworks, "DELETE /v1/iam/roles/deploy", &Value::Null, 204);
    session.expect(&headworks, "GET /v1/target-groups/x", &Value::Null, 401);
}

/// A session goes by the name of its role where one is trusted or denied.
#[test]
fn roles_are_trusted_by_name() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let alice = user(&headworks, &root, "alice");
    let statement = |effect: &str, principal: &str| json!({ "Effect": effect, "Principal": { "AWS": principal }, "Action": "headworks:AssumeRole" });
    let trust = |statements: Value| json!({ "trust": { "Version": "2012-10-17", "Statement": statements } });
    for (role, statements) in [
        ("first", json!([statement("Allow", "hrn:headworks:user/alice")])),
        ("second", json!([statement("Allow", "hrn:headworks:role/first")])),
        ("third", json!([statement("Allow", "*"), statement("Deny", "hrn:headworks:role/first")])),
    ] {
        root.expect(&headworks, &format!("PUT /v1/iam/roles/{role}"), &trust(statements), 201);
    }
    let may = allow(&json!("headworks:AssumeRole"), &json!("*"));
    root.expect(&headworks, "PUT /v1/iam/roles/first/policies/own", &may, 201);
    let named = json!({ "session_name": "ci" });
    let first = alice.expect(&headworks, "POST /v1/iam/roles/first/sessions", &named, 201);
    let first = Api::with(Key::of(&first));
    first.expect(&headworks, "POST /v1/iam/roles/second/sessions", &named, 201);
    first.expect(&headworks, "POST /v1/iam/roles/third/sessions", &named, 403);
    alice.expect(&headworks, "POST /v1/iam/roles/second/sessions", &named, 403);
    let question = json!({ "principal": "role/first", "actions": ["headworks:AssumeRole"],
        "resources": ["hrn:headworks:role/second", "hrn:headworks:role/third"] });
    let answers = root.expect(&headworks, "POST /v1/iam/simulate", &question, 200);
    let allowed: Vec<_> = (0..2).map(|n| answers["results"][n]["decision"]["allowed"].clone()).collect();
    assert_eq!(allowed, [json!(true), json!(false)], "{answers:#}");
}

#[test]
fn the_simulator_says_which_statement_decides() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    user(&headworks, &root, "alice");
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Sid": "NoDelete", "Effect": "Deny", "Action": "headworks:Delete*", "Resource": "*" },
    ] });
    root.expect(&headworks, "PUT /v1/iam/users/alice/policies/own", &policy, 201);
    let question = json!({ "principal": "user/alice", "actions": ["headworks:PutRule", "headworks:DeleteRule"] });
    let answer = root.expect(&headworks, "POST /v1/iam/simulate", &question, 200);
    let decision = |index: usize| &answer["results"][index]["decision"];
    assert_eq!(decision(0)["allowed"], true, "{answer:#}");
    assert_eq!(decision(0)["by"]["statement"], "All");
    assert_eq!(decision(1)["reason"], "explicit_deny");
    assert_eq!(decision(1)["by"], json!({ "policy": "user/alice/own", "statement": "NoDelete" }));
    root.expect(&headworks, "POST /v1/iam/simulate", &json!({ "principal": "user/nobody", "actions": [] }), 400);
}

/// Signed by the library that boto3 and the AWS command line sign with.
#[test]
fn signatures_are_those_of_aws() {
    let web = Origin::echo("web");
    let output = {
        let headworks = start(LOCKED, &[("web", &web)]);
        let output = headworks.beside(&["init", "-c", "headworks.yaml", "--json"]);
        let key: Value = serde_json::from_slice(&output.stdout).unwrap();
        let script = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
            .join("tests/it/identities/signed.py");
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let ran = program("python")
            .arg(script)
            .args([headworks.admin().to_string(), text("access_key_id"), text("secret_access_key")])
            .output();
        ran.unwrap_or_else(|error| panic!("{error}"))
    };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}

/// Every route of the description, as nobody, as somebody without a policy, and as somebody who may do all.
#[test]
fn every_route_asks_who_is_there() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let (stranger, owner) = (user(&headworks, &root, "stranger"), user(&headworks, &root, "owner"));
    root.expect(&headworks, "PUT /v1/iam/users/owner", &json!({ "attached": ["AdministratorAccess"] }), 200);
    let description = root.get(&headworks, "/v1/openapi.json");
    let public = ["/healthz", "/readyz", "/v1/session"];
    let known = ["/v1/openapi.json", "/v1/iam/whoami", "/v1/session/password", "/v1/iam/session-token"];
    let mut count = 0;
    for (path, methods) in description["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let target = path.replace(['{', '}'], "");
            let line = format!("{} {target}", method.to_ascii_uppercase());
            // a body that changes nothing, but would ask for something
            let body = match path.as_str() {
                "/v1/changes" => json!({ "put": { "target_groups": { "x": {} } } }),
                _ if method == "get" || operation.get("requestBody").is_none() => Value::Null,
                _ => json!({}),
            };
            let is_public = public.contains(&path.as_str());
            assert_eq!(NOBODY.call(&headworks, &line, &body).status == 401, !is_public, "{line} as nobody");
            if ["/v1/events", "/v1/live"].contains(&path.as_str()) {
                // what it answers to those who may has no end
                stranger.expect(&headworks, &line, &body, 403);
                continue;
            }
            let is_file = operation["requestBody"]["content"].get("application/octet-stream").is_some();
            let call = |api: &Api| {
                if is_file {
                    let hash = content_hash(b"no file");
                    return api.declaring(&headworks, &line, &[], b"no file", Some(&hash)).status;
                }
                api.call(&headworks, &line, &body).status
            };
            let status = call(&stranger);
            let is_open = is_public || known.contains(&path.as_str());
            // what a stranger restores or assumes is asked for when it is there
            let is_asked_later = path.ends_with("}/restore");
            assert!(is_open || is_asked_later || status == 403, "{line} as a stranger: {status}");
            if path == "/v1/session" {
                continue;
            }
            let status = call(&owner);
            let is_trusted = path.ends_with("/sessions");
            assert!(is_trusted || (status != 401 && status != 403 && status < 500), "{line} as an owner: {status}");
            count += 1;
        }
    }
    assert!(count > 60, "only {count} routes");
    headworks.expect_alive();
}

/// Every change of identities can be judged first: it says what it would do, tells nothing that is secret, and does nothing.
#[test]
fn changes_are_judged_first() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let alice = user(&headworks, &root, "alice");
    root.expect(&headworks, "PUT /v1/iam/groups/ops", &Value::Null, 201);
    root.expect(&headworks, "PUT /v1/iam/policies/reads", &allow(&json!("headworks:Get*"), &json!("*")), 201);
    let rows: [(&str, Value, &str); 12] = [
        ("PUT /v1/iam/users/bob", Value::Null, "+ iam.users.bob: "),
        ("PUT /v1/iam/users/alice", json!({ "groups": ["ops"] }), "+ iam.users.alice.groups[0]: ops"),
        ("DELETE /v1/iam/users/alice", Value::Null, "- iam.users.alice: "),
        ("POST /v1/iam/users/alice/access-keys", Value::Null, "+ iam.users.alice.keys[1]: "),
        ("PUT /v1/iam/users/alice/password", json!({ "password": "Correct-Horse-7" }), "~ iam.users.alice.login: "),
        ("POST /v1/iam/users/alice/mfa", Value::Null, "~ iam.users.alice.mfa.pending: null -> ***"),
        ("PUT /v1/iam/groups/ops/members/alice", Value::Null, "+ iam.users.alice.groups[0]: ops"),
        ("DELETE /v1/iam/groups/ops", Value::Null, "- iam.groups.ops: "),
        ("PUT /v1/iam/users/alice/policies/own", allow(&json!("*"), &json!("*")), "+ iam.users.alice.inline.own: "),
        (
            "PUT /v1/iam/policies/reads",
            allow(&json!("*"), &json!("*")),
            "~ iam.policies.reads.document.Statement.Action: ",
        ),
        ("DELETE /v1/iam/policies/reads", Value::Null, "- iam.policies.reads: "),
        (
            "PUT /v1/iam/password-policy",
            json!({ "minimum_length": 12 }),
            "~ iam.password_policy.minimum_length: 8 -> 12",
        ),
    ];
    let state = |what: &str| root.get(&headworks, &format!("/v1/iam/{what}"));
    let all = || ["users", "groups", "policies", "password-policy"].map(state);
    let before = all();
    for (line, body, expected) in rows {
        let judged = root.expect(&headworks, &format!("{line}?dry_run=true"), &body, 200);
        let lines = judged["changes"].as_array().cloned().unwrap_or_default();
        let is_told = lines.iter().any(|line| line.as_str().is_some_and(|line| line.starts_with(expected)));
        assert!(judged["dry_run"] == true && is_told, "{line}: {judged:#}");
        assert!(judged.get("secret").is_none() && judged.get("secret_access_key").is_none(), "{line}: {judged:#}");
        assert_eq!(all(), before, "{line}");
    }
    alice.get(&headworks, "/v1/iam/whoami");
    // and the trail has what was done
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "groups": ["ops"] }), 200);
    let found = root.get(&headworks, "/v1/audit?action=headworks:PutUser&limit=1");
    assert_eq!(found["entries"][0]["changes"], json!(["+ iam.users.alice.groups[0]: ops"]), "{found:#}");
    root.expect(&headworks, "PUT /v1/iam/users/carol?dry_run=true&reason=x", &Value::Null, 400);
}
