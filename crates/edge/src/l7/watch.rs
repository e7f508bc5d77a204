//! Whether a client is still there while its answer is awaited.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::codec::link::Client;
use super::connection::Connection;
use crate::error::Kind;

/// After the client has said its last, how long an answer may still take before the request counts as abandoned. A client
/// that only half-closes gets its answer; one that is gone does not keep a target busy.
const ABANDONED: Duration = Duration::from_secs(3);

/// What has been seen of the client while its answer is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    Quiet,
    /// It has sent more: the next request.
    Spoke,
    /// It has said its last.
    HalfClosed,
}

/// Whether the client is still there. Costs a system call only when it has sent something, or hung up.
pub(crate) fn client_stays<C: Client>(connection: &mut Connection<C>, watch: &mut Watch, cx: &mut Context<'_>) -> bool {
    stays(connection, 0, watch, cx)
}

/// The same while `known` bytes of the request are still held.
fn stays<C: Client>(connection: &mut Connection<C>, known: usize, watch: &mut Watch, cx: &mut Context<'_>) -> bool {
    if connection.client.buffer.data().len() > known {
        *watch = Watch::Spoke;
        return true;
    }
    match connection.client.stream.poll_peek(cx) {
        Poll::Pending => true,
        Poll::Ready(Ok(0)) => {
            *watch = Watch::HalfClosed;
            connection.timer.arm(ABANDONED);
            true
        }
        Poll::Ready(Ok(_)) => {
            *watch = Watch::Spoke;
            true
        }
        Poll::Ready(Err(_)) => false,
    }
}

/// Waits for so long, unless the client goes away; `known` bytes of the request are still held.
///
/// # Errors
/// When it does, or the program stops.
pub(crate) async fn pause<C: Client>(
    connection: &mut Connection<C>,
    known: usize,
    length: Duration,
) -> Result<(), Kind> {
    connection.timer.arm(length);
    let mut watch = Watch::Quiet;
    poll_fn(|cx| {
        if connection.worker.is_stopping() {
            return Poll::Ready(Err(Kind::Stopping));
        }
        if watch == Watch::Quiet && !stays(connection, known, &mut watch, cx) {
            return Poll::Ready(Err(Kind::ClientClosed));
        }
        if watch == Watch::HalfClosed {
            // what it has said last is looked at again by what follows
            watch = Watch::Spoke;
            connection.timer.arm(length);
        }
        if connection.timer.poll_expired(cx) { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}
