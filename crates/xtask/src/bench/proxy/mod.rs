//! The contenders: how each is configured, started and reached.

pub(crate) mod caddy;
pub(crate) mod haproxy;
pub(crate) mod headworks;
pub(crate) mod nginx;
pub(crate) mod secret;

use std::net::SocketAddr;

use super::process::Process;

/// A running proxy.
pub(crate) struct Proxy {
    /// Its name in tables.
    pub(crate) name: String,
    /// Ways through it; the first is that of all cases but those of large bodies, which take the cheapest.
    pub(crate) doors: Vec<Door>,
    /// The way through it over TLS, with HTTP/1.1 and HTTP/2 by ALPN.
    pub(crate) secure: SocketAddr,
    /// The way through it for calls of gRPC, over TLS.
    pub(crate) calls: SocketAddr,
    /// The way through it by which bytes are carried as they are, the kernel moving them where it may.
    pub(crate) carried: SocketAddr,
    /// Ways through it for datagrams; none where it carries none.
    pub(crate) datagrams: Vec<Door>,
    /// Its whole configuration, to be published with the results.
    pub(crate) settings: String,
    pub(crate) process: Process,
}

/// A listening address, and what is special about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    /// What is special, in a word or two; empty: nothing.
    pub(crate) setting: &'static str,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}
