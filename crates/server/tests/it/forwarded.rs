//! The request as the target sees it, and the answer as the client does: fields added, changed and taken out (H4 to H7).

use headworks_testkit::{Ask, Client, Echo, Origin, Step, ask, check};

use crate::{proxy, start};

/// H4: how X-Forwarded-For is written, by mode and by address family.
#[test]
fn x_forwarded_for() {
    let mut yaml = "load_balancers:\n".to_owned();
    for mode in ["append", "preserve", "remove"] {
        for port in [false, true] {
            yaml.push_str(&format!(
                "  {mode}-{port}:\n    xff_header_processing: {mode}\n    xff_client_port: {port}\n    listeners:\n      \
                 four: {{ address: 127.0.0.1:0, default: {{ forward: web }} }}\n      \
                 six: {{ address: \"[::1]:0\", default: {{ forward: web }} }}\n"
            ));
        }
    }
    yaml.push_str("target_groups:\n  web: { targets: [<web>], health_check: { protocol: none } }\n");
    let web = Origin::echo("web");
    let headworks = start(&yaml, &[("web", &web)]);
    const ONE: &str = "X-Forwarded-For: 203.0.113.7";
    const TWO: &str = "X-Forwarded-For: 198.51.100.1, 10.0.0.1";
    // `<port>` is the client's
    let rows: [(&str, &[&str], &[&str]); 16] = [
        ("append-false/four", &[], &["127.0.0.1"]),
        ("append-false/four", &[ONE], &["203.0.113.7, 127.0.0.1"]),
        ("append-false/four", &[ONE, TWO], &["203.0.113.7, 198.51.100.1, 10.0.0.1, 127.0.0.1"]),
        ("append-false/four", &["X-Forwarded-For:"], &["127.0.0.1"]),
        ("append-false/six", &[], &["::1"]),
        ("append-false/six", &[ONE], &["203.0.113.7, ::1"]),
        ("append-true/four", &[], &["127.0.0.1:<port>"]),
        ("append-true/four", &[ONE], &["203.0.113.7, 127.0.0.1:<port>"]),
        ("append-true/six", &[], &["[::1]:<port>"]),
        ("preserve-false/four", &[], &[]),
        ("preserve-false/four", &[ONE], &["203.0.113.7"]),
        ("preserve-true/four", &[TWO], &["198.51.100.1, 10.0.0.1"]),
        ("preserve-false/six", &[ONE, TWO], &["203.0.113.7", "198.51.100.1, 10.0.0.1"]),
        ("remove-false/four", &[], &[]),
        ("remove-false/four", &[ONE, TWO], &[]),
        ("remove-true/six", &[ONE], &[]),
    ];
    check(
        rows,
        |row| format!("{} with {:?}", row.0, row.1),
        |(listener, sent, expected)| {
            let to = headworks.listener(listener);
            let mut client = Client::connect(to);
            let echo = client.exchange(&ask("GET", "/").with_all(sent)).echo();
            let port = client.local().port().to_string();
            let expected: Vec<String> = expected.iter().map(|value| value.replace("<port>", &port)).collect();
            assert_eq!(echo.fields.all("X-Forwarded-For"), expected);
            // always set, whatever the client says and the mode is
            let lie =
                ask("GET", "/").with_all(&["X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "x-forwarded-port: 1"]);
            for echo in [echo, client.exchange(&lie).echo()] {
                assert_eq!(echo.fields.all("X-Forwarded-Proto"), ["http"]);
                assert_eq!(echo.fields.all("X-Forwarded-Port"), [to.port().to_string()]);
            }
        },
    );
}

/// CONFIG: `port` listens on all addresses of both families, and an IPv4 client is one to rules, fields and logs.
#[test]
fn a_port_on_all_addresses() {
    let web = Origin::echo("web");
    let headworks = start(
        r#"
load_balancers:
  shop:
    access_log: access.log
    listeners:
      http:
        port: 0
        rules:
          - { if: { path: [/four], source_ip: [127.0.0.0/8] }, then: { forward: web } }
          - { if: { path: [/six], source_ip: ["::1/128"] }, then: { forward: web } }
        default: { fixed_response: { status: 404 } }
target_groups:
  web: { targets: [<web>], health_check: { protocol: none } }
"#,
        &[("web", &web)],
    );
    let port = headworks.address().port();
    for (address, path) in [("127.0.0.1", "/four"), ("::1", "/six")] {
        let to = std::net::SocketAddr::new(address.parse().unwrap_or(headworks.address().ip()), port);
        let response = Client::connect(to).exchange(&ask("GET", path));
        assert_eq!(response.status, 200, "{path} is not matched by the address\n{response}");
        assert_eq!(response.echo().fields.one("X-Forwarded-For"), Some(address));
    }
    let lines = headworks.log_lines("access.log", 2);
    // each worker hands its lines over in its own time, so their order says nothing
    let has = |client: &str| lines.iter().any(|line| line.contains(&format!("\"client\":\"{client}:")));
    assert!(has("127.0.0.1") && has("[::1]"), "{lines:?}");
}

fn trace(echo: &Echo) -> String {
    echo.fields.one("X-Amzn-Trace-Id").unwrap_or_else(|| panic!("no trace: {echo:?}")).to_owned()
}

/// Whether it is `1-{8 hex of the time}-{24 hex}`.
fn is_identifier(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let [version, time, random] = parts[..] else { return false };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let close = u64::from_str_radix(time, 16).is_ok_and(|time| time.abs_diff(now) < 60);
    version == "1" && hex(time, 8) && hex(random, 24) && close
}

/// H5.
#[test]
fn x_amzn_trace_id() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let ask_with = |value: &str| headworks.ask(&ask("GET", "/").with(&format!("X-Amzn-Trace-Id: {value}")));
    let fresh = headworks.ask(&ask("GET", "/"));
    assert_eq!(fresh.field("X-Amzn-Trace-Id"), None, "it is set on requests only\n{fresh}");
    let one = trace(&fresh.echo());
    assert!(one.strip_prefix("Root=").is_some_and(is_identifier), "{one}");
    let two = trace(&headworks.ask(&ask("GET", "/")).echo());
    assert_ne!(one, two);
    const ROOT: &str = "Root=1-67891233-abcdef012345678912345678";
    let long = format!("{ROOT};CalledFrom={}", "x".repeat(7200));
    let nearly = format!("{ROOT};CalledFrom={}", "x".repeat(7000));
    // what is sent, and what follows the fresh `Self=...` of the result
    let rows = [
        (ROOT.to_owned(), format!(";{ROOT}")),
        (format!("{ROOT};CalledFrom=app"), format!(";{ROOT};CalledFrom=app")),
        (format!("Self=1-00000000-000000000000000000000000;{ROOT}"), format!(";{ROOT}")),
        (format!("{ROOT};Self=1-00000000-000000000000000000000000;A=b"), format!(";{ROOT};A=b")),
        (nearly.clone(), format!(";{nearly}")),
    ];
    check(
        rows,
        |(sent, _)| sent.chars().take(100).collect::<String>(),
        |(sent, rest)| {
            let seen = trace(&ask_with(sent).echo());
            let own = seen.strip_prefix("Self=").and_then(|seen| seen.strip_suffix(rest.as_str()));
            assert!(own.is_some_and(is_identifier), "{seen}");
        },
    );
    // without a Root one is added, and what else was there is kept
    let seen = trace(&ask_with("CalledFrom=app").echo());
    let root = seen.split(';').find_map(|part| part.strip_prefix("Root="));
    assert!(root.is_some_and(is_identifier) && seen.contains("CalledFrom=app"), "{seen}");
    // over 7 KB: written anew
    let seen = trace(&ask_with(&long).echo());
    assert!(seen.strip_prefix("Root=").is_some_and(is_identifier), "{seen}");
}

/// H6 and CONFIG: the port that is added to Host, and when it is not.
#[test]
fn host() {
    let web = Origin::echo("web");
    let headworks = start(
        r#"
load_balancers:
  default:
    listeners: { http: { address: 127.0.0.1:0, default: { forward: web } }, six: { address: "[::1]:0", default: { forward: web } } }
  preserved:
    preserve_host_header: true
    listeners: { http: { address: 127.0.0.1:0, default: { forward: web } } }
target_groups:
  web: { targets: [<web>], health_check: { protocol: none } }
"#,
        &[("web", &web)],
    );
    // `<port>` is the listener's
    let rows = [
        ("default/http", "GET shop.example.com/", "shop.example.com:<port>"),
        ("default/http", "GET Shop.Example.COM/", "Shop.Example.COM:<port>"),
        ("default/http", "GET shop.example.com:81/", "shop.example.com:81"),
        ("default/http", "GET [::1]/", "[::1]:<port>"),
        ("default/http", "GET [::1]:81/", "[::1]:81"),
        ("default/six", "GET shop.example.com/", "shop.example.com:<port>"),
        ("default/http", "GET http://abs.example.com/ | Host: other.example.com", "abs.example.com:<port>"),
        ("default/http", "GET http://abs.example.com:82/ | Host: other.example.com", "abs.example.com:82"),
        ("preserved/http", "GET shop.example.com/", "shop.example.com"),
        ("preserved/http", "GET shop.example.com:81/", "shop.example.com:81"),
        ("preserved/http", "GET http://abs.example.com/ | Host: other.example.com", "abs.example.com"),
    ];
    check(
        rows,
        |row| format!("{} on {}", row.1, row.0),
        |(listener, request, expected)| {
            let to = headworks.listener(listener);
            let echo = Client::connect(to).exchange(&Ask::parse(request)).echo();
            let expected = expected.replace("<port>", &to.port().to_string());
            assert_eq!(echo.fields.one("Host"), Some(expected.as_str()));
        },
    );
}

/// RFC 9112 section 3.2: the forms of a target, as the target gets them.
#[test]
fn targets() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let rows = [
        ("GET /", "/"),
        ("GET /a/b?c=d&e", "/a/b?c=d&e"),
        ("GET /a//b/../c/./%2e%2E%00?%", "/a//b/../c/./%2e%2E%00?%"),
        ("GET /?", "/?"),
        ("GET http://a.example.com", "/"),
        ("GET http://a.example.com/x?y", "/x?y"),
        ("GET http://a.example.com?y", "/?y"),
        ("GET HTTPS://a.example.com/x", "/x"),
        ("OPTIONS *", "*"),
        ("OPTIONS /x", "/x"),
    ];
    check(
        rows,
        |row| row.0,
        |(request, target)| assert_eq!(headworks.ask(&Ask::parse(request)).echo().target, *target),
    );
}

