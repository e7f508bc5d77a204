//! What is kept: revisions and what they changed, the state at each, the chain of attempts, databases of other versions.

use headworks_store::{Commit, Edit, Entry, Outcome, Query, Store, StoreError};

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
