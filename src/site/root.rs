//! A directory that is served: the root of a site, or what an alias leads to.
//!
//! Owns the descriptor and the name it had at start. It must not walk: that is [`Tree`]'s.
//! Invariant: the directory is the one that had its name at start, whatever happens to the name
//! later.

use super::stage::Stage;
use super::walk::Tree;
use crate::config::{StartError, Symlinks};
use crate::sys::file::{self, Identity, Kind};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An open directory and its name at start.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    canonical: Vec<u8>,
    /// Where uploads grow; none where there cannot be any.
    pub(super) stage: Option<Stage>,
    /// What is beneath it and nobody's to see.
    hidden: Vec<Identity>,
}

impl Root {
    /// Opens `path` and keeps it open; `key` is what named it.
    ///
    /// # Errors
    ///
    /// It is missing, no directory, or may not be searched.
    pub(super) fn open(path: &Path, key: &str) -> Result<Self, StartError> {
        let fault = |reason: String| {
            let what = format!("cannot serve {}: {reason}", path.display());
            let cure = "name a directory that the server's user can enter, in the configuration \
                        or with -d";
            StartError::runtime(key, what, cure)
        };
        let failed = |error: io::Error| fault(error.to_string());
        let fd = file::open_root(path).map_err(failed)?;
        if file::stat(fd.as_fd()).map_err(failed)?.kind != Kind::Directory {
            return Err(fault("not a directory".to_owned()));
        }
        // O_PATH asks for no permission; looking up a name does.
        file::stat_at(fd.as_fd(), c".").map_err(failed)?;
        let canonical = path.canonicalize().map_err(failed)?;
        let mut canonical = canonical.as_os_str().as_bytes().to_vec();
        if canonical.ends_with(b"/") {
            canonical.pop();
        }
        Ok(Self {
            fd,
            canonical,
            stage: None,
            hidden: Vec::new(),
        })
    }

    /// Makes the place where uploads grow. `key` is what asks for it.
    ///
    /// # Errors
    ///
    /// It cannot be made, or is not ours.
    pub(super) fn open_stage(&mut self, key: &str) -> Result<(), StartError> {
        let stage = Stage::open(self.fd.as_fd()).map_err(|error| {
            let path = String::from_utf8_lossy(&self.canonical);
            let what = format!(
                "cannot keep unfinished uploads in {path}/{}: {error}",
                Stage::NAME
            );
            let cure = "let the server's user write there, or name a narrower path";
            StartError::runtime(key, what, cure)
        })?;
        self.stage = Some(stage);
        Ok(())
    }

    /// Which directory it is.
    pub(super) fn identity(&self) -> Option<Identity> {
        Identity::of(self.fd.as_fd()).ok()
    }

    /// Leads nobody into these directories.
    pub(super) fn hide(&mut self, hidden: &[Identity]) {
        self.hidden = hidden.to_vec();
    }

    /// The name it had at start, without a slash at its end.
    pub(super) fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// What is beneath it, under this policy.
    pub(super) fn tree(&self, symlinks: Symlinks) -> Tree<'_> {
        Tree {
            root: self.fd.as_fd(),
            canonical: &self.canonical,
            symlinks,
            hidden: &self.hidden,
            eyes: None,
        }
    }
}
