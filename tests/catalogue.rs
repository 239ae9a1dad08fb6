//! The catalogue of bad input: what has broken servers before, put to this one over real sockets.
//! One test for each row, named after what it attacks, with the CVE in its comment.
//!
//! These rows are shown elsewhere:
//!
//! | id | attack | shown by |
//! |---|---|---|
//! | CVE-2007-6750 | a head that never ends | `a_head_that_never_ends_gets_408` |
//! | CVE-2013-2028, CVE-2021-32714 | sizes of chunks that overflow | `chunks_are_well_formed` |
//! | CVE-2020-35884 | lenient Transfer-Encoding | `chunked_stands_alone` |
//! | CVE-2021-32715 | `Content-Length: +5` | `a_length_is_one_number` |
//! | CVE-2025-46728, CVE-2026-45352 | chunks beyond the limit | `chunks_are_well_formed` |
//! | uhttpd 2026 | sizes and ends of chunks | `chunks_are_well_formed` |
//! | uhttpd 2026 | bad trailers | `trailers_are_field_lines` |
//! | uhttpd 2026 | names with spaces | `field_names_are_tokens` |
//! | - | FIFOs, unix sockets | `what_is_no_regular_file_is_refused_at_once` |
//! | - | files that shrink, files that grow | `tests/files.rs` |
//! | - | files that sendfile(2) refuses | `tests/no_sendfile.rs` |
//! | - | files above 4 GiB | `a_file_above_4_gib_has_its_whole_length` |
//!
//! About passwords, bodies and scripts:
//!
//! - CVE-2011-4362, bytes from 0x80 on in credentials, base64 that is none:
//!   `no_value_makes_it_panic`
//! - uhttpd 2026, a hash as the password:
//!   `every_form_of_hash_lets_in_who_knows_the_password_and_nobody_else`
//! - CVE-2012-5640, malformed lines of users:
//!   `a_line_that_is_none_lets_nobody_in_and_hurts_nobody`
//! - CVE-2024-23771, the time of a comparison:
//!   `secrets_are_compared_in_constant_time`
//! - CVE-2008-4360, rules that go by case:
//!   `no_spelling_gets_around_a_rule`
//! - CVE-2017-17562, CVE-2016-5385, names of a query or of a field in an environment:
//!   `the_environment_is_exactly_this`
//! - CVE-2020-27304, uploads that climb out of the root:
//!   `nothing_outside_the_root_is_changed`
//! - CVE-2022-41556, a FIN in the middle of a chunk:
//!   `a_client_that_goes_in_the_middle_leaves_nothing`
//! - CVE-2025-46728, chunks of uploads beyond their bound:
//!   `chunks_beyond_the_bound_are_refused_at_the_size_line_that_says_so`
//! - CVE-2009-4490, escapes in lines of the log:
//!   `every_byte_alone_is_harmless_in_both_forms`
//!
//! These are about what adieu does not have: passwords as flags (CVE-2024-23770), DAV
//! (CVE-2026-27654). Aliases (CVE-2018-19052), dropped privileges (CVE-2013-4559) and listings
//! (CVE-2025-32108) are shown where these are tested: `tests/sites.rs`, `tests/service.rs`,
//! `tests/listing.rs`. No file system that ignores case is mounted for a test.
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
use common::http::{Answer, answers, only, read_answer};
use common::outside::status;
use common::root::Root;
use common::server::Server;
use common::{End, hear, skip, something_came};
use std::fs::{self, File};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const LINGERS: bool = matches!(BUILT, Teardown::Linger);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
/// What must never leave.
const SECRET: &[u8] = b"the secret of this device";

/// Asks on a connection of its own that this is the last request of; everything up to the FIN.
fn last(server: &Server, target: &[u8], fields: &[u8]) -> Answer {
    let close = b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    let mut stream = server.connect();
    let request = [b"GET ", target, close, fields, b"\r\n"].concat();
    stream.write_all(&request).unwrap();
    let heard = hear(&mut stream);
    assert_eq!(heard.end, End::Fin, "{}", target.escape_ascii());
    only(&heard.bytes)
}

fn peace(server: Server) -> common::server::Stopped {
    server.comes_home();
    server.serves_a_good_client();
    server.comes_home();
    server.stop()
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|part| part == text)
}

// ---- slots and memory ---------------------------------------------------------------------------

