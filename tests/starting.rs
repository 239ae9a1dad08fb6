//! A start that is on its way: what it hears before it serves, and what it leaves when it ends.
//!
//! The test is the server before it (`service.control`), so it stops where the test wants it to:
//! while it waits to be given listeners, before anything is made, or while it waits for the last
//! word, when all is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::reactor::control::{ANOTHER, HELLO, READY, YOURS};
use adieu::sys::rights;
use common::child::{Ours, adieu, after, is_root, run, signal, told};
use common::place::{Place, permit};
use common::server::Server;
use common::{PATIENCE, skip};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread;

/// A place with a server before, and the directories `run` and `var` for what the next one makes.
struct Start {
    place: Place,
    before: UnixListener,
}

impl Start {
    fn new() -> Self {
        let place = Place::new();
        for name in ["run", "var", "before"] {
            place.directory(name);
        }
        place.site("www", "good day");
        let before = UnixListener::bind(place.path("before/control")).unwrap();
        Self { place, before }
    }

    /// Everybody may write where it makes its files.
    fn open(self) -> Self {
        permit(&self.place.path("run"), 0o777);
        permit(&self.place.path("var"), 0o777);
        self
    }

    /// The command, of a process that says its number first. As a shell does for what it starts in
    /// the background, INT and QUIT are ignored.
    fn command(&self, flags: &[&str]) -> Command {
        let at = |name: &str| self.place.shown(name);
        let mut command = adieu(&["-p", &format!("unix:{}", at("run/socket")), "-d"]);
        command.arg(self.place.path("www"));
        for key in [
            format!("service.pidfile={}", at("var/pid")),
            format!("service.control={}", at("before/control")),
        ] {
            command.args(["--set", &key]);
        }
        command.args(flags);
        after(
            &format!("trap '' INT QUIT; echo $$ >{}", at("number")),
            &command,
        )
    }

    /// It has come, and waits for what this server has.
    fn comes(&self) -> UnixStream {
        let (stream, _) = self.before.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// It has come, got what this server has, and is ready: it waits for the last word.
    fn is_ready(&self) -> UnixStream {
        let mut stream = self.comes();
        let control = self.before.as_fd();
        rights::send(stream.as_fd(), HELLO, &[control]).unwrap();
        let mut words = [0; READY.len()];
        stream.read_exact(&mut words).unwrap();
        assert_eq!(words, READY);
        stream
    }

    fn number(&self) -> u32 {
        self.place.text("number").unwrap().trim().parse().unwrap()
    }

    /// What it has made.
    fn made(&self) -> Vec<String> {
        let names = |directory: &str| {
            let entries = fs::read_dir(self.place.path(directory)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        };
        [names("run"), names("var")].concat()
    }
}

#[test]
fn what_is_asked_for_before_it_serves_is_done_when_it_does() {
    let start = Start::new();
    let command = start.command(&[]);
    let before = thread::spawn(move || {
        let stream = start.comes();
        for name in ["HUP", "USR2", "USR1", "HUP"] {
            signal(start.number(), name);
        }
        assert!(start.made().is_empty());
        // This server ends, and leaves the file of its socket to who comes next.
        drop(start.before);
        drop(stream);
        start.place
    });
    let server = Server::run(command);
    let _place = before.join().unwrap();
    server.says("adieu: reloaded: ");
    server.says("adieu: counters: ");
    let blocked = &told(server.pid(), "status", "SigBlk:")[0];
    assert!(blocked.bytes().all(|b| b == b'0'), "{blocked}");
    drop(server.stop());
}

#[test]
fn told_to_stop_before_it_serves_it_ends_and_leaves_nothing() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("QUIT", 3)] {
        let start = Start::new();
        let mut command = start.command(&[]);
        command.stderr(Stdio::null());
        let mut server = Ours::start(command);
        let stream = start.comes();
        signal(start.number(), name);
        assert_eq!(server.ends().signal(), Some(number));
        assert!(start.made().is_empty(), "{:?}", start.made());
        drop(stream);

        // Once files are made it serves first, and ends as any other.
        let start = Start::new();
        let mut command = start.command(&[]);
        command.stderr(Stdio::null());
        let server = Ours::start(command);
        let mut stream = start.is_ready();
        assert_eq!(start.made(), ["socket", "pid"]);
        signal(start.number(), name);
        stream.write_all(YOURS).unwrap();
        server.ended();
        assert_eq!(start.made(), ["socket"]);
    }
}

/// Runs it until it has failed because this server gave it nothing: with this code, and one line.
fn fails_late(start: &Start, flags: &[&str]) {
    let command = start.command(flags);
    let run = thread::scope(|scope| {
        let before = scope.spawn(|| {
            let mut stream = start.is_ready();
            assert_eq!(start.made(), ["socket", "pid"]);
            stream.write_all(ANOTHER).unwrap();
        });
        let run = run(command);
        before.join().unwrap();
        run
    });
    let what = "another successor has come";
    let cure = "stop the server before, then start this one";
    run.is_refused(1, "service.control", what, cure);
}

#[test]
fn a_start_that_fails_late_leaves_nothing_in_whatever_it_is_by_then() {
    const NAME: &str = "a_start_that_fails_late_leaves_nothing_in_whatever_it_is_by_then";
    for background in [&[][..], &["-b"]] {
        let start = Start::new().open();
        fails_late(&start, background);
        assert!(start.made().is_empty(), "{:?}", start.made());
    }
    if !is_root() {
        skip(NAME, "becoming another user needs root");
        return;
    }
    // Where the directories are root's, that user may remove nothing.
    let start = Start::new();
    fails_late(&start, &["-u", "54321:54321"]);
    assert!(start.made().is_empty(), "{:?}", start.made());
    // Nor beneath another root, where paths lead elsewhere.
    let start = Start::new();
    let root = format!("service.chroot={}", start.place.shown(""));
    fails_late(&start, &["-u", "54321:54321", "-d", "/www", "--set", &root]);
    assert!(start.made().is_empty(), "{:?}", start.made());
}

#[test]
fn what_another_has_put_there_since_stays() {
    let start = Start::new().open();
    let path = start.place.path("run/socket");
    let command = start.command(&[]);
    thread::scope(|scope| {
        let before = scope.spawn(|| {
            let mut stream = start.is_ready();
            fs::remove_file(&path).unwrap();
            fs::write(&path, "precious").unwrap();
            fs::write(start.place.path("var/pid"), "4711\n").unwrap();
            stream.write_all(ANOTHER).unwrap();
        });
        assert_eq!(run(command).code, 1);
        before.join().unwrap();
    });
    assert_eq!(start.place.text("run/socket").unwrap(), "precious");
    assert_eq!(start.place.text("var/pid").unwrap(), "4711\n");
}
