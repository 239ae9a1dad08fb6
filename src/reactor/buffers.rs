//! The buffer pool: every byte that is received has a home before it is read.
//!
//! Owns all buffers, allocated once. Each has an input and an output half, taken and given back
//! together, so that nobody who holds one waits for the other. It must not know connections.
//! Invariants: a buffer is either free or held by one slot; the last [`RESERVE`] are only for
//! requests that are known to be whole; those that are kept for `status.socket` go to nobody else.

/// Buffers that half-sent heads cannot take: a client whose request has arrived whole is served
/// although all others are held by clients that do not finish theirs.
pub(super) const RESERVE: usize = 2;

/// The pool. Last in, first out, so that the buffer in use is the one in the cache.
#[derive(Debug)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    half: usize,
    /// How many are kept for whole requests.
    reserve: usize,
    free: Vec<u16>,
    count: usize,
    /// Those for `status.socket`, behind the others.
    kept: Vec<u16>,
    kept_count: usize,
    /// The most of the others that were taken at once.
    peak: usize,
}

impl Buffers {
    /// `count` buffers of two halves of `half` bytes, for `slots` connections. Nobody waits where
    /// each has one of its own, so nothing is reserved there. `kept` more are for `status.socket`.
    #[must_use]
    pub(super) fn new(count: u16, half: u16, slots: u16, kept: u16) -> Self {
        let half = usize::from(half);
        let last = usize::from(count).saturating_sub(1);
        let reserve = if count < slots { RESERVE.min(last) } else { 0 };
        let free: Vec<u16> = (0..count).rev().collect();
        Self {
            bytes: vec![0; (usize::from(count) + usize::from(kept)) * 2 * half],
            half,
            reserve,
            free,
            count: usize::from(count),
            kept: (count..count.saturating_add(kept)).collect(),
            kept_count: usize::from(kept),
            peak: 0,
        }
    }

    /// Takes a buffer; `whole`: the request is known to be whole, so the reserve is open.
    pub(super) fn take(&mut self, whole: bool) -> Option<u16> {
        let kept = if whole { 0 } else { self.reserve };
        if self.free.len() <= kept {
            return None;
        }
        let buffer = self.free.pop();
        self.peak = self.peak.max(self.used());
        buffer
    }

    /// Takes one of those for `status.socket`.
    pub(super) fn take_kept(&mut self) -> Option<u16> {
        self.kept.pop()
    }

    /// Gives one back.
    pub(super) fn give(&mut self, buffer: u16) {
        let common = usize::from(buffer) < self.count;
        let (free, count) = match common {
            true => (&mut self.free, self.count),
            false => (&mut self.kept, self.kept_count),
        };
        debug_assert!(!free.contains(&buffer), "a buffer given back twice");
        if free.len() < count {
            free.push(buffer);
        }
    }

    /// The input and the output half.
    pub(super) fn halves(&mut self, buffer: u16) -> (&mut [u8], &mut [u8]) {
        let start = usize::from(buffer) * 2 * self.half;
        let both = self
            .bytes
            .get_mut(start..start + 2 * self.half)
            .unwrap_or_default();
        both.split_at_mut_checked(self.half).unwrap_or_default()
    }

    /// The next that comes home goes into the reserve.
    #[must_use]
    pub(super) fn is_short(&self) -> bool {
        self.free.len() < self.reserve
    }

    /// How many are free, in all.
    #[must_use]
    pub(super) fn free(&self) -> usize {
        self.free.len() + self.kept.len()
    }

    /// How many there are, in all.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.count + self.kept_count
    }

    /// How many there are but those for `status.socket`.
    #[must_use]
    pub(super) fn common(&self) -> usize {
        self.count
    }

    /// How many of them are taken.
    #[must_use]
    pub(super) fn used(&self) -> usize {
        self.count.saturating_sub(self.free.len())
    }

    /// The most of them that were taken at once.
    #[must_use]
    pub(super) fn peak(&self) -> usize {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_for_whole_requests() {
        let mut pool = Buffers::new(4, 16, 5, 1);
        assert!(pool.take(false).is_some());
        let second = pool.take(false).expect("two are not reserved");
        assert_eq!(pool.take(false), None);
        assert!(pool.take(true).is_some());
        assert!(pool.take(true).is_some());
        assert_eq!(pool.take(true), None);
        let kept = pool.take_kept().expect("one is kept");
        assert_eq!(pool.take_kept(), None);
        pool.give(kept);
        assert_eq!(pool.take(true), None, "it is for nobody else");
        pool.give(second);
        assert_eq!(pool.take(false), None);
        assert_eq!(pool.take(true), Some(second));
        assert_eq!(pool.take_kept(), Some(kept));
        assert_eq!(
            (pool.free(), pool.count(), pool.used(), pool.peak()),
            (0, 5, 4, 4)
        );
    }

    #[test]
    fn where_each_slot_has_a_buffer_none_is_reserved() {
        let mut pool = Buffers::new(4, 16, 4, 0);
        assert!((0..4).all(|_| pool.take(false).is_some()));
    }

    #[test]
    fn halves_do_not_overlap() {
        let mut pool = Buffers::new(3, 8, 3, 0);
        for buffer in 0..3_u16 {
            let (input, output) = pool.halves(buffer);
            input.fill(u8::try_from(buffer).unwrap() * 2);
            output.fill(u8::try_from(buffer).unwrap() * 2 + 1);
        }
        for buffer in 0..3_u16 {
            let (input, output) = pool.halves(buffer);
            assert_eq!((input.len(), output.len()), (8, 8));
            assert!(input.iter().all(|b| u16::from(*b) == buffer * 2));
            assert!(output.iter().all(|b| u16::from(*b) == buffer * 2 + 1));
        }
    }
}
