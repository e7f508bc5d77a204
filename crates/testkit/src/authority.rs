//! A certificate authority: certificates of every kind that a test wants to see accepted or refused.

#![expect(clippy::expect_used, reason = "for tests only: a broken expectation panics")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, RevokedCertParams, RsaKeySize, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority of its own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    serials: AtomicU64,
}

/// A certificate in the making.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    authority: &'a Authority,
    names: Vec<String>,
    key: Key,
    years: (i32, i32),
    subject: Vec<(DnType, String)>,
}

/// The kind of key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate as bytes.
    pub der: CertificateDer<'static>,
    /// The certificate as text, without the authority's.
    pub pem: String,
    /// Its key as text.
    pub key_pem: String,
    key: Vec<u8>,
    serial: u64,
}

impl Authority {
    /// An authority of this name.
    ///
    /// # Panics
    /// When the machine has no randomness.
    #[must_use]
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "US");
        params.distinguished_name.push(DnType::OrganizationName, "Headworks");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("an authority's certificate");
        Authority { issuer: Issuer::new(params, key), certificate, serials: AtomicU64::new(0x00a1_0001) }
    }

    /// Its own certificate as text.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its own certificate as bytes.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// Begins a certificate for these DNS names or addresses; ECDSA, valid for long.
    #[must_use]
    pub fn order(&self, names: &[&str]) -> Order<'_> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let subject = names.first().map(|name| (DnType::CommonName, name.clone()));
        Order { authority: self, names, key: Key::Ecdsa, years: (2020, 2090), subject: subject.into_iter().collect() }
    }

    /// A certificate for these DNS names or addresses.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.order(names).issue()
    }

    /// A list of certificates that are revoked, as text.
    ///
    /// # Panics
    /// When it cannot be signed.
    #[must_use]
    pub fn revoke(&self, revoked: &[&Issued]) -> String {
        let revoked = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: SerialNumber::from(issued.serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).expect("a revocation list")
    }

    /// Writes its own certificate to a file in `folder`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn place(&self, folder: &Path, name: &str) -> PathBuf {
        place(folder, name, &self.pem())
    }
}

fn place(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let aside = folder.join(format!("{name}.new"));
    std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, &path)).expect("a file");
    path
}

impl Order<'_> {
    /// With this kind of key.
    #[must_use]
    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Valid from the first of January of one year to that of another.
    #[must_use]
    pub fn valid(mut self, from: i32, to: i32) -> Self {
        self.years = (from, to);
        self
    }

    /// With this subject in place of the first name, in the order of the certificate.
    #[must_use]
    pub fn subject(mut self, parts: &[(DnType, &str)]) -> Self {
        self.subject = parts.iter().map(|(kind, value)| (kind.clone(), (*value).to_owned())).collect();
        self
    }

    /// Signs it.
    ///
    /// # Panics
    /// When that cannot be done.
    #[must_use]
    pub fn issue(self) -> Issued {
        let key = match self.key {
            Key::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Key::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let key = key.expect("a key");
        let serial = self.authority.serials.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::new(self.names).expect("names");
        params.distinguished_name = DistinguishedName::new();
        self.subject.into_iter().for_each(|(kind, value)| params.distinguished_name.push(kind, value));
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.authority.issuer).expect("a certificate");
        Issued {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key: key.serialize_der(),
            serial,
        }
    }
}

impl Issued {
    /// Writes certificate and key to `<name>.pem` and `<name>.key` in `folder`, the way renewals do: each in one step.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn place(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = place(folder, &format!("{name}.key"), &self.key_pem);
        (place(folder, &format!("{name}.pem"), &self.pem), key)
    }

    /// The key as bytes.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }

    /// The serial number as a certificate's reader writes it.
    #[must_use]
    pub fn serial(&self) -> String {
        let digits = format!("{:X}", self.serial);
        if digits.len().is_multiple_of(2) { digits } else { format!("0{digits}") }
    }
}
