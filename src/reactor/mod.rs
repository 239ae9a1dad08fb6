//! The shell: one thread, one poll loop, over [`net::Net`].
//!
//! Owns the loop, the slots, the buffer pool, the timers, accepting and evicting. It must not
//! parse, decide what to answer, or block. Invariants:
//! - after [`Reactor::new`] nothing is allocated on the path of a request;
//! - a connection's error never leaves its slot;
//! - whoever stops on a budget while it could go on stands on the run queue: edges come once;
//! - no byte is read before it has a home.

mod accept;
mod access;
mod addresses;
mod answer;
mod bind;
mod buffers;
mod clock;
mod confined;
pub mod control;
mod descriptors;
mod drive;
mod files;
mod growth;
mod home;
mod identity;
pub mod idle_keys;
pub mod kernel;
mod lending;
mod listen_fault;
pub mod listeners;
pub mod net;
pub mod passing;
mod places;
mod queue;
mod reload;
mod rests;
pub mod scripts;
mod sizes;
mod sleep;
mod slots;
pub mod socket_files;
mod status;
mod stop;
mod survey;
pub mod teardown;
mod timers;
mod uploads;
pub mod verdicts;
mod watch;
mod works;

use crate::config::{Config, StartError};
use crate::connection::limits::Limits;
use crate::connection::state::Teardown;
use crate::connection::time::{Ms, Turn, Wall};
use crate::connection::{Need, Read, Write};
use crate::helper::credentials::Credentials;
use crate::report::access::Access;
use crate::report::counters::Counters;
use crate::report::herald::Herald;
use crate::report::sink;
use crate::sandbox;
use crate::site::cache::Cache;
use crate::site::{Site, Work};
use accept::Door;
use addresses::Addresses;
use buffers::Buffers;
use clock::Clock;
use confined::Confined;
use growth::Growth;
use identity::Proxies;
use net::{EVENTS, Event, Look, Net, Token};
use places::Places;
use queue::Queue;
pub use reload::Reread;
use reload::Sites;
use scripts::Scripts;
pub use sizes::sizes;
use slots::Slots;
use status::Showings;
use std::io;
use std::rc::Rc;
use stop::Stop;
use timers::Timers;
use uploads::Kept;

/// A waiter for a buffer, or a client before a full table, makes somebody give way after this.
pub const GRACE_MS: u64 = 1_000;
/// How much of a request is looked at to see whether it is whole; longer heads wait for a buffer.
const PEEK_BYTES: usize = 4096;
/// The loop and all it owns.
pub struct Reactor<N: Net> {
    net: N,
    sites: Sites,
    /// What is in force.
    config: Config,
    reread: Option<Reread>,
    confined: Confined,
    teardown: Teardown,
    limits: Rc<Limits>,
    slots: Slots<N::Socket>,
    buffers: Buffers,
    works: Places<Work>,
    uploads: Places<Kept>,
    /// When it was last told that one could not be written.
    full_told: Ms,
    scripts: Scripts,
    showings: Showings,
    /// Through which bodies flow that are kept; empty where none are.
    through: Vec<u8>,
    timers: Timers,
    growth: Growth,
    /// Slots that stopped on a budget.
    runnable: Queue,
    /// Slots whose work waits for another's: they look again in the next turn.
    patient: Queue,
    /// Slots that wait for a buffer, first come, first served.
    waiting: Queue,
    /// Those of them whose request is known to be whole.
    whole: Queue,
    addresses: Addresses,
    per_address: u16,
    proxies: Proxies,
    door: Door,
    clock: Clock,
    events: Vec<Event>,
    counters: Counters,
    /// The access log, if one is kept.
    access: Option<Box<Access>>,
    /// What is known of credentials.
    credentials: Credentials,
    /// Tells the supervisor.
    herald: Herald,
    stop: Option<Stop>,
    /// A successor has the listeners.
    was_taken_over: bool,
    /// Looks at what is queued in a socket that has no buffer.
    peeked: Vec<u8>,
    /// Files that were asked for a moment ago.
    cache: Cache,
    /// Who has come in this turn and is not watched yet.
    newcomers: Vec<(u16, u16)>,
    /// As many of them have had their first visit.
    met: usize,
}

