//! Texts that are right, and what they say.

use std::time::Duration;

use headworks_model::action::Action;
use headworks_model::guard::Carrier;
use headworks_model::primitive::{Address, Bind, Name, Pattern, PatternError, PatternToken, TextMatch};
use headworks_model::target_group::{Fallback, HealthCheck, HealthProtocol, Stickiness, TargetGroup};
use headworks_model::{Config, redact};
use serde_json::{Value, json};

use crate::common::accept;

/// The text is right, says the same once written and read again, and has `value` at each `path` of its canonical form.
fn check(text: &str, expected: &[(&str, Value)]) {
    let config = accept(text).config;
    let json = config.to_json();
    let again = Config::from_json(&json).unwrap_or_else(|faults| panic!("{text}\n{json:#}\n{faults}"));
    assert_eq!(again.config, config, "{text}");
    for (path, value) in expected {
        assert_eq!(json.pointer(path).unwrap_or(&Value::Null), value, "{text}\n{path}\n{json:#}");
    }
}

/// One rule on an HTTP listener.
fn check_rule(rule: &str, expected: &[(&str, Value)]) {
    let text = format!(
        "load_balancers: {{ s: {{ listeners: {{ l: {{ port: 0, rules: [ {rule} ], default: {{ forward: w }} }} }} }} }}\n\
         target_groups: {{ w: {{}}, v: {{}} }}"
    );
    let prefix = "/load_balancers/s/listeners/l/rules/0";
    let expected: Vec<(String, Value)> =
        expected.iter().map(|(path, value)| (format!("{prefix}{path}"), value.clone())).collect();
    let expected: Vec<(&str, Value)> = expected.iter().map(|(path, value)| (path.as_str(), value.clone())).collect();
    check(&text, &expected);
}

/// One target group called `w`.
fn group(text: &str) -> TargetGroup {
    let text = format!("target_groups: {{ w: {text}, v: {{ protocol: tcp }} }}");
    check(&text, &[]);
    accept(&text).config.target_groups["w"].clone()
}

#[test]
fn nothing_is_enough() {
    for text in ["", "# nothing\n", "{}", "---\n", "admin:\nload_balancers:\n"] {
        check(
            text,
            &[
                ("/workers", json!("auto")),
                ("/admin", json!({ "address": "127.0.0.1:9080", "auth": "none", "data": "state/" })),
                ("/shutdown", json!({ "readiness_delay": "0s", "deadline": "1m" })),
                ("/upgrade", json!({ "ready_within": "1m", "deadline": "1h" })),
                ("/load_balancers", json!({})),
            ],
        );
    }
}

#[test]
fn the_admin_may_be_reached_from_elsewhere_with_auth() {
    check("admin: { address: 0.0.0.0:0, auth: required }", &[("/admin/address", json!("0.0.0.0:0"))]);
    check("admin: { address: \"[::1]:0\" }", &[]);
}

