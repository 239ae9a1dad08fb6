//! The status on real sockets: who sees it, what it says, and that it still says it when nothing
//! else goes.
//!
//! Owns a strict reader of JSON and one of the text format of Prometheus, both for tests only. It
//! must not judge a number that depends on the machine.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers of tests too"
)]

mod common;

use adieu::connection::state::Teardown;
use adieu::reactor::teardown::BUILT;
use adieu::report::counters::Counters;
use common::http::{Answer, read_answer};
use common::json::{self, Json};
use common::place::Place;
use common::server::Server;
use common::{PATIENCE, eventually, skip};

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

const PATH: &str = "status.path=/-/status";
/// In the other flavours nobody stays to linger.
const LINGERS: bool = matches!(BUILT, Teardown::Linger);

/// An answer in chunks, whole.
fn answer(stream: &mut impl Read) -> Answer {
    let mut answer = read_answer(stream, true);
    if let Some(length) = answer.field("content-length") {
        answer.body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut answer.body).expect("a body");
        return answer;
    }
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a chunk");
            line.push(byte[0]);
        }
        let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("a size");
        let size = usize::from_str_radix(digits, 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).expect("a chunk");
        assert!(chunk.ends_with(b"\r\n"));
        if size == 0 {
            return answer;
        }
        answer.body.extend_from_slice(&chunk[..size]);
    }
}

fn ask(stream: &mut (impl Read + Write), method: &str, path: &str, fields: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).expect("a send");
    match method {
        "HEAD" => read_answer(stream, true),
        _ => answer(stream),
    }
}

fn get(server: &Server, path: &str) -> Answer {
    ask(&mut server.connect(), "GET", path, "")
}

fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn status_of(answer: &Answer) -> Json {
    assert_eq!(answer.status, 200, "{answer:?}");
    json::parse(std::str::from_utf8(&answer.body).expect("UTF-8"))
}

fn state(server: &Server, name: &str) -> u64 {
    let status = status_of(&get(server, "/-/status/json"));
    status.at(&["states", name]).number()
}

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adieu"));
    command
        .arg("status")
        .args(arguments)
        .output()
        .expect("the built binary")
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8(text).expect("UTF-8"),
    )
}

/// This build does not show its status: `test` is left out.
fn is_left_out(test: &str) -> bool {
    if !adieu::config::status::BUILT {
        skip(test, "this build does not show its status");
    }
    !adieu::config::status::BUILT
}

