//! The one hash of this crate: 64 bits, fast on short input, the same in every process, on every machine, in every release.
//!
//! It exists because cookies and consistent hashing outlive a process, while the standard library's hasher promises nothing
//! from one release to the next. FNV would be stable too, but its high bits barely move on short keys, which skews a Maglev
//! table. The construction is the folded multiplication of wyhash and its relatives (Wang Yi, "Wyhash"): two 64-bit words
//! are multiplied to 128 bits and the halves are xored. Golden values in the tests pin it.
//!
//! It is not a cryptographic hash: who chooses the input can find collisions. What must not be forged is authenticated in
//! [`crate::stickiness`].

const SECRET: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];

/// The hash of `bytes` under `seed`. Different seeds give independent hashes of the same input.
#[inline]
#[must_use]
pub fn hash64(seed: u64, bytes: &[u8]) -> u64 {
    let [s0, s1, s2, s3] = SECRET;
    let mut state = fold(seed ^ s0, bytes.len() as u64 ^ s1);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        let (low, high) = words(block);
        state = fold(low ^ s2, high ^ state) ^ state.rotate_left(29);
    }
    let (low, high) = words(blocks.remainder());
    state = fold(low ^ s2, high ^ state) ^ state.rotate_left(29);
    mix(state ^ s3)
}

/// A bijective mix of one word, in which every input bit moves every output bit (the finaliser of SplitMix64: Steele,
/// Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[inline]
#[must_use]
pub fn mix(word: u64) -> u64 {
    let [step, first, second, _] = SECRET;
    let mut mixed = word.wrapping_add(step);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(first);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(second);
    mixed ^ (mixed >> 31)
}

#[inline]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Up to 16 bytes as two little-endian words, padded with zeros; the length is hashed separately.
#[inline]
fn words(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0u8; 16];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    let both = u128::from_le_bytes(padded);
    (both as u64, (both >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn values_never_change() {
        let inputs: [(u64, &[u8]); 5] = [(0, b""), (0, b"a"), (1, b"a"), (7, b"10.0.0.1:8080"), (7, &[0; 33])];
        let golden = [
            17_477_208_986_576_993_883,
            18_264_469_044_935_673_769,
            16_920_587_176_528_468_776,
            1_173_567_670_443_863_720,
            4_877_312_401_282_989_318,
        ];
        assert_eq!(inputs.map(|(seed, bytes)| hash64(seed, bytes)), golden);
        assert_eq!(mix(0), 16_294_208_416_658_607_535);
    }

    #[test]
    fn one_input_bit_moves_half_of_the_output() {
        let mut moved = [0u32; 64];
        let trials = 2_000u64;
        for trial in 0..trials {
            let input = mix(trial).to_le_bytes();
            let bit = (trial % 64) as usize;
            let mut flipped = input;
            if let Some(byte) = flipped.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            let difference = hash64(3, &input) ^ hash64(3, &flipped);
            for (position, count) in moved.iter_mut().enumerate() {
                *count += ((difference >> position) & 1) as u32;
            }
        }
        for count in moved {
            assert!((850..1150).contains(&count), "an output bit moved {count} times in {trials}");
        }
    }

    #[test]
    fn like_names_do_not_collide_and_fill_buckets_evenly() {
        let hashes: Vec<u64> = (0..100_000).map(|port| hash64(0, format!("10.0.0.1:{port}").as_bytes())).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        let mut buckets = [0u32; 97];
        for hash in &hashes {
            buckets[(hash % 97) as usize] += 1;
        }
        let expected = 100_000.0 / 97.0;
        let chi: f64 = buckets.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        assert!(chi < 150.0, "chi square {chi} for 96 degrees of freedom");
    }

    #[test]
    fn padding_is_not_confused_with_content() {
        assert_ne!(hash64(0, b"a"), hash64(0, b"a\0"));
        assert_ne!(hash64(0, &[0; 16]), hash64(0, &[0; 17]));
    }
}
