//! Who gets in, who does not, and what he is told: on the real program, with files of users as the
//! real tools make them. What becomes of a request that waits is in `tests/verify.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use adieu::sys::clock::monotonic_ms;
use common::auth::{
    ALICE, BOB, Halted, PASSWORD, Users, alice, ask_on, base64, basic, dealt_with, get, helper,
    is_challenge, request, status,
};
use common::http::{Answer, read_answer};
use common::root::Root;
use common::server::Server;
use common::{eventually, skip};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const REALM: &str = "Administration";
/// Wrong passwords do not make anybody pause, but where a test is about that.
const PATIENT: &str = "auth.failures=1000";
const HOUR: &str = "auth.remember_ms=1h";

/// Files that say where they lie.
fn root() -> Root {
    let root = Root::new();
    fs::create_dir(root.path().join("admin")).unwrap();
    root.file("admin/index.html", b"secret index");
    root.file("admin/x.txt", b"secret x");
    root.file("open.txt", b"open");
    root
}

/// A server whose `/admin` is for these users.
fn guarded(root: &Root, users: &Users, keys: &[&str]) -> Server {
    let rule = users.guard("/admin *", REALM);
    let mut all = vec![PATIENT, rule.as_str()];
    all.extend_from_slice(keys);
    Server::start(root.path(), &all)
}

/// The status for this user at the guarded path.
fn knocks(server: &Server, user: &str, password: &str) -> u16 {
    status(server, "/admin/x.txt", &basic(user, password))
}

fn ends(server: Server) {
    server.comes_home();
    drop(server.stop());
}

// ---- passwords ----------------------------------------------------------------------------------

/// User, password, the line, and the command that made it.
const FORMS: [(&str, &str, &str); 7] = [
    ("alice", PASSWORD, ALICE),
    ("bob", PASSWORD, BOB),
    // openssl passwd -5 -salt abcdefgh wonderland
    (
        "five",
        PASSWORD,
        "five:$5$abcdefgh$v5FpjMljOAWlLx5fREBx9meM4WbUoriKAkzXNpPtmy9\n",
    ),
    // openssl passwd -6 -salt abcdefgh wonderland
    (
        "six",
        PASSWORD,
        "six:$6$abcdefgh$e1o..VsKRS0O4M9J1Qb9u.strxNEAfDkCXcaYc5TsDrJFctQCTMkPeis45vy3ZQtqt4dqG4\
         vXTonFJKbQgR2Q1\n",
    ),
    // openssl passwd -6 -salt abcdefgh wünder:land
    (
        "colon",
        "w\u{fc}nder:land",
        "colon:$6$abcdefgh$exhghvzbdlxkcSAtq6YDNxMHj3ReAZ59UvwEqren34GVo8vSRRvttrcq1NbLbDWuWcyEg\
         tWAbUI/PukBRdC7t1:a comment\n",
    ),
    // htpasswd -nbB -C 5 zoë päss:wörd☃
    (
        "zo\u{eb}",
        "p\u{e4}ss:w\u{f6}rd\u{2603}",
        "zo\u{eb}:$2y$05$t9K5PUl0gLBKdUKP.LwyiOo0vzFH1wBeM4tCBV2OzVa8rbjYPbh52\n",
    ),
    // htpasswd -nbB -C 5 empty ''
    (
        "empty",
        "",
        "empty:$2y$05$N.SCQmR61QLGzYjcQZRDhePWnltPMf17IFPapLhXjTm.2RBFh/nHm\n",
    ),
];

#[test]
fn every_form_of_hash_lets_in_who_knows_the_password_and_nobody_else() {
    let text: String = FORMS.iter().map(|(_, _, line)| *line).collect();
    let (root, users) = (root(), Users::new(&text));
    let server = guarded(&root, &users, &[HOUR]);
    for (user, password, line) in FORMS {
        let answer = get(&server, "/admin/x.txt", &basic(user, password));
        assert_eq!((answer.status, &answer.body[..]), (200, &b"secret x"[..]));
        let hash = line.trim_end().split_once(':').unwrap().1;
        for wrong in [
            &format!("{password}x"),
            &password.to_uppercase(),
            "Wonderland",
            hash,
        ] {
            if *wrong != *password {
                let answer = get(&server, "/admin/x.txt", &basic(user, wrong));
                is_challenge(&answer, REALM);
            }
        }
    }
    for (user, password) in [
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("", ""),
        ("alice", ""),
        ("ALICE", PASSWORD),
        ("alice ", PASSWORD),
        ("alic", PASSWORD),
        ("bob", "wonderland:"),
        // What stands behind the hash is no password.
        ("colon", "a comment"),
    ] {
        is_challenge(&get(&server, "/admin/x.txt", &basic(user, password)), REALM);
    }
    // The name may come in any case of the scheme.
    let shouted = alice().replace("Basic", "bASIC  ");
    assert_eq!(status(&server, "/admin/x.txt", &shouted), 200);
    ends(server);
}

