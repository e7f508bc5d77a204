//! What a listener remembers of connections and clients, over workers and over reloads.
//!
//! This is the one place where workers write to the same memory: twice for each connection, never for a request. A limit
//! is exact across workers that way, which no share of each worker would be.

use std::cmp::Reverse;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headworks_guard::{Block, Client, ClientKey, Clients, Rate, Refusal};

use super::Limits;
use super::reason::Reason;

/// Parts of the table of clients, each with a lock of its own: workers rarely meet in one.
const SHARDS: usize = 64;
/// Clients that are known at once in one part; in all, 65,536 for each listener, in about 5 MiB.
const CLIENTS: usize = 1024;

/// Connections and clients of a listener.
pub(crate) struct State {
    open: Padded<AtomicU64>,
    handshakes: Padded<AtomicU64>,
    rate: Padded<Mutex<Rate>>,
    shards: Box<[Padded<Mutex<Clients<RandomState>>>]>,
    /// Chooses the part, so that nobody can choose addresses that meet in one.
    hasher: RandomState,
    started: Instant,
    /// When refusals were last told of, in seconds from before the start.
    told: AtomicU64,
}

/// Seconds between two lines about refused connections.
const TELL_EVERY: u64 = 10;

/// Alone on its cache lines.
#[repr(align(128))]
struct Padded<T>(T);

/// One of those who are connected most.
pub(crate) struct Talker {
    pub(crate) key: ClientKey,
    pub(crate) client: Client,
    pub(crate) is_blocked: bool,
}

impl Default for State {
    fn default() -> State {
        let hasher = RandomState::new();
        State {
            open: Padded(AtomicU64::new(0)),
            handshakes: Padded(AtomicU64::new(0)),
            rate: Padded(Mutex::default()),
            shards: (0..SHARDS).map(|_| Padded(Mutex::new(Clients::new(CLIENTS, hasher.clone())))).collect(),
            hasher: RandomState::new(),
            started: Instant::now(),
            told: AtomicU64::new(0),
        }
    }
}

/// Counts one more, unless there are `most`; 0 for no limit.
fn one_more(count: &AtomicU64, most: u32) -> bool {
    let most = if most == 0 { u64::MAX } else { u64::from(most) };
    // nothing else is read or written by the order of this count
    count.try_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1)).is_ok()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    #[expect(clippy::indexing_slicing, reason = "a remainder of their number")]
    fn shard(&self, key: ClientKey) -> MutexGuard<'_, Clients<RandomState>> {
        locked(&self.shards[self.hasher.hash_one(key) as usize % SHARDS].0)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A connection begins. What is given back must be handed to [`State::leave`] when it ends.
    ///
    /// # Errors
    /// Why it must not.
    pub(super) fn enter(&self, key: ClientKey, limits: &Limits) -> Result<Option<ClientKey>, Reason> {
        let now = self.now();
        let client = self.count(key, limits, now)?;
        self.enter_listener(limits, now).inspect_err(|_| {
            if let Some(key) = client {
                self.shard(key).take_back(key);
            }
        })?;
        Ok(client)
    }

    /// The same for a proxy's connection, of which it is not known yet whose it is.
    ///
    /// # Errors
    /// Why it must not.
    pub(super) fn enter_unknown(&self, limits: &Limits) -> Result<(), Reason> {
        self.enter_listener(limits, self.now())
    }

    /// A connection that was let in is a client's. What is given back is to be handed to [`State::leave`].
    ///
    /// # Errors
    /// Why the client must not have it.
    pub(super) fn belong(&self, key: ClientKey, limits: &Limits) -> Result<Option<ClientKey>, Reason> {
        self.count(key, limits, self.now())
    }

    fn count(&self, key: ClientKey, limits: &Limits, now: Duration) -> Result<Option<ClientKey>, Reason> {
        let counted = self.shard(key).admit(key, limits.of_client, now);
        counted.map(|counted| counted.then_some(key)).map_err(|refusal| match refusal {
            Refusal::TooMany => Reason::ConnectionsPerClient,
            Refusal::TooFast => Reason::NewConnectionsPerClient,
            Refusal::Blocked => Reason::Blocked,
        })
    }

    fn enter_listener(&self, limits: &Limits, now: Duration) -> Result<(), Reason> {
        if !one_more(&self.open.0, limits.connections) {
            return Err(Reason::Connections);
        }
        let per_second = limits.new_connections_per_second;
        if per_second > 0 && !locked(&self.rate.0).admit(per_second, now) {
            self.open.0.fetch_sub(1, Ordering::Relaxed);
            return Err(Reason::NewConnectionsPerSecond);
        }
        Ok(())
    }

    /// A handshake begins, if there may be one more; [`State::shaken`] is to be called when it is over.
    pub(super) fn shake(&self, most: u32) -> bool {
        one_more(&self.handshakes.0, most)
    }

    /// Handshakes under way.
    pub(super) fn handshakes(&self) -> u64 {
        self.handshakes.0.load(Ordering::Relaxed)
    }

    /// A handshake is over.
    pub(super) fn shaken(&self) {
        self.handshakes.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection that was let in is over.
    pub(super) fn leave(&self, client: Option<ClientKey>) {
        self.open.0.fetch_sub(1, Ordering::Relaxed);
        if let Some(key) = client {
            self.shard(key).release(key);
        }
    }

    /// The client did what it is kept out for when it does so again. True when that is so from now on.
    pub(super) fn offend(&self, key: ClientKey, block: Block) -> bool {
        let now = self.now();
        self.shard(key).offend(key, Some(block), now)
    }

    /// Whether it is time to say again that connections are refused: a line for each would be the clients' to order.
    pub(crate) fn may_tell(&self) -> bool {
        // 0 stands for never, so that the first refusal is told
        let now = self.now().as_secs() + TELL_EVERY;
        let told = self.told.load(Ordering::Relaxed);
        now >= told + TELL_EVERY && self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Clients that are kept out for a while.
    pub(crate) fn blocked(&self) -> usize {
        let now = self.now();
        let shards = self.shards.iter().map(|shard| locked(&shard.0));
        shards.map(|clients| clients.iter().filter(|(_, client)| client.is_blocked(now)).count()).sum()
    }

    /// The clients with the most connections open, then those with the most in all; at most `count`.
    pub(crate) fn top(&self, count: usize) -> Vec<Talker> {
        let now = self.now();
        let mut top: Vec<Talker> = Vec::new();
        for shard in &self.shards {
            let talker = |(key, client): (ClientKey, &Client)| Talker {
                key,
                client: *client,
                is_blocked: client.is_blocked(now),
            };
            top.extend(locked(&shard.0).iter().map(talker));
            // in each turn, so that no more are held than of one part
            top.sort_unstable_by_key(|talker| {
                let Talker { key, client, .. } = talker;
                Reverse((client.open, client.admitted, client.refused, *key))
            });
            top.truncate(count);
        }
        top
    }
}
