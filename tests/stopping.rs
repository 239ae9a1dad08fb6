//! A stop in the middle of everything: downloads, uploads, goodbyes, pipelines, idle connections
//! and those that wait to be accepted. On real sockets, seen from the client.
//!
//! Every client is brought to a known point, then the server is told to stop, then the clients go
//! on. What was owed must arrive whole and to the byte, without an error of a send and without a
//! reset; and the server must end by itself, for its deadline is far away. The clocks are long for
//! the same reason: what ends here, ends because it is done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::connection::state::Teardown;
use adieu::reactor::teardown::BUILT;
use adieu::sys::socket;
use common::http::{Answer, answers, read_answer};
use common::outside::{Tcp, rests, sockets};
use common::root::Root;
use common::server::{Server, Stopped};
use common::{End, Heard, PATIENCE, eventually, hear};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

const LINGERS: bool = matches!(BUILT, Teardown::Linger);
/// More than the kernel holds between the two ends.
const LARGE_BYTES: u32 = 2 << 20;
const WINDOW_BYTES: u32 = 128 << 10;
/// More than that as well.
const MIDDLE_BYTES: u32 = 500_000;
/// What an upload that is read off has; and one that is refused for its length.
const BODY_BYTES: usize = 200_000;
const REFUSED_BYTES: usize = 2 << 20;
const NAMES: usize = 1000;
/// A client that has its answer, which did not say that it is the last, and still sends.
const REFUSED: &str = "an upload that was refused";
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_LARGE: &str = "GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// No clock of these ends anything within [`PATIENCE`].
const KEYS: &[&str] = &[
    "limits.body_bytes=1MiB",
    "site.listing=on",
    "timeout.head_ms=10m",
    "timeout.body_ms=10m",
    "timeout.body_window_ms=10m",
    "timeout.write_ms=10m",
    "keepalive.idle_ms=10m",
    "linger.idle_ms=10m",
    "linger.total_ms=10m",
];
const STOP_LATE: &str = "timeout.stop_ms=30m";

// ---- what is served -----------------------------------------------------------------------------

/// No two neighbours of a file are alike, nor are two of its pages.
fn pattern(bytes: u32) -> Vec<u8> {
    let byte = |n: u32| n.wrapping_mul(0x9E37_79B1).to_be_bytes()[0];
    (0..bytes).map(byte).collect()
}

struct Site {
    root: Root,
    index: Vec<u8>,
    middle: Vec<u8>,
    large: Vec<u8>,
}

impl Site {
    fn new() -> Self {
        let root = Root::new();
        let site = Self {
            index: fs::read(root.path().join("index.html")).unwrap(),
            middle: pattern(MIDDLE_BYTES),
            large: pattern(LARGE_BYTES),
            root,
        };
        site.root.file("large.bin", &site.large);
        site.root.file("middle.bin", &site.middle);
        fs::create_dir(site.root.path().join("names")).unwrap();
        for n in 0..NAMES {
            let name = format!("names/{n:04}-{}", "x".repeat(200));
            site.root.file(&name, b"");
        }
        site
    }
}

// ---- clients ------------------------------------------------------------------------------------

/// The content of an answer that is owed.
#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Bytes(&'a [u8]),
    /// The small page that names the status.
    Page,
    /// A listing in chunks, with all names.
    Names,
}

/// An answer that is owed.
#[derive(Clone, Copy, Debug)]
struct Owed<'a> {
    status: u16,
    content: Content<'a>,
    /// It must say that it is the last, or must not; `None`: it may, for it was made before the
    /// stop and leaves after it.
    closes: Option<bool>,
}

fn owed(status: u16, content: Content<'_>, closes: impl Into<Option<bool>>) -> Owed<'_> {
    Owed {
        status,
        content,
        closes: closes.into(),
    }
}

/// A client in the middle of something.
struct Client<'a, S> {
    what: &'static str,
    stream: S,
    /// What it has read.
    heard: Vec<u8>,
    /// What it has not said yet.
    rest: Vec<u8>,
    /// What it is to get, in all.
    owed: Vec<Owed<'a>>,
    /// So many of them at least; behind them a stop may end it.
    least: usize,
}

