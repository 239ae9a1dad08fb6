//! What is served and to whom: files, ranges, conditions, links, methods and kept connections, and
//! who gets in when slots or buffers are short. On real sockets, seen from the client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::{Answer, answers, only, read_answer};
use common::root::Root;
use common::server::Server;
use common::{End, eventually, hear, something_came};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const HALF_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nX-Ha";
const OTHER_HALF: &[u8] = b"lf: whole\r\n\r\n";
const ALLOW: Option<&str> = Some("GET, HEAD, OPTIONS");
/// A moment long past, so that an entity tag of that date is strong.
const LONG_AGO_S: u64 = 1_600_000_000;
const LONG_AGO: &str = "Sun, 13 Sep 2020 12:26:40 GMT";

/// A request head; each of `fields` ends with CRLF.
fn head(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// Asks on an open connection.
fn ask_on(stream: &mut TcpStream, head: &str) -> Answer {
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(stream, head.starts_with("HEAD "))
}

/// Asks on a connection of its own.
fn ask(server: &Server, head: &str) -> Answer {
    ask_on(&mut server.connect(), head)
}

fn get(server: &Server, target: &str, fields: &str) -> Answer {
    ask(server, &head("GET", target, fields))
}

/// The status of a GET.
fn status(server: &Server, target: &str) -> u16 {
    get(server, target, "").status
}

/// Bytes of which any piece in a wrong place is seen.
fn pattern(bytes: u32, seed: u32) -> Vec<u8> {
    let byte = |i: u32| u8::try_from((i % 251 + i / 251 + seed) % 256).unwrap();
    (0..bytes).map(byte).collect()
}

/// Makes a file as old as [`LONG_AGO`].
fn age(root: &Root, name: &str) {
    let file = File::options()
        .write(true)
        .open(root.path().join(name))
        .unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(LONG_AGO_S))
        .unwrap();
}

/// Connections that each have sent the same half of a head, and are known to the server.
fn half_heads(server: &Server, count: usize) -> Vec<TcpStream> {
    let busy = server.busy();
    let streams: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(HALF_HEAD).unwrap();
            stream
        })
        .collect();
    eventually("they all have a slot", || server.busy() == busy + count);
    streams
}

/// Downloads that have begun and wait for their reader.
fn downloads(server: &Server, count: usize) -> Vec<TcpStream> {
    let start = |_| {
        let mut stream = server.connect();
        let request = head("GET", "/large.bin", "");
        stream.write_all(request.as_bytes()).unwrap();
        something_came(&stream);
        stream
    };
    (0..count).map(start).collect()
}

/// How many have something to read: an answer or an end.
fn heard_of(streams: &[TcpStream]) -> usize {
    let silent = |stream: &&TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let seen = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        seen.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    streams.len() - streams.iter().filter(silent).count()
}

fn peace(server: Server) -> common::server::Stopped {
    server.comes_home();
    server.stop()
}

// ---- what is sent -----------------------------------------------------------------------------

#[test]
fn the_index_is_served_with_its_fields_and_head_says_the_same() {
    let root = Root::new();
    age(&root, "index.html");
    let server = Server::start(root.path(), &[]);
    let whole = get(&server, "/", "");
    let bytes = fs::read(root.path().join("index.html")).unwrap();
    assert_eq!((whole.status, &whole.body), (200, &bytes));
    let length = bytes.len().to_string();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", length.as_str()),
        ("last-modified", LONG_AGO),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(whole.field(name), Some(value), "{name}");
    }
    let date = whole.field("date").expect("a date");
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    let tag = whole.field("etag").expect("a tag");
    assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
    assert!(!whole.closes());

    let without_date = |answer: &Answer| -> Vec<(String, String)> {
        let fields = answer.fields.iter();
        fields.filter(|(name, _)| name != "date").cloned().collect()
    };
    let mut stream = server.connect();
    let bare = ask_on(&mut stream, &head("HEAD", "/", ""));
    assert_eq!(bare.status, 200);
    assert!(bare.field("date").is_some());
    assert_eq!(without_date(&bare), without_date(&whole));
    // No body follows: the next answer stands where it would.
    assert_eq!(ask_on(&mut stream, &head("GET", "/", "")).body, bytes);
    drop(stream);
    peace(server);
}

