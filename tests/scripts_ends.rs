//! How scripts end, and what becomes of their answers then: by their deadlines, by their clients,
//! by signals, by not having been started. On real sockets with real scripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::sys::socket;
use common::outside::rests;
use common::scripts::{
    Site, all_end, ask, asking, bare, ends, get, head, is_cut, is_kept, lives, one, post, running,
    starter, try_read,
};
use common::{End, eventually, hear, something_came};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;

/// Says its own number and that of a child, and ends by KILL alone.
const STUBBORN: &str = "trap '' TERM HUP INT
sh -c 'echo $$ >../../child; while :; do sleep 1; done' &
echo $$ >../../pid";
const FOREVER: &str = "while :; do sleep 1; done";
const BEGIN: &str = r"printf 'Content-Type: text/plain\n\nbegun'";

/// Its number and that of its child; they are forgotten.
fn both(site: &Site) -> Vec<u32> {
    let pids = [site.pids("pid"), site.pids("child")].concat();
    for name in ["pid", "child"] {
        std::fs::remove_file(site.place.path(name)).unwrap();
    }
    assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");
    pids
}

#[test]
fn a_script_that_says_nothing_is_late_and_its_group_ends() {
    let site = Site::new();
    site.script("mute", &format!("{STUBBORN}; {FOREVER}"));
    site.script(
        "half",
        &format!("{STUBBORN}; echo 'Content-Type: a/b'; {FOREVER}"),
    );
    let server = site.start(&["script.first_byte_ms=400", "script.kill_ms=100"]);
    for name in ["mute", "half"] {
        let target = format!("/cgi-bin/{name}");
        let mut stream = asking(&server, &bare("GET", &target, ""));
        let pids = both(&site);
        let answer = one(&hear(&mut stream));
        assert_eq!((answer.status, answer.closes()), (504, true), "{name}");
        all_end(&pids);
        // With a body that is whole, and a HEAD.
        let mut stream = asking(&server, &post(&target, "", &[b'x'; 100]));
        let pids = both(&site);
        assert_eq!(one(&hear(&mut stream)).status, 504);
        all_end(&pids);
        let mut stream = asking(&server, &bare("HEAD", &target, ""));
        let heard = hear(&mut stream);
        assert_eq!(heard.end, End::Fin);
        assert_eq!(try_read(&mut &heard.bytes[..], true).unwrap().status, 504);
        all_end(&both(&site));
    }
    let stopped = ends(server);
    assert_eq!(stopped.counter("reject.late-script"), 6, "{stopped:?}");
}

#[test]
fn a_script_that_has_had_its_time_is_late_or_cut() {
    let site = Site::new();
    site.script("mute", &format!("{STUBBORN}; {FOREVER}"));
    site.script("begun", &format!("{STUBBORN}; {BEGIN}; {FOREVER}"));
    site.script(
        "busy",
        &format!("{STUBBORN}; {BEGIN}; while :; do echo x; done"),
    );
    site.script(
        "declared",
        &format!("{STUBBORN}; printf 'Content-Type: a/b\\nContent-Length: 9\\n\\nx'; {FOREVER}"),
    );
    let server = site.start(&["script.total_ms=500", "script.kill_ms=100"]);
    let mut stream = asking(&server, &bare("GET", "/cgi-bin/mute", ""));
    let pids = both(&site);
    let answer = one(&hear(&mut stream));
    assert_eq!((answer.status, answer.closes()), (504, true));
    all_end(&pids);
    for (name, version) in [
        ("begun", "1.1"),
        ("begun", "1.0"),
        ("busy", "1.1"),
        ("busy", "1.0"),
        ("declared", "1.1"),
    ] {
        let request = format!("GET /cgi-bin/{name} HTTP/{version}\r\nHost: h\r\n\r\n");
        let mut stream = asking(&server, request.as_bytes());
        let pids = both(&site);
        is_cut(&hear(&mut stream), 200);
        all_end(&pids);
    }
    server.line(6, |line| {
        line.contains("has had its time (script.total_ms)")
    });
    ends(server);
}

