//! What the fields are called that tell a target of TLS and of client certificates (H6, H11, S4).

use std::sync::Arc;

use headworks_model::request_headers::RequestHeaders;

/// The names on one listener.
pub(crate) struct ToldAs {
    pub(crate) serial_number: Arc<str>,
    pub(crate) issuer: Arc<str>,
    pub(crate) subject: Arc<str>,
    pub(crate) validity: Arc<str>,
    pub(crate) leaf: Arc<str>,
    /// The whole chain, in passthrough.
    pub(crate) certificate: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) cipher: Arc<str>,
    /// Those that the listener has given itself: no client may say them.
    pub(crate) reserved: Vec<Arc<str>>,
}

impl ToldAs {
    /// The usual names, but for those declared.
    pub(crate) fn new(declared: Option<&RequestHeaders>) -> ToldAs {
        let name = |of: fn(&RequestHeaders) -> &Option<Arc<str>>, usual: &str| {
            declared.and_then(|declared| of(declared).clone()).unwrap_or_else(|| usual.into())
        };
        ToldAs {
            serial_number: name(|d| &d.x_amzn_mtls_clientcert_serial_number, "X-Amzn-Mtls-Clientcert-Serial-Number"),
            issuer: name(|d| &d.x_amzn_mtls_clientcert_issuer, "X-Amzn-Mtls-Clientcert-Issuer"),
            subject: name(|d| &d.x_amzn_mtls_clientcert_subject, "X-Amzn-Mtls-Clientcert-Subject"),
            validity: name(|d| &d.x_amzn_mtls_clientcert_validity, "X-Amzn-Mtls-Clientcert-Validity"),
            leaf: name(|d| &d.x_amzn_mtls_clientcert_leaf, "X-Amzn-Mtls-Clientcert-Leaf"),
            certificate: name(|d| &d.x_amzn_mtls_clientcert, "X-Amzn-Mtls-Clientcert"),
            version: name(|d| &d.x_amzn_tls_version, "x-amzn-tls-version"),
            cipher: name(|d| &d.x_amzn_tls_cipher_suite, "x-amzn-tls-cipher-suite"),
            reserved: declared.map(|d| d.renamed().map(|(_, name)| name.clone()).collect()).unwrap_or_default(),
        }
    }
}
