//! Scripts on their way.
//!
//! Owns when each begins, who waits for a place, and when each must end. The places are `table`'s
//! matter, what a script is told and says `relay`'s and `head`'s, the process that starts them
//! `starter`'s. It must not know what a script is asked, or fork. Invariants: a slot has a place
//! while its script has something to do for it; whoever waits in the queue is in the state Queue;
//! when the slot of an unfinished script goes, the script is told to end.

mod head;
mod relay;
mod running;
mod starter;
mod table;

pub use starter::start_starter;
pub(super) use table::{BYTES_EACH, Scripts};

use super::Reactor;
use super::net::{Net, Token};
use super::places::Place;
use crate::connection::Size;
use crate::connection::reason::{RETRY_AFTER_S, Reject};
use crate::connection::reply::{Reply, Status};
use crate::connection::time::{Ms, Turn};
use crate::report::access::Begun;
use crate::script::BUILT;
use crate::site;
use running::{Phase, Running, Voice};
use std::os::fd::AsFd;

/// A script whose output has ended is waited for this long, to hear how its process ended, ms.
const SILENT_MS: u32 = 250;
/// When a script is told to end once more, if the starter took no word, ms.
const TELL_MS: u32 = 1_000;
/// How often it is looked whether a starter that has ended is gone, ms.
const REAP_MS: u32 = 50;

/// The answer in place of a script that cannot.
pub(super) fn instead(status: Status, reply: &mut Reply<'_>) -> site::Content {
    reply.status(status);
    if status == Status::SERVICE_UNAVAILABLE {
        reply.field_number("Retry-After", RETRY_AFTER_S);
    }
    site::Content::Page
}

