//! The rules of the house, held by reading the sources.
//!
//! Owns what the compiler and clippy cannot say: the direction of imports, lengths, and a few words
//! that must not appear. Lines are compared as rustfmt leaves them, which keeps every rule simple.
//! Each rule has a sample beside it that it must object to.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reads the sources; whatever is wrong with them shall stop it"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file, its tests not counted.
const FILE_LINES_MAX: usize = 400;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line, in characters. rustfmt breaks neither comments nor strings.
const COLUMNS_MAX: usize = 100;

/// The rooms of the house: which other rooms each may name, and which crates.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    (
        "main",
        &[
            "cli", "config", "doctor", "reactor", "report", "service", "status",
        ],
        &[],
    ),
    ("doctor", &["connection", "config", "sys"], &[]),
    (
        "service",
        &[
            "reactor", "sandbox", "maker", "helper", "script", "site", "report", "config", "sys",
        ],
        &["log"],
    ),
    ("sandbox", &["site", "script", "config", "sys"], &[]),
    ("maker", &["helper", "script", "sys"], &[]),
    ("cli", &["config"], &["lexopt"]),
    ("status", &["config", "sys"], &["lexopt"]),
    ("config", &["connection"], &["log", "toml_parser"]),
    ("connection", &[], &["httparse"]),
    (
        "site",
        &["helper", "script", "connection", "config", "sys"],
        &["httpdate", "base64ct"],
    ),
    (
        "helper",
        &["connection", "config", "sys"],
        &["base64ct", "bcrypt", "md5", "sha2", "sha_crypt", "subtle"],
    ),
    ("script", &["connection", "sys"], &[]),
    (
        "reactor",
        &[
            "sandbox",
            "maker",
            "site",
            "helper",
            "script",
            "connection",
            "report",
            "config",
            "sys",
        ],
        &["mio", "slab", "httpdate", "log"],
    ),
    (
        "report",
        &["connection", "config", "sys"],
        &["log", "simple_logger"],
    ),
    ("sys", &[], &["libc", "landlock"]),
];
/// Every crate of Cargo.toml.
const CRATES: &[&str] = &[
    "base64ct",
    "bcrypt",
    "httparse",
    "httpdate",
    "landlock",
    "lexopt",
    "libc",
    "log",
    "md5",
    "mio",
    "sha2",
    "sha_crypt",
    "simple_logger",
    "slab",
    "subtle",
    "toml_parser",
];
/// What the heart must not know of the standard library.
const HEART_FORBIDS: &[&str] = &[
    "std::net",
    "std::fs",
    "std::time",
    "std::io",
    "std::os",
    "std::sync",
    "std::thread",
    "std::process",
    "std::env",
];
/// The only files that may ask for a feature of the build.
const FEATURE_FILES: &[&str] = &[
    "src/reactor/teardown.rs",
    "src/config/file.rs",
    "src/config/service.rs",
    "src/config/status.rs",
    "src/doctor/mod.rs",
    "src/helper/hash.rs",
    "src/site/basic.rs",
    "src/helper/digest.rs",
    "src/site/upload.rs",
    "src/script/mod.rs",
    "src/site/script.rs",
    "src/helper/credentials.rs",
    "src/report/access.rs",
    "src/site/listing.rs",
    "src/sys/confine.rs",
];

/// One source file.
struct Source {
    /// Relative to the project, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn sample(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The file is for tests only.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        matches!(name, "tests.rs" | "testing.rs") || self.path.contains("/tests/")
    }

    /// The lines before the test module; none in a file of tests.
    fn product(&self) -> Vec<&str> {
        if self.is_test() {
            return Vec::new();
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0] == "#[cfg(test)]" && pair[1].trim_start_matches("pub ").starts_with("mod ")
        });
        lines[..tests.unwrap_or(lines.len())].to_vec()
    }

    /// The room it stands in: `src/sys/file.rs` is in `sys`, `src/cli.rs` in `cli`.
    fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or_default();
        let first = inside.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn at(&self, index: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path, index + 1)
    }
}

