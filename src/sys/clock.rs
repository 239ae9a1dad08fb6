//! The two clocks, and the time that a thread has had.
//!
//! Owns: clock_gettime(2), pthread_getcpuclockid(3). Must not: cache a reading; the loop reads once
//! a turn and hands the time on. Invariants: the monotonic clock never goes back; neither call
//! fails, allocates, or is more than 4 ms behind.
#![allow(
    unsafe_code,
    reason = "clock_gettime(2), clock_getres(2), pthread_getcpuclockid(3)"
)]

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_int, clockid_t, timespec};

use super::call;

/// The coarsest tick, in milliseconds, that is good enough for deadlines. Kernels tick at 100 to
/// 1000 Hz; those of 100 Hz (10 ms) get the fine clock.
const COARSE_MS: u64 = 4;
/// Not asked yet, in the memory of [`monotonic_clock`]. No clock has this number.
const UNKNOWN: c_int = -1;

/// Milliseconds since some moment in the past, the same for the life of the system. Stands still
/// while the device is suspended; never goes back. At most 4 ms behind.
#[must_use]
pub fn monotonic_ms() -> u64 {
    read(monotonic_clock()).map_or(0, |now| milliseconds(&now))
}

/// The same clock in microseconds, not behind: for others to compare with theirs.
#[must_use]
pub fn monotonic_us() -> u64 {
    read(libc::CLOCK_MONOTONIC).map_or(0, |now| microseconds(&now))
}

/// How long a thread had a core, for any thread of its process to read.
#[derive(Clone, Copy, Debug)]
pub struct ThreadTime(clockid_t);

impl ThreadTime {
    /// That of the thread that asks.
    ///
    /// # Errors
    ///
    /// ENOENT where there are no such clocks; see pthread_getcpuclockid(3).
    pub fn mine() -> io::Result<Self> {
        // SAFETY: the call takes nothing and always answers.
        let mine = unsafe { libc::pthread_self() };
        let mut clock: clockid_t = 0;
        // SAFETY: `mine` is the thread that runs this; `clock` outlives the call, which writes it.
        match unsafe { libc::pthread_getcpuclockid(mine, &raw mut clock) } {
            0 => Ok(Self(clock)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Microseconds since it began; 0 when the thread has ended.
    #[must_use]
    pub fn spent_us(&self) -> u64 {
        read(self.0).map_or(0, |spent| microseconds(&spent))
    }
}

/// Seconds since 1970-01-01 UTC on the system's clock, which may be set, forward or back, at any
/// time. Beyond 2038 on 32-bit machines too, from Linux 5.1. 0 if there is no such clock.
#[must_use]
pub fn wall_s() -> i64 {
    if let Some(seconds) = kernel::wall_s() {
        return seconds;
    }
    read(libc::CLOCK_REALTIME_COARSE)
        .or_else(|| read(libc::CLOCK_REALTIME))
        .map_or(0, |now| call::wide(now.tv_sec))
}

/// The coarse clock, a third of the price, where its tick is fine enough; found out once.
fn monotonic_clock() -> clockid_t {
    static CHOSEN: AtomicI32 = AtomicI32::new(UNKNOWN);
    let chosen = CHOSEN.load(Ordering::Relaxed);
    if chosen != UNKNOWN {
        return chosen;
    }
    let coarse = libc::CLOCK_MONOTONIC_COARSE;
    let fine_enough = resolution(coarse).is_some_and(|tick| milliseconds(&tick) <= COARSE_MS);
    let clock = if fine_enough {
        coarse
    } else {
        libc::CLOCK_MONOTONIC
    };
    CHOSEN.store(clock, Ordering::Relaxed);
    clock
}

fn microseconds(time: &timespec) -> u64 {
    let whole = u64::try_from(time.tv_sec).unwrap_or(0);
    let part = u64::try_from(time.tv_nsec).unwrap_or(0) / 1000;
    whole.saturating_mul(1_000_000).saturating_add(part)
}

fn milliseconds(time: &timespec) -> u64 {
    let whole = u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1000);
    whole.saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000)
}

fn read(clock: clockid_t) -> Option<timespec> {
    let mut now = zero();
    // SAFETY: `now` outlives the call, which writes that one timespec.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    (result == 0).then_some(now)
}

fn resolution(clock: clockid_t) -> Option<timespec> {
    let mut tick = zero();
    // SAFETY: `tick` outlives the call, which writes that one timespec.
    let result = unsafe { libc::clock_getres(clock, &raw mut tick) };
    (result == 0).then_some(tick)
}

fn zero() -> timespec {
    // SAFETY: a timespec is integers (with padding on some ports): all zeroes is a value of it.
    unsafe { std::mem::zeroed() }
}

/// Where `time_t` has 64 bits there is nothing to widen.
#[cfg(not(target_pointer_width = "32"))]
mod kernel {
    pub(super) fn wall_s() -> Option<i64> {
        None
    }
}

/// Where `time_t` may have 32 bits, the kernel's call with 64.
#[cfg(target_pointer_width = "32")]
mod kernel {
    /// clock_gettime64, the same number on every architecture but for the base of MIPS o32. Not
    /// in `libc`.
    const CLOCK_GETTIME64: libc::c_long = if cfg!(target_arch = "mips") {
        4000 + 403
    } else {
        403
    };

