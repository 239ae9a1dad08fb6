//! Deadlines: one per slot, in fixed memory, O(1) per request.
//!
//! Owns a wheel of [`BUCKETS`] buckets of [`TICK_MS`]. A request only moves its slot's deadline
//! forward, which costs one store: the slot stays in its old bucket, and the wheel finds out when
//! that bucket comes due ("lazy"). Only a deadline that comes earlier than its bucket moves a slot.
//! Invariants: a slot stands in at most one bucket, never later than its deadline (rounded up to a
//! tick, or the wheel's horizon if that is nearer); nothing is allocated after `new`.

use crate::connection::time::Ms;

/// Granularity: a deadline is noticed at most one tick late.
pub(super) const TICK_MS: u64 = 32;
/// Buckets of the wheel; the horizon is 16 s, later deadlines are looked at in between.
pub(super) const BUCKETS: usize = 512;
const WORDS: usize = BUCKETS / 64;
const NIL: u16 = u16::MAX;
/// In place of a bucket: it stands in none.
const NOWHERE: u16 = NIL;

#[derive(Clone, Copy, Debug)]
struct Timer {
    deadline: Ms,
    /// The bucket it stands in, or [`NOWHERE`]. Its tick follows from that, for all that stand in
    /// the wheel are less than a round ahead of what is done.
    bucket: u16,
    next: u16,
    previous: u16,
}

/// The wheel.
#[derive(Debug)]
pub(super) struct Timers {
    timers: Vec<Timer>,
    heads: Vec<u16>,
    occupied: [u64; WORDS],
    /// All ticks below this are done.
    done: u64,
}

impl Timers {
    /// A wheel for slots below `slots`; it starts at `now`.
    #[must_use]
    pub(super) fn new(slots: u16, now: Ms) -> Self {
        let timer = Timer {
            deadline: Ms(u64::MAX),
            bucket: NOWHERE,
            next: NIL,
            previous: NIL,
        };
        Self {
            timers: vec![timer; usize::from(slots)],
            heads: vec![NIL; BUCKETS],
            occupied: [0; WORDS],
            done: now.0 / TICK_MS,
        }
    }

    /// Memory for each slot, bytes.
    #[must_use]
    pub(super) const fn bytes_each() -> usize {
        size_of::<Timer>()
    }

    /// Memory that does not depend on the slots, bytes.
    #[must_use]
    pub(super) const fn bytes_fixed() -> usize {
        BUCKETS * size_of::<u16>()
    }

    /// Sets the deadline of a slot.
    pub(super) fn arm(&mut self, slot: u16, deadline: Ms) {
        let wanted = self.bucket_of(deadline);
        let Some(timer) = self.timers.get_mut(usize::from(slot)) else {
            return;
        };
        timer.deadline = deadline;
        let bucket = timer.bucket;
        match self.tick_of(bucket) {
            Some(tick) if tick <= wanted => {}
            Some(_) => {
                self.unlink(slot);
                self.link(slot, wanted);
            }
            None => self.link(slot, wanted),
        }
    }

    /// Forgets a slot.
    pub(super) fn cancel(&mut self, slot: u16) {
        self.unlink(slot);
    }

    /// Takes one slot whose deadline has come. Call until `None`.
    pub(super) fn due(&mut self, now: Ms) -> Option<u16> {
        let current = now.0 / TICK_MS;
        while self.done <= current {
            while let Some(slot) = self.first_in(self.done) {
                self.unlink(slot);
                let deadline = self.timers.get(usize::from(slot)).map(|t| t.deadline)?;
                if deadline <= now {
                    return Some(slot);
                }
                // Moved forward meanwhile: now it gets the bucket it belongs to.
                // After a stall that bucket may be due as well; it is never the one that is
                // emptied, for `deadline` is ahead, and the horizon is counted from `done`.
                let tick = self.bucket_of(deadline);
                debug_assert_ne!(index(tick), index(self.done), "a bucket that never empties");
                self.link(slot, tick);
            }
            self.done += 1;
            if self.occupied == [0; WORDS] {
                self.done = current + 1;
            }
        }
        None
    }

    /// How long the loop may sleep, ms; `None`: for ever.
    #[must_use]
    pub(super) fn sleep_ms(&self, now: Ms) -> Option<u32> {
        let tick = self.next_tick()?;
        let at = tick.saturating_mul(TICK_MS);
        Some(u32::try_from(at.saturating_sub(now.0)).unwrap_or(u32::MAX))
    }

