//! A byte ring of fixed size that takes whole lines.
//!
//! Owns the bytes that wait for a log's target, and counts the lines that found no room. It must
//! not write anywhere itself. Invariants: `len <= bytes.len()`; a line is in it whole or not at
//! all, so the front is the rest of a line at most once: after a short write.

use super::line::Line;

/// The ring.
#[derive(Debug)]
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    start: usize,
    len: usize,
    /// Lines dropped since the last line that said so.
    dropped: u32,
    /// All that were dropped.
    dropped_total: u64,
    /// The line that says how many were dropped.
    notice: fn(u32) -> Line,
}

impl Ring {
    /// An empty ring of this size, allocated now and never again.
    pub(crate) fn new(size_bytes: usize, notice: fn(u32) -> Line) -> Self {
        Self {
            bytes: vec![0; size_bytes].into_boxed_slice(),
            start: 0,
            len: 0,
            dropped: 0,
            dropped_total: 0,
            notice,
        }
    }

    /// True when nothing waits, not even the word that lines were dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0 && self.dropped == 0
    }

    /// Takes the line whole, and before it, if lines were dropped, one line that says how many.
    /// False when it does not fit: it is dropped and counted.
    pub(crate) fn push(&mut self, line: &[u8]) -> bool {
        let fits = if self.dropped == 0 {
            self.append(line)
        } else {
            let notice = (self.notice)(self.dropped);
            let need = notice.as_bytes().len().saturating_add(line.len());
            let fits = need <= self.room();
            if fits {
                self.append(notice.as_bytes());
                self.append(line);
                self.dropped = 0;
            }
            fits
        };
        if !fits {
            self.count_dropped();
        }
        fits
    }

    /// A line was dropped, here or elsewhere: the next one that is taken says so.
    pub(crate) fn count_dropped(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
        self.dropped_total = self.dropped_total.saturating_add(1);
    }

    /// Something waits; the word that lines were dropped stands in line too, also when no further
    /// line comes.
    pub(crate) fn waits(&mut self) -> bool {
        if self.len == 0 && self.dropped > 0 && self.append((self.notice)(self.dropped).as_bytes())
        {
            self.dropped = 0;
        }
        self.len > 0
    }

    /// The length of the first line, or of what is left of it, its line feed included; 0: none.
    pub(crate) fn line_bytes(&self) -> usize {
        let front = self.front();
        let wrapped = self
            .bytes
            .get(..self.len.saturating_sub(front.len()))
            .unwrap_or_default();
        let end = front.iter().chain(wrapped).position(|b| *b == b'\n');
        end.map_or(self.len, |at| at.saturating_add(1))
    }

    /// The first line, copied to the front of `into` as far as it fits; how many bytes.
    pub(crate) fn first_line(&self, into: &mut [u8]) -> usize {
        let most = self.line_bytes().min(into.len());
        let wrapped = self.bytes.iter();
        let line = self.front().iter().chain(wrapped).take(most);
        for (to, from) in into.iter_mut().zip(line) {
            *to = *from;
        }
        most
    }

    /// All lines that were dropped since it was made, and those that wait where `and_waiting`: they
    /// will never be written. The lines that say how many were dropped do not count.
    pub(crate) fn dropped_total(&self, and_waiting: bool) -> u64 {
        let waiting = if and_waiting { self.waiting() } else { 0 };
        self.dropped_total.saturating_add(waiting)
    }

    /// Lines that wait, but for notices: those begin as all notices do, before their number.
    fn waiting(&self) -> u64 {
        let sample = (self.notice)(0);
        let is_digit = |b: &u8| b.is_ascii_digit();
        let start = sample.as_bytes().split(is_digit).next().unwrap_or_default();
        let front = self.front();
        let wrapped = self.bytes.iter().take(self.len.saturating_sub(front.len()));
        let (mut lines, mut place, mut alike) = (0_u64, 0, true);
        for byte in front.iter().chain(wrapped) {
            if *byte == b'\n' {
                lines = lines.saturating_add(u64::from(!alike || place < start.len()));
                (place, alike) = (0, true);
                continue;
            }
            alike &= start.get(place).is_none_or(|expected| expected == byte);
            place = place.saturating_add(1);
        }
        lines
    }

    /// The bytes that find room.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.len)
    }

    /// The bytes that wait, as far as they lie in a row.
    pub(crate) fn front(&self) -> &[u8] {
        let end = self.start.saturating_add(self.len).min(self.bytes.len());
        self.bytes.get(self.start..end).unwrap_or_default()
    }

    /// So many bytes at the front are done with.
    pub(crate) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.len);
        self.len = self.len.saturating_sub(bytes);
        self.start = self.wrapped(self.start.saturating_add(bytes));
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

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    fn ring(size_bytes: usize) -> Ring {
        Ring::new(size_bytes, |dropped| {
            let plural = if dropped == 1 { "" } else { "s" };
            let words = format_args!("{dropped} log line{plural} dropped");
            Line::new(Level::Warn, words)
        })
    }

    fn line(text: &str) -> Vec<u8> {
        let line = Line::new(Level::Info, format_args!("{text}"));
        line.as_bytes().to_vec()
    }

    /// Takes what waits into memory, `most` bytes a call, `calls` calls.
    fn flushed(ring: &mut Ring, most: usize, calls: usize) -> String {
        let mut out = Vec::new();
        for _ in 0..calls {
            if !ring.waits() {
                break;
            }
            let taken = ring.front().len().min(most);
            out.extend_from_slice(&ring.front()[..taken]);
            ring.consume(taken);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_come_out_in_order_however_little_is_taken_at_once() {
        for most in 1..20 {
            let mut ring = ring(64);
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
        let mut ring = ring(80);
        let kept = (0..20)
            .filter(|n| ring.push(&line(&format!("{n:05}"))))
            .count();
        assert_eq!(kept, 6); // 13 bytes each
        assert_eq!(flushed(&mut ring, 100, 1).matches('\n').count(), 6);
        assert!(!ring.is_empty(), "14 lines are still to be told");
        assert!(ring.push(&line("back")));
        assert_eq!(ring.dropped_total(false), 14);
        assert_eq!(ring.dropped_total(true), 15); // the word of them is no line of ours
        assert_eq!(
            flushed(&mut ring, 100, 9),
            "adieu: warning: 14 log lines dropped\nadieu: back\n"
        );
        assert_eq!(ring.dropped_total(true), 14);
        assert!(ring.is_empty());
    }

    #[test]
    fn drops_are_told_also_when_no_further_line_comes() {
        let mut ring = ring(40);
        assert!(ring.push(&line("one")) && ring.push(&line("two")));
        assert!(!ring.push(&line("a line too many for the ring")));
        assert_eq!(
            flushed(&mut ring, 7, 100),
            "adieu: one\nadieu: two\nadieu: warning: 1 log line dropped\n"
        );
        assert!(ring.is_empty());
    }

    #[test]
    fn the_first_line_is_found_wherever_it_lies() {
        let mut ring = ring(40);
        let mut room = [0; 64];
        assert_eq!((ring.line_bytes(), ring.first_line(&mut room)), (0, 0));
        for n in 0..100 {
            let text = line(&"x".repeat(n % 9));
            assert!(ring.push(&text) && ring.push(&line("second")));
            assert_eq!(ring.line_bytes(), text.len());
            assert_eq!(ring.first_line(&mut room), text.len());
            assert_eq!(&room[..text.len()], text);
            assert_eq!(ring.first_line(&mut room[..3]), 3);
            ring.consume(text.len());
            assert_eq!(ring.line_bytes(), line("second").len());
            ring.consume(4);
            assert_eq!(ring.line_bytes(), line("second").len() - 4);
            ring.consume(usize::MAX);
            assert!(ring.is_empty());
        }
    }

    #[test]
    fn a_ring_without_room_drops_everything() {
        let mut ring = ring(0);
        assert!(!ring.push(&line("one")));
        assert_eq!(flushed(&mut ring, 10, 10), "");
    }
}
