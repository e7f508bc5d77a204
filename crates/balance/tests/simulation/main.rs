//! Seeded worlds in virtual time: everything that can happen to a group's targets ([`health`]), and to the requests that are
//! sent to them ([`traffic`]), hundreds of times over. After every step all that must always hold is checked through the
//! public interface.
//!
//! A failing seed is printed; `HEADWORKS_SEED=<seed> cargo test -p headworks-balance --test simulation` replays it alone.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "it is a test throughout")]

mod health;
mod rules;
mod targets;
mod traffic;

use headworks_balance::hash::mix;

/// What decides everything that is left to chance.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(mix(seed))
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// Names the seed of a world that panics.
struct Naming(u64);

impl Drop for Naming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the world of HEADWORKS_SEED={} broke an invariant", self.0);
        }
    }
}

/// Runs a world for each seed, or for the one that is asked for.
pub(crate) fn worlds(seeds: u64, mut run: impl FnMut(u64)) {
    let only = std::env::var("HEADWORKS_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let _naming = Naming(seed);
        run(seed);
    }
}