/// What the tools of this machine make, of today's versions.
#[test]
fn users_that_the_real_tools_have_made_get_in() {
    let tools: [(&str, &[&str]); 5] = [
        ("htpasswd", &["-nbB", "-C", "5", "user", PASSWORD]),
        ("htpasswd", &["-nbm", "user", PASSWORD]),
        ("openssl", &["passwd", "-6", PASSWORD]),
        ("openssl", &["passwd", "-5", PASSWORD]),
        ("openssl", &["passwd", "-apr1", PASSWORD]),
    ];
    for (tool, arguments) in tools {
        let Ok(made) = Command::new(tool).args(arguments).output() else {
            common::skip("a tool that makes users", &format!("there is no {tool}"));
            continue;
        };
        assert!(made.status.success(), "{made:?}");
        let line = String::from_utf8(made.stdout).unwrap();
        let line = match tool {
            "htpasswd" => line,
            _ => format!("user:{line}"),
        };
        let (root, users) = (root(), Users::new(&line));
        let server = guarded(&root, &users, &[]);
        assert_eq!(knocks(&server, "user", PASSWORD), 200, "{arguments:?}");
        assert_eq!(knocks(&server, "user", "Wonderland"), 401, "{arguments:?}");
        ends(server);
    }
}

#[test]
fn a_password_that_stands_there_as_it_is_counts_only_where_that_is_wanted() {
    let root = root();
    let users =
        Users::new("dave:wonder:land\neve:\n:nobody\nfay:{SHA}kd9zDqT3AqPgAPEHh0HVnJRW3ro=\n");
    for (keys, inside) in [(vec![], false), (vec!["auth.plain=on"], true)] {
        let server = guarded(&root, &users, &keys);
        let expected = if inside { 200 } else { 401 };
        assert_eq!(knocks(&server, "dave", "wonder:land"), expected);
        for (user, password) in [
            ("dave", "wonder"),
            ("dave", "wonder:lanD"),
            ("", "nobody"),
            // The SHA-1 of Apache, without salt, is refused; nor is it a password itself.
            ("fay", PASSWORD),
            ("fay", "{SHA}kd9zDqT3AqPgAPEHh0HVnJRW3ro="),
        ] {
            assert_eq!(knocks(&server, user, password), 401, "{user}:{password}");
        }
        ends(server);
    }
}

#[test]
fn who_shows_nothing_that_can_be_read_is_asked_for_a_password_and_stays() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &[]);
    let mut stream = server.connect();
    let field = |value: &str| format!("Authorization: {value}\r\n");
    let good = base64(format!("alice:{PASSWORD}").as_bytes());
    let long = |user: usize, password: usize| basic(&"u".repeat(user), &"p".repeat(password));
    // Nor is anybody asked about any of them.
    let halted = Halted::new(&server);
    for fields in [
        String::new(),
        field(""),
        field("Basic"),
        field(&format!("Basic{good}")),
        field(&format!("Basic {}", good.trim_end_matches('='))),
        field(&format!("Basic {good}=")),
        field(&format!("Basic {good} x")),
        field(&format!("Basic {good}, Bearer x")),
        field(&format!("Basic  !{good}")),
        field("Basic ===="),
        field(&format!("Basic {}", base64(b"alice"))),
        field(&format!("Bearer {good}")),
        field(&format!("Digest username=\"alice\", response=\"{good}\"")),
        // Of two nobody knows which is meant, not even of two that are the same.
        alice() + &alice(),
        alice() + &basic("bob", "x"),
        basic("bob", "x") + &alice(),
        field("") + &alice(),
        // The other field of that name is for proxies.
        alice().replace("Authorization", "Proxy-Authorization"),
        basic("alice", "wonder\u{7}land"),
        basic("alice", "wonderland\0"),
        basic("alice\n", PASSWORD),
        long(256, 1),
        long(1, 256),
        long(2000, 2000),
    ] {
        let answer = ask_on(&mut stream, "GET", "/admin/x.txt", &fields);
        is_challenge(&answer, REALM);
        assert!(answer.body.starts_with(b"<!doctype html>"), "{answer:?}");
    }
    drop(halted);
    let answer = ask_on(&mut stream, "GET", "/admin/x.txt", &long(255, 255));
    is_challenge(&answer, REALM);
    // These do not reach the site.
    assert_eq!(status(&server, "/", "Authorization : x\r\n"), 400);
    let huge = format!("Authorization: Basic {}\r\n", "A".repeat(9000));
    assert_eq!(status(&server, "/admin/", &huge), 431);
    // And all the while it was the same connection, on which the right one is let in.
    let answer = ask_on(&mut stream, "GET", "/admin/x.txt", &alice());
    assert_eq!(answer.status, 200);
    let answer = ask_on(&mut stream, "HEAD", "/admin/x.txt", "");
    is_challenge(&answer, REALM);
    drop(stream);
    ends(server);
}

// ---- rules --------------------------------------------------------------------------------------

