//! The heart by state: what it wants, when, and how it ends. Bytes in and out: `tests/wire.rs`.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the variants it is about"
)]

use super::head::{Framing, Method, NO_FIELD, Target};
use super::limits::{FIELDS_MAX, Limits, PIECE_WAITS};
use super::linger::Queues;
use super::reason::{CloseReason, Misuse, Reject};
use super::reply::{Reply, Status};
use super::state::{State, Teardown};
use super::time::{Ms, Turn};
use super::{Act, Connection, Content, How, Need, Read, Taken, Write};

mod head;
mod script;
mod shell;
mod store;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A connection, its buffer, its kernel queues and a clock that only the test moves. Its site: GET
/// `/` is a file of `file` bytes, `/no` is not there, POST and PUT `/in` take a body,
/// and PUT `/keep` keeps one.
struct Peer {
    c: Connection,
    limits: Limits,
    now: u64,
    stopping: bool,
    queues: Queues,
    input: Vec<u8>,
    output: Vec<u8>,
    file: u64,
    /// GET `/pieces`: its declared length, and its pieces: bytes, and bytes of the file that
    /// follow.
    declared: Option<u64>,
    script: Vec<(usize, u64)>,
    /// Those that are still to come.
    pieces: Vec<(usize, u64)>,
    out: Vec<u8>,
    answers: usize,
    /// Nobody knows yet whether credentials are good.
    unsure: bool,
    /// As many scripts run as may: `/queue` waits, once.
    full: bool,
    /// PUT `/keep`: the most bytes, and those that were kept.
    most: u64,
    kept: Vec<u8>,
}

/// The answer of the site; `file` and `declared` as in [`Peer`].
fn site(
    method: Method,
    path: &[u8],
    (file, declared): (u64, Option<u64>),
    reply: &mut Reply<'_>,
) -> Content {
    match (method, path) {
        (Method::Get, b"/") => {
            reply.status(Status::OK);
            Content::File(file)
        }
        (Method::Get | Method::Head, b"/pieces") => {
            reply.status(Status::OK);
            Content::Pieces(declared)
        }
        (Method::Get, b"/long") => {
            reply.status(Status::OK);
            reply.field("X", &[b'x'; 5000]);
            Content::Empty
        }
        (Method::Post | Method::Put, b"/in") => {
            reply.status(Status::OK);
            Content::Empty
        }
        _ => {
            reply.status(Status::NOT_FOUND);
            Content::Page
        }
    }
}

impl Peer {
    fn new() -> Self {
        Self::with(Teardown::Linger, Limits::new())
    }

    /// Its `/pieces` are these, and their length is known or not.
    fn of_pieces(script: &[(usize, u64)], known: bool) -> Self {
        let mut p = Self::new();
        p.plan(script, known);
        p
    }

    fn plan(&mut self, script: &[(usize, u64)], known: bool) {
        let sum = |(bytes, file): &(usize, u64)| u64::try_from(*bytes).unwrap() + file;
        self.script = script.to_vec();
        self.declared = known.then(|| script.iter().map(sum).sum());
    }

    fn with(teardown: Teardown, limits: Limits) -> Self {
        let turn = Turn {
            now: Ms(100_000),
            wall: None,
            limits: &limits,
            stopping: false,
        };
        Self {
            c: Connection::new(teardown, &turn),
            limits,
            now: 100_000,
            stopping: false,
            queues: Queues::default(),
            input: vec![0; 8192],
            output: vec![0; 8192],
            file: 5,
            declared: None,
            script: Vec::new(),
            pieces: Vec::new(),
            out: Vec::new(),
            answers: 0,
            unsure: false,
            full: true,
            most: 100_000,
            kept: Vec::new(),
        }
    }

