//! Passwords: argon2id, and what a password must be.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

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

/// What is wrong with a new password of `user`: 8 to 128 characters, of three of four classes, and not the user's name.
pub fn weakness(password: &str, user: &str) -> Option<&'static str> {
    let length = password.chars().count();
    let has = |class: fn(char) -> bool| usize::from(password.chars().any(class));
    let classes =
        has(|c| c.is_uppercase()) + has(|c| c.is_lowercase()) + has(|c| c.is_numeric()) + has(|c| !c.is_alphanumeric());
    if !(8..=128).contains(&length) {
        Some("has not 8 to 128 characters")
    } else if classes < 3 {
        Some("is not of three of upper case, lower case, digits and others")
    } else if password.eq_ignore_ascii_case(user) {
        Some("is the user's name")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{hash, verify, weakness};

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
        for (password, is_fine) in
            [("Sh0rt!", false), ("alllowercase", false), ("Upper and 1", true), ("Alice-Alice-1", true)]
        {
            assert_eq!(weakness(password, "alice").is_none(), is_fine, "{password}");
        }
    }
}
