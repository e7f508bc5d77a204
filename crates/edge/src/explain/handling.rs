//! What becomes of a request besides its way: faults, copies, who has to wait, how hard it is tried.

use headworks_balance::{HedgeAfter, Moment, Overload};
use headworks_message::{Framing, RequestView};
use headworks_model::action::Forward;
use headworks_model::injection::Injection;
use headworks_model::overload;
use headworks_model::primitive::Name;
use headworks_model::target_group::TargetGroup;
use serde::{Deserialize, Serialize};

use super::choice::{Context, most_waiting};
use super::decision::Decision;
use crate::compile::build;
use crate::l7::forward::{is_idempotent, may_hedge};
use crate::observe::status::{View, total};

/// Whether there is time for the request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shedding {
    /// How much it matters that it is served: `sheddable`, `normal` or `critical`.
    pub criticality: String,
    /// The share of such requests that is refused now, because the program has too much to do.
    pub share: f64,
}

/// Faults that are injected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Faults {
    /// Milliseconds, and the share of requests.
    pub delay: Option<(u64, f64)>,
    /// A status, and the share of requests.
    pub abort: Option<(u16, f64)>,
}

/// A copy for another group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mirrored {
    /// The group.
    pub group: String,
    /// The share of requests.
    pub share: f64,
    /// Why there is none of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

/// How a group that the request may go to deals with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handling {
    /// The group.
    pub group: String,
    /// Bounds of what is in flight, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Further attempts, where they are declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retrying>,
    /// Further targets at the same time, where they are declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedging>,
    /// What pays for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// Bounds of what is in flight, and who waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Requests in flight to one target; 0: any number.
    pub max_connections: u32,
    /// Requests in flight to the group; 0: any number.
    pub max_requests: u32,
    /// Requests in flight to the group that were found to be possible, where that is looked for and something runs.
    pub adaptive: Option<u32>,
    /// Requests that have a place in the group now.
    pub taken: Option<u32>,
    /// How many may wait, of all targets that may be chosen.
    pub max_pending: u64,
    /// How many wait now.
    pub pending: Option<u32>,
    /// Milliseconds that one waits at most.
    pub pending_timeout: u64,
}

/// Further attempts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retrying {
    /// In all, the first included.
    pub attempts: u8,
    /// After what.
    pub when: Vec<String>,
    /// Why there are none of this request, but for what no target can have acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

/// Further targets at the same time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hedging {
    /// Requests beside the first.
    pub attempts: u32,
    /// Milliseconds after which each is sent; none: that is not known yet.
    pub after: Option<f64>,
    /// It is what 95 of 100 answers take.
    pub by_latency: bool,
    /// Why there are none of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

/// How many retries and hedges there may be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Budget {
    /// Of live requests.
    pub share: f64,
    /// How many are left, of all workers, as of the last seconds; none where nothing runs.
    pub left: Option<u64>,
}

/// How much a request matters, and what is refused of its kind now.
pub(super) fn shedding(criticality: overload::Criticality, view: &View) -> Shedding {
    let mut pressure = Overload::default();
    pressure.update(&view.pressure.each().map(|(_, used)| used), Moment::ZERO);
    let share = pressure.share(build::criticality(criticality));
    Shedding { criticality: criticality.word().to_owned(), share }
}

/// The faults that a rule injects.
pub(super) fn faults(injection: &Injection) -> Faults {
    Faults {
        delay: injection.delay.as_ref().map(|delay| (delay.length.as_millis() as u64, delay.share)),
        abort: injection.abort.as_ref().map(|abort| (abort.status, abort.share)),
    }
}

/// Adds the copy that a rule has made, and what each group does that the request may go to.
pub(super) fn of_forward(decision: &mut Decision, context: &Context<'_>, forward: &Forward) {
    decision.mirror = forward.mirror.as_ref().map(|mirror| Mirrored {
        group: mirror.group.to_string(),
        share: mirror.share,
        out: if context.request.head.connection.upgrade {
            Some("another protocol is asked for".to_owned())
        } else {
            not_kept(context.request, mirror.buffer)
        },
    });
    let chosen = decision.group.as_ref().map(|group| group.name.as_str());
    let possible = forward.groups.iter().filter(|group| group.weight > 0).map(|group| group.name.as_str());
    let groups = chosen.map_or_else(|| possible.collect(), |chosen| vec![chosen]);
    let settings = &context.config.target_groups;
    let of = |group: &str| settings.iter().find(|(name, _)| name.as_str() == group);
    let groups: Vec<_> = groups.into_iter().filter_map(of).collect();
    decision.handling = groups.into_iter().map(|(name, settings)| handling(context, forward, name, settings)).collect();
}

fn handling(context: &Context<'_>, forward: &Forward, name: &Name, settings: &TargetGroup) -> Handling {
    let shared = context.view.groups.get(name);
    let limits = settings.limits.is_any().then(|| {
        let limits = &settings.limits;
        Limits {
            max_connections: limits.max_connections,
            max_requests: limits.max_requests,
            adaptive: limits.adaptive.as_ref().and(shared).and_then(|shared| shared.gate.found()),
            taken: shared.map(|shared| shared.gate.taken()),
            max_pending: most_waiting(settings, shared),
            pending: shared.map(|shared| shared.gate.waiting()),
            pending_timeout: limits.pending_timeout.as_millis() as u64,
        }
    });
    let retry = settings.retry.as_ref().map(|retry| Retrying {
        attempts: retry.attempts,
        when: retry.when.iter().map(ToString::to_string).collect(),
        out: if is_idempotent(context.request) || retry.non_idempotent {
            not_kept(context.request, retry.buffer)
        } else {
            Some(format!("{} is not idempotent", String::from_utf8_lossy(context.request.method())))
        },
    });
    let hedge = forward.hedge.as_ref().or(settings.hedge.as_ref()).map(|hedge| {
        let hedge = build::hedge_plan(hedge);
        let p95 = shared.and_then(|shared| shared.p95());
        Hedging {
            attempts: hedge.attempts,
            after: hedge.wait(0, p95).map(|wait| wait.as_secs_f64() * 1e3),
            by_latency: hedge.after == HedgeAfter::P95,
            out: (!may_hedge(context.request)).then(|| "only GET and HEAD without a body are sent twice".to_owned()),
        }
    });
    let plan = context.view.plan.as_ref();
    let running = plan.and_then(|plan| plan.groups.iter().find(|group| *group.shared.name == *name.as_str()));
    let share = match running {
        Some(running) => running.budget,
        None => build::budget(settings, hedge.is_some()),
    };
    let left = shared.filter(|_| running.is_some()).map(|shared| total(&shared.counters, |c| &c.budget_left));
    let budget = share.filter(|_| retry.is_some() || hedge.is_some()).map(|share| Budget { share, left });
    Handling { group: name.to_string(), limits, retry, hedge, budget }
}

/// Why a request cannot be sent again, if so many bytes of it are kept.
fn not_kept(request: RequestView<'_>, buffer: u64) -> Option<String> {
    match request.head.framing {
        Framing::None | Framing::Length(0) => None,
        _ if buffer == 0 => Some("its body is not kept".to_owned()),
        Framing::Length(length) if length > buffer => Some("its body is longer than what is kept".to_owned()),
        _ => None,
    }
}