#[test]
fn what_the_client_has_already_is_not_sent_again() {
    let root = Root::new();
    age(&root, "index.html");
    let server = Server::start(root.path(), &[]);
    let tag = get(&server, "/", "").field("etag").unwrap().to_owned();
    let mut stream = server.connect();
    for fields in [
        format!("If-None-Match: {tag}\r\n"),
        format!("If-None-Match: \"other\", W/{tag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {LONG_AGO}\r\n"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask_on(&mut stream, &head(method, "/", &fields));
            assert_eq!(answer.status, 304, "{method} {fields}");
            assert_eq!(answer.field("etag"), Some(tag.as_str()));
            assert!(!answer.closes());
        }
    }
    for fields in [
        "If-None-Match: \"other\"\r\n".to_owned(),
        "If-Modified-Since: Sun, 13 Sep 2020 12:26:39 GMT\r\n".to_owned(),
        // The tag decides, not the date beside it.
        format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {LONG_AGO}\r\n"),
    ] {
        let answer = ask_on(&mut stream, &head("GET", "/", &fields));
        assert_eq!(answer.status, 200, "{fields}");
    }
    let failed = ask_on(&mut stream, &head("GET", "/", "If-Match: \"other\"\r\n"));
    assert_eq!(failed.status, 412);
    drop(stream);
    peace(server);
}

#[test]
fn single_ranges_are_cut_out_and_all_others_are_the_whole() {
    let root = Root::new();
    let bytes = pattern(1000, 0);
    root.file("data.bin", &bytes);
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    let mut ask = |method: &str, fields: &str| {
        let answer = ask_on(&mut stream, &head(method, "/data.bin", fields));
        assert!(!answer.closes());
        answer
    };
    for (range, first, last) in [
        ("0-9", 0, 9),
        ("-10", 990, 999),
        ("900-", 900, 999),
        ("999-999", 999, 999),
        ("0-5000", 0, 999),
        ("-5000", 0, 999),
        ("0-1,3-4", 0, 4),
    ] {
        let answer = ask("GET", &format!("Range: bytes={range}\r\n"));
        let shown = format!("bytes {first}-{last}/1000");
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.field("content-range"), Some(shown.as_str()));
        assert_eq!(answer.body, bytes[first..=last], "{range}");
    }
    for range in ["1000-", "1000-1001", "-0"] {
        let answer = ask("GET", &format!("Range: bytes={range}\r\n"));
        let shown = answer.field("content-range");
        assert_eq!((answer.status, shown), (416, Some("bytes */1000")));
    }
    for fields in [
        "Range: bytes=0-1\r\nRange: bytes=3-4\r\n",
        "Range: bytes=5-2\r\n",
        "Range: bytes=a-b\r\n",
        "Range: bytes=-\r\n",
        "Range: bytes=\r\n",
        "Range: lines=0-1\r\n",
        "Range: 0-1\r\n",
    ] {
        let answer = ask("GET", fields);
        assert_eq!((answer.status, &answer.body), (200, &bytes), "{fields}");
        assert_eq!(answer.field("content-range"), None);
    }
    let bare = ask("HEAD", "Range: bytes=0-9\r\n");
    let length = bare.field("content-length");
    assert_eq!((bare.status, length), (200, Some("1000")));
    drop(stream);
    peace(server);
}

#[test]
fn a_range_applies_only_to_the_file_it_was_meant_for() {
    let root = Root::new();
    root.file("data.bin", &pattern(1000, 0));
    age(&root, "data.bin");
    let server = Server::start(root.path(), &[]);
    let tag = get(&server, "/data.bin", "")
        .field("etag")
        .unwrap()
        .to_owned();
    for (condition, status, length) in [
        (tag.as_str(), 206, 10),
        (LONG_AGO, 206, 10),
        (&format!("W/{tag}"), 200, 1000),
        ("\"stale\"", 200, 1000),
        ("Sun, 13 Sep 2020 12:26:39 GMT", 200, 1000),
    ] {
        let fields = format!("Range: bytes=0-9\r\nIf-Range: {condition}\r\n");
        let answer = get(&server, "/data.bin", &fields);
        let found = (answer.status, answer.body.len());
        assert_eq!(found, (status, length), "{condition}");
    }
    // The file is another one now.
    root.file("data.bin", &pattern(1000, 1));
    let fields = format!("Range: bytes=0-9\r\nIf-Range: {tag}\r\n");
    assert_eq!(get(&server, "/data.bin", &fields).status, 200);
    peace(server);
}

