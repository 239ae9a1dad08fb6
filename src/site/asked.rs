//! What is asked for, as the rules of a site see it.
//!
//! Owns the decoded path with its slashes, and the path of the file that is shown for it (an index,
//! a fallback). It must not touch the file system. Invariant: rules are only ever shown decoded
//! paths without dot segments, so that no spelling gets around them.

use super::path::{CleanPath, Fault, NAME_BYTES, PATH_BYTES};
use super::text::Text;

/// The longest path that a rule is asked about: a slash at either end, and the name of an index.
pub(super) const ROOM_BYTES: usize = PATH_BYTES + NAME_BYTES + 2;

/// A path and what is shown for it.
#[derive(Debug)]
pub(super) struct Asked {
    /// The names, for the walk.
    pub(super) clean: CleanPath,
    text: Text<ROOM_BYTES>,
    /// So much of the text was asked for; behind it stands the name of the index.
    asked: usize,
}

impl Asked {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self {
            clean: CleanPath::new(),
            text: Text::new(),
            asked: 0,
        }
    }

    /// Decodes the path of a target, in place of the one before.
    ///
    /// # Errors
    /// As [`CleanPath::parse`]; then it is of no use.
    pub(super) fn read(&mut self, path: &[u8]) -> Result<(), Fault> {
        self.clean.read(path)?;
        self.text.truncate(0);
        let names = self.clean.as_bytes();
        let slash: &[u8] = match self.clean.is_directory() && !names.is_empty() {
            true => b"/",
            false => b"",
        };
        for part in [b"/", names, slash] {
            self.text.push(part).map_err(|_| Fault::TooLong)?;
        }
        self.asked = self.text.len();
        Ok(())
    }

    /// The path: `/`, `/a/b` or, of a directory, `/a/b/`.
    pub(super) fn path(&self) -> &[u8] {
        self.text.as_bytes().get(..self.asked).unwrap_or_default()
    }

    /// The path of what is shown for it: the same, or that of the index.
    pub(super) fn shown(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Another path of the site is shown, names from the root.
    pub(super) fn show_instead(&mut self, names: &[u8]) {
        // The path that was asked for is not asked about any more.
        self.text.truncate(1);
        self.asked = 1;
        // It fits: ROOM_BYTES.
        let _ = self.text.push(names);
        self.asked = self.text.len();
    }

    /// A file of this name in the directory is shown.
    pub(super) fn show(&mut self, index: &[u8]) {
        self.text.truncate(self.asked);
        // It fits: ROOM_BYTES.
        let _ = self.text.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        let mut asked = Asked::new();
        for (target, path) in [
            ("/", "/"),
            ("//", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/%61//b", "/a/b"),
        ] {
            asked.read(target.as_bytes()).unwrap();
            assert_eq!(asked.path(), path.as_bytes(), "{target}");
            assert_eq!(asked.shown(), path.as_bytes());
            asked.show(b"x");
            asked.show(b"index.html");
            assert_eq!(asked.path(), path.as_bytes());
            assert_eq!(asked.shown(), [path.as_bytes(), b"index.html"].concat());
        }
    }

    #[test]
    fn the_longest_path_and_the_longest_index_fit() {
        let target = "/x".repeat(PATH_BYTES / 2);
        let mut asked = Asked::new();
        asked.read(target.as_bytes()).unwrap();
        asked.show(&[b'i'; NAME_BYTES]);
        assert_eq!(asked.shown().len(), asked.path().len() + NAME_BYTES);
    }
}
