//! What a group knows of its targets outlives it.

use std::time::Duration;

use headworks_balance::{Changes, CircuitBreaker, Group, Kept, Moment, Outcome, Settings, State, Tally, TargetKey};

const WELL: TargetKey = TargetKey(1);
const ILL: TargetKey = TargetKey(2);
const EJECTED: TargetKey = TargetKey(u64::MAX - 7);

fn group(settings: &Settings, now: Moment) -> Group {
    let mut group = Group::new(settings.clone());
    let _ = group.set_in_use(true);
    for key in [WELL, ILL, EJECTED] {
        let _ = group.register(key, 1, now);
    }
    group
}

/// What one group knows, another goes on with: verdicts and what speaks against them, ejections and when they end.
#[test]
fn what_is_known_outlives_the_group() {
    let breaker = CircuitBreaker { open_for: Duration::from_secs(10), ..CircuitBreaker::default() };
    let settings = Settings { circuit_breaker: Some(breaker), ..Settings::default() };
    let mut now = Duration::from_secs(100);
    let mut before = group(&settings, now);
    for key in [WELL, EJECTED] {
        let _ = before.probe_result(key, Outcome::Success, now);
    }
    for _ in 0..2 {
        let _ = before.probe_result(ILL, Outcome::CodeMismatch(500), now);
    }
    // one failure speaks against a target that is well
    let _ = before.probe_result(WELL, Outcome::Timeout, now);
    let failures = Tally { failures: 5, consecutive_failures: 5, ..Tally::default() };
    assert_eq!(before.observe(EJECTED, failures, now).ejected, [EJECTED]);

    let text = serde_json::to_string(&before.keep().collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"));
    let mut after = group(&settings, now);
    for kept in serde_json::from_str::<Vec<Kept>>(&text).unwrap_or_else(|error| panic!("{error}")) {
        let changes = after.restore(kept);
        assert!(changes.roster_changed);
    }
    assert_eq!(after.targets().collect::<Vec<_>>(), before.targets().collect::<Vec<_>>());
    assert_eq!(after.roster().entries, before.roster().entries);
    assert_eq!(after.status(ILL).description(), before.status(ILL).description());
    // a second failure is enough
    let _ = after.probe_result(WELL, Outcome::Timeout, now);
    assert_eq!(after.status(WELL).state, State::Unhealthy);
    now += Duration::from_secs(9);
    assert!(after.tick(now).restored.is_empty());
    now += Duration::from_secs(1);
    assert_eq!(after.tick(now).restored, [EJECTED]);
    // of one that is not registered, nothing is known
    let mut empty = Group::new(settings);
    assert!(before.keep().all(|kept| empty.restore(kept) == Changes::default()));
}
