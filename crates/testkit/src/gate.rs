//! A door between a test and the threads of its origins: closed until it is opened, then open for good.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::wait::PATIENCE;

/// Shared by clones.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed one.
    #[must_use]
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open. False when it stayed closed for too long.
    #[must_use]
    pub fn wait(&self) -> bool {
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, _) =
            self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap_or_else(PoisonError::into_inner);
        *open
    }

    /// Waits until it is open.
    ///
    /// # Panics
    /// When it stays closed, naming `what`.
    pub fn expect(&self, what: &str) {
        assert!(self.wait(), "waited {PATIENCE:?} in vain for {what}");
    }
}
