//! The documents say what the program does.
//!
//! Holds the tables of the documents and the annotated configuration together with the key table,
//! and the names of tests and asserts in them together with the sources. When a page is stale, the
//! test prints the lines that it must have.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of texts; whatever is wrong with them shall stop it"
)]

use adieu::cli;
use adieu::config::keys::{self, KEYS};
use adieu::config::value::Kind;
use adieu::config::{Config, Draft, Sizes, file};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All files beneath `folder` in one text.
fn everything(folder: &str) -> String {
    let mut open = vec![path(folder)];
    let mut text = String::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if let Ok(content) = fs::read_to_string(&path) {
            text.push_str(&content);
        }
    }
    text
}

/// The default of a key as `--set` takes it.
fn default_of(key: &keys::Key) -> String {
    key.value(&Config::default()).to_string()
}

/// What stands between `<!-- NAME -->` and `<!-- end -->`.
fn section<'a>(page: &'a str, name: &str) -> &'a str {
    let mark = format!("<!-- {name} -->\n");
    let (_, rest) = page
        .split_once(mark.as_str())
        .unwrap_or_else(|| panic!("no {mark}"));
    rest.split_once("<!-- end -->").unwrap().0
}

#[test]
fn the_readme_has_every_key_with_its_default() {
    let mut table = String::from("| key | default | values | meaning |\n|---|---|---|---|\n");
    for key in KEYS {
        let (default, range) = (default_of(key), key.kind.range());
        let meaning = key.meaning;
        writeln!(
            table,
            "| `{}` | `{default}` | {range} | {meaning} |",
            key.name
        )
        .unwrap();
    }
    let page = read("README.md");
    assert!(
        section(&page, "keys") == table,
        "README.md must have between its marks:\n{table}"
    );
}

#[test]
fn the_readme_has_every_flag() {
    let help = cli::help();
    let (_, rest) = help.split_once("Flags:\n").unwrap();
    let (flags, _) = rest.split_once("\n\n").unwrap();
    let page = read("README.md");
    let written = section(&page, "flags");
    let expected = format!("```text\n{flags}\n```\n");
    assert!(
        written == expected,
        "README.md must have between its marks:\n{expected}"
    );
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let page = read("README.md");
    let head: Vec<&str> = page.lines().take(12).collect();
    let at = |line: &str| head.iter().position(|l| l.trim() == line);
    let (run, check) = (at("cargo run --release"), at("./check"));
    assert!(run.is_some() && run < check, "{head:?}");
}

#[test]
fn the_annotated_configuration_is_the_defaults() {
    if !file::BUILT {
        println!("SKIP: this build reads no configuration file");
        return;
    }
    let mut draft = Draft::new();
    file::load(&mut draft, &path("conf/adieu.toml")).unwrap();
    let setup = draft.finish(&Sizes::default()).unwrap();
    let names: Vec<&str> = setup.origins.names().collect();
    let expected: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(names, expected, "every key once, in the order of the table");
    let mut defaults = Config::default();
    defaults.settle();
    assert_eq!(setup.config, defaults);
}

#[test]
fn the_annotated_configuration_explains_every_key_and_writes_it_as_the_manual_does() {
    let text = read("conf/adieu.toml");
    for key in KEYS {
        let (_, short) = key.name.split_once('.').unwrap();
        let default = key.value(&Config::default()).toml();
        // What it means stands above it, in the same paragraph.
        let mut paragraphs = text.split("\n\n");
        let setting = format!("\n{short} = {default}");
        let found = paragraphs.any(|part| {
            part.starts_with(&format!("# {}\n", key.meaning)) && part.trim_end().ends_with(&setting)
        });
        assert!(found, "{} = {default}: {}", key.name, key.meaning);
    }
}

