//! Session tickets: one set of rotating keys for all workers, kept over reloads and handed to the process that takes over,
//! and tickets that are good only where they were made.
//!
//! A ticket stands for a handshake that was verified by the rules of its time and place. On a listener that asks for
//! client certificates, one made elsewhere, or under another trust store, must not be worth anything.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};

/// Seconds after which a key makes no more tickets. It opens those that it made for as long again.
const ROTATION: u64 = 6 * 3600;
/// A ticket longer than this is none of ours: chains of clients' certificates are in it, and are bounded.
const LONGEST: usize = 128 * 1024;
const NAME: usize = 16;

/// The keys.
#[derive(Clone, Debug)]
pub(crate) struct Tickets(Arc<Keys>);

/// The keys as they are handed over.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct TicketKeys {
    current: Secret,
    previous: Option<Secret>,
}

/// A key as it is handed over.
#[derive(Clone, Deserialize, Serialize)]
struct Secret {
    name: [u8; NAME],
    key: [u8; 32],
    /// Seconds since 1970.
    made: u64,
}

/// Where a ticket is good; made of what a session depends on.
pub(crate) type Scope = [u8; 16];

struct Keys(RwLock<Ring>);

struct Ring {
    current: Key,
    previous: Option<Key>,
}

struct Key {
    secret: Secret,
    cipher: LessSafeKey,
}

impl fmt::Debug for Keys {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Tickets {
    /// Draws the first key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn new() -> Result<Tickets, Unspecified> {
        Ok(Tickets(Arc::new(Keys(RwLock::new(Ring { current: Key::draw(now())?, previous: None })))))
    }

    /// Those of the process before.
    ///
    /// # Errors
    /// When they are no keys.
    pub(crate) fn inherited(keys: TicketKeys) -> Result<Tickets, Unspecified> {
        let ring = Ring { current: Key::new(keys.current)?, previous: keys.previous.map(Key::new).transpose()? };
        Ok(Tickets(Arc::new(Keys(RwLock::new(ring)))))
    }

    /// For the process that takes over.
    pub(crate) fn bequeath(&self) -> TicketKeys {
        let ring = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        TicketKeys {
            current: ring.current.secret.clone(),
            previous: ring.previous.as_ref().map(|key| key.secret.clone()),
        }
    }

    /// Tickets that are good in this scope only.
    pub(crate) fn within(&self, scope: Scope) -> Arc<dyn ProducesTickets> {
        Arc::new(Scoped { keys: self.0.clone(), scope })
    }
}

impl Keys {
    /// Puts another key in the place of one whose time is over.
    fn rotate(&self, now: u64) {
        let is_due = |ring: &Ring| now >= ring.current.secret.made.saturating_add(ROTATION);
        if !is_due(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        // without randomness the one before goes on, until there is some
        let Ok(next) = Key::draw(now) else { return };
        let mut ring = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if is_due(&ring) {
            // one that was out of use for long opens nothing any more
            let is_recent = now < ring.current.secret.made.saturating_add(2 * ROTATION);
            let before = std::mem::replace(&mut ring.current, next);
            ring.previous = is_recent.then_some(before);
        }
    }

    fn seal(&self, plain: Vec<u8>) -> Option<Vec<u8>> {
        self.rotate(now());
        self.0.read().unwrap_or_else(PoisonError::into_inner).current.seal(plain)
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > LONGEST {
            return None;
        }
        self.rotate(now());
        let (name, sealed) = ticket.split_at_checked(NAME)?;
        let ring = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // names are no secrets
        [Some(&ring.current), ring.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|k| k.secret.name == name)?
            .open(sealed)
    }
}

impl Key {
    fn draw(now: u64) -> Result<Key, Unspecified> {
        let mut secret = Secret { name: [0; NAME], key: [0; 32], made: now };
        rand::fill(&mut secret.name)?;
        rand::fill(&mut secret.key)?;
        Key::new(secret)
    }

    fn new(secret: Secret) -> Result<Key, Unspecified> {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &secret.key)?);
        Ok(Key { secret, cipher })
    }

    /// The key's name, a nonce, and what it seals: RFC 5077 section 4, with a cipher that authenticates by itself.
    fn seal(&self, mut plain: Vec<u8>) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let name = Aad::from(self.secret.name);
        self.cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), name, &mut plain).ok()?;
        Some([&self.secret.name[..], &nonce, &plain].concat())
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk()?;
        let mut sealed = sealed.to_vec();
        let name = Aad::from(self.secret.name);
        let plain = self.cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), name, &mut sealed).ok()?.len();
        sealed.truncate(plain);
        Some(sealed)
    }
}

#[derive(Debug)]
struct Scoped {
    keys: Arc<Keys>,
    scope: Scope,
}

impl ProducesTickets for Scoped {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        2 * ROTATION as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal([&self.scope, plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut plain = self.keys.open(cipher)?;
        if !plain.starts_with(&self.scope) {
            return None;
        }
        plain.drain(..self.scope.len());
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_where_it_was_made() {
        let tickets = Tickets::new().unwrap();
        let (one, other) = (tickets.within([1; 16]), tickets.within([2; 16]));
        let ticket = one.encrypt(b"session").unwrap();
        assert_eq!(one.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets.clone().within([1; 16]).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
        assert_eq!(Tickets::new().unwrap().within([1; 16]).decrypt(&ticket), None);
        assert_eq!(one.decrypt(b"no ticket"), None);
        for place in [0, NAME, NAME + NONCE_LEN, ticket.len() - 1] {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(one.decrypt(&changed), None, "byte {place}");
        }
        assert_ne!(one.encrypt(b"session").unwrap(), ticket, "nobody sees which tickets are of one session");
    }

    #[test]
    fn keys_are_handed_over() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.within([1; 16]).encrypt(b"session").unwrap();
        let text = serde_json::to_string(&tickets.bequeath()).unwrap();
        let next = Tickets::inherited(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(next.within([1; 16]).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let back = next.within([1; 16]).encrypt(b"another").unwrap();
        assert_eq!(tickets.within([1; 16]).decrypt(&back).as_deref(), Some(&b"another"[..]));
    }

    #[test]
    fn keys_rotate() {
        let tickets = Tickets::new().unwrap();
        let made = now();
        let seal = || tickets.0.0.read().unwrap().current.seal(b"session".to_vec()).unwrap();
        let first = seal();
        tickets.0.rotate(made + ROTATION - 10);
        assert!(tickets.bequeath().previous.is_none());
        tickets.0.rotate(made + ROTATION + 1);
        let second = seal();
        assert!(tickets.0.open(&first).is_some(), "the key before still opens");
        tickets.0.rotate(made + 2 * ROTATION + 2);
        assert!(tickets.0.open(&first).is_none() && tickets.0.open(&second).is_some());
        // nobody asked for long
        tickets.0.rotate(made + 9 * ROTATION);
        assert!(tickets.0.open(&second).is_none());
    }
}
