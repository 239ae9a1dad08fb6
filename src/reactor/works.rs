//! The table of works: what answers in pieces need between two pieces.
//!
//! Owns the way of a piece from the site through the heart. There is one place for each buffer, for
//! a piece needs a buffer to stand in. It must not decide what comes next: the heart asks
//! ([`Act::Produce`](crate::connection::Act::Produce)). Invariants: a slot holds a work as long as
//! its response has further pieces; nobody holds a buffer while a work is prepared, nor for a
//! second piece while others wait for a buffer.

use super::Reactor;
use super::drive::{Budget, Step};
use super::net::Net;
use super::places::Place;
use crate::connection::time::Turn;
use crate::site::{Pieces, Prepared};
use std::os::fd::AsFd;

/// What making a piece counts in the share of a turn, beside the bytes that are sent of it: it may
/// read from slow storage in sixteen places.
const PIECE_BYTES: usize = 32 * 1024;

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
        let at = self.works.put(&mut work, slot.counted, epoch);
        slot.holds = at.map(Place::Work);
        slot.file = Some(pieces.file);
        if let Some(work) = work {
            debug_assert!(false, "an answer in pieces without a place for its work");
            slot.connection.truncated(turn);
            self.sites.current().release(work);
        }
    }

    /// The work of a slot goes home, if it has one.
    pub(super) fn end_pieces(&mut self, index: u16) {
        let slot = self.slots.get_mut(index);
        let makes = |place: &mut Place| matches!(place, Place::Work(_) | Place::Status(_));
        let held = slot.and_then(|slot| slot.holds.take_if(makes));
        self.go_home(held);
    }

    /// What stood in a place goes home, unfinished or not.
    pub(super) fn go_home(&mut self, held: Option<Place>) {
        match held {
            Some(Place::Work(at)) => self.release_work(at),
            Some(Place::Upload(at)) => self.abandon_upload(at),
            Some(Place::Script(at)) => self.leave_script(at),
            Some(Place::Status(at)) => self.showings.end(at),
            None => {}
        }
    }

    fn release_work(&mut self, at: u16) {
        let Some((work, epoch)) = self.works.take(at) else {
            return;
        };
        if let Some(site) = self.sites.of(epoch) {
            site.release(work);
        }
        self.forget_site_of(epoch);
    }

    /// Makes the next piece, for a socket that took everything before it.
    pub(super) fn produce(&mut self, index: u16, budget: &mut Budget, turn: &Turn<'_>) -> Step {
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        if let Some(at) = slot.script() {
            return self.produce_of_script(index, at, budget, turn);
        }
        if !slot.ready.write || budget.bytes == 0 || budget.later {
            return Step::Blocked;
        }
        if let Some(at) = slot.status() {
            return self.produce_of_status(index, at, budget, turn);
        }
        let work = slot.work().and_then(|at| self.works.get_mut(at));
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
        if !self.buffer_for_piece(index, budget, turn) {
            return Step::Blocked;
        }
        self.write_piece(index, turn);
        Step::Moved
    }

    /// A buffer for a piece is at hand, and its making is paid.
    pub(super) fn buffer_for_piece(
        &mut self,
        index: u16,
        budget: &mut Budget,
        turn: &Turn<'_>,
    ) -> bool {
        let yields = budget.used && self.yields_buffer(index, turn);
        if yields || !self.secure_buffer(index, turn) {
            return false;
        }
        budget.used = true;
        budget.spend(PIECE_BYTES);
        true
    }

    /// Who has used its buffer gives it to whoever waits before it makes another piece: an answer
    /// of many pieces must not keep one for as long as it lasts. True: it is given away, and the
    /// slot stands in line.
    pub(super) fn yields_buffer(&mut self, index: u16, turn: &Turn<'_>) -> bool {
        // Half heads get none of the reserve: it would come straight back.
        let one_would_get_it =
            !self.whole.is_empty() || !(self.waiting.is_empty() || self.buffers.is_short());
        if !one_would_get_it {
            return false;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        if slot.of_status || slot.connection.holds_bytes() {
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
        let work = slot.work().and_then(|at| self.works.get_mut(at));
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
