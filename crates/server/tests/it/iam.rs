//! What is kept of identities: tags that tell whether one has changed, versions of policies, what credentials were used for.

use headworks_testkit::{Headworks, Origin};
use serde_json::{Value, json};

use crate::api::Api;
use crate::identities::{allow, locked, user};

/// A call with a field line: its status, and the tag of the answer.
fn tagged(api: &Api, headworks: &Headworks, line: &str, field: &str, body: &Value) -> (u16, String) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let response = api.raw(headworks, line, &[field], &body);
    (response.status, response.field("ETag").unwrap_or_default().to_owned())
}

#[test]
fn a_tag_tells_whether_an_identity_has_changed() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let trust = |principal: &str| {
        json!({ "Statement": {
            "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "headworks:AssumeRole" } })
    };
    let document = |action: &str| allow(&json!(action), &json!("*"));
    let read_only = || json!({ "attached": ["ReadOnlyAccess"] });
    for (path, first, second) in [
        ("users/alice", json!({}), read_only()),
        ("groups/staff", json!({}), read_only()),
        ("roles/deploy", json!({ "trust": trust("*") }), json!({ "trust": trust("hrn:headworks:user/alice") })),
        ("policies/own", document("headworks:Get*"), document("headworks:List*")),
        ("users/alice/policies/own", document("headworks:Get*"), document("headworks:List*")),
        ("groups/staff/policies/own", document("headworks:Get*"), document("headworks:List*")),
    ] {
        let [get, put, delete] = ["GET", "PUT", "DELETE"].map(|method| format!("{method} /v1/iam/{path}"));
        let call = |line: &str, field: &str, body: &Value| tagged(&root, &headworks, line, field, body);
        assert_eq!(call(&put, "If-Match: *", &first).0, 412, "{path} is not there");
        let (status, tag) = call(&put, "If-None-Match: *", &first);
        assert_eq!(status, 201, "{path}");
        assert_eq!(call(&put, "If-None-Match: *", &first).0, 412, "{path} is there");
        assert_eq!(call(&get, &format!("If-None-Match: {tag}"), &Value::Null), (304, tag.clone()), "{path}");
        let matches = format!("If-Match: {tag}");
        let (status, other) = call(&put, &matches, &second);
        assert_eq!(status, 200, "{path}");
        assert_ne!(tag, other, "{path}");
        assert_eq!(call(&get, &format!("If-None-Match: {tag}"), &Value::Null), (200, other.clone()), "{path}");
        assert_eq!(call(&put, &matches, &first).0, 412, "{path} has changed since");
        assert_eq!(call(&delete, &matches, &Value::Null).0, 412, "{path} has changed since");
        if path.contains("policies") {
            assert_eq!(call(&delete, &format!("If-Match: {other}"), &Value::Null).0, 204, "{path}");
        }
    }
    // that a key is used does not change its user, that it is made does
    let path = "GET /v1/iam/users/bob";
    let bob = user(&headworks, &root, "bob");
    let tag = |headworks: &Headworks| tagged(&root, headworks, path, "Accept: */*", &Value::Null).1;
    let before = tag(&headworks);
    bob.get(&headworks, "/v1/iam/whoami");
    assert_eq!(tag(&headworks), before);
    root.expect(&headworks, "POST /v1/iam/users/bob/access-keys", &json!({}), 201);
    assert_ne!(tag(&headworks), before);
}

#[test]
fn a_policy_has_versions_of_which_one_holds() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let alice = user(&headworks, &root, "alice");
    let says =
        |number: u64| allow(&json!(format!("headworks:GetTargetGroup{}", "?".repeat(number as usize))), &json!("*"));
    let groups = allow(&json!("headworks:GetTargetGroup"), &json!("*"));
    let policy = "/v1/iam/policies/own";
    root.expect(&headworks, &format!("PUT {policy}"), &groups, 201);
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "attached": ["own"] }), 200);
    alice.get(&headworks, "/v1/target-groups/web");
    let versions = format!("{policy}/versions");
    let second = root.expect(&headworks, &format!("POST {versions}"), &json!({ "document": says(2) }), 201);
    assert_eq!((&second["version"], &second["default"]), (&json!("v2"), &json!(false)));
    alice.get(&headworks, "/v1/target-groups/web");
    root.expect(&headworks, &format!("PUT {policy}/default-version"), &json!({ "version": "v2" }), 200);
    alice.expect(&headworks, "GET /v1/target-groups/web", &Value::Null, 403);
    assert_eq!(root.get(&headworks, policy), says(2));
    assert_eq!(root.get(&headworks, &format!("{versions}/v1"))["document"], groups);
    root.expect(&headworks, &format!("POST {versions}"), &json!({ "document": says(3), "set_default": true }), 201);
    root.expect(&headworks, &format!("PUT {policy}"), &says(4), 200);
    root.expect(&headworks, &format!("PUT {policy}"), &says(4), 200);
    root.expect(&headworks, &format!("PUT {policy}"), &says(5), 200);
    let full = root.expect(&headworks, &format!("POST {versions}"), &json!({ "document": says(6) }), 409);
    assert_eq!(full["type"], "urn:headworks:problem:limit-exceeded", "{full:#}");
    root.expect(&headworks, &format!("PUT {policy}"), &says(6), 200);
    let listed = |headworks: &Headworks| {
        let all = root.get(headworks, &versions)["versions"].as_array().cloned().unwrap_or_default();
        let word = |one: &Value| {
            format!("{}{}", one["version"].as_str().unwrap_or("?"), if one["default"] == true { "*" } else { "" })
        };
        all.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed(&headworks), "v2 v3 v4 v5 v6*");
    for (line, body, status) in [
        (format!("DELETE {versions}/v6"), Value::Null, 409),
        (format!("DELETE {versions}/v1"), Value::Null, 404),
        (format!("GET {versions}/6"), Value::Null, 404),
        (format!("PUT {policy}/default-version"), json!({ "version": "v1" }), 404),
        (format!("PUT {policy}/default-version"), json!({}), 400),
        (format!("POST {versions}"), json!({ "document": { "Statement": [] } }), 400),
        (format!("POST {versions}"), json!({}), 400),
        ("POST /v1/iam/policies/AdministratorAccess/versions".to_owned(), json!({ "document": says(1) }), 409),
        ("GET /v1/iam/policies/nobody/versions".to_owned(), Value::Null, 404),
        (format!("DELETE {versions}/v3"), Value::Null, 204),
    ] {
        root.expect(&headworks, &line, &body, status);
    }
    assert_eq!(listed(&headworks), "v2 v4 v5 v6*");
    assert_eq!(root.get(&headworks, "/v1/iam/policies")["policies"]["own"]["version"], "v6");
}

