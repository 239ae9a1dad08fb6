//! How many scripts run and wait, and what each may use. On real sockets with real scripts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::sys::socket;
use common::auth::dealt_with;
use common::child::{as_other, is_root};
use common::http::Answer;
use common::outside::{Tcp, sockets, status};
use common::place::permit;
use common::scripts::{
    STATIC, Site, all_end, ask, asking, bare, ends, get, is_kept, one, post, read, running,
    starter, try_read,
};
use common::server::Server;
use common::{End, eventually, hear, read_some, skip, something_came};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Says who it is, waits, and answers who asked.
const WAITS: &str = r#"echo "$QUERY_STRING" >>../../here; read x <../../gate
printf 'Content-Type: text/plain\n\n%s' "$QUERY_STRING""#;

fn ask_waiting(server: &Server, name: &str) -> TcpStream {
    let stream = asking(server, &bare("GET", &format!("/cgi-bin/waits?{name}"), ""));
    dealt_with(server);
    stream
}

/// Nothing has come yet.
fn is_unanswered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let nothing = stream.peek(&mut [0]).is_err();
    stream.set_nonblocking(false).unwrap();
    nothing
}

fn is_turned_away(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds = answer.field("retry-after").expect("when to come again");
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0));
}

#[test]
fn who_finds_no_place_waits_and_is_served_in_turn() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script("waits", WAITS);
    let server = site.start(&["script.at_once=1", "script.waiting=3"]);
    let first = ask_waiting(&server, "a");
    site.said("here");
    let waiting: Vec<TcpStream> = ["b", "c", "d"]
        .map(|name| ask_waiting(&server, name))
        .into();
    // The queue is full.
    let mut fifth = server.connect();
    for request in [
        bare("GET", "/cgi-bin/waits?e", ""),
        post("/cgi-bin/waits?e", "", &[b'x'; 3000]),
    ] {
        let answer = ask(&mut fifth, &request);
        is_turned_away(&answer);
        assert!(!answer.closes());
        is_kept(&mut fifth);
    }
    // Who waits costs the others nothing.
    server.serves_a_good_client();
    for (mut stream, name) in [first].into_iter().chain(waiting).zip(["a", "b", "c", "d"]) {
        assert!(is_unanswered(&stream), "{name}");
        gate.lets(1);
        let answer = read(&mut stream);
        assert_eq!((answer.status, &answer.body[..]), (200, name.as_bytes()));
        is_kept(&mut stream);
    }
    assert_eq!(site.said("here"), "a\nb\nc\nd");
    gate.lets(1);
    assert_eq!(
        ask(&mut fifth, &bare("GET", "/cgi-bin/waits?e", "")).body,
        b"e"
    );
    drop(fifth);
    ends(server);
}

#[test]
fn who_waits_too_long_is_told_to_come_again() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script("waits", WAITS);
    let server = site.start(&["script.at_once=1", "script.queue_ms=300"]);
    let mut first = ask_waiting(&server, "a");
    site.said("here");
    for request in [
        bare("GET", "/cgi-bin/waits?b", ""),
        post("/cgi-bin/waits?b", "", &[b'x'; 3000]),
        post("/cgi-bin/waits?b", "", &vec![b'x'; 300_000]),
    ] {
        let mut stream = server.connect();
        stream.write_all(&request).unwrap();
        let answer = one(&hear(&mut stream));
        is_turned_away(&answer);
        assert!(answer.closes());
    }
    gate.lets(1);
    assert_eq!(read(&mut first).body, b"a");
    assert_eq!(site.said("here"), "a");
    drop(first);
    let stopped = ends(server);
    assert_eq!(stopped.counter("scripts"), 1);
}

