//! TLS for clients and origins, blocking like everything here, on top of rustls.

#![expect(clippy::expect_used, reason = "for tests only: a broken expectation panics")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error, HandshakeKind,
    ProtocolVersion, RootCertStore, ServerConfig, ServerConnection, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use crate::authority::{Authority, Issued};
use crate::client::Client;
use crate::wait::PATIENCE;

/// TLS over TCP.
#[derive(Debug)]
pub struct Secured {
    pub(crate) connection: Connection,
    pub(crate) socket: TcpStream,
}

/// What a handshake agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version.
    pub version: ProtocolVersion,
    /// The cipher.
    pub cipher: CipherSuite,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// The protocol, by ALPN.
    pub protocol: Option<Vec<u8>>,
    /// The certificate that the peer has shown.
    pub certificate: Option<CertificateDer<'static>>,
    /// At an origin, the name that it was asked for.
    pub server_name: Option<String>,
}

impl Secured {
    fn shake(&mut self) -> io::Result<()> {
        while self.connection.is_handshaking() {
            self.connection.complete_io(&mut self.socket)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// 0 when the peer has said goodbye; an error when it went without.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.connection.read_tls(&mut self.socket)?;
            self.connection.process_new_packets().map_err(io::Error::other)?;
            self.flush()?;
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(16 * 1024) {
            self.connection.writer().write_all(piece)?;
            self.flush()?;
        }
        Ok(())
    }

    /// Says that nothing more follows.
    pub(crate) fn finish(&mut self) {
        self.connection.send_close_notify();
        let _ = self.flush();
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(crate) fn agreed(&self) -> Agreed {
        Agreed {
            version: self.connection.protocol_version().unwrap_or(ProtocolVersion::Unknown(0)),
            cipher: self.connection.negotiated_cipher_suite().map_or(CipherSuite::Unknown(0), |suite| suite.suite()),
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
            server_name: match &self.connection {
                Connection::Server(server) => server.server_name().map(str::to_owned),
                Connection::Client(_) => None,
            },
            protocol: self.connection.alpn_protocol().map(<[u8]>::to_vec),
            certificate: self
                .connection
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|c| c.clone().into_owned()),
        }
    }
}

/// A client's settings; sessions are resumed between its connections.
#[derive(Clone, Debug)]
pub struct Caller {
    config: Arc<ClientConfig>,
    stapled: Arc<Mutex<Vec<u8>>>,
}

/// A caller in the making.
#[derive(Debug)]
pub struct CallerBuilder<'a> {
    authority: Option<&'a Authority>,
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Option<fn(&SupportedCipherSuite) -> bool>,
    shows: Option<&'a Issued>,
    protocols: Vec<Vec<u8>>,
    names: bool,
}

impl Caller {
    /// Trusts what this authority has signed, speaks all versions.
    #[must_use]
    pub fn trusting(authority: &Authority) -> CallerBuilder<'_> {
        CallerBuilder { authority: Some(authority), ..Caller::trusting_all() }
    }

    /// Takes any certificate.
    #[must_use]
    pub fn trusting_all() -> CallerBuilder<'static> {
        CallerBuilder {
            authority: None,
            versions: vec![&rustls::version::TLS12, &rustls::version::TLS13],
            suites: None,
            shows: None,
            protocols: Vec::new(),
            names: true,
        }
    }

    /// What it speaks TLS with, for those who speak it over something else than TCP.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.config)
    }

    /// The OCSP response that came with the last certificate, if it takes any.
    #[must_use]
    pub fn stapled(&self) -> Vec<u8> {
        self.stapled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connects and shakes hands.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn connect(&self, to: SocketAddr, name: &str) -> Client {
        self.try_connect(to, name).unwrap_or_else(|error| panic!("no handshake with {name} at {to}: {error}"))
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// As the handshake failed. A server that refuses a client's certificate with TLS 1.3 says so only after it.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn try_connect(&self, to: SocketAddr, name: &str) -> io::Result<Client> {
        let socket =
            TcpStream::connect_timeout(&to, PATIENCE).unwrap_or_else(|e| panic!("cannot connect to {to}: {e}"));
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap_or_else(|_| panic!("{name} is no name"));
        let connection = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        let mut secured = Secured { connection: connection.into(), socket };
        secured.shake()?;
        Ok(Client::secured(secured))
    }
}

impl<'a> CallerBuilder<'a> {
    /// Speaks these versions only.
    #[must_use]
    pub fn versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// Offers those ciphers only for which this holds.
    #[must_use]
    pub fn ciphers(mut self, which: fn(&SupportedCipherSuite) -> bool) -> Self {
        self.suites = Some(which);
        self
    }

    /// Shows this certificate when it is asked for one.
    #[must_use]
    pub fn showing<'b>(self, shows: &'b Issued) -> CallerBuilder<'b>
    where
        'a: 'b,
    {
        CallerBuilder { shows: Some(shows), ..self }
    }

    /// Offers these protocols by ALPN.
    #[must_use]
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Does not say which name it wants.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.names = false;
        self
    }

    /// Done.
    ///
    /// # Panics
    /// When the settings do not go together.
    #[must_use]
    pub fn build(self) -> Caller {
        let mut provider = default_provider();
        if let Some(which) = self.suites {
            provider.cipher_suites.retain(which);
        }
        let provider = Arc::new(provider);
        let stapled = Arc::new(Mutex::new(Vec::new()));
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(&self.versions).expect("versions that can be spoken");
        let builder = match self.authority {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der()).expect("an authority");
                builder.with_root_certificates(roots)
            }
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider, stapled.clone()))),
        };
        let mut config = match self.shows {
            Some(issued) => builder.with_client_auth_cert(vec![issued.der.clone()], issued.key()).expect("a key"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols;
        config.enable_sni = self.names;
        Caller { config: Arc::new(config), stapled }
    }
}

/// Takes any certificate.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>, Arc<Mutex<Vec<u8>>>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        stapled: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = stapled.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What an origin speaks TLS with.
#[derive(Clone, Debug)]
pub struct Serves(Arc<ServerConfig>);

impl Serves {
    /// Shows this certificate; asks for one of `clients`, if that is given.
    ///
    /// # Panics
    /// When the settings do not go together.
    #[must_use]
    pub fn new(issued: &Issued, clients: Option<&Authority>) -> Serves {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let config = builder.with_single_cert(vec![issued.der.clone()], issued.key()).expect("a certificate");
        Serves(Arc::new(config))
    }

    /// Takes these protocols by ALPN, preferred first.
    #[must_use]
    pub fn protocols(mut self, protocols: &[&str]) -> Serves {
        let config = Arc::make_mut(&mut self.0);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Shakes hands.
    pub(crate) fn accept(&self, socket: TcpStream) -> io::Result<Secured> {
        let connection = ServerConnection::new(self.0.clone()).map_err(io::Error::other)?;
        let mut secured = Secured { connection: connection.into(), socket };
        secured.shake()?;
        Ok(secured)
    }
}
