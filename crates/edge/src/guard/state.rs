//! What a listener remembers of connections and clients, over workers and over reloads.
//!
//! This is the one place where workers write to the same memory: twice for each connection, never for a request. A limit
//! is exact across workers that way, which no share of each worker would be.

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
    rate: Padded<Mutex<Rate>>,
    shards: Box<[Padded<Mutex<Clients<RandomState>>>]>,
    /// Chooses the part, so that nobody can choose addresses that meet in one.
    hasher: RandomState,
    started: Instant,
}

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
            rate: Padded(Mutex::default()),
            shards: (0..SHARDS).map(|_| Padded(Mutex::new(Clients::new(CLIENTS, hasher.clone())))).collect(),
            hasher: RandomState::new(),
            started: Instant::now(),
        }
    }
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
        let counted = self.shard(key).admit(key, limits.connections_per_client, limits.block, now);
        let client = counted.map(|counted| counted.then_some(key)).map_err(|refusal| match refusal {
            Refusal::TooMany => Reason::ConnectionsPerClient,
            Refusal::Blocked => Reason::Blocked,
        })?;
        self.enter_listener(limits, now).inspect_err(|_| {
            if let Some(key) = client {
                self.shard(key).take_back(key);
            }
        })?;
        Ok(client)
    }

    fn enter_listener(&self, limits: &Limits, now: Duration) -> Result<(), Reason> {
        let most = if limits.connections == 0 { u64::MAX } else { u64::from(limits.connections) };
        // nothing else is read or written by the order of this count
        let one_more = |open: u64| (open < most).then_some(open + 1);
        let entered = self.open.0.try_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        entered.map_err(|_| Reason::Connections)?;
        let per_second = limits.new_connections_per_second;
        if per_second > 0 && !locked(&self.rate.0).admit(per_second, now) {
            self.open.0.fetch_sub(1, Ordering::Relaxed);
            return Err(Reason::NewConnectionsPerSecond);
        }
        Ok(())
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

    /// The clients with the most connections open, then those with the most in all; at most `count`.
    pub(crate) fn top(&self, count: usize) -> Vec<Talker> {
        let now = self.now();
        let mut all = Vec::new();
        for shard in &self.shards {
            let clients = locked(&shard.0);
            all.extend(clients.iter().map(|(key, client)| (client.open, client.admitted, client.refused, key)));
        }
        // a part of the order is enough, and what is at the top has been seen a moment ago
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.truncate(count);
        let known = |key: ClientKey| self.shard(key).iter().find(|(other, _)| *other == key).map(|(_, client)| *client);
        let talker = |key: ClientKey| {
            let client = known(key)?;
            Some(Talker { key, client, is_blocked: client.is_blocked(now) })
        };
        all.into_iter().filter_map(|(.., key)| talker(key)).collect()
    }
}
