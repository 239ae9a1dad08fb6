//! Signals as bytes in a pipe that the loop polls.
//!
//! Owns: the handlers of the signals in `CAUGHT` and of SIGCHLD, the pipe, SIGPIPE's and SIGXFSZ's
//! being ignored, that those of `HELD` wait until there are handlers, and that a process of ours
//! ignores all of them or gives a program all of them as they were. Must not: act on a signal; the
//! reactor does, in its own time. A pipe rather than signalfd(2), for that needs a blocked signal
//! mask for as long as the server lives, which children would inherit.
//!
//! Invariants: the handler makes one async-signal-safe call (signal-safety(7)), write(2) on a pipe
//! that does not block, and keeps errno; there is one [`Signals`] at a time in a process; a full
//! pipe loses only what comes after thousands nobody took.
#![allow(
    unsafe_code,
    reason = "pipe2(2), sigaction(2), sigprocmask(2), and the handler's write(2) and errno"
)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_int, sighandler_t};

use super::call::checked;

/// No pipe: no [`Signals`] lives.
const NONE: c_int = -1;
/// The write end of the pipe, for the handler, or [`NONE`].
static PIPE: AtomicI32 = AtomicI32::new(NONE);

/// What the process was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, or SIGQUIT as nginx has it: the system wants the server to stop.
    Terminate,
    /// SIGINT: Ctrl-C, somebody at a terminal wants it to stop.
    Interrupt,
    /// SIGHUP: the configuration has changed.
    Reload,
    /// SIGUSR1: the log files have been moved away.
    Reopen,
    /// SIGUSR2: somebody wants to know the counters.
    Tell,
}

/// The signals that are caught, and what each means.
const CAUGHT: [(c_int, Signal); 6] = [
    (libc::SIGTERM, Signal::Terminate),
    (libc::SIGQUIT, Signal::Terminate),
    (libc::SIGINT, Signal::Interrupt),
    (libc::SIGHUP, Signal::Reload),
    (libc::SIGUSR1, Signal::Reopen),
    (libc::SIGUSR2, Signal::Tell),
];

/// Those of them that end no server, and so none that is about to serve.
const HELD: [c_int; 3] = [libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2];

/// The signals ignored: a call that fails says so, and shall not end the process. SIGXFSZ is that
/// of a file above RLIMIT_FSIZE.
const IGNORED: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// The signals caught. Who drops it ends, with a code of its own: from then on they are ignored, as
/// those of `IGNORED` are.
#[derive(Debug)]
pub struct Signals {
    /// The end to read, non-blocking.
    read: File,
    /// The end [`PIPE`] names; kept open for as long as a handler may write to it.
    _write: OwnedFd,
}

impl Signals {
    /// Catches the signals of `CAUGHT`, also those that [`hold`] has kept or that who started us
    /// had blocked, and ignores those of `IGNORED`, for the whole process. A call they interrupt
    /// starts again by itself where it can (SA_RESTART), except poll and its kin.
    ///
    /// # Errors
    ///
    /// EBUSY while another [`Signals`] lives; EMFILE, ENFILE; see pipe(2), sigaction(2).
    pub fn install() -> io::Result<Self> {
        let (read, write) = pipe()?;
        PIPE.compare_exchange(NONE, write.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|_| io::Error::from_raw_os_error(libc::EBUSY))?;
        // From here on a drop undoes it.
        let signals = Self {
            read: File::from(read),
            _write: write,
        };
        for number in IGNORED {
            act(number, libc::SIG_IGN)?;
        }
        for (number, _) in CAUGHT {
            act(number, handler_address())?;
        }
        // What came before is in the pipe when this returns.
        let_through()?;
        Ok(signals)
    }

