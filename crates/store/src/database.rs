//! The database: opened, locked, saved elsewhere. One connection writes, another reads, so that a long list does not hold up a
//! change.

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::{Connection, OpenFlags};

use crate::audit::Entry;
use crate::{StoreError, migrations};

/// How long a statement waits for another process, such as a backup, to be done.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The database of one instance.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    /// Of what only looked, and is written with what comes next.
    pub(crate) waiting: Mutex<Vec<Entry>>,
    /// What `PRAGMA data_version` of the reader said when identities were last read.
    seen: Mutex<i64>,
    /// The name of the key that what is written is sealed with.
    pub(crate) key: OnceLock<String>,
}

impl Store {
    /// The file's name in the data folder.
    pub const FILE: &'static str = "headworks.db";

    /// Opens the database of a data folder, which is made if need be, and brings it up to date.
    ///
    /// # Errors
    /// When it cannot be read and written, or a newer version wrote it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(Self::FILE);
        // Made here, so that at no time others can read it.
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let mut writer = connect(&path)?;
        migrations::migrate(&mut writer, &path)?;
        let reader = connect(&path)?;
        Ok(Self::of(path, writer, reader))
    }

    fn of(path: PathBuf, writer: Connection, reader: Connection) -> Self {
        Self {
            path,
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            waiting: Mutex::default(),
            seen: Mutex::new(-1),
            key: OnceLock::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the whole of it, as it is now, to a file of its own; it may go on being used meanwhile.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.flush()?;
        std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(to)?;
        let text = to.to_string_lossy();
        // an empty file is taken for an empty database, which is what it must be
        let saved = self.reader().execute("VACUUM INTO ?1", [text.as_ref()]);
        if let Err(error) = saved {
            let _ = std::fs::remove_file(to);
            return Err(error.into());
        }
        std::fs::File::open(to)?.sync_all()?;
        Ok(())
    }

    /// Looks whether a file is a whole database of a version that is known here, and brings it up to date. Whoever wrote it
    /// need not be trusted.
    ///
    /// # Errors
    /// When it is not.
    pub fn examine(path: &Path) -> Result<(), StoreError> {
        // what is no database at all says so in many ways
        examined(path).map_err(|error| match error {
            StoreError::Database(error) => StoreError::NotOurs(error.to_string()),
            error => error,
        })
    }

    /// Opens what [`Store::backup`] has written, to read it. The file is brought up to date.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn saved(path: &Path) -> Result<Self, StoreError> {
        Self::examine(path)?;
        Ok(Self::of(path.to_owned(), connect(path)?, connect(path)?))
    }

    /// Whether another process has written since this was last asked.
    ///
    /// # Errors
    /// Those of the database.
    pub fn changed_elsewhere(&self) -> Result<bool, StoreError> {
        // asked of the writer: its own writes do not count, those of other processes do
        let version: i64 = self.writer().query_row("PRAGMA data_version", [], |row| row.get(0))?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *seen != version;
        *seen = version;
        Ok(changed)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn examined(path: &Path) -> Result<(), StoreError> {
    let not_ours = |what: &str| StoreError::NotOurs(what.to_owned());
    let mut connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    // a view, or a column that is computed, could run for ever
    if !migrations::is_ours(&connection, path)? {
        return Err(not_ours("it is a database of another program"));
    }
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(not_ours(&format!("it is damaged: {verdict}")));
    }
    migrations::migrate(&mut connection, path)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    Ok(connection)
}
