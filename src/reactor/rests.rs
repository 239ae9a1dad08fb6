//! What is said of accepting that rests.
//!
//! Owns when a line is due: a rest is short, and what it is for may last for days. It must not
//! count for the status, nor write. Invariants: the first rest is told at once, further ones a
//! minute after the last line at the earliest; each of them is in the number of one line; the end
//! is told once, when there was none for a minute.

use crate::connection::time::Ms;
use std::fmt;

/// From one line to the next, and from the last rest to the end.
const MINUTE_MS: u32 = 60_000;

/// What was told, while accepting rests again and again.
#[derive(Debug, Default)]
pub(super) struct Rests(Option<Spell>);

#[derive(Debug)]
struct Spell {
    told: Ms,
    last: Ms,
    /// Rests since `told`, which no line has counted.
    untold: u32,
}

/// What was not told of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Untold(u32);

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " (rests since the last such line: {count})"),
        }
    }
}

impl Rests {
    /// Accepting rests from now on: whether that is to be told, and with which others.
    pub(super) fn begin(&mut self, now: Ms) -> Option<Untold> {
        let Some(spell) = &mut self.0 else {
            let (told, last, untold) = (now, now, 0);
            self.0 = Some(Spell { told, last, untold });
            return Some(Untold(0));
        };
        spell.last = now;
        spell.untold = spell.untold.saturating_add(1);
        if now < spell.told.after(MINUTE_MS) {
            return None;
        }
        spell.told = now;
        Some(Untold(std::mem::take(&mut spell.untold)))
    }

    /// Looks whether it is over: whether that is to be told, and with which others.
    pub(super) fn end(&mut self, now: Ms) -> Option<Untold> {
        let over = |spell: &mut Spell| now >= spell.last.after(MINUTE_MS);
        self.0.take_if(over).map(|spell| Untold(spell.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_told_at_once_each_minute_and_when_they_are_over() {
        let mut rests = Rests::default();
        let mut told = Vec::new();
        // Four a second for two minutes and a half, then silence, then another one.
        let times = (0..=600).map(|quarter| 1000 + quarter * 250);
        for now in times {
            assert_eq!(rests.end(Ms(now)), None, "{now}");
            told.extend(rests.begin(Ms(now)).map(|untold| (now, untold)));
        }
        let expected = [(1000, 0), (61_000, 240), (121_000, 240)];
        let expected = expected.map(|(now, count)| (now, Untold(count)));
        assert_eq!(told, expected);
        assert_eq!(rests.end(Ms(210_999)), None);
        assert_eq!(rests.end(Ms(211_000)), Some(Untold(120)));
        assert_eq!(rests.end(Ms(999_000)), None);
        assert_eq!(rests.begin(Ms(999_000)), Some(Untold(0)));
        assert_eq!(rests.end(Ms(u64::MAX)), Some(Untold(0)));
    }

    #[test]
    fn the_line_has_the_number_of_those_that_none_had() {
        assert_eq!(Untold(0).to_string(), "");
        assert_eq!(
            Untold(240).to_string(),
            " (rests since the last such line: 240)"
        );
    }
}
