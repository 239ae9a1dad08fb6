//! Who looks at directories for the cache.
//!
//! Owns the watches of the kernel, and a mark for each. It must not know what is kept. Invariants:
//! a mark stands for one directory, and is free again when that has changed or nothing kept has it;
//! a directory without a mark is only not looked at.

use crate::config::CACHE_DIRECTORIES;
use crate::sys::inotify::{self, Told, Watch};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// As many directories are watched as a set of marks has bits.
const MARKS: usize = 64;
const _: () = assert!(CACHE_DIRECTORIES == 64);

/// A set of directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::site) struct Marks(u64);

impl Marks {
    pub(super) const NONE: Self = Self(0);

    const fn of(at: usize) -> Self {
        Self(1 << at)
    }

    /// Both.
    #[must_use]
    pub(in crate::site) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// See the module.
#[derive(Debug)]
pub(in crate::site) struct Eyes {
    queue: Option<OwnedFd>,
    watched: [Cell<Option<Watch>>; MARKS],
    /// Where events are read into.
    room: Vec<u8>,
}

impl Eyes {
    /// What they take, bytes.
    pub(super) const BYTES: usize = size_of::<Self>() + inotify::ROOM_BYTES;

    /// They see nothing where the kernel has no inotify for us.
    pub(super) fn open() -> Self {
        Self {
            queue: inotify::queue().ok(),
            room: vec![0; inotify::ROOM_BYTES],
            ..Self::shut()
        }
    }

    /// They see nothing.
    pub(super) fn shut() -> Self {
        Self {
            queue: None,
            watched: [const { Cell::new(None) }; MARKS],
            room: Vec::new(),
        }
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.queue.as_ref().map(AsFd::as_fd)
    }

    /// From now on they look at this directory, if they can.
    pub(in crate::site) fn watch(&self, directory: BorrowedFd<'_>) -> Marks {
        let Some(queue) = self.fd() else {
            return Marks::NONE;
        };
        let Ok(watch) = inotify::watch(queue, directory) else {
            return Marks::NONE;
        };
        let place = |wanted| self.watched.iter().position(|cell| cell.get() == wanted);
        let known = place(Some(watch)).or_else(|| {
            let free = place(None)?;
            self.watched.get(free)?.set(Some(watch));
            Some(free)
        });
        match known {
            Some(at) => Marks::of(at),
            None => {
                inotify::forget(queue, watch);
                Marks::NONE
            }
        }
    }

    /// When half of the marks are given away, those that nobody in `kept` has become free.
    pub(super) fn sweep(&self, kept: impl Iterator<Item = Marks>) {
        let is_free = |cell: &&Cell<Option<Watch>>| cell.get().is_none();
        if self.watched.iter().filter(is_free).count() >= MARKS / 2 {
            return;
        }
        let used = kept.fold(Marks::NONE, Marks::with);
        for (at, cell) in self.watched.iter().enumerate() {
            if let (Some(queue), Some(watch), false) =
                (self.fd(), cell.get(), used.meet(Marks::of(at)))
            {
                inotify::forget(queue, watch);
                cell.set(None);
            }
        }
    }

    /// What some events say: directories that have changed, or `Some(None)` if anything may have.
    /// `None`: there are no more.
    pub(super) fn look(&mut self) -> Option<Option<Marks>> {
        let queue = self.queue.as_ref()?;
        let bytes = inotify::read(queue.as_fd(), &mut self.room).ok()?;
        let mut changed = Marks::NONE;
        for told in inotify::told(self.room.get(..bytes).unwrap_or_default()) {
            let Told::Changed(watch) = told else {
                self.forget_all();
                return Some(None);
            };
            let place = |cell: &Cell<Option<Watch>>| cell.get() == Some(watch);
            if let Some(at) = self.watched.iter().position(place) {
                changed = changed.with(Marks::of(at));
                if let Some(cell) = self.watched.get(at) {
                    cell.set(None);
                }
            }
        }
        Some(Some(changed))
    }

    fn forget_all(&self) {
        for cell in &self.watched {
            if let (Some(queue), Some(watch)) = (self.fd(), cell.take()) {
                inotify::forget(queue, watch);
            }
        }
    }
}
