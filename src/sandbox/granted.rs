//! What was granted, for who asks later whether something was.
//!
//! Owns the list, and the answer as the kernel will give it: Landlock looks at the directories
//! above a file up to /, and adds up what it finds. It must not grant anything. Invariant: a
//! directory is known by what it is, not by its name, so one that took the name of another is not
//! granted.

use crate::sys::confine::Access;
use crate::sys::file::{self, Identity};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Deeper than any path is.
const DEPTH_MAX: usize = 4096;

/// What was granted.
#[derive(Debug, Default)]
pub struct Granted {
    all: Vec<(Identity, Access)>,
    /// How they were called.
    names: Vec<String>,
    held: bool,
}

impl Granted {
    /// From now on the kernel refuses everything else.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// The kernel refuses everything else.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// This, too.
    ///
    /// # Errors
    /// None that stat(2) names for what is open.
    pub(super) fn add(
        &mut self,
        at: BorrowedFd<'_>,
        access: Access,
        shown: &str,
    ) -> io::Result<()> {
        self.all.push((Identity::of(at)?, access));
        self.names.push(shown.to_owned());
        Ok(())
    }

    /// Something of this name was granted.
    pub(super) fn names(&self, shown: &str) -> bool {
        self.names.iter().any(|name| name == shown)
    }

    /// What may be changed by its permissions is kept from it by the sandbox.
    #[must_use]
    pub fn bars(&self, at: BorrowedFd<'_>) -> bool {
        self.held && self.has(at, None, Access::Change).is_ok_and(|has| !has)
    }

    /// All of this access is granted there; `above`: the directory of what is none itself.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub(super) fn has(
        &self,
        at: BorrowedFd<'_>,
        above: Option<BorrowedFd<'_>>,
        access: Access,
    ) -> io::Result<bool> {
        let mut missing = access.parts();
        let mut above = above.map(|above| above.try_clone_to_owned()).transpose()?;
        let mut here = at.try_clone_to_owned()?;
        let mut identity = Identity::of(at)?;
        for _ in 0..DEPTH_MAX {
            let own = self.all.iter().filter(|(granted, _)| *granted == identity);
            missing = own.fold(missing, |left, (_, granted)| left & !granted.parts());
            if missing == 0 {
                return Ok(true);
            }
            let next = match above.take() {
                Some(above) => Ok(above),
                None => file::open_directory(here.as_fd(), c".."),
            };
            here = match next {
                Ok(next) => next,
                // A file, or a directory that nobody may leave.
                Err(error) if is_refusal(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            let next = Identity::of(here.as_fd())?;
            if next == identity {
                return Ok(false);
            }
            identity = next;
        }
        Ok(false)
    }
}

fn is_refusal(error: &io::Error) -> bool {
    let kinds = [
        io::ErrorKind::NotADirectory,
        io::ErrorKind::PermissionDenied,
    ];
    kinds.contains(&error.kind())
}
