//! Several ranges in one answer, seen from a client that reads multipart/byteranges strictly: what
//! the parts are, what becomes of lists that are too long, and of clients that read slowly or not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::{Answer, read_answer};
use common::root::Root;
use common::server::Server;
use common::{End, eventually, hear};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::time::{Duration, UNIX_EPOCH};

/// One part: first and last byte, and what it carries.
type Part = (u64, u64, Vec<u8>);

/// Bytes of which any piece in a wrong place is seen.
fn pattern(bytes: u32) -> Vec<u8> {
    let byte = |i: u32| u8::try_from((i % 251 + i / 251) % 256).unwrap();
    (0..bytes).map(byte).collect()
}

fn head(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn ranges(target: &str, ranges: &str) -> String {
    head(target, &format!("Range: bytes={ranges}\r\n"))
}

fn ask_on(stream: &mut TcpStream, head: &str) -> Answer {
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(stream, false)
}

fn boundary(answer: &Answer) -> &str {
    let media_type = answer.field("content-type").unwrap();
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap_or_else(|| panic!("{media_type}"));
    assert!((16..=70).contains(&boundary.len()), "{boundary}");
    assert!(boundary.bytes().all(|b| b.is_ascii_alphanumeric()));
    boundary
}

/// Takes a multipart answer to pieces (RFC 9110 section 14.6, RFC 2046 section 5.1.1): nothing
/// stands before the first boundary nor behind the last, and every part is as long as it says.
fn parts(answer: &Answer, size: u64, fields: &str) -> Vec<Part> {
    assert_eq!(answer.status, 206);
    assert_eq!(answer.field("content-range"), None);
    assert_eq!(answer.field("content-encoding"), None);
    let boundary = boundary(answer);
    let mut rest = answer.body.strip_prefix(b"--").expect("a boundary");
    let mut found = Vec::new();
    loop {
        rest = rest.strip_prefix(boundary.as_bytes()).expect("a boundary");
        if rest == b"--\r\n" {
            return found;
        }
        let start = format!("\r\n{fields}Content-Range: bytes ");
        rest = rest.strip_prefix(start.as_bytes()).expect("fields");
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let range = std::str::from_utf8(&rest[..end]).unwrap();
        let (range, total) = range.split_once('/').unwrap();
        assert_eq!(total, size.to_string());
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let length = usize::try_from(last - first + 1).unwrap();
        let (part, behind) = rest[end + 4..].split_at(length);
        found.push((first, last, part.to_vec()));
        rest = behind.strip_prefix(b"\r\n--").expect("a boundary");
    }
}

const OCTETS: &str = "Content-Type: application/octet-stream\r\n";

/// The parts, and that they are what `bytes` has in these places.
fn places(answer: &Answer, bytes: &[u8]) -> Vec<(u64, u64)> {
    let found = parts(answer, u64::try_from(bytes.len()).unwrap(), OCTETS);
    let place = |(first, last, part): &Part| {
        let from = usize::try_from(*first).unwrap();
        assert_eq!(*part, bytes[from..from + part.len()], "{first}-{last}");
        (*first, *last)
    };
    found.iter().map(place).collect()
}

fn peace(server: Server) -> common::server::Stopped {
    server.comes_home();
    server.stop()
}

#[test]
fn several_ranges_come_as_parts_on_a_connection_that_stays() {
    let root = Root::new();
    let bytes = pattern(100_000);
    root.file("data.bin", &bytes);
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    let mut seen = Vec::new();
    for (asked, expected) in [
        ("0-9,1000-1009", vec![(0, 9), (1000, 1009)]),
        // In the order of the request.
        (
            "90000-90009, 0-0,-1",
            vec![(90_000, 90_009), (0, 0), (99_999, 99_999)],
        ),
        // Parts larger than a buffer, and small ones between them.
        (
            "0-39999,50000-50009,60000-89999,90100-90100",
            vec![
                (0, 39_999),
                (50_000, 50_009),
                (60_000, 89_999),
                (90_100, 90_100),
            ],
        ),
        // Overlapping and near ones are joined.
        ("0-99,50-149,5000-5009", vec![(0, 149), (5000, 5009)]),
        ("0-99,179-200,5000-5009", vec![(0, 200), (5000, 5009)]),
        ("0-99,180-200", vec![(0, 99), (180, 200)]),
        // Beyond the end: dropped, or cut.
        ("100000-,0-9,5000-5001", vec![(0, 9), (5000, 5001)]),
        (
            "0-9,99990-99999999999999999999",
            vec![(0, 9), (99_990, 99_999)],
        ),
    ] {
        let answer = ask_on(&mut stream, &ranges("/data.bin", asked));
        assert!(!answer.closes());
        assert_eq!(places(&answer, &bytes), expected, "{asked}");
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert!(answer.field("etag").is_some() && answer.field("last-modified").is_some());
        seen.push(boundary(&answer).to_owned());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 8, "no boundary comes twice");
    drop(stream);
    peace(server);
}

#[test]
fn one_part_that_is_left_is_no_multipart() {
    let root = Root::new();
    let bytes = pattern(1000);
    root.file("data.bin", &bytes);
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    for (asked, shown) in [
        ("0-1,3-4", "bytes 0-4/1000"),
        ("0-9,1000-,2000-2001,-0", "bytes 0-9/1000"),
        ("500-,0-600", "bytes 0-999/1000"),
        ("1-1,-9223372036854775807", "bytes 0-999/1000"),
        (
            "-9223372036854775808,-18446744073709551616",
            "bytes 0-999/1000",
        ),
    ] {
        let answer = ask_on(&mut stream, &ranges("/data.bin", asked));
        let range = answer.field("content-range");
        assert_eq!((answer.status, range), (206, Some(shown)), "{asked}");
        assert_eq!(
            answer.field("content-type"),
            Some("application/octet-stream")
        );
    }
    for asked in ["1000-,2000-", "-0,1000-1001"] {
        let answer = ask_on(&mut stream, &ranges("/data.bin", asked));
        let range = answer.field("content-range");
        assert_eq!(
            (answer.status, range),
            (416, Some("bytes */1000")),
            "{asked}"
        );
    }
    drop(stream);
    peace(server);
}

#[test]
fn sixteen_parts_are_served_and_more_or_dearer_ones_are_the_whole() {
    let root = Root::new();
    let bytes = pattern(20_000);
    root.file("data.bin", &bytes);
    let server = Server::start(root.path(), &["memory.buffer_bytes=32KiB"]);
    let mut stream = server.connect();
    let list = |count: u32, apart: u32| {
        let specs = (0..count).map(|n| format!("{0}-{0}", n * apart));
        specs.collect::<Vec<_>>().join(",")
    };
    let answer = ask_on(&mut stream, &ranges("/data.bin", &list(16, 1000)));
    let expected: Vec<_> = (0..16).map(|n| (n * 1000, n * 1000)).collect();
    assert_eq!(places(&answer, &bytes), expected);
    // 16 near ones count as one.
    let near = format!("{},10000-10000", list(16, 80));
    let answer = ask_on(&mut stream, &ranges("/data.bin", &near));
    assert_eq!(places(&answer, &bytes), [(0, 1200), (10_000, 10_000)]);
    let overlapping: Vec<_> = (0..1000).map(|n| format!("{n}-{}", n + 5000)).collect();
    for (asked, shown) in [
        (list(1000, 19), Some("bytes 0-18981/20000")),
        (overlapping.join(","), Some("bytes 0-5999/20000")),
        ("0-,".repeat(1000), Some("bytes 0-19999/20000")),
        (list(17, 1000), None),
        (list(1000, 1000), None),
        (list(230, 81), None),
        // The second head costs more than the gap saves.
        ("0-9999,10080-".to_owned(), None),
    ] {
        let answer = ask_on(&mut stream, &ranges("/data.bin", &asked));
        let start = &asked[..20.min(asked.len())];
        if shown.is_none() {
            assert_eq!(
                (answer.status, answer.body == bytes),
                (200, true),
                "{start}"
            );
        }
        assert_eq!(answer.field("content-range"), shown, "{start}");
        let media_type = answer.field("content-type");
        assert_eq!(media_type, Some("application/octet-stream"), "{start}");
    }
    drop(stream);
    peace(server);
}

#[test]
fn head_and_conditions_are_as_for_one_range() {
    const LONG_AGO_S: u64 = 1_600_000_000;
    let root = Root::new();
    let bytes = pattern(10_000);
    root.file("data.bin", &bytes);
    let file = File::options()
        .write(true)
        .open(root.path().join("data.bin"));
    let long_ago = UNIX_EPOCH + Duration::from_secs(LONG_AGO_S);
    file.unwrap().set_modified(long_ago).unwrap();
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    let asked = "Range: bytes=0-9,5000-5009\r\n";
    let first = ask_on(&mut stream, &head("/data.bin", asked));
    assert_eq!(places(&first, &bytes), [(0, 9), (5000, 5009)]);
    let tag = first.field("etag").unwrap();
    for (condition, status) in [(tag, 206), ("\"another\"", 200)] {
        let fields = format!("{asked}If-Range: {condition}\r\n");
        let answer = ask_on(&mut stream, &head("/data.bin", &fields));
        assert_eq!(answer.status, status, "{condition}");
    }
    let fields = format!("{asked}If-None-Match: {tag}\r\n");
    assert_eq!(ask_on(&mut stream, &head("/data.bin", &fields)).status, 304);
    let bare = head("/data.bin", asked).replace("GET", "HEAD");
    stream.write_all(bare.as_bytes()).unwrap();
    let answer = read_answer(&mut stream, true);
    let length = answer.field("content-length");
    assert_eq!((answer.status, length), (200, Some("10000")));
    // HTTP/1.0 gets parts as well, and their length.
    let old = head("/data.bin", asked).replace("HTTP/1.1", "HTTP/1.0");
    let answer = ask_on(&mut stream, &old);
    assert!(answer.closes());
    assert_eq!(places(&answer, &bytes), [(0, 9), (5000, 5009)]);
    drop(stream);
    peace(server);
}

#[test]
fn parts_of_a_coded_file_are_of_the_coded_bytes_and_say_so() {
    let root = Root::new();
    let coded = pattern(5000);
    root.file("app.js", &[b'j'; 20_000]);
    root.file("app.js.gz", &coded);
    let server = Server::start(root.path(), &[]);
    let fields = "Accept-Encoding: gzip\r\nRange: bytes=0-9,-10\r\n";
    let answer = ask_on(&mut server.connect(), &head("/app.js", fields));
    let fields = "Content-Type: text/javascript; charset=utf-8\r\nContent-Encoding: gzip\r\n";
    let found = parts(&answer, 5000, fields);
    assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
    let expected = [
        (0, 9, coded[..10].to_vec()),
        (4990, 4999, coded[4990..].to_vec()),
    ];
    assert_eq!(found, expected);
    peace(server);
}

#[test]
fn parts_lie_beyond_4_gib_too() {
    const BYTES: u64 = (5 << 30) + 1;
    const FAR: u64 = (4 << 30) + 77;
    let root = Root::new();
    let file = root.sparse("giant.bin", BYTES);
    file.write_all_at(b"far", FAR).unwrap();
    file.write_all_at(b"end", BYTES - 3).unwrap();
    let server = Server::start(root.path(), &[]);
    let large = 100_000;
    let asked = format!("-3,{FAR}-{},1-{large}", FAR + 2);
    let answer = ask_on(&mut server.connect(), &ranges("/giant.bin", &asked));
    let expected = [
        (BYTES - 3, BYTES - 1, b"end".to_vec()),
        (FAR, FAR + 2, b"far".to_vec()),
        (1, large, vec![0; usize::try_from(large).unwrap()]),
    ];
    assert!(parts(&answer, BYTES, OCTETS) == expected);
    // Together longer than 32 bits can say.
    let asked = ranges("/giant.bin", &format!("0-9,1000-{}", BYTES - 100));
    let mut stream = server.connect();
    stream.write_all(asked.as_bytes()).unwrap();
    let mut start = [0; 1000];
    stream.read_exact(&mut start).unwrap();
    let start = String::from_utf8_lossy(&start);
    let length: u64 = (start.split_once("Content-Length: ").unwrap().1)
        .split_once("\r\n")
        .and_then(|(digits, _)| digits.parse().ok())
        .unwrap();
    assert!((BYTES - 1000..BYTES).contains(&length), "{length}");
    drop(stream);
    peace(server);
}

/// Three large parts, which no socket buffer holds.
const LARGE: &str = "0-3999999,5000000-8999999,10000000-13999999";

#[test]
fn a_client_that_reads_slowly_gets_every_byte() {
    let root = Root::new();
    let bytes = pattern(14_000_001);
    root.file("large.bin", &bytes);
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    // Pipelined: the next answers stand behind the last boundary.
    let small = ranges("/large.bin", "1-2,1000-1001");
    let all = [ranges("/large.bin", LARGE), small, head("/", "")].concat();
    stream.write_all(all.as_bytes()).unwrap();
    let mut slow = Slow(&mut stream);
    let answer = read_answer(&mut slow, false);
    let expected = [
        (0, 3_999_999),
        (5_000_000, 8_999_999),
        (10_000_000, 13_999_999),
    ];
    assert_eq!(places(&answer, &bytes), expected);
    let answer = read_answer(&mut slow, false);
    assert_eq!(places(&answer, &bytes), [(1, 2), (1000, 1001)]);
    assert_eq!(read_answer(&mut slow, false).status, 200);
    assert_eq!(
        ask_on(&mut stream, &head("/", "")).status,
        200,
        "it is kept"
    );
    drop(stream);
    peace(server);
}

/// Takes little at a time.
struct Slow<'s>(&'s mut TcpStream);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(1777);
        self.0.read(&mut into[..most])
    }
}

