//! Asking one descriptor whether it is ready, without waiting.
//!
//! Owns: poll(2) with a timeout of 0. Must not: wait; the loop's poller does that. Invariants:
//! those of [`super`].
#![allow(unsafe_code, reason = "poll(2)")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::c_short;

use super::call::{checked, retried};

/// Whether one of `events` (POLLIN, POLLOUT), an error or a hang-up stands at the descriptor.
///
/// # Errors
///
/// ENOMEM; see poll(2).
pub(super) fn is_ready(fd: BorrowedFd<'_>, events: c_short) -> io::Result<bool> {
    let mut asked = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    let ready = retried(|| {
        // SAFETY: `asked` is one pollfd and outlives the call.
        checked(unsafe { libc::poll(&raw mut asked, 1, 0) })
    })?;
    Ok(ready > 0)
}