#[test]
fn the_report_has_every_credential_and_what_became_of_it() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let alice = user(&headworks, &root, "alice");
    user(&headworks, &root, "a,b");
    let second = root.expect(&headworks, "POST /v1/iam/users/a,b/access-keys", &json!({}), 201);
    let off = format!("PATCH /v1/iam/users/a,b/access-keys/{}", second["access_key_id"].as_str().unwrap_or("?"));
    root.expect(&headworks, &off, &json!({ "status": "inactive" }), 200);
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "attached": ["ReadOnlyAccess"] }), 200);
    root.expect(&headworks, "PUT /v1/iam/users/alice/password", &json!({ "password": "Correct horse 1" }), 204);
    root.expect(&headworks, "PUT /v1/iam/password-policy", &json!({ "max_age_days": 90 }), 200);
    root.expect(&headworks, "PUT /v1/iam/users/nobody", &json!({}), 201);
    alice.get(&headworks, "/v1/target-groups/web");
    let response = root.call(&headworks, "GET /v1/iam/credential-report", &Value::Null);
    assert_eq!(response.field("Content-Type"), Some("text/csv"));
    let text = response.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,\
         mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,\
         access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,\
         access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,\
         cert_2_last_rotated"
    );
    // `T` is a time
    let time =
        |cell: &str| if cell.starts_with("20") && cell.ends_with('Z') { "T".to_owned() } else { cell.to_owned() };
    let shown = |line: &&str| line.split(',').map(time).collect::<Vec<_>>().join(",");
    let unused = "false,N/A,N/A,N/A,N/A";
    let certificates = "false,N/A,false,N/A";
    let mut expected = vec![
        format!(
            "<root_account>,hrn:headworks:root,T,not_supported,not_supported,not_supported,not_supported,false,\
                 true,T,T,local,headworks,{unused},{certificates}"
        ),
        format!(
            "\"a,b\",\"hrn:headworks:user/a,b\",T,false,N/A,N/A,N/A,false,true,T,N/A,N/A,N/A,\
                 false,T,N/A,N/A,N/A,{certificates}"
        ),
        format!(
            "alice,hrn:headworks:user/alice,T,true,no_information,T,T,false,true,T,T,local,headworks,{unused},{certificates}"
        ),
        format!("nobody,hrn:headworks:user/nobody,T,false,N/A,N/A,N/A,false,{unused},{unused},{certificates}"),
    ];
    assert_eq!(lines[1..].iter().map(shown).collect::<Vec<_>>(), std::mem::take(&mut expected));
}

