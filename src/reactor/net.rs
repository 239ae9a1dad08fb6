//! The one thing the loop needs from outside: [`Net`].
//!
//! Owns the trait, its events and tokens. Its real form is [`super::kernel::Kernel`]; the
//! simulation has another. Invariants: every call returns at once; a token carries the generation
//! of its slot, so that an event for a slot that was reused is known as stale.

use super::passing::Passed;
use crate::config::Config;
use crate::connection::How;
use crate::connection::linger::Queues;
use crate::connection::time::Ms;
use crate::report::status::Survey;
use crate::sys::signal::Signal;
use crate::sys::socket::Peer;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Slots have indices below this; above are the listeners, then the pipes of scripts, two each,
/// then what there is one of.
pub const SLOTS_MAX: u16 = 0xfe00;
const SCRIPTS: u16 = 0xff00;
const SCRIPTS_END: u16 = SCRIPTS + 2 * SCRIPTS_MAX;
/// Scripts at the same time are at most this.
pub const SCRIPTS_MAX: u16 = 64;
const FILES: u16 = 0xfffb;
const STARTER: u16 = 0xfffc;
const HELPER: u16 = 0xfffd;
const CONTROL: u16 = 0xfffe;
const SIGNALS: u16 = 0xffff;

/// What an event is about: 16 bits of index and 16 of generation, for `usize` is 32 bits on MIPS
/// and ARM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A listener.
    Listener(u8),
    /// The signal pipe.
    Signals,
    /// The control socket, and who has come to it.
    Control,
    /// The helper has said something.
    Helper,
    /// The process that starts scripts has said something.
    Starter,
    /// Files of which the cache has something have changed.
    Files,
    /// A pipe of a script.
    Script {
        /// Its place.
        at: u16,
        /// The one it reads from.
        input: bool,
        /// Of the place when it was registered.
        generation: u16,
    },
    /// A connection.
    Slot {
        /// Index into the slots.
        index: u16,
        /// Generation of the slot when it was registered.
        generation: u16,
    },
}

impl Token {
    /// Packs it into 32 bits.
    #[must_use]
    pub fn pack(self) -> usize {
        let (index, generation) = match self {
            Self::Listener(n) => (SLOTS_MAX + u16::from(n), 0),
            Self::Signals => (SIGNALS, 0),
            Self::Control => (CONTROL, 0),
            Self::Helper => (HELPER, 0),
            Self::Starter => (STARTER, 0),
            Self::Files => (FILES, 0),
            Self::Script {
                at,
                input,
                generation,
            } => (
                SCRIPTS + 2 * at.min(SCRIPTS_MAX - 1) + u16::from(input),
                generation,
            ),
            Self::Slot { index, generation } => (index, generation),
        };
        (usize::from(generation) << 16) | usize::from(index)
    }

    /// The reverse of [`Token::pack`].
    #[must_use]
    pub fn unpack(packed: usize) -> Self {
        let index = u16::try_from(packed & 0xffff).unwrap_or(SIGNALS);
        let generation = u16::try_from((packed >> 16) & 0xffff).unwrap_or(0);
        match index.checked_sub(SLOTS_MAX) {
            None => Self::Slot { index, generation },
            Some(_) if index == SIGNALS => Self::Signals,
            Some(_) if index == CONTROL => Self::Control,
            Some(_) if index == HELPER => Self::Helper,
            Some(_) if index == STARTER => Self::Starter,
            Some(_) if index == FILES => Self::Files,
            Some(_) if (SCRIPTS..SCRIPTS_END).contains(&index) => Self::Script {
                at: (index - SCRIPTS) / 2,
                input: (index - SCRIPTS) % 2 == 1,
                generation,
            },
            Some(n) => Self::Listener(u8::try_from(n).unwrap_or(u8::MAX)),
        }
    }
}

/// Edge-triggered readiness, as the poller reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub token: Token,
    /// There is something to read, a FIN and an error included.
    pub readable: bool,
    /// There is room to write, or acknowledgements came.
    pub writable: bool,
    /// The peer's FIN or RST is in the queue: this edge was the last.
    pub read_closed: bool,
    /// The connection is broken: an RST came, or a send failed for good.
    pub broken: bool,
}

/// For what somebody asks what the kernel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Everything counts.
    Whole,
    /// Acknowledgements may have moved in a goodbye, before its deadline: what is unread counts
    /// only when all is acknowledged, and how slow the peer is not at all.
    Moved,
    /// The peer's FIN was read, before a deadline: only what is not acknowledged counts.
    Ended,
}

/// One of the two buffers that the kernel has for a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// What has come and is not read.
    #[default]
    Receive,
    /// What was sent and is not acknowledged.
    Send,
}

/// Most events taken from one poll; the rest comes with the next.
pub const EVENTS: usize = 256;

/// The network and the clocks as the loop sees them. All sockets are non-blocking.
pub trait Net {
    /// An accepted connection.
    type Socket;

    /// Waits at most `timeout_ms` (`None`: until something happens) and fills `events`, at most
    /// [`EVENTS`] of them. EINTR is no error.
    ///
    /// # Errors
    /// Only what ends the server.
    fn poll(&mut self, timeout_ms: Option<u32>, events: &mut Vec<Event>) -> io::Result<()>;

    /// The monotonic clock; read once a turn.
    fn now(&mut self) -> Ms;

    /// Seconds since 1970, or `None` while the clock is not plausible.
    fn wall_s(&mut self) -> Option<i64>;

