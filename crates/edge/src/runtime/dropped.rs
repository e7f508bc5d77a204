//! What the kernel has dropped of what came for a socket, without telling: packets that its filter denies, and those for which
//! its queue has no room.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::{Rc, Weak};

/// How many of the numbers that `SO_MEMINFO` writes are asked for; the last one is `SK_MEMINFO_DROPS`
/// (`include/uapi/linux/sock_diag.h`).
const NUMBERS: usize = 9;

/// What has been counted of one socket's.
pub(crate) struct Dropped<S> {
    socket: Weak<S>,
    counted: Cell<u32>,
}

impl<S: AsFd> Dropped<S> {
    /// From now on.
    pub(crate) fn by(socket: &Rc<S>) -> Dropped<S> {
        Dropped { counted: Cell::new(packets(&**socket)), socket: Rc::downgrade(socket) }
    }

    /// Packets dropped since the last look, as long as the socket is open.
    pub(crate) fn look(&self) -> u64 {
        let Some(socket) = self.socket.upgrade() else { return 0 };
        let now = packets(&*socket);
        now.wrapping_sub(self.counted.replace(now)).into()
    }
}

/// Packets dropped since the socket was opened, modulo 2^32; 0 where the kernel does not tell.
fn packets(socket: &impl AsFd) -> u32 {
    let mut numbers = [0_u32; NUMBERS];
    let mut length = size_of_val(&numbers) as libc::socklen_t;
    #[expect(unsafe_code, reason = "there is no safe way to ask for it")]
    // SAFETY: the kernel writes at most `length` bytes, which is the array's size, and keeps no reference to it.
    let told = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if told == 0 && length as usize >= size_of_val(&numbers) { numbers[NUMBERS - 1] } else { 0 }
}
