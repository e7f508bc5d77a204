//! The whole state, saved and brought back: while the program runs, and while it does not.

use std::net::{Shutdown, TcpListener, TcpStream};

use headworks_iam::sigv4::content_hash;
use headworks_testkit::wire::Response;
use headworks_testkit::{Headworks, Origin, ask, free_port};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::{Api, NOBODY, who};
use crate::identities::{LOCKED, allow, initialise, locked, user};
use crate::revisions::put;
use crate::{proxy, start};

const API: Api = NOBODY;
const CACHE: &str = "/v1/target-groups/cache";

fn cache() -> Value {
    json!({
        "protocol": "tcp",
        "targets": [{ "address": "127.0.0.1:1" }],
        "health_check": { "protocol": "redis", "password": "correct-horse" },
    })
}

/// What a command says, and how it ends.
fn run(headworks: &Headworks, args: &[&str], status: i32) -> String {
    let output = headworks.beside(&[args, &["-c", "headworks.yaml"]].concat());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    said
}

fn newest(api: &Api, headworks: &Headworks) -> Value {
    api.get(headworks, "/v1/revisions?limit=1")["revisions"][0].clone()
}

#[test]
fn a_backup_is_taken_while_it_runs_and_put_back_while_it_does_not() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    let admin = headworks.admin().to_string();
    let saved = headworks.beside(&["backup", "saved.db", "--endpoint", &admin]);
    assert!(saved.status.success(), "{saved:?}");
    put(&headworks, 2);
    headworks.signal(Signal::TERM);
    headworks.wait_exit();
    headworks.save(&proxy("", ""), &[("web", &web)]);
    run(&headworks, &["restore", "headworks.yaml"], 2);
    run(&headworks, &["restore", "saved.db", "--dry-run"], 2);
    run(&headworks, &["restore", "saved.db"], 0);
    headworks.again();
    assert_eq!(API.get(&headworks, "/v1/target-groups/api")["targets"][0]["weight"], 1);
    assert_eq!(newest(&API, &headworks)["revision"], 1, "revisions are those of then");
    assert_eq!(API.get(&headworks, "/v1/audit/verify")["intact"], true);
}

#[test]
fn a_backup_is_brought_back_while_it_runs() {
    let web = Origin::echo("web");
    // commands find the instance by its file
    let yaml = format!("admin: {{ address: 127.0.0.1:{} }}\n{}", free_port(), proxy("", ""));
    let mut headworks = start(&yaml, &[("web", &web)]);
    put(&headworks, 1);
    API.expect(&headworks, &format!("PUT {CACHE}"), &cache(), 201);
    run(&headworks, &["backup", "saved.db"], 0);
    run(&headworks, &["restore", "saved.db"], 0);
    assert_eq!(newest(&API, &headworks)["revision"], 2, "nothing had to change");

    put(&headworks, 2);
    API.expect(&headworks, &format!("DELETE {CACHE}"), &Value::Null, 204);
    API.expect(&headworks, "PUT /v1/target-groups/other", &json!({}), 201);
    let would = run(&headworks, &["restore", "saved.db", "--dry-run"], 0);
    let lines = ["~ target_groups.api.targets[0].weight: 2 -> 1", "+ target_groups.cache", "- target_groups.other"];
    assert!(lines.iter().all(|line| would.contains(line)), "{would}");
    assert_eq!(newest(&API, &headworks)["revision"], 5);
    let done = run(&headworks, &["restore", "saved.db", "--reason", "the wrong one was deleted"], 0);
    assert!(lines.iter().all(|line| done.contains(line)), "{done}");
    assert_eq!(API.get(&headworks, "/v1/target-groups/api")["targets"][0]["weight"], 1);
    API.expect(&headworks, "GET /v1/target-groups/other", &Value::Null, 404);
    let revision = newest(&API, &headworks);
    assert_eq!((&revision["revision"], &revision["reason"]), (&json!(6), &json!("the wrong one was deleted")));
    API.expect(&headworks, &format!("PUT {CACHE}"), &cache(), 200);
    assert_eq!(newest(&API, &headworks)["revision"], 6, "its secret is what it was");
    // and what was done since the backup can be brought back too
    API.expect(&headworks, "POST /v1/revisions/5/restore", &Value::Null, 200);
    API.get(&headworks, "/v1/target-groups/other");
    assert_eq!(API.get(&headworks, "/v1/audit/verify")["intact"], true);
    assert_eq!(who(&headworks.ask(&ask("GET", "/"))), "web");

    // what is in the file by now stays the file's
    API.expect(&headworks, "DELETE /v1/target-groups/api", &Value::Null, 204);
    let group = "  api: { targets: [127.0.0.1:2], health_check: { protocol: none } }\n";
    headworks.reload(&format!("{yaml}{group}"), &[("web", &web)]);
    let refused = run(&headworks, &["restore", "saved.db"], 2);
    assert!(refused.contains("is declared in the configuration file, at target_groups.api"), "{refused}");
    let left = std::fs::read_dir(headworks.path("state")).unwrap();
    let left: Vec<_> = left.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains(".restore") || name.contains(".backup")), "{left:?}");
}

