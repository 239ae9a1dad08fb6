//! The memory plan against the kernel: what one hostile peer can pin on a socket lies below the
//! plan's formula, for each size that an operator is likely to choose.
//!
//! Owns the measurement; prints it, so that the table in `docs/limits.md` can be made again with
//! `cargo test --test limits -- --nocapture`. It must not go through a network but loopback.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and has a deadline of its own"
)]

mod common;

use adieu::config::plan::{receive_peak_bytes, send_peak_bytes, waiting_peak_bytes};
use adieu::sys::socket;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

const SIZES: [u32; 7] = [4608, 8192, 16384, 32768, 65536, 131_072, 524_288];

/// A connected pair: the server's end, as adieu accepts it, and the client's.
fn pair() -> (OwnedFd, TcpStream) {
    let listener = socket::bind_tcp(&"127.0.0.1:0".parse().unwrap(), None, false).unwrap();
    socket::set_nodelay(listener.as_fd()).unwrap();
    socket::listen(listener.as_fd(), 1).unwrap();
    let socket::Bound::Tcp(address) = socket::bound(listener.as_fd()).unwrap() else {
        panic!("no TCP socket");
    };
    let client = TcpStream::connect(address).unwrap();
    client.set_nonblocking(true).unwrap();
    client.set_nodelay(true).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match socket::accept(listener.as_fd()) {
            Ok((server, _)) => return (server, client),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(Instant::now() < deadline, "the connection never arrived");
                std::thread::yield_now();
            }
            Err(error) => panic!("accept: {error}"),
        }
    }
}

/// Writes pieces of `piece` bytes until the other side takes no more; the peak of `measure`.
fn fill(
    mut write: impl FnMut() -> std::io::Result<usize>,
    mut measure: impl FnMut() -> u32,
) -> u32 {
    let mut peak = 0;
    let mut refused = 0;
    for _ in 0..400_000 {
        match write() {
            Ok(_) => refused = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
            Err(error) => panic!("write: {error}"),
        }
        peak = peak.max(measure());
        if refused > 200 {
            return peak;
        }
    }
    peak
}

#[test]
fn what_a_peer_pins_by_sending_lies_below_the_plan() {
    for size in SIZES {
        for piece in [1, 1448, 65536] {
            let (server, mut client) = pair();
            socket::set_receive_buffer(server.as_fd(), size).unwrap();
            let bytes = vec![b'x'; piece];
            let peak = fill(
                || client.write(&bytes),
                || socket::memory(server.as_fd()).unwrap().receive_bytes,
            );
            let plan = receive_peak_bytes(u64::from(size));
            println!(
                "receive size {size:>6}, pieces of {piece:>6}: peak {peak:>7}, plan {plan:>7}"
            );
            assert!(
                peak > 0 && u64::from(peak) <= plan,
                "size {size}, pieces of {piece}"
            );
        }
    }
}

/// A piece of 150 bytes is the smallest reply, a 304.
#[test]
fn what_a_peer_pins_by_not_reading_lies_below_the_plan() {
    for size in SIZES {
        for piece in [150, 1448, 65536] {
            let (server, _client) = pair();
            socket::set_send_buffer(server.as_fd(), size).unwrap();
            let bytes = vec![b'x'; piece];
            let peak = fill(
                || socket::send(server.as_fd(), &bytes, false),
                || socket::memory(server.as_fd()).unwrap().send_bytes,
            );
            let plan = send_peak_bytes(u64::from(size));
            println!("send size {size:>6}, pieces of {piece:>6}: peak {peak:>7}, plan {plan:>7}");
            assert!(
                peak > 0 && u64::from(peak) <= plan,
                "size {size}, pieces of {piece}"
            );
        }
    }
}

/// Who waits to be accepted has the default size, as one has that was accepted and not told yet.
#[test]
fn what_a_peer_pins_while_it_waits_lies_below_the_plan() {
    let sizes = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap();
    let default = sizes.split_whitespace().nth(1).unwrap();
    if default != "131072" {
        let why = format!("the second number of tcp_rmem is {default}, not 131072");
        common::skip("what_a_peer_pins_while_it_waits_lies_below_the_plan", &why);
        return;
    }
    let plan = waiting_peak_bytes();
    for piece in [1, 1448, 65536] {
        let (server, mut client) = pair();
        let bytes = vec![b'x'; piece];
        let peak = fill(
            || client.write(&bytes),
            || socket::memory(server.as_fd()).unwrap().receive_bytes,
        );
        println!("waiting, pieces of {piece:>6}: peak {peak:>7}, plan {plan:>7}");
        assert!(peak > 0 && u64::from(peak) <= plan, "pieces of {piece}");
    }
}
