//! Nothing is allocated on the way of a request, nor for a connection's begin or end.
//!
//! The reactor runs in a thread of the test, and only that thread's calls of the allocator count.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

mod common;

use adieu::config::network::Networks;
use adieu::config::pattern::Pattern;
use adieu::config::speaks::Speaks;
use adieu::config::{AccessFormat, Config, Listen, SiteConfig, UploadRule};
use adieu::reactor::Reactor;
use adieu::reactor::kernel::{Before, Kernel};
use adieu::reactor::teardown::BUILT;
use adieu::report::access::Access;
use adieu::site::Site;
use common::http::read_answer;
use common::root::Root;
use common::uploads::{ask, bare, head, inbox, noise, nothing_is_left, put, put_chunked};
use common::{PATIENCE, hear};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

thread_local! {
    /// Calls of the allocator by this thread. Const and without a destructor: counting allocates
    /// nothing.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

fn count() {
    CALLS.with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A reactor in its own thread, which answers how often it has called the allocator.
struct Counted {
    address: SocketAddr,
    ask: Arc<Ask>,
    answers: Receiver<u64>,
    thread: Option<JoinHandle<()>>,
    /// There is one reactor at a time in a process, for it has the signals.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

/// What the test asks the thread for.
#[derive(Default)]
struct Ask {
    calls: AtomicBool,
    end: AtomicBool,
}

impl Counted {
    fn start(config: Config) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ask = Arc::new(Ask::default());
        let asked = Arc::clone(&ask);
        let (tell_address, address) = mpsc::channel();
        let (tell, answers) = mpsc::channel();
        let thread = thread::spawn(move || serve(&config, &asked, &tell_address, &tell));
        Self {
            address: address.recv_timeout(PATIENCE).expect("it is ready"),
            ask,
            answers,
            thread: Some(thread),
            _alone: alone,
        }
    }

    /// Allocator calls so far. The loop must be woken to answer.
    fn calls(&self) -> u64 {
        self.ask.calls.store(true, Ordering::SeqCst);
        let waker = TcpStream::connect(self.address).expect("a connection");
        drop(waker);
        self.answers.recv_timeout(PATIENCE).expect("an answer")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("TCP");
        stream
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.ask.end.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(config: &Config, asked: &Ask, ready: &Sender<SocketAddr>, tell: &Sender<u64>) {
    let site = Site::new(config).expect("a site");
    let mut before = Before::default();
    let kernel = Kernel::open(config, &mut before).expect("a listener");
    before.files.keep();
    let address = kernel.addresses().next().expect("one address");
    let mut reactor = Reactor::new(kernel, site, config, BUILT);
    reactor.log_accesses(Access::open(config).expect("a file"));
    ready.send(address).expect("the test waits");
    while !asked.end.load(Ordering::SeqCst) {
        reactor.turn().expect("a turn");
        if asked.calls.swap(false, Ordering::SeqCst) {
            // What sending allocates is not counted.
            let calls = CALLS.with(Cell::get);
            let told = tell.send(calls);
            CALLS.with(|now| now.set(calls));
            told.expect("the test waits");
        }
    }
    reactor.check();
}

const OK: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const MISSING: &[u8] = b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";

fn get(path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

/// Which request of a batch is a HEAD.
const HEAD_AT: usize = 14;

/// One batch of all kinds; the statuses it is answered with.
fn batch(etag: &str) -> (Vec<u8>, Vec<u16>) {
    let same = format!("If-None-Match: {etag}\r\n");
    let proxied = "Forwarded: for=_a, for=\"[2001:db8::1]:4711\";by=_b\r\n";
    let requests: [(Vec<u8>, u16); 19] = [
        (get("/", proxied), 200),
        (OK.to_vec(), 200),
        (get("/", &same), 304),
        (MISSING.to_vec(), 404),
        (get("/large.bin", ""), 200),
        (get("/large.bin", "Range: bytes=-10\r\n"), 206),
        (get("/large.bin", "Range: bytes=9999999-\r\n"), 416),
        (get("/large.bin", "Range: bytes=-9,0-8,1000-29999\r\n"), 206),
        (
            get(
                "/large.bin",
                &format!("Range: bytes={}\r\n", "0-,".repeat(99)),
            ),
            206,
        ),
        (get("/large.bin", "Accept-Encoding: br, *;q=0.1\r\n"), 200),
        (
            get("/large.bin", "Accept-Encoding: gzip\r\nRange: bytes=-3\r\n"),
            206,
        ),
        (get("/.hidden", ""), 404),
        (get("/directory", ""), 301),
        (get("/directory/", ""), 200),
        (
            b"HEAD /directory/ HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
            200,
        ),
        (
            get("/large.bin", "Range: bytes=0-19999,20001-39999\r\n"),
            206,
        ),
        (get("/empty/", ""), 200),
        (get("/index.html", "Content-Length: 5\r\n"), 200),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_vec(),
            405,
        ),
    ];
    let mut bytes = Vec::new();
    let mut statuses = Vec::new();
    for (request, status) in requests {
        bytes.extend_from_slice(&request);
        if request.ends_with(b"Content-Length: 5\r\n\r\n") {
            bytes.extend_from_slice(b"12345");
        }
        statuses.push(status);
    }
    (bytes, statuses)
}

/// Sends a batch, in one piece or request by request, and checks its answers.
fn exchange(stream: &mut TcpStream, etag: &str) {
    let (bytes, statuses) = batch(etag);
    stream.write_all(&bytes).unwrap();
    for (at, status) in statuses.into_iter().enumerate() {
        assert_eq!(read_status(stream, at == HEAD_AT), status, "answer {at}");
    }
}

/// Reads one answer of any length and not a byte more; its status.
fn read_status(stream: &mut TcpStream, head_only: bool) -> u16 {
    let head = read_answer(stream, true);
    if !head_only && head.field("transfer-encoding") == Some("chunked") {
        while read_chunk(stream) > 0 {}
    } else if let Some(length) = head.field("content-length").filter(|_| !head_only) {
        skip_bytes(stream, length.parse().unwrap());
    }
    head.status
}

/// Reads a chunk; the bytes of its content, 0 in the last.
fn read_chunk(stream: &mut impl Read) -> u64 {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a size line");
        line.push(byte[0]);
    }
    let size = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
    let size = u64::from_str_radix(size, 16).expect("a size");
    skip_bytes(stream, size + 2);
    size
}

fn skip_bytes(stream: &mut impl Read, bytes: u64) {
    let read = std::io::copy(&mut stream.take(bytes), &mut std::io::sink());
    assert_eq!(read.unwrap(), bytes);
}

fn one(stream: &mut TcpStream, request: &[u8], status: u16) {
    stream.write_all(request).unwrap();
    assert_eq!(read_answer(stream, false).status, status);
}

fn config(root: &Root) -> Config {
    let log = root.path().join("log");
    let mut config = Config {
        access: AccessFormat::Json,
        access_target: format!("file:{}", log.display()),
        access_bytes: 64 << 10, // so that it is renamed, too
        listen: vec![Listen::from(SocketAddr::from(([127, 0, 0, 1], 0)))],
        trusted: Networks::parse("127.0.0.0/8").unwrap(),
        speaks: Speaks::Forwarded,
        site: SiteConfig {
            root: root.path().to_path_buf(),
            listing: true,
            ..SiteConfig::default()
        },
        ..Config::default()
    };
    config.limits.keepalive_requests = u16::MAX;
    config
}

/// An empty directory; and some of which each needs more than one piece, and more than one look.
fn directories(root: &Root) {
    std::fs::create_dir(root.path().join("empty")).unwrap();
    for name in ["directory", "second", "third"] {
        let directory = root.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        for n in 0..300 {
            std::fs::write(directory.join(format!("a name of some length {n}")), b"").unwrap();
        }
        std::os::unix::fs::symlink("../large.bin", directory.join("link")).unwrap();
    }
}

/// Listings that wait for each other, end with the connection, and are broken off.
fn listings(server: &Counted) {
    let ask = |name: &str, version: &str| {
        let mut stream = server.connect();
        let request = format!("GET /{name}/ HTTP/{version}\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    for _ in 0..20 {
        let mut streams = ["directory", "second", "third"].map(|name| ask(name, "1.1"));
        drop(ask("third", "1.1"));
        for stream in &mut streams {
            assert_eq!(read_status(stream, false), 200);
        }
        let heard = hear(&mut ask("second", "1.0"));
        assert!(heard.bytes.ends_with(b"</html>\n"));
    }
}

#[test]
fn nothing_is_allocated_after_ready() {
    let root = Root::new();
    root.sparse("large.bin", 40_000);
    root.file("large.bin.gz", b"coded");
    std::os::unix::fs::symlink("large.bin.gz", root.path().join("large.bin.br")).unwrap();
    directories(&root);
    let server = Counted::start(config(&root));
    let before = server.calls();
    assert!(before > 0, "the counter counts");

    let mut stream = server.connect();
    stream.write_all(OK).unwrap();
    let etag = read_answer(&mut stream, false)
        .field("etag")
        .unwrap()
        .to_owned();
    let same = get("/", &format!("If-None-Match: {etag}\r\n"));
    for _ in 0..500 {
        exchange(&mut stream, &etag); // nineteen requests in one piece
    }
    for _ in 0..1200 {
        one(&mut stream, OK, 200);
        one(&mut stream, &same, 304);
        one(&mut stream, MISSING, 404);
    }
    assert_eq!(
        server.calls() - before,
        0,
        "10,000 requests allocate nothing"
    );

    for _ in 0..1000 {
        let mut stream = server.connect();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .unwrap();
        assert!(!hear(&mut stream).bytes.is_empty());
    }
    for _ in 0..100 {
        let mut stream = server.connect();
        let _ = stream.write_all(b"this is not HTTP\r\n\r\n");
        let _ = stream.write_all(&[b'x'; 100_000]); // fails in flavours that do not linger
    }
    listings(&server);
    assert_eq!(
        server.calls() - before,
        0,
        "1,200 connections allocate nothing"
    );
}

/// Uploads of all kinds: taken, refused before and in their bodies, and broken off.
fn uploads(server: &Counted, root: &Root, body: &[u8]) {
    let mut kept = server.connect();
    let wait = "Expect: 100-continue\r\n";
    kept.write_all(&head("PUT", "/inbox/x", wait, 5)).unwrap();
    assert_eq!(read_answer(&mut kept, false).status, 100);
    assert_eq!(ask(&mut kept, b"12345").status, 201);
    for (request, status) in [
        (put("/inbox/x", "", body), 204),
        (put_chunked("/inbox/x", "", body, 3000), 204),
        (put("/inbox/x", "If-None-Match: *\r\n", b"x"), 412),
        (put("/inbox", "", b"x"), 409),
        (put("/x", "", b"x"), 405),
        (put("/inbox/tiny", "", &[b'x'; 100]), 413),
        (bare("DELETE", "/inbox/x", ""), 204),
        (bare("DELETE", "/inbox/x", ""), 404),
    ] {
        assert_eq!(ask(&mut kept, &request).status, status);
    }
    for request in [
        put_chunked("/inbox/tiny", "", &[b'x'; 100], 1000),
        put("/inbox/x", "", body)[..1000].to_vec(),
    ] {
        server.connect().write_all(&request).unwrap();
    }
    nothing_is_left(root);
}

#[test]
fn uploads_allocate_nothing() {
    let root = inbox();
    let mut config = config(&root);
    let rule = |pattern: &str, max_bytes| UploadRule {
        pattern: Pattern::parse(pattern).unwrap(),
        max_bytes,
    };
    config.site.uploads = vec![rule("/inbox", 1 << 20), rule("/inbox/tiny", 10)];
    let server = Counted::start(config);
    let body = noise(200_000, 1);
    let before = server.calls();
    for _ in 0..15 {
        uploads(&server, &root, &body);
    }
    assert_eq!(server.calls() - before, 0, "uploads allocate nothing");
}

#[test]
fn the_status_allocates_nothing() {
    if !adieu::config::status::BUILT {
        println!("SKIP the_status_allocates_nothing: this build does not show its status");
        return;
    }
    let root = Root::new();
    let mut config = config(&root);
    let socket = root.path().join("status");
    config.status.path = "/-/status".to_owned();
    config.status.socket = socket.to_str().unwrap().to_owned();
    // Else every client is somebody behind a proxy.
    config.trusted = Networks::default();
    let server = Counted::start(config);
    let before = server.calls();
    let ask = |path: String| -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
    };
    for _ in 0..50 {
        let mut stream = server.connect();
        let mut own = std::os::unix::net::UnixStream::connect(&socket).expect("a connection");
        own.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        for form in ["", "/json", "/metrics", "/text"] {
            stream.write_all(&ask(format!("/-/status{form}"))).unwrap();
            assert_eq!(read_status(&mut stream, false), 200, "{form}");
            let path = if form.is_empty() { "/" } else { form };
            own.write_all(&ask(path.to_owned())).unwrap();
            let head = read_answer(&mut own, true);
            assert_eq!(head.status, 200, "{form}");
            while read_chunk(&mut own) > 0 {}
        }
    }
    assert_eq!(server.calls() - before, 0, "400 answers allocate nothing");
}
