//! Scenarios of the founding documents: weights that shift and go back (2, 3), security groups and a network ACL (8), a target that
//! fails its health check (9). Everything is done by the API while requests go through.

use headworks_testkit::origin::Health;
use headworks_testkit::{Client, Headworks, Origin, ask, wait};
use serde_json::{Value, json};

use crate::api::{Api, NOBODY, who};
use crate::start;

const API: Api = NOBODY;

fn group(origin: &Origin) -> Value {
    json!({ "targets": [origin.address().to_string()], "health_check": { "protocol": "none" } })
}

fn address(headworks: &Headworks, listener: &str) -> std::net::SocketAddr {
    let status = headworks.status();
    let address = status["load_balancers"]["edge"]["listeners"][listener]["address"].as_str().unwrap_or_default();
    address.parse().unwrap_or_else(|_| panic!("no listener {listener} in {status:#}"))
}

/// How many of so many requests each origin got.
fn split(headworks: &Headworks, count: usize) -> (usize, usize) {
    let mut client = Client::connect(address(headworks, "http"));
    let answers: Vec<String> = (0..count).map(|_| who(&client.exchange(&ask("GET", "/")))).collect();
    let of = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    (of("blue"), of("green"))
}

fn edge(weights: &Value) -> Value {
    let forward = json!({ "forward": { "groups": weights } });
    json!({ "listeners": { "http": { "address": "127.0.0.1:0", "rules": [{ "name": "release", "then": forward }], "default": { "forward": "blue" } } } })
}

/// Scenarios 2 and 3: 100/0, 95/5, 80/20, 0/100, and back at once. No request fails.
#[test]
fn weights_shift_step_by_step_and_back() {
    let (blue, green) = (Origin::echo("blue"), Origin::echo("green"));
    let headworks = start("admin: { address: 127.0.0.1:0 }\n", &[]);
    API.expect(&headworks, "PUT /v1/target-groups/blue", &group(&blue), 201);
    API.expect(&headworks, "PUT /v1/target-groups/green", &group(&green), 201);
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &edge(&json!({ "blue": 100, "green": 0 })), 201);
    let rule = "PATCH /v1/load-balancers/edge/listeners/http/rules/release";
    let before = API.get(&headworks, "/v1/revisions?limit=1")["revisions"][0]["revision"].clone();
    for (weights, [low, high]) in
        [((100, 0), [0, 0]), ((95, 5), [15, 90]), ((80, 20), [140, 260]), ((0, 100), [1000, 1000])]
    {
        let weights = json!({ "blue": weights.0, "green": weights.1 });
        API.expect(&headworks, rule, &json!({ "then": { "forward": { "groups": weights } } }), 200);
        let (to_blue, to_green) = split(&headworks, 1000);
        assert_eq!(to_blue + to_green, 1000, "a request failed at {weights}");
        assert!((low..=high).contains(&to_green), "{to_green} of 1000 to green at {weights}");
    }
    API.expect(&headworks, &format!("POST /v1/revisions/{before}/restore"), &Value::Null, 200);
    assert_eq!(split(&headworks, 100), (100, 0));
}

