//! Asking descriptors whether they are ready.
//!
//! Owns: poll(2). Must not: wait on the loop, whose poller does that; [`wait`] is for a process
//! beside it. Invariants: those of [`super`].
#![allow(unsafe_code, reason = "poll(2)")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_short, nfds_t};

use super::call::{checked, fit, retried};

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

/// Waits until one of the descriptors can be read, or written where that is asked for, or has an
/// error or a hang-up; `timeout_ms` at most, or without an end. Answers which.
///
/// # Errors
///
/// ENOMEM; EINVAL for more descriptors than the process may have open; see poll(2).
pub fn wait(asked: &[(BorrowedFd<'_>, bool)], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    let one = |(fd, writes): &(BorrowedFd<'_>, bool)| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: if *writes {
            libc::POLLIN | libc::POLLOUT
        } else {
            libc::POLLIN
        },
        revents: 0,
    };
    let mut all: Vec<libc::pollfd> = asked.iter().map(one).collect();
    let count: nfds_t = fit(all.len())?;
    let timeout = timeout_ms.map_or(-1, |ms| c_int::try_from(ms).unwrap_or(c_int::MAX));
    // SAFETY: `all` holds `count` entries and outlives the call.
    let done = checked(unsafe { libc::poll(all.as_mut_ptr(), count, timeout) });
    match done {
        // A signal came: what it wrote shows at the next call.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(vec![false; all.len()]),
        Err(error) => Err(error),
        Ok(_) => Ok(all.iter().map(|one| one.revents != 0).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn who_is_ready_is_told_from_who_is_not() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (quiet, _end) = UnixStream::pair().unwrap();
        let both = [(one.as_fd(), false), (quiet.as_fd(), false)];
        assert_eq!(wait(&both, Some(0)).unwrap(), [false, false]);
        let writes = [(one.as_fd(), true), (quiet.as_fd(), false)];
        assert_eq!(wait(&writes, None).unwrap(), [true, false]);
        other.write_all(b"x").unwrap();
        assert_eq!(wait(&both, None).unwrap(), [true, false]);
        drop(other);
        assert_eq!(wait(&both, None).unwrap(), [true, false]);
        assert!(wait(&[], Some(1)).unwrap().is_empty());
    }
}
