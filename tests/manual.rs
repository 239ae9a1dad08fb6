//! `docs/man` is written from the table of flags and the table of keys. This test fails when a page
//! is stale; with ADIEU_BLESS=1 it writes them anew. Where groff or mandoc is installed, it reads
//! the pages, too.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, helpers of tests too"
)]

use adieu::cli::{ERRANDS, FLAGS};
use adieu::config::Config;
use adieu::config::keys::{Apply, KEYS, Key};
use adieu::config::value::{Kind, Unit};
use adieu::status;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The pages: name and text.
fn pages() -> [(&'static str, String); 2] {
    [("adieu.8", program()), ("adieu.toml.5", file())]
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("docs/man")
        .join(name)
}

/// Text for roff: no dash becomes a hyphen, no backslash an escape, no line a request.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

/// The day of this version, as in 2026-11-26: that of the newest entry for Debian.
fn date() -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packages/deb/changelog");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, date) = text.split_once(">  ").unwrap();
    let mut words = date.split_whitespace().skip(1);
    let mut next = || words.next().unwrap();
    let (day, month, year) = (next(), next(), next());
    let month = MONTHS.find(month).unwrap() / 3 + 1;
    format!("{year}-{month:02}-{day:0>2}")
}

/// A page in the making.
struct Page(String);

impl Page {
    fn new(name: &str, section: u8, what: &str) -> Self {
        let mut page = Self(format!(
            ".\\\" Written by tests/manual.rs from the tables of flags and keys; do not edit.\n\
             .\\\" To write it anew: ADIEU_BLESS=1 cargo test --test manual\n\
             .TH {} {section} {} \"adieu {}\"\n",
            name.to_uppercase(),
            date(),
            env!("CARGO_PKG_VERSION")
        ));
        page.request("SH", "NAME");
        writeln!(page.0, "{} \\- {}", roff(name), roff(what)).unwrap();
        page
    }

    fn request(&mut self, request: &str, text: &str) {
        writeln!(self.0, ".{request} {}", roff(text)).unwrap();
    }

    fn section(&mut self, name: &str) {
        self.request("SH", name);
    }

    fn text(&mut self, text: &str) {
        writeln!(self.0, "{}", roff(text)).unwrap();
    }

    fn paragraph(&mut self, text: &str) {
        self.0.push_str(".PP\n");
        self.text(text);
    }

    /// A term in bold, the word for its value, and its explanation.
    fn item(&mut self, term: &str, rest: &str, text: &str) {
        let rest = if rest.is_empty() {
            String::new()
        } else {
            format!(" \\fI{}\\fR", roff(rest))
        };
        writeln!(self.0, ".TP\n\\fB{}\\fR{rest}\n{}", roff(term), roff(text)).unwrap();
    }

    /// Lines as they are, at the beginning of a section.
    fn example(&mut self, lines: &str) {
        self.0.push_str(".nf\n");
        for line in lines.lines() {
            // An empty line asks for a warning.
            match line {
                "" => self.0.push_str(".sp\n"),
                line => self.text(line),
            }
        }
        self.0.push_str(".fi\n");
    }
}

