//! Bodies on their way to scripts: streamed, spooled, refused, not wanted. Never is a byte of a
//! body taken for a request. On real sockets with real scripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::Answer;
use common::outside::rests;
use common::scripts::{
    ECHO, LINGERS, STATIC, Site, all, all_end, alone, ask, asking, bare, ends, head, is_kept,
    is_taken, lookalike, one, one_last, post, post_chunked, read, running, say_all_then_hear,
    starter,
};
use common::server::Server;
use common::{End, Heard, eventually, hear};
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

/// Larger than all pipes and buffers on the way.
const LARGE: usize = 8 << 20;
/// A script that reads nothing and answers.
const DEAF: &str = r"exec <&-; printf 'Content-Type: text/plain\n\ndeaf'";
/// The same, but it does not say that it will not read.
const LAZY: &str = r"printf 'Content-Type: text/plain\n\nlazy'";

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut out: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| next()).collect();
    out.truncate(bytes);
    out
}

/// Sends all of it while somebody else reads.
fn both_ways(stream: &TcpStream, request: &[u8]) -> Answer {
    let mut reader = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut writer = stream;
            writer.write_all(request).unwrap();
        });
        read(&mut reader)
    })
}

#[test]
fn a_body_of_known_length_flows_both_ways_at_once() {
    let site = Site::with_echo();
    let server = site.start(&["script.body_bytes=1GiB"]);
    let mut kept = server.connect();
    for bytes in [
        0,
        1,
        4095,
        8192,
        8193,
        65_535,
        65_536,
        65_537,
        1 << 20,
        LARGE,
    ] {
        let body = noise(bytes);
        let request = post("/cgi-bin/echo", "", &body);
        let answer = both_ways(&kept, &request);
        assert_eq!(answer.status, 200, "{bytes}");
        assert!(answer.body == body, "{bytes}: {} bytes", answer.body.len());
        // This script answers before it reads, and what is larger may have to be thrown away then.
        assert!(bytes > 65_536 || !answer.closes(), "{bytes}");
        if answer.closes() {
            let heard = hear(&mut kept);
            assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin), "{bytes}");
            kept = server.connect();
        }
        is_kept(&mut kept);
    }
    drop(kept);
    let stopped = ends(server);
    assert_eq!(stopped.counter("close.reset-by-peer"), 0);
}

#[test]
fn a_body_that_is_only_counted_may_be_larger_than_everything() {
    let site = Site::new();
    site.script(
        "count",
        r#"n=$(wc -c); printf 'Content-Type: text/plain\n\n%s %s' "$n" "$CONTENT_LENGTH""#,
    );
    let server = site.start(&["script.body_bytes=1GiB"]);
    let mut kept = server.connect();
    for bytes in [100, LARGE, 50 << 20] {
        kept.write_all(&post("/cgi-bin/count", "", &vec![b'x'; bytes]))
            .unwrap();
        let answer = read(&mut kept);
        assert_eq!(answer.body, format!("{bytes} {bytes}").into_bytes());
        assert!(!answer.closes());
    }
    is_kept(&mut kept);
    drop(kept);
    ends(server);
}

#[test]
fn bytes_that_come_one_by_one_are_a_body() {
    let site = Site::with_echo();
    let server = site.start(&[]);
    let body = noise(300);
    for request in [
        post("/cgi-bin/echo", "", &body),
        post_chunked("/cgi-bin/echo", "", &body, 100),
    ] {
        let mut stream = server.connect();
        for byte in request.chunks(1) {
            stream.write_all(byte).unwrap();
        }
        assert_eq!(read(&mut stream).body, body);
        is_kept(&mut stream);
    }
    ends(server);
}

