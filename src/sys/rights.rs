//! Handing descriptors to another process, and who that is.
//!
//! Owns: sendmsg(2) and recvmsg(2) with SCM_RIGHTS (unix(7), cmsg(3)), SO_PEERCRED. Must not: know
//! what the bytes beside the descriptors mean, or what the descriptors are.
//!
//! Invariants: every descriptor that came is owned, and close-on-exec, before anything else is
//! looked at; the room for control messages is aligned for their headers and holds as many
//! descriptors as the kernel hands over at once.
//!
//! Whether a call waits is the socket's own matter (O_NONBLOCK).
#![allow(
    unsafe_code,
    reason = "sendmsg(2), recvmsg(2), and the control messages of cmsg(3)"
)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_uint};

use super::call::{counted, fit, invalid, retried, some};
use super::options;

/// The most descriptors in one message (SCM_MAX_FD of the kernel, unix(7)).
pub const FDS_MAX: usize = 253;

/// The room for control messages, in words: [`FDS_MAX`] descriptors, and the credentials that come
/// along on a socket with SO_PASSCRED.
const ROOM_WORDS: usize = 144;
/// What SO_PEERCRED says of a socket that has no peer.
const NOBODY: u32 = u32::MAX;

/// The room for control messages. Its words align it for their headers.
type Room = [u64; ROOM_WORDS];

/// Sends `bytes`, and `fds` with the first of them: how many bytes were taken, possibly fewer than
/// given. If any were, all descriptors went; the receiver gets duplicates.
///
/// # Errors
///
/// EINVAL for no bytes, which could not carry a descriptor, or for more than [`FDS_MAX`]
/// descriptors; `WouldBlock` if there is no room; EPIPE or ECONNRESET if the peer is gone, never
/// SIGPIPE; ETOOMANYREFS if too many descriptors are on their way; ENOMEM for more than 251 from an
/// old musl on 64 bits; see sendmsg(2).
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    send_with(fd, bytes, fds, 0)
}

/// The same without waiting, whatever the socket is.
///
/// # Errors
///
/// As [`send`]; see [`is_for_now`] and [`is_too_long`].
pub fn offer(fd: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    send_with(fd, bytes, fds, libc::MSG_DONTWAIT)
}

/// What was refused may be taken later: there is no room, no memory, or too many descriptors are on
/// their way.
#[must_use]
pub fn is_for_now(error: &io::Error) -> bool {
    let errno = error.raw_os_error().unwrap_or(0);
    let passing = [
        libc::EAGAIN,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::ETOOMANYREFS,
    ];
    passing.contains(&errno)
}

/// The message was refused because it is longer than the socket's buffer.
#[must_use]
pub fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

fn send_with(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: c_int,
) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    let length = some(bytes.len())?;
    if fds.len() > FDS_MAX {
        return Err(invalid());
    }
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: length,
    };
    let mut room: Room = [0; ROOM_WORDS];
    let mut message = message(&mut part, &mut room)?;
    put(&mut message, fds)?;
    retried(|| {
        // SAFETY: `message` names `part`, `room` and through `part` `length` bytes of `bytes`; all
        // outlive the call, which only reads them.
        counted(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, flags) })
    })
}

/// Bytes that came in, at most `room.len()`, and the descriptors that came with them: the number of
/// bytes, or 0 once the peer has ended its side.
///
/// A stream gives the descriptors of one [`send`] with its first bytes, never those of two at once,
/// and then no byte of a later one; bytes sent before it without descriptors may come along.
///
/// # Errors
///
/// EMSGSIZE if something was cut off, and then all of it is lost: descriptors, because this process
/// may not have that many open, or the end of a datagram. `WouldBlock` if nothing is there;
/// ECONNRESET; EINVAL for an empty `room`; see recvmsg(2).
pub fn receive(fd: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    receive_with(fd, room, 0)
}

/// The same without waiting, whatever the socket is.
///
/// # Errors
///
/// As [`receive`].
pub fn look(fd: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    receive_with(fd, room, libc::MSG_DONTWAIT)
}

