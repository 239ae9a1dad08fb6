//! The real network: mio's poll and `sys`.
//!
//! Owns the poller, the listeners, the signal pipe and the control socket, and what is done to
//! accepted sockets, TCP and unix each in its own way. It must not know connections or their
//! states. Invariants: every socket is registered once, edge-triggered, for both directions; no
//! call waits, close(2) included; SO_LINGER with a time is set only directly before a close of a
//! socket whose data is all acknowledged; a listener is no longer watched when it is closed, for a
//! successor may have it.

mod buffers;

use super::control::{Asked, Control};
use super::descriptors::enough_descriptors;
use super::listeners::{Given, Listeners};
use super::net::{EVENTS, Event, Look, Net, Side, Token};
use super::passing::{Passed, Passing};
use super::socket_files::SocketFiles;
use super::survey::Surveyor;
use crate::config::{Config, StartError};
use crate::connection::How;
use crate::connection::linger::Queues;
use crate::connection::time::{Ms, plausible};
use crate::report::status::Survey;
use crate::sys::signal::{Signal, Signals};
use crate::sys::socket::Peer;
use crate::sys::{clock, file, socket};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
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
    listeners: Listeners,
    control: Option<Control>,
    surveyor: Surveyor,
    passing: Passing,
    /// For sockets that cannot throw away, and files that cannot be sent.
    scratch: Vec<u8>,
}

/// Size of the scratch buffer, for the memory plan.
pub const SCRATCH_BYTES: usize = 16 * 1024;
/// Of sendfile(2) and splice(2) where there is none: bytes go through the scratch buffer.
pub(super) const REFUSES: [ErrorKind; 2] = [ErrorKind::InvalidInput, ErrorKind::Unsupported];

/// What is there before the kernel is opened.
#[derive(Debug, Default)]
pub struct Before {
    /// Sockets that listen already.
    pub listeners: Given,
    /// The control socket of the server before.
    pub control: Option<OwnedFd>,
    /// What is made for unix sockets.
    pub files: SocketFiles,
}

