//! What all proxies show over TLS: one certificate with a key on P-256, as most of the web has.

use std::path::PathBuf;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::bench::folder::Folder;
use crate::bench::origin::HOST;
use crate::bench::trouble::Trouble;

/// A certificate and its key, as files.
pub(crate) struct Secret {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one, as HAProxy wants them.
    pub(crate) both: PathBuf,
}

impl Secret {
    /// Makes a new one.
    pub(crate) fn make(folder: &Folder) -> Result<Secret, Trouble> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![HOST.to_owned()])
            .map_err(|error| Trouble::Invalid(format!("no certificate: {error}")))?;
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        Ok(Secret {
            both: folder.write("both.pem", format!("{certificate}{key}"))?,
            certificate: folder.write("certificate.pem", certificate)?,
            key: folder.write("key.pem", key)?,
        })
    }
}
