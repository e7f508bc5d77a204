//! Accepting connections of one listener in one worker.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use headworks_model::guard::Carrier;

use super::arrival::Arrival;
use super::proxied;
use super::slot::ListenerSlot;
use crate::l4;
use crate::l7;
use crate::l7::connection::Connection;
use crate::runtime::socket::{Acceptor, Socket};
use crate::runtime::worker::Worker;
use crate::tls;

/// Pause while there is no room, or after an accept that failed for want of descriptors or memory: trying at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections that are taken from the kernel's queue when the listener closes: as many as fit into it. Where another
/// process goes on with the socket, there may be no end of them.
const QUEUED: u32 = 4096;

/// Accepts by one socket until the listener closes. Connections that the kernel had queued by then are served all the same:
/// closing the socket would reset them.
pub(crate) async fn run(listener: Rc<Acceptor>, slot: Rc<ListenerSlot>, worker: Rc<Worker>) {
    while !slot.is_closing() {
        let is_full = worker.is_full();
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept(), if !is_full => accepted,
            () = slot.closed.notified() => continue,
            () = pause(), if is_full => continue,
        };
        match accepted {
            Ok((stream, peer)) => spawn(stream, peer, &slot, &worker),
            Err(error) => {
                if is_exhaustion(&error) {
                    tracing::warn!(%error, listener = %slot.address, "cannot accept");
                    pause().await;
                }
            }
        }
    }
    for _ in 0..QUEUED {
        let Some((stream, peer)) = listener.accept_queued() else { break };
        spawn(stream, peer, &slot, &worker);
    }
}

async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

fn spawn(stream: Socket, peer: SocketAddr, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) {
    let table = slot.table();
    let is_proxied = table.plan.proxied_from.is_some();
    let guard = &table.plan.guard;
    let admitted = if is_proxied { guard.admit_proxy(peer) } else { guard.admit(peer, Carrier::Tcp) };
    let admission = match admitted {
        Ok(admission) => admission,
        Err(reason) => {
            slot.refuse(peer, reason);
            // nothing is left of it here, not even in the kernel
            stream.reset_on_close();
            return;
        }
    };
    if is_proxied {
        tokio::task::spawn_local(proxied::serve(stream, admission, slot.clone(), worker.clone()));
        return;
    }
    let arrival = Arrival::direct(admission, slot, || stream.local_address());
    begin(stream, arrival, slot, worker);
}

/// Serves a connection of which it is known who it is from.
pub(super) fn begin(stream: Socket, arrival: Arrival, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) {
    let table = slot.table();
    if let Some(tls) = table.plan.tls.clone() {
        tokio::task::spawn_local(tls::accept::serve(stream, arrival, slot.clone(), worker.clone(), tls));
        return;
    }
    if let Some(flows) = &table.plan.flows {
        tokio::task::spawn_local(l4::serve(stream, arrival, slot.clone(), worker.clone(), flows.protocol));
        return;
    }
    let connection = Connection::open(stream, arrival, slot.clone(), worker.clone(), None);
    tokio::task::spawn_local(l7::serve(connection));
}

/// Out of descriptors or memory; other errors of `accept` concern one connection that is gone already.
fn is_exhaustion(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS | ENOMEM))
}
