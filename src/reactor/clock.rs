//! The wall clock of the loop: one reading and at most one Date per turn.
//!
//! Owns the cached Date. Invariant: it is formatted anew only when the second has changed.

use crate::connection::time::Wall;
use crate::site::http_date;

/// The cached Date.
#[derive(Debug, Default)]
pub(super) struct Clock {
    wall: Option<Wall>,
}

impl Clock {
    /// The wall clock for this turn, from seconds since 1970.
    pub(super) fn wall(&mut self, unix_s: Option<i64>) -> Option<Wall> {
        let unix_s = unix_s?;
        if self.wall.is_none_or(|wall| wall.unix_s != unix_s) {
            self.wall = http_date(unix_s).map(|date| Wall { unix_s, date });
        }
        self.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_rfc_9110_shows_them() {
        let mut clock = Clock::default();
        let date = |wall: Option<Wall>| wall.map(|w| String::from_utf8(w.date.to_vec()).unwrap());
        let example = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
        assert_eq!(date(clock.wall(Some(784_111_777))), example);
        assert_eq!(date(clock.wall(Some(784_111_777))), example);
        assert_eq!(
            date(clock.wall(Some(2_208_988_800))),
            Some("Sun, 01 Jan 2040 00:00:00 GMT".to_owned())
        );
        assert_eq!(date(clock.wall(Some(-1))), None);
        assert_eq!(date(clock.wall(Some(i64::MAX))), None);
        assert_eq!(date(clock.wall(None)), None);
    }
}