#[test]
fn a_chunked_body_is_kept_first_and_its_length_is_told() {
    let site = Site::new();
    site.script(
        "echo",
        r"printf 'Content-Type: a/b\nX-Length: %s\nX-Coding: %s\n\n' $CONTENT_LENGTH \
$HTTP_TRANSFER_ENCODING; exec cat",
    );
    let server = site.start(&["script.spool_bytes=200000"]);
    let mut kept = server.connect();
    for (bytes, most) in [
        (0, 1),
        (1, 1),
        (3000, 1),
        (8192, 8192),
        (65_537, 5000),
        (200_000, 9999),
    ] {
        let body = noise(bytes);
        let request = post_chunked("/cgi-bin/echo", "", &body, most);
        let answer = both_ways(&kept, &request);
        assert_eq!((answer.status, answer.closes()), (200, false));
        assert!(answer.body == body, "{bytes}");
        let length = bytes.to_string();
        assert_eq!(answer.field("x-length"), Some(length.as_str()));
        assert_eq!(answer.field("x-coding"), Some(""));
        is_kept(&mut kept);
    }
    // The script is not started before all of it is there.
    let request = post_chunked("/cgi-bin/echo", "", b"0123456789", 5);
    let (front, back) = request.split_at(request.len() - 10);
    kept.write_all(front).unwrap();
    eventually("it is dealt with", || rests(server.pid()));
    assert_eq!(running(starter(&server)), 0);
    assert_eq!(ask(&mut kept, back).body, b"0123456789");
    drop(kept);
    ends(server);
}

#[test]
fn bodies_beyond_their_bounds_are_refused_and_nobodys_send_fails() {
    let site = Site::with_echo();
    let server = site.start(&["script.spool_bytes=100000", "script.body_bytes=200000"]);
    for _ in 0..10 {
        for request in [
            post("/cgi-bin/echo", "", &vec![b'x'; LARGE]),
            post("/cgi-bin/echo", "", &lookalike(200_001)),
            post_chunked("/cgi-bin/echo", "", &vec![b'x'; LARGE], 4096),
            post_chunked("/cgi-bin/echo", "", &vec![b'x'; LARGE], 1 << 20),
            post_chunked("/cgi-bin/echo", "", &lookalike(100_001), 1000),
        ] {
            let heard = say_all_then_hear(&mut server.connect(), &request);
            one_last(heard, 413);
        }
    }
    // At once, before the body comes.
    let mut stream = asking(&server, &head("POST", "/cgi-bin/echo", "", 200_001));
    assert_eq!(one(&hear(&mut stream)).status, 413);
    drop(stream);
    // Nobody was started for them.
    let stopped = ends(server);
    let scripts = stopped.counter("scripts");
    assert!(scripts <= 30, "{scripts}");
}

/// The bound of a path counts before that of all scripts, in either direction.
#[test]
fn a_path_may_have_a_bound_of_its_own() {
    let site = Site::with_echo();
    site.script("large", "printf 'Content-Type: a/b\\n\\n'; wc -c");
    let keys = [
        "script.body_bytes=1000",
        "site.bodies=/cgi-bin/echo 10",
        "site.bodies=/cgi-bin/large 300000",
        "site.bodies=/none 20",
    ];
    let server = site.start(&keys);
    let mut kept = server.connect();
    for (target, bytes, status) in [
        ("/cgi-bin/echo", 10, 200),
        ("/cgi-bin/echo", 11, 413),
        ("/cgi-bin/large", 300_000, 200),
        ("/cgi-bin/large", 300_001, 413),
        ("/none", 20, 405),
        ("/none", 21, 413),
    ] {
        let request = post(target, "", &vec![b'x'; bytes]);
        let mut stream = match bytes > 65_536 {
            true => server.connect(),
            false => kept.try_clone().unwrap(),
        };
        let answer = ask(&mut stream, &request);
        assert_eq!(answer.status, status, "{target} {bytes}");
    }
    is_kept(&mut kept);
    drop(kept);
    ends(server);
}

