//! What a listener's rules were made into is used again while they are the same, and only then.

use std::sync::Arc;

use headworks_balance::Keyring;
use headworks_model::Config;
use headworks_model::resolve::Nothing;

use crate::compile::examined::Examined;
use crate::compile::plan::{ListenerPlan, Plan};
use crate::{Edge, Given};

/// Two listeners, the rules of each, and the groups; what is the same as before is shared, as in a file that is read again.
fn config(one: &str, two: &str, groups: &str, before: Option<&Config>) -> Arc<Config> {
    let text = format!(
        "load_balancers:\n  s:\n    listeners:\n      one: {{ address: 127.0.0.1:0, rules: [{one}], default: {{ forward: m }} }}\n      two: {{ address: 127.0.0.1:0, rules: [{two}], default: {{ forward: m }} }}\ntarget_groups: {{ {groups} }}\n"
    );
    let parsed = Config::parse("test", &text, &Nothing).unwrap_or_else(|faults| panic!("{faults}"));
    let mut config = parsed.config;
    if let Some(before) = before {
        config.share(before);
    }
    Arc::new(config)
}

async fn applied(edge: &mut Edge, config: &Arc<Config>) -> Arc<Plan> {
    let keyring = Arc::new(Keyring::new([7; 32], 0).unwrap());
    edge.apply(&Examined::of(config.clone()), keyring).await.unwrap();
    edge.plan.clone().unwrap()
}

fn listener<'p>(plan: &'p Plan, name: &str) -> &'p ListenerPlan {
    plan.listeners.iter().find(|listener| &*listener.key.listener == name).unwrap()
}

/// Whether rules, table and counts of a listener are those of the plan before.
fn is_kept(before: &Plan, after: &Plan, name: &str) -> bool {
    let (before, after) = (listener(before, name), listener(after, name));
    let kept = [
        Arc::ptr_eq(&before.table, &after.table),
        Arc::ptr_eq(&before.rules, &after.rules),
        Arc::ptr_eq(&before.hits, &after.hits),
    ];
    assert!(kept.iter().all(|one| *one == kept[0]), "{name}: in part");
    kept[0]
}

#[tokio::test]
async fn rules_are_compiled_again_only_when_they_have_changed() {
    const A: &str = "{ name: a, if: { path: /a }, then: { forward: m } }";
    const B: &str = "{ name: b, if: { path: /b }, then: { forward: m } }";
    const GROUPS: &str = "m: { health_check: { protocol: none } }";
    let mut edge = Edge::start(1, 8, Given::Nothing).unwrap();
    let first = config(A, A, GROUPS, None);
    let one = applied(&mut edge, &first).await;
    // nothing has changed
    let second = config(A, A, GROUPS, Some(&first));
    let two = applied(&mut edge, &second).await;
    assert!(is_kept(&one, &two, "one") && is_kept(&one, &two, "two"));
    // the rules of one have; the counts of those that stay go on
    listener(&two, "two").hits.workers[0][0].add(3);
    let third = config(A, &format!("{B}, {A}"), GROUPS, Some(&second));
    let three = applied(&mut edge, &third).await;
    assert!(is_kept(&two, &three, "one") && !is_kept(&two, &three, "two"));
    assert_eq!(listener(&three, "two").total_hits(), [0, 3, 0]);
    // a group comes before theirs, so that theirs has another place
    let fourth = config(A, A, &format!("a: {{}}, {GROUPS}"), Some(&third));
    let four = applied(&mut edge, &fourth).await;
    assert!(!is_kept(&three, &four, "one") && !is_kept(&three, &four, "two"));
    // what a group says is nothing to the rules
    let fifth = config(A, A, &format!("a: {{}}, {}", GROUPS.replace("none", "http")), Some(&fourth));
    let five = applied(&mut edge, &fifth).await;
    assert!(is_kept(&four, &five, "one") && is_kept(&four, &five, "two"));
}

/// A file that is an answer may be another by now, though rules are the same.
#[tokio::test]
async fn files_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("sorry.html");
    std::fs::write(&page, "one").unwrap();
    let rule = format!("{{ then: {{ forward: {{ groups: m, fallback: {{ file: {} }} }} }} }}", page.display());
    let mut edge = Edge::start(1, 8, Given::Nothing).unwrap();
    let first = config(&rule, "", "m: {}", None);
    let one = applied(&mut edge, &first).await;
    let second = config(&rule, "", "m: {}", Some(&first));
    let two = applied(&mut edge, &second).await;
    assert!(!is_kept(&one, &two, "one") && is_kept(&one, &two, "two"));
}