#[test]
fn a_script_ends_with_its_client() {
    let site = Site::new();
    site.script("mute", &format!("{STUBBORN}; {FOREVER}"));
    site.script("begun", &format!("{STUBBORN}; {BEGIN}; {FOREVER}"));
    site.script("busy", &format!("{STUBBORN}; {BEGIN}; exec cat /dev/zero"));
    site.script("reads", &format!("{STUBBORN}; cat; {FOREVER}"));
    let server = site.start(&["script.kill_ms=100"]);
    for (request, begins) in [
        (bare("GET", "/cgi-bin/mute", ""), false),
        (post("/cgi-bin/mute", "", b"12345"), false),
        (head("POST", "/cgi-bin/reads", "", 1000), false),
        (bare("GET", "/cgi-bin/begun", ""), true),
        (bare("GET", "/cgi-bin/busy", ""), true),
        (head("POST", "/cgi-bin/begun", "", 1000), true),
    ] {
        let mut stream = asking(&server, &request);
        let pids = both(&site);
        if begins {
            stream.read_exact(&mut [0; 100]).unwrap();
        }
        socket::abort(OwnedFd::from(stream));
        all_end(&pids);
    }
    let stopped = ends(server);
    assert_eq!(stopped.counter("close.reset-by-peer"), 6, "{stopped:?}");
}

#[test]
fn a_script_that_obeys_is_told_before_it_is_killed() {
    let site = Site::new();
    site.script(
        "tidy",
        "trap 'echo gone >../../gone; exit' TERM; echo $$ >../../pid; while :; do sleep 0.05; done",
    );
    let server = site.start(&["script.kill_ms=5000"]);
    let stream = asking(&server, &bare("GET", "/cgi-bin/tidy", ""));
    let pids = site.pids("pid");
    socket::abort(OwnedFd::from(stream));
    all_end(&pids);
    assert_eq!(site.said("gone"), "gone");
    ends(server);
}

#[test]
fn a_half_close_alone_ends_no_script() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "waits",
        r"echo $$ >../../pid; read x <../../gate; printf 'Content-Type: a/b\n\ndone'",
    );
    site.script(
        "begun",
        &format!("{BEGIN}; echo $$ >../../pid; read x <../../gate; printf done"),
    );
    let server = site.start(&[]);
    for (name, body) in [("waits", &b"done"[..]), ("begun", b"begundone")] {
        let mut stream = asking(&server, &bare("GET", &format!("/cgi-bin/{name}"), ""));
        stream.shutdown(Shutdown::Write).unwrap();
        let pids = site.pids("pid");
        std::fs::remove_file(site.place.path("pid")).unwrap();
        eventually("it is dealt with", || rests(server.pid()));
        assert!(lives(pids[0]));
        gate.lets(1);
        assert_eq!(one(&hear(&mut stream)).body, body, "{name}");
    }
    ends(server);
}

#[test]
fn who_holds_the_streams_does_not_hold_the_answer() {
    let site = Site::new();
    let left = format!("sh -c 'echo $$ >../../child; {FOREVER}' & {BEGIN}; echo said >&2");
    site.script("leaves", &left);
    // It leaves its group as well.
    site.script("daemon", &format!("setsid {left}"));
    let server = site.start(&[]);
    let mut kept = server.connect();
    for (count, name) in [(1, "leaves"), (2, "daemon")] {
        let answer = ask(&mut kept, &bare("GET", &format!("/cgi-bin/{name}"), ""));
        assert_eq!((answer.status, answer.closes()), (200, false));
        assert_eq!(answer.body, b"begun");
        server.line(count, |line| line.ends_with(": said"));
        // It is nobody's matter any more.
        let pid = site.pids("child")[0];
        assert!(lives(pid), "{name}");
        common::auth::tell(pid, "KILL");
        std::fs::remove_file(site.place.path("child")).unwrap();
    }
    is_kept(&mut kept);
    drop(kept);
    let starter = starter(&server);
    eventually("no place is taken", || running(starter) == 0);
    ends(server);
}

