//! What is said about a target: its state, the reason code and the sentence that goes with them, in the words of Elastic
//! Load Balancing (`TargetHealth` of the 2015-12-01 API).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::unfit::Unfit;

/// The state of a target, as `DescribeTargetHealth` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Registered, not judged yet.
    Initial,
    /// Passing its health checks.
    Healthy,
    /// Failing its health checks.
    Unhealthy,
    /// Failing its health checks, with established flows left alone until a draining interval ends.
    UnhealthyDraining,
    /// Not registered, or its group is used by no rule.
    Unused,
    /// Being deregistered: nothing new is sent, what is in flight may finish.
    Draining,
    /// Health checks are off, so nothing is known; requests are routed to it.
    Unavailable,
}

impl State {
    /// The state's name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::UnhealthyDraining => "unhealthy.draining",
            Self::Unused => "unused",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a target is in a state other than healthy (`TargetHealthReasonEnum`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Reason {
    /// No health check has been answered yet.
    RegistrationInProgress,
    /// Some health checks were made, not enough for a verdict.
    InitialHealthChecking,
    /// The answer's code is not one the matcher accepts.
    ResponseCodeMismatch,
    /// The answer did not come in time.
    Timeout,
    /// The check failed in another way, such as a refused connection.
    FailedHealthChecks,
    /// The target is not registered.
    NotRegistered,
    /// The group is used by no rule.
    NotInUse,
    /// The deregistration delay is running.
    DeregistrationInProgress,
    /// The target is stopped or terminated.
    InvalidState,
    /// The address cannot be used, for instance because it is a load balancer's own.
    IpUnusable,
    /// Health checks are off.
    HealthCheckDisabled,
    /// The load balancer could not check.
    InternalError,
}

impl Reason {
    /// All reasons, in the order of the API's documentation.
    pub const ALL: [Self; 12] = [
        Self::RegistrationInProgress,
        Self::InitialHealthChecking,
        Self::ResponseCodeMismatch,
        Self::Timeout,
        Self::FailedHealthChecks,
        Self::NotRegistered,
        Self::NotInUse,
        Self::DeregistrationInProgress,
        Self::InvalidState,
        Self::IpUnusable,
        Self::HealthCheckDisabled,
        Self::InternalError,
    ];

    /// The reason's code in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RegistrationInProgress => "Elb.RegistrationInProgress",
            Self::InitialHealthChecking => "Elb.InitialHealthChecking",
            Self::ResponseCodeMismatch => "Target.ResponseCodeMismatch",
            Self::Timeout => "Target.Timeout",
            Self::FailedHealthChecks => "Target.FailedHealthChecks",
            Self::NotRegistered => "Target.NotRegistered",
            Self::NotInUse => "Target.NotInUse",
            Self::DeregistrationInProgress => "Target.DeregistrationInProgress",
            Self::InvalidState => "Target.InvalidState",
            Self::IpUnusable => "Target.IpUnusable",
            Self::HealthCheckDisabled => "Target.HealthCheckDisabled",
            Self::InternalError => "Elb.InternalError",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::RegistrationInProgress => "Target registration is in progress",
            Self::InitialHealthChecking => "Initial health checks in progress",
            Self::ResponseCodeMismatch => "Health checks failed with these codes",
            Self::Timeout => "Request timed out",
            Self::FailedHealthChecks => "Health checks failed",
            Self::NotRegistered => "Target is not registered to the target group",
            Self::NotInUse => "Target group is not configured to receive traffic from the load balancer",
            Self::DeregistrationInProgress => "Target deregistration is in progress",
            Self::InvalidState => "Target is in the stopped or terminated state",
            Self::IpUnusable => "The IP address cannot be used as a target",
            Self::HealthCheckDisabled => "Health checks are not enabled for this target",
            Self::InternalError => "Internal error",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The distinct codes that health checks failed with lately: the first [`Codes::KEPT`] of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Codes {
    kept: [u16; Self::KEPT],
    len: u8,
}

impl Codes {
    /// How many distinct codes are kept.
    pub const KEPT: usize = 4;

    /// The codes, oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        self.kept.get(..usize::from(self.len)).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, code: u16) {
        if self.as_slice().contains(&code) {
            return;
        }
        if let Some(slot) = self.kept.get_mut(usize::from(self.len)) {
            *slot = code;
            self.len += 1;
        }
    }
}

/// The state of one target with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Why, for every state but healthy.
    pub reason: Option<Reason>,
    /// The codes behind a [`Reason::ResponseCodeMismatch`].
    pub codes: Codes,
    /// What is behind a [`Reason::FailedHealthChecks`], where the server told.
    pub unfit: Option<Unfit>,
}

impl Status {
    pub(crate) fn new(state: State, reason: Reason) -> Self {
        Self { state, reason: Some(reason), codes: Codes::default(), unfit: None }
    }

    pub(crate) fn healthy() -> Self {
        Self { state: State::Healthy, reason: None, codes: Codes::default(), unfit: None }
    }

    /// The sentence for a person, such as `Health checks failed with these codes: [500]`.
    #[must_use]
    pub fn description(&self) -> Option<Cow<'static, str>> {
        let reason = self.reason?;
        Some(match (reason, self.unfit) {
            (Reason::ResponseCodeMismatch, _) => {
                Cow::Owned(format!("{}: {:?}", reason.sentence(), self.codes.as_slice()))
            }
            (reason, Some(unfit)) => Cow::Owned(format!("{}: {unfit}", reason.sentence())),
            (reason, None) => Cow::Borrowed(reason.sentence()),
        })
    }

    /// Whether both say the same, be it with other numbers: what need not be told twice.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let unfit = match (self.unfit, other.unfit) {
            (Some(one), Some(another)) => one.is_like(another),
            (one, another) => one == another,
        };
        unfit && Self { unfit: None, ..*self } == Self { unfit: None, ..*other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn twelve_distinct_codes() {
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), 12);
        assert!(names.iter().all(|name| name.starts_with("Elb.") || name.starts_with("Target.")));
    }

    #[test]
    fn codes_are_listed_once_and_bounded() {
        let mut status = Status::new(State::Unhealthy, Reason::ResponseCodeMismatch);
        for code in [500, 500, 503, 404, 502, 418, 500] {
            status.codes.add(code);
        }
        assert_eq!(
            status.description().as_deref(),
            Some("Health checks failed with these codes: [500, 503, 404, 502]")
        );
    }
}
