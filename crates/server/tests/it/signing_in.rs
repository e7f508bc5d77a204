//! Users of the console sign in with a password and a code, and what keeps others from it; what they see of what goes on.

use std::time::{SystemTime, UNIX_EPOCH};

use headworks_iam::totp;
use headworks_testkit::wire::Response;
use headworks_testkit::{Client, Headworks, Origin, ask};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::{Api, NOBODY};
use crate::identities::locked;

pub(crate) const PASSWORD: &str = "Correct-Horse-7";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A user who may look at everything, and signs in.
pub(crate) fn reader(headworks: &Headworks, root: &Api, name: &str) {
    root.expect(headworks, &format!("PUT /v1/iam/users/{name}"), &json!({ "attached": ["ReadOnlyAccess"] }), 201);
    password(headworks, root, name, false);
}

fn password(headworks: &Headworks, root: &Api, name: &str, must_change: bool) {
    let body = json!({ "password": PASSWORD, "must_change": must_change });
    root.expect(headworks, &format!("PUT /v1/iam/users/{name}/password"), &body, 204);
}

/// What the console's page sends with whatever changes something.
pub(crate) const PAGE: &str = "X-Headworks-Request: console";

/// A call of the page with a cookie.
fn call(headworks: &Headworks, cookie: &str, line: &str, body: &Value) -> Response {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    NOBODY.raw(headworks, line, &[PAGE, &format!("Cookie: other=1; {cookie}")], &body)
}

pub(crate) fn sign_in(headworks: &Headworks, body: &Value) -> Response {
    NOBODY.raw(headworks, "POST /v1/session", &[PAGE], body.to_string().as_bytes())
}

pub(crate) fn cookie_of(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response}");
    let field = response.field("Set-Cookie").unwrap_or_else(|| panic!("no cookie: {response}"));
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(field.contains(part), "{field}");
    }
    field.split(';').next().unwrap_or_default().to_owned()
}

fn signed_in(headworks: &Headworks, name: &str) -> String {
    cookie_of(&sign_in(headworks, &json!({ "user": name, "password": PASSWORD })))
}

/// The status, and the word for what is wrong.
fn refused(response: &Response) -> (u16, String) {
    let kind = response.json()["type"].as_str().unwrap_or_default().replace("urn:headworks:problem:", "");
    (response.status, kind)
}

/// Gives a user the password, and a second factor that counts: its secret. The code of this moment has been used.
pub(crate) fn second_factor(headworks: &Headworks, root: &Api, name: &str) -> String {
    password(headworks, root, name, false);
    let made = root.expect(headworks, &format!("POST /v1/iam/users/{name}/mfa"), &Value::Null, 201);
    let secret = made["secret"].as_str().unwrap_or_default().to_owned();
    let (bytes, step) = (base32(&secret), now() / 30);
    let codes = [step - 1, step].map(|step| totp::code(&bytes, step));
    let codes = json!({ "codes": codes });
    root.expect(headworks, &format!("PUT /v1/iam/users/{name}/mfa"), &codes, 204);
    secret
}

#[test]
fn a_user_signs_in_does_what_it_may_and_signs_out() {
    let web = Origin::echo("web");
    let (mut headworks, root) = locked(&web);
    reader(&headworks, &root, "alice");
    let before = NOBODY.get(&headworks, "/v1/session");
    assert_eq!((&before["auth"], &before["user"]), (&json!("required"), &Value::Null));
    let cookie = signed_in(&headworks, "alice");
    let session = call(&headworks, &cookie, "GET /v1/session", &Value::Null).json();
    assert_eq!((&session["user"], &session["mfa"]), (&json!("alice"), &json!(false)), "{session:#}");
    assert_eq!(call(&headworks, &cookie, "GET /v1/target-groups/web", &Value::Null).status, 200);
    let put = |fields: &[&str]| {
        let cookie = format!("Cookie: {cookie}");
        let fields = [&[cookie.as_str()], fields].concat();
        refused(&NOBODY.raw(&headworks, "PUT /v1/target-groups/x", &fields, b"{}"))
    };
    let host = headworks.admin();
    assert_eq!(put(&[]), (403, "cross-site".to_owned()), "another site's form");
    assert_eq!(put(&[PAGE, "Origin: http://evil.example"]), (403, "cross-site".to_owned()));
    assert_eq!(put(&[PAGE, "Sec-Fetch-Site: cross-site"]), (403, "cross-site".to_owned()));
    assert_eq!(put(&[PAGE, &format!("Origin: http://{host}")]), (403, "access-denied".to_owned()), "as policies say");
    headworks.restart(Signal::TERM);
    assert_eq!(
        call(&headworks, &cookie, "GET /v1/target-groups/web", &Value::Null).status,
        200,
        "it outlives a restart"
    );
    assert_eq!(call(&headworks, &cookie, "DELETE /v1/session", &Value::Null).status, 204);
    assert_eq!(call(&headworks, &cookie, "GET /v1/target-groups/web", &Value::Null).status, 401);
    let audit = root.get(&headworks, "/v1/audit?principal=hrn:headworks:user/alice");
    let actions: Vec<&str> = audit["entries"].as_array().unwrap().iter().filter_map(|e| e["action"].as_str()).collect();
    for action in ["headworks:SignIn", "headworks:SignOut", "headworks:PutTargetGroup"] {
        assert!(actions.contains(&action), "{action} of {actions:?}");
    }
}

