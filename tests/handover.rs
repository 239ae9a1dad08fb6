//! A new process takes over from the one that serves (`service.control`): the very same sockets,
//! and nobody notices. On real sockets and real processes, seen from the client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::reactor::control::{ANOTHER, HELLO, READY, YOURS};
use common::child::Ours;
use common::http::{Answer, read_answer};
use common::namespace::{ip, is_alone};
use common::outside::{rests, status};
use common::root::Root;
use common::server::Server;
use common::{End, PATIENCE, eventually, hear, skip};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// A place for the control socket, short enough for `sun_path`, and for what else a device keeps in
/// /run. Gone with the test.
struct Run(PathBuf);

impl Run {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("adieu-run-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn control(&self) -> String {
        format!("service.control={}", self.path("control").display())
    }

    /// A server that can be taken over from, and takes over from the one before.
    fn start(&self, root: &Root, keys: &[&str]) -> Server {
        let control = self.control();
        let mut all = vec![control.as_str()];
        all.extend(keys);
        Server::start(root.path(), &all)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A connection with timeouts.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask_on(stream: &mut TcpStream, target: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(stream, false)
}

/// The server before ends in peace, with nobody cut or reset.
fn ends_in_peace(server: Server) {
    server.says("adieu: handed over: ");
    let stopped = server.wait();
    assert!(stopped.status.success(), "{stopped:?}");
    for name in ["close.stopped", "close.reset-by-peer", "close.broken"] {
        assert_eq!(stopped.counter(name), 0, "{name}: {stopped:?}");
    }
    let closes = stopped
        .counters
        .iter()
        .filter(|(name, _)| name.starts_with("close."));
    let closed: u64 = closes.map(|(_, count)| count).sum();
    assert_eq!(closed, stopped.counter("accepted"), "{stopped:?}");
}

/// Runs it to its end: it does not serve.
fn fails(command: Command) -> Output {
    fails_with(1, command)
}

/// The same, with this code.
fn fails_with(code: i32, mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    output
}

#[test]
fn twenty_hand_overs_under_load_fail_nobody() {
    let (root, run) = (Root::new(), Run::new());
    root.file("small.txt", &[b's'; 1000]);
    let mut server = run.start(&root, &[]);
    let address = server.address.unwrap();
    let done = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let done = &done;
        let clients: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || {
                    let mut stream = connect(address);
                    let mut asked = 0_u32;
                    while !done.load(Ordering::SeqCst) || asked < 500 {
                        let answer = ask_on(&mut stream, "/small.txt");
                        assert_eq!((answer.status, answer.body.len()), (200, 1000));
                        asked += 1;
                        // Half of them close after each request, the others when they are told to.
                        if answer.closes() {
                            assert_eq!(hear(&mut stream).end, End::Fin);
                        }
                        if number % 2 == 0 || answer.closes() {
                            stream = connect(address);
                        }
                    }
                    asked
                })
            })
            .collect();
        for _ in 0..20 {
            let next = run.start(&root, &[]);
            assert_eq!(next.address, Some(address));
            ends_in_peace(std::mem::replace(&mut server, next));
        }
        done.store(true, Ordering::SeqCst);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum::<u32>()
    });
    assert!(asked >= 2000);
    assert_eq!(server.stop().counter("close.reset-by-peer"), 0);
}

