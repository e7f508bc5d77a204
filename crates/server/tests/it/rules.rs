//! Conditions of listener rules (R1, R2, R4 to R10): which requests match, and which just do not.

use headworks_testkit::{Ask, Client, ask, check};

use crate::start;

/// A condition, requests that it matches, and requests that it does not.
struct Row {
    when: &'static str,
    yes: &'static [&'static str],
    no: &'static [&'static str],
}

const ROWS: &[Row] = &[
    // R5, R6: hosts without case and without port; a leading star needs something in its place
    Row {
        when: "{ host: [shop.example.com] }",
        yes: &["GET shop.example.com/", "GET SHOP.Example.COM/x?y", "GET shop.example.com:8080/"],
        no: &["GET shop.example.org/", "GET xshop.example.com/", "GET shop.example.com.evil.org/", "GET /"],
    },
    Row {
        when: "{ host: [\"*.example.com\"] }",
        yes: &["GET test.example.com/", "GET a.b.example.com/", "GET TEST.EXAMPLE.COM/"],
        no: &["GET example.com/", "GET xexample.com/", "GET test.example.com.org/"],
    },
    Row {
        when: "{ host: [\"v?.example.com\"] }",
        yes: &["GET v1.example.com/", "GET V2.example.com/"],
        no: &["GET v.example.com/", "GET v10.example.com/"],
    },
    Row {
        when: "{ host: [a.example.com, \"*.b.example.com\"] }",
        yes: &["GET a.example.com/", "GET x.b.example.com/"],
        no: &["GET b.example.com/", "GET c.example.com/"],
    },
    // RFC 9112 section 3.2.2: the absolute form's authority is the host, whatever Host says
    Row {
        when: "{ host: [one.example.com] }",
        yes: &["GET http://one.example.com/ | Host: two.example.com", "GET http://ONE.example.com:81/ | Host: x.org"],
        no: &["GET http://two.example.com/ | Host: one.example.com"],
    },
    // R5, R7: paths with case, without the query
    Row {
        when: "{ path: [/Img/Logo] }",
        yes: &["GET /Img/Logo", "GET /Img/Logo?size=1", "GET http://any.example.com/Img/Logo"],
        no: &["GET /img/logo", "GET /Img/Logo/", "GET /x/Img/Logo", "GET /?/Img/Logo"],
    },
    Row {
        when: "{ path: [/api/*] }",
        yes: &["GET /api/", "GET /api/a/b.c", "POST /api/?q"],
        no: &["GET /api", "GET /apix/", "GET /x/api/", "GET /API/"],
    },
    Row { when: "{ path: [\"/img/?.png\"] }", yes: &["GET /img/a.png"], no: &["GET /img/.png", "GET /img/ab.png"] },
    Row { when: "{ path: [\"*.php\"] }", yes: &["GET /a/b.php", "GET /.php?x"], no: &["GET /a.php5", "GET /a?b=.php"] },
    Row {
        when: "{ path: [\"/a*b*c\"] }",
        yes: &["GET /abc", "GET /aXbYc", "GET /abcbc"],
        no: &["GET /ab", "GET /acb", "GET /abcd"],
    },
    Row { when: "{ path: ['/_-.$/~\"''@:+&'] }", yes: &["GET /_-.$/~\"'@:+&"], no: &["GET /_-.$/~\"'@:+"] },
    Row {
        when: "{ path: [/package.service/method, /package] }",
        yes: &["POST /package.service/method", "POST /package"],
        no: &["POST /package.service"],
    },
    // R5: methods exactly
    Row { when: "{ method: [GET, PURGE] }", yes: &["GET /", "PURGE /"], no: &["POST /", "HEADX /", "get /", "GETX /"] },
    // R5: names and values of headers without case
    Row {
        when: "{ header: { X-Version: [v2, \"v2.*\"] } }",
        yes: &[
            "GET / | X-Version: v2",
            "GET / | x-version: V2",
            "GET / | X-VERSION: v2.17",
            "GET / | X-Version:   v2  ",
        ],
        no: &[
            "GET /",
            "GET / | X-Version: v20",
            "GET / | X-Version: v1",
            "GET / | X-Versions: v2",
            "GET /?X-Version=v2",
        ],
    },
    Row {
        when: "{ header: { X-A: [\"1\"], X-B: [\"2\"] } }",
        yes: &["GET / | X-A: 1 | X-B: 2"],
        no: &["GET / | X-A: 1", "GET / | X-B: 2", "GET / | X-A: 2 | X-B: 1"],
    },
    Row {
        when: "{ header: { User-Agent: [\"*Chrome*\", \"*safari*\"] } }",
        yes: &["GET / | User-Agent: Mozilla/5.0 (X11) Chrome/120.0", "GET / | User-Agent: Safari"],
        no: &["GET / | User-Agent: Firefox", "GET / | Accept: Chrome"],
    },
    // R5, R8: query keys and values without case, any of the parameters
    Row {
        when: "{ query: [{ env: dev }] }",
        yes: &["GET /?env=dev", "GET /?ENV=Dev", "GET /?a=1&env=dev&b", "GET /x?env=prod&env=dev"],
        no: &["GET /?env=prod", "GET /?envx=dev", "GET /?xenv=dev", "GET /?env=devx", "GET /", "GET /env=dev"],
    },
    Row {
        when: "{ query: [{ key: debug, value: \"*\" }] }",
        yes: &["GET /?debug=", "GET /?a&DEBUG=1"],
        no: &["GET /?debugs=1", "GET /"],
    },
    Row {
        when: "{ query: [{ value: \"beta*\" }] }",
        yes: &["GET /?x=beta1", "GET /?a=1&b=BETA"],
        no: &["GET /?beta=1", "GET /?x=abeta"],
    },
    Row {
        when: "{ query: [{ a: \"1\" }, { b: \"2\" }] }",
        yes: &["GET /?a=1", "GET /?b=2", "GET /?a=0&b=2"],
        no: &["GET /?a=2", "GET /?b=1"],
    },
    Row { when: "{ query: [{ q: 'a\\*b' }] }", yes: &["GET /?q=a*b"], no: &["GET /?q=axb", "GET /?q=ab"] },
    Row { when: "{ query: [{ q: 'what\\?' }] }", yes: &["GET /?q=what?"], no: &["GET /?q=whatx", "GET /?q=what"] },
    Row { when: "{ query: [{ \"v?r\": \"x?\" }] }", yes: &["GET /?var=x1"], no: &["GET /?vr=x1", "GET /?var=x"] },
    // R10: regular expressions, with the case rules of what they look at
    Row {
        when: "{ host: [{ regex: '^(www|shop)\\.example\\.com$' }] }",
        yes: &["GET www.example.com/", "GET SHOP.example.com:99/"],
        no: &["GET wwwxexample.com/", "GET a.www.example.com/"],
    },
    Row {
        when: "{ path: [{ regex: '^/v[0-9]+/users$' }] }",
        yes: &["GET /v1/users", "GET /v22/users?x"],
        no: &["GET /V1/users", "GET /v/users", "GET /v1/users/x"],
    },
    Row {
        when: "{ header: { User-Agent: [{ regex: '^.*(bot|crawl).*$' }] } }",
        yes: &["GET / | User-Agent: GoogleBot/2", "GET / | user-agent: a crawler"],
        no: &["GET / | User-Agent: robo", "GET /"],
    },
    // R2: conditions are AND, values are OR
    Row {
        when: "{ host: [a.example.com, b.example.com], path: [/x/*, /y/*], method: [GET, POST] }",
        yes: &["GET a.example.com/x/1", "POST b.example.com/y/"],
        no: &["GET c.example.com/x/1", "GET a.example.com/z/1", "PUT a.example.com/x/1"],
    },
    // ours: several sets, and negation
    Row {
        when: "{ all: [{ query: [{ a: \"1\" }] }, { query: [{ b: \"2\" }] }] }",
        yes: &["GET /?a=1&b=2", "GET /?b=2&a=1"],
        no: &["GET /?a=1", "GET /?b=2", "GET /?a=2&b=1"],
    },
    Row { when: "{ path: [/x/*], not: { method: [GET] } }", yes: &["POST /x/1"], no: &["GET /x/1", "POST /y/1"] },
    Row {
        when: "{ not: { host: [a.example.com], path: [/private/*] } }",
        yes: &["GET b.example.com/"],
        no: &["GET a.example.com/", "GET b.example.com/private/x", "GET a.example.com/private/x"],
    },
    Row { when: "{}", yes: &["GET /", "OPTIONS *", "POST x.example.com/y"], no: &[] },
    // R9: never X-Forwarded-For
    Row {
        when: "{ source_ip: [127.0.0.2/32, \"::2/128\"] }",
        yes: &["127.0.0.2> GET /"],
        no: &["GET /", "127.0.0.3> GET /", "GET / | X-Forwarded-For: 127.0.0.2"],
    },
    Row {
        when: "{ source_ip: [127.8.0.0/13] }",
        yes: &["127.15.255.254> GET /"],
        no: &["127.16.0.1> GET /", "127.7.0.1> GET /"],
    },
];

