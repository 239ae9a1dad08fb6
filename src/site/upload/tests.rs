//! Files are put and removed on real directories: both outcomes of every question, and what others
//! do to the directories meanwhile.

mod conditions;
mod space;
mod starts;
mod world;

use super::{Store, Upload, refusal};
use crate::config::{Dotfiles, Symlinks};
use crate::connection::head::{Framing, Method};
use crate::connection::reply::Status;
use crate::site::tests::{ask, get};
use crate::site::{Content, Site};
use crate::sys::testing::until;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use world::{Answer, World, begin, conclude, delete, feed, put, refuse, tree, wanted};

/// Names of every byte that a segment can hold, one for each of these, escaped.
fn names() -> impl Iterator<Item = (u8, String)> {
    (1..=255)
        .filter(|b| *b != b'/')
        .map(|b| (b, format!("%{b:02X}")))
}

#[test]
fn a_file_appears_whole_and_is_replaced_whole() {
    let world = World::new();
    let mut site = world.site(&["/inbox 1MiB"]);
    for (before, text, answer) in [
        (None, "first", Answer::CREATED),
        (Some("first"), "the second", Answer::REPLACED),
        (Some("the second"), "", Answer::REPLACED),
        (Some(""), "last", Answer::REPLACED),
    ] {
        let mut store = wanted(begin(&mut site, "/inbox/file.txt", &[], Framing::Chunked));
        assert_eq!(store.max_bytes, 1 << 20);
        assert_eq!(world.unfinished().len(), 1);
        // In pieces, and not in their order.
        let (front, rest) = text.as_bytes().split_at(text.len() / 2);
        let offset = u64::try_from(front.len()).unwrap();
        feed(&site, &mut store, rest, offset);
        feed(&site, &mut store, front, 0);
        let served = get(&mut site, "/inbox/file.txt");
        match before {
            None => assert_eq!(served.status, 404),
            Some(before) => assert_eq!(served.body, before),
        }
        assert_eq!(conclude(&site, store), answer);
        assert_eq!(get(&mut site, "/inbox/file.txt").body, text);
        assert_eq!(world.unfinished(), [""; 0]);
    }
    let made = fs::File::create(world.path("root/inbox/own")).unwrap();
    let umasked = made.metadata().unwrap().permissions().mode() & 0o7644;
    let state = fs::metadata(world.path("root/inbox/file.txt")).unwrap();
    assert_eq!(state.permissions().mode() & 0o7777, umasked & 0o7777);
}

#[test]
fn a_broken_upload_leaves_nothing() {
    let world = World::new();
    let mut site = world.site(&["/inbox 1MiB"]);
    fs::write(world.path("root/inbox/old"), "old").unwrap();
    let before = world.tree();
    for name in ["new", "old"] {
        let target = format!("/inbox/{name}");
        let mut store = wanted(begin(&mut site, &target, &[], Framing::Chunked));
        feed(&site, &mut store, b"half", 0);
        site.abandon(store.upload);
        assert_eq!(world.unfinished(), [""; 0]);
        for status in [
            Status::INSUFFICIENT_STORAGE,
            Status::CONTENT_TOO_LARGE,
            Status::SERVICE_UNAVAILABLE,
        ] {
            let mut store = wanted(begin(&mut site, &target, &[], Framing::Chunked));
            feed(&site, &mut store, b"half", 0);
            let refused = refuse(&site, store, status);
            assert_eq!(refused, Answer(status.code(), "page"));
            assert_eq!(world.unfinished(), [""; 0]);
        }
    }
    assert_eq!(world.tree(), before);
}

