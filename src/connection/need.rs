//! What a connection wants next: [`Need`], computed from the state alone.
//!
//! Owns the words between the heart and its shell. Every function here only reads: nothing has to
//! be drained, and asking twice gives the same answer.

use super::Connection;
use super::body::Body;
use super::head::Found;
use super::limits::Limits;
use super::linger::Linger;
use super::reason::{CloseReason, Misuse, Reject};
use super::state::{self, Deadline, State, Teardown};
use super::time::{Ms, Turn};

/// What the shell should do next for this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Reading.
    pub read: Read,
    /// Writing.
    pub write: Write,
    /// To be done before anything else.
    pub act: Act,
}

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Not now.
    Nothing,
    /// Into [`Connection::space`]; a buffer must be at hand first.
    Into,
    /// Throw away at most this many bytes.
    Discard(u64),
    /// Keep at most this many bytes at once, in no buffer: [`Connection::stored_unseen`].
    Store(u64),
    /// Give [`Connection::content`] to the script ([`Connection::stored`]); if there is none, as
    /// [`Read::Into`].
    Feed,
}

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing.
    Nothing,
    /// [`Connection::sendable`]; `more`: a file or our FIN follows at once (MSG_MORE).
    Bytes {
        /// Something follows.
        more: bool,
    },
    /// At most this many bytes of the file.
    File(u64),
}

/// A call that the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// None.
    None,
    /// [`Connection::request`], then [`Connection::answered`] or [`Connection::refuse`].
    Answer,
    /// [`Connection::room_for_piece`], then [`Connection::produced`]; or, when the piece cannot be
    /// made any more, [`Connection::truncated`]. In [`State::Script`] the answer itself is to be
    /// made: [`Connection::relayed`] or [`Connection::concluded`].
    Produce,
    /// [`Connection::content`] is to be kept: [`Connection::stored`], or, when it cannot be,
    /// [`Connection::concluded`].
    Store,
    /// The body is kept whole: [`Connection::concluded`].
    Conclude,
    /// [`Connection::introduce`]: a preface of the PROXY protocol is whole.
    Introduce,
    /// [`Connection::refuse`] with this.
    Refuse(Reject),
    /// shutdown(SHUT_WR), then [`Connection::write_shut`].
    ShutdownWrite,
    /// Close the socket in this way; the connection is over.
    Close(CloseReason, How),
}

impl Act {
    /// It is about what stands in the input: a buffer must be at hand first.
    #[must_use]
    pub const fn is_about_input(self) -> bool {
        match self {
            Self::Introduce | Self::Answer | Self::Store | Self::Conclude | Self::Refuse(_) => true,
            Self::None | Self::Produce | Self::ShutdownWrite | Self::Close(_, _) => false,
        }
    }
}

/// How to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// close(2).
    Plain,
    /// SO_LINGER{1,0} and close: the kernel's memory is free now, no orphan stays.
    Reset,
    /// TCP_USER_TIMEOUT of so many ms, then close: bounds the orphan that stays.
    Bounded(u32),
    /// SO_LINGER{1,s} and close, when everything is acknowledged: returns at once.
    KernelLinger(u16),
}

impl Connection {
    /// What the connection wants now.
    #[must_use]
    pub fn need(&self) -> Need {
        Need {
            read: self.read_need(),
            write: self.write_need(),
            act: self.act(),
        }
    }

    fn act(&self) -> Act {
        if let (State::Closed, Some((reason, how))) = (self.state, self.over) {
            return Act::Close(reason, how);
        }
        if self.awaits_piece() || self.awaits_script() {
            return Act::Produce;
        }
        let may_answer = match self.state {
            State::Head => true,
            State::Store if self.refusal.is_none() => return self.store_act(),
            State::Respond => !self.last && self.file == 0 && !self.gathered && !self.has_pieces(),
            State::Linger if !self.shut => return Act::ShutdownWrite,
            State::Idle
            | State::Verify
            | State::Queue
            | State::Body
            | State::Store
            | State::Script
            | State::Relay
            | State::Rest
            | State::Linger
            | State::Closed => false,
        };
        match (self.refusal, self.found) {
            (Some(reject), _) => Act::Refuse(reject),
            (_, Found::Bad(reject)) if may_answer => Act::Refuse(reject),
            (_, Found::Whole(_)) if may_answer && self.preface => Act::Introduce,
            (_, Found::Whole(_)) if may_answer => Act::Answer,
            (_, Found::More | Found::Whole(_) | Found::Bad(_)) => Act::None,
        }
    }

