//! What scripts write, however much and however wrong: nothing reaches the wire but a sound
//! response, or the beginning of one and a reset. On real sockets with real scripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::sys::socket;
use common::outside::{rests, status};
use common::scripts::{
    Site, all_end, alone, ask, asking, bare, ends, get, is_cut, is_kept, one, post, read, running,
    starter, try_read,
};
use common::server::Server;
use common::{End, PATIENCE, eventually, hear, read_some};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::thread;

/// Heads that are none, as printf(1) writes them, and what the log calls them.
const MALFORMED: &[(&str, &str, &str)] = &[
    ("cut", r"Content-Type: text/plain\nX-A: b\n", "Cut"),
    ("nothing", r"", "Cut"),
    ("empty", r"\nhello", "Empty"),
    ("text", r"hello\n\nworld", "Line"),
    (
        "blank-before",
        r"X-A : b\nContent-Type: text/plain\n\nx",
        "Line",
    ),
    ("nameless", r": b\nContent-Type: text/plain\n\nx", "Line"),
    ("folded", r"Content-Type: text/plain\n  more\n\nx", "Folded"),
    (
        "own-head",
        r"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nx",
        "StatusLine",
    ),
    (
        "later-head",
        r"Content-Type: a/b\nHTTP/1.0 200 OK\n\nx",
        "StatusLine",
    ),
    (
        "null",
        r"Content-Type: text/plain\nX-A: a\000b\n\nx",
        "Value",
    ),
    (
        "carriage",
        r"Content-Type: text/plain\nX-A: a\rSet-Cookie: b\n\nx",
        "Value",
    ),
    (
        "escape",
        r"Content-Type: text/plain\nX-A: \033[31m\n\nx",
        "Value",
    ),
    (
        "delete",
        r"Content-Type: text/plain\nX-A: \177\n\nx",
        "Value",
    ),
    (
        "status",
        r"Status: fine\nContent-Type: text/plain\n\nx",
        "Status",
    ),
    (
        "status-100",
        r"Status: 100 Continue\nContent-Type: a/b\n\nx",
        "Status",
    ),
    (
        "status-101",
        r"Status: 101\nContent-Type: a/b\n\nx",
        "Status",
    ),
    (
        "status-199",
        r"Status: 199\nContent-Type: a/b\n\nx",
        "Status",
    ),
    (
        "status-600",
        r"Status: 600\nContent-Type: a/b\n\nx",
        "Status",
    ),
    (
        "status-2000",
        r"Status: 2000\nContent-Type: a/b\n\nx",
        "Status",
    ),
    (
        "status-twice",
        r"Status: 200\nStatus: 404\nContent-Type: a/b\n\nx",
        "Status",
    ),
    (
        "length",
        r"Content-Type: a/b\nContent-Length: +1\n\nx",
        "Length",
    ),
    (
        "length-list",
        r"Content-Type: a/b\nContent-Length: 1, 1\n\nx",
        "Length",
    ),
    (
        "length-hex",
        r"Content-Type: a/b\nContent-Length: 0x1\n\nx",
        "Length",
    ),
    (
        "length-huge",
        r"Content-Type: a/b\nContent-Length: 18446744073709551616\n\nx",
        "Length",
    ),
    (
        "length-none",
        r"Content-Type: a/b\nContent-Length:\n\nx",
        "Length",
    ),
    (
        "lengths",
        r"Content-Type: a/b\nContent-Length: 1\nContent-Length: 2\n\nxx",
        "Length",
    ),
    (
        "coding",
        r"Content-Type: a/b\nTransfer-Encoding: chunked\n\n1\r\nx\r\n0\r\n\r\n",
        "Coding",
    ),
    ("type", r"X-A: b\n\nx", "Type"),
    ("type-empty", r"Content-Type:\n\nx", "Type"),
    (
        "types",
        r"Content-Type: a/b\nContent-Type: c/d\n\nx",
        "Type",
    ),
    ("location", r"Location: elsewhere\n\n", "Location"),
    ("location-blank", r"Location: /a b\n\n", "Location"),
    ("location-empty", r"Location:\n\n", "Location"),
    ("locations", r"Location: /a\nLocation: /b\n\n", "Location"),
];

