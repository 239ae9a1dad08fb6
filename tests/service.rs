//! The manners of a service: the background, the pidfile, the user that it becomes and the root
//! that it takes. The built binary, seen by who starts it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::auth::{ALICE, Users, alice, helpers_of, request};
use common::child::{NOBODY, adieu, after, as_other, is_root, page_at, refused, run, signal, told};
use common::http::read_answer;
use common::namespace::is_alone;
use common::place::{Place, permit};
use common::server::Server;
use common::supervisor::Supervisor;
use common::{PATIENCE, eventually, skip};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command for a server at `socket` in this place, with its site there and these keys.
fn at_socket(place: &Place, keys: &[&str]) -> Command {
    place.site("www", "good day");
    let mut command = adieu(&["-p", &format!("unix:{}", place.shown("socket")), "-d"]);
    command.arg(place.path("www"));
    set(&mut command, keys);
    command
}

fn set(command: &mut Command, keys: &[&str]) {
    for key in keys {
        command.args(["--set", key]);
    }
}

/// The command for a server at a port of the system's choice, with its site in this place.
fn at_port(place: &Place, keys: &[&str]) -> Command {
    let root = place.site("www", "good day");
    Server::command("127.0.0.1:0", &root, keys)
}

/// A page of a server at a port.
fn page(server: &Server, target: &str) -> (u16, String) {
    let mut stream = server.connect();
    let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let answer = read_answer(&mut stream, false);
    (answer.status, String::from_utf8(answer.body).unwrap())
}

fn pidfile_key(place: &Place) -> String {
    format!("service.pidfile={}", place.shown("pid"))
}

/// A process is gone, or waits for nobody but its parent.
fn is_gone(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with('Z'))
}

// ---- the background ---------------------------------------------------------------------------

/// Whoever has its number in this pidfile does not outlive the test.
struct Background(PathBuf);

impl Background {
    fn of(place: &Place) -> Self {
        Self(place.path("pid"))
    }

    fn pid(&self) -> Option<u32> {
        fs::read_to_string(&self.0).ok()?.trim().parse().ok()
    }

    /// Stops it in peace: its pidfile is gone with it.
    fn stop(&self) {
        let pid = self.pid().expect("a pidfile");
        signal(pid, "TERM");
        eventually("it ends", || is_gone(pid));
        assert!(!self.0.exists());
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let Some(pid) = self.pid() else { return };
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name == "adieu\n" {
            signal(pid, "KILL");
        }
    }
}

/// Adds `-b`, a pidfile and a log that is a file.
fn into_background(place: &Place, mut command: Command) -> Command {
    let log = format!("log.target=file:{}", place.shown("log"));
    set(&mut command, &[&pidfile_key(place), &log]);
    command.arg("-b");
    command
}

#[test]
fn the_background_returns_when_it_serves_and_leaves_its_caller() {
    let place = Place::new();
    let (background, supervisor) = (Background::of(&place), Supervisor::at_path(&place));
    let mut command = into_background(&place, at_socket(&place, &[]));
    command.env("NOTIFY_SOCKET", &supervisor.address);
    command.env("WATCHDOG_USEC", "20000");
    // A supervisor knows the process that it has started, and no other.
    let run = run(after("export WATCHDOG_PID=$$", &command));
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "", ""));
    // It serves, and has said so before it returned.
    assert_eq!(page_at(&place.path("socket")), "good day");
    let pid = background.pid().expect("a pidfile");
    let heard = supervisor.heard();
    assert_eq!(heard[0], format!("READY=1\nMAINPID={pid}"));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let (group, session, terminal) = (words[2], words[3], words[4]);
    let own = pid.to_string();
    assert_eq!(
        (group, session, terminal),
        (own.as_str(), own.as_str(), "0")
    );
    for fd in 0..3 {
        let open = fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
        assert_eq!(open, Path::new("/dev/null"), "{fd}");
    }
    // Relative paths mean what they meant.
    let directory = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert_eq!(directory, std::env::current_dir().unwrap());
    eventually("a log", || {
        let text = place.text("log").unwrap_or_default();
        text.contains("serving ")
    });
    assert_eq!(supervisor.hears(), "WATCHDOG=1");
    background.stop();
    let text = place.text("log").unwrap();
    assert!(text.contains("stopped: accepted=1 "), "{text}");
}