#[test]
fn listeners_say_more_in_answers() {
    let text = "load_balancers: { s: { listeners: {
        a: { port: 0, response_headers: { server: false, x_frame_options: DENY }, default: { fixed_response: { status: 200 } } },
        b: { port: 0, protocol: https, certificates: { acme: [a.b] }, default: { fixed_response: { status: 200 } },
             request_headers: { x_amzn_mtls_clientcert: X-My-Cert, x_amzn_tls_version: X-V },
             response_headers: { strict_transport_security: max-age=31536000; includeSubDomains, access_control_max_age: 60,
                                 access_control_allow_credentials: true, x_content_type_options: nosniff,
                                 x_frame_options: ALLOW-FROM https://a.b, content_security_policy: \"default-src 'self'\" } } } } }";
    check(
        text,
        &[
            ("/load_balancers/s/listeners/a/response_headers", json!({ "server": false, "x_frame_options": "DENY" })),
            ("/load_balancers/s/listeners/b/response_headers/access_control_max_age", json!(60)),
            ("/load_balancers/s/listeners/b/response_headers/server", json!(true)),
            ("/load_balancers/s/listeners/b/request_headers/x_amzn_mtls_clientcert", json!("X-My-Cert")),
        ],
    );
    let config = accept(text).config;
    let headers = config.load_balancers["s"].listeners["b"].response_headers.clone();
    let set = headers.map(|headers| headers.set()).unwrap_or_default();
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        set,
        [
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Max-Age", "60"),
            ("Content-Security-Policy", "default-src 'self'"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "ALLOW-FROM https://a.b"),
        ]
    );
}

#[test]
fn certificates_by_acme() {
    let text = "acme: { terms_agreed: true, email: admin@example.com, external_account: { kid: k, hmac_key: c2VjcmV0 } }
load_balancers: { s: { listeners: { a: { port: 0, protocol: https, default: { fixed_response: { status: 200 } },
    certificates: [{ acme: [b.example.com, A.example.com, b.example.com] }, { acme: c.example.com }, { acme: [c.example.com] }] } } } }";
    check(
        text,
        &[
            ("/acme/directory", json!("https://acme-v02.api.letsencrypt.org/directory")),
            ("/acme/challenge", json!("auto")),
            ("/acme/email", json!(["admin@example.com"])),
            ("/acme/renew_before", Value::Null),
            ("/load_balancers/s/listeners/a/certificates/0/acme", json!(["a.example.com", "b.example.com"])),
        ],
    );
    // equal sets are one
    let parsed = accept(text);
    let names: Vec<String> = parsed.config.acme_names().into_iter().map(|names| names.label()).collect();
    assert_eq!(names, ["a.example.com+9f69282d92767952", "c.example.com"]);
    // the key is a secret also as a literal
    let mut json = parsed.config.to_json();
    redact(&mut json, &parsed.secrets);
    assert_eq!(json.pointer("/acme/external_account"), Some(&json!({ "kid": "k", "hmac_key": "***" })));
    check(
        "acme: { terms_agreed: true, challenge: http-01, renew_before: 30d }",
        &[("/acme/renew_before", json!("30d"))],
    );
    check("workers: 1", &[("/acme", Value::Null)]);
}

#[test]
fn databases() {
    let text = "target_groups:
  writers: { protocol: tcp, health_check: { protocol: postgres, user: u, password: hunter, role: primary } }
  re.aders: { protocol: tcp, fallback: { forward: writers },
    health_check: { protocol: postgres, user: u, database: d, role: replica, max_lag: 10s } }
  cache: { protocol: tcp, fallback: refuse, health_check: { protocol: redis, password: \"${env:SECRET}\" } }
  plain: { protocol: tcp, health_check: { protocol: mysql } }";
    check(
        text,
        &[
            ("/target_groups/writers/fallback", json!("refuse")),
            ("/target_groups/writers/health_check/timeout", json!("10s")),
            ("/target_groups/writers/health_check/database", Value::Null),
            ("/target_groups/re.aders/fallback", json!({ "forward": "writers" })),
            ("/target_groups/re.aders/health_check/max_lag", json!("10s")),
            ("/target_groups/plain/fallback", json!("fail_open")),
        ],
    );
    // a password is a secret also as a literal
    let parsed = accept(text);
    let mut json = parsed.config.to_json();
    redact(&mut json, &parsed.secrets);
    for (group, password) in [("writers", json!("***")), ("cache", json!("***")), ("plain", Value::Null)] {
        assert_eq!(json["target_groups"][group]["health_check"]["password"], password, "{group}");
    }
    assert!(!format!("{:?}", parsed.config).contains("hunter"));
}

#[test]
fn answers_are_compressed() {
    check("load_balancers: { a: {} }", &[("/load_balancers/a/compression", Value::Null)]);
    check(
        "load_balancers: { a: { compression: {} }, b: { compression: [zstd, gzip] }, c: { compression: gzip } }",
        &[
            ("/load_balancers/a/compression/algorithms", json!(["br", "zstd", "gzip"])),
            ("/load_balancers/a/compression/minimum_size", json!("1KiB")),
            ("/load_balancers/a/compression/levels", json!({ "br": 4, "zstd": 3, "gzip": 5 })),
            ("/load_balancers/b/compression/algorithms", json!(["zstd", "gzip"])),
            ("/load_balancers/c/compression/algorithms", json!(["gzip"])),
        ],
    );
    for (size, shown) in [("0B", "0B"), ("1536B", "1536B"), ("2048B", "2KiB"), ("1GiB", "1GiB"), ("3MiB", "3MiB")] {
        check(
            &format!("load_balancers: {{ a: {{ compression: {{ types: TEXT/*, minimum_size: {size} }} }} }}"),
            &[
                ("/load_balancers/a/compression/minimum_size", json!(shown)),
                ("/load_balancers/a/compression/types", json!(["text/*"])),
            ],
        );
    }
}

#[test]
fn listeners_take_a_port_or_an_address() {
    let text = "load_balancers: { s: { listeners: {
        a: { port: 0, default: { fixed_response: { status: 200 } } },
        b: { address: 127.0.0.1:0, default: { fixed_response: { status: 200, body: hi } } } } } }";
    check(
        text,
        &[
            ("/load_balancers/s/type", json!("application")),
            ("/load_balancers/s/idle_timeout", json!("1m")),
            ("/load_balancers/s/listeners/a/port", json!(0)),
            ("/load_balancers/s/listeners/a/default", json!({ "fixed_response": { "status": 200, "body": "" } })),
            ("/load_balancers/s/listeners/b/address", json!("127.0.0.1:0")),
            ("/load_balancers/s/listeners/b/default/fixed_response/content_type", json!("text/plain")),
        ],
    );
    let config = accept(text).config;
    assert_eq!(config.load_balancers["s"].listeners["a"].bind, Bind::Any(0));
}

