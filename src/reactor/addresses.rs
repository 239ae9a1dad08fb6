//! How many connections each address has.
//!
//! Owns a fixed open-addressing table. IPv6 addresses count by their /64, which one host can fill
//! at will; clients of whom nothing is known count as one, and unix peers not at all. Invariants:
//! at most one entry per live connection, so the table, which has half as many places again, is
//! never more than two thirds full; nothing is allocated after `new`.

use crate::connection::client::Client;
use std::net::IpAddr;

/// A client as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    V4([u8; 4]),
    V6([u8; 8]),
    Unknown,
}

impl Key {
    /// `None`: it is not counted.
    pub(super) fn of(client: &Client) -> Option<Self> {
        match client {
            Client::Address(IpAddr::V4(address)) => Some(Self::V4(address.octets())),
            Client::Address(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Some(Self::V6([a, b, c, d, e, f, g, h]))
            }
            Client::Unknown => Some(Self::Unknown),
            Client::Unix => None,
        }
    }

    /// FNV-1a with a seed chosen at start, so that nobody can choose addresses that collide.
    fn hash(self, seed: u32) -> u32 {
        let bytes: &[u8] = match &self {
            Self::V4(address) => address,
            Self::V6(network) => network,
            Self::Unknown => &[],
        };
        let hash = bytes.iter().fold(seed, |sum, b| {
            (sum ^ u32::from(*b)).wrapping_mul(0x0100_0193)
        });
        hash ^ (hash >> 15)
    }
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
        let slots = usize::from(slots);
        Self {
            entries: vec![None; slots + slots.div_ceil(2)],
            seed,
        }
    }

    /// Memory for each connection, bytes: one and a half places, rounded up in all.
    #[must_use]
    pub(super) const fn bytes_each() -> usize {
        size_of::<Option<(Key, u16)>>() * 3 / 2
    }

    /// Connections of this client; 0 of one that is not counted.
    #[must_use]
    pub(super) fn count(&self, key: Option<Key>) -> u16 {
        let found = key.map(|key| self.place(key));
        found
            .and_then(|at| self.entries.get(at).copied().flatten())
            .map_or(0, |(_, n)| n)
    }

    /// One more.
    pub(super) fn add(&mut self, key: Option<Key>) {
        let Some(key) = key else { return };
        let at = self.place(key);
        if let Some(entry) = self.entries.get_mut(at) {
            let count = entry.map_or(0, |(_, n)| n);
            *entry = Some((key, count.saturating_add(1)));
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, key: Option<Key>) {
        let Some(key) = key else { return };
        let at = self.place(key);
        match self.entries.get_mut(at) {
            Some(Some((_, count))) if *count > 1 => *count -= 1,
            Some(Some(_)) => self.erase(at),
            Some(None) | None => debug_assert!(false, "an address that was never counted"),
        }
    }

    /// Where the key stands, or where it would.
    fn place(&self, key: Key) -> usize {
        let mut at = self.home(key);
        for _ in 0..self.entries.len() {
            match self.entries.get(at) {
                Some(Some((other, _))) if *other != key => at = self.behind(at),
                Some(_) | None => break,
            }
        }
        at
    }

    /// Where a search for the key begins: its hash as a part of 2^32 is that part of the table.
    fn home(&self, key: Key) -> usize {
        let len = u64::try_from(self.entries.len()).unwrap_or(0);
        let home = (u64::from(key.hash(self.seed)) * len) >> u32::BITS;
        usize::try_from(home).unwrap_or(0)
    }

    /// The place behind one.
    fn behind(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() {
            0
        } else {
            at + 1
        }
    }

    /// How far `at` is behind `home`.
    fn distance(&self, home: usize, at: usize) -> usize {
        match at.checked_sub(home) {
            Some(distance) => distance,
            None => at + self.entries.len() - home,
        }
    }

    /// Empties a place and closes the gap behind it, so that no search stops too early.
    fn erase(&mut self, hole: usize) {
        let mut hole = hole;
        let mut at = hole;
        loop {
            at = self.behind(at);
            let Some((key, count)) = self.entries.get(at).copied().flatten() else {
                break;
            };
            if self.distance(self.home(key), at) >= self.distance(hole, at) {
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

    fn v4(address: [u8; 4]) -> Option<Key> {
        Key::of(&Client::from_address(IpAddr::from(address)))
    }

    fn v6(address: [u8; 16]) -> Option<Key> {
        Key::of(&Client::from_address(IpAddr::from(address)))
    }

    #[test]
    fn counts_survive_collisions_and_gaps() {
        let mut random = 1_u32;
        // In a small table searches go over its end as well.
        for (slots, seeds) in [(64, 7..8), (4, 0..200)] {
            let clients = u32::from(slots) * 3 / 2;
            for seed in seeds {
                let mut table = Addresses::new(slots, seed);
                let mut shadow = std::collections::HashMap::new();
                for _ in 0..40 * slots {
                    random ^= random << 13;
                    random ^= random >> 17;
                    random ^= random << 5;
                    let peer = [10, 0, 0, u8::try_from(random % clients).unwrap()];
                    let count = shadow.get(&peer).copied().unwrap_or(0_u16);
                    let has_room = count > 0 || shadow.len() < slots.into();
                    if random & 0x100 == 0 && has_room {
                        table.add(v4(peer));
                        shadow.insert(peer, count + 1);
                    } else if count > 0 {
                        table.remove(v4(peer));
                        shadow.insert(peer, count - 1);
                    }
                    shadow.retain(|_, count| *count > 0);
                    for last in 0..clients {
                        let peer = [10, 0, 0, u8::try_from(last).unwrap()];
                        let count = shadow.get(&peer).copied().unwrap_or(0);
                        assert_eq!(table.count(v4(peer)), count);
                    }
                }
            }
        }
    }

    #[test]
    fn ipv6_counts_by_64_and_unix_not_at_all() {
        let mut table = Addresses::new(8, 1);
        let mut one = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        table.add(v6(one));
        one[15] = 9;
        assert_eq!(table.count(v6(one)), 1);
        one[7] = 2;
        assert_eq!(table.count(v6(one)), 0);
        table.add(Key::of(&Client::Unix));
        assert_eq!(table.count(Key::of(&Client::Unix)), 0);
    }
}
