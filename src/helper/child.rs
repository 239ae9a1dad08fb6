//! The helper's own life.
//!
//! Owns what it is between fork(2) and its end; when a hash is computed is `spare`'s matter. It
//! must not return into what the server was doing, log, or drop anything of the server's.
//! Invariants: it ends when the pair does, or when something comes through it that no server of
//! ours says; one question is at work at a time; whatever goes wrong, nobody is let in by it.

use super::htpasswd::Files;
use super::message::{self, FRAME_BYTES, Read, Verdict};
use super::spare::Spare;
use crate::sys::{pair, process, signal};
use std::os::fd::{AsFd, OwnedFd};

/// What ps(1) calls it.
const NAME: &std::ffi::CStr = c"adieu-helper";
/// The code of an end that was asked for.
const DONE: u8 = 0;
/// The code of every other one.
const BROKEN: u8 = 1;

/// A panic ends the process, where it would unwind into the server's code.
pub(super) struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        process::end(BROKEN)
    }
}

/// Lives as the helper, at this end of the pair.
pub(super) fn live(end: &OwnedFd) -> ! {
    let _last = Last;
    // First, for a signal to the group must find none of the server's handlers.
    if signal::ignore().is_err() {
        process::end(BROKEN);
    }
    process::close_others(end.as_fd());
    process::lower_priority();
    // Without a name of its own it works as well.
    let _ = process::set_name(NAME);
    process::end(work(end))
}

/// Answers until the pair ends; the code to end with.
fn work(end: &OwnedFd) -> u8 {
    let mut files = Files::default();
    let mut spare = Spare::start();
    // One byte more, so that what is too long is seen.
    let mut room = [0; FRAME_BYTES + 1];
    loop {
        let words = match pair::wait_for(end.as_fd(), &mut room) {
            Ok(0) | Err(_) => return DONE,
            Ok(count) => room.get(..count).unwrap_or_default(),
        };
        let (id, verdict) = match message::read(words) {
            Some(Read::Password(id, question)) => (id, files.verdict(&question, &mut spare)),
            Some(Read::Unknown(id)) => (id, Verdict::Failed),
            None => return BROKEN,
        };
        // The password is gone when the next question comes.
        room.fill(0);
        if pair::tell(end.as_fd(), &message::answer(id, verdict)).is_err() {
            return DONE;
        }
    }
}
