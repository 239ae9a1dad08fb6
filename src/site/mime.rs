//! Media types by file name.
//!
//! Owns the lookup in the table that `build.rs` makes of `conf/mime.types`. It must not look into
//! files. Invariants: the table is sorted and in lower case; no name is without a type.

include!(concat!(env!("OUT_DIR"), "/mime_table.rs"));

/// What a file is whose name says nothing (RFC 2046 section 4.5.1).
const UNKNOWN: &str = "application/octet-stream";

/// The Content-Type of a file with this name, by what follows its last dot, without regard to case.
/// A leading dot alone makes no extension: `.css` is a hidden file, not a style sheet.
pub(super) fn of_name(name: &[u8]) -> &'static str {
    extension(name).and_then(lookup).unwrap_or(UNKNOWN)
}

fn extension(name: &[u8]) -> Option<&[u8]> {
    let dot = name
        .iter()
        .rposition(|&b| b == b'.')
        .filter(|&dot| dot > 0)?;
    name.get(dot..)?.get(1..)
}

fn lookup(extension: &[u8]) -> Option<&'static str> {
    let mut lower = [0_u8; EXTENSION_BYTES];
    let lower = lower.get_mut(..extension.len())?;
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    let lower: &[u8] = lower;
    let index = TABLE
        .binary_search_by(|(known, _)| known.as_bytes().cmp(lower))
        .ok()?;
    TABLE.get(index).map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::{TABLE, of_name};

    #[test]
    fn the_table_is_sorted_and_lower_case() {
        assert!(
            TABLE.is_sorted_by(|a, b| a.0 < b.0),
            "binary search needs it"
        );
        for (extension, media_type) in TABLE {
            assert_eq!(*extension, extension.to_ascii_lowercase());
            assert_eq!(of_name(format!("x.{extension}").as_bytes()), *media_type);
        }
        assert!(TABLE.len() > 100, "{}", TABLE.len());
    }

    #[test]
    fn names_have_types() {
        for (name, media_type) in [
            ("index.html", "text/html; charset=utf-8"),
            ("INDEX.HTM", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.Js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.xml", "application/xml"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.b.c.png", "image/png"),
            ("live.m3u8", "application/vnd.apple.mpegurl"),
            ("live.ts", "video/mp2t"),
            ("firmware.bin", "application/octet-stream"),
            ("archive.tar.gz", "application/gzip"),
            ("x.7z", "application/x-7z-compressed"),
            ("README", "application/octet-stream"),
            (".html", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            (".", "application/octet-stream"),
            ("", "application/octet-stream"),
            ("a.html ", "application/octet-stream"),
            ("a.html.", "application/octet-stream"),
            ("a.abcdefghijklmnopq", "application/octet-stream"),
            ("a.h\u{e9}", "application/octet-stream"),
        ] {
            assert_eq!(of_name(name.as_bytes()), media_type, "{name:?}");
        }
    }
}