#[test]
fn an_upload_does_not_hinder_another_one() {
    let world = World::new();
    let mut site = world.site(&["/ 1MiB"]);
    let mut stores: Vec<Store> = (0..20)
        .map(|_| wanted(begin(&mut site, "/inbox/same", &[], Framing::Chunked)))
        .collect();
    for (number, store) in stores.iter_mut().enumerate() {
        feed(&site, store, number.to_string().as_bytes(), 0);
    }
    for (number, store) in stores.into_iter().enumerate() {
        let answer = conclude(&site, store);
        let first = number == 0;
        let expected = if first {
            Answer::CREATED
        } else {
            Answer::REPLACED
        };
        assert_eq!(answer, expected);
        assert_eq!(get(&mut site, "/inbox/same").body, number.to_string());
    }
    assert_eq!(world.unfinished(), [""; 0]);
}

/// Paths in the world of the test below, and what PUT says of them.
const REFUSED: &[(&str, u16)] = &[
    ("/", 409),
    ("/inbox", 409),
    ("/inbox/", 409),
    ("/inbox/dir", 409),
    ("/inbox/full", 409),
    ("/inbox/dir/", 409),
    ("/inbox/new/", 409),
    ("/inbox/file/", 409),
    ("/inbox/dir/.", 409),
    ("/inbox/new/..", 409),
    ("/inbox/none/new", 409),
    ("/inbox/file/new", 409),
    ("/inbox/fifo/new", 409),
    ("/inbox/link", 409),
    ("/inbox/dangling", 409),
    ("/inbox/dangling/new", 409),
    ("/inbox/out", 409),
    ("/inbox/away", 409),
    ("/inbox/away/new", 403),
    ("/inbox/away/secret", 403),
    ("/inbox/down", 409),
    ("/inbox/socket", 409),
    ("/inbox/fifo", 409),
    ("/.git", 404),
    ("/.git/new", 404),
    ("/inbox/.hidden", 404),
    ("/inbox/.new", 404),
    ("/inbox/.hidden/new", 404),
    ("/inbox/...", 404),
    ("/../new", 400),
    ("/inbox/%2e%2e/%2e%2e/new", 400),
    ("/inbox%2Fnew", 404),
    ("/inbox/a%2fb", 404),
    ("/inbox/a%00", 400),
    ("/inbox/%", 400),
];

#[test]
fn what_cannot_be_put_is_refused_and_nothing_is_created() {
    let world = World::new();
    let mut site = world.site(&["/ 10", "/inbox 100"]);
    for name in ["inbox/dir", "inbox/full", ".git", "inbox/.hidden"] {
        fs::create_dir(world.path("root").join(name)).unwrap();
    }
    fs::write(world.path("root/inbox/full/x"), "x").unwrap();
    fs::write(world.path("root/inbox/file"), "x").unwrap();
    for (name, to) in [
        ("link", "file"),
        ("dangling", "none"),
        ("out", "../../out/secret"),
        ("away", "../../out"),
        ("down", "dir"),
    ] {
        symlink(to, world.path("root/inbox").join(name)).unwrap();
    }
    let _bound = UnixListener::bind(world.path("root/inbox/socket")).unwrap();
    world.fifo("root/inbox/fifo");
    let before = world.tree();
    for &(target, status) in REFUSED {
        for method in [Method::Put, Method::Delete] {
            let (found, _) = begin_or_delete(&mut site, method, target);
            let expected = match (method, target) {
                // What is not there needs not be removed.
                (Method::Delete, t) if t.ends_with("/new") && status == 409 => 404,
                (_, _) => status,
            };
            assert_eq!(found, expected, "{method:?} {target}");
        }
    }
    let range = [("Content-Range", "bytes 0-1/2")];
    let refused = begin(&mut site, "/inbox/file", &range, Framing::Length(2));
    assert_eq!(refused.unwrap_err(), Answer(400, "page"));
    for (target, bytes, status) in [
        ("/inbox/file", 101, 413),
        ("/inbox/file", u64::MAX, 413),
        ("/file", 11, 413),
    ] {
        let refused = begin(&mut site, target, &[], Framing::Length(bytes));
        assert_eq!(refused.unwrap_err(), Answer(status, "page"), "{bytes}");
    }
    assert_eq!(world.tree(), before);
    // The last rule counts, and its bound may be met.
    for (target, bytes) in [("/inbox/file", 100), ("/file", 10), ("/inboxes", 1)] {
        let store = wanted(begin(&mut site, target, &[], Framing::Length(bytes)));
        site.abandon(store.upload);
    }
    // Where links lead inside, they are gone along; a name with a dot that is known is none.
    for target in ["/inbox/down/new", "/inbox/%2e/./new", "/inbox/dir/../new"] {
        assert_eq!(put(&mut site, target, &[], "x"), Answer::CREATED);
        assert_eq!(delete(&mut site, target, &[]), Answer::REMOVED);
    }
    fs::create_dir(world.path("root/.well-known")).unwrap();
    assert_eq!(put(&mut site, "/.well-known/x", &[], "x"), Answer::CREATED);
}

