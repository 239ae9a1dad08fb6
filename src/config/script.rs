//! Which requests scripts answer, and what scripts may use.
//!
//! Owns [`ScriptRule`], a rule of a site, and [`ScriptConfig`], what holds for all of them. It must
//! not look whether a script is there. Invariant: what is displayed is parsed back to the same
//! rule.

use super::fault::Fault;
use super::pattern::Pattern;
use super::rules::{Rule, two};
use std::fmt;

/// The longest path of an interpreter, bytes: it is sent to the starter in one message.
const INTERPRETER_BYTES: usize = 255;

/// What holds for all scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptConfig {
    /// Scripts that run at the same time.
    pub at_once: u16,
    /// Requests that wait for one of them to end.
    pub waiting: u16,
    /// From the start of a script to its end, ms.
    pub total_ms: u32,
    /// From TERM to KILL, ms.
    pub kill_ms: u32,
    /// The longest request body a script gets.
    pub body_bytes: u64,
    /// The longest of unknown length, which is kept in memory first; 0: none.
    pub spool_bytes: u32,
    /// The most that a script may answer; 0: no bound.
    pub output_bytes: u64,
    /// Processes of the server's user; 0: no bound.
    pub processes: u32,
    /// Address space of each process; 0: no bound.
    pub memory_bytes: u64,
    /// Processor time of each process, s; 0: no bound.
    pub cpu_s: u32,
    /// They gain no privileges by executing anything.
    pub no_new_privs: bool,
    /// Where they read and execute; with the next one empty: everywhere.
    pub sandbox_read: Vec<String>,
    /// Where they change files, too.
    pub sandbox_write: Vec<String>,
}

impl Default for ScriptConfig {
    fn default() -> Self {
        Self {
            at_once: 4,              // as many interpreters as a device of 64 MB holds
            waiting: 8,              // a page asks for six things at once
            total_ms: 600_000,       // a firmware is written in less
            kill_ms: 2_000,          // time to remove a lock
            body_bytes: 1 << 20,     // forms and small pictures; a firmware needs more
            spool_bytes: 64 << 10,   // memory, for each of them
            output_bytes: 0,         // a backup may be long
            processes: 0,            // who knows what else the user runs?
            memory_bytes: 256 << 20, // address space, of which interpreters use little
            cpu_s: 60,               // who computes for a minute will not end
            no_new_privs: false,     // those that call sudo or ping must go on working
            sandbox_read: vec![],    // nobody else knows what they need
            sandbox_write: vec![],
        }
    }
}

/// `PATTERN [INTERPRETER]`: files of such a path are scripts, executed or interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptRule {
    /// The paths of the scripts.
    pub pattern: Pattern,
    /// The program that interprets them, from `/` on; empty: they are programs themselves.
    pub interpreter: String,
}

impl Rule for ScriptRule {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write /cgi-bin, or *.php /usr/bin/php-cgi";
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), cure);
        let (pattern, interpreter) = two(line).unwrap_or((line.trim(), ""));
        let interpreter = interpreter.trim_end();
        let wrong = !interpreter.is_empty() && !interpreter.starts_with('/');
        if wrong || interpreter.len() > INTERPRETER_BYTES || interpreter.contains('\0') {
            return Err(fault(
                "names no interpreter, from / on and of 255 bytes at most",
            ));
        }
        let pattern = Pattern::parse(pattern)?;
        let whole = pattern.as_path().is_some_and(|path| path == b"/");
        if whole || pattern.front() == (vec![], true) && !pattern.to_string().contains(is_other) {
            return Err(fault("would make everything a script"));
        }
        Ok(Self {
            pattern,
            interpreter: interpreter.to_owned(),
        })
    }
}

/// Anything but a star.
fn is_other(c: char) -> bool {
    c != '*'
}

impl fmt::Display for ScriptRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interpreter.as_str() {
            "" => self.pattern.fmt(f),
            interpreter => write!(f, "{} {interpreter}", self.pattern),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_shown() {
        for line in [
            "/cgi-bin",
            "/cgi-bin/",
            "*.cgi",
            "*.php /usr/bin/php-cgi",
            "/lua/*.lua /usr/bin/my lua",
            "*x*",
        ] {
            let rule = ScriptRule::parse(line).unwrap();
            assert_eq!(rule.to_string(), line);
            assert_eq!(ScriptRule::parse(&rule.to_string()).unwrap(), rule);
        }
        let long = format!("*.x /{}", "i".repeat(255));
        for line in [
            "",
            "/",
            "*",
            "**",
            "cgi-bin",
            "*.php php-cgi",
            "/a//b",
            &long,
            "*.x /a\0",
        ] {
            assert!(ScriptRule::parse(line).is_err(), "{line}");
        }
        assert_eq!(
            ScriptRule::parse("  *.php \t /bin/x  ")
                .unwrap()
                .to_string(),
            "*.php /bin/x"
        );
    }
}
