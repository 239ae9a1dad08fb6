//! The names in a directory.
//!
//! Owns: opening a directory for reading, getdents64(2), lseek(2) in a directory. Must not: look at
//! what a name leads to, sort, or keep a directory open.
//!
//! Invariants: every name that is given out is one name: not empty, and without a slash or a NUL; a
//! record that is cut or garbled ends the reading of its buffer and is never read beyond.
#![allow(unsafe_code, reason = "getdents64(2), lseek64(2)")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::c_long;

use super::call::{invalid, retried, some};
use super::file::{self, Kind};

/// Bytes before the name in a `struct linux_dirent64`: inode, position, length, type.
const HEAD_BYTES: usize = 19;
/// The kernel writes numbers of eight bytes into the buffer.
const ALIGN_BYTES: usize = 8;

/// The directory `name` in `at`, for reading its names; `.` is `at` itself, also when that only
/// names it (`O_PATH`). Its position is at the start, and nobody else's.
///
/// # Errors
///
/// EACCES without the permission to read it; ENOTDIR if it is something else, a symbolic link
/// included; ENOENT, EMFILE; see open(2).
pub fn open(at: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    file::open(at.as_raw_fd(), name, flags)
}

/// The next names of `directory`, as many as fit into `into`; none at its end. `.` and `..` are
/// among them. A buffer of 1 KiB takes any name; what stands in it before is lost.
///
/// # Errors
///
/// ENOENT if the directory was removed; EINVAL if `into` is too small for the next name; ENOTDIR,
/// EIO; see getdents64(2).
pub fn read<'b>(directory: BorrowedFd<'_>, into: &'b mut [u8]) -> io::Result<Entries<'b>> {
    let skipped = into.as_ptr().align_offset(ALIGN_BYTES);
    let room = into.get_mut(skipped..).ok_or_else(invalid)?;
    let length = some(room.len())?;
    let start = room.as_mut_ptr();
    let fd = c_long::from(directory.as_raw_fd());
    let filled = retried(|| {
        // SAFETY: `start` is valid for writes of `length` bytes, at most `room.len()`; the call
        // takes these three arguments and writes nowhere else.
        let result = unsafe { libc::syscall(libc::SYS_getdents64, fd, start, length) };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    })?;
    let records = room.get(..filled).unwrap_or_default();
    Ok(Entries { records })
}

/// Goes to a position: 0 is the start, others are an [`Entry::next`] of this open directory.
///
/// # Errors
///
/// EINVAL for a position that the file system does not take; see lseek(2).
pub fn seek(directory: BorrowedFd<'_>, position: i64) -> io::Result<()> {
    let fd = directory.as_raw_fd();
    // SAFETY: the call takes numbers only.
    let reached = unsafe { libc::lseek64(fd, position, libc::SEEK_SET) };
    // A position may look negative where a file system makes it from a hash; only -1 is an error.
    if reached == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// One name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'b> {
    /// The name, without a NUL.
    pub name: &'b [u8],
    /// Its number on its device; of a mount point, that of the directory beneath.
    pub inode: u64,
    /// What it is, if the file system says so here. It may have changed since.
    pub hint: Option<Kind>,
    /// The position behind it, for [`seek`].
    pub next: i64,
}

/// The names in one buffer.
#[derive(Clone, Debug)]
pub struct Entries<'b> {
    records: &'b [u8],
}

impl Entries<'_> {
    /// Bytes that are still to be gone through; 0 for the end of the directory, if none was taken.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.records.len()
    }
}

impl<'b> Iterator for Entries<'b> {
    type Item = Entry<'b>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let length = usize::from(u16::from_ne_bytes(field(self.records, 16)?));
            let taken = self.records.split_at_checked(length);
            let Some((record, rest)) = taken.filter(|_| length > HEAD_BYTES) else {
                self.records = &[];
                return None;
            };
            self.records = rest;
            if let Some(entry) = entry(record) {
                return Some(entry);
            }
        }
    }
}

/// What a record says; nothing if its name is none.
fn entry(record: &[u8]) -> Option<Entry<'_>> {
    let [kind] = field(record, 18)?;
    let text = record.get(HEAD_BYTES..)?;
    let name = text.get(..text.iter().position(|&b| b == 0)?)?;
    // A damaged file system may hold a name with a slash: the kernel would take it for a way.
    if name.is_empty() || name.contains(&b'/') {
        return None;
    }
    Some(Entry {
        name,
        inode: u64::from_ne_bytes(field(record, 0)?),
        hint: match kind {
            libc::DT_REG => Some(Kind::Regular),
            libc::DT_DIR => Some(Kind::Directory),
            libc::DT_LNK => Some(Kind::Symlink),
            libc::DT_FIFO | libc::DT_SOCK | libc::DT_CHR | libc::DT_BLK => Some(Kind::Other),
            _ => None,
        },
        next: i64::from_ne_bytes(field(record, 8)?),
    })
}

