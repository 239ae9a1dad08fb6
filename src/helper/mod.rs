//! The helper: one process beside the server that computes password hashes, so that the loop never
//! does.
//!
//! Owns the helper's start, its end, and the loop's end of the pair between them. What is said is
//! `message`'s matter, what the helper does with it `child`'s. It must not wait, nor decide what
//! a verdict means.
//!
//! Invariants: once it has started nothing here blocks or allocates; the helper ends when its
//! server does, whatever the server died of, and never by a signal meant for the server; it holds
//! no descriptor of the server but its end of the pair and the standard streams; without a verdict
//! nobody is let in.

mod child;
pub mod credentials;
mod digest;
mod failures;
pub mod hash;
mod htpasswd;
mod message;
mod post;
mod spare;
mod table;
mod unreadable;
mod waiters;

pub use message::{FILE_MAX, PASSWORD_MAX, Question, USER_MAX, Verdict};

use crate::sys::process::{self, Fork, Pid};
use crate::sys::{pair, socket};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// This build has what the helper needs.
pub const BUILT: bool = hash::BUILT;

/// The helper, as the loop sees it. Dropping it ends the process, when that has answered what it is
/// at; see [`Helper::reap`] for what is left of it.
#[derive(Debug)]
pub struct Helper {
    end: OwnedFd,
    parent: Parent,
}

/// Whose child it is, and by what we end it.
#[derive(Debug)]
enum Parent {
    /// Ours. `reaped`: nothing is left of it, and its number may be another's.
    Us { pid: Pid, reaped: bool },
    /// Another process of ours, which ends it when the leash is let go.
    Other { leash: Option<OwnedFd> },
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Asked {
    /// A verdict will follow, unless the helper goes before that.
    Sent,
    /// Nothing was sent: a part is longer than any that is right. The answer is no.
    TooLong,
    /// Nothing was sent: too many questions wait. The same one may be asked again later.
    Full,
    /// Nothing was sent: there is no helper any more.
    Gone,
}

/// What the helper says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// Nothing yet.
    Nothing,
    /// The verdict on the question of this number.
    Verdict(u32, Verdict),
    /// There is no helper any more: no verdict will follow.
    Gone,
}

/// Starts the helper. **Only while the process has one thread**, and before it gives up the right
/// to read the files that will be asked about.
///
/// # Errors
///
/// Unsupported in a build without the feature `auth`; EBUSY while there are more threads; EAGAIN,
/// EMFILE, ENOMEM.
pub fn start() -> io::Result<Helper> {
    if !BUILT {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (end, its_end) = pair::pair()?;
    match process::fork()? {
        Fork::Parent(pid) => Ok(Helper {
            end,
            parent: Parent::Us { pid, reaped: false },
        }),
        Fork::Child => child::live(&its_end),
    }
}

/// What a process needs that is to start the helper for us.
#[derive(Debug)]
pub struct Order {
    /// For [`live`], in a new process. Who starts it keeps none of it: its end is the helper's.
    pub end: OwnedFd,
    /// At its end the helper is to be killed.
    pub leash: OwnedFd,
}

/// A helper that another process is to start. If that does not, [`Heard::Gone`] follows.
///
/// # Errors
///
/// Unsupported in a build without the feature `auth`; EMFILE, ENOMEM.
pub fn order() -> io::Result<(Helper, Order)> {
    if !BUILT {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (end, its_end) = pair::pair()?;
    let (ours, leash) = pair::pair()?;
    let parent = Parent::Other { leash: Some(ours) };
    let order = Order {
        end: its_end,
        leash,
    };
    Ok((Helper { end, parent }, order))
}

/// Lives as the helper, at this end. **In a new process, of one thread.**
pub fn live(end: &OwnedFd) -> ! {
    child::live(end)
}

impl Helper {
    /// Readable when the helper has said something or is gone: then [`Helper::hear`], until it
    /// hears nothing.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// The number of its process, if it is a child of ours.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.parent {
            Parent::Us { pid, .. } => Some(pid),
            Parent::Other { .. } => None,
        }
    }

    /// Asks; the verdict will carry this number. Questions are answered in their order.
    pub fn ask(&mut self, id: u32, question: &Question<'_>) -> Asked {
        let mut frame = message::Frame::new();
        let Some(words) = frame.write(id, question) else {
            return Asked::TooLong;
        };
        match socket::send(self.end.as_fd(), words, false) {
            Ok(_) => Asked::Sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Asked::Full,
            Err(_) => Asked::Gone,
        }
    }

    /// What it says next.
    pub fn hear(&mut self) -> Heard {
        // One byte more, so that what is too long is seen.
        let mut room = [0; message::ANSWER_BYTES + 1];
        match socket::receive(self.end.as_fd(), &mut room) {
            Ok(count) => match room.get(..count).and_then(message::read_answer) {
                Some((id, verdict)) => Heard::Verdict(id, verdict),
                // The end; or it says what no helper of ours says.
                None => Heard::Gone,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(_) => Heard::Gone,
        }
    }

    /// Tells it to end, once it has answered what waits; [`Heard::Gone`] follows.
    pub fn dismiss(&mut self) {
        // Refused only when it is gone already.
        let _ = socket::shutdown_write(self.end.as_fd());
    }

    /// Ends it at once, whatever it is at. It may take a moment; ask [`Helper::reap`].
    pub fn kill(&mut self) {
        match &mut self.parent {
            Parent::Us { pid, reaped: false } => {
                // Refused only when nothing is left of it.
                let _ = process::kill(*pid);
            }
            Parent::Us { reaped: true, .. } => {}
            Parent::Other { leash } => *leash = None,
        }
    }

    /// Takes what the system keeps of a process that has ended, and answers whether nothing is
    /// left. Does not wait: it may take a moment from [`Heard::Gone`] to the end, so ask again
    /// later.
    pub fn reap(&mut self) -> bool {
        match &mut self.parent {
            Parent::Us { reaped: true, .. } => true,
            Parent::Us { pid, reaped } => {
                // An error: somebody else has taken it, or the system keeps nothing (SIGCHLD
                // ignored).
                *reaped = process::ended(*pid).unwrap_or(true);
                *reaped
            }
            // What is kept of it is its parent's; its end of the pair goes with it.
            Parent::Other { .. } => loop {
                match self.hear() {
                    Heard::Verdict(..) => {}
                    Heard::Nothing => return false,
                    Heard::Gone => return true,
                }
            },
        }
    }
}

#[cfg(test)]
impl Helper {
    /// One that is no process: this end of the pair, and the other one for the test to speak from.
    pub(crate) fn stand_in() -> (Self, OwnedFd) {
        let (end, its_end) = pair::pair().unwrap();
        let parent = Parent::Us {
            pid: Pid::of_nobody(),
            // So that nobody is killed.
            reaped: true,
        };
        let helper = Self { end, parent };
        (helper, its_end)
    }
}

/// What the helper would say.
#[cfg(test)]
pub(crate) fn verdict_on(words: &[u8], verdict: Verdict) -> [u8; message::ANSWER_BYTES] {
    match message::read(words) {
        Some(message::Read::Password(id, _) | message::Read::Unknown(id)) => {
            message::answer(id, verdict)
        }
        None => panic!("it is no question"),
    }
}

impl Drop for Helper {
    /// One that has ended leaves nothing. One that has not ends by itself, a moment after the pair
    /// is closed, and its number stays taken until the server ends: who drops a helper and goes on
    /// serving calls [`Helper::dismiss`] first, and [`Helper::reap`] until nothing is left.
    fn drop(&mut self) {
        if let Parent::Us { .. } = self.parent {
            self.reap();
        }
    }
}
