//! A certificate and its key, as files.

/// A certificate of `certificates:`; both files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM chain, leaf first.
    pub certificate: String,
    /// PEM private key.
    pub key: String,
}
