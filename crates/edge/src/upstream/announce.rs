//! What a target is told of a client before the client's own bytes: the PROXY protocol, on every new connection to it.

use std::net::SocketAddr;
use std::sync::Arc;

use headworks_message::proxy_protocol::{Ends, Secured, Tlvs, Told, put_v1, put_v2};
use headworks_model::primitive::Address;
use headworks_model::target_group::{ProxyProtocolVersion, TargetGroup};

use crate::tls::session::Session;

/// How the targets of a group are told of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announces {
    pub(crate) version: ProxyProtocolVersion,
    /// What the admin address knows this program by, where that is what the targets are.
    pub(crate) pass: Option<Arc<[u8]>>,
}

impl Announces {
    /// Whether they are, so that a connection is one client's alone.
    pub(crate) fn is_sent(&self) -> bool {
        self.version.is_sent()
    }
}

/// The program's own admin address. What it is told of clients it believes of this program alone, by a pass, so that nobody has
/// to say whom it may believe.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    pub(crate) address: SocketAddr,
    pub(crate) pass: Arc<[u8]>,
}

impl Console {
    /// Whether it is what all targets of a group are, by its own address: where a name leads may change.
    pub(crate) fn is_all_of(&self, group: &TargetGroup) -> bool {
        let own = self.address.ip().to_canonical();
        let is_console = |address: &Address| match address {
            Address::Ip(address) => {
                let to = address.ip().to_canonical();
                address.port() == self.address.port() && (to == own || own.is_unspecified() && to.is_loopback())
            }
            _ => false,
        };
        !group.targets.is_empty() && group.targets.iter().all(|target| is_console(&target.address))
    }
}

/// Who a connection to a target is made for.
pub(crate) struct Client<'a> {
    pub(crate) address: SocketAddr,
    /// The address that it connected to.
    pub(crate) local: SocketAddr,
    /// What its TLS handshake agreed on, if it was had here.
    pub(crate) session: Option<&'a Session>,
    /// The name that it asked for, where its TLS goes on to the target.
    pub(crate) server_name: Option<&'a str>,
    /// What a proxy has said of it, as records of version 2.
    pub(crate) records: &'a [u8],
}

/// The header to be written first; without a client the program speaks for itself, in health checks. None where targets are
/// told nothing.
pub(crate) fn header(announces: &Announces, client: Option<&Client<'_>>) -> Option<Vec<u8>> {
    let pass = announces.pass.as_deref();
    if pass.is_some() && client.is_none() {
        // what has no pass is nobody's word there
        return None;
    }
    let ends = client.map(|client| Ends { source: client.address, destination: client.local });
    let mut out = Vec::new();
    match announces.version {
        ProxyProtocolVersion::None => return None,
        ProxyProtocolVersion::V1 => put_v1(ends, &mut out),
        ProxyProtocolVersion::V2 => {
            let session = client.and_then(|client| client.session);
            let server_name = match session {
                Some(session) => session.server_name.as_deref(),
                None => client.and_then(|client| client.server_name),
            };
            let secured = session.map(|session| Secured {
                protocol: session.alpn,
                version: session.version,
                cipher: session.cipher,
                certified: session.certified,
            });
            let records = client.map_or(Tlvs::default(), |client| Tlvs::of(client.records));
            put_v2(ends, Told { server_name, secured, pass }, records, &mut out);
        }
    }
    Some(out)
}
