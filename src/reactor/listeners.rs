//! The listeners: opened here, handed over by a supervisor, or taken from the server before.
//!
//! Owns which socket stands for which address, and the options of all of them. It must not accept.
//! Invariants: a listener of ours has all its options before it listens; of one that others made,
//! what is queued from before gets them after accept; SO_RCVBUF is set after accept alone, for on a
//! listener it would fix the window scale at 0.

use super::bind::{is_at, open_tcp};
use super::listen_fault::{IN_USE, IN_USE_OTHERWISE, IN_USE_UNANSWERED, cannot_listen};
use super::socket_files::SocketFiles;
use crate::config::status::BUILT;
use crate::config::{Config, Listen, Mode, StartError};
use crate::sys::inherit;
use crate::sys::socket::{self, Bound, Peer};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Sockets that are listeners already.
#[derive(Debug, Default)]
pub enum Given {
    /// There are none: all are opened here.
    #[default]
    Nothing,
    /// A supervisor opened these (`LISTEN_FDS`): they are listened on, and nothing else.
    Exactly(Vec<OwnedFd>),
    /// The server before listens on these: those that the configuration has are taken.
    Offered(Vec<OwnedFd>),
}

/// The first descriptor that a supervisor hands over (sd_listen_fds(3)).
pub const LISTEN_FDS_START: i32 = 3;

/// A user and a group, as numbers.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// What all listeners get.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) backlog: u16,
    pub(super) receive_bytes: u32,
    pub(super) send_bytes: u32,
    pub(super) linger2_s: u8,
    pub(super) defer_accept_s: u16,
}

/// A listener.
#[derive(Debug)]
struct Listener {
    fd: OwnedFd,
    unix: bool,
    /// Its queue may hold connections from before its options were set.
    stale: bool,
    /// It is `status.socket`.
    of_status: bool,
    /// It is the server's before, too, until that lets go: nothing of it is changed.
    shared: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Listeners {
    list: Vec<Listener>,
    options: Options,
    /// A supervisor opened them.
    of_supervisor: bool,
}

impl Listeners {
    /// Opens what `config` asks for, with what is given.
    pub(super) fn open(
        config: &Config,
        given: Given,
        files: &mut SocketFiles,
    ) -> Result<Self, StartError> {
        let mut listeners = Self {
            list: Vec::with_capacity(config.listen.len()),
            options: Options {
                backlog: config.backlog,
                receive_bytes: config.receive_bytes,
                send_bytes: config.send_bytes,
                linger2_s: config.linger2_s,
                defer_accept_s: config.defer_accept_s,
            },
            of_supervisor: matches!(given, Given::Exactly(_)),
        };
        let (mut offered, in_use) = match given {
            Given::Exactly(sockets) => {
                let shows = config.socket_slots() > 0;
                let status = shows.then(|| Path::new(&config.status.socket));
                for (socket, number) in sockets.into_iter().zip(LISTEN_FDS_START..) {
                    listeners.inherit(socket, number, status)?;
                }
                if !listeners.list.iter().any(|one| one.of_status) {
                    listeners.add_status(config, None, files, IN_USE_OTHERWISE)?;
                }
                return Ok(listeners);
            }
            Given::Offered(sockets) => (sockets, IN_USE_OTHERWISE),
            Given::Nothing if config.service.control.is_empty() => (vec![], IN_USE),
            Given::Nothing => (vec![], IN_USE_UNANSWERED),
        };
        let mut taken: Vec<Option<OwnedFd>> = config.listen.iter().map(|_| None).collect();
        // Port 0 is any: what is left by the others.
        for any in [false, true] {
            for (listen, place) in config.listen.iter().zip(&mut taken) {
                if place.is_none() && listen.is_any_port() == any {
                    let found = offered.iter().position(|fd| is_at(fd.as_fd(), listen));
                    *place = found.map(|index| offered.swap_remove(index));
                }
            }
        }
        for (listen, fd) in config.listen.iter().zip(taken) {
            let listener = match fd {
                Some(fd) => take(fd, listen, config.unix_mode),
                None => listeners.open_one(listen, config.unix_mode, config, files, in_use)?,
            };
            listeners.list.push(listener);
        }
        listeners.add_status(config, Some(&mut offered), files, in_use)?;
        Ok(listeners)
    }

