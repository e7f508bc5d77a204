//! What stops an instance, and what stops its database. Errors of a request are in `failure.rs`.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::AcquireError;
use tokio::task::JoinError;

/// Why an instance could not start or go on. Each is the operator's to mend; none is worth a retry as it is.
#[derive(Debug)]
pub(crate) enum ShopError {
    /// The data folder could not be made, or its key not be read.
    Data {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database could not be opened.
    Store(StoreError),
    /// The address could not be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Signals could not be waited for, the address not be printed, or the listener failed.
    Serve(io::Error),
}

/// Why the database did not answer. A later try may succeed.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// The instance is stopping, or the work panicked.
    Stopped,
}

impl Display for ShopError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { path, .. } => write!(out, "the data folder {} cannot be used", path.display()),
            Self::Store(_) => out.write_str("the shop's database cannot be opened"),
            Self::Listen { address, .. } => write!(out, "cannot listen on {address}"),
            Self::Serve(_) => out.write_str("the shop cannot serve"),
        }
    }
}

impl Error for ShopError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Data { source, .. } | Self::Listen { source, .. } | Self::Serve(source) => Some(source),
            Self::Store(source) => Some(source),
        }
    }
}

impl Display for StoreError {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(_) => out.write_str("the database failed"),
            Self::Stopped => out.write_str("the database is closed"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Sqlite(source) => Some(source),
            Self::Stopped => None,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<JoinError> for StoreError {
    fn from(_: JoinError) -> Self {
        Self::Stopped
    }
}

impl From<AcquireError> for StoreError {
    fn from(_: AcquireError) -> Self {
        Self::Stopped
    }
}
