//! Fields of honest proxies, and of clients that would like to be somebody else.

use super::*;
use crate::connection::head::{self, Field, NO_FIELD};
use crate::connection::limits::Limits;

/// Whom a request with these lines of fields is from, by a proxy at 10.0.0.1.
fn read(speaks: Speaks, trusted: &str, lines: &[&str]) -> String {
    let mut head = String::from("GET / HTTP/1.1\r\nHost: h\r\n");
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    let mut fields: [Field<'_>; 16] = [NO_FIELD; 16];
    let request = head::parse(head.as_bytes(), &mut fields, &Limits::new()).unwrap();
    let peer = Client::from_address("10.0.0.1".parse().unwrap());
    let trusted = Networks::parse(trusted).unwrap();
    client(&request, &peer, speaks, &trusted).to_string()
}

fn forwarded(lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|l| format!("Forwarded: {l}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    read(Speaks::Forwarded, "10.0.0.0/8,2001:db8:1::/48", &lines)
}

fn x_forwarded_for(lines: &[&str]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|l| format!("x-forwarded-FOR: {l}"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    read(Speaks::XForwardedFor, "10.0.0.0/8,2001:db8:1::/48", &lines)
}

#[test]
fn forwarded_names_the_client() {
    for (lines, named) in [
        (&[][..], "10.0.0.1"),
        (&[""], "10.0.0.1"),
        (&[" , ,"], "10.0.0.1"),
        (&["for=192.0.2.60"], "192.0.2.60"),
        (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
        (&["proto=http;FOR=192.0.2.60"], "192.0.2.60"),
        (&["proto=http ; for=192.0.2.60 ;by=_x"], "192.0.2.60"),
        (&["for=192.0.2.60;"], "192.0.2.60"),
        (&[r#"for="192.0.2.60""#], "192.0.2.60"),
        (&[r#"for="192.0.2.60:4711""#], "192.0.2.60"),
        (&[r#"for="\1\92.0.2.60""#], "192.0.2.60"),
        (&[r#"for="192.0.2.60:_gate""#], "192.0.2.60"),
        (&[r#"For="[2001:db8:cafe::17]:4711""#], "2001:db8:cafe::17"),
        (&[r#"for="[2001:db8:cafe::17]""#], "2001:db8:cafe::17"),
        (&[r#"for="[::ffff:192.0.2.60]""#], "192.0.2.60"),
        (&[r#"for=192.0.2.60;by="a, b;for=1.2.3.4""#], "192.0.2.60"),
        (&[r#"for=192.0.2.60;by="\",""#], "192.0.2.60"),
        (&[r#"for=192.0.2.60;by="\\""#], "192.0.2.60"),
        (&[r#"for=192.0.2.60;by="a, \"b""#], "192.0.2.60"),
        // Through trusted proxies to the first that is not.
        (&["for=192.0.2.1, for=192.0.2.2"], "192.0.2.2"),
        (&["for=192.0.2.1, for=192.0.2.2, for=10.0.0.2"], "192.0.2.2"),
        (
            &["for=192.0.2.1", "for=192.0.2.2", "for=10.0.0.2"],
            "192.0.2.2",
        ),
        (
            &["for=192.0.2.1, for=192.0.2.2,", ",", "for=10.0.0.2, "],
            "192.0.2.2",
        ),
        (&[r#"for=192.0.2.1, for="[2001:db8:1::2]:1""#], "192.0.2.1"),
        (&["for=10.0.0.4, for=10.0.0.3, for=10.0.0.2"], "10.0.0.4"),
        (&["for=10.0.0.4", "for=10.0.0.3,for=10.0.0.2"], "10.0.0.4"),
    ] {
        assert_eq!(forwarded(lines), named, "{lines:?}");
    }
}

#[test]
fn forwarded_that_cannot_be_read_names_nobody() {
    for lines in [
        &["for=unknown"][..],
        &["for=_hidden"],
        &[r#"for="_hidden:80""#],
        &["for="],
        &["for"],
        &["=192.0.2.1"],
        &["192.0.2.1"],
        &["by=192.0.2.1;proto=https"],
        &["for=192.0.2.1;for=192.0.2.2"],
        &["for=192.0.2.1:80"], // a colon needs quotes
        &["for=[2001:db8::1]"],
        &[r#"for="2001:db8::1""#],
        &[r#"for="[192.0.2.1]""#],
        &[r#"for="[2001:db8::1"#],
        &[r#"for="[2001:db8::1""#],
        &[r#"for="[2001:db8::1]80""#],
        &[r#"for="[fe80::1%eth0]""#],
        &[r#"for="192.0.2.1:""#],
        &[r#"for="192.0.2.1:123456""#],
        &[r#"for="192.0.2.1:_""#],
        &[r#"for="192.0.2.1:8 ""#],
        &["for=192.0.2.1 80"],
        &["for = 192.0.2.1"],
        &["for=192.0.2.1;;proto=http"],
        &[r#"for="192.0.2.1"x"#],
        &[r#"for=192.0.2.1""#],
        &["for=192.0.2.01"],
        &["for=192.0.2.1, for=192.0.2.2 for=10.0.0.2"],
        // Nobody before the unknown one is believed.
        &["for=192.0.2.1, for=unknown"],
        &["for=192.0.2.1, for=_gate, for=10.0.0.2"],
        &["for=192.0.2.1", "junk, for=10.0.0.2"],
    ] {
        assert_eq!(forwarded(lines), "unknown", "{lines:?}");
    }
    let long = format!(r#"for="192.0.2.1:{}""#, "_x".repeat(40));
    assert_eq!(forwarded(&[&long]), "unknown");
}

#[test]
fn what_a_client_sent_does_not_change_what_the_proxy_wrote_behind_it() {
    let proxies = [
        "for=192.0.2.60",
        r#"for="[2001:db8:cafe::17]:4711";by="_gate""#,
        r#"proto=https;for="192.0.2.60:4711";host="a,b""#,
    ];
    for sent in [
        r#"""#,
        r#"for=""#,
        r#"for="1.2.3.4"#,
        r#"for=1.2.3.4;by=""#,
        r#"for=1.2.3.4;by="\"#,
        r#"for=1.2.3.4;by="\\"#,
        r#"for="1.2.3.4", for=" , for=1.2.3.4;by=""#,
        r"\",
        ";;;==",
    ] {
        for proxy in proxies {
            let alone = forwarded(&[proxy]);
            assert_ne!(alone, "unknown");
            assert_eq!(forwarded(&[&format!("{sent}, {proxy}")]), alone, "{sent}");
            assert_eq!(forwarded(&[sent, proxy]), alone, "{sent}");
        }
    }
}

#[test]
fn x_forwarded_for_names_the_client() {
    for (lines, named) in [
        (&[][..], "10.0.0.1"),
        (&[" ,, "], "10.0.0.1"),
        (&["192.0.2.60"], "192.0.2.60"),
        (&["192.0.2.60:4711"], "192.0.2.60"),
        (&["2001:db8:cafe::17"], "2001:db8:cafe::17"),
        (&["[2001:db8:cafe::17]"], "2001:db8:cafe::17"),
        (&["[2001:db8:cafe::17]:4711"], "2001:db8:cafe::17"),
        (&["::ffff:192.0.2.60"], "192.0.2.60"),
        (&["192.0.2.1, 192.0.2.2"], "192.0.2.2"),
        (&["192.0.2.1 ,192.0.2.2\t, ::ffff:10.0.0.2"], "192.0.2.2"),
        (&["192.0.2.1", "192.0.2.2", "10.0.0.2,"], "192.0.2.2"),
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (&["\"192.0.2.1, 192.0.2.2"], "192.0.2.2"),
        (&["192.0.2.1, unknown"], "unknown"),
        (&["192.0.2.1, unknown, 10.0.0.2"], "unknown"),
        (&["192.0.2.1 192.0.2.2"], "unknown"),
        (&["192.0.2.1:"], "unknown"),
        (&["192.0.2"], "unknown"),
        (&["\"192.0.2.1\""], "unknown"),
        (&["unix"], "unknown"),
        (&["a name"], "unknown"),
    ] {
        assert_eq!(x_forwarded_for(lines), named, "{lines:?}");
    }
}

#[test]
fn one_field_is_believed_and_no_other() {
    let both = [
        "Forwarded: for=192.0.2.1",
        "X-Forwarded-For: 192.0.2.2",
        "X-Real-IP: 192.0.2.3",
    ];
    for (speaks, named) in [
        (Speaks::Forwarded, "192.0.2.1"),
        (Speaks::XForwardedFor, "192.0.2.2"),
        (Speaks::ProxyProtocol, "10.0.0.1"),
    ] {
        assert_eq!(read(speaks, "10.0.0.1", &both), named);
    }
}
