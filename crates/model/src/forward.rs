//! Forwarding to target groups by weight (R13, R14).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::declared::{Codec, Cx, Defs, Fields, Group, Step, To, Token, Within, declared, named};
use crate::listener::ListenerProtocol;
use crate::mirror::Mirror;
use crate::primitive::Name;
use crate::stickiness::{Stickiness, StickyFor};
use crate::target_group::{Fallback, Hedge, HttpVersion, TargetGroup, TargetProtocol};
use crate::yaml::{Mark, Node};

declared! {
    /// Forward to one of several target groups, by weight; or the name of one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[short = "groups"]
    #[check = check_forward]
    pub struct Forward {
        /// At least one, each with a weight from 0 to 999; `forward: web` is one with weight 1.
        #[via = Groups]
        pub groups: Vec<WeightedGroup>,
        /// Target group stickiness: how long a client keeps the group it got first.
        pub stickiness: Option<GroupStickiness> = None,
        /// When a group has nothing healthy, in place of what the group says: `refuse`, another group, a fixed response or a file.
        pub fallback: Option<Fallback> = None,
        /// Hedging of this rule's requests, in place of what the group says.
        pub hedge: Option<Hedge> = None,
        /// Another group that a share of the requests is sent to as well.
        pub mirror: Option<Mirror> = None,
    }
}

impl Forward {
    /// Every group that requests, or copies of them, may go to: those with a share, the one that stands in, the mirror.
    pub(crate) fn all_groups(&self) -> impl Iterator<Item = &Name> {
        let stand_in = match &self.fallback {
            Some(Fallback::Forward(other)) => Some(other),
            _ => None,
        };
        let mirror = self.mirror.as_ref().map(|mirror| &mirror.group);
        self.groups.iter().map(|group| &group.name).chain(stand_in).chain(mirror)
    }
}

/// A target group and its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedGroup {
    /// The target group.
    pub name: Name,
    /// 0 to 999; the share is weight over the sum. 0 takes no new client.
    pub weight: u16,
}

declared! {
    /// Target group stickiness (R14): a duration, or a duration and a cookie's name.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[short = "duration"]
    pub struct GroupStickiness {
        /// 1 s to 7 days.
        #[via = StickyFor]
        pub duration: Duration,
        /// `AWSALBTG` unless said otherwise.
        #[via = Token]
        pub cookie_name: Arc<str> = "AWSALBTG".into(),
    }
}

type Weight = Within<0, 999>;

/// A mapping from names to weights, or one name.
struct Groups;

impl Codec<Vec<WeightedGroup>> for Groups {
    fn expected() -> String {
        "the name of a target group, or { groups: { name: weight } }".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Vec<WeightedGroup>> {
        if node.as_scalar().is_some() {
            return To::<TargetGroup>::read(node, cx).map(|name| vec![WeightedGroup { name, weight: 1 }]);
        }
        for entry in node.as_map().unwrap_or_default() {
            cx.within(Step::Key(&entry.key), |cx| To::<TargetGroup>::check(&entry.key, entry.mark, cx));
        }
        let weights = named(node, Self::expected, cx, <Weight as Codec<u16>>::read)?;
        if node.as_map().is_some_and(<[_]>::is_empty) {
            cx.wrong(node, "names no target group", Self::expected());
            return None;
        }
        Some(weights.into_iter().map(|(name, weight)| WeightedGroup { name, weight }).collect())
    }

    fn write(value: &Vec<WeightedGroup>) -> Value {
        let weights: Map<String, Value> =
            value.iter().map(|group| (group.name.as_str().to_owned(), group.weight.into())).collect();
        weights.into()
    }

    fn schema(defs: &mut Defs) -> Value {
        let weight = <Weight as Codec<u16>>::schema(defs);
        json!({ "anyOf": [
            { "type": "string" },
            { "type": "object", "additionalProperties": weight, "minProperties": 1 },
        ] })
    }
}

fn check_forward<'a>(forward: &Forward, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let groups = fields.get("groups");
    let place = |name: &Name| -> Mark {
        let entries = groups.and_then(Node::as_map).unwrap_or_default();
        let entry = entries.iter().find(|entry| entry.key == name.as_str());
        entry.map_or_else(|| groups.map_or(fields.mark(), |node| node.mark), |entry| entry.mark)
    };
    let is_weighted = forward.groups.len() > 1;
    for group in &forward.groups {
        let Some(known) = cx.groups.get(&group.name).cloned() else { continue };
        let name = group.name.as_str();
        if let Some(listener) = cx.listener
            && let Some(protocol) = known.protocol
            && !carries(listener, protocol)
        {
            let what = format!("{name} speaks {}, the listener {}", protocol.word(), listener.word());
            cx.fault(place(&group.name), what, Some("a target group of a protocol that goes with it".to_owned()));
        }
        if !is_weighted {
            continue;
        }
        if matches!(known.stickiness, Some(Stickiness::AppCookie { .. })) {
            let what = format!("{name} has app_cookie stickiness, which does not go with several groups");
            cx.fault(place(&group.name), what, Some("lb_cookie stickiness, or one group".to_owned()));
        } else if known.stickiness.is_some() && forward.stickiness.is_none() && !fields.has("stickiness") {
            let what = format!("{name} has stickiness, and the rule has none");
            cx.fault(place(&group.name), what, Some("stickiness beside groups".to_owned()));
        }
    }
    if cx.listener.is_some_and(|listener| !listener.is_http()) {
        for key in ["stickiness", "fallback", "hedge", "mirror"] {
            fields.only_with(key, "it on http and https listeners only", cx);
        }
    }
    check_stand_ins(forward, fields, cx);
    if !forward.groups.is_empty() && forward.groups.iter().all(|group| group.weight == 0) {
        cx.warn(groups.map_or(fields.mark(), |node| node.mark), "all weights are 0: every request is answered 503");
    }
}

