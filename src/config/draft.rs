//! A configuration in the making: values are set one by one, then checked together.
//!
//! Owns which keys were given, and the checks between keys. It must not read files or arguments:
//! its callers do, and say where a value came from. Invariant: a [`Setup`] is only made here.

use super::fault::Fault;
use super::keys::{self, KEYS, Key};
use super::origin::{Origin, Origins};
use super::target::Target;
use super::value::{Kind, Value};
use super::{Config, Listen, NamedSite, Plan, Sizes, StartError, plan};
use std::fmt;
use std::path::{Path, PathBuf};

/// A checked configuration and its memory plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Checked and settled: no zero stands for "derived" any more.
    pub config: Config,
    /// What it needs.
    pub plan: Plan,
    /// Where in a file its values stand.
    pub origins: Origins,
}

/// A configuration in the making, from the defaults on.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    config: Config,
    given: Vec<(&'static str, Layer)>,
    layer: Layer,
    origins: Origins,
    /// What was given for named sites. It is applied last, on what the default site has become, so
    /// that the order of the keys does not matter.
    named: Vec<Named>,
}

/// Who gave a value. A later layer replaces what an earlier one gave, lists too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Layer {
    File,
    #[default]
    CommandLine,
}

/// One key of one named site.
#[derive(Clone, Debug)]
struct Named {
    site: String,
    key: &'static Key,
    value: Value,
    layer: Layer,
}

impl Draft {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the key `name` to what `text` stands for. A later value replaces an earlier one, except
    /// for addresses and rules: the first replaces the default and what a file gave, later ones add
    /// to it.
    ///
    /// `sites.NAME.KEY` sets `site.KEY` for one named site.
    ///
    /// `place` says where it was given, and becomes the place of the error.
    ///
    /// # Errors
    /// An unknown key, or a value that its key does not take. Its code is for a configuration;
    /// command lines change it.
    pub fn set(&mut self, name: &str, text: &str, place: &str) -> Result<(), StartError> {
        let wrong = |fault: Fault| StartError::configuration(place, fault.what, fault.cure);
        let target = Target::named(name).map_err(wrong)?;
        let value = target.key.kind.parse(text);
        let value = value.map_err(|fault| refusal(target.key, fault, place))?;
        self.take(target, value, place)
    }

    /// Sets the key `name` to another default than its own, before anything is given.
    ///
    /// # Errors
    /// As [`Draft::set`].
    pub fn preset(&mut self, name: &str, text: &str) -> Result<(), StartError> {
        let wrong = |fault: Fault| StartError::configuration(name, fault.what, fault.cure);
        let Target { key, .. } = Target::named(name).map_err(wrong)?;
        let value = key.kind.parse(text).map_err(wrong)?;
        let fits = key.set(&mut self.config, value);
        debug_assert!(fits.is_some(), "the table's test holds that it fits");
        Ok(())
    }

    /// From here on values come from `file`, which the command line then replaces.
    pub fn begin_file(&mut self, file: &Path) {
        self.layer = Layer::File;
        self.origins.begin(file);
    }

    /// The file has ended.
    pub fn end_file(&mut self) {
        self.layer = Layer::CommandLine;
    }

    /// A value of the file, and where it stands.
    ///
    /// # Errors
    /// When the value does not fit its key: a fault of ours.
    pub fn take_from_file(
        &mut self,
        target: Target,
        value: Value,
        origin: Origin,
    ) -> Result<(), StartError> {
        self.take(target, value, &origin.place)?;
        self.origins.add(origin);
        Ok(())
    }

    /// Writes a parsed value, or keeps it for its named site.
    fn take(&mut self, target: Target, value: Value, place: &str) -> Result<(), StartError> {
        let name = target.name();
        let Target { site, key } = target;
        let Some(site) = site else {
            return self.put(key, value, place);
        };
        self.origins.forget(&name);
        let layer = self.layer;
        self.named.push(Named {
            site,
            key,
            value,
            layer,
        });
        Ok(())
    }

    /// Sets the directory that is served; it need not be UTF-8.
    ///
    /// # Errors
    /// When the path is empty.
    pub fn set_root(&mut self, root: PathBuf, place: &str) -> Result<(), StartError> {
        match keys::find("site.root") {
            Some(key) if !root.as_os_str().is_empty() => self.put(key, Value::Path(root), place),
            _ => Err(StartError::configuration(
                place,
                "the path is empty",
                "name a directory",
            )),
        }
    }

