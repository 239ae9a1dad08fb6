//! A queue of bytes that is cheap without optimisation.
//!
//! Owns the bytes; must not know whose they are. Invariant: what was pushed comes out once, in
//! order.

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Fifo {
    bytes: Vec<u8>,
    head: usize,
}

impl Fifo {
    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts bytes at the end.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.head > 64 * 1024 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes `n` bytes, which must be there.
    pub(crate) fn take(&mut self, n: usize) -> Vec<u8> {
        let taken = self.bytes[self.head..self.head + n].to_vec();
        self.skip(n);
        taken
    }

    /// Copies what fits, and takes nothing.
    pub(crate) fn peek(&self, into: &mut [u8]) -> usize {
        let n = self.len().min(into.len());
        into[..n].copy_from_slice(&self.bytes[self.head..self.head + n]);
        n
    }

    /// Forgets `n` bytes, which must be there.
    pub(crate) fn skip(&mut self, n: usize) {
        self.head += n;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.head = 0;
    }
}
