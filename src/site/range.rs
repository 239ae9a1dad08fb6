//! Range requests for bytes (RFC 9110 section 14).
//!
//! Owns the reading of a Range value and what it selects of a representation of known size. It must
//! not know files or replies; whether Range applies at all (GET, If-Range) is asked before.
//! Invariants: a selected part is never empty and lies within the representation; no two parts
//! overlap or lie near each other; no number overflows; reading takes one pass and memory for
//! [`PARTS_MAX`] parts, however many are asked for.

/// Most parts of one answer; who asks for more gets the whole. Overlapping and near ranges count as
/// one, but at every moment: a list that stands at more is given up, whatever could still join
/// them.
pub(super) const PARTS_MAX: usize = 16;
/// Ranges with a smaller gap between them are joined: the head of a part costs more. RFC 9110
/// section 15.3.7.2 suggests this number.
pub(super) const GAP_BYTES: u64 = 80;

/// A part of a representation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// First byte.
    pub(super) first: u64,
    /// How many bytes; not 0.
    pub(super) length: u64,
}

impl Part {
    /// Behind its last byte.
    const fn end(self) -> u64 {
        self.first.saturating_add(self.length)
    }

    /// They overlap, or the gap between them is not worth the head of a part.
    const fn is_near(self, other: Self) -> bool {
        let before = self.first.saturating_sub(other.end());
        let behind = other.first.saturating_sub(self.end());
        before < GAP_BYTES && behind < GAP_BYTES
    }

    /// Both, and the gap between them.
    fn with(self, other: Self) -> Self {
        let first = self.first.min(other.first);
        Self {
            first,
            length: self.end().max(other.end()).saturating_sub(first),
        }
    }
}

/// Several parts. They stand in the order of the request, for who asks for the end before the
/// beginning may need it first (RFC 9110 section 15.3.7.2); joined ones at the place of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    parts: [Part; PARTS_MAX],
    count: usize,
}

impl Ranges {
    /// The parts.
    pub(super) fn as_slice(&self) -> &[Part] {
        self.parts.get(..self.count).unwrap_or_default()
    }

    /// One more, joined with those that it is near to; false if there are too many.
    fn join(&mut self, mut part: Part) -> bool {
        let mut place = self.count;
        // Again after each, for what is joined reaches further.
        while let Some((at, other)) = self.near(part) {
            part = part.with(other);
            place = place.min(at);
            self.remove(at);
        }
        self.insert(place.min(self.count), part)
    }

    fn near(&self, part: Part) -> Option<(usize, Part)> {
        let mut all = self.as_slice().iter().enumerate();
        all.find(|(_, other)| other.is_near(part))
            .map(|(at, other)| (at, *other))
    }

    fn remove(&mut self, at: usize) {
        if let Some(behind) = self.parts.get_mut(at..self.count) {
            behind.rotate_left(1);
            if let Some(last) = behind.last_mut() {
                *last = Part::default();
            }
            self.count -= 1;
        }
    }

    fn insert(&mut self, at: usize, part: Part) -> bool {
        let Some(behind) = self.parts.get_mut(at..=self.count) else {
            return false;
        };
        behind.rotate_right(1);
        if let Some(first) = behind.first_mut() {
            *first = part;
        }
        self.count += 1;
        true
    }
}

/// What a Range value selects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one request; a box would allocate"
)]
pub(super) enum Selection {
    /// The field says nothing we act on: the whole, 200.
    Whole,
    /// One part: 206.
    Part(Part),
    /// Two parts or more: 206 in several parts.
    Parts(Ranges),
    /// No byte: 416.
    Unsatisfiable,
}

/// What one range-spec selects.
enum Spec {
    /// It is malformed, and with it the whole field.
    Malformed,
    /// Nothing of this representation.
    Nothing,
    Part(Part),
}

/// What `value` selects of `size` bytes.
pub(super) fn select(value: &[u8], size: u64) -> Selection {
    let Some((unit, set)) = value.split_at_checked(6) else {
        return Selection::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Selection::Whole;
    }
    // Empty list members do not count (RFC 9110 section 5.6.1.2).
    let specs = set
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|s| !s.is_empty());
    let (mut parts, mut specs_seen) = (Ranges::default(), false);
    for spec in specs {
        specs_seen = true;
        match read(spec, size) {
            Spec::Malformed => return Selection::Whole,
            Spec::Nothing => {}
            Spec::Part(part) if parts.join(part) => {}
            Spec::Part(_) => return Selection::Whole,
        }
    }
    match parts.as_slice() {
        [] if specs_seen => Selection::Unsatisfiable,
        [] => Selection::Whole,
        // Also if there were several: RFC 9110 section 15.3.7.2 lets us, and every client takes it.
        [one] => Selection::Part(*one),
        [..] => Selection::Parts(parts),
    }
}

