//! What becomes of a request that is refused before its body, or that waits until its credentials
//! are looked at: on the real program, with everything that can happen to it meanwhile.
//!
//! Where a request must wait, the helper is stopped with SIGSTOP: so nothing here depends on how
//! long a hash takes.
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
use common::auth::{
    ALICE, BOB, Halted, PASSWORD, SLOWEST, Users, alice, ask_on, basic, dealt_with, helper,
    helpers, is_challenge, request, status, tell, zombies,
};
use common::http::{answers, only, read_answer};
use common::root::Root;
use common::server::Server;
use common::{End, Heard, eventually, hear, skip};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LINGERS: bool = matches!(BUILT, Teardown::Linger);
const REALM: &str = "Administration";
const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_LAST: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
/// The largest body that is read off, by default.
const KEPT_BYTES: usize = 64 * 1024;

fn root() -> Root {
    let root = Root::new();
    fs::create_dir(root.path().join("admin")).unwrap();
    root.file("admin/x.txt", b"secret x");
    root.file("open.txt", b"open");
    root
}

/// A server whose `/admin` is for these users.
fn guarded(root: &Root, users: &Users, keys: &[&str]) -> Server {
    Server::run(command(root, users, keys))
}

fn command(root: &Root, users: &Users, keys: &[&str]) -> Command {
    let rule = users.guard("/admin *", REALM);
    let mut all = vec!["auth.failures=1000", "linger.idle_ms=20s", rule.as_str()];
    all.extend_from_slice(keys);
    Server::command("127.0.0.1:0", root.path(), &all)
}

/// The head of an upload of so many bytes.
fn head(method: &str, target: &str, bytes: usize, fields: &str) -> String {
    request(
        method,
        target,
        &format!("Content-Length: {bytes}\r\n{fields}"),
    )
}

/// A body of so many bytes that looks like requests, each of which would be answered.
fn lookalike(bytes: usize) -> Vec<u8> {
    let request = b"GET /open.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut body = request.repeat(bytes / request.len() + 1);
    body.truncate(bytes);
    body
}

/// Asks for the guarded file and waits until the server has dealt with the request.
fn begin(server: &Server, fields: &str) -> TcpStream {
    let mut stream = server.connect();
    let request = request("GET", "/admin/x.txt", fields);
    stream.write_all(request.as_bytes()).unwrap();
    dealt_with(server);
    stream
}

/// Nothing has come yet.
fn waits(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match peeked {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        other => panic!("it does not wait: {other:?}"),
    }
}

fn ends(server: Server) {
    server.comes_home();
    drop(server.stop());
}

// ---- refused before the body --------------------------------------------------------------------

/// What is refused as soon as its head is there, with this status.
const REFUSED: [(&str, &str, u16); 5] = [
    ("PUT", "/admin/x.txt", 401),
    ("POST", "/admin/", 401),
    ("GET", "/admin/x.txt", 401),
    ("POST", "/open.txt", 405),
    ("GET", "/none", 404),
];

#[test]
fn a_refused_upload_is_answered_before_its_body_and_a_small_rest_is_read_off() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &[]);
    let mut stream = server.connect();
    for (method, target, expected) in REFUSED {
        for bytes in [1, 1000, 20_000, KEPT_BYTES] {
            let head = head(method, target, bytes, "");
            let body = lookalike(bytes);
            // The head alone; a part of the body with it; all at once, and a request behind it.
            for (front, whole) in [
                (0, false),
                (bytes / 3, false),
                (bytes, false),
                (bytes, true),
            ] {
                let mut first = [head.as_bytes(), &body[..front]].concat();
                if whole {
                    first.extend_from_slice(GET.as_bytes());
                }
                stream.write_all(&first).unwrap();
                let answer = read_answer(&mut stream, false);
                assert_eq!((answer.status, answer.closes()), (expected, false));
                if expected == 401 {
                    is_challenge(&answer, REALM);
                }
                stream.write_all(&body[front..]).unwrap();
                if !whole {
                    stream.write_all(GET.as_bytes()).unwrap();
                }
                let answer = read_answer(&mut stream, false);
                assert_eq!((answer.status, answer.closes()), (200, false));
                assert!(answer.body.starts_with(b"<!doctype html>"), "{answer:?}");
            }
        }
    }
    // Nothing else was ever said.
    stream.write_all(GET_LAST.as_bytes()).unwrap();
    assert_eq!(only(&hear(&mut stream).bytes).status, 200);
    drop(stream);
    server.comes_home();
    let stopped = server.stop();
    assert_eq!(stopped.counter("close.reset-by-peer"), 0);
}

