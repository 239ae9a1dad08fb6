//! Why a way leads to nothing.
//!
//! Owns what errors of the file system mean for a request. It must not make any.

use crate::connection::reply::Status;
use std::io;

/// Why there is nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::site) enum Refusal {
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
    pub(in crate::site) const fn status(self) -> Status {
        match self {
            Self::Missing => Status::NOT_FOUND,
            Self::Forbidden => Status::FORBIDDEN,
            Self::Busy => Status::SERVICE_UNAVAILABLE,
            Self::Broken => Status::INTERNAL_SERVER_ERROR,
        }
    }
}

/// ELOOP and ENAMETOOLONG differ between architectures, and std has no stable kind for them.
const ELOOP: i32 = if OLD_NUMBERS { 90 } else { 40 };
const ENAMETOOLONG: i32 = if OLD_NUMBERS { 78 } else { 36 };
const OLD_NUMBERS: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));

/// What an error of the file system means for the request.
pub(in crate::site) fn refusal(error: &io::Error) -> Refusal {
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
