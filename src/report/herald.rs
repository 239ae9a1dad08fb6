//! What the supervisor is told: that the server serves, reloads, stops, lives (sd_notify(3)).
//!
//! Owns the words and the rhythm of the watchdog. It must not decide when the server is ready, nor
//! look for the supervisor. Invariants: nothing here waits, and what a supervisor does not take is
//! lost; without a supervisor every call is free.

use crate::connection::time::Ms;
use crate::sys::clock;
use crate::sys::notify::Notify;

/// Tells the supervisor. The default one has none.
#[derive(Debug, Default)]
pub struct Herald {
    supervisor: Option<Notify>,
    /// How often it wants to hear that the loop turns, ms; 0: never.
    beat_ms: u32,
    next: Option<Ms>,
}

impl Herald {
    /// Tells this supervisor, and that the loop turns every `beat_ms` (0: never).
    #[must_use]
    pub fn new(supervisor: Option<Notify>, beat_ms: u32) -> Self {
        Self {
            supervisor,
            beat_ms,
            next: None,
        }
    }

    /// The server serves. Its process may be another than the one that was started.
    pub fn ready(&mut self, now: Ms) {
        let pid = std::process::id();
        self.tell(&format!("READY=1\nMAINPID={pid}"));
        if self.supervisor.is_some() && self.beat_ms > 0 {
            self.next = Some(now.after(self.beat_ms));
        }
    }

    /// It reads its configuration; [`Herald::ready`] follows.
    pub fn reloading(&self) {
        let now_us = clock::monotonic_us();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    /// It stops.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The loop turns.
    pub fn beat(&mut self, now: Ms) {
        if self.next.is_some_and(|next| now >= next) {
            self.next = Some(now.after(self.beat_ms));
            self.tell("WATCHDOG=1");
        }
    }

    /// When the loop must turn again.
    #[must_use]
    pub fn next_beat(&self) -> Option<Ms> {
        self.next
    }

    fn tell(&self, words: &str) {
        if let Some(supervisor) = &self.supervisor {
            let _ = supervisor.send(words.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::notify;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn supervisor(name: &str) -> (UnixDatagram, Notify) {
        let name = format!("adieu-herald-{}-{name}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let notify = notify::connect(format!("@{name}").as_ref()).unwrap();
        (socket, notify)
    }

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut room = [0; 200];
        let mut all = Vec::new();
        while let Ok(count) = socket.recv(&mut room) {
            all.push(String::from_utf8(room[..count].to_vec()).unwrap());
        }
        all
    }

    #[test]
    fn it_tells_what_happens_and_beats_in_time() {
        let (socket, notify) = supervisor("beats");
        let mut herald = Herald::new(Some(notify), 500);
        herald.beat(Ms(0));
        assert_eq!(herald.next_beat(), None, "nothing before it serves");
        herald.ready(Ms(100));
        let ready = format!("READY=1\nMAINPID={}", std::process::id());
        assert_eq!(heard(&socket), [ready]);
        assert_eq!(herald.next_beat(), Some(Ms(600)));
        herald.beat(Ms(599));
        assert!(heard(&socket).is_empty());
        herald.beat(Ms(700));
        assert_eq!(heard(&socket), ["WATCHDOG=1"]);
        assert_eq!(herald.next_beat(), Some(Ms(1200)));
        herald.reloading();
        herald.stopping();
        let said = heard(&socket);
        assert!(said[0].starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(said[1], "STOPPING=1");
    }

    #[test]
    fn without_a_watchdog_or_a_supervisor_it_asks_for_no_turn() {
        let (socket, notify) = supervisor("none");
        for mut herald in [Herald::new(Some(notify), 0), Herald::new(None, 500)] {
            herald.ready(Ms(0));
            herald.beat(Ms(10_000));
            assert_eq!(herald.next_beat(), None);
        }
        assert_eq!(heard(&socket).len(), 1);
    }

    #[test]
    fn a_supervisor_that_is_gone_or_full_costs_nothing() {
        let (socket, notify) = supervisor("full");
        let mut herald = Herald::new(Some(notify), 1);
        herald.ready(Ms(0));
        for turn in 1..10_000 {
            herald.beat(Ms(turn));
        }
        assert!(heard(&socket).len() < 10_000);
        drop(socket);
        herald.stopping();
    }
}