/// One range-spec (RFC 9110 section 14.1.1).
fn read(spec: &[u8], size: u64) -> Spec {
    let Some(dash) = spec.iter().position(|&b| b == b'-') else {
        return Spec::Malformed;
    };
    let (first, last) = spec.split_at(dash);
    let last = last.get(1..).unwrap_or_default();
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Spec::Malformed,
        (true, false) => number(last).map_or(Spec::Malformed, |length| suffix(length, size)),
        (false, true) => number(first).map_or(Spec::Malformed, |first| span(first, u64::MAX, size)),
        (false, false) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => span(first, last, size),
            // RFC 9110 section 14.1.2: a last position below the first makes the field invalid.
            _ => Spec::Malformed,
        },
    }
}

/// `1*DIGIT`. A number beyond u64 is beyond every file as well, so it saturates.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'9' => Some(
            sum.saturating_mul(10)
                .saturating_add(u64::from(digit - b'0')),
        ),
        _ => None,
    })
}

/// `first-last`, `last` included and cut to the size.
fn span(first: u64, last: u64, size: u64) -> Spec {
    if first >= size {
        return Spec::Nothing;
    }
    let end = last.saturating_add(1).min(size);
    Spec::Part(Part {
        first,
        length: end.saturating_sub(first),
    })
}

