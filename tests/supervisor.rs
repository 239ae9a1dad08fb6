//! What a supervisor gives and hears: listeners (LISTEN_FDS), its own socket (NOTIFY_SOCKET), a
//! descriptor that waits for a line feed, and how many files may be open. The built binary, started
//! as systemd, s6 and others do.
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
use adieu::sys::clock::{monotonic_ms, monotonic_us};
use common::child::{
    GET_LAST, Ours, adieu, after, as_other, page_at, page_on, refused, run, signal, told,
};
use common::http::{only, read_answer};
use common::place::Place;
use common::root::Root;
use common::server::Server;
use common::supervisor::Supervisor;
use common::{End, PATIENCE, hear, skip};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::process::{Command, Stdio};

/// A connection with timeouts.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The command for a server at a port of the system's choice.
fn at_port(root: &Root) -> Command {
    Server::command("127.0.0.1:0", root.path(), &[])
}

/// The command for a server at `socket` in this place.
fn at_socket(root: &Root, place: &Place) -> Command {
    let listen = format!("unix:{}", place.shown("socket"));
    Server::command(&listen, root.path(), &[])
}

fn set(command: &mut Command, keys: &[&str]) {
    for key in keys {
        command.args(["--set", key]);
    }
}

// ---- listeners --------------------------------------------------------------------------------

/// Has a listener each from a supervisor, as 3 and 4, the second of them in place of the standard
/// output: the environment as sd_listen_fds(3) has it.
const BOTH: &str = "exec 3<&0 4>&1 </dev/null >/dev/null; \
                    export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b";

/// A server whose listeners were opened before it.
fn handed(root: &Root, script: &str, first: OwnedFd, second: OwnedFd, keys: &[&str]) -> Server {
    let command = Server::command("127.0.0.1:0", root.path(), keys);
    let mut command = after(script, &command);
    command.stdout(Stdio::from(second));
    Server::run_with(command, first)
}

#[test]
fn sockets_of_a_supervisor_are_served_and_no_others() {
    let (root, place) = (Root::new(), Place::new());
    let path = place.path("socket");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let second = UnixListener::bind(&path).unwrap();
    let server = handed(&root, BOTH, tcp.into(), second.into(), &[]);
    server.says("adieu: LISTEN_FDS: listen.address is not used, but what was handed over");
    let said = server.line(1, |line| line.starts_with("adieu: serving "));
    let places = format!(" on http://{address}/ unix:{}", path.display());
    assert!(said.ends_with(&places), "{said}");
    for fd in [3, 4] {
        // They blocked when they came, and programs started later would have had them.
        let info = fs::read_to_string(server.proc(&format!("fdinfo/{fd}"))).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        let wanted = u32::try_from(libc::O_NONBLOCK | libc::O_CLOEXEC).unwrap();
        assert_eq!(flags & wanted, wanted, "{fd}");
    }
    // Several at a time: it waits for none of them.
    let mut open: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
    for _ in 0..2 {
        for stream in &mut open {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                .unwrap();
            assert_eq!(read_answer(stream, false).status, 200);
        }
        assert!(page_at(&path).contains("good day"));
    }
    drop(open);
    assert_eq!(server.stop().counter("accepted"), 5);
}

#[test]
fn sockets_of_a_supervisor_are_handed_over_whole() {
    let (root, place) = (Root::new(), Place::new());
    let control = format!("service.control={}", place.shown("control"));
    let path = place.path("socket");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let second = UnixListener::bind(&path).unwrap();
    let old = handed(&root, BOTH, tcp.into(), second.into(), &[&control]);
    // Its own address is another: nobody else would serve what the supervisor keeps open.
    let mut command = at_port(&root);
    set(&mut command, &[&control]);
    let new = Server::run(command);
    old.says("adieu: handed over: ");
    drop(old.wait());
    let said = new.line(1, |line| line.starts_with("adieu: serving "));
    let places = format!(" on http://{address}/ unix:{}", path.display());
    assert!(said.ends_with(&places), "{said}");
    assert!(page_at(&path).contains("good day"));
    new.serves_a_good_client();
    drop(new.stop());
}

#[test]
fn a_listener_without_a_name_in_the_file_system_is_served_like_others() {
    let root = Root::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("adieu-{}-abstract", std::process::id());
    let address = UnixAddress::from_abstract_name(&name).unwrap();
    let second = UnixListener::bind_addr(&address).unwrap();
    let server = handed(&root, BOTH, tcp.into(), second.into(), &[]);
    server.says("adieu: serving ");
    let mut stream = UnixStream::connect_addr(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 200);
    drop(stream);
    drop(server.stop());
}

