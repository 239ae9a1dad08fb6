//! What clients must never get: the source of a script, a script of their own, a file outside the
//! root. Whatever they ask, seen in every byte that comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::scripts::{
    Site, all, ask, asking, bare, ends, exists, get, head, is_kept, post, post_chunked, read,
    try_read,
};
use common::server::Server;
use common::{End, hear};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

/// It stands in every script, and no script says it.
const MARK: &[u8] = b"#S3CR3T";
const TEXT: &[u8] = b"#!/bin/sh\n#S3CR3T\nprintf 'Content-Type: text/plain\n\nran'\n";
const RULES: [&str; 2] = ["site.scripts=*.php /bin/sh", "site.scripts=*.cgi"];

/// A site with scripts of all kinds, what lies beside them, and links to them.
fn site() -> Site {
    let site = Site::new();
    for directory in [
        "www/app",
        "www/app/.well-known",
        "www/cgi-bin/deep",
        "www/docs",
        "elsewhere",
    ] {
        site.place.directory(directory);
    }
    for name in [
        "cgi-bin/run",
        "cgi-bin/deep/run",
        "app/index.cgi",
        "app/x.cgi",
        "../elsewhere/y",
    ] {
        site.program(name, TEXT, "755");
    }
    site.program("cgi-bin/plain.txt", TEXT, "644");
    site.program("cgi-bin/nph-run", TEXT, "755");
    site.program("cgi-bin/.hidden", TEXT, "755");
    for name in ["app/x.php", "app/index.php", "x.php"] {
        site.program(name, TEXT, "644");
    }
    // Codings of them, and what an error page or another index would be.
    for name in [
        "app/x.php.gz",
        "app/x.php.br",
        "app/x.cgi.zst",
        "cgi-bin/run.gz",
    ] {
        site.program(name, TEXT, "644");
    }
    let link = |to: &str, name: &str| symlink(to, site.root().join(name)).unwrap();
    link("app/x.php", "link.txt");
    link("cgi-bin/run", "run.txt");
    link("cgi-bin", "bin");
    link("app/x.php", "docs/index.html");
    link("../cgi-bin/run", "docs/run.html");
    link("x.php", "app/x.html");
    site
}

fn start(site: &Site, keys: &[&str]) -> Server {
    let mut all = RULES.to_vec();
    all.extend_from_slice(keys);
    site.start(&all)
}

fn has_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|part| part == MARK)
}

/// Paths around scripts, in all spellings that a file system, a coding or a decoder might forgive.
#[allow(clippy::too_many_lines, reason = "a list")]
fn spellings() -> Vec<String> {
    let mut found: Vec<String> = [
        "/",
        "/bin",
        "/bin/",
        "/bin/run",
        "/link.txt",
        "/run.txt",
        "/docs/",
        "/docs/index.html",
        "/docs/run.html",
        "/app",
        "/app/",
        "/app/x.html",
        "/cgi-bin",
        "/cgi-bin/",
        "/CGI-BIN/",
        "/cgi-bin/deep",
        "/cgi-bin/deep/",
        "/cgi-bin/plain.txt",
        "/cgi-bin/nph-run",
        "/cgi-bin/.hidden",
        "/cgi-bin/run.gz",
        "/cgi-bin/run.br",
        "/app/x.php.gz",
        "/app/x.php.br",
        "/app/x.cgi.zst",
        "/far/y",
        "/far/",
        "/nothing",
        "/nothing.php",
        "/app/index",
    ]
    .map(str::to_owned)
    .into();
    let scripts = [
        "/cgi-bin/run",
        "/cgi-bin/deep/run",
        "/app/x.php",
        "/app/x.cgi",
        "/x.php",
        "/app/index.cgi",
    ];
    let behind = [
        "",
        "/",
        "//",
        "/.",
        "/..",
        "/../run",
        "/x",
        "/x.txt",
        "/x.html",
        "/x.php",
        "/%2e%2e/run",
        ".",
        "..",
        "...",
        "%20",
        "%20%20",
        ".%20",
        "%2e",
        "%2E%2e",
        "%00",
        "%00.txt",
        "%0a",
        "%0d%0a",
        "%3f",
        "?",
        "?x",
        "?.txt",
        "%23",
        ";x",
        ";.txt",
        "::$DATA",
        ":$DATA",
        "%5c",
        "\\",
        "%2f",
        "%2fx",
        "~",
        ".bak",
        ".gz",
        ".br",
        ".zst",
        ".GZ",
        ".txt",
        "/index.html",
        "/.htaccess",
        "+",
        "%c0%ae",
        "%e2%80%8b",
        "%ff",
    ];
    for script in scripts {
        let upper = script.to_ascii_uppercase();
        let title = script.replace("cgi", "Cgi").replace("php", "Php");
        let doubled = script.replace('/', "//");
        let dotted = script.replace('/', "/./");
        let climbing = format!("/docs/..{script}");
        let escaped: String = script
            .bytes()
            .map(|byte| {
                if byte == b'/' {
                    "/".to_owned()
                } else {
                    format!("%{byte:02x}")
                }
            })
            .collect();
        let twice = escaped.replace('%', "%25");
        let slashes = script.replacen('/', "/%2f", 1);
        let back = script.replace('/', "\\");
        let dots = script.replace("/", "./").replacen("./", "/", 1);
        for front in [
            script, &upper, &title, &doubled, &dotted, &climbing, &escaped, &twice, &slashes,
            &back, &dots,
        ] {
            found.extend(behind.iter().map(|behind| format!("{front}{behind}")));
        }
    }
    // Those of a backslash are no paths.
    found.retain(|target| target.starts_with('/'));
    found
}

