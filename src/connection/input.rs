//! Input: bytes received or thrown away, and the peer's FIN.
//!
//! Owns the way from bytes to a whole head and past a body. It must not answer.

use super::body::Body;
use super::head::{Found, Scan};
use super::linger::{Linger, Queues};
use super::preface;
use super::reason::{CloseReason, Misuse, Reject};
use super::state::{Event, State, Teardown};
use super::time::Turn;
use super::{CONTINUE, Connection};

impl Connection {
    /// Where to receive into, in the input half.
    pub fn space<'b>(&mut self, input: &'b mut [u8]) -> &'b mut [u8] {
        self.input.compact(input);
        let space = self.input.tail(input);
        // Of a body that flows to a script nothing but the body: what follows it would stand in the
        // way of its buffer for as long as the script takes.
        let most = match self.body {
            Body::Length(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Body::Over | Body::Chunked(_) => usize::MAX,
        };
        let most = most.min(space.len());
        space.get_mut(..most).unwrap_or_default()
    }

    /// `n` bytes were received into [`Connection::space`].
    pub fn received(&mut self, n: usize, input: &[u8], turn: &Turn<'_>) {
        if !self.input.grow(n, input.len()) {
            self.fault(Misuse::Overrun, turn);
            return;
        }
        if self.state == State::Idle && n > 0 {
            self.go(Event::FirstByte, turn);
        }
        match self.state {
            State::Head | State::Verify | State::Queue => self.look(input, turn),
            State::Body => self.body_input(input, turn),
            State::Store | State::Script | State::Relay => self.pull(input, turn),
            State::Respond if !self.last => self.look(input, turn),
            // Nothing will be answered any more: as if it had been thrown away.
            State::Respond | State::Rest | State::Linger => self.write_off_input(),
            State::Idle | State::Closed => self.drop_input(),
        }
    }

    /// Input that will not be answered counts as read off in the goodbye.
    pub(super) fn write_off_input(&mut self) {
        let bytes = u64::try_from(self.input.len()).unwrap_or(u64::MAX);
        self.linger.discarded(bytes);
        self.drop_input();
    }

    /// `n` bytes were thrown away as [`super::Read::Discard`] allowed.
    pub fn discarded(&mut self, n: u64, turn: &Turn<'_>) {
        let of_body = match self.state {
            State::Body | State::Rest => true,
            State::Respond => !self.last,
            State::Idle
            | State::Head
            | State::Verify
            | State::Queue
            | State::Store
            | State::Script
            | State::Relay
            | State::Linger
            | State::Closed => false,
        };
        if !of_body {
            self.linger.discarded(n);
            return;
        }
        self.body_bytes = self.body_bytes.saturating_add(n);
        if let Body::Length(left) = self.body {
            if n > left {
                self.fault(Misuse::Overrun, turn);
                return;
            }
            self.body = Body::Length(left - n);
        }
        if self.body == Body::Length(0) {
            self.body = Body::Over;
            match self.state {
                State::Body => self.body_over(&[], turn),
                // Nothing stands behind it in the input.
                State::Respond | State::Rest => {
                    self.body_bytes = 0;
                    if self.state == State::Rest {
                        self.flushed(turn);
                    }
                }
                State::Idle
                | State::Head
                | State::Verify
                | State::Queue
                | State::Store
                | State::Script
                | State::Relay
                | State::Linger
                | State::Closed => {}
            }
        }
    }

    /// The reply stands in the output, and this body is not wanted: what is here of it goes. A body
    /// without a length is never skipped: its request is the last.
    pub(super) fn skip_body(&mut self, input: &[u8], turn: &Turn<'_>) {
        let skipped = self.body.piece(self.input.of(input)).unwrap_or_default();
        self.input.consume(skipped.content);
        self.next_head(input, turn);
        if !skipped.end {
            self.body_bytes = u64::try_from(skipped.content).unwrap_or(u64::MAX);
        }
    }

    /// The body is over; what stands behind it in the input is the next request.
    fn body_over(&mut self, input: &[u8], turn: &Turn<'_>) {
        self.settle_interim();
        self.go(Event::BodyEnd, turn);
        self.next_head(input, turn);
    }

    /// The body is over: an interim response that has not begun to leave is not needed any more.
    pub(super) fn settle_interim(&mut self) {
        if usize::from(self.interim) == CONTINUE.len() {
            self.interim = 0;
        }
    }

    /// The peer's FIN was read. It is a half-close: what it asked for before is still answered.
    pub fn peer_eof(&mut self, queues: Queues, turn: &Turn<'_>) {
        self.eof = true;
        let acked = queues.unacknowledged == 0;
        match self.state {
            State::Closed => return,
            // A whole request, or a refusal, waits for its answer.
            State::Head if self.found != Found::More => return,
            State::Head
            | State::Verify
            | State::Queue
            | State::Body
            | State::Store
            | State::Script
                if self.refusal.is_some() =>
            {
                return;
            }
            // The body is there, and its answer is owed.
            State::Store | State::Script if self.is_stored() => return,
            State::Idle
            | State::Head
            | State::Body
            | State::Store
            | State::Script
            | State::Rest => {
                self.drop_bytes();
                self.linger = Linger::new(Some(0), turn.limits);
                if acked || self.teardown == Teardown::Plain {
                    self.over = Some((CloseReason::PeerFin, self.parting(queues, turn.limits)));
                }
            }
            State::Verify | State::Queue | State::Respond => {}
            State::Relay => {
                self.body = Body::Over;
                self.drop_input();
            }
            // Before shutdown(SHUT_WR) the clocks do not run yet; `write_shut` looks.
            State::Linger if !self.shut => return,
            State::Linger => {
                self.look_at_goodbye(queues, turn);
                return;
            }
        }
        self.go(
            if acked {
                Event::PeerFinAcked
            } else {
                Event::PeerFin
            },
            turn,
        );
    }

    /// Scans what is new for the end of the next head.
    pub(super) fn look(&mut self, input: &[u8], turn: &Turn<'_>) {
        if self.found != Found::More {
            return; // one whole head is enough: the next is looked for when this one is answered
        }
        let bytes = self.input.of(input);
        self.found = if self.preface {
            preface::look(bytes)
        } else {
            self.scan.look(bytes, turn.limits)
        };
        let full = bytes.len() >= input.len();
        if self.found == Found::More && full {
            self.found = Found::Bad(self.scan.too_large());
        }
        if self.found != Found::More {
            let blank = bytes
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
            let line = bytes.get(blank..).unwrap_or_default();
            self.head_only = line.starts_with(b"HEAD ");
        }
    }

    /// Takes the body out of the input; what is left behind it is the next request.
    pub(super) fn body_input(&mut self, input: &[u8], turn: &Turn<'_>) {
        while self.state == State::Body && self.refusal.is_none() {
            let bytes = self.input.of(input);
            match self.body.piece(bytes) {
                Ok(piece) => {
                    self.input
                        .consume(piece.framing.saturating_add(piece.content));
                    let content = u64::try_from(piece.content).unwrap_or(u64::MAX);
                    self.body_bytes = self.body_bytes.saturating_add(content);
                    // A chunk that will not fit is not waited for: its size line says so.
                    let known = self.body_bytes.saturating_add(self.body.announced());
                    if known > turn.limits.body_bytes {
                        self.refusal = Some(Reject::BodyTooLarge);
                    } else if piece.end {
                        self.body_over(input, turn);
                    }
                }
                Err(reject) => self.refusal = Some(reject),
            }
            if self.input.is_empty() {
                return;
            }
        }
    }

    /// The last head is consumed: looks whether the next one has come with it.
    pub(super) fn next_head(&mut self, input: &[u8], turn: &Turn<'_>) {
        self.scan = Scan::default();
        self.found = Found::More;
        self.has_waited = false;
        self.head_only = false;
        self.body_bytes = 0;
        if !self.input.is_empty() {
            self.look(input, turn);
        }
    }
}
