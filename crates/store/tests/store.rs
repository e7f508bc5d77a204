//! What is kept: revisions and what they changed, the state at each, the chain of attempts, databases of other versions.

use headworks_store::{Commit, Edit, Entry, Identity, Outcome, Query, Store, StoreError};

fn entry(resource: &str) -> Entry {
    Entry {
        at: 1,
        principal: "somebody".to_owned(),
        action: "headworks:Put".to_owned(),
        resource: resource.to_owned(),
        source: "127.0.0.1".to_owned(),
        request_id: "1".to_owned(),
        outcome: Outcome::Allowed,
        status: 200,
        dry_run: false,
        revision: None,
        changes: Vec::new(),
        why: None,
    }
}

fn commit(store: &Store, edits: &[(&str, Option<&str>)]) -> u64 {
    let edit = |(name, body): &(&str, Option<&str>)| Edit {
        kind: "target_groups",
        name: (*name).to_owned(),
        body: body.map(str::to_owned),
    };
    let commit = Commit {
        identities: Vec::new(),
        at: 1,
        principal: "somebody".to_owned(),
        reason: "because".to_owned(),
        edits: edits.iter().map(edit).collect(),
    };
    store.commit(&commit, entry("x")).unwrap_or_else(|error| panic!("{error}"))
}

fn state(store: &Store, revision: u64) -> Option<Vec<(String, String)>> {
    let stored = store.resources_at(revision).unwrap_or_else(|error| panic!("{error}"))?;
    Some(stored.into_iter().map(|one| (one.name, one.body)).collect())
}

fn own(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, body)| ((*name).to_owned(), (*body).to_owned())).collect()
}

#[test]
fn every_revision_can_be_seen_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(commit(&store, &[("a", Some("1"))]), 1);
    assert_eq!(commit(&store, &[("a", Some("2")), ("b", Some("1"))]), 2);
    assert_eq!(commit(&store, &[("a", None)]), 3);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(state(&store, 0), Some(vec![]));
    assert_eq!(state(&store, 1), Some(own(&[("a", "1")])));
    assert_eq!(state(&store, 2), Some(own(&[("a", "2"), ("b", "1")])));
    assert_eq!(state(&store, 3), Some(own(&[("b", "1")])));
    assert_eq!(state(&store, 4), None);
    let now: Vec<(String, String)> = store.resources().unwrap().into_iter().map(|one| (one.name, one.body)).collect();
    assert_eq!(Some(now), state(&store, 3));
    let (revision, differences) = store.revision(2).unwrap().unwrap();
    assert_eq!((revision.number, revision.reason.as_str()), (2, "because"));
    let of_a = differences.iter().find(|one| one.name == "a").unwrap();
    assert_eq!((of_a.before.as_deref(), of_a.after.as_deref()), (Some("1"), Some("2")));
    assert!(store.revision(9).unwrap().is_none() && store.revision(u64::MAX).unwrap().is_none());
    let of_a = store.revisions(None, Some(("target_groups", "a")), 10).unwrap();
    assert_eq!(of_a.iter().map(|one| one.number).collect::<Vec<_>>(), [3, 2, 1]);
}

#[test]
fn attempts_are_chained() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.note_later(entry("a"));
    store.note(&entry("b")).unwrap();
    commit(&store, &[("c", Some("1"))]);
    store.note_later(Entry { outcome: Outcome::Denied, ..entry("d") });
    let found = store.audit(&Query::default(), 10).unwrap();
    let resources: Vec<&str> = found.iter().filter_map(|linked| linked.entry["resource"].as_str()).collect();
    assert_eq!(resources, ["d", "x", "b", "a"]);
    assert_eq!(found[1].entry["revision"], 1);
    let denied = Query { outcome: Some("denied".to_owned()), ..Query::default() };
    assert_eq!(store.audit(&denied, 10).unwrap().len(), 1);
    assert_eq!(store.verify().unwrap().unwrap().entries, 4);
    let raw = rusqlite::Connection::open(store.path()).unwrap();
    raw.execute_batch("DROP TRIGGER audit_is_not_deleted; DELETE FROM audit WHERE number = 4").unwrap();
    assert_eq!(store.verify().unwrap().unwrap_err().number, 4, "the end was cut off");
    raw.execute_batch("DELETE FROM audit WHERE number = 2").unwrap();
    assert_eq!(store.verify().unwrap().unwrap_err().number, 2);
}

