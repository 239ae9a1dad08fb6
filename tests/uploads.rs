//! Uploads as a client lives through them: what is answered, and what then lies where. On real
//! sockets and files; how they are broken off is in `tests/uploads_broken.rs`, how they are refused
//! in the middle of a body in `tests/uploads_refused.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::auth::{ALICE, Users, alice};
use common::child::{NOBODY, adieu, is_root, run};
use common::http::{answers, only, read_answer};
use common::place::Place;
use common::root::Root;
use common::server::Server;
use common::uploads::{
    CROWD, Half, LINGERS, RULE, STAGE, alone, ask, bare, content, get, head, inbox, names, noise,
    nothing_is_left, put, put_chunked, say_all_then_hear, start, unfinished,
};
use common::{End, PATIENCE, eventually, hear, skip};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// What the server said of itself when it stopped in peace, and nothing lies around.
fn ends(server: Server, root: &Root) -> common::server::Stopped {
    server.comes_home();
    nothing_is_left(root);
    server.stop()
}

#[test]
fn a_file_is_created_replaced_and_read_back() {
    let root = inbox();
    let server = start(&root, &[]);
    let mut kept = server.connect();
    // Around the sizes of a buffer's half, of what is received at once, and of one turn.
    for bytes in [0, 1, 4095, 8192, 8193, 65_536, 65_537, 262_144, 1 << 20] {
        let (one, two) = (noise(bytes, 1), noise(bytes + 7, 2));
        let target = format!("/inbox/{bytes}.bin");
        for (request, body, status) in [
            (put(&target, "", &one), &one, 201),
            (put_chunked(&target, "", &two, 5000), &two, 204),
            (put(&target, "", &one), &one, 204),
        ] {
            let answer = ask(&mut kept, &request);
            assert_eq!(
                (answer.status, answer.closes()),
                (status, false),
                "{target}"
            );
            assert!(answer.body.is_empty());
            let length = answer.field("content-length");
            assert_eq!(length, (status == 201).then_some("0"), "{answer:?}");
            let answer = ask(&mut kept, &bare("GET", &target, ""));
            assert_eq!(answer.status, 200);
            assert!(answer.body == *body, "{target}: another content");
        }
        let file = root.path().join(&target[1..]);
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o644, 0, "{mode:o}");
    }
    // Chunks of one byte.
    let small = noise(3000, 3);
    let answer = ask(&mut kept, &put_chunked("/inbox/small", "", &small, 1));
    assert_eq!(answer.status, 201);
    assert_eq!(content(&server, "/inbox/small"), (200, small));
    // Names of all kinds.
    for target in [
        "/inbox/two%20words",
        "/inbox/gr%C3%BCn.txt",
        "/inbox/100%25",
    ] {
        assert_eq!(ask(&mut kept, &put(target, "", b"x")).status, 201);
        assert_eq!(content(&server, target), (200, b"x".to_vec()));
    }
    drop(kept);
    let stopped = ends(server, &root);
    assert_eq!(stopped.counter("uploads-abandoned"), 0);
}

#[test]
fn bytes_that_come_one_by_one_are_a_whole_file() {
    let root = inbox();
    let server = start(&root, &[]);
    let body = noise(300, 1);
    for request in [
        put("/inbox/x", "", &body),
        put_chunked("/inbox/y", "", &body, 100),
    ] {
        let mut stream = server.connect();
        for byte in request.chunks(1) {
            stream.write_all(byte).unwrap();
        }
        assert_eq!(read_answer(&mut stream, false).status, 201);
    }
    for target in ["/inbox/x", "/inbox/y"] {
        assert_eq!(content(&server, target), (200, body.clone()));
    }
    ends(server, &root);
}

#[test]
fn conditions_are_about_what_is_there() {
    let root = inbox();
    let server = start(&root, &[]);
    let mut kept = server.connect();
    let mut asks = |fields: &str, body: &[u8]| {
        let answer = ask(&mut kept, &put("/inbox/x", fields, body));
        assert!(!answer.closes(), "{answer:?}");
        answer.status
    };
    // That of a file that has settled: a tag is weak, and matches nothing here, while it is young.
    let etag = || {
        let path = root.path().join("inbox/x");
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_714_979_289))
            .unwrap();
        get(&server, "/inbox/x").field("etag").unwrap().to_owned()
    };
    let holds = |body: &[u8]| assert_eq!(content(&server, "/inbox/x"), (200, body.to_vec()));
    assert_eq!(asks("If-Match: *\r\n", b"none"), 412);
    assert_eq!(asks("If-None-Match: *\r\n", b"one"), 201);
    holds(b"one");
    assert_eq!(asks("If-None-Match: *\r\n", b"two"), 412);
    holds(b"one");
    let first = etag();
    assert_eq!(asks(&format!("If-Match: {first}\r\n"), b"second"), 204);
    holds(b"second");
    // Somebody else was faster.
    assert_eq!(asks(&format!("If-Match: {first}\r\n"), b"third"), 412);
    holds(b"second");
    assert_eq!(asks(&format!("If-None-Match: {}\r\n", etag()), b"3"), 412);
    let old = "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n";
    assert_eq!(asks(old, b"fourth"), 412);
    holds(b"second");
    // With a 100 to wait for there is none.
    let fields = "If-None-Match: *\r\nExpect: 100-continue\r\n";
    let mut stream = server.connect();
    stream
        .write_all(&head("PUT", "/inbox/x", fields, 5))
        .unwrap();
    let heard = hear(&mut stream);
    assert_eq!((only(&heard.bytes).status, heard.end), (412, End::Fin));
    // DELETE has them too.
    let delete = |fields: &str| alone(&server, &bare("DELETE", "/inbox/x", fields)).status;
    assert_eq!(delete(&format!("If-Match: {first}\r\n")), 412);
    assert_eq!(delete(&format!("If-Match: {}\r\n", etag())), 204);
    drop((kept, stream));
    ends(server, &root);
}