fn program() -> String {
    let what = "a small HTTP/1.1 server that delivers every response and ends every goodbye by a \
                deadline";
    let mut page = Page::new("adieu", 8, what);
    synopsis(&mut page);
    page.section("DESCRIPTION");
    page.text(
        "adieu serves files. It stays in the foreground and writes its log to the standard error, \
         unless it is told otherwise.",
    );
    page.paragraph(
        "What it does is said by keys, each with a default. A file gives them (see adieu.toml(5)), \
         or the command line; what the command line gives replaces what the file gave. Without -c \
         no file is read.",
    );
    page.section("OPTIONS");
    for flag in FLAGS {
        let short = flag.short.map_or_else(String::new, |c| format!("-{c}, "));
        page.item(&format!("{short}--{}", flag.long), flag.value, flag.meaning);
    }
    page.section("ERRANDS");
    page.text("What adieu does instead of serving. The name of an errand is the first argument.");
    for errand in ERRANDS {
        page.item(errand.name, errand.behind, errand.meaning);
    }
    doctor(&mut page);
    watching(&mut page);
    service(&mut page);
    page.section("EXIT STATUS");
    for (code, text) in [
        ("0", "Stopped; of adieu status: the server answered."),
        (
            "1",
            "The system refused for now: an address in use, a directory that is not there. \
             Starting it again may help. Of adieu status: no answer.",
        ),
        ("2", "Wrong command line."),
        (
            "3",
            "doctor: something would be better otherwise; every promise is kept, but slower, or as \
             long as others need little.",
        ),
        (
            "4",
            "doctor: something must be changed; at worst a promise is not kept.",
        ),
        (
            "78",
            "Wrong configuration (EX_CONFIG), or one that this system or build cannot serve: an \
             unknown user, a missing right, a part left out. Starting it again does not help.",
        ),
    ] {
        page.item(code, "", text);
    }
    files(&mut page);
    page.section("EXAMPLES");
    page.example(
        "adieu -p 8080 -d /srv/www\nadieu -c /etc/adieu/adieu.toml -t\n\
         adieu doctor -c /etc/adieu/adieu.toml\n\
         adieu -c /etc/adieu/adieu.toml --set log.level=debug",
    );
    page.section("SEE ALSO");
    page.text("adieu.toml(5)");
    page.0
}

/// Files that have their place.
fn files(page: &mut Page) {
    page.section("FILES");
    for (file, text) in [
        (
            "/etc/adieu/adieu.toml",
            "Where packages put the configuration, and the files for init systems look for it, by \
             -c. Nobody else does.",
        ),
        (
            "/run/adieu",
            "What they make for sockets of the user adieu. adieu status looks for status in it.",
        ),
        (
            ".adieu-uploads",
            "Beneath a root with site.uploads: what is not whole yet. Nobody sees it.",
        ),
    ] {
        page.item(file, "", text);
    }
}

/// What shows the status.
fn watching(page: &mut Page) {
    page.section("THE STATUS");
    page.text(
        "adieu status prints what a running server is doing: slots by state, counters, goodbyes, \
         the sockets of its ports in the kernel, and the memory plan beside what is used. SOCKET \
         is its status.socket, URL its status.path, such as http://127.0.0.1:8080/-/status. \
         Without both it looks where the configuration of -c says, or at /run/adieu/status.",
    );
    for flag in status::FLAGS {
        let short = flag.short.map_or_else(String::new, |c| format!("-{c}, "));
        page.item(&format!("{short}--{}", flag.long), flag.value, flag.meaning);
    }
}

/// The flags and the errands, in short.
fn synopsis(page: &mut Page) {
    page.section("SYNOPSIS");
    page.0.push_str(".B adieu\n");
    for flag in FLAGS {
        let short = flag
            .short
            .map_or_else(|| format!("--{}", flag.long), |c| format!("-{c}"));
        let value = if flag.value.is_empty() { "" } else { " " };
        let value = format!("{value}\\fI{}\\fR", roff(flag.value));
        writeln!(page.0, "[\\fB{}\\fR{value}]", roff(&short)).unwrap();
    }
    for errand in ERRANDS {
        let behind = roff(errand.behind);
        writeln!(page.0, ".br\n.B adieu {}\n\\fI{behind}\\fR", errand.name).unwrap();
    }
}

/// What the findings of doctor mean.
fn doctor(page: &mut Page) {
    page.section("THE DOCTOR");
    page.text(
        "adieu doctor takes the flags of serving, and changes nothing. The worst of what it finds \
         comes last. Beneath each stands what to do: a line for /etc/sysctl.conf, or a key of \
         adieu. What it says of limits and of the control group is said of its own process.",
    );
    for (mark, text) in [
        ("fine", "It is what the configuration needs."),
        (
            "?",
            "It cannot be read here: another kernel, a container, a network namespace.",
        ),
        ("note", "Nothing to do, but good to know."),
        (
            "warn",
            "Every promise is kept, but less is served, or slower; or it is kept only while others \
             need little. Exit status 3.",
        ),
        (
            "bad",
            "At worst a promise is not kept: no start, answers lost, memory that is not there. \
             Exit status 4.",
        ),
    ] {
        page.item(mark, "", text);
    }
}

