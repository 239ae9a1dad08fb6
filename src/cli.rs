//! Flags: what the command line asks for.
//!
//! Owns the flag table, the help text made from it and from the key table (`help`), what is done
//! beside serving (`errand`), and the version line. It must not start anything, nor print but
//! through [`say`]. Invariant: every flag is in `FLAGS`, from which both the parser and the help
//! are fed.

mod errand;
mod help;

pub use errand::{ERRANDS, Errand};
pub use help::help;

use crate::config::{Draft, Setup, Sizes, StartError, file, listen};
use lexopt::Arg;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve with this configuration.
    Serve(Box<Setup>, Start),
    /// Print the memory plan and the effective configuration.
    Test(Box<Setup>),
    /// Print [`version`].
    Version,
    /// Print [`help()`].
    Help,
    /// Do this, by the arguments behind its name, and exit.
    Errand(Errand, Vec<OsString>),
}

/// Where the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In the process that was started.
    Foreground,
    /// In a process of its own; the one that was started ends when it serves.
    Background,
}

/// What a flag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Config,
    Listen,
    Root,
    Set,
    Test,
    Verbose,
    User,
    Background,
    Foreground,
    Version,
    Help,
}

/// One flag.
#[derive(Debug)]
pub struct Flag {
    /// `-c`, if it has a short form.
    pub short: Option<char>,
    /// `--config`
    pub long: &'static str,
    /// The word for its value in help and manual; empty when it takes none.
    pub value: &'static str,
    /// What it does, in a sentence or two.
    pub meaning: &'static str,
    action: Action,
}

/// Every flag, in the order of the help.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    Flag { short: Some('c'), long: "config", value: "FILE", action: Action::Config,
        meaning: "Read this configuration file; without -c none is read. Flags and --set go before \
            it." },
    Flag { short: Some('p'), long: "listen", value: "[ADDR:]PORT", action: Action::Listen,
        meaning: "Listen there; repeatable. PORT alone: all IPv4 addresses; [::]:PORT for IPv6; \
            unix:PATH." },
    Flag { short: Some('d'), long: "root", value: "DIR", action: Action::Root,
        meaning: "Serve this directory." },
    Flag { short: None, long: "set", value: "KEY=VALUE", action: Action::Set,
        meaning: "Set a key of the list below; repeatable." },
    Flag { short: Some('t'), long: "test", value: "", action: Action::Test,
        meaning: "Check, print the memory plan and the effective configuration, and exit." },
    Flag { short: Some('v'), long: "verbose", value: "", action: Action::Verbose,
        meaning: "Log more: the same as --set log.level=debug." },
    Flag { short: Some('u'), long: "user", value: "USER[:GROUP]", action: Action::User,
        meaning: "Become this user once it listens: the same as --set service.user=USER[:GROUP]." },
    Flag { short: Some('b'), long: "background", value: "", action: Action::Background,
        meaning: "Go into the background, and return when it serves. Logs go to syslog unless they \
            are told otherwise." },
    Flag { short: Some('f'), long: "foreground", value: "", action: Action::Foreground,
        meaning: "Stay in the foreground, as without -b." },
    Flag { short: Some('V'), long: "version", value: "", action: Action::Version,
        meaning: "Print version, teardown and features, and exit." },
    Flag { short: Some('h'), long: "help", value: "", action: Action::Help,
        meaning: "Print this, and exit." },
];

/// The cure of every usage error.
const CURE: &str = "adieu --help lists the flags";

