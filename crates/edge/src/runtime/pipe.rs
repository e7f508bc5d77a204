//! Pipes through which the kernel moves bytes from one socket to another without copying them into the program
//! (`splice(2)`). A worker keeps a few; a flow has one only while it holds bytes.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// What is moved in one call, at most, and what a pipe is asked to hold. Of the 64 KiB that one holds by itself, 1 MiB costs a
/// fifth more.
const ROOM: usize = 256 * 1024;

/// A pipe, and what it holds.
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    held: usize,
}

impl Pipe {
    /// An empty one.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(crate) fn new() -> Result<Pipe, Errno> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // whoever is not root may have only so much in pipes; smaller ones do as well
        let _ = fcntl_setpipe_size(&into, ROOM);
        Ok(Pipe { out, into, held: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes what a socket has to be read; the pipe must be empty.
    pub(super) fn fill_from(&mut self, socket: &OwnedFd) -> Result<usize, Errno> {
        let moved = splice(socket, None, &self.into, None, ROOM, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?;
        self.held += moved;
        Ok(moved)
    }

    /// Gives a socket what it takes.
    pub(super) fn drain_to(&mut self, socket: &OwnedFd) -> Result<usize, Errno> {
        let moved = splice(&self.out, None, socket, None, self.held, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?;
        self.held -= moved;
        Ok(moved)
    }
}