impl Kernel {
    /// Opens everything that `config` asks for, with what is there `before`.
    ///
    /// # Errors
    /// A listener that cannot be had, too few descriptors, no epoll.
    pub fn open(config: &Config, before: &mut Before) -> Result<Self, StartError> {
        let system = |what: &str, error: &io::Error| {
            let cure = "raise the limit of open files (ulimit -n), or close what else is open";
            StartError::runtime("start", format!("{what}: {error}"), cure)
        };
        let poll = Poll::new().map_err(|error| system("no epoll", &error))?;
        let signals = Signals::install().map_err(|error| system("no signal pipe", &error))?;
        let path = Some(&config.service.control).filter(|path| !path.is_empty());
        let (given, files) = (before.control.take(), &mut before.files);
        let control = path.map(|path| Control::open(Path::new(path), given, files));
        let given = std::mem::take(&mut before.listeners);
        let mut kernel = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            signals,
            listeners: Listeners::open(config, given, &mut before.files)?,
            control: control.transpose()?,
            surveyor: Surveyor::default(),
            passing: Passing::default(),
            scratch: vec![0; SCRATCH_BYTES],
        };
        for (fd, n) in kernel.listeners.fds().zip(0..) {
            kernel
                .watch(fd, Token::Listener(n), Interest::READABLE)
                .map_err(|error| system("epoll", &error))?;
        }
        let own = [
            (Some(kernel.signals.fd()), Token::Signals),
            (kernel.control.as_ref().map(Control::fd), Token::Control),
        ];
        for (fd, token) in own.into_iter().filter_map(|(fd, token)| Some((fd?, token))) {
            kernel
                .watch(fd, token, Interest::READABLE)
                .map_err(|error| system("epoll", &error))?;
        }
        kernel.passing.prepare(config);
        enough_descriptors(config, kernel.listeners.count())?;
        kernel.prepare_survey(config);
        Ok(kernel)
    }

    /// Before the root directory may change: `/proc` is out of reach then.
    fn prepare_survey(&mut self, config: &Config) {
        let addresses: Vec<_> = self.addresses().collect();
        self.surveyor.retune(config, addresses.into_iter());
    }

    /// The listeners that were taken over are ours now.
    pub fn prepare_listeners(&mut self) {
        self.listeners.prepare_taken();
    }

    /// Where it listens on TCP, the ports that the system chose included.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::SocketAddr> {
        self.listeners
            .fds()
            .filter_map(|fd| match socket::bound(fd) {
                Ok(socket::Bound::Tcp(address)) => Some(address),
                Ok(socket::Bound::Unix(_)) | Err(_) => None,
            })
    }

    /// One line that says where the server is.
    #[must_use]
    pub fn announcement(&self, config: &Config) -> String {
        format!(
            "serving {} on {}",
            config.site.root.display(),
            self.listeners.places().join(" ")
        )
    }

    fn watch(&self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        let raw = fd.as_raw_fd();
        self.poll
            .registry()
            .register(&mut SourceFd(&raw), mio::Token(token.pack()), interest)
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
            broken: event.is_error(),
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
        self.listeners.count()
    }

    fn accept(&mut self, listener: u8) -> io::Result<(Socket, Peer)> {
        let (fd, peer) = self.listeners.accept(listener)?;
        let unix = peer == Peer::Unix;
        Ok((Socket { fd, unix }, peer))
    }

    fn waits(&mut self, listener: u8) -> bool {
        self.listeners.waits(listener)
    }

    fn is_of_status(&self, listener: u8) -> bool {
        self.listeners.is_of_status(listener)
    }

    fn survey(&mut self, now: Ms) -> Option<Survey> {
        self.surveyor.step(now, &mut self.scratch)
    }

    fn pauses(error: &io::Error) -> bool {
        socket::accept_pauses(error)
    }

    fn retune(&mut self, config: &Config) {
        self.listeners.set_linger2(config.linger2_s);
        self.passing.prepare(config);
        // The first rule for uploads or scripts needs more.
        if let Err(error) = enough_descriptors(config, self.listeners.count()) {
            log::warn!("{error}");
        }
        self.prepare_survey(config);
    }

    fn watch_helper(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.watch(fd, Token::Helper, Interest::READABLE)
    }

    fn watch_files(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.watch(fd, Token::Files, Interest::READABLE)
    }

    fn watch_script(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let interest = match token {
            Token::Script { input: true, .. } => Interest::WRITABLE,
            Token::Script { input: false, .. }
            | Token::Starter
            | Token::Files
            | Token::Helper
            | Token::Listener(_)
            | Token::Signals
            | Token::Control
            | Token::Slot { .. } => Interest::READABLE,
        };
        self.watch(fd, token, interest)
    }

    fn local(&mut self, socket: &Socket) -> Option<std::net::SocketAddr> {
        match socket::bound(socket.fd.as_fd()) {
            Ok(socket::Bound::Tcp(address)) => Some(address),
            Ok(socket::Bound::Unix(_)) | Err(_) => None,
        }
    }

    fn close_listeners(&mut self) {
        let control = self.control.iter().map(Control::fd);
        for fd in self.listeners.fds().chain(control) {
            // It goes on being watched as long as anybody has it, and a successor may.
            let _ = self
                .poll
                .registry()
                .deregister(&mut SourceFd(&fd.as_raw_fd()));
        }
        self.listeners.clear();
        self.control = None;
    }

    fn is_taken_over(&mut self) -> bool {
        let Some(control) = &mut self.control else {
            return false;
        };
        let listeners: Vec<BorrowedFd<'_>> = self.listeners.fds().collect();
        match control.look(&listeners, self.listeners.are_of_supervisor()) {
            Asked::Nothing => false,
            Asked::Taken => true,
            Asked::Came => {
                let successor = self.control.as_ref().and_then(Control::successor);
                let watched = successor
                    .map(|fd| self.watch(fd, Token::Control, Interest::READABLE))
                    .transpose();
                if let Err(error) = watched {
                    log::warn!("service.control: a successor could not be watched: {error}");
                }
                false
            }
        }
    }

    fn tune(&mut self, socket: &Socket) {
        self.listeners.tune(socket.fd.as_fd());
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

    fn resize(&mut self, socket: &Socket, side: Side, bytes: u32) -> Option<u32> {
        socket.resize(side, bytes)
    }

    fn charged(&mut self, socket: &Socket, side: Side) -> u32 {
        socket.charged(side)
    }

    fn round_trip_us(&mut self, socket: &Socket) -> u32 {
        socket::round_trip_us(socket.fd.as_fd()).unwrap_or(0)
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
            Err(error) if REFUSES.contains(&error.kind()) => {
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

    fn pass(
        &mut self,
        socket: &Socket,
        file: BorrowedFd<'_>,
        offset: u64,
        max: usize,
    ) -> Option<io::Result<Passed>> {
        let (fd, scratch) = (socket.fd.as_fd(), &mut self.scratch);
        self.passing.pass(fd, (file, offset), max, scratch)
    }

    fn shutdown_write(&mut self, socket: &Socket) -> io::Result<()> {
        socket::shutdown_write(socket.fd.as_fd())
    }

    fn queues(&mut self, socket: &Socket, look: Look) -> Queues {
        socket.queues(look)
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