#[test]
fn in_the_background_each_server_has_its_helper_and_that_ends_with_it() {
    let (place, users) = (Place::new(), Users::new(ALICE));
    let background = Background::of(&place);
    let control = format!("service.control={}", place.shown("control"));
    let rule = users.guard("/ *", "Realm");
    let start = || {
        let command = at_socket(&place, &[&control, &rule]);
        let run = run(into_background(&place, command));
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        let pid = background.pid().expect("a pidfile");
        // It may be on its way still.
        let mut helpers = vec![];
        eventually("one helper", || {
            helpers = helpers_of(pid);
            helpers.len() == 1
        });
        (pid, helpers[0])
    };
    let is_let_in = || {
        let mut stream = UnixStream::connect(place.path("socket")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = request("GET", "/", &alice());
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream, false).status, 200);
    };
    let (first, helper) = start();
    is_let_in();
    let (second, further) = start();
    assert!(first != second && helper != further);
    is_let_in();
    eventually("the first has ended", || is_gone(first));
    eventually("its helper has ended", || is_gone(helper));
    assert!(!is_gone(further));
    background.stop();
    eventually("the other helper has ended", || is_gone(further));
}

#[test]
fn a_background_that_does_not_come_says_why_to_its_caller() {
    let place = Place::new();
    let _background = Background::of(&place);
    let living = UnixListener::bind(place.path("socket")).unwrap();
    let listen = format!("unix:{}", place.shown("socket"));
    let command = into_background(&place, at_socket(&place, &[]));
    let cure = "another server listens there, or it is no socket: choose another path";
    refused(command, 1, &listen, "cannot listen: Address", cure);
    drop(living);
    // A child that another test has just forked may hold it until it execs.
    let path = place.path("socket");
    eventually("nobody listens", || UnixStream::connect(&path).is_err());
    // What comes after the sockets, too, and what is known before there is any background.
    let missing = ["site.root=/nowhere/at/all"];
    let command = into_background(&place, at_socket(&place, &missing));
    let what = "cannot serve /nowhere/at/all: No such file";
    refused(command, 1, "site.root", what, "name a directory");
    let wrong = ["linger.idle_ms=31s"];
    let command = into_background(&place, at_socket(&place, &wrong));
    let what = "must not exceed linger.total_ms";
    refused(command, 78, "linger.idle_ms", what, "lower");
    let command = into_background(&place, at_socket(&place, &["log.level=loud"]));
    let what = "log.level: there is no choice \"loud\"";
    refused(command, 2, "--set log.level=loud", what, "write one of off");
    // The supervisor's numbers are of no use to the caller either.
    let command = into_background(&place, at_socket(&place, &["service.ready_fd=1023"]));
    let what = "descriptor 1023 is not open";
    refused(command, 78, "service.ready_fd", what, "notification-fd");
    assert!(!place.path("pid").exists());
}

#[test]
fn a_background_survives_closed_streams_of_its_caller() {
    let place = Place::new();
    let background = Background::of(&place);
    let command = into_background(&place, at_socket(&place, &[]));
    let run = run(after("exec <&- >&- 2>&-", &command));
    assert_eq!(run.code, 0);
    assert_eq!(page_at(&place.path("socket")), "good day");
    background.stop();
}

#[test]
fn in_the_background_logs_go_to_syslog_unless_told_otherwise() {
    let targets = |arguments: &[&str]| {
        let run = run(adieu(&[&["-t"], arguments].concat()));
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        ["log.target", "log.access_target"].map(|key| {
            let start = format!("  {key} = ");
            let line = run.out.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap().split_whitespace().next().unwrap().to_owned()
        })
    };
    assert_eq!(targets(&["-b"]), ["syslog", "syslog"]);
    assert_eq!(targets(&["-f", "-b"]), ["syslog", "syslog"]);
    for foreground in [&[][..], &["-f"], &["-b", "-f"]] {
        assert_eq!(targets(foreground), ["stderr", "stdout"]);
    }
    let told = ["--set", "log.target=stderr", "-b"];
    assert_eq!(targets(&told), ["stderr", "syslog"]);

    let place = Place::new();
    let background = Background::of(&place);
    let daemon = UnixDatagram::bind(place.path("dev-log")).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    let syslog = format!("log.target=syslog:{}", place.shown("dev-log"));
    let mut command = into_background(&place, at_socket(&place, &[]));
    set(&mut command, &[&syslog]);
    assert_eq!(run(command).code, 0);
    let mut room = [0; 500];
    let count = daemon.recv(&mut room).unwrap();
    let said = String::from_utf8_lossy(&room[..count]);
    assert!(said.starts_with("<30>adieu: serving "), "{said}");
    background.stop();
}

