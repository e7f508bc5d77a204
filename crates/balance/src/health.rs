//! The verdict over one target from the results of its health checks: a small state machine without a clock.
//!
//! It knows nothing of registration, draining or use; [`crate::group`] combines those with the verdict into a
//! [`crate::status::Status`]. When and how to probe is the caller's business.
//!
//! Source: Elastic Load Balancing, "Health checks for Application Load Balancer target groups".

use serde::{Deserialize, Serialize};

use crate::status::{Codes, Reason, State, Status};
use crate::unfit::Unfit;

/// What one health check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer that the matcher accepts.
    Success,
    /// An answer with a code (HTTP status or gRPC status) that the matcher does not accept.
    CodeMismatch(u16),
    /// An answer by which its server should get nothing for now.
    Unfit(Unfit),
    /// No complete answer in time.
    Timeout,
    /// Any other failure: refused, reset, unreadable answer, TLS failure.
    Failed,
}

/// How many results in a row change a verdict. Both are at least 1; a zero counts as 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes in a row after which an unhealthy target is healthy again.
    pub healthy: u32,
    /// Failures in a row after which a target is unhealthy.
    pub unhealthy: u32,
}

impl Default for Thresholds {
    /// The defaults of an Application Load Balancer: 5 and 2.
    fn default() -> Self {
        Self { healthy: 5, unhealthy: 2 }
    }
}

/// What the results so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Verdict {
    /// Not enough is known.
    Initial,
    /// Requests may be sent.
    Healthy,
    /// Requests should not be sent.
    Unhealthy,
}

/// The health of one registered target.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TargetHealth {
    verdict: Verdict,
    /// Results in a row that speak against the verdict.
    against: u32,
    probed: bool,
    reason: Reason,
    codes: Codes,
    /// What the latest failure told.
    unfit: Option<Unfit>,
}

impl Default for TargetHealth {
    fn default() -> Self {
        Self::new()
    }
}

