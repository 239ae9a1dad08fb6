//! What the tests of this directory share: sockets, a directory, a wait with a deadline.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::clock;
use super::socket::{self, Bound, Peer};

/// Far beyond what any of these tests needs, so that only a real failure meets it.
const DEADLINE_MS: u64 = 20_000;

/// Waits for a condition, and fails if it does not come. What a test has closed is closed a little
/// later where another one has just forked: the child has it too, until it execs or ends.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let start = clock::monotonic_ms();
    while !condition() {
        assert!(
            clock::monotonic_ms() - start < DEADLINE_MS,
            "the condition did not come"
        );
        std::thread::yield_now();
    }
}

/// Writes until it hears that nobody reads any more.
pub(super) fn broken(mut write: impl FnMut() -> io::Result<usize>) {
    until(|| write().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe));
}

/// A directory that goes with the test.
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "adieu-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A TCP listener and where it is.
pub(super) fn tcp(address: &str) -> (OwnedFd, SocketAddr) {
    let listener = listen_tcp(&address.parse().unwrap()).unwrap();
    match socket::bound(listener.as_fd()).unwrap() {
        Bound::Tcp(address) => (listener, address),
        Bound::Unix(_) => panic!("no TCP socket"),
    }
}

/// A TCP listener at this address.
pub(super) fn listen_tcp(address: &SocketAddr) -> std::io::Result<OwnedFd> {
    let listener = socket::bind_tcp(address, None, false)?;
    socket::listen(listener.as_fd(), 64)?;
    Ok(listener)
}

/// A unix listener at this path.
pub(super) fn listen_unix(path: &Path) -> OwnedFd {
    let listener = socket::bind_unix(path, 0o600).unwrap();
    socket::listen(listener.as_fd(), 64).unwrap();
    listener
}

/// The connection that is on its way to `listener`.
pub(super) fn accepted(listener: &OwnedFd) -> (OwnedFd, Peer) {
    let mut found = None;
    until(|| {
        found = socket::accept(listener.as_fd()).ok();
        found.is_some()
    });
    found.unwrap()
}

/// A TCP connection: our end, and a blocking client that gives up in time.
pub(super) fn tcp_pair() -> (OwnedFd, TcpStream) {
    let (listener, address) = tcp("127.0.0.1:0");
    let client = TcpStream::connect(address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(DEADLINE_MS)))
        .unwrap();
    client
        .set_write_timeout(Some(Duration::from_millis(DEADLINE_MS)))
        .unwrap();
    (accepted(&listener).0, client)
}

/// A unix connection: our end, and a blocking client that gives up in time.
pub(super) fn unix_pair() -> (OwnedFd, UnixStream) {
    let dir = Dir::new();
    let listener = listen_unix(&dir.path("s"));
    let client = UnixStream::connect(dir.path("s")).unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(DEADLINE_MS)))
        .unwrap();
    (accepted(&listener).0, client)
}
