//! Descriptors that another process handed over by number.
//!
//! Owns: turning such a number into a descriptor that is owned, and asking it what it is. Must not:
//! know who handed it over, or how the number was told (sd_listen_fds(3), inetd).
//!
//! Invariants: 0, 1 and 2 are never taken away from the standard streams; what was claimed is
//! close-on-exec.
#![allow(unsafe_code, reason = "fcntl(2), and taking a number for a descriptor")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::c_int;

use super::call::checked;
use super::options;

/// The descriptor of that number, which this process was started with; see fcntl(2). Of 0, 1 and 2,
/// which the standard streams use, a duplicate.
///
/// **To be called once for a number, and before anything else opens descriptors**: from then on the
/// answer is its only owner, and closes it. A number that something else in this process has opened
/// must not be claimed.
///
/// # Errors
///
/// EBADF if it is not open; EMFILE for a duplicate.
pub fn claim(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD takes no further argument; it fails for a number that is not open, and so for
    // a negative one.
    checked(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    if is_standard(number) {
        // SAFETY: it is open, and the standard streams are never closed.
        let standard = unsafe { BorrowedFd::borrow_raw(number) };
        // Close-on-exec, and above 2.
        return standard.try_clone_to_owned();
    }
    // SAFETY: it is open, and no part of this process owns it: the caller says so.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    // SAFETY: F_SETFD takes a number.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(fd)
}

/// Whether it is a stream socket that listens (SO_TYPE, SO_ACCEPTCONN of socket(7)); anything that
/// is no socket does not.
///
/// # Errors
///
/// See getsockopt(2).
pub fn listens(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let asked = |name| options::get::<1>(fd, libc::SOL_SOCKET, name);
    let [kind] = match asked(libc::SO_TYPE) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => return Ok(false),
        answer => answer?,
    };
    let [accepts] = asked(libc::SO_ACCEPTCONN)?;
    Ok(c_int::try_from(kind) == Ok(libc::SOCK_STREAM) && accepts == 1)
}

/// Makes it non-blocking (O_NONBLOCK of fcntl(2)), for every process that shares it.
///
/// # Errors
///
/// See fcntl(2).
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_GETFL takes no further argument.
    let flags = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    let flags = flags | libc::O_NONBLOCK;
    // SAFETY: F_SETFL takes a number.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) })?;
    Ok(())
}

fn is_standard(number: RawFd) -> bool {
    (libc::STDIN_FILENO..=libc::STDERR_FILENO).contains(&number)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::{AsFd, IntoRawFd};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::sys::testing::{Dir, tcp, tcp_pair};

    /// The flags that fcntl(2) answers to `question`.
    fn flags(number: RawFd, question: c_int) -> c_int {
        // SAFETY: F_GETFD and F_GETFL take no further argument.
        checked(unsafe { libc::fcntl(number, question) }).unwrap()
    }

    #[test]
    fn a_number_that_is_open_becomes_ours() {
        let number = File::open("/dev/null").unwrap().into_raw_fd();
        // As it comes through exec.
        // SAFETY: F_SETFD takes a number.
        checked(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).unwrap();
        let claimed = claim(number).unwrap();
        assert_eq!(claimed.as_raw_fd(), number);
        assert_eq!(flags(number, libc::F_GETFD), libc::FD_CLOEXEC);
    }

    #[test]
    fn a_number_that_is_not_open_is_refused() {
        // The last one is above what any system lets a process open.
        for number in [-1, i32::MIN, i32::MAX] {
            let error = claim(number).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{number}");
        }
    }

    #[test]
    fn of_a_standard_stream_there_is_a_duplicate() {
        for number in 0..3 {
            let claimed = claim(number).unwrap();
            assert!(claimed.as_raw_fd() > 2);
            assert_eq!(flags(claimed.as_raw_fd(), libc::F_GETFD), libc::FD_CLOEXEC);
            drop(claimed);
            assert_eq!(flags(number, libc::F_GETFD), 0);
        }
    }

    #[test]
    fn only_a_stream_socket_that_listens_does() {
        let dir = Dir::new();
        let unix = UnixListener::bind(dir.path("s")).unwrap();
        assert!(listens(unix.as_fd()).unwrap());
        let (listener, _) = tcp("127.0.0.1:0");
        assert!(listens(listener.as_fd()).unwrap());
        let (ours, _client) = tcp_pair();
        assert!(!listens(ours.as_fd()).unwrap());
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!listens(udp.as_fd()).unwrap());
        let file = File::open("/dev/null").unwrap();
        assert!(!listens(file.as_fd()).unwrap());
        // It listens, but in packets.
        // SAFETY: the call takes three numbers.
        let packets = checked(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0) });
        // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
        let packets = unsafe { OwnedFd::from_raw_fd(packets.unwrap()) };
        let mut family = [0_u8; 2];
        family.copy_from_slice(
            &libc::sa_family_t::try_from(libc::AF_UNIX)
                .unwrap()
                .to_ne_bytes(),
        );
        let length = libc::socklen_t::try_from(family.len()).unwrap();
        // SAFETY: `family` is valid for reads of `length` bytes: an address that asks for any name.
        checked(unsafe { libc::bind(packets.as_raw_fd(), family.as_ptr().cast(), length) })
            .unwrap();
        // SAFETY: the call takes two numbers.
        checked(unsafe { libc::listen(packets.as_raw_fd(), 1) }).unwrap();
        let [accepts] =
            options::get(packets.as_fd(), libc::SOL_SOCKET, libc::SO_ACCEPTCONN).unwrap();
        assert_eq!(accepts, 1);
        assert!(!listens(packets.as_fd()).unwrap());
    }

    #[test]
    fn nonblocking_is_added_to_the_flags() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.as_raw_fd();
        // SAFETY: F_SETFL takes a number.
        checked(unsafe { libc::fcntl(number, libc::F_SETFL, libc::O_APPEND) }).unwrap();
        set_nonblocking(listener.as_fd()).unwrap();
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_ne!(flags(number, libc::F_GETFL) & libc::O_APPEND, 0);
        set_nonblocking(listener.as_fd()).unwrap();
        assert_ne!(flags(number, libc::F_GETFL) & libc::O_NONBLOCK, 0);
    }
}
