//! What a file says becomes values of keys.
//!
//! Owns which kind of TOML each kind of value is written in. It must not read a file. Invariants:
//! whatever is refused is refused with file, line, key and cure; what is taken could be given by
//! `--set`, too.

use super::super::error::Text;
use super::super::fault::Fault;
use super::super::key::distance;
use super::super::keys::{KEYS, Key};
use super::super::value::{Kind, Unit, Value};
use super::super::{Draft, Origin, StartError, Target, draft, listen};
use super::entry::{Entry, Item, Name, Written};
use super::toml;
use super::wrong::Wrong;

/// Gives what the text says to the draft.
pub(super) fn give(draft: &mut Draft, file: &str, text: &str) -> Result<(), StartError> {
    let wrong = |wrong: Wrong| {
        let what = match wrong.name.as_str() {
            "" => wrong.what,
            name => format!("{name}: {}", wrong.what).into(),
        };
        StartError::configuration(format!("{file}:{}", wrong.line), what, wrong.cure)
    };
    let entries = toml::entries(text).map_err(wrong)?;
    for (index, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Section(name, line) => {
                let rest = entries.iter().skip(index.saturating_add(1));
                section(name, *line, rest).map_err(wrong)?;
            }
            Entry::Setting(name, item) => setting(draft, file, name, item)?,
        }
    }
    Ok(())
}

/// The sections of the key table, in order.
fn sections() -> Vec<&'static str> {
    let mut names: Vec<&str> = KEYS
        .iter()
        .filter_map(|key| key.name.split_once('.'))
        .map(|(s, _)| s)
        .collect();
    names.dedup();
    names
}

/// `[NAME]`: there is such a section, and a site is not empty.
fn section<'e>(
    name: &Name,
    line: usize,
    mut rest: impl Iterator<Item = &'e Entry>,
) -> Result<(), Wrong> {
    let parts: Vec<&str> = name.iter().map(String::as_str).collect();
    let shown = name.join(".");
    let wrong = |what: Text, cure: Text| Wrong {
        line,
        name: String::new(),
        what,
        cure,
    };
    match parts[..] {
        ["sites"] => Ok(()),
        ["sites", site] => {
            Target::named(&format!("sites.{site}.root"))
                .map_err(|fault| wrong(fault.what, fault.cure))?;
            let inside = |entry: &Entry| match entry {
                Entry::Setting(other, _) => other.starts_with(name),
                Entry::Section(..) => false,
            };
            if rest.next().is_some_and(inside) {
                return Ok(());
            }
            let what = format!("[{shown}] has no keys: nobody could reach the site");
            let cure = "write its hosts, such as hosts = [\"cam.lan\"]";
            Err(wrong(what.into(), cure.into()))
        }
        [one] if sections().contains(&one) => Ok(()),
        _ => {
            if let Ok(target) = Target::named(&shown) {
                let (before, last) = shown.rsplit_once('.').unwrap_or_default();
                let example = example(target.key);
                let what = format!("[{shown}] is a key, not a section");
                let cure = format!("write {last} = {example} beneath [{before}]");
                return Err(wrong(what.into(), cure.into()));
            }
            let what = format!("there is no section [{shown}]");
            Err(wrong(what.into(), no_section(&shown).into()))
        }
    }
}

/// The cure of a section that is none.
fn no_section(shown: &str) -> String {
    let known = sections();
    let near = known.iter().find(|known| distance(known, shown) <= 2);
    match near {
        Some(near) => format!("did you mean [{near}]?"),
        None => format!("write one of {}, or [sites.NAME]", bracketed(&known)),
    }
}