/// Browsers send the cookie to every port of a host name: of what comes by a listener, it goes to the console alone.
#[test]
fn the_cookie_goes_to_no_target() {
    let (web, shadow) = (Origin::echo("web"), Origin::echo("shadow"));
    let (headworks, root) = locked(&web);
    reader(&headworks, &root, "alice");
    let [admin, web_at, shadow_at] = [headworks.admin(), web.address(), shadow.address()].map(|at| at.to_string());
    let group = |targets: &[&str]| json!({ "targets": targets, "health_check": { "protocol": "none" } });
    for (name, targets) in [("console", &[&*admin][..]), ("both", &[&*admin, &*web_at]), ("shadow", &[&*shadow_at])] {
        root.expect(&headworks, &format!("PUT /v1/target-groups/{name}"), &group(targets), 201);
    }
    let forward = |path: &str, forward: Value| json!({ "if": { "path": path }, "then": { "forward": forward } });
    let rules = json!([
        forward("/web", json!("web")),
        forward("/v1/openapi.json", json!("both")),
        forward("/v1/iam/whoami", json!({ "groups": "console", "mirror": "shadow" })),
    ]);
    let door = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "console" } });
    root.expect(&headworks, "PUT /v1/load-balancers/door", &json!({ "listeners": { "http": door } }), 201);
    let status = root.get(&headworks, "/v1/status");
    let door = status["load_balancers"]["door"]["listeners"]["http"]["address"].as_str().unwrap().parse().unwrap();
    let body = json!({ "user": "alice", "password": PASSWORD }).to_string();
    let mut client = Client::connect(door);
    let cookie = cookie_of(&client.ask(&ask("POST", "/v1/session").with(PAGE).body(body)).response_to("POST"));
    let cookies = format!("Cookie: a=b; {cookie}; c=d");
    let mut get = |path: &str| client.ask(&ask("GET", path).with(&cookies)).response();
    assert_eq!(get("/v1/session").json()["user"], "alice");
    let echo = get("/web").echo();
    assert_eq!((&*echo.origin, echo.fields.all("Cookie")), ("web", vec!["a=b; c=d"]));
    // what goes elsewhere as well does not bring it, wherever it arrives
    assert_eq!(get("/v1/iam/whoami").status, 401);
    assert_eq!(shadow.wait_heads(1)[0].request.fields.all("Cookie"), ["a=b; c=d"]);
    for _ in 0..2 {
        let response = get("/v1/openapi.json");
        let is_web = response.field("X-Origin").is_some();
        assert!(if is_web { response.echo().fields.all("Cookie") == ["a=b; c=d"] } else { response.status == 401 });
    }
}

