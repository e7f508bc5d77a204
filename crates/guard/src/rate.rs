//! How many events a second: never more than the limit in any second.

use std::time::Duration;

/// Length of a slot.
const SLOT: Duration = Duration::from_millis(100);
/// A second of slots, and the one that has begun.
const SLOTS: usize = 11;

/// Events of about the last second, by slots of a tenth of it. At any moment the slots together reach back a whole second or up
/// to a tenth more, so that the limit is never exceeded, and at worst held a tenth of a second too long.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    counts: [u32; SLOTS],
    /// The number of the slot that `counts` was last written in.
    slot: u64,
}

impl Rate {
    /// Counts an event at `now`, unless there have been `limit` in the last second. `now` never goes back.
    pub fn admit(&mut self, limit: u32, now: Duration) -> bool {
        let slot = (now.as_millis() / SLOT.as_millis()) as u64;
        let passed = slot.saturating_sub(self.slot).min(SLOTS as u64);
        for gone in 0..passed {
            if let Some(count) = self.counts.get_mut(((slot - gone) % SLOTS as u64) as usize) {
                *count = 0;
            }
        }
        self.slot = self.slot.max(slot);
        let seen: u64 = self.counts.iter().copied().map(u64::from).sum();
        if seen >= u64::from(limit) {
            return false;
        }
        if let Some(count) = self.counts.get_mut((self.slot % SLOTS as u64) as usize) {
            *count += 1;
        }
        true
    }
}