#[test]
#[allow(clippy::too_many_lines, reason = "a list and what is asked of it")]
fn the_source_of_a_script_never_leaves() {
    let site = site();
    let alias = format!("site.aliases=/far {}", site.place.shown("elsewhere"));
    for (set, keys) in [
        &[
            "site.listing=on",
            "site.index=index.cgi,index.php,index.html",
            "site.scripts=/far",
        ][..],
        &[
            "site.symlinks=follow",
            "site.dotfiles=serve",
            "site.scripts=/far",
            "site.index=x.html,x.php",
        ],
        &["site.symlinks=none", "site.scripts=/far"],
        &[
            "site.fallback=/link.txt",
            "site.error_pages=404 /docs/run.html",
            "site.error_pages=403 /app/x.html",
            "site.scripts=/far",
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let mut keys = keys.to_vec();
        keys.push(&alias);
        let server = start(&site, &keys);
        let mut stream = server.connect();
        let mut ran = 0;
        let follows = keys.contains(&"site.symlinks=follow");
        for target in spellings() {
            // See the next test.
            if follows && LINKED.iter().any(|link| target.starts_with(link)) {
                continue;
            }
            for (method, fields) in [
                ("GET", ""),
                ("GET", "Accept-Encoding: br, gzip, zstd\r\n"),
                ("GET", "Range: bytes=0-3,5-9\r\n"),
                ("HEAD", ""),
                ("OPTIONS", ""),
            ] {
                // All of them once.
                if set > 0 && (method, fields) != ("GET", "") {
                    continue;
                }
                stream.write_all(&bare(method, &target, fields)).unwrap();
                let answer = try_read(&mut stream, method == "HEAD").unwrap();
                assert!(
                    !has_mark(&answer.body),
                    "{method} {target} {fields} {answer:?}"
                );
                assert!(
                    answer.status < 500 || target.contains(".php"),
                    "{target} {answer:?}"
                );
                // The names of what lies there may be seen, but not its length.
                let length = answer.field("content-length");
                assert_ne!(
                    length,
                    Some(TEXT.len().to_string().as_str()),
                    "{method} {target}"
                );
                ran += usize::from(answer.body == b"ran");
                if answer.closes() {
                    stream = server.connect();
                }
            }
        }
        // Many of these are scripts: the test would see them.
        assert!(ran > 100, "{ran}");
        drop(stream);
        ends(server);
    }
}

/// Links to what a rule is about by its place.
const LINKED: [&str; 4] = ["/bin/", "/run.txt", "/docs/run.html", "/docs/../BIN"];

/// The operator has said that links lead anywhere: then only names are left to go by.
#[test]
fn links_that_are_followed_freely_do_not_show_what_is_a_script_by_its_name() {
    let site = site();
    let server = start(&site, &["site.symlinks=follow"]);
    for target in ["/link.txt", "/app/x.html"] {
        let answer = get(&server, target);
        assert!(!has_mark(&answer.body), "{target} {answer:?}");
    }
    ends(server);
}

#[test]
fn no_page_of_the_site_is_a_script() {
    let site = site();
    for key in [
        "site.fallback=/x.php",
        "site.error_pages=404 /app/x.php",
        "site.fallback=/cgi-bin/run",
    ] {
        let mut keys = RULES.to_vec();
        keys.push(key);
        let run = common::child::run(site.command(&keys));
        assert_ne!(run.code, 0, "{run:?}");
        assert!(run.err.contains("is a script by site.scripts"), "{run:?}");
    }
}

#[test]
fn the_mark_would_be_seen() {
    let site = site();
    let server = site.start(&[]);
    // Without a rule that is about it, a script is a file.
    assert!(has_mark(&get(&server, "/x.php").body));
    assert!(has_mark(&get(&server, "/app/x.html").body));
    ends(server);
}

#[test]
fn what_lies_beneath_the_prefix_and_is_no_script_is_forbidden() {
    let site = site();
    let server = start(&site, &["site.listing=on"]);
    let mut kept = server.connect();
    for (target, status) in [
        ("/cgi-bin", 403),
        ("/cgi-bin/", 403),
        ("/cgi-bin/deep", 403),
        ("/cgi-bin/deep/", 403),
        ("/cgi-bin/plain.txt", 403),
        ("/cgi-bin/plain.txt/x", 403),
        ("/cgi-bin/nph-run", 403),
        ("/cgi-bin/.hidden", 404),
        ("/cgi-bin/none", 404),
        ("/cgi-bin/run", 200),
        ("/cgi-bin/run/", 200),
    ] {
        let answer = ask(&mut kept, &bare("GET", target, ""));
        assert_eq!(
            (answer.status, answer.closes()),
            (status, false),
            "{target}"
        );
        let answer = ask(&mut kept, &post(target, "", &[b'x'; 3000]));
        assert!(
            answer.status == status || answer.status == 405,
            "{target} {answer:?}"
        );
    }
    is_kept(&mut kept);
    drop(kept);
    ends(server);
}

#[test]
fn links_out_of_the_root_are_not_run() {
    let site = site();
    let link = |to: String, name: &str| symlink(to, site.root().join(name)).unwrap();
    link(site.place.shown("elsewhere/y"), "cgi-bin/out");
    link("../../elsewhere/y".to_owned(), "cgi-bin/up");
    link("../../elsewhere".to_owned(), "cgi-bin/directory");
    link("/bin/sh".to_owned(), "cgi-bin/sh");
    link("sh".to_owned(), "cgi-bin/chain");
    link("loop".to_owned(), "cgi-bin/loop");
    link("/bin/cat".to_owned(), "cat.cgi");
    for keys in [&[][..], &["site.symlinks=none"]] {
        let server = start(&site, keys);
        for target in [
            "/cgi-bin/out",
            "/cgi-bin/up",
            "/cgi-bin/up/x",
            "/cgi-bin/directory/y",
            "/cgi-bin/sh",
            "/cgi-bin/sh/x",
            "/cgi-bin/chain",
            "/cgi-bin/loop",
            "/cat.cgi",
            "/cat.cgi/etc/passwd",
        ] {
            let answer = get(&server, target);
            assert!(matches!(answer.status, 403 | 404), "{target} {answer:?}");
        }
        let stopped = ends(server);
        assert_eq!(stopped.counter("scripts"), 0);
    }
}

/// Names and sizes of all beneath the root.
fn tree(site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![site.root()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let metadata = entry.path().symlink_metadata().unwrap();
            if metadata.is_dir() {
                open.push(entry.path());
            }
            // What is not whole is kept in one of the server's own.
            if !entry.path().to_string_lossy().contains(".adieu-uploads") {
                let size = if metadata.is_file() {
                    metadata.len()
                } else {
                    0
                };
                found.push(format!("{} {size}", entry.path().display()));
            }
        }
    }
    found.sort();
    found
}

