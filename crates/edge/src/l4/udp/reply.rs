//! The way back of a flow of datagrams, and its end.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::table::{DatagramFlow, Flows};
use crate::l4::flow::Flow;
use crate::observe::flow::Ended;
use crate::runtime::clock::ticks;

/// Trains taken from a target at a call.
const BATCH: usize = 8;
/// Silence that ends a flow while the program stops.
const LAST_SILENCE: Duration = Duration::from_secs(1);

/// Brings what the target says back to the client, until the flow ends; tells of it then.
pub(super) async fn reply(mut flow: Flow, flows: Rc<Flows>, carried: Rc<DatagramFlow>) {
    let ended = bring(&mut flow, &flows, &carried).await;
    flows.remove(&carried, &flow.worker);
    flow.record.received = carried.received.get();
    flow.finish(ended);
}

async fn bring(flow: &mut Flow, flows: &Flows, carried: &DatagramFlow) -> Ended {
    let (worker, slot) = (flow.worker.clone(), flow.slot.clone());
    let (towards, key) = (&carried.towards, carried.key);
    let idle = ticks(flow.idle_timeout);
    flow.arm(flow.idle_timeout);
    let mut sent = 0;
    let ended = poll_fn(|cx| {
        carried.listen(cx);
        loop {
            let received = towards.socket.poll_receive(&worker.batch, BATCH, cx, |train| {
                let counters = slot.counters();
                if flows.socket.send_from(&train, key.client, key.local).is_err() {
                    // there was no room
                    counters.flows.lost_to_client.add(train.count());
                    return;
                }
                sent += train.bytes.len() as u64;
                counters.sent_bytes.add(train.bytes.len() as u64);
                counters.flows.sent_datagrams.add(train.count());
            });
            match received {
                Poll::Ready(Ok(())) => carried.moved.set(worker.clock.tick()),
                // nobody listens there: whatever follows may go to another target
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::TargetRefused),
                Poll::Pending => break,
            }
        }
        if let Some(ended) = towards.through.cut() {
            return Poll::Ready(ended);
        }
        if let Some(ended) = carried.ending.get() {
            return Poll::Ready(ended);
        }
        if worker.is_stopping() {
            return Poll::Ready(Ended::Stopping);
        }
        let silence = if worker.is_draining() { ticks(LAST_SILENCE) } else { idle };
        loop {
            let silent = worker.clock.tick().saturating_sub(carried.moved.get());
            let Some(left) = silence.checked_sub(silent).filter(|left| *left > 0) else {
                return Poll::Ready(Ended::Silent);
            };
            if worker.is_draining() {
                flow.timer.arm_ticks(left);
            }
            if !flow.timer.poll_expired(cx) {
                return Poll::Pending;
            }
            // something has moved since it was set
            flow.timer.arm_ticks(left);
        }
    })
    .await;
    flow.record.sent = sent;
    ended
}
