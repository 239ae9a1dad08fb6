//! Unix sockets and the files that name them.
//!
//! Owns: binding a unix socket to a path, the permissions and the owner of its file, and the fate
//! of a stale one. Must not: listen, or follow a symbolic link.
//!
//! Invariants: a file is removed only if it is a socket that nobody has bound; it has its
//! permissions from its first moment, and nobody can connect before it listens.
#![allow(unsafe_code, reason = "fchmod(2), connect(2), fchownat(2)")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::address::Address;
use super::call::{checked, invalid, retried};
use super::listen::{bind, socket, stream};
use super::{file, process};

/// A unix stream socket bound to `path` (1 to 107 bytes), whose file has these permissions. It does
/// not listen yet: see [`listen`](super::socket::listen).
///
/// A socket file left there by a process that is gone is removed and made anew; a living server
/// (listening or about to) and a file of any other kind are left alone. The file is looked at from
/// outside: the living server sees no connection from it. Two servers started on the same stale
/// path in the same instant can both succeed, the later one at the path; an init system does not.
///
/// # Errors
///
/// EINVAL for a path that does not fit; EADDRINUSE while it is in use; ENOENT, EACCES, EROFS for
/// its directory; see unix(7), bind(2).
pub fn bind_unix(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let address = Address::unix(path)?;
    let socket = stream(libc::AF_UNIX)?;
    let fd = socket.as_fd();
    // SAFETY: the call takes two numbers and no memory of ours.
    checked(unsafe { libc::fchmod(fd.as_raw_fd(), mode & 0o777) })?;
    // The file gets the permissions of the socket, less the umask.
    process::with_umask(0, || match bind(fd, &address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address)? => {
            std::fs::remove_file(path)?;
            bind(fd, &address)
        }
        bound => bound,
    })?;
    Ok(socket)
}

/// Gives the socket file at `path` to a user and a group.
///
/// # Errors
///
/// EINVAL if it is no socket; EPERM without CAP_CHOWN; see open(2), chown(2).
pub fn give_unix(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    // By a descriptor, so that what was looked at is what changes its owner.
    let named = file::name_itself(path)?;
    let stat = file::stat(named.as_fd())?;
    if stat.mode & libc::S_IFMT != libc::S_IFSOCK {
        return Err(invalid());
    }
    let fd = named.as_raw_fd();
    // SAFETY: the name is an empty string with its NUL, and is only read.
    checked(unsafe { libc::fchownat(fd, c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) })?;
    Ok(())
}

/// A stream connected to the server at `path`; non-blocking. Does not wait.
///
/// # Errors
///
/// ENOENT without a file, ECONNREFUSED without a server; `WouldBlock` if too many wait there
/// already; see unix(7), connect(2).
pub fn connect_unix(path: &Path) -> io::Result<OwnedFd> {
    let address = Address::unix(path)?;
    let socket = stream(libc::AF_UNIX)?;
    connect(&socket, &address)?;
    Ok(socket)
}

/// connect(2).
fn connect(socket: &OwnedFd, address: &Address) -> io::Result<()> {
    retried(|| {
        // SAFETY: `pointer` is valid for `length` bytes and is only read.
        checked(unsafe { libc::connect(socket.as_raw_fd(), address.pointer(), address.length()) })
    })?;
    Ok(())
}

/// Whether `path` is a socket file that no socket is bound to any more.
///
/// A datagram socket does the asking: connecting it to a stream socket that lives fails with
/// EPROTOTYPE before the other side hears of it, and with ECONNREFUSED if there is none.
fn is_stale(path: &Path, address: &Address) -> io::Result<bool> {
    // A file that is no socket refuses a connection too.
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    let probe = socket(libc::AF_UNIX, libc::SOCK_DGRAM)?;
    let answer = connect(&probe, address);
    Ok(answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use super::*;
    use crate::sys::address::Peer;
    use crate::sys::privilege;
    use crate::sys::socket::accept;
    use crate::sys::testing::{Dir, accepted, listen_unix};

    #[test]
    fn the_file_has_its_permissions_whatever_the_umask() {
        let dir = Dir::new();
        for (number, mode) in [0o660, 0o666, 0o600, 0o777, 0].into_iter().enumerate() {
            let path = dir.path(&number.to_string());
            let _bound = bind_unix(&path, mode).unwrap();
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode);
            let error = UnixStream::connect(&path).unwrap_err();
            assert!(error.kind() != io::ErrorKind::NotFound, "{error}");
        }
    }

    #[test]
    fn the_file_can_be_given_away_and_nothing_else() {
        let dir = Dir::new();
        let path = dir.path("s");
        let _bound = bind_unix(&path, 0o660).unwrap();
        let own = std::fs::metadata(&path).unwrap();
        give_unix(&path, own.uid(), own.gid()).unwrap();
        if privilege::is_root() {
            give_unix(&path, 12_345, 23_456).unwrap();
            let given = std::fs::metadata(&path).unwrap();
            assert_eq!((given.uid(), given.gid()), (12_345, 23_456));
        } else {
            println!("SKIP the_file_can_be_given_away_and_nothing_else: giving away needs root");
        }
        std::fs::write(dir.path("f"), "").unwrap();
        std::os::unix::fs::symlink(&path, dir.path("l")).unwrap();
        for name in ["f", "l"] {
            let error = give_unix(&dir.path(name), own.uid(), own.gid()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{name}");
        }
        assert!(give_unix(&dir.path("none"), own.uid(), own.gid()).is_err());
    }

    #[test]
    fn connecting_does_not_wait() {
        let dir = Dir::new();
        let path = dir.path("s");
        assert_eq!(
            connect_unix(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let bound = bind_unix(&path, 0o600).unwrap();
        let error = connect_unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        crate::sys::socket::listen(bound.as_fd(), 1).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match connect_unix(&path) {
                Ok(one) => waiting.push(one),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(!waiting.is_empty());
    }

    #[test]
    fn a_stale_socket_file_is_replaced() {
        let dir = Dir::new();
        drop(UnixListener::bind(dir.path("s")).unwrap());
        assert!(dir.path("s").exists());
        let listener = listen_unix(&dir.path("s"));
        let _client = UnixStream::connect(dir.path("s")).unwrap();
        assert_eq!(accepted(&listener).1, Peer::Unix);
    }

    #[test]
    fn a_living_server_keeps_its_path_and_hears_nothing() {
        let dir = Dir::new();
        let living = listen_unix(&dir.path("s"));
        let error = bind_unix(&dir.path("s"), 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            accept(living.as_fd()).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let datagrams = UnixDatagram::bind(dir.path("d")).unwrap();
        let error = bind_unix(&dir.path("d"), 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(datagrams);
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let dir = Dir::new();
        std::fs::write(dir.path("f"), "precious").unwrap();
        drop(UnixListener::bind(dir.path("s")).unwrap());
        std::os::unix::fs::symlink(dir.path("s"), dir.path("l")).unwrap();
        for name in ["f", "l"] {
            let error = bind_unix(&dir.path(name), 0o600).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        assert_eq!(std::fs::read(dir.path("f")).unwrap(), b"precious");
        assert!(dir.path("s").exists());
    }
}