/// CVE-2022-41556 (lighttpd): a half-close in the middle of a body kept its slot for ever.
#[test]
fn a_half_close_in_the_middle_returns_its_slot() {
    let root = Root::new();
    root.sparse("large.bin", 1 << 20);
    let keys = [
        "memory.connections=8",
        "memory.backlog=128",
        "limits.connections_per_address=100",
        "timeout.body_ms=30m",
        "timeout.head_ms=30m",
        "keepalive.idle_ms=30m",
    ];
    let server = Server::start(root.path(), &keys);
    let mut open: Vec<TcpStream> = Vec::new();
    let chunked = "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for part in [
        "",
        "5",
        "5\r",
        "5\r\n",
        "5\r\nhel",
        "5\r\nhello",
        "5\r\nhello\r\n0\r\n",
        "5;a",
    ] {
        for head in [
            chunked,
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n",
            "G",
        ] {
            let mut stream = server.connect();
            let request = [head.as_bytes(), part.as_bytes()].concat();
            stream.write_all(&request).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            open.push(stream);
        }
    }
    // Nobody of them has closed, and no deadline is near.
    server.comes_home();
    server.serves_a_good_client();
    for stream in &mut open {
        assert_eq!(hear(stream).end, End::Fin);
    }
    drop(open);
    peace(server);
}

/// CVE-2010-0295 (lighttpd): a request that came byte by byte took a buffer for each.
#[test]
fn a_drip_feed_leaves_the_memory_flat() {
    const CLIENTS: usize = 20;
    let root = Root::new();
    // A buffer for each: nobody is to give way.
    let keys = [
        "memory.connections=64",
        "memory.buffers=64",
        "limits.connections_per_address=64",
    ];
    let server = Server::start(root.path(), &keys);
    let drip = |bytes: usize| {
        let mut streams: Vec<TcpStream> = (0..CLIENTS).map(|_| server.connect()).collect();
        let mut request = GET[..GET.len() - 2].to_vec();
        request.extend_from_slice(b"X: ");
        request.resize(request.len() + bytes, b'x');
        request.extend_from_slice(b"\r\n\r\n");
        for byte in request {
            for stream in &mut streams {
                stream.write_all(&[byte]).unwrap();
            }
        }
        for stream in &mut streams {
            assert_eq!(read_answer(stream, false).status, 200);
        }
        drop(streams);
        server.comes_home();
    };
    let memory = || {
        let file = server.proc("status");
        (status(&file, "VmData"), status(&file, "VmRSS"))
    };
    drip(7000); // every page of every buffer is touched once
    let before = memory();
    drip(2000);
    drip(7000);
    let after = memory();
    assert_eq!(after.0, before.0, "kB of data");
    assert!(
        after.1 <= before.1 + 64,
        "kB resident: {before:?} {after:?}"
    );
    peace(server);
}

/// CVE-2012-5533 (lighttpd): an empty member of Connection made an endless loop.
#[test]
fn empty_members_of_a_list_end() {
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    let commas = ",".repeat(7000);
    for list in [
        "a,,keep-alive",
        ",,,",
        " , ,\t,",
        ",a",
        "a,",
        commas.as_str(),
    ] {
        for name in [
            "Connection",
            "Expect",
            "Accept-Encoding",
            "If-None-Match",
            "Range",
        ] {
            let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{name}: {list}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let answer = read_answer(&mut stream, false);
            if name == "Expect" && list.contains('a') {
                assert_eq!((answer.status, answer.closes()), (417, true), "{list}");
                stream = server.connect();
            } else {
                assert_eq!(
                    (answer.status, answer.closes()),
                    (200, false),
                    "{name}: {list:.20}"
                );
            }
        }
    }
    drop(stream);
    peace(server);
}

/// CVE-2019-19945 (uhttpd): a negative length of a POST read beyond its buffer.
#[test]
fn lengths_of_uploads_are_numbers() {
    let root = Root::new();
    let server = Server::start(root.path(), &["linger.idle_ms=20s"]);
    for (length, status) in [
        ("-1", 400),
        ("-2147483648", 400),
        ("-9223372036854775808", 400),
        ("4294967295", 405),
        ("9223372036854775807", 405),
        ("18446744073709551615", 400),
        ("99999999999999999999999", 400),
    ] {
        for method in ["POST", "PUT"] {
            let mut stream = server.connect();
            let head =
                format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
            let request = [head.as_bytes(), &[b'x'; 5000]].concat();
            stream.write_all(&request).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let answer = only(&hear(&mut stream).bytes);
            assert_eq!(
                (answer.status, answer.closes()),
                (status, true),
                "{method} {length}"
            );
        }
    }
    peace(server);
}

