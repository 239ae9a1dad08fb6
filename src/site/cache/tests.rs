//! What is kept, for how long, and what the kernel says about it.

use super::super::tests::{Folder, answer, answer_in, config, turn, verdict};
use super::super::{Content, Site, Source};
use super::{Cache, KEEP_MS};
use crate::connection::head::{Field, Framing, Method, Request, Target, Version};
use crate::connection::limits::Limits;
use crate::connection::time::Turn;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A site with a cache, asked as by a client that takes gzip or nothing.
struct Asked {
    folder: Folder,
    site: Site,
    cache: Cache,
}

impl Asked {
    fn new() -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.path("d")).unwrap();
        fs::write(folder.path("d/f.txt"), "old").unwrap();
        let site = Site::new(&config(&folder.path(""))).unwrap();
        Self {
            folder,
            site,
            cache: Cache::new(4, 8192, 2000),
        }
    }

    /// Status, content, and whether it came from the cache.
    fn get(&mut self, path: &str, coding: &str) -> (u16, String, bool) {
        let fields = [Field {
            name: "Accept-Encoding",
            value: coding.as_bytes(),
        }];
        let request = Request {
            line: b"",
            method: Method::Get,
            target: Target::Path {
                path: path.as_bytes(),
                query: None,
            },
            host: b"device",
            fields: &fields,
            verdict: verdict(Method::Get, Framing::None, Version::Http11),
        };
        let (status, _, content) = answer(&mut self.site, &request, &mut self.cache);
        let Content::File(part) = content else {
            return (status, String::new(), false);
        };
        let mut bytes = vec![0; usize::try_from(part.length).unwrap()];
        let kept = match part.source {
            Source::Own(file) => {
                use std::os::unix::fs::FileExt;
                fs::File::from(file).read_exact_at(&mut bytes, 0).unwrap();
                false
            }
            Source::Kept(kept) => {
                self.cache.read(kept, &mut bytes, 0).unwrap();
                true
            }
        };
        (status, String::from_utf8(bytes).unwrap(), kept)
    }

    /// Asks until it is kept.
    fn warm(&mut self, path: &str, coding: &str) -> (u16, String) {
        self.get(path, coding);
        self.get(path, coding);
        let (status, body, kept) = self.get(path, coding);
        assert!(kept, "{path}");
        (status, body)
    }
}

#[test]
fn who_asks_once_is_not_kept_and_who_asks_twice_is() {
    let mut asked = Asked::new();
    assert!(!asked.get("/d/f.txt", "").2);
    assert!(asked.get("/d/f.txt", "").2, "it was put there for this one");
    assert_eq!(asked.get("/d/f.txt", ""), (200, "old".to_owned(), true));
}

type Change = fn(&Folder);

/// What is done to a site, and what its client gets then.
const CHANGES: [(&str, Change, (u16, &str)); 12] = [
    (
        "written anew",
        |f| fs::write(f.path("d/f.txt"), "new").unwrap(),
        (200, "new"),
    ),
    (
        "longer",
        |f| fs::write(f.path("d/f.txt"), "longer").unwrap(),
        (200, "longer"),
    ),
    (
        "replaced",
        |f| {
            fs::write(f.path("t"), "new").unwrap();
            fs::rename(f.path("t"), f.path("d/f.txt")).unwrap();
        },
        (200, "new"),
    ),
    (
        "removed",
        |f| fs::remove_file(f.path("d/f.txt")).unwrap(),
        (404, ""),
    ),
    (
        "its directory has another name",
        |f| fs::rename(f.path("d"), f.path("e")).unwrap(),
        (404, ""),
    ),
    (
        "another directory in its place",
        |f| {
            fs::create_dir(f.path("e")).unwrap();
            fs::write(f.path("e/f.txt"), "other").unwrap();
            fs::rename(f.path("d"), f.path("x")).unwrap();
            fs::rename(f.path("e"), f.path("d")).unwrap();
        },
        (200, "other"),
    ),
    (
        "a link in its place",
        |f| {
            fs::write(f.path("g"), "linked").unwrap();
            fs::remove_file(f.path("d/f.txt")).unwrap();
            symlink("../g", f.path("d/f.txt")).unwrap();
        },
        (200, "linked"),
    ),
    (
        "a sibling appears",
        |f| fs::write(f.path("d/f.txt.gz"), "packed").unwrap(),
        (200, "packed"),
    ),
    (
        "everything is removed",
        |f| fs::remove_dir_all(f.path("d")).unwrap(),
        (404, ""),
    ),
    (
        "a file in place of the directory",
        |f| {
            fs::remove_dir_all(f.path("d")).unwrap();
            fs::write(f.path("d"), "file").unwrap();
        },
        (404, ""),
    ),
    (
        "cut",
        |f| fs::write(f.path("d/f.txt"), "").unwrap(),
        (200, ""),
    ),
    (
        "nothing at all",
        |f| {
            let _ = fs::read(f.path("d/f.txt")).unwrap();
        },
        (200, "old"),
    ),
];

