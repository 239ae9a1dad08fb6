//! Where values of a configuration file stand, so that a fault found later still names its line.
//!
//! Owns [`Origins`]. It must not judge a value. Invariant: it holds what stands in a file and still
//! counts; what the command line replaced is forgotten.

use super::StartError;
use std::path::{Path, PathBuf};

/// The places of what a file gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    file: Option<PathBuf>,
    keys: Vec<Origin>,
}

/// The place of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `linger.idle_ms`, or `sites.cam.root`.
    pub name: String,
    /// `FILE:LINE`
    pub place: String,
    /// What stands in a list, each with its place.
    pub elements: Vec<(String, String)>,
}

impl Origin {
    /// The place of the last element that `what` is about; else that of the key.
    fn place_of(&self, what: &str) -> &str {
        let what = what.to_ascii_lowercase();
        let names = |element: &str| {
            let element = element.to_ascii_lowercase();
            let begins = |word: &str| what.strip_prefix(word).is_some_and(|r| r.starts_with(' '));
            what.contains(&format!("\"{element}\""))
                || begins(&element)
                || element.split(' ').next().is_some_and(begins)
        };
        let mut elements = self.elements.iter().rev();
        let found = elements.find(|(element, _)| names(element));
        found.map_or(&self.place, |(_, place)| place)
    }
}

impl Origins {
    /// The file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The keys that the file gave and nobody else, in its order: `site.root`, `sites.cam.root`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|origin| origin.name.as_str())
    }

    /// From this file the values come.
    pub(super) fn begin(&mut self, file: &Path) {
        self.file = Some(file.to_owned());
    }

    /// A key stands there.
    pub(super) fn add(&mut self, origin: Origin) {
        self.keys.push(origin);
    }

    /// The key was given again, elsewhere.
    pub(super) fn forget(&mut self, name: &str) {
        self.keys.retain(|origin| origin.name != name);
    }

    /// The fault with the line of the file, if its place is a key of it, or if it names one.
    #[must_use]
    pub fn locate(&self, error: StartError) -> StartError {
        let named = error
            .what
            .split(|c: char| c.is_whitespace() || c == '=' || c == ',');
        let mut names = std::iter::once(error.place.as_str()).chain(named);
        let found = names.find_map(|name| self.keys.iter().find(|origin| origin.name == name));
        // What a site lacks is told where the site begins.
        let site = error
            .place
            .rsplit_once('.')
            .filter(|_| error.place.starts_with("sites."));
        let begins = |(site, _): (&str, &str)| {
            let inside = |o: &&Origin| {
                o.name
                    .strip_prefix(site)
                    .is_some_and(|r| r.starts_with('.'))
            };
            self.keys.iter().find(inside)
        };
        let Some(origin) = found.or_else(|| site.and_then(begins)) else {
            return error;
        };
        let place = origin.place_of(&error.what).to_owned();
        let what = if error.what.contains(&error.place) {
            error.what
        } else {
            format!("{}: {}", error.place, error.what).into()
        };
        StartError {
            place,
            what,
            ..error
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(place: &str, what: &str) -> String {
        let mut origins = Origins::default();
        for (name, line, elements) in [
            ("site.hosts", 3, &[("A.lan", 3), ("b.lan", 4)][..]),
            ("site.aliases", 6, &[("/a /srv/a", 7), ("/a /srv/b", 8)][..]),
            ("linger.total_ms", 9, &[][..]),
        ] {
            let at = |line: i32| format!("f:{line}");
            origins.add(Origin {
                name: name.to_owned(),
                place: at(line),
                elements: elements
                    .iter()
                    .map(|(e, l)| ((*e).to_owned(), at(*l)))
                    .collect(),
            });
        }
        origins
            .locate(StartError::configuration(place, what.to_owned(), "cure"))
            .to_string()
    }

    #[test]
    fn a_fault_gets_the_line_of_its_key_or_of_the_element_it_is_about() {
        for (place, what, line) in [
            (
                "site.hosts",
                "\"a.lan\" is no host",
                "f:3: site.hosts: \"a.lan\" is no host; cure",
            ),
            (
                "site.hosts",
                "b.lan is twice",
                "f:4: site.hosts: b.lan is twice; cure",
            ),
            (
                "site.aliases",
                "/a is given twice",
                "f:8: site.aliases: /a is given twice; cure",
            ),
            (
                "linger.idle_ms",
                "linger.idle_ms must not exceed linger.total_ms",
                "f:9: linger.idle_ms must not exceed linger.total_ms; cure",
            ),
            (
                "site.root",
                "it is not there",
                "site.root: it is not there; cure",
            ),
        ] {
            assert_eq!(located(place, what), line);
        }
    }
}
