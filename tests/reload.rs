//! A new configuration while the server serves (SIGHUP), and what the other signals do. On real
//! sockets, seen from the client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::eventually;
use common::http::{Answer, read_answer};
use common::root::Root;
use common::server::Server;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// In its sandbox a server reaches what lies beside the root as well.
fn granted(root: &Root) -> String {
    let above = root.path().parent().unwrap().display();
    format!("service.sandbox_write={above}")
}

/// A server whose configuration is a file.
struct Configured {
    server: Server,
    file: PathBuf,
    /// How often it was told to read it again.
    told: usize,
}

impl Configured {
    fn start(root: &Root, text: &str) -> Self {
        let file = root.path().join("adieu.toml");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command.args(["-p", "127.0.0.1:0", "-c"]).arg(&file);
        command.args(["--set", &granted(root)]);
        Self {
            server: Server::run(command),
            file,
            told: 0,
        }
    }

    /// Writes the file anew and waits until the server has read it: what it said.
    fn reload(&mut self, text: &str) -> String {
        fs::write(&self.file, text).unwrap();
        self.told += 1;
        self.server.signal("HUP");
        let said = |line: &String| line.contains(" reloaded: ") || line.contains(" not reloaded, ");
        self.server.line(self.told, said)
    }
}

fn ask_on(stream: &mut TcpStream, target: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(stream, false)
}

fn get(server: &Server, target: &str) -> Answer {
    ask_on(&mut server.connect(), target)
}

fn text(root: &Root, more: &str) -> String {
    format!("[site]\nroot = \"{}\"\n{more}", root.path().display())
}

#[test]
fn a_reload_changes_what_it_can_and_names_what_it_cannot() {
    let (one, two) = (Root::new(), Root::new());
    two.file("index.html", b"two");
    let mut configured = Configured::start(&one, &text(&one, ""));
    let mut kept = configured.server.connect();
    assert_ne!(ask_on(&mut kept, "/").body, b"two");
    let more = "redirects = [\"301 /old /new\"]\n[limits]\ntarget_bytes = 100\n\
                [memory]\nconnections = 64\n[log]\nlevel = \"debug\"\n";
    let said = configured.reload(&text(&two, more));
    for name in [
        "site.root",
        "site.redirects",
        "limits.target_bytes",
        "log.level",
    ] {
        assert!(said.contains(name), "{name} in {said}");
    }
    configured
        .server
        .says("adieu: warning: a restart is needed for memory.connections");
    // Also on a connection that was open before.
    assert_eq!(ask_on(&mut kept, "/").body, b"two");
    assert_eq!(ask_on(&mut kept, "/old").status, 301);
    drop(kept);
    let long = format!("/{}", "x".repeat(100));
    assert_eq!(get(&configured.server, &long).status, 414);
    // Nothing has changed: it is said, and the directories are opened anew.
    let said = configured.reload(&text(&two, more));
    assert!(said.contains("nothing has changed"), "{said}");
    let stopped = configured.server.stop();
    assert_eq!(stopped.counter("reloads"), 2);
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_goes_on() {
    let root = Root::new();
    let mut configured = Configured::start(&root, &text(&root, ""));
    let missing = root.path().join("missing");
    for (bad, place) in [
        ("[linger]\nidle_ms = 9\n".to_owned(), "adieu.toml:2"),
        ("[linger]\nidle_ms = \"31s\"\n".to_owned(), "adieu.toml"),
        ("no toml at all".to_owned(), "adieu.toml:1"),
        (
            format!("[site]\nroot = \"{}\"\n", missing.display()),
            "site.root",
        ),
        (
            text(&root, "aliases = [\"/a /nowhere/at/all\"]\n"),
            "site.aliases",
        ),
    ] {
        let said = configured.reload(&bad);
        assert!(said.contains("the old configuration goes on"), "{said}");
        assert!(said.contains(place), "{place} in {said}");
        configured.server.serves_a_good_client();
    }
    // What is sound in the file and not beside what only a restart changes.
    let both = "[memory]\nbuffer_bytes = \"32KiB\"\n[limits]\ntarget_bytes = 20000\n";
    let said = configured.reload(&text(&root, both));
    assert!(said.contains("limits.target_bytes"), "{said}");
    assert!(said.contains("the old configuration goes on"), "{said}");
    fs::remove_file(&configured.file).unwrap();
    configured.told += 1;
    configured.server.signal("HUP");
    let refused = |line: &String| line.contains(" not reloaded, ");
    configured.server.line(configured.told, refused);
    configured.server.serves_a_good_client();
    let stopped = configured.server.stop();
    assert_eq!(stopped.counter("refused-reloads"), 7);
}

/// A whole chunked body, strictly read.
fn chunks(stream: &mut TcpStream) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let digits = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
        let size = usize::from_str_radix(digits, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).unwrap();
        assert!(chunk.ends_with(b"\r\n"));
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return body;
        }
    }
}

