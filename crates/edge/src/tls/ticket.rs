//! Session tickets: one set of rotating keys for all workers, kept over reloads, and tickets that are good only where
//! they were made.
//!
//! A ticket stands for a handshake that was verified by the rules of its time and place. On a listener that asks for
//! client certificates, one made elsewhere, or under another trust store, must not be worth anything.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

/// The keys.
#[derive(Clone, Debug)]
pub(crate) struct Tickets(Arc<dyn ProducesTickets>);

/// Where a ticket is good; made of what a session depends on.
pub(crate) type Scope = [u8; 16];

impl Tickets {
    /// Draws the first keys.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn new() -> Result<Tickets, rustls::Error> {
        Ok(Tickets(Ticketer::new()?))
    }

    /// Tickets that are good in this scope only.
    pub(crate) fn within(&self, scope: Scope) -> Arc<dyn ProducesTickets> {
        Arc::new(Scoped { keys: self.0.clone(), scope })
    }
}

#[derive(Debug)]
struct Scoped {
    keys: Arc<dyn ProducesTickets>,
    scope: Scope,
}

impl ProducesTickets for Scoped {
    fn enabled(&self) -> bool {
        self.keys.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.keys.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.encrypt(&[&self.scope, plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut plain = self.keys.decrypt(cipher)?;
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
    }
}
