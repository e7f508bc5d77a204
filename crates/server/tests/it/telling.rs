//! What is told to somebody who may change something and may not see it, or what is beside it: that it is there, where that cannot
//! be hidden from who may make or take away a thing of that name, and nothing of what it says.

use headworks_testkit::{Headworks, Origin};
use serde_json::{Value, json};

use crate::api::Api;
use crate::identities::{allow, locked, user};

/// What nobody here but root may read.
const SECRETS: [&str; 4] = ["hush", "/secret", "payments", "127.0.0.1:7"];

const RULES: &str = "/v1/load-balancers/edge/listeners/http/rules";
const LISTENER: &str = "/v1/load-balancers/edge/listeners/http";

struct World {
    headworks: Headworks,
    root: Api,
    /// May put all, and read all but what is secret.
    dora: Api,
    /// May put the rule `open` alone, and read all but what is secret.
    nora: Api,
    /// May change all, and read nothing.
    mute: Api,
}

fn rule(name: &str, path: &str) -> Value {
    json!({ "name": name, "if": { "path": path }, "then": { "forward": "web" } })
}

fn world(web: &Origin) -> World {
    let (headworks, root) = locked(web);
    let [dora, nora, mute] = ["dora", "nora", "mute"].map(|name| user(&headworks, &root, name));
    let rules = json!([rule("hush", "/secret"), rule("open", "/open")]);
    let listener = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "web" } });
    root.expect(&headworks, "PUT /v1/load-balancers/edge", &json!({ "listeners": { "http": listener } }), 201);
    let group = json!({ "targets": ["127.0.0.1:7"], "health_check": { "protocol": "none" } });
    root.expect(&headworks, "PUT /v1/target-groups/payments", &group, 201);
    root.expect(&headworks, "PUT /v1/iam/groups/hush", &json!({}), 201);
    root.expect(&headworks, "PUT /v1/iam/policies/hush", &allow(&json!("*"), &json!("*")), 201);
    root.expect(&headworks, "PUT /v1/iam/users/hush", &json!({ "groups": ["hush"] }), 201);
    let changes = json!(["headworks:Put*", "headworks:Delete*", "headworks:*Targets", "headworks:ChangeResources"]);
    let deny = |action: &str, resources: Value| json!({ "Effect": "Deny", "Action": action, "Resource": resources });
    let secret = json!([
        "hrn:*/rule/hush",
        "hrn:headworks:target-group/pay*",
        "hrn:headworks:user/hush",
        "hrn:headworks:group/hush"
    ]);
    let may = |actions: &Value, on: &str| json!({ "Effect": "Allow", "Action": actions, "Resource": on });
    let own = |statements: Value| json!({ "Version": "2012-10-17", "Statement": statements });
    for (name, attached, policy) in [
        (
            "dora",
            json!(["ReadOnlyAccess"]),
            own(json!([
                may(&changes, "*"),
                may(&json!("headworks:RestoreRevision"), "*"),
                deny("headworks:Get*", secret.clone())
            ])),
        ),
        (
            "nora",
            json!(["ReadOnlyAccess"]),
            own(json!([
                may(&json!(["headworks:PutRule", "headworks:DeleteRule"]), "hrn:*/rule/open"),
                may(
                    &json!([
                        "headworks:PutUser",
                        "headworks:RestoreRevision",
                        "headworks:RemoveUserFromGroup",
                        "headworks:SimulatePrincipalPolicy"
                    ]),
                    "*"
                ),
                deny("headworks:Get*", secret),
            ])),
        ),
        ("mute", json!([]), own(json!([may(&changes, "*")]))),
    ] {
        root.expect(&headworks, &format!("PUT /v1/iam/users/{name}"), &json!({ "attached": attached }), 200);
        root.expect(&headworks, &format!("PUT /v1/iam/users/{name}/policies/own"), &policy, 201);
    }
    World { headworks, root, dora, nora, mute }
}

