//! A server on a terminal, which it shares with a shell: its lines come, the terminal stays as it
//! was, and nobody who is served waits for whoever looks at it.
//!
//! script(1) makes the terminal, and reads it as a window would; stopped, it is a window that
//! nobody scrolls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::child::{Ours, adieu, is_there, page_at, signal};
use common::http::read_answer;
use common::place::Place;
use common::{PATIENCE, eventually, lacks, skip};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// More than a terminal keeps of what nobody reads, in lines of an access log.
const REQUESTS: usize = 2000;

/// A server on a terminal. Dropped, both are killed.
struct Shown {
    place: Place,
    window: Ours,
    number: u32,
}

impl Shown {
    /// Starts it with these flags, in which a shell puts the name of the terminal for `$(tty)`;
    /// `None` where nothing makes terminals.
    fn start(test: &str, flags: &str) -> Option<Self> {
        if !is_there("script") {
            skip(test, "script(1) is not installed");
            return None;
        }
        let place = Place::new();
        place.site("www", "good day");
        let program = adieu(&[]).get_program().to_str().unwrap().to_owned();
        let at = |name: &str| place.shown(name);
        let line = format!(
            "echo $$ >{} && exec {program} -p unix:{} -d {} {flags}",
            at("number"),
            at("socket"),
            at("www")
        );
        let mut command = Command::new("script");
        command.args(["-q", "-f", "-c", &line, "/dev/null"]);
        command.env("SHELL", "/bin/sh").stdin(Stdio::null());
        command.stdout(File::create(place.path("seen")).unwrap());
        let window = Ours::start(command);
        eventually("it serves", || {
            let socket = UnixStream::connect(place.path("socket"));
            socket.is_ok()
                && place
                    .text("number")
                    .is_some_and(|text| text.ends_with('\n'))
        });
        let number = place.text("number").unwrap().trim().parse().unwrap();
        Some(Self {
            place,
            window,
            number,
        })
    }

    fn signal(&self, name: &str) {
        signal(self.number, name);
    }

    /// Waits until this is seen in the window.
    fn shows(&self, text: &str) {
        eventually(text, || {
            let seen = fs::read(self.place.path("seen")).unwrap();
            String::from_utf8_lossy(&seen).contains(text)
        });
    }

    /// The flags of the open files behind the standard streams, which the shell has, too.
    fn flags(&self) -> [String; 3] {
        [0, 1, 2].map(|fd| {
            let path = format!("/proc/{}/fdinfo/{fd}", self.number);
            let text = fs::read_to_string(path).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("flags:"));
            line.unwrap().trim().to_owned()
        })
    }

    /// Asks for the page so often, some times on each connection.
    fn asks(&self, times: usize) {
        for _ in 0..times / 100 {
            let mut stream = UnixStream::connect(self.place.path("socket")).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            for _ in 0..100 {
                stream
                    .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                    .unwrap();
                assert_eq!(read_answer(&mut stream, false).status, 200);
            }
        }
    }

    fn is_served(&self) {
        assert!(page_at(&self.place.path("socket")).contains("good day"));
    }

    /// Nobody reads the terminal from here on.
    fn look_away(&self) {
        signal(self.window.0.id(), "STOP");
        eventually("it is stopped", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.window.0.id())).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        });
    }

    /// Somebody does again, and the server ends in peace.
    fn ends(mut self) {
        signal(self.window.0.id(), "CONT");
        self.signal("TERM");
        assert!(self.window.ends().success());
        self.shows("adieu: stopped: ");
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // It outlives its terminal. A number that it has no more is not signalled: the window has
        // waited for it then.
        if matches!(self.window.0.try_wait(), Ok(None)) {
            let _ = Command::new("kill")
                .args(["-s", "KILL", &self.number.to_string()])
                .status();
        }
    }
}

#[test]
fn the_terminal_that_the_shell_shares_stays_as_it_was() {
    const NAME: &str = "the_terminal_that_the_shell_shares_stays_as_it_was";
    // As a standard stream, and by its name.
    for flags in [
        "",
        "--set log.target=stdout",
        "--set log.target=file:$(tty)",
    ] {
        let Some(shown) = Shown::start(NAME, flags) else {
            return;
        };
        let before = shown.flags();
        let flags = u32::from_str_radix(&before[2], 8).unwrap();
        assert_eq!(flags & non_blocking(), 0, "{before:?}");
        for _ in 0..2 {
            // Signals are heard in their order.
            shown.signal("USR1");
            shown.signal("USR2");
            shown.shows("adieu: counters: ");
            assert_eq!(shown.flags(), before);
            fs::write(shown.place.path("seen"), "").unwrap();
        }
        shown.is_served();
        shown.ends();
    }
}

#[test]
fn a_terminal_that_nobody_reads_stops_nothing() {
    const NAME: &str = "a_terminal_that_nobody_reads_stops_nothing";
    if lacks(NAME, "access-log") {
        return;
    }
    for target in ["stderr", "stdout", "file:$(tty)"] {
        let flags = format!("--set log.access=common --set log.access_target={target}");
        let Some(shown) = Shown::start(NAME, &flags) else {
            return;
        };
        shown.look_away();
        shown.asks(REQUESTS);
        // Nor when it is opened anew meanwhile, and for the lines behind it.
        shown.signal("USR1");
        shown.asks(REQUESTS);
        let flags = u32::from_str_radix(&shown.flags()[2], 8).unwrap();
        assert_eq!(flags & non_blocking(), 0);
        shown.is_served();
        shown.ends();
    }
}

/// `O_NONBLOCK`, as this architecture has it: a pipe of the library that does not block says so.
fn non_blocking() -> u32 {
    use std::os::fd::AsRawFd;
    let (stream, _other) = UnixStream::pair().unwrap();
    let flags = || {
        let path = format!("/proc/self/fdinfo/{}", stream.as_raw_fd());
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("flags:"));
        u32::from_str_radix(line.unwrap().trim(), 8).unwrap()
    };
    let before = flags();
    stream.set_nonblocking(true).unwrap();
    before ^ flags()
}
