//! TOML, as far as a configuration is written in it: sections and settings, each with its line.
//!
//! Owns the way from a text to [`Entry`]s. The grammar is the crate's; what belongs together, and
//! what is written twice, is found out here. It must not know any key. Invariants: no depth of
//! nesting costs more stack than [`DEPTH_MAX`]; entries stand in the order of the text; no name of
//! a section or a setting occurs twice.

use super::super::error::Text;
use super::entry::{Entry, Item, Name, Written};
use super::wrong::{SYNTAX, Wrong, shortened};
use std::borrow::Cow;
use toml_parser::decoder::ScalarKind;
use toml_parser::parser::{Event, EventKind, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ParseError, Source};

/// More parts than this has no name; one more than there may be, so that it can be shown.
const PARTS_MAX: usize = 4;
/// How deep arrays and inline tables are followed; no key takes any inside another.
const DEPTH_MAX: u32 = 8;
/// The longest name and the longest string, bytes.
const NAME_BYTES_MAX: usize = 64;
const STRING_BYTES_MAX: usize = 4096;

/// Everything that the text says.
///
/// # Errors
/// When it is no TOML, or names something twice.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut events: Vec<Event> = Vec::new();
    let mut error: Option<ParseError> = None;
    let mut checked = ValidateWhitespace::new(&mut events, source);
    let mut guarded = RecursionGuard::new(&mut checked, DEPTH_MAX);
    parse_document(&tokens, &mut guarded, &mut error);
    let mut reader = Reader {
        source,
        lines: text.match_indices('\n').map(|(at, _)| at).collect(),
        events: events.iter(),
        section: Vec::new(),
        name: Vec::new(),
        seen: Vec::new(),
    };
    match error {
        None => reader.all(),
        Some(error) => Err(reader.syntax(&error, &events)),
    }
}

/// Goes through the events.
struct Reader<'t> {
    source: Source<'t>,
    /// Where lines end.
    lines: Vec<usize>,
    events: std::slice::Iter<'t, Event>,
    /// The section that is open.
    section: Name,
    /// The parts of the name that is being read.
    name: Name,
    /// Names that were given, the line of each, and what it is; sorted.
    seen: Vec<(Name, usize, Seen)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// `[NAME]`
    Section,
    /// `NAME.x = ...` in another section.
    Dotted,
    Setting,
}

impl<'t> Reader<'t> {
    fn all(&mut self) -> Result<Vec<Entry>, Wrong> {
        let mut entries = Vec::new();
        while let Some(event) = self.events.next() {
            match event.kind() {
                EventKind::StdTableOpen | EventKind::ArrayTableOpen | EventKind::Newline => {
                    self.name.clear();
                }
                EventKind::SimpleKey => self.part(event)?,
                EventKind::StdTableClose => {
                    let line = self.line(event);
                    self.section = std::mem::take(&mut self.name);
                    self.remember(self.section.clone(), line, Seen::Section)?;
                    entries.push(Entry::Section(self.section.clone(), line));
                }
                EventKind::ArrayTableClose => {
                    let name = std::mem::take(&mut self.name).join(".");
                    let what = format!("[[{name}]] opens a table in an array");
                    let cure = "write a section as [site], a further site as [sites.NAME]";
                    return Err(self.wrong(event, what, cure));
                }
                EventKind::KeyValSep => {
                    let line = self.line(event);
                    let name = self.full();
                    for parts in self.section.len().saturating_add(1)..name.len() {
                        let prefix: Name = name.iter().take(parts).cloned().collect();
                        self.remember(prefix, line, Seen::Dotted)?;
                    }
                    self.remember(name.clone(), line, Seen::Setting)?;
                    let item = self.value()?;
                    entries.push(Entry::Setting(name, item));
                }
                EventKind::InlineTableOpen
                | EventKind::InlineTableClose
                | EventKind::ArrayOpen
                | EventKind::ArrayClose
                | EventKind::KeySep
                | EventKind::Scalar
                | EventKind::ValueSep
                | EventKind::Whitespace
                | EventKind::Comment
                | EventKind::Error => (),
            }
        }
        Ok(entries)
    }

