//! The maker: a process outside of the sandbox that starts the helper and the starter, for the
//! server could not any more.
//!
//! Owns who starts processes beside the server, what is said to the maker, and its life. It must
//! not know what they are asked. What is forked inside the sandbox stays inside: it could read no
//! file of users and start no script. So a small process is forked before, and each time another
//! one is needed the server sends it an end of the pair.
//!
//! Invariants: nothing here waits on the loop; the maker ends when the server does, whatever that
//! died of; it keeps no end of a pair, so who stands at the other one hears of every end; it kills
//! only children of its own that nobody has waited for; it does what two bytes can say, and
//! nothing else.

use crate::helper::{self, Helper};
use crate::script::{self, Confinement, Starter};
use crate::sys::capability::{self, Capabilities};
use crate::sys::confine;
use crate::sys::process::{self, Fork, Pid};
use crate::sys::signal::{self, Children};
use crate::sys::{pair, poll, rights};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What ps(1) calls it.
const NAME: &std::ffi::CStr = c"adieu-maker";
/// The code of an end that was asked for.
const DONE: u8 = 0;
/// The code of every other one.
const BROKEN: u8 = 1;
/// The order to start a helper: its end and its leash come along.
const HELPER: &[u8] = b"h";
/// The order to start a starter: its end comes along.
const STARTER: &[u8] = b"s";
/// The order to let go of what comes along, by which the server sees that all before it was done.
const LET_GO: &[u8] = b"l";
/// At the start the maker is waited for so long at most, ms: it has nothing to do but to fork.
const SETTLE_MS: u64 = 10_000;

/// Who starts processes beside the server.
#[derive(Debug)]
pub enum Maker {
    /// The server itself: it is in no sandbox.
    Ourselves(Confinement),
    /// The process that was forked before; here are its orders.
    Process(OwnedFd),
    /// Nobody: nothing of the kind was needed when the server went into its sandbox.
    Nobody,
}

impl Maker {
    /// Starts the process. **Only while this one has one thread.** There, `first` becomes what the
    /// server is about to become; false ends it.
    ///
    /// # Errors
    ///
    /// EBUSY while there are more threads; EAGAIN, EMFILE, ENOMEM.
    pub fn fork(confinement: &Confinement, first: impl FnOnce() -> bool) -> io::Result<Self> {
        let (end, its_end) = pair::pair()?;
        match process::fork()? {
            Fork::Parent(_) => Ok(Self::Process(end)),
            Fork::Child => live(&its_end, confinement, first),
        }
    }

