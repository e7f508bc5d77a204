//! What is told of a decision.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::handling::{Faults, Handling, Mirrored, Shedding};
use super::listener::Found;
use crate::observe::status::View;

/// What would become of a request, and why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Decision {
    /// Method and URL.
    pub request: String,
    /// Who asks.
    pub from: Option<IpAddr>,
    /// Whether it was decided with what runs: without that, nothing is known of targets but what is declared.
    pub live: bool,
    /// The listener that it comes in by.
    pub listener: ListenerFound,
    /// Tier and reason of what another reader could make of it (H8).
    pub desync: Option<(String, String)>,
    /// What it is answered instead of being judged by rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The rules that were asked, in order, up to the one that it meets.
    pub rules: Vec<RuleVerdict>,
    /// The rule that it meets; `default` where there is none.
    pub rule: String,
    /// What that rule does: `forward`, or `redirect` and `fixed_response` with their status.
    pub action: String,
    /// Whether there is time for it, where it is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shedding: Option<Shedding>,
    /// The faults that the rule injects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Faults>,
    /// The groups that the rule forwards to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupShare>,
    /// The group that its target is chosen of; none where several are possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Decided>,
    /// What is answered because no target can be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The copy that is made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirrored>,
    /// What the groups that are possible do beside choosing a target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handling: Vec<Handling>,
    /// All targets of the groups that are possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Considered>,
    /// The target, where there is no doubt about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Decided>,
}

/// A listener.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListenerFound {
    /// Its load balancer.
    pub load_balancer: String,
    /// Its name.
    pub name: String,
    /// Where it listens, as far as that is known.
    pub address: Option<String>,
    /// `http` or `https`.
    pub protocol: String,
}

/// What became of a rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleVerdict {
    /// Its name, or its number from 1.
    pub rule: String,
    /// The first condition that fails; none: the request meets it.
    pub failed: Option<String>,
}

/// A group that a rule forwards to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupShare {
    /// Its name.
    pub group: String,
    /// Its weight in the rule.
    pub weight: u16,
    /// Its share of requests that bring no cookie for a group.
    pub share: f64,
}

/// What was chosen, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// A group's name, or a target's address.
    pub name: String,
    /// What made it this one.
    pub why: String,
}

/// A target, and how it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Considered {
    /// Its group.
    pub group: String,
    /// Its address.
    pub address: String,
    /// Its declared weight.
    pub weight: u32,
    /// With slow start, mitigation and the like taken off, where something runs.
    pub effective_weight: Option<f64>,
    /// As in the status; `unknown` where nothing runs.
    pub state: String,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// Requests in flight.
    pub in_flight: Option<u32>,
    /// Why it cannot be chosen; none: it can.
    pub out: Option<String>,
    /// How likely it is that the request goes there, from 0 to 1, once its group is chosen.
    pub chance: f64,
}

impl Decision {
    pub(super) fn of(request: String, from: IpAddr, found: &Found<'_>, view: &View) -> Decision {
        Decision {
            request,
            from: Some(from),
            live: view.plan.is_some(),
            listener: ListenerFound {
                load_balancer: found.balancer_name.to_string(),
                name: found.name.to_string(),
                address: found.address(view).map(|address| address.to_string()),
                protocol: found.listener.protocol.word().to_owned(),
            },
            ..Decision::default()
        }
    }
}
