//! Files as people write them, and files that change.

use super::*;
use std::fs::FileTimes;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

/// htpasswd -nbB -C 4 alice wonderland
const ALICE: &str = "alice:$2y$04$Zmh1ITXEUKfZO6W.aQJhSO6HA9fUCUzhcXraJPCS8yyIQbQfbDS/C";
/// openssl passwd -apr1 -salt ab wonderland
const BOB: &str = "bob:$apr1$ab$1NDg3q7t1vFBIqKhpTlIi1";
/// openssl passwd -apr1 -salt abcdefgh 'a password that is longer than one block of sixteen'
const OTHER: &str = "$apr1$abcdefgh$gH2oEzZ/.rysd..JWb28B/";

/// A file that goes with the test.
struct Users(PathBuf);

impl Users {
    fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("adieu-users-{}-{number}", std::process::id());
        let users = Self(std::env::temp_dir().join(name));
        users.write(text);
        users
    }

    /// Writes it in place, as if that were long ago.
    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
        self.date(1_000_000_000);
    }

    fn date(&self, seconds: u64) {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        let file = File::options().write(true).open(&self.0).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    fn path(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn ask(files: &mut Files, file: &[u8], user: &str, password: &str) -> Verdict {
    let question = Question {
        file,
        user: user.as_bytes(),
        password: password.as_bytes(),
        plain: false,
    };
    files.verdict(&question, &mut Spare::default())
}

fn in_text(text: &str, user: &str, password: &str, plain: bool) -> bool {
    let question = Question {
        file: b"",
        user: user.as_bytes(),
        password: password.as_bytes(),
        plain,
    };
    lets_in(text.as_bytes(), &question, &mut Spare::default())
}

fn alice(text: &str) -> bool {
    in_text(text, "alice", "wonderland", false)
}

#[test]
fn files_are_read_as_people_write_them() {
    if !hash::BUILT {
        return;
    }
    for text in [
        ALICE.to_owned(),
        format!("{ALICE}\n"),
        format!("# users\r\n\r\n{BOB}\r\n{ALICE}\r\n"),
        format!("\n\nno colon\n:no user\nbob:\ncarol:{{SHA}}xx\n{ALICE}:her comment: x\n"),
        format!("alicia:x\n{ALICE}\nalice:$2y$wrong\n"),
    ] {
        assert!(alice(&text), "{text}");
        assert!(!in_text(&text, "alice", "wonderlanD", false));
        for user in [
            "", "Alice", "alic", "alice ", "# users", "no colon", "no", "carol",
        ] {
            assert!(!in_text(&text, user, "wonderland", false), "{user}");
        }
    }
}

#[test]
fn who_is_not_in_it_or_wrongly_is_denied() {
    if !hash::BUILT {
        return;
    }
    for text in [
        String::new(),
        "\n".to_owned(),
        BOB.to_owned(),
        format!("#{ALICE}"),
        format!(" {ALICE}"),
        format!("{ALICE} "),
        // The first line of a user counts, right or wrong.
        format!("alice:{OTHER}\n{ALICE}"),
        format!("alice:\n{ALICE}"),
        format!("alice:$2y$04$wrong\n{ALICE}"),
        format!("alice:$2y$31$Zmh1ITXEUKfZO6W.aQJhSO6HA9fUCUzhcXraJPCS8yyIQbQfbDS/C\n{ALICE}"),
    ] {
        assert!(!alice(&text), "{text}");
    }
}

#[test]
fn a_plain_password_may_have_colons_and_no_comment() {
    if !hash::BUILT {
        return;
    }
    let text = format!("carol:pa:ss\n{ALICE}");
    assert!(in_text(&text, "carol", "pa:ss", true));
    assert!(!in_text(&text, "carol", "pa", true));
    assert!(!in_text(&text, "carol", "pa:ss", false));
    assert!(in_text(&text, "alice", "wonderland", true));
}

#[test]
fn who_is_not_in_it_costs_what_a_wrong_password_costs() {
    if !hash::BUILT {
        return;
    }
    // htpasswd -nbB -C 10 alice wonderland
    let dear = "alice:$2y$10$bDZbDu2CHbt5iA6wOEb5uOnIYmAwdF8/LCM48AgcipmhqpHpq6irS";
    let text = format!("broken:$2y$10$x\n{dear}\n{BOB}\n");
    let cost = |user| {
        let start = clock::monotonic_us();
        assert!(!in_text(&text, user, "wrong", false));
        clock::monotonic_us() - start
    };
    // A busy machine takes time away from either, but not always.
    for user in ["nobody", "", "broken"] {
        let alike = |_| {
            let (unknown, wrong) = (cost(user), cost("alice"));
            unknown > wrong / 2 && unknown < wrong * 2
        };
        assert!((0..50).any(alike), "{user:?}");
    }
    assert!((0..50).any(|_| cost("bob") < cost("alice") / 2));
}

#[test]
fn a_file_that_changes_is_read_again() {
    if !hash::BUILT {
        return;
    }
    let mut files = Files::default();
    let users = Users::new(ALICE);
    let mut is = |verdict: Verdict| {
        assert_eq!(
            ask(&mut files, users.path(), "alice", "wonderland"),
            verdict
        );
    };
    is(Verdict::Yes);
    // Its size.
    users.write(&format!("alice:{OTHER}"));
    is(Verdict::No);
    // Its time alone, and its content.
    let other = ALICE.replace("alice", "alicf");
    users.write(ALICE);
    is(Verdict::Yes);
    users.write(&other);
    users.date(1_000_000_001);
    is(Verdict::No);
    // Its inode alone: another file of that size and time takes its place.
    let new = Users::new(ALICE);
    new.date(1_000_000_001);
    fs::rename(&new.0, &users.0).unwrap();
    is(Verdict::Yes);
    // Nothing that shows: what was read goes on.
    users.write(&other);
    users.date(1_000_000_001);
    is(Verdict::Yes);
    // But not of a file that is so young that it may change once more.
    fs::write(&users.0, ALICE).unwrap();
    let now = u64::try_from(clock::wall_s()).unwrap();
    users.date(now);
    is(Verdict::Yes);
    fs::write(&users.0, &other).unwrap();
    users.date(now);
    is(Verdict::No);
    // It goes, and comes again.
    fs::remove_file(&users.0).unwrap();
    is(Verdict::Failed);
    users.write(ALICE);
    is(Verdict::Yes);
}

#[test]
fn a_link_is_the_file_that_it_names() {
    if !hash::BUILT {
        return;
    }
    let mut files = Files::default();
    let (one, other) = (Users::new(ALICE), Users::new(BOB));
    let link = Users(one.0.with_extension("link"));
    let mut is = |verdict: Verdict| {
        let found = ask(&mut files, link.path(), "alice", "wonderland");
        assert_eq!(found, verdict);
    };
    symlink(&one.0, &link.0).unwrap();
    is(Verdict::Yes);
    one.write(BOB);
    is(Verdict::No);
    one.write(ALICE);
    is(Verdict::Yes);
    fs::remove_file(&link.0).unwrap();
    symlink(&other.0, &link.0).unwrap();
    is(Verdict::No);
}

#[test]
fn what_cannot_be_read_lets_nobody_in() {
    let mut files = Files::default();
    let most = usize::try_from(FILE_BYTES_MAX).unwrap();
    let fitting = format!("{ALICE}\n{}", "#".repeat(most - ALICE.len() - 1));
    let users = Users::new(&fitting);
    let mut is = |path: &[u8], verdict: Verdict| {
        assert_eq!(ask(&mut files, path, "alice", "wonderland"), verdict);
    };
    if hash::BUILT {
        is(users.path(), Verdict::Yes);
    }
    users.write(&format!("{fitting}#"));
    is(users.path(), Verdict::Failed);
    for path in [
        &b""[..],
        b"/",
        b"/dev/zero",
        b"/proc/none",
        b"/dev/null\0",
        b"\xff",
    ] {
        is(path, Verdict::Failed);
    }
    // Nothing is left of files that are gone.
    assert_eq!(files.0.len(), 0);
}

#[test]
fn few_files_are_kept_and_those_are_the_last() {
    let mut files = Files::default();
    let users: Vec<Users> = (0..20).map(|_| Users::new(ALICE)).collect();
    for users in users.iter().chain(&users[..3]) {
        assert_ne!(ask(&mut files, users.path(), "x", "y"), Verdict::Failed);
        assert!(files.0.len() <= KEPT_MAX);
        assert_eq!(files.0[0].path, users.path());
    }
    assert_eq!(files.0.len(), KEPT_MAX);
    assert_eq!(files.0[3].path, users[19].path());
}
