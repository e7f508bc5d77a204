//! Lists in pages: each entry once, and none missed, whatever comes and goes between two pages.

use headworks_testkit::{Headworks, Origin};
use serde_json::{Value, json};

use crate::api::NOBODY;
use crate::identities::allow;
use crate::{proxy, start};

/// All pages of two of a list, with something done after the first.
fn pages(headworks: &Headworks, path: &str, key: &str, meanwhile: impl Fn()) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), String::new());
    for number in 0..100 {
        let page = NOBODY.get(headworks, &format!("{path}limit=2{after}"));
        let entries = page[key].as_object().unwrap_or_else(|| panic!("no {key} in {page:#}"));
        assert!(entries.len() <= 2, "{page:#}");
        names.extend(entries.keys().cloned());
        if number == 0 {
            meanwhile();
        }
        let Some(next) = page["next"].as_str() else { return names };
        after = format!("&after={next}");
    }
    panic!("{path} has no end");
}

#[test]
fn every_list_by_name_comes_in_pages_that_stay_right_when_it_changes() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let document = allow(&json!("headworks:Get*"), &json!("*"));
    let trust = json!({ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "headworks:AssumeRole" });
    let role = json!({ "trust": { "Statement": trust } });
    NOBODY.expect(&headworks, "PUT /v1/iam/users/owner", &json!({}), 201);
    for (list, key, body, filter) in [
        ("iam/users", "users", json!({}), ""),
        ("iam/groups", "groups", json!({}), ""),
        ("iam/roles", "roles", role, ""),
        ("iam/policies", "policies", document.clone(), "built_in=false&"),
        ("iam/users/owner/policies", "policies", document, ""),
        ("target-groups", "target_groups", json!({}), "origin=api&"),
    ] {
        let call = |method: &str, name: &str, body: &Value, status: u16| {
            drop(NOBODY.expect(&headworks, &format!("{method} /v1/{list}/{name}"), body, status));
        };
        ["a1", "a2", "a3", "a4", "a5", "b1"].iter().for_each(|name| call("PUT", name, &body, 201));
        let names = pages(&headworks, &format!("/v1/{list}?prefix=a&{filter}"), key, || {
            // the one that the page ended with goes, one comes before it and one behind
            call("DELETE", "a2", &Value::Null, 204);
            call("PUT", "a0", &body, 201);
            call("PUT", "a6", &body, 201);
        });
        assert_eq!(names, ["a1", "a2", "a3", "a4", "a5", "a6"], "{list}");
        NOBODY.expect(&headworks, &format!("GET /v1/{list}?limit=0"), &Value::Null, 400);
        NOBODY.expect(&headworks, &format!("GET /v1/{list}?limit=501"), &Value::Null, 400);
    }
    let built_in = NOBODY.get(&headworks, "/v1/iam/policies?built_in=true");
    assert_eq!(built_in["policies"].as_object().map(serde_json::Map::len), Some(3), "{built_in:#}");
}

/// Those whose entries say themselves what they are called come in the same pages.
#[test]
fn keys_and_versions_come_in_pages() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    NOBODY.expect(&headworks, "PUT /v1/iam/users/alice", &json!({}), 201);
    let keys = (0..2).map(|_| NOBODY.expect(&headworks, "POST /v1/iam/users/alice/access-keys", &Value::Null, 201));
    let mut keys: Vec<Value> = keys.map(|key| key["access_key_id"].clone()).collect();
    keys.sort_by_key(Value::to_string);
    let document = allow(&json!("headworks:Get*"), &json!("*"));
    NOBODY.expect(&headworks, "PUT /v1/iam/policies/reading", &document, 201);
    // the oldest have left, and the tenth follows the ninth
    (0..10).for_each(|number| {
        let document = allow(&json!(format!("headworks:Get{number}")), &json!("*"));
        NOBODY.expect(&headworks, "PUT /v1/iam/policies/reading", &document, 200);
    });
    let versions = ["v7", "v8", "v9", "v10", "v11"].map(Value::from).to_vec();
    for (list, key, id, expected) in [
        ("users/alice/access-keys", "access_keys", "access_key_id", keys),
        ("policies/reading/versions", "versions", "version", versions),
    ] {
        let page = |query: &str| NOBODY.get(&headworks, &format!("/v1/iam/{list}?{query}"));
        let called = |page: &Value| page[key].as_array().unwrap().iter().map(|one| one[id].clone()).collect::<Vec<_>>();
        assert_eq!(called(&page("")), expected, "{list}");
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = page(&format!("limit=1{after}"));
            found.extend(called(&page));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(found, expected, "{list}");
        let first = expected[0].as_str().unwrap();
        assert_eq!(called(&page(&format!("prefix={first}"))), [first], "{list}");
    }
}

