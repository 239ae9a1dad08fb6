//! Lines of the access log whose response is still on its way.
//!
//! Owns a fixed table of places and, for each slot, the queue of its responses in their order. The
//! request is gone from its buffer long before its response is over, so what the line says of it
//! is kept here. It must not format or write anything.
//!
//! Invariants: a slot without a line always finds a place, for those places are kept free; so no
//! client can keep others out of the log. A line longer than a place takes several, as long as
//! others than the kept ones are free; a place is free or in one line.

use crate::connection::time::Ms;

/// What a place holds of a line: most lines fit one.
pub(super) const PLACE_BYTES: usize = 384;

/// What is known of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Where in the text status and size belong.
    pub(super) split: u16,
    pub(super) status: u16,
    /// Bytes of its head.
    pub(super) head_bytes: u64,
    /// Bytes of it in all, as far as they are made.
    pub(super) bytes: u64,
    /// Of those, the ones that are neither head nor content: the lines of chunks.
    pub(super) framing_bytes: u64,
    /// Further pieces will be made.
    pub(super) open: bool,
    /// When its request was read.
    pub(super) begun: Ms,
    /// When its last byte was with the kernel.
    pub(super) over: Option<Ms>,
}

/// A part of a line; the first one has the record.
#[derive(Clone, Debug)]
struct Place {
    record: Record,
    /// Where the line goes on.
    more: Option<u16>,
    /// The next line of the slot.
    behind: Option<u16>,
    len: u16,
    text: [u8; PLACE_BYTES],
}

/// The lines of a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    ends: Option<(u16, u16)>,
    /// Bytes sent of the first one.
    sent: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Pending {
    places: Vec<Place>,
    free: Vec<u16>,
    queues: Vec<Queue>,
    /// Slots without a line: so many places are kept for them.
    unheard: usize,
}

impl Pending {
    /// A place for each of `slots`, and `extra` ones.
    pub(super) fn new(slots: u16, extra: u16) -> Self {
        let count = slots.saturating_add(extra);
        let place = Place {
            record: Record::default(),
            more: None,
            behind: None,
            len: 0,
            text: [0; PLACE_BYTES],
        };
        Self {
            places: vec![place; usize::from(count)],
            free: (0..count).rev().collect(),
            queues: vec![Queue::default(); usize::from(slots)],
            unheard: usize::from(slots),
        }
    }

    /// Memory for each slot and each extra place, bytes.
    pub(super) const fn bytes_each() -> usize {
        size_of::<Place>() + size_of::<u16>() + size_of::<Queue>()
    }

    /// How long a further line of this slot may be, bytes; 0: there is no place for one.
    pub(super) fn room(&self, slot: u16) -> usize {
        let Some(queue) = self.queues.get(usize::from(slot)) else {
            return 0;
        };
        let kept = match queue.ends {
            Some(_) => self.unheard,
            None => self.unheard.saturating_sub(1),
        };
        self.free
            .len()
            .saturating_sub(kept)
            .saturating_mul(PLACE_BYTES)
    }

    /// Keeps a line behind those of its slot; false if it has no room.
    pub(super) fn put(&mut self, slot: u16, record: Record, text: &[u8]) -> bool {
        if text.is_empty() || text.len() > self.room(slot) {
            return false;
        }
        // From its end on, so that each part knows the next.
        let mut more = None;
        for part in text.chunks(PLACE_BYTES).rev() {
            let Some(at) = self.free.pop() else {
                return false; // cannot be: there is room
            };
            if let Some(place) = self.places.get_mut(usize::from(at)) {
                place.record = record;
                place.more = more;
                place.behind = None;
                place.len = u16::try_from(part.len()).unwrap_or(0);
                if let Some(room) = place.text.get_mut(..part.len()) {
                    room.copy_from_slice(part);
                }
            }
            more = Some(at);
        }
        let (Some(at), Some(queue)) = (more, self.queues.get_mut(usize::from(slot))) else {
            return false;
        };
        match queue.ends {
            None => {
                *queue = Queue {
                    ends: Some((at, at)),
                    sent: 0,
                };
                self.unheard = self.unheard.saturating_sub(1);
            }
            Some((first, last)) => {
                queue.ends = Some((first, at));
                if let Some(place) = self.places.get_mut(usize::from(last)) {
                    place.behind = Some(at);
                }
            }
        }
        true
    }

    /// The first line of a slot, bytes sent of its response, and whether it is the only one.
    pub(super) fn first(&mut self, slot: u16) -> Option<(&mut Record, &mut u64, bool)> {
        let queue = self.queues.get_mut(usize::from(slot))?;
        let (first, last) = queue.ends?;
        let place = self.places.get_mut(usize::from(first))?;
        Some((&mut place.record, &mut queue.sent, first == last))
    }