/// Reads the arguments, the program's name not among them. `sizes` feed the memory plan.
///
/// # Errors
/// Code 2 for a wrong flag or value; code 78 for values that contradict each other or do not fit
/// `memory.total`.
pub fn parse<I>(arguments: I, sizes: &Sizes) -> Result<Command, StartError>
where
    I: IntoIterator<Item = OsString>,
{
    let mut arguments = arguments.into_iter().peekable();
    if let Some(errand) = arguments.peek().and_then(errand::of) {
        return Ok(Command::Errand(errand, arguments.skip(1).collect()));
    }
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut test = false;
    let mut start = Start::Foreground;
    let mut file: Option<PathBuf> = None;
    let mut steps: Vec<Step> = Vec::new();
    loop {
        // Owned at once: the argument borrows the parser, which the value is asked of below.
        let (flag, shown) = match parser.next() {
            Ok(Some(argument)) => (flag_of(&argument), shown(&argument)),
            Ok(None) => break,
            Err(error) => return Err(StartError::usage("command line", error.to_string(), CURE)),
        };
        let Some(flag) = flag else {
            return Err(unknown(&shown));
        };
        let value = match flag.value {
            "" => OsString::new(),
            _ => value_of(&mut parser, flag, &shown)?,
        };
        match flag.action {
            Action::Config if file.is_some() => {
                let what = "a configuration file is named twice";
                return Err(StartError::usage(shown, what, "name one"));
            }
            Action::Config if value.is_empty() => {
                return Err(StartError::usage(shown, "the path is empty", "name a file"));
            }
            Action::Config => file = Some(PathBuf::from(value)),
            Action::Test => test = true,
            Action::Background => start = Start::Background,
            Action::Foreground => start = Start::Foreground,
            Action::Version => return Ok(Command::Version),
            Action::Help => return Ok(Command::Help),
            Action::Listen | Action::Root | Action::Set | Action::Verbose | Action::User => steps
                .push(Step {
                    action: flag.action,
                    value,
                    shown,
                }),
        }
    }
    // The file first, wherever -c stands: the command line goes before it.
    let mut draft = Draft::new();
    if start == Start::Background {
        // Nobody reads the standard streams there.
        for key in ["log.target", "log.access_target"] {
            draft.preset(key, "syslog")?;
        }
    }
    if let Some(path) = file {
        file::load(&mut draft, &path)?;
    }
    for step in steps {
        step.take(&mut draft)?;
    }
    let setup = Box::new(draft.finish(sizes)?);
    Ok(if test {
        Command::Test(setup)
    } else {
        Command::Serve(setup, start)
    })
}

/// A flag that changes a value.
struct Step {
    action: Action,
    value: OsString,
    /// The flag as it was given.
    shown: String,
}

impl Step {
    fn take(self, draft: &mut Draft) -> Result<(), StartError> {
        let shown = self.shown.as_str();
        match self.action {
            Action::Listen => listen(draft, &text_of(self.value, shown)?, shown),
            Action::Root => draft.set_root(self.value.into(), shown).map_err(of_usage),
            Action::Set => set(draft, &text_of(self.value, shown)?, shown),
            Action::Verbose => draft.set("log.level", "debug", shown).map_err(of_usage),
            Action::User => {
                let user = text_of(self.value, shown)?;
                draft.set("service.user", &user, shown).map_err(of_usage)
            }
            Action::Config
            | Action::Test
            | Action::Background
            | Action::Foreground
            | Action::Version
            | Action::Help => Ok(()),
        }
    }
}

/// The flag that an argument names.
fn flag_of(argument: &Arg<'_>) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| match argument {
        Arg::Short(short) => flag.short == Some(*short),
        Arg::Long(long) => flag.long == *long,
        Arg::Value(_) => false,
    })
}

