//! Text in a fixed buffer.
//!
//! Owns the one growing thing of the answer path, which does not allocate. It must not know what is
//! written into it. Invariant: a write that does not fit changes nothing and says so.

use std::fmt;

/// It did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Up to `N` bytes.
#[derive(Clone, Debug)]
pub(super) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// What was written.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// How much was written.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Nothing was written.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends all of `part` or nothing.
    pub(super) fn push(&mut self, part: &[u8]) -> Result<(), Full> {
        let end = self.len.checked_add(part.len()).ok_or(Full)?;
        self.bytes
            .get_mut(self.len..end)
            .ok_or(Full)?
            .copy_from_slice(part);
        self.len = end;
        Ok(())
    }

    /// Cuts back to `len` bytes; a larger `len` changes nothing.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Takes off the last part between slashes and the slash before it; false if there was none.
    pub(super) fn pop_segment(&mut self) -> bool {
        if self.is_empty() {
            return false;
        }
        let cut = self
            .as_bytes()
            .iter()
            .rposition(|&b| b == b'/')
            .unwrap_or(0);
        self.truncate(cut);
        true
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.push(part.as_bytes()).map_err(|Full| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, Text};

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut text = Text::<4>::new();
        assert_eq!(text.push(b"abc"), Ok(()));
        assert_eq!(text.push(b"de"), Err(Full));
        assert_eq!(text.as_bytes(), b"abc");
        assert_eq!(text.push(b"d"), Ok(()));
        assert_eq!((text.as_bytes(), text.len()), (&b"abcd"[..], 4));
        assert_eq!(text.push(b""), Ok(()));
    }

    #[test]
    fn segments_come_off_one_by_one() {
        let mut text = Text::<16>::new();
        assert_eq!(text.push(b"a/bc/d"), Ok(()));
        for left in [&b"a/bc"[..], b"a", b""] {
            assert!(text.pop_segment());
            assert_eq!(text.as_bytes(), left);
        }
        assert!(!text.pop_segment());
    }
}