/// A line without its comment. A `//` inside a string follows a colon or a quote, never a blank.
fn code(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") {
        return "";
    }
    line.find(" //").map_or(line, |at| &line[..at])
}

/// The words of a line of code: identifiers and keywords.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// What stands behind `prefix`, wherever it occurs: `crate::site::x` gives `site`.
fn after<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix)
        .filter(|(at, _)| {
            let before = line[..*at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
        })
        .filter_map(|(at, _)| words(&line[at + prefix.len()..]).next())
}

// ---- the rules --------------------------------------------------------------------------------

/// A rule: everything in a file that it objects to.
type Rule = fn(&Source) -> Vec<String>;

const RULES: &[Rule] = &[
    imports,
    heart_is_pure,
    file_length,
    function_length,
    no_wildcard_over_state,
    unsafe_only_in_sys,
    features_in_one_place,
    no_loose_ends,
    columns,
    opens_with_its_purpose,
    no_printing,
    no_machine_paths,
];

/// Rooms and crates are named in one direction only.
fn imports(source: &Source) -> Vec<String> {
    let room = source.room();
    let Some((_, rooms, crates)) = ROOMS.iter().find(|(name, _, _)| *name == room) else {
        return match room {
            "lib" => vec![],
            _ => vec![source.at(0, format_args!("{room} is no room of the house"))],
        };
    };
    let mut found = Vec::new();
    for (index, line) in source.product().into_iter().enumerate() {
        let line = code(line);
        let prefix = if room == "main" { "adieu::" } else { "crate::" };
        for named in after(line, prefix) {
            let known = ROOMS.iter().any(|(name, _, _)| *name == named);
            if known && named != room && !rooms.contains(&named) {
                found.push(source.at(index, format_args!("{room} must not name {named}")));
            }
        }
        for named in CRATES.iter().filter(|name| !crates.contains(name)) {
            let path = format!("{named}::");
            if after(line, &path).next().is_some() {
                found.push(source.at(index, format_args!("{room} must not use {named}")));
            }
        }
    }
    found
}

/// The heart knows no socket, file, clock, lock or log.
fn heart_is_pure(source: &Source) -> Vec<String> {
    if source.room() != "connection" {
        return vec![];
    }
    let mut found = Vec::new();
    for (index, line) in source.product().into_iter().enumerate() {
        for word in HEART_FORBIDS {
            if code(line).contains(word) {
                found.push(source.at(index, format_args!("{word} in the heart")));
            }
        }
    }
    found
}

fn file_length(source: &Source) -> Vec<String> {
    let lines = source.product().len();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines without tests; {FILE_LINES_MAX} are the most");
        return vec![source.at(lines - 1, what)];
    }
    vec![]
}

/// Relies on rustfmt: the closing brace of a function stands alone below its `fn`.
fn function_length(source: &Source) -> Vec<String> {
    let lines = source.product();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        if !code(line).contains("fn ") || !words(line).any(|word| word == "fn") {
            continue;
        }
        let Some(body) = lines[start..]
            .iter()
            .position(|l| l.ends_with('{') || l.ends_with(';') || l.ends_with('}'))
        else {
            continue;
        };
        if !lines[start + body].ends_with('{') {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        if let Some(length) = lines[start..].iter().position(|l| *l == end) {
            if length + 1 > FUNCTION_LINES_MAX {
                let what = format!("{} lines in one function", length + 1);
                found.push(source.at(start, what));
            }
        }
    }
    found
}

