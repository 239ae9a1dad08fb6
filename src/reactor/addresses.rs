//! How many connections each address has.
//!
//! Owns a fixed open-addressing table. IPv6 addresses count by their /64, which one host can fill
//! at will. Invariants: at most one entry per live connection, so the table, twice the slots, is
//! never more than half full; nothing is allocated after `new`.

use crate::sys::socket::Peer;

/// An address as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key([u8; 9]);

impl Key {
    fn of(peer: Peer) -> Option<Self> {
        let mut key = [0; 9];
        match peer {
            Peer::V4(address) => {
                key[0] = 4;
                key[1..5].copy_from_slice(&address);
            }
            Peer::V6([a, b, c, d, e, f, g, h, ..]) => key = [6, a, b, c, d, e, f, g, h],
            Peer::Unix => return None,
        }
        Some(Self(key))
    }

    /// FNV-1a with a seed chosen at start, so that nobody can choose addresses that collide.
    fn hash(self, seed: u32) -> usize {
        let hash = self.0.iter().fold(seed, |sum, b| {
            (sum ^ u32::from(*b)).wrapping_mul(0x0100_0193)
        });
        usize::try_from(hash ^ (hash >> 15)).unwrap_or(0)
    }
}

/// Whether both count as one client.
pub(super) fn same_client(one: Peer, other: Peer) -> bool {
    one == other || Key::of(one).is_some_and(|key| Some(key) == Key::of(other))
}

/// The table.
#[derive(Debug)]
pub(super) struct Addresses {
    entries: Vec<Option<(Key, u16)>>,
    seed: u32,
}

impl Addresses {
    /// A table for `slots` connections.
    #[must_use]
    pub(super) fn new(slots: u16, seed: u32) -> Self {
        let entries = (usize::from(slots) * 2).next_power_of_two();
        Self {
            entries: vec![None; entries],
            seed,
        }
    }

    /// Memory for each connection, bytes: twice the slots, and up to twice that by rounding up.
    #[must_use]
    pub(super) const fn bytes_each() -> usize {
        4 * size_of::<Option<(Key, u16)>>()
    }

    /// Connections of this address. Unix peers are not counted.
    #[must_use]
    pub(super) fn count(&self, peer: Peer) -> u16 {
        let found = Key::of(peer).map(|key| self.place(key));
        found
            .and_then(|at| self.entries.get(at).copied().flatten())
            .map_or(0, |(_, n)| n)
    }

    /// One more.
    pub(super) fn add(&mut self, peer: Peer) {
        let Some(key) = Key::of(peer) else { return };
        let at = self.place(key);
        if let Some(entry) = self.entries.get_mut(at) {
            let count = entry.map_or(0, |(_, n)| n);
            *entry = Some((key, count.saturating_add(1)));
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, peer: Peer) {
        let Some(key) = Key::of(peer) else { return };
        let at = self.place(key);
        match self.entries.get_mut(at) {
            Some(Some((_, count))) if *count > 1 => *count -= 1,
            Some(Some(_)) => self.erase(at),
            Some(None) | None => debug_assert!(false, "an address that was never counted"),
        }
    }

    /// Where the key stands, or where it would.
    fn place(&self, key: Key) -> usize {
        let mask = self.entries.len() - 1;
        let mut at = key.hash(self.seed) & mask;
        for _ in 0..self.entries.len() {
            match self.entries.get(at) {
                Some(Some((other, _))) if *other != key => at = (at + 1) & mask,
                Some(_) | None => break,
            }
        }
        at
    }

    /// Empties a place and closes the gap behind it, so that no search stops too early.
    fn erase(&mut self, hole: usize) {
        let mask = self.entries.len() - 1;
        let mut hole = hole;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let Some((key, count)) = self.entries.get(at).copied().flatten() else {
                break;
            };
            let home = key.hash(self.seed) & mask;
            let behind_hole = (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask);
            if behind_hole {
                if let Some(entry) = self.entries.get_mut(hole) {
                    *entry = Some((key, count));
                }
                hole = at;
            }
        }
        if let Some(entry) = self.entries.get_mut(hole) {
            *entry = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_collisions_and_gaps() {
        let mut table = Addresses::new(64, 7);
        let mut shadow = std::collections::HashMap::new();
        let mut random = 1_u32;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let peer = [10, 0, 0, u8::try_from(random % 60).unwrap()];
            let count = shadow.entry(peer).or_insert(0_u16);
            if random & 0x100 == 0 {
                table.add(Peer::V4(peer));
                *count += 1;
            } else if *count > 0 {
                table.remove(Peer::V4(peer));
                *count -= 1;
            }
            assert_eq!(table.count(Peer::V4(peer)), *count);
        }
        for (peer, count) in shadow {
            assert_eq!(table.count(Peer::V4(peer)), count);
        }
    }

    #[test]
    fn ipv6_counts_by_64_and_unix_not_at_all() {
        let mut table = Addresses::new(8, 1);
        let mut one = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        table.add(Peer::V6(one));
        one[15] = 9;
        assert_eq!(table.count(Peer::V6(one)), 1);
        one[7] = 2;
        assert_eq!(table.count(Peer::V6(one)), 0);
        table.add(Peer::Unix);
        assert_eq!(table.count(Peer::Unix), 0);
    }
}
