//! One connection, as far as its readiness and its budget carry it.
//!
//! Owns the order in which a slot is read, answered and written, and the moving of its bytes. It
//! must not decide anything the heart decides. Invariants: it stops when nothing more can be done
//! without a new edge, a buffer or time; when it stops on a budget instead, the slot goes to the
//! run queue.

use super::Reactor;
use super::net::{Look, Net, Side};
use super::places::Place;
use super::slots::Slot;
use crate::connection::state::State;
use crate::connection::time::Turn;
use crate::connection::{Act, Need, Read, Write};
use std::io::{self, ErrorKind};

/// Bytes that one slot may move in one visit, both directions together. A turn visits it at most
/// twice: for an event, and from the run queue.
const BYTES_PER_TURN: usize = 256 * 1024;
/// Bytes thrown away by one call.
const DISCARD_BYTES: usize = 64 * 1024;
/// Requests that one slot may have answered in one visit.
const REQUESTS_PER_TURN: usize = 64;

/// What is left of a slot's share of this visit.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bytes: usize,
    pub(super) requests: usize,
    /// A work has had its step of this visit and needs another.
    pub(super) later: bool,
    /// Something stood in the slot's buffer in this visit or before it.
    pub(super) used: bool,
}

impl Budget {
    /// Something was done for so many bytes.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something happened: look again.
    Moved,
    /// Nothing more without a new edge, a buffer or time.
    Blocked,
}

impl<N: Net> Reactor<N> {
    /// Carries a slot as far as it goes.
    pub(super) fn drive(&mut self, index: u16, turn: &Turn<'_>) {
        let holds_bytes = |slot: &Slot<N::Socket>| slot.connection.holds_bytes();
        let mut budget = Budget {
            bytes: BYTES_PER_TURN,
            requests: REQUESTS_PER_TURN,
            later: false,
            used: self.slots.get(index).is_some_and(holds_bytes),
        };
        let mut looked = false;
        loop {
            let Some(slot) = self.slots.get(index) else {
                return;
            };
            let need = slot.connection.need();
            if let Act::Close(reason, how) = need.act {
                self.note_misuse(index);
                self.close(index, reason, how, turn.now);
                return;
            }
            let step = self.step(index, need, &mut budget, turn);
            // Shutting the write side looks at the goodbye itself.
            looked = need.act == Act::ShutdownWrite || looked && step == Step::Blocked;
            if step == Step::Moved {
                continue;
            }
            if need.act == Act::Answer || budget.bytes == 0 || budget.later {
                self.runnable.push(index);
            }
            // Acknowledgements move without a byte to read: a goodbye is looked at once a visit.
            let lingers = self
                .slots
                .get(index)
                .is_some_and(|s| s.connection.state() == State::Linger);
            if looked || !lingers {
                break;
            }
            looked = true;
            if let Some(slot) = self.slots.get_mut(index) {
                let look = unless_due(Look::Moved, slot, turn);
                let queues = self.net.queues(&slot.socket, look);
                slot.connection.tick(queues, turn);
            }
        }
        self.settle(index, turn);
    }

    /// Does what it needs, as far as that can be had.
    pub(super) fn step(
        &mut self,
        index: u16,
        need: Need,
        budget: &mut Budget,
        turn: &Turn<'_>,
    ) -> Step {
        let act = need.act;
        if act.is_about_input() && !self.secure_buffer(index, turn) {
            return Step::Blocked;
        }
        match act {
            Act::ShutdownWrite => self.shutdown_write(index, turn),
            Act::Introduce => self.introduce(index, turn),
            Act::Refuse(reject) => self.refuse(index, reject, turn),
            Act::Answer if budget.requests > 0 => {
                budget.requests -= 1;
                self.answer(index, turn);
            }
            Act::Store if budget.bytes > 0 => self.store(index, budget, turn),
            Act::Conclude => return self.conclude(index, turn),
            Act::Produce if self.produce(index, budget, turn) == Step::Moved => {}
            Act::Answer | Act::Store | Act::Produce | Act::None | Act::Close(..) => {
                return self.transfer(index, need, budget, turn);
            }
        }
        Step::Moved
    }

    /// After a visit: what is not needed goes home, and the deadline is set.
    fn settle(&mut self, index: u16, turn: &Turn<'_>) {
        self.note_misuse(index);
        self.end_input(index);
        self.end_growth(index);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let state = slot.connection.state();
        if state != slot.state {
            slot.state = state;
            slot.since = turn.now;
        }
        let more_to_come = slot.connection.has_pieces();
        let stores = state == State::Store;
        let scripts = matches!(state, State::Script | State::Relay);
        if slot.connection.file_owed() == 0 && !more_to_come && !stores {
            slot.file = None;
        }
        let over = slot.holds.take_if(|place| match place {
            Place::Work(_) => !more_to_come,
            Place::Upload(_) => !stores,
            Place::Script(_) => !(stores || scripts || more_to_come),
            Place::Status(_) => !more_to_come,
        });
        let need = slot.connection.need();
        let until = slot.connection.until(turn.limits);
        let wants_buffer =
            need.read == Read::Into || need.act.is_about_input() || need.act == Act::Produce;
        let returned = if slot.connection.holds_bytes() {
            None
        } else {
            slot.buffer.take()
        };
        self.go_home(over);
        self.timers.arm(index, until);
        self.forget_client(index);
        if !wants_buffer {
            self.leave_line(index); // a buffer would only pass through it
        }
        if let Some(buffer) = returned {
            self.give_buffer(buffer);
        }
    }

    fn note_misuse(&mut self, index: u16) {
        if let Some(misuse) = self
            .slots
            .get_mut(index)
            .and_then(|s| s.connection.take_misuse())
        {
            self.counters.misuse(misuse);
            log::error!("a fault of adieu itself: {misuse:?}; please report it");
        }
    }