    /// A helper: started, or on its way.
    ///
    /// # Errors
    ///
    /// As [`helper::start`]; NotConnected if nobody can start one; EPIPE or ECONNRESET if the maker
    /// is gone.
    pub fn helper(&self) -> io::Result<Helper> {
        match self {
            Self::Ourselves(_) => helper::start(),
            Self::Process(orders) if confine::BUILT => {
                let (helper, order) = helper::order()?;
                let both = [order.end.as_fd(), order.leash.as_fd()];
                rights::offer(orders.as_fd(), HELPER, &both)?;
                Ok(helper)
            }
            Self::Process(_) | Self::Nobody => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// A starter: started, or on its way.
    ///
    /// # Errors
    ///
    /// As [`Maker::helper`].
    pub fn starter(&self) -> io::Result<Starter> {
        match self {
            Self::Ourselves(confinement) => script::start(confinement),
            Self::Process(orders) if confine::BUILT => {
                let (starter, end) = script::order()?;
                rights::offer(orders.as_fd(), STARTER, &[end.as_fd()])?;
                Ok(starter)
            }
            Self::Process(_) | Self::Nobody => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Waits until all that was ordered was done, or refused: a process that could not be made is
    /// [`Helper::reap`]ed at once then. **Before the loop runs**: nothing there may wait.
    ///
    /// # Errors
    ///
    /// `TimedOut`; otherwise as [`Maker::helper`].
    pub fn settle(&self) -> io::Result<()> {
        let Self::Process(orders) = self else {
            return Ok(());
        };
        let (ours, its) = pair::pair()?;
        rights::offer(orders.as_fd(), LET_GO, &[its.as_fd()])?;
        drop(its);
        match poll::wait(&[(ours.as_fd(), false)], Some(SETTLE_MS))?.as_slice() {
            [true] => Ok(()),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The error means that nobody can start anything any more: that takes a restart.
    #[must_use]
    pub fn is_missing(&self, error: &io::Error) -> bool {
        let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        match self {
            Self::Ourselves(_) => false,
            Self::Process(_) => gone.contains(&error.kind()),
            Self::Nobody => true,
        }
    }

    /// The server itself cannot.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        !matches!(self, Self::Ourselves(_))
    }
}

/// A panic ends the process, where it would unwind into the server's code.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        process::end(BROKEN)
    }
}

/// Lives as the maker, at this end of the pair.
fn live(orders: &OwnedFd, confinement: &Confinement, first: impl FnOnce() -> bool) -> ! {
    let _last = Last;
    // First, for a signal to the group must find none of the server's handlers.
    if signal::ignore().is_err() || !first() {
        process::end(BROKEN);
    }
    process::close_others(orders.as_fd());
    // Without a name of its own it works as well.
    let _ = process::set_name(NAME);
    let Ok(children) = Children::watch() else {
        process::end(BROKEN)
    };
    let work = Work {
        orders,
        confinement,
        children: Some(children),
        leashed: Vec::new(),
        free: Vec::new(),
    };
    process::end(work.go())
}

struct Work<'o> {
    orders: &'o OwnedFd,
    confinement: &'o Confinement,
    /// Tells of their ends; none in a child.
    children: Option<Children>,
    /// Helpers, each with its leash; none once it was killed.
    leashed: Vec<(Pid, Option<OwnedFd>)>,
    /// Starters: they end themselves when they have ended their scripts.
    free: Vec<Pid>,
}

impl Work<'_> {
    /// Works until the pair ends; the code to end with. Helpers end with their own pairs, as
    /// starters do.
    fn go(mut self) -> u8 {
        loop {
            let Ok(ready) = self.wait() else {
                return BROKEN;
            };
            let mut ready = ready.into_iter();
            let order = ready.next().unwrap_or(false);
            let ended = ready.next().unwrap_or(false);
            let held = self.leashed.iter_mut().filter(|(_, leash)| leash.is_some());
            for ((pid, leash), _) in held.zip(ready).filter(|(_, let_go)| *let_go) {
                // Refused only when nothing is left of it, which cannot be: it was not waited for.
                let _ = process::kill(*pid);
                *leash = None;
            }
            if ended {
                self.reap();
            }
            if order && !self.order() {
                return DONE;
            }
        }
    }

    /// Waits for anything: which of the orders, the children and the leashes, in this order.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let children = self
            .children
            .as_ref()
            .map_or(self.orders.as_fd(), Children::fd);
        let leashes = self.leashed.iter().filter_map(|(_, leash)| leash.as_ref());
        let asked = [self.orders.as_fd(), children].into_iter();
        let asked = asked.chain(leashes.map(AsFd::as_fd));
        let asked: Vec<_> = asked.map(|fd| (fd, false)).collect();
        poll::wait(&asked, None)
    }

    /// Leaves nothing of those that have ended, whatever they died of.
    fn reap(&mut self) {
        if let Some(children) = &self.children {
            children.seen();
        }
        self.free.retain(|pid| !has_ended(*pid));
        self.leashed.retain(|(pid, _)| !has_ended(*pid));
    }

    /// Takes one order. False: there will be no more.
    fn order(&mut self) -> bool {
        // One byte more, so that what is too long is seen.
        let mut room = [0; 2];
        let (words, fds) = match rights::look(self.orders.as_fd(), &mut room) {
            Ok((0, _)) => return false,
            Ok((count, fds)) => (room.get(..count).unwrap_or_default(), fds),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            // What came with it is closed, and who waits for it hears that.
            Err(error) if rights::is_too_long(&error) => return true,
            Err(_) => return false,
        };
        let mut fds = fds.into_iter();
        match (words, fds.next(), fds.next()) {
            (HELPER, Some(end), Some(leash)) => match process::fork() {
                Ok(Fork::Parent(pid)) => self.leashed.push((pid, Some(leash))),
                Ok(Fork::Child) => {
                    self.children = None;
                    // It reads what clients have sent, and needs nothing but to read files.
                    let _ = confine::no_new_privileges();
                    let _ = capability::keep(Capabilities::FILES);
                    helper::live(&end)
                }
                // As above.
                Err(_) => {}
            },
            (STARTER, Some(end), None) => match process::fork() {
                Ok(Fork::Parent(pid)) => self.free.push(pid),
                Ok(Fork::Child) => {
                    self.children = None;
                    script::live(&end, self.confinement)
                }
                Err(_) => {}
            },
            (LET_GO, Some(_), None) => {}
            // No server of ours says so.
            (_, _, _) => return false,
        }
        true
    }
}

/// It has ended, and nothing is left of it.
fn has_ended(pid: Pid) -> bool {
    process::ended(pid).unwrap_or(true)
}
