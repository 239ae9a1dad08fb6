//! The starter: a process beside the server that starts scripts, so that the loop never forks, and
//! what waits for a disk.
//!
//! Owns the starter's start, its end, the loop's end of the pair between them, and the form of what
//! a script says (CGI/1.1, RFC 3875). It must not know a request, wait, or decide what becomes of
//! one. What the starter does is `child`'s matter.
//!
//! Invariants: once it has started nothing here blocks or allocates; the starter and all its
//! scripts end when the server does, whatever that died of; a script gets three descriptors and the
//! environment it was given, and nothing else of the server.

mod child;
pub mod frame;
mod message;
pub mod output;
mod running;

pub use frame::{Frame, Unfit};
pub use message::LINE_MAX;
pub use running::Confinement;

use crate::sys::process::{self, Fork, Pid};
use crate::sys::{pair, rights, socket};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// This build runs scripts.
pub const BUILT: bool = cfg!(feature = "cgi");
/// This build has something to start: scripts, or waiting for the disk of an upload.
pub const STARTER_BUILT: bool = cfg!(any(feature = "cgi", feature = "upload"));

/// Room for what [`Starter::hear`] hears: one byte more than the longest, so that what is too long
/// is seen.
pub type Room = [u8; message::REPORT_BYTES + 1];

/// An empty room.
pub const ROOM: Room = [0; message::REPORT_BYTES + 1];

/// The starter, as the loop sees it. Dropping it ends the process and all its scripts; see
/// [`Starter::reap`] for what is left of it.
#[derive(Debug)]
pub struct Starter {
    end: OwnedFd,
    /// Its number, if it is a child of ours.
    pid: Option<Pid>,
    /// Nothing is left of it, and its number may be another's.
    reaped: bool,
}

/// What one script may use. 0: no bound, but for `kill_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Processes of the user (RLIMIT_NPROC), all of them counted; root is not bound by it.
    pub processes: u32,
    /// Address space of each process (RLIMIT_AS), bytes.
    pub memory_bytes: u64,
    /// Processor time of each process (RLIMIT_CPU), s.
    pub cpu_s: u32,
    /// From TERM to KILL, ms.
    pub kill_ms: u32,
}

/// What a script gets as its descriptors; the starter gets duplicates, and these may be closed.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors<'d> {
    /// The directory it is started in.
    pub directory: BorrowedFd<'d>,
    /// Standard input: the end of a pipe to read, a file; none is /dev/null.
    pub input: Option<BorrowedFd<'d>>,
    /// Standard output: the end of a pipe to write.
    pub output: BorrowedFd<'d>,
}

/// What became of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Launched {
    /// [`Heard::Ended`] or [`Heard::Failed`] will follow, unless the starter goes before that.
    Sent,
    /// Nothing was sent, and never will be: no name was begun, or the system takes no message of
    /// this length.
    TooLong,
    /// Nothing was sent: too much waits. The same may be launched again later.
    Full,
    /// Nothing was sent: there is no starter any more.
    Gone,
}

/// How a script has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With this code.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

/// What the starter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard<'r> {
    /// Nothing yet.
    Nothing,
    /// The script of this ticket has ended; what it started may live on and hold its output.
    Ended(u32, How),
    /// The script of this ticket could not be started, for this errno.
    Failed(u32, i32),
    /// A line that the script of this ticket wrote to its standard error, as it came: a log must
    /// escape it.
    Said(u32, &'r [u8]),
    /// There is no starter any more: its scripts are killed, and no report will follow.
    Gone,
}

/// Starts the starter. **Only while the process has one thread**, and after it has become the user
/// that scripts shall run as, in the root directory that they shall have.
///
/// # Errors
///
/// Unsupported in a build without the features `cgi` and `upload`; EBUSY while there are more
/// threads; EAGAIN, EMFILE, ENOMEM.
pub fn start(confinement: &Confinement) -> io::Result<Starter> {
    let (mut starter, its_end) = order()?;
    match process::fork()? {
        Fork::Parent(pid) => {
            starter.pid = Some(pid);
            Ok(starter)
        }
        Fork::Child => child::live(&its_end, confinement),
    }
}

