//! The audit trail: every attempt, allowed or not. Append-only; each entry's hash covers the one before, so that whoever
//! changes one must change all that follow, and the head that was noted elsewhere tells.

use std::sync::PoisonError;

use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::retention::Start;
use crate::{Store, StoreError};

/// The most entries of what only looked that wait to be written.
const MOST_WAITING: usize = 1024;
/// What stands before the first entry's hash.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was permitted, whatever then came of it: the status says.
    Allowed,
    /// It was not.
    Denied,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at: u64,
    /// Who, as a resource name; empty when nobody knows.
    pub principal: String,
    /// What was tried, as `headworks:PutTargetGroup`.
    pub action: String,
    /// On what, as `hrn:headworks:target-group/web`.
    pub resource: String,
    /// From where: an address, or the name of a command.
    pub source: String,
    /// What the answer was called.
    pub request_id: String,
    /// Whether it was permitted.
    pub outcome: Outcome,
    /// The answer's status.
    pub status: u16,
    /// It was only asked what would change.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub dry_run: bool,
    /// The revision that it made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revision: Option<u64>,
    /// What changed: lines of paths, without secrets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// An entry in its place.
#[derive(Clone, Debug, Serialize)]
pub struct Linked {
    /// From 1, without gaps.
    pub number: u64,
    /// SHA-256 of the hash before and this entry, in hexadecimal.
    pub hash: String,
    /// The entry, as it was written.
    #[serde(flatten)]
    pub entry: Value,
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Below this number.
    pub before: Option<u64>,
    /// Of this principal.
    pub principal: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this resource.
    pub resource: Option<String>,
    /// `allowed` or `denied`.
    pub outcome: Option<String>,
    /// Of this time or later, in milliseconds since 1970.
    pub from: Option<u64>,
    /// Of before this time, in milliseconds since 1970.
    pub to: Option<u64>,
}

impl Query {
    /// The times that are asked for, the last of them not; none when that is all.
    fn times(&self) -> Option<[i64; 2]> {
        let whole = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        let asked = self.from.is_some() || self.to.is_some();
        asked.then(|| [self.from.map_or(0, whole), self.to.map_or(i64::MAX, whole)])
    }
}

/// What a look at the whole chain found to be in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The number of the first that is kept.
    pub from: u64,
    /// How many entries.
    pub entries: u64,
    /// The hash of the last: note it elsewhere, and nothing before it can be changed unseen.
    pub head: String,
}

/// Where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The entry.
    pub number: u64,
    /// How it does not.
    pub what: &'static str,
}

impl Store {
    /// Remembers an attempt; when this returns it is kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        let mut waiting = self.take_waiting();
        waiting.push(entry.clone());
        let written = self.write(&waiting);
        if written.is_err() {
            waiting.pop();
            self.put_back(&mut waiting);
        }
        written
    }

    /// Remembers an attempt that changed nothing, with the next that is written, or when it is asked for.
    pub fn note_later(&self, entry: Entry) {
        let is_much = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(entry);
            waiting.len() >= MOST_WAITING
        };
        if is_much {
            // what cannot be written now is tried again with the next
            let _ = self.flush();
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When it cannot be written; it then waits on.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut waiting = self.take_waiting();
        if waiting.is_empty() {
            return Ok(());
        }
        let written = self.write(&waiting);
        if written.is_err() {
            self.put_back(&mut waiting);
        }
        written
    }

    fn write(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        append(&transaction, entries)?;
        transaction.commit()?;
        Ok(())
    }

    pub(crate) fn take_waiting(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What could not be written waits again, as far as there is room.
    pub(crate) fn put_back(&self, entries: &mut Vec<Entry>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        entries.append(&mut waiting);
        entries.truncate(4 * MOST_WAITING);
        std::mem::swap(entries, &mut waiting);
    }

    /// Entries, the newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn audit(&self, query: &Query, limit: usize) -> Result<Vec<Linked>, StoreError> {
        self.flush()?;
        let reader = self.reader();
        let before = query.before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let (low, high) = match query.times() {
            None => (0, before),
            Some(times) => match numbers(&reader, times)? {
                None => return Ok(Vec::new()),
                Some((first, last)) => (first, before.min(last.saturating_add(1))),
            },
        };
        let (text, values) = search(query);
        let mut statement = reader.prepare_cached(&text)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut given: Vec<&dyn ToSql> = vec![&low, &high, &limit];
        given.extend(values.iter().map(AsRef::as_ref));
        let rows = statement.query_map(&*given, linked)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Entries above `after`, the oldest first, until they have about `most` bytes; none when there are no more. Nothing is held
    /// between two calls.
    ///
    /// # Errors
    /// Those of the database.
    pub fn entries(&self, after: u64, most: usize) -> Result<Vec<Linked>, StoreError> {
        self.flush()?;
        let reader = self.reader();
        let mut statement =
            reader.prepare_cached("SELECT number, hash, entry FROM audit WHERE number > ?1 ORDER BY number")?;
        let mut rows = statement.query([i64::try_from(after).unwrap_or(i64::MAX)])?;
        let (mut found, mut length) = (Vec::new(), 0);
        while length < most
            && let Some(row) = rows.next()?
        {
            length += row.get_ref(2)?.as_bytes().map_or(0, <[u8]>::len);
            found.push(linked(row)?);
        }
        Ok(found)
    }

    /// Follows the chain from its beginning, or from where what is older has left, to its end.
    ///
    /// # Errors
    /// Those of the database. That the chain is broken is an answer.
    pub fn verify(&self) -> Result<Result<Verified, Broken>, StoreError> {
        self.flush()?;
        let reader = self.reader();
        let mut statement = reader.prepare("SELECT number, entry, hash FROM audit ORDER BY number")?;
        let mut rows = statement.query([])?;
        let start = Start::of(&reader)?;
        let (mut last, mut before) = (start.number, start.hash.clone());
        let mut is_told = start.number == 0;
        while let Some(row) = rows.next()? {
            let (number, entry, hash): (u64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if number != last + 1 {
                return Ok(Err(Broken { number: last + 1, what: "is missing" }));
            }
            if link(&before, &entry) != hash {
                return Ok(Err(Broken { number, what: "is not what it was" }));
            }
            is_told = is_told || start.is_told_by(&entry);
            (last, before) = (number, hash);
        }
        let head = head(&reader)?;
        if head != (last, before.clone()) {
            return Ok(Err(Broken { number: last + 1, what: "is missing: the end was cut off" }));
        }
        if !is_told {
            return Ok(Err(Broken {
                number: start.number + 1,
                what: "is said to be the first, and no entry says why",
            }));
        }
        Ok(Ok(Verified { from: start.number + 1, entries: last - start.number, head: before }))
    }
}

/// The lowest and the highest number that an entry of these times can have. A clock is set back now and then, so that entries are
/// not in the order of their times: each ten minutes know their own first and last.
fn numbers(connection: &Connection, [from, to]: [i64; 2]) -> Result<Option<(i64, i64)>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT min(first), max(last) FROM audit_time WHERE part BETWEEN ?1 / 600000 AND (?2 - 1) / 600000",
    )?;
    let found: (Option<i64>, Option<i64>) = statement.query_row([from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.0.zip(found.1))
}

