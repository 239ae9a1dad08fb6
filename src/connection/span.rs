//! The used part of a fixed buffer half: where it starts and ends.
//!
//! Owns two 16-bit offsets. Invariant: `start <= end`; an empty span stands at 0 after `compact`.

/// Offsets into a buffer half of at most 65,535 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        let narrow = |at| u16::try_from(at).unwrap_or(u16::MAX);
        let (start, end) = (narrow(start), narrow(end));
        if end <= start {
            return Self::default();
        }
        Self { start, end }
    }

    pub(super) fn len(self) -> usize {
        usize::from(self.end.saturating_sub(self.start))
    }

    /// Where they end in their half.
    pub(super) fn end(self) -> usize {
        self.end.into()
    }

    pub(super) fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The bytes.
    pub(super) fn of(self, half: &[u8]) -> &[u8] {
        half.get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or_default()
    }

    /// The free part behind the bytes.
    pub(super) fn tail(self, half: &mut [u8]) -> &mut [u8] {
        half.get_mut(usize::from(self.end)..).unwrap_or_default()
    }

    /// `n` bytes were written behind; false if they cannot have been.
    pub(super) fn grow(&mut self, n: usize, capacity: usize) -> bool {
        let end = usize::from(self.end).saturating_add(n);
        let fits = end <= capacity;
        if fits {
            self.extend(n);
        }
        fits
    }

    /// `n` bytes were written behind.
    pub(super) fn extend(&mut self, n: usize) {
        self.end = self
            .end
            .saturating_add(u16::try_from(n).unwrap_or(u16::MAX));
    }

    /// `n` bytes at the front are done with.
    pub(super) fn consume(&mut self, n: usize) {
        let n = u16::try_from(n.min(self.len())).unwrap_or(u16::MAX);
        self.start += n;
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Moves the bytes to the front of their half.
    pub(super) fn compact(&mut self, half: &mut [u8]) {
        if self.start == 0 {
            return;
        }
        half.copy_within(usize::from(self.start)..usize::from(self.end), 0);
        self.end -= self.start;
        self.start = 0;
    }
}
