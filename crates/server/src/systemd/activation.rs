//! Sockets that the service manager has opened (sd_listen_fds(3)): for listeners that carry their names or their addresses, and one
//! for the admin address.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use headworks_edge::legacy::Activated;

/// What a socket for the admin address is called.
const ADMIN: &str = "admin";

/// All of them. Asked a second time, there are none.
///
/// # Errors
/// When the environment tells of sockets that are not there.
pub(crate) fn sockets() -> io::Result<Vec<Activated>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let given = sd_notify::listen_fds_with_names()?;
    let mut sockets = Vec::with_capacity(given.len());
    for (descriptor, name) in given {
        #[expect(unsafe_code, reason = "descriptors come as numbers")]
        // SAFETY: by the protocol, descriptors from 3 on, as many as the environment says for the process of this number,
        // are open and belong to this process. They are taken once, before anything else opens or closes descriptors of such numbers:
        // those that were opened earlier got others.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        sockets.push(Activated { name, socket });
    }
    Ok(sockets)
}

/// Takes out the one for the admin address: by its name, or by where it listens.
pub(crate) fn admin(sockets: &mut Vec<Activated>, address: SocketAddr) -> Option<std::net::TcpListener> {
    let is_it = |socket: &Activated| {
        let listens = || socket2::SockRef::from(&socket.socket).local_addr().ok()?.as_socket();
        socket.name == ADMIN || (address.port() != 0 && listens() == Some(address))
    };
    let place = sockets.iter().position(is_it)?;
    Some(sockets.swap_remove(place).socket.into())
}
