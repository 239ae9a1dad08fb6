//! How long the parts of an answer take: no socket, and but for those of `site` no system call.
//!
//! Prints a table, by divan. It is for comparing two commits on one machine, so there are no limits
//! in it; the numbers of two machines say nothing about each other. `cargo bench --bench pure NAME`
//! runs what has the name in it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench: whatever is wrong here shall stop it"
)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/common/root.rs"]
mod root;
/// Nobody's but the reactor's: it is compiled once more here, so that it need not be public.
#[allow(dead_code, reason = "the reactor uses more of it")]
#[path = "../src/reactor/timers.rs"]
mod timers;

use adieu::config::{AuthConfig, Config, SiteConfig};
use adieu::connection::body::{Body, Chunked};
use adieu::connection::client::Client;
use adieu::connection::head::{self, NO_FIELD, Scan};
use adieu::connection::limits::{FIELDS_MAX, Limits};
use adieu::connection::linger::Queues;
use adieu::connection::reply::{Reply, Status};
use adieu::connection::state::{Event, State, Teardown, next};
use adieu::connection::time::{Ms, Turn, Wall};
use adieu::connection::{Act, Connection, Content, Write};
use adieu::helper::credentials::Credentials;
use adieu::site::cache::Cache;
use adieu::site::{Means, Site};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use root::Root;
use std::time::{Duration, UNIX_EPOCH};

// `src/reactor/timers.rs` finds it here.
use adieu::connection;

/// What a browser sends for a picture on a page.
const BROWSER: &[u8] = b"GET /images/lamp.jpg HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\
Connection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 \
Firefox/128.0\r\nAccept: image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n\
Referer: http://192.0.2.1:8080/\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
If-None-Match: \"5f3a-61c2b7a0\"\r\nCache-Control: max-age=0\r\n\r\n";
/// What a load generator sends.
const SHORT: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF_BYTES: usize = 8192;
/// Each row runs for at least this long.
const ROW: Duration = Duration::from_millis(100);

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum By {
    Short,
    Browser,
}

impl By {
    const ALL: [Self; 2] = [Self::Short, Self::Browser];

    fn head(self) -> &'static [u8] {
        match self {
            Self::Short => SHORT,
            Self::Browser => BROWSER,
        }
    }
}

fn main() {
    let table = divan::Divan::default().min_time(ROW);
    table.config_with_args().main();
    println!("one connection: {} bytes", size_of::<Connection>());
}

fn turn(limits: &Limits) -> Turn<'_> {
    Turn {
        now: Ms(1),
        wall: Some(Wall {
            unix_s: 784_111_777,
            date: *b"Sun, 06 Nov 1994 08:49:37 GMT",
        }),
        limits,
        stopping: false,
    }
}

// ---- heads and bodies ---------------------------------------------------------------------------

/// Looks for the end of a head.
#[divan::bench(args = By::ALL)]
fn head_scan(bencher: Bencher<'_, '_>, by: By) {
    let limits = Limits::new();
    let bytes = by.head();
    bencher
        .counter(BytesCount::of_slice(bytes))
        .bench(|| Scan::default().look(black_box(bytes), &limits));
}

/// The same when each byte comes alone.
#[divan::bench(args = By::ALL)]
fn head_scan_bytewise(bencher: Bencher<'_, '_>, by: By) {
    let limits = Limits::new();
    let bytes = by.head();
    bencher.counter(BytesCount::of_slice(bytes)).bench(|| {
        let mut scan = Scan::default();
        for end in 1..=bytes.len() {
            black_box(scan.look(black_box(&bytes[..end]), &limits));
        }
    });
}

/// Reads a head, and says where its body ends.
#[divan::bench(args = By::ALL)]
fn head_read(bencher: Bencher<'_, '_>, by: By) {
    let limits = Limits::new();
    let bytes = by.head();
    bencher.counter(BytesCount::of_slice(bytes)).bench(|| {
        let mut fields = [NO_FIELD; FIELDS_MAX];
        head::parse(black_box(bytes), &mut fields, &limits).is_ok()
    });
}