    /// One call on the connection with the turn of now.
    fn on<T>(&mut self, call: impl FnOnce(&mut Connection, Queues, &Turn<'_>) -> T) -> T {
        let turn = Turn {
            now: Ms(self.now),
            wall: None,
            limits: &self.limits,
            stopping: self.stopping,
        };
        call(&mut self.c, self.queues, &turn)
    }

    fn need(&self) -> Need {
        self.c.need()
    }

    fn until(&self) -> Ms {
        self.c.until(&self.limits)
    }

    /// Bytes arrive and are read.
    fn recv(&mut self, bytes: &[u8]) {
        assert!(matches!(self.need().read, Read::Into | Read::Feed));
        let space = self.c.space(&mut self.input);
        space[..bytes.len()].copy_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        self.on(|c, _, turn| c.received(bytes.len(), &input, turn));
        self.input = input;
    }

    /// Answers and refuses what is to be.
    fn serve(&mut self) {
        loop {
            match self.need().act {
                Act::Introduce => self.introduce(),
                Act::Answer => {
                    self.answer();
                    if self.unsure && self.need().act == Act::Answer {
                        return;
                    }
                }
                Act::Refuse(reject) => {
                    let mut output = std::mem::take(&mut self.output);
                    self.on(|c, _, turn| c.refuse(reject, &mut output, turn));
                    self.output = output;
                }
                Act::Store => self.keep(usize::MAX),
                Act::Conclude => self.conclude(Status::CREATED),
                Act::None | Act::Produce | Act::ShutdownWrite | Act::Close(..) => return,
            }
        }
    }

    /// Keeps at most `max` bytes of what stands in the input.
    fn keep(&mut self, max: usize) {
        assert_eq!(self.need().act, Act::Store);
        self.feed(max);
    }

    /// Nothing happens until a deadline.
    fn wait(&mut self, deadlines: &mut usize) {
        *deadlines += 1;
        self.now = self.now.max(self.until().0);
        self.tick();
        assert!(
            self.until() > Ms(self.now) || self.need().act != Act::None,
            "{:?}",
            self.c
        );
    }

    /// Takes at most `max` bytes of the body.
    fn feed(&mut self, max: usize) {
        let content = self.c.content(&self.input);
        let n = content.len().min(max);
        self.kept.extend_from_slice(&content[..n]);
        let input = std::mem::take(&mut self.input);
        self.on(|c, _, turn| c.stored(n, &input, turn));
        self.input = input;
    }

    /// Answers at the end of a body that is kept.
    fn conclude(&mut self, status: Status) {
        let turn = Turn {
            now: Ms(self.now),
            wall: None,
            limits: &self.limits,
            stopping: self.stopping,
        };
        let mut reply = self.c.reply(&mut self.output);
        reply.status(status);
        let content = match status.code() {
            400.. => Content::Page,
            _ => Content::Empty,
        };
        let taken = self.c.concluded(reply, content, &self.input, &turn);
        assert!(matches!(taken, Taken::Yes { .. }), "{taken:?}");
        self.answers += 1;
    }

    /// Takes the preface; one client in three has its share of connections already.
    fn introduce(&mut self) {
        let input = std::mem::take(&mut self.input);
        let client = self.on(|c, _, turn| c.introduce(&input, turn));
        self.input = input;
        if client.is_some() && self.now % 3 == 0 {
            self.on(|c, _, turn| c.turn_away(turn));
        }
    }

    fn answer(&mut self) {
        let turn = Turn {
            now: Ms(self.now),
            wall: None,
            limits: &self.limits,
            stopping: self.stopping,
        };
        let mut fields = [NO_FIELD; FIELDS_MAX];
        let request = self.c.request(&self.input, &mut fields, &self.limits);
        let request = match request {
            Ok(request) => request,
            Err(reject) => {
                self.c.refuse(reject, &mut self.output, &turn);
                return;
            }
        };
        let (verdict, method, target) = (request.verdict, request.method, request.target);
        if !self.c.may_join(&request) {
            return;
        }
        if self.unsure {
            self.c.await_verdict(&turn);
            return;
        }
        let path = match target {
            Target::Path { path, .. } => path,
            Target::Asterisk | Target::Authority => b"*",
        };
        if (method, path) == (Method::Put, b"/keep") && verdict.framing != Framing::None {
            self.kept.clear();
            let taken = self.c.await_store(&verdict, self.most, &self.input, &turn);
            assert_eq!(taken, Taken::Body);
            return;
        }
        if path == b"/run" {
            let most = self.most;
            let taken = self.c.await_script(&verdict, most, &self.input, &turn);
            assert_eq!(taken, Taken::Body);
            return;
        }
        if path == b"/queue" && self.full {
            self.c.await_place(&turn);
            self.full = self.c.state() != State::Queue;
            return;
        }
        let mut reply = self.c.reply(&mut self.output);
        let content = site(method, path, (self.file, self.declared), &mut reply);
        let taken = self
            .c
            .answered(&verdict, reply, content, &self.input, &turn);
        if let Taken::Yes { file, pieces, .. } = taken {
            self.answers += 1;
            if pieces {
                self.pieces = self.script.clone();
            }
            let room = self.c.room(&mut self.output);
            if (1..=16).contains(&file) && room.len() > 16 {
                let n = usize::try_from(file).unwrap();
                room[..n].fill(b'f');
                self.c.inlined(n);
            }
        }
    }

    /// Makes the next piece, of the letter p; the last of them ends it.
    fn produce(&mut self) {
        assert_eq!(self.need().act, Act::Produce);
        assert_eq!(self.need().write, Write::Nothing);
        let (bytes, file_bytes) = self.pieces.remove(0);
        let last = self.pieces.is_empty();
        self.piece(bytes, file_bytes, last);
    }

    /// Hands over a piece.
    fn piece(&mut self, bytes: usize, file_bytes: u64, last: bool) {
        let mut output = std::mem::take(&mut self.output);
        self.c.room_for_piece(&mut output)[..bytes].fill(b'p');
        self.on(|c, _, turn| c.produced(bytes, file_bytes, last, &mut output, turn));
        self.output = output;
    }

    /// The kernel takes at most `max` bytes.
    fn send(&mut self, max: usize) {
        let n = match self.need().write {
            Write::Nothing => panic!("nothing to send in {:?}", self.c.state()),
            Write::Bytes { .. } => {
                let bytes = self.c.sendable(&self.output);
                let n = bytes.len().min(max);
                self.out.extend_from_slice(&bytes[..n]);
                n
            }
            Write::File(owed) => max.min(usize::try_from(owed).unwrap()),
        };
        self.queues.unacknowledged += u32::try_from(n).unwrap();
        self.on(|c, _, turn| c.sent(n, turn));
    }

    /// Everything is sent and acknowledged.
    fn flush(&mut self) {
        while self.need().write != Write::Nothing {
            self.send(usize::MAX);
        }
        self.queues.unacknowledged = 0;
    }

    fn shut(&mut self) {
        assert_eq!(self.need().act, Act::ShutdownWrite);
        assert!(!self.c.holds_bytes());
        self.on(Connection::write_shut);
    }

    fn discard(&mut self, n: u64) {
        match self.need().read {
            Read::Discard(max) => assert!(n <= max, "{n} of {max}"),
            other => panic!("{other:?} in {:?}", self.c.state()),
        }
        self.on(|c, _, turn| c.discarded(n, turn));
    }

    fn tick(&mut self) {
        self.on(Connection::tick);
    }

    fn pass(&mut self, ms: u32) {
        self.now += u64::from(ms);
        self.tick();
    }

    fn fin(&mut self) {
        self.on(Connection::peer_eof);
    }

    fn state(&self) -> State {
        self.c.state()
    }

    #[track_caller]
    fn assert_over(&self, reason: CloseReason, how: How) {
        assert_eq!(self.need().act, Act::Close(reason, how));
        assert_eq!(self.state(), State::Closed);
        assert!(!self.c.holds_bytes());
        assert_eq!(self.c.file_owed(), 0);
    }

    /// A peer whose last response is on its way: 200 bytes are not acknowledged.
    fn lingering(request: &[u8]) -> Self {
        let mut p = Self::new();
        p.recv(request);
        p.serve();
        while p.state() == State::Respond {
            p.send(usize::MAX);
        }
        p.queues.unacknowledged = 200;
        p.shut();
        assert_eq!(p.state(), State::Linger);
        p
    }

    /// A peer whose request waits for the verdict on its credentials.
    fn verifying(request: &[u8]) -> Self {
        let mut p = Self::new();
        p.unsure = true;
        p.recv(request);
        p.serve();
        assert_eq!(p.state(), State::Verify);
        p
    }

    /// A peer that was refused and sends the rest of its body.
    fn resting() -> Self {
        let mut p = Self::new();
        p.recv(UNWANTED);
        p.serve();
        p.flush();
        assert_eq!(p.state(), State::Rest);
        p
    }

    fn answered(&self, status: &str) -> bool {
        let line = format!("HTTP/1.1 {status} ");
        self.out.windows(line.len()).any(|w| w == line.as_bytes())
    }
}

#[test]
fn a_connection_is_small() {
    let bytes = size_of::<Connection>();
    assert!(bytes <= 224, "{bytes} bytes: the slot is to stay below 256");
}

// ---- Idle ------------------------------------------------------------------------------------

#[test]
fn idle_a_silent_new_client_is_let_go_without_an_answer() {
    let mut p = Peer::new();
    assert_eq!(p.need().read, Read::Into);
    assert_eq!(p.until(), Ms(p.now).after(p.limits.head_ms));
    p.pass(p.limits.head_ms - 1);
    assert_eq!(p.state(), State::Idle);
    p.pass(1);
    p.shut();
    assert!(p.out.is_empty());
    p.assert_over(CloseReason::Acked, How::Plain);
}

#[test]
fn idle_a_request_that_crosses_our_fin_is_read_off_until_the_fin_is_acknowledged() {
    let mut p = Peer::new();
    p.recv(GET);
    p.serve();
    p.flush();
    assert_eq!(p.state(), State::Idle);
    assert_eq!(p.until(), Ms(p.now).after(p.limits.keepalive_idle_ms));
    p.pass(p.limits.keepalive_idle_ms);
    p.queues = Queues {
        unacknowledged: 1,
        unread: 27,
        rto_ms: 0,
    };
    p.shut();
    p.discard(27);
    p.queues = Queues::default();
    p.tick();
    assert_eq!(p.state(), State::Linger, "more may be on its way");
    p.fin();
    p.assert_over(CloseReason::PeerFin, How::Plain);
}

#[test]
fn idle_stop_says_goodbye_and_evict_closes() {
    let mut p = Peer::new();
    p.on(Connection::stop);
    p.shut();
    p.assert_over(CloseReason::Acked, How::Plain);

    // Our FIN alone is bounded, too: the client may be gone.
    for unacknowledged in [0, 9] {
        let mut p = Peer::new();
        p.queues.unacknowledged = unacknowledged;
        p.on(Connection::evict);
        p.assert_over(CloseReason::Evicted, How::Bounded(p.limits.orphan_ms));
    }
}

// ---- Head ------------------------------------------------------------------------------------

#[test]
fn head_one_byte_a_second_does_not_move_the_deadline() {
    let mut p = Peer::new();
    for byte in b"GET / HTTP" {
        p.recv(&[*byte]);
        assert_eq!(p.need().act, Act::None);
        p.pass(1000);
    }
    assert_eq!(p.need().act, Act::Refuse(Reject::LateHead));
    assert_eq!(p.need().read, Read::Nothing);
    p.serve();
    p.flush();
    assert!(p.answered("408"));
    p.shut();
    assert_eq!(p.state(), State::Linger, "the rest of it may still come");
    p.fin();
    p.assert_over(CloseReason::PeerFin, How::Plain);
}

#[test]
fn head_a_whole_one_is_answered_whatever_follows() {
    for teardown in Teardown::ALL {
        let mut p = Peer::with(teardown, Limits::new());
        p.recv(GET);
        assert_eq!(p.need().read, Read::Nothing);
        p.fin();
        p.pass(p.limits.head_ms);
        assert_eq!(p.need().act, Act::Answer, "{teardown:?}");
        p.serve();
        p.flush();
        assert!(p.answered("200"));
    }
}

#[test]
fn head_input_behind_a_whole_one_changes_nothing() {
    let mut p = Peer::new();
    p.recv(GET);
    // A shell that reads although nothing is to be read.
    let n = GET.len();
    p.input[n..2 * n].copy_from_slice(GET);
    let input = p.input.clone();
    p.on(|c, _, turn| c.received(n, &input, turn));
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
}

#[test]
fn head_with_a_whole_line_is_late_like_any_other() {
    let mut p = Peer::new();
    p.recv(b"GET / HTTP/1.1\r\n");
    p.pass(p.limits.head_ms);
    assert_eq!(p.need().act, Act::Refuse(Reject::LateHead));
}

#[test]
fn head_gives_way_with_408() {
    let mut p = Peer::new();
    p.recv(b"GET / HT");
    assert_eq!(p.c.progress(), 8);
    p.on(|c, _, turn| c.give_way(turn));
    p.serve();
    p.flush();
    assert!(p.answered("408"));
}

#[test]
fn head_progress_does_not_count_the_body_before() {
    let mut p = Peer::new();
    p.recv(b"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    p.serve();
    p.discard(59_000);
    assert_eq!(p.c.progress(), 59_000);
    p.discard(1000);
    p.flush();
    p.recv(b"GE");
    assert_eq!(p.c.progress(), 2);
}

// ---- Body ------------------------------------------------------------------------------------

const POST: &[u8] = b"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n";
const CHUNKED: &[u8] = b"POST /in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const EXPECT: &[u8] =
    b"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn body_a_discarded_one_is_answered_once_and_the_next_request_is_served() {
    let mut p = Peer::new();
    p.recv(POST);
    p.serve();
    assert_eq!(p.state(), State::Body);
    assert_eq!(p.need().write, Write::Nothing);
    p.discard(50_000);
    assert_eq!(p.need().act, Act::None);
    p.serve();
    p.flush();
    assert_eq!((p.state(), p.answers), (State::Idle, 1));
    p.recv(GET);
    p.serve();
    p.flush();
    assert_eq!((p.state(), p.answers), (State::Idle, 2));
    assert!(!p.answered("400"));
}

#[test]
fn body_below_the_minimum_rate_is_late() {
    let mut p = Peer::new();
    p.recv(POST);
    p.serve();
    let window = p.limits.body_window_ms;
    p.discard(1024);
    p.pass(window);
    assert_eq!(p.need().act, Act::None);
    p.discard(1023);
    p.pass(window);
    assert_eq!(p.need().act, Act::Refuse(Reject::LateBody));
    p.serve();
    p.flush();
    assert!(p.answered("408") && !p.answered("200"));
    p.shut();
    p.discard(50_000 - 2047);
    p.tick();
    p.assert_over(CloseReason::Drained, How::Plain);
}

#[test]
fn body_a_refusal_that_waits_for_a_buffer_stays_what_it_is() {
    let mut p = Peer::new();
    p.recv(POST);
    p.serve();
    p.on(|c, _, turn| c.give_way(turn));
    p.pass(p.limits.body_window_ms);
    assert_eq!(p.need().act, Act::Refuse(Reject::GaveWay));
    p.fin();
    assert_eq!(p.need().act, Act::Refuse(Reject::GaveWay), "a half-close");
    p.serve();
    p.flush();
    assert!(p.answered("408"));
}

#[test]
fn body_has_a_total_time_at_any_rate() {
    let mut p = Peer::new();
    p.recv(POST);
    p.serve();
    let start = p.now;
    while p.need().act == Act::None {
        p.discard(2000);
        p.now = p.until().0;
        p.tick();
    }
    assert_eq!(p.now - start, u64::from(p.limits.body_ms));
    assert_eq!(p.need().act, Act::Refuse(Reject::LateBody));
}

#[test]
fn body_chunked_beyond_the_limit_is_refused_and_read_off() {
    let mut p = Peer::new();
    p.limits.body_bytes = 10;
    p.recv(CHUNKED);
    p.serve();
    p.recv(b"A\r\n0123456789\r\n");
    assert_eq!(p.need().act, Act::None);
    p.recv(b"1\r\nx\r\n0\r\n\r\n");
    assert_eq!(p.need().act, Act::Refuse(Reject::BodyTooLarge));
    p.serve();
    p.flush();
    assert!(p.answered("413") && !p.answered("200"));
    p.shut();
    assert!(matches!(p.need().read, Read::Discard(_)));
}

#[test]
fn body_by_length_beyond_the_limit_is_answered_at_once_and_its_rest_is_booked() {
    let mut p = Peer::new();
    let head = b"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    p.recv(&[&head[..], &[b'x'; 1000]].concat());
    p.serve();
    assert_eq!(p.state(), State::Respond);
    assert!(
        !p.need().write.eq(&Write::Nothing),
        "answered before it is read"
    );
    p.discard(99_000); // beside the answer: a client that sends all before it reads
    p.flush();
    assert!(p.answered("413"));
    p.shut();
    p.discard(899_999);
    p.tick();
    assert_eq!(p.state(), State::Linger);
    p.discard(1);
    p.queues.unread = 1;
    p.tick();
    assert_eq!(p.state(), State::Linger, "something else is queued");
    p.queues.unread = 0;
    p.queues.unacknowledged = 1;
    p.tick();
    assert_eq!(p.state(), State::Linger, "not delivered yet");
    p.queues.unacknowledged = 0;
    p.tick();
    p.assert_over(CloseReason::Drained, How::Plain);
}

#[test]
fn body_expect_100_is_sent_before_it_and_only_then() {
    let mut p = Peer::new();
    p.recv(EXPECT);
    p.serve();
    p.send(usize::MAX);
    assert_eq!(p.out, CONTINUE);
    assert_eq!(p.need().write, Write::Nothing);
    p.discard(5);
    p.flush();
    assert!(p.answered("200"));
    assert_eq!(p.state(), State::Idle);

    let mut p = Peer::new();
    p.recv(EXPECT);
    p.serve();
    p.discard(5); // it did not wait
    p.flush();
    assert!(!p.answered("100"));
}

#[test]
fn body_half_an_interim_is_completed_whatever_follows() {
    let mut p = Peer::new();
    p.recv(&EXPECT.replace_length());
    p.serve();
    p.send(10);
    p.recv(&[b"5\r\nhello\r\n0\r\n\r\n", GET].concat());
    p.serve(); // the GET joins
    assert_eq!(p.answers, 2);
    p.flush();
    assert!(p.out.starts_with(CONTINUE));
    assert!(p.out[CONTINUE.len()..].starts_with(b"HTTP/1.1 200 OK\r\n"));

    let mut p = Peer::new();
    p.recv(EXPECT);
    p.serve();
    p.send(10);
    p.pass(p.limits.body_window_ms);
    p.serve();
    p.flush();
    assert!(p.out.starts_with(CONTINUE));
    assert!(p.out[CONTINUE.len()..].starts_with(b"HTTP/1.1 408 "));
}

trait ReplaceLength {
    fn replace_length(&self) -> Vec<u8>;
}

impl ReplaceLength for [u8] {
    /// The same request with a chunked body.
    fn replace_length(&self) -> Vec<u8> {
        String::from_utf8_lossy(self)
            .replace("Content-Length: 5", "Transfer-Encoding: chunked")
            .into_bytes()
    }
}

#[test]
fn body_a_shrunken_file_ends_it_before_anything_was_sent() {
    let mut p = Peer::new();
    p.file = 1_000_000;
    p.recv(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    p.serve();
    assert_eq!((p.state(), p.c.file_owed()), (State::Body, 1_000_000));
    p.on(|c, _, turn| c.truncated(turn));
    p.assert_over(CloseReason::FileShrank, How::Reset);
}

// ---- Respond ---------------------------------------------------------------------------------

#[test]
fn respond_a_pipeline_is_gathered_into_one_output() {
    let mut p = Peer::new();
    p.recv(&GET.repeat(20));
    p.serve();
    assert_eq!(p.answers, 20);
    assert!(p.out.is_empty());
    p.flush();
    assert_eq!(p.state(), State::Idle);
}

#[test]
fn respond_the_50th_of_100_is_bad() {
    let mut p = Peer::new();
    p.recv(&[&GET.repeat(49)[..], b"BAD\r\n\r\n", &GET.repeat(50)].concat());
    while p.state() != State::Linger {
        p.serve();
        p.flush();
    }
    let text = String::from_utf8(p.out.clone()).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 49);
    assert_eq!(text.matches("HTTP/1.1 ").count(), 50);
    assert!(text.rsplit("HTTP/1.1 ").next().unwrap().starts_with("400"));
    assert_eq!(p.answers, 49);
}

#[test]
fn respond_an_answer_that_does_not_fit_waits_and_leaves_no_trace() {
    let mut p = Peer::new();
    let long = b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n";
    p.recv(&[&long[..], long, GET].concat());
    p.serve();
    assert_eq!((p.answers, p.need().act), (1, Act::None));
    let first = p.c.sendable(&p.output).len();
    p.send(first - 1);
    assert_eq!(p.need().act, Act::None, "not while a byte of it is left");
    p.send(1);
    assert_eq!((p.state(), p.need().act), (State::Head, Act::Answer));
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (3, State::Idle));
    assert_eq!(p.out.windows(9).filter(|w| w == b"HTTP/1.1 ").count(), 3);
}

