//! The circuit breaker of one target, fed with what its requests met: closed, open (the target is ejected), half-open (a
//! small share of requests finds out whether it is back).
//!
//! It says when it wants to open; whether it may is the group's decision, which bounds how many are ejected at once.
//!
//! Source: outlier detection in Envoy ("Outlier detection", consecutive errors, ejection times that grow).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Moment;
use crate::settings::CircuitBreaker;
use crate::tally::Tally;

/// The ejection time doubles no more often than this.
const MOST_DOUBLINGS: u32 = 5;
/// After this many times the first ejection time without an ejection, the back-off starts over.
const QUIET: u32 = 10;

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Breaker {
    phase: Phase,
    run: u32,
    /// Ejections so far, without a quiet time between.
    trips: u32,
    last_trip: Moment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
enum Phase {
    #[default]
    Closed,
    Open {
        until: Moment,
    },
    HalfOpen,
}

/// What a breaker wants after an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    Open,
    Close,
}

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    pub(crate) fn is_half_open(&self) -> bool {
        self.phase == Phase::HalfOpen
    }

    /// When it was last opened.
    pub(crate) fn last_trip(&self) -> Moment {
        self.last_trip
    }

    pub(crate) fn observe(&mut self, tally: Tally, settings: &CircuitBreaker) -> Wish {
        match self.phase {
            // What arrives late from before the ejection says nothing new.
            Phase::Open { .. } => Wish::Nothing,
            Phase::HalfOpen if tally.consecutive_failures > 0 => Wish::Open,
            Phase::HalfOpen if tally.successes > 0 => Wish::Close,
            Phase::HalfOpen => Wish::Nothing,
            Phase::Closed => {
                let before = Tally { consecutive_failures: self.run, ..Tally::default() };
                let mut both = before;
                both.merge(tally);
                self.run = both.consecutive_failures;
                if self.run >= settings.consecutive_failures.max(1) { Wish::Open } else { Wish::Nothing }
            }
        }
    }

    pub(crate) fn open(&mut self, settings: &CircuitBreaker, now: Moment) {
        let quiet = self.last_trip.saturating_add(settings.open_for.saturating_mul(QUIET));
        if self.trips > 0 && now >= quiet.saturating_add(self.opened_for(settings)) {
            self.trips = 0;
        }
        self.trips = self.trips.saturating_add(1);
        self.run = 0;
        self.last_trip = now;
        self.phase = Phase::Open { until: now.saturating_add(self.opened_for(settings)) };
    }

    fn opened_for(&self, settings: &CircuitBreaker) -> Duration {
        let doublings = self.trips.saturating_sub(1).min(MOST_DOUBLINGS);
        settings.open_for.saturating_mul(1 << doublings)
    }

    /// Closes, keeping the memory of earlier ejections for the back-off.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.run = 0;
    }

    /// Goes half-open once its time is over; true if it did.
    pub(crate) fn tick(&mut self, now: Moment) -> bool {
        let over = matches!(self.phase, Phase::Open { until } if until <= now);
        if over {
            self.phase = Phase::HalfOpen;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(successes: u32, failures: u32, consecutive_failures: u32) -> Tally {
        Tally { successes, failures, consecutive_failures }
    }

    #[test]
    fn back_off_doubles_and_forgets() {
        let settings = CircuitBreaker { consecutive_failures: 3, open_for: Duration::from_secs(10), max_ejected: 1.0 };
        let mut breaker = Breaker::default();
        let mut now = Duration::from_secs(50);
        assert_eq!(breaker.observe(tally(4, 2, 2), &settings), Wish::Nothing);
        assert_eq!(breaker.observe(tally(0, 1, 1), &settings), Wish::Open);
        for expected in [10, 20, 40, 80, 160, 320, 320] {
            breaker.open(&settings, now);
            assert_eq!(breaker.observe(tally(9, 0, 0), &settings), Wish::Nothing, "open ones do not listen");
            assert!(!breaker.tick(now + Duration::from_secs(expected - 1)));
            now += Duration::from_secs(expected);
            assert!(breaker.tick(now) && breaker.is_half_open(), "half-open after {expected} s");
            assert_eq!(breaker.observe(tally(0, 1, 1), &settings), Wish::Open);
        }
        assert_eq!(breaker.observe(tally(1, 0, 0), &settings), Wish::Close);
        breaker.close();
        now += Duration::from_secs(421);
        breaker.open(&settings, now);
        assert!(breaker.tick(now + Duration::from_secs(10)), "the back-off starts over after a quiet time");
    }
}
