//! What a script finds when it starts: its environment, its directory, its descriptors, its
//! signals. Seen by scripts of the built program, for clients of all kinds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::auth::{ALICE, Users, alice, basic};
use common::scripts::{
    CROWD, RULE, STATIC, Site, ask, asking, bare, ends, get, one, post, post_chunked, read,
};
use common::server::Server;
use common::{PATIENCE, eventually, hear, skip};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

/// Says what it was started with, before the shell has changed it.
const ENVIRONMENT: &str =
    r"printf 'Content-Type: application/octet-stream\n\n'; cat /proc/$$/environ";

type Environment = BTreeMap<String, String>;

fn site() -> Site {
    let site = Site::new();
    site.script("env", ENVIRONMENT);
    site
}

/// The environment that the script says it has; no variable twice.
fn environment(body: &[u8]) -> Environment {
    let mut found = Environment::new();
    for variable in body.split(|byte| *byte == 0).filter(|one| !one.is_empty()) {
        let text = String::from_utf8_lossy(variable);
        let (name, value) = text.split_once('=').expect("a variable");
        let before = found.insert(name.to_owned(), value.to_owned());
        assert_eq!(before, None, "{name} stands there twice");
    }
    found
}

fn tell(stream: &mut (impl Read + Write), request: &[u8]) -> Environment {
    let answer = ask(stream, request);
    assert_eq!(answer.status, 200, "{answer:?}");
    environment(&answer.body)
}

fn pairs(pairs: &[(&str, &str)]) -> Environment {
    let owned = pairs
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    owned.collect()
}

#[test]
#[allow(clippy::too_many_lines, reason = "each variable has its line")]
fn the_environment_is_exactly_this() {
    let site = site();
    let mut command = site.command(&[]);
    // Nothing of the server's own.
    command.envs([
        ("SECRET", "x"),
        ("LD_PRELOAD_NOT", "y"),
        ("HTTP_SECRET", "z"),
    ]);
    let server = Server::run(command);
    let port = server.port().to_string();
    let root = fs::canonicalize(site.root()).unwrap();
    let translated = format!("{}/a b/c", root.display());
    let software = format!("adieu/{}", env!("CARGO_PKG_VERSION"));
    let always = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        (
            "PATH",
            "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        ),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_HOST", "127.0.0.1"),
        ("SCRIPT_NAME", "/cgi-bin/env"),
        ("SERVER_NAME", "h"),
        ("SERVER_PORT", port.as_str()),
        ("SERVER_SOFTWARE", software.as_str()),
        ("HTTP_HOST", "h"),
    ];
    let with = |more: &[(&str, &str)]| {
        let mut all = pairs(&always);
        all.extend(pairs(more));
        all
    };
    let mut stream = server.connect();
    let plain = tell(&mut stream, &bare("GET", "/cgi-bin/env", ""));
    let expected = with(&[
        ("PATH_INFO", ""),
        ("QUERY_STRING", ""),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/cgi-bin/env"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
    ]);
    assert_eq!(plain, expected);

    let fields = format!(
        "User-Agent: tester\r\ncookie: a=1\r\nCookie: b=2\r\nX-A: 1\r\nx-a: 2\r\n\
         {}Proxy-Authorization: Basic eA==\r\nProxy: http://evil/\r\nConnection: X-Hop\r\n\
         X-Hop: h\r\nTE: trailers\r\nKeep-Alive: x\r\nUpgrade: h2c\r\nX_A: 3\r\nX.B: 4\r\n\
         Content-Type: text/x; a=\"b\"\r\nContent-Md5: m\r\n",
        alice()
    );
    let target = "/cgi-bin//env/./a%20b/z/../c?PATH=/evil&LD_PRELOAD=x&a=%00%0A+b";
    let full = tell(&mut stream, &post(target, &fields, b"12345"));
    let expected = with(&[
        ("PATH_INFO", "/a b/c"),
        ("PATH_TRANSLATED", &translated),
        ("QUERY_STRING", "PATH=/evil&LD_PRELOAD=x&a=%00%0A+b"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", target),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("CONTENT_LENGTH", "5"),
        ("CONTENT_TYPE", "text/x; a=\"b\""),
        ("HTTP_USER_AGENT", "tester"),
        ("HTTP_COOKIE", "a=1; b=2"),
        ("HTTP_X_A", "1, 2"),
        ("HTTP_CONTENT_MD5", "m"),
    ]);
    assert_eq!(full, expected);

    let chunked = tell(
        &mut stream,
        &post_chunked("/cgi-bin/env", "Trailer: Digest\r\n", b"123", 2),
    );
    let expected = with(&[
        ("PATH_INFO", ""),
        ("QUERY_STRING", ""),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/cgi-bin/env"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("CONTENT_LENGTH", "3"),
    ]);
    assert_eq!(chunked, expected);

    // Every method has its name, and an old client no Host.
    for method in ["PUT", "DELETE", "PATCH"] {
        let told = tell(&mut stream, &bare(method, "/cgi-bin/env", ""));
        assert_eq!(told["REQUEST_METHOD"], method);
    }
    let mut old = asking(&server, b"GET /cgi-bin/env? HTTP/1.0\r\n\r\n");
    let told = environment(&one(&hear(&mut old)).body);
    assert_eq!(
        (&*told["SERVER_PROTOCOL"], &*told["SERVER_NAME"]),
        ("HTTP/1.0", "127.0.0.1")
    );
    assert_eq!(
        (&*told["REQUEST_URI"], &*told["QUERY_STRING"]),
        ("/cgi-bin/env?", "")
    );
    assert!(!told.contains_key("HTTP_HOST"));
    drop((stream, old));
    ends(server);
}

