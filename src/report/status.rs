//! The status of the server at one moment, and its forms.
//!
//! Owns [`Snapshot`] and how it is cut into pieces; each form is a file beside this one. It must
//! not ask anybody: the reactor fills it. Invariants: a snapshot does not change, so its text is
//! the same whenever it is written; writing allocates nothing; what is not known is said to be
//! unknown, and is never a zero.

mod json;
mod metrics;
mod page;
mod text;
mod window;

pub use page::POLICY;

use super::counters::Counters;
use super::goodbyes::Goodbyes;
use crate::config::Plan;
use crate::config::status::Form;
use crate::connection::state::State;
use std::fmt;
use std::rc::Rc;
use window::Window;

/// Something of which there is so much and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name in every form.
    pub name: &'static str,
    /// Taken now.
    pub used: u64,
    /// How many there are.
    pub most: u64,
    /// The most that were taken at once since the start; `None`: nobody counts it.
    pub peak: Option<u64>,
    /// The line of the memory plan that it is; empty for none.
    pub plan: &'static str,
}

/// How many pools there are.
pub const POOLS: usize = 7;

/// The states of a TCP socket that are told apart, by the kernel's numbers from 1 on
/// (`net/tcp_states.h`): 12 is a handshake that is not over, as 3 is.
pub const TCP_STATES: [&str; 12] = [
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "close",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
    "new-syn-recv",
];

/// What the kernel has of our TCP ports, whoever opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// In the order of [`TCP_STATES`].
    pub states: [u32; TCP_STATES.len()],
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// Memory of what was received and not read, bytes.
    pub receive_bytes: u64,
    /// Memory of what was sent and not acknowledged, bytes.
    pub send_bytes: u64,
}

impl Sockets {
    /// Each state, and how many are in it.
    fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.states.iter().map(|n| u64::from(*n));
        TCP_STATES.iter().copied().zip(counts)
    }
}

/// What the kernel says of TCP as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Sockets that nobody owns any more.
    pub orphans: u64,
    /// Memory of all TCP buffers, bytes.
    pub memory_bytes: u64,
}

/// What was found out about the kernel. `None`: it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Our ports.
    pub sockets: Option<Sockets>,
    /// All of TCP: the whole machine.
    pub host: Option<Host>,
    /// Memory of this process that is there, bytes: without its helpers.
    pub resident_bytes: Option<u64>,
    /// How old the first one is, ms.
    pub age_ms: u64,
}

/// The server at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The number of the process.
    pub pid: u32,
    /// Since the start, ms.
    pub uptime_ms: u64,
    /// Seconds since 1970; `None` while the clock is not set.
    pub unix_s: Option<i64>,
    /// It stops, or has handed over.
    pub stopping: bool,
    /// Live connections, in the order of [`State::ALL`].
    pub states: [u16; State::ALL.len()],
    /// What there is of everything; the slots first.
    pub pools: [Pool; POOLS],
    /// What was counted.
    pub counters: Counters,
    /// How goodbyes went.
    pub goodbyes: Goodbyes,
    /// The kernel.
    pub survey: Survey,
    /// The memory plan.
    pub plan: Rc<Plan>,
}

impl Snapshot {
    /// Writes what follows the first `from` bytes of this form to the front of `room`: how many
    /// bytes, and whether they are the last.
    pub fn write(&self, form: Form, from: usize, room: &mut [u8]) -> (usize, bool) {
        let mut window = Window::new(from, room);
        let written = match form {
            Form::Page => page::write(self, &mut window),
            Form::Json => json::write(self, &mut window),
            Form::Metrics => metrics::write(self, &mut window),
            Form::Text => text::write(self, &mut window),
        };
        (window.len(), written.is_ok())
    }

    /// Live connections by state, without the state that none is in.
    fn states(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = State::ALL.iter().map(|state| state_name(*state));
        let all = names.zip(self.states.iter().map(|n| u64::from(*n)));
        all.filter(|(name, _)| *name != state_name(State::Closed))
    }

    /// What is used of a line of the memory plan, bytes, where that is known.
    fn used_bytes(&self, what: &str, unit_bytes: u64) -> Option<u64> {
        let sockets = self.survey.sockets.as_ref();
        match what {
            "beside the slots" | "connections: objects" => {
                Some(self.pool_used(0).saturating_mul(unit_bytes))
            }
            "connections: receive" => sockets.map(|all| all.receive_bytes),
            "connections: send" => sockets.map(|all| all.send_bytes),
            "accept queue" => sockets.map(|all| u64::from(all.waiting).saturating_mul(unit_bytes)),
            _ => {
                let mut pools = self.pools.iter();
                let pool = pools.find(|pool| !pool.plan.is_empty() && pool.plan == what);
                pool.map(|pool| pool.used.saturating_mul(unit_bytes))
            }
        }
    }

    fn pool_used(&self, at: usize) -> u64 {
        self.pools.get(at).map_or(0, |pool| pool.used)
    }
}

/// The name of a state in every form.
#[must_use]
pub const fn state_name(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Head => "head",
        State::Verify => "verify",
        State::Queue => "queue",
        State::Body => "body",
        State::Store => "store",
        State::Script => "script",
        State::Relay => "relay",
        State::Respond => "respond",
        State::Rest => "rest",
        State::Linger => "linger",
        State::Closed => "closed",
    }
}

/// A number that may be unknown: in JSON `null`, for people `unknown`.
struct Perhaps(Option<u64>, &'static str);

impl fmt::Display for Perhaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str(self.1),
        }
    }
}

#[cfg(test)]
mod tests;
