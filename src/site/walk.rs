//! From the root to a file, one name at a time.
//!
//! Owns the way through the file system and the policy on symbolic links. It must not know requests
//! or replies. Invariants: the kernel is never given more than one name at once and never follows a
//! link for us, so the result is the same on every kernel (openat2 is from Linux 5.6); under
//! [`Symlinks::Within`] and [`Symlinks::None`] no step leads out of the root, not even one that
//! comes back; nothing but a regular file or a directory is ever opened for reading, so no FIFO or
//! device can block or act; the work for one request is bounded.

use super::names::{Name, Rest};
use super::path::PATH_BYTES;
use super::text::Text;
use crate::config::Symlinks;
use crate::connection::reply::Status;
use crate::sys::directory;
use crate::sys::file::{self, Kind, Stat};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Most symbolic links on one way; the kernel's own limit is 40.
const HOPS: u8 = 16;
/// Most names looked up for one request, those of links and of repeated ways included. Paths of
/// real sites have less than 20.
const STEPS: u16 = 256;
/// The longest target of a symbolic link that is followed, bytes.
const LINK_BYTES: usize = 1024;

/// Why there is nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No such file, or what is there cannot have such a name beneath it.
    Missing,
    /// It is there, but not for us to give: permissions, the link policy, not a regular file.
    Forbidden,
    /// The system lacks descriptors or memory just now.
    Busy,
    /// The storage failed.
    Broken,
}

impl Refusal {
    /// The answer.
    pub(super) const fn status(self) -> Status {
        match self {
            Self::Missing => Status::NOT_FOUND,
            Self::Forbidden => Status::FORBIDDEN,
            Self::Busy => Status::SERVICE_UNAVAILABLE,
            Self::Broken => Status::INTERNAL_SERVER_ERROR,
        }
    }
}

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

/// The tree that is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'s> {
    /// The root, held open: a root that is moved away stays the root.
    pub(super) root: BorrowedFd<'s>,
    /// Where the root was at start, without a slash at its end. Targets of absolute links are
    /// compared with it.
    pub(super) canonical: &'s [u8],
    /// The policy.
    pub(super) symlinks: Symlinks,
}

impl<'s> Tree<'s> {
    /// A way that has not begun.
    pub(super) fn walk(self) -> Walk<'s> {
        Walk {
            tree: self,
            start: self.root,
            at: None,
            done: Text::new(),
            rest: Rest::new(),
            last: Name::EMPTY,
            hops: HOPS,
            steps: STEPS,
        }
    }

    /// What the name in `directory` is, or leads to if it is a link that the policy lets. Nothing
    /// is opened for reading. Refused: links to nowhere, and what is neither file nor directory.
    ///
    /// `way` is [`Walk::way`] of the walk that reached `directory`. Without it, links are refused
    /// where the root is the limit: nobody could say where a `..` in one leads.
    pub(super) fn look(
        self,
        directory: BorrowedFd<'_>,
        way: Option<&[u8]>,
        name: &Name,
    ) -> Result<Stat, Refusal> {
        let stat = file::stat_at(directory, name.as_c_str()?).map_err(|e| refusal(&e))?;
        match stat.kind {
            Kind::Regular | Kind::Directory => return Ok(stat),
            Kind::Other => return Err(Refusal::Forbidden),
            Kind::Symlink => {}
        }
        let mut walk = Walk {
            start: directory,
            ..self.walk()
        };
        if !walk.follows() {
            let way = way.ok_or(Refusal::Forbidden)?;
            walk.done.push(way).map_err(|_| Refusal::Missing)?;
        }
        walk.rest.prepend(name.as_bytes())?;
        match walk.go()? {
            Some((_, stat)) => Ok(stat),
            None => file::stat(walk.here()).map_err(|e| refusal(&e)),
        }
    }
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
}

impl Walk<'_> {
    /// What `path`, and in it `name`, leads to. Both are relative to the root; `name` may be empty.
    pub(super) fn open(&mut self, path: &[u8], name: &[u8]) -> Result<Found, Refusal> {
        self.restart();
        self.rest.clear();
        self.hops = HOPS;
        self.steps = STEPS;
        self.rest.prepend(name)?;
        self.rest.prepend(path)?;
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
        match walk.run()? {
            Found::File(opened) => Ok(opened),
            Found::Directory => Err(Refusal::Missing),
        }
    }

    /// The directory reached, for reading its names.
    pub(super) fn list(&self) -> Result<OwnedFd, Refusal> {
        directory::open(self.here(), c".").map_err(|e| refusal(&e))
    }

    /// The names from the root to the directory reached, free of links; empty when links are
    /// followed freely.
    pub(super) fn way(&self) -> &[u8] {
        self.done.as_bytes()
    }

    fn run(&mut self) -> Result<Found, Refusal> {
        let Some((name, _)) = self.go()? else {
            return Ok(Found::Directory);
        };
        let opened = open(self.here(), &name)?;
        self.last = name;
        Ok(Found::File(opened))
    }

    /// Goes to the end: the name and state of the regular file there, not opened, or nothing if it
    /// is the directory reached.
    fn go(&mut self) -> Result<Option<(Name, Stat)>, Refusal> {
        while let Some(name) = self.rest.take()? {
            self.steps = self.steps.checked_sub(1).ok_or(Refusal::Missing)?;
            if name.is_parent() {
                self.ascend()?;
                continue;
            }
            let stat = file::stat_at(self.here(), name.as_c_str()?).map_err(|e| refusal(&e))?;
            let last = self.rest.is_empty();
            match stat.kind {
                Kind::Directory => self.descend(&name)?,
                Kind::Symlink => self.follow(&name)?,
                Kind::Regular if last => return Ok(Some((name, stat))),
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

    fn descend(&mut self, name: &Name) -> Result<(), Refusal> {
        let next = file::open_directory(self.here(), name.as_c_str()?).map_err(|e| refusal(&e))?;
        self.at = Some(next);
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
            self.at = Some(parent);
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
            self.at = Some(file::open_root(Path::new("/")).map_err(|e| refusal(&e))?);
            return Ok(());
        }
        let inside = inside(target, self.tree.canonical).ok_or(Refusal::Forbidden)?;
        self.rest.prepend(inside)?;
        self.restart();
        Ok(())
    }

    fn restart(&mut self) {
        self.start = self.tree.root;
        self.at = None;
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

/// ELOOP and ENAMETOOLONG differ between architectures, and std has no stable kind for them.
const ELOOP: i32 = if OLD_NUMBERS { 90 } else { 40 };
const ENAMETOOLONG: i32 = if OLD_NUMBERS { 78 } else { 36 };
const OLD_NUMBERS: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));

/// What an error of the file system means for the request.
fn refusal(error: &io::Error) -> Refusal {
    // The numbers below 35 are the same on all architectures.
    match error.raw_os_error() {
        // ENOENT, ENOTDIR; EINVAL: a name this file system cannot hold. ELOOP: became a link
        // meanwhile.
        Some(2 | 20 | 22 | ELOOP | ENAMETOOLONG) => Refusal::Missing,
        // EPERM, EACCES; ENXIO: became a socket meanwhile.
        Some(1 | 13 | 6) => Refusal::Forbidden,
        // EINTR, EAGAIN (a lease is being broken), ENOMEM, ENFILE, EMFILE.
        Some(4 | 11 | 12 | 23 | 24) => Refusal::Busy,
        _ => Refusal::Broken,
    }
}

#[cfg(test)]
mod tests;
