//! Whom a request has asked in vain: none of them is asked again, but for those that only turned it away, when there is nobody
//! else.
//!
//! That a target turns a request away unseen says nothing of how it is: most often it closes a connection that has served its
//! time, and answers on the next one. Several may do so at once; were they counted as having failed, the one that is left could
//! be the one that is dead.

use crate::{Roster, TargetKey};

/// The targets that a request has been sent to, and that have not answered it.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    failed: Vec<TargetKey>,
    turned_away: Vec<TargetKey>,
}

impl Tried {
    /// This one has failed the request.
    pub fn failed(&mut self, target: TargetKey) {
        self.failed.push(target);
    }

    /// This one has not looked at it (RFC 9113 section 8.7).
    pub fn turned_away(&mut self, target: TargetKey) {
        self.turned_away.push(target);
    }

    /// Whether it has failed the request.
    #[must_use]
    pub fn has_failed(&self, target: TargetKey) -> bool {
        self.failed.contains(&target)
    }

    /// Whether nobody has been asked in vain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failed.is_empty() && self.turned_away.is_empty()
    }

    /// Whether there is a target that may be asked, besides those of `now`.
    #[must_use]
    pub fn leaves_any(&self, roster: &Roster, now: &[TargetKey]) -> bool {
        roster.entries.iter().any(|entry| entry.eligible && !self.has_failed(entry.key) && !now.contains(&entry.key))
    }

    /// Places in the roster that are not to be chosen, those of `now` among them.
    #[must_use]
    pub fn out(&self, roster: &Roster, now: &[TargetKey]) -> Vec<usize> {
        self.failed.iter().chain(now).filter_map(|key| roster.find(*key)).collect()
    }

    /// Places in the roster to be chosen only when no other can be.
    #[must_use]
    pub fn last(&self, roster: &Roster) -> Vec<usize> {
        self.turned_away.iter().filter_map(|key| roster.find(*key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;
    use crate::roster::{Entry, Supply};

    /// Of four targets, these have failed, have turned it away, and are being asked: those that are asked next, and last.
    #[track_caller]
    fn check(failed: &[u64], turned_away: &[u64], now: &[u64], next: &[usize], last: &[usize]) {
        let entry = |n| Entry { key: TargetKey(n), weight: 1, eligible: true, draining: false, trial: 0 };
        let roster = Roster::new(Algorithm::RoundRobin, (0..4).map(entry).collect(), Supply::Enough, 1);
        let mut tried = Tried::default();
        failed.iter().for_each(|n| tried.failed(TargetKey(*n)));
        turned_away.iter().for_each(|n| tried.turned_away(TargetKey(*n)));
        let now: Vec<TargetKey> = now.iter().copied().map(TargetKey).collect();
        let (out, late) = (tried.out(&roster, &now), tried.last(&roster));
        let (late, soon): (Vec<_>, Vec<_>) = (0..4).filter(|n| !out.contains(n)).partition(|n| late.contains(n));
        assert_eq!((soon.as_slice(), late.as_slice()), (next, last));
        assert_eq!(tried.leaves_any(&roster, &now), !next.is_empty() || !last.is_empty());
        assert_eq!(tried.is_empty(), failed.is_empty() && turned_away.is_empty());
    }

    #[test]
    fn who_may_be_asked() {
        check(&[], &[], &[], &[0, 1, 2, 3], &[]);
        check(&[1], &[], &[], &[0, 2, 3], &[]);
        check(&[1], &[0], &[2], &[3], &[0]);
        check(&[1, 3], &[0, 2], &[], &[], &[0, 2]);
        check(&[1, 3], &[0, 2], &[2], &[], &[0]);
        check(&[0, 1, 2, 3], &[0], &[], &[], &[]);
        // gone meanwhile
        check(&[7], &[8], &[9], &[0, 1, 2, 3], &[]);
    }
}
