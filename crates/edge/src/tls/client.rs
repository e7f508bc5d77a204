//! Client certificates (S4): who must show one, which are taken, and what targets are told of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_message::send::{put_field, put_percent};
use headworks_model::listener::{MutualAuthentication, MutualMode};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::certificate::{Fault, Problem, read_all};
use super::policy;
use super::told::ToldAs;
use super::x509::Parsed;

/// Who may connect, as a listener asks for it.
pub(crate) struct ClientRule {
    pub(crate) mode: MutualMode,
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    /// Changes with everything that a verified session depends on.
    pub(crate) fingerprint: Vec<u8>,
}

impl fmt::Debug for ClientRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRule").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl ClientRule {
    /// Nobody is asked for a certificate.
    pub(crate) fn none() -> ClientRule {
        let verifier = WebPkiClientVerifier::no_client_auth();
        ClientRule { mode: MutualMode::None, verifier, fingerprint: Vec::new() }
    }

    /// Reads the files that a rule names.
    ///
    /// # Errors
    /// With the key whose file is at fault.
    pub(crate) fn read(declared: &MutualAuthentication) -> Result<ClientRule, Fault> {
        match (declared.mode, &declared.trust_store) {
            (MutualMode::None, _) | (MutualMode::Verify, None) => Ok(ClientRule::none()),
            (MutualMode::Passthrough, _) => Ok(ClientRule {
                mode: MutualMode::Passthrough,
                verifier: Arc::new(AnyCertificate),
                fingerprint: b"passthrough".to_vec(),
            }),
            (MutualMode::Verify, Some(path)) => {
                let mut print = digest::Context::new(&digest::SHA256);
                print.update(&[u8::from(declared.ignore_expiry)]);
                let mut roots = RootCertStore::empty();
                let trusted = read_all::<CertificateDer<'static>>(path, "certificate");
                for root in trusted.map_err(|problem| problem.at("trust_store"))? {
                    print.update(&root);
                    roots.add(root).map_err(|_| Problem::Malformed("certificate of an authority").at("trust_store"))?;
                }
                let provider = policy::provider().clone();
                let mut builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                if let Some(path) = &declared.crl {
                    let lists = read_all::<CertificateRevocationListDer<'static>>(path, "revocation list");
                    let lists = lists.map_err(|problem| problem.at("crl"))?;
                    lists.iter().for_each(|list| print.update(list));
                    // an issuer without a list has revoked nothing
                    builder = builder.with_crls(lists).allow_unknown_revocation_status();
                }
                let verifier = builder.build().map_err(|_| Problem::Malformed("revocation list").at("crl"))?;
                let verifier = if declared.ignore_expiry { Arc::new(WhileValid(verifier)) } else { verifier };
                Ok(ClientRule { mode: MutualMode::Verify, verifier, fingerprint: print.finish().as_ref().to_vec() })
            }
        }
    }

    /// Whether a chain that was verified in an earlier handshake still would be.
    pub(crate) fn still_takes(&self, chain: Option<&[CertificateDer<'_>]>) -> bool {
        match (self.mode, chain.and_then(<[_]>::split_first)) {
            (MutualMode::Verify, Some((leaf, others))) => {
                self.verifier.verify_client_cert(leaf, others, UnixTime::now()).is_ok()
            }
            (MutualMode::Verify, None) => false,
            (MutualMode::None | MutualMode::Passthrough, _) => true,
        }
    }
}

/// Takes every certificate whose key the client has; judging is the target's.
#[derive(Debug)]
struct AnyCertificate;

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match Parsed::read(leaf) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &policy::provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &policy::provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        policy::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Judges a certificate that has expired as of the last moment at which it had not.
#[derive(Debug)]
struct WhileValid(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for WhileValid {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let Some(end) = Parsed::read(leaf).and_then(|leaf| u64::try_from(leaf.not_after()).ok()) else {
            return Err(CertificateError::BadEncoding.into());
        };
        let last = UnixTime::since_unix_epoch(Duration::from_secs(end.min(now.as_secs())));
        self.0.verify_client_cert(leaf, others, last)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The header fields that tell a target of its client's certificate, as whole lines, as an Application Load Balancer
/// writes them.
pub(crate) fn lines(mode: MutualMode, chain: Option<&[CertificateDer<'_>]>, told: &ToldAs) -> Vec<u8> {
    let mut out = Vec::new();
    let Some((leaf, _)) = chain.and_then(<[_]>::split_first) else { return out };
    match mode {
        MutualMode::None => {}
        MutualMode::Passthrough => {
            out.extend_from_slice(told.certificate.as_bytes());
            out.extend_from_slice(b": ");
            chain.into_iter().flatten().for_each(|certificate| put_pem(&mut out, certificate));
            out.extend_from_slice(b"\r\n");
        }
        MutualMode::Verify => {
            let Some(parsed) = Parsed::read(leaf) else { return out };
            put_field(&mut out, told.serial_number.as_bytes(), parsed.serial().as_bytes());
            put_field(&mut out, told.issuer.as_bytes(), parsed.issuer().as_bytes());
            put_field(&mut out, told.subject.as_bytes(), parsed.subject().as_bytes());
            put_field(&mut out, told.validity.as_bytes(), parsed.validity().as_bytes());
            out.extend_from_slice(told.leaf.as_bytes());
            out.extend_from_slice(b": ");
            put_pem(&mut out, leaf);
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// PEM, percent-encoded with `+`, `=` and `/` left as they are.
fn put_pem(out: &mut Vec<u8>, der: &[u8]) {
    let text = STANDARD.encode(der);
    let mut put = |piece: &[u8]| {
        for byte in piece {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'+' | b'=' | b'/' => {
                    out.push(*byte);
                }
                _ => put_percent(out, *byte),
            }
        }
    };
    put(b"-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        put(line);
        put(b"\n");
    }
    put(b"-----END CERTIFICATE-----\n");
}
