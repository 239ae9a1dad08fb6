//! Starting, or saying in one line why not: exit codes, what the flags print, and a standard error
//! that takes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::config::file;
use adieu::config::keys::KEYS;
use adieu::connection::state::Teardown;
use adieu::reactor::teardown::{self, BUILT};
use common::child::{self, Ours, Run};
use common::http::only;
use common::root::Root;
use common::server::Server;
use common::{End, PATIENCE, eventually, hear, skip};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GET_LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Runs adieu, which must not serve, to its end.
fn run(arguments: &[&str]) -> Run {
    child::run(child::adieu(arguments))
}

fn refused(arguments: &[&str], code: i32, place: &str, what: &str, cure: &str) -> String {
    child::refused(child::adieu(arguments), code, place, what, cure)
}

/// The same for one `--set`, whose place is the command line.
fn refused_set(pair: &str, what: &str, cure: &str) {
    refused(&["--set", pair], 2, &format!("--set {pair}"), what, cure);
}

/// A path for a socket, short enough for `sun_path`.
fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("adieu-{}-{name}", std::process::id()))
}

/// `-p`, `-d` and what stands behind them, for a server at this socket.
fn at_socket(path: &Path, root: &Root) -> Vec<String> {
    let listen = format!("unix:{}", path.display());
    let root = root.path().display().to_string();
    ["-p", &listen, "-d", &root].map(str::to_owned).to_vec()
}

/// Waits until somebody listens there.
fn comes_up(path: &Path) {
    eventually("a server at the socket", || {
        UnixStream::connect(path).is_ok()
    });
}

/// One request on a connection of its own, which is served and ends in peace.
fn served_at(path: &Path) {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(GET_LAST).unwrap();
    let heard = hear(&mut stream);
    assert_eq!((only(&heard.bytes).status, heard.end), (200, End::Fin));
}

// ---- it does not start ------------------------------------------------------------------------

#[test]
fn keys_that_tune_what_this_build_lacks_are_named_and_refuse_nothing() {
    let told = [
        ("auth.failures", "6", adieu::helper::BUILT, "auth"),
        ("upload.at_once", "3", adieu::site::upload::BUILT, "upload"),
        ("script.cpu_s", "7", adieu::script::BUILT, "cgi"),
        (
            "status.allow",
            "all",
            adieu::config::status::BUILT,
            "status",
        ),
        (
            "log.access_bytes",
            "5KiB",
            adieu::report::access::BUILT,
            "access-log",
        ),
        (
            "service.sandbox_read",
            "/",
            adieu::sandbox::BUILT,
            "sandbox",
        ),
    ];
    let keys: Vec<String> = told
        .iter()
        .map(|(key, value, ..)| format!("{key}={value}"))
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let missing = told.iter().filter(|(_, _, built, _)| !built);
    let lines: Vec<String> = missing
        .map(|(key, _, _, feature)| {
            let what = format!("without effect, for this build lacks the feature {feature}");
            format!("adieu: warning: {key}: {what}")
        })
        .collect();
    let root = Root::new();
    let server = Server::start(root.path(), &keys);
    let such = |line: &str| line.contains("without effect");
    let is_told = |times: usize| {
        let each = |line: &String| server.said(|said| said == line) == times;
        lines.iter().all(each) && server.said(such) == times * lines.len()
    };
    eventually("they are named", || is_told(1));
    server.signal("HUP");
    server.says("adieu: reloaded: ");
    eventually("and again", || is_told(2));
    server.stop();
    let mut arguments = vec!["-t"];
    arguments.extend(keys.iter().flat_map(|key| ["--set", key]));
    let run = run(&arguments);
    assert_eq!(run.code, 0, "{run:?}");
    let named: Vec<&str> = run.err.lines().collect();
    assert_eq!(named, lines);
}

