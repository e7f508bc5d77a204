//! Latencies in log-linear buckets: four to an octave, from 16 µs to over a minute, so that a percentile read from them is
//! within an eighth of the truth.

use std::sync::OnceLock;

use super::counters::Count;

/// The first bucket holds everything up to this many microseconds: 2^4.
const FIRST_OCTAVE: u32 = 4;
/// The last bucket holds everything from 2^26 µs, 67 s, on.
const OCTAVES: u32 = 22;
const BUCKETS: usize = (OCTAVES * 4) as usize + 2;

/// A histogram with one writer. It takes room from the first latency on.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: OnceLock<Box<[Count]>>,
    sum: Count,
}

#[inline]
fn bucket(micros: u64) -> usize {
    if micros < 1 << FIRST_OCTAVE {
        return 0;
    }
    let octave = 63 - micros.leading_zeros();
    if octave >= FIRST_OCTAVE + OCTAVES {
        return BUCKETS - 1;
    }
    let quarter = (micros >> (octave - 2)) & 3;
    ((octave - FIRST_OCTAVE) * 4) as usize + quarter as usize + 1
}

/// The upper edge of a bucket in microseconds, exclusive.
fn edge(bucket: usize) -> u64 {
    let octave = FIRST_OCTAVE + (bucket as u32) / 4;
    (4 + bucket as u64 % 4) << (octave - 2)
}

impl Histogram {
    #[inline]
    pub(crate) fn record(&self, micros: u64) {
        let buckets = self.buckets.get_or_init(|| (0..BUCKETS).map(|_| Count::default()).collect());
        if let Some(count) = buckets.get(bucket(micros)) {
            count.add(1);
        }
        self.sum.add(micros);
    }
}

/// The sum of several histograms.
#[derive(Clone, Default)]
pub(crate) struct Merged {
    counts: Vec<u64>,
    /// Sum of all latencies in microseconds.
    pub(crate) sum: u64,
    /// Number of latencies.
    pub(crate) count: u64,
}

impl Merged {
    pub(crate) fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Merged {
        let mut merged = Merged { counts: vec![0; BUCKETS], ..Merged::default() };
        for histogram in histograms {
            for (into, from) in merged.counts.iter_mut().zip(histogram.buckets.get().into_iter().flatten()) {
                *into += from.read();
            }
            merged.sum += histogram.sum.read();
        }
        merged.count = merged.counts.iter().sum();
        merged
    }

    /// What has come on top of what was there before.
    pub(crate) fn since(&self, before: &Merged) -> Merged {
        let count = |i: usize| before.counts.get(i).copied().unwrap_or(0);
        let counts = self.counts.iter().enumerate().map(|(i, now)| now.saturating_sub(count(i))).collect();
        Merged { counts, sum: self.sum.saturating_sub(before.sum), count: self.count.saturating_sub(before.count) }
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Merged) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(into, from)| *into += from);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// A share of it, from 0 to 1.
    pub(crate) fn scale(&mut self, share: f64) {
        let scaled = |n: u64| (n as f64 * share) as u64;
        self.counts.iter_mut().for_each(|count| *count = scaled(*count));
        self.sum = scaled(self.sum);
        self.count = self.counts.iter().sum();
    }

    /// (upper edge in seconds, count within this bucket), two buckets to an octave, the last without an edge.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let (body, last) = self.counts.split_at(BUCKETS - 1);
        let mut out: Vec<(f64, u64)> = Vec::with_capacity(BUCKETS / 2 + 2);
        let mut pending = 0;
        for (i, count) in body.iter().enumerate() {
            pending += count;
            if i % 2 == 0 {
                out.push((edge(i) as f64 / 1e6, pending));
                pending = 0;
            }
        }
        out.push((f64::MAX, pending + last.iter().sum::<u64>()));
        out
    }

    /// The latency in microseconds under which this share of the requests lies, interpolated; 0 when there were none.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let rank = (self.count as f64 * share).max(1.0);
        let mut below = 0u64;
        for (i, count) in self.counts.iter().enumerate() {
            if *count > 0 && (below + count) as f64 >= rank {
                let low = if i == 0 { 0 } else { edge(i - 1) };
                let within = (rank - below as f64) / *count as f64;
                return low + ((edge(i).saturating_sub(low)) as f64 * within) as u64;
            }
            below += count;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_meet_their_edges() {
        for micros in (0..200_000).chain([1 << 20, (1 << 26) - 1, 1 << 26, u64::MAX]) {
            let bucket = bucket(micros);
            if bucket < BUCKETS - 1 {
                assert!(micros < edge(bucket), "{micros} in bucket {bucket} below {}", edge(bucket));
            }
            assert!(bucket == 0 || micros >= edge(bucket - 1), "{micros} in bucket {bucket}");
        }
    }

    #[test]
    fn quantiles_are_within_an_eighth() {
        let histogram = Histogram::default();
        (1..=10_000).for_each(|micros| histogram.record(micros));
        let merged = Merged::of([&histogram]);
        for (share, truth) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.99, 9_900.0)] {
            let found = merged.quantile(share) as f64;
            assert!((found / truth - 1.0).abs() < 0.125, "{share}: {found}");
        }
        assert_eq!(merged.count, 10_000);
    }
}
