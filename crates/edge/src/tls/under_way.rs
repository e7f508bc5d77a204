//! Handshakes under way in a worker: how many, and whose.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use headworks_guard::ClientKey;

use crate::guard::Shaking;
use crate::listen::slot::ListenerSlot;
use crate::runtime::worker::Worker;

/// Handshakes under way in one worker.
const AT_ONCE: u32 = 4096;
/// Handshakes under way in one worker from one address, or one /64 of IPv6, however many its listener allows.
const AT_ONCE_FROM_ONE: u32 = 512;

/// Handshakes that are under way in a worker.
#[derive(Default)]
pub(crate) struct UnderWay(RefCell<Counted>);

#[derive(Default)]
struct Counted {
    all: u32,
    by_client: HashMap<ClientKey, u32>,
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
    client: ClientKey,
    _shaking: Shaking,
}

impl Place {
    pub(crate) fn take(peer: SocketAddr, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) -> Option<Place> {
        let client = ClientKey::from(peer.ip());
        let mut counted = worker.handshakes.0.borrow_mut();
        if counted.all >= AT_ONCE {
            return None;
        }
        let table = slot.table();
        let guard = &table.plan.guard;
        let of_client = counted.by_client.get(&client).copied().unwrap_or(0);
        if of_client >= AT_ONCE_FROM_ONE.min(guard.handshakes_of_one()) {
            return None;
        }
        let shaking = guard.shake()?;
        counted.by_client.insert(client, of_client + 1);
        counted.all += 1;
        worker.connections.set(worker.connections.get() + 1);
        slot.counters().tls.under_way.add(1);
        Some(Place { slot: slot.clone(), worker: worker.clone(), client, _shaking: shaking })
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
