//! Why the store did not do what it was asked.

use std::fmt;
use std::path::PathBuf;

/// What went wrong, as far as it decides what is done about it.
#[derive(Debug)]
pub enum StoreError {
    /// There is no room: nothing was written.
    Full,
    /// The database was written by a version that is newer than this one.
    Newer {
        /// Where it is.
        path: PathBuf,
        /// Its version of the schema.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// Anything else of the database: nothing was written.
    Database(rusqlite::Error),
    /// The key that secrets are sealed with has been exchanged by another process.
    OtherKey,
    /// What should have been saved by this program was not: why not.
    NotOurs(String),
    /// Of the file system.
    Io(std::io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKey => f.write_str("the key has been exchanged since this process started: start it anew"),
            Self::NotOurs(what) => write!(f, "it is nothing that was saved by this program: {what}"),
            Self::Full => f.write_str("there is no room left where the state is kept"),
            Self::Newer { path, found, known } => {
                write!(
                    f,
                    "{} has version {found}, and this program knows up to {known}: use a newer one",
                    path.display()
                )
            }
            Self::Database(error) => write!(f, "the state cannot be read or written: {error}"),
            Self::Io(error) => write!(f, "the state cannot be read or written: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Database(error),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull { Self::Full } else { Self::Io(error) }
    }
}