/// What ss(8) says of the buffers of the server's end of this connection: receive, send.
fn buffers(server: SocketAddr, client: &TcpStream) -> Option<(u32, u32)> {
    let own = client.local_addr().unwrap();
    let filter = format!("src {server} and dst {own}");
    let output = Command::new("ss").args(["-Htnm", &filter]).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, memory) = text.split_once("skmem:(")?;
    let number = |name: &str| {
        let mut words = memory.split([',', ')']);
        words.find_map(|word| word.strip_prefix(name)?.parse().ok())
    };
    Some((number("rb")?, number("tb")?))
}

#[test]
fn who_was_queued_before_the_start_is_served_like_all_others() {
    const NAME: &str = "who_was_queued_before_the_start_is_served_like_all_others";
    let (root, place) = (Root::new(), Place::new());
    let path = place.path("socket");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let second = UnixListener::bind(&path).unwrap();
    let mut early = connect(address);
    let mut upload = connect(address);
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n";
    upload.write_all(head).unwrap();
    let mut local = UnixStream::connect(&path).unwrap();
    local.set_read_timeout(Some(PATIENCE)).unwrap();
    local.write_all(GET_LAST).unwrap();

    let keys = ["memory.send_bytes=10000"];
    let server = handed(&root, BOTH, tcp.into(), second.into(), &keys);
    assert_eq!(only(&hear(&mut local).bytes).status, 200);
    let mut late = connect(address);
    for stream in [&mut early, &mut late] {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(stream, false).status, 200);
    }
    match (buffers(address, &early), buffers(address, &late)) {
        // The kernel doubles what is set.
        (Some(early), Some(late)) => assert_eq!((early, late.1), (late, 20_000)),
        _ => skip(NAME, "ss(8) says nothing of buffers"),
    }
    // The goodbye: an upload that is refused can be sent to its end.
    if BUILT == Teardown::Linger {
        upload.write_all(&vec![b'u'; 300_000]).unwrap();
        let heard = hear(&mut upload);
        assert_eq!((only(&heard.bytes).status, heard.end), (405, End::Fin));
    }
    for stream in [&mut early, &mut late] {
        assert!(page_on(stream).contains("good day"));
    }
    drop(upload);
    let stopped = server.stop();
    assert_eq!(stopped.counter("accepted"), 4);
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    let (root, place) = (Root::new(), Place::new());
    for (number, environment) in [
        "export LISTEN_PID=1 LISTEN_FDS=2",
        "export LISTEN_FDS=2",
        "export LISTEN_PID=x LISTEN_FDS=99",
        "export LISTEN_PID=$$",
        "export LISTEN_PID=$$ LISTEN_FDS=0",
    ]
    .iter()
    .enumerate()
    {
        let script = format!("exec 3<&0 4>&1 </dev/null >/dev/null; {environment}");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = tcp.local_addr().unwrap();
        let second = UnixListener::bind(place.path(&number.to_string())).unwrap();
        let server = handed(&root, &script, tcp.into(), second.into(), &[]);
        assert_ne!(server.address, Some(theirs), "{environment}");
        server.serves_a_good_client();
        server.stop().never_said("LISTEN");
    }
}

#[test]
fn a_count_that_is_none_and_a_descriptor_that_is_not_open_are_refused() {
    let root = Root::new();
    let set = "let the supervisor set it, as sd_listen_fds(3) says";
    let command = |environment: &str| {
        let script = format!("exec 3>&- 4>&-; export LISTEN_PID=$$ {environment}");
        after(&script, &at_port(&root))
    };
    for count in ["99", "65", "-1", "x", "''", "1.5"] {
        let shown = count.trim_matches('\'');
        let what = format!("\"{shown}\" is no number from 0 to 64");
        let command = command(&format!("LISTEN_FDS={count}"));
        refused(command, 78, "LISTEN_FDS", &what, set);
    }
    let what = "descriptor 3: Bad file descriptor";
    refused(command("LISTEN_FDS=1"), 78, "LISTEN_FDS", what, set);
}