#[test]
#[allow(clippy::too_many_lines, reason = "a list and what is asked of it")]
fn nobody_puts_a_script_there_nor_takes_one_away() {
    let site = site();
    site.place.directory("www/up");
    let keys = [
        "site.uploads=/cgi-bin 1MiB",
        "site.uploads=/up 1MiB",
        "site.uploads=*.php 1MiB",
        "site.uploads=/app 1MiB",
    ];
    let server = start(&site, &keys);
    let before = tree(&site);
    let mut stream = server.connect();
    let mut targets = Vec::new();
    for name in [
        "/cgi-bin/new",
        "/cgi-bin/new%0a",
        "/cgi-bin/deep/new",
        "/cgi-bin/none/new",
        "/up/x.php",
        "/up/x.cgi",
    ] {
        let upper = name.to_ascii_uppercase();
        for name in [name, upper.as_str()] {
            for behind in [
                "", "/", "/more", ".", "..", "%20", ".%20", "%2e", ".gz", ".br", ".zst", "%00",
                "?x", "%2f",
            ] {
                targets.push(format!("{name}{behind}"));
            }
        }
    }
    targets.extend(
        [
            "/bin/new",
            "/bin/run",
            "/up/../cgi-bin/new",
            "/up/%2e%2e/cgi-bin/new",
            "/up//../cgi-bin/x",
            "/cgi-bin/../cgi-bin/new",
            "/CGI-BIN/run",
            "/app/x.PHP",
            "/app/x.php.",
            "/link.txt",
        ]
        .map(str::to_owned),
    );
    for target in &targets {
        for request in [
            [head("PUT", target, "", TEXT.len()), TEXT.to_vec()].concat(),
            bare("PUT", target, "Content-Length: 0\r\n"),
            String::from_utf8(post_chunked(target, "", TEXT, 10))
                .unwrap()
                .replacen("POST", "PUT", 1)
                .into_bytes(),
            bare("DELETE", target, ""),
        ] {
            stream.write_all(&request).unwrap();
            let answer = read(&mut stream);
            assert!(!matches!(answer.status, 200..=299), "{target} {answer:?}");
            if answer.closes() {
                let rest = hear(&mut stream);
                assert_eq!((rest.bytes.len(), rest.end), (0, End::Fin), "{target}");
                stream = server.connect();
            }
        }
        assert_eq!(tree(&site), before, "{target}");
    }
    // Those that are there are run, whatever the method, and stay.
    for target in [
        "/cgi-bin/run",
        "/cgi-bin/run/more",
        "/app/x.php",
        "/app/x.cgi",
        "/cgi-bin/deep/run",
    ] {
        for method in ["PUT", "DELETE", "PATCH"] {
            let answer = ask(
                &mut stream,
                &[head(method, target, "", 5), b"12345".to_vec()].concat(),
            );
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, &b"ran"[..]),
                "{method} {target}"
            );
        }
    }
    assert_eq!(tree(&site), before);
    // And what is no script may be put there.
    let answer = ask(
        &mut stream,
        &[head("PUT", "/up/x.txt", "", 5), b"12345".to_vec()].concat(),
    );
    assert_eq!(answer.status, 201);
    assert!(exists(&site.root().join("up/x.txt")));
    drop(stream);
    ends(server);
}

