//! Where a change was refused that permissions allow.
//!
//! Owns the last such directory, until somebody takes it who knows what else keeps the server from
//! it. It must not look for the reason. Invariant: at most one descriptor is held.

use super::Site;
use crate::connection::reply::Status;
use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The last one; empty once it was taken.
#[derive(Debug, Default)]
pub(super) struct Barred(RefCell<Option<OwnedFd>>);

/// What a change comes to that was refused so.
pub const BARRED: Status = Status::FORBIDDEN;

impl Barred {
    /// Nothing was changed in this directory, for this reason.
    pub(super) fn note(&self, directory: BorrowedFd<'_>, error: &io::Error) {
        if error.kind() == io::ErrorKind::PermissionDenied {
            self.0.replace(directory.try_clone_to_owned().ok());
        }
    }

    fn take(&self) -> Option<OwnedFd> {
        self.0.take()
    }
}

impl Site {
    /// The directory where a change came to [`BARRED`] last, though the permissions that were
    /// looked at before allow it, and the key of the rule; none if that was told before.
    pub fn take_barred(&self) -> Option<(OwnedFd, &str)> {
        let mut hosts = self.named.iter().chain([&self.default]);
        hosts.find_map(|host| Some((host.barred.take()?, host.uploads_key.as_str())))
    }
}