impl<N: Net> Reactor<N> {
    /// A loop over `net`, with all memory it will ever use for connections.
    pub fn new(mut net: N, site: Site, config: &Config, teardown: Teardown) -> Self {
        let mut config = config.clone();
        config.settle();
        let kept = config.socket_slots();
        let slots = config.connections.saturating_add(kept);
        let now = net.now();
        let door = Door::new(net.listeners());
        let seed = u32::try_from(net.wall_s().unwrap_or(0) & 0xffff_ffff).unwrap_or(1);
        let cache = files::cache(&mut net, &config);
        Self {
            sites: Sites::new(site),
            reread: None,
            confined: Confined::default(),
            teardown,
            limits: Rc::new(config.limits.clone()),
            slots: Slots::new(config.connections, kept),
            buffers: Buffers::new(
                config.buffers,
                config.buffer_bytes,
                config.connections,
                kept,
            ),
            works: Places::new(
                config.buffers,
                config.connections_per_address,
                config.connections,
            ),
            full_told: Ms(0),
            uploads: Places::new(
                config.upload_places(),
                config.connections_per_address,
                config.connections,
            ),
            showings: Showings::new(&config, now),
            scripts: Scripts::new(&config),
            through: uploads::room(&config),
            timers: Timers::new(slots, now),
            growth: Growth::new(&config, slots),
            runnable: Queue::new(slots),
            patient: Queue::new(slots),
            waiting: Queue::new(slots),
            whole: Queue::new(slots),
            addresses: Addresses::new(slots, seed ^ std::process::id()),
            per_address: config.connections_per_address,
            proxies: Proxies {
                trusted: config.trusted.clone(),
                speaks: config.speaks,
            },
            door,
            clock: Clock::default(),
            events: Vec::with_capacity(EVENTS),
            counters: Counters::new(),
            access: None,
            credentials: Credentials::new(config.auth.clone(), config.buffers),
            herald: Herald::default(),
            stop: None,
            was_taken_over: false,
            peeked: vec![0; PEEK_BYTES],
            cache,
            newcomers: Vec::with_capacity(accept::BATCH * usize::from(net.listeners())),
            met: 0,
            net,
            config,
        }
    }

    /// Says how the configuration is read again.
    #[must_use]
    pub fn with_reread(self, reread: Reread) -> Self {
        Self {
            reread: Some(reread),
            ..self
        }
    }

    /// Says who tells the supervisor how it goes.
    #[must_use]
    pub fn with_herald(self, herald: Herald) -> Self {
        Self { herald, ..self }
    }

    /// The loop is about to run: the supervisor is told that it serves.
    pub fn ready(&mut self) {
        let now = self.net.now();
        self.herald.ready(now);
    }

    /// Runs until it was stopped and every connection is gone.
    ///
    /// # Errors
    /// What poll(2) reports beside EINTR: the server cannot go on.
    pub fn run(&mut self) -> io::Result<()> {
        while !self.finished() {
            self.turn()?;
        }
        Ok(())
    }

    /// A successor has the listeners.
    #[must_use]
    pub fn has_handed_over(&self) -> bool {
        self.was_taken_over
    }

