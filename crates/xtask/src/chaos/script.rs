//! What happens when: a script made from a seed, so that a run can be repeated.

use std::time::Duration;

use super::target::Mood;

/// Something that is done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A target is killed, and started again.
    Kill(usize),
    /// A target is stopped, and goes on.
    Freeze(usize),
    /// A target is in another mood for a while.
    Mood(usize, Mood),
    /// The configuration is written anew and applied.
    Reload,
    /// Certificate and key are exchanged.
    Rotate,
    /// Another process takes over.
    Upgrade,
}

impl Deed {
    /// How long it lasts until it is undone; none where nothing is to be undone.
    pub(super) fn lasts(self) -> Option<Duration> {
        match self {
            Deed::Kill(_) | Deed::Freeze(_) | Deed::Mood(..) => Some(DISTURBANCE),
            Deed::Reload | Deed::Rotate | Deed::Upgrade => None,
        }
    }

    /// As the table calls it.
    pub(super) fn title(self) -> String {
        match self {
            Deed::Kill(target) => format!("target {target} killed"),
            Deed::Freeze(target) => format!("target {target} frozen"),
            Deed::Mood(target, mood) => format!("target {target} {}", mood.word()),
            Deed::Reload => "reload".to_owned(),
            Deed::Rotate => "certificate exchanged".to_owned(),
            Deed::Upgrade => "process replaced".to_owned(),
        }
    }
}

/// How long a target is disturbed, and how long all are well before the next is.
const DISTURBANCE: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(2);
/// Between two of the others.
const RELOADS: Duration = Duration::from_secs(1);
const ROTATIONS: Duration = Duration::from_secs(5);

/// All deeds of a run in order, each with its time from the run's begin: a target at a time is disturbed, configurations are
/// applied and certificates exchanged meanwhile, and the process is replaced `upgrades` times.
pub(super) fn script(seed: u64, length: Duration, targets: usize, upgrades: u32) -> Vec<(Duration, Deed)> {
    let mut deeds = Vec::new();
    let every = |step: Duration, offset: Duration| {
        let mut at = offset;
        std::iter::from_fn(move || {
            let now = at;
            at += step;
            (now + REST < length).then_some(now)
        })
    };
    let mut random = seed;
    let mut next = |most: u64| {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % most.max(1)
    };
    for (n, at) in every(DISTURBANCE + REST, REST).enumerate() {
        let target = next(targets as u64) as usize;
        let deed = match n % 5 {
            0 => Deed::Kill(target),
            1 => Deed::Freeze(target),
            2 => Deed::Mood(target, Mood::Resets),
            3 => Deed::Mood(target, Mood::Slow),
            _ => Deed::Mood(target, Mood::Garbage),
        };
        deeds.push((at, deed));
    }
    deeds.extend(every(RELOADS, RELOADS / 2).map(|at| (at, Deed::Reload)));
    deeds.extend(every(ROTATIONS, RELOADS / 4).map(|at| (at, Deed::Rotate)));
    if let Some(step) = length.checked_div(upgrades) {
        deeds.extend(every(step, step / 2).map(|at| (at, Deed::Upgrade)));
    }
    deeds.sort_by_key(|(at, _)| *at);
    deeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_everything_and_leaves_time_to_recover() {
        let length = Duration::from_secs(60);
        let deeds = script(7, length, 3, 10);
        assert_eq!(deeds, script(7, length, 3, 10), "a seed is a script");
        assert_ne!(deeds, script(8, length, 3, 10));
        let count = |is: fn(&Deed) -> bool| deeds.iter().filter(|(_, deed)| is(deed)).count();
        assert_eq!(count(|deed| *deed == Deed::Upgrade), 10);
        assert!(count(|deed| *deed == Deed::Reload) >= 55);
        assert!(count(|deed| *deed == Deed::Rotate) >= 10);
        for is in [
            (|deed| matches!(deed, Deed::Kill(_))) as fn(&Deed) -> bool,
            |deed| matches!(deed, Deed::Freeze(_)),
            |deed| matches!(deed, Deed::Mood(_, Mood::Resets)),
            |deed| matches!(deed, Deed::Mood(_, Mood::Slow)),
            |deed| matches!(deed, Deed::Mood(_, Mood::Garbage)),
        ] {
            assert!(count(is) >= 2);
        }
        let ends = deeds.iter().filter_map(|(at, deed)| Some(*at + deed.lasts()?));
        assert!(ends.clone().all(|end| end <= length));
        let begins = deeds.iter().filter(|(_, deed)| deed.lasts().is_some()).map(|(at, _)| *at).skip(1);
        assert!(ends.zip(begins).all(|(end, begin)| end < begin), "one target at a time");
    }
}
