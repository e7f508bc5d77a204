//! Passwords: argon2id, and what a password must be.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// Random bytes of a salt.
pub const SALT: usize = 16;
/// OWASP's least for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// What is kept of a password; none when the library refuses, which it does for passwords of gigabytes.
pub fn hash(password: &str, salt: &[u8; SALT]) -> Option<String> {
    let hash = derive(password, salt, MEMORY_KIB, PASSES)?;
    let [salt, hash] = [&salt[..], &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    Some(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${hash}"))
}

/// Whether this is the password. Takes tens of milliseconds and 19 MiB, so that guessing does.
pub fn verify(password: &str, kept: &str) -> bool {
    let parsed = (|| {
        let mut parts = kept.strip_prefix("$argon2id$v=19$m=")?.split('$');
        let (memory, rest) = parts.next()?.split_once(",t=")?;
        let passes = rest.strip_suffix(",p=1")?;
        let salt = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        let hash = STANDARD_NO_PAD.decode(parts.next()?).ok()?;
        Some((memory.parse().ok()?, passes.parse().ok()?, salt, hash))
    })();
    let Some((memory, passes, salt, hash)) = parsed else { return false };
    derive(password, &salt, memory, passes).is_some_and(|found| verify_slices_are_equal(&found, &hash).is_ok())
}

fn derive(password: &str, salt: &[u8], memory: u32, passes: u32) -> Option<[u8; 32]> {
    let params = Params::new(memory, passes, 1, Some(32)).ok()?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .ok()?;
    Some(hash)
}

/// What a password must be. Unless it is said otherwise: 8 to 128 characters, of three of four classes, without end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Characters, from 6 to 128.
    pub minimum_length: u8,
    /// A letter of upper case.
    pub require_uppercase: bool,
    /// A letter of lower case.
    pub require_lowercase: bool,
    /// A digit.
    pub require_numbers: bool,
    /// Something else.
    pub require_symbols: bool,
    /// Days after which another is due, up to 1095; 0: never.
    pub max_age_days: u16,
    /// How many of the last must not come again, up to 24. The one that is there never may.
    pub reuse_prevention: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            minimum_length: 8,
            require_uppercase: false,
            require_lowercase: false,
            require_numbers: false,
            require_symbols: false,
            max_age_days: 0,
            reuse_prevention: 0,
        }
    }
}

/// The longest password, in characters.
const LONGEST: usize = 128;

impl Policy {
    /// What is wrong with a new password of `user`.
    pub fn weakness(&self, password: &str, user: &str) -> Option<String> {
        let length = password.chars().count();
        let has = |class: fn(char) -> bool| password.chars().any(class);
        let classes = [
            ("a letter of upper case", self.require_uppercase, has(char::is_uppercase)),
            ("a letter of lower case", self.require_lowercase, has(char::is_lowercase)),
            ("a digit", self.require_numbers, has(char::is_numeric)),
            ("something but letters and digits", self.require_symbols, has(|c| !c.is_alphanumeric())),
        ];
        let shortest = usize::from(self.minimum_length);
        let missing = classes.iter().find(|(_, is_required, has)| *is_required && !has);
        let names_classes = classes.iter().any(|(_, is_required, _)| *is_required);
        if !(shortest..=LONGEST).contains(&length) {
            Some(format!("has {length} characters, expected {shortest} to {LONGEST}"))
        } else if let Some((what, ..)) = missing {
            Some(format!("has not {what}"))
        } else if !names_classes && classes.iter().filter(|(.., has)| *has).count() < 3 {
            Some("is not of three of upper case, lower case, digits and others".to_owned())
        } else if password.eq_ignore_ascii_case(user) {
            Some("is the user's name".to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, hash, verify};

    #[test]
    fn a_password_is_itself_and_no_other() {
        let kept = hash("Correct horse 1", &[3; 16]).unwrap();
        assert!(verify("Correct horse 1", &kept));
        assert!(!verify("correct horse 1", &kept));
        for broken in ["", "$argon2id$", "$argon2id$v=19$m=1,t=1,p=1$$", "plain"] {
            assert!(!verify("", broken), "{broken}");
        }
    }

    #[test]
    fn weak_passwords_are_told() {
        let symbols = Policy { minimum_length: 6, require_symbols: true, ..Policy::default() };
        for (policy, password, expected) in [
            (&Policy::default(), "Sh0rt!", Some("has 6 characters, expected 8 to 128")),
            (&Policy::default(), "alllowercase", Some("is not of three of upper case, lower case, digits and others")),
            (&Policy::default(), "Upper and 1", None),
            (&Policy::default(), "Alice-Smith-1", Some("is the user's name")),
            (&symbols, "sh0rt!", None),
            (&symbols, "Sh0rter", Some("has not something but letters and digits")),
        ] {
            assert_eq!(policy.weakness(password, "alice-smith-1").as_deref(), expected, "{password}");
        }
    }
}
