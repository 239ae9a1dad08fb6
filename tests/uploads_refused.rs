//! Uploads that are refused before or in the middle of their bodies, to clients that send all of it
//! before they read: the whole answer, no error from the client's send, no reset, a FIN. And what a
//! file system without room leaves: the old file, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::auth::{ALICE, Users, basic};
use common::child::{after, by, is_root};
use common::http::{only, read_answer};
use common::root::Root;
use common::server::{Server, Stopped};
use common::uploads::{
    CROWD, Half, LINGERS, RULE, STAGE, alone, ask, bare, content, head, inbox, names, noise,
    nothing_is_left, put_chunked, say_all_then_hear, start,
};
use common::{End, eventually, skip};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A loaded machine may be slow to begin with a goodbye.
const PATIENT: &str = "linger.idle_ms=20s";
/// Bodies whose rest is read off behind the answer, so that the connection stays.
const SMALL: usize = 64 << 10;
/// Bodies whose rest is read off in a goodbye.
const LARGE: [usize; 2] = [1 << 20, 50 << 20];
/// The file before the upload.
const OLD: &[u8] = &[b'o'; 5000];

/// A request with a body of so many bytes.
fn upload(target: &str, fields: &str, bytes: usize) -> Vec<u8> {
    let mut request = head("PUT", target, fields, bytes);
    request.resize(request.len() + bytes, b'x');
    request
}

/// `request` is sent whole and then answered with `status`; the connection stays.
fn is_refused_and_stays(server: &Server, request: &[u8], status: u16) {
    let mut stream = server.connect();
    for _ in 0..3 {
        let answer = ask(&mut stream, request);
        assert_eq!((answer.status, answer.closes()), (status, false));
        let answer = ask(&mut stream, &bare("GET", "/", ""));
        assert_eq!((answer.status, answer.closes()), (200, false));
    }
}

/// `request` is sent whole, and then the client hears `status` and a goodbye.
fn is_refused_and_ends(server: &Server, request: &[u8], status: u16) {
    // What depends on who is faster is tried more than once, but not for ever.
    let tries = if request.len() > 8 << 20 { 1 } else { 3 };
    for _ in 0..tries {
        let (said, heard) = say_all_then_hear(&mut server.connect(), request);
        if LINGERS {
            said.expect("the client's send never fails");
            assert_eq!(heard.end, End::Fin);
            let answer = only(&heard.bytes);
            assert_eq!((answer.status, answer.closes()), (status, true));
        }
    }
}

/// All sizes, by length and in chunks.
fn is_refused(server: &Server, target: &str, fields: &str, status: u16) {
    is_refused_and_stays(server, &upload(target, fields, SMALL), status);
    for bytes in LARGE {
        is_refused_and_ends(server, &upload(target, fields, bytes), status);
    }
    // Nobody knows how long these are: their answer is the last.
    for bytes in [SMALL, LARGE[0]] {
        let request = put_chunked(target, fields, &vec![b'x'; bytes], 10_000);
        is_refused_and_ends(server, &request, status);
    }
}

fn ends(server: Server) -> Stopped {
    server.comes_home();
    server.serves_a_good_client();
    let stopped = server.stop();
    if LINGERS {
        for cut in ["linger-idle", "linger-total", "linger-bytes"] {
            let count = stopped.counter(&format!("close.{cut}"));
            assert_eq!(count, 0, "{cut}: {stopped:?}");
        }
    }
    stopped
}

#[test]
fn who_is_no_user_hears_401_and_nobodys_send_fails() {
    if common::lacks("who_is_no_user_hears_401_and_nobodys_send_fails", "auth") {
        return;
    }
    let (root, users) = (inbox(), Users::new(ALICE));
    let guard = users.guard("/inbox *", "Uploads");
    let server = start(&root, &[PATIENT, &guard, "auth.failures=1000"]);
    is_refused(&server, "/inbox/x", "", 401);
    // This one has to be looked at first.
    is_refused(&server, "/inbox/x", &basic("alice", "wrong"), 401);
    assert!(names(&root).is_empty());
    ends(server);
}

