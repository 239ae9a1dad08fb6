//! What a site asks for and this build does not have.
//!
//! Owns the keys of sites that need a part of the program, and what is said where it was left out.
//! It must not know how a part works. Invariant: no such key is passed over in silence; each is
//! refused by its own name, that of its site included.

use super::{listing, script, upload};
use crate::config::{Config, SiteConfig, StartError};
use crate::helper;

/// A part that may be left out.
struct Part {
    feature: &'static str,
    built: bool,
    /// The key of a site that needs it.
    key: &'static str,
    /// The site has that key.
    wanted: fn(&SiteConfig) -> bool,
    what: &'static str,
    /// How else the key is cured, around its name.
    otherwise: [&'static str; 2],
}

/// Rules are taken away.
const AWAY: [&str; 2] = ["take ", " away"];

const PARTS: [Part; 4] = [
    Part {
        feature: "auth",
        built: helper::BUILT,
        key: "auth",
        wanted: |site| !site.auth.is_empty(),
        what: "this build has no helper that looks at passwords",
        otherwise: AWAY,
    },
    Part {
        feature: "cgi",
        built: script::BUILT,
        key: "scripts",
        wanted: |site| !site.scripts.is_empty(),
        what: "this build runs no scripts",
        otherwise: AWAY,
    },
    Part {
        feature: "upload",
        built: upload::BUILT,
        key: "uploads",
        wanted: |site| !site.uploads.is_empty(),
        what: "this build takes no uploads",
        otherwise: AWAY,
    },
    Part {
        feature: "listing",
        built: listing::BUILT,
        key: "listing",
        wanted: |site| site.listing,
        what: "this build lists no directories",
        otherwise: ["set ", " to off"],
    },
];

/// Looks whether this build has all that the sites ask for.
///
/// # Errors
/// A part is missing: the first key that needs it.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    PARTS
        .iter()
        .filter(|part| !part.built)
        .try_for_each(|part| part.refuse(config))
}

impl Part {
    /// Refuses the key, wherever it stands.
    fn refuse(&self, config: &Config) -> Result<(), StartError> {
        // Named sites begin as the default one is.
        let section = match (self.wanted)(&config.site) {
            true => "site".to_owned(),
            false => {
                let mut named = config.sites.iter();
                match named.find(|named| (self.wanted)(&named.site)) {
                    Some(named) => format!("sites.{}", named.name),
                    None => return Ok(()),
                }
            }
        };
        let Self { feature, key, .. } = self;
        let [before, behind] = self.otherwise;
        let cure =
            format!("build adieu with the feature {feature}, or {before}{section}.{key}{behind}");
        Err(StartError::configuration(
            format!("{section}.{key}"),
            self.what,
            cure,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rules::Rule as _;
    use crate::config::{AuthRule, NamedSite, ScriptRule, UploadRule};

    type Change = fn(&mut SiteConfig);

    /// The default site, or one named cam.
    fn config(of_cam: bool, change: Change) -> Config {
        let mut config = Config::default();
        if of_cam {
            let mut site = config.site.clone();
            change(&mut site);
            let name = "cam".to_owned();
            config.sites.push(NamedSite { name, site });
        } else {
            change(&mut config.site);
        }
        config
    }

    #[test]
    fn each_part_that_is_missing_is_named_with_the_key_that_needs_it() {
        let cases: [(Change, &str); 4] = [
            (
                |site| site.auth = vec![AuthRule::parse("/ * /u R").unwrap()],
                "SITE.auth: this build has no helper that looks at passwords; build adieu with the \
                 feature auth, or take SITE.auth away",
            ),
            (
                |site| site.scripts = vec![ScriptRule::parse("/cgi-bin").unwrap()],
                "SITE.scripts: this build runs no scripts; build adieu with the feature cgi, or \
                 take SITE.scripts away",
            ),
            (
                |site| site.uploads = vec![UploadRule::parse("/in 1").unwrap()],
                "SITE.uploads: this build takes no uploads; build adieu with the feature upload, \
                 or take SITE.uploads away",
            ),
            (
                |site| site.listing = true,
                "SITE.listing: this build lists no directories; build adieu with the feature \
                 listing, or set SITE.listing to off",
            ),
        ];
        for (part, (change, line)) in PARTS.iter().zip(cases) {
            assert!(part.refuse(&Config::default()).is_ok());
            for (of_cam, section) in [(false, "site"), (true, "sites.cam")] {
                let config = config(of_cam, change);
                let error = part.refuse(&config).unwrap_err();
                assert_eq!(error.to_string(), line.replace("SITE", section));
                assert_eq!(check(&config).is_ok(), part.built, "{}", part.key);
            }
        }
    }
}
