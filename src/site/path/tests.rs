//! Every spelling of a path.

use super::{CleanPath, Fault, PATH_BYTES};

fn clean(path: &str) -> Result<(Vec<u8>, bool), Fault> {
    CleanPath::parse(path.as_bytes()).map(|c| (c.as_bytes().to_vec(), c.is_directory()))
}

fn file(name: &str) -> Result<(Vec<u8>, bool), Fault> {
    Ok((name.as_bytes().to_vec(), false))
}

fn directory(name: &str) -> Result<(Vec<u8>, bool), Fault> {
    Ok((name.as_bytes().to_vec(), true))
}

#[test]
fn no_spelling_climbs_above_the_root() {
    for path in [
        "/..",
        "/../",
        "/../etc/passwd",
        "/../../../../etc/passwd",
        "/./../etc/passwd",
        "/.././etc/passwd",
        "//../etc/passwd",
        "///..//etc",
        "/a/../../etc",
        "/a/../..",
        "/a/b/../../../etc",
        "/a//../../etc",
        "/a/./../../etc",
        "/%2e%2e/etc/passwd",
        "/%2E%2E/etc/passwd",
        "/%2e%2E/etc",
        "/.%2e/etc/passwd",
        "/%2e./etc/passwd",
        "/.%2E",
        "/%2e%2e",
        "/%2e%2e/%2e%2e/etc",
        "/a/%2e%2e/%2e%2e/etc",
        "/a/.%2e/.%2e/etc",
        "/a/%2e/%2e%2e/%2e%2e",
        "/%2e/%2e%2e",
        "/cgi-bin/.%2e/.%2e/.%2e/etc/passwd",
        "/icons/%2e%2e/../..",
        "/a/../b/../c/../..",
        "/..//",
        "/../a/b/c",
        "/../.",
        "/.//..",
    ] {
        assert_eq!(clean(path), Err(Fault::AboveRoot), "{path}");
    }
}

#[test]
fn what_only_looks_like_dots_is_a_name() {
    for (path, name) in [
        ("/...", "..."),
        ("/..a", "..a"),
        ("/a..", "a.."),
        ("/.. ", ".. "),
        ("/..%20", ".. "),
        ("/%20..", " .."),
        ("/..\\..\\etc", "..\\..\\etc"),
        ("/..%5c..%5cetc", "..\\..\\etc"),
        ("/%252e%252e/etc", "%2e%2e/etc"),
        ("/%252e%252e%252fetc", "%2e%2e%2fetc"),
        ("/..%3b/x", "..;/x"),
        ("/..;/x", "..;/x"),
        ("/..%0a/x", "..\n/x"),
        ("/%c0%ae%c0%ae/x", "\u{0}"),
        ("/..%ff", "\u{0}"),
        ("/\u{2025}/x", "\u{2025}/x"),
    ] {
        match clean(path) {
            // Overlong UTF-8 and other bytes that are no text: names, byte for byte.
            Ok((bytes, false)) if name == "\u{0}" => assert!(!bytes.is_empty(), "{path}"),
            found => assert_eq!(found, file(name), "{path}"),
        }
    }
}

#[test]
fn dot_segments_and_empty_ones_vanish() {
    assert_eq!(clean("/"), directory(""));
    assert_eq!(clean("//"), directory(""));
    assert_eq!(clean("/."), directory(""));
    assert_eq!(clean("/a"), file("a"));
    assert_eq!(clean("/a/"), directory("a"));
    assert_eq!(clean("/a/."), directory("a"));
    assert_eq!(clean("/a/b/.."), directory("a"));
    assert_eq!(clean("/a/b/../"), directory("a"));
    assert_eq!(clean("/a/.."), directory(""));
    assert_eq!(clean("/a/./b/../../c"), file("c"));
    assert_eq!(clean("/a/b/../c"), file("a/c"));
    assert_eq!(clean("/a/%2e%2e/c"), file("c"));
    assert_eq!(clean("/%2e/c"), file("c"));
    assert_eq!(clean("//a///b//"), directory("a/b"));
    assert_eq!(clean("///a"), file("a"));
}

