//! What a new configuration changes, and what that takes.
//!
//! Owns the comparison that a reload rests on. It must not apply anything. Invariant: a key is
//! named once at most, in the order of the table, and none is left out whose value differs for the
//! server or for any site.

use super::keys::{Apply, KEYS, Key};
use super::{Config, NamedSite, SiteConfig};

/// Keys whose values differ.
#[derive(Debug, Default)]
pub struct Changes {
    /// A reload applies them.
    pub reload: Vec<&'static Key>,
    /// They hold after a restart.
    pub restart: Vec<&'static Key>,
}

impl Changes {
    /// Nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reload.is_empty() && self.restart.is_empty()
    }
}

/// The keys whose values differ between two configurations, those of named sites included. A site
/// that is new or gone differs in its hosts and in whatever it has other than the default site.
///
/// Compare what [`Draft::finish`](super::Draft::finish) made, or a derived value counts as changed.
#[must_use]
pub fn changed(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    for key in KEYS {
        let differs = key.value(old) != key.value(new)
            || key.is_of_site() && (sites_differ(key, old, new) || sites_differ(key, new, old))
            || key.name == "site.hosts" && !names(old).eq(names(new));
        match key.apply {
            _ if !differs => (),
            Apply::Reload => changes.reload.push(key),
            Apply::Restart => changes.restart.push(key),
        }
    }
    changes
}

/// A named site of `one` has another value for this key than in `other`.
fn sites_differ(key: &Key, one: &Config, other: &Config) -> bool {
    one.sites.iter().any(|named| {
        let counterpart = site(other, &named.name).unwrap_or(&one.site);
        key.value_of(&named.site) != key.value_of(counterpart)
    })
}

fn site<'c>(config: &'c Config, name: &str) -> Option<&'c SiteConfig> {
    let found = config.sites.iter().find(|named| named.name == name);
    found.map(|named| &named.site)
}

/// The names of the sites, in their order.
fn names(config: &Config) -> impl Iterator<Item = &String> {
    config.sites.iter().map(|NamedSite { name, .. }| name)
}

#[cfg(test)]
mod tests {
    use super::super::value::{Kind, Value};
    use super::super::{Draft, Sizes};
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let mut draft = Draft::new();
        for (name, text) in pairs {
            draft.set(name, text, "test").unwrap();
        }
        draft.finish(&Sizes::default()).unwrap().config
    }

    fn names_of(keys: &[&'static Key]) -> Vec<&'static str> {
        keys.iter().map(|key| key.name).collect()
    }

    /// Another value than this one.
    fn other(kind: Kind, value: &Value) -> Value {
        match (kind, value) {
            (Kind::Number { unit, min, max }, Value::Number(n, _)) => {
                Value::Number(if *n == min { max } else { min }, unit)
            }
            (Kind::Switch, Value::Switch(on)) => Value::Switch(!on),
            (Kind::Choice(words), Value::Choice(word)) => {
                Value::Choice(words.iter().find(|w| *w != word).unwrap())
            }
            (Kind::Lines(rule), _) => Value::Lines(vec![rule.example().to_owned()]),
            (Kind::Networks, _) => kind.parse("10.0.0.0/8").unwrap(),
            (Kind::Listen, _) => kind.parse("81").unwrap(),
            (Kind::Mode, _) => kind.parse("0606").unwrap(),
            (kind, _) => kind.parse("else").unwrap(),
        }
    }

    #[test]
    fn every_key_is_found_and_goes_where_the_table_says() {
        let old = config(&[]);
        for key in KEYS {
            let mut new = old.clone();
            let value = other(key.kind, &key.value(&old));
            key.set(&mut new, value).unwrap();
            for changes in [changed(&old, &new), changed(&new, &old)] {
                let (here, there) = match key.apply {
                    Apply::Reload => (changes.reload, changes.restart),
                    Apply::Restart => (changes.restart, changes.reload),
                };
                assert_eq!((names_of(&here), there.len()), (vec![key.name], 0));
            }
        }
        assert!(changed(&old, &old).is_empty());
    }

    #[test]
    fn every_key_of_a_named_site_is_found() {
        let old = config(&[("sites.cam.hosts", "cam.lan")]);
        for key in KEYS.iter().filter(|key| key.is_of_site()) {
            let mut new = old.clone();
            let named = &mut new.sites[0].site;
            let value = other(key.kind, &key.value_of(named).unwrap());
            key.set_of(named, value).unwrap();
            assert_eq!(names_of(&changed(&old, &new).reload), [key.name]);
        }
    }

    #[test]
    fn sites_that_come_go_or_change_places_are_found() {
        let (a, b) = (("sites.a.hosts", "a"), ("sites.b.hosts", "b"));
        for (old, new, keys) in [
            (&[][..], &[a][..], &["site.hosts"][..]),
            (&[a], &[a, b], &["site.hosts"]),
            (&[a, b], &[b, a], &["site.hosts"]),
            (&[a, b], &[a, b], &[]),
            (
                &[a],
                &[a, b, ("sites.b.listing", "on")],
                &["site.hosts", "site.listing"],
            ),
            // The same value by another way.
            (
                &[a, ("site.index", "x")],
                &[a, ("site.index", "x"), ("sites.a.index", "x")],
                &[],
            ),
        ] {
            let (old, new) = (config(old), config(new));
            assert_eq!(names_of(&changed(&old, &new).reload), keys);
            assert_eq!(names_of(&changed(&new, &old).reload), keys);
        }
    }

    #[test]
    fn what_is_derived_changes_with_what_it_is_derived_from() {
        let changes = changed(&config(&[]), &config(&[("memory.connections", "64")]));
        assert_eq!(
            names_of(&changes.restart),
            ["memory.connections", "memory.buffers"]
        );
        assert_eq!(
            names_of(&changes.reload),
            ["limits.connections_per_address"]
        );
    }
}
