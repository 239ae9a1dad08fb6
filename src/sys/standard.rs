//! Standard error and standard output without blocking.
//!
//! Owns: one way to write to what file descriptor 2 or 1 was at the start. Must not: set O_NONBLOCK
//! on it (the open file is shared, with the shell and with children), format, buffer or try again.
//!
//! Invariants: a write never waits for whoever reads: see [`Standard::write`] for the one
//! reservation; descriptors 1 and 2 are left as they were.
#![allow(unsafe_code, reason = "write(2)")]

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::call::{counted, retried};
use super::poll::is_ready;
use super::{file, transfer};

/// What a pipe that polls writable takes without blocking (PIPE_BUF, pipe(7)).
const PIECE: usize = 4096;

/// A standard stream as it was when this was made.
#[derive(Debug)]
pub struct Standard {
    way: Way,
}

/// How to write without blocking.
#[derive(Debug)]
enum Way {
    /// An open file of our own, non-blocking.
    Own(OwnedFd),
    /// A socket, which takes "do not block" with every call.
    Socket(OwnedFd),
    /// The shared open file: asked first whether it takes a small piece.
    Shared(OwnedFd),
    /// There is none.
    Nowhere,
}

impl Standard {
    /// Takes hold of standard error, by the best way there is: opening it anew through /proc, so
    /// that being non-blocking stays ours alone (not for regular files and sockets; not without
    /// /proc; not where the terminal belongs to another user).
    #[must_use]
    pub fn error() -> Self {
        Self::of(io::stderr().as_fd())
    }

    /// Standard output, in the same way.
    #[must_use]
    pub fn output() -> Self {
        Self::of(io::stdout().as_fd())
    }

    /// The same for any descriptor.
    fn of(fd: BorrowedFd<'_>) -> Self {
        // A regular file never says "would block", and an open file of our own would have its own
        // place in it: what others write through the shared one would go over our lines.
        let regular = file::stat(fd).is_ok_and(|stat| stat.kind == file::Kind::Regular);
        if let Some(own) = reopened(fd).filter(|_| !regular) {
            return Self { way: Way::Own(own) };
        }
        // A duplicate, so that it is ours to keep.
        let way = match fd.try_clone_to_owned() {
            Ok(copy) if is_socket(&copy) => Way::Socket(copy),
            Ok(copy) => Way::Shared(copy),
            Err(_) => Way::Nowhere,
        };
        Self { way }
    }

    /// Writes what fits: how many bytes were taken, possibly fewer than given.
    ///
    /// It never waits for a reader. A regular file still waits for its disk, as every write does.
    /// And where the open file could only be shared, two things can still hold it: another process
    /// that fills the same pipe between our asking and our writing, and a terminal that is stopped
    /// or slow, which takes a first byte and then waits with the rest.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while it is stuck; EPIPE if the reader is gone, ENOSPC if the disk is full;
    /// EBADF if there is no such stream.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.way {
            Way::Own(fd) => write(fd.as_fd(), bytes),
            Way::Socket(fd) => transfer::send(fd.as_fd(), bytes, false),
            Way::Shared(fd) => {
                // Writable: a piece would be taken, or fail, at once.
                if !is_ready(fd.as_fd(), libc::POLLOUT)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                write(fd.as_fd(), bytes.get(..PIECE).unwrap_or(bytes))
            }
            Way::Nowhere => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    /// Whether somebody may be looking at it: it is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match &self.way {
            Way::Own(fd) | Way::Socket(fd) | Way::Shared(fd) => fd.is_terminal(),
            Way::Nowhere => false,
        }
    }
}

/// The same pipe or terminal, opened once more.
fn reopened(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let own = OpenOptions::new()
        .append(true)
        .custom_flags(flags)
        .open(path)
        .ok()?;
    Some(own.into())
}

fn is_socket(fd: &OwnedFd) -> bool {
    file::stat(fd.as_fd()).is_ok_and(|stat| stat.mode & libc::S_IFMT == libc::S_IFSOCK)
}

