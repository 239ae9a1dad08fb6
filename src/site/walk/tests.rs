//! Links, special files and ways out of the root.

use super::{Found, HOPS, Refusal, STEPS, Tree, inside, refusal};
use crate::config::Symlinks;
use crate::site::tests::Folder;
use crate::sys::file;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

/// What a path led to: the content of a file, a directory, or nothing.
#[derive(Debug, PartialEq, Eq)]
enum End {
    File(String),
    Directory,
    Not(Refusal),
}

const MISSING: End = End::Not(Refusal::Missing);
const FORBIDDEN: End = End::Not(Refusal::Forbidden);

fn content(text: &str) -> End {
    End::File(text.to_owned())
}

/// A folder that holds `root/` (the tree) and `out/` beside it.
fn world() -> Folder {
    let folder = Folder::new();
    for name in ["root/a/b/c", "out", "root-evil"] {
        fs::create_dir_all(folder.path(name)).unwrap();
    }
    for name in [
        "root/top",
        "root/a/one",
        "root/a/b/two",
        "root/a/b/c/three",
        "out/secret",
    ] {
        fs::write(folder.path(name), name.rsplit('/').next().unwrap()).unwrap();
    }
    fs::write(folder.path("root-evil/secret"), "secret").unwrap();
    folder
}

fn go(folder: &Folder, symlinks: Symlinks, path: &str) -> End {
    let root = file::open_root(&folder.path("root")).unwrap();
    let canonical = folder.path("root").canonicalize().unwrap();
    let tree = Tree {
        root: root.as_fd(),
        canonical: canonical.as_os_str().as_bytes(),
        symlinks,
        hidden: &[],
        eyes: None,
    };
    match tree.walk().open(path.as_bytes(), b"") {
        Ok(Found::Directory) => End::Directory,
        Ok(Found::File(opened)) => {
            let mut text = String::new();
            fs::File::from(opened.file)
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(u64::try_from(text.len()).unwrap(), opened.stat.size);
            End::File(text)
        }
        Err(refusal) => End::Not(refusal),
    }
}

#[test]
fn plain_ways() {
    let folder = world();
    for symlinks in [Symlinks::Within, Symlinks::None, Symlinks::Follow] {
        for (path, end) in [
            ("", End::Directory),
            ("a", End::Directory),
            ("a/b/c", End::Directory),
            ("top", content("top")),
            ("a/b/two", content("two")),
            ("a/b/c/three", content("three")),
            ("a//b/./two", content("two")),
            ("none", MISSING),
            ("a/none/two", MISSING),
            ("top/x", MISSING),
            ("a/one/two", MISSING),
        ] {
            assert_eq!(go(&folder, symlinks, path), end, "{symlinks:?} {path}");
        }
        assert_eq!(go(&folder, symlinks, &"x".repeat(256)), MISSING);
    }
}

/// A link, its target, what follows its name in the path, and where that ends when links stay
/// within and when they are followed: `?` is missing, `!` is forbidden, `-` stands for nothing.
const LINKS: &str = "
    file           a/one                  -             one  one
    dir            a/b                    /two          two  two
    dir-slash      a/b/                   /two          two  two
    dot            .                      /top          top  top
    a/up           ..                     /top          top  top
    a/b/up2        ../../top              -             top  top
    a/b/side       ../one                 -             one  one
    down-up        a/b/../b/c/../two      -             two  two
    absolute       {root}/a/b             /two          two  two
    absolute-root  {root}                 /top          top  top
    dangling       a/none                 -             ?    ?
    through-file   top/../a/one           -             ?    ?

    out            ../out/secret          -             !    secret
    a/out          ../../out              /secret       !    secret
    parent         ..                     /out/secret   !    secret
    out-absolute   {out}                  /secret       !    secret
    passwd         /etc/passwd/           /x            !    ?
    slash          /                      /none-such    !    ?
    deep           ../../../../../../../. /none-such    !    ?
    device         /dev/null              -             !    !
    prefix         {root}-evil/secret     -             !    secret
    back           ../root/top            -             !    top
    back-absolute  {root}/../root/top     -             !    top
    a/dive         b/../../../root/top    -             !    top
    other-name     {root}/./../root       /top          !    top

    chain1         chain2                 -             one  one
    chain2         dir/../chain3          -             one  one
    a/chain3       ../file                -             one  one
    to-out         a/to-out               -             !    secret
    a/to-out       b/to-out               -             !    secret
    a/b/to-out     ../../../out/secret    -             !    secret
    physical       dir/../one             -             one  one
    loop           loop                   -             ?    ?
    ping           pong                   -             ?    ?
    pong           ping                   -             ?    ?
    a/around       ../a/around            /x            ?    ?
