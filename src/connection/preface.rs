//! A connection whose proxy says whom it speaks for before the first request.
//!
//! Owns the way past a preface of the PROXY protocol; `proxy.rs` reads its bytes. It must not
//! decide which peers send one: who makes the connection says so. Invariants: a preface is taken
//! once, and whole; until then nothing of the connection is taken for a request; the head deadline
//! runs from its first byte.

use super::Connection;
use super::client::Client;
use super::head::{Found, Scan};
use super::limits::Limits;
use super::linger::Queues;
use super::need::How;
use super::proxy::{self, Preface};
use super::reason::{CloseReason, Misuse, Reject};
use super::state::{Event, State};
use super::time::Turn;

/// What stands at the front of an input that begins with a preface.
pub(super) fn look(bytes: &[u8]) -> Found {
    match proxy::parse(bytes) {
        Preface::More => Found::More,
        Preface::Done { bytes, .. } => Found::Whole(bytes),
        Preface::Bad => Found::Bad(Reject::BadPreface),
    }
}

impl Connection {
    /// The same connection, but the first thing that comes is a preface of the PROXY protocol.
    #[must_use]
    pub fn with_preface(mut self) -> Self {
        self.preface = true;
        self
    }

    /// What [`Act::Introduce`](super::Act::Introduce) is about: takes the preface out of the input
    /// and says whom it names. `None`: the proxy speaks for itself, or does not say.
    pub fn introduce(&mut self, input: &[u8], turn: &Turn<'_>) -> Option<Client> {
        let read = proxy::parse(self.input.of(input));
        let (true, Preface::Done { bytes, client }) = (self.preface, read) else {
            self.fault(Misuse::NoTransition, turn); // nobody asked for it
            return None;
        };
        self.preface = false;
        self.input.consume(usize::from(bytes));
        self.next_head(input, turn);
        if self.found == Found::More && self.eof {
            // Nothing was sent on this connection, so nothing waits to be acknowledged.
            self.peer_eof(Queues::default(), turn);
        } else if self.input.is_empty() && self.state == State::Head {
            let until = self.deadline;
            self.go(Event::Introduced, turn);
            self.deadline = until; // as long as a client that connects by itself may be silent
        }
        client
    }

    /// The client that was named has its share of connections: this one is closed as if it had
    /// never been accepted.
    pub fn turn_away(&mut self, turn: &Turn<'_>) {
        if self.state != State::Closed {
            let how = How::Bounded(turn.limits.orphan_ms);
            self.end(Event::Cut, CloseReason::ShareSpent, how, turn);
        }
    }

    /// What `bytes`, which wait outside and follow what was read, amount to: a request that will
    /// not keep a buffer is [`Found::Whole`], and so is a preface with nothing behind it.
    #[must_use]
    pub fn foresee(&self, bytes: &[u8], limits: &Limits) -> Found {
        let mut rest = bytes;
        if self.preface {
            match proxy::parse(bytes) {
                Preface::More => return Found::More,
                Preface::Bad => return Found::Bad(Reject::BadPreface),
                Preface::Done { bytes: used, .. } => {
                    rest = bytes.get(usize::from(used)..).unwrap_or_default();
                    if rest.is_empty() {
                        return Found::Whole(used);
                    }
                }
            }
        }
        Scan::default().look(rest, limits)
    }
}