/// Scenario 8: the load balancer's group lets all in at its port; the application's lets in port 80 from members of the load
/// balancer's only. Rule 100 of a network ACL denies one client before 200 allows all.
#[test]
fn security_groups_and_network_acls() {
    let web = Origin::echo("web");
    let headworks = start("admin: { address: 127.0.0.1:0 }\n", &[]);
    let all = json!({ "inbound": [{ "protocol": "tcp", "from": ["0.0.0.0/0", "::/0"] }] });
    API.expect(&headworks, "PUT /v1/security-groups/lb", &all, 201);
    API.expect(
        &headworks,
        "PUT /v1/security-groups/app",
        &json!({ "inbound": [{ "protocol": "tcp", "from": ["lb"] }] }),
        201,
    );
    let acl = json!({ "inbound": [
        { "rule": 200, "action": "allow", "from": ["0.0.0.0/0"] },
        { "rule": 100, "action": "deny", "from": ["127.0.0.66/32"] },
    ] });
    API.expect(&headworks, "PUT /v1/network-acls/office", &acl, 201);
    let mut targets = group(&web);
    targets["security_groups"] = json!(["app"]);
    API.expect(&headworks, "PUT /v1/target-groups/web", &targets, 201);
    let listener =
        |acl: Value| json!({ "address": "127.0.0.1:0", "network_acl": acl, "default": { "forward": "web" } });
    let balancer = json!({ "security_groups": ["lb"], "listeners": { "http": listener(json!("office")) } });
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &balancer, 201);
    let inner = json!({ "security_groups": ["app"], "listeners": { "http": listener(Value::Null) } });
    API.expect(&headworks, "PUT /v1/load-balancers/inner", &inner, 201);
    let edge = address(&headworks, "http");
    let patience = std::time::Duration::from_millis(700);
    let gets = |from: &str, to: std::net::SocketAddr| {
        let client = Client::try_connect_from(from, to, patience);
        client
            .is_ok_and(|mut client| client.ask(&ask("GET", "/")).try_response_to("GET").is_ok_and(|r| r.status == 200))
    };
    assert!(gets("127.0.0.1", edge));
    assert!(!gets("127.0.0.66", edge), "rule 100 does not deny");
    let status = headworks.status();
    let inner: std::net::SocketAddr =
        status["load_balancers"]["inner"]["listeners"]["http"]["address"].as_str().unwrap_or_default().parse().unwrap();
    // members of the group lb are load balancers, at 127.0.0.1; others on this machine are not
    assert!(!gets("127.0.0.77", inner), "who is no member of lb got in");
    // what is referred to stays
    API.expect(&headworks, "DELETE /v1/security-groups/lb", &Value::Null, 409);
    API.expect(&headworks, "DELETE /v1/network-acls/office", &Value::Null, 409);
    let open = json!({ "inbound": [{ "rule": 200, "action": "allow", "from": ["0.0.0.0/0"] }] });
    API.expect(&headworks, "PUT /v1/network-acls/office", &open, 200);
    assert!(gets("127.0.0.66", edge), "the change is not live");
}

/// Scenario 9: GET /health, only 200 is healthy; traffic moves, and comes back.
#[test]
fn a_target_that_fails_its_check_gets_no_traffic() {
    let (blue, green) = (Origin::echo("blue"), Origin::echo("green"));
    let headworks = start("admin: { address: 127.0.0.1:0 }\n", &[]);
    let check = json!({
        "path": "/health", "matcher": "200", "interval": "100ms", "timeout": "100ms",
        "healthy_threshold": 2, "unhealthy_threshold": 2,
    });
    let both = json!({ "targets": [blue.address().to_string(), green.address().to_string()], "health_check": check });
    API.expect(&headworks, "PUT /v1/target-groups/blue", &both, 201);
    API.expect(&headworks, "PUT /v1/load-balancers/edge", &edge(&json!({ "blue": 1 })), 201);
    let states = |wanted: [&str; 2]| {
        wait::until(&format!("{wanted:?}"), || {
            let health = API.get(&headworks, "/v1/target-groups/blue/health");
            let targets = health["targets"].as_array().cloned().unwrap_or_default();
            let is = |origin: &Origin, state: &str| {
                targets.iter().any(|t| t["address"] == origin.address().to_string() && t["state"] == state)
            };
            (is(&blue, wanted[0]) && is(&green, wanted[1])).then_some(())
        });
    };
    states(["healthy", "healthy"]);
    assert_eq!(split(&headworks, 20), (10, 10));
    green.set_health(Health::Status(503));
    states(["healthy", "unhealthy"]);
    assert_eq!(split(&headworks, 20), (20, 0));
    green.set_health(Health::Status(200));
    states(["healthy", "healthy"]);
    assert_eq!(split(&headworks, 20), (10, 10));
}
