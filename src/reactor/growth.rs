//! Buffers of the kernel that grow for transfers that move, and come back.
//!
//! Owns the common room of all of them, and who has how much of it: downloads, bodies that are kept
//! or fed, goodbyes whose client sends on. With the usual size no more comes or leaves in a round
//! trip than 400 kB a second on a path of 40 ms. It must not read or send. Invariants: what all
//! connections have over their usual sizes, and what is free, is the room of the memory plan; who
//! moves no more gives up what its queue does not hold, when another one wants it.

use super::Reactor;
use super::net::{Look, Net, Side};
use crate::config::Config;
use crate::connection::state::State;
use crate::connection::time::{Ms, Turn};

/// A buffer grows when it was turned over within so long, and shrinks to what moved in it: some
/// round trips over a satellite.
const WINDOW_MS: u64 = 4_000;
/// How often a send buffer is turned over before it grows.
const TURNS_SENT: u32 = 2;
/// Nearer than this a larger send buffer brings nothing, and costs: 1 GiB over the loopback took
/// 0.35 s of CPU time with 512 KiB and 0.29 s with 16 KiB.
const FAR_US: u32 = 1_000;
/// How much larger a buffer gets in one step.
const STEP: u32 = 4;
/// How often it is looked who does not move, ms: it looks at all slots.
const SWEEP_MS: u64 = 100;

/// What one connection has.
#[derive(Clone, Copy, Debug, Default)]
struct Grown {
    /// Over the usual size, bytes.
    held: u32,
    /// Which of its buffers that is.
    side: Side,
    /// It cannot grow any further in this window.
    fixed: bool,
    /// Moved since `since`, bytes.
    moved: u32,
    since: Ms,
    /// Since when its queue, of `late_queue` bytes then, holds what it should have given up; there
    /// is no such queue while that is 0.
    late: Ms,
    late_queue: u32,
}

/// The room.
#[derive(Debug)]
pub(super) struct Growth {
    each: Vec<Grown>,
    /// The usual sizes, bytes.
    usual: [u32; 2],
    /// The largest size, bytes.
    most: u32,
    /// What nobody has of the room, bytes.
    free: u64,
    room: u64,
    swept: Ms,
}

impl Growth {
    /// The room that the plan of `config` has, for so many slots.
    pub(super) fn new(config: &Config, slots: u16) -> Self {
        let room = config.large_room_bytes();
        Self {
            each: vec![Grown::default(); usize::from(slots)],
            usual: [config.receive_bytes, config.send_bytes],
            most: config.large_bytes,
            free: room,
            room,
            swept: Ms(0),
        }
    }

    /// Memory for each slot, bytes.
    pub(super) const fn bytes_each() -> usize {
        size_of::<Grown>()
    }

    /// What is free of the room, and all of it, bytes.
    pub(super) fn home(&self) -> (u64, u64) {
        (self.free, self.room)
    }

    /// What all of them have, bytes.
    pub(super) fn held(&self) -> u64 {
        self.each.iter().map(|grown| u64::from(grown.held)).sum()
    }

    const fn usual(&self, side: Side) -> u32 {
        let [receive, send] = self.usual;
        match side {
            Side::Receive => receive,
            Side::Send => send,
        }
    }

    fn get(&self, index: u16) -> Grown {
        let grown = self.each.get(usize::from(index));
        grown.copied().unwrap_or_default()
    }

    /// Books what a connection has now.
    fn put(&mut self, index: u16, grown: Grown) {
        if let Some(place) = self.each.get_mut(usize::from(index)) {
            self.free = self.free.saturating_add(place.held.into());
            self.free = self.free.saturating_sub(grown.held.into());
            *place = grown;
        }
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, index: u16) {
        self.put(index, Grown::default());
    }

    /// The size that a buffer should have which was turned over; none: as it is.
    fn larger(&self, grown: &Grown, rest: u64) -> Option<u32> {
        let size = self.usual(grown.side).saturating_add(grown.held);
        let is_worth_it = grown.moved >= turned_over(grown.side, size) && rest > size.into();
        (is_worth_it && !grown.fixed && size < self.most)
            .then(|| size.saturating_mul(STEP).min(self.most))
    }
}

/// What must move before a buffer of `size` grows, bytes.
const fn turned_over(side: Side, size: u32) -> u32 {
    match side {
        Side::Receive => size,
        Side::Send => size.saturating_mul(TURNS_SENT),
    }
}

