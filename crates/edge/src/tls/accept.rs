//! The handshake: from an accepted socket to a connection that requests are read from.
//!
//! Bounded in time and in number, on the whole and for each client, so that clients that only begin cost little and keep
//! nobody else out. Until a client has spoken, nothing is allocated for it but its task.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::failure::Failure;
use super::listener::{Terms, TlsListener};
use super::session::{Protocol, Session};
use super::under_way::Place;
use crate::l4;
use crate::l7;
use crate::l7::connection::Connection;
use crate::listen::arrival::Arrival;
use crate::listen::slot::{ListenerSlot, ListenerTable};
use crate::runtime::deadline::Timer;
use crate::runtime::socket::Socket;
use crate::runtime::worker::Worker;

/// The longest that a handshake may take; less where the listener's idle timeout is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a client's first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Tls,
    Http,
    Neither,
}

/// Shakes hands, then serves the connection until it ends.
pub(crate) async fn serve(
    socket: Socket,
    arrival: Arrival,
    slot: Rc<ListenerSlot>,
    worker: Rc<Worker>,
    tls: Arc<TlsListener>,
) {
    let peer = arrival.peer;
    let Some(place) = Place::take(peer, &slot, &worker) else {
        slot.counters().tls.failed(Failure::TooMany);
        return;
    };
    let mut timer = Timer::new(&worker);
    timer.arm(PATIENCE.min(slot.table().plan.idle_timeout));
    let shaken = match first_words(&socket, &worker, &mut timer).await {
        // in a box that is gone when it is over: a connection's task keeps room for the largest of its parts
        Ok(Spoken::Tls) => {
            let shaking = Box::pin(shake(socket, tls.current(), slot.table()));
            in_time(shaking, &worker, &mut timer).await
        }
        Ok(Spoken::Http) if slot.table().plan.flows.is_some() => Err(Failure::PlainHttp),
        Ok(Spoken::Http) => {
            slot.counters().tls.failed(Failure::PlainHttp);
            drop((place, timer));
            return l7::refuse_plain(Connection::open(socket, arrival, slot, worker, None)).await;
        }
        Ok(Spoken::Neither) => Err(Failure::NotTls),
        Err(failure) => Err(failure),
    };
    drop(timer);
    match shaken {
        Ok(None) => tracing::debug!(%peer, "challenge answered"),
        Ok(Some((stream, session))) => {
            slot.counters().tls.succeeded(&session);
            if slot.table().plan.flows.is_some() {
                drop(place);
                return Box::pin(l4::serve_secured(stream, arrival, slot, worker, session)).await;
            }
            let protocol = session.protocol;
            let connection = Connection::open(stream, arrival, slot, worker, Some(session));
            drop(place);
            match protocol {
                Protocol::Http1 => l7::serve(connection).await,
                Protocol::Http2 => Box::pin(l7::serve_http2(connection)).await,
                // never agreed on over TCP
                Protocol::Http3 => {}
            }
        }
        Err(failure) => {
            tracing::debug!(%peer, reason = failure.as_str(), "handshake failed");
            if failure == Failure::Timeout {
                slot.table().plan.guard.offended(&arrival.admission);
            }
            slot.counters().tls.failed(failure);
        }
    }
}

/// Waits for `shaking` as long as the timer allows.
async fn in_time<T>(
    mut shaking: Pin<Box<impl Future<Output = Result<T, Failure>>>>,
    worker: &Worker,
    timer: &mut Timer,
) -> Result<T, Failure> {
    poll_fn(|cx| match shaking.as_mut().poll(cx) {
        Poll::Pending if worker.is_stopping() => Poll::Ready(Err(Failure::Stopping)),
        Poll::Pending if timer.poll_expired(cx) => Poll::Ready(Err(Failure::Timeout)),
        polled => polled,
    })
    .await
}

/// Waits until the client has spoken, and looks at how.
async fn first_words(socket: &Socket, worker: &Worker, timer: &mut Timer) -> Result<Spoken, Failure> {
    let mut seen = [0; 8];
    let seen_length = poll_fn(|cx| match socket.poll_peek_into(&mut seen, cx) {
        Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Failure::Closed)),
        Poll::Ready(Ok(n)) => Poll::Ready(Ok(n)),
        Poll::Pending if worker.is_stopping() => Poll::Ready(Err(Failure::Stopping)),
        Poll::Pending if timer.poll_expired(cx) => Poll::Ready(Err(Failure::Timeout)),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok(spoken(seen.get(..seen_length).unwrap_or(&[])))
}

/// Tells by the first bytes, of which there is at least one: a record of the handshake, or the beginning of a method.
fn spoken(seen: &[u8]) -> Spoken {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];
    let begins = |method: &&[u8]| {
        let length = method.len().min(seen.len());
        method.get(..length) == seen.get(..length)
    };
    match seen.first() {
        Some(0x16) => Spoken::Tls,
        Some(_) if METHODS.iter().any(begins) => Spoken::Http,
        _ => Spoken::Neither,
    }
}

/// The handshake itself. A client that is refused is told so by an alert; nothing comes of one that only asked for the
/// proof of a name.
async fn shake(
    socket: Socket,
    terms: Arc<Terms>,
    table: Rc<ListenerTable>,
) -> Result<Option<(TlsStream<Socket>, Box<Session>)>, Failure> {
    let begun = LazyConfigAcceptor::new(Acceptor::default(), socket).await.map_err(|e| Failure::from(&e))?;
    let hello = begun.client_hello();
    if let Some(config) = table.tables.plan.challenges.handshake(&hello) {
        let mut stream = begun.into_stream(config).await.map_err(|e| Failure::from(&e))?;
        let _ = stream.shutdown().await;
        return Ok(None);
    }
    let Some((offer, chosen)) = terms.choose(&hello) else { return Err(Failure::Cipher) };
    let server_name = hello.server_name().filter(|_| chosen.matches).map(Into::into);
    let (config, certificate) = (offer.config.clone(), offer.certificate.name.clone());
    let mut stream = begun.into_stream(config).await.map_err(|e| Failure::from(&e))?;
    let connection = stream.get_ref().1;
    let session = Session::of(connection, terms.clients.mode, &certificate, server_name, &table.plan.told);
    if session.resumed && !terms.clients.still_takes(connection.peer_certificates()) {
        let _ = stream.shutdown().await;
        return Err(Failure::CertificateRefused);
    }
    Ok(Some((stream, Box::new(session))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_first_bytes_are() {
        let rows: [(&[u8], Spoken); 9] = [
            (b"\x16\x03\x01\x02\x00\x01", Spoken::Tls),
            (b"\x16", Spoken::Tls),
            (b"GET / HT", Spoken::Http),
            (b"OPTIONS ", Spoken::Http),
            (b"G", Spoken::Http),
            (b"GOT ", Spoken::Neither),
            (b"get / ", Spoken::Neither),
            (b"\x80\x2e\x01", Spoken::Neither),
            (b"PRI * HT", Spoken::Neither),
        ];
        for (seen, expected) in rows {
            assert_eq!(spoken(seen), expected, "{}", seen.escape_ascii());
        }
    }
}
