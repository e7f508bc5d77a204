//! Configurations, fuzzed: whatever is written, it is read, or all that is wrong is told with its place; and what was read is the
//! same when it is written down and read again.

#[expect(unreachable_pub, clippy::print_stdout, clippy::expect_used, reason = "also a part of another crate")]
#[path = "../../../../fuzz/src/hunt.rs"]
mod hunt;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../../fuzz/src/mutate.rs"]
mod mutate;

use headworks_model::Config;
use headworks_model::resolve::Nothing;

use self::hunt::{Target, keep_shape, last_shape};
use self::mutate::{Random, mutate, put_word};

/// How long it is hunted in a run of all tests.
const SECONDS: u64 = 2;

const SEEDS: &[&[u8]] = &[
    b"load_balancers:\n  shop:\n    idle_timeout: 60s\n    listeners:\n      http:\n        port: 8080\n        rules:\n          \
- if: { path: [/a/*], method: [GET], source_ip: [10.0.0.0/8, \"fd00::/8\"] }\n            then: { forward: web }\n        \
default: { redirect: { host: \"b.#{host}\", status: 301 } }\ntarget_groups:\n  web: { targets: [127.0.0.1:9001] }\n",
    b"workers: 2\ntarget_groups:\n  db:\n    protocol: tcp\n    stickiness: { type: source_ip, duration: 1d }\n    \
health_check: { protocol: redis, role: primary, password: x }\n    targets:\n      - { address: \"a:1\", weight: 2 }\n",
    b"# nothing\nadmin: { address: 127.0.0.1:9080, auth: none }\nsecurity_groups:\n  web: { inbound: [ { protocol: tcp, \
ports: [80, 443], from: [0.0.0.0/0] } ] }\nnetwork_acls: { a: { inbound: [ { rule: 1, action: deny, from: [::1/128] } ] } }\n",
    b"a: &x [1, 'b''c', \"d\\u00e9\\n\", ~, .5, 0x1f]\n? b\n: |2-\n    text\n   more\n--- {c: *x, <<: 1}\n",
    b"{\"target_groups\": {\"g\": {\"targets\": [\"unix:/x\", \"${env:A}\"], \"retry\": {\"attempts\": 2, \"budget\": 0.2}}}}",
];

/// Pieces of configurations, right and wrong.
const WORDS: &[&str] = &[
    "  ",
    "- ",
    ": ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "#",
    "&x ",
    "*x",
    "|\n",
    ">-\n",
    "~",
    "null",
    "true",
    "1e400",
    "-0",
    "60s",
    "16KiB",
    "99999999999999999999",
    "${env:A}",
    "${file:/x}",
    "$${",
    "\t",
    "\u{feff}",
    "\u{85}",
    "é",
    "web",
    "port: 0",
    "weight: 1",
    "fixed_response: ",
    "forward: { groups: { web: 1, db: 2 } }",
    "http3: true",
    "protocol: https",
    "<<: *x",
    "? ",
    "!!str ",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
];

fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parsed = match Config::parse("t", &text, &Nothing) {
        Ok(parsed) => parsed,
        Err(faults) => {
            let lines = text.split(['\n', '\r']).count() as u32 + 1;
            let mut kinds = Vec::new();
            for fault in faults.iter() {
                assert!(fault.line <= lines, "{fault}: of {lines} lines");
                assert!(!fault.what.is_empty() && !fault.to_string().contains('\n'), "{fault:?}");
                kinds.push((
                    fault.path.matches(['.', '[']).count(),
                    fault.what.split(' ').next_back().map(str::to_owned),
                ));
            }
            assert!(!kinds.is_empty(), "refused, and nothing is wrong");
            kinds.truncate(3);
            return keep_shape(format!("{kinds:?}"));
        }
    };
    let written = parsed.config.to_json();
    keep_shape(format!("{} {}", parsed.warnings.len(), written.to_string().len() / 16));
    match Config::from_json(&written) {
        Ok(again) => assert!(again.config == parsed.config, "another: {written}"),
        Err(faults) => panic!("what was written is not read: {faults} {written}"),
    }
}

/// Changes lines and words, sometimes bytes.
fn mutate_lines(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let mut lines: Vec<Vec<u8>> = input.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let others: Vec<&[u8]> = other.split_inclusive(|b| *b == b'\n').collect();
    if lines.is_empty() || others.is_empty() || random.below(6) == 0 {
        return mutate(input, other, limit, random);
    }
    for _ in 0..=random.below(3) {
        let at = random.below(lines.len());
        match random.below(7) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[random.below(lines.len())].clone()),
            2 => lines.insert(at, others[random.below(others.len())].to_vec()),
            // one step in, or out
            3 => drop(lines[at].splice(0..0, *b"  ")),
            4 if lines[at].starts_with(b"  ") => drop(lines[at].drain(..2)),
            _ => put_word(&mut lines[at], WORDS[random.below(WORDS.len())].as_bytes(), random),
        }
    }
    *input = lines.concat();
    input.truncate(limit);
}

#[test]
fn a_configuration() {
    let target = Target {
        name: "a_configuration",
        run: check,
        shape: last_shape,
        mutate: mutate_lines,
        seeds: SEEDS,
        corpus: include_str!("../../../../fuzz/corpus/a_configuration"),
    };
    hunt::test(&target, SECONDS, "headworks-model");
}
