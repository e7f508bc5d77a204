//! How often one may guess: after some wrong attempts in a row whoever made them waits, twice as long each time. Time is an
//! argument.

use std::collections::HashMap;
use std::hash::Hash;

/// The first wait and the longest, in seconds.
const WAITS: (u64, u64) = (60, 900);
/// Wrong attempts are forgotten when there were no more for so long, in seconds.
const FORGOTTEN: u64 = 3600;
/// Keys that are remembered, at most; those that were wrong longest ago give way.
const MOST: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    /// Seconds since 1970.
    last: u64,
    until: u64,
}

/// Wrong attempts, by who made them or whom they were about.
#[derive(Debug)]
pub struct Throttle<K> {
    wrong: HashMap<K, Wrong>,
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self { wrong: HashMap::new() }
    }
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// How many seconds are to be waited before the next attempt, if any.
    pub fn wait(&self, key: &K, now: u64) -> Option<u64> {
        self.wrong.get(key)?.until.checked_sub(now).filter(|left| *left > 0)
    }

    /// An attempt was wrong; `free` of them in a row cost nothing.
    pub fn wrong(&mut self, key: &K, free: u32, now: u64) {
        if self.wrong.len() >= MOST && !self.wrong.contains_key(key) {
            self.make_room(now);
        }
        let entry = self.wrong.entry(key.clone()).or_insert(Wrong { count: 0, last: now, until: 0 });
        if entry.last.saturating_add(FORGOTTEN) < now {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        if entry.count >= free {
            let wait = WAITS.0.checked_shl(entry.count - free).unwrap_or(u64::MAX).min(WAITS.1);
            entry.until = now.saturating_add(wait);
        }
    }

    /// An attempt was right, or somebody who may says that it begins anew.
    pub fn right(&mut self, key: &K) {
        self.wrong.remove(key);
    }

    /// All of these begin anew.
    pub fn forget(&mut self, mut is_one: impl FnMut(&K) -> bool) {
        self.wrong.retain(|key, _| !is_one(key));
    }

    fn make_room(&mut self, now: u64) {
        self.wrong.retain(|_, wrong| wrong.last.saturating_add(FORGOTTEN) >= now);
        if self.wrong.len() >= MOST {
            let mut ages: Vec<u64> = self.wrong.values().map(|wrong| wrong.last).collect();
            let (_, middle, _) = ages.select_nth_unstable(MOST / 2);
            let middle = *middle;
            // those that wait now are not forgotten because others came after them
            self.wrong.retain(|_, wrong| wrong.last > middle || wrong.until > now);
        }
        if self.wrong.len() >= MOST {
            self.wrong.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Throttle};

    #[test]
    fn waits_double_until_a_quarter_of_an_hour_and_end_with_a_right_one() {
        let mut throttle = Throttle::default();
        let mut now = 1_000;
        for expected in [None, None, Some(60), Some(120), Some(240), Some(480), Some(900), Some(900)] {
            throttle.wrong(&"a", 3, now);
            assert_eq!(throttle.wait(&"a", now), expected);
            assert_eq!(throttle.wait(&"b", now), None);
            now += expected.unwrap_or(1);
            assert_eq!(throttle.wait(&"a", now), None, "it ends");
        }
        throttle.right(&"a");
        throttle.wrong(&"a", 3, now);
        assert_eq!(throttle.wait(&"a", now), None);
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let mut throttle = Throttle::default();
        throttle.wrong(&1, 2, 0);
        throttle.wrong(&1, 2, 3_601);
        assert_eq!(throttle.wait(&1, 3_601), None);
    }

    #[test]
    fn it_remembers_a_bounded_number() {
        let mut throttle = Throttle::default();
        for key in 0..3 * MOST {
            throttle.wrong(&key, 1, key as u64 / 100);
            assert!(throttle.wrong.len() <= MOST);
        }
        assert!(throttle.wait(&(3 * MOST - 1), 3 * MOST as u64 / 100).is_some());
    }
}