#[test]
fn conditions_match_what_they_say() {
    let mut yaml = "load_balancers:\n  shop:\n    listeners:\n".to_owned();
    for (number, row) in ROWS.iter().enumerate() {
        let when = row.when;
        yaml.push_str(&format!(
            "      l{number}:\n        address: 127.0.0.1:0\n        rules: [{{ if: {when}, then: {{ fixed_response: {{ status: 200, body: \"yes\" }} }} }}]\n        default: {{ fixed_response: {{ status: 200, body: \"no\" }} }}\n"
        ));
    }
    let headworks = start(&yaml, &[]);
    let cases = ROWS.iter().enumerate().flat_map(|(number, row)| {
        let yes = row.yes.iter().map(move |request| (number, row, *request, "yes"));
        yes.chain(row.no.iter().map(move |request| (number, row, *request, "no")))
    });
    check(
        cases,
        |(_, row, request, expected)| format!("{} on {request}: {expected}", row.when),
        |(number, _, request, expected)| {
            let to = headworks.listener(&format!("shop/l{number}"));
            let (mut client, request) = match request.split_once("> ") {
                Some((from, request)) => (Client::connect_from(from, to), request),
                None => (Client::connect(to), *request),
            };
            let response = client.exchange(&Ask::parse(request));
            assert_eq!(response.text(), *expected, "{response}");
        },
    );
}

