//! What a process leaves to the one that takes over: sockets that listen, keys that clients hold something of, and what is
//! known of targets. And sockets that somebody else has opened for it.
//!
//! What is not in it ends with the process: open connections, which it finishes itself, and counters.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use headworks_balance::{Gradient, Kept, TargetKey};
use headworks_model::listener::Listener;
use headworks_model::primitive::Bind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socket2::{SockRef, Type};

use crate::compile::plan::ListenerKey;
pub use crate::l4::udp::legacy::{FlowLegacy, KnownFlow};
use crate::quic::relay::Predecessor;
use crate::quic::{Secrets, Seeds};
use crate::tls::ticket::{TicketKeys, Tickets};

/// What is handed over.
pub struct Legacy {
    /// What can be written down. It holds secrets.
    pub known: Known,
    /// What cannot, in the order that [`Legacy::known`] speaks of it.
    pub sockets: Vec<OwnedFd>,
}

/// What can be written down of a data plane.
#[derive(Deserialize, Serialize)]
pub struct Known {
    pub(crate) tickets: TicketKeys,
    pub(crate) quic: Seeds,
    /// Each with as many sockets as it says.
    pub(crate) listeners: Vec<KnownListener>,
    /// The process itself, and those before it that still have connections over QUIC; each with a socket.
    pub(crate) predecessors: Vec<KnownProcess>,
    pub(crate) groups: BTreeMap<String, KnownGroup>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct KnownListener {
    pub(crate) load_balancer: String,
    pub(crate) listener: String,
    pub(crate) declared: Declared,
    pub(crate) address: SocketAddr,
    /// How many sockets for connections, and how many for datagrams.
    pub(crate) connections: usize,
    pub(crate) datagrams: usize,
}

/// Where a listener was declared to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Declared {
    Port(u16),
    Address(SocketAddr),
}

impl From<Bind> for Declared {
    fn from(bind: Bind) -> Declared {
        match bind {
            Bind::Any(port) => Declared::Port(port),
            Bind::Address(address) => Declared::Address(address),
        }
    }
}

#[derive(Deserialize, Serialize)]
pub(crate) struct KnownProcess {
    pub(crate) generation: u16,
    /// Where its listeners with QUIC are bound.
    pub(crate) listeners: Vec<SocketAddr>,
}

/// What a target group knows.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct KnownGroup {
    /// What its clock says: all moments are by it.
    pub(crate) clock: Duration,
    /// Of each target. What another version wrote and this one cannot read is not known.
    pub(crate) targets: Vec<Value>,
    /// The limit that has been found out, where one is looked for.
    #[serde(default)]
    pub(crate) gradient: Option<Value>,
    /// Retries and hedges that its budget has left.
    #[serde(default)]
    pub(crate) retries_left: Option<u64>,
}

impl KnownGroup {
    /// The limit that has been found out.
    pub(crate) fn gradient(&self) -> Option<Gradient> {
        self.gradient.as_ref().and_then(|gradient| Gradient::deserialize(gradient).ok())
    }

    /// By target.
    pub(crate) fn targets(&self) -> HashMap<TargetKey, Kept> {
        let kept = self.targets.iter().filter_map(|target| Kept::deserialize(target).ok());
        kept.map(|kept| (kept.key(), kept)).collect()
    }
}

/// A socket that was opened by whoever has started this process.
pub struct Activated {
    /// What it is called: `load-balancer/listener`, or anything else where its address tells whose it is.
    pub name: String,
    /// It listens, or takes datagrams.
    pub socket: OwnedFd,
}

/// Where sockets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The process before this one.
    Predecessor,
    /// Whoever has started this one.
    Supervisor,
}

/// Sockets of one listener that are there already. Each is a descriptor of its own; the socket is shared with whoever else has it.
pub(crate) struct Sockets {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Vec<Arc<OwnedFd>>,
    pub(crate) datagrams: Vec<Arc<OwnedFd>>,
    /// Another process still reads from the sockets for datagrams.
    pub(crate) are_read: bool,
    /// More sockets may be bound beside them.
    pub(crate) may_grow: bool,
}

struct Bequest {
    name: String,
    declared: Option<Declared>,
    origin: Origin,
    address: SocketAddr,
    connections: Vec<Arc<OwnedFd>>,
    datagrams: Vec<Arc<OwnedFd>>,
}

/// What this process was given, as far as nobody has asked for it yet.
#[derive(Default)]
pub(crate) struct Inheritance {
    bequests: Vec<Bequest>,
    groups: BTreeMap<String, KnownGroup>,
}

