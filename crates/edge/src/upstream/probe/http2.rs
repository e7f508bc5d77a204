//! Health checks over HTTP/2: a GET, or a gRPC call.

use std::io;

use bytes::{Buf, Bytes};
use h2::client::SendRequest;
use h2::{RecvStream, client};
use headworks_balance::Outcome;
use headworks_model::target_group::{HealthCheck, HealthProtocol};
use http::{Method, Request, Version};

use super::{AGENT, host};
use crate::l7::codec::frames::failed;
use crate::l7::codec::translate::grpc_status;
use crate::upstream::connect::{Endpoint, Transport};

/// The method of the health checking protocol of gRPC, whose answer says more than its status.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// An empty message, not compressed: flag and length.
const EMPTY_MESSAGE: &[u8] = &[0; 5];
/// Most of an answer that is read.
const ANSWER_LIMIT: usize = 4096;

/// Asks on a connection of its own (T3).
///
/// # Errors
/// When no answer can be had.
pub(super) async fn ask(stream: Transport, endpoint: &Endpoint, check: &HealthCheck) -> io::Result<Outcome> {
    let scheme = stream.scheme();
    let (send, connection) = client::handshake(stream).await.map_err(failed)?;
    let request = Request::builder()
        .version(Version::HTTP_2)
        .uri(format!("{scheme}://{}{}", host(endpoint), check.path))
        .header("user-agent", AGENT);
    let exchange = async {
        if check.protocol == HealthProtocol::Grpc {
            let request =
                request.method(Method::POST).header("te", "trailers").header("content-type", "application/grpc");
            call(send, request.body(()).map_err(io::Error::other)?, check).await
        } else {
            get(send, request.body(()).map_err(io::Error::other)?, check).await
        }
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        outcome = &mut exchange => return outcome,
        _ = &mut connection => {}
    }
    // a target may answer and hang up at once: what has come by then counts
    exchange.await
}

async fn get(send: SendRequest<Bytes>, request: Request<()>, check: &HealthCheck) -> io::Result<Outcome> {
    let mut send = send.ready().await.map_err(failed)?;
    let (response, _) = send.send_request(request, true).map_err(failed)?;
    let status = response.await.map_err(failed)?.status().as_u16();
    Ok(super::judge(check, status))
}

async fn call(send: SendRequest<Bytes>, request: Request<()>, check: &HealthCheck) -> io::Result<Outcome> {
    let asks_health = request.uri().path() == HEALTH_CHECK;
    let mut send = send.ready().await.map_err(failed)?;
    let (response, mut body) = send.send_request(request, false).map_err(failed)?;
    body.send_data(Bytes::from_static(EMPTY_MESSAGE), true).map_err(failed)?;
    let (head, mut body) = response.await.map_err(failed)?.into_parts();
    let message = read(&mut body).await?;
    let trailers = std::future::poll_fn(|cx| body.poll_trailers(cx)).await.map_err(failed)?;
    // a call that ends before it begins says so in its head
    let code = trailers.as_ref().and_then(grpc_status).or_else(|| grpc_status(&head.headers));
    let Some(code) = code else { return Ok(Outcome::Failed) };
    if code == 0 && asks_health && !is_serving(&message) {
        return Ok(Outcome::Failed);
    }
    Ok(super::judge(check, code))
}

/// Reads what there is, up to a limit.
async fn read(body: &mut RecvStream) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    while let Some(frame) = body.data().await {
        let frame = frame.map_err(failed)?;
        body.flow_control().release_capacity(frame.len()).map_err(failed)?;
        if read.len() + frame.len() > ANSWER_LIMIT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        read.extend_from_slice(&frame);
    }
    Ok(read)
}

/// Whether the framed HealthCheckResponse has SERVING (1) as its field 1, an enumeration.
fn is_serving(framed: &[u8]) -> bool {
    let Some((mut prefix, message)) = framed.split_at_checked(EMPTY_MESSAGE.len()) else { return false };
    let compressed = prefix.get_u8() != 0;
    !compressed && prefix.get_u32() as usize == message.len() && message.starts_with(&[0x08, 0x01])
}