impl<'a, S: Read + Write> Client<'a, S> {
    /// Says something and reads so many bytes of what comes.
    fn begin(
        what: &'static str,
        mut stream: S,
        said: impl AsRef<[u8]>,
        reads: usize,
        owed: Vec<Owed<'a>>,
    ) -> Self {
        stream.write_all(said.as_ref()).expect(what);
        let mut heard = vec![0; reads];
        stream.read_exact(&mut heard).expect(what);
        Self {
            what,
            stream,
            heard,
            rest: vec![],
            least: owed.len(),
            owed,
        }
    }

    fn with_rest(self, rest: impl Into<Vec<u8>>) -> Self {
        Self {
            rest: rest.into(),
            ..self
        }
    }

    /// What is behind the first may be left unanswered.
    fn at_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// Says the rest, then reads to the end: it has what was owed, and nothing was lost. Returns
    /// how many answers it had, interim ones not counted.
    fn goes_on(mut self) -> usize {
        let what = self.what;
        let said = self.stream.write_all(&self.rest);
        assert!(said.is_ok(), "{what}: the send failed: {said:?}");
        let heard = hear(&mut self.stream);
        assert_eq!(heard.end, End::Fin, "{what}");
        self.heard.extend_from_slice(&heard.bytes);
        self.has_what_was_owed()
    }

    fn has_what_was_owed(&self) -> usize {
        let what = self.what;
        if let [owed] = self.owed[..]
            && let Content::Names = owed.content
        {
            assert_lists_all_names(&self.heard);
            return 1;
        }
        let (found, rest) = answers(&self.heard, false);
        assert!(
            rest.is_empty(),
            "{what}: {} bytes of half an answer",
            rest.len()
        );
        let (least, most) = (self.least, self.owed.len());
        let count = found.len();
        assert!(
            (least..=most).contains(&count),
            "{what}: {count} answers of {most}"
        );
        for (n, (answer, owed)) in found.iter().zip(&self.owed).enumerate() {
            assert_is(what, answer, owed);
            let last = n + 1 == count;
            assert!(last || !answer.closes(), "{what}: more behind the last");
        }
        found.iter().filter(|answer| answer.status >= 200).count()
    }
}

fn assert_is(what: &str, answer: &Answer, owed: &Owed<'_>) {
    assert_eq!(answer.status, owed.status, "{what}");
    match owed.content {
        Content::Bytes(bytes) => assert!(answer.body == bytes, "{what}: other bytes"),
        Content::Page => {
            let page = String::from_utf8_lossy(&answer.body);
            assert!(page.contains(&owed.status.to_string()), "{what}: {page}");
        }
        Content::Names => panic!("{what}: a listing stands alone"),
    }
    if let Some(closes) = owed.closes {
        let said = answer.field("connection");
        assert_eq!(answer.closes(), closes, "{what}: Connection: {said:?}");
    }
}

/// One answer in chunks, to its last one, and in them every name once.
fn assert_lists_all_names(heard: &[u8]) {
    let text = std::str::from_utf8(heard).unwrap();
    let (head, mut rest) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut page = String::new();
    loop {
        let (size, behind) = rest.split_once("\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(size, 16).unwrap();
        page.push_str(&behind[..size]);
        rest = behind[size..].strip_prefix("\r\n").expect("its end");
        if size == 0 {
            break;
        }
    }
    assert_eq!(rest, "", "bytes behind the last chunk");
    let listed = page.split("href=\"./").skip(1).map(|entry| &entry[..5]);
    let expected = (0..NAMES).map(|n| format!("{n:04}-"));
    assert!(listed.eq(expected), "every name once, in order");
}

/// A head that announces a body of so many bytes.
fn head(method: &str, bytes: usize, fields: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n{fields}\r\n")
}

/// Such a head, and a part of its body.
fn upload(method: &str, bytes: usize, sent: usize) -> Vec<u8> {
    let mut said = head(method, bytes, "").into_bytes();
    said.resize(said.len() + sent, b'x');
    said
}

fn body(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes]
}

