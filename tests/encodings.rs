//! Files that were compressed beforehand, and names that begin with a dot. On real sockets, seen
//! from the client.
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
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, UNIX_EPOCH};

/// A moment long past, so that an entity tag of that date is strong.
const LONG_AGO_S: u64 = 1_600_000_000;
const VARY: Option<&str> = Some("Accept-Encoding");

/// A file of these bytes, modified so many seconds after [`LONG_AGO_S`].
fn file(root: &Root, name: &str, bytes: &[u8], later_s: u64) {
    root.file(name, bytes);
    let file = File::options().write(true).open(root.path().join(name));
    let time = UNIX_EPOCH + Duration::from_secs(LONG_AGO_S + later_s);
    file.unwrap().set_modified(time).unwrap();
}

/// Asks on a connection of its own; each of `fields` ends with CRLF.
fn ask(server: &Server, method: &str, target: &str, fields: &str) -> Answer {
    let mut stream = server.connect();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(&mut stream, method == "HEAD")
}

fn get(server: &Server, target: &str, fields: &str) -> Answer {
    ask(server, "GET", target, fields)
}

/// A GET with this Accept-Encoding; its coding and its body.
fn accepting(server: &Server, target: &str, accept: &str) -> (Option<String>, String) {
    let answer = get(server, target, &format!("Accept-Encoding: {accept}\r\n"));
    assert_eq!(answer.status, 200, "{accept}");
    assert_eq!(answer.field("vary"), VARY, "{accept}");
    let coding = answer.field("content-encoding").map(str::to_owned);
    (coding, String::from_utf8(answer.body).unwrap())
}

/// `app.js` in all codings, and a page in one.
fn site() -> Root {
    let root = Root::new();
    for (name, text) in [
        ("app.js", "the original"),
        ("app.js.br", "in brotli"),
        ("app.js.zst", "in zstd"),
        ("app.js.gz", "in gzip"),
        ("index.html", "a page"),
        ("index.html.gz", "a page in gzip"),
        ("alone.txt", "without siblings"),
    ] {
        file(&root, name, text.as_bytes(), 0);
    }
    root
}

fn peace(server: Server) {
    server.comes_home();
    server.stop();
}

#[test]
fn the_client_chooses_and_the_server_breaks_ties() {
    // RFC 9110 section 12.5.3.
    let root = site();
    let server = Server::start(root.path(), &[]);
    for (accept, coding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "in brotli"),
        ("gzip, deflate", Some("gzip"), "in gzip"),
        ("x-gzip", Some("gzip"), "in gzip"),
        ("GZIP;Q=1.000", Some("gzip"), "in gzip"),
        ("br;q=0.998, zstd;q=0.999", Some("zstd"), "in zstd"),
        ("br;q=0, *;q=0.1", Some("zstd"), "in zstd"),
        ("*", Some("br"), "in brotli"),
        ("br\r\nAccept-Encoding: gzip;q=0.5", Some("br"), "in brotli"),
        (
            "br;q=1.5, zstd;q=0.1234, gzip;q=0.1",
            Some("gzip"),
            "in gzip",
        ),
        ("identity;q=0.5, gzip;q=0.4", None, "the original"),
        ("*;q=0", None, "the original"),
        ("", None, "the original"),
        ("deflate", None, "the original"),
        // What cannot be met is disregarded: bytes are better than a 406.
        ("identity;q=0, deflate", None, "the original"),
    ] {
        let coding = coding.map(str::to_owned);
        let expected = (coding, body.to_owned());
        assert_eq!(accepting(&server, "/app.js", accept), expected, "{accept}");
    }
    let plain = get(&server, "/app.js", "");
    assert_eq!(
        (plain.field("content-encoding"), plain.field("vary")),
        (None, VARY)
    );
    let index = accepting(&server, "/", "gzip, br");
    assert_eq!(
        index,
        (Some("gzip".to_owned()), "a page in gzip".to_owned())
    );
    let alone = get(&server, "/alone.txt", "Accept-Encoding: br, gzip\r\n");
    assert_eq!((alone.status, alone.field("vary")), (200, None));
    peace(server);
}

#[test]
fn a_coded_file_has_its_own_fields_and_the_type_of_the_original() {
    // RFC 9110 sections 8.4, 8.8.3.3 and 9.3.2.
    let root = site();
    file(&root, "app.js.gz", b"in gzip", 60);
    let server = Server::start(root.path(), &[]);
    let plain = get(&server, "/app.js", "");
    let coded = get(&server, "/app.js", "Accept-Encoding: gzip\r\n");
    let both = |name: &str| (plain.field(name), coded.field(name));
    let script = Some("text/javascript; charset=utf-8");
    assert_eq!(both("content-type"), (script, script));
    assert_eq!(both("content-length"), (Some("12"), Some("7")));
    assert_eq!(both("vary"), (VARY, VARY));
    assert_eq!(both("content-encoding"), (None, Some("gzip")));
    let (one, other) = both("etag");
    assert!(one.is_some() && other.is_some() && one != other);
    let (one, other) = both("last-modified");
    assert_eq!(one, Some("Sun, 13 Sep 2020 12:26:40 GMT"));
    assert_eq!(other, Some("Sun, 13 Sep 2020 12:27:40 GMT"));
    let bare = ask(&server, "HEAD", "/app.js", "Accept-Encoding: gzip\r\n");
    let undated = |answer: &Answer| {
        let fields = answer.fields.clone().into_iter();
        fields
            .filter(|(name, _)| name != "date")
            .collect::<Vec<_>>()
    };
    assert_eq!(undated(&bare), undated(&coded));
    peace(server);
}

