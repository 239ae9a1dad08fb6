//! What a socket is told and asked, and the ways to end it.
//!
//! Owns: setsockopt(2), getsockopt(2), the ioctl(2) questions, shutdown(2), close(2) and its
//! variants. Must not: know when a goodbye is over or which close is due; that is the connection's.
//!
//! Invariants: every option here is a fixed number of C ints; SO_LINGER with a time is set by
//! [`set_linger`] alone, for it makes the close block; with none by [`abort`] alone.
#![allow(
    unsafe_code,
    reason = "setsockopt(2), getsockopt(2), ioctl(2), shutdown(2)"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::c_int;

use super::call::{checked, invalid, size};

/// SO_MEMINFO of asm-generic/socket.h, also in the MIPS and PowerPC ones. Not in `libc`.
const SO_MEMINFO: c_int = 55;
/// How much a send buffer that has grown takes that cannot be sent yet, bytes.
const UNSENT_BYTES: u32 = 16 * 1024;
/// Above this many seconds the kernel means another time by TCP_LINGER2 than it is told.
const LINGER2_LARGEST_S: u8 = 60;

/// What a socket's queues hold of the kernel's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes the receive queue is charged for, overhead included (`SK_MEMINFO_RMEM_ALLOC`).
    pub receive_bytes: u32,
    /// Bytes the send queue is charged for, overhead included (`SK_MEMINFO_WMEM_QUEUED`).
    pub send_bytes: u32,
}

/// Ends our side of the connection (`SHUT_WR`): what is queued is still sent, then FIN. TCP counts
/// the FIN in [`unacknowledged`].
///
/// # Errors
///
/// ENOTCONN if the peer has reset; see shutdown(2).
pub fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes two numbers and no memory of ours.
    checked(unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) })?;
    Ok(())
}

/// Bytes queued that the peer's kernel has not acknowledged (SIOCOUTQ, tcp(7)). After
/// [`shutdown_write`] the FIN counts as one, so 0 then says that all of it, and the FIN, arrived.
///
/// On a unix socket: memory charged for what the peer has not read yet; no FIN is counted.
///
/// # Errors
///
/// EINVAL on a listener; see ioctl(2).
pub fn unacknowledged(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // SIOCOUTQ is TIOCOUTQ on every architecture (linux/sockios.h), and so in the type of `libc`.
    ask(fd, libc::TIOCOUTQ)
}

/// Bytes that came in and were not read yet (FIONREAD, called SIOCINQ in tcp(7)).
///
/// # Errors
///
/// EINVAL on a listener; see ioctl(2).
pub fn unread(fd: BorrowedFd<'_>) -> io::Result<u32> {
    ask(fd, libc::FIONREAD)
}

/// Sends what is written at once (TCP_NODELAY, tcp(7)). Inherited from the listener.
///
/// # Errors
///
/// EOPNOTSUPP on a unix socket.
pub fn set_nodelay(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, [1])
}

/// Holds connections back until something of theirs has come, or for about so long
/// (TCP_DEFER_ACCEPT, tcp(7)); 0 does not. The kernel counts in retransmissions of its SYN-ACK: 1,
/// 3, 7, 15 s. A connection that is held back is a request socket in the kernel, and no descriptor;
/// when its time is over it is taken in by the next acknowledgement.
///
/// # Errors
///
/// EOPNOTSUPP on a unix socket.
pub fn set_defer_accept(fd: BorrowedFd<'_>, seconds: u16) -> io::Result<()> {
    set(
        fd,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        [c_int::from(seconds)],
    )
}

/// Sets the receive buffer (SO_RCVBUF, socket(7)) and ends its automatic growth. The kernel
/// doubles the number and caps it at net.core.rmem_max: see [`receive_buffer`]. To be set after
/// accept: on a listener it would fix the window scale of every connection.
///
/// # Errors
///
/// EINVAL above 2^31 - 1; see setsockopt(2).
pub fn set_receive_buffer(fd: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, [number(bytes)?])
}

/// Sets another receive buffer later on, and lets the window follow (TCP_WINDOW_CLAMP, tcp(7));
/// the size that it has now, which net.core.rmem_max and the scale of the window cap. Linux 6.18
/// leaves the clamp where a smaller buffer had put it: the window stayed at 29,696 bytes with a
/// buffer of 262,144.
///
/// # Errors
///
/// As setsockopt(2); EOPNOTSUPP on a unix socket.
pub fn resize_receive_buffer(fd: BorrowedFd<'_>, bytes: u32) -> io::Result<u32> {
    let (_, most) = largest_windows(fd)?;
    let bytes = bytes.min(most);
    set_receive_buffer(fd, bytes)?;
    let in_force = receive_buffer(fd)?;
    let clamp = [number(in_force)?];
    set(fd, libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP, clamp)?;
    Ok(bytes.min(in_force / 2))
}

