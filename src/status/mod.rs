//! `adieu status`: what a running server says of itself, for a terminal or a check.
//!
//! Owns its flags, and where it looks. It must not interpret what the server says, nor print: it is
//! handed over. Invariants: it ends within its time; whatever answers can neither fill the memory
//! nor move the cursor.
//!
//! The server is our own, so the asking is a GET of a few lines (`ask`) and no crate.

mod ask;
mod place;

use crate::config::status::{self, DEFAULT_SOCKET, Form};
use crate::config::{Config, Draft, Sizes, StartError, file};
use lexopt::{Arg, Parser};
use place::Place;
use std::ffi::OsString;
use std::path::PathBuf;

/// One flag of `adieu status`.
#[derive(Debug)]
pub struct Flag {
    /// `-c`, if it has a short form.
    pub short: Option<char>,
    /// `--config`
    pub long: &'static str,
    /// The word for its value; empty when it takes none.
    pub value: &'static str,
    /// What it does.
    pub meaning: &'static str,
    action: Action,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Config,
    Give(Form),
    Timeout,
    Help,
}

/// Every flag, in the order of the help.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    Flag { short: Some('c'), long: "config", value: "FILE", action: Action::Config,
        meaning: "Look where this configuration says that it is." },
    Flag { short: Some('j'), long: "json", value: "", action: Action::Give(Form::Json),
        meaning: "Give JSON, as it comes." },
    Flag { short: Some('p'), long: "prometheus", value: "", action: Action::Give(Form::Metrics),
        meaning: "Give the text format of Prometheus, as it comes." },
    Flag { short: Some('t'), long: "timeout", value: "SECONDS", action: Action::Timeout,
        meaning: "Give up after this; 5 without it." },
    Flag { short: Some('h'), long: "help", value: "", action: Action::Help,
        meaning: "Print this, and exit." },
];

/// The cure of every usage error.
const CURE: &str = "adieu status --help lists the flags";
/// Longer than any server takes that serves at all, s.
const TIMEOUT_S: u32 = 5;
/// An hour: longer ones hide a fault.
const TIMEOUT_MAX_S: u32 = 3600;

/// What is asked for.
struct Wish {
    config: Option<PathBuf>,
    form: Form,
    timeout_s: u32,
    place: Option<String>,
    help: bool,
}

/// What the server says, or the help.
///
/// # Errors
/// Code 1 when nobody answers or the answer is none; 2 for a wrong flag; 78 for a configuration
/// that is wrong or does not show the status.
pub fn run(arguments: Vec<OsString>) -> Result<String, StartError> {
    if !status::BUILT {
        let what = "this build does not show its status";
        let cure = "build adieu with the feature status";
        return Err(StartError::usage("status", what, cure));
    }
    let wish = parse(arguments)?;
    if wish.help {
        return Ok(help());
    }
    let place = match (&wish.place, &wish.config) {
        (Some(place), _) => Place::parse(place)?,
        (None, Some(path)) => {
            let mut draft = Draft::new();
            file::load(&mut draft, path)?;
            of_config(&draft.finish(&Sizes::default())?.config)?
        }
        (None, None) => Place::of_socket(DEFAULT_SOCKET.into()),
    };
    let answered = ask::ask(&place, wish.form, wish.timeout_s);
    let text = answered.map_err(|fault| {
        let cure = match (&wish.place, &wish.config) {
            (None, None) => {
                "nothing else was tried: name a SOCKET or URL, or the configuration with -c FILE"
            }
            (_, _) => fault.cure,
        };
        StartError::runtime(place.to_string(), fault.what, cure)
    })?;
    Ok(harmless(&text))
}