#[test]
fn respond_a_refusal_that_does_not_fit_waits_too() {
    let mut p = Peer::new();
    p.output = vec![0; 5300];
    p.recv(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n");
    p.serve();
    assert_eq!((p.answers, p.need().act), (1, Act::None));
    p.flush();
    assert_eq!(p.need().act, Act::Refuse(Reject::BadRequestLine));
    p.serve();
    p.flush();
    assert!(p.answered("400"));
}

#[test]
fn respond_an_answer_that_never_fits_is_our_fault_and_is_said_so() {
    let mut p = Peer::new();
    p.output = vec![0; 1024];
    p.recv(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    p.serve();
    p.flush();
    assert!(p.answered("500"));
    assert_eq!(p.c.take_misuse(), Some(Misuse::ReplyOverflow));
    assert_eq!(p.c.take_misuse(), None);
}

#[test]
fn respond_a_body_waits_for_the_answers_before_it() {
    let mut p = Peer::new();
    p.recv(
        &[
            GET,
            b"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
            GET,
        ]
        .concat(),
    );
    p.serve();
    assert_eq!(p.answers, 1);
    p.flush();
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (3, State::Idle));
}

#[test]
fn respond_a_file_is_owed_and_its_head_says_more() {
    let mut p = Peer::new();
    p.file = 100_000;
    p.recv(&[GET, GET].concat());
    p.serve();
    assert_eq!(p.need().write, Write::Bytes { more: true });
    p.send(usize::MAX);
    assert_eq!(p.need().write, Write::File(100_000));
    assert_eq!(p.answers, 1, "the second waits for the file");
    p.send(60_000);
    assert_eq!(p.c.file_owed(), 40_000);
    p.on(|c, _, turn| c.truncated(turn));
    p.assert_over(CloseReason::FileShrank, How::Reset);
}

#[test]
fn respond_the_last_answer_is_held_for_the_fin_that_follows_at_once() {
    let held = |p: &Peer| p.need().write == Write::Bytes { more: true };
    let mut p = Peer::new();
    p.recv(&[GET, LAST].concat());
    p.serve();
    assert_eq!(p.answers, 2);
    assert!(held(&p));
    p.send(10);
    assert!(held(&p));
    p.send(usize::MAX);
    assert_eq!(p.need().act, Act::ShutdownWrite);
    // Nothing follows that has come to its end, either.
    let mut p = Peer::new();
    p.recv(&[GET, &GET[..5]].concat());
    p.fin();
    p.serve();
    assert!(held(&p));
    p.send(usize::MAX);
    assert_eq!(p.need().act, Act::ShutdownWrite);
    // Who stays has it now, and so has whom close(2) could take it from.
    let mut p = Peer::new();
    p.recv(&[GET, &GET[..5]].concat());
    p.serve();
    assert!(!held(&p));
    for teardown in [Teardown::Plain, Teardown::SoLinger] {
        let mut p = Peer::with(teardown, Limits::new());
        p.recv(LAST);
        p.serve();
        assert!(!held(&p));
    }
}

#[test]
fn respond_the_last_of_the_request_limit_says_close_and_waits_for_more() {
    let mut p = Peer::new();
    p.limits.keepalive_requests = 2;
    p.recv(&GET.repeat(3));
    p.serve();
    p.flush();
    assert_eq!(p.answers, 2);
    let text = String::from_utf8(p.out.clone()).unwrap();
    assert_eq!(text.matches("Connection: close").count(), 1);
    p.shut();
    assert_eq!(
        p.state(),
        State::Linger,
        "a client that wanted to stay may send more"
    );
    p.fin();
    p.assert_over(CloseReason::PeerFin, How::Plain);
}

#[test]
fn respond_keepalive_off_sends_away_and_waits_for_more() {
    let mut p = Peer::new();
    p.limits.keepalive = false;
    p.recv(GET);
    p.serve();
    p.flush();
    p.shut();
    assert_eq!(p.state(), State::Linger);
}

#[test]
fn respond_stopping_announces_the_close_and_says_goodbye_behind_what_was_promised() {
    let mut p = Peer::new();
    p.stopping = true;
    p.recv(GET);
    p.serve();
    p.flush();
    assert!(p.out.windows(17).any(|w| w == b"Connection: close"));

    let mut p = Peer::new();
    p.recv(GET);
    p.serve();
    p.stopping = true;
    p.on(Connection::stop);
    assert_eq!(p.state(), State::Respond);
    p.flush();
    // A request that has come meanwhile is still served.
    p.queues.unread = 1;
    p.on(Connection::stop);
    assert_eq!(p.state(), State::Idle);
    p.queues.unread = 0;
    p.on(Connection::stop);
    p.shut();
    p.assert_over(CloseReason::Acked, How::Plain);
}

#[test]
fn respond_stopping_keeps_what_was_promised_until_the_next_answer() {
    let mut p = Peer::new();
    p.recv(GET);
    p.serve();
    p.stopping = true;
    p.flush();
    assert_eq!(p.state(), State::Idle);
    assert!(!p.out.windows(17).any(|w| w == b"Connection: close"));
    p.recv(GET);
    p.serve();
    p.flush();
    assert!(p.out.windows(17).any(|w| w == b"Connection: close"));
    p.shut();
    assert_eq!(p.state(), State::Linger);
}

#[test]
fn respond_a_half_close_is_answered_and_ends_it() {
    for teardown in Teardown::ALL {
        let mut p = Peer::with(teardown, Limits::new());
        p.recv(&[GET, GET, b"GET /"].concat());
        p.serve();
        p.fin();
        assert_eq!(p.state(), State::Respond);
        p.flush();
        assert_eq!(p.answers, 2);
        match teardown {
            Teardown::Linger => {
                p.shut();
                p.assert_over(CloseReason::PeerFin, How::Plain);
            }
            Teardown::SoLinger => {
                p.shut();
                p.assert_over(CloseReason::Acked, How::KernelLinger(p.limits.so_linger_s));
            }
            Teardown::Plain => {
                p.assert_over(CloseReason::Plain, How::Bounded(p.limits.orphan_ms));
            }
        }
    }
}

#[test]
fn respond_without_an_acknowledgement_is_stuck_and_with_one_is_not() {
    let mut p = Peer::new();
    p.file = 1_000_000;
    p.recv(GET);
    p.serve();
    p.send(usize::MAX);
    p.send(30_000);
    let write_ms = p.limits.write_ms;
    for _ in 0..5 {
        p.queues.unacknowledged -= 1;
        p.pass(write_ms);
        assert_eq!(p.state(), State::Respond);
        assert!(p.until() > Ms(p.now));
    }
    p.pass(write_ms - 1);
    assert_eq!(p.state(), State::Respond);
    p.pass(1);
    p.assert_over(CloseReason::TimeoutWrite, How::Reset);
}

#[test]
fn respond_is_looked_at_four_times_and_a_fin_gives_it_no_more_time() {
    let mut p = Peer::new();
    p.file = 1_000_000;
    p.recv(GET);
    p.serve();
    p.send(usize::MAX);
    let (began, write_ms) = (p.now, u64::from(p.limits.write_ms));
    assert_eq!(p.until(), Ms(began + write_ms / 4));
    p.tick(); // all of it is on its way, and none of it acknowledged
    for look in 1..=4 {
        assert_eq!(p.until(), Ms(began + look * write_ms / 4));
        p.pass(p.limits.write_ms / 4);
        if look == 2 {
            p.fin();
        }
    }
    p.assert_over(CloseReason::TimeoutWrite, How::Reset);
}

#[test]
fn respond_older_bytes_on_their_way_are_progress_too() {
    let mut p = Peer::new();
    p.file = 30_000;
    p.recv(GET);
    p.serve();
    p.send(usize::MAX);
    p.send(30_000);
    assert_eq!(p.state(), State::Idle);
    p.file = 1_000_000;
    p.recv(GET);
    p.serve();
    // The kernel is still full of the first response, of which little is acknowledged.
    p.queues.unacknowledged -= 1000;
    p.pass(p.limits.write_ms);
    assert_eq!(p.state(), State::Respond);
    p.queues.unacknowledged -= 1000;
    p.pass(p.limits.write_ms);
    assert_eq!(p.state(), State::Respond);
    p.pass(p.limits.write_ms);
    p.assert_over(CloseReason::TimeoutWrite, How::Reset);
}

// ---- a FIN, and what closes from outside, in every state ----------------------------------------

/// One peer in each live state.
fn in_each_state() -> Vec<Peer> {
    let mut head = Peer::new();
    head.recv(b"GET /");
    let verify = Peer::verifying(GET);
    let mut body = Peer::new();
    body.recv(POST);
    body.serve();
    let mut respond = Peer::new();
    respond.recv(GET);
    respond.serve();
    let rest = Peer::resting();
    let lingering = Peer::lingering(LAST);
    let store = store::storing(store::PUT);
    let mut peers = vec![
        Peer::new(),
        head,
        verify,
        script::queued(),
        body,
        store,
        script::running(script::BODY),
        script::relaying(),
        respond,
        rest,
        lingering,
    ];
    for (peer, state) in peers.iter_mut().zip(State::ALL) {
        assert_eq!(peer.state(), state);
        peer.queues = Queues::default();
    }
    peers
}

#[test]
fn a_fin_ends_what_has_no_answer_owed() {
    for unacknowledged in [0, 7] {
        for mut p in in_each_state() {
            let state = p.state();
            p.queues.unacknowledged = unacknowledged;
            p.fin();
            match (state, unacknowledged) {
                (State::Verify | State::Queue | State::Respond, _) => {
                    assert_eq!(p.state(), state);
                }
                (State::Relay, _) => assert_eq!(p.state(), State::Respond),
                (_, 0) => p.assert_over(CloseReason::PeerFin, How::Plain),
                (State::Linger, _) => assert_eq!(p.state(), State::Linger),
                (_, _) => {
                    p.shut();
                    assert_eq!(p.need().read, Read::Nothing);
                    p.queues.unacknowledged = 0;
                    p.tick();
                    p.assert_over(CloseReason::PeerFin, How::Plain);
                }
            }
        }
    }
}

#[test]
fn broken_and_cut_end_every_state_with_their_reason_and_once() {
    for (mut broken, mut cut) in in_each_state().into_iter().zip(in_each_state()) {
        let how = match broken.state() {
            State::Relay | State::Respond => How::Reset,
            _ => How::Plain,
        };
        broken.on(|c, _, turn| c.broken(turn));
        broken.assert_over(CloseReason::ResetByPeer, how);
        cut.queues.unacknowledged = 1;
        cut.on(Connection::cut);
        cut.assert_over(CloseReason::Stopped, How::Reset);
        // News of a connection that is over change nothing.
        cut.on(|c, _, turn| c.broken(turn));
        cut.fin();
        cut.tick();
        cut.on(Connection::stop);
        cut.assert_over(CloseReason::Stopped, How::Reset);
        assert_eq!(cut.c.take_misuse(), None);
    }
}

#[test]
fn stop_and_give_way_touch_only_who_may_be_touched() {
    for mut p in in_each_state() {
        let state = p.state();
        p.on(Connection::stop);
        let after = match state {
            State::Idle | State::Rest => State::Linger,
            other => other,
        };
        assert_eq!(p.state(), after);
    }
    for mut p in in_each_state() {
        p.on(|c, _, turn| c.give_way(turn));
        let gives_way = matches!(p.state(), State::Head | State::Body | State::Store);
        assert_eq!(p.need().act == Act::Refuse(Reject::GaveWay), gives_way);
        assert_ne!(p.state(), State::Rest);
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "a debug assertion")]
#[should_panic(expected = "NoTransition in Head")]
fn evicting_a_head_is_a_fault() {
    let mut p = Peer::new();
    p.recv(b"GET");
    p.on(Connection::evict);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "a debug assertion")]