#[test]
fn of_background_and_foreground_the_last_one_wins() {
    let place = Place::new();
    let background = Background::of(&place);
    let mut command = at_port(&place, &[&pidfile_key(&place)]);
    command.args(["-b", "-f"]);
    let server = Server::run(command);
    assert_eq!(background.pid(), Some(server.pid()));
    server.serves_a_good_client();
    drop(server.stop());
    let mut command = at_socket(&place, &[]);
    command.arg("-f");
    let run = run(into_background(&place, command));
    assert_eq!(run.code, 0, "{run:?}");
    background.stop();
}

// ---- the pidfile ------------------------------------------------------------------------------

#[test]
fn the_pidfile_has_the_number_of_who_serves() {
    let place = Place::new();
    let start = || Server::run(at_port(&place, &[&pidfile_key(&place)]));
    let number = |server: &Server| Some(format!("{}\n", server.pid()));
    let server = start();
    assert_eq!(place.text("pid"), number(&server));
    let mode = fs::metadata(place.path("pid")).unwrap().mode();
    assert_eq!(mode & 0o777 & !0o644, 0);
    drop(server.stop());
    assert_eq!(place.text("pid"), None);

    let server = start();
    let left = number(&server);
    server.signal("KILL");
    drop(server.wait());
    assert_eq!(place.text("pid"), left);
    let server = start();
    assert_eq!(place.text("pid"), number(&server));
    // One that does not start changes nothing, nor one that ends.
    let address = server.address.unwrap().to_string();
    let mut command = adieu(&["-p", &address, "-d", &place.shown("www")]);
    set(&mut command, &[&pidfile_key(&place)]);
    refused(command, 1, &address, "cannot listen: Address", "stop the");
    assert_eq!(place.text("pid"), number(&server));
    fs::write(place.path("pid"), "4711\n").unwrap();
    drop(server.stop());
    assert_eq!(place.text("pid").unwrap(), "4711\n");
}

#[test]
fn a_pidfile_that_is_no_file_is_refused() {
    let place = Place::new();
    place.file("victim", b"what somebody wrote");
    place.directory("directory");
    symlink(place.path("victim"), place.path("link")).unwrap();
    let made = Command::new("mkfifo").arg(place.path("fifo")).status();
    assert!(made.expect("mkfifo(1)").success());
    let cure = "such as /run/adieu.pid";
    for (name, code, why) in [
        // By its number: musl has other words for it.
        ("link", 1, "(os error 40)"),
        ("directory", 1, "Is a directory"),
        ("missing/pid", 1, "No such file or directory"),
        ("fifo", 78, "it is no regular file"),
    ] {
        let path = place.shown(name);
        let key = format!("service.pidfile={path}");
        let what = format!("cannot write {path}: ");
        let command = at_socket(&place, &[&key]);
        let line = refused(command, code, "service.pidfile", &what, cure);
        assert!(line.contains(why), "{line}");
    }
    assert_eq!(place.text("victim").unwrap(), "what somebody wrote");
    let what = "\"adieu.pid\" is no path from / on";
    let command = at_socket(&place, &["service.pidfile=adieu.pid"]);
    refused(
        command,
        78,
        "service.pidfile",
        what,
        "write one, such as /run",
    );
}

// ---- the user ---------------------------------------------------------------------------------

/// Real, effective, saved and file-system ids, and the groups.
fn ids(server: &Server) -> [Vec<String>; 3] {
    ["Uid:", "Gid:", "Groups:"].map(|name| told(server.pid(), "status", name))
}

fn four(id: u32) -> Vec<String> {
    vec![id.to_string(); 4]
}