#[test]
fn rules_of_every_shape() {
    let then = "then: { forward: w }";
    let cases = [
        ("path: /blog/*", "/path", json!(["/blog/*"])),
        ("path: [{ regex: \"^/v[0-9]+/\" }, \"/a\\\\*b\"]", "/path", json!([{ "regex": "^/v[0-9]+/" }, "/a\\*b"])),
        ("host: [localhost, 127.0.0.1, \"[::1]\", \"*\", api, \"*.example.com\"]", "/host/1", json!("127.0.0.1")),
        ("host: \"*.xn--p1ai\"", "/host", json!(["*.xn--p1ai"])),
        ("method: GET", "/method", json!(["GET"])),
        (
            "source_ip: [10.1.2.3, \"fd00::1\", 10.1.2.3/8]",
            "/source_ip",
            json!(["10.1.2.3/32", "fd00::1/128", "10.0.0.0/8"]),
        ),
        (
            "header: { X-Version: [v2, \"v2.*\"], X-On: yes }",
            "/header",
            json!({ "x-version": ["v2", "v2.*"], "x-on": ["yes"] }),
        ),
        ("query: { env: dev }", "/query", json!([{ "key": "env", "value": "dev" }])),
        ("query: [{ key: debug }, { value: \"b*\" }]", "/query", json!([{ "key": "debug" }, { "value": "b*" }])),
        ("not: { path: /a }, all: [{ query: { a: b } }, { query: { c: d } }]", "/not", json!({ "path": ["/a"] })),
        ("path: []", "/path", Value::Null),
    ];
    for (conditions, path, value) in cases {
        check_rule(&format!("{{ if: {{ {conditions} }}, {then} }}"), &[(&format!("/if{path}"), value)]);
    }
}

