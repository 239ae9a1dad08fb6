//! Files that were asked for a moment ago: open, and small ones with their bytes.
//!
//! Owns [`Cache`]: an arena of bytes, a fixed number of places, and who is let in. It must not look
//! for a file, choose a coding, or decide who may ask: rules are asked before it, each time.
//! Invariants: nothing in it is older than `KEEP_MS`; what stands in a directory that the kernel
//! says has changed is gone before the next event of the loop is looked at; after [`Cache::new`]
//! nothing is allocated; an open file that nobody asks for is closed after `KEEP_MS`, so that a
//! file system can be unmounted and the blocks of a removed file come free.
//!
//! Places and arena are rings: the oldest makes room. Only what is asked for twice within
//! `KEEP_MS` gets in, so that who reads a whole site leaves what others ask for.

mod entry;
mod eyes;

use super::Source;
use crate::connection::time::Ms;
use crate::sys::file;
use entry::Entry;
pub use entry::Kept;
pub(super) use entry::{Fresh, Hit, Key, Known};
pub(super) use eyes::{Eyes, Marks};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How long an answer may come from here, ms: the age of bytes whose change the kernel does not
/// tell (a hard link elsewhere, a mapping, a file system of the network, more directories than are
/// watched, no inotify).
pub(super) const KEEP_MS: u32 = 1000;
/// Paths of which it is known when they were asked for; a power of two.
const SEEN: usize = 256;
/// How many times as many hashes as places are told apart.
const INDEX_EACH: usize = 4;
/// The longest path that is kept, bytes.
const PATH_BYTES: usize = 512;

/// See the module.
#[derive(Debug)]
pub struct Cache {
    eyes: Eyes,
    /// Which place a key was put into last, by its hash: a power of two of them.
    index: Vec<u16>,
    places: Vec<Option<Entry>>,
    arena: Vec<u8>,
    /// Where the next bytes go.
    cursor: usize,
    /// Where the next file goes.
    next: u16,
    /// When which path was asked for in vain.
    seen: Vec<(u32, Ms)>,
    /// No place is taken for longer than this; `None`: none is taken.
    due: Option<Ms>,
    /// Content above this is not copied, bytes.
    small_bytes: u16,
}

impl Cache {
    /// So many places, and so many bytes; without either nothing is kept. Content of more than
    /// `small_bytes` is kept as an open file alone.
    #[must_use]
    pub fn new(places: u16, arena_bytes: u32, small_bytes: u16) -> Self {
        let arena_bytes = usize::try_from(arena_bytes).unwrap_or(0);
        let is_on = places > 0 && arena_bytes > PATH_BYTES;
        let (places, arena_bytes) = if is_on { (places, arena_bytes) } else { (0, 0) };
        let most = u16::try_from(arena_bytes / 4).unwrap_or(u16::MAX);
        Self {
            eyes: if is_on { Eyes::open() } else { Eyes::shut() },
            index: vec![u16::MAX; usize::from(places).next_power_of_two() * INDEX_EACH],
            places: (0..places).map(|_| None).collect(),
            arena: vec![0; arena_bytes],
            cursor: 0,
            next: 0,
            seen: vec![(0, Ms(0)); if is_on { SEEN } else { 0 }],
            due: None,
            small_bytes: small_bytes.min(most),
        }
    }

    /// Nothing is kept.
    #[must_use]
    pub fn off() -> Self {
        Self::new(0, 0, 0)
    }

    /// What a place takes, bytes.
    #[must_use]
    pub const fn bytes_each() -> usize {
        size_of::<Option<Entry>>() + 2 * INDEX_EACH * size_of::<u16>()
    }

    /// What there is beside places and arena, bytes.
    #[must_use]
    pub const fn bytes_fixed() -> usize {
        SEEN * size_of::<(u32, Ms)>() + Eyes::BYTES
    }

