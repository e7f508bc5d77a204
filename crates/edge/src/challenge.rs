//! What is shown to an authority while it asks whether a name is served here: the answers of `http-01` (RFC 8555 section
//! 8.3) and the certificates of `tls-alpn-01` (RFC 8737).
//!
//! The control thread offers a proof and withdraws it by letting go of it. Workers look at one flag for each request;
//! only while it is up do they look further.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::tls::policy;

/// Where the path of a request for a token begins.
const PREFIX: &[u8] = b"/.well-known/acme-challenge/";
/// The only protocol of a client that asks for a proof.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// Proofs that are asked for now.
#[derive(Debug, Default)]
pub struct Challenges {
    any: AtomicBool,
    table: ArcSwap<Table>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    /// Answers by token.
    answers: HashMap<Box<str>, Arc<str>>,
    /// Handshakes by name.
    handshakes: HashMap<Box<str>, Arc<ServerConfig>>,
}

/// One proof.
#[derive(Clone, Debug)]
pub enum Proof {
    /// What a request for the token is answered with.
    Http01 {
        /// The token of the challenge.
        token: String,
        /// The key authorization.
        answer: String,
    },
    /// What a handshake for the name shows.
    TlsAlpn01 {
        /// In lower case.
        name: String,
        /// SHA-256 of the key authorization.
        digest: [u8; 32],
    },
}

/// A proof cannot be made.
#[derive(Debug)]
pub struct CannotProve(Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for CannotProve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the proof of a name cannot be made")
    }
}

impl std::error::Error for CannotProve {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl From<rcgen::Error> for CannotProve {
    fn from(error: rcgen::Error) -> CannotProve {
        CannotProve(error.into())
    }
}

impl From<rustls::Error> for CannotProve {
    fn from(error: rustls::Error) -> CannotProve {
        CannotProve(error.into())
    }
}

/// A proof that is shown for as long as this is kept.
#[derive(Debug)]
#[must_use]
pub struct Offered {
    challenges: Arc<Challenges>,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Token(Box<str>),
    Name(Box<str>),
}

impl Challenges {
    /// Shows a proof from now on. There is one control thread, so that nobody else changes the table meanwhile.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn offer(self: &Arc<Self>, proof: Proof) -> Result<Offered, CannotProve> {
        let mut table = Table::clone(&self.table.load());
        let key = match proof {
            Proof::Http01 { token, answer } => {
                table.answers.insert(token.as_str().into(), answer.into());
                Key::Token(token.into())
            }
            Proof::TlsAlpn01 { name, digest } => {
                table.handshakes.insert(name.as_str().into(), Arc::new(handshake(&name, &digest)?));
                Key::Name(name.into())
            }
        };
        self.publish(table);
        Ok(Offered { challenges: self.clone(), key })
    }

    fn publish(&self, table: Table) {
        let any = !table.answers.is_empty() || !table.handshakes.is_empty();
        self.table.store(Arc::new(table));
        self.any.store(any, Ordering::Release);
    }

    /// The answer to a request for this path.
    pub(crate) fn answer(&self, path: &[u8]) -> Option<Arc<str>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let token = std::str::from_utf8(path.strip_prefix(PREFIX)?).ok()?;
        self.table.load().answers.get(token).cloned()
    }

    /// What a client shakes hands by that asks for a proof, and for nothing else.
    pub(crate) fn handshake(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        self.table.load().handshakes.get(hello.server_name()?.to_ascii_lowercase().as_str()).cloned()
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        let mut table = Table::clone(&self.challenges.table.load());
        match &self.key {
            Key::Token(token) => drop(table.answers.remove(token)),
            Key::Name(name) => drop(table.handshakes.remove(name)),
        }
        self.challenges.publish(table);
    }
}

/// RFC 8737 section 3: a self-signed certificate for the name, with the digest in a critical extension.
fn handshake(name: &str, digest: &[u8; 32]) -> Result<ServerConfig, CannotProve> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // not checked against the key: rustls reads no certificate with a critical extension that it does not know
    let key = policy::provider().key_provider.load_private_key(key)?;
    let shown = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(policy::provider().clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(token: &str) -> Proof {
        Proof::Http01 { token: token.to_owned(), answer: format!("{token}.print") }
    }

    #[test]
    fn tokens_are_answered_while_they_are_offered() {
        let challenges = Arc::new(Challenges::default());
        let answer = |path: &str| challenges.answer(path.as_bytes()).map(|answer| answer.to_string());
        assert_eq!(answer("/.well-known/acme-challenge/a"), None);
        let a = challenges.offer(http("a"));
        let b = challenges.offer(http("b"));
        for (path, expected) in [
            ("/.well-known/acme-challenge/a", Some("a.print")),
            ("/.well-known/acme-challenge/b", Some("b.print")),
            ("/.well-known/acme-challenge/c", None),
            ("/.well-known/acme-challenge/", None),
            ("/.well-known/acme-challenge/a/", None),
            ("/.well-known/acme-challenge", None),
            ("/a", None),
            ("/.well-known/acme-challenge/%61", None),
        ] {
            assert_eq!(answer(path).as_deref(), expected, "{path}");
        }
        drop(a);
        assert_eq!(answer("/.well-known/acme-challenge/a"), None);
        assert!(answer("/.well-known/acme-challenge/b").is_some());
        assert!(challenges.any.load(Ordering::Relaxed));
        drop(b);
        assert!(!challenges.any.load(Ordering::Relaxed));
    }

    #[test]
    fn a_handshake_can_be_made() {
        let challenges = Arc::new(Challenges::default());
        let proof = Proof::TlsAlpn01 { name: "a.example.com".to_owned(), digest: [7; 32] };
        let offered = challenges.offer(proof);
        assert!(offered.is_ok(), "{:?}", offered.err());
        assert!(challenges.table.load().handshakes.contains_key("a.example.com"));
        drop(offered);
        assert!(challenges.table.load().handshakes.is_empty());
    }
}
