//! Changes below a directory.
//!
//! Owns: mkdirat(2), making a file with openat(2), pwrite(2), renameat(2), unlinkat(2), flock(2),
//! fchmod(2), faccessat(2), fsync(2). Must not: know a path of more than one name, follow a
//! symbolic link, remove a directory, or clean up after a failure.
//!
//! Invariants: every descriptor is close-on-exec; sizes and offsets have 64 bits; no lock is waited
//! for; a write that took a part says how much, and is not tried again.
//!
//! `name` is one name, without a slash: the kernel would walk a longer one and follow links in it.
#![allow(
    unsafe_code,
    reason = "mkdirat(2), openat(2), pwrite(2), renameat(2), unlinkat(2), flock(2), fchmod(2), \
              faccessat(2), fsync(2)"
)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

use super::call::{checked, counted, fit, offset, retried, some};
use super::directory;

/// Makes the directory `name` in `at` with these permissions, less the umask.
///
/// # Errors
///
/// EEXIST for whatever has that name, a symbolic link included; EACCES, EROFS, ENOSPC, EDQUOT; see
/// mkdir(2).
pub fn make_directory(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> io::Result<()> {
    let mode = fit(mode & 0o777)?;
    retried(|| {
        // SAFETY: `name` ends in a NUL and is only read.
        checked(unsafe { libc::mkdirat(at.as_raw_fd(), name.as_ptr(), mode) })
    })?;
    Ok(())
}

/// Makes the file `name` in `at` with these permissions, less the umask, and opens it for writing.
///
/// # Errors
///
/// EEXIST for whatever has that name, a symbolic link included; EACCES, EROFS, ENOSPC, EDQUOT,
/// EMFILE; see open(2).
pub fn create(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> io::Result<OwnedFd> {
    let flags = libc::O_CREAT
        | libc::O_EXCL
        | libc::O_WRONLY
        | libc::O_NOFOLLOW
        | libc::O_CLOEXEC
        | libc::O_LARGEFILE;
    let mode = mode & 0o777;
    let opened = retried(|| {
        // SAFETY: `name` ends in a NUL and is only read; with O_CREAT there is a fourth argument,
        // and this is one of its type after promotion.
        checked(unsafe { libc::openat(at.as_raw_fd(), name.as_ptr(), flags, mode) })
    })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// Writes to a file from `offset_bytes` on: how many bytes it took, at least one. The file's own
/// position is not used. May wait for storage, as every write does.
///
/// # Errors
///
/// ENOSPC, EDQUOT; EFBIG, which comes with SIGXFSZ; EIO; EINVAL for no bytes or an offset above
/// 2^63 - 1; see pwrite(2).
pub fn write_at(fd: BorrowedFd<'_>, bytes: &[u8], offset_bytes: u64) -> io::Result<usize> {
    let length = some(bytes.len())?;
    let at = offset(offset_bytes)?;
    let start = bytes.as_ptr().cast();
    retried(|| {
        // SAFETY: `start` is valid for reads of `length` bytes, at most `bytes.len()`.
        counted(unsafe { libc::pwrite64(fd.as_raw_fd(), start, length, at) })
    })
}

/// Gives the file `name` in `at` the name `to` in `other`, in the place of a file that has it.
///
/// # Errors
///
/// EISDIR if a directory has that name; EXDEV for another file system; ENOENT, EACCES, EPERM,
/// ENOSPC, EDQUOT; see rename(2).
pub fn rename(at: BorrowedFd<'_>, name: &CStr, other: BorrowedFd<'_>, to: &CStr) -> io::Result<()> {
    let (from_fd, to_fd) = (at.as_raw_fd(), other.as_raw_fd());
    retried(|| {
        // SAFETY: both names end in a NUL and are only read.
        checked(unsafe { libc::renameat(from_fd, name.as_ptr(), to_fd, to.as_ptr()) })
    })?;
    Ok(())
}

/// Takes the name of a file away; of a symbolic link, the link's own.
///
/// # Errors
///
/// EISDIR (or EPERM) for a directory; ENOENT, EACCES, EROFS, EBUSY; see unlink(2).
pub fn remove(at: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    retried(|| {
        // SAFETY: `name` ends in a NUL and is only read.
        checked(unsafe { libc::unlinkat(at.as_raw_fd(), name.as_ptr(), 0) })
    })?;
    Ok(())
}

/// Waits until a file, or the names in a directory, are on their disk. A directory may be open by
/// name alone.
///
/// # Errors
///
/// EIO, ENOSPC, EDQUOT; EINVAL for what has no disk; see fsync(2).
pub fn sync(fd: BorrowedFd<'_>) -> io::Result<()> {
    let waited = |fd: BorrowedFd<'_>| {
        retried(|| {
            // SAFETY: the call takes a number.
            checked(unsafe { libc::fsync(fd.as_raw_fd()) })
        })
    };
    match waited(fd) {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
            let open = directory::open(fd, c".")?;
            waited(open.as_fd())?;
        }
        outcome => {
            outcome?;
        }
    }
    Ok(())
}

/// Locks an open file for us alone, until its descriptor and its duplicates are closed.
///
/// # Errors
///
/// EWOULDBLOCK if it is locked; others where the file system has no locks; see flock(2).
pub fn lock(fd: BorrowedFd<'_>) -> io::Result<()> {
    locked(fd, libc::LOCK_EX)
}

/// The same, together with others who lock it so. What is open for reading suffices everywhere.
///
/// # Errors
///
/// As [`lock`].
pub fn lock_shared(fd: BorrowedFd<'_>) -> io::Result<()> {
    locked(fd, libc::LOCK_SH)
}

fn locked(fd: BorrowedFd<'_>, how: c_int) -> io::Result<()> {
    retried(|| {
        // SAFETY: the call takes two numbers.
        checked(unsafe { libc::flock(fd.as_raw_fd(), how | libc::LOCK_NB) })
    })?;
    Ok(())
}

/// Sets the permissions of an open file or directory.
///
/// # Errors
///
/// EPERM if it is another's; EROFS; EBADF for what was opened with `O_PATH`, but for musl, which
/// then goes by /proc; see fchmod(2).
pub fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    let mode = fit(mode & 0o777)?;
    retried(|| {
        // SAFETY: the call takes two numbers.
        checked(unsafe { libc::fchmod(fd.as_raw_fd(), mode) })
    })?;
    Ok(())
}

