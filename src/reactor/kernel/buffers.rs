//! The two buffers that the kernel has for a socket, and what stands in them.
//!
//! Owns how they are sized and asked, TCP and unix. It must not know what they are needed for.
//! Invariant: of a unix socket nothing is ever changed.

use super::Socket;
use crate::connection::linger::Queues;
use crate::reactor::net::{Look, Side};
use crate::sys::socket;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

impl Socket {
    /// As [`crate::reactor::net::Net::resize`].
    pub(super) fn resize(&self, side: Side, bytes: u32) -> Option<u32> {
        let fd = self.fd.as_fd();
        match side {
            _ if self.unix => None,
            Side::Receive => socket::resize_receive_buffer(fd, bytes).ok(),
            Side::Send => socket::resize_send_buffer(fd, bytes).ok(),
        }
    }

    /// As [`crate::reactor::net::Net::charged`].
    pub(super) fn charged(&self, side: Side) -> u32 {
        match (socket::memory(self.fd.as_fd()), side) {
            (Ok(memory), Side::Receive) => memory.receive_bytes,
            (Ok(memory), Side::Send) => memory.send_bytes,
            (Err(_), _) => u32::MAX,
        }
    }

    /// As [`crate::reactor::net::Net::queues`].
    pub(super) fn queues(&self, look: Look) -> Queues {
        let fd = self.fd.as_fd();
        let unacknowledged = socket::unacknowledged(fd).unwrap_or(0);
        let asks_unread = match look {
            Look::Whole => true,
            Look::Moved => unacknowledged == 0,
            Look::Ended => false,
        };
        let asks_rto = look == Look::Whole && !self.unix && unacknowledged > 0;
        let ask = |asks, call: fn(BorrowedFd<'_>) -> io::Result<u32>| match asks {
            true => call(fd).unwrap_or(0),
            false => 0,
        };
        Queues {
            unacknowledged,
            unread: ask(asks_unread, socket::unread),
            rto_ms: ask(asks_rto, socket::retransmission_timeout_ms),
        }
    }
}