#[test]
fn whatever_changes_on_the_way_is_seen_at_once() {
    for (what, change, (status, body)) in CHANGES {
        let mut asked = Asked::new();
        assert_eq!(asked.warm("/d/f.txt", "gzip"), (200, "old".to_owned()));
        change(&asked.folder);
        asked.cache.look();
        let got = asked.get("/d/f.txt", "gzip");
        assert_eq!((got.0, got.1.as_str()), (status, body), "{what}");
    }
}

#[test]
fn permissions_that_are_taken_away_count_at_once() {
    let mut asked = Asked::new();
    asked.warm("/d/f.txt", "");
    for (path, mode) in [("d/f.txt", 0o600), ("d", 0o711)] {
        asked.warm("/d/f.txt", "");
        let path = asked.folder.path(path);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        asked.cache.look();
        assert!(asked.cache.places.iter().all(Option::is_none));
    }
}

#[test]
fn links_are_watched_where_they_stand_and_where_they_lead() {
    for (change, body) in [("links", "two"), ("file", "new"), ("sibling", "packed")] {
        let mut asked = Asked::new();
        let path = |name: &str| asked.folder.path(name);
        for (name, text) in [("one", "one"), ("two", "two")] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("f"), text).unwrap();
        }
        fs::create_dir(path("links")).unwrap();
        fs::create_dir(path("packed")).unwrap();
        symlink("../one", path("links/now")).unwrap();
        assert_eq!(asked.warm("/links/now/f", "gzip").1, "one");
        match change {
            "links" => {
                let (new, now) = (asked.folder.path("new"), asked.folder.path("links/now"));
                symlink("../two", &new).unwrap();
                fs::rename(new, now).unwrap();
            }
            "file" => fs::write(asked.folder.path("one/f"), "new").unwrap(),
            _ => {
                fs::write(asked.folder.path("packed/p"), "old").unwrap();
                symlink("../packed/p", asked.folder.path("one/f.gz")).unwrap();
                asked.cache.look();
                assert_eq!(asked.warm("/links/now/f", "gzip").1, "old");
                fs::write(asked.folder.path("packed/p"), "packed").unwrap();
            }
        }
        asked.cache.look();
        assert_eq!(asked.get("/links/now/f", "gzip").1, body, "{change}");
    }
}

#[test]
fn clients_of_different_taste_get_their_own() {
    let mut asked = Asked::new();
    fs::write(asked.folder.path("d/f.txt.gz"), "packed").unwrap();
    assert_eq!(asked.warm("/d/f.txt", "gzip").1, "packed");
    assert_eq!(asked.warm("/d/f.txt", "").1, "old");
    assert_eq!(asked.warm("/d/f.txt", "gzip;q=0").1, "old");
    assert_eq!(asked.get("/d/f.txt", "gzip").1, "packed");
    // Where there is nothing to choose from they share one place.
    fs::remove_file(asked.folder.path("d/f.txt.gz")).unwrap();
    asked.cache.look();
    asked.warm("/d/f.txt", "");
    assert_eq!(
        asked.get("/d/f.txt", "gzip, br"),
        (200, "old".to_owned(), true)
    );
}

#[test]
fn tastes_whose_hashes_meet_are_not_mixed_up() {
    let mut asked = Asked::new();
    for coding in ["br", "zst", "gz"] {
        fs::write(asked.folder.path(&format!("d/f.txt.{coding}")), coding).unwrap();
    }
    let mut tastes = vec![(String::new(), "old")];
    for [first, second, third] in [
        ["br", "zstd", "gzip"],
        ["zstd", "gzip", "br"],
        ["gzip", "br", "zstd"],
        ["br", "gzip", "zstd"],
        ["zstd", "br", "gzip"],
        ["gzip", "zstd", "br"],
    ] {
        let body = match first {
            "zstd" => "zst",
            "gzip" => "gz",
            other => other,
        };
        tastes.push((format!("{first}, {second};q=0.8, {third};q=0.5"), body));
        tastes.push((format!("{first}, {second};q=0.8, {third};q=0"), body));
        tastes.push((format!("{first}, {second};q=0, {third};q=0"), body));
    }
    // Sixteen slots of the index for some twenty tastes.
    for (taste, body) in tastes.iter().chain(&tastes).chain(tastes.iter().rev()) {
        for _ in 0..3 {
            assert_eq!(asked.get("/d/f.txt", taste).1, *body, "{taste}");
        }
    }
}

#[test]
fn a_clock_that_is_lost_makes_tags_weak_again() {
    let mut asked = Asked::new();
    asked.warm("/d/f.txt", "");
    let request = Request {
        line: b"",
        method: Method::Get,
        target: Target::Path {
            path: b"/d/f.txt",
            query: None,
        },
        host: b"device",
        fields: &[],
        verdict: verdict(Method::Get, Framing::None, Version::Http11),
    };
    let limits = Limits::new();
    let known = turn(&limits);
    let lost = Turn {
        wall: None,
        ..turn(&limits)
    };
    for (turn, weak) in [(&known, false), (&lost, true), (&known, false)] {
        let (_, head, content) = answer_in(&mut asked.site, &request, &mut asked.cache, turn);
        assert_eq!(head.contains("ETag: W/"), weak, "{head}");
        assert!(matches!(content, Content::File(part) if !part.source.is_own()));
    }
}

