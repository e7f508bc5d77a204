//! The temporary folder of one bench, and free ports.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::trouble::{Trouble, io};

/// A folder that is removed when the bench ends.
pub(crate) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes a folder with a name of its own.
    pub(crate) fn create(keep: bool) -> Result<Folder, Trouble> {
        Folder::make(std::env::temp_dir().join(format!("headworks-bench-{}", std::process::id())), keep)
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

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            println!("kept: {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

/// `N` addresses of loopback that nobody listens on; all different, because all are held until all are known.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N], Trouble> {
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).map_err(io("a free port"))?;
        *address = listener.local_addr().map_err(io("a free port"))?;
        held.push(listener);
    }
    Ok(addresses)
}
