//! A file of users that cannot be read, as long as that is news.
//!
//! Owns what the operator was told last. It must not log. Invariants: the same fault of the same
//! file is told once, until the file could be read in between; not more often than every
//! [`TELL_MS`]; nothing is allocated.

use super::message::FILE_MAX;
use crate::connection::time::Ms;

/// Two files that change places are told no more often than this.
const TELL_MS: u32 = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Unreadable {
    file: [u8; FILE_MAX],
    bytes: usize,
    is_news: bool,
    next: Ms,
}

impl Unreadable {
    pub(super) fn new() -> Self {
        Self {
            file: [0; FILE_MAX],
            bytes: 0,
            is_news: false,
            next: Ms(0),
        }
    }

    fn file(&self) -> &[u8] {
        self.file.get(..self.bytes).unwrap_or_default()
    }

    /// This file cannot be read.
    pub(super) fn is(&mut self, file: &[u8], now: Ms) {
        if file == self.file() || now < self.next {
            return;
        }
        let bytes = file.len().min(FILE_MAX);
        if let (Some(to), Some(from)) = (self.file.get_mut(..bytes), file.get(..bytes)) {
            to.copy_from_slice(from);
        }
        self.bytes = bytes;
        self.is_news = true;
        self.next = now.after(TELL_MS);
    }

    /// This file was read.
    pub(super) fn is_not(&mut self, file: &[u8]) {
        if file == self.file() {
            self.bytes = 0;
            self.is_news = false;
        }
    }

    /// The file that cannot be read, if that was not told yet.
    pub(super) fn news(&mut self) -> Option<&[u8]> {
        std::mem::take(&mut self.is_news).then(|| self.file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_until_it_was_mended_and_not_too_often() {
        let mut unreadable = Unreadable::new();
        assert_eq!(unreadable.news(), None);
        unreadable.is(b"/a", Ms(0));
        assert_eq!(unreadable.news(), Some(&b"/a"[..]));
        unreadable.is(b"/a", Ms(60_000));
        assert_eq!(unreadable.news(), None);
        unreadable.is_not(b"/b");
        unreadable.is(b"/a", Ms(60_000));
        assert_eq!(unreadable.news(), None);
        unreadable.is_not(b"/a");
        unreadable.is(b"/a", Ms(60_001));
        assert_eq!(unreadable.news(), Some(&b"/a"[..]));
        unreadable.is(b"/b", Ms(60_002));
        assert_eq!(unreadable.news(), None);
        unreadable.is(b"/b", Ms(70_001));
        assert_eq!(unreadable.news(), Some(&b"/b"[..]));
    }
}
