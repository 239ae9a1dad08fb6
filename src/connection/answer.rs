//! Answers: from a whole head to a reply in the output, or to a refusal.
//!
//! Owns what follows an answer for the connection (RFC 9112 section 9.3) and for the request body.
//! It must not send: `output.rs` does the books of what left.

use super::body::{Body, Chunked};
use super::head::{self, Field, Found, Framing, Request, Verdict, Version};
use super::limits::Limits;
use super::linger::Linger;
use super::pieces::Flow;
use super::reason::{Misuse, Reject};
use super::reply::{self, Reply, Status};
use super::span::Span;
use super::state::{Event, State};
use super::time::Turn;
use super::{CONTINUE, Connection};

/// The body of an answer, as the heart needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// None, and no Content-Length (304).
    Nothing,
    /// None, with `Content-Length: 0`.
    Empty,
    /// A small page that names the status.
    Page,
    /// So many bytes of a file that the shell holds.
    File(u64),
    /// What comes piece by piece, so many bytes in all; `None`: nobody knows how many, so it goes
    /// in chunks, and to HTTP/1.0 until the close.
    Pieces(Option<u64>),
}

/// The size of a response as it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of its head, the empty line included.
    pub head_bytes: u64,
    /// Bytes of it in all; of an answer in pieces, those that are made.
    pub bytes: u64,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It stands in the output; if its content is a file, so many bytes of it are now owed.
    Yes {
        /// Bytes of the file to send.
        file: u64,
        /// Its pieces will be asked for ([`super::Act::Produce`]).
        pieces: bool,
        /// The status that was written (not always the one offered).
        status: Status,
        /// Its size, as far as it is made.
        size: Size,
    },
    /// There is no room beside the answers before it: ask again after they are sent.
    Later,
    /// The body is kept first: [`Connection::concluded`] takes the answer.
    Body,
}

