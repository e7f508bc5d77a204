//! Revisions and the audit trail: what was done can be seen and undone, and nothing that was acknowledged is ever lost.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use headworks_testkit::{Headworks, Origin, Step, ask, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::{Api, NOBODY, who};
use crate::{HEADWORKS, proxy, start};

const API: Api = NOBODY;

pub(crate) fn put(headworks: &Headworks, weight: u64) {
    let targets = json!([{ "address": "127.0.0.1:1", "weight": weight }]);
    let body = json!({ "targets": targets, "health_check": { "protocol": "none" } });
    let line = format!("PUT /v1/target-groups/api?reason=weight%20{weight}");
    let response = API.call(headworks, &line, &body);
    assert!([200, 201].contains(&response.status), "{response}");
}

#[test]
fn revisions_are_listed_shown_compared_and_restored() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    (1..=5).for_each(|weight| put(&headworks, weight));
    API.expect(&headworks, "PUT /v1/target-groups/other", &json!({}), 201);
    let all = API.get(&headworks, "/v1/revisions?limit=2");
    assert_eq!(all["revisions"][0]["resources"], json!(["target_groups.other"]), "{all:#}");
    assert_eq!(all["revisions"][1]["reason"], "weight 5");
    assert_eq!(all["next"], 5);
    let older = API.get(&headworks, "/v1/revisions?before=5");
    assert_eq!(older["revisions"].as_array().map(Vec::len), Some(4), "{older:#}");
    let of_api = API.get(&headworks, "/v1/revisions?resource=target_groups.api");
    assert_eq!(of_api["revisions"].as_array().map(Vec::len), Some(5));
    let third = API.get(&headworks, "/v1/revisions/3");
    assert_eq!(third["changes"], json!(["~ target_groups.api.targets[0].weight: 2 -> 3"]));
    let between = API.get(&headworks, "/v1/revisions/5?against=2");
    assert_eq!(between["changes"], json!(["~ target_groups.api.targets[0].weight: 2 -> 5"]));
    assert_eq!(API.get(&headworks, "/v1/revisions/2/resources")["target_groups"]["api"]["targets"][0]["weight"], 2);
    let would = API.expect(&headworks, "POST /v1/revisions/2/restore?dry_run=true", &Value::Null, 200);
    assert_eq!(would["changes"].as_array().map(Vec::len), Some(2), "{would:#}");
    API.expect(&headworks, "POST /v1/revisions/2/restore?reason=back", &Value::Null, 200);
    assert_eq!(API.get(&headworks, "/v1/target-groups/api")["targets"][0]["weight"], 2);
    API.expect(&headworks, "GET /v1/target-groups/other", &Value::Null, 404);
    assert_eq!(API.get(&headworks, "/v1/revisions")["revisions"][0]["reason"], "back");
    API.expect(&headworks, "POST /v1/revisions/6/restore", &Value::Null, 200);
    API.get(&headworks, "/v1/target-groups/other");
    for missing in ["/v1/revisions/99", "/v1/revisions/none", "/v1/revisions/1?against=99"] {
        API.expect(&headworks, &format!("GET {missing}"), &Value::Null, 404);
    }
    API.expect(&headworks, "POST /v1/revisions/99/restore", &Value::Null, 404);
}

#[test]
fn the_trail_holds_and_tells_when_it_does_not() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    API.expect(&headworks, "PUT /v1/target-groups/-wrong-", &json!({}), 400);
    let trail = API.get(&headworks, "/v1/audit");
    let (wrong, right) = (&trail["entries"][0], &trail["entries"][1]);
    assert_eq!((&wrong["status"], &right["status"]), (&json!(400), &json!(201)), "{trail:#}");
    assert_eq!(right["action"], "headworks:PutTargetGroup");
    assert_eq!(right["resource"], "hrn:headworks:target-group/api");
    assert_eq!((&right["revision"], &right["source"]), (&json!(1), &json!("127.0.0.1")));
    assert!(right["changes"][0].as_str().is_some_and(|line| line.starts_with("+ target_groups.api")));
    let verified =
        headworks.beside(&["audit", "verify", "-c", "headworks.yaml", "--endpoint", &headworks.admin().to_string()]);
    assert!(verified.status.success(), "{verified:?}");
    let exported = headworks.beside(&["audit", "export", "--endpoint", &headworks.admin().to_string()]);
    let lines: Vec<Value> =
        String::from_utf8_lossy(&exported.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{exported:?}");
    // somebody with access to the disk changes what was said of the first attempt
    headworks.signal(Signal::TERM);
    headworks.wait_exit();
    let database = rusqlite::Connection::open(headworks.path("state/headworks.db")).unwrap();
    let changed = database.execute("UPDATE audit SET entry = replace(entry, 'api', 'web') WHERE number = 1", []);
    assert!(changed.is_err(), "the trail can be changed");
    database
        .execute_batch(
            "DROP TRIGGER audit_is_not_changed; UPDATE audit SET entry = replace(entry, 'api', 'web') WHERE number = 1",
        )
        .unwrap();
    drop(database);
    headworks.again();
    let verdict = API.get(&headworks, "/v1/audit/verify");
    assert_eq!(verdict, json!({ "intact": false, "entry": 1, "what": "is not what it was" }));
    let verified = headworks.beside(&["audit", "verify", "--endpoint", &headworks.admin().to_string()]);
    assert_eq!(verified.status.code(), Some(2), "{verified:?}");
}

