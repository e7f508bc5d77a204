//! Why a request met its rule: conditions evaluated one by one, straight from the declared rules.
//!
//! Slow and plain on purpose. It shares nothing with the compiled table, so that each can be tested against the other;
//! `headworks explain` prints what it returns.

use std::fmt;
use std::net::IpAddr;

use headworks_message::RequestView;
use headworks_model::condition::{Conditions, QueryMatch};
use headworks_model::primitive::{Pattern, PatternToken, TextMatch};
use headworks_model::rule::Rule;
use ipnet::IpNet;
use regex::bytes::RegexBuilder;

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Index of the rule, from 0.
    pub rule: usize,
    /// The first condition that failed; `None`: the rule matched.
    pub failed: Option<Condition>,
}

/// A condition of a rule, named as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `host`
    Host,
    /// `path`
    Path,
    /// `method`
    Method,
    /// `source_ip`
    SourceIp,
    /// `header`, with the name of the field.
    Header(String),
    /// `query`
    Query,
    /// `sni`, which no HTTP request has.
    Sni,
    /// `alpn`, the same.
    Alpn,
    /// `all`: the set (from 0), and what failed in it.
    All(usize, Box<Condition>),
    /// `not`: the condition that holds and should not; `None` when it is the set's `all` or its own `not`.
    Not(Option<Box<Condition>>),
}

/// The verdict on each rule in order, up to and with the first that matches.
pub fn explain(rules: &[Rule], request: RequestView<'_>, peer: IpAddr) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (rule, declared) in rules.iter().enumerate() {
        let failed = failure(&declared.conditions, &request, peer);
        let matched = failed.is_none();
        verdicts.push(Verdict { rule, failed });
        if matched {
            break;
        }
    }
    verdicts
}

/// The first condition of `set` that fails.
fn failure(set: &Conditions, request: &RequestView<'_>, peer: IpAddr) -> Option<Condition> {
    if let Some((failed, _)) = own(set, request, peer).into_iter().find(|(_, holds)| !holds) {
        return Some(failed);
    }
    for (index, inner) in set.all.iter().enumerate() {
        if let Some(failed) = failure(inner, request, peer) {
            return Some(Condition::All(index, Box::new(failed)));
        }
    }
    let not = set.not.as_deref()?;
    if let Some((held, _)) = own(not, request, peer).into_iter().find(|(_, holds)| *holds) {
        return Some(Condition::Not(Some(Box::new(held))));
    }
    let all = !not.all.is_empty() && not.all.iter().all(|inner| failure(inner, request, peer).is_none());
    let inner = Conditions { not: not.not.clone(), ..Conditions::default() };
    (all || (not.not.is_some() && failure(&inner, request, peer).is_none())).then_some(Condition::Not(None))
}

/// Each condition that the set itself gives, and whether it holds.
fn own(set: &Conditions, request: &RequestView<'_>, peer: IpAddr) -> Vec<(Condition, bool)> {
    let mut all = Vec::new();
    if !set.host.is_empty() {
        all.push((Condition::Host, set.host.iter().any(|m| text(m, request.host(), true))));
    }
    if !set.path.is_empty() {
        all.push((Condition::Path, set.path.iter().any(|m| text(m, request.path(), false))));
    }
    if !set.method.is_empty() {
        all.push((Condition::Method, set.method.iter().any(|m| m.as_bytes() == request.method())));
    }
    if !set.source_ip.is_empty() {
        all.push((Condition::SourceIp, set.source_ip.iter().any(|net| contains(net, peer))));
    }
    for header in &set.header {
        let holds = request
            .fields()
            .filter(|(name, _)| name.eq_ignore_ascii_case(header.name.as_bytes()))
            .any(|(_, value)| header.values.iter().any(|m| text(m, value, true)));
        all.push((Condition::Header(header.name.clone()), holds));
    }
    if !set.query.is_empty() {
        all.push((Condition::Query, query(&set.query, request.query().unwrap_or_default())));
    }
    if !set.sni.is_empty() {
        all.push((Condition::Sni, false));
    }
    if !set.alpn.is_empty() {
        all.push((Condition::Alpn, false));
    }
    all
}

fn query(wanted: &[QueryMatch], query: &[u8]) -> bool {
    let fits = |pattern: &Option<Pattern>, text| pattern.as_ref().is_none_or(|p| wildcard(p, text, true));
    query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).any(|pair| {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let (key, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        wanted.iter().any(|w| fits(&w.key, key) && fits(&w.value, value))
    })
}

fn contains(net: &IpNet, peer: IpAddr) -> bool {
    match (net, peer.to_canonical()) {
        (IpNet::V6(net), IpAddr::V4(peer)) => net.prefix_len() >= 96 && net.contains(&peer.to_ipv6_mapped()),
        (net, peer) => net.contains(&peer),
    }
}

fn text(matcher: &TextMatch, text: &[u8], fold: bool) -> bool {
    match matcher {
        TextMatch::Wildcard(pattern) => wildcard(pattern, text, fold),
        TextMatch::Regex(regex) => {
            RegexBuilder::new(regex.as_str()).case_insensitive(fold).build().is_ok_and(|regex| regex.is_match(text))
        }
    }
}

/// By dynamic programming: `reached[i]` says whether the pattern so far matches the first `i` bytes.
fn wildcard(pattern: &Pattern, text: &[u8], fold: bool) -> bool {
    let text = if fold { text.to_ascii_lowercase() } else { text.to_vec() };
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in pattern.tokens() {
        match token {
            PatternToken::Any => {
                let first = reached.iter().position(|r| *r).unwrap_or(reached.len());
                reached.iter_mut().skip(first).for_each(|r| *r = true);
            }
            PatternToken::One => {
                reached.rotate_right(1);
                reached[0] = false;
            }
            PatternToken::Literal(literal) => {
                for byte in literal {
                    let byte = if fold { byte.to_ascii_lowercase() } else { byte };
                    for i in (0..text.len()).rev() {
                        reached[i + 1] = reached[i] && text[i] == byte;
                    }
                    reached[0] = false;
                }
            }
        }
    }
    reached.last().copied().unwrap_or_default()
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Host => f.write_str("host"),
            Condition::Path => f.write_str("path"),
            Condition::Method => f.write_str("method"),
            Condition::SourceIp => f.write_str("source_ip"),
            Condition::Header(name) => write!(f, "header {name}"),
            Condition::Query => f.write_str("query"),
            Condition::Sni => f.write_str("sni"),
            Condition::Alpn => f.write_str("alpn"),
            Condition::All(index, inner) => write!(f, "all[{index}].{inner}"),
            Condition::Not(Some(inner)) => write!(f, "not.{inner}"),
            Condition::Not(None) => f.write_str("not"),
        }
    }
}