/// `NAME = VALUE`
fn setting(draft: &mut Draft, file: &str, name: &Name, item: &Item) -> Result<(), StartError> {
    let place = |line: usize| format!("{file}:{line}");
    let shown = name.join(".");
    let target = match Target::named(&shown) {
        Ok(target) if target.name() == shown => target,
        Ok(_) => {
            let what = format!("there is no key {shown}");
            let cure = "adieu --help lists them";
            return Err(StartError::configuration(place(item.line), what, cure));
        }
        Err(fault) => {
            let (what, cure) = unknown(name, item, fault);
            return Err(StartError::configuration(place(item.line), what, cure));
        }
    };
    let short = name.last().map_or("", String::as_str);
    let (value, elements) = value_of(target.key, short, item).map_err(|(line, fault)| {
        let at = place(line);
        let error = draft::refusal(target.key, fault, &at);
        match &target.site {
            None => error,
            Some(_) => StartError {
                what: error.what.replacen(target.key.name, &shown, 1).into(),
                ..error
            },
        }
    })?;
    let elements = elements.into_iter().map(|(text, line)| (text, place(line)));
    let origin = Origin {
        name: shown,
        place: place(item.line),
        elements: elements.collect(),
    };
    draft.take_from_file(target, value, origin)
}

/// Why there is no such key, and what was meant.
fn unknown(name: &Name, item: &Item, fault: Fault) -> (String, Text) {
    let shown = name.join(".");
    let parts: Vec<&str> = name.iter().map(String::as_str).collect();
    let known = sections();
    match parts[..] {
        [one] if known.contains(&one) || one == "sites" => {
            let what = format!(
                "{one} is a section, and {} is written for it",
                item.written.is()
            );
            (
                what,
                format!("write [{one}] on a line of its own, its keys beneath it").into(),
            )
        }
        ["sites", site] => {
            let what = format!(
                "sites.{site} is a section, and {} is written",
                item.written.is()
            );
            (
                what,
                format!("write [sites.{site}] on a line of its own, its keys beneath it").into(),
            )
        }
        [one] => {
            let what = format!("{one} stands in no section");
            match elsewhere(one, &known) {
                None => (
                    what,
                    format!("write it beneath one of {}", bracketed(&known)).into(),
                ),
                Some(cure) => (what, cure.into()),
            }
        }
        [section, one] if known.contains(&section) => {
            let what = format!("there is no key {shown}");
            (what, elsewhere(one, &known).map_or(fault.cure, Text::from))
        }
        ["sites", site, one] => {
            let from = fault.what;
            let what = from.replacen("key site.", &format!("key sites.{site}."), 1);
            let others: Vec<&str> = known.iter().filter(|s| **s != "site").copied().collect();
            (what, elsewhere(one, &others).map_or(fault.cure, Text::from))
        }
        [section, _] => {
            let what = format!("there is no section [{section}]");
            (what, no_section(section).into())
        }
        _ => (
            format!("there is no key {shown}"),
            "adieu --help lists the keys".into(),
        ),
    }
}

/// The sections that have a key of this name.
fn elsewhere(short: &str, sections: &[&str]) -> Option<String> {
    let has = |section: &&&str| {
        KEYS.iter()
            .any(|key| key.name == format!("{section}.{short}"))
    };
    let found: Vec<&str> = sections.iter().filter(has).copied().collect();
    (!found.is_empty())
        .then(|| format!("{short} is a key of {}: write it there", bracketed(&found)))
}

fn bracketed(sections: &[&str]) -> String {
    let shown: Vec<String> = sections
        .iter()
        .map(|section| format!("[{section}]"))
        .collect();
    shown.join(", ")
}

/// The parts of a list, each with its line.
type Elements = Vec<(String, usize)>;