#[test]
fn what_was_begun_before_is_finished_by_the_one_who_began() {
    let (one, two, run) = (Root::new(), Root::new(), Run::new());
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    one.file("large.bin", &large);
    two.file("index.html", b"two");
    let old = run.start(&one, &["limits.body_bytes=1MiB"]);
    let address = old.address.unwrap();
    // A download of which nearly all is on its way still.
    let mut download = connect(address);
    download
        .write_all(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let mut start = [0; 15];
    download.read_exact(&mut start).unwrap();
    // Half an upload, which will be refused at its end.
    let mut upload = connect(address);
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n";
    upload.write_all(head).unwrap();
    upload.write_all(&[b'u'; 100_000]).unwrap();
    // Half a head.
    let mut half = connect(address);
    half.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    // An idle connection that was kept.
    let mut kept = connect(address);
    assert_ne!(ask_on(&mut kept, "/").body, b"two");
    eventually("all of them have slots", || old.busy() >= 4);

    let new = run.start(&two, &[]);
    old.says("adieu: handed over: 4 connections");
    assert_eq!(ask_on(&mut connect(address), "/").body, b"two");

    let rest = read_body(&mut download, large.len());
    assert!(start == *b"HTTP/1.1 200 OK" && rest == large);
    upload.write_all(&[b'u'; 100_000]).unwrap();
    assert_eq!(read_answer(&mut upload, false).status, 405);
    half.write_all(b"st: h\r\n\r\n").unwrap();
    let answer = read_answer(&mut half, false);
    assert!(answer.status == 200 && answer.closes() && answer.body != b"two");
    // Who was promised before that the connection stays may use it once more.
    for stream in [&mut download, &mut upload, &mut kept] {
        let answer = ask_on(stream, "/");
        assert!(answer.status == 200 && answer.closes() && answer.body != b"two");
    }
    for mut stream in [download, upload, half, kept] {
        assert_eq!(hear(&mut stream).end, End::Fin);
    }
    ends_in_peace(old);
    drop(new.stop());
}

/// The rest of a head, thrown away, and so many bytes of a body.
fn read_body(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).unwrap();
    body
}

#[test]
fn an_idle_connection_ends_by_its_own_time_and_without_a_word() {
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &["keepalive.idle_ms=500"]);
    let mut kept = connect(old.address.unwrap());
    assert_eq!(ask_on(&mut kept, "/").status, 200);
    let new = run.start(&root, &[]);
    let heard = hear(&mut kept);
    assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    ends_in_peace(old);
    drop(new.stop());
}

#[test]
fn who_holds_the_server_before_is_cut_at_its_deadline() {
    let (root, run) = (Root::new(), Run::new());
    root.sparse("large.bin", 64 << 20);
    let old = run.start(&root, &["timeout.handover_ms=300"]);
    let mut stuck = connect(old.address.unwrap());
    let head = b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
    stuck.write_all(head).unwrap();
    stuck.read_exact(&mut [0; 15]).unwrap();
    let new = run.start(&root, &[]);
    let stopped = old.wait();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(stopped.counter("close.stopped"), 1, "{stopped:?}");
    drop(stuck);
    drop(new.stop());
}

#[test]
fn a_start_that_fails_leaves_the_server_before_as_it_was() {
    let (root, run) = (Root::new(), Run::new());
    let pidfile = run.path("pid");
    let pid_key = format!("service.pidfile={}", pidfile.display());
    let old = run.start(&root, &[&pid_key]);
    let written = || fs::read_to_string(&pidfile).unwrap();
    assert_eq!(written(), format!("{}\n", old.pid()));
    let log = format!("log.target=file:{}", run.path("no/log").display());
    let address = old.address.unwrap().to_string();
    for (count, (keys, place)) in [
        (["site.root=/nowhere/at/all", &pid_key], "site.root"),
        ([log.as_str(), &pid_key], "log.target"),
        (["service.user=nobody-at-all", &pid_key], "service.user"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut all = vec![run.control()];
        all.extend(keys.map(str::to_owned));
        let keys: Vec<&str> = all.iter().map(String::as_str).collect();
        let code = if place == "service.user" { 78 } else { 1 };
        let output = fails_with(code, Server::command(&address, root.path(), &keys));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with(&format!("adieu: error: {place}: ")),
            "{said}"
        );
        if place != "service.user" {
            old.line(count + 1, |line| {
                line.contains("who was to take over is gone")
            });
        }
        old.serves_a_good_client();
        assert_eq!(written(), format!("{}\n", old.pid()));
    }
    // Without the control socket the address is in use, as ever.
    let output = fails(Server::command(&address, root.path(), &[]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen"));
    // And one that starts has its number in the file, also when the one before has ended.
    let new = run.start(&root, &[&pid_key]);
    ends_in_peace(old);
    assert_eq!(written(), format!("{}\n", new.pid()));
    drop(new.stop());
    assert!(!pidfile.exists());
}

/// Somebody at the control socket, who has been given the sockets and thrown them away.
fn successor(run: &Run) -> UnixStream {
    let mut stream = UnixStream::connect(run.path("control")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut hello = vec![0; HELLO.len()];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(hello, HELLO);
    stream
}

#[test]
fn of_three_that_wait_at_once_two_are_told() {
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &[]);
    // All three are there when the server looks again.
    old.signal("STOP");
    let mut waiting: Vec<_> = (0..3)
        .map(|_| UnixStream::connect(run.path("control")).unwrap())
        .collect();
    old.signal("CONT");
    let mut told = Vec::new();
    for stream in &mut waiting {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut vec![0; HELLO.len()]).unwrap();
    }
    for stream in &mut waiting[..2] {
        let mut words = Vec::new();
        stream.read_to_end(&mut words).unwrap();
        told.push(words);
    }
    assert_eq!(told, [ANOTHER, ANOTHER]);
    waiting[2].write_all(READY).unwrap();
    let mut yours = vec![0; YOURS.len()];
    waiting[2].read_exact(&mut yours).unwrap();
    assert_eq!(yours, YOURS);
    ends_in_peace(old);
}

#[test]
fn of_two_successors_the_last_one_has_it_and_the_first_is_told() {
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &[]);
    let mut first = successor(&run);
    let mut second = successor(&run);
    let mut told = Vec::new();
    first.read_to_end(&mut told).unwrap();
    assert_eq!(told, ANOTHER);
    old.serves_a_good_client();
    second.write_all(READY).unwrap();
    let mut yours = vec![0; YOURS.len()];
    second.read_exact(&mut yours).unwrap();
    assert_eq!(yours, YOURS);
    ends_in_peace(old);
}

