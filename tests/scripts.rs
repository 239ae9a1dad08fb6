//! Scripts as a client sees them: documents, redirects and how they are framed, on connections that
//! stay. On real sockets with real scripts; bodies are in `tests/scripts_bodies.rs`, ends in
//! `tests/scripts_ends.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::auth::{ALICE, Users, alice};
use common::http::Answer;
use common::scripts::{
    STATIC, Site, all, ask, asking, bare, ends, get, is_kept, one, post, read, try_read,
};
use common::{End, hear};
use std::fs;
use std::io::Write;

/// Name, text, status, body, and fields that must be there.
type Document<'d> = (&'d str, &'d str, u16, &'d str, &'d [(&'d str, &'d str)]);

const DOCUMENTS: &[Document<'_>] = &[
    (
        "plain",
        r"printf 'Content-Type: text/plain\n\nhello\n'",
        200,
        "hello\n",
        &[("content-type", "text/plain")],
    ),
    (
        "crlf",
        r"printf 'Content-Type:text/plain\r\nX-A:  b \r\n\r\nhello\n'",
        200,
        "hello\n",
        &[("content-type", "text/plain"), ("x-a", "b")],
    ),
    (
        "status",
        r"printf 'Status: 404 Nothing Here\nContent-Type: text/plain\n\nno\n'",
        404,
        "no\n",
        &[],
    ),
    (
        "broken",
        r"printf 'content-type: text/plain\nSTATUS: 503\nRetry-After: 7\n\nlater\n'",
        503,
        "later\n",
        &[("retry-after", "7")],
    ),
    (
        "away",
        r"printf 'Location: http://example.org/x?y#z\n\n'",
        302,
        "",
        &[
            ("location", "http://example.org/x?y#z"),
            ("content-length", "0"),
        ],
    ),
    (
        "moved",
        r"printf 'Status: 301\nLocation: https://e/\nContent-Type: text/html\n\n<p>gone'",
        301,
        "<p>gone",
        &[("location", "https://e/")],
    ),
    (
        "see",
        r"printf 'Location: /static.txt\nSet-Cookie: a=b\n\n'",
        302,
        "",
        &[("location", "/static.txt"), ("set-cookie", "a=b")],
    ),
    (
        "length",
        r"printf 'Content-Type: text/plain\nContent-Length: 6\n\nhello\n'",
        200,
        "hello\n",
        &[("content-length", "6")],
    ),
    (
        "more",
        r"printf 'Content-Type: text/plain\nContent-Length: 5\n\nhello, and more\n'",
        200,
        "hello",
        &[("content-length", "5")],
    ),
    (
        "none",
        r"printf 'Content-Type: text/plain\nContent-Length: 0\n\n'",
        200,
        "",
        &[("content-length", "0")],
    ),
    (
        "empty",
        r"printf 'Content-Type: text/plain\n\n'",
        200,
        "",
        &[],
    ),
    (
        "nothing",
        r"printf 'Status: 204 No Content\nX-A: b\n\n'",
        204,
        "",
        &[("x-a", "b")],
    ),
    (
        "nothing-but",
        r"printf 'Status: 204\nContent-Type: text/plain\nContent-Length: 2\n\nhi'",
        204,
        "",
        &[],
    ),
    (
        "same",
        r#"printf 'Status: 304 Not Modified\nETag: "x"\n\n'"#,
        304,
        "",
        &[("etag", "\"x\"")],
    ),
    (
        "bare",
        r"printf 'X-A: b\n\n'",
        200,
        "",
        &[("x-a", "b"), ("content-length", "0")],
    ),
    (
        "own",
        r"printf 'Date: then\nConnection: close\nKeep-Alive: x\nUpgrade: h2c\nTE: x
Trailer: x\nProxy-Authenticate: x\nX-CGI-Own: x\nTransfer-Encoding: identity
Content-Type: text/plain\nServer: mine\n\nown'",
        200,
        "own",
        &[("server", "mine")],
    ),
    (
        "slow-head",
        r"for part in Con tent- Type: ' text' '/plain' '
' '
' a b; do printf %s $part; printf ''; done; printf '\n'",
        502,
        "",
        &[],
    ),
];