/// Two numbers of a user in /etc/passwd, by its name.
fn numbers_of(user: &str) -> Option<(u32, u32)> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = text.lines().map(|line| line.split(':').collect());
    let fields: Vec<&str> = lines.find(|fields: &Vec<&str>| fields[0] == user)?;
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

#[test]
fn root_becomes_the_user_in_every_respect() {
    const NAME: &str = "root_becomes_the_user_in_every_respect";
    if !is_root() {
        skip(NAME, "becoming another user needs root");
        return;
    }
    let place = Place::new();
    let mut wanted = vec![
        ("54321:54322", (54_321, 54_322)),
        ("54321:root", (54_321, 0)),
    ];
    match numbers_of("nobody") {
        Some(nobody) => wanted.extend([("nobody", nobody), ("nobody:7", (nobody.0, 7))]),
        None => skip(NAME, "there is no nobody"),
    }
    for (user, (uid, gid)) in wanted {
        for flag in ["-u", "--set"] {
            let mut command = at_port(&place, &[]);
            match flag {
                "-u" => command.args([flag, user]),
                _ => command.args([flag, &format!("service.user={user}")]),
            };
            // Whoever starts it may be in groups that open more than it should.
            let server = Server::run(command);
            assert_eq!(ids(&server), [four(uid), four(gid), vec![]], "{user}");
            let rights = told(server.pid(), "status", "CapEff:");
            assert_eq!(rights, ["0000000000000000"], "{user}");
            server.serves_a_good_client();
            drop(server.stop());
        }
    }
    // Without it, it stays who it is.
    let server = Server::run(at_port(&place, &[]));
    assert_eq!(ids(&server)[0], four(0));
    drop(server.stop());
}

#[test]
fn a_user_that_is_unknown_or_out_of_reach_is_named() {
    const NAME: &str = "a_user_that_is_unknown_or_out_of_reach_is_named";
    let place = Place::new();
    let becoming = |user: &str| {
        let mut command = at_port(&place, &[]);
        command.args(["-u", user]);
        command
    };
    let cure = "name one of /etc/passwd and /etc/group, or give numbers: 65534:65534";
    for (user, what) in [
        ("nobody-at-all", "there is no user nobody-at-all"),
        ("root:nobody-at-all", "there is no group nobody-at-all"),
        ("4000000", "user 4000000 is unknown, and so is its group"),
    ] {
        refused(becoming(user), 78, "service.user", what, cure);
    }
    let what = "\"www:\" names no user";
    refused(becoming("www:"), 78, "service.user", what, "www:www");
    // Who is not root becomes nobody else, and stays itself.
    let Some(command) = as_other(&becoming("54321:54322")) else {
        skip(NAME, "the binary is root's own");
        return;
    };
    let what = "cannot become user 54321, group 54322: ";
    let cure = "start adieu as root, or as that user";
    refused(command, 78, "service.user", what, cure);
    if !is_root() {
        return;
    }
    let own = format!("{NOBODY}:{NOBODY}");
    let server = Server::run(as_other(&becoming(&own)).unwrap());
    assert_eq!(ids(&server)[..2], [four(NOBODY), four(NOBODY)]);
    server.serves_a_good_client();
    drop(server.stop());
}