#[test]
fn what_is_no_backup_changes_nothing() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    let saved = API.raw(&headworks, "GET /v1/backup", &[], b"").body.content;
    put(&headworks, 2);
    let mut scribbled = saved.clone();
    let middle = scribbled.len() / 2;
    scribbled[middle..].iter_mut().for_each(|byte| *byte ^= 0x55);
    for body in [b"no database", &b""[..], &saved[..saved.len() / 2], &saved[..100], &scribbled] {
        let refused = API.raw(&headworks, "POST /v1/restore", &[], body);
        assert!(
            refused.status == 400 && refused.text().contains("nothing that was saved by this program"),
            "{refused}"
        );
    }
    assert_eq!(API.raw(&headworks, "POST /v1/restore?dry_run=perhaps", &[], &saved).status, 400);
    assert_eq!(newest(&API, &headworks)["revision"], 2);
    assert_eq!(API.raw(&headworks, "POST /v1/restore", &[], &saved).status, 200);
    headworks.expect_alive();
}

/// Whoever restores says what it knew: of resources and of identities, and not of who has signed in or was last used.
#[test]
fn a_restore_is_held_against_what_the_caller_knew() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    API.expect(&headworks, "PUT /v1/iam/users/alice", &json!({}), 201);
    let backup = API.raw(&headworks, "GET /v1/backup", &[], b"");
    let (saved, at_first) = (backup.body.content.clone(), tag(&backup));
    let restore =
        |query: &str, condition: &str| API.raw(&headworks, &format!("POST /v1/restore{query}"), &[condition], &saved);
    let now = || tag(&API.raw(&headworks, "GET /v1/restore", &[], b""));
    assert_eq!(now(), at_first);
    API.expect(&headworks, "POST /v1/iam/users/alice/access-keys", &Value::Null, 201);
    let with_key = now();
    assert_ne!(with_key, at_first, "an identity has changed");
    assert_eq!(restore("", &format!("If-Match: {at_first}")).status, 412);
    put(&headworks, 2);
    assert_ne!(now(), with_key, "a resource has changed");
    assert_eq!(restore("", &format!("If-Match: {with_key}")).status, 412);
    let of_resources = tag(&API.raw(&headworks, "GET /v1/changes", &[], b""));
    assert_eq!(restore("", &format!("If-Match: {of_resources}")).status, 412, "it says nothing of identities");
    let judged = restore("?dry_run=true", "If-Match: *");
    assert_eq!((judged.status, tag(&judged)), (200, now()), "{judged}");
    let done = restore("", &format!("If-Match: {}", tag(&judged)));
    assert_eq!((done.status, tag(&done)), (200, now()), "{done}");
    let none = API.get(&headworks, "/v1/iam/users/alice/access-keys");
    assert_eq!(none["access_keys"], json!([]));
    assert_eq!(restore("", &format!("If-None-Match: {}", now())).status, 412);
}