// ---- ranges -------------------------------------------------------------------------------------

/// CVE-2011-3192 (Apache): many overlapping ranges each took memory.
#[test]
fn a_thousand_ranges_are_one_or_the_whole() {
    let root = Root::new();
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    root.file("data.bin", &bytes);
    let server = Server::start(root.path(), &[]);
    // Those that overlap are one; it is found without keeping a thousand.
    for (part, range) in [
        ("0-,", "bytes 0-99999/100000"),
        ("-1,", "bytes 99999-99999/100000"),
        ("5-9,", "bytes 5-9/100000"),
        (",,0-,", "bytes 0-99999/100000"),
    ] {
        let list = part.repeat(1000);
        let fields = format!("Range: bytes={}\r\n", list.trim_end_matches(','));
        let answer = last(&server, b"/data.bin", fields.as_bytes());
        let shown = answer.field("content-range");
        assert_eq!((answer.status, shown), (206, Some(range)), "{part}");
    }
    // A thousand that do not are the whole.
    let list: Vec<String> = (0..1000).map(|n| format!("{0}-{0}", n * 100)).collect();
    let fields = format!("Range: bytes={}\r\n", list.join(","));
    let keys = ["memory.buffer_bytes=32KiB"];
    let wide = Server::start(root.path(), &keys);
    let answer = last(&wide, b"/data.bin", fields.as_bytes());
    assert_eq!((answer.status, answer.field("content-range")), (200, None));
    assert!(answer.body == bytes);
    peace(wide);
    peace(server);
}

/// CVE-2017-7529 (nginx): a suffix near 2^63 overflowed, and what lay before the file leaked.
#[test]
fn ranges_near_the_end_of_numbers() {
    let root = Root::new();
    let bytes = b"0123456789";
    root.file("data.bin", bytes);
    let server = Server::start(root.path(), &[]);
    let ask = |range: &str| {
        let fields = format!("Range: bytes={range}\r\n");
        last(&server, b"/data.bin", fields.as_bytes())
    };
    for number in [
        "9223372036854775806",
        "9223372036854775807",
        "9223372036854775808",
        "9223372036854776000",
        "18446744073709551605",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551626",
        "99999999999999999999999999999999999999",
    ] {
        for range in [format!("-{number}"), format!("0-{number}")] {
            let answer = ask(&range);
            let shown = answer.field("content-range");
            assert_eq!(
                (answer.status, shown),
                (206, Some("bytes 0-9/10")),
                "{range}"
            );
            assert_eq!(answer.body, bytes, "{range}");
        }
        let answer = ask(&format!("{number}-"));
        let shown = answer.field("content-range");
        assert_eq!(
            (answer.status, shown),
            (416, Some("bytes */10")),
            "{number}-"
        );
        // Two that overlap are one, and never the sum of their lengths.
        let answer = ask(&format!("0-1,-{number}"));
        assert_eq!((answer.status, answer.body.as_slice()), (206, &bytes[..]));
    }
    peace(server);
}

// ---- paths --------------------------------------------------------------------------------------

/// `www` with `sub/deep` in it is to be served; beside it, in two places, lies the secret.
fn beside_a_secret() -> Root {
    let outer = Root::new();
    fs::create_dir_all(outer.path().join("www/sub/deep")).unwrap();
    fs::create_dir_all(outer.path().join("www-evil")).unwrap();
    outer.file("secret", SECRET);
    outer.file("www-evil/secret", SECRET);
    outer.file("www/index.html", b"the page");
    outer.file("www/sub/index.html", b"the page below");
    outer.file("www/file", b"a file");
    outer
}

