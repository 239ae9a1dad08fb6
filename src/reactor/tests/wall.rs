//! A device without a clock of its own: what it says before anybody has told it the time.

use super::*;
use crate::connection::time::plausible;

/// One answer for the index of the bundled site, and the same turn's clock.
fn head(reactor: &mut Reactor<Told>, wall_s: Option<i64>) -> String {
    reactor.net().wall_s = wall_s;
    reactor.net().sent.clear();
    reactor
        .net()
        .accepts
        .push_back(Ok(Peer::V4([192, 0, 2, 1])));
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec();
    reactor.net().receives.push_back(Ok(request));
    knock(reactor);
    reactor.turn().unwrap();
    let sent = String::from_utf8(reactor.net().sent.clone()).unwrap();
    let (head, _) = sent.split_once("\r\n\r\n").unwrap();
    head.to_owned()
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn without_a_plausible_clock_there_is_no_date_and_no_file_is_dated_down() {
    // RFC 9110 section 6.6.1: no Date without a clock; section 8.8.2.1 clips to Date, if there is
    // one.
    let mut reactor = reactor(8, 8);
    let unset = head(&mut reactor, None);
    assert!(unset.starts_with("HTTP/1.1 200 OK"), "{unset}");
    assert_eq!(field(&unset, "Date"), None);
    let modified = field(&unset, "Last-Modified").unwrap().to_owned();
    assert!(!modified.contains("1970"), "{modified}");
    let tag = field(&unset, "ETag").unwrap();
    assert!(
        tag.starts_with("W/"),
        "nobody can say that it is old: {tag}"
    );
    // Then somebody sets it: 2033.
    let set = head(&mut reactor, Some(2_000_000_000));
    assert_eq!(field(&set, "Date"), Some("Wed, 18 May 2033 03:33:20 GMT"));
    assert_eq!(field(&set, "Last-Modified"), Some(modified.as_str()));
}

#[test]
fn a_clock_that_starts_in_1970_is_not_plausible() {
    for (unix_s, known) in [
        (0, false),
        (86_400, false),
        (-1, false),
        (1_704_067_199, false),
        (1_704_067_200, true),
        (2_208_988_800, true),
    ] {
        assert_eq!(plausible(unix_s).is_some(), known, "{unix_s}");
    }
}