/// So many chunks of 4 KiB.
fn chunks(count: usize) -> Vec<u8> {
    let chunk = [b"1000\r\n", &[b'x'; 0x1000][..], b"\r\n"].concat();
    chunk.repeat(count)
}

type Clients<'a, S> = Vec<Client<'a, S>>;

/// Downloads, of which the client has read a part.
fn downloads<'a, S: Read + Write>(site: &'a Site, connect: &impl Fn() -> S) -> Clients<'a, S> {
    // Its head has left: it cannot say any more that it is the last.
    let whole = owed(200, Content::Bytes(&site.large), false);
    let mut all: Clients<'a, S> = [1, 1000, 100_000]
        .into_iter()
        .map(|reads| Client::begin("a download", connect(), GET_LARGE, reads, vec![whole]))
        .collect();
    all.push(Client::begin(
        "a listing",
        connect(),
        "GET /names/ HTTP/1.1\r\nHost: h\r\n\r\n",
        15,
        vec![owed(200, Content::Names, None)],
    ));
    all
}

/// Uploads that are read off before or behind their answer, of which a part was sent.
fn uploads<'a, S: Read + Write>(site: &'a Site, connect: &impl Fn() -> S) -> Clients<'a, S> {
    let half = BODY_BYTES / 2;
    let index = |closes: Option<bool>| owed(200, Content::Bytes(&site.index), closes);
    let refused = owed(405, Content::Page, None);
    let chunked = "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = [chunked.as_bytes(), &chunks(20)[..50_000]].concat();
    let interim = owed(100, Content::Bytes(b""), false);
    let expects = head("GET", 5, "Expect: 100-continue\r\n");
    let later = "st: h\r\nContent-Length: 5\r\n\r\n12345";
    let mut all = vec![
        Client::begin(
            "an upload",
            connect(),
            upload("GET", BODY_BYTES, half),
            0,
            vec![index(None)],
        )
        .with_rest(body(half)),
        Client::begin(
            "an upload in chunks",
            connect(),
            chunked,
            0,
            vec![index(None)],
        )
        .with_rest([&chunks(20)[50_000..], b"0\r\n\r\n"].concat()),
        Client::begin(
            "an upload that was asked for",
            connect(),
            expects,
            CONTINUE.len(),
            vec![interim, index(None)],
        )
        .with_rest("12345"),
        // What is answered after the stop alone says so.
        Client::begin(
            "half a head",
            connect(),
            "GET / HTTP/1.1\r\nHo",
            0,
            vec![index(Some(true))],
        )
        .with_rest("st: h\r\n\r\n"),
        Client::begin(
            "half a head of an upload",
            connect(),
            "GET / HTTP/1.1\r\nHo",
            0,
            vec![index(Some(true))],
        )
        .with_rest(later),
    ];
    if LINGERS {
        // A stop says goodbye to it, for it has its answer; a plain close would reset its rest.
        let said = upload("POST", BODY_BYTES, half);
        let client = Client::begin(REFUSED, connect(), said, 0, vec![refused]);
        all.push(client.with_rest(body(half)));
    }
    all
}

/// Uploads that were refused at once: the client still sends, the server reads it off.
fn lingering<'a, S: Read + Write>(connect: &impl Fn() -> S) -> Clients<'a, S> {
    if !LINGERS {
        return vec![]; // the other flavours reset them, with or without a stop
    }
    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    vec![
        Client::begin(
            "an upload that was too large",
            connect(),
            upload("GET", REFUSED_BYTES, 50_000),
            0,
            vec![owed(413, Content::Page, true)],
        )
        .with_rest(body(REFUSED_BYTES - 50_000)),
        Client::begin(
            "a refused upload in chunks",
            connect(),
            chunked,
            0,
            vec![owed(405, Content::Page, true)],
        )
        .with_rest([&chunks(400)[..], b"0\r\n\r\n"].concat()),
    ]
}

