//! How long goodbyes took, and what was read off in them.
//!
//! Owns two histograms of fixed buckets. It must not know a connection. Invariants: counting
//! allocates nothing and never overflows; every goodbye stands in one bucket of each.

/// Upper bounds of the buckets of durations, ms; behind the last is one for all the rest.
const DURATIONS_MS: [u64; 8] = [50, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];
/// Upper bounds of the buckets of what was read off, bytes; likewise.
const DRAINED_BYTES: [u64; 6] = [0, 1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20];

/// Counts by size. `N` is one more than there are bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64],
    counts: [u64; N],
    sum: u64,
}

impl<const N: usize> Histogram<N> {
    const fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: [0; N],
            sum: 0,
        }
    }

    /// One more, of this size.
    fn count(&mut self, size: u64) {
        let at = self.bounds.iter().position(|bound| size <= *bound);
        if let Some(counter) = self.counts.get_mut(at.unwrap_or(self.bounds.len())) {
            *counter = counter.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(size);
    }

    /// Each bucket: its upper bound, `None` for the rest, and how many stand in it alone.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        bounds.zip(self.counts.iter().copied())
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// All sizes together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

/// The goodbyes since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbyes {
    /// From the shutting of the write side to the close, ms.
    pub durations_ms: Histogram<{ DURATIONS_MS.len() + 1 }>,
    /// Bytes read off without being looked at.
    pub drained_bytes: Histogram<{ DRAINED_BYTES.len() + 1 }>,
}

impl Goodbyes {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            durations_ms: Histogram::new(&DURATIONS_MS),
            drained_bytes: Histogram::new(&DRAINED_BYTES),
        }
    }

    /// One is over.
    pub fn count(&mut self, duration_ms: u64, drained_bytes: u64) {
        self.durations_ms.count(duration_ms);
        self.drained_bytes.count(drained_bytes);
    }
}

impl Default for Goodbyes {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goodbye_stands_in_one_bucket() {
        let mut goodbyes = Goodbyes::new();
        for (ms, bytes) in [
            (0, 0),
            (50, 1),
            (51, 1024),
            (30_000, u64::MAX),
            (30_001, 64 << 20),
        ] {
            goodbyes.count(ms, bytes);
        }
        let counts = |buckets: &mut dyn Iterator<Item = (Option<u64>, u64)>| -> Vec<u64> {
            buckets.map(|(_, count)| count).collect()
        };
        let durations = &goodbyes.durations_ms;
        assert_eq!(
            counts(&mut durations.buckets()),
            [2, 1, 0, 0, 0, 0, 0, 1, 1]
        );
        assert_eq!((durations.total(), durations.sum()), (5, 60_102));
        let drained = &goodbyes.drained_bytes;
        assert_eq!(counts(&mut drained.buckets()), [1, 2, 0, 0, 0, 1, 1]);
        assert_eq!((drained.total(), drained.sum()), (5, u64::MAX));
        let last = goodbyes.durations_ms.buckets().last();
        assert_eq!(last, Some((None, 1)));
    }
}