/// The argument as it was given.
fn shown(argument: &Arg<'_>) -> String {
    match argument {
        Arg::Short(short) => format!("-{short}"),
        Arg::Long(long) => format!("--{long}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    }
}

fn unknown(shown: &str) -> StartError {
    if shown.starts_with('-') {
        return StartError::usage(shown, "there is no such flag", CURE);
    }
    StartError::usage(
        shown,
        "adieu takes flags only",
        "write -d DIR for a directory, -p [ADDR:]PORT for a port",
    )
}

/// The value behind a flag, which need not be UTF-8.
fn value_of(parser: &mut lexopt::Parser, flag: &Flag, shown: &str) -> Result<OsString, StartError> {
    parser.value().map_err(|_| {
        StartError::usage(
            shown,
            "its value is missing",
            format!("write {shown} {}", flag.value),
        )
    })
}

/// A value as text.
fn text_of(value: OsString, shown: &str) -> Result<String, StartError> {
    value.into_string().map_err(|raw| {
        let what = format!("\"{}\" is not UTF-8", raw.to_string_lossy());
        StartError::usage(shown, what, "write it in UTF-8")
    })
}

/// `-p`: one address; a unix path may hold a comma here.
fn listen(draft: &mut Draft, text: &str, shown: &str) -> Result<(), StartError> {
    let place = format!("{shown} {text}");
    match listen::address(text) {
        Ok(one) => draft.add_listen(one, &place).map_err(of_usage),
        Err(fault) => Err(StartError::usage(place, fault.what, fault.cure)),
    }
}

/// `--set KEY=VALUE`.
fn set(draft: &mut Draft, text: &str, shown: &str) -> Result<(), StartError> {
    let place = format!("{shown} {text}");
    match text.split_once('=') {
        Some((name, value)) => draft.set(name.trim(), value, &place).map_err(of_usage),
        None => Err(StartError::usage(
            place,
            "there is no = in it",
            "write --set KEY=VALUE, such as --set linger.idle_ms=2s",
        )),
    }
}

/// The same error, its place being the command line.
fn of_usage(error: StartError) -> StartError {
    StartError {
        code: StartError::USAGE,
        ..error
    }
}

/// Arguments that asked to serve at the start do so at a reload.
#[must_use]
pub fn not_to_serve() -> StartError {
    StartError::usage("command line", "it does not ask to serve any more", CURE)
}

/// An errand takes the flags of serving, and none that asks for another thing.
#[must_use]
pub fn not_beside() -> StartError {
    let what = "one of its flags asks for something else";
    StartError::usage("command line", what, "ask for one thing at a time")
}

/// The version line; `flavour` is the teardown this build carries.
#[must_use]
pub fn version(flavour: &str) -> String {
    let features = match option_env!("ADIEU_FEATURES") {
        None | Some("") => "none",
        Some(features) => features,
    };
    format!(
        "adieu {} ({flavour}; features: {features}; {}; commit {})",
        env!("CARGO_PKG_VERSION"),
        option_env!("ADIEU_TARGET").unwrap_or("unknown"),
        option_env!("ADIEU_COMMIT").unwrap_or("unknown"),
    )
}

/// Writes `text` and a line feed, unless it ends in one, to the standard output.
///
/// # Errors
/// Code 1 when it is closed or full, where `println!` would panic.
pub fn say(text: &str) -> Result<(), StartError> {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{end}")
        .and_then(|()| out.flush())
        .map_err(|error| {
            StartError::runtime(
                "standard output",
                error.to_string(),
                "give it a place that takes the text",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::KEYS;
    use crate::config::{Config, Symlinks};

    fn parsed(arguments: &[&str]) -> Result<Command, StartError> {
        let sizes = Sizes::sample();
        parse(arguments.iter().map(OsString::from), &sizes)
    }

    fn served(arguments: &[&str]) -> Config {
        match parsed(arguments) {
            Ok(Command::Serve(setup, _)) => setup.config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_change_what_they_say() {
        let addresses = |arguments: &[&str]| -> Vec<String> {
            served(arguments)
                .listen
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(addresses(&[]), ["127.0.0.1:8080"]);
        assert_eq!(addresses(&["-p", "81"]), ["0.0.0.0:81"]);
        assert_eq!(
            addresses(&["-p81", "--listen=[::]:82", "-f"]),
            ["0.0.0.0:81", "[::]:82"]
        );
        assert_eq!(addresses(&["-p", "unix:/run/a,b"]), ["unix:/run/a,b"]);
        assert_eq!(
            addresses(&["--set", "listen.address=1,2", "-p3"]),
            ["0.0.0.0:1", "0.0.0.0:2", "0.0.0.0:3"]
        );
        assert_eq!(served(&["-d", "/srv"]).site.root, PathBuf::from("/srv"));
        assert_eq!(served(&["--root=/srv"]).site.root, PathBuf::from("/srv"));
        assert_eq!(served(&["-v"]).log_level, log::LevelFilter::Debug);
        assert_eq!(
            served(&["-vv", "--verbose"]).log_level,
            log::LevelFilter::Debug
        );
        assert_eq!(
            served(&["--set", "site.symlinks=follow"]).site.symlinks,
            Symlinks::Follow
        );
        assert_eq!(
            served(&["--set= linger.idle_ms = 1s"])
                .limits
                .linger_idle_ms,
            1000
        );
        assert_eq!(
            served(&["--set=keepalive.off_agents=a=b"])
                .limits
                .keepalive_off_agents,
            [b"a=b"]
        );
    }

    #[test]
    fn commands_are_told_apart() {
        assert!(matches!(parsed(&["-t"]), Ok(Command::Test(_))));
        assert!(matches!(
            parsed(&["--test", "-p", "81"]),
            Ok(Command::Test(_))
        ));
        assert!(matches!(parsed(&["-V"]), Ok(Command::Version)));
        assert!(matches!(
            parsed(&["--version", "--nonsense"]),
            Ok(Command::Version)
        ));
        assert!(matches!(parsed(&["-h"]), Ok(Command::Help)));
        assert!(matches!(parsed(&["-fh"]), Ok(Command::Help)));
        // What stands behind the name of an errand is its own.
        for errand in ERRANDS {
            match parsed(&[errand.name, "-x", "doctor"]) {
                Ok(Command::Errand(found, behind)) => {
                    assert_eq!((found, behind.len()), (errand.errand, 2));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(parsed(&["-v", errand.name]).unwrap_err().code, 2);
        }
    }

    #[test]
    fn usage_errors_read_well_and_end_with_2() {
        for (arguments, line) in [
            (
                &["-x"][..],
                "-x: there is no such flag; adieu --help lists the flags",
            ),
            (
                &["--lisen", "80"],
                "--lisen: there is no such flag; adieu --help lists the flags",
            ),
            (
                &["/srv/www"],
                "/srv/www: adieu takes flags only; write -d DIR for a directory, -p [ADDR:]PORT \
                 for a port",
            ),
            (&["-p"], "-p: its value is missing; write -p [ADDR:]PORT"),
            (
                &["--set"],
                "--set: its value is missing; write --set KEY=VALUE",
            ),
            (&["-d", ""], "-d: the path is empty; name a directory"),
            (&["-c", ""], "-c: the path is empty; name a file"),
            (
                &["--config"],
                "--config: its value is missing; write --config FILE",
            ),
            (
                &["-p", "localhost:80"],
                "-p localhost:80: \"localhost:80\" is no numeric address with a port; write 8080, \
                 127.0.0.1:8080, [::]:8080 or unix:/run/adieu.sock",
            ),
            (
                &["--set", "linger.idle_ms"],
                "--set linger.idle_ms: there is no = in it; write --set KEY=VALUE, such as --set \
                 linger.idle_ms=2s",
            ),
            (
                &["--set", "log.level=loud"],
                "--set log.level=loud: log.level: there is no choice \"loud\"; write one of off, \
                 error, warn, info, debug",
            ),
            (
                &["--set", "lingr.bytes=1"],
                "--set lingr.bytes=1: there is no key lingr.bytes; did you mean linger.bytes? \
                 adieu --help lists the keys",
            ),
        ] {
            let error = parsed(arguments).unwrap_err();
            assert_eq!(error.to_string(), line);
            assert_eq!(error.code, 2, "{line}");
        }
        assert_eq!(parsed(&["--test=yes"]).unwrap_err().code, 2);
    }

    #[test]
    fn contradictions_end_with_78() {
        let error = parsed(&["-t", "--set", "memory.total=1MiB"]).unwrap_err();
        assert_eq!((error.code, error.place.as_str()), (78, "memory.total"));
    }

    #[test]
    fn values_that_are_not_utf8() {
        use std::os::unix::ffi::OsStringExt;
        let raw = OsString::from_vec(vec![b'/', 0xff]);
        let with = |flag: &str| parse([OsString::from(flag), raw.clone()], &Sizes::default());
        assert!(matches!(with("-d"), Ok(Command::Serve(..))));
        assert_eq!(with("--set").unwrap_err().code, 2);
        assert_eq!(
            with("-p").unwrap_err().to_string(),
            "-p: \"/\u{fffd}\" is not UTF-8; write it in UTF-8"
        );
    }

    #[test]
    fn help_names_every_flag_and_key_in_80_columns() {
        let text = help();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        for flag in FLAGS {
            assert!(text.contains(&format!("--{}", flag.long)));
        }
        for errand in ERRANDS {
            assert!(text.contains(&format!("\n       adieu {} ", errand.name)));
            assert!(text.contains(&format!("\n  {} ", errand.name)));
        }
        for key in KEYS {
            let defaults = key.value(&Config::default());
            let row = format!("  {}={defaults}", key.name);
            assert!(
                text.lines()
                    .any(|l| l == row || l.starts_with(&format!("{row}  ("))),
                "{}",
                key.name
            );
            assert!(text.contains(key.meaning));
        }
    }

    #[test]
    fn flags_are_named_once() {
        for (index, flag) in FLAGS.iter().enumerate() {
            let mut others = FLAGS.iter().skip(index + 1);
            assert!(
                others.all(|o| o.long != flag.long && (o.short.is_none() || o.short != flag.short))
            );
        }
    }

    #[test]
    fn the_version_names_the_flavour() {
        let line = version("linger");
        assert!(line.starts_with(concat!(
            "adieu ",
            env!("CARGO_PKG_VERSION"),
            " (linger; features: "
        )));
        assert!(line.contains("; commit ") && line.ends_with(')') && !line.contains('\n'));
    }
}