#[test]
fn the_page_of_deploying_has_the_options_of_openwrt_as_its_script_maps_them() {
    let script = read("conf/init/openwrt/adieu.init");
    let (_, table) = script.split_once("cat <<-'TABLE'\n").unwrap();
    let (table, _) = table.split_once("\n\tTABLE\n").unwrap();
    // An option, how it is written, and keys, or why there is none.
    let mapped: Vec<(&str, Vec<&str>)> = table
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let none = matches!(kind, "none" | "guarded");
            (name, if none { vec!["none"] } else { words.collect() })
        })
        .collect();
    let page = read("docs/deploy.md");
    let rows = rows(section(&page, "uci"));
    let mut names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    for (name, keys) in &mapped {
        let row = rows
            .iter()
            .find(|row| row[0].trim_matches('`') == *name)
            .unwrap_or_else(|| panic!("docs/deploy.md has no row for {name}"));
        let written: Vec<&str> = row[1]
            .split(", ")
            .map(|key| key.trim_matches('`'))
            .collect();
        let expected = if *keys == ["-"] {
            vec![""]
        } else {
            keys.clone()
        };
        assert_eq!(written, expected, "{name}");
        for key in keys.iter().filter(|key| key.contains('.')) {
            assert!(keys::find(key).is_some(), "{name}: there is no key {key}");
        }
    }
    let mut known: Vec<&str> = mapped.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, known);
    // What the shipped configuration shows is among them.
    for line in read("conf/init/openwrt/adieu.config").lines() {
        let line = line.trim_start_matches(['#', '\t']);
        let option = line.strip_prefix("option ").or(line.strip_prefix("list "));
        let Some((name, _)) = option.and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let of_a_guard = ["prefix", "username", "password"].contains(&name);
        assert!(of_a_guard || known.contains(&name), "{name}");
    }
}

#[test]
fn the_readme_has_the_size_of_every_feature() {
    let manifest = read("Cargo.toml");
    let (_, features) = manifest.split_once("\n[features]\n").unwrap();
    let (features, _) = features.split_once("\n[").unwrap();
    let named = features.lines().filter_map(|line| line.split_once(" = "));
    let plain = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let known: Vec<&str> = named.map(|(name, _)| name).filter(plain).collect();
    let page = read("README.md");
    let rows = rows(section(&page, "features"));
    let written: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(written, known[1..], "cross/sizes writes the table");
    assert_eq!(known[0], "default");
    for row in rows.iter().chain(&self::rows(section(&page, "sizes"))) {
        let bytes = row.iter().flat_map(|cell| cell.chars());
        let digits = bytes.filter(char::is_ascii_digit).count();
        assert!(digits > 0, "{row:?} has no figure: run cross/sizes");
    }
}

#[test]
fn every_feature_is_checked_alone_and_by_its_lack() {
    let manifest = read("Cargo.toml");
    let (_, features) = manifest.split_once("\n[features]\n").unwrap();
    let (_, default) = features.split_once("default = [").unwrap();
    let (default, _) = default.split_once(']').unwrap();
    let default: Vec<&str> = default.split('"').skip(1).step_by(2).collect();
    let check = read("check");
    let list = |name: &str, end: &str| {
        let (_, rest) = check.split_once(&format!("\n{name}=(")).unwrap();
        let (inside, _) = rest.split_once(end).unwrap();
        let lines = inside.split('"').skip(1).step_by(2).map(str::to_owned);
        lines.collect::<Vec<String>>()
    };
    let parts = list("parts", "\n)");
    let named: Vec<&str> = parts.iter().filter_map(|p| p.split(' ').next()).collect();
    assert_eq!(
        named, default,
        "`parts` of ./check has the default features"
    );
    for part in &parts {
        let mut tests = part.split(' ').skip(1).peekable();
        assert!(tests.peek().is_some(), "{part}: no test sees it");
        for test in tests {
            assert!(path(&format!("tests/{test}.rs")).exists(), "{part}: {test}");
        }
    }
    let mut known = default;
    let flavours = list("flavours", ")\n");
    known.extend(
        flavours
            .iter()
            .map(String::as_str)
            .filter(|f| !f.is_empty()),
    );
    let page = read("README.md");
    let rows = rows(section(&page, "features"));
    let written: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(
        written, known,
        "README.md, and `parts` and `flavours` of ./check"
    );
}

/// The targets of cross/table.txt.
fn targets() -> Vec<String> {
    let table = read("cross/table.txt");
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn every_target_has_its_row_with_what_became_of_it() {
    let page = read("docs/targets.md");
    let rows = rows(section(&page, "targets"));
    let written: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(written, targets(), "cross/targets writes the table");
    for row in &rows {
        let result = row[6];
        assert!(
            result.starts_with("passed: ") || result.starts_with("**failed**: "),
            "{row:?}"
        );
    }
    let readme = read("README.md");
    for name in targets() {
        assert!(readme.contains(&format!("`{name}`")), "README.md: {name}");
    }
}

/// The cells of every table row of a page, its head and rule left out.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let cells = |line: &str| -> usize { line.matches('|').count() };
    let lines: Vec<&str> = page.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_rule = |line: &str| line.starts_with("|---");
        let is_head = lines.get(index + 1).is_some_and(|next| is_rule(next));
        if line.starts_with('|') && !is_rule(line) && !is_head && cells(line) > 2 {
            found.push(line.trim_matches('|').split('|').map(str::trim).collect());
        }
    }
    found
}

