//! Who a connection is from, as everything behind its acceptance sees it.

use std::net::SocketAddr;

use headworks_message::proxy_protocol::{Ends, Tlvs};

use super::slot::ListenerSlot;
use crate::guard::Admission;

/// Who a connection is from.
pub(crate) struct Arrival {
    /// The socket's peer, or the client that a proxy speaks for.
    pub(crate) peer: SocketAddr,
    /// What the socket's peer was let in by.
    pub(crate) admission: Admission,
    /// None where nobody asks for it.
    pub(crate) known: Option<Box<Known>>,
}

/// What is known of a connection besides, and may be told to targets.
pub(crate) struct Known {
    /// The address that the client connected to.
    pub(crate) local: SocketAddr,
    /// What a proxy has said of it, as records of the PROXY protocol.
    pub(crate) records: Box<[u8]>,
}

impl Arrival {
    /// A client that has connected here; `local` finds out where, if it can.
    pub(crate) fn direct(
        admission: Admission,
        slot: &ListenerSlot,
        local: impl FnOnce() -> Option<SocketAddr>,
    ) -> Arrival {
        // a listener on one address knows it, and nobody but targets that are told of it asks
        let asks = slot.address.ip().is_unspecified() && slot.table().tables.plan.announces;
        let local = asks.then(local).flatten();
        let known = local.map(|local| Box::new(Known { local: canonical(local), records: Box::default() }));
        Arrival { peer: admission.peer, admission, known }
    }

    /// A client of a proxy.
    pub(crate) fn proxied(admission: Admission, ends: Ends, records: Tlvs<'_>) -> Arrival {
        let known = Known { local: canonical(ends.destination), records: records.bytes().into() };
        Arrival { peer: canonical(ends.source), admission, known: Some(Box::new(known)) }
    }
}

/// An IPv4 address as such, though a socket of IPv6 or a proxy says it mapped.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
