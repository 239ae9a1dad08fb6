//! Sites by Host, and their rules: aliases, redirects, error pages, a fallback, further fields,
//! media types, access by address. On real sockets, seen from the client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::{Answer, only, read_answer};
use common::root::Root;
use common::server::Server;
use common::{End, hear};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

/// Asks on a connection of its own. Each of `fields` ends with CRLF.
fn ask(server: &Server, method: &str, target: &str, fields: &str) -> Answer {
    let mut stream = server.connect();
    let head = format!("{method} {target} HTTP/1.1\r\n{fields}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(&mut stream, method == "HEAD")
}

fn get(server: &Server, host: &str, target: &str) -> Answer {
    ask(server, "GET", target, &format!("Host: {host}\r\n"))
}

/// Status and text of a GET.
fn seen(server: &Server, host: &str, target: &str) -> (u16, String) {
    let answer = get(server, host, target);
    let text = String::from_utf8(answer.body).unwrap();
    (answer.status, text)
}

/// Status and Location of a GET.
fn led(server: &Server, host: &str, target: &str) -> (u16, String) {
    let answer = get(server, host, target);
    let location = answer.field("location").unwrap_or_default().to_owned();
    (answer.status, location)
}

/// Stops the server; nothing may have gone wrong inside.
fn peace(server: Server) {
    server.comes_home();
    drop(server.stop());
}

/// `KEY=` and a directory of the root.
fn key(name: &str, root: &Root) -> String {
    format!("{name}={}", root.path().display())
}

// ---- sites by Host ------------------------------------------------------------------------------

#[test]
fn each_host_has_its_site_and_others_the_default() {
    // RFC 9110 section 7.2, RFC 9112 section 3.2.2 for the absolute form.
    let (own, cam) = (Root::new(), Root::new());
    own.file("index.html", b"own");
    cam.file("index.html", b"cam");
    cam.file("only.txt", b"here");
    let root = key("sites.cam.root", &cam);
    let keys = [
        "sites.cam.hosts=cam.lan,*.cam.lan",
        "site.hosts=nas.lan",
        &root,
    ];
    let server = Server::start(own.path(), &keys);
    for (host, text) in [
        ("cam.lan", "cam"),
        ("CAM.lan:8080", "cam"),
        ("cam.lan.", "cam"),
        ("a.b.cam.lan", "cam"),
        ("nas.lan", "own"),
        ("xcam.lan", "own"),
        ("192.0.2.7", "own"),
        ("[2001:db8::1]:80", "own"),
        ("anything.example", "own"),
    ] {
        assert_eq!(seen(&server, host, "/"), (200, text.to_owned()), "{host}");
    }
    assert_eq!(get(&server, "cam.lan", "/only.txt").status, 200);
    assert_eq!(get(&server, "nas.lan", "/only.txt").status, 404);
    assert_eq!(seen(&server, "nas.lan", "http://cam.lan/").1, "cam");
    // HTTP/1.0 may have no Host.
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let heard = hear(&mut stream);
    assert_eq!(
        (only(&heard.bytes).body, heard.end),
        (b"own".to_vec(), End::Fin)
    );
    peace(server);
}

#[test]
fn a_whole_name_counts_before_one_with_a_star_and_a_longer_star_before_a_shorter() {
    let (own, all, lab) = (Root::new(), Root::new(), Root::new());
    own.file("index.html", b"own");
    all.file("index.html", b"all");
    lab.file("index.html", b"lab");
    let (first, second) = (key("sites.all.root", &all), key("sites.lab.root", &lab));
    let keys = [
        "site.hosts=nas.lan",
        "sites.all.hosts=*.lan",
        &first,
        "sites.lab.hosts=*.lab.lan,cam.lan",
        &second,
    ];
    let server = Server::start(own.path(), &keys);
    for (host, text) in [
        ("nas.lan", "own"),
        ("x.lan", "all"),
        ("cam.lan", "lab"),
        ("x.lab.lan", "lab"),
        ("lab.lan", "all"),
    ] {
        assert_eq!(seen(&server, host, "/"), (200, text.to_owned()), "{host}");
    }
    peace(server);
}

#[test]
fn an_unknown_host_is_misdirected_where_that_is_asked_for() {
    // RFC 9110 section 15.5.20: a device's answer to DNS rebinding.
    let root = Root::new();
    root.file("421.html", b"<p>not me");
    let keys = [
        "site.hosts=nas.lan",
        "listen.unknown_host=refuse",
        "site.error_pages=421 /421.html",
    ];
    let server = Server::start(root.path(), &keys);
    for (host, status) in [
        ("nas.lan", 200),
        ("nas.lan:1234", 200),
        ("192.0.2.7", 200),
        ("[::1]:80", 200),
        ("localhost:8080", 200),
        ("evil.example", 421),
        ("nas.lan.evil.example", 421),
        ("192.0.2.7.evil.example", 421),
        ("..", 421),
    ] {
        assert_eq!(get(&server, host, "/").status, status, "{host}");
        assert_eq!(
            get(&server, host, "/none").status,
            if status == 200 { 404 } else { 421 }
        );
    }
    assert_eq!(
        seen(&server, "evil.example", "/"),
        (421, "<p>not me".into())
    );
    assert_eq!(
        ask(&server, "OPTIONS", "*", "Host: evil.example\r\n").status,
        421
    );
    peace(server);
}

#[test]
fn a_host_is_never_a_path_nor_written_down_unchecked() {
    // CVE-2018-18778 (an empty Host read any file), CVE-2019-16645 (Host in a Location).
    let (own, cam) = (Root::new(), Root::new());
    fs::create_dir(own.path().join("sub")).unwrap();
    let root = key("sites.cam.root", &cam);
    let keys = [
        "sites.cam.hosts=cam.lan",
        "site.hosts=nas.lan,*.nas.lan",
        "site.redirects=308 /to/* https://{host}/*",
        "site.redirects=302 /at https://{host}:8443/x?y",
        &root,
    ];
    let server = Server::start(own.path(), &keys);
    for host in ["", "/", "..", "../../etc", "evil.example/x", "a b", "x@y"] {
        let status = get(&server, host, "/").status;
        assert!(matches!(status, 400 | 200), "{host:?}: {status}");
    }
    assert_eq!(led(&server, "evil.example", "/sub"), (301, "/sub/".into()));
    for (host, location) in [
        ("nas.lan", "https://nas.lan/a/b?q"),
        ("NAS.lan:80", "https://NAS.lan/a/b?q"),
        ("w.nas.lan", "https://w.nas.lan/a/b?q"),
        ("evil.example", "https://nas.lan/a/b?q"),
        ("192.0.2.1", "https://nas.lan/a/b?q"),
    ] {
        assert_eq!(
            led(&server, host, "/to/a/b?q"),
            (308, location.into()),
            "{host}"
        );
    }
    assert_eq!(
        led(&server, "h", "/at?z"),
        (302, "https://nas.lan:8443/x?y".into())
    );
    peace(server);
}

// ---- aliases and redirects ----------------------------------------------------------------------

#[test]
fn aliases_lead_to_other_directories_and_no_further() {
    // CVE-2018-19052: an alias without a final slash and `..`.
    let (own, docs, deep) = (Root::new(), Root::new(), Root::new());
    own.file("docsecret", b"own");
    docs.file("a b.txt", b"docs");
    deep.file("x.txt", b"deep");
    let outside = docs.path().parent().unwrap().join("outside.txt");
    fs::write(&outside, b"outside").unwrap();
    symlink(&outside, docs.path().join("out")).unwrap();
    let first = format!("site.aliases=/docs {}", docs.path().display());
    let second = format!("site.aliases=/docs/deep/er/ {}", deep.path().display());
    let server = Server::start(own.path(), &[&first, &second]);
    for (target, status) in [
        ("/docs/a%20b.txt", 200),
        ("/docs//a%20b.txt", 200),
        ("/docs/", 200),
        ("/docs", 301),
        ("/docs/deep/er/x.txt", 200),
        ("/docs/deep/x.txt", 404),
        ("/docs/deep/er", 301),
        ("/docsecret", 200),
        ("/docs../outside.txt", 404),
        ("/docs..%2foutside.txt", 404),
        ("/docs/../outside.txt", 404),
        ("/docs/%2e%2e/outside.txt", 404),
        ("/docs/..", 200),
        ("/docs/out", 403),
        ("/Docs/a%20b.txt", 404),
    ] {
        assert_eq!(get(&server, "h", target).status, status, "{target}");
    }
    assert_eq!(led(&server, "h", "/docs?q"), (301, "/docs/?q".into()));
    fs::remove_file(outside).unwrap();
    peace(server);
}

#[test]
fn paths_that_moved_are_told_with_their_rest_and_query() {
    // RFC 9110 sections 15.4.2, 15.4.3, 15.4.8 and 15.4.9.
    let root = Root::new();
    root.file("stays", b"here");
    let keys = [
        "site.redirects=301 /old /new",
        "site.redirects=302 /a/* /b/*",
        "site.redirects=307 /c/* /d?fixed",
        "site.redirects=308 /e%20e/* https://example.com/f/*",
        "site.redirects=301 /g* /*",
        "site.redirects=301 /part /whole#part",
        "site.redirects=301 /dots/.* /%2e/*",
    ];
    let server = Server::start(root.path(), &keys);
    for (target, status, location) in [
        ("/old", 301, "/new"),
        ("/old/", 301, "/new"),
        ("/old?a=b", 301, "/new?a=b"),
        ("/%6fld", 301, "/new"),
        ("/x/../old", 301, "/new"),
        ("/old/more", 404, ""),
        ("/a", 302, "/b/"),
        ("/a/", 302, "/b/"),
        ("/a/x/y%20z?q=1", 302, "/b/x/y%20z?q=1"),
        ("/a/%25%3f%5c%0d%0aX", 302, "/b/%25%3F%5C%0D%0AX"),
        ("/c/x?lost", 307, "/d?fixed"),
        ("/e%20e/x", 308, "https://example.com/f/x"),
        ("/g/evil.example", 301, "/evil.example"),
        ("/stays", 200, ""),
        ("/part?lost", 301, "/whole#part"),
        ("/dots/.x/y", 301, "/%2e/x/y"),
        ("/dots/x", 404, ""),
    ] {
        assert_eq!(
            led(&server, "h", target),
            (status, location.into()),
            "{target}"
        );
    }
    // Methods with content are sent on as well (307 and 308 keep the method), after it was read.
    let mut stream = server.connect();
    let post = b"POST /c/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    stream.write_all(post).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 307);
    stream
        .write_all(b"GET /stays HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 200);
    drop(stream);
    // Nobody is made to send a body that nobody wants.
    let mut stream = server.connect();
    let post =
        b"POST /old HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(post).unwrap();
    let heard = hear(&mut stream);
    assert_eq!((only(&heard.bytes).status, heard.end), (301, End::Fin));
    let long = get(&server, "h", &format!("/a/{}", "%25/".repeat(1000)));
    assert_eq!(long.status, 302);
    let long = get(
        &server,
        "h",
        &format!("/a/{}", format!("{}/", "\\".repeat(199)).repeat(20)),
    );
    assert_eq!(
        long.status, 414,
        "three bytes for each do not fit the reply"
    );
    peace(server);
}

// ---- pages and fallback -------------------------------------------------------------------------

#[test]
fn refusals_have_the_pages_of_the_site() {
    // RFC 9110 section 15.5: a refusal explains itself.
    let root = Root::new();
    root.file("404.html", b"<p>not here");
    root.file("no.txt", b"no");
    root.file("hundred", &[b'x'; 100]);
    let keys = [
        "site.error_pages=404 /no.txt",
        "site.error_pages=404 /404.html",
        "site.error_pages=405 /no.txt",
        "site.error_pages=416 /no.txt",
        "site.error_pages=403 /missing.html",
        "site.access=/guarded deny all",
    ];
    let server = Server::start(root.path(), &keys);
    let answer = get(&server, "h", "/none");
    assert_eq!((answer.status, &*answer.body), (404, &b"<p>not here"[..]));
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    for name in ["etag", "last-modified", "accept-ranges"] {
        assert_eq!(answer.field(name), None, "{name} would be the page's own");
    }
    let answer = ask(&server, "HEAD", "/none", "Host: h\r\n");
    assert_eq!(
        (answer.status, answer.field("content-length")),
        (404, Some("11"))
    );
    let answer = ask(&server, "DELETE", "/none", "Host: h\r\n");
    assert_eq!((answer.status, &*answer.body), (405, &b"no"[..]));
    assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
    let answer = ask(
        &server,
        "GET",
        "/hundred",
        "Host: h\r\nRange: bytes=200-\r\n",
    );
    assert_eq!((answer.status, &*answer.body), (416, &b"no"[..]));
    assert_eq!(answer.field("content-range"), Some("bytes */100"));
    // A page that cannot be had is replaced by adieu's own.
    let answer = get(&server, "h", "/guarded");
    assert_eq!(answer.status, 403);
    assert!(answer.body.starts_with(b"<!doctype html>"));
    peace(server);
}

#[test]
fn a_page_application_gets_its_page_for_its_own_paths_only() {
    let root = Root::new();
    root.file("app.html", b"<app>");
    root.file("app.js", b"1");
    fs::create_dir(root.path().join("empty")).unwrap();
    let keys = [
        "site.fallback=/app.html",
        "site.fields=/app.html Cache-Control: no-cache",
    ];
    let server = Server::start(root.path(), &keys);
    for (target, status) in [
        ("/users/7", 200),
        ("/users/7/", 200),
        ("/users/7?x", 200),
        ("/app.js", 200),
        ("/gone.js", 404),
        ("/.hidden/x", 404),
        ("/empty/", 403),
        ("/app.js/", 404),
    ] {
        let answer = get(&server, "h", target);
        assert_eq!(answer.status, status, "{target}");
        let is_page = answer.body == b"<app>";
        assert_eq!(is_page, target.starts_with("/users"), "{target}");
        let rule = answer.field("cache-control");
        assert_eq!(rule == Some("no-cache"), is_page, "its rules go with it");
    }
    assert_eq!(ask(&server, "POST", "/users/7", "Host: h\r\n").status, 405);
    let tag = get(&server, "h", "/users/7")
        .field("etag")
        .unwrap()
        .to_owned();
    let again = ask(
        &server,
        "GET",
        "/users/8",
        &format!("Host: h\r\nIf-None-Match: {tag}\r\n"),
    );
    assert_eq!(again.status, 304);
    peace(server);
}

#[test]
fn a_page_that_stands_for_others_is_guarded_and_may_lie_beneath_an_alias() {
    let (root, pages) = (Root::new(), Root::new());
    pages.file("app.html", b"<app>");
    pages.file("404.html", b"<p>gone");
    let alias = format!("site.aliases=/pages {}", pages.path().display());
    let keys = [
        &*alias,
        "site.fallback=/pages/app.html",
        "site.error_pages=404 /pages/404.html",
    ];
    let server = Server::start(root.path(), &keys);
    assert_eq!(seen(&server, "h", "/users"), (200, "<app>".into()));
    assert_eq!(seen(&server, "h", "/no.js"), (404, "<p>gone".into()));
    peace(server);
    let keys = [&*alias, keys[1], "site.access=/pages deny all"];
    let server = Server::start(root.path(), &keys);
    assert_eq!(get(&server, "h", "/pages/app.html").status, 403);
    assert_eq!(get(&server, "h", "/users").status, 403);
    peace(server);
}

// ---- fields and types ---------------------------------------------------------------------------

#[test]
fn fields_are_added_by_path_and_freshness_to_no_refusal() {
    let root = Root::new();
    root.file("a.css", b"x");
    root.file("b.txt", b"y");
    let keys = [
        "site.fields=/ Cache-Control: no-cache",
        "site.fields=/ X-Frame-Options: DENY",
        "site.fields=*.css cache-control: max-age=60",
        "site.fields=/index.html X-Index: yes",
        "site.redirects=301 /old /new",
    ];
    let server = Server::start(root.path(), &keys);
    for (target, cache, status) in [
        ("/b.txt", Some("no-cache"), 200),
        ("/a.css", Some("max-age=60"), 200),
        ("/", Some("no-cache"), 200),
        ("/none.css", None, 404),
        ("/old", Some("no-cache"), 301),
    ] {
        let answer = get(&server, "h", target);
        assert_eq!(answer.status, status, "{target}");
        let count = answer
            .fields
            .iter()
            .filter(|(name, _)| name == "cache-control")
            .count();
        assert!(count <= 1, "of one name the last counts");
        assert_eq!(answer.field("cache-control"), cache, "{target}");
        assert_eq!(answer.field("x-frame-options"), Some("DENY"), "{target}");
        assert_eq!(answer.field("x-index").is_some(), target == "/");
    }
    // RFC 9110 section 15.4.5: a 304 has what the 200 had of these.
    let tag = get(&server, "h", "/a.css")
        .field("etag")
        .unwrap()
        .to_owned();
    let again = ask(
        &server,
        "GET",
        "/a.css",
        &format!("Host: h\r\nIf-None-Match: {tag}\r\n"),
    );
    assert_eq!(
        (again.status, again.field("cache-control")),
        (304, Some("max-age=60"))
    );
    // What adieu refuses before a site is asked has none of the site's fields.
    assert_eq!(get(&server, "", "/").field("x-frame-options"), None);
    peace(server);
}

#[test]
fn media_types_and_charset_are_the_sites_own() {
    // RFC 9110 section 8.3.
    let root = Root::new();
    for name in ["a.txt", "a.log", "a.foo", "a.svg"] {
        root.file(name, b"x");
    }
    let keys = [
        "site.charset=iso-8859-1",
        "site.types=foo application/x-foo",
        "site.types=LOG text/plain; charset=koi8-r",
    ];
    let server = Server::start(root.path(), &keys);
    for (target, media_type) in [
        ("/a.txt", "text/plain; charset=iso-8859-1"),
        ("/a.log", "text/plain; charset=koi8-r"),
        ("/a.foo", "application/x-foo"),
        ("/a.svg", "image/svg+xml"),
    ] {
        let answer = get(&server, "h", target);
        assert_eq!(answer.field("content-type"), Some(media_type), "{target}");
    }
    peace(server);
}

// ---- access by address --------------------------------------------------------------------------

#[test]
fn every_rule_that_is_about_a_path_must_let_the_client_in() {
    // RFC 9110 section 15.5.4.
    let root = Root::new();
    for name in ["admin", "open", "both"] {
        fs::create_dir(root.path().join(name)).unwrap();
        root.file(&format!("{name}/index.html"), b"in");
    }
    root.file("a.key", b"secret");
    let keys = [
        "site.access=/admin allow 10.0.0.0/8,fd00::/8",
        "site.access=/open allow 127.0.0.0/8 ::1",
        "site.access=/both allow 127.0.0.0/8",
        "site.access=/both deny 127.0.0.1",
        "site.access=*.key deny all",
        "site.access=/index.htm deny all",
        "site.redirects=301 /admin/old /new",
    ];
    let server = Server::start(root.path(), &keys);
    for (target, status) in [
        ("/", 200),
        ("/admin", 403),
        ("/admin/", 403),
        ("/ADMIN/", 403),
        ("/admin/none", 403),
        ("/admin/old", 403),
        ("/x/../admin/", 403),
        ("/%61dmin/", 403),
        ("//admin//", 403),
        ("/administrator", 404),
        ("/open/", 200),
        ("/both/", 403),
        ("/a.key", 403),
        ("/A.KEY", 403),
    ] {
        assert_eq!(get(&server, "h", target).status, status, "{target}");
    }
    assert_eq!(ask(&server, "POST", "/admin/", "Host: h\r\n").status, 403);
    // The index of an open directory is guarded by its own rule, too.
    fs::remove_file(root.path().join("index.html")).unwrap();
    root.file("index.htm", b"guarded");
    assert_eq!(get(&server, "h", "/").status, 403);
    peace(server);
}

#[test]
fn a_guarded_name_is_guarded_with_dots_behind_it_and_in_its_codings() {
    // vfat and exFAT take `admin.` for `admin`; an open `a.txt.gz` would be a guarded `a.txt`.
    let root = Root::new();
    for name in ["admin", "admin.", "public"] {
        fs::create_dir(root.path().join(name)).unwrap();
        root.file(&format!("{name}/x"), b"in");
    }
    for name in ["a.txt", "a.txt.gz", "a.txt.zip", "b.tar.gz"] {
        root.file(name, b"in");
    }
    let keys = ["site.access=/admin deny all", "site.access=/a.txt deny all"];
    let server = Server::start(root.path(), &keys);
    for (target, status) in [
        ("/admin/x", 403),
        ("/admin./x", 403),
        ("/Admin../x", 403),
        ("/admin%2e/x", 403),
        ("/admin./", 403),
        ("/admin.x/", 404),
        ("/.admin/", 404),
        ("/public/x", 200),
        ("/a.txt", 403),
        ("/a.txt.", 403),
        ("/a.txt.gz", 403),
        ("/A.TXT.GZ.", 403),
        ("/a.txt.zip", 200),
        ("/b.tar.gz", 200),
    ] {
        assert_eq!(get(&server, "h", target).status, status, "{target}");
    }
    peace(server);
}

#[test]
fn whoever_hides_behind_a_proxy_is_kept_out_of_what_is_denied_to_somebody() {
    let root = Root::new();
    root.file("x", b"in");
    let keys = [
        "proxy.trusted=127.0.0.1",
        "proxy.speaks=forwarded",
        "site.access=/x deny 203.0.113.7",
    ];
    let server = Server::start(root.path(), &keys);
    for (who, status) in [
        ("198.51.100.1", 200),
        ("203.0.113.7", 403),
        ("unknown", 403),
        ("_hidden", 403),
    ] {
        let fields = format!("Host: h\r\nForwarded: for={who}\r\n");
        assert_eq!(ask(&server, "GET", "/x", &fields).status, status, "{who}");
        assert_eq!(ask(&server, "GET", "/", &fields).status, 200, "{who}");
    }
    peace(server);
}

#[test]
fn whoever_comes_through_a_unix_socket_is_called_unix() {
    let root = Root::new();
    let path = root.path().join("socket");
    let listen = format!("unix:{}", path.display());
    let keys = ["site.access=/ allow unix", "site.access=/not deny unix"];
    let server = Server::on(&listen, root.path(), &keys);
    for (target, status) in [("/", 200), ("/not", 403)] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let heard = hear(&mut stream);
        assert_eq!((only(&heard.bytes).status, heard.end), (status, End::Fin));
    }
    peace(server);
}

#[test]
fn behind_a_front_the_rules_are_about_the_client_that_it_names() {
    // RFC 7239 section 5.2, and sections 6.2 and 6.3 for what is no address.
    let root = Root::new();
    let keys = [
        "proxy.trusted=127.0.0.0/8",
        "site.access=/mine allow 10.0.0.0/8,2001:db8::/32",
        "site.access=/index.html deny 203.0.113.0/24",
    ];
    for (speaks, field) in [
        ("forwarded", "Forwarded: for="),
        ("x-forwarded-for", "X-Forwarded-For: "),
    ] {
        let speaks = format!("proxy.speaks={speaks}");
        let mut keys = keys.to_vec();
        keys.push(&speaks);
        let server = Server::start(root.path(), &keys);
        for (client, home, index) in [
            ("10.1.2.3", 404, 200),
            ("\"[2001:db8::7]:4711\"", 404, 200),
            ("203.0.113.9", 403, 403),
            ("198.51.100.1", 403, 200),
            ("unknown", 403, 403),
            ("_hidden", 403, 403),
            ("", 403, 403),
        ] {
            if matches!(client, "" | "\"[2001:db8::7]:4711\"") && field.starts_with('X') {
                continue; // quotes and ports are Forwarded's, and an empty list names nobody
            }
            let fields = format!("Host: h\r\n{field}{client}\r\n");
            for (target, status) in [("/mine/x", home), ("/index.html", index)] {
                let answer = ask(&server, "GET", target, &fields);
                assert_eq!(answer.status, status, "{field}{client} {target}");
            }
        }
        // Without the field it is the front itself that asks.
        assert_eq!(get(&server, "h", "/index.html").status, 200);
        assert_eq!(get(&server, "h", "/mine/x").status, 403);
        peace(server);
    }
    // The same with the PROXY protocol, and a stranger who says the same is not heard.
    for (trusted, statuses) in [("127.0.0.0/8", (404, 403)), ("10.0.0.0/8", (400, 400))] {
        let trusted = format!("proxy.trusted={trusted}");
        let keys = [&trusted, keys[1], keys[2], "proxy.speaks=proxy-protocol"];
        let server = Server::start(root.path(), &keys);
        for (client, status) in [("10.1.2.3", statuses.0), ("203.0.113.9", statuses.1)] {
            let mut stream = server.connect();
            let preface = format!("PROXY TCP4 {client} 192.0.2.1 4711 80\r\n");
            let head = "GET /mine/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
            stream.write_all((preface + head).as_bytes()).unwrap();
            let heard = hear(&mut stream);
            assert_eq!(
                (only(&heard.bytes).status, heard.end),
                (status, End::Fin),
                "{client}"
            );
        }
        peace(server);
    }
}
