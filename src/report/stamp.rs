//! The time of a line, written once a second.
//!
//! Owns the two spellings of a moment, in UTC. It must not read a clock. Invariants: it is written
//! anew only when the second has changed; years have four digits, on every machine, also beyond
//! 2038.

/// `22/Nov/2026:19:04:05 +0000`, as the common log format has it.
pub(super) const CLF_BYTES: usize = 26;
/// `2026-11-22T19:04:05Z` (RFC 3339).
pub(super) const RFC3339_BYTES: usize = 20;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY_S: i64 = 86_400;
/// The last second of the year 9999.
const LAST_S: i64 = 253_402_300_799;

/// A moment in both spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    unix_s: i64,
    pub(super) clf: [u8; CLF_BYTES],
    pub(super) rfc3339: [u8; RFC3339_BYTES],
}

/// The last one that was asked for.
#[derive(Debug, Default)]
pub(super) struct Stamps(Option<Stamp>);

impl Stamps {
    /// The spellings of a moment, from seconds since 1970; `None` when there is no clock, before
    /// 1970 and after 9999.
    pub(super) fn of(&mut self, unix_s: Option<i64>) -> Option<Stamp> {
        let unix_s = unix_s?;
        if self.0.is_none_or(|stamp| stamp.unix_s != unix_s) {
            self.0 = Stamp::of(unix_s);
        }
        self.0
    }
}

impl Stamp {
    fn of(unix_s: i64) -> Option<Self> {
        if !(0..=LAST_S).contains(&unix_s) {
            return None;
        }
        let (year, month, day) = civil(unix_s.div_euclid(DAY_S));
        let second = unix_s.rem_euclid(DAY_S);
        let clock = [second / 3600, second / 60 % 60, second % 60];
        let name = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;

        let mut clf = *b"00/Mon/0000:00:00:00 +0000";
        put(&mut clf, 0, 2, day)?;
        clf.get_mut(3..6)?.copy_from_slice(*name);
        put(&mut clf, 7, 4, year)?;
        let mut rfc3339 = *b"0000-00-00T00:00:00Z";
        put(&mut rfc3339, 0, 4, year)?;
        put(&mut rfc3339, 5, 2, month)?;
        put(&mut rfc3339, 8, 2, day)?;
        for (n, part) in clock.into_iter().enumerate() {
            put(&mut clf, 12 + 3 * n, 2, part)?;
            put(&mut rfc3339, 11 + 3 * n, 2, part)?;
        }
        Some(Self {
            unix_s,
            clf,
            rfc3339,
        })
    }
}

/// Year, month (1 to 12) and day (1 to 31) of a day since 1970, not before: the Gregorian calendar,
/// reckoned in years that begin in March, so that a leap day is the last of its year.
fn civil(day: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097); // 400 years each
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on every five months have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

/// `value` in so many digits.
fn put(bytes: &mut [u8], at: usize, digits: usize, value: i64) -> Option<()> {
    let mut rest = value;
    for digit in bytes.get_mut(at..at + digits)?.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).ok()?;
        rest /= 10;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(unix_s: i64) -> (String, String) {
        let stamp = Stamp::of(unix_s).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&stamp.clf), text(&stamp.rfc3339))
    }

    #[test]
    fn moments_are_spelled_in_both_ways() {
        for (unix_s, clf, rfc3339) in [
            (0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00Z"),
            (
                951_782_400,
                "29/Feb/2000:00:00:00 +0000",
                "2000-02-29T00:00:00Z",
            ),
            (
                1_795_374_245,
                "22/Nov/2026:19:04:05 +0000",
                "2026-11-22T19:04:05Z",
            ),
            (
                2_147_483_648,
                "19/Jan/2038:03:14:08 +0000",
                "2038-01-19T03:14:08Z",
            ),
            (
                4_107_542_399,
                "28/Feb/2100:23:59:59 +0000",
                "2100-02-28T23:59:59Z",
            ),
            (
                4_107_542_400,
                "01/Mar/2100:00:00:00 +0000",
                "2100-03-01T00:00:00Z",
            ),
            (LAST_S, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(shown(unix_s), (clf.to_owned(), rfc3339.to_owned()));
        }
        for outside in [-1, LAST_S + 1, i64::MIN, i64::MAX] {
            assert_eq!(Stamp::of(outside), None);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = (1970, 1, 1);
        for day in 0..=LAST_S / DAY_S {
            assert_eq!(civil(day), expected);
            let (year, month, date) = expected;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                4 | 6 | 9 | 11 => 30,
                2 if leap => 29,
                2 => 28,
                _ => 31,
            };
            expected = match (date == last, month) {
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
                (false, _) => (year, month, date + 1),
            };
        }
    }

    #[test]
    fn a_second_is_spelled_once() {
        let mut stamps = Stamps::default();
        assert_eq!(stamps.of(None), None);
        let first = stamps.of(Some(5)).unwrap();
        assert_eq!(stamps.of(Some(5)), Some(first));
        assert_ne!(stamps.of(Some(6)), Some(first));
        assert_eq!(stamps.of(Some(-1)), None);
    }
}
