//! Conditions of a listener rule (R2, R4 to R10): what a request must look like.

use ipnet::IpNet;

use crate::primitive::{Pattern, TextMatch};

/// A set of conditions. Each that is given must hold; inside one, any value is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Host header without port, compared without case. Empty: no condition (so for all lists here).
    pub host: Vec<TextMatch>,
    /// Path without query, compared with case.
    pub path: Vec<TextMatch>,
    /// Method, exact and with case.
    pub method: Vec<String>,
    /// The TCP peer's address, never `X-Forwarded-For`.
    pub source_ip: Vec<IpNet>,
    /// One condition per header name; every one must hold. Names and values are compared without case.
    pub header: Vec<HeaderCondition>,
    /// Query parameters; any one is enough. Keys and values are compared without case.
    pub query: Vec<QueryMatch>,
    /// Server name of a TLS ClientHello; only on `tls_passthrough` listeners.
    pub sni: Vec<Pattern>,
    /// Our extension: further sets, all of which must hold (several query conditions, say).
    pub all: Vec<Conditions>,
    /// Our extension: no condition of this set may hold.
    pub not: Option<Box<Conditions>>,
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
