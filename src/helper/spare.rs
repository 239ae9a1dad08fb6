//! Hashes in spare time.
//!
//! Owns who computes a hash: the spare thread, which runs only when nobody else wants the core, so
//! that a guess costs nobody anything; or, where the core is always wanted, the helper itself, ten
//! steps below the others, so that a device with much to do still lets its owner in. It must not
//! know a user or a file. Invariants: each question has one answer, whoever computed it; the spare
//! thread is at one hash at a time; without that thread all is computed as before, only by the
//! helper itself.

use super::hash;
use crate::sys::{clock, process};
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::thread;
use std::time::Duration;

/// How often the spare thread is looked at, ms: a person does not see it.
const LOOK_MS: u64 = 100;
/// It starves if it has less than this part of the time of a core since the question. The helper
/// itself gets a tenth beside one that always runs.
const STARVED: u64 = 8;
/// The stack of the thread, bytes; bcrypt has 4 KiB there. What is not touched costs nothing.
const STACK_BYTES: usize = 256 * 1024;

/// A hash to compute.
struct Work {
    stored: Vec<u8>,
    password: Vec<u8>,
    plain: bool,
}

/// Who computes hashes.
#[derive(Debug, Default)]
pub(super) struct Spare(Option<Worker>);

/// The spare thread, as the helper sees it.
#[derive(Debug)]
struct Worker {
    ask: SyncSender<Work>,
    answers: Receiver<bool>,
    time: clock::ThreadTime,
    /// It is still at a hash that the helper has computed instead.
    behind: bool,
}

impl Spare {
    /// Starts the thread. If it cannot be had, the helper computes.
    pub(super) fn start() -> Self {
        Self::start_when(process::wait_for_spare_time)
    }

    /// The same; `wait` lets the thread that calls it have spare time only.
    fn start_when(wait: fn() -> io::Result<()>) -> Self {
        let (ask, work) = mpsc::sync_channel(1);
        let (tell, answers) = mpsc::sync_channel(1);
        let (hand, time) = mpsc::sync_channel(1);
        let run = move || {
            let known = wait().and_then(|()| clock::ThreadTime::mine());
            // Whatever fails: then there is no spare thread, and the helper goes on.
            let Ok(time) = known else { return };
            let _last = super::child::Last;
            if hand.send(time).is_ok() {
                compute(&work, &tell);
            }
        };
        let started = thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
        let time = started.ok().and_then(|_| time.recv().ok());
        Self(time.map(|time| Worker {
            ask,
            answers,
            time,
            behind: false,
        }))
    }

    /// See [`hash::verify`].
    pub(super) fn verify(&mut self, stored: &[u8], password: &[u8], plain: bool) -> bool {
        let answer = self.0.as_mut().and_then(|worker| {
            let work = Work {
                stored: stored.to_vec(),
                password: password.to_vec(),
                plain,
            };
            worker.verify(work)
        });
        answer.unwrap_or_else(|| hash::verify(stored, password, plain))
    }
}

impl Worker {
    /// The answer, if the thread gets to it.
    fn verify(&mut self, work: Work) -> Option<bool> {
        if self.behind {
            match self.answers.try_recv() {
                Ok(_) => self.behind = false,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
        let (asked_us, had_us) = (clock::monotonic_us(), self.time.spent_us());
        self.ask.send(work).ok()?;
        loop {
            match self.answers.recv_timeout(Duration::from_millis(LOOK_MS)) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) => {
                    let waited_us = clock::monotonic_us().saturating_sub(asked_us);
                    let got_us = self.time.spent_us().saturating_sub(had_us);
                    if got_us.saturating_mul(STARVED) < waited_us {
                        self.behind = true;
                        return None;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

/// The thread's life.
fn compute(work: &Receiver<Work>, tell: &SyncSender<bool>) {
    while let Ok(mut work) = work.recv() {
        let answer = hash::verify(&work.stored, &work.password, work.plain);
        work.password.fill(0);
        if tell.send(answer).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_spare_time_the_helper_goes_on_and_computes() {
        // If not, this process ends here.
        let mut spare = Spare::start_when(|| Err(io::ErrorKind::Unsupported.into()));
        assert!(spare.0.is_none());
        for password in [&b"wonderland"[..], b"wrong"] {
            let stored = b"wonderland";
            let right = hash::verify(stored, password, true);
            assert_eq!(spare.verify(stored, password, true), right);
        }
    }
}
