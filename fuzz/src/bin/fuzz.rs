//! Runs the targets named as arguments, or all, for a while each.
//!
//! `FUZZ_SECONDS` (4) bounds each target, or `FUZZ_RUNS` does; `FUZZ_SEED` makes a run the same again; `FUZZ_INPUT`
//! (bytes escaped as a failure prints them) is run alone.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use headworks_fuzz::mutate::{Random, mutate};
use headworks_fuzz::{TARGETS, Target};

/// Longest input made: what is long is a matter of the unit tests.
const LIMIT: usize = 1024;
/// Most inputs kept.
const CORPUS: usize = 4096;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let chosen = TARGETS.iter().filter(|t| names.is_empty() || names.iter().any(|n| n == t.name));
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    let seed = number("FUZZ_SEED").unwrap_or(clock);
    let input = std::env::var("FUZZ_INPUT").ok().map(|text| unescape(&text));
    let mut failed = names.iter().any(|name| !TARGETS.iter().any(|t| t.name == name));
    for target in chosen {
        let fault = match &input {
            Some(input) => fails(target, input).then(|| input.clone()),
            None => hunt(target, seed),
        };
        if let Some(fault) = fault {
            failed = true;
            let shown = fault.escape_ascii();
            eprintln!(
                "{} fails, seed {seed}; run it alone with\n  FUZZ_INPUT='{shown}' fuzz {}",
                target.name, target.name
            );
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn fails(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err()
}

/// Tries inputs until one fails or the time is over.
fn hunt(target: &Target, seed: u64) -> Option<Vec<u8>> {
    let most = number("FUZZ_RUNS").unwrap_or(u64::MAX);
    let patience = if most == u64::MAX { number("FUZZ_SECONDS").unwrap_or(4) } else { u64::from(u32::MAX) };
    let until = Instant::now() + Duration::from_secs(patience);
    let mut random = Random::new(seed);
    let mut corpus: Vec<Vec<u8>> = target.seeds.iter().map(|s| s.to_vec()).collect();
    let mut shapes: HashSet<String> = HashSet::new();
    if let Some(fault) = corpus.iter().find(|seed| fails(target, seed)) {
        return Some(fault.clone());
    }
    let mut runs = 0;
    while runs < most && (runs % 256 != 0 || Instant::now() < until) {
        runs += 1;
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = random.below(corpus.len());
        mutate(&mut input, &corpus[other], LIMIT, &mut random);
        if fails(target, &input) {
            return Some(input);
        }
        if corpus.len() < CORPUS && shapes.insert((target.shape)(&input)) {
            corpus.push(input);
        }
    }
    println!("{}: {runs} inputs, {} kept, seed {seed}", target.name, corpus.len());
    None
}

/// The inverse of [`u8::escape_ascii`].
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, next) = match (first, tail) {
            (b'\\', [b'x', high, low, next @ ..]) => {
                let digit = |b: &u8| (*b as char).to_digit(16).unwrap_or(0) as u8;
                (digit(high) << 4 | digit(low), next)
            }
            (b'\\', [b'r', next @ ..]) => (b'\r', next),
            (b'\\', [b'n', next @ ..]) => (b'\n', next),
            (b'\\', [b't', next @ ..]) => (b'\t', next),
            (b'\\', [other, next @ ..]) => (*other, next),
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = next;
    }
    bytes
}
