//! The access log of the real program: one line for each response, whole and of its form, whatever
//! a client sends and whatever becomes of the target.
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
use common::http::read_answer;
use common::root::Root;
use common::server::Server;
use common::{PATIENCE, eventually, hear};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LINGERS: bool = matches!(BUILT, Teardown::Linger);
/// More than the kernel holds between the two ends.
const LARGE_BYTES: u64 = 64 << 20;

// ---- reading ------------------------------------------------------------------------------------

/// A value of JSON, as far as the log has them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Json {
    Null,
    Bool(bool),
    Number(u64),
    Text(String),
}

/// One line of JSON: a flat object, strictly.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn text(&mut self) -> String {
        assert!(self.eat("\""), "a string: {}", self.0);
        let mut units = Vec::new();
        loop {
            let c = self.0.chars().next().expect("the end of a string");
            assert!(matches!(c, ' '..='~'), "raw {c:?}");
            self.0 = &self.0[1..];
            match c {
                '"' => break,
                '\\' => {
                    let escaped = self.0.chars().next().expect("an escape");
                    self.0 = &self.0[1..];
                    match escaped {
                        '"' | '\\' => units.push(u16::try_from(u32::from(escaped)).unwrap()),
                        'u' => {
                            units.push(u16::from_str_radix(&self.0[..4], 16).unwrap());
                            self.0 = &self.0[4..];
                        }
                        _ => panic!("an escape: \\{escaped}"),
                    }
                }
                _ => units.push(u16::try_from(u32::from(c)).unwrap()),
            }
        }
        String::from_utf16(&units).expect("whole pairs")
    }

    fn value(&mut self) -> Json {
        for (token, value) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
        ] {
            if self.eat(token) {
                return value;
            }
        }
        let digits = self.0.len()
            - self
                .0
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        if digits > 0 {
            let (number, rest) = self.0.split_at(digits);
            assert!(number == "0" || !number.starts_with('0'));
            self.0 = rest;
            return Json::Number(number.parse().unwrap());
        }
        Json::Text(self.text())
    }
}

fn json(line: &str) -> Vec<(String, Json)> {
    let mut reader = Reader(line);
    let mut members = Vec::new();
    assert!(reader.eat("{"), "{line}");
    loop {
        let name = reader.text();
        assert!(reader.eat(":"), "{line}");
        members.push((name, reader.value()));
        if !reader.eat(",") {
            break;
        }
    }
    assert!(reader.eat("}") && reader.0.is_empty(), "{line}");
    members
}

/// What a line says of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    client: String,
    request: Option<String>,
    status: u64,
    bytes: u64,
    referer: Option<String>,
    agent: Option<String>,
    complete: bool,
    close: Option<String>,
}

fn of_json(line: &str) -> Said {
    let members = json(line);
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        "time client user request host referer agent status bytes duration_ms complete close";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>(), "{line}");
    let at = |name: &str| members.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let text = |name: &str| match at(name) {
        Json::Null => None,
        Json::Text(text) => Some(text),
        other @ (Json::Bool(_) | Json::Number(_)) => panic!("{name}: {other:?}"),
    };
    let number = |name: &str| match at(name) {
        Json::Number(number) => number,
        other @ (Json::Null | Json::Bool(_) | Json::Text(_)) => panic!("{name}: {other:?}"),
    };
    let time = text("time").expect("this machine has a clock");
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00Z");
    assert!(number("duration_ms") < 600_000);
    Said {
        client: text("client").unwrap(),
        request: text("request"),
        status: number("status"),
        bytes: number("bytes"),
        referer: text("referer"),
        agent: text("agent"),
        complete: at("complete") == Json::Bool(true),
        close: text("close"),
    }
}

/// A quoted value at the front, without escapes undone, and the rest.
fn quoted(text: &str) -> (Option<String>, &str) {
    let text = text.strip_prefix('"').unwrap_or_else(|| panic!("{text}"));
    let (value, rest) = text.split_once('"').expect("a closing quote");
    (Some(value.to_owned()).filter(|v| v != "-"), rest)
}

