//! Scripts when the processes around them change: the starter dies, the server dies, stops, reads a
//! new configuration, hands over. On real sockets with real scripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::auth::{helpers, tell, zombies};
use common::scripts::{
    STATIC, Site, all_end, alone, asking, bare, ends, exists, get, head, is_cut, is_kept, lives,
    one, post, read, running, starter, try_read,
};
use common::server::Server;
use common::{End, eventually, hear, something_came};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const STUBBORN: &str = "trap '' TERM HUP INT
sh -c 'echo $$ >../../child; while :; do sleep 1; done' &
echo $$ >../../stubborn";
const FOREVER: &str = "while :; do sleep 1; done";
/// Says that it is there, waits, and answers.
const WAITS: &str = r"echo $$ >../../pid; read x <../../gate
printf 'Content-Type: text/plain\n\ndone'";
/// Begins its answer, waits, and ends it.
const BEGINS: &str = r"printf 'Content-Type: text/plain\n\nbegun, '; echo $$ >../../begun
read x <../../gate; printf done";

/// A site with scripts that wait at the gate.
fn waiting() -> (Site, common::scripts::Gate) {
    let site = Site::with_echo();
    site.script("waits", WAITS);
    site.script("begins", BEGINS);
    site.script("stubborn", &format!("{STUBBORN}; {FOREVER}"));
    let gate = site.gate("gate");
    (site, gate)
}

/// One of each that has been asked for and waits.
fn begin(site: &Site, server: &Server) -> (TcpStream, TcpStream) {
    let waits = asking(server, &bare("GET", "/cgi-bin/waits", ""));
    site.pids("pid");
    let begins = asking(server, &bare("GET", "/cgi-bin/begins", ""));
    site.pids("begun");
    something_came(&begins);
    (waits, begins)
}

#[test]
fn a_starter_that_is_killed_is_replaced_and_nobody_hangs() {
    let (site, _gate) = waiting();
    let server = site.start(&["script.waiting=8", "script.at_once=2"]);
    for _ in 0..2 {
        let starter = starter(&server);
        let (mut waits, begins) = begin(&site, &server);
        // There is no place for this one.
        let mut queued = asking(&server, &post("/cgi-bin/echo", "", b"queued"));
        common::auth::dealt_with(&server);
        let pids = [site.pids("pid"), site.pids("begun")].concat();
        tell(starter, "KILL");
        all_end(&pids);
        all_end(&[starter]);
        // Who had no answer gets one, who had a part of it hears its end in some way.
        let answer = read(&mut waits);
        assert!(answer.status >= 500, "{answer:?}");
        drop(begins);
        // Whoever comes now is told to come again, or is served by the next one.
        let request = post("/cgi-bin/echo", "", b"again");
        eventually("scripts are served again", || {
            let answer = alone(&server, &request);
            assert!(matches!(answer.status, 200 | 503), "{answer:?}");
            if answer.status == 503 {
                assert!(answer.field("retry-after").is_some(), "{answer:?}");
            }
            answer.status == 200
        });
        // Who waited for a place has it now.
        assert_eq!(read(&mut queued).body, b"queued");
        server.serves_a_good_client();
        for name in ["pid", "begun"] {
            fs::remove_file(site.place.path(name)).unwrap();
        }
    }
    assert_eq!(helpers(&server).len(), 1);
    let stopped = ends(server);
    assert!(
        stopped
            .lines
            .iter()
            .any(|line| line.contains("another process starts scripts"))
    );
}

#[test]
fn a_starter_that_is_killed_leaves_no_answer_that_looks_whole() {
    let (site, _gate) = waiting();
    let server = site.start(&[]);
    for version in ["1.1", "1.0"] {
        let starter = starter(&server);
        let request = format!("GET /cgi-bin/begins HTTP/{version}\r\nHost: h\r\n\r\n");
        let mut stream = asking(&server, request.as_bytes());
        site.pids("begun");
        something_came(&stream);
        tell(starter, "KILL");
        is_cut(&hear(&mut stream), 200);
        fs::remove_file(site.place.path("begun")).unwrap();
        eventually("scripts are served again", || {
            alone(&server, &post("/cgi-bin/echo", "", b"x")).status == 200
        });
    }
    ends(server);
}

