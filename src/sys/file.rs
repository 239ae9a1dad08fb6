//! Files below a directory.
//!
//! Owns: openat(2), statx(2), readlinkat(2), pread(2). Must not: know a path of more than one name
//! (the walk beneath the root is the site's), follow a symbolic link below the root, or keep a
//! file.
//!
//! Invariants: every descriptor is close-on-exec; opening never waits (a FIFO without a writer, a
//! device); sizes and offsets have 64 bits, and so have times wherever the kernel has statx(2).
//!
//! `name` is one name, without a slash: the kernel would walk a longer one and follow links in it.
#![allow(
    unsafe_code,
    reason = "openat(2), statx(2), fstatat(2), readlinkat(2), pread(2)"
)]

use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use libc::c_int;

use super::call::{checked, counted, invalid, offset, retried, some, wide};

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes with a size.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO, a socket, a device.
    Other,
}

/// What the file system says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its kind.
    pub kind: Kind,
    /// Bytes in it.
    pub size: u64,
    /// Its number on its device.
    pub inode: u64,
    /// The device, as `st_dev` of stat(2) has it.
    pub device: u64,
    /// When its bytes last changed, in seconds since 1970-01-01 UTC; negative before.
    pub modified_s: i64,
    /// The nanoseconds of that, 0 to 999,999,999.
    pub modified_ns: u32,
    /// When its bytes or its inode last changed, in seconds since 1970-01-01 UTC.
    pub changed_s: i64,
    /// The nanoseconds of that, 0 to 999,999,999.
    pub changed_ns: u32,
    /// Its type and permissions, as `st_mode` of inode(7) has them.
    pub mode: u32,
}

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of an open file, also one opened with `O_PATH`.
    ///
    /// # Errors
    ///
    /// As [`stat`].
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::from(&stat(fd)?))
    }

    /// That of what is at `path`, links followed.
    ///
    /// # Errors
    ///
    /// As [`open_root`].
    pub fn at(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|found| Self::from(&found))
    }

    /// That of what is at `path`, a symbolic link itself.
    ///
    /// # Errors
    ///
    /// As [`open_root`].
    pub fn at_itself(path: &Path) -> io::Result<Self> {
        std::fs::symlink_metadata(path).map(|found| Self::from(&found))
    }

    /// It is on the same file system.
    #[must_use]
    pub const fn is_beside(self, other: Self) -> bool {
        self.device == other.device
    }
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.device,
            inode: stat.inode,
        }
    }
}

impl From<&Metadata> for Identity {
    // A usual path costs the standard library no allocation.
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

/// A directory to start from, following links on the way. The descriptor only names it (`O_PATH`):
/// enough for the calls below.
///
/// # Errors
///
/// ENOENT, ENOTDIR, EACCES on the way; EINVAL for a path with a NUL; see open(2).
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    name(path, libc::O_DIRECTORY)
}

/// Whatever is at `path`, a symbolic link itself. The descriptor only names it (`O_PATH`).
///
/// # Errors
///
/// As [`open_root`].
pub(super) fn name_itself(path: &Path) -> io::Result<OwnedFd> {
    name(path, libc::O_NOFOLLOW)
}

/// Not by the standard library: on musl it takes `O_PATH` for a way of access, and drops it.
pub(super) fn name(path: &Path, flags: c_int) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| invalid())?;
    open(libc::AT_FDCWD, &path, libc::O_PATH | flags)
}

/// The directory `name` in `at`, as [`open_root`] gives it.
///
/// # Errors
///
/// ENOTDIR if it is something else, a symbolic link included; ENOENT, EACCES; see open(2).
pub fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    open(at.as_raw_fd(), name, flags)
}

/// The file `name` in `at`, for reading. Its kind is not known before [`stat`] of the descriptor: a
/// directory, FIFO or device opens as well (at once, and a terminal does not become ours).
///
/// # Errors
///
/// ELOOP for a symbolic link; ENOENT, EACCES, EMFILE; ENXIO for a socket; see open(2).
pub fn open_regular(at: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    open(at.as_raw_fd(), name, flags)
}

