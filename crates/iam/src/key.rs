//! Access keys: what they look like, and who has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// Random bytes that a new key is made of.
pub const ENTROPY: usize = 40;

/// An access key as it is kept; the secret is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// 20 characters.
    pub id: String,
    /// See [`crate::seal`].
    pub secret: String,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// Seconds since 1970.
    pub created: u64,
    /// When it was last used, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<LastUsed>,
}

/// The last use of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUsed {
    /// Seconds since 1970.
    pub at: u64,
    /// The action.
    pub action: String,
    /// From where.
    pub source: String,
}

/// The last time that an identity was permitted an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accessed {
    /// Seconds since 1970.
    pub at: u64,
    /// From where.
    pub source: String,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It may.
    Active,
    /// Not for now.
    Inactive,
}

/// What a new key is for, which its first four characters tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A user, until it is deleted.
    User,
    /// A session that ends.
    Session,
}

/// An access key and its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// 20 characters: `HWKA` or `HWSA`, and 16 of A to Z and 2 to 7.
    pub id: String,
    /// 40 characters of base64.
    pub secret: String,
}

/// Makes a key of random bytes.
pub fn make(purpose: For, random: &[u8; ENTROPY]) -> Secret {
    let (name, secret) = random.split_at(10);
    let bits = name.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let letters = (0..16).map(|place| {
        let value = u8::try_from(bits >> (5 * place) & 31).unwrap_or(0);
        char::from(if value < 26 { b'A' + value } else { b'2' + value - 26 })
    });
    let prefix = match purpose {
        For::User => "HWKA",
        For::Session => "HWSA",
    };
    Secret { id: prefix.chars().chain(letters).collect(), secret: STANDARD_NO_PAD.encode(secret) }
}
