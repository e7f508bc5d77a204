//! What is remembered of one flow until it ends, and how it is told: the one event that the access log and the counters
//! are written from.

use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use headworks_message::number::{hex, padded, put_decimal};

use super::time::{Anchor, Stamps};
use crate::upstream::target::TargetLocal;

/// The event of one flow. What only the log asks for is there only when there is one.
#[derive(Default)]
pub(crate) struct FlowRecord {
    /// When it began; absent when nothing is logged.
    pub(crate) started: Option<Instant>,
    /// The label of the rule that matched.
    pub(crate) rule: Option<Arc<str>>,
    pub(crate) group: Option<Rc<str>>,
    /// The target that was connected to, or tried last.
    pub(crate) target: Option<Rc<TargetLocal>>,
    pub(crate) retries: u8,
    /// The name that the client asked for.
    pub(crate) server_name: Option<Box<str>>,
    /// Version and cipher, where the client's TLS ended here.
    pub(crate) tls: Option<(&'static str, &'static str)>,
    /// What was agreed on by ALPN there.
    pub(crate) protocol: Option<Box<[u8]>>,
    /// Bytes from the client.
    pub(crate) received: u64,
    /// Bytes to the client.
    pub(crate) sent: u64,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Both sides had said their last.
    Closed,
    ClientReset,
    TargetReset,
    /// Nothing moved for the idle timeout.
    IdleTimeout,
    /// The target's deregistration delay was over.
    Deregistered,
    /// The target became unhealthy.
    TargetUnhealthy,
    /// The program stopped, and its deadline was over.
    Stopping,
    /// There was no target to choose.
    NoTarget,
    /// Every target was at its limit.
    Overloaded,
    ConnectFailed,
    /// There was no port left to connect to it from.
    NoPortLeft,
    ConnectTimeout,
    /// No TLS with the target.
    HandshakeFailed,
    HandshakeTimeout,
    /// The client went away before its ClientHello.
    ClientClosed,
    /// What came was no ClientHello.
    MalformedHello,
    /// It did not come in time.
    HelloTimeout,
    /// The client takes what it is sent too slowly.
    ClientTooSlow,
    /// Too many are awaited, on the whole or from this address.
    TooManyHandshakes,
    /// No datagram came for the idle timeout.
    Silent,
    /// Nobody receives datagrams at the target's address.
    TargetRefused,
    /// It gave way to another flow.
    TooManyFlows,
    /// It goes on in the process that has taken over.
    Replaced,
}

/// Who reset a flow, in the terms of a Network Load Balancer (N8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    Client,
    Target,
    /// The load balancer itself.
    Own,
}

impl Ended {
    /// All of them, in the order of the counters.
    pub(crate) const ALL: [Ended; 23] = [
        Ended::Closed,
        Ended::ClientReset,
        Ended::TargetReset,
        Ended::IdleTimeout,
        Ended::Deregistered,
        Ended::TargetUnhealthy,
        Ended::Stopping,
        Ended::NoTarget,
        Ended::Overloaded,
        Ended::ConnectFailed,
        Ended::NoPortLeft,
        Ended::ConnectTimeout,
        Ended::HandshakeFailed,
        Ended::HandshakeTimeout,
        Ended::ClientClosed,
        Ended::MalformedHello,
        Ended::HelloTimeout,
        Ended::ClientTooSlow,
        Ended::TooManyHandshakes,
        Ended::Silent,
        Ended::TargetRefused,
        Ended::TooManyFlows,
        Ended::Replaced,
    ];

