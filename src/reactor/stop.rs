//! How the server stops.
//!
//! Owns what signals mean and the order of stopping: nobody new but those already queued, idle
//! connections are told goodbye, every other finishes what it does, and at the deadline who is left
//! is cut. Who has a successor stops likewise, but at once takes nobody in and sends nobody away:
//! the successor has the queue. It must not close a listener of its own with clients in its queue
//! before the deadline, for the kernel resets those. Invariant: every answer that is made once it
//! stops announces the close; who was promised before that the connection stays may come back as
//! long as it is not told goodbye.

use super::net::{Look, Net};
use super::{GRACE_MS, Reactor};
use crate::connection::state::State;
use crate::connection::time::{Ms, Turn};
use crate::report::herald::Herald;
use crate::sys::signal::Signal;

/// A stop that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// Who is left is cut.
    pub(super) deadline: Ms,
    /// Somebody waits for the end, so idle connections are told goodbye. After a hand-over nobody
    /// does.
    pub(super) dismisses: bool,
}

impl<N: Net> Reactor<N> {
    pub(super) fn signalled(&mut self, turn: &Turn<'_>) {
        while let Some(signal) = self.net.signal() {
            match (signal, self.stop) {
                (Signal::Terminate, None) => {
                    self.herald.stopping();
                    self.say_that_it_ends("stopping");
                    self.begin_stop(turn);
                }
                // The first one to a server that has a successor: somebody waits now.
                (Signal::Terminate, Some(stop)) if !stop.dismisses => {
                    self.say_that_it_ends("stopping");
                    self.end_by(turn.now.after(turn.limits.stop_ms), true);
                }
                (Signal::Reload, None) => self.reload(),
                (Signal::Reload, Some(_)) => log::warn!("not reloaded: the server stops"),
                (Signal::Reopen, _) => self.reopen_logs(),
                (Signal::Tell, _) => self.tell(),
                (Signal::Terminate | Signal::Interrupt, _) => {
                    log::info!("stopping now");
                    self.herald.stopping();
                    self.end_by(turn.now, true);
                    self.leave_listeners();
                }
            }
        }
    }

    /// Somebody has come to the control socket.
    pub(super) fn control(&mut self, turn: &Turn<'_>) {
        if !self.net.is_taken_over() {
            return;
        }
        self.say_that_it_ends("handed over");
        self.was_taken_over = true;
        // From now on the successor tells the supervisor how it goes.
        self.herald = Herald::default();
        // Idle connections stay: a request may be on its way.
        self.end_by(turn.now.after(turn.limits.handover_ms), false);
        self.leave_listeners();
    }

    fn say_that_it_ends(&self, why: &str) {
        let live = self.slots.len();
        log::info!("{why}: {live} connections are served to their end");
    }

    /// Stops; of a stop that has begun the earlier deadline counts, and whoever waits already.
    fn end_by(&mut self, deadline: Ms, dismisses: bool) {
        let stop = Stop {
            deadline,
            dismisses,
        };
        self.stop = Some(self.stop.map_or(stop, |before| Stop {
            deadline: before.deadline.min(deadline),
            dismisses: before.dismisses || dismisses,
        }));
    }

    fn leave_listeners(&mut self) {
        self.door.close();
        self.net.close_listeners();
    }

    /// Says what was counted so far, and what is going on.
    fn tell(&self) {
        let (live, of) = (self.slots.clients(), self.config.connections);
        log::info!("counters: {live} of {of} slots are taken");
        for line in self.counters.lines() {
            log::info!("counters: {line}");
        }
    }

    /// No further connections but those already queued; idle ones are told goodbye.
    pub fn begin_stop(&mut self, turn: &Turn<'_>) {
        self.end_by(turn.now.after(turn.limits.stop_ms), true);
        self.door.knock_all();
        self.dismiss(turn);
    }

    /// Tells idle connections goodbye, but for a grace not those that were never answered. Whose
    /// request has just come stays; [`Connection::stop`](crate::connection::Connection::stop) sees
    /// to it.
    fn dismiss(&mut self, turn: &Turn<'_>) {
        for index in self.slots.indices() {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            let new = !slot.connection.was_answered() && turn.now.since(slot.since) < GRACE_MS;
            let idle = slot.state == State::Idle && !new;
            if idle || slot.state == State::Rest {
                let queues = self.net.queues(&slot.socket, Look::Whole);
                slot.connection.stop(queues, turn);
                self.drive(index, turn);
            }
        }
    }

    /// Once stopping: closes the door when its queue is empty, and cuts who is left at the
    /// deadline.
    pub(super) fn stop_if_due(&mut self, turn: &Turn<'_>) {
        let Some(stop) = self.stop else { return };
        let due = turn.now >= stop.deadline;
        if self.door.is_open() && (due || self.door.is_quiet()) {
            self.leave_listeners();
        }
        if !due {
            if stop.dismisses {
                self.dismiss(turn);
            }
            return;
        }
        for index in self.slots.indices() {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            let queues = self.net.queues(&slot.socket, Look::Whole);
            slot.connection.cut(queues, turn);
            self.drive(index, turn);
        }
    }
}