#[test]
fn a_body_that_would_be_too_large_is_refused_before_it_comes() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &[]);
    for (method, target, expected) in [
        ("PUT", "/admin/x.txt", 401),
        ("POST", "/open.txt", 405),
        ("GET", "/open.txt", 413),
    ] {
        let mut stream = server.connect();
        let head = head(method, target, KEPT_BYTES + 1, "");
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false);
        assert_eq!((answer.status, answer.closes()), (expected, true));
        // A client that is told so and stops hears the end at once.
        let heard = hear(&mut stream);
        assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    }
    ends(server);
}

/// Sends everything before it reads.
fn say_all_then_hear(mut stream: TcpStream, parts: &[&[u8]]) -> (std::io::Result<()>, Heard) {
    let said = parts.iter().try_for_each(|part| stream.write_all(part));
    (said, hear(&mut stream))
}

/// One answer of this status, whole, the last; nobody's send has failed.
fn one_refusal(said: std::io::Result<()>, heard: &Heard, expected: u16) {
    if LINGERS {
        said.expect("the client's send never fails");
        assert_eq!(heard.end, End::Fin);
        let answer = only(&heard.bytes);
        assert_eq!((answer.status, answer.closes()), (expected, true));
    }
}

#[test]
fn who_writes_everything_first_hears_the_refusal_whole() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &["auth.remember_ms=0"]);
    let wrong = basic("alice", "x");
    let right = alice();
    for (bytes, tries) in [(KEPT_BYTES + 1, 20), (1 << 20, 20), (50 << 20, 2)] {
        let body = lookalike(bytes);
        for (fields, method, target, expected) in [
            ("", "PUT", "/admin/x.txt", 401),
            (wrong.as_str(), "POST", "/admin/x.txt", 401),
            // Who is let in is told that there is nothing to be put.
            (right.as_str(), "PUT", "/admin/x.txt", 405),
            ("", "POST", "/open.txt", 405),
            ("", "GET", "/open.txt", 413),
        ] {
            let head = head(method, target, bytes, fields);
            for _ in 0..tries {
                let parts = [head.as_bytes(), &body];
                let (said, heard) = say_all_then_hear(server.connect(), &parts);
                one_refusal(said, &heard, expected);
            }
        }
    }
    // What is read off keeps the connection for the next request, also of who writes first.
    let head = head("PUT", "/admin/x.txt", KEPT_BYTES, "");
    let parts = [head.as_bytes(), &lookalike(KEPT_BYTES), GET_LAST.as_bytes()];
    for _ in 0..20 {
        let (said, heard) = say_all_then_hear(server.connect(), &parts);
        said.unwrap();
        let (found, rest) = answers(&heard.bytes, false);
        let statuses: Vec<u16> = found.iter().map(|answer| answer.status).collect();
        assert_eq!((statuses, rest.len()), (vec![401, 200], 0));
        assert_eq!(heard.end, End::Fin);
    }
    server.serves_a_good_client();
    ends(server);
}

#[test]
fn a_refused_upload_without_a_length_is_the_last_of_its_connection() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &[]);
    let mut chunks = Vec::new();
    for _ in 0..256 {
        chunks.extend_from_slice(b"1000\r\n");
        chunks.extend_from_slice(&lookalike(0x1000));
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let one = b"5\r\nabcde\r\n0\r\n\r\n".to_vec();
    for (method, target, expected) in REFUSED {
        let head = request(method, target, "Transfer-Encoding: chunked\r\n");
        // The head alone is answered.
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false);
        assert_eq!((answer.status, answer.closes()), (expected, true));
        drop(stream);
        for body in [&one, &chunks] {
            // No request behind it is answered.
            let parts = [head.as_bytes(), body, GET.as_bytes()];
            let (said, heard) = say_all_then_hear(server.connect(), &parts);
            one_refusal(said, &heard, expected);
        }
    }
    ends(server);
}