";

#[test]
fn links_under_each_policy() {
    let folder = world();
    let place = |name: &str| {
        folder
            .path(name)
            .canonicalize()
            .unwrap()
            .display()
            .to_string()
    };
    let table = LINKS
        .replace("{root}", &place("root"))
        .replace("{out}", &place("out"));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|row: &Vec<&str>| !row.is_empty())
        .collect();
    for row in &rows {
        symlink(row[1], folder.path("root").join(row[0])).unwrap();
    }
    let end = |word: &str| match word {
        "?" => MISSING,
        "!" => FORBIDDEN,
        text => content(text),
    };
    for row in &rows {
        let path = format!("{}{}", row[0], row[2].trim_start_matches('-'));
        assert_eq!(
            go(&folder, Symlinks::Within, &path),
            end(row[3]),
            "within: {row:?}"
        );
        assert_eq!(
            go(&folder, Symlinks::Follow, &path),
            end(row[4]),
            "follow: {row:?}"
        );
        assert_eq!(
            go(&folder, Symlinks::None, &path),
            FORBIDDEN,
            "none: {row:?}"
        );
    }
}

#[test]
fn the_root_may_be_the_file_system() {
    assert_eq!(inside(b"/etc/x", b""), Some(&b"/etc/x"[..]));
    assert_eq!(inside(b"/srv/www", b"/srv/www"), Some(&b""[..]));
    assert_eq!(inside(b"/srv/www/", b"/srv/www"), Some(&b"/"[..]));
    assert_eq!(inside(b"/srv/wwwx", b"/srv/www"), None);
    assert_eq!(inside(b"/srv", b"/srv/www"), None);
    assert_eq!(inside(b"/", b"/srv/www"), None);
}

#[test]
fn hops_and_steps_are_bounded() {
    let folder = world();
    symlink("top", folder.path("root/hop1")).unwrap();
    for hop in 2..=HOPS + 1 {
        symlink(
            format!("hop{}", hop - 1),
            folder.path(&format!("root/hop{hop}")),
        )
        .unwrap();
    }
    for symlinks in [Symlinks::Within, Symlinks::Follow] {
        assert_eq!(go(&folder, symlinks, &format!("hop{HOPS}")), content("top"));
        assert_eq!(go(&folder, symlinks, &format!("hop{}", HOPS + 1)), MISSING);
    }
    let up_and_down = "a/../".repeat(usize::from(STEPS));
    symlink(
        format!("{}top", &up_and_down[..5 * 50]),
        folder.path("root/short"),
    )
    .unwrap();
    symlink(
        format!("{}top", &up_and_down[..5 * 200]),
        folder.path("root/long"),
    )
    .unwrap();
    symlink(format!("{up_and_down}top"), folder.path("root/longer")).unwrap();
    for symlinks in [Symlinks::Within, Symlinks::Follow] {
        assert_eq!(go(&folder, symlinks, "short"), content("top"));
        assert_eq!(go(&folder, symlinks, "long"), MISSING, "too many steps");
        assert_eq!(
            go(&folder, symlinks, "longer"),
            MISSING,
            "too long a target"
        );
    }
    symlink(format!("{}a", "./".repeat(500)), folder.path("root/wide")).unwrap();
    assert_eq!(go(&folder, Symlinks::Within, "wide/b/two"), content("two"));
    let full = "wide/".repeat(800) + "x";
    assert_eq!(
        go(&folder, Symlinks::Within, &full),
        MISSING,
        "a target that does not fit"
    );
}