#[test]
fn where_nothing_is_spooled_a_length_is_required() {
    let site = Site::with_echo();
    let server = site.start(&["script.spool_bytes=0"]);
    for _ in 0..5 {
        let request = post_chunked("/cgi-bin/echo", "", &vec![b'x'; LARGE], 4096);
        one_last(say_all_then_hear(&mut server.connect(), &request), 411);
        let request = post_chunked("/cgi-bin/echo", "", b"x", 1);
        one_last(say_all_then_hear(&mut server.connect(), &request), 411);
    }
    let answer = alone(&server, &post("/cgi-bin/echo", "", b"x"));
    assert_eq!((answer.status, &answer.body[..]), (200, &b"x"[..]));
    assert_eq!(ends(server).counter("scripts"), 1);
}

#[test]
fn bodies_that_are_malformed_end_their_script() {
    let site = Site::with_echo();
    let server = site.start(&[]);
    for (body, status) in [
        ("x\r\n", 400),
        ("5\r\n12345x", 400),
        ("fffffffffffffffff\r\n", 400),
        ("-1\r\n", 400),
        ("ffffffff\r\n", 413),
    ] {
        let mut request = bare("POST", "/cgi-bin/echo", "Transfer-Encoding: chunked\r\n");
        request.extend_from_slice(body.as_bytes());
        one_last(say_all_then_hear(&mut server.connect(), &request), status);
    }
    let stopped = ends(server);
    assert_eq!(stopped.counter("status.200"), 0);
}

#[test]
fn an_expectation_is_met_when_the_body_is_wanted() {
    let site = Site::with_echo();
    site.script("deaf", DEAF);
    let server = site.start(&["script.body_bytes=100000", "script.spool_bytes=1000"]);
    let expect = "Expect: 100-continue\r\n";
    let mut stream = server.connect();
    for (request, body) in [
        (head("POST", "/cgi-bin/echo", expect, 5), &b"12345"[..]),
        (
            bare(
                "POST",
                "/cgi-bin/echo",
                &format!("{expect}Transfer-Encoding: chunked\r\n"),
            ),
            b"5\r\n12345\r\n0\r\n\r\n",
        ),
    ] {
        stream.write_all(&request).unwrap();
        assert_eq!(read(&mut stream).status, 100);
        stream.write_all(body).unwrap();
        let answer = read(&mut stream);
        assert_eq!((answer.status, &answer.body[..]), (200, &b"12345"[..]));
    }
    // Who does not wait for it gets none.
    let request = post("/cgi-bin/echo", expect, b"12345");
    assert_eq!(ask(&mut stream, &request).body, b"12345");
    is_kept(&mut stream);
    drop(stream);
    // What would be refused is refused instead.
    for (target, bytes, status) in [
        ("/cgi-bin/echo", 100_001, 413),
        ("/cgi-bin/none", 5, 404),
        ("/static.txt", 5, 405),
    ] {
        let mut stream = asking(&server, &head("POST", target, expect, bytes));
        let answer = one(&hear(&mut stream));
        assert_eq!((answer.status, answer.closes()), (status, true));
    }
    // A script that does not want it may answer meanwhile.
    let mut stream = asking(&server, &head("POST", "/cgi-bin/deaf", expect, 5));
    let mut answer = read(&mut stream);
    if answer.status == 100 {
        stream.write_all(b"12345").unwrap();
        answer = read(&mut stream);
    }
    assert_eq!((answer.status, &answer.body[..]), (200, &b"deaf"[..]));
    drop(stream);
    ends(server);
}

