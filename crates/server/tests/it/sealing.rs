//! The key that secrets are sealed with: exchanged, cut off while it is, lost, kept elsewhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use headworks_testkit::{Headworks, Origin};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::{Api, Key};
use crate::identities::{locked, user};
use crate::{HEADWORKS, start};

const CACHE: &str = "/v1/target-groups/cache";

fn cache(weight: u64) -> Value {
    json!({
        "protocol": "tcp",
        "targets": [{ "address": "127.0.0.1:1", "weight": weight }],
        "health_check": { "protocol": "redis", "password": "correct-horse" },
    })
}

fn stop(headworks: &mut Headworks) {
    headworks.signal(Signal::TERM);
    headworks.wait_exit();
}

fn rotate(headworks: &Headworks, more: &[&str]) -> (String, Option<i32>) {
    let output = headworks.beside(&[&["rotate-key", "-c", "headworks.yaml"], more].concat());
    (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.code())
}

fn fine(headworks: &Headworks, more: &[&str]) {
    let (said, code) = rotate(headworks, more);
    assert_eq!(code, Some(0), "{said}");
}

/// That everything that is secret is still what it was.
fn is_whole(headworks: &Headworks, apis: &[&Api]) {
    apis.iter().for_each(|api| drop(api.get(headworks, "/v1/iam/whoami")));
    let root = apis[0];
    assert_eq!(root.get(headworks, "/v1/audit/verify")["intact"], true);
    // the secret of an earlier revision is what it was: nothing changes but the weight
    root.expect(headworks, "POST /v1/revisions/1/restore", &Value::Null, 200);
    let newest = root.get(headworks, "/v1/revisions?limit=1")["revisions"][0]["revision"].clone();
    let changes = root.get(headworks, &format!("/v1/revisions/{newest}"))["changes"].to_string();
    assert!(changes.contains("weight") && !changes.contains("password"), "{changes}");
    root.expect(headworks, &format!("PUT {CACHE}"), &cache(7), 200);
    let changes = root.get(headworks, "/v1/revisions?limit=1");
    assert_ne!(changes["revisions"][0]["revision"], newest, "{changes:#}");
}

#[test]
fn a_key_is_exchanged_for_another_or_stays() {
    let web = Origin::echo("web");
    let (mut headworks, root) = locked(&web);
    let alice = user(&headworks, &root, "alice");
    let mfa = root.expect(&headworks, "POST /v1/iam/users/alice/mfa", &Value::Null, 201);
    assert!(mfa["secret"].is_string());
    root.expect(&headworks, &format!("PUT {CACHE}"), &cache(1), 201);
    root.expect(&headworks, &format!("PUT {CACHE}"), &cache(2), 200);
    let (said, code) = rotate(&headworks, &[]);
    assert!(code == Some(1) && said.contains("stop it first"), "{said}");
    let (key, next) = (headworks.path("state/control.key"), headworks.path("state/control.next"));
    let read = |path: &Path| std::fs::read(path).unwrap();
    let first = read(&key);
    stop(&mut headworks);
    fine(&headworks, &[]);
    let second = read(&key);
    assert!(first != second && !next.exists());
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    headworks.again();
    is_whole(&headworks, &[&root, &alice]);

    // cut off when all was sealed, and before the keys had changed places
    stop(&mut headworks);
    std::fs::rename(&key, &next).unwrap();
    private(&key, &first);
    headworks.again();
    assert!(read(&key) == second && !next.exists());
    is_whole(&headworks, &[&root, &alice]);

    // cut off before anything was sealed
    stop(&mut headworks);
    private(&next, &[9; 32]);
    headworks.again();
    assert!(read(&key) == second);
    is_whole(&headworks, &[&root, &alice]);

    // another key opens nothing, and nothing is written with it
    stop(&mut headworks);
    private(&key, &first);
    let refused = HEADWORKS.run(&headworks.path(""), &["run", "-c", "headworks.yaml"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("is not the key that what is kept was sealed with"), "{said}");
    assert_eq!(rotate(&headworks, &[]).1, Some(1));
    private(&key, &second);
    headworks.again();
    is_whole(&headworks, &[&root, &alice]);
}

/// A file of its owner's only.
fn private(path: &Path, bytes: &[u8]) {
    let written = std::fs::write(path, bytes)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[test]
fn a_key_may_be_kept_elsewhere() {
    let web = Origin::echo("web");
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let yaml = |key: &Path| {
        format!(
            "admin: {{ address: 127.0.0.1:0, auth: required, key_file: {} }}\n\
             load_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }} }}\n\
             target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }} }}\n",
            key.display()
        )
    };
    private(&first, b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    private(&second, &[7; 32]);
    let mut headworks = start(&yaml(&first), &[("web", &web)]);
    let output = headworks.beside(&["init", "-c", "headworks.yaml", "--json"]);
    let root = Api::with(Key::of(&serde_json::from_slice(&output.stdout).unwrap()));
    root.expect(&headworks, &format!("PUT {CACHE}"), &cache(1), 201);
    root.expect(&headworks, &format!("PUT {CACHE}"), &cache(2), 200);
    assert!(!headworks.path("state/control.key").exists());
    stop(&mut headworks);
    let (said, code) = rotate(&headworks, &[]);
    assert!(code == Some(1) && said.contains("--to"), "{said}");
    let (_, code) = rotate(&headworks, &["--to", &first.display().to_string()]);
    assert_eq!(code, Some(1), "it is the same key");
    fine(&headworks, &["--to", &second.display().to_string()]);
    std::fs::copy(&second, &first).unwrap();
    headworks.again();
    is_whole(&headworks, &[&root]);
    stop(&mut headworks);
    for (bytes, part) in [(&b"short"[..], "is not a key"), (&[8; 32], "is not the key")] {
        private(&first, bytes);
        let refused = HEADWORKS.run(&headworks.path(""), &["run", "-c", "headworks.yaml"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(part), "{said}");
    }
    std::fs::remove_file(&first).unwrap();
    let refused = HEADWORKS.run(&headworks.path(""), &["run", "-c", "headworks.yaml"]);
    assert!(!refused.status.success() && !first.exists(), "a key was made");
}
