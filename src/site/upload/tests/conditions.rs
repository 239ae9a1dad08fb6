//! Preconditions of what changes a file: at the head, and once more at the end.

use super::world::{Answer, World, begin, conclude, delete, feed, put, wanted};
use crate::connection::head::Framing;
use crate::site::Site;
use crate::site::tests::get;
use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};

/// 2024-05-06 07:08:09 UTC.
const MODIFIED_S: u64 = 1_714_979_289;
const MODIFIED: &str = "Mon, 06 May 2024 07:08:09 GMT";
const BEFORE: &str = "Mon, 06 May 2024 07:08:08 GMT";

const FAILED: Answer = Answer(412, "page");

/// Writes a file that has settled; its tag.
fn settle(world: &World, site: &mut Site) -> String {
    let path = world.path("root/inbox/old");
    fs::write(&path, "old").unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(MODIFIED_S);
    file.set_modified(time).unwrap();
    let tag = get(site, "/inbox/old").field("ETag").unwrap().to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    tag
}

#[test]
fn preconditions_are_those_of_the_file_that_is_there() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    // `TAG` stands for that of the file.
    for (lines, holds) in [
        (&[("If-Match", "TAG")][..], true),
        (&[("If-Match", "*")], true),
        (&[("If-Match", "\"x\", TAG")], true),
        (&[("If-Match", "\"x\"")], false),
        (&[("If-Match", "W/TAG")], false),
        (&[("If-Match", "")], false),
        (&[("If-None-Match", "*")], false),
        (&[("If-None-Match", "TAG")], false),
        (&[("If-None-Match", "W/TAG")], false),
        (&[("If-None-Match", "\"x\"")], true),
        (&[("If-Unmodified-Since", MODIFIED)], true),
        (&[("If-Unmodified-Since", BEFORE)], false),
        (&[("If-Unmodified-Since", "yesterday")], true),
        // Of no meaning here (RFC 9110 section 13.1.3).
        (&[("If-Modified-Since", MODIFIED)], true),
        // In their order: a tag counts before a date, and both kinds of tags count.
        (
            &[("If-Match", "TAG"), ("If-Unmodified-Since", BEFORE)],
            true,
        ),
        (
            &[("If-Match", "\"x\""), ("If-Unmodified-Since", MODIFIED)],
            false,
        ),
        (&[("If-Match", "TAG"), ("If-None-Match", "TAG")], false),
        (
            &[("If-Unmodified-Since", MODIFIED), ("If-None-Match", "*")],
            false,
        ),
    ] {
        for deletes in [false, true] {
            let tag = settle(&world, &mut site);
            let filled = lines.iter().map(|(_, value)| value.replace("TAG", &tag));
            let filled: Vec<String> = filled.collect();
            let names = lines.iter().map(|(name, _)| *name);
            let lines: Vec<_> = names.zip(filled.iter().map(String::as_str)).collect();
            let before = world.tree();
            let answer = match deletes {
                true => delete(&mut site, "/inbox/old", &lines),
                false => put(&mut site, "/inbox/old", &lines, "new"),
            };
            let changed = match deletes {
                true => Answer::REMOVED,
                false => Answer::REPLACED,
            };
            assert_eq!(answer, if holds { changed } else { FAILED }, "{lines:?}");
            assert_eq!(world.tree() == before, !holds, "{lines:?}");
        }
    }
}

#[test]
fn what_is_not_there_matches_nothing() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    for (line, answer) in [
        (("If-Match", "*"), FAILED),
        (("If-Match", "\"x\""), FAILED),
        (("If-None-Match", "*"), Answer::CREATED),
        (("If-None-Match", "\"x\""), Answer::CREATED),
        // What has no date cannot have been modified since (RFC 9110 section 13.1.4).
        (("If-Unmodified-Since", BEFORE), Answer::CREATED),
    ] {
        // Without it there would be no success either (RFC 9110 section 13.2.1).
        let missing = delete(&mut site, "/inbox/new", &[line]);
        assert_eq!(missing, Answer(404, "page"));
        assert_eq!(put(&mut site, "/inbox/new", &[line], "x"), answer);
        if answer == Answer::CREATED {
            assert_eq!(delete(&mut site, "/inbox/new", &[]), Answer::REMOVED);
        }
    }
    let refused = begin(
        &mut site,
        "/inbox/",
        &[("If-Match", "\"x\"")],
        Framing::None,
    );
    assert_eq!(refused.unwrap_err(), Answer(409, "page"));
    assert_eq!(world.unfinished(), [""; 0]);
}

#[test]
fn a_file_that_changed_meanwhile_fails_the_precondition() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    let old = world.path("root/inbox/old");
    let replace = || {
        fs::write(world.path("next"), "old").unwrap();
        let next = File::options().write(true).open(world.path("next"));
        let time = UNIX_EPOCH + Duration::from_secs(MODIFIED_S);
        next.unwrap().set_modified(time).unwrap();
        fs::rename(world.path("next"), &old).unwrap();
    };
    let meanwhile: [(&str, &dyn Fn()); 4] = [
        ("nothing", &|| ()),
        ("written", &|| fs::write(&old, "own").unwrap()),
        ("replaced by its like", &replace),
        ("removed", &|| fs::remove_file(&old).unwrap()),
    ];
    for (name, happens) in meanwhile {
        for field in ["If-Match", "If-Unmodified-Since", "If-None-Match", "Accept"] {
            let tag = settle(&world, &mut site);
            let value = match field {
                "If-Match" => tag.as_str(),
                "If-Unmodified-Since" => MODIFIED,
                _ => "\"another\"",
            };
            let begun = begin(&mut site, "/inbox/old", &[(field, value)], Framing::Chunked);
            let mut store = wanted(begun);
            feed(&site, &mut store, b"new", 0);
            happens();
            let before = fs::read(&old).ok();
            let answer = conclude(&site, store);
            assert_eq!(world.unfinished(), [""; 0]);
            if field != "Accept" && name != "nothing" {
                assert_eq!(answer, FAILED, "{name} {field}");
                assert_eq!(fs::read(&old).ok(), before, "{name} {field}");
                continue;
            }
            let expected = match name {
                "removed" => Answer::CREATED,
                _ => Answer::REPLACED,
            };
            assert_eq!(answer, expected, "{name} {field}");
            assert_eq!(fs::read(&old).unwrap(), b"new");
        }
    }
}

#[test]
fn of_two_who_create_the_same_file_one_fails() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    let line = [("If-None-Match", "*")];
    let begun = |site: &mut Site, text: &[u8]| {
        let mut store = wanted(begin(site, "/inbox/lock", &line, Framing::Chunked));
        feed(site, &mut store, text, 0);
        store
    };
    let (one, other) = (begun(&mut site, b"one"), begun(&mut site, b"other"));
    assert_eq!(conclude(&site, other), Answer::CREATED);
    assert_eq!(conclude(&site, one), FAILED);
    assert_eq!(get(&mut site, "/inbox/lock").body, "other");
    assert_eq!(world.unfinished(), [""; 0]);
}
