//! The rules of a listener that carries bytes, compiled: from what is known of a flow before its first byte is carried
//! to the first rule that it meets.
//!
//! Deliberately smaller than [`crate::Table`]: a flow has a peer and, where a ClientHello was read, a name and protocols.
//! Names without wildcards are looked up, so that ten thousand of them cost what one does; rules of other kinds are tried
//! in order.

use std::collections::HashMap;
use std::net::IpAddr;

use headworks_model::condition::Conditions;
use headworks_model::rule::Rule;

use crate::cidr::Cidrs;
use crate::wildcard::{Case, Wildcard};

/// What is known of a flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowView<'a> {
    /// The address of the TCP peer (R9).
    pub peer: IpAddr,
    /// The name that a ClientHello asks for, in lower case.
    pub server_name: Option<&'a [u8]>,
    /// The protocols that it offers (RFC 7301).
    pub protocols: &'a [Box<[u8]>],
}

/// The compiled rules of one listener. Never changes; built anew for each configuration.
#[derive(Debug)]
pub struct FlowTable {
    /// The first rule for each name, of rules that ask for names without wildcards and nothing else.
    by_name: HashMap<Box<[u8]>, usize>,
    /// The other rules, in order.
    others: Vec<(usize, Box<[Test]>)>,
    /// Whether any rule asks for what only a ClientHello tells.
    reads_hello: bool,
}

/// One thing that must hold.
#[derive(Debug)]
enum Test {
    SourceIp(Cidrs),
    ServerName(Box<[Wildcard]>),
    Protocol(Box<[Box<[u8]>]>),
    /// Each must hold: an `all` that stands under a `not`.
    All(Box<[Test]>),
    /// None may hold.
    Not(Box<[Test]>),
    /// What flows do not have.
    Never,
}

impl FlowTable {
    /// Compiles `rules`, whose order is their priority. The default action is the caller's.
    pub fn compile(rules: &[Rule]) -> FlowTable {
        let mut table = FlowTable { by_name: HashMap::new(), others: Vec::new(), reads_hello: false };
        for (index, rule) in rules.iter().enumerate() {
            let mut tests = Vec::new();
            splice(&rule.conditions, &mut tests);
            table.reads_hello |= tests.iter().any(Test::reads_hello);
            match exact_names(&tests) {
                Some(names) => {
                    for name in names {
                        table.by_name.entry(name).or_insert(index);
                    }
                }
                None => table.others.push((index, tests.into())),
            }
        }
        table
    }

    /// The index of the first rule that matches, `None` for the default action.
    pub fn find(&self, flow: &FlowView<'_>) -> Option<usize> {
        let named = flow.server_name.and_then(|name| self.by_name.get(name)).copied();
        let mut before = self.others.iter().take_while(|(index, _)| named.is_none_or(|named| *index < named));
        before.find(|(_, tests)| tests.iter().all(|test| test.holds(flow))).map(|(index, _)| *index).or(named)
    }

    /// Whether any rule asks for what only a ClientHello tells.
    pub fn reads_hello(&self) -> bool {
        self.reads_hello
    }
}

/// Appends the tests of `set`, those of `all` as if they were its own.
fn splice(set: &Conditions, tests: &mut Vec<Test>) {
    own(set, tests);
    set.all.iter().for_each(|inner| splice(inner, tests));
}

/// Appends the tests of `set` but for those of `all`.
fn own(set: &Conditions, tests: &mut Vec<Test>) {
    let is_of_requests = !set.host.is_empty()
        || !set.path.is_empty()
        || !set.method.is_empty()
        || !set.header.is_empty()
        || !set.query.is_empty();
    if is_of_requests {
        tests.push(Test::Never);
    }
    if !set.source_ip.is_empty() {
        tests.push(Test::SourceIp(Cidrs::new(&set.source_ip)));
    }
    if !set.sni.is_empty() {
        tests.push(Test::ServerName(set.sni.iter().map(|name| Wildcard::new(name, Case::Insensitive)).collect()));
    }
    if !set.alpn.is_empty() {
        tests.push(Test::Protocol(set.alpn.iter().map(|name| name.as_bytes().into()).collect()));
    }
    if let Some(not) = &set.not {
        let mut inner = Vec::new();
        own(not, &mut inner);
        if !not.all.is_empty() {
            let mut sets = Vec::new();
            not.all.iter().for_each(|set| splice(set, &mut sets));
            inner.push(Test::All(sets.into()));
        }
        tests.push(Test::Not(inner.into()));
    }
}

/// The names, when a rule asks for names without wildcards and nothing else.
fn exact_names(tests: &[Test]) -> Option<Vec<Box<[u8]>>> {
    let [Test::ServerName(names)] = tests else { return None };
    let exact = |name: &Wildcard| match name {
        Wildcard::Exact(name) => Some(name.clone()),
        _ => None,
    };
    names.iter().map(exact).collect()
}

