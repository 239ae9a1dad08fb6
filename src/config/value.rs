//! Values of keys: from text, within bounds, and back to text.
//!
//! Owns units, the kinds of values and their parsers. It must not know any key. Invariants: no
//! input overflows; what [`Value`] displays is parsed back to the same value.

use super::auth::AuthRule;
use super::fault::Fault;
use super::listen::{self, Listen};
use super::mode::Mode;
use super::network::Networks;
use super::rules::{Access, Alias, ErrorPage, ExtraField, MediaType, Redirect, Rule};
use super::script::ScriptRule;
use super::upload::UploadRule;
use std::fmt;
use std::path::{Path, PathBuf};

/// The unit of a number. A plain number is in this unit; a suffix converts into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds: `ms`, `s`, `m`, `h`.
    Milliseconds,
    /// Seconds: `s`, `m`, `h`.
    Seconds,
    /// Bytes: `B`, `KiB`, `MiB`, `GiB`.
    Bytes,
    /// A number of things, without suffix.
    Count,
}

impl Unit {
    /// The short name behind a number; empty for a count.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Bytes => "B",
            Self::Count => "",
        }
    }

    /// Suffixes and what one of each is worth in this unit.
    const fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Milliseconds => &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)],
            Self::Seconds => &[("s", 1), ("m", 60), ("h", 3600)],
            Self::Bytes => &[
                ("B", 1),
                ("KiB", 1 << 10),
                ("MiB", 1 << 20),
                ("GiB", 1 << 30),
            ],
            Self::Count => &[],
        }
    }

    /// How a number of this unit may be written.
    const fn hint(self) -> &'static str {
        match self {
            Self::Milliseconds => "write a whole number such as 500, 500ms, 30s or 2m",
            Self::Seconds => "write a whole number such as 5, 5s or 1m",
            Self::Bytes => "write a whole number such as 4096, 64KiB, 8MiB or 1GiB",
            Self::Count => "write a whole number such as 16, without a unit",
        }
    }
}

/// Which values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number {
        /// The key's own unit.
        unit: Unit,
        /// The smallest, in that unit.
        min: u64,
        /// The largest, in that unit.
        max: u64,
    },
    /// `on` or `off`.
    Switch,
    /// A path of the file system, not empty.
    Path,
    /// One word without blanks, or `none`.
    Word,
    /// Words with commas between them; `none` for no word.
    Words,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Networks with commas or blanks between them; `none` for nobody.
    Networks,
    /// Rules, a line each; given again they add up, `none` takes all away.
    Lines(Lines),
    /// Addresses with commas between them.
    Listen,
    /// Permissions of a file, in octal digits.
    Mode,
}

/// What the lines of a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// [`Access`]
    Access,
    /// [`Alias`]
    Alias,
    /// [`AuthRule`]
    AuthRule,
    /// [`ErrorPage`]
    ErrorPage,
    /// [`ExtraField`]
    ExtraField,
    /// [`MediaType`]
    MediaType,
    /// [`Redirect`]
    Redirect,
    /// [`UploadRule`]
    UploadRule,
    /// [`ScriptRule`]
    ScriptRule,
}

impl Lines {
    /// How a line is written, and one that is sound.
    const fn form(self) -> (&'static str, &'static str) {
        match self {
            Self::Access => (
                "PATTERN allow or deny NETWORKS",
                "/admin allow 10.0.0.0/8,::1",
            ),
            Self::Alias => ("PATH DIRECTORY", "/docs /usr/share/doc"),
            Self::AuthRule => (
                "PATTERN METHODS FILE REALM",
                "/admin * /etc/adieu/users Administration",
            ),
            Self::ErrorPage => ("STATUS PATH", "404 /404.html"),
            Self::ExtraField => ("PATTERN NAME: VALUE", "*.css Cache-Control: max-age=86400"),
            Self::MediaType => ("EXTENSION TYPE", "wasm application/wasm"),
            Self::Redirect => ("STATUS FROM TO", "301 /old/* /new/*"),
            Self::UploadRule => ("PATTERN MAX_BYTES", "/inbox 64MiB"),
            Self::ScriptRule => ("PATTERN INTERPRETER or PATTERN", "*.php /usr/bin/php-cgi"),
        }
    }