    /// Adds one address; the first replaces the default.
    ///
    /// # Errors
    /// When the key table does not know `listen.address`: a fault of ours.
    pub fn add_listen(&mut self, one: Listen, place: &str) -> Result<(), StartError> {
        match keys::find("listen.address") {
            Some(key) => self.put(key, Value::Listen(vec![one]), place),
            None => Err(StartError::configuration(
                place,
                "it cannot be set",
                "use --set",
            )),
        }
    }

    /// Writes a parsed value into its field.
    fn put(&mut self, key: &'static Key, value: Value, place: &str) -> Result<(), StartError> {
        let again = self.given.contains(&(key.name, self.layer));
        let value = if again {
            joined(key.value(&self.config), value)
        } else {
            self.given.push((key.name, self.layer));
            value
        };
        self.origins.forget(key.name);
        // The table's test holds that a parsed value fits.
        key.set(&mut self.config, value).ok_or_else(|| {
            let what = format!("{} does not take this value", key.name);
            StartError::configuration(place, what, "adieu --help lists the keys and their values")
        })
    }

    /// The named sites: the default site as it is now, and on it what was given for each.
    fn sites(&self) -> Vec<NamedSite> {
        let mut sites: Vec<NamedSite> = Vec::new();
        for (index, one) in self.named.iter().enumerate() {
            if !sites.iter().any(|site| site.name == one.site) {
                let mut site = self.config.site.clone();
                site.hosts.clear(); // a name belongs to one site
                let name = one.site.clone();
                sites.push(NamedSite { name, site });
            }
            let Some(named) = sites.iter_mut().find(|site| site.name == one.site) else {
                continue;
            };
            let mut before = self.named.iter().take(index);
            let again = before
                .any(|o| o.site == one.site && o.key.name == one.key.name && o.layer == one.layer);
            let value = match one.key.value_of(&named.site) {
                Some(old) if again => joined(old, one.value.clone()),
                Some(_) | None => one.value.clone(),
            };
            let fits = one.key.set_of(&mut named.site, value);
            debug_assert!(fits.is_some(), "the table's test holds that it fits");
        }
        sites
    }

    /// Checks the whole, derives what is to be derived, and makes the plan.
    ///
    /// # Errors
    /// Two values that contradict each other, or a plan above `memory.total`.
    pub fn finish(mut self, sizes: &Sizes) -> Result<Setup, StartError> {
        let origins = std::mem::take(&mut self.origins);
        match self.checked(sizes) {
            Ok((config, plan)) => Ok(Setup {
                config,
                plan,
                origins,
            }),
            Err(error) => Err(origins.locate(error)),
        }
    }

    fn checked(self, sizes: &Sizes) -> Result<(Config, Plan), StartError> {
        let sites = self.sites();
        let Self {
            mut config, given, ..
        } = self;
        config.sites = sites;
        config.verify()?;
        let asked = config.memory_total_bytes > 0;
        let connections = given.iter().any(|(name, _)| *name == "memory.connections");
        plan::fit(&mut config, sizes, connections)?;
        if config.buffers > config.connections {
            let what = format!(
                "{} buffers for {} connections: memory.buffers must not exceed memory.connections",
                config.buffers, config.connections
            );
            return Err(StartError::configuration(
                "memory.buffers",
                what,
                "lower it, or set it to 0",
            ));
        }
        config.settle();
        let plan = Plan::of(&config, sizes);
        debug_assert!(!asked || plan.sum_bytes <= config.memory_total_bytes);
        Ok((config, plan))
    }
}

/// Why a key does not take a value: the key's name leads, its reason for the bounds ends the cure.
pub(super) fn refusal(key: &Key, fault: Fault, place: &str) -> StartError {
    let cure = match key.why {
        "" => fault.cure,
        why => format!("{}: {why}", fault.cure).into(),
    };
    StartError::configuration(place, format!("{}: {}", key.name, fault.what), cure)
}