/// Sets another send buffer later on; the size that it has now, which net.core.wmem_max and the
/// scale of the peer's window cap. What is queued beyond a smaller size stays until it is
/// acknowledged. From then on it takes no more than `UNSENT_BYTES` that cannot be sent yet
/// (TCP_NOTSENT_LOWAT, Linux 3.12), so that the queue of a peer that reads no more gets short.
///
/// # Errors
///
/// As setsockopt(2); EOPNOTSUPP on a unix socket.
pub fn resize_send_buffer(fd: BorrowedFd<'_>, bytes: u32) -> io::Result<u32> {
    let (most, _) = largest_windows(fd)?;
    let bytes = bytes.min(most);
    let unsent = [number(UNSENT_BYTES)?];
    set(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, unsent)?;
    set_send_buffer(fd, bytes)?;
    Ok(bytes.min(send_buffer(fd)? / 2))
}

/// The largest windows that the handshake left room for, in bytes: the peer's, and ours
/// (`tcpi_snd_wscale` and `tcpi_rcv_wscale` of TCP_INFO).
fn largest_windows(fd: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    // linux/tcp.h: the seventh byte has both, four bits each.
    let [_, second] = get(fd, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    let [_, _, both, _] = second.to_ne_bytes();
    let (low, high) = (both & 15, both >> 4);
    let (send, receive) = match cfg!(target_endian = "little") {
        true => (low, high),
        false => (high, low),
    };
    let window = |scale: u8| u32::from(u16::MAX) << scale.min(14);
    Ok((window(send), window(receive)))
}

/// Sets the send buffer (SO_SNDBUF, socket(7)) and ends its automatic growth. The kernel doubles
/// the number and caps it at net.core.wmem_max: see [`send_buffer`].
///
/// # Errors
///
/// EINVAL above 2^31 - 1; see setsockopt(2).
pub fn set_send_buffer(fd: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, [number(bytes)?])
}

/// The receive buffer in force, in bytes: twice what was set, overhead included.
///
/// # Errors
///
/// See getsockopt(2).
pub fn receive_buffer(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let [bytes] = get(fd, libc::SOL_SOCKET, libc::SO_RCVBUF)?;
    Ok(bytes)
}

/// The send buffer in force, in bytes: twice what was set, overhead included.
///
/// # Errors
///
/// See getsockopt(2).
pub fn send_buffer(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let [bytes] = get(fd, libc::SOL_SOCKET, libc::SO_SNDBUF)?;
    Ok(bytes)
}

/// The largest segment the peer is asked to send, in bytes (TCP_MAXSEG, tcp(7)); ours to it get no
/// larger either. Matters where the MTU is large, such as 64 KiB on the loopback: a segment that
/// fills the receive buffer closes the window, and only a probe after 200 ms opens it again. To be
/// set on the listener, for the handshake tells it; inherited.
///
/// # Errors
///
/// EINVAL outside 88 to 32767; EOPNOTSUPP on a unix socket.
pub fn set_segment_max(fd: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG, [number(bytes)?])
}

/// How long the kernel keeps a closed connection that waits for the peer's FIN (TCP_LINGER2,
/// tcp(7)), in seconds, 1 to 60; 0 is the system's default, net.ipv4.tcp_fin_timeout. It counts
/// from the close, not while the descriptor is open. Inherited from the listener.
///
/// # Errors
///
/// EINVAL above 60, where the kernel would take it for about twice the excess (61: 2 s);
/// EOPNOTSUPP on a unix socket.
pub fn set_linger2(fd: BorrowedFd<'_>, seconds: u8) -> io::Result<()> {
    if seconds > LINGER2_LARGEST_S {
        return Err(invalid());
    }
    set(
        fd,
        libc::IPPROTO_TCP,
        libc::TCP_LINGER2,
        [c_int::from(seconds)],
    )
}

