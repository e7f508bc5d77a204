//! Temporary credentials: what a session is, in its own token, sealed. Nothing is kept, so that sessions outlive a restart and
//! a thousand of them cost nothing.

use serde::{Deserialize, Serialize};

use crate::directory::Principal;
use crate::document::Document;
use crate::seal::{CannotOpen, NONCE, Sealer};

/// The shortest and the longest session of a role, and what it is unless said otherwise, in seconds.
pub const SHORTEST: u64 = 900;
/// See [`SHORTEST`].
pub const LONGEST: u64 = 12 * 3600;
/// See [`SHORTEST`].
pub const USUAL: u64 = 3600;
/// The longest session of a user, and what it is unless said otherwise, in seconds.
pub const LONGEST_OF_USER: u64 = 36 * 3600;
/// See [`LONGEST_OF_USER`].
pub const USUAL_OF_USER: u64 = 12 * 3600;

const PURPOSE: &str = "session-token";

/// Whose identity a session has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// A role's, of somebody who has assumed it.
    #[default]
    Role,
    /// A user's own.
    User,
}

/// A session of somebody who has assumed a role, or of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    #[serde(default)]
    pub whose: Whose,
    /// The role or the user, by name.
    #[serde(alias = "role")]
    pub identity: String,
    /// When that was created, in seconds since 1970: another of the same name is another one.
    pub of: u64,
    /// What the session is called.
    pub name: String,
    /// The access key.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// Seconds since 1970.
    pub expires: u64,
    /// What bounds it.
    #[serde(default)]
    pub policy: Option<Document>,
    /// When a second factor was shown for it, in seconds since 1970; none: not.
    #[serde(default)]
    pub mfa: Option<u64>,
    /// The access key that a user's session was asked for with, and ends with.
    #[serde(default)]
    pub by: Option<String>,
}

impl Session {
    /// The token that says all of it to whoever has the key.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn token(&self, sealer: &Sealer, nonce: [u8; NONCE]) -> Result<String, CannotOpen> {
        let text = serde_json::to_string(self).map_err(|_| CannotOpen)?;
        sealer.seal(PURPOSE, &text, nonce)
    }

    /// The session of a token.
    ///
    /// # Errors
    /// When it is none of ours.
    pub fn of_token(sealer: &Sealer, token: &str) -> Result<Self, CannotOpen> {
        serde_json::from_str(&sealer.open(PURPOSE, token)?).map_err(|_| CannotOpen)
    }

    /// Who it speaks for.
    pub fn principal(&self) -> Principal {
        let identity = self.identity.clone();
        match self.whose {
            Whose::Role => Principal::Role { role: identity, session: self.name.clone(), policy: self.policy.clone() },
            Whose::User => Principal::User(identity),
        }
    }
}
