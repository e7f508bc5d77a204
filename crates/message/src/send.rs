//! Heads as they are sent on: hop-by-hop fields out, forwarding fields in (RFC 9110 section 7.6, H4 to H7).
//!
//! Lines that go on unchanged are copied in runs straight from the received bytes.

mod cookies;

use std::sync::Arc;

use crate::bytes::{decimal, is_control, is_target, list, trimmed};
use crate::fields::reads_as;
use crate::framing::Framing;
use crate::head::{Field, Fitness, Known, RequestView, ResponseHead, Version};
use crate::number::put_decimal;

/// How a request head is changed on its way to a target.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Origin-form target in place of the received one.
    pub target: Option<&'a [u8]>,
    /// What Host becomes.
    pub host: Host<'a>,
    /// Drop names that are not `[-A-Za-z0-9]+` (H7).
    pub drop_unusual_names: bool,
    /// What X-Forwarded-For becomes (H4).
    pub forwarded_for: ForwardedFor<'a>,
    /// Whole lines `X-Forwarded-Proto: ...` and `X-Forwarded-Port: ...`, each with CRLF.
    pub forwarded_lines: &'a [u8],
    /// Whole lines `X-Amzn-Mtls-...` that tell of the client's certificate (S4). Received ones never go on.
    pub certificate_lines: &'a [u8],
    /// Whole lines `x-amzn-tls-...` that tell of the client's TLS (H6); received ones go on only when this is none.
    pub cipher_lines: Option<&'a [u8]>,
    /// Names that a listener has given to what it says itself: received ones never go on, however they are spelled.
    pub reserved: &'a [Arc<str>],
    /// Fields that are said anew, each with what it says now, if anything; received ones never go on.
    pub renewed: &'a [Renewed<'a>],
    /// The cookie that does not go on.
    pub withheld_cookie: Option<&'a [u8]>,
    /// A fresh `1-{8 hex}-{24 hex}` for X-Amzn-Trace-Id (H5).
    pub trace: &'a [u8],
    /// The target may answer with trailers, if the client takes them: it is spoken to in HTTP/2.
    pub trailers: bool,
}

/// A field that is said anew: its name, and its value.
pub type Renewed<'a> = (&'a [u8], Option<&'a [u8]>);