    /// Opens a listener, with all its options.
    fn open_one(
        &self,
        listen: &Listen,
        mode: Mode,
        config: &Config,
        files: &mut SocketFiles,
        in_use: &'static str,
    ) -> Result<Listener, StartError> {
        let listener = open(listen, mode, config, files, in_use)?;
        let prepared = self.prepare(&listener);
        prepared.map_err(|error| cannot_listen(listen, &error, in_use))?;
        Ok(listener)
    }

    /// Opens `status.socket`, or goes on with that of the server before.
    fn add_status(
        &mut self,
        config: &Config,
        offered: Option<&mut Vec<OwnedFd>>,
        files: &mut SocketFiles,
        in_use: &'static str,
    ) -> Result<(), StartError> {
        if config.socket_slots() == 0 {
            return Ok(());
        }
        let listen = Listen::Unix(PathBuf::from(&config.status.socket));
        let taken = offered.and_then(|offered| {
            let found = offered.iter().position(|fd| is_at(fd.as_fd(), &listen));
            found.map(|index| offered.swap_remove(index))
        });
        let mode = config.status.socket_mode;
        let listener = match taken {
            Some(fd) => take(fd, &listen, mode),
            None => {
                let opened = self.open_one(&listen, mode, config, files, in_use);
                opened.map_err(|error| StartError {
                    place: "status.socket".to_owned(),
                    ..error
                })?
            }
        };
        self.list.push(Listener {
            of_status: true,
            ..listener
        });
        Ok(())
    }

    /// This is `status.socket`.
    pub(super) fn is_of_status(&self, number: u8) -> bool {
        let listener = self.list.get(usize::from(number));
        BUILT && listener.is_some_and(|one| one.of_status)
    }

    /// What was taken from the server before is ours alone now.
    pub(super) fn prepare_taken(&mut self) {
        for listener in self.list.iter().filter(|listener| listener.shared) {
            if let Err(error) = self.prepare(listener) {
                log::warn!("a listener keeps options of the server before: {error}");
            }
        }
        for listener in &mut self.list {
            listener.shared = false;
        }
    }

    pub(super) fn are_of_supervisor(&self) -> bool {
        self.of_supervisor
    }

    /// Takes a socket of `LISTEN_FDS`, which came under this number.
    fn inherit(
        &mut self,
        fd: OwnedFd,
        number: i32,
        status: Option<&Path>,
    ) -> Result<(), StartError> {
        let fault = |what: String| {
            let cure = "let the socket unit have ListenStream= and Accept=no, and no other";
            StartError::configuration("LISTEN_FDS", format!("descriptor {number} {what}"), cure)
        };
        let bound = match inherit::listens(fd.as_fd()) {
            Ok(true) => socket::bound(fd.as_fd()).map_err(|error| fault(error.to_string()))?,
            Ok(false) => return Err(fault("is no listening stream socket".to_owned())),
            Err(error) => return Err(fault(error.to_string())),
        };
        let listener = Listener {
            fd,
            unix: matches!(bound, Bound::Unix(_)),
            of_status: matches!(&bound, Bound::Unix(path) if Some(path.as_path()) == status),
            stale: true,
            shared: false,
        };
        self.prepare(&listener)
            .map_err(|error| fault(error.to_string()))?;
        self.list.push(listener);
        Ok(())
    }

    /// Sets the options that connections inherit, and listens.
    fn prepare(&self, listener: &Listener) -> io::Result<()> {
        let fd = listener.fd.as_fd();
        inherit::set_nonblocking(fd)?;
        if !listener.unix {
            self.equip(fd)?;
            socket::set_segment_max(fd, segment_max(self.options.receive_bytes))?;
            socket::set_defer_accept(fd, self.options.defer_accept_s)?;
        }
        socket::listen(fd, self.options.backlog)
    }

    /// What a TCP connection inherits from its listener.
    fn equip(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        socket::set_nodelay(fd)?;
        socket::set_linger2(fd, self.options.linger2_s)?;
        socket::set_send_buffer(fd, self.options.send_bytes)
    }

