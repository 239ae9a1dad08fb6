//! Thousands of clients that fall silent, and one that does nothing wrong: it is served all along,
//! and the thousands leave nothing behind.
//!
//! The silent ones stay open until the end of their wave: what comes home does so without their
//! help.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::connection::state::Teardown;
use adieu::reactor::GRACE_MS;
use adieu::reactor::teardown::BUILT;
use adieu::sys::clock::monotonic_ms;
use adieu::sys::limits::raise_open_files;
use common::outside::{Tcp, sockets, status};
use common::root::Root;
use common::server::Server;
use common::{eventually, skip};
use std::io::{Read, Write};
use std::net::TcpStream;

const CLIENTS: usize = 2000;
/// Descriptors: a client here; a connection and a file there, which the server raises for itself.
const DESCRIPTORS: u64 = 4500;
/// What memory may differ between two rounds of the same load: pages that the kernel counts late.
const SLACK_KIB: u64 = 256;
const GET_LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// How often the good client was served, and how often it had to wait for the grace that a buffer's
/// holder is given.
#[derive(Clone, Copy, Debug, Default)]
struct Service {
    served: usize,
    late: usize,
}

/// A new connection and a request; whatever others do, it is answered.
fn good_client(server: &Server, service: &mut Service) {
    let before = monotonic_ms();
    server.serves_a_good_client();
    service.served += 1;
    service.late += usize::from(monotonic_ms() - before >= GRACE_MS);
}

/// Refused in the middle of its upload; sends 1 KiB more, and then nothing for ever.
fn refused_upload(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    // Without lingering close this may meet the reset.
    let _ = stream.write_all(&[b'x'; 1024]);
    stream
}

/// Has its answer, and does not close.
fn never_closes(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(GET_LAST).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    stream
}

/// Half a head, and then nothing.
fn half_a_head(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow")
        .unwrap();
    stream
}

/// One wave: the silent come, the good one is served between them and until they are all gone.
/// Answers how often it was.
fn wave(server: &Server, silent: fn(&Server) -> TcpStream) -> usize {
    let mut service = Service::default();
    let mut open = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        open.push(silent(server));
        if number % 50 == 0 {
            good_client(server, &mut service);
        }
    }
    eventually("every slot comes home", || {
        good_client(server, &mut service);
        server.busy() == 0
    });
    let owed = [
        Tcp::Established,
        Tcp::FinWait1,
        Tcp::CloseWait,
        Tcp::LastAck,
    ];
    eventually("nothing is left in the kernel", || {
        sockets(server.port(), &owed) == 0
    });
    assert_eq!(open.len(), CLIENTS);
    // The last buffers are for requests that are whole. A busy machine may make a few of them wait.
    assert!(service.late * 10 <= service.served, "{service:?}");
    service.served
}

#[test]
fn the_silent_lock_nobody_out_and_leave_nothing_behind() {
    let name = "the_silent_lock_nobody_out_and_leave_nothing_behind";
    let limit = raise_open_files(DESCRIPTORS).unwrap();
    if limit < DESCRIPTORS {
        skip(
            name,
            &format!("{DESCRIPTORS} open files are needed, {limit} allowed"),
        );
        return;
    }
    let root = Root::new();
    let keys = [
        "memory.connections=2100",
        "limits.connections_per_address=2100",
        "memory.buffers=64",
        "memory.backlog=1024",
        "linger.idle_ms=500",
        "timeout.head_ms=1500",
    ];
    let server = Server::start(root.path(), &keys);
    let waves = [refused_upload, never_closes, half_a_head];
    let mut memory = Vec::new();
    let mut served = 0;
    for round in 0..2 {
        for silent in waves {
            served += wave(&server, silent);
        }
        memory.push(status(&server.proc("status"), "VmRSS"));
        println!("round {round}: {memory:?} KiB, {served} good requests");
    }
    // The first round has touched every page there is.
    assert!(memory[1] <= memory[0] + SLACK_KIB, "{memory:?} KiB");
    let stopped = server.stop();
    let silent = u64::try_from(2 * waves.len() * CLIENTS).unwrap();
    let good = u64::try_from(served).unwrap();
    assert_eq!(stopped.counter("accepted"), silent + good);
    assert_eq!(stopped.counter("response.2xx"), silent / 3 + good);
    assert_eq!(stopped.counter("refused-address"), 0);
    let late = stopped.counter("reject.late-head") + stopped.counter("reject.gave-way");
    println!("{:?}", stopped.counters);
    assert!(late > 0);
    if BUILT == Teardown::Linger {
        assert!(stopped.counter("close.linger-idle") >= silent / 3);
    }
}