#[test]
fn a_rule_is_about_its_methods() {
    let (root, users) = (root(), Users::new(ALICE));
    let changes = users.guard("/ POST,PUT,DELETE", "Changes");
    let reads = users.guard("/admin GET", "Reads");
    let server = Server::start(root.path(), &[PATIENT, &changes, &reads]);
    let mut stream = server.connect();
    for (method, target, without, with, realm) in [
        ("GET", "/open.txt", 200, 200, ""),
        ("HEAD", "/open.txt", 200, 200, ""),
        ("OPTIONS", "/open.txt", 200, 200, ""),
        ("PATCH", "/open.txt", 405, 405, ""),
        ("FETCH", "/open.txt", 501, 501, ""),
        ("POST", "/open.txt", 401, 405, "Changes"),
        ("PUT", "/open.txt", 401, 405, "Changes"),
        ("DELETE", "/none", 401, 405, "Changes"),
        ("GET", "/admin/x.txt", 401, 200, "Reads"),
        ("HEAD", "/admin/x.txt", 401, 200, "Reads"),
        ("POST", "/admin/x.txt", 401, 405, "Changes"),
        ("OPTIONS", "/admin/x.txt", 200, 200, ""),
    ] {
        let answer = ask_on(&mut stream, method, target, "");
        assert_eq!(answer.status, without, "{method} {target}");
        if without == 401 {
            is_challenge(&answer, realm);
        }
        let answer = ask_on(&mut stream, method, target, &alice());
        assert_eq!(answer.status, with, "{method} {target}");
    }
    drop(stream);
    ends(server);
    // Without a list of methods it is about all of them, unknown ones too.
    let server = guarded(&root, &users, &[]);
    for method in ["GET", "OPTIONS", "TRACE", "FETCH", "PATCH"] {
        let answer = ask_on(&mut server.connect(), method, "/admin", "");
        is_challenge(&answer, REALM);
    }
    ends(server);
}

#[test]
fn who_is_meant_by_two_rules_must_satisfy_both() {
    // ALICE under another name, who is in both.
    let both = ALICE.replace("alice", "both");
    let one = Users::new(&format!("{ALICE}{both}"));
    let two = Users::new(&format!("{BOB}{both}"));
    let root = root();
    let rules = [one.guard("/admin *", "One"), two.guard("*.txt *", "Two")];
    let server = Server::start(root.path(), &[PATIENT, HOUR, &rules[0], &rules[1]]);
    let (bob, both) = (basic("bob", PASSWORD), basic("both", PASSWORD));
    // Once while each has to be looked at, once from memory.
    for _ in 0..2 {
        for (target, fields, realm) in [
            ("/admin/x.txt", "", Some("One")),
            ("/admin/x.txt", &alice(), Some("Two")),
            ("/admin/x.txt", &bob, Some("One")),
            ("/admin/x.txt", &both, None),
            ("/admin/", &alice(), None),
            ("/admin/", &bob, Some("One")),
            ("/open.txt", &alice(), Some("Two")),
            ("/open.txt", &bob, None),
        ] {
            let answer = get(&server, target, fields);
            match realm {
                Some(realm) => is_challenge(&answer, realm),
                None => assert_eq!(answer.status, 200, "{target}"),
            }
        }
    }
    ends(server);
}

#[test]
fn each_site_has_its_own_users() {
    let (root, one, two) = (root(), Users::new(ALICE), Users::new(BOB));
    let first = one.guard("/ *", "First");
    let second = two
        .guard("/admin *", "Second")
        .replace("site.", "sites.cam.");
    let keys = [
        PATIENT,
        &first,
        "sites.cam.hosts=cam.lan",
        &second,
        "sites.open.hosts=open.lan",
        "sites.open.auth=none",
        "sites.heir.hosts=heir.lan",
    ];
    let server = Server::start(root.path(), &keys);
    let ask = |host: &str, target: &str, fields: &str| {
        let request = request("GET", target, fields).replace("Host: h", &format!("Host: {host}"));
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream, false)
    };
    let bob = basic("bob", PASSWORD);
    for (host, target, fields, realm) in [
        ("h", "/open.txt", "", Some("First")),
        ("h", "/open.txt", bob.as_str(), Some("First")),
        ("h", "/open.txt", &alice(), None),
        ("heir.lan", "/open.txt", "", Some("First")),
        ("cam.lan", "/open.txt", "", None),
        ("CAM.lan:80", "/admin/", "", Some("Second")),
        ("cam.lan", "/admin/", &alice(), Some("Second")),
        ("cam.lan", "/admin/", &bob, None),
        ("open.lan", "/admin/", "", None),
    ] {
        let answer = ask(host, target, fields);
        match realm {
            Some(realm) => is_challenge(&answer, realm),
            None => assert_eq!(answer.status, 200, "{host} {target}"),
        }
    }
    ends(server);
}

/// Each of these names something that is guarded.
const SPELLINGS: &[&str] = &[
    "/admin",
    "/admin/",
    "/admin/x.txt",
    "/ADMIN",
    "/ADMIN/x.txt",
    "/AdMiN/X.TXT",
    "/admin.",
    "/Admin./x.txt",
    "/admin../x.txt",
    "/admin%20/x.txt",
    "/admin%20./x.txt",
    "/admin%2e",
    "/%61dmin/x.txt",
    "/%41DMIN/x.txt",
    "/x/../admin/x.txt",
    "/x/%2e%2e/admin/x.txt",
    "/x/%2E./admin/x.txt",
    "/./admin/x.txt",
    "//admin/x.txt",
    "///admin//x.txt",
    "/admin/./x.txt",
    "/admin/y/../x.txt",
    "/admin/y/..",
    "/admin?x",
    "/admin/x.txt?/../..",
    "http://h/admin/x.txt",
    "http://h//ADMIN./x.txt",
    "/admin.gz",
    "/admin.BR",
    "/app.js",
    "/app.js.",
    "/app.js.gz",
    "/app.js.GZ",
    "/app.js.gz.",
    "/APP.JS.br",
    "/app.js/",
];

