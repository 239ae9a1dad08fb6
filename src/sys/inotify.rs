//! What happens in directories, as the kernel tells it.
//!
//! Owns: inotify_init1(2), inotify_add_watch(2), inotify_rm_watch(2), the reading of events. Must
//! not: decide what a change means.
//!
//! Invariants: no call waits; a watch says one thing and is gone, so that a directory in which much
//! happens costs one event for each time that it is watched.
#![allow(
    unsafe_code,
    reason = "inotify_init1(2), inotify_add_watch(2), inotify_rm_watch(2), read(2)"
)]

use std::ffi::CStr;
use std::io;
use std::io::Write as _;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::call::{checked, counted, retried, some};

/// Any change of what a name in the directory leads to, of the bytes behind it, and of who may see
/// it; and the directory's own end.
const CHANGES: u32 = libc::IN_MODIFY
    | libc::IN_ATTRIB
    | libc::IN_CREATE
    | libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_MOVED_TO
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF
    | libc::IN_ONLYDIR
    | libc::IN_ONESHOT
    // Who is watched already is so without a moment in which it is not.
    | libc::IN_MASK_ADD;
/// The fixed part of `struct inotify_event`: four numbers of 32 bits (inotify(7)).
const HEAD_BYTES: usize = 16;
/// Room for some events at least: the longest has a name of 255 bytes.
pub const ROOM_BYTES: usize = 4096;

/// A watched directory. Its number is not used again before 2^31 others were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch(i32);

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something has changed in this directory, and its watch is gone or about to go. It is said
    /// twice: with the change, and when the watch is gone. Between the two [`watch`] still answers
    /// with the old one, which tells nothing any more.
    Changed(Watch),
    /// There was more than the queue holds: anything may have changed.
    Lost,
}

/// A queue of events.
///
/// # Errors
///
/// EMFILE: the user has as many as it may (`fs.inotify.max_user_instances`), or the process has
/// too many descriptors; ENOSYS in a kernel without; see inotify_init(2).
pub fn queue() -> io::Result<OwnedFd> {
    // SAFETY: the call takes flags alone.
    let queue = checked(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(queue) })
}

/// Watches an open directory, also one that is only named (`O_PATH`), for one event. Who is watched
/// already keeps its watch.
///
/// # Errors
///
/// EACCES: it may not be read; ENOENT: there is no /proc, by which it is named here; ENOSPC: the
/// user has as many watches as it may (`fs.inotify.max_user_watches`).
pub fn watch(queue: BorrowedFd<'_>, directory: BorrowedFd<'_>) -> io::Result<Watch> {
    let mut path = [0_u8; 32];
    // Digits and a NUL fit, whatever the number.
    write!(&mut path[..], "/proc/self/fd/{}", directory.as_raw_fd())?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| super::call::invalid())?;
    // SAFETY: `path` ends in a NUL and is only read.
    let watch =
        checked(unsafe { libc::inotify_add_watch(queue.as_raw_fd(), path.as_ptr(), CHANGES) })?;
    Ok(Watch(watch))
}

/// Watches no longer. What it has said and nobody has read yet is read all the same.
pub fn forget(queue: BorrowedFd<'_>, watch: Watch) {
    // SAFETY: the call takes numbers alone; of a watch that is gone it says EINVAL.
    let _ = checked(unsafe { libc::inotify_rm_watch(queue.as_raw_fd(), watch.0) });
}

/// Whole events into `into`, of at least [`ROOM_BYTES`]: how many bytes of them, for [`told`].
///
/// # Errors
///
/// `WouldBlock` when there are none.
pub fn read(queue: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let length = some(into.len())?;
    let room = into.as_mut_ptr().cast();
    retried(|| {
        // SAFETY: `room` is valid for writes of `length` bytes, at most `into.len()`.
        counted(unsafe { libc::read(queue.as_raw_fd(), room, length) })
    })
}