fn receive_with(
    fd: BorrowedFd<'_>,
    room: &mut [u8],
    flags: c_int,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let flags = flags | libc::MSG_CMSG_CLOEXEC;
    let mut part = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: some(room.len())?,
    };
    let mut control: Room = [0; ROOM_WORDS];
    let mut message = message(&mut part, &mut control)?;
    let count = retried(|| {
        // SAFETY: `message` names `part`, `control` and through `part` the bytes of `room`, with
        // their lengths; all outlive the call, and nothing else uses them meanwhile.
        counted(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) })
    })?;
    let fds = taken(&message);
    if message.msg_flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0 {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    Ok((count, fds))
}

/// The user of the process that made the connection, or that listens to it, at the time it did so
/// (SO_PEERCRED, unix(7)).
///
/// # Errors
///
/// ENOTCONN for a socket without such a peer: not connected, or TCP; see getsockopt(2).
pub fn peer_user(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // struct ucred: the process, the user, the group.
    let [_, user, _] = options::get(fd, libc::SOL_SOCKET, libc::SO_PEERCRED)?;
    if user == NOBODY {
        return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
    }
    Ok(user)
}

/// A message of one part, with room for control messages, all of it empty. The answer holds
/// pointers: both must outlive it.
fn message(part: &mut libc::iovec, room: &mut Room) -> io::Result<libc::msghdr> {
    // SAFETY: it consists of numbers and pointers, for which zero is a value; some C libraries have
    // more fields in it than can be named.
    let mut message = unsafe { mem::zeroed::<libc::msghdr>() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_controllen = fit(size_of::<Room>())?;
    message.msg_control = room.as_mut_ptr().cast();
    Ok(message)
}

/// Lays the descriptors into the room of `message` (as [`message`] makes it, of zeros), as one
/// control message; none at all for no descriptors.
fn put(message: &mut libc::msghdr, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.is_empty() {
        message.msg_control = ptr::null_mut();
        message.msg_controllen = 0;
        return Ok(());
    }
    let bytes: c_uint = fit(fds.len().saturating_mul(size_of::<c_int>()))?;
    // SAFETY: it computes with a number, of at most FDS_MAX descriptors.
    message.msg_controllen = fit(unsafe { libc::CMSG_SPACE(bytes) })?;
    // SAFETY: `message` is initialised.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    if header.is_null() {
        return Err(invalid());
    }
    // SAFETY: it consists of numbers; some C libraries have more fields in it.
    let mut head = unsafe { mem::zeroed::<libc::cmsghdr>() };
    // SAFETY: it computes with a number.
    head.cmsg_len = fit(unsafe { libc::CMSG_LEN(bytes) })?;
    head.cmsg_level = libc::SOL_SOCKET;
    head.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: it is the start of the room, which is large enough and aligned for it.
    unsafe { header.write(head) };
    // SAFETY: the room goes on behind the header.
    let data = unsafe { libc::CMSG_DATA(header) }.cast::<c_int>();
    for (index, fd) in fds.iter().enumerate() {
        let at = data.wrapping_add(index);
        // SAFETY: CMSG_SPACE of all is at most the room, see the test of it.
        unsafe { at.write_unaligned(fd.as_raw_fd()) };
    }
    Ok(())
}