    fn read_need(&self) -> Read {
        if self.eof || !state::interest(self.state).0 {
            return Read::Nothing;
        }
        let to_be_answered = self.found != Found::More || self.refusal.is_some();
        match (self.state, self.body) {
            // First the answer: what is behind this request has time.
            (State::Head, _) if to_be_answered => Read::Nothing,
            (State::Body | State::Store | State::Script, _) if self.refusal.is_some() => {
                Read::Nothing
            }
            (State::Script | State::Relay, _) if !self.is_stored() => Read::Feed,
            (State::Store, _) if self.wanted > 0 => Read::Nothing,
            (State::Store, Body::Length(left)) => Read::Store(left),
            (State::Body | State::Rest, Body::Length(left)) => Read::Discard(left),
            (State::Idle | State::Head, _) | (State::Body | State::Store, Body::Chunked(_)) => {
                Read::Into
            }
            (State::Linger, _) => self.discard_need(),
            // A client that sends everything before it reads must not be left blocked.
            (State::Respond, _) if self.last => self.discard_need(),
            // Nor one that was refused while it sends.
            (State::Respond, Body::Length(left)) => Read::Discard(left),
            (
                State::Verify
                | State::Queue
                | State::Body
                | State::Store
                | State::Script
                | State::Relay
                | State::Respond
                | State::Rest
                | State::Closed,
                _,
            ) => Read::Nothing,
        }
    }

    fn discard_need(&self) -> Read {
        match (self.teardown, self.linger.allowance()) {
            (Teardown::Linger, 1..) => Read::Discard(self.linger.allowance()),
            (Teardown::Linger | Teardown::Plain | Teardown::SoLinger, _) => Read::Nothing,
        }
    }

    fn write_need(&self) -> Write {
        match self.state {
            State::Body | State::Store | State::Script | State::Relay | State::Respond
                if self.interim > 0 =>
            {
                Write::Bytes { more: false }
            }
            State::Relay | State::Respond if !self.output.is_empty() => Write::Bytes {
                more: self.file > 0 || self.ends_with_output(),
            },
            State::Relay | State::Respond if self.file > 0 => Write::File(self.file),
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
            | State::Closed => Write::Nothing,
        }
    }

    /// Behind the output comes our FIN, which then needs no segment of its own: to be held until
    /// shutdown(2) is right, for that follows at once ([`Act::ShutdownWrite`]). A further piece
    /// does not: a script makes it when it likes, a work when it is prepared and has a buffer.
    fn ends_with_output(&self) -> bool {
        self.teardown == Teardown::Linger
            && self.state == State::Respond
            && !self.has_pieces()
            && (self.last || self.eof && self.found == Found::More)
    }

    /// When to call [`Connection::tick`] at the latest.
    #[must_use]
    pub fn until(&self, limits: &Limits) -> Ms {
        match state::deadline(self.state) {
            Deadline::Linger if self.shut => match self.teardown {
                Teardown::SoLinger => self.deadline,
                Teardown::Linger | Teardown::Plain => self.linger.until(self.eof, limits),
            },
            Deadline::Body
            | Deadline::Store
            | Deadline::Script
            | Deadline::Rest
            | Deadline::Write => self.deadline.min(self.checkpoint),
            Deadline::Idle
            | Deadline::Head
            | Deadline::Verdict
            | Deadline::Queue
            | Deadline::Linger => self.deadline,
            Deadline::None => Ms(u64::MAX),
        }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether bytes of this connection stand in its buffer. When not, the buffer goes back.
    #[must_use]
    pub fn holds_bytes(&self) -> bool {
        !self.input.is_empty() || !self.output.is_empty()
    }

    /// Bytes of the file still owed; when 0, and no pieces come, the file can be closed.
    #[must_use]
    pub fn file_owed(&self) -> u64 {
        self.file
    }

    /// Bytes of responses that are made and not sent: those in the output and those of the file.
    #[must_use]
    pub fn response_bytes_owed(&self) -> u64 {
        let output = u64::try_from(self.output.len()).unwrap_or(u64::MAX);
        output.saturating_add(self.file)
    }

    /// How far a Head, Body or Store has come, for the choice of who gives way.
    #[must_use]
    pub fn progress(&self) -> u64 {
        // Where no body is read these are 0.
        self.body_bytes
            .saturating_add(u64::try_from(self.input.len()).unwrap_or(0))
    }

    /// Respond: for how long no acknowledgement has moved, as far as was looked
    /// ([`Connection::tick`] looks), ms.
    #[must_use]
    pub fn unmoved_ms(&self, turn: &Turn<'_>) -> u64 {
        if self.awaits_piece() {
            return 0; // it is not the peer that we wait for
        }
        let write_ms = u64::from(turn.limits.write_ms);
        write_ms.saturating_sub(self.deadline.since(turn.now))
    }

    /// Respond: its buffer holds nothing but requests that wait for the file, or for pieces that
    /// are not made yet.
    #[must_use]
    pub fn holds_only_requests(&self) -> bool {
        self.state == State::Respond && self.output.is_empty() && !self.input.is_empty()
    }

    /// It has had an answer.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        self.requests > 0
    }

    /// The books of the goodbye.
    #[must_use]
    pub fn linger(&self) -> &Linger {
        &self.linger
    }

    /// A fault of ours since the last call.
    pub fn take_misuse(&mut self) -> Option<Misuse> {
        self.misuse.take()
    }
}
