//! The retry budget: how many retries are allowed in relation to the requests that came in.
//!
//! Retries help when few requests fail and hurt when all do. Requests of the last ten seconds earn a fraction of a retry
//! each; a small floor keeps retries possible where there is little traffic. One budget belongs to one worker and one
//! group, so the floor holds per worker.
//!
//! Source: Finagle's `RetryBudget` (a leaky token bucket with a time to live of ten seconds, a fifth of the requests and a
//! floor per second). The floor here is per window and small, since a Headworks target group may see very little traffic.

use crate::Moment;

const SLOTS: usize = 10;
/// Retries per window that need not be earned.
const FLOOR: u32 = 3;

/// The retries allowed in a sliding window of ten seconds.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    ratio: f64,
    /// The second, since the epoch of [`Moment`], that was counted last.
    second: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// A budget of `ratio` retries per request: 0.2 allows one more attempt for every five requests.
    #[must_use]
    pub fn new(ratio: f64) -> Self {
        Self { ratio: if ratio.is_finite() { ratio.max(0.0) } else { 0.0 }, second: 0, slots: [Slot::default(); SLOTS] }
    }

    /// A budget that has so many left now: what was earned, or spent, before is forgotten with this second.
    #[must_use]
    pub fn with_left(ratio: f64, left: u64, now: Moment) -> Self {
        let mut budget = Self::new(ratio);
        let (earned, spent) = (left.saturating_sub(FLOOR.into()), u64::from(FLOOR).saturating_sub(left));
        let requests = if budget.ratio > 0.0 { (earned as f64 / budget.ratio).ceil() } else { 0.0 };
        if let Some(slot) = budget.slot(now) {
            *slot = Slot { requests: requests as u32, retries: spent as u32 };
        }
        budget
    }

    /// Another ratio from now on; what has been counted stays.
    pub fn set_ratio(&mut self, ratio: f64) {
        self.ratio = Self::new(ratio).ratio;
    }

    /// Counts a request, its first attempt only.
    #[inline]
    pub fn on_request(&mut self, now: Moment) {
        if let Some(slot) = self.slot(now) {
            slot.requests = slot.requests.saturating_add(1);
        }
    }

    /// Takes one retry out of the budget; false if there is none left.
    #[must_use]
    pub fn try_retry(&mut self, now: Moment) -> bool {
        if self.left(now) == 0 {
            return false;
        }
        if let Some(slot) = self.slot(now) {
            slot.retries = slot.retries.saturating_add(1);
        }
        true
    }

    /// How many retries are left.
    #[must_use]
    pub fn left(&mut self, now: Moment) -> u64 {
        // what is too old is forgotten first
        let _ = self.slot(now);
        let (requests, retries) = self.slots.iter().fold((0u64, 0u64), |(requests, retries), slot| {
            (requests + u64::from(slot.requests), retries + u64::from(slot.retries))
        });
        let allowed = u64::from(FLOOR) + (requests as f64 * self.ratio) as u64;
        allowed.saturating_sub(retries)
    }

    /// The slot of the current second, after the slots of the seconds since the last call have been emptied. A clock that
    /// went backwards counts into the last second seen.
    #[inline]
    fn slot(&mut self, now: Moment) -> Option<&mut Slot> {
        let second = now.as_secs().max(self.second);
        if second != self.second {
            self.forget_until(second);
        }
        self.slots.get_mut((second % SLOTS as u64) as usize)
    }

    #[cold]
    fn forget_until(&mut self, second: u64) {
        let passed = (second - self.second).min(SLOTS as u64);
        for back in 0..passed {
            if let Some(slot) = self.slots.get_mut(((second - back) % SLOTS as u64) as usize) {
                *slot = Slot::default();
            }
        }
        self.second = second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Steps: a second, requests in it, then as many retries as are granted. Expected: those grants.
    #[track_caller]
    fn check(ratio: f64, steps: &[(u64, u32, u32)]) {
        let mut budget = RetryBudget::new(ratio);
        for (second, requests, granted) in steps {
            let now = Duration::from_secs(*second);
            for _ in 0..*requests {
                budget.on_request(now);
            }
            let seen = (0..10_000).take_while(|_| budget.try_retry(now)).count();
            assert_eq!(seen, *granted as usize, "in second {second} of {steps:?}");
        }
    }

    #[test]
    fn grants() {
        check(0.2, &[(0, 0, 3)]); // the floor
        check(0.2, &[(0, 100, 23)]);
        check(0.2, &[(5, 100, 23), (6, 0, 0), (14, 0, 0), (15, 0, 3)]); // after ten seconds all is forgotten
        check(0.2, &[(5, 100, 23), (10, 50, 10), (15, 0, 3)]);
        check(0.0, &[(7, 1000, 3)]);
        check(1.0, &[(7, 10, 13), (7, 10, 10)]);
        check(f64::NAN, &[(1, 100, 3)]);
        check(0.2, &[(1_000_000, 100, 23), (5, 0, 0)]); // backwards
    }

    #[test]
    fn carried_over() {
        for (ratio, left, expected) in
            [(0.2, 23, 23), (0.2, 3, 3), (0.3, 2, 2), (0.2, 0, 0), (1.0, 500, 500), (0.0, 9, 3)]
        {
            let at = Duration::from_secs(1_000_007);
            let mut budget = RetryBudget::with_left(ratio, left, at);
            let later = [0, 9, 10].map(|seconds| budget.left(at + Duration::from_secs(seconds)));
            assert_eq!(later, [expected, expected, 3], "{left} at {ratio}");
        }
    }

    #[test]
    fn an_outage_of_every_target_multiplies_requests_by_the_ratio_only() {
        let mut budget = RetryBudget::new(0.2);
        let mut retries = 0;
        for tick in 0..60_000u64 {
            let now = Duration::from_millis(tick);
            budget.on_request(now);
            retries += u32::from(budget.try_retry(now));
        }
        assert!((11_900..12_100).contains(&retries), "{retries} retries for 60000 requests");
    }
}