#[test]
fn source_ip_over_ipv6() {
    let headworks = start(
        r#"
load_balancers:
  shop:
    listeners:
      http:
        address: "[::1]:0"
        rules: [{ if: { source_ip: ["::1/128"] }, then: { fixed_response: { status: 200, body: six } } }]
        default: { fixed_response: { status: 404 } }
"#,
        &[],
    );
    assert_eq!(headworks.ask(&ask("GET", "/")).text(), "six");
}

/// R1: the first of several that match, the default when none does.
#[test]
fn the_first_match_wins() {
    let headworks = start(
        r#"
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { path: [/a/b/*] }, then: { fixed_response: { status: 200, body: "1" } } }
          - { if: { host: [x.example.com], path: [/a/*] }, then: { fixed_response: { status: 200, body: "2" } } }
          - { name: third, if: { path: [/a/*] }, then: { fixed_response: { status: 200, body: "3" } } }
          - { if: { host: [x.example.com] }, then: { fixed_response: { status: 200, body: "4" } } }
          - { if: { header: { X-Late: ["*"] } }, then: { fixed_response: { status: 200, body: "5" } } }
          - { if: { path: [/a/b/c] }, then: { fixed_response: { status: 200, body: "6" } } }
        default: { fixed_response: { status: 200, body: "0" } }
"#,
        &[],
    );
    let rows = [
        ("GET x.example.com/a/b/c", "1"),
        ("GET x.example.com/a/c", "2"),
        ("GET y.example.com/a/c | X-Late: 1", "3"),
        ("GET x.example.com/b | X-Late: 1", "4"),
        ("GET y.example.com/b | X-Late: 1", "5"),
        ("GET y.example.com/b", "0"),
    ];
    check(rows, |row| row.0, |(request, rule)| assert_eq!(headworks.ask(&Ask::parse(request)).text(), *rule));
    // /v1/status counts the hits of each, in their order
    let status = headworks.status();
    let rules = &status["load_balancers"]["shop"]["listeners"]["http"]["rules"];
    let hits: Vec<_> =
        rules.as_array().into_iter().flatten().map(|rule| (&rule["rule"], rule["hits"].as_u64())).collect();
    let labels: Vec<_> = hits.iter().filter_map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["1", "2", "third", "4", "5", "6", "default"], "{rules:#}");
    let counts: Vec<_> = hits.iter().map(|(_, hits)| hits.unwrap_or(99)).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 0, 1], "{rules:#}");
}

/// Ten thousand rules decide as ten do.
#[test]
fn many_rules() {
    let mut yaml =
        "load_balancers:\n  shop:\n    listeners:\n      http:\n        address: 127.0.0.1:0\n        rules:\n"
            .to_owned();
    for number in 0..10_000 {
        yaml.push_str(&format!(
            "          - {{ if: {{ host: [h{number}.example.com], path: [/p{number}/*] }}, then: {{ fixed_response: {{ status: 200, body: \"{number}\" }} }} }}\n"
        ));
    }
    yaml.push_str("        default: { fixed_response: { status: 404 } }\n");
    let headworks = start(&yaml, &[]);
    let mut client = headworks.client();
    for number in [0, 1, 4_711, 9_999] {
        let there = client.exchange(&Ask::parse(&format!("GET h{number}.example.com/p{number}/x")));
        assert_eq!(there.text(), number.to_string());
        let other = client.exchange(&Ask::parse(&format!("GET h{number}.example.com/p{}/x", number + 1)));
        assert_eq!(other.status, 404);
    }
}
