//! The conditions of a request, and dates at their limits.

use super::{Outcome, Validators, http_date, seconds};
use crate::connection::head::{Field, Framing, Method, Request, Target, Verdict, Version};
use crate::connection::time::Wall;
use crate::sys::file::{Kind, Stat};

/// 2024-05-06 07:08:09 UTC, when the file of these tests was modified.
const MODIFIED_S: i64 = 1_714_979_289;
const MODIFIED: &str = "Mon, 06 May 2024 07:08:09 GMT";

fn stat(modified_s: i64) -> Stat {
    Stat {
        kind: Kind::Regular,
        size: 0x1234,
        inode: 0xabc,
        device: 1,
        modified_s,
        modified_ns: 5,
        changed_s: modified_s,
        changed_ns: 6,
        mode: 0o100_644,
    }
}

fn wall(unix_s: i64) -> Wall {
    Wall {
        unix_s,
        date: http_date(unix_s).unwrap(),
    }
}

/// The validators of an old file, or of one modified this very second.
fn old() -> Validators {
    Validators::new(&stat(MODIFIED_S)).at(Some(wall(MODIFIED_S + 1000)))
}

fn young() -> Validators {
    Validators::new(&stat(MODIFIED_S)).at(Some(wall(MODIFIED_S)))
}

