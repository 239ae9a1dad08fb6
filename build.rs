//! What must be known before the crate is compiled: the table of media types, and who built it.
//!
//! Owns `conf/mime.types` -> `$OUT_DIR/mime_table.rs` and the `ADIEU_*` variables that `adieu -V`
//! prints. It must not look at anything but the source tree, git and cargo's environment: two
//! builds of one commit with the same options are the same. A fault in the file stops the build and
//! says where it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

/// The operator's list of media types.
const MIME_TYPES: &str = "conf/mime.types";
/// The longest extension the lookup compares; `src/site/mime.rs` has a buffer of this size.
const EXTENSION_BYTES: usize = 16;

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={MIME_TYPES}");
    println!(
        "cargo:rustc-env=ADIEU_TARGET={}",
        env::var("TARGET").unwrap_or_default()
    );
    println!("cargo:rustc-env=ADIEU_FEATURES={}", features());
    println!("cargo:rustc-env=ADIEU_COMMIT={}", commit());
    match mime_table() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the list of media types and writes the table that `src/site/mime.rs` includes.
fn mime_table() -> Result<(), String> {
    let text = fs::read_to_string(MIME_TYPES).map_err(|e| format!("{MIME_TYPES}: {e}"))?;
    let types = parse_mime_types(&text)?;
    let out = env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let path = Path::new(&out).join("mime_table.rs");
    fs::write(&path, source(&types)).map_err(|e| format!("{}: {e}", path.display()))
}

/// Extension (lower case) to media type; the error is `file:line: what`.
fn parse_mime_types(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut types = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let at = |what: String| format!("{MIME_TYPES}:{}: {what}", index + 1);
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(media_type) = words.next() else {
            continue;
        };
        if !is_media_type(media_type) {
            return Err(at(format!(
                "`{media_type}` is not a media type (type/subtype)"
            )));
        }
        let mut named = false;
        for word in words {
            named = true;
            if !is_extension(word) {
                return Err(at(format!(
                    "`{word}` is not an extension: 1 to {EXTENSION_BYTES} letters, digits, `-`, \
                     `_`, `+`"
                )));
            }
            let value = with_charset(media_type);
            if let Some(other) = types.insert(word.to_ascii_lowercase(), value) {
                return Err(at(format!("`{word}` is already `{other}`")));
            }
        }
        if !named {
            return Err(at(format!("`{media_type}` names no extension")));
        }
    }
    Ok(types)
}

/// `type/subtype`, both restricted-names of RFC 6838 section 4.2.
fn is_media_type(word: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    word.split_once('/')
        .is_some_and(|(left, right)| name(left) && name(right))
}

/// What may stand behind the last dot of a file name, as far as the list goes.
fn is_extension(word: &str) -> bool {
    word.len() <= EXTENSION_BYTES
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c))
}

/// Text is UTF-8. XML and JSON are left alone: XML declares its encoding inside, and a charset
/// parameter would override it (RFC 7303 section 3); JSON has no such parameter (RFC 8259 section
/// 11).
fn with_charset(media_type: &str) -> String {
    if media_type.starts_with("text/") && media_type != "text/xml" {
        format!("{media_type}; charset=utf-8")
    } else {
        media_type.to_owned()
    }
}

/// The table as Rust source, sorted by extension because the map is.
fn source(types: &BTreeMap<String, String>) -> String {
    let mut source = format!(
        "/// The longest extension that is looked up.\n\
         const EXTENSION_BYTES: usize = {EXTENSION_BYTES};\n\
         /// `conf/mime.types`, sorted by extension.\nstatic TABLE: &[(&str, &str)] = &[\n"
    );
    for (extension, media_type) in types {
        // Writing to a String cannot fail.
        let _ = writeln!(source, "    ({extension:?}, {media_type:?}),");
    }
    source.push_str("];\n");
    source
}

/// The cargo features of this build, sorted and separated by commas; `none` if there are none.
fn features() -> String {
    let mut names: Vec<String> = env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter_map(|name| name.strip_prefix("CARGO_FEATURE_").map(str::to_owned))
        .map(|name| name.to_ascii_lowercase().replace('_', "-"))
        .filter(|name| name != "default")
        .collect();
    names.sort();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(",")
    }
}

/// The short hash of the commit; `unknown` outside a clone of this repository. Only a `.git` beside
/// the manifest counts: a source archive unpacked inside somebody else's repository (Buildroot's,
/// OpenWrt's) must not carry that one's hash.
fn commit() -> String {
    let unknown = || "unknown".to_owned();
    if !Path::new(".git").exists() {
        return unknown();
    }
    let mut watched = vec!["HEAD".to_owned(), "packed-refs".to_owned()];
    watched.extend(git(&["symbolic-ref", "-q", "HEAD"]));
    for name in watched {
        // --git-path also finds the place when this is a linked work tree, where .git is a file.
        if let Some(path) = git(&["rev-parse", "--git-path", &name]) {
            // Cargo runs this again at every build if a watched file is missing.
            if Path::new(&path).exists() {
                println!("cargo:rerun-if-changed={path}");
            }
        }
    }
    git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(unknown)
}

/// What git says on one line, if there is a git and it agrees.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
