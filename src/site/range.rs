//! Range requests for one range of bytes (RFC 9110 section 14).
//!
//! Owns the reading of a Range value and what it selects of a representation of known size. It must
//! not know files or replies; whether Range applies at all (GET, If-Range) is asked before.
//! Invariants: a selected part is never empty and lies within the representation; no number
//! overflows. Several ranges are answered with the whole, which RFC 9110 section 14.2 allows.

/// What a Range value selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The field says nothing we act on: the whole, 200.
    Whole,
    /// `length` bytes from `first`: 206.
    Part {
        /// First byte.
        first: u64,
        /// How many bytes; not 0.
        length: u64,
    },
    /// No byte: 416.
    Unsatisfiable,
}

/// What `value` selects of `size` bytes.
pub(super) fn select(value: &[u8], size: u64) -> Selection {
    let Some(one) = single(value) else {
        return Selection::Whole;
    };
    let Some(dash) = one.iter().position(|&b| b == b'-') else {
        return Selection::Whole;
    };
    let (first, last) = one.split_at(dash);
    let last = last.get(1..).unwrap_or_default();
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Selection::Whole,
        (true, false) => number(last).map_or(Selection::Whole, |length| suffix(length, size)),
        (false, true) => {
            number(first).map_or(Selection::Whole, |first| span(first, u64::MAX, size))
        }
        (false, false) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => span(first, last, size),
            // RFC 9110 section 14.1.2: a last position below the first makes the field invalid.
            _ => Selection::Whole,
        },
    }
}

/// The only range-spec behind `bytes=`. Empty list members do not count (RFC 9110 section 5.6.1.2).
fn single(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(6)?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut specs = set
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|s| !s.is_empty());
    let one = specs.next()?;
    specs.next().is_none().then_some(one)
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
fn span(first: u64, last: u64, size: u64) -> Selection {
    if first >= size {
        return Selection::Unsatisfiable;
    }
    let end = last.saturating_add(1).min(size);
    Selection::Part {
        first,
        length: end.saturating_sub(first),
    }
}

/// The last `length` bytes. Of an empty representation, or with a length of 0, there are none
/// (RFC 9110 section 14.1.2).
fn suffix(length: u64, size: u64) -> Selection {
    let length = length.min(size);
    if length == 0 {
        return Selection::Unsatisfiable;
    }
    Selection::Part {
        first: size.saturating_sub(length),
        length,
    }
}

#[cfg(test)]
mod tests {
    use super::{Selection, Selection::Unsatisfiable, Selection::Whole, select};

    const fn part(first: u64, length: u64) -> Selection {
        Selection::Part { first, length }
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
            ("bytes=0-1,2-3", Whole),
            ("bytes=0-1,1000-", Whole),
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
                    if let Selection::Part { first, length } = select(value.as_bytes(), size) {
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

    #[test]
    fn a_thousand_ranges_are_one_pass_and_the_whole() {
        let value = format!("bytes={}", "0-,".repeat(1000));
        assert_eq!(select(value.as_bytes(), 100), Whole);
    }
}