#[test]
fn the_last_byte_of_a_large_file_comes_alone() {
    const BYTES: u64 = 200 << 20;
    let root = Root::new();
    let file = root.sparse("large.bin", BYTES);
    file.write_all_at(b"z", BYTES - 1).unwrap();
    let server = Server::start(root.path(), &[]);
    for range in [format!("{}-", BYTES - 1), "-1".to_owned()] {
        let answer = get(&server, "/large.bin", &format!("Range: bytes={range}\r\n"));
        assert_eq!((answer.status, answer.body.as_slice()), (206, &b"z"[..]));
        let shown = format!("bytes {0}-{0}/{BYTES}", BYTES - 1);
        assert_eq!(answer.field("content-range"), Some(shown.as_str()));
    }
    peace(server);
}

#[test]
fn a_file_above_4_gib_has_its_whole_length() {
    const BYTES: u64 = 6 << 30;
    const AT: u64 = 5 << 30;
    let root = Root::new();
    let file = root.sparse("giant.bin", BYTES);
    file.write_all_at(b"five gib..", AT).unwrap();
    let server = Server::start(root.path(), &[]);
    let bare = ask(&server, &head("HEAD", "/giant.bin", ""));
    let length = BYTES.to_string();
    assert_eq!(bare.field("content-length"), Some(length.as_str()));
    let range = format!("Range: bytes={AT}-{}\r\n", AT + 9);
    let answer = get(&server, "/giant.bin", &range);
    assert_eq!(answer.status, 206);
    assert_eq!(answer.body, b"five gib..");
    peace(server);
}

#[test]
fn ten_mebibytes_come_byte_for_byte() {
    let root = Root::new();
    let bytes = pattern(10 << 20, 3);
    root.file("large.bin", &bytes);
    let server = Server::start(root.path(), &[]);
    assert!(get(&server, "/large.bin", "").body == bytes);
    // Nor is a large part of it begun or ended elsewhere.
    let answer = get(&server, "/large.bin", "Range: bytes=1234567-9876543\r\n");
    assert_eq!(answer.status, 206);
    assert!(answer.body == bytes[1_234_567..=9_876_543]);
    peace(server);
}

