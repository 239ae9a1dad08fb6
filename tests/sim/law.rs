//! What must hold of the server, seen from outside: after every turn, and at the end.
//!
//! Owns the laws, and the books of every goodbye that they need. It must not look into the reactor
//! but through its public accessors, nor use the heart's arithmetic: it would share its faults.
//! Invariant: a law names what was seen and for how long.

use crate::end::End;
use crate::kernel::{FakeNet, USUAL_BYTES};
use crate::tcp::SERVER;
use crate::world::World;
use adieu::connection::limits::Limits;
use adieu::connection::state::Teardown;
use adieu::reactor::Reactor;
use adieu::report::counters::Counters;
use std::collections::VecDeque;

/// One tick of the timers, and what a turn may take.
const LATE_MS: u64 = 150;
/// Longer than it takes to notice that there is nothing to wait for.
const IDLE_MS: u64 = 500;
/// Less than this in one idle period is silence.
const FLOOR_BYTES: u64 = 1_024;
/// Our FIN alone, in what is not acknowledged.
const FIN: u64 = 1;
/// A connection's share of a turn: it may be carried by an event, the run queue and a deadline.
const SHARE_BYTES: usize = 3 * 256 * 1_024;

/// Endings that send an RST though the peer sent none.
pub(crate) const CUTS: [&str; 9] = [
    "evicted",
    "file-shrank",
    "linger-bytes",
    "linger-idle",
    "linger-total",
    "plain",
    "share-spent",
    "stopped",
    "timeout-write",
];

/// A goodbye, from the moment at which the server shut its side.
#[derive(Debug)]
pub(crate) struct Goodbye {
    shut_at: u64,
    /// Since when nothing but our FIN is owed to the peer.
    delivered_at: Option<u64>,
    /// What was acknowledged at the last look.
    acked: u64,
    /// When the peer sent or acknowledged how much.
    moves: VecDeque<(u64, u64)>,
    /// Bytes read off.
    drained: u64,
    /// How long this peer may be silent, and how long at least.
    patience_ms: u64,
    least_ms: u64,
    /// When the server had last stood still.
    stalled_at: u64,
}

impl Goodbye {
    /// It begins.
    pub(crate) fn new(now: u64, end: &End, rto_ms: u64) -> Self {
        Self {
            shut_at: now,
            delivered_at: None,
            acked: end.acked,
            moves: VecDeque::new(),
            drained: 0,
            patience_ms: 0,
            least_ms: 4 * rto_ms,
            stalled_at: 0,
        }
    }

    /// Bytes were read off.
    pub(crate) fn drained(&mut self, now: u64, bytes: u64) {
        self.drained += bytes;
        self.moves.push_back((now, bytes));
    }

    /// After a turn: what the peer has acknowledged, and how slow its path is.
    fn look(&mut self, now: u64, end: &End, rto_ms: u64, limits: &Limits) {
        let idle_ms = u64::from(limits.linger_idle_ms);
        let acked = end.acked - self.acked;
        if acked > 0 {
            self.moves.push_back((now, acked));
        }
        self.acked = end.acked;
        if end.unacknowledged() <= FIN {
            self.delivered_at.get_or_insert(now);
        }
        // The timeout of a peer that is gone doubles; the first silence is what counts, and when
        // the server could see it.
        let first = |at: u64| now <= at.max(self.stalled_at) + idle_ms + LATE_MS;
        if self.delivered_at.is_none_or(first) {
            self.patience_ms = self.patience_ms.max(idle_ms).max(4 * rto_ms);
        }
    }

    /// For how long the peer has done too little, if that is too long.
    fn silent_ms(&mut self, now: u64) -> Option<u64> {
        let most_ms = 2 * self.patience_ms + LATE_MS;
        let begun = self.delivered_at?;
        // What was silence while the server stood still may count anew.
        let silent_ms = now.saturating_sub(begun.max(self.stalled_at));
        let since = now.saturating_sub(most_ms);
        while self.moves.front().is_some_and(|(at, _)| *at < since) {
            self.moves.pop_front();
        }
        let moved: u64 = self.moves.iter().map(|(_, bytes)| bytes).sum();
        (silent_ms > most_ms && moved < FLOOR_BYTES).then_some(silent_ms)
    }
}

/// What was counted before a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    cuts: u64,
    /// RSTs that the server sent in place of a goodbye.
    resets: u64,
    /// Goodbyes that ended because the peer was silent.
    idle: u64,
}

fn cuts(counters: &Counters) -> u64 {
    let each = |name: &&str| counters.value("close", name).unwrap_or(0);
    let refused = counters.value("", "refused-address").unwrap_or(0);
    CUTS.iter().map(each).sum::<u64>() + refused
}

