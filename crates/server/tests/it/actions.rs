//! What rules do with a request (R11, R13 to R16): forward by weight, redirect, answer, rewrite.

use std::collections::BTreeMap;

use headworks_testkit::{Ask, Headworks, Origin, Response, ask, check};

use crate::start;

/// A configuration with one listener per row, named `l0`, `l1` and so on, that does this action by default.
fn listeners(actions: impl Iterator<Item = String>) -> String {
    let mut yaml = "load_balancers:\n  shop:\n    preserve_host_header: true\n    listeners:\n".to_owned();
    for (number, action) in actions.enumerate() {
        yaml.push_str(&format!("      l{number}: {{ address: 127.0.0.1:0, {action} }}\n"));
    }
    yaml
}

fn ask_row(headworks: &Headworks, row: usize, request: &str) -> Response {
    let to = headworks.listener(&format!("shop/l{row}"));
    headworks_testkit::Client::connect(to).exchange(&Ask::parse(request))
}

/// R15. `<port>` is the listener's.
#[test]
fn redirects() {
    const ROWS: &[(&str, &str, u16, &str)] = &[
        (
            "{ protocol: HTTPS, port: 8443, status: 301 }",
            "GET shop.example.com/a?b=c",
            301,
            "https://shop.example.com:8443/a?b=c",
        ),
        ("{ protocol: HTTPS, port: 443, status: 301 }", "GET shop.example.com/", 301, "https://shop.example.com/"),
        ("{ protocol: HTTPS }", "GET shop.example.com/", 302, "https://shop.example.com:<port>/"),
        (
            r##"{ host: "blog.#{host}", path: "/#{path}", query: "#{query}", status: 302 }"##,
            "GET example.com:81/x/y?z=1&w",
            302,
            "http://blog.example.com:<port>/x/y?z=1&w",
        ),
        (r##"{ path: "/new/#{path}" }"##, "GET a.example.com/old/x", 302, "http://a.example.com:<port>/new/old/x"),
        (r##"{ path: "/new/#{path}" }"##, "GET a.example.com/?q", 302, "http://a.example.com:<port>/new/?q"),
        (
            r##"{ path: "/#{host}/#{port}" }"##,
            "GET a.example.com/x",
            302,
            "http://a.example.com:<port>/a.example.com/<port>",
        ),
        (
            r##"{ path: /x, query: "a=#{query}&p=#{protocol}" }"##,
            "GET a.example.com/?1=2",
            302,
            "http://a.example.com:<port>/x?a=1=2&p=http",
        ),
        (r##"{ path: /x, query: "" }"##, "GET a.example.com/?1=2", 302, "http://a.example.com:<port>/x"),
        ("{ host: b.example.com, port: 80, status: 303 }", "POST a.example.com/x?y", 303, "http://b.example.com/x?y"),
        ("{ host: b.example.com, status: 307 }", "PUT a.example.com/x", 307, "http://b.example.com:<port>/x"),
        ("{ host: b.example.com, status: 308 }", "HEAD a.example.com/x", 308, "http://b.example.com:<port>/x"),
        ("{ port: 81 }", "GET [::1]:80/x", 302, "http://[::1]:81/x"),
        (
            "{ port: 81 }",
            "GET http://abs.example.com/x?y | Host: other.example.com",
            302,
            "http://abs.example.com:81/x?y",
        ),
    ];
    let actions = ROWS.iter().map(|(redirect, ..)| format!("default: {{ redirect: {redirect} }}"));
    let headworks = start(&listeners(actions), &[]);
    check(
        ROWS.iter().enumerate(),
        |(_, row)| format!("{} on {}", row.0, row.1),
        |(number, (_, request, status, location))| {
            let port = headworks.listener(&format!("shop/l{number}")).port().to_string();
            let response = ask_row(&headworks, *number, request);
            assert_eq!(response.status, *status, "{response}");
            assert_eq!(response.field("Location"), Some(location.replace("<port>", &port).as_str()), "{response}");
            assert_eq!(response.field("Server"), Some("headworks"), "{response}");
            assert_eq!(response.field("Connection"), None, "a redirect leaves the connection open\n{response}");
        },
    );
}

/// R15: a Location over 8 KiB is a failure, and is counted.
#[test]
fn a_redirect_that_is_too_long() {
    let redirect = r##"default: { redirect: { path: "/#{path}#{path}" } }"##;
    let headworks = start(&listeners([redirect.to_owned()].into_iter()), &[]);
    let fits = ask_row(&headworks, 0, &format!("GET a.example.com/{}", "x".repeat(4000)));
    assert_eq!(fits.status, 302);
    assert_eq!(headworks.metrics().sum("headworks_redirect_url_limit_exceeded_total", &[]), 0.0);
    let response = ask_row(&headworks, 0, &format!("GET a.example.com/{}", "x".repeat(4100)));
    assert_eq!(response.status, 500, "{response}");
    assert_eq!(headworks.metrics().sum("headworks_redirect_url_limit_exceeded_total", &[]), 1.0);
}

/// R16.
#[test]
fn fixed_responses() {
    let long = "x".repeat(64 * 1024);
    let rows: Vec<(String, &str, u16, Option<&str>, &str)> = vec![
        (
            "{ status: 503, content_type: text/plain, body: \"back soon\" }".into(),
            "GET /",
            503,
            Some("text/plain"),
            "back soon",
        ),
        (
            "{ status: 200, content_type: text/html, body: \"<p>hello</p>\" }".into(),
            "POST /",
            200,
            Some("text/html"),
            "<p>hello</p>",
        ),
        (
            "{ status: 200, content_type: application/json, body: '{\"a\":1}' }".into(),
            "GET /",
            200,
            Some("application/json"),
            "{\"a\":1}",
        ),
        ("{ status: 404, body: gone }".into(), "GET /", 404, Some("text/plain"), "gone"),
        ("{ status: 404 }".into(), "GET /", 404, None, ""),
        ("{ status: 204 }".into(), "GET /", 204, None, ""),
        ("{ status: 200, body: four }".into(), "HEAD /", 200, Some("text/plain"), ""),
        (format!("{{ status: 200, body: {long} }}"), "GET /", 200, Some("text/plain"), &long),
    ];
    let actions = rows.iter().map(|(fixed, ..)| format!("default: {{ fixed_response: {fixed} }}"));
    let headworks = start(&listeners(actions), &[]);
    check(
        rows.iter().enumerate(),
        |(_, row)| format!("{} on {}", row.0.chars().take(60).collect::<String>(), row.1),
        |(number, (_, request, status, content_type, body))| {
            let response = ask_row(&headworks, *number, request);
            assert_eq!(response.status, *status, "{response}");
            assert_eq!(response.field("Content-Type"), *content_type, "{response}");
            assert_eq!(response.text(), *body, "{response}");
            assert_eq!(response.field("Server"), Some("headworks"), "{response}");
            assert!(response.field("Date").is_some(), "{response}");
            assert_eq!(response.field("Connection"), None, "{response}");
        },
    );
    // what HEAD would have had
    assert_eq!(ask_row(&headworks, 6, "HEAD /").field("Content-Length"), Some("4"));
    // a request's body is not mistaken for the next request
    let mut client = headworks_testkit::Client::connect(headworks.listener("shop/l0"));
    assert_eq!(client.exchange(&ask("POST", "/").body("GET /evil HTTP/1.1\r\n\r\n")).text(), "back soon");
    assert_eq!(client.exchange(&ask("GET", "/")).text(), "back soon");
}

/// R11: what the target sees.
#[test]
fn transforms() {
    const ROWS: &[(&str, &str, &str, &str)] = &[
        (
            r#"{ url: { regex: "^/old/(.*)$", replace: "/new/$1" } }"#,
            "GET a.example.com/old/x?y=1",
            "/new/x?y=1",
            "a.example.com",
        ),
        (
            r#"{ url: { regex: "^/old/(.*)$", replace: "/new/$1" } }"#,
            "GET a.example.com/Old/x",
            "/Old/x",
            "a.example.com",
        ),
        (r#"{ url: { regex: "^/api", replace: "" } }"#, "GET a.example.com/api/v1", "/v1", "a.example.com"),
        (r#"{ url: { regex: "^/api/", replace: "" } }"#, "GET a.example.com/api/v1", "/v1", "a.example.com"),
        (r#"{ url: { regex: "a", replace: "b" } }"#, "GET a.example.com/aaa", "/baa", "a.example.com"),
        (
            r#"{ url: { regex: '^/(?P<id>[0-9]+)$', replace: '/item?id=${id}' } }"#,
            "GET a.example.com/42",
            "/item?id=42",
            "a.example.com",
        ),
        (
            r#"{ host: { regex: '^(.*)\.example\.com$', replace: '$1.internal' } }"#,
            "GET Shop.EXAMPLE.com/x",
            "/x",
            "Shop.internal",
        ),
        (
            r#"{ host: { regex: '^a\.', replace: 'b.' }, url: { regex: "^/x", replace: "/y" } }"#,
            "GET a.example.com/x/1",
            "/y/1",
            "b.example.com",
        ),
        (r#"{ host: { regex: '^none$', replace: 'some' } }"#, "GET a.example.com/", "/", "a.example.com"),
    ];
    let web = Origin::echo("web");
    let actions = ROWS.iter().map(|(transforms, ..)| {
        format!(
            "rules: [{{ transforms: {transforms}, then: {{ forward: web }} }}], default: {{ fixed_response: {{ status: 404 }} }}"
        )
    });
    let yaml = listeners(actions) + "target_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n";
    let headworks = start(&yaml, &[("web", &web)]);
    check(
        ROWS.iter().enumerate(),
        |(_, row)| format!("{} on {}", row.0, row.1),
        |(number, (_, request, target, host))| {
            let echo = ask_row(&headworks, *number, request).echo();
            assert_eq!((echo.target.as_str(), echo.fields.one("Host")), (*target, Some(*host)));
        },
    );
}

/// How often each origin answered `count` requests.
fn shares(headworks: &Headworks, count: usize) -> BTreeMap<String, usize> {
    let mut client = headworks.client();
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        *shares.entry(client.exchange(&ask("GET", "/")).echo().origin).or_default() += 1;
    }
    shares
}

/// R13: shares are weight over the sum; 0 takes nothing; all 0 is 503.
#[test]
fn weights() {
    let (one, two, three) = (Origin::echo("one"), Origin::echo("two"), Origin::echo("three"));
    let yaml = r"
load_balancers:
  shop:
    listeners:
      http: { address: 127.0.0.1:0, default: { forward: { groups: { one: 10, two: 20, three: 0 } } } }
target_groups:
  one: { targets: [<one>], health_check: { protocol: none } }
  two: { targets: [<two>], health_check: { protocol: none } }
  three: { targets: [<three>], health_check: { protocol: none } }
";
    let parts: &headworks_testkit::program::Parts<'_> = &[("one", &one), ("two", &two), ("three", &three)];
    let mut headworks = start(yaml, parts);
    let seen = shares(&headworks, 300);
    let of = |name: &str| seen.get(name).copied().unwrap_or_default();
    assert!((85..=115).contains(&of("one")) && of("one") + of("two") == 300, "10:20:0 of 300 came as {seen:?}");
    // blue/green: 100/0 to 0/100 by a reload
    headworks.reload(&yaml.replace("one: 10, two: 20, three: 0", "one: 0, two: 0, three: 100"), parts);
    assert_eq!(shares(&headworks, 20), BTreeMap::from([("three".to_owned(), 20)]));
    headworks.reload(&yaml.replace("one: 10, two: 20, three: 0", "one: 0, two: 0, three: 0"), parts);
    let none = headworks.ask(&ask("GET", "/"));
    assert_eq!(none.status, 503, "{none}");
}

/// R2 and CONFIG: `forward` by name and by map, and rules before the default.
#[test]
fn forwards_by_rule() {
    let (read, write, private) = (Origin::echo("read"), Origin::echo("write"), Origin::echo("private"));
    let headworks = start(
        r"
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { source_ip: [127.0.0.5/32] }, then: { forward: private } }
          - { if: { method: [POST, PUT, PATCH, DELETE] }, then: { forward: { groups: { write: 1 } } } }
        default: { forward: read }
target_groups:
  read: { targets: [<read>], health_check: { protocol: none } }
  write: { targets: [<write>], health_check: { protocol: none } }
  private: { targets: [<private>], health_check: { protocol: none } }
",
        &[("read", &read), ("write", &write), ("private", &private)],
    );
    let mut client = headworks.client();
    for (method, origin) in
        [("GET", "read"), ("POST", "write"), ("DELETE", "write"), ("HEAD", "read"), ("PUT", "write")]
    {
        let bodiless = matches!(method, "GET" | "HEAD");
        let response = client.exchange(&if bodiless { ask(method, "/") } else { ask(method, "/").body("x") });
        assert_eq!(response.field("X-Origin"), Some(origin), "{method}: {response}");
        assert_eq!(response.field("Server"), None, "Server is for answers of our own\n{response}");
    }
    let mut client = headworks_testkit::Client::connect_from("127.0.0.5", headworks.address());
    assert_eq!(client.exchange(&ask("POST", "/").body("x")).echo().origin, "private");
}