    fn shutdown_write(&mut self, index: u16, turn: &Turn<'_>) {
        if let Some(slot) = self.slots.get_mut(index) {
            match self.net.shutdown_write(&slot.socket) {
                Ok(()) => {
                    let queues = self.net.queues(&slot.socket, Look::Whole);
                    slot.connection.write_shut(queues, turn);
                }
                Err(_) => slot.connection.broken(turn),
            }
        }
    }

    // ---- moving bytes --------------------------------------------------------------------------

    fn transfer(&mut self, index: u16, need: Need, budget: &mut Budget, turn: &Turn<'_>) -> Step {
        let Some(ready) = self.slots.get(index).map(|slot| slot.ready) else {
            return Step::Blocked;
        };
        if budget.bytes == 0 {
            return Step::Blocked;
        }
        if need.write != Write::Nothing && ready.write {
            return self.write(index, need.write, budget, turn);
        }
        if need.read == Read::Feed {
            return self.feed(index, budget, turn);
        }
        if need.read == Read::Nothing || !ready.read {
            return Step::Blocked;
        }
        match need.read {
            Read::Into => self.receive(index, budget, turn),
            Read::Discard(max) => self.discard(index, max, budget, turn),
            Read::Store(max) => self.store_unseen(index, max, budget, turn),
            Read::Feed | Read::Nothing => Step::Blocked,
        }
    }

    fn write(&mut self, index: u16, write: Write, budget: &mut Budget, turn: &Turn<'_>) -> Step {
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        let outcome = match (write, slot.buffer, &slot.file) {
            (Write::Bytes { more }, buffer, _) => {
                // A 100 (Continue) stands in none.
                let output: &[u8] = match buffer {
                    Some(buffer) => self.buffers.halves(buffer).1,
                    None => &[],
                };
                self.net
                    .send(&slot.socket, slot.connection.sendable(output), more)
            }
            (Write::File(left), _, Some(file)) => {
                let max = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(budget.bytes);
                self.net.send_file(&slot.socket, file, slot.offset, max)
            }
            (Write::Nothing | Write::File(_), _, _) => {
                Err(io::Error::from(ErrorKind::InvalidInput))
            }
        };
        match outcome {
            Ok(0) => slot.connection.truncated(turn),
            Ok(n) => {
                budget.spend(n);
                self.counters.sent(u64::try_from(n).unwrap_or(u64::MAX));
                if matches!(write, Write::File(_)) {
                    slot.advance(n);
                }
                let owed_bytes = slot.connection.response_bytes_owed();
                slot.connection.sent(n, turn);
                self.note_sent(index, owed_bytes, turn);
                self.moved(index, Side::Send, n, turn);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                slot.ready.write = false;
            }
            // The peer's end of it is broken, or the disk's.
            Err(error) if is_of_peer(&error) || matches!(write, Write::Bytes { .. }) => {
                slot.connection.broken(turn);
            }
            Err(_) => slot.connection.truncated(turn),
        }
        Step::Moved
    }

    pub(super) fn receive(&mut self, index: u16, budget: &mut Budget, turn: &Turn<'_>) -> Step {
        if !self.buffer_to_read(index, turn) {
            return Step::Blocked;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        let Some(buffer) = slot.buffer else {
            return Step::Blocked;
        };
        let (input, _) = self.buffers.halves(buffer);
        let space = slot.connection.space(input);
        let asked = space.len();
        match self.net.receive(&slot.socket, space) {
            Ok(0) => self.read_eof(index, turn),
            Ok(n) => {
                budget.spend(n);
                if n < asked && !slot.ready.closed {
                    slot.ready.read = false; // a short read: the queue is empty
                }
                slot.connection.received(n, input, turn);
                self.moved(index, Side::Receive, n, turn);
            }
            Err(error) => self.read_failed(index, &error, turn),
        }
        Step::Moved
    }

    fn discard(&mut self, index: u16, max: u64, budget: &mut Budget, turn: &Turn<'_>) -> Step {
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        let asked = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(DISCARD_BYTES)
            .min(budget.bytes);
        match self.net.discard(&slot.socket, asked) {
            Ok(0) => self.read_eof(index, turn),
            Ok(n) => {
                budget.spend(n);
                if n < asked && !slot.ready.closed {
                    slot.ready.read = false;
                }
                slot.connection
                    .discarded(u64::try_from(n).unwrap_or(u64::MAX), turn);
                self.moved(index, Side::Receive, n, turn);
            }
            Err(error) => self.read_failed(index, &error, turn),
        }
        Step::Moved
    }

    pub(super) fn read_eof(&mut self, index: u16, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.ready.read = false;
        let look = unless_due(Look::Ended, slot, turn);
        let queues = self.net.queues(&slot.socket, look);
        slot.connection.peer_eof(queues, turn);
    }

    pub(super) fn read_failed(&mut self, index: u16, error: &io::Error, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if error.kind() == ErrorKind::WouldBlock {
            slot.ready.read = false;
        } else {
            slot.connection.broken(turn);
        }
    }
}

/// A deadline is looked at with all that counts.
fn unless_due<S>(look: Look, slot: &Slot<S>, turn: &Turn<'_>) -> Look {
    match turn.now >= slot.connection.until(turn.limits) {
        true => Look::Whole,
        false => look,
    }
}

/// Whether a failed send says something about the connection; else it is the file that cannot be
/// read.
fn is_of_peer(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionAborted,
        ErrorKind::NotConnected,
        ErrorKind::TimedOut,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::NetworkDown,
    ];
    kinds.contains(&error.kind())
}
