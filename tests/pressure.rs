//! Whoever holds what others need, and does not move, cannot lock them out: neither clients that do
//! not read, nor pipelines behind a download, nor silent connections. Where the system has nothing
//! left the log stays short.
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
use common::http::only;
use common::outside::{Tcp, descriptors, sockets};
use common::root::Root;
use common::server::Server;
use common::{End, eventually, hear, skip};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

/// A connection whose client takes little.
fn narrow(server: &Server) -> TcpStream {
    let stream = server.connect();
    socket::set_receive_buffer(stream.as_fd(), 2304).unwrap();
    stream
}

#[test]
fn clients_that_do_not_read_give_their_buffers_back() {
    let root = Root::new();
    root.file("small.bin", &[b'x'; 3000]);
    let keys = [
        "memory.connections=24",
        "memory.buffers=6",
        "limits.connections_per_address=24",
    ];
    let server = Server::start(root.path(), &keys);
    let ask = b"GET /small.bin HTTP/1.1\r\nHost: h\r\n\r\n".repeat(60);
    let stuck: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut stream = narrow(&server);
            stream.write_all(&ask).unwrap();
            stream
        })
        .collect();
    for _ in 0..3 {
        server.serves_a_good_client();
    }
    drop(stuck);
    server.comes_home();
    server.stop();
}

#[test]
fn requests_behind_a_download_give_their_buffers_back() {
    let root = Root::new();
    root.sparse("large.bin", 32 << 20);
    let keys = [
        "memory.connections=24",
        "memory.buffers=6",
        "limits.connections_per_address=24",
    ];
    let server = Server::start(root.path(), &keys);
    let mut slow: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut stream = narrow(&server);
            stream
                .write_all(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\nG")
                .unwrap();
            stream.read_exact(&mut [0; 200]).unwrap(); // it moves
            stream
        })
        .collect();
    for _ in 0..3 {
        server.serves_a_good_client();
    }
    for stream in &mut slow {
        stream.read_exact(&mut [0; 2000]).unwrap(); // and goes on
    }
    drop(slow);
    server.comes_home();
    assert!(server.stop().counter("evicted.pipeline") > 0);
}

#[test]
fn downloads_that_do_not_move_give_their_slots_back() {
    let root = Root::new();
    root.sparse("large.bin", 32 << 20);
    let keys = [
        "memory.connections=6",
        "limits.connections_per_address=12",
        "linger.idle_ms=500",
    ];
    let server = Server::start(root.path(), &keys);
    let stuck: Vec<TcpStream> = (0..6)
        .map(|_| {
            let mut stream = narrow(&server);
            stream
                .write_all(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    eventually("all slots are taken", || server.busy() >= 6);
    server.serves_a_good_client();
    drop(stuck);
    server.comes_home();
    assert!(server.stop().counter("evicted.stuck") > 0);
}

#[test]
fn silent_connections_take_nothing_from_anybody() {
    let root = Root::new();
    let keys = [
        "memory.connections=24",
        "memory.buffers=6",
        "timeout.head_ms=3s",
    ];
    let server = Server::start(root.path(), &keys);
    let mut slow: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    let silent: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    for stream in &mut slow {
        assert_eq!(
            only(&hear(stream).bytes).status,
            408,
            "late, at its own deadline"
        );
    }
    drop((slow, silent));
    server.comes_home();
    let stopped = server.stop();
    assert_eq!(stopped.counter("evicted.stalled"), 0, "{stopped:?}");
    assert_eq!(stopped.counter("reject.late-head"), 4);
}

/// The clock of this test is the server's own: a goodbye beside it that ends by its idle period.
#[test]
fn a_client_that_pauses_gets_the_end_of_its_answer_too() {
    let root = Root::new();
    let bytes: Vec<u8> = (0..40_960_u32).map(|n| n.to_le_bytes()[0]).collect();
    root.file("answer.bin", &bytes);
    let server = Server::start(root.path(), &["linger.idle_ms=200"]);
    let mut pausing = narrow(&server);
    pausing
        .write_all(b"GET /answer.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .unwrap();
    let goodbye = [Tcp::FinWait1];
    if BUILT == Teardown::Linger {
        eventually("it is said goodbye to", || {
            sockets(server.port(), &goodbye) == 1
        });
        for _ in 0..5 {
            let mut silent = server.connect();
            silent.write_all(b"BAD\r\n\r\n").unwrap();
            hear(&mut silent); // 400 and a FIN
            eventually("an idle period passes", || server.busy() <= 1);
        }
    }
    let heard = hear(&mut pausing);
    if BUILT != Teardown::SoLinger {
        assert_eq!((only(&heard.bytes).body, heard.end), (bytes, End::Fin));
    }
    drop(pausing);
    server.comes_home();
    server.stop();
}

/// From now on it may open descriptors below this number; says whether that could be told.
fn may_open(server: &Server, below: usize) -> bool {
    let told = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string()])
        .arg(format!("--nofile={below}:"))
        .stderr(Stdio::null())
        .status();
    told.is_ok_and(|status| status.success())
}

#[test]
fn a_want_of_descriptors_is_told_once_and_each_rest_is_counted() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    if !may_open(&server, descriptors(server.pid())) {
        skip(
            "a_want_of_descriptors_is_told_once_and_each_rest_is_counted",
            "there is no prlimit",
        );
        return;
    }
    // The kernel takes them in, and the server cannot.
    let waiting: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    let rests = |line: &str| {
        let (_, behind) = line.split_once(" accept-pauses=")?;
        behind.split_whitespace().next()?.parse::<u64>().ok()
    };
    eventually("it has rested five times", || {
        server.signal("USR2");
        server.said(|line| rests(line) >= Some(5)) > 0
    });
    let told = "adieu: warning: accepting rests for 250 ms: ";
    assert_eq!(server.said(|line| line.starts_with(told)), 1);
    assert!(may_open(&server, 1024));
    server.serves_a_good_client();
    drop(waiting);
    server.comes_home();
    server.stop();
}
