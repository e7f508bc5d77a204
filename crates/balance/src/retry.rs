//! Whether a failed attempt is followed by another, and what for.
//!
//! What a target cannot have acted on is sent again whatever it is, and costs nothing of the budget: no byte of it has left, or the
//! target itself says that it has not looked at it. So is what may be repeated by its method (RFC 9110 section 9.2.2) and was sent
//! on an idle connection that the target had closed meanwhile. Everything else is for what is declared to allow, and for the budget
//! to pay.

/// Attempts that follow from connections that were not made; each excludes a target, so this only bounds what is unbounded in
/// theory.
const ATTEMPTS: u8 = 16;
/// How often a request is sent again because its connection was stale: after the first time it gets a new one, or a stream of
/// one of HTTP/2 that is known to be open.
const STALE: u8 = 2;
/// How often a request that targets turn away unseen is brought again.
const TURNED_AWAY: u8 = 3;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// There was no connection on which the request could have been sent.
    NotConnected,
    /// The target says that it has not looked at it (RFC 9113 section 8.7).
    TurnedAway,
    /// The connection ended before the first byte of an answer.
    Reset {
        /// It had been idle, and the target had closed it meanwhile.
        is_stale: bool,
    },
    /// What began is no answer, or broke off in its head: the client has seen nothing of it.
    NoAnswer,
    /// Nothing came in time.
    Late,
    /// With an answer of a status that is declared to be worth another attempt.
    Status,
    /// In a way that another attempt does not mend.
    Final,
}

/// Why an attempt follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// There was no connection, or no byte left on it.
    Connect,
    /// An idle connection had been closed by the target meanwhile.
    Stale,
    /// The target turned the request away unseen.
    Unprocessed,
    /// There was no answer, or what began was none.
    Reset,
    /// The answer did not come in time.
    Timeout,
    /// The answer had a status that is declared.
    Status,
}

impl RetryReason {
    /// All of them, in their order.
    pub const ALL: [RetryReason; 6] = [
        RetryReason::Connect,
        RetryReason::Stale,
        RetryReason::Unprocessed,
        RetryReason::Reset,
        RetryReason::Timeout,
        RetryReason::Status,
    ];

    /// The word for it in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RetryReason::Connect => "connect_failure",
            RetryReason::Stale => "stale_connection",
            RetryReason::Unprocessed => "unprocessed",
            RetryReason::Reset => "reset_before_response",
            RetryReason::Timeout => "timeout",
            RetryReason::Status => "status",
        }
    }
}

/// What is declared of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// Attempts in all, the first included, besides those that cost nothing.
    pub attempts: u8,
    /// Also what was reset before an answer, or got none.
    pub reset: bool,
    /// Also what was not answered in time.
    pub timeout: bool,
    /// Also what is not idempotent.
    pub non_idempotent: bool,
}

/// How a request stands after an attempt at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// RFC 9110 section 9.2.2.
    pub is_idempotent: bool,
    /// No byte of it has left, and it can be sent from its beginning.
    pub is_untouched: bool,
    /// It can be sent from its beginning, whatever has left of it.
    pub is_kept: bool,
    /// What has left of its body was kept for retries.
    pub is_kept_for_retries: bool,
    /// There is a target that has not been asked.
    pub has_others: bool,
    /// Time is left.
    pub has_time: bool,
}

/// The attempts at one request so far, by what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// All that followed another.
    all: u8,
    /// Those that followed because their connections turned out to be stale.
    stale: u8,
    /// Those that targets turned away unseen.
    turned_away: u8,
    /// Those that were paid for.
    paid: u8,
}

impl Attempts {
    /// Whether one turned out to have a stale connection: others that were idle as long may be, too.
    #[must_use]
    pub fn met_stale(&self) -> bool {
        self.stale > 0
    }

    /// Why another attempt follows, which is counted; nothing when none does. `pay` takes a retry out of the budget, if it has one
    /// left, and is asked only when all else allows.
    pub fn follow(
        &mut self,
        end: AttemptEnd,
        request: Standing,
        rules: Option<&RetryRules>,
        pay: impl FnOnce() -> bool,
    ) -> Option<RetryReason> {
        if self.all >= ATTEMPTS {
            return None;
        }
        let reason = self.for_free(end, request).or_else(|| self.paid_for(end, request, rules?, pay))?;
        self.all += 1;
        Some(reason)
    }

    fn for_free(&mut self, end: AttemptEnd, request: Standing) -> Option<RetryReason> {
        let Standing { is_untouched, is_kept, has_others, .. } = request;
        match end {
            AttemptEnd::NotConnected if has_others => Some(RetryReason::Connect),
            AttemptEnd::TurnedAway if (is_untouched || is_kept) && self.turned_away < TURNED_AWAY => {
                self.turned_away += 1;
                Some(RetryReason::Unprocessed)
            }
            AttemptEnd::Reset { is_stale: true }
                if self.stale < STALE && (is_untouched || request.is_idempotent && is_kept) =>
            {
                self.stale += 1;
                Some(RetryReason::Stale)
            }
            AttemptEnd::Reset { .. } if is_untouched && has_others => Some(RetryReason::Connect),
            _ => None,
        }
    }