    /// `None` before Linux 5.1.
    pub(super) fn wall_s() -> Option<i64> {
        // struct __kernel_timespec: seconds, nanoseconds, 64 bits each.
        let mut now = [0_i64; 2];
        let clock = libc::CLOCK_REALTIME_COARSE;
        // SAFETY: `now` outlives the call, which writes those two numbers.
        let result = unsafe { libc::syscall(CLOCK_GETTIME64, clock, now.as_mut_ptr()) };
        let [seconds, _] = now;
        (result == 0).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::sys::file;
    use crate::sys::testing::{Dir, until};
    use std::os::fd::AsFd;

    #[test]
    fn the_time_of_a_thread_is_its_own() {
        let (tell, told) = std::sync::mpsc::channel();
        let busy = std::thread::spawn(move || {
            let time = ThreadTime::mine().unwrap();
            until(|| time.spent_us() >= 5_000);
            tell.send(time).unwrap();
            std::thread::park();
        });
        let other = told.recv().unwrap();
        let spent_us = other.spent_us();
        assert!(spent_us >= 5_000);
        let mine = ThreadTime::mine().unwrap();
        let before_us = mine.spent_us();
        until(|| mine.spent_us() > before_us);
        // It has nothing to do but to park.
        assert!(other.spent_us() - spent_us < spent_us);
        busy.thread().unpark();
        busy.join().unwrap();
    }

    #[test]
    fn the_monotonic_clock_moves_and_never_back() {
        let first = monotonic_ms();
        let mut last = first;
        until(|| {
            let now = monotonic_ms();
            assert!(now >= last);
            last = now;
            now >= first + 20
        });
    }

    #[test]
    fn the_chosen_clock_is_close_to_the_fine_one() {
        // A busy machine gives its ticks late now and then, but not always.
        until(|| {
            let before = monotonic_ms();
            let fine = milliseconds(&read(libc::CLOCK_MONOTONIC).unwrap());
            let after = monotonic_ms();
            assert!(before <= fine, "{before} {fine}");
            fine <= after + COARSE_MS + 1
        });
        assert!(resolution(monotonic_clock()).is_some_and(|t| milliseconds(&t) <= COARSE_MS));
    }

    #[test]
    fn the_wall_clock_agrees_with_the_file_system() {
        let dir = Dir::new();
        let before = wall_s();
        let made = std::fs::File::create_new(dir.path("f")).unwrap();
        let after = wall_s();
        let stamp = file::stat(made.as_fd()).unwrap().modified_s;
        assert!(
            before <= stamp && stamp <= after,
            "{before} {stamp} {after}"
        );
        // And the number is one of this century.
        assert!(UNIX_EPOCH + Duration::from_secs(u64::try_from(before).unwrap()) > UNIX_EPOCH);
    }

    #[test]
    fn an_unknown_clock_is_none() {
        assert!(read(UNKNOWN - 1000).is_none());
    }
}