/// The statement that finds entries, and its values from the fourth on. One index is used: that of the filter which leaves the
/// fewest, as a rule; `+` keeps the engine, which knows no better, from another.
fn search(query: &Query) -> (String, Vec<Box<dyn ToSql>>) {
    let filters = [
        ("resource", &query.resource),
        ("principal", &query.principal),
        ("action", &query.action),
        ("outcome", &query.outcome),
    ];
    let mut text = "SELECT number, hash, entry FROM audit WHERE number >= ?1 AND number < ?2".to_owned();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    for (column, value) in filters {
        let Some(value) = value else { continue };
        let plus = if values.is_empty() { "" } else { "+" };
        values.push(Box::new(value.clone()));
        text.push_str(&format!(" AND {plus}json_extract(entry, '$.{column}') = ?{}", values.len() + 3));
    }
    for (is, at) in query.times().into_iter().flat_map(|[from, to]| [(">=", from), ("<", to)]) {
        values.push(Box::new(at));
        text.push_str(&format!(" AND json_extract(entry, '$.at') {is} ?{}", values.len() + 3));
    }
    text.push_str(" ORDER BY number DESC LIMIT ?3");
    (text, values)
}

fn linked(row: &rusqlite::Row<'_>) -> rusqlite::Result<Linked> {
    let text: String = row.get(2)?;
    let entry = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Linked { number: row.get(0)?, hash: row.get(1)?, entry })
}

fn link(before: &str, entry: &str) -> String {
    let hash = digest(&SHA256, format!("{before}{entry}").as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn head(connection: &Connection) -> Result<(u64, String), StoreError> {
    let found = connection
        .query_row("SELECT number, hash FROM audit_head", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.unwrap_or((0, GENESIS.to_owned())))
}

/// Writes entries at the end of the chain.
pub(crate) fn append(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let (mut number, mut before) = head(transaction)?;
    let mut insert = transaction.prepare_cached("INSERT INTO audit (number, entry, hash) VALUES (?1, ?2, ?3)")?;
    for entry in entries {
        let text = serde_json::to_string(entry).map_err(std::io::Error::other)?;
        number += 1;
        before = link(&before, &text);
        insert.execute(params![number, text, before])?;
    }
    transaction.execute(
        "INSERT OR REPLACE INTO audit_head (only_one, number, hash) VALUES (1, ?1, ?2)",
        params![number, before],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let some = || Some("x".to_owned());
        let by = |query: Query| query;
        let rows = [
            (by(Query { principal: some(), ..Query::default() }), "USING INDEX audit_by_principal"),
            (by(Query { action: some(), ..Query::default() }), "USING INDEX audit_by_action"),
            (by(Query { resource: some(), ..Query::default() }), "USING INDEX audit_by_resource"),
            (by(Query { outcome: some(), ..Query::default() }), "USING INDEX audit_by_outcome"),
            (by(Query { outcome: some(), action: some(), ..Query::default() }), "USING INDEX audit_by_action"),
            (
                Query {
                    before: Some(7),
                    principal: some(),
                    action: some(),
                    resource: some(),
                    outcome: some(),
                    from: Some(1),
                    to: Some(2),
                },
                "USING INDEX audit_by_resource",
            ),
            (by(Query { from: Some(1), ..Query::default() }), "USING INTEGER PRIMARY KEY"),
            (by(Query { outcome: some(), to: Some(1), ..Query::default() }), "USING INDEX audit_by_outcome"),
            (Query::default(), "USING INTEGER PRIMARY KEY"),
        ];
        for (query, expected) in rows {
            let (text, values) = search(&query);
            let reader = store.reader();
            let mut statement = reader.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
            let given: [Box<dyn ToSql>; 3] = [Box::new(1), Box::new(9), Box::new(9)];
            let given = given.into_iter().chain(values);
            let plan = statement.query_map(rusqlite::params_from_iter(given), |row| row.get::<_, String>(3)).unwrap();
            let plan: Vec<String> = plan.collect::<Result<_, _>>().unwrap();
            assert_eq!(plan.len(), 1, "{query:?} is sorted: {plan:?}");
            assert!(plan[0].contains(expected), "{query:?}: {plan:?}");
        }
    }
}
