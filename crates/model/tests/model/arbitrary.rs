//! Whatever the text, there is an answer, and every fault has a place in it.

use std::time::{Duration, Instant};

use headworks_model::Config;
use headworks_model::template::Template;
use proptest::prelude::*;

use crate::common::parse;

fn answered(text: &str) {
    let begin = Instant::now();
    let answer = parse(text);
    assert!(begin.elapsed() < Duration::from_secs(5), "{text:?}");
    match answer {
        Ok(parsed) => {
            let again =
                Config::from_json(&parsed.config.to_json()).unwrap_or_else(|faults| panic!("{text:?}\n{faults}"));
            assert_eq!(again.config, parsed.config, "{text:?}");
        }
        Err(faults) => {
            assert!(!faults.0.is_empty());
            let lines = text.matches(['\r', '\n']).count() + 2;
            for fault in faults.iter() {
                assert!(fault.line >= 1 && fault.line as usize <= lines && fault.column >= 1, "{text:?}\n{fault:?}");
            }
        }
    }
}

/// A piece of the contract's sample, by place.
fn piece() -> impl Strategy<Value = String> {
    let sample = include_str!("../data/contract.yaml");
    let pieces = [
        "{", "}", "[", "]", ":", ", ", "- ", "\n", "\n  ", "\t", "&a ", "*a", "!!str ", "\"", "'", "|", "#", "${env:",
        "null",
    ];
    prop_oneof![
        prop::sample::select(sample.split_whitespace().map(str::to_owned).collect::<Vec<_>>()),
        prop::sample::select(pieces.map(str::to_owned).to_vec()),
        "[ -~]{0,5}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_characters(text in any::<String>()) {
        answered(&text);
    }

    #[test]
    fn of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        answered(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn of_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
        answered(&pieces.concat());
        answered(&pieces.join(" "));
    }

    #[test]
    fn of_the_sample_with_a_piece_changed(at in 0_usize..6000, length in 0_usize..30, with in piece()) {
        let mut text: Vec<char> = include_str!("../data/contract.yaml").chars().collect();
        let from = at.min(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, with.chars());
        answered(&text.into_iter().collect::<String>());
    }

    #[test]
    fn templates_come_back(text in "([a-z#{}]|#\\{(host|path|port|query|protocol)\\}){0,12}") {
        if let Ok(template) = Template::parse(&text) {
            prop_assert_eq!(template.to_string(), text);
        }
    }
}
