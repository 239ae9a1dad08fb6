//! The heart: one connection's life, from its first byte to its one [`CloseReason`].
//!
//! Owns [`Connection`]: the shell tells it what happened (`received`, `sent`, `peer_eof`, ...) and
//! asks what it wants ([`Connection::need`], computed from the state, so nothing has to be
//! drained). It must not know a socket, a file, a clock, a log, the heap or a cfg(feature).
//! Invariants:
//! - one private function (`go`) writes the state, and asks [`state::next`] alone;
//! - every live state has a deadline (`until`), and every field line is scanned once;
//! - in `Idle`, `Rest`, `Linger` and `Closed` both halves of the buffer are empty, so it can be
//!   given back;
//! - the request head stays in the input until its answer is written, then it is consumed whole.

mod answer;
pub mod body;
pub mod client;
mod ends;
pub mod head;
mod input;
pub mod limits;
pub mod linger;
mod need;
mod output;
mod parse;
mod pieces;
mod preface;
pub mod proxy;
pub mod reason;
pub mod reply;
mod scan;
mod script;
mod span;
pub mod state;
mod store;
pub mod time;

pub use answer::{Content, Size, Taken};
pub use need::{Act, How, Need, Read, Write};

use body::Body;
use head::{Found, Scan};
use limits::WRITE_LOOKS;
use linger::Linger;
use pieces::Flow;
use reason::{CloseReason, Misuse, Reject};
use span::Span;
use state::{Event, State, Teardown};
use time::{Ms, Turn};

/// One connection. See the module.
#[derive(Clone, Debug)]
pub struct Connection {
    state: State,
    teardown: Teardown,
    /// The close has been decided: the reply in the output is the last, or, while a body is kept,
    /// the one to come.
    last: bool,
    /// The peer's FIN was read.
    eof: bool,
    /// Our write side is shut.
    shut: bool,
    /// No more answers may join the output until it is sent.
    gathered: bool,
    /// The request that is being answered, or read, is a HEAD: no reply to it has content, not even
    /// a refusal (RFC 9110 section 9.3.2).
    head_only: bool,
    /// The request whose body is kept came in HTTP/1.0.
    old: bool,
    /// A preface of the PROXY protocol comes before the first request and is not read yet.
    preface: bool,
    /// The request in the input has waited for a verdict: that clock runs on until it is answered.
    has_waited: bool,
    /// Bytes of a `100 Continue` that leave before anything in the output.
    interim: u8,
    input: Span,
    output: Span,
    scan: Scan,
    found: Found,
    refusal: Option<Reject>,
    over: Option<(CloseReason, How)>,
    misuse: Option<Misuse>,
    requests: u16,
    body: Body,
    /// Content bytes of this body so far.
    body_bytes: u64,
    /// Content at the front of the input that is to be kept.
    wanted: u16,
    /// Bytes of the file still owed; of an answer in pieces, those that are due now.
    file: u64,
    /// Whether pieces follow, and how they are delimited.
    flow: Flow,
    /// Bytes that the pieces to come still have, where that was declared. Store: content bytes that
    /// the body may have.
    owed: u64,
    /// Bytes handed to the kernel in all.
    sent: u64,
    /// What progress is measured from. Body: content bytes at the start of the rate window.
    /// Respond: bytes acknowledged at the last look.
    mark: u64,
    deadline: Ms,
    /// A second moment to look at. Body: the end of its total time, the deadline being the end of
    /// the rate window. Respond: the next look at the acknowledgements.
    checkpoint: Ms,
    linger: Linger,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Connection {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(teardown: Teardown, turn: &Turn<'_>) -> Self {
        Self {
            state: State::Idle,
            teardown,
            last: false,
            eof: false,
            shut: false,
            gathered: false,
            head_only: false,
            old: false,
            preface: false,
            has_waited: false,
            interim: 0,
            input: Span::default(),
            output: Span::default(),
            scan: Scan::default(),
            found: Found::More,
            refusal: None,
            over: None,
            misuse: None,
            requests: 0,
            body: Body::Over,
            body_bytes: 0,
            wanted: 0,
            file: 0,
            flow: Flow::Over,
            owed: 0,
            sent: 0,
            mark: 0,
            deadline: turn.now.after(turn.limits.head_ms),
            checkpoint: Ms(0),
            linger: Linger::new(Some(0), turn.limits),
        }
    }

    // ---- the one writer of the state -----------------------------------------------------------

    /// The end: the first reason given stays the reason.
    fn end(&mut self, event: Event, reason: CloseReason, how: How, turn: &Turn<'_>) {
        if self.over.is_none() {
            self.over = Some((reason, how));
        }
        self.go(event, turn);
    }

    /// Takes one transition and starts the clock of the new state.
    fn go(&mut self, event: Event, turn: &Turn<'_>) {
        let Some(to) = state::next(self.state, event, self.teardown) else {
            self.fault(Misuse::NoTransition, turn);
            return;
        };
        let limits = turn.limits;
        let entered = to != self.state;
        self.state = to;
        match to {
            State::Idle => self.deadline = turn.now.after(limits.keepalive_idle_ms),
            State::Head | State::Verify if self.has_waited => {}
            State::Head => self.deadline = turn.now.after(limits.head_ms),
            State::Verify => self.deadline = turn.now.after(limits.verdict_ms),
            State::Queue => self.deadline = turn.now.after(limits.queue_ms),
            State::Body | State::Store | State::Script | State::Rest => {
                let stores = matches!(to, State::Store | State::Script);
                let total_ms = if stores {
                    limits.upload_ms
                } else {
                    limits.body_ms
                };
                self.mark = self.body_bytes;
                self.deadline = turn.now.after(limits.body_window_ms);
                self.checkpoint = turn.now.after(total_ms);
            }
            State::Relay | State::Respond if entered => {
                self.mark = self.sent;
                self.deadline = turn.now.after(limits.write_ms);
                self.checkpoint = turn.now.after(limits.write_ms / WRITE_LOOKS);
                if self.awaits_piece() {
                    self.rest_clock(turn); // the body is over, and the script says nothing
                }
            }
            State::Relay | State::Respond => {}
            State::Linger => self.deadline = turn.now.after(limits.linger_total_ms),
            State::Closed => self.close_books(turn),
        }
        debug_assert!(
            !matches!(
                to,
                State::Idle | State::Rest | State::Linger | State::Closed
            ) || !self.holds_bytes(),
            "{to:?} owns no buffer"
        );
    }

    fn close_books(&mut self, turn: &Turn<'_>) {
        self.drop_bytes();
        if self.over.is_none() {
            self.over = Some((CloseReason::Plain, How::Bounded(turn.limits.orphan_ms)));
        }
    }

    fn drop_input(&mut self) {
        self.input = Span::default();
        self.wanted = 0;
        self.scan = Scan::default();
        self.found = Found::More;
        self.has_waited = false;
    }

    fn drop_bytes(&mut self) {
        self.drop_input();
        self.output = Span::default();
        self.interim = 0;
        self.file = 0;
        self.flow = Flow::Over;
    }

    /// A fault of ours: loud in tests; in release it is counted and this connection ends.
    fn fault(&mut self, misuse: Misuse, turn: &Turn<'_>) {
        debug_assert!(false, "{misuse:?} in {:?}", self.state);
        self.misuse = Some(misuse);
        if self.state != State::Closed {
            // Whatever was meant to be the reason.
            self.over = Some((CloseReason::Fault, How::Reset));
            self.go(Event::Cut, turn);
        }
    }
}

#[cfg(test)]
mod tests;
