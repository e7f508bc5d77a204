//! Why a handshake failed, as counters tell it.

use std::io;

use rustls::{Error, PeerIncompatible};

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was not over in time.
    Timeout,
    /// The client went away.
    Closed,
    /// The client spoke HTTP without TLS.
    PlainHttp,
    /// The client spoke neither.
    NotTls,
    /// Too many handshakes are under way, on the whole or from this address.
    TooMany,
    /// No version in common.
    Version,
    /// No cipher, key exchange or signature in common.
    Cipher,
    /// No protocol in common (ALPN).
    Protocol,
    /// The client must show a certificate, and has none.
    CertificateMissing,
    /// The client's certificate is not taken.
    CertificateRefused,
    /// The client said no, most often to our certificate.
    ClientAlert,
    /// What the client sent is not by the RFCs.
    Malformed,
    /// The program stops.
    Stopping,
}

impl Failure {
    /// All of them, in the order of the counters.
    pub(crate) const ALL: [Failure; 13] = [
        Failure::Timeout,
        Failure::Closed,
        Failure::PlainHttp,
        Failure::NotTls,
        Failure::TooMany,
        Failure::Version,
        Failure::Cipher,
        Failure::Protocol,
        Failure::CertificateMissing,
        Failure::CertificateRefused,
        Failure::ClientAlert,
        Failure::Malformed,
        Failure::Stopping,
    ];

    /// What metrics call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Failure::Timeout => "timeout",
            Failure::Closed => "closed",
            Failure::PlainHttp => "plain_http",
            Failure::NotTls => "not_tls",
            Failure::TooMany => "too_many",
            Failure::Version => "version",
            Failure::Cipher => "cipher",
            Failure::Protocol => "protocol",
            Failure::CertificateMissing => "client_certificate_missing",
            Failure::CertificateRefused => "client_certificate_refused",
            Failure::ClientAlert => "client_alert",
            Failure::Malformed => "malformed",
            Failure::Stopping => "stopping",
        }
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Failure {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            None => Failure::Closed,
            Some(error) => error.into(),
        }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Failure {
        use PeerIncompatible as Peer;
        match error {
            Error::PeerIncompatible(
                Peer::Tls12NotOffered
                | Peer::Tls12NotOfferedOrEnabled
                | Peer::ServerTlsVersionIsDisabledByOurConfig
                | Peer::SupportedVersionsExtensionRequired
                | Peer::ServerDoesNotSupportTls12Or13,
            ) => Failure::Version,
            Error::PeerIncompatible(_) => Failure::Cipher,
            Error::NoApplicationProtocol => Failure::Protocol,
            Error::NoCertificatesPresented => Failure::CertificateMissing,
            Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_) => Failure::CertificateRefused,
            Error::AlertReceived(_) => Failure::ClientAlert,
            _ => Failure::Malformed,
        }
    }
}