    /// How many lines a slot has.
    pub(super) fn count(&self, slot: u16) -> usize {
        let queue = self.queues.get(usize::from(slot));
        let first = queue.and_then(|queue| queue.ends).map(|(first, _)| first);
        let behind = |at: &u16| self.places.get(usize::from(*at))?.behind;
        std::iter::successors(first, behind).count()
    }

    /// The newest line of a slot.
    pub(super) fn last(&mut self, slot: u16) -> Option<&mut Record> {
        let (_, last) = self.queues.get(usize::from(slot))?.ends?;
        self.places
            .get_mut(usize::from(last))
            .map(|p| &mut p.record)
    }

    /// Takes the first line of a slot out; `part` gets its text part by part. `None`: it has none.
    pub(super) fn take(&mut self, slot: u16, mut part: impl FnMut(&[u8])) -> Option<Record> {
        let queue = self.queues.get_mut(usize::from(slot))?;
        let (first, last) = queue.ends?;
        let place = self.places.get(usize::from(first))?;
        let (record, behind) = (place.record, place.behind);
        queue.ends = behind.filter(|_| first != last).map(|next| (next, last));
        queue.sent = queue.sent.saturating_sub(record.bytes);
        if queue.ends.is_none() {
            queue.sent = 0;
            self.unheard = self.unheard.saturating_add(1);
        }
        let mut next = Some(first);
        while let Some(at) = next {
            let Some(place) = self.places.get(usize::from(at)) else {
                break;
            };
            part(place.text.get(..usize::from(place.len)).unwrap_or_default());
            next = place.more;
            self.free.push(at);
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(status: u16) -> Record {
        Record {
            status,
            bytes: 10,
            ..Record::default()
        }
    }

    fn taken(pending: &mut Pending, slot: u16) -> Option<(u16, Vec<u8>)> {
        let mut text = Vec::new();
        let record = pending.take(slot, |part| text.extend_from_slice(part))?;
        Some((record.status, text))
    }

    #[test]
    fn lines_of_a_slot_come_out_in_their_order_and_whole() {
        let mut pending = Pending::new(3, 6);
        let long: Vec<u8> = (0..=u8::MAX).cycle().take(2 * PLACE_BYTES + 1).collect();
        for _ in 0..100 {
            assert!(pending.put(1, line(200), b"one"));
            assert!(pending.put(1, line(404), &long));
            assert!(pending.put(2, line(500), b"other"));
            assert!(pending.put(1, line(304), &long[..PLACE_BYTES]));
            assert_eq!(taken(&mut pending, 0), None);
            assert_eq!(taken(&mut pending, 1), Some((200, b"one".to_vec())));
            assert_eq!(taken(&mut pending, 1), Some((404, long.clone())));
            assert_eq!(
                taken(&mut pending, 1),
                Some((304, long[..PLACE_BYTES].to_vec()))
            );
            assert_eq!(taken(&mut pending, 1), None);
            assert_eq!(taken(&mut pending, 2), Some((500, b"other".to_vec())));
            assert_eq!((pending.free.len(), pending.unheard), (9, 3));
        }
        assert_eq!(taken(&mut pending, 9), None);
        assert!(!pending.put(9, line(200), b"x") && !pending.put(0, line(200), b""));
    }

    #[test]
    fn no_slot_takes_the_place_that_is_kept_for_another() {
        let mut pending = Pending::new(4, 2);
        assert_eq!(pending.room(0), 3 * PLACE_BYTES);
        assert!(pending.put(0, line(200), &[b'x'; 3 * PLACE_BYTES]));
        assert_eq!(pending.room(0), 0);
        assert!(!pending.put(0, line(200), b"x"));
        for slot in 1..4 {
            assert_eq!(pending.room(slot), PLACE_BYTES);
            assert!(!pending.put(slot, line(200), &[b'x'; PLACE_BYTES + 1]));
            assert!(pending.put(slot, line(200), &[b'x'; PLACE_BYTES]));
            assert_eq!(pending.room(slot), 0);
        }
        taken(&mut pending, 0);
        assert_eq!(pending.room(1), 2 * PLACE_BYTES);
        assert_eq!(pending.room(0), 3 * PLACE_BYTES);
    }

    #[test]
    fn what_was_sent_goes_to_the_next_line() {
        let mut pending = Pending::new(1, 2);
        pending.put(0, line(200), b"one");
        pending.put(0, line(201), b"two");
        assert_eq!((pending.count(0), pending.count(1)), (2, 0));
        *pending.first(0).unwrap().1 += 14;
        assert!(!pending.first(0).unwrap().2);
        pending.last(0).unwrap().status = 408;
        taken(&mut pending, 0);
        assert_eq!(pending.count(0), 1);
        let (record, sent, only) = pending.first(0).unwrap();
        assert_eq!((record.status, *sent, only), (408, 4, true));
        taken(&mut pending, 0);
        assert!(pending.first(0).is_none() && pending.last(0).is_none());
    }
}