/// Every descriptor in the control messages that the kernel has laid into `message`.
fn taken(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: `message` is initialised.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the kernel has written a header there, and aligned it.
        let head = unsafe { header.read() };
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: the kernel's header is followed by its data.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<c_int>();
            for index in 0..numbers(&head) {
                let at = data.wrapping_add(index);
                // SAFETY: the header says that there are so many numbers.
                let number = unsafe { at.read_unaligned() };
                // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
                fds.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        // SAFETY: `header` is one of `message`, both as the kernel wrote them.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}

/// How many descriptors are behind this header.
fn numbers(head: &libc::cmsghdr) -> usize {
    // SAFETY: it computes with a number.
    let before = unsafe { libc::CMSG_LEN(0) };
    let (length, before): (usize, usize) = match (fit(head.cmsg_len), fit(before)) {
        (Ok(length), Ok(before)) => (length, before),
        // A usize has at least the bits of both.
        (_, _) => return 0,
    };
    length.saturating_sub(before) / size_of::<c_int>()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;
    use crate::sys::testing::{tcp_pair, until};

    fn raw(error: &io::Error) -> Option<i32> {
        error.raw_os_error()
    }

    /// The number of the file behind a descriptor.
    fn inode(fd: BorrowedFd<'_>) -> u64 {
        crate::sys::file::stat(fd).unwrap().inode
    }

    /// Sockets, each another file.
    fn sockets(count: usize) -> Vec<OwnedFd> {
        let sockets = (0..count).map(|_| UnixDatagram::unbound().unwrap().into());
        sockets.collect()
    }

    fn borrowed(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
        fds.iter().map(AsFd::as_fd).collect()
    }

    #[test]
    fn the_room_holds_what_the_kernel_hands_over() {
        let bytes = c_uint::try_from(FDS_MAX * size_of::<c_int>()).unwrap();
        // SAFETY: it computes with a number.
        let rights = unsafe { libc::CMSG_SPACE(bytes) };
        let credentials = c_uint::try_from(size_of::<libc::ucred>()).unwrap();
        // SAFETY: it computes with a number.
        let credentials = unsafe { libc::CMSG_SPACE(credentials) };
        let need = usize::try_from(rights + credentials).unwrap();
        assert!(need <= size_of::<Room>(), "{need}");
        assert!(align_of::<Room>() >= align_of::<libc::cmsghdr>());
    }

    #[test]
    fn a_descriptor_comes_out_as_the_same_file() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut read, write) = UnixStream::pair().unwrap();
        assert_eq!(send(ours.as_fd(), b"one", &[write.as_fd()]).unwrap(), 3);
        drop(write);
        let mut room = [0; 8];
        let (count, mut fds) = receive(theirs.as_fd(), &mut room).unwrap();
        assert_eq!(&room[..count], b"one");
        assert_eq!(fds.len(), 1);
        let fd = fds.pop().unwrap();
        // SAFETY: F_GETFD takes no further argument.
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
        File::from(fd).write_all(b"through").unwrap();
        // The last writer is closed by now: nothing else holds the socket.
        let mut got = String::new();
        read.read_to_string(&mut got).unwrap();
        assert_eq!(got, "through");
    }

    #[test]
    fn any_number_of_descriptors_keeps_its_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for count in [0, 1, 2, 3, FDS_MAX] {
            let fds = sockets(count);
            send(ours.as_fd(), b"x", &borrowed(&fds)).unwrap();
            let (bytes, got) = receive(theirs.as_fd(), &mut [0; 8]).unwrap();
            assert_eq!(bytes, 1);
            let inodes =
                |fds: &[OwnedFd]| -> Vec<u64> { fds.iter().map(|fd| inode(fd.as_fd())).collect() };
            assert_eq!(inodes(&got), inodes(&fds));
        }
    }

    #[test]
    fn two_messages_are_not_mixed_and_their_descriptors_come_with_the_first_byte() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let fds = sockets(3);
        send(ours.as_fd(), b"one", &[fds[0].as_fd()]).unwrap();
        send(ours.as_fd(), b"two", &[fds[1].as_fd(), fds[2].as_fd()]).unwrap();
        send(ours.as_fd(), b"three", &[]).unwrap();
        let mut got = Vec::new();
        for size in [5, 1, 5, 5] {
            let mut room = vec![0; size];
            let (count, fds) = receive(theirs.as_fd(), &mut room).unwrap();
            room.truncate(count);
            got.push((String::from_utf8(room).unwrap(), fds.len()));
        }
        let want = [("one", 1), ("t", 2), ("wothr", 0), ("ee", 0)];
        let want = want.map(|(bytes, fds)| (bytes.to_owned(), fds));
        assert_eq!(got, want);
    }

    #[test]
    fn nothing_too_many_and_the_end_are_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        let error = send(ours.as_fd(), b"", &[file.as_fd()]).unwrap_err();
        assert_eq!(raw(&error), Some(libc::EINVAL));
        for count in [FDS_MAX + 1, 1000] {
            let many = vec![file.as_fd(); count];
            let error = send(ours.as_fd(), b"x", &many).unwrap_err();
            assert_eq!(raw(&error), Some(libc::EINVAL));
        }
        let error = receive(theirs.as_fd(), &mut []).unwrap_err();
        assert_eq!(raw(&error), Some(libc::EINVAL));
        theirs.set_nonblocking(true).unwrap();
        let error = receive(theirs.as_fd(), &mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(ours);
        // Another test may be starting a process, which has a copy of `ours` until its exec.
        until(|| {
            let end = receive(theirs.as_fd(), &mut [0; 8]);
            end.is_ok_and(|(count, fds)| count == 0 && fds.is_empty())
        });
        let error = send(theirs.as_fd(), b"x", &[]).unwrap_err();
        assert_eq!(raw(&error), Some(libc::EPIPE));
    }

    #[test]
    fn an_offer_does_not_wait_and_says_why_it_was_refused() {
        let (ours, theirs) = crate::sys::pair::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        let full = loop {
            if let Err(error) = offer(ours.as_fd(), &[0; 4096], &[file.as_fd()]) {
                break error;
            }
        };
        assert!(is_for_now(&full) && !is_too_long(&full), "{full}");
        let (bytes, fds) = look(theirs.as_fd(), &mut [0; 4097]).unwrap();
        assert_eq!((bytes, fds.len()), (4096, 1));
        let nothing = look(ours.as_fd(), &mut [0; 1]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        let long = offer(ours.as_fd(), &vec![0; 64 << 20], &[]).unwrap_err();
        assert!(is_too_long(&long) && !is_for_now(&long), "{long}");
        drop(theirs);
        until(|| offer(ours.as_fd(), b"x", &[]).is_err_and(|error| !is_for_now(&error)));
    }

    #[test]
    fn credentials_that_come_along_are_passed_over() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        options::set(theirs.as_fd(), libc::SOL_SOCKET, libc::SO_PASSCRED, [1]).unwrap();
        let fds = sockets(FDS_MAX);
        send(ours.as_fd(), b"x", &borrowed(&fds)).unwrap();
        let (_, got) = receive(theirs.as_fd(), &mut [0; 8]).unwrap();
        assert_eq!(got.len(), FDS_MAX);
    }

    #[test]
    fn a_datagram_that_is_cut_off_is_refused_and_its_descriptors_are_closed() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let (mut read, write) = UnixStream::pair().unwrap();
        send(ours.as_fd(), b"three", &[write.as_fd()]).unwrap();
        drop(write);
        let error = receive(theirs.as_fd(), &mut [0; 2]).unwrap_err();
        assert_eq!(raw(&error), Some(libc::EMSGSIZE));
        // No writer is left.
        assert_eq!(read.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn the_peer_of_a_unix_socket_is_known() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        // SAFETY: the call takes nothing and cannot fail.
        let user = unsafe { libc::geteuid() };
        assert_eq!(peer_user(ours.as_fd()).unwrap(), user);
        let (tcp, _client) = tcp_pair();
        assert_eq!(
            raw(&peer_user(tcp.as_fd()).unwrap_err()),
            Some(libc::ENOTCONN)
        );
        let alone = UnixDatagram::unbound().unwrap();
        assert_eq!(
            raw(&peer_user(alone.as_fd()).unwrap_err()),
            Some(libc::ENOTCONN)
        );
        let file = File::open("/dev/null").unwrap();
        assert_eq!(
            raw(&peer_user(file.as_fd()).unwrap_err()),
            Some(libc::ENOTSOCK)
        );
    }
}
