//! From one process to the next: what the data plane leaves, how it lets go, and how another takes over.
//!
//! In this order: the old one says what there is ([`Edge::bequeath`]), and goes on. The new one prepares all that can fail,
//! and begins to accept ([`Edge::commit`]): both do, by the same sockets. The old one stops ([`Edge::let_go`]), and only then
//! does the new one read datagrams ([`Edge::take_over`]): what comes between waits in the kernel.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::Edge;
use crate::legacy::{FlowLegacy, Known, KnownListener, KnownProcess, Legacy};
use crate::listen::bound::{BoundListener, dealt};
use crate::quic::relay;
use crate::quic::steer::Doors;
use crate::runtime::worker::{Command, DatagramsIn, Handover, WorkerHandle};

impl Edge {
    /// What the process that takes over is given. Nothing changes here; should it never take over, nothing has happened.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub async fn bequeath(&self) -> io::Result<Legacy> {
        let mut sockets: Vec<OwnedFd> = Vec::new();
        let mut listeners = Vec::with_capacity(self.bound.len());
        for (key, bound) in &self.bound {
            for socket in bound.connections.iter().chain(&bound.datagrams) {
                sockets.push(socket.try_clone()?);
            }
            listeners.push(KnownListener {
                load_balancer: key.load_balancer.to_string(),
                listener: key.listener.to_string(),
                declared: bound.declared.into(),
                address: bound.address,
                connections: bound.connections.len(),
                datagrams: bound.datagrams.len(),
            });
        }
        let mut predecessors = Vec::new();
        for predecessor in self.secrets.predecessors().iter().filter(|predecessor| predecessor.is_alive()) {
            let listeners = predecessor.listeners().to_vec();
            predecessors.push(KnownProcess { generation: predecessor.generation(), listeners });
            sockets.push(predecessor.socket().try_clone_to_owned()?);
        }
        let with_quic: Vec<(SocketAddr, Doors)> =
            self.bound.values().filter_map(|bound| Some((bound.address, bound.doors.clone()?))).collect();
        if !with_quic.is_empty() {
            let (addresses, doors) = with_quic.into_iter().unzip();
            let (theirs, ours) = relay::pair()?;
            tokio::spawn(relay::receive(ours, doors));
            predecessors.push(KnownProcess { generation: self.secrets.generation(), listeners: addresses });
            sockets.push(theirs);
        }
        let mut groups = BTreeMap::new();
        for (name, supervisor) in &self.supervisors {
            groups.insert(name.to_string(), supervisor.keep().await);
        }
        let (tickets, quic) = (self.tickets.bequeath(), self.secrets.bequeath());
        Ok(Legacy { known: Known { tickets, quic, listeners, predecessors, groups }, sockets })
    }

    /// Leaves the listeners to the process that has taken over. What is open is finished here; flows of datagrams go on there.
    pub async fn let_go(&mut self) -> Vec<FlowLegacy> {
        // queues that nobody else accepts from are closed with the last descriptor, when they have been emptied
        self.bound.values_mut().for_each(BoundListener::release);
        self.awaited.clear();
        let let_go = self.workers.iter().map(|worker| {
            let (done, legacy) = oneshot::channel();
            worker.send(Command::LetGo { done });
            legacy
        });
        let mut flows = Vec::new();
        for legacy in let_go.collect::<Vec<_>>() {
            flows.extend(legacy.await.unwrap_or_default());
        }
        flows
    }

    /// Reads datagrams from now on, and goes on with these flows of them.
    pub async fn take_over(&mut self, mut flows: Vec<FlowLegacy>) {
        let count = self.workers.len();
        let mut sockets: Vec<Vec<Handover>> = (0..count).map(|_| Vec::new()).collect();
        for (key, address, mut mouths) in std::mem::take(&mut self.awaited) {
            for mouth in &mut mouths {
                if let DatagramsIn::Flows(mouth) = mouth {
                    let is_of = |flow: &mut FlowLegacy| flow.known.is_of(address, mouth.place);
                    mouth.flows = flows.extract_if(.., is_of).collect();
                }
            }
            for (hand, datagrams) in sockets.iter_mut().zip(dealt(mouths, count)) {
                hand.push(Handover { key: key.clone(), connections: Vec::new(), datagrams });
            }
        }
        let mut taken = Vec::with_capacity(count);
        for (worker, sockets) in self.workers.iter().zip(sockets) {
            let (done, wait) = oneshot::channel();
            worker.send(Command::TakeOver { sockets, done });
            taken.push(wait);
        }
        for wait in taken {
            let _ = wait.await;
        }
    }

    /// Waits until every worker has ended, which they do after [`Edge::let_go`] when nothing is open any more.
    pub async fn finished(&self) {
        while !self.workers.iter().all(WorkerHandle::has_ended) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.log.flush(Duration::from_secs(2));
    }

    /// Whether every worker has moved since the last time that this was asked. They do so several times a second.
    pub fn is_alive(&mut self) -> bool {
        let mut alive = true;
        for (worker, felt) in self.workers.iter().zip(&mut self.pulses) {
            let pulse = worker.pulse();
            alive &= pulse != *felt;
            *felt = pulse;
        }
        alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Given;

    /// It is the workers' movement that counts, not the question.
    #[tokio::test]
    async fn whoever_does_not_move_is_not_alive() {
        let mut edge = Edge::start(2, 8, Given::Nothing).unwrap();
        for _ in 0..2 {
            let before: Vec<u32> = edge.workers.iter().map(WorkerHandle::pulse).collect();
            let moved = async {
                while edge.workers.iter().zip(&before).any(|(worker, before)| worker.pulse() == *before) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), moved).await.unwrap();
            assert!(edge.is_alive());
            assert!(!edge.is_alive(), "nothing has moved since");
        }
        // workers that have ended move no more
        assert!(edge.drain(Duration::from_secs(5)).await);
        edge.is_alive();
        assert!(!edge.is_alive());
    }
}
