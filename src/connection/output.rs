//! Output: what is to be sent, what left, and what follows when all has left.

use super::body::Body;
use super::head::Found;
use super::linger::Linger;
use super::state::{Event, State};
use super::time::Turn;
use super::{CONTINUE, Connection};

impl Connection {
    /// What is to be sent now, from the output half.
    #[must_use]
    pub fn sendable<'b>(&self, output: &'b [u8]) -> &'b [u8] {
        if self.interim > 0 {
            let left = CONTINUE.len().saturating_sub(usize::from(self.interim));
            return CONTINUE.get(left..).unwrap_or_default();
        }
        self.output.of(output)
    }

    /// Room behind the output for a small file, which then leaves with its head.
    pub fn room<'b>(&self, output: &'b mut [u8]) -> &'b mut [u8] {
        self.output.tail(output)
    }

    /// The whole file was read into [`Connection::room`].
    pub fn inlined(&mut self, n: usize) {
        self.output.extend(n);
        self.file = 0;
    }

    /// `n` bytes of [`Connection::sendable`] or of the file left.
    pub fn sent(&mut self, n: usize, turn: &Turn<'_>) {
        let bytes = u64::try_from(n).unwrap_or(u64::MAX);
        self.sent = self.sent.saturating_add(bytes);
        if self.interim > 0 {
            self.interim = self
                .interim
                .saturating_sub(u8::try_from(n).unwrap_or(u8::MAX));
            return;
        }
        if self.output.is_empty() {
            self.file = self.file.saturating_sub(bytes);
        } else {
            self.output.consume(n);
        }
        let responds = matches!(self.state, State::Relay | State::Respond);
        if self.awaits_piece() {
            self.rest_clock(turn);
        } else if responds && self.output.is_empty() && self.file == 0 {
            self.flushed(turn);
        }
    }

    /// The reply has left, and the rest of the body is not waited for any longer.
    pub(super) fn end_rest(&mut self, turn: &Turn<'_>) {
        self.linger = Linger::new(self.body.remainder(), turn.limits);
        self.last = true;
        self.body = Body::Over;
        self.go(Event::FlushedLast, turn);
    }

    /// Everything owed is with the kernel.
    pub(super) fn flushed(&mut self, turn: &Turn<'_>) {
        self.gathered = false;
        if self.state == State::Relay {
            self.leave_relay(turn);
        }
        let next_is_whole = self.found != Found::More;
        let last_said = self.last;
        let nothing_follows = self.eof && !next_is_whole;
        if !last_said && !nothing_follows && self.body != Body::Over {
            self.go(Event::FlushedRest, turn);
        } else if last_said || nothing_follows {
            if !last_said {
                self.linger = Linger::new(self.body.remainder(), turn.limits);
                self.body = Body::Over;
            }
            self.write_off_input();
            self.drop_bytes();
            self.go(Event::FlushedLast, turn);
        } else if self.input.is_empty() {
            self.go(Event::FlushedKeep, turn);
        } else {
            self.go(Event::FlushedNext, turn);
        }
    }
}