impl<N: Net> Reactor<N> {
    /// The script of a slot is on its way: its pipes are watched.
    pub(super) fn begin_script(&mut self, index: u16, at: u16, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index).filter(|_| BUILT) else {
            return;
        };
        slot.holds = Some(Place::Script(at));
        slot.offset = 0;
        self.counters.script();
        if let Some(running) = self.scripts.get_mut(at) {
            running.slot = Some(index);
        }
        if self
            .slots
            .get(index)
            .is_some_and(|slot| slot.connection.is_stored())
        {
            self.note_silence(index);
        }
        self.watch_script(index, at, turn);
    }

    fn watch_script(&mut self, index: u16, at: u16, turn: &Turn<'_>) {
        let Some(stall) = self.scripts.stalls.get(usize::from(at)) else {
            return;
        };
        let Some(running) = stall
            .running
            .as_ref()
            .filter(|one| one.phase == Phase::Running)
        else {
            return;
        };
        let ends = [(&running.input, true), (&running.output, false)];
        for (fd, input) in ends
            .into_iter()
            .filter_map(|(fd, input)| Some((fd.as_ref()?, input)))
        {
            let generation = stall.generation;
            let token = Token::Script {
                at,
                input,
                generation,
            };
            if let Err(error) = self.net.watch_script(fd.as_fd(), token) {
                log::error!("a script cannot be watched: {error}");
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.connection.broken(turn);
                }
                return;
            }
        }
    }

    /// A pipe of a script can be read or written again.
    pub(super) fn script_moved(&mut self, at: u16, input: bool, generation: u16, turn: &Turn<'_>) {
        let stall = self.scripts.stalls.get_mut(usize::from(at));
        let Some(stall) = stall.filter(|stall| BUILT && stall.generation == generation) else {
            return; // of a script that is gone
        };
        let Some(running) = &mut stall.running else {
            return;
        };
        match input {
            true => running.writable = true,
            false => running.readable = true,
        }
        if let Some(index) = running.slot {
            self.drive(index, turn);
        }
    }

    /// The request is whole: if it never has an answer, that is the script's matter.
    fn note_silence(&mut self, index: u16) {
        if let Some(access) = &mut self.access {
            let begun = Begun {
                status: Status::BAD_GATEWAY,
                size: Size::default(),
                open: true,
            };
            access.replace(index, begun);
        }
    }

    /// The body that was kept for a script is whole.
    pub(super) fn start_spooled(&mut self, index: u16, at: u16, turn: &Turn<'_>) {
        let Some(bytes) = self.slots.get(index).map(|slot| slot.offset) else {
            return;
        };
        let launched = self.scripts.launch_spooled(at, bytes, turn.now);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        match launched {
            Ok(()) => {
                slot.connection.hand_to_script(turn);
                self.note_silence(index);
                self.watch_script(index, at, turn);
            }
            Err(status) => self.answer_for_script(index, status, turn),
        }
    }

    /// The slot of a script does not need it any more.
    pub(super) fn leave_script(&mut self, at: u16) {
        let Some(running) = self.scripts.get_mut(at) else {
            return;
        };
        running.slot = None;
        if running.phase == Phase::Spooling {
            running.phase = Phase::Failed;
        }
        // One that is cut off neither takes what it has of its body for the whole, nor ends by
        // itself for want of a reader, and leaves its children alone: it is told to end.
        if running.finished {
            running.input = None;
            running.output = None;
        }
        if !running.finished {
            self.scripts.tell_to_end(at);
        }
        self.scripts.vacate(at);
    }

    /// Lets those who wait have the places that are free, and ends scripts that have had their
    /// time.
    pub(super) fn tend_scripts(&mut self, turn: &Turn<'_>) {
        if !BUILT {
            return;
        }
        while let Some(index) = self.scripts.next_waiter() {
            let placed = self
                .slots
                .get_mut(index)
                .is_some_and(|slot| slot.connection.placed(turn));
            if placed {
                self.drive(index, turn);
            }
        }
        for at in 0..u16::try_from(self.scripts.stalls.len()).unwrap_or(0) {
            let Some(running) = self.scripts.get_mut(at) else {
                continue;
            };
            if let Voice::Silent(since) = running.voice
                && turn.now >= since.after(SILENT_MS)
            {
                running.voice = Voice::Mute;
                if let Some(index) = running.slot {
                    self.drive(index, turn);
                }
                continue;
            }
            let unfinished = running.slot.is_none() && !running.finished;
            let due = turn.now >= running.until;
            if running.phase != Phase::Running || !(due || unfinished) || running.told {
                continue;
            }
            // Where the starter takes no word now it is told again then.
            running.until = turn.now.after(TELL_MS);
            let (slot, name) = (running.slot, running.name);
            self.scripts.tell_to_end(at);
            if let Some(index) = slot.filter(|_| due) {
                let name = name.as_bytes().escape_ascii();
                log::warn!("the script {name} has had its time (script.total_ms)");
                self.cut_script(index, Reject::LateScript, turn);
            }
        }
    }

    /// When [`Reactor::tend_scripts`] has something to do.
    pub(super) fn scripts_due(&self, now: Ms) -> Option<Ms> {
        let stalls = self.scripts.stalls.iter();
        let running = stalls.filter_map(|stall| stall.running.as_ref());
        let running = running.filter(|one| one.phase == Phase::Running && !one.told);
        let unheard = self.scripts.unheard.then_some(now);
        let reaps = (!self.scripts.gone.is_empty()).then(|| now.after(REAP_MS));
        let others = [self.scripts.replace_at, reaps, unheard];
        let others = others.into_iter().flatten();
        let until = |one: &Running| match one.voice {
            Voice::Silent(since) => one.until.min(since.after(SILENT_MS)),
            Voice::Speaks | Voice::Mute => one.until,
        };
        running.map(until).chain(others).min()
    }

    /// The answer of a script ends here, whole or not: refused if it has not begun, reset if it
    /// has.
    fn cut_script(&mut self, index: u16, reject: Reject, turn: &Turn<'_>) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.connection.fail_script(reject, turn);
        }
        self.drive(index, turn);
    }
}
