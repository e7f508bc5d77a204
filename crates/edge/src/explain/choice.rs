//! From a forward action to the group and the target, without taking anybody's turn.

use std::net::IpAddr;
use std::sync::Arc;

use headworks_balance::{Algorithm, Choice, GroupKey, Kind, Picker, Roster, Supply};
use headworks_message::RequestView;
use headworks_model::action::Forward;
use headworks_model::config::Config;
use headworks_model::primitive::Name;
use headworks_model::target_group::{Fallback, TargetGroup};

use super::decision::{Considered, Decided, Decision, GroupShare};
use crate::compile::build;
use crate::l7::forward::{hash_of, named_target};
use crate::observe::status::View;
use crate::upstream::group::{GroupShared, Published, TargetState};

/// Why a target is out that will not be for long.
const FULL: &str = "has as many requests as it may";

/// What a choice is made of.
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) view: &'a View,
    pub(super) request: RequestView<'a>,
    pub(super) from: IpAddr,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// Chooses the group, and the target where that is certain.
pub(super) fn choose(decision: &mut Decision, context: &Context<'_>, forward: &Forward) {
    let sum: u32 = forward.groups.iter().map(|group| u32::from(group.weight)).sum();
    let share = |weight: u16| if sum == 0 { 0.0 } else { f64::from(weight) / f64::from(sum) };
    decision.groups = forward
        .groups
        .iter()
        .map(|group| GroupShare { group: group.name.to_string(), weight: group.weight, share: share(group.weight) })
        .collect();
    let possible = forward.groups.iter().filter(|group| group.weight > 0);
    match (kept(context, forward), possible.clone().count()) {
        (Some(name), _) => of_group(decision, context, forward, name, "the client's cookie names it"),
        (None, 0) => decision.answer = Some("503: all weights are 0".to_owned()),
        (None, 1) => {
            if let Some(only) = possible.clone().next() {
                let why = if forward.groups.len() == 1 { "the only one" } else { "the only one with a weight" };
                of_group(decision, context, forward, &only.name, why);
            }
        }
        (None, _) => {
            for group in possible {
                if let Some(settings) = context.config.target_groups.get(&group.name) {
                    decision.targets.extend(considered(context, &group.name, settings).0);
                }
            }
        }
    }
}

/// The group that the client's cookie names, if the rule still forwards to it (R14).
fn kept<'f>(context: &Context<'_>, forward: &'f Forward) -> Option<&'f Name> {
    let stickiness = forward.stickiness.as_ref()?;
    let text = std::str::from_utf8(context.request.cookie(stickiness.cookie_name.as_bytes())?).ok()?;
    let sticky = context.view.plan.as_ref()?.keyring.open(Kind::Group, text, context.now).ok()?;
    let names = forward.groups.iter().map(|group| &group.name);
    names.into_iter().find(|name| GroupKey::of(name.as_str()) == sticky.group)
}

/// Follows the group, or what stands in for it when nothing of it is healthy.
fn of_group(decision: &mut Decision, context: &Context<'_>, forward: &Forward, name: &Name, why: &str) {
    let Some(settings) = context.config.target_groups.get(name) else { return };
    decision.group = Some(Decided { name: name.to_string(), why: why.to_owned() });
    if is_short(context, name) {
        match forward.fallback.as_ref().unwrap_or(&settings.fallback) {
            Fallback::FailOpen => {
                let counts = shared(context, name).is_some_and(|group| group.published().roster.eligible() > 0);
                if counts && let Some(group) = &mut decision.group {
                    group.why += "; nothing of it is healthy, and so all of it counts (fallback: fail_open)";
                }
            }
            Fallback::Refuse => decision.answer = Some(format!("503: nothing in {name} is healthy (fallback: refuse)")),
            Fallback::FixedResponse(fixed) => {
                decision.answer = Some(format!("{}: nothing in {name} is healthy (fallback)", fixed.status));
            }
            Fallback::File(file) => {
                decision.answer =
                    Some(format!("{}: nothing in {name} is healthy (fallback: {})", file.status, file.path.display()));
            }
            Fallback::Forward(other) => {
                if let Some(settings) = context.config.target_groups.get(other) {
                    let why = format!("nothing in {name} is healthy (fallback)");
                    decision.group = Some(Decided { name: other.to_string(), why });
                    return of_targets(decision, context, forward, other, settings);
                }
            }
        }
    }
    of_targets(decision, context, forward, name, settings);
}

