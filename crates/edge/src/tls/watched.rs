//! Something made of files, made again when they change. A file counts as changed when its time, size or place on the
//! disk do.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What of a file changes when it does; none when it is not there.
type Stamp = Option<(i64, i64, u64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|file| stamp(file)).collect()
}

/// Something made of files.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    files: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    /// The files were wrong when they were last read.
    broken: bool,
    value: Arc<T>,
}

/// What a look at the files brought.
#[derive(Debug)]
pub(crate) enum Looked<E> {
    Same,
    Changed,
    /// They are wrong now; the value is what it was. Said once for each change.
    Broken(E),
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        let Watched { files, stamps, broken, value } = self;
        Watched { files: files.clone(), stamps: stamps.clone(), broken: *broken, value: value.clone() }
    }
}

impl<T> Watched<T> {
    /// Makes it for the first time.
    ///
    /// # Errors
    /// Those of making it.
    pub(crate) fn new<E>(files: Vec<PathBuf>, make: impl FnOnce() -> Result<T, E>) -> Result<Watched<T>, E> {
        // before the files are read: what changes in between is seen at the next look
        let stamps = stamps(&files);
        Ok(Watched { value: Arc::new(make()?), files, stamps, broken: false })
    }

    pub(crate) fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// Whether it is what its files say now.
    pub(crate) fn is_current(&self) -> bool {
        !self.broken && stamps(&self.files) == self.stamps
    }

    /// Makes it again if its files have changed.
    pub(crate) fn look<E>(&mut self, make: impl FnOnce() -> Result<T, E>) -> Looked<E> {
        let now = stamps(&self.files);
        if now == self.stamps {
            return Looked::Same;
        }
        self.stamps = now;
        let made = make();
        self.broken = made.is_err();
        match made {
            Ok(value) => {
                self.value = Arc::new(value);
                Looked::Changed
            }
            Err(error) => Looked::Broken(error),
        }
    }
}
