//! Heads between HTTP/1.1 text and the fields of HTTP/2 and 3.
//!
//! What a message says is decided once, where its HTTP/1.1 head is written; here it is only said in other words. The text
//! is copied once, and values are shares of that copy.

use bytes::Bytes;
use headworks_message::{Field, Known, Parsed, ResponseHead, response};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// A head that cannot be said in fields.
#[derive(Debug)]
pub(crate) struct Untranslatable;

/// The response head at the start of `text`, which is HTTP/1.1, and its length.
///
/// # Errors
/// When it is none.
pub(crate) fn response(text: &[u8]) -> Result<(Response<()>, usize), Untranslatable> {
    let mut head = ResponseHead::default();
    let Ok(Parsed::Complete) = response::parse(text, &mut head) else { return Err(Untranslatable) };
    let mut translated = Response::new(());
    *translated.status_mut() = StatusCode::from_u16(head.status).map_err(|_| Untranslatable)?;
    *translated.headers_mut() = fields(text.get(..head.len).unwrap_or(&[]), &head.fields)?;
    Ok((translated, head.len))
}

/// The fields that have a meaning beyond one HTTP/1.1 connection (RFC 9113 section 8.2.2).
fn fields(text: &[u8], fields: &[Field]) -> Result<HeaderMap, Untranslatable> {
    let shared = Bytes::copy_from_slice(text);
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields.iter().filter(|f| !is_of_connection(f.known)) {
        let start = field.value.start as usize;
        let value = shared.slice(start..start + field.value.len as usize);
        let name = HeaderName::from_bytes(field.name.of(text)).map_err(|_| Untranslatable)?;
        map.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| Untranslatable)?);
    }
    Ok(map)
}

fn is_of_connection(known: Known) -> bool {
    matches!(
        known,
        Known::Connection | Known::KeepAlive | Known::ProxyConnection | Known::TransferEncoding | Known::Upgrade
    )
}