/// Asks for large parts and reads no further than the head.
fn begun(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let asked = ranges("/large.bin", LARGE);
    stream.write_all(asked.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 206");
    stream
}

#[test]
fn a_file_that_shrinks_during_a_part_never_looks_whole() {
    for kept in [2_000_000, 7_000_000] {
        let root = Root::new();
        let file = root.sparse("large.bin", 14_000_001);
        let server = Server::start(root.path(), &[]);
        let mut stream = begun(&server);
        file.set_len(kept).unwrap();
        let heard = hear(&mut stream);
        assert_eq!(heard.end, End::Reset);
        assert!(!heard.bytes.ends_with(b"--\r\n"));
        server.serves_a_good_client();
        drop(stream);
        assert_eq!(peace(server).counter("close.file-shrank"), 1);
    }
}

#[test]
fn where_no_work_is_free_the_whole_is_sent_and_nobody_is_locked_out() {
    let root = Root::new();
    let bytes = pattern(14_000_001);
    root.file("large.bin", &bytes);
    let keys = ["memory.buffers=2", "limits.connections_per_address=128"];
    let server = Server::start(root.path(), &keys);
    let mut first = begun(&server);
    let second = begun(&server);
    // There are as many works as buffers, and who does not read holds no buffer.
    for _ in 0..3 {
        server.serves_a_good_client();
        let answer = ask_on(
            &mut server.connect(),
            &ranges("/large.bin", "0-9,1000-1009"),
        );
        assert_eq!(answer.status, 200);
        assert!(answer.body == bytes);
    }
    drop(second);
    eventually("a work comes home", || {
        let asked = ranges("/large.bin", "0-9,1000-1009");
        ask_on(&mut server.connect(), &asked).status == 206
    });
    let mut rest = b"HTTP/1.1 206".as_slice().chain(&mut first);
    let answer = read_answer(&mut rest, false);
    assert_eq!(places(&answer, &bytes).len(), 3);
    drop(first);
    peace(server);
}

#[test]
fn many_clients_at_once_get_what_they_asked_for() {
    let root = Root::new();
    let bytes = pattern(2_000_000);
    root.file("large.bin", &bytes);
    let keys = ["memory.buffers=3", "limits.connections_per_address=128"];
    let server = Server::start(root.path(), &keys);
    let clients: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut stream = server.connect();
            let asked = format!("{n}-500000,600000-600009,700000-1200000");
            let asked = ranges("/large.bin", &asked);
            stream.write_all(asked.as_bytes()).unwrap();
            stream
        })
        .collect();
    let (mut in_parts, mut whole) = (0, 0);
    for (n, mut stream) in (0..).zip(clients) {
        let answer = read_answer(&mut stream, false);
        if answer.status == 200 {
            assert!(answer.body == bytes);
            whole += 1;
        } else {
            let expected = [(n, 500_000), (600_000, 600_009), (700_000, 1_200_000)];
            assert_eq!(places(&answer, &bytes), expected);
            in_parts += 1;
        }
    }
    assert!(in_parts >= 3, "{in_parts} in parts, {whole} whole");
    peace(server);
}
