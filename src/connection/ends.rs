//! Ends: deadlines, the goodbye, and everything that closes a connection from outside.

use super::Connection;
use super::head::Found;
use super::limits::{Limits, WRITE_LOOKS};
use super::linger::{Linger, Queues};
use super::need::How;
use super::reason::{CloseReason, Reject};
use super::state::{self, Deadline, Event, State, Teardown};
use super::time::Turn;

impl Connection {
    /// shutdown(SHUT_WR) was called: the clocks of the goodbye start.
    pub fn write_shut(&mut self, queues: Queues, turn: &Turn<'_>) {
        self.shut = true;
        self.linger.begin(queues, turn.now, turn.limits);
        let so_linger_ms = u32::from(turn.limits.so_linger_s).saturating_mul(1000);
        self.deadline = turn.now.after(so_linger_ms);
        self.look_at_goodbye(queues, turn);
    }

    /// Time has passed, bytes were thrown away in a goodbye, or acknowledgements have moved.
    pub fn tick(&mut self, queues: Queues, turn: &Turn<'_>) {
        if self.state == State::Linger && self.shut {
            self.look_at_goodbye(queues, turn);
            return;
        }
        if matches!(self.state, State::Relay | State::Respond) {
            self.write_tick(queues, turn);
            return;
        }
        if turn.now < self.until(turn.limits) {
            return;
        }
        match state::deadline(self.state) {
            Deadline::Idle => self.idle_over(turn),
            // A head that has come is answered, however late we are.
            Deadline::Head if self.found != Found::More => {}
            // Blank lines behind the last request are no beginning of another.
            Deadline::Head if self.scan.is_blank() => self.idle_over(turn),
            Deadline::Head => self.refusal = Some(Reject::LateHead),
            Deadline::Verdict => self.refusal = Some(Reject::LateVerdict),
            Deadline::Queue => self.refusal = Some(Reject::NoPlace),
            // No buffer came home in which it could be told.
            Deadline::Store | Deadline::Script if self.refusal.is_some() => {
                self.end(Event::Cut, CloseReason::TimeoutWrite, How::Reset, turn);
            }
            Deadline::Body if self.refusal.is_some() => {}
            Deadline::Store if self.is_stored() => self.refuse_late(Reject::Internal, turn),
            Deadline::Script if self.is_stored() => self.refuse_late(Reject::LateScript, turn),
            // It is not the client that takes its time.
            Deadline::Script if self.wanted > 0 => {
                self.begin_window(turn);
                self.checkpoint = self.checkpoint.max(self.deadline);
            }
            Deadline::Body | Deadline::Store | Deadline::Script if self.body_is_late(turn) => {
                self.refuse_late(Reject::LateBody, turn);
            }
            Deadline::Rest if self.body_is_late(turn) => self.end_rest(turn),
            Deadline::Body | Deadline::Store | Deadline::Script | Deadline::Rest => {}
            // shutdown(SHUT_WR) was never reported.
            Deadline::Linger => {
                let how = undelivered(queues);
                self.end(Event::LingerOver, CloseReason::LingerTotal, how, turn);
            }
            Deadline::Write | Deadline::None => {}
        }
    }

    /// Its time is over: it is told so, as soon as there is a buffer to say it in.
    pub(super) fn refuse_late(&mut self, reject: Reject, turn: &Turn<'_>) {
        self.refusal = Some(reject);
        self.deadline = turn.now.after(turn.limits.write_ms);
        self.checkpoint = self.deadline;
    }

    /// The body has not come in its time, or not at its rate. If not so, a new window begins.
    fn body_is_late(&mut self, turn: &Turn<'_>) -> bool {
        let floor = u64::from(turn.limits.body_window_bytes);
        let gained = self.body_bytes.saturating_sub(self.mark);
        if turn.now >= self.checkpoint || gained < floor {
            return true;
        }
        self.begin_window(turn);
        false
    }

    fn begin_window(&mut self, turn: &Turn<'_>) {
        self.mark = self.body_bytes;
        self.deadline = turn.now.after(turn.limits.body_window_ms);
    }

    fn write_tick(&mut self, queues: Queues, turn: &Turn<'_>) {
        let acked = self.sent.saturating_sub(u64::from(queues.unacknowledged));
        // Below the mark: at the start of this response older bytes were still on their way, and
        // only now it is known how many. A peer that acknowledges is never cut off.
        if acked != self.mark {
            self.mark = acked;
            if !self.awaits_piece() {
                self.deadline = turn.now.after(turn.limits.write_ms);
            }
        } else if turn.now >= self.deadline {
            self.end(Event::Stuck, CloseReason::TimeoutWrite, How::Reset, turn);
        }
        self.checkpoint = turn.now.after(turn.limits.write_ms / WRITE_LOOKS);
    }

    fn idle_over(&mut self, turn: &Turn<'_>) {
        self.drop_bytes();
        self.linger = Linger::new(Some(0), turn.limits);
        if self.teardown == Teardown::Plain {
            self.over = Some((CloseReason::Plain, How::Bounded(turn.limits.orphan_ms)));
        }
        self.go(Event::IdleOver, turn);
    }

