//! One script that runs: how it is started, what it says, how it ends.
//!
//! Owns its process and the pipe of its standard error. It must not wait. Invariants: its number is
//! kept (nobody waits for the process) until its group needs no further signal, so none goes to a
//! stranger; what a script leaves behind neither holds its end nor is killed, unless the script
//! itself was told to end.

use super::child::say;
use super::frame::Launch;
use super::{How, LINE_MAX};
use crate::sys::confine::{self, Access};
use crate::sys::limits::Resource;
use crate::sys::process::{self, Fork, Pid};
use crate::sys::spawn::{self, Confined, End, Program, Word};
use crate::sys::{change, file, pipe};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of one script's standard error that are read before the others' turn.
const TURN_BYTES: usize = 4096;
/// What is read of it when it has ended: more than a pipe holds.
const REST_BYTES: usize = 128 << 10;
/// A group that was killed is killed again after this, ms: somebody may have been born meanwhile.
const AGAIN_MS: u64 = 1000;
/// EPROTO: a launch without its descriptors.
const EPROTO: i32 = 71;

/// A script that was started, or a file on its way to its disk. Dropping it leaves it alone.
pub(super) struct Running {
    ticket: u32,
    pid: Pid,
    /// What it writes to its standard error; none once that has ended.
    said: Option<OwnedFd>,
    line: Line,
    kill_ms: u32,
    /// It was told to end; what is left of its group is killed then.
    kill_at: Option<u64>,
    ended: bool,
    killed: bool,
    /// Nothing is left of it.
    over: bool,
}

/// What scripts may do beside what their user may; by default all of it.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    /// They gain no privileges by executing anything.
    pub no_new_privileges: bool,
    /// With the ABI of Landlock: they reach these, /dev/null, and nothing else.
    pub paths: Option<(u32, Vec<(PathBuf, Access)>)>,
}

