//! What stands in a configuration file, before anybody asks what it means.
//!
//! Owns [`Entry`] and what it is made of. It must not know any key. Invariant: each value has its
//! line.

use std::borrow::Cow;

/// A name with dots, as its parts.
pub(super) type Name = Vec<String>;

/// What stands in a file.
#[derive(Debug)]
pub(super) enum Entry {
    /// `[NAME]`
    Section(Name, usize),
    /// `NAME = VALUE`; the section is the first part of the name.
    Setting(Name, Item),
}

/// A value and its line.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) written: Written,
    pub(super) line: usize,
}

/// A value.
#[derive(Debug)]
pub(super) enum Written {
    String(String),
    /// Decimal digits, and a sign if there was one.
    Integer(String),
    Boolean(bool),
    Array(Vec<Item>),
    /// Neither in quotes nor a number, a boolean or a date: the beginning of it.
    Bare(String),
    /// Something that no key takes: what it is.
    Other(&'static str),
}

impl Written {
    /// What it is, with its article.
    pub(super) fn is(&self) -> Cow<'static, str> {
        match self {
            Self::String(_) => "a string".into(),
            Self::Integer(_) => "an integer".into(),
            Self::Boolean(_) => "a boolean".into(),
            Self::Array(_) => "an array".into(),
            Self::Bare(text) if text.is_empty() => "nothing".into(),
            Self::Bare(text) => format!("{text} without quotes").into(),
            Self::Other(what) => (*what).into(),
        }
    }
}
