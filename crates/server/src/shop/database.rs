//! The SQLite file that all instances share: its schema, and connections to it. Everything here blocks.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

/// How long a writer waits for another one, of any instance.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections kept when nobody needs them.
const IDLE: usize = 4;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        visitor    TEXT NOT NULL,
        submission TEXT NOT NULL,
        placed_at  INTEGER NOT NULL DEFAULT (unixepoch()),
        placed_by  TEXT NOT NULL,
        name       TEXT NOT NULL,
        email      TEXT NOT NULL,
        address    TEXT NOT NULL,
        goods      INTEGER NOT NULL,
        shipping   INTEGER NOT NULL,
        total      INTEGER NOT NULL,
        UNIQUE (visitor, submission)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS order_lines (
        order_id INTEGER NOT NULL REFERENCES orders (id),
        place    INTEGER NOT NULL,
        product  TEXT NOT NULL,
        name     TEXT NOT NULL,
        quantity INTEGER NOT NULL,
        price    INTEGER NOT NULL,
        PRIMARY KEY (order_id, place)
    ) STRICT, WITHOUT ROWID;
";

/// The file, and the connections to it that are idle.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Database {
    /// Opens the file `shop.db` of a data folder, and makes it when it is not there.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub(crate) fn open(folder: &Path) -> rusqlite::Result<Self> {
        let database = Self { path: folder.join("shop.db"), idle: Mutex::default() };
        let connection = database.connect()?;
        write_ahead(&connection)?;
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
        database.put_back(connection);
        Ok(database)
    }

    /// Runs `work` on a connection. One whose work failed is not used again: a transaction may be open on it.
    ///
    /// # Errors
    ///
    /// SQLite's, and those of `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let result = work(&mut connection)?;
        self.put_back(connection);
        Ok(result)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    }

    fn put_back(&self, connection: Connection) {
        if let Ok(mut idle) = self.idle.lock()
            && idle.len() < IDLE
        {
            idle.push(connection);
        }
    }
}

/// Turns the write-ahead log on. SQLite does not wait for other connections in this one case, and instances start together.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}
