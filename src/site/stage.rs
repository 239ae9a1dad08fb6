//! Where uploads grow until they are whole: one directory beneath each root that takes any.
//!
//! Owns that directory, its name, the names in it, and what a server that died left there. It must
//! not know what becomes of a file. Invariants: nothing in it has ever had another name; a file in
//! it is locked for as long as its upload lives, so that whoever can lock it may remove it; two
//! living servers can share one.

use crate::sys::file::{self, Identity, Kind};
use crate::sys::{change, directory};
use std::cell::Cell;
use std::ffi::CStr;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Its name.
const NAME: &CStr = c".adieu-uploads";
/// Nobody but us has a look at what is not whole.
const MODE: u32 = 0o700;
/// Of a file that is whole, less the umask.
const FILE_MODE: u32 = 0o644;
/// Digits of a name in it.
const DIGITS: usize = 16;
/// How many names are tried for a new file. The first is free, unless somebody guesses.
const TRIES: usize = 4;
/// Names in one read of the directory, bytes.
const READ_BYTES: usize = 2048;

/// The directory could have this name. Case does not count, nor do dots and blanks behind it:
/// some file systems see none of them.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    let seen = name.iter().rposition(|b| !matches!(b, b'.' | b' '));
    let bare = seen.and_then(|last| name.get(..=last)).unwrap_or_default();
    bare.eq_ignore_ascii_case(NAME.to_bytes())
}

/// The name of a file in it.
struct Temporary([u8; DIGITS + 1]);

impl Temporary {
    fn new(number: u64) -> Self {
        let mut name = [0; DIGITS + 1];
        let halves = number.to_be_bytes().into_iter();
        for (pair, byte) in name.chunks_exact_mut(2).zip(halves) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Self(name)
    }

    fn as_c_str(&self) -> &CStr {
        // There is one NUL, and it is the last.
        CStr::from_bytes_with_nul(&self.0).unwrap_or(c"")
    }

    /// A file in the directory could have this name.
    fn is_one(name: &[u8]) -> bool {
        name.len() == DIGITS && name.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// A hexadecimal digit.
const fn digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'a' + value - 10
    }
}

/// An open directory for uploads that are not whole.
#[derive(Debug)]
pub(super) struct Stage {
    fd: OwnedFd,
    identity: Identity,
    /// The next file's.
    number: Cell<u64>,
}

impl Stage {
    /// Its name, for people.
    pub(super) const NAME: &'static str = ".adieu-uploads";

    /// The directory in `root`, open by name alone.
    ///
    /// # Errors
    ///
    /// It is not there, or none.
    pub(super) fn name(root: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        file::open_directory(root, NAME)
    }

    /// The same of this very one.
    ///
    /// # Errors
    ///
    /// As [`Stage::name`]; `NotFound` too if another one has its name.
    pub(super) fn name_again(&self, root: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let at = Self::name(root)?;
        match Identity::of(at.as_fd())? == self.identity {
            true => Ok(at),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Makes the directory in `root`, unless it is there, and removes what nobody works at.
    ///
    /// # Errors
    ///
    /// It cannot be made or read, is none, or is another user's.
    pub(super) fn open(root: BorrowedFd<'_>) -> io::Result<Self> {
        match change::make_directory(root, NAME, MODE) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let fd = directory::open(root, NAME)?;
        let stat = file::stat(fd.as_fd())?;
        if stat.mode & 0o777 != MODE {
            change::set_mode(fd.as_fd(), MODE)?;
        }
        // What it may hold must be able to move to where it belongs.
        let identity = Identity::from(&stat);
        if !identity.is_beside(Identity::of(root)?) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        change::may_change(fd.as_fd())?;
        sweep(fd.as_fd())?;
        Ok(Self {
            fd,
            identity,
            // Whatever site made a file, no other one has made its name.
            number: Cell::new(RandomState::new().hash_one(identity)),
        })
    }

    /// Which directory it is.
    pub(super) const fn identity(&self) -> Identity {
        self.identity
    }

    /// A new file, locked, and its number.
    ///
    /// # Errors
    ///
    /// As [`change::create`].
    pub(super) fn create(&self) -> io::Result<(u64, OwnedFd)> {
        for _ in 0..TRIES {
            let number = self.number.get();
            self.number.set(number.wrapping_add(1));
            let name = Temporary::new(number);
            let file = match change::create(self.fd.as_fd(), name.as_c_str(), FILE_MODE) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => created?,
            };
            if self.claims(number, file.as_fd()) {
                return Ok((number, file));
            }
            self.remove(number);
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Locks the new file of this number; not if somebody who sweeps was faster.
    fn claims(&self, number: u64, created: BorrowedFd<'_>) -> bool {
        match change::lock(created) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // Without locks nobody sweeps either.
            Ok(()) | Err(_) => self.holds(number, created),
        }
    }

    /// The file of this number is that one.
    pub(super) fn holds(&self, number: u64, opened: BorrowedFd<'_>) -> bool {
        let name = Temporary::new(number);
        let here = file::stat_at(self.fd.as_fd(), name.as_c_str()).ok();
        let here = here.as_ref().map(Identity::from);
        let there = Identity::of(opened).ok();
        let both = here.zip(there);
        both.is_some_and(|(here, there)| here == there)
    }

    /// The file of this number gets its own name in `parent`.
    ///
    /// # Errors
    ///
    /// As [`change::rename`]. It stays where it is.
    pub(super) fn release(
        &self,
        number: u64,
        parent: BorrowedFd<'_>,
        name: &CStr,
    ) -> io::Result<()> {
        let temporary = Temporary::new(number);
        change::rename(self.fd.as_fd(), temporary.as_c_str(), parent, name)
    }

    /// Removes the file of this number. What cannot be removed the next start tries again.
    pub(super) fn remove(&self, number: u64) {
        let _ = change::remove(self.fd.as_fd(), Temporary::new(number).as_c_str());
    }
}

/// Removes the files that nobody has locked.
fn sweep(directory: BorrowedFd<'_>) -> io::Result<()> {
    let mut room = [0; READ_BYTES];
    loop {
        let entries = directory::read(directory, &mut room)?;
        if entries.bytes() == 0 {
            return Ok(());
        }
        for entry in entries.filter(|entry| Temporary::is_one(entry.name)) {
            let mut name = Temporary::new(0);
            for (to, from) in name.0.iter_mut().zip(entry.name) {
                *to = *from;
            }
            // One that resists is no reason not to serve.
            let _ = remove_unlocked(directory, name.as_c_str());
        }
    }
}

fn remove_unlocked(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let file = file::open_regular(directory, name)?;
    if file::stat(file.as_fd())?.kind == Kind::Regular {
        change::lock_shared(file.as_fd())?;
        change::remove(directory, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