#[test]
fn an_expectation_is_refused_and_never_met() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &[]);
    let expect = "Expect: 100-continue\r\n";
    for bytes in [5, 1000, KEPT_BYTES, 1 << 20] {
        let head = head("PUT", "/admin/x.txt", bytes, expect);
        // One that takes the answer for what it is, and one that sends it all the same.
        for body in [vec![], lookalike(bytes)] {
            let parts = [head.as_bytes(), &body];
            let (said, heard) = say_all_then_hear(server.connect(), &parts);
            one_refusal(said, &heard, 401);
        }
    }
    // Who is let in hears no 100 either where nothing can be put.
    let head = head("PUT", "/admin/x.txt", 5, &(alice() + expect));
    let (said, heard) = say_all_then_hear(server.connect(), &[head.as_bytes()]);
    one_refusal(said, &heard, 405);
    // And for a GET with a body it is met behind the verdict.
    let head = request(
        "GET",
        "/admin/x.txt",
        &format!("Content-Length: 5\r\n{expect}{}", alice()),
    );
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 100);
    stream.write_all(b"abcde").unwrap();
    assert_eq!(read_answer(&mut stream, false).body, b"secret x");
    drop(stream);
    ends(server);
}

#[test]
fn a_rest_that_comes_too_late_ends_the_connection_behind_its_answer() {
    let (root, users) = (root(), Users::new(ALICE));
    let keys = ["timeout.body_ms=300", "timeout.body_window_ms=300"];
    let server = guarded(&root, &users, &keys);
    let mut stream = server.connect();
    let head = head("PUT", "/admin/x.txt", 1000, "");
    stream.write_all(head.as_bytes()).unwrap();
    is_challenge(&read_answer(&mut stream, false), REALM);
    let heard = hear(&mut stream);
    assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    drop(stream);
    ends(server);
}

// ---- while it waits -----------------------------------------------------------------------------

/// Answers without what differs from second to second: the date, and for how young a file is, its
/// tag is weak.
fn undated(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let lines = text.split_inclusive("\r\n");
    let lines = lines.filter(|line| !line.starts_with("Date: "));
    lines.map(|line| line.replace("W/\"", "\"")).collect()
}

#[test]
fn a_pipeline_is_answered_in_its_order_whoever_has_to_be_looked_at() {
    let (root, users) = (root(), Users::new(&format!("{ALICE}{BOB}")));
    let server = guarded(&root, &users, &["auth.remember_ms=0"]);
    let bob = basic("bob", PASSWORD);
    let requests = [
        request("GET", "/open.txt", ""),
        request("GET", "/admin/x.txt", ""),
        request("GET", "/admin/x.txt", &alice()),
        request("GET", "/open.txt", ""),
        head("PUT", "/admin/x.txt", 5, "") + "abcde",
        head("PUT", "/admin/x.txt", 5, &bob) + "abcde",
        request("HEAD", "/admin/x.txt", &alice()),
        request("GET", "/admin/x.txt", &basic("bob", "x")),
        request("GET", "/open.txt", ""),
    ];
    let statuses = [200, 401, 200, 200, 401, 405, 200, 401, 200];
    let one_by_one: String = requests
        .iter()
        .map(|request| {
            let mut stream = server.connect();
            stream.write_all(request.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let heard = hear(&mut stream);
            assert_eq!(heard.end, End::Fin);
            undated(&heard.bytes)
        })
        .collect();
    for (status, line) in statuses.iter().zip(one_by_one.match_indices("HTTP/1.1 ")) {
        let at = line.0 + "HTTP/1.1 ".len();
        assert_eq!(one_by_one[at..at + 3], status.to_string());
    }
    let pipeline = requests.concat();
    for half_closes in [false, true, true] {
        // What was remembered is over, and each of them is looked at behind the one before.
        let halted = Halted::new(&server);
        let mut stream = server.connect();
        stream.write_all(pipeline.as_bytes()).unwrap();
        if half_closes {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        drop(halted);
        if !half_closes {
            stream.write_all(GET_LAST.as_bytes()).unwrap();
        }
        let heard = hear(&mut stream);
        assert_eq!(heard.end, End::Fin);
        let text = undated(&heard.bytes);
        match half_closes {
            true => assert_eq!(text, one_by_one),
            false => assert!(text.starts_with(&one_by_one), "{text}"),
        }
    }
    ends(server);
}

#[test]
fn what_stands_before_who_waits_is_answered_and_what_stands_behind_waits() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &[]);
    let halted = Halted::new(&server);
    let mut stream = server.connect();
    let pipeline = [
        request("GET", "/open.txt", ""),
        request("GET", "/admin/x.txt", ""),
        request("GET", "/admin/x.txt", &alice()),
        request("GET", "/open.txt", ""),
    ];
    stream.write_all(pipeline.concat().as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).body, b"open");
    is_challenge(&read_answer(&mut stream, false), REALM);
    dealt_with(&server);
    waits(&stream);
    // Everybody else is served meanwhile.
    for _ in 0..20 {
        server.serves_a_good_client();
    }
    waits(&stream);
    drop(halted);
    assert_eq!(read_answer(&mut stream, false).body, b"secret x");
    assert_eq!(read_answer(&mut stream, false).body, b"open");
    drop(stream);
    ends(server);
}

