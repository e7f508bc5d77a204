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

use headworks_guard::filter::Instruction;
use headworks_guard::{Block, ClientKey, ClientLimits};
use headworks_model::guard::Carrier;
use headworks_model::listener::{Denial, Listener, ListenerLimits};
use headworks_model::primitive::Name;

use self::door::Doors;
use self::reason::Reason;
use self::state::State;
use crate::listen::arrival::canonical;

/// What stands before a listener, compiled.
pub(crate) struct Guard {
    /// For those who come over TCP,
    tcp: Doors,
    /// and over UDP.
    udp: Doors,
    /// What who is denied is met with.
    denial: Denial,
    limits: Limits,
    /// Shared with the plans before and after.
    pub(crate) state: Arc<State>,
}

/// Bounds that are looked at when a connection comes; 0 for none.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: u32,
    pub(crate) new_connections_per_second: u32,
    pub(crate) of_client: ClientLimits,
    pub(crate) handshakes: u32,
}

impl Limits {
    fn new(limits: &ListenerLimits) -> Limits {
        let block = limits.block.as_ref();
        Limits {
            connections: limits.connections,
            new_connections_per_second: limits.new_connections_per_second,
            of_client: ClientLimits {
                open: limits.connections_per_client,
                per_second: limits.new_connections_per_client,
                block: block.map(|block| Block { after: block.after, within: block.within, lasts: block.lasts }),
            },
            handshakes: limits.handshakes,
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
    /// Whose it is, by the word of the proxy where there is one. None for a client that there was no room to count, and
    /// until a proxy has said for whom it speaks.
    client: Option<ClientKey>,
}

/// A handshake that is under way.
pub(crate) struct Shaking(Arc<State>);

impl Drop for Shaking {
    fn drop(&mut self) {
        self.0.shaken();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.state.leave(self.client);
    }
}

impl Guard {
    pub(crate) fn new(doors: impl Fn(Carrier) -> Doors, listener: &Listener, state: Arc<State>) -> Guard {
        let (tcp, udp) = (doors(Carrier::Tcp), doors(Carrier::Udp));
        Guard { tcp, udp, denial: listener.deny, limits: Limits::new(&listener.limits), state }
    }

    /// A filter for the listening socket, so that who is denied meets nobody. None where all may connect, where those who
    /// must not are to be told, and where the filter would be too long: they are refused when they are accepted.
    pub(crate) fn filter(&self) -> Option<Vec<Instruction>> {
        match self.denial {
            Denial::Drop => self.tcp.filter(),
            Denial::Reset => None,
        }
    }

    /// A handshake may begin. It counts until what is given back is dropped.
    pub(crate) fn shake(&self) -> Option<Shaking> {
        let may = self.state.shake(self.limits.handshakes);
        may.then(|| Shaking(self.state.clone()))
    }

    /// Half of the handshakes that there may be are under way.
    pub(crate) fn is_crowded(&self) -> bool {
        let most = u64::from(self.limits.handshakes);
        most > 0 && self.state.handshakes() >= most.div_ceil(2)
    }

    /// How many handshakes of one client may be under way in one worker.
    pub(crate) fn handshakes_of_one(&self) -> u32 {
        match self.limits.handshakes {
            0 => u32::MAX,
            all => all.div_ceil(8),
        }
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
        let peer = canonical(peer);
        self.judge(peer.ip(), carrier)?;
        let client = self.state.enter(peer.ip().into(), &self.limits)?;
        Ok(Admission { peer, seat: Seat { state: self.state.clone(), client } })
    }

    /// The same for a connection of those who speak for others: whose it is, is said by [`Guard::belong`].
    ///
    /// # Errors
    /// Why it must not come in.
    pub(crate) fn admit_proxy(&self, peer: SocketAddr) -> Result<Admission, Reason> {
        let peer = canonical(peer);
        self.judge(peer.ip(), Carrier::Tcp)?;
        self.state.enter_unknown(&self.limits)?;
        Ok(Admission { peer, seat: Seat { state: self.state.clone(), client: None } })
    }

    /// A proxy has said whose connection it is: from now on it counts as that client's, and as none of the proxy's.
    ///
    /// # Errors
    /// Why that client must not have it.
    pub(crate) fn belong(&self, admission: &mut Admission, client: IpAddr) -> Result<(), Reason> {
        admission.seat.client = self.state.belong(client.into(), &self.limits)?;
        Ok(())
    }

    /// The client was too slow: an offence, which keeps it out for a while when it is repeated. A proxy that has not said
    /// for whom it speaks is not blamed.
    pub(crate) fn offended(&self, admission: &Admission) {
        if let (Some(block), Some(client)) = (self.limits.of_client.block, admission.seat.client)
            && self.state.offend(client, block)
        {
            tracing::warn!(%client, "client is kept out for a while");
        }
    }
}
