//! Lending buffers: who gets one, who stands in line for one, and who has to give one back.
//!
//! Owns the line ([`Reactor::waiting`]) and, in it, those whose request lies whole in the kernel's
//! queue ([`Reactor::whole`]). It must not choose whom to evict for a slot; that is `accept`.
//! Invariants: nobody stands in line without something to read or a piece to write; a buffer that
//! comes home goes to whoever waits longest, and one of the reserve to whoever waits longest with a
//! whole request; each waiter makes at most one other give way in each grace.

use super::net::{Look, Net};
use super::{GRACE_MS, Reactor};
use crate::connection::head::Found;
use crate::connection::state::State;
use crate::connection::time::Turn;
use crate::report::counters::Eviction;
use std::io::ErrorKind;

/// What lies in the kernel's queue of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queued {
    Nothing,
    /// The beginning of a request.
    Part,
    /// A request, or a FIN or an error, which need a read and no lasting home.
    Whole,
}

impl<N: Net> Reactor<N> {
    /// A buffer to answer in is at hand. Whoever answers has one already; if not, the slot waits.
    pub(super) fn secure_buffer(&mut self, index: u16, turn: &Turn<'_>) -> bool {
        let secured = self.take_for(index, true);
        if !secured {
            self.stand_in_line(index, turn);
        }
        secured
    }

    /// Waits for a buffer, one of the reserve included.
    pub(super) fn stand_in_line(&mut self, index: u16, turn: &Turn<'_>) {
        self.line_up(index, turn);
        self.whole.push(index);
    }

    /// A buffer to read into is at hand; if none can be had, the slot waits for one. A request that
    /// is whole will not keep it, and may have one of the reserve.
    pub(super) fn buffer_to_read(&mut self, index: u16, turn: &Turn<'_>) -> bool {
        if self.take_for(index, false) {
            return true;
        }
        match self.queued(index, turn) {
            Queued::Nothing => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.ready.read = false;
                }
                self.leave_line(index);
                false
            }
            Queued::Part => {
                self.line_up(index, turn);
                false
            }
            Queued::Whole => self.secure_buffer(index, turn),
        }
    }

    fn take_for(&mut self, index: u16, whole: bool) -> bool {
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        if slot.of_status && slot.buffer.is_none() {
            slot.buffer = self.buffers.take_kept();
        } else if slot.buffer.is_none() {
            let turn_has_come = self.waiting.first().is_none_or(|first| first == index);
            if whole || turn_has_come {
                slot.buffer = self.buffers.take(whole);
            }
        }
        let has_one = slot.buffer.is_some();
        if has_one {
            self.leave_line(index);
        }
        has_one
    }

    fn line_up(&mut self, index: u16, turn: &Turn<'_>) {
        if self.waiting.push(index)
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.since = turn.now; // its grace begins
        }
    }

    /// It wants no buffer any more, or has one.
    pub(super) fn leave_line(&mut self, index: u16) {
        self.waiting.remove(index);
        self.whole.remove(index);
    }

    /// Looks without taking anything, for there is no home for it yet.
    fn queued(&mut self, index: u16, turn: &Turn<'_>) -> Queued {
        let Some(slot) = self.slots.get(index) else {
            return Queued::Nothing;
        };
        match self.net.peek(&slot.socket, &mut self.peeked) {
            Ok(0) => Queued::Whole,
            Ok(n) => {
                let bytes = self.peeked.get(..n).unwrap_or_default();
                match slot.connection.foresee(bytes, turn.limits) {
                    Found::More => Queued::Part,
                    Found::Whole(_) | Found::Bad(_) => Queued::Whole,
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Queued::Nothing,
            Err(_) => Queued::Whole,
        }
    }

    /// A buffer comes home and goes out again.
    pub(super) fn give_buffer(&mut self, buffer: u16) {
        self.buffers.give(buffer);
        let common = self.waiting.first().map(|slot| (slot, false));
        let reserved = self.whole.first().map(|slot| (slot, true));
        for (next, whole) in [common, reserved].into_iter().flatten() {
            let Some(buffer) = self.buffers.take(whole) else {
                continue;
            };
            self.leave_line(next);
            match self.slots.get_mut(next) {
                Some(slot) if slot.buffer.is_none() => {
                    slot.buffer = Some(buffer);
                    self.runnable.push(next);
                }
                Some(_) | None => self.buffers.give(buffer),
            }
            return;
        }
    }

    /// Whoever has waited a grace makes somebody give a buffer back: neither half-sent heads, nor
    /// pipelines, nor clients that do not read can lock others out.
    pub(super) fn relieve(&mut self, turn: &Turn<'_>) {
        for _ in 0..self.waiting.len() {
            let Some(first) = self.waiting.first() else {
                return;
            };
            let since = self.slots.get(first).map_or(turn.now, |slot| slot.since);
            if turn.now.since(since) < GRACE_MS || !self.make_one_give(turn) {
                return;
            }
            // What came home went into the reserve: it has another grace.
            if self.waiting.first() == Some(first)
                && let Some(slot) = self.slots.get_mut(first)
            {
                slot.since = turn.now;
            }
        }
    }

    /// In this order: the Head or Body that has come the least far (408 and goodbye); requests that
    /// stand behind a flowing file (written off); a response that nobody reads (RST).
    fn make_one_give(&mut self, turn: &Turn<'_>) -> bool {
        if let Some(victim) = self.least_progress(turn.now, true, false) {
            if let Some(slot) = self.slots.get_mut(victim) {
                slot.connection.give_way(turn);
            }
            self.counters.evict(Eviction::Stalled);
            self.drive(victim, turn);
            return true;
        }
        let pipeline = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.buffer.is_some() && !slot.of_status)
            .find(|(_, slot)| slot.connection.holds_only_requests())
            .map(|(index, _)| index);
        if let Some(victim) = pipeline {
            if let Some(slot) = self.slots.get_mut(victim) {
                slot.connection.write_off_requests(turn);
            }
            self.counters.evict(Eviction::Pipeline);
            self.drive(victim, turn);
            return true;
        }
        let stuck = self.stuck(turn, true, false);
        if let Some(victim) = stuck {
            self.evict(victim, Eviction::Stuck, turn);
        }
        stuck.is_some()
    }

    /// The response whose acknowledgements have rested longest, at least one idle period. What is
    /// known of them is old, so they are looked at once more.
    pub(super) fn stuck(
        &mut self,
        turn: &Turn<'_>,
        holds_buffer: bool,
        of_status: bool,
    ) -> Option<u16> {
        let idle_ms = u64::from(turn.limits.linger_idle_ms);
        let rests_ms = |slot: &super::slots::Slot<N::Socket>| match slot.connection.state() {
            State::Relay | State::Respond => slot.connection.unmoved_ms(turn),
            State::Idle
            | State::Head
            | State::Verify
            | State::Queue
            | State::Body
            | State::Store
            | State::Script
            | State::Rest
            | State::Linger
            | State::Closed => 0,
        };
        let (index, _) = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.of_status == of_status)
            .filter(|(_, slot)| !holds_buffer || slot.buffer.is_some())
            .filter(|(_, slot)| rests_ms(slot) >= idle_ms)
            .max_by_key(|(_, slot)| rests_ms(slot))?;
        let slot = self.slots.get_mut(index)?;
        let queues = self.net.queues(&slot.socket, Look::Whole);
        slot.connection.tick(queues, turn);
        if rests_ms(slot) >= idle_ms {
            return Some(index);
        }
        self.drive(index, turn);
        None
    }
}