fn parse(arguments: Vec<OsString>) -> Result<Wish, StartError> {
    let mut wish = Wish {
        config: None,
        form: Form::Text,
        timeout_s: TIMEOUT_S,
        place: None,
        help: false,
    };
    let wrong = |place: &str, what: String| StartError::usage(place, what, CURE);
    let mut parser = Parser::from_args(arguments);
    loop {
        let next = parser
            .next()
            .map_err(|error| wrong("status", error.to_string()))?;
        let (flag, shown) = match next {
            None => return Ok(wish),
            Some(Arg::Value(value)) => {
                let shown = value.to_string_lossy().into_owned();
                if wish.place.replace(shown.clone()).is_some() {
                    return Err(wrong(&shown, "one place is enough".to_owned()));
                }
                continue;
            }
            Some(Arg::Short(short)) => (by(|f| f.short == Some(short)), format!("-{short}")),
            Some(Arg::Long(long)) => (by(|f| f.long == long), format!("--{long}")),
        };
        let Some(flag) = flag else {
            return Err(wrong(&shown, "there is no such flag".to_owned()));
        };
        let value = match flag.value {
            "" => OsString::new(),
            value => parser.value().map_err(|_| {
                let cure = format!("write {shown} {value}");
                StartError::usage(&shown, "its value is missing", cure)
            })?,
        };
        match flag.action {
            Action::Config => wish.config = Some(PathBuf::from(value)),
            Action::Give(form) => wish.form = form,
            Action::Help => wish.help = true,
            Action::Timeout => {
                let number = value.to_str().and_then(|text| text.parse().ok());
                let number = number.filter(|s| (1..=TIMEOUT_MAX_S).contains(s));
                wish.timeout_s = number.ok_or_else(|| {
                    let cure = "write a whole number from 1 to 3600, such as 5";
                    let what = format!("\"{}\" are no seconds", value.to_string_lossy());
                    StartError::usage(&shown, what, cure)
                })?;
            }
        }
    }
}

fn by(is: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| is(flag))
}

/// Where the server of this configuration shows it.
fn of_config(config: &Config) -> Result<Place, StartError> {
    if !config.status.socket.is_empty() {
        return Ok(Place::of_socket(PathBuf::from(&config.status.socket)));
    }
    let what = "this configuration shows no status";
    let cure = "set status.socket, such as /run/adieu/status";
    let none = || StartError::configuration("status.socket", what, cure);
    if config.status.path.is_empty() {
        return Err(none());
    }
    let mut places = config.listen.iter();
    let place = places.find_map(|listen| Place::of_listener(listen, &config.status.path));
    place.ok_or_else(none)
}

/// The help, at most 80 columns wide.
fn help() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "adieu status: what a running server says of itself.\n\n\
         Usage: adieu status [FLAGS] [SOCKET|URL]\n\n\
         SOCKET is status.socket, a path; URL is status.path, such as\n\
         http://127.0.0.1:8080/-/status. ",
    );
    let _ = writeln!(text, "Without both and without -c: {DEFAULT_SOCKET}.\n");
    for flag in FLAGS {
        let short = flag
            .short
            .map_or_else(String::new, |short| format!("-{short}, "));
        let left = format!("{short}--{} {}", flag.long, flag.value);
        let meaning = flag.meaning;
        let _ = writeln!(text, "  {:<24} {meaning}", left.trim_end());
    }
    text.push_str(
        "\nExit codes: 0 it answered, 1 it did not, 2 wrong command line, 78 wrong\n\
         configuration.\n",
    );
    text
}

/// Without what a terminal would obey.
fn harmless(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let plain = |c: char| if c.is_control() && c != '\n' { '?' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        let error = run(arguments.iter().map(OsString::from).collect()).unwrap_err();
        format!("{} {error}", error.code)
    }

    #[test]
    fn wrong_command_lines_read_well() {
        if !status::BUILT {
            let line = "2 status: this build does not show its status; build adieu with the \
                        feature status";
            assert_eq!(refused(&[]), line);
            return;
        }
        for (arguments, line) in [
            (
                &["-x"][..],
                "2 -x: there is no such flag; adieu status --help lists the flags",
            ),
            (
                &["/a", "/b"],
                "2 /b: one place is enough; adieu status --help lists the flags",
            ),
            (&["-c"], "2 -c: its value is missing; write -c FILE"),
            (
                &["-t", "0"],
                "2 -t: \"0\" are no seconds; write a whole number from 1 to 3600, such as 5",
            ),
            (
                &["run/status"],
                "2 run/status: it is no place; write the path of a socket from / on, or a URL \
                 such as http://127.0.0.1:8080/-/status",
            ),
        ] {
            assert_eq!(refused(arguments), line);
        }
    }

    #[test]
    fn the_help_fits_a_terminal() {
        for line in help().lines() {
            assert!(line.len() <= 80, "{line}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        assert_eq!(
            harmless(b"a\x1b[2J\r\nb\xff\x9b"),
            "a?[2J?\nb\u{fffd}\u{fffd}"
        );
    }
}