#[test]
fn a_condition_is_looked_at_again_when_the_body_is_there() {
    let root = inbox();
    let server = start(&root, &[]);
    let body = noise(2000, 1);
    let mut stream = server.connect();
    let request = put("/inbox/x", "If-None-Match: *\r\n", &body);
    let (front, back) = request.split_at(request.len() - 1000);
    stream.write_all(front).unwrap();
    eventually("a part is kept", || unfinished(&root).len() == 1);
    assert_eq!(alone(&server, &put("/inbox/x", "", b"faster")).status, 201);
    assert_eq!(ask(&mut stream, back).status, 412);
    assert_eq!(content(&server, "/inbox/x"), (200, b"faster".to_vec()));
    assert_eq!(ask(&mut stream, &bare("GET", "/", "")).status, 200);
    drop(stream);
    ends(server, &root);
}

/// Small bodies that are refused, and why: target, fields, status.
const REFUSED: &[(&str, &str, u16)] = &[
    ("/inbox/x", "Content-Range: bytes 0-9/100\r\n", 400),
    ("/inbox/..%00/x", "", 400),
    ("/guarded/x", "", 401),
    ("/inbox/.hidden", "", 404),
    ("/inbox/a%2Fb", "", 404),
    ("/x", "", 405),
    ("/", "", 405),
    ("/inbox", "", 409),
    ("/inbox/", "", 409),
    ("/inbox/directory", "", 409),
    ("/inbox/directory/", "", 409),
    ("/inbox/missing/x", "", 409),
    ("/inbox/file/x", "", 409),
    ("/inbox/file", "If-None-Match: *\r\n", 412),
    ("/tiny/x", "", 413),
];