/// Ways up, each to be followed by what is looked for. In the last the raw bytes matter.
const CLIMBS: &[&[u8]] = &[
    b"/../",
    b"/../../../../../../../../",
    b"//../",
    b"/./../",
    b"/.././",
    b"/sub/../../",
    b"/sub/deep/../../../",
    b"/sub//../../",
    b"/none/../../",
    b"/file/../../",
    b"/%2e%2e/",
    b"/%2E%2E/",
    b"/%2e%2E/",
    b"/.%2e/",
    b"/%2e./",
    b"/sub/%2e%2e/%2e%2e/",
    b"/cgi-bin/.%2e/.%2e/.%2e/.%2e/",
    b"/icons/.%%32%65/.%%32%65/",
    b"/%%32%65%%32%65/",
    b"/.%%32e/",
    b"/%252e%252e/",
    b"/%252e%252e%252f",
    b"/%25252e%25252e/",
    b"/..%2f",
    b"/..%2F..%2f",
    b"/%2e%2e%2f",
    b"/sub%2f..%2f..%2f",
    b"/..%252f",
    b"/..\\",
    b"/..%5c",
    b"/..%5C..%5c",
    b"/sub\\..\\..\\",
    b"/%5c..%5c",
    b"/..%255c",
    b"/%c0%ae%c0%ae/",
    b"/%c0%2e%c0%2e/",
    b"/%e0%80%ae%e0%80%ae/",
    b"/%f0%80%80%ae%f0%80%80%ae/",
    b"/..%c0%af",
    b"/..%e0%80%af",
    b"/..%c1%9c",
    b"/%uff0e%uff0e/",
    b"/%u002e%u002e/",
    b"/..;/",
    b"/..;a=b/",
    b"/sub/..;/..;/",
    b"/%2e%2e;/",
    b"/.../",
    b"/..../",
    b"/....//",
    b"/.. /",
    b"/..%20/",
    b"/..%00/",
    b"/%00/../",
    b"/..%0a/",
    b"/..%0d/",
    b"/..%09/",
    b"/..%ff/",
    b"/..?/../",
    b"/..#/",
    b"/sub/?/../../",
    b"/*/../../",
    b"/~/../../",
    b"/www/../../",
    b"/-evil/",
    b"/../www-evil/",
    b"../",
    b"..",
    b"%2e%2e/",
    b"\\..\\",
    b"/\x2e\x2e\x5c",
    b"/\xc0\xae\xc0\xae/",
];

/// CVE-2021-41773, CVE-2021-42013 (Apache), CVE-2000-0920 (boa), CVE-2004-2628 (thttpd): spellings
/// of a way up. None of them leads out of the root: alone, with a query, in absolute-form, to a
/// file, to a directory, with links and hidden names served or not.
#[test]
fn no_spelling_leads_out_of_the_root() {
    assert!(CLIMBS.len() >= 40);
    let outer = beside_a_secret();
    let www = outer.path().join("www");
    // The secret would be seen if it came: this server is to give it away.
    let open = Server::start(outer.path(), &[]);
    assert!(holds(&last(&open, b"/secret", b"").body, SECRET));
    drop(open);
    for keys in [&[][..], &["site.symlinks=follow", "site.dotfiles=serve"]] {
        let server = Server::start(&www, keys);
        for climb in CLIMBS {
            for file in [&b"secret"[..], b"etc/passwd", b"secret/", b""] {
                for form in [&b""[..], b"http://h", b"https://other.example:81"] {
                    for query in [&b""[..], b"?x=/../y"] {
                        let target = [form, climb, file, query].concat();
                        let answer = last(&server, &target, b"Accept-Encoding: gzip, br\r\n");
                        let shown = target.escape_ascii();
                        let inside = answer.body == b"the page" || answer.body == b"the page below";
                        let refused = matches!(answer.status, 400 | 403 | 404);
                        assert!(refused || inside, "{shown}: {answer:?}");
                        assert!(!holds(&answer.body, SECRET), "{shown}");
                        assert!(!holds(&answer.body, b"root:"), "{shown}");
                    }
                }
            }
        }
        peace(server);
    }
}

/// CVE-2021-42013 (Apache): decoding twice. It happens once, and what is left of an escape is
/// malformed.
#[test]
fn paths_are_decoded_once() {
    let outer = beside_a_secret();
    let www = outer.path().join("www");
    fs::create_dir(www.join("%2e%2e")).unwrap();
    fs::write(www.join("%2e%2e/secret"), "a name with percent signs").unwrap();
    let server = Server::start(&www, &[]);
    for (target, status) in [
        (&b"/.%2e/secret"[..], 400),
        (b"/%%32%65%%32%65/secret", 400),
        (b"/%%32e/secret", 400),
        (b"/%2", 400),
        (b"/%2g", 400),
        (b"/%-1", 400),
        (b"/%+2", 400),
        (b"/% 2", 400),
        (b"/%252e%252e/secret", 200),
        (b"/%25252e/secret", 404),
    ] {
        let answer = last(&server, target, b"");
        assert_eq!(answer.status, status, "{}", target.escape_ascii());
        assert!(!holds(&answer.body, SECRET));
    }
    peace(server);
}