#[test]
fn a_root_that_cannot_be_served_is_named() {
    let root = Root::new();
    let path = |name: &str| root.path().join(name).display().to_string();
    let cure = "name a directory";
    let missing = path("none");
    let what = format!("cannot serve {missing}: No such file");
    refused(
        &["-p", "127.0.0.1:0", "-d", &missing],
        1,
        "site.root",
        &what,
        cure,
    );
    let file = path("index.html");
    let what = format!("cannot serve {file}: Not a directory");
    refused(
        &["-p", "127.0.0.1:0", "-d", &file],
        1,
        "site.root",
        &what,
        cure,
    );
    refused(&["-d", ""], 2, "-d", "the path is empty", cure);
}

#[test]
fn a_root_that_may_not_be_entered_is_named() {
    let root = Root::new();
    let closed = root.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let permit = |mode| fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    permit(0o000);
    if fs::read_dir(&closed).is_ok() {
        skip(
            "a_root_that_may_not_be_entered_is_named",
            "this user may do everything",
        );
        return;
    }
    let shown = closed.display().to_string();
    let what = format!("cannot serve {shown}: Permission denied");
    let arguments = ["-p", "127.0.0.1:0", "-d", &shown];
    refused(&arguments, 1, "site.root", &what, "name a directory");
    // So that it can be removed.
    permit(0o755);
}

#[test]
fn an_address_in_use_is_named() {
    let root = Root::new();
    let shown = root.path().display().to_string();
    let server = Server::start(root.path(), &[]);
    let address = server.address.unwrap().to_string();
    let cure = "stop the server that holds it";
    let arguments = ["-p", &address, "-d", &shown];
    refused(&arguments, 1, &address, "cannot listen: Address", cure);
    server.stop();

    let path = socket_path("in-use");
    let listen = format!("unix:{}", path.display());
    let server = Server::on(&listen, root.path(), &[]);
    let arguments = ["-p", &listen, "-d", &shown];
    let cure = "choose another path";
    refused(&arguments, 1, &listen, "cannot listen: Address", cure);
    served_at(&path);
    server.comes_home();
    // The other one that wanted it did not even knock.
    assert_eq!(server.stop().counter("accepted"), 1);
    let _ = fs::remove_file(path);
}

#[test]
fn wrong_keys_and_values_are_refused_with_their_cure() {
    for (pair, what, cure) in [
        (
            "lingr.bytes=1",
            "no key lingr.bytes",
            "did you mean linger.bytes?",
        ),
        (
            "memory.conections=5",
            "no key memory.conections",
            "mean memory.connections?",
        ),
        (
            "log.level=loud",
            "no choice \"loud\"",
            "one of off, error, warn, info, debug",
        ),
        (
            "keepalive.enabled=maybe",
            "keepalive.enabled: ",
            "on or off",
        ),
        (
            "memory.connections=many",
            "memory.connections: ",
            "a whole number such as 16",
        ),
        (
            "linger.idle_ms=2 days",
            "linger.idle_ms: ",
            "a whole number such as 500",
        ),
        (
            "memory.connections=0",
            "0 is outside 1 to 65000",
            "a value in that range",
        ),
        (
            "memory.buffer_bytes=1MiB",
            "is outside 2KiB to 65535",
            "a value in that range",
        ),
        (
            "linger.kernel_fin_wait_s=61",
            "61 is outside 1 to 60 s",
            "above 60 the kernel waits about twice the excess instead",
        ),
        (
            "linger.idle_ms",
            "there is no = in it",
            "write --set KEY=VALUE",
        ),
    ] {
        refused_set(pair, what, cure);
    }
}

