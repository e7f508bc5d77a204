//! H11: what a listener says in every answer, of targets and of its own.

use headworks_testkit::{Origin, Step, ask, check};

use crate::start;

/// One listener with these `response_headers`.
fn listener(headers: &str) -> String {
    format!(
        "load_balancers:\n  shop:\n    listeners:\n      http:\n        address: 127.0.0.1:0\n        response_headers: {{ {headers} }}\n\
         \x20       rules:\n\
         \x20         - {{ if: {{ path: [/fixed] }}, then: {{ fixed_response: {{ status: 200, body: hi }} }} }}\n\
         \x20         - {{ if: {{ path: [/redirect] }}, then: {{ redirect: {{ path: /x }} }} }}\n\
         \x20         - {{ if: {{ path: [/nobody] }}, then: {{ forward: nobody }} }}\n\
         \x20       default: {{ forward: web }}\n\
         target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }} }}\n  nobody: {{ targets: [] }}\n"
    )
}

const ALL: &str = "access_control_allow_origin: https://a.example, access_control_allow_methods: 'GET, PUT', \
    access_control_allow_headers: X-A, access_control_allow_credentials: true, access_control_expose_headers: X-B, \
    access_control_max_age: 600, content_security_policy: \"default-src 'self'\", x_content_type_options: nosniff, \
    x_frame_options: SAMEORIGIN";

const SAID: [(&str, &str); 9] = [
    ("Access-Control-Allow-Origin", "https://a.example"),
    ("Access-Control-Allow-Methods", "GET, PUT"),
    ("Access-Control-Allow-Headers", "X-A"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "X-B"),
    ("Access-Control-Max-Age", "600"),
    ("Content-Security-Policy", "default-src 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
];

/// Each is there once, with the listener's value, whatever a target said and whoever answers.
#[test]
fn they_stand_in_every_answer() {
    let own = "access-control-allow-origin: *\r\nX-Frame-Options: DENY\r\nX-FRAME-OPTIONS: DENY\r\n\
               Content-Security-Policy: default-src *\r\nServer: app\r\nStrict-Transport-Security: max-age=1\r\nX-Own: 1\r\n";
    let web = Origin::new("web")
        .on("/own", [Step::send(format!("HTTP/1.1 200 OK\r\n{own}Content-Length: 2\r\n\r\nok"))])
        .on("/chunked", [Step::send(format!("HTTP/1.1 200 OK\r\n{own}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))])
        .on("/304", [Step::send(format!("HTTP/1.1 304 Not Modified\r\n{own}\r\n"))])
        .on("/broken", [Step::Reset])
        .start();
    let headworks = start(&listener(ALL), &[("web", &web)]);
    let rows = [
        ("GET", "/plain", 200),
        ("HEAD", "/plain", 200),
        ("GET", "/own", 200),
        ("GET", "/chunked", 200),
        ("GET", "/304", 304),
        ("GET", "/broken", 502),
        ("GET", "/fixed", 200),
        ("GET", "/redirect", 302),
        ("GET", "/nobody", 503),
        ("TRACE", "/", 405),
    ];
    check(
        rows,
        |row| format!("{} {}", row.0, row.1),
        |(method, path, status)| {
            let response = headworks.ask(&ask(method, path));
            assert_eq!(response.status, *status, "{response}");
            for (name, value) in SAID {
                assert_eq!(response.fields.all(name), [value], "{response}");
            }
            if ["/own", "/chunked", "/304"].contains(path) {
                // what is not set is the target's own
                assert_eq!(response.field("Server"), Some("app"), "{response}");
                assert_eq!(response.field("Strict-Transport-Security"), Some("max-age=1"), "{response}");
                assert_eq!(response.field("X-Own"), Some("1"), "{response}");
            }
        },
    );
    // bytes that are no request are answered, too
    let mut client = headworks.client();
    let refused = client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n").response();
    assert_eq!((refused.status, refused.field("X-Frame-Options")), (400, Some("SAMEORIGIN")), "{refused}");
}

#[test]
fn server_is_hidden() {
    let web =
        Origin::new("web").on("/own", [Step::answer_with(200, &["Server: app", "X-Server: stays"], "ok")]).start();
    let headworks = start(&listener("server: false"), &[("web", &web)]);
    for (path, stays) in [("/own", Some("stays")), ("/fixed", None), ("/nobody", None)] {
        let response = headworks.ask(&ask("GET", path));
        assert!(response.fields.all("Server").is_empty(), "{response}");
        assert_eq!(response.field("X-Server"), stays, "{response}");
        assert_eq!(response.field("X-Frame-Options"), None, "{response}");
    }
    let shown = start(&listener("server: true"), &[("web", &web)]);
    assert_eq!(shown.ask(&ask("GET", "/own")).field("Server"), Some("app"));
    assert_eq!(shown.ask(&ask("GET", "/fixed")).field("Server"), Some("headworks"));
}

/// A reload changes them for connections that are open.
#[test]
fn a_reload_changes_them() {
    let web = Origin::echo("web");
    let mut headworks = start(&listener("x_frame_options: DENY"), &[("web", &web)]);
    let mut client = headworks.client();
    assert_eq!(client.exchange(&ask("GET", "/")).field("X-Frame-Options"), Some("DENY"));
    headworks.reload(&listener("x_frame_options: SAMEORIGIN"), &[("web", &web)]);
    assert_eq!(client.exchange(&ask("GET", "/")).field("X-Frame-Options"), Some("SAMEORIGIN"));
}
