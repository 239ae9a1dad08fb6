//! The table of works: what answers in pieces need between two pieces.
//!
//! Owns one place for each buffer, for a piece needs a buffer to stand in, and the way of a piece
//! from the site through the heart. It must not decide what comes next: the heart asks
//! ([`Act::Produce`](crate::connection::Act::Produce)). Invariants: a place is free or held by one
//! slot; a slot holds one as long as its response has further pieces; nobody holds a buffer while a
//! work is prepared, nor for a second piece while others wait for a buffer.

use super::Reactor;
use super::addresses::Key;
use super::drive::{Budget, Step};
use super::net::Net;
use crate::connection::time::Turn;
use crate::site::{Pieces, Prepared, Work};
use std::os::fd::AsFd;

/// What making a piece counts in the share of a turn, beside the bytes that are sent of it: it may
/// read from slow storage in sixteen places.
const PIECE_BYTES: usize = 32 * 1024;

/// All works. Last in, first out.
#[derive(Debug)]
pub(super) struct Works {
    places: Vec<Option<Held>>,
    free: Vec<u16>,
    /// Most places of one client.
    share: usize,
}

/// A work, and the client that its connection was counted under when it began.
#[derive(Debug)]
struct Held {
    work: Work,
    client: Option<Key>,
    /// Of [`Sites::epoch`](super::reload::Sites::epoch).
    epoch: u16,
}

impl Works {
    /// Room for `count` works. One client gets the part of them that it gets of the slots: who
    /// reads slowly would have them all.
    #[must_use]
    pub(super) fn new(count: u16, per_address: u16, slots: u16) -> Self {
        let part = u32::from(count) * u32::from(per_address) / u32::from(slots).max(1);
        Self {
            places: (0..count).map(|_| None).collect(),
            free: (0..count).rev().collect(),
            share: usize::try_from(part).unwrap_or(0).max(1),
        }
    }

    /// Memory for each work, bytes.
    #[must_use]
    pub(super) const fn bytes_each() -> usize {
        size_of::<Option<Held>>() + size_of::<u16>()
    }

    /// A further work of this client finds a place. Who has no address has no share either.
    #[must_use]
    pub(super) fn has_room(&self, client: Option<Key>) -> bool {
        let held = self.places.len() - self.free.len();
        !self.free.is_empty() && (held < self.share || self.held_by(client) < self.share)
    }

    /// Places of this client.
    fn held_by(&self, client: Option<Key>) -> usize {
        let held = self.places.iter().flatten();
        held.filter(|held| client.is_some() && held.client == client)
            .count()
    }

    /// Takes a work into a free place. Where there is none it stays: ask [`Works::has_room`] first.
    fn put(&mut self, work: &mut Option<Work>, client: Option<Key>, epoch: u16) -> Option<u16> {
        let at = self.free.pop()?;
        let place = self.places.get_mut(usize::from(at))?;
        *place = work.take().map(|work| Held {
            work,
            client,
            epoch,
        });
        Some(at)
    }

    /// The work at this place, and the epoch of its site.
    fn get_mut(&mut self, at: u16) -> Option<(&mut Work, u16)> {
        let held = self.places.get_mut(usize::from(at))?.as_mut();
        held.map(|held| (&mut held.work, held.epoch))
    }

    /// A work of this epoch is not done.
    #[must_use]
    pub(super) fn is_used(&self, epoch: u16) -> bool {
        self.places.iter().flatten().any(|held| held.epoch == epoch)
    }

    /// Takes a work out.
    fn take(&mut self, at: u16) -> Option<(Work, u16)> {
        let held = self.places.get_mut(usize::from(at))?.take()?;
        self.free.push(at);
        Some((held.work, held.epoch))
    }

    /// How many places are free.
    #[must_use]
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// How many there are.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }
}