/// A starter that another process of ours is to start, with [`live`] at this end, of which it keeps
/// nothing. If it does not, [`Heard::Gone`] follows.
///
/// # Errors
///
/// Unsupported in a build without the features `cgi` and `upload`; EMFILE, ENOMEM.
pub fn order() -> io::Result<(Starter, OwnedFd)> {
    if !STARTER_BUILT {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (end, its_end) = pair::pair()?;
    let starter = Starter {
        end,
        pid: None,
        reaped: false,
    };
    Ok((starter, its_end))
}

/// Lives as the starter, at this end; its scripts are confined so. **In a new process, of one
/// thread.**
pub fn live(end: &OwnedFd, confinement: &Confinement) -> ! {
    child::live(end, confinement)
}

impl Starter {
    /// Readable when the starter has said something or is gone: then [`Starter::hear`], until it
    /// hears nothing.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// The number of its process, if it is a child of ours.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Starts the script of the frame; reports will carry this ticket. The frame may be used again
    /// at once.
    pub fn launch(
        &mut self,
        ticket: u32,
        frame: &mut Frame,
        descriptors: Descriptors<'_>,
        bounds: &Bounds,
    ) -> Launched {
        let Descriptors {
            directory,
            input,
            output,
        } = descriptors;
        let Some(words) = frame.launch(ticket, input.is_some(), bounds) else {
            return Launched::TooLong;
        };
        let sent = match input {
            None => rights::offer(self.end.as_fd(), words, &[directory, output]),
            Some(input) => rights::offer(self.end.as_fd(), words, &[directory, output, input]),
        };
        match sent {
            Ok(_) => Launched::Sent,
            Err(error) if rights::is_too_long(&error) => Launched::TooLong,
            Err(error) if rights::is_for_now(&error) => Launched::Full,
            Err(_) => Launched::Gone,
        }
    }

    /// The script of this ticket is to end: TERM to its group now, KILL after `kill_ms`.
    /// [`Heard::Ended`] follows. Nothing happens if it has ended. False: too much waits, so say it
    /// again later.
    #[must_use]
    pub fn end(&mut self, ticket: u32) -> bool {
        match socket::send(self.end.as_fd(), &message::end(ticket), false) {
            Err(error) => !rights::is_for_now(&error),
            Ok(_) => true,
        }
    }

    /// Brings this file, or directory, to its disk (fsync(2)). [`Heard::Ended`] follows, with 0 or
    /// the errno as its code.
    pub fn sync(&mut self, ticket: u32, file: BorrowedFd<'_>) -> Launched {
        match rights::offer(self.end.as_fd(), &message::sync(ticket), &[file]) {
            Ok(_) => Launched::Sent,
            Err(error) if rights::is_for_now(&error) => Launched::Full,
            Err(_) => Launched::Gone,
        }
    }

    /// What it says next, in `room`.
    pub fn hear<'r>(&mut self, room: &'r mut Room) -> Heard<'r> {
        match socket::receive(self.end.as_fd(), room) {
            // `None`: the end; or it says what no starter of ours says.
            Ok(count) => room
                .get(..count)
                .and_then(message::read_report)
                .unwrap_or(Heard::Gone),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(_) => Heard::Gone,
        }
    }

    /// Tells it to end all scripts and then itself; their reports and [`Heard::Gone`] follow.
    pub fn dismiss(&mut self) {
        // Refused only when it is gone already.
        let _ = socket::shutdown_write(self.end.as_fd());
    }

    /// Takes what the system keeps of a process that has ended, and answers whether nothing is
    /// left. Does not wait: it may take a moment from [`Heard::Gone`] to the end, so ask again
    /// later.
    pub fn reap(&mut self) -> bool {
        if !self.reaped {
            self.reaped = match self.pid {
                // An error: somebody else has taken it, or the system keeps nothing (SIGCHLD
                // ignored).
                Some(pid) => process::ended(pid).unwrap_or(true),
                // What is kept of it is its parent's; its end of the pair goes with it.
                None => self.has_ended(),
            };
        }
        self.reaped
    }

    /// Its end of the pair is gone.
    fn has_ended(&mut self) -> bool {
        let mut room = ROOM;
        loop {
            match self.hear(&mut room) {
                Heard::Nothing => return false,
                Heard::Gone => return true,
                Heard::Ended(..) | Heard::Failed(..) | Heard::Said(..) => {}
            }
        }
    }
}

impl Drop for Starter {
    /// As for the helper: one that has not ended yet ends by itself, and its number stays taken
    /// until the server ends. Who goes on serving calls [`Starter::dismiss`] first, and
    /// [`Starter::reap`] until nothing is left.
    fn drop(&mut self) {
        if self.pid.is_some() {
            self.reap();
        }
    }
}
