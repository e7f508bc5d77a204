//! Which key what is kept is sealed with, and sealing all of it anew with another: in one step, or not at all.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::audit::{self, Entry};
use crate::{Store, StoreError};

/// A body that may have something sealed in it.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Whether it is an identity's; else it is a resource's.
    pub is_identity: bool,
    /// What kind of identity or resource.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it says.
    pub text: &'a str,
}

impl Store {
    /// The name of the key that what is kept is sealed with; none when nothing of it is.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sealed_with(&self) -> Result<Option<String>, StoreError> {
        let reader = self.reader();
        let has_sealed: bool = reader.query_row(
            "SELECT EXISTS (SELECT 1 FROM identity) OR EXISTS (SELECT 1 FROM change WHERE instr(body, '$sealed') > 0)",
            [],
            |row| row.get(0),
        )?;
        if has_sealed { key(&reader) } else { Ok(None) }
    }

    /// Has what is written from now on be sealed with this key, and refuses to write when another process has exchanged it.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn seal_with(&self, name: &str) -> Result<(), StoreError> {
        if key(&self.reader())?.as_deref() != Some(name) {
            set_key(&self.writer(), name)?;
        }
        // asked once, when what is kept is opened
        let _ = self.key.set(name.to_owned());
        Ok(())
    }

    /// Nothing that was sealed with another key than the one that holds gets in.
    pub(crate) fn check_key(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        match self.key.get() {
            Some(own) if key(transaction)?.as_ref() != Some(own) => Err(StoreError::OtherKey),
            _ => Ok(()),
        }
    }

    /// Has `again` seal every body anew, which leaves those alone of which it says none, and writes down that they are sealed
    /// with `name` from now on.
    ///
    /// # Errors
    /// When it cannot be written, or `again` fails: all is as it was then.
    pub fn seal_anew(
        &self,
        name: &str,
        entry: &Entry,
        again: &dyn Fn(Body<'_>) -> Result<Option<String>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.check_key(&transaction)?;
        for (select, update, is_identity) in [
            (
                "SELECT kind, name, body, revision FROM change WHERE body IS NOT NULL",
                "UPDATE change SET body = ?1 WHERE kind = ?2 AND name = ?3 AND revision = ?4",
                false,
            ),
            (
                "SELECT kind, name, body, revision FROM resource",
                "UPDATE resource SET body = ?1 WHERE kind = ?2 AND name = ?3 AND revision = ?4",
                false,
            ),
            (
                "SELECT kind, name, body, 0 FROM identity",
                "UPDATE identity SET body = ?1 WHERE kind = ?2 AND name = ?3 AND ?4 = 0",
                true,
            ),
        ] {
            let mut statement = transaction.prepare(select)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            let rows: Vec<(String, String, String, u64)> = rows.collect::<Result<_, _>>()?;
            let mut update = transaction.prepare(update)?;
            for (kind, name, text, revision) in rows {
                let body = Body { is_identity, kind: &kind, name: &name, text: &text };
                if let Some(text) = again(body)? {
                    update.execute(params![text, kind, name, revision])?;
                }
            }
        }
        set_key(&transaction, name)?;
        audit::append(&transaction, std::slice::from_ref(entry))?;
        transaction.commit()?;
        // what was there is not to be found in what the database has given up; where there is no room for that, it is done all the same
        let _ = writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
        Ok(())
    }
}

fn key(connection: &Connection) -> Result<Option<String>, StoreError> {
    Ok(connection.query_row("SELECT key FROM sealing", [], |row| row.get(0)).optional()?)
}

fn set_key(connection: &Connection, name: &str) -> Result<(), StoreError> {
    connection.execute("INSERT OR REPLACE INTO sealing (only_one, key) VALUES (1, ?1)", [name])?;
    Ok(())
}
