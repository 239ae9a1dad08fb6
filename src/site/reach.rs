//! What of the file system the sites need: directories to read from, and those to change.
//!
//! Owns the list, made by the very walk that requests take, so that it knows the same links. It
//! must not grant anything. Invariants: nothing is made; only directories that a rule of uploads
//! leads to are named for changes, or, where there is none yet, the one above it.

use super::Site;
use super::host::Host;
use super::stage::Stage;
use super::stages::front;
use super::walk::{Found, Refusal};
use std::io;
use std::os::fd::OwnedFd;

/// A directory that a site needs.
#[derive(Debug)]
pub struct Reach {
    /// It, open by name alone.
    pub at: OwnedFd,
    /// What is done beneath it.
    pub need: Need,
    /// Where it stands in the configuration: `sites.cam.root`.
    pub key: String,
    /// Its name, for people.
    pub shown: String,
}

/// What is done beneath a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Files are read.
    Read,
    /// Files change.
    Change,
    /// That, and a directory is made.
    Make,
}

/// Takes one; false: that is enough.
type Each<'e> = &'e mut dyn FnMut(Reach) -> bool;

impl Site {
    /// Gives `each` everything that the sites need, until that says false. One by one, for each is
    /// a descriptor.
    ///
    /// # Errors
    /// Directories cannot be opened: EMFILE, ENOMEM, EIO.
    pub fn reach(&self, each: Each<'_>) -> io::Result<()> {
        for host in self.named.iter().chain([&self.default]) {
            if !host.reach(each)? {
                break;
            }
        }
        Ok(())
    }
}

impl Host {
    fn reach(&self, each: Each<'_>) -> io::Result<bool> {
        let section = self.uploads_key.strip_suffix("uploads").unwrap_or_default();
        for place in (0..).take(self.aliases.len().saturating_add(1)) {
            let Some(root) = self.root_at(place) else {
                continue;
            };
            let key = format!("{section}{}", if place == 0 { "root" } else { "aliases" });
            let shown = String::from_utf8_lossy(root.canonical()).into_owned();
            let at = root.tree(self.symlinks).root.try_clone_to_owned()?;
            let read = Reach {
                at,
                need: Need::Read,
                key,
                shown: format!("{shown}/"),
            };
            let beneath = |rule| self.leads_to(rule, place);
            let stage = match self.uploads.iter().any(beneath) {
                true => self.reach_of_stage(place)?,
                false => None,
            };
            if !each(read) || !stage.is_none_or(&mut *each) {
                return Ok(false);
            }
        }
        for rule in &self.uploads {
            let (above, begins) = front(&rule.pattern);
            // Aliases beneath it as a whole, and the directory that it names.
            let wholes = (1..)
                .zip(&self.aliases)
                .filter(|(_, (names, _))| begins_with(names, &begins));
            let wholes = wholes.map(|(place, _)| (place, &b""[..]));
            for (place, names) in wholes.chain([self.place(&above)]) {
                let Some(at) = self.nearest(place, names)? else {
                    continue;
                };
                let changed = Reach {
                    at,
                    need: Need::Change,
                    key: self.uploads_key.clone(),
                    shown: rule.pattern.to_string(),
                };
                if !each(changed) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The directory where uploads grow; where it is not there yet, or is gone, the one in which it
    /// is made.
    fn reach_of_stage(&self, place: u16) -> io::Result<Option<Reach>> {
        let Some(root) = self.root_at(place) else {
            return Ok(None);
        };
        let above = root.tree(self.symlinks).root;
        let named = match &root.stage {
            Some(stage) => stage.name_again(above),
            None => Stage::name(above),
        };
        let (at, need) = match named {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (above.try_clone_to_owned()?, Need::Make)
            }
            at => (at?, Need::Change),
        };
        let root = String::from_utf8_lossy(root.canonical()).into_owned();
        Ok(Some(Reach {
            at,
            need,
            key: self.uploads_key.clone(),
            shown: format!("{root}/{}", Stage::NAME),
        }))
    }

    /// The directory of these names, or the nearest above it that is there.
    fn nearest(&self, place: u16, names: &[u8]) -> io::Result<Option<OwnedFd>> {
        let Some(root) = self.root_at(place) else {
            return Ok(None);
        };
        let mut names = names;
        loop {
            let mut walk = root.tree(self.symlinks).walk();
            match walk.open(names, b"") {
                Ok(Found::Directory) => return entered(walk.keep()),
                // None of this name, or no directory: one may be made above it.
                Ok(Found::File(_)) | Err(Refusal::Missing) if !names.is_empty() => {}
                Ok(Found::File(_)) => return Ok(None),
                Err(refusal) => return entered(Err(refusal)),
            }
            let slash = names.iter().rposition(|b| *b == b'/').unwrap_or(0);
            names = names.get(..slash).unwrap_or_default();
        }
    }
}

/// The directory, unless nothing is there, or nobody may enter it: that takes no uploads either.
/// Nor does what links lead out of the root to.
fn entered(kept: Result<OwnedFd, Refusal>) -> io::Result<Option<OwnedFd>> {
    match kept {
        Ok(directory) => Ok(Some(directory)),
        Err(Refusal::Missing | Refusal::Forbidden) => Ok(None),
        Err(Refusal::Busy) => Err(io::Error::other("the system lacks descriptors or memory")),
        Err(Refusal::Broken) => Err(io::Error::other("the file system cannot be read")),
    }
}

/// The alias of these names lies beneath what begins so.
fn begins_with(names: &[u8], begins: &[u8]) -> bool {
    [b"/", names, b"/"].concat().starts_with(begins)
}