/// What the events in `bytes` say. What is cut off says nothing.
pub fn told(bytes: &[u8]) -> impl Iterator<Item = Told> {
    let mut rest = bytes;
    let events = std::iter::from_fn(move || {
        let (head, behind) = rest.split_at_checked(HEAD_BYTES)?;
        let number = |at: usize| -> Option<[u8; 4]> { head.get(at..at + 4)?.try_into().ok() };
        let watch = i32::from_ne_bytes(number(0)?);
        let mask = u32::from_ne_bytes(number(4)?);
        let name_bytes = usize::try_from(u32::from_ne_bytes(number(12)?)).ok()?;
        rest = behind.get(name_bytes..)?;
        Some((watch, mask))
    });
    events.map(|(watch, mask)| match mask {
        _ if mask & libc::IN_Q_OVERFLOW != 0 => Told::Lost,
        _ => Told::Changed(Watch(watch)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::open_root;
    use crate::sys::testing::Dir;
    use std::os::fd::AsFd;

    fn all(queue: &OwnedFd) -> Vec<Told> {
        let mut room = [0; ROOM_BYTES];
        let mut all = vec![];
        while let Ok(n) = read(queue.as_fd(), &mut room) {
            all.extend(told(&room[..n]));
        }
        all
    }

    #[test]
    fn every_change_is_told_once_and_the_watch_is_gone() {
        let dir = Dir::new();
        let queue = queue().unwrap();
        let changes: [(&str, &dyn Fn()); 7] = [
            ("a new file", &|| {
                std::fs::write(dir.path("f"), "1").unwrap()
            }),
            ("new bytes", &|| std::fs::write(dir.path("f"), "2").unwrap()),
            ("permissions", &|| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(dir.path("f"), mode).unwrap();
            }),
            ("another name", &|| {
                std::fs::rename(dir.path("f"), dir.path("g")).unwrap();
            }),
            ("a directory", &|| {
                std::fs::create_dir(dir.path("d")).unwrap()
            }),
            ("a link", &|| {
                std::os::unix::fs::symlink("g", dir.path("l")).unwrap();
            }),
            ("an end", &|| std::fs::remove_file(dir.path("g")).unwrap()),
        ];
        for (what, change) in changes {
            let root = open_root(&dir.path("")).unwrap();
            let first = watch(queue.as_fd(), root.as_fd()).unwrap();
            assert_eq!(watch(queue.as_fd(), root.as_fd()).unwrap(), first);
            assert_eq!(all(&queue), [], "{what}");
            change();
            assert_eq!(all(&queue), [Told::Changed(first); 2], "{what}");
            std::fs::write(dir.path("other"), what).unwrap();
            assert_eq!(all(&queue), [], "once: {what}");
        }
    }

    #[test]
    fn who_is_forgotten_says_nothing_and_a_file_is_not_watched() {
        let dir = Dir::new();
        let queue = queue().unwrap();
        let root = open_root(&dir.path("")).unwrap();
        let gone = watch(queue.as_fd(), root.as_fd()).unwrap();
        forget(queue.as_fd(), gone);
        forget(queue.as_fd(), gone);
        std::fs::write(dir.path("f"), "1").unwrap();
        assert_eq!(all(&queue), [Told::Changed(gone)], "that it is gone");
        let file = std::fs::File::open(dir.path("f")).unwrap();
        let error = watch(queue.as_fd(), file.as_fd()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTDIR));
    }

    #[test]
    fn events_that_are_cut_off_say_nothing() {
        let event = |watch: i32, mask: u32, name: &[u8]| {
            let length = u32::try_from(name.len()).unwrap();
            let numbers = [
                watch.to_ne_bytes(),
                mask.to_ne_bytes(),
                [0; 4],
                length.to_ne_bytes(),
            ];
            [&numbers.concat(), name].concat()
        };
        let bytes = [
            event(1, libc::IN_MODIFY, b"name\0\0\0\0"),
            event(1, libc::IN_IGNORED, b""),
            event(-1, libc::IN_Q_OVERFLOW, b""),
            event(2, libc::IN_DELETE_SELF, b""),
        ]
        .concat();
        let changed = |watch| Told::Changed(Watch(watch));
        let whole = [changed(1), changed(1), Told::Lost, changed(2)];
        assert_eq!(told(&bytes).collect::<Vec<_>>(), whole);
        for end in 0..bytes.len() {
            let seen: Vec<_> = told(&bytes[..end]).collect();
            assert!(
                whole.starts_with(&seen) && seen.len() < whole.len(),
                "{end}"
            );
        }
    }
}
