//! No second has more than the limit.

use std::collections::VecDeque;
use std::time::Duration;

use headworks_guard::Rate;
use proptest::prelude::*;

proptest! {
    /// Never more than the limit in any second, and never fewer than it in a second and a tenth, if there are as many.
    #[test]
    fn never_more_in_any_second(limit in 1..20u32, gaps in prop::collection::vec(0..300u64, 1..200)) {
        let mut rate = Rate::default();
        let mut admitted: VecDeque<u64> = VecDeque::new();
        let mut now = 12_345;
        for gap in gaps {
            now += gap;
            let ok = rate.admit(limit, Duration::from_millis(now));
            let within = |span: u64| admitted.iter().filter(|at| **at + span > now).count();
            if ok {
                prop_assert!(within(1000) < limit as usize);
                admitted.push_back(now);
            } else {
                prop_assert!(within(1100) >= limit as usize);
            }
        }
    }
}

#[test]
fn a_limit_may_change_and_time_may_pass() {
    let mut rate = Rate::default();
    let at = Duration::from_millis;
    assert!((0..5).all(|_| rate.admit(5, at(0))));
    assert!(!rate.admit(5, at(999)));
    assert!(rate.admit(6, at(999)));
    assert!(rate.admit(5, at(1100)));
    assert!((0..5).all(|_| rate.admit(5, Duration::from_secs(1_000_000))));
    assert!(!rate.admit(0, Duration::from_secs(2_000_000)));
}