#[test]
fn a_starter_that_is_killed_while_bodies_come_ends_nobody_for_ever() {
    let (site, _gate) = waiting();
    let server = site.start(&["timeout.body_window_ms=60000"]);
    let body = [b'x'; 5000];
    let streamed = post("/cgi-bin/echo", "", &body);
    let spooled = common::scripts::post_chunked("/cgi-bin/echo", "", &body, 1000);
    for request in [streamed, spooled] {
        let old = starter(&server);
        let (front, back) = request.split_at(request.len() - 2000);
        let mut stream = asking(&server, front);
        common::auth::dealt_with(&server);
        tell(old, "KILL");
        all_end(&[old]);
        common::auth::dealt_with(&server);
        // The answer may have come already.
        let _ = stream.write_all(back);
        // One that had begun is cut; it never looks whole.
        match try_read(&mut stream, false) {
            Ok(answer) => assert!(matches!(answer.status, 500..=504), "{answer:?}"),
            Err(error) => {
                let cut = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                assert!(cut.contains(&error.kind()), "{error}");
            }
        }
        eventually("scripts are served again", || {
            alone(&server, &post("/cgi-bin/echo", "", b"x")).status == 200
        });
    }
    ends(server);
}

#[test]
fn everything_ends_with_a_server_that_is_killed() {
    let (site, _gate) = waiting();
    let server = site.start(&["script.kill_ms=200"]);
    let starter = starter(&server);
    let stubborn = asking(&server, &bare("GET", "/cgi-bin/stubborn", ""));
    let (waits, begins) = begin(&site, &server);
    let half = asking(&server, &head("POST", "/cgi-bin/echo", "", 100));
    common::auth::dealt_with(&server);
    let names = ["pid", "stubborn", "child", "begun"];
    let pids: Vec<u32> = names.iter().flat_map(|name| site.pids(name)).collect();
    assert!(pids.iter().all(|pid| lives(*pid)));
    server.signal("KILL");
    all_end(&pids);
    all_end(&[starter]);
    drop((stubborn, waits, begins, half));
    assert_eq!(server.wait().status.code(), None);
}

#[test]
fn a_server_that_stops_lets_its_scripts_finish() {
    for signal in ["TERM", "QUIT"] {
        let (site, gate) = waiting();
        let server = site.start(&["timeout.stop_ms=60000", "script.at_once=3"]);
        let (mut waits, mut begins) = begin(&site, &server);
        // Half a body is on its way.
        let request = post("/cgi-bin/echo", "", &[b'x'; 3000]);
        let (front, back) = request.split_at(request.len() - 1000);
        let mut half = asking(&server, front);
        common::auth::dealt_with(&server);
        let mut queued = asking(&server, &bare("GET", "/cgi-bin/echo", ""));
        common::auth::dealt_with(&server);
        let starter = starter(&server);
        server.signal(signal);
        server.says("adieu: stopping: ");
        half.write_all(back).unwrap();
        let answer = one(&hear(&mut half));
        assert_eq!((answer.status, answer.body.len()), (200, 3000), "{signal}");
        let answer = one(&hear(&mut queued));
        assert_eq!((answer.status, answer.closes()), (200, true), "{signal}");
        gate.lets(2);
        let answer = one(&hear(&mut waits));
        assert_eq!(
            (answer.status, &answer.body[..], answer.closes()),
            (200, &b"done"[..], true)
        );
        // This one was promised to stay, and could not be told.
        assert_eq!(read(&mut begins).body, b"begun, done");
        assert_eq!(hear(&mut begins).end, End::Fin);
        // Else the server would give them the time of a goodbye.
        drop((half, queued, waits, begins));
        let stopped = server.ends();
        assert_eq!(stopped.counter("close.stopped"), 0, "{stopped:?}");
        all_end(&[starter]);
    }
}