impl Test {
    fn reads_hello(&self) -> bool {
        match self {
            Test::ServerName(_) | Test::Protocol(_) => true,
            Test::All(tests) | Test::Not(tests) => tests.iter().any(Test::reads_hello),
            Test::SourceIp(_) | Test::Never => false,
        }
    }

    fn holds(&self, flow: &FlowView<'_>) -> bool {
        match self {
            Test::SourceIp(cidrs) => cidrs.contain(flow.peer),
            Test::ServerName(names) => {
                flow.server_name.is_some_and(|asked| names.iter().any(|name| name.matches(asked, Case::Insensitive)))
            }
            Test::Protocol(names) => flow.protocols.iter().any(|offered| names.contains(offered)),
            Test::All(tests) => tests.iter().all(|test| test.holds(flow)),
            Test::Not(tests) => !tests.iter().any(|test| test.holds(flow)),
            Test::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use headworks_model::action::{Action, FixedResponse};
    use headworks_model::overload::Criticality;
    use headworks_model::primitive::Pattern;
    use headworks_model::rule::Transforms;

    use super::*;

    /// A set of `sni=name|name`, `alpn=name` and `ip=network`; `!` puts a condition under `not`.
    fn set(line: &str) -> Conditions {
        let (mut set, mut not) = (Conditions::default(), Conditions::default());
        for word in line.split_whitespace() {
            let (into, word) = word.strip_prefix('!').map_or((&mut set, word), |word| (&mut not, word));
            let (subject, values) = word.split_once('=').unwrap();
            for value in values.split('|') {
                match subject {
                    "sni" => into.sni.push(Pattern::new(value).unwrap()),
                    "alpn" => into.alpn.push(value.to_owned()),
                    "ip" => into.source_ip.push(value.parse().unwrap()),
                    "method" => into.method.push(value.to_owned()),
                    other => panic!("{other}"),
                }
            }
        }
        if not != Conditions::default() {
            set.not = Some(Box::new(not));
        }
        set
    }

    fn rule(line: &str) -> Rule {
        let mut sets = line.split(" & ").map(set);
        let mut conditions = sets.next().unwrap();
        conditions.all = sets.collect();
        let answer = FixedResponse { status: 200, content_type: None, body: "".into() };
        let (criticality, transforms) = (Criticality::default(), Transforms::default());
        Rule { name: None, conditions, transforms, criticality, fault: None, action: Action::FixedResponse(answer) }
    }

    #[track_caller]
    fn check(rules: &[&str], flows: &[(&str, &str, &str, Option<usize>)]) {
        let table = FlowTable::compile(&rules.iter().map(|line| rule(line)).collect::<Vec<_>>());
        for (peer, name, protocols, expected) in flows {
            let protocols: Vec<Box<[u8]>> = protocols.split_whitespace().map(|p| p.as_bytes().into()).collect();
            let server_name = (!name.is_empty()).then_some(name.as_bytes());
            let flow = FlowView { peer: peer.parse().unwrap(), server_name, protocols: &protocols };
            assert_eq!(table.find(&flow), *expected, "{flow:?} by {rules:?}");
        }
    }

    #[test]
    fn the_first_rule_that_holds() {
        let peer = "192.0.2.1";
        check(
            &["sni=a.example.com|B.example.com", "sni=*.example.com", "sni=c.example.com", "alpn=h2"],
            &[
                (peer, "a.example.com", "", Some(0)),
                (peer, "b.example.com", "h2", Some(0)),
                // found by name, but an earlier rule holds too
                (peer, "c.example.com", "", Some(1)),
                (peer, "example.com", "http/1.1 h2", Some(3)),
                (peer, "example.com", "H2", None),
                (peer, "", "h2", Some(3)),
                (peer, "", "", None),
            ],
        );
        check(
            &["ip=10.0.0.0/8 sni=a.b", "!sni=a.b & !ip=::1/128", "sni=a.b alpn=x|y", "ip=::1/128"],
            &[
                ("10.1.2.3", "a.b", "", Some(0)),
                ("11.1.2.3", "a.b", "", None),
                ("11.1.2.3", "a.b", "y", Some(2)),
                ("11.1.2.3", "", "", Some(1)),
                ("::1", "", "", Some(3)),
            ],
        );
        // what only requests have never holds, and so its opposite always does
        check(&["method=GET", "!method=GET"], &[(peer, "", "", Some(1))]);
        check(&[""], &[(peer, "", "", Some(0))]);
    }

    #[test]
    fn whether_a_hello_is_needed() {
        for (line, needed) in [("ip=10.0.0.0/8", false), ("", false), ("alpn=h2", true), ("!sni=a.b", true)] {
            assert_eq!(FlowTable::compile(&[rule(line)]).reads_hello(), needed, "{line}");
        }
    }
}
