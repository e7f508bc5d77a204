//! What answers of a group's targets have taken of late, worked out from the histograms that workers only ever add to.

use std::collections::HashMap;
use std::time::Duration;

use headworks_balance::{Latency, Moment, TargetKey};

use super::target::TargetShared;
use crate::observe::histogram::Merged;

/// Fewer answers than this make no percentile.
const FEWEST: u64 = 20;
/// How much of the past is kept every second when the group's percentiles are taken.
const KEPT: f64 = 0.9;

/// The recent past of one group.
#[derive(Default)]
pub(crate) struct Recent {
    /// Of each target, what had been counted when it was last looked at, and what has come in this window.
    targets: HashMap<TargetKey, Seen>,
    /// Of the whole group, the older the less.
    group: Merged,
    window_ends: Moment,
}

#[derive(Default)]
struct Seen {
    counted: Merged,
    window: Merged,
}

impl Recent {
    /// Takes in what has come since the last second: of each target, and in sum.
    pub(crate) fn advance<'t>(&mut self, targets: impl Iterator<Item = &'t TargetShared>) -> Merged {
        let mut seen = HashMap::new();
        let mut fresh = Merged::default();
        for target in targets {
            let counted = Merged::of(target.counters.iter().map(|counters| &counters.latency));
            let before = self.targets.remove(&target.key).unwrap_or_default();
            let new = counted.since(&before.counted);
            fresh.add(&new);
            let mut window = before.window;
            window.add(&new);
            seen.insert(target.key, Seen { counted, window });
        }
        self.targets = seen;
        self.group.scale(KEPT);
        self.group.add(&fresh);
        fresh
    }

    /// What each target's answers took over the window, when it is over.
    pub(crate) fn window(&mut self, length: Duration, now: Moment) -> Option<Vec<(TargetKey, Latency)>> {
        if now < self.window_ends {
            return None;
        }
        self.window_ends = now.saturating_add(length);
        let latencies = self.targets.iter_mut().map(|(key, seen)| {
            let window = std::mem::take(&mut seen.window);
            let median = Duration::from_micros(window.quantile(0.5));
            (*key, Latency { answers: window.count, median })
        });
        Some(latencies.collect())
    }

    /// What 95 of 100 answers take at most, when there have been enough.
    pub(crate) fn p95(&self) -> Option<Duration> {
        (self.group.count >= FEWEST).then(|| Duration::from_micros(self.group.quantile(0.95)))
    }
}
