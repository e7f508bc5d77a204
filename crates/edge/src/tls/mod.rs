//! TLS (stage 2): certificates and their choice, policies, tickets, client certificates, the handshake.
//!
//! Everything that a handshake needs is prepared in the control thread ([`vault`]) and published by pointer
//! ([`listener`]); a worker takes what is current when a connection comes ([`accept`]). From there on the connection is
//! a [`stream`] like any other. What targets are spoken to with is [`dial`].

pub(crate) mod accept;
pub(crate) mod certificate;
pub(crate) mod choice;
pub(crate) mod client;
pub(crate) mod dial;
pub(crate) mod failure;
pub(crate) mod listener;
pub(crate) mod policy;
pub(crate) mod session;
pub(crate) mod stream;
pub(crate) mod ticket;
pub(crate) mod told;
pub(crate) mod under_way;
pub(crate) mod vault;
pub(crate) mod watched;
mod x509;

/// What clients are offered by ALPN, preferred first. Who adds a protocol here answers for it in [`session::Protocol`]
/// and where [`accept`] hands over the connection.
pub(crate) const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];
/// What clients are offered over QUIC.
pub(crate) const ALPN_QUIC: &[u8] = b"h3";
