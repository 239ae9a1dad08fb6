//! From the root to a file, one name at a time.
//!
//! Owns the way through the file system and the policy on symbolic links. It must not know requests
//! or replies. Invariants: the kernel is never given more than one name at once and never follows a
//! link for us, so the result is the same on every kernel (openat2 is from Linux 5.6); under
//! [`Symlinks::Within`] and [`Symlinks::None`] no step leads out of the root, not even one that
//! comes back; nothing but a regular file or a directory is ever opened for reading, so no FIFO or
//! device can block or act; the work for one request is bounded.

mod refusal;
mod tree;

pub(super) use refusal::{Refusal, refusal};
pub(in crate::site) use tree::Tree;

use super::cache::Marks;
use super::names::{Name, Rest};
use super::path::PATH_BYTES;
use super::stage;
use super::text::Text;
use crate::config::Symlinks;
use crate::sys::directory;
use crate::sys::file::{self, Kind, Stat};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Most symbolic links on one way; the kernel's own limit is 40.
const HOPS: u8 = 16;
/// Most names looked up for one request, those of links and of repeated ways included. Paths of
/// real sites have less than 20.
const STEPS: u16 = 256;
/// The longest target of a symbolic link that is followed, bytes.
const LINK_BYTES: usize = 1024;

/// The end of a way.
#[derive(Debug)]
pub(super) enum Found {
    /// A regular file, open for reading.
    File(Opened),
    /// A directory.
    Directory,
}

/// An open regular file and what the kernel says about it since it is open.
#[derive(Debug)]
pub(super) struct Opened {
    /// The file.
    pub(super) file: OwnedFd,
    /// Its size and times.
    pub(super) stat: Stat,
}

/// The first regular file on a way.
pub(super) struct Program {
    /// Where it lies, open by name alone.
    pub(super) directory: OwnedFd,
    /// What it is called there.
    pub(super) name: Name,
    /// Not opened: what it was a moment ago.
    pub(super) stat: Stat,
    /// Bytes of the path that are left behind it.
    pub(super) left: usize,
}

/// A way half gone.
pub(super) struct Walk<'s> {
    tree: Tree<'s>,
    /// Where it begins: the root, but for the links of siblings.
    start: BorrowedFd<'s>,
    /// The directory reached; none is the start.
    at: Option<OwnedFd>,
    /// The names from the root to `at`, free of links: what `..` goes back along. Unused when
    /// following links freely, for then `at` may lie anywhere.
    done: Text<PATH_BYTES>,
    /// The names still to go.
    rest: Rest,
    /// The name of the file at its end.
    last: Name,
    hops: u8,
    steps: u16,
    /// What the eyes look at since this walk was made.
    marks: Cell<Marks>,
}