#[test]
fn actions_of_every_shape() {
    check_rule(
        "{ then: { forward: w } }",
        &[("/then", json!({ "forward": { "groups": { "w": 1 } } })), ("/if", Value::Null)],
    );
    check_rule(
        "{ name: r1, then: { forward: { groups: { w: 0, v: 0 }, stickiness: 90m } } }",
        &[
            ("/then/forward/stickiness", json!({ "duration": "90m", "cookie_name": "AWSALBTG" })),
            ("/name", json!("r1")),
        ],
    );
    check_rule(
        "{ then: { forward: { groups: { w: 999, v: 1 }, stickiness: { duration: 7d, cookie_name: mine } } } }",
        &[("/then/forward/stickiness/cookie_name", json!("mine"))],
    );
    check_rule(
        "{ then: { redirect: { protocol: HTTPS, port: 8443 } } }",
        &[(
            "/then/redirect",
            json!({
                "protocol": "HTTPS", "host": "#{host}", "port": "8443", "path": "/#{path}", "query": "#{query}", "status": 302
            }),
        )],
    );
    check_rule("{ then: { redirect: { query: \"\", status: 308 } } }", &[("/then/redirect/query", json!(""))]);
    check_rule("{ then: { redirect: { port: \"#{port}\", host: \"[::1]\" } } }", &[]);
    check_rule(
        "{ then: { fixed_response: { status: 503, content_type: \"text/html; charset=utf-8\", body: \"é\" } } }",
        &[("/then/fixed_response/body", json!("é"))],
    );
    check_rule(
        "{ transforms: { url: { regex: \"^/v1/(.*)\", replace: \"/${1}\" } }, then: { forward: w } }",
        &[("/transforms", json!({ "url": { "regex": "^/v1/(.*)", "replace": "/${1}" } }))],
    );
}

#[test]
fn health_checks_follow_the_protocol() {
    let check = |text: &str, protocol, path, timeout, matcher| {
        let HealthCheck { protocol: p, path: q, timeout: t, matcher: m, interval, .. } = group(text).health_check;
        assert_eq!((p, &*q, t, m), (protocol, path, Duration::from_secs(timeout), vec![matcher]), "{text}");
        assert_eq!(interval, Duration::from_secs(30));
    };
    check("{}", HealthProtocol::Http, "/", 5, (200, 200));
    check("{ protocol: https }", HealthProtocol::Https, "/", 5, (200, 200));
    check("{ protocol: grpc }", HealthProtocol::Grpc, "/AWS.ALB/healthcheck", 5, (12, 12));
    check(
        "{ protocol: grpc, health_check: { matcher: \"0\" } }",
        HealthProtocol::Grpc,
        "/AWS.ALB/healthcheck",
        5,
        (0, 0),
    );
    check("{ protocol: tcp }", HealthProtocol::Tcp, "/", 10, (200, 200));
    check("{ protocol: udp }", HealthProtocol::Tcp, "/", 10, (200, 200));
    check(
        "{ protocol: tcp, health_check: { protocol: http, matcher: 204 } }",
        HealthProtocol::Http,
        "/",
        6,
        (204, 204),
    );
    for network in ["tcp", "tls", "udp"] {
        let probed = |probe| format!("{{ protocol: {network}, health_check: {{ protocol: {probe} }} }}");
        check(&probed("http"), HealthProtocol::Http, "/", 6, (200, 399));
        check(&probed("https"), HealthProtocol::Https, "/", 10, (200, 399));
    }
    check("{ health_check: { protocol: https } }", HealthProtocol::Https, "/", 5, (200, 200));
    check("{ protocol: http, health_check: { protocol: tcp } }", HealthProtocol::Tcp, "/", 10, (200, 200));
    let matcher =
        group("{ health_check: { matcher: \"200-299, 301\", timeout: 100ms, port: 81 } }").health_check.matcher;
    assert_eq!(matcher, [(200, 299), (301, 301)]);
}