/// Behind a front each client has its share of what runs and of what waits.
#[test]
fn no_client_has_all_scripts() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script("waits", WAITS);
    let keys = [
        "script.at_once=4",
        "script.waiting=4",
        "proxy.trusted=127.0.0.1",
        "limits.connections_per_address=64",
    ];
    let server = site.start(&keys);
    let from = |client: u8| {
        let field = format!("X-Forwarded-For: 192.0.2.{client}\r\n");
        let target = format!("/cgi-bin/waits?{client}");
        let stream = asking(&server, &bare("GET", &target, &field));
        dealt_with(&server);
        stream
    };
    let many: Vec<TcpStream> = (0..12).map(|_| from(1)).collect();
    let starter = starter(&server);
    eventually("it has its share", || running(starter) >= 2);
    let mut other = from(2);
    eventually("the other one runs", || running(starter) == 3);
    for stream in many {
        socket::abort(OwnedFd::from(stream));
    }
    eventually("his scripts end with him", || running(starter) == 1);
    gate.lets(1);
    assert_eq!(read(&mut other).body, b"2");
    drop(other);
    ends(server);
}

/// Who is refused has no place any more, whether he reads his answer or not.
#[test]
fn who_waited_too_long_makes_room_at_once() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script("waits", WAITS);
    let keys = [
        "script.at_once=1",
        "script.waiting=1",
        "script.queue_ms=300",
        "linger.idle_ms=20s",
    ];
    let server = site.start(&keys);
    let mut first = ask_waiting(&server, "a");
    site.said("here");
    let late = ask_waiting(&server, "late");
    something_came(&late);
    let next = ask_waiting(&server, "next");
    assert!(is_unanswered(&next), "there is a place to wait in");
    gate.lets(1);
    assert_eq!(read(&mut first).body, b"a");
    drop((first, late, next));
    gate.lets(1);
    ends(server);
}

#[test]
fn who_leaves_the_queue_makes_room_and_nobody_is_started_for_him() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script("waits", WAITS);
    let server = site.start(&["script.at_once=1", "script.waiting=2"]);
    let mut first = ask_waiting(&server, "a");
    site.said("here");
    let gone = ask_waiting(&server, "gone");
    let mut half = ask_waiting(&server, "half");
    half.shutdown(Shutdown::Write).unwrap();
    socket::abort(OwnedFd::from(gone));
    eventually("one waits for its answer", || {
        sockets(server.port(), &[Tcp::Established]) == 1
    });
    dealt_with(&server);
    let mut next = ask_waiting(&server, "next");
    gate.lets(3);
    for (stream, name) in [(&mut first, "a"), (&mut half, "half"), (&mut next, "next")] {
        let answer = read(stream);
        assert_eq!((answer.status, &answer.body[..]), (200, name.as_bytes()));
    }
    assert_eq!(hear(&mut half).end, End::Fin);
    assert_eq!(site.said("here"), "a\nhalf\nnext");
    drop((first, half, next));
    ends(server);
}

