//! The circuit breaker of one target, fed with what its requests met: closed, open (the target is ejected), half-open (a
//! few requests find out whether it is back).
//!
//! It says when it wants to open; whether it may is the group's decision, which bounds how many are ejected at once. It needs
//! no health check.
//!
//! Source: outlier detection in Envoy ("Outlier detection": consecutive errors, success rate, ejection times that grow).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Moment;
use crate::settings::CircuitBreaker;
use crate::tally::Tally;
use crate::window::Window;

/// The ejection time doubles no more often than this.
const MOST_DOUBLINGS: u32 = 5;
/// After this many times the first ejection time without an ejection, the back-off starts over.
const QUIET: u32 = 10;

/// Why a target is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// Too great a share of failures.
    ErrorRatio,
    /// Far slower than its peers.
    Latency,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 3] = [Fault::ConsecutiveFailures, Fault::ErrorRatio, Fault::Latency];

    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::ConsecutiveFailures => "consecutive_failures",
            Fault::ErrorRatio => "error_ratio",
            Fault::Latency => "latency",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Breaker {
    phase: Phase,
    run: u32,
    window: Window,
    /// Ejections so far, without a quiet time between.
    trips: u32,
    last_trip: Moment,
    /// Trials so far: each time that requests are let through to find out.
    trials: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
enum Phase {
    #[default]
    Closed,
    Open {
        until: Moment,
    },
    HalfOpen {
        /// When the trial is given up as undecided, and another begins.
        until: Moment,
        passed: u32,
    },
}

/// What a breaker wants after an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    Open(Fault),
    Close,
}

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// The number of the trial that is under way; 0 when there is none.
    pub(crate) fn trial(&self) -> u32 {
        if matches!(self.phase, Phase::HalfOpen { .. }) { self.trials } else { 0 }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// When it was last opened.
    pub(crate) fn last_trip(&self) -> Moment {
        self.last_trip
    }

    pub(crate) fn observe(&mut self, tally: Tally, settings: &CircuitBreaker, now: Moment) -> Wish {
        match &mut self.phase {
            // What arrives late from before the ejection says nothing new.
            Phase::Open { .. } => Wish::Nothing,
            Phase::HalfOpen { .. } if tally.failures > 0 => Wish::Open(Fault::ConsecutiveFailures),
            Phase::HalfOpen { passed, .. } => {
                *passed = passed.saturating_add(tally.successes);
                if *passed >= settings.probes.max(1) { Wish::Close } else { Wish::Nothing }
            }
            Phase::Closed => self.judge(tally, settings, now),
        }
    }

    fn judge(&mut self, tally: Tally, settings: &CircuitBreaker, now: Moment) -> Wish {
        let mut both = Tally { consecutive_failures: self.run, ..Tally::default() };
        both.merge(tally);
        self.run = both.consecutive_failures;
        if settings.consecutive_failures > 0 && self.run >= settings.consecutive_failures {
            return Wish::Open(Fault::ConsecutiveFailures);
        }
        let Some(ratio) = settings.error_ratio else { return Wish::Nothing };
        let (successes, failures) = self.window.add(tally, settings.window, now);
        let requests = successes + failures;
        let fails = failures > 0
            && requests >= u64::from(settings.minimum_requests)
            && failures as f64 >= ratio * requests as f64;
        if fails { Wish::Open(Fault::ErrorRatio) } else { Wish::Nothing }
    }

    pub(crate) fn open(&mut self, settings: &CircuitBreaker, now: Moment) {
        let quiet = self.last_trip.saturating_add(settings.open_for.saturating_mul(QUIET));
        if self.trips > 0 && now >= quiet.saturating_add(self.opened_for(settings)) {
            self.trips = 0;
        }
        self.trips = self.trips.saturating_add(1);
        self.run = 0;
        self.window = Window::default();
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
        self.window = Window::default();
    }

    /// When time by itself changes it.
    pub(crate) fn due(&self) -> Option<Moment> {
        match self.phase {
            Phase::Closed => None,
            Phase::Open { until } | Phase::HalfOpen { until, .. } => Some(until),
        }
    }

    /// Lets time pass: an ejection that is over becomes a trial, and a trial that nothing came of another one.
    pub(crate) fn tick(&mut self, settings: &CircuitBreaker, now: Moment) -> Passed {
        let passed = match self.phase {
            Phase::Open { until } if until <= now => Passed::HalfOpened,
            Phase::HalfOpen { until, .. } if until <= now => Passed::TriedAnew,
            _ => return Passed::Nothing,
        };
        self.trials = self.trials.wrapping_add(1).max(1);
        self.phase = Phase::HalfOpen { until: now.saturating_add(settings.open_for), passed: 0 };
        passed
    }
}

