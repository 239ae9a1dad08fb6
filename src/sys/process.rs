//! Other processes of ours, and this one in the background.
//!
//! Owns: fork(2), waitpid(2), kill(2) of a child, _exit(2), setsid(2), the descriptors 0, 1 and 2
//! as a whole, all others as a whole, umask(2), nice(2), sched_setscheduler(2), the name of the
//! process. Must not: decide when to leave a terminal, what a child does, or write a pid file.
//!
//! Invariants: a process of several threads is not forked, for the child would have one of them and
//! the locks of all; of 0, 1 and 2, one that is open stays open; nothing here waits for a child.
#![allow(
    unsafe_code,
    reason = "fork(2), waitpid(2), kill(2), _exit(2), setsid(2), dup2(2), close_range(2), \
              close(2), umask(2), nice(2), sched_setscheduler(2), prctl(2)"
)]

use std::ffi::CStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_uint, pid_t};

use super::call::{checked, fit, retried};
use super::limits;

/// The first descriptor that is none of the standard streams.
const FIRST_OTHER: c_int = 3;
/// Where nothing says which descriptors are open, numbers up to this are tried.
const TRIED_MAX: u64 = 65_536;

/// The number of a process that this one has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub(super) pid_t);

#[cfg(test)]
impl Pid {
    /// That of no child.
    pub(crate) fn of_nobody() -> Self {
        Self(pid_t::MAX)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The one that called; the child, of this number, runs on its own.
    Parent(Pid),
    /// The new one: all descriptors are shared with the parent, signal handlers are kept, record
    /// locks and timers are not.
    Child,
}

/// Makes a second process; see fork(2). **Only while the process has one thread.** That is looked
/// up in /proc/self/stat, which may count one that was joined for a moment longer; where /proc is
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
        child => Ok(Fork::Parent(Pid(child))),
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

/// Whether that child of ours has ended; then nothing of it is left, and its number may be
/// another's. Does not wait; see waitpid(2).
///
/// # Errors
///
/// ECHILD if there is no such child, or no longer.
pub fn ended(child: Pid) -> io::Result<bool> {
    let found = retried(|| {
        // SAFETY: the call takes numbers, and a null pointer for a status that is not wanted.
        checked(unsafe { libc::waitpid(child.0, std::ptr::null_mut(), libc::WNOHANG) })
    })?;
    Ok(found == child.0)
}

/// Ends that child of ours, whatever it does; see kill(2) about SIGKILL. **Not once it has
/// [`ended`]**: its number may be another's. What the system keeps of it stays until then.
///
/// # Errors
///
/// ESRCH if there is no such process; EPERM if it has become somebody else's.
pub fn kill(child: Pid) -> io::Result<()> {
    // SAFETY: the call takes two numbers. A `Pid` is that of one process, never that of a group.
    checked(unsafe { libc::kill(child.0, libc::SIGKILL) })?;
    Ok(())
}

/// Ends the process at once: nothing is dropped, flushed or called that the parent had asked for
/// its own end; see _exit(2).
pub fn end(code: u8) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code.into()) }
}

/// Closes every descriptor but the standard streams and `keep`. **For a new [`Fork::Child`] only**,
/// which uses nothing of what it had, not even by dropping it. What is not found is left open:
/// where the kernel has no close_range(2) (before Linux 5.9) and /proc is not mounted, all above
/// 65535.
pub fn close_others(keep: BorrowedFd<'_>) {
    let keep = keep.as_raw_fd();
    if close_between(FIRST_OTHER, keep.saturating_sub(1)).is_ok()
        && close_between(keep.max(2).saturating_add(1), c_int::MAX).is_ok()
    {
        return;
    }
    match open_numbers() {
        Some(numbers) => close_each(numbers.into_iter(), keep),
        None => {
            let (limit, _) = limits::open_files().unwrap_or((TRIED_MAX, 0));
            let last = fit(limit.min(TRIED_MAX)).unwrap_or(c_int::MAX);
            close_each(FIRST_OTHER..last, keep);
        }
    }
}

/// Lets every other process go first: ten steps down; see nice(2).
pub fn lower_priority() {
    // SAFETY: the call takes a number. Anybody may lower it, and -1 is a priority too.
    let _now = unsafe { libc::nice(10) };
}

/// This thread runs only when nobody else wants the core, and gives it up at once to whoever wakes;
/// see `SCHED_IDLE` in sched(7). There is no way back.
///
/// # Errors
///
/// ENOSYS, EPERM or EINVAL where somebody filters system calls.
pub fn wait_for_spare_time() -> io::Result<()> {
    let ourselves: c_int = 0;
    // What the kernel knows as its `struct sched_param`; musl's is longer.
    let priority: c_int = 0;
    // SAFETY: the call reads `priority`, which lives. By its number: musl's function does nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            ourselves,
            libc::SCHED_IDLE,
            &raw const priority,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What ps(1) and top(1) call the process, cut off at 15 bytes; see PR_SET_NAME in prctl(2).
///
/// # Errors
///
/// None that prctl(2) names for a valid call.
pub fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: the call reads `name`, which ends with a NUL, up to that or to its 16th byte.
    checked(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) })?;
    Ok(())
}

/// Closes all descriptors from `first` to `last`, both included; see close_range(2).
fn close_between(first: c_int, last: c_int) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    let (first, last): (c_uint, c_uint) = (fit(first)?, fit(last)?);
    let no_flags: c_uint = 0;
    // SAFETY: the call takes three numbers. Who called uses none of what is closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, no_flags) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The descriptors that are open, where /proc says so. One of them read the list and is closed.
fn open_numbers() -> Option<Vec<c_int>> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    let names = entries.map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    names.collect()
}

fn close_each(numbers: impl Iterator<Item = c_int>, keep: c_int) {
    for number in numbers.filter(|number| *number >= FIRST_OTHER && *number != keep) {
        // SAFETY: the call takes a number. Who called uses none of what is closed; a number that is
        // not open is refused.
        let _not_open = unsafe { libc::close(number) };
    }
}

/// How many threads the process has, where /proc says so. /proc/self/task would not do: in an
/// emulator (qemu-user) those of the emulator are there too, and the stat has ours, or 0.
fn threads() -> Option<usize> {
    threads_of(&fs::read("/proc/self/stat").ok()?)
}

/// What /proc/PID/stat has in `num_threads`, its 20th field; see proc(5). The name of the process,
/// its second, may hold anything.
fn threads_of(stat: &[u8]) -> Option<usize> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let behind = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    // The first of these is the third field.
    behind.split_ascii_whitespace().nth(17)?.parse().ok()
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

    #[test]
    fn threads_are_counted_behind_any_name() {
        assert!(threads().unwrap() >= 1);
        let numbers = "1 1 1 0 -1 4194560 99 0 0 0 5 3 0 0 20 0 7 0 12345 99";
        for name in ["adieu", "a) R 3 (b", "))", " ", "\u{fc}"] {
            let stat = format!("42 ({name}) S {numbers}\n");
            assert_eq!(threads_of(stat.as_bytes()), Some(7), "{name}");
        }
        for stat in [
            &b""[..],
            b"42 (adieu",
            b"42 (adieu) S 1 1",
            b"42 (\xff) S \xff",
        ] {
            assert_eq!(threads_of(stat), None, "{stat:?}");
        }
    }
}
