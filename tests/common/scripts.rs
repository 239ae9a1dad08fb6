//! Scripts: a site that has them, requests for them, answers in every framing, and the processes
//! that make them.
//!
//! A script is started in its own directory, so `../../NAME` is a file beside the site: there it
//! says that it is there, and there are the gates that it waits at. So no test and no script
//! measures time.

use super::auth::helpers;
use super::http::Answer;
use super::place::{Place, permit};
use super::server::{Server, Stopped};
use super::{End, Heard, eventually, hear};
use adieu::connection::state::Teardown;
use adieu::reactor::teardown::BUILT;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is beneath it is executed.
pub(crate) const RULE: &str = "site.scripts=/cgi-bin";
/// All clients here have one address.
pub(crate) const CROWD: &str = "limits.connections_per_address=128";
/// This build says goodbye: nobody's send fails.
pub(crate) const LINGERS: bool = matches!(BUILT, Teardown::Linger);
pub(crate) const GET_LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
/// What `/static.txt` holds.
pub(crate) const STATIC: &[u8] = b"a file and no script\n";

/// A site with a directory of scripts; gone with the test.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) place: Place,
}

impl Site {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        place.site("www", "<!doctype html><title>good day</title>\n");
        place.directory("www/cgi-bin");
        place.file("www/static.txt", STATIC);
        // Scripts of another user write here.
        permit(place.root(), 0o777);
        Self { place }
    }

    /// With a script that says what it was sent.
    pub(crate) fn with_echo() -> Self {
        let site = Self::new();
        site.script("echo", ECHO);
        site
    }

    /// An executable file of the site. Another process writes it: while one of this process's
    /// children still holds what it was written through, it could not be executed.
    pub(crate) fn program(&self, name: &str, text: &[u8], mode: &str) {
        self.place.file("draft", text);
        let target = self.place.path(&format!("www/{name}"));
        let made = Command::new("install")
            .args(["-m", mode])
            .args([self.place.path("draft"), target])
            .status();
        assert!(made.expect("install(1)").success());
    }

    /// A script of sh in `cgi-bin`.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let text = format!("#!/bin/sh\n{text}\n");
        self.program(&format!("cgi-bin/{name}"), text.as_bytes(), "755");
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.place.path("www")
    }

    /// Serves it with these further keys.
    pub(crate) fn start(&self, keys: &[&str]) -> Server {
        Server::run(self.command(keys))
    }

    pub(crate) fn command(&self, keys: &[&str]) -> Command {
        let mut all = vec![RULE, CROWD, "linger.idle_ms=20s"];
        all.extend_from_slice(keys);
        Server::command("127.0.0.1:0", &self.root(), &all)
    }

    /// Waits for a whole line that a script writes to this file beside the site.
    pub(crate) fn said(&self, name: &str) -> String {
        let mut found = String::new();
        eventually(name, || {
            found = self.place.text(name).unwrap_or_default();
            found.ends_with('\n')
        });
        found.trim_end().to_owned()
    }

    /// The numbers that scripts have written there.
    pub(crate) fn pids(&self, name: &str) -> Vec<u32> {
        let text = self.said(name);
        let pids = text.split_whitespace();
        pids.map(|pid| pid.parse().expect("a number")).collect()
    }

    /// A script has not said this.
    pub(crate) fn is_silent(&self, name: &str) -> bool {
        !self.place.path(name).exists()
    }

    /// A gate at which scripts wait: `read x <../../NAME`.
    pub(crate) fn gate(&self, name: &str) -> Gate {
        let path = self.place.path(name);
        let made = Command::new("mkfifo")
            .args(["-m", "666"])
            .arg(&path)
            .status();
        assert!(made.expect("mkfifo(1)").success());
        // Opened both ways it does not wait for the other end.
        let ends = OpenOptions::new().read(true).write(true).open(path);
        Gate(ends.expect("a pipe"))
    }
}

/// Says what it was sent.
pub(crate) const ECHO: &str = "printf 'Content-Type: application/octet-stream\\n\\n'; exec cat";