    /// One part of a name.
    fn part(&mut self, event: &Event) -> Result<(), Wrong> {
        let part = self.text(event, |raw, text, error| {
            raw.decode_key(text, error);
            ScalarKind::String
        });
        let (part, _) = part?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if part.is_empty() || part.len() > NAME_BYTES_MAX || !part.chars().all(plain) {
            let what = format!("\"{}\" is no name", shortened(&part));
            let cure = "write 1 to 64 letters, digits, - and _, without quotes";
            return Err(self.wrong(event, what, cure));
        }
        if self.name.len() >= PARTS_MAX {
            let what = "the name has too many parts";
            return Err(self.wrong(event, what, "write section.key, or sites.NAME.key"));
        }
        self.name.push(part.into_owned());
        Ok(())
    }

    /// The value behind `=`.
    fn value(&mut self) -> Result<Item, Wrong> {
        while let Some(event) = self.events.next() {
            match event.kind() {
                EventKind::Scalar => return self.scalar(event),
                EventKind::ArrayOpen => return self.array(event),
                EventKind::InlineTableOpen => return Ok(self.other(event, "a table")),
                EventKind::Whitespace | EventKind::Comment => (),
                EventKind::StdTableOpen
                | EventKind::StdTableClose
                | EventKind::ArrayTableOpen
                | EventKind::ArrayTableClose
                | EventKind::InlineTableClose
                | EventKind::ArrayClose
                | EventKind::SimpleKey
                | EventKind::KeySep
                | EventKind::KeyValSep
                | EventKind::ValueSep
                | EventKind::Newline
                | EventKind::Error => break,
            }
        }
        let line = self.lines.len();
        Err(self.wrong_at(line, "the value is missing", "write it behind the ="))
    }

    fn array(&mut self, open: &Event) -> Result<Item, Wrong> {
        let line = self.line(open);
        let mut items = Vec::new();
        while let Some(event) = self.events.next() {
            match event.kind() {
                EventKind::Scalar => {
                    let item = self.scalar(event)?;
                    items.push(item);
                }
                EventKind::ArrayOpen => items.push(self.other(event, "an array")),
                EventKind::InlineTableOpen => items.push(self.other(event, "a table")),
                EventKind::ArrayClose => break,
                EventKind::StdTableOpen
                | EventKind::StdTableClose
                | EventKind::ArrayTableOpen
                | EventKind::ArrayTableClose
                | EventKind::InlineTableClose
                | EventKind::SimpleKey
                | EventKind::KeySep
                | EventKind::KeyValSep
                | EventKind::ValueSep
                | EventKind::Whitespace
                | EventKind::Comment
                | EventKind::Newline
                | EventKind::Error => (),
            }
        }
        let written = Written::Array(items);
        Ok(Item { written, line })
    }

