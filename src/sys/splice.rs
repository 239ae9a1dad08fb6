//! Bytes from a socket into a file that pass through no memory of ours.
//!
//! Owns: splice(2) to and from one pipe, and the pipe's size (fcntl(2)). Must not: know whose bytes
//! they are, or write a file in another way. Invariants: no call waits for the socket or the pipe;
//! the pipe is empty whenever [`Tube::fill`] begins, so no bytes of one socket stand before
//! another's.
#![allow(unsafe_code, reason = "splice(2), fcntl(2)")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_uint};

use super::call::{checked, counted, fit, invalid, offset, retried, some};
use super::pipe;

/// A pipe with both ends in our hands.
#[derive(Debug)]
pub struct Tube {
    read: OwnedFd,
    write: OwnedFd,
    /// What stands in it, bytes.
    holds: usize,
}

impl Tube {
    /// A pipe of `bytes`, or of as many as the system gives.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE; see pipe(2).
    pub fn new(bytes: usize) -> io::Result<Self> {
        let (read, write) = pipe::within()?;
        let size: c_int = fit(bytes)?;
        // SAFETY: F_SETPIPE_SZ takes a number. EPERM or EBUSY: it stays as it is.
        let _ = checked(unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, size) });
        Ok(Self {
            read,
            write,
            holds: 0,
        })
    }

    /// What stands in it, bytes.
    #[must_use]
    pub const fn holds(&self) -> usize {
        self.holds
    }

    /// Takes bytes that came in, at most `max`: their number, or 0 once the peer has ended its
    /// side.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; ECONNRESET after a reset; EINVAL for a `max` of 0, a
    /// socket that cannot, or a tube that holds something; see splice(2).
    pub fn fill(&mut self, socket: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        if self.holds > 0 {
            return Err(invalid());
        }
        let n = splice(socket, self.write.as_fd(), None, max)?;
        self.holds = n;
        Ok(n)
    }

    /// Writes what it holds to a file from `offset_bytes` on: how many bytes of it. May wait for
    /// storage, as every write does.
    ///
    /// # Errors
    ///
    /// ENOSPC, EDQUOT; EFBIG, which comes with SIGXFSZ; EINVAL for a file system that cannot, an
    /// empty tube or an offset above 2^63 - 1; see splice(2). The bytes stay then.
    pub fn pour(&mut self, file: BorrowedFd<'_>, offset_bytes: u64) -> io::Result<usize> {
        let n = splice(self.read.as_fd(), file, Some(offset_bytes), self.holds)?;
        self.holds = self.holds.saturating_sub(n);
        Ok(n)
    }

    /// Takes bytes out of it, at most `into.len()`: how many.
    ///
    /// # Errors
    ///
    /// `WouldBlock` for an empty tube; EINVAL for an empty `into`; see read(2).
    pub fn empty(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = pipe::read(self.read.as_fd(), into)?;
        self.holds = self.holds.saturating_sub(n);
        Ok(n)
    }
}

