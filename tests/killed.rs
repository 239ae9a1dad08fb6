//! A server that was killed is started again by the same command: nothing that it left behind
//! stands in the way, and nothing new lies around.
//!
//! SIGKILL gives no chance to clean up, as the loss of power gives none. So whatever a key makes in
//! the file system must be found again by the next start, and be taken over or replaced.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::{Answer, only, read_answer};
use common::{End, PATIENCE, eventually, hear};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Keys that make files: what is set, and the names that then lie in the directory; `DIR` is its
/// path. A key that makes another file is a line here, and nothing else.
const MAKES: &[(&str, &[&str])] = &[
    ("listen.address=unix:DIR/sock", &["sock"]),
    ("service.pidfile=DIR/adieu.pid", &["adieu.pid"]),
    ("log.target=file:DIR/own.log", &["own.log", "own.log.1"]),
    (
        "log.access_target=file:DIR/access.log",
        &["access.log", "access.log.1"],
    ),
];
/// Keys that make none.
const KEYS: &[&str] = &[
    "log.access=common",
    "log.access_bytes=4KiB",
    "log.target_bytes=4KiB",
    "log.level=debug",
    "timeout.stop_ms=30m",
];
/// What the test itself puts there.
const GIVEN: &[&str] = &["adieu.toml", "www"];
const CONFIGURATION: &str = "adieu.toml";
/// More than the kernel holds between the two ends.
const LARGE_BYTES: u64 = 8 << 20;
/// So many lines fill both log files more than once.
const REQUESTS: usize = 200;

/// A directory with everything that the server has, its path short enough for a socket.
struct Place {
    path: PathBuf,
    /// So often the server was started here.
    starts: usize,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Place {
    fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("adieu-killed-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let www = path.join("www");
        fs::create_dir_all(&www).unwrap();
        fs::write(www.join("index.html"), b"good day").unwrap();
        let large = fs::File::create(www.join("large.bin")).unwrap();
        large.set_len(LARGE_BYTES).unwrap();
        let text = format!("[site]\nroot = \"{}\"\n", www.display());
        fs::write(path.join(CONFIGURATION), text).unwrap();
        Self { path, starts: 0 }
    }

    /// The one command that starts it.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command.arg("-c").arg(self.path.join(CONFIGURATION));
        let makes = MAKES.iter().map(|(key, _)| *key);
        for key in makes.chain(KEYS.iter().copied()) {
            let key = key.replace("DIR", self.path.to_str().unwrap());
            command.args(["--set", &key]);
        }
        command
    }

    /// Starts it and waits until it takes connections. Its log does not tell for sure: it may have
    /// begun a new file behind the line that says so.
    fn start(&mut self) -> Running<'_> {
        self.starts += 1;
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        eventually("it serves", || {
            if child.try_wait().unwrap().is_some() {
                let mut why = String::new();
                let stderr = child.stderr.as_mut().unwrap();
                stderr.read_to_string(&mut why).unwrap();
                panic!("start {} failed: {why}{}", self.starts, self.said());
            }
            self.is_there()
        });
        Running { place: self, child }
    }

    /// What its log says.
    fn said(&self) -> String {
        fs::read_to_string(self.path.join("own.log")).unwrap_or_default()
    }

    /// Somebody takes connections.
    fn is_there(&self) -> bool {
        UnixStream::connect(self.path.join("sock")).is_ok()
    }

    /// Everything that lies there.
    fn names(&self) -> BTreeSet<String> {
        names(&self.path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn names(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}

/// What may lie there, and does once the logs have been full.
fn expected() -> BTreeSet<String> {
    let made = MAKES.iter().flat_map(|(_, names)| names.iter());
    GIVEN.iter().chain(made).map(|n| (*n).to_owned()).collect()
}

/// A log may be without its first name for a moment: it has its second one, and is not made anew
/// yet. Killed just then, it stays so until the next start.
fn assert_nothing_new(place: &Place) {
    let (names, expected) = (place.names(), expected());
    let new: Vec<&String> = names.difference(&expected).collect();
    assert!(new.is_empty(), "{new:?} is new");
}

/// A server that serves. Dropped, it is killed.
struct Running<'a> {
    place: &'a Place,
    child: Child,
}

impl Running<'_> {
    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.place.path.join("sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Each on a connection of its own, so that both logs have a line of it.
    fn asks(&self, times: usize) {
        for _ in 0..times {
            let mut stream = self.connect();
            let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
            stream.write_all(request).unwrap();
            let heard = hear(&mut stream);
            let Answer { status, body, .. } = only(&heard.bytes);
            assert_eq!(
                (status, &body[..], heard.end),
                (200, &b"good day"[..], End::Fin)
            );
        }
    }

    /// A download that has begun.
    fn download(&self) -> UnixStream {
        let mut stream = self.connect();
        let request = b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        stream
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(told.unwrap().success());
    }

    fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn kill(mut self) {
        self.signal("KILL");
        assert_eq!(self.ends().code(), None, "by a signal");
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_was_killed_is_started_again_by_the_same_command() {
    let mut place = Place::new();
    let server = place.start();
    server.asks(REQUESTS);
    eventually("the logs were full", || server.place.names() == expected());
    server.kill();
    // In a download; in a stop that waits for one; with lines of many requests on their way.
    for round in 0..6 {
        let server = place.start();
        let names = server.place.names();
        assert_eq!(names, expected(), "what was left is taken over");
        server.asks(1);
        let mut download = server.download();
        match round % 3 {
            0 => {}
            1 => {
                server.signal("TERM");
                eventually("it stops", || !server.place.is_there());
            }
            _ => server.asks(REQUESTS),
        }
        server.kill();
        let heard = hear(&mut download);
        let bytes = u64::try_from(heard.bytes.len()).unwrap();
        assert!(bytes < LARGE_BYTES, "killed in the middle");
        assert_nothing_new(&place);
    }
    // And one that is not killed ends in peace.
    let mut server = place.start();
    server.asks(1);
    let mut kept = server.connect();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut kept, false).status, 200);
    server.signal("TERM");
    assert_eq!(server.ends().code(), Some(0));
    drop(server);
    assert_nothing_new(&place);
}

#[test]
fn one_that_is_killed_before_it_serves_leaves_no_more() {
    let mut place = Place::new();
    for number in 0..20 {
        // Every other time nothing is there, so that each file is made anew.
        if number % 2 == 0 {
            let made = place.names().into_iter();
            made.filter(|name| !GIVEN.contains(&name.as_str()))
                .for_each(|name| fs::remove_file(place.path.join(name)).unwrap());
        }
        let mut child = place
            .command()
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From the first moment on: each time a little more of its start is over.
        let there = |name: &&str| place.path.join(name).exists();
        let makes: Vec<&str> = MAKES.iter().map(|(_, names)| names[0]).collect();
        let wanted = number / 2 % (makes.len() + 1);
        eventually("so much of it", || {
            makes.iter().filter(|n| there(n)).count() >= wanted
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_nothing_new(&place);
    }
    let server = place.start();
    server.asks(3);
    assert_nothing_new(server.place);
}

#[test]
fn while_one_serves_the_same_command_fails_and_disturbs_nobody() {
    let mut place = Place::new();
    let server = place.start();
    server.asks(REQUESTS);
    let mut download = server.download();
    let second = server
        .place
        .command()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert_nothing_new(server.place);
    server.asks(1);
    // The download goes on.
    download.read_exact(&mut [0; 1000]).unwrap();
}