#[test]
fn a_descriptor_that_is_no_listener_is_refused() {
    let (root, place) = (Root::new(), Place::new());
    place.file("file", b"a file");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let handed = |script: &str, fd: OwnedFd| {
        let script = format!("exec 3<&0 </dev/null; export LISTEN_PID=$$; {script}");
        let mut command = after(&script, &at_port(&root));
        command.stdin(fd);
        command
    };
    let wrong: [OwnedFd; 4] = [
        connected.into(),
        File::open(place.path("file")).unwrap().into(),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        UnixStream::pair().unwrap().0.into(),
    ];
    let what = |number: i32| format!("descriptor {number} is no listening stream socket");
    let cure = "let the socket unit have ListenStream= and Accept=no, and no other";
    for fd in wrong {
        let command = handed("export LISTEN_FDS=1", fd);
        refused(command, 78, "LISTEN_FDS", &what(3), cure);
    }
    // One that is as it should be does not help.
    let script = format!("exec 4<{}; export LISTEN_FDS=2", place.shown("file"));
    let command = handed(&script, listener.try_clone().unwrap().into());
    refused(command, 78, "LISTEN_FDS", &what(4), cure);
    // Nor is one descriptor two things.
    let mut command = at_port(&root);
    set(&mut command, &["service.ready_fd=3"]);
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1";
    let mut command = after(script, &command);
    command.stdin(OwnedFd::from(listener));
    let what = "descriptor 3 is a socket of LISTEN_FDS";
    refused(command, 78, "service.ready_fd", what, "different numbers");
}

// ---- what it hears ----------------------------------------------------------------------------

fn ready(pid: u32) -> String {
    format!("READY=1\nMAINPID={pid}")
}

#[test]
fn the_supervisor_is_told_what_happens() {
    let (root, place) = (Root::new(), Place::new());
    for supervisor in [Supervisor::at_path(&place), Supervisor::at_name(&place)] {
        let mut command = at_socket(&root, &place);
        command.env("NOTIFY_SOCKET", &supervisor.address);
        command.stderr(Stdio::null());
        let server = Ours::start(command);
        let pid = server.0.id();
        assert_eq!(supervisor.hears(), ready(pid));
        // Who comes right then is served.
        assert!(page_at(&place.path("socket")).contains("good day"));
        for _ in 0..2 {
            let before = monotonic_us();
            signal(pid, "HUP");
            let said = supervisor.hears();
            let at = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
            let at: u64 = at.expect(&said).parse().unwrap();
            assert!((before..=monotonic_us()).contains(&at), "{at}");
            assert_eq!(supervisor.hears(), ready(pid));
        }
        signal(pid, "TERM");
        assert_eq!(supervisor.hears(), "STOPPING=1");
        server.ended();
        assert!(supervisor.heard().is_empty());
        let _ = fs::remove_file(place.path("notify"));
    }
}

#[test]
fn a_start_that_fails_tells_no_supervisor_that_it_serves() {
    let (root, place) = (Root::new(), Place::new());
    let supervisor = Supervisor::at_path(&place);
    for (key, code) in [
        ("site.root=/nowhere/at/all", 1),
        ("service.user=nobody-at-all", 78),
        ("service.ready_fd=1023", 78),
        ("linger.idle_ms=31s", 78),
    ] {
        let mut command = at_socket(&root, &place);
        set(&mut command, &[key]);
        command.env("NOTIFY_SOCKET", &supervisor.address);
        assert_eq!(run(command).code, code);
        assert_eq!(supervisor.heard(), Vec::<String>::new(), "{key}");
    }
}

#[test]
fn a_reload_that_is_refused_ends_with_ready_too() {
    let (root, place) = (Root::new(), Place::new());
    let supervisor = Supervisor::at_path(&place);
    let site = place.site("www", "good day");
    let mut command = Server::command("127.0.0.1:0", &site, &[]);
    command.env("NOTIFY_SOCKET", &supervisor.address);
    let server = Server::run(command);
    assert_eq!(supervisor.hears(), ready(server.pid()));
    fs::remove_dir_all(&site).unwrap();
    server.signal("HUP");
    server.says("adieu: error: not reloaded, the old configuration goes on: site.root");
    assert!(supervisor.hears().starts_with("RELOADING=1\n"));
    assert_eq!(supervisor.hears(), ready(server.pid()));
    drop((root, server.stop()));
}

#[test]
fn the_watchdog_hears_from_an_idle_server() {
    let (root, place) = (Root::new(), Place::new());
    let supervisor = Supervisor::at_path(&place);
    let mut command = at_port(&root);
    command.env("NOTIFY_SOCKET", &supervisor.address);
    command.env("WATCHDOG_USEC", "200000");
    let server = Server::run(after("export WATCHDOG_PID=$$", &command));
    assert_eq!(supervisor.hears(), ready(server.pid()));
    let mut times = vec![monotonic_ms()];
    for _ in 0..8 {
        assert_eq!(supervisor.hears(), "WATCHDOG=1");
        times.push(monotonic_ms());
    }
    // Twice as often as it asks for: on a busy machine some are late, and the next one is not.
    let pauses = || times.windows(2).map(|pair| pair[1] - pair[0]);
    let (shortest, sum) = (pauses().min().unwrap(), pauses().sum::<u64>());
    assert!(shortest < 200, "{times:?}");
    assert!(sum >= 8 * 100 - 10, "more often than that: {times:?}");
    drop(server.stop());
    let heard = supervisor.heard();
    assert_eq!(heard.last().unwrap(), "STOPPING=1");
}