/// Connections between two requests, and one that has not asked for anything yet.
fn idle<'a, S: Read + Write>(connect: &impl Fn() -> S) -> Clients<'a, S> {
    let kept = |_| {
        let mut client = Client::begin("an idle connection", connect(), GET, 0, vec![]);
        let answer = read_answer(&mut client.stream, false);
        assert_eq!((answer.status, answer.closes()), (200, false));
        client
    };
    let mut all: Clients<'a, S> = (0..3).map(kept).collect();
    all.push(Client::begin("a new connection", connect(), "", 0, vec![]));
    all
}

/// Several requests at once, of which a part is answered.
fn pipelines<'a, S: Read + Write>(site: &'a Site, connect: &impl Fn() -> S) -> Clients<'a, S> {
    let large = owed(200, Content::Bytes(&site.large), false);
    let index = owed(200, Content::Bytes(&site.index), true);
    let middle = owed(200, Content::Bytes(&site.middle), None);
    let many = "GET /middle.bin HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20);
    let mut all = vec![
        // The next answer says that it is the last; the third request gets none.
        Client::begin(
            "two requests behind a download",
            connect(),
            format!("{GET_LARGE}{GET}{GET}"),
            1000,
            vec![large, index],
        ),
        Client::begin(
            "twenty requests at once",
            connect(),
            many,
            1000,
            vec![middle; 20],
        )
        .at_least(1),
    ];
    if LINGERS {
        // Not read yet when the stop comes; a plain close would reset for it.
        let what = "a request that came behind a download";
        let index = owed(200, Content::Bytes(&site.index), Some(true));
        let mut client = Client::begin(what, connect(), GET_LARGE, 1000, vec![large, index]);
        client.stream.write_all(GET.as_bytes()).unwrap();
        all.push(client);
    }
    all
}

/// A connection whose window does not grow.
fn connect(server: &Server) -> TcpStream {
    let stream = server.connect();
    socket::set_receive_buffer(stream.as_fd(), WINDOW_BYTES).unwrap();
    stream
}

/// Clients of all kinds.
fn everybody<'a>(site: &'a Site, server: &Server) -> Clients<'a, TcpStream> {
    let connect = || connect(server);
    let mut all = downloads(site, &connect);
    all.extend(uploads(site, &connect));
    all.extend(lingering(&connect));
    all.extend(idle(&connect));
    all.extend(pipelines(site, &connect));
    settled(server);
    // That those linger is seen from outside: our FIN was sent and acknowledged.
    let (port, half_closed) = (server.port(), [Tcp::FinWait2]);
    eventually("they linger", || {
        sockets(port, &half_closed) == lingering_count()
    });
    all
}

fn lingering_count() -> usize {
    2 * usize::from(LINGERS)
}

/// What the clients have said, the server has dealt with.
fn settled(server: &Server) {
    eventually("it rests", || rests(server.pid()));
}

// ---- the server ---------------------------------------------------------------------------------

fn start(site: &Site, more: &[&str]) -> Server {
    Server::start(site.root.path(), &[KEYS, more].concat())
}

/// Tells the server to stop; so many connections must be there.
fn told_to_stop(server: &Server, signal: &str, live: usize) {
    server.signal(signal);
    server.says(&format!("adieu: stopping: {live} connections"));
}

/// Nobody was cut off, by whatever clock or budget.
fn nobody_was_cut(stopped: &Stopped) {
    for reason in [
        "stopped",
        "reset-by-peer",
        "timeout-write",
        "linger-idle",
        "linger-total",
        "linger-bytes",
        "file-shrank",
        "fault",
    ] {
        assert_eq!(
            stopped.counter(&format!("close.{reason}")),
            0,
            "{stopped:?}"
        );
    }
    let complains = |line: &&String| line.contains("warning: ") || line.contains("error: ");
    assert_eq!(stopped.lines.iter().find(complains), None);
}

/// A line for each answer, and each was complete.
fn assert_all_complete(log: &std::path::Path, count: usize) {
    let text = fs::read_to_string(log).unwrap();
    for line in text.lines() {
        assert!(line.contains("\"complete\":true"), "{line}");
    }
    assert_eq!(text.lines().count(), count);
}

