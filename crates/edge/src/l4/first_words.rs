//! Who speaks first. The end of the handshake with a target goes in one packet with the client's first bytes, which saves a short
//! flow one of its ten; but a target that is to speak first does so only when the handshake has ended. So a client is waited for
//! a little while, and longer at a listener whose clients are known to speak first.

use std::cell::Cell;
use std::time::Duration;

/// So often others have their turn, and it is looked for events, before a client is taken for one that does not speak first:
/// microseconds, in which most have spoken.
const LOOKS: u8 = 3;
/// So long, where all that came lately have spoken first. One in [`KNOWN`] that does not is late by this, at most.
const PATIENCE: Duration = Duration::from_millis(10);
/// So many in a row make it known.
const KNOWN: u8 = u8::MAX;

/// Who speaks first on the flows of a listener, as one worker sees it.
#[derive(Default)]
pub(crate) struct Habit {
    /// Clients that have, since a target did.
    clients: Cell<u8>,
}

impl Habit {
    /// Waits for a client to speak, as long as it is worth to.
    pub(super) async fn a_while(&self) {
        if self.clients.get() == KNOWN {
            tokio::time::sleep(PATIENCE).await;
            return;
        }
        for _ in 0..LOOKS {
            tokio::task::yield_now().await;
        }
    }
}

/// What has been said on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstWords {
    /// Nothing, and the client is waited for.
    Awaited,
    /// Nothing, and whoever speaks may.
    Free,
    Said,
}

impl FirstWords {
    /// Takes in how much has been carried each way.
    pub(super) fn heard(&mut self, up: u64, down: u64, habit: &Habit) {
        if *self == FirstWords::Said || (up, down) == (0, 0) {
            return;
        }
        *self = FirstWords::Said;
        match (up, down) {
            (_, 0) => habit.clients.set(habit.clients.get().saturating_add(1)),
            (0, _) => habit.clients.set(0),
            // both since it was last looked: nobody knows
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(flows: &[(usize, u64, u64)], expected: Duration) {
        let habit = Habit::default();
        for (count, up, down) in flows.iter().copied() {
            (0..count).for_each(|_| FirstWords::Free.heard(up, down, &habit));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let waited = runtime.block_on(async {
            let begun = tokio::time::Instant::now();
            habit.a_while().await;
            begun.elapsed()
        });
        assert_eq!(waited, expected, "{flows:?}");
    }

    #[test]
    fn habits() {
        let none = Duration::ZERO;
        check(&[], none);
        check(&[(254, 1, 0)], none);
        check(&[(255, 1, 0)], PATIENCE);
        check(&[(1000, 1, 0)], PATIENCE);
        // neither silence nor both at once says anything
        check(&[(255, 1, 0), (9, 0, 0), (9, 1, 1)], PATIENCE);
        check(&[(1000, 1, 0), (1, 0, 1)], none);
        check(&[(1000, 1, 0), (1, 0, 1), (254, 1, 0)], none);
        check(&[(1000, 1, 0), (1, 0, 1), (255, 1, 0)], PATIENCE);
        check(&[(1000, 0, 1)], none);
    }
}
