//! After 101: bytes both ways until both sides have said their last, or nothing moves for the idle timeout (H10).

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use headworks_message::Framing;
use headworks_message::send::Reframe;
use tokio::io::AsyncWrite;

use crate::error::Kind;
use crate::l7::codec::flow::Flow;
use crate::l7::codec::link::{Client, Link};
use crate::l7::connection::{Connection, Ending};
use crate::runtime::pool::Scratch;
use crate::upstream::connect::Connection as TargetConnection;
use crate::upstream::target::TargetLocal;

/// Sends the 101 in `scratch.to_client`, then everything both ways. One side's end is passed on to the other; the tunnel
/// ends with both.
pub(super) async fn run<C: Client>(
    connection: &mut Connection<C>,
    upstream: &mut Link<TargetConnection>,
    target: &Rc<TargetLocal>,
    scratch: &mut Scratch,
) {
    let worker = connection.worker.clone();
    let pool = &worker.pool;
    let idle_timeout = connection.slot.table().plan.idle_timeout;
    let mut up = Flow::new(Framing::UntilClose, Reframe::Keep);
    let mut down = Flow::new(Framing::UntilClose, Reframe::Keep);
    let (mut up_closed, mut down_closed) = (false, false);
    let mut nothing = Vec::new();
    connection.ending = Ending::Plain;
    connection.timer.arm(idle_timeout);
    let ended = poll_fn(|cx| {
        let mut moved = false;
        if !up.is_done() {
            let polled = up.poll(&mut nothing, &mut connection.client, &mut upstream.stream, pool, cx);
            moved |= up.moved;
            if let Poll::Ready(Err(_)) = polled {
                return Poll::Ready(Err(Kind::ClientClosed));
            }
        }
        if up.is_done() && !up_closed && Pin::new(&mut upstream.stream).poll_shutdown(cx).is_ready() {
            up_closed = true;
        }
        if !down.is_done() {
            let polled = down.poll(&mut scratch.to_client, upstream, &mut connection.client.stream, pool, cx);
            moved |= down.moved;
            if let Poll::Ready(Err(_)) = polled {
                return Poll::Ready(Err(Kind::ResponseTruncated));
            }
        }
        if down.is_done() && !down_closed && Pin::new(&mut connection.client.stream).poll_shutdown(cx).is_ready() {
            down_closed = true;
        }
        if up_closed && down_closed {
            return Poll::Ready(Ok(()));
        }
        if moved {
            connection.timer.arm(idle_timeout);
        }
        if connection.timer.poll_expired(cx) || worker.is_stopping() || target.is_cut() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    })
    .await;
    if let Err(kind) = ended {
        scratch.record.error = Some(kind.into());
        connection.ending = Ending::Reset;
    }
    scratch.record.received_bytes += up.sent;
    scratch.record.sent_bytes += down.sent;
}
