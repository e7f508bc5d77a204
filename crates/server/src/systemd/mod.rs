//! systemd, or whoever else starts the program the same way: sockets that it has opened ([`activation`]), and what it is
//! told of the program's state (sd_notify(3)). Without it, nothing of this happens.

pub(crate) mod activation;

use std::time::Duration;

use sd_notify::NotifyState;

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// This process serves; it may have taken over from another, which was told of before.
pub(crate) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A configuration is applied; [`ready`] follows in any case.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// This process stops, and nobody goes on.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing what is open")]);
}

/// Another process is the service from now on.
pub(crate) fn succeeded_by(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

/// All threads move.
pub(crate) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be said, where somebody watches: twice in the time after which they would act.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2).filter(|period| !period.is_zero())
}