#[test]
fn large_answers_are_whole_though_the_script_has_ended_before_they_were_read() {
    let site = Site::new();
    // All of it fits into the pipe.
    site.script(
        "quick",
        &format!("{BEGIN}; head -c 60000 /dev/zero; sleep 60 &"),
    );
    let server = site.start(&["memory.send_bytes=4608"]);
    for _ in 0..10 {
        let mut stream = asking(&server, &bare("GET", "/cgi-bin/quick", ""));
        let starter = starter(&server);
        eventually("it has ended", || running(starter) == 0);
        let answer = try_read(&mut stream, false).unwrap();
        assert_eq!(answer.body.len(), 60_005);
    }
    ends(server);
}

#[test]
fn a_script_that_a_signal_ends_before_its_answer_is_a_bad_gateway() {
    let site = Site::new();
    site.script("killed", "kill -KILL $$");
    site.script("segv", "printf 'Content-Type: a/b\\n'; kill -SEGV $$");
    site.script("fails", "exit 3");
    let server = site.start(&[]);
    let mut kept = server.connect();
    for name in ["killed", "segv", "fails"] {
        let answer = ask(&mut kept, &bare("GET", &format!("/cgi-bin/{name}"), ""));
        assert_eq!((answer.status, answer.closes()), (502, false), "{name}");
    }
    is_kept(&mut kept);
    drop(kept);
    ends(server);
}

#[test]
fn a_script_that_a_signal_ends_in_its_answer_never_looks_whole() {
    let site = Site::new();
    for signal in ["KILL", "SEGV", "TERM"] {
        site.script(signal, &format!("{BEGIN}; kill -{signal} $$; {FOREVER}"));
    }
    site.script("gone", &format!("echo $$ >../../pid; {BEGIN}; {FOREVER}"));
    let server = site.start(&[]);
    for signal in ["KILL", "SEGV", "TERM"] {
        for version in ["1.1", "1.0"] {
            let request = format!("GET /cgi-bin/{signal} HTTP/{version}\r\nHost: h\r\n\r\n");
            is_cut(&hear(&mut asking(&server, request.as_bytes())), 200);
        }
    }
    // Nor when somebody else does it.
    let mut stream = asking(&server, &bare("GET", "/cgi-bin/gone", ""));
    let pid = site.pids("pid")[0];
    // It has begun.
    something_came(&stream);
    common::auth::tell(pid, "KILL");
    is_cut(&hear(&mut stream), 200);
    ends(server);
}

/// Files that nothing can execute.
fn unfit() -> Site {
    let site = Site::new();
    site.program("cgi-bin/no-interpreter", b"#!/none/such\n", "755");
    site.program("cgi-bin/no-format", b"\x7fELF, but not really\n", "755");
    site.program("cgi-bin/empty", b"", "755");
    site.program("x.php", b"<?php", "644");
    site
}

const UNFIT: [&str; 4] = [
    "/cgi-bin/no-interpreter",
    "/cgi-bin/no-format",
    "/cgi-bin/empty",
    "/x.php",
];

#[test]
fn what_cannot_be_executed_is_refused_and_the_connection_stays() {
    let site = unfit();
    let server = site.start(&["site.scripts=*.php /none/php-cgi"]);
    let mut kept = server.connect();
    for target in UNFIT {
        for request in [bare("GET", target, ""), post(target, "", &[b'x'; 5000])] {
            let answer = ask(&mut kept, &request);
            assert!(matches!(answer.status, 500 | 502), "{target}: {answer:?}");
            assert!(!answer.closes(), "{target}");
            assert!(!answer.body.windows(5).any(|five| five == b"<?php"));
            is_kept(&mut kept);
        }
    }
    drop(kept);
    ends(server);
}

#[test]
fn what_cannot_be_executed_is_an_error_of_the_server() {
    let site = unfit();
    let server = site.start(&["site.scripts=*.php /none/php-cgi"]);
    for target in UNFIT {
        assert_eq!(get(&server, target).status, 500, "{target}");
    }
    for (name, errno) in [
        ("no-interpreter", 2),
        ("no-format", 8),
        ("empty", 8),
        ("x.php", 2),
    ] {
        let said = format!("script {name} could not be started: error {errno}");
        server.line(1, |line| line.contains(&said));
    }
    ends(server);
}

