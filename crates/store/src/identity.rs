//! Identities: users, groups, roles, policies. What is secret in them has been sealed before it comes here.

use rusqlite::{Transaction, TransactionBehavior, params};

use crate::audit::{self, Entry};
use crate::{Store, StoreError};

/// An identity as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What kind of identity.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it says; none: it is gone.
    pub body: Option<String>,
}

impl Store {
    /// All identities.
    ///
    /// # Errors
    /// Those of the database.
    pub fn identities(&self) -> Result<Vec<Identity>, StoreError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT kind, name, body FROM identity ORDER BY kind, name")?;
        let rows =
            statement.query_map([], |row| Ok(Identity { kind: row.get(0)?, name: row.get(1)?, body: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes identities, and the attempt that changed them if it is to be remembered, in one step.
    ///
    /// # Errors
    /// When it cannot be written; nothing of it was then.
    pub fn put_identities(&self, identities: &[Identity], entry: Option<&Entry>) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.check_key(&transaction)?;
        write(&transaction, identities)?;
        if let Some(entry) = entry {
            audit::append(&transaction, std::slice::from_ref(entry))?;
        }
        transaction.commit()?;
        Ok(())
    }
}

pub(crate) fn write(transaction: &Transaction<'_>, identities: &[Identity]) -> Result<(), StoreError> {
    for Identity { kind, name, body } in identities {
        match body {
            Some(body) => transaction.execute(
                "INSERT OR REPLACE INTO identity (kind, name, body) VALUES (?1, ?2, ?3)",
                params![kind, name, body],
            )?,
            None => transaction.execute("DELETE FROM identity WHERE kind = ?1 AND name = ?2", params![kind, name])?,
        };
    }
    Ok(())
}
