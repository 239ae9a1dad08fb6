//! The tree in which a walk goes.
//!
//! Owns where it begins, its policy, and the questions that need no way of their own. It must not
//! open a file. Invariant: what is hidden is hidden under every name.

use super::super::cache::Eyes;
use super::super::names::{Name, Rest};
use super::super::stage;
use super::super::text::Text;
use super::{HOPS, Refusal, STEPS, Walk, refusal};
use crate::config::Symlinks;
use crate::sys::file::{self, Identity, Kind, Stat};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The tree that is served.
#[derive(Clone, Copy, Debug)]
pub(in crate::site) struct Tree<'s> {
    /// The root, held open: a root that is moved away stays the root.
    pub(in crate::site) root: BorrowedFd<'s>,
    /// Where the root was at start, without a slash at its end. Targets of absolute links are
    /// compared with it.
    pub(in crate::site) canonical: &'s [u8],
    /// The policy.
    pub(in crate::site) symlinks: Symlinks,
    /// Directories that nobody is led into, whatever they are called: those of unfinished uploads.
    pub(in crate::site) hidden: &'s [Identity],
    /// They look at every directory in which a name is looked up, from before that on.
    pub(in crate::site) eyes: Option<&'s Eyes>,
}

impl<'s> Tree<'s> {
    /// A way that has not begun.
    pub(in crate::site) fn walk(self) -> Walk<'s> {
        Walk {
            tree: self,
            start: self.root,
            at: None,
            done: Text::new(),
            rest: Rest::new(),
            last: Name::EMPTY,
            hops: HOPS,
            steps: STEPS,
            marks: Cell::default(),
        }
    }

    /// What the name in `directory` is, or leads to if it is a link that the policy lets. Nothing
    /// is opened for reading. Refused: links to nowhere, and what is neither file nor directory.
    ///
    /// `way` is [`Walk::way`] of the walk that reached `directory`. Without it, links are refused
    /// where the root is the limit: nobody could say where a `..` in one leads.
    pub(in crate::site) fn look(
        self,
        directory: BorrowedFd<'_>,
        way: Option<&[u8]>,
        name: &Name,
    ) -> Result<Stat, Refusal> {
        if stage::is_reserved(name.as_bytes()) {
            return Err(Refusal::Missing);
        }
        let stat = file::stat_at(directory, name.as_c_str()?).map_err(|e| refusal(&e))?;
        match stat.kind {
            Kind::Directory if self.hides(&stat) => return Err(Refusal::Missing),
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
        match walk.go(false)? {
            Some((_, stat)) => Ok(stat),
            None => file::stat(walk.here()).map_err(|e| refusal(&e)),
        }
    }

    /// Nobody is led into the directory of this state.
    pub(super) fn hides(self, stat: &Stat) -> bool {
        self.hidden.contains(&Identity::from(stat))
    }

    /// An open directory still lies beneath the root, or may lie anywhere. It is gone up from there
    /// as the kernel sees it now: somebody may have moved it since it was reached.
    pub(in crate::site) fn holds(self, directory: BorrowedFd<'_>) -> Result<bool, Refusal> {
        if matches!(self.symlinks, Symlinks::Follow) {
            return Ok(true);
        }
        let identity = |fd: BorrowedFd<'_>| Identity::of(fd).map_err(|e| refusal(&e));
        let root = identity(self.root)?;
        let mut here = identity(directory)?;
        let mut at: Option<OwnedFd> = None;
        for _ in 0..=STEPS {
            if here == root {
                return Ok(true);
            }
            let below = at.as_ref().map_or(directory, AsFd::as_fd);
            let parent = file::open_directory(below, c"..").map_err(|e| refusal(&e))?;
            let above = identity(parent.as_fd())?;
            if above == here {
                break; // the parent of / is /
            }
            here = above;
            at = Some(parent);
        }
        Ok(false)
    }
}
