//! `adieu doctor`: is this system what the configuration needs?
//!
//! Owns the table of checks and what they find. It must not serve, nor change anything of the
//! system. Its rooms: `readings` (what the system says), `group` (control groups), `probe` (two
//! sockets), `checks` (the judgement), `page` (the text).
//!
//! Invariants: a check reads nothing but its [`Case`], so what it says of a device can be tried
//! without one; what cannot be read is unknown, and unknown is no failure; every finding that is
//! worse than a note has a cure.

mod checks;
mod group;
mod page;
mod probe;
mod readings;
#[cfg(test)]
mod tests;

pub use checks::CHECKS;
pub use group::Group;
pub use probe::Probe;
pub use readings::Readings;

use crate::config::{Config, Plan, Setup, StartError};
use crate::connection::state::Teardown;

/// This build has a doctor.
pub const BUILT: bool = cfg!(feature = "doctor");

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is what is needed.
    Fine,
    /// It cannot be read here.
    Unknown,
    /// Nothing to do, but good to know.
    Note,
    /// Every promise is kept, but less is served than was configured, or slower; or it is kept
    /// only while others need little.
    Warn,
    /// A promise is not kept at worst: it does not start, answers are lost, memory is not there.
    Bad,
}

impl Severity {
    /// All, in order.
    pub const ALL: [Self; 5] = [Self::Fine, Self::Unknown, Self::Note, Self::Warn, Self::Bad];

    /// The word in front of a line, at most four columns.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unknown => "?",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// What helps: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cure {
    /// A line of /etc/sysctl.conf.
    Sysctl(String),
    /// A key of adieu, as --set takes it.
    Key(String),
    /// Something else.
    Other(String),
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What the system has, shown.
    pub value: String,
    /// What is needed, and why: a sentence.
    pub why: String,
    /// What helps; the first is the best.
    pub cures: Vec<Cure>,
}

// Never inlined: nobody waits for them, and each of fifty copies would stand in the program.
impl Finding {
    #[inline(never)]
    fn new(severity: Severity, value: String, why: String) -> Self {
        Self {
            severity,
            value,
            why,
            cures: vec![],
        }
    }

    fn fine(value: String, why: impl Into<String>) -> Self {
        Self::new(Severity::Fine, value, why.into())
    }

    fn note(value: String, why: impl Into<String>) -> Self {
        Self::new(Severity::Note, value, why.into())
    }

    fn warn(value: String, why: impl Into<String>) -> Self {
        Self::new(Severity::Warn, value, why.into())
    }

    fn bad(value: String, why: impl Into<String>) -> Self {
        Self::new(Severity::Bad, value, why.into())
    }

    /// One more line that helps.
    #[inline(never)]
    fn or(mut self, cure: Cure) -> Self {
        self.cures.push(cure);
        self
    }

    /// The same, if there is one.
    fn or_if(self, cure: Option<Cure>) -> Self {
        match cure {
            Some(cure) => self.or(cure),
            None => self,
        }
    }
}

/// What is judged.
#[derive(Debug)]
pub struct Case<'a> {
    /// Settled.
    pub config: &'a Config,
    /// Its plan.
    pub plan: &'a Plan,
    /// How connections end in this build.
    pub teardown: Teardown,
    /// What the system says.
    pub readings: &'a Readings,
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its name: of a sysctl, or a word or two. At most 32 columns.
    pub name: &'static str,
    /// None: what it needs cannot be read.
    judge: fn(&Case<'_>) -> Option<Finding>,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it was compared with: a line.
    pub about: String,
    /// The name of each check and what it found, the worst last: there a small screen ends.
    pub findings: Vec<(&'static str, Finding)>,
}

impl Report {
    /// Exit code: something could be better. Not 1, which is that the system refused.
    pub const WARN: u8 = 3;
    /// Exit code: something must be changed. Not 2, which is a wrong command line.
    pub const BAD: u8 = 4;

    /// How many findings are this bad.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let all = self.findings.iter();
        all.filter(|(_, f)| f.severity == severity).count()
    }

    /// The exit code of the worst finding: 0, [`Report::WARN`] or [`Report::BAD`].
    #[must_use]
    pub fn code(&self) -> u8 {
        let worst = self.findings.iter().map(|(_, f)| f.severity).max();
        match worst {
            Some(Severity::Bad) => Self::BAD,
            Some(Severity::Warn) => Self::WARN,
            Some(Severity::Note | Severity::Unknown | Severity::Fine) | None => 0,
        }
    }
}

/// Asks the system about a configuration: the text of what was found, and the exit code.
///
/// # Errors
/// Code 2 when this build has no doctor.
pub fn examine(
    setup: &Setup,
    teardown: Teardown,
    flavour: &str,
) -> Result<(String, u8), StartError> {
    if !BUILT {
        return Err(StartError::usage(
            "doctor",
            "this build has none",
            "read conf/sysctl.conf, or build adieu with the feature doctor",
        ));
    }
    let readings = Readings::of_system(&setup.config);
    let case = Case {
        config: &setup.config,
        plan: &setup.plan,
        teardown,
        readings: &readings,
    };
    let mut report = judge(&case);
    report.about = page::about(&case, flavour);
    Ok((report.to_string(), report.code()))
}

/// Every check, the worst last.
#[must_use]
pub fn judge(case: &Case<'_>) -> Report {
    let unknown = || {
        let why = "It cannot be read here: a container, a namespace, or another kernel.";
        Finding::new(Severity::Unknown, "unknown".to_owned(), why.to_owned())
    };
    let all: Vec<(&'static str, Finding)> = CHECKS
        .iter()
        .map(|check| (check.name, (check.judge)(case).unwrap_or_else(unknown)))
        .collect();
    // Once for each severity: a sort would be ten times the code.
    let mut findings = Vec::with_capacity(all.len());
    for severity in Severity::ALL {
        let such = all.iter().filter(|(_, f)| f.severity == severity);
        findings.extend(such.cloned());
    }
    Report {
        about: String::new(),
        findings,
    }
}
