//! Taking in connections over QUIC: one endpoint of one listener in one worker.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use headworks_model::guard::Carrier;
use quinn::{Endpoint, EndpointConfig, Incoming, TokioRuntime, VarInt};

use super::Secrets;
use super::handshake::{self, Handshake};
use super::identity::{Identities, Owner};
use super::steer::{Mouth, Steered};
use crate::compile::plan::ListenerPlan;
use crate::l7;
use crate::l7::connection::{Open, Peer};
use crate::listen::arrival::{Arrival, canonical};
use crate::listen::slot::{ListenerSlot, ListenerTable};
use crate::runtime::deadline::Timer;
use crate::runtime::worker::Worker;
use crate::tls::accept::PATIENCE;
use crate::tls::failure::Failure;
use crate::tls::session::Session;
use crate::tls::under_way::Place;

/// Handshakes under way in a worker from which on clients have to prove their address first (RFC 9000 section 8.1.2): one
/// made-up datagram must not cost a signature.
const CROWDED: u32 = 64;
/// RFC 9114 section 8.1: H3_EXCESSIVE_LOAD.
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x107);
/// First datagrams of handshakes that have not been looked at.
const UNSEEN: usize = 1024;
/// Bytes that may wait with them.
const UNSEEN_BYTES: u64 = 8 * 1024 * 1024;

/// Opens an endpoint of a listener that has HTTP/3. Once `let_go` is set, its socket is another process's to read.
///
/// # Errors
/// When the runtime cannot watch the socket.
pub(crate) fn open(
    mouth: Mouth,
    secrets: &Secrets,
    worker: usize,
    let_go: &Arc<AtomicBool>,
    plan: &ListenerPlan,
) -> io::Result<Endpoint> {
    let owner = Owner { generation: secrets.generation(), place: mouth.place() };
    let socket = Steered::new(mouth, secrets, worker, let_go, plan.counters.clone())?;
    let identities = Identities::new(secrets.identity, owner);
    let mut config = EndpointConfig::new(secrets.reset.clone());
    config.cid_generator(move || Box::new(identities.clone()));
    Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime))
}

/// Takes connections in while the listener has HTTP/3, until it closes; then waits for those that are open. It stays where it
/// is when HTTP/3 goes, and may come again: another beside it would be dealt datagrams that are for this one.
pub(crate) async fn run(endpoint: Endpoint, secrets: Secrets, slot: Rc<ListenerSlot>, worker: Rc<Worker>) {
    let mut takes = false;
    while !slot.is_closing() {
        if takes == slot.has_left_http3() {
            takes = !takes;
            endpoint.set_server_config(if takes { server(&slot, &secrets) } else { None });
        }
        let incoming = tokio::select! {
            biased;
            incoming = endpoint.accept() => incoming,
            () = slot.changed.notified() => continue,
        };
        match incoming {
            Some(incoming) => meet(incoming, &secrets, &slot, &worker),
            None => break,
        }
    }
    // what has begun to come in before the end is met all the same
    while let Some(Some(incoming)) = now(endpoint.accept()).await {
        meet(incoming, &secrets, &slot, &worker);
    }
    endpoint.set_server_config(None);
    endpoint.wait_idle().await;
}

/// What a future has at once, if it does.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(ready) => Poll::Ready(Some(ready)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What the endpoint itself needs to take connections in; each is met with what is current when it comes.
fn server(slot: &ListenerSlot, secrets: &Secrets) -> Option<quinn::ServerConfig> {
    let Some((_, mut config)) = config(&slot.table(), secrets) else {
        tracing::error!(listener = %slot.address, "HTTP/3 cannot be spoken");
        return None;
    };
    config.max_incoming(UNSEEN).incoming_buffer_size_total(UNSEEN_BYTES);
    Some(config)
}

/// What the next handshake is met with.
fn config(table: &ListenerTable, secrets: &Secrets) -> Option<(Arc<Handshake>, quinn::ServerConfig)> {
    let (tls, transport) = (table.plan.tls.as_ref()?, table.plan.http3.as_ref()?);
    Handshake::begin(tls.current(), secrets, transport.clone())
}

/// Decides what becomes of a client's first datagram.
fn meet(incoming: Incoming, secrets: &Secrets, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) {
    let peer = canonical(incoming.remote_address());
    let is_crowded = worker.handshakes.count() >= CROWDED || slot.table().plan.guard.is_crowded();
    if is_crowded && incoming.may_retry() {
        // fails only where it has been proved
        let _ = incoming.retry();
        slot.counters().tls.validations.add(1);
        return;
    }
    let table = slot.table();
    if let Err(reason) = table.plan.guard.judge(peer.ip(), Carrier::Udp) {
        slot.refuse(peer, reason);
        return incoming.ignore();
    }
    let Some((handshake, config)) = config(&table, secrets) else { return incoming.refuse() };
    let Some(place) = Place::take(peer, slot, worker) else {
        slot.counters().tls.failed(Failure::TooMany);
        return incoming.refuse();
    };
    let shaking = incoming.accept_with(Arc::new(config));
    let (slot, worker) = (slot.clone(), worker.clone());
    tokio::task::spawn_local(async move {
        let shaken = match shaking {
            Ok(connecting) => shake(connecting, &handshake, &table, &worker).await,
            Err(error) => Err(handshake::failure(&error)),
        };
        drop((handshake, table));
        match shaken {
            Ok((quic, session)) => {
                slot.counters().tls.succeeded(&session);
                // only now: a limit of a client must not be used up by those who pretend to be it
                let admission = match slot.table().plan.guard.admit(peer, Carrier::Udp) {
                    Ok(admission) => admission,
                    Err(reason) => {
                        slot.refuse(peer, reason);
                        return quic.close(EXCESSIVE_LOAD, b"");
                    }
                };
                let local = || quic.local_ip().map(|ip| (ip, slot.address.port()).into());
                let peer = Peer::new(Arrival::direct(admission, &slot, local), Some(session), &slot, &worker);
                let open = Open::new(&slot, &worker);
                drop(place);
                l7::h3::serve(quic, peer, slot, worker, open).await;
            }
            Err(failure) => {
                tracing::debug!(%peer, reason = failure.as_str(), "handshake over QUIC failed");
                slot.counters().tls.failed(failure);
            }
        }
    });
}

/// Waits for a handshake as long as any may take.
async fn shake(
    connecting: quinn::Connecting,
    handshake: &Handshake,
    table: &ListenerTable,
    worker: &Rc<Worker>,
) -> Result<(quinn::Connection, Box<Session>), Failure> {
    let mut connecting = pin!(connecting);
    let mut timer = Timer::new(worker);
    timer.arm(PATIENCE.min(table.plan.idle_timeout));
    let quic = poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(shaken) => Poll::Ready(shaken.map_err(|error| handshake::failure(&error))),
        Poll::Pending if worker.is_stopping() => Poll::Ready(Err(Failure::Stopping)),
        Poll::Pending if timer.poll_expired(cx) => Poll::Ready(Err(Failure::Timeout)),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    match handshake.session(&quic, table) {
        Ok(session) => Ok((quic, session)),
        Err(failure) => {
            // RFC 9001 section 4.8: bad_certificate
            quic.close(VarInt::from_u32(0x100 + 42), b"");
            Err(failure)
        }
    }
}