/// An hour is searched as a principal is; the command passes on what it is asked.
#[test]
fn the_trail_is_searched_by_time() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    for (asked, found) in [
        ("from=2020-01-01", 1),
        ("to=2020-01-01T00:00:00Z", 0),
        ("from=2020-01-01&to=2999-01-01T00:00:00.5%2B02:00", 1),
        ("from=2020-01-01&action=headworks:PutTargetGroup", 1),
        ("from=2020-01-01&action=headworks:DeleteTargetGroup", 0),
        ("from=2999-01-01", 0),
        ("from=2999-01-01&to=2020-01-01", 0),
    ] {
        let trail = API.get(&headworks, &format!("/v1/audit?{asked}"));
        assert_eq!(trail["entries"].as_array().map(Vec::len), Some(found), "{asked}: {trail:#}");
    }
    for wrong in ["from=", "from=yesterday", "to=1440938160", "to=2026-01-31T12:00:00+02:00", "to=2026-02-30"] {
        let refused = API.expect(&headworks, &format!("GET /v1/audit?{wrong}"), &Value::Null, 400);
        let path = format!("?{}", wrong.split('=').next().unwrap_or_default());
        assert_eq!(refused["errors"][0]["path"], path, "{refused:#}");
    }
    let endpoint = headworks.admin().to_string();
    let list = |more: &[&str]| {
        let listed = headworks.beside(&[&["audit", "list", "-o", "json", "--endpoint", &endpoint], more].concat());
        assert!(listed.status.success(), "{listed:?}");
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        listed["entries"].as_array().map(Vec::len)
    };
    let resource = ["--resource", "hrn:headworks:target-group/api"];
    assert_eq!(list(&[&resource[..], &["--from", "2020-01-01T01:00:00+02:00"]].concat()), Some(1));
    assert_eq!(list(&["--to", "2020-01-01"]), Some(0));
}

/// What an export has got is there as it came, in whole lines, and that it is not all is said.
#[test]
fn an_export_that_breaks_off_says_so() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let part = "{\"number\":1}\n{\"number\":2}\n{\"num";
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let begun = format!("{head}{:x}\r\n{part}\r\n", part.len());
    let broken = || [Step::send(&begun), Step::Close];
    let broken = Origin::new("broken").on("/v1/audit/export", broken()).on("/v1/backup", broken()).start();
    let exported = headworks.beside(&["audit", "export", "--endpoint", &broken.address().to_string()]);
    assert_eq!(String::from_utf8_lossy(&exported.stdout), "{\"number\":1}\n{\"number\":2}\n");
    let said = String::from_utf8_lossy(&exported.stderr);
    assert!(said.contains("broke off after 2 entries"), "{said}");
    assert_eq!(exported.status.code(), Some(1), "{exported:?}");
    let saved = headworks.path("saved.db");
    let backup = ["backup", &*saved.to_string_lossy(), "--endpoint", &broken.address().to_string()];
    let backed_up = headworks.beside(&backup);
    assert_eq!((backed_up.status.code(), saved.exists()), (Some(1), false), "{backed_up:?}");
}

