//! The findings as text.
//!
//! Owns the layout. It must not judge. Invariants: plain text, no colour; words are never cut, and
//! but for them no line has more than 80 columns; nothing of the system is shown but numbers.

use super::{Case, Cure, Report, Severity};
use std::fmt;

/// How wide a line may be: a serial console.
const COLUMNS: usize = 80;
/// What stands before everything but the marks.
const INDENT: &str = "      ";

/// What the system is compared with.
pub(super) fn about(case: &Case<'_>, flavour: &str) -> String {
    format!(
        "memory.connections={}, {} MiB at worst, build {flavour}",
        case.config.connections,
        case.plan.sum_bytes.div_ceil(1 << 20),
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, finding) in &self.findings {
            let (mark, value) = (finding.severity.mark(), &finding.value);
            writeln!(f, "{mark:<4}  {name}: {value}")?;
            wrapped(f, INDENT, INDENT, &finding.why)?;
            for (index, cure) in finding.cures.iter().enumerate() {
                let (place, line) = match cure {
                    Cure::Sysctl(line) => ("/etc/sysctl.conf: ", line),
                    Cure::Key(line) => ("--set ", line),
                    Cure::Other(line) => ("", line),
                };
                let word = if index == 0 { "do" } else { "or" };
                let first = format!("{INDENT}{word}: {place}");
                wrapped(f, &first, "          ", line)?;
            }
        }
        let counts: Vec<String> = Severity::ALL
            .iter()
            .map(|severity| (self.count(*severity), severity))
            .filter(|(count, _)| *count > 0)
            .map(|(count, severity)| match severity {
                Severity::Unknown => format!("{count} unknown"),
                Severity::Fine | Severity::Note | Severity::Warn | Severity::Bad => {
                    format!("{count} {}", severity.mark())
                }
            })
            .collect();
        writeln!(f, "doctor: {}", counts.join(", "))?;
        wrapped(f, "for: ", "     ", &self.about)
    }
}

/// `text` behind `first`, and on further lines behind `next`, broken between words.
fn wrapped(f: &mut fmt::Formatter<'_>, first: &str, next: &str, text: &str) -> fmt::Result {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        let columns = line.chars().count() + 1 + word.chars().count();
        if !is_empty && columns > COLUMNS {
            writeln!(f, "{line}")?;
            line = next.to_owned();
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    writeln!(f, "{line}")
}
