//! Marks in a file, each at a number, that end with the process that has set them.
//!
//! Owns: F_SETLK and F_GETLK of fcntl(2), for one byte. Must not: know what a number means, or wait
//! for anybody. Invariants: no child has the marks of its parent; closing any descriptor of that
//! file takes away all that the process has set in it, so it is opened once.
#![allow(unsafe_code, reason = "fcntl(2) with F_SETLK and F_GETLK")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::call::{checked, fit, retried};

/// Sets a mark at `number`, which stays until the file is closed or the process ends. The file must
/// be open for writing.
///
/// # Errors
///
/// `WouldBlock` or EACCES if another process has set it; EINVAL for a number that is no offset;
/// ENOLCK, ENOSYS or EINVAL where the file system has none.
pub fn set(fd: BorrowedFd<'_>, number: u32) -> io::Result<()> {
    let place = at(number)?;
    retried(|| {
        // SAFETY: `place` outlives the call, which only reads that one struct.
        checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETLK, &raw const place) })
    })?;
    Ok(())
}

/// Another process has set a mark at `number`. The file must be open for writing.
///
/// # Errors
///
/// As [`set`], but for the first.
pub fn is_set(fd: BorrowedFd<'_>, number: u32) -> io::Result<bool> {
    is_taken(fd, at(number)?)
}

/// Another process has set a mark, wherever. The file must be open for writing.
///
/// # Errors
///
/// As [`set`], but for the first.
pub fn is_any(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut all = at(0)?;
    all.l_len = 0; // to the end, wherever that will be
    is_taken(fd, all)
}

/// Whoever may read the file may lock it for reading, and that is no mark.
fn is_taken(fd: BorrowedFd<'_>, mut place: libc::flock) -> io::Result<bool> {
    retried(|| {
        // SAFETY: `place` outlives the call, which reads and writes that one struct.
        checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETLK, &raw mut place) })
    })?;
    Ok(place.l_type == fit(libc::F_WRLCK)?)
}

/// The byte at this offset, to be locked for writing. It need not be there.
fn at(number: u32) -> io::Result<libc::flock> {
    // SAFETY: all of its fields are numbers, and 0 is one of each.
    let mut place: libc::flock = unsafe { mem::zeroed() };
    place.l_type = fit(libc::F_WRLCK)?;
    place.l_whence = fit(libc::SEEK_SET)?;
    place.l_start = fit(number)?;
    place.l_len = 1;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Dir, until};
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsFd;
    use std::process::{Child, Command};

    fn open(dir: &Dir) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(dir.path("file")).unwrap()
    }

    /// Another process, which sets the mark 4711 and sleeps: this test, started anew.
    fn other(dir: &Dir) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "sys::mark::tests::another_process", "--ignored"]);
        child.env("ADIEU_MARK", dir.path("file"));
        child.spawn().unwrap()
    }

    #[test]
    #[ignore = "the other process of the next test"]
    fn another_process() {
        let Some(path) = std::env::var_os("ADIEU_MARK") else {
            return;
        };
        let file = OpenOptions::new().write(true).open(path).unwrap();
        set(file.as_fd(), 4711).unwrap();
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn a_mark_is_seen_by_others_and_ends_with_its_process() {
        let dir = Dir::new();
        let file = open(&dir);
        assert!(!is_set(file.as_fd(), 4711).unwrap());
        let mut child = other(&dir);
        until(|| is_set(file.as_fd(), 4711).unwrap());
        assert!(!is_set(file.as_fd(), 4710).unwrap());
        assert!(!is_set(file.as_fd(), 4712).unwrap());
        assert!(is_any(file.as_fd()).unwrap());
        let refused = set(file.as_fd(), 4711).unwrap_err().raw_os_error();
        assert!(matches!(refused, Some(libc::EAGAIN | libc::EACCES)));
        set(file.as_fd(), 4712).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_set(file.as_fd(), 4711).unwrap());
        // Our own are no other's.
        assert!(!is_set(file.as_fd(), 4712).unwrap());
        assert!(!is_any(file.as_fd()).unwrap());
        assert_eq!(file.metadata().unwrap().len(), 0);
    }

    #[test]
    fn what_cannot_be_marked_is_refused() {
        let dir = Dir::new();
        drop(open(&dir));
        let only_read = File::open(dir.path("file")).unwrap();
        let refused = set(only_read.as_fd(), 1).unwrap_err().raw_os_error();
        assert_eq!(refused, Some(libc::EBADF));
    }
}