/// What a value becomes when another is given for the same key: lists of addresses and rules grow.
fn joined(old: Value, new: Value) -> Value {
    match (old, new) {
        (Value::Listen(mut all), Value::Listen(more)) => {
            all.extend(more);
            Value::Listen(all)
        }
        (Value::Lines(mut all), Value::Lines(more)) if !more.is_empty() => {
            all.extend(more);
            Value::Lines(all)
        }
        (_, new) => new,
    }
}

impl fmt::Display for Setup {
    /// The plan and the effective configuration, a `key = value` line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origins.file() {
            None => writeln!(f, "{}\nEffective configuration:", self.plan)?,
            Some(file) => writeln!(
                f,
                "{}\nEffective configuration, from {} and the command line:",
                self.plan,
                file.display()
            )?,
        }
        for key in KEYS {
            write_key(f, key.name, key.kind, &key.value(&self.config))?;
        }
        for NamedSite { name, site } in &self.config.sites {
            for key in KEYS {
                let (value, default) = (key.value_of(site), key.value_of(&self.config.site));
                let short = key.name.strip_prefix("site.").unwrap_or(key.name);
                if let Some(value) = value.filter(|value| Some(value) != default.as_ref()) {
                    write_key(f, &format!("sites.{name}.{short}"), key.kind, &value)?;
                }
            }
        }
        Ok(())
    }
}