/// The secrets that go on.
pub(crate) struct Inherited {
    pub(crate) tickets: Tickets,
    pub(crate) secrets: Secrets,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl Inheritance {
    /// Takes in sockets that were opened for this process.
    ///
    /// # Errors
    /// When one is no socket at all.
    pub(crate) fn activated(sockets: Vec<Activated>) -> io::Result<Inheritance> {
        let mut bequests: Vec<Bequest> = Vec::new();
        for Activated { name, socket } in sockets {
            let as_socket = SockRef::from(&socket);
            as_socket.set_nonblocking(true)?;
            let address = as_socket.local_addr()?.as_socket();
            let is_stream = as_socket.r#type()? == Type::STREAM;
            let address = address.ok_or_else(|| broken(&format!("the socket {name} is none of IP")))?;
            let place = bequests.iter().position(|known| known.name == name && known.address == address);
            let place = place.unwrap_or_else(|| {
                let (connections, datagrams) = (Vec::new(), Vec::new());
                let origin = Origin::Supervisor;
                bequests.push(Bequest { name, declared: None, origin, address, connections, datagrams });
                bequests.len() - 1
            });
            if let Some(bequest) = bequests.get_mut(place) {
                let sockets = if is_stream { &mut bequest.connections } else { &mut bequest.datagrams };
                sockets.push(Arc::new(socket));
            }
        }
        Ok(Inheritance { bequests, groups: BTreeMap::new() })
    }

    /// Takes in what the process before has left.
    ///
    /// # Errors
    /// When it is not what it says.
    pub(crate) fn legacy(legacy: Legacy) -> io::Result<(Inheritance, Inherited)> {
        let Legacy { known, sockets } = legacy;
        let mut sockets = sockets.into_iter();
        let mut some = |count: usize| {
            let taken: Vec<_> = sockets.by_ref().take(count).collect();
            if taken.len() == count { Ok(taken) } else { Err(broken("fewer sockets came than were announced")) }
        };
        let mut bequests = Vec::with_capacity(known.listeners.len());
        for listener in known.listeners {
            bequests.push(Bequest {
                name: format!("{}/{}", listener.load_balancer, listener.listener),
                declared: Some(listener.declared),
                origin: Origin::Predecessor,
                address: listener.address,
                connections: some(listener.connections)?.into_iter().map(Arc::new).collect(),
                datagrams: some(listener.datagrams)?.into_iter().map(Arc::new).collect(),
            });
        }
        let mut predecessors = Vec::with_capacity(known.predecessors.len());
        for KnownProcess { generation, listeners } in known.predecessors {
            let socket = some(1)?.pop().ok_or_else(|| broken("no socket"))?;
            predecessors.push(Predecessor::new(generation, listeners, socket));
        }
        let tickets = Tickets::inherited(known.tickets).map_err(|_| broken("the keys of tickets are none"))?;
        let secrets = Secrets::inherited(known.quic, predecessors.into());
        Ok((Inheritance { bequests, groups: known.groups }, Inherited { tickets, secrets }))
    }

    /// The sockets that are there for a listener.
    pub(crate) fn find(&self, key: &ListenerKey, listener: &Listener) -> Option<Sockets> {
        let bequest = self.bequest(key, listener)?;
        Some(Sockets {
            address: bequest.address,
            connections: bequest.connections.clone(),
            datagrams: bequest.datagrams.clone(),
            are_read: bequest.origin == Origin::Predecessor,
            may_grow: bequest.origin == Origin::Predecessor,
        })
    }

    fn bequest(&self, key: &ListenerKey, listener: &Listener) -> Option<&Bequest> {
        let declared = Declared::from(listener.bind);
        let name = format!("{}/{}", key.load_balancer, key.listener);
        // the name counts first: of port 0, nothing else says which it is
        let by_name = self
            .bequests
            .iter()
            .find(|bequest| bequest.name == name && bequest.declared.is_none_or(|before| before == declared));
        by_name.or_else(|| self.bequests.iter().find(|bequest| is_bound_to(bequest.address, listener.bind)))
    }

    /// Nobody needs to ask for what these listeners have taken; nor for what the process before had and nobody has now.
    pub(crate) fn settle<'a>(&mut self, taken: impl Iterator<Item = (&'a ListenerKey, &'a Listener)>) {
        let taken: Vec<SocketAddr> =
            taken.filter_map(|(key, listener)| self.bequest(key, listener).map(|b| b.address)).collect();
        self.bequests.retain(|b| b.origin == Origin::Supervisor && !taken.contains(&b.address));
        self.groups.clear();
    }

    /// What is here that nobody has asked for.
    pub(crate) fn left(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.bequests.iter().map(|bequest| (bequest.name.as_str(), bequest.address))
    }

    /// What is known of a target group.
    pub(crate) fn group(&mut self, name: &str) -> Option<KnownGroup> {
        self.groups.remove(name)
    }
}

fn is_bound_to(address: SocketAddr, bind: Bind) -> bool {
    match bind {
        Bind::Any(port) => port != 0 && address.port() == port && address.ip().is_unspecified(),
        Bind::Address(wanted) => wanted.port() != 0 && wanted == address,
    }
}

/// Another descriptor of a socket for connections.
///
/// # Errors
/// When there is none left.
pub(crate) fn listener(socket: &OwnedFd) -> io::Result<TcpListener> {
    Ok(TcpListener::from(socket.try_clone()?))
}

/// Another descriptor of a socket for datagrams.
///
/// # Errors
/// When there is none left.
pub(crate) fn datagrams(socket: &OwnedFd) -> io::Result<UdpSocket> {
    Ok(UdpSocket::from(socket.try_clone()?))
}

/// Another descriptor of a socket, to be kept beside it.
///
/// # Errors
/// When there is none left.
pub(crate) fn kept(socket: &impl AsFd) -> io::Result<Arc<OwnedFd>> {
    Ok(Arc::new(socket.as_fd().try_clone_to_owned()?))
}
