//! The socket at which a successor asks for the listeners.
//!
//! Owns that socket and the one successor that has asked last. It must not stop the server: it says
//! when a successor has everything. Invariants: nobody but root and who started this server gets a
//! listener; until the successor is told that they are its own, this server goes on, and whatever
//! becomes of the successor before that changes nothing here.
//!
//! The conversation, over a unix stream: the successor connects and gets [`HELLO`] with the control
//! socket and all listeners (SCM_RIGHTS), or [`NOT_YOU`]; when it is ready to serve it sends
//! [`READY`] and gets [`YOURS`], or before that [`ANOTHER`], if one came after it. If the stream
//! ends without a word, the other side has ended: what is open is left to the one that remains.

use super::socket_files::SocketFiles;
use crate::config::StartError;
use crate::sys::file::Identity;
use crate::sys::{privilege, rights, socket};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The first words, with the version of the conversation: the listeners are the server's own.
pub const HELLO: &[u8] = b"adieu-handover-1 own\n";
/// The same: a supervisor opened the listeners, and nobody else listens on them.
pub const HELLO_OF_SUPERVISOR: &[u8] = b"adieu-handover-1 all\n";
/// The listeners are for root and who started the server.
pub const NOT_YOU: &[u8] = b"adieu-handover-1 not\n";
/// The successor is ready to serve.
pub const READY: &[u8] = b"ready\n";
/// The listeners are the successor's.
pub const YOURS: &[u8] = b"yours\n";
/// Another successor has come.
pub const ANOTHER: &[u8] = b"other\n";

/// Who may open it: the user that starts the server.
const MODE: u32 = 0o600;
/// Successors that wait to be accepted.
const BACKLOG: u16 = 4;

/// The socket, and who has come.
#[derive(Debug)]
pub(super) struct Control {
    listener: OwnedFd,
    /// Who started this server, before it became another user.
    starter: u32,
    successor: Option<OwnedFd>,
    /// Given up for a successor when no other descriptor is left.
    spare: Option<OwnedFd>,
}

/// What came of a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing that matters.
    Nothing,
    /// Somebody came whose words must be waited for.
    Came,
    /// The successor has been told that all is its own.
    Taken,
}

impl Control {
    /// Opens it at `path`, or goes on with the one of the server before.
    pub(super) fn open(
        path: &Path,
        given: Option<OwnedFd>,
        files: &mut SocketFiles,
    ) -> Result<Self, StartError> {
        let same = |fd: &OwnedFd| match socket::bound(fd.as_fd()) {
            Ok(socket::Bound::Unix(bound)) => bound == path || is_one_file(&bound, path),
            Ok(socket::Bound::Tcp(_)) | Err(_) => false,
        };
        let opened = match given.filter(same) {
            Some(fd) => Ok(fd),
            None => files.bind(path, MODE).and_then(|fd| {
                socket::listen(fd.as_fd(), BACKLOG)?;
                Ok(fd)
            }),
        };
        let listener = opened.map_err(|error| {
            let what = format!("cannot listen at {}: {error}", path.display());
            let cure = match error.kind() == ErrorKind::AddrInUse {
                true => {
                    "another server has it, or it is no socket: stop that server, or name another \
                     path"
                }
                false => {
                    "name a path in a directory that is there and may be written, such as \
                          /run/adieu/control"
                }
            };
            StartError::runtime("service.control", what, cure)
        })?;
        Ok(Self {
            spare: listener.try_clone().ok(),
            listener,
            starter: privilege::real_user(),
            successor: None,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The successor, to be watched.
    pub(super) fn successor(&self) -> Option<BorrowedFd<'_>> {
        self.successor.as_ref().map(AsFd::as_fd)
    }

    /// Hears whoever has come and what the successor says. Never waits.
    pub(super) fn look(&mut self, listeners: &[BorrowedFd<'_>], of_supervisor: bool) -> Asked {
        let mut came = false;
        while let Some(fd) = self.accept() {
            let hello = match of_supervisor {
                true => HELLO_OF_SUPERVISOR,
                false => HELLO,
            };
            match introduce(&fd, self.starter, hello, self.listener.as_fd(), listeners) {
                Ok(()) => {
                    came = true;
                    self.prefer(fd);
                }
                Err(error) => log::warn!("service.control: nobody takes over: {error}"),
            }
        }
        if self.spare.is_none() {
            self.spare = self.listener.try_clone().ok();
        }
        match came {
            true => Asked::Came,
            false => self.hear(),
        }
    }

    /// The last who has come is the successor. Who came before is told, since the end of the stream
    /// alone would mean to it that this server has ended.
    fn prefer(&mut self, fd: OwnedFd) {
        if let Some(before) = self.successor.replace(fd) {
            // It may be gone, and then it need not know.
            let _ = socket::send(before.as_fd(), ANOTHER, false);
        }
    }

    /// Who comes next. Where no descriptor is left, one is kept for this.
    fn accept(&mut self) -> Option<OwnedFd> {
        match socket::accept(self.listener.as_fd()) {
            Ok((fd, _)) => Some(fd),
            Err(error) if socket::accept_pauses(&error) && self.spare.take().is_some() => {
                let again = socket::accept(self.listener.as_fd());
                again.ok().map(|(fd, _)| fd)
            }
            Err(_) => None,
        }
    }

    /// What the successor says.
    fn hear(&mut self) -> Asked {
        let Some(successor) = &self.successor else {
            return Asked::Nothing;
        };
        let fd = successor.as_fd();
        let mut room = [0; READY.len()];
        let heard = match socket::receive(fd, &mut room) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Asked::Nothing,
            // So few bytes come whole.
            Ok(count) => room.get(..count) == Some(READY),
            Err(_) => false,
        };
        let told = heard && socket::send(fd, YOURS, false).is_ok_and(|sent| sent == YOURS.len());
        if told {
            return Asked::Taken;
        }
        log::warn!("service.control: who was to take over is gone; this server goes on");
        self.successor = None;
        Asked::Nothing
    }
}

/// Gives the control socket and the listeners to who may have them.
fn introduce(
    fd: &OwnedFd,
    starter: u32,
    hello: &[u8],
    control: BorrowedFd<'_>,
    listeners: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let user = rights::peer_user(fd.as_fd())?;
    if user != 0 && user != starter {
        let _ = socket::send(fd.as_fd(), NOT_YOU, false);
        return Err(ErrorKind::PermissionDenied.into());
    }
    let mut fds = vec![control];
    for listener in listeners {
        fds.push(*listener);
    }
    match rights::send(fd.as_fd(), hello, &fds)? {
        sent if sent == hello.len() => Ok(()),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

/// Both paths lead to one file: `/var/run` is often a link to `/run`.
fn is_one_file(one: &Path, other: &Path) -> bool {
    match (Identity::at(one), Identity::at(other)) {
        (Ok(one), Ok(other)) => one == other,
        (_, _) => false,
    }
}
