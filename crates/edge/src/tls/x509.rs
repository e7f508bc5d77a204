//! What is read from a certificate besides what TLS itself needs: names, key, validity, and the texts that targets are
//! told about a client's.

use std::fmt::Write as _;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_MD5_WITH_RSA, OID_PKCS1_MD2WITHRSAENC, OID_PKCS1_MD4WITHRSAENC, OID_PKCS1_MD5WITHRSAENC, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::certificate::{Facts, Validity};
use super::choice::{Hash, KeyKind, Rank};

/// A certificate that has been read.
pub(super) struct Parsed<'a>(X509Certificate<'a>);

impl<'a> Parsed<'a> {
    /// Reads DER; none when it is no certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Parsed<'a>> {
        X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, parsed)| Parsed(parsed))
    }

    /// The DNS names it is for, in lower case: those of the alternative names, or the common name of a certificate that
    /// has none.
    pub(super) fn names(&self) -> Vec<String> {
        if let Ok(Some(alternatives)) = self.0.subject_alternative_name() {
            let names = alternatives.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            });
            return names.collect();
        }
        let common = self.0.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        common.map(str::to_ascii_lowercase).take(1).collect()
    }

    /// How it is ranked among those that fit (S1).
    pub(super) fn rank(&self) -> Rank {
        let (kind, bits) = match self.0.public_key().parsed() {
            Ok(PublicKey::EC(point)) => (KeyKind::Ecdsa, point.key_size()),
            Ok(PublicKey::RSA(key)) => (KeyKind::Rsa, key.key_size()),
            // Ed25519, which x509-parser does not know by name
            _ => (KeyKind::Ecdsa, 256),
        };
        let algorithm: &Oid<'_> = &self.0.signature_algorithm.algorithm;
        let weak = [OID_PKCS1_MD2WITHRSAENC, OID_PKCS1_MD4WITHRSAENC, OID_PKCS1_MD5WITHRSAENC, OID_MD5_WITH_RSA];
        let hash = if weak.contains(algorithm) { Hash::Md5 } else { Hash::Sha };
        Rank { kind, hash, bits: bits as u32, not_after: self.not_after() }
    }

    /// What there is to say about it.
    pub(super) fn facts(&self) -> Facts {
        let validity = self.0.validity();
        Facts {
            issuer: self.issuer(),
            serial: self.serial(),
            validity: Validity { not_before: validity.not_before.timestamp(), not_after: self.not_after() },
            valid: [iso(validity.not_before), self.not_after_text()],
        }
    }

    /// Seconds since 1970 after which it is not valid.
    pub(super) fn not_after(&self) -> i64 {
        self.0.validity().not_after.timestamp()
    }

    /// The end of its validity as text.
    pub(super) fn not_after_text(&self) -> String {
        iso(self.0.validity().not_after)
    }

    /// The serial number in hexadecimal, upper case, no sign octet.
    pub(super) fn serial(&self) -> String {
        let raw = self.0.raw_serial();
        let digits = match raw {
            [0, rest @ ..] if !rest.is_empty() => rest,
            _ => raw,
        };
        let mut text = String::with_capacity(digits.len() * 2);
        digits.iter().for_each(|byte| put_hex(&mut text, *byte));
        text
    }

    /// The issuer's distinguished name (RFC 2253).
    pub(super) fn issuer(&self) -> String {
        rfc2253(self.0.issuer())
    }

    /// The subject's distinguished name (RFC 2253).
    pub(super) fn subject(&self) -> String {
        rfc2253(self.0.subject())
    }

    /// `NotBefore=2023-09-21T01:50:17Z;NotAfter=2024-09-20T01:50:17Z`
    pub(super) fn validity(&self) -> String {
        let validity = self.0.validity();
        format!("NotBefore={};NotAfter={}", iso(validity.not_before), iso(validity.not_after))
    }
}

fn put_hex(text: &mut String, byte: u8) {
    // writing to a String cannot fail
    let _ = write!(text, "{byte:02X}");
}

fn iso(time: ASN1Time) -> String {
    let at = time.to_datetime();
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

/// A distinguished name by RFC 2253: last first, special characters escaped. What is not printable ASCII is escaped too,
/// because it becomes a header field.
fn rfc2253(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (i, part) in parts.iter().rev().enumerate() {
        if i > 0 {
            text.push(',');
        }
        for (j, attribute) in part.iter().enumerate() {
            if j > 0 {
                text.push('+');
            }
            let oid = attribute.attr_type();
            match short_name(oid) {
                Some(short) => text.push_str(short),
                None => text.push_str(&oid.to_id_string()),
            }
            text.push('=');
            match attribute.as_str() {
                Ok(value) => escape(value, &mut text),
                Err(_) => {
                    text.push('#');
                    attribute.attr_value().data.iter().for_each(|byte| put_hex(&mut text, *byte));
                }
            }
        }
    }
    text
}

/// RFC 2253 section 2.3, and what OpenSSL calls what is not there.
fn short_name(oid: &Oid<'_>) -> Option<&'static str> {
    Some(match oid.to_id_string().as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "2.5.4.46" => "dnQualifier",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// RFC 2253 section 2.4.
fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, character) in value.char_indices() {
        let edge = character == ' ' && (at == 0 || at == last) || character == '#' && at == 0;
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => {
                text.push('\\');
                text.push(character);
            }
            _ if edge => {
                text.push('\\');
                text.push(character);
            }
            ' '..='~' => text.push(character),
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    text.push('\\');
                    put_hex(text, byte);
                }
            }
        }
    }
}