fn of_clf(line: &str, combined: bool) -> Said {
    let (client, rest) = line.split_once(" - ").expect("no ident");
    let (_, rest) = rest.split_once(" [").expect("a user");
    let (time, rest) = rest.split_once("] ").expect("a time");
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert!(
        shape.starts_with("00/") && shape.ends_with("/0000:00:00:00 +0000"),
        "{line}"
    );
    let (request, rest) = quoted(rest);
    let mut words = rest[1..].splitn(3, ' ');
    let status = words.next().unwrap().parse().unwrap();
    let bytes = match words.next().unwrap() {
        "-" => 0,
        digits => digits.parse().unwrap(),
    };
    let mut rest = words.next().unwrap_or_default();
    let (mut referer, mut agent) = (None, None);
    if combined {
        let (value, behind) = quoted(rest);
        referer = value;
        let (value, behind) = quoted(&behind[1..]);
        agent = value;
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    let close = rest.strip_prefix("cut=").map(str::to_owned);
    assert!(rest.is_empty() || close.is_some(), "{line}");
    Said {
        client: client.to_owned(),
        request,
        status,
        bytes,
        referer,
        agent,
        complete: close.is_none(),
        close,
    }
}

fn said(form: &str, line: &str) -> Said {
    assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
    match form {
        "json" => of_json(line),
        _ => of_clf(line, form == "combined"),
    }
}

// ---- the server ---------------------------------------------------------------------------------

struct Log {
    root: Root,
    path: PathBuf,
    form: &'static str,
}

impl Log {
    fn new(form: &'static str) -> Self {
        let root = Root::new();
        let logs = root.path().join("..").canonicalize().unwrap();
        let name = root.path().file_name().unwrap().to_str().unwrap();
        let path = logs.join(format!("{name}.log"));
        let _ = fs::remove_file(&path);
        Self { root, path, form }
    }

    fn start(&self, keys: &[&str]) -> Server {
        let access = format!("log.access={}", self.form);
        let target = format!("log.access_target=file:{}", self.path.display());
        let mut all = vec![access.as_str(), target.as_str()];
        all.extend_from_slice(keys);
        Server::start(self.root.path(), &all)
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// Waits for so many lines: what they say.
    fn lines(&self, count: usize) -> Vec<Said> {
        eventually("so many lines", || {
            let text = self.text();
            assert!(!text.contains("dropped"), "{}", text.lines().count());
            text.lines().count() >= count
        });
        let text = self.text();
        assert!(text.ends_with('\n'));
        let lines: Vec<Said> = text.lines().map(|line| said(self.form, line)).collect();
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.path.with_extension("log.1"));
    }
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

// ---- lines --------------------------------------------------------------------------------------

/// Requests of all kinds and their statuses. The first one says where it comes from.
fn requests() -> Vec<(String, u16)> {
    let twice = "Range: bytes=0-9,50000-50009\r\n";
    vec![
        (
            get("/ten", "Referer: http://r/\r\nUser-Agent: a/1\r\n"),
            200,
        ),
        (get("/large?x=%22", ""), 200),
        (get("/ten", "").replace("GET", "HEAD"), 200),
        (get("/ten", "Range: bytes=2-4\r\n"), 206),
        (get("/ten", "If-None-Match: *\r\n"), 304),
        (get("/large", twice), 206),
        (get("/none", ""), 404),
        (get("/ten", "Content-Length: 3\r\n") + "abc", 200),
        (
            get("/ten", "Content-Length: 3\r\nExpect: 100-continue\r\n") + "abc",
            200,
        ),
        (get("/ten", "").replace("GET", "FETCH"), 501),
    ]
}

/// Sends them one by one or in one piece; the sizes of the contents.
fn exchange(stream: &mut TcpStream, requests: &[(String, u16)], at_once: bool) -> Vec<u64> {
    let read = |stream: &mut TcpStream, request: &str, status: u16| {
        let mut answer = read_answer(stream, request.starts_with("HEAD"));
        if answer.status == 100 {
            answer = read_answer(stream, false);
        }
        assert_eq!(answer.status, status, "{request}");
        u64::try_from(answer.body.len()).unwrap()
    };
    if at_once {
        let all: String = requests
            .iter()
            .map(|(request, _)| request.as_str())
            .collect();
        stream.write_all(all.as_bytes()).unwrap();
    }
    let sizes = requests.iter().map(|(request, status)| {
        if !at_once {
            stream.write_all(request.as_bytes()).unwrap();
        }
        read(stream, request, *status)
    });
    sizes.collect()
}

#[test]
fn every_response_has_one_line_in_each_form() {
    for form in ["common", "combined", "json"] {
        let log = Log::new(form);
        log.root.file("ten", b"0123456789");
        log.root.sparse("large", 200_000);
        let server = log.start(&[]);
        let mut stream = server.connect();
        let requests = requests();
        let sizes = exchange(&mut stream, &requests, false);
        assert_eq!(exchange(&mut stream, &requests, true), sizes);
        assert_eq!(sizes[..5], [10, 200_000, 0, 3, 0]);
        let last = get("/ten", "Connection: close\r\n");
        stream.write_all(last.as_bytes()).unwrap();
        assert!(!hear(&mut stream).bytes.is_empty());
        drop(stream);
        let lines = log.lines(2 * requests.len() + 1);
        let (last, lines) = lines.split_last().unwrap();
        for (n, line) in lines.iter().enumerate() {
            let n = n % requests.len();
            let (request, status) = &requests[n];
            let field = |value: &str| Some(value.to_owned()).filter(|_| form != "common" && n == 0);
            let expected = Said {
                client: "127.0.0.1".to_owned(),
                request: request.lines().next().map(str::to_owned),
                status: u64::from(*status),
                bytes: sizes[n],
                referer: field("http://r/"),
                agent: field("a/1"),
                complete: true,
                close: None,
            };
            assert_eq!(line, &expected);
        }
        assert!(last.complete && last.bytes == 10, "{last:?}");
        assert!(form != "json" || last.close.is_some(), "{last:?}");
        server.stop();
    }
}

#[test]
fn what_was_refused_before_it_was_understood_has_a_line_too() {
    let log = Log::new("json");
    let server = log.start(&["timeout.head_ms=200", "timeout.body_ms=200"]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(5000));
    let wide = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
        "x".repeat(9000)
    );
    let late = "POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc";
    let cases = [
        ("no http\r\n\r\n", 400, None),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, None),
        ("GET / HTTP/1.1\r\n", 408, None),
        (&long, 414, None),
        (&wide, 431, None),
        // This one was understood, is not waited for, and its answer is not the last.
        (late, 405, Some("POST /late HTTP/1.1")),
        (
            &late.replace("POST /late", "GET /"),
            408,
            Some("GET / HTTP/1.1"),
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET\r\n\r\n", 400, None),
    ];
    let mut expected = 0;
    for (request, status, line) in cases {
        let mut stream = server.connect();
        let _ = stream.write_all(request.as_bytes());
        let _ = hear(&mut stream);
        drop(stream);
        expected += 1 + usize::from(request.ends_with("GET\r\n\r\n"));
        let lines = log.lines(expected);
        let last = lines.last().unwrap();
        let asked = last.request.as_deref();
        assert_eq!((last.status, asked), (status, line), "{request}");
        assert_eq!(last.close.is_some(), status != 405, "{last:?}");
    }
    server.stop();
}

#[test]
fn nothing_of_a_client_reaches_the_log_as_it_is() {
    for form in ["combined", "json"] {
        let log = Log::new(form);
        let server = log.start(&[]);
        let text = "\"x\" \\ ü \u{202e} \u{9b}2J";
        // What a field may hold beside: tabs, and bytes that are not UTF-8.
        let fields = [
            b"Referer: ",
            text.as_bytes(),
            b"\r\nUser-Agent: \t\xff\xc3 a\r\n",
        ]
        .concat();
        let long = format!("Referer: {}\r\n", "\"\\".repeat(2000)).into_bytes();
        // What it may not hold: refused, and nothing of it is said.
        let worse = b"Referer: \x1b]0;x\x07\r\nUser-Agent: \x7f\r\n".to_vec();
        for (fields, status) in [(fields, 200), (long, 200), (worse, 400)] {
            let mut stream = server.connect();
            let request = [b"GET / HTTP/1.1\r\nHost: h\r\n", &fields[..], b"\r\n"].concat();
            stream.write_all(&request).unwrap();
            assert_eq!(read_answer(&mut stream, false).status, status);
            let _ = stream.shutdown(Shutdown::Both);
        }
        let lines = log.lines(3);
        let (referer, agent) = match form {
            "json" => (text.to_owned(), "\u{ff}\u{c3} a".to_owned()),
            _ => {
                let referer = r"\x22x\x22 \x5c \xc3\xbc \xe2\x80\xae \xc2\x9b2J";
                (referer.to_owned(), r"\xff\xc3 a".to_owned())
            }
        };
        assert_eq!(lines[0].referer, Some(referer));
        assert_eq!(lines[0].agent.as_deref(), Some(agent.trim_start()));
        let long = lines[1].referer.as_deref().unwrap();
        assert!(long.len() <= 256 && long.ends_with("..."), "{long}");
        assert_eq!((lines[2].status, lines[2].referer.as_deref()), (400, None));
        server.stop();
    }
}

#[test]
fn cut_responses_say_so() {
    for form in ["common", "json"] {
        let log = Log::new(form);
        let file = log.root.sparse("large", LARGE_BYTES);
        let server = log.start(&["timeout.write_ms=300"]);
        let begins = || {
            let mut stream = server.connect();
            stream.write_all(get("/large", "").as_bytes()).unwrap();
            stream.read_exact(&mut [0; 1000]).unwrap();
            stream
        };
        // Reset: the client closes with bytes unread.
        drop(begins());
        let lines = log.lines(1);
        assert_eq!(lines[0].close.as_deref(), Some("reset-by-peer"));
        // Nobody reads.
        let stuck = begins();
        let lines = log.lines(2);
        assert_eq!(lines[1].close.as_deref(), Some("timeout-write"));
        drop(stuck);
        // The file becomes shorter.
        let mut short = begins();
        file.set_len(10).unwrap();
        let _ = hear(&mut short);
        let lines = log.lines(3);
        assert_eq!(lines[2].close.as_deref(), Some("file-shrank"));
        for line in &lines {
            assert!(!line.complete && line.status == 200, "{line:?}");
            assert!(line.bytes > 0 && line.bytes < LARGE_BYTES, "{line:?}");
        }
        server.stop();
    }
}

#[test]
fn the_client_is_the_one_that_the_proxy_named() {
    let log = Log::new("common");
    let server = log.start(&[
        "proxy.trusted=127.0.0.1",
        "limits.connections_per_address=1",
    ]);
    let mut stream = server.connect();
    for fields in [
        "",
        "X-Forwarded-For: 2001:db8::1\r\n",
        "X-Forwarded-For: \x22\r\n",
    ] {
        stream.write_all(get("/", fields).as_bytes()).unwrap();
        read_answer(&mut stream, false);
    }
    stream.write_all(b"nonsense\r\n\r\n").unwrap();
    let _ = hear(&mut stream);
    drop(stream);
    let clients: Vec<String> = log.lines(4).into_iter().map(|line| line.client).collect();
    assert_eq!(
        clients,
        ["127.0.0.1", "2001:db8::1", "unknown", "127.0.0.1"]
    );
    server.stop();
}

#[test]
fn a_listing_counts_its_content_and_not_its_chunks() {
    if common::lacks("a_listing_counts_its_content_and_not_its_chunks", "listing") {
        return;
    }
    let log = Log::new("json");
    for n in 0..300 {
        log.root.file(&format!("a-name-that-is-long-{n}"), b"");
    }
    fs::remove_file(log.root.path().join("index.html")).unwrap();
    let server = log.start(&["site.listing=on"]);
    let mut sizes = Vec::new();
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let mut stream = server.connect();
        let request = format!("GET / {version}\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        sizes.push(hear(&mut stream).bytes.len());
        drop(stream);
    }
    let lines = log.lines(2);
    assert_eq!(lines[0].bytes, lines[1].bytes);
    assert!(
        lines
            .iter()
            .all(|line| line.complete && line.bytes > 20_000)
    );
    assert!(sizes[1] > sizes[0], "chunked");
    server.stop();
}

// ---- targets ------------------------------------------------------------------------------------

#[test]
fn a_full_file_gets_its_second_name() {
    let log = Log::new("common");
    let server = log.start(&["log.access_bytes=4KiB"]);
    let mut stream = server.connect();
    for n in 0..200 {
        stream
            .write_all(get(&format!("/{n}"), "").as_bytes())
            .unwrap();
        read_answer(&mut stream, false);
    }
    let old = log.path.with_extension("log.1");
    eventually("the last line", || log.text().contains("\"GET /199 "));
    for path in [&old, &log.path] {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.len() <= 4096 && text.ends_with('\n'));
        text.lines().for_each(|line| drop(of_clf(line, false)));
    }
    let (old, new) = (fs::read_to_string(old).unwrap(), log.text());
    let next = new.lines().next().unwrap().to_owned();
    let number = |line: &str| -> u32 {
        let (_, rest) = line.split_once("GET /").unwrap();
        rest.split_once(' ').unwrap().0.parse().unwrap()
    };
    assert_eq!(number(old.lines().last().unwrap()) + 1, number(&next));
    assert_eq!(server.stop().counter("access-dropped"), 0);
}

