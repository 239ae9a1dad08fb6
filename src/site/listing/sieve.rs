//! From the records of a directory to names worth keeping.
//!
//! Owns what is left out and what must be looked at to know its class. It must not keep a name.
//! Invariant: a look at a file costs one of `looks`; when they are spent, the reading stops behind
//! the name that took the last.

use super::smallest::{Class, Key, Smallest, compare};
use super::view::{Home, View};
use crate::site::names::Name;
use crate::site::path::NAME_BYTES;
use crate::sys::directory::{self, Entries, Entry};
use crate::sys::file::Kind;
use std::io;
use std::os::fd::BorrowedFd;

impl Class {
    /// The class of a kind; what is neither directory nor regular file has none.
    pub(super) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Directory => Some(Self::Directory),
            Kind::Regular => Some(Self::File),
            Kind::Symlink | Kind::Other => None,
        }
    }
}

/// What one step sifts with.
pub(super) struct Sieve<'s, V> {
    /// Where names go.
    pub(super) names: &'s mut Smallest,
    /// The directory.
    pub(super) home: &'s Home,
    /// Names up to here are done.
    pub(super) after: Key<'s>,
    /// The same directory, open.
    pub(super) directory: BorrowedFd<'s>,
    /// What may be shown.
    pub(super) view: &'s V,
    /// How many names may still be looked at.
    pub(super) looks: usize,
}

impl<V: View> Sieve<'_, V> {
    /// Offers what is worth showing. A directory is read on from where this stops.
    pub(super) fn sift(&mut self, entries: Entries<'_>) -> io::Result<()> {
        for entry in entries {
            self.consider(&entry);
            if self.looks == 0 {
                return directory::seek(self.directory, entry.next);
            }
        }
        Ok(())
    }

    fn consider(&mut self, entry: &Entry<'_>) {
        let name = entry.name;
        // Some file systems have longer names than the kernel's calls take.
        let none = matches!(name, b"." | b"..") || name.len() > NAME_BYTES;
        if none || self.view.hides(self.home, name) {
            return;
        }
        let class = match entry.hint {
            Some(Kind::Symlink) | None => self.look(name),
            Some(kind) => Class::of(kind),
        };
        if let Some(class) = class.filter(|class| self.is_behind((*class, name))) {
            self.names.offer((class, name));
        }
    }

    /// The class of a name that is a link, or of which the file system does not say what it is. It
    /// is asked only if the name could be held in one of them.
    fn look(&mut self, name: &[u8]) -> Option<Class> {
        let keys = [(Class::Directory, name), (Class::File, name)];
        let after = self.after;
        let mut wanted = |key| compare(after, key).is_lt() && self.names.wants(key);
        if !keys.into_iter().any(&mut wanted) {
            return None;
        }
        self.looks = self.looks.saturating_sub(1);
        let name = Name::new(name).ok()?;
        let stat = self.view.look(self.home, self.directory, &name)?;
        Class::of(stat.kind)
    }

    fn is_behind(&self, key: Key<'_>) -> bool {
        compare(self.after, key).is_lt()
    }
}