/// Each call is answered by a status and with a text, which has no secret but those that the caller has sent.
fn check(headworks: &Headworks, api: &Api, rows: &[(&str, Value, u16, &str)]) {
    for (line, body, status, said) in rows {
        let response = api.call(headworks, line, body);
        let told = response.text();
        assert_eq!(response.status, *status, "{line} {body}\n{response}");
        assert!(told.contains(said), "{line} {body} is not told of {said:?}: {told}");
        let sent = format!("{line} {body}");
        for secret in SECRETS.iter().filter(|secret| !sent.contains(**secret)) {
            assert!(!told.contains(secret), "{line} {body} is told of {secret}: {told}");
        }
    }
}

#[test]
fn a_name_that_is_taken_is_told_to_whoever_may_have_it() {
    let web = Origin::echo("web");
    let World { headworks, root, dora, nora, mute } = world(&web);
    let line = |method: &str, rule: &str| format!("{method} {RULES}{rule}");
    let (put, patch, add) = (line("PUT", "/open"), line("PATCH", "/open"), line("POST", ""));
    let first = format!("{add}?before=1&dry_run=true");
    let taken = "another rule of the listener has the name hush";
    for api in [&dora, &mute] {
        check(
            &headworks,
            api,
            &[
                (&*put, rule("hush", "/x"), 400, taken),
                (&*patch, json!({ "name": "hush" }), 400, taken),
                (&*add, rule("hush", "/x"), 400, taken),
                (&*first, rule("hush", "/x"), 400, taken),
            ],
        );
    }
    // whoever may not put it is told the same whether it is there or not
    for name in ["hush", "free"] {
        let denied =
            format!("headworks:PutRule on resource: hrn:headworks:load-balancer/edge/listener/http/rule/{name}");
        let dry = format!("{put}?dry_run=true");
        let named = format!("PUT {RULES}/{name}");
        check(
            &headworks,
            &nora,
            &[
                (&*put, rule(name, "/x"), 403, &*denied),
                (&*dry, rule(name, "/x"), 403, &*denied),
                (&*patch, json!({ "name": name }), 403, &*denied),
                (&*named, rule(name, "/x"), 403, &*denied),
            ],
        );
    }
    // and whoever sees it, where it is
    let seen = root.expect(&headworks, &put, &rule("hush", "/x"), 400);
    assert_eq!(seen["errors"][0]["path"], "load_balancers.edge.listeners.http.rules[1].name", "{seen:#}");
    assert_eq!(seen["errors"][0]["pointer"], "#/name");
    assert!(seen["detail"].as_str().unwrap().contains("rules[0] has the name hush as well"), "{seen:#}");
    check(&headworks, &nora, &[(&*put, rule("open", "/y"), 200, "/y")]);
}