/// The table of transitions names every state, and so does every match over a state in the heart.
fn no_wildcard_over_state(source: &Source) -> Vec<String> {
    if source.room() != "connection" {
        return vec![];
    }
    let is_table = source.path.ends_with("/state.rs");
    let lines = source.product();
    let mut found = Vec::new();
    // The end of the match over a state that a line stands in, and the indent of its arms.
    let mut over_state: Option<(String, String)> = None;
    for (index, line) in lines.iter().enumerate() {
        let line = code(line);
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        let bare = trimmed.starts_with("_ =>") || trimmed.starts_with("_ if ");
        let any_state = bare || trimmed.starts_with("(_,");
        if is_table && any_state {
            found.push(source.at(index, "a wildcard in the table of transitions"));
        } else if let Some((_, arms)) = &over_state {
            if any_state && indent == arms {
                found.push(source.at(index, "a wildcard over the state"));
            }
        }
        if over_state
            .as_ref()
            .is_some_and(|(end, _)| line.starts_with(end.as_str()))
        {
            over_state = None;
        }
        let scrutinee = line.find("match ").map(|at| &line[at..]);
        if scrutinee.is_some_and(|s| s.ends_with('{') && words(s).any(|word| word == "state")) {
            over_state = Some((format!("{indent}}}"), format!("{indent}    ")));
        }
    }
    found
}

fn unsafe_only_in_sys(source: &Source) -> Vec<String> {
    if source.room() == "sys" {
        return vec![];
    }
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| words(code(line)).any(|w| w == "unsafe" || w == "unsafe_code"))
        .map(|(index, _)| source.at(index, "unsafe belongs into src/sys"))
        .collect()
}

fn features_in_one_place(source: &Source) -> Vec<String> {
    if FEATURE_FILES.contains(&source.path.as_str()) {
        return vec![];
    }
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| {
            let line = code(line);
            words(line).any(|w| w == "feature") && words(line).any(|w| w.starts_with("cfg"))
        })
        .map(|(index, _)| source.at(index, "only the files of FEATURE_FILES ask for features"))
        .collect()
}

fn no_loose_ends(source: &Source) -> Vec<String> {
    const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];
    const MACROS: [&str; 3] = ["unimplemented!", "todo!", "dbg!"];
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let note = NOTES.iter().find(|note| words(line).any(|w| w == **note));
        let call = MACROS.iter().find(|call| code(line).contains(**call));
        for what in note.into_iter().chain(call) {
            found.push(source.at(index, format_args!("{what} is a loose end")));
        }
    }
    found
}

fn columns(source: &Source) -> Vec<String> {
    let lines = source.text.lines().enumerate();
    lines
        .map(|(index, line)| (index, line.chars().count()))
        .filter(|(_, columns)| *columns > COLUMNS_MAX)
        .map(|(index, columns)| source.at(index, format_args!("{columns} columns")))
        .collect()
}

fn opens_with_its_purpose(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        return vec![];
    }
    vec![source.at(0, "a file opens with `//!` and says what it owns")]
}

/// The standard streams go through `cli::say` and `report`, which neither panic nor block.
fn no_printing(source: &Source) -> Vec<String> {
    let lines = source.product().into_iter().enumerate();
    lines
        .filter(|(_, line)| code(line).contains("println!") || code(line).contains("print!("))
        .map(|(index, _)| source.at(index, "printing may panic or block; use cli::say or log"))
        .collect()
}

/// A path of somebody's machine: it means nothing on another.
fn no_machine_paths(source: &Source) -> Vec<String> {
    // In two parts, so that this file does not object to itself.
    let roots = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")].map(|(a, b)| format!("{a}{b}"));
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let is_path = |root: &String| {
            line.match_indices(root.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c))
            })
        };
        if let Some(root) = roots.iter().find(|root| is_path(root)) {
            found.push(source.at(index, format_args!("a path beneath {root}")));
        }
    }
    found
}

