//! What a world of requests is like: what is declared in it, and how often what happened.

use std::time::Duration;

use headworks_balance::{
    Adaptive, Algorithm, Backoff, CircuitBreaker, HealthCheck, Hedge, HedgeAfter, RetryRules, Settings, Thresholds,
};

use super::Dice;

/// What is declared besides the group's settings.
pub(crate) struct Rules {
    pub(crate) gap: u64,
    pub(crate) retries: RetryRules,
    pub(crate) budget: f64,
    pub(crate) per_try: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) per_target: u32,
    pub(crate) per_group: u32,
    pub(crate) pending: usize,
    pub(crate) patience: Duration,
    pub(crate) adaptive: Option<Adaptive>,
}

/// How often what happened: a world in which nothing does proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) retried_free: u64,
    pub(crate) left_alone: u64,
    pub(crate) hedged: u64,
    pub(crate) called_off: u64,
    pub(crate) refused_by_budget: u64,
    pub(crate) queued: u64,
    pub(crate) queued_again: u64,
    pub(crate) served: u64,
    pub(crate) waited_in_vain: u64,
    pub(crate) turned_away: u64,
    pub(crate) ejected: u64,
    pub(crate) tried_out: u64,
}

impl Happened {
    pub(crate) fn all(self) -> [u64; 15] {
        [
            self.answered,
            self.failed,
            self.retried,
            self.retried_free,
            self.left_alone,
            self.hedged,
            self.called_off,
            self.refused_by_budget,
            self.queued,
            self.queued_again,
            self.served,
            self.waited_in_vain,
            self.turned_away,
            self.ejected,
            self.tried_out,
        ]
    }
}

pub(crate) fn settings(dice: &mut Dice) -> Settings {
    let algorithms = [
        Algorithm::RoundRobin,
        Algorithm::LeastOutstandingRequests,
        Algorithm::WeightedRandom,
        Algorithm::ConsistentHash,
    ];
    let breaker = CircuitBreaker {
        consecutive_failures: dice.of(&[0, 1, 3, 5]),
        error_ratio: dice.of(&[None, Some(0.2), Some(0.5)]),
        latency_factor: dice.of(&[None, Some(3.0)]),
        minimum_requests: 1 + dice.below(20) as u32,
        window: Duration::from_secs(1 + dice.below(10)),
        probes: 1 + dice.below(4) as u32,
        open_for: Duration::from_millis(500 + dice.below(4000)),
        max_ejected: dice.of(&[0.3, 0.5, 1.0]),
    };
    let thresholds = Thresholds { healthy: 1 + dice.below(3) as u32, unhealthy: 1 + dice.below(3) as u32 };
    Settings {
        algorithm: dice.of(&algorithms),
        health_check: if dice.one_in(3) { HealthCheck::Disabled } else { HealthCheck::Enabled(thresholds) },
        slow_start: Duration::from_secs(dice.of(&[0, 30])),
        deregistration_delay: Duration::from_secs(dice.of(&[0, 3, 20])),
        circuit_breaker: if dice.one_in(4) { None } else { Some(breaker) },
        fails_open: !dice.one_in(3),
        has_stand_in: dice.one_in(4),
        ..Settings::default()
    }
}

pub(crate) fn rules(dice: &mut Dice) -> Rules {
    let hedge = Hedge {
        after: HedgeAfter::Fixed(Duration::from_millis(5 + dice.below(100))),
        attempts: 1 + dice.below(3) as u32,
    };
    Rules {
        gap: 1 + dice.below(20),
        retries: RetryRules {
            attempts: 1 + dice.below(5) as u8,
            reset: !dice.one_in(4),
            timeout: dice.one_in(2),
            non_idempotent: dice.one_in(4),
        },
        budget: dice.of(&[0.0, 0.1, 0.2, 1.0]),
        per_try: Duration::from_millis(100 + dice.below(2000)),
        backoff: Backoff {
            base: Duration::from_millis(dice.of(&[0, 5, 25])),
            maximum: Duration::from_millis(dice.of(&[25, 250])),
        },
        hedge: dice.one_in(2).then_some(hedge),
        per_target: dice.of(&[0, 0, 3, 10]),
        per_group: dice.of(&[0, 0, 8, 30]),
        pending: dice.of(&[0, 2, 20]),
        patience: Duration::from_millis(100 + dice.below(2000)),
        adaptive: dice.one_in(3).then_some(Adaptive { minimum: 4, maximum: 100, tolerance: 2.0 }),
    }
}
