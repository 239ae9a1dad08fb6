//! Who comes in, and who has to go for it.
//!
//! Owns [`Door`] (the listeners' readiness and the pause after EMFILE), admission and eviction. It
//! must not accept a connection that has no slot: what does not fit waits in the kernel's queue,
//! which is bounded. Invariant: Respond is never evicted; nobody younger than a grace is, but a
//! goodbye whose FIN is acknowledged and an idle connection that has had its answers.

use super::addresses::Key;
use super::identity;
use super::net::{Look, Net, Token};
use super::rests::Rests;
use super::slots::{Ready, Slot};
use super::{GRACE_MS, Reactor};
use crate::connection::Connection;
use crate::connection::How;
use crate::connection::state::State;
use crate::connection::time::{Ms, Turn};
use crate::report::counters::{EVICTIONS, Eviction};
use crate::sys::socket::Peer;
use std::io::{self, ErrorKind};

/// Connections accepted from one listener in one turn.
pub(super) const BATCH: usize = 16;
/// How long accepting rests when the system has no descriptor or memory left.
const PAUSE_MS: u32 = 250;

/// The listeners as the loop sees them.
#[derive(Debug)]
pub(super) struct Door {
    ready: Vec<bool>,
    open: bool,
    paused_until: Option<Ms>,
    rests: Rests,
}

impl Door {
    pub(super) fn new(listeners: u8) -> Self {
        Self {
            ready: vec![true; usize::from(listeners)],
            open: true,
            paused_until: None,
            rests: Rests::default(),
        }
    }

    pub(super) fn knock(&mut self, listener: u8) {
        self.set(listener, true);
    }

    fn set(&mut self, listener: u8, knocked: bool) {
        if let Some(ready) = self.ready.get_mut(usize::from(listener)) {
            *ready = knocked;
        }
    }

    pub(super) fn knock_all(&mut self) {
        self.ready.fill(true);
    }

    pub(super) fn close(&mut self) {
        self.open = false;
        self.paused_until = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Somebody may be waiting, and accepting does not rest.
    pub(super) fn is_ready(&self, now: Ms) -> bool {
        self.open && self.paused_until.is_none_or(|at| now >= at) && self.ready.contains(&true)
    }

    /// Nobody waits, as far as is known. Accepting may rest while somebody does.
    pub(super) fn is_quiet(&self) -> bool {
        !self.ready.contains(&true)
    }

    /// The same of one listener.
    fn is_ready_at(&self, listener: u8, now: Ms) -> bool {
        let knocked = self
            .ready
            .get(usize::from(listener))
            .copied()
            .unwrap_or(false);
        knocked && self.is_ready(now)
    }

    pub(super) fn paused_until(&self) -> Option<Ms> {
        self.paused_until
    }
}

impl<N: Net> Reactor<N> {
    /// Takes new connections in, a bounded batch from each listener.
    pub(super) fn accept(&mut self, turn: &Turn<'_>) {
        if self.door.paused_until.is_some_and(|at| turn.now >= at) {
            self.door.paused_until = None;
        }
        if let Some(untold) = self.door.rests.end(turn.now) {
            log::info!("accepting has not rested for a minute{untold}");
        }
        for listener in 0..self.net.listeners() {
            let mut failed = 0;
            for _ in 0..BATCH {
                if !self.door.is_ready_at(listener, turn.now) {
                    break;
                }
                // Nobody goes for a knock that is used up: who comes next knocks again.
                let of_status = self.net.is_of_status(listener);
                if self.slots.is_full(of_status) && !self.net.waits(listener) {
                    self.door.set(listener, false);
                    break;
                }
                if !self.has_room(of_status, turn) {
                    break;
                }
                if let Err(error) = self.accept_one(listener, turn) {
                    failed += 1;
                    if N::pauses(&error) || failed == BATCH {
                        self.pause(&error, turn);
                    }
                }
            }
        }
        self.meet(turn);
        self.met = 0;
        while let Some((index, generation)) = self.newcomers.pop() {
            self.watch_slot(index, generation, turn);
        }
    }