/// The answer of either method to a request that shall not succeed.
fn begin_or_delete(site: &mut Site, method: Method, target: &str) -> (u16, &'static str) {
    if method != Method::Put {
        let answer = ask(site, method, target, &[]);
        return (answer.status, answer.content);
    }
    match begin(site, target, &[], Framing::Chunked) {
        Err(Answer(status, content)) => (status, content),
        Ok(store) => {
            site.abandon(store.upload);
            (0, "store")
        }
    }
}

#[test]
fn files_are_removed_and_nothing_else() {
    let world = World::new();
    let mut site = world.site(&["/inbox 1"]);
    fs::create_dir_all(world.path("root/inbox/empty")).unwrap();
    fs::write(world.path("root/inbox/large"), [b'x'; 1000]).unwrap();
    fs::write(world.path("root/kept"), "kept").unwrap();
    symlink("../kept", world.path("root/inbox/link")).unwrap();
    assert_eq!(delete(&mut site, "/inbox/large", &[]), Answer::REMOVED);
    assert!(!world.path("root/inbox/large").exists());
    for (target, status) in [
        ("/inbox/large", 404),
        ("/inbox/none/x", 404),
        ("/inbox/empty", 409),
        ("/inbox/empty/", 409),
        ("/inbox/link", 409),
        ("/inbox", 409),
        ("/kept", 405),
        ("/", 405),
    ] {
        let answer = delete(&mut site, target, &[]);
        assert_eq!(answer, Answer(status, "page"), "{target}");
    }
    for name in ["inbox/empty", "inbox/link", "kept"] {
        assert!(world.path("root").join(name).exists(), "{name}");
    }
    // Who reads it goes on.
    fs::write(world.path("root/inbox/read"), "read").unwrap();
    let reader = fs::File::open(world.path("root/inbox/read")).unwrap();
    assert_eq!(delete(&mut site, "/inbox/read", &[]), Answer::REMOVED);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "read");
}

