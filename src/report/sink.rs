//! Where log records go: to simple_logger while adieu starts on a terminal, else into a ring that
//! is written out without blocking.
//!
//! Owns the process's one logger. It must not block, panic or allocate once it is [`ready`].
//! simple_logger does all three (`eprintln!` panics on a full disk and blocks on a full pipe), so
//! it speaks only before that, and only when the standard error is a terminal. Invariants: a line
//! goes out whole and in order, or is dropped and counted; the lock is never waited for.

use super::line::{LINE_BYTES, Line};
use super::ring::Ring;
use super::stamp::Stamps;
use super::target::{Facility, Target};
use super::trouble::Trouble;
use crate::config::{Config, LogTarget, StartError};
use crate::connection::time::plausible;
use crate::sys::clock;
use crate::sys::standard::Standard;
use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// The ring's size: 32 of the longest lines, and a burst of 200 usual ones. For the memory plan.
pub const RING_BYTES: usize = 16 * 1024;

/// The ring and where it is written to.
struct Outlet {
    ring: Ring,
    target: Target,
    stamps: Stamps,
}

impl Outlet {
    /// Puts a record into the ring; false when there is no room. In a file its time stands before
    /// it; elsewhere whoever reads puts one there.
    fn push(&mut self, record: &Record<'_>) -> bool {
        let (level, message) = (record.level(), *record.args());
        let line = if self.target.is_file() {
            let stamp = self.stamps.of(plausible(clock::wall_s()));
            let time = stamp
                .as_ref()
                .map(|stamp| std::str::from_utf8(&stamp.rfc3339));
            Line::dated(time.and_then(Result::ok).unwrap_or("-"), level, message)
        } else {
            Line::new(level, message)
        };
        self.ring.push(line.as_bytes())
    }
}

/// The logger: one for the process, for `log::set_logger` takes only one.
struct Sink {
    terminal: OnceLock<SimpleLogger>,
    outlet: Mutex<Option<Outlet>>,
    /// The terminal's logger speaks.
    starting: AtomicBool,
    /// Something waits in the ring.
    pending: AtomicBool,
    /// Lines dropped since the start; it wraps.
    dropped: AtomicU32,
}

// One thread: relaxed atomics are plain loads and stores, here to satisfy `Sync` without unsafe.
const ORDER: Ordering = Ordering::Relaxed;

static SINK: Sink = Sink::new();

/// Makes the sink the process's logger, at this level. Again: only changes the level.
pub fn install(level: LevelFilter) {
    SINK.open(level);
    // It fails when a logger is set already: ours, or a test's.
    let _ = log::set_logger(&SINK);
    log::set_max_level(level);
}

/// From now on the log goes where `config` says; what waits goes there, too.
///
/// # Errors
/// Its file cannot be opened.
pub fn direct(config: &Config) -> Result<(), StartError> {
    let word = &config.log_target;
    let fault = |what: String| {
        let cure = "name a place that the server's user may write to";
        StartError::runtime("log.target", what, cure)
    };
    let named = LogTarget::parse(word).ok_or_else(|| fault(format!("{word} is no target")))?;
    let elsewhere = named != LogTarget::Stderr;
    let target = Target::open(named, config.log_target_bytes, LINE_BYTES, Facility::Daemon)
        .map_err(|error| fault(format!("cannot open {word}: {error}")))?;
    if elsewhere {
        SINK.starting.store(false, ORDER);
    }
    if let Ok(mut guard) = SINK.outlet.try_lock()
        && let Some(outlet) = guard.as_mut()
        // That one stays as it was opened, perhaps by a user who could do it better.
        && (elsewhere || !outlet.target.is_stderr())
    {
        outlet.target.leave(&mut outlet.ring);
        outlet.target = target;
    }
    Ok(())
}

/// Opens what has the name of the log's file now, for it may have been renamed or removed. Where
/// that fails the old one stays.
///
/// # Errors
/// As open(2) and connect(2).
pub fn reopen() -> std::io::Result<()> {
    let Ok(mut guard) = SINK.outlet.try_lock() else {
        return Ok(());
    };
    match guard.as_mut() {
        Some(Outlet { ring, target, .. }) => target.reopen(ring),
        None => Ok(()),
    }
}

/// The start is over: from now on nothing blocks.
pub fn ready() {
    SINK.starting.store(false, ORDER);
}

/// Writes out what the target takes now. Cheap when nothing waits: call it once a turn.
pub fn flush() {
    SINK.flush_ring();
}

/// Something waits for the target. Not a reason to poll at once: a stuck target stays stuck.
#[must_use]
pub fn pending() -> bool {
    SINK.pending.load(ORDER)
}

/// Lines dropped since the start, for the counters; wraps after 2^32.
#[must_use]
pub fn dropped() -> u32 {
    SINK.dropped.load(ORDER)
}

/// The target is there. A daemon or a reader may come later.
#[must_use]
pub fn is_reached() -> bool {
    match SINK.outlet.try_lock() {
        Ok(guard) => guard.as_ref().is_none_or(|outlet| outlet.target.is_there()),
        Err(_) => true,
    }
}

/// One warning on the standard error, past the log: what the operator must know of the log itself.
pub fn aside(words: &impl fmt::Display) {
    write_whole(&Line::new(Level::Warn, format_args!("{words}")));
}

/// One line at the very end, also without [`install`] and at every level: why adieu did not start.
/// What a stuck target does not take is lost; the exit code still tells.
pub fn last_words(words: &impl fmt::Display) {
    SINK.flush_ring();
    write_whole(&Line::new(Level::Error, format_args!("{words}")));
}