/// What Host becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// As received.
    Keep,
    /// `:port` is added when the received one has none.
    AddPort(&'a [u8]),
    /// This instead.
    Replace(&'a [u8]),
}

/// What X-Forwarded-For becomes (H4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedFor<'a> {
    /// This address is added behind those received.
    Append(&'a [u8]),
    /// As received.
    Preserve,
    /// None.
    Remove,
}

/// Longest head whose X-Amzn-Trace-Id is kept (H5).
const TRACE_LIMIT: usize = 7 * 1024;

/// Copies runs of lines that go on unchanged.
struct Lines<'a, 'o> {
    bytes: &'a [u8],
    out: &'o mut Vec<u8>,
    run: Option<(usize, usize)>,
    is_text: bool,
}

impl Lines<'_, '_> {
    /// The field goes on; `end` is where the next line starts.
    #[inline]
    fn keep(&mut self, field: &Field, end: usize) {
        let start = field.name.start as usize;
        if !self.is_text {
            put_field(self.out, field.name.of(self.bytes), field.value.of(self.bytes));
        } else if let Some((_, run_end)) = &mut self.run {
            *run_end = end;
        } else {
            self.run = Some((start, end));
        }
    }

    /// Of a response, those fields go on that `keeps` says.
    #[inline]
    fn keep_those(&mut self, head: &ResponseHead, keeps: impl Fn(&Field) -> bool) {
        for (i, field) in head.fields.iter().enumerate() {
            if keeps(field) {
                let next = head.fields.get(i + 1).map_or(head.len.saturating_sub(2), |f| f.name.start as usize);
                self.keep(field, next);
            } else {
                self.flush();
            }
        }
        self.flush();
    }

    /// The field does not go on: what was kept so far is written.
    #[inline]
    fn flush(&mut self) {
        if let Some((start, end)) = self.run.take() {
            self.out.extend_from_slice(self.bytes.get(start..end).unwrap_or(&[]));
        }
    }
}

/// Appends `name: value` and CRLF.
pub fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the values as one field.
fn put_joined<'a>(out: &mut Vec<u8>, start: &[u8], values: impl Iterator<Item = &'a [u8]>, between: &[u8]) {
    out.extend_from_slice(start);
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.extend_from_slice(between);
        }
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head that a target is sent: HTTP/1.1, with its empty line.
pub fn request(view: RequestView<'_>, plan: &Outgoing<'_>, out: &mut Vec<u8>) {
    let RequestView { bytes, head } = view;
    out.reserve(head.len + 256);
    out.extend_from_slice(view.method());
    out.push(b' ');
    put_target(view, plan.target, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    put_host(view, plan.host, out);

    let mut lines = Lines { bytes, out, run: None, is_text: head.is_text };
    let length = if let Framing::Length(n) = head.framing { Some(n) } else { None };
    let (mut length_sent, mut forwarded, mut traced, mut cookies) = (false, false, false, false);
    for (i, field) in head.fields.iter().enumerate() {
        let keeps = match field.known {
            Known::Other => !head.connection.lists_fields || !is_listed(view, field.name.of(bytes)),
            Known::Host => plan.host == Host::Keep && is_authority(view, field),
            Known::ContentLength => {
                let value = field.value.of(bytes);
                let keeps = !length_sent && length.is_some() && decimal(value) == length && is_canonical(value);
                length_sent |= keeps;
                keeps
            }
            Known::XAmznMtls | Known::XHeadworksExplain => false,
            Known::XAmznTls => plan.cipher_lines.is_none(),
            Known::XForwardedFor => {
                forwarded = true;
                plan.forwarded_for == ForwardedFor::Preserve
            }
            Known::XAmznTraceId => {
                traced = true;
                false
            }
            Known::Te => plan.trailers && field.value.of(bytes).eq_ignore_ascii_case(b"trailers"),
            // RFC 9113 section 8.2.3: one field again
            Known::Cookie if !head.is_text => {
                cookies = true;
                false
            }
            known => !is_hop_by_hop(known) && !matches!(known, Known::XForwardedProto | Known::XForwardedPort),
        };
        let is_reserved = || plan.reserved.iter().any(|name| reads_as(field.name.of(bytes), name.as_bytes()));
        let is_renewed = || plan.renewed.iter().any(|(name, _)| reads_as(field.name.of(bytes), name));
        let keeps = keeps && !is_reserved() && !is_renewed();
        if keeps && field.known == Known::Cookie && is_withheld(field, bytes, plan) {
            lines.flush();
            cookies::put(lines.out, std::iter::once(field.value.of(bytes)), plan.withheld_cookie);
            continue;
        }
        match field.fitness {
            Fitness::Clean if keeps => {}
            Fitness::UnusualName if keeps && !plan.drop_unusual_names => {}
            Fitness::ControlInValue if keeps => {
                lines.flush();
                put_cleaned(lines.out, field, bytes);
                continue;
            }
            _ => {
                lines.flush();
                continue;
            }
        }
        let next = head.fields.get(i + 1).map_or(head.len.saturating_sub(2), |f| f.name.start as usize);
        lines.keep(field, next);
    }
    lines.flush();

    match length {
        Some(length) if !length_sent => {
            out.extend_from_slice(b"Content-Length: ");
            put_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        None if head.framing == Framing::Chunked => put_codings(view, out),
        // of a stream of HTTP/2 or 3
        None if head.framing == Framing::UntilClose => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    if head.connection.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
        put_field(out, b"Upgrade", values(view, Known::Upgrade).next().unwrap_or(b"websocket"));
    }
    if cookies {
        cookies::put(out, values(view, Known::Cookie), plan.withheld_cookie);
    }
    if let ForwardedFor::Append(client) = plan.forwarded_for {
        let received = values(view, Known::XForwardedFor).filter(|v| forwarded && !v.is_empty());
        put_joined(out, b"X-Forwarded-For: ", received.chain([client]), b", ");
    }
    for (name, value) in plan.renewed {
        value.iter().for_each(|value| put_field(out, name, value));
    }
    out.extend_from_slice(plan.forwarded_lines);
    out.extend_from_slice(plan.certificate_lines);
    out.extend_from_slice(plan.cipher_lines.unwrap_or_default());
    let trace = if traced && head.len <= TRACE_LIMIT { values(view, Known::XAmznTraceId).next() } else { None };
    put_trace(trace.unwrap_or(b""), plan.trace, out);
    out.extend_from_slice(b"\r\n\r\n");
}

/// Whether a Cookie field may have the cookie that does not go on.
fn is_withheld(field: &Field, bytes: &[u8], plan: &Outgoing<'_>) -> bool {
    plan.withheld_cookie.is_some_and(|name| cookies::may_have(field.value.of(bytes), name))
}

fn values<'a>(view: RequestView<'a>, known: Known) -> impl Iterator<Item = &'a [u8]> {
    view.head
        .fields
        .iter()
        .filter(move |f| f.known == known && f.fitness == Fitness::Clean)
        .map(|f| f.value.of(view.bytes))
}