#[test]
fn conditions_and_ranges_are_about_the_chosen_one() {
    // RFC 9110 sections 13.1.2, 13.1.5, 14.2 and 15.4.5.
    let root = site();
    let server = Server::start(root.path(), &[]);
    let gzip = "Accept-Encoding: gzip\r\n";
    let tag = |answer: &Answer| answer.field("etag").unwrap().to_owned();
    let plain = tag(&get(&server, "/app.js", ""));
    let coded = tag(&get(&server, "/app.js", gzip));
    for (accept, given, status) in [
        (gzip, &coded, 304),
        (gzip, &plain, 200),
        ("", &plain, 304),
        ("", &coded, 200),
    ] {
        let fields = format!("{accept}If-None-Match: {given}\r\n");
        let answer = get(&server, "/app.js", &fields);
        assert_eq!(
            (answer.status, answer.field("vary")),
            (status, VARY),
            "{fields}"
        );
    }
    for (accept, given, status, body) in [
        (gzip, &coded, 206, "gzip"),
        (gzip, &plain, 200, "in gzip"),
        ("", &plain, 206, "inal"),
        ("", &coded, 200, "the original"),
    ] {
        let fields = format!("{accept}Range: bytes=-4\r\nIf-Range: {given}\r\n");
        let answer = get(&server, "/app.js", &fields);
        assert_eq!(
            (answer.status, answer.field("vary")),
            (status, VARY),
            "{fields}"
        );
        assert_eq!(answer.body, body.as_bytes(), "{fields}");
        let is_coded = answer.field("content-encoding").is_some();
        assert_eq!(is_coded, accept == gzip);
    }
    let last = get(&server, "/app.js", &format!("{gzip}Range: bytes=7-\r\n"));
    let shown = last.field("content-range");
    assert_eq!((last.status, shown), (416, Some("bytes */7")));
    peace(server);
}

#[test]
fn what_is_old_or_no_regular_file_or_not_configured_is_passed_over() {
    let root = Root::new();
    for name in ["old", "same", "folder", "linked", "outside"] {
        file(&root, name, b"original", 10);
    }
    file(&root, "old.br", b"left over", 9);
    file(&root, "old.gz", b"fresh", 11);
    file(&root, "same.gz", b"as old", 10);
    fs::create_dir(root.path().join("folder.gz")).unwrap();
    symlink("same.gz", root.path().join("linked.gz")).unwrap();
    symlink("/etc/passwd", root.path().join("outside.gz")).unwrap();
    let every = "Accept-Encoding: br, zstd, gzip\r\n";
    let body = |server: &Server, name: &str| {
        let answer = get(server, &format!("/{name}"), every);
        let varies = answer.field("vary") == VARY;
        assert_eq!(varies, answer.field("content-encoding").is_some());
        String::from_utf8(answer.body).unwrap()
    };
    let server = Server::start(root.path(), &[]);
    for (name, text) in [
        ("old", "fresh"),
        ("same", "as old"),
        ("folder", "original"),
        ("linked", "as old"),
        ("outside", "original"),
    ] {
        assert_eq!(body(&server, name), text, "{name}");
    }
    peace(server);
    for (keys, same, linked) in [
        (&["site.precompressed=none"][..], "original", "original"),
        (&["site.precompressed=br"], "original", "original"),
        (&["site.symlinks=none"], "as old", "original"),
    ] {
        let server = Server::start(root.path(), keys);
        assert_eq!(body(&server, "same"), same, "{keys:?}");
        if keys != ["site.symlinks=none"] {
            assert_eq!(body(&server, "linked"), linked, "{keys:?}");
        }
        peace(server);
    }
}

#[test]
fn a_coded_file_asked_for_by_its_own_name_is_a_file() {
    // RFC 9110 section 8.4: the coding is inherent to what was asked for.
    let root = site();
    file(&root, "app.js.gz.gz", b"twice", 0);
    let server = Server::start(root.path(), &[]);
    let answer = get(&server, "/app.js.gz", "Accept-Encoding: gzip\r\n");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"in gzip"[..])
    );
    assert_eq!(answer.field("content-type"), Some("application/gzip"));
    assert_eq!(answer.field("content-encoding"), None);
    assert_eq!(answer.field("vary"), None);
    peace(server);
}

#[test]
fn names_with_a_dot_are_hidden_until_they_are_served() {
    // RFC 8615 section 3 for the exception.
    let root = Root::new();
    for name in [".git", ".well-known", "a"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    for name in [
        ".git/HEAD",
        ".htpasswd",
        ".well-known/x",
        ".well-known/.y",
        "a/.z",
    ] {
        root.file(name, b"here");
    }
    symlink("../.git", root.path().join("a/git")).unwrap();
    for (keys, hidden) in [(&[][..], 404), (&["site.dotfiles=serve"], 200)] {
        let server = Server::start(root.path(), keys);
        for name in [
            "/.git/HEAD",
            "/.htpasswd",
            "/%2Ehtpasswd",
            "/.well-known/.y",
            "/a/.z",
        ] {
            assert_eq!(get(&server, name, "").status, hidden, "{name}");
        }
        for name in ["/.well-known/x", "/a/git/HEAD"] {
            assert_eq!(get(&server, name, "").status, 200, "{name}");
        }
        assert_eq!(get(&server, "/.none", "").status, 404);
        peace(server);
    }
}