#[test]
fn small_bodies_that_are_refused_keep_their_connection() {
    let test = "small_bodies_that_are_refused_keep_their_connection";
    if common::lacks(test, "auth") {
        return;
    }
    let (root, users) = (inbox(), Users::new(ALICE));
    for name in ["inbox/directory", "tiny", "guarded"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    root.file("inbox/file", b"as it was");
    let guard = users.guard("/guarded *", "Uploads");
    let rules = [
        "site.uploads=/tiny 10",
        "site.uploads=/guarded 1MiB",
        &guard,
    ];
    let server = start(&root, &rules);
    let mut kept = server.connect();
    for bytes in [11, 9000, 60_000] {
        for (target, fields, status) in REFUSED {
            // What looks like a request in the body must never be one.
            let mut body = bare("DELETE", "/inbox/file", "");
            body.resize(bytes.max(body.len()), b'x');
            let answer = ask(&mut kept, &put(target, fields, &body));
            assert_eq!(answer.status, *status, "PUT {target} {fields}");
            assert!(!answer.closes(), "{answer:?}");
            if *status == 405 {
                assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
            }
            let answer = ask(&mut kept, &bare("GET", "/inbox/file", ""));
            assert_eq!((answer.status, &answer.body[..]), (200, &b"as it was"[..]));
        }
    }
    // The same, all in one pipeline.
    let body = [b'x'; 11];
    let requests = REFUSED
        .iter()
        .map(|(target, fields, _)| put(target, fields, &body));
    let all = requests.collect::<Vec<_>>().concat();
    kept.write_all(&all).unwrap();
    for (target, _, status) in REFUSED {
        let answer = read_answer(&mut kept, false);
        assert_eq!(answer.status, *status, "PUT {target}");
    }
    assert_eq!(names(&root), ["directory", "file"]);
    // What is allowed where.
    for (method, target, allow, status) in [
        (
            "OPTIONS",
            "/inbox/x",
            "GET, HEAD, OPTIONS, PUT, DELETE",
            200,
        ),
        ("OPTIONS", "/x", "GET, HEAD, OPTIONS", 200),
        ("POST", "/inbox/x", "GET, HEAD, OPTIONS, PUT, DELETE", 405),
        (
            "PATCH",
            "/inbox/file",
            "GET, HEAD, OPTIONS, PUT, DELETE",
            405,
        ),
        ("DELETE", "/index.html", "GET, HEAD, OPTIONS", 405),
    ] {
        let answer = ask(&mut kept, &bare(method, target, ""));
        assert_eq!(answer.status, status, "{method} {target}");
        let mut named: Vec<_> = answer.field("allow").unwrap().split(", ").collect();
        let mut expected: Vec<_> = allow.split(", ").collect();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{method} {target}");
    }
    drop(kept);
    let stopped = ends(server, &root);
    assert_eq!(stopped.counter("uploads-abandoned"), 0);
}

#[test]
fn who_is_a_user_may_upload_and_the_body_may_come_before_the_verdict() {
    let test = "who_is_a_user_may_upload_and_the_body_may_come_before_the_verdict";
    if common::lacks(test, "auth") {
        return;
    }
    let (root, users) = (inbox(), Users::new(ALICE));
    let guard = users.guard("/inbox PUT,DELETE", "Uploads");
    let server = start(&root, &[&guard]);
    let body = noise(300_000, 1);
    let mut kept = server.connect();
    let answer = ask(&mut kept, &put("/inbox/x", &alice(), &body));
    assert_eq!((answer.status, answer.closes()), (201, false));
    assert_eq!(content(&server, "/inbox/x"), (200, body));
    // Now it is remembered. And one who waits for a 100 waits for the verdict too.
    let fields = format!("{}Expect: 100-continue\r\n", alice());
    kept.write_all(&head("PUT", "/inbox/x", &fields, 3))
        .unwrap();
    assert_eq!(read_answer(&mut kept, false).status, 100);
    assert_eq!(ask(&mut kept, b"abc").status, 204);
    let mut stream = server.connect();
    let wait = "Expect: 100-continue\r\n";
    stream.write_all(&head("PUT", "/inbox/x", wait, 3)).unwrap();
    let heard = hear(&mut stream);
    assert_eq!((only(&heard.bytes).status, heard.end), (401, End::Fin));
    assert_eq!(alone(&server, &bare("DELETE", "/inbox/x", "")).status, 401);
    assert_eq!(content(&server, "/inbox/x"), (200, b"abc".to_vec()));
    drop((kept, stream));
    ends(server, &root);
}

#[test]
fn an_expectation_is_met_before_the_body_or_refused_for_good() {
    let root = inbox();
    root.file("inbox/file", b"as it was");
    fs::create_dir(root.path().join("inbox/directory")).unwrap();
    let server = start(&root, &["site.uploads=/inbox/tiny* 10"]);
    let wait = "Expect: 100-continue\r\n";
    let mut stream = server.connect();
    for (status, body) in [(201, noise(100_000, 1)), (204, noise(5, 2))] {
        stream
            .write_all(&head("PUT", "/inbox/x", wait, body.len()))
            .unwrap();
        assert_eq!(read_answer(&mut stream, false).status, 100);
        let answer = ask(&mut stream, &body);
        assert_eq!((answer.status, answer.closes()), (status, false));
        assert_eq!(content(&server, "/inbox/x"), (200, body));
    }
    drop(stream);
    let delete = bare("DELETE", "/inbox/file", "");
    for (target, status) in [
        ("/x", 405),
        ("/inbox/directory", 409),
        ("/inbox/missing/x", 409),
        ("/inbox/tiny", 413),
        ("/inbox/.hidden", 404),
    ] {
        // Who goes on regardless is not heard: neither now nor later.
        for early in [false, true] {
            let mut stream = server.connect();
            stream
                .write_all(&head("PUT", target, wait, delete.len()))
                .unwrap();
            let answer = match early {
                true => None,
                false => Some(read_answer(&mut stream, false)),
            };
            // It may be gone before these arrive, or not.
            let sent = stream.write_all(&delete).is_ok() && stream.write_all(&delete).is_ok();
            let heard = hear(&mut stream);
            let answer = match answer {
                Some(answer) => {
                    assert_eq!(heard.bytes.len(), 0, "a second answer");
                    answer
                }
                None => only(&heard.bytes),
            };
            assert_eq!((answer.status, answer.closes()), (status, true), "{target}");
            if LINGERS {
                assert_eq!((sent, heard.end), (true, End::Fin));
            }
        }
    }
    assert_eq!(names(&root), ["directory", "file", "x"]);
    ends(server, &root);
}

#[test]
fn chunks_beyond_the_bound_are_refused_at_the_size_line_that_says_so() {
    let root = inbox();
    root.file("inbox/tiny", b"as it was");
    let server = start(&root, &["site.uploads=/inbox/tiny 1000"]);
    // As much as is allowed, and one byte more; the last chunk's content never comes.
    let whole = put_chunked("/inbox/tiny", "", &noise(1000, 1), 300);
    assert_eq!(alone(&server, &whole).status, 204);
    let start_of_it = "PUT /inbox/tiny HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        format!("1f4\r\n{:0500}\r\n1f5\r\n", 0),
        "3e9\r\n".to_owned(),
        "7fffffffffffffff\r\n".to_owned(),
        format!("3e8\r\n{:01000}\r\n1\r\n", 0),
    ] {
        let request = format!("{start_of_it}{chunks}");
        let (said, heard) = say_all_then_hear(&mut server.connect(), request.as_bytes());
        said.unwrap();
        let answer = only(&heard.bytes);
        assert_eq!((answer.status, answer.closes()), (413, true), "{chunks}");
        assert_eq!(heard.end, End::Fin);
        nothing_is_left(&root);
    }
    for chunks in ["x\r\n", "5\r\nabcdef\r\n", "-1\r\n", "\r\n"] {
        let request = format!("{start_of_it}3\r\nabc\r\n{chunks}");
        let (said, heard) = say_all_then_hear(&mut server.connect(), request.as_bytes());
        said.unwrap();
        let answer = only(&heard.bytes);
        assert_eq!((answer.status, answer.closes()), (400, true), "{chunks}");
        nothing_is_left(&root);
    }
    assert_eq!(content(&server, "/inbox/tiny"), (200, noise(1000, 1)));
    let stopped = ends(server, &root);
    assert_eq!(stopped.counter("reject.body-too-large"), 4, "{stopped:?}");
    assert_eq!(stopped.counter("reject.bad-chunk"), 4);
    assert_eq!(stopped.counter("uploads-abandoned"), 8);
}

