//! Ports that a test chooses itself, for what is told its port and does not tell it.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// The lowest that is chosen: below it are those that services of the machine have.
const LOWEST: u32 = 10_000;

/// A port of loopback that nothing has, for connections and for datagrams. It is none of those that the system gives out by
/// itself: such a one may be the end of somebody's connection when it is wanted again.
///
/// # Panics
/// When all are taken.
pub fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let given_out = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = given_out.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    assert!(first > LOWEST, "the system gives out all ports from {first} on");
    let count = first - LOWEST;
    // tests run beside each other, each in its own process: each begins elsewhere
    let begin = std::process::id().wrapping_mul(37).wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed));
    let mut ports = (0..count).filter_map(|step| u16::try_from(LOWEST + begin.wrapping_add(step) % count).ok());
    let is_free = |port: &u16| {
        let at = (Ipv4Addr::LOCALHOST, *port);
        TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
    };
    ports.find(is_free).unwrap_or_else(|| panic!("no port from {LOWEST} to {first} is free"))
}