fn documents() -> Site {
    let site = Site::with_echo();
    for (name, text, ..) in DOCUMENTS {
        site.script(name, text);
    }
    site
}

/// The answer is that of the document, with its fields.
fn is_document(answer: &Answer, document: &Document<'_>, head_only: bool) {
    let (name, _, status, body, fields) = document;
    assert_eq!(answer.status, *status, "{name}: {answer:?}");
    for (field, value) in *fields {
        assert_eq!(answer.field(field), Some(*value), "{name}: {answer:?}");
    }
    if *status != 502 {
        let expected = if head_only { "" } else { body };
        assert_eq!(String::from_utf8_lossy(&answer.body), expected, "{name}");
    }
    let mut left_out = vec![
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "x-cgi-own",
        "status",
    ];
    if matches!(status, 204 | 304) {
        left_out.extend(["content-length", "transfer-encoding"]);
    }
    for field in left_out {
        assert_eq!(answer.field(field), None, "{name}: {answer:?}");
    }
    let dates = answer.fields.iter().filter(|(field, _)| field == "date");
    let dates: Vec<&str> = dates.map(|(_, value)| value.as_str()).collect();
    assert!(dates.len() == 1 && dates[0].ends_with(" GMT"), "{dates:?}");
}

#[test]
fn documents_of_all_kinds_come_whole_in_every_version() {
    let site = documents();
    let server = site.start(&[]);
    let mut kept = server.connect();
    for document in DOCUMENTS {
        let target = format!("/cgi-bin/{}", document.0);
        let full = ask(&mut kept, &bare("GET", &target, ""));
        is_document(&full, document, false);
        assert!(!full.closes(), "{full:?}");
        kept.write_all(&bare("HEAD", &target, "")).unwrap();
        let head = try_read(&mut kept, true).unwrap();
        is_document(&head, document, true);
        // HEAD is told what GET is told, but for how the content is framed that does not come.
        let fields = |answer: &Answer| {
            let mut fields = answer.fields.clone();
            fields.retain(|(name, _)| name != "date" && name != "transfer-encoding");
            fields
        };
        assert_eq!(fields(&head), fields(&full), "{target}");
        for keep in ["", "Connection: keep-alive\r\n"] {
            let old = format!("GET {target} HTTP/1.0\r\n{keep}\r\n");
            let mut stream = asking(&server, old.as_bytes());
            let answer = read(&mut stream);
            is_document(&answer, document, false);
            assert_eq!(answer.field("transfer-encoding"), None, "{answer:?}");
            let framed = answer.field("content-length").is_some() || full.body.is_empty();
            if !keep.is_empty() && framed && !answer.closes() {
                assert_eq!(answer.field("connection"), Some("keep-alive"), "{target}");
                is_kept(&mut stream);
            } else {
                assert!(answer.closes(), "{target}: {answer:?}");
                let heard = hear(&mut stream);
                assert_eq!((heard.bytes.len(), heard.end), (0, End::Fin), "{target}");
            }
        }
    }
    is_kept(&mut kept);
    drop(kept);
    let stopped = ends(server);
    stopped.never_said("panic");
}

