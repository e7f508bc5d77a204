//! Resources as they are now.

use crate::{Store, StoreError};

/// A resource that came by the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The key of the file under which it would be declared.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub body: String,
    /// The revision that made it so.
    pub revision: u64,
}

impl Store {
    /// All resources, by kind and name.
    ///
    /// # Errors
    /// Those of the database.
    pub fn resources(&self) -> Result<Vec<Stored>, StoreError> {
        let reader = self.reader();
        let mut statement =
            reader.prepare_cached("SELECT kind, name, body, revision FROM resource ORDER BY kind, name")?;
        let rows = statement.query_map([], |row| {
            Ok(Stored { kind: row.get(0)?, name: row.get(1)?, body: row.get(2)?, revision: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All resources as they were when a revision had been made; none for a number that no revision has. 0 is the beginning.
    ///
    /// # Errors
    /// Those of the database.
    pub fn resources_at(&self, revision: u64) -> Result<Option<Vec<Stored>>, StoreError> {
        let reader = self.reader();
        let known: bool = reader.query_row(
            "SELECT ?1 = 0 OR EXISTS (SELECT 1 FROM revision WHERE number = ?1)",
            [revision],
            |row| row.get(0),
        )?;
        if !known {
            return Ok(None);
        }
        let mut statement = reader.prepare_cached(
            "SELECT kind, name, body, revision FROM change AS this
             WHERE body IS NOT NULL AND revision = (
                 SELECT max(revision) FROM change
                 WHERE kind = this.kind AND name = this.name AND revision <= ?1)
             ORDER BY kind, name",
        )?;
        let rows = statement.query_map([revision], |row| {
            Ok(Stored { kind: row.get(0)?, name: row.get(1)?, body: row.get(2)?, revision: row.get(3)? })
        })?;
        Ok(Some(rows.collect::<Result<_, _>>()?))
    }
}