/// Each line in it lets one script through.
#[derive(Debug)]
pub(crate) struct Gate(File);

impl Gate {
    pub(crate) fn lets(&self, count: usize) {
        let mut end = &self.0;
        end.write_all("\n".repeat(count).as_bytes()).expect("room");
    }
}

/// Reads one answer, whatever frames it, and not a byte more.
///
/// # Errors
/// It was cut off.
///
/// # Panics
/// Its framing is wrong.
pub(crate) fn try_read(stream: &mut impl Read, head_only: bool) -> io::Result<Answer> {
    let mut text = String::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status
        .and_then(|rest| rest.get(..3))
        .expect("a status line");
    let fields = lines
        .map(|line| line.split_once(": ").expect("a field"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut answer = Answer {
        status: status.parse().expect("a status"),
        fields,
        body: Vec::new(),
    };
    let framings = ["content-length", "transfer-encoding"];
    let framed = |name: &str| answer.fields.iter().filter(|(n, _)| n == name).count();
    let framed: usize = framings.iter().map(|name| framed(name)).sum();
    assert!(framed <= 1, "{answer:?}");
    if head_only || answer.status < 200 || matches!(answer.status, 204 | 304) {
        return Ok(answer);
    }
    if let Some(length) = answer.field("content-length") {
        answer.body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut answer.body)?;
    } else if answer.field("transfer-encoding").is_some() {
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        read_chunks(stream, &mut answer.body)?;
    } else {
        assert!(answer.closes(), "{answer:?}");
        stream.read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

fn read_chunks(stream: &mut impl Read, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(stream)?;
        let digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(digits && size.len() <= 8, "a size line: {size:?}");
        let size = usize::from_str_radix(&size, 16).expect("digits");
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        let mut end = [0; 2];
        stream.read_exact(&mut end)?;
        assert_eq!(&end, b"\r\n");
        if size == 0 {
            return Ok(());
        }
    }
}

/// A line without its CRLF.
fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        assert!(bytes.len() < 100_000, "a line without an end");
    }
    bytes.truncate(bytes.len() - 2);
    assert!(
        !bytes.contains(&b'\n') && !bytes.contains(&b'\r'),
        "a bare end of a line"
    );
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn read(stream: &mut impl Read) -> Answer {
    try_read(stream, false).expect("a whole answer")
}

/// The answers that these bytes are, and nothing else.
pub(crate) fn all(mut bytes: &[u8]) -> Vec<Answer> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        found.push(try_read(&mut bytes, false).expect("whole answers"));
    }
    found
}

/// The one answer that was heard, whole, with the end of the connection behind it.
pub(crate) fn one(heard: &Heard) -> Answer {
    let mut found = all(&heard.bytes);
    assert_eq!((found.len(), heard.end), (1, End::Fin));
    found.remove(0)
}

/// It was reset, and does not look whole. What of it arrived before that; where the beginning of an
/// answer has arrived, it has this status.
pub(crate) fn is_cut(heard: &Heard, status: u16) -> usize {
    assert_eq!(heard.end, End::Reset);
    let start = format!("HTTP/1.1 {status} ").into_bytes();
    let begun = heard.bytes.len().min(start.len());
    assert_eq!(heard.bytes[..begun], start[..begun]);
    // What has no framing ends with the connection, and that ended with a reset.
    let read = try_read(&mut &heard.bytes[..], false);
    let framed = |answer: &Answer| {
        let field = |name: &str| answer.field(name).is_some();
        field("content-length") || field("transfer-encoding")
    };
    assert!(!read.is_ok_and(|answer| framed(&answer)), "it looks whole");
    heard.bytes.len()
}

