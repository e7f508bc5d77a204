//! What is secret and has to be read again is kept sealed: AES-256-GCM under a key that lies in a file of its own.
//!
//! A sealed text is `v1.` and base64 of nonce and ciphertext. What it is for is bound to it, so that one cannot be put in the
//! place of another.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of a key.
pub const KEY: usize = 32;
/// Random bytes that sealing needs.
pub const NONCE: usize = NONCE_LEN;

const VERSION: &str = "v1.";

/// The key that seals.
pub struct Sealer {
    key: LessSafeKey,
    bytes: [u8; KEY],
}

/// It was not sealed with this key, or not for this, or has been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotOpen;

impl fmt::Display for CannotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("was sealed with another key, or has been changed")
    }
}

impl std::error::Error for CannotOpen {}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Takes a key.
    ///
    /// # Errors
    /// Never, of a key of this length; the library says so only when it is used.
    pub fn new(bytes: [u8; KEY]) -> Result<Self, CannotOpen> {
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| CannotOpen)?;
        Ok(Self { key: LessSafeKey::new(key), bytes })
    }

    /// Seals `text` for `purpose`. A nonce must never be used twice: take random ones.
    ///
    /// # Errors
    /// When the library refuses, which it does for texts of many gigabytes.
    pub fn seal(&self, purpose: &str, text: &str, nonce: [u8; NONCE]) -> Result<String, CannotOpen> {
        let mut bytes = text.as_bytes().to_vec();
        let aad = Aad::from(purpose.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| CannotOpen)?;
        let all = [&nonce[..], &bytes].concat();
        Ok(format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(all)))
    }

    /// The text that was sealed for `purpose`.
    ///
    /// # Errors
    /// When it was not.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<String, CannotOpen> {
        let text = sealed.strip_prefix(VERSION).ok_or(CannotOpen)?;
        let all = URL_SAFE_NO_PAD.decode(text).map_err(|_| CannotOpen)?;
        let (nonce, bytes) = all.split_at_checked(NONCE).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let mut bytes = bytes.to_vec();
        let opened =
            self.key.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut bytes).map_err(|_| CannotOpen)?;
        String::from_utf8(opened.to_vec()).map_err(|_| CannotOpen)
    }

    /// What the key is called: tells keys apart, and nothing of them.
    pub fn name(&self) -> String {
        self.derive("name-of-key").chars().take(16).collect()
    }

    /// A secret that whoever has the key can make again, for one purpose.
    pub fn derive(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes);
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::{CannotOpen, KEY, NONCE, Sealer};

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_no_other() {
        let sealer = Sealer::new([7; KEY]).unwrap();
        let sealed = sealer.seal("user/a", "secret", [1; NONCE]).unwrap();
        assert_eq!(sealer.open("user/a", &sealed).as_deref(), Ok("secret"));
        assert_eq!(sealer.open("user/b", &sealed), Err(CannotOpen));
        assert_eq!(Sealer::new([8; KEY]).unwrap().open("user/a", &sealed), Err(CannotOpen));
        for broken in ["", "v1.", "v1.!", "secret", &sealed[..sealed.len() - 1], &format!("{sealed}A")] {
            assert_eq!(sealer.open("user/a", broken), Err(CannotOpen), "{broken}");
        }
    }
}