/// The command restores what it has told of: what somebody changes between the two stands in its way.
#[test]
fn a_command_restores_what_it_has_told_of() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    let admin = headworks.admin();
    let asked = |args: &[&str], endpoint: &str| {
        let output = headworks.beside(&[args, &["--endpoint", endpoint]].concat());
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    assert_eq!(asked(&["backup", "saved.db"], &admin.to_string()).0, Some(0));
    put(&headworks, 2);
    let weight = || API.get(&headworks, "/v1/target-groups/api")["targets"][0]["weight"].clone();
    // each command asks by a door of its own, which lets a change slip in before the second question
    let restore = |args: &[&str], slip_in: &(dyn Fn() + Sync)| {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = door.local_addr().unwrap().to_string();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for question in 0..2 {
                    let (client, _) = door.accept().unwrap();
                    if question == 1 {
                        slip_in();
                    }
                    relay(client, TcpStream::connect(admin).unwrap()).unwrap();
                    if args.contains(&"--force") {
                        break;
                    }
                }
            });
            asked(&[&["restore", "saved.db"], args].concat(), &endpoint)
        })
    };
    let (code, said) = restore(&[], &|| put(&headworks, 3));
    assert_eq!((code, weight()), (Some(2), json!(3)), "{said}");
    assert!(said.contains("somebody has changed") && said.contains("--force"), "{said}");
    let new = || drop(API.expect(&headworks, "PUT /v1/iam/users/new", &json!({}), 201));
    let (code, said) = restore(&[], &new);
    assert_eq!((code, weight()), (Some(2), json!(3)), "an identity is new: {said}");
    let (code, said) = restore(&[], &|| {});
    assert_eq!((code, weight()), (Some(0), json!(1)), "{said}");
    assert_eq!(said.matches("~ target_groups.api.targets[0].weight: 3 -> 1").count(), 1, "{said}");
    put(&headworks, 4);
    let (code, said) = restore(&["--force"], &|| {});
    assert_eq!((code, weight()), (Some(0), json!(1)), "{said}");
    let (code, said) = asked(&["restore", "saved.db", "--force", "--dry-run"], &admin.to_string());
    assert_eq!(code, Some(2), "{said}");
}

/// Has two connections be one, until either ends.
fn relay(client: TcpStream, server: TcpStream) -> std::io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let there = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ = std::io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
    let _ = there.join();
    Ok(())
}

fn tag(response: &Response) -> String {
    response.field("ETag").unwrap_or_else(|| panic!("no tag: {response}")).to_owned()
}

/// What is told of it in the audit trail.
fn told(api: &Api, headworks: &Headworks, status: u16) -> Value {
    let found = api.get(headworks, "/v1/audit?action=headworks:RestoreBackup&limit=1");
    assert_eq!(found["entries"][0]["status"], status, "{found:#}");
    found["entries"][0].clone()
}

