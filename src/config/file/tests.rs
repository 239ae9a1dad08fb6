//! Files that are sound, and files that are not.

use super::super::keys::{KEYS, Key};
use super::super::value::{Kind, Unit};
use super::super::{Config, Setup, Sizes, Target};
use super::*;

const SHOWN: &str = "adieu.toml";

fn finished(draft: Draft) -> Result<Setup, StartError> {
    draft.finish(&Sizes::sample())
}

/// The draft of a file, as `load` makes it.
fn draft(text: &str) -> Result<Draft, StartError> {
    let mut draft = Draft::new();
    draft.begin_file(Path::new(SHOWN));
    give(&mut draft, SHOWN, text)?;
    draft.end_file();
    Ok(draft)
}

fn setup(text: &str) -> Result<Setup, StartError> {
    finished(draft(text)?)
}

fn config(text: &str) -> Config {
    setup(text).unwrap().config
}

fn fault(text: &str) -> String {
    let error = setup(text).expect_err(text);
    assert_eq!(error.code, 78, "{text}");
    error.to_string()
}

// ---- what is taken ----------------------------------------------------------------------------

#[test]
fn a_file_may_be_written_in_every_way_of_toml() {
    for text in [
        "[linger]\nidle_ms = 1500\n[sites.cam]\nhosts = [\"cam.lan\"]\nlisting = true",
        "\u{feff}[linger]\r\n  idle_ms='1500ms' # why\r\n\r\n[ sites . cam ]\r\nlisting=true\r\n\
         hosts=[\r\n  'cam.lan', # here\r\n]\r\n",
        "linger.idle_ms = 1_500\nsites.cam.hosts = [\"\\u0063am.lan\"]\nsites.cam.listing = true",
        "[sites]\ncam.listing = true\ncam.hosts = [\"cam.lan\"]\n[linger]\nidle_ms = +1500",
    ] {
        let text = text.replace("+1500", "1500");
        let config = config(&text);
        assert_eq!(config.limits.linger_idle_ms, 1500, "{text}");
        let cam = &config.sites[0];
        assert_eq!(
            (cam.name.as_str(), cam.site.listing),
            ("cam", true),
            "{text}"
        );
        assert_eq!(cam.site.hosts, ["cam.lan"], "{text}");
    }
    let empty = [
        config(""),
        config("# nothing\n"),
        config("[site]\n[sites]\n"),
    ];
    let mut defaults = Config::default();
    defaults.settle();
    assert!(empty.iter().all(|config| *config == defaults));
}

#[test]
fn the_command_line_replaces_what_the_file_gave_lists_too() {
    let text = "[listen]\naddress = [\"81\", \"82\"]\n[site]\nfields = [\"/ X-A: 1\"]\n\
                [sites.cam]\nhosts = [\"cam.lan\"]\nfields = [\"/ X-B: 1\", \"/ X-C: 1\"]\n\
                [linger]\nidle_ms = 1500\n";
    let mut draft = draft(text).unwrap();
    for (name, value) in [
        ("listen.address", "83"),
        ("listen.address", "84"),
        ("site.fields", "/ X-D: 1"),
        ("sites.cam.fields", "/ X-E: 1"),
        ("sites.cam.fields", "/ X-F: 1"),
        ("sites.cam.listing", "on"),
        ("sites.door.hosts", "door.lan"),
    ] {
        draft.set(name, value, "--set").unwrap();
    }
    let config = finished(draft).unwrap().config;
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:83", "0.0.0.0:84"]);
    assert_eq!(config.limits.linger_idle_ms, 1500);
    let fields = |site: &super::super::SiteConfig| -> Vec<String> {
        site.fields.iter().map(|field| field.name.clone()).collect()
    };
    assert_eq!(fields(&config.site), ["X-D"]);
    let [cam, door] = &config.sites[..] else {
        panic!("{:?}", config.sites);
    };
    assert_eq!(fields(&cam.site), ["X-E", "X-F"]);
    assert_eq!(
        (cam.site.hosts.as_slice(), cam.site.listing),
        (&["cam.lan".to_owned()][..], true)
    );
    assert_eq!(
        (door.name.as_str(), fields(&door.site)),
        ("door", vec!["X-D".to_owned()])
    );
}

#[test]
fn a_fault_of_the_command_line_does_not_blame_the_file() {
    let mut draft = draft("[linger]\nidle_ms = 1500\n").unwrap();
    draft.set("linger.idle_ms", "31s", "--set").unwrap();
    let error = finished(draft).unwrap_err().to_string();
    assert!(
        error.starts_with("linger.idle_ms: linger.idle_ms must not"),
        "{error}"
    );
}

