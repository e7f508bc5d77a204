//! What a group tells its owner: what a call brought about, and what can be said of each target.

use crate::breaker::Fault;
use crate::key::TargetKey;
use crate::status::Status;

/// A change of one target's status, for logs, metrics and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Which target.
    pub key: TargetKey,
    /// What it was.
    pub from: Status,
    /// What it is.
    pub to: Status,
}

/// What a call brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Changes {
    /// Statuses that changed, in order.
    pub transitions: Vec<Transition>,
    /// Targets whose connections are to be cut now: their deregistration delay, or their unhealthy draining, is over.
    pub expired: Vec<TargetKey>,
    /// Targets that the circuit breaker ejected, and why.
    pub ejected: Vec<(TargetKey, Fault)>,
    /// Targets that came back from an ejection, be it for a few requests at first.
    pub restored: Vec<TargetKey>,
    /// Whether [`Group::roster`] may have a new roster.
    pub roster_changed: bool,
}

/// What can be said of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// Which target.
    pub key: TargetKey,
    /// The weight it was registered with.
    pub weight: u32,
    /// Its status.
    pub status: Status,
    /// Whether it is in slow start.
    pub in_slow_start: bool,
    /// Whether the circuit breaker keeps it out.
    pub ejected: bool,
    /// Whether its share of errors stands out (`AnomalyDetection.Result`).
    pub anomalous: bool,
    /// Whether it gets less weight for that (`AnomalyDetection.MitigationInEffect`).
    pub mitigated: bool,
}