#[test]
fn no_link_leads_an_upload_to_where_scripts_lie() {
    let site = Site::new();
    site.place.directory("www/up");
    site.script("run", "printf 'Content-Type: a/b\n\nran'");
    symlink("../cgi-bin", site.root().join("up/link")).unwrap();
    let server = site.start(&["site.uploads=/up 1MiB"]);
    let before = tree(&site);
    let mut stream = server.connect();
    for target in ["/up/link/run", "/up/link/new"] {
        let put = [head("PUT", target, "", 5), b"12345".to_vec()].concat();
        assert_eq!(ask(&mut stream, &put).status, 403, "{target}");
        let answer = ask(&mut stream, &bare("DELETE", target, ""));
        assert_eq!(answer.status, 403, "{target}");
    }
    assert_eq!(tree(&site), before);
    assert_eq!(get(&server, "/cgi-bin/run").body, b"ran");
    drop(stream);
    ends(server);
}

#[test]
fn a_script_that_is_replaced_while_it_runs_is_seen_by_the_next_call() {
    let site = Site::new();
    let gate = site.gate("gate");
    site.script(
        "x",
        r"echo $$ >../../pid; read x <../../gate; printf 'Content-Type: a/b\n\none'",
    );
    let server = site.start(&[]);
    let mut first = asking(&server, &bare("GET", "/cgi-bin/x", ""));
    // Its interpreter has opened it.
    site.pids("pid");
    let next = b"#!/bin/sh\nprintf 'Content-Type: a/b\n\ntwo'\n";
    site.program("cgi-bin/y", next, "755");
    fs::rename(site.root().join("cgi-bin/y"), site.root().join("cgi-bin/x")).unwrap();
    assert_eq!(get(&server, "/cgi-bin/x").body, b"two");
    gate.lets(1);
    assert_eq!(read(&mut first).body, b"one");
    fs::remove_file(site.root().join("cgi-bin/x")).unwrap();
    assert_eq!(get(&server, "/cgi-bin/x").status, 404);
    drop(first);
    ends(server);
}

#[test]
fn what_looks_like_a_request_in_a_body_or_an_answer_is_none() {
    let site = Site::with_echo();
    let server = site.start(&[]);
    let mut stream = server.connect();
    let smuggled = b"GET /cgi-bin/echo HTTP/1.1\r\nHost: h\r\n\r\nHTTP/1.1 200 OK\r\n\r\n0\r\n\r\n";
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.extend(post("/cgi-bin/echo", "", smuggled));
        requests.extend(post_chunked("/cgi-bin/echo", "", smuggled, 7));
    }
    requests.extend(bare("GET", "/static.txt", "Connection: close\r\n"));
    stream.write_all(&requests).unwrap();
    let heard = hear(&mut stream);
    assert_eq!(heard.end, End::Fin);
    let answers = all(&heard.bytes);
    assert_eq!(answers.len(), 21);
    assert!(answers[..20].iter().all(|answer| answer.body == smuggled));
    // Two framings are none.
    let fields = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let answer = ask(
        &mut server.connect(),
        &bare("POST", "/cgi-bin/echo", fields),
    );
    assert_eq!((answer.status, answer.closes()), (400, true));
    assert_eq!(ends(server).counter("scripts"), 20);
}
