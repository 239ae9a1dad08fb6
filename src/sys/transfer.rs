//! Bytes in and out of a socket.
//!
//! Owns: recv(2), send(2), sendfile(2). Must not: keep a buffer, or block: every call but
//! [`send_file`] says so itself, and that one relies on the socket being non-blocking.
//!
//! Invariants: 0 from a receiving call always means the end of the stream, for a size of 0 is
//! refused; no call raises SIGPIPE, save [`send_file`] in a process that does not ignore it.
#![allow(unsafe_code, reason = "recv(2), send(2), sendfile(2)")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::call::{counted, offset, retried, some};

/// Bytes that came in, at most `into.len()`: their number, or 0 once the peer has ended its side.
///
/// # Errors
///
/// `WouldBlock` if nothing is there; ECONNRESET after a reset; EINVAL for an empty `into`; see
/// recv(2).
pub fn receive(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let length = some(into.len())?;
    let room = into.as_mut_ptr().cast();
    retried(|| {
        // SAFETY: `room` is valid for writes of `length` bytes, at most `into.len()`.
        counted(unsafe { libc::recv(fd.as_raw_fd(), room, length, libc::MSG_DONTWAIT) })
    })
}

/// Bytes that came in, which stay where they are; otherwise as [`receive`]. See `MSG_PEEK` in
/// recv(2).
///
/// # Errors
///
/// As [`receive`].
pub fn peek(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<usize> {
    let length = some(into.len())?;
    let room = into.as_mut_ptr().cast();
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    retried(|| {
        // SAFETY: `room` is valid for writes of `length` bytes, at most `into.len()`.
        counted(unsafe { libc::recv(fd.as_raw_fd(), room, length, flags) })
    })
}

/// Throws away bytes that came in, at most `max`, without copying them: their number, or 0 once
/// the peer has ended its side. TCP only.
///
/// # Errors
///
/// `WouldBlock` if nothing is there; ECONNRESET after a reset; EINVAL for a `max` of 0. On a unix
/// socket EFAULT while data is there, and the data stays: [`receive`] into a scratch buffer
/// instead. See `MSG_TRUNC` in tcp(7).
pub fn discard(fd: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
    let length = some(max)?;
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    retried(|| {
        // SAFETY: with MSG_TRUNC a TCP socket writes nothing; any other kind of socket fails to
        // write at address 0 with EFAULT, where this process has no memory.
        counted(unsafe { libc::recv(fd.as_raw_fd(), ptr::null_mut(), length, flags) })
    })
}

/// Queues bytes for the peer: how many of them the kernel took, possibly fewer than given. With
/// `more`, a last partial segment waits up to 200 ms for the bytes of the next call.
///
/// # Errors
///
/// `WouldBlock` if there is no room; EPIPE or ECONNRESET if the peer has reset, never SIGPIPE; see
/// send(2).
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], more: bool) -> io::Result<usize> {
    let more = if more { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | more;
    retried(|| {
        let from = bytes.as_ptr().cast();
        // SAFETY: `from` is valid for reads of `bytes.len()` bytes.
        counted(unsafe { libc::send(fd.as_raw_fd(), from, bytes.len(), flags) })
    })
}

/// Queues bytes of `file` from `offset` (bytes from its start) for the peer, at most `max`: how
/// many, possibly fewer; 0 at the end of the file. The file's own position is not used.
///
/// The call waits for cold pages of the file, not for the peer, provided the socket is
/// non-blocking. sendfile(2) has no `MSG_NOSIGNAL`: SIGPIPE must be ignored, as Rust's runtime and
/// [`super::signal::Signals`] do.
///
/// # Errors
///
/// `WouldBlock` if there is no room; EPIPE or ECONNRESET if the peer has reset; EINVAL for a `max`
/// of 0, an offset above 2^63 - 1, or a file system that cannot (then [`super::file::read_at`] and
/// [`send`]); see sendfile(2).
pub fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset_bytes: u64,
    max: usize,
) -> io::Result<usize> {
    let length = some(max)?;
    retried(|| {
        let mut at = offset(offset_bytes)?;
        let (to, from) = (socket.as_raw_fd(), file.as_raw_fd());
        // SAFETY: `at` outlives the call, which reads and writes that one 64-bit number.
        counted(unsafe { libc::sendfile64(to, from, &raw mut at, length) })
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::socket::{abort, unread};
    use crate::sys::testing::{Dir, tcp_pair, unix_pair, until};

    fn blocks(result: io::Result<usize>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[test]
    fn receive_gives_bytes_then_would_block_then_the_end() {
        let (ours, mut client) = tcp_pair();
        let mut room = [0; 8];
        assert!(blocks(receive(ours.as_fd(), &mut room)));
        client.write_all(b"hello").unwrap();
        until(|| unread(ours.as_fd()).unwrap() == 5);
        assert_eq!(receive(ours.as_fd(), &mut room).unwrap(), 5);
        assert_eq!(&room[..5], b"hello");
        assert!(receive(ours.as_fd(), &mut []).is_err());
        client.shutdown(Shutdown::Write).unwrap();
        until(|| matches!(receive(ours.as_fd(), &mut room), Ok(0)));
    }

    #[test]
    fn discard_counts_what_it_drops_and_sees_the_end() {
        let (ours, mut client) = tcp_pair();
        assert!(blocks(discard(ours.as_fd(), 100)));
        client.write_all(&[7; 1000]).unwrap();
        until(|| unread(ours.as_fd()).unwrap() == 1000);
        assert_eq!(discard(ours.as_fd(), 300).unwrap(), 300);
        assert_eq!(unread(ours.as_fd()).unwrap(), 700);
        assert_eq!(discard(ours.as_fd(), usize::MAX).unwrap(), 700);
        assert_eq!(
            discard(ours.as_fd(), 0).unwrap_err().raw_os_error(),
            Some(libc::EINVAL)
        );
        client.shutdown(Shutdown::Write).unwrap();
        until(|| matches!(discard(ours.as_fd(), 100), Ok(0)));
    }

    #[test]
    fn discard_on_a_unix_socket_is_efault_and_keeps_the_data() {
        let (ours, mut client) = unix_pair();
        assert!(blocks(discard(ours.as_fd(), 100)));
        client.write_all(b"kept").unwrap();
        let error = discard(ours.as_fd(), 100).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        let mut room = [0; 8];
        assert_eq!(receive(ours.as_fd(), &mut room).unwrap(), 4);
        assert_eq!(&room[..4], b"kept");
    }

    #[test]
    fn send_fills_the_queue_and_then_would_block() {
        let (ours, mut client) = tcp_pair();
        let mut sent = 0;
        until(|| match send(ours.as_fd(), &[9; 65536], false) {
            Ok(count) => {
                sent += count;
                false
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        });
        drop(ours);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), sent);
    }

    #[test]
    fn more_holds_the_segment_until_the_rest_is_there() {
        let (ours, mut client) = tcp_pair();
        assert_eq!(send(ours.as_fd(), b"head ", true).unwrap(), 5);
        assert_eq!(unread(client.as_fd()).unwrap(), 0);
        assert_eq!(send(ours.as_fd(), b"body", false).unwrap(), 4);
        let mut got = [0; 9];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"head body");
    }

    #[test]
    fn sending_to_a_peer_that_reset_is_an_error_and_no_signal() {
        for file in [false, true] {
            let dir = Dir::new();
            std::fs::write(dir.path("f"), "x").unwrap();
            let source = File::open(dir.path("f")).unwrap();
            let (ours, client) = tcp_pair();
            abort(client.into());
            let mut seen = Vec::new();
            // The first failure is the reset, every later one a broken pipe.
            until(|| {
                let result = if file {
                    send_file(ours.as_fd(), source.as_fd(), 0, 1)
                } else {
                    send(ours.as_fd(), b"x", false)
                };
                seen.extend(result.err().map(|error| error.kind()));
                seen.len() == 3
            });
            assert_eq!(seen[1..], [io::ErrorKind::BrokenPipe; 2]);
        }
    }

    #[test]
    fn send_file_starts_where_it_is_told_and_ends_with_the_file() {
        let dir = Dir::new();
        std::fs::write(dir.path("f"), "0123456789").unwrap();
        let file = File::open(dir.path("f")).unwrap();
        let (ours, mut client) = tcp_pair();
        assert_eq!(send_file(ours.as_fd(), file.as_fd(), 3, 4).unwrap(), 4);
        assert_eq!(send_file(ours.as_fd(), file.as_fd(), 8, 100).unwrap(), 2);
        assert_eq!(send_file(ours.as_fd(), file.as_fd(), 10, 100).unwrap(), 0);
        assert!(send_file(ours.as_fd(), file.as_fd(), 0, 0).is_err());
        assert!(send_file(ours.as_fd(), file.as_fd(), u64::MAX, 1).is_err());
        drop(ours);
        let mut got = String::new();
        client.read_to_string(&mut got).unwrap();
        assert_eq!(got, "345689");
    }

    #[test]
    fn send_file_reaches_beyond_four_gibibytes() {
        let dir = Dir::new();
        let file = File::create_new(dir.path("f")).unwrap();
        file.set_len(5 << 30).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"far", (5 << 30) - 3).unwrap();
        let file = File::open(dir.path("f")).unwrap();
        let (ours, mut client) = tcp_pair();
        assert_eq!(
            send_file(ours.as_fd(), file.as_fd(), (5 << 30) - 3, 100).unwrap(),
            3
        );
        let mut got = [0; 3];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"far");
    }
}
