//! What a scanner of TLS servers says of a listener: sslyze, against Mozilla's recommended configurations.

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
