//! A certificate with its key, ready to be shown: read from files or issued, checked to fit together.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use headworks_model::acme::NameSet;
use headworks_model::certificate as declared;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::choice::Rank;
use super::policy;
use super::x509::Parsed;

/// A certificate, its chain, its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The name of the resource, as logs say it; for one by ACME `acme:` and the names' label.
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
    pub(crate) key: Arc<CertifiedKey>,
    /// The DNS names it is for.
    pub(crate) names: Vec<String>,
    pub(crate) rank: Rank,
    pub(crate) facts: Facts,
}

/// Where a certificate is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Files that the configuration names.
    Files,
    /// An authority, by ACME.
    Acme,
    /// Made here, until an authority has issued one.
    StandIn,
}

/// What there is to say about a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The issuer's distinguished name (RFC 2253).
    pub(crate) issuer: String,
    /// In hexadecimal.
    pub(crate) serial: String,
    pub(crate) validity: Validity,
    /// Both ends as text.
    pub(crate) valid: [String; 2],
}

/// Both ends of a certificate's life, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second of it.
    pub not_before: i64,
    /// The last.
    pub not_after: i64,
}

/// Why an issued certificate cannot be shown.
#[derive(Debug)]
pub struct CannotShow(Problem);

impl fmt::Display for CannotShow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what was issued {}", self.0)
    }
}

impl std::error::Error for CannotShow {}

