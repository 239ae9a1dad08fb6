//! Sockets that wait for connections, and the connections they give.
//!
//! Owns: making a TCP listener, listen(2), accept4(2) and what its errors mean for accepting. Must
//! not: decide when to accept, or touch the receive buffer of a listener (that would freeze the
//! window scale of every connection it accepts).
//!
//! Invariant: every socket made here is non-blocking and close-on-exec from its first moment.
#![allow(
    unsafe_code,
    reason = "socket(2), bind(2), listen(2), accept4(2) and their kin"
)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use libc::c_int;

use super::address::{Address, Peer};
use super::call::{checked, retried};
use super::poll::is_ready;
use super::{interface, options};

/// Where a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A path; empty when the socket has no name, or one that is not in the file system.
    Unix(PathBuf),
}

/// A TCP socket bound to `address` (port 0: the kernel chooses, see [`bound`]) and, if one is
/// named, to this interface alone. It does not listen yet: see [`listen`]. With `freebind` no
/// interface need have the address yet (IP_FREEBIND, ip(7)).
///
/// It has `SO_REUSEADDR`, so that a restart does not wait for old connections in TIME_WAIT; and,
/// for IPv6, `IPV6_V6ONLY`, so that listening on 0.0.0.0 and on `::` do not meet. A scope id is
/// honoured.
///
/// # Errors
///
/// EADDRINUSE, EADDRNOTAVAIL, EACCES (a port below 1024), EAFNOSUPPORT (no IPv6), ENODEV (no such
/// interface), EPERM (before Linux 5.7 an interface needs CAP_NET_RAW), and what else ip(7),
/// bind(2) name.
pub fn bind_tcp(address: &SocketAddr, on: Option<&str>, freebind: bool) -> io::Result<OwnedFd> {
    let kernels = Address::ip(address);
    let socket = stream(kernels.family())?;
    let fd = socket.as_fd();
    options::set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, [1])?;
    if address.is_ipv6() {
        options::set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, [1])?;
    }
    if freebind {
        // Of IPv4, and of IPv6 sockets too: the kernel keeps one flag.
        options::set(fd, libc::IPPROTO_IP, libc::IP_FREEBIND, [1])?;
    }
    if let Some(name) = on {
        interface::bind_to(fd, name)?;
    }
    bind(fd, &kernels)?;
    Ok(socket)
}

/// listen(2): up to `backlog` connections wait to be accepted (the kernel caps it at
/// net.core.somaxconn). Of a socket that listens already it changes the backlog.
///
/// # Errors
///
/// EADDRINUSE when another socket has come to listen there since the bind; see listen(2).
pub fn listen(fd: BorrowedFd<'_>, backlog: u16) -> io::Result<()> {
    // SAFETY: the call takes two numbers and no memory of ours.
    checked(unsafe { libc::listen(fd.as_raw_fd(), c_int::from(backlog)) })?;
    Ok(())
}

