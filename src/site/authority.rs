//! The Host of a request, and whose name it is (RFC 9110 section 7.2).
//!
//! Owns the comparison of hosts. It must not look anything up. Invariant: a host is compared, never
//! made a part of a path.

use std::net::Ipv4Addr;

/// The host without its port and the dot of a fully qualified name. The heart has checked that it
/// is `uri-host [":" port]`, or empty.
pub(super) fn name(host: &[u8]) -> &[u8] {
    let literal = host.first() == Some(&b'[');
    let end = match literal {
        true => host.iter().position(|b| *b == b']').map(|at| at + 1),
        false => host.iter().position(|b| *b == b':'),
    };
    let name = host.get(..end.unwrap_or(host.len())).unwrap_or(host);
    name.strip_suffix(b".").unwrap_or(name)
}

/// How much `name` is what a site calls itself, `None` if it is not: `*.` in front stands for one
/// label or more; then as many bytes as follow it, else more than any.
pub(super) fn likeness(pattern: &str, name: &[u8]) -> Option<usize> {
    let Some(beneath) = pattern.strip_prefix('*') else {
        let same = name.eq_ignore_ascii_case(pattern.as_bytes());
        return same.then_some(usize::MAX);
    };
    let split = name.len().checked_sub(beneath.len())?;
    let (labels, end) = name.split_at_checked(split)?;
    let called = are_labels(labels) && end.eq_ignore_ascii_case(beneath.as_bytes());
    called.then_some(beneath.len())
}

/// What DNS has for names. RFC 3986 lets a host have more, escapes among it; but what is called so
/// by a star is written down in redirects.
fn are_labels(text: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let mut labels = text.split(|b| *b == b'.');
    labels.all(|label| !label.is_empty() && label.iter().all(plain))
}

/// A numeric address, or `localhost`: nobody can make another name server say where these are, so
/// DNS rebinding cannot use them.
pub(super) fn is_address(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default();
    name.first() == Some(&b'[')
        || text.parse::<Ipv4Addr>().is_ok()
        || text.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_without_port_and_final_dot() {
        for (host, expected) in [
            ("nas.lan", "nas.lan"),
            ("nas.lan:8080", "nas.lan"),
            ("nas.lan.", "nas.lan"),
            ("nas.lan.:80", "nas.lan"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]:80", "[2001:db8::1]"),
            ("", ""),
        ] {
            assert_eq!(name(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }

    #[test]
    fn a_star_stands_for_labels_and_case_for_nothing() {
        for (pattern, host, called) in [
            ("nas.lan", "NAS.lan", true),
            ("nas.lan", "nas.la", false),
            ("nas.lan", "x.nas.lan", false),
            ("*.nas.lan", "x.nas.lan", true),
            ("*.nas.lan", "a.b.Nas.Lan", true),
            ("*.nas.lan", "nas.lan", false),
            ("*.nas.lan", ".nas.lan", false),
            ("*.nas.lan", "xnas.lan", false),
            ("*.nas.lan", "..nas.lan", false),
            ("*.nas.lan", "a..nas.lan", false),
            ("*.nas.lan", "evil.example%2f.nas.lan", false),
            ("*.nas.lan", "a;b.nas.lan", false),
            ("*.nas.lan", "a_b-1.nas.lan", true),
        ] {
            assert_eq!(
                likeness(pattern, host.as_bytes()).is_some(),
                called,
                "{pattern} {host}"
            );
        }
    }

    #[test]
    fn addresses_are_no_names() {
        for (host, address) in [
            ("192.0.2.1", true),
            ("[::1]", true),
            ("LocalHost", true),
            ("192.0.2.1.evil.example", false),
            ("192.0.2", false),
            ("nas.lan", false),
            ("", false),
        ] {
            assert_eq!(is_address(host.as_bytes()), address, "{host}");
        }
    }
}
