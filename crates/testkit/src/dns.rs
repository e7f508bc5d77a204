//! A name server: every name is this machine, except those that begin with `nowhere`. It remembers what it was asked.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running name server; it ends when this is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<BTreeSet<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The type of a question for an IPv4 address.
const A: [u8; 2] = [0, 1];
const HEADER: usize = 12;

impl NameServer {
    /// Starts it on a port of its own.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start() -> NameServer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(|error| panic!("no port: {error}"));
        let address = socket.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap_or_else(|error| panic!("no time-out: {error}"));
        let (asked, over) = (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::<AtomicBool>::default());
        let (seen, ends) = (asked.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            let mut packet = [0; 1500];
            while !ends.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
                if let Some((name, answer)) = answer(&packet[..length]) {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        NameServer { address, asked, over, thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All names that it was asked for, each once.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The name that a packet asks for, and what it is answered (RFC 1035 section 4).
fn answer(packet: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = packet.get(at..at + 2)?;
    let question = packet.get(HEADER..at + 4)?;
    let name = labels.join(".");
    let exists = !name.starts_with("nowhere");
    let found = exists && kind == A;
    // an authoritative answer: no error, or no such name; one question, one answer or none
    let mut out = packet.get(..2)?.to_vec();
    out.extend([0x85, if exists { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(found), 0, 0, 0, 0]);
    out.extend(question);
    if found {
        out.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some((name, out))
}
