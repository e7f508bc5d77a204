//! The difference of two configurations.

use headworks_model::difference;

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
