//! The page of a directory, in HTML.
//!
//! Owns the markup, escapes, sizes. It must not read a directory or decide what is shown.
//! Invariants: a part is written whole or not at all; head and foot fit into
//! [`PART_BYTES`](super::PART_BYTES), and so does any entry; no byte of a name reaches the page
//! unescaped.
//!
//! No script and nothing from elsewhere. The style stands in the page: a Content-Security-Policy
//! must let it, with `style-src 'unsafe-inline'` or its hash; without it the page is plain but
//! whole.

use super::date::{self, DATE_BYTES};
use super::smallest::Class;
use crate::connection::reply::Decimal;
use crate::site::text::Full;
use crate::sys::file::Stat;

/// Up to the path in the title.
const HEAD: &[u8] = b"<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
<meta name=\"color-scheme\" content=\"light dark\">\n<title>Index of ";
/// From there to the path in the heading. Long names break anywhere and blanks in them are seen, so
/// that the table is never wider than a phone.
const STYLE: &[u8] = b"</title>\n<style>\n:root { color-scheme: light dark }\n\
body { max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem }\n\
body { font: 1rem/1.5 system-ui, sans-serif }\n\
h1 { font-size: 1.3rem; overflow-wrap: anywhere }\n\
table { width: 100%; border-collapse: collapse }\n\
th, td { padding: .35rem .5rem; border-bottom: 1px solid #8886 }\n\
th, td { text-align: left; vertical-align: top }\n\
th + th, td + td { white-space: nowrap; font-variant-numeric: tabular-nums }\n\
th:nth-child(2), td:nth-child(2) { text-align: right }\n\
td a { overflow-wrap: anywhere; white-space: pre-wrap }\n\
@media (max-width: 32rem) { th + th + th, td + td + td { white-space: normal } }\n\
</style>\n</head>\n<body>\n<h1>Index of ";
/// From there to the entries.
const TABLE: &[u8] = b"</h1>\n<table>\n\
<thead><tr><th scope=\"col\">Name<th scope=\"col\">Size<th scope=\"col\">Modified (UTC)</thead>\n\
<tbody>\n";
/// The way back.
const PARENT: &[u8] = b"<tr><td><a href=\"../\">../</a><td><td>\n";
/// Behind the entries.
const FOOT: &[u8] = b"</tbody>\n</table>\n<p>";
/// The end of the page.
const END: &[u8] = b"</p>\n</body>\n</html>\n";
/// What stands for something that cannot be shown.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Where the page is written, from the front.
pub(super) struct Sheet<'r> {
    room: &'r mut [u8],
    len: usize,
}

impl<'r> Sheet<'r> {
    /// Nothing yet.
    pub(super) const fn new(room: &'r mut [u8]) -> Self {
        Self { room, len: 0 }
    }

    /// Bytes written.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Writes all of `part` or nothing.
    pub(super) fn put(&mut self, part: &[u8]) -> Result<(), Full> {
        let end = self.len.checked_add(part.len()).ok_or(Full)?;
        let room = self.room.get_mut(self.len..end).ok_or(Full)?;
        room.copy_from_slice(part);
        self.len = end;
        Ok(())
    }

    fn all(&mut self, parts: &[&[u8]]) -> Result<(), Full> {
        parts.iter().try_for_each(|part| self.put(part))
    }

    /// Keeps what `write` has written only if all of it fits.
    fn whole(&mut self, write: impl FnOnce(&mut Self) -> Result<(), Full>) -> Result<(), Full> {
        let before = self.len;
        let done = write(self);
        if done.is_err() {
            self.len = before;
        }
        done
    }
}

/// The page up to its first entry. `path` is decoded and without a slash at either end; `cut`: its
/// front is missing.
pub(super) fn head(sheet: &mut Sheet<'_>, path: &[u8], cut: bool) -> Result<(), Full> {
    let title = |sheet: &mut Sheet<'_>| {
        sheet.put(if cut { "\u{2026}".as_bytes() } else { b"/" })?;
        text(sheet, path)?;
        sheet.put(if path.is_empty() { b"" } else { b"/" })
    };
    sheet.whole(|sheet| {
        sheet.put(HEAD)?;
        title(sheet)?;
        sheet.put(STYLE)?;
        title(sheet)?;
        sheet.put(TABLE)?;
        sheet.put(if path.is_empty() { b"" } else { PARENT })
    })
}

