//! A client that has to take what it is sent at some rate: a flow and its target are not held by one that reads a byte now and
//! then. What a client brings has no rate, for nobody knows whether it has more to say.

use std::task::Context;

use super::copy::Direction;
use super::flow::Flow;
use crate::runtime::deadline::Timer;
use crate::runtime::pace::Pace;
use crate::runtime::socket::Socket;

/// The end that bytes go down to.
pub(super) struct Taker {
    pace: Pace,
    /// Of the pace alone; that nothing moves at all is another matter.
    timer: Timer,
    is_awaited: bool,
}

impl Taker {
    /// None where clients may be as slow as they like.
    pub(super) fn new(flow: &Flow) -> Option<Taker> {
        let pace = Pace::new(flow.slot.table().plan.demand)?;
        Some(Taker { pace, timer: Timer::new(&flow.worker), is_awaited: false })
    }

    /// Whether the client has been too slow for what goes `down`; if not, the task is woken when it is.
    pub(super) fn poll_too_slow(&mut self, down: &Direction, client: &Socket, cx: &mut Context<'_>) -> bool {
        // what the kernel holds for it has not been taken
        let taken = || down.moved().saturating_sub(client.unacknowledged() as u64);
        if !down.is_held() {
            if std::mem::take(&mut self.is_awaited) {
                self.pace.rests(taken(), self.timer.tick());
                self.timer.arm_until(u32::MAX);
            }
            return false;
        }
        while !self.is_awaited || self.timer.poll_expired(cx) {
            self.is_awaited = true;
            let until = self.pace.waits(taken(), self.timer.tick());
            if self.pace.is_spent() {
                return true;
            }
            self.timer.arm_until(until);
        }
        false
    }
}