    /// A line that is sound.
    #[must_use]
    pub const fn example(self) -> &'static str {
        self.form().1
    }

    /// The line as its rule displays it.
    fn checked(self, line: &str) -> Result<String, Fault> {
        match self {
            Self::Access => Access::parse(line).map(|rule| rule.to_string()),
            Self::Alias => Alias::parse(line).map(|rule| rule.to_string()),
            Self::AuthRule => AuthRule::parse(line).map(|rule| rule.to_string()),
            Self::ErrorPage => ErrorPage::parse(line).map(|rule| rule.to_string()),
            Self::ExtraField => ExtraField::parse(line).map(|rule| rule.to_string()),
            Self::MediaType => MediaType::parse(line).map(|rule| rule.to_string()),
            Self::Redirect => Redirect::parse(line).map(|rule| rule.to_string()),
            Self::UploadRule => UploadRule::parse(line).map(|rule| rule.to_string()),
            Self::ScriptRule => ScriptRule::parse(line).map(|rule| rule.to_string()),
        }
    }
}

/// A checked value. Displayed as it may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number, in the key's own unit.
    Number(u64, Unit),
    /// `on` or `off`.
    Switch(bool),
    /// A path.
    Path(PathBuf),
    /// A word; empty for none.
    Word(String),
    /// Words.
    Words(Vec<String>),
    /// Rules, as they are written; one that was parsed has one at most.
    Lines(Vec<String>),
    /// One of the words of its kind.
    Choice(&'static str),
    /// Networks.
    Networks(Networks),
    /// Addresses, at least one.
    Listen(Vec<Listen>),
    /// Permissions of a file.
    Mode(Mode),
}

impl Kind {
    /// The unit of its numbers.
    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Number { unit, .. } => unit,
            Self::Switch
            | Self::Path
            | Self::Word
            | Self::Words
            | Self::Choice(_)
            | Self::Networks
            | Self::Lines(_)
            | Self::Listen
            | Self::Mode => Unit::Count,
        }
    }

    /// The value that `text` stands for. Blanks around it do not count.
    ///
    /// # Errors
    /// When it is not of this kind, or outside its bounds.
    pub fn parse(self, text: &str) -> Result<Value, Fault> {
        let text = text.trim();
        match self {
            Self::Number { unit, min, max } => {
                Ok(Value::Number(number(text, unit, min, max)?, unit))
            }
            Self::Switch => match text {
                "on" => Ok(Value::Switch(true)),
                "off" => Ok(Value::Switch(false)),
                _ => Err(Fault::new(
                    format!("\"{text}\" is not on or off"),
                    "write on or off",
                )),
            },
            Self::Path if text.is_empty() => Err(Fault::new("the path is empty", "name a path")),
            Self::Path => Ok(Value::Path(PathBuf::from(text))),
            Self::Word if text == "none" => Ok(Value::Word(String::new())),
            Self::Word if text.is_empty() || text.contains(char::is_whitespace) => Err(Fault::new(
                format!("\"{text}\" is not one word"),
                "write one word, or none",
            )),
            Self::Word => Ok(Value::Word(text.to_owned())),
            Self::Words => words(text).map(Value::Words),
            Self::Networks => Networks::parse(text).map(Value::Networks),
            Self::Lines(_) if text == "none" => Ok(Value::Lines(vec![])),
            Self::Lines(lines) => Ok(Value::Lines(vec![lines.checked(text)?])),
            Self::Choice(choices) => match choices.iter().find(|choice| **choice == text) {
                Some(choice) => Ok(Value::Choice(choice)),
                None => {
                    let what = format!("there is no choice \"{text}\"");
                    Err(Fault::new(
                        what,
                        format!("write one of {}", choices.join(", ")),
                    ))
                }
            },
            Self::Listen => text
                .split(',')
                .map(listen::address)
                .collect::<Result<_, _>>()
                .map(Value::Listen),
            Self::Mode => Mode::parse(text).map(Value::Mode),
        }
    }

    /// The values it takes, for help: `10 to 600000 ms`, `on or off`, ...
    #[must_use]
    pub fn range(self) -> String {
        match self {
            Self::Number { unit, min, max } => {
                let (min, max) = (Value::Number(min, unit), Value::Number(max, unit));
                match unit {
                    Unit::Bytes | Unit::Count => format!("{min} to {max}"),
                    Unit::Milliseconds | Unit::Seconds => format!("{min} to {max} {}", unit.name()),
                }
            }
            Self::Switch => "on or off".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Word => "a word, or none".to_owned(),
            Self::Words => "words, with commas between them".to_owned(),
            Self::Networks => "networks, with commas between them".to_owned(),
            Self::Lines(lines) => format!("{}; repeatable", lines.form().0),
            Self::Choice(choices) => choices.join(", "),
            Self::Listen => "addresses, with commas between them".to_owned(),
            Self::Mode => "octal digits, such as 0660".to_owned(),
        }
    }
}

