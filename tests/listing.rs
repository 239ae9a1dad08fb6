//! Listings of directories: what a client sees of them, and what they cost the server. On real
//! sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::outside::status;
use common::root::Root;
use common::server::Server;
use common::{End, hear, moment, read_some, skip, something_came};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ON: &[&str] = &["site.listing=on"];
/// What memory may differ: a few pages that the kernel counts late.
const SLACK_KIB: u64 = 64;

// ---- reading ----------------------------------------------------------------------------------

/// An answer of any framing.
#[derive(Debug)]
struct Reply {
    status: u16,
    /// Names in lower case.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The fields that do not change from answer to answer.
    fn lasting(&self) -> Vec<&(String, String)> {
        let fields = self.fields.iter();
        fields.filter(|(name, _)| name != "date").collect()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a page in UTF-8")
    }

    /// The names on the page, in its order, from their references; directories with a slash.
    fn names(&self) -> Vec<Vec<u8>> {
        assert_eq!(self.status, 200, "{self:?}");
        let text = self.text();
        assert!(text.starts_with("<!doctype html>"), "{text}");
        assert!(text.ends_with("</html>\n"), "the page is not whole");
        self.references().iter().map(|r| decoded(r)).collect()
    }

    fn references(&self) -> Vec<&str> {
        let rows = self.text().split("<a href=\"./").skip(1);
        rows.map(|row| row.split_once('"').unwrap().0).collect()
    }
}

fn decoded(reference: &str) -> Vec<u8> {
    let mut parts = reference.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// Bytes up to and with `end`, one by one.
fn until(stream: &mut impl Read, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more of an answer");
        bytes.push(byte[0]);
    }
    bytes.truncate(bytes.len() - end.len());
    String::from_utf8(bytes).expect("ASCII")
}

/// Reads one answer and not a byte more; one without framing up to the end of the connection.
fn read_reply(stream: &mut impl Read, head_only: bool) -> Reply {
    let head = until(stream, b"\r\n\r\n");
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap();
    let status = first[..3].parse().unwrap();
    let fields = lines
        .map(|line| line.split_once(": ").expect("a field"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut reply = Reply {
        status,
        fields,
        body: Vec::new(),
    };
    let length: Option<u64> = reply.field("content-length").map(|n| n.parse().unwrap());
    let coding = reply.field("transfer-encoding").map(str::to_owned);
    match (length, coding.as_deref()) {
        _ if head_only || status == 304 => {}
        (None, Some("chunked")) => reply.body = read_chunks(stream),
        (Some(length), None) => {
            let read = stream.take(length).read_to_end(&mut reply.body).unwrap();
            assert_eq!(u64::try_from(read).unwrap(), length);
        }
        (None, None) => {
            let heard = hear(stream);
            assert_eq!(heard.end, End::Fin);
            reply.body = heard.bytes;
        }
        both => panic!("no framing of ours: {both:?}"),
    }
    reply
}

/// The content of chunks without extensions or trailers (RFC 9112 section 7.1).
fn read_chunks(stream: &mut impl Read) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let size = u64::from_str_radix(&until(stream, b"\r\n"), 16).expect("a size");
        let read = stream.take(size).read_to_end(&mut body).unwrap();
        assert_eq!(u64::try_from(read).unwrap(), size);
        assert_eq!(until(stream, b"\r\n"), "");
        if size == 0 {
            return body;
        }
    }
}

fn head(method: &str, target: &str, version: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/{version}\r\nHost: h\r\n{fields}\r\n")
}

fn ask_on(stream: &mut TcpStream, head: &str) -> Reply {
    stream.write_all(head.as_bytes()).unwrap();
    read_reply(stream, head.starts_with("HEAD "))
}

fn get(server: &Server, target: &str) -> Reply {
    ask_on(&mut server.connect(), &head("GET", target, "1.1", ""))
}

/// Asks for a listing and does not read it.
fn begin(server: &Server, target: &str) -> TcpStream {
    let mut stream = server.connect();
    let request = head("GET", target, "1.1", "");
    stream.write_all(request.as_bytes()).unwrap();
    something_came(&stream);
    stream
}

/// Files of such names in a directory of the root.
fn fill(root: &Root, folder: &str, names: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    fs::create_dir_all(root.path().join(folder)).unwrap();
    let mut made = Vec::new();
    for name in names {
        root.file(&format!("{folder}/{name}"), b"");
        made.push(name.into_bytes());
    }
    made.sort_by_key(|name| (name.to_ascii_lowercase(), name.clone()));
    made
}

/// A name of 255 bytes. Neither in the order of their making nor alike in case.
fn long_name(number: usize) -> String {
    let mixed = number * 7919 % 100_003;
    let letter = ["x", "X"][number % 2];
    format!("{letter}{mixed:06}{}", "y".repeat(248))
}

