//! The starter's own life.
//!
//! Owns what it is between fork(2) and its end: it waits for orders, ends of scripts and their
//! standard error, all at once. It must not return into what the server was doing, log, or drop
//! anything of the server's. Invariants: it ends when the pair does, when all its scripts have; it
//! never waits for a script, nor for the server to listen; no report of an end is lost, but lines
//! may be, and are counted.

use super::frame::{self, FRAME_BYTES, LAUNCH};
use super::message::{self, REPORT_BYTES, SYNC};
use super::running::{self, Confinement, Running};
use crate::sys::signal::Children;
use crate::sys::{clock, poll, process, rights, signal, socket};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What ps(1) calls it.
const NAME: &std::ffi::CStr = c"adieu-starter";
/// The code of an end that was asked for.
const DONE: u8 = 0;
/// The code of every other one.
const BROKEN: u8 = 1;
/// The errno of a launch whose descriptors were lost, for this process may have no more.
const EMFILE: i32 = 24;
/// Scripts that may wait to be killed are waited for at the end of the server, ms; then they are
/// killed whatever was said.
const LAST_MS: u64 = 60_000;

/// A panic ends the process, where it would unwind into the server's code. Its scripts are killed
/// with it.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        process::end(BROKEN)
    }
}

/// Lives as the starter, at this end of the pair.
pub(super) fn live(end: &OwnedFd, confinement: &Confinement) -> ! {
    let _last = Last;
    // First, for a signal to the group must find none of the server's handlers.
    if signal::ignore().is_err() {
        process::end(BROKEN);
    }
    process::close_others(end.as_fd());
    // Without a name of its own it works as well.
    let _ = process::set_name(NAME);
    let Ok(children) = Children::watch() else {
        process::end(BROKEN)
    };
    let starter = Starter {
        end: end.as_fd(),
        confinement,
        scripts: Vec::new(),
        reports: VecDeque::new(),
        gone: false,
        end_by: None,
    };
    process::end(starter.work(&children))
}

struct Starter<'e> {
    end: BorrowedFd<'e>,
    /// What scripts may do.
    confinement: &'e Confinement,
    scripts: Vec<Running>,
    /// Reports that found no room yet.
    reports: VecDeque<Vec<u8>>,
    /// Nobody gives orders any more.
    gone: bool,
    /// By then all is over, ms of the monotonic clock.
    end_by: Option<u64>,
}

