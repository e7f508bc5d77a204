//! What a handshake agreed on: all that logs, header fields and counters say of it.

use std::sync::Arc;

use headworks_message::proxy_protocol::Certified;
use headworks_message::send::put_field;
use headworks_model::listener::MutualMode;
use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ServerConnection};

use super::told::ToldAs;
use super::{client, policy};

/// The protocol that ALPN settled on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, also when the client does not know ALPN.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3, over QUIC.
    Http3,
}

/// What a handshake agreed on.
#[derive(Debug)]
pub(crate) struct Session {
    /// `TLSv1.3`
    pub(crate) version: &'static str,
    /// By OpenSSL's name.
    pub(crate) cipher: &'static str,
    pub(crate) resumed: bool,
    pub(crate) protocol: Protocol,
    /// What ALPN settled on, where it did.
    pub(crate) alpn: Option<&'static [u8]>,
    /// The name the client asked for, if the certificate it was shown is for it.
    pub(crate) server_name: Option<Box<str>>,
    /// The name of the certificate it was shown.
    pub(crate) certificate: Arc<str>,
    /// The client has shown one of its own, and it was verified.
    pub(crate) certified: Option<Certified>,
    /// Header fields that tell of the client's certificate, as whole lines.
    pub(crate) certificate_lines: Box<[u8]>,
    /// Header fields that tell of version and cipher (H6), as whole lines.
    pub(crate) cipher_lines: Box<[u8]>,
}

/// What the two sides of a handshake have agreed on.
pub(crate) struct Agreed<'a> {
    pub(crate) version: &'static str,
    pub(crate) cipher: &'static str,
    pub(crate) resumed: bool,
    pub(crate) protocol: Protocol,
    /// What ALPN settled on, where it did.
    pub(crate) alpn: Option<&'static [u8]>,
    /// The client's certificate and those that lead up from it.
    pub(crate) chain: Option<&'a [CertificateDer<'static>]>,
}

impl Session {
    /// Of a handshake that is over. `server_name` is the name asked for, if the certificate is for it.
    pub(crate) fn of(
        connection: &ServerConnection,
        mode: MutualMode,
        certificate: &Arc<str>,
        server_name: Option<Box<str>>,
        told: &ToldAs,
    ) -> Session {
        let alpn = match connection.alpn_protocol() {
            Some(b"h2") => Some(&b"h2"[..]),
            Some(b"http/1.1") => Some(&b"http/1.1"[..]),
            _ => None,
        };
        let agreed = Agreed {
            version: policy::version_name(connection.protocol_version()),
            cipher: policy::cipher_name(connection.negotiated_cipher_suite()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            protocol: if alpn == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 },
            alpn,
            chain: connection.peer_certificates(),
        };
        Session::new(&agreed, mode, certificate, server_name, told)
    }

    /// Of what a handshake that is over agreed on. `server_name` is the name asked for, if the certificate is for it.
    pub(crate) fn new(
        agreed: &Agreed<'_>,
        mode: MutualMode,
        certificate: &Arc<str>,
        server_name: Option<Box<str>>,
        told: &ToldAs,
    ) -> Session {
        let Agreed { version, cipher, resumed, protocol, alpn, chain } = *agreed;
        let mut cipher_lines = Vec::new();
        put_field(&mut cipher_lines, told.version.as_bytes(), version.as_bytes());
        put_field(&mut cipher_lines, told.cipher.as_bytes(), cipher.as_bytes());
        let verified = chain.filter(|chain| mode == MutualMode::Verify && !chain.is_empty());
        let certified = verified.map(|_| if resumed { Certified::Before } else { Certified::Now });
        Session {
            version,
            cipher,
            resumed,
            protocol,
            alpn,
            server_name,
            certificate: certificate.clone(),
            certified,
            certificate_lines: client::lines(mode, chain, told).into(),
            cipher_lines: cipher_lines.into(),
        }
    }
}
