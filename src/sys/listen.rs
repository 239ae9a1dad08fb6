//! Sockets that wait for connections, and the connections they give.
//!
//! Owns: making a listener, the fate of a stale unix socket file, accept4(2) and what its errors
//! mean for accepting. Must not: decide when to accept, or touch the receive buffer of a listener
//! (that would freeze the window scale of every connection it accepts).
//!
//! Invariants: every socket made here is non-blocking and close-on-exec from its first moment; a
//! file is removed only if it is a socket that nobody has bound.
#![allow(
    unsafe_code,
    reason = "socket(2), bind(2), listen(2), accept4(2) and their kin"
)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use libc::c_int;

use super::address::{Address, Peer};
use super::call::{checked, retried};
use super::options;
use super::poll::is_ready;

/// A TCP listener on `address` (port 0: the kernel chooses, see [`local_address`]), with up to
/// `backlog` connections waiting to be accepted (the kernel caps it at net.core.somaxconn).
///
/// It has `SO_REUSEADDR`, so that a restart does not wait for old connections in TIME_WAIT;
/// `TCP_NODELAY`, which accepted connections inherit; and, for IPv6, `IPV6_V6ONLY`, so that
/// listening on 0.0.0.0 and on `::` do not meet. A scope id is honoured.
///
/// # Errors
///
/// EADDRINUSE, EADDRNOTAVAIL, EACCES (a port below 1024), EAFNOSUPPORT (no IPv6), and what else
/// ip(7), bind(2), listen(2) name.
pub fn listen_tcp(address: &SocketAddr, backlog: u16) -> io::Result<OwnedFd> {
    let kernels = Address::ip(address);
    let socket = stream(kernels.family())?;
    let fd = socket.as_fd();
    options::set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, [1])?;
    if address.is_ipv6() {
        options::set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, [1])?;
    }
    options::set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, [1])?;
    bind(fd, &kernels)?;
    listen(fd, backlog)?;
    Ok(socket)
}

/// A unix stream listener at `path` (1 to 107 bytes).
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
pub fn listen_unix(path: &Path, backlog: u16) -> io::Result<OwnedFd> {
    let address = Address::unix(path)?;
    let socket = stream(libc::AF_UNIX)?;
    let fd = socket.as_fd();
    match bind(fd, &address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address)? => {
            std::fs::remove_file(path)?;
            bind(fd, &address)?;
        }
        bound => bound?,
    }
    listen(fd, backlog)?;
    Ok(socket)
}

/// The address a socket is bound to; `None` for a unix socket.
///
/// # Errors
///
/// See getsockname(2); ENOTSOCK for another kind of file.
pub fn local_address(fd: BorrowedFd<'_>) -> io::Result<Option<SocketAddr>> {
    let mut address = Address::room();
    let (name, length) = address.parts();
    // SAFETY: `name` and `length` point into `address`, which outlives the call, and `length`
    // holds the number of bytes at `name`.
    checked(unsafe { libc::getsockname(fd.as_raw_fd(), name, length) })?;
    Ok(address.socket_address())
}

/// The next waiting connection, non-blocking and close-on-exec, and who it is from.
///
/// # Errors
///
/// `WouldBlock` if none waits. ECONNABORTED, EPROTO and the network errors that accept(2) lists
/// concern that one connection: go on with the next. If [`accept_pauses`], wait instead.
pub fn accept(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Peer)> {
    let mut address = Address::room();
    let accepted = retried(|| {
        address = Address::room();
        let (name, length) = address.parts();
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: `name` and `length` point into `address`, which outlives the call, and `length`
        // holds the number of bytes at `name`.
        checked(unsafe { libc::accept4(fd.as_raw_fd(), name, length, flags) })
    })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(accepted) };
    match address.peer() {
        Some(peer) => Ok((socket, peer)),
        None => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    }
}

/// Whether a connection waits to be accepted; asks with poll(2), without waiting.
///
/// # Errors
///
/// ENOMEM; see poll(2).
pub fn waits(fd: BorrowedFd<'_>) -> io::Result<bool> {
    is_ready(fd, libc::POLLIN)
}

