//! The operator's faults: what stops the start, and how to cure it.
//!
//! Owns [`StartError`] and its exit codes. It must not print: `main` does. Invariant: displayed, it
//! is one line that names the place, the fault and the cure.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// A part of a message. Most are written down here, and those take no room in memory and little in
/// the program.
pub type Text = Cow<'static, str>;

/// Why the server did not start: what, where, and what to do. One line when displayed:
/// `WHERE: WHAT; CURE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    /// What went wrong, with the system's reason.
    pub what: Text,
    /// Where: a file and line, a key or a flag.
    pub place: String,
    /// What the operator can do.
    pub cure: Text,
    /// The exit code: 1 runtime, 2 usage, 78 configuration.
    pub code: u8,
}

impl StartError {
    /// Exit code: the configuration is sound, but the system refused for now: an address in use, a
    /// file system or an interface that is not there. It may cure itself, so a supervisor tries
    /// again.
    pub const RUNTIME: u8 = 1;
    /// Exit code: the command line is wrong.
    pub const USAGE: u8 = 2;
    /// Exit code: the configuration is wrong (EX_CONFIG of sysexits.h), or asks for what this
    /// system or this build does not give until somebody changes that: a user, a right, a limit, a
    /// part. An init system should not start the server again.
    pub const CONFIGURATION: u8 = 78;

    /// An error of the system at run time: exit code 1.
    #[must_use]
    pub fn runtime(place: impl AsRef<str>, what: impl Into<Text>, cure: impl Into<Text>) -> Self {
        Self::new(Self::RUNTIME, place.as_ref(), what.into(), cure.into())
    }

    /// A wrong command line: exit code 2.
    #[must_use]
    pub fn usage(place: impl AsRef<str>, what: impl Into<Text>, cure: impl Into<Text>) -> Self {
        Self::new(Self::USAGE, place.as_ref(), what.into(), cure.into())
    }

    /// A wrong configuration: exit code 78.
    #[must_use]
    pub fn configuration(
        place: impl AsRef<str>,
        what: impl Into<Text>,
        cure: impl Into<Text>,
    ) -> Self {
        Self::new(
            Self::CONFIGURATION,
            place.as_ref(),
            what.into(),
            cure.into(),
        )
    }

    /// Nothing but somebody's hand cures it: exit code 78.
    #[must_use]
    pub fn lasting(self) -> Self {
        let code = Self::CONFIGURATION;
        Self { code, ..self }
    }

    /// The same if it is for want of a right.
    #[must_use]
    pub fn lasting_if_forbidden(self, error: &io::Error) -> Self {
        match error.kind() == io::ErrorKind::PermissionDenied {
            true => self.lasting(),
            false => self,
        }
    }

    #[cold]
    fn new(code: u8, place: &str, what: Text, cure: Text) -> Self {
        Self {
            what,
            place: place.to_owned(),
            cure,
            code,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, what, cure) = (&self.place, &self.what, &self.cure);
        let bytes = [place.len(), what.len(), cure.len()];
        if bytes.iter().sum::<usize>() <= WHOLE_BYTES {
            return write!(f, "{place}: {what}; {cure}");
        }
        let (place, what) = (Short(place, PLACE_CHARS), Short(what, WHAT_CHARS));
        write!(f, "{place}: {what}; {cure}")
    }
}

/// A longer error is shortened: a line of the log has its bound, and what would be cut off there is
/// the cure.
const WHOLE_BYTES: usize = 420;
/// So much is left of a place then.
const PLACE_CHARS: usize = 100;
/// So much is left of what went wrong: the words of another, in front, are the longest part of it.
const WHAT_CHARS: usize = 160;

/// The beginning and the end of a text that has more characters than this.
struct Short<'a>(&'a str, usize);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, most) = *self;
        let count = text.chars().count();
        if count <= most {
            return f.write_str(text);
        }
        let front = most / 3;
        let behind = count.saturating_sub(most - front);
        text.chars()
            .take(front)
            .chain("...".chars())
            .chain(text.chars().skip(behind))
            .try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_what_went_wrong_is_its_cure_is_seen() {
        let path = "\u{e9}".repeat(300);
        let error = |path: &str| {
            let place = format!("--set site.auth=/ * {path} R");
            let what = format!("\"/ * {path} R\" names no file");
            StartError::usage(place, what, "write /u").to_string()
        };
        let short = error("u");
        assert_eq!(
            short,
            "--set site.auth=/ * u R: \"/ * u R\" names no file; write /u"
        );
        let long = error(&path);
        assert!(long.chars().count() < 300, "{long}");
        assert!(long.starts_with("--set site.auth=/ * \u{e9}"), "{long}");
        assert!(long.contains("\u{e9} R: \"/ * \u{e9}"), "{long}");
        assert!(
            long.ends_with("\u{e9} R\" names no file; write /u"),
            "{long}"
        );
    }
}
