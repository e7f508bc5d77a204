//! Why a request goes where it goes: the decision that would be made for it now, with what was considered on the way.
//!
//! Made beside the data plane, from what is declared and from what workers see of targets; nothing is counted, no turn is
//! taken. Rules are judged by [`headworks_route::explain`], which is plain where the compiled table is fast.

mod choice;
mod decision;
pub mod handling;
mod listener;

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use headworks_message::request::{self, Parsed};
use headworks_message::{RequestHead, RequestView, Tier};
use headworks_model::action::Action;
use headworks_model::config::Config;
use headworks_model::guard::Carrier;
use headworks_model::listener::Listener;
use headworks_model::load_balancer::DesyncMitigation;
use serde::{Deserialize, Serialize};

pub use self::decision::{Considered, Decided, Decision, GroupShare, ListenerFound, RuleVerdict};
pub use self::listener::CannotExplain;
use self::listener::Found;
use crate::compile::plan::ListenerKey;
use crate::observe::status::View;

/// A request that may never have been made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A method, such as `GET`.
    pub method: String,
    /// With scheme and host, as a client would be given it: `https://shop.example.com/api?x=1`.
    pub url: String,
    /// Header fields besides Host, as name and value.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Who asks; absent: this machine.
    pub from: Option<IpAddr>,
    /// The listener, as `shop/https` or, where there is only one of that name, `https`; absent: the one that the URL leads to.
    pub listener: Option<String>,
}

/// What would become of a request.
///
/// `view` is what runs, or nothing where nothing runs: then nothing is known of targets but what is declared.
///
/// # Errors
/// When it is no request, or leads to no listener, or to several.
pub fn explain(config: &Config, view: &View, asked: &Asked) -> Result<Decision, CannotExplain> {
    let from = asked.from.unwrap_or(IpAddr::from([127, 0, 0, 1])).to_canonical();
    let url = listener::Url::parse(&asked.url)?;
    let found = listener::find(config, view, &url, asked.listener.as_deref())?;
    let mut decision = Decision::of(format!("{} {}", asked.method, asked.url), from, &found, view);
    let bytes = text(asked, &url)?;
    let mut head = RequestHead::default();
    match request::parse(&bytes, &mut head) {
        Ok(Parsed::Complete) => {}
        Ok(Parsed::Incomplete) => return Err(CannotExplain::Request("its head has no end".to_owned())),
        Err(refusal) => {
            decision.refused = Some(format!("{} ({})", refusal.status, refusal.reason.as_str()));
            return Ok(decision);
        }
    }
    judge(&mut decision, config, view, &found, RequestView { bytes: &bytes, head: &head }, from);
    Ok(decision)
}

/// The same for a request that has been made, by the listener it came in by.
pub(crate) fn of_request(key: &ListenerKey, view: &View, request: RequestView<'_>, from: IpAddr) -> Option<Decision> {
    let config = &view.plan.as_ref()?.config;
    let found = listener::of_key(config, key)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{} {}", text(request.method()), text(request.head.target.of(request.bytes)));
    let mut decision = Decision::of(said, from, &found, view);
    judge(&mut decision, config, view, &found, request, from);
    Some(decision)
}

fn judge(
    decision: &mut Decision,
    config: &Config,
    view: &View,
    found: &Found<'_>,
    request: RequestView<'_>,
    from: IpAddr,
) {
    decision.desync = Some((format!("{:?}", request.head.tier), request.head.reason.to_string()));
    decision.refused = refused(found, view, request, from);
    if decision.refused.is_none() {
        decide(decision, config, view, found, request, from);
    }
}

/// The request as HTTP/1.1 would bring it: the parser that reads it is the one that reads clients' requests.
fn text(asked: &Asked, url: &listener::Url<'_>) -> Result<Vec<u8>, CannotExplain> {
    let headers = asked.headers.iter().flat_map(|(name, value)| [name.as_str(), value]);
    // one that brings its own line ends would say more than was asked
    if [asked.method.as_str(), &asked.url].into_iter().chain(headers).any(|part| part.contains(['\r', '\n'])) {
        return Err(CannotExplain::Request("a line end stands in the method, the URL or a header".to_owned()));
    }
    let mut text = format!("{} {} HTTP/1.1\r\n", asked.method, url.target);
    if !asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += &format!("Host: {}\r\n", url.authority);
    }
    for (name, value) in &asked.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    Ok(text.into_bytes())
}