fn peace(server: Server) -> common::server::Stopped {
    server.comes_home();
    server.stop()
}

// ---- what is answered -------------------------------------------------------------------------

#[test]
fn directories_are_listed_only_when_told_so() {
    let root = Root::new();
    fill(&root, "d", ["f".to_owned()].into_iter());
    let server = Server::start(root.path(), &[]);
    let reply = get(&server, "/d/");
    assert_eq!(reply.status, 403);
    assert!(!reply.text().contains("href"));
    peace(server);
}

#[test]
fn a_listing_comes_in_chunks_and_the_connection_stays() {
    let root = Root::new();
    let names = fill(&root, "d", (0..500).map(|n| format!("file-{n}.txt")));
    let server = Server::start(root.path(), ON);
    let mut stream = server.connect();
    for _ in 0..3 {
        let reply = ask_on(&mut stream, &head("GET", "/d/", "1.1", ""));
        for (name, value) in [
            ("content-type", Some("text/html; charset=utf-8")),
            ("transfer-encoding", Some("chunked")),
            ("content-length", None),
            ("accept-ranges", None),
            ("connection", None),
        ] {
            assert_eq!(reply.field(name), value, "{name}");
        }
        assert_eq!(reply.names(), names);
        assert!(reply.text().contains("<title>Index of /d/</title>"));
        assert!(reply.text().contains("<p>500 entries.</p>"));
    }
    // Pipelined, with something else behind it.
    let both = head("GET", "/d/", "1.1", "") + &head("GET", "/", "1.1", "");
    stream.write_all(both.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream, false).names(), names);
    let index = fs::read(root.path().join("index.html")).unwrap();
    assert_eq!(read_reply(&mut stream, false).body, index);
    drop(stream);
    peace(server);
}

#[test]
fn http_1_0_gets_a_listing_that_ends_with_the_connection() {
    let root = Root::new();
    let names = fill(&root, "d", (0..500).map(|n| format!("file-{n}.txt")));
    let server = Server::start(root.path(), ON);
    for fields in ["", "Connection: keep-alive\r\n"] {
        let mut stream = server.connect();
        let reply = ask_on(&mut stream, &head("GET", "/d/", "1.0", fields));
        assert_eq!(reply.field("transfer-encoding"), None);
        assert_eq!(reply.field("content-length"), None);
        assert_ne!(reply.field("connection"), Some("keep-alive"));
        assert_eq!(reply.names(), names);
    }
    peace(server);
}

#[test]
fn head_says_the_same_and_sends_no_content() {
    let root = Root::new();
    fill(&root, "d", (0..500).map(|n| format!("file-{n}.txt")));
    let server = Server::start(root.path(), ON);
    let mut stream = server.connect();
    for _ in 0..3 {
        let bare = ask_on(&mut stream, &head("HEAD", "/d/", "1.1", ""));
        assert_eq!(bare.status, 200);
        let whole = ask_on(&mut stream, &head("GET", "/d/", "1.1", ""));
        // How it would be framed is left out (RFC 9110 section 9.3.2).
        let mut fields = whole.lasting();
        fields.retain(|(name, _)| name != "transfer-encoding");
        assert_eq!(bare.lasting(), fields);
    }
    drop(stream);
    peace(server);
}

#[test]
fn an_index_a_redirect_and_other_methods_are_as_before() {
    let root = Root::new();
    fill(&root, "d", ["f".to_owned()].into_iter());
    let server = Server::start(root.path(), ON);
    let index = fs::read(root.path().join("index.html")).unwrap();
    assert_eq!(get(&server, "/").body, index);
    let redirect = get(&server, "/d");
    assert_eq!(
        (redirect.status, redirect.field("location")),
        (301, Some("/d/"))
    );
    assert_eq!(get(&server, "/none/").status, 404);
    let mut stream = server.connect();
    for method in ["POST", "PUT", "DELETE"] {
        let request = head(method, "/d/", "1.1", "Content-Length: 0\r\n");
        let reply = ask_on(&mut stream, &request);
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.field("allow"), Some("GET, HEAD, OPTIONS"));
    }
    drop(stream);
    fs::remove_file(root.path().join("index.html")).unwrap();
    assert_eq!(get(&server, "/").names(), [b"d/"]);
    assert!(!get(&server, "/").text().contains("../"));
    assert!(get(&server, "/d/").text().contains("<a href=\"../\">"));
    peace(server);
}

