//! The process that starts scripts, and what it reports.
//!
//! Owns the starter's employment and replacement, and what its reports mean for those who wait. It
//! must not start a script itself. Invariant: when there is no starter, no script is waited for.

use super::running::Phase;
use super::table::Scripts;
use crate::config::{Config, StartError};
use crate::connection::time::{Ms, Turn};
use crate::maker::Maker;
use crate::reactor::Reactor;
use crate::reactor::confined::{MAKER_CURE, NO_MAKER};
use crate::reactor::net::{Net, Token};
use crate::script::{self, Heard, How, Starter};

/// A starter that has ended is replaced after this.
const REST_MS: u32 = 1_000;
/// Reports that are taken in one turn: a script may write errors faster than they are logged.
const REPORTS_PER_TURN: usize = 64;

/// Starts the starter that `config` needs.
///
/// # Errors
/// The build has none, or the system has no room for a process.
pub fn start_starter(maker: &Maker, config: &Config) -> Result<Starter, StartError> {
    maker.starter().map_err(|error| {
        let (key, work, feature) = match config.runs_scripts() {
            true => ("site.scripts", "starts scripts", "cgi"),
            false => ("upload.sync", "waits for disks", "upload"),
        };
        match script::STARTER_BUILT {
            true if maker.is_missing(&error) => StartError::runtime(key, NO_MAKER, MAKER_CURE),
            true => {
                let what = format!("no process that {work}: {error}");
                let cure = format!("free memory for one more process, or take {key} away");
                StartError::runtime(key, what, cure)
            }
            false => {
                let what = format!("this build has no process that {work}");
                let cure = format!("build adieu with the feature {feature}, or take {key} away");
                StartError::runtime(key, what, cure)
            }
        }
    })
}

/// What a report means.
enum News {
    Nothing,
    /// The script at this place has ended, or never began.
    Over(u16),
    /// What was under this ticket has ended with this code, and was no script.
    Other(u32, u8),
    /// All have.
    Gone,
}

impl Scripts {
    /// There is a starter, or there will be one again.
    pub(in crate::reactor) fn has_starter(&self) -> bool {
        self.starter.is_some() || self.replace_at.is_some()
    }

    /// A script runs, or a file is on its way to its disk.
    fn is_busy(&self) -> bool {
        self.syncing > 0 || self.stalls.iter().any(|stall| stall.running.is_some())
    }

    fn place_of(&mut self, ticket: u32) -> Option<u16> {
        self.running()
            .find(|(one, _)| one.ticket == ticket)
            .map(|(_, at)| at)
    }

    /// Takes the next report; `None`: there is none.
    fn hear(&mut self) -> Option<News> {
        let heard = self.starter.as_mut()?.hear(&mut self.room);
        let (ticket, phase) = match heard {
            Heard::Nothing => return None,
            Heard::Gone => return Some(News::Gone),
            Heard::Ended(ticket, How::Exited(_)) => (ticket, Phase::Ended),
            Heard::Ended(ticket, How::Killed(_)) => (ticket, Phase::Cut),
            Heard::Failed(ticket, _) => (ticket, Phase::Failed),
            Heard::Said(ticket, line) => {
                let name = self
                    .stalls
                    .iter()
                    .filter_map(|stall| stall.running.as_ref())
                    .find(|one| one.ticket == ticket)
                    .map_or(&b"that has ended"[..], |one| one.name.as_bytes());
                let (name, line) = (name.escape_ascii(), line.escape_ascii());
                log::warn!("script {name}: {line}");
                return Some(News::Nothing);
            }
        };
        let told: Option<(&str, i32)> = match heard {
            Heard::Ended(_, How::Exited(0)) => None,
            Heard::Ended(_, How::Exited(code)) => Some(("ended with code", code.into())),
            Heard::Ended(_, How::Killed(signal)) => Some(("was ended by signal", signal.into())),
            Heard::Failed(_, errno) => Some(("could not be started: error", errno)),
            Heard::Nothing | Heard::Gone | Heard::Said(..) => None,
        };
        let code = match heard {
            Heard::Ended(_, How::Exited(code)) => code,
            Heard::Ended(_, How::Killed(_))
            | Heard::Failed(..)
            | Heard::Nothing
            | Heard::Gone
            | Heard::Said(..) => u8::MAX,
        };
        let Some(at) = self.place_of(ticket) else {
            self.syncing = self.syncing.saturating_sub(1);
            return Some(News::Other(ticket, code));
        };
        let running = self.get_mut(at)?;
        running.phase = phase;
        running.readable = true;
        // How it ended once nobody waited for it any more is its own matter.
        let told = told.filter(|_| running.slot.is_some() && !running.told);
        if let Some((what, number)) = told {
            log::warn!(
                "script {} {what} {number}",
                running.name.as_bytes().escape_ascii()
            );
        }
        Some(News::Over(at))
    }
}