fn of_targets(decision: &mut Decision, context: &Context<'_>, forward: &Forward, name: &Name, settings: &TargetGroup) {
    let (mut targets, live) = considered(context, name, settings);
    if decision.answer.is_some() {
        targets.iter_mut().for_each(|target| target.chance = 0.0);
    } else if live.is_some() && targets.iter().all(|target| target.out.is_some()) {
        let is_full = targets.iter().any(|target| target.out.as_deref() == Some(FULL));
        let waiting = shared(context, name).map_or(0, |group| u64::from(group.gate.waiting()));
        let why = match targets.is_empty() {
            true => "has no targets",
            false if is_full && waiting < most_waiting(settings, shared(context, name)) => {
                if let Some(group) = &mut decision.group {
                    group.why += "; all of it has as many requests as it may, and this one waits";
                }
                decision.targets = targets;
                return;
            }
            false => "has none that may be chosen",
        };
        decision.answer = Some(format!("503: {name} {why}"));
    } else if let Some((published, places)) = &live {
        let certain = certain(context, forward, name, settings, published, &targets, places);
        if let Some((at, why)) = certain {
            targets.iter_mut().enumerate().for_each(|(i, target)| target.chance = f64::from(u8::from(i == at)));
            if let Some(target) = targets.get(at) {
                decision.target = Some(Decided { name: target.address.clone(), why });
            }
        } else if let Some(only) = targets.iter().find(|target| target.chance >= 1.0) {
            let why = "the only one that may be chosen".to_owned();
            decision.target = Some(Decided { name: only.address.clone(), why });
        }
    }
    decision.targets = targets;
}

fn shared<'v>(context: &Context<'v>, name: &Name) -> Option<&'v Arc<GroupShared>> {
    context.view.groups.get(name)
}

/// How many requests may wait for a group's targets.
pub(super) fn most_waiting(settings: &TargetGroup, shared: Option<&Arc<GroupShared>>) -> u64 {
    let eligible = shared.map_or(settings.targets.len(), |shared| shared.published().roster.eligible());
    u64::from(settings.limits.max_pending) * eligible.max(1) as u64
}

fn is_short(context: &Context<'_>, name: &Name) -> bool {
    shared(context, name).is_some_and(|group| {
        let published = group.published();
        published.roster.supply != Supply::Enough || published.roster.eligible() == 0
    })
}

/// A group as it runs, and of each of its targets, as they were listed, the place in the roster.
type Live = (Arc<Published>, Vec<Option<usize>>);

/// All targets of a group, with the chance of each by weight alone.
fn considered(context: &Context<'_>, name: &Name, settings: &TargetGroup) -> (Vec<Considered>, Option<Live>) {
    let Some(group) = shared(context, name) else {
        return (declared(name, settings), None);
    };
    let (published, report) = (group.published(), group.report());
    let place = |state: &TargetState| {
        let of = state.shared.as_ref()?;
        published.targets.iter().position(|target| Arc::ptr_eq(target, of))
    };
    let places: Vec<Option<usize>> = report.iter().map(place).collect();
    let limit = settings.limits.max_connections;
    let mut targets: Vec<Considered> = report
        .iter()
        .zip(&places)
        .map(|(state, place)| {
            let in_flight = state.shared.as_ref().map(|shared| shared.in_flight());
            let is_full = limit > 0 && in_flight.is_some_and(|n| n >= limit);
            Considered {
                group: name.to_string(),
                address: state.address.clone(),
                weight: state.weight,
                effective_weight: Some(state.effective_weight),
                state: state.state.to_owned(),
                reason: state.reason.map(str::to_owned),
                in_flight,
                out: out(&published.roster, *place, state, is_full).map(str::to_owned),
                chance: 0.0,
            }
        })
        .collect();
    spread(&mut targets);
    (targets, Some((published, places)))
}

