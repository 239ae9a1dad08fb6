//! What the starter reports, and the orders that are no launch.
//!
//! Owns the form of both. It must not send or receive anything. Invariant: what is read has exactly
//! the length that it says, or it is no message at all.
//!
//! | order | bytes | | report | bytes |
//! |---|---|---|---|---|
//! | kind | 1 | | kind | 1 |
//! | ticket | 4 | | ticket | 4 |
//! | | | | code, signal or errno | 4 |
//! | | | | or the line | as many as there are |

use super::frame::number;
use super::{Heard, How};

/// The longest line of a script's standard error that is passed on, bytes; longer ones are cut into
/// several.
pub const LINE_MAX: usize = 256;
/// The longest report.
pub(super) const REPORT_BYTES: usize = 1 + 4 + LINE_MAX;
/// An order to end a script, or to bring a file to its disk.
pub(super) const ORDER_BYTES: usize = 5;

const END: u8 = b'e';
pub(super) const SYNC: u8 = b'y';
const EXITED: u8 = b'x';
const KILLED: u8 = b'k';
const FAILED: u8 = b'f';
const SAID: u8 = b's';

/// The order to end this script.
pub(super) fn end(ticket: u32) -> [u8; ORDER_BYTES] {
    let [a, b, c, d] = ticket.to_le_bytes();
    [END, a, b, c, d]
}

/// The script that is to end; `None` if this is no such order.
pub(super) fn read_end(words: &[u8]) -> Option<u32> {
    let rest = words.strip_prefix(&[END])?;
    let (ticket, rest) = number(rest)?;
    rest.is_empty().then_some(ticket)
}

/// The order to bring the file that comes with it to its disk.
pub(super) fn sync(ticket: u32) -> [u8; ORDER_BYTES] {
    let [a, b, c, d] = ticket.to_le_bytes();
    [SYNC, a, b, c, d]
}

/// The ticket of such an order; `None` if this is none.
pub(super) fn read_sync(words: &[u8]) -> Option<u32> {
    let rest = words.strip_prefix(&[SYNC])?;
    let (ticket, rest) = number(rest)?;
    rest.is_empty().then_some(ticket)
}

/// The report that a script has ended.
pub(super) fn ended(ticket: u32, how: How) -> [u8; 9] {
    let (kind, number) = match how {
        How::Exited(code) => (EXITED, i32::from(code)),
        How::Killed(signal) => (KILLED, i32::from(signal)),
    };
    report(kind, ticket, number)
}

/// The report that a script could not be started.
pub(super) fn failed(ticket: u32, errno: i32) -> [u8; 9] {
    report(FAILED, ticket, errno)
}

fn report(kind: u8, ticket: u32, number: i32) -> [u8; 9] {
    let [a, b, c, d] = ticket.to_le_bytes();
    let [e, f, g, h] = number.to_le_bytes();
    [kind, a, b, c, d, e, f, g, h]
}

/// A line that a script has written to its standard error, cut off at [`LINE_MAX`], in `room`.
pub(super) fn said<'r>(room: &'r mut [u8; REPORT_BYTES], ticket: u32, line: &[u8]) -> &'r [u8] {
    let line = line.get(..LINE_MAX).unwrap_or(line);
    let head = [SAID].into_iter().chain(ticket.to_le_bytes());
    let all = head.chain(line.iter().copied());
    let mut len = 0;
    for (place, byte) in room.iter_mut().zip(all) {
        *place = byte;
        len += 1;
    }
    room.get(..len).unwrap_or_default()
}

/// The report in a message; `None` if it is none.
pub(super) fn read_report(words: &[u8]) -> Option<Heard<'_>> {
    let (kind, rest) = words.split_first()?;
    let (ticket, rest) = number(rest)?;
    if *kind == SAID {
        return (rest.len() <= LINE_MAX).then_some(Heard::Said(ticket, rest));
    }
    let number = i32::from_le_bytes(rest.try_into().ok()?);
    match *kind {
        EXITED => Some(Heard::Ended(ticket, How::Exited(number.try_into().ok()?))),
        KILLED => Some(Heard::Ended(ticket, How::Killed(number.try_into().ok()?))),
        FAILED => Some(Heard::Failed(ticket, number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_and_orders_arrive_as_they_were_made() {
        for ticket in [0, 0xfeed_beef] {
            for how in [How::Exited(0), How::Exited(255), How::Killed(9)] {
                let words = ended(ticket, how);
                assert_eq!(read_report(&words), Some(Heard::Ended(ticket, how)));
            }
            let words = failed(ticket, 2);
            assert_eq!(read_report(&words), Some(Heard::Failed(ticket, 2)));
            assert_eq!(read_end(&end(ticket)), Some(ticket));
            assert_eq!(read_sync(&sync(ticket)), Some(ticket));
            assert_eq!(read_sync(&end(ticket)), None);
            assert_eq!(read_end(&sync(ticket)), None);
            let mut room = [0; REPORT_BYTES];
            for line in [&b""[..], b"a line", &[b'x'; LINE_MAX]] {
                let words = said(&mut room, ticket, line);
                assert_eq!(read_report(words), Some(Heard::Said(ticket, line)));
            }
            let words = said(&mut room, ticket, &[b'x'; LINE_MAX + 1]);
            assert_eq!(words.len(), REPORT_BYTES);
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_unknown_is_none() {
        let words = ended(1, How::Exited(3));
        for end in 0..words.len() {
            assert_eq!(read_report(&words[..end]), None);
        }
        for number in [-1, 256] {
            assert_eq!(read_report(&report(EXITED, 1, number)), None);
        }
        assert_eq!(read_report(&report(b'?', 1, 0)), None);
        assert_eq!(read_report(&[SAID; REPORT_BYTES + 1]), None);
        assert_eq!(read_report(&[FAILED; 10]), None);
        let words = end(1);
        assert_eq!(read_end(&words[..4]), None);
        assert_eq!(read_end(&[END; 6]), None);
    }
}
