//! Uploads that are broken off: by the client, by the server's end, by a crash, by a new
//! configuration or a new server. The old file stays, nothing unfinished is left, and whoever goes
//! on gets his answer. On real sockets and files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::sys::socket;
use common::http::{only, read_answer};
use common::place::Place;
use common::root::Root;
use common::server::{Server, Stopped};
use common::uploads::{
    CROWD, Half, RULE, alone, ask, bare, content, head, inbox, is_answered, names, noise,
    nothing_is_left, put, put_chunked, start, unfinished,
};
use common::{End, eventually, hear};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The file before the upload.
const OLD: &[u8] = b"as it was";

/// A root with a file in it that somebody is about to replace.
fn old() -> Root {
    let root = inbox();
    root.file("inbox/x", OLD);
    root
}

/// Nothing came of it.
fn came_to_nothing(server: &Server, root: &Root) {
    nothing_is_left(root);
    assert_eq!(names(root), ["x"]);
    assert_eq!(content(server, "/inbox/x"), (200, OLD.to_vec()));
}

fn ends(server: Server, root: &Root) -> Stopped {
    server.comes_home();
    nothing_is_left(root);
    server.stop()
}

// ---- by the client ------------------------------------------------------------------------------

#[test]
fn a_client_that_goes_in_the_middle_leaves_nothing() {
    let root = old();
    let server = start(&root, &[]);
    let body = noise(100_000, 1);
    let chunked = put_chunked("/inbox/x", "", &body, 3000);
    let gone: [fn(TcpStream); 3] = [
        |stream| drop(stream),
        |stream| socket::abort(OwnedFd::from(stream)),
        |mut stream| {
            stream.shutdown(Shutdown::Write).unwrap();
            let heard = hear(&mut stream);
            assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
        },
    ];
    let mut broken = 0;
    for goes in gone {
        for _ in 0..5 {
            goes(Half::put(&server, &root, "/inbox/x", &body).stream);
            came_to_nothing(&server, &root);
            // All but the last byte; a body in chunks without its end is none.
            for request in [put("/inbox/x", "", &body), chunked.clone()] {
                let mut stream = server.connect();
                stream.write_all(&request[..request.len() - 1]).unwrap();
                eventually("it is on its way", || !unfinished(&root).is_empty());
                goes(stream);
                came_to_nothing(&server, &root);
            }
            // Nothing but the head.
            let mut stream = server.connect();
            stream.write_all(&head("PUT", "/inbox/x", "", 5)).unwrap();
            eventually("it is on its way", || !unfinished(&root).is_empty());
            goes(stream);
            came_to_nothing(&server, &root);
            broken += 4;
        }
    }
    let stopped = ends(server, &root);
    assert_eq!(stopped.counter("uploads-abandoned"), broken);
}