#[test]
fn heads_that_are_none_are_answered_with_502_and_nothing_of_them_is_sent() {
    let site = Site::new();
    for (name, head, _) in MALFORMED {
        site.script(name, &format!("printf '{head}'"));
    }
    let server = site.start(&[]);
    let mut kept = server.connect();
    for (name, _, why) in MALFORMED {
        let answer = ask(&mut kept, &bare("GET", &format!("/cgi-bin/{name}"), ""));
        assert_eq!((answer.status, answer.closes()), (502, false), "{name}");
        assert_eq!(
            answer.field("content-type"),
            Some("text/html; charset=utf-8")
        );
        for field in ["x-a", "set-cookie", "location", "status"] {
            assert_eq!(answer.field(field), None, "{name}: {answer:?}");
        }
        let said = format!("script {name}: its answer is malformed: {why}");
        server.line(1, |line| line.ends_with(&said));
    }
    let answer = ask(&mut kept, &post("/cgi-bin/text", "", &[b'x'; 9000]));
    assert_eq!((answer.status, answer.closes()), (502, false));
    is_kept(&mut kept);
    drop(kept);
    let stopped = ends(server);
    let count = u64::try_from(MALFORMED.len() + 1).unwrap();
    assert_eq!(
        stopped.counter("response.5xx"),
        count,
        "{:?}",
        stopped.counters
    );
}

#[test]
fn a_head_that_is_too_large_is_none() {
    let site = Site::new();
    let line = "printf 'X-Field-%s: %01000d\\n' $n 1";
    let some = |count: usize, end: &str| {
        format!("n=0; while [ $n -lt {count} ]; do n=$((n+1)); {line}; done; {end}")
    };
    site.script("fits", &some(4, r"printf 'Content-Type: a/b\n\nfits'"));
    site.script("does-not", &some(40, r"printf 'Content-Type: a/b\n\nno'"));
    site.script("endless", "printf 'X-A: '; exec cat /dev/zero");
    site.script("lines", "while :; do echo 'X-A: b'; done");
    let server = site.start(&[]);
    let answer = get(&server, "/cgi-bin/fits");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"fits"[..]));
    assert_eq!(
        answer
            .fields
            .iter()
            .filter(|(n, _)| n.starts_with("x-field"))
            .count(),
        4
    );
    for name in ["does-not", "endless", "lines"] {
        let answer = get(&server, &format!("/cgi-bin/{name}"));
        assert_eq!((answer.status, answer.closes()), (502, false), "{name}");
    }
    let starter = starter(&server);
    eventually("they end", || running(starter) == 0);
    ends(server);
}

#[test]
fn content_is_passed_on_byte_by_byte_as_it_is() {
    let site = Site::new();
    let every: Vec<u8> = (0..=255).collect();
    let content = [
        every.repeat(300),
        b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec(),
    ]
    .concat();
    site.place.file("content", &content);
    let head = r"printf 'Content-Type: application/octet-stream\n\n'";
    site.script("whole", &format!("{head}; exec cat ../../content"));
    site.script(
        "length",
        &format!(
            "printf 'Content-Type: a/b\\nContent-Length: {}\\n\\n'; exec cat ../../content",
            content.len()
        ),
    );
    site.script(
        "slowly",
        &format!("{head}; exec dd bs=997 if=../../content 2>/dev/null"),
    );
    // Content that begins in the same write as its head.
    site.place.file(
        "both",
        &[&b"Content-Type: a/b\r\n\r\n"[..], &content].concat(),
    );
    site.script("both", "exec cat ../../both");
    site.script(
        "one-by-one",
        &format!("{head}; n=0; while [ $n -lt 500 ]; do n=$((n+1)); printf x; done"),
    );
    let server = site.start(&[]);
    let mut kept = server.connect();
    for name in ["whole", "length", "slowly", "both"] {
        let request = bare("GET", &format!("/cgi-bin/{name}"), "");
        let answer = ask(&mut kept, &request);
        assert!(answer.status == 200 && answer.body == content, "{name}");
        let old = format!("GET /cgi-bin/{name} HTTP/1.0\r\n\r\n");
        let answer = one(&hear(&mut asking(&server, old.as_bytes())));
        assert!(
            answer.status == 200 && answer.body == content,
            "{name}, 1.0"
        );
    }
    let answer = ask(&mut kept, &bare("GET", "/cgi-bin/one-by-one", ""));
    assert_eq!(answer.body, [b'x'; 500]);
    is_kept(&mut kept);
    drop(kept);
    ends(server);
}

#[test]
fn what_is_written_before_a_pause_is_sent_before_it() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "pauses",
        r"printf 'Content-Type: text/plain\n\none'; read x <../../gate; printf two
