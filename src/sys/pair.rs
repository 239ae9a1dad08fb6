//! Two connected sockets, for two processes of ours.
//!
//! Owns: socketpair(2) of whole messages (`SOCK_SEQPACKET`, unix(7)). Must not: know what is said.
//!
//! Invariants: both ends are close-on-exec; a message is sent whole or not at all, and received
//! whole or cut off, never joined with the next; the order is kept.
#![allow(unsafe_code, reason = "socketpair(2), send(2), recv(2)")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::call::{checked, counted, retried, some};

/// Two ends that are connected with each other, blocking. [`super::socket::send`] and
/// [`super::socket::receive`] do not wait even so; [`tell`] and [`wait_for`] do.
///
/// # Errors
///
/// EMFILE, ENFILE, ENOBUFS; see socketpair(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `ends` is valid for writes of the two numbers.
    checked(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    let [one, other] = ends;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    let one = unsafe { OwnedFd::from_raw_fd(one) };
    // SAFETY: as above.
    let other = unsafe { OwnedFd::from_raw_fd(other) };
    Ok((one, other))
}

/// Sends one message, and waits for room if there is none.
///
/// # Errors
///
/// EPIPE if the other end is gone, never SIGPIPE; EMSGSIZE if it is too long for the kernel; see
/// send(2).
pub fn tell(end: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
    retried(|| {
        let from = message.as_ptr().cast();
        // SAFETY: `from` is valid for reads of `message.len()` bytes.
        counted(unsafe { libc::send(end.as_raw_fd(), from, message.len(), libc::MSG_NOSIGNAL) })
    })?;
    Ok(())
}

/// Waits for a message: its length, or 0 once the other end is gone and all that it said has been
/// received. What does not fit into `into` is lost.
///
/// # Errors
///
/// ECONNRESET if the other end is gone without having received everything; EINVAL for an empty
/// `into`; see recv(2).
pub fn wait_for(end: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let length = some(into.len())?;
    let room = into.as_mut_ptr().cast();
    retried(|| {
        // SAFETY: `room` is valid for writes of `length` bytes, at most `into.len()`.
        counted(unsafe { libc::recv(end.as_raw_fd(), room, length, 0) })
    })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::socket;

    #[test]
    fn messages_come_whole_in_their_order_and_then_the_end() {
        let (one, other) = pair().unwrap();
        let mut room = [0; 8];
        let nothing = socket::receive(one.as_fd(), &mut room).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(socket::send(one.as_fd(), b"first", false).unwrap(), 5);
        tell(one.as_fd(), b"the second is cut off").unwrap();
        tell(one.as_fd(), b"third").unwrap();
        drop(one);
        for said in [&b"first"[..], b"the seco", b"third", b""] {
            let count = wait_for(other.as_fd(), &mut room).unwrap();
            assert_eq!(&room[..count], said);
        }
        let gone = tell(other.as_fd(), b"x").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_full_pair_takes_nothing_of_a_message() {
        let (one, other) = pair().unwrap();
        let message = [b'm'; 777];
        let mut sent = 0;
        let full = loop {
            match socket::send(one.as_fd(), &message, false) {
                Ok(count) => assert_eq!(count, message.len()),
                Err(error) => break error,
            }
            sent += 1;
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(sent >= 30, "{sent}");
        drop(one);
        let mut room = [0; 1000];
        for _ in 0..sent {
            assert_eq!(wait_for(other.as_fd(), &mut room).unwrap(), message.len());
        }
        assert_eq!(wait_for(other.as_fd(), &mut room).unwrap(), 0);
    }
}