#[test]
fn a_client_that_shuts_its_side_behind_the_body_has_its_answer() {
    let root = inbox();
    let server = start(&root, &[]);
    let body = noise(200_000, 1);
    for (request, status) in [
        (put("/inbox/x", "", &body), 201),
        (put_chunked("/inbox/x", "", &body, 3000), 204),
    ] {
        let mut stream = server.connect();
        stream.write_all(&request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let heard = hear(&mut stream);
        assert_eq!((only(&heard.bytes).status, heard.end), (status, End::Fin));
    }
    assert_eq!(content(&server, "/inbox/x"), (200, body));
    ends(server, &root);
}

#[test]
fn who_says_nothing_or_trickles_is_late() {
    let root = old();
    let body = noise(100_000, 1);
    let slow = [
        "timeout.body_window_ms=300",
        "timeout.body_window_bytes=1MiB",
        "linger.idle_ms=20s",
    ];
    let silent = ["timeout.upload_ms=300", "linger.idle_ms=20s"];
    for (keys, trickles) in [(&silent[..], false), (&slow, true), (&slow, false)] {
        let server = start(&root, keys);
        let mut half = Half::put(&server, &root, "/inbox/x", &body);
        if trickles {
            // A byte every few milliseconds is not enough.
            eventually("the answer", || {
                half.stream.write_all(b"x").unwrap();
                is_answered(&half.stream)
            });
        }
        let heard = hear(&mut half.stream);
        let answer = only(&heard.bytes);
        assert_eq!((answer.status, answer.closes()), (408, true));
        assert_eq!(heard.end, End::Fin);
        came_to_nothing(&server, &root);
        drop(half);
        let stopped = ends(server, &root);
        assert_eq!(stopped.counter("reject.late-body"), 1, "{stopped:?}");
        assert_eq!(stopped.counter("uploads-abandoned"), 1);
    }
}

#[test]
fn an_upload_lasts_longer_than_a_body_that_is_thrown_away_may() {
    let root = inbox();
    let keys = ["timeout.body_ms=300", "timeout.body_window_bytes=0"];
    let server = start(&root, &keys);
    // The first waits until another one has been late by that clock.
    let mut half = Half::put(&server, &root, "/inbox/x", &noise(2000, 1));
    let mut other = server.connect();
    other.write_all(&head("GET", "/", "", 5)).unwrap();
    assert_eq!(only(&hear(&mut other).bytes).status, 408);
    assert_eq!(half.finish().status, 201);
    drop((half, other));
    ends(server, &root);
}

#[test]
fn few_buffers_are_enough_for_many_uploads() {
    let root = inbox();
    let server = start(&root, &["memory.buffers=8", "upload.at_once=64"]);
    let body = noise(200_000, 1);
    let mut halves: Vec<Half> = (0..40)
        .map(|n| Half::put(&server, &root, &format!("/inbox/{n}"), &body))
        .collect();
    server.serves_a_good_client();
    thread::scope(|scope| {
        for half in &mut halves {
            scope.spawn(|| assert_eq!(half.finish().status, 201));
        }
    });
    assert_eq!(names(&root).len(), 40);
    assert!(content(&server, "/inbox/39") == (200, body));
    drop(halves);
    ends(server, &root);
}

#[test]
fn two_buffers_are_enough_for_many_uploads_in_chunks() {
    let root = inbox();
    let server = start(&root, &["memory.buffers=2", "upload.at_once=64"]);
    let body = noise(30_000, 1);
    let requests: Vec<Vec<u8>> = (0..40)
        .map(|n| put_chunked(&format!("/inbox/{n}"), "", &body, 7000))
        .collect();
    let mut streams: Vec<TcpStream> = requests.iter().map(|_| server.connect()).collect();
    // In the middle of chunks, of their size lines, and of the trailer.
    let long = requests[39].len();
    let (mut from, marks) = (0, [100, 7090, 15_000, long - 20, long - 5, long - 1]);
    for to in marks {
        for (stream, request) in streams.iter_mut().zip(&requests) {
            let to = to.min(request.len() - 1);
            stream.write_all(&request[from.min(to)..to]).unwrap();
        }
        from = to;
        server.serves_a_good_client();
    }
    for (stream, request) in streams.iter_mut().zip(&requests) {
        stream
            .write_all(&request[from.min(request.len() - 1)..])
            .unwrap();
        assert_eq!(read_answer(stream, false).status, 201);
    }
    for number in 0..40 {
        assert!(content(&server, &format!("/inbox/{number}")) == (200, body.clone()));
    }
    drop(streams);
    let stopped = ends(server, &root);
    assert_eq!(stopped.counter("evicted.stalled"), 0, "{stopped:?}");
}

/// Who is late while all buffers are taken is told so when one comes home. An upload owns none
/// while it flows, so it has to wait for one.
#[test]
fn who_is_late_while_no_buffer_is_free_hears_of_it_later() {
    let root = old();
    root.sparse("large.bin", 64 << 20);
    let keys = [
        "memory.buffers=2",
        "timeout.body_window_ms=2s",
        "linger.idle_ms=20s",
        "timeout.write_ms=20s",
    ];
    let server = start(&root, &keys);
    let mut half = Half::put(&server, &root, "/inbox/x", &noise(100_000, 1));
    // Whoever does not read and has asked for more holds one. This is done before it is late.
    let pipeline = [bare("GET", "/large.bin", ""), bare("GET", "/", "")].concat();
    let stuck = [(); 8].map(|()| {
        let mut stream = server.connect();
        stream.write_all(&pipeline).unwrap();
        stream
    });
    let heard = hear(&mut half.stream);
    assert_eq!((only(&heard.bytes).status, heard.end), (408, End::Fin));
    drop(stuck);
    server.serves_a_good_client();
    came_to_nothing(&server, &root);
}

/// A fault that was reported: uploads give no slot up, so that a trickle into as many as there are
/// slots keeps everybody else out for an hour.
#[test]
fn uploads_that_trickle_do_not_take_all_slots() {
    let root = inbox();
    let keys = [
        "memory.connections=4",
        "upload.at_once=4",
        "timeout.body_window_bytes=1",
    ];
    let server = start(&root, &keys);
    let body = noise(100_000, 1);
    let _halves: Vec<Half> = (0..2)
        .map(|n| Half::put(&server, &root, &format!("/inbox/{n}"), &body))
        .collect();
    // Half of the slots is for others, whatever the configuration says.
    let mut third = server.connect();
    let answer = ask(&mut third, &put("/inbox/2", "", b"x"));
    assert_eq!(
        (answer.status, answer.field("retry-after")),
        (503, Some("5"))
    );
    let answer = ask(&mut server.connect(), &bare("GET", "/", ""));
    assert_eq!(answer.status, 200);
}

#[test]
fn a_directory_that_goes_takes_no_upload_with_it() {
    let root = inbox();
    let server = start(&root, &[]);
    let body = noise(2000, 1);
    let at = |name: &str| root.path().join(name);
    fs::create_dir(at("inbox/sub")).unwrap();
    // It is removed; a file has its name; a directory has the file's.
    let happens: [fn(PathBuf); 3] = [
        |sub| fs::remove_dir(sub).unwrap(),
        |sub| {
            fs::remove_dir(&sub).unwrap();
            fs::write(sub, "file").unwrap();
        },
        |sub| fs::create_dir(sub.join("x")).unwrap(),
    ];
    for happens in happens {
        let mut half = Half::put(&server, &root, "/inbox/sub/x", &body);
        happens(at("inbox/sub"));
        let answer = half.finish();
        assert_eq!((answer.status, answer.closes()), (409, false));
        nothing_is_left(&root);
        assert_eq!(ask(&mut half.stream, &bare("GET", "/", "")).status, 200);
        let _ = fs::remove_file(at("inbox/sub"));
        let _ = fs::remove_dir(at("inbox/sub/x"));
        let _ = fs::create_dir(at("inbox/sub"));
    }
    ends(server, &root);
}

/// What somebody did who cleared up too much.
#[test]
fn without_the_directory_of_uploads_it_is_the_server_that_failed() {
    let root = inbox();
    let server = start(&root, &[]);
    fs::remove_dir_all(root.path().join(".adieu-uploads")).unwrap();
    let answer = alone(&server, &put("/inbox/x", "", b"x"));
    assert!(
        matches!(answer.status, 201 | 500 | 503),
        "{}: nothing that the client could resolve",
        answer.status
    );
}

// ---- by the server ------------------------------------------------------------------------------

#[test]
fn a_crash_leaves_the_old_file_and_the_next_start_clears_up() {
    let root = old();
    let body = noise(1 << 20, 1);
    for _ in 0..3 {
        let server = start(&root, &[]);
        let halves = [(); 3].map(|()| Half::put(&server, &root, "/inbox/x", &body));
        assert_eq!(alone(&server, &put("/inbox/y", "", &body)).status, 201);
        server.signal("KILL");
        assert!(!server.wait().status.success());
        assert_eq!(unfinished(&root).len(), 3, "this is what a crash leaves");
        assert_eq!(fs::read(root.path().join("inbox/x")).unwrap(), OLD);
        drop(halves);
        // What is not ours stays.
        fs::write(root.path().join(".adieu-uploads/note.txt"), "x").unwrap();
        let server = start(&root, &[]);
        let left = unfinished(&root);
        assert_eq!(left, [("note.txt".to_owned(), 1)]);
        fs::remove_file(root.path().join(".adieu-uploads/note.txt")).unwrap();
        assert!(content(&server, "/inbox/y") == (200, body.clone()));
        let removed = alone(&server, &bare("DELETE", "/inbox/y", ""));
        assert_eq!(removed.status, 204);
        came_to_nothing(&server, &root);
        ends(server, &root);
    }
}

#[test]
fn a_crash_at_any_moment_leaves_a_whole_file() {
    let root = inbox();
    let versions = [noise(90_000, 1), noise(200_000, 2), noise(5000, 3)];
    for moment in 0..15 {
        let server = start(&root, &[]);
        assert!(unfinished(&root).is_empty());
        let answered = AtomicUsize::new(0);
        thread::scope(|scope| {
            for body in &versions {
                let (mut stream, answered) = (server.connect(), &answered);
                scope.spawn(move || {
                    let request = put_chunked("/inbox/x", "", body, 40_000);
                    // Until there is nobody any more.
                    while stream.write_all(&request).is_ok() {
                        let mut room = [0; 500];
                        match stream.read(&mut room) {
                            Ok(1..) => answered.fetch_add(1, Ordering::SeqCst),
                            Ok(0) | Err(_) => break,
                        };
                    }
                });
            }
            let enough = 3 + moment * 7;
            eventually("so many answers", || {
                answered.load(Ordering::SeqCst) >= enough
            });
            server.signal("KILL");
        });
        assert!(!server.wait().status.success());
        let now = fs::read(root.path().join("inbox/x")).unwrap();
        assert!(versions.contains(&now), "{} bytes of nothing", now.len());
        assert_eq!(names(&root), ["x"]);
    }
    let server = start(&root, &[]);
    ends(server, &root);
}

#[test]
fn a_stop_lets_an_upload_end_and_then_ends_at_once() {
    let root = old();
    let server = start(&root, &["timeout.stop_ms=30m", "keepalive.idle_ms=30m"]);
    let body = noise(1 << 20, 1);
    let mut halves = ["/inbox/x", "/inbox/y"].map(|at| Half::put(&server, &root, at, &body));
    server.signal("TERM");
    server.says("adieu: stopping");
    for (half, status) in halves.iter_mut().zip([204, 201]) {
        let answer = half.finish();
        assert_eq!((answer.status, answer.closes()), (status, true));
        let heard = hear(&mut half.stream);
        assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    }
    drop(halves);
    let stopped = server.ends();
    assert_eq!(stopped.counter("uploads-abandoned"), 0);
    assert!(unfinished(&root).is_empty());
    for name in ["x", "y"] {
        assert!(fs::read(root.path().join("inbox").join(name)).unwrap() == body);
    }
}

#[test]
fn a_stop_that_does_not_wait_leaves_nothing() {
    for (keys, signals) in [
        (["timeout.stop_ms=300"], &["TERM"][..]),
        (["timeout.stop_ms=30m"], &["TERM", "TERM"]),
        (["timeout.stop_ms=30m"], &["INT"]),
    ] {
        let root = old();
        let server = start(&root, &keys);
        let half = Half::put(&server, &root, "/inbox/x", &noise(100_000, 1));
        for signal in signals {
            server.signal(signal);
            server.says("adieu: stopping");
        }
        let stopped = server.ends();
        assert_eq!(stopped.counter("close.stopped"), 1, "{stopped:?}");
        assert_eq!(stopped.counter("uploads-abandoned"), 1);
        assert!(unfinished(&root).is_empty(), "{signals:?}");
        assert_eq!(fs::read(root.path().join("inbox/x")).unwrap(), OLD);
        drop(half);
    }
}

// ---- by a new configuration ---------------------------------------------------------------------

/// A server whose configuration is a file.
struct Configured {
    server: Server,
    file: PathBuf,
    told: usize,
}

impl Configured {
    fn start(place: &Place, text: &str) -> Self {
        let file = place.path("adieu.toml");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
        command.args(["-p", "127.0.0.1:0", "-c"]).arg(&file);
        // In its sandbox it may change files in every root that a reload brings.
        let roots = env!("CARGO_TARGET_TMPDIR");
        command.args(["--set", &format!("service.sandbox_write={roots}")]);
        Self {
            server: Server::run(command),
            file,
            told: 0,
        }
    }

    /// What the server said to the new text.
    fn reload(&mut self, text: &str) -> String {
        fs::write(&self.file, text).unwrap();
        self.told += 1;
        self.server.signal("HUP");
        let said = |line: &String| line.contains(" reloaded: ") || line.contains(" not reloaded, ");
        self.server.line(self.told, said)
    }
}

fn text(root: &Root, uploads: &str) -> String {
    let root = root.path().display();
    format!(
        "[limits]\nconnections_per_address = 128\n[site]\nroot = \"{root}\"\nuploads = {uploads}\n"
    )
}

#[test]
fn a_reload_in_the_middle_lets_uploads_end_as_they_began() {
    let test = "a_reload_in_the_middle_lets_uploads_end_as_they_began";
    if common::lacks(test, "config-file") {
        return;
    }
    let (root, other, place) = (old(), inbox(), Place::new());
    let rule = "[\"/inbox 64MiB\"]";
    let mut configured = Configured::start(&place, &text(&root, rule));
    let body = noise(300_000, 1);
    // Nothing changed; a smaller bound; another root; no rule at all; and back.
    for (number, (new, uploads)) in [
        (&root, rule),
        (&root, "[\"/inbox 10\"]"),
        (&other, rule),
        (&root, "[]"),
        (&root, rule),
    ]
    .into_iter()
    .enumerate()
    {
        let mut half = Half::put(&configured.server, &root, "/inbox/x", &body);
        let gone = Half::put(&configured.server, &root, "/inbox/gone", &body);
        let said = configured.reload(&text(new, uploads));
        assert!(said.contains(" reloaded: "), "{said}");
        assert_eq!(unfinished(&root).len(), 2, "a reload removed an upload");
        drop(gone);
        eventually("one is gone", || unfinished(&root).len() == 1);
        let answer = half.finish();
        assert_eq!((answer.status, answer.closes()), (204, false), "{number}");
        assert!(fs::read(root.path().join("inbox/x")).unwrap() == body);
        assert!(unfinished(&root).is_empty());
        // What holds from now on holds on that connection too.
        let expected = match uploads {
            "[]" => 405,
            rule if rule.contains("10") => 413,
            _ => 201,
        };
        let answer = ask(&mut half.stream, &put("/inbox/new", "", b"12345678901"));
        assert_eq!(
            (answer.status, answer.closes()),
            (expected, false),
            "{number}"
        );
        let _ = fs::remove_file(root.path().join("inbox/new"));
        let _ = fs::remove_file(other.path().join("inbox/new"));
        drop(half);
        configured.server.comes_home();
        // Back, so that the next round can begin.
        configured.reload(&text(&root, rule));
        fs::write(root.path().join("inbox/x"), OLD).unwrap();
    }
    let stopped = ends(configured.server, &root);
    assert_eq!(stopped.counter("uploads-abandoned"), 5);
    assert_eq!(stopped.counter("reloads"), 10);
}

#[test]
fn a_reload_that_is_refused_breaks_no_upload() {
    if common::lacks("a_reload_that_is_refused_breaks_no_upload", "config-file") {
        return;
    }
    let (root, place) = (old(), Place::new());
    let rule = "[\"/inbox 64MiB\"]";
    let mut configured = Configured::start(&place, &text(&root, rule));
    let mut half = Half::put(&configured.server, &root, "/inbox/x", &noise(2000, 1));
    for bad in ["[\"/inbox\"]", "[\"/inbox 0\"]", "no toml at all"] {
        let said = configured.reload(&text(&root, bad));
        assert!(said.contains(" not reloaded, "), "{said}");
    }
    assert_eq!(half.finish().status, 204);
    drop(half);
    ends(configured.server, &root);
}

#[test]
fn a_reload_may_bring_the_first_rule() {
    if common::lacks("a_reload_may_bring_the_first_rule", "config-file") {
        return;
    }
    let (root, place) = (inbox(), Place::new());
    let mut configured = Configured::start(&place, &text(&root, "[]"));
    let body = noise(300_000, 1);
    assert!(!root.path().join(".adieu-uploads").exists());
    let mut kept = configured.server.connect();
    let small = put("/inbox/x", "", b"x");
    assert_eq!(ask(&mut kept, &small).status, 405);
    // A refused body is on its way while the rule comes.
    let mut refused = configured.server.connect();
    refused
        .write_all(&head("PUT", "/inbox/x", "", 1000))
        .unwrap();
    assert_eq!(read_answer(&mut refused, false).status, 405);
    configured.reload(&text(&root, "[\"/inbox 64MiB\"]"));
    refused.write_all(&[b'x'; 1000]).unwrap();
    for (stream, status) in [(&mut refused, 201), (&mut kept, 204)] {
        assert_eq!(ask(stream, &put("/inbox/x", "", &body)).status, status);
    }
    assert!(content(&configured.server, "/inbox/x") == (200, body.clone()));
    let mut halves = ["/inbox/y", "/inbox/z"].map(|at| {
        let server = &configured.server;
        Half::put(server, &root, at, &body)
    });
    configured.reload(&text(&root, "[]"));
    assert_eq!(ask(&mut kept, &small).status, 405);
    configured.reload(&text(&root, "[\"/inbox 64MiB\"]"));
    for half in &mut halves {
        assert_eq!(half.finish().status, 201);
    }
    drop((kept, refused, halves));
    // The directory of uploads and their pipe are open now; nothing of the sites before is.
    eventually("all but three are closed", || {
        configured.server.opened() == 3
    });
    nothing_is_left(&root);
    configured.server.stop();
}

#[test]
fn a_reload_of_the_share_of_a_client_counts_for_uploads_too() {
    let test = "a_reload_of_the_share_of_a_client_counts_for_uploads_too";
    if common::lacks(test, "config-file") {
        return;
    }
    let (root, place) = (inbox(), Place::new());
    let text = |share: u32| {
        format!(
            "[site]\nroot = \"{}\"\nuploads = [\"/inbox 1MiB\"]\n[memory]\nconnections = 16\n\
             [upload]\nat_once = 4\n[limits]\nconnections_per_address = {share}\n",
            root.path().display()
        )
    };
    let mut configured = Configured::start(&place, &text(8));
    let body = noise(1000, 1);
    let half = |server: &Server, at: &str| Half::put(server, &root, at, &body);
    let _first = ["/inbox/a", "/inbox/b"].map(|at| half(&configured.server, at));
    let third = put("/inbox/c", "", &body);
    assert_eq!(alone(&configured.server, &third).status, 503);
    configured.reload(&text(16));
    assert_eq!(alone(&configured.server, &third).status, 201);
}

#[test]
fn twenty_reloads_under_load_fail_no_upload() {
    if common::lacks("twenty_reloads_under_load_fail_no_upload", "config-file") {
        return;
    }
    let (root, place) = (inbox(), Place::new());
    let rules = ["[\"/inbox 64MiB\"]", "[\"/inbox 1MiB\", \"/x 5\"]"];
    let mut configured = Configured::start(&place, &text(&root, rules[0]));
    let address = configured.server.address.unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..4_usize {
            let done = &done;
            scope.spawn(move || {
                let body = noise(70_000 + number, 1);
                let mut stream = TcpStream::connect(address).unwrap();
                let target = format!("/inbox/{number}");
                while !done.load(Ordering::SeqCst) {
                    let request = match number % 2 {
                        0 => put(&target, "", &body),
                        _ => put_chunked(&target, "", &body, 4000),
                    };
                    let answer = ask(&mut stream, &request);
                    assert!(matches!(answer.status, 201 | 204), "{answer:?}");
                    let answer = ask(&mut stream, &bare("GET", &target, ""));
                    assert!(answer.status == 200 && answer.body == body);
                }
            });
        }
        for number in 0..20 {
            let said = configured.reload(&text(&root, rules[number % 2]));
            assert!(said.contains(" reloaded: "), "{said}");
        }
        done.store(true, Ordering::SeqCst);
    });
    let stopped = ends(configured.server, &root);
    assert_eq!(stopped.counter("uploads-abandoned"), 0);
}

