//! What a listener calls the request fields that tell a target of TLS and client certificates (H6, H11, S4).

use std::collections::HashSet;
use std::sync::Arc;

use crate::declared::{Cx, Fields, Optional, Token, declared};

declared! {
    /// Other names for the request fields about TLS and client certificates; absent: the usual name.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[check = check_request_headers]
    pub struct RequestHeaders {
        /// In place of `X-Amzn-Mtls-Clientcert-Serial-Number`.
        #[via = Optional<Token>]
        pub x_amzn_mtls_clientcert_serial_number: Option<Arc<str>> = None,
        /// In place of `X-Amzn-Mtls-Clientcert-Issuer`.
        #[via = Optional<Token>]
        pub x_amzn_mtls_clientcert_issuer: Option<Arc<str>> = None,
        /// In place of `X-Amzn-Mtls-Clientcert-Subject`.
        #[via = Optional<Token>]
        pub x_amzn_mtls_clientcert_subject: Option<Arc<str>> = None,
        /// In place of `X-Amzn-Mtls-Clientcert-Validity`.
        #[via = Optional<Token>]
        pub x_amzn_mtls_clientcert_validity: Option<Arc<str>> = None,
        /// In place of `X-Amzn-Mtls-Clientcert-Leaf`.
        #[via = Optional<Token>]
        pub x_amzn_mtls_clientcert_leaf: Option<Arc<str>> = None,
        /// In place of `X-Amzn-Mtls-Clientcert`.
        #[via = Optional<Token>]
        pub x_amzn_mtls_clientcert: Option<Arc<str>> = None,
        /// In place of `X-Amzn-Tls-Version`.
        #[via = Optional<Token>]
        pub x_amzn_tls_version: Option<Arc<str>> = None,
        /// In place of `X-Amzn-Tls-Cipher-Suite`.
        #[via = Optional<Token>]
        pub x_amzn_tls_cipher_suite: Option<Arc<str>> = None,
    }
}

/// Names that mean something else already, in lower case.
const TAKEN: [&str; 18] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amzn-trace-id",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-forwarded-proto",
];

impl RequestHeaders {
    /// Keys and the names given, in the order of the file's grammar.
    pub fn renamed(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        let all = [
            &self.x_amzn_mtls_clientcert_serial_number,
            &self.x_amzn_mtls_clientcert_issuer,
            &self.x_amzn_mtls_clientcert_subject,
            &self.x_amzn_mtls_clientcert_validity,
            &self.x_amzn_mtls_clientcert_leaf,
            &self.x_amzn_mtls_clientcert,
            &self.x_amzn_tls_version,
            &self.x_amzn_tls_cipher_suite,
        ];
        Self::KEYS.iter().copied().zip(all).filter_map(|(key, name)| Some((key, name.as_ref()?)))
    }
}

fn check_request_headers<'a>(headers: &RequestHeaders, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let mut seen = HashSet::new();
    for (key, name) in headers.renamed() {
        let lower = name.to_ascii_lowercase();
        if TAKEN.contains(&lower.as_str()) {
            fields.wrong(key, format!("{name} means something else"), "a name of its own", cx);
        } else if !seen.insert(lower) {
            fields.wrong(key, format!("{name} is there twice"), "a name of its own", cx);
        }
    }
}