#[test]
fn a_pipeline_of_small_and_large_files_comes_in_order() {
    const REQUESTS: u32 = 60;
    let root = Root::new();
    let mut pipeline = String::new();
    let mut expected = Vec::new();
    for i in 0..REQUESTS {
        // Small ones travel with their heads, large ones by themselves, some are empty.
        let bytes = [50, 300_000, 0, 7000][usize::try_from(i % 4).unwrap()];
        let name = format!("{}.bin", i % 12);
        expected.push(pattern(bytes, i % 12));
        root.file(&name, &pattern(bytes, i % 12));
        let last = i + 1 == REQUESTS;
        let fields = if last { "Connection: close\r\n" } else { "" };
        pipeline += &head("GET", &format!("/{name}"), fields);
    }
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    stream.write_all(pipeline.as_bytes()).unwrap();
    let heard = hear(&mut stream);
    assert_eq!(heard.end, End::Fin);
    let (found, rest) = answers(&heard.bytes, false);
    assert!(rest.is_empty());
    assert_eq!(found.len(), expected.len());
    for (index, (answer, bytes)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(answer.status, 200);
        assert!(&answer.body == bytes, "answer {index} has other bytes");
    }
    drop(stream);
    let requests = peace(server).counter("requests");
    assert_eq!(requests, u64::from(REQUESTS));
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_its_connection_only() {
    const BYTES: u64 = 64 << 20;
    let root = Root::new();
    let file = root.sparse("large.bin", BYTES);
    let server = Server::start(root.path(), &[]);
    let mut stream = downloads(&server, 1).remove(0);
    file.set_len(1 << 20).unwrap();
    let heard = hear(&mut stream);
    assert_ne!(heard.end, End::Silence);
    let promised = format!("\r\nContent-Length: {BYTES}\r\n");
    assert!(String::from_utf8_lossy(&heard.bytes[..500]).contains(&promised));
    assert!(u64::try_from(heard.bytes.len()).unwrap() < BYTES);
    assert_eq!(status(&server, "/"), 200);
    drop(stream);
    assert_eq!(peace(server).counter("close.file-shrank"), 1);
}

#[test]
fn a_file_that_grows_while_it_is_sent_gets_no_longer() {
    const BYTES: u64 = 32 << 20;
    let root = Root::new();
    let file = root.sparse("large.bin", BYTES);
    let server = Server::start(root.path(), &[]);
    let mut stream = downloads(&server, 1).remove(0);
    file.write_all_at(&[b'x'; 100_000], BYTES).unwrap();
    let answer = read_answer(&mut stream, false);
    assert_eq!(u64::try_from(answer.body.len()).unwrap(), BYTES);
    assert!(answer.body.iter().all(|byte| *byte == 0));
    // The next answer stands directly behind.
    assert_eq!(ask_on(&mut stream, &head("GET", "/", "")).status, 200);
    drop(stream);
    peace(server);
}

// ---- which file -------------------------------------------------------------------------------

#[test]
fn names_of_all_kinds_are_found() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    for (name, target) in [
        ("two words.txt", "/two%20words.txt"),
        ("100%.txt", "/100%25.txt"),
        ("grün.txt", "/gr%C3%BCn.txt"),
        ("what?.txt", "/what%3F.txt"),
        ("what?.txt", "/what%3f.txt?query"),
        ("a+b&c=d.txt", "/a+b&c=d.txt"),
        ("%41.txt", "/%2541.txt"),
        ("plain.txt", "/%70lain.txt"),
    ] {
        root.file(name, target.as_bytes());
        let answer = get(&server, target, "");
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.body, target.as_bytes());
    }
    for (target, expected) in [
        ("/none", 404),
        ("/A.txt", 404),
        ("/index.html/", 404),
        ("/index.html/x", 404),
        ("/plain.txt%2F", 404),
        ("/what?.txt", 404),
        ("/../index.html", 400),
        ("/%2e%2e/index.html", 400),
        ("/a%00b", 400),
        ("/100%.txt", 400),
    ] {
        assert_eq!(status(&server, target), expected, "{target}");
    }
    peace(server);
}

#[test]
fn a_directory_is_redirected_within_this_server() {
    let root = Root::new();
    fs::create_dir_all(root.path().join("sub/deep")).unwrap();
    root.file("sub/index.htm", b"below");
    let server = Server::start(root.path(), &[]);
    for (target, location) in [
        ("/sub", "/sub/"),
        ("/sub?a=1&b=%20", "/sub/?a=1&b=%20"),
        ("/sub/deep", "/sub/deep/"),
        ("//sub", "/sub/"),
        ("http://other.example/sub?q", "/sub/?q"),
    ] {
        let answer = get(&server, target, "");
        assert_eq!(answer.status, 301, "{target}");
        assert_eq!(answer.field("location"), Some(location));
        assert!(!answer.closes());
    }
    assert_eq!(get(&server, "/sub/", "").body, b"below");
    // It has no index, and nothing is listed.
    assert_eq!(status(&server, "/sub/deep/"), 403);
    peace(server);
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let root = Root::new();
    let made = Command::new("mkfifo")
        .arg(root.path().join("fifo"))
        .status();
    assert!(made.expect("mkfifo(1)").success());
    // The path of the root may be too long for a socket's name.
    let here = File::open(root.path()).unwrap();
    let socket = format!("/proc/self/fd/{}/socket", here.as_raw_fd());
    let _listener = UnixListener::bind(socket).unwrap();
    symlink("/dev/null", root.path().join("null")).unwrap();
    for policy in ["within", "follow"] {
        let key = format!("site.symlinks={policy}");
        let server = Server::start(root.path(), &[&key]);
        let mut stream = server.connect();
        for name in ["fifo", "socket", "null"] {
            for method in ["GET", "HEAD"] {
                let answer = ask_on(&mut stream, &head(method, &format!("/{name}"), ""));
                assert_eq!(answer.status, 403, "{method} {name} {policy}");
            }
            assert_eq!(status(&server, &format!("/{name}/")), 403);
        }
        drop(stream);
        peace(server);
    }
}

