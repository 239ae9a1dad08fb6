//! How long the loop sleeps when nothing happens.
//!
//! Owns the one place that knows what is due by itself. It must not do any of it. Invariant:
//! whatever is due by time, or looked at again because nobody tells of it, is in it.

use super::Reactor;
use super::net::Net;
use crate::connection::time::Ms;
use crate::report::sink;

/// While somebody waits, the loop looks at least this often whether a grace is over.
const PRESSURE_MS: u32 = 100;

/// A work that waits for another looks at least this often whether its turn has come.
const PATIENCE_MS: u32 = 10;

impl<N: Net> Reactor<N> {
    /// How long poll may sleep.
    pub(super) fn timeout_ms(&self, now: Ms) -> Option<u32> {
        if !self.runnable.is_empty() || self.may_accept(now) {
            return Some(0);
        }
        let mut sleep_ms = self.timers.sleep_ms(now);
        if !self.patient.is_empty() {
            sleep_ms = Some(sleep_ms.unwrap_or(u32::MAX).min(PATIENCE_MS));
        }
        let dismisses = self.stop.is_some_and(|stop| stop.dismisses);
        let pressed = !self.waiting.is_empty() || self.door.is_ready(now) || dismisses;
        if pressed || sink::pending() || self.access_waits() {
            sleep_ms = Some(sleep_ms.unwrap_or(u32::MAX).min(PRESSURE_MS));
        }
        let others = [
            self.door.paused_until(),
            self.stop.map(|stop| stop.deadline),
            self.herald.next_beat(),
            self.credentials.due(),
            self.cache.due(),
            self.scripts_due(now),
        ];
        let never = Ms(u64::MAX);
        let next = others
            .into_iter()
            .fold(never, |next, at| next.min(at.unwrap_or(never)));
        let wait_ms = u32::try_from(next.since(now)).unwrap_or(u32::MAX);
        match sleep_ms {
            None if next == never => None,
            sleep_ms => Some(sleep_ms.unwrap_or(u32::MAX).min(wait_ms)),
        }
    }
}
