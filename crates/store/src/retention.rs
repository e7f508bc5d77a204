//! How long the audit trail is kept: what is older leaves from its beginning. That it left, and the hash of the last that did, is
//! an entry of the chain itself, so that what stays can still be verified, and nobody shortens it unseen.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::Value;

use crate::audit::{self, Entry, GENESIS};
use crate::{Store, StoreError};

/// The action of the entry that says what left.
pub const EXPIRE: &str = "headworks:ExpireAuditEntries";
/// The most entries that leave in one step.
const MOST: u64 = 5_000;

/// Where the trail begins: the number and hash of the last entry that left.
pub(crate) struct Start {
    pub(crate) number: u64,
    pub(crate) hash: String,
}

impl Start {
    pub(crate) fn of(connection: &rusqlite::Connection) -> Result<Self, StoreError> {
        let row = |row: &rusqlite::Row<'_>| Ok(Self { number: row.get(0)?, hash: row.get(1)? });
        let found = connection.query_row("SELECT number, hash FROM audit_start", [], row).optional()?;
        Ok(found.unwrap_or_else(|| Self { number: 0, hash: GENESIS.to_owned() }))
    }

    /// What the entry says that has it.
    fn told(&self) -> String {
        format!("entries up to {} have left, the last of them {}", self.number, self.hash)
    }

    /// Whether an entry, as it is kept, says that the trail begins here.
    pub(crate) fn is_told_by(&self, entry: &str) -> bool {
        entry.contains(EXPIRE) && {
            let entry: Value = serde_json::from_str(entry).unwrap_or_default();
            let told = entry.pointer("/changes/0").and_then(Value::as_str);
            entry.get("action").and_then(Value::as_str) == Some(EXPIRE) && told == Some(self.told().as_str())
        }
    }
}

impl Store {
    /// Has entries leave that are from before `cutoff`, in milliseconds since 1970, at most some thousands. `entry` is the one
    /// that will say so. How many left; when there may be more, as many as can at once.
    ///
    /// # Errors
    /// When it cannot be written; all of them stay then.
    pub fn expire(&self, cutoff: u64, mut entry: Entry) -> Result<u64, StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = Start::of(&transaction)?.number;
        let Some(start) = last_to_leave(&transaction, before, cutoff)? else { return Ok(0) };
        entry.changes = vec![start.told()];
        EXPIRE.clone_into(&mut entry.action);
        audit::append(&transaction, std::slice::from_ref(&entry))?;
        transaction.execute(
            "INSERT OR REPLACE INTO audit_start (only_one, number, hash) VALUES (1, ?1, ?2)",
            params![start.number, start.hash],
        )?;
        let left = transaction.execute("DELETE FROM audit WHERE number <= ?1", [start.number])?;
        transaction.execute("DELETE FROM audit_time WHERE last <= ?1", [start.number])?;
        transaction.commit()?;
        Ok(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

/// The last before the first that stays.
fn last_to_leave(transaction: &Transaction<'_>, before: u64, cutoff: u64) -> Result<Option<Start>, StoreError> {
    let stays: Option<u64> = transaction
        .query_row(
            "SELECT number FROM audit WHERE json_extract(entry, '$.at') >= ?1 ORDER BY number LIMIT 1",
            [cutoff],
            |row| row.get(0),
        )
        .optional()?;
    let stays = stays.unwrap_or(u64::MAX >> 1).min(before.saturating_add(MOST + 1));
    let row = |row: &rusqlite::Row<'_>| Ok(Start { number: row.get(0)?, hash: row.get(1)? });
    let select = "SELECT number, hash FROM audit WHERE number < ?1 ORDER BY number DESC LIMIT 1";
    Ok(transaction.query_row(select, [stays], row).optional()?)
}
