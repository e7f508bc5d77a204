//! A data folder that goes away, and instances on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::shop::app::App;
use crate::shop::instance::{Instance, Parent, open};
use crate::shop::version::Version;

/// A data folder of one test.
pub(super) struct House {
    folder: PathBuf,
}

impl House {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("headworks-shop-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// An instance that is opened, but has no listener.
    pub(super) async fn instance(&self, name: &str, version: Version) -> Arc<App> {
        let instance = Instance {
            address: "127.0.0.1:0".parse().unwrap(),
            name: name.to_owned(),
            version,
            data: self.folder.clone(),
            parent: Parent::Ignored,
        };
        open(instance).await.unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}