/// Whatever the clock did meanwhile, entries of a time are found, all of them, and those only.
#[test]
fn attempts_are_found_by_their_time() {
    const HOUR: u64 = 3_600_000;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    // it is set back by two hours behind the third
    for (number, at) in [5 * HOUR, 6 * HOUR - 1, 6 * HOUR, 4 * HOUR, 5 * HOUR + 1, 7 * HOUR].into_iter().enumerate() {
        let resource = if number % 2 == 0 { "even" } else { "odd" };
        store.note(&Entry { at, ..entry(resource) }).unwrap();
    }
    let numbers = |from, to, resource: Option<&str>, before| {
        let query = Query { from, to, resource: resource.map(str::to_owned), before, ..Query::default() };
        store.audit(&query, 10).unwrap().into_iter().map(|linked| linked.number).collect::<Vec<_>>()
    };
    let rows = [
        (None, None, None, None, vec![6, 5, 4, 3, 2, 1]),
        (Some(5 * HOUR), Some(6 * HOUR), None, None, vec![5, 2, 1]),
        (Some(5 * HOUR), Some(6 * HOUR), Some("even"), None, vec![5, 1]),
        (Some(5 * HOUR), Some(6 * HOUR), None, Some(5), vec![2, 1]),
        (Some(6 * HOUR), None, None, None, vec![6, 3]),
        (None, Some(5 * HOUR), None, None, vec![4]),
        (Some(5 * HOUR + 2), Some(5 * HOUR + 3), None, None, vec![]),
        (Some(8 * HOUR), None, None, None, vec![]),
        (Some(7 * HOUR), Some(5 * HOUR), None, None, vec![]),
        (Some(0), Some(0), None, None, vec![]),
        (Some(u64::MAX), Some(u64::MAX), None, None, vec![]),
    ];
    for (from, to, resource, before, expected) in rows {
        assert_eq!(
            numbers(from, to, resource, before),
            expected,
            "{from:?} to {to:?} of {resource:?} below {before:?}"
        );
    }
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let path = folder.path().join(Store::FILE);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 1000).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Newer { found: 1000, .. })));
}

#[test]
fn a_backup_is_whole_and_what_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    commit(&store, &[("a", Some("1"))]);
    let saved = folder.path().join("saved.db");
    store.backup(&saved).unwrap();
    Store::examine(&saved).unwrap();
    assert!(store.backup(&saved).is_err(), "it is there already");
    let text = folder.path().join("text");
    std::fs::write(&text, "no database").unwrap();
    assert!(Store::examine(&text).is_err());
    std::fs::write(&text, "").unwrap();
    assert!(Store::examine(&text).is_err());
    let read = Store::saved(&saved).unwrap();
    assert_eq!(state(&read, 1), Some(own(&[("a", "1")])));
}

/// Whoever wrote it: what could run for ever when it is read is not read.
#[test]
fn a_backup_that_somebody_has_made_up_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    commit(&store, &[("a", Some("1"))]);
    let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'a', 'a', 'a', i FROM n";
    let rows = [
        ("", true),
        ("ANALYZE;", true),
        (&*format!("DROP TABLE resource; CREATE VIEW resource (kind, name, body, revision) AS {endless};"), false),
        ("CREATE TRIGGER t AFTER INSERT ON revision BEGIN DELETE FROM identity; END;", false),
        ("ALTER TABLE identity ADD COLUMN more TEXT GENERATED ALWAYS AS (hex(zeroblob(1000000)));", false),
        ("CREATE INDEX more ON identity (length(body));", false),
        ("DROP TRIGGER audit_is_not_deleted;", false),
        ("PRAGMA user_version = 0;", false),
        ("PRAGMA user_version = -1;", false),
        ("PRAGMA user_version = 1;", false),
    ];
    for (at, (made_up, expected)) in rows.into_iter().enumerate() {
        let saved = folder.path().join(at.to_string());
        store.backup(&saved).unwrap();
        rusqlite::Connection::open(&saved).unwrap().execute_batch(made_up).unwrap();
        let read = Store::saved(&saved);
        assert_eq!(read.is_ok(), expected, "{made_up}");
        assert!(expected || matches!(read, Err(StoreError::NotOurs(_))), "{made_up}: {read:?}");
    }
    let newer = folder.path().join("newer");
    store.backup(&newer).unwrap();
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 1000).unwrap();
    assert!(matches!(Store::saved(&newer), Err(StoreError::Newer { found: 1000, .. })));
}

