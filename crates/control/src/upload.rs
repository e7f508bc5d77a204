//! A body that is too long to be held in memory: it is written to a file as it comes, once it is known who sends it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use headworks_iam::sigv4::ContentHash;
use headworks_store::StoreError;
use http_body_util::BodyExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::keyfile::random;
use crate::problem::Problem;

/// The longest: the state of a large installation with years of revisions.
const LONGEST: u64 = 1 << 30;
/// How long the next part of it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body that is still to come.
pub(crate) struct Upload {
    /// Behind a lock that nobody contends for: calls are shared between threads, and a body alone is not to be.
    body: Mutex<Body>,
    /// Its hash, where it was signed for.
    declared: Option<String>,
}

/// A file that is there as long as this is, with what a database makes beside it.
#[derive(Debug)]
pub(crate) struct Aside(PathBuf);

impl Aside {
    /// A path in a folder that nothing has.
    pub(crate) fn new(folder: &Path, what: &str) -> Result<Self, StoreError> {
        let random = u64::from_be_bytes(random()?);
        Ok(Self(folder.join(format!(".{random:016x}.{what}"))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Takes away what a process has left in a folder that ended while it had something aside. What is young may be another's, which
/// hands over to this one.
pub(crate) fn clear_away(folder: &Path, age: Duration) {
    let is_aside = |name: &str| {
        let random = name.strip_prefix('.').and_then(|name| name.split_once('.')).map(|(random, _)| random);
        random.is_some_and(|random| random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|about| about.modified());
        let is_old = modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|since| since >= age));
        if is_old && entry.file_name().to_str().is_some_and(is_aside) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

impl Upload {
    pub(crate) fn new(body: Body, declared: Option<String>) -> Self {
        Self { body: Mutex::new(body), declared }
    }

    /// Writes all of it to a file of its own in a folder.
    ///
    /// # Errors
    /// When it is too long, too slow, not what was signed, or cannot be written.
    pub(crate) async fn save(self, folder: &Path, what: &str) -> Result<Aside, Problem> {
        let mut body = self.body.into_inner().unwrap_or_else(PoisonError::into_inner);
        if HttpBody::size_hint(&body).lower() > LONGEST {
            return Err(Problem::too_large(LONGEST));
        }
        let aside = Aside::new(folder, what)?;
        let mut file = create(aside.path()).await.map_err(StoreError::from)?;
        let (mut hash, mut length) = (ContentHash::default(), 0);
        while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(|_| Problem::too_slow())? {
            let frame = frame.map_err(|_| Problem::incomplete())?;
            let Ok(data) = frame.into_data() else { continue };
            length += data.len() as u64;
            if length > LONGEST {
                return Err(Problem::too_large(LONGEST));
            }
            hash.update(&data);
            file.write_all(&data).await.map_err(StoreError::from)?;
        }
        file.sync_all().await.map_err(StoreError::from)?;
        if self.declared.is_some_and(|declared| declared != hash.finish()) {
            return Err(Problem::bad_request("the body is not the one that was signed"));
        }
        Ok(aside)
    }
}

async fn create(path: &Path) -> std::io::Result<File> {
    tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_aside_is_cleared_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let aside = Aside::new(folder.path(), "restore").unwrap();
        let beside = format!("{}-wal", aside.path().display());
        let others = ["headworks.db", "control.key", ".control.key.7", ".restoring.db", ".0123.backup"];
        let others = others.map(|name| folder.path().join(name));
        let all = || others.iter().map(PathBuf::as_path).chain([aside.path(), Path::new(&beside)]);
        all().for_each(|path| std::fs::write(path, "x").unwrap());
        clear_away(folder.path(), Duration::from_secs(60));
        assert!(all().all(Path::exists));
        clear_away(folder.path(), Duration::ZERO);
        assert!(others.iter().all(|path| path.exists()));
        assert!(!aside.path().exists() && !Path::new(&beside).exists());
    }
}