/// Four chunks of 1000 bytes.
#[divan::bench]
fn body_chunked(bencher: Bencher<'_, '_>) {
    let mut wire = Vec::new();
    for _ in 0..4 {
        wire.extend_from_slice(b"3e8\r\n");
        wire.extend_from_slice(&[b'x'; 1000]);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    bencher.counter(BytesCount::of_slice(&wire)).bench(|| {
        let mut body = Body::Chunked(Chunked::new());
        let mut rest = &wire[..];
        while !rest.is_empty() {
            match body.piece(black_box(rest)) {
                Ok(piece) => rest = &rest[piece.framing + piece.content..],
                Err(reject) => panic!("{reject:?}"),
            }
        }
    });
}

/// Six fields.
#[divan::bench]
fn reply_head() -> usize {
    let mut room = [0; 1024];
    let mut reply = Reply::new(&mut room);
    reply.status(Status::OK);
    reply.field("Content-Type", b"text/html; charset=utf-8");
    reply.field("ETag", b"\"1a2b3c4d5e6f7081\"");
    reply.field("Last-Modified", b"Sun, 06 Nov 1994 08:49:37 GMT");
    reply.field("Accept-Ranges", b"bytes");
    reply.field_number("Content-Length", 1440);
    black_box(reply.len())
}

// ---- the heart ----------------------------------------------------------------------------------

/// The table of transitions, all pairs.
#[divan::bench]
fn states_all() {
    for state in State::ALL {
        for event in Event::ALL {
            black_box(next(black_box(state), black_box(event), Teardown::Linger));
        }
    }
}

/// A request to its answer.
#[divan::bench(args = By::ALL)]
fn connection_answer(bencher: Bencher<'_, '_>, by: By) {
    rounds(bencher, by.head(), 1);
}

/// Sixteen that came together.
#[divan::bench]
fn connection_answer_16_pipelined(bencher: Bencher<'_, '_>) {
    rounds(bencher, SHORT, 16);
}

fn rounds(bencher: Bencher<'_, '_>, request: &[u8], at_once: usize) {
    let limits = Limits::new();
    let turn = turn(&limits);
    let mut far = Far::new(request, at_once, &turn);
    let bytes = BytesCount::of_slice(&far.request);
    bencher.counter(bytes).bench_local(|| far.round(&turn));
}

/// A connection without a socket: what is received and sent is only copied.
struct Far {
    connection: Connection,
    request: Vec<u8>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Far {
    fn new(request: &[u8], at_once: usize, turn: &Turn<'_>) -> Self {
        Self {
            connection: Connection::new(Teardown::Linger, turn),
            request: request.repeat(at_once),
            input: vec![0; HALF_BYTES],
            output: vec![0; HALF_BYTES],
        }
    }

    /// Sends its requests and takes the answers; begins anew when the connection has had its share.
    fn round(&mut self, turn: &Turn<'_>) {
        let space = self.connection.space(&mut self.input);
        space[..self.request.len()].copy_from_slice(&self.request);
        self.connection
            .received(self.request.len(), &self.input, turn);
        while self.connection.state() != State::Idle {
            let need = self.connection.need();
            match (need.act, need.write) {
                (Act::Answer, _) => self.answer(turn),
                (Act::None, Write::Bytes { .. }) => {
                    let n = black_box(self.connection.sendable(&self.output)).len();
                    self.connection.sent(n, turn);
                }
                _ => {
                    // The most requests on one connection are answered.
                    assert_eq!(need.act, Act::ShutdownWrite);
                    self.connection.cut(Queues::default(), turn);
                    self.connection = Connection::new(Teardown::Linger, turn);
                    return;
                }
            }
        }
    }

    fn answer(&mut self, turn: &Turn<'_>) {
        let mut fields = [NO_FIELD; FIELDS_MAX];
        let request = match self
            .connection
            .request(&self.input, &mut fields, turn.limits)
        {
            Ok(request) => request,
            Err(reject) => panic!("{reject:?}"),
        };
        let verdict = request.verdict;
        if !self.connection.may_join(&request) {
            return;
        }
        let mut reply = self.connection.reply(&mut self.output);
        reply.status(Status::OK);
        reply.field("Content-Type", b"text/html; charset=utf-8");
        reply.field("ETag", b"\"1a2b3c4d5e6f7081\"");
        self.connection
            .answered(&verdict, reply, Content::Empty, &self.input, turn);
    }
}

// ---- timers -------------------------------------------------------------------------------------

/// As many as a large device has.
const SLOTS: u16 = 1024;
const IDLE_MS: u32 = 5_000;

/// What each request does: the deadline of its slot moves on.
#[divan::bench]
fn timers_later(bencher: Bencher<'_, '_>) {
    let mut now = Ms(0);
    let mut timers = timers::Timers::new(SLOTS, now);
    bencher.bench_local(|| {
        now = now.after(1);
        timers.arm(black_box(7), now.after(IDLE_MS));
    });
}

/// A deadline that comes sooner, and one that is taken away.
#[divan::bench]
fn timers_sooner_and_none(bencher: Bencher<'_, '_>) {
    let mut timers = timers::Timers::new(SLOTS, Ms(0));
    bencher.bench_local(|| {
        timers.arm(black_box(7), Ms(10_000));
        timers.arm(black_box(7), Ms(2_000));
        timers.cancel(black_box(7));
    });
}

/// A tick of 32 ms, while all slots ask on and none is late: what is due, and how long to sleep.
#[divan::bench]
fn timers_tick_of_1024_slots(bencher: Bencher<'_, '_>) {
    let mut now = Ms(0);
    let mut timers = timers::Timers::new(SLOTS, now);
    let mut slot = 0;
    bencher.bench_local(|| {
        now = now.after(32);
        for _ in 0..64 {
            slot = (slot + 1) % SLOTS;
            timers.arm(slot, now.after(IDLE_MS));
        }
        assert_eq!(timers.due(black_box(now)), None);
        timers.sleep_ms(now)
    });
}

// ---- site ---------------------------------------------------------------------------------------

/// The validator of every file that is asked for, and the time when it was modified.
const MODIFIED_S: u64 = 784_111_777;
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A request to its answer, with the walk from name to name that it takes.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// A file beneath the root.
    File,
    /// Eight directories down.
    Deep,
    /// The same, each letter of it as `%xx`.
    DeepEncoded,
    /// No such file.
    Missing,
    /// It would lead out of the root.
    Outside,
    /// If-None-Match with the right tag behind nine others.
    SameTag,
    /// If-Modified-Since.
    SameDate,
    /// If-Match, which fails.
    OtherTag,
    /// One range.
    Range,
    /// A hundred ranges that are one.
    RangesJoined,
    /// Three ranges, in parts.
    RangesApart,
    /// A range behind the end.
    RangeOutside,
}

impl Asked {
    const ALL: [Self; 12] = [
        Self::File,
        Self::Deep,
        Self::DeepEncoded,
        Self::Missing,
        Self::Outside,
        Self::SameTag,
        Self::SameDate,
        Self::OtherTag,
        Self::Range,
        Self::RangesJoined,
        Self::RangesApart,
        Self::RangeOutside,
    ];

    /// What is asked for, with its field, and the status that is due.
    fn question(self, tag: &str) -> (String, String, u16) {
        let deep = "/directory".repeat(8) + "/file.html";
        let (path, field, status) = match self {
            Self::File => ("/file.html".to_owned(), String::new(), 200),
            Self::Deep => (deep, String::new(), 200),
            Self::DeepEncoded => (encoded(&deep), String::new(), 200),
            Self::Missing => ("/missing.html".to_owned(), String::new(), 404),
            Self::Outside => ("/directory/../../file.html".to_owned(), String::new(), 400),
            Self::SameTag => {
                let others = "\"0123456789abcdef\", ".repeat(9);
                let field = format!("If-None-Match: {others}{tag}\r\n");
                ("/file.html".to_owned(), field, 304)
            }
            Self::SameDate => {
                let field = format!("If-Modified-Since: {MODIFIED}\r\n");
                ("/file.html".to_owned(), field, 304)
            }
            Self::OtherTag => {
                let field = "If-Match: \"0123456789abcdef\"\r\n".to_owned();
                ("/file.html".to_owned(), field, 412)
            }
            Self::Range => ranges("1000-1999", 206),
            Self::RangesJoined => ranges(&["0-"; 100].join(","), 206),
            Self::RangesApart => ranges("0-9,5000-5009,-10", 206),
            Self::RangeOutside => ranges("100000-", 416),
        };
        (path, field, status)
    }
}

fn ranges(list: &str, status: u16) -> (String, String, u16) {
    let field = format!("Range: bytes={list}\r\n");
    ("/file.html".to_owned(), field, status)
}

/// Every byte but the slashes as `%xx`.
fn encoded(path: &str) -> String {
    let one = |byte: u8| match byte {
        b'/' => "/".to_owned(),
        byte => format!("%{byte:02x}"),
    };
    path.bytes().map(one).collect()
}

/// What is asked becomes an answer; its content is not read.
#[divan::bench(args = Asked::ALL)]
fn site_answer(bencher: Bencher<'_, '_>, asked: Asked) {
    let root = Root::new();
    let folder = root
        .path()
        .join("directory".to_owned() + &"/directory".repeat(7));
    std::fs::create_dir_all(&folder).unwrap();
    for path in [root.path(), &folder] {
        let path = path.join("file.html");
        std::fs::write(&path, [b'x'; 8192]).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let modified = UNIX_EPOCH + Duration::from_secs(MODIFIED_S);
        file.set_modified(modified).unwrap();
    }
    let config = Config {
        site: SiteConfig {
            root: root.path().to_owned(),
            ..SiteConfig::default()
        },
        ..Config::default()
    };
    let mut site = Site::new(&config).unwrap();
    let limits = Limits::new();
    let mut asker = Asker {
        site: &mut site,
        cache: Cache::off(),
        credentials: Credentials::new(AuthConfig::default(), 8),
        turn: turn(&limits),
        room: vec![0; HALF_BYTES],
    };
    asker.ask("GET /file.html HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = String::from_utf8_lossy(&asker.room).into_owned();
    let (_, behind) = head.split_once("ETag: ").unwrap();
    let (tag, _) = behind.split_once("\r\n").unwrap();
    let (path, field, status) = asked.question(tag);
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{field}\r\n");
    assert_eq!(asker.ask(&request).code(), status, "{request}");
    bencher.bench_local(|| asker.ask(black_box(&request)));
}

struct Asker<'a> {
    site: &'a mut Site,
    cache: Cache,
    credentials: Credentials,
    turn: Turn<'a>,
    room: Vec<u8>,
}

impl Asker<'_> {
    fn ask(&mut self, request: &str) -> Status {
        let mut fields = [NO_FIELD; FIELDS_MAX];
        let request = head::parse(request.as_bytes(), &mut fields, self.turn.limits).unwrap();
        let means = Means {
            work: true,
            upload: false,
            script: None,
            of_status: false,
            cache: &mut self.cache,
        };
        let mut reply = Reply::new(&mut self.room);
        let (client, credentials) = (Client::Unix, &mut self.credentials);
        let content = self.site.answer(
            &request,
            &client,
            means,
            credentials,
            &self.turn,
            &mut reply,
        );
        drop(black_box(content));
        reply.current_status()
    }
}