#[test]
fn no_spelling_gets_around_a_rule() {
    let (root, users) = (root(), Users::new(ALICE));
    // What FAT would show under these names lies there under them.
    for name in [
        "ADMIN",
        "Admin.",
        "admin .",
        "app.js.gz",
        "app.js.GZ",
        "app.js",
    ] {
        match name.starts_with("app") {
            true => root.file(name, b"secret app"),
            false => {
                fs::create_dir(root.path().join(name)).unwrap();
                root.file(&format!("{name}/x.txt"), b"secret x");
            }
        }
    }
    let app = users.guard("/app.js *", "App");
    let server = guarded(&root, &users, &[&app]);
    for target in SPELLINGS {
        let answer = get(&server, target, "");
        assert_eq!(answer.status, 401, "{target}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
    }
    // These name something else, or nothing at all.
    for (target, expected) in [
        ("/admin%2f", 404),
        ("/admin%2Fx.txt", 404),
        ("/x%2f..%2fadmin", 404),
        ("/admin%00", 400),
        ("/../admin/x.txt", 400),
        ("/admin/../../admin/x.txt", 400),
        ("/adminx", 404),
        ("/admin%5cx.txt", 404),
        ("/admin;x/x.txt", 404),
        ("/admin/../open.txt", 200),
        ("/app.jsx", 404),
    ] {
        assert_eq!(status(&server, target, ""), expected, "{target}");
    }
    // Whoever is let in gets what lies there.
    for target in ["/admin/x.txt", "/Admin./x.txt", "/app.js.gz"] {
        let answer = get(&server, target, &alice());
        assert_eq!(answer.status, 200);
        assert!(String::from_utf8_lossy(&answer.body).contains("secret"));
    }
    ends(server);
}

#[test]
fn what_is_shown_for_a_path_is_guarded_by_its_own_rule() {
    let (root, users) = (root(), Users::new(ALICE));
    let elsewhere = Root::new();
    elsewhere.file("manual.txt", b"secret manual");
    fs::create_dir(root.path().join("dir")).unwrap();
    root.file("dir/index.html", b"secret index");
    root.file("app.html", b"secret app");
    let alias = format!("site.aliases=/admin/docs {}", elsewhere.path().display());
    let further = format!("site.aliases=/docs {}", elsewhere.path().display());
    let index = users.guard("/dir/index.html *", "Index");
    let fallback = users.guard("/app.html *", "Fallback");
    let beneath = users.guard("/docs/manual.txt *", "Manual");
    let keys = [
        "site.fallback=/app.html",
        &alias,
        &further,
        &index,
        &fallback,
        &beneath,
    ];
    let server = guarded(&root, &users, &keys);
    for (target, realm) in [
        ("/dir/", "Index"),
        ("/dir/index.html", "Index"),
        ("/nowhere", "Fallback"),
        ("/dir/nowhere/", "Fallback"),
        ("/app.html", "Fallback"),
        ("/admin/docs/manual.txt", REALM),
        ("/admin/docs/", REALM),
        ("/docs/manual.txt", "Manual"),
    ] {
        is_challenge(&get(&server, target, ""), realm);
        let wrong = basic("alice", target);
        is_challenge(&get(&server, target, &wrong), realm);
        let answer = get(&server, target, &alice());
        assert_eq!(answer.status, 200, "{target}");
    }
    // A directory is named before its index is looked for.
    assert_eq!(status(&server, "/dir", ""), 301);
    assert_eq!(status(&server, "/docs/", ""), 200);
    ends(server);
}

#[test]
fn an_address_that_may_not_ask_is_not_asked_for_a_password() {
    let (root, users) = (root(), Users::new(ALICE));
    let keys = [
        "proxy.trusted=127.0.0.1",
        "site.access=/admin allow 192.0.2.0/24",
    ];
    let server = guarded(&root, &users, &keys);
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    for (address, fields, expected) in [
        ("203.0.113.7", String::new(), 403),
        ("203.0.113.7", alice(), 403),
        ("203.0.113.7", basic("alice", "x"), 403),
        ("192.0.2.1", String::new(), 401),
        ("192.0.2.1", alice(), 200),
        ("203.0.113.7", alice(), 403),
    ] {
        let answer = get(&server, "/admin/x.txt", &(from(address) + &fields));
        assert_eq!(answer.status, expected, "{address}");
        assert_eq!(answer.field("www-authenticate").is_some(), expected == 401);
    }
    ends(server);
}

#[test]
fn a_refusal_has_the_page_and_the_fields_of_the_site() {
    let (root, users) = (root(), Users::new(ALICE));
    root.file("401.html", b"<p>who are you?");
    let keys = [
        "site.error_pages=401 /401.html",
        "site.fields=/admin X-Frame-Options: DENY",
        "site.fields=/ Cache-Control: max-age=9",
    ];
    let server = guarded(&root, &users, &keys);
    let page = |answer: &Answer| {
        is_challenge(answer, REALM);
        assert_eq!(answer.field("x-frame-options"), Some("DENY"));
        assert_eq!(answer.field("cache-control"), None);
        let challenges = answer
            .fields
            .iter()
            .filter(|(n, _)| n == "www-authenticate");
        assert_eq!(challenges.count(), 1);
    };
    let mut stream = server.connect();
    for fields in [String::new(), basic("alice", "x")] {
        let answer = ask_on(&mut stream, "GET", "/admin/x.txt", &fields);
        page(&answer);
        assert_eq!(answer.body, b"<p>who are you?");
        let head = ask_on(&mut stream, "HEAD", "/admin/x.txt", &fields);
        page(&head);
        assert_eq!(head.field("content-length"), Some("15"));
    }
    let answer = ask_on(&mut stream, "GET", "/admin/x.txt", &alice());
    assert_eq!(answer.field("cache-control"), Some("max-age=9"));
    // A further request behind one that had to be looked at has its fields once.
    let names = answer.fields.iter().filter(|(n, _)| n == "x-frame-options");
    assert_eq!(names.count(), 1);
    drop(stream);
    ends(server);
}

// ---- the file of users --------------------------------------------------------------------------

#[test]
fn who_is_new_in_the_file_gets_in_at_once_and_who_is_taken_out_is_out_after_its_time() {
    let (root, users) = (root(), Users::new(ALICE));
    let server = guarded(&root, &users, &["auth.remember_ms=1500"]);
    assert_eq!(knocks(&server, "alice", PASSWORD), 200);
    users.write(&format!("{ALICE}{BOB}"));
    assert_eq!(knocks(&server, "bob", PASSWORD), 200);
    users.write(BOB);
    eventually("she is out", || knocks(&server, "alice", PASSWORD) == 401);
    assert_eq!(knocks(&server, "bob", PASSWORD), 200);
    ends(server);
}

#[test]
fn who_was_let_in_costs_no_further_hash() {
    let (root, users) = (root(), Users::new(&format!("{ALICE}{BOB}")));
    let server = guarded(&root, &users, &[HOUR]);
    assert_eq!(knocks(&server, "alice", PASSWORD), 200);
    // Nobody could compute one.
    let halted = Halted::new(&server);
    users.write(BOB);
    // For longer than what is wrong is remembered.
    let end = monotonic_ms() + 1500;
    eventually("the time is over", || {
        assert_eq!(knocks(&server, "alice", PASSWORD), 200);
        monotonic_ms() > end
    });
    drop(halted);
    fs::remove_file(users.path()).unwrap();
    assert_eq!(knocks(&server, "alice", PASSWORD), 200);
    // It holds for that password alone, and for who has it.
    assert_eq!(knocks(&server, "alice", "x"), 503);
    assert_eq!(knocks(&server, "bob", PASSWORD), 503);
    ends(server);
}

/// Nobody can say who is right: nobody is let in, and everybody is told when to come again.
fn cannot_say(server: &Server, user: &str) {
    let answer = get(server, "/admin/x.txt", &basic(user, PASSWORD));
    assert_eq!(answer.status, 503, "{user}");
    assert_eq!(answer.field("retry-after"), Some("2"));
    assert_eq!(answer.field("www-authenticate"), None);
    assert!(!answer.closes());
}

#[test]
fn without_a_file_that_can_be_read_nobody_gets_in_until_there_is_one() {
    let root = root();
    let users = Users::missing();
    let server = guarded(&root, &users, &[]);
    let path = users.path();
    let free = || {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir(path);
    };
    let fifo = |path: &Path| {
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    let large = |path: &Path| {
        let line = format!("{ALICE}# {}\n", "x".repeat(61)).into_bytes();
        fs::write(path, line.repeat((10 << 20) / line.len())).unwrap();
    };
    type Make<'a> = (&'a str, &'a dyn Fn(&Path));
    let cases: [Make<'_>; 7] = [
        ("missing", &|_| {}),
        ("a directory", &|path| fs::create_dir(path).unwrap()),
        ("a FIFO", &fifo),
        ("10 MB", &large),
        ("a loop", &|path| symlink(path, path).unwrap()),
        ("a device", &|path| symlink("/dev/zero", path).unwrap()),
        ("a link to nothing", &|path| {
            symlink("/nowhere/at/all", path).unwrap();
        }),
    ];
    for (number, (what, make)) in cases.into_iter().enumerate() {
        // Another user each time, of whom nothing is remembered.
        let (user, nobody) = (format!("user{number}"), format!("nobody{number}"));
        make(path);
        cannot_say(&server, &user);
        cannot_say(&server, &nobody);
        // Who says nothing is asked, all the same; and others are served.
        is_challenge(&get(&server, "/admin/x.txt", ""), REALM);
        server.serves_a_good_client();
        free();
        users.write(&ALICE.replace("alice", &user));
        eventually(what, || knocks(&server, &user, PASSWORD) == 200);
        eventually(what, || knocks(&server, &nobody, PASSWORD) == 401);
        free();
    }
    // Who may not read it cannot say either.
    users.write(ALICE);
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    match File::open(path) {
        Ok(_) => skip("a file without permissions", "root reads everything"),
        Err(_) => cannot_say(&server, "alice"),
    }
    ends(server);
}

#[test]
fn a_file_that_cannot_be_read_lets_nobody_in_and_is_named_once() {
    let (root, users) = (root(), Users::missing());
    let server = guarded(&root, &users, &[]);
    for user in ["one", "two", "three"] {
        cannot_say(&server, user);
    }
    server.says(&format!(
        "adieu: error: {} cannot be read",
        users.path().display()
    ));
    users.write(ALICE);
    eventually("she is let in", || {
        knocks(&server, "alice", PASSWORD) == 200
    });
    server.comes_home();
    let stopped = server.stop();
    let said = stopped
        .lines
        .iter()
        .filter(|l| l.contains("cannot be read"));
    assert_eq!(said.count(), 1, "{stopped:?}");
}

#[test]
fn a_line_that_is_none_lets_nobody_in_and_hurts_nobody() {
    let hash = ALICE.trim_end().split_once(':').unwrap().1;
    let lines = [
        "".to_owned(),
        "# a comment".to_owned(),
        "nocolon".to_owned(),
        format!(":{hash}"),
        format!(" blank :{hash}"),
        "none:".to_owned(),
        "dollar:$".to_owned(),
        "dollars:$$$$$$".to_owned(),
        "cost:$2y$99$FcaMZ9ZPD5Ww//T16FGXyecWAY4dT9BhVH02Vj3zfj3rbalrIAw92".to_owned(),
        "cost31:$2y$31$FcaMZ9ZPD5Ww//T16FGXyecWAY4dT9BhVH02Vj3zfj3rbalrIAw92".to_owned(),
        "short:$2y$05$FcaMZ9ZPD5Ww//T16FGXy".to_owned(),
        format!("long:{hash}{}", "x".repeat(3000)),
        format!("behind:{hash} "),
        "rounds:$6$rounds=999999999$abcdefgh$e1o..VsKRS0O4M9J1Qb9u.".to_owned(),
        "des:rqXexS6ZhobKA".to_owned(),
        "md5:$1$abcdefgh$irWbblnpmw.5z7wgBnprh0".to_owned(),
        // The first line of a user counts.
        "twice:wrong".to_owned(),
        format!("twice:{hash}"),
    ];
    let users = [
        "nocolon",
        "",
        "blank",
        "none",
        "dollar",
        "dollars",
        "cost",
        "cost31",
        "short",
        "long",
        "behind",
        "rounds",
        "des",
        "md5",
        "twice",
        "#",
        "# a comment",
    ];
    let mut bytes = lines.join("\n").into_bytes();
    bytes.extend_from_slice(b"\n\xff\xfe\0:\0\xff\n\0\0\0\n");
    // A line end of another system, and no line end at all.
    bytes.extend_from_slice(format!("crlf:{hash}\r\nlast:{hash}").as_bytes());
    let (root, file) = (root(), Users::new(""));
    fs::write(file.path(), bytes).unwrap();
    let server = guarded(&root, &file, &[]);
    let first = helper(&server);
    for user in users {
        assert_eq!(knocks(&server, user, PASSWORD), 401, "{user}");
        assert_eq!(knocks(&server, user, ""), 401, "{user}");
    }
    for user in [" blank ", "crlf", "last"] {
        assert_eq!(knocks(&server, user, PASSWORD), 200, "{user}");
    }
    assert_eq!(helper(&server), first, "it is the same one");
    ends(server);
}

// ---- too often, too many ------------------------------------------------------------------------

/// The field of who comes through a proxy from there.
fn from(address: &str) -> String {
    format!("X-Forwarded-For: {address}\r\n")
}

/// Refused without a look at the password; how long to wait, s.
fn must_wait(answer: &Answer) -> u32 {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.field("www-authenticate"), None);
    assert!(!answer.closes());
    answer.field("retry-after").unwrap().parse().unwrap()
}

#[test]
fn who_is_wrong_too_often_pauses_alone_and_costs_no_hash() {
    let (root, users) = (root(), Users::new(&format!("{ALICE}{BOB}")));
    let rule = users.guard("/admin *", REALM);
    let keys = [
        "proxy.trusted=127.0.0.1",
        "auth.failures=3",
        "auth.pause_ms=1h",
        HOUR,
        &rule,
    ];
    let server = Server::start(root.path(), &keys);
    let ask = |address: &str, user: &str, password: &str| {
        let fields = from(address) + &basic(user, password);
        get(&server, "/admin/x.txt", &fields)
    };
    let (bad, good) = ("203.0.113.7", "192.0.2.1");
    assert_eq!(ask(bad, "bob", PASSWORD).status, 200);
    for password in ["a", "b", "c"] {
        is_challenge(&ask(bad, "alice", password), REALM);
    }
    let halted = Halted::new(&server);
    for (user, password) in [("alice", "d"), ("alice", PASSWORD), ("nobody", "")] {
        let seconds = must_wait(&ask(bad, user, password));
        assert!((3500..=3600).contains(&seconds), "{seconds}");
    }
    // Whoever is known is let in, and who says nothing is asked.
    assert_eq!(ask(bad, "bob", PASSWORD).status, 200);
    is_challenge(&get(&server, "/admin/x.txt", &from(bad)), REALM);
    assert_eq!(get(&server, "/open.txt", &from(bad)).status, 200);
    drop(halted);
    // Others do not pause for it, and once they have shown it, it is known.
    assert_eq!(ask(good, "alice", PASSWORD).status, 200);
    assert_eq!(ask(bad, "alice", PASSWORD).status, 200);
    // Who is right in between begins anew.
    for round in 0..3 {
        let other = "192.0.2.9";
        for n in 0..2 {
            let password = format!("wrong-{round}-{n}");
            is_challenge(&ask(other, "alice", &password), REALM);
        }
        // Not from memory: somebody of whom nothing is known yet.
        users.write(&format!(
            "{ALICE}{}",
            BOB.replace("bob", &format!("bob{round}"))
        ));
        assert_eq!(ask(other, &format!("bob{round}"), PASSWORD).status, 200);
    }
    // One host may have all of a /64.
    for n in 1..=3 {
        is_challenge(
            &ask(&format!("2001:db8::{n}"), "alice", &n.to_string()),
            REALM,
        );
    }
    must_wait(&ask("2001:db8::ffff:9", "alice", "x"));
    is_challenge(&ask("2001:db8:0:1::1", "alice", "y"), REALM);
    ends(server);
}

#[test]
fn a_pause_ends_by_its_time() {
    let (root, users) = (root(), Users::new(ALICE));
    let rule = users.guard("/admin *", REALM);
    let keys = ["auth.failures=1", "auth.pause_ms=4s", &rule];
    let server = Server::start(root.path(), &keys);
    assert_eq!(knocks(&server, "alice", "x"), 401);
    let answer = get(&server, "/admin/x.txt", &alice());
    assert!((1..=4).contains(&must_wait(&answer)));
    eventually("the pause is over", || {
        knocks(&server, "alice", PASSWORD) == 200
    });
    ends(server);
}

#[test]
fn beyond_the_budget_nobody_waits() {
    let (root, users) = (root(), Users::new(&format!("{ALICE}{BOB}")));
    let server = guarded(&root, &users, &["auth.waiting=1", HOUR]);
    let begin = |fields: &str| {
        let mut stream = server.connect();
        let request = request("GET", "/admin/x.txt", fields);
        stream.write_all(request.as_bytes()).unwrap();
        dealt_with(&server);
        stream
    };
    let halted = Halted::new(&server);
    let mut first = begin(&alice());
    for (user, password) in [("bob", PASSWORD), ("alice", PASSWORD), ("alice", "x")] {
        let answer = get(&server, "/admin/x.txt", &basic(user, password));
        assert_eq!(must_wait(&answer), 1, "{user}:{password}");
    }
    server.serves_a_good_client();
    drop(halted);
    assert_eq!(read_answer(&mut first, false).status, 200);
    assert_eq!(knocks(&server, "bob", PASSWORD), 200);
    drop(first);
    ends(server);
    // Several may wait for one word.
    let server = guarded(&root, &users, &["auth.waiting=8", HOUR]);
    let halted = Halted::new(&server);
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = server.connect();
            let request = request("GET", "/admin/x.txt", &alice());
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    dealt_with(&server);
    must_wait(&get(&server, "/admin/x.txt", &alice()));
    drop(halted);
    for mut stream in waiting {
        assert_eq!(read_answer(&mut stream, false).status, 200);
    }
    ends(server);
}

// ---- what is said of it -------------------------------------------------------------------------

/// htpasswd -nbB -C 5 'a q"r' x
const QUOTED: &str = "a q\"r:$2y$05$8ScN9yTD7hu5O28zCdL8B.ZC8fe5nqmdzyJLz7k227Gg8cFXwxENe\n";

/// What the access log says of the user, line by line.
fn logged(
    form: &str,
    ask: impl FnOnce(&Server),
    lines: usize,
    rules: &[(&Users, &str)],
) -> Vec<String> {
    let root = root();
    let log = Users::missing();
    let target = format!("log.access_target=file:{}", log.path().display());
    let access = format!("log.access={form}");
    let rules: Vec<String> = rules
        .iter()
        .map(|(users, rule)| users.guard(rule, REALM))
        .collect();
    let mut keys = vec![PATIENT, HOUR, &access, &target];
    keys.extend(rules.iter().map(String::as_str));
    let server = Server::start(root.path(), &keys);
    ask(&server);
    let text = || fs::read_to_string(log.path()).unwrap_or_default();
    eventually("its lines", || text().lines().count() >= lines);
    ends(server);
    let user = |line: &str| {
        let rest = match form {
            "json" => line.split_once("\"user\":").unwrap().1,
            _ => line.split_once(" - ").unwrap().1,
        };
        let end = if form == "json" { ",\"request\"" } else { " [" };
        rest.split_once(end).unwrap().0.to_owned()
    };
    let text = text();
    assert_eq!(text.lines().count(), lines, "{text}");
    text.lines().map(user).collect()
}

#[test]
fn the_access_log_names_who_was_let_in_and_nobody_else() {
    let test = "the_access_log_names_who_was_let_in_and_nobody_else";
    if common::lacks(test, "access-log") {
        return;
    }
    let zoe = FORMS[5];
    let users = Users::new(&format!("{ALICE}{QUOTED}{}", zoe.2));
    for (form, expected) in [
        ("common", ["alice", r"a\x20q\x22r", r"zo\xc3\xab", "-"]),
        ("combined", ["alice", r"a\x20q\x22r", r"zo\xc3\xab", "-"]),
        (
            "json",
            ["\"alice\"", r#""a q\"r""#, r#""zo\u00eb""#, "null"],
        ),
    ] {
        let ask = |server: &Server| {
            let mut stream = server.connect();
            let mut ask = |target: &str, fields: &str, expected: u16| {
                let answer = ask_on(&mut stream, "GET", target, fields);
                assert_eq!(answer.status, expected, "{target} {fields}");
            };
            // Once while it is looked at, once from memory.
            for _ in 0..2 {
                ask("/admin/x.txt", &alice(), 200);
                ask("/admin/x.txt", &basic("a q\"r", "x"), 200);
                ask("/admin/x.txt", &basic(zoe.0, zoe.1), 200);
                ask("/admin/x.txt", &basic("alice", "x"), 401);
            }
            ask("/admin/x.txt", "", 401);
            ask("/admin/x.txt", &basic("nobody", "x"), 401);
            // Where nobody is asked, nobody has shown anything.
            ask("/open.txt", &alice(), 200);
            ask("/admin/none", &alice(), 404);
        };
        let names = logged(form, ask, 12, &[(&users, "/admin *")]);
        assert_eq!(names[..4], expected);
        assert_eq!(names[4..8], expected);
        let nobody = expected[3];
        assert_eq!(names[8..], [nobody, nobody, nobody, expected[0]]);
    }
}

#[test]
fn a_name_never_stands_in_the_line_of_another() {
    if common::lacks("a_name_never_stands_in_the_line_of_another", "access-log") {
        return;
    }
    let (one, two) = (Users::new(ALICE), Users::new(&format!("{ALICE}{BOB}")));
    let ask = |server: &Server| {
        assert_eq!(status(server, "/admin/", &alice()), 200);
        let halted = Halted::new(server);
        // The first rule knows her, and the second has to look.
        let mut waits = server.connect();
        let request = request("GET", "/admin/x.txt", &alice());
        waits.write_all(request.as_bytes()).unwrap();
        dealt_with(server);
        assert_eq!(status(server, "/open.txt", ""), 200);
        drop(halted);
        assert_eq!(read_answer(&mut waits, false).status, 200);
    };
    let rules = [(&one, "/admin *"), (&two, "/admin/x.txt *")];
    let names = logged("common", ask, 3, &rules);
    assert_eq!(names, ["alice", "-", "alice"]);
}

#[test]
fn who_was_refused_by_the_second_rule_is_not_named() {
    let test = "who_was_refused_by_the_second_rule_is_not_named";
    if common::lacks(test, "access-log") {
        return;
    }
    let (one, two) = (Users::new(ALICE), Users::new(BOB));
    let ask = |server: &Server| {
        assert_eq!(status(server, "/admin/x.txt", &alice()), 401);
    };
    let rules = [(&one, "/admin *"), (&two, "/admin/x.txt *")];
    assert_eq!(logged("common", ask, 1, &rules), ["-"]);
}

// ---- rules as they are written ------------------------------------------------------------------

/// Runs adieu -t with this rule: its code, and what it says on both streams.
fn tested(rule: &str) -> (i32, String, String) {
    let root = Root::new();
    let output = Command::new(env!("CARGO_BIN_EXE_adieu"))
        .args(["-t", "--set", &format!("site.auth={rule}"), "-d"])
        .arg(root.path())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_rule_is_shown_as_it_is_understood_and_a_bad_one_ends_the_start() {
    for rule in [
        "/admin * /etc/adieu/users Administration",
        "*.cgi GET,POST /u Ger\u{e4}t im Keller",
    ] {
        let (code, out, err) = tested(rule);
        assert_eq!((code, err.as_str()), (0, ""), "{rule}");
        assert!(out.contains(&format!("  site.auth = {rule}\n")), "{out}");
    }
    let (long_realm, long_file) = ("r".repeat(65), "f".repeat(255));
    for (rule, what) in [
        (
            "/admin",
            "is not a path, methods, a file of users and a realm",
        ),
        ("/admin *", "is not a path, methods"),
        ("/admin * /users", "is not a path, methods"),
        ("/admin * /users  ", "is not a path, methods"),
        ("/admin * users Realm", "names no file of users"),
        (&format!("/ * /{long_file} R"), "names no file of users"),
        ("/admin get /u R", "has other methods than GET, HEAD"),
        ("/admin GET, /u R", "has other methods than"),
        ("/admin GET,* /u R", "has other methods than"),
        ("/admin BREW /u R", "has other methods than"),
        (
            "/admin * /u a\"b",
            "has a realm with a quote or a backslash",
        ),
        (
            "/admin * /u a\\b",
            "has a realm with a quote or a backslash",
        ),
        ("/admin * /u a\tb", "has a realm with a tab or another"),
        (&format!("/ * /u {long_realm}"), "of more than 64 bytes"),
        ("admin * /u R", "does not begin with / or *"),
        ("/a//b * /u R", "matches nothing"),
        ("/%zz * /u R", "has a malformed escape"),
    ] {
        let (code, out, err) = tested(rule);
        assert_eq!((code, out.as_str()), (2, ""), "{rule}");
        assert_eq!(err.lines().count(), 1, "{err}");
        let shown = rule.replace('\t', "\\t");
        let start = format!("adieu: error: --set site.auth={shown}: site.auth: \"");
        // Of a long one a part is left.
        assert!(rule.len() > 100 || err.starts_with(&start), "{err}");
        assert!(err.contains(what), "{what} in {err}");
        assert!(err.contains("; write "), "{err}");
    }
    let test = "a_rule_is_shown_as_it_is_understood_and_a_bad_one_ends_the_start";
    if common::lacks(test, "config-file") {
        return;
    }
    // In a file it is a fault of the configuration.
    let root = Root::new();
    let file = root.path().join("adieu.toml");
    fs::write(&file, "[site]\nauth = [\"/admin * users Realm\"]\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_adieu"))
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("adieu.toml:2"), "{err}");
    assert!(err.contains("names no file of users"), "{err}");
}