#[test]
fn wrong_flags_are_refused_with_their_cure() {
    let numeric = "write 8080, 127.0.0.1:8080, [::]:8080 or unix:";
    for listen in ["localhost:80", "127.0.0.1", "1.2.3:80"] {
        let place = format!("-p {listen}");
        refused(
            &["-p", listen],
            2,
            &place,
            "no numeric address with a port",
            numeric,
        );
    }
    let what = "\"80000\" is no port: they end at 65535";
    refused(&["-p", "80000"], 2, "-p 80000", what, numeric);
    let lists = "adieu --help lists the flags";
    refused(&["-x"], 2, "-x", "there is no such flag", lists);
    refused(
        &["--lisen", "80"],
        2,
        "--lisen",
        "there is no such flag",
        lists,
    );
    refused(
        &["-p"],
        2,
        "-p",
        "its value is missing",
        "write -p [ADDR:]PORT",
    );
    refused(
        &["/srv/www"],
        2,
        "/srv/www",
        "takes flags only",
        "write -d DIR",
    );
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (pair, place, what) in [
        (
            "linger.idle_ms=31s",
            "linger.idle_ms",
            "must not exceed linger.total_ms",
        ),
        (
            "limits.target_bytes=8000",
            "limits.target_bytes",
            "must not exceed memory.buffer_bytes",
        ),
        (
            "memory.buffers=129",
            "memory.buffers",
            "129 buffers for 128 connections",
        ),
    ] {
        // With -t and without: nothing is opened before this is known.
        refused(&["-t", "--set", pair], 78, place, what, "lower");
        refused(&["--set", pair], 78, place, what, "lower");
    }
    let twice = ["-p", "127.0.0.1:81", "-p", "127.0.0.1:81"];
    let once = "name each address once";
    refused(
        &twice,
        78,
        "listen.address",
        "127.0.0.1:81 is given twice",
        once,
    );
}

#[test]
fn a_total_that_is_too_small_is_refused_with_the_arithmetic() {
    let line = refused(
        &["--set", "memory.total=1MiB"],
        78,
        "memory.total",
        "1048576 bytes do not hold 1 connection",
        "the smallest total that works is ",
    );
    let numbers: Vec<u64> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap())
        .collect();
    let [total, 1, fixed, one, smallest] = numbers[..] else {
        panic!("other numbers than expected: {line}");
    };
    assert_eq!(total, 1 << 20);
    assert_eq!(fixed + one, smallest);
    assert_eq!(
        run(&["-t", "--set", &format!("memory.total={smallest}")]).code,
        0
    );
    assert_eq!(
        run(&["-t", "--set", &format!("memory.total={}", smallest - 1)]).code,
        78
    );
    let asked = [
        "--set",
        "memory.total=8MiB",
        "--set",
        "memory.connections=128",
    ];
    let what = "8388608 bytes do not hold 128 connections";
    refused(
        &asked,
        78,
        "memory.total",
        what,
        "the smallest total that works is ",
    );
}

// ---- what the flags print ---------------------------------------------------------------------

/// The sum that `-t` prints, which must be the sum of its lines, each of them count times size.
fn sum_of_plan(text: &str) -> u64 {
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("memory "), "{text}");
    let mut sum = 0;
    for line in lines {
        // What it is and whose stand in the first 28 columns and may hold blanks.
        let numbers: Vec<u64> = line[28..]
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        if line.starts_with("sum ") {
            assert!(sum > 0, "{text}");
            assert_eq!(numbers, [sum]);
            return sum;
        }
        let [count, unit, total] = numbers[..] else {
            panic!("not a line of the plan: {line}");
        };
        assert_eq!(count * unit, total, "{line}");
        sum += total;
    }
    panic!("no sum: {text}");
}

#[test]
fn the_plan_is_the_sum_of_its_lines_and_keeps_the_total() {
    for (pairs, most) in [
        (&[][..], u64::MAX),
        (
            &["memory.connections=1000", "memory.buffers=77"][..],
            u64::MAX,
        ),
        (&["memory.total=8MiB"][..], 8 << 20),
        (
            &["memory.total=64MiB", "listen.address=1,2,unix:/x"][..],
            64 << 20,
        ),
    ] {
        let mut arguments = vec!["-t"];
        for pair in pairs {
            arguments.extend(["--set", pair]);
        }
        let run = run(&arguments);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
        let sum = sum_of_plan(&run.out);
        assert!(sum <= most, "{sum} is above {most}");
        // A total is used, not only kept.
        assert!(most == u64::MAX || sum > most / 10 * 9, "{sum} of {most}");
        for key in KEYS {
            assert!(
                run.out.contains(&format!("\n  {} = ", key.name)),
                "{}",
                key.name
            );
        }
    }
}

