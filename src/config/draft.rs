//! A configuration in the making: values are set one by one, then checked together.
//!
//! Owns which keys were given, and the checks between keys. It must not read files or arguments:
//! its callers do, and say where a value came from. Invariant: a [`Setup`] is only made here.

use super::keys::{self, KEYS, Key};
use super::value::{Fault, Value};
use super::{Coding, Config, Dotfiles, Listen, Plan, Sizes, StartError, plan};
use std::fmt;
use std::path::PathBuf;

/// A checked configuration and its memory plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Checked and settled: no zero stands for "derived" any more.
    pub config: Config,
    /// What it needs.
    pub plan: Plan,
}

/// A configuration in the making, from the defaults on.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    config: Config,
    given: Vec<&'static str>,
}

impl Draft {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the key `name` to what `text` stands for. A later value replaces an earlier one, except
    /// for `listen.address`: the first replaces the default, later ones add to it.
    ///
    /// `place` says where it was given, and becomes the place of the error.
    ///
    /// # Errors
    /// An unknown key, or a value that its key does not take. Its code is for a configuration;
    /// command lines change it.
    pub fn set(&mut self, name: &str, text: &str, place: &str) -> Result<(), StartError> {
        let Some(key) = keys::find(name) else {
            let cure = keys::nearest(name).map_or_else(
                || "adieu --help lists the keys".to_owned(),
                |key| format!("did you mean {}? adieu --help lists the keys", key.name),
            );
            return Err(StartError::configuration(
                place,
                format!("there is no key {name}"),
                cure,
            ));
        };
        match key.kind.parse(text) {
            Ok(value) => self.put(key, value, place),
            Err(fault) => Err(refusal(key, fault, place)),
        }
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
        let again = self.given.contains(&key.name);
        let value = match value {
            Value::Listen(more) if again => {
                Value::Listen(self.config.listen.iter().cloned().chain(more).collect())
            }
            Value::Listen(_)
            | Value::Number(..)
            | Value::Switch(_)
            | Value::Path(_)
            | Value::Words(_)
            | Value::Choice(_) => value,
        };
        if !again {
            self.given.push(key.name);
        }
        // The table's test holds that a parsed value fits.
        key.set(&mut self.config, value).ok_or_else(|| {
            let what = format!("{} does not take this value", key.name);
            StartError::configuration(place, what, "adieu --help lists the keys and their values")
        })
    }

    /// Checks the whole, derives what is to be derived, and makes the plan.
    ///
    /// # Errors
    /// Two values that contradict each other, or a plan above `memory.total`.
    pub fn finish(self, sizes: &Sizes) -> Result<Setup, StartError> {
        let Self { mut config, given } = self;
        if let Some((place, what, cure)) = contradiction(&config) {
            return Err(StartError::configuration(place, what, cure));
        }
        let asked = config.memory_total_bytes > 0;
        plan::fit(&mut config, sizes, given.contains(&"memory.connections"))?;
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
        Ok(Setup { config, plan })
    }
}

/// Why a key does not take a value: the key's name leads, its reason for the bounds ends the cure.
fn refusal(key: &Key, fault: Fault, place: &str) -> StartError {
    let cure = match key.why {
        "" => fault.cure,
        why => format!("{}: {why}", fault.cure),
    };
    StartError::configuration(place, format!("{}: {}", key.name, fault.what), cure)
}

/// The first contradiction between two values, or a value that makes no sense: key, fault, cure.
fn contradiction(config: &Config) -> Option<(&'static str, String, &'static str)> {
    if let Some(what) = config.limits.contradiction(config.buffer_bytes.into()) {
        let place = what.split_whitespace().next().unwrap_or("limits");
        return Some((
            place,
            what.to_owned(),
            "lower the first or raise the second",
        ));
    }
    if let Some(name) = config.index.iter().find(|name| !is_plain_name(name)) {
        let what = format!("\"{name}\" is not the name of a file in a directory");
        return Some((
            "site.index",
            what,
            "write names without /, such as index.html",
        ));
    }
    let hides = config.dotfiles == Dotfiles::Hide;
    if let Some(name) = config.index.iter().find(|n| hides && n.starts_with('.')) {
        return Some((
            "site.index",
            format!("\"{name}\" begins with a dot, and site.dotfiles hides it"),
            "choose another name, or set site.dotfiles to serve",
        ));
    }
    if let Some(what) = wrong_coding(&config.precompressed) {
        let cure = "write each of br, zstd and gzip once at most, or none";
        return Some(("site.precompressed", what, cure));
    }
    let twice = config.listen.iter().enumerate().find(|(index, one)| {
        !is_any_port(one) && config.listen.iter().take(*index).any(|o| o == *one)
    });
    if let Some((_, one)) = twice {
        return Some((
            "listen.address",
            format!("{one} is given twice"),
            "name each address once",
        ));
    }
    None
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

/// The system chooses the port: two of these are two listeners.
fn is_any_port(listen: &Listen) -> bool {
    match listen {
        Listen::Tcp(address) => address.port() == 0,
        Listen::Unix(_) => false,
    }
}

impl fmt::Display for Setup {
    /// The plan and the effective configuration, a `key = value` line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nEffective configuration:", self.plan)?;
        for key in KEYS {
            writeln!(f, "  {} = {}", key.name, key.value(&self.config))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Result<Setup, StartError> {
        let mut draft = Draft::new();
        for (name, text) in pairs {
            draft.set(name, text, "adieu.toml:3")?;
        }
        draft.finish(&Sizes {
            slot_bytes: 256,
            slot_side_bytes: 24,
            fixed: vec![],
        })
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
        assert_eq!(
            setup.plan,
            Plan::of(
                &setup.config,
                &Sizes {
                    slot_bytes: 256,
                    slot_side_bytes: 24,
                    fixed: vec![]
                }
            )
        );
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
    fn a_total_derives_connections_and_buffers_follow() {
        let setup = set(&[("memory.total", "8MiB")]).unwrap();
        assert!(setup.plan.sum_bytes <= 8 << 20);
        assert!(
            setup.config.connections >= 16,
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
        ])
        .unwrap();
        let text = setup.to_string();
        let (_, lines) = text.split_once("Effective configuration:\n").unwrap();
        let pairs: Vec<_> = lines
            .lines()
            .map(|l| l.trim().split_once(" = ").unwrap())
            .collect();
        assert_eq!(pairs.len(), KEYS.len());
        assert_eq!(set(&pairs).unwrap(), setup);
    }

    #[test]
    fn the_root_need_not_be_utf8_but_not_empty() {
        use std::os::unix::ffi::OsStringExt;
        let root = PathBuf::from(std::ffi::OsString::from_vec(vec![b'/', 0xff]));
        let mut draft = Draft::new();
        draft.set_root(root.clone(), "-d").unwrap();
        assert_eq!(draft.finish(&Sizes::default()).unwrap().config.root, root);
        let error = Draft::new().set_root(PathBuf::new(), "-d").unwrap_err();
        assert_eq!(error.to_string(), "-d: the path is empty; name a directory");
    }
}
