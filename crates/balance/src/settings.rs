//! The settings of a target group that bear on which target gets a request. Parsed and checked elsewhere; a value out of
//! range is clamped here, never refused.

use std::time::Duration;

use crate::health::Thresholds;
use crate::pick::Algorithm;

/// The settings of one group. The defaults are those of an Application Load Balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How requests are spread.
    pub algorithm: Algorithm,
    /// Whether targets are checked, and what their results amount to.
    pub health_check: HealthCheck,
    /// With fewer healthy targets than this, requests go to all registered ones
    /// (`target_group_health.unhealthy_state_routing.minimum_healthy_targets.count`).
    pub minimum_healthy: u32,
    /// The same as a percentage of the registered targets; both must be met. Off by default.
    pub minimum_healthy_percent: Option<u8>,
    /// Whether that is so. Otherwise only healthy targets get requests, however few they are.
    pub fails_open: bool,
    /// Whether something stands in for the group when no target can be used: then the last one may be ejected as well.
    pub has_stand_in: bool,
    /// How long a target that became healthy takes to reach its full share (`slow_start.duration_seconds`); zero: at once.
    pub slow_start: Duration,
    /// How long a deregistered target keeps what is in flight (`deregistration_delay.timeout_seconds`).
    pub deregistration_delay: Duration,
    /// How long an unhealthy target keeps its established flows, after which they are cut
    /// (`target_health_state.unhealthy.draining_interval_seconds`). Zero: they are cut
    /// at once. Nothing: they are left alone, as on an ALB.
    pub unhealthy_draining: Option<Duration>,
    /// Ejection of targets whose requests keep failing. An ALB has none.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Whether targets with an anomalous share of errors get less weight (`load_balancing.algorithm.anomaly_mitigation`).
    /// Only with [`Algorithm::WeightedRandom`].
    pub anomaly_mitigation: bool,
}

/// Whether and how targets are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// Not at all: every registered target is taken for healthy and reported as unavailable.
    Disabled,
    /// By probes.
    Enabled(Thresholds),
}

/// When a target is ejected because of what its requests met with, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitBreaker {
    /// Failures in a row that eject a target; 0: however many.
    pub consecutive_failures: u32,
    /// The share of failures within the window that ejects a target; nothing: however great.
    pub error_ratio: Option<f64>,
    /// How many times the median latency of its peers a target's may be; nothing: however many.
    pub latency_factor: Option<f64>,
    /// Fewer requests than this within the window are not judged by ratio or latency.
    pub minimum_requests: u32,
    /// What shares and latencies are taken over.
    pub window: Duration,
    /// Successes in a trial that bring a target back; at least 1. Each worker lets as many requests through for it.
    pub probes: u32,
    /// How long the first ejection lasts. Each further one, without a quiet time between, doubles it up to 32 times.
    pub open_for: Duration,
    /// The greatest share of the registered targets that may be ejected at once, from 0 to 1.
    pub max_ejected: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::RoundRobin,
            health_check: HealthCheck::Enabled(Thresholds::default()),
            minimum_healthy: 1,
            minimum_healthy_percent: None,
            fails_open: true,
            has_stand_in: false,
            slow_start: Duration::ZERO,
            deregistration_delay: Duration::from_secs(300),
            unhealthy_draining: None,
            circuit_breaker: None,
            anomaly_mitigation: false,
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            error_ratio: None,
            latency_factor: None,
            minimum_requests: 20,
            window: Duration::from_secs(10),
            probes: 3,
            open_for: Duration::from_secs(10),
            max_ejected: 0.5,
        }
    }
}

impl Settings {
    /// How many targets must be healthy, of `registered`, for the healthy ones alone to be used.
    pub(crate) fn healthy_needed(&self, registered: usize) -> usize {
        let percent = usize::from(self.minimum_healthy_percent.unwrap_or(0).min(100));
        (self.minimum_healthy.max(1) as usize).max((registered * percent).div_ceil(100))
    }

    pub(crate) fn mitigates_anomalies(&self) -> bool {
        self.anomaly_mitigation && self.algorithm == Algorithm::WeightedRandom
    }
}

impl CircuitBreaker {
    /// How many of `registered` targets may be ejected at once.
    pub(crate) fn most_ejected(&self, registered: usize) -> usize {
        (registered as f64 * self.max_ejected.clamp(0.0, 1.0)).floor() as usize
    }
}