/// What the file `name` in `at` is; of a symbolic link, the link itself.
///
/// # Errors
///
/// ENOENT, EACCES; EOVERFLOW where the kernel has no statx(2) and a number does not fit; see
/// statx(2).
pub fn stat_at(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Stat> {
    status(at.as_raw_fd(), name, libc::AT_SYMLINK_NOFOLLOW)
}

/// What an open file is, also one opened with `O_PATH`.
///
/// # Errors
///
/// As [`stat_at`].
pub fn stat(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    status(fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH)
}

/// The target of the symbolic link `name` in `at`: how many bytes of `into` it fills, without a
/// NUL. If that is all of them the target may have been longer.
///
/// # Errors
///
/// EINVAL if it is no link or `into` is empty; ENOENT, EACCES; see readlink(2).
pub fn read_link_at(at: BorrowedFd<'_>, name: &CStr, into: &mut [u8]) -> io::Result<usize> {
    let length = some(into.len())?;
    let room = into.as_mut_ptr().cast();
    retried(|| {
        // SAFETY: `name` ends in a NUL; `room` is valid for writes of `length` bytes, at most
        // `into.len()`.
        counted(unsafe { libc::readlinkat(at.as_raw_fd(), name.as_ptr(), room, length) })
    })
}

/// The path of an open file, as the kernel knows it now: how many bytes of `into` it fills, as
/// [`read_link_at`] does. Behind that of a file that was removed the kernel says so.
///
/// # Errors
///
/// ENOENT where nobody has mounted /proc; else as [`read_link_at`].
pub fn path(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let mut name = [0; 32];
    write!(name.as_mut_slice(), "/proc/self/fd/{}\0", fd.as_raw_fd())?;
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| invalid())?;
    // The path begins at /, whatever it is relative to.
    read_link_at(fd, name, into)
}

/// Bytes of a file from `offset_bytes` on, at most `into.len()`: how many, or 0 at its end. The
/// file's own position is not used. Waits for cold pages.
///
/// # Errors
///
/// EISDIR, ESPIPE for what is no regular file; EIO; EINVAL for an empty `into` or an offset above
/// 2^63 - 1; see pread(2).
pub fn read_at(fd: BorrowedFd<'_>, into: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
    let length = some(into.len())?;
    let at = offset(offset_bytes)?;
    let room = into.as_mut_ptr().cast();
    retried(|| {
        // SAFETY: `room` is valid for writes of `length` bytes, at most `into.len()`.
        counted(unsafe { libc::pread64(fd.as_raw_fd(), room, length, at) })
    })
}

/// Fills `into` from `offset_bytes` on. Waits for cold pages.
///
/// # Errors
///
/// `UnexpectedEof` if the file ends before; else as [`read_at`].
pub fn read_whole(fd: BorrowedFd<'_>, into: &mut [u8], offset_bytes: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset_bytes.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
        match read_at(fd, rest, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => done += n,
        }
    }
    Ok(())
}

/// openat(2), close-on-exec.
pub(super) fn open(at: RawFd, name: &CStr, flags: c_int) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_LARGEFILE;
    let opened = retried(|| {
        // SAFETY: `name` ends in a NUL and is only read; without O_CREAT there is no fourth
        // argument.
        checked(unsafe { libc::openat(at, name.as_ptr(), flags) })
    })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// statx(2), or fstatat(2) where the kernel is older (before 4.11: ENOSYS) or a container's filter
/// does not know the call (EPERM, which statx itself never answers).
fn status(at: RawFd, name: &CStr, flags: c_int) -> io::Result<Stat> {
    match extended(at, name, flags) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            classic(at, name, flags)
        }
        done => done,
    }
}