/// What is older than it is to be kept leaves the trail, which holds from there.
#[test]
fn the_trail_is_kept_as_long_as_the_file_says() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    headworks.signal(Signal::TERM);
    headworks.wait_exit();
    let old = headworks_store::Store::open(&headworks.path("state")).unwrap();
    let entry = old.audit(&headworks_store::Query::default(), 1).unwrap().remove(0).entry;
    let mut entry: headworks_store::Entry = serde_json::from_value(entry).unwrap();
    drop(old);
    // a trail of a year ago
    std::fs::remove_file(headworks.path("state/headworks.db")).unwrap();
    let old = headworks_store::Store::open(&headworks.path("state")).unwrap();
    entry.at -= 366 * 86_400_000;
    (entry.revision, entry.resource) = (None, "hrn:headworks:old".to_owned());
    old.note(&entry).unwrap();
    drop(old);
    headworks.save(
        &format!("admin: {{ address: 127.0.0.1:0, audit_retention: 365d }}\n{}", proxy("", "")),
        &[("web", &web)],
    );
    headworks.again();
    let from = |verdict: &Value| verdict["from"].as_u64().filter(|from| *from > 1);
    wait::until("an entry to leave", || from(&API.get(&headworks, "/v1/audit/verify")));
    let trail = API.get(&headworks, "/v1/audit");
    assert_eq!(trail["entries"][0]["action"], "headworks:ExpireAuditEntries", "{trail:#}");
    assert!(!trail.to_string().contains("hrn:headworks:old"), "{trail:#}");
    let said = headworks.beside(&["audit", "verify", "--endpoint", &headworks.admin().to_string()]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("from number 2 on"), "{said:?}");
}

/// Killed at any instant, it starts again, and has all that was acknowledged.
#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut last = 0;
    for round in 0..8_u64 {
        let stop = AtomicBool::new(false);
        let acknowledged = std::thread::scope(|scope| {
            let (running, stop) = (&headworks, &stop);
            let writer = scope.spawn(move || {
                let mut acknowledged = last;
                for weight in last + 1.. {
                    if stop.load(Ordering::Relaxed) || !try_put(running, weight % 1000) {
                        return (acknowledged, weight);
                    }
                    acknowledged = weight;
                }
                (acknowledged, acknowledged)
            });
            // another instant each time: after so many revisions more
            let wanted = last + 3 + round;
            wait::until("revisions", || newest(running).filter(|newest| *newest >= wanted));
            running.signal(Signal::KILL);
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap_or_else(|_| panic!("the writer cannot go on"))
        });
        headworks.wait_exit();
        headworks.again();
        let group = API.get(&headworks, "/v1/target-groups/api");
        let weight = group["targets"][0]["weight"].as_u64();
        let (kept, tried) = acknowledged;
        assert!([Some(kept % 1000), Some(tried % 1000)].contains(&weight), "{kept} was acknowledged: {group:#}");
        let count = API.get(&headworks, "/v1/revisions?limit=1")["revisions"][0]["revision"].as_u64();
        last = count.unwrap_or(0);
        assert!(last >= kept, "{kept} were acknowledged, {last} are there");
        let verdict = API.get(&headworks, "/v1/audit/verify");
        assert_eq!(verdict["intact"], true, "{verdict:#}");
        // what runs is what is kept
        let state = API.get(&headworks, "/v1/target-groups/api/health");
        assert_eq!(state["targets"][0]["weight"].as_u64(), weight);
    }
}

fn newest(headworks: &Headworks) -> Option<u64> {
    API.get(headworks, "/v1/revisions?limit=1")["revisions"][0]["revision"].as_u64()
}

/// False when nothing was acknowledged.
fn try_put(headworks: &Headworks, weight: u64) -> bool {
    try_put_at(headworks.admin(), weight)
}

