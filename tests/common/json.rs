//! JSON as RFC 8259 has it, for tests only: strict, small, and with whole numbers alone.

use std::collections::BTreeMap;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Switch(bool),
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Members(BTreeMap<String, Json>),
}

impl Json {
    /// The value that these names lead to.
    pub(crate) fn at(&self, names: &[&str]) -> &Self {
        names.iter().fold(self, |value, name| {
            let found = value.members().get(*name);
            found.unwrap_or_else(|| panic!("there is no {name}"))
        })
    }

    pub(crate) fn number(&self) -> u64 {
        let Self::Number(number) = self else {
            panic!("no number: {self:?}");
        };
        *number
    }

    pub(crate) fn members(&self) -> &BTreeMap<String, Self> {
        let Self::Members(members) = self else {
            panic!("no object: {self:?}");
        };
        members
    }

    pub(crate) fn elements(&self) -> &[Self] {
        let Self::List(elements) = self else {
            panic!("no list: {self:?}");
        };
        elements
    }
}

/// The one value that `text` is.
pub(crate) fn parse(text: &str) -> Json {
    let mut rest = text;
    let value = value(&mut rest);
    assert_eq!(rest.trim_start(), "", "something behind the value");
    value
}

fn takes(rest: &mut &str, token: &str) -> bool {
    let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    match trimmed.strip_prefix(token) {
        Some(behind) => {
            *rest = behind;
            true
        }
        None => false,
    }
}

fn value(rest: &mut &str) -> Json {
    for (word, value) in [
        ("null", Json::Null),
        ("true", Json::Switch(true)),
        ("false", Json::Switch(false)),
    ] {
        if takes(rest, word) {
            return value;
        }
    }
    if takes(rest, "{") {
        let mut members = BTreeMap::new();
        while !takes(rest, "}") {
            assert!(
                members.is_empty() || takes(rest, ","),
                "no comma: {rest:.40}"
            );
            assert!(takes(rest, "\""), "no name: {rest:.40}");
            let name = string(rest);
            assert!(takes(rest, ":"), "no colon: {rest:.40}");
            let twice = members.insert(name, value(rest));
            assert_eq!(twice, None, "a name that stands there twice");
        }
        return Json::Members(members);
    }
    if takes(rest, "[") {
        let mut elements = Vec::new();
        while !takes(rest, "]") {
            assert!(
                elements.is_empty() || takes(rest, ","),
                "no comma: {rest:.40}"
            );
            elements.push(value(rest));
        }
        return Json::List(elements);
    }
    if takes(rest, "\"") {
        return Json::Text(string(rest));
    }
    takes(rest, "");
    let trimmed = rest.trim_start();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, behind) = trimmed.split_at(digits);
    assert!(!number.starts_with('0') || number == "0", "{number}");
    *rest = behind;
    Json::Number(number.parse().expect("a whole number"))
}

/// What stands up to the next quote: adieu writes nothing that needs an escape.
fn string(rest: &mut &str) -> String {
    let (text, behind) = rest.split_once('"').expect("the end of a string");
    let plain = |c: char| !c.is_control() && c != '\\';
    assert!(text.chars().all(plain), "{text}");
    *rest = behind;
    text.to_owned()
}