/// write(2).
pub(super) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    retried(|| {
        let from = bytes.as_ptr().cast();
        // SAFETY: `from` is valid for reads of `bytes.len()` bytes.
        counted(unsafe { libc::write(fd.as_raw_fd(), from, bytes.len()) })
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::os::fd::FromRawFd;
    use std::os::unix::net::UnixStream;
    use std::ptr;

    use super::*;
    use crate::sys::testing::{Dir, broken, until};

    /// Writes until it is stuck: how many bytes went.
    fn fill(stderr: &Standard) -> usize {
        let mut sent = 0;
        until(|| match stderr.write(&[b'x'; 10_000]) {
            Ok(count) => {
                sent += count;
                false
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                true
            }
        });
        sent
    }

    fn is_non_blocking(fd: BorrowedFd<'_>) -> bool {
        // SAFETY: F_GETFL takes no further argument.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
    }

    /// The way taken without /proc.
    fn shared(fd: BorrowedFd<'_>) -> Standard {
        Standard {
            way: Way::Shared(fd.try_clone_to_owned().unwrap()),
        }
    }

    #[test]
    fn a_full_pipe_would_block_by_either_way_and_stays_as_it_was() {
        for without_proc in [false, true] {
            let (mut reader, writer) = io::pipe().unwrap();
            let stderr = if without_proc {
                shared(writer.as_fd())
            } else {
                Standard::of(writer.as_fd())
            };
            assert_eq!(matches!(stderr.way, Way::Own(_)), !without_proc);
            assert_eq!(stderr.write(b"").unwrap(), 0);
            let sent = fill(&stderr);
            assert!(sent >= PIECE);
            assert!(stderr.write(b"x").is_err());
            assert!(!is_non_blocking(writer.as_fd()));
            // Room again: it goes on.
            let mut room = vec![0; sent];
            reader.read_exact(&mut room).unwrap();
            assert_eq!(stderr.write(b"more").unwrap(), 4);
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error_and_no_signal() {
        for without_proc in [false, true] {
            let (reader, writer) = io::pipe().unwrap();
            let stderr = if without_proc {
                shared(writer.as_fd())
            } else {
                Standard::of(writer.as_fd())
            };
            drop(reader);
            broken(|| stderr.write(b"x"));
            // Also if it was gone before the start.
            broken(|| Standard::of(writer.as_fd()).write(b"x"));
        }
    }

    #[test]
    fn a_socket_that_nobody_reads_would_block() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stderr = Standard::of(ours.as_fd());
        assert!(matches!(stderr.way, Way::Socket(_)));
        let sent = fill(&stderr);
        assert!(!is_non_blocking(ours.as_fd()));
        let mut room = vec![0; sent];
        theirs.read_exact(&mut room).unwrap();
        assert_eq!(stderr.write(b"more").unwrap(), 4);
        drop(theirs);
        broken(|| stderr.write(b"x"));
    }

    #[test]
    fn a_terminal_that_nobody_reads_would_block() {
        let (mut master, mut slave) = (-1, -1);
        let (no_name, no_mode, no_size) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let made =
            // SAFETY: the two numbers outlive the call, which writes them; the rest is optional.
            unsafe { libc::openpty(&raw mut master, &raw mut slave, no_name, no_mode, no_size) };
        assert_eq!(made, 0);
        // SAFETY: just made for this test.
        let _master = unsafe { OwnedFd::from_raw_fd(master) };
        // SAFETY: as above.
        let slave = unsafe { OwnedFd::from_raw_fd(slave) };
        let stderr = Standard::of(slave.as_fd());
        assert!(matches!(stderr.way, Way::Own(_)));
        assert!(stderr.is_terminal());
        assert!(fill(&stderr) > 0);
        assert!(!is_non_blocking(slave.as_fd()));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        for stderr in [Standard::of(full.as_fd()), shared(full.as_fd())] {
            let error = stderr.write(b"x").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        }
    }

    #[test]
    fn a_file_keeps_what_others_write_through_the_same_open_file() {
        let dir = Dir::new();
        let mut log = File::create_new(dir.path("log")).unwrap();
        log.write_all(b"before ").unwrap();
        let stderr = Standard::of(log.as_fd());
        assert!(matches!(stderr.way, Way::Shared(_)));
        assert_eq!(stderr.write(b"ours ").unwrap(), 5);
        log.write_all(b"theirs").unwrap();
        assert_eq!(fs::read(dir.path("log")).unwrap(), b"before ours theirs");
        assert!(!stderr.is_terminal());
    }

    #[test]
    fn a_descriptor_for_reading_only_is_an_error() {
        let null = File::open("/proc/version").unwrap();
        assert!(Standard::of(null.as_fd()).write(b"x").is_err());
        let nowhere = Standard { way: Way::Nowhere };
        assert_eq!(
            nowhere.write(b"x").unwrap_err().raw_os_error(),
            Some(libc::EBADF)
        );
        assert!(!nowhere.is_terminal());
    }

    #[test]
    fn standard_error_itself_opens() {
        let stderr = Standard::error();
        assert_eq!(stderr.write(b"").unwrap(), 0);
        assert_eq!(stderr.is_terminal(), io::stderr().is_terminal());
    }
}