#[test]
fn a_build_without_it_says_so() {
    if adieu::config::status::BUILT {
        skip("a_build_without_it_says_so", "this build shows its status");
        return;
    }
    let place = Place::new();
    let mut command = Server::command("127.0.0.1:0", place.root(), &[PATH]);
    let output = command.output().expect("the built binary");
    let (code, text) = said(&output);
    assert_eq!(code, Some(78));
    assert!(
        text.contains("status.path: this build does not show its status"),
        "{text}"
    );
    let (code, text) = said(&program(&[]));
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn every_group_of_numbers_is_there_and_its_names_are_those_of_the_log() {
    if is_left_out("every_group_of_numbers_is_there_and_its_names_are_those_of_the_log") {
        return;
    }
    let place = Place::new();
    let server = Server::start(place.root(), &[PATH]);
    let status = status_of(&get(&server, "/-/status/json"));
    let mut shown = BTreeSet::new();
    for (name, value) in status.at(&["counters"]).members() {
        match value {
            Json::Number(_) => drop(shown.insert((String::new(), name.clone()))),
            group @ (Json::Members(_)
            | Json::Null
            | Json::Switch(_)
            | Json::Text(_)
            | Json::List(_)) => {
                for (inner, value) in group.members() {
                    value.number();
                    shown.insert((name.clone(), inner.clone()));
                }
            }
        }
    }
    let counters = Counters::new();
    let counted = counters
        .each()
        .map(|(g, n, _)| (g.to_owned(), n.to_owned()));
    assert_eq!(shown, counted.collect());
    for path in [
        &["pid"][..],
        &["uptime_ms"],
        &["time_s"],
        &["pools", "slots", "most"],
        &["pools", "buffers", "peak"],
        &["pools", "uploads", "used"],
        &["pools", "scripts", "used"],
        &["goodbyes", "duration_ms", "sum"],
        &["goodbyes", "drained_bytes", "sum"],
        &["kernel", "age_ms"],
        &["memory", "plan_bytes"],
        &["memory", "resident_bytes"],
    ] {
        status.at(path).number();
    }
    let uptime = status.at(&["uptime_ms"]).number();
    let later = status_of(&get(&server, "/-/status/json"));
    assert!(later.at(&["uptime_ms"]).number() >= uptime);
    assert_eq!(later.at(&["pid"]).number(), u64::from(server.pid()));
    let lines = status.at(&["memory", "lines"]).elements();
    let sum: u64 = lines
        .iter()
        .map(|line| line.at(&["plan_bytes"]).number())
        .sum();
    assert_eq!(sum, status.at(&["memory", "plan_bytes"]).number());
    server.stop();
}

#[test]
fn slots_change_their_state_as_clients_do_things() {
    if is_left_out("slots_change_their_state_as_clients_do_things") {
        return;
    }
    let place = Place::new();
    place.file("index.html", b"hello");
    let server = Server::start(
        place.root(),
        &[PATH, "linger.idle_ms=1h", "linger.total_ms=1h"],
    );
    let mut idle = server.connect();
    assert_eq!(ask(&mut idle, "GET", "/", "").status, 200);
    eventually("one is idle", || state(&server, "idle") == 1);
    let mut half = server.connect();
    half.write_all(b"GET / HT").expect("a send");
    eventually("one has half a head", || state(&server, "head") == 1);
    let refused = linger(&server);
    if LINGERS {
        eventually("one lingers", || state(&server, "linger") == 1);
    }
    let status = status_of(&get(&server, "/-/status/json"));
    assert!(status.at(&["pools", "slots", "peak"]).number() >= 3);
    assert!(status.at(&["pools", "slots", "used"]).number() >= 3);
    drop((idle, half, refused));
    eventually("all are gone", || {
        ["idle", "head", "linger"]
            .iter()
            .all(|name| state(&server, name) == 0)
    });
    let status = status_of(&get(&server, "/-/status/json"));
    let counts = status.at(&["goodbyes", "duration_ms", "counts"]).elements();
    let goodbyes: u64 = counts.iter().map(Json::number).sum();
    assert!(goodbyes >= 1 || !LINGERS);
    let (peak, used) = (&["pools", "slots", "peak"], &["pools", "slots", "used"]);
    assert!(status.at(peak).number() > status.at(used).number());
    server.stop();
}

/// A client whose upload was refused, and who has not heard of it.
fn linger(server: &Server) -> TcpStream {
    let mut refused = server.connect();
    let request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\nabc";
    refused.write_all(request).expect("a send");
    assert_eq!(answer(&mut refused).status, 405);
    refused
}

#[test]
fn the_kernel_is_asked_about_our_port() {
    if is_left_out("the_kernel_is_asked_about_our_port") {
        return;
    }
    let place = Place::new();
    let server = Server::start(
        place.root(),
        &[PATH, "linger.idle_ms=1h", "linger.total_ms=1h"],
    );
    let refused: Vec<TcpStream> = (0..3).map(|_| linger(&server)).collect();
    let mut sockets = Json::Null;
    eventually("three are in FIN-WAIT-2, or nobody may ask", || {
        sockets = status_of(&get(&server, "/-/status/json"))
            .at(&["kernel", "sockets"])
            .clone();
        sockets == Json::Null || sockets.at(&["fin-wait-2"]).number() == 3
    });
    if sockets == Json::Null {
        skip(
            "the_kernel_is_asked_about_our_port",
            "sock_diag does not answer here",
        );
        return;
    }
    assert_eq!(sockets.at(&["listen"]).number(), 1);
    drop(refused);
    server.stop();
}

#[test]
fn only_this_machine_sees_it_unless_others_are_named() {
    if is_left_out("only_this_machine_sees_it_unless_others_are_named") {
        return;
    }
    let place = Place::new();
    place.file("index.html", b"hello");
    let allow = "status.allow=192.0.2.0/24";
    let keys = [PATH, allow, "proxy.trusted=127.0.0.1"];
    let server = Server::start(place.root(), &keys);
    let from = |client: &str| {
        let fields = format!("X-Forwarded-For: {client}\r\n");
        ask(&mut server.connect(), "GET", "/-/status/json", &fields).status
    };
    assert_eq!(get(&server, "/-/status/json").status, 404);
    assert_eq!(from("192.0.2.7"), 200);
    assert_eq!(from("198.51.100.1"), 404);
    assert_eq!(from("unknown"), 404);
    server.stop();
}

#[test]
fn a_proxy_that_nobody_has_named_does_not_publish_it() {
    if is_left_out("a_proxy_that_nobody_has_named_does_not_publish_it") {
        return;
    }
    let place = Place::new();
    let server = Server::start(place.root(), &[PATH]);
    let ask = |fields: &str| ask(&mut server.connect(), "GET", "/-/status", fields).status;
    assert_eq!(ask(""), 200);
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "X-Real-IP",
        "Via",
    ] {
        assert_eq!(ask(&format!("{name}: for=198.51.100.1\r\n")), 404, "{name}");
    }
    // nginx adds none of them, but speaks so.
    let old = "GET /-/status HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
    let mut stream = server.connect();
    stream.write_all(old.as_bytes()).expect("a send");
    let heard = common::hear(&mut stream);
    assert!(heard.bytes.starts_with(b"HTTP/1.1 404 "));
    server.stop();
}