#[test]
fn target_groups_of_every_shape() {
    let addresses = group(
        "{ targets: [127.0.0.1:1, \"[::1]:2\", Backend.Internal:3, { address: \"unix:/run/a.sock\", weight: 0 }] }",
    );
    let addresses: Vec<String> = addresses.targets.iter().map(|target| target.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:1", "[::1]:2", "backend.internal:3", "unix:/run/a.sock"]);
    assert_eq!(group("{ stickiness: { type: source_ip } }").stickiness, Some(Stickiness::SourceIp));
    let sticky = group("{ stickiness: { type: lb_cookie } }").stickiness;
    assert_eq!(
        sticky,
        Some(Stickiness::LbCookie { duration: Duration::from_secs(86_400), cookie_name: "AWSALB".into() })
    );
    let fallback = group("{ fallback: { fixed_response: { status: 503 } } }").fallback;
    assert!(matches!(fallback, Fallback::FixedResponse(response) if response.content_type.is_none()));
    group("{ algorithm: consistent_hash, hash_on: { cookie: sid }, proxy_protocol: v2 }");
    for (text, secured, checked) in [
        ("{ protocol: grpc }", false, false),
        ("{ protocol: grpc, tls: {} }", true, true),
        ("{ protocol: grpc, tls: {}, health_check: { protocol: tcp } }", true, false),
        ("{ protocol: https }", true, true),
        ("{ protocol: https, version: http2, health_check: { protocol: grpc } }", true, true),
        ("{ health_check: { protocol: tls }, tls: {} }", false, true),
    ] {
        let group = group(text);
        assert_eq!((group.is_secured(), group.is_checked_over_tls()), (secured, checked), "{text}");
    }
    for (text, preserves) in [
        ("{ protocol: udp }", false),
        ("{ protocol: tcp, preserve_client_ip: true, proxy_protocol: v2, targets: [backend.internal:1] }", true),
        ("{ protocol: tls, preserve_client_ip: true }", true),
        ("{ protocol: udp, preserve_client_ip: true }", true),
    ] {
        assert_eq!(group(text).preserve_client_ip, preserves, "{text}");
    }
    group("{ algorithm: weighted_random, anomaly_mitigation: true, retry: {}, circuit_breaker: {} }");
    group("{ retry: { when: [status_503, timeout], budget: 0 }, limits: { max_connections: 10 } }");
}

#[test]
fn aliases_and_references_to_the_environment() {
    let text = "
load_balancers:
  s:
    listeners:
      l:
        port: ${env:PORT}
        rules:
          - { if: &same { path: /a }, then: &page { fixed_response: { status: 200, body: \"${file:/run/body}, $${env:PORT}, ${x}\" } } }
          - { if: *same, then: *page }
        default: { forward: w }
target_groups: { w: { targets: [\"${env:TARGET}\"] } }
";
    check(text, &[("/load_balancers/s/listeners/l/port", json!(8080))]);
    let parsed = accept(text);
    let listener = &parsed.config.load_balancers["s"].listeners["l"];
    for rule in listener.rules.iter() {
        let Action::FixedResponse(response) = &rule.action else { panic!("{rule:?}") };
        assert_eq!(&*response.body, "from a file, ${env:PORT}, ${x}");
    }
    assert_eq!(parsed.secrets.len(), 4, "{:?}", parsed.secrets);
    let mut json = parsed.config.to_json();
    redact(&mut json, &parsed.secrets);
    let expected = [
        ("/load_balancers/s/listeners/l/port", json!("***")),
        ("/load_balancers/s/listeners/l/rules/1/then/fixed_response/body", json!("***")),
        ("/target_groups/w/targets", json!(["***"])),
    ];
    for (path, value) in expected {
        assert_eq!(json.pointer(path), Some(&value), "{json:#}");
    }
}

#[test]
fn what_is_right_but_odd_is_warned_of() {
    let text = "
load_balancers:
  s:
    listeners:
      l: { port: 0, rules: [ { if: { path: img/* }, then: { forward: w } } ], default: { forward: { groups: { w: 0 } } } }
target_groups: { w: {}, unused: {} }
";
    let warnings: Vec<String> = accept(text).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "t:5:44: load_balancers.s.listeners.l.rules[0].if.path: can never match: every path begins with /",
            "t:5:109: load_balancers.s.listeners.l.default.forward: all weights are 0: every request is answered 503",
            "t:6:25: target_groups.unused: no listener uses this target group",
        ]
    );
}

#[test]
fn guards_without_effect_are_warned_of() {
    let text = "
load_balancers:
  s:
    security_groups: [web]
    listeners:
      l: { port: 80, network_acl: n, default: { forward: w } }
      m: { port: 81, default: { forward: w } }
target_groups: { w: { targets: [10.0.0.1:9001, 10.0.0.2:9002], security_groups: [app] } }
security_groups:
  web:
    inbound:
      - { ports: [80], from: [10.0.0.0/9] }
      - { protocol: tcp, ports: \"80-90\", from: [0.0.0.0/0] }
      - { ports: [80], from: [10.0.0.0/8, app] }
      - { protocol: tcp, ports: 80, from: [10.0.0.0/8, app] }
  app: { inbound: [ { ports: [9001], from: [web] } ] }
  spare: {}
network_acls:
  n:
    inbound:
      - { rule: 300, action: deny, from: [10.0.0.0/8] }
      - { rule: 100, action: allow, from: [10.0.0.0/9] }
      - { rule: 200, action: allow, from: [10.128.0.0/9] }
      - { rule: 50, action: allow, from: [10.0.0.0/10] }
";
    let accepted = accept(text);
    let warnings: Vec<String> = accepted.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "t:8:81: target_groups.w.security_groups: no rule lets load balancer s reach port 9002",
            "t:12:9: security_groups.web.inbound[0]: changes nothing: all of it is allowed by inbound[2] (line 14)",
            "t:15:9: security_groups.web.inbound[3]: changes nothing: all of it is allowed by inbound[2] (line 14)",
            "t:17:3: security_groups.spare: nothing uses this security group",
            "t:21:9: network_acls.n.inbound[0]: rule 300 never matches: all of it is taken by rule 50 (line 24), rule 100 (line 22) and rule 200 (line 23)",
            "t:24:9: network_acls.n.inbound[3]: rule 50 changes nothing: the same is done by rule 100 (line 22)",
        ]
    );
    let reaches = accepted.config.reaches();
    let by: Vec<(u16, Option<&str>)> = reaches.iter().map(|reach| (reach.port, reach.by.as_deref())).collect();
    assert_eq!(by, [(9001, Some("app allows members of web")), (9002, None)]);
    // datagrams have ports of their own, and health checks of their targets are connections all the same
    let text_of = |inbound: &str, check: &str| {
        format!(
            "load_balancers: {{ s: {{ type: network, security_groups: w, listeners: {{ l: {{ port: 53, protocol: udp, default: {{ \
             forward: w }} }} }} }} }}\ntarget_groups: {{ w: {{ protocol: udp, targets: [10.0.0.1:53], health_check: {{ {check} }}, \
             security_groups: [app] }} }}\nsecurity_groups: {{ w: {{ inbound: [ {{ from: [0.0.0.0/0] }} ] }}, app: {{ inbound: \
             [ {inbound} ] }} }}\n"
        )
    };
    type Ways = &'static [(u16, Carrier, bool)];
    let rows: [(&str, &str, Ways); 5] = [
        ("{ protocol: tcp, from: [w] }", "", &[(53, Carrier::Tcp, true), (53, Carrier::Udp, false)]),
        ("{ protocol: udp, from: [w] }", "", &[(53, Carrier::Tcp, false), (53, Carrier::Udp, true)]),
        ("{ protocol: udp, from: [w] }", "protocol: none", &[(53, Carrier::Udp, true)]),
        ("{ protocol: udp, from: [w] }", "port: 8080", &[(53, Carrier::Udp, true), (8080, Carrier::Tcp, false)]),
        ("{ ports: [53, 8080], from: [w] }", "port: 8080", &[(53, Carrier::Udp, true), (8080, Carrier::Tcp, true)]),
    ];
    for (inbound, check, expected) in rows {
        let accepted = accept(&text_of(inbound, check));
        let reaches = accepted.config.reaches();
        let found: Vec<_> = reaches.iter().map(|reach| (reach.port, reach.carrier, reach.by.is_some())).collect();
        assert_eq!(found, expected, "{inbound}, {check}");
        let warned = accepted.warnings.iter().filter(|warning| warning.what.starts_with("no rule lets")).count();
        assert_eq!(warned, expected.iter().filter(|(.., reaches)| !reaches).count(), "{:?}", accepted.warnings);
    }
    let closed = text.replace("port: 81", "port: 91");
    let warnings: Vec<String> = accept(&closed).warnings.iter().map(ToString::to_string).collect();
    let nobody = "t:7:7: load_balancers.s.listeners.m: nobody gets in: no rule of its security groups is about port 91";
    assert!(warnings.iter().any(|warning| warning == nobody), "{warnings:?}");
}

#[test]
fn lists_too_long_for_the_kernel_are_warned_of() {
    let listed = |count: usize, guard: &str, protocol: &str, group: &str| {
        let kind = if protocol == "http" { "application" } else { "network" };
        let networks: Vec<String> = (0..count).map(|n| format!("10.{}.{}.0/25", n / 256, n % 256)).collect();
        let networks = networks.join(", ");
        format!(
            "load_balancers:\n  s:\n    type: {kind}\n    listeners:\n      l: {{ port: 80, protocol: {protocol}, default: {{ \
             forward: w }} {guard}\ntarget_groups: {{ w: {{ protocol: {group} }} }}\nnetwork_acls: {{ n: {{ inbound: [ {{ rule: 1, \
             action: allow, from: [{networks}] }} ] }} }}\nsecurity_groups: {{ g: {{ inbound: [ {{ from: [{networks}] }} ] }} }}\n"
        )
    };
    let (list, group) = (", network_acl: n }", "}\n    security_groups: g");
    let rows = [
        (200, list, "http", "http", None),
        (1500, list, "http", "http", Some("t:5:77: load_balancers.s.listeners.l.network_acl")),
        (300, list, "tcp", "tcp", Some("t:5:76: load_balancers.s.listeners.l.network_acl")),
        (300, group, "http", "http", Some("t:5:7: load_balancers.s.listeners.l")),
        // of connections only: datagrams are dropped unanswered in any case
        (300, list, "udp", "udp", None),
    ];
    for (count, guard, protocol, target, expected) in rows {
        let text = listed(count, guard, protocol, target);
        let warnings: Vec<String> = accept(&text).warnings.iter().map(ToString::to_string).collect();
        let found = warnings.iter().find(|warning| warning.contains("before the handshake"));
        let expected = expected.map(|place| format!("{place}: {count} ranges of addresses may connect, too many"));
        match expected {
            Some(begin) => assert!(found.is_some_and(|found| found.starts_with(&begin)), "{begin}: {warnings:?}"),
            None => assert_eq!(found, None, "{count} of {protocol}"),
        }
    }
}

#[test]
fn patterns_come_apart() {
    let literal = |text: &str| PatternToken::Literal(text.into());
    let cases = [
        ("", vec![]),
        ("/a", vec![literal("/a")]),
        ("/**/?", vec![literal("/"), PatternToken::Any, literal("/"), PatternToken::One]),
        (r"a\*b\?c\\d*", vec![literal(r"a*b?c\d"), PatternToken::Any]),
    ];
    for (text, tokens) in cases {
        let pattern = Pattern::new(text).expect("a pattern");
        assert_eq!(
            pattern.is_literal(),
            tokens.iter().all(|token| matches!(token, PatternToken::Literal(_))),
            "{text}"
        );
        assert_eq!(pattern.tokens(), tokens, "{text}");
    }
    assert!(Pattern::new(r"\*").expect("a pattern").is_literal());
    assert_eq!(Pattern::new("a\\"), Err(PatternError::BadEscape));
    assert_eq!(Pattern::new("a\tb"), Err(PatternError::NotVisibleAscii));
    assert_eq!(Pattern::new(&"a".repeat(1025)), Err(PatternError::TooLong));
    assert!(matches!(TextMatch::Wildcard(Pattern::new("x").expect("a pattern")), TextMatch::Wildcard(_)));
}

#[test]
fn names_and_addresses() {
    for (text, fine) in
        [("a", true), ("a.b_c-d", true), ("_", true), ("", false), ("-a", false), ("a.", false), ("a b", false)]
    {
        assert_eq!(Name::new(text).is_ok(), fine, "{text}");
    }
    assert!(Name::new(&"a".repeat(64)).is_ok() && Name::new(&"a".repeat(65)).is_err());
    for text in ["h", "h:", "h:0", "h:65536", "h:+1", ":1", "1.2.3:1", "a..b:1", "-a:1", "unix:", "unix:a", "::1:80"] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}