#[test]
fn a_small_body_that_nobody_reads_keeps_the_connection() {
    let site = Site::new();
    site.script("deaf", DEAF);
    site.script("lazy", LAZY);
    site.script(
        "refuses",
        r"printf 'Status: 403\nContent-Type: text/plain\n\nno'",
    );
    site.script("nothing", r"printf 'Status: 204\n\n'");
    site.script("wrong", "echo wrong");
    site.script("to", r"printf 'Location: /static.txt\n\n'");
    let server = site.start(&[]);
    let mut kept = server.connect();
    for (name, status) in [
        ("deaf", 200),
        ("lazy", 200),
        ("refuses", 403),
        ("nothing", 204),
        ("wrong", 502),
        ("to", 200),
    ] {
        for bytes in [1, 1000, 20_000, 65_536] {
            let request = post(&format!("/cgi-bin/{name}"), "", &lookalike(bytes));
            let (first, rest) = request.split_at(request.len() - bytes / 2);
            for (front, back) in [(&request[..], &b""[..]), (first, rest)] {
                kept.write_all(front).unwrap();
                if name == "lazy" {
                    // With the answer before the rest of the body.
                    let answer = read(&mut kept);
                    assert_eq!(answer.status, status, "{name} {bytes}");
                    kept.write_all(back).unwrap();
                } else {
                    kept.write_all(back).unwrap();
                    let answer = read(&mut kept);
                    assert_eq!(answer.status, status, "{name} {bytes}");
                    assert!(!answer.closes(), "{name} {bytes}: {answer:?}");
                }
                is_kept(&mut kept);
            }
        }
    }
    drop(kept);
    let stopped = ends(server);
    assert_eq!(stopped.counter("close.reset-by-peer"), 0);
}

/// Scripts that do not read their body to its end and do not end before the gate opens, and what
/// they answer.
const UNWILLING: &[(&str, &str, u16)] = &[
    (
        "document",
        r"printf 'Content-Type: a/b\n\nx'; exec >&-; read x <../../gate",
        200,
    ),
    (
        "length",
        r"printf 'Content-Type: a/b\nContent-Length: 1\n\nx'; read x <../../gate",
        200,
    ),
    (
        "nothing",
        r"printf 'Status: 204\n\n'; read x <../../gate",
        204,
    ),
    (
        "bare",
        r"printf 'X-A: b\nContent-Length: 0\n\n'; read x <../../gate",
        200,
    ),
    (
        "refuses",
        r"printf 'Status: 500\nContent-Type: a/b\nContent-Length: 1\n\nx'; read x <../../gate",
        500,
    ),
    ("malformed", r"printf 'x\n\n'; read x <../../gate", 502),
    (
        "to",
        r"printf 'Location: /static.txt\n\n'; read x <../../gate",
        200,
    ),
];

/// A body that fills the pipe, but is worth being read off behind the answer.
#[test]
fn an_answer_while_the_pipe_is_full_keeps_the_connection() {
    let site = Site::new();
    let gate = site.gate("gate");
    for (name, text, _) in UNWILLING {
        site.script(name, text);
    }
    let keys = [
        "limits.body_bytes=1MiB",
        "script.at_once=16",
        "memory.buffers=64",
    ];
    let server = site.start(&keys);
    for (name, _, status) in UNWILLING {
        for bytes in [66_000, 70_000, 300_000] {
            let mut stream = server.connect();
            let request = post(&format!("/cgi-bin/{name}"), "", &lookalike(bytes));
            let (front, back) = request.split_at(request.len() - bytes / 3);
            let answer = match bytes {
                300_000 => {
                    stream.write_all(front).unwrap();
                    let answer = read(&mut stream);
                    stream.write_all(back).unwrap();
                    answer
                }
                _ => ask(&mut stream, &request),
            };
            assert_eq!(answer.status, *status, "{name} {bytes}");
            if answer.closes() {
                let heard = hear(&mut stream);
                assert_eq!(
                    (heard.bytes.len(), heard.end),
                    (0, End::Fin),
                    "{name} {bytes}"
                );
            } else {
                is_kept(&mut stream);
            }
        }
        gate.lets(3);
    }
    let starter = starter(&server);
    gate.lets(50);
    eventually("they end", || running(starter) == 0);
    let stopped = ends(server);
    assert_eq!(stopped.counter("close.reset-by-peer"), 0);
}

/// The answer is whole and the connection ends with a FIN, although the client was still sending.
fn came_through((said, heard): (io::Result<()>, Heard), status: u16, what: &str) {
    if !LINGERS {
        return;
    }
    said.unwrap_or_else(|error| panic!("{what}: the client's send failed: {error}"));
    assert_eq!(heard.end, End::Fin, "{what}");
    let answers = all(&heard.bytes);
    assert_eq!((answers.len(), answers[0].status), (1, status), "{what}");
}

