//! How one logs in to MySQL: the server's greeting, the answer to it, and two ways to show that a password is known.

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use bytes::Buf;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::super::broken;

const CLIENT_LONG_PASSWORD: u32 = 1;
const CLIENT_PROTOCOL_41: u32 = 1 << 9;
const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
const CLIENT_PLUGIN_AUTH: u32 = 1 << 19;
/// What a server must have, and is told that we have. All of this century do.
const CAPABILITIES: u32 = CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;
/// What a client says of its packets.
const LONGEST_PACKET: u32 = 1 << 24;

/// caching_sha2_password: the server had the password at hand.
pub(super) const FAST_ENOUGH: &[u8] = &[3];
/// caching_sha2_password: it had not, and wants it in full.
pub(super) const IN_FULL: &[u8] = &[4];
/// caching_sha2_password: which key to encrypt the password with.
pub(super) const KEY_REQUEST: &[u8] = &[2];

/// A way to show that a password is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// mysql_native_password, by SHA-1.
    Native,
    /// caching_sha2_password, by SHA-256; in full by RSA.
    CachingSha2,
}

impl Method {
    pub(super) fn named(name: &[u8]) -> Option<Method> {
        [Method::Native, Method::CachingSha2].into_iter().find(|method| method.name() == name)
    }

    fn name(self) -> &'static [u8] {
        match self {
            Method::Native => b"mysql_native_password",
            Method::CachingSha2 => b"caching_sha2_password",
        }
    }

    /// What goes over the wire in place of a password that is not empty.
    pub(super) fn proof(self, password: &str, scramble: &Scramble) -> Vec<u8> {
        let algorithm = match self {
            Method::Native => &SHA1_FOR_LEGACY_USE_ONLY,
            Method::CachingSha2 => &SHA256,
        };
        let once = digest(algorithm, password.as_bytes());
        let twice = digest(algorithm, once.as_ref());
        let salted = match self {
            Method::Native => [&scramble.0, twice.as_ref()].concat(),
            Method::CachingSha2 => [twice.as_ref(), &scramble.0].concat(),
        };
        let mask = digest(algorithm, &salted);
        once.as_ref().iter().zip(mask.as_ref()).map(|(one, mask)| one ^ mask).collect()
    }
}

/// What a server has proofs made of, another every time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scramble([u8; Scramble::LENGTH]);

impl Scramble {
    const LENGTH: usize = 20;

    /// # Errors
    /// When it has another length; a zero at the end is no part of it.
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Scramble> {
        let bytes = bytes.strip_suffix(&[0]).filter(|rest| rest.len() == Self::LENGTH).unwrap_or(bytes);
        bytes.try_into().map(Scramble).map_err(|_| broken())
    }
}

/// The first packet of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) scramble: Scramble,
    /// The server's usual one, where it is known here.
    pub(super) method: Method,
}

impl Greeting {
    /// # Errors
    /// When it is none of version 10, or its server speaks no protocol 41.
    pub(super) fn parse(packet: &[u8]) -> io::Result<Greeting> {
        let mut rest = packet.strip_prefix(&[10]).ok_or_else(broken)?;
        let version = rest.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
        // the version and its end, the thread
        take(&mut rest, version + 1 + 4)?;
        let mut scramble = take(&mut rest, 8)?.to_vec();
        take(&mut rest, 1)?;
        let low = rest.try_get_u16_le().map_err(|_| broken())?;
        // the character set, the status
        take(&mut rest, 1 + 2)?;
        let high = rest.try_get_u16_le().map_err(|_| broken())?;
        let capabilities = u32::from(high) << 16 | u32::from(low);
        // MariaDB has no use for the first flag, and another meaning
        if capabilities | CLIENT_LONG_PASSWORD != capabilities | CAPABILITIES {
            return Err(broken());
        }
        let scramble_length = usize::from(rest.try_get_u8().map_err(|_| broken())?);
        take(&mut rest, 10)?;
        scramble.extend_from_slice(take(&mut rest, scramble_length.saturating_sub(8).max(13))?);
        let name = rest.strip_suffix(&[0]).unwrap_or(rest);
        let method = Method::named(name).unwrap_or(Method::Native);
        Ok(Greeting { scramble: Scramble::parse(&scramble)?, method })
    }
}

/// The answer to a greeting.
pub(super) fn response(user: &str, method: Method, proof: &[u8]) -> Vec<u8> {
    let mut packet = CAPABILITIES.to_le_bytes().to_vec();
    packet.extend_from_slice(&LONGEST_PACKET.to_le_bytes());
    packet.push(CHARSET);
    packet.extend_from_slice(&[0; 23]);
    packet.extend_from_slice(user.as_bytes());
    packet.push(0);
    packet.push(proof.len() as u8);
    packet.extend_from_slice(proof);
    packet.extend_from_slice(method.name());
    packet.push(0);
    packet
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> io::Result<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length).ok_or_else(broken)?;
    *rest = after;
    Ok(taken)
}

/// The password for a server that wants it in full, by the key that it sent in PEM: with its end, under the scramble, by
/// RSA with OAEP.
///
/// # Errors
/// When the key is none, or too small for the password.
pub(super) fn encrypted(password: &str, scramble: &Scramble, key: &[u8]) -> io::Result<Vec<u8>> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key).map_err(|_| broken())?;
    let key = PublicEncryptingKey::from_der(&key).map_err(|_| broken())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| broken())?;
    let mask = scramble.0.iter().cycle();
    let masked: Vec<u8> = password.bytes().chain([0]).zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key.encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut encrypted, None).map_err(|_| broken())?.len();
    encrypted.truncate(length);
    Ok(encrypted)
}
