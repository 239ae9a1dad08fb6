//! Pipes between the loop and a program.
//!
//! Owns: pipe2(2), O_NONBLOCK of one end (fcntl(2)), read(2) and write(2) on it. Must not: know who
//! is at the other end. Invariants: both ends are close-on-exec; ours never waits, and the
//! program's does as it expects; a write never raises SIGPIPE where that is ignored, as it is in
//! the server.
#![allow(unsafe_code, reason = "pipe2(2), fcntl(2), read(2) and write(2)")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::call::{checked, counted, retried, some};

/// A pipe to a program: our end to write, its end to read.
///
/// # Errors
///
/// EMFILE, ENFILE; see pipe(2).
pub fn to_program() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe()?;
    without_waiting(write.as_fd())?;
    Ok((write, read))
}

/// A pipe from a program: our end to read, its end to write.
///
/// # Errors
///
/// As [`to_program`].
pub fn from_program() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe()?;
    without_waiting(read.as_fd())?;
    Ok((read, write))
}

/// Bytes that the program has written, at most `into.len()`: how many, or 0 once nobody is left who
/// could write more.
///
/// # Errors
///
/// `WouldBlock` if there is nothing; EINVAL for an empty `into`; see read(2).
pub fn read(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let length = some(into.len())?;
    let room = into.as_mut_ptr().cast();
    retried(|| {
        // SAFETY: `room` is valid for writes of `length` bytes, at most `into.len()`.
        counted(unsafe { libc::read(fd.as_raw_fd(), room, length) })
    })
}

/// Writes bytes for the program: how many were taken.
///
/// # Errors
///
/// `WouldBlock` if the pipe is full; EPIPE if nobody is left who could read them, and SIGPIPE where
/// that is not ignored; EINVAL for no bytes; see write(2).
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let length = some(bytes.len())?;
    let from = bytes.as_ptr().cast();
    retried(|| {
        // SAFETY: `from` is valid for reads of `length` bytes, at most `bytes.len()`.
        counted(unsafe { libc::write(fd.as_raw_fd(), from, length) })
    })
}

/// A pipe between two calls of ours, neither end of which waits: the end to read, the end to write.
///
/// # Errors
///
/// As [`to_program`].
pub(super) fn within() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe()?;
    without_waiting(read.as_fd())?;
    without_waiting(write.as_fd())?;
    Ok((read, write))
}

/// Both ends waiting: the end to read, the end to write.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` is valid for writes of the two numbers.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let [read, write] = ends;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    let read = unsafe { OwnedFd::from_raw_fd(read) };
    // SAFETY: as above.
    let write = unsafe { OwnedFd::from_raw_fd(write) };
    Ok((read, write))
}

/// O_NONBLOCK of the open file behind the descriptor: of this end of the pipe alone.
fn without_waiting(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_GETFL takes no further argument.
    let flags = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes a number.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    fn flags(fd: &OwnedFd) -> (bool, bool) {
        // SAFETY: F_GETFL takes no further argument.
        let file = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
        // SAFETY: F_GETFD takes no further argument.
        let descriptor = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
        (file & libc::O_NONBLOCK != 0, descriptor == libc::FD_CLOEXEC)
    }

    #[test]
    fn our_end_does_not_wait_and_theirs_does() {
        for pair in [to_program(), from_program()] {
            let (ours, theirs) = pair.unwrap();
            assert_eq!(flags(&ours), (true, true));
            assert_eq!(flags(&theirs), (false, true));
        }
    }

    #[test]
    fn bytes_come_through_both_ways_and_then_the_end() {
        let (ours, theirs) = from_program().unwrap();
        let mut room = [0; 8];
        let nothing = read(ours.as_fd(), &mut room).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        File::from(theirs).write_all(b"said").unwrap();
        assert_eq!(read(ours.as_fd(), &mut room).unwrap(), 4);
        assert_eq!(&room[..4], b"said");
        // Another test may be starting a process, which has a copy until its exec.
        crate::sys::testing::until(|| read(ours.as_fd(), &mut room).is_ok_and(|n| n == 0));
        assert!(read(ours.as_fd(), &mut []).is_err());

        let (ours, theirs) = to_program().unwrap();
        assert_eq!(write(ours.as_fd(), b"heard").unwrap(), 5);
        let full = loop {
            if let Err(error) = write(ours.as_fd(), &[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        let mut all = Vec::new();
        File::from(theirs).read_to_end(&mut all).unwrap();
        assert!(all.starts_with(b"heard\0"));
    }
}
