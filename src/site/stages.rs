//! Which roots of a site take uploads, and what must be there before they do.
//!
//! Owns the start of uploads: the directories where they grow, and what of the configuration the
//! file system contradicts. It must not answer anything. Invariant: nothing is made beneath a root
//! that no rule leads to.

use super::host::Host;
use super::walk::Found;
use crate::config::pattern::Pattern;
use crate::config::{StartError, UploadRule};
use crate::sys::file::Identity;
use std::os::fd::AsFd;

impl Host {
    /// Makes the directories where uploads grow, beneath each root that a rule leads to.
    ///
    /// # Errors
    /// One of the directories cannot be had.
    pub(super) fn open_stages(&mut self) -> Result<(), StartError> {
        let key = self.uploads_key.clone();
        for place in (0..).take(self.aliases.len().saturating_add(1)) {
            if self.uploads.iter().any(|rule| self.leads_to(rule, place)) {
                if let Some(root) = self.root_mut(place) {
                    root.open_stage(&key)?;
                }
            }
        }
        Ok(())
    }

    /// Looks whether the rules can be kept, without making anything.
    ///
    /// # Errors
    /// A rule is about another file system than its root's.
    pub(super) fn look_at_rules(&self) -> Result<(), StartError> {
        let key = &self.uploads_key;
        let apart = self.uploads.iter().find(|rule| self.is_apart(rule));
        match apart {
            None => Ok(()),
            Some(UploadRule { pattern, .. }) => {
                let what = format!("{pattern} lies on another file system than its root");
                let cure = format!("name its directory in aliases, beneath {pattern}");
                Err(StartError::configuration(key, what, cure))
            }
        }
    }

    /// The directories where uploads grow.
    pub(super) fn stages(&self) -> impl Iterator<Item = Identity> {
        let roots = self.aliases.iter().map(|(_, root)| root);
        let stages = roots
            .chain([&self.root])
            .filter_map(|root| root.stage.as_ref());
        stages.map(super::stage::Stage::identity)
    }

    /// Leads nobody into these directories.
    pub(super) fn hide(&mut self, hidden: &[Identity]) {
        for (_, alias) in &mut self.aliases {
            alias.hide(hidden);
        }
        self.root.hide(hidden);
    }

    /// A path that the rule is about can lie beneath this root.
    pub(super) fn leads_to(&self, rule: &UploadRule, place: u16) -> bool {
        let (above, front) = front(&rule.pattern);
        if self.place(&above).0 == place {
            return true;
        }
        let alias = place.checked_sub(1).map(usize::from);
        let alias = alias.and_then(|index| self.aliases.get(index));
        alias.is_some_and(|(names, _)| [b"/", names.as_slice(), b"/"].concat().starts_with(&front))
    }

    /// The directory that the rule names is mounted beneath its root.
    fn is_apart(&self, rule: &UploadRule) -> bool {
        let (above, _) = front(&rule.pattern);
        let (place, names) = self.place(&above);
        let Some(root) = self.root_at(place) else {
            return false;
        };
        let mut walk = root.tree(self.symlinks).walk();
        let Ok(Found::Directory) = walk.open(names, b"") else {
            return false;
        };
        let reached = walk.keep().ok();
        let state = reached.and_then(|reached| Identity::of(reached.as_fd()).ok());
        state
            .zip(root.identity())
            .is_some_and(|(state, own)| !own.is_beside(state))
    }
}

/// The names of the directory above all paths that a pattern is about, and how each of them
/// begins.
pub(super) fn front(pattern: &Pattern) -> (Vec<u8>, Vec<u8>) {
    let (mut front, starred) = pattern.front();
    if !starred && !front.ends_with(b"/") {
        front.push(b'/');
    }
    let slash = front.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let above = front.get(1..slash).unwrap_or_default().to_vec();
    (above, front)
}

#[cfg(test)]
mod tests {
    use super::front;
    use crate::config::UploadRule;
    use crate::config::pattern::Pattern;
    use crate::config::rules::Rule as _;
    use crate::site::Site;
    use crate::site::tests::{Folder, config_with};
    use crate::site::upload::BUILT;

    #[test]
    fn the_front_of_a_pattern_is_a_directory() {
        for (pattern, above, begins) in [
            ("/", "", "/"),
            ("/a", "a", "/a/"),
            ("/a/", "a", "/a/"),
            ("/a/b", "a/b", "/a/b/"),
            ("/a/*", "a", "/a/"),
            ("/a/b*", "a", "/a/b"),
            ("/a*/b", "", "/a"),
            ("/*", "", "/"),
            ("*", "", ""),
            ("*.jpg", "", ""),
        ] {
            let (found, front) = front(&Pattern::parse(pattern).unwrap());
            let expected = (above.as_bytes(), begins.as_bytes());
            assert_eq!((&*found, &*front), expected, "{pattern}");
        }
    }

    #[test]
    fn a_build_without_uploads_refuses_their_rules() {
        let folder = Folder::new();
        let config = |lines: &[&str]| {
            config_with(&folder.path(""), |site| {
                let rules = lines.iter().map(|line| UploadRule::parse(line).unwrap());
                site.uploads = rules.collect();
            })
        };
        assert!(Site::new(&config(&[])).is_ok());
        let made = Site::new(&config(&["/inbox 1"]));
        assert_eq!(made.is_ok(), BUILT);
        assert_eq!(folder.path(".adieu-uploads").exists(), BUILT);
        if let Err(error) = made {
            assert!(error.what.contains("this build"), "{error}");
        }
    }
}
