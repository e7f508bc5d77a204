//! Who may open a connection: the one step between accepting and serving, of every kind of listener.
//!
//! [`Guard::admit`] judges the address that the socket itself has, whatever a PROXY protocol tells later. What it gives out
//! stands for the connection until it ends. Engines are in `headworks_guard`; here they meet a listener's configuration, all
//! workers, and the clock.

pub(crate) mod door;
pub(crate) mod members;
pub(crate) mod reason;
pub(crate) mod state;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use headworks_guard::{Block, ClientKey};
use headworks_model::guard::Carrier;
use headworks_model::listener::ListenerLimits;
use headworks_model::primitive::Name;

use self::door::Doors;
use self::reason::Reason;
use self::state::State;

/// What stands before a listener, compiled.
pub(crate) struct Guard {
    /// For those who come over TCP,
    pub(crate) tcp: Doors,
    /// and over UDP.
    udp: Doors,
    limits: Limits,
    /// Shared with the plans before and after.
    pub(crate) state: Arc<State>,
}

/// Bounds that are looked at when a connection comes; 0 for none.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: u32,
    pub(crate) connections_per_client: u32,
    pub(crate) new_connections_per_second: u32,
    pub(crate) block: Option<Block>,
}

impl Limits {
    pub(crate) fn new(limits: &ListenerLimits) -> Limits {
        let block = limits.block.as_ref();
        Limits {
            connections: limits.connections,
            connections_per_client: limits.connections_per_client,
            new_connections_per_second: limits.new_connections_per_second,
            block: block.map(|block| Block { after: block.after, within: block.within, lasts: block.lasts }),
        }
    }
}

/// A connection that was let in; it counts until this is dropped.
pub(crate) struct Admission {
    /// Who is at the other end of the socket; IPv4 that came mapped to IPv6 is IPv4.
    pub(crate) peer: SocketAddr,
    seat: Seat,
}

/// A connection's share of what its listener allows.
struct Seat {
    state: Arc<State>,
    /// None for a client that there was no room to count.
    client: Option<ClientKey>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.state.leave(self.client);
    }
}

impl Guard {
    pub(crate) fn new(doors: impl Fn(Carrier) -> Doors, limits: &ListenerLimits, state: Arc<State>) -> Guard {
        Guard { tcp: doors(Carrier::Tcp), udp: doors(Carrier::Udp), limits: Limits::new(limits), state }
    }

    /// Whether an address may come in at all. Enough to ask for as long as nobody has proved to be there.
    ///
    /// # Errors
    /// Which of the doors is closed to it.
    pub(crate) fn judge(&self, address: IpAddr, carrier: Carrier) -> Result<(), Reason> {
        match carrier {
            Carrier::Tcp => self.tcp.judge(address),
            Carrier::Udp => self.udp.judge(address),
        }
    }

    /// Looks up anew who the members of security groups are. True when that is not who they were.
    pub(crate) fn follow_members(&self, members: impl Fn(&Name) -> Vec<IpAddr>) -> bool {
        // each is to look, whether or not the other has changed
        self.tcp.follow_members(&members) | self.udp.follow_members(&members)
    }

    /// Lets a connection in. A client that is over its own limits is refused before it counts towards those of all.
    ///
    /// # Errors
    /// Why it must not come in.
    pub(crate) fn admit(&self, peer: SocketAddr, carrier: Carrier) -> Result<Admission, Reason> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        self.judge(peer.ip(), carrier)?;
        let client = self.state.enter(peer.ip().into(), &self.limits)?;
        Ok(Admission { peer, seat: Seat { state: self.state.clone(), client } })
    }

    /// The client was too slow: an offence, which keeps it out for a while when it is repeated. A proxy is not blamed for
    /// those whom it speaks for.
    pub(crate) fn offended(&self, admission: &Admission, client: SocketAddr) {
        if client != admission.peer {
            return;
        }
        if let (Some(block), Some(client)) = (self.limits.block, admission.seat.client)
            && self.state.offend(client, block)
        {
            tracing::warn!(%client, "client is kept out for a while");
        }
    }
}