#[test]
fn it_belongs_to_the_default_site_and_to_names_that_are_ours() {
    if is_left_out("it_belongs_to_the_default_site_and_to_names_that_are_ours") {
        return;
    }
    let place = Place::new();
    let root = format!("sites.cam.root={}", place.root().display());
    let keys = [PATH, "site.hosts=nas.lan", "sites.cam.hosts=cam.lan", &root];
    let server = Server::start(place.root(), &keys);
    for (host, status) in [
        ("nas.lan", 200),
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("cam.lan", 404),
        ("evil.example", 404),
    ] {
        let mut stream = server.connect();
        let request = format!("GET /-/status HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a send");
        assert_eq!(answer(&mut stream).status, status, "{host}");
    }
    server.stop();
}

#[test]
fn rules_of_the_site_guard_it_in_all_its_forms() {
    if is_left_out("rules_of_the_site_guard_it_in_all_its_forms") {
        return;
    }
    let place = Place::new();
    let server = Server::start(
        place.root(),
        &[PATH, "site.access=/-/status deny 127.0.0.1"],
    );
    for path in ["", "/", "/json", "/metrics", "/text"] {
        assert_eq!(
            get(&server, &format!("/-/status{path}")).status,
            403,
            "{path}"
        );
    }
    server.stop();
    if !adieu::helper::BUILT {
        skip(
            "rules_of_the_site_guard_it_in_all_its_forms",
            "no passwords in this build",
        );
        return;
    }
    place.file("users", b"bob:secret\n");
    let rule = format!(
        "site.auth=/-/status * {} Status",
        place.path("users").display()
    );
    let server = Server::start(place.root(), &[PATH, "auth.plain=on", &rule]);
    assert_eq!(get(&server, "/-/status/json").status, 401);
    let fields = "Authorization: Basic Ym9iOnNlY3JldA==\r\n";
    let answer = ask(&mut server.connect(), "GET", "/-/status/json", fields);
    status_of(&answer);
    server.stop();
}

