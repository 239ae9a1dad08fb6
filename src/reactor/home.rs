//! A connection ends, and leaves nothing behind.
//!
//! Owns the one place where a socket is closed, and the choice of whom it would harm least to tell
//! goodbye early. Invariant: a closed slot stands in no table and no queue.

use super::net::Net;
use super::{GRACE_MS, Reactor};
use crate::config::status::BUILT;
use crate::connection::How;
use crate::connection::reason::CloseReason;
use crate::connection::state::State;
use crate::connection::time::Ms;

impl<N: Net> Reactor<N> {
    /// The Head, Body or Rest, older than a grace, that has come the least far. Where it is about
    /// buffers also the Store: there are few of them, but they take their time.
    pub(super) fn least_progress(
        &self,
        now: Ms,
        holds_buffer: bool,
        of_status: bool,
    ) -> Option<u16> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.of_status == of_status)
            .filter(|(_, slot)| match slot.state {
                State::Head | State::Body | State::Rest => true,
                State::Store => holds_buffer,
                State::Idle
                | State::Verify
                | State::Queue
                | State::Script
                | State::Relay
                | State::Respond
                | State::Linger
                | State::Closed => false,
            })
            .filter(|(_, slot)| now.since(slot.since) >= GRACE_MS)
            .filter(|(_, slot)| !holds_buffer || slot.buffer.is_some())
            .min_by_key(|(_, slot)| (slot.connection.progress(), slot.since))
            .map(|(index, _)| index)
    }

    /// Ends a connection: the one place where a socket is closed.
    pub(super) fn close(&mut self, index: u16, reason: CloseReason, how: How, now: Ms) {
        let Some(slot) = self.slots.remove(index) else {
            return;
        };
        self.timers.cancel(index);
        self.runnable.remove(index);
        self.patient.remove(index);
        self.leave_line(index);
        self.credentials.forget(index);
        self.scripts.forget(index);
        self.addresses.remove(slot.counted);
        if let Some(access) = &mut self.access {
            access.close(index, reason, how == How::Reset, now);
        }
        self.counters.close(reason);
        let linger = slot.connection.linger();
        self.counters.discarded(linger.discarded_bytes());
        if BUILT && linger.has_begun() {
            let lasted_ms = now.since(linger.started());
            let goodbyes = &mut self.showings.goodbyes;
            goodbyes.count(lasted_ms, linger.discarded_bytes());
        }
        log::debug!("slot {index}: {}", reason.name());
        self.growth.forget(index);
        self.net.close(slot.socket, how);
        drop(slot.file);
        self.go_home(slot.holds);
        if let Some(buffer) = slot.buffer {
            self.give_buffer(buffer);
        }
    }
}
