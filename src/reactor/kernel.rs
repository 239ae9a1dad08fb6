//! The real network: mio's poll and `sys`.
//!
//! Owns the listeners, the poller, the signal pipe and the options of accepted sockets, TCP and
//! unix each with its own row. It must not know connections or their states. Invariants: every
//! socket is registered once, edge-triggered, for both directions; no call waits, close(2)
//! included; SO_LINGER with a time is set only directly before a close of a socket whose data is
//! all acknowledged.

use super::net::{EVENTS, Event, Net, Token};
use crate::config::{Config, Listen, StartError};
use crate::connection::How;
use crate::connection::linger::Queues;
use crate::connection::time::{Ms, plausible};
use crate::sys::signal::{Signal, Signals};
use crate::sys::socket::Peer;
use crate::sys::{clock, file, socket};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// An accepted socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// Unix sockets know neither MSG_TRUNC nor the TCP options.
    unix: bool,
}

/// The kernel of this machine.
#[derive(Debug)]
pub struct Kernel {
    poll: Poll,
    events: Events,
    signals: Signals,
    listeners: Vec<OwnedFd>,
    receive_bytes: u32,
    send_bytes: u32,
    linger2_s: u8,
    /// For sockets that cannot throw away, and files that cannot be sent.
    scratch: Vec<u8>,
}

/// Size of the scratch buffer, for the memory plan.
pub const SCRATCH_BYTES: usize = 16 * 1024;
/// Retries of a file transfer through the scratch buffer that the kernel refused to do itself.
const REFUSES_SENDFILE: [ErrorKind; 2] = [ErrorKind::InvalidInput, ErrorKind::Unsupported];

impl Kernel {
    /// Opens everything that `config` asks for.
    ///
    /// # Errors
    /// A listener that cannot be had, too few descriptors, no epoll.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let system = |what: &str, error: &io::Error| {
            let cure = "raise the limit of open files (ulimit -n), or close what else is open";
            StartError::runtime("start", format!("{what}: {error}"), cure)
        };
        let poll = Poll::new().map_err(|error| system("no epoll", &error))?;
        let signals = Signals::install().map_err(|error| system("no signal pipe", &error))?;
        let mut kernel = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            signals,
            listeners: Vec::with_capacity(config.listen.len()),
            receive_bytes: config.receive_bytes,
            send_bytes: config.send_bytes,
            linger2_s: config.linger2_s,
            scratch: vec![0; SCRATCH_BYTES],
        };
        for (n, listen) in config.listen.iter().enumerate() {
            let fd = kernel.listen(listen, config.backlog)?;
            let token = Token::Listener(u8::try_from(n).unwrap_or(u8::MAX));
            kernel
                .watch(fd.as_fd(), token, Interest::READABLE)
                .map_err(|e| system("epoll", &e))?;
            kernel.listeners.push(fd);
        }
        let signals = kernel.signals.fd().as_raw_fd();
        let registry = kernel.poll.registry();
        let token = mio::Token(Token::Signals.pack());
        registry
            .register(&mut SourceFd(&signals), token, Interest::READABLE)
            .map_err(|error| system("epoll", &error))?;
        enough_descriptors(config)?;
        Ok(kernel)
    }

    fn listen(&self, listen: &Listen, backlog: u16) -> Result<OwnedFd, StartError> {
        let opened = match listen {
            Listen::Tcp(address) => socket::listen_tcp(address, backlog).and_then(|fd| {
                socket::set_linger2(fd.as_fd(), self.linger2_s)?;
                socket::set_send_buffer(fd.as_fd(), self.send_bytes)?;
                socket::set_segment_max(fd.as_fd(), segment_max(self.receive_bytes))?;
                Ok(fd)
            }),
            Listen::Unix(path) => socket::listen_unix(path, backlog),
        };
        opened.map_err(|error| {
            let cure = cure_of(error.kind());
            StartError::runtime(place(listen), format!("cannot listen: {error}"), cure)
        })
    }

    /// The addresses that are listened on, the port chosen by the system included.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|fd| socket::local_address(fd.as_fd()).ok().flatten())
    }

    /// One line that says where the server is.
    #[must_use]
    pub fn announcement(&self, config: &Config) -> String {
        let mut places: Vec<String> = self
            .addresses()
            .map(|address| format!("http://{address}/"))
            .collect();
        places.extend(config.listen.iter().filter_map(|listen| match listen {
            Listen::Unix(_) => Some(place(listen)),
            Listen::Tcp(_) => None,
        }));
        format!(
            "serving {} on {}",
            config.site.root.display(),
            places.join(" ")
        )
    }

    fn watch(&self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let raw = fd.as_raw_fd();
        self.poll
            .registry()
            .register(&mut SourceFd(&raw), mio::Token(token.pack()), interest)
    }

    /// What an accepted socket needs. Failures are harmless: the socket keeps its defaults.
    fn equip(&self, socket: &Socket) {
        let fd = socket.fd.as_fd();
        // After accept, never on the listener: there it would fix the window scale at 0.
        let _ = socket::set_receive_buffer(fd, self.receive_bytes);
        if socket.unix {
            let _ = socket::set_send_buffer(fd, self.send_bytes); // not inherited there
        }
    }
}