#[test]
fn twenty_at_once_are_all_served() {
    let site = Site::with_echo();
    let keys = [
        "script.waiting=32",
        "memory.buffers=128",
        "script.at_once=3",
    ];
    let server = site.start(&keys);
    let most = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let starter = starter(&server);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                most.fetch_max(running(starter), Ordering::SeqCst);
                thread::yield_now();
            }
        });
        let clients: Vec<_> = (0..20_usize)
            .map(|client| {
                let server = &server;
                scope.spawn(move || {
                    let mut stream = server.connect();
                    for round in 0..5 {
                        let body = format!("{client} {round} ")
                            .repeat(client * 50)
                            .into_bytes();
                        let answer = ask(&mut stream, &post("/cgi-bin/echo", "", &body));
                        assert_eq!((answer.status, answer.closes()), (200, false));
                        assert!(answer.body == body, "{client} {round}");
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        watcher.join().unwrap();
    });
    // One more may be on its way from one to the other.
    assert!(most.load(Ordering::SeqCst) <= 4, "{most:?}");
    assert_eq!(ends(server).counter("scripts"), 100);
}

/// A user of this test alone, so that nobody else's processes count.
const BOUND: u32 = 54_321;

fn processes_of(user: u32) -> usize {
    let is_his = |entry: &fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        text.contains(&format!("\nUid:\t{user}\t")) && !text.contains("\nState:\tZ")
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(is_his)
        .count()
}

#[test]
fn a_fork_bomb_is_bounded_and_others_are_served() {
    const MOST: usize = 20;
    let name = "a_fork_bomb_is_bounded_and_others_are_served";
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "bomb",
        r"printf 'Content-Type: text/plain\n\n'
while :; do sh -c 'read x <../../gate' & echo x; done",
    );
    site.script("echo", common::scripts::ECHO);
    let processes = format!("script.processes={MOST}");
    let mut command = site.command(&[&processes]);
    if !is_root() {
        skip(name, "of a user who runs other things all processes count");
        return;
    }
    if as_other(&command).is_none() {
        skip(name, "another user does not reach the binary");
        return;
    }
    permit(&site.root(), 0o755);
    command.uid(BOUND).gid(BOUND);
    let server = Server::run(command);
    let answer = get(&server, "/cgi-bin/bomb");
    let born = answer.body.iter().filter(|byte| **byte == b'x').count();
    assert!(answer.status == 200 && born > 3 && born < MOST, "{born}");
    // The server and the starter have theirs.
    assert!(processes_of(BOUND) <= MOST + 1, "{}", processes_of(BOUND));
    server.serves_a_good_client();
    // There is no room for another until they end.
    gate.lets(2 * MOST);
    // What is left: the server, the maker, the starter.
    eventually("they end", || processes_of(BOUND) <= 3);
    let answer = ask(&mut server.connect(), &post("/cgi-bin/echo", "", b"12345"));
    assert_eq!((answer.status, &answer.body[..]), (200, &b"12345"[..]));
    ends(server);
}

#[test]
fn memory_and_processor_time_are_bounded() {
    let site = Site::new();
    site.script(
        "memory",
        r"printf 'Content-Type: text/plain\n\n'
dd if=/dev/zero of=/dev/null bs=$QUERY_STRING count=1 2>/dev/null && echo yes || echo no",
    );
    site.script("time", "echo $$ >../../pid; while :; do :; done");
    site.script("core", r"printf 'Content-Type: a/b\n\n'; ulimit -c");
    let server = site.start(&["script.memory_bytes=64MiB", "script.cpu_s=1"]);
    assert_eq!(get(&server, "/cgi-bin/memory?1M").body, b"yes\n");
    assert_eq!(get(&server, "/cgi-bin/memory?100M").body, b"no\n");
    let answer = get(&server, "/cgi-bin/time");
    assert_eq!((answer.status, answer.closes()), (502, false));
    all_end(&site.pids("pid"));
    assert_eq!(get(&server, "/cgi-bin/core").body, b"0\n");
    // The server itself is not bound by them.
    let limits = fs::read_to_string(server.proc("limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max address space"));
    assert!(line.unwrap().contains("unlimited"), "{limits}");
    ends(server);
}

/// An application as routers have it: everything behind one script, a session in a cookie.
const APPLICATION: &str = r#"
case "$REQUEST_METHOD $PATH_INFO" in
'POST /login')
    form=$(head -c "$CONTENT_LENGTH")
    if [ "$form" = 'username=root&password=a%26b' ]; then
        printf 'Status: 302 Found\nSet-Cookie: session=s3cr3t; Path=/; HttpOnly\n'
        printf 'Location: /cgi-bin/app/\n\n'
    else
        printf 'Status: 403 Forbidden\nContent-Type: text/html\n\n<p>no'
    fi
    exit;;
esac
case "$HTTP_COOKIE" in
*session=s3cr3t*) ;;
*) printf 'Status: 403 Forbidden\nContent-Type: text/html\n\n<p>no'; exit;;
esac
case "$REQUEST_METHOD $PATH_INFO" in
'GET /') printf 'Content-Type: text/html\nCache-Control: no-cache\n\n<p>welcome';;
'GET /backup') printf 'Content-Type: application/x-targz\n\n'; exec head -c 20971520 /dev/zero;;
'POST /ubus') body=$(cat); printf 'Content-Type: application/json\n\n{"id":%s}' "$body";;
*) printf 'Status: 404 Not Found\nContent-Type: text/html\n\n<p>nothing';;
esac"#;