    /// The next connection in this listener's queue, with its options; and whether its socket is a
    /// unix one.
    pub(super) fn accept(&mut self, number: u8) -> io::Result<(OwnedFd, Peer)> {
        let Some(listener) = self.list.get_mut(usize::from(number)) else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let accepted = socket::accept(listener.fd.as_fd());
        if let Err(error) = &accepted
            && error.kind() == ErrorKind::WouldBlock
        {
            // Who comes from now on comes with the options of the listener.
            listener.stale = false;
        }
        let stale = listener.stale;
        let (fd, peer) = accepted?;
        // Failures are harmless: the socket keeps its defaults.
        if peer == Peer::Unix {
            let _ = socket::set_send_buffer(fd.as_fd(), self.options.send_bytes);
        } else if stale {
            let _ = self.equip(fd.as_fd());
        }
        Ok((fd, peer))
    }

    /// The connection stays for longer than one answer: its receive buffer gets its size.
    pub(super) fn tune(&self, fd: BorrowedFd<'_>) {
        // A failure is harmless: it keeps the default.
        let _ = socket::set_receive_buffer(fd, self.options.receive_bytes);
    }

    /// Whether a connection waits in this listener's queue. In doubt it does: the accept that
    /// follows knows.
    pub(super) fn waits(&self, number: u8) -> bool {
        let listener = self.list.get(usize::from(number));
        listener.is_some_and(|one| socket::waits(one.fd.as_fd()).unwrap_or(true))
    }

    /// From now on connections get this TCP_LINGER2.
    pub(super) fn set_linger2(&mut self, seconds: u8) {
        self.options.linger2_s = seconds;
        for listener in self.list.iter().filter(|listener| !listener.unix) {
            // It takes what was checked.
            let _ = socket::set_linger2(listener.fd.as_fd(), seconds);
        }
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.list.iter().map(|listener| listener.fd.as_fd())
    }

    pub(super) fn count(&self) -> u8 {
        u8::try_from(self.list.len()).unwrap_or(u8::MAX)
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// Where they are, for the operator: TCP first, the ports that the system chose included.
    pub(super) fn places(&self) -> Vec<String> {
        let mut places = Vec::new();
        let mut others = Vec::new();
        for listener in self.list.iter().filter(|listener| !listener.of_status) {
            match socket::bound(listener.fd.as_fd()) {
                Ok(Bound::Tcp(address)) => places.push(format!("http://{address}/")),
                Ok(Bound::Unix(path)) => others.push(format!("unix:{}", path.display())),
                Err(error) => others.push(format!("an unknown place ({error})")),
            }
        }
        places.append(&mut others);
        places
    }
}

/// The listener of the server before, as it is.
fn take(fd: OwnedFd, listen: &Listen, wanted: Mode) -> Listener {
    let unix = match listen {
        Listen::Unix(path) => {
            // Changing them takes rights that are gone once this server serves.
            let mode = path.metadata().map(|found| found.mode() & 0o777);
            if mode.is_ok_and(|mode| mode != wanted.bits()) {
                log::warn!("{listen} keeps its permissions; {wanted} takes a stop and a start");
            }
            true
        }
        Listen::Tcp(_) => false,
    };
    Listener {
        fd,
        unix,
        of_status: false,
        stale: true,
        shared: true,
    }
}

/// Opens a listener that does not listen yet.
fn open(
    listen: &Listen,
    mode: Mode,
    config: &Config,
    files: &mut SocketFiles,
    in_use: &'static str,
) -> Result<Listener, StartError> {
    let failed = |error: io::Error| cannot_listen(listen, &error, in_use);
    let (fd, unix) = match listen {
        Listen::Tcp(tcp) => (open_tcp(tcp, config.freebind).map_err(failed)?, false),
        Listen::Unix(path) => {
            let fd = files.bind(path, mode.bits()).map_err(failed)?;
            files.give(path)?;
            (fd, true)
        }
    };
    Ok(Listener {
        fd,
        unix,
        of_status: false,
        stale: false,
        shared: false,
    })
}

/// Several segments fit the receive buffer, which the kernel doubles. Where one fills it (the
/// loopback's are 64 KiB), the window shuts at each and opens by a probe 200 ms later: 160 kB/s.
/// Segments of Ethernet are smaller than this.
fn segment_max(receive_bytes: u32) -> u32 {
    (receive_bytes / 2).clamp(1460, 32_767)
}