#[test]
fn what_would_be_two_things_or_does_not_fit_is_refused() {
    let site = site();
    let server = site.start(&[]);
    let mut stream = server.connect();
    for (fields, target, status) in [
        (
            "Content-Type: a/b\r\nContent-Type: c/d\r\n",
            "/cgi-bin/env",
            400,
        ),
        ("", "/cgi-bin/env/%00", 400),
        ("", "/cgi-bin/env/a%0Ab", 400),
        ("", "/cgi-bin/env/%1b[31m", 400),
        ("", "/cgi-bin/env/%7F", 400),
    ] {
        let answer = ask(&mut stream, &post(target, fields, b"x"));
        assert_eq!(answer.status, status, "{target} {fields:?}");
        assert!(!answer.closes());
    }
    // A field that names a variable of ours does not become it.
    let fields = "Path-Info: x\r\nRemote-User: root\r\nHttp-Proxy: x\r\nContent-Length: 0\r\n";
    let told = tell(&mut stream, &bare("POST", "/cgi-bin/env", fields));
    assert_eq!(told["PATH_INFO"], "");
    assert_eq!(told["HTTP_PATH_INFO"], "x");
    assert_eq!(told["HTTP_HTTP_PROXY"], "x");
    assert!(!told.contains_key("REMOTE_USER") && !told.contains_key("HTTP_PROXY"));
    // Where there is no body, there is no length.
    assert!(!told.contains_key("CONTENT_LENGTH"));
    // Bytes that are no text.
    let request = b"GET /cgi-bin/env/%FF%C3%A9 HTTP/1.1\r\nHost: h\r\nX-A: \xe9\xff\r\n\r\n";
    let answer = ask(&mut stream, request);
    let has = |needle: &[u8]| answer.body.windows(needle.len()).any(|part| part == needle);
    assert!(has(b"PATH_INFO=/\xff\xc3\xa9\0") && has(b"HTTP_X_A=\xe9\xff\0"));
    drop(stream);
    ends(server);
}

#[test]
fn a_query_gives_no_arguments() {
    let site = Site::new();
    site.script(
        "arguments",
        r#"printf 'Content-Type: a/b\n\n%s|%s|%s' "$#" "$0" "$*""#,
    );
    let text = b"printf 'Content-Type: a/b\n\n%s|%s|%s' \"$#\" \"$0\" \"$*\"";
    site.place.file("www/x.shell", text);
    let server = site.start(&["site.scripts=*.shell /bin/sh"]);
    for query in [
        "",
        "?",
        "?-c",
        "?-d+allow_url_include=1",
        "?a+b",
        "?--help",
        "?-s",
    ] {
        let body = get(&server, &format!("/cgi-bin/arguments{query}")).body;
        assert_eq!(body, b"0|./arguments|", "{query}");
        let body = get(&server, &format!("/x.shell{query}")).body;
        assert_eq!(body, b"0|./x.shell|", "{query}");
    }
    ends(server);
}