#[test]
fn identities_are_written_with_the_revision_that_they_belong_to_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let identity = |name: &str, body: Option<&str>| Identity {
        kind: "user".to_owned(),
        name: name.to_owned(),
        body: body.map(str::to_owned),
    };
    let commit = |identities: Vec<Identity>, times: usize| {
        let edit = Edit { kind: "target_groups", name: "a".to_owned(), body: Some("1".to_owned()) };
        let (principal, reason) = (String::new(), String::new());
        store.commit(&Commit { at: 1, principal, reason, edits: vec![edit; times], identities }, entry("x"))
    };
    store.put_identities(&[identity("a", Some("1")), identity("b", Some("1"))], None).unwrap();
    let before = store.identities().unwrap();
    commit(vec![identity("a", None)], 2).unwrap_err();
    assert_eq!(store.identities().unwrap(), before, "one resource twice in a revision is refused");
    assert_eq!(commit(vec![identity("a", None), identity("c", Some("2"))], 1).unwrap(), 1);
    assert_eq!(store.identities().unwrap(), [identity("b", Some("1")), identity("c", Some("2"))]);
}

#[test]
fn what_is_old_leaves_the_trail_and_the_rest_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let at = |at: u64| Entry { at, ..entry("x") };
    for time in [10, 20, 30, 25, 40, 50] {
        store.note(&at(time)).unwrap();
    }
    assert_eq!(store.expire(5, at(100)).unwrap(), 0);
    let whole = store.verify().unwrap().unwrap();
    assert_eq!((whole.from, whole.entries), (1, 6), "nothing was to leave, and nothing was said");
    // the first that is to stay keeps those behind it, in whatever order they came
    assert_eq!(store.expire(30, at(100)).unwrap(), 2);
    let rest = store.verify().unwrap().unwrap();
    assert_eq!((rest.from, rest.entries), (3, 5));
    let told = &store.audit(&Query::default(), 1).unwrap()[0];
    assert_eq!(told.entry["action"], headworks_store::EXPIRE);
    assert!(told.entry["changes"][0].as_str().is_some_and(|told| told.starts_with("entries up to 2 have left")));
    assert_eq!(store.expire(45, at(101)).unwrap(), 3);
    store.note(&at(200)).unwrap();
    let rest = store.verify().unwrap().unwrap();
    assert_eq!((rest.from, rest.entries), (6, 4));
    // even the entry that said so leaves, for another that does
    assert_eq!(store.expire(150, at(300)).unwrap(), 3);
    assert_eq!(store.verify().unwrap().unwrap().from, 9);
    drop(store);

    let database = rusqlite::Connection::open(folder.path().join(Store::FILE)).unwrap();
    assert!(database.execute("DELETE FROM audit WHERE number = 10", []).is_err(), "what is new can be deleted");
    // somebody with access to the disk has more leave, and says so where no entry does
    let hash: String = database.query_row("SELECT hash FROM audit WHERE number = 9", [], |row| row.get(0)).unwrap();
    database.execute("UPDATE audit_start SET number = 9, hash = ?1", [hash]).unwrap();
    database.execute("DELETE FROM audit WHERE number = 9", []).unwrap();
    drop(database);
    let broken = Store::open(folder.path()).unwrap().verify().unwrap().unwrap_err();
    assert_eq!((broken.number, broken.what), (10, "is said to be the first, and no entry says why"));
}

#[test]
fn the_trail_is_read_in_parts_while_it_grows() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (0..50).for_each(|_| store.note_later(Entry { why: Some("w".repeat(1000)), ..entry("x") }));
    let (mut read, mut parts) = (Vec::new(), 0);
    loop {
        let part = store.entries(read.last().copied().unwrap_or(0), 4000).unwrap();
        assert!(part.len() <= 4, "{} entries at once", part.len());
        let Some(last) = part.last() else { break };
        assert_eq!(last.entry["principal"], "somebody");
        read.extend(part.iter().map(|linked| linked.number));
        parts += 1;
        if parts == 3 {
            // what is read holds nobody up who writes
            store.note(&entry("y")).unwrap();
        }
    }
    assert_eq!(read, (1..=51).collect::<Vec<u64>>());
    assert!(store.entries(u64::MAX, 4000).unwrap().is_empty());
}