#[test]
fn a_large_body_that_nobody_reads_is_read_off_and_the_answer_arrives() {
    const BYTES: usize = 50 << 20;
    let site = Site::new();
    let gate = site.gate("gate");
    site.script("deaf", DEAF);
    site.script("lazy", LAZY);
    for (name, text, _) in UNWILLING {
        site.script(name, text);
    }
    let keys = [
        "script.body_bytes=1GiB",
        "script.at_once=16",
        "memory.buffers=64",
    ];
    let server = site.start(&keys);
    let mut body = lookalike(BYTES);
    body.truncate(BYTES);
    let some = [("deaf", "", 200), ("lazy", "", 200)];
    for (name, _, status) in some.iter().chain(UNWILLING) {
        let fields = "Connection: close\r\n";
        let request = post(&format!("/cgi-bin/{name}"), fields, &body);
        came_through(
            say_all_then_hear(&mut server.connect(), &request),
            *status,
            name,
        );
        let request = [
            &post(&format!("/cgi-bin/{name}"), "", &body[..LARGE])[..],
            &bare("GET", "/static.txt", fields),
        ]
        .concat();
        let mut stream = server.connect();
        let said = stream.write_all(&request);
        let heard = hear(&mut stream);
        if LINGERS {
            said.unwrap();
            assert_eq!(heard.end, End::Fin, "{name}");
            let answers = all(&heard.bytes);
            assert_eq!(answers[0].status, *status, "{name}");
            // Where the connection was kept, the request behind is answered, and nothing else.
            assert_eq!(answers[0].closes(), answers.len() == 1, "{name}");
            assert!(answers.len() <= 2 && answers.iter().skip(1).all(|a| a.body == STATIC));
        }
    }
    gate.lets(100);
    let stopped = ends(server);
    assert_eq!(stopped.counter("close.linger-bytes"), 0);
}

#[test]
fn a_script_that_closes_its_input_and_computes_is_waited_for() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "computes",
        r"exec <&-; read x <../../gate; printf 'Content-Type: text/plain\n\ndone'",
    );
    site.script(
        "takes-some",
        r#"x=$(head -c 10); exec <&-; read y <../../gate; printf 'Content-Type: a/b\n\n%s' "$x""#,
    );
    let server = site.start(&["script.body_bytes=1GiB"]);
    for (name, body) in [("computes", &b"done"[..]), ("takes-some", b"GET /stati")] {
        let mut stream = server.connect();
        let request = post(&format!("/cgi-bin/{name}"), "", &lookalike(LARGE));
        // All of it is taken before the script answers.
        stream.write_all(&request).unwrap();
        is_taken(&stream);
        gate.lets(1);
        let answer = read(&mut stream);
        assert_eq!((answer.status, answer.closes()), (200, false));
        assert_eq!(answer.body, body);
        is_kept(&mut stream);
    }
    ends(server);
}

#[test]
fn a_slow_body_is_late_and_ends_its_script() {
    let site = Site::new();
    site.script("count", "echo $$ >../../pid; n=$(wc -c); echo; echo $n");
    let keys = [
        "timeout.body_window_ms=200",
        "timeout.body_window_bytes=1000",
    ];
    let server = site.start(&keys);
    for request in [
        [head("POST", "/cgi-bin/count", "", 100_000), vec![b'x'; 100]].concat(),
        bare("POST", "/cgi-bin/count", "Transfer-Encoding: chunked\r\n"),
        head("POST", "/cgi-bin/count", "", 100_000),
    ] {
        let heard = hear(&mut asking(&server, &request));
        let answer = one(&heard);
        assert_eq!((answer.status, answer.closes()), (408, true));
    }
    all_end(&site.pids("pid"));
    let starter = starter(&server);
    eventually("they end", || running(starter) == 0);
    let stopped = ends(server);
    assert_eq!(stopped.counter("reject.late-body"), 3);
}

