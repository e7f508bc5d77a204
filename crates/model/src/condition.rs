//! Conditions of a listener rule (R2, R4 to R10): what a request must look like.

use ipnet::IpNet;

use crate::condition_value::{HeaderConditions, HostValue, MethodWord, PathValue, ProtocolName, ServerName};
use crate::declared::{Cidr, Cx, Fields, OneOrMore, declared};
use crate::listener::ListenerProtocol;
use crate::primitive::{Pattern, TextMatch};

declared! {
    /// A set of conditions. Each that is given must hold; inside one, any value is enough.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    #[check = check_conditions]
    pub struct Conditions {
        /// Host header without port, compared without case. Empty: no condition (so for all lists here).
        #[via = OneOrMore<HostValue>]
        pub host: Vec<TextMatch> = Vec::new(),
        /// Path without query, compared with case.
        #[via = OneOrMore<PathValue>]
        pub path: Vec<TextMatch> = Vec::new(),
        /// Method, exact and with case.
        #[via = OneOrMore<MethodWord>]
        pub method: Vec<String> = Vec::new(),
        /// The TCP peer's address, never `X-Forwarded-For`.
        #[via = OneOrMore<Cidr>]
        pub source_ip: Vec<IpNet> = Vec::new(),
        /// One condition per header name; every one must hold. Names and values are compared without case.
        #[via = HeaderConditions]
        pub header: Vec<HeaderCondition> = Vec::new(),
        /// Query parameters; any one is enough. Keys and values are compared without case.
        #[via = OneOrMore]
        pub query: Vec<QueryMatch> = Vec::new(),
        /// Server name of a TLS ClientHello; only on `tls_passthrough` listeners.
        #[via = OneOrMore<ServerName>]
        pub sni: Vec<Pattern> = Vec::new(),
        /// A protocol that a TLS ClientHello offers by ALPN, such as `h2`, compared with case; only on `tls_passthrough`
        /// listeners.
        #[via = OneOrMore<ProtocolName>]
        pub alpn: Vec<String> = Vec::new(),
        /// Our extension: further sets, all of which must hold (several query conditions, say).
        #[via = OneOrMore]
        pub all: Vec<Conditions> = Vec::new(),
        /// Our extension: no condition of this set may hold.
        #[via = crate::condition_value::Inner]
        pub not: Option<Box<Conditions>> = None,
    }
}

/// A condition on one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderCondition {
    /// Field name, lower case; never `host`.
    pub name: String,
    /// Any is enough.
    pub values: Vec<TextMatch>,
}

/// A condition on one query parameter: `{ env: dev }`, `{ key: debug, value: "*" }` or `{ value: "beta*" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryMatch {
    /// Absent: any key.
    pub key: Option<Pattern>,
    /// Absent: any value.
    pub value: Option<Pattern>,
}

fn check_conditions<'a>(_: &Conditions, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let Some(listener) = cx.listener else { return };
    if listener != ListenerProtocol::TlsPassthrough {
        fields.only_with("sni", "sni on tls_passthrough listeners only", cx);
        fields.only_with("alpn", "alpn on tls_passthrough listeners only", cx);
    }
    if !listener.is_http() {
        for key in ["host", "path", "method", "header", "query"] {
            fields.only_with(key, "it on http and https listeners only", cx);
        }
    }
}
