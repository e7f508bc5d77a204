//! The key that secrets are sealed with: 32 random bytes in a file of the data folder that only its owner reads. Whoever can
//! read it can do everything on this installation; whoever has only the database has no secret.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use headworks_iam::seal::{KEY, Sealer};

const FILE: &str = "control.key";

/// Why there is no key.
#[derive(Debug)]
pub enum KeyError {
    /// Of the file system.
    Io(PathBuf, io::Error),
    /// It is there, but it is no key.
    Damaged(PathBuf),
    /// Others can read it.
    Open(PathBuf),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Damaged(path) => write!(f, "{} is not a key of {KEY} bytes", path.display()),
            Self::Open(path) => write!(f, "{} can be read by others: chmod 600 it, and make new keys", path.display()),
        }
    }
}

impl std::error::Error for KeyError {}

/// The key of a data folder, made if there is none.
///
/// # Errors
/// When it cannot be read or made, or others can read it.
pub(crate) fn open(folder: &Path) -> Result<Sealer, KeyError> {
    let path = folder.join(FILE);
    match read(&path) {
        Err(KeyError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => make(folder, &path),
        read => read,
    }
}

/// The key of a data folder, if there is one.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(crate) fn read(path: &Path) -> Result<Sealer, KeyError> {
    let io = |error| KeyError::Io(path.to_owned(), error);
    let mut file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
        return Err(KeyError::Open(path.to_owned()));
    }
    let mut bytes = Vec::with_capacity(KEY + 1);
    Read::by_ref(&mut file).take(KEY as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    let damaged = || KeyError::Damaged(path.to_owned());
    let bytes: [u8; KEY] = bytes.try_into().map_err(|_| damaged())?;
    Sealer::new(bytes).map_err(|_| damaged())
}

/// The path of a data folder's key.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn make(folder: &Path, path: &Path) -> Result<Sealer, KeyError> {
    let io = |error| KeyError::Io(path.to_owned(), error);
    let bytes: [u8; KEY] = random().map_err(io)?;
    // written aside and linked, so that of two that make one at the same time both use the same
    let aside = folder.join(format!(".{FILE}.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::hard_link(&aside, path)?;
        File::open(folder)?.sync_all()
    })();
    let _ = std::fs::remove_file(&aside);
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io(error)),
        _ => read(path),
    }
}

/// Random bytes of the system.
///
/// # Errors
/// When there are none.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers from the system"))?;
    Ok(bytes)
}