#[test]
fn a_server_whose_time_is_over_cuts_its_scripts() {
    for (signal, key) in [
        ("TERM", "timeout.stop_ms=300"),
        ("INT", "timeout.stop_ms=60000"),
    ] {
        let (site, _gate) = waiting();
        let server = site.start(&[key, "script.kill_ms=100"]);
        let mut stubborn = asking(&server, &bare("GET", "/cgi-bin/stubborn", ""));
        let (mut waits, mut begins) = begin(&site, &server);
        let names = ["pid", "stubborn", "child", "begun"];
        let pids: Vec<u32> = names.iter().flat_map(|name| site.pids(name)).collect();
        let starter = starter(&server);
        server.signal(signal);
        for stream in [&mut stubborn, &mut waits] {
            let heard = hear(stream);
            assert_eq!(heard.bytes.len(), 0);
            assert_ne!(heard.end, End::Silence);
        }
        is_cut(&hear(&mut begins), 200);
        let stopped = server.ends();
        assert_eq!(stopped.counter("close.stopped"), 3, "{stopped:?}");
        all_end(&pids);
        all_end(&[starter]);
    }
}

/// A server whose configuration is a file.
struct Configured<'s> {
    site: &'s Site,
    server: Server,
    told: usize,
}

impl<'s> Configured<'s> {
    fn text(site: &Site, more: &str) -> String {
        format!("[site]\nroot = \"{}\"\n{more}", site.root().display())
    }