    /// What no key takes, up to where it ends.
    fn other(&mut self, open: &Event, what: &'static str) -> Item {
        let mut depth: usize = 1;
        for event in self.events.by_ref() {
            let kind = event.kind();
            if matches!(kind, EventKind::ArrayOpen | EventKind::InlineTableOpen) {
                depth = depth.saturating_add(1);
            } else if matches!(kind, EventKind::ArrayClose | EventKind::InlineTableClose) {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 {
                break;
            }
        }
        let line = self.line(open);
        let written = Written::Other(what);
        Item { written, line }
    }

    fn scalar(&self, event: &Event) -> Result<Item, Wrong> {
        let line = self.line(event);
        if let Some(written) = self.bare(event) {
            return Ok(Item { written, line });
        }
        let (text, kind) = self.text(event, |raw, text, error| raw.decode_scalar(text, error))?;
        let written = match kind {
            ScalarKind::String => {
                if text.len() > STRING_BYTES_MAX || text.contains(char::is_control) {
                    let what = format!("\"{}\" is too long, or no plain text", shortened(&text));
                    let cure = "write at most 4096 bytes, without line feeds and other controls";
                    return Err(self.wrong(event, what, cure));
                }
                Written::String(text.into_owned())
            }
            ScalarKind::Integer(radix) if radix.value() == 10 => {
                Written::Integer(text.into_owned())
            }
            ScalarKind::Integer(_) => Written::Other("an integer that is not decimal"),
            ScalarKind::Boolean(on) => Written::Boolean(on),
            ScalarKind::Float => Written::Other("a float"),
            ScalarKind::DateTime => Written::Other("a date or time"),
        };
        Ok(Item { written, line })
    }

    /// A scalar without quotes that stands for nothing.
    fn bare(&self, event: &Event) -> Option<Written> {
        let raw = self
            .source
            .get(event)
            .filter(|_| event.encoding().is_none())?;
        let mut error: Option<ParseError> = None;
        let _ = raw.decode_scalar(&mut Cow::Borrowed(""), &mut error);
        error.map(|_| Written::Bare(shortened(raw.as_str())))
    }

    /// What an event stands for, decoded.
    fn text(
        &self,
        event: &Event,
        decode: fn(toml_parser::Raw<'t>, &mut Cow<'t, str>, &mut Option<ParseError>) -> ScalarKind,
    ) -> Result<(Cow<'t, str>, ScalarKind), Wrong> {
        let mut text = Cow::Borrowed("");
        let mut error = None;
        let raw = self.source.get(event);
        let kind = raw.map(|raw| decode(raw, &mut text, &mut error));
        match (kind, error) {
            (Some(kind), None) => Ok((text, kind)),
            (_, Some(error)) => Err(Wrong::syntax(&error, self.line(event), self.shown())),
            (None, None) => Err(self.wrong(event, "a part of the file is missing", SYNTAX)),
        }
    }

    /// Section and name.
    fn full(&self) -> Name {
        self.section.iter().chain(&self.name).cloned().collect()
    }

    /// The setting that is being read, as it is displayed.
    fn shown(&self) -> String {
        if self.name.is_empty() {
            String::new()
        } else {
            self.full().join(".")
        }
    }

    /// Takes note of a name, once.
    fn remember(&mut self, name: Name, line: usize, what: Seen) -> Result<(), Wrong> {
        let shown = name.join(".");
        let found = self.seen.binary_search_by(|(one, ..)| one.cmp(&name));
        match found.ok().and_then(|at| self.seen.get(at)) {
            // [site] stands above, and x.y = 1, x.z = 2 are in it.
            Some((_, _, Seen::Dotted)) if what == Seen::Dotted => return Ok(()),
            Some((_, first, Seen::Setting)) if what == Seen::Setting => {
                let what = format!("it is given twice, first on line {first}");
                return Err(self.wrong_at(line, what, "write it once"));
            }
            Some((_, first, _)) => {
                let what = format!("[{shown}] is begun twice, first on line {first}");
                let cure = "write all of its keys in one place";
                let name = String::new();
                return Err(Wrong {
                    name,
                    ..self.wrong_at(line, what, cure)
                });
            }
            None => (),
        }
        let (Ok(at) | Err(at)) = found;
        self.seen.insert(at, (name, line, what));
        Ok(())
    }

    fn line_at(&self, at: usize) -> usize {
        self.lines
            .partition_point(|end| *end < at)
            .saturating_add(1)
    }

    fn line(&self, event: &Event) -> usize {
        self.line_at(event.span().start())
    }

    fn wrong(&self, event: &Event, what: impl Into<Text>, cure: &'static str) -> Wrong {
        self.wrong_at(self.line(event), what, cure)
    }

    fn wrong_at(&self, line: usize, what: impl Into<Text>, cure: &'static str) -> Wrong {
        Wrong {
            line,
            name: self.shown(),
            what: what.into(),
            cure: cure.into(),
        }
    }

    /// What the grammar objects to.
    fn syntax(&mut self, error: &ParseError, events: &[Event]) -> Wrong {
        let at = error.unexpected().or(error.context());
        let at = at.map_or(0, |span| span.start());
        // The setting it stands in, as far as that can be read.
        let mut is_header = false;
        let mut depth: usize = 0;
        for event in events.iter().take_while(|event| event.span().start() < at) {
            let kind = event.kind();
            if matches!(kind, EventKind::StdTableOpen | EventKind::ArrayTableOpen) {
                self.name.clear();
                self.section.clear();
                is_header = true;
            } else if matches!(kind, EventKind::StdTableClose | EventKind::ArrayTableClose) {
                self.section = std::mem::take(&mut self.name);
                is_header = false;
            } else if kind == EventKind::SimpleKey && self.part(event).is_err() {
                break;
            } else if matches!(kind, EventKind::ArrayOpen | EventKind::InlineTableOpen) {
                depth = depth.saturating_add(1);
            } else if matches!(kind, EventKind::ArrayClose | EventKind::InlineTableClose) {
                depth = depth.saturating_sub(1);
            } else if kind == EventKind::Newline
                && depth == 0
                && self.line(event) < self.line_at(at)
            {
                self.name.clear();
            }
        }
        if is_header {
            self.name.clear();
        }
        let name = self.shown();
        Wrong::syntax(error, self.line_at(at), name)
    }
}
