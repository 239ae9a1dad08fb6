//! What a key is, and how far a mistyped name lies from one.
//!
//! Owns [`Key`] and the edit distance. It must not hold the table: that is `keys`. Invariant: a key
//! is changed and read only through its own pair of functions.

use super::field::Field;
use super::value::{Kind, Value};
use super::{Config, SiteConfig};

/// The key whose words have no case.
const HOSTS: &str = "site.hosts";

/// What makes a changed value hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// A reload is enough.
    Reload,
    /// It sizes or opens something at start: only a restart.
    Restart,
}

impl Apply {
    /// The word in help and manual.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
        }
    }
}

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Section and name, with the unit last: `linger.idle_ms`.
    pub name: &'static str,
    /// Unit and bounds of its values.
    pub kind: Kind,
    /// What it means, in one line of at most 72 columns.
    pub meaning: &'static str,
    /// Why the bounds are where they are, if that surprises; empty otherwise.
    pub why: &'static str,
    /// What makes a changed value hold.
    pub apply: Apply,
    pub(super) place: Place,
}

/// Where a key's value stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Once for the server.
    Server {
        own: fn(&mut Config) -> &mut dyn Field,
        seen: fn(&Config) -> &dyn Field,
    },
    /// Once for each site.
    Site {
        own: fn(&mut SiteConfig) -> &mut dyn Field,
        seen: fn(&SiteConfig) -> &dyn Field,
    },
}

impl Key {
    /// Writes a value of this key's kind into `config`; one of a site into the default site. `None`
    /// when it does not fit; after [`Kind::parse`] of the same key it does.
    pub fn set(&self, config: &mut Config, value: Value) -> Option<()> {
        match self.place {
            Place::Server { own, .. } => own(config).take(value),
            Place::Site { .. } => self.set_of(&mut config.site, value),
        }
    }

    /// The value in `config`; displayed as `--set` takes it.
    #[must_use]
    pub fn value(&self, config: &Config) -> Value {
        match self.place {
            Place::Server { seen, .. } => seen(config).give(self.kind),
            Place::Site { seen, .. } => seen(&config.site).give(self.kind),
        }
    }

    /// Each site has a value of its own.
    #[must_use]
    pub fn is_of_site(&self) -> bool {
        matches!(self.place, Place::Site { .. })
    }

    /// As [`Key::set`], for one site. `None` too for a key of the server.
    pub fn set_of(&self, site: &mut SiteConfig, value: Value) -> Option<()> {
        match self.place {
            Place::Server { .. } => None,
            Place::Site { own, .. } => {
                let mut value = value;
                if let (Value::Words(names), HOSTS) = (&mut value, self.name) {
                    names
                        .iter_mut()
                        .for_each(|name| name.make_ascii_lowercase());
                }
                own(site).take(value)
            }
        }
    }

    /// As [`Key::value`], for one site. `None` for a key of the server.
    #[must_use]
    pub fn value_of(&self, site: &SiteConfig) -> Option<Value> {
        match self.place {
            Place::Server { .. } => None,
            Place::Site { seen, .. } => Some(seen(site).give(self.kind)),
        }
    }
}

/// Edit distance (Levenshtein), bytes.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b.bytes()) {
            let replaced = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = replaced
                .min(diagonal.saturating_add(1))
                .min(left.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        for (a, b, edits) in [
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("", "", 0),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), edits);
            assert_eq!(distance(b, a), edits);
        }
    }
}