#[test]
fn who_waits_too_long_is_told_so() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &["timeout.verdict_ms=300"]);
    let halted = Halted::new(&server);
    let mut stream = begin(&server, &alice());
    let heard = hear(&mut stream);
    assert_eq!(heard.end, End::Fin);
    let answer = only(&heard.bytes);
    assert_eq!((answer.status, answer.closes()), (503, true));
    assert!(answer.field("retry-after").is_some(), "{answer:?}");
    // With a body that it still writes.
    let head = head("PUT", "/admin/x.txt", 1 << 20, &alice());
    let parts = [head.as_bytes(), &lookalike(1 << 20)];
    let (said, heard) = say_all_then_hear(server.connect(), &parts);
    one_refusal(said, &heard, 503);
    server.serves_a_good_client();
    drop((halted, stream));
    eventually("she is let in", || {
        status(&server, "/admin/x.txt", &alice()) == 200
    });
    server.comes_home();
    assert_eq!(server.stop().counter("reject.late-verdict"), 2);
}

#[test]
fn two_rules_with_slow_hashes_come_to_an_end() {
    let (root, users, further) = (root(), Users::new(SLOWEST), Users::new(SLOWEST));
    let rule = further.guard("/admin/x.txt *", "Further");
    // Each word counts for nobody but the request that waits, and for that until its end.
    let keys = ["auth.remember_ms=0", "timeout.verdict_ms=30s", &rule];
    let server = guarded(&root, &users, &keys);
    let mut stream = server.connect();
    stream
        .set_read_timeout(Some(Duration::from_secs(40)))
        .unwrap();
    let request = request("GET", "/admin/x.txt", &basic("slowest", PASSWORD));
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 200);
    drop(stream);
    ends(server);
}

#[test]
fn a_client_that_leaves_while_it_waits_costs_nothing() {
    let (root, users) = (root(), Users::new(ALICE));
    // Each of them holds a buffer.
    let server = guarded(&root, &users, &["auth.waiting=64", "memory.buffers=128"]);
    let halted = Halted::new(&server);
    let stay = begin(&server, &alice());
    for number in 0..40 {
        let stream = begin(&server, &alice());
        match number % 2 {
            0 => socket::abort(OwnedFd::from(stream)),
            _ => drop(stream),
        }
    }
    drop(halted);
    let mut stay = stay;
    assert_eq!(read_answer(&mut stay, false).status, 200);
    drop(stay);
    server.comes_home();
    // Nobody waits any more: there is room for as many again.
    let halted = Halted::new(&server);
    let fields = basic("alice", "x");
    let waiting: Vec<_> = (0..64).map(|_| begin(&server, &fields)).collect();
    assert_eq!(status(&server, "/admin/x.txt", &fields), 429);
    drop(halted);
    for mut stream in waiting {
        is_challenge(&read_answer(&mut stream, false), REALM);
    }
    server.serves_a_good_client();
    ends(server);
}

#[test]
fn who_waits_leaves_buffers_for_others() {
    let (root, users) = (root(), Users::new(ALICE));
    // Eight buffers, and eight may wait: both by default. But no more than half of the buffers.
    let keys = ["memory.connections=32", "limits.connections_per_address=32"];
    let server = guarded(&root, &users, &keys);
    let halted = Halted::new(&server);
    let fields = basic("alice", "x");
    let waiting: Vec<_> = (0..4).map(|_| begin(&server, &fields)).collect();
    for _ in 0..4 {
        assert_eq!(status(&server, "/admin/x.txt", &fields), 429);
    }
    server.serves_a_good_client();
    // Half heads may have the others.
    let begun: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(&GET.as_bytes()[..20]).unwrap();
            stream
        })
        .collect();
    dealt_with(&server);
    server.serves_a_good_client();
    for stream in &waiting {
        waits(stream);
    }
    drop(halted);
    for mut stream in waiting {
        is_challenge(&read_answer(&mut stream, false), REALM);
    }
    drop(begun);
    ends(server);
}