#[test]
fn of_two_uploads_to_one_name_one_is_there_whole() {
    let root = inbox();
    let server = start(&root, &[]);
    let (one, two) = (noise(300_000, 1), noise(500_000, 2));
    for (order, last) in [([0, 1], &two), ([1, 0], &one)] {
        let first = Half::put(&server, &root, "/inbox/x", &one);
        let second = Half::put(&server, &root, "/inbox/x", &two);
        let mut both = [first, second];
        for index in order {
            assert!(matches!(both[index].finish().status, 201 | 204));
        }
        assert!(content(&server, "/inbox/x") == (200, last.clone()));
    }
    // As fast as they can.
    let mixed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for body in [&one, &two, &one, &two] {
            let (server, mixed) = (&server, &mixed);
            scope.spawn(move || {
                for _ in 0..10 {
                    let mut stream = server.connect();
                    let answer = ask(&mut stream, &put("/inbox/x", "", body));
                    assert_eq!(answer.status, 204);
                }
                mixed.fetch_add(1, Ordering::SeqCst);
            });
        }
        while mixed.load(Ordering::SeqCst) < 4 {
            let (status, body) = content(&server, "/inbox/x");
            assert!(status == 200 && (body == one || body == two), "a mixture");
        }
    });
    ends(server, &root);
}

#[test]
fn a_download_that_has_begun_stays_the_file_it_was() {
    let root = inbox();
    let server = start(&root, &[]);
    let (old, new) = (noise(8 << 20, 1), noise(3 << 20, 2));
    assert_eq!(alone(&server, &put("/inbox/x", "", &old)).status, 201);
    let mut download = server.connect();
    download.write_all(&bare("GET", "/inbox/x", "")).unwrap();
    let mut start = [0; 15];
    download.read_exact(&mut start).unwrap();
    assert_eq!(alone(&server, &put("/inbox/x", "", &new)).status, 204);
    assert!(content(&server, "/inbox/x") == (200, new));
    assert_eq!(alone(&server, &bare("DELETE", "/inbox/x", "")).status, 204);
    let rest = read_answer(&mut start.chain(&mut download), false);
    assert!(rest.body == old, "the download is not what it began as");
    assert_eq!(get(&server, "/inbox/x").status, 404);
    drop(download);
    ends(server, &root);
}