#[test]
fn the_port_is_bound_before_and_the_rest_is_opened_after() {
    const NAME: &str = "the_port_is_bound_before_and_the_rest_is_opened_after";
    if !is_root() {
        skip(NAME, "becoming another user needs root");
        return;
    }
    if !is_alone(NAME) {
        return;
    }
    let place = Place::new();
    let root = place.site("www", "good day");
    let mut command = adieu(&["-p", "127.0.0.1:80", "-u", "54321:54321", "-d"]);
    let server = Server::run({
        command.arg(&root);
        command
    });
    assert_eq!(server.port(), 80);
    server.serves_a_good_client();
    drop(server.stop());
    // That user would not have had it.
    let command = adieu(&["-p", "127.0.0.1:80", "-d", &place.shown("www")]);
    if let Some(command) = as_other(&command) {
        let what = "cannot listen: Permission denied";
        let cure = "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with -p";
        refused(command, 78, "127.0.0.1:80", what, cure);
    }

    // What only root may enter or write is refused, and what is written is the user's.
    let becoming = |keys: &[&str]| {
        let mut command = at_port(&place, keys);
        command.args(["-u", "54321:54321"]);
        command
    };
    place.site("closed", "not for everybody");
    permit(&place.path("closed"), 0o700);
    let key = format!("site.root={}", place.shown("closed"));
    let what = format!("cannot serve {}: Permission denied", place.shown("closed"));
    let cure = "name a directory that the server's user can enter";
    refused(becoming(&[&key]), 1, "site.root", &what, cure);
    let log = |name: &str| format!("file:{}", place.shown(name));
    let key = format!("log.target={}", log("denied"));
    let what = format!("cannot open {}: Permission denied", log("denied"));
    let cure = "name a place that the server's user may write to";
    refused(becoming(&[&key]), 1, "log.target", &what, cure);
    place.directory("logs");
    place.give("logs", 54_321);
    let key = format!("log.access_target={}", log("logs/access"));
    let server = Server::run(becoming(&["log.access=common", &key]));
    server.serves_a_good_client();
    drop(server.stop());
    assert!(place.text("logs/access").unwrap().contains(" 200 "));
    let written = fs::metadata(place.path("logs/access")).unwrap();
    assert_eq!((written.uid(), written.gid()), (54_321, 54_321));
}

#[test]
fn a_pidfile_that_the_user_may_not_remove_is_emptied() {
    const NAME: &str = "a_pidfile_that_the_user_may_not_remove_is_emptied";
    if !is_root() {
        skip(NAME, "becoming another user needs root");
        return;
    }
    let place = Place::new();
    place.directory("run");
    for (owner, left) in [(0, Some("")), (54_321, None)] {
        place.give("run", owner);
        let key = format!("service.pidfile={}", place.shown("run/pid"));
        let mut command = at_port(&place, &[&key]);
        command.args(["-u", "54321:54321"]);
        let server = Server::run(command);
        assert_eq!(place.text("run/pid"), Some(format!("{}\n", server.pid())));
        drop(server.stop());
        assert_eq!(place.text("run/pid").as_deref(), left);
    }
}

// ---- another root -----------------------------------------------------------------------------

/// A place with a directory to become /, and the command that does so.
fn caged(place: &Place, keys: &[&str]) -> Command {
    place.site("cage/www", "beneath");
    place.site("cage/other", "another");
    place.site("www", "outside");
    let mut command = Server::command("127.0.0.1:0", Path::new("/www"), keys);
    let chroot = format!("service.chroot={}", place.shown("cage"));
    set(&mut command, &[&chroot, "service.user=54321:54321"]);
    command
}

#[test]
fn beneath_another_root_all_paths_lie_beneath_it() {
    const NAME: &str = "beneath_another_root_all_paths_lie_beneath_it";
    if !is_root() {
        skip(NAME, "another root needs root");
        return;
    }
    let place = Place::new();
    place.directory("cage/log");
    place.give("cage/log", 54_321);
    place.site("cage/www", "");
    symlink(place.path("www/index.html"), place.path("cage/www/out")).unwrap();
    symlink("/other/index.html", place.path("cage/www/in")).unwrap();
    let keys = [
        "site.symlinks=follow",
        "log.access=common",
        "log.access_target=file:/log/access",
    ];
    let server = Server::run(caged(&place, &keys));
    let root = fs::read_link(server.proc("root")).unwrap();
    let directory = fs::read_link(server.proc("cwd")).unwrap();
    let cage = fs::canonicalize(place.path("cage")).unwrap();
    assert_eq!((&root, &directory), (&cage, &cage));
    assert_eq!(ids(&server), [four(54_321), four(54_321), vec![]]);
    assert_eq!(page(&server, "/"), (200, "beneath".to_owned()));
    // From its / on, and no way out.
    assert_eq!(page(&server, "/in"), (200, "another".to_owned()));
    assert_eq!(page(&server, "/out").0, 404);
    drop(server.stop());
    assert_eq!(place.text("cage/log/access").unwrap().lines().count(), 3);
}

#[test]
fn a_test_of_the_configuration_knows_what_lies_beneath_another_root() {
    let place = Place::new();
    place.site("cage/www", "");
    let test = |root: &str| {
        let mut command = caged(&place, &[]);
        command.args(["-t", "-d", root]);
        command
    };
    let found = run(test("/www"));
    assert_eq!(found.code, 0, "{found:?}");
    // It is there outside, and not beneath.
    let outside = place.shown("www");
    let what = format!("cannot serve {}{outside}", place.shown("cage"));
    refused(test(&outside), 1, "site.root", &what, "name a directory");
}

