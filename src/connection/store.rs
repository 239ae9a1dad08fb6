//! Bodies that are kept: a request whose answer is made when its body is where it belongs.
//!
//! Owns the way of such a body from its framing to the shell, which keeps it, and to the answer. It
//! must not know where it goes, nor copy a byte. Invariants: content is handed out in its order and
//! once; what stands behind the body in the input is never handed out; a body beyond its bound is
//! refused before a byte beyond it is.

use super::CONTINUE;
use super::Connection;
use super::answer::{Content, Taken, body_of};
use super::body::Body;
use super::head::{Found, Framing, Scan, Verdict, Version};
use super::need::Act;
use super::reason::{Misuse, Reject};
use super::reply::Reply;
use super::state::{Event, State};
use super::time::Turn;

impl Connection {
    /// The body of `verdict`'s request is kept, if it has at most so many bytes, and its answer is
    /// made then: [`Act::Store`] and [`Act::Conclude`] follow. Only for a request that may join
    /// ([`Connection::may_join`]), with nothing before it.
    pub fn await_store(
        &mut self,
        verdict: &Verdict,
        most: u64,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> Taken {
        self.take_head(verdict, most);
        self.go(Event::AwaitStore, turn);
        self.pull(input, turn);
        Taken::Body
    }

    /// The head goes, and what is needed of it for a later answer stays. Its body may have so many
    /// bytes.
    pub(super) fn take_head(&mut self, verdict: &Verdict, most: u64) {
        self.input.consume(verdict.head_bytes);
        if verdict.expects_continue && self.input.is_empty() {
            self.interim = u8::try_from(CONTINUE.len()).unwrap_or(0);
        }
        self.last = !verdict.keep;
        self.old = verdict.version == Version::Http10;
        self.head_only = verdict.head_only;
        self.body = body_of(verdict.framing);
        self.body_bytes = 0;
        self.owed = most;
        self.scan = Scan::default();
        self.found = Found::More;
        self.has_waited = false;
    }

    /// What stayed of it.
    pub(super) fn remembered(&self, framing: Framing) -> Verdict {
        Verdict {
            head_bytes: 0,
            framing,
            version: if self.old {
                Version::Http10
            } else {
                Version::Http11
            },
            keep: !self.last,
            head_only: self.head_only,
            expects_continue: false,
        }
    }

    /// What is to be done with the body.
    pub(super) fn store_act(&self) -> Act {
        match (self.wanted, self.body) {
            (1.., _) => Act::Store,
            (0, Body::Over) => Act::Conclude,
            (0, Body::Length(_) | Body::Chunked(_)) => Act::None,
        }
    }

    /// All of the body is kept, or with its script.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.wanted == 0 && self.body == Body::Over
    }

    /// There is content to be kept, or to be given to a script.
    #[must_use]
    pub fn holds_content(&self) -> bool {
        self.wanted > 0
    }