#[test]
fn what_is_not_whole_has_no_address() {
    if common::lacks("what_is_not_whole_has_no_address", "listing") {
        return;
    }
    let root = inbox();
    let server = start(
        &root,
        &[
            "site.listing=on",
            "site.dotfiles=serve",
            "site.uploads=/ 1MiB",
        ],
    );
    let mut half = Half::put(&server, &root, "/inbox/x", &noise(2000, 1));
    let (name, _) = unfinished(&root).remove(0);
    let mut kept = server.connect();
    for way in [
        "/.adieu-uploads",
        "/%2eadieu-uploads",
        "/%2E%61%64%69%65%75-%75ploads",
        "//.adieu-uploads",
        "/./.adieu-uploads",
        "/inbox/../.adieu-uploads",
        "/inbox/%2e%2e/.adieu-uploads",
        "/.adieu-uploads/.",
        "/.adieu-uploads//",
        "/.ADIEU-uploads",
        "/.adieu-uploads.",
        "/.adieu-uploads%20",
    ] {
        for target in [way.to_owned(), format!("{way}/"), format!("{way}/{name}")] {
            for method in ["GET", "HEAD", "DELETE"] {
                kept.write_all(&bare(method, &target, "")).unwrap();
                let answer = read_answer(&mut kept, method == "HEAD");
                let told = (
                    answer.status,
                    answer.field("location"),
                    answer.field("etag"),
                );
                assert_eq!(told, (404, None, None), "{method} {target}");
            }
            let answer = ask(&mut kept, &put(&target, "", b"x"));
            assert_eq!(answer.status, 404, "PUT {target}");
        }
    }
    fs::remove_file(root.path().join("index.html")).unwrap();
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let listing = String::from_utf8(hear(&mut stream).bytes).unwrap();
    assert!(listing.contains("inbox/") && !listing.contains("adieu-uploads"));
    assert_eq!(unfinished(&root).len(), 1);
    assert_eq!(half.finish().status, 201);
    let mode = |name: &str| {
        let metadata = fs::metadata(root.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(STAGE), 0o700);
    drop((half, kept));
    ends(server, &root);
}

#[test]
fn nothing_outside_the_root_is_changed() {
    let (root, outside) = (inbox(), Root::new());
    outside.file("victim", b"as it was");
    fs::create_dir(root.path().join("inbox/real")).unwrap();
    symlink(outside.path(), root.path().join("inbox/out")).unwrap();
    symlink(
        outside.path().join("victim"),
        root.path().join("inbox/link"),
    )
    .unwrap();
    let seen = || {
        let names = fs::read_dir(outside.path()).unwrap().count();
        assert_eq!(names, 2, "something is new outside");
        assert_eq!(
            fs::read(outside.path().join("victim")).unwrap(),
            b"as it was"
        );
    };
    for policy in ["within", "none"] {
        let key = format!("site.symlinks={policy}");
        let server = start(&root, &[&key]);
        for (target, statuses) in [
            ("/inbox/out/x", &[403, 404, 409][..]),
            ("/inbox/out/victim", &[403, 404, 409]),
            ("/inbox/link", &[403, 404, 409]),
            ("/inbox/../../x", &[400]),
            ("/inbox/%2e%2e/%2e%2e/x", &[400]),
        ] {
            for request in [put(target, "", b"new"), bare("DELETE", target, "")] {
                let status = alone(&server, &request).status;
                assert!(statuses.contains(&status), "{policy} {target}: {status}");
                seen();
            }
        }
        // The directory is exchanged for a link while the body flows.
        let mut half = Half::put(&server, &root, "/inbox/real/x", &noise(2000, 1));
        let (real, moved) = (root.path().join("inbox/real"), outside.path().join("real"));
        fs::rename(&real, &moved).unwrap();
        symlink(&moved, &real).unwrap();
        assert_eq!(half.finish().status, 409, "{policy}");
        assert_eq!(fs::read_dir(&moved).unwrap().count(), 0);
        fs::remove_file(&real).unwrap();
        fs::rename(&moved, &real).unwrap();
        seen();
        drop(half);
        ends(server, &root);
    }
}

#[test]
fn more_uploads_than_there_are_places_are_told_to_come_again() {
    let root = inbox();
    let server = start(&root, &["upload.at_once=2"]);
    let body = noise(1000, 1);
    let mut halves = ["/inbox/a", "/inbox/b"].map(|at| Half::put(&server, &root, at, &body));
    let mut third = server.connect();
    for _ in 0..3 {
        let answer = ask(&mut third, &put("/inbox/c", "", &body));
        assert_eq!((answer.status, answer.closes()), (503, false));
        let seconds = answer.field("retry-after").unwrap().parse::<u32>();
        assert!(seconds.unwrap() > 0);
        assert_eq!(unfinished(&root).len(), 2);
    }
    // Neither a download nor a DELETE needs a place; nor is one lost by those that failed.
    assert_eq!(get(&server, "/").status, 200);
    assert_eq!(halves[0].finish().status, 201);
    assert_eq!(ask(&mut third, &put("/inbox/c", "", &body)).status, 201);
    assert_eq!(halves[1].finish().status, 201);
    for _ in 0..10 {
        drop(Half::put(&server, &root, "/inbox/d", &body));
        nothing_is_left(&root);
    }
    assert_eq!(ask(&mut third, &put("/inbox/d", "", &body)).status, 201);
    assert_eq!(names(&root), ["a", "b", "c", "d"]);
    drop((halves, third));
    let stopped = ends(server, &root);
    assert_eq!(stopped.counter("uploads-abandoned"), 10);
}

#[test]
fn one_client_cannot_have_all_the_places() {
    let root = inbox();
    let keys = [
        RULE,
        "memory.connections=16",
        "limits.connections_per_address=8",
        "upload.at_once=4",
    ];
    let path = std::env::temp_dir().join(format!("adieu-{}-share", std::process::id()));
    let mut command = Server::command("127.0.0.1:0", root.path(), &keys);
    command.args(["-p", &format!("unix:{}", path.display())]);
    let server = Server::run(command);
    let body = noise(1000, 1);
    let halves = ["/inbox/a", "/inbox/b"].map(|at| Half::put(&server, &root, at, &body));
    assert_eq!(alone(&server, &put("/inbox/c", "", &body)).status, 503);
    // Who comes through a unix socket is somebody else.
    let mut other = UnixStream::connect(&path).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask(&mut other, &put("/inbox/c", "", &body)).status, 201);
    drop((halves, other));
    ends(server, &root);
    let _ = fs::remove_file(path);
}

