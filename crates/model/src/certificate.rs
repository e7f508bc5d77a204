//! A certificate and its key, as files.

use std::path::PathBuf;

use crate::declared::{Referable, declared};

declared! {
    /// A certificate of `certificates:`; its files are read again when they change.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Certificate {
        /// PEM chain, leaf first.
        pub certificate: PathBuf,
        /// PEM private key.
        pub key: PathBuf,
        /// DER answer of the issuer's OCSP responder, handed to clients with the certificate.
        pub ocsp: Option<PathBuf> = None,
    }
}

impl Referable for Certificate {
    const COLLECTION: &'static str = "certificates";
    const CALLED: &'static str = "certificate";
}
