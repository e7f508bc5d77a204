//! Who is connected: how often, how often they were refused, and who is kept out for a while.
//!
//! A table of fixed capacity. When it is full, clients without an open connection make room, but for those that are kept
//! out; if there are none of them, a client that is new is let in without being counted: to refuse it would let those who
//! fill the table decide who else comes in.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Who counts as one client: an IPv4 address, or a /64 of IPv6, which is what one customer has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientKey {
    /// An address.
    V4(u32),
    /// The upper half of an address.
    V6(u64),
}

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> ClientKey {
        match address.to_canonical() {
            IpAddr::V4(address) => ClientKey::V4(address.to_bits()),
            IpAddr::V6(address) => ClientKey::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientKey::V4(bits) => Ipv4Addr::from_bits(*bits).fmt(f),
            ClientKey::V6(bits) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(*bits) << 64)),
        }
    }
}

/// When a client is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// After so many offences,
    pub after: u32,
    /// within this time from the first of them,
    pub within: Duration,
    /// for so long.
    pub lasts: Duration,
}

/// What one client may have; 0 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections open at once.
    pub open: u32,
    /// New connections a second; as many may come at once after a second without one.
    pub per_second: u32,
    /// When it is kept out.
    pub block: Option<Block>,
}

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has as many connections as it may.
    TooMany,
    /// Its connections come faster than they may.
    TooFast,
    /// It is kept out for what it did before.
    Blocked,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Connections open.
    pub open: u32,
    /// Connections that were let in.
    pub admitted: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Kept out until then.
    pub blocked_until: Option<Duration>,
    offences: u32,
    first_offence: Duration,
    /// When all that was let in would have come, had each waited for its share of a second (the theoretical arrival time of
    /// ITU-T I.371's GCRA).
    due: Duration,
}

impl Client {
    /// Whether it is kept out at `now`.
    pub fn is_blocked(&self, now: Duration) -> bool {
        self.blocked_until.is_some_and(|until| now < until)
    }
}

/// Clients of a listener, or a part of them.
#[derive(Debug)]
pub struct Clients<S> {
    by_key: HashMap<ClientKey, Client, S>,
    capacity: usize,
    /// Looking for room again before then would find none.
    no_room_until: Duration,
}

const A_SECOND: Duration = Duration::from_secs(1);

/// How often a full table is looked through for room.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);

impl<S: BuildHasher> Clients<S> {
    /// An empty table for `capacity` clients. The hasher must be keyed with what nobody can guess.
    pub fn new(capacity: usize, hasher: S) -> Clients<S> {
        Clients { by_key: HashMap::with_hasher(hasher), capacity, no_room_until: Duration::ZERO }
    }

    /// A connection begins, if the client may have one more. True when it is counted, and has to be given back by
    /// [`Clients::release`].
    ///
    /// # Errors
    /// Why it must not.
    pub fn admit(&mut self, key: ClientKey, allowed: ClientLimits, now: Duration) -> Result<bool, Refusal> {
        let Some(client) = self.entry(key, now) else { return Ok(false) };
        client.admit(allowed, now).map_or_else(
            |refusal| {
                client.refused += 1;
                if refusal != Refusal::Blocked {
                    client.offend(allowed.block, now);
                }
                Err(refusal)
            },
            |()| Ok(true),
        )
    }

    /// A connection that was counted is over.
    pub fn release(&mut self, key: ClientKey) {
        if let Some(client) = self.by_key.get_mut(&key) {
            client.open = client.open.saturating_sub(1);
        }
    }

    /// A connection that was counted has been refused after all, for no fault of its client.
    pub fn take_back(&mut self, key: ClientKey) {
        if let Some(client) = self.by_key.get_mut(&key) {
            client.open = client.open.saturating_sub(1);
            client.admitted = client.admitted.saturating_sub(1);
            client.refused += 1;
        }
    }

    /// The client did what it is kept out for when it does so again. True when that is so from now on.
    pub fn offend(&mut self, key: ClientKey, block: Option<Block>, now: Duration) -> bool {
        self.by_key.get_mut(&key).is_some_and(|client| client.offend(block, now))
    }

    /// All that are known.
    pub fn iter(&self) -> impl Iterator<Item = (ClientKey, &Client)> {
        self.by_key.iter().map(|(key, client)| (*key, client))
    }

    /// The client's entry; none when it is new and there is no room.
    fn entry(&mut self, key: ClientKey, now: Duration) -> Option<&mut Client> {
        if self.by_key.len() >= self.capacity && !self.by_key.contains_key(&key) && !self.make_room(now) {
            return None;
        }
        Some(self.by_key.entry(key).or_default())
    }

    fn make_room(&mut self, now: Duration) -> bool {
        if now < self.no_room_until {
            return false;
        }
        self.by_key.retain(|_, client| client.open > 0 || client.is_blocked(now));
        let found = self.by_key.len() < self.capacity;
        if !found {
            self.no_room_until = now + LOOK_FOR_ROOM;
        }
        found
    }
}

impl Client {
    fn admit(&mut self, allowed: ClientLimits, now: Duration) -> Result<(), Refusal> {
        if allowed.block.is_some() && self.is_blocked(now) {
            return Err(Refusal::Blocked);
        }
        if allowed.open > 0 && self.open >= allowed.open {
            return Err(Refusal::TooMany);
        }
        if allowed.per_second > 0 {
            let due = self.due.max(now) + A_SECOND / allowed.per_second;
            if due > now + A_SECOND {
                return Err(Refusal::TooFast);
            }
            self.due = due;
        }
        self.open += 1;
        self.admitted += 1;
        Ok(())
    }

    fn offend(&mut self, block: Option<Block>, now: Duration) -> bool {
        let Some(block) = block else { return false };
        if self.offences == 0 || now.saturating_sub(self.first_offence) > block.within {
            self.offences = 0;
            self.first_offence = now;
        }
        self.offences += 1;
        if self.offences < block.after {
            return false;
        }
        self.offences = 0;
        self.blocked_until = Some(now + block.lasts);
        true
    }
}
