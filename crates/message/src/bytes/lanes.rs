//! Many bytes tested at once: sixteen with SSE2, which every x86-64 processor has, eight in a register elsewhere.
//!
//! A test is exact for each byte, whatever its neighbours are.

use std::ops::{BitAnd, BitOr, Not};

#[cfg(target_arch = "x86_64")]
pub(super) use sse2::{Lanes, Mask};
#[cfg(not(target_arch = "x86_64"))]
pub(super) use word::{Lanes, Mask};

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a call of a vector instruction is unsafe where it is not known to exist")]
mod sse2 {
    // SAFETY, for each block below: SSE2 is part of x86-64, and these instructions have no other precondition; they work
    // on values, never through pointers.
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8, _mm_xor_si128,
    };

    use super::{BitAnd, BitOr, Not};

    /// Sixteen bytes.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes(__m128i);

    /// Which of them passed a test: all bits of their byte.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Mask(__m128i);

    impl Lanes {
        pub(in super::super) const WIDTH: usize = 16;

        /// Those from offset `at` on, if there are as many.
        #[inline(always)]
        pub(in super::super) fn at(bytes: &[u8], at: usize) -> Option<Lanes> {
            let (low, rest) = bytes.get(at..)?.split_first_chunk::<8>()?;
            let high = rest.first_chunk::<8>()?;
            // becomes one load
            Some(Lanes(unsafe { _mm_set_epi64x(i64::from_le_bytes(*high), i64::from_le_bytes(*low)) }))
        }

        /// With bit 5 set, which makes letters lower case.
        #[inline(always)]
        pub(in super::super) fn lower(self) -> Lanes {
            Lanes(unsafe { _mm_or_si128(self.0, _mm_set1_epi8(0x20)) })
        }

        /// Bytes from `low` to `high`, both included.
        #[inline(always)]
        pub(in super::super) fn within(self, low: u8, high: u8) -> Mask {
            let span = (high - low).cast_signed();
            Mask(unsafe {
                let above = _mm_sub_epi8(self.0, _mm_set1_epi8(low.cast_signed()));
                _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(span)), above)
            })
        }

        /// Bytes that are `b`.
        #[inline(always)]
        pub(in super::super) fn is(self, b: u8) -> Mask {
            Mask(unsafe { _mm_cmpeq_epi8(self.0, _mm_set1_epi8(b.cast_signed())) })
        }
    }

    impl Mask {
        /// Index of the first byte that passed.
        #[inline(always)]
        pub(in super::super) fn first(self) -> Option<usize> {
            let bits = unsafe { _mm_movemask_epi8(self.0) };
            if bits == 0 { None } else { Some(bits.trailing_zeros() as usize) }
        }

        /// Index of the first byte from the one of index `from` on that passed.
        #[inline(always)]
        pub(in super::super) fn first_from(self, from: usize) -> Option<usize> {
            let bits = unsafe { _mm_movemask_epi8(self.0) }.checked_shr(from as u32).unwrap_or(0);
            if bits == 0 { None } else { Some(from + bits.trailing_zeros() as usize) }
        }
    }

    impl BitAnd for Mask {
        type Output = Mask;

        #[inline(always)]
        fn bitand(self, other: Mask) -> Mask {
            Mask(unsafe { _mm_and_si128(self.0, other.0) })
        }
    }

    impl BitOr for Mask {
        type Output = Mask;

        #[inline(always)]
        fn bitor(self, other: Mask) -> Mask {
            Mask(unsafe { _mm_or_si128(self.0, other.0) })
        }
    }

    impl Not for Mask {
        type Output = Mask;

        #[inline(always)]
        fn not(self) -> Mask {
            Mask(unsafe { _mm_xor_si128(self.0, _mm_set1_epi8(-1)) })
        }
    }
}

/// Compiled for the tests too, so that it is held to the same results on every machine.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) mod word {
    use super::{BitAnd, BitOr, Not};

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    /// Eight bytes.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes(u64);

    /// Which of them passed a test: the high bit of their byte. The other bits say nothing.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Mask(u64);

    impl Lanes {
        pub(in super::super) const WIDTH: usize = 8;

        /// Those from offset `at` on, if there are as many.
        #[inline(always)]
        pub(in super::super) fn at(bytes: &[u8], at: usize) -> Option<Lanes> {
            Some(Lanes(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?)))
        }

        /// With bit 5 set, which makes letters lower case.
        #[inline(always)]
        pub(in super::super) fn lower(self) -> Lanes {
            Lanes(self.0 | (ONES * 0x20))
        }

        /// Bytes of `n` and above, of those below 0x80: a sum of seven bits each, so that none carries into the next.
        #[inline(always)]
        fn from(self, n: u8) -> u64 {
            (self.0 & !HIGH).wrapping_add(ONES * u64::from(0x80 - n))
        }

        /// Bytes from `low` to `high`, both included and below 0x80.
        #[inline(always)]
        pub(in super::super) fn within(self, low: u8, high: u8) -> Mask {
            Mask(self.from(low) & !self.from(high + 1) & !self.0)
        }

        /// Bytes that are `b`, which is below 0x80.
        #[inline(always)]
        pub(in super::super) fn is(self, b: u8) -> Mask {
            self.within(b, b)
        }
    }

    impl Mask {
        /// Index of the first byte that passed.
        #[inline(always)]
        pub(in super::super) fn first(self) -> Option<usize> {
            let hits = self.0 & HIGH;
            if hits == 0 { None } else { Some((hits.trailing_zeros() / 8) as usize) }
        }

        /// Index of the first byte from the one of index `from` on that passed.
        #[inline(always)]
        pub(in super::super) fn first_from(self, from: usize) -> Option<usize> {
            let hits = (self.0 & HIGH).checked_shr(8 * from as u32).unwrap_or(0);
            if hits == 0 { None } else { Some(from + (hits.trailing_zeros() / 8) as usize) }
        }
    }

    impl BitAnd for Mask {
        type Output = Mask;

        #[inline(always)]
        fn bitand(self, other: Mask) -> Mask {
            Mask(self.0 & other.0)
        }
    }

    impl BitOr for Mask {
        type Output = Mask;

        #[inline(always)]
        fn bitor(self, other: Mask) -> Mask {
            Mask(self.0 | other.0)
        }
    }

    impl Not for Mask {
        type Output = Mask;

        #[inline(always)]
        fn not(self) -> Mask {
            Mask(!self.0)
        }
    }
}
