//! Values that contradict each other.
//!
//! Owns the checks between keys, and those of lists whose words only the whole shows to be wrong.
//! It must not change a value. Invariant: what passes here can be served; whether the directories
//! are there is found out when they are opened.

use super::error::Text;
use super::logs::{LogTarget, TARGETS};
use super::pattern::Pattern;
use super::{
    AccessFormat, Coding, Config, Dotfiles, SiteConfig, StartError, rules, service, status,
};
use crate::connection::limits::REPLY_ROOM_BYTES;
use std::path::PathBuf;

/// The smallest buffer in which every part of a listing finds room, the framing of its chunk
/// included.
const LISTING_BUFFER_BYTES: u16 = 4352;

/// A contradiction: the key, the fault, the cure.
pub(super) struct Contradiction {
    pub(super) place: String,
    pub(super) what: Text,
    pub(super) cure: Text,
}

impl Contradiction {
    pub(super) fn new(
        place: impl AsRef<str>,
        what: impl Into<Text>,
        cure: impl Into<Text>,
    ) -> Self {
        Self {
            place: place.as_ref().to_owned(),
            what: what.into(),
            cure: cure.into(),
        }
    }
}

impl Config {
    /// Looks once more for values that contradict each other, in a configuration that was put
    /// together from two.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn verify(&self) -> Result<(), StartError> {
        match contradiction(self) {
            None => Ok(()),
            Some(Contradiction { place, what, cure }) => {
                Err(StartError::configuration(place, what, cure))
            }
        }
    }
}

/// The first contradiction between two values, or a value that makes no sense.
pub(super) fn contradiction(config: &Config) -> Option<Contradiction> {
    of_limits(config)
        .or_else(|| of_addresses(config))
        .or_else(|| of_logs(config))
        .or_else(|| service::contradiction(config))
        .or_else(|| status::contradiction(config))
        .or_else(|| of_site("site", &config.site, config))
        .or_else(|| {
            let mut sites = config.sites.iter();
            sites.find_map(|named| {
                let section = format!("sites.{}", named.name);
                of_hosts(&section, &named.site, config)
                    .or_else(|| of_site(&section, &named.site, config))
            })
        })
}

fn of_limits(config: &Config) -> Option<Contradiction> {
    let what = config.limits.contradiction(config.buffer_bytes.into())?;
    let place = what.split_whitespace().next().unwrap_or("limits");
    let cure = "lower the first or raise the second";
    Some(Contradiction::new(place, what, cure))
}

fn of_addresses(config: &Config) -> Option<Contradiction> {
    let at =
        |what: String, cure: &'static str| Some(Contradiction::new("listen.address", what, cure));
    for (index, one) in config.listen.iter().enumerate() {
        let mut before = config.listen.iter().take(index);
        if !one.is_any_port() && before.any(|other| other == one) {
            return at(format!("{one} is given twice"), "name each address once");
        }
        if let Some(all) = config.listen.iter().find(|other| other.includes(one)) {
            let what = format!("{one} is an address of {all} already");
            return at(what, "name the one or the other");
        }
    }
    None
}

fn of_logs(config: &Config) -> Option<Contradiction> {
    let keys = [
        ("log.target", &config.log_target),
        ("log.access_target", &config.access_target),
    ];
    for (key, word) in keys {
        if LogTarget::parse(word).is_none() {
            let what = format!("\"{word}\" is no target of a log");
            let cure = format!("write {TARGETS}, the path from / on");
            return Some(Contradiction::new(key, what, cure));
        }
    }
    let file = |word: &str| LogTarget::parse(word)?.file().map(ToOwned::to_owned);
    let (log, access) = (file(&config.log_target), file(&config.access_target));
    // Each would rename the other's file away.
    let full = |path: &Option<PathBuf>| {
        let mut path = path.clone()?.into_os_string();
        path.push(".1");
        Some(PathBuf::from(path))
    };
    let both = log.is_some() && access.is_some() && config.access != AccessFormat::Off;
    let same = log == access || full(&log) == access || log == full(&access);
    (both && same).then(|| {
        let what = "log.target has the same file, or its name is that of the other when full";
        Contradiction::new(
            "log.access_target",
            what,
            "name another file for one of them",
        )
    })
}

