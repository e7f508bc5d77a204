//! Texts that are wrong, and the exact lines that say so: `data/faults.txt`.

use crate::common::parse;

/// What `text` is answered with, one line for each fault.
fn faults(text: &str) -> String {
    match parse(text) {
        Ok(_) => "no fault".to_owned(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn each_wrong_text_has_exactly_its_faults() {
    let mut failures = String::new();
    for case in include_str!("../data/faults.txt").split("\n=== ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a name and a line's end");
        let (text, expected) = rest.split_once("\n>>>\n").expect("the text, then >>>, then the faults");
        let found = faults(text);
        if found.trim_end() != expected.trim_end() {
            failures.push_str(&format!("=== {name}\n{text}\n>>>\n{found}\n\n"));
        }
    }
    assert!(failures.is_empty(), "these have other faults than expected:\n{failures}");
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    let found = faults(&text);
    assert!(found.contains("aliases stand for more than 1000000 values"), "{found}");
}

#[test]
fn nesting_has_a_bound() {
    let found = faults(&format!("{}{}", "[".repeat(100), "]".repeat(100)));
    assert_eq!(found, "t:1:65: nested more than 64 deep");
    let found = faults(&"[".repeat(100_000));
    assert_eq!(found, "t:1:256: not YAML: recursion limit exceeded");
}

#[test]
fn a_secret_is_not_said_in_a_fault() {
    let found =
        faults("shutdown: { deadline: \"${env:SECRET}\" }\ntarget_groups: { w: { targets: [\"${env:SECRET}\"] } }");
    assert!(!found.contains("hunter2"), "{found}");
    assert_eq!(found.lines().count(), 2, "{found}");
}
