//! The smallest names behind a mark.
//!
//! Owns the order of a listing and a fixed number of cells that hold its next names. It must not
//! read a directory. Invariants: the names are in order and none stands twice; none of those that
//! were left out is smaller than the largest that is held; nothing grows.

use crate::site::path::NAME_BYTES;
use crate::site::text::Text;
use std::cmp::Ordering;

/// What a name is shown as. Directories come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// A directory, or a link that leads to one.
    Directory,
    /// A regular file, or a link that leads to one.
    File,
}

/// A name and its class: a place in the order.
pub(super) type Key<'n> = (Class, &'n [u8]);

/// The order: directories first; by name without regard to ASCII case; ties by bytes.
pub(super) fn compare(a: Key<'_>, b: Key<'_>) -> Ordering {
    a.0.cmp(&b.0)
        .then_with(|| folded(a.1, b.1))
        .then_with(|| a.1.cmp(b.1))
}

/// By name without regard to ASCII case. Names of one directory often begin alike, and a directory
/// is gone through many times: what is the same is skipped in pieces.
fn folded(a: &[u8], b: &[u8]) -> Ordering {
    const PIECE_BYTES: usize = 16;
    let (mut left, mut right) = (a.chunks(PIECE_BYTES), b.chunks(PIECE_BYTES));
    loop {
        let order = match (left.next(), right.next()) {
            (Some(a), Some(b)) if a == b => Ordering::Equal,
            (Some(a), Some(b)) => {
                let b = b.iter().map(u8::to_ascii_lowercase);
                a.iter().map(u8::to_ascii_lowercase).cmp(b)
            }
            (a, b) => return a.is_some().cmp(&b.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// A place in the order that is kept: everything up to it is done.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    class: Class,
    name: Text<NAME_BYTES>,
}

impl Mark {
    /// Before every name.
    pub(super) const START: Self = Self {
        class: Class::Directory,
        name: Text::new(),
    };

    /// The place.
    pub(super) fn key(&self) -> Key<'_> {
        (self.class, self.name.as_bytes())
    }

    /// Moves to `key`, if it lies behind; false if it does not or is no name.
    pub(super) fn advance(&mut self, key: Key<'_>) -> bool {
        if compare(key, self.key()).is_le() || key.1.len() > NAME_BYTES {
            return false;
        }
        self.class = key.0;
        self.name.truncate(0);
        self.name.push(key.1).is_ok()
    }
}

/// One name.
#[derive(Clone, Copy, Debug)]
struct Cell {
    bytes: [u8; NAME_BYTES],
    len: u8,
}

/// Which cell stands at a place of the order.
#[derive(Clone, Copy, Debug)]
struct Place {
    class: Class,
    cell: u16,
}

/// The names.
#[derive(Debug)]
pub(super) struct Smallest {
    cells: Box<[Cell]>,
    /// The first `len` are in order; the others name the cells that are free.
    order: Box<[Place]>,
    len: usize,
    more: bool,
}

impl Smallest {
    /// Room for so many names, allocated here and never again.
    pub(super) fn new(cells: u16) -> Self {
        let empty = Cell {
            bytes: [0; NAME_BYTES],
            len: 0,
        };
        let place = |cell| Place {
            class: Class::File,
            cell,
        };
        Self {
            cells: vec![empty; usize::from(cells)].into_boxed_slice(),
            order: (0..cells).map(place).collect(),
            len: 0,
            more: false,
        }
    }

    /// What it takes, in bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.cells) + size_of_val(&*self.order)
    }

    /// Forgets all names.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.more = false;
    }

    /// How many are held.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// A name was left out because it is larger than all that are held.
    pub(super) const fn has_more(&self) -> bool {
        self.more
    }

    /// The name at a place of the order.
    pub(super) fn get(&self, place: usize) -> Option<Key<'_>> {
        let place = self.order.get(..self.len)?.get(place)?;
        let cell = self.cells.get(usize::from(place.cell))?;
        Some((place.class, cell.bytes.get(..usize::from(cell.len))?))
    }

    /// The largest name.
    pub(super) fn last(&self) -> Option<Key<'_>> {
        self.get(self.len.checked_sub(1)?)
    }

    /// The place of the first name behind `key`.
    pub(super) fn behind(&self, key: Key<'_>) -> usize {
        self.search(|held| compare(held, key).is_le())
    }

    /// Whether `key` would be held. If it is too large, that is remembered.
    pub(super) fn wants(&mut self, key: Key<'_>) -> bool {
        if self.len < self.order.len() {
            return true;
        }
        let wanted = self.last().is_some_and(|last| compare(key, last).is_lt());
        // The largest one itself, met again, is not left out.
        self.more |= !wanted && self.last().is_none_or(|last| compare(key, last).is_gt());
        wanted
    }

    /// Holds `key`, unless it is too large or held already. The largest one makes room for it.
    pub(super) fn offer(&mut self, key: Key<'_>) {
        let (class, name) = key;
        let Ok(len) = u8::try_from(name.len()) else {
            return;
        };
        if !self.wants(key) {
            return;
        }
        let place = self.search(|held| compare(held, key).is_lt());
        if self.get(place) == Some(key) {
            return;
        }
        // A free cell, or that of the largest name.
        let from = self.len.min(self.order.len().saturating_sub(1));
        self.more |= from < self.len;
        let Some(moved) = self.order.get_mut(place..=from) else {
            return;
        };
        moved.rotate_right(1);
        let Some(first) = moved.first_mut() else {
            return;
        };
        first.class = class;
        if let Some(cell) = self.cells.get_mut(usize::from(first.cell)) {
            cell.len = len;
            if let Some(bytes) = cell.bytes.get_mut(..name.len()) {
                bytes.copy_from_slice(name);
            }
        }
        self.len = from.saturating_add(1);
    }

    /// How many names at the front answer `before` with yes.
    fn search(&self, before: impl Fn(Key<'_>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).is_some_and(&before) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Key, Mark, Smallest, compare};
    use crate::site::listing::tests::Chance;

    fn held(smallest: &Smallest) -> Vec<(Class, Vec<u8>)> {
        (0..smallest.len())
            .map(|place| smallest.get(place).unwrap())
            .map(|(class, name)| (class, name.to_vec()))
            .collect()
    }

    #[test]
    fn directories_first_then_names_without_case_then_bytes() {
        let order: [Key<'_>; 10] = [
            (Class::Directory, b"A"),
            (Class::Directory, b"b"),
            (Class::Directory, b"\xff"),
            (Class::File, b"1"),
            (Class::File, b"A"),
            (Class::File, b"a"),
            (Class::File, b"aB"),
            (Class::File, b"ab"),
            (Class::File, b"B"),
            (Class::File, b"\xc3\x84"),
        ];
        for (i, a) in order.iter().enumerate() {
            for (j, b) in order.iter().enumerate() {
                assert_eq!(compare(*a, *b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn long_names_that_begin_alike_are_in_order_too() {
        let mut chance = Chance(11);
        for _ in 0..20_000 {
            let mut name =
                |length| -> Vec<u8> { (0..length).map(|_| b"xxxxxxXy"[chance.below(8)]).collect() };
            let (a, b) = (name(14), name(5));
            let (a, b) = ([&a[..], &b].concat(), [&a[..], &name(4)].concat());
            let lower = |name: &[u8]| name.to_ascii_lowercase();
            let want = lower(&a).cmp(&lower(&b)).then_with(|| a.cmp(&b));
            assert_eq!(compare((Class::File, &a), (Class::File, &b)), want);
            let shorter = &a[..chance.below(a.len())];
            assert!(compare((Class::File, shorter), (Class::File, &a)).is_lt());
        }
    }

    #[test]
    fn a_mark_moves_forward_only() {
        let mut mark = Mark::START;
        assert!(!mark.advance((Class::Directory, b"")));
        assert!(mark.advance((Class::Directory, b"b")));
        assert!(!mark.advance((Class::Directory, b"b")));
        assert!(!mark.advance((Class::Directory, b"a")));
        assert!(!mark.advance((Class::File, &[b'x'; 256])));
        assert_eq!(mark.key(), (Class::Directory, &b"b"[..]));
        assert!(mark.advance((Class::File, b"a")));
        assert_eq!(mark.key(), (Class::File, &b"a"[..]));
    }

    #[test]
    fn it_holds_what_a_sort_of_everything_begins_with() {
        let mut chance = Chance(7);
        for round in 0..400 {
            let room = 1 + chance.below(9);
            let mut smallest = Smallest::new(u16::try_from(room).unwrap());
            for _ in 0..2 {
                let mut all = Vec::new();
                for _ in 0..chance.below(30) {
                    let class = [Class::Directory, Class::File][chance.below(2)];
                    let name: Vec<u8> = (0..=chance.below(3))
                        .map(|_| b"aAbB\xff"[chance.below(5)])
                        .collect();
                    smallest.offer((class, &name));
                    all.push((class, name));
                }
                all.sort_by(|a, b| compare((a.0, &a.1), (b.0, &b.1)));
                all.dedup();
                let more = all.len() > room;
                assert_eq!(smallest.has_more(), more, "round {round}");
                for (place, (class, name)) in all.iter().take(room).enumerate() {
                    assert_eq!(smallest.behind((*class, name)), place + 1);
                }
                all.truncate(room);
                assert_eq!(held(&smallest), all, "round {round}");
                smallest.clear();
                assert_eq!((smallest.len(), smallest.has_more()), (0, false));
            }
        }
    }

    #[test]
    fn a_name_that_is_none_changes_nothing() {
        let mut smallest = Smallest::new(2);
        smallest.offer((Class::File, &[b'x'; 256]));
        assert_eq!(smallest.len(), 0);
        smallest.offer((Class::File, &[b'x'; 255]));
        assert_eq!(smallest.last(), Some((Class::File, &[b'x'; 255][..])));
        let mut none = Smallest::new(0);
        none.offer((Class::File, b"x"));
        assert_eq!(none.len(), 0);
    }
}
