//! The server before this one: its listeners, and its end.
//!
//! Owns the successor's side of the conversation that `reactor::control` describes. It must not
//! open anything else. Invariants: until [`Predecessor::take_over`] has succeeded the other server
//! serves, and goes on if this one ends; after it, it takes nobody in any more. One of the two
//! always has the listeners, whichever ends.

use crate::config::{StartError, Text};
use crate::reactor::control::{ANOTHER, HELLO, HELLO_OF_SUPERVISOR, NOT_YOU, READY, YOURS};
use crate::sys::{rights, socket};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Another server answers within a turn of its loop; one that does not in so long is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that serves, and is ready to end.
#[derive(Debug)]
pub(super) struct Predecessor(UnixStream);

/// What it offers.
#[derive(Debug)]
pub(super) struct Offer {
    /// Its control socket.
    pub(super) control: OwnedFd,
    /// What it listens on.
    pub(super) listeners: Vec<OwnedFd>,
    /// A supervisor opened the listeners.
    pub(super) of_supervisor: bool,
}

impl Predecessor {
    /// The server that listens at `path`, and what it offers; `None` if none does, or the path is
    /// empty.
    ///
    /// # Errors
    /// One is there, and gives nothing.
    pub(super) fn find(path: &str) -> Result<Option<(Self, Offer)>, StartError> {
        if path.is_empty() {
            return Ok(None);
        }
        let connected = socket::connect_unix(Path::new(path)).and_then(|fd| {
            let stream = UnixStream::from(fd);
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = match connected {
            Ok(stream) => stream,
            // No file, or one that a server has left behind.
            Err(error)
                if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(fault(format!("cannot ask {path}: {}", why(&error)))),
        };
        let mut room = [0; HELLO.len()];
        match rights::receive(stream.as_fd(), &mut room) {
            // It has ended since.
            Ok((0, _)) => Ok(None),
            Err(error) if has_ended(&error) => Ok(None),
            Ok((count, sockets)) => {
                let words = room.get(..count).unwrap_or_default();
                Ok(Some((Self(stream), offer(words, sockets)?)))
            }
            Err(error) => {
                let why = why(&error);
                Err(fault(format!(
                    "the server before gives no listeners: {why}"
                )))
            }
        }
    }

    /// This server is ready: the other one stops, or has ended, and all is ours.
    ///
    /// # Errors
    /// Another successor has come, or the other one does not answer.
    pub(super) fn take_over(mut self) -> Result<(), StartError> {
        let mut words = [0; YOURS.len()];
        let asked = self.0.write_all(READY);
        let heard = match asked {
            // A word may have come before the end.
            Err(error) if !has_ended(&error) => Err(error),
            Ok(()) | Err(_) => self.0.read_exact(&mut words),
        };
        match heard {
            Ok(()) if words == YOURS => Ok(()),
            Ok(()) if words == ANOTHER => Err(fault("another successor has come")),
            Ok(()) => Err(fault("the server before does not speak as we do")),
            Err(error) if has_ended(&error) => {
                log::warn!("service.control: the server before has ended; its listeners are ours");
                Ok(())
            }
            Err(error) => Err(fault(format!("nothing was handed over: {}", why(&error)))),
        }
    }
}

/// What stands behind the first words.
fn offer(words: &[u8], mut sockets: Vec<OwnedFd>) -> Result<Offer, StartError> {
    if words == NOT_YOU {
        let what = "the server before gives its listeners to root and its starter only";
        return Err(fault(what));
    }
    let of_supervisor = words == HELLO_OF_SUPERVISOR;
    if (words != HELLO && !of_supervisor) || sockets.is_empty() {
        return Err(fault("what listens there is no adieu of this version"));
    }
    let listeners = sockets.split_off(1);
    match sockets.pop() {
        Some(control) => Ok(Offer {
            control,
            listeners,
            of_supervisor,
        }),
        None => Err(fault("the server before gives no listeners")),
    }
}

/// The other side is gone.
fn has_ended(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::UnexpectedEof,
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionReset,
    ];
    kinds.contains(&error.kind())
}

fn why(error: &io::Error) -> String {
    match [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) {
        true => "it does not answer".to_owned(),
        false => error.to_string(),
    }
}

fn fault(what: impl Into<Text>) -> StartError {
    let cure = "stop the server before, then start this one";
    StartError::runtime("service.control", what, cure)
}
