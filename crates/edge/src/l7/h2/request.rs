//! The head of a stream, laid out as every other head.

use ::h2::ext::Protocol;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headworks_message::request::{FIELD_LIMIT, REQUEST_LINE_LIMIT, Refusal, is_authority};
use headworks_message::{Framing, Reason, RequestHead, Version};
use http::Method;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderMap};
use http::request::Parts;
use http::uri::PathAndQuery;

use super::stream::Stream;
use crate::error::{Kind, ProxyError};
use crate::l7::connection::Connection;
use crate::l7::read;
use crate::runtime::pool::Scratch;
use crate::runtime::random::Random;

/// Lays the head out in the connection's buffer, as if it had been read there.
///
/// # Errors
/// When it cannot be forwarded (RFC 9113 section 8.3; what is malformed already on the wire never gets here).
pub(super) fn lay_out(
    connection: &mut Connection<Stream>,
    head: &Parts,
    scratch: &mut Scratch,
) -> Result<(), ProxyError> {
    let bytes = &mut scratch.to_client;
    let bodiless = connection.client.stream.is_bodiless();
    let refused = match head.extensions.get::<Protocol>() {
        None => write(head, bodiless, None, &mut scratch.request, bytes),
        Some(protocol) if protocol.as_str() == "websocket" => {
            let key = websocket_key(&connection.worker.random);
            write(head, bodiless, Some(&key), &mut scratch.request, bytes)
        }
        // RFC 9220 section 3
        Some(_) => Err(Refusal { status: 501, reason: Reason::BadMethod }),
    };
    connection.client.buffer.load(bytes, &connection.worker.pool);
    bytes.clear();
    scratch.request.version = Version::Http2;
    read::remember(connection, scratch);
    refused.map_err(|refusal| Kind::Refused(refusal).into())
}

/// What a client of HTTP/1.1 would have sent to prove that it speaks WebSocket; over HTTP/2 nobody asks for it.
fn websocket_key(random: &Random) -> String {
    let [high, low] = [random.next().to_be_bytes(), random.next().to_be_bytes()];
    BASE64_STANDARD.encode([high, low].concat())
}

/// With a `websocket_key`, it is an extended CONNECT, which is the upgrade of HTTP/1.1 in other words (RFC 8441 section 5).
fn write(
    head: &Parts,
    bodiless: bool,
    websocket_key: Option<&str>,
    request: &mut RequestHead,
    bytes: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let bad = |status, reason| Err(Refusal { status, reason });
    let authority = match (head.uri.authority(), head.headers.get(HOST)) {
        (Some(authority), _) => authority.as_str().as_bytes(),
        (None, Some(host)) => host.as_bytes(),
        (None, None) => b"",
    };
    // one that was not sent reads as `/`, without being the same
    let is_sent = |target: &PathAndQuery| target.as_str() != "/" || *target == PathAndQuery::from_static("/");
    let target = head.uri.path_and_query().filter(|target| is_sent(target)).map_or("", PathAndQuery::as_str);
    let fields = head.headers.iter().filter(|(name, _)| *name != HOST);
    let fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let method = if websocket_key.is_some() { "GET" } else { head.method.as_str() };
    let key = websocket_key.map(|key| (&b"sec-websocket-key"[..], key.as_bytes()));
    request.lay_out(bytes, method.as_bytes(), target.as_bytes(), authority, fields.chain(key));
    request.expects_continue =
        head.headers.get(EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    request.connection.upgrade = websocket_key.is_some();
    request.framing = if websocket_key.is_some() { Framing::None } else { framing(&head.headers, bodiless)? };
    // RFC 9113 section 8.3.1: one name there must be, and two for one thing are one too many
    let mut hosts = head.headers.get_all(HOST).iter();
    if !is_authority(authority) || hosts.any(|host| host.as_bytes() != authority) {
        return bad(400, Reason::BadHost);
    }
    let is_target = match target {
        "*" => head.method == Method::OPTIONS,
        "" => head.method == Method::CONNECT,
        target => target.starts_with('/'),
    };
    if !is_target {
        return bad(400, Reason::BadUri);
    }
    if target.len() > REQUEST_LINE_LIMIT {
        return bad(414, Reason::BadUri);
    }
    if head.headers.iter().any(|(name, value)| name.as_str().len() + value.len() > FIELD_LIMIT) {
        return bad(400, Reason::BadHeader);
    }
    Ok(())
}

fn framing(headers: &HeaderMap, bodiless: bool) -> Result<Framing, Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let bad = Refusal { status: 400, reason: Reason::BadContentLength };
    match (lengths.next(), lengths.next()) {
        (_, Some(_)) => Err(bad),
        (Some(length), None) => {
            let digits = length.to_str().ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
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
