//! Other programs: how they start, what they keep of us, how they end.
//!
//! Owns: the state of a program of ours between fork(2) and execve(2), and that call; prctl(2) with
//! PR_SET_PDEATHSIG, waitid(2), kill(2), fchdir(2). Must not: choose a program, nor when it ends.
//!
//! Invariants: a program has a group of its own, signals as the system gives them, and no
//! descriptor but 0, 1 and 2, for all others of ours are close-on-exec; it is killed when its
//! parent ends without having done so; a number is signalled only while its process is a child of
//! ours that nobody has waited for, so it is nobody else's.
#![allow(
    unsafe_code,
    reason = "execve(2) and what is before it, waitid(2), kill(2), prctl(2), fchdir(2)"
)]

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;

use libc::{c_char, c_int, c_ulong, id_t, pid_t};

use super::call::{checked, fit, retried};
use super::confine::{self, Access, Beside};
use super::limits::{self, Resource};
use super::process::Pid;
use super::signal;

/// What a program may use, as [`limits::lower`] takes it.
pub type Limits = [Option<(Resource, u64)>; 4];

/// How a child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned this code.
    Exited(u8),
    /// It was killed by this signal.
    Killed(u8),
}

/// What a group can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// SIGTERM, and SIGCONT so that who was stopped hears it: please end.
    Terminate,
    /// SIGKILL: the end.
    Kill,
}

/// A program, and what it is given.
#[derive(Debug)]
pub struct Program {
    /// Its path.
    pub path: CString,
    /// Its arguments, its own name first.
    pub arguments: Vec<CString>,
    /// Its environment, `NAME=VALUE` each.
    pub environment: Vec<CString>,
    /// Standard input; none is /dev/null.
    pub input: Option<OwnedFd>,
    /// Standard output.
    pub output: OwnedFd,
    /// Standard error.
    pub error: OwnedFd,
    /// What it may do.
    pub confined: Confined,
}

/// What a program gives up before it is executed.
#[derive(Debug, Default)]
pub struct Confined {
    /// As [`confine::no_new_privileges`].
    pub no_new_privileges: bool,
    /// The ABI and the rules of [`confine::restrict`]; they need the former.
    pub rules: Option<(u32, Vec<(OwnedFd, Access)>)>,
}

impl Confined {
    /// Gives it up.
    fn take(&self) -> io::Result<()> {
        if self.no_new_privileges {
            confine::no_new_privileges()?;
        }
        let Some((abi, rules)) = &self.rules else {
            return Ok(());
        };
        let rules = rules.iter().map(|(fd, access)| (fd.as_fd(), *access));
        let rules: Vec<_> = rules.collect();
        confine::restrict(*abi, &rules, Beside::default())
    }
}

/// Starts the program in the current directory, leader of a new group, within these limits. Returns
/// once it is executed. **In a process of one thread.**
///
/// # Errors
///
/// Those of fork(2) and execve(2): EAGAIN, ENOMEM; ENOENT, also for an interpreter that is not
/// there; EACCES; ENOEXEC for what is no program, which no shell is then asked about.
pub fn start(program: Program, limits: Limits) -> io::Result<Pid> {
    let Program {
        path,
        arguments,
        environment,
        input,
        output,
        error,
        confined,
    } = program;
    // The library does what is before and behind the call below: it forks, puts the streams in
    // place, and brings the error back.
    let mut command = Command::new(OsStr::from_bytes(path.as_bytes()));
    command.stdin(input.map_or_else(Stdio::null, Stdio::from));
    command.stdout(output).stderr(error).process_group(0);
    let before = move || {
        signal::restore()?;
        end_with_parent()?;
        for (resource, most) in limits.into_iter().flatten() {
            limits::lower(resource, most)?;
        }
        confined.take()?;
        Err(execute(&path, &arguments, &environment))
    };
    // SAFETY: the process had one thread, so the child may do what it likes, as allocate.
    unsafe { command.pre_exec(before) };
    let child = command.spawn()?;
    Ok(Pid(fit(child.id())?))
}

