//! What one handshake is met with, and what it agreed on. As over TCP, the certificate is chosen by what the client asks
//! for; QUIC's handshake asks in its middle, so each has a configuration of its own that remembers the choice.

use std::sync::{Arc, Mutex, PoisonError};

use quinn::ConnectionError;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Secrets;
use crate::listen::slot::ListenerTable;
use crate::tls::failure::Failure;
use crate::tls::listener::Terms;
use crate::tls::session::{Agreed, Protocol, Session};

/// What was chosen while a handshake was under way.
#[derive(Debug, Default)]
struct Chosen {
    certificate: Option<Arc<str>>,
    cipher: &'static str,
    /// The name the client asked for, if the certificate is for it.
    server_name: Option<Box<str>>,
    /// A ticket of ours was shown, and is good.
    resumed: bool,
}

/// One handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    terms: Arc<Terms>,
    tickets: Arc<dyn ProducesTickets>,
    chosen: Mutex<Chosen>,
}

impl Handshake {
    /// One that begins now, and the configuration that meets it; none when the terms do not allow for QUIC.
    pub(super) fn begin(
        terms: Arc<Terms>,
        secrets: &Secrets,
        transport: Arc<quinn::TransportConfig>,
    ) -> Option<(Arc<Handshake>, quinn::ServerConfig)> {
        let mut config = terms.quic()?;
        let handshake =
            Arc::new(Handshake { terms, tickets: config.ticketer.clone(), chosen: Mutex::new(Chosen::default()) });
        config.cert_resolver = handshake.clone();
        config.ticketer = handshake.clone();
        let initial = crate::tls::policy::initial_suite()?;
        let crypto = QuicServerConfig::with_initial(Arc::new(config), initial).ok()?;
        let mut server = quinn::ServerConfig::new(Arc::new(crypto), secrets.token.clone());
        server.transport_config(transport);
        Some((handshake, server))
    }

    /// What it agreed on, now that it is over.
    ///
    /// # Errors
    /// When the client's certificate, taken once, would not be any more.
    pub(super) fn session(&self, quic: &quinn::Connection, table: &ListenerTable) -> Result<Box<Session>, Failure> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = quic.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
        let chain = chain.as_ref().map(|chain| chain.as_slice());
        let clients = &self.terms.clients;
        if chosen.resumed && !clients.still_takes(chain) {
            return Err(Failure::CertificateRefused);
        }
        let agreed = Agreed {
            alpn: Some(b"h3"),
            version: "TLSv1.3",
            cipher: chosen.cipher,
            resumed: chosen.resumed,
            protocol: Protocol::Http3,
            chain,
        };
        let certificate = chosen.certificate.clone().unwrap_or_default();
        Ok(Box::new(Session::new(&agreed, clients.mode, &certificate, chosen.server_name.take(), &table.plan.told)))
    }
}

impl ResolvesServerCert for Handshake {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let (offer, chosen) = self.terms.choose(&hello)?;
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Chosen {
            certificate: Some(offer.certificate.name.clone()),
            cipher: self.terms.quic_cipher(&hello),
            server_name: hello.server_name().filter(|_| chosen.matches).map(Into::into),
            resumed: false,
        };
        Some(offer.certificate.key.clone())
    }
}

/// Tickets as of every listener; one that is shown and good is remembered.
impl ProducesTickets for Handshake {
    fn enabled(&self) -> bool {
        self.tickets.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.tickets.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let plain = self.tickets.decrypt(cipher)?;
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).resumed = true;
        Some(plain)
    }
}

/// Why a handshake failed.
pub(super) fn failure(error: &ConnectionError) -> Failure {
    /// Where alerts of TLS begin (RFC 9001 section 4.8).
    const CRYPTO: u64 = 0x100;
    match error {
        ConnectionError::TimedOut => Failure::Timeout,
        ConnectionError::VersionMismatch => Failure::Version,
        ConnectionError::ConnectionClosed(close) if (CRYPTO..CRYPTO + 0x100).contains(&u64::from(close.error_code)) => {
            Failure::ClientAlert
        }
        ConnectionError::TransportError(error) => match u64::from(error.code).checked_sub(CRYPTO) {
            // alerts that we send (RFC 8446 section 6.2)
            Some(40) => Failure::Cipher,
            Some(42..=46 | 48) => Failure::CertificateRefused,
            Some(70) => Failure::Version,
            Some(116) => Failure::CertificateMissing,
            Some(120) => Failure::Protocol,
            _ => Failure::Malformed,
        },
        _ => Failure::Closed,
    }
}