/// A target that takes nothing: the clients do not notice, and the lines are counted.
fn serves_with(target: &str, requests: usize) -> u64 {
    let root = Root::new();
    let target = format!("log.access_target={target}");
    let server = Server::start(root.path(), &["log.access=combined", &target]);
    let agent = format!("User-Agent: {}\r\n", "x".repeat(250));
    let mut stream = server.connect();
    for _ in 0..requests {
        stream.write_all(get("/", &agent).as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream, false).status, 200);
    }
    server.serves_a_good_client();
    drop(stream);
    server.stop().counter("access-dropped")
}

#[test]
fn a_target_that_takes_nothing_costs_lines_and_nobody_waits() {
    assert!(serves_with("file:/dev/full", 400) > 200);
    let root = Root::new();
    let path = root.path().join("fifo");
    fifo(&path);
    assert!(serves_with(&format!("file:{}", path.display()), 400) > 200);
    // A reader that does not read: the pipe is full first.
    let reader = OpenOptions::new().read(true).write(true).open(&path);
    assert!(serves_with(&format!("file:{}", path.display()), 800) > 200);
    drop(reader);
    let nowhere = root.path().join("nowhere");
    assert!(serves_with(&format!("syslog:{}", nowhere.display()), 400) > 200);
}

#[test]
fn a_burst_of_requests_drops_nothing() {
    let log = Log::new("combined");
    // Few places: an answer waits for one until those before it have left.
    let server = log.start(&["limits.connections_per_address=100", "memory.buffers=3"]);
    let agent = format!("User-Agent: {}\r\n", "x".repeat(200));
    let pipeline = get("/", &agent).repeat(20);
    let mut streams: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(pipeline.as_bytes()).unwrap();
    }
    for stream in &mut streams {
        for _ in 0..20 {
            assert_eq!(read_answer(stream, false).status, 200);
        }
    }
    drop(streams);
    log.lines(60 * 20);
    assert_eq!(server.stop().counter("access-dropped"), 0);
}