#[test]
fn links_lead_where_the_policy_lets_them() {
    let (outside, root) = (Root::new(), Root::new());
    outside.file("secret", b"outside");
    root.file("here", b"inside");
    fs::create_dir(root.path().join("sub")).unwrap();
    let link = |target: &std::path::Path, name: &str| {
        symlink(target, root.path().join(name)).unwrap();
    };
    let canonical = root.path().canonicalize().unwrap();
    link("here".as_ref(), "near");
    link("../here".as_ref(), "sub/up");
    link(&canonical.join("here"), "absolute");
    link(&outside.path().join("secret"), "far");
    link(outside.path(), "folder");
    link("../../../../../../../../../etc/passwd".as_ref(), "climb");
    link("loop".as_ref(), "loop");
    for (policy, inside, abroad) in [
        ("within", 200, 403),
        ("none", 403, 403),
        ("follow", 200, 200),
    ] {
        let keys = [
            format!("site.symlinks={policy}"),
            format!("service.sandbox_read={}", outside.path().display()),
        ];
        let server = Server::start(root.path(), &keys.each_ref().map(String::as_str));
        for target in ["/near", "/sub/up", "/absolute"] {
            assert_eq!(status(&server, target), inside, "{target} {policy}");
        }
        for target in ["/far", "/folder/secret"] {
            assert_eq!(status(&server, target), abroad, "{target} {policy}");
        }
        if policy != "follow" {
            assert_eq!(status(&server, "/climb"), 403, "{policy}");
        }
        let endless = if policy == "none" { 403 } else { 404 };
        assert_eq!(status(&server, "/loop"), endless, "{policy}");
        assert_eq!(status(&server, "/here"), 200);
        peace(server);
    }
}

// ---- requests ---------------------------------------------------------------------------------

#[test]
fn methods_are_answered_allowed_or_unknown() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    for target in ["*", "/x"] {
        let answer = ask_on(&mut stream, &head("OPTIONS", target, ""));
        assert_eq!((answer.status, answer.field("allow")), (200, ALLOW));
        assert_eq!(answer.field("content-length"), Some("0"));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let answer = ask_on(&mut stream, &head(method, "/", ""));
        let found = (answer.status, answer.field("allow"), answer.closes());
        assert_eq!(found, (405, ALLOW, false), "{method}");
    }
    let answer = ask_on(&mut stream, &head("BREW", "/", ""));
    assert_eq!((answer.status, answer.field("allow")), (501, None));
    let absolute = head("GET", "http://other.example:8080/index.html?q", "");
    assert_eq!(ask_on(&mut stream, &absolute).status, 200);
    let bare = head("GET", "http://other.example", "");
    assert_eq!(ask_on(&mut stream, &bare).status, 200);
    drop(stream);
    peace(server);
}

#[test]
fn a_malformed_request_is_the_last_of_its_connection() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    for (request, status) in [
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        ("GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400),
        ("GET /\r\nHost: h\r\n\r\n", 400),
        ("GET index.html HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET /#top HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: h\n\n", 400),
    ] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let heard = hear(&mut stream);
        let answer = only(&heard.bytes);
        let found = (answer.status, answer.closes(), heard.end);
        assert_eq!(found, (status, true, End::Fin), "{request:?}");
    }
    peace(server);
}

// ---- kept connections -------------------------------------------------------------------------

/// The answer to this is the last of its connection, and says so.
fn is_the_last(server: &Server, request: &str) {
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let heard = hear(&mut stream);
    let answer = only(&heard.bytes);
    let found = (answer.status, answer.closes(), heard.end);
    assert_eq!(found, (200, true, End::Fin), "{request}");
}

/// After the answer to this the connection takes another.
fn is_kept(server: &Server, request: &str) {
    let mut stream = server.connect();
    for _ in 0..2 {
        let answer = ask_on(&mut stream, request);
        assert_eq!((answer.status, answer.closes()), (200, false), "{request}");
    }
}

#[test]
fn agents_that_cannot_keep_a_connection_are_not_kept() {
    let root = Root::new();
    let of_agent = |agent: &str| head("GET", "/", &format!("User-Agent: {agent}\r\n"));
    let server = Server::start(root.path(), &[]);
    is_the_last(&server, &of_agent("Mozilla/2.0 (old)"));
    is_kept(&server, &of_agent("Mozilla/5.0 (X11)"));
    is_kept(&server, &of_agent("Old/1.0"));
    peace(server);
    let server = Server::start(root.path(), &["keepalive.off_agents=Old/,Older"]);
    is_the_last(&server, &of_agent("Old/1.0"));
    is_the_last(&server, &of_agent("Older"));
    is_kept(&server, &of_agent("Mozilla/2.0 (old)"));
    peace(server);
}