    fn start(site: &'s Site, more: &str) -> Self {
        let file = site.place.path("adieu.toml");
        fs::write(&file, Self::text(site, more)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command.args(["-p", "127.0.0.1:0", "-c"]).arg(&file);
        // In its sandbox it could not start the first starter: see tests/sandbox.rs.
        command.args(["--set", "service.sandbox=off"]);
        let server = Server::run(command);
        Self {
            site,
            server,
            told: 0,
        }
    }

    /// Writes the file anew and waits until the server has read it: what it said.
    fn reload(&mut self, more: &str) -> String {
        let file = self.site.place.path("adieu.toml");
        fs::write(file, Self::text(self.site, more)).unwrap();
        self.told += 1;
        self.server.signal("HUP");
        let said = |line: &String| line.contains(" reloaded: ") || line.contains(" not reloaded, ");
        self.server.line(self.told, said)
    }
}

const SCRIPTS: &str = "scripts = [\"/cgi-bin\"]\n";

#[test]
fn a_reload_adds_the_first_rule_and_takes_the_last_one_away() {
    let (site, gate) = waiting();
    let mut configured = Configured::start(&site, "");
    let source = get(&configured.server, "/cgi-bin/echo");
    assert!(source.status == 200 && source.body.starts_with(b"#!/bin/sh"));
    assert_eq!(helpers(&configured.server).len(), 0);
    for _ in 0..3 {
        let said = configured.reload(SCRIPTS);
        assert!(said.contains("site.scripts"), "{said}");
        starter(&configured.server);
        let mut kept = configured.server.connect();
        let answer = common::scripts::ask(&mut kept, &post("/cgi-bin/echo", "", b"12345"));
        assert_eq!((answer.status, &answer.body[..]), (200, &b"12345"[..]));
        let (mut waits, mut begins) = begin(&site, &configured.server);
        let request = post("/cgi-bin/echo", "", &[b'x'; 3000]);
        let (front, back) = request.split_at(request.len() - 1000);
        let mut half = asking(&configured.server, front);
        common::auth::dealt_with(&configured.server);
        configured.reload("");
        // What has begun is finished as it began.
        half.write_all(back).unwrap();
        assert_eq!(read(&mut half).body.len(), 3000);
        gate.lets(2);
        assert_eq!(read(&mut waits).body, b"done");
        assert_eq!(read(&mut begins).body, b"begun, done");
        for mut stream in [kept, half, waits, begins] {
            is_kept(&mut stream);
        }
        for name in ["pid", "begun"] {
            fs::remove_file(site.place.path(name)).unwrap();
        }
    }
    assert!(
        get(&configured.server, "/cgi-bin/echo")
            .body
            .starts_with(b"#!/bin/sh")
    );
    // The starter that has come since is no slot.
    drop(configured.server.stop());
}

#[test]
fn who_waits_for_a_place_is_answered_as_a_reload_has_it() {
    let (site, gate) = waiting();
    let one_place = format!("{SCRIPTS}[script]\nat_once = 1\n");
    let mut configured = Configured::start(&site, &one_place);
    let mut first = asking(&configured.server, &bare("GET", "/cgi-bin/waits", ""));
    site.pids("pid");
    let mut second = asking(&configured.server, &bare("GET", "/cgi-bin/none", ""));
    let mut third = asking(&configured.server, &post("/cgi-bin/echo", "", b"12345"));
    common::auth::dealt_with(&configured.server);
    // Other bounds hold from now on, and these two still wait.
    let said = configured.reload(&format!("{one_place}output_bytes = 3\n"));
    assert!(said.contains("script.output_bytes"), "{said}");
    gate.lets(1);
    assert_eq!(read(&mut first).body, b"done");
    assert_eq!(read(&mut second).status, 404);
    is_cut(&hear(&mut third), 200);
    drop((first, second, third));
    ends(configured.server);
}

#[test]
fn reloads_while_scripts_are_called_fail_nobody() {
    let site = Site::with_echo();
    let mut configured = Configured::start(&site, SCRIPTS);
    let done = AtomicBool::new(false);
    let address = configured.server.address.unwrap();
    thread::scope(|scope| {
        for client in 0..3 {
            let done = &done;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
                let mut calls = 0;
                while !done.load(Ordering::SeqCst) || calls < 20 {
                    let body = format!("{client} {calls}").into_bytes();
                    let request = post("/cgi-bin/echo", "", &body);
                    let answer = common::scripts::ask(&mut stream, &request);
                    assert_eq!((answer.status, answer.closes()), (200, false));
                    assert_eq!(answer.body, body);
                    calls += 1;
                }
            });
        }
        for number in 0..10 {
            configured.reload(&format!("{SCRIPTS}index = [\"x{number}.html\"]\n"));
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(helpers(&configured.server).len(), 1);
    ends(configured.server);
}

#[test]
fn a_server_that_hands_over_finishes_its_scripts() {
    let (site, gate) = waiting();
    let control = format!("service.control={}", site.place.shown("control"));
    let old = site.start(&[&control]);
    let old_starter = starter(&old);
    let (mut waits, mut begins) = begin(&site, &old);
    let request = post("/cgi-bin/echo", "", &[b'x'; 3000]);
    let (front, back) = request.split_at(request.len() - 1000);
    let mut half = asking(&old, front);
    common::auth::dealt_with(&old);
    let new = site.start(&[&control]);
    old.says("adieu: handed over: ");
    assert_eq!(new.address, old.address);
    let new_starter = starter(&new);
    assert_ne!(new_starter, old_starter);
    // The new one has scripts of its own at once.
    assert_eq!(alone(&new, &post("/cgi-bin/echo", "", b"new")).body, b"new");
    half.write_all(back).unwrap();
    assert_eq!(read(&mut half).body.len(), 3000);
    eventually("two are left", || running(old_starter) == 2);
    gate.lets(2);
    let answer = read(&mut waits);
    assert_eq!((&answer.body[..], answer.closes()), (&b"done"[..], true));
    assert_eq!(read(&mut begins).body, b"begun, done");
    drop((waits, begins, half));
    let stopped = old.wait();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(stopped.counter("close.stopped"), 0);
    all_end(&[old_starter]);
    assert!(lives(new_starter));
    assert_eq!(get(&new, "/static.txt").body, STATIC);
    ends(new);
}

#[test]
fn nothing_is_left_of_a_hundred_scripts() {
    let site = Site::with_echo();
    let server = site.start(&[]);
    let starter = starter(&server);
    let mut stream = server.connect();
    let held = || common::outside::descriptors(starter);
    let before = held();
    for _ in 0..100 {
        let answer = common::scripts::ask(&mut stream, &post("/cgi-bin/echo", "", b"x"));
        assert_eq!(answer.status, 200);
    }
    eventually("no zombie is left", || running(starter) == 0);
    assert_eq!((held(), zombies(&server)), (before, 0));
    assert!(!exists(&site.place.path("pid")));
    let mut rest = Vec::new();
    drop(stream.set_nonblocking(true));
    assert!(stream.read_to_end(&mut rest).is_err() && rest.is_empty());
    drop(stream);
    ends(server);
}
