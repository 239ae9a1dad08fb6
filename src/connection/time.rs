//! Time as the heart sees it: an argument, never a clock.

/// Milliseconds on the monotonic clock of whoever drives the heart (the device's, or a
/// simulation's).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ms(pub u64);

impl Ms {
    /// This moment and `ms` milliseconds more; saturates.
    #[must_use]
    pub const fn after(self, ms: u32) -> Self {
        // A widening cast that `From` cannot do in a const fn.
        #[allow(clippy::as_conversions, reason = "u32 to u64 widens")]
        let ms = ms as u64;
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Before this the wall clock is not plausible: a device without one starts in 1970. 2024-01-01.
const PLAUSIBLE_S: i64 = 1_704_067_200;

/// Seconds since 1970, if a clock that was set can say so.
#[must_use]
pub fn plausible(unix_s: i64) -> Option<i64> {
    Some(unix_s).filter(|s| *s >= PLAUSIBLE_S)
}

/// The wall clock of one turn of the loop, already written as a Date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Seconds since 1970-01-01 UTC.
    pub unix_s: i64,
    /// The same as an IMF-fixdate (RFC 9110 section 5.6.7).
    pub date: [u8; 29],
}

/// What holds for one turn of the loop: one clock reading, one Date, the limits.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Now, on the monotonic clock.
    pub now: Ms,
    /// Now, on the wall clock; `None` while the clock is not plausible (RFC 9110 section 6.6.1).
    pub wall: Option<Wall>,
    /// The limits in force.
    pub limits: &'a super::limits::Limits,
    /// The server stops, or a successor serves: answers announce the close.
    pub stopping: bool,
}