/// Names in `at` may be made and taken away by us, as far as its permissions say.
///
/// # Errors
///
/// EACCES, EROFS if not; see access(2).
pub fn may_change(at: BorrowedFd<'_>) -> io::Result<()> {
    let wanted = libc::W_OK | libc::X_OK;
    retried(|| {
        // SAFETY: the name ends in a NUL and is only read.
        checked(unsafe { libc::faccessat(at.as_raw_fd(), c".".as_ptr(), wanted, 0) })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::sys::file::{open_root, stat_at};
    use crate::sys::testing::Dir;

    fn errno<T>(result: io::Result<T>) -> Option<i32> {
        result.err().and_then(|error| error.raw_os_error())
    }

    fn at(dir: &Dir) -> OwnedFd {
        open_root(&dir.path("")).unwrap()
    }

    fn mode(dir: &Dir, name: &str) -> u32 {
        fs::metadata(dir.path(name)).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_and_directories_by_name_alone_reach_their_disk_and_pipes_have_none() {
        let dir = Dir::new();
        let file = File::create(dir.path("f")).unwrap();
        assert_eq!(errno(sync(file.as_fd())), None);
        assert_eq!(errno(sync(at(&dir).as_fd())), None);
        let (_ours, theirs) = crate::sys::pipe::from_program().unwrap();
        assert_eq!(errno(sync(theirs.as_fd())), Some(libc::EINVAL));
    }

    #[test]
    fn directories_are_made_once() {
        let dir = Dir::new();
        let root = at(&dir);
        make_directory(root.as_fd(), c"d", 0o7700).unwrap();
        assert!(fs::metadata(dir.path("d")).unwrap().is_dir());
        assert_eq!(mode(&dir, "d"), 0o700);
        symlink("nowhere", dir.path("l")).unwrap();
        for name in [c"d", c"l"] {
            let again = make_directory(root.as_fd(), name, 0o700);
            assert_eq!(errno(again), Some(libc::EEXIST));
        }
        let beneath = make_directory(root.as_fd(), c"", 0o700);
        assert_eq!(errno(beneath), Some(libc::ENOENT));
    }

    #[test]
    fn files_are_new_and_for_writing_only() {
        let dir = Dir::new();
        let root = at(&dir);
        let file = create(root.as_fd(), c"f", 0o4644).unwrap();
        // SAFETY: F_GETFD takes no further argument.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
        assert!(flags & libc::FD_CLOEXEC != 0);
        let other = File::create(dir.path("g")).unwrap();
        let umasked = other.metadata().unwrap().mode() & 0o644;
        assert_eq!(mode(&dir, "f"), umasked);
        let mut room = [0; 4];
        let read = crate::sys::file::read_at(file.as_fd(), &mut room, 0);
        assert_eq!(errno(read), Some(libc::EBADF));
        symlink("target", dir.path("l")).unwrap();
        fs::create_dir(dir.path("d")).unwrap();
        for name in [c"f", c"l", c"d"] {
            assert_eq!(errno(create(root.as_fd(), name, 0o644)), Some(libc::EEXIST));
        }
        assert!(!dir.path("target").exists());
        let gone = open_root(&dir.path("d")).unwrap();
        fs::remove_dir(dir.path("d")).unwrap();
        let nowhere = create(gone.as_fd(), c"f", 0o644);
        assert_eq!(errno(nowhere), Some(libc::ENOENT));
    }

    #[test]
    fn bytes_go_where_they_belong() {
        let dir = Dir::new();
        let root = at(&dir);
        let file = create(root.as_fd(), c"f", 0o644).unwrap();
        assert_eq!(write_at(file.as_fd(), b"world", 6).unwrap(), 5);
        assert_eq!(write_at(file.as_fd(), b"hello ", 0).unwrap(), 6);
        assert_eq!(fs::read(dir.path("f")).unwrap(), b"hello world");
        let far = 5_u64 << 30;
        assert_eq!(write_at(file.as_fd(), b"far", far).unwrap(), 3);
        assert_eq!(fs::metadata(dir.path("f")).unwrap().len(), far + 3);
        assert_eq!(errno(write_at(file.as_fd(), b"", 0)), Some(libc::EINVAL));
        let beyond = write_at(file.as_fd(), b"x", u64::MAX);
        assert_eq!(errno(beyond), Some(libc::EINVAL));
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(errno(write_at(full.as_fd(), b"x", 0)), Some(libc::ENOSPC));
        let reader = File::open(dir.path("f")).unwrap();
        assert_eq!(errno(write_at(reader.as_fd(), b"x", 0)), Some(libc::EBADF));
    }

    #[test]
    fn a_file_takes_a_name_from_another_but_from_no_directory() {
        let dir = Dir::new();
        let root = at(&dir);
        fs::create_dir_all(dir.path("d/e")).unwrap();
        let below = open_root(&dir.path("d")).unwrap();
        for (name, text) in [("new", "new"), ("d/old", "old"), ("next", "next")] {
            fs::write(dir.path(name), text).unwrap();
        }
        let name = |to| rename(root.as_fd(), c"new", below.as_fd(), to);
        assert_eq!(errno(name(c"e")), Some(libc::EISDIR));
        name(c"old").unwrap();
        assert_eq!(fs::read(dir.path("d/old")).unwrap(), b"new");
        assert_eq!(errno(name(c"old")), Some(libc::ENOENT));
        // A link gives way itself; what it led to stays.
        symlink("../next", dir.path("d/l")).unwrap();
        fs::write(dir.path("new"), "newer").unwrap();
        name(c"l").unwrap();
        assert_eq!(fs::read(dir.path("next")).unwrap(), b"next");
        assert!(dir.path("d/l").symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn names_of_files_go_and_directories_stay() {
        let dir = Dir::new();
        let root = at(&dir);
        fs::create_dir(dir.path("d")).unwrap();
        fs::write(dir.path("f"), "f").unwrap();
        symlink("d", dir.path("l")).unwrap();
        assert_eq!(errno(remove(root.as_fd(), c"d")), Some(libc::EISDIR));
        remove(root.as_fd(), c"l").unwrap();
        remove(root.as_fd(), c"f").unwrap();
        assert_eq!(errno(remove(root.as_fd(), c"f")), Some(libc::ENOENT));
        assert!(dir.path("d").is_dir());
        assert!(stat_at(root.as_fd(), c"l").is_err());
    }

    #[test]
    fn locks_are_not_waited_for_and_go_with_the_last_descriptor() {
        let dir = Dir::new();
        fs::write(dir.path("f"), "").unwrap();
        let open = || File::open(dir.path("f")).unwrap();
        let (one, other) = (open(), open());
        lock(one.as_fd()).unwrap();
        lock(one.as_fd()).unwrap();
        for lock in [lock, lock_shared] {
            assert_eq!(errno(lock(other.as_fd())), Some(libc::EWOULDBLOCK));
        }
        let twin = one.try_clone().unwrap();
        drop(one);
        assert_eq!(errno(lock(other.as_fd())), Some(libc::EWOULDBLOCK));
        drop(twin);
        lock_shared(other.as_fd()).unwrap();
        let third = open();
        lock_shared(third.as_fd()).unwrap();
        assert_eq!(errno(lock(third.as_fd())), Some(libc::EWOULDBLOCK));
    }

    #[test]
    fn permissions_are_set_on_what_is_open() {
        let dir = Dir::new();
        let root = at(&dir);
        let file = create(root.as_fd(), c"f", 0o600).unwrap();
        set_mode(file.as_fd(), 0o4640).unwrap();
        assert_eq!(mode(&dir, "f"), 0o640);
        let of_a_path = set_mode(root.as_fd(), 0o700);
        assert!(of_a_path.is_ok() || errno(of_a_path) == Some(libc::EBADF));
    }

    #[test]
    fn who_may_not_write_is_told_before() {
        let dir = Dir::new();
        let root = at(&dir);
        may_change(root.as_fd()).unwrap();
        fs::set_permissions(dir.path(""), PermissionsExt::from_mode(0o555)).unwrap();
        match may_change(root.as_fd()) {
            Ok(()) => println!("skipped: this user (root?) may write everything"),
            refused => assert_eq!(errno(refused), Some(libc::EACCES)),
        }
        fs::set_permissions(dir.path(""), PermissionsExt::from_mode(0o755)).unwrap();
        let file = File::create(dir.path("f")).unwrap();
        assert_eq!(errno(may_change(file.as_fd())), Some(libc::ENOTDIR));
    }
}
