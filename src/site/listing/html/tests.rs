//! Markup, escapes and sizes, byte by byte.

use super::{Class, Sheet, encoded, entry, foot, head, size, text};
use crate::site::listing::tests::stat;
use crate::site::listing::{PART_BYTES, SHOWN_BYTES};
use crate::site::path::NAME_BYTES;
use crate::site::text::Full;

/// What `write` writes.
fn written(write: impl FnOnce(&mut Sheet<'_>) -> Result<(), Full>) -> String {
    let mut room = [0; PART_BYTES];
    let mut sheet = Sheet::new(&mut room);
    write(&mut sheet).unwrap();
    let len = sheet.len();
    String::from_utf8(room[..len].to_vec()).unwrap()
}

#[test]
fn an_entry_is_a_row() {
    let row = |class, name: &str, size, modified_s| {
        let stat = stat(size, modified_s);
        written(|sheet| entry(sheet, class, name.as_bytes(), &stat))
    };
    assert_eq!(
        row(Class::File, "a b.txt", 1_258_291, 1_795_374_240),
        "<tr><td><a href=\"./a%20b.txt\">a b.txt</a><td title=\"1258291 bytes\">1.2 MiB\
         <td><time datetime=\"2026-11-22T19:04Z\">2026-11-22 19:04</time>\n"
    );
    assert_eq!(
        row(Class::Directory, "sub", 4096, 0),
        "<tr><td><a href=\"./sub/\">sub/</a><td>\
         <td><time datetime=\"1970-01-01T00:00Z\">1970-01-01 00:00</time>\n"
    );
    // A date that no calendar has.
    assert_eq!(
        row(Class::File, "x", 0, i64::MAX),
        "<tr><td><a href=\"./x\">x</a><td title=\"0 bytes\">0 B<td>\n"
    );
}

#[test]
fn text_shows_what_it_is_and_nothing_else() {
    for (bytes, shown) in [
        (&b"plain-_.~name"[..], "plain-_.~name"),
        (b"<script>&\"'", "&lt;script&gt;&amp;&quot;&#39;"),
        (
            "\u{e4} \u{6f22} \u{1f600}".as_bytes(),
            "\u{e4} \u{6f22} \u{1f600}",
        ),
        (
            b"a\x01b\x7fc\nd\te",
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e",
        ),
        // Not UTF-8: one byte, a character that is cut, an overlong slash, half a surrogate pair.
        (b"a\xffb", "a\u{fffd}b"),
        (b"a\xe6\xbcb\xe6\xbc", "a\u{fffd}b\u{fffd}"),
        (b"\xc0\xaf", "\u{fffd}\u{fffd}"),
        (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        // C1 controls, noncharacters, marks and overrides of direction, separators of lines.
        (
            "\u{85}\u{ffff}\u{fdd0}\u{1fffe}".as_bytes(),
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        ),
        ("a\u{202e}txt.exe".as_bytes(), "a\u{fffd}txt.exe"),
        (
            "\u{2066}\u{200f}\u{61c}\u{2028}".as_bytes(),
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
        ),
        // Hebrew and Arabic letters stay.
        ("\u{5d0}\u{627}".as_bytes(), "\u{5d0}\u{627}"),
    ] {
        assert_eq!(written(|sheet| text(sheet, bytes)), shown, "{bytes:?}");
    }
}

#[test]
fn references_lead_back_to_the_same_bytes() {
    let decoded = |reference: &str| {
        let mut bytes = Vec::new();
        let mut rest = reference.bytes();
        while let Some(byte) = rest.next() {
            let byte = match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                plain => {
                    assert!(plain.is_ascii_alphanumeric() || b"-._~".contains(&plain));
                    plain
                }
            };
            bytes.push(byte);
        }
        bytes
    };
    let all: Vec<u8> = (0..=255).collect();
    let reference = written(|sheet| encoded(sheet, &all));
    assert_eq!(decoded(&reference), all);
    assert_eq!(
        written(|s| encoded(s, b"a:b?c#d%41\\")),
        "a%3Ab%3Fc%23d%2541%5C"
    );
}

#[test]
fn sizes_are_rounded_to_tenths() {
    for (bytes, shown) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1075, "1.0 KiB"),
        (1076, "1.1 KiB"),
        (1_048_524, "1023.9 KiB"),
        (1_048_525, "1.0 MiB"),
        (1_258_291, "1.2 MiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 40, "3.0 TiB"),
        (1 << 50, "1.0 PiB"),
        (u64::MAX, "16.0 EiB"),
    ] {
        let cell = written(|sheet| size(sheet, bytes));
        assert_eq!(cell, format!("<td title=\"{bytes} bytes\">{shown}"));
    }
}