/// execve(2): why it failed. Not execvp(3), which gives what is no program to a shell.
fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let listed = |strings: &[CString]| -> Vec<*const c_char> {
        let pointers = strings.iter().map(|string| string.as_ptr());
        pointers.chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (listed(arguments), listed(environment));
    // SAFETY: `path` and all strings end with a NUL, both lists with a null pointer; all outlive
    // the call.
    let _failed = unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// SIGKILL when the parent ends. One that has ended already ended the group before.
fn end_with_parent() -> io::Result<()> {
    let signal: c_ulong = fit(libc::SIGKILL)?;
    // SAFETY: the call takes two numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })?;
    Ok(())
}

/// How that child has ended, if it has. Its number stays its own until [`super::process::ended`].
///
/// # Errors
///
/// ECHILD if there is no such child, or no longer.
pub fn end(child: Pid) -> io::Result<Option<End>> {
    let number: id_t = fit(child.0)?;
    // SAFETY: a siginfo_t is integers and pointers: all zeroes is a value of it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    retried(|| {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: `info` outlives the call, which writes that one struct.
        checked(unsafe { libc::waitid(libc::P_PID, number, &raw mut info, flags) })
    })?;
    // SAFETY: waitid has filled it in as for SIGCHLD, or left it all zeroes.
    let found = unsafe { info.si_pid() };
    if found == 0 {
        return Ok(None);
    }
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let status = u8::try_from(status & 0xff).unwrap_or(u8::MAX);
    Ok(Some(match info.si_code {
        libc::CLD_EXITED => End::Exited(status),
        _ => End::Killed(status),
    }))
}

/// Signals the group that the child leads, and the child, whatever group it is in now. **Only until
/// it was waited for** ([`super::process::ended`]). Who is gone hears nothing.
pub fn tell_group(child: Pid, word: Word) {
    let signals: &[c_int] = match word {
        Word::Terminate => &[libc::SIGTERM, libc::SIGCONT],
        Word::Kill => &[libc::SIGKILL],
    };
    for signal in signals {
        // Its group first. A child that has left it, and it is empty now, hears for itself.
        if tell(child.0.saturating_neg(), *signal).is_err() || word == Word::Kill {
            let _ = tell(child.0, *signal);
        }
    }
}

/// kill(2).
fn tell(number: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: the call takes two numbers. A child's is never 0 or 1, so neither our own group nor
    // everybody is meant.
    checked(unsafe { libc::kill(number, signal) })?;
    Ok(())
}

/// Makes that directory the process's own; see fchdir(2).
///
/// # Errors
///
/// EACCES if it must not be searched; ENOTDIR.
pub fn enter(directory: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes a number.
    checked(unsafe { libc::fchdir(directory.as_raw_fd()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::sys::process;
    use crate::sys::testing::until;

    // What a program keeps of its parent is tested by one that has a single thread:
    // tests/starter.rs.

    fn program(path: &CStr, arguments: &[&CStr]) -> Program {
        let null = || {
            File::options()
                .write(true)
                .open("/dev/null")
                .unwrap()
                .into()
        };
        Program {
            path: path.to_owned(),
            arguments: arguments.iter().map(|&one| one.to_owned()).collect(),
            environment: vec![c"PATH=/usr/bin:/bin".to_owned()],
            input: None,
            output: null(),
            error: null(),
            confined: Confined::default(),
        }
    }

    fn sh(script: &CStr) -> Pid {
        let program = program(c"/bin/sh", &[c"sh", c"-c", script]);
        start(program, [Some((Resource::Core, 0)), None, None, None]).unwrap()
    }

    /// How it ends; then nothing of it is left.
    fn ended(child: Pid) -> End {
        let mut found = None;
        until(|| {
            found = end(child).unwrap();
            found.is_some()
        });
        assert_eq!(end(child).unwrap(), found, "looking does not take it");
        assert!(process::ended(child).unwrap());
        assert!(end(child).is_err());
        found.unwrap()
    }

    #[test]
    fn ends_are_told_apart_and_groups_hear_both_words() {
        assert_eq!(ended(sh(c"exit 7")), End::Exited(7));
        let waits = sh(c"sleep 100 & wait");
        assert_eq!(end(waits).unwrap(), None);
        tell_group(waits, Word::Terminate);
        assert_eq!(ended(waits), End::Killed(15));
        let killed = sh(c"while :; do sleep 1; done");
        tell_group(killed, Word::Kill);
        assert_eq!(ended(killed), End::Killed(9));
        let stopped = sh(c"kill -STOP $$");
        tell_group(stopped, Word::Terminate);
        tell_group(stopped, Word::Kill);
        assert!(matches!(ended(stopped), End::Killed(_)));
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_an_error() {
        for (path, errno) in [
            (c"/nowhere/at/all", libc::ENOENT),
            (c"/dev/null", libc::EACCES),
        ] {
            let error = start(program(path, &[path]), [None; 4]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno));
        }
    }
}