#[test]
fn an_interpreter_is_told_which_file_it_is() {
    let site = Site::new();
    site.place.directory("www/app");
    site.place.file("www/app/x.shell", ENVIRONMENT.as_bytes());
    let server = site.start(&["site.scripts=*.shell /bin/sh"]);
    let told = tell(&mut server.connect(), &bare("GET", "/app/x.shell/more", ""));
    let root = fs::canonicalize(site.root()).unwrap();
    let file = root.join("app/x.shell").display().to_string();
    assert_eq!(told["SCRIPT_FILENAME"], file);
    assert_eq!(told["REDIRECT_STATUS"], "200");
    assert_eq!(told["SCRIPT_NAME"], "/app/x.shell");
    assert_eq!(told["PATH_INFO"], "/more");
    ends(server);
}

#[test]
fn who_was_let_in_is_named_and_his_password_is_not() {
    let (site, users) = (site(), Users::new(ALICE));
    let server = site.start(&[&users.guard("/cgi-bin *", "Realm")]);
    let mut stream = server.connect();
    assert_eq!(
        ask(&mut stream, &bare("GET", "/cgi-bin/env", "")).status,
        401
    );
    let wrong = basic("alice", "wrong");
    assert_eq!(
        ask(&mut stream, &bare("GET", "/cgi-bin/env", &wrong)).status,
        401
    );
    let told = tell(&mut stream, &bare("GET", "/cgi-bin/env", &alice()));
    assert_eq!(
        (&*told["REMOTE_USER"], &*told["AUTH_TYPE"]),
        ("alice", "Basic")
    );
    let secret = |value: &String| value.contains("wonderland") || value.contains("Basic ");
    assert!(!told.values().any(secret), "{told:?}");
    // With a body, with PATH_INFO, behind each other.
    for request in [
        post("/cgi-bin/env/more", &alice(), &[b'x'; 20_000]),
        post_chunked("/cgi-bin/env", &alice(), &[b'x'; 20_000], 999),
    ] {
        assert_eq!(tell(&mut stream, &request)["REMOTE_USER"], "alice");
    }
    // Nothing was run for whoever was not let in.
    drop(stream);
    assert_eq!(ends(server).counter("scripts"), 3);
}

#[test]
fn who_waits_for_a_place_is_not_taken_for_who_comes_next() {
    let (site, users) = (site(), Users::new(ALICE));
    let gate = site.gate("gate");
    site.script(
        "waits",
        &format!("echo $$ >../../pid; read x <../../gate; {ENVIRONMENT}"),
    );
    let log = site.place.shown("access");
    let (guard, log_key) = (
        users.guard("/cgi-bin *", "Realm"),
        format!("log.access_target=file:{log}"),
    );
    let keys = [
        guard.as_str(),
        "log.access=common",
        &log_key,
        "script.at_once=1",
    ];
    let server = site.start(&keys);
    let mut first = asking(&server, &bare("GET", "/cgi-bin/waits", &alice()));
    site.pids("pid");
    let mut second = asking(&server, &bare("GET", "/cgi-bin/waits", &alice()));
    common::auth::dealt_with(&server);
    assert_eq!(get(&server, "/static.txt").body, STATIC);
    gate.lets(2);
    for stream in [&mut first, &mut second] {
        assert_eq!(environment(&read(stream).body)["REMOTE_USER"], "alice");
    }
    drop((first, second));
    ends(server);
    let lines = fs::read_to_string(log).unwrap();
    let of = |path: &str| {
        lines
            .lines()
            .filter(|line| line.contains(path))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("/static.txt").len(), 1, "{lines}");
    assert!(!of("/static.txt")[0].contains("alice"), "{lines}");
    assert!(
        of("/cgi-bin/waits")
            .iter()
            .all(|line| line.contains(" alice ")),
        "{lines}"
    );
}

