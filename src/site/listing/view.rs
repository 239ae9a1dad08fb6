//! What may be shown of a directory.
//!
//! Owns the directory's identity and the question put to each name. It must not read a directory or
//! open a file. Invariant: two listings have the same home only if every name means the same in
//! both.

use crate::config::Dotfiles;
use crate::site::names::Name;
use crate::site::path::is_hidden_name;
use crate::site::text::Text;
use crate::site::walk::Tree;
use crate::site::work::Place;
use crate::sys::file::Stat;
use std::os::fd::BorrowedFd;

/// The longest way to a directory whose links are shown, bytes. It is kept to resolve them.
pub(super) const WAY_BYTES: usize = 208;

/// Says of names whether and as what they are shown.
pub(in crate::site) trait View {
    /// The name stays out of sight.
    fn hides(&self, home: &Home, name: &[u8]) -> bool;

    /// What the name is, or leads to; nothing if that is not to be shown.
    fn look(&self, home: &Home, directory: BorrowedFd<'_>, name: &Name) -> Option<Stat>;
}

/// The site's own policies.
#[derive(Debug)]
pub(in crate::site) struct Policy<'s> {
    /// Where links may lead.
    pub(in crate::site) tree: Tree<'s>,
    /// Whether names with a dot are shown.
    pub(in crate::site) dotfiles: Dotfiles,
}

impl View for Policy<'_> {
    fn hides(&self, home: &Home, name: &[u8]) -> bool {
        let known = home.is_root && name == b".well-known";
        self.dotfiles == Dotfiles::Hide && is_hidden_name(name) && !known
    }

    fn look(&self, home: &Home, directory: BorrowedFd<'_>, name: &Name) -> Option<Stat> {
        self.tree.look(directory, home.way(), name).ok()
    }
}

/// Which directory it is, and how it was reached.
#[derive(Clone, Debug)]
pub(in crate::site) struct Home {
    /// Whose policy it is shown by.
    place: Place,
    device: u64,
    inode: u64,
    /// The request named the root.
    is_root: bool,
    /// The names from the root; none if they are too long.
    way: Option<Text<WAY_BYTES>>,
}

impl Home {
    /// No directory.
    pub(super) const NOWHERE: Self = Self {
        place: Place { host: 0, root: 0 },
        device: 0,
        inode: 0,
        is_root: false,
        way: None,
    };

    /// The directory of this state, reached by this way from the root of this place.
    pub(super) fn new(place: Place, stat: &Stat, is_root: bool, way: &[u8]) -> Self {
        let mut kept = Text::new();
        Self {
            place,
            device: stat.device,
            inode: stat.inode,
            is_root,
            way: kept.push(way).is_ok().then_some(kept),
        }
    }

    /// The names from the root to it, if they are known.
    pub(super) fn way(&self) -> Option<&[u8]> {
        self.way.as_ref().map(Text::as_bytes)
    }

    /// It is the same one, reached in the same way.
    pub(super) fn is(&self, other: &Self) -> bool {
        let number = |home: &Self| (home.device, home.inode, home.is_root);
        self.place == other.place && number(self) == number(other) && self.way() == other.way()
    }
}