/// What the passing of time did to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Nothing,
    HalfOpened,
    TriedAnew,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(successes: u32, failures: u32, consecutive_failures: u32) -> Tally {
        Tally { successes, failures, consecutive_failures }
    }

    fn settings() -> CircuitBreaker {
        CircuitBreaker { consecutive_failures: 3, max_ejected: 1.0, probes: 1, ..CircuitBreaker::default() }
    }

    const IN_A_ROW: Wish = Wish::Open(Fault::ConsecutiveFailures);

    #[test]
    fn back_off_doubles_and_forgets() {
        let settings = settings();
        let mut breaker = Breaker::default();
        let mut now = Duration::from_secs(50);
        assert_eq!(breaker.observe(tally(4, 2, 2), &settings, now), Wish::Nothing);
        assert_eq!(breaker.observe(tally(0, 1, 1), &settings, now), IN_A_ROW);
        for expected in [10, 20, 40, 80, 160, 320, 320] {
            breaker.open(&settings, now);
            assert_eq!(breaker.observe(tally(9, 0, 0), &settings, now), Wish::Nothing, "open ones do not listen");
            assert_eq!(breaker.tick(&settings, now + Duration::from_secs(expected - 1)), Passed::Nothing);
            now += Duration::from_secs(expected);
            assert_eq!(breaker.tick(&settings, now), Passed::HalfOpened, "half-open after {expected} s");
            assert_eq!(breaker.observe(tally(0, 1, 1), &settings, now), IN_A_ROW);
        }
        assert_eq!(breaker.observe(tally(1, 0, 0), &settings, now), Wish::Close);
        breaker.close();
        now += Duration::from_secs(421);
        breaker.open(&settings, now);
        let after = breaker.tick(&settings, now + Duration::from_secs(10));
        assert_eq!(after, Passed::HalfOpened, "the back-off starts over after a quiet time");
    }

    #[test]
    fn a_share_of_failures_counts_from_a_volume_on() {
        let settings = CircuitBreaker { consecutive_failures: 0, error_ratio: Some(0.5), ..settings() };
        let mut breaker = Breaker::default();
        let rows = [
            (0, tally(9, 9, 1), Wish::Nothing),  // half of 18: too few
            (5, tally(2, 0, 0), Wish::Nothing),  // 9 of 20
            (11, tally(5, 5, 1), Wish::Nothing), // what was at first is out of the window: 5 of 12
            (12, tally(0, 8, 8), Wish::Open(Fault::ErrorRatio)),
        ];
        for (second, tally, expected) in rows {
            assert_eq!(breaker.observe(tally, &settings, Duration::from_secs(second)), expected, "in second {second}");
        }
    }

    #[test]
    fn a_trial_takes_a_few_requests_and_begins_anew_when_nothing_comes_of_it() {
        let settings = CircuitBreaker { probes: 3, ..settings() };
        let mut breaker = Breaker::default();
        let at = Duration::from_secs;
        breaker.open(&settings, at(0));
        assert_eq!((breaker.tick(&settings, at(10)), breaker.trial()), (Passed::HalfOpened, 1));
        assert_eq!(breaker.observe(tally(2, 0, 0), &settings, at(11)), Wish::Nothing);
        assert_eq!((breaker.tick(&settings, at(19)), breaker.trial()), (Passed::Nothing, 1));
        assert_eq!((breaker.tick(&settings, at(20)), breaker.trial()), (Passed::TriedAnew, 2));
        assert_eq!(breaker.observe(tally(2, 0, 0), &settings, at(21)), Wish::Nothing);
        assert_eq!(breaker.observe(tally(1, 0, 0), &settings, at(21)), Wish::Close);
    }
}