/// Where a socket is bound.
///
/// # Errors
///
/// See getsockname(2); ENOTSOCK for another kind of file, EAFNOSUPPORT for another family.
pub fn bound(fd: BorrowedFd<'_>) -> io::Result<Bound> {
    let mut address = Address::room();
    let (name, length) = address.parts();
    // SAFETY: `name` and `length` point into `address`, which outlives the call, and `length`
    // holds the number of bytes at `name`.
    checked(unsafe { libc::getsockname(fd.as_raw_fd(), name, length) })?;
    match (address.socket_address(), address.path()) {
        (Some(address), _) => Ok(Bound::Tcp(address)),
        (None, Some(path)) => Ok(Bound::Unix(path)),
        (None, None) => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    }
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

/// Whether after an error of [`accept`] the next call would fail in the same way, so that
/// accepting has to pause: the process or the system is out of descriptors or memory (EMFILE,
/// ENFILE, ENOBUFS, ENOMEM), or it is something nobody has foreseen. Not so if nobody waits, or if
/// it concerns one connection, which is gone by it: accept(2) names those errors, and EAFNOSUPPORT
/// is ours.
#[must_use]
pub fn accept_pauses(error: &io::Error) -> bool {
    !matches!(
        error.raw_os_error(),
        Some(
            libc::EAGAIN
                | libc::ECONNABORTED
                | libc::EPROTO
                | libc::EPERM
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::ETIMEDOUT
                | libc::EAFNOSUPPORT
        )
    )
}

pub(super) fn stream(family: c_int) -> io::Result<OwnedFd> {
    socket(family, libc::SOCK_STREAM)
}

/// socket(2), non-blocking and close-on-exec.
pub(super) fn socket(family: c_int, kind: c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes three numbers and no memory of ours.
    let made = checked(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// bind(2).
pub(super) fn bind(fd: BorrowedFd<'_>, address: &Address) -> io::Result<()> {
    // SAFETY: `pointer` is valid for `length` bytes and is only read.
    checked(unsafe { libc::bind(fd.as_raw_fd(), address.pointer(), address.length()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;
    use crate::sys::testing::{Dir, accepted, listen_tcp, listen_unix, tcp, until};

    #[test]
    fn nobody_waiting_is_would_block_at_once() {
        let listener = tcp("127.0.0.1:0").0;
        let error = accept(listener.as_fd()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(!accept_pauses(&error));
    }

    #[test]
    fn what_every_further_call_would_meet_makes_accepting_pause() {
        let pauses = |code| accept_pauses(&io::Error::from_raw_os_error(code));
        for one in [libc::ECONNABORTED, libc::EPROTO, libc::EHOSTUNREACH] {
            assert!(!pauses(one), "{one} concerns one connection");
        }
        for all in [libc::EMFILE, libc::ENOMEM, libc::ENOSYS, libc::EBADF] {
            assert!(pauses(all), "{all} concerns all");
        }
        // That it is an error of the listener is seen on a real one, too.
        let bound = stream(libc::AF_INET).unwrap();
        assert!(accept_pauses(&accept(bound.as_fd()).unwrap_err()));
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
        let listener = listen_unix(&dir.path("s"));
        let _client = UnixStream::connect(dir.path("s")).unwrap();
        assert_eq!(accepted(&listener).1, Peer::Unix);
        assert_eq!(bound(listener.as_fd()).unwrap(), Bound::Unix(dir.path("s")));
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
            let four = listen_tcp(&SocketAddr::from(([0, 0, 0, 0], address.port())));
            let mine = TcpStream::connect(("127.0.0.1", address.port())).is_ok() && four.is_ok();
            mine && accept(six.as_fd()).unwrap_err().kind() == io::ErrorKind::WouldBlock
        });
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let (_listener, address) = tcp("127.0.0.1:0");
        let error = listen_tcp(&address).unwrap_err();
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
    fn the_local_address_is_the_bound_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = bound(listener.as_fd()).unwrap();
        assert_eq!(address, Bound::Tcp(listener.local_addr().unwrap()));
        let dir = Dir::new();
        let listener = listen_unix(&dir.path("s"));
        assert_eq!(bound(listener.as_fd()).unwrap(), Bound::Unix(dir.path("s")));
        let (nameless, _) = UnixStream::pair().unwrap();
        assert_eq!(
            bound(nameless.as_fd()).unwrap(),
            Bound::Unix(PathBuf::new())
        );
    }

    #[test]
    fn an_address_that_nobody_has_is_refused_or_listened_on() {
        for text in ["192.0.2.1:0", "[2001:db8::1]:0"] {
            let address: SocketAddr = text.parse().unwrap();
            let error = bind_tcp(&address, None, false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{text}");
            let free = bind_tcp(&address, None, true).unwrap();
            listen(free.as_fd(), 8).unwrap();
            let Bound::Tcp(found) = bound(free.as_fd()).unwrap() else {
                panic!("no TCP socket");
            };
            assert_eq!(found.ip(), address.ip());
        }
    }

    #[test]
    fn a_listener_is_bound_to_an_interface() {
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let listener = bind_tcp(&any, Some("lo"), false).unwrap();
        listen(listener.as_fd(), 8).unwrap();
        let Bound::Tcp(address) = bound(listener.as_fd()).unwrap() else {
            panic!("no TCP socket");
        };
        let _client = TcpStream::connect(("127.0.0.1", address.port())).unwrap();
        assert_eq!(accepted(&listener).1, Peer::V4([127, 0, 0, 1]));
        assert_eq!(interface::bound_to(listener.as_fd()).unwrap(), "lo");
        let error = bind_tcp(&any, Some("none0"), false).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn a_backlog_can_be_changed_while_it_listens() {
        let (listener, address) = tcp("127.0.0.1:0");
        listen(listener.as_fd(), 1).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(accepted(&listener).1, Peer::V4([127, 0, 0, 1]));
    }
}