#[test]
fn answers_that_have_begun_are_finished_as_they_began() {
    let (one, two) = (Root::new(), Root::new());
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    one.file("large.bin", &large);
    fs::create_dir(one.path().join("names")).unwrap();
    for n in 0..800 {
        one.file(&format!("names/{n:03}-{}", "x".repeat(200)), b"");
    }
    let mut configured = Configured::start(&one, &text(&one, "listing = true\n"));
    let begin = |target: &str| {
        let mut stream = configured.server.connect();
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        let mut end = Vec::new();
        while !end.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            end.push(byte[0]);
        }
        stream
    };
    let (mut names, mut file) = (begin("/names/"), begin("/large.bin"));
    for _ in 0..3 {
        configured.reload(&text(&two, ""));
        configured.reload(&text(&two, "listing = true\n"));
    }
    let page = String::from_utf8(chunks(&mut names)).unwrap();
    for n in 0..800 {
        assert!(page.contains(&format!("/{n:03}-")), "{n} is missing");
    }
    let mut body = vec![0; large.len()];
    file.read_exact(&mut body).unwrap();
    assert!(body == large);
    // The next request on the same connection is for the new site.
    assert_eq!(ask_on(&mut file, "/large.bin").status, 404);
    drop((names, file));
    configured.server.comes_home();
    drop(configured.server.stop());
}

#[test]
fn twenty_reloads_under_load_fail_nobody() {
    let root = Root::new();
    root.file("small.txt", &[b's'; 1000]);
    let mut configured = Configured::start(&root, &text(&root, ""));
    let done = AtomicBool::new(false);
    let address = configured.server.address.unwrap();
    let asked = thread::scope(|scope| {
        let done = &done;
        let clients: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || {
                    let connect = || {
                        let stream = TcpStream::connect(address).unwrap();
                        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
                        stream
                    };
                    let mut stream = connect();
                    let mut asked = 0_u32;
                    while !done.load(Ordering::SeqCst) || asked < 500 {
                        let answer = ask_on(&mut stream, "/small.txt");
                        assert_eq!((answer.status, answer.body.len()), (200, 1000));
                        asked += 1;
                        // Half of them close after each request, and the kept ones at their limit.
                        if number % 2 == 0 || answer.closes() {
                            stream = connect();
                        }
                    }
                    asked
                })
            })
            .collect();
        for n in 0..20 {
            configured.reload(&text(&root, &format!("charset = \"x-{n}\"\n")));
        }
        done.store(true, Ordering::SeqCst);
        clients.into_iter().map(|c| c.join().unwrap()).sum::<u32>()
    });
    assert!(asked >= 2000);
    let stopped = configured.server.stop();
    assert_eq!(stopped.counter("reloads"), 20);
    assert_eq!(stopped.counter("close.reset-by-peer"), 0);
}

#[test]
fn the_counters_are_told_when_asked_for_and_quit_stops_in_peace() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    server.serves_a_good_client();
    server.comes_home();
    server.signal("USR2");
    server.says("adieu: counters: 0 of 128 slots are taken");
    server.says("adieu: counters: accepted=1 ");
    server.signal("USR1");
    server.serves_a_good_client();
    let mut kept = server.connect();
    assert_eq!(ask_on(&mut kept, "/").status, 200);
    server.signal("QUIT");
    let stopped = server.wait();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(stopped.counter("close.stopped"), 0);
}

#[test]
fn flags_alone_are_read_again_as_well() {
    let root = Root::new();
    let server = Server::start(root.path(), &["site.listing=on", &granted(&root)]);
    // A root that was replaced is opened anew: the old one was held by its descriptor.
    let old = root.path().with_extension("old");
    fs::rename(root.path(), &old).unwrap();
    fs::create_dir(root.path()).unwrap();
    root.file("index.html", b"new");
    assert_ne!(get(&server, "/").body, b"new");
    server.signal("HUP");
    server.says("adieu: reloaded: nothing has changed; the directories are opened anew");
    assert_eq!(get(&server, "/").body, b"new");
    fs::remove_dir_all(old).unwrap();
    drop(server.stop());
}

#[test]
fn logs_that_were_moved_away_are_opened_anew() {
    let root = Root::new();
    let log = root.path().join("access.log");
    let key = format!("log.access_target=file:{}", log.display());
    let server = Server::start(root.path(), &["log.access=common", &key]);
    let lines = |path: &PathBuf| fs::read_to_string(path).map_or(0, |text| text.lines().count());
    for (number, signal) in ["USR1", "HUP"].into_iter().enumerate() {
        server.serves_a_good_client();
        eventually("its line", || lines(&log) == 1);
        let moved = log.with_extension(number.to_string());
        fs::rename(&log, &moved).unwrap();
        server.serves_a_good_client();
        eventually("its line, in the file that is still open", || {
            lines(&moved) == 2
        });
        server.signal(signal);
        eventually("a new file", || log.exists());
    }
    server.comes_home();
    drop(server.stop());
}

#[test]
fn a_reload_begins_and_ends_an_access_log() {
    let root = Root::new();
    let log = root.path().join("access.log");
    let mut configured = Configured::start(&root, &text(&root, ""));
    let more = |format: &str| {
        let target = log.display();
        format!("[log]\naccess = \"{format}\"\naccess_target = \"file:{target}\"\n")
    };
    let said = configured.reload(&text(&root, &more("json")));
    assert!(said.contains("log.access"), "{said}");
    configured.server.serves_a_good_client();
    let written = || fs::read_to_string(&log).unwrap_or_default();
    eventually("a line in JSON", || written().contains("\"status\":200"));
    // A target that cannot be had is refused, and the old one goes on.
    let nowhere = "[log]\naccess = \"json\"\naccess_target = \"file:/nowhere/at/all\"\n";
    let said = configured.reload(&text(&root, nowhere));
    assert!(said.contains("the old configuration goes on"), "{said}");
    configured.server.serves_a_good_client();
    eventually("a second line", || written().lines().count() == 2);
    configured.reload(&text(&root, &more("off")));
    configured.server.serves_a_good_client();
    assert_eq!(written().lines().count(), 2);
    configured.server.comes_home();
    drop(configured.server.stop());
}
