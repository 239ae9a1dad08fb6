//! close(2) never waits, in any flavour, whatever the peer does.
//!
//! Not milliseconds are measured but what a thread does that waits: it goes to sleep, and the
//! kernel counts that (`voluntary_ctxt_switches`). A loop that only ever waits in its poll sleeps
//! at most once a turn. A close that waits, such as one with SO_LINGER and bytes that nobody takes,
//! adds one for each connection. The reactor runs in a thread of the test, so that turns can be
//! counted, and the flavour is a value: every build shows all three.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::config::{Config, Listen, SiteConfig};
use adieu::connection::state::Teardown;
use adieu::reactor::Reactor;
use adieu::reactor::kernel::{Before, Kernel};
use adieu::site::Site;
use adieu::sys::socket;
use common::http::only;
use common::outside::status;
use common::root::Root;
use common::{PATIENCE, eventually, hear};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

/// Connections that are stuck when they are closed.
const STUCK: usize = 50;
/// Sleeps that are no waiting of ours: page faults of the first turn, a busy machine.
const SLACK: u64 = 10;
const GET_LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const GET_HUGE: &[u8] = b"GET /huge.bin HTTP/1.1\r\nHost: h\r\n\r\n";

/// What a loop did from its first turn to its last.
#[derive(Debug)]
struct Did {
    turns: u64,
    sleeps: u64,
    /// Connections cut in the response, and in the goodbye.
    responses: u64,
    goodbyes: u64,
}

/// A reactor in its own thread.
struct Loop {
    address: SocketAddr,
    live: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Did>,
}

impl Loop {
    fn start(config: Config, teardown: Teardown) -> Self {
        let (ready, address) = mpsc::channel();
        let live = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::new(AtomicUsize::new(0));
        let came = Arc::clone(&accepted);
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, asked) = (Arc::clone(&live), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let site = Site::new(&config).expect("a site");
            let kernel = Kernel::open(&config, &mut Before::default()).expect("a listener");
            let address = kernel.addresses().next().expect("one address");
            let mut reactor = Reactor::new(kernel, site, &config, teardown);
            ready.send(address).expect("the test waits");
            let sleeps = || status("/proc/thread-self/status", "voluntary_ctxt_switches");
            let before = sleeps();
            let mut turns = 0;
            while !asked.load(Ordering::SeqCst) {
                reactor.turn().expect("a turn");
                turns += 1;
                let all = usize::try_from(reactor.counters().accepted()).unwrap();
                came.store(all, Ordering::SeqCst);
                seen.store(reactor.census().iter().sum(), Ordering::SeqCst);
            }
            let sleeps = sleeps() - before;
            reactor.check();
            let closes = |name| reactor.counters().value("close", name).unwrap();
            Did {
                turns,
                sleeps,
                responses: closes("timeout-write"),
                goodbyes: closes("linger-idle") + closes("linger-total"),
            }
        });
        Self {
            address: address.recv_timeout(PATIENCE).expect("it is ready"),
            live,
            accepted,
            stop,
            thread,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Somebody who does nothing wrong is served.
    fn serves(&self) {
        let mut stream = self.connect();
        stream.write_all(GET_LAST).unwrap();
        assert_eq!(only(&hear(&mut stream).bytes).status, 200);
    }

    fn end(self) -> Did {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.thread.join().expect("no panic")
    }
}

fn config(root: &Root) -> Config {
    let mut config = Config {
        listen: vec![Listen::from(SocketAddr::from(([127, 0, 0, 1], 0)))],
        site: SiteConfig {
            root: root.path().to_path_buf(),
            ..SiteConfig::default()
        },
        connections_per_address: 128,
        backlog: 128,
        ..Config::default()
    };
    // Long enough that all are stuck before the first is cut.
    config.limits.write_ms = 500;
    config.limits.linger_idle_ms = 500;
    config.limits.linger_total_ms = 1000;
    config.limits.so_linger_s = 1;
    config
}

/// Fifty clients that take nothing, each made by `client`; all of them must be gone in the end,
/// while another is served.
fn stuck(teardown: Teardown, client: impl Fn(&Loop, usize) -> TcpStream) -> Did {
    let root = Root::new();
    root.sparse("huge.bin", 50 << 20);
    let server = Loop::start(config(&root), teardown);
    let clients: Vec<TcpStream> = (0..STUCK).map(|n| client(&server, n)).collect();
    eventually("all are accepted", || server.accepted() >= STUCK);
    server.serves();
    eventually("all are gone", || server.live() == 0);
    server.serves();
    drop(clients);
    server.end()
}

fn slept_only_in_poll(teardown: Teardown, did: &Did) {
    println!("{teardown:?}: {did:?}");
    assert!(
        did.sleeps <= did.turns + SLACK,
        "{teardown:?} slept outside its poll: {did:?}"
    );
    // A loop that spins has many turns to hide behind.
    assert!(did.turns < 40 * u64::try_from(STUCK).unwrap(), "{did:?}");
}

/// Asks for 50 MiB and reads nothing: a zero window.
fn zero_window(server: &Loop, _number: usize) -> TcpStream {
    let mut stream = server.connect();
    socket::set_receive_buffer(stream.as_fd(), 4608).unwrap();
    stream.write_all(GET_HUGE).unwrap();
    stream
}

/// The same, but it has said its own goodbye: LAST_ACK instead of FIN_WAIT_1 after a close.
fn zero_window_half_closed(server: &Loop, number: usize) -> TcpStream {
    let stream = zero_window(server, number);
    stream.shutdown(Shutdown::Write).unwrap();
    stream
}

/// Its answer fits into its window and our send queue together, so that the goodbye itself is
/// stuck. What they hold is the kernel's secret: of fifty lengths some are right, the rest is too
/// short, and over at once, or too long, and stuck before the goodbye.
fn stuck_goodbye(server: &Loop, number: usize) -> TcpStream {
    let mut stream = server.connect();
    let last = 30_000 + 4_000 * number;
    let request = format!(
        "GET /huge.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\nRange: bytes=0-{last}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// One after the other: a process has one set of signal handlers.
#[test]
fn no_flavour_waits_in_close() {
    for teardown in Teardown::ALL {
        let cuts = u64::try_from(STUCK).unwrap();
        let did = stuck(teardown, zero_window);
        slept_only_in_poll(teardown, &did);
        assert_eq!(did.responses, cuts, "{did:?}");
        let did = stuck(teardown, zero_window_half_closed);
        slept_only_in_poll(teardown, &did);
        assert_eq!(did.responses, cuts, "{did:?}");
        if teardown != Teardown::Plain {
            let did = stuck(teardown, stuck_goodbye);
            slept_only_in_poll(teardown, &did);
            assert!(did.goodbyes >= 3, "{did:?}");
        }
    }
}