/// The key of a resource whose file is at fault, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) key: &'static str,
    pub(crate) problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) enum Problem {
    Unreadable(io::Error),
    /// No key or certificate could be made.
    NotMade(rcgen::Error),
    /// Nothing of the kind is in it.
    Empty(&'static str),
    NotPem(pem::Error),
    /// What is in it is not what it says.
    Malformed(&'static str),
    Expired(String),
    /// The key is of a kind that cannot sign here.
    Unsupported(rustls::Error),
    /// The key is another certificate's.
    Mismatch,
    /// The system trusts nobody.
    NoRoots,
    /// It is not for this name.
    NotFor(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unreadable(error) => write!(f, "cannot be read ({error})"),
            Problem::NotMade(error) => write!(f, "cannot be made ({error})"),
            Problem::Empty(what) => write!(f, "has no {what} in it"),
            Problem::NotPem(error) => write!(f, "is not PEM ({error})"),
            Problem::Malformed(what) => write!(f, "has something in it that is no {what}"),
            Problem::Expired(when) => write!(f, "has a certificate that expired at {when}"),
            Problem::Unsupported(error) => write!(f, "has a private key that cannot be used ({error})"),
            Problem::NoRoots => f.write_str("needs authorities to trust, and the system has none: name them with ca"),
            Problem::NotFor(name) => write!(f, "has a certificate that is not for {name}"),
            Problem::Mismatch => f.write_str("has a private key that does not fit the certificate"),
        }
    }
}

impl Problem {
    pub(super) fn at(self, key: &'static str) -> Fault {
        Fault { key, problem: self }
    }

    fn of_pem(error: pem::Error, what: &'static str) -> Problem {
        match error {
            pem::Error::Io(error) => Problem::Unreadable(error),
            pem::Error::NoItemsFound => Problem::Empty(what),
            error => Problem::NotPem(error),
        }
    }
}

/// What a certificate for `names` by ACME is called.
fn acme_name(names: &NameSet) -> String {
    format!("acme:{}", names.label())
}

/// Reads every item of one kind from a PEM file; there is at least one.
pub(super) fn read_all<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, Problem> {
    all_of(&fs::read(path).map_err(Problem::Unreadable)?, what)
}

fn all_of<T: PemObject>(bytes: &[u8], what: &'static str) -> Result<Vec<T>, Problem> {
    let items: Result<Vec<T>, _> = T::pem_slice_iter(bytes).collect();
    let items = items.map_err(|error| Problem::of_pem(error, what))?;
    if items.is_empty() { Err(Problem::Empty(what)) } else { Ok(items) }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

impl Certificate {
    /// Reads the files of a declared certificate.
    ///
    /// # Errors
    /// With the key of the resource whose file is at fault.
    pub(crate) fn read(name: &str, declared: &declared::Certificate) -> Result<Certificate, Fault> {
        let of_chain = fs::read(&declared.certificate).map_err(|error| Problem::Unreadable(error).at("certificate"))?;
        let chain: Vec<CertificateDer<'static>> =
            all_of(&of_chain, "certificate").map_err(|problem| problem.at("certificate"))?;
        // both in one file are read at once, so that whoever exchanges it exchanges both
        let of_key = if declared.key == declared.certificate { Ok(of_chain) } else { fs::read(&declared.key) };
        let key = of_key
            .map_err(Problem::Unreadable)
            .and_then(|pem| PrivateKeyDer::from_pem_slice(&pem).map_err(|error| Problem::of_pem(error, "private key")))
            .map_err(|problem| problem.at("key"))?;
        let ocsp = declared.ocsp.as_ref().map(fs::read).transpose();
        let ocsp = ocsp.map_err(|error| Problem::Unreadable(error).at("ocsp"))?;
        // DER: a sequence
        if ocsp.as_ref().is_some_and(|der| der.first() != Some(&0x30)) {
            return Err(Problem::Malformed("DER of an OCSP response").at("ocsp"));
        }
        Certificate::new(name, Origin::Files, chain, key, ocsp)
    }

    /// Of what has been read or issued.
    ///
    /// # Errors
    /// With the key of the resource that is at fault.
    pub(crate) fn new(
        name: &str,
        origin: Origin,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        ocsp: Option<Vec<u8>>,
    ) -> Result<Certificate, Fault> {
        let parsed: Option<Vec<Parsed<'_>>> = chain.iter().map(|der| Parsed::read(der)).collect();
        let parsed = parsed.ok_or_else(|| Problem::Malformed("certificate").at("certificate"))?;
        let Some(leaf) = parsed.first() else { return Err(Problem::Empty("certificate").at("certificate")) };
        let now = unix_now();
        if let Some(expired) = parsed.iter().find(|certificate| certificate.not_after() < now) {
            return Err(Problem::Expired(expired.not_after_text()).at("certificate"));
        }
        let (names, facts) = (leaf.names(), leaf.facts());
        let rank = if origin == Origin::StandIn { Rank::LOWEST } else { leaf.rank() };
        let key = policy::provider().key_provider.load_private_key(key);
        let key = key.map_err(|error| Problem::Unsupported(error).at("key"))?;
        drop(parsed);
        let mut key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            // a key that does not tell its public half cannot be compared
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(Problem::Mismatch.at("key")),
            Err(_) => return Err(Problem::Malformed("certificate of version 3").at("certificate")),
        }
        key.ocsp = ocsp;
        Ok(Certificate { name: name.into(), origin, key: Arc::new(key), names, rank, facts })
    }

    /// Of what an authority has issued for `names`: a key and a chain, leaf first, in one text.
    ///
    /// # Errors
    /// When it is not for all of the names, or cannot be used at all.
    pub(crate) fn issued(names: &NameSet, pem: &[u8]) -> Result<Certificate, CannotShow> {
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.map_err(|error| CannotShow(Problem::of_pem(error, "certificate")))?;
        let key = PrivateKeyDer::from_pem_slice(pem);
        let key = key.map_err(|error| CannotShow(Problem::of_pem(error, "private key")))?;
        let certificate = Certificate::new(&acme_name(names), Origin::Acme, chain, key, None);
        let certificate = certificate.map_err(|fault| CannotShow(fault.problem))?;
        match names.iter().find(|name| !certificate.names.contains(name)) {
            Some(name) => Err(CannotShow(Problem::NotFor(name.clone()))),
            None => Ok(certificate),
        }
    }

    /// What is shown for `names` until an authority has issued a certificate: signed by itself, so that clients who
    /// verify it refuse it. Any other certificate is preferred to it.
    ///
    /// # Errors
    /// When there is no randomness for a key.
    pub(crate) fn stand_in(names: &NameSet) -> Result<Certificate, Problem> {
        let made = || {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "Headworks stand-in");
            Ok((params.self_signed(&key)?, key))
        };
        let (certificate, key) = made().map_err(Problem::NotMade)?;
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Certificate::new(&acme_name(names), Origin::StandIn, chain, key, None).map_err(|fault| fault.problem)
    }
}