/// CVE-2013-4547 (nginx): a blank that is not escaped, and a NUL behind one that is, made one name
/// mean two.
#[test]
fn blanks_and_nul_do_not_split_a_name() {
    let outer = beside_a_secret();
    let www = outer.path().join("www");
    fs::write(www.join("a "), "a name that ends with a blank").unwrap();
    let server = Server::start(&www, &[]);
    for (target, status) in [
        (&b"/a%20"[..], 200),
        (b"/a", 404),
        (b"/a ", 400),
        (b"/a b", 400),
        (b"/a \x00.php", 400),
        (b"/a%20%00", 400),
        (b"/a%20%00.php", 400),
        (b"/a%00", 400),
        (b"/file%00.html", 400),
        (b"/file /../../secret", 400),
        (b"/a /../secret", 400),
        (b"/a%20/../../secret", 400),
    ] {
        let answer = last(&server, target, b"");
        assert_eq!(answer.status, status, "{}", target.escape_ascii());
        assert!(!holds(&answer.body, SECRET));
    }
    peace(server);
}

/// CVE-2018-18778 (mini_httpd): an empty Host, or one with dots, chose the directory.
#[test]
fn host_chooses_no_directory() {
    let outer = beside_a_secret();
    let server = Server::start(&outer.path().join("www"), &[]);
    for (host, status) in [
        ("", 400),
        (" ", 400),
        ("..", 404),
        (".", 404),
        ("...", 404),
        ("%2e%2e", 404),
        ("../", 400),
        ("/", 400),
        ("/..", 400),
        ("../www-evil", 400),
        ("..\\", 400),
        ("www-evil", 404),
        ("..:80", 404),
    ] {
        for target in ["/secret", "/www-evil/secret", "//secret", "/etc/passwd"] {
            let mut stream = server.connect();
            let close = "Connection: close\r\n\r\n";
            let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{close}");
            stream.write_all(request.as_bytes()).unwrap();
            let answer = only(&hear(&mut stream).bytes);
            assert_eq!(answer.status, status, "{host:?} {target}");
            assert!(!holds(&answer.body, SECRET) && !holds(&answer.body, b"root:"));
        }
    }
    peace(server);
}

/// CVE-2019-16645 (GoAhead): Host was reflected into a redirect.
#[test]
fn redirects_name_no_host() {
    let outer = beside_a_secret();
    let server = Server::start(&outer.path().join("www"), &[]);
    for target in [
        "/sub",
        "//sub",
        "http://evil.example/sub",
        "/.//sub",
        "/\\..//sub",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false);
        let location = answer.field("location").unwrap_or("/none/");
        let local = location.starts_with('/') && !location.starts_with("//");
        assert!(local && !location.contains('\\'), "{target}: {location}");
        assert!(
            answer
                .fields
                .iter()
                .all(|(_, value)| !value.contains("evil"))
        );
        assert!(!holds(&answer.body, b"evil"));
    }
    peace(server);
}

/// CVE-2025-55763 (civetweb): a long URI overflowed its buffer.
#[test]
fn long_paths_end() {
    let outer = beside_a_secret();
    let server = Server::start(&outer.path().join("www"), &["linger.idle_ms=20s"]);
    for (part, times, status) in [
        ("/", 4096, 200),
        ("/", 4097, 414),
        ("/.", 2048, 200),
        ("/..", 1365, 400),
        ("/a", 2048, 404),
        ("/sub/..", 585, 200),
        ("/%2e", 1024, 200),
        ("/%41", 1024, 404),
        ("/sub", 1024, 404),
        ("/%", 2048, 400),
        // More than is read at once: in the other flavours the rest may reset the answer.
        ("/a", if LINGERS { 500_000 } else { 2049 }, 414),
        ("/?", 2048, 200),
    ] {
        let answer = last(&server, part.repeat(times).as_bytes(), b"");
        assert_eq!(answer.status, status, "{times} times {part}");
        assert!(!holds(&answer.body, SECRET));
    }
    let segment = [b"/".as_slice(), &b"x".repeat(4000)].concat();
    assert_eq!(last(&server, &segment, b"").status, 404);
    peace(server);
}

// ---- the log ------------------------------------------------------------------------------------

