//! The files that a start makes for its unix sockets.
//!
//! Owns which of them this start has made, and to whom they are given. It must not listen.
//! Invariant: a start that fails removes what it has made, by itself or by `service::remover`, and
//! no file that another has put there since.

use super::listeners::Ids;
use crate::config::StartError;
use crate::sys::made::Made;
use crate::sys::socket;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// All of them. Dropped before they are kept, they are removed.
#[derive(Debug, Default)]
pub struct SocketFiles {
    owner: Option<Ids>,
    made: Vec<Made>,
}

impl SocketFiles {
    /// None yet. `owner`: to whom those of listeners are given, if not to who starts.
    #[must_use]
    pub fn new(owner: Option<Ids>) -> Self {
        let made = Vec::new();
        Self { owner, made }
    }

    /// A socket bound to `path`, whose file has these permissions; see [`socket::bind_unix`].
    pub(super) fn bind(&mut self, path: &Path, mode: u32) -> io::Result<OwnedFd> {
        let fd = socket::bind_unix(path, mode)?;
        self.made.extend(Made::at(path));
        Ok(fd)
    }

    /// Gives the file at `path` to its owner.
    pub(super) fn give(&self, path: &Path) -> Result<(), StartError> {
        let Some(Ids { uid, gid }) = self.owner else {
            return Ok(());
        };
        socket::give_unix(path, uid, gid).map_err(|error| {
            let what = format!("cannot give {} away: {error}", path.display());
            let cure = "only root gives sockets away; leave listen.unix_owner at none";
            StartError::runtime("listen.unix_owner", what, cure).lasting_if_forbidden(&error)
        })
    }

    /// None was made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// The server serves: they stay.
    pub fn keep(mut self) {
        self.made.clear();
    }

    /// The server does not serve. What stands in the place of one stays.
    pub fn remove(&self) {
        for file in self.made.iter().filter(|file| file.is_there()) {
            // Who has become another user may not; another process does it then.
            let _ = fs::remove_file(file.path());
        }
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        self.remove();
    }
}
