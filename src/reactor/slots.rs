//! The slot table: a slab that never grows, with generations beside it.
//!
//! Owns [`Slot`] and [`Slots`]. It must not drive anything. Invariants: `slab` grows on its own, so
//! every insert is guarded by the capacity; a generation lives outside the slab and changes with
//! every removal, so a stale event finds nobody.

use super::addresses::Key;
use super::places::Place;
use crate::config::status;
use crate::connection::Connection;
use crate::connection::client::Client;
use crate::connection::state::State;
use crate::connection::time::Ms;
use crate::script;
use crate::site::upload;
use slab::Slab;
use std::os::fd::OwnedFd;

/// The readiness that edges have told and nothing has used up yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// A read may find something.
    pub(super) read: bool,
    /// A write may find room.
    pub(super) write: bool,
    /// The peer's FIN or RST is queued: no further edge will come, so only a read that says so
    /// clears `read`.
    pub(super) closed: bool,
}

/// One connection with what the shell keeps for it.
#[derive(Debug)]
pub(super) struct Slot<S> {
    /// Its life.
    pub(super) connection: Connection,
    /// Its socket.
    pub(super) socket: S,
    /// Who is there: the other end of the connection, or whom it named in its preface.
    pub(super) peer: Client,
    /// The client whose share it takes; `None`: nobody's.
    pub(super) counted: Option<Key>,
    /// The file that is being sent or written.
    pub(super) file: Option<OwnedFd>,
    /// Its place in one of the tables, if it needs one.
    pub(super) holds: Option<Place>,
    /// Next byte of the file.
    pub(super) offset: u64,
    /// Its buffer.
    pub(super) buffer: Option<u16>,
    /// It came by `status.socket`, and has one of the slots for that.
    pub(super) of_status: bool,
    /// Readiness.
    pub(super) ready: Ready,
    /// The state the shell saw last, and since when.
    pub(super) state: State,
    /// Since when `state` holds.
    pub(super) since: Ms,
}

impl<S> Slot<S> {
    /// So many bytes of its file are done.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.offset = self
            .offset
            .saturating_add(u64::try_from(bytes).unwrap_or(0));
    }

    /// Its place in the table of works.
    pub(super) fn work(&self) -> Option<u16> {
        match self.holds {
            Some(Place::Work(at)) => Some(at),
            Some(Place::Upload(_) | Place::Script(_) | Place::Status(_)) | None => None,
        }
    }

    /// Its place among the answers about the status.
    pub(super) fn status(&self) -> Option<u16> {
        match self.holds {
            Some(Place::Status(at)) if status::BUILT => Some(at),
            Some(Place::Work(_) | Place::Upload(_) | Place::Script(_) | Place::Status(_))
            | None => None,
        }
    }

    /// Its place in the table of uploads.
    pub(super) fn upload(&self) -> Option<u16> {
        match self.holds {
            Some(Place::Upload(at)) if upload::BUILT => Some(at),
            Some(Place::Work(_) | Place::Upload(_) | Place::Script(_) | Place::Status(_))
            | None => None,
        }
    }

    /// Its place in the table of scripts.
    pub(super) fn script(&self) -> Option<u16> {
        match self.holds {
            Some(Place::Script(at)) if script::BUILT => Some(at),
            Some(Place::Work(_) | Place::Upload(_) | Place::Script(_) | Place::Status(_))
            | None => None,
        }
    }
}

/// Bounds the memory plan: a slot is at most this on 64 bits.
pub(super) const SLOT_BYTES_MAX: usize = 240;

/// All slots.
#[derive(Debug)]
pub(super) struct Slots<S> {
    slab: Slab<Slot<S>>,
    generations: Vec<u16>,
    /// So many of them are for `status.socket`.
    kept: usize,
    /// So many of those are taken.
    kept_used: usize,
    /// The most others that were taken at once.
    peak: usize,
}

impl<S> Slots<S> {
    /// Room for `capacity` connections, and for `kept` that come by `status.socket`.
    #[must_use]
    pub(super) fn new(capacity: u16, kept: u16) -> Self {
        let kept = usize::from(kept);
        let all = usize::from(capacity).saturating_add(kept);
        Self {
            slab: Slab::with_capacity(all),
            generations: vec![0; all],
            kept,
            kept_used: 0,
            peak: 0,
        }
    }

    /// Memory for each slot, bytes: its place in the slab, with the slab's own mark, and its
    /// generation.
    #[must_use]
    pub(super) const fn bytes_each() -> usize {
        size_of::<Option<Slot<S>>>() + size_of::<usize>() + size_of::<u16>()
    }

    /// No further connection fits; `of_status`: that comes by `status.socket`.
    #[must_use]
    pub(super) fn is_full(&self, of_status: bool) -> bool {
        match of_status {
            true => self.kept_used >= self.kept,
            false => self.clients() >= self.generations.len().saturating_sub(self.kept),
        }
    }