#[test]
fn the_watchdog_of_another_process_and_none_hear_nothing() {
    let root = Root::new();
    for watchdog in [
        "WATCHDOG_USEC=2000 WATCHDOG_PID=1",
        "WATCHDOG_USEC=2000 WATCHDOG_PID=x",
        "WATCHDOG_USEC=0",
        "WATCHDOG_USEC=soon",
        "WATCHDOG_PID=$$",
    ] {
        let place = Place::new();
        let supervisor = Supervisor::at_path(&place);
        let mut command = at_port(&root);
        command.env("NOTIFY_SOCKET", &supervisor.address);
        let server = Server::run(after(&format!("export {watchdog}"), &command));
        // Its loop turns, and more than once in 2 ms it does not need to.
        for _ in 0..20 {
            server.serves_a_good_client();
        }
        let pid = server.pid();
        drop(server.stop());
        let wanted = [ready(pid), "STOPPING=1".to_owned()];
        assert_eq!(supervisor.heard(), wanted, "{watchdog}");
    }
}

#[test]
fn a_hand_over_is_no_stop_and_names_the_successor() {
    let (root, place) = (Root::new(), Place::new());
    let supervisor = Supervisor::at_path(&place);
    let control = format!("service.control={}", place.shown("control"));
    let start = || {
        let mut command = at_port(&root);
        set(&mut command, &[&control]);
        command.env("NOTIFY_SOCKET", &supervisor.address);
        Server::run(command)
    };
    let old = start();
    assert_eq!(supervisor.hears(), ready(old.pid()));
    // Its client stays, and so it can still be stopped.
    let mut client = connect(old.address.unwrap());
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut client, false).status, 200);
    let new = start();
    old.says("adieu: handed over: ");
    old.signal("INT");
    drop(old.wait());
    assert_eq!(supervisor.heard(), [ready(new.pid())]);
    new.serves_a_good_client();
    drop(new.stop());
    assert_eq!(supervisor.heard(), ["STOPPING=1"]);
}