/// Writes a line to the standard error, as far as it takes it.
fn write_whole(line: &Line) {
    let stderr = Standard::error();
    let mut rest = line.as_bytes();
    while let Ok(taken @ 1..) = stderr.write(rest) {
        rest = rest.get(taken..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
}

impl Sink {
    const fn new() -> Self {
        Self {
            terminal: OnceLock::new(),
            outlet: Mutex::new(None),
            starting: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            dropped: AtomicU32::new(0),
        }
    }

    /// Allocates the ring, and on a terminal the logger of the start. A second time does nothing.
    fn open(&self, level: LevelFilter) {
        let Ok(mut outlet) = self.outlet.try_lock() else {
            return;
        };
        if outlet.is_some() {
            return;
        }
        // The standard error needs no opening that could fail.
        let opened = Target::open(LogTarget::Stderr, 0, LINE_BYTES, Facility::Daemon);
        let Ok(target) = opened else { return };
        let terminal = target.is_terminal();
        *outlet = Some(Outlet {
            ring: Ring::new(RING_BYTES, notice),
            target,
            stamps: Stamps::default(),
        });
        if terminal {
            // Constructed, not init-ed: the process's logger is this sink.
            let logger = SimpleLogger::new().with_level(level);
            self.starting
                .store(self.terminal.set(logger).is_ok(), ORDER);
        }
    }

    /// Puts a record into the ring; drops it when there is no room, no ring, or the lock is taken.
    fn push(&self, record: &Record<'_>) {
        let kept = match self.outlet.try_lock() {
            Ok(mut guard) => guard.as_mut().is_some_and(|outlet| outlet.push(record)),
            Err(_) => false,
        };
        self.pending.store(true, ORDER);
        if !kept {
            self.dropped.fetch_add(1, ORDER);
        }
    }

    fn flush_ring(&self) {
        if !self.pending.load(ORDER) {
            return;
        }
        let Ok(mut guard) = self.outlet.try_lock() else {
            return;
        };
        if let Some(Outlet { ring, target, .. }) = guard.as_mut() {
            let trouble = target.flush(ring);
            self.pending.store(!ring.is_empty(), ORDER);
            // The log itself cannot tell. What may come by itself is not worth a word elsewhere.
            if let Some(trouble) = trouble.filter(Trouble::is_denied) {
                aside(&format_args!("log.target {trouble}"));
            }
        }
    }
}

/// The line that says how many were dropped.
fn notice(dropped: u32) -> Line {
    let plural = if dropped == 1 { "" } else { "s" };
    Line::new(
        Level::Warn,
        format_args!("{dropped} log line{plural} dropped"),
    )
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match self.terminal.get() {
            Some(terminal) if self.starting.load(ORDER) => terminal.log(record),
            Some(_) | None => self.push(record),
        }
    }

    fn flush(&self) {
        self.flush_ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sink: &Sink, text: &str) {
        sink.push(
            &Record::builder()
                .level(Level::Info)
                .args(format_args!("{text}"))
                .build(),
        );
    }

    fn waiting(sink: &Sink) -> Vec<u8> {
        let mut out = Vec::new();
        let mut guard = sink.outlet.lock().unwrap();
        let ring = &mut guard.as_mut().unwrap().ring;
        while ring.waits() {
            out.extend_from_slice(ring.front());
            ring.consume(ring.front().len());
        }
        out
    }

    #[test]
    fn records_wait_in_the_ring_and_overflow_is_counted() {
        let sink = Sink::new();
        record(&sink, "before the ring: dropped");
        sink.open(LevelFilter::Info);
        sink.open(LevelFilter::Info);
        assert_eq!(sink.dropped.load(ORDER), 1);
        record(&sink, "one\ntwo");
        assert!(sink.pending.load(ORDER));
        assert_eq!(waiting(&sink), b"adieu: one\\ntwo\n");
        for _ in 0..100 {
            record(&sink, &"x".repeat(600));
        }
        assert_eq!(sink.dropped.load(ORDER), 1 + 68);
        assert_eq!(
            waiting(&sink).len(),
            32 * 512 + "adieu: warning: 68 log lines dropped\n".len()
        );
    }

    #[test]
    fn a_taken_lock_drops_the_record_and_waits_for_nothing() {
        let sink = Sink::new();
        sink.open(LevelFilter::Info);
        let guard = sink.outlet.lock().unwrap();
        record(&sink, "lost");
        sink.flush_ring();
        drop(guard);
        assert_eq!(sink.dropped.load(ORDER), 1);
        sink.flush_ring();
        assert!(!sink.pending.load(ORDER));
    }

    #[test]
    fn the_terminals_logger_speaks_until_the_start_is_over() {
        let sink = Sink::new();
        sink.open(LevelFilter::Info);
        log::set_max_level(LevelFilter::Info);
        let _ = sink
            .terminal
            .set(SimpleLogger::new().with_level(LevelFilter::Off));
        let log = |level, text: &str| {
            sink.log(
                &Record::builder()
                    .level(level)
                    .args(format_args!("{text}"))
                    .build(),
            );
        };
        sink.starting.store(true, ORDER);
        log(Level::Info, "on the terminal");
        assert!(!sink.pending.load(ORDER));
        sink.starting.store(false, ORDER);
        log(Level::Debug, "below the level");
        log(Level::Warn, "in the ring");
        assert_eq!(waiting(&sink), b"adieu: warning: in the ring\n");
    }
}
