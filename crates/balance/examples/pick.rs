//! What one pick costs: `cargo run --release -p headworks-balance --example pick`. Prints nanoseconds per pick.
#![expect(clippy::print_stdout, reason = "its whole purpose")]

use std::hint::black_box;
use std::time::Instant;

use headworks_balance::hash::mix;
use headworks_balance::{Algorithm, Choice, Entry, Picker, Roster, Supply, TargetKey};

fn main() {
    let algorithms = [
        Algorithm::RoundRobin,
        Algorithm::LeastOutstandingRequests,
        Algorithm::WeightedRandom,
        Algorithm::ConsistentHash,
    ];
    println!("{:<28}{:>8}{:>10}{:>10}{:>12}", "algorithm", "targets", "weights", "ns/pick", "build, us");
    for algorithm in algorithms {
        for count in [3u64, 10, 64, 1000] {
            for (name, odd) in [("equal", 0), ("odd", 1), ("wild", 100_000)] {
                measure(algorithm, count, name, odd);
            }
        }
    }
}

fn measure(algorithm: Algorithm, count: u64, name: &str, odd: u64) {
    let entries: Vec<_> = (0..count)
        .map(|number| {
            let weight =
                1000 * (1 + odd * (mix(number) % 10)) as u32 + if odd > 1 { (mix(number) % 977) as u32 } else { 0 };
            Entry { key: TargetKey(mix(number)), weight, eligible: true, draining: false, trial: 0 }
        })
        .collect();
    let started = Instant::now();
    let roster = Roster::new(algorithm, entries, Supply::Enough, 1);
    let build = started.elapsed().as_micros();
    let mut picker = Picker::new(algorithm);
    picker.update(&roster, 0);
    let mut loads = vec![1u32; count as usize];
    let picks = if algorithm == Algorithm::LeastOutstandingRequests { 200_000 } else { 5_000_000u64 };
    let mut random = 1u64;
    let started = Instant::now();
    for _ in 0..picks {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let choice = Choice {
            random,
            hash: random,
            load: &|index: usize| loads.get(index).copied().unwrap_or(u32::MAX),
            exclude: &[],
        };
        let index = black_box(picker.pick(choice)).unwrap_or(0);
        if let Some(load) = loads.get_mut(index) {
            *load = (*load + 1) % 100 + 1;
        }
    }
    let each = started.elapsed().as_nanos() as f64 / picks as f64;
    println!("{:<28}{count:>8}{name:>10}{each:>10.1}{build:>12}", format!("{algorithm:?}"));
}
