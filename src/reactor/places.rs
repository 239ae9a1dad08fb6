//! Tables of fixed places: what some slots need beside their own.
//!
//! Owns the places, and how many of them one client may have. It must not know what stands in them.
//! Invariants: a table never grows; a place is free or held by one slot.

use super::addresses::Key;

/// In which table a slot has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// What makes its answer piece by piece.
    Work(u16),
    /// Where its body is kept.
    Upload(u16),
    /// The script that makes its answer.
    Script(u16),
    /// Its answer about the status.
    Status(u16),
}

/// A table. Last in, first out.
#[derive(Debug)]
pub(super) struct Places<T> {
    places: Vec<Option<Held<T>>>,
    free: Vec<u16>,
    /// Most places of one client.
    share: usize,
    /// The most that were taken at once.
    peak: usize,
}

/// What stands in a place, and the client that its connection was counted under when it came.
#[derive(Debug)]
struct Held<T> {
    what: T,
    client: Option<Key>,
    /// Of [`Sites::epoch`](super::reload::Sites::epoch).
    epoch: u16,
}

impl<T> Places<T> {
    /// Room for `count`. One client gets the part of them that it gets of the slots: who is slow
    /// would have them all.
    #[must_use]
    pub(super) fn new(count: u16, per_address: u16, slots: u16) -> Self {
        let mut places = Self {
            places: (0..count).map(|_| None).collect(),
            free: (0..count).rev().collect(),
            share: 1,
            peak: 0,
        };
        places.divide(per_address, slots);
        places
    }

    /// From now on one client gets so many of so many slots.
    pub(super) fn divide(&mut self, per_address: u16, slots: u16) {
        let count = u32::try_from(self.places.len()).unwrap_or(0);
        let part = count.saturating_mul(per_address.into()) / u32::from(slots).max(1);
        self.share = usize::try_from(part).unwrap_or(0).max(1);
    }

    /// Memory for each place, bytes.
    #[must_use]
    pub(super) const fn bytes_each() -> usize {
        size_of::<Option<Held<T>>>() + size_of::<u16>()
    }

    /// A further one of this client finds a place. Who has no address has no share either.
    #[must_use]
    pub(super) fn has_room(&self, client: Option<Key>) -> bool {
        let held = self.places.len() - self.free.len();
        !self.free.is_empty() && (held < self.share || self.held_by(client) < self.share)
    }

    /// Places of this client.
    fn held_by(&self, client: Option<Key>) -> usize {
        let held = self.places.iter().flatten();
        held.filter(|held| client.is_some() && held.client == client)
            .count()
    }

    /// Takes it into a free place. Where there is none it stays: ask [`Places::has_room`] first.
    pub(super) fn put(
        &mut self,
        what: &mut Option<T>,
        client: Option<Key>,
        epoch: u16,
    ) -> Option<u16> {
        let at = self.free.pop()?;
        self.peak = self.peak.max(self.places.len() - self.free.len());
        let place = self.places.get_mut(usize::from(at))?;
        *place = what.take().map(|what| Held {
            what,
            client,
            epoch,
        });
        Some(at)
    }

    /// What stands at this place, and the epoch of its site.
    pub(super) fn get_mut(&mut self, at: u16) -> Option<(&mut T, u16)> {
        let held = self.places.get_mut(usize::from(at))?.as_mut();
        held.map(|held| (&mut held.what, held.epoch))
    }

    /// Something of this epoch is not done.
    #[must_use]
    pub(super) fn is_used(&self, epoch: u16) -> bool {
        self.places.iter().flatten().any(|held| held.epoch == epoch)
    }

    /// Takes it out.
    pub(super) fn take(&mut self, at: u16) -> Option<(T, u16)> {
        let held = self.places.get_mut(usize::from(at))?.take()?;
        self.free.push(at);
        Some((held.what, held.epoch))
    }

    /// How many places are taken, of how many.
    #[must_use]
    pub(super) fn used(&self) -> (usize, usize) {
        (self.places.len() - self.free.len(), self.places.len())
    }

    /// The most that were taken at once.
    #[must_use]
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// How many places are free.
    #[must_use]
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// How many there are.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }
}