#[test]
fn a_supervisor_that_does_not_hear_keeps_nobody_from_being_served() {
    let (root, place) = (Root::new(), Place::new());
    let full = Supervisor::at_path(&place);
    let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    let error = loop {
        if let Err(error) = other.send_to(b"full", &full.address) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let stream = UnixListener::bind(place.path("stream")).unwrap();
    let missing = "adieu: warning: NOTIFY_SOCKET: the supervisor cannot be told: ";
    for (address, warning) in [
        (full.address.as_str(), None),
        ("/nowhere/at/all", Some("No such file")),
        ("@adieu-nobody-is-here", Some("Connection refused")),
        ("vsock:2:1234", Some("Invalid argument")),
        (&place.shown("stream"), Some("wrong type for socket")),
        ("", None),
    ] {
        let mut command = at_port(&root);
        command.env("NOTIFY_SOCKET", address);
        command.env("WATCHDOG_USEC", "2000");
        let server = Server::run(command);
        for _ in 0..3 {
            server.serves_a_good_client();
        }
        server.signal("HUP");
        server.says("adieu: reloaded: ");
        server.serves_a_good_client();
        let lines = server.stop().lines;
        let said = lines.iter().find_map(|line| line.strip_prefix(missing));
        match warning {
            Some(why) => assert!(said.is_some_and(|said| said.contains(why)), "{lines:?}"),
            None => assert_eq!(said, None, "{address}"),
        }
    }
    // What it did not take is lost, and nothing else.
    assert!(full.heard().iter().all(|word| word == "full"));
    drop(stream);
}

// ---- a line feed when it serves ---------------------------------------------------------------

#[test]
fn a_descriptor_gets_one_line_feed_when_it_serves() {
    let (root, place) = (Root::new(), Place::new());
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = at_socket(&root, &place);
    set(&mut command, &["service.ready_fd=3"]);
    let mut command = after("exec 3>&1 >/dev/null", &command);
    command.stdout(OwnedFd::from(theirs)).stderr(Stdio::null());
    let server = Ours::start(command);
    let mut heard = [0];
    ours.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"\n");
    assert!(page_at(&place.path("socket")).contains("good day"));
    // And nothing else: it is closed.
    assert_eq!(ours.read(&mut heard).unwrap(), 0);
    server.stop();

    // A standard stream is told, and stays.
    let mut command = at_port(&root);
    set(&mut command, &["service.ready_fd=1", "log.access=common"]);
    command.stdout(File::create(place.path("out")).unwrap());
    let server = Server::run(command);
    server.serves_a_good_client();
    drop(server.stop());
    let text = place.text("out").unwrap();
    assert!(text.starts_with("\n127.0.0.1 "), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn a_descriptor_that_nobody_reads_or_has_is_no_riddle() {
    let (root, place) = (Root::new(), Place::new());
    let cure = "let it be the number in the file notification-fd of s6, or 0";
    let mut command = at_socket(&root, &place);
    set(&mut command, &["service.ready_fd=7"]);
    let command = after("exec 7>&-", &command);
    let what = "descriptor 7 is not open: Bad file descriptor";
    refused(command, 78, "service.ready_fd", what, cure);
    assert!(!place.path("socket").exists());
    let pair = "service.ready_fd=1024";
    let what = "1024 is outside 0 to 1023";
    let place = format!("--set {pair}");
    refused(adieu(&["--set", pair]), 2, &place, what, "a value in that");
    // One whose reader is gone: it serves, and says so.
    let mut command = at_port(&root);
    set(&mut command, &["service.ready_fd=3"]);
    let command = after("exec 3>/dev/full", &command);
    let server = Server::run(command);
    server.says("adieu: warning: service.ready_fd: nobody was told: No space left");
    server.serves_a_good_client();
    drop(server.stop());
}

// ---- how many files may be open ---------------------------------------------------------------

/// The soft and the hard limit of open files.
fn limits_of(server: &Server) -> [u64; 2] {
    let words = told(server.pid(), "limits", "Max open files");
    [0, 1].map(|n| words[n].parse().unwrap())
}

/// The same command with these limits.
fn limited(soft: u64, hard: u64, command: &Command) -> Command {
    after(&format!("ulimit -Sn {soft}; ulimit -Hn {hard}"), command)
}

#[test]
fn too_few_files_are_refused_with_the_arithmetic() {
    const NAME: &str = "too_few_files_are_refused_with_the_arithmetic";
    let place = Place::new();
    let site = place.site("www", "good day");
    let command = Server::command("127.0.0.1:0", &site, &["memory.connections=128"]);
    // Root would raise the hard limit, too.
    let tight = |hard: u64| as_other(&limited(hard, hard, &command));
    let Some(first) = tight(64) else {
        skip(NAME, "the binary is root's own");
        return;
    };
    let cure = "raise the hard limit of open files (ulimit -Hn), or lower memory.connections";
    let what = "128 connections need ";
    let place = "memory.connections";
    let line = refused(first, 78, place, what, cure);
    let numbers: Vec<u64> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap())
        .collect();
    let [connections, need, own, limit] = numbers[..] else {
        panic!("other numbers than expected: {line}");
    };
    assert_eq!((connections, limit), (128, 64));
    assert_eq!(2 * connections + own, need, "{line}");
    // The sum is right to the last one.
    let line = refused(tight(need - 1).unwrap(), 78, place, what, cure);
    assert!(
        line.contains(&format!("the limit is {};", need - 1)),
        "{line}"
    );
    let server = Server::run(tight(need).unwrap());
    server.serves_a_good_client();
    drop(server.stop());
}

#[test]
fn a_low_soft_limit_is_raised_as_far_as_needed() {
    let root = Root::new();
    let keys = ["memory.connections=64", "limits.connections_per_address=64"];
    let command = Server::command("127.0.0.1:0", root.path(), &keys);
    let server = Server::run(limited(32, 1000, &command));
    let [soft, hard] = limits_of(&server);
    assert!((128..300).contains(&soft) && hard == 1000, "{soft} {hard}");
    // All of them at once, which the old limit had no room for.
    let mut open: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    for stream in &mut open {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(stream, false).status, 200);
    }
    drop(open);
    drop(server.stop());
    // One that is high enough is left alone.
    let server = Server::run(limited(500, 1000, &command));
    assert_eq!(limits_of(&server), [500, 1000]);
    drop(server.stop());
    // Above the hard limit goes who may (CAP_SYS_RESOURCE), which root need not.
    let rights = &told(std::process::id(), "status", "CapEff:")[0];
    let command = limited(32, 32, &command);
    if u64::from_str_radix(rights, 16).unwrap() & (1 << 24) == 0 {
        refused(
            command,
            78,
            "memory.connections",
            "the limit is 32",
            "ulimit -Hn",
        );
        return;
    }
    let server = Server::run(command);
    assert_eq!(limits_of(&server), [soft, soft]);
    drop(server.stop());
}