    /// The server stops: an idle connection says goodbye, and so does one that has its answer and
    /// still sends; every other finishes what it does.
    pub fn stop(&mut self, queues: Queues, turn: &Turn<'_>) {
        let asked = queues.unread > 0; // its request has come: that is still served
        if self.state == State::Idle && !asked {
            self.idle_over(turn);
        } else if self.state == State::Rest {
            self.end_rest(turn);
        }
    }

    pub(super) fn look_at_goodbye(&mut self, queues: Queues, turn: &Turn<'_>) {
        let verdict = match self.teardown {
            Teardown::Linger | Teardown::Plain => {
                self.linger.look(queues, self.eof, turn.now, turn.limits)
            }
            Teardown::SoLinger if queues.unacknowledged == 0 => {
                let how = How::KernelLinger(turn.limits.so_linger_s);
                return self.end(Event::LingerOver, CloseReason::Acked, how, turn);
            }
            Teardown::SoLinger => (turn.now >= self.deadline).then_some(CloseReason::LingerTotal),
        };
        if let Some(reason) = verdict {
            self.end(Event::LingerOver, reason, undelivered(queues), turn);
        }
    }

    /// The peer reset the connection, or a call on its socket failed.
    pub fn broken(&mut self, turn: &Turn<'_>) {
        if self.state == State::Closed {
            return;
        }
        let how = self.given_up(How::Plain);
        self.end(Event::Broken, CloseReason::ResetByPeer, how, turn);
    }

    /// The file ended before its declared length.
    pub fn truncated(&mut self, turn: &Turn<'_>) {
        self.end(Event::Stuck, CloseReason::FileShrank, How::Reset, turn);
    }

    /// The slot is needed (Idle, Linger, and a Respond that makes no progress).
    pub fn evict(&mut self, queues: Queues, turn: &Turn<'_>) {
        let (event, how) = match self.state {
            State::Relay | State::Respond => (Event::Stuck, How::Reset),
            State::Linger => (Event::Evicted, undelivered(queues)),
            State::Idle
            | State::Head
            | State::Verify
            | State::Queue
            | State::Body
            | State::Store
            | State::Script
            | State::Rest
            | State::Closed => (Event::Evicted, How::Bounded(turn.limits.orphan_ms)),
        };
        self.end(event, CloseReason::Evicted, how, turn);
    }

    /// The buffer is needed, and holds nothing but requests ([`Connection::holds_only_requests`]):
    /// the response that flows becomes the last, and they are written off unanswered, so that the
    /// client may send them again (RFC 9112 section 9.3.1).
    pub fn write_off_requests(&mut self, turn: &Turn<'_>) {
        if self.holds_only_requests() {
            self.last = true;
            self.linger = Linger::new(None, turn.limits);
            self.write_off_input();
        }
    }

    /// The buffer or the slot is needed. Head, Body and Store: 408, so that the request is tried
    /// again. Rest: the connection says goodbye, for its answer has left.
    pub fn give_way(&mut self, turn: &Turn<'_>) {
        if self.state == State::Rest {
            self.end_rest(turn);
            return;
        }
        let gives = match self.state {
            State::Head | State::Body => true,
            State::Store => !self.is_stored(),
            State::Idle
            | State::Verify
            | State::Queue
            | State::Script
            | State::Relay
            | State::Respond
            | State::Rest
            | State::Linger
            | State::Closed => false,
        };
        if gives && self.refusal.is_none() {
            self.refusal = Some(Reject::GaveWay);
        }
    }

    /// The stop deadline passed, or a second stop was asked for.
    pub fn cut(&mut self, queues: Queues, turn: &Turn<'_>) {
        if self.state == State::Closed {
            return;
        }
        // Before a goodbye our FIN is still to be sent, and nobody may be there any more.
        let says_fin = queues.unacknowledged == 0 && self.state != State::Linger;
        let how = match says_fin {
            true => How::Bounded(turn.limits.orphan_ms),
            false => undelivered(queues),
        };
        let how = self.given_up(how);
        self.end(Event::Cut, CloseReason::Stopped, how, turn);
    }

    /// How to end what is cut off: `how`, but in the middle of a response with RST. A FIN there, as
    /// after everything so far was acknowledged, would make an answer to HTTP/1.0 look whole whose
    /// only end is the close (RFC 9112 section 8).
    fn given_up(&self, how: How) -> How {
        match self.state {
            State::Relay | State::Respond => How::Reset,
            State::Idle
            | State::Head
            | State::Verify
            | State::Queue
            | State::Body
            | State::Store
            | State::Script
            | State::Rest
            | State::Linger
            | State::Closed => how,
        }
    }

    /// A close behind the peer's FIN. It leaves the delivery to the kernel, bounded if something is
    /// undelivered; else the peer was there just now, and acknowledges our FIN alone.
    pub(super) fn parting(&self, queues: Queues, limits: &Limits) -> How {
        if queues.unacknowledged > 0 {
            How::Bounded(limits.orphan_ms)
        } else {
            How::Plain
        }
    }
}

/// How to end what was to be ended in peace and is not: what nobody acknowledged is given up.
fn undelivered(queues: Queues) -> How {
    if queues.unacknowledged > 0 {
        How::Reset
    } else {
        How::Plain
    }
}
