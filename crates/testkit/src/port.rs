//! Ports that a test chooses itself, for what is told its port and does not tell it.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

/// The lowest that is chosen: below it are those that services of the machine have.
const LOWEST: u32 = 10_000;

/// A port of loopback that nothing has, for connections and for datagrams, and another with each call. It is none of those
/// that the system gives out by itself: such a one may be the end of somebody's connection when it is wanted again.
///
/// # Panics
/// When all are taken.
pub fn free_port() -> u16 {
    static NEXT: Mutex<Option<u32>> = Mutex::new(None);
    let given_out = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = given_out.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768);
    assert!(first > LOWEST, "the system gives out all ports from {first} on");
    let count = first - LOWEST;
    let mut next = NEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // tests run beside each other, each in its own process: each begins elsewhere
    let begin = next.unwrap_or_else(|| std::process::id().wrapping_mul(37) % count);
    let free = |step: u32| {
        let port = u16::try_from(LOWEST + (begin + step) % count).ok()?;
        let at = (Ipv4Addr::LOCALHOST, port);
        (TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()).then_some((step, port))
    };
    let found = (0..count).find_map(free);
    let (step, port) = found.unwrap_or_else(|| panic!("no port from {LOWEST} to {first} is free"));
    *next = Some((begin + step + 1) % count);
    port
}
