//! The JSON Schema knows what the reader knows.

use headworks_model::schema;
use serde_json::Value;

use crate::common::{accept, parse};

/// Follows `$ref`.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => resolve(root, root.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null)),
        None => schema,
    }
}

/// Every mapping of the schema that has named keys, below `schema`.
fn objects<'s>(schema: &'s Value, found: &mut Vec<&'s Value>) {
    if schema.get("properties").is_some() {
        found.push(schema);
    }
    match schema {
        Value::Object(entries) => entries.values().for_each(|inner| objects(inner, found)),
        Value::Array(items) => items.iter().for_each(|inner| objects(inner, found)),
        _ => {}
    }
}

#[test]
fn every_key_has_a_description_and_nothing_is_open() {
    let schema = schema();
    let mut found = Vec::new();
    objects(&schema, &mut found);
    assert!(found.len() > 30);
    for object in found {
        assert_eq!(object.get("additionalProperties"), Some(&Value::Bool(false)), "{object:#}");
        for (key, property) in object["properties"].as_object().expect("a mapping") {
            let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(!text.is_empty(), "{key} has no description: {property:#}");
            assert!(!text.contains("//"), "{key}: {text}");
        }
    }
}

/// Whether `schema` lets `value` pass, as far as the words go that we write.
fn passes(root: &Value, schema: &Value, value: &Value) -> bool {
    let schema = resolve(root, schema);
    let all = |list: &Value| list.as_array().cloned().unwrap_or_default();
    if let Some(options) = schema.get("anyOf") {
        return all(options).iter().any(|option| passes(root, option, value));
    }
    if let Some(options) = schema.get("oneOf") {
        return all(options).iter().filter(|option| passes(root, option, value)).count() == 1;
    }
    if let Some(constant) = schema.get("const") {
        return constant == value;
    }
    if let Some(options) = schema.get("enum") {
        return all(options).contains(value);
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    kinds.iter().filter_map(Value::as_str).any(|kind| match (kind, value) {
        ("object", Value::Object(entries)) => {
            let required = all(&schema["required"]);
            required.iter().all(|key| key.as_str().is_some_and(|key| entries.contains_key(key)))
                && entries.iter().all(|(key, inner)| match schema["properties"].get(key) {
                    Some(property) => passes(root, property, inner),
                    None => schema
                        .get("additionalProperties")
                        .is_some_and(|other| other != &Value::Bool(false) && passes(root, other, inner)),
                })
        }
        ("array", Value::Array(items)) => items.iter().all(|item| passes(root, &schema["items"], item)),
        ("string", Value::String(_)) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => true,
        ("integer", Value::Number(number)) => number.is_u64(),
        _ => false,
    })
}

#[test]
fn the_canonical_form_of_the_sample_passes() {
    let schema = schema();
    let json = accept(include_str!("../data/contract.yaml")).config.to_json();
    for (collection, resources) in json.as_object().expect("a mapping") {
        let property = &resolve(&schema, &schema)["properties"][collection];
        assert!(passes(&schema, property, resources), "{collection}: {resources:#}");
    }
}

/// The reader names its keys in the fault about an unknown one; the schema must have the same.
#[test]
fn the_reader_and_the_schema_know_the_same_keys() {
    let schema = schema();
    let listener = "listeners: { l: { port: 0, nokey: 1, default: { fixed_response: { status: 200, nokey: 1 } }, limits: { nokey: 1 }, rules: [ { nokey: 1, if: { nokey: 1 }, then: { redirect: { nokey: 1 } } } ] } }";
    let text = format!(
        "nokey: 1\nadmin: {{ nokey: 1 }}\nshutdown: {{ nokey: 1 }}\nupgrade: {{ nokey: 1 }}\n\
         load_balancers: {{ s: {{ nokey: 1, {listener}, access_log: {{ nokey: 1 }} }} }}\n\
         target_groups: {{ w: {{ nokey: 1, targets: [ {{ nokey: 1 }} ], retry: {{ nokey: 1 }}, circuit_breaker: {{ nokey: 1 }}, health_check: {{ nokey: 1 }}, limits: {{ nokey: 1 }} }} }}\n\
         certificates: {{ c: {{ nokey: 1 }} }}\nsecurity_groups: {{ g: {{ nokey: 1, inbound: [ {{ nokey: 1 }} ] }} }}\n\
         network_acls: {{ n: {{ nokey: 1, inbound: [ {{ nokey: 1 }} ] }} }}\n"
    );
    let faults = parse(&text).expect_err("unknown keys");
    let mut found = Vec::new();
    objects(&schema, &mut found);
    let known: Vec<Vec<&str>> = found
        .iter()
        .map(|object| {
            let mut keys: Vec<&str> =
                object["properties"].as_object().expect("a mapping").keys().map(String::as_str).collect();
            keys.sort_unstable();
            keys
        })
        .collect();
    let unknown: Vec<_> = faults.iter().filter(|fault| fault.what == "unknown key").collect();
    assert_eq!(unknown.len(), text.matches("nokey").count(), "{faults}");
    for fault in unknown {
        let expected = fault.expected.as_deref().expect("the keys");
        let mut keys: Vec<&str> =
            expected.trim_start_matches("one of ").split(" (").next().expect("keys").split(", ").collect();
        keys.sort_unstable();
        assert!(known.contains(&keys), "{fault}");
    }
}
