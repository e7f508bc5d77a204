//! The head of a stream of HTTP/2 or HTTP/3, laid out as every other head.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headworks_message::request::{FIELD_LIMIT, REQUEST_LINE_LIMIT, Refusal, is_authority};
use headworks_message::section::{FieldSection, RequestFields};
use headworks_message::{Framing, Reason, RequestHead, Version};

use super::codec::link::Client;
use super::connection::Connection;
use super::read;
use crate::error::{Kind, ProxyError};
use crate::runtime::pool::Scratch;
use crate::runtime::random::Random;

/// What a client asks for on a stream.
struct Asked<'a, F> {
    method: &'a [u8],
    /// `:path`; empty when none was sent.
    target: &'a [u8],
    /// `:authority`
    authority: Option<&'a [u8]>,
    /// `:protocol` of an extended CONNECT (RFC 8441, RFC 9220).
    protocol: Option<&'a [u8]>,
    /// Begins with the first of all fields but pseudo-fields; names in lower case.
    fields: F,
    /// The stream has ended with its head.
    bodiless: bool,
    version: Version,
}

/// Lays the head that a section says out in the connection's buffer, as if it had been read there. `bodiless`: the stream has
/// ended with it.
///
/// # Errors
/// When it cannot be forwarded (RFC 9113 section 8.3, RFC 9114 section 4.3; what is malformed already on the wire never
/// gets here).
pub(super) fn section<C: Client>(
    connection: &mut Connection<C>,
    section: &FieldSection,
    pseudo: &RequestFields<'_>,
    bodiless: bool,
    version: Version,
    scratch: &mut Scratch,
) -> Result<(), ProxyError> {
    let asked = Asked {
        method: pseudo.method,
        target: pseudo.path.unwrap_or(b""),
        authority: pseudo.authority,
        protocol: pseudo.protocol,
        fields: || section.iter().skip(pseudo.count),
        bodiless,
        version,
    };
    lay_out(connection, &asked, scratch)
}

/// What a head comes to that is longer than what is taken (H2), and of which nothing else is known.
pub(super) fn too_large<C: Client>(
    connection: &mut Connection<C>,
    version: Version,
    scratch: &mut Scratch,
) -> ProxyError {
    let nothing = std::iter::empty;
    let (method, target) = (&b"-"[..], &b"-"[..]);
    let unread = Asked { method, target, authority: None, protocol: None, fields: nothing, bodiless: false, version };
    let _ = lay_out(connection, &unread, scratch);
    scratch.record.reason = Reason::BadHeader;
    Kind::Refused(Refusal { status: 400, reason: Reason::BadHeader }).into()
}

fn lay_out<'a, C: Client, I: Iterator<Item = (&'a [u8], &'a [u8])>>(
    connection: &mut Connection<C>,
    asked: &Asked<'a, impl Fn() -> I>,
    scratch: &mut Scratch,
) -> Result<(), ProxyError> {
    let bytes = &mut scratch.to_client;
    let refused = match asked.protocol {
        None => write(asked, None, &mut scratch.request, bytes),
        Some(b"websocket") => {
            let key = websocket_key(&connection.worker.random);
            write(asked, Some(&key), &mut scratch.request, bytes)
        }
        // RFC 9220 section 3
        Some(_) => Err(Refusal { status: 501, reason: Reason::BadMethod }),
    };
    connection.client.buffer.load(bytes);
    bytes.clear();
    scratch.request.version = asked.version;
    read::remember(connection, scratch);
    refused.map_err(|refusal| Kind::Refused(refusal).into())
}

/// What a client of HTTP/1.1 would have sent to prove that it speaks WebSocket; over streams nobody asks for it.
fn websocket_key(random: &Random) -> String {
    let [high, low] = [random.next().to_be_bytes(), random.next().to_be_bytes()];
    BASE64_STANDARD.encode([high, low].concat())
}

/// With a `websocket_key`, it is an extended CONNECT, which is the upgrade of HTTP/1.1 in other words (RFC 8441 section 5).
fn write<'a, I: Iterator<Item = (&'a [u8], &'a [u8])>>(
    asked: &Asked<'a, impl Fn() -> I>,
    websocket_key: Option<&str>,
    request: &mut RequestHead,
    bytes: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let bad = |status, reason| Err(Refusal { status, reason });
    let of = |wanted: &'static [u8]| (asked.fields)().filter(move |(name, _)| *name == wanted).map(|(_, value)| value);
    let authority = asked.authority.or_else(|| of(b"host").next()).unwrap_or(b"");
    let fields = (asked.fields)().filter_map(|(name, value)| (name != b"host").then_some((name, value)));
    let method = if websocket_key.is_some() { b"GET" } else { asked.method };
    let key = websocket_key.map(|key| (&b"sec-websocket-key"[..], key.as_bytes()));
    request.lay_out(bytes, method, asked.target, authority, fields.chain(key));
    request.expects_continue = of(b"expect").next().is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
    request.connection.upgrade = websocket_key.is_some();
    let lengths = of(b"content-length");
    request.framing = if websocket_key.is_some() { Framing::None } else { framing(lengths, asked.bodiless)? };
    // RFC 9113 section 8.3.1: one name there must be, and two for one thing are one too many
    if !is_authority(authority) || of(b"host").any(|host| host != authority) {
        return bad(400, Reason::BadHost);
    }
    let is_target = match asked.target {
        b"*" => asked.method == b"OPTIONS",
        b"" => asked.method == b"CONNECT",
        target => target.starts_with(b"/"),
    };
    if !is_target {
        return bad(400, Reason::BadUri);
    }
    if asked.target.len() > REQUEST_LINE_LIMIT {
        return bad(414, Reason::BadUri);
    }
    if (asked.fields)().any(|(name, value)| name.len() + value.len() > FIELD_LIMIT) {
        return bad(400, Reason::BadHeader);
    }
    Ok(())
}

fn framing<'a>(mut lengths: impl Iterator<Item = &'a [u8]>, bodiless: bool) -> Result<Framing, Refusal> {
    let bad = Refusal { status: 400, reason: Reason::BadContentLength };
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => Err(bad),
        (Some(length), None) => {
            let digits = std::str::from_utf8(length).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            let length: u64 = digits.and_then(|d| d.parse().ok()).ok_or(bad)?;
            if bodiless && length > 0 {
                return Err(bad);
            }
            Ok(Framing::Length(length))
        }
        (None, None) if bodiless => Ok(Framing::None),
        (None, None) => Ok(Framing::UntilClose),
    }
}