/// Signals, the successor, and what a supervisor says.
fn service(page: &mut Page) {
    page.section("SIGNALS");
    for (signals, text) in [
        (
            "SIGTERM, SIGQUIT",
            "Stop: whoever is queued is still accepted, every response is finished, and after \
             timeout.stop_ms the rest is cut.",
        ),
        ("SIGINT", "Stop at once. So does a second SIGTERM."),
        (
            "SIGHUP",
            "Read the configuration again, by the same flags, and open directories and logs anew. \
             A wrong configuration is refused, and the old one goes on; keys that need a restart \
             are named.",
        ),
        ("SIGUSR1", "Open log files anew."),
        ("SIGUSR2", "Write the counters to the log."),
    ] {
        page.item(signals, "", text);
    }
    page.section("ANOTHER ADIEU");
    page.text(
        "With service.control an adieu that is started while another one serves takes over from \
         it: it gets the very same listening sockets, and when it is ready the other one takes \
         nobody in any more and ends when its clients have what they asked for, or after \
         timeout.handover_ms. No client is turned away. If the new one does not start, the other \
         one goes on.",
    );
    page.section("ENVIRONMENT");
    for (name, text) in [
        (
            "LISTEN_FDS, LISTEN_PID",
            "Sockets of a supervisor (sd_listen_fds(3)): they are listened on instead of \
             listen.address.",
        ),
        (
            "NOTIFY_SOCKET",
            "A supervisor that is told READY, RELOADING and STOPPING (sd_notify(3)).",
        ),
        (
            "WATCHDOG_USEC, WATCHDOG_PID",
            "It is told WATCHDOG twice as often as it asks for.",
        ),
    ] {
        page.item(name, "", text);
    }
}

/// In which way of TOML the value is written.
fn written(key: &Key) -> String {
    let with = |units: &str| format!("an integer, in {units}");
    match key.kind {
        Kind::Number {
            unit: Unit::Count, ..
        } => "an integer".to_owned(),
        Kind::Number {
            unit: Unit::Milliseconds,
            ..
        } => with("milliseconds, or a string with ms, s, m or h"),
        Kind::Number {
            unit: Unit::Seconds,
            ..
        } => with("seconds, or a string with s, m or h"),
        Kind::Number {
            unit: Unit::Bytes, ..
        } => with("bytes, or a string with B, KiB, MiB or GiB"),
        Kind::Switch => "a boolean".to_owned(),
        Kind::Path => "a string, a path".to_owned(),
        Kind::Word => "a string, one word or \"none\"".to_owned(),
        Kind::Words => "an array of strings, a word each".to_owned(),
        Kind::Choice(words) => format!("a string, one of {}", words.join(", ")),
        Kind::Networks => "an array of strings, a network, unix or all each".to_owned(),
        Kind::Lines(_) => {
            let form = key.kind.range().replace("; repeatable", "");
            format!("an array of strings, {form} each")
        }
        Kind::Listen => "an array of strings, an address each".to_owned(),
        Kind::Mode => "a string of octal digits".to_owned(),
    }
}

/// Everything that the table says of a key.
fn of_key(page: &mut Page, key: &Key, short: &str) {
    let default = key.value(&Config::default()).toml();
    writeln!(page.0, ".TP\n\\fB{}\\fR = {}", roff(short), roff(&default)).unwrap();
    page.text(key.meaning);
    let mut more = format!("It is {}", written(key));
    if let Kind::Number { .. } = key.kind {
        more += &format!("; {}", key.kind.range());
    }
    if !key.why.is_empty() {
        more += &format!(": {}", key.why);
    }
    page.text(&format!("{more}."));
    if let Kind::Lines(rule) = key.kind {
        page.text(&format!("An example is \"{}\".", rule.example()));
    }
    page.text(match key.apply {
        Apply::Reload => "A reload applies it.",
        Apply::Restart => "It needs a restart.",
    });
}