#[test]
fn who_reads_again_is_told_what_was_dropped() {
    let root = Root::new();
    let path = root.path().join("fifo");
    fifo(&path);
    let target = format!("log.access_target=file:{}", path.display());
    let server = Server::start(root.path(), &["log.access=json", &target]);
    let mut stream = server.connect();
    let one = |stream: &mut TcpStream| {
        stream.write_all(get("/", "").as_bytes()).unwrap();
        read_answer(stream, false);
    };
    for _ in 0..400 {
        one(&mut stream);
    }
    let mut reader = File::open(&path).unwrap();
    let mut text = String::new();
    let mut room = vec![0; 1 << 20];
    while !text.contains("{\"dropped\":") {
        one(&mut stream);
        let n = reader.read(&mut room).unwrap();
        text.push_str(std::str::from_utf8(&room[..n]).unwrap());
    }
    let (whole, _) = text.rsplit_once('\n').unwrap();
    let (notices, lines): (Vec<_>, Vec<_>) = whole
        .lines()
        .partition(|line| line.starts_with("{\"dropped\":"));
    lines.iter().for_each(|line| drop(of_json(line)));
    let [(name, Json::Number(dropped))] = &json(notices[0])[..] else {
        panic!("{notices:?}");
    };
    assert!(name == "dropped" && *dropped > 100, "{notices:?}");
    drop(reader);
    server.says("adieu: warning: the access log is not there");
    server.stop();
}

