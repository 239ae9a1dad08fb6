//! Everything that was lent comes home: buffers, and whole slots.
//!
//! Owns the way back into the pool, who gives way when it is empty, and the one place where a
//! connection is closed. It must not choose whom to evict for a new connection; that is `accept`.
//! Invariants: a buffer that comes home goes to whoever waits longest; a closed slot leaves nothing
//! behind in any table.

use super::net::Net;
use super::{GRACE_MS, Reactor};
use crate::connection::How;
use crate::connection::reason::CloseReason;
use crate::connection::state::State;
use crate::connection::time::{Ms, Turn};
use crate::report::counters::Eviction;

impl<N: Net> Reactor<N> {
    /// Whoever has waited a grace for a buffer makes the Head or Body with the least progress give
    /// way: half-sent heads cannot lock others out.
    pub(super) fn relieve(&mut self, turn: &Turn<'_>) {
        while let Some(first) = self.waiting.first() {
            let waited = self
                .slots
                .get(first)
                .map_or(0, |slot| turn.now.since(slot.since));
            let victim = self
                .least_progress(turn.now, true)
                .filter(|_| waited >= GRACE_MS);
            let Some(victim) = victim else { return };
            if let Some(slot) = self.slots.get_mut(victim) {
                slot.connection.give_way();
                self.counters.evict(Eviction::Stalled);
            }
            self.drive(victim, turn);
        }
    }

    /// The Head or Body, older than a grace, that has come the least far.
    pub(super) fn least_progress(&self, now: Ms, holds_buffer: bool) -> Option<u16> {
        self.slots
            .iter()
            .filter(|(_, slot)| matches!(slot.state, State::Head | State::Body))
            .filter(|(_, slot)| now.since(slot.since) >= GRACE_MS)
            .filter(|(_, slot)| !holds_buffer || slot.buffer.is_some())
            .min_by_key(|(_, slot)| (slot.connection.progress(), slot.since))
            .map(|(index, _)| index)
    }

    /// Ends a connection: the one place where a socket is closed.
    pub(super) fn close(&mut self, index: u16, reason: CloseReason, how: How) {
        let Some(slot) = self.slots.remove(index) else {
            return;
        };
        self.timers.cancel(index);
        self.runnable.remove(index);
        self.waiting.remove(index);
        self.addresses.remove(slot.peer);
        self.counters.close(reason);
        self.counters
            .discarded(slot.connection.linger().discarded_bytes());
        log::debug!("slot {index}: {}", reason.name());
        self.net.close(slot.socket, how);
        drop(slot.file);
        if let Some(buffer) = slot.buffer {
            self.give_buffer(buffer);
        }
    }

    /// A buffer is free: whoever waits longest gets it.
    pub(super) fn give_buffer(&mut self, buffer: u16) {
        self.buffers.give(buffer);
        let Some(first) = self.waiting.first() else {
            return;
        };
        if let Some(buffer) = self.buffers.take(false) {
            self.waiting.remove(first);
            match self.slots.get_mut(first) {
                Some(slot) if slot.buffer.is_none() => {
                    slot.buffer = Some(buffer);
                    self.runnable.push(first);
                }
                Some(_) | None => self.buffers.give(buffer),
            }
        }
    }
}
