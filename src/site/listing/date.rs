//! A moment as people write it.
//!
//! Owns the civil date of a count of seconds. It must not know a clock or a zone: everything is
//! UTC. Invariant: all numbers have 64 bits, on every device.

/// Seconds of a day.
const DAY_S: i64 = 86_400;
/// Days of 400 years of the Gregorian calendar, after which it repeats.
const ERA_DAYS: i64 = 146_097;
/// From 0000-03-01, with which an era begins, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// `YYYY-MM-DD HH:MM`.
pub(super) const DATE_BYTES: usize = 16;

/// The minute in which `unix_s` lies, as `2026-11-22 19:04`. Nothing outside of the years 1 to
/// 9999: they have no four digits, and no file is that old.
pub(super) fn minute(unix_s: i64) -> Option<[u8; DATE_BYTES]> {
    let (year, month, day) = civil(unix_s.div_euclid(DAY_S))?;
    if !(1..=9999).contains(&year) {
        return None;
    }
    let minutes = unix_s.rem_euclid(DAY_S) / 60;
    let mut text = *b"0000-00-00 00:00";
    for (place, number) in [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, minutes / 60),
        (14, minutes % 60),
    ] {
        let digits = text.get_mut(place..)?.first_chunk_mut::<2>()?;
        *digits = [number / 10, number % 10].map(digit);
    }
    Some(text)
}

/// 0 to 9 as a digit.
fn digit(number: i64) -> u8 {
    u8::try_from(number).map_or(b'?', |number| b'0'.saturating_add(number))
}

/// Year, month and day of a count of days since 1970-01-01. None if that is beyond all numbers.
///
/// The year is counted from March, so that the day that comes and goes is its last. Then the months
/// have 31, 30, 31, 30, 31 days over and over: 153 days in five of them.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(EPOCH_DAYS)?;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    // Leap days before this day: one in 4 years (1,461 days), none in 100 (36,524), one in 400.
    let leaps = day / 1_460 - day / 36_524 + day / (ERA_DAYS - 1);
    let year = (day - leaps) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let first = (month * 153 + 2) / 5;
    let (month, turned) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    Some((era * 400 + year + turned, month, day - first + 1))
}

#[cfg(test)]
mod tests {
    use super::{civil, minute};

    fn shown(unix_s: i64) -> String {
        minute(unix_s).map_or("-".into(), |text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn moments_of_all_ages() {
        // By date(1) of GNU.
        for (unix_s, text) in [
            (0, "1970-01-01 00:00"),
            (59, "1970-01-01 00:00"),
            (60, "1970-01-01 00:01"),
            (-1, "1969-12-31 23:59"),
            (1_795_374_240, "2026-11-22 19:04"),
            (2_208_988_800, "2040-01-01 00:00"),
            (-2_147_396_800, "1901-12-14 20:53"),
            (i64::from(i32::MAX), "2038-01-19 03:14"),
            (i64::from(i32::MIN), "1901-12-13 20:45"),
            (951_782_400, "2000-02-29 00:00"),
            (4_107_542_400, "2100-03-01 00:00"),
            (253_402_300_799, "9999-12-31 23:59"),
            (253_402_300_800, "-"),
            (-62_135_596_800, "0001-01-01 00:00"),
            (-62_135_596_801, "-"),
            (i64::MAX, "-"),
            (i64::MIN, "-"),
        ] {
            assert_eq!(shown(unix_s), text, "{unix_s}");
        }
    }

    #[test]
    fn every_day_of_two_eras_follows_the_one_before() {
        let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = |year, month| match month {
            2 => 28 + i64::from(leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut year, mut month, mut day) = (1600, 1, 1);
        // 1600-01-01.
        for days in -135_140..160_000 {
            assert_eq!(civil(days), Some((year, month, day)), "{days}");
            day += 1;
            if day > length(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!(civil(i64::MAX), None);
        assert!(civil(i64::MIN).is_some());
    }
}