// ---- the helper ---------------------------------------------------------------------------------

/// It has ended. If its parent has, whoever takes orphans here may be slow.
fn is_gone(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    }
}

#[test]
fn when_the_helper_is_killed_nobody_hangs_and_another_one_follows() {
    let (root, users) = (root(), Users::new(&format!("{ALICE}{BOB}")));
    let server = guarded(&root, &users, &["auth.remember_ms=1h"]);
    assert_eq!(status(&server, "/admin/x.txt", &alice()), 200);
    let bob = basic("bob", PASSWORD);
    for number in 1..=2 {
        let halted = Halted::new(&server);
        let wrong = basic("bob", &format!("x{number}"));
        let waiting = [begin(&server, &wrong), begin(&server, &wrong)];
        tell(halted.0, "KILL");
        for mut stream in waiting {
            let answer = read_answer(&mut stream, false);
            assert_eq!((answer.status, answer.closes()), (503, false));
            assert!(answer.field("retry-after").is_some());
            // On the same connection others are served, and so is who is known.
            let known = ask_on(&mut stream, "GET", "/admin/x.txt", &alice());
            assert_eq!(known.status, 200);
        }
        // Who is not known gets an answer at once, and once there is a helper the right one.
        let mut stream = begin(&server, &bob);
        assert!([200, 503].contains(&read_answer(&mut stream, false).status));
        eventually("another helper", || {
            helpers(&server).iter().any(|pid| *pid != halted.0)
        });
        eventually("he is let in", || {
            status(&server, "/admin/x.txt", &bob) == 200
        });
        eventually("nothing is left", || zombies(&server) == 0);
    }
    server.signal("USR2");
    server.line(1, |line| line.contains("helpers-replaced=2"));
    server.comes_home();
    let stopped = server.stop();
    assert_eq!(stopped.counter("helpers-replaced"), 2);
    let said = |what: &str| stopped.lines.iter().filter(|l| l.contains(what)).count();
    assert_eq!(said("the helper has ended"), 2);
    assert_eq!(said("another helper looks at passwords"), 2);
}

#[test]
fn the_helper_has_nothing_of_the_server_and_ends_with_it() {
    let (root, users) = (root(), Users::new(ALICE));
    for signal in ["KILL", "TERM", "ABRT"] {
        let server = guarded(&root, &users, &[]);
        let pid = helper(&server);
        let mut stream = server.connect();
        assert_eq!(
            ask_on(&mut stream, "GET", "/admin/x.txt", &alice()).status,
            200
        );
        let mut sockets = 0;
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let path = entry.unwrap().path();
            let number: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            if number > 2 {
                let target = fs::read_link(&path).unwrap();
                assert!(target.to_str().unwrap().starts_with("socket:"));
                sockets += 1;
            }
        }
        assert_eq!(sockets, 1, "its end of the pair, and no more");
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        assert_eq!(name, "adieu-helper\n");
        drop(stream);
        server.signal(signal);
        eventually("it has ended", || is_gone(pid));
        drop(server);
    }
    // Without a rule there is none.
    let server = Server::start(root.path(), &[]);
    assert_eq!(helpers(&server), [0; 0]);
    ends(server);
}

/// What a process has for itself, KiB.
fn private_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    let numbers = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    Some(numbers.sum())
}