/// Several segments fit the receive buffer, which the kernel doubles. Where one fills it (the
/// loopback's are 64 KiB), the window shuts at each and opens by a probe 200 ms later: 160 kB/s.
/// Segments of Ethernet are smaller than this.
fn segment_max(receive_bytes: u32) -> u32 {
    (receive_bytes / 2).clamp(1460, 32_767)
}

/// What helps against a listener that cannot be had.
fn cure_of(kind: ErrorKind) -> &'static str {
    let cures = [
        (
            ErrorKind::AddrInUse,
            "stop the server that holds it, or choose another with -p",
        ),
        (
            ErrorKind::PermissionDenied,
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with -p",
        ),
        (
            ErrorKind::AddrNotAvailable,
            "give an address that this machine has, with -p",
        ),
    ];
    let cure = cures
        .iter()
        .find(|(other, _)| *other == kind)
        .map(|(_, cure)| *cure);
    cure.unwrap_or("choose another address with -p")
}

/// How the operator wrote a listener.
fn place(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// A slot, and beside it a file, for each connection; plus what the program has open.
fn enough_descriptors(config: &Config) -> Result<(), StartError> {
    let listeners = u64::try_from(config.listen.len()).unwrap_or(0);
    let own = 16 + listeners;
    let need = u64::from(config.connections) * 2 + own;
    match crate::sys::limits::raise_open_files(need) {
        Ok(limit) if limit >= need => Ok(()),
        outcome => Err(StartError::runtime(
            "memory.connections",
            format!(
                "{} connections need {need} descriptors (one each, one for its file, and {own}), \
                 but the limit is {}",
                config.connections,
                outcome.map_or_else(|error| error.to_string(), |limit| limit.to_string()),
            ),
            "raise the hard limit of open files (ulimit -Hn), or lower memory.connections",
        )),
    }
}

impl Net for Kernel {
    type Socket = Socket;

    fn poll(&mut self, timeout_ms: Option<u32>, events: &mut Vec<Event>) -> io::Result<()> {
        let timeout = timeout_ms.map(|ms| Duration::from_millis(u64::from(ms)));
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        events.extend(self.events.iter().map(|event| Event {
            token: Token::unpack(event.token().0),
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_write_closed() || event.is_error(),
            read_closed: event.is_read_closed() || event.is_error(),
        }));
        Ok(())
    }

    fn now(&mut self) -> Ms {
        Ms(clock::monotonic_ms())
    }

    fn wall_s(&mut self) -> Option<i64> {
        plausible(clock::wall_s())
    }

    fn signal(&mut self) -> Option<Signal> {
        self.signals.take()
    }

    fn listeners(&self) -> u8 {
        u8::try_from(self.listeners.len()).unwrap_or(u8::MAX)
    }

    fn accept(&mut self, listener: u8) -> io::Result<(Socket, Peer)> {
        let Some(listener) = self.listeners.get(usize::from(listener)) else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let (fd, peer) = socket::accept(listener.as_fd())?;
        let socket = Socket {
            fd,
            unix: peer == Peer::Unix,
        };
        self.equip(&socket);
        Ok((socket, peer))
    }

    fn waits(&mut self, listener: u8) -> bool {
        let listener = self.listeners.get(usize::from(listener));
        // In doubt somebody does: the accept that follows knows.
        listener.is_some_and(|fd| socket::waits(fd.as_fd()).unwrap_or(true))
    }

    fn pauses(error: &io::Error) -> bool {
        socket::accept_pauses(error)
    }

    fn retune(&mut self, config: &Config) {
        self.linger2_s = config.linger2_s;
        for fd in &self.listeners {
            // A unix socket has no such option; a TCP one takes what was checked.
            let _ = socket::set_linger2(fd.as_fd(), config.linger2_s);
        }
    }

    fn close_listeners(&mut self) {
        self.listeners.clear();
    }

    fn register(&mut self, socket: &Socket, token: Token) -> io::Result<()> {
        self.watch(
            socket.fd.as_fd(),
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    fn peek(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        socket::peek(socket.fd.as_fd(), into)
    }

    fn receive(&mut self, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
        socket::receive(socket.fd.as_fd(), into)
    }

    fn discard(&mut self, socket: &Socket, max: usize) -> io::Result<usize> {
        if !socket.unix {
            return socket::discard(socket.fd.as_fd(), max);
        }
        // All of `max`, if it is there: less tells the caller that the queue is empty.
        let mut taken = 0;
        while taken < max {
            let asked = self.scratch.len().min(max - taken);
            let room = self.scratch.get_mut(..asked).unwrap_or_default();
            match socket::receive(socket.fd.as_fd(), room) {
                Ok(n) if n == asked => taken += n,
                Ok(n) => return Ok(taken + n),
                Err(_) if taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    fn send(&mut self, socket: &Socket, bytes: &[u8], more: bool) -> io::Result<usize> {
        socket::send(socket.fd.as_fd(), bytes, more)
    }

    fn send_file(
        &mut self,
        socket: &Socket,
        file: &OwnedFd,
        offset: u64,
        max: usize,
    ) -> io::Result<usize> {
        let fd = socket.fd.as_fd();
        match socket::send_file(fd, file.as_fd(), offset, max) {
            Err(error) if REFUSES_SENDFILE.contains(&error.kind()) => {
                let max = max.min(self.scratch.len());
                let room = self.scratch.get_mut(..max).unwrap_or_default();
                match file::read_at(file.as_fd(), room, offset)? {
                    0 => Ok(0),
                    n => socket::send(fd, room.get(..n).unwrap_or_default(), false),
                }
            }
            outcome => outcome,
        }
    }

    fn shutdown_write(&mut self, socket: &Socket) -> io::Result<()> {
        socket::shutdown_write(socket.fd.as_fd())
    }

    fn queues(&mut self, socket: &Socket) -> Queues {
        let fd = socket.fd.as_fd();
        let unacknowledged = socket::unacknowledged(fd).unwrap_or(0);
        Queues {
            unacknowledged,
            unread: socket::unread(fd).unwrap_or(0),
            rto_ms: match (socket.unix, unacknowledged) {
                (true, _) | (false, 0) => 0,
                (false, _) => socket::retransmission_timeout_ms(fd).unwrap_or(0),
            },
        }
    }

    fn close(&mut self, socket: Socket, how: How) {
        let fd = socket.fd;
        match how {
            How::Plain => socket::close(fd),
            How::Reset => socket::abort(fd),
            How::Bounded(ms) => {
                if !socket.unix {
                    let _ = socket::set_user_timeout(fd.as_fd(), ms);
                }
                socket::close(fd);
            }
            How::KernelLinger(seconds) => {
                let _ = socket::set_linger(fd.as_fd(), seconds);
                socket::close(fd);
            }
        }
    }
}