#[test]
#[allow(clippy::too_many_lines, reason = "a session is one story")]
fn a_session_of_an_application_goes_well() {
    const BACKUP: usize = 20 << 20;
    let site = Site::new();
    site.script("app", APPLICATION);
    let keys = [
        "script.waiting=32",
        "memory.buffers=128",
        "timeout.write_ms=60000",
    ];
    let server = site.start(&keys);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut browser = server.connect();
    assert_eq!(
        ask(&mut browser, &bare("GET", "/cgi-bin/app/", "")).status,
        403
    );
    let wrong = post("/cgi-bin/app/login", form, b"username=root&password=x");
    assert_eq!(ask(&mut browser, &wrong).status, 403);
    let right = post("/cgi-bin/app/login", form, b"username=root&password=a%26b");
    let answer = ask(&mut browser, &right);
    assert_eq!(
        (answer.status, answer.field("location")),
        (302, Some("/cgi-bin/app/"))
    );
    let cookie = answer
        .field("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let cookie = format!("Cookie: lang=en; {cookie}\r\n");
    assert_eq!(
        ask(&mut browser, &bare("GET", "/cgi-bin/app/", &cookie)).body,
        b"<p>welcome"
    );
    assert_eq!(
        ask(&mut browser, &bare("GET", "/cgi-bin/app/x", &cookie)).status,
        404
    );

    let memory = || status(&server.proc("status"), "VmRSS");
    let before = memory();
    let mut slow = asking(&server, &bare("GET", "/cgi-bin/app/backup", &cookie));
    let mut room = [0; 4096];
    let mut taken = read_some(&mut slow, &mut room);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..20 {
            let (server, cookie, done) = (&server, &cookie, &done);
            scope.spawn(move || {
                let mut stream = server.connect();
                for call in 0..10 {
                    let id = format!("{}", client * 100 + call);
                    let request = post("/cgi-bin/app/ubus", cookie, id.as_bytes());
                    let answer = ask(&mut stream, &request);
                    assert_eq!((answer.status, answer.closes()), (200, false));
                    assert_eq!(answer.body, format!("{{\"id\":{id}}}").into_bytes());
                    let answer = ask(&mut stream, &bare("GET", "/static.txt", cookie));
                    assert_eq!((answer.status, &answer.body[..]), (200, STATIC));
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        // A little now and then, until the others have theirs.
        while done.load(Ordering::SeqCst) < 20 {
            taken += read_some(&mut slow, &mut room);
            common::moment();
        }
    });
    assert!(taken < BACKUP, "the reader was not slow");
    assert!(
        memory() < before + 4096,
        "{before} kB before, {} kB now",
        memory()
    );
    // The rest of it, and its end.
    struct Behind<'s>(&'s mut TcpStream, usize);
    impl Read for Behind<'_> {
        fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(room)?;
            self.1 += count;
            Ok(count)
        }
    }
    let mut rest = Behind(&mut slow, 0);
    let mut tail = Vec::new();
    while !tail.ends_with(b"\r\n0\r\n\r\n") {
        let mut room = vec![0; 1 << 20];
        let count = read_some(&mut rest, &mut room);
        assert!(count > 0);
        tail.extend_from_slice(&room[..count]);
        let from = tail.len().saturating_sub(20);
        tail.drain(..from);
    }
    assert!(taken + rest.1 > BACKUP);
    is_kept(&mut slow);
    is_kept(&mut browser);
    drop((slow, browser));
    let stopped = ends(server);
    assert_eq!(stopped.counter("close.reset-by-peer"), 0);
}

#[test]
fn a_head_of_a_request_that_waits_is_no_answer_to_another() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script("waits", WAITS);
    let server = site.start(&["script.at_once=1"]);
    let mut first = ask_waiting(&server, "a");
    site.said("here");
    // Behind the one that waits a whole pipeline, and behind a file that is sent first.
    let mut second = server.connect();
    let pipeline = [
        bare("GET", "/cgi-bin/waits?b", ""),
        bare("GET", "/static.txt", ""),
        bare("HEAD", "/cgi-bin/waits?c", ""),
        bare("GET", "/static.txt", ""),
    ];
    second.write_all(&pipeline.concat()).unwrap();
    dealt_with(&server);
    assert!(is_unanswered(&second));
    gate.lets(3);
    assert_eq!(read(&mut first).body, b"a");
    assert_eq!(read(&mut second).body, b"b");
    assert_eq!(read(&mut second).body, STATIC);
    assert_eq!(try_read(&mut second, true).unwrap().status, 200);
    assert_eq!(read(&mut second).body, STATIC);
    drop((first, second));
    ends(server);
}
