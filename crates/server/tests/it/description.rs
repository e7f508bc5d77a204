//! The description of the API: the one that is checked in is the one that is served, and schemathesis finds nothing in which the
//! program is not as it is described.

use headworks_testkit::Origin;
use serde_json::Value;

use crate::api::NOBODY;
use crate::python::program;
use crate::{proxy, start};

/// `HEADWORKS_UPDATE=1` writes it anew.
#[test]
fn the_description_that_is_checked_in_is_the_one_that_is_served() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let served = NOBODY.get(&headworks, "/v1/openapi.json");
    let path = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
        .join("../../docs/openapi.json");
    let text = format!("{served:#}\n");
    if std::env::var_os("HEADWORKS_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "docs/openapi.json is not what is served: HEADWORKS_UPDATE=1 writes it anew");
    // every reference leads somewhere, every operation has a name of its own
    let mut names = std::collections::BTreeSet::new();
    for methods in served["paths"].as_object().into_iter().flat_map(|paths| paths.values()) {
        for operation in methods.as_object().into_iter().flat_map(|methods| methods.values()) {
            let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
            assert!(!name.is_empty() && names.insert(name), "{operation:#}");
        }
    }
    references(&served, &served);
}

fn references(value: &Value, root: &Value) {
    match value {
        Value::Object(entries) => {
            if let Some(to) = entries.get("$ref").and_then(Value::as_str) {
                assert!(root.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
            }
            entries.values().for_each(|inner| references(inner, root));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, root)),
        _ => {}
    }
}

#[test]
fn the_program_is_as_it_is_described() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let output = program("schemathesis")
        .args(["run", &format!("http://{}/v1/openapi.json", headworks.admin())])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        // what has no end, and what has the file applied or a database copied for each example
        .args([
            "--exclude-path",
            "/v1/events",
            "--exclude-path",
            "/v1/live",
            "--exclude-path",
            "/v1/reload",
            "--exclude-path",
            "/v1/backup",
        ])
        .args(["--phases", "examples,fuzzing", "--max-examples", "12", "--seed", "1", "--workers", "1"])
        .current_dir(headworks.path(""))
        .output();
    let output = output.unwrap_or_else(|error| panic!("schemathesis: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    headworks.expect_alive();
}
