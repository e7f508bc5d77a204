//! Which files are named.

use std::collections::BTreeSet;
use std::path::Path;

use headworks_model::{Kind, schema};
use serde_json::Value;

use crate::common::accept;

/// Where the schema takes paths of files, as a definition's name and a key.
fn places(schema: &Value, of: &str, found: &mut BTreeSet<String>) {
    let Value::Object(entries) = schema else {
        return schema.as_array().into_iter().flatten().for_each(|inner| places(inner, of, found));
    };
    if schema.get("format").is_some_and(|format| format == "path") {
        found.insert(of.to_owned());
    }
    for (key, inner) in entries {
        match (key.as_str(), inner) {
            ("properties" | "$defs", Value::Object(named)) => {
                let of = of.split('.').next().filter(|_| key == "properties").unwrap_or_default();
                let name = |name: &str| if of.is_empty() { name.to_owned() } else { format!("{of}.{name}") };
                named.iter().for_each(|(key, inner)| places(inner, &name(key), found));
            }
            _ => places(inner, of, found),
        }
    }
}

const EVERYWHERE: &str = "
acme: { ca: ca.pem, email: a@example.com, terms_agreed: true }
certificates:
  own: { certificate: cert.pem, key: /keys/key.pem, ocsp: ocsp.der }
load_balancers:
  shop:
    access_log: access.log
    listeners:
      http:
        address: 127.0.0.1:0
        default: { forward: { groups: web, fallback: { file: default.html } } }
        rules: [{ if: { path: /a }, then: { forward: { groups: web, fallback: { file: { path: rule.html } } } } }, { if: { path: /b }, then: { forward: web } }]
      https:
        address: 127.0.0.1:0
        protocol: https
        certificates: [own]
        mutual_authentication: { mode: verify, trust_store: trust.pem, crl: crl.pem }
        default: { forward: web }
target_groups:
  web: { targets: ['unix:/run/app.sock', 127.0.0.1:1], fallback: { file: group.html } }
  safe: { protocol: https, targets: [127.0.0.1:1], tls: { verify: true, ca: targets.pem } }
network_acls: { open: { inbound: [{ rule: 1, from: 0.0.0.0/0, action: allow }] } }
";

#[test]
fn every_place_that_takes_a_path_is_known() {
    let mut found = BTreeSet::new();
    places(&schema(), "", &mut found);
    // a new one belongs into `Config::files`, `Config::make_files_absolute`, and the text above
    let known = [
        "AccessLog",
        "AccessLog.path",
        "Acme.ca",
        "Admin.data",
        "Admin.key_file",
        "Certificate.certificate",
        "Certificate.key",
        "Certificate.ocsp",
        "FileResponse",
        "FileResponse.path",
        "MutualAuthentication.crl",
        "MutualAuthentication.trust_store",
        "TargetTls.ca",
    ];
    assert_eq!(found, known.map(String::from).into());
}

#[test]
fn all_files_of_a_resource() {
    let mut config = accept(EVERYWHERE).config;
    for (kind, name, files) in [
        (Kind::Certificate, "own", &["/keys/key.pem", "cert.pem", "ocsp.der"][..]),
        (Kind::LoadBalancer, "shop", &["access.log", "crl.pem", "default.html", "rule.html", "trust.pem"]),
        (Kind::TargetGroup, "web", &["/run/app.sock", "group.html"]),
        (Kind::TargetGroup, "safe", &["targets.pem"]),
        (Kind::NetworkAcl, "open", &[]),
        (Kind::Certificate, "none", &[]),
    ] {
        let found: BTreeSet<&str> =
            config.files(kind, name).into_iter().filter_map(|(_, path)| path.to_str()).collect();
        assert_eq!(found, files.iter().copied().collect(), "{name}");
    }
    config.make_files_absolute(Path::new("/etc/headworks"));
    let text = config.to_json().to_string();
    for relative in
        ["ca.pem", "cert.pem", "access.log", "default.html", "rule.html", "trust.pem", "crl.pem", "group.html"]
    {
        assert!(text.contains(&format!("\"/etc/headworks/{relative}\"")), "{relative}: {text}");
    }
    let read = [(Kind::Certificate, "own"), (Kind::LoadBalancer, "shop"), (Kind::TargetGroup, "safe")];
    assert!(read.into_iter().flat_map(|(kind, name)| config.files(kind, name)).all(|(_, path)| path.is_absolute()));
    assert_eq!(config.admin.data, Path::new("/etc/headworks/state/"));
}