/// The words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The keys whose value is a number: somebody may rely on it.
fn numbers() -> impl Iterator<Item = &'static keys::Key> {
    KEYS.iter()
        .filter(|key| matches!(key.kind, Kind::Number { .. }))
}

#[test]
fn the_page_of_limits_has_every_number_of_the_key_table_as_it_is() {
    let page = read("docs/limits.md");
    let rows = rows(&page);
    for key in numbers() {
        let row = rows
            .iter()
            .find(|row| row.get(1).is_some_and(|cell| cell.contains(key.name)));
        let row = row.unwrap_or_else(|| panic!("docs/limits.md has no row for {}", key.name));
        let default = format!("`{}`", default_of(key));
        assert!(
            row[0].contains(&default),
            "{}: {default} is not in {:?}",
            key.name,
            row[0]
        );
    }
    for row in &rows {
        for name in quoted(row[1]).filter(|name| name.contains('.')) {
            assert!(
                keys::find(name).is_some(),
                "docs/limits.md: there is no key {name}"
            );
        }
    }
}

/// What a name in backticks claims to be, if it is one that can be looked for.
fn missing(name: &str, code: &str) -> Option<String> {
    let all = |wanted: fn(char) -> bool| name.contains('_') && name.chars().all(wanted);
    if name.starts_with("tests/") || name.starts_with("src/") {
        return (!path(name).exists()).then(|| format!("there is no file {name}"));
    }
    if all(|c| c.is_ascii_lowercase() || c == '_' || c.is_numeric()) {
        let declared = format!("fn {name}(");
        return (!code.contains(&declared)).then(|| format!("there is no function {name}"));
    }
    if all(|c| c.is_ascii_uppercase() || c == '_') {
        let declared = format!("const {name}:");
        return (!code.contains(&declared)).then(|| format!("there is no constant {name}"));
    }
    None
}

#[test]
fn what_the_tables_name_exists() {
    let code = everything("src") + &everything("tests");
    let mut found = Vec::new();
    for page in [
        "docs/limits.md",
        "docs/ARCHITECTURE.md",
        "docs/changing.md",
        "docs/http.md",
    ] {
        let text = read(page);
        for name in rows(&text)
            .iter()
            .flat_map(|row| row.iter().flat_map(|cell| quoted(cell)))
        {
            found.extend(missing(name, &code).map(|what| format!("{page}: {what}")));
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_refusal_has_its_row_in_the_page_of_http() {
    let source = read("src/connection/reply.rs");
    let (_, statuses) = source.split_once("\nstatuses! {\n").unwrap();
    let (statuses, _) = statuses.split_once("\n}\n").unwrap();
    let mut known: Vec<&str> = statuses
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter_map(|(_, rest)| rest.get(..3))
        .filter(|code| *code >= "400")
        .collect();
    let page = read("docs/http.md");
    let mut written: Vec<&str> = rows(&page)
        .iter()
        .map(|row| row[0])
        .filter(|cell| cell.len() == 3 && cell.parse::<u16>().is_ok())
        .collect();
    known.sort_unstable();
    written.sort_unstable();
    written.dedup();
    assert!(known.len() >= 14, "{known:?}");
    assert_eq!(written, known);
}

#[test]
fn the_architecture_fits_a_few_screens() {
    let lines = read("docs/ARCHITECTURE.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn every_decision_has_its_five_parts() {
    let mut pages: Vec<PathBuf> = fs::read_dir(path("docs/decisions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.sort();
    assert!(pages.len() >= 9);
    for (index, page) in pages.iter().enumerate() {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with(&format!("{:04}-", index + 1)),
            "{name} is out of order"
        );
        let text = fs::read_to_string(page).unwrap();
        let mut rest = text.as_str();
        for part in [
            "Context",
            "Options",
            "Choice",
            "Cost",
            "What would change our mind",
        ] {
            let mark = format!("\n## {part}\n");
            let found = rest.split_once(mark.as_str());
            rest = found
                .unwrap_or_else(|| panic!("{name}: no \"{part}\" in its place"))
                .1;
        }
    }
}
