//! A process in the background.
//!
//! Owns: fork(2), setsid(2), the descriptors 0, 1 and 2 as a whole, umask(2). Must not: decide when
//! to leave a terminal, or write a pid file.
//!
//! Invariants: a process of several threads is not forked, for the child would have one of them and
//! the locks of all; of 0, 1 and 2, one that is open stays open.
#![allow(unsafe_code, reason = "fork(2), setsid(2), dup2(2), umask(2)")]

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::call::{checked, retried};

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The one that called; the child runs on its own.
    Parent,
    /// The new one: all descriptors are shared with the parent, signal handlers are kept, record
    /// locks and timers are not.
    Child,
}

/// Makes a second process; see fork(2). **Only while the process has one thread.** That is looked
/// up in /proc/self/task, where one that was joined may stand for a moment longer; where /proc is
/// not mounted the caller is trusted. What a buffer holds that is not written yet, both processes
/// would write: flush first.
///
/// # Errors
///
/// EBUSY while there are more threads; EAGAIN, ENOMEM.
pub fn fork() -> io::Result<Fork> {
    if threads().is_some_and(|count| count > 1) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the call takes nothing. There is no other thread that could hold a lock, or be in the
    // middle of a change, so that the child has all of the program in order.
    match checked(unsafe { libc::fork() })? {
        0 => Ok(Fork::Child),
        _ => Ok(Fork::Parent),
    }
}

/// Leaves the session, and with it the terminal, and leads a new one; see setsid(2).
///
/// # Errors
///
/// EPERM for a process that leads its group: a [`Fork::Child`] does not.
pub fn new_session() -> io::Result<()> {
    // SAFETY: the call takes nothing.
    checked(unsafe { libc::setsid() })?;
    Ok(())
}

/// Lets standard input, output and error be `null`, /dev/null opened for both directions, so that
/// no terminal or pipe is held; see dup2(2). Programs started later get them as well.
///
/// # Errors
///
/// EMFILE, and then nothing has changed.
pub fn leave_standard(null: BorrowedFd<'_>) -> io::Result<()> {
    // A duplicate is above them even where `null` itself is one of them.
    let null = null.try_clone_to_owned()?;
    for number in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        retried(|| {
            // SAFETY: the call takes two numbers. Nobody owns `number`: it is used by its number,
            // and is open before and after.
            checked(unsafe { libc::dup2(null.as_raw_fd(), number) })
        })?;
    }
    Ok(())
}

/// Calls `call` while files are made without the permissions in `mask`, then sets back what was;
/// see umask(2). The mask is the process's: other threads see it meanwhile.
pub fn with_umask<T>(mask: u32, call: impl FnOnce() -> T) -> T {
    let before = set_umask(mask);
    let result = call();
    set_umask(before);
    result
}

/// How many threads the process has, where /proc says so.
fn threads() -> Option<usize> {
    fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// umask(2): sets it, and answers the one before.
fn set_umask(mask: u32) -> u32 {
    // SAFETY: the call takes a number and cannot fail.
    unsafe { libc::umask(mask) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What changes the process, and a fork that succeeds, is tested by processes that have nothing
    // else to do: tests/process.rs.

    #[test]
    fn a_process_of_several_threads_is_not_forked() {
        let process = std::process::id();
        // Whatever the harness has, here is one more.
        let other = std::thread::spawn(move || {
            let tried = fork();
            // A child that should not be must not come back to the harness.
            if std::process::id() != process {
                std::process::abort();
            }
            tried
        });
        let error = other.join().unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    }
}
