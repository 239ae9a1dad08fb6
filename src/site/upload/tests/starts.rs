//! What a start makes, removes and refuses.

use super::space::{Mounted, skipped};
use super::world::{Answer, World, begin, conclude, feed, put, rule, wanted};
use crate::config::StartError;
use crate::connection::head::Framing;
use crate::site::Site;
use crate::site::tests::{config_with, get};
use crate::sys::testing::until;
use std::fs;
use std::os::unix::fs::symlink;

/// A site with these rules, and directories of the world beneath these paths: `/a/b` is `a-b`.
fn start(world: &World, rules: &[&str], aliases: &[&str]) -> Result<Site, StartError> {
    Site::new(&config_with(&world.path("root"), |site| {
        site.uploads = rules.iter().map(|line| rule(line)).collect();
        let alias = |path: &&str| {
            let name = path.trim_start_matches('/').replace('/', "-");
            rule(&format!("{path} {}", world.path(&name).display()))
        };
        site.aliases = aliases.iter().map(alias).collect();
    }))
}

#[test]
fn only_where_a_rule_leads_uploads_can_grow() {
    let aliases = ["/docs", "/docs/x", "/inbox"];
    for (rules, expected) in [
        (&[][..], ""),
        (&["/ 1"], "root docs docs-x inbox"),
        (&["/other 1"], "root"),
        (&["/inbox 1"], "inbox"),
        (&["/inbox/deep 1"], "inbox"),
        (&["/docs 1"], "docs docs-x"),
        (&["/docs/x 1"], "docs-x"),
        (&["/docs/x/y/z 1"], "docs-x"),
        (&["/docs/y 1"], "docs"),
        (&["/inbo 1"], "root"),
        (&["/inbo* 1"], "root inbox"),
        (&["/inbox* 1"], "root inbox"),
        (&["/inbox/* 1"], "inbox"),
        (&["/docs/*.jpg 1"], "docs docs-x"),
        (&["*.jpg 1"], "root docs docs-x inbox"),
        (&["/inbox 1", "/docs/x 1"], "docs-x inbox"),
    ] {
        let world = World::new();
        for name in ["docs", "docs-x", "inbox"] {
            fs::create_dir(world.path(name)).unwrap();
        }
        let _site = start(&world, rules, &aliases).unwrap();
        let all = ["root", "docs", "docs-x", "inbox"].into_iter();
        let found: Vec<&str> = all
            .filter(|name| world.path(name).join(".adieu-uploads").exists())
            .collect();
        assert_eq!(found.join(" "), expected, "{rules:?}");
    }
}

#[test]
fn a_start_without_a_place_for_uploads_is_refused() {
    let world = World::new();
    let stage = world.path("root/.adieu-uploads");
    fs::write(&stage, "").unwrap();
    let error = start(&world, &["/inbox 1"], &[]).unwrap_err();
    assert_eq!((error.place.as_str(), error.code), ("site.uploads", 1));
    assert!(error.what.contains(".adieu-uploads"), "{error}");
    assert_eq!(error.to_string().lines().count(), 1);
    fs::remove_file(&stage).unwrap();
    symlink("inbox", &stage).unwrap();
    assert!(start(&world, &["/inbox 1"], &[]).is_err());
    assert_eq!(fs::read_dir(world.path("root/inbox")).unwrap().count(), 0);
    // Nobody asks for uploads: it is not looked at.
    assert!(start(&world, &[], &[]).is_ok());
}

#[test]
fn a_directory_on_another_file_system_needs_an_alias() {
    let world = World::new();
    let Some(mounted) = Mounted::new(world.path("root/inbox"), "64k") else {
        return skipped("this user may not mount a tmpfs");
    };
    let error = start(&world, &["/ 1", "/inbox 10"], &[]).unwrap_err();
    assert!(error.what.starts_with("/inbox lies on another"), "{error}");
    // Where the rule does not say so it is found out at the request.
    let mut site = start(&world, &["/ 10"], &[]).unwrap();
    let refused = begin(&mut site, "/inbox/new", &[], Framing::None);
    assert_eq!(refused.unwrap_err(), Answer(500, "page"));
    assert_eq!(world.unfinished(), [""; 0]);
    assert_eq!(put(&mut site, "/new", &[], "x"), Answer::CREATED);
    let line = format!("/inbox {}", world.path("root/inbox").display());
    let mut site = world.site_with(&["/inbox 10"], |site| site.aliases = vec![rule(&line)]);
    assert_eq!(put(&mut site, "/inbox/new", &[], "x"), Answer::CREATED);
    drop((site, mounted));
}

#[test]
fn a_crash_leaves_what_the_next_start_removes_and_a_living_server_keeps_its_own() {
    let world = World::new();
    let mut living = world.site(&["/inbox 10"]);
    let mut store = wanted(begin(&mut living, "/inbox/kept", &[], Framing::Chunked));
    feed(&living, &mut store, b"ke", 0);
    // Died: the descriptor is closed, and nobody has said so to the site.
    let dead = wanted(begin(&mut living, "/inbox/lost", &[], Framing::Chunked));
    drop(dead.file);
    assert_eq!(world.unfinished().len(), 2);
    until(|| {
        drop(world.site(&["/inbox 10"]));
        world.unfinished().len() == 1
    });
    let mut successor = world.site(&["/inbox 10"]);
    // Both go on.
    let other = put(&mut successor, "/inbox/new", &[], "new");
    assert_eq!(other, Answer::CREATED);
    feed(&living, &mut store, b"pt", 2);
    assert_eq!(conclude(&living, store), Answer::CREATED);
    assert_eq!(get(&mut successor, "/inbox/kept").body, "kept");
    assert_eq!(world.unfinished(), [""; 0]);
    assert!(!world.path("root/inbox/lost").exists());
}