// ---- by a new server ----------------------------------------------------------------------------

#[test]
fn a_hand_over_lets_uploads_end_where_they_began() {
    let (root, place) = (old(), Place::new());
    let control = format!("service.control={}", place.shown("control"));
    let keys = [RULE, CROWD, &control];
    let before = Server::start(root.path(), &keys);
    let body = noise(300_000, 1);
    let mut half = Half::put(&before, &root, "/inbox/x", &body);
    let gone = Half::put(&before, &root, "/inbox/gone", &body);
    let after = Server::start(root.path(), &keys);
    assert_eq!(after.address, before.address);
    before.says("adieu: handed over: 2 connections");
    assert_eq!(
        unfinished(&root).len(),
        2,
        "the new one removed what the old one works at"
    );
    assert_eq!(alone(&after, &put("/inbox/y", "", &body)).status, 201);
    drop(gone);
    eventually("one is gone", || unfinished(&root).len() == 1);
    assert_eq!(content(&after, "/inbox/x"), (200, OLD.to_vec()));
    // It began before: whether this connection stays is not said yet.
    let answer = half.finish();
    assert_eq!(answer.status, 204);
    if !answer.closes() {
        let answer = ask(&mut half.stream, &bare("GET", "/", ""));
        assert_eq!((answer.status, answer.closes()), (200, true));
    }
    assert_eq!(hear(&mut half.stream).end, End::Fin);
    drop(half);
    let stopped = before.wait();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(stopped.counter("uploads-abandoned"), 1);
    assert!(content(&after, "/inbox/x") == (200, body));
    ends(after, &root);
}