// ---- every key --------------------------------------------------------------------------------

/// Values that the key takes, as the file has them; the text of `--set` beside each.
fn good(key: &Key) -> Vec<(String, String)> {
    let default = key.value(&Config::default());
    let mut values = vec![(default.toml(), default.to_string())];
    let mut also = |toml: &str, text: &str| values.push((toml.to_owned(), text.to_owned()));
    match key.kind {
        Kind::Number { unit, max, .. } => {
            also(&max.to_string(), &max.to_string());
            if unit != Unit::Count {
                let text = format!("{max}{}", unit.name());
                also(&format!("\"{text}\""), &text);
            }
        }
        Kind::Switch => {
            also("true", "on");
            also("false", "off");
        }
        Kind::Path => also("\"/srv/a \\\"b\\\"\"", "/srv/a \"b\""),
        Kind::Word => also("\"/a.html\"", "/a.html"),
        Kind::Words if key.name == "site.precompressed" => also("['gzip', 'br']", "gzip,br"),
        Kind::Words => also("['a.example', 'b']", "a.example,b"),
        Kind::Choice(words) => {
            for word in words {
                also(&format!("\"{word}\""), word);
            }
        }
        Kind::Networks => also("['10.0.0.0/8', 'unix']", "10.0.0.0/8,unix"),
        Kind::Lines(rule) => also(&format!("['{}']", rule.example()), rule.example()),
        Kind::Listen => also("['81', '[::1]:82', 'unix:/x']", "81,[::1]:82,unix:/x"),
        Kind::Mode => also("\"600\"", "0600"),
    }
    values
}

