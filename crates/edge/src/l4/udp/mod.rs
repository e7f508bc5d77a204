//! Flows of datagrams (N1, N2): what comes from one address and port goes to one target for as long as it does not stop,
//! and what that target says goes back from the address that was asked.
//!
//! One socket a listener and worker towards clients, read here; one a flow towards its target, so that answers find their
//! way by themselves, read by the flow's own task ([`reply`]). Datagrams are taken and given many at a call, and those that
//! the kernel has put together stay together. What finds no room is lost, as datagrams may be, and nothing waits.

mod reply;
mod table;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use headworks_model::guard::Carrier;

use self::reply::reply;
use self::table::{DatagramFlow, Flows, Key};
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

/// Carries the datagrams of one listener in one worker, until it closes and its flows have ended.
pub(crate) async fn run(socket: Rc<Datagrams>, slot: Rc<ListenerSlot>, worker: Rc<Worker>) {
    let flows = Flows::new(socket);
    // nothing expires: whatever changes for all connections wakes this one, too
    let mut timer = Timer::new(&worker);
    poll_fn(|cx| {
        for _ in 0..CALLS {
            if slot.is_closing() {
                // what a stopping program has begun goes on; a listener that is gone has nothing to go on with
                if !worker.is_draining() || flows.is_empty() {
                    return Poll::Ready(());
                }
                flows.listen_for_end(cx);
            }
            let received = flows.socket.poll_receive(&worker.batch, BATCH, cx, |train| {
                carry(&flows, &train, &slot, &worker);
            });
            match received {
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
    counters.received_bytes.add(train.bytes.len() as u64);
    counters.flows.received_datagrams.add(train.count());
    flow.forward(train, worker.clock.tick());
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
    match open(&mut flow) {
        Ok(towards) => {
            let carried = flows.insert(key, towards, worker);
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
fn open(flow: &mut Flow) -> Result<Towards, Ended> {
    let route = route::find(flow, &Spoken::Nothing, Transport::Udp)?;
    connect::datagrams(flow, &route)
}