#[test]
fn a_helper_takes_no_more_than_the_plan_says() {
    // As many as it keeps, each as large as it may be.
    let mut text = format!("{ALICE}{BOB}");
    while text.len() < 65_000 {
        text += &ALICE.replace("alice", &format!("user{}", text.len()));
    }
    let (root, users) = (root(), [(); 9].map(|()| Users::new(&text)));
    let rules: Vec<String> = (0..9)
        .map(|n| users[n].guard(&format!("/{n} *"), REALM))
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let server = guarded(&root, &users[0], &rules);
    let pid = helper(&server);
    let Some(before_kib) = private_kib(pid) else {
        return skip("the memory of the helper", "no /proc/PID/smaps_rollup");
    };
    for n in 0..9 {
        for user in ["alice", "bob"] {
            let fields = basic(user, PASSWORD);
            assert_eq!(status(&server, &format!("/{n}"), &fields), 404);
        }
    }
    let kib = private_kib(pid).unwrap();
    println!("private memory of the helper: {before_kib} KiB, and {kib} with its files");
    // HELPER_BYTES of the plan.
    assert!((before_kib..=920).contains(&kib), "{kib} KiB");
    ends(server);
}

// ---- the end ------------------------------------------------------------------------------------

/// The last answer of a server that stops: whole, and the end behind it.
fn last_answer(mut stream: TcpStream, expected: u16) {
    let heard = hear(&mut stream);
    assert_eq!(heard.end, End::Fin);
    let answer = only(&heard.bytes);
    assert_eq!((answer.status, answer.closes()), (expected, true));
}

#[test]
fn a_stop_answers_who_waits() {
    let (root, users) = (root(), Users::new(ALICE));
    // To the server alone, and to the whole group, as a terminal and a shell do.
    for group in [false, true] {
        let mut command = command(&root, &users, &["timeout.verdict_ms=10m"]);
        command.process_group(0);
        let server = Server::run(command);
        let halted = Halted::new(&server);
        let right = begin(&server, &alice());
        let wrong = begin(&server, &basic("alice", "x"));
        match group {
            true => {
                let told = Command::new("kill")
                    .args(["-s", "TERM", "--", &format!("-{}", server.pid())])
                    .status();
                assert!(told.unwrap().success());
            }
            false => server.signal("TERM"),
        }
        server.says("adieu: stopping");
        waits(&right);
        drop(halted);
        last_answer(right, 200);
        last_answer(wrong, 401);
        drop(server.ends());
    }
}

#[test]
fn a_stop_cuts_who_waits_for_ever() {
    let (root, users) = (root(), Users::new(ALICE));
    let keys = ["timeout.stop_ms=300", "timeout.verdict_ms=10m"];
    let server = guarded(&root, &users, &keys);
    let halted = Halted::new(&server);
    let stream = begin(&server, &alice());
    server.signal("TERM");
    eventually("the server has ended", || is_gone(server.pid()));
    let pid = halted.0;
    drop((halted, stream));
    eventually("the helper ends", || is_gone(pid));
    // Until then it holds the standard error, to whose end this listens.
    let stopped = server.ends();
    assert_eq!(stopped.counter("close.stopped"), 1, "{stopped:?}");
}

#[test]
fn a_hand_over_answers_who_waits() {
    let (root, users) = (root(), Users::new(&format!("{ALICE}{BOB}")));
    let run = std::env::temp_dir().join(format!("adieu-verify-{}", std::process::id()));
    fs::create_dir(&run).unwrap();
    let control = format!("service.control={}", run.join("control").display());
    let old = guarded(&root, &users, &[&control]);
    let halted = Halted::new(&old);
    let pid = halted.0;
    let right = begin(&old, &alice());
    let wrong = begin(&old, &basic("alice", "x"));
    let new = guarded(&root, &users, &[&control]);
    old.says("adieu: handed over: 2 connections");
    // The new one has a helper of its own.
    assert_eq!(status(&new, "/admin/x.txt", &basic("bob", PASSWORD)), 200);
    waits(&right);
    drop(halted);
    last_answer(right, 200);
    last_answer(wrong, 401);
    drop(old.ends());
    eventually("the helper of the old one ends", || is_gone(pid));
    ends(new);
    fs::remove_dir_all(run).unwrap();
}

// ---- a reload -----------------------------------------------------------------------------------

/// Writes the configuration and has it read: what the server said, this being the `count`th time.
fn reload(server: &Server, file: &Path, text: &str, count: usize) -> String {
    fs::write(file, text).unwrap();
    server.signal("HUP");
    let said = |line: &String| line.contains(" reloaded: ") || line.contains(" not reloaded, ");
    server.line(count, said)
}

