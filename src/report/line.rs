//! One log line in a fixed buffer.
//!
//! Owns its form: `adieu: message`, nothing in it that moves a cursor or starts a line. It must not
//! allocate. Invariants: at most [`LINE_BYTES`] bytes with its line feed, which is its only one;
//! whole UTF-8; what was cut ends in `...`.

use log::Level;
use std::fmt::{self, Write};

/// The longest line, its line feed included: a longer write to a pipe may be torn by other writers
/// on systems where PIPE_BUF is as small as POSIX allows.
pub(crate) const LINE_BYTES: usize = 512;
const CUT: &[u8] = b"...";

/// A line in the making.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
    /// The last end of a character that leaves room for the mark of a cut.
    keep: usize,
    cut: bool,
}

impl Line {
    /// A whole line: prefix, level if it is a warning or an error, message.
    pub(crate) fn new(level: Level, message: fmt::Arguments<'_>) -> Self {
        Self::of(prefix(level), message)
    }

    /// The same behind its time.
    pub(crate) fn dated(time: &str, level: Level, message: fmt::Arguments<'_>) -> Self {
        Self::of(time, format_args!(" {}{message}", prefix(level)))
    }

    /// A whole line that is a message and nothing else.
    pub(crate) fn plain(message: fmt::Arguments<'_>) -> Self {
        Self::of("", message)
    }

    fn of(prefix: &str, message: fmt::Arguments<'_>) -> Self {
        let mut line = Self {
            bytes: [0; LINE_BYTES],
            len: 0,
            keep: 0,
            cut: false,
        };
        // The one error a message can cause is its own Display's; what it wrote until then stays.
        let _ = line
            .write_str(prefix)
            .and_then(|()| line.write_fmt(message));
        line.end();
        line
    }

    /// The line with its line feed.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn end(&mut self) {
        if self.cut {
            self.len = self.keep;
            self.put(CUT);
        }
        self.put(b"\n");
    }

    fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.len.saturating_add(bytes.len());
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
                true
            }
            None => false,
        }
    }

    /// One character, or what stands for it, whole or not at all.
    fn put_whole(&mut self, bytes: &[u8]) {
        // The line feed keeps its byte.
        let room = LINE_BYTES.saturating_sub(1).saturating_sub(self.len);
        if self.cut || bytes.len() > room || !self.put(bytes) {
            self.cut = true;
        } else if self.len.saturating_add(CUT.len()) < LINE_BYTES {
            self.keep = self.len;
        }
    }

    /// A control character as `\n`, `\r`, `\t` or `\xNN`.
    fn put_escaped(&mut self, c: char) {
        let hex = |digit: u32| {
            let digit = u8::try_from(digit & 0xf).unwrap_or(0);
            if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            }
        };
        match c {
            '\n' => self.put_whole(b"\\n"),
            '\r' => self.put_whole(b"\\r"),
            '\t' => self.put_whole(b"\\t"),
            _ => {
                let code = u32::from(c);
                self.put_whole(&[b'\\', b'x', hex(code >> 4), hex(code)]);
            }
        }
    }
}

/// What a line begins with.
fn prefix(level: Level) -> &'static str {
    match level {
        Level::Error => "adieu: error: ",
        Level::Warn => "adieu: warning: ",
        Level::Info | Level::Debug | Level::Trace => "adieu: ",
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            // C0, DEL and C1: the latter start escape sequences on 8-bit terminals.
            if c.is_control() {
                self.put_escaped(c);
            } else {
                self.put_whole(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, message: &str) -> String {
        String::from_utf8(
            Line::new(level, format_args!("{message}"))
                .as_bytes()
                .to_vec(),
        )
        .unwrap()
    }

    #[test]
    fn prefixes_name_what_is_amiss() {
        assert_eq!(line(Level::Info, "ready"), "adieu: ready\n");
        assert_eq!(line(Level::Debug, "ready"), "adieu: ready\n");
        assert_eq!(line(Level::Warn, "slow"), "adieu: warning: slow\n");
        assert_eq!(line(Level::Error, "gone"), "adieu: error: gone\n");
    }

    #[test]
    fn a_time_stands_before_everything() {
        let line = Line::dated("1970", Level::Warn, format_args!("slow\n{}", 1));
        assert_eq!(line.as_bytes(), b"1970 adieu: warning: slow\\n1\n");
    }

    #[test]
    fn nothing_in_a_message_starts_a_line_or_moves_a_cursor() {
        assert_eq!(
            line(
                Level::Info,
                "GET /\r\nadieu: error: forged\x1b[2J\0\t\x7f\u{9b}1m ü"
            ),
            "adieu: GET /\\r\\nadieu: error: forged\\x1b[2J\\x00\\t\\x7f\\x9b1m ü\n"
        );
    }

    #[test]
    fn long_lines_are_cut_at_a_character_and_say_so() {
        let room = LINE_BYTES - "adieu: \n".len();
        let whole = "x".repeat(room);
        assert_eq!(line(Level::Info, &whole), format!("adieu: {whole}\n"));
        for text in [
            "x".repeat(room + 1),
            "x".repeat(100_000),
            "ü".repeat(300),
            "\n".repeat(300),
            "€".repeat(200),
            "x".repeat(room - 1) + "ü",
        ] {
            let line = line(Level::Info, &text);
            assert!(
                line.len() <= LINE_BYTES && line.len() > LINE_BYTES - 4,
                "{}",
                line.len()
            );
            assert!(line.ends_with("...\n"));
            assert_eq!(line.matches('\n').count(), 1);
            assert!(!line.ends_with("\\...\n"), "an escape was torn");
        }
    }

    #[test]
    fn what_follows_a_cut_is_not_let_in() {
        let text = format!("{}ü{}", "x".repeat(LINE_BYTES - 9), "y");
        assert!(!line(Level::Info, &text).contains('y'));
    }
}
