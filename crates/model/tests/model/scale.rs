//! As many rules and targets as the contract allows, in a time that grows with them and not with their square.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::common::{accept, parse};

fn many(target: &str) -> String {
    let mut text = "load_balancers:\n  s:\n    listeners:\n      l:\n        port: 0\n        default: { forward: w }\n        rules:\n".to_owned();
    for number in 0..100_000 {
        let _ = write!(
            text,
            "          - if: {{ path: [/p{number}/*], host: h{number}.example.com }}\n            then: {{ forward: {target} }}\n"
        );
    }
    text.push_str("target_groups:\n  w:\n    targets:\n");
    for number in 0..100_000 {
        let _ = writeln!(text, "      - 10.{}.{}.{}:80", number >> 16, (number >> 8) & 255, number & 255);
    }
    text
}

#[test]
fn a_hundred_thousand_rules_and_targets() {
    let text = many("w");
    let begin = Instant::now();
    let config = accept(&text).config;
    let took = begin.elapsed();
    println!("{} bytes in {took:?}", text.len());
    assert_eq!(config.load_balancers["s"].listeners["l"].rules.len(), 100_000);
    assert_eq!(config.target_groups["w"].targets.len(), 100_000);
    // Ten times what it takes on a slow machine; a square would take minutes.
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_hundred_thousand_faults() {
    let begin = Instant::now();
    let faults = parse(&many("nowhere")).expect_err("there is no such group");
    assert_eq!(faults.0.len(), 100_000);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn one_more_is_too_many() {
    let text = format!("target_groups: {{ w: {{ targets: [{}] }} }}", "x, ".repeat(100_001));
    let faults = parse(&text).expect_err("too many").to_string();
    assert!(
        faults.contains("target_groups.w.targets: has 100001 entries, expected at most 100000"),
        "{}",
        &faults[..300]
    );
}
