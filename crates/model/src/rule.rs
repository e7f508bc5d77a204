//! A listener rule: conditions, transforms, one action.

use serde_json::{Value, json};

use crate::action::Action;
use crate::condition::Conditions;
use crate::declared::{Codec, Cx, Defs, Fields, LeftOut, Step, declared, parsed};
use crate::injection::Injection;
use crate::overload::Criticality;
use crate::primitive::{Name, Regex};
use crate::yaml::Node;

declared! {
    /// A rule; its place in the listener's list is its priority.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[inspect = inspect_rule]
    #[check = check_rule]
    pub struct Rule {
        /// Shown in logs and status; absent: its number in the list, from 1.
        pub name: Option<Name> = None,
        /// What a request must look like. An empty set matches everything.
        #[key = "if"]
        #[via = LeftOut]
        pub conditions: Conditions = Conditions::default(),
        /// Rewrites (R11), applied after the match and before forwarding.
        #[via = LeftOut]
        pub transforms: Transforms = Transforms::default(),
        /// How much it matters that its requests are served while the program has too much to do; default `normal`. Only of rules
        /// that forward requests.
        #[via = LeftOut]
        pub criticality: Criticality = Criticality::Normal,
        /// Faults that are injected into a share of the requests, for testing what depends on their answers; absent: none.
        pub fault: Option<Injection> = None,
        /// What is done with the request.
        #[key = "then"]
        pub action: Action,
    }
}

declared! {
    /// Rewrites (R11): at most one of each.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Transforms {
        /// Applied to the Host header.
        pub host: Option<Rewrite> = None,
        /// Applied to path and query.
        pub url: Option<Rewrite> = None,
    }
}

declared! {
    /// The first match of `regex` is replaced; `$1` and `${name}` stand for groups.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Rewrite {
        /// At most 1024 characters.
        pub regex: Regex,
        /// At most 1024 characters.
        #[via = Replacement]
        pub replace: String,
    }
}

fn inspect_rule<'a>(fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if cx.listener.is_some_and(|protocol| !protocol.is_http()) {
        fields.only_with("transforms", "transforms on http and https listeners only", cx);
        fields.only_with("criticality", "it on http and https listeners only", cx);
        fields.only_with("fault", "it on http and https listeners only", cx);
    }
}

/// Only what may be sent twice at once is.
fn check_rule<'a>(rule: &Rule, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let Action::Forward(forward) = &rule.action else { return };
    let methods = &rule.conditions.method;
    let may = |method: &String| matches!(method.as_str(), "GET" | "HEAD");
    if forward.hedge.is_none() || methods.is_empty() || methods.iter().any(may) {
        return;
    }
    let place = fields.get("then").and_then(|node| node.get("forward")).and_then(|node| node.get("hedge"));
    let mark = place.map_or(fields.mark(), |node| node.mark);
    let what = format!("only GET and HEAD are sent twice at once, and the rule is for {}", methods.join(", "));
    let fault = |cx: &mut Cx<'a>| cx.fault(mark, what, Some("no hedge, or GET among the methods".to_owned()));
    cx.within(Step::Key("then"), |cx| cx.within(Step::Key("forward"), |cx| cx.within(Step::Key("hedge"), fault)));
}

/// What goes in place of a match.
struct Replacement;

impl Codec<String> for Replacement {
    fn expected() -> String {
        "at most 1024 visible ASCII characters".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<String> {
        parsed(node, Self::expected, cx, |text| {
            let fine = text.len() <= 1024 && text.bytes().all(|b| (0x20..=0x7e).contains(&b));
            if fine { Ok(text.to_owned()) } else { Err("cannot replace anything") }
        })
    }

    fn write(value: &String) -> Value {
        value.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "maxLength": 1024 })
    }
}
