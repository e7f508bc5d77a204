//! The keys that seal stickiness cookies: the newest seals, all of them open.
//!
//! Keys rotate, so that a leaked one is worth little; old ones stay for as long as a cookie sealed with them may be valid.
//! The caller provides the secrets (from a system's random source), persists what [`Keyring::export`] answers and hands
//! it to the next process, or clients would lose their sessions with every restart.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};

use crate::UnixSeconds;

/// The bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// However often keys are rotated, no more than this many are kept.
const MOST_KEYS: usize = 64;
const MAGIC: &[u8; 4] = b"HWK1";
const RECORD_BYTES: usize = 2 + 8 + SECRET_BYTES;

/// Some keys, oldest first; never none.
#[derive(Clone)]
pub struct Keyring {
    older: Vec<Key>,
    newest: Key,
}

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: u16,
    created: UnixSeconds,
    secret: [u8; SECRET_BYTES],
    pub(crate) cipher: Arc<LessSafeKey>,
}

/// Why bytes are not a keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyringError {
    /// They were not written by [`Keyring::export`] of a version this program knows, or were cut.
    Malformed,
    /// The cryptographic library refused a key.
    Refused,
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not an exported keyring",
            Self::Refused => "the key was refused",
        })
    }
}

impl Error for KeyringError {}

impl Keyring {
    /// A keyring of one key.
    ///
    /// # Errors
    /// If the cryptographic library refuses the key, which it has no reason to.
    pub fn new(secret: [u8; SECRET_BYTES], now: UnixSeconds) -> Result<Self, KeyringError> {
        Ok(Self { older: Vec::new(), newest: Key::new(0, now, secret)? })
    }

    /// Adds a key, which seals from now on, and drops those that no valid cookie can be sealed with any more: the ones
    /// that were succeeded longer than `longest` ago, the longest stickiness duration in use.
    ///
    /// # Errors
    /// If the cryptographic library refuses the key; then nothing has changed.
    pub fn rotate(
        &mut self,
        secret: [u8; SECRET_BYTES],
        now: UnixSeconds,
        longest: Duration,
    ) -> Result<(), KeyringError> {
        let next = Key::new(self.newest.id.wrapping_add(1), now, secret)?;
        self.older.push(std::mem::replace(&mut self.newest, next));
        // A key sealed its last cookie when its successor was made.
        let successors: Vec<_> = self.older.iter().skip(1).chain([&self.newest]).map(|key| key.created).collect();
        let expired = successors.iter().take_while(|made| made.saturating_add(longest.as_secs()) < now).count();
        let superfluous = (self.older.len() + 1).saturating_sub(MOST_KEYS);
        self.older.drain(..expired.max(superfluous).min(self.older.len()));
        Ok(())
    }

    /// When the newest key was made: rotate when that is long ago.
    #[must_use]
    pub fn newest_created(&self) -> UnixSeconds {
        self.newest.created
    }

    /// All keys as bytes, secrets included.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for key in self.older.iter().chain([&self.newest]) {
            bytes.extend(key.id.to_be_bytes());
            bytes.extend(key.created.to_be_bytes());
            bytes.extend(key.secret);
        }
        bytes
    }

    /// The keyring that was exported.
    ///
    /// # Errors
    /// If the bytes are anything else.
    pub fn import(bytes: &[u8]) -> Result<Self, KeyringError> {
        let records = bytes.strip_prefix(MAGIC).ok_or(KeyringError::Malformed)?;
        let (records, rest) = records.as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() || records.len() > MOST_KEYS {
            return Err(KeyringError::Malformed);
        }
        let mut older = records.iter().map(Key::read).collect::<Result<Vec<_>, _>>()?;
        let newest = older.pop().ok_or(KeyringError::Malformed)?;
        Ok(Self { older, newest })
    }

    pub(crate) fn newest(&self) -> &Key {
        &self.newest
    }

    pub(crate) fn find(&self, id: u16) -> Option<&Key> {
        [&self.newest].into_iter().chain(self.older.iter().rev()).find(|key| key.id == id)
    }
}

impl Key {
    fn new(id: u16, created: UnixSeconds, secret: [u8; SECRET_BYTES]) -> Result<Self, KeyringError> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &secret).map_err(|_| KeyringError::Refused)?;
        Ok(Self { id, created, secret, cipher: Arc::new(LessSafeKey::new(key)) })
    }

    fn read(record: &[u8; RECORD_BYTES]) -> Result<Self, KeyringError> {
        let (id, rest) = record.split_first_chunk().ok_or(KeyringError::Malformed)?;
        let (created, rest) = rest.split_first_chunk().ok_or(KeyringError::Malformed)?;
        let secret = rest.first_chunk().ok_or(KeyringError::Malformed)?;
        Self::new(u16::from_be_bytes(*id), u64::from_be_bytes(*created), *secret)
    }
}

impl fmt::Debug for Keyring {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("newest", &self.newest.id).field("older", &self.older.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn rotation_keeps_what_may_still_be_valid() {
        let week = Duration::from_secs(7 * DAY);
        let mut keyring = Keyring::new([0; 32], 0).unwrap();
        for day in 1..=30 {
            keyring.rotate([day; 32], u64::from(day) * DAY, week).unwrap();
        }
        // Key 22 sealed until day 23, so its cookies were valid until day 30; key 21's only until day 29.
        let kept: Vec<_> = (0..40).filter(|id| keyring.find(*id).is_some()).collect();
        assert_eq!(kept, (22..=30).collect::<Vec<_>>());
        assert_eq!(keyring.newest_created(), 30 * DAY);
    }

    #[test]
    fn rotation_is_bounded() {
        let mut keyring = Keyring::new([0; 32], 0).unwrap();
        for turn in 0..200 {
            keyring.rotate([turn; 32], 5, Duration::from_secs(DAY)).unwrap();
        }
        assert_eq!(keyring.older.len() + 1, MOST_KEYS);
    }

    #[test]
    fn export_and_import() {
        let mut keyring = Keyring::new([1; 32], 10).unwrap();
        keyring.rotate([2; 32], 20, Duration::from_secs(DAY)).unwrap();
        let bytes = keyring.export();
        assert_eq!(Keyring::import(&bytes).unwrap().export(), bytes);
        for wrong in [&bytes[..bytes.len() - 1], &bytes[1..], &bytes[..4], b"", b"HWK1x"] {
            assert_eq!(Keyring::import(wrong).unwrap_err(), KeyringError::Malformed);
        }
    }

    #[test]
    fn debug_keeps_the_secret() {
        assert_eq!(format!("{:?}", Keyring::new([7; 32], 0).unwrap()), "Keyring { newest: 0, older: 0 }");
    }
}