    /// What log and metrics call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Ended::Closed => "closed",
            Ended::ClientReset => "client_reset",
            Ended::TargetReset => "target_reset",
            Ended::IdleTimeout => "idle_timeout",
            Ended::Deregistered => "target_deregistered",
            Ended::TargetUnhealthy => "target_unhealthy",
            Ended::Stopping => "stopping",
            Ended::NoTarget => "no_target",
            Ended::Overloaded => "target_limit",
            Ended::NoPortLeft => "no_port_left",
            Ended::ConnectFailed => "target_connection_error",
            Ended::ConnectTimeout => "target_connection_timeout",
            Ended::HandshakeFailed => "target_tls_error",
            Ended::HandshakeTimeout => "target_tls_timeout",
            Ended::ClientClosed => "client_closed",
            Ended::MalformedHello => "malformed_hello",
            Ended::HelloTimeout => "hello_timeout",
            Ended::ClientTooSlow => "client_too_slow",
            Ended::TooManyHandshakes => "too_many_handshakes",
            Ended::Silent => "silent",
            Ended::TargetRefused => "target_refused",
            Ended::TooManyFlows => "too_many_flows",
            Ended::Replaced => "replaced",
        }
    }

    /// Who reset the client's connection; nobody when it was closed.
    pub(crate) fn reset(self) -> Option<Reset> {
        match self {
            Ended::Closed
            | Ended::ClientClosed
            | Ended::MalformedHello
            | Ended::HelloTimeout
            | Ended::TooManyHandshakes
            | Ended::Silent
            | Ended::TargetRefused
            | Ended::TooManyFlows
            | Ended::Replaced => None,
            Ended::ClientReset => Some(Reset::Client),
            Ended::TargetReset => Some(Reset::Target),
            Ended::IdleTimeout
            | Ended::ClientTooSlow
            | Ended::Deregistered
            | Ended::TargetUnhealthy
            | Ended::Stopping
            | Ended::NoTarget
            | Ended::Overloaded
            | Ended::ConnectFailed
            | Ended::NoPortLeft
            | Ended::ConnectTimeout
            | Ended::HandshakeFailed
            | Ended::HandshakeTimeout => Some(Reset::Own),
        }
    }
}

impl Reset {
    pub(crate) const ALL: [Reset; 3] = [Reset::Client, Reset::Target, Reset::Own];

    /// What metrics call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reset::Client => "client",
            Reset::Target => "target",
            Reset::Own => "headworks",
        }
    }
}

/// What a line says besides the record.
pub(crate) struct Names<'a> {
    /// The part that names load balancer and listener, up to the client's address.
    pub(crate) json: &'a str,
    pub(crate) client: SocketAddr,
}

/// Appends one JSON object; keys that have nothing to say are absent.
pub(super) fn put_line(
    out: &mut Vec<u8>,
    stamps: &mut Stamps,
    anchor: Anchor,
    record: &FlowRecord,
    names: &Names<'_>,
    ended: Ended,
) {
    let now = Instant::now();
    let started = record.started.unwrap_or(now);
    let text = |out: &mut Vec<u8>, key: &str, value: &[u8]| {
        out.extend_from_slice(key.as_bytes());
        put_escaped(out, value);
        out.push(b'"');
    };
    out.extend_from_slice(b"{\"time\":\"");
    stamps.iso(anchor.unix(started), out);
    out.extend_from_slice(names.json.as_bytes());
    // writing to a Vec cannot fail
    let _ = write!(out, "{}", names.client);
    out.push(b'"');
    if let Some(name) = &record.server_name {
        text(out, ",\"server_name\":\"", name.as_bytes());
    }
    if let Some((version, cipher)) = record.tls {
        text(out, ",\"tls_version\":\"", version.as_bytes());
        text(out, ",\"tls_cipher\":\"", cipher.as_bytes());
    }
    if let Some(protocol) = &record.protocol {
        text(out, ",\"protocol\":\"", protocol);
    }
    if let Some(rule) = &record.rule {
        text(out, ",\"rule\":\"", rule.as_bytes());
    }
    if let Some(group) = &record.group {
        text(out, ",\"target_group\":\"", group.as_bytes());
    }
    if let Some(target) = &record.target {
        text(out, ",\"target_address\":\"", target.display().as_bytes());
    }
    out.extend_from_slice(b",\"received_bytes\":");
    put_decimal(out, record.received);
    out.extend_from_slice(b",\"sent_bytes\":");
    put_decimal(out, record.sent);
    out.extend_from_slice(b",\"duration\":");
    let micros = now.saturating_duration_since(started).as_micros() as u64;
    put_decimal(out, micros / 1_000_000);
    out.push(b'.');
    out.extend_from_slice(&padded::<6>(micros % 1_000_000));
    if record.retries > 0 {
        out.extend_from_slice(b",\"retries\":");
        put_decimal(out, record.retries.into());
    }
    text(out, ",\"ended\":\"", ended.as_str().as_bytes());
    out.extend_from_slice(b"}\n");
}

/// With `\u00HH` for each byte that cannot stand in a string of JSON as it is.
fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let (clean, odd) = rest.split_at(headworks_message::find_unquotable(rest));
        out.extend_from_slice(clean);
        let Some((byte, behind)) = odd.split_first() else { return };
        out.extend_from_slice(b"\\u00");
        out.extend_from_slice(&hex::<2>(u64::from(*byte)));
        rest = behind;
    }
}