/// A whole number with an optional suffix, converted into `unit` and within `min..=max`.
fn number(text: &str, unit: Unit, min: u64, max: u64) -> Result<u64, Fault> {
    let outside = |given: &str| {
        let range = Kind::Number { unit, min, max }.range();
        Fault::new(
            format!("{given} is outside {range}"),
            "choose a value in that range",
        )
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(end).unwrap_or((text, ""));
    if digits.is_empty() {
        return Err(Fault::new(
            format!("\"{text}\" is not a whole number"),
            unit.hint(),
        ));
    }
    // Digits alone: the one error left is that they do not fit.
    let plain: u64 = digits.parse().map_err(|_| outside(text))?;
    let suffix = suffix.trim_start();
    if unit == Unit::Seconds && suffix == "ms" && plain % 1000 != 0 {
        return Err(Fault::new(
            format!("{text} is not a whole number of seconds"),
            unit.hint(),
        ));
    }
    let found = match (unit, suffix) {
        (_, "") => Some(plain),
        (Unit::Seconds, "ms") => Some(plain / 1000),
        (unit, suffix) => match unit.suffixes().iter().find(|(name, _)| *name == suffix) {
            Some((_, worth)) => plain.checked_mul(*worth),
            None => {
                return Err(Fault::new(
                    format!("\"{text}\" has no unit known here"),
                    unit.hint(),
                ));
            }
        },
    };
    found
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(|| outside(text))
}

/// Words with commas between them; `none` is no word.
fn words(text: &str) -> Result<Vec<String>, Fault> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    if words.iter().any(String::is_empty) {
        return Err(Fault::new(
            format!("\"{text}\" has an empty word"),
            "write words with commas between them, or none",
        ));
    }
    Ok(words)
}