#[test]
fn a_removed_file_is_not_found_and_removed_once() {
    let root = inbox();
    fs::create_dir(root.path().join("inbox/directory")).unwrap();
    let server = start(&root, &[]);
    let mut kept = server.connect();
    assert_eq!(ask(&mut kept, &put("/inbox/x", "", b"x")).status, 201);
    for (method, status) in [("DELETE", 204), ("GET", 404), ("DELETE", 404)] {
        let answer = ask(&mut kept, &bare(method, "/inbox/x", ""));
        assert_eq!(
            (answer.status, answer.closes()),
            (status, false),
            "{method}"
        );
    }
    for target in ["/inbox/directory", "/inbox/directory/", "/inbox/", "/inbox"] {
        let answer = ask(&mut kept, &bare("DELETE", target, ""));
        assert_eq!(answer.status, 409, "{target}");
    }
    // One with a body.
    let request = [&head("DELETE", "/inbox/y", "", 5)[..], b"12345"].concat();
    root.file("inbox/y", b"y");
    assert_eq!(ask(&mut kept, &request).status, 204);
    assert_eq!(names(&root), ["directory"]);
    drop(kept);
    ends(server, &root);
}

#[test]
fn a_pipeline_is_answered_in_its_order() {
    let root = inbox();
    let server = start(&root, &[]);
    let body = noise(30_000, 1);
    for put in [
        put("/inbox/x", "", &body),
        put_chunked("/inbox/x", "", &body, 700),
    ] {
        let pipeline = [
            put,
            bare("GET", "/inbox/x", ""),
            bare("DELETE", "/inbox/x", ""),
            bare("GET", "/inbox/x", ""),
        ]
        .concat();
        let twenty = pipeline.repeat(20);
        let mut stream = server.connect();
        let mut reader = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            stream.write_all(&twenty).unwrap();
            stream
                .write_all(&bare("GET", "/", "Connection: close\r\n"))
                .unwrap();
        });
        let heard = hear(&mut reader);
        writer.join().unwrap();
        let (found, rest) = answers(&heard.bytes, false);
        assert_eq!((rest.len(), heard.end), (0, End::Fin));
        let statuses: Vec<u16> = found.iter().map(|answer| answer.status).collect();
        let expected = [[201, 200, 204, 404].repeat(20), vec![200]].concat();
        assert_eq!(statuses, expected);
        assert!(
            found
                .iter()
                .skip(1)
                .step_by(4)
                .take(20)
                .all(|a| a.body == body)
        );
    }
    ends(server, &root);
}

#[test]
fn changes_of_a_pipeline_are_made_once_each_and_logged_once_each() {
    let test = "changes_of_a_pipeline_are_made_once_each_and_logged_once_each";
    if common::lacks(test, "access-log") {
        return;
    }
    let root = inbox();
    let path = root.path().join("access.log");
    let target = format!("log.access_target=file:{}", path.display());
    let server = start(&root, &["log.access=common", &target]);
    let pair = [put("/inbox/x", "", b""), bare("DELETE", "/inbox/x", "")].concat();
    let mut stream = server.connect();
    let mut reader = stream.try_clone().unwrap();
    let writer = thread::spawn(move || stream.write_all(&pair.repeat(300)).unwrap());
    // Made twice, a PUT would be 204 and a DELETE 404.
    for _ in 0..300 {
        assert_eq!(read_answer(&mut reader, false).status, 201);
        assert_eq!(read_answer(&mut reader, false).status, 204);
    }
    writer.join().unwrap();
    drop(reader);
    eventually("all lines", || {
        fs::read_to_string(&path).unwrap().lines().count() == 600
    });
    ends(server, &root);
}

#[test]
fn an_upload_behind_a_large_download_waits_for_its_turn() {
    let root = inbox();
    root.sparse("large.bin", 16 << 20);
    let server = start(&root, &[]);
    let body = noise(300_000, 1);
    let pipeline = [
        bare("GET", "/large.bin", ""),
        put("/inbox/x", "", &body),
        bare("GET", "/inbox/x", "Connection: close\r\n"),
    ]
    .concat();
    let mut stream = server.connect();
    let mut reader = stream.try_clone().unwrap();
    let writer = thread::spawn(move || stream.write_all(&pipeline).unwrap());
    reader.peek(&mut [0]).unwrap();
    assert_eq!(get(&server, "/inbox/x").status, 404);
    let large = read_answer(&mut reader, false);
    assert_eq!((large.status, large.body.len()), (200, 16 << 20));
    assert_eq!(read_answer(&mut reader, false).status, 201);
    let last = read_answer(&mut reader, false);
    assert!(last.body == body && last.closes());
    assert_eq!(hear(&mut reader).end, End::Fin);
    writer.join().unwrap();
    drop(reader);
    ends(server, &root);
}

