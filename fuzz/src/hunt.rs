//! The hunt: inputs made of others, tried one after the other until one fails or the time is over.
//!
//! Beside the standard library it needs the sibling `mutate` only, so that whoever has invariants to try can have it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use super::mutate::Random;

/// Longest input made: what is long is a matter of the unit tests.
const LIMIT: usize = 1024;
/// Most inputs that one hunt goes on from.
const CORPUS: usize = 4096;
/// Bytes that a hunt leaves of them for later ones: they are kept with the sources.
const LEFT: usize = 8 * 1024;
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
    /// What earlier hunts have left, an input a line behind its mark, `+` or `!`: each hunt begins with all of it.
    pub corpus: &'static str,
}

thread_local! {
    /// What the last input came to, for targets whose shape nobody could tell afterwards.
    static SHAPE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Called by [`Target::run`] where [`Target::shape`] is [`last_shape`]: what the input has come to.
pub fn keep_shape(shape: String) {
    SHAPE.with_borrow_mut(|kept| *kept = shape);
}

/// The shape that the last run has kept.
pub fn last_shape(_: &[u8]) -> String {
    SHAPE.with_borrow(Clone::clone)
}

/// What an input is kept for, as its line in a corpus begins; behind it is the input as [`u8::escape_ascii`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// `+`: it has a shape of its own.
    Shape,
    /// `!`: it has shown a fault. It stays, whatever its shape is now.
    Fault,
}

impl Mark {
    const ALL: [(Mark, &str); 2] = [(Mark::Shape, "+"), (Mark::Fault, "!")];

    fn of(line: &str) -> Option<(Mark, Vec<u8>)> {
        Mark::ALL.into_iter().find_map(|(mark, sign)| Some((mark, unescape(line.strip_prefix(sign)?))))
    }

    fn line(self, input: &[u8]) -> String {
        let sign = Mark::ALL.into_iter().find_map(|(mark, sign)| (mark == self).then_some(sign)).unwrap_or_default();
        format!("{sign}{}\n", input.escape_ascii())
    }
}

/// A number in the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Hunts as the environment says: `FUZZ_SECONDS` bounds it (`seconds` when it does not), or `FUZZ_RUNS` does; `FUZZ_SEED` makes
/// it the same again; `FUZZ_INPUT`, bytes escaped as a failure prints them, is run alone. `FUZZ_SAVE` names the folder where what
/// was found is left for later hunts. The short hunt of every run of all tests always takes the same way: what is new is for those
/// to find who hunt, not to stop somebody who has changed something else.
///
/// # Errors
/// How to run the input alone that has failed.
pub fn hunt(target: &Target, seconds: u64) -> Result<String, String> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    let usual = if number("FUZZ_SECONDS").is_some() { clock } else { 1 };
    let seed = number("FUZZ_SEED").unwrap_or(usual);
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

/// The same as a test of a crate.
///
/// # Panics
/// When an input has failed.
pub fn test(target: &Target, seconds: u64, package: &str) {
    match hunt(target, seconds) {
        Ok(said) => println!("{said}"),
        Err(fault) => panic!("{fault} cargo nextest run -p {package} fuzz::{}", target.name),
    }
}

/// Tries inputs until one fails, which is the error, or the time is over.
fn search(target: &Target, seed: u64, seconds: u64) -> Result<String, Vec<u8>> {
    let most = number("FUZZ_RUNS").unwrap_or(u64::MAX);
    let patience = if most == u64::MAX { number("FUZZ_SECONDS").unwrap_or(seconds) } else { u64::from(u32::MAX) };
    let mut random = Random::new(seed);
    let earlier = target.corpus.lines().map(|line| Mark::of(line).expect("a line of a corpus begins with its mark").1);
    let mut corpus: Vec<Vec<u8>> = target.seeds.iter().map(|seed| seed.to_vec()).chain(earlier).collect();
    let mut shapes: HashSet<String> = HashSet::new();
    for input in &corpus {
        if fails(target, input) {
            return Err(input.clone());
        }
        shapes.insert((target.shape)(input));
    }
    let known = corpus.len();
    let until = Instant::now() + Duration::from_secs(patience);
    let mut runs = 0;
    while runs < most && (runs % BETWEEN_LOOKS != 0 || Instant::now() < until) {
        runs += 1;
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = random.below(corpus.len());
        (target.mutate)(&mut input, &corpus[other], LIMIT, &mut random);
        if fails(target, &input) {
            save(target, &[&Mark::Fault.line(&input), target.corpus].concat());
            return Err(input);
        }
        if corpus.len() < CORPUS && shapes.insert((target.shape)(&input)) {
            corpus.push(input);
        }
    }
    let said = format!("{runs} inputs, {} kept beside {known}", corpus.len() - known);
    if std::env::var_os("FUZZ_SAVE").is_some() {
        save(target, &left(target, corpus));
    }
    Ok(said)
}

/// Writes a target's corpus where the environment says, if it does.
fn save(target: &Target, corpus: &str) {
    if let Some(folder) = std::env::var_os("FUZZ_SAVE") {
        let path = std::path::Path::new(&folder).join(target.name);
        std::fs::write(&path, corpus).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// What is left of inputs for later hunts: those that have shown faults, then one for each shape that no seed has, the shortest
/// first, while there is room.
fn left(target: &Target, mut inputs: Vec<Vec<u8>>) -> String {
    let is_fault = |line: &&str| Mark::of(line).is_some_and(|(mark, _)| mark == Mark::Fault);
    let faults: Vec<&str> = target.corpus.lines().filter(is_fault).collect();
    let mut shapes: HashSet<String> = target.seeds.iter().map(|seed| shape(target, seed)).collect();
    inputs.sort_by_key(Vec::len);
    let mut lines: Vec<String> = Vec::new();
    let mut room = LEFT;
    for input in inputs {
        let own = shape(target, &input);
        if !shapes.insert(own.clone()) {
            continue;
        }
        let line = Mark::Shape.line(&shortened(target, input, &own));
        match room.checked_sub(line.len()) {
            Some(less) => room = less,
            None => break,
        }
        lines.push(line);
    }
    lines.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    faults.into_iter().map(|line| format!("{line}\n")).chain(lines).collect()
}

/// An input without the pieces that its shape does not need: halves, quarters, and so on.
fn shortened(target: &Target, mut input: Vec<u8>, own: &str) -> Vec<u8> {
    let mut piece = input.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at + piece <= input.len() {
            let mut less = input.clone();
            less.drain(at..at + piece);
            if shape(target, &less) == own {
                input = less;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}

/// A shape may be that of the last run.
fn shape(target: &Target, input: &[u8]) -> String {
    if fails(target, input) { "a fault".to_owned() } else { (target.shape)(input) }
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
