//! What came of every request, second by second.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Done;
use super::traffic::ALL;
use crate::steady::{Outcome, Told};

/// All that was told, of each kind of traffic.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) told: [Vec<Told>; ALL.len()],
}

/// What counts as during something that takes no time.
const MOMENT: Duration = Duration::from_millis(200);

/// One second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Second {
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// p50, p99 and p999 of those that were due in it.
    pub(super) latency: [Duration; 3],
}

/// Whether a request ended as it should.
pub(super) fn is_fine(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Answered(200..400))
}

/// As a table calls it.
pub(super) fn title(outcome: Outcome) -> String {
    match outcome {
        Outcome::Answered(status) => status.to_string(),
        Outcome::Refused => "no connection".to_owned(),
        Outcome::Reset => "reset before the answer".to_owned(),
        Outcome::CutOff => "cut off".to_owned(),
        Outcome::Malformed => "no HTTP".to_owned(),
        Outcome::TimedOut => "timed out".to_owned(),
    }
}

/// Percentiles of some times.
pub(super) fn latency(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort_unstable();
    [500, 990, 999].map(|share| times.get(times.len() * share / 1000).copied().unwrap_or_default())
}

/// Each second of a run, by when requests were due.
pub(super) fn seconds<'a>(told: impl Iterator<Item = &'a Told>, length: Duration) -> Vec<Second> {
    let count = length.as_secs().max(1) as usize;
    let mut times = vec![Vec::new(); count];
    let mut seconds = vec![Second::default(); count];
    for told in told {
        let at = (told.due.as_secs() as usize).min(count - 1);
        if let (Some(second), Some(times)) = (seconds.get_mut(at), times.get_mut(at)) {
            second.requests += 1;
            second.failed += u64::from(!is_fine(told.outcome));
            times.push(told.took);
        }
    }
    seconds.iter_mut().zip(times).for_each(|(second, times)| second.latency = latency(times));
    seconds
}

impl Record {
    pub(super) fn add(&mut self, traffic: usize, told: Told) {
        if let Some(all) = self.told.get_mut(traffic) {
            all.push(told);
        }
    }

    /// Of all kinds together.
    pub(super) fn all(&self) -> impl Iterator<Item = &Told> {
        self.told.iter().flatten()
    }

    pub(super) fn count(&self) -> usize {
        self.told.iter().map(Vec::len).sum()
    }

    pub(super) fn failed(&self) -> usize {
        self.all().filter(|told| !is_fine(told.outcome)).count()
    }

    /// Each second of a run.
    pub(super) fn seconds(&self, length: Duration) -> Vec<Second> {
        seconds(self.all(), length)
    }

    /// Requests and failures by kind, in all and while each kind of thing was going on.
    pub(super) fn table(&self, done: &[Done], length: Duration) -> Vec<String> {
        let mut kinds: BTreeMap<String, Vec<Done>> = BTreeMap::new();
        for done in done {
            kinds.entry(without_number(&done.deed.title())).or_default().push(*done);
        }
        let mut lines = vec![format!(
            "{:<24} {:>5} {:>9} {:>7} {:>9} {:>9} {:>9}  failures",
            "", "times", "requests", "failed", "p50, ms", "p99, ms", "p999, ms"
        )];
        lines.push(row("all", 1, self.all()));
        for (traffic, told) in ALL.iter().zip(&self.told) {
            lines.push(row(traffic.title, 1, told.iter()));
        }
        for (what, windows) in kinds {
            // what is done in a moment may show in those that follow
            let during = |told: &Told| {
                windows.iter().any(|done| (done.from..done.to.max(done.from + MOMENT)).contains(&told.due))
            };
            lines.push(row(&what, windows.len(), self.all().filter(|told| during(told))));
        }
        let worst = self.seconds(length).into_iter().map(|second| second.latency[1]).max().unwrap_or_default();
        lines.push(format!("the worst second has a p99 of {} ms", worst.as_millis()));
        lines
    }

    /// For programs: each second, and all that was done.
    pub(super) fn to_json(&self, done: &[Done], length: Duration) -> Value {
        let seconds = |told: &[Told]| {
            seconds(told.iter(), length).into_iter().map(|second| {
            let [p50, p99, p999] = second.latency.map(|time| time.as_micros() as u64);
            json!({ "requests": second.requests, "failed": second.failed, "p50": p50, "p99": p99, "p999": p999 })
        }).collect::<Vec<_>>()
        };
        let traffic = ALL
            .iter()
            .zip(&self.told)
            .map(|(traffic, told)| json!({ "what": traffic.title.trim(), "seconds": seconds(told) }));
        let deeds = done.iter().map(
            |done| json!({ "what": done.deed.title(), "from": done.from.as_secs_f64(), "to": done.to.as_secs_f64() }),
        );
        json!({ "traffic": traffic.collect::<Vec<_>>(), "deeds": deeds.collect::<Vec<_>>() })
    }
}

/// A line of the table.
fn row<'a>(what: &str, times: usize, told: impl Iterator<Item = &'a Told>) -> String {
    let told: Vec<&Told> = told.collect();
    let mut kinds: BTreeMap<Outcome, u64> = BTreeMap::new();
    for told in told.iter().filter(|told| !is_fine(told.outcome)) {
        *kinds.entry(told.outcome).or_default() += 1;
    }
    let kinds_said: Vec<String> = kinds.iter().map(|(outcome, n)| format!("{} {n}", title(*outcome))).collect();
    let [p50, p99, p999] = latency(told.iter().map(|told| told.took).collect()).map(|time| time.as_secs_f64() * 1e3);
    let (requests, failed) = (told.len(), kinds.values().sum::<u64>());
    format!(
        "{what:<24} {times:>5} {requests:>9} {failed:>7} {p50:>9.2} {p99:>9.2} {p999:>9.2}  {}",
        kinds_said.join(", ")
    )
    .trim_end()
    .to_owned()
}

/// `target 2 killed` as `target killed`.
fn without_number(title: &str) -> String {
    title.split(' ').filter(|word| word.parse::<u32>().is_err()).collect::<Vec<_>>().join(" ")
}

/// Whether a request was under way at any time between.
pub(super) fn overlaps(told: &Told, from: Duration, to: Duration) -> bool {
    told.due <= to && told.due + told.took >= from
}