    /// The first tick with a slot in it.
    fn next_tick(&self) -> Option<u64> {
        let start = index(self.done);
        let mut offset = 0;
        while offset < BUCKETS {
            let at = (start + offset) % BUCKETS;
            let word = self.occupied.get(at / 64).copied().unwrap_or(0) >> (at % 64);
            if word == 0 {
                offset += 64 - at % 64;
                continue;
            }
            let skip = usize::try_from(word.trailing_zeros()).unwrap_or(0);
            let distance = u64::try_from(offset + skip).unwrap_or(0);
            return Some(self.done + distance);
        }
        None
    }

    /// The tick at which a deadline is looked at: rounded up, within the horizon.
    fn bucket_of(&self, deadline: Ms) -> u64 {
        let horizon = self.done + u64::try_from(BUCKETS - 1).unwrap_or(0);
        deadline.0.div_ceil(TICK_MS).clamp(self.done, horizon)
    }

    /// The tick at which a bucket is looked at next; `None` for [`NOWHERE`].
    fn tick_of(&self, bucket: u16) -> Option<u64> {
        let bucket = usize::from(bucket);
        let ahead = (bucket + BUCKETS - index(self.done)) % BUCKETS;
        let tick = self.done + u64::try_from(ahead).unwrap_or(0);
        (bucket < BUCKETS).then_some(tick)
    }

    fn first_in(&self, tick: u64) -> Option<u16> {
        self.heads
            .get(index(tick))
            .copied()
            .filter(|slot| *slot != NIL)
    }

    fn link(&mut self, slot: u16, tick: u64) {
        let at = index(tick);
        let Some(head) = self.heads.get_mut(at) else {
            return;
        };
        let next = std::mem::replace(head, slot);
        if let Some(word) = self.occupied.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
        if let Some(behind) = self.timers.get_mut(usize::from(next)) {
            behind.previous = slot;
        }
        if let Some(timer) = self.timers.get_mut(usize::from(slot)) {
            timer.bucket = u16::try_from(at).unwrap_or(NOWHERE);
            timer.next = next;
            timer.previous = NIL;
        }
    }

    fn unlink(&mut self, slot: u16) {
        let Some(timer) = self.timers.get_mut(usize::from(slot)) else {
            return;
        };
        let at = usize::from(std::mem::replace(&mut timer.bucket, NOWHERE));
        if at >= BUCKETS {
            return;
        }
        let (next, previous) = (timer.next, timer.previous);
        if let Some(behind) = self.timers.get_mut(usize::from(next)) {
            behind.previous = previous;
        }
        if let Some(before) = self.timers.get_mut(usize::from(previous)) {
            before.next = next;
            return;
        }
        if let Some(head) = self.heads.get_mut(at) {
            *head = next;
        }
        if next == NIL {
            if let Some(word) = self.occupied.get_mut(at / 64) {
                *word &= !(1 << (at % 64));
            }
        }
    }
}