#[test]
fn a_second_factor_counts_when_two_codes_prove_it_and_a_code_is_good_once() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    reader(&headworks, &root, "alice");
    let with_mfa = json!({ "Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Action": "headworks:PutTargetGroup", "Resource": "*",
        "Condition": { "Bool": { "aws:MultiFactorAuthPresent": "true" } } } });
    root.expect(&headworks, "PUT /v1/iam/users/alice/policies/with-mfa", &with_mfa, 201);
    let cookie = signed_in(&headworks, "alice");
    assert_eq!(call(&headworks, &cookie, "PUT /v1/target-groups/x", &json!({})).status, 403);
    let made = call(&headworks, &cookie, "POST /v1/iam/users/alice/mfa", &Value::Null).json();
    let secret = base32(made["secret"].as_str().unwrap());
    assert!(made["uri"].as_str().unwrap().starts_with("otpauth://totp/Headworks:alice?secret="), "{made:#}");
    assert_eq!(call(&headworks, &cookie, "POST /v1/iam/users/bob/mfa", &Value::Null).status, 403, "not for others");
    signed_in(&headworks, "alice");
    let step = now() / 30;
    let codes = |steps: [u64; 2]| {
        let codes = steps.map(|step| totp::code(&secret, step));
        json!({ "codes": codes })
    };
    let enable = |body: &Value| call(&headworks, &cookie, "PUT /v1/iam/users/alice/mfa", body).status;
    assert_eq!(enable(&codes([step - 7, step - 6])), 400);
    assert_eq!(enable(&codes([step - 1, step])), 204);
    assert_eq!(enable(&codes([step - 1, step])), 409, "none waits to be proved");
    let with = |code: Option<&str>| {
        let mut body = json!({ "user": "alice", "password": PASSWORD });
        if let Some(code) = code {
            body["code"] = code.into();
        }
        sign_in(&headworks, &body)
    };
    assert_eq!(refused(&with(None)), (401, "mfa-required".to_owned()));
    assert_eq!(refused(&with(Some("000000"))), (401, "sign-in-failed".to_owned()));
    assert_eq!(
        refused(&with(Some(&totp::code(&secret, step)))),
        (401, "sign-in-failed".to_owned()),
        "it has been used"
    );
    let next = totp::code(&secret, step + 1);
    let cookie = cookie_of(&with(Some(&next)));
    assert_eq!(refused(&with(Some(&next))), (401, "sign-in-failed".to_owned()), "once");
    assert_eq!(call(&headworks, &cookie, "PUT /v1/target-groups/x", &json!({})).status, 201, "with a second factor");
    assert_eq!(call(&headworks, &cookie, "DELETE /v1/iam/users/alice/mfa", &Value::Null).status, 403);
    assert_eq!(call(&headworks, &cookie, "POST /v1/iam/users/alice/mfa", &Value::Null).status, 201);
    assert_eq!(root.get(&headworks, "/v1/iam/users/alice")["console"]["mfa"], true, "another waits, this one counts");
    root.expect(&headworks, "DELETE /v1/iam/users/alice/mfa", &Value::Null, 204);
    signed_in(&headworks, "alice");
}

/// RFC 4648.
pub(crate) fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for letter in text.bytes() {
        let value = if letter.is_ascii_uppercase() { letter - b'A' } else { letter - b'2' + 26 };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}

#[test]
fn whoever_guesses_waits() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    reader(&headworks, &root, "alice");
    reader(&headworks, &root, "bob");
    let with = |name: &str, password: &str| sign_in(&headworks, &json!({ "user": name, "password": password }));
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            assert_eq!(refused(&with(name, "wrong")), (401, "sign-in-failed".to_owned()), "{name}");
        }
        let waits = with(name, PASSWORD);
        assert_eq!(refused(&waits), (429, "too-many-attempts".to_owned()), "{name}");
        let seconds: u64 = waits.field("Retry-After").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    signed_in(&headworks, "bob");
    password(&headworks, &root, "alice", false);
    signed_in(&headworks, "alice");
    let denied =
        root.get(&headworks, "/v1/audit?action=headworks:SignIn&outcome=denied&resource=hrn:headworks:user/alice");
    assert!(denied["entries"].as_array().unwrap().len() >= 5, "{denied:#}");
}

#[test]
fn passwords_are_as_the_policy_says_and_are_followed_by_others() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    reader(&headworks, &root, "alice");
    let old = signed_in(&headworks, "alice");
    password_refused(&headworks, &root, "short1!", "expected 8 to 128");
    let policy = json!({ "minimum_length": 12, "require_symbols": true, "reuse_prevention": 3 });
    root.expect(&headworks, "PUT /v1/iam/password-policy", &policy, 200);
    root.expect(&headworks, "PUT /v1/iam/password-policy", &json!({ "minimum_length": 3, "max": 1 }), 400);
    assert_eq!(root.get(&headworks, "/v1/iam/password-policy")["minimum_length"], 12);
    password_refused(&headworks, &root, "Abcdefgh1234", "something but letters and digits");
    password_refused(&headworks, &root, PASSWORD, "has had");
    root.expect(&headworks, "PUT /v1/iam/users/alice/password", &json!({ "password": "Another-One-1" }), 204);
    assert_eq!(call(&headworks, &old, "GET /v1/target-groups", &Value::Null).status, 401, "sessions have ended");
    let with = |more: Value| {
        let mut body = json!({ "user": "alice", "password": "Another-One-1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sign_in(&headworks, &body)
    };
    assert_eq!(refused(&with(json!({}))), (403, "password-expired".to_owned()));
    assert_eq!(with(json!({ "new_password": "weak" })).status, 400);
    assert_eq!(with(json!({ "new_password": PASSWORD })).status, 400, "one of the last three");
    let cookie = cookie_of(&with(json!({ "new_password": "A-Third-Word-1" })));
    let change = |old: &str, new: &str| {
        call(&headworks, &cookie, "POST /v1/session/password", &json!({ "password": old, "new_password": new })).status
    };
    assert_eq!(change("wrong", "A-Fourth-Word-1"), 400);
    assert_eq!(change("A-Third-Word-1", "A-Fourth-Word-1"), 204);
    assert_eq!(call(&headworks, &cookie, "GET /v1/target-groups", &Value::Null).status, 200, "its own session stays");
    root.expect(&headworks, "DELETE /v1/iam/users/alice/password", &Value::Null, 204);
    assert_eq!(call(&headworks, &cookie, "GET /v1/target-groups", &Value::Null).status, 401);
    assert_eq!(root.get(&headworks, "/v1/iam/users/alice")["console"]["password"], false);
}

fn password_refused(headworks: &Headworks, root: &Api, password: &str, expected: &str) {
    let body = json!({ "password": password });
    let problem = root.expect(headworks, "PUT /v1/iam/users/alice/password", &body, 400);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(expected)), "{password}: {problem:#}");
}