#[test]
fn methods_and_conditions_are_those_of_something_without_validators() {
    if is_left_out("methods_and_conditions_are_those_of_something_without_validators") {
        return;
    }
    let place = Place::new();
    let uploads = "site.uploads=/ 1MiB";
    let keys = match adieu::site::upload::BUILT {
        true => vec![PATH, uploads],
        false => vec![PATH],
    };
    let server = Server::start(place.root(), &keys);
    let mut stream = server.connect();
    for path in [
        "/-/status",
        "/-/status/json",
        "/-/status/metrics",
        "/-/status/text",
    ] {
        let head = ask(&mut stream, "HEAD", path, "");
        assert_eq!((head.status, head.body.len()), (200, 0));
        let full = ask(&mut stream, "GET", path, "");
        assert_eq!(full.field("cache-control"), Some("no-store"));
        assert_eq!(full.field("content-type"), head.field("content-type"));
        assert_eq!(full.field("etag"), None);
        let conditions = "If-None-Match: \"x\"\r\nRange: bytes=0-1\r\n";
        let again = ask(&mut stream, "GET", path, conditions);
        assert!(again.status == 200 && again.body.len() > 2);
        let options = ask(&mut stream, "OPTIONS", path, "");
        assert_eq!(options.field("allow"), Some("GET, HEAD, OPTIONS"));
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let refused = ask(&mut server.connect(), method, path, "Content-Length: 0\r\n");
            assert_eq!(refused.status, 405, "{method} {path}");
            assert_eq!(refused.field("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
    assert_eq!(get(&server, "/-/status/xml").status, 404);
    assert_eq!(get(&server, "/-/statusx").status, 404);
    server.stop();
}

#[test]
fn pipelined_with_files_every_answer_is_whole() {
    if is_left_out("pipelined_with_files_every_answer_is_whole") {
        return;
    }
    let place = Place::new();
    place.file("a.txt", b"the file");
    let server = Server::start(
        place.root(),
        &[PATH, "memory.buffer_bytes=2KiB", "limits.target_bytes=512"],
    );
    let mut stream = server.connect();
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let all = ["/a.txt", "/-/status/json", "/a.txt", "/-/status/metrics"]
        .map(one)
        .concat();
    stream.write_all(all.as_bytes()).expect("a send");
    assert_eq!(answer(&mut stream).body, b"the file");
    status_of(&answer(&mut stream));
    assert_eq!(answer(&mut stream).body, b"the file");
    metrics(&String::from_utf8(answer(&mut stream).body).expect("UTF-8"));
    server.stop();
}

#[test]
fn when_all_slots_are_taken_the_socket_still_answers() {
    if is_left_out("when_all_slots_are_taken_the_socket_still_answers") {
        return;
    }
    let place = Place::new();
    place.file("large.bin", &vec![7; 4 << 20]);
    let socket = place.path("status.sock");
    let socket_key = format!("status.socket={}", socket.display());
    let keys = [
        &socket_key,
        "memory.connections=8",
        "memory.buffers=2",
        "limits.connections_per_address=8",
        "timeout.write_ms=1h",
        "linger.idle_ms=1h",
        "linger.total_ms=1h",
    ];
    let server = Server::start(place.root(), &keys);
    // Downloads that nobody reads, and that are not evicted: their idle period is an hour.
    // The last two have another request behind it, and each keeps a buffer for that.
    let mut stuck = Vec::new();
    for requests in [1, 1, 1, 1, 1, 1, 2, 2] {
        let mut stream = server.connect();
        let request = "GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n".repeat(requests);
        stream.write_all(request.as_bytes()).expect("a send");
        stuck.push(stream);
    }
    let status = |path: &str| ask(&mut unix(&socket), "GET", path, "");
    eventually("all slots and all buffers are taken", || {
        let status = status_of(&status("/json"));
        let buffers = status.at(&["pools", "buffers", "used"]).number();
        (status.at(&["states", "respond"]).number(), buffers) == (8, 2)
    });
    let shown = status_of(&status("/json"));
    assert_eq!(shown.at(&["pools", "slots", "used"]).number(), 8);
    assert_eq!(shown.at(&["pools", "slots", "most"]).number(), 8);
    // Who holds the slots of the socket gives way to who comes.
    let held: Vec<UnixStream> = (0..6)
        .map(|_| {
            let mut stream = unix(&socket);
            status_of(&ask(&mut stream, "GET", "/json", ""));
            stream
        })
        .collect();
    let path = socket.to_str().expect("UTF-8");
    let output = program(&[path]);
    assert!(output.status.success(), "{output:?}");
    let last = status_of(&status("/json"));
    for class in ["pipeline", "stuck", "stalled"] {
        let gave_way = last.at(&["counters", "evicted", class]).number();
        assert_eq!(gave_way, 0, "nobody else gives way: {class}");
    }
    drop((held, stuck));
    server.stop();
}

#[test]
fn the_socket_is_for_the_status_alone_and_for_who_may_open_it() {
    if is_left_out("the_socket_is_for_the_status_alone_and_for_who_may_open_it") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.file("index.html", b"hello");
    let socket = place.path("status.sock");
    let key = format!("status.socket={}", socket.display());
    // A proxy on unix sockets that begins with a preface does not change this one.
    let keys = [&key, "proxy.trusted=unix", "proxy.speaks=proxy-protocol"];
    let server = Server::start(place.root(), &keys);
    let mode = std::fs::metadata(&socket)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = unix(&socket);
    for (path, status) in [
        ("/json", 200),
        ("/metrics", 200),
        ("/text", 200),
        ("/", 200),
        ("/index.html", 404),
        ("/-/status", 404),
        ("/json/", 404),
    ] {
        assert_eq!(ask(&mut stream, "GET", path, "").status, status, "{path}");
    }
    assert_eq!(get(&server, "/-/status").status, 404, "there is no path");
    assert_eq!(get(&server, "/").body, b"hello");
    server.stop();
}

#[test]
fn the_page_may_do_no_more_than_it_must() {
    if is_left_out("the_page_may_do_no_more_than_it_must") {
        return;
    }
    let place = Place::new();
    let server = Server::start(place.root(), &[PATH]);
    let page = get(&server, "/-/status");
    let text = String::from_utf8(page.body.clone()).expect("UTF-8");
    assert!(
        text.contains("connections by state"),
        "the numbers stand in it: {text}"
    );
    let policy = page
        .field("content-security-policy")
        .expect("a policy")
        .to_owned();
    assert!(policy.starts_with("default-src 'none'; "));
    assert!(!policy.contains("unsafe"));
    for tag in ["script", "style"] {
        let inside = text.split_once(&format!("<{tag}>")).expect("a tag").1;
        let inside = inside.split_once(&format!("</{tag}>")).expect("its end").0;
        let Some(hash) = hash(inside) else {
            skip(
                "the_page_may_do_no_more_than_it_must",
                "there is no openssl",
            );
            return;
        };
        assert!(
            policy.contains(&format!("{tag}-src 'sha256-{hash}'")),
            "{tag} {hash}"
        );
    }
    server.stop();
}

/// SHA-256 in base64, by a program that many have.
fn hash(text: &str) -> Option<String> {
    let script = "openssl dgst -sha256 -binary | openssl base64 -A";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?).filter(|hash| hash.len() == 44)
}

#[test]
fn prometheus_can_read_it() {
    if is_left_out("prometheus_can_read_it") {
        return;
    }
    let place = Place::new();
    let server = Server::start(place.root(), &[PATH]);
    let mut nobody = server.connect();
    nobody.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("a send");
    assert_eq!(
        common::http::only(&common::hear(&mut nobody).bytes).status,
        400
    );
    let answer = get(&server, "/-/status/metrics");
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.field("content-type"), Some(kind));
    let text = String::from_utf8(answer.body).expect("UTF-8");
    let samples = metrics(&text);
    assert!(samples["adieu_accepted_total"] >= 2.0);
    assert!(samples["adieu_rejects_total{reason=\"bad-host\"}"] >= 1.0);
    assert!(samples["adieu_connections{state=\"respond\"}"] >= 1.0);
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .spawn();
    match checked {
        Err(error) => skip("promtool in prometheus_can_read_it", &error.to_string()),
        Ok(mut child) => {
            let mut stdin = child.stdin.take().expect("a pipe");
            stdin.write_all(text.as_bytes()).expect("promtool reads");
            drop(stdin);
            assert!(child.wait().expect("promtool").success());
        }
    }
    server.stop();
}

#[test]
fn the_command_shows_it_and_says_why_not() {
    if is_left_out("the_command_shows_it_and_says_why_not") {
        return;
    }
    let place = Place::new();
    let socket = place.path("status.sock");
    let path = socket.to_str().expect("UTF-8");
    let server = Server::start(place.root(), &[PATH, &format!("status.socket={path}")]);
    let url = format!("http://127.0.0.1:{}/-/status", server.port());
    for place in [path, &url] {
        let (code, text) = said(&program(&[place]));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.starts_with("adieu ") && text.contains("connections by state"));
        let (code, text) = said(&program(&["--json", place]));
        assert_eq!(code, Some(0));
        json::parse(&text);
        let (code, text) = said(&program(&["--prometheus", place]));
        assert_eq!(code, Some(0));
        metrics(&text);
    }
    let (code, text) = said(&program(&[&format!(
        "http://127.0.0.1:{}/x",
        server.port()
    )]));
    assert_eq!(code, Some(1));
    assert!(
        text.contains("it answers with 404; look at status.path"),
        "{text}"
    );
    if adieu::config::file::BUILT {
        let file = place.path("adieu.toml");
        let asked = |text: &str| {
            std::fs::write(&file, text).expect("a file");
            said(&program(&["-c", file.to_str().expect("UTF-8")]))
        };
        assert_eq!(
            asked(&format!("[status]\nsocket = \"{path}\"\n")).0,
            Some(0)
        );
        let listen = format!("[listen]\naddress = [\"{}\"]\n", server.port());
        assert_eq!(
            asked(&format!("{listen}[status]\npath = \"/-/status\"\n")).0,
            Some(0)
        );
        let (code, text) = asked("[status]\n");
        assert_eq!(code, Some(78));
        assert!(
            text.contains("this configuration shows no status"),
            "{text}"
        );
    }
    server.stop();
    let (code, text) = said(&program(&[path]));
    assert_eq!(code, Some(1));
    assert!(
        text.contains("nobody listens there") || text.contains("no socket"),
        "{text}"
    );
}

