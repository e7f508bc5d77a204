//! How many requests a group may have in flight, found out from how its latency answers to load.
//!
//! While answers take as long as they always do, there may be a few more; once they take longer, requests wait somewhere
//! behind, and there may be fewer. Nobody has to know a number in advance.
//!
//! Source: Netflix's `concurrency-limits`, `Gradient2Limit`; the square root as room for a queue is from there, too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds of the limit, and how much slower answers may get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// Never fewer than this; at least 1.
    pub minimum: u32,
    /// Never more.
    pub maximum: u32,
    /// How many times the usual latency is still taken for usual; at least 1.
    pub tolerance: f64,
}

/// A limit that adapts. It goes on in the process that takes over: to begin anew is to refuse what could be served.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Gradient {
    limit: f64,
    /// The usual latency in seconds; nothing before the first sample.
    usual: Option<f64>,
}

/// What was seen since the last time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Answers.
    pub answers: u64,
    /// Their median latency.
    pub median: Duration,
    /// Requests in flight now.
    pub in_flight: u32,
    /// Requests that had to wait, or were refused, for the limit's sake.
    pub held_back: bool,
}

/// How much of a new limit is taken over at once.
const SMOOTHING: f64 = 0.2;
/// How much of a new latency is taken over into the usual one: little of a longer one, or what a long overload makes of it would
/// pass for usual; more of a shorter one.
const MEMORY: (f64, f64) = (0.0005, 0.05);
/// Fewer answers say nothing.
const FEWEST: u64 = 5;

impl Gradient {
    /// A limit where nothing is known yet: a tenth of the maximum, so that a start under full load does no harm.
    #[must_use]
    pub fn new(bounds: &Adaptive) -> Self {
        let first = f64::from(bounds.maximum) / 10.0;
        Self {
            limit: first.max(20.0).clamp(f64::from(bounds.minimum.max(1)), f64::from(bounds.maximum.max(1))),
            usual: None,
        }
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Takes in a sample; call it a few times a second.
    pub fn update(&mut self, sample: Sample, bounds: &Adaptive) {
        let (low, high) = (f64::from(bounds.minimum.max(1)), f64::from(bounds.maximum.max(bounds.minimum).max(1)));
        self.limit = self.limit.clamp(low, high);
        let seen = sample.median.as_secs_f64();
        if sample.answers < FEWEST || seen <= 0.0 {
            return;
        }
        let usual = self.usual.get_or_insert(seen);
        *usual += (seen - *usual) * if seen > *usual { MEMORY.0 } else { MEMORY.1 };
        let gradient = (bounds.tolerance.max(1.0) * *usual / seen).clamp(0.5, 1.0);
        // where the limit held nothing back, good answers say nothing about more of them
        let is_used = sample.held_back || f64::from(sample.in_flight) >= self.limit / 2.0;
        if gradient >= 1.0 && !is_used {
            return;
        }
        let wanted = self.limit * gradient + self.limit.sqrt();
        self.limit = (self.limit + (wanted - self.limit) * SMOOTHING).clamp(low, high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Adaptive = Adaptive { minimum: 5, maximum: 1000, tolerance: 1.5 };

    /// A service that handles `capacity` requests at once in 10 ms each, and queues the rest; asked for all that the limit
    /// lets through, up to `demand`.
    fn settle(gradient: &mut Gradient, capacity: f64, demand: u32, rounds: u32) {
        for _ in 0..rounds {
            let in_flight = gradient.limit().min(demand);
            let latency = 0.010 * (f64::from(in_flight) / capacity).max(1.0);
            let sample = Sample {
                answers: 100,
                median: Duration::from_secs_f64(latency),
                in_flight,
                held_back: demand > gradient.limit(),
            };
            gradient.update(sample, &BOUNDS);
        }
    }

    #[test]
    fn finds_what_a_service_can_do() {
        let mut gradient = Gradient::new(&BOUNDS);
        // usual is what was seen while there was little to do
        settle(&mut gradient, 200.0, 10, 50);
        assert_eq!(gradient.limit(), 100, "without demand it stays");
        settle(&mut gradient, 200.0, 5000, 200);
        let found = gradient.limit();
        assert!((200..500).contains(&found), "a limit of {found} for a capacity of 200");
        // the service has lost three quarters
        settle(&mut gradient, 50.0, 5000, 40);
        let found = gradient.limit();
        assert!((50..160).contains(&found), "a limit of {found} for a capacity of 50");
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut gradient = Gradient::new(&BOUNDS);
        for round in 0..10_000u64 {
            let sample = Sample {
                answers: round % 50,
                median: Duration::from_micros(crate::hash::mix(round) % 10_000_000),
                in_flight: (crate::hash::mix(!round) % 2000) as u32,
                held_back: round % 3 == 0,
            };
            gradient.update(sample, &BOUNDS);
            assert!((5..=1000).contains(&gradient.limit()), "round {round}: {}", gradient.limit());
        }
    }
}
