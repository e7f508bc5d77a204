//! The command line that operates a running instance.

use std::process::Output;

use headworks_testkit::{Client, Headworks, Origin, ask};
use serde_json::{Value, json};

use crate::api::who;
use crate::identities::locked;
use crate::start;

pub(crate) const RELEASE: &str = "
load_balancers:
  shop: { listeners: { http: { address: 127.0.0.1:0, default: { forward: blue } } } }
target_groups:
  blue: { targets: [<blue>], health_check: { protocol: none } }
";

/// Runs a command against an instance; its output and exit status.
pub(crate) fn run(headworks: &Headworks, arguments: &[&str]) -> (String, String, Option<i32>) {
    let admin = headworks.admin().to_string();
    let Output { status, stdout, stderr } = headworks.beside(&[arguments, &["--endpoint", &admin]].concat());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(stdout), text(stderr), status.code())
}

pub(crate) fn fine(headworks: &Headworks, arguments: &[&str]) -> String {
    let (out, error, status) = run(headworks, arguments);
    assert_eq!(status, Some(0), "{arguments:?}: {out}{error}");
    out
}

#[test]
fn a_file_is_applied_shown_changed_and_rolled_back() {
    let (blue, green) = (Origin::echo("blue"), Origin::echo("green"));
    let headworks = start(RELEASE, &[("blue", &blue)]);
    let file = format!(
        "target_groups:\n  green: {{ targets: [\"{}\"], health_check: {{ protocol: none }} }}\n\
         load_balancers:\n  edge:\n    listeners:\n      http:\n        address: 127.0.0.1:0\n        rules:\n          \
         - {{ name: all, then: {{ forward: {{ groups: {{ blue: 100, green: 0 }} }} }} }}\n        default: {{ forward: blue }}\n",
        green.address()
    );
    std::fs::write(headworks.path("more.yaml"), &file).unwrap();
    let would = fine(&headworks, &["diff", "-f", "more.yaml"]);
    assert!(would.contains("+ target_groups.green") && would.contains("nothing was done"), "{would}");
    let applied = fine(&headworks, &["apply", "-f", "more.yaml", "--reason", "release"]);
    assert!(applied.contains("revision 1"), "{applied}");
    assert!(fine(&headworks, &["apply", "-f", "more.yaml"]).contains("nothing to change"));
    let table = fine(&headworks, &["get", "target-groups"]);
    assert!(table.lines().any(|line| line.starts_with("green") && line.contains("api")), "{table}");
    assert!(table.lines().any(|line| line.starts_with("blue") && line.contains("file")), "{table}");
    let one: Value = serde_json::from_str(&fine(&headworks, &["get", "tg", "green", "-o", "json"])).unwrap();
    assert_eq!(one["targets"][0]["address"], green.address().to_string());

    let would = fine(&headworks, &["weights", "edge/http/all", "blue=0", "green=100", "--dry-run"]);
    assert!(would.contains("groups.green: 0 -> 100") && would.contains("nothing was done"), "{would}");
    let weights = fine(&headworks, &["weights", "edge/http/all", "blue=0", "green=100", "--reason", "all of it"]);
    assert!(weights.lines().any(|line| line.split_whitespace().eq(["green", "0", "100"])), "{weights}");
    let through = |headworks: &Headworks| {
        let status = headworks.status();
        let address = status["load_balancers"]["edge"]["listeners"]["http"]["address"].as_str().unwrap_or_default();
        who(&Client::connect(address.parse().unwrap()).exchange(&ask("GET", "/")))
    };
    assert!(through(&headworks) == "green");
    let history = fine(&headworks, &["history"]);
    assert!(history.contains("all of it") && history.contains("load_balancers.edge"), "{history}");
    assert!(fine(&headworks, &["history", "--revision", "2"]).contains("groups.green: 0 -> 100"));
    fine(&headworks, &["rollback", "1"]);
    assert!(through(&headworks) == "blue");

    let exported = fine(&headworks, &["export"]);
    std::fs::write(headworks.path("exported.yaml"), &exported).unwrap();
    assert!(fine(&headworks, &["apply", "-f", "exported.yaml", "--prune"]).contains("nothing to change"), "{exported}");
    std::fs::write(headworks.path("empty.yaml"), "").unwrap();
    fine(&headworks, &["apply", "-f", "empty.yaml", "--prune"]);
    assert!(!fine(&headworks, &["get", "target-groups"]).contains("green"));
}

