//! Who may ask: the access rules of a site, put to every name that a file has.
//!
//! Owns the spellings under which a file system or a coding shows what a rule guards. It must not
//! ask the file system: a forbidden name does not show whether it exists. Invariant: another
//! spelling can only ever bring further rules to bear, never fewer.

use super::asked::ROOM_BYTES;
use super::encoding;
use super::host::Host;
use super::text::Text;
use crate::connection::client::Client;

impl Host {
    /// Every rule that is about this path lets the client in.
    ///
    /// Case does not count, nor do dots and blanks behind a name: on vfat and exFAT `/ADMIN.` is
    /// `/admin`. What lies beside a file in a coding is that file.
    pub(super) fn admits(&self, path: &[u8], client: &Client) -> bool {
        if self.access.is_empty() {
            return true;
        }
        let bare = bare(path);
        let bare = bare.as_bytes();
        let original = encoding::original(bare, self.codings);
        let others = [Some(bare).filter(|bare| *bare != path), original];
        self.access.iter().all(|rule| {
            let about = rule.pattern.matches_any_case(path)
                || others
                    .iter()
                    .flatten()
                    .any(|p| rule.pattern.matches_any_case(p));
            let listed = rule.networks.contains(client);
            // Of whom nothing is known, nobody can say that he is not meant.
            !about || (listed == rule.allow && *client != Client::Unknown)
        })
    }
}

/// The path without what FAT and its heirs do not see: dots at the end of a name. Blanks are seen
/// by Linux, but not by every server whose files are mounted here.
fn bare(path: &[u8]) -> Text<ROOM_BYTES> {
    let mut text = Text::new();
    for (place, name) in path.split(|b| *b == b'/').enumerate() {
        let seen = name.iter().rposition(|b| !matches!(b, b'.' | b' '));
        let name = seen.and_then(|last| name.get(..=last)).unwrap_or_default();
        let slash: &[u8] = if place == 0 { b"" } else { b"/" };
        for part in [slash, name] {
            // It fits: no path is longer than ROOM_BYTES, and nothing is added.
            let _ = text.push(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn dots_and_blanks_behind_names_do_not_count() {
        for (path, expected) in [
            ("", ""),
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a./b", "/a/b"),
            ("/a.. ./b. ", "/a/b"),
            ("/.a/b.c", "/.a/b.c"),
            ("/...", "/"),
            ("/x/.../y", "/x//y"),
        ] {
            assert_eq!(bare(path.as_bytes()).as_bytes(), expected.as_bytes());
        }
        let long = format!("/{}", "x".repeat(super::ROOM_BYTES - 1));
        assert_eq!(bare(long.as_bytes()).as_bytes(), long.as_bytes());
    }
}
