//! Revisions: who changed what, when, and why.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;

use crate::audit::{self, Entry};
use crate::identity::{self, Identity};
use crate::{Store, StoreError};

/// A change that is to be recorded as one.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Milliseconds since 1970.
    pub at: u64,
    /// Who.
    pub principal: String,
    /// Why, in the words of who did it; may be empty.
    pub reason: String,
    /// What.
    pub edits: Vec<Edit>,
    /// Identities that change with it; most often none do. A revision does not tell of them.
    pub identities: Vec<Identity>,
}

/// One resource as it is from now on.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The key of the file under which it would be declared.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// None: it is gone.
    pub body: Option<String>,
}

/// A recorded change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// From 1.
    pub number: u64,
    /// Milliseconds since 1970.
    pub at: u64,
    /// Who.
    pub principal: String,
    /// Why; may be empty.
    pub reason: String,
    /// The resources that it changed: kind and name.
    pub resources: Vec<(String, String)>,
}

/// What a revision did to one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key of the file under which it would be declared.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Before; none when it is new.
    pub before: Option<String>,
    /// After; none when it is gone.
    pub after: Option<String>,
}

impl Store {
    /// Records a change, and the attempt that made it, in one step. The revision's number; when it is told, it is kept. The
    /// entry gets that number.
    ///
    /// # Errors
    /// When it cannot be written; nothing of it was then.
    pub fn commit(&self, commit: &Commit, mut entry: Entry) -> Result<u64, StoreError> {
        let mut waiting = self.take_waiting();
        let mut writer = self.writer();
        let written = (|| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            self.check_key(&transaction)?;
            let number: u64 =
                transaction.query_row("SELECT coalesce(max(number), 0) + 1 FROM revision", [], |row| row.get(0))?;
            transaction.execute(
                "INSERT INTO revision (number, at, principal, reason) VALUES (?1, ?2, ?3, ?4)",
                params![number, commit.at, commit.principal, commit.reason],
            )?;
            commit.edits.iter().try_for_each(|edit| apply(&transaction, number, edit))?;
            identity::write(&transaction, &commit.identities)?;
            entry.revision = Some(number);
            audit::append(&transaction, &waiting)?;
            audit::append(&transaction, std::slice::from_ref(&entry))?;
            transaction.commit()?;
            Ok::<u64, StoreError>(number)
        })();
        drop(writer);
        if written.is_err() {
            self.put_back(&mut waiting);
        }
        written
    }

    /// The newest revision; 0 when there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub fn newest(&self) -> Result<u64, StoreError> {
        Ok(self.reader().query_row("SELECT coalesce(max(number), 0) FROM revision", [], |row| row.get(0))?)
    }

    /// Revisions below `before`, the newest first, at most `limit`; of one resource only, if it is named.
    ///
    /// # Errors
    /// Those of the database.
    pub fn revisions(
        &self,
        before: Option<u64>,
        of: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT number, at, principal, reason FROM revision
             WHERE number < ?1 AND (?2 IS NULL OR EXISTS (
                 SELECT 1 FROM change WHERE revision = number AND kind = ?2 AND name = ?3))
             ORDER BY number DESC LIMIT ?4",
        )?;
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (kind, name) = of.unzip();
        let rows = statement.query_map(params![before, kind, name, limit], |row| {
            Ok(Revision {
                number: row.get(0)?,
                at: row.get(1)?,
                principal: row.get(2)?,
                reason: row.get(3)?,
                resources: Vec::new(),
            })
        })?;
        let mut found = rows.collect::<Result<Vec<_>, _>>()?;
        let mut changed =
            reader.prepare_cached("SELECT kind, name FROM change WHERE revision = ?1 ORDER BY kind, name")?;
        for revision in &mut found {
            let rows = changed.query_map([revision.number], |row| Ok((row.get(0)?, row.get(1)?)))?;
            revision.resources = rows.collect::<Result<_, _>>()?;
        }
        Ok(found)
    }

    /// What a revision did; none when there is no such revision.
    ///
    /// # Errors
    /// Those of the database.
    pub fn revision(&self, number: u64) -> Result<Option<(Revision, Vec<Difference>)>, StoreError> {
        let Some(next) = number.checked_add(1) else { return Ok(None) };
        let Some(revision) = self.revisions(Some(next), None, 1)?.into_iter().find(|found| found.number == number)
        else {
            return Ok(None);
        };
        let reader = self.reader();
        let mut statement = reader.prepare_cached(
            "SELECT kind, name, body, (
                 SELECT body FROM change AS earlier
                 WHERE earlier.kind = this.kind AND earlier.name = this.name AND earlier.revision < ?1
                 ORDER BY earlier.revision DESC LIMIT 1)
             FROM change AS this WHERE revision = ?1 ORDER BY kind, name",
        )?;
        let rows = statement.query_map([number], |row| {
            Ok(Difference { kind: row.get(0)?, name: row.get(1)?, after: row.get(2)?, before: row.get(3)? })
        })?;
        let differences = rows.collect::<Result<_, _>>()?;
        Ok(Some((revision, differences)))
    }
}

fn apply(transaction: &Transaction<'_>, number: u64, edit: &Edit) -> Result<(), StoreError> {
    transaction.execute(
        "INSERT INTO change (kind, name, revision, body) VALUES (?1, ?2, ?3, ?4)",
        params![edit.kind, edit.name, number, edit.body],
    )?;
    match &edit.body {
        Some(body) => transaction.execute(
            "INSERT OR REPLACE INTO resource (kind, name, revision, body) VALUES (?1, ?2, ?3, ?4)",
            params![edit.kind, edit.name, number, body],
        )?,
        None => {
            let gone = transaction
                .query_row(
                    "DELETE FROM resource WHERE kind = ?1 AND name = ?2 RETURNING 1",
                    params![edit.kind, edit.name],
                    |row| row.get::<_, i64>(0),
                )
                .optional()?;
            usize::from(gone.is_some())
        }
    };
    Ok(())
}