impl Confinement {
    /// What a script gives up. Not even its directory is granted by itself: the server says which
    /// that is, and who has taken the server over could name any.
    fn take(&self) -> io::Result<Confined> {
        let rules = match &self.paths {
            None => None,
            Some((abi, paths)) => {
                let mut rules = Vec::new();
                // What every program may expect.
                let null = (PathBuf::from("/dev/null"), Access::Change);
                for (path, access) in paths.iter().chain([&null]) {
                    match confine::name(path) {
                        Ok(fd) => rules.push((fd, *access)),
                        // What is not there now cannot be reached either.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
                Some((*abi, rules))
            }
        };
        Ok(Confined {
            no_new_privileges: self.no_new_privileges || rules.is_some(),
            rules,
        })
    }
}

/// Starts the script of this launch.
///
/// # Errors
///
/// As [`spawn::start`]; EPROTO if descriptors are missing; those of getcwd(3) for an interpreter.
pub(super) fn start(
    launch: &Launch<'_>,
    fds: Vec<OwnedFd>,
    confinement: &Confinement,
) -> io::Result<Running> {
    let mut fds = fds.into_iter();
    let both = fds.next().zip(fds.next());
    let (directory, output) = both.ok_or_else(|| io::Error::from_raw_os_error(EPROTO))?;
    let input = match launch.input {
        false => None,
        true => Some(
            fds.next()
                .ok_or_else(|| io::Error::from_raw_os_error(EPROTO))?,
        ),
    };
    let (said, error) = pipe::from_program()?;
    spawn::enter(directory.as_fd())?;
    let confined = confinement.take()?;
    let started = program(launch).and_then(|(path, arguments, environment)| {
        let program = Program {
            path,
            arguments,
            environment,
            input,
            output,
            error,
            confined,
        };
        spawn::start(program, limits(launch))
    });
    // No directory of a site is held by one who only waits.
    if let Ok(root) = file::open_root(Path::new("/")) {
        let _ = spawn::enter(root.as_fd());
    }
    let kill_ms = launch.bounds.kill_ms;
    Ok(Running::new(launch.ticket, started?, Some(said), kill_ms))
}

/// Brings a file to its disk, in a process that waits for it: code 0, or the errno.
///
/// # Errors
///
/// EPROTO if the file is missing; EAGAIN, ENOMEM.
pub(super) fn sync(ticket: u32, fds: Vec<OwnedFd>) -> io::Result<Running> {
    let file = fds.into_iter().next();
    let file = file.ok_or_else(|| io::Error::from_raw_os_error(EPROTO))?;
    let pid = match process::fork()? {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            // With our end of the pair open nobody would hear of the starter's own end.
            process::close_others(file.as_fd());
            let errno = change::sync(file.as_fd()).map_or_else(|e| e.raw_os_error(), |()| Some(0));
            let code = errno.and_then(|errno| u8::try_from(errno).ok());
            process::end(code.unwrap_or(u8::MAX))
        }
    };
    Ok(Running::new(ticket, pid, None, 0))
}

/// Path, arguments and environment: the script in the current directory, or the interpreter with
/// it. `./` keeps a name from being looked for elsewhere, and from being an option.
fn program(launch: &Launch<'_>) -> io::Result<(CString, Vec<CString>, Vec<CString>)> {
    let name = CString::new([b"./", launch.name].concat())?;
    let (path, mut arguments) = match launch.interpreter {
        None => (name.clone(), vec![]),
        Some(path) => (CString::new(path)?, vec![CString::new(path)?]),
    };
    arguments.push(name);
    let variables = launch.environment().map(CString::new);
    let mut environment = variables.collect::<Result<Vec<_>, _>>()?;
    if launch.interpreter.is_some() {
        // Interpreters of CGI look for their script by this, and PHP runs nothing without the
        // other one.
        let directory = std::env::current_dir()?;
        let path = directory.join(OsStr::from_bytes(launch.name));
        let path = path.as_os_str().as_bytes();
        environment.push(CString::new([b"SCRIPT_FILENAME=", path].concat())?);
        environment.push(c"REDIRECT_STATUS=200".to_owned());
    }
    Ok((path, arguments, environment))
}

fn limits(launch: &Launch<'_>) -> spawn::Limits {
    let bounds = &launch.bounds;
    let given = |most: u64| Some(most).filter(|most| *most > 0);
    [
        given(bounds.processes.into()).map(|most| (Resource::Processes, most)),
        given(bounds.memory_bytes).map(|most| (Resource::Memory, most)),
        given(bounds.cpu_s.into()).map(|most| (Resource::Seconds, most)),
        Some((Resource::Core, 0)),
    ]
}

impl Running {
    fn new(ticket: u32, pid: Pid, said: Option<OwnedFd>, kill_ms: u32) -> Self {
        Self {
            ticket,
            pid,
            said,
            line: Line::default(),
            kill_ms,
            kill_at: None,
            ended: false,
            killed: false,
            over: false,
        }
    }

    pub(super) fn ticket(&self) -> u32 {
        self.ticket
    }

    /// Readable when it has said something.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.said.as_ref().map(AsFd::as_fd)
    }

    /// When what is left of it is to be killed.
    pub(super) fn kill_at(&self) -> Option<u64> {
        self.kill_at
    }

    /// Nothing is left to do for it.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Passes on what it has said.
    pub(super) fn listen(&mut self, end: BorrowedFd<'_>) {
        self.listen_to(end, TURN_BYTES);
    }

