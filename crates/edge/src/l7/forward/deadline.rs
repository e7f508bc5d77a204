//! How long a request, and each attempt to have it answered, may take as a whole. Where nothing is declared, no clock is
//! read for it.

use std::time::{Duration, Instant};

use crate::error::Kind;
use crate::runtime::deadline::Timer;

/// The deadlines of one request.
#[derive(Clone, Copy, Default)]
pub(super) struct Deadlines {
    request: Option<Instant>,
    attempt: Option<Instant>,
}

impl Deadlines {
    pub(super) fn of(request: Option<Instant>) -> Deadlines {
        Deadlines { request, attempt: None }
    }

    /// An attempt begins that may take so long.
    pub(super) fn begin_attempt(&mut self, patience: Option<Duration>) {
        self.attempt = patience.map(|patience| Instant::now() + patience);
    }

    /// The attempt has been answered: what is left of it has the request's deadline only.
    pub(super) fn end_attempt(&mut self) {
        self.attempt = None;
    }

    /// What is left for the request.
    pub(super) fn left(&self) -> Option<Duration> {
        self.request.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Starts `timer` anew: it expires `wait` from now, or at a deadline before that.
    #[inline]
    pub(super) fn arm(&self, timer: &mut Timer, wait: Duration) {
        match self.request.into_iter().chain(self.attempt).min() {
            None => timer.arm(wait),
            Some(at) => timer.arm(wait.min(at.saturating_duration_since(Instant::now()))),
        }
    }

    /// What it is that has passed, when the timer has expired: `late` is what it is without a deadline.
    pub(super) fn passed(&self, late: Kind) -> Kind {
        let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        if is_over(self.request) {
            Kind::DeadlinePassed
        } else if is_over(self.attempt) {
            Kind::AttemptTimeout
        } else {
            late
        }
    }
}