/// RFC 9110 section 7.6.1: what is for the next hop only stays there, and nothing else can be listed away.
#[test]
fn hop_by_hop_fields_of_requests() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let sent = [
        "Connection: keep-alive, X-Hop , x-HOP-2",
        "X-Hop: 1",
        "X-Hop-2: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eA==",
        "TE: trailers, deflate",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "Authorization: Basic eA==",
        "Trailer: X-Sum",
        "Via: 1.1 other",
        "Cookie: a=b",
        "Cookie: c=d",
        "X-Keep: 1",
    ];
    let echo = headworks.ask(&ask("GET", "/").with_all(&sent)).echo();
    for gone in
        ["X-Hop", "X-Hop-2", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Upgrade", "HTTP2-Settings"]
    {
        assert!(echo.fields.all(gone).is_empty(), "{gone} went through: {echo:?}");
    }
    assert!(!echo.fields.lists("Connection", "x-hop"), "{echo:?}");
    for (kept, value) in [("Authorization", "Basic eA=="), ("X-Keep", "1"), ("Trailer", "X-Sum")] {
        assert_eq!(echo.fields.one(kept), Some(value), "{echo:?}");
    }
    assert_eq!(echo.fields.all("Cookie"), ["a=b", "c=d"]);
    let attack = ask("POST", "/")
        .with(
            "Connection: Host, Content-Length, X-Forwarded-For, X-Forwarded-Proto, X-Amzn-Trace-Id, Transfer-Encoding",
        )
        .body("four");
    let echo = headworks.ask(&attack).echo();
    assert_eq!((echo.framing.as_str(), echo.body_length), ("length", 4));
    for kept in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Amzn-Trace-Id", "Host"] {
        assert_eq!(echo.fields.all(kept).len(), 1, "{kept} was listed away: {echo:?}");
    }
}