#[test]
fn init_makes_a_first_user_of_the_console() {
    let web = Origin::echo("web");
    let (headworks, _) = locked(&web);
    let init = |name: &str| headworks.beside(&["init", "-c", "headworks.yaml", "--json", "--user", name]);
    let output = init("admin");
    let made: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!((&made["user"], made.get("access_key_id")), (&json!("admin"), None), "there is a root key already");
    assert_eq!(init("admin").status.code(), Some(1), "there is such a user");
    assert_eq!(init("no name").status.code(), Some(1));
    let mut body = json!({ "user": "admin", "password": made["password"] });
    assert_eq!(refused(&sign_in(&headworks, &body)), (403, "password-expired".to_owned()));
    body["new_password"] = PASSWORD.into();
    let cookie = cookie_of(&sign_in(&headworks, &body));
    assert_eq!(call(&headworks, &cookie, "PUT /v1/iam/users/another", &Value::Null).status, 201);
}

/// The next event of a kind.
fn event(lines: &mut impl Iterator<Item = String>, kind: &str) -> Value {
    assert!(lines.any(|line| line == format!("event: {kind}")), "no event {kind}");
    let data = lines.next().unwrap_or_default();
    serde_json::from_str(data.strip_prefix("data: ").unwrap_or_default()).unwrap_or_default()
}

#[test]
fn what_goes_on_is_told_second_by_second_until_the_session_ends() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    reader(&headworks, &root, "alice");
    let cookie = signed_in(&headworks, "alice");
    let watch = |target: &str| NOBODY.watch(&headworks, target, &[&format!("Cookie: {cookie}")]);
    let mut lines = watch("/v1/live?target_group=web");
    assert_eq!(event(&mut lines, "history")["step"], 1);
    let mut client = Client::connect(headworks.listener("shop/http"));
    // requests may be told in the sample of one second or of the next
    let mut seen = [0.0; 4];
    while seen.contains(&0.0) {
        client.exchange(&ask("GET", "/").with("Host: a"));
        let address = web.address();
        let sample = event(&mut lines, "sample");
        let subjects = [
            "listener/shop/http".to_owned(),
            "rule/shop/http/default".to_owned(),
            "group/web".to_owned(),
            format!("target/web/{address}"),
        ];
        for (sum, subject) in seen.iter_mut().zip(subjects) {
            *sum += sample["subjects"][&subject]["requests"].as_f64().unwrap_or(0.0);
        }
        let target = &sample["subjects"][format!("target/web/{address}")];
        assert_eq!(target["state"], "unavailable", "health checks are off: {sample:#}");
    }
    let history = event(&mut watch("/v1/live"), "history");
    let requests = history["subjects"]["group/web"]["requests"].as_array().unwrap();
    assert!(requests.iter().any(|rate| rate.as_f64() > Some(0.0)), "{history:#}");
    // who was told already asks for what is missing; the first of many that are named comes first
    let mut some = watch("/v1/live?history=group/web@1&history=listener/&history=@0");
    let (last, listener) = (event(&mut some, "history"), event(&mut some, "history"));
    assert_eq!(last["subjects"]["group/web"]["requests"].as_array().map(Vec::len), Some(1), "{last:#}");
    assert_eq!(listener["subjects"].as_object().unwrap().keys().collect::<Vec<_>>(), ["listener/shop/http"]);
    let kinds = watch("/v1/live?history=@0").find(|line| line.starts_with("event: "));
    assert_eq!(kinds.as_deref(), Some("event: sample"));
    for wrong in ["history=listener/@x".to_owned(), ["history=a&"; 17].concat()] {
        root.expect(&headworks, &format!("GET /v1/live?{wrong}"), &Value::Null, 400);
    }
    root.expect(&headworks, "PUT /v1/target-groups/more", &json!({}), 201);
    assert_eq!(event(&mut lines, "revision")["resources"], json!(["target_groups.more"]));
    let events = watch("/v1/events");
    assert_eq!(call(&headworks, &cookie, "DELETE /v1/session", &Value::Null).status, 204);
    assert_eq!(lines.filter(|line| line == "event: sample").count(), 0, "it sees no more");
    assert_eq!(events.filter(|line| line == "event: revision").count(), 0);
}