#[test]
fn a_hidden_name_is_404_and_nobodys_send_fails() {
    let root = inbox();
    let server = start(&root, &[PATIENT, "site.uploads=/ 64MiB"]);
    is_refused(&server, "/inbox/.x", "", 404);
    is_refused(&server, "/.adieu-uploads/x", "", 404);
    ends(server);
}

#[test]
fn where_no_rule_is_it_is_405_and_nobodys_send_fails() {
    let root = inbox();
    let server = start(&root, &[PATIENT]);
    is_refused(&server, "/x", "", 405);
    ends(server);
}

#[test]
fn a_directory_in_the_way_is_409_and_nobodys_send_fails() {
    let root = inbox();
    fs::create_dir(root.path().join("inbox/x")).unwrap();
    let server = start(&root, &[PATIENT]);
    is_refused(&server, "/inbox/x", "", 409);
    is_refused(&server, "/inbox/missing/x", "", 409);
    ends(server);
}

#[test]
fn a_failed_condition_is_412_and_nobodys_send_fails() {
    let root = inbox();
    root.file("inbox/x", OLD);
    let server = start(&root, &[PATIENT]);
    is_refused(&server, "/inbox/x", "If-None-Match: *\r\n", 412);
    assert_eq!(content(&server, "/inbox/x"), (200, OLD.to_vec()));
    ends(server);
}

#[test]
fn a_file_beyond_its_rule_is_413_and_nobodys_send_fails() {
    let root = inbox();
    root.file("inbox/x", OLD);
    let server = start(&root, &[PATIENT, "site.uploads=/inbox 20000"]);
    is_refused(&server, "/inbox/x", "", 413);
    nothing_is_left(&root);
    assert_eq!(content(&server, "/inbox/x"), (200, OLD.to_vec()));
    ends(server);
}

#[test]
fn too_many_at_once_are_503_and_nobodys_send_fails() {
    let root = inbox();
    let server = start(&root, &[PATIENT, "upload.at_once=1"]);
    let mut half = Half::put(&server, &root, "/inbox/x", &noise(2000, 1));
    is_refused(&server, "/inbox/y", "", 503);
    assert_eq!(half.finish().status, 201);
    drop(half);
    ends(server);
}

#[test]
fn what_does_not_fit_the_budgets_is_cut_and_counted() {
    let root = inbox();
    let server = start(&root, &[PATIENT, "linger.bytes=1MiB"]);
    // More than the budget and what the kernels' queues hold beside it.
    let request = upload("/x", "", 64 << 20);
    let (said, heard) = say_all_then_hear(&mut server.connect(), &request);
    if LINGERS {
        assert!(said.is_err(), "this client's send was to fail");
        assert_ne!(heard.end, End::Silence);
    }
    server.comes_home();
    let stopped = server.stop();
    if LINGERS {
        assert_eq!(stopped.counter("close.linger-bytes"), 1);
    }
}

// ---- no room ------------------------------------------------------------------------------------

/// What all tests of a server without room for more than some 40 KiB have in common. `inside` is
/// the root as this process sees it.
fn has_no_room(server: &Server, inside: &Path) {
    let stage = || fs::read_dir(inside.join(STAGE)).unwrap().count();
    let nothing = || eventually("nothing unfinished is left", || stage() == 0);
    let is_old = || assert_eq!(content(server, "/inbox/x"), (200, OLD.to_vec()));
    is_old();
    for _ in 0..2 {
        is_refused(server, "/inbox/x", "", 507);
        nothing();
        is_old();
        is_refused(server, "/inbox/y", "", 507);
        nothing();
    }
    // Who waits for a 100 gets it, for nobody knows before.
    let mut stream = server.connect();
    let fields = "Expect: 100-continue\r\n";
    stream
        .write_all(&head("PUT", "/inbox/x", fields, SMALL))
        .unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 100);
    assert_eq!(ask(&mut stream, &[b'x'; SMALL]).status, 507);
    assert_eq!(ask(&mut stream, &bare("GET", "/", "")).status, 200);
    drop(stream);
    nothing();
    // A file that fits is taken.
    let small = noise(3000, 1);
    for status in [201, 204, 204] {
        let request = common::uploads::put("/inbox/z", "", &small);
        assert_eq!(alone(server, &request).status, status);
    }
    assert_eq!(content(server, "/inbox/z"), (200, small));
    is_old();
    let names = fs::read_dir(inside.join("inbox")).unwrap().count();
    assert_eq!(names, 2);
}

