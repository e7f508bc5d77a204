//! Heads between HTTP/1.1 text and the fields of HTTP/2 and 3.
//!
//! What a message says is decided once, where its HTTP/1.1 head is written; here it is only said in other words. The text
//! is copied once, and values are shares of that copy.

use bytes::Bytes;
use headworks_message::number::put_decimal;
use headworks_message::section::{self, FIELD_OVERHEAD, FieldSection, Malformed};
use headworks_message::send::put_field;
use headworks_message::trailers::{Fate, fate};
use headworks_message::{Field, Framing, Known, Parsed, RequestHead, ResponseHead, Span, request};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request};

const GRPC_STATUS: &str = "grpc-status";

/// A head that cannot be said in fields.
#[derive(Debug)]
pub(crate) struct Untranslatable;

/// The status with which a parsed response head is said on a stream: a protocol that is switched to is what the stream
/// carries from there on (RFC 8441 section 5, RFC 9220 section 3).
pub(crate) fn status_on_stream(head: &ResponseHead) -> u16 {
    if head.status == SWITCHING_PROTOCOLS { 200 } else { head.status }
}

const SWITCHING_PROTOCOLS: u16 = 101;

/// At most so many bytes are a parsed response head's fields on a stream, counted as [`FIELD_OVERHEAD`] says.
pub(crate) fn section_size(head: &ResponseHead) -> usize {
    head.len + FIELD_OVERHEAD * (head.fields.len() + 1)
}

/// Goes over the fields of a parsed response head that are said on a stream; names are in any case.
pub(crate) fn each_field(head: &ResponseHead, text: &[u8], mut put: impl FnMut(&[u8], &[u8])) {
    let is_tunnel = head.status == SWITCHING_PROTOCOLS;
    for field in head.fields.iter().filter(|field| !is_of_connection(field.known)) {
        let name = field.name.of(text);
        if !(is_tunnel && name.eq_ignore_ascii_case(b"sec-websocket-accept")) {
            put(name, field.value.of(text));
        }
    }
}

/// The trailers of a request that may be sent on (RFC 9110 section 6.5.1).
///
/// # Errors
/// When they are malformed.
pub(crate) fn trailers(section: &FieldSection) -> Result<HeaderMap, Malformed> {
    let mut trailers = HeaderMap::new();
    for (name, value) in section.iter() {
        section::check(name, value)?;
        if fate(name) == Fate::Pass {
            let name = HeaderName::from_bytes(name).map_err(|_| Malformed)?;
            trailers.append(name, HeaderValue::from_bytes(value).map_err(|_| Malformed)?);
        }
    }
    Ok(trailers)
}

/// The request head at the start of `text`, which is HTTP/1.1 in origin form, its length, and how its body is delimited.
///
/// # Errors
/// When it is none, or names something that cannot be named in a URI.
pub(crate) fn request(text: &[u8], scheme: Scheme) -> Result<(Request<()>, usize, Framing), Untranslatable> {
    let mut head = RequestHead::default();
    let Ok(Parsed::Complete) = request::parse(text, &mut head) else { return Err(Untranslatable) };
    let shared = Bytes::copy_from_slice(text.get(..head.len).unwrap_or(&[]));
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(Authority::from_maybe_shared(share(&shared, head.authority)).map_err(|_| Untranslatable)?);
    uri.path_and_query =
        Some(PathAndQuery::from_maybe_shared(share(&shared, head.target)).map_err(|_| Untranslatable)?);
    let mut translated = Request::new(());
    *translated.method_mut() = Method::from_bytes(head.method.of(text)).map_err(|_| Untranslatable)?;
    *translated.uri_mut() = Uri::from_parts(uri).map_err(|_| Untranslatable)?;
    head.fields.retain(|field| field.known != Known::Host);
    *translated.headers_mut() = fields(&shared, &head.fields)?;
    Ok((translated, head.len, head.framing))
}

/// The fields that have a meaning beyond one HTTP/1.1 connection (RFC 9113 section 8.2.2).
fn fields(text: &Bytes, fields: &[Field]) -> Result<HeaderMap, Untranslatable> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields.iter().filter(|f| !is_of_connection(f.known)) {
        let name = HeaderName::from_bytes(field.name.of(text)).map_err(|_| Untranslatable)?;
        map.append(name, HeaderValue::from_maybe_shared(share(text, field.value)).map_err(|_| Untranslatable)?);
    }
    Ok(map)
}

fn share(text: &Bytes, span: Span) -> Bytes {
    let start = span.start as usize;
    text.slice(start..start + span.len as usize)
}

fn is_of_connection(known: Known) -> bool {
    matches!(
        known,
        Known::Connection | Known::KeepAlive | Known::ProxyConnection | Known::TransferEncoding | Known::Upgrade
    )
}

/// What a gRPC call ended with, as its trailers say.
pub(crate) fn grpc_status(fields: &HeaderMap) -> Option<u16> {
    fields.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// What a gRPC call ended with, as its head says when nothing follows it.
pub(crate) fn grpc_status_of(head: &ResponseHead, bytes: &[u8]) -> Option<u16> {
    let field = head.fields.iter().find(|f| f.name.of(bytes).eq_ignore_ascii_case(GRPC_STATUS.as_bytes()))?;
    std::str::from_utf8(field.value.of(bytes)).ok()?.parse().ok()
}

/// Whether a call that ended so has met a server that is not well, as far as a status can tell: UNKNOWN, INTERNAL, UNAVAILABLE,
/// DATA_LOSS. That its time was over may be the client's doing.
pub(crate) fn is_servers_fault(grpc_status: u16) -> bool {
    matches!(grpc_status, 2 | 13 | 14 | 15)
}

/// Appends a response head as HTTP/1.1 text. `over`: the stream has ended with it.
pub(crate) fn put_response(head: &http::response::Parts, over: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    put_decimal(out, head.status.as_u16().into());
    out.extend_from_slice(b" \r\n");
    for (name, value) in &head.headers {
        put_field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    let may_have_length = head.status.as_u16() >= 200 && !matches!(head.status.as_u16(), 204 | 205 | 304);
    if over && may_have_length && !head.headers.contains_key(CONTENT_LENGTH) {
        put_field(out, b"content-length", b"0");
    }
    out.extend_from_slice(b"\r\n");
}