#[test]
fn the_last_request_of_a_connection_may_be_an_upload() {
    let root = inbox();
    let server = start(&root, &["keepalive.requests=1"]);
    let request = [
        put("/inbox/x", "", b"12345"),
        bare("DELETE", "/inbox/x", ""),
    ]
    .concat();
    let (said, heard) = say_all_then_hear(&mut server.connect(), &request);
    said.unwrap();
    let answer = only(&heard.bytes);
    assert_eq!((answer.status, answer.closes()), (201, true));
    assert_eq!(heard.end, End::Fin);
    assert_eq!(names(&root), ["x"]);
    ends(server, &root);
}

#[test]
fn pages_of_the_site_tell_of_refused_uploads_too() {
    let root = inbox();
    // More than stands in an output at once.
    let page = noise(300_000, 9);
    root.file("sorry.html", &page);
    fs::create_dir(root.path().join("inbox/directory")).unwrap();
    let keys =
        ["405", "409", "412", "503"].map(|code| format!("site.error_pages={code} /sorry.html"));
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.extend(["upload.at_once=1", "site.fields=/inbox X-Kind: inbox"]);
    let server = start(&root, &keys);
    let mut kept = server.connect();
    let body = noise(60_000, 1);
    for (target, status) in [
        ("/x", 405),
        ("/inbox/directory", 409),
        ("/inbox/missing/x", 409),
    ] {
        let answer = ask(&mut kept, &put(target, "", &body));
        assert_eq!(
            (answer.status, answer.closes()),
            (status, false),
            "{target}"
        );
        assert!(answer.body == page, "{target}");
        assert_eq!(ask(&mut kept, &bare("GET", "/", "")).status, 200);
    }
    // Also where the answer is made when the body is there.
    let mut stream = server.connect();
    let request = put("/inbox/x", "If-None-Match: *\r\n", &body);
    let (front, back) = request.split_at(request.len() - 1000);
    stream.write_all(front).unwrap();
    eventually("a part is kept", || unfinished(&root).len() == 1);
    let answer = ask(&mut kept, &put("/inbox/y", "", &body));
    assert_eq!((answer.status, answer.closes()), (503, false));
    assert!(answer.body == page && answer.field("retry-after").is_some());
    root.file("inbox/x", b"faster");
    let answer = ask(&mut stream, back);
    assert_eq!((answer.status, answer.closes()), (412, false));
    assert!(answer.body == page);
    let answer = ask(&mut stream, &put("/inbox/y", "", &body));
    assert_eq!(
        (answer.status, answer.field("x-kind")),
        (201, Some("inbox"))
    );
    drop((kept, stream));
    ends(server, &root);
}

#[test]
fn sixteen_uploads_at_once_leave_time_for_others() {
    let root = inbox();
    let server = start(&root, &["upload.at_once=16"]);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..16_u64 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let body = noise(1 << 20, number);
                let target = format!("/inbox/{number}");
                let mut kept = server.connect();
                for status in [201, 204, 204] {
                    let answer = ask(&mut kept, &put(&target, "", &body));
                    assert_eq!(answer.status, status);
                }
                assert!(content(server, &target) == (200, body));
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut served = 0;
        while done.load(Ordering::SeqCst) < 16 {
            server.serves_a_good_client();
            served += 1;
        }
        assert!(served > 0);
    });
    assert_eq!(names(&root).len(), 16);
    let stopped = ends(server, &root);
    assert_eq!(stopped.counter("uploads-abandoned"), 0);
}

#[test]
fn what_somebody_else_serves_is_kept_as_that_user() {
    if !is_root() {
        skip(
            "what_somebody_else_serves_is_kept_as_that_user",
            "it takes root",
        );
        return;
    }
    let place = Place::new();
    place.site("www", "good day");
    for name in ["www/inbox", "www/ours"] {
        place.directory(name);
    }
    place.give("www", NOBODY);
    place.give("www/inbox", NOBODY);
    let user = format!("service.user={NOBODY}:{NOBODY}");
    let keys = [RULE, "site.uploads=/ours 1MiB", &user];
    let server = Server::start(&place.path("www"), &keys);
    let mut kept = server.connect();
    assert_eq!(
        ask(&mut kept, &put("/ours/x", "", &[b'x'; 60_000])).status,
        403
    );
    assert_eq!(ask(&mut kept, &bare("DELETE", "/ours/x", "")).status, 404);
    assert_eq!(ask(&mut kept, &put("/inbox/x", "", b"x")).status, 201);
    for name in ["www/.adieu-uploads", "www/inbox/x"] {
        assert_eq!(
            fs::metadata(place.path(name)).unwrap().uid(),
            NOBODY,
            "{name}"
        );
    }
    drop(kept);
    server.comes_home();
    server.stop();
}