// ---- reading ----------------------------------------------------------------------------------

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file beneath `folder` whose name `wanted` accepts, in order of their paths.
fn files(folder: &str, wanted: fn(&str) -> bool) -> Vec<Source> {
    let mut open = vec![project().join(folder)];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.to_str().is_some_and(wanted) {
            found.push(read(&path));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: &Path) -> Source {
    let inside = path.strip_prefix(project()).unwrap();
    Source {
        path: inside.to_str().unwrap().to_owned(),
        text: fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
    }
}

fn is_rust(name: &str) -> bool {
    name.ends_with(".rs")
}

fn complain(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_sources_keep_the_rules() {
    let sources = files("src", is_rust);
    assert!(sources.len() > 30, "the sources were not found");
    let found: Vec<String> = sources
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .collect();
    complain(&found);
}

#[test]
fn tests_and_scripts_keep_what_holds_for_them_too() {
    let rules: [Rule; 3] = [columns, opens_with_its_purpose, no_loose_ends];
    let mut sources = files("benches", is_rust);
    sources.extend(
        files("tests", is_rust)
            .into_iter()
            .filter(|s| s.path != "tests/tidy.rs"),
    );
    sources.push(read(&project().join("build.rs")));
    let mut found: Vec<String> = sources
        .iter()
        .flat_map(|source| rules.iter().flat_map(|rule| rule(source)))
        .collect();
    for folder in ["src", "tests", "benches", "lab", "cross", "docs", "conf"] {
        let all = files(folder, |name| {
            !(name.ends_with(".svg") || name.ends_with(".pyc"))
        });
        found.extend(all.iter().flat_map(no_machine_paths));
    }
    for file in [
        "README.md",
        "CHANGELOG.md",
        "check",
        ".ci/run",
        "Cargo.toml",
    ] {
        found.extend(no_machine_paths(&read(&project().join(file))));
    }
    complain(&found);
}

#[test]
fn secrets_are_compared_in_constant_time() {
    // No test could see the time of one comparison: what they are compared with is read here.
    for (file, compared) in [
        ("digest.rs", "one.ct_eq(other)"),
        ("hash/known/text.rs", "right.as_bytes().ct_eq(text)"),
        (
            "hash/known/blowfish.rs",
            "right.as_bytes().ct_eq(self.text)",
        ),
        (
            "hash/known/plain.rs",
            "padded(self.0).ct_eq(&padded(password)) & length",
        ),
    ] {
        let text = read(&project().join("src/helper").join(file)).text;
        assert!(text.contains(compared), "{file}: {compared}");
    }
}

#[test]
fn every_crate_of_the_manifest_has_its_room() {
    let manifest = read(&project().join("Cargo.toml")).text;
    let mut dependencies: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    dependencies.sort_unstable();
    let mut known: Vec<String> = CRATES.iter().map(|name| name.replace('_', "-")).collect();
    known.sort_unstable();
    let dependencies: Vec<String> = dependencies.iter().map(|n| n.replace('_', "-")).collect();
    assert_eq!(dependencies, known);
    for name in CRATES {
        assert!(
            ROOMS.iter().any(|(_, _, crates)| crates.contains(name)),
            "{name} has no room"
        );
    }
}

// ---- each rule objects to what it is for ------------------------------------------------------

/// The rule objects once to `bad` and not at all to `good`.
fn objects(rule: Rule, path: &str, bad: &str, good: &str) {
    let found = rule(&Source::sample(path, bad));
    assert_eq!(found.len(), 1, "{bad}\n{found:?}");
    assert_eq!(rule(&Source::sample(path, good)), Vec::<String>::new());
}

#[test]
fn imports_point_one_way() {
    let site = "src/site/walk.rs";
    objects(
        imports,
        site,
        "use crate::reactor::Reactor;",
        "use crate::sys::file;",
    );
    objects(
        imports,
        site,
        "    crate::report::count();",
        "// crate::report is not ours",
    );
    objects(
        imports,
        site,
        "use libc::c_int;",
        "use crate::connection::head::Request;",
    );
    objects(
        imports,
        "src/sys/file.rs",
        "use crate::config::Config;",
        "use libc::c_int;",
    );
    objects(
        imports,
        "src/connection/head.rs",
        "use log::info;",
        "pub use httparse::Header;",
    );
    objects(
        imports,
        "src/connection/head.rs",
        "use crate::site;",
        "use crate::connection::x;",
    );
    objects(
        imports,
        "src/main.rs",
        "use adieu::sys;",
        "use adieu::reactor;",
    );
    objects(
        imports,
        "src/cli.rs",
        "use crate::reactor::sizes;",
        "use crate::config::Config;",
    );
    assert_eq!(imports(&Source::sample("src/attic/x.rs", "")).len(), 1);
    let tests = "#[cfg(test)]\nmod tests {\n    use crate::reactor;\n}\n";
    assert_eq!(imports(&Source::sample(site, tests)).len(), 0);
}

#[test]
fn the_heart_stays_pure() {
    let path = "src/connection/linger.rs";
    objects(
        heart_is_pure,
        path,
        "use std::time::Instant;",
        "use std::fmt;",
    );
    objects(
        heart_is_pure,
        path,
        "let x = std::fs::read(y);",
        "// no std::fs here",
    );
}

#[test]
fn lengths_are_bounded() {
    let path = "src/site/mod.rs";
    let line = "// one\n";
    let tests = "#[cfg(test)]\nmod tests {\n}\n";
    let (long, just) = (line.repeat(401), line.repeat(400));
    objects(
        file_length,
        path,
        &(long + tests),
        &(just.clone() + tests + &just),
    );

    let function = |lines: usize| {
        let body = "        x();\n".repeat(lines - 2);
        format!("impl X {{\n    pub(super) fn f(\n{body}    }}\n}}\n").replace("(\n", "() {\n")
    };
    objects(function_length, path, &function(71), &function(70));
    let declared = format!("    fn f(&self);\n{}", function(70));
    assert_eq!(function_length(&Source::sample(path, &declared)).len(), 0);

    let (wide, fits) = ("é".repeat(101), "é".repeat(100));
    objects(columns, path, &wide, &fits);
}

#[test]
fn states_are_named_one_by_one() {
    let (table, other) = ("src/connection/state.rs", "src/connection/need.rs");
    let rule = no_wildcard_over_state;
    objects(
        rule,
        table,
        "        _ => None,",
        "        (S::Idle | S::Head, _) => return None,",
    );
    objects(
        rule,
        table,
        "        (_, E::Cut) => S::Closed,",
        "// _ => is not allowed",
    );
    let matched = |arm| format!("    match self.state {{\n        {arm} => 1,\n    }}\n");
    objects(rule, other, &matched("_"), &matched("State::Idle"));
    objects(
        rule,
        other,
        &matched("_ if x"),
        "    match n {\n        _ => 1,\n    }\n",
    );
    let behind = matched("State::Idle").replace("    }\n", "    };\n        _ => 1,\n");
    assert_eq!(rule(&Source::sample(other, &behind)).len(), 0);
    let pair = |arm| format!("    match (self.state, x) {{\n        {arm} => 1,\n    }}\n");
    objects(rule, other, &pair("(_, 1)"), &pair("(State::Linger, _)"));
}

#[test]
fn words_out_of_place_are_found() {
    let path = "src/site/mod.rs";
    objects(
        unsafe_only_in_sys,
        path,
        "    unsafe { f() }",
        "// unsafe is elsewhere",
    );
    objects(
        unsafe_only_in_sys,
        path,
        "#[allow(unsafe_code)]",
        "let safe = 1;",
    );
    let (asked, other) = (
        "#[cfg(feature = \"so-linger\")]",
        "#[cfg(target_pointer_width = \"32\")]",
    );
    objects(features_in_one_place, path, asked, other);
    let (asked, comment) = ("if cfg!(feature = \"x\") {", "//! no cfg(feature) here");
    objects(features_in_one_place, path, asked, comment);
    objects(no_loose_ends, path, "// TODO: later", "// to do it later");
    objects(
        no_loose_ends,
        path,
        "    todo!()",
        "    // without dbg! at all",
    );
    objects(
        opens_with_its_purpose,
        path,
        "use x;",
        "//! Owns x.\n\nuse x;",
    );
    objects(
        no_printing,
        path,
        "    eprintln!(\"x\");",
        "// println! would panic",
    );
    let mine = format!("let p = \"{}me/me/x\";", "/ho");
    objects(
        no_machine_paths,
        path,
        &mine,
        "let p = \"{dir}/root/x and ../root/y\";",
    );
}