#[test]
fn the_last_request_of_a_connection_is_announced() {
    let root = Root::new();
    let server = Server::start(root.path(), &["keepalive.requests=3"]);
    let mut stream = server.connect();
    for last in [false, false, true] {
        let answer = ask_on(&mut stream, &head("GET", "/", ""));
        assert_eq!((answer.status, answer.closes()), (200, last));
    }
    let heard = hear(&mut stream);
    assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    drop(stream);
    peace(server);
    let server = Server::start(root.path(), &["keepalive.enabled=off"]);
    is_the_last(&server, &head("GET", "/", ""));
    is_the_last(&server, &head("GET", "/", "Connection: keep-alive\r\n"));
    peace(server);
}

#[test]
fn http_1_0_is_kept_only_when_it_asks() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    is_the_last(&server, "GET / HTTP/1.0\r\n\r\n");
    is_the_last(&server, "GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    let kept = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    is_kept(&server, kept);
    // Such a client must be told.
    let answer = ask(&server, kept);
    assert_eq!(answer.field("connection"), Some("keep-alive"));
    peace(server);
}

// ---- who gets in ------------------------------------------------------------------------------

#[test]
fn one_address_has_its_share_and_no_more() {
    let root = Root::new();
    let server = Server::start(root.path(), &["limits.connections_per_address=4"]);
    let mut busy = half_heads(&server, 4);
    for _ in 0..3 {
        let heard = hear(&mut server.connect());
        assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    }
    // One of them is idle: it goes for the next one, and nobody else does.
    busy[2].write_all(OTHER_HALF).unwrap();
    let answer = read_answer(&mut busy[2], false);
    assert_eq!((answer.status, answer.closes()), (200, false));
    let mut next = server.connect();
    assert_eq!(ask_on(&mut next, &head("GET", "/", "")).status, 200);
    let heard = hear(&mut busy[2]);
    assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    for index in [0, 1, 3] {
        busy[index].write_all(OTHER_HALF).unwrap();
        assert_eq!(read_answer(&mut busy[index], false).status, 200);
    }
    drop((busy, next));
    let stopped = peace(server);
    assert_eq!(stopped.counter("refused-address"), 3);
    assert_eq!(stopped.counter("evicted.idle"), 1);
    assert_eq!(stopped.counter("accepted"), 5);
}

#[test]
fn only_one_idle_connection_goes_for_a_new_one() {
    let root = Root::new();
    let keys = ["memory.connections=4", "limits.connections_per_address=100"];
    let server = Server::start(root.path(), &keys);
    let mut kept: Vec<TcpStream> = Vec::new();
    for _ in 0..4 {
        let mut stream = server.connect();
        assert_eq!(ask_on(&mut stream, &head("GET", "/", "")).status, 200);
        kept.push(stream);
    }
    let mut fifth = server.connect();
    assert_eq!(ask_on(&mut fifth, &head("GET", "/", "")).status, 200);
    let heard = hear(&mut kept[0]);
    assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin));
    for stream in &mut kept[1..] {
        assert_eq!(ask_on(stream, &head("GET", "/", "")).status, 200);
    }
    drop((kept, fifth));
    assert_eq!(peace(server).counter("evicted.idle"), 1);
}

#[test]
fn nobody_gives_way_while_nobody_waits() {
    let root = Root::new();
    root.sparse("large.bin", 16 << 20);
    let keys = [
        "memory.connections=4",
        "limits.connections_per_address=100",
        "timeout.head_ms=3s",
    ];
    let server = Server::start(root.path(), &keys);
    let downloads = downloads(&server, 2);
    let mut stalled = half_heads(&server, 2);
    for stream in &mut stalled {
        assert_eq!(only(&hear(stream).bytes).status, 408);
    }
    drop((downloads, stalled));
    let stopped = peace(server);
    assert_eq!(stopped.counter("evicted.stalled"), 0, "{stopped:?}");
    assert_eq!(stopped.counter("reject.late-head"), 2);
}