/// What requests may be sent to besides the groups that they are for.
fn check_stand_ins<'a>(forward: &Forward, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let of = |name: &Name, cx: &Cx<'a>| cx.groups.get(name).cloned();
    let is_other_kind = |name: &Name, cx: &Cx<'a>| {
        of(name, cx).and_then(|group| group.protocol).is_some_and(|protocol| !protocol.is_http())
    };
    match &forward.fallback {
        Some(Fallback::FailOpen) => {
            let what = "is for the group to say: its health decides which targets may be chosen";
            fields.wrong("fallback", what, "refuse, { forward: ... }, { fixed_response: ... } or { file: ... }", cx);
        }
        Some(Fallback::Forward(name)) if is_other_kind(name, cx) => {
            fields.wrong("fallback", format!("{name} speaks no HTTP"), "a target group that does", cx);
        }
        _ => {}
    }
    if forward.hedge.is_some() && forward.groups.iter().any(|group| is_of_calls(of(&group.name, cx))) {
        let what = "calls of gRPC are made by POST, which is never sent twice at once";
        fields.wrong("hedge", what, "it with groups of protocol http or https only", cx);
    }
    let Some(mirror) = &forward.mirror else { return };
    let name = &mirror.group;
    if forward.groups.iter().any(|group| group.name == *name) {
        fields.wrong("mirror", format!("to {name} itself, which answers these requests"), "another target group", cx);
    } else if is_other_kind(name, cx) {
        fields.wrong("mirror", format!("{name} speaks no HTTP"), "a target group that does", cx);
    } else if of(name, cx).is_some_and(|group| group.version == HttpVersion::Http1)
        && let Some(calls) = forward.groups.iter().find(|group| is_of_calls(of(&group.name, cx)))
    {
        let what = format!("{name} speaks HTTP/1.1, and what {} is asked are calls of gRPC", calls.name);
        fields.wrong("mirror", what, "a target group with version: http2", cx);
    }
}

fn is_of_calls(group: Option<Group>) -> bool {
    group.and_then(|group| group.protocol) == Some(TargetProtocol::Grpc)
}

/// Whether what comes in by `listener` can go out to such targets.
fn carries(listener: ListenerProtocol, target: TargetProtocol) -> bool {
    match listener {
        ListenerProtocol::Http | ListenerProtocol::Https => target.is_http(),
        ListenerProtocol::Tcp | ListenerProtocol::Tls | ListenerProtocol::TlsPassthrough => {
            matches!(target, TargetProtocol::Tcp | TargetProtocol::Tls)
        }
        ListenerProtocol::Udp => target == TargetProtocol::Udp,
        ListenerProtocol::TcpUdp => matches!(target, TargetProtocol::Tcp | TargetProtocol::Udp),
    }
}