#[test]
fn what_may_not_be_read_is_not_listed() {
    let root = Root::new();
    fill(&root, "d", ["f".to_owned()].into_iter());
    let path = root.path().join("d");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o311)).unwrap();
    if fs::read_dir(&path).is_ok() {
        skip(
            "what_may_not_be_read_is_not_listed",
            "this user may read everything",
        );
    } else {
        let server = Server::start(root.path(), ON);
        assert_eq!(get(&server, "/d/").status, 403);
        peace(server);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

// ---- what is shown ----------------------------------------------------------------------------

#[test]
fn every_name_that_is_shown_leads_to_its_file() {
    let root = Root::new();
    let folder = root.path().join("d");
    fs::create_dir_all(folder.join("sub")).unwrap();
    let odd: Vec<u8> = (1..=127).filter(|&b| b != b'/').collect();
    let names: [&[u8]; 9] = [
        b"<b>&\"'.txt",
        b"a:b",
        b"javascript:x",
        b"%41 ?#",
        b"\xff\xfe",
        b"\xe2\x80\xaeexe.txt",
        b" blank ",
        &odd,
        "\u{e4}\u{6f22}".as_bytes(),
    ];
    for name in names {
        fs::write(folder.join(OsStr::from_bytes(name)), name).unwrap();
    }
    symlink("a:b", folder.join("link")).unwrap();
    symlink("sub", folder.join("way")).unwrap();
    for (target, name) in [("none", "dangling"), ("/etc/passwd", "out")] {
        symlink(target, folder.join(name)).unwrap();
    }
    for name in [".hidden", ".well-known"] {
        fs::write(folder.join(name), "").unwrap();
    }
    let server = Server::start(root.path(), ON);
    let reply = get(&server, "/d/");
    let shown = reply.names();
    assert_eq!(&shown[..2], [&b"sub/"[..], b"way/"]);
    assert_eq!(shown.len(), names.len() + 3);
    for reference in reply.references() {
        let name = decoded(reference);
        let found = get(&server, &format!("/d/{reference}"));
        assert_eq!(found.status, 200, "{reference}");
        match &name[..] {
            b"sub/" | b"way/" => assert!(found.names().is_empty()),
            b"link" => assert_eq!(found.body, b"a:b"),
            name => assert_eq!(found.body, name),
        }
    }
    let text = reply.text();
    assert!(text.contains(">&lt;b&gt;&amp;&quot;&#39;.txt</a>"));
    assert!(!text.contains("<b>") && !text.contains('\u{202e}') && !text.contains("<script"));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    peace(server);
}

// ---- what it costs ----------------------------------------------------------------------------

#[test]
fn the_place_of_unfinished_uploads_is_not_shown() {
    let root = Root::new();
    for name in [".adieu-uploads", "sub/.ADIEU-UPLOADS.", ".adieu"] {
        fs::create_dir_all(root.path().join(name)).unwrap();
    }
    fs::write(root.path().join(".adieu-uploads/x"), "x").unwrap();
    symlink(".adieu-uploads", root.path().join("link")).unwrap();
    symlink(".adieu-uploads/x", root.path().join("file")).unwrap();
    let _ = fs::remove_file(root.path().join("index.html"));
    let keys = ["site.listing=on", "site.dotfiles=serve"];
    let server = Server::start(root.path(), &keys);
    assert!(get(&server, "/sub/").names().is_empty());
    let shown = get(&server, "/").names();
    assert!(shown.contains(&b".adieu/".to_vec()));
    for hidden in [&b".adieu-uploads/"[..], b"link", b"link/", b"file"] {
        assert!(!shown.contains(&hidden.to_vec()), "{shown:?}");
    }
    peace(server);
}

#[test]
fn ten_thousand_long_names_take_no_memory() {
    let root = Root::new();
    fill(&root, "small", (0..600).map(long_name));
    let names = fill(&root, "large", (0..10_000).map(long_name));
    let server = Server::start(root.path(), ON);
    // Touches every page that a listing ever needs.
    let mut stream = server.connect();
    ask_on(&mut stream, &head("GET", "/small/", "1.1", ""));
    let memory = || status(&server.proc("status"), "VmRSS");
    let before = memory();
    let reply = ask_on(&mut stream, &head("GET", "/large/", "1.1", ""));
    let after = memory();
    assert_eq!(reply.names(), names);
    println!("{before} KiB before, {after} KiB after");
    assert!(after <= before + SLACK_KIB, "{before} KiB, then {after}");
    drop(stream);
    peace(server);
}

#[test]
fn slow_readers_of_listings_lock_nobody_out() {
    let root = Root::new();
    let names = fill(&root, "d", (0..2000).map(long_name));
    let keys = [
        "site.listing=on",
        "memory.connections=40",
        "memory.buffers=16",
        "memory.backlog=64",
        "limits.connections_per_address=40",
        "timeout.write_ms=10m",
        "linger.idle_ms=10m",
        "linger.total_ms=20m",
    ];
    let server = Server::start(root.path(), &keys);
    let slow: Vec<TcpStream> = (0..16).map(|_| begin(&server, "/d/")).collect();
    let served = AtomicBool::new(false);
    thread::scope(|scope| {
        for mut stream in slow {
            let (served, names) = (&served, &names);
            scope.spawn(move || {
                // A little now and then, until the others are served; a part of it, for the end is
                // not to be waited for.
                let (mut had, mut room) = (Vec::new(), [0; 2048]);
                while !served.load(Ordering::SeqCst) && had.len() < 200_000 {
                    let count = read_some(&mut stream, &mut room);
                    had.extend_from_slice(&room[..count]);
                    moment();
                }
                let mut whole = had.as_slice().chain(&mut stream);
                assert_eq!(read_reply(&mut whole, false).names(), *names);
            });
        }
        for _ in 0..20 {
            server.serves_a_good_client();
        }
        served.store(true, Ordering::SeqCst);
    });
    let stopped = peace(server);
    for (name, count) in &stopped.counters {
        assert!(!name.starts_with("evicted"), "{name}={count}");
    }
}

#[test]
fn a_hundred_clients_list_at_once_and_all_finish() {
    let root = Root::new();
    let mut names = Vec::new();
    for folder in ["a", "b"] {
        names.push(fill(&root, folder, (0..600).map(long_name)));
    }
    let keys = [
        "site.listing=on",
        "memory.connections=128",
        "memory.buffers=100",
        "memory.backlog=128",
        "limits.connections_per_address=128",
    ];
    let server = Server::start(root.path(), &keys);
    thread::scope(|scope| {
        for number in 0..100 {
            let (server, names) = (&server, &names);
            scope.spawn(move || {
                let reply = get(server, ["/a/", "/b/"][number % 2]);
                assert_eq!(reply.names(), names[number % 2], "client {number}");
            });
        }
        // Who wants something else is not held up.
        for _ in 0..10 {
            server.serves_a_good_client();
        }
    });
    let stopped = peace(server);
    assert_eq!(stopped.counter("response.2xx"), 110);
}

#[test]
fn more_listings_than_a_client_may_have_are_told_to_come_again() {
    // RFC 9110 sections 15.6.4 and 10.2.3.
    let root = Root::new();
    fill(&root, "d", (0..2000).map(long_name));
    let keys = [
        "site.listing=on",
        "memory.connections=24",
        "memory.buffers=8",
        "proxy.trusted=127.0.0.0/8",
    ];
    let server = Server::start(root.path(), &keys);
    let ask = |stream: &mut TcpStream, client: u8| {
        let fields = format!("X-Forwarded-For: 192.0.2.{client}\r\n");
        let request = head("GET", "/d/", "1.1", &fields);
        stream.write_all(request.as_bytes()).unwrap();
        until(stream, b"\r\n\r\n")
    };
    let mut slow: Vec<TcpStream> = Vec::new();
    // Three quarters of the places are for one client, the last ones for others.
    for (client, status) in [(1, 200), (1, 503), (2, 200), (2, 503), (3, 503)] {
        let count = match (client, status) {
            (1, 200) => 6,
            (2, 200) => 2,
            _ => 1,
        };
        for _ in 0..count {
            let mut stream = server.connect();
            let answer = ask(&mut stream, client);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{client} {answer}"
            );
            assert_eq!(answer.contains("\r\nRetry-After: 1\r\n"), status == 503);
            slow.push(stream);
        }
    }
    server.serves_a_good_client();
    drop(slow);
    server.comes_home();
    assert_eq!(get(&server, "/d/").names().len(), 2000);
    peace(server);
}

#[test]
fn clients_that_leave_in_the_middle_lock_nobody_out() {
    let root = Root::new();
    let names = fill(&root, "d", (0..700).map(long_name));
    let server = Server::start(root.path(), ON);
    for _ in 0..3 {
        let gone: Vec<TcpStream> = (0..20).map(|_| begin(&server, "/d/")).collect();
        drop(gone);
        assert_eq!(get(&server, "/d/").names(), names);
    }
    peace(server);
}

#[test]
fn a_directory_that_is_removed_in_the_middle_ends_its_page() {
    let root = Root::new();
    let names = fill(&root, "d", (0..2000).map(long_name));
    let server = Server::start(root.path(), ON);
    let mut stream = begin(&server, "/d/");
    fs::remove_dir_all(root.path().join("d")).unwrap();
    let shown = read_reply(&mut stream, false).names();
    // Some were gone before others: what is shown is in order, but not the front of it.
    assert!(shown.len() < names.len());
    let mut left = names.iter();
    assert!(shown.iter().all(|name| left.any(|other| other == name)));
    assert_eq!(
        ask_on(&mut stream, &head("GET", "/d/", "1.1", "")).status,
        404
    );
    drop(stream);
    peace(server);
}