#[test]
fn a_limit_of_the_process_is_507_and_nobodys_send_fails() {
    let root = inbox();
    root.file("inbox/x", OLD);
    let keys = [RULE, CROWD, PATIENT];
    let command = Server::command("127.0.0.1:0", root.path(), &keys);
    // In blocks of 512 or 1024 bytes.
    let server = Server::run(after("ulimit -f 40", &command));
    has_no_room(&server, root.path());
    let stopped = ends(server);
    stopped.never_said("panicked");
}

/// A server whose inbox is a file system of so many bytes, in a namespace of its own; and its root
/// as this process sees it. Nothing where that cannot be made.
fn on_small_disk(name: &str, root: &Root, options: &str) -> Option<(Server, PathBuf)> {
    let flags = if is_root() { "-m" } else { "-rm" };
    let works = by(&["unshare", flags], &Command::new("true")).output();
    if !works.is_ok_and(|output| output.status.success()) {
        skip(name, "no mount namespace: it takes root and unshare(1)");
        return None;
    }
    let disk = root.path().join("disk");
    fs::create_dir_all(&disk).unwrap();
    let keys = [RULE, CROWD, PATIENT];
    let command = Server::command("127.0.0.1:0", &disk, &keys);
    let shown = disk.display();
    let script = format!(
        "mount -t tmpfs -o {options} none {shown} && mkdir {shown}/inbox && \
         head -c 5000 /dev/zero | tr '\\0' o >{shown}/inbox/x && echo day >{shown}/index.html"
    );
    let command = by(&["unshare", flags], &after(&script, &command));
    let server = Server::run(command);
    let inside = format!("/proc/{}/root{shown}", server.pid());
    Some((server, PathBuf::from(inside)))
}

#[test]
fn a_full_disk_is_507_and_nobodys_send_fails() {
    let root = Root::new();
    let name = "a_full_disk_is_507_and_nobodys_send_fails";
    let Some((server, inside)) = on_small_disk(name, &root, "size=60k") else {
        return;
    };
    has_no_room(&server, &inside);
    // Two at once have less each, and one of them the rest.
    let halves = || -> Vec<TcpStream> {
        let begin = |name: &str| {
            let mut stream = server.connect();
            stream.write_all(&head("PUT", name, "", 40_000)).unwrap();
            stream
        };
        vec![begin("/inbox/a"), begin("/inbox/b")]
    };
    let mut both = halves();
    for stream in &mut both {
        stream.write_all(&[b'x'; 40_000]).unwrap();
    }
    let mut statuses: Vec<u16> = both
        .iter_mut()
        .map(|stream| read_answer(stream, false).status)
        .collect();
    statuses.sort_unstable();
    assert!([[201, 507], [507, 507]].contains(&[statuses[0], statuses[1]]));
    drop(both);
    let stage = || fs::read_dir(inside.join(STAGE)).unwrap().count();
    eventually("nothing unfinished is left", || stage() == 0);
    ends(server);
}

#[test]
fn a_disk_without_inodes_is_507_and_nobodys_send_fails() {
    let root = Root::new();
    let name = "a_disk_without_inodes_is_507_and_nobodys_send_fails";
    // The root, the inbox, two files and the directory of uploads.
    let Some((server, inside)) = on_small_disk(name, &root, "size=1m,nr_inodes=5") else {
        return;
    };
    is_refused(&server, "/inbox/x", "", 507);
    is_refused(&server, "/inbox/y", "", 507);
    assert_eq!(content(&server, "/inbox/x"), (200, OLD.to_vec()));
    assert_eq!(fs::read_dir(inside.join(STAGE)).unwrap().count(), 0);
    // What is removed makes room.
    assert_eq!(alone(&server, &bare("DELETE", "/inbox/x", "")).status, 204);
    let request = common::uploads::put("/inbox/y", "", b"y");
    assert_eq!(alone(&server, &request).status, 201);
    ends(server);
}
