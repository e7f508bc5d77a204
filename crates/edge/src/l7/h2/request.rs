//! The head of a stream of HTTP/2, as `h2` hands it over.

use ::h2::ext::Protocol;
use headworks_message::Version;
use http::request::Parts;
use http::uri::PathAndQuery;

use super::stream::Stream;
use crate::error::ProxyError;
use crate::l7::connection::Connection;
use crate::l7::lay_out::{self, Asked};
use crate::runtime::pool::Scratch;

/// Lays the head out in the connection's buffer, as if it had been read there.
///
/// # Errors
/// When it cannot be forwarded.
pub(super) fn lay_out(
    connection: &mut Connection<Stream>,
    head: &Parts,
    scratch: &mut Scratch,
) -> Result<(), ProxyError> {
    // one that was not sent reads as `/`, without being the same
    let is_sent = |target: &PathAndQuery| target.as_str() != "/" || *target == PathAndQuery::from_static("/");
    let asked = Asked {
        method: head.method.as_str().as_bytes(),
        target: head.uri.path_and_query().filter(|target| is_sent(target)).map_or(b"", |t| t.as_str().as_bytes()),
        authority: head.uri.authority().map(|authority| authority.as_str().as_bytes()),
        protocol: head.extensions.get::<Protocol>().map(|protocol| protocol.as_str().as_bytes()),
        fields: || head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())),
        bodiless: connection.client.stream.is_bodiless(),
        version: Version::Http2,
    };
    lay_out::lay_out(connection, &asked, scratch)
}