/// Ends a daemon. A program that another test has just started has its socket for a moment more.
fn gone(daemon: UnixDatagram, path: &Path) {
    drop(daemon);
    let client = UnixDatagram::unbound().unwrap();
    eventually("nobody hears", || client.send_to(b"", path).is_err());
    fs::remove_file(path).unwrap();
}

#[test]
fn a_syslog_daemon_may_come_and_go() {
    let root = Root::new();
    let path = root.path().join("log");
    let target = format!("log.access_target=syslog:{}", path.display());
    let server = Server::start(root.path(), &["log.access=common", &target]);
    let mut stream = server.connect();
    for round in 0..3 {
        let daemon = UnixDatagram::bind(&path).unwrap();
        daemon.set_read_timeout(Some(PATIENCE)).unwrap();
        let asked = format!("/{round}");
        stream.write_all(get(&asked, "").as_bytes()).unwrap();
        read_answer(&mut stream, false);
        let mut room = [0; 3000];
        let n = daemon.recv(&mut room).unwrap();
        let text = std::str::from_utf8(&room[..n]).unwrap();
        let line = text.strip_prefix("<134>adieu: ").unwrap();
        assert_eq!(
            of_clf(line, false).request,
            Some(format!("GET {asked} HTTP/1.1"))
        );
        gone(daemon, &path);
        server.serves_a_good_client();
        // Its line waits for the next daemon; it is read off here.
        let daemon = UnixDatagram::bind(&path).unwrap();
        daemon.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(daemon.recv(&mut room).is_ok());
        gone(daemon, &path);
    }
    assert_eq!(server.stop().counter("access-dropped"), 0);
}