#[test]
fn half_sent_heads_on_all_slots_lock_nobody_out() {
    let root = Root::new();
    let keys = [
        "memory.connections=4",
        "limits.connections_per_address=100",
        "timeout.head_ms=30m",
    ];
    let server = Server::start(root.path(), &keys);
    let mut stalled = half_heads(&server, 4);
    let mut next = server.connect();
    assert_eq!(ask_on(&mut next, &head("GET", "/", "")).status, 200);
    // Whoever gave way was told, and in a way that invites to try again.
    let gone = heard_of(&stalled);
    assert!(gone > 0);
    let told = stalled
        .iter_mut()
        .filter(|stream| heard_of(std::slice::from_ref(*stream)) > 0);
    for stream in told {
        let answer = only(&hear(stream).bytes);
        assert_eq!((answer.status, answer.closes()), (408, true));
    }
    drop((stalled, next));
    let stopped = peace(server);
    let evicted = stopped.counter("evicted.stalled");
    assert!(evicted > 0, "{stopped:?}");
    assert_eq!(stopped.counter("reject.gave-way"), evicted, "{stopped:?}");
}

#[test]
fn half_sent_heads_give_way_and_downloads_do_not() {
    const BYTES: u64 = 16 << 20;
    let root = Root::new();
    root.sparse("large.bin", BYTES);
    let keys = [
        "memory.connections=4",
        "limits.connections_per_address=100",
        "timeout.head_ms=30m",
    ];
    let server = Server::start(root.path(), &keys);
    let mut downloads = downloads(&server, 2);
    // These two have a buffer each: only a slot is wanting.
    let stalled = half_heads(&server, 2);
    let mut next = server.connect();
    assert_eq!(ask_on(&mut next, &head("GET", "/", "")).status, 200);
    assert!(heard_of(&stalled) > 0);
    for stream in &mut downloads {
        let answer = read_answer(stream, false);
        assert_eq!(u64::try_from(answer.body.len()).unwrap(), BYTES);
    }
    drop((downloads, stalled, next));
    assert!(peace(server).counter("evicted.stalled") > 0);
}

/// Many slots, few buffers. All connections fit the queue: one that found it full would try again
/// after a second.
const FEW_BUFFERS: &[&str] = &[
    "memory.connections=40",
    "memory.buffers=8",
    "memory.backlog=128",
    "limits.connections_per_address=100",
    "timeout.head_ms=30m",
];

#[test]
fn half_sent_heads_in_all_buffers_lock_nobody_out() {
    let root = Root::new();
    let server = Server::start(root.path(), FEW_BUFFERS);
    // Whoever waits for a buffer makes another give way after a grace; who stands last among them
    // would be served when all others have had their turn. One try before the first grace is over
    // shows that a whole request needs none of that.
    let at_once = (0..5).any(|_| {
        let stalled = half_heads(&server, 30);
        let mut good = server.connect();
        good.write_all(GET).unwrap();
        assert_eq!(read_answer(&mut good, false).status, 200);
        let nobody_left = heard_of(&stalled) == 0;
        drop((stalled, good));
        server.comes_home();
        nobody_left
    });
    assert!(at_once, "a whole request waited for half-sent ones");
    peace(server);
}

#[test]
fn a_half_sent_head_that_waits_for_a_buffer_gets_its_answer() {
    let root = Root::new();
    let server = Server::start(root.path(), FEW_BUFFERS);
    let mut all = half_heads(&server, 30);
    let mut served = 0;
    // From the last to the first: those that have no buffer finish first.
    for stream in all.iter_mut().rev() {
        if stream.write_all(OTHER_HALF).is_err() {
            continue;
        }
        let mut bytes = [0; 12];
        // One that gave way may have been reset by what it still sent.
        if stream.read_exact(&mut bytes).is_ok() {
            assert!(&bytes == b"HTTP/1.1 200" || &bytes == b"HTTP/1.1 408");
            served += usize::from(&bytes == b"HTTP/1.1 200");
        }
    }
    drop(all);
    let stopped = peace(server);
    let gave_way = stopped.counter("reject.gave-way");
    assert_eq!(u64::try_from(served).unwrap() + gave_way, 30, "{stopped:?}");
}
