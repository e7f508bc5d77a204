//! What scanners of TLS servers say of a listener: sslyze, against Mozilla's recommended configurations, and testssl.sh,
//! protocols, ciphers and known attacks one by one.

use std::process::Command;

use headworks_testkit::{Authority, Origin, check};

use crate::python::program;
use crate::start;
use crate::tls::{folder, secure};

#[test]
fn nothing_is_found_but_the_unknown_authority() {
    let folder = folder();
    Authority::new("Test Authority").issue(&["localhost"]).place(folder.path(), "a");
    let web = Origin::echo("web");
    check(
        [("intermediate", "intermediate"), ("modern", "modern")],
        |(policy, _)| (*policy).to_owned(),
        |(policy, configuration)| {
            let listener = format!(", tls_policy: {policy}");
            let headworks = start(&secure(folder.path(), &["a"], "", &listener), &[("web", &web)]);
            let mut command = program("sslyze");
            command.arg(format!("--mozilla_config={configuration}")).arg(headworks.address().to_string());
            let said = command.output().unwrap_or_else(|error| panic!("cannot scan: {error}"));
            let said = String::from_utf8_lossy(&said.stdout);
            let (_, verdict) = said.split_once("COMPLIANCE AGAINST").unwrap_or_else(|| panic!("no verdict: {said}"));
            let faults: Vec<&str> =
                verdict.lines().filter_map(|line| line.trim().strip_prefix("* ")?.split(':').next()).collect();
            // both are said of the certificate that this test made
            assert_eq!(faults, ["certificate_path_validation", "maximum_certificate_lifespan"], "{verdict}");
            headworks.expect_alive();
        },
    );
}

/// What testssl.sh finds fault with, and why that is so here.
const EXPLAINED: [(&str, &str); 3] = [
    ("cert_chain_of_trust", "the authority is this test's own"),
    ("cert_validityPeriod", "they are valid for the whole of the test and longer"),
    ("cert_revocation", "its certificates name neither a revocation list nor a responder"),
];

#[test]
fn testssl_finds_nothing_but_the_unknown_authority() {
    let folder = folder();
    Authority::new("Test Authority").issue(&["localhost"]).place(folder.path(), "a");
    let web = Origin::echo("web");
    let headers = ", response_headers: { strict_transport_security: max-age=31536000, x_frame_options: DENY }";
    let headworks = start(&secure(folder.path(), &["a"], "", headers), &[("web", &web)]);
    let report = folder.path().join("report.json");
    let mut command = Command::new("testssl");
    command
        .args(["--quiet", "--color=0", "--warnings=off", "--ip=127.0.0.1", "--nodns=none", "--jsonfile"])
        .arg(&report);
    let checks = ["--protocols", "--std", "--pfs", "--server-defaults", "--server-preference", "--headers"];
    command.args(checks).arg("--vulnerable").arg(format!("https://localhost:{}", headworks.address().port()));
    let said = command.output().unwrap_or_else(|error| panic!("cannot scan ({error}): make packages"));
    let findings: Vec<serde_json::Value> = std::fs::read(&report)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_else(|| panic!("no report: {}", String::from_utf8_lossy(&said.stdout)));
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    // it has looked
    for (id, expected) in [("TLS1_2", "offered"), ("TLS1_3", "offered with final"), ("heartbleed", "not vulnerable")] {
        let found = findings.iter().find(|finding| finding["id"] == id).map(|finding| text(finding, "finding"));
        assert!(found.as_deref().unwrap_or_default().starts_with(expected), "{id}: {found:?}");
    }
    let faults: Vec<String> = findings
        .iter()
        // WARN is what it could not look at, for want of time for instance
        .filter(|finding| !["OK", "INFO", "LOW", "WARN"].contains(&text(finding, "severity").as_str()))
        .filter(|finding| EXPLAINED.iter().all(|(id, _)| finding["id"] != *id))
        .map(ToString::to_string)
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    headworks.expect_alive();
}