#[test]
fn a_place_that_cannot_be_written_stops_the_start() {
    let root = Root::new();
    for (key, word, why) in [
        ("log.access_target", "file:/no/such/log", "cannot open"),
        ("log.target", "file:/no/such/log", "cannot open"),
        ("log.access_target", "file:log", "is no target of a log"),
        ("log.target", "none", "is no target of a log"),
    ] {
        let set = format!("{key}={word}");
        let mut command = Server::command("127.0.0.1:0", root.path(), &["log.access=json", &set]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert!(
            said.starts_with(&format!("adieu: error: {key}: ")),
            "{said}"
        );
    }
}

#[test]
fn the_standard_output_and_the_log_of_adieu_itself_go_where_they_are_sent() {
    let root = Root::new();
    let own = root.path().join("own.log");
    let mut command = Server::command(
        "unix:own.sock",
        root.path(),
        &[
            "log.access=common",
            &format!("log.target=file:{}", own.display()),
        ],
    );
    let mut child = command
        .current_dir(root.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = || fs::read_to_string(&own).unwrap_or_default();
    eventually("it serves", || text().contains("adieu: serving "));
    let mut stream = std::os::unix::net::UnixStream::connect(root.path().join("own.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(get("/", "Connection: close\r\n").as_bytes())
        .unwrap();
    let _ = hear(&mut stream);
    drop(stream);
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    eventually("it ends", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(of_clf(line.trim_end(), false).client, "unix");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    for line in text().lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && rest.starts_with("adieu: "), "{line}");
    }
    assert!(text().contains("adieu: stopped: "));
    assert!(LINGERS || text().contains("accepted=1"));
}