impl Starter<'_> {
    /// Works until the pair ends; the code to end with.
    fn work(mut self, children: &Children) -> u8 {
        loop {
            let now = clock::monotonic_ms();
            self.kill(now);
            self.tell();
            if self.gone && self.scripts.is_empty() {
                return DONE;
            }
            let Ok(ready) = self.wait(children, now) else {
                return BROKEN;
            };
            let mut ready = ready.into_iter();
            let order = ready.next().unwrap_or(false);
            let child = ready.next().unwrap_or(false);
            // What was said first, so that it is there before the end is.
            let heard = ready.by_ref();
            for (script, _) in self.scripts.iter_mut().zip(heard).filter(|(_, said)| *said) {
                script.listen(self.end);
            }
            if child {
                children.seen();
                self.look();
            }
            if order && !self.gone {
                self.order(clock::monotonic_ms());
            }
        }
    }

    /// Waits for anything: which of the pair, the children and the scripts, in this order.
    fn wait(&self, children: &Children, now: u64) -> std::io::Result<Vec<bool>> {
        let mut asked = Vec::with_capacity(self.scripts.len() + 2);
        let writes = !self.reports.is_empty();
        // One that is gone would be ready for ever; its place is kept by what is ready anyway.
        let pair = if self.gone { children.fd() } else { self.end };
        asked.push((pair, writes && !self.gone));
        asked.push((children.fd(), false));
        let silent = children.fd();
        let said = self.scripts.iter().map(|one| one.fd().unwrap_or(silent));
        asked.extend(said.map(|fd| (fd, false)));
        let due = self.scripts.iter().filter_map(Running::kill_at).min();
        let due = due.into_iter().chain(self.end_by).min();
        poll::wait(&asked, due.map(|due| due.saturating_sub(now)))
    }

    /// Sends what waits.
    fn tell(&mut self) {
        while let Some(report) = self.reports.front() {
            match socket::send(self.end, report, false) {
                Err(error) if rights::is_for_now(&error) && !self.gone => return,
                // Nobody is there to hear it.
                Ok(_) | Err(_) => self.reports.pop_front(),
            };
        }
    }

    /// Takes one order.
    fn order(&mut self, now: u64) {
        // One byte more, so that what is too long is seen.
        let mut room = [0; FRAME_BYTES + 1];
        let received = rights::look(self.end, &mut room);
        let (count, fds) = match received {
            Ok((0, _)) => return self.end_all(now),
            Ok(received) => received,
            // It was ready for being written to.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if rights::is_too_long(&error) => {
                // The descriptors were lost, but not the words.
                let rest = match room.split_first() {
                    Some((&LAUNCH, rest)) => rest.get(1..), // the flags
                    Some((&SYNC, rest)) => Some(rest),
                    Some(_) | None => None,
                };
                let ticket = rest.and_then(frame::number);
                match ticket {
                    Some((ticket, _)) => self.report(&message::failed(ticket, EMFILE)),
                    None => self.end_all(now),
                }
                return;
            }
            Err(_) => return self.end_all(now),
        };
        let words = room.get(..count).unwrap_or_default();
        if let Some(ticket) = message::read_end(words) {
            for script in &mut self.scripts {
                script.terminate(Some(ticket), now);
            }
            return;
        }
        if let Some(ticket) = message::read_sync(words) {
            match running::sync(ticket, fds) {
                Ok(one) => self.scripts.push(one),
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(0);
                    self.report(&message::failed(ticket, errno));
                }
            }
            return;
        }
        let Some(launch) = frame::read(words) else {
            // No server of ours says so.
            return self.end_all(now);
        };
        match running::start(&launch, fds, self.confinement) {
            Ok(script) => self.scripts.push(script),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                self.report(&message::failed(launch.ticket, errno));
            }
        }
    }

    fn report(&mut self, report: &[u8]) {
        self.reports.push_back(report.to_vec());
    }

    /// The server is gone, or wants no scripts any more.
    fn end_all(&mut self, now: u64) {
        self.gone = true;
        self.end_by = Some(now.saturating_add(LAST_MS));
        for script in &mut self.scripts {
            script.terminate(None, now);
        }
    }

    /// Looks which scripts have ended.
    fn look(&mut self) {
        for script in &mut self.scripts {
            let Some(how) = script.look(self.end) else {
                continue;
            };
            // Of lines that found no room the number finds some, sooner or later.
            if let Some(note) = script.lost() {
                let mut room = [0; REPORT_BYTES];
                let words = message::said(&mut room, script.ticket(), note.as_bytes());
                self.reports.push_back(words.to_vec());
            }
            let report = message::ended(script.ticket(), how);
            self.reports.push_back(report.to_vec());
        }
        self.scripts.retain(|script| !script.is_over());
    }

    /// Kills those whose grace is over.
    fn kill(&mut self, now: u64) {
        let last = self.end_by.is_some_and(|end_by| now >= end_by);
        for script in &mut self.scripts {
            script.kill(now, last);
        }
        self.scripts.retain(|script| !script.is_over());
        if last {
            // Who cannot be killed waits in the kernel, and ends there.
            self.scripts.clear();
        }
    }
}

/// Sends a line of a script, if there is room for it.
pub(super) fn say(end: BorrowedFd<'_>, ticket: u32, line: &[u8]) -> bool {
    let mut room = [0; REPORT_BYTES];
    let words = message::said(&mut room, ticket, line);
    socket::send(end, words, false).is_ok()
}
