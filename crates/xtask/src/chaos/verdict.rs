//! What may fail, and what must not.
//!
//! Requests are idempotent and without a body. A target that is killed, frozen, slow or resets connections, a reload, an exchanged
//! certificate, and another process in place of the program's fail none of them. What is no HTTP may have been acted on in part: it is the
//! client's to see, until the circuit breaker takes its sender out.

use std::time::Duration;

use serde_json::Value;

use super::Done;
use super::record::{Record, is_fine, overlaps, title};
use super::script::Deed;
use super::target::Mood;
use crate::steady::Told;

/// Of the requests while a target spoils its answers, one in so many may fail: it gets a third of them, and the breaker, which looks four
/// times a second and tries it again each second, has it out for more than half of the time.
const SPOILED: usize = 6;
/// After a target is well again, until nothing that it has spoiled is under way.
const AFTER: Duration = Duration::from_secs(1);

/// All that is wrong with a run.
pub(super) fn judge(record: &Record, done: &[Done], status: &Value, complaints: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let spoiling: Vec<&Done> = done.iter().filter(|done| matches!(done.deed, Deed::Mood(_, Mood::Garbage))).collect();
    let spoiled = |told: &&Told| spoiling.iter().any(|done| overlaps(told, done.from, done.to + AFTER));
    let failed: Vec<&Told> = record.told.iter().filter(|told| !is_fine(told.outcome)).collect();
    for told in failed.iter().filter(|told| !spoiled(told)).take(20) {
        let during =
            done.iter().filter(|done| overlaps(told, done.from, done.to + AFTER)).map(|done| done.deed.title());
        let during: Vec<String> = during.collect();
        faults.push(format!(
            "a request due at {:.3} s ended after {} ms: {} (beside it: {})",
            told.due.as_secs_f64(),
            told.took.as_millis(),
            title(told.outcome),
            if during.is_empty() { "nothing".to_owned() } else { during.join(", ") }
        ));
    }
    let unexplained = failed.iter().filter(|told| !spoiled(told)).count();
    if unexplained > 20 {
        faults.push(format!("and {} more", unexplained - 20));
    }
    let of_spoiled = failed.len() - unexplained;
    if of_spoiled > record.told.iter().filter(spoiled).count() / SPOILED {
        faults.push(format!("{of_spoiled} requests failed by {} targets that answered with no HTTP", spoiling.len()));
    }
    if record.told.is_empty() {
        faults.push("nothing was asked".to_owned());
    }
    let refused = status.pointer("/configuration/reloads/refused").and_then(Value::as_u64);
    if refused != Some(0) {
        faults.push(format!("reloads refused: {refused:?}"));
    }
    faults.extend(complaints.iter().map(|line| format!("the program said: {line}")));
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::steady::Outcome;

    #[test]
    fn failures_need_a_reason() {
        let at = |millis| Duration::from_millis(millis);
        let told = |due, outcome| Told { due: at(due), took: at(10), outcome };
        let done = |deed, from, to| Done { deed, from: at(from), to: at(to) };
        let deeds = [done(Deed::Kill(0), 1000, 2000), done(Deed::Mood(1, Mood::Garbage), 5000, 6000)];
        let fine = json!({ "configuration": { "reloads": { "refused": 0 } } });
        let faults = |told: Vec<Told>| judge(&Record { told }, &deeds, &fine, &[]);
        assert_eq!(faults(vec![told(1500, Outcome::Answered(200))]), Vec::<String>::new());
        let beside = |failed: usize| {
            let fine = vec![told(5500, Outcome::Answered(200)); 60 - failed];
            [fine, vec![told(5500, Outcome::Answered(502)); failed]].concat()
        };
        assert_eq!(faults(beside(10)), Vec::<String>::new());
        assert_eq!(faults(beside(11)).len(), 1);
        assert_eq!(faults(vec![told(1500, Outcome::Answered(502)), told(8000, Outcome::Reset)]).len(), 2);
        assert_eq!(faults(Vec::new()), ["nothing was asked"]);
        let whole = Record { told: vec![told(0, Outcome::Answered(200))] };
        assert_eq!(judge(&whole, &deeds, &json!({}), &["ERROR x".to_owned()]).len(), 2);
    }
}