impl<N: Net> Reactor<N> {
    /// From now on this starter starts scripts; `None`: nobody, until the next attempt.
    pub fn employ_starter(&mut self, starter: Option<Starter>) {
        let now = self.net.now();
        self.scripts.replace_at = match starter {
            Some(_) => None,
            None => Some(now.after(REST_MS)),
        };
        self.scripts.starter = starter;
        if let Some(starter) = &self.scripts.starter
            && let Err(error) = self.net.watch_script(starter.fd(), Token::Starter)
        {
            log::error!("the process that starts scripts cannot be watched: {error}");
        }
    }

    /// The starter has said something.
    pub(in crate::reactor) fn reports(&mut self, turn: &Turn<'_>) {
        if !script::STARTER_BUILT {
            return;
        }
        self.scripts.unheard = false;
        for _ in 0..REPORTS_PER_TURN {
            match self.scripts.hear() {
                None => return,
                Some(News::Nothing) => {}
                Some(News::Over(at)) => self.script_over(at, turn),
                Some(News::Other(ticket, code)) => self.synced(ticket, code, turn),
                Some(News::Gone) => {
                    log::error!("the process that starts scripts has ended, and they with it");
                    if let Some(gone) = self.scripts.starter.take() {
                        self.scripts.see_off(gone);
                    }
                    self.scripts.replace_at = Some(turn.now.after(REST_MS));
                    self.scripts.syncing = 0;
                    for at in 0..u16::try_from(self.scripts.stalls.len()).unwrap_or(0) {
                        if let Some(running) = self.scripts.get_mut(at) {
                            running.phase = Phase::Cut;
                            running.readable = true;
                            self.script_over(at, turn);
                        }
                    }
                    self.nothing_is_synced(turn);
                    return;
                }
            }
        }
        self.scripts.unheard = true;
    }

    /// Takes what the last turn has left.
    pub(in crate::reactor) fn hear_on(&mut self, turn: &Turn<'_>) {
        if self.scripts.unheard {
            self.reports(turn);
        }
    }

    /// The process of a script has ended: what it wrote is read to its end.
    fn script_over(&mut self, at: u16, turn: &Turn<'_>) {
        let slot = self.scripts.get_mut(at).and_then(|running| running.slot);
        match slot {
            Some(index) => self.drive(index, turn),
            None => {
                self.scripts.vacate(at);
            }
        }
    }

    /// Once a turn: one that nobody needs goes when its last script has, and another one is started
    /// when one has ended, not more often than once a second.
    pub(in crate::reactor) fn tend_starter(&mut self, now: Ms) {
        if !script::STARTER_BUILT {
            return;
        }
        self.scripts.gone.retain_mut(|gone| !gone.reap());
        if !self.scripts.wanted {
            self.scripts.replace_at = None;
            if !self.scripts.is_busy()
                && let Some(starter) = self.scripts.starter.take()
            {
                self.scripts.turn_away(starter);
            }
            return;
        }
        if self.scripts.replace_at.is_none_or(|at| now < at) {
            return;
        }
        let starter = start_starter(&self.confined.maker, &self.config);
        match &starter {
            Ok(_) => {
                self.confined.made();
                log::info!("another process starts scripts");
            }
            Err(error) => self.confined.not_made(error),
        }
        self.employ_starter(starter.ok());
    }
}