fn try_put_at(admin: SocketAddr, weight: u64) -> bool {
    let body =
        json!({ "targets": [{ "address": "127.0.0.1:1", "weight": weight }], "health_check": { "protocol": "none" } });
    let body = body.to_string();
    let asked = || {
        let mut stream = TcpStream::connect(admin)?;
        write!(
            stream,
            "PUT /v1/target-groups/api HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok::<_, std::io::Error>(line)
    };
    asked().is_ok_and(|line| line.starts_with("HTTP/1.1 20"))
}

/// Whatever is changed while one process takes over from another: what was acknowledged is there, runs, and is not undone.
#[test]
fn nothing_acknowledged_is_lost_when_another_process_takes_over() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    let (admin, stop) = (headworks.admin(), AtomicBool::new(false));
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            for weight in 2_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if try_put_at(admin, weight % 1000) {
                    acknowledged.push(weight % 1000);
                }
            }
            acknowledged
        });
        for _ in 0..5 {
            let before = newest(&headworks);
            headworks.upgrade();
            wait::until("a change by the new process", || newest(&headworks).filter(|now| Some(*now) > before));
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap_or_else(|_| panic!("the writer cannot go on"))
    });
    let last = acknowledged.last().copied();
    let group = API.get(&headworks, "/v1/target-groups/api");
    assert_eq!(group["targets"][0]["weight"].as_u64(), last, "{group:#}");
    let health = API.get(&headworks, "/v1/target-groups/api/health");
    assert_eq!(health["targets"][0]["weight"].as_u64(), last, "{health:#}");
    // each that was acknowledged is a revision of its own, in its order
    let mut weights = Vec::new();
    let newest = newest(&headworks).unwrap_or(0);
    for revision in 2..=newest {
        let resources = API.get(&headworks, &format!("/v1/revisions/{revision}/resources"));
        weights.extend(resources["target_groups"]["api"]["targets"][0]["weight"].as_u64());
    }
    let mut kept = weights.iter();
    assert!(acknowledged.iter().all(|weight| kept.any(|kept| kept == weight)), "{acknowledged:?} of {weights:?}");
    assert_eq!(API.get(&headworks, "/v1/audit/verify")["intact"], true);
}

/// Where there is no room nothing changes, and what ran runs on.
#[test]
fn a_full_disk_refuses_changes_and_nothing_else() {
    let web = Origin::echo("web");
    let small = "mkdir state && mount -t tmpfs -o size=300k,mode=700 tmpfs state && exec \"$@\"";
    let headworks =
        HEADWORKS.start_under("unshare", &["--mount", "sh", "-c", small, "sh"], &proxy("", ""), &[("web", &web)]);
    put(&headworks, 1);
    let big: Vec<String> = (1..4000).map(|port| format!("127.0.0.1:{port}")).collect();
    let body = json!({ "targets": big, "health_check": { "protocol": "none" } });
    let problem = API.expect(&headworks, "PUT /v1/target-groups/api", &body, 507);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("no room")), "{problem:#}");
    let group = API.get(&headworks, "/v1/target-groups/api");
    assert_eq!(group["targets"].as_array().map(Vec::len), Some(1), "{group:#}");
    let health = API.get(&headworks, "/v1/target-groups/api/health");
    let serving = health["targets"].as_array().cloned().unwrap_or_default();
    assert_eq!(serving.iter().filter(|target| target["state"] != "draining").count(), 1, "what is not kept runs");
    assert_eq!(who(&headworks.ask(&ask("GET", "/"))), "web");
}

/// The next event, which is of this kind.
fn next(lines: &mut impl Iterator<Item = String>, kind: &str) -> Value {
    let line = lines.find(|line| line.starts_with("event: "));
    assert_eq!(line, Some(format!("event: {kind}")));
    let data = lines.next().unwrap_or_default();
    serde_json::from_str(data.strip_prefix("data: ").unwrap_or_default()).unwrap_or_default()
}

#[test]
fn what_happens_is_told_as_it_happens() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    let mut lines = API.watch(&headworks, "/v1/events", &[]);
    assert_eq!(next(&mut lines, "hello"), json!({ "revision": 0 }));
    put(&headworks, 1);
    let revision = next(&mut lines, "revision");
    assert_eq!(revision["resources"], json!(["target_groups.api"]), "{revision:#}");
    API.expect(&headworks, "POST /v1/reload", &Value::Null, 200);
    assert!(lines.any(|line| line == "event: reload"));
}

#[test]
fn what_happened_since_a_revision_is_told_first() {
    let web = Origin::echo("web");
    let headworks = start(&proxy("", ""), &[("web", &web)]);
    (1..=3).for_each(|weight| put(&headworks, weight));
    let mut lines = API.watch(&headworks, "/v1/events?since=1", &[]);
    assert_eq!(next(&mut lines, "hello"), json!({ "revision": 3 }));
    for number in 2..=3 {
        assert_eq!(next(&mut lines, "revision")["revision"], number);
    }
    put(&headworks, 4);
    // of its target's state there may be events between
    let after = loop {
        let line = lines.next().unwrap_or_default();
        if line == "event: revision" {
            break lines.next().unwrap_or_default();
        }
    };
    assert!(after.contains("\"revision\":4"), "{after}");
    API.expect(&headworks, "GET /v1/events?since=x", &Value::Null, 400);
}
