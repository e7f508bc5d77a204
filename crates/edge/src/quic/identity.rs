//! Identities of connections (RFC 9000 section 5.1): random to everybody else, to us also which worker has the connection,
//! and that it was a worker of ours who made it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;

/// Random bytes: enough that two never meet.
const NONCE: usize = 8;
/// The worker, masked by a hash of the nonce.
const WORKER: usize = 2;
/// A keyed hash over both, which tells ours from those that clients make up.
const SEAL: usize = 4;
/// Length of an identity.
pub(super) const LENGTH: usize = NONCE + WORKER + SEAL;

/// Makes and reads identities.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    key: RandomState,
    worker: u16,
}

impl Identities {
    /// Of this worker's connections.
    pub(super) fn new(key: RandomState, worker: usize) -> Identities {
        Identities { key, worker: u16::try_from(worker).unwrap_or(u16::MAX) }
    }

    /// The worker whose connection this is; none when it is not an identity of ours.
    pub(super) fn worker(&self, identity: &[u8]) -> Option<usize> {
        let (open, seal) = identity.split_at_checked(NONCE + WORKER)?;
        if seal != self.seal(open) {
            return None;
        }
        let (nonce, masked) = open.split_at_checked(NONCE)?;
        let masked = u16::from_be_bytes(masked.try_into().ok()?);
        Some(usize::from(masked ^ self.mask(nonce)))
    }

    fn mask(&self, nonce: &[u8]) -> u16 {
        self.key.hash_one((0u8, nonce)) as u16
    }

    fn seal(&self, open: &[u8]) -> [u8; SEAL] {
        (self.key.hash_one((1u8, open)) as u32).to_be_bytes()
    }

    fn make(&self, nonce: [u8; NONCE]) -> [u8; LENGTH] {
        let masked = (self.worker ^ self.mask(&nonce)).to_be_bytes();
        let mut identity = [0; LENGTH];
        let parts = nonce.into_iter().chain(masked);
        identity.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        let seal = self.seal(identity.get(..NONCE + WORKER).unwrap_or(&[]));
        identity.iter_mut().skip(NONCE + WORKER).zip(seal).for_each(|(to, from)| *to = from);
        identity
    }
}

impl ConnectionIdGenerator for Identities {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut nonce = [0; NONCE];
        if aws_lc_rs::rand::fill(&mut nonce).is_err() {
            // the generator is seeded by the system, and cannot fail once it has worked
            nonce = RandomState::new().hash_one(0u8).to_be_bytes();
        }
        ConnectionId::new(&self.make(nonce))
    }

    fn validate(&self, identity: &ConnectionId) -> Result<(), InvalidCid> {
        self.worker(identity).map(drop).ok_or(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The identity that a datagram is for, if it is one that a server can have made: not that of a client's first datagrams,
/// which it made up, unless it says otherwise by its length (RFC 8999 section 5).
pub(super) fn destination(datagram: &[u8]) -> Option<&[u8]> {
    const LONG: u8 = 0x80;
    let first = datagram.first()?;
    if first & LONG == 0 {
        return datagram.get(1..=LENGTH);
    }
    let length = usize::from(*datagram.get(5)?);
    (length == LENGTH).then(|| datagram.get(6..6 + LENGTH))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_says_whose_it_is() {
        let key = RandomState::new();
        for worker in [0, 1, 7, 300] {
            let mut maker = Identities::new(key.clone(), worker);
            for _ in 0..50 {
                let identity = maker.generate_cid();
                let reader = Identities::new(key.clone(), 2);
                assert_eq!(reader.worker(&identity), Some(worker));
                assert!(reader.validate(&identity).is_ok());
                assert_eq!(Identities::new(RandomState::new(), worker).worker(&identity), None);
            }
        }
        assert_eq!(Identities::new(key.clone(), 0).worker(&[7; LENGTH]), None);
        assert_eq!(Identities::new(key, 0).worker(&[]), None);
    }

    #[test]
    fn where_a_datagram_says_whose_it_is() {
        let identity = [9; LENGTH];
        let short = [&[0x40][..], &identity, b"payload"].concat();
        let long = [&[0xe0, 0, 0, 0, 1, LENGTH as u8][..], &identity, b"payload"].concat();
        let first = [&[0xc0, 0, 0, 0, 1, 8][..], &[1; 8], b"payload"].concat();
        let rows: [(&[u8], Option<&[u8]>); 6] = [
            (&short, Some(&identity)),
            (&long, Some(&identity)),
            (&first, None),
            (&short[..LENGTH], None),
            (&long[..LENGTH], None),
            (&[], None),
        ];
        for (datagram, expected) in rows {
            assert_eq!(destination(datagram), expected, "{datagram:x?}");
        }
    }
}