/// A request without a body.
pub(crate) fn bare(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

/// The head of a request with a body of so many bytes.
pub(crate) fn head(method: &str, target: &str, fields: &str, bytes: usize) -> Vec<u8> {
    bare(
        method,
        target,
        &format!("{fields}Content-Length: {bytes}\r\n"),
    )
}

pub(crate) fn post(target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    [&head("POST", target, fields, body.len())[..], body].concat()
}

/// The same in chunks of at most so many bytes, with what HTTP allows around them.
pub(crate) fn post_chunked(target: &str, fields: &str, body: &[u8], most: usize) -> Vec<u8> {
    let fields = format!("{fields}Transfer-Encoding: chunked\r\n");
    let mut request = bare("POST", target, &fields);
    for chunk in body.chunks(most) {
        request.extend_from_slice(format!("{:x};a=\"b\"\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\nDigest: none\r\n\r\n");
    request
}

/// Sends a whole request and reads its answer.
pub(crate) fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> Answer {
    stream.write_all(request).expect("a send");
    read(stream)
}

/// The answer on a connection of its own.
pub(crate) fn alone(server: &Server, request: &[u8]) -> Answer {
    ask(&mut server.connect(), request)
}

pub(crate) fn get(server: &Server, target: &str) -> Answer {
    alone(server, &bare("GET", target, ""))
}

/// A connection on which this was sent.
pub(crate) fn asking(server: &Server, request: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(request).expect("a send");
    stream
}

/// Sends everything before it reads, as simple clients do.
pub(crate) fn say_all_then_hear(
    stream: &mut (impl Read + Write),
    request: &[u8],
) -> (io::Result<()>, Heard) {
    let said = stream.write_all(request);
    (said, hear(stream))
}

/// One whole answer of this status, the last; nobody's send has failed.
pub(crate) fn one_last((said, heard): (io::Result<()>, Heard), status: u16) -> Option<Answer> {
    if !LINGERS {
        return None;
    }
    said.expect("the client's send never fails");
    let answer = one(&heard);
    assert_eq!(
        (answer.status, answer.closes()),
        (status, true),
        "{answer:?}"
    );
    Some(answer)
}

/// The connection still does what it is told.
pub(crate) fn is_kept(stream: &mut (impl Read + Write)) {
    let answer = ask(stream, &bare("GET", "/static.txt", ""));
    assert_eq!((answer.status, answer.closes()), (200, false));
    assert_eq!(answer.body, STATIC);
}

/// A body that looks like requests, each of which would be answered.
pub(crate) fn lookalike(bytes: usize) -> Vec<u8> {
    let request = b"GET /static.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut body = request.repeat(bytes / request.len() + 1);
    body.truncate(bytes);
    body
}

/// Whether the process is there, and not only its number.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until none of these processes is left.
pub(crate) fn all_end(pids: &[u32]) {
    for pid in pids {
        eventually(&format!("{pid} of {pids:?} ends"), || !lives(*pid));
    }
}

/// The process that starts scripts.
pub(crate) fn starter(server: &Server) -> u32 {
    let mut found = Vec::new();
    eventually("one starter", || {
        found = helpers(server);
        found.len() == 1
    });
    found[0]
}

/// Children of the starter: the scripts that run, and those that have not been reported.
pub(crate) fn running(starter: u32) -> usize {
    let children = format!("/proc/{starter}/task/{starter}/children");
    match fs::read_to_string(&children) {
        Ok(text) => text.split_whitespace().count(),
        Err(_) => 0,
    }
}

/// Waits until all that was sent on this connection has been read by the server.
pub(crate) fn is_taken(stream: &TcpStream) {
    let port = stream.local_addr().expect("TCP").port();
    let suffix = format!(":{port:04X}");
    eventually("all of it is taken", || {
        let table = fs::read_to_string("/proc/net/tcp").expect("/proc");
        let ours = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut ours = ours.filter(|words| {
            let ends = [words.get(1), words.get(2)].into_iter().flatten();
            ends.into_iter().any(|end| end.ends_with(&suffix))
        });
        // The queues of both ends: what is to be sent, what is to be read.
        ours.all(|words| match words[1].ends_with(&suffix) {
            true => words[4].starts_with("00000000:"),
            false => words[4].ends_with(":00000000"),
        })
    });
}

/// Everything is home, and the books are right.
pub(crate) fn ends(server: Server) -> Stopped {
    server.comes_home();
    server.stop()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