#[test]
fn fields_of_answers() {
    let lines = [
        "Server: shop/1.0",
        "Date: Thu, 01 Jan 1970 00:00:00 GMT",
        "Set-Cookie: a=b",
        "x-lower: 1",
        "Set-Cookie: c=d",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "X-Spaces:    in  between   ",
        "X-Empty:",
        "X-Latin: caf\u{e9}",
    ];
    let web = Origin::new("web").on("/", [Step::answer_with(200, &lines, "ok")]).start();
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let response = headworks.ask(&ask("GET", "/"));
    for gone in ["X-Hop", "Keep-Alive", "Proxy-Authenticate", "Connection"] {
        assert!(response.fields.all(gone).is_empty(), "{gone} went through:\n{response}");
    }
    assert_eq!(response.reason, "Status");
    let names: Vec<_> = response.fields.0.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["Content-Length", "Server", "Date", "Set-Cookie", "x-lower", "Set-Cookie", "X-Spaces", "X-Empty", "X-Latin"];
    assert_eq!(names, expected, "order, case and number are the target's");
    assert_eq!(response.field("Server"), Some("shop/1.0"));
    assert_eq!(response.field("Date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(response.field("X-Spaces"), Some("in  between"));
}

/// Order, case and number of the client's own fields are kept.
#[test]
fn fields_of_requests() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let sent = [
        "x-lower: 1",
        "X-Upper: 2",
        "X-Many: a",
        "Accept: */*",
        "X-Many: b",
        "X-Empty:",
        "User-Agent: t",
        "x-tab: a\tb",
    ];
    let echo = headworks.ask(&ask("GET", "/").with_all(&sent)).echo();
    let own: Vec<String> = echo
        .fields
        .0
        .iter()
        .filter(|(name, _)| sent.iter().any(|line| line.starts_with(&format!("{name}:"))))
        .map(|(name, value)| if value.is_empty() { format!("{name}:") } else { format!("{name}: {value}") })
        .collect();
    assert_eq!(own, sent);
}

/// H7.
#[test]
fn invalid_header_names() {
    let web = Origin::echo("web");
    let sent = ["X_Under: 1", "X.Dot: 1", "X-Fine-1: 1", "X!Bang: 1"];
    for (drop, seen) in [(true, 0), (false, 1)] {
        let headworks = start(&proxy(&format!(", drop_invalid_header_fields: {drop}"), ""), &[("web", &web)]);
        let echo = headworks.ask(&ask("GET", "/").with_all(&sent)).echo();
        for name in ["X_Under", "X.Dot", "X!Bang"] {
            assert_eq!(echo.fields.all(name).len(), seen, "drop: {drop}, {name}");
        }
        assert_eq!(echo.fields.one("X-Fine-1"), Some("1"));
        let metrics = headworks.metrics();
        let counted = |name: &str| metrics.sum(&format!("headworks_{name}_invalid_header_requests_total"), &[]);
        assert_eq!((counted("dropped"), counted("forwarded")), if drop { (1.0, 0.0) } else { (0.0, 1.0) });
    }
}