fn index(tick: u64) -> usize {
    let buckets = u64::try_from(BUCKETS).unwrap_or(1);
    usize::try_from(tick % buckets).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(timers: &mut Timers, now: u64) -> Vec<u16> {
        let mut due: Vec<u16> = std::iter::from_fn(|| timers.due(Ms(now))).collect();
        due.sort_unstable();
        due
    }

    #[test]
    fn deadlines_come_due_within_a_tick_and_never_early() {
        let mut timers = Timers::new(4, Ms(1_000_000));
        timers.arm(0, Ms(1_000_100));
        timers.arm(1, Ms(1_000_100 + 60_000)); // beyond the horizon
        timers.arm(2, Ms(1_000_000));
        let mut seen = vec![];
        let mut now = 1_000_000;
        while now < 1_070_000 {
            for slot in drain(&mut timers, now) {
                seen.push((slot, now));
            }
            now += timers.sleep_ms(Ms(now)).map_or(70_000, u64::from).max(1);
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
        for (slot, deadline) in [(2, 1_000_000), (0, 1_000_100), (1, 1_060_100)] {
            let at = seen
                .iter()
                .find(|(s, _)| *s == slot)
                .map(|(_, at)| *at)
                .unwrap();
            assert!(at >= deadline && at <= deadline + TICK_MS, "{slot} {at}");
        }
    }

    #[test]
    fn a_deadline_moved_forward_does_not_fire_and_one_moved_back_does() {
        let mut timers = Timers::new(2, Ms(0));
        timers.arm(0, Ms(100));
        timers.arm(0, Ms(5_000));
        timers.arm(1, Ms(9_000));
        timers.arm(1, Ms(200));
        assert_eq!(drain(&mut timers, 1_000), [1]);
        assert_eq!(drain(&mut timers, 4_900), [0_u16; 0]);
        assert_eq!(drain(&mut timers, 5_100), [0]);
        timers.arm(0, Ms(6_000));
        timers.cancel(0);
        assert_eq!(drain(&mut timers, 20_000), [0_u16; 0]);
        assert_eq!(timers.sleep_ms(Ms(20_000)), None);
    }

    #[test]
    fn a_stall_longer_than_the_horizon_ends_no_loop() {
        // A stopped process, a frozen container: the bucket of 10 s is found at 27.5 s, and the
        // slot in it has been moved to 30 s.
        let mut timers = Timers::new(2, Ms(0));
        timers.arm(0, Ms(10_000));
        timers.arm(0, Ms(30_000));
        assert_eq!(drain(&mut timers, 27_500), [0_u16; 0]);
        assert_eq!(drain(&mut timers, 30_000 + TICK_MS), [0]);
        for stall in (1_000..60_000).step_by(517) {
            let mut timers = Timers::new(2, Ms(0));
            timers.arm(0, Ms(700));
            timers.arm(0, Ms(stall + 1));
            assert_eq!(drain(&mut timers, stall), [0_u16; 0]);
            assert_eq!(drain(&mut timers, stall + 2 * TICK_MS), [0]);
        }
    }

    #[test]
    fn years_of_uptime_change_nothing() {
        // The clock is the system's, and does not begin with us.
        for bits in [31, 32, 33, 40] {
            let start = (1_u64 << bits) * TICK_MS - 3_000;
            let mut timers = Timers::new(3, Ms(start));
            // Moved forward over the end of the wheel and back, by less than lies before that.
            timers.arm(0, Ms(start + 10_000));
            timers.arm(0, Ms(start + 8_000));
            timers.arm(1, Ms(start + 20_000));
            timers.arm(1, Ms(start + 5_000));
            timers.arm(2, Ms(start + 400));
            timers.arm(2, Ms(start + 60_000));
            let mut now = start;
            let mut seen = vec![];
            while let Some(sleep_ms) = timers.sleep_ms(Ms(now)) {
                now += u64::from(sleep_ms).max(1);
                seen.extend(drain(&mut timers, now).into_iter().map(|slot| (slot, now)));
            }
            let due = [(1, 5_000), (0, 8_000), (2, 60_000)];
            assert_eq!(seen.len(), due.len(), "{seen:?}");
            for ((slot, after), (found, at)) in due.into_iter().zip(seen) {
                assert_eq!(slot, found);
                assert!((after..=after + TICK_MS).contains(&(at - start)));
            }
        }
    }

    #[test]
    fn a_deadline_moved_forward_costs_no_move() {
        let mut timers = Timers::new(1, Ms(0));
        timers.arm(0, Ms(100));
        let asleep = timers.sleep_ms(Ms(0));
        timers.arm(0, Ms(5_000));
        assert_eq!(timers.sleep_ms(Ms(0)), asleep, "it stays in its bucket");
    }

    #[test]
    fn the_plan_reckons_with_what_a_wheel_takes() {
        let timers = Timers::new(100, Ms(0));
        assert_eq!(size_of_val(&*timers.timers), 100 * Timers::bytes_each());
        assert_eq!(size_of_val(&*timers.heads), Timers::bytes_fixed());
        // The rest is a bit for each bucket, and a few words.
        assert!(size_of::<Timers>() <= BUCKETS / 8 + 64);
    }

    #[test]
    fn a_long_sleep_loses_nobody() {
        let mut timers = Timers::new(100, Ms(0));
        for slot in 0..100 {
            timers.arm(slot, Ms(u64::from(slot) * 777));
        }
        assert_eq!(drain(&mut timers, 1_000_000).len(), 100);
    }
}
