//! The temporary folder of one bench, and free ports.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use headworks_testkit::free_port;

use super::trouble::{Trouble, io};

/// The start of the names of all such folders; the process's number follows.
const PREFIX: &str = "headworks-bench-";
/// A file in folders that are to stay.
const KEPT: &str = "kept";

/// A folder that is removed when the bench ends.
pub(crate) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes a folder with a name of its own.
    pub(crate) fn create(keep: bool) -> Result<Folder, Trouble> {
        remove_orphans();
        Folder::make(std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id())), keep)
    }

    /// A folder in it, for processes that are started a second time.
    pub(crate) fn within(&self, name: &str) -> Result<Folder, Trouble> {
        Folder::make(self.at(name), self.keep)
    }

    fn make(path: PathBuf, keep: bool) -> Result<Folder, Trouble> {
        fs::create_dir(&path).map_err(io(path.display()))?;
        Ok(Folder { path, keep })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, Trouble> {
        let path = self.at(name);
        fs::write(&path, content).map_err(io(path.display()))?;
        Ok(path)
    }
}

/// Removes what benches left that were cut off, by Ctrl-C for instance: the folders of processes that are no more.
fn remove_orphans() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse::<u32>().ok());
        let is_orphan = owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if is_orphan && !entry.path().join(KEPT).exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            let _ = fs::write(self.at(KEPT), "");
            println!("kept: {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

/// `N` addresses of loopback that nobody listens on, and that stay free for whoever ends there and comes again.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    std::array::from_fn(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())))
}
