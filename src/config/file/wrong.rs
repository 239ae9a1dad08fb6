//! Why a text is no configuration, in words of its own.
//!
//! Owns [`Wrong`], and how an objection of the grammar is said. It must not read a text. Invariant:
//! what is shown of a text is short and stands on one line.

use super::super::error::Text;
use toml_parser::{Expected, ParseError};

/// The most that is shown of a text, characters.
const SHOWN_MAX: usize = 64;
/// More ways to go on than this are not listed.
const EXPECTED_MAX: usize = 3;
/// The cure of everything that is no TOML.
pub(super) const SYNTAX: &str = "write [section], and beneath it key = \"text\", key = 5, \
                                 key = true or key = [\"one\", \"two\"]";

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: usize,
    /// The setting it is in; empty when it is in none.
    pub(super) name: String,
    pub(super) what: Text,
    pub(super) cure: Text,
}

impl Wrong {
    /// What the grammar objects to.
    pub(super) fn syntax(error: &ParseError, line: usize, name: String) -> Self {
        let mut what = Text::from(error.description().to_owned());
        let expected = error.expected().unwrap_or_default().iter();
        let expected: Vec<&str> = expected.filter_map(described).collect();
        if (1..=EXPECTED_MAX).contains(&expected.len()) {
            what = format!("{what}: {} is expected", expected.join(" or ")).into();
        }
        Self {
            line,
            name,
            what,
            cure: SYNTAX.into(),
        }
    }
}

fn described(expected: &Expected) -> Option<&'static str> {
    match expected {
        Expected::Literal("\n") => Some("the end of the line"),
        Expected::Literal(text) | Expected::Description(text) => Some(text),
        _ => None,
    }
}

/// The beginning of a text, on one line.
pub(super) fn shortened(text: &str) -> String {
    let plain = text.escape_debug().to_string();
    if plain.chars().count() <= SHOWN_MAX {
        return plain;
    }
    let begin = plain.chars().take(SHOWN_MAX);
    begin.chain("...".chars()).collect()
}
