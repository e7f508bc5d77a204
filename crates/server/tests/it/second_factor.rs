//! A second factor for who signs with a key: codes become temporary credentials, of a user itself and of roles.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use headworks_iam::totp;
use headworks_testkit::{Headworks, Origin};
use serde_json::{Value, json};

use crate::HEADWORKS;
use crate::api::{Api, Key};
use crate::identities::{locked, user};
use crate::signing_in::{base32, second_factor, sign_in};

/// A user with a key and a second factor, and the one code of it that is good: that of this moment was used to prove it.
fn with_factor(headworks: &Headworks, root: &Api, name: &str) -> (Api, String) {
    let api = user(headworks, root, name);
    let secret = base32(&second_factor(headworks, root, name));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    (api, totp::code(&secret, now / 30 + 1))
}

fn kind(problem: &Value) -> &str {
    problem["type"].as_str().unwrap_or_default().trim_start_matches("urn:headworks:problem:")
}

fn given(credentials: &Value) -> Api {
    Api::with(Key::of(credentials))
}

const OWN: &str = "POST /v1/iam/session-token";
const ROLE: &str = "POST /v1/iam/roles/careful/sessions";
const PUT: &str = "PUT /v1/target-groups/x?dry_run=true";

#[test]
fn codes_become_credentials_that_tell_of_them() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let ((alice, code), (bob, other)) =
        (with_factor(&headworks, &root, "alice"), with_factor(&headworks, &root, "bob"));
    let carol = user(&headworks, &root, "carol");
    let put = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "headworks:PutTargetGroup", "Resource": "*", "Condition": {
            "Bool": { "aws:MultiFactorAuthPresent": "true" }, "NumericLessThan": { "aws:MultiFactorAuthAge": "3600" } } } });
    let trust = json!({ "Statement": { "Effect": "Allow", "Action": "headworks:AssumeRole",
        "Principal": { "AWS": ["hrn:headworks:user/alice", "hrn:headworks:user/bob", "hrn:headworks:user/carol"] },
        "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "true" } } } });
    root.expect(&headworks, "PUT /v1/iam/users/alice/policies/put", &put, 201);
    root.expect(&headworks, "PUT /v1/iam/roles/careful", &json!({ "trust": trust }), 201);
    root.expect(&headworks, "PUT /v1/iam/roles/careful/policies/put", &put, 201);
    let with = |code: &str| json!({ "code": code });
    let session = |code: Option<&str>| {
        let mut body = json!({ "session_name": "one" });
        code.into_iter().for_each(|code| body["code"] = code.into());
        body
    };
    let refused = |api: &Api, line: &str, body: &Value, status: u16, expected: &str| {
        let problem = api.expect(&headworks, line, body, status);
        assert_eq!(kind(&problem), expected, "{line} {body}");
    };

    // a key alone is no second factor, and nor are credentials that were asked for without a code
    refused(&alice, PUT, &json!({}), 403, "access-denied");
    let plain = given(&alice.expect(&headworks, OWN, &Value::Null, 201));
    assert_eq!(plain.get(&headworks, "/v1/iam/whoami")["principal"], "hrn:headworks:user/alice");
    refused(&plain, PUT, &json!({}), 403, "access-denied");
    refused(&alice, ROLE, &session(None), 403, "access-denied");

    refused(&alice, OWN, &with("12345"), 403, "mfa-failed");
    let credentials = alice.expect(&headworks, OWN, &with(&code), 201);
    let own = given(&credentials);
    own.expect(&headworks, PUT, &json!({}), 200);
    refused(&alice, OWN, &with(&code), 403, "mfa-failed");
    refused(&own, OWN, &Value::Null, 403, "access-denied");
    // what was shown goes with a role that is assumed, or is shown for it
    let careful = given(&own.expect(&headworks, ROLE, &session(None), 201));
    careful.expect(&headworks, PUT, &json!({}), 200);
    let careful = given(&bob.expect(&headworks, ROLE, &session(Some(&other)), 201));
    careful.expect(&headworks, PUT, &json!({}), 200);
    refused(&careful, ROLE, &session(Some("123456")), 403, "access-denied");
    refused(&bob, ROLE, &session(Some(&other)), 403, "mfa-failed");

    refused(&carol, OWN, &with("123456"), 400, "invalid");
    refused(&root, OWN, &Value::Null, 403, "access-denied");
    refused(&carol, OWN, &json!({ "duration_seconds": 60 }), 400, "invalid");
    refused(&carol, OWN, &json!({ "serial": "x" }), 400, "invalid");
    let audit = root.get(&headworks, "/v1/audit?action=headworks:GetSessionToken&principal=hrn:headworks:user/alice");
    let statuses: Vec<u64> = audit["entries"].as_array().unwrap().iter().filter_map(|e| e["status"].as_u64()).collect();
    assert_eq!(statuses, [403, 403, 201, 403, 201], "{audit:#}");

    // they end with the factor that was shown, and with the key that they were asked for with
    root.expect(&headworks, "DELETE /v1/iam/users/alice/mfa", &Value::Null, 204);
    refused(&own, PUT, &json!({}), 401, "unauthenticated");
    plain.get(&headworks, "/v1/iam/whoami");
    let keys = root.get(&headworks, "/v1/iam/users/alice/access-keys");
    let id = keys["access_keys"][0]["access_key_id"].as_str().unwrap_or_else(|| panic!("{keys:#}"));
    let off = format!("PATCH /v1/iam/users/alice/access-keys/{id}");
    root.expect(&headworks, &off, &json!({ "status": "inactive" }), 200);
    refused(&plain, "GET /v1/iam/whoami", &Value::Null, 401, "unauthenticated");
}

/// As people do it: a code becomes credentials of a shell, with which the commands that follow are signed.
#[test]
fn a_shell_has_credentials_for_a_code() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let all = |condition: &Value| {
        json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "headworks:*", "Resource": "*", "Condition": condition } })
    };
    let shown = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
    let trust = json!({ "Statement": { "Effect": "Allow", "Action": "headworks:AssumeRole",
        "Principal": { "AWS": "hrn:headworks:user/bob" }, "Condition": shown } });
    root.expect(&headworks, "PUT /v1/iam/roles/deploy", &json!({ "trust": trust }), 201);
    root.expect(&headworks, "PUT /v1/iam/roles/deploy/policies/all", &all(&json!({})), 201);
    let endpoint = headworks.admin().to_string();
    // what a shell of a user does, and how that ends
    let shell = |name: &str, code: &str, script: &str| {
        let key = root.expect(&headworks, &format!("POST /v1/iam/users/{name}/access-keys"), &Value::Null, 201);
        let text = |of: &str| key[of].as_str().unwrap_or_default().to_owned();
        let output = Command::new("sh")
            .args(["-c", &format!("set -e; {script}"), HEADWORKS.0])
            .envs([("HEADWORKS_ENDPOINT", &*endpoint), ("CODE", code), ("HEADWORKS_SESSION_TOKEN", "")])
            .env("HEADWORKS_ACCESS_KEY_ID", text("access_key_id"))
            .env("HEADWORKS_SECRET_ACCESS_KEY", text("secret_access_key"))
            .output()
            .unwrap_or_else(|error| panic!("sh: {error}"));
        root.expect(
            &headworks,
            &format!("DELETE /v1/iam/users/{name}/access-keys/{}", text("access_key_id")),
            &Value::Null,
            204,
        );
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (said, output.status.code())
    };
    let (_, alices) = with_factor(&headworks, &root, "alice");
    root.expect(&headworks, "PUT /v1/iam/users/alice/policies/all", &all(&shown), 201);
    let (_, bobs) = with_factor(&headworks, &root, "bob");
    let (said, code) = shell("alice", &alices, "\"$0\" create tg early");
    assert!(code == Some(2) && said.contains("not authorized"), "{said}");
    let (said, code) = shell("alice", "000000x", "\"$0\" iam session --code \"$CODE\"");
    assert!(code == Some(2) && !said.contains("export"), "{said}");
    let own = "given=$(\"$0\" iam session --code \"$CODE\" --duration 900); eval \"$given\"; \"$0\" create tg own";
    let (said, code) = shell("alice", &alices, own);
    assert_eq!(code, Some(0), "{said}");
    let role = "given=$(\"$0\" iam session --role deploy --session-name release --code \"$CODE\"); eval \"$given\"; \"$0\" create tg roles; \"$0\" get target-groups";
    let (said, code) = shell("bob", &bobs, role);
    assert!(code == Some(0) && said.contains("own") && said.contains("roles") && !said.contains("early"), "{said}");
    for (group, principal) in [("own", "hrn:headworks:user/alice"), ("roles", "role/deploy/release")] {
        let trail = root.get(&headworks, &format!("/v1/audit?resource=hrn:headworks:target-group/{group}"));
        let entry = &trail["entries"][0];
        let is_theirs = entry["principal"].as_str().is_some_and(|who| who.ends_with(principal));
        assert!(is_theirs && entry["status"] == 201, "{trail:#}");
    }
}

/// Codes are guessed no more often than passwords are.
#[test]
fn whoever_guesses_codes_waits() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let (bob, code) = with_factor(&headworks, &root, "bob");
    for _ in 0..5 {
        let problem = bob.expect(&headworks, OWN, &json!({ "code": "x" }), 403);
        assert_eq!(kind(&problem), "mfa-failed");
    }
    let problem = bob.expect(&headworks, OWN, &json!({ "code": code }), 429);
    assert_eq!(kind(&problem), "too-many-attempts");
    let password = json!({ "user": "bob", "password": crate::signing_in::PASSWORD, "code": code });
    assert_eq!(sign_in(&headworks, &password).status, 429);
}