/// Lets the close wait up to `seconds` for the peer to acknowledge (SO_LINGER, socket(7)). **It
/// blocks, also a non-blocking socket**: set only just before a [`close`] that nothing is queued
/// for any more, never on a listener (inherited) nor on a socket that is kept. 0 resets the
/// connection at the close: [`abort`] says so by its name.
///
/// # Errors
///
/// See setsockopt(2).
pub fn set_linger(fd: BorrowedFd<'_>, seconds: u16) -> io::Result<()> {
    set(
        fd,
        libc::SOL_SOCKET,
        libc::SO_LINGER,
        [1, c_int::from(seconds)],
    )
}

/// How long sent bytes may stay unacknowledged, in milliseconds, before the kernel gives the
/// connection up (TCP_USER_TIMEOUT, tcp(7)); 0 is the system's default. It also cuts a living
/// peer that reads nothing, and it counts on after the close.
///
/// # Errors
///
/// EINVAL above 2^31 - 1; EOPNOTSUPP on a unix socket.
pub fn set_user_timeout(fd: BorrowedFd<'_>, ms: u32) -> io::Result<()> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, [number(ms)?])
}

/// How long TCP waits for an acknowledgement before it sends again, in milliseconds (`tcpi_rto` of
/// TCP_INFO, tcp(7)): how slow this peer is.
///
/// # Errors
///
/// EOPNOTSUPP on a unix socket; see getsockopt(2).
pub fn retransmission_timeout_ms(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // linux/tcp.h: eight numbers of one byte, then tcpi_rto in microseconds. The kernel fills as
    // much as it is asked for.
    let [_, _, rto_us] = get(fd, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    Ok(rto_us / 1000)
}

/// How long a segment and its acknowledgement take, smoothed, in microseconds (`tcpi_rtt` of
/// TCP_INFO, tcp(7)).
///
/// # Errors
///
/// EOPNOTSUPP on a unix socket; see getsockopt(2).
pub fn round_trip_us(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // linux/tcp.h: eight numbers of one byte, then fifteen of four before this one.
    let [.., round_trip_us] = get::<18>(fd, libc::IPPROTO_TCP, libc::TCP_INFO)?;
    Ok(round_trip_us)
}

/// What the socket's queues hold of the kernel's memory (SO_MEMINFO, Linux 4.12).
///
/// # Errors
///
/// ENOPROTOOPT on an older kernel; see getsockopt(2).
pub fn memory(fd: BorrowedFd<'_>) -> io::Result<Memory> {
    // linux/sock_diag.h: RMEM_ALLOC, RCVBUF, WMEM_ALLOC, SNDBUF, FWD_ALLOC, WMEM_QUEUED, ...
    let [receive_bytes, _, _, _, _, send_bytes] = get(fd, libc::SOL_SOCKET, SO_MEMINFO)?;
    Ok(Memory {
        receive_bytes,
        send_bytes,
    })
}

/// close(2). With input unread, TCP resets the connection and drops what is queued; otherwise the
/// kernel goes on sending by itself.
pub fn close(fd: OwnedFd) {
    drop(fd);
}

/// Resets the connection and frees its memory now (SO_LINGER with 0 s, then close(2)): what is
/// queued is lost, the peer sees ECONNRESET, nothing is left behind in the kernel. Never blocks. On
/// a unix socket it is a plain close.
pub fn abort(fd: OwnedFd) {
    // SO_LINGER cannot fail on a socket; on anything else there is no connection to reset.
    let told = set_linger(fd.as_fd(), 0);
    debug_assert!(told.is_ok(), "SO_LINGER was refused");
    drop(fd);
}

/// A size or time as a C int; EINVAL above 2^31 - 1.
fn number(value: u32) -> io::Result<c_int> {
    c_int::try_from(value).map_err(|_| invalid())
}

/// setsockopt(2) for an option of `N` ints (`struct linger` is two).
pub(super) fn set<const N: usize>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: [c_int; N],
) -> io::Result<()> {
    let (from, length) = (value.as_ptr().cast(), size::<[c_int; N]>());
    // SAFETY: `from` is valid for reads of `length` bytes, the ints of `value`.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, from, length) })?;
    Ok(())
}

/// getsockopt(2) for the first `N` words of an option; EINVAL if the kernel knows fewer.
pub(super) fn get<const N: usize>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
) -> io::Result<[u32; N]> {
    let mut value = [0_u32; N];
    let mut length = size::<[u32; N]>();
    let (into, len) = (value.as_mut_ptr().cast(), &raw mut length);
    // SAFETY: `into` is valid for writes of `length` bytes, the words of `value`; both outlive
    // the call.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, into, len) })?;
    if length < size::<[u32; N]>() {
        return Err(invalid());
    }
    Ok(value)
}