#[test]
fn allow_says_what_a_path_allows() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10", "/drop/*.jpg 10"]);
    let (read, change) = ("GET, HEAD, OPTIONS", "GET, HEAD, OPTIONS, PUT, DELETE");
    for (target, allow) in [
        ("/", read),
        ("*", read),
        ("/inboxes", read),
        ("/INBOX/x", read),
        ("/drop/x.png", read),
        ("/inbox", change),
        ("/inbox/none", change),
        ("/%69nbox/x", change),
        ("/drop/x.jpg", change),
        ("/inbox/../drop/x.jpg", change),
    ] {
        let answer = ask(&mut site, Method::Options, target, &[]);
        assert_eq!((answer.status, answer.field("Allow")), (200, Some(allow)));
        if target == "*" {
            continue;
        }
        for method in [Method::Post, Method::Patch, Method::Trace] {
            let answer = ask(&mut site, method, target, &[]);
            let found = (answer.status, answer.field("Allow"));
            assert_eq!(found, (405, Some(allow)), "{method:?} {target}");
        }
        for method in [Method::Put, Method::Delete] {
            let (status, _) = begin_or_delete(&mut site, method, target);
            assert_eq!(status == 405, allow == read, "{method:?} {target}");
        }
    }
}

#[test]
fn names_of_every_byte_and_length_are_put_as_they_are() {
    let world = World::new();
    let mut site = world.site_with(&["/inbox 10"], |site| site.dotfiles = Dotfiles::Serve);
    for (byte, escaped) in names() {
        let target = format!("/inbox/{escaped}x");
        assert_eq!(put(&mut site, &target, &[], "1"), Answer::CREATED);
        let name = [&[byte][..], b"x"].concat();
        assert!(world.has("root/inbox", &name), "{target}");
        assert_eq!(put(&mut site, &target, &[], "2"), Answer::REPLACED);
        assert_eq!(get(&mut site, &target).body, "2");
        assert_eq!(delete(&mut site, &target, &[]), Answer::REMOVED);
        assert!(!world.has("root/inbox", &name), "{target}");
    }
    for (length, answer) in [(254, Answer::CREATED), (255, Answer::CREATED)] {
        let target = format!("/inbox/{}", "n".repeat(length));
        assert_eq!(put(&mut site, &target, &[], "x"), answer);
        assert_eq!(delete(&mut site, &target, &[]), Answer::REMOVED);
    }
    for name in ["n".repeat(256), "%6E".repeat(256), "n".repeat(4096)] {
        let refused = begin(&mut site, &format!("/inbox/{name}"), &[], Framing::None);
        let Answer(status, _) = refused.unwrap_err();
        assert!([404, 414].contains(&status), "{status}");
    }
    for (name, written) in [("...", "..."), ("a.", "a."), ("a%20", "a "), (".x", ".x")] {
        let target = format!("/inbox/{name}");
        assert_eq!(put(&mut site, &target, &[], "x"), Answer::CREATED);
        assert!(world.has("root/inbox", written.as_bytes()));
    }
}

/// Ways to write the name of the directory where uploads grow.
const SPELLINGS: &[&str] = &[
    "/.adieu-uploads",
    "/%2Eadieu-uploads",
    "/.ADIEU-UPLOADS",
    "/.Adieu-Uploads.",
    "/.adieu-uploads..",
    "/.adieu-uploads%20",
    "//.//.adieu%2Duploads",
    "/inbox/../.adieu-uploads",
];

#[test]
fn what_is_not_whole_is_nobodys_to_see() {
    let world = World::new();
    for dotfiles in [Dotfiles::Hide, Dotfiles::Serve] {
        let mut site = world.site_with(&["/ 10"], |site| {
            site.dotfiles = dotfiles;
            site.listing = true;
            site.index = vec![".adieu-uploads".to_owned()];
        });
        let mut store = wanted(begin(&mut site, "/inbox/new", &[], Framing::Chunked));
        feed(&site, &mut store, b"secret", 0);
        let [name] = &world.unfinished()[..] else {
            panic!("one file")
        };
        let before = world.tree();
        for spelling in SPELLINGS {
            for rest in ["", "/", "/.", "/x", &format!("/{name}"), "/x/../y"] {
                let target = format!("{spelling}{rest}");
                for method in [Method::Get, Method::Head, Method::Put, Method::Delete] {
                    let (status, content) = begin_or_delete(&mut site, method, &target);
                    assert_eq!((status, content), (404, "page"), "{method:?} {target}");
                }
            }
        }
        assert_eq!(world.tree(), before);
        assert_eq!(get(&mut site, "/inbox/new").status, 404);
        // Beneath another directory nobody's uploads grow there, and yet.
        let elsewhere = begin(&mut site, "/inbox/.adieu-uploads", &[], Framing::None);
        assert_eq!(elsewhere.unwrap_err(), Answer(404, "page"));
        // A path with such a name in its middle that leads elsewhere is not about it.
        assert_eq!(get(&mut site, "/.adieu-uploads/../file").body, "file");
        assert_eq!(conclude(&site, store), Answer::CREATED);
        assert_eq!(delete(&mut site, "/inbox/new", &[]), Answer::REMOVED);
    }
}

#[test]
fn what_another_server_left_is_nobodys_to_see_either() {
    let world = World::new();
    fs::create_dir(world.path("root/.adieu-uploads")).unwrap();
    fs::write(world.path("root/.adieu-uploads/x"), "x").unwrap();
    symlink("../.adieu-uploads", world.path("root/inbox/way")).unwrap();
    symlink("../.adieu-uploads/x", world.path("root/inbox/link")).unwrap();
    for symlinks in [Symlinks::Within, Symlinks::Follow] {
        // No rule: it has no open directory to compare with.
        let mut site = world.site_with(&[], |site| {
            site.dotfiles = Dotfiles::Serve;
            site.symlinks = symlinks;
            site.index = vec!["x".to_owned()];
        });
        for target in [
            "/.adieu-uploads",
            "/.adieu-uploads/",
            "/.adieu-uploads/x",
            "/.Adieu-uploads./x",
            "/inbox/way",
            "/inbox/way/",
            "/inbox/way/x",
            "/inbox/link",
        ] {
            assert_eq!(get(&mut site, target).status, 404, "{target}");
        }
    }
}

#[test]
fn no_link_and_no_other_name_leads_to_what_is_not_whole() {
    let world = World::new();
    for symlinks in [Symlinks::Within, Symlinks::Follow, Symlinks::None] {
        let link = world.path("root/inbox/link");
        symlink("../.adieu-uploads", &link).unwrap();
        let mut site = world.site_with(&["/ 10"], |site| site.symlinks = symlinks);
        let store = wanted(begin(&mut site, "/inbox/new", &[], Framing::Chunked));
        let [name] = &world.unfinished()[..] else {
            panic!("one file")
        };
        let name = name.clone();
        // As a file system could call it that has a second name for everything.
        fs::rename(
            world.path("root/.adieu-uploads"),
            world.path("root/ADIEU~1"),
        )
        .unwrap();
        for target in [
            format!("/inbox/link/{name}"),
            format!("/ADIEU~1/{name}"),
            "/ADIEU~1/".to_owned(),
            "/inbox/link/".to_owned(),
        ] {
            for method in [Method::Get, Method::Put, Method::Delete] {
                let (status, _) = begin_or_delete(&mut site, method, &target);
                assert!((403..=409).contains(&status), "{method:?} {target}");
            }
        }
        for target in ["/ADIEU~1/x", "/inbox/link/x"] {
            let refused = begin(&mut site, target, &[], Framing::Chunked);
            assert!(refused.is_err(), "{target}");
        }
        assert_eq!(fs::read_dir(world.path("root/ADIEU~1")).unwrap().count(), 1);
        fs::rename(
            world.path("root/ADIEU~1"),
            world.path("root/.adieu-uploads"),
        )
        .unwrap();
        assert_eq!(conclude(&site, store), Answer::CREATED);
        fs::remove_file(world.path("root/inbox/new")).unwrap();
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn what_takes_the_name_meanwhile_is_looked_at() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    let target = world.path("root/inbox/new");
    let out = world.path("out/secret");
    let meanwhile: [(&str, &dyn Fn(), Answer); 5] = [
        ("nothing", &|| (), Answer::CREATED),
        (
            "file",
            &|| fs::write(&target, "x").unwrap(),
            Answer::REPLACED,
        ),
        (
            "dir",
            &|| fs::create_dir(&target).unwrap(),
            Answer(409, "page"),
        ),
        (
            "link",
            &|| symlink(&out, &target).unwrap(),
            Answer(409, "page"),
        ),
        (
            "fifo",
            &|| world.fifo("root/inbox/new"),
            Answer(409, "page"),
        ),
    ];
    for (name, happens, answer) in meanwhile {
        let mut store = wanted(begin(&mut site, "/inbox/new", &[], Framing::Chunked));
        feed(&site, &mut store, b"new", 0);
        happens();
        let kind = target.symlink_metadata().map(|m| m.file_type()).ok();
        assert_eq!(conclude(&site, store), answer, "{name}");
        assert_eq!(world.unfinished(), [""; 0], "{name}");
        if answer == Answer(409, "page") {
            let now = target.symlink_metadata().map(|m| m.file_type()).ok();
            assert_eq!(now, kind, "{name}");
        } else {
            assert_eq!(fs::read(&target).unwrap(), b"new", "{name}");
        }
        if target.is_dir() {
            fs::remove_dir(&target).unwrap();
        } else {
            fs::remove_file(&target).unwrap();
        }
    }
    assert_eq!(fs::read_to_string(out).unwrap(), "secret");
}

#[test]
fn a_directory_that_moves_away_takes_no_upload_with_it() {
    for symlinks in [Symlinks::Within, Symlinks::None] {
        let world = World::new();
        let mut site = world.site_with(&["/ 10"], |site| site.symlinks = symlinks);
        let (inbox, out) = (world.path("root/inbox"), world.path("out"));
        fs::create_dir_all(inbox.join("a/b")).unwrap();
        let begun = |site: &mut Site| {
            let mut store = wanted(begin(site, "/inbox/a/b/new", &[], Framing::Chunked));
            feed(site, &mut store, b"new", 0);
            store
        };
        // Its parent's parent goes; a link to outside takes the name, or nothing does.
        for replaced in [false, true] {
            for moved in ["inbox/a/b", "inbox/a", "inbox"] {
                let from = world.path("root").join(moved);
                let store = begun(&mut site);
                fs::rename(&from, out.join("moved")).unwrap();
                if replaced {
                    symlink(&out, &from).unwrap();
                }
                let outside = tree(&out);
                assert_eq!(conclude(&site, store), Answer(409, "page"), "{moved}");
                assert_eq!(tree(&out), outside, "{moved}");
                assert_eq!(world.unfinished(), [""; 0]);
                if replaced {
                    fs::remove_file(&from).unwrap();
                }
                fs::rename(out.join("moved"), &from).unwrap();
                assert!(!inbox.join("a/b/new").exists());
            }
        }
        // Removed: no name can be made there.
        let store = begun(&mut site);
        fs::remove_dir(inbox.join("a/b")).unwrap();
        assert_eq!(conclude(&site, store), Answer(409, "page"));
        // Made again: it is another directory.
        fs::create_dir(inbox.join("a/b")).unwrap();
        let store = begun(&mut site);
        fs::remove_dir(inbox.join("a/b")).unwrap();
        fs::create_dir(inbox.join("a/b")).unwrap();
        assert_eq!(conclude(&site, store), Answer(409, "page"));
        assert_eq!(fs::read_dir(inbox.join("a/b")).unwrap().count(), 0);
        // Moved within the root it is still beneath it, and nothing outside changes.
        let store = begun(&mut site);
        fs::rename(inbox.join("a"), world.path("root/elsewhere")).unwrap();
        symlink(&out, inbox.join("a")).unwrap();
        let outside = tree(&out);
        assert_eq!(conclude(&site, store), Answer::CREATED);
        assert_eq!(tree(&out), outside);
        assert!(world.path("root/elsewhere/b/new").exists());
    }
}

#[test]
fn a_root_that_is_moved_stays_the_root() {
    let world = World::new();
    let mut site = world.site(&["/ 10"]);
    let store = wanted(begin(&mut site, "/inbox/new", &[], Framing::Chunked));
    fs::rename(world.path("root"), world.path("away")).unwrap();
    fs::create_dir_all(world.path("root/inbox")).unwrap();
    assert_eq!(conclude(&site, store), Answer::CREATED);
    assert!(world.path("away/inbox/new").exists());
    assert!(!world.path("root/inbox/new").exists());
}

#[test]
fn links_are_followed_out_only_where_all_are() {
    for (symlinks, status) in [
        (Symlinks::None, 403),
        (Symlinks::Within, 403),
        (Symlinks::Follow, 201),
    ] {
        let world = World::new();
        symlink("../../out", world.path("root/inbox/away")).unwrap();
        let mut site = world.site_with(&["/inbox 10"], |site| site.symlinks = symlinks);
        let Answer(found, _) = put(&mut site, "/inbox/away/new", &[], "x");
        assert_eq!(found, status, "{symlinks:?}");
        assert_eq!(world.path("out/new").exists(), status == 201);
    }
}

#[test]
fn aliases_have_their_own_place_for_what_is_not_whole() {
    let world = World::new();
    let line = format!("/files {}", world.path("out").display());
    let mut site = world.site_with(&["/files 10"], |site| {
        site.aliases = vec![world::rule(&line)]
    });
    assert_eq!(put(&mut site, "/files/new", &[], "x"), Answer::CREATED);
    assert_eq!(get(&mut site, "/files/new").body, "x");
    assert!(world.path("out/.adieu-uploads").exists());
    assert!(!world.path("root/.adieu-uploads").exists());
    assert_eq!(put(&mut site, "/files", &[], "x"), Answer(409, "page"));
    assert_eq!(put(&mut site, "/new", &[], "x"), Answer(405, "page"));
    assert_eq!(delete(&mut site, "/files/new", &[]), Answer::REMOVED);
    for method in [Method::Get, Method::Put, Method::Delete] {
        let (status, _) = begin_or_delete(&mut site, method, "/files/.adieu-uploads/x");
        assert_eq!(status, 404, "{method:?}");
    }
}

#[test]
fn answers_have_the_fields_and_pages_of_the_site() {
    let world = World::new();
    fs::write(world.path("root/conflict.html"), "conflict").unwrap();
    let mut site = world.site_with(&["/inbox 10"], |site| {
        site.fields = vec![
            world::rule("/inbox X-One: old"),
            world::rule("/other X-Two: 2"),
            world::rule("/ Cache-Control: no-store"),
            world::rule("*.txt X-One: 1"),
        ];
        site.error_pages = vec![world::rule("409 /conflict.html")];
    });
    let ends = |site: &mut Site, target: &str, meanwhile: &dyn Fn()| {
        let store = wanted(begin(site, target, &[], Framing::Chunked));
        meanwhile();
        let (_, head, content) = world::end(|reply| world::concluded(site, store, reply));
        (head, content)
    };
    let (head, content) = ends(&mut site, "/inbox/a.txt", &|| ());
    assert_eq!(
        head,
        "HTTP/1.1 201 Created\r\nCache-Control: no-store\r\nX-One: 1\r\n"
    );
    assert!(matches!(content, Content::Empty));
    let (head, content) = ends(&mut site, "/inbox/a", &|| ());
    assert_eq!(
        head,
        "HTTP/1.1 201 Created\r\nX-One: old\r\nCache-Control: no-store\r\n"
    );
    assert!(matches!(content, Content::Empty));
    let path = world.path("root/inbox/dir");
    let (head, content) = ends(&mut site, "/inbox/dir", &|| fs::create_dir(&path).unwrap());
    assert!(
        head.starts_with("HTTP/1.1 409 Conflict\r\nX-One: old\r\n"),
        "{head}"
    );
    assert!(!head.contains("Cache-Control"), "{head}");
    assert!(matches!(content, Content::File(part) if part.length == 8));
    let answer = ask(&mut site, Method::Delete, "/inbox/dir", &[]);
    assert_eq!((answer.status, answer.body.as_str()), (409, "conflict"));
    let answer = ask(&mut site, Method::Delete, "/inbox/a.txt", &[]);
    assert_eq!((answer.status, answer.field("X-One")), (204, Some("1")));
}

#[test]
fn of_more_fields_than_are_kept_the_first_ones_stand() {
    let world = World::new();
    let mut site = world.site_with(&["/inbox 10"], |site| {
        let lines = (0..130).map(|n| world::rule(&format!("/ X{n}: {n}")));
        site.fields = lines.collect();
    });
    let store = wanted(begin(&mut site, "/inbox/a", &[], Framing::Chunked));
    let (_, head, _) = world::end(|reply| world::concluded(&site, store, reply));
    assert!(
        head.contains("X127: 127") && !head.contains("X128"),
        "{head}"
    );
}

#[test]
fn an_upload_of_another_site_is_given_up_cleanly() {
    let world = World::new();
    let mut first = world.site(&["/inbox 10"]);
    // What a reload could leave: no uploads, or others elsewhere.
    let bare = world.site(&[]);
    let elsewhere = World::new();
    let other = elsewhere.site(&["/ 10"]);
    for site in [&bare, &other] {
        let store = wanted(begin(&mut first, "/inbox/new", &[], Framing::Chunked));
        assert_eq!(conclude(site, store), Answer(500, "page"));
        assert!(!world.path("root/inbox/new").exists());
        let store = wanted(begin(&mut first, "/inbox/new", &[], Framing::Chunked));
        site.abandon(store.upload);
        assert_eq!(elsewhere.unfinished(), [""; 0]);
    }
    // A number of a site that there is none of.
    let mut store = wanted(begin(&mut first, "/inbox/new", &[], Framing::Chunked));
    store.upload.place.host = 7;
    assert_eq!(conclude(&first, store), Answer(500, "page"));
    let mut store = wanted(begin(&mut first, "/inbox/new", &[], Framing::Chunked));
    store.upload.place.root = 7;
    let refused = refuse(&first, store, Status::SERVICE_UNAVAILABLE);
    assert_eq!(refused, Answer(503, "page"));
    // The next start removes what they left.
    assert_eq!(world.unfinished().len(), 6);
    until(|| {
        drop(world.site(&["/inbox 10"]));
        world.unfinished().is_empty()
    });
}

#[test]
fn a_file_that_somebody_took_away_is_our_fault() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    for replaced in [false, true] {
        let store = wanted(begin(&mut site, "/inbox/new", &[], Framing::Chunked));
        let [name] = &world.unfinished()[..] else {
            panic!("one file")
        };
        let file = world.path("root/.adieu-uploads").join(name);
        fs::remove_file(&file).unwrap();
        if replaced {
            fs::write(&file, "another").unwrap();
        }
        assert_eq!(conclude(&site, store), Answer(500, "page"));
        assert!(!world.path("root/inbox/new").exists());
    }
}

#[test]
fn it_takes_little_room() {
    println!(
        "Upload {} bytes, Store {}",
        size_of::<Upload>(),
        size_of::<Store>()
    );
    assert!(size_of::<Upload>() <= 400);
}

#[test]
fn errors_of_the_system_have_their_answers() {
    // By number, as on most architectures; EDQUOT by its kind.
    for (number, write, name) in [
        (28, 507, 507), // ENOSPC
        (27, 507, 507), // EFBIG
        (1, 500, 403),  // EPERM
        (13, 500, 403), // EACCES
        (30, 500, 403), // EROFS
        (2, 500, 409),  // ENOENT
        (20, 500, 409), // ENOTDIR
        (21, 500, 409), // EISDIR
        (16, 500, 409), // EBUSY
        (22, 500, 409), // EINVAL
        (18, 500, 500), // EXDEV
        (5, 500, 500),  // EIO
        (24, 500, 503), // EMFILE
    ] {
        let error = std::io::Error::from_raw_os_error(number);
        assert_eq!(refusal(&error).code(), write, "{error}");
        assert_eq!(super::obstacle(&error).code(), name, "{error}");
    }
    let quota = std::io::Error::from(std::io::ErrorKind::QuotaExceeded);
    assert_eq!(refusal(&quota).code(), 507);
}

#[test]
fn a_write_reports_what_it_took() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    let mut store = wanted(begin(&mut site, "/inbox/new", &[], Framing::Chunked));
    let file = store.file.as_fd();
    assert_eq!(site.store(&mut store.upload, file, 0, b"abc").unwrap(), 3);
    assert!(site.store(&mut store.upload, file, 3, b"").is_err());
    assert!(site.store(&mut store.upload, file, u64::MAX, b"x").is_err());
    assert_eq!(conclude(&site, store), Answer::CREATED);
    assert_eq!(get(&mut site, "/inbox/new").body, "abc");
}