#[test]
fn faults_and_answers_tell_nothing_of_what_is_not_seen() {
    let web = Origin::echo("web");
    let World { headworks, root, dora, nora, mute } = world(&web);
    let hidden = "does not go with something that is not shown";
    let dry = |line: &str| format!("{line}?dry_run=true");
    let listener = format!("PATCH {LISTENER}");
    let [by_name, by_number] = ["hush", "1"].map(|rule| format!("PATCH {RULES}/{rule}"));
    let add = format!("POST {RULES}");
    let targets = "POST /v1/target-groups/payments/targets";
    for api in [&dora, &mute] {
        check(
            &headworks,
            api,
            &[
                // what is wrong with it now is in rules that are not seen
                (&*listener, json!({ "protocol": "tcp" }), 400, hidden),
                ("PATCH /v1/load-balancers/edge", json!({ "type": "network" }), 400, hidden),
                // what was sent is told of
                (&*listener, json!({ "limits": { "connections": "many" } }), 400, "listeners.http.limits.connections"),
                (&*listener, json!({ "prot": "tcp" }), 400, "prot"),
                (&*add, json!({ "if": { "path": 7 }, "then": { "forward": "web" } }), 400, "rules[2].if"),
                (targets, json!(["127.0.0.1:7:7"]), 400, "targets[1]"),
                // answers are what was sent, or nothing
                (&*by_name, json!({ "then": { "forward": null, "fixed_response": { "status": 404 } } }), 200, ""),
                (&*dry(&by_name), json!({ "then": { "fixed_response": { "status": 405 } } }), 200, "\"changes\":[]"),
                (&*add, json!({ "if": { "path": "/new" }, "then": { "forward": "web" } }), 201, ""),
                (&*listener, json!({ "limits": { "connections": 9 } }), 200, ""),
                (&*dry(&listener), json!({ "limits": { "connections": 5 } }), 200, "\"changes\":[]"),
                (targets, json!(["127.0.0.1:8"]), 200, ""),
                (&*dry("PUT /v1/target-groups/payments"), json!({}), 200, "\"changes\":[]"),
                ("PATCH /v1/target-groups/payments", json!({ "slow_start": "30s" }), 200, ""),
                ("DELETE /v1/target-groups/payments/targets/127.0.0.1:8", Value::Null, 200, ""),
            ],
        );
        root.expect(&headworks, &format!("DELETE {RULES}/3"), &Value::Null, 204);
        root.expect(&headworks, "PATCH /v1/target-groups/payments", &json!({ "slow_start": null }), 200);
    }
    check(&headworks, &mute, &[(&*by_number, json!({ "priority": 1 }), 400, "priority")]);
    // of a part that is seen all is told, though there are others
    let open = format!("PATCH {RULES}/open");
    for api in [&dora, &nora] {
        let line = format!("PATCH {RULES}/open?dry_run=true");
        check(
            &headworks,
            api,
            &[(&*line, json!({ "if": { "path": "/else" } }), 200, "/open"), (&*open, json!({}), 200, "/open")],
        );
    }
    // by its number it is not told what it is called
    check(
        &headworks,
        &dora,
        &[
            (&*format!("GET {RULES}/1"), Value::Null, 403, "rule/1"),
            (&*format!("GET {RULES}/2"), Value::Null, 200, "open"),
        ],
    );
    // nor is what others have said, where it is brought back
    let before = root.get(&headworks, "/v1/changes")["revision"].clone();
    root.expect(&headworks, "PUT /v1/target-groups/payments", &json!({}), 200);
    let restore = format!("POST /v1/revisions/{before}/restore");
    check(&headworks, &nora, &[(&*restore, Value::Null, 403, "something that is not shown")]);
    check(&headworks, &dora, &[(&*dry(&restore), Value::Null, 200, "\"changes\":[]")]);
}

#[test]
fn of_identities_as_of_resources() {
    let web = Origin::echo("web");
    let World { headworks, root, dora, nora, mute } = world(&web);
    root.expect(&headworks, "POST /v1/iam/users/hush/access-keys", &Value::Null, 201);
    // who may put users may not give what it may not attach, whether there is such a thing or not
    for name in ["hush", "free"] {
        let [attach, join] =
            ["AttachUserPolicy", "AddUserToGroup"].map(|action| format!("perform: headworks:{action}"));
        let leave = format!("DELETE /v1/iam/groups/hush/members/not{name}");
        check(
            &headworks,
            &nora,
            &[
                ("PUT /v1/iam/users/new", json!({ "attached": [name] }), 403, &*attach),
                ("PUT /v1/iam/users/new", json!({ "groups": [name] }), 403, &*join),
                (&*leave, Value::Null, 404, "there is no such member"),
            ],
        );
    }
    root.expect(&headworks, "PUT /v1/iam/users/secretive", &json!({}), 201);
    check(
        &headworks,
        &nora,
        &[("DELETE /v1/iam/groups/hush/members/secretive", Value::Null, 404, "there is no such member")],
    );
    let asked = |principal: &str| json!({ "principal": principal, "actions": ["headworks:PutUser"] });
    for principal in ["user/hush", "user/nobody"] {
        check(&headworks, &nora, &[("POST /v1/iam/simulate", asked(principal), 400, "there is no")]);
    }
    check(&headworks, &nora, &[("POST /v1/iam/simulate", asked("user/dora"), 200, "results")]);
    let [of_hush, of_dora] = [("groups", "hush"), ("attached", "ReadOnlyAccess")]
        .map(|(key, name)| json!({ key: [name], "boundary": "ReadOnlyAccess" }));
    for (api, name, body) in [(&dora, "hush", &of_hush), (&mute, "hush", &of_hush), (&mute, "dora", &of_dora)] {
        let put = format!("PUT /v1/iam/users/{name}");
        let told = api.expect(&headworks, &format!("{put}?dry_run=true"), body, 200);
        assert_eq!(told["changes"], json!([]), "{told:#}");
        assert_eq!(api.expect(&headworks, &put, body, 200), Value::Null);
    }
}