fn file() -> String {
    let mut page = Page::new("adieu.toml", 5, "the configuration of adieu");
    page.section("DESCRIPTION");
    page.text(
        "A file in TOML that adieu(8) reads when -c names it: sections, and beneath each its keys. \
         What is left out has its default. adieu -t -c FILE checks a file and prints what it comes \
         to.",
    );
    page.paragraph(
        "Whatever adieu does not understand stops the start, with file, line, key and cure: an \
         unknown section or key, a value of another type or out of its bounds, a key that is given \
         twice, two values that contradict each other.",
    );
    page.paragraph(
        "What flags and --set give replaces what the file gave. A list of the file is replaced as \
         a whole by the first one on the command line; further ones add to that.",
    );
    page.paragraph(
        "Relative paths are relative to the working directory of adieu, not to the file. The \
         file is a regular one of at most 256 KiB, in UTF-8.",
    );
    page.paragraph(
        "The section [sites.NAME] is a further site. It takes the keys of [site], has what that \
         one has but for what is written for it, and needs hosts of its own. NAME has 1 to 32 \
         letters, digits, - and _; it only stands in this file.",
    );
    let mut open = "";
    for key in KEYS {
        let (section, short) = key.name.split_once('.').unwrap();
        if section != open {
            page.section(&format!("[{section}]"));
            open = section;
        }
        of_key(&mut page, key, short);
    }
    page.section("EXAMPLES");
    page.example(
        "[listen]\naddress = [\"80\", \"[::]:80\"]\nunknown_host = \"refuse\"\n\n[site]\n\
         hosts = [\"nas.lan\"]\nroot = \"/srv/www\"\n\
         fields = [\"/assets/* Cache-Control: max-age=31536000, immutable\"]\n\n[sites.cam]\n\
         hosts = [\"cam.lan\"]\nroot = \"/srv/cam\"\n\n[timeout]\nhead_ms = \"5s\"",
    );
    page.section("SEE ALSO");
    page.text("adieu(8)");
    page.0
}

#[test]
fn the_pages_are_what_the_tables_say() {
    for (name, page) in pages() {
        if std::env::var_os("ADIEU_BLESS").is_some() {
            std::fs::write(path(name), &page).unwrap();
        }
        let on_disk = std::fs::read_to_string(path(name)).unwrap_or_default();
        assert!(
            on_disk == page,
            "docs/man/{name} is stale: ADIEU_BLESS=1 cargo test --test manual"
        );
    }
}

/// Reads the page that is installed, and not the tables' word for it.
#[test]
fn every_key_and_every_flag_has_its_entry() {
    let page = std::fs::read_to_string(path("adieu.toml.5"))
        .unwrap()
        .replace("\\-", "-");
    for key in KEYS {
        let (section, short) = key.name.split_once('.').unwrap();
        let (_, inside) = page.split_once(&format!("\n.SH [{section}]\n")).unwrap();
        let inside = inside.split("\n.SH ").next().unwrap();
        let default = key.value(&Config::default()).toml();
        let head = format!("\n\\fB{short}\\fR = {default}\n{}\n", key.meaning);
        let entry = inside.split(".TP").find(|entry| entry.starts_with(&head));
        let entry = entry.unwrap_or_else(|| panic!("no entry for {}", key.name));
        assert!(entry.contains(key.apply.name()), "{entry}");
        if let Kind::Number { .. } = key.kind {
            assert!(entry.contains(&key.kind.range()), "{entry}");
        }
    }
    let page = std::fs::read_to_string(path("adieu.8"))
        .unwrap()
        .replace("\\-", "-");
    for flag in FLAGS {
        assert!(
            page.contains(&format!("--{}\\fR", flag.long)),
            "{}",
            flag.long
        );
    }
}

/// What a reader of manual pages complains about; `None` when it is not installed.
fn complaints(program: &str, arguments: &[&str], page: &str) -> Option<String> {
    let run = Command::new(program)
        .args(arguments)
        .arg(path(page))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = [run.stdout, run.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn readers_of_manual_pages_take_them_without_a_word() {
    for (page, _) in pages() {
        for (program, arguments) in [
            ("groff", &["-man", "-ww", "-z", "-Tascii"][..]),
            ("mandoc", &["-Tlint", "-Wwarning"]),
        ] {
            match complaints(program, arguments, page) {
                Some(said) => assert_eq!(said, "", "{program} docs/man/{page}"),
                None => println!("SKIP {page}: {program} is not installed"),
            }
        }
    }
}