/// CVE-2009-4490, CVE-2009-4491 (thttpd, mini_httpd): sequences for a terminal went into the log.
/// There is no access log; whatever is logged at the level debug holds no byte of a client.
#[test]
fn nothing_of_a_client_reaches_the_log_raw() {
    const MARK: &str = "f00d-mark";
    let root = Root::new();
    fs::create_dir(root.path().join("dir")).unwrap();
    let server = Server::start(root.path(), &["log.level=debug"]);
    for sequence in [
        &b"\x1b[2J\x1b]0;x\x07"[..],
        b"\x9b31m",
        b"\r\nadieu: forged",
        b"\n",
        b"\r",
        b"\x00",
        b"\x7f\x08",
        b"\"'`$(x)%s%n%x",
        b"%1b%5b31m%0d%0aadieu:%20forged",
        b"\xe2\x80\xae",
    ] {
        let dirty = [MARK.as_bytes(), sequence].concat();
        let close = b"Connection: close\r\n\r\n";
        for request in [
            [b"GET /", &dirty[..], b" HTTP/1.1\r\nHost: h\r\n", close].concat(),
            [b"GET /dir?", &dirty[..], b" HTTP/1.1\r\nHost: h\r\n", close].concat(),
            [&dirty[..], b" / HTTP/1.1\r\nHost: h\r\n", close].concat(),
            [b"GET / ", &dirty[..], b"\r\nHost: h\r\n", close].concat(),
            [b"GET / HTTP/1.1\r\nHost: ", &dirty[..], b"\r\n", close].concat(),
            [
                b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: ",
                &dirty[..],
                b"\r\n",
                close,
            ]
            .concat(),
            [
                b"GET / HTTP/1.1\r\nHost: h\r\nReferer: ",
                &dirty[..],
                b"\r\n",
                close,
            ]
            .concat(),
            [
                b"GET / HTTP/1.1\r\nHost: h\r\n",
                &dirty[..],
                b": x\r\n",
                close,
            ]
            .concat(),
        ] {
            let mut stream = server.connect();
            let _ = stream.write_all(&request);
            let _ = stream.shutdown(Shutdown::Write);
            let heard = hear(&mut stream);
            assert_ne!(heard.end, End::Silence, "{}", request.escape_ascii());
        }
    }
    let stopped = peace(server);
    let told = stopped.lines.iter().filter(|line| line.contains("slot"));
    assert!(
        told.count() > 50,
        "the log tells nothing: {:?}",
        stopped.lines
    );
    for line in &stopped.lines {
        assert!(line.starts_with("adieu: "), "{line:?}");
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(!line.contains(MARK) && !line.contains("forged"), "{line:?}");
    }
}

// ---- odd files ----------------------------------------------------------------------------------

/// Links that lead nowhere, in circles, or too far: 404 at once.
#[test]
fn circles_of_links_end() {
    let root = Root::new();
    let link = |target: &str, name: &str| symlink(target, root.path().join(name)).unwrap();
    fs::create_dir(root.path().join("dir")).unwrap();
    link("self", "self");
    link("pong", "ping");
    link("ping", "pong");
    link(".", "dot");
    link("../dir", "dir/in");
    link("none", "dangling");
    link("index.html", "hop0");
    for n in 1..60 {
        link(&format!("hop{}", n - 1), &format!("hop{n}"));
    }
    link("grow/x", "grow");
    let server = Server::start(root.path(), &[]);
    for (target, status) in [
        ("/self", 404),
        ("/self/", 404),
        ("/ping", 404),
        ("/pong/x", 404),
        ("/grow", 404),
        ("/dangling", 404),
        ("/hop3", 200),
        ("/hop59", 404),
        ("/dot/dot/dot/index.html", 200),
        ("/dir/in/in/in/none", 404),
    ] {
        assert_eq!(
            last(&server, target.as_bytes(), b"").status,
            status,
            "{target}"
        );
    }
    let deep = format!("{}/index.html", "/dot".repeat(300));
    assert_eq!(
        last(&server, deep.as_bytes(), b"").status,
        404,
        "too many links"
    );
    peace(server);
}

/// A device in the tree is refused, and not opened: one that reads for ever, one that waits.
#[test]
fn devices_are_refused() {
    let root = Root::new();
    for (name, major, minor) in [("zero", "1", "5"), ("random", "1", "8"), ("tty", "5", "0")] {
        let mut mknod = Command::new("mknod");
        let made = mknod
            .arg(root.path().join(name))
            .args(["c", major, minor])
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            skip("devices_are_refused", "mknod(1) is not permitted here");
            return;
        }
    }
    for policy in ["site.symlinks=within", "site.symlinks=follow"] {
        let server = Server::start(root.path(), &[policy]);
        for name in ["/zero", "/random", "/tty", "/zero/"] {
            assert_eq!(
                last(&server, name.as_bytes(), b"Range: bytes=0-9\r\n").status,
                403
            );
        }
        peace(server);
    }
}