/// A named site is found by its hosts alone, so it needs some, and nobody else's.
fn of_hosts(section: &str, site: &SiteConfig, config: &Config) -> Option<Contradiction> {
    let place = format!("{section}.hosts");
    if site.hosts.is_empty() {
        let what = "the site has no host: nobody could reach it";
        return Some(Contradiction::new(
            place,
            what,
            "name its hosts, such as cam.lan",
        ));
    }
    let others = config.sites.iter().map(|named| &named.site);
    let others = others.filter(|other| !std::ptr::eq(*other, site));
    let mut taken = others.chain([&config.site]).flat_map(|other| &other.hosts);
    let twice = taken.find(|host| site.hosts.contains(host))?;
    let what = format!("{twice} is a host of two sites");
    Some(Contradiction::new(place, what, "name each host once"))
}

fn of_site(section: &str, site: &SiteConfig, config: &Config) -> Option<Contradiction> {
    let at = |key: &str| format!("{section}.{key}");
    if let Some(host) = site.hosts.iter().find(|host| !is_host(host)) {
        let cure = "write a name such as www.example.com or *.example.com, or an address, without \
                    a port";
        let what = format!("\"{host}\" is no host");
        return Some(Contradiction::new(at("hosts"), what, cure));
    }
    of_index(section, site)
        .or_else(|| {
            let what = wrong_coding(&site.precompressed)?;
            let cure = "write each of br, zstd and gzip once at most, or none";
            Some(Contradiction::new(at("precompressed"), what, cure))
        })
        .or_else(|| {
            let path = Some(&site.fallback).filter(|path| !path.is_empty())?;
            rules::site_file(path).err()?;
            let what = format!("\"{path}\" is no file of the site");
            let cure = "write a path from / on, such as /index.html";
            Some(Contradiction::new(at("fallback"), what, cure))
        })
        .or_else(|| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b);
            let wrong =
                site.charset.len() > rules::CHARSET_BYTES || !site.charset.bytes().all(plain);
            let what = format!("\"{}\" is no charset", site.charset);
            let cure = "write a name such as utf-8, or none";
            wrong.then(|| Contradiction::new(at("charset"), what, cure))
        })
        .or_else(|| of_aliases(section, site))
        .or_else(|| of_access(section, site))
        .or_else(|| of_scripts(section, site))
        .or_else(|| of_rules(section, site, config))
}

fn of_index(section: &str, site: &SiteConfig) -> Option<Contradiction> {
    let place = format!("{section}.index");
    if let Some(name) = site.index.iter().find(|name| !is_plain_name(name)) {
        let what = format!("\"{name}\" is not the name of a file in a directory");
        let cure = "write names without /, such as index.html";
        return Some(Contradiction::new(place, what, cure));
    }
    let hides = site.dotfiles == Dotfiles::Hide;
    let name = site.index.iter().find(|n| hides && n.starts_with('.'))?;
    let what = format!("\"{name}\" begins with a dot, and {section}.dotfiles hides it");
    let cure = format!("choose another name, or set {section}.dotfiles to serve");
    Some(Contradiction::new(place, what, cure))
}

/// Aliases that nobody could reach.
fn of_aliases(section: &str, site: &SiteConfig) -> Option<Contradiction> {
    let place = || format!("{section}.aliases");
    let mut aliases = site.aliases.iter().enumerate();
    let twice = aliases.find(|(index, alias)| {
        let mut before = site.aliases.iter().take(*index);
        before.any(|other| other.names() == alias.names())
    });
    if let Some((_, alias)) = twice {
        let what = format!("{} is given twice", alias.path);
        return Some(Contradiction::new(place(), what, "name each path once"));
    }
    if let Some(alias) = site.aliases.iter().find(|alias| alias.names().is_empty()) {
        let what = format!("\"{alias}\" is the root itself");
        let cure = format!("set {section}.root");
        return Some(Contradiction::new(place(), what, cure));
    }
    let lost = |alias: &&rules::Alias| {
        let names = alias.names();
        let mut names = names.split(|b| *b == b'/').enumerate();
        names.any(|(place, name)| name.starts_with(b".") && (place > 0 || name != b".well-known"))
    };
    let hides = site.dotfiles == Dotfiles::Hide;
    if let Some(alias) = site.aliases.iter().find(lost).filter(|_| hides) {
        let what =
            format!("\"{alias}\" has a name with a dot in front, and {section}.dotfiles hides it");
        let cure = format!("choose another path, or set {section}.dotfiles to serve");
        return Some(Contradiction::new(place(), what, cure));
    }
    None
}