/// Why it would not get as far as the rules, if it would not.
fn refused(found: &Found<'_>, view: &View, request: RequestView<'_>, from: IpAddr) -> Option<String> {
    let plan = found.plan(view);
    if let Some(reason) = plan.and_then(|plan| plan.guard.judge(from, Carrier::Tcp).err()) {
        return Some(format!("the connection, by {}", reason.as_str()));
    }
    if request.head.tier > Tier::Compliant && found.balancer.desync_mitigation == DesyncMitigation::Strictest {
        return Some(format!("400 ({}, strictest)", request.head.reason.as_str()));
    }
    matches!(request.method(), b"TRACE" | b"CONNECT").then(|| "405 (method)".to_owned())
}

fn decide(
    decision: &mut Decision,
    config: &Config,
    view: &View,
    found: &Found<'_>,
    request: RequestView<'_>,
    from: IpAddr,
) {
    let rules = &found.listener.rules;
    let verdicts = headworks_route::explain(rules, request, from);
    let matched = verdicts.last().filter(|last| last.failed.is_none()).map(|last| last.rule);
    decision.rules = verdicts
        .into_iter()
        .map(|verdict| RuleVerdict {
            rule: label(found.listener, Some(verdict.rule)),
            failed: verdict.failed.map(|failed| failed.to_string()),
        })
        .collect();
    decision.rule = label(found.listener, matched);
    let default = &found.listener.default;
    let (action, criticality, fault) = match matched.and_then(|rule| rules.get(rule)) {
        Some(rule) => (&rule.action, rule.criticality, &rule.fault),
        None => (&default.action, default.criticality, &default.fault),
    };
    decision.fault = fault.as_ref().map(handling::faults);
    match action {
        Action::Redirect(redirect) => decision.action = format!("redirect {}", redirect.status),
        Action::FixedResponse(fixed) => decision.action = format!("fixed_response {}", fixed.status),
        Action::Forward(forward) => {
            decision.action = "forward".to_owned();
            decision.shedding = Some(handling::shedding(criticality, view));
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            let context = choice::Context { config, view, request, from, now };
            choice::choose(decision, &context, forward);
            handling::of_forward(decision, &context, forward);
        }
    }
}

/// What logs call a rule: its name, or its number from 1; `default` where none matches.
fn label(listener: &Listener, rule: Option<usize>) -> String {
    let Some(index) = rule else { return "default".to_owned() };
    let name = listener.rules.get(index).and_then(|rule| rule.name.as_ref());
    name.map_or_else(|| (index + 1).to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked is one request, whatever stands in its parts.
    #[test]
    fn parts_bring_no_lines_of_their_own() {
        let refused = |method: &str, url: &str, header: (&str, &str)| {
            let headers = vec![(header.0.to_owned(), header.1.to_owned())];
            let asked = Asked { method: method.to_owned(), url: url.to_owned(), headers, from: None, listener: None };
            listener::Url::parse(url).and_then(|url| text(&asked, &url)).is_err()
        };
        assert!(!refused("GET", "http://a/b", ("X", "1")));
        for end in ["\r\n", "\n", "\r"] {
            let with = |text: &str| format!("{text}{end}Y: 1");
            assert!(refused(&with("GET / HTTP/1.1"), "http://a/", ("X", "1")), "method, {end:?}");
            assert!(refused("GET", &with("http://a/ HTTP/1.1"), ("X", "1")), "path, {end:?}");
            assert!(refused("GET", &with("http://a"), ("X", "1")), "host, {end:?}");
            assert!(refused("GET", "http://a/", (&with("X"), "1")), "name, {end:?}");
            assert!(refused("GET", "http://a/", ("X", &with("1"))), "value, {end:?}");
        }
    }
}
