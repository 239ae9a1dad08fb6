//! Whose turn it is to use the shelf.
//!
//! Owns the order of those that wait, and when the names that somebody gathered may be thrown away
//! for another. It must not know names or directories. Invariants: who has gathered names is served
//! from them at least once, unless it does not come for them; nobody holds the shelf for ever; of
//! those that keep asking, the one that waits longest is next.

use crate::connection::time::Ms;

/// Names that nobody came for in so long may go. A client on a good path comes sooner, and one that
/// is slow does not hold up the others.
pub(super) const IDLE_MS: u64 = 50;
/// Names may go so long after they were gathered, however often they are used.
pub(super) const HOLD_MS: u64 = 250;
/// Who gathers names and stops in the middle, or gathers them and does not come, gives way after
/// this. Longer than any turn of the loop: somebody who is there at each turn never loses.
pub(super) const STALL_MS: u64 = 1000;

/// Who has the shelf.
#[derive(Clone, Copy, Debug)]
struct Holder {
    id: u64,
    /// When the names were all there; while they are gathered, when that began.
    since: Ms,
    /// When something was last done.
    touched: Ms,
    /// Somebody was served from the names.
    used: bool,
}

impl Holder {
    fn may_go(&self, now: Ms) -> bool {
        if self.used {
            now.since(self.touched) >= IDLE_MS || now.since(self.since) >= HOLD_MS
        } else {
            now.since(self.touched) >= STALL_MS
        }
    }
}

/// Who is next.
#[derive(Clone, Copy, Debug)]
struct Next {
    id: u64,
    /// The smaller, the longer it has waited.
    ticket: u64,
    asked: Ms,
}

/// The turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    holder: Option<Holder>,
    next: Option<Next>,
}

impl Turns {
    /// It is `id`'s.
    pub(super) fn holds(&self, id: u64) -> bool {
        self.holder.is_some_and(|holder| holder.id == id)
    }

    /// `id` wants the shelf for new names, with the ticket that it drew when it first asked. If the
    /// answer is no, it asks again. Asking gives up what it holds.
    pub(super) fn ask(&mut self, id: u64, ticket: u64, now: Ms) -> bool {
        if self.holds(id) {
            self.holder = None;
        }
        let mine = self.next.is_none_or(|next| {
            next.id == id || ticket < next.ticket || now.since(next.asked) >= STALL_MS
        });
        if !mine {
            return false;
        }
        let asked = now;
        self.next = Some(Next { id, ticket, asked });
        if self.holder.is_some_and(|holder| !holder.may_go(now)) {
            return false;
        }
        self.next = None;
        self.holder = Some(Holder {
            id,
            since: now,
            touched: now,
            used: false,
        });
        true
    }

    /// `id` goes on gathering.
    pub(super) fn touch(&mut self, now: Ms) {
        if let Some(holder) = &mut self.holder {
            holder.touched = now;
        }
    }

    /// The names are there.
    pub(super) fn gathered(&mut self, now: Ms) {
        if let Some(holder) = &mut self.holder {
            (holder.since, holder.touched) = (now, now);
        }
    }

    /// `id` comes for names that are there, by whomever they were gathered.
    pub(super) fn comes(&mut self, id: u64, now: Ms) {
        self.unask(id);
        let (since, used) = self.holder.map_or((now, false), |h| (h.since, h.used));
        self.holder = Some(Holder {
            id,
            since,
            touched: now,
            used,
        });
    }

    /// Somebody was served.
    pub(super) fn served(&mut self) {
        if let Some(holder) = &mut self.holder {
            holder.used = true;
        }
    }

    /// `id` is gone. True if the shelf was its.
    pub(super) fn leave(&mut self, id: u64) -> bool {
        self.unask(id);
        let held = self.holds(id);
        if held {
            self.holder = None;
        }
        held
    }

    fn unask(&mut self, id: u64) {
        if self.next.is_some_and(|next| next.id == id) {
            self.next = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HOLD_MS, IDLE_MS, Ms, STALL_MS, Turns};

    #[test]
    fn who_waits_longest_is_next_and_who_leaves_is_forgotten() {
        let mut turns = Turns::default();
        let now = Ms(5);
        assert!(turns.ask(1, 1, now));
        assert!(!turns.ask(3, 3, now));
        assert!(!turns.ask(2, 2, now));
        assert!(!turns.ask(3, 3, now));
        assert!(turns.leave(1));
        assert!(!turns.ask(3, 3, now), "2 has waited longer");
        assert!(turns.ask(2, 2, now));
        assert!(!turns.ask(3, 3, now));
        assert!(!turns.ask(4, 4, now));
        assert!(!turns.leave(3), "it held nothing");
        // Asking for more gives up what it has: 4 is not next before it asks.
        assert!(turns.ask(2, 5, now));
        assert!(!turns.ask(4, 4, now));
        assert!(!turns.ask(2, 5, now), "4 has waited longer");
        assert!(turns.ask(4, 4, now));
    }

    #[test]
    fn names_stay_until_they_are_used_and_no_longer_than_allowed() {
        let mut turns = Turns::default();
        assert!(turns.ask(1, 1, Ms(0)));
        // Gathering, at every turn.
        for at in (0..10_000).step_by(999) {
            turns.touch(Ms(at));
            assert!(!turns.ask(2, 2, Ms(at + STALL_MS - 1)));
        }
        turns.gathered(Ms(10_000));
        assert!(!turns.ask(2, 2, Ms(10_000 + HOLD_MS)), "not used yet");
        turns.served();
        assert!(!turns.ask(2, 2, Ms(10_000 + IDLE_MS - 1)));
        // Somebody else comes for the same names.
        turns.comes(3, Ms(10_000 + IDLE_MS));
        assert!(turns.holds(3) && !turns.holds(1));
        assert!(!turns.ask(2, 2, Ms(10_000 + IDLE_MS * 2 - 1)));
        assert!(turns.ask(2, 2, Ms(10_000 + IDLE_MS * 2)));
        // In use all the time.
        turns.gathered(Ms(20_000));
        turns.served();
        for at in (20_000..20_000 + HOLD_MS).step_by(10) {
            turns.comes(2, Ms(at));
            assert!(!turns.ask(1, 9, Ms(at)));
        }
        assert!(turns.ask(1, 9, Ms(20_000 + HOLD_MS)));
    }

    #[test]
    fn who_stops_in_the_middle_or_does_not_ask_again_gives_way() {
        let mut turns = Turns::default();
        assert!(turns.ask(1, 1, Ms(0)));
        assert!(!turns.ask(2, 2, Ms(1)));
        assert!(!turns.ask(3, 3, Ms(STALL_MS)), "2 is next");
        assert!(turns.ask(3, 3, Ms(1 + STALL_MS)), "2 did not ask again");
        assert!(turns.holds(3) && !turns.holds(1));
    }
}