#[test]
fn a_reload_begins_to_ask_for_passwords_and_ceases() {
    let test = "a_reload_begins_to_ask_for_passwords_and_ceases";
    if common::lacks(test, "config-file") {
        return;
    }
    let (root, one, two) = (root(), Users::new(ALICE), Users::new(BOB));
    let elsewhere = Root::new();
    let file = elsewhere.path().join("adieu.toml");
    let text = |rules: &str, more: &str| {
        let root = root.path().display();
        format!("[site]\nroot = \"{root}\"\nauth = [{rules}]\n{more}")
    };
    let rule = |users: &Users| format!("\"/admin * {} Realm\"", users.path().display());
    fs::write(&file, text("", "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
    command.args(["-p", "127.0.0.1:0", "-c"]).arg(&file);
    // In its sandbox it could not start the first helper: see tests/sandbox.rs.
    command.args(["--set", "service.sandbox=off"]);
    let server = Server::run(command);
    let mut kept = server.connect();
    let mut ask = |fields: &str| ask_on(&mut kept, "GET", "/admin/x.txt", fields);
    assert_eq!((ask("").status, helpers(&server)), (200, vec![]));
    let said = reload(&server, &file, &text(&rule(&one), ""), 1);
    assert!(said.contains("site.auth"), "{said}");
    let first = helper(&server);
    is_challenge(&ask(""), "Realm");
    assert_eq!(ask(&alice()).status, 200);
    // Another file, another setting: the same helper.
    let plain = "[auth]\nplain = true\n";
    let said = reload(&server, &file, &text(&rule(&two), plain), 2);
    assert!(said.contains("auth.plain"), "{said}");
    is_challenge(&ask(&alice()), "Realm");
    assert_eq!(ask(&basic("bob", PASSWORD)).status, 200);
    assert_eq!(helper(&server), first);
    // Who waits while the rule is taken away is answered by what holds then.
    let halted = Halted::new(&server);
    let mut stream = begin(&server, &basic("bob", "x"));
    let said = reload(&server, &file, &text("", ""), 3);
    assert!(said.contains("site.auth"), "{said}");
    assert_eq!(ask("").status, 200);
    drop(halted);
    assert_eq!(read_answer(&mut stream, false).body, b"secret x");
    // Then there is nothing to be done for it.
    eventually("the helper is gone", || {
        helpers(&server).is_empty() && zombies(&server) == 0
    });
    // And once more.
    reload(&server, &file, &text(&rule(&one), ""), 4);
    is_challenge(&ask(""), "Realm");
    assert_eq!(ask(&alice()).status, 200);
    let second = helper(&server);
    // Away and back at once: there is one that works, whatever the one before is at.
    reload(&server, &file, &text("", ""), 5);
    reload(&server, &file, &text(&rule(&one), ""), 6);
    eventually("she is let in", || {
        ask(&basic("alice", PASSWORD)).status == 200
    });
    assert_ne!(helper(&server), second);
    // One that is refused leaves things as they are.
    let said = reload(&server, &file, &text("\"/admin * users Realm\"", ""), 7);
    assert!(said.contains("the old configuration goes on"), "{said}");
    is_challenge(&ask(""), "Realm");
    drop((kept, stream));
    eventually("nothing is left", || zombies(&server) == 0);
    let stopped = server.stop();
    let complains = |line: &&String| line.contains("the helper has ended");
    assert_eq!(stopped.lines.iter().find(complains), None);
}

#[test]
fn a_reload_that_is_refused_leaves_no_helper_behind() {
    let test = "a_reload_that_is_refused_leaves_no_helper_behind";
    if common::lacks(test, "config-file") {
        return;
    }
    let (root, users) = (root(), Users::new(ALICE));
    let elsewhere = Root::new();
    let file = elsewhere.path().join("adieu.toml");
    let text = |rest: &str| format!("[site]\nroot = \"{}\"\n{rest}", root.path().display());
    fs::write(&file, text("")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
    command.args(["-p", "127.0.0.1:0", "-c"]).arg(&file);
    let server = Server::run(command);
    let rule = format!("auth = [\"/admin * {} Realm\"]\n", users.path().display());
    let bad = text(&(rule + "[log]\ntarget = \"file:/nowhere/at/all\"\n"));
    for count in 1..=3 {
        let said = reload(&server, &file, &bad, count);
        assert!(said.contains("not reloaded"), "{said}");
    }
    eventually("nothing is left", || {
        zombies(&server) == 0 && helpers(&server).is_empty()
    });
    drop(server.stop());
}