/// The value of a key, or the line and the fault.
fn value_of(key: &Key, short: &str, item: &Item) -> Result<(Value, Elements), (usize, Fault)> {
    let line = item.line;
    let mismatch = |item: &Item, wanted: &str| {
        let what = format!("{} is written, and {wanted} is wanted", item.written.is());
        let cure = if key.kind == Kind::Switch {
            format!("write {short} = true or {short} = false")
        } else {
            format!("write it as in {short} = {}", example(key))
        };
        (item.line, Fault::new(what, cure))
    };
    let parsed = |text: &str| key.kind.parse(text).map_err(|fault| (line, fault));
    let one = |value: Value| (value, Elements::new());
    match (key.kind, &item.written) {
        (Kind::Number { .. }, Written::Integer(digits)) => parsed(digits).map(one),
        (Kind::Number { unit, .. }, Written::String(text)) if unit != Unit::Count => {
            parsed(text).map(one)
        }
        (
            Kind::Number {
                unit: Unit::Count, ..
            },
            _,
        ) => Err(mismatch(item, "an integer")),
        (Kind::Number { .. }, _) => Err(mismatch(item, "an integer or a string with a unit")),
        (Kind::Switch, Written::Boolean(on)) => Ok(one(Value::Switch(*on))),
        (Kind::Switch, _) => Err(mismatch(item, "a boolean")),
        (Kind::Path | Kind::Word | Kind::Choice(_) | Kind::Mode, Written::String(text)) => {
            parsed(text).map(one)
        }
        (Kind::Path | Kind::Word | Kind::Choice(_) | Kind::Mode, _) => {
            Err(mismatch(item, "a string"))
        }
        (Kind::Words | Kind::Networks | Kind::Lines(_) | Kind::Listen, Written::Array(items)) => {
            let mut elements = Elements::new();
            for item in items {
                let Written::String(text) = &item.written else {
                    return Err(mismatch(item, "an array of strings"));
                };
                let text = element(key.kind, text.trim()).map_err(|fault| (item.line, fault))?;
                elements.push((text, item.line));
            }
            let value = list(key.kind, &elements).map_err(|fault| (line, fault))?;
            Ok((value, elements))
        }
        (Kind::Words | Kind::Networks | Kind::Lines(_) | Kind::Listen, _) => {
            Err(mismatch(item, "an array of strings"))
        }
    }
}

/// One string of an array, if it is sound; an address as it is displayed.
fn element(kind: Kind, text: &str) -> Result<String, Fault> {
    let is_word = matches!(kind, Kind::Words | Kind::Networks);
    if kind == Kind::Listen {
        return listen::address(text).map(|address| address.to_string());
    }
    if text == "none" {
        let what = "\"none\" stands in an array";
        return Err(Fault::new(what, "write [] for an empty one"));
    }
    if is_word && (text.is_empty() || text.contains(',')) {
        let what = format!("\"{text}\" is not one word");
        return Err(Fault::new(what, "write each in quotes of its own"));
    }
    kind.parse(text).map(|_| text.to_owned())
}

/// The value of an array whose strings are sound.
fn list(kind: Kind, elements: &Elements) -> Result<Value, Fault> {
    let texts: Vec<&str> = elements.iter().map(|(text, _)| text.as_str()).collect();
    match kind {
        Kind::Listen if texts.is_empty() => Err(Fault::new(
            "no address is named",
            "write one at least, such as [\"8080\"]",
        )),
        Kind::Listen => {
            let all = texts
                .into_iter()
                .map(listen::address)
                .collect::<Result<_, _>>();
            all.map(Value::Listen)
        }
        Kind::Lines(_) => {
            let mut all = Vec::new();
            for text in texts {
                if let Value::Lines(lines) = kind.parse(text)? {
                    all.extend(lines);
                }
            }
            Ok(Value::Lines(all))
        }
        Kind::Words
        | Kind::Networks
        | Kind::Number { .. }
        | Kind::Switch
        | Kind::Path
        | Kind::Word
        | Kind::Mode
        | Kind::Choice(_) => match texts.is_empty() {
            true => kind.parse("none"),
            false => kind.parse(&texts.join(",")),
        },
    }
}

/// A value that the key takes, as TOML writes it.
fn example(key: &Key) -> String {
    let default = key.value(&super::super::Config::default());
    match (key.kind, default) {
        (Kind::Lines(rule), _) => format!("[\"{}\"]", rule.example()),
        (Kind::Words, Value::Words(words)) if words.is_empty() => {
            "[\"www.example.com\"]".to_owned()
        }
        (Kind::Number { .. }, Value::Number(n, Unit::Milliseconds)) if n > 0 && n % 1000 == 0 => {
            format!("\"{}s\"", n / 1000)
        }
        (Kind::Networks, _) => "[\"10.0.0.0/8\", \"unix\"]".to_owned(),
        (_, default) => default.toml(),
    }
}
