//! The difference of two configurations.

use std::sync::Arc;

use headworks_model::{difference, difference_of_json, difference_of_shown, redact};
use proptest::prelude::*;

use crate::common::accept;

#[track_caller]
fn check(old: &str, new: &str, expected: &[&str]) {
    let changes: Vec<String> =
        difference(&accept(old).config, &accept(new).config).iter().map(ToString::to_string).collect();
    assert_eq!(changes, expected);
}

#[test]
fn changes_are_said_in_the_words_of_the_file() {
    check("target_groups: { web: {} }", "target_groups: { web: { health_check: { interval: 30s } } }", &[]);
    check(
        "target_groups: { web: {} }",
        "target_groups: { web: { health_check: { interval: 10s } } }",
        &["~ target_groups.web.health_check.interval: 30s -> 10s"],
    );
    check(
        "certificates: { a: { certificate: x, key: y } }",
        "certificates: { b: { certificate: x, key: y } }",
        &[r#"- certificates.a: {"certificate":"x","key":"y"}"#, r#"+ certificates.b: {"certificate":"x","key":"y"}"#],
    );
    check(
        "target_groups: { web: { stickiness: { type: source_ip } } }",
        "target_groups: { web: {} }",
        &[r#"- target_groups.web.stickiness: {"type":"source_ip"}"#],
    );
}

#[test]
fn what_is_put_into_a_list_moves_nothing_else() {
    check(
        "target_groups: { web: { targets: [127.0.0.1:1, 127.0.0.1:3, 127.0.0.1:4] } }",
        "target_groups: { web: { targets: [127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3, { address: 127.0.0.1:4, weight: 2 }] } }",
        &[
            "~ target_groups.web.targets[1].address: 127.0.0.1:3 -> 127.0.0.1:2",
            "~ target_groups.web.targets[2].address: 127.0.0.1:4 -> 127.0.0.1:3",
            r#"+ target_groups.web.targets[3]: {"address":"127.0.0.1:4","weight":2}"#,
        ],
    );
    check(
        "target_groups: { web: { targets: [127.0.0.1:1, 127.0.0.1:3] } }",
        "target_groups: { web: { targets: [127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3] } }",
        &[r#"+ target_groups.web.targets[1]: {"address":"127.0.0.1:2","weight":1}"#],
    );
}

/// A group with these targets and a listener with these rules, by numbers, and one of each that is secret where it is asked for.
fn file(name: &str, targets: &[u8], rules: &[u8], secret: Option<usize>) -> String {
    use std::fmt::Write as _;
    let mut text = format!("target_groups:\n  w: {{}}\n  {name}:\n    targets: [");
    for (index, target) in targets.iter().enumerate() {
        let address =
            if secret == Some(index) { "${env:TARGET}".to_owned() } else { format!("10.0.{index}.{target}:80") };
        let _ = write!(text, "{{ address: \"{address}\", weight: {} }}, ", target % 3);
    }
    text.push_str("]\nload_balancers:\n  s:\n    listeners:\n      l:\n        port: 1\n        default: { forward: w }\n        rules:\n");
    for (index, rule) in rules.iter().enumerate() {
        let body = if secret == Some(index) { "${env:SECRET}".to_owned() } else { format!("b{}", rule / 3) };
        let _ = writeln!(
            text,
            "          - if: {{ path: /{} }}\n            then: {{ fixed_response: {{ status: 200, body: \"{body}\" }} }}",
            rule % 3
        );
    }
    if rules.is_empty() { text.replace("        rules:\n", "") } else { text }
}

fn lists() -> impl Strategy<Value = (String, Vec<u8>, Vec<u8>, Option<usize>)> {
    let list = || prop::collection::vec(0_u8..6, 0..6);
    ("[ab]", list(), list(), prop::option::weighted(0.3, 0_usize..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is found by looking at parts is what is found by comparing all that was written.
    #[test]
    fn parts_that_are_the_same_are_not_missed(old in lists(), new in lists()) {
        let parsed = |(name, targets, rules, secret): &(String, Vec<u8>, Vec<u8>, Option<usize>)| accept(&file(name, targets, rules, *secret));
        let (old, new) = (parsed(&old), parsed(&new));
        prop_assert_eq!(difference(&old.config, &new.config), difference_of_json(&old.config.to_json(), &new.config.to_json()));
        let shown = [&old, &new].map(|one| {
            let mut json = one.config.to_json();
            redact(&mut json, &one.secrets);
            json
        });
        let found = difference_of_shown((&old.config, &old.secrets), (&new.config, &new.secrets));
        prop_assert_eq!(found, difference_of_json(&shown[0], &shown[1]));
    }

    /// What is shared is what was the same, and nothing else becomes of it.
    #[test]
    fn what_is_the_same_is_shared(old in lists(), new in lists()) {
        let parsed = |(name, targets, rules, _): &(String, Vec<u8>, Vec<u8>, Option<usize>)| accept(&file(name, targets, rules, None)).config;
        let (old, new) = (parsed(&old), parsed(&new));
        let mut shares = new.clone();
        shares.share(&old);
        prop_assert_eq!(&shares, &new);
        let rules = |config: &headworks_model::Config| config.load_balancers["s"].listeners["l"].rules.clone();
        prop_assert_eq!(Arc::ptr_eq(&rules(&shares), &rules(&old)), rules(&new) == rules(&old));
        for (name, group) in &shares.target_groups {
            let before = old.target_groups.get(name.as_str()).map(|before| &before.targets);
            let same = before.is_some_and(|before| Arc::ptr_eq(before, &group.targets));
            prop_assert_eq!(same, before == Some(&group.targets));
        }
    }
}
