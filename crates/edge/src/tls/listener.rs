//! What one listener speaks TLS with: certificates, policy, client rule. Exchanged as a whole, at any time, without a new
//! plan; connections keep what they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use headworks_model::tls_policy::{TlsPolicy, TlsVersion};
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::SingleCertAndKey;
use rustls::{CipherSuite, ServerConfig, SignatureAlgorithm};

use super::certificate::Certificate;
use super::choice::{Chosen, Names};
use super::client::ClientRule;
use super::policy;
use super::ticket::{Scope, Tickets};
use crate::compile::plan::ListenerKey;

/// The place where a listener's current terms are found.
#[derive(Debug)]
pub(crate) struct TlsListener(ArcSwap<Terms>);

/// What clients are met with.
#[derive(Debug)]
pub(crate) struct Terms {
    names: Names,
    /// In the order of declaration, the default first; never empty.
    offers: Vec<Offer>,
    policy: TlsPolicy,
    /// Ciphers of TLS 1.2, if that is spoken, and whether a key signs with RSA in them.
    ciphers: Vec<(CipherSuite, bool)>,
    pub(crate) clients: Arc<ClientRule>,
}

/// A certificate, and the configuration that shows it.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) config: Arc<ServerConfig>,
}

impl TlsListener {
    pub(crate) fn new(terms: Terms) -> TlsListener {
        TlsListener(ArcSwap::from_pointee(terms))
    }

    /// What the next client is met with.
    pub(crate) fn current(&self) -> Arc<Terms> {
        self.0.load_full()
    }

    /// Meets clients with these from now on.
    pub(crate) fn exchange(&self, terms: Terms) {
        self.0.store(Arc::new(terms));
    }
}

impl Terms {
    /// Prepares a configuration for each certificate; the first is the default. `protocols` are those of ALPN, preferred
    /// first.
    ///
    /// # Errors
    /// When policy and rule make no configuration.
    pub(crate) fn new(
        key: &ListenerKey,
        certificates: Vec<Arc<Certificate>>,
        policy: TlsPolicy,
        protocols: &[&[u8]],
        clients: Arc<ClientRule>,
        tickets: &Tickets,
    ) -> Result<Terms, rustls::Error> {
        let provider = policy::provider_of(policy);
        let ciphers = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none());
        let signs_with_rsa = |suite| policy::cipher_name(Some(suite)).starts_with("ECDHE-RSA");
        let ciphers = ciphers.map(|suite| (suite.suite(), signs_with_rsa(*suite))).collect();
        let mut offers = Vec::with_capacity(certificates.len());
        let tickets = tickets.within(scope(key, &clients));
        for certificate in certificates {
            let shown = Arc::new(SingleCertAndKey::from(certificate.key.clone()));
            let mut config = ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&policy::versions(policy))?
                .with_client_cert_verifier(clients.verifier.clone())
                .with_cert_resolver(shown);
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            config.ignore_client_order = true;
            config.ticketer = tickets.clone();
            config.session_storage = Arc::new(NoServerSessionStorage {});
            offers.push(Offer { certificate, config: Arc::new(config) });
        }
        if offers.is_empty() {
            return Err(rustls::Error::General("no certificate".to_owned()));
        }
        let names = Names::new(offers.iter().map(|o| (o.certificate.names.as_slice(), o.certificate.rank)));
        Ok(Terms { names, offers, policy, ciphers, clients })
    }

    /// The configuration of a handshake over QUIC, but for what it shows; none when the policy has no TLS 1.3. Nothing is
    /// taken ahead of the handshake's end: it could be sent again by anybody who has seen it (RFC 8446 section 8).
    pub(crate) fn quic(&self) -> Option<ServerConfig> {
        let mut config = ServerConfig::clone(&self.offers.first()?.config);
        config.alpn_protocols = vec![super::ALPN_QUIC.to_vec()];
        config.max_early_data_size = 0;
        self.policy.has(TlsVersion::Tls13).then_some(config)
    }

    /// The cipher that a handshake over QUIC settles on: the first of ours that the client offers.
    pub(crate) fn quic_cipher(&self, hello: &ClientHello<'_>) -> &'static str {
        let ours = self.offers.iter().take(1).flat_map(|offer| &offer.config.crypto_provider().cipher_suites);
        let mut ours = ours.filter(|suite| suite.tls13().is_some());
        policy::cipher_name(ours.find(|suite| hello.cipher_suites().contains(&suite.suite())).copied())
    }

    /// The offer for a client.
    pub(crate) fn choose(&self, hello: &ClientHello<'_>) -> Option<(&Offer, Chosen)> {
        let fits = |place: usize| self.offers.get(place).is_some_and(|offer| self.fits(&offer.certificate, hello));
        let chosen = self.names.choose(hello.server_name(), fits);
        Some((self.offers.get(chosen.place)?, chosen))
    }

    /// Whether a client can verify a certificate: its signatures, and with TLS 1.2 also its ciphers allow it.
    fn fits(&self, certificate: &Certificate, hello: &ClientHello<'_>) -> bool {
        if certificate.key.key.choose_scheme(hello.signature_schemes()).is_none() {
            return false;
        }
        let offered = hello.cipher_suites();
        let is_13 = |id: u16| (0x1301..=0x1305).contains(&id);
        if self.policy.has(TlsVersion::Tls13) && offered.iter().any(|suite| is_13(u16::from(*suite))) {
            return true;
        }
        let is_rsa = certificate.key.key.algorithm() == SignatureAlgorithm::RSA;
        self.ciphers.iter().any(|(cipher, signs_with_rsa)| *signs_with_rsa == is_rsa && offered.contains(cipher))
    }
}

/// Tickets are good on every listener that asks for no certificates, and else only where they were made, under the
/// same rule.
fn scope(key: &ListenerKey, clients: &ClientRule) -> Scope {
    let mut scope = Scope::default();
    if !clients.fingerprint.is_empty() {
        let mut print = digest::Context::new(&digest::SHA256);
        for part in [key.load_balancer.as_bytes(), key.listener.as_bytes(), &clients.fingerprint] {
            print.update(&(part.len() as u64).to_le_bytes());
            print.update(part);
        }
        scope.iter_mut().zip(print.finish().as_ref()).for_each(|(to, from)| *to = *from);
    }
    scope
}