    /// Stopped, and nobody is left.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.stop.is_some() && self.slots.is_empty() && !self.door.is_open()
    }

    /// One turn of the loop: events, then those that stopped on a budget, then deadlines, then who
    /// waits for a buffer, then new connections.
    ///
    /// # Errors
    /// As [`Reactor::run`].
    pub fn turn(&mut self) -> io::Result<()> {
        let before = self.net.now();
        let timeout_ms = self.timeout_ms(before);
        let mut events = std::mem::take(&mut self.events);
        let polled = self.net.poll(timeout_ms, &mut events);
        let now = self.net.now();
        let wall_s = self.net.wall_s();
        let wall = self.clock.wall(wall_s);
        let limits = Rc::clone(&self.limits);
        let turn = self.moment(now, wall, &limits);
        if events.iter().any(|event| event.token == Token::Files) {
            self.cache.look(); // before anybody is answered
        }
        for event in &events {
            self.happened(*event, &turn);
        }
        events.clear();
        self.events = events;
        polled?;

        let turn = self.moment(now, wall, &limits); // a signal may have come
        while let Some(index) = self.patient.pop() {
            self.runnable.push(index);
        }
        for _ in 0..self.runnable.len() {
            if let Some(index) = self.runnable.pop() {
                self.drive(index, &turn);
            }
        }
        // Each at most once: whatever a deadline comes to, it does not hold the turn.
        for _ in 0..self.slots.len() {
            let Some(index) = self.timers.due(now) else {
                break;
            };
            self.expired(index, &turn);
        }
        self.cache.expire(now);
        self.relieve(&turn);
        self.accept(&turn);
        self.stop_if_due(&turn);
        self.herald.beat(now);
        self.tend_helper(&turn);
        self.hear_on(&turn);
        self.tend_scripts(&turn);
        self.tend_starter(now);
        self.flush_access();
        self.counters.log_dropped(u64::from(sink::dropped()));
        sink::flush();
        Ok(())
    }

    fn moment<'a>(&self, now: Ms, wall: Option<Wall>, limits: &'a Limits) -> Turn<'a> {
        Turn {
            now,
            wall,
            limits,
            stopping: self.stop.is_some(),
        }
    }

    fn happened(&mut self, event: Event, turn: &Turn<'_>) {
        match event.token {
            Token::Listener(listener) => self.door.knock(listener),
            Token::Signals => self.signalled(turn),
            Token::Control => self.control(turn),
            Token::Helper => self.verdicts(turn),
            Token::Starter => self.reports(turn),
            Token::Files => {} // looked at already
            Token::Script {
                at,
                input,
                generation,
            } => self.script_moved(at, input, generation, turn),
            Token::Slot { index, generation } => {
                if self.slots.generation(index) != generation {
                    return; // for a connection that is gone
                }
                let Some(slot) = self.slots.get_mut(index) else {
                    return;
                };
                slot.ready.read |= event.readable;
                slot.ready.write |= event.writable;
                slot.ready.closed |= event.read_closed;
                // Nobody reads from or sends to it while a script or a verdict takes its time.
                let is_deaf =
                    |need: Need| (need.read, need.write) == (Read::Nothing, Write::Nothing);
                if event.broken && (slot.script().is_some() || is_deaf(slot.connection.need())) {
                    slot.connection.broken(turn);
                }
                self.drive(index, turn);
            }
        }
    }

    fn expired(&mut self, index: u16, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let queues = self.net.queues(&slot.socket, Look::Whole);
        slot.connection.tick(queues, turn);
        self.drive(index, turn);
    }
}

/// Opens what `config` names in the file system, and lets it go again: whether it would start. It
/// takes no address, for the server that is to be started anew still has it.
///
/// # Errors
/// As [`Site::check`], [`Access::check`] and [`sandbox::check`].
pub fn check(config: &Config) -> Result<(), StartError> {
    Access::check(config)?;
    sandbox::check(config)?;
    Site::check(&config.seen_from_outside()).map(drop)
}

/// What the loop's failure means.
///
/// # Errors
/// Always when `outcome` is one.
pub fn of_loop(outcome: io::Result<()>) -> Result<(), StartError> {
    outcome.map_err(|error| {
        StartError::runtime(
            "epoll",
            format!("the event loop failed: {error}"),
            "this is a fault of the system or of adieu; please report it",
        )
    })
}

#[cfg(test)]
mod tests;