read x <../../gate; printf three",
    );
    let server = site.start(&[]);
    let mut stream = asking(&server, &bare("GET", "/cgi-bin/pauses", ""));
    let mut seen = Vec::new();
    for part in ["one", "two", "three"] {
        while !String::from_utf8_lossy(&seen).contains(part) {
            let mut room = [0; 1000];
            let count = read_some(&mut stream, &mut room);
            assert!(count > 0, "it ends too early");
            seen.extend_from_slice(&room[..count]);
        }
        gate.lets(1);
    }
    while !seen.ends_with(b"\r\n0\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    assert_eq!(
        try_read(&mut &seen[..], false).unwrap().body,
        b"onetwothree"
    );
    is_kept(&mut stream);
    drop(stream);
    ends(server);
}

#[test]
fn less_than_was_declared_never_looks_whole() {
    let site = Site::new();
    site.script(
        "short",
        r"printf 'Content-Type: a/b\nContent-Length: 100\n\nshort'",
    );
    site.script("none", r"printf 'Content-Type: a/b\nContent-Length: 1\n\n'");
    site.script(
        "large",
        r"printf 'Content-Type: a/b\nContent-Length: 200001\n\n'; head -c 200000 /dev/zero",
    );
    let server = site.start(&[]);
    for name in ["short", "none", "large"] {
        let heard = hear(&mut asking(
            &server,
            &bare("GET", &format!("/cgi-bin/{name}"), ""),
        ));
        is_cut(&heard, 200);
        let old = format!("GET /cgi-bin/{name} HTTP/1.0\r\n\r\n");
        is_cut(&hear(&mut asking(&server, old.as_bytes())), 200);
    }
    ends(server);
}

#[test]
fn more_than_was_declared_is_cut_off_and_the_connection_stays() {
    let site = Site::new();
    site.script(
        "long",
        r"echo $$ >../../pid; printf 'Content-Type: a/b\nContent-Length: 70000\n\n'
exec cat /dev/zero",
    );
    site.script(
        "bodiless",
        "echo $$ >../../pid2; echo 'Status: 204'; echo; exec cat /dev/zero",
    );
    let server = site.start(&[]);
    let mut kept = server.connect();
    let answer = ask(&mut kept, &bare("GET", "/cgi-bin/long", ""));
    assert_eq!((answer.status, answer.body.len()), (200, 70_000));
    is_kept(&mut kept);
    all_end(&site.pids("pid"));
    assert_eq!(
        ask(&mut kept, &bare("GET", "/cgi-bin/bodiless", "")).status,
        204
    );
    is_kept(&mut kept);
    all_end(&site.pids("pid2"));
    std::fs::remove_file(site.place.path("pid")).unwrap();
    kept.write_all(&bare("HEAD", "/cgi-bin/long", "")).unwrap();
    assert_eq!(try_read(&mut kept, true).unwrap().status, 200);
    is_kept(&mut kept);
    all_end(&site.pids("pid"));
    drop(kept);
    ends(server);
}

#[test]
fn an_answer_beyond_its_bound_is_reset_and_its_script_ends() {
    let site = Site::new();
    let head = r"echo $$ >../../pid; printf 'Content-Type: a/b\n\n'";
    site.script("endless", &format!("{head}; exec cat /dev/zero"));
    site.script("just", &format!("{head}; exec head -c 100000 /dev/zero"));
    site.script(
        "one-more",
        &format!("{head}; exec head -c 100001 /dev/zero"),
    );
    let server = site.start(&["script.output_bytes=100000"]);
    assert_eq!(get(&server, "/cgi-bin/just").body.len(), 100_000);
    for (name, version) in [("one-more", "1.1"), ("endless", "1.1"), ("endless", "1.0")] {
        let request = format!("GET /cgi-bin/{name} HTTP/{version}\r\nHost: h\r\n\r\n");
        let heard = hear(&mut asking(&server, request.as_bytes()));
        assert!(is_cut(&heard, 200) < 102_000, "{name}");
        all_end(&site.pids("pid"));
    }
    server.line(3, |line| {
        line.contains("its answer is too long (script.output_bytes)")
    });
    ends(server);
}

/// What a process may have written so far, bytes.
fn written(pid: u32) -> u64 {
    status(&format!("/proc/{pid}/io"), "wchar")
}

