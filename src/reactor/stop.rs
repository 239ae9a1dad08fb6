//! How the server stops.
//!
//! Owns what signals mean and the order of stopping: nobody new but those already queued, idle
//! connections are told goodbye, every other finishes what it does, and at the deadline who is left
//! is cut. It must not close a listener with clients in its queue before the deadline, for the
//! kernel resets those. Invariant: once stopping, every answer announces the close.

use super::Reactor;
use super::net::Net;
use crate::connection::state::State;
use crate::connection::time::Turn;
use crate::sys::signal::Signal;

impl<N: Net> Reactor<N> {
    pub(super) fn signalled(&mut self, turn: &Turn<'_>) {
        while let Some(signal) = self.net.signal() {
            match (signal, self.stop) {
                (Signal::Terminate, None) => {
                    log::info!(
                        "stopping: {} connections are served to their end",
                        self.slots.len()
                    );
                    self.begin_stop(turn);
                }
                (Signal::Reload, None) => self.reload(),
                (Signal::Reload, Some(_)) => log::warn!("not reloaded: the server stops"),
                (Signal::Reopen, _) => self.reopen_logs(),
                (Signal::Tell, _) => self.tell(),
                (Signal::Terminate | Signal::Interrupt, _) => {
                    log::info!("stopping now");
                    self.stop = Some(turn.now);
                    self.door.close();
                    self.net.close_listeners();
                }
            }
        }
    }

    /// Says what was counted so far, and what is going on.
    fn tell(&self) {
        let (live, of) = (self.slots.len(), self.config.connections);
        log::info!("counters: {live} of {of} slots are taken");
        for line in self.counters.lines() {
            log::info!("counters: {line}");
        }
    }

    /// No further connections but those already queued; idle ones are told goodbye.
    pub fn begin_stop(&mut self, turn: &Turn<'_>) {
        self.stop = Some(turn.now.after(turn.limits.stop_ms));
        self.door.knock_all();
        for index in self.slots.indices() {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            if slot.state == State::Idle {
                let queues = self.net.queues(&slot.socket);
                slot.connection.stop(queues, turn);
                self.drive(index, turn);
            }
        }
    }

    /// Once stopping: closes the door when its queue is empty, and cuts who is left at the
    /// deadline.
    pub(super) fn stop_if_due(&mut self, turn: &Turn<'_>) {
        let Some(deadline) = self.stop else { return };
        let due = turn.now >= deadline;
        if self.door.is_open() && (due || !self.door.is_ready(turn.now)) {
            self.door.close();
            self.net.close_listeners();
        }
        if !due {
            return;
        }
        for index in self.slots.indices() {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            let queues = self.net.queues(&slot.socket);
            slot.connection.cut(queues, turn);
            self.drive(index, turn);
        }
    }
}