#[test]
fn identities_come_back_with_it() {
    let web = Origin::echo("web");
    let yaml = LOCKED.replace("127.0.0.1:0, auth", &format!("127.0.0.1:{}, auth", free_port()));
    let headworks = start(&yaml, &[("web", &web)]);
    let root = initialise(&headworks);
    let (alice, carol) = (user(&headworks, &root, "alice"), user(&headworks, &root, "carol"));
    root.expect(&headworks, "PUT /v1/iam/groups/ops", &json!({ "attached": ["ReadOnlyAccess"] }), 201);
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({ "groups": ["ops"] }), 200);
    root.expect(&headworks, &format!("PUT {CACHE}"), &cache(), 201);
    alice.get(&headworks, "/v1/target-groups");
    let saved = root.raw(&headworks, "GET /v1/backup", &[], b"").body.content;
    let hash = content_hash(&saved);
    let restore = |api: &Api, query: &str, status: u16| {
        let answer = api.declaring(&headworks, &format!("POST /v1/restore{query}"), &[], &saved, Some(&hash));
        assert_eq!(answer.status, status, "{answer}");
        answer.json()
    };

    root.expect(&headworks, "DELETE /v1/iam/users/carol", &Value::Null, 204);
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({}), 200);
    let bob = user(&headworks, &root, "bob");
    alice.expect(&headworks, "GET /v1/target-groups", &Value::Null, 403);
    let lines = |answer: &Value| {
        let all = answer["changes"].as_array().cloned().unwrap_or_default();
        let paths = all
            .iter()
            .filter_map(Value::as_str)
            .map(|line| line.split([':', '[']).next().unwrap_or_default().to_owned());
        paths.collect::<Vec<_>>()
    };
    let expected = ["+ iam.users.alice.groups", "- iam.users.bob", "+ iam.users.carol"];
    assert_eq!(lines(&restore(&root, "?dry_run=true", 200)), expected);
    bob.get(&headworks, "/v1/iam/whoami");
    let done = restore(&root, "", 200);
    assert_eq!(lines(&done), expected);
    assert_eq!(done["revision"], Value::Null, "no resource has changed");
    assert_eq!(lines(&told(&root, &headworks, 200)), expected);
    alice.get(&headworks, "/v1/target-groups");
    carol.get(&headworks, "/v1/iam/whoami");
    bob.expect(&headworks, "GET /v1/iam/whoami", &Value::Null, 401);
    root.get(&headworks, "/v1/iam/whoami");

    // with resources it is one revision
    root.expect(&headworks, "DELETE /v1/iam/groups/ops", &Value::Null, 409);
    root.expect(&headworks, "PUT /v1/iam/users/alice", &json!({}), 200);
    root.expect(&headworks, "DELETE /v1/iam/groups/ops", &Value::Null, 204);
    root.expect(&headworks, &format!("DELETE {CACHE}"), &Value::Null, 204);
    let done = restore(&root, "", 200);
    assert_eq!(done["revision"], 3, "{done:#}");
    let changes = told(&root, &headworks, 200)["changes"].to_string();
    assert!(
        ["+ target_groups.cache", "+ iam.groups.ops", "+ iam.users.alice.groups"]
            .iter()
            .all(|one| changes.contains(one))
    );
    assert!(!done.to_string().contains("correct-horse"), "{done:#}");
    alice.get(&headworks, CACHE);

    // who may restore, and what of it
    restore(&alice, "", 403);
    let policy = allow(&json!(["headworks:RestoreBackup"]), &json!("*"));
    root.expect(&headworks, "PUT /v1/iam/users/alice/policies/restore", &policy, 201);
    root.expect(&headworks, &format!("DELETE {CACHE}"), &Value::Null, 204);
    let refused = restore(&alice, "", 403);
    assert!(refused["detail"].as_str().is_some_and(|said| said.contains("headworks:PutTargetGroup")), "{refused:#}");
    root.expect(&headworks, &format!("GET {CACHE}"), &Value::Null, 404);

    // the body is what was signed for
    let other = content_hash(b"another");
    let answer = root.declaring(&headworks, "POST /v1/restore", &[], &saved, Some(&other));
    assert!(answer.status == 400 && answer.text().contains("not the one that was signed"), "{answer}");
    let answer = root.raw(&headworks, "POST /v1/restore", &[], &saved);
    assert!(answer.status == 401 && answer.text().contains("x-amz-content-sha256"), "{answer}");
    root.expect(&headworks, &format!("GET {CACHE}"), &Value::Null, 404);
    std::fs::write(headworks.path("saved.db"), &saved).unwrap();
    run(&headworks, &["restore", "saved.db"], 0);
    root.get(&headworks, CACHE);
    assert_eq!(root.get(&headworks, "/v1/audit/verify")["intact"], true);
}

#[test]
fn what_was_sealed_with_another_key_is_refused() {
    let web = Origin::echo("web");
    let ((here, root), (there, other)) = (locked(&web), locked(&web));
    let saved = other.raw(&there, "GET /v1/backup", &[], b"").body.content;
    let answer = root.declaring(&here, "POST /v1/restore", &[], &saved, Some(&content_hash(&saved)));
    assert!(answer.status == 409 && answer.text().contains("control.key that belongs to it"), "{answer}");
    root.get(&here, "/v1/iam/whoami");
}