/// `bytes` in the largest unit that divides it.
fn write_bytes(bytes: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (name, worth) in Unit::Bytes.suffixes().iter().rev() {
        if bytes >= *worth && *worth > 1 && bytes % *worth == 0 {
            return write!(f, "{}{name}", bytes / *worth);
        }
    }
    write!(f, "{bytes}")
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n, Unit::Bytes) => write_bytes(*n, f),
            Self::Number(n, Unit::Milliseconds | Unit::Seconds | Unit::Count) => write!(f, "{n}"),
            Self::Switch(on) => f.write_str(if *on { "on" } else { "off" }),
            Self::Path(path) => write!(f, "{}", Path::display(path)),
            Self::Word(word) if word.is_empty() => f.write_str("none"),
            Self::Word(word) => f.write_str(word),
            Self::Words(words) | Self::Lines(words) if words.is_empty() => f.write_str("none"),
            Self::Words(words) => f.write_str(&words.join(",")),
            Self::Networks(networks) => write!(f, "{networks}"),
            Self::Mode(mode) => write!(f, "{mode}"),
            Self::Lines(lines) => f.write_str(&lines.join("\n")),
            Self::Choice(choice) => f.write_str(choice),
            Self::Listen(listen) => {
                for (index, one) in listen.iter().enumerate() {
                    write!(f, "{}{one}", if index == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Kind = Kind::Number {
        unit: Unit::Milliseconds,
        min: 10,
        max: 600_000,
    };
    const BYTES: Kind = Kind::Number {
        unit: Unit::Bytes,
        min: 0,
        max: u64::MAX,
    };

    #[test]
    fn units_convert_into_the_keys_own() {
        let seconds = Kind::Number {
            unit: Unit::Seconds,
            min: 0,
            max: 7200,
        };
        let count = Kind::Number {
            unit: Unit::Count,
            min: 0,
            max: 99,
        };
        for (kind, text, expected) in [
            (MS, "500", 500),
            (MS, "500ms", 500),
            (MS, " 30 s ", 30_000),
            (MS, "2m", 120_000),
            (BYTES, "64KiB", 65_536),
            (BYTES, "8MiB", 8 << 20),
            (BYTES, "1GiB", 1 << 30),
            (BYTES, "7B", 7),
            (BYTES, "18446744073709551615", u64::MAX),
            (seconds, "5", 5),
            (seconds, "5s", 5),
            (seconds, "1m", 60),
            (seconds, "2h", 7200),
            (seconds, "3000ms", 3),
            (count, "0", 0),
            (count, "0099", 99),
        ] {
            let Ok(Value::Number(n, _)) = kind.parse(text) else {
                panic!("{text}")
            };
            assert_eq!(n, expected, "{text}");
        }
    }

    #[test]
    fn faults_of_numbers_name_the_bounds_or_the_way_to_write() {
        let seconds = Kind::Number {
            unit: Unit::Seconds,
            min: 1,
            max: 60,
        };
        for (kind, text, what) in [
            (MS, "", "\"\" is not a whole number"),
            (MS, "-5", "\"-5\" is not a whole number"),
            (MS, "+5", "\"+5\" is not a whole number"),
            (MS, "s", "\"s\" is not a whole number"),
            (MS, "1.5s", "\"1.5s\" has no unit known here"),
            (MS, "5 parsecs", "\"5 parsecs\" has no unit known here"),
            (MS, "5KiB", "\"5KiB\" has no unit known here"),
            (MS, "5ü", "\"5ü\" has no unit known here"),
            (MS, "9", "9 is outside 10 to 600000 ms"),
            (MS, "11m", "11m is outside 10 to 600000 ms"),
            (
                MS,
                "18446744073709551615h",
                "18446744073709551615h is outside 10 to 600000 ms",
            ),
            (
                MS,
                "99999999999999999999999",
                "99999999999999999999999 is outside 10 to 600000 ms",
            ),
            (BYTES, "8MB", "\"8MB\" has no unit known here"),
            (
                BYTES,
                "17179869184GiB",
                "17179869184GiB is outside 0 to 18446744073709551615",
            ),
            (seconds, "1500ms", "1500ms is not a whole number of seconds"),
            (seconds, "0", "0 is outside 1 to 60 s"),
        ] {
            assert_eq!(kind.parse(text).unwrap_err().what, what);
        }
    }

    #[test]
    fn words_switches_choices_and_paths() {
        let choice = Kind::Choice(&["one", "two"]);
        assert_eq!(
            Kind::Words.parse("a, b c"),
            Ok(Value::Words(vec!["a".into(), "b c".into()]))
        );
        assert_eq!(Kind::Words.parse("none"), Ok(Value::Words(vec![])));
        assert_eq!(choice.parse("two"), Ok(Value::Choice("two")));
        assert_eq!(Kind::Switch.parse("off"), Ok(Value::Switch(false)));
        assert_eq!(
            choice.parse("Two").unwrap_err().cure,
            "write one of one, two"
        );
        for (kind, text) in [
            (Kind::Words, ""),
            (Kind::Words, "a,,b"),
            (Kind::Switch, "true"),
            (Kind::Path, " "),
        ] {
            assert!(kind.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_in_the_largest_whole_unit() {
        for (n, shown) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1KiB"),
            (1536, "1536"),
            (64 << 20, "64MiB"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(Value::Number(n, Unit::Bytes).to_string(), shown);
            assert_eq!(BYTES.parse(shown), Ok(Value::Number(n, Unit::Bytes)));
        }
    }
}
