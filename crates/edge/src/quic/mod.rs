//! QUIC (RFC 9000) below HTTP/3: one endpoint for each listener in each worker.
//!
//! All workers of a listener are bound to one address (`SO_REUSEPORT`), and the kernel deals datagrams out by where they come
//! from. A client that moves, or whose NAT thinks anew, is dealt to another worker in the middle of a connection: so
//! identities of connections say whose they are ([`identity`]), and sockets hand on what is not theirs ([`steer`]), also to a
//! process that was replaced and still has connections ([`relay`]).

pub(crate) mod endpoint;
mod handshake;
pub(crate) mod identity;
pub(crate) mod relay;
pub(crate) mod steer;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hkdf, hmac, rand};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use serde::{Deserialize, Serialize};

use self::identity::IdentityKey;
use self::relay::Predecessor;
use crate::l7::multiplexed::{CONCURRENT_STREAMS, CONNECTION_WINDOW, STREAM_WINDOW};

/// Streams that a client may open one way: three that HTTP/3 has, and some that nobody knows.
const UNIDIRECTIONAL_STREAMS: u32 = 16;
/// Bytes sent that a client has not acknowledged.
const SEND_WINDOW: u64 = 2 * 1024 * 1024;
/// The longest silence between two signs of life, while the listener's idle timeout allows it.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// What all endpoints of the process have in common, so that any worker understands what another has said; and what the
/// process that takes over has in common with it.
#[derive(Clone)]
pub(crate) struct Secrets {
    /// Of stateless resets (RFC 9000 section 10.3).
    reset: Arc<hmac::Key>,
    /// Of tokens that prove a client's address (section 8.1).
    token: Arc<hkdf::Prk>,
    /// Of connection identities.
    identity: IdentityKey,
    /// How many processes were replaced before this one, so that identities tell whose they are.
    generation: u16,
    /// Those before it that may still have connections.
    predecessors: Arc<[Predecessor]>,
    seeds: Arc<Seeds>,
}

/// What secrets are made of, as they are handed over.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Seeds {
    reset: Vec<u8>,
    token: Vec<u8>,
    identity: [u8; 16],
    generation: u16,
}

impl Secrets {
    /// Draws them.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn new() -> Result<Secrets, Unspecified> {
        let mut seeds = Seeds { reset: vec![0; 64], token: vec![0; 64], identity: [0; 16], generation: 0 };
        rand::fill(&mut seeds.reset)?;
        rand::fill(&mut seeds.token)?;
        rand::fill(&mut seeds.identity)?;
        Ok(Secrets::of(seeds, Arc::default()))
    }

    /// Those of the process before, and the ways to all before it that still have connections.
    pub(crate) fn inherited(seeds: Seeds, predecessors: Arc<[Predecessor]>) -> Secrets {
        let generation = seeds.generation.wrapping_add(1);
        Secrets::of(Seeds { generation, ..seeds }, predecessors)
    }

    fn of(seeds: Seeds, predecessors: Arc<[Predecessor]>) -> Secrets {
        let reset = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &seeds.reset));
        let token = Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&seeds.token));
        let (identity, generation) = (IdentityKey::new(seeds.identity), seeds.generation);
        Secrets { reset, token, identity, generation, predecessors, seeds: Arc::new(seeds) }
    }

    /// For the process that takes over.
    pub(crate) fn bequeath(&self) -> Seeds {
        Seeds::clone(&self.seeds)
    }

    pub(crate) fn generation(&self) -> u16 {
        self.generation
    }

    pub(crate) fn predecessors(&self) -> &Arc<[Predecessor]> {
        &self.predecessors
    }
}

/// Bounds of a connection. Who is idle is decided above, by requests; here, only who is gone: as long as a connection is
/// open, it gives signs of life, so that one may wait long for an answer.
pub(crate) fn transport(idle_timeout: Duration) -> Arc<TransportConfig> {
    let silence = idle_timeout.max(Duration::from_secs(1));
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(CONCURRENT_STREAMS.into())
        .max_concurrent_uni_streams(UNIDIRECTIONAL_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(IdleTimeout::try_from(silence).unwrap_or_else(|_| VarInt::MAX.into())))
        .keep_alive_interval(Some((silence / 3).min(SIGN_OF_LIFE)));
    Arc::new(transport)
}