/// ioctl(2) with a request that answers one int.
fn ask(fd: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<u32> {
    let mut answer: c_int = 0;
    // SAFETY: both requests that come here write one int, at `answer`, which outlives the call.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw mut answer) })?;
    u32::try_from(answer).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::sys::socket::{discard, send};
    use crate::sys::testing::{accepted, tcp, tcp_pair, unix_pair, until};

    fn raw(error: &io::Error) -> Option<i32> {
        error.raw_os_error()
    }

    fn fill(fd: BorrowedFd<'_>) -> usize {
        let mut sent = 0;
        until(|| match send(fd, &[1; 65536], false) {
            Ok(count) => {
                sent += count;
                false
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        });
        sent
    }

    #[test]
    fn the_fin_is_acknowledged_last() {
        let (ours, mut client) = tcp_pair();
        let sent = fill(ours.as_fd());
        shutdown_write(ours.as_fd()).unwrap();
        assert!(unacknowledged(ours.as_fd()).unwrap() > 1);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), sent);
        until(|| unacknowledged(ours.as_fd()).unwrap() == 0);
        // Half closed: the peer may still send.
        client.write_all(b"late").unwrap();
        until(|| unread(ours.as_fd()).unwrap() == 4);
        assert_eq!(discard(ours.as_fd(), 10).unwrap(), 4);
    }

    /// The state is the first byte of `tcp_info`; that of who has heard a reset is TCP_CLOSE, 7.
    fn is_closed(fd: BorrowedFd<'_>) -> bool {
        let [start] = get::<1>(fd, libc::IPPROTO_TCP, libc::TCP_INFO).unwrap();
        start.to_ne_bytes()[0] == 7
    }

    #[test]
    fn an_abort_is_a_reset_and_loses_what_is_queued() {
        let (ours, mut client) = tcp_pair();
        let sent = fill(ours.as_fd());
        abort(ours);
        // What was read before the reset came would not be lost.
        until(|| is_closed(client.as_fd()));
        let mut got = Vec::new();
        let error = client.read_to_end(&mut got).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(got.len() < sent);
    }

    #[test]
    fn a_plain_close_delivers_to_a_peer_that_is_silent() {
        let (ours, mut client) = tcp_pair();
        let sent = fill(ours.as_fd());
        close(ours);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), sent);
    }

    #[test]
    fn the_window_may_follow_a_buffer_that_grows() {
        let (ours, _client) = tcp_pair();
        let clamp = || {
            let name = libc::TCP_WINDOW_CLAMP;
            get::<1>(ours.as_fd(), libc::IPPROTO_TCP, name).unwrap()[0]
        };
        set_receive_buffer(ours.as_fd(), 16384).unwrap();
        assert!(clamp() < 131_072);
        let granted = resize_receive_buffer(ours.as_fd(), 131_072).unwrap();
        assert_eq!(granted, 131_072);
        assert_eq!(receive_buffer(ours.as_fd()).unwrap(), 262_144);
        assert_eq!(clamp(), 262_144);
    }

    #[test]
    fn a_send_buffer_that_has_grown_empties_when_the_peer_reads_no_more() {
        let (ours, mut client) = tcp_pair();
        set_send_buffer(ours.as_fd(), 16384).unwrap();
        assert_eq!(resize_send_buffer(ours.as_fd(), 131_072).unwrap(), 131_072);
        assert_eq!(send_buffer(ours.as_fd()).unwrap(), 262_144);
        let sent = fill(ours.as_fd());
        // What the peer's window took is acknowledged by its kernel.
        until(|| unacknowledged(ours.as_fd()).unwrap() < 100_000);
        shutdown_write(ours.as_fd()).unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), sent);
        assert!(round_trip_us(ours.as_fd()).unwrap() > 0);
    }

    #[test]
    fn a_plain_close_with_input_unread_resets() {
        let (ours, mut client) = tcp_pair();
        client.write_all(b"unread").unwrap();
        until(|| unread(ours.as_fd()).unwrap() == 6);
        close(ours);
        let error = client.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn nodelay_and_linger2_are_inherited_from_the_listener() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (listener, address) = tcp(address);
            set_nodelay(listener.as_fd()).unwrap();
            set_linger2(listener.as_fd(), 5).unwrap();
            set_segment_max(listener.as_fd(), 8192).unwrap();
            let _client = TcpStream::connect(address).unwrap();
            let (ours, _) = accepted(&listener);
            let read = |name| get::<1>(ours.as_fd(), libc::IPPROTO_TCP, name).unwrap();
            assert_eq!(read(libc::TCP_NODELAY), [1]);
            assert_eq!(read(libc::TCP_LINGER2), [5]);
            // The handshake's options take their part of it.
            let [segment] = read(libc::TCP_MAXSEG);
            assert!((8000..=8192).contains(&segment), "{segment}");
            let linger = get::<2>(ours.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER).unwrap();
            assert_eq!(linger[0], 0);
        }
    }

    #[test]
    fn linger_is_set_with_its_seconds() {
        let (ours, _client) = tcp_pair();
        set_linger(ours.as_fd(), 7).unwrap();
        let linger = get::<2>(ours.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER).unwrap();
        assert_eq!(linger, [1, 7]);
        set_linger(ours.as_fd(), 0).unwrap();
    }

    #[test]
    fn linger2_above_a_minute_is_refused() {
        let (ours, _client) = tcp_pair();
        set_linger2(ours.as_fd(), 60).unwrap();
        assert_eq!(
            raw(&set_linger2(ours.as_fd(), 61).unwrap_err()),
            Some(libc::EINVAL)
        );
    }

    #[test]
    fn the_user_timeout_is_in_milliseconds() {
        let (ours, _client) = tcp_pair();
        set_user_timeout(ours.as_fd(), 3000).unwrap();
        let read = get::<1>(ours.as_fd(), libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT).unwrap();
        assert_eq!(read, [3000]);
        assert!(set_user_timeout(ours.as_fd(), u32::MAX).is_err());
    }

    #[test]
    fn buffers_read_back_doubled() {
        let (ours, _client) = tcp_pair();
        set_receive_buffer(ours.as_fd(), 16384).unwrap();
        assert_eq!(receive_buffer(ours.as_fd()).unwrap(), 32768);
        set_send_buffer(ours.as_fd(), 16384).unwrap();
        assert_eq!(send_buffer(ours.as_fd()).unwrap(), 32768);
        assert!(set_send_buffer(ours.as_fd(), u32::MAX).is_err());
    }

    #[test]
    fn memory_shows_what_the_queues_hold() {
        let (ours, mut client) = tcp_pair();
        assert_eq!(
            memory(ours.as_fd()).unwrap(),
            Memory {
                receive_bytes: 0,
                send_bytes: 0
            }
        );
        client.write_all(&[1; 5000]).unwrap();
        until(|| unread(ours.as_fd()).unwrap() == 5000);
        assert!(memory(ours.as_fd()).unwrap().receive_bytes >= 5000);
        fill(ours.as_fd());
        assert!(memory(ours.as_fd()).unwrap().send_bytes >= 5000);
    }

    #[test]
    fn the_retransmission_timeout_is_plausible() {
        let (ours, _client) = tcp_pair();
        let ms = retransmission_timeout_ms(ours.as_fd()).unwrap();
        assert!((1..=120_000).contains(&ms), "{ms}");
    }

    #[test]
    fn what_tcp_has_a_unix_socket_does_not() {
        let (ours, mut client) = unix_pair();
        for error in [
            set_linger2(ours.as_fd(), 5).unwrap_err(),
            set_user_timeout(ours.as_fd(), 5).unwrap_err(),
            set_segment_max(ours.as_fd(), 1460).unwrap_err(),
            retransmission_timeout_ms(ours.as_fd()).unwrap_err(),
        ] {
            assert_eq!(raw(&error), Some(libc::EOPNOTSUPP));
        }
        send(ours.as_fd(), b"four", false).unwrap();
        assert!(unacknowledged(ours.as_fd()).unwrap() >= 4);
        shutdown_write(ours.as_fd()).unwrap();
        let mut got = String::new();
        client.read_to_string(&mut got).unwrap();
        assert_eq!(got, "four");
        assert_eq!(unacknowledged(ours.as_fd()).unwrap(), 0);
        client.write_all(b"late").unwrap();
        assert_eq!(unread(ours.as_fd()).unwrap(), 4);
        // Input unread: the peer of a unix socket sees a reset as well.
        abort(ours);
        // Another test may be starting a process, which has a copy of `ours` until its exec.
        until(|| {
            let sent = client.write_all(b"more");
            sent.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        });
    }

    #[test]
    fn asking_what_is_no_socket_is_an_error() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(unacknowledged(file.as_fd()).is_err());
        assert!(receive_buffer(file.as_fd()).is_err());
        assert!(shutdown_write(file.as_fd()).is_err());
    }
}
