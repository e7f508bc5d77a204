//! A map from whole texts to values: one hash, and most often one comparison, whatever the number of keys.
//!
//! Keys come from the configuration, texts from clients, so that no client can lengthen a chain: what it can do at worst
//! is to ask for the longest one there is. Nothing is copied or lower-cased first. Built once, never changed.

use crate::wildcard::Case;

/// The finished map; open addressing, at most half full.
#[derive(Clone, Debug)]
pub(crate) struct Exact {
    case: Case,
    /// Length of the longest key: longer texts are not even hashed.
    longest: usize,
    /// A power of two of them.
    slots: Box<[Slot]>,
    keys: Box<[u8]>,
}

/// Empty when the value is [`NONE`].
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    start: u32,
    len: u32,
    value: u32,
}

const NONE: u32 = u32::MAX;

const EMPTY: Slot = Slot { hash: 0, start: 0, len: 0, value: NONE };

impl Exact {
    /// Builds a map of `entries`, whose keys are distinct, and lower case when `case` is insensitive.
    pub(crate) fn new(case: Case, entries: &[(&[u8], u32)]) -> Exact {
        let mut slots = vec![EMPTY; (entries.len() * 2).next_power_of_two().max(2)];
        let mut keys = Vec::new();
        for (key, value) in entries {
            let hash = hash(key, case);
            let slot = Slot { hash, start: keys.len() as u32, len: key.len() as u32, value: *value };
            keys.extend_from_slice(key);
            let free = places(hash, slots.len()).find(|place| slots.get(*place).is_some_and(|s| s.value == NONE));
            if let Some(free) = free.and_then(|place| slots.get_mut(place)) {
                *free = slot;
            }
        }
        let longest = entries.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
        Exact { case, longest, slots: slots.into(), keys: keys.into() }
    }

    /// The value of the key that `text` is.
    #[inline]
    pub(crate) fn find(&self, text: &[u8]) -> Option<u32> {
        if text.len() > self.longest {
            return None;
        }
        let hash = hash(text, self.case);
        for place in places(hash, self.slots.len()) {
            let slot = self.slots.get(place).filter(|slot| slot.value != NONE)?;
            if slot.hash == hash
                && let Some(key) = self.keys.get(slot.start as usize..(slot.start + slot.len) as usize)
                && self.case.equal(key, text)
            {
                return Some(slot.value);
            }
        }
        None
    }
}

/// Where to look for a hash among `len` slots, one after the other, each once.
#[inline]
fn places(hash: u32, len: usize) -> impl Iterator<Item = usize> {
    let start = hash as usize;
    (0..len).map(move |step| start.wrapping_add(step) & (len - 1))
}

/// Eight bytes at a time through a folded multiplication. Without case, bit 5 of every byte is set: letters of either case
/// are then alike, and so are a few other characters, which the comparison tells apart.
#[inline]
fn hash(text: &[u8], case: Case) -> u32 {
    const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;
    let fold = match case {
        Case::Sensitive => 0,
        Case::Insensitive => 0x2020_2020_2020_2020,
    };
    let mix = |state: u64, word: u64| {
        let product = u128::from(state ^ (word | fold)) * u128::from(PRIME);
        product as u64 ^ (product >> 64) as u64
    };
    let (words, rest) = text.as_chunks::<8>();
    let state = words.iter().fold(text.len() as u64, |state, word| mix(state, u64::from_le_bytes(*word)));
    let tail = rest.iter().fold(0, |tail, byte| (tail << 8) | u64::from(*byte));
    let state = mix(mix(state, tail), PRIME);
    (state >> 32) as u32 ^ state as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_of_many_keys_and_nothing_else() {
        for case in [Case::Sensitive, Case::Insensitive] {
            let key = |i: u32| format!("shop{i}.example.com");
            let keys: Vec<String> = (0..5_000).map(key).collect();
            let entries: Vec<_> = keys.iter().map(String::as_bytes).zip(0..).collect();
            let map = Exact::new(case, &entries);
            for i in 0..5_000 {
                assert_eq!(map.find(key(i).as_bytes()), Some(i));
                let upper = map.find(key(i).to_ascii_uppercase().as_bytes());
                assert_eq!(upper, if case == Case::Insensitive { Some(i) } else { None });
            }
            assert_eq!(map.find(key(5_000).as_bytes()), None);
            assert_eq!(map.find(&[b'x'; 100_000]), None);
            assert_eq!(map.find(b""), None);
        }
    }

    #[test]
    fn characters_that_only_hash_alike_are_told_apart() {
        let map = Exact::new(Case::Insensitive, &[(b"a[b", 1), (b"", 2)]);
        assert_eq!((map.find(b"A[B"), map.find(b"a{b"), map.find(b"")), (Some(1), None, Some(2)));
    }

    #[test]
    fn an_empty_map_finds_nothing() {
        assert_eq!(Exact::new(Case::Sensitive, &[]).find(b""), None);
    }
}
