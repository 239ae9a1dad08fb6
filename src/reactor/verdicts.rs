//! The helper's word on credentials, and the helper itself.
//!
//! Owns who is woken by a verdict, and the replacement of a helper that has ended. It must not know
//! what credentials are. Invariant: a request in Verify stands in the table of those who wait, or
//! its question has its answer and it is about to leave.

use super::Reactor;
use super::confined::{MAKER_CURE, NO_MAKER};
use super::net::Net;
use crate::config::StartError;
use crate::connection::time::Turn;
use crate::helper::{self, Helper};
use crate::maker::Maker;

/// Starts a helper.
///
/// # Errors
/// The build has none, or the system has no room for a process.
pub fn start_helper(maker: &Maker) -> Result<Helper, StartError> {
    maker.helper().map_err(|error| {
        let (what, cure) = match helper::BUILT {
            true if maker.is_missing(&error) => (NO_MAKER.to_owned(), MAKER_CURE),
            true => (
                format!("no helper that looks at passwords: {error}"),
                "free memory for one more process, or take site.auth away",
            ),
            false => (
                "this build has no helper that looks at passwords".to_owned(),
                "build adieu with the feature auth, or take site.auth away",
            ),
        };
        StartError::runtime("site.auth", what, cure)
    })
}

impl<N: Net> Reactor<N> {
    /// From now on this helper is asked; `None`: nobody, until the next attempt.
    pub fn employ(&mut self, helper: Option<Helper>) {
        let now = self.net.now();
        self.credentials.employ(helper, now);
        if let Some(fd) = self.credentials.fd()
            && let Err(error) = self.net.watch_helper(fd)
        {
            log::error!("the helper cannot be watched: {error}");
        }
    }

    /// The helper has said something: who waited for it is answered.
    pub(super) fn verdicts(&mut self, turn: &Turn<'_>) {
        if self.credentials.hear(turn.now) {
            log::error!("the helper has ended; requests with passwords get 503 until the next");
        }
        self.wake(turn);
    }

    fn wake(&mut self, turn: &Turn<'_>) {
        while let Some(index) = self.credentials.next_answered() {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.connection.verdict(turn);
            }
            self.drive(index, turn);
        }
    }

    /// Once a turn: what went wrong is told, a helper that says nothing is killed, and another one
    /// started when one has ended, not more often than once a second.
    pub(super) fn tend_helper(&mut self, turn: &Turn<'_>) {
        if self.credentials.kill_if_silent(turn.now) {
            log::error!("the helper says nothing and is killed; requests with passwords get 503");
        }
        // Who asked in vain has found out for others, too, that there is no helper any more.
        self.wake(turn);
        self.tell_unreadable();
        if !self.credentials.wants_another(turn.now) {
            return;
        }
        let helper = start_helper(&self.confined.maker);
        match &helper {
            Ok(_) => {
                self.confined.made();
                self.counters.replace_helper();
                log::info!("another helper looks at passwords");
            }
            Err(error) => self.confined.not_made(error),
        }
        self.employ(helper.ok());
    }

    /// What went wrong while credentials were looked at.
    fn tell_unreadable(&mut self) {
        if let Some(file) = self.credentials.unreadable() {
            let file = String::from_utf8_lossy(file);
            log::error!(
                "{file} cannot be read, so none of its users is let in: it must be a file of at \
                 most 64 KiB that the user of the server may read"
            );
        }
    }
}
