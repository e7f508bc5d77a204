//! The secret that the instances share: it signs the session cookie and makes the tokens of forms.
//!
//! It lives in the data folder, so that every instance accepts what another one signed. The first to come makes it.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const LENGTH: usize = 32;

/// An HMAC-SHA256 key.
pub(crate) struct Key(hmac::Key);

/// What a signature is for: one made for a cookie is worth nothing in a form.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The session cookie's content.
    Session,
    /// The token in a visitor's forms.
    Form,
}

impl Key {
    /// Reads the key of a data folder, or makes it.
    ///
    /// # Errors
    ///
    /// When it can be neither read nor written, or has the wrong length.
    pub(crate) fn load(folder: &Path) -> io::Result<Self> {
        let path = folder.join("session.key");
        if !path.exists() {
            create(folder, &path)?;
        }
        let bytes = std::fs::read(&path)?;
        if bytes.len() != LENGTH {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "session.key does not hold 32 bytes"));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The signature of `text`.
    pub(crate) fn sign(&self, purpose: Purpose, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &message(purpose, text)))
    }

    /// Whether `signature` was made by [`Key::sign`] of the same things. Takes the same time wherever they differ.
    pub(crate) fn verify(&self, purpose: Purpose, text: &str, signature: &str) -> bool {
        URL_SAFE_NO_PAD.decode(signature).is_ok_and(|tag| hmac::verify(&self.0, &message(purpose, text), &tag).is_ok())
    }
}

impl Debug for Key {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("Key")
    }
}

/// 128 random bits as 22 characters: a visitor, or one submission of a form.
///
/// # Errors
///
/// When the system gives no randomness.
pub(crate) fn nonce() -> io::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<16>()?))
}

fn message(purpose: Purpose, text: &str) -> Vec<u8> {
    let purpose: &[u8] = match purpose {
        Purpose::Session => b"session:",
        Purpose::Form => b"form:",
    };
    [purpose, text.as_bytes()].concat()
}

/// A link to a finished file appears whole or not at all, and fails when another instance was first, whose key it then is.
fn create(folder: &Path, path: &Path) -> io::Result<()> {
    let draft = folder.join(format!("session.key.{}", nonce()?));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(&random::<LENGTH>()?)?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(bytes)
}