impl TargetHealth {
    /// A target of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self {
            verdict: Verdict::Initial,
            against: 0,
            probed: false,
            reason: Reason::FailedHealthChecks,
            codes: Codes::default(),
            unfit: None,
        }
    }

    /// A target whose verdict another process, or an earlier life of this one, has reached.
    #[must_use]
    pub fn adopted(verdict: Verdict) -> Self {
        Self { verdict, probed: verdict != Verdict::Initial, ..Self::new() }
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes in one result. A new target needs one success; a recovering one needs `thresholds.healthy` in a row; any
    /// target is unhealthy after `thresholds.unhealthy` failures in a row. What is decisive ([`Unfit::is_decisive`]) needs
    /// no second result, neither for the worse nor, where nothing else was wrong, for the better. Answers the new verdict
    /// if it changed.
    pub fn record(&mut self, outcome: Outcome, thresholds: Thresholds) -> Option<Verdict> {
        self.probed = true;
        match outcome {
            Outcome::Success => self.succeed(thresholds),
            failure => self.fail(failure, thresholds),
        }
    }

    fn succeed(&mut self, thresholds: Thresholds) -> Option<Verdict> {
        let needed = match self.verdict {
            Verdict::Healthy => {
                self.against = 0;
                self.codes = Codes::default();
                return None;
            }
            Verdict::Initial => 1,
            Verdict::Unhealthy if self.unfit.is_some_and(Unfit::is_decisive) => 1,
            Verdict::Unhealthy => thresholds.healthy.max(1),
        };
        // Failures of an initial target are counted in the same place; its first success settles the matter.
        self.against = if self.verdict == Verdict::Initial { 1 } else { self.against.saturating_add(1) };
        (self.against >= needed).then(|| self.turn(Verdict::Healthy))
    }

    fn fail(&mut self, failure: Outcome, thresholds: Thresholds) -> Option<Verdict> {
        self.reason = match failure {
            Outcome::CodeMismatch(code) => {
                self.codes.add(code);
                Reason::ResponseCodeMismatch
            }
            Outcome::Timeout => Reason::Timeout,
            Outcome::Unfit(_) | Outcome::Failed | Outcome::Success => Reason::FailedHealthChecks,
        };
        self.unfit = match failure {
            Outcome::Unfit(unfit) => Some(unfit),
            _ => None,
        };
        if self.verdict == Verdict::Unhealthy {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let needed = if self.unfit.is_some_and(Unfit::is_decisive) { 1 } else { thresholds.unhealthy.max(1) };
        (self.against >= needed).then(|| self.turn(Verdict::Unhealthy))
    }

    fn turn(&mut self, verdict: Verdict) -> Verdict {
        self.verdict = verdict;
        self.against = 0;
        if verdict == Verdict::Healthy {
            self.codes = Codes::default();
        }
        verdict
    }

    /// The status of a registered target in a group that is used and checked.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.verdict {
            Verdict::Healthy => Status::healthy(),
            Verdict::Unhealthy => {
                let (codes, unfit) = (self.shown_codes(), self.unfit);
                Status { codes, unfit, ..Status::new(State::Unhealthy, self.reason) }
            }
            Verdict::Initial if self.probed => Status::new(State::Initial, Reason::InitialHealthChecking),
            Verdict::Initial => Status::new(State::Initial, Reason::RegistrationInProgress),
        }
    }

    fn shown_codes(&self) -> Codes {
        if self.reason == Reason::ResponseCodeMismatch { self.codes } else { Codes::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results as letters: `.` success, `5` code 500, `t` timeout, `r` another role, `l` lag, `x` failure. Expected: the
    /// state after each.
    #[track_caller]
    fn check(healthy: u32, unhealthy: u32, results: &str, states: &str) {
        let mut health = TargetHealth::new();
        let seen: String = results
            .chars()
            .map(|result| {
                let outcome = match result {
                    '.' => Outcome::Success,
                    '5' => Outcome::CodeMismatch(500),
                    't' => Outcome::Timeout,
                    'r' => Outcome::Unfit(Unfit::NotPrimary),
                    'l' => Outcome::Unfit(Unfit::Lags(12)),
                    _ => Outcome::Failed,
                };
                let before = health.verdict();
                let turned = health.record(outcome, Thresholds { healthy, unhealthy });
                assert_eq!(turned, (before != health.verdict()).then_some(health.verdict()));
                match health.verdict() {
                    Verdict::Initial => 'i',
                    Verdict::Healthy => 'H',
                    Verdict::Unhealthy => 'u',
                }
            })
            .collect();
        assert_eq!(seen, states, "after {results}");
    }

    #[test]
    fn verdicts() {
        check(5, 2, ".", "H"); // a new target needs one success
        check(5, 2, "x.", "iH"); // also after a failure
        check(5, 3, "xx.", "iiH"); // however many short of the threshold
        check(5, 2, "xx", "iu"); // and is unhealthy after the threshold
        check(3, 2, "xx...", "iuuuH"); // a recovering one needs its threshold
        check(3, 2, "xx..x...", "iuuuuuuH"); // in a row
        check(3, 2, ".x.x.xx", "HHHHHHu"); // failures in a row
        check(1, 1, ".x.x", "HuHu");
        check(0, 0, ".x.x", "HuHu"); // zero counts as one
        check(2, 2, "xx.xx..", "iuuuuuH");
    }

    /// A role is believed at once, both ways; whatever else happens meanwhile is counted as ever.
    #[test]
    fn roles() {
        check(5, 3, "r.", "uH");
        check(5, 3, ".r.r", "HuHu");
        check(3, 3, ".rx..x...", "HuuuuuuuH"); // it was ill on the way
        check(3, 2, ".ll...", "HHuuuH");
        check(3, 2, "xxr.", "iuuH"); // what it says last is what holds
    }

    #[track_caller]
    fn check_status(results: &[Outcome], state: State, reason: Option<Reason>, description: Option<&str>) {
        let mut health = TargetHealth::new();
        for result in results {
            health.record(*result, Thresholds { healthy: 2, unhealthy: 2 });
        }
        let status = health.status();
        assert_eq!((status.state, status.reason, status.description().as_deref()), (state, reason, description));
    }

    #[test]
    fn reasons() {
        use Outcome::{CodeMismatch, Failed, Success, Timeout};
        let registering = "Target registration is in progress";
        check_status(&[], State::Initial, Some(Reason::RegistrationInProgress), Some(registering));
        let checking = "Initial health checks in progress";
        check_status(&[Failed], State::Initial, Some(Reason::InitialHealthChecking), Some(checking));
        check_status(&[Success], State::Healthy, None, None);
        let codes = |text| Some(text);
        let mismatch = Some(Reason::ResponseCodeMismatch);
        let both = [CodeMismatch(500), CodeMismatch(500)];
        check_status(&both, State::Unhealthy, mismatch, codes("Health checks failed with these codes: [500]"));
        let mixed = [CodeMismatch(500), CodeMismatch(503)];
        check_status(&mixed, State::Unhealthy, mismatch, codes("Health checks failed with these codes: [500, 503]"));
        let timeouts = [CodeMismatch(500), Timeout];
        check_status(&timeouts, State::Unhealthy, Some(Reason::Timeout), Some("Request timed out"));
        check_status(&[Failed; 2], State::Unhealthy, Some(Reason::FailedHealthChecks), Some("Health checks failed"));
        let unfit = [Outcome::Unfit(Unfit::NotPrimary)];
        let failed = Some(Reason::FailedHealthChecks);
        check_status(&unfit, State::Unhealthy, failed, Some("Health checks failed: the server is not the primary"));
        let lags = [Failed, Outcome::Unfit(Unfit::Lags(12))];
        check_status(&lags, State::Unhealthy, failed, Some("Health checks failed: the replica lags by 12 s"));
        let gone = [Outcome::Unfit(Unfit::Full), Failed];
        check_status(&gone, State::Unhealthy, failed, Some("Health checks failed"));
        // Codes of an earlier illness are not held against a target that has been well since.
        let again = [CodeMismatch(500), CodeMismatch(500), Success, Success, CodeMismatch(404), CodeMismatch(404)];
        check_status(&again, State::Unhealthy, mismatch, codes("Health checks failed with these codes: [404]"));
    }
}
