//! Taking in connections over QUIC: one endpoint of one listener in one worker.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use headworks_model::guard::Carrier;
use quinn::{Endpoint, EndpointConfig, Incoming, TokioRuntime, VarInt};

use super::Secrets;
use super::handshake::{self, Handshake};
use super::identity::Identities;
use super::steer::{Mouth, Steered};
use crate::compile::plan::ListenerPlan;
use crate::l7;
use crate::l7::connection::{Open, Peer};
use crate::listen::arrival::Arrival;
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

/// Opens the endpoint of a listener that has HTTP/3.
///
/// # Errors
/// When the runtime cannot watch the socket.
pub(crate) fn open(mouth: Mouth, secrets: &Secrets, worker: usize, plan: &ListenerPlan) -> io::Result<Endpoint> {
    let socket = Steered::new(mouth, secrets, worker, plan.counters.clone())?;
    let identities = Identities::new(secrets.identity.clone(), worker);
    let mut config = EndpointConfig::new(secrets.reset.clone());
    config.cid_generator(move || Box::new(identities.clone()));
    Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime))
}

/// Takes connections in until the listener has HTTP/3 no longer, then waits for those that are open.
pub(crate) async fn run(endpoint: Endpoint, secrets: Secrets, slot: Rc<ListenerSlot>, worker: Rc<Worker>) {
    match config(&slot.table(), &secrets) {
        Some((_, mut config)) => {
            config.max_incoming(UNSEEN).incoming_buffer_size_total(UNSEEN_BYTES);
            endpoint.set_server_config(Some(config));
        }
        None => tracing::error!(listener = %slot.address, "HTTP/3 cannot be spoken"),
    }
    while !slot.has_left_http3() {
        let incoming = tokio::select! {
            biased;
            incoming = endpoint.accept() => incoming,
            () = slot.left_http3.notified() => continue,
        };
        match incoming {
            Some(incoming) => meet(incoming, &secrets, &slot, &worker),
            None => break,
        }
    }
    endpoint.set_server_config(None);
    endpoint.wait_idle().await;
}

/// What the next handshake is met with.
fn config(table: &ListenerTable, secrets: &Secrets) -> Option<(Arc<Handshake>, quinn::ServerConfig)> {
    let (tls, transport) = (table.plan.tls.as_ref()?, table.plan.http3.as_ref()?);
    Handshake::begin(tls.current(), secrets, transport.clone())
}

/// Decides what becomes of a client's first datagram.
fn meet(incoming: Incoming, secrets: &Secrets, slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) {
    let from = incoming.remote_address();
    let peer = SocketAddr::new(from.ip().to_canonical(), from.port());
    if worker.handshakes.count() >= CROWDED && incoming.may_retry() {
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