impl<N: Net> Reactor<N> {
    /// An answer in pieces begins: its work and its file stay with the slot.
    pub(super) fn begin_pieces(&mut self, index: u16, pieces: Pieces, turn: &Turn<'_>) {
        self.end_pieces(index);
        let Some(slot) = self.slots.get_mut(index) else {
            self.sites.current().release(pieces.work);
            return;
        };
        let mut work = Some(pieces.work);
        let epoch = self.sites.epoch();
        slot.work = self.works.put(&mut work, slot.counted, epoch);
        slot.file = Some(pieces.file);
        if let Some(work) = work {
            debug_assert!(false, "an answer in pieces without a place for its work");
            slot.connection.truncated(turn);
            self.sites.current().release(work);
        }
    }

    /// The work of a slot goes home, if it has one.
    pub(super) fn end_pieces(&mut self, index: u16) {
        let at = self.slots.get_mut(index).and_then(|slot| slot.work.take());
        self.release_work(at);
    }

    /// A work goes home.
    pub(super) fn release_work(&mut self, at: Option<u16>) {
        let Some((work, epoch)) = at.and_then(|at| self.works.take(at)) else {
            return;
        };
        if let Some(site) = self.sites.of(epoch) {
            site.release(work);
        }
        if epoch != self.sites.epoch() {
            self.forget_sites();
        }
    }

    /// Makes the next piece, for a socket that took everything before it.
    pub(super) fn produce(&mut self, index: u16, budget: &mut Budget, turn: &Turn<'_>) -> Step {
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        if !slot.ready.write || budget.bytes == 0 || budget.later {
            return Step::Blocked;
        }
        let work = slot.work.and_then(|at| self.works.get_mut(at));
        let work = work.and_then(|(work, epoch)| Some((work, self.sites.of(epoch)?)));
        let (Some((work, site)), Some(file)) = (work, &slot.file) else {
            slot.connection.truncated(turn); // cannot be; and it would never end
            return Step::Moved;
        };
        match site.prepare(work, file.as_fd(), turn.now) {
            Ok(Prepared::Ready) => {}
            Ok(Prepared::Later) => {
                budget.later = true;
                return Step::Blocked;
            }
            Ok(Prepared::Wait) => {
                self.patient.push(index);
                return Step::Blocked;
            }
            Err(_) => {
                slot.connection.truncated(turn);
                return Step::Moved;
            }
        }
        let yields = budget.used && self.yields_buffer(index, turn);
        if yields || !self.secure_buffer(index, turn) {
            return Step::Blocked;
        }
        budget.used = true;
        budget.spend(PIECE_BYTES);
        self.write_piece(index, turn);
        Step::Moved
    }

    /// Who has used its buffer gives it to whoever waits before it makes another piece: an answer
    /// of many pieces must not keep one for as long as it lasts. True: it is given away, and the
    /// slot stands in line.
    fn yields_buffer(&mut self, index: u16, turn: &Turn<'_>) -> bool {
        // Half heads get none of the reserve: it would come straight back.
        let one_would_get_it =
            !self.whole.is_empty() || !(self.waiting.is_empty() || self.buffers.is_short());
        if !one_would_get_it {
            return false;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        if slot.connection.holds_bytes() {
            return false; // requests behind it: `relieve` may write them off
        }
        let Some(buffer) = slot.buffer.take() else {
            return false;
        };
        self.stand_in_line(index, turn);
        self.give_buffer(buffer);
        true
    }

    /// Asks the site for a piece and hands it to the heart.
    fn write_piece(&mut self, index: u16, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let work = slot.work.and_then(|at| self.works.get_mut(at));
        let work = work.and_then(|(work, epoch)| Some((work, self.sites.of(epoch)?)));
        let (Some((work, site)), Some(file), Some(buffer)) = (work, &slot.file, slot.buffer) else {
            return;
        };
        let (_, output) = self.buffers.halves(buffer);
        let room = slot.connection.room_for_piece(output);
        let Ok(piece) = site.produce(work, file.as_fd(), room) else {
            slot.connection.truncated(turn);
            return;
        };
        let (offset, length) = piece.file.unwrap_or((slot.offset, 0));
        slot.offset = offset;
        slot.connection
            .produced(piece.bytes, length, piece.last, output, turn);
        self.note_piece(index, piece.bytes, length, turn);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if !slot.connection.has_pieces() {
            self.end_pieces(index);
        }
    }
}