/// `N` bytes at `at`.
fn field<const N: usize>(record: &[u8], at: usize) -> Option<[u8; N]> {
    record.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{DirEntryExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;
    use crate::sys::testing::Dir;

    fn errno<T>(result: io::Result<T>) -> Option<i32> {
        result.err().and_then(|error| error.raw_os_error())
    }

    fn opened(path: &Path) -> OwnedFd {
        let named = file::open_root(path).unwrap();
        open(named.as_fd(), c".").unwrap()
    }

    /// Every name from the present position on, with its inode and hint.
    fn rest(directory: &OwnedFd, room: &mut [u8]) -> BTreeMap<Vec<u8>, (u64, Option<Kind>)> {
        let mut found = BTreeMap::new();
        loop {
            let entries = read(directory.as_fd(), room).unwrap();
            if entries.bytes() == 0 {
                return found;
            }
            for entry in entries {
                let new = found.insert(entry.name.to_vec(), (entry.inode, entry.hint));
                assert_eq!(new, None, "twice: {:?}", entry.name);
            }
        }
    }

    /// A record as the kernel writes it, with a length of its own saying.
    fn record(name: &[u8], kind: u8, length: u16) -> Vec<u8> {
        let mut bytes = 7_u64.to_ne_bytes().to_vec();
        bytes.extend(9_i64.to_ne_bytes());
        bytes.extend(length.to_ne_bytes());
        bytes.push(kind);
        bytes.extend(name);
        bytes.push(0);
        bytes
    }

    #[test]
    fn every_name_comes_once_with_what_it_is() {
        let dir = Dir::new();
        std::fs::create_dir(dir.path("d")).unwrap();
        std::fs::write(dir.path("f"), "x").unwrap();
        symlink("f", dir.path("l")).unwrap();
        let _bound = UnixListener::bind(dir.path("s")).unwrap();
        let odd: Vec<u8> = (1..=255).filter(|&b| b != b'/').collect();
        let long = vec![0xff; 255];
        for name in [&odd, &long] {
            std::fs::write(dir.path("").join(OsStr::from_bytes(name)), "").unwrap();
        }
        for number in 0..300 {
            std::fs::write(dir.path(&format!("{number}")), "").unwrap();
        }
        let directory = opened(&dir.path(""));
        // Not aligned, and so small that many calls are needed.
        let mut room = [0; 1025];
        let found = rest(&directory, &mut room[1..]);
        let mut want: Vec<_> = std::fs::read_dir(dir.path(""))
            .unwrap()
            .map(|e| e.unwrap())
            .map(|e| (e.file_name().as_bytes().to_vec(), e.ino()))
            .collect();
        want.sort();
        let own = found.iter().filter(|(name, _)| !name.starts_with(b"."));
        let own: Vec<_> = own.map(|(n, (inode, _))| (n.clone(), *inode)).collect();
        assert_eq!(own, want);
        assert!(found.contains_key(&b".."[..]) && found.contains_key(&b"."[..]));
        for (name, kind) in [
            (&b"d"[..], Kind::Directory),
            (b"f", Kind::Regular),
            (b"l", Kind::Symlink),
            (b"s", Kind::Other),
        ] {
            // A file system may leave it open, but not say something else.
            assert!([None, Some(kind)].contains(&found[name].1), "{name:?}");
        }
        assert!(rest(&directory, &mut room).is_empty());
        seek(directory.as_fd(), 0).unwrap();
        assert_eq!(rest(&directory, &mut room), found);
    }

    #[test]
    fn a_reader_goes_on_behind_any_name() {
        let dir = Dir::new();
        for number in 0..50 {
            std::fs::write(dir.path(&format!("{number}")), "").unwrap();
        }
        let directory = opened(&dir.path(""));
        let mut room = [0; 8192];
        let all: Vec<(Vec<u8>, i64)> = read(directory.as_fd(), &mut room)
            .unwrap()
            .map(|entry| (entry.name.to_vec(), entry.next))
            .collect();
        assert_eq!(all.len(), 52);
        for (place, (_, next)) in all.iter().enumerate() {
            seek(directory.as_fd(), *next).unwrap();
            let left: Vec<Vec<u8>> = read(directory.as_fd(), &mut room)
                .unwrap()
                .map(|entry| entry.name.to_vec())
                .collect();
            let want: Vec<Vec<u8>> = all[place + 1..].iter().map(|(n, _)| n.clone()).collect();
            assert_eq!(left, want);
        }
    }

    #[test]
    fn only_readable_directories_open() {
        let dir = Dir::new();
        std::fs::create_dir(dir.path("d")).unwrap();
        std::fs::write(dir.path("f"), "x").unwrap();
        symlink("d", dir.path("l")).unwrap();
        let root = file::open_root(&dir.path("")).unwrap();
        let below = open(root.as_fd(), c"d").unwrap();
        // SAFETY: F_GETFD takes no further argument.
        let flags = unsafe { libc::fcntl(below.as_raw_fd(), libc::F_GETFD) };
        assert!(flags & libc::FD_CLOEXEC != 0);
        assert_eq!(errno(open(root.as_fd(), c"f")), Some(libc::ENOTDIR));
        assert_eq!(errno(open(root.as_fd(), c"l")), Some(libc::ENOTDIR));
        assert_eq!(errno(open(root.as_fd(), c"none")), Some(libc::ENOENT));
        std::fs::set_permissions(dir.path("d"), std::fs::Permissions::from_mode(0o311)).unwrap();
        match open(root.as_fd(), c"d") {
            Ok(_) => println!("skipped: this user (root?) may read everything"),
            refused => assert_eq!(errno(refused), Some(libc::EACCES)),
        }
        // What only names it is not read.
        assert_eq!(errno(read(root.as_fd(), &mut [0; 1024])), Some(libc::EBADF));
    }

    #[test]
    fn a_removed_directory_and_a_small_room_are_errors() {
        let dir = Dir::new();
        std::fs::create_dir(dir.path("d")).unwrap();
        let directory = opened(&dir.path("d"));
        for room in [&mut [0; 0][..], &mut [0; 7], &mut [0; 20]] {
            assert_eq!(errno(read(directory.as_fd(), room)), Some(libc::EINVAL));
        }
        std::fs::remove_dir(dir.path("d")).unwrap();
        let gone = errno(read(directory.as_fd(), &mut [0; 1024]));
        assert_eq!(gone, Some(libc::ENOENT));
        assert!(seek(directory.as_fd(), -1).is_err());
    }

    #[test]
    fn garbled_records_end_the_buffer_and_nothing_else() {
        let names = |bytes: &[u8]| -> Vec<Vec<u8>> {
            let entries = Entries { records: bytes };
            entries.map(|e| e.name.to_vec()).collect()
        };
        let good = record(b"abcd", libc::DT_REG, 24);
        let join = |parts: &[&[u8]]| parts.concat();
        assert_eq!(names(&good), [b"abcd"]);
        assert_eq!(names(&join(&[&good, &good])), [b"abcd", b"abcd"]);
        // No length, one shorter than its head, one that reaches beyond the end.
        for length in [0, 1, 18, 19, 25, u16::MAX] {
            let bad = record(b"wxyz", libc::DT_REG, length);
            assert_eq!(names(&join(&[&good, &bad])), [b"abcd"], "{length}");
        }
        // Cut anywhere.
        for length in 0..good.len() {
            let cut = join(&[&good, &good[..length]]);
            assert_eq!(names(&cut), [b"abcd"], "{length}");
        }
        // No name, no end of the name, a way instead of a name: left out, and the next one comes.
        let mut endless = good.clone();
        endless[23] = b'x';
        for bad in [
            record(b"", 0, 20),
            record(b"a/bc", libc::DT_REG, 24),
            endless,
        ] {
            assert_eq!(names(&join(&[&bad, &good])), [b"abcd"]);
        }
        // Any bytes at all: an xorshift of its own, so that a failure comes again.
        let mut seed = 0x1234_5678_u32;
        for _ in 0..20_000 {
            let mut bytes = [0; 96];
            for byte in &mut bytes {
                seed ^= seed << 13;
                seed ^= seed >> 17;
                seed ^= seed << 5;
                *byte = seed.to_ne_bytes()[1] & 0x3f;
            }
            for name in names(&bytes) {
                assert!(!name.is_empty() && !name.contains(&b'/') && !name.contains(&0));
            }
        }
    }

    #[test]
    fn what_it_is_may_be_left_open() {
        for (kind, hint) in [
            (libc::DT_UNKNOWN, None),
            (libc::DT_REG, Some(Kind::Regular)),
            (libc::DT_DIR, Some(Kind::Directory)),
            (libc::DT_LNK, Some(Kind::Symlink)),
            (libc::DT_CHR, Some(Kind::Other)),
            (77, None),
        ] {
            let bytes = record(b"abcd", kind, 24);
            let entry = Entries { records: &bytes }.next().unwrap();
            assert_eq!((entry.hint, entry.inode, entry.next), (hint, 7, 9));
        }
    }
}