    /// By what the kernel says what has changed: to be watched, and then [`Cache::look`] called.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.eyes.fd()
    }

    /// Nobody watches it: everything is as old as it may be.
    pub fn is_not_watched(&mut self) {
        self.clear();
        self.eyes = Eyes::shut();
    }

    /// The file for this key, if it is here.
    pub(super) fn find(&self, key: Key<'_>, now: Ms) -> Option<Hit<'_>> {
        let hash = key.hash();
        let kept = self.at(hash, key, now);
        let kept = kept.or_else(|| self.at(tasted(hash, key.taste), key, now))?;
        let entry = self.entry(kept)?;
        entry.was_found.set(true);
        let from = entry.at + usize::from(entry.path_bytes);
        let front = self.arena.get(from..from + usize::from(entry.front_bytes));
        Some(Hit {
            kept,
            known: entry.found.as_ref().map(|(_, known)| known),
            front: front.unwrap_or_default(),
        })
    }

    /// The place at this hash, if it is the key's.
    fn at(&self, hash: u32, key: Key<'_>, now: Ms) -> Option<Kept> {
        let kept = Kept(*self.index.get(self.slot_of(hash))?);
        let entry = self.entry(kept)?;
        let path = entry.at..entry.at + usize::from(entry.path_bytes);
        let is_meant = entry.host == key.host
            && (entry.taste == key.taste || !entry.varies())
            && now < entry.until
            && self.arena.get(path) == Some(key.path);
        is_meant.then_some(kept)
    }

    fn slot_of(&self, hash: u32) -> usize {
        let mask = self.index.len().wrapping_sub(1);
        usize::try_from(hash).unwrap_or(0) & mask
    }

    /// It was not here. True: it was asked for a short while ago, too, so it is to be kept if it is
    /// found, by a way on which [`Cache::eyes`] look.
    pub(super) fn is_wanted(&mut self, key: Key<'_>, now: Ms) -> bool {
        if key.path.len() > PATH_BYTES {
            return false;
        }
        let again = note(&mut self.seen, key.hash(), now);
        if again {
            self.eyes
                .sweep(self.places.iter().flatten().map(|entry| entry.marks));
        }
        again
    }

    /// What looks at the directories of a way.
    pub(super) fn eyes(&self) -> &Eyes {
        &self.eyes
    }

    /// Keeps a file that was found on a way of these marks, and the front of its head. What
    /// cannot be read is given back.
    pub(super) fn put(&mut self, key: Key<'_>, fresh: Fresh<'_>, now: Ms) -> Source {
        let Fresh {
            file,
            known,
            front,
            marks,
        } = fresh;
        let content_bytes = u16::try_from(known.size)
            .ok()
            .filter(|bytes| *bytes <= self.small_bytes);
        let entry = Entry {
            found: Some((file, known.clone())),
            front_bytes: u16::try_from(front.len()).unwrap_or(u16::MAX),
            content_bytes,
            ..Entry::nowhere(key, marks, now)
        };
        match self.keep(key, front, entry) {
            Ok(kept) => Source::Kept(kept),
            Err(file) => Source::Own(file), // who sends it finds out by itself
        }
    }

    /// Keeps that a path leads nowhere, as was found on a way of these marks.
    pub(super) fn put_nowhere(&mut self, key: Key<'_>, marks: Marks, now: Ms) {
        let _ = self.keep(key, b"", Entry::nowhere(key, marks, now));
    }

    /// Takes an entry in, or gives its file back.
    fn keep(&mut self, key: Key<'_>, front: &[u8], mut entry: Entry) -> Result<Kept, OwnedFd> {
        let bytes = entry.bytes();
        entry.at = self.reserve(bytes).unwrap_or(usize::MAX);
        let room = entry.at.checked_add(bytes);
        let room = room.and_then(|end| self.arena.get_mut(entry.at..end));
        let file = entry.found.as_ref().map(|(file, _)| file.as_fd());
        let filled = room.and_then(|room| fill(room, [key.path, front], file));
        let hash = match entry.varies() {
            true => tasted(entry.hash, key.taste),
            false => entry.hash,
        };
        let (slot, until) = (self.slot_of(hash), entry.until);
        let kept = Kept(self.next);
        let place = self.places.get_mut(usize::from(kept.0));
        let (Some(place), Some(()), Some(index)) = (place, filled, self.index.get_mut(slot)) else {
            return entry.found.map_or(Ok(kept), |(file, _)| Err(file));
        };
        *index = kept.0;
        *place = Some(entry);
        self.next = match usize::from(kept.0) + 1 >= self.places.len() {
            true => 0,
            false => kept.0 + 1,
        };
        self.due.get_or_insert(until);
        Ok(kept)
    }

    /// Room for so many bytes in one piece: whoever stood there is gone.
    fn reserve(&mut self, bytes: usize) -> Option<usize> {
        if bytes > self.arena.len() || self.places.is_empty() {
            return None;
        }
        if self.cursor + bytes > self.arena.len() {
            self.cursor = 0;
        }
        let (from, to) = (self.cursor, self.cursor + bytes);
        self.forget(|entry| entry.at < to && from < entry.at + entry.bytes());
        self.cursor = to;
        Some(from)
    }

    fn forget(&mut self, mut goes: impl FnMut(&Entry) -> bool) {
        for place in &mut self.places {
            place.take_if(|entry| goes(entry));
        }
    }

    fn entry(&self, kept: Kept) -> Option<&Entry> {
        self.places.get(usize::from(kept.0))?.as_ref()
    }

    /// Copies a part of the file into `room`.
    ///
    /// # Errors
    /// As [`file::read_whole`].
    pub fn read(&self, kept: Kept, room: &mut [u8], offset: u64) -> io::Result<()> {
        let entry = self.entry(kept).ok_or(io::ErrorKind::NotFound)?;
        let (file, _) = entry.found.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let Some(content_bytes) = entry.content_bytes else {
            return file::read_whole(file.as_fd(), room, offset);
        };
        let start = entry.at + entry.before_content();
        let content = self.arena.get(start..start + usize::from(content_bytes));
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = content.and_then(|content| content.get(from..)?.get(..room.len()));
        room.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// The file for somebody who needs it for longer.
    ///
    /// # Errors
    /// EMFILE.
    pub fn file(&self, kept: Kept) -> io::Result<OwnedFd> {
        let entry = self.entry(kept).ok_or(io::ErrorKind::NotFound)?;
        let (file, _) = entry.found.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.try_clone()
    }

    /// The kernel has something to say about the directories.
    pub fn look(&mut self) {
        let mut lost = false;
        let mut changed = Marks::NONE;
        while let Some(marks) = self.eyes.look() {
            match marks {
                Some(marks) => changed = changed.with(marks),
                None => lost = true,
            }
        }
        if lost {
            self.clear();
        } else if !changed.is_empty() {
            self.forget(|entry| entry.marks.meet(changed));
        }
    }

    /// Closes what has been here for long enough.
    pub fn expire(&mut self, now: Ms) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let mut due: Option<Ms> = None;
        for place in &mut self.places {
            let Some(entry) = place else { continue };
            if now < entry.until {
                due = Some(due.map_or(entry.until, |due| due.min(entry.until)));
                continue;
            }
            if entry.was_found.get() {
                note(&mut self.seen, entry.hash, now); // the next one keeps it again
            }
            *place = None;
        }
        self.due = due;
    }

    /// When [`Cache::expire`] is due.
    #[must_use]
    pub fn due(&self) -> Option<Ms> {
        self.due
    }

    /// Something has changed of which the kernel may say nothing: everything goes.
    pub fn clear(&mut self) {
        self.forget(|_| true);
        self.due = None;
    }
}

/// The texts, and behind them the content of the file.
fn fill(room: &mut [u8], texts: [&[u8]; 2], file: Option<BorrowedFd<'_>>) -> Option<()> {
    let mut rest = room;
    for text in texts {
        let (front, behind) = rest.split_at_mut_checked(text.len())?;
        front.copy_from_slice(text);
        rest = behind;
    }
    file.map_or(Some(()), |file| file::read_whole(file, rest, 0).ok())
}

/// The hash for clients of this taste, where there is something to choose from.
fn tasted(hash: u32, taste: u16) -> u32 {
    hash ^ u32::from(taste).wrapping_add(1).wrapping_mul(0x9e37_79b1)
}

/// A path was asked for. True: not long ago it was, too.
fn note(seen: &mut [(u32, Ms)], hash: u32, now: Ms) -> bool {
    let at = usize::try_from(hash).unwrap_or(0) & (SEEN - 1);
    let Some(seen) = seen.get_mut(at) else {
        return false;
    };
    let again = seen.0 == hash && now.since(seen.1) <= u64::from(KEEP_MS);
    *seen = (hash, now);
    again
}

#[cfg(test)]
mod tests;