/// The number of addresses in X-Forwarded-For, for the limit of 30 (status 463).
pub fn forwarded_for_length(view: RequestView<'_>) -> usize {
    values(view, Known::XForwardedFor).map(|v| list(v).count()).sum()
}

/// Connection options that name fields of the sender's hop (RFC 9110 section 7.6.1). Fields with a meaning for the proxy
/// cannot be listed away; those are not [`Known::Other`].
fn is_listed(view: RequestView<'_>, name: &[u8]) -> bool {
    values(view, Known::Connection).any(|v| list(v).any(|option| option.eq_ignore_ascii_case(name)))
}

/// A number without leading zeros, which some readers take for octal.
fn is_canonical(number: &[u8]) -> bool {
    number.len() == 1 || number.first() != Some(&b'0')
}

fn is_hop_by_hop(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthorization
            | Known::ProxyAuthenticate
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::Http2Settings
    )
}

/// Whether a Host field is what the request is for: the absolute form overrides it (RFC 9112 section 3.2.2).
fn is_authority(view: RequestView<'_>, field: &Field) -> bool {
    view.head.authority == field.value && !field.value.is_empty()
}

fn put_target(view: RequestView<'_>, instead: Option<&[u8]>, out: &mut Vec<u8>) {
    let target = instead.unwrap_or(view.head.target.of(view.bytes));
    match target {
        [b'/', ..] | b"*" => {}
        // RFC 9112 section 3.2.4: the last proxy says so
        [] if view.method() == b"OPTIONS" && !view.head.target_unclean => out.push(b'*'),
        _ if view.method() == b"CONNECT" => {}
        _ => out.push(b'/'),
    }
    if instead.is_none() && !view.head.target_unclean {
        out.extend_from_slice(target);
        return;
    }
    for byte in target {
        if is_target(*byte) {
            out.push(*byte);
        } else {
            put_percent(out, *byte);
        }
    }
}

/// Appends `%XX`.
pub fn put_percent(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn put_host(view: RequestView<'_>, host: Host<'_>, out: &mut Vec<u8>) {
    let field = view.head.fields.iter().find(|f| f.known == Known::Host);
    let authority = view.head.authority.of(view.bytes);
    match host {
        Host::Keep if field.is_some_and(|f| is_authority(view, f)) => {}
        Host::Keep => put_field(out, b"Host", authority),
        Host::Replace(host) => put_field(out, b"Host", host),
        Host::AddPort(port) => {
            out.extend_from_slice(b"Host: ");
            out.extend_from_slice(authority);
            if !authority.is_empty() && view.head.host.len == view.head.authority.len {
                out.extend_from_slice(port);
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn put_cleaned(out: &mut Vec<u8>, field: &Field, bytes: &[u8]) {
    out.extend_from_slice(field.name.of(bytes));
    out.extend_from_slice(b": ");
    out.extend(field.value.of(bytes).iter().map(|b| if is_control(*b) { b' ' } else { *b }));
    out.extend_from_slice(b"\r\n");
}

/// Transfer-Encoding of a chunked request: chunked last, other codings before it, without parameters or identity.
fn put_codings(view: RequestView<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Transfer-Encoding: ");
    if view.head.extra_codings {
        for coding in values(view, Known::TransferEncoding).flat_map(list) {
            let name = trimmed(coding.split(|b| *b == b';').next().unwrap_or(coding));
            if !name.eq_ignore_ascii_case(b"identity") && !name.eq_ignore_ascii_case(b"chunked") {
                out.extend_from_slice(name);
                out.extend_from_slice(b", ");
            }
        }
    }
    out.extend_from_slice(b"chunked\r\n");
}

/// X-Amzn-Trace-Id (H5), the last line, without its CRLF.
fn put_trace(received: &[u8], fresh: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"X-Amzn-Trace-Id: ");
    let parts = || received.split(|b| *b == b';').map(trimmed).filter(|p| !p.is_empty());
    let is = |part: &[u8], key: &[u8]| part.get(..key.len()).is_some_and(|k| k.eq_ignore_ascii_case(key));
    if !parts().any(|p| is(p, b"Root=")) {
        out.extend_from_slice(b"Root=");
        out.extend_from_slice(fresh);
    } else {
        out.extend_from_slice(b"Self=");
        out.extend_from_slice(fresh);
    }
    for part in parts().filter(|p| !is(p, b"Self=")) {
        out.push(b';');
        out.extend_from_slice(part);
    }
}

/// How a response head is changed on its way to a client.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// What the client speaks.
    pub version: Version,
    /// The client's connection stays open behind this response.
    pub keep_alive: bool,
    /// How the body's framing changes.
    pub reframe: Reframe,
    /// Names of fields that are left out, whatever their number: what stands in their place, if anything, is in `lines`.
    pub removed: [&'a [&'a str]; 2],
    /// Whole lines to add, each with CRLF.
    pub lines: &'a [u8],
}

impl Answer<'_> {
    /// Whether a field of a target's answer is sent on, in whichever version: those of one hop are not, nor is a second
    /// length, nor a length where the body's is another or none can be.
    pub fn keeps(&self, bytes: &[u8], head: &ResponseHead, field: &Field) -> bool {
        self.passes(bytes, head, field) && !self.removes(field.name.of(bytes))
    }

    /// As far as [`Answer::removed`] has no say.
    #[inline]
    fn passes(&self, bytes: &[u8], head: &ResponseHead, field: &Field) -> bool {
        match field.known {
            Known::Other => !head.connection.lists_fields || !is_listed_away(bytes, head, field.name.of(bytes)),
            Known::ContentLength => {
                let is_right = !head.chunked && self.reframe != Reframe::Encode && !sends_no_framing(head.status);
                is_right && (!head.repeated_length || is_first_length(head, field))
            }
            Known::Upgrade => head.status == 101,
            known => !is_hop_by_hop(known),
        }
    }

    fn removes(&self, name: &[u8]) -> bool {
        self.removed.iter().any(|names| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())))
    }
}

