//! AWS's published request-desync cases (H8), as bytes on a wire.
//!
//! Each case becomes a request, with a Host field where it has none, and must end in the tier it names, for the reason it
//! names. Those judged otherwise are listed with the reason for it.

use std::collections::HashSet;
use std::path::PathBuf;

use headworks_message::{Parsed, RequestHead, Tier, request};
use saphyr_parser::{Event, Parser};

use crate::invariants;

/// Cases that are not run.
const SKIPPED: &[(&str, &str)] = &[
    ("Empty URI", "a request line without a target is no request (RFC 9112 section 3); MissingUri, Ambiguous, here"),
    (
        "Request Smuggling in URI",
        "CR LF inside a target is the end of the line on a wire: two requests, not one bad one",
    ),
];

#[derive(Default)]
struct Case {
    name: String,
    uri: String,
    method: String,
    version: String,
    headers: Vec<(String, String)>,
    tier: String,
    reason: String,
}

/// The scalars of a file with the depth and key that they stand at: enough of YAML for these files.
fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut depth = 0;
    // whether a mapping's next scalar is a key, by depth
    let mut keys: Vec<Option<(bool, String)>> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.unwrap();
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                depth += 1;
                if matches!(event, Event::MappingStart(..)) {
                    match depth {
                        2 => cases.push(Case::default()),
                        4 if keys.get(1).is_some_and(|k| matches!(k, Some((_, k)) if k == "headers")) => {
                            cases.last_mut().unwrap().headers.push(Default::default());
                        }
                        _ => {}
                    }
                    keys.push(Some((true, String::new())));
                } else {
                    keys.push(None);
                }
            }
            Event::MappingEnd | Event::SequenceEnd => {
                depth -= 1;
                keys.pop();
                if let Some(Some((is_key, _))) = keys.last_mut() {
                    *is_key = true;
                }
            }
            Event::Scalar(value, ..) => {
                let Some(Some((is_key, key))) = keys.last_mut() else { continue };
                if *is_key {
                    *key = value.into_owned();
                    *is_key = false;
                    continue;
                }
                *is_key = true;
                let case = cases.last_mut().unwrap();
                let value = value.into_owned();
                match (depth, key.as_str()) {
                    (2, "name") => case.name = value,
                    (2, "uri") => case.uri = value,
                    (2, "method") => case.method = value,
                    (2, "version") => case.version = value,
                    (3, "tier") => case.tier = value,
                    (3, "reason") => case.reason = value,
                    (4, "name") => case.headers.last_mut().unwrap().0 = value,
                    (4, "value") => case.headers.last_mut().unwrap().1 = value,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    cases
}

impl Case {
    fn wire(&self) -> String {
        let space = if self.version.is_empty() { "" } else { " " };
        let mut wire = format!("{} {}{space}{}\r\n", self.method, self.uri, self.version);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            wire.push_str("Host: a.example\r\n");
        }
        for (name, value) in &self.headers {
            wire.push_str(&format!("{name}:{value}\r\n"));
        }
        wire + "\r\n"
    }
}

#[test]
fn published_cases_end_in_their_tier() {
    // asked when it runs: a test binary may have been built in another clone that shares the target folder
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../conformance/desync");
    let mut skipped = HashSet::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        for case in cases(&std::fs::read_to_string(file.path()).unwrap()) {
            if let Some((name, _)) = SKIPPED.iter().find(|(name, _)| *name == case.name) {
                skipped.insert(*name);
                continue;
            }
            count += 1;
            let wire = case.wire();
            invariants::resend(wire.as_bytes());
            let mut head = RequestHead::default();
            let (tier, reason) = match request::parse(wire.as_bytes(), &mut head) {
                Ok(Parsed::Complete) => (head.tier, head.reason),
                Ok(Parsed::Incomplete) => panic!("{}: incomplete: {}", case.name, wire.escape_debug()),
                Err(refusal) => (Tier::Severe, refusal.reason),
            };
            if (format!("{tier:?}").as_str(), reason.as_str()) != (&case.tier, &case.reason) {
                let file = file.file_name();
                wrong.push(format!(
                    "{file:?} {}: {tier:?} {reason}, not {} {}\n  {}",
                    case.name,
                    case.tier,
                    case.reason,
                    wire.escape_debug()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 157, "cases");
    assert_eq!(skipped.len(), SKIPPED.len(), "each skipped case exists");
}