#[test]
fn a_client_whose_script_does_not_read_is_not_late() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "later",
        r#"echo $$ >../../pid; read x <../../gate; n=$(wc -c)
printf 'Content-Type: a/b\n\n%s' $n"#,
    );
    let keys = ["timeout.body_window_ms=1000", "script.body_bytes=1GiB"];
    let server = site.start(&keys);
    let stream = asking(&server, &head("POST", "/cgi-bin/later", "", 1 << 20));
    let mut reader = stream.try_clone().unwrap();
    let body = vec![b'x'; 1 << 20];
    let answer = thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&body).unwrap());
        site.pids("pid");
        passes(&server, 2500);
        gate.lets(1);
        read(&mut reader)
    });
    assert_eq!((answer.status, &answer.body[..]), (200, &b"1048576"[..]));
    drop((stream, reader));
    ends(server);
}

/// Waits until so much time has passed on the server's clock, which is also ours.
fn passes(server: &Server, ms: u64) {
    let from = adieu::sys::clock::monotonic_ms();
    eventually("time passes", || {
        server.pid() > 0 && adieu::sys::clock::monotonic_ms() >= from + ms
    });
}

/// Processor time of a process, in ticks.
fn ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
}

#[test]
fn a_body_that_nobody_takes_costs_no_time_when_its_own_is_over() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "later",
        r#"echo $$ >../../pid; read x <../../gate; n=$(wc -c)
printf 'Content-Type: a/b\n\n%s' $n"#,
    );
    let keys = [
        "timeout.body_window_ms=100",
        "timeout.upload_ms=350",
        "script.body_bytes=1GiB",
    ];
    let server = site.start(&keys);
    let stream = asking(&server, &head("POST", "/cgi-bin/later", "", 1 << 20));
    let body = vec![b'x'; 1 << 20];
    thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&body));
        site.pids("pid");
        passes(&server, 700);
        let before = ticks(server.pid());
        passes(&server, 500);
        let spent = ticks(server.pid()) - before;
        gate.lets(1);
        // It has nothing to do.
        assert!(spent < 10, "{spent} ticks of a hundredth of a second");
    });
    let answer = read(&mut &stream);
    assert!(matches!(answer.status, 200 | 408), "{answer:?}");
    drop(stream);
    server.comes_home();
    drop(server.stop());
}

#[test]
fn a_body_that_is_cut_off_ends_its_script() {
    let site = Site::new();
    site.script("count", "echo $$ >../../pid; n=$(wc -c); echo; echo $n");
    let server = site.start(&[]);
    let request = [head("POST", "/cgi-bin/count", "", 100_000), vec![b'x'; 100]].concat();
    let mut stream = asking(&server, &request);
    let pids = site.pids("pid");
    stream.shutdown(Shutdown::Write).unwrap();
    // Nobody knows what was meant: there is no answer.
    let heard = hear(&mut stream);
    assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    all_end(&pids);
    ends(server);
}

#[test]
fn a_client_that_sends_all_and_half_closes_gets_its_answer() {
    let site = Site::new();
    site.script("echo", ECHO);
    let gate = site.gate("gate");
    site.script(
        "later",
        &format!("echo $$ >../../pid; read x <../../gate; {ECHO}"),
    );
    let server = site.start(&["script.body_bytes=1GiB"]);
    for request in [
        post("/cgi-bin/later", "", b"12345"),
        post_chunked("/cgi-bin/later", "", b"12345", 2),
    ] {
        let mut stream = asking(&server, &request);
        stream.shutdown(Shutdown::Write).unwrap();
        site.pids("pid");
        std::fs::remove_file(site.place.path("pid")).unwrap();
        eventually("it is dealt with", || rests(server.pid()));
        gate.lets(1);
        let answer = one(&hear(&mut stream));
        assert_eq!((answer.status, &answer.body[..]), (200, &b"12345"[..]));
    }
    let mut stream = asking(&server, &post("/cgi-bin/echo", "", &noise(30_000)));
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(one(&hear(&mut stream)).body, noise(30_000));
    ends(server);
}
