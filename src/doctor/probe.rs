//! What two sockets of this kernel do: a container may have another one than its name says.
//!
//! Owns the sockets, on the loopback and on a port that the system chooses. It must not judge.
//! Invariant: nothing waits for longer than [`WAIT_MS`] at a time.

use crate::config::Config;
use crate::sys::{poll, socket};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The loopback answers at once, also on a slow device.
const WAIT_MS: u64 = 2000;
/// LINGER2 of the probe, seconds.
const LINGER2_S: u8 = 5;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Input can be thrown away without memory (`MSG_TRUNC`).
    pub discards: bool,
    /// After the FIN it says what is not acknowledged (`SIOCOUTQ`).
    pub counts: bool,
    /// The wait for the client's FIN can be set (`TCP_LINGER2`).
    pub lingers: bool,
    /// An orphan can be bounded (`TCP_USER_TIMEOUT`).
    pub bounds: bool,
    /// `SO_RCVBUF` in force after it was set, bytes; the kernel doubles.
    pub receive_bytes: u32,
    /// `SO_SNDBUF` in force after it was set, bytes; the kernel doubles.
    pub send_bytes: u32,
}

impl Probe {
    /// Tries this system; `None` where there is no loopback.
    #[must_use]
    pub fn of_system(config: &Config) -> Option<Self> {
        Self::attempt(config).ok()
    }

    fn attempt(config: &Config) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = socket::bind_tcp(&any, None, false)?;
        socket::listen(listener.as_fd(), 1)?;
        let socket::Bound::Tcp(address) = socket::bound(listener.as_fd())? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let wait = Duration::from_millis(WAIT_MS);
        let mut client = TcpStream::connect_timeout(&address, wait)?;
        client.set_write_timeout(Some(wait))?;
        comes(listener.as_fd())?;
        let (ours, _) = socket::accept(listener.as_fd())?;
        let fd = ours.as_fd();
        socket::set_receive_buffer(fd, config.receive_bytes)?;
        socket::set_send_buffer(fd, config.send_bytes)?;
        let (receive_bytes, send_bytes) = (socket::receive_buffer(fd)?, socket::send_buffer(fd)?);
        client.write_all(b"adieu")?;
        comes(fd)?;
        let discards = socket::discard(fd, 4096).is_ok_and(|n| n == 5)
            && socket::unread(fd).is_ok_and(|n| n == 0);
        let lingers = socket::set_linger2(fd, LINGER2_S).is_ok();
        let bounds = socket::set_user_timeout(fd, 1000).is_ok();
        socket::shutdown_write(fd)?;
        let counts = socket::unacknowledged(fd).is_ok_and(|n| n <= 1);
        Ok(Self {
            discards,
            counts,
            lingers,
            bounds,
            receive_bytes,
            send_bytes,
        })
    }
}

/// Waits until there is something to read or to accept.
fn comes(fd: BorrowedFd<'_>) -> io::Result<()> {
    match poll::wait(&[(fd, false)], Some(WAIT_MS))?.first() {
        Some(true) => Ok(()),
        Some(false) | None => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_says_goodbye() {
        let probe = Probe::attempt(&Config::default()).unwrap();
        assert!(probe.discards && probe.counts && probe.lingers && probe.bounds);
        // As small as every kernel lets them be, and doubled.
        assert!(
            probe.receive_bytes >= 16_384 && probe.send_bytes >= 16_384,
            "{probe:?}"
        );
    }
}