/// One splice(2); with an offset the position of the target is not used.
fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    offset_bytes: Option<u64>,
    max: usize,
) -> io::Result<usize> {
    let length = some(max)?;
    let flags: c_uint = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    retried(|| {
        let mut at = offset(offset_bytes.unwrap_or(0))?;
        let place = match offset_bytes {
            Some(_) => &raw mut at,
            None => ptr::null_mut(),
        };
        let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
        // SAFETY: one offset is null, which means none; the other is null or `at`, one 64-bit
        // number that outlives the call.
        counted(unsafe { libc::splice(from, ptr::null_mut(), to, place, length, flags) })
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::sys::socket::{abort, unread};
    use crate::sys::testing::{Dir, tcp_pair, unix_pair, until};

    const SIZE: usize = 65_536;

    fn raw(error: &io::Error) -> Option<i32> {
        error.raw_os_error()
    }

    fn blocks(result: io::Result<usize>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[test]
    fn bytes_go_to_their_place_in_the_file_and_then_comes_the_end() {
        let dir = Dir::new();
        let file = File::create(dir.path("f")).unwrap();
        let mut tube = Tube::new(SIZE).unwrap();
        let (ours, mut client) = tcp_pair();
        assert!(blocks(tube.fill(ours.as_fd(), 10)));
        client.write_all(b"hello world").unwrap();
        until(|| unread(ours.as_fd()).unwrap() == 11);
        assert_eq!(tube.fill(ours.as_fd(), 5).unwrap(), 5);
        assert_eq!(tube.holds(), 5);
        // Not before it is empty.
        assert_eq!(
            raw(&tube.fill(ours.as_fd(), 5).unwrap_err()),
            Some(libc::EINVAL)
        );
        assert_eq!(tube.pour(file.as_fd(), 3).unwrap(), 5);
        assert_eq!(tube.holds(), 0);
        assert_eq!(
            raw(&tube.pour(file.as_fd(), 8).unwrap_err()),
            Some(libc::EINVAL)
        );
        assert_eq!(tube.fill(ours.as_fd(), SIZE).unwrap(), 6);
        assert_eq!(tube.pour(file.as_fd(), (5 << 30) + 1).unwrap(), 6);
        let mut got = [1; 8];
        let file = File::open(dir.path("f")).unwrap();
        file.read_exact_at(&mut got, 0).unwrap();
        assert_eq!(&got, b"\0\0\0hello");
        file.read_exact_at(&mut got[..6], (5 << 30) + 1).unwrap();
        assert_eq!(&got[..6], b" world");
        client.shutdown(Shutdown::Write).unwrap();
        until(|| matches!(tube.fill(ours.as_fd(), 10), Ok(0)));
    }

    #[test]
    fn what_a_file_does_not_take_stays_until_it_is_taken_out() {
        let dir = Dir::new();
        std::fs::write(dir.path("f"), "x").unwrap();
        let mut tube = Tube::new(SIZE).unwrap();
        let (ours, mut client) = tcp_pair();
        client.write_all(b"a secret").unwrap();
        until(|| unread(ours.as_fd()).unwrap() == 8);
        assert_eq!(tube.fill(ours.as_fd(), 100).unwrap(), 8);
        // Not open for writing; and one that is appended to, which splice(2) refuses.
        let read_only = File::open(dir.path("f")).unwrap();
        let error = tube.pour(read_only.as_fd(), 0).unwrap_err();
        assert_eq!(raw(&error), Some(libc::EBADF));
        let options = OpenOptions::new().append(true).open(dir.path("f"));
        let error = tube.pour(options.unwrap().as_fd(), 0).unwrap_err();
        assert_eq!(raw(&error), Some(libc::EINVAL));
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(tube.pour(full.as_fd(), 0).is_err());
        assert_eq!(tube.holds(), 8);
        let mut room = [0; 5];
        assert_eq!(tube.empty(&mut room).unwrap(), 5);
        assert_eq!(&room, b"a sec");
        assert_eq!(tube.empty(&mut room).unwrap(), 3);
        assert_eq!(&room[..3], b"ret");
        assert_eq!(tube.holds(), 0);
        assert!(blocks(tube.empty(&mut room)));
    }

    #[test]
    fn a_reset_is_an_error() {
        let mut tube = Tube::new(SIZE).unwrap();
        let (ours, client) = tcp_pair();
        abort(client.into());
        let mut seen = None;
        until(|| {
            seen = tube
                .fill(ours.as_fd(), 10)
                .err()
                .filter(|e| e.kind() != io::ErrorKind::WouldBlock);
            seen.is_some()
        });
        assert_eq!(seen.unwrap().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_unix_socket_can() {
        let dir = Dir::new();
        let file = File::create(dir.path("f")).unwrap();
        let mut tube = Tube::new(SIZE).unwrap();
        let (ours, mut client) = unix_pair();
        client.write_all(b"near").unwrap();
        assert_eq!(tube.fill(ours.as_fd(), 100).unwrap(), 4);
        assert_eq!(tube.pour(file.as_fd(), 0).unwrap(), 4);
        assert_eq!(std::fs::read(dir.path("f")).unwrap(), b"near");
        assert!(blocks(tube.fill(ours.as_fd(), 10)));
    }
}
