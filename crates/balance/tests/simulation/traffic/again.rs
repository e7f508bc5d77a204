//! Requests that are sent again, and sent beside.

use headworks_balance::queue::Line;
use headworks_balance::{AttemptEnd, RetryReason, Standing, TargetKey};

use super::{Event, Id, World};

impl World {
    /// No attempt of the request is left, and the last one, to this target, ended like this.
    pub(super) fn fail(&mut self, id: Id, target: TargetKey, end: AttemptEnd) {
        let mut request = self.requests.remove(&id).unwrap();
        let standing = Standing {
            is_idempotent: request.is_idempotent,
            // one that was not connected took nothing of it
            is_untouched: end == AttemptEnd::NotConnected && request.retries == 0,
            is_kept: request.is_kept,
            is_kept_for_retries: request.is_kept,
            has_others: request.tried.leaves_any(&self.roster, &[target]),
            has_time: true,
        };
        let rules = self.rules.retries;
        let mut paid = None;
        let reason = request.attempts.follow(end, standing, Some(&rules), || *paid.insert(self.spend(request.worker)));
        let Some(reason) = reason else {
            self.seen_of.left_alone += u64::from(paid.is_none());
            self.requests.insert(id, request);
            return self.end(id, false);
        };
        // what a target may have acted on goes to another only where that does no harm, or is wished for
        let is_unseen = matches!(end, AttemptEnd::NotConnected | AttemptEnd::TurnedAway);
        assert!(is_unseen || request.is_idempotent || rules.non_idempotent, "sent twice for {reason:?} after {end:?}");
        assert!(end == AttemptEnd::NotConnected || request.is_kept, "what has gone is not there to be sent");
        assert!(end != AttemptEnd::Final && (end != AttemptEnd::Late || rules.timeout));
        request.paid += u8::from(paid.is_some());
        assert!(request.paid < rules.attempts.max(1), "more attempts than are declared");
        assert!(request.retries < 16, "attempts without an end");
        match (reason, end) {
            // that says nothing of the target
            (RetryReason::Stale, _) => {}
            (_, AttemptEnd::TurnedAway) => request.tried.turned_away(target),
            _ => request.tried.failed(target),
        }
        self.seen_of.retried_free += u64::from(paid.is_none());
        request.retries += 1;
        let retries = request.retries;
        self.requests.insert(id, request);
        self.seen_of.retried += 1;
        let wait = self.rules.backoff.wait(retries - 1, self.dice.roll());
        assert!(wait <= self.rules.backoff.maximum);
        self.at(wait, Event::RetryDue { request: id });
    }

    pub(super) fn retry(&mut self, id: Id) {
        if self.requests.contains_key(&id) && !self.begin_attempt(id) && !self.wait(id, Line::Again) {
            self.end(id, false);
        }
    }

    pub(super) fn hedge(&mut self, id: Id) {
        let Some(request) = self.requests.get(&id).filter(|request| !request.running.is_empty()) else { return };
        let beside = request.hedges;
        let running: Vec<TargetKey> = request.running.iter().map(|attempt| attempt.key).collect();
        let has_others = request.tried.leaves_any(&self.roster, &running);
        let allowed = self.rules.hedge.is_some_and(|hedge| hedge.wait(beside, None).is_some());
        if !allowed || !has_others || !self.spend(request.worker) {
            return;
        }
        self.requests.get_mut(&id).unwrap().hedges += 1;
        self.seen_of.hedged += u64::from(self.begin_attempt(id));
    }

    /// The budget grants no more than it may, by a book of its own.
    fn spend(&mut self, worker: usize) -> bool {
        let now = self.now;
        let ratio = self.rules.budget;
        let worker = &mut self.workers[worker];
        let granted = worker.budget.try_retry(now);
        let oldest = now.as_secs().saturating_sub(9);
        for book in [&mut worker.requests, &mut worker.granted] {
            while book.front().is_some_and(|second| *second < oldest) {
                book.pop_front();
            }
        }
        if granted {
            worker.granted.push_back(now.as_secs());
            let most = 3 + (worker.requests.len() as f64 * ratio) as usize;
            assert!(worker.granted.len() <= most, "{} retries granted of {most}", worker.granted.len());
        }
        self.seen_of.refused_by_budget += u64::from(!granted);
        granted
    }
}