#[test]
fn an_index_that_appears_is_shown() {
    let mut asked = Asked::new();
    fs::write(asked.folder.path("d/index.htm"), "second").unwrap();
    assert_eq!(asked.warm("/d/", "").1, "second");
    fs::write(asked.folder.path("d/index.html"), "first").unwrap();
    asked.cache.look();
    assert_eq!(asked.get("/d/", "").1, "first");
}

#[test]
fn nothing_is_kept_for_longer_than_it_may_be() {
    let mut asked = Asked::new();
    let moment = crate::connection::time::Ms;
    asked.warm("/d/f.txt", "");
    assert_eq!(asked.cache.due(), Some(moment(KEEP_MS.into())));
    asked.cache.expire(moment(u64::from(KEEP_MS) - 1));
    assert!(asked.get("/d/f.txt", "").2);
    asked.cache.expire(moment(KEEP_MS.into()));
    assert_eq!(asked.cache.due(), None);
    assert!(
        asked.cache.places.iter().all(Option::is_none),
        "its file is closed"
    );
}

#[test]
fn what_the_kernel_does_not_tell_is_old_for_a_second_at_most() {
    let mut asked = Asked::new();
    asked.cache.is_not_watched();
    asked.warm("/d/f.txt", "");
    fs::write(asked.folder.path("d/f.txt"), "new").unwrap();
    asked.cache.look();
    assert_eq!(asked.get("/d/f.txt", "").1, "old");
    asked
        .cache
        .expire(crate::connection::time::Ms(KEEP_MS.into()));
    assert_eq!(asked.get("/d/f.txt", "").1, "new");
}

#[test]
fn the_oldest_makes_room_and_no_bytes_are_mixed_up() {
    let mut asked = Asked::new();
    // There are places for all and bytes for some; a few are too large for theirs to be kept.
    asked.cache = Cache::new(32, 8192, 2000);
    let bytes = |n: u8| {
        if n % 4 == 3 {
            5000
        } else {
            300 + 70 * usize::from(n)
        }
    };
    for n in 0..20 {
        let text = char::from(b'a' + n).to_string().repeat(bytes(n));
        fs::write(asked.folder.path(&n.to_string()), text).unwrap();
    }
    let mut kept = 0;
    for round in 0..300_u16 {
        // Each is asked for four times, now these, now those.
        let n = u8::try_from((round / 4 * 7 + round % 2 * 3) % 20).unwrap();
        let (status, body, from_cache) = asked.get(&format!("/{n}"), "");
        assert_eq!((status, body.len()), (200, bytes(n)));
        assert!(body.bytes().all(|byte| byte == b'a' + n), "{n}");
        kept += u32::from(from_cache);
        // No bytes of a file could pass for the path of another.
        let entries = asked.cache.places.iter().flatten();
        let mut ranges: Vec<_> = entries.map(|e| e.at..e.at + e.bytes()).collect();
        ranges.sort_by_key(|range| range.start);
        let apart = ranges.windows(2).all(|two| two[0].end <= two[1].start);
        assert!(apart, "{ranges:?}");
    }
    assert!(kept > 50, "{kept} of 300");
}

#[test]
fn what_is_not_there_is_kept_too_until_it_comes() {
    let mut asked = Asked::new();
    for _ in 0..3 {
        assert_eq!(asked.get("/d/new", "").0, 404);
        assert_eq!(asked.get("/none/new", "").0, 404);
    }
    let kept = |asked: &Asked| asked.cache.places.iter().flatten().count();
    assert_eq!(kept(&asked), 2);
    fs::write(asked.folder.path("d/new"), "here").unwrap();
    fs::create_dir(asked.folder.path("none")).unwrap();
    asked.cache.look();
    assert_eq!(asked.get("/d/new", "").1, "here");
    assert_eq!(asked.get("/none/new", "").0, 404);
    fs::write(asked.folder.path("none/new"), "there").unwrap();
    asked.cache.look();
    assert_eq!(asked.get("/none/new", "").1, "there");
}

#[test]
fn more_directories_than_marks_and_a_flood_of_changes_lose_nothing() {
    let mut asked = Asked::new();
    for n in 0..100 {
        fs::create_dir(asked.folder.path(&format!("d{n}"))).unwrap();
        fs::write(asked.folder.path(&format!("d{n}/f")), "old").unwrap();
    }
    for n in 0..100 {
        let path = format!("/d{n}/f");
        assert_eq!(asked.warm(&path, "").1, "old");
        fs::write(asked.folder.path(&path[1..]), "new").unwrap();
        for m in 0..n {
            fs::write(asked.folder.path(&format!("d{m}/g")), "").unwrap();
        }
        asked.cache.look();
        assert_eq!(asked.get(&path, "").1, "new", "{n}");
    }
}