#[test]
fn the_client_is_the_one_that_a_trusted_proxy_named() {
    let site = site();
    let server = site.start(&["proxy.trusted=127.0.0.1"]);
    let mut stream = server.connect();
    for (fields, client) in [
        ("X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
        ("X-Forwarded-For: 1.1.1.1, 2001:db8::7\r\n", "2001:db8::7"),
        ("X-Forwarded-For: unknown\r\n", "unknown"),
        ("", "127.0.0.1"),
    ] {
        let told = tell(&mut stream, &bare("GET", "/cgi-bin/env", fields));
        assert_eq!(told["REMOTE_ADDR"], client, "{fields}");
        assert_eq!(told["REMOTE_HOST"], client, "{fields}");
    }
    drop(stream);
    ends(server);
    // A stranger is not believed.
    let server = site.start(&[]);
    let request = bare("GET", "/cgi-bin/env", "X-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(
        tell(&mut server.connect(), &request)["REMOTE_ADDR"],
        "127.0.0.1"
    );
    ends(server);
    let keys = ["proxy.trusted=127.0.0.1", "proxy.speaks=proxy-protocol"];
    let server = site.start(&keys);
    let preface = b"PROXY TCP4 192.0.2.8 192.0.2.1 4711 80\r\n";
    let request = [&preface[..], &bare("GET", "/cgi-bin/env", "")].concat();
    assert_eq!(
        tell(&mut server.connect(), &request)["REMOTE_ADDR"],
        "192.0.2.8"
    );
    ends(server);
}

#[test]
fn a_unix_socket_has_no_address() {
    let site = site();
    let path = site.place.path("socket");
    let listen = format!("unix:{}", path.display());
    let server = Server::run(Server::command(&listen, &site.root(), &[RULE, CROWD]));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = tell(&mut stream, &bare("GET", "/cgi-bin/env", ""));
    assert_eq!(told["REMOTE_ADDR"], "unix");
    assert_eq!((&*told["SERVER_NAME"], &*told["SERVER_PORT"]), ("h", "80"));
    let named = b"GET /cgi-bin/env HTTP/1.1\r\nHost: box.example:8443\r\n\r\n";
    let told = tell(&mut stream, named);
    assert_eq!(
        (&*told["SERVER_NAME"], &*told["SERVER_PORT"]),
        ("box.example", "8443")
    );
    drop(stream);
    ends(server);
}

#[test]
fn an_address_of_ipv6_is_written_as_the_rfc_has_it() {
    if TcpListener::bind("[::1]:0").is_err() {
        skip(
            "an_address_of_ipv6_is_written_as_the_rfc_has_it",
            "this machine has no ::1",
        );
        return;
    }
    let site = site();
    let server = Server::run(Server::command("[::1]:0", &site.root(), &[RULE, CROWD]));
    let mut stream = server.connect();
    let told = tell(&mut stream, b"GET /cgi-bin/env HTTP/1.0\r\n\r\n");
    assert_eq!(
        (&*told["REMOTE_ADDR"], &*told["SERVER_NAME"]),
        ("::1", "[::1]")
    );
    let port = server.port().to_string();
    let request = format!("GET /cgi-bin/env HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n");
    let told = tell(&mut server.connect(), request.as_bytes());
    assert_eq!(
        (&*told["SERVER_NAME"], &*told["SERVER_PORT"]),
        ("[::1]", port.as_str())
    );
    drop(stream);
    ends(server);
}

#[test]
fn the_name_of_the_server_is_none_that_a_client_made_up() {
    let site = site();
    let server = site.start(&["site.hosts=box.example"]);
    let mut stream = server.connect();
    for (host, name) in [
        ("box.example", "box.example"),
        ("evil.example", "box.example"),
    ] {
        let request = format!("GET /cgi-bin/env HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let told = tell(&mut stream, request.as_bytes());
        assert_eq!((&*told["SERVER_NAME"], &*told["HTTP_HOST"]), (name, host));
    }
    drop(stream);
    ends(server);
}

#[test]
fn a_script_starts_in_its_directory_with_three_descriptors_and_clean_signals() {
    let site = Site::new();
    site.place.directory("www/cgi-bin/deep");
    let text = r"printf 'Content-Type: text/plain\n\n'; pwd -P; ls -l /proc/$$/fd
exec cat /proc/self/status";
    site.script("deep/look", text);
    site.script("look", text);
    let users = Users::new(ALICE);
    let (control, guard) = (
        format!("service.control={}", site.place.shown("control")),
        users.guard("/private *", "Realm"),
    );
    // Everything that the server may hold open.
    let log = format!("log.access_target=file:{}", site.place.shown("access"));
    let keys = [
        &control[..],
        &guard,
        "log.access=json",
        &log,
        "site.listing=on",
    ];
    let server = site.start(&keys);
    let others: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for (target, directory, body) in [
        ("/cgi-bin/look", "cgi-bin", &b""[..]),
        ("/cgi-bin/deep/look", "cgi-bin/deep", b"12345"),
        ("/cgi-bin/look/x/y", "cgi-bin", b"1"),
    ] {
        let request = match body.is_empty() {
            true => bare("GET", target, ""),
            false => post(target, "", body),
        };
        let answer = ask(&mut server.connect(), &request);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let root = fs::canonicalize(site.root()).unwrap();
        let directory = root.join(directory).display().to_string();
        assert_eq!(text.lines().next(), Some(directory.as_str()));
        let links = text.lines().filter_map(|line| line.split_once(" -> "));
        let mut links: Vec<(&str, &str)> = links
            .map(|(front, to)| (front.rsplit(' ').next().unwrap(), to))
            // The shell's own, for the file that it reads.
            .filter(|(_, to)| !to.ends_with("/look"))
            .collect();
        links.sort_unstable();
        let numbers: Vec<&str> = links.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, ["0", "1", "2"], "{text}");
        let input = if body.is_empty() {
            "/dev/null"
        } else {
            "pipe:"
        };
        assert!(links[0].1.starts_with(input), "{text}");
        assert!(links[1].1.starts_with("pipe:") && links[2].1.starts_with("pipe:"));
        assert_ne!(links[1].1, links[2].1);
        for signals in ["SigPnd", "ShdPnd", "SigBlk", "SigIgn"] {
            let bits = text.lines().find_map(|line| line.strip_prefix(signals));
            let bits = u64::from_str_radix(bits.unwrap()[1..].trim(), 16).unwrap();
            // Two signals are the C library's own.
            assert_eq!(bits & !(0b11 << 31), 0, "{signals}: {text}");
        }
    }
    drop(others);
    ends(server);
}

#[test]
fn a_script_beneath_an_alias_or_a_link_runs_where_it_lies() {
    let site = Site::new();
    site.place.directory("elsewhere");
    let text = b"#!/bin/sh\nprintf 'Content-Type: a/b\n\n%s|%s|%s' \
$(pwd -P) $SCRIPT_NAME $PATH_TRANSLATED";
    site.program("../elsewhere/x", text, "755");
    site.program("cgi-bin/y", text, "755");
    symlink("y", site.root().join("cgi-bin/inside")).unwrap();
    let alias = format!(
        "site.aliases=/cgi-bin/far {}",
        site.place.shown("elsewhere")
    );
    let server = site.start(&[&alias]);
    let place = fs::canonicalize(site.place.root()).unwrap();
    let place = place.display();
    let told = |target: &str| String::from_utf8(get(&server, target).body).unwrap();
    assert_eq!(
        told("/cgi-bin/far/x"),
        format!("{place}/elsewhere|/cgi-bin/far/x|")
    );
    assert_eq!(
        told("/cgi-bin/inside/static.txt"),
        format!("{place}/www/cgi-bin|/cgi-bin/inside|{place}/www/static.txt")
    );
    ends(server);
}

#[test]
fn a_client_that_sends_many_fields_is_told_what_does_not_fit() {
    let site = site();
    let server = site.start(&["memory.buffer_bytes=60000", "limits.target_bytes=30000"]);
    // All of it stands in two variables.
    let target = |bytes: usize| format!("/cgi-bin/env?{}", "q".repeat(bytes));
    let mut stream = server.connect();
    let told = tell(&mut stream, &bare("GET", &target(7000), ""));
    assert_eq!(told["QUERY_STRING"].len(), 7000);
    let answer = ask(&mut stream, &bare("GET", &target(9000), ""));
    assert_eq!((answer.status, answer.closes()), (431, false));
    let fields = format!("X-A: {}\r\n", "x".repeat(17_000));
    let answer = ask(&mut stream, &bare("GET", "/cgi-bin/env", &fields));
    assert_eq!(answer.status, 431);
    eventually("nothing is left", || {
        common::scripts::running(common::scripts::starter(&server)) == 0
    });
    drop(stream);
    assert_eq!(ends(server).counter("scripts"), 1);
}
