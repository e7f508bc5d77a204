//! What rules match, row by row of the reference (R1 to R10), by the table and by the plain evaluation alike.

#![expect(clippy::unwrap_used, reason = "a table that does not compile should fail")]

mod support;

use headworks_model::condition::Conditions;
use headworks_model::rule::Rule;
use headworks_route::{Condition, Table, explain};
use support::{request, rule};

/// `rules` given `line` match at `expected`; also when the same rules stand behind many others, so that an index answers.
#[track_caller]
fn check(rules: &[&str], line: &str, expected: Option<usize>) {
    let declared: Vec<_> = rules.iter().map(|line| rule(line)).collect();
    let request = request(line);
    let found = Table::compile(&declared).unwrap().find(request.view(), request.peer);
    assert_eq!(found, expected, "{line}");
    let verdict = explain(&declared, request.view(), request.peer).last().cloned();
    assert_eq!(verdict.filter(|v| v.failed.is_none()).map(|v| v.rule), expected, "plainly: {line}");

    let crowds: [fn(usize) -> String; 6] = [
        |i| format!("host=crowd{i}.test path=/crowd/*"),
        |i| format!("path=/crowd/{i}/*"),
        |i| format!("h:x-crowd=v{i}"),
        |i| format!("q=crowd:{i}"),
        |i| format!("path=~^/crowd{i}$"),
        |i| format!("host=~^crowd{i}$"),
    ];
    let crowd = (0..240).map(|i| rule(&crowds[i % 6](i)));
    let many: Vec<_> = crowd.chain(declared).collect();
    let found = Table::compile(&many).unwrap().find(request.view(), request.peer);
    assert_eq!(found, expected.map(|e| e + 240), "in a crowd: {line}");
}

const YES: Option<usize> = Some(0);
const NO: Option<usize> = None;

#[test]
fn the_first_rule_in_order_wins() {
    let rules = ["path=/a/b", "path=/a/*", "host=a.test", "path=/a/b"];
    check(&rules, "GET a.test /a/b", Some(0));
    check(&rules, "GET a.test /a/c", Some(1));
    check(&rules, "GET a.test /b", Some(2));
    check(&rules, "GET b.test /b", None);
    check(&["path=/a/*", "path=/a/b", "host=a.test path=/a/b"], "GET a.test /a/b", Some(0));
    check(&[], "GET a.test /", None);
    check(&["", "path=/a"], "GET a.test /a", Some(0));
}

#[test]
fn values_are_alternatives_and_conditions_add_up() {
    let rules = ["host=a.test|b.test path=/x|/y* method=GET|HEAD"];
    check(&rules, "GET a.test /x", YES);
    check(&rules, "HEAD b.test /yes", YES);
    check(&rules, "GET c.test /x", NO);
    check(&rules, "GET a.test /z", NO);
    check(&rules, "POST a.test /x", NO);
}

#[test]
fn wildcards_and_their_escapes() {
    check(&["path=/img/*.jpg"], "GET a.test /img/x/y.jpg", YES);
    check(&["path=/img/*.jpg"], "GET a.test /img/.jpg", YES);
    check(&["path=/img/*.jpg"], "GET a.test /img/x.jpeg", NO);
    check(&["path=*.jpg"], "GET a.test /img/x.jpg", YES);
    check(&["path=*img*"], "GET a.test /x/img/y", YES);
    check(&["path=/v?/x"], "GET a.test /v1/x", YES);
    check(&["path=/v?/x"], "GET a.test /v/x", NO);
    check(&["path=/v?/x"], "GET a.test /v12/x", NO);
    check(&["path=*"], "GET a.test /", YES);
    check(&[r"path=/a\*"], "GET a.test /a*", YES);
    check(&[r"path=/a\*"], "GET a.test /ab", NO);
    check(&[r"q=\*:1\?"], "GET a.test /?*=1%", NO);
    check(&[r"q=\*:1\?"], "GET a.test /?*=1?", YES);
}

#[test]
fn hosts_are_compared_without_case_and_port() {
    check(&["host=Shop.Example.com"], "GET sHOP.eXAMPLE.COM:8080 /", YES);
    check(&["host=*.example.com"], "GET test.example.com /", YES);
    check(&["host=*.example.com"], "GET a.b.EXAMPLE.com /", YES);
    check(&["host=*.example.com"], "GET example.com /", NO);
    check(&["host=*.example.com"], "GET test.example.com.evil.test /", NO);
    check(&["host=*example.com"], "GET badexample.com /", YES);
    check(&["host=api.*"], "GET API.example.com /", YES);
    check(&["host=api.*.test"], "GET api.x.test /", YES);
    check(&["host=a?.test"], "GET ab.test /", YES);
    check(&["host=example.com"], "GET example.com. /", NO);
    check(&["host=[2001:db8::1]"], "GET [2001:DB8::1]:80 /", YES);
    check(&["host=*"], "GET  /", YES);
    check(&["host=a.test"], "GET  /", NO);
}

