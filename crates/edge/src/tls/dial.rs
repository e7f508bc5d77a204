//! TLS to targets (S5): not verified unless that is asked for, as an Application Load Balancer has it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use headworks_model::target_group::{HttpVersion, TargetTls};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::{Certificate, Fault, Problem, read_all};
use super::policy;
use crate::runtime::socket::Socket;
use crate::upstream::announce::Announces;
use crate::upstream::connect::Endpoint;

/// How the targets of a group are spoken to. Idle connections and sessions are kept as long as it stays the same.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    /// Requests go over TLS, not only health checks.
    pub(crate) is_secured: bool,
    /// What targets are told of a client before its bytes.
    pub(crate) announces: Announces,
    client: Option<(Asked, ClientSide)>,
}

/// What a [`ClientSide`] is made of.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) tls: TargetTls,
    /// The authorities that are trusted; absent when nothing is verified.
    pub(crate) roots: Option<Arc<RootCertStore>>,
    /// Shown to targets that ask for one.
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// What is spoken on top.
    pub(crate) version: HttpVersion,
}

/// What is needed to shake hands with a target.
#[derive(Clone, Debug)]
pub(crate) struct ClientSide {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Asked {
    fn is_same(&self, other: &Asked) -> bool {
        fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
        }
        self.tls == other.tls
            && self.version == other.version
            && same(self.roots.as_ref(), other.roots.as_ref())
            && same(self.certificate.as_ref(), other.certificate.as_ref())
    }
}

impl Dial {
    /// Without `asked`, TLS is spoken by nobody.
    ///
    /// # Errors
    /// When what is asked for makes no configuration.
    pub(crate) fn new(is_secured: bool, announces: Announces, asked: Option<Asked>) -> Result<Dial, Error> {
        let client = asked.map(|asked| ClientSide::new(&asked).map(|side| (asked, side))).transpose()?;
        Ok(Dial { is_secured, announces, client })
    }

    /// Whether it was made of this.
    pub(crate) fn is_of(&self, is_secured: bool, announces: &Announces, asked: Option<&Asked>) -> bool {
        let same = match (&self.client, asked) {
            (Some((before, _)), Some(asked)) => before.is_same(asked),
            (None, None) => true,
            _ => false,
        };
        same && self.is_secured == is_secured && self.announces == *announces
    }

    /// What handshakes are made with.
    pub(crate) fn client(&self) -> Option<&ClientSide> {
        self.client.as_ref().map(|(_, side)| side)
    }
}

/// Reads the authorities of a file, or those of the system.
///
/// # Errors
/// When the file is at fault, or the system has none.
pub(crate) fn read_roots(ca: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let found = read_all::<CertificateDer<'static>>(path, "certificate").map_err(|problem| problem.at("ca"))?;
            for root in found {
                roots.add(root).map_err(|_| Problem::Malformed("certificate of an authority").at("ca"))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(Problem::NoRoots.at("verify"));
            }
        }
    }
    Ok(roots)
}

impl ClientSide {
    fn new(asked: &Asked) -> Result<ClientSide, Error> {
        let provider = policy::provider().clone();
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let verifier: Arc<dyn ServerCertVerifier> = match &asked.roots {
            None => Arc::new(AnyTarget),
            Some(roots) => WebPkiServerVerifier::builder_with_provider(roots.clone(), provider)
                .build()
                .map_err(|error| Error::General(error.to_string()))?,
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &asked.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let shown = rustls::sign::SingleCertAndKey::from(certificate.key.clone());
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        if asked.version == HttpVersion::Http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let server_name = asked.tls.server_name.clone().and_then(|name| ServerName::try_from(name).ok());
        Ok(ClientSide { config: Arc::new(config), server_name })
    }

    /// The same, offering this protocol by ALPN.
    pub(crate) fn offering(&self, protocol: &[u8]) -> ClientSide {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        ClientSide { config: Arc::new(config), server_name: self.server_name.clone() }
    }

    /// Shakes hands over a connection. `host` is the name that the target is declared by, if it is one. The caller bounds
    /// its time.
    ///
    /// # Errors
    /// When there is no agreement, or the target's certificate is not taken.
    pub(crate) async fn secure(
        &self,
        socket: Socket,
        endpoint: &Endpoint,
        host: Option<&str>,
    ) -> io::Result<TlsStream<Socket>> {
        let declared = || host.and_then(|host| ServerName::try_from(host.to_owned()).ok());
        let name = self.server_name.clone().or_else(declared).unwrap_or_else(|| match endpoint {
            Endpoint::Ip(address) => ServerName::IpAddress(address.ip().into()),
            Endpoint::Unix(_) => ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        });
        TlsConnector::from(self.config.clone()).connect(name, socket).await
    }
}

/// Takes every certificate.
#[derive(Debug)]
struct AnyTarget;

impl ServerCertVerifier for AnyTarget {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &policy::provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &policy::provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        policy::provider().signature_verification_algorithms.supported_schemes()
    }
}