#[test]
fn escapes_are_decoded_once() {
    assert_eq!(clean("/%41%62c"), file("Abc"));
    assert_eq!(clean("/a%20b"), file("a b"));
    assert_eq!(clean("/a+b"), file("a+b"));
    assert_eq!(clean("/%25"), file("%"));
    assert_eq!(clean("/%2525"), file("%25"));
    assert_eq!(clean("/%%32%65"), Err(Fault::Malformed));
    assert_eq!(clean("/%C3%A9"), file("\u{e9}"));
    assert_eq!(clean("/%3f%23"), file("?#"));
}

#[test]
fn bad_escapes_and_nul_are_malformed() {
    for path in [
        "/%",
        "/%4",
        "/%g0",
        "/%0g",
        "/a%",
        "/a%/b",
        "/%2",
        "/%2/f",
        "/%-1",
        "/%+1",
        "/% 1",
        "/%u002e",
        "/%00",
        "/a%00",
        "/a%00.html",
        "/%00/../x",
        "/..%00/",
        "/index.html%00.jpg",
        "",
        "a",
        "*",
        "http://x/",
    ] {
        assert_eq!(clean(path), Err(Fault::Malformed), "{path:?}");
    }
    assert_eq!(CleanPath::parse(b"/\0").err(), Some(Fault::Malformed));
}

#[test]
fn an_encoded_slash_separates_nothing() {
    for path in [
        "/%2f",
        "/%2F",
        "/a%2fb",
        "/..%2f..%2fetc",
        "/%2e%2e%2fetc",
        "/a/%2F../b",
        "/..%2F",
    ] {
        assert_eq!(clean(path), Err(Fault::EncodedSlash), "{path}");
    }
}

#[test]
fn lengths_are_bounded() {
    let name = |n: usize| format!("/{}", "x".repeat(n));
    assert_eq!(clean(&name(255)), file(&"x".repeat(255)));
    assert_eq!(clean(&name(256)), Err(Fault::LongSegment));
    assert_eq!(
        clean(&format!("/{}", "%78".repeat(255))),
        file(&"x".repeat(255))
    );
    assert_eq!(clean(&format!("{}/..", name(256))), Err(Fault::LongSegment));
    let full = "/x".repeat(PATH_BYTES / 2);
    assert_eq!(
        clean(&full).map(|(bytes, _)| bytes.len()),
        Ok(PATH_BYTES - 1)
    );
    assert_eq!(
        clean(&format!("{full}y")).map(|(bytes, _)| bytes.len()),
        Ok(PATH_BYTES)
    );
    assert_eq!(clean(&format!("{full}yz")), Err(Fault::TooLong));
    assert_eq!(clean(&"/.".repeat(PATH_BYTES * 2)), directory(""));
}

#[test]
fn the_last_segment_is_the_name() {
    for (path, name) in [
        ("/", ""),
        ("/a", "a"),
        ("/a/b.c", "b.c"),
        ("/a/b/", "b"),
        ("/a/b/..", "a"),
    ] {
        let clean = CleanPath::parse(path.as_bytes()).unwrap();
        assert_eq!(clean.name(), name.as_bytes(), "{path}");
    }
}

#[test]
fn dots_hide_what_they_begin() {
    for (path, hidden) in [
        ("/", false),
        ("/a.b", false),
        ("/a/b.", false),
        ("/./a/../b", false),
        ("/.git/../a", false),
        ("/.git", true),
        ("/.git/", true),
        ("/a/.b", true),
        ("/.a/b", true),
        ("/a/.b/c", true),
        ("/%2egit", true),
        ("/...", true),
        ("/..a", true),
        ("//.git", true),
        ("/.well-known", false),
        ("/.well-known/", false),
        ("//.well-known/security.txt", false),
        ("/a/../.well-known/x", false),
        ("/.well-known/.x", true),
        ("/.well-knownx", true),
        ("/.Well-Known/x", true),
        ("/a/.well-known/x", true),
    ] {
        let clean = CleanPath::parse(path.as_bytes()).unwrap();
        assert_eq!(clean.is_hidden(), hidden, "{path}");
    }
}