    /// Reads from those who have come and were not read from yet. All are accepted first: the
    /// kernel is asked once for all what has changed, and the last one has had time to send.
    fn meet(&mut self, turn: &Turn<'_>) {
        if self.met < self.newcomers.len() && self.cache.due().is_some() {
            // Who connects after a change sees it, however long this turn takes.
            self.cache.look();
        }
        while let Some(&(index, generation)) = self.newcomers.get(self.met) {
            self.met = self.met.saturating_add(1);
            if self.slots.generation(index) == generation {
                self.drive(index, turn);
            }
        }
    }

    /// Takes one connection in, if one waits. An error mostly concerns one whose client is gone
    /// already; the next one is another's.
    fn accept_one(&mut self, listener: u8, turn: &Turn<'_>) -> io::Result<()> {
        match self.net.accept(listener) {
            Ok((socket, peer)) => {
                let of_status = self.net.is_of_status(listener);
                self.admit(socket, peer, of_status, turn);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.door.set(listener, false);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next one would fail in the same way: accepting rests, and the loop with it. Each rest is
    /// counted, and told now and then: the log of a small device is a ring.
    fn pause(&mut self, error: &io::Error, turn: &Turn<'_>) {
        self.counters.pause_accept();
        if let Some(untold) = self.door.rests.begin(turn.now) {
            log::warn!("accepting rests for {PAUSE_MS} ms: {error}{untold}");
        }
        self.door.paused_until = Some(turn.now.after(PAUSE_MS));
    }

    fn admit(&mut self, socket: N::Socket, peer: Peer, of_status: bool, turn: &Turn<'_>) {
        let peer = identity::client(peer);
        let counted = Key::of(&peer).filter(|_| !self.proxies.trusts(&peer));
        let is_full = |reactor: &Self| reactor.addresses.count(counted) >= reactor.per_address;
        if is_full(self) {
            self.meet(turn);
        }
        if is_full(self) && !self.evict_own(counted, turn) {
            self.counters.refuse_address();
            self.net.close(socket, How::Bounded(turn.limits.orphan_ms));
            return;
        }
        let mut connection = Connection::new(self.teardown, turn);
        if self.proxies.introduces(&peer) && !of_status {
            connection = connection.with_preface();
        }
        let slot = Slot {
            connection,
            socket,
            peer,
            counted,
            file: None,
            holds: None,
            offset: 0,
            buffer: None,
            of_status,
            // Most clients have sent their request by now: reading at once saves a wake-up.
            ready: Ready {
                read: true,
                write: true,
                closed: false,
            },
            state: State::Idle,
            since: turn.now,
        };
        let Some((index, generation)) = self.slots.insert(slot) else {
            return;
        };
        self.counters.accept();
        self.addresses.add(counted);
        self.newcomers.push((index, generation));
    }

    /// Who has come is watched if it is still there when all have had their first visit. Many have
    /// their answer by then, and have acknowledged it while the others had theirs.
    fn watch_slot(&mut self, index: u16, generation: u16, turn: &Turn<'_>) {
        let is_same = |reactor: &Self| reactor.slots.generation(index) == generation;
        let lingers = |slot: &Slot<N::Socket>| slot.state == State::Linger;
        if is_same(self) && self.slots.get(index).is_some_and(lingers) {
            self.drive(index, turn);
        }
        if !is_same(self) {
            return;
        }
        let has_grown = self.has_grown_to_receive(index);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if !has_grown {
            self.net.tune(&slot.socket);
        }
        let token = Token::Slot { index, generation };
        if let Err(error) = self.net.register(&slot.socket, token) {
            log::warn!("a connection could not be watched: {error}");
            slot.connection.broken(turn);
            self.drive(index, turn);
        }
    }

    /// Somebody waits at a listener and finds a slot.
    pub(super) fn may_accept(&self, now: Ms) -> bool {
        let mut listeners = 0..self.net.listeners();
        listeners.any(|listener| {
            let of_status = self.net.is_of_status(listener);
            self.door.is_ready_at(listener, now) && !self.slots.is_full(of_status)
        })
    }

    /// A slot is free, or somebody goes for it: one of the same kind.
    fn has_room(&mut self, of_status: bool, turn: &Turn<'_>) -> bool {
        if self.slots.is_full(of_status) {
            self.meet(turn); // who has had an answer may go
        }
        if !self.slots.is_full(of_status) {
            return true;
        }
        if let Some((class, index)) = self.victim(turn, |slot| slot.of_status == of_status) {
            self.evict(index, class, turn);
            return !self.slots.is_full(of_status);
        }
        self.make_one_leave(of_status, turn);
        if self.slots.is_full(of_status)
            && let Some(index) = self.stuck(turn, false, of_status)
        {
            self.evict(index, Eviction::Stuck, turn);
        }
        !self.slots.is_full(of_status)
    }

    /// Nobody can go at once: the Head or Body that has come the least far is told goodbye, and its
    /// slot is free when that is acknowledged, or after a grace.
    fn make_one_leave(&mut self, of_status: bool, turn: &Turn<'_>) {
        let leaving = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.state == State::Linger && slot.of_status == of_status)
            .count();
        let victim = self
            .least_progress(turn.now, false, of_status)
            .filter(|_| leaving < BATCH);
        let Some(index) = victim else { return };
        if let Some(slot) = self.slots.get_mut(index) {
            slot.connection.give_way(turn);
            self.counters.evict(Eviction::Stalled);
        }
        self.drive(index, turn);
    }

    /// One client has its share: its own oldest idle or lingering connection goes, nobody else's.
    /// True: there is room in its share now. Not so if the one that was to go has just come alive.
    pub(super) fn evict_own(&mut self, key: Option<Key>, turn: &Turn<'_>) -> bool {
        let Some((class, index)) = self.victim(turn, |slot| slot.counted == key && !slot.of_status)
        else {
            return false;
        };
        self.evict(index, class, turn);
        self.addresses.count(key) < self.per_address
    }

    /// Who goes first, of those whom `may` names: by class, then by age.
    fn victim(
        &self,
        turn: &Turn<'_>,
        may: impl Fn(&Slot<N::Socket>) -> bool,
    ) -> Option<(Eviction, u16)> {
        self.slots
            .iter()
            .filter(|(_, slot)| may(slot))
            .filter_map(|(index, slot)| Some((rank(slot, turn)?, slot.since, index)))
            .min_by_key(|(class, since, _)| (place(*class), *since))
            .map(|(class, _, index)| (class, index))
    }

    pub(super) fn evict(&mut self, index: u16, class: Eviction, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let queues = self.net.queues(&slot.socket, Look::Whole);
        let moves = queues.unacknowledged < slot.connection.linger().unacknowledged();
        if class == Eviction::Idle && queues.unread > 0 {
            slot.ready.read = true; // its next request has just come
        } else if class == Eviction::LingerUnacked && moves {
            slot.connection.tick(queues, turn); // its answer is arriving: another grace
        } else {
            slot.connection.evict(queues, turn);
            self.counters.evict(class);
        }
        self.drive(index, turn);
    }
}

/// Where a class stands in the order of going.
fn place(class: Eviction) -> Option<usize> {
    EVICTIONS.iter().position(|other| *other == class)
}

/// In which class a connection may be evicted; `None`: not at all. The order of [`Eviction`] is the
/// order of going; within a class the oldest goes first.
fn rank<S>(slot: &Slot<S>, turn: &Turn<'_>) -> Option<Eviction> {
    let age_ms = turn.now.since(slot.since);
    match slot.state {
        State::Linger => {
            let linger = slot.connection.linger();
            let old = age_ms >= u64::from(turn.limits.linger_idle_ms);
            match (linger.acknowledged(), linger.awaits_nothing(), old) {
                (true, true, _) => Some(Eviction::LingerAcked),
                (true, false, true) => Some(Eviction::LingerOld),
                (true, false, false) => Some(Eviction::LingerYoung),
                // It is cut with RST, so only if its answer has not moved for a grace. Not every
                // acknowledgement makes an edge: `evict` asks once more.
                (false, _, _) => {
                    (turn.now.since(linger.moved()) >= GRACE_MS).then_some(Eviction::LingerUnacked)
                }
            }
        }
        // One that was never answered may have its first request on the way.
        State::Idle => {
            let unheard = slot.ready.read || !slot.connection.was_answered() && age_ms < GRACE_MS;
            (!unheard).then_some(Eviction::Idle)
        }
        State::Head
        | State::Verify
        | State::Queue
        | State::Body
        | State::Store
        | State::Script
        | State::Relay
        | State::Respond
        | State::Rest
        | State::Closed => None,
    }
}
