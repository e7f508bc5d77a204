//! One target within its group: registration, health, slow start, breaker and mitigation side by side.
//!
//! Nothing here looks at other targets; what depends on them is decided in [`crate::group`].

use crate::Moment;
use crate::anomaly::Anomaly;
use crate::breaker::Breaker;
use crate::health::{TargetHealth, Verdict};
use crate::key::TargetKey;
use crate::roster::WEIGHT_SCALE;
use crate::settings::{HealthCheck, Settings};
use crate::slow_start::Ramp;
use crate::status::{Reason, State, Status};

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) key: TargetKey,
    pub(crate) weight: u32,
    /// Since when it has been draining, if it is.
    pub(crate) draining_since: Option<Moment>,
    pub(crate) health: TargetHealth,
    pub(crate) ramp: Option<Ramp>,
    /// It came with the first batch of an empty group, and so does not enter slow start until it has been unhealthy.
    pub(crate) first_batch: bool,
    pub(crate) breaker: Breaker,
    pub(crate) anomaly: Anomaly,
    /// Until when its established flows are left alone although it is unhealthy.
    pub(crate) unhealthy_until: Option<Moment>,
    /// The status last told to the caller.
    pub(crate) told: Status,
}

impl Member {
    pub(crate) fn new(key: TargetKey, weight: u32) -> Self {
        Self {
            key,
            weight,
            draining_since: None,
            health: TargetHealth::new(),
            ramp: None,
            first_batch: false,
            breaker: Breaker::default(),
            anomaly: Anomaly::default(),
            unhealthy_until: None,
            told: Status::new(State::Unused, Reason::NotRegistered),
        }
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.draining_since.is_none()
    }

    /// Whether requests should be sent to it as far as its health goes.
    pub(crate) fn is_healthy(&self, settings: &Settings) -> bool {
        self.is_registered()
            && (settings.health_check == HealthCheck::Disabled || self.health.verdict() == Verdict::Healthy)
    }

    /// Whether it is healthy and carries its full share.
    pub(crate) fn carries_fully(&self, settings: &Settings) -> bool {
        self.ramp.is_none() && self.is_healthy(settings)
    }

    pub(crate) fn status(&self, settings: &Settings, in_use: bool) -> Status {
        if self.draining_since.is_some() {
            return Status::new(State::Draining, Reason::DeregistrationInProgress);
        }
        if !in_use {
            return Status::new(State::Unused, Reason::NotInUse);
        }
        if settings.health_check == HealthCheck::Disabled {
            return Status::new(State::Unavailable, Reason::HealthCheckDisabled);
        }
        let status = self.health.status();
        match status.state {
            State::Unhealthy if self.unhealthy_until.is_some() => Status { state: State::UnhealthyDraining, ..status },
            _ => status,
        }
    }

    pub(crate) fn effective_weight(&self) -> u32 {
        let permille = self.ramp.as_ref().map_or(WEIGHT_SCALE, Ramp::permille);
        let mitigated = (permille * self.anomaly.permille() / WEIGHT_SCALE).max(1);
        self.weight.saturating_mul(mitigated)
    }

    /// Forgets all that was learnt about it.
    pub(crate) fn forget(&mut self) {
        self.health = TargetHealth::new();
        self.forget_traffic();
        self.unhealthy_until = None;
    }

    /// Forgets what its requests met; what health checks found is kept.
    pub(crate) fn forget_traffic(&mut self) {
        self.ramp = None;
        self.breaker = Breaker::default();
        self.anomaly = Anomaly::default();
    }
}
