//! Scripts: a request whose answer is made by a program while its body flows to it.
//!
//! Owns the waiting for a place, and the answer of a script as far as it differs from others: it
//! may begin, and even end, before the body does. It must not know a process. Invariants: what
//! flows to a script is its body and nothing behind it; an answer that has begun is delivered
//! whatever becomes of the body.

use super::Connection;
use super::answer::{Content, Taken, declared, finish};
use super::body::Body;
use super::head::{Framing, Verdict};
use super::linger::Linger;
use super::pieces::Flow;
use super::reason::Reject;
use super::reply::Reply;
use super::state::{Event, State};
use super::time::Turn;

impl Connection {
    /// As many scripts run as may: the request waits for [`Connection::placed`], unless answers
    /// that are not sent yet have to leave first.
    pub fn await_place(&mut self, turn: &Turn<'_>) {
        let _waits = self.wait_whole(Event::AwaitPlace, turn);
    }

    /// There may be a place now: the request is to be answered once more. False: it does not wait.
    pub fn placed(&mut self, turn: &Turn<'_>) -> bool {
        let waits = self.state == State::Queue && self.refusal.is_none();
        if waits {
            self.go(Event::Placed, turn);
        }
        waits
    }

    /// A script was started for `verdict`'s request: its body flows there ([`super::Read::Feed`]),
    /// and its answer is asked for ([`super::Act::Produce`]). Only for a request that may join
    /// ([`Connection::may_join`]), with nothing before it.
    pub fn await_script(
        &mut self,
        verdict: &Verdict,
        most: u64,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> Taken {
        self.take_head(verdict, most);
        self.go(Event::AwaitScript, turn);
        self.pull(input, turn);
        Taken::Body
    }

    /// The body that was kept ([`Connection::await_store`]) is with a script now.
    pub fn hand_to_script(&mut self, turn: &Turn<'_>) {
        self.go(Event::AwaitScript, turn);
        self.await_conclusion(&[], turn);
    }

    /// The script cannot make its answer, or no more of it: it is refused with this if it has not
    /// begun, and reset if it has.
    pub fn fail_script(&mut self, reject: Reject, turn: &Turn<'_>) {
        match self.state {
            State::Store | State::Script if self.refusal.is_none() => {
                self.refuse_late(reject, turn);
            }
            State::Relay | State::Respond if self.has_pieces() => self.truncated(turn),
            State::Idle
            | State::Head
            | State::Verify
            | State::Queue
            | State::Body
            | State::Store
            | State::Script
            | State::Relay
            | State::Respond
            | State::Rest
            | State::Linger
            | State::Closed => {}
        }
    }

    /// The request that is being answered is a HEAD.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.head_only
    }

    /// The script is to make its answer.
    pub(super) fn awaits_script(&self) -> bool {
        self.state == State::Script && self.refusal.is_none()
    }

    /// The script has answered: `reply` holds the status and its fields. Its content comes in
    /// pieces, so many bytes if it said that.
    pub fn relayed(
        &mut self,
        mut reply: Reply<'_>,
        bytes: Option<u64>,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> Taken {
        let content = Content::Pieces(bytes);
        let left = self.body_left();
        if left == Body::Over {
            return self.concluded(reply, content, input, turn);
        }
        let verdict = self.remembered(Framing::None);
        let flow = Flow::of(content, &verdict);
        // The script may not want the rest: a small one can be read off behind the answer.
        let small = left
            .remainder()
            .is_some_and(|bytes| bytes <= turn.limits.body_bytes);
        let keep = verdict.keep && small && flow != Flow::Close && self.may_stay(turn);
        finish(&mut reply, &verdict, content, keep, turn);
        if reply.overflowed() {
            return self.no_room();
        }
        let (written, status, size) = (reply.len(), reply.current_status(), reply.size(0));
        self.requests = self.requests.saturating_add(1);
        self.flow = flow;
        self.owed = declared(content);
        self.gathered = true;
        self.last = !keep;
        self.output.extend(written);
        self.go(Event::Relayed, turn);
        Taken::Yes {
            file: 0,
            pieces: flow != Flow::Over,
            status,
            size,
        }
    }

    /// The answer has left, and the body is not over: what is here of it goes.
    pub(super) fn leave_relay(&mut self, turn: &Turn<'_>) {
        let left = self.body_left();
        let here = u64::from(self.wanted);
        let behind = self.input.len().saturating_sub(usize::from(self.wanted)) > 0;
        self.input.consume(usize::from(self.wanted));
        self.wanted = 0;
        // What stands behind it was never looked at.
        self.last |= behind;
        if self.last {
            self.linger = Linger::new(left.remainder(), turn.limits);
            self.linger.discarded(here);
            self.body = Body::Over;
        } else if self.body == Body::Over {
            self.go(Event::BodyEnd, turn);
        }
    }
}
