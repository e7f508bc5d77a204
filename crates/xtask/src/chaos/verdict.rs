//! What may fail, how long it may take, and what must not be.
//!
//! Requests are idempotent, and bodies are kept. A target that is killed, slow, resets connections or answers with what is no HTTP, a
//! reload, an exchanged certificate, and another process in place of the program's fail none of them. Neither does a frozen one, where
//! the group tries again what was not answered in time; where it does not, which is the default, the client gets a 504 in that time.
//! At any time, no request takes longer than the one attempt that a silent target may cost, and [`ALLOWANCE`].

use std::time::Duration;

use serde_json::Value;

use super::Done;
use super::record::{Record, is_fine, overlaps, title};
use super::script::Deed;
use super::traffic::{ALL, Traffic};
use crate::steady::{Outcome, Told};

/// What a request may take besides an attempt at a silent target: the other attempt, and its share of a machine that load, targets and
/// program have to themselves, or not.
const ALLOWANCE: Duration = Duration::from_secs(1);
/// After a target is well again, until nothing is under way that it was silent to.
const AFTER: Duration = Duration::from_secs(1);
/// So many of a kind are told of one by one.
const TOLD: usize = 10;

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Verdict<'a> {
    /// All that is wrong with it.
    pub(super) faults: Vec<String>,
    /// Requests that must not have ended as they did, as many as are told of one by one.
    pub(super) wronged: Vec<&'a Told>,
}

/// Judges a run.
pub(super) fn judge<'a>(record: &'a Record, done: &[Done], status: &Value, complaints: &[String]) -> Verdict<'a> {
    let Verdict { mut faults, mut wronged } = Verdict::default();
    for (traffic, told) in ALL.iter().zip(&record.told) {
        let mut wrong = told.iter().filter_map(|told| Some((told, fault(traffic, told, done)?)));
        for (told, fault) in wrong.by_ref().take(TOLD) {
            wronged.push(told);
            faults.push(fault);
        }
        match wrong.count() {
            0 => {}
            more => faults.push(format!("{}: and {more} more", traffic.title.trim())),
        }
        if told.is_empty() {
            faults.push(format!("{}: nothing was asked", traffic.title.trim()));
        }
    }
    let refused = status.pointer("/configuration/reloads/refused").and_then(Value::as_u64);
    if refused != Some(0) {
        faults.push(format!("reloads refused: {refused:?}"));
    }
    faults.extend(complaints.iter().map(|line| format!("the program said: {line}")));
    Verdict { faults, wronged }
}

/// What is wrong with one request, if anything is.
fn fault(traffic: &Traffic, told: &Told, done: &[Done]) -> Option<String> {
    let is_frozen =
        || done.iter().any(|done| matches!(done.deed, Deed::Freeze(_)) && overlaps(told, done.from, done.to + AFTER));
    let may_fail = told.outcome == Outcome::Answered(504) && !traffic.retries_silence && is_frozen();
    let is_late = told.took > traffic.per_try + ALLOWANCE;
    if !is_late && (is_fine(told.outcome) || may_fail) {
        return None;
    }
    let during = done.iter().filter(|done| overlaps(told, done.from, done.to + AFTER)).map(|done| done.deed.title());
    let during: Vec<String> = during.collect();
    Some(format!(
        "{}: a request due at {:.3} s ended after {} ms{}: {} (beside it: {})",
        traffic.title.trim(),
        told.due.as_secs_f64(),
        told.took.as_millis(),
        if is_late { ", too late" } else { "" },
        title(told.outcome),
        if during.is_empty() { "nothing".to_owned() } else { during.join(", ") }
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::target::Mood;
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// What is wrong with a run in which all was well but for this, of this kind of traffic.
    fn faults(traffic: usize, told: Told) -> Vec<String> {
        let done = |deed, from, to| Done { deed, from: at(from), to: at(to) };
        let deeds = [
            done(Deed::Kill(0), 1000, 2000),
            done(Deed::Mood(1, Mood::Garbage), 5000, 6000),
            done(Deed::Freeze(1), 9000, 11_000),
        ];
        let mut record = Record { told: std::array::from_fn(|_| vec![fine(0)]) };
        record.add(traffic, told);
        judge(&record, &deeds, &json!({ "configuration": { "reloads": { "refused": 0 } } }), &[]).faults
    }

    const fn fine(due: u64) -> Told {
        Told { due: at(due), took: at(10), outcome: Outcome::Answered(200) }
    }

    #[test]
    fn failures_need_a_reason() {
        use Outcome::{Answered, Reset, TimedOut};
        let defaults = ALL.iter().position(|traffic| !traffic.retries_silence).unwrap();
        let patient = ALL.iter().position(|traffic| traffic.retries_silence).unwrap();
        for (traffic, due, took, outcome, is_wrong) in [
            (defaults, 1500, 10, Answered(200), false),
            (defaults, 1500, 10, Answered(502), true),
            (defaults, 5500, 10, Answered(502), true),
            (defaults, 8000, 10, Reset, true),
            (defaults, 9500, 1000, Answered(504), false),
            (defaults, 9500, 1000, Answered(502), true),
            (defaults, 1500, 1000, Answered(504), true),
            (defaults, 9500, 2501, Answered(504), true),
            (patient, 9500, 310, Answered(200), false),
            (patient, 9500, 310, Answered(504), true),
            (patient, 9500, 1301, Answered(200), true),
            (patient, 3000, 1301, Answered(200), true),
            (patient, 9500, 5000, TimedOut, true),
        ] {
            let wrong = faults(traffic, Told { due: at(due), took: at(took), outcome });
            assert_eq!(wrong.len(), usize::from(is_wrong), "{due} {took} {outcome:?}: {wrong:?}");
        }
    }

    #[test]
    fn what_else_is_wrong() {
        assert_eq!(judge(&Record::default(), &[], &json!({}), &["ERROR x".to_owned()]).faults.len(), ALL.len() + 2);
    }
}