#[test]
fn hand_overs_under_load_fail_no_upload() {
    let (root, place) = (inbox(), Place::new());
    let control = format!("service.control={}", place.shown("control"));
    let keys = [RULE, CROWD, &control];
    let mut server = Server::start(root.path(), &keys);
    let address = server.address.unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..4_usize {
            let done = &done;
            scope.spawn(move || {
                let body = noise(70_000 + number, 1);
                let connect = || TcpStream::connect(address).unwrap();
                let mut stream = connect();
                let target = format!("/inbox/{number}");
                while !done.load(Ordering::SeqCst) {
                    for request in [put(&target, "", &body), bare("GET", &target, "")] {
                        let answer = ask(&mut stream, &request);
                        let puts = request.starts_with(b"PUT");
                        let good = matches!(answer.status, 201 | 204) && puts;
                        assert!(good || answer.body == body, "{}", answer.status);
                        if answer.closes() {
                            assert_eq!(hear(&mut stream).end, End::Fin);
                            stream = connect();
                        }
                    }
                }
            });
        }
        for _ in 0..10 {
            let next = Server::start(root.path(), &keys);
            let before = std::mem::replace(&mut server, next);
            let stopped = before.wait();
            assert!(stopped.status.success(), "{stopped:?}");
            assert_eq!(stopped.counter("uploads-abandoned"), 0, "{stopped:?}");
        }
        done.store(true, Ordering::SeqCst);
    });
    ends(server, &root);
}