#[test]
fn the_version_names_what_was_built() {
    let run = run(&["-V"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let flavour = teardown::name(BUILT);
    let start = format!("adieu {} ({flavour}; features: ", env!("CARGO_PKG_VERSION"));
    let rest = run.out.strip_prefix(&start).expect("version and flavour");
    let rest = rest.strip_suffix(")\n").expect("one line");
    let parts: Vec<&str> = rest.split("; ").collect();
    let [features, target, commit] = parts[..] else {
        panic!("{run:?}");
    };
    let has = |word: &str| features.split([' ', ',']).any(|one| one == word);
    assert_eq!(has(flavour), BUILT != Teardown::Linger, "{features}");
    assert_eq!(has("config-file"), file::BUILT, "{features}");
    // It stands for itself alone.
    assert_eq!(has("none"), features == "none");
    assert!(!has("none") || (BUILT == Teardown::Linger && !file::BUILT));
    assert!(
        target.contains(std::env::consts::ARCH) || target.starts_with('i'),
        "{target}"
    );
    assert!(target.contains("linux"), "{target}");
    assert!(
        commit
            .strip_prefix("commit ")
            .is_some_and(|hash| !hash.is_empty())
    );
}

#[test]
fn what_this_build_does_not_have_is_refused_at_the_start() {
    let version = run(&["-V"]).out;
    for (feature, setting, key) in [
        ("listing", "site.listing=on", "site.listing"),
        ("access-log", "log.access=json", "log.access"),
        ("upload", "site.uploads=/in 1MiB", "site.uploads"),
        ("cgi", "site.scripts=/cgi-bin", "site.scripts"),
        ("status", "status.path=/-/status", "status.path"),
        ("status", "status.socket=/run/none/status", "status.socket"),
        ("auth", "site.auth=/ * /etc/adieu/users R", "site.auth"),
        ("sandbox", "service.sandbox=require", "service.sandbox"),
        ("sandbox", "script.sandbox_read=/usr", "script.sandbox_read"),
    ] {
        let built = version.split([' ', ',', ';']).any(|word| word == feature);
        let run = run(&["-t", "--set", setting]);
        if feature == "sandbox" {
            // With it the kernel decides, which this build need not ask.
            let refused = run.err.contains(&format!("adieu: error: {key}: "));
            assert!(
                built || refused && run.err.contains("this build"),
                "{run:?}"
            );
            continue;
        }
        if built {
            assert_eq!((run.code, run.err.as_str()), (0, ""), "{setting}");
            continue;
        }
        assert_eq!(run.code, 78, "{setting}: {run:?}");
        let cure = format!("build adieu with the feature {feature}, ");
        assert!(run.err.contains(&format!("{key}: this build ")), "{run:?}");
        assert!(run.err.contains(&cure), "{run:?}");
    }
}

#[test]
fn help_mentions_every_key() {
    let run = run(&["-h"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    for key in KEYS {
        assert!(
            run.out.contains(&format!("\n  {}=", key.name)),
            "{}",
            key.name
        );
    }
}

#[test]
fn a_standard_output_that_takes_nothing_is_said() {
    let root = Root::new();
    for flag in ["-h", "-V", "-t"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let err = root.path().join("err");
        let mut command = child::adieu(&[flag]);
        command.stdout(full).stderr(File::create(&err).unwrap());
        assert_eq!(Ours::start(command).ends().code(), Some(1));
        let text = fs::read_to_string(err).unwrap();
        assert!(
            text.starts_with("adieu: error: standard output: "),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
}

// ---- a standard error that takes nothing ------------------------------------------------------

/// A server with this standard error serves so many and stops in peace.
fn serves_with(name: &str, stderr: impl Into<Stdio>, requests: u32) {
    let (root, path) = (Root::new(), socket_path(name));
    let mut command = child::adieu(&["-v"]);
    command.args(at_socket(&path, &root)).stderr(stderr);
    let server = Ours::start(command);
    comes_up(&path);
    for _ in 0..requests {
        served_at(&path);
    }
    server.stop();
    let _ = fs::remove_file(path);
}

#[test]
fn a_full_disk_behind_the_log_stops_nothing() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    serves_with("full-disk", full, 10);
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let room = Root::new();
    let fifo = room.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo(1)").success());
    let mut reader = OpenOptions::new();
    let reader = reader.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let mut reader = reader.open(&fifo).unwrap();
    for bytes in [4096, 1] {
        let error = loop {
            if let Err(error) = reader.write_all(&vec![b'.'; bytes]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "the pipe is full");
    }
    // Its own open file: this one would block.
    let blocking = OpenOptions::new().write(true).open(&fifo).unwrap();
    serves_with("full-pipe", blocking, 1000);
    // It was full from the first line to the last.
    let mut bytes = Vec::new();
    let _ = reader.read_to_end(&mut bytes);
    assert!(bytes.iter().all(|byte| *byte == b'.'));
}

#[test]
fn a_log_whose_reader_is_gone_stops_nothing() {
    let mut command = Command::new("true");
    command.stdin(Stdio::piped());
    let mut dead = Ours::start(command);
    let pipe = dead.0.stdin.take().unwrap();
    dead.ends();
    serves_with("no-reader", pipe, 10);
}

#[test]
fn a_closed_standard_error_stops_nothing() {
    let (root, path) = (Root::new(), socket_path("closed"));
    let mut command = child::adieu(&["-v"]);
    command.args(at_socket(&path, &root));
    let command = child::after("exec 2>&-", &command);
    let server = Ours::start(command);
    comes_up(&path);
    // Nothing of the log goes where the descriptor's number went.
    for _ in 0..10 {
        served_at(&path);
    }
    server.stop();
    let _ = fs::remove_file(path);
}

// ---- it starts --------------------------------------------------------------------------------

#[test]
fn several_listeners_all_serve() {
    let (root, path) = (Root::new(), socket_path("second"));
    let err = root.path().join("err");
    let mut command = child::adieu(&["-p", "127.0.0.1:0"]);
    command.args(at_socket(&path, &root));
    command.stderr(File::create(&err).unwrap());
    let server = Ours::start(command);
    let log = || fs::read_to_string(&err).unwrap();
    eventually("it says where it is", || log().contains('\n'));
    let line = log();
    let line = line.lines().next().expect("a line");
    let start = format!("adieu: serving {} on http://", root.path().display());
    let rest = line.strip_prefix(&start).expect("where it is");
    let (address, rest) = rest.split_once("/ ").expect("an address");
    assert_eq!(rest, format!("unix:{}", path.display()));
    let address: SocketAddr = address.parse().expect("an address");
    for _ in 0..3 {
        served_at(&path);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(GET_LAST).unwrap();
        let heard = hear(&mut stream);
        assert_eq!((only(&heard.bytes).status, heard.end), (200, End::Fin));
    }
    server.stop();
    let last = log();
    let last = last.lines().last().unwrap();
    assert!(last.starts_with("adieu: stopped: accepted=6 "), "{last}");
    let _ = fs::remove_file(path);
}

#[test]
fn a_test_of_the_configuration_finds_directories_that_are_not_there() {
    for pair in [
        "site.root=/nowhere/at/all",
        "site.aliases=/docs /nowhere/at/all",
        "sites.cam.root=/nowhere/at/all",
    ] {
        let place = pair.split('=').next().unwrap();
        let arguments = ["-t", "--set", "sites.cam.hosts=cam.lan", "--set", pair];
        refused(&arguments, 1, place, "/nowhere/at/all", "name a directory");
    }
}
