//! Who waits for a word of the helper.
//!
//! Owns the slots that wait, and on which words each of them relies. It must not know what the
//! words are about. Invariants: nothing is allocated after `new`; a slot stands here at most once,
//! from its first question until its request is answered; what it relies on is kept for it so long.

/// Words that can be relied on: one bit each.
pub(super) const WORDS: usize = 64;
/// Slots that can wait at the same time.
pub(super) const WAITING: usize = 64;

/// A slot whose request waits, or has waited and is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    slot: u16,
    /// The question it waits for.
    ticket: u32,
    /// It has been told that there is an answer.
    is_woken: bool,
    /// The words it was told, or waits for.
    relies_on: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Waiters {
    places: Vec<Option<Waiter>>,
    /// How many are taken. Where no passwords are asked for, that is all that a request looks at.
    count: usize,
}

/// The bit of a word.
fn bit(word: usize) -> u64 {
    u32::try_from(word)
        .ok()
        .and_then(|word| 1_u64.checked_shl(word))
        .unwrap_or(0)
}

impl Waiters {
    /// Memory they take, bytes.
    pub(super) const BYTES: usize = WAITING * size_of::<Option<Waiter>>();

    pub(super) fn new() -> Self {
        Self {
            places: vec![None; WAITING],
            count: 0,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// This slot is one of them.
    pub(super) fn has(&self, slot: u16) -> bool {
        self.places
            .iter()
            .flatten()
            .any(|waiter| waiter.slot == slot)
    }

    /// This slot waits for the answer to this question, which will be this word, and relies on
    /// those `told` it before.
    pub(super) fn put(&mut self, slot: u16, ticket: u32, word: usize, told: &Told) {
        let own = |place: &Option<Waiter>| place.is_some_and(|waiter| waiter.slot == slot);
        let found = self.places.iter().position(own);
        let place = found.or_else(|| self.places.iter().position(Option::is_none));
        if let Some(place) = place.and_then(|place| self.places.get_mut(place)) {
            self.count += usize::from(place.is_none());
            let before = place.map_or(0, |waiter| waiter.relies_on);
            *place = Some(Waiter {
                slot,
                ticket,
                is_woken: false,
                relies_on: before | told.0 | bit(word),
            });
        }
    }

    /// This slot does not wait, and relies on nothing any more.
    pub(super) fn forget(&mut self, slot: u16) {
        if self.count == 0 {
            return;
        }
        for place in &mut self.places {
            let gone = place.take_if(|waiter| waiter.slot == slot);
            self.count -= usize::from(gone.is_some());
        }
    }

    /// This slot relies on this word.
    pub(super) fn relies(&self, slot: u16, word: usize) -> bool {
        let mut all = self.places.iter().flatten();
        all.any(|waiter| waiter.slot == slot && waiter.relies_on & bit(word) != 0)
    }

    /// Somebody relies on this word.
    pub(super) fn anybody_relies(&self, word: usize) -> bool {
        let mut all = self.places.iter().flatten();
        all.any(|waiter| waiter.relies_on & bit(word) != 0)
    }

    /// A slot whose question `is_answered`, and that was not told so before.
    pub(super) fn next(&mut self, is_answered: impl Fn(u32) -> bool) -> Option<u16> {
        if self.count == 0 {
            return None;
        }
        let mut all = self.places.iter_mut().flatten();
        let waiter = all.find(|waiter| !waiter.is_woken && is_answered(waiter.ticket))?;
        waiter.is_woken = true;
        Some(waiter.slot)
    }
}

/// The words that were told about one request.
#[derive(Debug, Default)]
pub(super) struct Told(u64);

impl Told {
    pub(super) fn add(&mut self, word: usize) {
        self.0 |= bit(word);
    }

    pub(super) fn has(&self, word: usize) -> bool {
        self.0 & bit(word) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_relies_on_what_it_was_told_until_it_is_forgotten() {
        let mut waiters = Waiters::new();
        let mut told = Told::default();
        waiters.put(7, 1, 0, &told);
        told.add(0);
        waiters.put(7, 2, 63, &told);
        assert_eq!(waiters.count(), 1);
        for word in 0..WORDS {
            let meant = word == 0 || word == 63;
            assert_eq!(waiters.relies(7, word), meant, "{word}");
            assert_eq!(waiters.anybody_relies(word), meant, "{word}");
            assert!(!waiters.relies(8, word));
        }
        assert_eq!(waiters.next(|ticket| ticket == 1), None);
        assert_eq!(waiters.next(|ticket| ticket == 2), Some(7));
        assert_eq!(waiters.next(|_| true), None);
        assert!(waiters.has(7) && waiters.relies(7, 0));
        waiters.forget(7);
        assert!(!waiters.has(7) && !waiters.anybody_relies(0));
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut waiters = Waiters::new();
        for slot in 0..=64 {
            waiters.put(slot, 1, 1, &Told::default());
        }
        assert_eq!(waiters.count(), WAITING);
        assert!(waiters.has(63) && !waiters.has(64));
    }
}