    /// Readable while a signal waits to be taken. The reactor's poll only looks at it.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// The next signal that came, if any; never blocks. To be called until `None`, for the poll is
    /// edge-triggered.
    #[must_use]
    pub fn take(&self) -> Option<Signal> {
        loop {
            let mut byte = [0];
            match (&self.read).read(&mut byte) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return None,
            }
            let [number] = byte;
            let mut caught = CAUGHT.iter();
            let found = caught.find(|(known, _)| *known == c_int::from(number));
            if let Some((_, signal)) = found {
                return Some(*signal);
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The handlers go first, then the pipe they write to.
        for (number, _) in CAUGHT {
            let undone = act(number, libc::SIG_IGN);
            debug_assert!(undone.is_ok(), "to be ignored was refused");
        }
        PIPE.store(NONE, Ordering::SeqCst);
    }
}

/// Lets the signals of `HELD` wait, each once, until [`Signals::install`] or [`let_through`], and
/// the others of `CAUGHT` end the process, also where who started us ignores them, as a shell does
/// for what it starts in the background. **In a process of one thread**; a child would hold them,
/// too.
///
/// # Errors
///
/// None that sigaction(2) and sigprocmask(2) name for valid calls.
pub fn hold() -> io::Result<()> {
    let ending = CAUGHT.iter().filter(|(number, _)| !HELD.contains(number));
    for (number, _) in ending {
        act(*number, libc::SIG_DFL)?;
    }
    mask(libc::SIG_BLOCK, HELD)
}

/// Blocks none of the signals of `CAUGHT` any more. What waits does what it does.
///
/// # Errors
///
/// As [`hold`].
pub fn let_through() -> io::Result<()> {
    mask(libc::SIG_UNBLOCK, CAUGHT.map(|(number, _)| number))
}

/// sigprocmask(2): blocks or unblocks these signals.
fn mask<const N: usize>(how: c_int, numbers: [c_int; N]) -> io::Result<()> {
    // SAFETY: a sigset_t is integers: all zeroes is the empty set on Linux.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for number in numbers {
        // SAFETY: `set` is a set, and valid for writes of that one struct.
        checked(unsafe { libc::sigaddset(&raw mut set, number) })?;
    }
    // SAFETY: `set` outlives the call, which only reads it; the old set is not wanted.
    checked(unsafe { libc::sigprocmask(how, &raw const set, ptr::null_mut()) })?;
    Ok(())
}

/// Ignores the signals of `CAUGHT` and `IGNORED` for as long as the process lives: for a child that
/// ends when the server says so, not when somebody signals the whole group. Programs that it starts
/// would ignore them as well.
///
/// # Errors
///
/// None that sigaction(2) names for valid signals.
pub fn ignore() -> io::Result<()> {
    let caught = CAUGHT.map(|(number, _)| number);
    for number in caught.into_iter().chain(IGNORED) {
        act(number, libc::SIG_IGN)?;
    }
    Ok(())
}

/// Lets every signal do what it does by default, and none be blocked: for a program that is about
/// to be executed.
///
/// # Errors
///
/// None that sigprocmask(2) names for a valid call.
pub(super) fn restore() -> io::Result<()> {
    for number in 1..=LAST {
        // Refused for SIGKILL, SIGSTOP and what the C library keeps for itself.
        let _ = act(number, libc::SIG_DFL);
    }
    mask(libc::SIG_SETMASK, [])
}

/// The highest number of a signal, those for real time included; MIPS has twice as many.
const LAST: c_int = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    127
} else {
    64
};

/// The ends of children as bytes in a pipe. Dropping it gives SIGCHLD its default back.
#[derive(Debug)]
pub struct Children {
    /// The end to read, non-blocking.
    read: File,
    /// The end [`PIPE`] names.
    _write: OwnedFd,
}

impl Children {
    /// Catches SIGCHLD, **in a process that has no [`Signals`]**: a child of one that has, which
    /// has let go of the pipe.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE; see pipe(2), sigaction(2).
    pub fn watch() -> io::Result<Self> {
        let (read, write) = pipe()?;
        PIPE.store(write.as_raw_fd(), Ordering::SeqCst);
        let children = Self {
            read: File::from(read),
            _write: write,
        };
        act(libc::SIGCHLD, handler_address())?;
        // Who started us may have had it blocked.
        mask(libc::SIG_UNBLOCK, [libc::SIGCHLD])?;
        Ok(children)
    }

    /// Readable when a child may have ended since [`Children::seen`].
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// From now on the next end counts: look at the children after it.
    pub fn seen(&self) {
        let mut bytes = [0; 64];
        while (&self.read).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        let undone = act(libc::SIGCHLD, libc::SIG_DFL);
        debug_assert!(undone.is_ok(), "a default action was refused");
        PIPE.store(NONE, Ordering::SeqCst);
    }
}

/// Writes the signal's number into the pipe. Runs between any two instructions of the process.
extern "C" fn handler(signal: c_int) {
    // SAFETY: the call takes nothing and is async-signal-safe.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: `errno` is this thread's, valid for as long as the thread runs.
    let kept = unsafe { errno.read() };
    // The numbers caught are below 32.
    let byte = [u8::try_from(signal).unwrap_or(0)];
    let pipe = PIPE.load(Ordering::SeqCst);
    // SAFETY: `byte` is valid for reads of its one byte; on a closed or full pipe the call fails.
    let _lost_if_full = unsafe { libc::write(pipe, byte.as_ptr().cast(), byte.len()) };
    // SAFETY: as for the reading of it.
    unsafe { errno.write(kept) };
}

