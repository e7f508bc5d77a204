//! The least that a client must bring or take, so that nobody holds a connection by moving a byte now and then.
//!
//! An account in bytes: it starts with what the rate makes of the grace, waiting draws on it, and what moves is paid in, up to
//! what it started with. When nothing is left, the client has been too slow. Time is the worker's coarse clock, and it is
//! looked at when something moves or a deadline is over: never for each read.

use std::time::Duration;

use super::clock::TICK;

/// How long a client may bring or take nothing at all, where a rate is declared.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// How fast a listener's clients must be.
#[derive(Clone, Copy)]
pub(crate) struct Demand {
    /// Bytes a second; 0 for as slow as they like.
    pub(crate) rate: u32,
    /// How long a client may bring or take nothing at all.
    pub(crate) grace: Duration,
    /// It is not declared, but what nobody misses who means well: not of a body whose end nobody knows, which may be a
    /// conversation, and beside the idle timeout.
    pub(crate) is_usual: bool,
}

/// Ticks in a second.
const A_SECOND: u64 = (1000 / TICK.as_millis()) as u64;

/// One client's account.
pub(crate) struct Pace {
    /// Bytes a second.
    rate: u64,
    /// What `left` is at most.
    most: u64,
    /// Bytes times ticks in a second, so that a tick's share is whole.
    left: u64,
    /// Bytes paid in so far.
    seen: u64,
    /// The tick since which the client is waited for.
    since: Option<u32>,
}

impl Pace {
    /// None when no rate is asked for.
    pub(crate) fn new(demand: Demand) -> Option<Pace> {
        let rate = u64::from(demand.rate);
        let grace = demand.grace.as_millis() / TICK.as_millis();
        let most = rate.saturating_mul(u64::try_from(grace).unwrap_or(u64::MAX));
        (rate > 0).then_some(Pace { rate, most, left: most, seen: 0, since: None })
    }

    /// The client is waited for at tick `now`, and has brought or taken `moved` bytes so far. Until which tick it may go on
    /// like this.
    pub(crate) fn waits(&mut self, moved: u64, now: u32) -> u32 {
        self.settle(moved, now);
        self.since = Some(now);
        now.saturating_add(u32::try_from(self.left.div_ceil(self.rate)).unwrap_or(u32::MAX))
    }

    /// The same as a time from now, and `wait` at most; none when nothing is left.
    pub(crate) fn patience(&mut self, moved: u64, now: u32, wait: Duration) -> Option<Duration> {
        let until = self.waits(moved, now);
        (!self.is_spent()).then(|| wait.min(TICK * until.saturating_sub(now)))
    }

    /// Something else is waited for.
    pub(crate) fn rests(&mut self, moved: u64, now: u32) {
        self.settle(moved, now);
        self.since = None;
    }

    /// Whether nothing is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn settle(&mut self, moved: u64, now: u32) {
        let waited = self.since.map_or(0, |since| u64::from(now.saturating_sub(since)));
        let paid = moved.saturating_sub(self.seen).saturating_mul(A_SECOND);
        self.seen = self.seen.max(moved);
        // what moved came before the wait was over: it counts first
        let held = self.left.saturating_add(paid).saturating_sub(waited * self.rate);
        self.left = held.min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(rate: u32) -> Demand {
        Demand { rate, grace: GRACE, is_usual: false }
    }

    /// Drives a client that moves `bytes` every `every` ticks; after how many ticks it is too slow, if ever.
    fn spent_after(rate: u32, bytes: u64, every: u32) -> Option<u32> {
        let mut pace = Pace::new(declared(rate)).unwrap();
        let mut at = pace.waits(0, 1000);
        let mut moved = 0;
        for now in 1001..20_000 {
            if (now - 1000) % every == 0 {
                moved += bytes;
                at = pace.waits(moved, now);
            }
            if now >= at {
                at = pace.waits(moved, now);
                if pace.is_spent() {
                    return Some(now - 1000);
                }
            }
        }
        None
    }

    #[test]
    fn who_is_too_slow() {
        // rate, bytes at a time, every so many ticks; seconds until it is noticed
        let rows: [(u32, u64, u32, Option<f64>); 9] = [
            (500, 0, 1, Some(5.0)),
            (500, 1, 4, Some(5.0)),
            (500, 499, 4, Some(2_125.0)),
            (500, 500, 4, None),
            (500, 125, 1, None),
            (500, 2500, 20, None),
            (500, 2500, 24, Some(5.0)),
            (500, 250, 4, Some(9.5)),
            (1, 1, 4, None),
        ];
        for (rate, bytes, every, expected) in rows {
            let spent = spent_after(rate, bytes, every).map(|ticks| f64::from(ticks) / 4.0);
            match (spent, expected) {
                (Some(spent), Some(expected)) => assert!(
                    (expected * 0.99..expected * 1.05 + 1.0).contains(&spent),
                    "{bytes} bytes every {every} ticks at {rate}: {spent} s, not {expected} s"
                ),
                (spent, expected) => assert_eq!(spent, expected, "{bytes} bytes every {every} ticks at {rate}"),
            }
        }
    }

    #[test]
    fn what_is_waited_for_elsewhere_does_not_count() {
        let mut pace = Pace::new(declared(100)).unwrap();
        pace.waits(0, 0);
        pace.rests(0, 16);
        pace.rests(0, 4000);
        let at = pace.waits(0, 4000);
        assert_eq!(at, 4004, "four of five seconds were spent before");
        // a quick start is no reserve for hours
        assert_eq!(pace.waits(1 << 40, 4001), 4021);
        assert!(Pace::new(declared(0)).is_none());
    }
}