/// What the server's user may not read is 403, and so is what lies behind a directory that it may
/// not enter. Root may read everything: then the server runs as somebody else.
#[test]
fn what_the_user_may_not_read_is_forbidden() {
    const NOBODY: u32 = 65_534;
    let root = Root::new();
    for name in ["closed", "listed"] {
        fs::create_dir(root.path().join(name)).unwrap();
        root.file(&format!("{name}/file"), b"behind");
    }
    root.file("unreadable", SECRET);
    root.file("other", b"readable");
    root.file("other.gz", SECRET);
    let mode = |name: &str, mode| {
        fs::set_permissions(root.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, bits) in [
        ("unreadable", 0),
        ("other.gz", 0),
        ("closed", 0),
        ("listed", 0o444),
    ] {
        mode(name, bits);
    }
    mode("", 0o755);
    let mut command = Server::command("127.0.0.1:0", root.path(), &[]);
    if File::open(root.path().join("unreadable")).is_ok() {
        let mut version = Command::new(env!("CARGO_BIN_EXE_adieu"));
        let runs = version.arg("-t").arg("-d").arg(root.path());
        let runs = runs.uid(NOBODY).gid(NOBODY).output();
        if !runs.is_ok_and(|ran| ran.status.success()) {
            let reason = "root reads everything, and nobody else can run the program here";
            skip("what_the_user_may_not_read_is_forbidden", reason);
            return;
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let server = Server::run(command);
    for (target, status) in [
        ("/unreadable", 403),
        ("/unreadable/", 403),
        ("/closed", 301),
        ("/closed/", 403),
        ("/closed/file", 403),
        ("/closed/none", 403),
        ("/listed/file", 403),
        ("/other", 200),
        ("/", 200),
    ] {
        let fields = b"Accept-Encoding: gzip\r\n";
        let answer = last(&server, target.as_bytes(), fields);
        assert_eq!(answer.status, status, "{target}");
        assert!(!holds(&answer.body, SECRET) && !holds(&answer.body, b"behind"));
    }
    peace(server);
    mode("closed", 0o755);
    mode("listed", 0o755);
}

/// A file that is removed, or replaced by a rename, while it is sent: who began with it gets it
/// whole, who comes later gets what is there then.
#[test]
fn files_that_vanish_or_are_replaced_are_sent_whole() {
    const BYTES: usize = 16 << 20;
    let root = Root::new();
    let server = Server::start(root.path(), &[]);
    let path = |name: &str| root.path().join(name);
    for replaced in [false, true] {
        let old: Vec<u8> = (0..BYTES).map(|n| n.to_le_bytes()[2]).collect();
        root.file("large.bin", &old);
        let mut streams: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
        for stream in &mut streams {
            let request = b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n";
            stream.write_all(request).unwrap();
            something_came(stream);
        }
        if replaced {
            root.file("new", b"another");
            fs::rename(path("new"), path("large.bin")).unwrap();
        } else {
            fs::remove_file(path("large.bin")).unwrap();
        }
        for stream in &mut streams {
            let answer = read_answer(stream, false);
            assert!(answer.status == 200 && answer.body == old);
            // On the same connection, it is what it is now.
            stream
                .write_all(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
                .unwrap();
            let now = read_answer(stream, false);
            let expected = if replaced {
                (200, 7)
            } else {
                (404, now.body.len())
            };
            assert_eq!((now.status, now.body.len()), expected);
        }
    }
    peace(server);
}

/// Dates far away: Last-Modified is right or absent, never later than Date (RFC 9110 section
/// 8.8.2.1), and what it says is taken back as a condition.
#[test]
fn files_of_other_centuries_have_a_date_or_none() {
    let root = Root::new();
    for (name, date, expected) in [
        ("2040", "2040-01-01T00:00:00Z", None),
        ("2446", "2446-01-01T00:00:00Z", None),
        (
            "1901",
            "1901-12-14T20:53:20Z",
            Some("Sat, 14 Dec 1901 20:53:20 GMT"),
        ),
        (
            "1969",
            "1969-12-31T23:59:59Z",
            Some("Wed, 31 Dec 1969 23:59:59 GMT"),
        ),
        (
            "1970",
            "1970-01-01T00:00:00Z",
            Some("Thu, 01 Jan 1970 00:00:00 GMT"),
        ),
        (
            "2001",
            "2001-09-09T01:46:40Z",
            Some("Sun, 09 Sep 2001 01:46:40 GMT"),
        ),
    ] {
        root.file(name, b"x");
        let touched = Command::new("touch")
            .args(["-d", date])
            .arg(root.path().join(name))
            .status();
        assert!(touched.expect("touch(1)").success());
        let server = Server::start(root.path(), &[]);
        let target = format!("/{name}");
        let answer = last(&server, target.as_bytes(), b"");
        let shown = answer.field("last-modified");
        assert_eq!(answer.status, 200);
        match (shown, expected) {
            (None, _) => {}
            // A date to come is replaced by Date.
            (Some(_), None) => assert_eq!(shown, answer.field("date"), "{name}"),
            (Some(_), Some(_)) => assert_eq!(shown, expected, "{name}"),
        }
        println!("{name}: {shown:?}");
        for field in ["If-Modified-Since", "If-Unmodified-Since", "If-Range"] {
            for date in [
                shown,
                Some("Sat, 14 Dec 1901 20:53:20 GMT"),
                Some("Mon, 01 Jan 0001 00:00:00 GMT"),
            ] {
                let fields = format!(
                    "{field}: {}\r\nRange: bytes=0-0\r\n",
                    date.unwrap_or("none")
                );
                let status = last(&server, target.as_bytes(), fields.as_bytes()).status;
                assert!(
                    matches!(status, 200 | 206 | 304 | 412),
                    "{field} {date:?}: {status}"
                );
            }
        }
        if let Some(date) = shown.filter(|_| expected.is_some()) {
            let fields = format!("If-Modified-Since: {date}\r\n");
            assert_eq!(
                last(&server, target.as_bytes(), fields.as_bytes()).status,
                304,
                "{name}"
            );
        }
        peace(server);
    }
}

/// A name may hold every byte but NUL and the slash.
#[test]
fn names_of_every_byte_are_found() {
    let root = Root::new();
    let bytes: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let escaped = |name: &[u8]| {
        name.iter()
            .map(|byte| format!("%{byte:02X}"))
            .collect::<String>()
    };
    let mut names: Vec<Vec<u8>> = bytes.iter().map(|byte| vec![b'n', *byte]).collect();
    names.push(bytes.clone());
    let mut reversed = bytes;
    reversed.reverse();
    names.push(reversed);
    for name in &names {
        let path = root
            .path()
            .join(Path::new(std::ffi::OsStr::from_bytes(name)));
        fs::write(path, name).unwrap();
    }
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    for name in &names {
        let request = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", escaped(name));
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false);
        assert_eq!(answer.status, 200, "{}", name.escape_ascii());
        assert_eq!(&answer.body, name);
    }
    drop(stream);
    peace(server);
}

/// A directory of this name makes a redirect; no byte of it splits the head of the answer.
#[test]
fn directories_of_every_byte_do_not_split_an_answer() {
    let root = Root::new();
    for byte in (1..=255_u8).filter(|byte| *byte != b'/') {
        let name = [b'd', byte, b'e'];
        fs::create_dir(root.path().join(std::ffi::OsStr::from_bytes(&name))).unwrap();
    }
    let server = Server::start(root.path(), &[]);
    let mut stream = server.connect();
    for byte in (1..=255_u8).filter(|byte| *byte != b'/') {
        let request = format!("GET /d%{byte:02x}e HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false);
        let location = answer.field("location").unwrap();
        assert_eq!(answer.status, 301, "{byte:02x}");
        assert!(
            location.bytes().all(|b| b.is_ascii_graphic()),
            "{location:?}"
        );
        let request = format!("GET {location} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream, false).status, 403, "{location}");
    }
    drop(stream);
    peace(server);
}

/// Whatever comes, what stands in front of it is answered: nobody's garbage takes an answer away.
#[test]
fn garbage_behind_a_request_takes_no_answer_away() {
    let root = Root::new();
    let server = Server::start(root.path(), &["linger.idle_ms=20s"]);
    let mut seed = 0x9e37_79b9_u32;
    for _ in 0..200 {
        let mut garbage = GET.to_vec();
        for _ in 0..300 {
            // xorshift
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            garbage.push(seed.to_le_bytes()[1]);
        }
        let mut stream = server.connect();
        stream.write_all(&garbage).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let heard = hear(&mut stream);
        let (found, rest) = answers(&heard.bytes, false);
        assert_eq!(found[0].status, 200);
        assert!(rest.is_empty() && found.len() <= 2);
    }
    peace(server);
}