    /// The next signal that came.
    fn signal(&mut self) -> Option<Signal>;

    /// Number of listeners, at most 252.
    fn listeners(&self) -> u8;

    /// The next connection from this listener's queue.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty; see [`Net::pauses`] for the rest.
    fn accept(&mut self, listener: u8) -> io::Result<(Self::Socket, Peer)>;

    /// Whether a connection waits in this listener's queue.
    fn waits(&mut self, listener: u8) -> bool;

    /// Whether this listener is that of `status.socket`.
    fn is_of_status(&self, _: u8) -> bool {
        false
    }

    /// What the kernel says of our sockets; `None`: there is more to hear in the next turn.
    fn survey(&mut self, _: Ms) -> Option<Survey> {
        Some(Survey::default())
    }

    /// Whether this error of `accept` means that the system is short of something.
    fn pauses(error: &io::Error) -> bool;

    /// A reload has changed what can be changed while the server serves.
    fn retune(&mut self, _: &Config) {}

    /// Watches the helper.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC.
    fn watch_helper(&mut self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Watches a pipe of a script, or who starts them.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC.
    fn watch_script(&mut self, _: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        Ok(())
    }

    /// Watches what tells of files that have changed.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC; where nothing is watched, that.
    fn watch_files(&mut self, _: BorrowedFd<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Our address and port of a connection; `None` if it has none, or a unix socket.
    fn local(&mut self, _: &Self::Socket) -> Option<SocketAddr> {
        None
    }

    /// Closes all listeners; who is still queued is reset by the kernel, unless a successor has
    /// them, too.
    fn close_listeners(&mut self);

    /// A successor has come to the control socket, and the listeners are its own now.
    fn is_taken_over(&mut self) -> bool {
        false
    }

    /// Its connection stays for longer than one answer: its receive buffer gets the usual size.
    fn tune(&mut self, _: &Self::Socket) {}

    /// Watches a socket, edge-triggered, for both directions. What is there already makes an edge,
    /// too.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC.
    fn register(&mut self, socket: &Self::Socket, token: Token) -> io::Result<()>;

    /// Looks at what is queued without taking it.
    ///
    /// # Errors
    /// As recv(2).
    fn peek(&mut self, socket: &Self::Socket, into: &mut [u8]) -> io::Result<usize>;

    /// Receives; 0 is the peer's FIN.
    ///
    /// # Errors
    /// As recv(2).
    fn receive(&mut self, socket: &Self::Socket, into: &mut [u8]) -> io::Result<usize>;

    /// Throws away at most `max` bytes; 0 is the peer's FIN.
    ///
    /// # Errors
    /// As recv(2).
    fn discard(&mut self, socket: &Self::Socket, max: usize) -> io::Result<usize>;

    /// From now on the kernel may hold so many bytes of what comes, or of what is sent (SO_RCVBUF,
    /// SO_SNDBUF): the size in force, which may be less; `None`: it stays as it is.
    fn resize(&mut self, socket: &Self::Socket, side: Side, bytes: u32) -> Option<u32>;

    /// What one of its buffers is charged for now, bytes; an upper bound where that is not known.
    fn charged(&mut self, socket: &Self::Socket, side: Side) -> u32;

    /// How far the peer is: a round trip, microseconds; 0 if that is not known.
    fn round_trip_us(&mut self, socket: &Self::Socket) -> u32;

    /// Sends; `more`: further bytes or our FIN follow at once.
    ///
    /// # Errors
    /// As send(2).
    fn send(&mut self, socket: &Self::Socket, bytes: &[u8], more: bool) -> io::Result<usize>;

    /// Sends a part of a file; 0 means that the file ends here.
    ///
    /// # Errors
    /// As sendfile(2).
    fn send_file(
        &mut self,
        socket: &Self::Socket,
        file: &OwnedFd,
        offset: u64,
        max: usize,
    ) -> io::Result<usize>;

    /// Receives at most `max` bytes into a file, from `offset` on, past our memory. `None`: it
    /// cannot be done so, and nothing was received: [`Net::receive`], and write.
    fn pass(
        &mut self,
        _: &Self::Socket,
        _: BorrowedFd<'_>,
        _offset: u64,
        _max: usize,
    ) -> Option<io::Result<Passed>> {
        None
    }

    /// shutdown(SHUT_WR).
    ///
    /// # Errors
    /// ENOTCONN when the peer reset the connection.
    fn shutdown_write(&mut self, socket: &Self::Socket) -> io::Result<()>;

    /// What the kernel holds for this socket, as far as the look needs it; the rest may be 0.
    fn queues(&mut self, socket: &Self::Socket, look: Look) -> Queues;

    /// Closes in this way. Never waits.
    fn close(&mut self, socket: Self::Socket, how: How);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_32_bits() {
        let tokens = [
            Token::Listener(0),
            Token::Listener(252),
            Token::Helper,
            Token::Starter,
            Token::Files,
            Token::Script {
                at: 0,
                input: false,
                generation: 0,
            },
            Token::Script {
                at: SCRIPTS_MAX - 1,
                input: true,
                generation: u16::MAX,
            },
            Token::Signals,
            Token::Control,
            Token::Slot {
                index: 0,
                generation: 0,
            },
            Token::Slot {
                index: SLOTS_MAX - 1,
                generation: u16::MAX,
            },
        ];
        for token in tokens {
            let packed = token.pack();
            assert!(u32::try_from(packed).is_ok());
            assert_eq!(Token::unpack(packed), token);
        }
    }
}
