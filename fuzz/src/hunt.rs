//! The hunt: inputs made of others, tried one after the other until one fails or the time is over.
//!
//! Beside the standard library it needs the sibling `mutate` only, so that whoever has invariants to try can have it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use super::mutate::Random;

/// Longest input made: what is long is a matter of the unit tests.
const LIMIT: usize = 1024;
/// Most inputs kept.
const CORPUS: usize = 4096;
/// How many inputs are tried between two looks at the clock.
const BETWEEN_LOOKS: u64 = 16;

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Panics when the bytes show a fault.
    pub run: fn(&[u8]),
    /// What the bytes made the code do when they were run last, coarsely: an input with a new answer is worth keeping.
    pub shape: fn(&[u8]) -> String,
    /// Changes an input; the second is another to take pieces of, the number the longest that it may become.
    pub mutate: fn(&mut Vec<u8>, &[u8], usize, &mut Random),
    /// Inputs to begin with.
    pub seeds: &'static [&'static [u8]],
}

/// A number in the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Hunts as the environment says: `FUZZ_SECONDS` bounds it (`seconds` when it does not), or `FUZZ_RUNS` does; `FUZZ_SEED` makes
/// it the same again; `FUZZ_INPUT`, bytes escaped as a failure prints them, is run alone.
///
/// # Errors
/// How to run the input alone that has failed.
pub fn hunt(target: &Target, seconds: u64) -> Result<String, String> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    let seed = number("FUZZ_SEED").unwrap_or(clock);
    let found = match std::env::var("FUZZ_INPUT") {
        Ok(text) => {
            let input = unescape(&text);
            if fails(target, &input) { Err(input) } else { Ok("1 input".to_owned()) }
        }
        Err(_) => search(target, seed, seconds),
    };
    found.map(|said| format!("{}: {said}, seed {seed}", target.name)).map_err(|input| {
        format!("{} fails, seed {seed}; run it alone with FUZZ_INPUT='{}'", target.name, input.escape_ascii())
    })
}

fn fails(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err()
}

/// Tries inputs until one fails, which is the error, or the time is over.
fn search(target: &Target, seed: u64, seconds: u64) -> Result<String, Vec<u8>> {
    let most = number("FUZZ_RUNS").unwrap_or(u64::MAX);
    let patience = if most == u64::MAX { number("FUZZ_SECONDS").unwrap_or(seconds) } else { u64::from(u32::MAX) };
    let until = Instant::now() + Duration::from_secs(patience);
    let mut random = Random::new(seed);
    let mut corpus: Vec<Vec<u8>> = target.seeds.iter().map(|s| s.to_vec()).collect();
    let mut shapes: HashSet<String> = HashSet::new();
    if let Some(fault) = corpus.iter().find(|seed| fails(target, seed)) {
        return Err(fault.clone());
    }
    let mut runs = 0;
    while runs < most && (runs % BETWEEN_LOOKS != 0 || Instant::now() < until) {
        runs += 1;
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = random.below(corpus.len());
        (target.mutate)(&mut input, &corpus[other], LIMIT, &mut random);
        if fails(target, &input) {
            return Err(input);
        }
        if corpus.len() < CORPUS && shapes.insert((target.shape)(&input)) {
            corpus.push(input);
        }
    }
    Ok(format!("{runs} inputs, {} kept", corpus.len()))
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