#[test]
fn what_an_identity_was_permitted_is_remembered() {
    let web = Origin::echo("web");
    let (mut headworks, root) = locked(&web);
    let alice = user(&headworks, &root, "alice");
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "attached": ["ReadOnlyAccess"] }), 200);
    let trust = json!({ "Statement": { "Effect": "Allow", "Principal": { "AWS": "hrn:headworks:user/alice" }, "Action": "*" } });
    root.expect(
        &headworks,
        "PUT /v1/iam/roles/deploy",
        &json!({ "trust": trust, "attached": ["ReadOnlyAccess"] }),
        201,
    );
    alice.get(&headworks, "/v1/target-groups/web");
    alice.expect(&headworks, "DELETE /v1/target-groups/web", &Value::Null, 403);
    let session = alice.expect(&headworks, "POST /v1/iam/roles/deploy/sessions", &json!({ "session_name": "ci" }), 201);
    Api::with(crate::api::Key::of(&session)).get(&headworks, "/v1/target-groups");
    let actions = |headworks: &Headworks, of: &str| {
        let told = root.get(headworks, &format!("/v1/iam/{of}/last-accessed"));
        assert_eq!(told["service"], "headworks");
        let mut actions: Vec<String> = told["actions"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .iter()
            .map(|one| {
                assert_eq!(one["source"], "127.0.0.1", "{told:#}");
                one["action"].as_str().unwrap_or_default().to_owned()
            })
            .collect();
        actions.sort_unstable();
        actions.join(" ")
    };
    let did = "headworks:AssumeRole headworks:GetTargetGroup";
    assert_eq!(actions(&headworks, "users/alice"), did);
    assert_eq!(actions(&headworks, "roles/deploy"), "headworks:ListTargetGroups");
    headworks.restart(rustix::process::Signal::TERM);
    // what a role says may change, what was done in it stays
    root.expect(&headworks, "PUT /v1/iam/roles/deploy", &json!({ "trust": trust }), 200);
    assert_eq!(actions(&headworks, "users/alice"), did);
    assert_eq!(actions(&headworks, "roles/deploy"), "headworks:ListTargetGroups");
    root.expect(&headworks, "GET /v1/iam/users/nobody/last-accessed", &Value::Null, 404);
    let file = format!("admin: {{ address: \"{}\", auth: required }}\n", headworks.admin());
    std::fs::write(headworks.path("here.yaml"), file).unwrap();
    let said = headworks.beside(&["iam", "last-accessed", "role/deploy", "-c", "here.yaml"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.lines().any(|line| line.starts_with("headworks:ListTargetGroups") && line.ends_with("127.0.0.1")),
        "{said}"
    );
    let report = headworks.beside(&["iam", "credential-report", "-c", "here.yaml"]);
    assert!(String::from_utf8_lossy(&report.stdout).starts_with("user,arn,"), "{report:?}");
    let wrong = headworks.beside(&["iam", "last-accessed", "group/x", "-c", "here.yaml"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