#[test]
fn what_is_no_mapping_says_in_a_field_where_the_next_page_is() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let addresses: Vec<String> = (1..=5).map(|port| format!("127.0.0.1:{port}")).collect();
    let group = json!({ "targets": addresses, "health_check": { "protocol": "none" } });
    NOBODY.expect(&headworks, "PUT /v1/target-groups/api", &group, 201);
    let rule = |name: &str| match name {
        "" => json!({ "if": { "path": ["/"] }, "then": { "forward": "api" } }),
        _ => json!({ "name": name, "if": { "path": ["/"] }, "then": { "forward": "api" } }),
    };
    let rules: Vec<Value> = ["z", "my-z", "", "y", "my-y", "x", "my-x"].map(rule).into();
    let listener = json!({ "address": "127.0.0.1:0", "rules": rules, "default": { "forward": "api" } });
    let listeners: serde_json::Map<String, Value> =
        ["e", "c", "a", "d", "b"].map(|name| (name.to_owned(), listener.clone())).into_iter().collect();
    NOBODY.expect(&headworks, "PUT /v1/load-balancers/edge", &json!({ "listeners": listeners }), 201);
    for (list, expected) in [
        (
            "/v1/target-groups/api/targets",
            vec!["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:5"],
        ),
        ("/v1/load-balancers/edge/listeners", vec!["a", "b", "c", "d", "e"]),
        ("/v1/load-balancers/edge/listeners/a/rules", vec!["z", "my-z", "y", "my-y", "x", "my-x"]),
        ("/v1/load-balancers/edge/listeners/a/rules?prefix=my-", vec!["my-z", "my-y", "my-x"]),
        ("/v1/load-balancers/edge/listeners/a/rules?prefix=none", vec![]),
    ] {
        let (list, filter) = list.split_once('?').unwrap_or((list, ""));
        let (mut query, mut found, mut tags) = (Some(format!("?limit=2&{filter}")), Vec::new(), Vec::new());
        while let Some(page) = query {
            let response = NOBODY.raw(&headworks, &format!("GET {list}{page}"), &[], b"");
            tags.push(response.field("ETag").map(str::to_owned));
            match response.json() {
                Value::Array(list) => {
                    let called = |one: &Value| one["address"].as_str().or(one["name"].as_str()).map(str::to_owned);
                    found.extend(list.iter().filter_map(called));
                }
                Value::Object(entries) => found.extend(entries.keys().cloned()),
                other => panic!("{other}"),
            }
            let next = response.field("Link").and_then(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""));
            query = next.map(str::to_owned);
        }
        assert_eq!(found, expected, "{list}");
        let whole = NOBODY.raw(&headworks, &format!("GET {list}"), &[], b"").field("ETag").map(str::to_owned);
        assert!(whole.is_some() && tags.iter().all(|tag| *tag == whole), "{list}: {tags:?} {whole:?}");
    }
}

/// Of very many targets not all are in memory at once: what runs is told group by group.
#[test]
fn the_status_of_many_targets_comes_in_parts() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let coding = || {
        let whole = NOBODY.raw(&headworks, "GET /v1/status", &[], b"");
        (whole.json(), whole.field("Transfer-Encoding").map(str::to_owned))
    };
    let (one, whole) = coding();
    assert_eq!((one["target_groups"]["web"]["healthy"].as_u64(), whole), (Some(1), None), "{one:#}");
    let targets = |group: usize| (1..=200).map(|n| format!("127.0.{group}.{n}:1")).collect::<Vec<_>>();
    let group = |n| json!({ "targets": targets(n), "health_check": { "protocol": "none" } });
    let groups: serde_json::Map<String, Value> = (0..10).map(|n| (format!("g{n}"), group(n))).collect();
    NOBODY.expect(&headworks, "POST /v1/changes", &json!({ "put": { "target_groups": groups } }), 200);
    let (many, parts) = coding();
    assert_eq!(parts.as_deref(), Some("chunked"));
    let told = many["target_groups"].as_object().unwrap();
    assert_eq!(told.len(), 11);
    for n in 0..10 {
        let of_group = &told[&format!("g{n}")]["targets"];
        let addresses: Vec<&str> = of_group.as_array().unwrap().iter().filter_map(|t| t["address"].as_str()).collect();
        assert_eq!(addresses, targets(n));
    }
}
