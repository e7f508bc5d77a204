//! What connections have in common that carry many requests at once, whatever their version: limits, how they come to an
//! end, and what clients may do that leads nowhere.

use std::cell::Cell;
use std::time::Duration;

/// Streams open at once on a connection, as an Application Load Balancer allows.
pub(crate) const CONCURRENT_STREAMS: u32 = 128;
/// Bytes that a client may send ahead on a stream: what one stalled target costs.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes that a client may send ahead on all its streams.
pub(crate) const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Requests on one connection; then it is told to go away (H3).
pub(super) const REQUESTS: u64 = 10_000;
/// Between the first word of leaving and the last: requests that are on their way are still taken (RFC 9113 section 6.8, RFC
/// 9114 section 5.2).
pub(super) const NOTICE: Duration = Duration::from_secs(1);

/// How far a connection has got in leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The client knows that it ends.
    Noticed,
    /// The client knows which requests are the last.
    Said,
}

/// Where the answer on a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Awaited,
    Begun,
    /// Nothing follows what waits to be sent.
    Complete,
    /// The stream has been ended, one way or the other.
    Over,
}

/// What a client may do of a kind that costs us and leads nowhere. Nothing else would stop one that does it as fast as it can
/// write.
#[derive(Debug)]
pub(super) struct Allowance {
    left: Cell<u32>,
    most: u32,
    /// What it earns in a tick.
    each_tick: u32,
    /// The tick up to which it has earned.
    tick: Cell<u32>,
}

impl Allowance {
    /// Of requests that were broken off or could not be answered. A service whose calls often run out of time may have some a
    /// second.
    pub(super) fn of_futile_requests(tick: u32) -> Allowance {
        Allowance { left: Cell::new(256), most: 256, each_tick: 4, tick: Cell::new(tick) }
    }

    /// Of frames that carry nothing. Far above what any client needs.
    pub(super) fn of_empty_frames(tick: u32) -> Allowance {
        Allowance { left: Cell::new(10_000), most: 10_000, each_tick: 250, tick: Cell::new(tick) }
    }

    /// The client has done it. False when that was once too often.
    #[must_use]
    pub(super) fn spend(&self, tick: u32) -> bool {
        let passed = tick.wrapping_sub(self.tick.replace(tick));
        self.earn(passed.saturating_mul(self.each_tick));
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// The client has earned it to do it so many times more.
    pub(super) fn earn(&self, times: u32) {
        self.left.set(self.left.get().saturating_add(times).min(self.most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_and_not_earned_ends() {
        let allowance = Allowance::of_futile_requests(7);
        assert!((0..256).all(|_| allowance.spend(7)));
        assert!(!allowance.spend(7) && !allowance.spend(7));
        allowance.earn(2);
        assert!(allowance.spend(7) && allowance.spend(7) && !allowance.spend(7));
        // time earns as well, and never more than the most
        assert!((0..4).all(|_| allowance.spend(8)) && !allowance.spend(8));
        assert!((0..256).all(|_| allowance.spend(10_000)) && !allowance.spend(10_000));
        // as fast as time earns it, for ever
        assert!((0..10_000).all(|n| allowance.spend(10_001 + n / 4)));
    }
}