    fn listen_to(&mut self, end: BorrowedFd<'_>, mut most: usize) {
        let mut room = [0; TURN_BYTES];
        while let Some(said) = self.said.as_ref().filter(|_| most > 0) {
            match pipe::read(said.as_fd(), &mut room) {
                Ok(0) => self.said = None,
                Ok(count) => {
                    let words = room.get(..count).unwrap_or_default();
                    self.line.take(words, |line| say(end, self.ticket, line));
                    most = most.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.said = None,
            }
        }
    }

    /// How it has ended, once that is so; its standard error is given up then, whoever holds it.
    pub(super) fn look(&mut self, end: BorrowedFd<'_>) -> Option<How> {
        if self.ended {
            return None;
        }
        let how = match spawn::end(self.pid) {
            Ok(None) => return None,
            Ok(Some(End::Exited(code))) => How::Exited(code),
            Ok(Some(End::Killed(signal))) => How::Killed(signal),
            // Nobody else waits for it: this does not happen.
            Err(_) => How::Exited(u8::MAX),
        };
        self.ended = true;
        self.listen_to(end, REST_BYTES);
        self.said = None;
        self.line.finish(|line| say(end, self.ticket, line));
        if self.kill_at.is_none() || self.killed {
            self.let_go();
        }
        Some(how)
    }

    /// How many of its lines found no room, if any has not, and nobody was told.
    pub(super) fn lost(&self) -> Option<String> {
        (self.line.lost > 0).then(|| self.line.note())
    }

    /// It is to end, if it is the script of this ticket, or all are meant.
    pub(super) fn terminate(&mut self, ticket: Option<u32>, now: u64) {
        let meant = ticket.is_none_or(|ticket| ticket == self.ticket);
        if !meant || self.over || self.kill_at.is_some() {
            return;
        }
        spawn::tell_group(self.pid, Word::Terminate);
        self.kill_at = Some(now.saturating_add(self.kill_ms.into()));
    }

    /// Its grace may be over.
    pub(super) fn kill(&mut self, now: u64, at_once: bool) {
        let due = self.kill_at.is_some_and(|at| now >= at);
        if self.over || !(due || at_once) {
            return;
        }
        spawn::tell_group(self.pid, Word::Kill);
        self.killed = true;
        self.kill_at = Some(now.saturating_add(AGAIN_MS));
        if self.ended {
            self.let_go();
        }
    }

    /// Its number may be another's from now on.
    fn let_go(&mut self) {
        // It has ended, so this does not wait; an error means that nothing is kept.
        let _ = process::ended(self.pid);
        self.over = true;
    }
}

/// A line that is not complete yet.
struct Line {
    bytes: [u8; LINE_MAX],
    len: usize,
    /// Lines that found no room since the last that did.
    lost: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; LINE_MAX],
            len: 0,
            lost: 0,
        }
    }
}

impl Line {
    /// Takes bytes, and passes on every line that they complete; one that is too long in pieces.
    fn take(&mut self, words: &[u8], mut say: impl FnMut(&[u8]) -> bool) {
        for byte in words {
            if *byte == b'\n' {
                self.pass_on(&mut say);
                continue;
            }
            if self.len == LINE_MAX {
                self.pass_on(&mut say);
            }
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = *byte;
                self.len += 1;
            }
        }
    }

    /// Nothing comes any more.
    fn finish(&mut self, mut say: impl FnMut(&[u8]) -> bool) {
        if self.len > 0 {
            self.pass_on(&mut say);
        }
        self.note_lost(&mut say);
    }

    fn pass_on(&mut self, say: &mut impl FnMut(&[u8]) -> bool) {
        let line = self.bytes.get(..self.len).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let len = line.len();
        self.len = 0;
        if len == 0 {
            return;
        }
        if !self.note_lost(say) || !say(self.bytes.get(..len).unwrap_or_default()) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    fn note(&self) -> String {
        format!("(lines lost: {})", self.lost)
    }

    /// Says how many lines were lost; false if there is no room even for that.
    fn note_lost(&mut self, say: &mut impl FnMut(&[u8]) -> bool) -> bool {
        if self.lost == 0 {
            return true;
        }
        let said = say(self.note().as_bytes());
        if said {
            self.lost = 0;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passed_on_whole_and_long_ones_in_pieces() {
        let long = "l".repeat(LINE_MAX);
        let text = format!("one\r\n\n{long}two\nrest");
        for cut in [1, 3, text.len()] {
            let mut line = Line::default();
            let mut said = Vec::new();
            for part in text.as_bytes().chunks(cut) {
                line.take(part, |words| {
                    said.push(String::from_utf8(words.to_vec()).unwrap());
                    true
                });
            }
            assert_eq!(said, ["one", &long, "two"]);
            line.finish(|words| {
                assert_eq!(words, b"rest");
                true
            });
        }
    }

    #[test]
    fn lines_without_room_are_counted() {
        let mut line = Line::default();
        line.take(b"a\nb\nc\n", |_| false);
        let mut said = Vec::new();
        line.take(b"d\ne\n", |words| {
            said.push(String::from_utf8(words.to_vec()).unwrap());
            true
        });
        assert_eq!(said, ["(lines lost: 3)", "d", "e"]);
        line.take(b"f\n", |_| false);
        line.finish(|words| {
            assert_eq!(words, b"(lines lost: 1)");
            true
        });
    }
}