#[test]
fn what_scripts_complain_about_is_in_the_log_with_their_names_and_escaped() {
    let site = Site::new();
    site.script(
        "complains",
        r"printf 'one\ntwo\033[31m\007\r\nthr\351e\000\377\nadieu: error: forged\n' >&2
printf 'Content-Type: a/b\n\nx'; printf 'no end' >&2",
    );
    site.script(
        "floods",
        &format!("{BEGIN}; head -c 500000 /dev/zero | tr '\\0' 'y' >&2"),
    );
    site.script(
        "lines",
        &format!("{BEGIN}; yes complaint | head -n 20000 >&2"),
    );
    let server = site.start(&[]);
    assert_eq!(get(&server, "/cgi-bin/complains").status, 200);
    for line in [
        "script complains: one",
        r"script complains: two\x1b[31m\x07",
        r"script complains: thr\xe9e\x00\xff",
        "script complains: adieu: error: forged",
        "script complains: no end",
    ] {
        server.line(1, |said| {
            said.starts_with("adieu: warning: ") && said.ends_with(line)
        });
    }
    // However much it is, nobody waits for it.
    for name in ["floods", "lines"] {
        let answer = get(&server, &format!("/cgi-bin/{name}"));
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &b"begun"[..]),
            "{name}"
        );
    }
    let stopped = ends(server);
    let forged = |line: &String| line.starts_with("adieu: error: forged");
    assert!(!stopped.lines.iter().any(forged));
    let raw = |line: &String| line.bytes().any(|byte| byte.is_ascii_control());
    assert!(!stopped.lines.iter().any(raw));
}

#[test]
fn a_script_that_complains_without_end_holds_nobody_and_ends_in_time() {
    let site = Site::new();
    site.script("floods", "echo $$ >../../pid; yes >&2");
    let server = site.start(&["script.total_ms=2000", "script.kill_ms=100"]);
    let mut stream = asking(&server, &bare("GET", "/cgi-bin/floods", ""));
    let pids = site.pids("pid");
    for _ in 0..20 {
        server.serves_a_good_client();
    }
    assert_eq!(one(&hear(&mut stream)).status, 504);
    all_end(&pids);
    drop(stream);
    ends(server);
}

#[test]
fn a_script_may_end_its_answer_and_go_on() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "goes-on",
        &format!("{BEGIN}; exec >&-; echo $$ >../../pid; read x <../../gate; echo did >../../did"),
    );
    site.script(
        "declared",
        r"printf 'Content-Type: a/b\nContent-Length: 5\n\nbegun'; echo $$ >../../pid
read x <../../gate; echo did >../../did",
    );
    let server = site.start(&["script.kill_ms=100"]);
    let mut kept = server.connect();
    for name in ["goes-on", "declared"] {
        let answer = ask(&mut kept, &bare("GET", &format!("/cgi-bin/{name}"), ""));
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &b"begun"[..]),
            "{name}"
        );
        is_kept(&mut kept);
        assert!(lives(site.pids("pid")[0]));
        assert!(site.is_silent("did"));
        gate.lets(1);
        assert_eq!(site.said("did"), "did", "{name}");
        all_end(&site.pids("pid"));
        for file in ["pid", "did"] {
            std::fs::remove_file(site.place.path(file)).unwrap();
        }
    }
    drop(kept);
    ends(server);
}

#[test]
fn a_client_that_closes_while_its_script_runs_leaves_nothing_behind() {
    let site = Site::new();
    site.script("begun", &format!("{STUBBORN}; {BEGIN}; yes"));
    let server = site.start(&["script.kill_ms=100", "timeout.write_ms=1000"]);
    for _ in 0..4 {
        let mut stream = asking(&server, &bare("GET", "/cgi-bin/begun", ""));
        let pids = both(&site);
        stream.read_exact(&mut [0; 200]).unwrap();
        // What is unread makes it a reset.
        stream.flush().unwrap();
        drop(stream);
        all_end(&pids);
    }
    let starter = starter(&server);
    eventually("no place is taken", || running(starter) == 0);
    ends(server);
}