/// One entry. The reference begins with `./`: without it a name with a colon could be taken for a
/// scheme (RFC 3986 section 4.2).
pub(super) fn entry(
    sheet: &mut Sheet<'_>,
    class: Class,
    name: &[u8],
    stat: &Stat,
) -> Result<(), Full> {
    let slash: &[u8] = match class {
        Class::Directory => b"/",
        Class::File => b"",
    };
    sheet.whole(|sheet| {
        sheet.put(b"<tr><td><a href=\"./")?;
        encoded(sheet, name)?;
        sheet.all(&[slash, b"\">"])?;
        text(sheet, name)?;
        sheet.all(&[slash, b"</a>"])?;
        match class {
            Class::Directory => sheet.put(b"<td>")?,
            Class::File => size(sheet, stat.size)?,
        }
        moment(sheet, stat.modified_s)?;
        sheet.put(b"\n")
    })
}

/// What follows the last entry. `cut`: there are more that are not shown.
pub(super) fn foot(sheet: &mut Sheet<'_>, shown: u64, cut: bool) -> Result<(), Full> {
    let number = Decimal::new(shown);
    let (number, noun): (&[u8], &[u8]) = match shown {
        0 => (b"Nothing here", b"."),
        1 => (b"1", b" entry."),
        _ => (number.as_bytes(), b" entries."),
    };
    let rest: &[u8] = if cut {
        b" There are more; the list ends here."
    } else {
        b""
    };
    sheet.whole(|sheet| sheet.all(&[FOOT, number, noun, rest, END]))
}

/// Text as the page shows it.
fn text(sheet: &mut Sheet<'_>, bytes: &[u8]) -> Result<(), Full> {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut room = [0; 4];
            sheet.put(match character {
                '&' => b"&amp;",
                '<' => b"&lt;",
                '>' => b"&gt;",
                '"' => b"&quot;",
                '\'' => b"&#39;",
                other if is_unseen(other) => REPLACEMENT,
                other => other.encode_utf8(&mut room).as_bytes(),
            })?;
        }
        if !chunk.invalid().is_empty() {
            sheet.put(REPLACEMENT)?;
        }
    }
    Ok(())
}

/// Has no place in a page (HTML section 13.1.3 allows no controls and no noncharacters), or turns
/// the text around it, so that `exe.txt` is read where `txt.exe` stands.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{fdd0}'..='\u{fdef}'
                | '\u{feff}'
        )
        || u32::from(character) & 0xfffe == 0xfffe
}

/// A name as a segment of a reference: whatever is not unreserved (RFC 3986 section 2.3) is
/// encoded.
fn encoded(sheet: &mut Sheet<'_>, name: &[u8]) -> Result<(), Full> {
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            sheet.put(&[byte])?;
        } else {
            sheet.put(&[b'%', hex(byte >> 4), hex(byte & 15)])?;
        }
    }
    Ok(())
}

const fn hex(digit: u8) -> u8 {
    if digit < 10 {
        b'0'.saturating_add(digit)
    } else {
        b'A'.saturating_add(digit.saturating_sub(10))
    }
}

/// A size for people, and its bytes for those who want to know.
fn size(sheet: &mut Sheet<'_>, bytes: u64) -> Result<(), Full> {
    const UNITS: [&[u8]; 6] = [b" KiB", b" MiB", b" GiB", b" TiB", b" PiB", b" EiB"];
    let exact = Decimal::new(bytes);
    sheet.all(&[b"<td title=\"", exact.as_bytes(), b" bytes\">"])?;
    if bytes < 1024 {
        return sheet.all(&[exact.as_bytes(), b" B"]);
    }
    for (unit, shift) in UNITS.into_iter().zip([10_u32, 20, 30, 40, 50, 60]) {
        // Rounded to tenths, which may give a whole one more. 10 * 2^60 is far below 2^64.
        let rest = bytes & ((1 << shift) - 1);
        let tenths = (rest * 10 + (1 << (shift - 1))) >> shift;
        let whole = (bytes >> shift) + tenths / 10;
        if whole < 1024 {
            let (whole, tenths) = (Decimal::new(whole), Decimal::new(tenths % 10));
            return sheet.all(&[whole.as_bytes(), b".", tenths.as_bytes(), unit]);
        }
    }
    Ok(())
}

/// When it was modified, for people and for programs (HTML section 2.3.5.7).
fn moment(sheet: &mut Sheet<'_>, unix_s: i64) -> Result<(), Full> {
    let Some(text) = date::minute(unix_s) else {
        return sheet.put(b"<td>");
    };
    let mut machine = [0; DATE_BYTES];
    machine.copy_from_slice(&text);
    if let Some(between) = machine.get_mut(10) {
        *between = b'T';
    }
    sheet.all(&[
        b"<td><time datetime=\"",
        &machine,
        b"Z\">",
        &text,
        b"</time>",
    ])
}

#[cfg(test)]
mod tests;
