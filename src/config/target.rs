//! What the name of a key stands for.
//!
//! Owns [`Target`], and which names a site may have. It must not know values. Invariant: a target
//! of a named site has a key of sites.

use super::fault::Fault;
use super::keys::{self, Key};

/// What a name stands for: a key, and the named site whose key it is.
#[derive(Clone, Debug)]
pub struct Target {
    /// The named site; none for the server and its default site.
    pub site: Option<String>,
    /// The key.
    pub key: &'static Key,
}

impl Target {
    /// The name as it is written.
    #[must_use]
    pub fn name(&self) -> String {
        let short = self.key.name.strip_prefix("site.");
        match (&self.site, short) {
            (Some(site), Some(short)) => format!("sites.{site}.{short}"),
            (Some(_) | None, _) => self.key.name.to_owned(),
        }
    }

    /// What `linger.idle_ms` or `sites.cam.root` stands for.
    ///
    /// # Errors
    /// An unknown key, or a name that no site may have.
    pub fn named(name: &str) -> Result<Self, Fault> {
        let (site, full) = match named_site(name) {
            None => (None, name.to_owned()),
            Some((site, key)) if is_site_name(site) => (Some(site), format!("site.{key}")),
            Some((site, _)) => {
                let what = format!("\"{site}\" is no name for a site");
                let cure = "write sites.NAME.KEY, the name of 1 to 32 letters, digits, - and _";
                return Err(Fault::new(what, cure));
            }
        };
        match keys::find(&full).filter(|key| site.is_none() || key.is_of_site()) {
            Some(key) => Ok(Self {
                site: site.map(str::to_owned),
                key,
            }),
            None => {
                // Of a named site it is said as it was given.
                let spelt = |name: &str| match (site, name.strip_prefix("site.")) {
                    (Some(site), Some(key)) => format!("sites.{site}.{key}"),
                    (_, _) => name.to_owned(),
                };
                let near = keys::nearest(&full).filter(|key| site.is_none() || key.is_of_site());
                let list = "adieu --help lists the keys";
                let cure = near.map_or_else(
                    || list.to_owned(),
                    |key| format!("did you mean {}? {list}", spelt(key.name)),
                );
                let what = format!("there is no key {}", spelt(&full));
                Err(Fault::new(what, cure))
            }
        }
    }
}

/// `sites.NAME.KEY` as name and key.
fn named_site(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("sites.")?.split_once('.')
}

/// The longest name of a site, bytes.
const SITE_NAME_BYTES: usize = 32;

fn is_site_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=SITE_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain)
}
