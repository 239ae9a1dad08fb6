//! Text of clients in a line of the access log.
//!
//! Owns the escapes of both forms and the room that a value may take. It must not know what a line
//! is made of. Invariants: whatever a client sends becomes printable ASCII without a bare quote or
//! backslash, so it neither ends its value, nor the line, nor moves a cursor, nor turns the
//! direction of writing; an escape is written whole or not at all; what was cut ends in `...`.

/// How a value is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `\xHH` for each byte that is not printable, and for the quote and the backslash.
    Clf,
    /// The same for a value without quotes around it: blanks, too.
    Word,
    /// A string of JSON (RFC 8259 section 7): UTF-8 as `\uXXXX`; a byte that is not UTF-8 as the
    /// character of its number, `\u0080` to `\u00ff`.
    Json,
}

/// What a value that was cut ends in.
const CUT: &[u8] = b"...";
/// The longest escape: two halves of a pair.
const UNIT_BYTES: usize = 12;

/// A line in the making.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    into: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// An empty line in this room.
    pub(super) fn new(into: &'a mut [u8]) -> Self {
        Self { into, len: 0 }
    }

    /// Goes on behind `len` bytes that stand there already.
    pub(super) fn at(into: &'a mut [u8], len: usize) -> Self {
        Self { into, len }
    }

    /// Bytes of ours, whole; false, and nothing changes, if they do not fit.
    pub(super) fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.len.saturating_add(bytes.len());
        match self.into.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
                true
            }
            None => false,
        }
    }

    /// A value of the client, escaped: at most `most` bytes, and leaving `kept` for what follows.
    pub(super) fn value(&mut self, style: Style, value: &[u8], most: usize, kept: usize) {
        let room = self.into.len().saturating_sub(kept);
        let end = self.len.saturating_add(most).min(room);
        let mut keep = self.len;
        let mut rest = value;
        while !rest.is_empty() {
            let (unit, used) = Unit::of(style, rest);
            if self.len.saturating_add(unit.as_bytes().len()) > end || !self.put(unit.as_bytes()) {
                self.len = keep;
                self.put(CUT);
                return;
            }
            if self.len.saturating_add(CUT.len()) <= end {
                keep = self.len;
            }
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// How much was written.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// What stands for one byte, or one character.
struct Unit {
    bytes: [u8; UNIT_BYTES],
    len: usize,
}

impl Unit {
    /// What stands for the front of `rest`, and how many bytes of it.
    fn of(style: Style, rest: &[u8]) -> (Self, usize) {
        let mut unit = Self {
            bytes: [0; UNIT_BYTES],
            len: 0,
        };
        let byte = rest.first().copied().unwrap_or(0);
        let mut used = 1;
        match (byte, style) {
            (b'"' | b'\\', Style::Json) => unit.push(&[b'\\', byte]),
            (b'"' | b'\\', Style::Clf) | (b' ' | b'"' | b'\\', Style::Word) => unit.push_x(byte),
            (b' '..=b'~', _) => unit.push(&[byte]),
            (_, Style::Clf | Style::Word) => unit.push_x(byte),
            (_, Style::Json) => match character(rest) {
                Some(c) => {
                    used = c.len_utf8();
                    for half in c.encode_utf16(&mut [0; 2]) {
                        unit.push_u(*half);
                    }
                }
                None => unit.push_u(u16::from(byte)),
            },
        }
        (unit, used)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn push_x(&mut self, byte: u8) {
        self.push(&[b'\\', b'x', hex(byte >> 4), hex(byte)]);
    }

    fn push_u(&mut self, code: u16) {
        let [high, low] = code.to_be_bytes();
        self.push(b"\\u");
        self.push(&[hex(high >> 4), hex(high), hex(low >> 4), hex(low)]);
    }
}

/// The character at the front, if it is one.
fn character(rest: &[u8]) -> Option<char> {
    (1..=4).find_map(|n| std::str::from_utf8(rest.get(..n)?).ok()?.chars().next())
}

/// The digit of the lower half of a byte.
fn hex(byte: u8) -> u8 {
    match byte & 0xf {
        digit @ 0..=9 => b'0' + digit,
        digit => b'a' + digit - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(style: Style, value: &[u8], most: usize) -> String {
        let mut room = [0; 4096];
        let mut writer = Writer::new(&mut room);
        writer.value(style, value, most, 0);
        let len = writer.len();
        String::from_utf8(room[..len].to_vec()).unwrap()
    }

    #[test]
    fn every_byte_alone_is_harmless_in_both_forms() {
        for byte in 0..=u8::MAX {
            let plain = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            let (clf, json) = match byte {
                _ if plain => (char::from(byte).to_string(), char::from(byte).to_string()),
                b'"' | b'\\' => (format!("\\x{byte:02x}"), format!("\\{}", char::from(byte))),
                _ => (format!("\\x{byte:02x}"), format!("\\u{byte:04x}")),
            };
            assert_eq!(written(Style::Clf, &[byte], 99), clf);
            assert_eq!(written(Style::Json, &[byte], 99), json);
        }
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for style in [Style::Clf, Style::Json] {
            let text = written(style, &all, 4096);
            assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')), "{text}");
        }
    }

    #[test]
    fn characters_are_spelled_and_what_is_none_byte_by_byte() {
        for (value, clf, json) in [
            ("ü".as_bytes(), "\\xc3\\xbc", "\\u00fc"),
            ("\u{202e}".as_bytes(), "\\xe2\\x80\\xae", "\\u202e"),
            ("\u{9b}1m".as_bytes(), "\\xc2\\x9b1m", "\\u009b1m"),
            ("😀".as_bytes(), "\\xf0\\x9f\\x98\\x80", "\\ud83d\\ude00"),
            (b"\xff\xc3", "\\xff\\xc3", "\\u00ff\\u00c3"),
            (b"\xc3\"", "\\xc3\\x22", "\\u00c3\\\""),
            // A half of a pair, which UTF-8 does not know.
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\u00ed\\u00a0\\u0080"),
        ] {
            assert_eq!(written(Style::Clf, value, 99), clf);
            assert_eq!(written(Style::Json, value, 99), json);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_escapes() {
        for (value, most, cut) in [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc..."),
            ("ab\"def", 6, "ab..."),
            ("\"\"\"", 12, "\\x22\\x22\\x22"),
            ("\"\"\"x", 12, "\\x22\\x22..."),
            ("x", 0, "..."),
        ] {
            assert_eq!(written(Style::Clf, value.as_bytes(), most), cut, "{value}");
        }
        assert_eq!(
            written(Style::Json, "😀😀".as_bytes(), 20),
            "\\ud83d\\ude00..."
        );
    }

    #[test]
    fn what_follows_keeps_its_room() {
        let mut room = [0; 16];
        let mut writer = Writer::new(&mut room);
        assert!(writer.put(b"<"));
        writer.value(Style::Clf, b"0123456789abcdef", 99, 3);
        assert!(writer.put(b"end") && !writer.put(b"x"));
        assert_eq!(&room, b"<012345678...end");
    }
}