#[test]
fn every_owed_answer_arrives_and_the_server_ends_by_itself() {
    let site = Site::new();
    let mut counts = Vec::new();
    for signal in ["TERM", "QUIT"] {
        let log = site.root.path().join(format!("{signal}.log"));
        let target = format!("log.access_target=file:{}", log.display());
        let server = start(&site, &[STOP_LATE, "log.access=json", &target]);
        let clients = everybody(&site, &server);
        let idle = idle_count(&clients);
        told_to_stop(&server, signal, clients.len());
        // The idle connections that have asked before, each once.
        let before = idle - 1;
        let had: usize = clients.into_iter().map(Client::goes_on).sum();
        let stopped = server.ends();
        nobody_was_cut(&stopped);
        assert_eq!(stopped.counter("close.evicted"), 0, "{stopped:?}");
        assert_all_complete(&log, had + before);
        counts.push(
            ["accepted", "response.4xx", "reject.body-too-large"].map(|n| stopped.counter(n)),
        );
    }
    assert_eq!(counts[0], counts[1], "QUIT is TERM");
}

/// Those to whom nothing is owed.
fn idle_count<S>(clients: &[Client<'_, S>]) -> usize {
    clients.iter().filter(|c| c.owed.is_empty()).count()
}

#[test]
fn who_waits_to_be_accepted_is_still_served() {
    let site = Site::new();
    let slots = ["memory.connections=4", "limits.connections_per_address=12"];
    let server = start(&site, &[&slots[..], &[STOP_LATE]].concat());
    let connect = || connect(&server);
    let whole = owed(200, Content::Bytes(&site.large), false);
    let slow = |_| Client::begin("a download", connect(), GET_LARGE, 1000, vec![whole]);
    let clients: Clients<'_, TcpStream> = (0..4).map(slow).collect();
    let index = owed(200, Content::Bytes(&site.index), true);
    let refused = owed(405, Content::Page, true);
    let queued = vec![
        Client::begin("a queued request", connect(), GET, 0, vec![index]),
        Client::begin(
            "a queued pipeline",
            connect(),
            GET.repeat(2),
            0,
            vec![index],
        ),
        Client::begin(
            "a queued upload",
            connect(),
            upload("POST", 3000, 1000),
            0,
            vec![refused],
        )
        .with_rest(body(2000)),
        // The last: while others waited behind it, it would have to give way.
        Client::begin("half a queued head", connect(), &GET[..20], 0, vec![index])
            .with_rest(&GET[20..]),
    ];
    told_to_stop(&server, "TERM", clients.len());
    server.signal("USR2");
    server.says("adieu: counters: 4 of 4 slots are taken");
    server.says("adieu: counters: accepted=4 ");
    for client in clients.into_iter().chain(queued) {
        client.goes_on();
    }
    let stopped = server.ends();
    assert_eq!(stopped.counter("accepted"), 8, "{stopped:?}");
    nobody_was_cut(&stopped);
}

#[test]
fn a_unix_socket_is_stopped_alike() {
    let site = Site::new();
    let path = std::env::temp_dir().join(format!("adieu-{}-stopping", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let keys = [KEYS, &[STOP_LATE, "linger.so_linger_s=1"]].concat();
    let server = Server::on(&listen, site.root.path(), &keys);
    let connect = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut clients = downloads(&site, &connect);
    clients.extend(uploads(&site, &connect));
    clients.extend(lingering(&connect));
    clients.extend(idle(&connect));
    clients.extend(pipelines(&site, &connect));
    settled(&server);
    told_to_stop(&server, "TERM", clients.len());
    for client in clients {
        client.goes_on();
    }
    nobody_was_cut(&server.ends());
    let _ = fs::remove_file(path);
}

// ---- clients that do not go on ------------------------------------------------------------------

/// What a client that was cut off has seen: nothing more than a part of what was owed, and no end
/// that makes the part look whole.
fn was_cut(client: Client<'_, TcpStream>) {
    let what = client.what;
    let Client {
        mut stream, heard, ..
    } = client;
    let Heard { bytes, end } = hear(&mut stream);
    let all = [heard, bytes].concat();
    let in_answer = client.owed.iter().any(|owed| owed.status == 200) && all.len() > CONTINUE.len();
    let expected = if in_answer { End::Reset } else { End::Fin };
    assert_eq!(end, expected, "{what}");
    if !in_answer && all != CONTINUE {
        // Its refusal was said before, or it had nothing to expect, or it had not finished asking.
        let (found, rest) = answers(&all, false);
        assert!(rest.is_empty() && found.len() <= 1, "{what}");
        let had_it = what == REFUSED;
        assert!(had_it || found.iter().all(Answer::closes), "{what}");
        let owed_one = had_it || what.contains("was too large");
        assert!(!owed_one || found.len() == 1, "{what}");
    }
}

/// All of `cut` were cut, and counted so; the others were not.
fn were_cut(stopped: &Stopped, cut: usize, others: usize) {
    let count = |n: usize| u64::try_from(n).unwrap();
    assert_eq!(stopped.counter("close.stopped"), count(cut), "{stopped:?}");
    assert_eq!(
        stopped.counter("accepted"),
        count(cut + others),
        "{stopped:?}"
    );
    for reason in ["reset-by-peer", "timeout-write", "linger-total", "evicted"] {
        assert_eq!(
            stopped.counter(&format!("close.{reason}")),
            0,
            "{stopped:?}"
        );
    }
}

#[test]
fn who_does_not_go_on_is_cut_at_the_deadline_and_not_before() {
    let site = Site::new();
    // Longer than the grace of a new connection, which is told goodbye only after it.
    let short = start(&site, &["timeout.stop_ms=3s"]);
    let long = start(&site, &[STOP_LATE]);
    let (cut, held) = (everybody(&site, &short), everybody(&site, &long));
    told_to_stop(&long, "TERM", held.len());
    told_to_stop(&short, "TERM", cut.len());
    let idle = idle_count(&cut);
    // The one ends; the other, which was told before and has the same clients, does not.
    let stopped = short.ends();
    were_cut(&stopped, cut.len() - idle, idle);
    settled(&long);
    let (quiet, busy): (Vec<_>, Vec<_>) = held.into_iter().partition(|c| c.owed.is_empty());
    for client in quiet {
        client.goes_on(); // the idle ones were told goodbye
    }
    long.signal("TERM");
    were_cut(&long.ends(), busy.len(), idle);
    for client in cut.into_iter().chain(busy) {
        was_cut(client);
    }
}

#[test]
fn an_interrupt_in_the_middle_of_a_stop_ends_it_at_once() {
    let site = Site::new();
    for first in ["TERM", "QUIT"] {
        let server = start(&site, &[STOP_LATE]);
        let clients = everybody(&site, &server);
        told_to_stop(&server, first, clients.len());
        // Every other one goes on; of the others only those that idled are over.
        let (mut over, mut left) = (0, Vec::new());
        for (number, client) in clients.into_iter().enumerate() {
            if client.owed.is_empty() || number % 2 == 0 {
                client.goes_on();
                over += 1;
            } else {
                left.push(client);
            }
        }
        eventually("those are over", || connections(&server) == left.len());
        server.signal("INT");
        let stopped = server.ends();
        assert!(
            stopped
                .lines
                .iter()
                .any(|line| line == "adieu: stopping now")
        );
        were_cut(&stopped, left.len(), over);
        left.into_iter().for_each(was_cut);
    }
}

/// Connections whose end at the server is not closed yet.
fn connections(server: &Server) -> usize {
    let (one, two) = (Tcp::FinWait1, Tcp::FinWait2);
    sockets(server.port(), &[Tcp::Established, one, two, Tcp::CloseWait])
}

#[test]
fn an_interrupt_alone_cuts_everybody() {
    let site = Site::new();
    let server = start(&site, &[STOP_LATE]);
    let clients = everybody(&site, &server);
    server.signal("INT");
    let stopped = server.ends();
    were_cut(&stopped, clients.len(), 0);
    clients.into_iter().for_each(was_cut);
}
