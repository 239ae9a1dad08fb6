//! What a script is told and says.
//!
//! Owns the bytes on their way between a connection and the pipes of its script. It must not wait
//! for a pipe. Invariants: what a script has not taken stays in the slot's buffer, and no more is
//! received until it has; what a client has not taken stays in the pipe; whatever a script writes,
//! nothing reaches the wire but a sound response, or the beginning of one and a reset.

use super::running::{Phase, Running, Voice};
use crate::connection::reply::Status;
use crate::connection::state::State;
use crate::connection::time::{Ms, Turn};
use crate::reactor::Reactor;
use crate::reactor::drive::{Budget, Step};
use crate::reactor::net::Net;
use crate::sys::{memory, pipe};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

/// What reading from a script came to.
pub(super) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing more ever.
    End,
}

impl Running {
    /// Its process goes on, as far as is known, and that is not known to be meant.
    fn may_say_why(&self) -> bool {
        self.phase == Phase::Running && self.voice != Voice::Mute
    }

    /// Reads what the script says next.
    pub(super) fn read(&mut self, into: &mut [u8], now: Ms) -> io::Result<Read> {
        let Some(output) = &self.output else {
            return Ok(self.end());
        };
        if !self.readable {
            return Ok(Read::Nothing);
        }
        match pipe::read(output.as_fd(), into) {
            Ok(0) => {
                self.output = None;
                self.voice = Voice::Silent(now);
                Ok(self.end())
            }
            Ok(n) => Ok(Read::Bytes(n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                // Whoever else holds the pipe does not hold the answer.
                if self.phase != Phase::Running {
                    self.output = None;
                    return Ok(Read::End);
                }
                Ok(Read::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// It was not cut off.
    fn ends_well(&self) -> bool {
        !self.told && self.phase != Phase::Cut
    }

    /// Nothing more comes. How its process ended says whether that was meant.
    fn end(&self) -> Read {
        match self.may_say_why() {
            true => Read::Nothing,
            false => Read::End,
        }
    }
}

impl<N: Net> Reactor<N> {
    /// Keeps a body in memory until it is whole.
    pub(in crate::reactor) fn spool(&mut self, index: u16, at: u16, turn: &Turn<'_>) -> usize {
        let Some(slot) = self.slots.get_mut(index) else {
            return 0;
        };
        let Some(buffer) = slot.buffer else { return 0 };
        let (input, _) = self.buffers.halves(buffer);
        let content = slot.connection.content(input);
        let n = content.len();
        let spool = self.scripts.get_mut(at).and_then(|one| one.input.as_ref());
        let written = match spool {
            Some(spool) => memory::write_at(spool.as_fd(), content, slot.offset),
            None => Err(ErrorKind::NotFound.into()),
        };
        match written {
            Ok(()) => {
                slot.offset = slot.offset.saturating_add(u64::try_from(n).unwrap_or(0));
                slot.connection.stored(n, input, turn);
            }
            Err(error) => {
                log::warn!("a request body could not be kept for its script: {error}");
                self.answer_for_script(index, Status::SERVICE_UNAVAILABLE, turn);
            }
        }
        n
    }

    /// Gives the script what stands in the input, or receives more of it.
    pub(in crate::reactor) fn feed(
        &mut self,
        index: u16,
        budget: &mut Budget,
        turn: &Turn<'_>,
    ) -> Step {
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        let running = slot.script().and_then(|at| self.scripts.get_mut(at));
        let Some(running) = running else {
            return Step::Blocked;
        };
        let waits = slot.buffer.is_some() && slot.connection.holds_content();
        let (true, Some(buffer)) = (waits, slot.buffer) else {
            return match slot.ready.read {
                true => self.receive(index, budget, turn),
                false => Step::Blocked,
            };
        };
        let (input, _) = self.buffers.halves(buffer);
        let content = slot.connection.content(input);
        let taken = match &running.input {
            // It does not want to know more.
            None => content.len(),
            Some(_) if !running.writable => return Step::Blocked,
            Some(fd) => match pipe::write(fd.as_fd(), content) {
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    running.writable = false;
                    return Step::Blocked;
                }
                Err(_) => {
                    running.input = None;
                    return Step::Moved;
                }
            },
        };
        budget.spend(taken);
        slot.connection.stored(taken, input, turn);
        self.end_input(index);
        Step::Moved
    }

    /// The script hears the end of its body when that is there, or will not come any more.
    pub(in crate::reactor) fn end_input(&mut self, index: u16) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        let Some(at) = slot.script() else { return };
        let flows = matches!(slot.connection.state(), State::Script | State::Relay);
        if slot.connection.state() == State::Store || (flows && !slot.connection.is_stored()) {
            return;
        }
        if let Some(running) = self.scripts.get_mut(at) {
            running.input = None;
        }
    }

    /// Makes the answer of a script, or the next piece of it.
    pub(in crate::reactor) fn produce_of_script(
        &mut self,
        index: u16,
        at: u16,
        budget: &mut Budget,
        turn: &Turn<'_>,
    ) -> Step {
        let Some(slot) = self.slots.get(index) else {
            return Step::Blocked;
        };
        if slot.connection.state() == State::Script {
            return self.hear_head(index, at, turn);
        }
        if !slot.ready.write || budget.bytes == 0 {
            return Step::Blocked;
        }
        let holds = |one: &mut Running| {
            let ended = one.output.is_none() && !one.may_say_why();
            one.passed < one.said || (one.readable && one.output.is_some()) || ended
        };
        if !self.scripts.get_mut(at).is_some_and(holds) {
            return Step::Blocked;
        }
        let yields = budget.used && self.yields_buffer(index, turn);
        if yields || !self.secure_buffer(index, turn) {
            return Step::Blocked;
        }
        budget.used = true;
        self.pass_on(index, at, budget, turn)
    }

    /// Hands what the script says to the heart, as a piece.
    fn pass_on(&mut self, index: u16, at: u16, budget: &mut Budget, turn: &Turn<'_>) -> Step {
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        let (Some(buffer), Some(stall)) =
            (slot.buffer, self.scripts.stalls.get_mut(usize::from(at)))
        else {
            return Step::Blocked;
        };
        let Some(running) = &mut stall.running else {
            return Step::Blocked;
        };
        let (_, output) = self.buffers.halves(buffer);
        let room = slot.connection.room_for_piece(output);
        let most = running.owed.and_then(|owed| usize::try_from(owed).ok());
        let most = most.unwrap_or(usize::MAX).min(room.len());
        let room = room.get_mut(..most).unwrap_or_default();
        let said = stall.frame.memory();
        let said = said.get(running.passed..running.said).unwrap_or_default();
        let outcome = if said.is_empty() {
            running.read(room, turn.now)
        } else {
            let n = said.len().min(room.len());
            for (to, from) in room.iter_mut().zip(said) {
                *to = *from;
            }
            running.passed = running.passed.saturating_add(n);
            Ok(Read::Bytes(n))
        };
        let n = match outcome {
            Ok(Read::Bytes(n)) => n,
            Ok(Read::Nothing) => return Step::Blocked,
            Ok(Read::End) if running.owed.is_none() && running.ends_well() => 0,
            // Less than was declared, or it was ended before its end.
            Ok(Read::End) | Err(_) => {
                slot.connection.truncated(turn);
                return Step::Moved;
            }
        };
        let bytes = u64::try_from(n).unwrap_or(u64::MAX);
        let Some(allowed) = running.allowed.checked_sub(bytes) else {
            let name = running.name.as_bytes().escape_ascii();
            log::warn!("script {name}: its answer is too long (script.output_bytes)");
            slot.connection.truncated(turn);
            return Step::Moved;
        };
        running.allowed = allowed;
        running.owed = running.owed.map(|owed| owed.saturating_sub(bytes));
        let last = n == 0 || running.owed == Some(0);
        running.finished = last;
        budget.spend(n);
        slot.connection.produced(n, 0, last, output, turn);
        self.note_piece(index, n, 0, turn);
        Step::Moved
    }
}