#[test]
fn a_root_that_cannot_be_is_named() {
    const NAME: &str = "a_root_that_cannot_be_is_named";
    let place = Place::new();
    let cure = "name a directory that is there";
    if is_root() {
        for (path, why) in [
            ("missing".to_owned(), "No such file or directory"),
            ("www/index.html".to_owned(), "Not a directory"),
        ] {
            let mut command = caged(&place, &[]);
            let path = place.shown(&path);
            set(&mut command, &[&format!("service.chroot={path}")]);
            let what = format!("cannot take {path} for /: {why}");
            refused(command, 1, "service.chroot", &what, cure);
        }
        // What is there, but not beneath it.
        let key = format!("site.root={}", place.shown("www"));
        let what = format!("cannot serve {}: No such file", place.shown("www"));
        let command = caged(&place, &[&key]);
        refused(command, 1, "site.root", &what, "name a directory");
        // Root is no prisoner.
        let mut command = caged(&place, &[]);
        set(&mut command, &["service.user=0:0"]);
        let what = "root walks out of a chroot";
        refused(command, 78, "service.chroot", what, "name another user");
    } else {
        skip(NAME, "another root needs root");
    }
    match as_other(&caged(&place, &[])) {
        Some(command) => {
            let what = format!("cannot take {} for /: Operation not", place.shown("cage"));
            refused(command, 78, "service.chroot", &what, "start adieu as root");
        }
        None => skip(NAME, "the binary is root's own"),
    }
    let command = at_socket(&place, &["service.chroot=/srv"]);
    let what = "the server stays the user it is, and root walks out of a chroot";
    let cure = "name a user in service.user";
    refused(command, 78, "service.chroot", what, cure);
}

#[test]
fn a_reload_beneath_another_root_finds_the_file_there_or_changes_nothing() {
    const NAME: &str = "a_reload_beneath_another_root_finds_the_file_there_or_changes_nothing";
    if !is_root() {
        skip(NAME, "another root needs root");
        return;
    }
    let place = Place::new();
    let _ = caged(&place, &[]);
    let text = |root: &str| {
        let service = "[service]\nuser = \"54321:54321\"";
        let cage = place.shown("cage");
        format!("{service}\nchroot = \"{cage}\"\n[site]\nroot = \"{root}\"\n")
    };
    // The same name before and after: relative to the cage, which is / and the working directory.
    place.file("cage/adieu.toml", text("/www").as_bytes());
    let mut command = adieu(&["-p", "127.0.0.1:0", "-c", "adieu.toml"]);
    command.current_dir(place.path("cage"));
    let server = Server::run(command);
    assert_eq!(page(&server, "/").1, "beneath");
    place.file("cage/adieu.toml", text("/other").as_bytes());
    server.signal("HUP");
    server.says("adieu: reloaded: site.root");
    assert_eq!(page(&server, "/").1, "another");
    // What the user may not read is not read.
    permit(&place.path("cage/adieu.toml"), 0o600);
    server.signal("HUP");
    let refused = "adieu: error: not reloaded, the old configuration goes on: ";
    let said = server.line(1, |line| line.starts_with(refused));
    assert!(said.contains("Permission denied"), "{said}");
    assert_eq!(page(&server, "/").1, "another");
    let stopped = server.stop();
    let counted = ["reloads", "refused-reloads"].map(|name| stopped.counter(name));
    assert_eq!(counted, [1, 1], "{stopped:?}");

    // A name that leads nowhere from there.
    place.file("adieu.toml", text("/www").as_bytes());
    let command = adieu(&["-p", "127.0.0.1:0", "-c", &place.shown("adieu.toml")]);
    let server = Server::run(command);
    place.file("adieu.toml", text("/other").as_bytes());
    server.signal("HUP");
    let said = server.line(1, |line| line.starts_with(refused));
    assert!(said.contains("No such file or directory"), "{said}");
    assert_eq!(page(&server, "/").1, "beneath");
    drop(server.stop());
}