/// Tested by root, as a supervisor does before each start, it would be root's own, and the start as
/// another user would fail.
#[test]
fn a_configuration_that_is_only_tested_makes_nothing() {
    let root = inbox();
    let path = root.path().display().to_string();
    let tested = run(adieu(&["-t", "-d", &path, "--set", RULE]));
    assert_eq!(tested.code, 0, "{tested:?}");
    assert!(!root.path().join(STAGE).exists(), "it was made by the test");
}

#[test]
fn a_unix_socket_takes_them_alike() {
    let root = inbox();
    let path = std::env::temp_dir().join(format!("adieu-{}-uploads", std::process::id()));
    let listen = format!("unix:{}", path.display());
    let server = Server::on(&listen, root.path(), &[RULE, CROWD, "linger.idle_ms=20s"]);
    let connect = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let body = noise(1 << 20, 1);
    let mut kept = connect();
    for (request, status) in [
        (put("/inbox/x", "", &body), 201),
        (put_chunked("/inbox/x", "", &body, 10_000), 204),
        (put("/x", "", &[b'x'; 1000]), 405),
    ] {
        let answer = ask(&mut kept, &request);
        assert_eq!((answer.status, answer.closes()), (status, false));
    }
    let answer = ask(&mut kept, &bare("GET", "/inbox/x", ""));
    assert!(answer.body == body);
    let (said, heard) = say_all_then_hear(&mut connect(), &put("/x", "", &body));
    if LINGERS {
        said.unwrap();
        assert_eq!((only(&heard.bytes).status, heard.end), (405, End::Fin));
    }
    drop(kept);
    // One that goes in the middle.
    let mut gone = connect();
    gone.write_all(&head("PUT", "/inbox/y", "", 1000)).unwrap();
    gone.write_all(&[b'y'; 500]).unwrap();
    eventually("it is on its way", || unfinished(&root).len() == 1);
    drop(gone);
    nothing_is_left(&root);
    assert_eq!(names(&root), ["x"]);
    ends(server, &root);
    let _ = fs::remove_file(path);
}

#[test]
fn the_access_log_has_a_line_for_each_and_the_counters_tell() {
    let test = "the_access_log_has_a_line_for_each_and_the_counters_tell";
    if common::lacks(test, "access-log") {
        return;
    }
    let root = inbox();
    let path = root.path().join("access.log");
    let target = format!("log.access_target=file:{}", path.display());
    let keys = ["log.access=common", &target, "site.uploads=/inbox/tiny* 10"];
    let server = start(&root, &keys);
    let ends_of = || -> Vec<String> {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let behind = |line: &str| line.split_once("] ").unwrap().1.to_owned();
        text.lines().map(behind).collect()
    };
    let line = |count: usize| {
        eventually("a line", || ends_of().len() >= count);
        assert_eq!(ends_of().len(), count);
        ends_of().remove(count - 1)
    };
    let chunked = put_chunked("/inbox/tiny", "", &[b'x'; 11], 20);
    assert_eq!(alone(&server, &put("/inbox/x", "", b"12345")).status, 201);
    assert_eq!(line(1), "\"PUT /inbox/x HTTP/1.1\" 201 -");
    assert_eq!(alone(&server, &put("/inbox/x", "", b"12345")).status, 204);
    assert_eq!(line(2), "\"PUT /inbox/x HTTP/1.1\" 204 -");
    let answer = alone(&server, &put("/inbox/tiny", "", &[b'x'; 11]));
    let expected = format!("\"PUT /inbox/tiny HTTP/1.1\" 413 {}", answer.body.len());
    assert_eq!(line(3), expected);
    let (_, heard) = say_all_then_hear(&mut server.connect(), &chunked);
    let expected = format!(
        "\"PUT /inbox/tiny HTTP/1.1\" 413 {}",
        only(&heard.bytes).body.len()
    );
    assert_eq!(line(4), expected);
    drop(Half::put(&server, &root, "/inbox/y", &noise(1000, 1)));
    let broken = line(5);
    assert!(
        broken.starts_with("\"PUT /inbox/y HTTP/1.1\" 400 "),
        "{broken}"
    );
    let deleted = bare("DELETE", "/inbox/x", "");
    assert_eq!(alone(&server, &deleted).status, 204);
    assert_eq!(line(6), "\"DELETE /inbox/x HTTP/1.1\" 204 -");
    server.signal("USR2");
    server.line(1, |line| {
        line.contains("counters: ") && line.contains("uploads-abandoned=2")
    });
    ends(server, &root);
}