    /// Live connections but those of `status.socket`.
    #[must_use]
    pub(super) fn clients(&self) -> usize {
        self.slab.len().saturating_sub(self.kept_used)
    }

    /// The most of them that lived at once.
    #[must_use]
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// Live connections.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// No connection lives.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Puts a connection into a free slot: its index and generation. `None`, and the connection is
    /// gone, when there is none: ask [`Slots::is_full`] first.
    pub(super) fn insert(&mut self, slot: Slot<S>) -> Option<(u16, u16)> {
        let full = self.is_full(slot.of_status);
        debug_assert!(!full, "a connection was accepted without a slot");
        if full {
            return None;
        }
        self.kept_used += usize::from(slot.of_status);
        let index = self.slab.insert(slot);
        self.peak = self.peak.max(self.clients());
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        Some((index, self.generation(index)))
    }

    /// Takes a connection out.
    pub(super) fn remove(&mut self, index: u16) -> Option<Slot<S>> {
        let slot = self.slab.try_remove(usize::from(index))?;
        self.kept_used -= usize::from(slot.of_status);
        if let Some(generation) = self.generations.get_mut(usize::from(index)) {
            *generation = generation.wrapping_add(1);
        }
        Some(slot)
    }

    /// The generation of a slot.
    #[must_use]
    pub(super) fn generation(&self, index: u16) -> u16 {
        self.generations
            .get(usize::from(index))
            .copied()
            .unwrap_or(0)
    }

    /// A connection.
    #[must_use]
    pub(super) fn get(&self, index: u16) -> Option<&Slot<S>> {
        self.slab.get(usize::from(index))
    }

    /// A connection.
    pub(super) fn get_mut(&mut self, index: u16) -> Option<&mut Slot<S>> {
        self.slab.get_mut(usize::from(index))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &Slot<S>)> {
        self.slab
            .iter()
            .map(|(index, slot)| (u16::try_from(index).unwrap_or(u16::MAX), slot))
    }

    /// Indices a connection may have.
    pub(super) fn indices(&self) -> std::ops::Range<u16> {
        0..u16::try_from(self.generations.len()).unwrap_or(u16::MAX)
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot<OwnedFd>>() <= SLOT_BYTES_MAX);
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Slot<OwnedFd>>() <= SLOT_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::limits::Limits;
    use crate::connection::state::Teardown;
    use crate::connection::time::Turn;

    fn slot() -> Slot<()> {
        let limits = Limits::new();
        let turn = Turn {
            now: Ms(0),
            wall: None,
            limits: &limits,
            stopping: false,
        };
        Slot {
            connection: Connection::new(Teardown::Linger, &turn),
            socket: (),
            peer: Client::Unix,
            counted: None,
            file: None,
            holds: None,
            offset: 0,
            buffer: None,
            of_status: false,
            ready: Ready::default(),
            state: State::Idle,
            since: Ms(0),
        }
    }

    #[test]
    fn a_slot_that_is_used_again_has_another_generation() {
        let mut slots = Slots::new(1, 0);
        let (index, first) = slots.insert(slot()).unwrap();
        assert!(slots.is_full(false));
        assert!(slots.remove(index).is_some());
        assert!(slots.remove(index).is_none());
        let (again, second) = slots.insert(slot()).unwrap();
        assert_eq!(again, index);
        assert_ne!(second, first, "a stale event would find the wrong client");
        assert_eq!(slots.generation(index), second);
    }

    #[test]
    fn the_table_never_grows() {
        let mut slots = Slots::new(3, 0);
        let room = slots.slab.capacity();
        for _ in 0..3 {
            assert!(slots.insert(slot()).is_some());
        }
        assert!(slots.is_full(false));
        assert_eq!(slots.slab.capacity(), room);
        assert_eq!(slots.len(), 3);
    }

    #[test]
    fn those_of_the_status_socket_have_slots_of_their_own() {
        let mut slots = Slots::new(2, 1);
        let of_status = || Slot {
            of_status: true,
            ..slot()
        };
        for _ in 0..2 {
            assert!(slots.insert(slot()).is_some());
        }
        assert!(slots.is_full(false) && !slots.is_full(true));
        let (index, _) = slots.insert(of_status()).unwrap();
        assert!(slots.is_full(true));
        assert_eq!((slots.len(), slots.clients(), slots.peak()), (3, 2, 2));
        assert!(slots.remove(index).is_some_and(|slot| slot.of_status));
        assert!(slots.is_full(false) && !slots.is_full(true));
        assert_eq!((slots.len(), slots.clients(), slots.peak()), (2, 2, 2));
    }
}