    /// Content that is to be kept now, from the input half; [`Act::Store`] asks for it.
    #[must_use]
    pub fn content<'b>(&self, input: &'b [u8]) -> &'b [u8] {
        let bytes = self.input.of(input);
        bytes.get(..usize::from(self.wanted)).unwrap_or_default()
    }

    /// The first `n` bytes of [`Connection::content`] are kept.
    pub fn stored(&mut self, n: usize, input: &[u8], turn: &Turn<'_>) {
        let left = u16::try_from(n)
            .ok()
            .and_then(|n| self.wanted.checked_sub(n));
        let Some(left) = left else {
            self.fault(Misuse::Overrun, turn);
            return;
        };
        self.wanted = left;
        self.input.consume(n);
        self.count(u64::try_from(n).unwrap_or(u64::MAX));
        self.pull(input, turn);
    }

    /// `n` bytes were received and kept as [`super::Read::Store`] allowed.
    pub fn stored_unseen(&mut self, n: u64, turn: &Turn<'_>) {
        let left = match self.body {
            Body::Length(left) => left.checked_sub(n),
            Body::Over | Body::Chunked(_) => None,
        };
        let Some(left) = left else {
            self.fault(Misuse::Overrun, turn);
            return;
        };
        self.body = if left == 0 {
            Body::Over
        } else {
            Body::Length(left)
        };
        self.count(n);
        self.await_conclusion(&[], turn);
    }

    fn count(&mut self, bytes: u64) {
        self.body_bytes = self.body_bytes.saturating_add(bytes);
    }

    /// Looks for content in the input.
    pub(super) fn pull(&mut self, input: &[u8], turn: &Turn<'_>) {
        while self.wanted == 0 && self.body != Body::Over && !self.input.is_empty() {
            let piece = match self.body.piece(self.input.of(input)) {
                Ok(piece) => piece,
                Err(reject) => {
                    self.refusal = Some(reject);
                    return;
                }
            };
            self.input.consume(piece.framing);
            self.wanted = u16::try_from(piece.content).unwrap_or(u16::MAX);
            // A chunk that will not fit is not waited for: its size line says so.
            let known = [u64::from(self.wanted), self.body.announced()];
            let bytes = known.into_iter().fold(self.body_bytes, u64::saturating_add);
            // Once a script has answered it is too late for that; only a length leads there.
            if bytes > self.owed && self.state != State::Relay {
                self.refusal = Some(Reject::BodyTooLarge);
                return;
            }
        }
        self.await_conclusion(input, turn);
    }

    /// The body is there: the client is not late any more. We are, or the script.
    pub(super) fn await_conclusion(&mut self, input: &[u8], turn: &Turn<'_>) {
        if !self.is_stored() {
            return;
        }
        self.settle_interim();
        if self.state == State::Relay {
            self.go(Event::BodyEnd, turn);
            self.next_head(input, turn);
            return;
        }
        let ms = match self.state == State::Script {
            true => turn.limits.first_byte_ms,
            false => turn.limits.body_ms,
        };
        self.deadline = turn.now.after(ms);
        self.checkpoint = self.deadline;
    }

    /// What is left of the body, with what of it stands in the input.
    pub(super) fn body_left(&self) -> Body {
        match (self.body, u64::from(self.wanted)) {
            (Body::Over, 0) => Body::Over,
            (Body::Over, wanted) => Body::Length(wanted),
            (Body::Length(left), wanted) => Body::Length(left.saturating_add(wanted)),
            (Body::Chunked(chunked), _) => Body::Chunked(chunked),
        }
    }

    /// How much of a transfer is to come, as far as is known: of the response if `sends`, else of a
    /// body that is kept or fed, or of what is read off in a goodbye. 0: there is none.
    #[must_use]
    pub fn transfer_rest(&self, sends: bool) -> u64 {
        match (self.state, self.body, sends) {
            (State::Respond, _, true) if self.has_pieces() => u64::MAX,
            (State::Respond, _, true) => self.response_bytes_owed(),
            (State::Store | State::Script | State::Relay, Body::Length(left), false) => left,
            (State::Store | State::Script | State::Relay, Body::Chunked(_), false) => u64::MAX,
            (State::Linger, _, false) => self.linger.allowance(),
            (
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
                | State::Closed,
                _,
                _,
            ) => 0,
        }
    }

    /// The body cannot be kept, and there is no buffer to say so in: it is refused with this.
    pub fn refuse_store(&mut self, reject: Reject, turn: &Turn<'_>) {
        if self.state == State::Store && self.refusal.is_none() {
            self.refuse_late(reject, turn);
        }
    }

    /// The answer to the request whose body was kept, or is not kept any further: `reply` holds the
    /// status and its fields, and `content` is what follows. What is left of the body is treated as
    /// after any other answer.
    pub fn concluded(
        &mut self,
        reply: Reply<'_>,
        content: Content,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> Taken {
        let framing = match self.body_left() {
            Body::Over => Framing::None,
            Body::Length(left) => Framing::Length(left),
            Body::Chunked(_) => Framing::Chunked,
        };
        let verdict = self.remembered(framing);
        debug_assert!(
            matches!(self.state, State::Store | State::Script),
            "{:?} has no body to keep",
            self.state
        );
        self.settle_interim();
        self.take(&verdict, (reply, content), true, input, turn)
    }
}