impl Connection {
    /// The request that [`Act::Answer`](super::Act::Answer) is about.
    ///
    /// # Errors
    /// A [`Reject`] to be passed to [`Connection::refuse`].
    pub fn request<'a>(
        &self,
        input: &'a [u8],
        fields: &'a mut [Field<'a>],
        limits: &Limits,
    ) -> Result<Request<'a>, Reject> {
        let Found::Whole(bytes) = self.found else {
            return Err(Reject::Internal);
        };
        let head = self
            .input
            .of(input)
            .get(..usize::from(bytes))
            .unwrap_or_default();
        head::parse(head, fields, limits)
    }

    /// A reply behind what already stands in the output.
    pub fn reply<'b>(&mut self, output: &'b mut [u8]) -> Reply<'b> {
        if self.output.is_empty() {
            self.output = Span::default();
        }
        Reply::new(self.output.tail(output))
    }

    /// An answer to this request can join those that are not sent yet. If not, ask again later: a
    /// body is waited for when all before it has left, and what changes something is asked for
    /// once, so that it must not find its room taken.
    pub fn may_join(&mut self, request: &Request<'_>) -> bool {
        let alone = request.verdict.framing != Framing::None || !request.method.is_safe();
        let joins = self.output.is_empty() || !alone;
        self.gathered |= !joins;
        joins
    }

    /// The site has answered `verdict`'s request: `reply` holds the status and its fields, and
    /// `content` is what follows.
    pub fn answered(
        &mut self,
        verdict: &Verdict,
        reply: Reply<'_>,
        content: Content,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> Taken {
        let refused = reply.current_status().code() >= 300; // a redirect wants the body as little
        self.take(verdict, (reply, content), refused, input, turn)
    }

    /// Takes an answer; `refused`: nobody wants the rest of the body any more.
    pub(super) fn take(
        &mut self,
        verdict: &Verdict,
        (mut reply, mut content): (Reply<'_>, Content),
        refused: bool,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> Taken {
        let body_bytes = body_of(verdict.framing).remainder();
        let too_large = body_bytes.is_some_and(|bytes| bytes > turn.limits.body_bytes);
        if too_large && !refused {
            reply.status(Status::CONTENT_TOO_LARGE);
            content = Content::Page;
        }
        // A body that is wanted is read before the reply leaves. Of one that is not the reply
        // leaves at once: the rest is read off behind it if it is small, and else, or if it waits
        // for a 100 that it will not get, ends the connection.
        let has_body = verdict.framing != Framing::None;
        let unwanted = too_large
            || (refused && has_body && (verdict.expects_continue || body_bytes.is_none()));
        let flow = Flow::of(content, verdict);
        let keep = verdict.keep && !unwanted && self.may_stay(turn) && flow != Flow::Close;

        let file = finish(&mut reply, verdict, content, keep, turn);
        if reply.overflowed() || self.waits_for_room(&reply, file) {
            return self.no_room();
        }
        let (written, status, size) = (reply.len(), reply.current_status(), reply.size(file));
        let interim = verdict.expects_continue && has_body && !unwanted;
        self.input.consume(verdict.head_bytes);
        let arrives = !self.input.is_empty();
        self.requests = self.requests.saturating_add(1);
        self.file = file;
        self.flow = flow;
        self.owed = declared(content);
        self.gathered |= self.has_pieces();
        self.last = !keep;
        self.body_bytes = 0;
        self.wanted = 0;
        self.body = body_of(verdict.framing);
        self.output.extend(written);
        if refused || unwanted || !has_body {
            self.go(Event::Answered, turn);
            if self.last {
                self.open_goodbye(verdict, turn.limits);
            } else {
                self.skip_body(input, turn);
            }
        } else {
            if interim && !arrives {
                self.interim = u8::try_from(CONTINUE.len()).unwrap_or(0);
            }
            self.go(Event::AwaitBody, turn);
            self.body_input(input, turn);
            if self.last {
                self.linger = Linger::new(unsolicited(verdict), turn.limits);
            }
        }
        Taken::Yes {
            file,
            pieces: flow != Flow::Over,
            status,
            size,
        }
    }

    /// A small file that has no room behind the answers before it has some when they are sent: then
    /// it leaves in one send with its head, and with the answers that follow.
    fn waits_for_room(&self, reply: &Reply<'_>, file: u64) -> bool {
        let file = usize::try_from(file).unwrap_or(usize::MAX);
        let needed = reply.len().saturating_add(file);
        let half = self.output.end().saturating_add(reply.capacity());
        !self.output.is_empty() && file > 0 && needed > reply.capacity() && needed <= half
    }

    /// Nothing but the request itself speaks against a further one.
    pub(super) fn may_stay(&self, turn: &Turn<'_>) -> bool {
        let spent = self.requests.saturating_add(1) >= turn.limits.keepalive_requests;
        turn.limits.keepalive && !spent && !turn.stopping
    }

    /// This request can wait for something: nothing of the answers before it is left.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.state == State::Head
    }

    /// Nobody knows yet whether the credentials of this request are good: it waits for
    /// [`Connection::verdict`]. False: answers that are not sent yet have to leave first.
    pub fn await_verdict(&mut self, turn: &Turn<'_>) -> bool {
        let waits = self.wait_whole(Event::AwaitVerdict, turn);
        self.has_waited |= waits;
        waits
    }

    /// A whole head waits for something else than the client. False: answers that are not sent yet
    /// have to leave first.
    pub(super) fn wait_whole(&mut self, event: Event, turn: &Turn<'_>) -> bool {
        let waits = self.may_wait();
        if waits {
            self.go(event, turn);
        } else {
            self.gathered = true;
        }
        waits
    }

    /// It is known now: the request is to be answered once more. False: it does not wait.
    pub fn verdict(&mut self, turn: &Turn<'_>) -> bool {
        let waits = self.state == State::Verify && self.refusal.is_none();
        if waits {
            self.go(Event::Verdict, turn);
        }
        waits
    }

    /// The reply does not fit. Behind others it waits; alone it is a fault of our limits.
    pub(super) fn no_room(&mut self) -> Taken {
        self.gathered = true;
        if self.output.is_empty() {
            self.misuse = Some(Misuse::ReplyOverflow);
            self.refusal = Some(Reject::Internal);
        }
        Taken::Later
    }

    /// No further answer joins those that are not sent yet. False: there are none.
    pub fn hold_answers(&mut self) -> bool {
        self.gathered |= !self.output.is_empty();
        !self.output.is_empty()
    }

    /// Refuses: writes the answer to `reject`, and begins the end. Its size; `None`: there
    /// is no room for it beside the answers before it, and it will be asked for again.
    pub fn refuse(&mut self, reject: Reject, output: &mut [u8], turn: &Turn<'_>) -> Option<Size> {
        let in_body = matches!(self.state, State::Body | State::Store | State::Script);
        if in_body {
            self.output = Span::default(); // what was prepared for the request that is now refused
            self.settle_interim();
        }
        let left = in_body.then(|| self.body_left());
        let verdict = Verdict {
            head_bytes: 0,
            framing: Framing::None,
            version: Version::Http11,
            keep: false,
            head_only: self.head_only,
            expects_continue: false,
        };
        let mut reply = self.reply(output);
        reply.status(reject.status());
        if let Some(seconds) = reject.retry_after_s() {
            reply.field_number("Retry-After", seconds);
        }
        finish(&mut reply, &verdict, Content::Page, false, turn);
        if reply.overflowed() {
            if !self.output.is_empty() {
                self.gathered = true;
                return None;
            }
            self.fault(Misuse::ReplyOverflow, turn);
            return None;
        }
        let (written, size) = (reply.len(), reply.size(0));
        self.output.extend(written);
        self.file = 0;
        self.flow = Flow::Over;
        self.last = true;
        self.refusal = None;
        let already = u64::try_from(self.input.len()).unwrap_or(0);
        let remainder = left
            .and_then(|body| body.remainder())
            .and_then(|r| r.checked_sub(already));
        self.linger = Linger::new(remainder, turn.limits);
        self.drop_input();
        self.body = Body::Over;
        self.go(Event::Refused, turn);
        Some(size)
    }

    /// The books of a goodbye that follows an answer without its body having been read.
    fn open_goodbye(&mut self, verdict: &Verdict, limits: &Limits) {
        let here = u64::try_from(self.input.len()).unwrap_or(0);
        let remainder = match self.body.remainder() {
            Some(0) => unsolicited(verdict).filter(|_| here == 0),
            Some(rest) => rest.checked_sub(here),
            None => None,
        };
        self.linger = Linger::new(remainder, limits);
        self.body = Body::Over;
        self.drop_input();
    }
}

/// `Some(0)` when nothing more is to be expected of this client: its request is consumed whole and
/// it said itself that it was the last. One that wanted to stay may have sent more already.
fn unsolicited(verdict: &Verdict) -> Option<u64> {
    (!verdict.keep).then_some(0)
}

pub(super) fn body_of(framing: Framing) -> Body {
    match framing {
        Framing::None => Body::Over,
        Framing::Length(bytes) => Body::Length(bytes),
        Framing::Chunked => Body::Chunked(Chunked::new()),
    }
}

/// What the pieces will have in all, if that is known.
pub(super) fn declared(content: Content) -> u64 {
    match content {
        Content::Pieces(Some(bytes)) => bytes,
        Content::Nothing
        | Content::Empty
        | Content::Page
        | Content::File(_)
        | Content::Pieces(None) => 0,
    }
}

/// Completes a reply: Date, Connection, framing, and the small page where one is due. Returns the
/// bytes of the file that are owed.
pub(super) fn finish(
    reply: &mut Reply<'_>,
    verdict: &Verdict,
    content: Content,
    keep: bool,
    turn: &Turn<'_>,
) -> u64 {
    reply.date(turn.wall);
    match (keep, verdict.version) {
        (false, _) => reply.own_field("Connection", b"close"),
        (true, Version::Http10) => reply.own_field("Connection", b"keep-alive"),
        (true, Version::Http11) => {}
    }
    let status = reply.current_status();
    match content {
        Content::Nothing => {}
        Content::Empty => reply.field_number("Content-Length", 0),
        Content::File(bytes) | Content::Pieces(Some(bytes)) => {
            reply.field_number("Content-Length", bytes);
        }
        Content::Pieces(None) => match Flow::of(content, verdict) {
            Flow::Chunked => reply.own_field("Transfer-Encoding", b"chunked"),
            Flow::Over | Flow::Length | Flow::Close => {}
        },
        Content::Page => {
            reply.own_field("Content-Type", b"text/html; charset=utf-8");
            reply.field_number("Content-Length", reply::page_bytes(status));
        }
    }
    reply.end_head();
    match content {
        Content::File(bytes) if !verdict.head_only => return bytes,
        Content::Page if !verdict.head_only => reply::page(reply, status),
        Content::Nothing
        | Content::Empty
        | Content::Page
        | Content::File(_)
        | Content::Pieces(_) => {}
    }
    0
}
