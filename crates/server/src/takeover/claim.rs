//! The claim to serve: one token, that either process can take, and neither give back.
//!
//! Between `Go` and `Serving` either side may stand still for any time: stopped, swapped out, starved. Were it for a clock to say
//! that the new process is too late, it could wake a moment later and serve beside the old one. So it is for the claim: whoever
//! takes it decides. The new process takes it last of all before it accepts; the old one takes it when it has waited too long, and
//! the new one then finds it gone.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

/// An end of a pipe in which there is one byte, or none any more.
pub(super) struct Claim(OwnedFd);

impl Claim {
    /// One that nobody has taken.
    ///
    /// # Errors
    /// When there are no descriptors.
    pub(super) fn new() -> io::Result<Claim> {
        let (claim, token) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        rustix::io::write(&token, b"c")?;
        Ok(Claim(claim))
    }

    /// One that was handed over.
    pub(super) fn of(descriptor: OwnedFd) -> Claim {
        Claim(descriptor)
    }

    /// The same claim for another process.
    ///
    /// # Errors
    /// When there are no descriptors.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Takes it. False when somebody else has.
    pub(super) fn take(&self) -> bool {
        rustix::io::read(&self.0, &mut [0_u8; 1]).is_ok_and(|read| read == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_taken_once() {
        let claim = Claim::new().unwrap();
        let other = Claim::of(claim.share().unwrap());
        assert!(other.take());
        assert!(!claim.take() && !other.take());
    }
}
