//! Files that sendfile(2) refuses are read and sent all the same.
//!
//! Which ones it refuses is up to the file system. Of those that need no root to try: the command
//! line of a process in /proc refuses and can be read from any place, but says that its size is 0,
//! so that it is given to the real network of the loop directly. `/proc/bus/pci` refuses and has
//! sizes, so that the real program serves it, if this machine has such a bus and it may be read
//! whole. No other file with a size in /proc and /sys refuses (Linux 6.18).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::config::{Config, Listen, SiteConfig};
use adieu::connection::How;
use adieu::reactor::kernel::{Before, Kernel, SCRATCH_BYTES};
use adieu::reactor::net::Net;
use adieu::sys::socket;
use common::http::read_answer;
use common::root::Root;
use common::server::Server;
use common::{PATIENCE, eventually, skip};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn what_sendfile_refuses_is_read_and_sent() {
    let root = Root::new();
    let config = Config {
        listen: vec![Listen::from(SocketAddr::from(([127, 0, 0, 1], 0)))],
        site: SiteConfig {
            root: root.path().to_path_buf(),
            ..SiteConfig::default()
        },
        ..Config::default()
    };
    let mut kernel = Kernel::open(&config, &mut Before::default()).expect("a listener");
    let address = kernel.addresses().next().expect("one address");
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut accepted = None;
    eventually("the client is accepted", || {
        accepted = kernel.accept(0).ok();
        accepted.is_some()
    });
    let (server, _) = accepted.expect("a socket");

    // A shell that waits for its input, with a command line of more than two turns.
    let mut shell = Command::new("sh")
        .args(["-c", "read line", "name"])
        .args((0..5000).map(|n| n.to_string()))
        .args(["end".repeat(SCRATCH_BYTES / 2)])
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh(1)");
    let path = format!("/proc/{}/cmdline", shell.id());
    let mut text = Vec::new();
    eventually("the shell runs", || {
        text = fs::read(&path).unwrap();
        text.ends_with(b"end\0")
    });
    assert!(text.len() > 2 * SCRATCH_BYTES, "{}", text.len());
    let file = OwnedFd::from(File::open(&path).unwrap());
    let (probe, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let refused = socket::send_file(probe.as_fd(), file.as_fd(), 0, 1);
    assert_eq!(
        refused.map_err(|error| error.kind()),
        Err(ErrorKind::InvalidInput)
    );

    let mut got = vec![0; text.len()];
    let mut sent = 0;
    while sent < text.len() {
        let offset = u64::try_from(sent).unwrap();
        let taken = kernel
            .send_file(&server, &file, offset, text.len() - sent)
            .unwrap();
        assert!((1..=SCRATCH_BYTES).contains(&taken), "{taken}");
        client.read_exact(&mut got[sent..sent + taken]).unwrap();
        sent += taken;
    }
    assert!(got == text);
    // What is asked for and no more; nothing at the end.
    assert_eq!(kernel.send_file(&server, &file, 0, 3).unwrap(), 3);
    let end = u64::try_from(text.len()).unwrap();
    assert_eq!(kernel.send_file(&server, &file, end, 10).unwrap(), 0);
    drop(shell.stdin.take());
    let _ = shell.wait();
    kernel.close(server, How::Plain);
}

#[test]
fn files_that_sendfile_refuses_are_served() {
    const BUFFER: u64 = 2048;
    let found = walk(Path::new("/proc/bus/pci")).into_iter().find(|path| {
        let whole = fs::read(path).unwrap_or_default();
        let size = fs::metadata(path).map_or(0, |data| data.len());
        size > BUFFER && u64::try_from(whole.len()).unwrap() == size
    });
    let Some(path) = found else {
        let reason = "no large file in /proc/bus/pci, or none that may be read whole";
        return skip("files_that_sendfile_refuses_are_served", reason);
    };
    let root = path.parent().unwrap();
    // In its sandbox root reads the first bytes of such a file only: the rest takes CAP_SYS_ADMIN.
    let server = Server::start(
        root,
        &[
            "memory.buffer_bytes=2KiB",
            "limits.target_bytes=1KiB",
            "service.sandbox=off",
        ],
    );
    let target = format!("/{}", path.file_name().unwrap().to_str().unwrap());
    let mut stream = server.connect();
    for _ in 0..3 {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false);
        assert_eq!(answer.status, 200);
        assert!(answer.body == fs::read(&path).unwrap());
    }
    drop(stream);
    server.comes_home();
    server.stop();
}

/// The files two levels beneath a directory.
fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let inside = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    inside(directory)
        .iter()
        .flat_map(|path| inside(path))
        .collect()
}
