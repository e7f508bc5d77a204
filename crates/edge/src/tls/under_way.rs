//! Handshakes under way in a worker: how many, and whose.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::listen::slot::ListenerSlot;
use crate::runtime::worker::Worker;

/// Handshakes under way in one worker.
const AT_ONCE: u32 = 4096;
/// Handshakes under way in one worker from one address, or one /64 of IPv6.
const AT_ONCE_FROM_ONE: u32 = 512;

/// Handshakes that are under way in a worker.
#[derive(Default)]
pub(crate) struct UnderWay(RefCell<Counted>);

#[derive(Default)]
struct Counted {
    all: u32,
    by_client: HashMap<u64, u32>,
}

/// Who counts as one client: an IPv4 address, a /64 of IPv6.
fn client_of(ip: IpAddr) -> u64 {
    match ip {
        // never the same as a /64 that is routed: those begin with 001
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
    }
}

impl UnderWay {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.0.borrow().all
    }
}

/// One handshake; it counts as a connection of the worker, so that a worker that drains waits for it.
pub(crate) struct Place {
    slot: Rc<ListenerSlot>,
    worker: Rc<Worker>,
    client: u64,
}

impl Place {
    pub(crate) fn take(peer: SocketAddr, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) -> Option<Place> {
        let client = client_of(peer.ip());
        let mut counted = worker.handshakes.0.borrow_mut();
        if counted.all >= AT_ONCE {
            return None;
        }
        let of_client = counted.by_client.entry(client).or_insert(0);
        if *of_client >= AT_ONCE_FROM_ONE {
            return None;
        }
        *of_client += 1;
        counted.all += 1;
        worker.connections.set(worker.connections.get() + 1);
        slot.counters().tls.under_way.add(1);
        Some(Place { slot: slot.clone(), worker: worker.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counted = self.worker.handshakes.0.borrow_mut();
        counted.all = counted.all.saturating_sub(1);
        if let Some(of_client) = counted.by_client.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                counted.by_client.remove(&self.client);
            }
        }
        self.slot.counters().tls.under_way.sub(1);
        self.worker.connections.set(self.worker.connections.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_as_one_client() {
        let of = |ip: &str| client_of(ip.parse().unwrap());
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
