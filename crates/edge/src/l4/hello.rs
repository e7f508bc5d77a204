//! Reading a ClientHello that is not ours to answer: looked at, then sent on as it came.

use std::future::poll_fn;
use std::task::Poll;

use headworks_message::client_hello::{ClientHello, Reader};

use super::flow::Flow;
use crate::l7::codec::buffer::Buffer;
use crate::observe::flow::Ended;
use crate::runtime::socket::Socket;
use crate::tls::under_way::Place;

/// Reads until the hello is whole: what it says, and all that was read. Bounded in time as a whole, in length by the
/// reader, and in number like handshakes.
///
/// # Errors
/// When none comes of it.
pub(super) async fn read(flow: &mut Flow, client: &mut Socket) -> Result<(ClientHello, Buffer), Ended> {
    let place = Place::take(flow.peer, &flow.slot, &flow.worker);
    let _place = place.ok_or(Ended::TooManyHandshakes)?;
    flow.timer.arm(flow.slot.table().plan.header_timeout);
    let (mut reader, mut opening) = (Reader::default(), Buffer::default());
    let read = poll_fn(|cx| {
        loop {
            match opening.poll_fill(client, &flow.worker.pool, cx) {
                Poll::Ready(Ok(0)) if opening.is_empty() => return Poll::Ready(Err(Ended::ClientClosed)),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Ended::MalformedHello)),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::ClientReset)),
                Poll::Ready(Ok(_)) => match reader.read(opening.data()) {
                    Ok(Some(hello)) => return Poll::Ready(Ok(hello)),
                    Ok(None) => {}
                    Err(malformed) => {
                        tracing::debug!(peer = %flow.peer, %malformed, "no ClientHello");
                        return Poll::Ready(Err(Ended::MalformedHello));
                    }
                },
                Poll::Pending if flow.worker.is_stopping() => return Poll::Ready(Err(Ended::Stopping)),
                Poll::Pending if flow.timer.poll_expired(cx) => return Poll::Ready(Err(Ended::HelloTimeout)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
    match read {
        Ok(hello) => Ok((hello, opening)),
        Err(ended) => {
            flow.record.received += opening.data().len() as u64;
            if matches!(ended, Ended::HelloTimeout | Ended::MalformedHello) {
                flow.offended();
            }
            opening.release(&flow.worker.pool);
            Err(ended)
        }
    }
}