/// Two lists of whom one path is for: who wrote them means both, and gets whom they share.
fn of_access(section: &str, site: &SiteConfig) -> Option<Contradiction> {
    let mut allowed = site.access.iter().filter(|rule| rule.allow).enumerate();
    let (_, twice) = allowed.find(|(index, rule)| {
        let mut before = site.access.iter().filter(|rule| rule.allow).take(*index);
        before.any(|other| other.pattern == rule.pattern)
    })?;
    let pattern = &twice.pattern;
    let what = format!("{pattern} is allowed twice, and nobody but who is in both may ask");
    let cure = "write all its networks in one line";
    Some(Contradiction::new(format!("{section}.access"), what, cure))
}

/// A file that is sent for other paths, and is a script: it would never be sent.
fn of_scripts(section: &str, site: &SiteConfig) -> Option<Contradiction> {
    let pages = site.error_pages.iter().map(|page| &page.path);
    let pages = pages.map(|path| ("error_pages", path));
    let mut all = pages.chain([("fallback", &site.fallback)]);
    let is_script = |path: &str| {
        let path = Pattern::parse(path).ok().and_then(|path| path.as_path());
        let mut rules = site.scripts.iter();
        path.is_some_and(|path| rules.any(|rule| rule.pattern.matches_any_case(&path)))
    };
    let (key, path) = all.find(|(_, path)| is_script(path))?;
    let what = format!("\"{path}\" is a script by {section}.scripts, and is never sent as a file");
    let cure = "name a file that is none";
    Some(Contradiction::new(format!("{section}.{key}"), what, cure))
}

fn of_rules(section: &str, site: &SiteConfig, config: &Config) -> Option<Contradiction> {
    let at = |key: &str| format!("{section}.{key}");
    if !site.scripts.is_empty() && config.buffers == 1 && config.connections > 1 {
        let what = "a script may hold a buffer for as long as it runs, and there is one".to_owned();
        let cure = "set memory.buffers to 2 at least, or memory.connections to 1";
        return Some(Contradiction::new("memory.buffers", what, cure));
    }
    let made_up = |to: &str| to.contains(rules::HOST) && site.hosts.is_empty();
    if let Some(rule) = site.redirects.iter().find(|rule| made_up(&rule.to)) {
        let what = format!("\"{rule}\" has {{host}}, and the site has no host");
        let cure =
            format!("name its hosts in {section}.hosts, so that none is made up by a client");
        return Some(Contradiction::new(at("redirects"), what, cure));
    }
    if let Some(rule) = site.redirects.iter().find(|rule| rule.is_endless()) {
        let what = format!("\"{rule}\" leads to what it leads away from, without end");
        return Some(Contradiction::new(
            at("redirects"),
            what,
            "choose another target",
        ));
    }
    if site.listing && config.buffer_bytes < LISTING_BUFFER_BYTES {
        let what = format!(
            "a part of a listing does not fit memory.buffer_bytes={}",
            config.buffer_bytes
        );
        let cure = format!("set memory.buffer_bytes to {LISTING_BUFFER_BYTES} or more");
        return Some(Contradiction::new(at("listing"), what, cure));
    }
    // One reply may carry all of them.
    let bytes: usize = site.fields.iter().map(rules::ExtraField::line_bytes).sum();
    let room = usize::from(config.buffer_bytes)
        .saturating_sub(usize::from(config.limits.target_bytes))
        .saturating_sub(REPLY_ROOM_BYTES);
    let what = format!("{bytes} bytes of fields do not fit a reply beside limits.target_bytes");
    let cure = "shorten them, or raise memory.buffer_bytes";
    (bytes > room).then(|| Contradiction::new(at("fields"), what, cure))
}

/// A name, a name behind `*.`, or an address; in lower case, without port.
fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    if let Some(address) = address {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(plain) && !name.starts_with('.') && !name.ends_with('.')
}

/// A coding that is unknown, or named twice.
fn wrong_coding(names: &[String]) -> Option<String> {
    if let Some(name) = names.iter().find(|name| Coding::named(name).is_none()) {
        return Some(format!("there is no coding \"{name}\" here"));
    }
    let mut places = names.iter().enumerate();
    places
        .find(|(place, name)| names.iter().take(*place).any(|other| other == *name))
        .map(|(_, name)| format!("{name} is given twice"))
}

/// A name that stays in its directory.
fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}
