//! However large an upload is, the server's memory is what it was: its body flows through one room
//! that all of them share.
//!
//! `ADIEU_UPLOAD_MIB` says how large; `./check --full` asks for a gibibyte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::http::read_answer;
use common::outside::status;
use common::server::Server;
use common::uploads::{CROWD, bare, get, head};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What may come and go: a stack that grows, a page of the C library that is touched for the first
/// time.
const SLACK_KIB: u64 = 32;
/// Without the wish for more.
const USUAL_MIB: u64 = 128;

/// A root in memory, if there is room, else where the system has its files; gone after the test.
struct Shared(PathBuf);

/// There is room for so many bytes, says df(1).
fn has_room(path: &Path, bytes: u64) -> bool {
    let output = Command::new("df").arg("-Pk").arg(path).output();
    let output = output.expect("df(1)");
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.lines().nth(1).unwrap_or_default().split_whitespace();
    let free: Option<u64> = words.into_iter().nth(3).and_then(|kib| kib.parse().ok());
    free.is_some_and(|kib| kib > bytes >> 10)
}

impl Shared {
    fn new(bytes: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let above = match has_room(memory, bytes) {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let path = above.join(format!("adieu-memory-{}", std::process::id()));
        fs::create_dir_all(path.join("inbox")).unwrap();
        fs::write(path.join("index.html"), "good day").unwrap();
        Self(path)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What of the server is in memory just now, counted page by page, KiB.
fn resident_kib(server: &Server) -> u64 {
    status(&server.proc("smaps_rollup"), "Rss")
}

/// Sends the file as a body, by length or in chunks.
fn send(server: &Server, source: &Path, bytes: u64, chunked: bool) -> u16 {
    let mut stream = server.connect();
    let mut file = File::open(source).unwrap();
    if chunked {
        let fields = "Transfer-Encoding: chunked\r\n";
        stream.write_all(&bare("PUT", "/inbox/x", fields)).unwrap();
        let size = format!("{bytes:x}\r\n");
        stream.write_all(size.as_bytes()).unwrap();
    } else {
        let size = usize::try_from(bytes).unwrap();
        stream
            .write_all(&head("PUT", "/inbox/x", "", size))
            .unwrap();
    }
    io::copy(&mut file, &mut stream).unwrap();
    if chunked {
        stream.write_all(b"\r\n0\r\n\r\n").unwrap();
    }
    read_answer(&mut stream, false).status
}

#[test]
fn an_upload_of_any_size_leaves_the_servers_memory_where_it_was() {
    let wish = std::env::var("ADIEU_UPLOAD_MIB").ok();
    let mib = wish.map_or(USUAL_MIB, |mib| mib.parse().unwrap());
    let bytes = mib << 20;
    // The new file grows beside the old one.
    let shared = Shared::new(3 * bytes);
    let keys = ["site.uploads=/inbox 1024GiB", CROWD];
    let server = Server::start(&shared.0, &keys);
    let source = shared.0.join("source");
    File::create(&source).unwrap().set_len(1 << 20).unwrap();
    // All of its code has run once.
    for chunked in [false, true, false, true] {
        assert!(matches!(
            send(&server, &source, 1 << 20, chunked),
            201 | 204
        ));
        assert_eq!(get(&server, "/").status, 200);
    }
    File::create(&source).unwrap().set_len(bytes).unwrap();
    for chunked in [false, true] {
        let before = resident_kib(&server);
        let peak_before = status(&server.proc("status"), "VmHWM");
        let done = AtomicBool::new(false);
        let mut most = before;
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(send(&server, &source, bytes, chunked), 204);
                done.store(true, Ordering::SeqCst);
            });
            while !done.load(Ordering::SeqCst) {
                most = most.max(resident_kib(&server));
                common::moment();
            }
        });
        let after = resident_kib(&server);
        let peak = status(&server.proc("status"), "VmHWM");
        println!(
            "{mib} MiB, in chunks: {chunked}; KiB before {before}, at most {most}, after \
                  {after}; peak {peak_before}, then {peak}"
        );
        let file = fs::metadata(shared.0.join("inbox/x")).unwrap();
        assert_eq!(file.len(), bytes);
        assert!(
            most <= before + SLACK_KIB,
            "{most} KiB, and {before} before"
        );
        assert!(
            after <= before + SLACK_KIB,
            "{after} KiB, and {before} before"
        );
        assert!(peak <= peak_before + SLACK_KIB, "a peak of {peak} KiB");
    }
    server.comes_home();
    server.stop();
}