#[test]
fn only_regular_files_are_opened() {
    let folder = world();
    let socket = UnixListener::bind(folder.path("root/socket")).unwrap();
    let mkfifo = Command::new("mkfifo")
        .arg(folder.path("root/fifo"))
        .status();
    assert!(mkfifo.unwrap().success());
    symlink("fifo", folder.path("root/to-fifo")).unwrap();
    let mut names = vec!["socket", "fifo", "to-fifo"];
    let mknod = Command::new("mknod")
        .arg(folder.path("root/device"))
        .args(["c", "1", "3"])
        .output();
    if mknod.is_ok_and(|output| output.status.success()) {
        names.push("device");
    } else {
        println!("skipped: a device in the tree (mknod is not permitted here)");
    }
    for name in names {
        assert_eq!(go(&folder, Symlinks::Within, name), FORBIDDEN, "{name}");
        assert_eq!(
            go(&folder, Symlinks::Within, &format!("{name}/x")),
            MISSING,
            "{name}"
        );
    }
    drop(socket);
}

#[test]
fn what_may_not_be_read_is_forbidden() {
    let folder = world();
    let mode = |name: &str, mode| {
        fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("root/top", 0);
    mode("root/a", 0);
    if fs::File::open(folder.path("root/top")).is_ok() {
        println!("skipped: this user (root?) may read everything");
    } else {
        assert_eq!(go(&folder, Symlinks::Within, "top"), FORBIDDEN);
        assert_eq!(go(&folder, Symlinks::Within, "a/one"), FORBIDDEN);
        assert_eq!(go(&folder, Symlinks::Within, "a/none"), FORBIDDEN);
    }
    mode("root/a", 0o755);
}

#[test]
fn a_directory_moved_away_keeps_no_way_out() {
    let folder = world();
    let root = file::open_root(&folder.path("root")).unwrap();
    let canonical = folder.path("root").canonicalize().unwrap();
    fs::rename(folder.path("root"), folder.path("out/root")).unwrap();
    symlink("../secret", folder.path("out/root/escape")).unwrap();
    let tree = Tree {
        root: root.as_fd(),
        canonical: canonical.as_os_str().as_bytes(),
        symlinks: Symlinks::Within,
        hidden: &[],
        eyes: None,
    };
    assert!(
        matches!(tree.walk().open(b"top", b""), Ok(Found::File(_))),
        "the root is what was opened"
    );
    assert!(matches!(
        tree.walk().open(b"escape", b""),
        Err(Refusal::Forbidden)
    ));
}

#[test]
fn errors_mean_the_same_everywhere() {
    for (number, expected) in [
        (2, Refusal::Missing),
        (20, Refusal::Missing),
        (1, Refusal::Forbidden),
        (13, Refusal::Forbidden),
        (12, Refusal::Busy),
        (23, Refusal::Busy),
        (24, Refusal::Busy),
        (5, Refusal::Broken),
    ] {
        assert_eq!(
            refusal(&io::Error::from_raw_os_error(number)),
            expected,
            "{number}"
        );
    }
    // The two whose numbers differ, as this kernel gives them.
    let folder = world();
    symlink("loop", folder.path("root/loop")).unwrap();
    let looped = fs::read(folder.path("root/loop")).unwrap_err();
    assert_eq!(refusal(&looped), Refusal::Missing, "{looped}");
    let long = fs::read(folder.path(&"x".repeat(256))).unwrap_err();
    assert_eq!(refusal(&long), Refusal::Missing, "{long}");
    // Seen as a file, found as a link: the name is opened without following it.
    let raced = file::open_regular(
        fs::File::open(folder.path("root")).unwrap().as_fd(),
        c"loop",
    );
    assert_eq!(refusal(&raced.unwrap_err()), Refusal::Missing);
}

/// What stands beside `path` with `.gz` behind its name.
fn beside(folder: &Folder, symlinks: Symlinks, path: &str) -> Option<String> {
    let root = file::open_root(&folder.path("root")).unwrap();
    let canonical = folder.path("root").canonicalize().unwrap();
    let tree = Tree {
        root: root.as_fd(),
        canonical: canonical.as_os_str().as_bytes(),
        symlinks,
        hidden: &[],
        eyes: None,
    };
    let mut walk = tree.walk();
    assert!(matches!(walk.open(b"a/none", b""), Err(Refusal::Missing)));
    assert!(matches!(
        walk.open(path.as_bytes(), b""),
        Ok(Found::File(_))
    ));
    let sibling = |walk: &super::Walk<'_>| {
        walk.sibling(b".gz").map(|opened| {
            let mut text = String::new();
            let mut file = fs::File::from(opened.file);
            file.read_to_string(&mut text).unwrap();
            text
        })
    };
    let first = sibling(&walk);
    assert!(walk.sibling(b".br").is_none());
    assert_eq!(sibling(&walk), first, "looking does not move the way");
    first
}

