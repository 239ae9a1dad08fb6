//! A byte ring of fixed size that takes whole lines.
//!
//! Owns the bytes that wait for the log's target, and counts the lines that found no room. It must
//! not write anywhere itself. Invariants: `len <= bytes.len()`; a line is in it whole or not at
//! all, so the front is the rest of a line at most once: after a short write.

use super::line::Line;
use log::Level;
use std::io;

/// The ring.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
    /// Lines dropped since the last line that said so.
    dropped: u32,
}

impl Ring {
    /// An empty ring of this size, allocated now and never again.
    pub(crate) fn new(size_bytes: usize) -> Self {
        Self {
            bytes: vec![0; size_bytes].into_boxed_slice(),
            start: 0,
            len: 0,
            dropped: 0,
        }
    }

    /// True when nothing waits, not even the word that lines were dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0 && self.dropped == 0
    }

    /// Takes the line whole, and before it, if lines were dropped, one line that says how many.
    /// False when it does not fit: it is dropped and counted.
    pub(crate) fn push(&mut self, line: &Line) -> bool {
        let fits = if self.dropped == 0 {
            self.append(line.as_bytes())
        } else {
            let notice = notice(self.dropped);
            let need = notice
                .as_bytes()
                .len()
                .saturating_add(line.as_bytes().len());
            let fits = need <= self.room();
            if fits {
                self.append(notice.as_bytes());
                self.append(line.as_bytes());
                self.dropped = 0;
            }
            fits
        };
        if !fits {
            self.dropped = self.dropped.saturating_add(1);
        }
        fits
    }

    /// Hands what waits to `write` until it is empty, or `write` takes nothing or fails. The word
    /// that lines were dropped goes out too, also when no further line comes.
    pub(crate) fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) {
        loop {
            if self.len == 0 {
                if self.dropped == 0 || !self.append(notice(self.dropped).as_bytes()) {
                    return;
                }
                self.dropped = 0;
            }
            match write(self.front()) {
                Ok(0) => return,
                Ok(taken) => self.consume(taken),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) => return,
            }
        }
    }

    fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.len)
    }

    /// The bytes that wait, as far as they lie in a row.
    fn front(&self) -> &[u8] {
        let end = self.start.saturating_add(self.len).min(self.bytes.len());
        self.bytes.get(self.start..end).unwrap_or_default()
    }

    fn consume(&mut self, taken: usize) {
        let taken = taken.min(self.front().len());
        self.len = self.len.saturating_sub(taken);
        self.start = self.wrapped(self.start.saturating_add(taken));
        if self.len == 0 {
            self.start = 0;
        }
    }

    /// A position up to twice the size, back in the ring.
    fn wrapped(&self, position: usize) -> usize {
        if position >= self.bytes.len() {
            position.saturating_sub(self.bytes.len())
        } else {
            position
        }
    }

    /// All of `data` behind what waits, or nothing.
    fn append(&mut self, data: &[u8]) -> bool {
        if data.len() > self.room() {
            return false;
        }
        let at = self.wrapped(self.start.saturating_add(self.len));
        let in_a_row = self.bytes.len().saturating_sub(at).min(data.len());
        let (first, second) = data.split_at_checked(in_a_row).unwrap_or((data, &[]));
        if let Some(room) = self.bytes.get_mut(at..at.saturating_add(first.len())) {
            room.copy_from_slice(first);
        }
        if let Some(room) = self.bytes.get_mut(..second.len()) {
            room.copy_from_slice(second);
        }
        self.len = self.len.saturating_add(data.len());
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line::new(Level::Info, format_args!("{text}"))
    }

    /// Flushes into memory, `most` bytes a call, `calls` calls.
    fn flushed(ring: &mut Ring, most: usize, mut calls: usize) -> String {
        let mut out = Vec::new();
        ring.flush(|bytes| {
            if calls == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            calls -= 1;
            let taken = bytes.len().min(most);
            out.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_come_out_in_order_however_little_is_taken_at_once() {
        for most in 1..20 {
            let mut ring = Ring::new(64);
            let (mut expected, mut found) = (String::new(), String::new());
            for n in 0..200 {
                assert!(ring.push(&line(&format!("line {n}"))));
                expected += &format!("adieu: line {n}\n");
                if n % 3 == 2 {
                    found += &flushed(&mut ring, most, 64 / most);
                    found += &flushed(&mut ring, most, usize::MAX);
                    assert!(ring.is_empty());
                }
            }
            found += &flushed(&mut ring, most, usize::MAX);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_whole_and_counted_in_the_next_line() {
        let mut ring = Ring::new(80);
        let kept = (0..20)
            .filter(|n| ring.push(&line(&format!("{n:05}"))))
            .count();
        assert_eq!(kept, 6); // 13 bytes each
        assert_eq!(flushed(&mut ring, 100, 1).matches('\n').count(), 6);
        assert!(!ring.is_empty(), "14 lines are still to be told");
        assert!(ring.push(&line("back")));
        assert_eq!(
            flushed(&mut ring, 100, 9),
            "adieu: warning: 14 log lines dropped\nadieu: back\n"
        );
        assert!(ring.is_empty());
    }

    #[test]
    fn drops_are_told_also_when_no_further_line_comes() {
        let mut ring = Ring::new(40);
        assert!(ring.push(&line("one")) && ring.push(&line("two")));
        assert!(!ring.push(&line("a line too many for the ring")));
        assert_eq!(
            flushed(&mut ring, 7, 100),
            "adieu: one\nadieu: two\nadieu: warning: 1 log line dropped\n"
        );
        assert!(ring.is_empty());
    }

    #[test]
    fn a_stuck_or_failing_target_costs_nothing_but_lines() {
        let mut ring = Ring::new(16_384);
        for kind in [
            io::ErrorKind::WouldBlock,
            io::ErrorKind::StorageFull,
            io::ErrorKind::BrokenPipe,
        ] {
            for n in 0..10_000 {
                ring.push(&line(&format!("{n}")));
                let mut calls = 0;
                ring.flush(|_| {
                    calls += 1;
                    Err(kind.into())
                });
                assert_eq!(calls, 1);
            }
        }
        ring.flush(|_| Ok(0));
        assert!(!ring.is_empty());
        let text = flushed(&mut ring, usize::MAX, 10);
        assert!(text.starts_with("adieu: 0\nadieu: 1\n") && text.ends_with(" log lines dropped\n"));
    }

    #[test]
    fn an_interrupted_write_is_tried_again() {
        let mut ring = Ring::new(100);
        ring.push(&line("one"));
        let mut calls = 0;
        ring.flush(|bytes| {
            calls += 1;
            if calls < 3 {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                Ok(bytes.len())
            }
        });
        assert_eq!(calls, 3);
        assert!(ring.is_empty());
    }

    #[test]
    fn a_ring_without_room_drops_everything() {
        let mut ring = Ring::new(0);
        assert!(!ring.push(&line("one")));
        assert_eq!(flushed(&mut ring, 10, 10), "");
    }
}