#[test]
fn who_never_answers_is_waited_for_no_longer_than_told() {
    if is_left_out("who_never_answers_is_waited_for_no_longer_than_told") {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let (code, text) = said(&program(&["-t", "1", &format!("http://127.0.0.1:{port}/")]));
    assert_eq!(code, Some(1));
    assert!(text.contains("it does not answer in time"), "{text}");
}

#[test]
fn a_reload_shows_and_hides_the_path() {
    if is_left_out("a_reload_shows_and_hides_the_path") {
        return;
    }
    if !adieu::config::file::BUILT {
        skip("a_reload_shows_and_hides_the_path", "no file in this build");
        return;
    }
    let place = Place::new();
    let file = place.path("adieu.toml");
    std::fs::write(&file, "").expect("a file");
    let mut command = Server::command("127.0.0.1:0", place.root(), &[]);
    command.arg("-c").arg(&file);
    let server = Server::run(command);
    let shown = |answer: Answer| answer.status;
    assert_eq!(shown(get(&server, "/-/status")), 404);
    std::fs::write(&file, "[status]\npath = \"/-/status\"\n").expect("a file");
    server.signal("HUP");
    eventually("it is shown", || {
        shown(get(&server, "/-/status/json")) == 200
    });
    let status = status_of(&get(&server, "/-/status/json"));
    assert_eq!(status.at(&["counters", "reloads"]).number(), 1);
    assert!(status.at(&["memory", "plan_bytes"]).number() > 0);
    std::fs::write(&file, "").expect("a file");
    server.signal("HUP");
    eventually("it is hidden", || {
        shown(get(&server, "/-/status/json")) == 404
    });
    server.stop();
}

#[test]
fn a_successor_takes_the_socket_over() {
    if is_left_out("a_successor_takes_the_socket_over") {
        return;
    }
    let place = Place::new();
    let (socket, control) = (place.path("s"), place.path("c"));
    let keys = [
        format!("status.socket={}", socket.display()),
        format!("service.control={}", control.display()),
    ];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let pid = || {
        let status = status_of(&ask(&mut unix(&socket), "GET", "/json", ""));
        u32::try_from(status.at(&["pid"]).number()).expect("a number")
    };
    let first = Server::start(place.root(), &keys);
    assert_eq!(pid(), first.pid());
    let second = Server::start(place.root(), &keys);
    eventually("the first one lets go", || pid() == second.pid());
    assert_eq!(
        get(&second, "/json").status,
        404,
        "the site does not show it"
    );
    first.signal("TERM");
    first.ends();
    assert_eq!(pid(), second.pid());
    second.stop();
}

/// Reads the text format strictly: each metric has HELP and TYPE once, before its samples, which
/// stand together; names and labels are sound; counters end in `_total`; the buckets of a histogram
/// grow, and end with `+Inf`, which is the count. The samples by name and labels.
fn metrics(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut current = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let mut helped = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(
                is_name(name) && !help.is_empty() && !help.contains('\\'),
                "{line}"
            );
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, helped, "HELP comes first");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            let twice = kinds.insert(name.to_owned(), kind.to_owned());
            assert_eq!(twice, None, "{line}");
            current = (name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let name = series.split('{').next().expect("a name");
            let own = match current.1.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .any(|end| name == format!("{}{end}", current.0)),
                _ => name == current.0,
            };
            assert!(own, "{line} stands under {current:?}");
            if let Some(labels) = series.strip_prefix(name).filter(|l| !l.is_empty()) {
                let labels = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}'));
                for label in labels.expect("labels").split_inclusive("\",") {
                    let label = label.strip_suffix(',').unwrap_or(label);
                    let (label, value) = label.split_once('=').expect("a label");
                    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
                    let value = value.expect("a value in quotes");
                    assert!(is_name(label) && !value.contains(['"', '\\']), "{line}");
                }
            }
            let value: f64 = value.parse().expect("a number");
            let twice = samples.insert(series.to_owned(), value);
            assert!(twice.is_none() && value >= 0.0, "{line}");
        }
    }
    for (name, _) in kinds.iter().filter(|(_, kind)| *kind == "histogram") {
        let mut buckets: Vec<(f64, f64)> = samples
            .iter()
            .filter_map(|(series, value)| {
                let bound = series.strip_prefix(&format!("{name}_bucket{{le=\""))?;
                Some((bound.strip_suffix("\"}")?.parse().expect("a bound"), *value))
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{name}");
        let last = buckets.last().expect("buckets");
        assert!(last.0.is_infinite());
        assert!((last.1 - samples[&format!("{name}_count")]).abs() < 0.5);
    }
    samples
}

#[test]
fn who_finds_no_place_is_told_to_come_again() {
    if is_left_out("who_finds_no_place_is_told_to_come_again") {
        return;
    }
    let place = Place::new();
    let keys = [
        PATH,
        "memory.buffer_bytes=2KiB",
        "limits.target_bytes=512",
        "memory.send_bytes=4608",
        "timeout.write_ms=1h",
    ];
    let server = Server::start(place.root(), &keys);
    // Who does not read what was asked for keeps a place: twice as many as there are.
    let mut slow: Vec<TcpStream> = Vec::new();
    eventually("nobody is left a place", || {
        let mut stream = narrow(&server);
        let all = "GET /-/status HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(40);
        stream.write_all(all.as_bytes()).expect("a send");
        slow.push(stream);
        let answer = get(&server, "/-/status/json");
        assert!(answer.status == 200 || answer.field("retry-after").is_some());
        answer.status == 503
    });
    drop(slow);
    eventually("there are places again", || {
        get(&server, "/-/status/json").status == 200
    });
    server.stop();
}

/// A client that takes in as little as it can.
fn narrow(server: &Server) -> TcpStream {
    let stream = server.connect();
    let set = adieu::sys::socket::set_receive_buffer(std::os::fd::AsFd::as_fd(&stream), 4608);
    set.expect("SO_RCVBUF");
    stream
}