#[test]
fn very_long_hosts_are_only_hosts() {
    let long = "a.".repeat(40_000) + "test";
    check(&["host=*.test"], &format!("GET {long} /"), YES);
    check(&["host=b.test"], &format!("GET {long} /"), NO);
}

#[test]
fn paths_are_compared_with_case_and_without_query() {
    check(&["path=/Api"], "GET a.test /Api?x=1", YES);
    check(&["path=/Api"], "GET a.test /api", NO);
    check(&["path=/Api/*"], "GET a.test /Api", NO);
    check(&["path=/x"], "GET a.test /%78", NO);
    check(&["path=/package.Service/Method"], "POST a.test /package.Service/Method", YES);
    check(&["path=/x*y"], "GET a.test /x?y", NO);
}

#[test]
fn methods_are_exact() {
    check(&["method=GET"], "GET a.test /", YES);
    check(&["method=GET"], "get a.test /", NO);
    check(&["method=GET"], "GETS a.test /", NO);
    check(&["method=M-SEARCH"], "M-SEARCH a.test /", YES);
}

#[test]
fn headers_are_compared_without_case_line_by_line() {
    let rules = ["h:X-Version=v2|V2.*"];
    check(&rules, "GET a.test / x-VERSION:V2", YES);
    check(&rules, "GET a.test / X-Version:v2.1", YES);
    check(&rules, "GET a.test / X-Version:v1 X-Version:v2", YES);
    check(&rules, "GET a.test / X-Version:v1,v2", NO);
    check(&rules, "GET a.test / X-Version:v3", NO);
    check(&rules, "GET a.test / X-Versions:v2", NO);
    check(&rules, "GET a.test /", NO);
    check(&["h:A=*"], "GET a.test / A:", YES);
    check(&["h:A=*"], "GET a.test /", NO);
    check(&["h:A=*x*"], "GET a.test / a:aXa", YES);
    check(&["h:A=1 h:B=2"], "GET a.test / B:2 A:1", YES);
    check(&["h:A=1 h:B=2"], "GET a.test / A:1", NO);
}

#[test]
fn parameters_are_compared_without_case_as_received() {
    let rules = ["q=Env:Dev|debug:*|:beta*"];
    check(&rules, "GET a.test /?eNV=dEV", YES);
    check(&rules, "GET a.test /?env=prod", NO);
    check(&rules, "GET a.test /?x=1&debug", YES);
    check(&rules, "GET a.test /?debug=", YES);
    check(&rules, "GET a.test /?anything=BETA2", YES);
    check(&rules, "GET a.test /?env=dev=1", NO);
    check(&rules, "GET a.test /?e%6Ev=dev", NO);
    check(&rules, "GET a.test /", NO);
    check(&["q=a:b=c"], "GET a.test /?a=b=c", YES);
    check(&["q=a"], "GET a.test /?a=whatever", YES);
    check(&["q=a*:1"], "GET a.test /?abc=1", YES);
    check(&["q=:*"], "GET a.test /?", NO);
    check(&["q=:*"], "GET a.test /?&&", NO);
    check(&["q=:*"], "GET a.test /?=", YES);
}

#[test]
fn source_ip_is_the_peer() {
    let rules = ["ip=10.0.0.0/8|fd00::/8"];
    check(&rules, "GET a.test / @10.9.8.7", YES);
    check(&rules, "GET a.test / @::ffff:10.9.8.7", YES);
    check(&rules, "GET a.test / @fd12::1", YES);
    check(&rules, "GET a.test / @11.0.0.1", NO);
    check(&rules, "GET a.test / X-Forwarded-For:10.0.0.1 @11.0.0.1", NO);
    check(&["ip=::ffff:10.0.0.0/104"], "GET a.test / @10.1.1.1", YES);
    check(&["ip=::/0"], "GET a.test / @10.1.1.1", NO);
}