#[test]
fn a_slow_reader_holds_its_script_and_takes_no_memory() {
    const BYTES: u64 = 100 << 20;
    let site = Site::new();
    site.script(
        "large",
        &format!(
            "printf 'Content-Type: a/b\\n\\n'; echo $$ >../../pid; exec head -c {BYTES} /dev/zero"
        ),
    );
    let server = site.start(&["timeout.write_ms=60000"]);
    drop(server.connect());
    let memory = || status(&server.proc("status"), "VmRSS");
    let before = memory();
    let mut stream = asking(&server, &bare("GET", "/cgi-bin/large", ""));
    // Its window does not grow: what the kernel takes of an answer would be more than we allow.
    socket::set_receive_buffer(stream.as_fd(), 128 << 10).unwrap();
    let pid = site.pids("pid")[0];
    // Nobody reads: the script is held by its pipe.
    let mut last = u64::MAX;
    eventually("the script waits", || {
        let now = written(pid);
        let waits = now == last && now > 0 && rests(pid) && rests(server.pid());
        last = now;
        waits
    });
    assert!(written(pid) < 4 << 20, "{}", written(pid));
    // What is taken from it makes it go on, and nothing else does.
    let mut taken = 0;
    let mut room = vec![0; 1 << 20];
    while taken < 5 << 20 {
        taken += read_some(&mut stream, &mut room);
    }
    assert!(written(pid) < 12 << 20, "{}", written(pid));
    assert!(
        memory() < before + 1024,
        "{before} kB before, {} kB now",
        memory()
    );
    // Others are served meanwhile.
    server.serves_a_good_client();
    let mut end = [0; 7];
    let mut all = u64::try_from(taken).unwrap();
    loop {
        let count = read_some(&mut stream, &mut room);
        all += u64::try_from(count).unwrap();
        let tail = &room[..count];
        if count >= 7 {
            end.copy_from_slice(&tail[count - 7..]);
        } else {
            end.rotate_left(count);
            end[7 - count..].copy_from_slice(tail);
        }
        if end == *b"\r\n0\r\n\r\n" {
            break;
        }
        assert!(count > 0, "it ended after {all} bytes");
    }
    assert!(all > BYTES);
    assert!(
        memory() < before + 1024,
        "{before} kB before, {} kB now",
        memory()
    );
    is_kept(&mut stream);
    drop(stream);
    ends(server);
}

#[test]
fn a_reader_that_stops_for_good_is_reset_and_its_script_ends() {
    let site = Site::new();
    site.script(
        "endless",
        r"printf 'Content-Type: a/b\n\n'; echo $$ >../../pid; exec cat /dev/zero",
    );
    let server = site.start(&["timeout.write_ms=300"]);
    let mut stream = asking(&server, &bare("GET", "/cgi-bin/endless", ""));
    all_end(&site.pids("pid"));
    server.comes_home();
    let heard = hear(&mut stream);
    is_cut(&heard, 200);
    let stopped = server.stop();
    assert_eq!(stopped.counter("close.timeout-write"), 1);
}

/// Reads a whole answer of unknown length through a small window.
fn slowly(server: &Server, target: &str) -> Vec<u8> {
    let mut stream = asking(server, &bare("GET", target, ""));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    struct Slowly<'s>(&'s mut TcpStream);
    impl Read for Slowly<'_> {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            thread::yield_now();
            let most = room.len().min(1500);
            self.0.read(&mut room[..most])
        }
    }
    let answer = read(&mut Slowly(&mut stream));
    assert_eq!((answer.status, answer.closes()), (200, false));
    answer.body
}

#[test]
fn many_readers_of_many_paces_get_what_was_written() {
    let site = Site::new();
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    site.place.file("content", &content);
    site.script(
        "all",
        r"printf 'Content-Type: a/b\n\n'; exec cat ../../content",
    );
    let server = site.start(&[
        "script.waiting=32",
        "memory.send_bytes=4608",
        "memory.buffers=48",
    ]);
    thread::scope(|scope| {
        for client in 0..12 {
            let (server, content) = (&server, &content);
            scope.spawn(move || {
                let body = match client % 2 {
                    0 => alone(server, &bare("GET", "/cgi-bin/all", "")).body,
                    _ => slowly(server, "/cgi-bin/all"),
                };
                assert!(body == *content, "client {client}: {} bytes", body.len());
            });
        }
    });
    ends(server);
}

#[test]
fn an_answer_of_unknown_length_to_an_old_client_ends_with_a_fin() {
    let site = Site::new();
    site.script(
        "large",
        r"printf 'Content-Type: a/b\n\n'; exec head -c 3000000 /dev/zero",
    );
    let server = site.start(&[]);
    for _ in 0..5 {
        let mut stream = asking(&server, b"GET /cgi-bin/large HTTP/1.0\r\n\r\n");
        let heard = hear(&mut stream);
        assert_eq!(heard.end, End::Fin);
        assert_eq!(one(&heard).body.len(), 3_000_000);
    }
    ends(server);
}
