//! Keys that tune a part of the program which this build does not have.
//!
//! Owns which keys those are, and the line that names them. It must not refuse any: who asks for a
//! missing part is refused where that is looked for (`site::built` and its like), but a key that
//! tunes it does nothing in any build as long as nobody asks, and a file may be for several.
//! Invariant: none of them is passed over in silence, unless it has its default.

use crate::config::Config;
use crate::config::keys::{KEYS, Key};
use crate::config::status;
use crate::report::access;
use crate::site::upload;
use crate::{helper, sandbox, script};

/// A part: its feature, whether it is there, how the names of its keys begin.
type Part = (&'static str, bool, &'static [&'static str]);

const PARTS: [Part; 6] = [
    ("auth", helper::BUILT, &["auth.", "timeout.verdict_ms"]),
    // timeout.upload_ms is that of bodies for scripts, too.
    ("upload", upload::BUILT, &["upload."]),
    ("cgi", script::BUILT, &["script."]),
    ("status", status::BUILT, &["status."]),
    ("access-log", access::BUILT, &["log.access_"]),
    ("sandbox", sandbox::BUILT, &["service.sandbox_"]),
];

/// A line for each part that this build lacks and `config` tunes.
#[must_use]
pub fn lines(config: &Config) -> Vec<String> {
    let missing = PARTS.iter().filter(|(_, built, _)| !built);
    missing.filter_map(|part| line(part, config)).collect()
}

/// The line of one that is missing.
fn line((feature, _, begins): &Part, config: &Config) -> Option<String> {
    let default = Config::default();
    let tunes = |key: &&Key| {
        let value = key.value(config);
        let is_own = begins.iter().any(|begin| key.name.starts_with(begin));
        // That is where -b has it written, whoever writes it.
        let of_background = key.name == "log.access_target" && config.access_target == "syslog";
        is_own && !of_background && value != key.value(&default)
    };
    let names: Vec<&str> = KEYS.iter().filter(tunes).map(|key| key.name).collect();
    let names = names.join(", ");
    (!names.is_empty())
        .then(|| format!("{names}: without effect, for this build lacks the feature {feature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(keys: &[(&str, &str)]) -> Config {
        let mut draft = crate::config::Draft::new();
        for (name, text) in keys {
            draft.set(name, text, "test").unwrap();
        }
        draft.finish(&crate::reactor::sizes()).unwrap().config
    }

    #[test]
    fn each_part_names_the_keys_that_tune_it_and_no_default() {
        let tuned = config(&[
            ("auth.failures", "6"),
            ("auth.pause_ms", "1s"),
            ("timeout.verdict_ms", "11s"),
            ("upload.at_once", "3"),
            ("script.cpu_s", "7"),
            ("status.allow", "all"),
            ("log.access_bytes", "5KiB"),
            ("service.sandbox_read", "/srv"),
        ]);
        let names = [
            "timeout.verdict_ms, auth.failures, auth.pause_ms",
            "upload.at_once",
            "script.cpu_s",
            "status.allow",
            "log.access_bytes",
            "service.sandbox_read",
        ];
        for (part, names) in PARTS.iter().zip(names) {
            let (feature, built, _) = part;
            let expected =
                format!("{names}: without effect, for this build lacks the feature {feature}");
            assert_eq!(line(part, &tuned).as_ref(), Some(&expected));
            assert_eq!(lines(&tuned).contains(&expected), !built);
            assert_eq!(line(part, &config(&[])), None);
        }
        // As with -b.
        let syslog = config(&[("log.access_target", "syslog")]);
        assert!(lines(&syslog).is_empty());
    }

    #[test]
    fn every_beginning_is_one_of_a_key() {
        for begin in PARTS.iter().flat_map(|(_, _, begins)| *begins) {
            assert!(KEYS.iter().any(|k| k.name.starts_with(begin)), "{begin}");
        }
    }
}
