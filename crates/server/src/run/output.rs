//! Where a process that takes over says things: where the process before did, and until it has taken over, complaints go to
//! whoever has started it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::Beginning;
use crate::takeover::predecessor::Predecessor;

/// What there was before, if it may come back.
pub(super) struct Output(Option<[OwnedFd; 2]>);

impl Output {
    /// Goes on where the process before has left off, if this one was started by it; one that somebody has started has an output of
    /// its own.
    pub(super) fn switch(predecessor: Option<&Predecessor>, beginning: Beginning) -> Output {
        let Some(predecessor) = predecessor.filter(|_| beginning == Beginning::Succeeding) else { return Output(None) };
        let before = || -> io::Result<[OwnedFd; 2]> {
            let before = [io::stdout().as_fd().try_clone_to_owned()?, io::stderr().as_fd().try_clone_to_owned()?];
            set(&predecessor.output)?;
            Ok(before)
        };
        Output(before().inspect_err(|error| tracing::warn!(%error, "this process goes on logging here")).ok())
    }

    /// It has taken over: there is no way back.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            let _ = set(&before);
        }
    }
}

fn set([output, errors]: &[OwnedFd; 2]) -> io::Result<()> {
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(errors)?;
    Ok(())
}
