//! The table finds what the plain evaluation finds, for random rules and requests over alphabets so small that they
//! often meet. `HEADWORKS_SEED=n` replays the one table that a failure names.

#![expect(clippy::unwrap_used, reason = "a table that does not compile should fail")]

mod support;

use headworks_route::{Table, explain};
use support::{request, rule};

/// xorshift64*: a seed is a table.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Pieces in a row, as many as `fewest` and up to three more.
    fn row(&mut self, fewest: usize, of: &[&str]) -> String {
        (0..fewest + self.below(4)).map(|_| self.one(of)).collect()
    }

    fn values(&mut self, one: impl Fn(&mut Random) -> String) -> String {
        let values: Vec<_> = (0..1 + self.below(3)).map(|_| one(self)).collect();
        values.join("|")
    }
}

const EXPRESSIONS: &[&str] = &["~a", "~^/?a", "~b$", "~a.b", "~[^a]b", "~^b", "~aa", "~^a*$", "~B", "~^$"];

fn pattern(random: &mut Random, pieces: &[&str], expressions: usize) -> String {
    if random.chance(expressions) { random.one(EXPRESSIONS).to_owned() } else { random.row(1, pieces) }
}

/// Conditions on one subject or more; `shape` keeps a table's rules alike, so that groups grow large enough to divide.
fn conditions(random: &mut Random, shape: usize, under_not: bool) -> String {
    let bang = if under_not { "!" } else { "" };
    let expressions = if shape & 32 == 0 { 8 } else { 60 };
    let mut words = Vec::new();
    let mut add = |random: &mut Random, bit: usize, word: &dyn Fn(&mut Random) -> String| {
        let likely = if under_not { 15 } else { 85 };
        if random.chance(if shape & bit == 0 { 10 } else { likely }) {
            words.push(format!("{bang}{}", word(random)));
        }
    };
    add(random, 1, &|r| {
        format!("host={}", r.values(|r| pattern(r, &["a", "B", ".", ".b", "*", "?", "*."], expressions)))
    });
    add(random, 2, &|r| {
        format!(
            "path={}",
            r.values(|r| {
                let slash = if r.chance(80) { "/" } else { "" };
                let rest = pattern(r, &["a", "b", "A", "/", "*", "?", "/*"], expressions);
                if rest.starts_with('~') { rest } else { format!("{slash}{rest}") }
            })
        )
    });
    add(random, 4, &|r| {
        let name = r.one(&["a", "X-B", "c"]).to_owned();
        format!("h:{name}={}", r.values(|r| pattern(r, &["a", "b", "B", "*", "?"], expressions)))
    });
    add(random, 8, &|r| {
        format!(
            "q={}",
            r.values(|r| match r.below(4) {
                0 => r.row(1, &["a", "b", "*"]),
                1 => format!(":{}", r.row(0, &["a", "b", "*", "?"])),
                _ => format!("{}:{}", r.one(&["a", "B", "c", "a*"]), r.row(0, &["a", "b", "*", "?"])),
            })
        )
    });
    add(random, 16, &|r| format!("method={}", r.values(|r| r.one(&["GET", "PUT"]).to_owned())));
    add(random, 64, &|r| {
        format!(
            "ip={}",
            r.values(|r| r.one(&["10.0.0.0/8", "10.1.0.0/16", "fd00::/8", "::ffff:10.2.0.0/112"]).to_owned())
        )
    });
    add(random, 1 << 20, &|_| "sni=*".to_owned());
    words.join(" ")
}

fn random_rule(random: &mut Random, shape: usize) -> String {
    let mut line = conditions(random, shape, false);
    if random.chance(20) {
        line = format!("{line} {}", conditions(random, shape, true));
    }
    if random.chance(20) {
        line = format!("{line} & {}", conditions(random, shape, false));
    }
    line
}

fn random_request(random: &mut Random) -> String {
    let mut line = format!(
        "{} {} /{}",
        random.one(&["GET", "PUT", "get"]),
        random.row(0, &["a", "b", "A", ".", ".b"]),
        random.row(0, &["a", "b", "A", "/", "/a"])
    );
    if random.chance(70) {
        line.push('?');
        line += &random.row(0, &["a=a", "&", "b=b", "&a=", "b", "c", "&A=ab", "=", "&c"]);
    }
    for _ in 0..random.below(4) {
        line += &format!(" {}:{}", random.one(&["A", "x-b", "c", "d"]), random.row(0, &["a", "b", "A"]));
    }
    line + random.one(&["", " @10.1.2.3", " @::ffff:10.2.0.3", " @fd00::1"])
}

/// Compares one table's answers; returns how many requests matched a rule.
fn compare(seed: u64) -> usize {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let shape = random.below(128);
    let most = if random.chance(30) { 200 } else { 12 };
    let count = 1 + random.below(most);
    let lines: Vec<_> = (0..count).map(|_| random_rule(&mut random, shape)).collect();
    let rules: Vec<_> = lines.iter().map(|line| rule(line)).collect();
    let table = Table::compile(&rules).unwrap();
    let mut matched = 0;
    for _ in 0..12 {
        let line = random_request(&mut random);
        let request = request(&line);
        let verdict = explain(&rules, request.view(), request.peer).last().cloned();
        let expected = verdict.filter(|v| v.failed.is_none()).map(|v| v.rule);
        let found = table.find(request.view(), request.peer);
        let name = |place: Option<usize>| place.and_then(|p| lines.get(p));
        assert_eq!(
            found,
            expected,
            "HEADWORKS_SEED={seed}: `{line}` found {:?}, expected {:?}",
            name(found),
            name(expected)
        );
        matched += usize::from(expected.is_some_and(|e| e > 0));
    }
    matched
}

#[test]
fn the_table_finds_what_the_plain_evaluation_finds() {
    if let Ok(seed) = std::env::var("HEADWORKS_SEED") {
        compare(seed.parse().unwrap());
        return;
    }
    let tables = 800;
    let matched: usize = (0..tables).map(compare).sum();
    assert!(matched > 12 * tables as usize / 4, "too few matches to mean anything: {matched}");
}
