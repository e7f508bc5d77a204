//! What becomes of a request besides its way, for a person: one line for each thing, under its word.

use std::time::Duration;

use headworks_edge::Decision;
use headworks_edge::handling::{Budget, Faults, Handling, Hedging, Limits, Mirrored, Retrying, Shedding};

use super::percent;

type Line = (&'static str, String);

/// What the rule does besides its action.
pub(super) fn of_rule(decision: &Decision) -> Vec<Line> {
    let shedding = decision.shedding.as_ref().and_then(shedding).map(|text| ("overload", text));
    let fault = decision.fault.as_ref().map(|fault| ("fault", faults(fault)));
    let mirror = decision.mirror.as_ref().map(|mirror| ("mirror", mirrored(mirror)));
    [shedding, fault, mirror].into_iter().flatten().collect()
}

/// What a group does besides choosing a target.
pub(super) fn of_group(handling: &Handling) -> Vec<Line> {
    let named = |text: String| format!("{}: {text}", handling.group);
    let limits = handling.limits.as_ref().map(|of| ("limits", named(limits(of))));
    let retry = handling.retry.as_ref().map(|of| ("retry", named(retrying(of))));
    let hedge = handling.hedge.as_ref().map(|of| ("hedge", named(hedging(of))));
    let budget = handling.budget.as_ref().map(|of| ("budget", named(budget(of))));
    [limits, retry, hedge, budget].into_iter().flatten().collect()
}

/// Nothing where there is nothing unusual about it.
fn shedding(shedding: &Shedding) -> Option<String> {
    let Shedding { criticality, share } = shedding;
    match (criticality.as_str(), *share > 0.0) {
        ("normal", false) => None,
        ("critical", _) => Some("critical: never refused".to_owned()),
        (_, false) => Some(format!("{criticality}: none is refused now")),
        (_, true) => Some(format!("{criticality}: {} are refused now (503)", percent(*share))),
    }
}

fn faults(faults: &Faults) -> String {
    let delay = faults.delay.map(|(millis, share)| format!("{} of delay for {}", span(millis as f64), percent(share)));
    let abort = faults.abort.map(|(status, share)| format!("{status} for {}", percent(share)));
    delay.into_iter().chain(abort).collect::<Vec<_>>().join(", ")
}

fn mirrored(mirrored: &Mirrored) -> String {
    let Mirrored { group, share, out } = mirrored;
    match out {
        Some(out) => format!("{group}: no copy of this one, {out}"),
        None => format!("{group}: a copy of {}", percent(*share)),
    }
}

fn limits(limits: &Limits) -> String {
    let mut parts = Vec::new();
    let bounds: Vec<String> = [
        (limits.max_requests > 0).then(|| format!("at most {}", limits.max_requests)),
        limits.adaptive.map(|found| format!("{found} were found to be possible")),
        (limits.max_connections > 0).then(|| format!("at most {} for each target", limits.max_connections)),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (limits.taken, bounds.is_empty()) {
        (Some(taken), true) => parts.push(format!("{taken} in flight")),
        (Some(taken), false) => parts.push(format!("{taken} in flight, {}", bounds.join(", "))),
        (None, true) => parts.push("as many in flight as are found to be possible".to_owned()),
        (None, false) => parts.push(format!("in flight {}", bounds.join(", "))),
    }
    if limits.max_pending > 0 {
        let (most, patience) = (limits.max_pending, span(limits.pending_timeout as f64));
        parts.push(match limits.pending {
            Some(pending) => format!("{pending} of {most} wait, {patience} at most"),
            None => format!("{most} may wait, {patience} at most"),
        });
    } else {
        parts.push("none waits".to_owned());
    }
    parts.join("; ")
}

fn retrying(retrying: &Retrying) -> String {
    let Retrying { attempts, when, out } = retrying;
    match out {
        Some(out) => format!("none of this one, {out}"),
        None if *attempts < 2 => "none".to_owned(),
        None => format!("{attempts} attempts in all, after {}", when.join(", ")),
    }
}

fn hedging(hedging: &Hedging) -> String {
    let Hedging { attempts, after, by_latency, out } = hedging;
    let after = match (out, after) {
        (Some(out), _) => return format!("none of this one, {out}"),
        (None, None) => return "none yet, too few answers tell how long they take".to_owned(),
        (None, Some(millis)) => span(*millis),
    };
    let why = if *by_latency { " (p95)" } else { "" };
    let more = if *attempts > 1 { format!(", up to {attempts} times") } else { String::new() };
    format!("to another target as well after {after}{why}{more}")
}

fn budget(budget: &Budget) -> String {
    let share = format!("{} of live requests", percent(budget.share));
    budget.left.map_or_else(|| share.clone(), |left| format!("{share}, {left} left"))
}

fn span(millis: f64) -> String {
    let micros = (millis * 1e3).max(0.0) as u64;
    // more digits say nothing of a latency
    let rounded = if micros > 10_000 { micros - micros % 100 } else { micros };
    format!("{:?}", Duration::from_micros(rounded))
}
