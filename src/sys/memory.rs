//! Files that lie in memory and have no name, and the size of its pages.
//!
//! Owns: memfd_create(2), pwrite(2), sysconf(3). Must not: bound what is written. Invariants:
//! close-on-exec; the file's own position is not used, so who gets the descriptor reads from the
//! start.
#![allow(unsafe_code, reason = "memfd_create(2), pwrite(2), sysconf(3)")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::c_uint;

use super::call::{counted, fit, offset, retried, some};

/// An empty file; `name` is what /proc shows. See memfd_create(2).
///
/// # Errors
///
/// ENOSYS before Linux 3.17; EMFILE, ENFILE, ENOMEM.
pub fn file(name: &CStr) -> io::Result<OwnedFd> {
    let flags: c_uint = libc::MFD_CLOEXEC;
    // SAFETY: the call reads `name`, which ends with a NUL, and a number.
    let result = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let number: RawFd = fit(result)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Writes all of `bytes` at `offset_bytes`; the file grows as it must.
///
/// # Errors
///
/// ENOSPC, ENOMEM where the system has no memory for it; EINVAL for an offset above 2^63 - 1; see
/// pwrite(2).
pub fn write_at(fd: BorrowedFd<'_>, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let length = some(rest.len())?;
        let at = offset(offset_bytes.saturating_add(fit(done)?))?;
        let from = rest.as_ptr().cast();
        done += retried(|| {
            // SAFETY: `from` is valid for reads of `length` bytes, at most `rest.len()`.
            counted(unsafe { libc::pwrite64(fd.as_raw_fd(), from, length, at) })
        })?;
    }
    Ok(())
}

/// Size of a page, bytes (_SC_PAGESIZE). `None` where the system does not say.
#[must_use]
pub fn page_bytes() -> Option<u64> {
    // SAFETY: the call takes a number and no memory of ours.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_was_written_is_read_from_the_start() {
        let file = file(c"spool").unwrap();
        // SAFETY: F_GETFD takes no further argument.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
        write_at(file.as_fd(), b"one", 0).unwrap();
        write_at(file.as_fd(), b"two", 3).unwrap();
        write_at(file.as_fd(), b"", 6).unwrap();
        assert!(write_at(file.as_fd(), b"x", u64::MAX).is_err());
        let mut all = String::new();
        File::from(file).read_to_string(&mut all).unwrap();
        assert_eq!(all, "onetwo");
    }

    #[test]
    fn a_page_has_the_size_that_the_kernel_told_at_the_start() {
        // AT_PAGESZ of getauxval(3), in a file of pairs of words.
        let pairs = std::fs::read("/proc/self/auxv").unwrap();
        let words: Vec<usize> = pairs
            .chunks_exact(size_of::<usize>())
            .map(|word| usize::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        let pair = words.chunks_exact(2).find(|pair| pair[0] == 6).unwrap();
        assert_eq!(page_bytes(), u64::try_from(pair[1]).ok());
    }
}
