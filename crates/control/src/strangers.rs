//! How much the audit trail takes of those whom nobody knows: what they try is told, and does not fill the disk.

use std::sync::{Mutex, PoisonError};

use headworks_store::Entry;

/// Attempts of a second that are written down.
const EACH_SECOND: u32 = 10;

/// Attempts of those whom nobody knows.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    second: u64,
    count: u32,
    left_out: u64,
}

impl Strangers {
    /// Whether an attempt is to be written down; it then tells how many before it were not.
    pub(crate) fn may_be_noted(&self, entry: &mut Entry, now: u64) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.second != now {
            (noted.second, noted.count) = (now, 0);
        }
        if noted.count >= EACH_SECOND {
            noted.left_out += 1;
            return false;
        }
        noted.count += 1;
        let left_out = std::mem::take(&mut noted.left_out);
        if left_out > 0 {
            entry.changes.push(format!("{left_out} more attempts before this one are not written down"));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::entry_by;

    #[test]
    fn so_many_a_second_and_the_rest_as_a_number() {
        let strangers = Strangers::default();
        let mut entry = entry_by("anonymous", "Unknown", "none");
        let noted = (0..100).filter(|_| strangers.may_be_noted(&mut entry, 7)).count();
        assert_eq!((noted, entry.changes.len()), (10, 0));
        assert!(strangers.may_be_noted(&mut entry, 8));
        assert!(entry.changes[0].starts_with("90 more"), "{:?}", entry.changes);
    }
}