/// The last `length` bytes. Of an empty representation, or with a length of 0, there are none
/// (RFC 9110 section 14.1.2).
fn suffix(length: u64, size: u64) -> Spec {
    let length = length.min(size);
    if length == 0 {
        return Spec::Nothing;
    }
    Spec::Part(Part {
        first: size.saturating_sub(length),
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::{PARTS_MAX, Part, Selection, Selection::Unsatisfiable, Selection::Whole, select};

    const fn part(first: u64, length: u64) -> Selection {
        Selection::Part(Part { first, length })
    }

    #[test]
    fn ranges_of_a_hundred_bytes() {
        let table: &[(&str, Selection)] = &[
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 100)),
            ("bytes=0-", part(0, 100)),
            ("bytes=10-19", part(10, 10)),
            ("bytes=99-", part(99, 1)),
            ("bytes=99-99", part(99, 1)),
            ("bytes=0-100", part(0, 100)),
            ("bytes=50-18446744073709551615", part(50, 50)),
            ("bytes=50-18446744073709551616", part(50, 50)),
            ("bytes=50-99999999999999999999999999", part(50, 50)),
            ("bytes=0000000000000000000000000-5", part(0, 6)),
            ("BYTES=1-2", part(1, 2)),
            ("Bytes=1-2", part(1, 2)),
            ("bytes= 1-2 ", part(1, 2)),
            ("bytes=,1-2", part(1, 2)),
            ("bytes=1-2 , ,", part(1, 2)),
            ("bytes=-1", part(99, 1)),
            ("bytes=-100", part(0, 100)),
            ("bytes=-101", part(0, 100)),
            ("bytes=-9223372036854775808", part(0, 100)),
            ("bytes=-9223372036854775807", part(0, 100)),
            ("bytes=-18446744073709551616", part(0, 100)),
            ("bytes=-0", Unsatisfiable),
            ("bytes=100-", Unsatisfiable),
            ("bytes=100-100", Unsatisfiable),
            ("bytes=100-200", Unsatisfiable),
            ("bytes=9223372036854775808-", Unsatisfiable),
            ("bytes=18446744073709551615-", Unsatisfiable),
            (
                "bytes=18446744073709551616-18446744073709551616",
                Unsatisfiable,
            ),
            ("bytes=12345678901234567890123-", Unsatisfiable),
            ("bytes=5-4", Whole),
            ("bytes=200-100", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes=-", Whole),
            ("bytes=1", Whole),
            ("bytes=a-b", Whole),
            ("bytes=1-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1--2", Whole),
            ("bytes=--2", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=1 -2", Whole),
            ("bytes=1- 2", Whole),
            ("bytes =1-2", Whole),
            (" bytes=1-2", Whole),
            ("bytes:1-2", Whole),
            ("lines=1-2", Whole),
            ("1-2", Whole),
            ("", Whole),
            ("bytes=0-1,2-3", part(0, 4)),
            ("bytes=0-1,1000-", part(0, 2)),
            ("bytes=100-,-0", Unsatisfiable),
        ];
        for (value, expected) in table {
            assert_eq!(select(value.as_bytes(), 100), *expected, "{value:?}");
        }
    }

    #[test]
    fn an_empty_file_satisfies_nothing() {
        for value in ["bytes=0-", "bytes=0-0", "bytes=1-", "bytes=-1", "bytes=-0"] {
            assert_eq!(select(value.as_bytes(), 0), Unsatisfiable, "{value:?}");
        }
        assert_eq!(select(b"bytes=x", 0), Whole);
    }

    #[test]
    fn the_largest_file() {
        assert_eq!(select(b"bytes=0-", u64::MAX), part(0, u64::MAX));
        assert_eq!(select(b"bytes=-1", u64::MAX), part(u64::MAX - 1, 1));
        assert_eq!(
            select(b"bytes=18446744073709551614-", u64::MAX),
            part(u64::MAX - 1, 1)
        );
        assert_eq!(
            select(b"bytes=18446744073709551615-", u64::MAX),
            Unsatisfiable
        );
    }

    #[test]
    fn a_part_is_never_empty_and_never_beyond_the_end() {
        let numbers = [
            "",
            "0",
            "1",
            "2",
            "9",
            "10",
            "11",
            "9223372036854775807",
            "18446744073709551616",
        ];
        for size in [0, 1, 2, 10, 11, u64::MAX] {
            for first in numbers {
                for last in numbers {
                    let value = format!("bytes={first}-{last}");
                    if let Selection::Part(Part { first, length }) = select(value.as_bytes(), size)
                    {
                        assert!(length > 0, "{value} of {size}");
                        assert!(
                            first.checked_add(length).is_some_and(|end| end <= size),
                            "{value}"
                        );
                    }
                }
            }
        }
    }

    /// First and length of what is selected of 10,000 bytes; empty for anything but parts.
    fn parts(value: &str) -> Vec<(u64, u64)> {
        match select(value.as_bytes(), 10_000) {
            Selection::Part(part) => vec![(part.first, part.length)],
            Selection::Parts(parts) => {
                let parts = parts.as_slice().iter();
                parts.map(|part| (part.first, part.length)).collect()
            }
            Whole | Unsatisfiable => vec![],
        }
    }

    #[test]
    fn several_ranges_of_ten_thousand_bytes() {
        let table: &[(&str, &[(u64, u64)])] = &[
            ("bytes=0-9,1000-1009", &[(0, 10), (1000, 10)]),
            ("bytes=1000-1009,0-9", &[(1000, 10), (0, 10)]),
            ("bytes=0-0,-1", &[(0, 1), (9999, 1)]),
            ("bytes=-1, 0-0", &[(9999, 1), (0, 1)]),
            ("bytes=0-9,-9223372036854775807", &[(0, 10_000)]),
            (
                "bytes=0-9,9000-99999999999999999999",
                &[(0, 10), (9000, 1000)],
            ),
            // Unsatisfiable ones are dropped.
            (
                "bytes=0-9,10000-,20000-20001,5000-5000,-0",
                &[(0, 10), (5000, 1)],
            ),
            // A gap of 79 bytes is joined, one of 80 is not; touching and equal ones are.
            ("bytes=0-9,89-99", &[(0, 100)]),
            ("bytes=0-9,90-99", &[(0, 10), (90, 10)]),
            ("bytes=90-99,0-9", &[(90, 10), (0, 10)]),
            ("bytes=89-99,0-9", &[(0, 100)]),
            ("bytes=0-9,10-19", &[(0, 20)]),
            ("bytes=5-5,5-5", &[(5, 1)]),
            ("bytes=0-,0-,0-", &[(0, 10_000)]),
            ("bytes=0-99,20-29", &[(0, 100)]),
            ("bytes=20-29,0-99", &[(0, 100)]),
            // A joined one stands where the first of them stood.
            (
                "bytes=5000-5009,0-9,9000-9009,5005-5020",
                &[(5000, 21), (0, 10), (9000, 10)],
            ),
            // One that joins two that were apart.
            ("bytes=0-9,5000-5009,200-209,5-201", &[(0, 210), (5000, 10)]),
            ("bytes=9000-9009,0-9,200-209,5-201", &[(9000, 10), (0, 210)]),
            // What is joined reaches further than either.
            ("bytes=0-9,150-159,80-81", &[(0, 160)]),
            // One that is malformed makes all of them so.
            ("bytes=0-9,5000-4000", &[]),
            ("bytes=0-9,5000", &[]),
            ("bytes=0-9;5000-5009", &[]),
        ];
        for (value, expected) in table {
            assert_eq!(parts(value), *expected, "{value:?}");
        }
    }

    #[test]
    fn sixteen_parts_are_served_and_seventeen_are_the_whole() {
        let list = |count: u64| {
            let specs: Vec<String> = (0..count).map(|n| format!("{0}-{0}", n * 500)).collect();
            format!("bytes={}", specs.join(","))
        };
        assert_eq!(PARTS_MAX, 16);
        assert_eq!(parts(&list(16)).len(), 16);
        assert_eq!(select(list(17).as_bytes(), 10_000), Whole);
        assert_eq!(select(list(1000).as_bytes(), u64::MAX), Whole);
        // Joined ones count once.
        assert_eq!(parts(&format!("{},0-0,7500-7600", list(16))).len(), 16);
        assert_eq!(parts(&format!("{},0-", list(16))), [(0, 10_000)]);
        assert_eq!(
            select(format!("{},0-", list(17)).as_bytes(), 10_000),
            Whole,
            "too many before the last one joins them"
        );
    }

    #[test]
    fn a_thousand_ranges_take_one_pass() {
        let same = format!("bytes={}", "0-,".repeat(1000));
        assert_eq!(select(same.as_bytes(), 100), part(0, 100));
        // The list of CVE-2011-3192.
        let grown: Vec<String> = (0..1300).map(|n| format!("5-{n}")).collect();
        let grown = format!("bytes=0-,{}", grown.join(","));
        assert_eq!(select(grown.as_bytes(), 100), Whole, "5-0 is malformed");
        let grown = grown.replace("5-0,5-1,5-2,5-3,5-4,", "");
        assert_eq!(select(grown.as_bytes(), 100), part(0, 100));
    }
}
