//! How long a lookup takes by number of rules: `cargo run --release -p headworks-route --example lookups`.
//!
//! Each line is one kind of rules and one way of asking: always the same request, or requests spread over all rules, which
//! shows what the memory costs.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program to be looked at")]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use headworks_message::{RequestHead, RequestView};
use headworks_model::action::{Action, FixedResponse};
use headworks_model::condition::{Conditions, HeaderCondition, QueryMatch};
use headworks_model::overload::Criticality;
use headworks_model::primitive::{Pattern, Regex, TextMatch};
use headworks_model::rule::{Rule, Transforms};
use headworks_route::Table;

struct Kind {
    name: &'static str,
    most: usize,
    conditions: fn(usize) -> Conditions,
    request: fn(usize) -> (String, String, String),
}

const KINDS: &[Kind] = &[
    Kind {
        name: "host and path",
        most: 100_000,
        conditions: |i| Conditions { host: wild(&format!("shop{i}.example.com")), path: wild("/api/*"), ..none() },
        request: |i| (format!("shop{i}.example.com"), "/api/users/7?page=2".to_owned(), String::new()),
    },
    Kind {
        name: "wildcard host and path",
        most: 100_000,
        conditions: |i| Conditions {
            host: wild(&format!("*.t{}.example.com", i / 10)),
            path: wild(&format!("/api/{}/*", i % 10)),
            ..none()
        },
        request: |i| (format!("www.t{}.example.com", i / 10), format!("/api/{}/users", i % 10), String::new()),
    },
    Kind {
        name: "path only",
        most: 100_000,
        conditions: |i| Conditions { path: wild(&format!("/service{i}/*")), ..none() },
        request: |i| ("shop.example.com".to_owned(), format!("/service{i}/users/7"), String::new()),
    },
    Kind {
        name: "one path, header value",
        most: 100_000,
        conditions: |i| Conditions {
            path: wild("/api/*"),
            header: vec![HeaderCondition { name: "x-tenant".to_owned(), values: wild(&format!("tenant-{i}")) }],
            ..none()
        },
        request: |i| ("shop.example.com".to_owned(), "/api/users/7".to_owned(), format!("tenant-{i}")),
    },
    Kind {
        name: "query value",
        most: 100_000,
        conditions: |i| Conditions {
            query: vec![QueryMatch { key: Some(pattern("tenant")), value: Some(pattern(&i.to_string())) }],
            ..none()
        },
        request: |i| ("shop.example.com".to_owned(), format!("/?page=2&tenant={i}"), String::new()),
    },
    Kind {
        name: "path expressions",
        most: 1_000,
        conditions: |i| Conditions {
            path: vec![TextMatch::Regex(Regex::new(&format!("^/service{i}/[0-9]+$")).expect("valid"))],
            ..none()
        },
        request: |i| ("shop.example.com".to_owned(), format!("/service{i}/77"), String::new()),
    },
];

fn none() -> Conditions {
    Conditions::default()
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).expect("valid")
}

fn wild(text: &str) -> Vec<TextMatch> {
    vec![TextMatch::Wildcard(pattern(text))]
}

fn rule(conditions: Conditions) -> Rule {
    let answer = FixedResponse { status: 200, content_type: None, body: Arc::from("") };
    let (criticality, transforms) = (Criticality::default(), Transforms::default());
    Rule { name: None, conditions, transforms, criticality, fault: None, action: Action::FixedResponse(answer) }
}

fn head((host, target, tenant): &(String, String, String)) -> (Vec<u8>, RequestHead) {
    let fields: [(&[u8], &[u8]); 8] = [
        (b"Host", host.as_bytes()),
        (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (b"Accept-Language", b"en-GB,en;q=0.5"),
        (b"Accept-Encoding", b"gzip, deflate, br"),
        (b"Cookie", b"session=0123456789abcdef0123456789abcdef"),
        (b"X-Tenant", tenant.as_bytes()),
        (b"Connection", b"keep-alive"),
    ];
    let mut bytes = Vec::new();
    let mut head = RequestHead::default();
    head.lay_out(&mut bytes, b"GET", target.as_bytes(), host.as_bytes(), fields);
    (bytes, head)
}

fn nanoseconds(table: &Table, heads: &[(Vec<u8>, RequestHead)], rounds: usize) -> f64 {
    let peer: IpAddr = [192, 0, 2, 1].into();
    let round = || {
        let start = Instant::now();
        for (bytes, head) in heads.iter().cycle().take(rounds) {
            black_box(table.find(RequestView { bytes, head }, black_box(peer)));
        }
        start.elapsed().as_nanos() as f64 / rounds as f64
    };
    // The best of several: the rest is what else the machine had to do.
    (0..7).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn main() {
    println!(
        "{:24} {:>8} {:>12} {:>10} {:>10} {:>10}",
        "rules", "number", "compile ms", "last ns", "spread ns", "none ns"
    );
    for kind in KINDS {
        for count in [1, 100, 1_000, 10_000, 100_000].into_iter().filter(|count| *count <= kind.most) {
            let rules: Vec<_> = (0..count).map(|i| rule((kind.conditions)(i))).collect();
            let start = Instant::now();
            let table = Table::compile(&rules).expect("compiles");
            let compile = start.elapsed().as_secs_f64() * 1e3;
            let ask = |numbers: Vec<usize>| {
                let heads: Vec<_> = numbers.into_iter().map(|i| head(&(kind.request)(i))).collect();
                nanoseconds(&table, &heads, 50_000)
            };
            let last = ask(vec![count - 1]);
            let spread = ask((0..4_096).map(|i| i * 7_919 % count).collect());
            let none = ask(vec![count + 5]);
            println!("{:24} {count:>8} {compile:>12.1} {last:>10.0} {spread:>10.0} {none:>10.0}", kind.name);
        }
    }
}