#[cold]
fn is_first_length(head: &ResponseHead, field: &Field) -> bool {
    let first = head.fields.iter().find(|f| f.known == Known::ContentLength);
    first.is_some_and(|first| first.name == field.name)
}

/// RFC 9112 section 6.1 and RFC 9110 section 8.6: neither framing field may stand in these.
fn sends_no_framing(status: u16) -> bool {
    matches!(status, 100..=199 | 204)
}

/// See [`is_listed`], of a response.
#[cold]
fn is_listed_away(bytes: &[u8], head: &ResponseHead, name: &[u8]) -> bool {
    let connection = head.fields.iter().filter(|f| f.known == Known::Connection);
    connection.flat_map(|f| list(f.value.of(bytes))).any(|option| option.eq_ignore_ascii_case(name))
}

/// How the framing of a response's body changes on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reframe {
    /// Not at all.
    Keep,
    /// A body that ends with its connection is chunked, so that the client's connection lives on.
    Chunk,
    /// A chunked body goes to a client of HTTP/1.0, and ends with the connection.
    Unchunk,
    /// The content goes out in another coding, of a length nobody knows yet: chunked.
    Encode,
}

/// Appends the head that a client is sent, with its empty line. 101 keeps its Upgrade.
pub fn response(bytes: &[u8], head: &ResponseHead, plan: &Answer<'_>, out: &mut Vec<u8>) {
    out.reserve(head.len + plan.lines.len() + 64);
    out.extend_from_slice(b"HTTP/1.1 ");
    put_decimal(out, u64::from(head.status));
    out.push(b' ');
    out.extend_from_slice(head.reason.of(bytes));
    out.extend_from_slice(b"\r\n");
    let mut lines = Lines { bytes, out, run: None, is_text: true };
    // two loops, so that the usual one has nothing to ask
    if plan.removed.iter().all(|names| names.is_empty()) {
        lines.keep_those(head, |field| plan.passes(bytes, head, field));
    } else {
        lines.keep_those(head, |field| plan.keeps(bytes, head, field));
    }
    debug_assert!(plan.reframe != Reframe::Chunk || head.content_length.is_none());
    let is_chunked = head.chunked && plan.reframe == Reframe::Keep && plan.version != Version::Http10;
    if (is_chunked || matches!(plan.reframe, Reframe::Chunk | Reframe::Encode)) && !sends_no_framing(head.status) {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(plan.lines);
    if head.status == 101 {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    } else if head.status >= 200 {
        match (plan.keep_alive, plan.version) {
            (_, Version::Http2 | Version::Http3) => {}
            (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, _) => {}
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