#[test]
fn what_declares_its_length_keeps_an_old_connection() {
    let site = documents();
    let server = site.start(&[]);
    for name in ["length", "more", "none", "away", "bare"] {
        let old = format!("GET /cgi-bin/{name} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let mut stream = server.connect();
        for _ in 0..3 {
            let answer = ask(&mut stream, old.as_bytes());
            assert_eq!(answer.field("connection"), Some("keep-alive"), "{name}");
        }
    }
    ends(server);
}

#[test]
fn cookies_stay_apart_and_in_their_order() {
    let site = Site::new();
    site.script(
        "cookies",
        r"printf 'Set-Cookie: a=1, x; Path=/\nContent-Type: text/plain\nSet-Cookie: b=2
set-cookie: c=3\nX-A: 1\nX-A: 2\n\n'",
    );
    let server = site.start(&[]);
    let answer = get(&server, "/cgi-bin/cookies");
    let values = |name: &str| -> Vec<String> {
        let fields = answer.fields.iter().filter(|(n, _)| n == name);
        fields.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(values("set-cookie"), ["a=1, x; Path=/", "b=2", "c=3"]);
    assert_eq!(values("x-a"), ["1", "2"]);
    ends(server);
}

#[test]
fn pipelines_around_scripts_are_answered_in_order() {
    let site = documents();
    let server = site.start(&[]);
    let page = bare("GET", "/static.txt", "");
    let plain = bare("GET", "/cgi-bin/plain", "");
    let echo = |body: &[u8]| post("/cgi-bin/echo", "", body);
    let pipeline = [
        (page.clone(), 200, STATIC),
        (plain.clone(), 200, b"hello\n"),
        (plain.clone(), 200, b"hello\n"),
        (
            echo(b"GET / HTTP/1.1\r\n\r\n"),
            200,
            b"GET / HTTP/1.1\r\n\r\n",
        ),
        (page.clone(), 200, STATIC),
        (bare("GET", "/cgi-bin/nothing", ""), 204, b""),
        (echo(b""), 200, b""),
        (bare("GET", "/cgi-bin/length", ""), 200, b"hello\n"),
        (bare("GET", "/cgi-bin/more", ""), 200, b"hello"),
        (bare("GET", "/none", ""), 404, b"-"),
        (echo(&[b'x'; 3000]), 200, &[b'x'; 3000]),
        (
            bare("GET", "/static.txt", "Connection: close\r\n"),
            200,
            STATIC,
        ),
    ];
    let bytes: Vec<u8> = pipeline.iter().flat_map(|(one, ..)| one.clone()).collect();
    for piece in [bytes.len(), 1000, 97, 1] {
        let mut stream = server.connect();
        for part in bytes.chunks(piece) {
            stream.write_all(part).unwrap();
        }
        let heard = hear(&mut stream);
        assert_eq!(heard.end, End::Fin);
        let answers = all(&heard.bytes);
        assert_eq!(answers.len(), pipeline.len(), "in pieces of {piece}");
        for (answer, (request, status, body)) in answers.iter().zip(&pipeline) {
            let request = String::from_utf8_lossy(request);
            assert_eq!(answer.status, *status, "{request}");
            assert!(
                *body == b"-" || answer.body == *body,
                "{request} {answer:?}"
            );
        }
    }
    let stopped = ends(server);
    assert_eq!(stopped.counter("close.reset-by-peer"), 0);
}

#[test]
fn a_local_redirect_is_answered_with_what_it_names() {
    let lacks = |feature| common::lacks("a_local_redirect_is_answered_with_what_it_names", feature);
    if !lacks("auth") && !lacks("listing") {
        local_redirects();
    }
}

fn local_redirects() {
    let (site, users) = (Site::with_echo(), Users::new(ALICE));
    site.place.directory("www/private");
    site.place.file("www/private/x.txt", b"secret");
    site.place.directory("www/denied");
    site.place.file("www/denied/x.txt", b"denied");
    let large: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    site.place.file("www/large.bin", &large);
    site.place.directory("www/listed");
    site.place.file("www/listed/one", b"1");
    site.script("to", r#"printf 'Location: %s\n\n' "$QUERY_STRING""#);
    let guard = users.guard("/private *", "Realm");
    let keys = [&guard, "site.access=/denied deny all", "site.listing=on"];
    let server = site.start(&keys);
    let mut kept = server.connect();
    let mut to = |place: &str, fields: &str| {
        let answer = ask(
            &mut kept,
            &bare("GET", &format!("/cgi-bin/to?{place}"), fields),
        );
        assert!(!answer.closes(), "{answer:?}");
        answer
    };
    let answer = to("/static.txt", "");
    assert_eq!((answer.status, &answer.body[..]), (200, STATIC));
    assert_eq!(
        answer.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(to("/large.bin", "").body, large);
    // It is a request of its own: neither range nor condition of the first one counts.
    let answer = to("/static.txt", "Range: bytes=0-1\r\nIf-None-Match: *\r\n");
    assert_eq!((answer.status, &answer.body[..]), (200, STATIC));
    assert!(to("/", "").body.starts_with(b"<!doctype html>"));
    let listing = to("/listed/", "");
    assert_eq!(listing.status, 200);
    assert!(String::from_utf8_lossy(&listing.body).contains("one"));
    let answer = to("/listed", "");
    assert_eq!(
        (answer.status, answer.field("location")),
        (301, Some("/listed/"))
    );
    assert_eq!(to("/none", "").status, 404);
    assert_eq!(to("/../x", "").status, 400);
    assert_eq!(to("/cgi-bin", "").status, 403);
    // Another script it does not lead to, nor this one again: the client is sent there.
    for place in ["/cgi-bin/echo", "/cgi-bin/to?/static.txt"] {
        let answer = to(place, "");
        assert_eq!(
            (answer.status, answer.field("location")),
            (302, Some(place))
        );
    }
    // Nothing that is guarded, whoever asks.
    assert_eq!(to("/denied/x.txt", "").status, 403);
    for fields in [String::new(), alice()] {
        let answer = to("/private/x.txt", &fields);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    let body = post("/cgi-bin/to?/static.txt", "", &[b'x'; 5000]);
    assert_eq!(ask(&mut kept, &body).body, STATIC);
    kept.write_all(&bare("HEAD", "/cgi-bin/to?/large.bin", ""))
        .unwrap();
    let answer = try_read(&mut kept, true).unwrap();
    assert_eq!(answer.field("content-length"), Some("300000"));
    is_kept(&mut kept);
    let old = b"GET /cgi-bin/to?/listed/ HTTP/1.0\r\n\r\n";
    let answer = one(&hear(&mut asking(&server, old)));
    assert_eq!(
        (answer.status, answer.field("transfer-encoding")),
        (200, None)
    );
    drop(kept);
    ends(server);
}

#[test]
fn a_local_redirect_is_asked_about_the_client_that_a_proxy_named() {
    let site = Site::new();
    site.place.directory("www/inner");
    site.place.file("www/inner/x.txt", b"inner");
    site.script("to", r#"printf 'Location: %s\n\n' "$QUERY_STRING""#);
    let keys = [
        "proxy.trusted=127.0.0.1",
        "site.access=/inner allow 127.0.0.1",
    ];
    let server = site.start(&keys);
    let mut stream = server.connect();
    for target in ["/inner/x.txt", "/cgi-bin/to?/inner/x.txt"] {
        let named = bare("GET", target, "X-Forwarded-For: 192.0.2.1\r\n");
        let answer = ask(&mut stream, &named);
        assert_eq!(answer.status, 403, "{target}: {answer:?}");
        let answer = ask(&mut stream, &bare("GET", target, ""));
        assert_eq!((answer.status, &answer.body[..]), (200, &b"inner"[..]));
    }
    drop(stream);
    ends(server);
}

#[test]
fn the_index_of_a_directory_may_be_a_script() {
    let site = Site::new();
    site.place.directory("www/app");
    let text = b"#!/bin/sh\nprintf 'Content-Type: text/plain\n\n%s|%s' $SCRIPT_NAME $PATH_INFO";
    site.program("app/index.cgi", text, "755");
    fs::remove_file(site.root().join("index.html")).unwrap();
    let server = site.start(&["site.scripts=*.cgi", "site.index=index.cgi,index.html"]);
    assert_eq!(get(&server, "/app/").body, b"/app/index.cgi|");
    assert_eq!(
        get(&server, "/app/index.cgi/more").body,
        b"/app/index.cgi|/more"
    );
    assert_eq!(get(&server, "/app").status, 301);
    assert_eq!(get(&server, "/").status, 403);
    ends(server);
}
