//! First in, first out over slot indices, in fixed memory.
//!
//! Owns the links. Invariants: a slot stands in the queue at most once; push, pop and remove are
//! O(1); nothing is allocated after `new`.

use super::net::SLOTS_MAX;

/// Nobody is before or behind it.
const NIL: u16 = u16::MAX;
/// In `next`: it does not stand in the queue. No slot has either number.
const OUT: u16 = NIL - 1;
const _: () = assert!(SLOTS_MAX <= OUT);

#[derive(Clone, Copy, Debug)]
struct Link {
    next: u16,
    previous: u16,
}

impl Link {
    const OUTSIDE: Self = Self {
        next: OUT,
        previous: NIL,
    };

    const fn is_queued(self) -> bool {
        self.next != OUT
    }
}

/// A queue of slots.
#[derive(Debug)]
pub(super) struct Queue {
    links: Vec<Link>,
    first: u16,
    last: u16,
    len: usize,
}

impl Queue {
    /// A queue for slots below `slots`.
    #[must_use]
    pub(super) fn new(slots: u16) -> Self {
        Self {
            links: vec![Link::OUTSIDE; usize::from(slots)],
            first: NIL,
            last: NIL,
            len: 0,
        }
    }

    /// Memory for each slot, bytes.
    #[must_use]
    pub(super) const fn bytes_each() -> usize {
        size_of::<Link>()
    }

    /// Puts a slot at the end, unless it stands in the queue already; whether it did.
    pub(super) fn push(&mut self, slot: u16) -> bool {
        let last = self.last;
        match self.links.get_mut(usize::from(slot)) {
            Some(link) if !link.is_queued() => {
                *link = Link {
                    next: NIL,
                    previous: last,
                }
            }
            Some(_) | None => return false,
        }
        match self.links.get_mut(usize::from(last)) {
            Some(before) => before.next = slot,
            None => self.first = slot,
        }
        self.last = slot;
        self.len += 1;
        true
    }

    /// Takes the first.
    pub(super) fn pop(&mut self) -> Option<u16> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    /// The first, which stays.
    #[must_use]
    pub(super) fn first(&self) -> Option<u16> {
        (self.first != NIL).then_some(self.first)
    }

    /// Takes a slot out, wherever it stands.
    pub(super) fn remove(&mut self, slot: u16) {
        let link = self.links.get_mut(usize::from(slot));
        let Some(link) = link.filter(|link| link.is_queued()) else {
            return;
        };
        let Link { next, previous } = std::mem::replace(link, Link::OUTSIDE);
        match self.links.get_mut(usize::from(previous)) {
            Some(before) => before.next = next,
            None => self.first = next,
        }
        match self.links.get_mut(usize::from(next)) {
            Some(behind) => behind.previous = previous,
            None => self.last = previous,
        }
        self.len -= 1;
    }

    /// How many stand in it.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Nobody stands in it.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_and_nobody_stands_twice() {
        let mut queue = Queue::new(5);
        for slot in [3, 1, 4, 1, 3, 0] {
            queue.push(slot);
        }
        queue.push(9); // beyond the table: ignored
        queue.remove(4);
        queue.remove(4);
        queue.remove(2);
        assert_eq!(queue.len(), 3);
        let order: Vec<u16> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [3, 1, 0]);
        assert!(queue.is_empty());
        queue.push(2);
        assert_eq!(queue.pop(), Some(2));
        assert_eq!(queue.pop(), None);
    }
}