/// What holds after every turn.
pub(crate) fn holds(
    reactor: &Reactor<FakeNet>,
    world: &mut World,
    limits: &Limits,
    teardown: Teardown,
    before: &mut Before,
) {
    reactor.check();
    assert!(world.faults.is_empty(), "{:?}", world.faults);
    let counters = reactor.counters();
    let live: usize = reactor.census().iter().sum();
    let open = world.open.iter().filter(|open| **open).count();
    assert_eq!(live, open, "slots and sockets");
    assert_eq!(counters.accepted(), counters.closed() + live as u64);
    let now = Before {
        cuts: cuts(counters),
        resets: world.cuts,
        idle: counters.value("close", "linger-idle").unwrap_or(0),
    };
    let (sent, counted) = (now.resets - before.resets, now.cuts - before.cuts);
    assert!(
        sent <= counted || teardown != Teardown::Linger,
        "{sent} resets, and {counted} are counted"
    );
    given_their_time(world, limits, now.idle - before.idle);
    *before = now;
    for (at, moved) in world.moved.iter().enumerate() {
        assert!(
            *moved <= SHARE_BYTES,
            "client {at}: {moved} bytes in a turn"
        );
    }
    half_closed(world);
    goodbyes(world, limits, teardown);
}

/// All large buffers together fit the room that the plan has for them.
pub(crate) fn large_buffers(world: &mut World, room: u64) {
    let each = world.open.iter().zip(&world.sizes);
    let over = |sizes: &[u64; 2]| -> u64 {
        let both = sizes.iter().zip(USUAL_BYTES);
        both.map(|(size, usual)| size.saturating_sub(usual)).sum()
    };
    let large = each
        .filter(|(open, _)| **open)
        .map(|(_, sizes)| over(sizes));
    let large = large.sum();
    assert!(large <= room, "{large} bytes of large buffers, of {room}");
    world.large_peak = world.large_peak.max(large);
}

/// A peer's FIN is answered.
fn half_closed(world: &mut World) {
    let now = world.tcp.now;
    if world.stalled {
        world
            .through_at
            .iter_mut()
            .flatten()
            .for_each(|at| *at = now);
    }
    for (at, through) in world.through_at.iter().enumerate() {
        let lasts_ms = through.map_or(0, |through| now - through);
        let kind = world.clients[at].kind;
        assert!(
            lasts_ms <= IDLE_MS,
            "client {at}, {kind:?}: its FIN was here for {lasts_ms} ms"
        );
    }
}

/// Nobody is called silent before an idle period is over, nor before four retransmissions.
/// `idle`: how many were, in this turn.
fn given_their_time(world: &mut World, limits: &Limits, idle: u64) {
    let now = world.tcp.now;
    let said = std::mem::take(&mut world.said);
    if said.len() as u64 != idle {
        return; // which of them it were is not known
    }
    for (at, goodbye) in said {
        let Some(since) = goodbye.delivered_at else {
            continue; // bytes are still owed: it is about the pause of a response
        };
        let silent_ms = now - since;
        assert!(
            silent_ms + LATE_MS >= goodbye.least_ms.max(u64::from(limits.linger_idle_ms)),
            "client {at}, {:?}: called silent after {silent_ms} ms",
            world.clients[at].kind
        );
    }
}

/// Every goodbye ends by its budgets.
fn goodbyes(world: &mut World, limits: &Limits, teardown: Teardown) {
    let now = world.tcp.now;
    let longest_ms = match teardown {
        Teardown::SoLinger => u64::from(limits.so_linger_s) * 1_000,
        Teardown::Linger | Teardown::Plain => u64::from(limits.linger_total_ms),
    };
    let stalled = std::mem::take(&mut world.stalled);
    for (at, goodbye) in world.goodbyes.iter_mut().enumerate() {
        let Some(goodbye) = goodbye else { continue };
        let kind = world.clients[at].kind;
        let lasts_ms = now - goodbye.shut_at;
        assert!(
            lasts_ms <= longest_ms + LATE_MS,
            "client {at}, {kind:?}: a goodbye of {lasts_ms} ms"
        );
        let drained = goodbye.drained;
        assert!(
            drained <= limits.linger_bytes,
            "client {at}, {kind:?}: {drained} bytes read off"
        );
        if stalled {
            goodbye.stalled_at = now;
        }
        let (end, rto_ms) = (world.tcp.end(at, SERVER), world.tcp.rto_ms(at, SERVER));
        goodbye.look(now, end, rto_ms, limits);
        if teardown == Teardown::Linger {
            let silent_ms = goodbye.silent_ms(now);
            assert!(
                silent_ms.is_none(),
                "client {at}, {kind:?}: silent for {silent_ms:?} ms"
            );
        }
    }
}

/// What holds at the end.
pub(crate) fn ends(reactor: &Reactor<FakeNet>) {
    let counters = reactor.counters();
    assert_eq!(reactor.census().iter().sum::<usize>(), 0, "nobody is left");
    let (home, count) = reactor.buffers_home();
    assert_eq!(home, count, "every buffer is home");
    let (home, count) = reactor.works_home();
    assert_eq!(home, count, "every work is home");
    let (home, room) = reactor.large_room_home();
    assert_eq!(home, room, "every large buffer is home");
    assert_eq!(counters.accepted(), counters.closed(), "one reason each");
    let misuses: Vec<_> = counters
        .each()
        .filter(|(group, _, n)| *group == "misuse" && *n > 0)
        .collect();
    assert!(misuses.is_empty(), "{misuses:?}");
}