#[should_panic(expected = "Overrun in Idle")]
fn more_bytes_than_offered_are_a_fault() {
    let mut p = Peer::new();
    p.on(|c, _, turn| c.received(9000, &[0; 8192], turn));
}

#[test]
fn blank_lines_behind_a_request_end_as_an_idle_connection_does() {
    let mut p = Peer::new();
    p.recv(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    p.serve();
    p.flush();
    p.out.clear();
    p.recv(b"\r\n");
    p.now = p.until().0;
    p.tick();
    assert_eq!(
        (p.state(), p.need().act),
        (State::Linger, Act::ShutdownWrite)
    );
    assert!(p.out.is_empty(), "no 408 for nothing");
}

#[test]
fn a_refusal_after_a_head_request_has_its_content() {
    let mut p = Peer::new();
    p.recv(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    p.serve();
    p.flush();
    p.out.clear();
    p.recv(b"GET / HTTP/1.1\r\nHo");
    p.now = p.until().0;
    p.tick();
    p.serve();
    p.flush();
    assert!(p.answered("408"));
    let text = String::from_utf8_lossy(&p.out).into_owned();
    assert!(text.ends_with("</h1>\n"), "{text}");
}

#[test]
fn requests_behind_a_file_are_written_off_when_their_buffer_is_needed() {
    let mut p = Peer::new();
    p.file = 100_000;
    p.recv(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT");
    p.serve();
    p.send(usize::MAX); // the head; the file flows
    assert!(p.c.holds_only_requests());
    p.on(|c, _, turn| c.write_off_requests(turn));
    assert!(!p.c.holds_bytes());
    p.send(100_000);
    assert_eq!(
        (p.state(), p.need().act),
        (State::Linger, Act::ShutdownWrite)
    );
}

// ---- Respond, piece by piece -----------------------------------------------------------------

// ---- Rest: a body that is not wanted -----------------------------------------------------------

const UNWANTED: &[u8] = b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n";

#[test]
fn rest_a_refused_body_is_answered_at_once_and_the_connection_goes_on() {
    let mut p = Peer::new();
    p.recv(&[UNWANTED, &[b'u'; 1000]].concat());
    p.serve();
    // Beside the answer, so that a client that sends everything first is not left blocked.
    assert_eq!(
        (p.state(), p.need().read),
        (State::Respond, Read::Discard(49_000))
    );
    p.discard(9_000);
    p.flush();
    assert!(p.answered("404") && !p.answered("100"));
    assert_eq!(
        (p.state(), p.need().read),
        (State::Rest, Read::Discard(40_000))
    );
    assert!(!p.c.holds_bytes());
    p.discard(39_999);
    assert_eq!(p.state(), State::Rest);
    p.discard(1);
    assert_eq!(p.state(), State::Idle);
    p.recv(GET);
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
}

#[test]
fn rest_a_body_that_is_over_before_the_answer_has_left_leaves_nothing_to_read() {
    let mut p = Peer::new();
    p.recv(UNWANTED);
    p.serve();
    p.discard(50_000);
    assert_eq!((p.state(), p.need().read), (State::Respond, Read::Nothing));
    p.flush();
    assert_eq!(p.state(), State::Idle);
    p.recv(GET);
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
}

#[test]
fn rest_has_come_as_far_as_the_body_that_came_with_the_head() {
    let mut p = Peer::new();
    p.recv(&[UNWANTED, &[b'x'; 3000]].concat());
    p.serve();
    p.flush();
    assert_eq!((p.state(), p.c.progress()), (State::Rest, 3000));
    // The rate is measured from there.
    p.discard(1023);
    p.pass(p.limits.body_window_ms);
    assert_eq!(p.need().act, Act::ShutdownWrite);
}

#[test]
fn rest_what_stands_behind_the_body_is_the_next_request_and_no_byte_of_the_body_is() {
    let mut p = Peer::new();
    let short = b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\n";
    p.recv(&[short, GET, GET].concat());
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
    assert!(p.answered("404") && p.answered("200"));
}

#[test]
fn rest_a_client_that_says_close_or_expects_gets_the_answer_and_the_goodbye() {
    for field in ["Connection: close", "Expect: 100-continue"] {
        let mut p = Peer::new();
        let head =
            format!("POST /no HTTP/1.1\r\nHost: a\r\n{field}\r\nContent-Length: 50000\r\n\r\n");
        p.recv(head.as_bytes());
        p.serve();
        p.flush();
        p.shut();
        assert_eq!(p.need().read, Read::Discard(50_000 + 64 * 1024), "{field}");
    }
}

#[test]
fn rest_a_body_that_does_not_come_ends_in_the_goodbye() {
    for teardown in Teardown::ALL {
        let mut p = Peer::with(teardown, Limits::new());
        p.recv(UNWANTED);
        p.serve();
        p.flush();
        p.pass(p.limits.body_window_ms - 1);
        assert_eq!(p.state(), State::Rest);
        p.discard(u64::from(p.limits.body_window_bytes));
        p.pass(1);
        assert_eq!(p.state(), State::Rest, "at the lowest rate it may go on");
        p.pass(p.limits.body_window_ms);
        match teardown {
            Teardown::Plain => assert_eq!(p.state(), State::Closed),
            Teardown::Linger | Teardown::SoLinger => assert_eq!(p.state(), State::Linger),
        }
        assert!(p.answered("404") && !p.answered("408"));
    }
    let mut p = Peer::resting();
    let begun = p.now;
    while p.state() == State::Rest {
        p.discard(1024);
        p.pass(p.limits.body_window_ms);
        assert!(
            p.now - begun <= u64::from(p.limits.body_ms),
            "it has a total"
        );
    }
}

#[test]
fn rest_a_stop_does_not_wait_for_the_body() {
    let mut p = Peer::resting();
    p.stopping = true;
    p.on(Connection::stop);
    p.shut();
    assert_eq!(p.need().read, Read::Discard(50_000 + 64 * 1024));
}

// ---- Verify: credentials that are looked at elsewhere -------------------------------------------

#[test]
fn verify_a_request_waits_in_its_buffer_and_is_asked_about_once_more() {
    let mut p = Peer::verifying(&[UNWANTED, &[b'u'; 5000]].concat());
    assert!(p.c.holds_bytes());
    let need = p.need();
    assert_eq!(
        (need.act, need.read, need.write),
        (Act::None, Read::Nothing, Write::Nothing)
    );
    p.fin();
    assert_eq!(p.state(), State::Verify, "a half-close does not cancel it");
    p.unsure = false;
    assert!(p.on(|c, _, turn| c.verdict(turn)));
    assert_eq!((p.state(), p.need().act), (State::Head, Act::Answer));
    assert!(
        !p.on(|c, _, turn| c.verdict(turn)),
        "it does not wait any more"
    );
    p.serve();
    p.flush();
    assert!(p.answered("404"));
}

#[test]
fn verify_what_stands_before_it_leaves_first() {
    let mut p = Peer::new();
    p.recv(&[GET, GET].concat());
    p.answer();
    p.unsure = true;
    p.serve();
    assert_eq!((p.state(), p.need().act), (State::Respond, Act::None));
    p.flush();
    assert_eq!((p.state(), p.need().act), (State::Head, Act::Answer));
    p.serve();
    assert_eq!(p.state(), State::Verify);
    assert!(p.answered("200"));
}

#[test]
fn verify_nobody_waits_for_ever() {
    let mut p = Peer::verifying(GET);
    assert_eq!(p.until(), Ms(p.now).after(p.limits.verdict_ms));
    p.pass(p.limits.verdict_ms);
    assert_eq!(p.need().act, Act::Refuse(Reject::LateVerdict));
    assert!(!p.on(|c, _, turn| c.verdict(turn)), "it comes too late");
    p.serve();
    p.flush();
    assert!(p.answered("503"));
    p.shut();
}

#[test]
fn verify_all_verdicts_on_a_request_have_one_deadline_and_the_next_request_has_its_own() {
    let mut p = Peer::verifying(&[GET, GET].concat());
    let until = p.until();
    for _ in 0..2 {
        p.pass(p.limits.verdict_ms / 4);
        assert!(p.on(|c, _, turn| c.verdict(turn)));
        p.serve();
        assert_eq!((p.state(), p.until()), (State::Verify, until));
    }
    p.unsure = false;
    assert!(p.on(|c, _, turn| c.verdict(turn)));
    p.answer();
    p.flush();
    assert!(p.answered("200"));
    p.unsure = true;
    p.serve();
    assert_eq!(p.state(), State::Verify);
    assert_eq!(p.until(), Ms(p.now).after(p.limits.verdict_ms));
}

const PIECES: &[u8] = b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n";

/// What was sent behind the last head.
fn content(p: &Peer) -> &[u8] {
    let end = p.out.windows(4).rposition(|w| w == b"\r\n\r\n").unwrap();
    &p.out[end + 4..]
}

#[test]
fn pieces_leave_one_by_one_with_parts_of_the_file_between() {
    let mut p = Peer::of_pieces(&[(100, 5000), (0, 7), (50, 0)], true);
    p.recv(&[PIECES, GET].concat());
    p.serve();
    let held = |more| Write::Bytes { more };
    assert_eq!(p.need().write, held(false), "a piece may take its time");
    p.send(usize::MAX);
    assert!(p.answered("200") && p.out.ends_with(b"Content-Length: 5157\r\n\r\n"));
    p.produce();
    assert_eq!(p.need().act, Act::None);
    assert_eq!(p.need().write, held(true), "the file follows");
    p.send(40);
    p.send(60);
    assert_eq!(p.need().write, Write::File(5000));
    p.send(4000);
    assert_eq!(p.need().act, Act::None, "the rest of the file first");
    p.send(1000);
    p.produce();
    assert_eq!(
        p.need().write,
        Write::File(7),
        "a piece of nothing but file"
    );
    p.send(7);
    assert_eq!(p.answers, 1, "the next request waits");
    p.produce();
    assert!(!p.c.has_pieces());
    assert_eq!(p.need().act, Act::None, "nothing joins the last piece");
    assert_eq!(p.need().write, held(false));
    p.send(usize::MAX);
    assert_eq!(content(&p), [b'p'; 150]);
    assert_eq!((p.state(), p.need().act), (State::Head, Act::Answer));
    p.serve();
    p.flush();
    assert_eq!((p.answers, p.state()), (2, State::Idle));
}

#[test]
fn pieces_hold_no_buffer_between_them_and_give_way_to_nobody() {
    let mut p = Peer::of_pieces(&[(100, 5000), (50, 0)], true);
    p.recv(PIECES);
    p.serve();
    p.send(usize::MAX);
    assert!(!p.c.holds_bytes(), "while its piece is prepared");
    p.on(|c, _, turn| c.give_way(turn));
    p.pass(2000);
    p.queues.unacknowledged = 0;
    let unmoved = p.on(|c, _, turn| c.unmoved_ms(turn));
    assert_eq!(unmoved, 0, "it is we who let it wait");
    p.produce();
    p.send(usize::MAX);
    assert!(!p.c.holds_bytes(), "while the file flows");
    p.send(5000);
    p.produce();
    assert!(p.c.holds_bytes());
}

#[test]
fn pieces_that_we_are_late_with_cut_nobody_off_but_not_for_ever() {
    let write_ms = Limits::new().write_ms;
    let waiting = || {
        let mut p = Peer::of_pieces(&[(100, 0), (100, 0)], false);
        p.recv(PIECES);
        p.serve();
        p.flush();
        p
    };
    // All has arrived, and nothing more comes: a buffer or the shelf is wanted.
    let mut p = waiting();
    for _ in 0..3 {
        p.pass(write_ms);
        assert_eq!(p.need().act, Act::Produce, "it is we who are late");
        assert!(p.until() > Ms(p.now), "and no timer spins");
    }
    // The client has its whole time for the piece, and no more.
    p.produce();
    p.send(usize::MAX);
    p.produce();
    p.pass(write_ms - 1);
    assert_eq!(p.state(), State::Respond);
    p.pass(1);
    p.assert_over(CloseReason::TimeoutWrite, How::Reset);

    let mut p = waiting();
    let mut waited = 0;
    while p.state() == State::Respond {
        let step = u32::try_from(p.until().since(Ms(p.now))).unwrap();
        waited += u64::from(step);
        p.pass(step);
    }
    assert_eq!(waited, u64::from(write_ms) * u64::from(PIECE_WAITS));
    p.assert_over(CloseReason::TimeoutWrite, How::Reset);
}

#[test]
fn chunks_have_their_size_before_them_and_the_last_is_empty() {
    let room = 8192 - 13;
    for size in [1, 9, 10, 15, 16, 255, 256, 4095, 4096, room] {
        let mut p = Peer::of_pieces(&[(size, 0), (1, 0), (0, 0)], false);
        p.recv(PIECES);
        p.serve();
        p.send(usize::MAX);
        assert!(p.out.ends_with(b"Transfer-Encoding: chunked\r\n\r\n"));
        while p.need().act == Act::Produce {
            p.produce();
            p.flush();
        }
        let chunk = format!("{size:x}\r\n{}\r\n1\r\np\r\n0\r\n\r\n", "p".repeat(size));
        let length = chunk.len();
        assert_eq!(p.out[p.out.len() - length..], *chunk.as_bytes());
        assert_eq!(p.state(), State::Idle);
    }
    let mut p = Peer::of_pieces(&[(3, 0)], false);
    p.recv(PIECES);
    p.serve();
    p.send(usize::MAX);
    p.produce();
    p.flush();
    assert!(p.out.ends_with(b"chunked\r\n\r\n3\r\nppp\r\n0\r\n\r\n"));
}

#[test]
fn chunks_come_whole_however_they_are_cut() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..200 {
        let count = 1 + random.below(5);
        let sizes = (0..count).map(|_| 1 + usize::try_from(random.below(8179)).unwrap());
        let mut script: Vec<(usize, u64)> = sizes.map(|size| (size, 0)).collect();
        let chunk = |(size, _): &(usize, u64)| format!("{size:x}\r\n{}\r\n", "p".repeat(*size));
        let expected = script.iter().map(chunk).collect::<String>() + "0\r\n\r\n";
        if random.below(2) == 0 {
            script.push((0, 0));
        }
        let mut p = Peer::of_pieces(&script, false);
        p.recv(PIECES);
        p.serve();
        p.flush();
        p.out.clear();
        while p.state() == State::Respond {
            match p.need().act {
                Act::Produce => p.produce(),
                _ => p.send(1 + usize::try_from(random.below(6000)).unwrap()),
            }
        }
        assert!(p.out == expected.as_bytes(), "{script:?}");
    }
}

#[test]
fn pieces_that_cannot_be_made_end_it_without_looking_whole() {
    for known in [true, false] {
        let mut p = Peer::of_pieces(&[(100, 0), (100, 0)], known);
        p.recv(PIECES);
        p.serve();
        p.flush();
        p.produce();
        p.flush();
        p.on(|c, _, turn| c.truncated(turn));
        p.assert_over(CloseReason::FileShrank, How::Reset);
        assert!(!p.c.has_pieces() && !p.out.ends_with(b"0\r\n\r\n"));
    }
}

#[test]
fn pieces_may_end_with_one_that_is_empty_or_only_a_part_of_the_file() {
    let request = b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut p = Peer::of_pieces(&[(5, 0), (0, 0)], true);
    p.recv(request);
    p.serve();
    p.flush();
    p.produce();
    p.flush();
    p.produce();
    assert_eq!(p.state(), State::Idle, "nothing is left to be sent");

    let mut p = Peer::of_pieces(&[(5, 0), (0, 100)], true);
    p.recv(request);
    p.serve();
    p.flush();
    p.produce();
    p.flush();
    p.produce();
    assert_eq!(p.need().write, Write::File(100));
    p.flush();
    assert_eq!(p.state(), State::Idle);
}

#[test]
fn pieces_to_http_1_0_end_with_the_connection() {
    let mut p = Peer::of_pieces(&[(5, 0), (5, 0)], false);
    p.recv(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    p.serve();
    p.flush();
    for _ in 0..2 {
        assert_eq!(p.state(), State::Respond);
        p.produce();
        p.flush();
    }
    assert!(p.out.ends_with(b"Connection: close\r\n\r\npppppppppp"));
    p.shut();
    assert_eq!(p.state(), State::Linger);
}

#[test]
fn pieces_whose_end_is_the_close_never_look_whole_when_they_are_cut_off() {
    for produced in 0..=2 {
        for stop in [true, false] {
            let mut p = Peer::of_pieces(&[(5, 0), (5, 0)], false);
            p.recv(b"GET /pieces HTTP/1.0\r\n\r\n");
            p.serve();
            p.flush();
            for n in 0..produced {
                p.produce();
                if n == 0 {
                    p.flush();
                }
            }
            p.queues.unacknowledged = 0; // all that was sent has arrived
            assert_eq!(p.state(), State::Respond);
            if stop {
                p.on(Connection::cut);
                p.assert_over(CloseReason::Stopped, How::Reset);
            } else {
                p.on(|c, _, turn| c.broken(turn));
                p.assert_over(CloseReason::ResetByPeer, How::Reset);
            }
        }
    }
}

#[test]
fn pieces_that_are_wrong_are_our_fault_and_reset() {
    // Bytes, bytes of the file, last; of 100 in all if known.
    let wrong = [
        (true, (101, 0, false)),
        (true, (101, 0, true)),
        (true, (99, 0, true)),
        (true, (50, 51, false)),
        (true, (50, u64::MAX, false)),
        (true, (0, 0, false)),
        (true, (0, 0, true)),
        (false, (0, 0, false)),
        (false, (5, 1, false)),
        (false, (5, 1, true)),
    ];
    for (known, (bytes, file, last)) in wrong {
        let mut p = Peer::of_pieces(&[(100, 0)], known);
        p.recv(PIECES);
        p.serve();
        p.flush();
        p.c.take_misuse();
        let call = std::panic::AssertUnwindSafe(|| p.piece(bytes, file, last));
        let loud = std::panic::catch_unwind(call).is_err();
        assert_eq!(loud, cfg!(debug_assertions), "{bytes} {file} {last}");
        if !loud {
            p.assert_over(CloseReason::Fault, How::Reset);
        }
    }
}

#[test]
fn pieces_are_asked_for_only_when_it_is_their_turn() {
    let p = |state: &str| {
        let mut p = Peer::of_pieces(&[(100, 5000), (50, 0)], true);
        p.recv(PIECES);
        p.serve();
        if state == "head" {
            return p;
        }
        p.flush();
        p.produce();
        if state == "file" {
            p.send(usize::MAX);
        }
        p
    };
    for state in ["head", "piece", "file"] {
        let mut p = p(state);
        let call = std::panic::AssertUnwindSafe(|| p.piece(10, 0, false));
        let loud = std::panic::catch_unwind(call).is_err();
        assert_eq!(loud, cfg!(debug_assertions), "{state}");
    }
}

#[test]
fn pieces_whose_request_is_refused_never_begin() {
    let mut p = Peer::of_pieces(&[(100, 0)], true);
    p.recv(b"GET /pieces HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    p.serve();
    assert_eq!((p.state(), p.c.has_pieces()), (State::Body, true));
    assert_eq!(p.need().act, Act::None, "the body first");
    p.pass(p.limits.body_window_ms);
    p.serve();
    assert!(!p.c.has_pieces());
    p.flush();
    assert!(p.answered("408") && !p.answered("200"));
}

// ---- Linger ----------------------------------------------------------------------------------

#[test]
fn linger_is_over_when_all_is_acknowledged_if_the_request_was_the_last() {
    let mut p = Peer::lingering(LAST);
    p.pass(40);
    assert_eq!(p.state(), State::Linger);
    p.queues.unacknowledged = 0;
    p.tick();
    p.assert_over(CloseReason::Acked, How::Plain);
}

#[test]
fn linger_says_of_its_books_what_the_choice_of_whom_to_evict_needs() {
    let mut p = Peer::lingering(LAST);
    let books = |p: &Peer| {
        let linger = p.c.linger();
        (
            linger.acknowledged(),
            linger.unacknowledged(),
            linger.awaits_nothing(),
        )
    };
    assert_eq!(books(&p), (false, 200, true));
    p.queues.unacknowledged = 1;
    p.tick();
    assert_eq!(books(&p), (false, 1, true), "our FIN");
    let mut p = Peer::lingering(b"BAD\r\n\r\n");
    p.queues.unacknowledged = 0;
    p.tick();
    assert_eq!(books(&p), (true, 0, false), "more may come");
}

#[test]
fn linger_a_fin_alone_is_not_enough() {
    let mut p = Peer::lingering(LAST);
    p.fin();
    assert_eq!((p.state(), p.need().read), (State::Linger, Read::Nothing));
    p.pass(1000);
    assert_eq!(p.state(), State::Linger);
    p.queues.unacknowledged = 0;
    p.tick();
    p.assert_over(CloseReason::PeerFin, How::Plain);
}

#[test]
fn linger_a_silent_peer_is_idle_and_what_it_did_not_acknowledge_is_given_up() {
    for (unacknowledged, how) in [(0, How::Plain), (1, How::Reset)] {
        let mut p = Peer::lingering(b"BAD\r\n\r\n");
        p.queues.unacknowledged = unacknowledged; // all, or all but our FIN
        p.tick();
        assert_eq!(p.until(), Ms(p.now).after(p.limits.linger_idle_ms));
        p.pass(p.limits.linger_idle_ms - 1);
        assert_eq!(p.state(), State::Linger);
        p.pass(1);
        p.assert_over(CloseReason::LingerIdle, how);
    }
}

#[test]
fn linger_a_trickle_is_idle_and_a_kibibyte_is_not() {
    let mut p = Peer::lingering(b"BAD\r\n\r\n");
    p.queues.unacknowledged = 1;
    p.tick();
    p.discard(1024);
    p.pass(p.limits.linger_idle_ms);
    assert_eq!(p.state(), State::Linger);
    for _ in 0..4 {
        p.discard(255);
        p.pass(p.limits.linger_idle_ms / 4);
    }
    p.assert_over(CloseReason::LingerIdle, How::Reset);
}

#[test]
fn linger_an_answer_on_its_way_may_pause_as_it_may_in_the_response() {
    let mut p = Peer::new();
    p.file = 30_000;
    p.recv(LAST);
    p.serve();
    p.send(usize::MAX);
    p.send(30_000);
    p.shut();
    p.limits.linger_total_ms = 100_000;
    let idle = p.limits.linger_idle_ms;
    for _ in 0..3 {
        p.pass(idle);
        assert_eq!(p.state(), State::Linger, "it reads again in a moment");
    }
    p.queues.unacknowledged = 1; // it has read everything
    p.tick();
    p.pass(idle - 1);
    assert_eq!(p.state(), State::Linger, "its silence counts from here");
    p.pass(1);
    p.assert_over(CloseReason::LingerIdle, How::Reset);
}

#[test]
fn linger_an_answer_that_never_moves_is_given_up_like_a_response() {
    let mut p = Peer::lingering(b"BAD\r\n\r\n");
    p.limits.linger_total_ms = 100_000;
    let start = p.now;
    while p.state() == State::Linger {
        p.now = p.until().0;
        p.tick();
    }
    assert_eq!(p.now - start, u64::from(p.limits.write_ms));
    p.assert_over(CloseReason::LingerIdle, How::Reset);
}

#[test]
fn linger_has_a_total_at_any_rate() {
    let mut p = Peer::lingering(b"BAD\r\n\r\n");
    let start = p.now;
    while p.state() == State::Linger {
        p.discard(100_000);
        p.now = p.until().0;
        p.tick();
    }
    assert_eq!(p.now - start, u64::from(p.limits.linger_total_ms));
    p.assert_over(CloseReason::LingerTotal, How::Reset);
}

#[test]
fn linger_a_flood_ends_at_the_byte_budget_at_once() {
    let mut p = Peer::lingering(b"BAD\r\n\r\n");
    assert_eq!(p.need().read, Read::Discard(p.limits.linger_bytes));
    p.discard(p.limits.linger_bytes);
    assert_eq!(p.need().read, Read::Nothing);
    assert!(p.until() <= Ms(p.now), "a look is due now");
    p.queues = Queues {
        unacknowledged: 0,
        unread: 99,
        rto_ms: 0,
    };
    p.tick();
    p.assert_over(CloseReason::LingerBytes, How::Plain);
}

#[test]
fn linger_reads_a_declared_rest_and_a_slack_no_further() {
    let head = b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    let mut p = Peer::lingering(head);
    assert_eq!(p.need().read, Read::Discard(100_000 + 65_536));
    p.discard(100_001);
    p.queues.unacknowledged = 0;
    p.tick();
    assert_eq!(p.state(), State::Linger, "it sends more than it declared");
    p.discard(65_535);
    p.tick();
    p.assert_over(CloseReason::LingerBytes, How::Plain);
}

#[test]
fn linger_a_rest_that_just_fits_the_budget_still_waits_for_its_acknowledgement() {
    let head = b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n";
    let mut p = Peer::lingering(head);
    p.discard(p.limits.linger_bytes);
    p.tick();
    assert_eq!(p.state(), State::Linger);
    assert!(p.until() > Ms(p.now));
    p.queues.unacknowledged = 0;
    p.tick();
    p.assert_over(CloseReason::Drained, How::Plain);
}

#[test]
fn linger_a_slow_path_is_given_four_timeouts_once_and_never_beyond_the_total() {
    let mut p = Peer::new();
    p.recv(b"BAD\r\n\r\n");
    p.serve();
    p.flush();
    p.queues = Queues {
        unacknowledged: 1,
        unread: 0,
        rto_ms: 1000,
    };
    p.shut();
    assert_eq!(p.until(), Ms(p.now).after(4000));
    p.queues.rto_ms = 4000; // it backs off, for the peer is gone
    p.pass(4000);
    p.assert_over(CloseReason::LingerIdle, How::Reset);

    let mut p = Peer::lingering(b"BAD\r\n\r\n");
    p.queues.unacknowledged = 1;
    p.tick();
    p.queues.rto_ms = 1500; // known only later
    p.pass(2000);
    assert_eq!(p.until(), Ms(p.now).after(4000));
    p.queues.rto_ms = 60_000;
    p.pass(4000);
    p.assert_over(CloseReason::LingerIdle, How::Reset);

    let mut p = Peer::lingering(b"BAD\r\n\r\n");
    p.queues.rto_ms = u32::MAX;
    p.pass(2000);
    p.pass(p.limits.linger_total_ms - 2001);
    assert_eq!(p.state(), State::Linger);
    p.pass(1);
    p.assert_over(CloseReason::LingerTotal, How::Reset);
}

#[test]
fn linger_evicted_unacknowledged_is_reset() {
    for (unacknowledged, how) in [(0, How::Plain), (1, How::Reset)] {
        let mut p = Peer::lingering(b"BAD\r\n\r\n");
        p.queues.unacknowledged = unacknowledged;
        p.on(Connection::evict);
        p.assert_over(CloseReason::Evicted, how);
    }
}

#[test]
fn linger_whose_write_side_is_never_shut_ends_too() {
    let mut p = Peer::new();
    p.pass(p.limits.head_ms);
    assert_eq!(p.need().act, Act::ShutdownWrite);
    p.fin(); // before the shutdown: nothing to judge yet
    assert_eq!(p.state(), State::Linger);
    assert_eq!(p.until(), Ms(p.now).after(p.limits.linger_total_ms));
    p.pass(p.limits.linger_total_ms);
    p.assert_over(CloseReason::LingerTotal, How::Plain);
}

// ---- the other flavours
// --------------------------------------------------------------------------

#[test]
fn so_linger_waits_for_the_acknowledgement_without_reading() {
    let mut p = Peer::with(Teardown::SoLinger, Limits::new());
    p.recv(b"BAD\r\n\r\n");
    p.serve();
    assert_eq!(p.need().read, Read::Nothing);
    p.send(usize::MAX);
    p.shut();
    assert_eq!(p.need().read, Read::Nothing);
    assert_eq!(p.until(), Ms(p.now).after(2000));
    p.pass(1999);
    let mut late = Peer {
        c: p.c.clone(),
        limits: p.limits.clone(),
        ..Peer::new()
    };
    p.queues.unacknowledged = 0;
    p.tick();
    p.assert_over(CloseReason::Acked, How::KernelLinger(2));
    late.now = p.now;
    late.queues.unacknowledged = 1;
    late.pass(1);
    late.assert_over(CloseReason::LingerTotal, How::Reset);
}

#[test]
fn plain_closes_behind_the_last_byte_and_bounds_the_orphan() {
    let mut p = Peer::with(Teardown::Plain, Limits::new());
    p.recv(LAST);
    p.serve();
    assert_eq!(p.need().read, Read::Nothing);
    p.send(usize::MAX);
    p.assert_over(CloseReason::Plain, How::Bounded(p.limits.orphan_ms));

    let mut p = Peer::with(Teardown::Plain, Limits::new());
    p.pass(p.limits.head_ms);
    p.assert_over(CloseReason::Plain, How::Bounded(p.limits.orphan_ms));
}

// ---- any order
// -----------------------------------------------------------------------------------

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Something that a client, the kernel or the shell may do now.
fn anything(p: &mut Peer, random: &mut Random) {
    const SENT: [&[u8]; 18] = [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n",
        b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        GET,
        PIECES,
        LAST,
        POST,
        CHUNKED,
        EXPECT,
        store::PUT,
        store::CHUNKED,
        store::EXPECT,
        script::RUN,
        script::BODY,
        script::QUEUED,
        b"5\r\nhello\r\n0\r\n\r\n",
        b"G",
        b"\r\n",
        b"GET /",
    ];
    let need = p.need();
    match (random.below(16), need.act) {
        (0..=8, Act::Answer | Act::Refuse(_) | Act::Introduce) => return p.serve(),
        (0..=8, Act::ShutdownWrite) => return p.shut(),
        (0..=2, Act::Produce) if p.state() == State::Script => {
            return script::anything(p, random.below(4));
        }
        (3..=8, Act::Produce) if p.state() == State::Script => {}
        (0..=8, Act::Produce) => return p.produce(),
        (0..=8, Act::Store) => return p.keep(1 + usize::try_from(random.below(9)).unwrap()),
        (0..=7, Act::Conclude) => return p.conclude(Status::CREATED),
        (8, Act::Conclude) => return p.conclude(Status::INSUFFICIENT_STORAGE),
        (_, Act::Close(..)) => return,
        (9, _) => return p.pass(u32::try_from(random.below(20_000)).unwrap()),
        (10, _) if need.read != Read::Nothing => return p.fin(),
        (11, _) => return p.on(|c, _, turn| c.give_way(turn)),
        (12, _) if random.below(8) == 0 => {
            p.stopping = true;
            return p.on(Connection::stop);
        }
        (13, _) if random.below(16) == 0 => return p.on(|c, _, turn| c.broken(turn)),
        (14, _) if matches!(p.state(), State::Idle | State::Linger) && random.below(8) == 0 => {
            return p.on(Connection::evict);
        }
        (_, _) => {}
    }
    if need.write != Write::Nothing && random.below(2) == 0 {
        return p.send(1 + usize::try_from(random.below(3000)).unwrap());
    }
    let queued = p.queues.unacknowledged;
    p.queues.unacknowledged -= u32::try_from(random.below(u64::from(queued) + 1)).unwrap();
    match need.read {
        Read::Nothing => {}
        Read::Into => {
            let piece = SENT[usize::try_from(random.below(18)).unwrap()];
            let n = piece.len().min(p.c.space(&mut p.input).len());
            assert!(n > 0, "no room to receive into in {:?}", p.c);
            p.recv(&piece[..n]);
        }
        Read::Discard(max) => {
            p.discard(1 + random.below(max.min(70_000)));
            p.tick();
        }
        Read::Feed => script::feed(p, random),
        Read::Store(max) => {
            let n = 1 + random.below(max.min(70_000));
            p.on(|c, _, turn| c.stored_unseen(n, turn));
        }
    }
}

/// What holds at every moment.
fn hold(p: &Peer, said: &mut Option<Act>) {
    let need = p.need();
    let state = p.state();
    if matches!(state, State::Idle | State::Linger | State::Closed) {
        assert!(!p.c.holds_bytes(), "{:?}", p.c);
        assert_eq!(p.c.file_owed(), 0);
        assert!(!p.c.has_pieces());
        assert_eq!(need.write, Write::Nothing);
    }
    if need.act == Act::Produce {
        let due = matches!(state, State::Script | State::Relay | State::Respond);
        assert!(due && (need.write == Write::Nothing || state == State::Script));
    }
    assert_eq!(state == State::Closed, matches!(need.act, Act::Close(..)));
    assert!(
        p.until() < Ms(u64::MAX) || state == State::Closed,
        "no deadline"
    );
    if let Some(first) = said {
        assert_eq!(*first, need.act, "a second reason");
    } else if state == State::Closed {
        *said = Some(need.act);
    }
}

#[test]
fn in_any_order_the_invariants_hold_and_deadlines_alone_end_it() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut seen = Vec::new();
    for round in 0..6000_usize {
        let mut p = Peer::with(Teardown::ALL[round % 3], Limits::new());
        p.file = [0, 5, 100_000][round % 5 % 3];
        if round % 7 == 0 {
            p.c = p.c.clone().with_preface();
        }
        p.plan(&[(100, 5000), (0, 300), (8192, 0), (50, 0)], true);
        if round % 2 == 0 {
            p.plan(&[(1, 0), (8179, 0), (300, 0), (0, 0)], false);
        }
        let mut said = None;
        for _ in 0..60 {
            anything(&mut p, &mut random);
            hold(&p, &mut said);
            assert_eq!(p.c.take_misuse(), None);
        }
        // Now the peer is gone: nothing but time passes. Nobody shuts, reads or is answered unless
        // the connection asks for it.
        let mut deadlines = 0;
        while p.state() != State::Closed {
            match p.need().act {
                Act::Answer | Act::Refuse(_) | Act::Introduce | Act::Store | Act::Conclude => {
                    p.serve()
                }
                Act::Produce if p.state() == State::Script => p.wait(&mut deadlines),
                Act::ShutdownWrite => p.shut(),
                Act::Produce => p.produce(),
                Act::None | Act::Close(..) if p.need().write != Write::Nothing => {
                    p.send(usize::MAX);
                }
                Act::None | Act::Close(..) => p.wait(&mut deadlines),
            }
            hold(&p, &mut said);
            assert!(deadlines < 20, "it does not end: {:?}", p.c);
        }
        if let Act::Close(reason, _) = p.need().act {
            if !seen.contains(&reason) {
                seen.push(reason);
            }
        }
    }
    for reason in CloseReason::ALL {
        let never = [
            CloseReason::FileShrank,
            CloseReason::Fault,
            CloseReason::Stopped,
        ];
        let hard = [
            CloseReason::LingerTotal,
            CloseReason::LingerBytes,
            CloseReason::Drained,
        ];
        if !never.contains(reason) && !hard.contains(reason) {
            assert!(seen.contains(reason), "{reason:?} never came up: {seen:?}");
        }
    }
}