/// The handler as sigaction(2) takes it.
#[allow(
    clippy::as_conversions,
    reason = "there is no other way from a function to its address"
)]
fn handler_address() -> sighandler_t {
    let handler: extern "C" fn(c_int) = handler;
    handler as sighandler_t
}

/// sigaction(2): what is to happen on `signal`.
fn act(signal: c_int, action: sighandler_t) -> io::Result<()> {
    // SAFETY: a sigaction is integers and an optional function: all zeroes is a value of it, with
    // an empty mask.
    let mut wanted: libc::sigaction = unsafe { std::mem::zeroed() };
    wanted.sa_sigaction = action;
    wanted.sa_flags = libc::SA_RESTART;
    // SAFETY: `wanted` outlives the call, which only reads it; its action is a default, an ignore,
    // or `handler`, which is async-signal-safe and takes the one argument it gets without
    // SA_SIGINFO.
    checked(unsafe { libc::sigaction(signal, &raw const wanted, ptr::null_mut()) })?;
    Ok(())
}

/// pipe2(2), both ends non-blocking and close-on-exec: the end to read, the end to write.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [NONE; 2];
    // SAFETY: `ends` is valid for writes of the two numbers.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
    let [read, write] = ends;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    let read = unsafe { OwnedFd::from_raw_fd(read) };
    // SAFETY: as above.
    let write = unsafe { OwnedFd::from_raw_fd(write) };
    Ok((read, write))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(signal: c_int) {
        // SAFETY: the signals raised here are caught or ignored at the time.
        assert_eq!(unsafe { libc::raise(signal) }, 0);
    }

    // One test: handlers are the process's.
    #[test]
    fn signals_come_as_bytes_in_their_order() {
        // What is held comes when there are handlers, each once.
        hold().unwrap();
        for signal in [libc::SIGUSR2, libc::SIGHUP, libc::SIGHUP, libc::SIGUSR1] {
            raise(signal);
        }
        let signals = Signals::install().unwrap();
        let mut held = Vec::new();
        while let Some(signal) = signals.take() {
            held.push(signal);
        }
        held.sort_by_key(|signal| format!("{signal:?}"));
        assert_eq!(held, [Signal::Reload, Signal::Reopen, Signal::Tell]);

        let second = Signals::install().unwrap_err();
        assert_eq!(second.raw_os_error(), Some(libc::EBUSY));
        assert_eq!(signals.take(), None);

        raise(libc::SIGTERM);
        raise(libc::SIGINT);
        raise(libc::SIGPIPE);
        raise(libc::SIGXFSZ);
        raise(libc::SIGHUP);
        raise(libc::SIGUSR1);
        raise(libc::SIGUSR2);
        raise(libc::SIGQUIT);
        for signal in [
            Signal::Terminate,
            Signal::Interrupt,
            Signal::Reload,
            Signal::Reopen,
            Signal::Tell,
            Signal::Terminate,
        ] {
            assert_eq!(signals.take(), Some(signal));
        }
        assert_eq!(signals.take(), None);

        // Far more than the pipe holds: the handler does not block, and it keeps errno.
        for _ in 0..70_000 {
            raise(libc::SIGTERM);
        }
        // SAFETY: this thread's errno.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above.
        unsafe { errno.write(libc::EXDEV) };
        handler(libc::SIGTERM);
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
        let mut taken = 0;
        while let Some(signal) = signals.take() {
            assert_eq!(signal, Signal::Terminate);
            taken += 1;
        }
        assert!((1..=70_000).contains(&taken));

        // Once dropped no signal changes how the process ends, and it can be installed again.
        drop(signals);
        raise(libc::SIGTERM);
        let again = Signals::install().unwrap();
        raise(libc::SIGINT);
        assert_eq!(again.take(), Some(Signal::Interrupt));
        drop(again);
        // An end of a child is told to who was started with that blocked, too.
        mask(libc::SIG_BLOCK, [libc::SIGCHLD]).unwrap();
        let children = Children::watch().unwrap();
        raise(libc::SIGCHLD);
        assert_eq!((&children.read).read(&mut [0]).unwrap(), 1);
        drop(children);
        for (number, _) in CAUGHT {
            act(number, libc::SIG_DFL).unwrap(); // this process is the tests'
        }
    }
}