#[test]
fn targets_are_registered_drained_and_deregistered() {
    let (blue, green) = (Origin::echo("blue"), Origin::echo("green"));
    let headworks = start(RELEASE, &[("blue", &blue)]);
    let api = crate::api::NOBODY;
    api.expect(&headworks, "PUT /v1/target-groups/api", &json!({}), 201);
    let address = green.address().to_string();
    fine(&headworks, &["targets", "register", "api", &format!("{address}=5"), "127.0.0.1:1"]);
    let weight = |headworks: &Headworks| api.get(headworks, "/v1/target-groups/api/targets")[0]["weight"].clone();
    assert_eq!(weight(&headworks), 5);
    for (arguments, line) in [
        (&["targets", "drain", "api", &address, "--dry-run"][..], "weight: 5 -> 0"),
        (&["targets", "deregister", "api", &address, "--dry-run"], "- target_groups.api.targets"),
        (&["targets", "register", "api", "127.0.0.1:2", "--dry-run"], "127.0.0.1:2"),
        (&["delete", "target-group", "api", "--dry-run"], "- target_groups.api"),
    ] {
        let would = fine(&headworks, arguments);
        assert!(would.contains(line) && would.contains("nothing was done"), "{arguments:?}: {would}");
    }
    assert_eq!(weight(&headworks), 5);
    fine(&headworks, &["targets", "drain", "api", &address, "--reason", "it is old"]);
    assert!(fine(&headworks, &["history"]).contains("it is old"));
    assert_eq!(weight(&headworks), 0);
    fine(&headworks, &["targets", "deregister", "api", &address, "127.0.0.1:1"]);
    assert_eq!(api.get(&headworks, "/v1/target-groups/api/targets"), json!([]));
    let described = fine(&headworks, &["describe", "target-group", "api"]);
    assert!(described.contains("draining") || described.contains("unused"), "{described}");
    fine(&headworks, &["delete", "target-group", "api"]);
}

#[test]
fn what_is_wrong_is_said_as_of_the_file() {
    let blue = Origin::echo("blue");
    let headworks = start(RELEASE, &[("blue", &blue)]);
    std::fs::write(headworks.path("wrong.yaml"), "target_groups:\n  x: { algorithm: wrong, targets: [nowhere] }\n")
        .unwrap();
    std::fs::write(headworks.path("admin.yaml"), "admin: { auth: none }\n").unwrap();
    for (arguments, status, parts) in [
        (
            &["apply", "-f", "wrong.yaml"][..],
            2,
            &["wrong.yaml:2:8: target_groups.x.algorithm: ", "wrong.yaml:2:36: target_groups.x.targets[0]: "][..],
        ),
        (&["diff", "-f", "admin.yaml"], 2, &["admin.yaml:1:1: admin: unknown key, expected one of certificates"]),
        (&["apply", "-f", "missing.yaml"], 2, &["missing.yaml"]),
        (&["delete", "target-group", "blue"], 2, &["configuration file"]),
        (&["get", "target-groups", "nobody"], 2, &["there is no target group"]),
        (&["get", "colours"], 2, &["expected one of", "target-groups"]),
        (&["weights", "shop/http", "blue=1"], 2, &["load-balancer/listener/rule"]),
        (&["weights", "shop/http/default", "blue"], 2, &["group=weight"]),
        (&["weights", "shop/http/default", "blue=1"], 2, &["configuration file"]),
        (&["rollback", "9"], 2, &["there is no revision 9"]),
        (&["targets", "drain", "blue", "127.0.0.1:9"], 2, &["there is no target"]),
    ] {
        let (out, error, code) = run(&headworks, arguments);
        assert_eq!(code, Some(status), "{arguments:?}: {out}{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{arguments:?}: {error}");
    }
    let nobody = headworks.beside(&["get", "target-groups", "--endpoint", "127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
}

/// Whoever can read the key file may operate an instance from its machine; others sign with keys of their own.
#[test]
fn calls_are_signed() {
    let web = Origin::echo("web");
    let (headworks, root) = locked(&web);
    let (out, error, code) = run(&headworks, &["get", "target-groups"]);
    assert_eq!(code, Some(2), "{out}{error}");
    assert!(error.contains("not signed"), "{error}");
    // the file says port 0, so that a file that says where it is stands in for it
    let file = format!("admin: {{ address: \"{}\", auth: required }}\n", headworks.admin());
    std::fs::write(headworks.path("here.yaml"), file).unwrap();
    let local = headworks.beside(&["get", "target-groups", "-c", "here.yaml"]);
    assert!(local.status.success(), "{local:?}");
    assert_eq!(headworks.beside(&["reload", "-c", "here.yaml"]).status.code(), Some(0));
    let entries = root.get(&headworks, "/v1/audit?principal=hrn:headworks:local");
    assert_eq!(entries["entries"][0]["action"], "headworks:ReloadConfiguration", "{entries:#}");
}