fn extended(at: RawFd, name: &CStr, flags: c_int) -> io::Result<Stat> {
    // SAFETY: a statx is integers: all zeroes is a value of it.
    let mut got: libc::statx = unsafe { std::mem::zeroed() };
    retried(|| {
        // SAFETY: `name` ends in a NUL; `got` outlives the call, which writes that one struct.
        checked(unsafe {
            libc::statx(
                at,
                name.as_ptr(),
                flags,
                libc::STATX_BASIC_STATS,
                &raw mut got,
            )
        })
    })?;
    let mode = u32::from(got.stx_mode);
    Ok(Stat {
        kind: kind(mode),
        size: got.stx_size,
        inode: got.stx_ino,
        device: device(got.stx_dev_major, got.stx_dev_minor),
        modified_s: got.stx_mtime.tv_sec,
        modified_ns: got.stx_mtime.tv_nsec,
        changed_s: got.stx_ctime.tv_sec,
        changed_ns: got.stx_ctime.tv_nsec,
        mode,
    })
}

fn classic(at: RawFd, name: &CStr, flags: c_int) -> io::Result<Stat> {
    // SAFETY: a stat64 is integers: all zeroes is a value of it.
    let mut got: libc::stat64 = unsafe { std::mem::zeroed() };
    retried(|| {
        // SAFETY: `name` ends in a NUL; `got` outlives the call, which writes that one struct.
        checked(unsafe { libc::fstatat64(at, name.as_ptr(), &raw mut got, flags) })
    })?;
    let mode = got.st_mode;
    Ok(Stat {
        kind: kind(mode),
        size: u64::try_from(got.st_size).map_err(|_| invalid())?,
        inode: wide(got.st_ino),
        device: wide(got.st_dev),
        modified_s: wide(got.st_mtime),
        modified_ns: u32::try_from(got.st_mtime_nsec).unwrap_or(0),
        changed_s: wide(got.st_ctime),
        changed_ns: u32::try_from(got.st_ctime_nsec).unwrap_or(0),
        mode,
    })
}

/// The kind of file in a `st_mode`.
fn kind(mode: u32) -> Kind {
    match mode & libc::S_IFMT {
        libc::S_IFREG => Kind::Regular,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink,
        _ => Kind::Other,
    }
}

