//! Slow start of one target: the straight line from a small share to the full one.
//!
//! Who enters is decided in [`crate::group`]. The line is climbed in steps of 2 %, because every step is a new roster and
//! because coarse weights keep the schedules short. The first step stands for the beginning too: a target without any
//! share would never warm up.
//!
//! Source: Elastic Load Balancing, "Edit target group attributes", slow start mode.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Moment;

/// How many steps lead from nothing to the full share.
const STEPS: u32 = 50;
/// What one step is worth, in thousandths of the full share. A half-open breaker lets as much through.
pub(crate) const STEP: u32 = 1000 / STEPS;

/// A target on its way to its full share.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Ramp {
    since: Moment,
    permille: u32,
}

/// What a tick did to a ramp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Climb {
    Same,
    Higher,
    Done,
}

impl Ramp {
    pub(crate) fn new(now: Moment) -> Self {
        Self { since: now, permille: STEP }
    }

    /// The share so far in thousandths.
    pub(crate) fn permille(&self) -> u32 {
        self.permille
    }

    /// Never falls, not even when `duration` is lengthened on the way.
    pub(crate) fn climb(&mut self, duration: Duration, now: Moment) -> Climb {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= duration {
            return Climb::Done;
        }
        let steps = (elapsed.as_millis() * u128::from(STEPS)).checked_div(duration.as_millis()).unwrap_or(0) as u32;
        let permille = steps.min(STEPS) * STEP;
        if permille <= self.permille {
            return Climb::Same;
        }
        self.permille = permille;
        Climb::Higher
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(duration: u64, at: u64, permille: Option<u32>) {
        let mut ramp = Ramp::new(Duration::from_secs(1000));
        let climb = ramp.climb(Duration::from_secs(duration), Duration::from_secs(1000 + at));
        assert_eq!((climb != Climb::Done).then_some(ramp.permille()), permille, "{at} s into {duration} s");
    }

    #[test]
    fn a_straight_line() {
        check(100, 0, Some(20));
        check(100, 1, Some(20));
        check(100, 25, Some(240));
        check(100, 50, Some(500));
        check(100, 99, Some(980));
        check(100, 100, None);
        check(30, 15, Some(500));
        check(900, 18, Some(20));
        check(900, 36, Some(40));
        check(0, 0, None);
    }
}