/// Values that the key does not take.
fn bad(key: &Key) -> Vec<String> {
    let mut values: Vec<&str> = vec![
        "1.5",
        "1979-05-27",
        "{ a = 1 }",
        "[[1]]",
        "[{}]",
        "nonsense",
    ];
    match key.kind {
        Kind::Number { unit, min, max } => {
            values.extend(["true", "\"\"", "\"many\"", "-1", "0x10", "[]"]);
            if unit == Unit::Count {
                values.push("\"16\"");
            }
            let outside = [Some(max.saturating_add(1)), min.checked_sub(1)];
            let outside = outside.into_iter().flatten().map(|n| n.to_string());
            return outside
                .chain(values.into_iter().map(str::to_owned))
                .collect();
        }
        Kind::Switch => values.extend(["\"on\"", "\"true\"", "1", "[true]"]),
        Kind::Path => values.extend(["\"\"", "5", "true", "[\"a\"]", "\"a\\nb\""]),
        Kind::Word => values.extend(["\"\"", "\"a b\"", "5", "true", "[\"a\"]"]),
        Kind::Words => values.extend(["\"a\"", "[\"\"]", "[\"a,b\"]", "[\"none\"]", "[5]"]),
        Kind::Choice(_) => values.extend(["\"perhaps\"", "\"\"", "true", "0"]),
        Kind::Networks => values.extend(["\"unix\"", "[\"host\"]", "[\"\"]", "[\"none\"]", "[5]"]),
        Kind::Lines(_) => values.extend(["\"x\"", "[\"x\"]", "[\"\"]", "[\"none\"]", "[5]"]),
        Kind::Listen => values.extend(["\"80\"", "80", "[]", "[80]", "[\"host:80\"]", "[\"\"]"]),
        Kind::Mode => values.extend(["\"rw\"", "0660", "0o660", "\"\"", "[\"660\"]"]),
    }
    values.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_key_takes_good_values_as_the_command_line_does() {
    for key in KEYS {
        for (toml, text) in good(key) {
            let line = format!("{} = {toml}\n", key.name);
            let from_file = draft(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut from_text = Draft::new();
            from_text.set(key.name, &text, "--set").unwrap();
            // Only this key: what it contradicts is not the matter.
            let value = |draft: &Draft| {
                format!("{draft:?}")
                    .split("given: ")
                    .next()
                    .map(str::to_owned)
            };
            assert_eq!(value(&from_file), value(&from_text), "{line}");
        }
    }
}

#[test]
fn every_key_refuses_bad_values_with_file_line_key_and_cure() {
    for key in KEYS {
        let (section, short) = key.name.split_once('.').unwrap();
        let mut names = vec![(section.to_owned(), key.name.to_owned())];
        if key.is_of_site() {
            names.push(("sites.cam".to_owned(), format!("sites.cam.{short}")));
        }
        for value in bad(key) {
            for (section, name) in &names {
                let text = format!("# one\n[{section}]\n\n{short} = {value}\n");
                let error = setup(&text).expect_err(&text);
                let line = error.to_string();
                assert_eq!(error.place, format!("{SHOWN}:4"), "{line}");
                assert!(error.what.starts_with(&format!("{name}: ")), "{line}");
                assert!(error.cure.split(' ').count() > 2, "{line}");
                assert!(
                    !line.contains(char::is_control) && line.len() < 400,
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn an_element_of_a_list_is_refused_with_its_own_line() {
    for key in KEYS {
        let wrong = match key.kind {
            Kind::Words | Kind::Networks => "a,b",
            Kind::Lines(_) => "x",
            Kind::Listen => "host:80",
            Kind::Number { .. }
            | Kind::Switch
            | Kind::Path
            | Kind::Word
            | Kind::Mode
            | Kind::Choice(_) => continue,
        };
        let (first, _) = good(key).pop().unwrap();
        let first = first.trim_start_matches('[').split_inclusive('\'').take(2);
        let first: String = first.collect();
        let text = format!("{} = [\n  {first},\n\n  '{wrong}',\n]\n", key.name);
        let error = setup(&text).expect_err(&text);
        assert_eq!(error.place, format!("{SHOWN}:4"), "{text}{error}");
    }
}

// ---- messages, as a person reads them ---------------------------------------------------------

/// A file, and what is said about it.
const FAULTS: &[(&str, &str)] = &[
    (
        "[log]\nlevel = info\n",
        "2: log.level: info without quotes is written, and a string is wanted; write it as in \
             level = \"info\"",
    ),
    (
        "[timeout]\nhead_ms = 10s\n",
        "2: timeout.head_ms: 10s without quotes is written, and an integer or a string with a \
             unit is wanted; write it as in head_ms = \"10s\"",
    ),
    (
        "[log]\nlevel =\n",
        "2: log.level: nothing is written, and a string is wanted; write it as in level = \
             \"info\"",
    ),
    (
        "[linger]\nidle_ms = 1.5\n",
        "2: linger.idle_ms: a float is written, and an integer or a string with a unit is \
             wanted; write it as in idle_ms = \"2s\"",
    ),
    (
        "[keepalive]\nenabled = \"on\"\n",
        "2: keepalive.enabled: a string is written, and a boolean is wanted; write enabled = \
             true or enabled = false",
    ),
    (
        "[linger]\nkernel_fin_wait_s = 90\n",
        "2: linger.kernel_fin_wait_s: 90 is outside 1 to 60 s; choose a value in that range: \
             above 60 the kernel waits about twice the excess instead (61 gives 2 s)",
    ),
    (
        "[linger]\ntotal_ms = \"1s\"\n",
        "2: linger.idle_ms must not exceed linger.total_ms; lower the first or raise the \
             second",
    ),
    (
        "[linger]\nidel_ms = 5\n",
        "2: there is no key linger.idel_ms; did you mean linger.idle_ms? adieu --help lists \
             the keys",
    ),
    (
        "[site]\nidle_ms = 5\n",
        "2: there is no key site.idle_ms; idle_ms is a key of [keepalive], [linger]: write it \
             there",
    ),
    (
        "level = \"info\"\n",
        "1: level stands in no section; level is a key of [log]: write it there",
    ),
    (
        "[lingr]\n",
        "1: there is no section [lingr]; did you mean [linger]?",
    ),
    (
        "[site.root]\n",
        "1: [site.root] is a key, not a section; write root = \"conf/www\" beneath [site]",
    ),
    (
        "[[site]]\n",
        "1: [[site]] opens a table in an array; write a section as [site], a further site as \
             [sites.NAME]",
    ),
    (
        "[site]\n[log]\n[site]\n",
        "3: [site] is begun twice, first on line 1; write all of its keys in one place",
    ),
    (
        "[site]\nroot = \"a\"\nroot = \"b\"\n",
        "3: site.root: it is given twice, first on line 2; write it once",
    ),
    (
        "site = 5\n",
        "1: site is a section, and an integer is written for it; write [site] on a line of \
             its own, its keys beneath it",
    ),
    (
        "[sites.cam]\n",
        "1: [sites.cam] has no keys: nobody could reach the site; write its hosts, such as \
             hosts = [\"cam.lan\"]",
    ),
    (
        "[site]\n\n[sites.cam]\nroot = \"a\"\n",
        "4: sites.cam.hosts: the site has no host: nobody could reach it; name its hosts, \
             such as cam.lan",
    ),
    (
        "[site]\nhosts = [\n'a.lan',\n'b.lan:80']\n",
        "4: site.hosts: \"b.lan:80\" is no host; write a name such as www.example.com or \
             *.example.com, or an address, without a port",
    ),
    (
        "[listen]\naddress = [\n'80',\n'80']\n",
        "4: listen.address: 0.0.0.0:80 is given twice; name each address once",
    ),
    (
        "\"site.root\" = 'a'\n",
        "1: \"site.root\" is no name; write 1 to 64 letters, digits, - and _, without quotes",
    ),
    (
        "[site]\nroot = \"a\\nb\"\n",
        "2: site.root: \"a\\nb\" is too long, or no plain text; write at most 4096 bytes, \
             without line feeds and other controls",
    ),
];

#[test]
fn faults_read_well() {
    for (text, line) in FAULTS {
        assert_eq!(fault(text), format!("{SHOWN}:{line}"));
    }
    let toml = "write [section], and beneath it key = \"text\", key = 5, key = true or key = \
                [\"one\", \"two\"]";
    for (text, line) in [
        (
            "[log\n",
            &format!("1: unclosed table: ] is expected; {toml}"),
        ),
        (
            "[log]\nlevel \"info\"\n",
            &format!("2: log.level: key with no value: = is expected; {toml}"),
        ),
        (
            "[site]\nindex = [\n'a'\n'b']\n",
            &format!("4: site.index: missing comma between array elements: , is expected; {toml}"),
        ),
    ] {
        assert_eq!(fault(text), format!("{SHOWN}:{line}"));
    }
}

// ---- whatever stands in it --------------------------------------------------------------------

/// A small generator of numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(most.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn no_mutilated_file_makes_it_panic_and_every_fault_has_a_line() {
    const PIECES: [&str; 24] = [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "=",
        ".",
        ",",
        "#",
        "\n",
        "\r",
        "\\",
        "\u{0}",
        "\u{fffd}",
        "sites.",
        "1e9",
        "-",
        "none",
        "2024-01-01T00:00:00Z",
    ];
    let annotated = include_str!("../../../conf/adieu.toml");
    let sample = "listen.address = ['80']\n[site]\nroot = \"/a\"\nfields = [\"/ X: y\", '/ Z: w']\n\
                  [sites.cam]\nhosts = ['cam']\nlisting = true\n[linger]\nidle_ms = '2s'\n";
    let mut dice = Dice(0x5eed_ad1e_u64);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..6000 {
        let mut text: Vec<char> = if round % 20 == 0 { annotated } else { sample }
            .chars()
            .collect();
        for _ in 0..=dice.below(4) {
            let (from, to) = (dice.below(text.len()), dice.below(text.len()));
            let piece: Vec<char> = match dice.below(3) {
                0 => vec![],
                1 => PIECES[dice.below(PIECES.len())].chars().collect(),
                _ => text[from.min(to)..from.max(to)].to_vec(),
            };
            let at = dice.below(text.len());
            let cut = (at + dice.below(3)).min(text.len());
            text.splice(at..cut, piece);
        }
        let text: String = text.into_iter().collect();
        match setup(&text) {
            Ok(_) => taken += 1,
            Err(error) => {
                refused += 1;
                let line = error.to_string();
                assert!(line.starts_with(&format!("{SHOWN}:")), "{text}\n{line}");
                assert!(!line.contains(char::is_control), "{text}\n{line}");
                assert!(line.len() < 6000, "{text}\n{line}");
            }
        }
    }
    assert!(taken > 100 && refused > 1000, "{taken} {refused}");
}

#[test]
fn what_is_deep_or_long_is_refused_in_time() {
    let many = 60_000;
    for text in [
        "[".repeat(many),
        format!("a = {}", "[".repeat(many)),
        format!("a = {}", "{a=".repeat(many)),
        format!("[{}]", "a.".repeat(many)),
        format!("{} = 1", "a".repeat(many)),
        format!("[site]\nroot = \"{}\"", "a".repeat(many)),
        format!("[site]\nindex = [{}5]", "\"a\",".repeat(many)),
        (0..many / 2).map(|n| format!("a{n}=1\n")).collect(),
        (0..many / 2).map(|n| format!("[a{n}]\n")).collect(),
        "a = \"\"\"".to_owned() + &"\n".repeat(many),
    ] {
        let line = fault(&text);
        assert!(line.len() < 1000, "{line}");
    }
}

#[test]
fn names_of_keys_lead_back_to_them() {
    for key in KEYS {
        assert_eq!(Target::named(key.name).unwrap().name(), key.name);
        if let Some(short) = key.name.strip_prefix("site.") {
            let name = format!("sites.cam.{short}");
            assert_eq!(Target::named(&name).unwrap().name(), name);
        }
    }
}
