//! The help text.
//!
//! Owns its layout. It must not know more than the tables of errands, flags and keys say.
//! Invariant: no line has more than 80 columns.

use super::{ERRANDS, FLAGS};
use crate::config::Config;
use crate::config::keys::KEYS;
use crate::config::value::Kind;
use std::fmt::Write as _;

/// How wide the help text may be.
const COLUMNS: usize = 80;

/// The help text, at most 80 columns wide.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "adieu: a small HTTP/1.1 server that delivers every response and ends every\n\
         goodbye by a deadline.\n\nUsage: adieu [FLAGS]\n",
    );
    for errand in ERRANDS {
        let (name, behind) = (errand.name, errand.behind);
        push(&mut text, format_args!("       adieu {name} {behind}"));
    }
    text.push('\n');
    for errand in ERRANDS {
        let mut column = errand.name;
        for line in wrap(errand.meaning, COLUMNS - 31) {
            push(&mut text, format_args!("  {column:<28} {line}"));
            column = "";
        }
    }
    text.push_str("\nFlags:\n");
    for flag in FLAGS {
        let short = flag
            .short
            .map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let left = format!("{short}--{} {}", flag.long, flag.value);
        let mut column = left.trim_end().to_owned();
        for line in wrap(flag.meaning, COLUMNS - 31) {
            push(&mut text, format_args!("  {column:<28} {line}"));
            column.clear();
        }
    }
    text.push_str("\nKeys of --set KEY=VALUE, each with its default:\n");
    let defaults = Config::default();
    for key in KEYS {
        let shown = key.value(&defaults);
        let range = key.kind.range();
        let apply = key.apply.name();
        let values = match key.kind {
            Kind::Number { .. } | Kind::Switch | Kind::Choice(_) | Kind::Lines(_) => {
                format!("({range}; {apply})")
            }
            Kind::Path | Kind::Word | Kind::Words | Kind::Listen | Kind::Mode | Kind::Networks => {
                format!("({apply})")
            }
        };
        let left = format!("  {}={shown}", key.name);
        if left.len() + values.len() + 2 <= COLUMNS {
            push(&mut text, format_args!("{left}  {values}"));
        } else {
            push(&mut text, format_args!("{left}"));
            push(&mut text, format_args!("      {values}"));
        }
        push(&mut text, format_args!("      {}", key.meaning));
    }
    text.push_str(
        "\nIn a file, section.key is written key = value beneath [section]; see\n\
         adieu.toml(5).\n\
         \nA plain number is in the unit at the end of its key's name. Times take ms, s, m\n\
         and h, sizes B, KiB, MiB and GiB. A list has commas between its words; none is\n\
         the empty one. The word in brackets says what makes a changed value hold.\n\
         \nExit codes: 0 stopped, 1 the system refused for now, 2 wrong command line,\n\
         78 wrong configuration, or one that this system or build cannot serve.\n",
    );
    text
}

/// One line more; writing to a string does not fail.
fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}

/// `text` in lines of at most `columns`, broken between words.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len().saturating_add(word.len()) < columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
