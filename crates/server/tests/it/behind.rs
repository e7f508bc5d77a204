//! The admin address behind listeners of its own program: it knows who asks, and whether by TLS, and believes nobody else.

use headworks_testkit::{Authority, Caller, Client, Headworks, Origin, ask};
use serde_json::{Value, json};

use crate::api::Api;
use crate::identities::locked;
use crate::signing_in::{PAGE, PASSWORD, cookie_of, reader};
use crate::tls::folder;

/// Where listeners before the admin address are: `http`, `https`, and TLS that ends before plain TCP.
struct Doors {
    http: std::net::SocketAddr,
    https: std::net::SocketAddr,
    tls: std::net::SocketAddr,
}

fn doors(headworks: &Headworks, root: &Api, certificate: &std::path::Path) -> Doors {
    let file = |extension: &str| certificate.with_extension(extension).display().to_string();
    let admin = headworks.admin().to_string();
    let group =
        |protocol: &str| json!({ "protocol": protocol, "targets": [admin], "health_check": { "interval": "1s" } });
    let forward = |more: Value, group: &str| {
        let mut listener = json!({ "address": "127.0.0.1:0", "default": { "forward": group } });
        for (key, value) in more.as_object().into_iter().flatten() {
            listener[key] = value.clone();
        }
        listener
    };
    let secured = |protocol: &str| json!({ "protocol": protocol, "certificates": ["a"] });
    let listeners = json!({ "http": forward(json!({}), "console"), "https": forward(secured("https"), "console") });
    let network = json!({ "type": "network", "listeners": { "tls": forward(secured("tls"), "bytes") } });
    for (line, body) in [
        ("PUT /v1/certificates/a", json!({ "certificate": file("pem"), "key": file("key") })),
        ("PUT /v1/target-groups/console", group("http")),
        ("PUT /v1/target-groups/bytes", group("tcp")),
        ("PUT /v1/load-balancers/door", json!({ "listeners": listeners })),
        ("PUT /v1/load-balancers/net", network),
    ] {
        root.expect(headworks, line, &body, 201);
    }
    let status = root.get(headworks, "/v1/status");
    let at = |balancer: &str, listener: &str| {
        let address = status["load_balancers"][balancer]["listeners"][listener]["address"].as_str();
        address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{status:#}"))
    };
    Doors { http: at("door", "http"), https: at("door", "https"), tls: at("net", "tls") }
}

#[test]
fn who_asks_is_known_behind_a_listener() {
    let (web, folder) = (Origin::echo("web"), folder());
    let authority = Authority::new("Test Authority");
    authority.issue(&["a.example.com"]).place(folder.path(), "a");
    let (headworks, root) = locked(&web);
    reader(&headworks, &root, "alice");
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({}), 200);
    let when = |action: &str, operator: &str, key: &str, value: &str| {
        json!({ "Effect": "Allow", "Action": format!("headworks:{action}"), "Resource": "*",
                "Condition": { operator: { key: value } } })
    };
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        when("GetTargetGroup", "IpAddress", "aws:SourceIp", "127.0.0.7"),
        when("PutTargetGroup", "Bool", "aws:SecureTransport", "true"),
    ] });
    root.expect(&headworks, "PUT /v1/iam/users/alice/policies/own", &policy, 201);
    let doors = doors(&headworks, &root, &folder.path().join("a"));
    let body = |password: &str| json!({ "user": "alice", "password": password }).to_string();
    let sign_in = |client: &mut Client, password: &str| {
        client.ask(&ask("POST", "/v1/session").with(PAGE).body(body(password))).response_to("POST")
    };
    let caller = Caller::trusting(&authority).build();
    let secured = |to| caller.connect(to, "a.example.com");
    let first = sign_in(&mut secured(doors.https), PASSWORD);
    assert!(first.field("Set-Cookie").is_some_and(|cookie| cookie.ends_with("; Secure")), "{first}");
    let cookie = format!("Cookie: {}", cookie_of(&first));
    for (what, mut client, get, put) in [
        ("another address", Client::connect_from("127.0.0.7", doors.http), 200, 403),
        ("this address", Client::connect(doors.http), 403, 403),
        ("over TLS", secured(doors.https), 403, 200),
        ("over TLS, as bytes", secured(doors.tls), 403, 200),
        ("directly", Client::connect(headworks.admin()), 403, 403),
        ("directly, from another address", Client::connect_from("127.0.0.7", headworks.admin()), 200, 403),
    ] {
        // more than one request of a connection
        for _ in 0..2 {
            let asked = ask("GET", "/v1/target-groups/web").with(&cookie);
            assert_eq!(client.ask(&asked).response().status, get, "{what}");
            let asked = ask("PUT", "/v1/target-groups/x?dry_run=true").with(PAGE).with(&cookie).body("{}");
            assert_eq!(client.ask(&asked).response_to("PUT").status, put, "{what}");
        }
    }
    let audit = root.get(&headworks, "/v1/audit?action=headworks:GetTargetGroup&outcome=allowed");
    assert_eq!(audit["entries"][0]["source"], "127.0.0.7", "{audit:#}");
    // whoever guesses waits, and keeps out nobody else
    let mut guesses = Client::connect_from("127.0.0.8", doors.http);
    for _ in 0..5 {
        assert_eq!(sign_in(&mut guesses, "wrong").status, 401);
    }
    assert_eq!(sign_in(&mut guesses, PASSWORD).status, 429);
    assert_eq!(sign_in(&mut Client::connect_from("127.0.0.7", doors.http), PASSWORD).status, 200);
    // what a client says of itself is nothing
    let mut client = Client::connect_from("127.0.0.9", headworks.admin());
    client.send("PROXY TCP4 127.0.0.7 127.0.0.1 1 2\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    client.expect_closed();
    let states = root.get(&headworks, "/v1/target-groups/console/health");
    assert!(!states.to_string().contains("unhealthy"), "{states:#}");
}