impl<N: Net> Reactor<N> {
    /// Bytes were sent or came: perhaps that buffer grows.
    pub(super) fn moved(&mut self, index: u16, side: Side, bytes: usize, turn: &Turn<'_>) {
        let rest = match self.slots.get(index) {
            Some(slot) => slot.connection.transfer_rest(side == Side::Send),
            None => 0,
        };
        if rest == 0 {
            return; // nothing is to come, as with nearly all requests and answers
        }
        let mut grown = self.growth.get(index);
        if grown.side != side && grown.held > 0 {
            return;
        }
        if grown.side != side || turn.now.since(grown.since) >= WINDOW_MS {
            grown.moved = 0;
            grown.since = turn.now;
            grown.side = side;
            grown.fixed = false;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        grown.moved = grown.moved.saturating_add(bytes);
        grown.late_queue = 0;
        self.growth.put(index, grown);
        if let Some(size) = self.growth.larger(&grown, rest) {
            self.grow(index, size, turn);
        }
    }

    /// Gives a connection a buffer of `size`, or what the room has.
    fn grow(&mut self, index: u16, size: u32, turn: &Turn<'_>) {
        let mut grown = self.growth.get(index);
        let usual = self.growth.usual(grown.side);
        let now = usual.saturating_add(grown.held);
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        // What is sent stands in the queue first, and only then has moved.
        if grown.side == Side::Send {
            if self.net.round_trip_us(&slot.socket) < FAR_US {
                grown.fixed = true;
                self.growth.put(index, grown);
                return;
            }
            let queue = self.net.queues(&slot.socket, Look::Ended).unacknowledged;
            if grown.moved.saturating_sub(queue) < turned_over(grown.side, now) {
                return;
            }
        }
        let wanted = size.saturating_sub(now);
        if self.growth.free < wanted.into() {
            self.sweep(index, turn);
        }
        let free = u32::try_from(self.growth.free).unwrap_or(u32::MAX);
        let size = now.saturating_add(wanted.min(free));
        if size.saturating_sub(now) < usual / 2 {
            return; // it is not worth a call
        }
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        // Where nobody says what a queue holds (before Linux 4.12) nothing could be taken back.
        let is_told = self.net.charged(&slot.socket, grown.side) != u32::MAX;
        let granted = match is_told {
            true => self.net.resize(&slot.socket, grown.side, size),
            false => None,
        };
        let granted = granted.unwrap_or(0).min(size);
        grown.fixed = granted < size; // of a unix socket, or the system has a cap
        grown.held = grown.held.max(granted.saturating_sub(usual));
        grown.moved = 0;
        grown.since = turn.now;
        self.growth.put(index, grown);
    }

    /// Who has something of the room and does not move gives it up, but `but`.
    fn sweep(&mut self, but: u16, turn: &Turn<'_>) {
        if turn.now.since(self.growth.swept) < SWEEP_MS {
            return;
        }
        self.growth.swept = turn.now;
        for index in self.slots.indices() {
            let mut grown = self.growth.get(index);
            let lasted_ms = turn.now.since(grown.since);
            if grown.held == 0 || index == but || lasted_ms < WINDOW_MS {
                continue;
            }
            let moved = u64::from(grown.moved).saturating_mul(WINDOW_MS) / lasted_ms;
            grown.moved = 0;
            grown.since = turn.now;
            self.growth.put(index, grown);
            let deserved = u32::try_from(moved).unwrap_or(u32::MAX);
            if let Some(queue) = self.shrink(index, deserved) {
                self.hurry(index, queue, turn);
            }
        }
    }

    /// Takes back what is over `deserved`, and what the queue does not hold; that queue, if it
    /// holds more; both as sizes.
    fn shrink(&mut self, index: u16, deserved: u32) -> Option<u32> {
        let mut grown = self.growth.get(index);
        let usual = self.growth.usual(grown.side);
        let slot = self.slots.get(index)?;
        // Sizes are half of what they let the kernel hold.
        let queue = self.net.charged(&slot.socket, grown.side) / 2;
        let deserved = deserved.max(usual);
        let size = deserved.max(queue);
        if size < usual.saturating_add(grown.held) {
            self.net.resize(&slot.socket, grown.side, size);
            grown.held = size.saturating_sub(usual);
            grown.fixed = false;
            self.growth.put(index, grown);
        }
        (queue > deserved).then_some(queue)
    }

    /// A queue that nobody empties keeps others from their part of the room: a response of which in
    /// the time of a stuck one less than a usual buffer was acknowledged is reset.
    fn hurry(&mut self, index: u16, queue: u32, turn: &Turn<'_>) {
        let mut grown = self.growth.get(index);
        let usual = self.growth.usual(grown.side);
        let has_moved = grown.late_queue.saturating_sub(queue) >= usual;
        if grown.late_queue == 0 || has_moved {
            grown.late = turn.now;
            grown.late_queue = queue;
            self.growth.put(index, grown);
            return;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let responds = slot.connection.state() == State::Respond;
        if responds && turn.now.since(grown.late) >= turn.limits.write_ms.into() {
            let queues = self.net.queues(&slot.socket, Look::Whole);
            slot.connection.evict(queues, turn);
            self.runnable.push(index);
        }
    }

    /// Its receive buffer has another size than the usual one.
    pub(super) fn has_grown_to_receive(&self, index: u16) -> bool {
        let grown = self.growth.get(index);
        grown.held > 0 && grown.side == Side::Receive
    }

    /// After a visit: the transfer for which it has grown may be over.
    pub(super) fn end_growth(&mut self, index: u16) {
        let grown = self.growth.get(index);
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if grown.held > 0 && slot.connection.transfer_rest(grown.side == Side::Send) == 0 {
            self.shrink(index, 0);
        }
    }
}
