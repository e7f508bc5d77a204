//! Answers that the load balancer makes itself (stage 8): errors, redirects, fixed responses.

mod own;
mod shape;

use headworks_message::{Framing, RequestView, Version};
use headworks_model::action::Redirect;
use headworks_route::Arrival;
use headworks_route::redirect::{RedirectError, location};

use self::own::Own;
pub(crate) use self::shape::{Shape, shape};
use super::codec::link::Client;
use super::connection::{After, Connection, Ending};
use super::why;
use crate::compile::plan::Answer;
use crate::error::{Kind, ProxyError};
use crate::listen::slot::ListenerTable;
use crate::runtime::pool::Scratch;

/// What a client is told that speaks plain HTTP where TLS is spoken.
const PLAIN_HTTP: &[u8] = b"A plain HTTP request was sent to a port that speaks HTTPS.\n";

/// What a client is told when it may be better in a moment.
const RETRY_AFTER: &[u8] = b"Retry-After: 1\r\n";

/// Answers a request that no target answered. Where the client already has a part of a response, or is gone, nothing is
/// sent.
pub(crate) async fn error<C: Client>(
    connection: &mut Connection<C>,
    scratch: &mut Scratch,
    error: ProxyError,
) -> After {
    let kind = error.kind;
    scratch.record.error = Some(kind.into());
    if kind.is_targets() {
        tracing::debug!(error = %error, source = error.source.as_ref().map(tracing::field::display), "target failed");
    }
    if kind == Kind::ClientTimeout {
        connection.slot.table().plan.guard.offended(&connection.peer.admission);
    }
    if scratch.record.status != 0 {
        // the head is out: only the connection's end can still say that something is wrong
        connection.ending = Ending::Reset;
        return After::Close;
    }
    scratch.record.status = kind.status();
    match kind {
        Kind::ClientClosed => {
            connection.ending = Ending::Reset;
            return After::Close;
        }
        Kind::ClientTimeout
        | Kind::BodyTruncated
        | Kind::BodyMalformed
        | Kind::Refused(_)
        | Kind::Desync
        | Kind::PlainHttp => {
            scratch.request.connection.keep_alive = false;
        }
        _ => {}
    }
    if kind == Kind::RedirectTooLong {
        connection.slot.counters().redirect_too_long.add(1);
    }
    let status = scratch.record.status;
    if kind == Kind::PlainHttp {
        let answer = Own { content_type: Some("text/plain; charset=utf-8"), body: PLAIN_HTTP, ..Own::new(status) };
        return send(connection, scratch, &answer).await;
    }
    if scratch.record.is_grpc_call {
        let code = kind.grpc_status();
        scratch.record.grpc_status = Some(code);
        let failure = own::grpc_failure(code, status);
        let answer = Own { content_type: Some("application/grpc"), lines: &failure, ..Own::new(200) };
        return send(connection, scratch, &answer).await;
    }
    let page = own::page(status);
    let lines = if kind.is_passing() { RETRY_AFTER } else { &[] };
    let answer = Own { content_type: Some("text/html; charset=utf-8"), lines, body: &page, ..Own::new(status) };
    send(connection, scratch, &answer).await
}

/// R15.
///
/// # Errors
/// When the Location would be too long.
pub(crate) async fn redirect<C: Client>(
    connection: &mut Connection<C>,
    table: &ListenerTable,
    redirect: &Redirect,
    scratch: &mut Scratch,
) -> Result<After, ProxyError> {
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    let arrival = Arrival {
        scheme: table.plan.scheme,
        port: table.plan.port,
        fallback_host: connection.slot.local_host().as_bytes(),
    };
    let mut place = std::mem::take(&mut scratch.record.redirect);
    let built = location(redirect, &view, &arrival, &mut place);
    scratch.record.redirect = place;
    match built {
        Ok(()) => {}
        Err(RedirectError::TooLong) => return Err(Kind::RedirectTooLong.into()),
        Err(_) => return Err(Kind::TransformFailed.into()),
    }
    scratch.record.actions = "redirect";
    scratch.record.status = redirect.status;
    let place = scratch.record.redirect.clone();
    let page = own::page(redirect.status);
    let answer = Own {
        location: Some(&place),
        content_type: Some("text/html; charset=utf-8"),
        body: &page,
        ..Own::new(redirect.status)
    };
    Ok(send(connection, scratch, &answer).await)
}

/// R16.
///
/// # Errors
/// None; the type is that of the other actions.
pub(crate) async fn fixed<C: Client>(
    connection: &mut Connection<C>,
    fixed: &Answer,
    scratch: &mut Scratch,
) -> Result<After, ProxyError> {
    scratch.record.actions = "fixed-response";
    scratch.record.status = fixed.status;
    let answer = Own { content_type: fixed.content_type.as_deref(), body: &fixed.body, ..Own::new(fixed.status) };
    Ok(send(connection, scratch, &answer).await)
}

/// The answer to an authority that asks for a token (RFC 8555 section 8.3).
pub(crate) async fn challenge<C: Client>(connection: &mut Connection<C>, answer: &str, scratch: &mut Scratch) -> After {
    scratch.record.actions = "acme-challenge";
    scratch.record.status = 200;
    let answer = Own { content_type: Some("application/octet-stream"), body: answer.as_bytes(), ..Own::new(200) };
    send(connection, scratch, &answer).await
}

/// Sends an answer of our own and finds out what becomes of the connection.
async fn send<C: Client>(connection: &mut Connection<C>, scratch: &mut Scratch, answer: &Own<'_>) -> After {
    let head = &scratch.request;
    // the request's own head is still there when no target was reached; after that its bytes are gone already
    if scratch.to_target.is_empty() && head.len > 0 {
        connection.client.buffer.consume(head.len, &connection.worker.pool);
    }
    let body_is_small = head.framing == Framing::None
        || !head.expects_continue
            && !scratch.record.body_begun
            && matches!(head.framing, Framing::Length(n) if n <= 65_536);
    let keep_open = connection.may_stay_open(scratch) && body_is_small && !scratch.record.body_begun;
    let out = &mut scratch.to_client;
    out.clear();
    let to_head_request = scratch.record.is_head_request;
    let plan = &connection.slot.table().plan;
    let is_http10 = head.version == Version::Http10;
    let attributes = plan.attributes.as_ref();
    scratch.lines.clear();
    scratch.lines.extend_from_slice(answer.lines);
    why::put_line(&scratch.record, &mut scratch.lines);
    let answer = Own { lines: &scratch.lines, ..*answer };
    answer.write(connection.worker.clock.date(), keep_open, is_http10, to_head_request, attributes, out);
    scratch.record.sent_bytes += out.len() as u64;
    if connection.client.stream.begin(out, to_head_request || answer.body.is_empty()).is_err() {
        connection.ending = Ending::Reset;
        return After::Close;
    }
    let patience = plan.idle_timeout;
    if connection.client.send(out, &mut connection.timer, patience).await.is_err() {
        connection.ending = Ending::Reset;
        return After::Close;
    }
    if C::IS_STREAM {
        if connection.client.stream.finish(None).is_err() {
            connection.ending = Ending::Reset;
        }
        return After::Close;
    }
    if keep_open && connection.discard_body(scratch).await {
        return After::KeepOpen;
    }
    connection.ending = Ending::Lingering;
    After::Close
}