#[test]
fn regular_expressions_are_searched_for() {
    check(&["path=~^/v[0-9]+/"], "GET a.test /v12/x", YES);
    check(&["path=~^/v[0-9]+/"], "GET a.test /V12/x", NO);
    check(&["path=~users"], "GET a.test /v1/users/7", YES);
    check(&["host=~^[ab][.]test$"], "GET B.TEST /", YES);
    check(&["host=~^[ab][.]test$"], "GET xb.test /", NO);
    check(&["h:User-Agent=~android.*chrome"], "GET a.test / user-agent:Android/Chrome", YES);
    check(&["path=/x|~^/y"], "GET a.test /x", YES);
    check(&["path=/x|~^/y"], "GET a.test /yes", YES);
}

#[test]
fn not_holds_when_none_of_its_conditions_hold() {
    let rules = ["path=/a* !host=a.test !method=GET|HEAD"];
    check(&rules, "POST b.test /a", YES);
    check(&rules, "GET b.test /a", NO);
    check(&rules, "POST a.test /a", NO);
    check(&rules, "POST b.test /b", NO);
    check(&["!h:x=1"], "GET a.test / x:1 x:2", NO);
    check(&["!h:x=1"], "GET a.test /", YES);
    check(&["!sni=*"], "GET a.test /", YES);
}

#[test]
fn all_sets_must_hold() {
    let rules = ["path=/a & q=x:1 & q=y:2 !host=b.test"];
    check(&rules, "GET a.test /a?y=2&x=1", YES);
    check(&rules, "GET a.test /a?x=1", NO);
    check(&rules, "GET b.test /a?x=1&y=2", NO);
    check(&["path=/a* & path=*b"], "GET a.test /ab", YES);
    check(&["path=/a* & path=*b"], "GET a.test /a", NO);
}

#[test]
fn a_server_name_is_nothing_http_has() {
    check(&["sni=*", "path=/a"], "GET a.test /a", Some(1));
    check(&["sni=*"], "GET a.test /a", NO);
}

#[test]
fn an_explanation_names_what_failed() {
    let rules = ["host=b.test", "path=/a h:x=1", "path=/a & q=x", "path=/a !method=GET", "", "path=/a"].map(rule);
    let request = request("GET a.test /a");
    let verdicts = explain(&rules, request.view(), request.peer);
    let failed: Vec<_> = verdicts.into_iter().map(|v| v.failed.map(|f| f.to_string())).collect();
    let expected = ["host", "header x", "all[0].query", "not.method"].map(|f| Some(f.to_owned()));
    assert_eq!(failed, expected.into_iter().chain([None]).collect::<Vec<_>>());
    assert_eq!(Condition::Header("x".to_owned()).to_string(), "header x");
}

#[test]
fn what_stands_under_not_may_be_sets_and_nots_itself() {
    let both = rule("path=/a method=GET").conditions;
    let mut neither = rule("");
    neither.conditions.not = Some(Box::new(Conditions { all: vec![both], ..Conditions::default() }));
    let mut only = rule("");
    let not_get = Box::new(rule("!method=GET").conditions);
    only.conditions.not = Some(not_get);
    let answers = |rule: &Rule, line| {
        let request = request(line);
        let rules = std::slice::from_ref(rule);
        let found = Table::compile(rules).unwrap().find(request.view(), request.peer).is_some();
        assert_eq!(explain(rules, request.view(), request.peer).pop().unwrap().failed.is_none(), found, "{line}");
        found
    };
    assert!(!answers(&neither, "GET a.test /a"), "both hold");
    assert!(answers(&neither, "PUT a.test /a"), "one of the set fails, and with it the set");
    assert!(answers(&only, "GET a.test /"), "not not GET is GET");
    assert!(!answers(&only, "PUT a.test /"));
}

#[test]
fn expressions_too_large_for_one_set_are_still_found() {
    let rules: Vec<_> = (0..64).map(|i| rule(&format!(r"path=~^/\w{{20}}/{i}$"))).collect();
    let table = Table::compile(&rules).unwrap();
    for i in [0, 31, 63] {
        let request = request(&format!("GET a.test /{}/{i}", "w".repeat(20)));
        assert_eq!(table.find(request.view(), request.peer), Some(i));
    }
}

#[test]
fn many_hosts_times_many_paths_do_not_outgrow_the_rules() {
    let values = |name: &str| (0..300).map(|i| format!("{name}{i}.test")).collect::<Vec<_>>().join("|");
    let line = format!("host={} path={}", values("h"), values("/p"));
    let rules: Vec<_> = (0..20).map(|i| rule(&format!("{line} h:x={i}"))).collect();
    let table = Table::compile(&rules).unwrap();
    let request = request("GET h299.test /p299.test x:19");
    assert_eq!(table.find(request.view(), request.peer), Some(19));
}
