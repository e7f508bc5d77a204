//! The schema, as the steps that lead to it from every version that was ever released. A step that was released is never
//! changed; what comes after is another.

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;

/// Each is applied once, in order, in a transaction with the number that says so.
const STEPS: &[&str] = &[
    "
    CREATE TABLE revision (
        number INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        principal TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
    CREATE TABLE change (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL REFERENCES revision (number),
        body TEXT,
        PRIMARY KEY (kind, name, revision)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX change_by_revision ON change (revision);
    CREATE TABLE resource (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE identity (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        entry TEXT NOT NULL,
        hash TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_principal ON audit (json_extract(entry, '$.principal'), number);
    CREATE INDEX audit_by_action ON audit (json_extract(entry, '$.action'), number);
    CREATE TABLE audit_head (
        only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
        number INTEGER NOT NULL,
        hash TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
    CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
",
    "
    CREATE TABLE sealing (
        only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
        key TEXT NOT NULL
    ) STRICT;
    CREATE TABLE audit_start (
        only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
        number INTEGER NOT NULL,
        hash TEXT NOT NULL
    ) STRICT;
    DROP TRIGGER audit_is_not_deleted;
    CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
        WHEN OLD.number > coalesce((SELECT number FROM audit_start), 0)
        BEGIN SELECT RAISE(ABORT, 'append only'); END;
",
    "
    CREATE INDEX audit_by_resource ON audit (json_extract(entry, '$.resource'), number);
    CREATE INDEX audit_by_outcome ON audit (json_extract(entry, '$.outcome'), number);
",
    "
    CREATE TABLE audit_time (
        part INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT;
    INSERT INTO audit_time
        SELECT coalesce(json_extract(entry, '$.at'), 0) / 600000 AS part, min(number), max(number) FROM audit GROUP BY part;
    CREATE TRIGGER audit_is_timed AFTER INSERT ON audit BEGIN
        INSERT INTO audit_time VALUES (coalesce(json_extract(NEW.entry, '$.at'), 0) / 600000, NEW.number, NEW.number)
            ON CONFLICT (part) DO UPDATE SET last = NEW.number;
    END;
",
];

/// The newest version that is known.
fn newest() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// How many steps have been applied to a database.
fn version(connection: &Connection, path: &std::path::Path) -> Result<usize, StoreError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > newest() {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: newest() });
    }
    Ok(usize::try_from(found).unwrap_or(0))
}

/// Whether a database is laid out as one of its version is, and no different.
///
/// # Errors
/// When it cannot be read, or is newer than what is known.
pub(crate) fn is_ours(connection: &Connection, path: &std::path::Path) -> Result<bool, StoreError> {
    let steps = STEPS.get(..version(connection, path)?).unwrap_or_default();
    if steps.is_empty() {
        return Ok(false);
    }
    let fresh = Connection::open_in_memory()?;
    steps.iter().try_for_each(|step| fresh.execute_batch(step))?;
    Ok(layout(connection)? == layout(&fresh)?)
}

/// What there is, and how it was made. What the engine adds by itself is left out.
fn layout(connection: &Connection) -> Result<Vec<[String; 3]>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE substr(name, 1, 7) <> 'sqlite_' ORDER BY type, name",
    )?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Brings the database up to the newest version.
///
/// # Errors
/// When it is newer than that, or cannot be written; it is then as it was.
pub(crate) fn migrate(connection: &mut Connection, path: &std::path::Path) -> Result<(), StoreError> {
    // most often nothing is to be done, and then nothing is written
    if version(connection, path)? == STEPS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = version(&transaction, path)?;
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", newest())?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_database_of_every_version_is_brought_up_to_date_with_what_is_in_it() {
        let path = Path::new("test");
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh, path).unwrap();
        for version in 1..=STEPS.len() {
            let mut old = Connection::open_in_memory().unwrap();
            STEPS.iter().take(version).try_for_each(|step| old.execute_batch(step)).unwrap();
            old.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
            old.execute_batch(
                "INSERT INTO revision VALUES (1, 1, 'somebody', 'because');
                 INSERT INTO change VALUES ('target_groups', 'a', 1, '1');
                 INSERT INTO resource VALUES ('target_groups', 'a', 1, '1');
                 INSERT INTO audit VALUES (1, '{\"resource\":\"a\",\"outcome\":\"denied\"}', 'hash');",
            )
            .unwrap();
            assert!(is_ours(&old, path).unwrap(), "version {version}");
            migrate(&mut old, path).unwrap();
            assert_eq!(layout(&old).unwrap(), layout(&fresh).unwrap(), "version {version}");
            let found: String = old
                .query_row(
                    "SELECT hash FROM audit WHERE json_extract(entry, '$.resource') = 'a'
                     AND EXISTS (SELECT 1 FROM resource WHERE name = 'a')",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            assert_eq!(found, "hash", "version {version}");
            let timed: i64 = old.query_row("SELECT first FROM audit_time", [], |row| row.get(0)).unwrap();
            assert_eq!(timed, 1, "version {version}");
        }
    }
}
