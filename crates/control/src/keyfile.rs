//! The key that secrets are sealed with: 32 random bytes in a file of the data folder that only its owner reads. Whoever can
//! read it can do everything on this installation; whoever has only the database has no secret.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_iam::seal::{KEY, Sealer};
use headworks_model::config::Admin;

const FILE: &str = "control.key";
/// A key in base64, with the end of its line.
const LONGEST: usize = 46;
/// Behind the path of a key: the one that is to follow it.
const NEXT: &str = "next";

/// Where an installation has its state and its key.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data folder.
    pub(crate) folder: PathBuf,
    /// The key, where it is not this program's to make: a secret that is mounted there.
    given: Option<PathBuf>,
}

/// Why there is no key.
#[derive(Debug)]
pub enum KeyError {
    /// Of the file system.
    Io(PathBuf, io::Error),
    /// It is there, but it is no key.
    Damaged(PathBuf),
    /// Others can read it.
    Open(PathBuf),
    /// What is kept was sealed with another.
    Other(PathBuf),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Damaged(path) => write!(f, "{} is not a key of {KEY} bytes, nor one in base64", path.display()),
            Self::Open(path) => write!(f, "{} can be read by others: chmod 600 it, and make new keys", path.display()),
            Self::Other(path) => write!(
                f,
                "{} is not the key that what is kept was sealed with: put that one there, as it is in your backup",
                path.display()
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl Place {
    /// That of a configuration whose paths are whole.
    pub fn of(admin: &Admin) -> Self {
        Self { folder: admin.data.clone(), given: admin.key_file.clone() }
    }

    /// A data folder with a key of its own.
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), given: None }
    }

    /// The path of the key.
    pub(crate) fn key(&self) -> PathBuf {
        self.given.clone().unwrap_or_else(|| self.folder.join(FILE))
    }

    /// Whether the key comes from elsewhere.
    pub(crate) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    fn next(&self) -> PathBuf {
        self.key().with_extension(NEXT)
    }

    /// The key that what is kept is sealed with, which is called `expected`; made if there is none and nothing is sealed. An
    /// exchange that was cut off when it was done is completed.
    ///
    /// # Errors
    /// When it cannot be read or made, is another, or others can read it.
    pub(crate) fn open(&self, expected: Option<&str>) -> Result<Sealer, KeyError> {
        let path = self.key();
        let found = match read(&path) {
            Err(KeyError::Io(_, error))
                if error.kind() == io::ErrorKind::NotFound && expected.is_none() && !self.is_given() =>
            {
                make(&self.folder, &path)
            }
            read => read,
        };
        let fits = |sealer: &Sealer| expected.is_none_or(|expected| sealer.name() == expected);
        match found {
            Ok(sealer) if fits(&sealer) => Ok(sealer),
            found => {
                let next = if self.is_given() { None } else { read(&self.next()).ok().filter(|next| fits(next)) };
                match next {
                    Some(next) => self.follow().map(|()| next),
                    None => found.and(Err(KeyError::Other(path))),
                }
            }
        }
    }

    /// Makes the key that is to follow, beside the one that holds.
    pub(crate) fn make_next(&self) -> Result<Sealer, KeyError> {
        let path = self.next();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(KeyError::Io(path, error)),
            _ => make(&self.folder, &path),
        }
    }

    /// Puts the key that follows in the place of the one that held.
    pub(crate) fn follow(&self) -> Result<(), KeyError> {
        let moved = std::fs::rename(self.next(), self.key()).and_then(|()| File::open(&self.folder)?.sync_all());
        moved.map_err(|error| KeyError::Io(self.key(), error))
    }
}

/// The key of a file, if there is one: 32 bytes, or as many in base64.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(crate) fn read(path: &Path) -> Result<Sealer, KeyError> {
    let io = |error| KeyError::Io(path.to_owned(), error);
    let mut file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
        return Err(KeyError::Open(path.to_owned()));
    }
    let mut bytes = Vec::with_capacity(LONGEST + 1);
    Read::by_ref(&mut file).take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    let damaged = || KeyError::Damaged(path.to_owned());
    if bytes.len() != KEY {
        bytes = STANDARD.decode(bytes.trim_ascii()).map_err(|_| damaged())?;
    }
    let bytes: [u8; KEY] = bytes.try_into().map_err(|_| damaged())?;
    Sealer::new(bytes).map_err(|_| damaged())
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