/// `name = value`, and for rules a line each: as `--set` takes them.
fn write_key(f: &mut fmt::Formatter<'_>, name: &str, kind: Kind, value: &Value) -> fmt::Result {
    let text = value.to_string();
    if matches!(kind, Kind::Lines(_)) {
        return text
            .lines()
            .try_for_each(|line| writeln!(f, "  {name} = {line}"));
    }
    writeln!(f, "  {name} = {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Result<Setup, StartError> {
        let mut draft = Draft::new();
        for (name, text) in pairs {
            draft.set(name, text, "adieu.toml:3")?;
        }
        draft.finish(&Sizes::sample())
    }

    fn fault(pairs: &[(&str, &str)]) -> String {
        let error = set(pairs).unwrap_err();
        assert_eq!(error.code, 78);
        error.to_string()
    }

    #[test]
    fn the_defaults_are_sound_and_settled() {
        let setup = set(&[]).unwrap();
        assert_eq!(
            (setup.config.buffers, setup.config.connections_per_address),
            (32, 96)
        );
        assert_eq!(setup.plan, Plan::of(&setup.config, &Sizes::sample()));
    }

    #[test]
    fn faults_read_well() {
        for (pairs, line) in [
            (
                &[("linger.idel_ms", "5")][..],
                "adieu.toml:3: there is no key linger.idel_ms; did you mean linger.idle_ms? adieu \
                 --help lists the keys",
            ),
            (
                &[("xxxxxxxxxxxxxxxxxxxxxxx", "5")],
                "adieu.toml:3: there is no key xxxxxxxxxxxxxxxxxxxxxxx; adieu --help lists the \
                 keys",
            ),
            (
                &[("linger.kernel_fin_wait_s", "90")],
                "adieu.toml:3: linger.kernel_fin_wait_s: 90 is outside 1 to 60 s; choose a value \
                 in that range: above 60 the kernel waits about twice the excess instead (61 \
                 gives 2 s)",
            ),
            (
                &[("linger.idle_ms", "31s")],
                "linger.idle_ms: linger.idle_ms must not exceed linger.total_ms; lower the first \
                 or raise the second",
            ),
            (
                &[("limits.target_bytes", "8000")],
                "limits.target_bytes: limits.target_bytes + 1024 must not exceed \
                 memory.buffer_bytes; lower the first or raise the second",
            ),
            (
                &[("site.index", "index.html,a/b")],
                "site.index: \"a/b\" is not the name of a file in a directory; write names \
                 without /, such as index.html",
            ),
            (
                &[("site.index", "index.html,.index.html")],
                "site.index: \".index.html\" begins with a dot, and site.dotfiles hides it; \
                 choose another name, or set site.dotfiles to serve",
            ),
            (
                &[("site.precompressed", "gzip,deflate")],
                "site.precompressed: there is no coding \"deflate\" here; write each of br, zstd \
                 and gzip once at most, or none",
            ),
            (
                &[("sites.cam.root", "/srv/cam")],
                "sites.cam.hosts: the site has no host: nobody could reach it; name its hosts, \
                 such as cam.lan",
            ),
            (
                &[("site.hosts", "a.lan"), ("sites.b.hosts", "b.lan,A.lan")],
                "sites.b.hosts: a.lan is a host of two sites; name each host once",
            ),
            (
                &[("site.hosts", "a.lan:80")],
                "site.hosts: \"a.lan:80\" is no host; write a name such as www.example.com or \
                 *.example.com, or an address, without a port",
            ),
            (
                &[("sites.b!.hosts", "b")],
                "adieu.toml:3: \"b!\" is no name for a site; write sites.NAME.KEY, the name of 1 \
                 to 32 letters, digits, - and _",
            ),
            (
                &[("sites.b.memory", "b")],
                "adieu.toml:3: there is no key sites.b.memory; did you mean sites.b.root? adieu \
                 --help lists the keys",
            ),
            (
                &[("site.redirects", "308 /* https://{host}/*")],
                "site.redirects: \"308 /* https://{host}/*\" has {host}, and the site has no \
                 host; name its hosts in site.hosts, so that none is made up by a client",
            ),
            (
                &[("site.fallback", "app.html")],
                "site.fallback: \"app.html\" is no file of the site; write a path from / on, such \
                 as /index.html",
            ),
            (
                &[("site.fallback", "/app/")],
                "site.fallback: \"/app/\" is no file of the site; write a path from / on, such \
                 as /index.html",
            ),
            (
                &[("site.aliases", "/x/.y /srv/y")],
                "site.aliases: \"/x/.y /srv/y\" has a name with a dot in front, and \
                 site.dotfiles hides it; choose another path, or set site.dotfiles to serve",
            ),
            (
                &[
                    ("site.scripts", "*.php /bin/x"),
                    ("site.fallback", "/app.PHP"),
                ],
                "site.fallback: \"/app.PHP\" is a script by site.scripts, and is never sent as a \
                 file; name a file that is none",
            ),
            (
                &[("site.scripts", "/cgi"), ("site.error_pages", "404 /cgi/a")],
                "site.error_pages: \"/cgi/a\" is a script by site.scripts, and is never sent as a \
                 file; name a file that is none",
            ),
            (
                &[
                    ("site.access", "/a allow 10.0.0.0/8"),
                    ("site.access", "/a deny 10.0.0.1"),
                    ("site.access", "/a allow fd00::/8"),
                ],
                "site.access: /a is allowed twice, and nobody but who is in both may ask; write \
                 all its networks in one line",
            ),
            (
                &[
                    ("site.aliases", "/a /srv/a"),
                    ("site.aliases", "/a/ /srv/b"),
                ],
                "site.aliases: /a/ is given twice; name each path once",
            ),
            (
                &[("site.charset", "utf 8")],
                "adieu.toml:3: site.charset: \"utf 8\" is not one word; write one word, or none",
            ),
            (
                &[("site.charset", "utf-8;x")],
                "site.charset: \"utf-8;x\" is no charset; write a name such as utf-8, or none",
            ),
            (
                &[
                    ("site.fields", "/ X: y"),
                    ("memory.buffer_bytes", "5KiB"),
                    ("limits.target_bytes", "4091"),
                ],
                "site.fields: 6 bytes of fields do not fit a reply beside limits.target_bytes; \
                 shorten them, or raise memory.buffer_bytes",
            ),
            (
                &[("site.precompressed", "gzip,br,gzip")],
                "site.precompressed: gzip is given twice; write each of br, zstd and gzip once at \
                 most, or none",
            ),
            (
                &[("memory.buffers", "129")],
                "memory.buffers: 129 buffers for 128 connections: memory.buffers must not exceed \
                 memory.connections; lower it, or set it to 0",
            ),
            (
                &[("listen.address", "80,81,0.0.0.0:80")],
                "listen.address: 0.0.0.0:80 is given twice; name each address once",
            ),
            (
                &[("memory.receive_bytes", "4607")],
                "adieu.toml:3: memory.receive_bytes: 4607 is outside 4608 to 8MiB; choose a value \
                 in that range",
            ),
        ] {
            assert_eq!(fault(pairs), line);
        }
    }

    #[test]
    fn later_values_replace_and_addresses_add_up() {
        let setup = set(&[
            ("linger.idle_ms", "1s"),
            ("linger.idle_ms", "3s"),
            ("listen.address", "81"),
            ("listen.address", "[::]:82,unix:/run/a"),
            ("listen.address", "127.0.0.1:0"),
            ("listen.address", "127.0.0.1:0"),
        ])
        .unwrap();
        assert_eq!(setup.config.limits.linger_idle_ms, 3000);
        let shown: Vec<String> = setup
            .config
            .listen
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                "0.0.0.0:81",
                "[::]:82",
                "unix:/run/a",
                "127.0.0.1:0",
                "127.0.0.1:0"
            ]
        );
    }

    #[test]
    fn a_named_site_is_the_default_site_but_for_what_was_given() {
        let setup = set(&[
            ("sites.cam.hosts", "cam.lan"),
            ("sites.cam.fields", "/ X-A: 1"),
            ("sites.cam.fields", "/ X-B: 2"),
            ("site.hosts", "nas.lan"),
            ("site.fields", "/ X-C: 3"),
            ("site.index", "start.html"),
        ])
        .unwrap();
        let cam = &setup.config.sites[0].site;
        assert_eq!(cam.hosts, ["cam.lan"]);
        assert_eq!(cam.index, ["start.html"], "whatever the order");
        let names: Vec<&str> = cam.fields.iter().map(|field| &*field.name).collect();
        assert_eq!(names, ["X-A", "X-B"], "the first replaces, the next adds");
        assert_eq!(setup.config.site.fields.len(), 1);
    }

    #[test]
    fn a_redirect_to_itself_is_refused() {
        let line = fault(&[("site.redirects", "301 /a /a/?b")]);
        let said = "site.redirects: \"301 /a /a/?b\" leads to what it leads away from, without \
                    end; choose another target";
        assert_eq!(line, said);
        assert!(fault(&[("site.redirects", "302 /* /new/*")]).contains("without end"));
        assert!(set(&[("site.redirects", "301 /a /b")]).is_ok());
    }

    #[test]
    fn none_takes_rules_away() {
        let setup = set(&[
            ("site.types", "a b/c"),
            ("site.types", "none"),
            ("site.types", "d e/f"),
        ]);
        let types = setup.unwrap().config.site.types;
        assert_eq!(types.len(), 1);
        assert_eq!(types[0].extension, "d");
    }

    #[test]
    fn a_total_derives_connections_and_buffers_follow() {
        let setup = set(&[("memory.total", "8MiB")]).unwrap();
        assert!(setup.plan.sum_bytes <= 8 << 20);
        assert!(
            setup.config.connections >= 9,
            "{}",
            setup.config.connections
        );
        assert_eq!(setup.config.buffers, (setup.config.connections / 4).max(8));
        let given = set(&[("memory.total", "32MiB"), ("memory.connections", "50")]).unwrap();
        assert_eq!(given.config.connections, 50);
        assert!(
            fault(&[("memory.total", "4MiB"), ("memory.connections", "50")])
                .contains("do not hold 50")
        );
    }

    #[test]
    fn the_effective_configuration_is_taken_back() {
        let setup = set(&[
            ("memory.total", "8MiB"),
            ("site.index", "none"),
            ("keepalive.enabled", "off"),
            ("sites.b.listing", "on"),
            ("sites.b.redirects", "none"),
            ("sites.b.hosts", "b"),
            ("site.redirects", "301 /a /b"),
            ("site.redirects", "301 /c /d"),
        ])
        .unwrap();
        let text = setup.to_string();
        let (_, lines) = text.split_once("Effective configuration:\n").unwrap();
        let pairs: Vec<_> = lines
            .lines()
            .map(|l| l.trim().split_once(" = ").unwrap())
            .collect();
        assert_eq!(set(&pairs).unwrap(), setup);
        assert_eq!(pairs.len(), KEYS.len() + 4, "{text}");
    }

    #[test]
    fn the_root_need_not_be_utf8_but_not_empty() {
        use std::os::unix::ffi::OsStringExt;
        let root = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
        let mut draft = Draft::new();
        draft.set_root(root.clone(), "-d").unwrap();
        assert_eq!(
            draft.finish(&Sizes::default()).unwrap().config.site.root,
            root
        );
        let error = Draft::new().set_root(PathBuf::new(), "-d").unwrap_err();
        assert_eq!(error.to_string(), "-d: the path is empty; name a directory");
    }
}
