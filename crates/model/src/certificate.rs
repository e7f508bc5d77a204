//! A certificate and its key, as files.

use crate::declared::{Referable, declared};

declared! {
    /// A certificate of `certificates:`; both files are read again when they change.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Certificate {
        /// PEM chain, leaf first.
        pub certificate: String,
        /// PEM private key.
        pub key: String,
    }
}

impl Referable for Certificate {
    const COLLECTION: &'static str = "certificates";
    const CALLED: &'static str = "certificate";
}