#[test]
fn the_head_names_the_path_and_the_way_back() {
    let root = written(|sheet| head(sheet, b"", false));
    assert!(root.starts_with("<!doctype html>\n<html lang=\"en\">\n"));
    assert!(root.contains("<title>Index of /</title>"));
    assert!(root.contains("<h1>Index of /</h1>"));
    assert!(!root.contains("../"), "there is no way back from the root");
    let below = written(|sheet| head(sheet, b"a&b/c", false));
    assert!(below.contains("<title>Index of /a&amp;b/c/</title>"));
    assert!(below.contains("<h1>Index of /a&amp;b/c/</h1>"));
    assert!(below.ends_with("<tr><td><a href=\"../\">../</a><td><td>\n"));
    let cut = written(|sheet| head(sheet, b"end", true));
    assert!(cut.contains("<title>Index of \u{2026}end/</title>"));
    for wanted in [
        "<meta charset=\"utf-8\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "<meta name=\"color-scheme\" content=\"light dark\">",
    ] {
        assert!(root.contains(wanted));
    }
    for never in ["<script", "src=", "http:", "https:", "@import", "url("] {
        assert!(!below.contains(never), "{never}");
    }
}

#[test]
fn the_foot_counts() {
    let shown = |entries, cut| written(|sheet| foot(sheet, entries, cut));
    for (entries, cut, line) in [
        (0, false, "<p>Nothing here.</p>"),
        (1, false, "<p>1 entry.</p>"),
        (2, false, "<p>2 entries.</p>"),
        (
            9,
            true,
            "<p>9 entries. There are more; the list ends here.</p>",
        ),
    ] {
        assert!(shown(entries, cut).contains(line));
    }
    assert!(shown(0, false).starts_with("</tbody>\n</table>\n"));
    assert!(shown(0, false).ends_with("</body>\n</html>\n"));
}

#[test]
fn any_part_fits_and_what_does_not_fit_changes_nothing() {
    let worst = stat(u64::MAX, 253_402_300_799);
    for byte in 1..=255_u8 {
        let name = [byte; NAME_BYTES];
        let long = written(|sheet| entry(sheet, Class::File, &name, &worst));
        let path = [byte; SHOWN_BYTES];
        let top = written(|sheet| head(sheet, &path, true));
        assert!(long.len() < PART_BYTES && top.len() < PART_BYTES);
        if byte == b'"' {
            println!("the largest parts: {} and {} bytes", top.len(), long.len());
            let mut room = vec![b'.'; 5 + long.len() - 1];
            let mut sheet = Sheet::new(&mut room);
            sheet.put(b"12345").unwrap();
            assert_eq!(entry(&mut sheet, Class::File, &name, &worst), Err(Full));
            assert_eq!(sheet.len(), 5);
            assert_eq!(sheet.put(b"6"), Ok(()));
        }
    }
    assert!(written(|sheet| foot(sheet, u64::MAX, true)).len() < PART_BYTES);
    for room in 0..100 {
        let mut room = vec![0; room];
        let mut sheet = Sheet::new(&mut room);
        assert_eq!(head(&mut sheet, b"x", false), Err(Full));
        assert_eq!(sheet.len(), 0);
    }
}
