//! Flows of datagrams on their way to the process that takes over: they go on there, by the same sockets, so that neither
//! client nor target notices.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use headworks_balance::TargetKey;
use headworks_model::guard::Carrier;
use serde::{Deserialize, Serialize};

use super::reply::reply;
use super::table::{Flows, Key};
use crate::l4::connect::{Through, Towards};
use crate::l4::flow::Flow;
use crate::listen::arrival::{Arrival, canonical};
use crate::listen::slot::ListenerSlot;
use crate::observe::flow::Ended;
use crate::runtime::datagrams::Datagrams;
use crate::runtime::worker::Worker;
use crate::upstream::connect::Endpoint;

/// A flow of datagrams that goes on in another process, and its socket towards the target.
pub struct FlowLegacy {
    /// What can be written down of it.
    pub known: KnownFlow,
    /// By which its target knows it.
    pub socket: OwnedFd,
}

/// What can be written down of a flow of datagrams.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KnownFlow {
    /// Where its listener is bound.
    listener: SocketAddr,
    /// The socket of that listener.
    place: u16,
    client: SocketAddr,
    /// The address that was asked, of a listener on all.
    local: Option<IpAddr>,
    group: String,
    target: TargetKey,
}

impl KnownFlow {
    /// Whether it is of this socket of this listener.
    pub(crate) fn is_of(&self, listener: SocketAddr, place: u16) -> bool {
        self.listener == listener && self.place == place
    }
}

/// Lets go of all flows of a socket of this listener: here they end. One that finds no descriptor ends for good.
pub(crate) fn let_go(flows: &Flows, listener: SocketAddr) -> Vec<FlowLegacy> {
    let mut legacy = Vec::new();
    for flow in flows.all() {
        let known = flow.group.as_deref().map(|group| KnownFlow {
            listener,
            place: flows.place,
            client: flow.key.client,
            local: flow.key.local,
            group: group.to_owned(),
            target: flow.towards.through.target.shared.key,
        });
        if let Some((known, socket)) = known.zip(flow.towards.socket.duplicate().ok()) {
            legacy.push(FlowLegacy { known, socket });
        }
        flow.end(Ended::Replaced);
    }
    legacy
}

impl FlowLegacy {
    /// Has it go on here, if its target is still there and its client may still send. Otherwise it is over, and what its client sends
    /// begins another.
    pub(super) fn go_on(self, flows: &Rc<Flows>, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) {
        if let Err(error) = self.begin(flows, slot, worker) {
            tracing::debug!(%error, listener = %slot.address, "a flow of datagrams does not go on");
        }
    }

    fn begin(self, flows: &Rc<Flows>, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) -> io::Result<()> {
        let KnownFlow { client, local, group, target, .. } = self.known;
        let gone = |what: &str| io::Error::new(io::ErrorKind::NotFound, what);
        let table = slot.table();
        let group = table.tables.groups.iter().find(|known| *known.name == *group).ok_or_else(|| gone("no group"))?;
        let target = group.target(target).ok_or_else(|| gone("no target"))?;
        let Endpoint::Ip(address) = target.shared.endpoint else { return Err(gone("no address")) };
        let socket = Datagrams::new(UdpSocket::from(self.socket))?;
        let peer = canonical(client);
        let admission = table.plan.guard.admit(peer, Carrier::Udp).map_err(|reason| {
            slot.refuse(peer, reason);
            io::Error::from(io::ErrorKind::PermissionDenied)
        })?;
        let arrival = Arrival::direct(admission, slot, || None);
        let mut flow = Flow::open(arrival, slot.clone(), worker.clone());
        if let Some(plan) = &table.plan.flows {
            flow.idle_timeout = plan.silence;
        }
        flow.record.group = Some(group.name.clone());
        flow.record.target = Some(target.clone());
        let towards = Towards { socket, address, through: Through::new(&target) };
        let carried = flows.insert(Key { client, local }, Some(group.name.clone()), towards, worker);
        tokio::task::spawn_local(reply(flow, flows.clone(), carried));
        Ok(())
    }
}
