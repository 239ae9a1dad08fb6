//! Media types by file name.
//!
//! Owns the lookup in the table that `build.rs` makes of `conf/mime.types`, and in what the
//! configuration says before it. It must not look into files. Invariants: the table is sorted and
//! in lower case; no name is without a type.

use super::text::Text;
use crate::config::rules::{CHARSET_BYTES, MediaType, TYPE_BYTES};
use crate::connection::reply::Reply;

include!(concat!(env!("OUT_DIR"), "/mime_table.rs"));

/// What a file is whose name says nothing (RFC 2046 section 4.5.1).
const UNKNOWN: &str = "application/octet-stream";
/// What the table says of text; a site may say otherwise.
const CHARSET: &str = "; charset=utf-8";

/// The longest value of Content-Type: a type, `; charset=` and a charset.
pub(super) const VALUE_BYTES: usize = TYPE_BYTES + 10 + CHARSET_BYTES;

/// The media types of one site: its own ones, then the table.
#[derive(Debug)]
pub(super) struct Types {
    own: Vec<MediaType>,
    charset: String,
}

/// The value of Content-Type, in two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type<'s> {
    essence: &'s str,
    /// Empty: none is named.
    charset: &'s str,
}

impl Types {
    /// The types that were configured; text is said to be in `charset`, if that is not empty.
    pub(super) fn new(own: &[MediaType], charset: &str) -> Self {
        Self {
            own: own.to_vec(),
            charset: charset.to_owned(),
        }
    }

    /// What a file with this name is, by what follows its last dot, without regard to case. A
    /// leading dot alone makes no extension: `.css` is a hidden file, not a style sheet.
    pub(super) fn of_name(&self, name: &[u8]) -> Type<'_> {
        let Some(extension) = extension(name) else {
            return self.plain(UNKNOWN);
        };
        // The last one that was given counts, as it does for other keys.
        let alike = |own: &&MediaType| extension.eq_ignore_ascii_case(own.extension.as_bytes());
        if let Some(own) = self.own.iter().rfind(alike) {
            let media_type = own.media_type.as_str();
            let bare = media_type.starts_with("text/") && !media_type.contains(';');
            return match bare && media_type != "text/xml" {
                true => self.text(media_type),
                false => self.plain(media_type),
            };
        }
        let known = lookup(extension).unwrap_or(UNKNOWN);
        match known.strip_suffix(CHARSET) {
            Some(essence) => self.text(essence),
            None => self.plain(known),
        }
    }

    fn plain<'s>(&'s self, essence: &'s str) -> Type<'s> {
        Type {
            essence,
            charset: "",
        }
    }

    fn text<'s>(&'s self, essence: &'s str) -> Type<'s> {
        Type {
            essence,
            charset: &self.charset,
        }
    }
}

impl Type<'_> {
    /// It as one text.
    pub(super) fn text(self) -> Text<VALUE_BYTES> {
        let mut text = Text::new();
        let between = if self.charset.is_empty() {
            ""
        } else {
            "; charset="
        };
        for part in [self.essence, between, self.charset] {
            // It fits: VALUE_BYTES.
            let _ = text.push(part.as_bytes());
        }
        text
    }

    /// Writes it as a field.
    pub(super) fn write(self, reply: &mut Reply<'_>) {
        let (essence, charset) = (self.essence.as_bytes(), self.charset.as_bytes());
        if charset.is_empty() {
            reply.field("Content-Type", essence);
        } else {
            reply.field_parts("Content-Type", &[essence, b"; charset=", charset]);
        }
    }
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
    use super::{TABLE, Types};
    use crate::config::rules::{MediaType, Rule as _};
    use crate::connection::reply::{Reply, Status};

    /// The value of Content-Type.
    fn value(types: &Types, name: &[u8]) -> String {
        let mut buffer = [0; 256];
        let mut reply = Reply::new(&mut buffer);
        reply.status(Status::OK);
        types.of_name(name).write(&mut reply);
        let len = reply.len();
        let text = String::from_utf8(buffer[..len].to_vec()).unwrap();
        let (_, line) = text.split_once("Content-Type: ").unwrap();
        line.trim_end().to_owned()
    }

    fn of_name(name: &[u8]) -> String {
        value(&Types::new(&[], "utf-8"), name)
    }

    #[test]
    fn a_site_may_name_types_and_another_charset() {
        let own: Vec<MediaType> = ["HTML text/plain", "log text/x-log; charset=koi8-r", "x a/b"]
            .into_iter()
            .chain(["x text/xml", "txt text/markdown"])
            .map(|line| MediaType::parse(line).unwrap())
            .collect();
        let types = Types::new(&own, "iso-8859-1");
        for (name, expected) in [
            ("a.html", "text/plain; charset=iso-8859-1"),
            ("a.LOG", "text/x-log; charset=koi8-r"),
            ("a.x", "text/xml"),
            ("a.txt", "text/markdown; charset=iso-8859-1"),
            ("a.css", "text/css; charset=iso-8859-1"),
            ("a.json", "application/json"),
        ] {
            assert_eq!(value(&types, name.as_bytes()), expected, "{name}");
        }
        assert_eq!(value(&Types::new(&[], ""), b"a.html"), "text/html");
    }

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
