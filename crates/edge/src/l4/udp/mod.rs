//! Flows of datagrams (N1, N2): what comes from one address and port goes to one target for as long as it does not stop,
//! and what that target says goes back from the address that was asked.
//!
//! One socket a listener and worker towards clients, read here; one a flow towards its target, so that answers find their
//! way by themselves, read by the flow's own task ([`reply`]). Datagrams are taken and given many at a call, and those that
//! the kernel has put together stay together. What finds no room is lost, as datagrams may be, and nothing waits.

pub(crate) mod legacy;
mod reply;
mod table;

use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::rc::Rc;
use std::task::Poll;

use headworks_model::guard::Carrier;

use self::legacy::FlowLegacy;
use self::reply::reply;
pub(crate) use self::table::Flows;
use self::table::{DatagramFlow, Key};
use super::connect::{self, Towards};
use super::flow::{Flow, Spoken};
use super::route::{self, Transport};
use crate::listen::arrival::{Arrival, canonical};
use crate::listen::slot::ListenerSlot;
use crate::observe::flow::Ended;
use crate::runtime::datagrams::{Datagrams, Train};
use crate::runtime::deadline::Timer;
use crate::runtime::worker::Worker;

/// Trains taken from clients at a call.
const BATCH: usize = 32;
/// Calls before others have their turn.
const CALLS: usize = 8;

/// A socket of a listener, and what goes on by it.
pub(crate) struct Mouth {
    pub(crate) socket: UdpSocket,
    /// Which of the listener's sockets it is.
    pub(crate) place: u16,
    /// Flows that another process has begun.
    pub(crate) flows: Vec<FlowLegacy>,
}

/// The flows of one listener by one socket; those that another process has begun go on at once.
///
/// # Errors
/// When the runtime cannot watch the socket.
pub(crate) fn open(mouth: Mouth, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) -> io::Result<Rc<Flows>> {
    let socket = Rc::new(Datagrams::new(mouth.socket)?);
    slot.receives_by(&socket);
    let flows = Flows::new(socket, mouth.place);
    mouth.flows.into_iter().for_each(|flow| flow.go_on(&flows, slot, worker));
    Ok(flows)
}

/// Carries the datagrams of one listener by one socket, until it closes and its flows have ended.
pub(crate) async fn run(flows: Rc<Flows>, slot: Rc<ListenerSlot>, worker: Rc<Worker>) {
    // nothing expires: whatever changes for all connections wakes this one, too
    let mut timer = Timer::new(&worker);
    poll_fn(|cx| {
        for _ in 0..CALLS {
            if slot.is_closing() {
                // what a stopping program has begun goes on; a listener that is gone has nothing to go on with
                if !worker.is_draining() || worker.has_let_go() || flows.len() == 0 {
                    return Poll::Ready(());
                }
                flows.listen_for_end(cx);
            }
            let received = flows.socket.poll_receive(&worker.batch, BATCH, cx, |train| {
                carry(&flows, &train, &slot, &worker);
            });
            match received {
                // those that give way have their turn first, and with it their descriptors come back
                Poll::Ready(Ok(())) if worker.datagram_flows.get() > worker.most_datagram_flows() => break,
                Poll::Ready(Ok(())) => {}
                // of datagrams to clients that are gone
                Poll::Ready(Err(error)) if is_of_one(&error) => {}
                Poll::Ready(Err(error)) => {
                    tracing::error!(%error, listener = %slot.address, "datagrams cannot be received");
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    let _ = timer.poll_expired(cx);
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    flows.close();
}

/// An error that concerns one peer, not the socket.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

/// Sends what a client has sent to its flow's target; what begins a flow chooses one first.
fn carry(flows: &Rc<Flows>, train: &Train<'_>, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) {
    let key = Key { client: train.from, local: train.to };
    let flow = match flows.find(key) {
        Some(flow) => flow,
        None if slot.is_closing() => return,
        None => match begin(flows, key, slot, worker) {
            Some(flow) => flow,
            None => return,
        },
    };
    let counters = slot.counters();
    if flow.forward(train, worker.clock.tick()).is_err() {
        counters.flows.lost_to_target.add(train.count());
        return;
    }
    counters.received_bytes.add(train.bytes.len() as u64);
    counters.flows.received_datagrams.add(train.count());
}

/// Begins a flow: chooses its target, opens the socket towards it, and starts the task that brings answers back.
fn begin(flows: &Rc<Flows>, key: Key, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) -> Option<Rc<DatagramFlow>> {
    let peer = canonical(key.client);
    let admission = match slot.table().plan.guard.admit(peer, Carrier::Udp) {
        Ok(admission) => admission,
        // silence is the answer
        Err(reason) => {
            slot.refuse(peer, reason);
            return None;
        }
    };
    let arrival = Arrival::direct(admission, slot, || None);
    let mut flow = Flow::open(arrival, slot.clone(), worker.clone());
    if let Some(plan) = &slot.table().plan.flows {
        flow.idle_timeout = plan.silence;
    }
    match aim(&mut flow) {
        Ok(towards) => {
            let carried = flows.insert(key, flow.record.group.clone(), towards, worker);
            tokio::task::spawn_local(reply(flow, flows.clone(), carried.clone()));
            Some(carried)
        }
        Err(ended) => {
            flow.finish(ended);
            None
        }
    }
}

/// Finds the target of a flow and opens a socket towards it.
fn aim(flow: &mut Flow) -> Result<Towards, Ended> {
    let route = route::find(flow, &Spoken::Nothing, Transport::Udp)?;
    connect::datagrams(flow, &route)
}
