//! Random numbers that need not be secret: shares, trace identifiers, offsets. xoshiro256++ (Blackman, Vigna 2018),
//! seeded from the operating system.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// A worker's generator.
pub(crate) struct Random(Cell<[u64; 4]>);

impl Random {
    pub(crate) fn new() -> Random {
        // RandomState is seeded by the operating system, and differs from call to call
        Random(Cell::new(std::array::from_fn(|i| RandomState::new().hash_one(i) | 1)))
    }

    /// The next 64 bits.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        let [a, b, c, d] = self.0.get();
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        let (b2, a2) = (b ^ c, a ^ d);
        self.0.set([a2, b2, c ^ (b << 17), d.rotate_left(45)]);
        result
    }
}
