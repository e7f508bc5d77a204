//! Disjoint ranges of numbers in order, with an index that takes a lookup near its place at once.

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(crate) trait Number: Copy + Ord {
    const MAX: Self;
    const BITS: u32;
    fn successor(self) -> Option<Self>;
    fn predecessor(self) -> Option<Self>;
    /// `(self - base) >> shift`, or the most where it does not fit.
    fn place(self, base: Self, shift: u32) -> usize;
}

macro_rules! number {
    ($of:ty) => {
        impl Number for $of {
            const MAX: Self = <$of>::MAX;
            const BITS: u32 = <$of>::BITS;

            fn successor(self) -> Option<Self> {
                self.checked_add(1)
            }

            fn predecessor(self) -> Option<Self> {
                self.checked_sub(1)
            }

            #[inline]
            fn place(self, base: Self, shift: u32) -> usize {
                let place = self.saturating_sub(base).checked_shr(shift).unwrap_or(0);
                // cut off, an address would be at the place of another
                place.try_into().unwrap_or(usize::MAX)
            }
        }
    };
}

number!(u32);
number!(u128);

/// Up to so many bits of an address choose the entry of the index.
const INDEX_BITS: u32 = 16;
/// Ranges to each entry of the index, on average; below that it would cost more memory than it saves time.
const EACH: usize = 4;

/// A set of numbers. Built once, then only asked.
///
/// The index spans what lies between the first and the last range, so that sets that are all in one corner of the address
/// space are found as fast as those that are spread over it; within an entry a binary search goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges<T> {
    /// First numbers, in order.
    lows: Box<[T]>,
    /// Last numbers, inclusive.
    highs: Box<[T]>,
    /// For each entry, how many ranges begin before it; one more at the end.
    index: Box<[u32]>,
    base: T,
    shift: u32,
}

impl<T: Number> Ranges<T> {
    /// From ranges in any order, which may overlap; both ends are inclusive.
    pub(crate) fn new(ranges: Vec<(T, T)>) -> Ranges<T> {
        let merged = merge(ranges);
        let (lows, highs): (Vec<T>, Vec<T>) = merged.into_iter().unzip();
        let bits = (lows.len() / EACH).checked_ilog2().unwrap_or(0).min(INDEX_BITS);
        let (base, last) = (lows.first().copied().unwrap_or(T::MAX), lows.last().copied().unwrap_or(T::MAX));
        let mut shift = 0;
        while shift < T::BITS && last.place(base, shift) >> bits > 0 {
            shift += 1;
        }
        let entries = 1 << bits;
        let mut index = vec![0; entries + 1];
        for low in &lows {
            if let Some(count) = index.get_mut(low.place(base, shift) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut index {
            sum += *count;
            *count = sum;
        }
        Ranges { lows: lows.into(), highs: highs.into(), index: index.into(), base, shift }
    }

    /// Whether any range has it.
    #[inline]
    pub(crate) fn contain(&self, number: T) -> bool {
        if number < self.base {
            return false;
        }
        let entry = number.place(self.base, self.shift).min(self.index.len() - 2);
        let bound = |at: usize| self.index.get(at).map_or(0, |count| *count as usize);
        let (first, end) = (bound(entry), bound(entry + 1));
        let within = self.lows.get(first..end).unwrap_or(&[]).partition_point(|low| *low <= number);
        // the last range that begins no later; it may begin in an entry before
        let candidate = (first + within).checked_sub(1).and_then(|at| self.highs.get(at));
        candidate.is_some_and(|high| number <= *high)
    }

    /// Whether each number of `other` is in this set.
    pub(crate) fn cover(&self, other: &Ranges<T>) -> bool {
        other.iter().all(|(low, high)| {
            let after = self.lows.partition_point(|mine| *mine <= low);
            after.checked_sub(1).and_then(|at| self.highs.get(at)).is_some_and(|mine| high <= *mine)
        })
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (T, T)> {
        self.lows.iter().copied().zip(self.highs.iter().copied())
    }

    pub(crate) fn len(&self) -> usize {
        self.lows.len()
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.lows) + size_of_val(&*self.highs) + size_of_val(&*self.index)
    }
}

/// Sorts ranges and joins those that overlap or touch.
pub(crate) fn merge<T: Number>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match merged.last_mut() {
            Some(last) if last.1.successor().is_none_or(|next| low <= next) => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    merged
}
