//! The files with users and the hashes of their passwords, as htpasswd(1) makes them.
//!
//! Owns how such a file is read, and the files that were read. It must not know a hash. Invariants:
//! at most [`KEPT_MAX`] files of at most [`FILE_BYTES_MAX`] are kept; a file that has changed is
//! read again before the next answer; one that cannot be read lets nobody in, whatever it held
//! before; who is not in it costs as much time as who gives a wrong password.
//!
//! Lines are `user:hash`, and what follows the hash after another colon is a comment. Blank lines
//! and lines that begin with `#` are skipped. The first line of a user counts, even if it is wrong.

use super::hash;
use super::message::{Question, Verdict};
use super::spare::Spare;
use crate::sys::clock;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::hint::black_box;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The largest file that is read, bytes: about 800 users.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// So many files are kept; of more, those that were asked for last.
const KEPT_MAX: usize = 8;
/// A file that was changed less than so many seconds before it was read may change once more
/// without showing it: FAT counts in steps of two seconds.
const RECENT_S: i64 = 3;

/// The files that were read, the one that was asked for last in front.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<Kept>);

/// A file that was read.
#[derive(Debug)]
struct Kept {
    path: Vec<u8>,
    /// What it was then; `None`: too young to tell whether it changes again.
    stamp: Option<Stamp>,
    text: Vec<u8>,
}

/// What changes with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl Files {
    /// May this user come in?
    pub(super) fn verdict(&mut self, question: &Question<'_>, spare: &mut Spare) -> Verdict {
        match self.text(question.file) {
            Ok(text) => match lets_in(text, question, spare) {
                true => Verdict::Yes,
                false => Verdict::No,
            },
            Err(_) => Verdict::Failed,
        }
    }

    /// The text of this file, as it is now.
    fn text(&mut self, path: &[u8]) -> io::Result<&[u8]> {
        let at = self.0.iter().position(|kept| kept.path == path);
        let kept = at.map(|at| self.0.remove(at));
        let name = Path::new(OsStr::from_bytes(path));
        // An error lets what was kept go.
        let now = Stamp::of(&regular(fs::metadata(name)?)?);
        let kept = match kept {
            Some(kept) if kept.stamp == Some(now) => kept,
            Some(_) | None => read(name)?,
        };
        self.0.truncate(KEPT_MAX.saturating_sub(1));
        self.0.insert(0, kept);
        let newest = self.0.first().map(|kept| kept.text.as_slice());
        Ok(newest.unwrap_or_default())
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed_s: metadata.mtime(),
            changed_ns: metadata.mtime_nsec(),
        }
    }
}

/// Opening anything else may wait for ever, and reading it may never end.
fn regular(metadata: Metadata) -> io::Result<Metadata> {
    match metadata.is_file() {
        true => Ok(metadata),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn read(path: &Path) -> io::Result<Kept> {
    let file = File::open(path)?;
    let stamp = Stamp::of(&regular(file.metadata()?)?);
    let mut text = Vec::new();
    let most = FILE_BYTES_MAX.saturating_add(1);
    let count = file.take(most).read_to_end(&mut text)?;
    if u64::try_from(count).is_ok_and(|count| count == most) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // A clock that was set back makes files of the future: they are read each time.
    let settled = clock::wall_s().saturating_sub(stamp.changed_s) >= RECENT_S;
    Ok(Kept {
        path: path.as_os_str().as_bytes().to_vec(),
        stamp: settled.then_some(stamp),
        text,
    })
}

/// The whole text is read for everybody, and one hash is computed: that of the user, or else the
/// first one that is sound, to take the time of it.
fn lets_in(text: &[u8], question: &Question<'_>, spare: &mut Spare) -> bool {
    let plain = question.plain;
    let mut own = None;
    let mut any = None;
    for (user, stored) in lines(text) {
        let sound = hash::is_sound(stored, plain).then_some(stored);
        if user == question.user && own.is_none() {
            own = Some(sound);
        }
        any = any.or(sound);
    }
    match own.flatten() {
        Some(stored) => spare.verify(stored, question.password, plain),
        None => {
            let stored = any.unwrap_or_default();
            let _time = black_box(spare.verify(stored, question.password, plain));
            false
        }
    }
}

/// The users and what stands behind their names.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#") {
            return None;
        }
        let (user, stored) = at_colon(line)?;
        // A hash has no colon; in a password that stands there as it is, one would cut it off.
        let comment = stored.starts_with(b"$").then(|| at_colon(stored)).flatten();
        let stored = comment.map_or(stored, |(stored, _)| stored);
        (!user.is_empty()).then_some((user, stored))
    })
}

/// What stands before the first colon, and what behind it.
fn at_colon(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let (before, rest) = line.split_at_checked(at)?;
    Some((before, rest.strip_prefix(b":")?))
}

#[cfg(test)]
mod tests;
