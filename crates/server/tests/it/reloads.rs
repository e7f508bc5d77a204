//! What a reload keeps of what ran before, and what it does not: what has not changed is used again, what has is seen, wherever it
//! was written.

use headworks_testkit::wire::Response;
use headworks_testkit::{Client, Headworks, Origin, ask};
use serde_json::{Value, json};

use crate::start;

/// Who has answered.
fn from(response: &Response) -> &str {
    response.field("X-Origin").unwrap_or("-")
}

/// The changes that the last reload told of.
fn changes(headworks: &Headworks) -> Value {
    headworks.status()["configuration"]["last_reload"]["changes"].clone()
}

/// How often each rule of a listener was met, the default last.
fn hits(headworks: &Headworks, listener: &str) -> Vec<u64> {
    let status = headworks.status();
    let rules = status["load_balancers"]["shop"]["listeners"][listener]["rules"].as_array().cloned();
    rules.unwrap_or_default().iter().filter_map(|rule| rule["hits"].as_u64()).collect()
}

const TWO: &str = "
load_balancers:
  shop:
    listeners:
      one:
        address: 127.0.0.1:0
        rules:
          - { name: a, if: { path: [/a] }, then: { forward: web } }
          - { name: b, if: { path: [/b] }, then: { fixed_response: { status: 200, body: \"<body>\" } } }
        default: { forward: web }
      two:
        address: 127.0.0.1:0
        rules: [<rules>]
        default: { fixed_response: { status: 404 } }
target_groups:
  <groups>
  web: { targets: [<web>], health_check: { protocol: none } }
";

#[test]
fn what_has_not_changed_goes_on_and_what_has_is_seen() {
    let (web, other) = (Origin::echo("web"), Origin::echo("other"));
    let rule = "{ name: c, if: { path: [/c] }, then: { forward: web } }";
    let mut headworks = start(TWO, &[("web", &web), ("body", &"b"), ("rules", &rule), ("groups", &"")]);
    let [one, two] = ["shop/one", "shop/two"].map(|name| headworks.listener(name));
    let get = |address, path| Client::connect(address).exchange(&ask("GET", path));
    let mut connection = Client::connect(one);
    assert_eq!(from(&connection.exchange(&ask("GET", "/a"))), "web");
    // the same file again
    headworks.reload(TWO, &[("web", &web), ("body", &"b"), ("rules", &rule), ("groups", &"")]);
    assert_eq!(changes(&headworks), json!([]));
    assert_eq!(from(&connection.exchange(&ask("GET", "/a"))), "web");
    assert_eq!(hits(&headworks, "one"), [2, 0, 0]);
    // another rule of the one, before the one that is there
    let rules = format!("{{ if: {{ path: [/d] }}, then: {{ forward: web }} }}, {rule}");
    assert_eq!(from(&get(two, "/c")), "web");
    headworks.reload(TWO, &[("web", &web), ("body", &"b"), ("rules", &rules), ("groups", &"")]);
    let told = changes(&headworks);
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    assert!(told[0].as_str().is_some_and(|told| told.starts_with("+ load_balancers.shop.listeners.two.rules[0]: ")));
    assert_eq!([from(&get(two, "/d")), from(&get(two, "/c"))], ["web", "web"]);
    assert_eq!((hits(&headworks, "one"), hits(&headworks, "two")), (vec![2, 0, 0], vec![1, 2, 0]));
    // a group that stands before the one that rules forward to
    headworks.reload(
        TWO,
        &[
            ("web", &web),
            ("body", &"b"),
            ("rules", &rules),
            ("groups", &format!("early: {{ targets: [{}] }}", other.address())),
        ],
    );
    for path in ["/a", "/else"] {
        assert_eq!(from(&connection.exchange(&ask("GET", path))), "web");
    }
    assert_eq!(hits(&headworks, "one"), [3, 0, 1]);
    // a rule that answers something else, and targets that are others
    headworks.reload(TWO, &[("web", &other), ("body", &"new"), ("rules", &rules), ("groups", &"")]);
    assert_eq!(connection.exchange(&ask("GET", "/b")).text(), "new");
    assert_eq!([from(&connection.exchange(&ask("GET", "/a"))), from(&get(two, "/c"))], ["other", "other"]);
    assert_eq!(hits(&headworks, "one"), [4, 1, 1]);
}

/// The file is the same, and what it refers to is not.
#[test]
fn what_the_file_refers_to_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let [secret, page] = ["secret", "sorry.html"].map(|name| folder.path().join(name));
    let write = |path: &std::path::Path, text: &str| {
        std::fs::write(path, text).unwrap_or_else(|error| panic!("cannot write: {error}"));
    };
    write(&secret, "hush");
    write(&page, "sorry");
    let yaml = "
load_balancers:
  shop:
    listeners:
      http:
        address: 127.0.0.1:0
        rules:
          - { if: { path: [/secret] }, then: { fixed_response: { status: 200, body: \"${file:<secret>}\" } } }
          - { if: { path: [/rule] }, then: { forward: { groups: none, fallback: { file: <page> } } } }
        default: { forward: own }
target_groups:
  none: { targets: [], fallback: refuse }
  own: { targets: [], fallback: { file: <page> } }
";
    let (secret_at, page_at) = (secret.display(), page.display());
    let parts: [(&str, &dyn std::fmt::Display); 2] = [("secret", &secret_at), ("page", &page_at)];
    let mut headworks = start(yaml, &parts);
    let said = |headworks: &Headworks| ["/secret", "/rule", "/"].map(|path| headworks.ask(&ask("GET", path)).text());
    assert_eq!(said(&headworks), ["hush", "sorry", "sorry"]);
    write(&secret, "hushed");
    write(&page, "very sorry");
    headworks.reload(yaml, &parts);
    assert_eq!(said(&headworks), ["hushed", "very sorry", "very sorry"]);
    // it is not said what a secret was, nor what it is
    assert_eq!(changes(&headworks), json!([]));
    let shown = headworks.admin_get("/v1/config").text();
    assert!(shown.contains("***") && !shown.contains("hush"), "{shown}");
}
