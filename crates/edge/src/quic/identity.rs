//! Identities of connections (RFC 9000 section 5.1): random to everybody else, to us also who has the connection: which
//! process of those that have replaced each other, and which of its endpoints; and that it was one of ours who made it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;
use siphasher::sip::SipHasher13;

/// Random bytes: enough that two never meet.
const NONCE: usize = 8;
/// The owner, masked by a hash of the nonce.
const OWNER: usize = 4;
/// A keyed hash over both, which tells ours from those that clients make up.
const SEAL: usize = 4;
/// Length of an identity.
pub(crate) const LENGTH: usize = NONCE + OWNER + SEAL;

/// What identities are masked and sealed with: the same in a process and in those that take over from it.
#[derive(Clone, Copy)]
pub(super) struct IdentityKey([u8; 16]);

/// Who has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The process: how many it has before it.
    pub(super) generation: u16,
    /// The endpoint among those of its listener.
    pub(super) place: u16,
}

/// Makes and reads identities.
#[derive(Clone)]
pub(super) struct Identities {
    key: IdentityKey,
    owner: Owner,
}

impl IdentityKey {
    pub(super) fn new(key: [u8; 16]) -> IdentityKey {
        IdentityKey(key)
    }

    fn hash(&self, what: u8, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write_u8(what);
        hasher.write(bytes);
        hasher.finish()
    }

    fn mask(&self, nonce: &[u8]) -> u32 {
        self.hash(0, nonce) as u32
    }

    fn seal(&self, open: &[u8]) -> [u8; SEAL] {
        (self.hash(1, open) as u32).to_be_bytes()
    }

    fn make(&self, nonce: [u8; NONCE], owner: Owner) -> [u8; LENGTH] {
        let owner = u32::from(owner.generation) << 16 | u32::from(owner.place);
        let masked = (owner ^ self.mask(&nonce)).to_be_bytes();
        let mut identity = [0; LENGTH];
        let parts = nonce.into_iter().chain(masked);
        identity.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        let seal = self.seal(identity.get(..NONCE + OWNER).unwrap_or(&[]));
        identity.iter_mut().skip(NONCE + OWNER).zip(seal).for_each(|(to, from)| *to = from);
        identity
    }
}

impl Identities {
    /// Of one endpoint's connections.
    pub(super) fn new(key: IdentityKey, owner: Owner) -> Identities {
        Identities { key, owner }
    }

    /// Whose connection this is; none when it is not an identity of ours.
    pub(super) fn owner(&self, identity: &[u8]) -> Option<Owner> {
        let (open, seal) = identity.split_at_checked(NONCE + OWNER)?;
        if seal != self.key.seal(open) {
            return None;
        }
        let (nonce, masked) = open.split_at_checked(NONCE)?;
        let owner = u32::from_be_bytes(masked.try_into().ok()?) ^ self.key.mask(nonce);
        Some(Owner { generation: (owner >> 16) as u16, place: owner as u16 })
    }
}

impl ConnectionIdGenerator for Identities {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut nonce = [0; NONCE];
        if aws_lc_rs::rand::fill(&mut nonce).is_err() {
            // the generator is seeded by the system, and cannot fail once it has worked
            nonce = RandomState::new().hash_one(0u8).to_be_bytes();
        }
        ConnectionId::new(&self.key.make(nonce, self.owner))
    }

    fn validate(&self, identity: &ConnectionId) -> Result<(), InvalidCid> {
        self.owner(identity).map(drop).ok_or(InvalidCid)
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
pub(crate) fn destination(datagram: &[u8]) -> Option<&[u8]> {
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
        let key = IdentityKey::new([7; 16]);
        for (generation, place) in [(0, 0), (0, 1), (9, 7), (u16::MAX, 300)] {
            let owner = Owner { generation, place };
            let mut maker = Identities::new(key, owner);
            for _ in 0..50 {
                let identity = maker.generate_cid();
                let reader = Identities::new(key, Owner { generation: 1, place: 2 });
                assert_eq!(reader.owner(&identity), Some(owner));
                assert!(reader.validate(&identity).is_ok());
                assert_eq!(Identities::new(IdentityKey::new([8; 16]), owner).owner(&identity), None);
            }
        }
        let reader = Identities::new(key, Owner { generation: 0, place: 0 });
        assert_eq!(reader.owner(&[7; LENGTH]), None);
        assert_eq!(reader.owner(&[]), None);
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
