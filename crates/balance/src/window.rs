//! Outcomes of the recent past: a window that slides in tenths of its length.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Moment;
use crate::tally::Tally;

const SLOTS: usize = 10;

/// Successes and failures within a window.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Window {
    /// The tenth, since the epoch of [`Moment`], that was counted last.
    tenth: u64,
    slots: [(u32, u32); SLOTS],
}

impl Window {
    /// Adds what was observed, forgets what is older than `length`, and answers (successes, failures) of the rest.
    pub(crate) fn add(&mut self, tally: Tally, length: Duration, now: Moment) -> (u64, u64) {
        let tenth_length = (length / SLOTS as u32).max(Duration::from_millis(1));
        let tenth = ((now.as_millis() / tenth_length.as_millis()) as u64).max(self.tenth);
        let passed = (tenth - self.tenth).min(SLOTS as u64);
        for back in 0..passed {
            if let Some(slot) = self.slots.get_mut(((tenth - back) % SLOTS as u64) as usize) {
                *slot = (0, 0);
            }
        }
        self.tenth = tenth;
        if let Some((successes, failures)) = self.slots.get_mut((tenth % SLOTS as u64) as usize) {
            *successes = successes.saturating_add(tally.successes);
            *failures = failures.saturating_add(tally.failures);
        }
        let sum = |(all, bad): (u64, u64), slot: &(u32, u32)| (all + u64::from(slot.0), bad + u64::from(slot.1));
        self.slots.iter().fold((0, 0), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_by_tenths() {
        let mut window = Window::default();
        let length = Duration::from_secs(10);
        let steps = [(100, (3, 1), (3, 1)), (105, (1, 0), (4, 1)), (109, (0, 2), (4, 3)), (110, (0, 0), (1, 2))];
        let later = [(116, (0, 0), (0, 2)), (114, (1, 0), (1, 2)), (500, (0, 0), (0, 0))];
        for (second, (successes, failures), expected) in steps.into_iter().chain(later) {
            let tally = Tally { successes, failures, consecutive_failures: 0 };
            assert_eq!(window.add(tally, length, Duration::from_secs(second)), expected, "in second {second}");
        }
    }
}