#[test]
fn whatever_a_successor_says_or_does_the_server_goes_on() {
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &[]);
    let refused = |count| old.line(count, |line| line.contains("who was to take over is gone"));
    drop(successor(&run));
    refused(1);
    let mut other = successor(&run);
    other.write_all(b"steady\n").unwrap();
    refused(2);
    assert_ne!(hear(&mut other).end, End::Silence);
    let silent: Vec<UnixStream> = (0..3).map(|_| successor(&run)).collect();
    old.serves_a_good_client();
    drop(silent);
    refused(3);
    // And it can still be taken over from.
    let new = run.start(&root, &[]);
    ends_in_peace(old);
    drop(new.stop());
}

#[test]
fn nobody_but_root_and_who_started_it_is_given_a_socket() {
    const NAME: &str = "nobody_but_root_and_who_started_it_is_given_a_socket";
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &[]);
    let control = run.path("control");
    let mode = fs::metadata(&control).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    if fs::metadata(&control).unwrap().uid() != 0 {
        skip(NAME, "becoming another user needs root");
        return;
    }
    // Also if somebody has opened the socket to everybody.
    fs::set_permissions(&control, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(run.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let program = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                   sys.stdout.write(repr(s.recv(100)))";
    let mut command = Command::new("python3");
    command
        .args(["-c", program])
        .arg(&control)
        .uid(65_534)
        .gid(65_534);
    match command.output() {
        Ok(output) if output.status.success() => {
            assert_eq!(output.stdout, br"b'adieu-handover-1 not\n'", "{output:?}");
        }
        outcome => {
            skip(NAME, &format!("no python3 for another user: {outcome:?}"));
            return;
        }
    }
    old.says("adieu: warning: service.control: nobody takes over: permission denied");
    old.serves_a_good_client();
    drop(old.stop());
}

#[test]
fn what_a_successor_does_not_listen_on_is_closed_and_what_is_new_is_opened() {
    let (root, run) = (Root::new(), Run::new());
    let (first, second) = (run.path("first"), run.path("second"));
    let at = |path: &Path| format!("unix:{}", path.display());
    let start = |paths: [&Path; 2]| {
        let mut command = Server::command("127.0.0.1:0", root.path(), &[&run.control()]);
        for path in paths {
            command.args(["-p", &at(path)]);
        }
        Server::run(command)
    };
    let kept = run.path("kept");
    let old = start([&kept, &first]);
    let address = old.address.unwrap();
    let inode = fs::metadata(&kept).unwrap().ino();
    let new = start([&second, &kept]);
    ends_in_peace(old);
    // The very same socket, at its file.
    assert_eq!(fs::metadata(&kept).unwrap().ino(), inode);
    assert_eq!(new.address, Some(address));
    for path in [&kept, &second] {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        stream.write_all(head).unwrap();
        let heard = hear(&mut stream);
        assert!(heard.bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    assert!(UnixStream::connect(&first).is_err());
    new.serves_a_good_client();
    drop(new.stop());
}

#[test]
fn who_has_handed_over_is_not_woken_by_clients_of_the_successor() {
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &["keepalive.idle_ms=1h"]);
    let mut kept = connect(old.address.unwrap());
    assert_eq!(ask_on(&mut kept, "/").status, 200);
    let new = run.start(&root, &[]);
    old.says("adieu: handed over: 1 connections");
    let turns = || status(&old.proc("status"), "voluntary_ctxt_switches");
    let before = turns();
    for _ in 0..200 {
        new.serves_a_good_client();
    }
    let woken = turns() - before;
    assert!(woken < 100, "it was woken {woken} times");
    assert!(ask_on(&mut kept, "/").closes());
    drop(kept);
    ends_in_peace(old);
    drop(new.stop());
}

#[test]
fn who_has_handed_over_is_stopped_like_any_other() {
    let (root, run) = (Root::new(), Run::new());
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    root.file("large.bin", &large);
    let old = run.start(&root, &[]);
    let mut kept = connect(old.address.unwrap());
    assert_eq!(ask_on(&mut kept, "/").status, 200);
    let mut download = connect(old.address.unwrap());
    let head = b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
    download.write_all(head).unwrap();
    download.read_exact(&mut [0; 15]).unwrap();
    let new = run.start(&root, &[]);
    old.says("adieu: handed over: 2 connections");
    // Somebody waits now: idle connections go, and what has begun is finished.
    old.signal("TERM");
    let heard = hear(&mut kept);
    assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    assert!(read_body(&mut download, large.len()) == large);
    assert_eq!(hear(&mut download).end, End::Fin);
    ends_in_peace(old);
    // The second one is at once.
    let newest = run.start(&root, &[]);
    drop(new.wait());
    let mut stuck = connect(newest.address.unwrap());
    stuck.write_all(head).unwrap();
    stuck.read_exact(&mut [0; 15]).unwrap();
    let last = run.start(&root, &[]);
    newest.says("adieu: handed over: 1 connections");
    newest.signal("TERM");
    newest.says("adieu: stopping: 1 connections");
    newest.signal("TERM");
    let stopped = newest.wait();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(stopped.counter("close.stopped"), 1);
    drop(last.stop());
}

#[test]
fn a_server_before_that_ends_meanwhile_keeps_nobody_from_serving() {
    let (root, run) = (Root::new(), Run::new());
    for (round, signal) in ["TERM", "KILL", "TERM", "KILL"].into_iter().enumerate() {
        let old = run.start(&root, &[]);
        let address = old.address.unwrap();
        // It stands still until the successor waits for its first word; then it ends.
        old.signal("STOP");
        let log = run.path("log");
        let mut command = Server::command(&address.to_string(), root.path(), &[&run.control()]);
        command.stderr(fs::File::create(&log).unwrap());
        let mut new = command.spawn().unwrap();
        eventually("the successor waits", || {
            let at = fs::read_to_string(format!("/proc/{}/wchan", new.id()));
            rests(new.id()) && at.is_ok_and(|at| at.contains("unix") || at == "0")
        });
        old.signal(signal);
        old.signal("CONT");
        drop(old.wait());
        let said = || fs::read_to_string(&log).unwrap();
        eventually("the successor serves", || {
            assert!(new.try_wait().unwrap().is_none(), "{round}: {}", said());
            said().contains("adieu: serving ")
        });
        let answer = ask_on(&mut connect(address), "/");
        assert_eq!(answer.status, 200);
        new.kill().unwrap();
        new.wait().unwrap();
    }
}

#[test]
fn a_scope_and_an_interface_are_handed_over_too() {
    if !is_alone("a_scope_and_an_interface_are_handed_over_too") {
        return;
    }
    ip(&["addr", "add", "fe80::1/64", "dev", "lo", "nodad"]);
    let (root, run) = (Root::new(), Run::new());
    for listen in [
        "[fe80::1%lo]:80",
        "[fe80::1%1]:81",
        "0.0.0.0%lo:82",
        "[::]%lo:83",
    ] {
        let start = || Server::run(Server::command(listen, root.path(), &[&run.control()]));
        let old = start();
        let new = start();
        ends_in_peace(old);
        new.serves_a_good_client_at(listen);
        drop(new.stop());
    }
}

#[test]
fn what_is_changed_in_a_listener_is_changed_when_it_is_taken() {
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &["memory.backlog=16"]);
    let port = old.port();
    // `ss -ltn` has the backlog of a listener as its Send-Q.
    let backlog = || {
        let output = Command::new("ss").args(["-Hltn"]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let own = format!("127.0.0.1:{port} ");
        let line = text.lines().find(|line| line.contains(&own))?;
        line.split_whitespace().nth(2)?.parse::<u32>().ok()
    };
    if backlog() != Some(16) {
        skip(
            "what_is_changed_in_a_listener_is_changed_when_it_is_taken",
            "ss(8) does not tell a backlog",
        );
        return;
    }
    let keys = [
        run.control(),
        "memory.backlog=3".to_owned(),
        "site.root=/nowhere".to_owned(),
    ];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    fails(Server::command("127.0.0.1:0", root.path(), &keys));
    assert_eq!(backlog(), Some(16), "one that failed has changed nothing");
    let new = run.start(&root, &["memory.backlog=3"]);
    ends_in_peace(old);
    assert_eq!(backlog(), Some(3));
    drop(new.stop());
}

#[test]
fn of_two_that_start_at_once_one_serves_and_its_number_stands_in_the_file() {
    let (root, run) = (Root::new(), Run::new());
    let pidfile = run.path("pid");
    let pid_key = format!("service.pidfile={}", pidfile.display());
    let mut server = run.start(&root, &[&pid_key]);
    for _ in 0..10 {
        let start = || {
            let mut command =
                Server::command("127.0.0.1:0", root.path(), &[&run.control(), &pid_key]);
            let log = fs::File::create(run.path("log")).unwrap();
            command.stdout(Stdio::null()).stderr(log);
            Ours::start(command)
        };
        let mut both = [start(), start()];
        server.says("adieu: handed over: ");
        drop(server.wait());
        // One of them serves, or both after another; whose number it is, he serves.
        eventually("one is left, and its number stands there", || {
            let left = both.iter_mut().filter_map(|one| match one.0.try_wait() {
                Ok(None) => Some(format!("{}\n", one.0.id())),
                Ok(Some(_)) | Err(_) => None,
            });
            let number = fs::read_to_string(&pidfile).unwrap_or_default();
            left.collect::<Vec<_>>() == [number]
        });
        // The next round begins with one that the test knows.
        let next = run.start(&root, &[&pid_key]);
        for one in &mut both {
            one.ends();
        }
        assert_eq!(
            fs::read_to_string(&pidfile).unwrap(),
            format!("{}\n", next.pid())
        );
        server = next;
    }
    drop(server.stop());
    assert!(!pidfile.exists());
}

#[test]
fn a_server_that_hangs_makes_no_start_hang() {
    let (root, run) = (Root::new(), Run::new());
    let old = run.start(&root, &[]);
    old.signal("STOP");
    // As many as wait in the kernel, and some more.
    let waiting: Vec<_> = (0..8)
        .map_while(|_| adieu::sys::socket::connect_unix(&run.path("control")).ok())
        .collect();
    assert!(waiting.len() < 8);
    let output = fails(Server::command(
        "127.0.0.1:0",
        root.path(),
        &[&run.control()],
    ));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it does not answer"), "{said}");
    drop(waiting);
    old.signal("CONT");
    old.serves_a_good_client();
    drop(old.stop());
}

#[test]
fn a_server_that_was_killed_stands_in_nobodys_way() {
    let (root, run) = (Root::new(), Run::new());
    for _ in 0..3 {
        let server = run.start(&root, &[]);
        server.serves_a_good_client();
        server.signal("KILL");
        assert_eq!(server.wait().status.code(), None, "by a signal");
        assert!(run.path("control").exists());
    }
    // A socket that is left there is taken for nobody, and then there is somebody again.
    let old = run.start(&root, &[]);
    let new = run.start(&root, &[]);
    ends_in_peace(old);
    drop(new.stop());
}
