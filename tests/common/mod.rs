//! What the tests on real sockets share: the server as a child process, a client that says how a
//! connection ended, and a look at the kernel from outside.
//!
//! Nothing here waits for a time to pass. [`eventually`] waits for a condition, with a deadline
//! that only a hanging server misses.
#![allow(dead_code, reason = "every test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub(crate) mod auth;
pub(crate) mod child;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod namespace;
pub(crate) mod outside;
pub(crate) mod place;
pub(crate) mod root;
pub(crate) mod scripts;
pub(crate) mod server;
pub(crate) mod supervisor;
pub(crate) mod uploads;

use adieu::sys::clock::monotonic_ms;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

/// How long anything may take before a test gives up on it. Tests do not measure time by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Lets others run for a moment; never to wait for something that could be asked for.
pub(crate) fn moment() {
    let (keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_millis(5));
    drop(keep);
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = monotonic_ms() + u64::try_from(PATIENCE.as_millis()).unwrap();
    while !condition() {
        assert!(monotonic_ms() < end, "this did not come: {what}");
        moment();
    }
}

/// Says that a test was left out, so that nobody takes it for passed.
pub(crate) fn skip(name: &str, reason: &str) {
    println!("SKIP {name}: {reason}");
}

/// This build does not have a feature that `test` needs: says that it was left out.
pub(crate) fn lacks(test: &str, feature: &str) -> bool {
    let version = adieu::cli::version("");
    let (_, features) = version.split_once("features: ").unwrap();
    let (features, _) = features.split_once(';').unwrap();
    let is_built = features.split(',').any(|name| name == feature);
    if !is_built {
        skip(test, &format!("this build has no {feature}"));
    }
    !is_built
}

/// How a connection ended, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A FIN.
    Fin,
    /// A RST.
    Reset,
    /// Neither within [`PATIENCE`].
    Silence,
}

/// Everything that came until the connection ended, and how it ended.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
}

/// Reads something, or the end. The kernel does not begin it anew after a signal: it has a timeout.
pub(crate) fn read_some(stream: &mut impl Read, room: &mut [u8]) -> usize {
    loop {
        match stream.read(room) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.expect("something to read"),
        }
    }
}

/// Waits until there is something to read, or the end; leaves it there.
pub(crate) fn something_came(stream: &TcpStream) {
    loop {
        match stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => {
                other.expect("something to read");
                return;
            }
        }
    }
}

/// Reads to the end. The stream must have a read timeout.
pub(crate) fn hear(stream: &mut impl Read) -> Heard {
    let mut bytes = Vec::new();
    let end = loop {
        let mut room = [0; 64 * 1024];
        match stream.read(&mut room) {
            Ok(0) => break End::Fin,
            Ok(n) => bytes.extend_from_slice(&room[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break End::Silence,
            Err(error) => panic!("an unexpected end: {error}"),
        }
    };
    Heard { bytes, end }
}
