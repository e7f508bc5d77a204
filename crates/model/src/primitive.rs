//! The small words every resource is made of: names, addresses, patterns.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

/// The name of a declared resource: 1 to 64 of `A-Za-z0-9._-`, not starting or ending with `-` or `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a target listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `ip:port` or `[ip6]:port`.
    Ip(SocketAddr),
    /// `host:port`: resolved, and resolved again as its TTL runs out.
    Host {
        /// The DNS name, lower case.
        host: Arc<str>,
        /// The TCP or UDP port.
        port: u16,
    },
    /// `unix:/path`: a stream socket in the file system.
    Unix(PathBuf),
}

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// `port: 8080`: every address of the machine, IPv4 and IPv6.
    Any(u16),
    /// `address: 127.0.0.1:8080`.
    Address(SocketAddr),
}

/// A wildcard pattern as written: `*` is zero or more characters, `?` exactly one, `\*` and `\?` the characters themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

/// One value of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// A wildcard pattern.
    Wildcard(Pattern),
    /// A regular expression in the syntax of the `regex` crate, written `{ regex: "..." }`.
    Regex(Regex),
}

/// A regular expression that is known to compile; kept as text, because compiling it is the caller's business.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Regex(Arc<str>);

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