#[test]
fn siblings_stand_beside_what_was_found_by_the_same_rules() {
    use Symlinks::{Follow, None as Never, Within};
    let folder = world();
    let root = |name: &str| folder.path("root").join(name);
    let names = [
        "plain",
        "linked",
        "out",
        "hop",
        "directory",
        "fifo",
        "socket",
        "dangling",
    ];
    for name in names {
        fs::write(root(&format!("a/b/{name}")), "original").unwrap();
    }
    fs::write(root("a/b/plain.gz"), "coded").unwrap();
    fs::write(root("coded"), "coded too").unwrap();
    symlink("../../coded", root("a/b/linked.gz")).unwrap();
    symlink("../../../out/secret", root("a/b/out.gz")).unwrap();
    symlink("linked.gz", root("a/b/hop.gz")).unwrap();
    fs::create_dir(root("a/b/directory.gz")).unwrap();
    let made = Command::new("mkfifo").arg(root("a/b/fifo.gz")).status();
    assert!(made.unwrap().success());
    let _socket = UnixListener::bind(root("a/b/socket.gz")).unwrap();
    symlink("nowhere", root("a/b/dangling.gz")).unwrap();
    symlink("a/b", root("dir")).unwrap();
    symlink("a/b/plain", root("other")).unwrap();
    fs::write(root("other.gz"), "of the link").unwrap();
    let coded = Some("coded");
    for (path, within, follow, never) in [
        ("a/b/plain", coded, coded, coded),
        ("a/b/linked", Some("coded too"), Some("coded too"), None),
        ("a/b/hop", Some("coded too"), Some("coded too"), None),
        ("a/b/out", None, Some("secret"), None),
        ("a/b/directory", None, None, None),
        ("a/b/fifo", None, None, None),
        ("a/b/socket", None, None, None),
        ("a/b/dangling", None, None, None),
        ("top", None, None, None),
    ] {
        for (symlinks, text) in [(Within, within), (Follow, follow), (Never, never)] {
            let found = beside(&folder, symlinks, path);
            assert_eq!(found.as_deref(), text, "{symlinks:?} {path}");
        }
    }
    // Behind links: beside the file, not beside the link.
    for symlinks in [Within, Follow] {
        assert_eq!(beside(&folder, symlinks, "dir/plain").as_deref(), coded);
        assert_eq!(beside(&folder, symlinks, "other").as_deref(), coded);
    }
    // A name with no room for what would stand behind it.
    let long = "x".repeat(253);
    fs::write(root(&long), "long").unwrap();
    assert_eq!(beside(&folder, Within, &long), None);
}
