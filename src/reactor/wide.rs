//! Goodbyes whose client sends on.
//!
//! Owns the count of connections with a large receive buffer, and who gets one. What is read off
//! needs no memory of ours, but no more of it comes in a round trip than the kernel may hold: with
//! the size of every other connection a path of 40 ms carries 400 kB a second. It must not read.
//! Invariants: there are never more of them than the memory plan has; none is given back but by the
//! close, which ends every goodbye.

use super::Reactor;
use super::net::Net;
use crate::config::Config;
use crate::connection::state::State;

/// The large receive buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    /// What SO_RCVBUF is set to, bytes.
    bytes: u32,
    /// So many at once.
    most: u16,
    /// So many now.
    pub(super) taken: u16,
    /// Who has sent so much in its goodbye sends on.
    after_bytes: u64,
}

impl Wide {
    /// As many as the plan of `config` has.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            bytes: config.linger_receive_bytes,
            most: config.wide_places(),
            taken: 0,
            after_bytes: config.receive_bytes.into(),
        }
    }

    /// One came home.
    pub(super) fn give(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }
}

impl<N: Net> Reactor<N> {
    /// More was read off: perhaps it gets a large buffer.
    pub(super) fn widen(&mut self, index: u16) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let discarded_bytes = slot.connection.linger().discarded_bytes();
        let sends_on = slot.connection.state() == State::Linger
            && discarded_bytes >= self.wide.after_bytes
            && slot.connection.linger().allowance() > self.wide.after_bytes;
        if slot.wide || !sends_on || self.wide.taken >= self.wide.most {
            return;
        }
        slot.wide = self.net.widen(&slot.socket, self.wide.bytes);
        self.wide.taken = self.wide.taken.saturating_add(slot.wide.into());
    }
}
