//! What a target is told of a client before the client's own bytes: the PROXY protocol, on every new connection to it.

use std::net::SocketAddr;

use headworks_message::proxy_protocol::{Ends, Secured, Tlvs, Told, put_v1, put_v2};
use headworks_model::target_group::ProxyProtocolVersion;

use crate::tls::session::Session;

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
pub(crate) fn header(version: ProxyProtocolVersion, client: Option<&Client<'_>>) -> Option<Vec<u8>> {
    let ends = client.map(|client| Ends { source: client.address, destination: client.local });
    let mut out = Vec::new();
    match version {
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
            put_v2(ends, Told { server_name, secured }, records, &mut out);
        }
    }
    Some(out)
}
