//! Rules and requests in one line each.
//!
//! A rule is a row of `subject=value|value`; `~` begins a regular expression, `!` puts a condition under `not`, ` & `
//! begins a further set under `all`. Subjects: `host`, `path`, `method`, `ip`, `h:Name`, `q` (`key:value`, `key` or
//! `:value`), `sni`. A request is `METHOD host target`, then `Name:value` fields and `@peer`.

#![expect(clippy::unwrap_used, reason = "a test that is written wrongly should fail")]

use std::net::IpAddr;
use std::sync::Arc;

use headworks_message::{RequestHead, RequestView};
use headworks_model::action::{Action, FixedResponse};
use headworks_model::condition::{Conditions, HeaderCondition, QueryMatch};
use headworks_model::overload::Criticality;
use headworks_model::primitive::{Pattern, Regex, TextMatch};
use headworks_model::rule::{Rule, Transforms};

/// A request and the peer it came from.
pub(crate) struct Request {
    bytes: Vec<u8>,
    head: RequestHead,
    pub(crate) peer: IpAddr,
}

impl Request {
    pub(crate) fn view(&self) -> RequestView<'_> {
        RequestView { bytes: &self.bytes, head: &self.head }
    }
}

pub(crate) fn request(line: &str) -> Request {
    let mut words = line.split(' ');
    let [method, host, target] = [(); 3].map(|()| words.next().unwrap_or_default().as_bytes());
    let mut peer: IpAddr = [192, 0, 2, 1].into();
    let mut fields = Vec::new();
    for word in words {
        match word.strip_prefix('@') {
            Some(address) => peer = address.parse().unwrap(),
            None => fields.push(word.split_once(':').map(|(n, v)| (n.as_bytes(), v.as_bytes())).unwrap()),
        }
    }
    let mut bytes = Vec::new();
    let mut head = RequestHead::default();
    head.lay_out(&mut bytes, method, target, host, fields);
    Request { bytes, head, peer }
}

pub(crate) fn rule(line: &str) -> Rule {
    let mut sets = line.split(" & ").map(set);
    let mut conditions = sets.next().unwrap_or_default();
    conditions.all = sets.collect();
    let answer = FixedResponse { status: 200, content_type: None, body: Arc::from("") };
    let (criticality, transforms) = (Criticality::default(), Transforms::default());
    Rule { name: None, conditions, transforms, criticality, fault: None, action: Action::FixedResponse(answer) }
}

fn set(line: &str) -> Conditions {
    let mut conditions = Conditions::default();
    let mut not = Conditions::default();
    for word in line.split_whitespace() {
        match word.strip_prefix('!') {
            Some(word) => condition(word, &mut not),
            None => condition(word, &mut conditions),
        }
    }
    conditions.not = (not != Conditions::default()).then(|| Box::new(not));
    conditions
}

fn condition(word: &str, set: &mut Conditions) {
    let (subject, values) = word.split_once('=').unwrap();
    let values = values.split('|');
    match subject {
        "host" => set.host = values.map(text).collect(),
        "path" => set.path = values.map(text).collect(),
        "method" => set.method = values.map(str::to_owned).collect(),
        "ip" => set.source_ip = values.map(|v| v.parse().unwrap()).collect(),
        "q" => set.query = values.map(parameter).collect(),
        "sni" => set.sni = values.map(|v| Pattern::new(v).unwrap()).collect(),
        header => {
            let name = header.strip_prefix("h:").unwrap().to_ascii_lowercase();
            set.header.push(HeaderCondition { name, values: values.map(text).collect() });
        }
    }
}

fn text(value: &str) -> TextMatch {
    match value.strip_prefix('~') {
        Some(regex) => TextMatch::Regex(Regex::new(regex).unwrap()),
        None => TextMatch::Wildcard(Pattern::new(value).unwrap()),
    }
}

fn parameter(value: &str) -> QueryMatch {
    let some = |text: &str| (!text.is_empty()).then(|| Pattern::new(text).unwrap());
    match value.split_once(':') {
        Some((key, value)) => QueryMatch { key: some(key), value: Some(Pattern::new(value).unwrap()) },
        None => QueryMatch { key: some(value), value: None },
    }
}