    fn paid_for(
        &mut self,
        end: AttemptEnd,
        request: Standing,
        rules: &RetryRules,
        pay: impl FnOnce() -> bool,
    ) -> Option<RetryReason> {
        let reason = match end {
            AttemptEnd::Reset { .. } | AttemptEnd::NoAnswer | AttemptEnd::TurnedAway if rules.reset => {
                RetryReason::Reset
            }
            AttemptEnd::Late if rules.timeout => RetryReason::Timeout,
            AttemptEnd::Status => RetryReason::Status,
            _ => return None,
        };
        let may = self.paid + 1 < rules.attempts
            && (request.is_idempotent || rules.non_idempotent)
            && request.is_kept
            && request.is_kept_for_retries
            && request.has_others
            && request.has_time
            && pay();
        self.paid += u8::from(may);
        may.then_some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::AttemptEnd::{Final, Late, NoAnswer, NotConnected, Reset, Status, TurnedAway};
    use super::*;

    const STALE_ONE: AttemptEnd = Reset { is_stale: true };
    const FRESH: AttemptEnd = Reset { is_stale: false };
    /// A GET that has been sent.
    const SENT: Standing = Standing {
        is_idempotent: true,
        is_untouched: false,
        is_kept: true,
        is_kept_for_retries: true,
        has_others: true,
        has_time: true,
    };
    const POST: Standing = Standing { is_idempotent: false, ..SENT };
    const UNTOUCHED: Standing = Standing { is_untouched: true, ..POST };
    /// Of its body, more has left than is kept.
    const GONE: Standing = Standing { is_kept: false, ..SENT };
    const ALONE: Standing = Standing { has_others: false, ..SENT };
    const RULES: RetryRules = RetryRules { attempts: 2, reset: true, timeout: true, non_idempotent: false };

    /// Attempts end like this, one after the other, and are followed for these reasons; the budget has `left`, and this remains.
    #[track_caller]
    fn check(ends: &[(AttemptEnd, Standing)], rules: Option<RetryRules>, left: u32, reasons: &[&str], remains: u32) {
        let (mut attempts, mut budget) = (Attempts::default(), left);
        let mut pay = || {
            let has = budget > 0;
            budget -= u32::from(has);
            has
        };
        let follow = |(end, request): &(AttemptEnd, Standing)| {
            attempts.follow(*end, *request, rules.as_ref(), &mut pay).map(RetryReason::as_str)
        };
        let seen: Vec<_> = ends.iter().map(follow).map(|reason| reason.unwrap_or("-")).collect();
        assert_eq!((seen.as_slice(), budget), (reasons, remains), "{ends:?} by {rules:?}");
    }

    #[test]
    fn what_costs_nothing() {
        let free = |ends: &[_], reasons: &[_]| check(ends, None, 0, reasons, 0);
        free(&[(NotConnected, POST), (NotConnected, GONE)], &["connect_failure"; 2]);
        free(&[(NotConnected, ALONE)], &["-"]);
        free(&[(NotConnected, SENT); 17], &[&["connect_failure"; 16][..], &["-"]].concat());
        free(&[(FRESH, UNTOUCHED), (FRESH, SENT)], &["connect_failure", "-"]);
        free(&[(STALE_ONE, SENT); 3], &["stale_connection", "stale_connection", "-"]);
        free(&[(STALE_ONE, POST), (STALE_ONE, GONE), (STALE_ONE, UNTOUCHED)], &["-", "-", "stale_connection"]);
        free(&[(STALE_ONE, ALONE)], &["stale_connection"]); // it says nothing of its target
        free(&[(TurnedAway, POST); 4], &["unprocessed", "unprocessed", "unprocessed", "-"]);
        free(&[(TurnedAway, GONE), (TurnedAway, ALONE)], &["-", "unprocessed"]);
        free(&[(NoAnswer, SENT), (Late, SENT), (Status, SENT), (Final, UNTOUCHED)], &["-"; 4]);
    }

    #[test]
    fn what_is_declared_and_paid_for() {
        let by = |rules, ends: &[_], reasons: &[_], paid: u32| check(ends, Some(rules), 9, reasons, 9 - paid);
        let patient = RetryRules { attempts: 3, ..RULES };
        by(RULES, &[(FRESH, SENT); 2], &["reset_before_response", "-"], 1);
        by(patient, &[(NoAnswer, SENT); 3], &["reset_before_response", "reset_before_response", "-"], 2);
        by(patient, &[(Late, SENT), (Status, SENT), (Late, SENT)], &["timeout", "status", "-"], 2);
        // those that cost nothing take none of them
        let mixed = [(NotConnected, SENT), (STALE_ONE, SENT), (TurnedAway, SENT), (FRESH, SENT), (FRESH, SENT)];
        let reasons = ["connect_failure", "stale_connection", "unprocessed", "reset_before_response", "-"];
        by(RULES, &mixed, &reasons, 1);
        by(RULES, &[(FRESH, POST), (FRESH, GONE), (FRESH, ALONE), (Final, SENT)], &["-"; 4], 0);
        let late = Standing { has_time: false, ..SENT };
        by(RULES, &[(FRESH, late), (FRESH, Standing { is_kept_for_retries: false, ..SENT })], &["-"; 2], 0);
        by(RetryRules { non_idempotent: true, ..RULES }, &[(FRESH, POST)], &["reset_before_response"], 1);
        by(RetryRules { reset: false, ..RULES }, &[(FRESH, SENT), (Late, SENT)], &["-", "timeout"], 1);
        by(RetryRules { timeout: false, ..RULES }, &[(Late, SENT), (FRESH, SENT)], &["-", "reset_before_response"], 1);
        check(&[(FRESH, SENT), (NotConnected, SENT)], Some(RULES), 0, &["-", "connect_failure"], 0);
        // turned away too often is as reset
        by(
            RULES,
            &[(TurnedAway, SENT); 5],
            &["unprocessed", "unprocessed", "unprocessed", "reset_before_response", "-"],
            1,
        );
    }
}