fn with<T>(lines: &[(&str, &str)], ask: impl FnOnce(&Request<'_>) -> T) -> T {
    let fields: Vec<Field<'_>> = lines
        .iter()
        .map(|(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    ask(&Request {
        line: b"",
        method: Method::Get,
        target: Target::Path {
            path: b"/",
            query: None,
        },
        host: b"",
        fields: &fields,
        verdict: Verdict {
            head_bytes: 0,
            framing: Framing::None,
            version: Version::Http11,
            keep: true,
            head_only: false,
            expects_continue: false,
        },
    })
}

fn tag(validators: &Validators) -> String {
    String::from_utf8(validators.etag().to_vec()).unwrap()
}

#[test]
fn tags_are_strong_once_the_file_has_settled() {
    assert!(tag(&old()).starts_with("\"abc-1234-"), "{}", tag(&old()));
    assert_eq!(tag(&young()), format!("W/{}", tag(&old())));
    for (age, strong) in [
        (-3, true),
        (-2, true),
        (-1, false),
        (0, false),
        (1, false),
        (2, true),
    ] {
        let validators = Validators::new(&stat(MODIFIED_S)).at(Some(wall(MODIFIED_S + age)));
        assert_eq!(!tag(&validators).starts_with("W/"), strong, "{age} s old");
    }
    let clockless = Validators::new(&stat(MODIFIED_S)).at(None);
    assert!(tag(&clockless).starts_with("W/"), "no clock, no age");
}

#[test]
fn every_part_of_the_state_is_in_the_tag() {
    let now = Some(wall(MODIFIED_S + 1000));
    let of = |change: fn(&mut Stat)| {
        let mut stat = stat(MODIFIED_S);
        change(&mut stat);
        tag(&Validators::new(&stat).at(now))
    };
    let tags = [
        of(|_| ()),
        of(|s| s.size += 1),
        of(|s| s.inode += 1),
        of(|s| s.modified_s -= 1),
        of(|s| s.modified_ns += 1),
        of(|s| s.changed_s += 1),
        of(|s| s.changed_ns += 1),
    ];
    for (index, one) in tags.iter().enumerate() {
        assert!(
            tags.iter().skip(index + 1).all(|other| one != other),
            "{one}"
        );
    }
}

#[test]
fn the_longest_tag_fits() {
    let extreme = Stat {
        size: u64::MAX,
        inode: u64::MAX,
        modified_s: 0,
        changed_s: -1,
        modified_ns: u32::MAX,
        changed_ns: 0,
        ..stat(0)
    };
    let found = tag(&Validators::new(&extreme).at(None));
    assert!(
        found.starts_with("W/\"ffffffffffffffff-ffffffffffffffff-"),
        "{found}"
    );
    assert!(found.ends_with('"') && found.len() <= 71, "{found}");
    for modified_s in [i64::MIN, -1, i64::MAX] {
        assert!(tag(&Validators::new(&stat(modified_s)).at(None)).ends_with('"'));
        assert!(tag(&Validators::new(&stat(modified_s)).at(Some(wall(0)))).ends_with('"'));
    }
}

#[test]
fn last_modified_is_never_later_than_date() {
    let now = 1_800_000_000;
    for (modified_s, clock, expected) in [
        (MODIFIED_S, Some(now), Some(MODIFIED)),
        (MODIFIED_S, None, Some(MODIFIED)),
        (now, Some(now), Some("Fri, 15 Jan 2027 08:00:00 GMT")),
        (now + 1, Some(now), Some("Fri, 15 Jan 2027 08:00:00 GMT")),
        (
            2_208_988_800,
            Some(now),
            Some("Fri, 15 Jan 2027 08:00:00 GMT"),
        ),
        (2_208_988_800, None, Some("Sun, 01 Jan 2040 00:00:00 GMT")),
        (
            2_208_988_800,
            Some(3_000_000_000),
            Some("Sun, 01 Jan 2040 00:00:00 GMT"),
        ),
        (0, Some(now), Some("Thu, 01 Jan 1970 00:00:00 GMT")),
        (-1, Some(now), None),
        (-2_177_452_800, Some(now), None),
        (253_402_300_799, None, Some("Fri, 31 Dec 9999 23:59:59 GMT")),
        (253_402_300_800, None, None),
        (253_402_300_800, Some(now), None),
        (i64::MAX, Some(now), None),
        (i64::MIN, Some(now), None),
    ] {
        let validators = Validators::new(&stat(modified_s)).at(clock.map(wall));
        assert_eq!(
            validators.last_modified(),
            expected.map(str::as_bytes),
            "{modified_s} {clock:?}"
        );
    }
}

#[test]
fn dates_come_in_three_forms() {
    for (text, s) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
        ("Sun, 01 Jan 2040 00:00:00 GMT", Some(2_208_988_800)),
        ("Tue, 01 Jan 1901 00:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ("Mon, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("784111777", None),
        ("", None),
        ("\u{e9}", None),
    ] {
        assert_eq!(seconds(text.as_bytes()), s, "{text}");
    }
}

/// Field lines, where `T` stands for the opaque part of the tag; what they come to for the old
/// file, and for the young one.
type Condition = (&'static [(&'static str, &'static str)], Outcome, Outcome);

const CONDITIONS: &[Condition] = {
    use Outcome::{Failed, NotModified, Proceed};
    const BEFORE: &str = "Mon, 06 May 2024 07:08:08 GMT";
    const AFTER: &str = "Mon, 06 May 2024 07:08:10 GMT";
    &[
        (&[], Proceed, Proceed),
        (&[("If-None-Match", "\"T\"")], NotModified, NotModified),
        (&[("If-None-Match", "W/\"T\"")], NotModified, NotModified),
        (&[("if-none-match", "  \"T\" ")], NotModified, NotModified),
        (&[("If-None-Match", "*")], NotModified, NotModified),
        (&[("If-None-Match", "\"x\"")], Proceed, Proceed),
        (
            &[("If-None-Match", "\"x\", \"T\"")],
            NotModified,
            NotModified,
        ),
        (
            &[("If-None-Match", "\"x\",W/\"T\" ,\"y\"")],
            NotModified,
            NotModified,
        ),
        (&[("If-None-Match", ",, \"T\"")], NotModified, NotModified),
        (
            &[("If-None-Match", "\"a,b\", \"T\"")],
            NotModified,
            NotModified,
        ),
        (
            &[("If-None-Match", "\"x\""), ("If-None-Match", "\"T\"")],
            NotModified,
            NotModified,
        ),
        (&[("If-None-Match", "\"T\" \"x\"")], Proceed, Proceed),
        (&[("If-None-Match", "T")], Proceed, Proceed),
        (&[("If-None-Match", "\"T")], Proceed, Proceed),
        (&[("If-None-Match", "T\"")], Proceed, Proceed),
        (&[("If-None-Match", "w/\"T\"")], Proceed, Proceed),
        (&[("If-None-Match", "W/ \"T\"")], Proceed, Proceed),
        (&[("If-None-Match", "\"T \"")], Proceed, Proceed),
        (&[("If-None-Match", "'T'")], Proceed, Proceed),
        (&[("If-None-Match", "x, \"T\"")], Proceed, Proceed),
        (&[("If-None-Match", "*, \"T\"")], Proceed, Proceed),
        (
            &[("If-None-Match", "*"), ("If-None-Match", "\"x\"")],
            Proceed,
            Proceed,
        ),
        (&[("If-None-Match", "")], Proceed, Proceed),
        (&[("If-Modified-Since", MODIFIED)], NotModified, NotModified),
        (&[("If-Modified-Since", AFTER)], NotModified, NotModified),
        (&[("If-Modified-Since", BEFORE)], Proceed, Proceed),
        (
            &[("If-Modified-Since", "Sun, 01 Jan 2040 00:00:00 GMT")],
            NotModified,
            NotModified,
        ),
        (
            &[("If-Modified-Since", "Monday, 06-May-24 07:08:09 GMT")],
            NotModified,
            NotModified,
        ),
        (
            &[("If-Modified-Since", "Mon May  6 07:08:09 2024")],
            NotModified,
            NotModified,
        ),
        (
            &[("If-Modified-Since", "Tue, 01 Jan 1901 00:00:00 GMT")],
            Proceed,
            Proceed,
        ),
        (&[("If-Modified-Since", "soon")], Proceed, Proceed),
        (
            &[
                ("If-Modified-Since", MODIFIED),
                ("If-Modified-Since", MODIFIED),
            ],
            Proceed,
            Proceed,
        ),
        // If-None-Match, even a useless one, silences If-Modified-Since.
        (
            &[("If-None-Match", "\"x\""), ("If-Modified-Since", MODIFIED)],
            Proceed,
            Proceed,
        ),
        (
            &[("If-None-Match", "x"), ("If-Modified-Since", MODIFIED)],
            Proceed,
            Proceed,
        ),
        (
            &[("If-None-Match", "\"T\""), ("If-Modified-Since", BEFORE)],
            NotModified,
            NotModified,
        ),
        // The strong comparison: a weak tag matches nothing, not even itself.
        (&[("If-Match", "\"T\"")], Proceed, Failed),
        (&[("If-Match", "W/\"T\"")], Failed, Failed),
        (&[("If-Match", "\"x\", \"T\"")], Proceed, Failed),
        (&[("If-Match", "*")], Proceed, Proceed),
        (&[("If-Match", "\"x\"")], Failed, Failed),
        (&[("If-Match", "x")], Failed, Failed),
        (&[("If-Unmodified-Since", MODIFIED)], Proceed, Proceed),
        (&[("If-Unmodified-Since", AFTER)], Proceed, Proceed),
        (&[("If-Unmodified-Since", BEFORE)], Failed, Failed),
        (&[("If-Unmodified-Since", "never")], Proceed, Proceed),
        // If-Match silences If-Unmodified-Since; 412 goes before 304; both may pass.
        (
            &[("If-Match", "*"), ("If-Unmodified-Since", BEFORE)],
            Proceed,
            Proceed,
        ),
        (
            &[("If-Match", "\"x\""), ("If-None-Match", "\"T\"")],
            Failed,
            Failed,
        ),
        (
            &[("If-None-Match", "*"), ("If-Unmodified-Since", BEFORE)],
            Failed,
            Failed,
        ),
        (
            &[("If-Match", "*"), ("If-None-Match", "\"T\"")],
            NotModified,
            NotModified,
        ),
        (
            &[
                ("If-Modified-Since", MODIFIED),
                ("If-Unmodified-Since", AFTER),
            ],
            NotModified,
            NotModified,
        ),
    ]
};

#[test]
fn preconditions() {
    for (lines, of_old, of_young) in CONDITIONS {
        let (old, young) = (old(), young());
        let opaque = tag(&old).trim_matches('"').to_owned();
        let values: Vec<String> = lines
            .iter()
            .map(|(_, value)| value.replace("T\"", &format!("{opaque}\"")))
            .collect();
        let lines: Vec<(&str, &str)> = lines
            .iter()
            .zip(&values)
            .map(|((name, _), value)| (*name, value.as_str()))
            .collect();
        assert_eq!(
            with(&lines, |request| old.check(request)),
            *of_old,
            "old file, {lines:?}"
        );
        assert_eq!(
            with(&lines, |request| young.check(request)),
            *of_young,
            "young file, {lines:?}"
        );
    }
}

#[test]
fn a_file_without_a_date_ignores_dates() {
    let ancient = Validators::new(&stat(-2_177_452_800)).at(Some(wall(MODIFIED_S)));
    for name in ["If-Modified-Since", "If-Unmodified-Since"] {
        let outcome = with(&[(name, MODIFIED)], |request| ancient.check(request));
        assert_eq!(outcome, Outcome::Proceed, "{name}");
    }
    assert!(!with(&[("If-Range", MODIFIED)], |request| ancient
        .range_applies(request)));
}

#[test]
fn a_file_of_the_future_is_modified_since_its_clipped_date() {
    let now = MODIFIED_S - 500;
    let future = Validators::new(&stat(MODIFIED_S)).at(Some(wall(now)));
    let date = String::from_utf8(future.last_modified().unwrap().to_vec()).unwrap();
    assert_eq!(seconds(date.as_bytes()), Some(now));
    let outcome = with(&[("If-Modified-Since", &date)], |request| {
        future.check(request)
    });
    assert_eq!(outcome, Outcome::Proceed);
    assert!(!with(&[("If-Range", &date)], |request| future
        .range_applies(request)));
}

#[test]
fn if_range_needs_a_strong_validator() {
    let (old, young) = (old(), young());
    let strong = tag(&old);
    let weak = format!("W/{strong}");
    let ask = |validators: &Validators, lines: &[(&str, &str)]| {
        with(lines, |request| validators.range_applies(request))
    };
    assert!(ask(&old, &[]));
    assert!(ask(&young, &[]));
    assert!(ask(&old, &[("If-Range", &strong)]));
    assert!(ask(&old, &[("If-Range", MODIFIED)]));
    assert!(!ask(&young, &[("If-Range", &strong)]));
    assert!(!ask(&young, &[("If-Range", &weak)]));
    assert!(!ask(&young, &[("If-Range", MODIFIED)]));
    for value in [
        weak.as_str(),
        "\"x\"",
        "*",
        "",
        "x",
        "Mon, 06 May 2024 07:08:08 GMT",
        "Mon, 06 May 2024 07:08:10 GMT",
        &format!("{strong}, \"x\""),
    ] {
        assert!(!ask(&old, &[("If-Range", value)]), "{value}");
    }
    assert!(
        !ask(&old, &[("If-Range", &strong), ("If-Range", &strong)]),
        "given twice"
    );
}
