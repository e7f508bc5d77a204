//! Waiting for something to hold, with a deadline that says what it was.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Generous, because machines that test also build.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks `probe` until it has something, with a short back-off.
///
/// # Panics
/// After [`PATIENCE`], naming `what`.
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, probe).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Asks `probe` until it has something, or `patience` is over.
pub fn within<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if started.elapsed() > patience {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