/// Whether an error of [`accept`] says that the process or the system is out of descriptors or
/// memory (EMFILE, ENFILE, ENOBUFS, ENOMEM). The connection still waits then, and so the next
/// call would fail in the same way: accepting has to pause.
#[must_use]
pub fn accept_pauses(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
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
    let answer = retried(|| {
        // SAFETY: `pointer` is valid for `length` bytes and is only read.
        checked(unsafe { libc::connect(probe.as_raw_fd(), address.pointer(), address.length()) })
    });
    Ok(answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

fn stream(family: c_int) -> io::Result<OwnedFd> {
    socket(family, libc::SOCK_STREAM)
}

/// socket(2), non-blocking and close-on-exec.
fn socket(family: c_int, kind: c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes three numbers and no memory of ours.
    let made = checked(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// bind(2).
fn bind(fd: BorrowedFd<'_>, address: &Address) -> io::Result<()> {
    // SAFETY: `pointer` is valid for `length` bytes and is only read.
    checked(unsafe { libc::bind(fd.as_raw_fd(), address.pointer(), address.length()) })?;
    Ok(())
}

/// listen(2).
fn listen(fd: BorrowedFd<'_>, backlog: u16) -> io::Result<()> {
    // SAFETY: the call takes two numbers and no memory of ours.
    checked(unsafe { libc::listen(fd.as_raw_fd(), c_int::from(backlog)) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use super::*;
    use crate::sys::testing::{Dir, accepted, tcp, until};

    #[test]
    fn nobody_waiting_is_would_block_at_once() {
        let listener = listen_tcp(&"127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let error = accept(listener.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(!accept_pauses(&error));
    }

    #[test]
    fn who_waits_is_known_without_accepting() {
        let (listener, address) = tcp("127.0.0.1:0");
        assert!(!waits(listener.as_fd()).unwrap());
        let _client = TcpStream::connect(address).unwrap();
        until(|| waits(listener.as_fd()).unwrap());
        let _accepted = accepted(&listener);
        assert!(!waits(listener.as_fd()).unwrap());
    }

    #[test]
    fn ipv4_ipv6_and_unix_peers_are_told_apart() {
        let (listener, address) = tcp("127.0.0.1:0");
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(accepted(&listener).1, Peer::V4([127, 0, 0, 1]));

        let (listener, address) = tcp("[::1]:0");
        let _client = TcpStream::connect(address).unwrap();
        let mut loopback = [0; 16];
        loopback[15] = 1;
        assert_eq!(accepted(&listener).1, Peer::V6(loopback));

        let dir = Dir::new();
        let listener = listen_unix(&dir.path("s"), 8).unwrap();
        let _client = UnixStream::connect(dir.path("s")).unwrap();
        assert_eq!(accepted(&listener).1, Peer::Unix);
        assert_eq!(local_address(listener.as_fd()).unwrap(), None);
    }

    #[test]
    fn accepted_sockets_do_not_block_and_do_not_survive_exec() {
        let (listener, address) = tcp("127.0.0.1:0");
        let _client = TcpStream::connect(address).unwrap();
        let (socket, _) = accepted(&listener);
        for fd in [socket.as_raw_fd(), listener.as_raw_fd()] {
            // SAFETY: F_GETFL and F_GETFD take no further argument.
            assert!(unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_NONBLOCK != 0);
            // SAFETY: as above.
            assert!(unsafe { libc::fcntl(fd, libc::F_GETFD) } & libc::FD_CLOEXEC != 0);
        }
    }

    #[test]
    fn ipv4_and_ipv6_share_a_port() {
        // The kernel chooses the IPv6 port; another process may hold it on IPv4: then try again.
        until(|| {
            let (six, address) = tcp("[::]:0");
            let four = listen_tcp(&SocketAddr::from(([0, 0, 0, 0], address.port())), 8);
            let mine = TcpStream::connect(("127.0.0.1", address.port())).is_ok() && four.is_ok();
            mine && accept(six.as_fd()).unwrap_err().kind() == io::ErrorKind::WouldBlock
        });
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let (_listener, address) = tcp("127.0.0.1:0");
        let error = listen_tcp(&address, 8).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn out_of_descriptors_pauses_accepting() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(accept_pauses(&io::Error::from_raw_os_error(errno)));
        }
        for errno in [libc::ECONNABORTED, libc::EPROTO, libc::EAGAIN, libc::EPERM] {
            assert!(!accept_pauses(&io::Error::from_raw_os_error(errno)));
        }
    }

    #[test]
    fn accept_on_what_does_not_listen_is_an_error() {
        let dir = Dir::new();
        let file = std::fs::File::create(dir.path("f")).unwrap();
        let error = accept(file.as_fd()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
        let silent = UnixDatagram::unbound().unwrap();
        assert!(accept(silent.as_fd()).is_err());
    }

    #[test]
    fn a_stale_socket_file_is_replaced() {
        let dir = Dir::new();
        drop(UnixListener::bind(dir.path("s")).unwrap());
        assert!(dir.path("s").exists());
        let listener = listen_unix(&dir.path("s"), 8).unwrap();
        let _client = UnixStream::connect(dir.path("s")).unwrap();
        assert_eq!(accepted(&listener).1, Peer::Unix);
    }

    #[test]
    fn a_living_server_keeps_its_path_and_hears_nothing() {
        let dir = Dir::new();
        let living = listen_unix(&dir.path("s"), 8).unwrap();
        let error = listen_unix(&dir.path("s"), 8).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            accept(living.as_fd()).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let datagrams = UnixDatagram::bind(dir.path("d")).unwrap();
        let error = listen_unix(&dir.path("d"), 8).unwrap_err();
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
            let error = listen_unix(&dir.path(name), 8).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        assert_eq!(std::fs::read(dir.path("f")).unwrap(), b"precious");
        assert!(dir.path("s").exists());
    }

    #[test]
    fn the_local_address_is_the_bound_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = local_address(listener.as_fd()).unwrap();
        assert_eq!(address, Some(listener.local_addr().unwrap()));
    }
}