/// Why a target cannot be chosen, if it cannot.
fn out(roster: &Roster, place: Option<usize>, state: &TargetState, is_full: bool) -> Option<&'static str> {
    match place.and_then(|place| roster.entries.get(place)) {
        None => Some("has no address"),
        Some(entry) if entry.draining => Some("is being deregistered"),
        Some(_) if state.ejected => Some("is ejected by the circuit breaker"),
        Some(entry) if !entry.eligible => Some("is not healthy"),
        Some(_) if is_full => Some(FULL),
        Some(entry) if entry.weight == 0 && roster.entries.iter().any(|other| other.eligible && other.weight > 0) => {
            Some("has no weight")
        }
        Some(_) => None,
    }
}

/// What is declared, where nothing runs.
fn declared(name: &Name, settings: &TargetGroup) -> Vec<Considered> {
    let mut targets: Vec<Considered> = settings
        .targets
        .iter()
        .map(|target| Considered {
            group: name.to_string(),
            address: target.address.to_string(),
            weight: target.weight.into(),
            effective_weight: None,
            state: "unknown".to_owned(),
            reason: None,
            in_flight: None,
            out: (target.weight == 0 && settings.targets.iter().any(|other| other.weight > 0))
                .then(|| "has no weight".to_owned()),
            chance: 0.0,
        })
        .collect();
    spread(&mut targets);
    targets
}

/// Shares by weight among those that may be chosen.
fn spread(targets: &mut [Considered]) {
    let weight = |target: &Considered| {
        let weight = target.effective_weight.unwrap_or(f64::from(target.weight));
        if target.out.is_none() { weight } else { 0.0 }
    };
    let sum: f64 = targets.iter().map(weight).sum();
    let able = targets.iter().filter(|target| target.out.is_none()).count();
    for target in targets {
        target.chance = match (sum > 0.0, &target.out) {
            (true, _) => weight(target) / sum,
            (false, None) => 1.0 / able as f64,
            (false, Some(_)) => 0.0,
        };
    }
}

/// The place in the list of the target that this very request would go to, where neither turn nor luck decides, and why.
fn certain(
    context: &Context<'_>,
    forward: &Forward,
    name: &Name,
    settings: &TargetGroup,
    published: &Published,
    targets: &[Considered],
    places: &[Option<usize>],
) -> Option<(usize, String)> {
    let listed = |place: usize| places.iter().position(|of| *of == Some(place));
    let roster = &published.roster;
    // a weighted rule without stickiness of its own does not honour that of its groups (R14)
    let honoured = forward.groups.len() == 1 || forward.stickiness.is_some();
    if let Some(stickiness) = settings.stickiness.as_ref().filter(|_| honoured)
        && let Some(plan) = &context.view.plan
        && let Some(key) =
            named_target(&plan.keyring, stickiness, GroupKey::of(name.as_str()), context.request, context.now)
        && let Some(at) = roster.find_eligible(key).and_then(listed)
        && targets.get(at).is_some_and(|target| target.out.is_none())
    {
        return Some((at, "the client's cookie names it".to_owned()));
    }
    let algorithm = build::algorithm(settings);
    let why = match algorithm {
        Algorithm::ConsistentHash => "by hash",
        Algorithm::LeastOutstandingRequests => "the fewest requests in flight for its weight",
        Algorithm::RoundRobin | Algorithm::WeightedRandom => return None,
    };
    let (mut picker, load) =
        (Picker::new(algorithm), |place: usize| published.targets.get(place).map_or(u32::MAX, |t| t.in_flight()));
    picker.update(roster, 0);
    let full: Vec<usize> =
        targets.iter().zip(places).filter(|(target, _)| target.out.is_some()).filter_map(|(_, place)| *place).collect();
    let hash = hash_of(&settings.hash_on, context.request, context.from);
    let picked = picker.pick(Choice { random: 0, hash, load: &load, exclude: &full })?;
    // of those with the same load any may be the next
    let is_tie = algorithm == Algorithm::LeastOutstandingRequests
        && targets.iter().filter(|t| t.out.is_none()).map(|t| t.in_flight).all(|n| n == Some(load(picked)))
        && targets.iter().filter(|t| t.out.is_none()).count() > 1;
    if is_tie { None } else { listed(picked).map(|at| (at, why.to_owned())) }
}
