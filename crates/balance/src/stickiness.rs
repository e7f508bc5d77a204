//! Stickiness: the text in a cookie that brings a client back to its target or target group.
//!
//! The content is encrypted, because it tells about the machines behind the load balancer, and authenticated, because a
//! client could otherwise choose its target. The cipher is AES-256-GCM-SIV (RFC 8452): workers seal a fresh cookie for
//! every response, and with it a nonce that repeats by bad luck or a bad random source reveals no more than that two
//! cookies are equal, where AES-GCM would give the key's authentication away. It costs a second pass over 32 bytes.
//!
//! What kind of cookie it is, and for an application's cookie that cookie's hash, is associated data: authenticated, not
//! transmitted. So no kind passes for another, and an application stickiness cookie is worthless without its companion.
//!
//! Layout before base64url: version (1), key id (2), nonce (12), encrypted content (32), tag (16).

use std::error::Error;
use std::fmt;

use aws_lc_rs::aead::{Aad, Nonce};

use crate::UnixSeconds;
use crate::base64url;
use crate::key::{GroupKey, TargetKey};
use crate::keyring::Keyring;

/// The bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// The characters of a sealed text. Every sealed text has exactly so many.
pub const TEXT_LENGTH: usize = SEALED_BYTES / 3 * 4;

const VERSION: u8 = 1;
const CONTENT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 3;
const SEALED_BYTES: usize = HEAD_BYTES + NONCE_BYTES + CONTENT_BYTES + TAG_BYTES;

/// What a client is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// The target. Of no meaning in a cookie of [`Kind::Group`]; zero by convention.
    pub target: TargetKey,
    /// The target group.
    pub group: GroupKey,
    /// When it was sealed.
    pub issued: UnixSeconds,
    /// From when on it no longer binds.
    pub expires: UnixSeconds,
}

/// Which cookie a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `AWSALB`: duration-based, to a target.
    Target,
    /// `AWSALBTG`: to a target group.
    Group,
    /// `AWSALBAPP-0..3`: to a target, as long as the client also sends the application's cookie whose value has this hash
    /// (see [`crate::hash64`]).
    Application {
        /// The hash of the application cookie's value.
        cookie: u64,
    },
    /// No cookie: a field that asks why a request goes where it goes, and may.
    Explain,
}

/// Why a text does not bind. None of these is an error to a client: it gets another target and a new cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickyError {
    /// Not of the length and alphabet of a sealed text, or of another version.
    Malformed,
    /// Not sealed by this keyring as this kind: forged, damaged, of another kind, or its key has been dropped.
    NotOurs,
    /// Ours, but its time is over.
    Expired,
}

impl fmt::Display for StickyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a stickiness cookie",
            Self::NotOurs => "not sealed with a known key for this use",
            Self::Expired => "expired",
        })
    }
}

impl Error for StickyError {}

impl Keyring {
    /// The text for a cookie. `nonce` must be fresh random bytes. Nothing if the cryptographic library fails, in which
    /// case no cookie should be set.
    #[must_use]
    pub fn seal(&self, kind: Kind, sticky: &Sticky, nonce: [u8; NONCE_BYTES]) -> Option<String> {
        let key = self.newest();
        let head = head(key.id);
        let mut content = sticky.to_bytes();
        let associated = Aad::from(kind.associated_data(head));
        let tag = key
            .cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), associated, &mut content)
            .ok()?;
        let mut sealed = Vec::with_capacity(SEALED_BYTES);
        sealed.extend(head);
        sealed.extend(nonce);
        sealed.extend(content);
        sealed.extend(tag.as_ref());
        Some(base64url::encode(&sealed))
    }

    /// What a cookie's text binds its sender to. Any text of the right length costs one decryption, whether its key is
    /// known or not, so that the time taken tells nothing about the keys.
    ///
    /// # Errors
    /// If it binds to nothing.
    pub fn open(&self, kind: Kind, text: &str, now: UnixSeconds) -> Result<Sticky, StickyError> {
        let mut bytes = base64url::decode::<SEALED_BYTES>(text).ok_or(StickyError::Malformed)?;
        let (head, rest) = bytes.split_first_chunk_mut::<HEAD_BYTES>().ok_or(StickyError::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk_mut::<NONCE_BYTES>().ok_or(StickyError::Malformed)?;
        let [version, id @ ..] = *head;
        if version != VERSION {
            return Err(StickyError::Malformed);
        }
        let key = self.find(u16::from_be_bytes(id)).unwrap_or(self.newest());
        let associated = Aad::from(kind.associated_data(*head));
        let content = key
            .cipher
            .open_in_place(Nonce::assume_unique_for_key(*nonce), associated, sealed)
            .map_err(|_| StickyError::NotOurs)?;
        let sticky = content.first_chunk().map(Sticky::from_bytes).ok_or(StickyError::Malformed)?;
        if now >= sticky.expires { Err(StickyError::Expired) } else { Ok(sticky) }
    }
}

impl Sticky {
    fn to_bytes(self) -> [u8; CONTENT_BYTES] {
        let mut bytes = [0; CONTENT_BYTES];
        let words = [self.target.0, self.group.0, self.issued, self.expires];
        for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = word.to_be_bytes();
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; CONTENT_BYTES]) -> Self {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word));
        let mut next = || words.next().unwrap_or(0);
        Self { target: TargetKey(next()), group: GroupKey(next()), issued: next(), expires: next() }
    }
}

impl Kind {
    /// The head too, so that nothing of the text is left unauthenticated.
    fn associated_data(self, [version, high, low]: [u8; HEAD_BYTES]) -> [u8; 12] {
        let (kind, word) = match self {
            Self::Target => (b'T', 0),
            Self::Group => (b'G', 0),
            Self::Application { cookie } => (b'A', cookie),
            Self::Explain => (b'E', 0),
        };
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        [version, high, low, kind, a, b, c, d, e, f, g, h]
    }
}

fn head(id: u16) -> [u8; HEAD_BYTES] {
    let [high, low] = id.to_be_bytes();
    [VERSION, high, low]
}

#[cfg(test)]
mod tests;