impl Walk<'_> {
    /// The first regular file on the way that `path` and `name` are, which may have names behind
    /// it; none if all of it is a directory. It is not opened: who may run a program need not read
    /// it.
    pub(super) fn find(&mut self, path: &[u8], name: &[u8]) -> Result<Option<Program>, Refusal> {
        self.begin(path, name)?;
        self.rest.is_own();
        let Some((found, stat)) = self.go(true)? else {
            return Ok(None);
        };
        let left = self.rest.left()?;
        let directory = match self.at.take() {
            Some(directory) => directory,
            None => self.start.try_clone_to_owned().map_err(|e| refusal(&e))?,
        };
        Ok(Some(Program {
            directory,
            name: found,
            stat,
            left,
        }))
    }

    fn begin(&mut self, path: &[u8], name: &[u8]) -> Result<(), Refusal> {
        self.restart();
        self.rest.clear();
        self.hops = HOPS;
        self.steps = STEPS;
        self.rest.prepend(name)?;
        self.rest.prepend(path)
    }

    /// What `path`, and in it `name`, leads to. Both are relative to the root; `name` may be empty.
    pub(super) fn open(&mut self, path: &[u8], name: &[u8]) -> Result<Found, Refusal> {
        self.begin(path, name)?;
        self.run()
    }

    /// The regular file beside the one that was found, its name that one's with `suffix` behind
    /// it. It may be a link, by the same policy and with what is left of the same bounds.
    ///
    /// "Beside" is where links led: there lies what belongs to these bytes. Nothing is walked
    /// again for it: one failed statx if there is none; statx, openat, statx if there is one.
    pub(super) fn sibling(&self, suffix: &[u8]) -> Option<Opened> {
        let name = self.last.with(suffix).ok()?;
        let stat = file::stat_at(self.here(), name.as_c_str().ok()?).ok()?;
        match stat.kind {
            Kind::Regular => open(self.here(), &name).ok(),
            Kind::Symlink => self.beside(&name).ok(),
            Kind::Directory | Kind::Other => None,
        }
    }

    /// Goes on from here to the link `name` without losing the way.
    fn beside(&self, name: &Name) -> Result<Opened, Refusal> {
        let mut walk = Walk {
            start: self.here(),
            done: self.done.clone(),
            hops: self.hops,
            steps: self.steps,
            ..self.tree.walk()
        };
        walk.rest.prepend(name.as_bytes())?;
        let found = walk.run();
        self.marks.set(self.marks.get().with(walk.marks.get()));
        match found? {
            Found::File(opened) => Ok(opened),
            Found::Directory => Err(Refusal::Missing),
        }
    }

    /// The directory reached, for reading its names.
    pub(super) fn list(&self) -> Result<OwnedFd, Refusal> {
        directory::open(self.here(), c".").map_err(|e| refusal(&e))
    }

    /// The directory reached, for changing names in it.
    pub(super) fn keep(&self) -> Result<OwnedFd, Refusal> {
        file::open_directory(self.here(), c".").map_err(|e| refusal(&e))
    }

    /// The names from the root to the directory reached, free of links; empty when links are
    /// followed freely.
    pub(super) fn way(&self) -> &[u8] {
        self.done.as_bytes()
    }

    /// The name of the file reached, links followed.
    pub(super) fn name(&self) -> &[u8] {
        self.last.as_bytes()
    }

    fn run(&mut self) -> Result<Found, Refusal> {
        let Some((name, _)) = self.go(false)? else {
            return Ok(Found::Directory);
        };
        let opened = open(self.here(), &name)?;
        self.last = name;
        Ok(Found::File(opened))
    }

    /// Goes to the end: the name and state of the regular file there, not opened, or nothing if it
    /// is the directory reached. `first`: the first regular file is the end.
    fn go(&mut self, first: bool) -> Result<Option<(Name, Stat)>, Refusal> {
        while let Some(name) = self.rest.take()? {
            self.steps = self.steps.checked_sub(1).ok_or(Refusal::Missing)?;
            if name.is_parent() {
                self.ascend()?;
                continue;
            }
            if stage::is_reserved(name.as_bytes()) {
                return Err(Refusal::Missing);
            }
            let stat = file::stat_at(self.here(), name.as_c_str()?).map_err(|e| refusal(&e))?;
            let last = self.rest.is_empty();
            let ends = last || first;
            match stat.kind {
                Kind::Directory if self.tree.hides(&stat) => return Err(Refusal::Missing),
                Kind::Directory => self.descend(&name)?,
                Kind::Symlink => self.follow(&name)?,
                Kind::Regular if ends => return Ok(Some((name, stat))),
                Kind::Other if last => return Err(Refusal::Forbidden),
                // ENOTDIR in the kernel's words.
                Kind::Regular | Kind::Other => return Err(Refusal::Missing),
            }
        }
        Ok(None)
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.at.as_ref().map_or(self.start, AsFd::as_fd)
    }

    /// The directories that the eyes look at, siblings' links included.
    pub(super) fn marks(&self) -> Marks {
        self.marks.get()
    }

    /// Names are looked up there from now on; nothing is the start.
    fn arrive(&mut self, at: Option<OwnedFd>) {
        self.at = at;
        if let Some(eyes) = self.tree.eyes {
            let here = eyes.watch(self.here());
            self.marks.set(self.marks.get().with(here));
        }
    }

    fn descend(&mut self, name: &Name) -> Result<(), Refusal> {
        let next = file::open_directory(self.here(), name.as_c_str()?).map_err(|e| refusal(&e))?;
        self.arrive(Some(next));
        if self.follows() {
            return Ok(());
        }
        if !self.done.is_empty() {
            self.done.push(b"/").map_err(|_| Refusal::Missing)?;
        }
        self.done
            .push(name.as_bytes())
            .map_err(|_| Refusal::Missing)
    }

    /// `..`, which only links and configured index names can hold. Where the root is the limit, the
    /// way to the parent is gone again from the root instead of asking the kernel for it: a
    /// directory moved out of the root meanwhile would have a parent outside.
    fn ascend(&mut self) -> Result<(), Refusal> {
        if self.follows() {
            let parent = file::open_directory(self.here(), c"..").map_err(|e| refusal(&e))?;
            self.arrive(Some(parent));
            return Ok(());
        }
        if !self.done.pop_segment() {
            return Err(Refusal::Forbidden);
        }
        self.rest.prepend(self.done.as_bytes())?;
        self.restart();
        Ok(())
    }

    /// Replaces the link `name` by its target.
    fn follow(&mut self, name: &Name) -> Result<(), Refusal> {
        if matches!(self.tree.symlinks, Symlinks::None) {
            return Err(Refusal::Forbidden);
        }
        self.hops = self.hops.checked_sub(1).ok_or(Refusal::Missing)?;
        let mut target = [0_u8; LINK_BYTES];
        let length = file::read_link_at(self.here(), name.as_c_str()?, &mut target)
            .map_err(|e| refusal(&e))?;
        // A full buffer may be a cut target.
        let target = target
            .get(..length)
            .filter(|_| length < LINK_BYTES)
            .ok_or(Refusal::Missing)?;
        if !target.starts_with(b"/") {
            return self.rest.prepend(target);
        }
        if self.follows() {
            self.rest.prepend(target)?;
            self.arrive(Some(
                file::open_root(Path::new("/")).map_err(|e| refusal(&e))?,
            ));
            return Ok(());
        }
        let inside = inside(target, self.tree.canonical).ok_or(Refusal::Forbidden)?;
        self.rest.prepend(inside)?;
        self.restart();
        Ok(())
    }

    fn restart(&mut self) {
        self.start = self.tree.root;
        self.arrive(None);
        self.done.truncate(0);
    }

    fn follows(&self) -> bool {
        matches!(self.tree.symlinks, Symlinks::Follow)
    }
}

/// Opens a regular file that was seen a moment ago, and makes sure that it still is one.
fn open(at: BorrowedFd<'_>, name: &Name) -> Result<Opened, Refusal> {
    let file = file::open_regular(at, name.as_c_str()?).map_err(|e| refusal(&e))?;
    let stat = file::stat(file.as_fd()).map_err(|e| refusal(&e))?;
    match stat.kind {
        Kind::Regular => Ok(Opened { file, stat }),
        Kind::Directory | Kind::Symlink | Kind::Other => Err(Refusal::Forbidden),
    }
}

/// What of the absolute `target` lies beneath `canonical`. The comparison is textual: a target that
/// reaches the root by another name (`/srv/./www`, another link) counts as outside.
fn inside<'t>(target: &'t [u8], canonical: &[u8]) -> Option<&'t [u8]> {
    let rest = target.strip_prefix(canonical)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

#[cfg(test)]
mod tests;