/// The two halves of a device number as `st_dev` joins them (makedev(3)), so that both calls
/// answer the same.
fn device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    ((major & 0xffff_f000) << 32)
        | ((major & 0xfff) << 8)
        | ((minor & 0xffff_ff00) << 12)
        | (minor & 0xff)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;
    use crate::sys::testing::Dir;

    fn errno<T>(result: io::Result<T>) -> Option<i32> {
        result.err().and_then(|error| error.raw_os_error())
    }

    fn fifo(path: &Path) {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: `path` ends in a NUL and is only read.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }

    #[test]
    fn dates_far_away_come_whole() {
        let dir = Dir::new();
        // Outside and just inside of 32 bits. By touch(1), for std cannot set these on 32 bits.
        for (name, when, seconds, ns) in [
            (
                "late",
                "2040-01-01T00:00:00.123456789Z",
                2_208_988_800,
                123_456_789,
            ),
            ("early", "1901-12-14T20:53:20Z", -2_147_396_800, 0),
        ] {
            let touched = Command::new("touch")
                .arg("-d")
                .arg(when)
                .arg(dir.path(name))
                .status();
            assert!(touched.unwrap().success());
            let file = File::open(dir.path(name)).unwrap();
            let stat = stat(file.as_fd()).unwrap();
            assert_eq!((stat.modified_s, stat.modified_ns), (seconds, ns), "{name}");
        }
    }

    #[test]
    fn stat_agrees_with_the_standard_library_by_either_call() {
        let dir = Dir::new();
        let file = File::create_new(dir.path("f")).unwrap();
        file.write_all_at(b"abc", 5 << 30).unwrap();
        let want = file.metadata().unwrap();
        let root = open_root(&dir.path("")).unwrap();
        let (at, empty) = (root.as_raw_fd(), libc::AT_EMPTY_PATH);
        for got in [
            stat(file.as_fd()).unwrap(),
            stat_at(root.as_fd(), c"f").unwrap(),
            classic(file.as_raw_fd(), c"", empty).unwrap(),
            classic(at, c"f", libc::AT_SYMLINK_NOFOLLOW).unwrap(),
        ] {
            assert_eq!(got.kind, Kind::Regular);
            assert_eq!(got.size, (5 << 30) + 3);
            assert_eq!((got.inode, got.device), (want.ino(), want.dev()));
            assert_eq!(
                (got.modified_s, i64::from(got.modified_ns)),
                (want.mtime(), want.mtime_nsec())
            );
            assert_eq!(
                (got.changed_s, i64::from(got.changed_ns)),
                (want.ctime(), want.ctime_nsec())
            );
            assert_eq!(got.mode, want.mode());
        }
    }

    #[test]
    fn a_file_is_known_by_what_it_is_and_not_by_its_name() {
        let dir = Dir::new();
        std::fs::write(dir.path("f"), "x").unwrap();
        std::fs::hard_link(dir.path("f"), dir.path("g")).unwrap();
        symlink("f", dir.path("l")).unwrap();
        let at = |name: &str| Identity::at(&dir.path(name)).unwrap();
        let open = File::open(dir.path("f")).unwrap();
        assert_eq!(Identity::of(open.as_fd()).unwrap(), at("f"));
        assert_eq!((at("g"), at("l")), (at("f"), at("f")));
        let link = Identity::at_itself(&dir.path("l")).unwrap();
        assert!(link != at("f") && link.is_beside(at("f")));
        assert!(!at("f").is_beside(Identity::at(Path::new("/proc")).unwrap()));
        std::fs::remove_file(dir.path("f")).unwrap();
        std::fs::write(dir.path("f"), "x").unwrap();
        assert_ne!(at("f"), at("g"));
        assert_eq!(errno(Identity::at(&dir.path("none"))), Some(libc::ENOENT));
    }

    #[test]
    fn device_numbers_join_as_in_libc() {
        for (major, minor) in [(0, 0), (8, 1), (259, 300), (0xfff_fff, 0xffff_ffff)] {
            assert_eq!(device(major, minor), libc::makedev(major, minor));
        }
    }

    #[test]
    fn kinds_are_told_apart_and_links_not_followed() {
        let dir = Dir::new();
        std::fs::create_dir(dir.path("d")).unwrap();
        symlink("d", dir.path("l")).unwrap();
        fifo(&dir.path("p"));
        let _bound = UnixListener::bind(dir.path("s")).unwrap();
        let root = open_root(&dir.path("")).unwrap();
        let kind = |name| stat_at(root.as_fd(), name).unwrap().kind;
        assert_eq!(kind(c"d"), Kind::Directory);
        assert_eq!(kind(c"l"), Kind::Symlink);
        assert_eq!(kind(c"p"), Kind::Other);
        assert_eq!(kind(c"s"), Kind::Other);
        assert_eq!(stat(root.as_fd()).unwrap().kind, Kind::Directory);
        assert_eq!(errno(stat_at(root.as_fd(), c"none")), Some(libc::ENOENT));
    }

    #[test]
    fn opening_follows_no_link_below_the_root_and_never_waits() {
        let dir = Dir::new();
        std::fs::create_dir(dir.path("d")).unwrap();
        std::fs::write(dir.path("d/f"), "x").unwrap();
        symlink("d", dir.path("ld")).unwrap();
        symlink("d/f", dir.path("lf")).unwrap();
        fifo(&dir.path("p"));
        // The root itself may be reached through a link.
        let root = open_root(&dir.path("ld/..")).unwrap();
        let below = open_directory(root.as_fd(), c"d").unwrap();
        assert!(open_regular(below.as_fd(), c"f").is_ok());
        assert_eq!(
            errno(open_directory(root.as_fd(), c"ld")),
            Some(libc::ENOTDIR)
        );
        assert_eq!(
            errno(open_directory(below.as_fd(), c"f")),
            Some(libc::ENOTDIR)
        );
        assert_eq!(errno(open_regular(root.as_fd(), c"lf")), Some(libc::ELOOP));
        assert_eq!(
            errno(open_regular(root.as_fd(), c"none")),
            Some(libc::ENOENT)
        );
        let pipe = open_regular(root.as_fd(), c"p").unwrap();
        assert_eq!(stat(pipe.as_fd()).unwrap().kind, Kind::Other);
        assert!(open_root(Path::new("a\0b")).is_err());
        assert_eq!(errno(open_root(&dir.path("d/f"))), Some(libc::ENOTDIR));
    }

    #[test]
    fn a_links_target_is_read_and_a_short_room_filled() {
        let dir = Dir::new();
        symlink("over/there", dir.path("l")).unwrap();
        std::fs::write(dir.path("f"), "x").unwrap();
        let root = open_root(&dir.path("")).unwrap();
        let mut room = [0; 64];
        assert_eq!(read_link_at(root.as_fd(), c"l", &mut room).unwrap(), 10);
        assert_eq!(&room[..10], b"over/there");
        assert_eq!(read_link_at(root.as_fd(), c"l", &mut room[..4]).unwrap(), 4);
        assert_eq!(
            errno(read_link_at(root.as_fd(), c"l", &mut [])),
            Some(libc::EINVAL)
        );
        assert_eq!(
            errno(read_link_at(root.as_fd(), c"f", &mut room)),
            Some(libc::EINVAL)
        );
    }

    #[test]
    fn the_path_of_an_open_file_is_known_also_when_it_was_moved() {
        let dir = Dir::new();
        std::fs::write(dir.path("f"), "x").unwrap();
        let open = name(&dir.path("f"), 0).unwrap();
        std::fs::rename(dir.path("f"), dir.path("g")).unwrap();
        let mut room = [0; 4096];
        let length = path(open.as_fd(), &mut room).unwrap();
        let expected = dir.path("g").canonicalize().unwrap();
        assert_eq!(&room[..length], expected.as_os_str().as_bytes());
    }

    #[test]
    fn read_at_takes_a_place_and_ends_with_the_file() {
        let dir = Dir::new();
        let file = File::create_new(dir.path("f")).unwrap();
        file.write_all_at(b"start", 0).unwrap();
        file.write_all_at(b"far", 5 << 30).unwrap();
        let root = open_root(&dir.path("")).unwrap();
        let fd = open_regular(root.as_fd(), c"f").unwrap();
        let mut room = [0; 8];
        assert_eq!(read_at(fd.as_fd(), &mut room[..4], 1).unwrap(), 4);
        assert_eq!(&room[..4], b"tart");
        assert_eq!(read_at(fd.as_fd(), &mut room, 5 << 30).unwrap(), 3);
        assert_eq!(&room[..3], b"far");
        assert_eq!(read_at(fd.as_fd(), &mut room, (5 << 30) + 3).unwrap(), 0);
        assert!(read_at(fd.as_fd(), &mut [], 0).is_err());
        assert!(read_at(fd.as_fd(), &mut room, u64::MAX).is_err());
        // A directory, and a descriptor that only names a file.
        assert!(read_at(root.as_fd(), &mut room, 0).is_err());
    }

    #[test]
    fn descriptors_do_not_survive_exec() {
        let dir = Dir::new();
        let root = open_root(&dir.path("")).unwrap();
        // SAFETY: F_GETFD takes no further argument.
        let flags = unsafe { libc::fcntl(root.as_raw_fd(), libc::F_GETFD) };
        assert!(flags & libc::FD_CLOEXEC != 0);
    }
}
