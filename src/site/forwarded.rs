//! Whom a trusted proxy speaks for, by the field that it sets.
//!
//! Owns the reading of Forwarded (RFC 7239) and X-Forwarded-For. It must not decide whether the
//! peer is to be trusted: it is only asked when it is. Both fields are read from their end: what
//! the nearest proxy wrote stands there, and whatever was there before is only as good as the one
//! who vouches for it. Invariants: nothing that stands before a member changes how that member is
//! read; whoever cannot be read is [`Client::Unknown`], and nobody before it is believed; nothing
//! is allocated.

use crate::config::network::Networks;
use crate::config::speaks::Speaks;
use crate::connection::body::is_token;
use crate::connection::client::Client;
use crate::connection::head::Request;
use std::net::IpAddr;
use std::str::from_utf8;

/// The longest address of a client with brackets and a port, bytes, with room to spare.
const NODE_BYTES_MAX: usize = 64;

/// The client of `request`, which came through the trusted proxy `peer`: the last one named who is
/// not trusted himself. If all are, the first; if none is named, the proxy itself.
#[must_use]
pub(crate) fn client(
    request: &Request<'_>,
    peer: &Client,
    speaks: Speaks,
    trusted: &Networks,
) -> Client {
    let (name, read): (_, fn(&[u8]) -> Client) = match speaks {
        Speaks::Forwarded => ("Forwarded", element),
        Speaks::XForwardedFor => ("X-Forwarded-For", loose_node),
        Speaks::ProxyProtocol => return *peer,
    };
    let mut nearest = *peer;
    let lines = request.fields.iter().rev();
    for line in lines.filter(|field| field.name.eq_ignore_ascii_case(name)) {
        let mut rest = Some(line.value);
        while let Some(list) = rest {
            let (before, member) = last_member(list);
            rest = before;
            // Empty members of a list do not count (RFC 9110 section 5.6.1.2).
            if member.is_empty() {
                continue;
            }
            nearest = read(member);
            if !trusted.contains(&nearest) {
                return nearest;
            }
        }
    }
    nearest
}

/// The last member of a list, trimmed, and the list before it. A comma in a quoted string divides
/// nothing. Quotes are paired from the end, so that an open one further in front, which a client
/// may have sent, swallows nothing of what a proxy wrote behind it.
fn last_member(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        let before = list.get(..at).unwrap_or_default();
        match byte {
            b'"' if quoted => quoted = is_escaped(before),
            b'"' => quoted = true,
            b',' if !quoted => {
                let member = list.get(at + 1..).unwrap_or_default();
                return (Some(before), member.trim_ascii());
            }
            _ => {}
        }
    }
    (None, list.trim_ascii())
}

/// What follows `before` in a quoted string is escaped: an odd number of backslashes ends it.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

/// One element of Forwarded: `for=192.0.2.1;proto=https` (RFC 7239 section 4). Exactly one of its
/// pairs is `for`, and all are well formed; else the client is unknown.
fn element(element: &[u8]) -> Client {
    let mut found = None;
    let mut rest = element;
    while !rest.is_empty() {
        let Some((name, value, behind)) = pair(rest) else {
            return Client::Unknown;
        };
        if name.eq_ignore_ascii_case(b"for") {
            if found.is_some() {
                return Client::Unknown;
            }
            found = Some(value.node());
        }
        rest = behind;
    }
    found.unwrap_or(Client::Unknown)
}

/// A value as it stands in the field.
#[derive(Clone, Copy, Debug)]
enum Written<'a> {
    Token(&'a [u8]),
    /// What stands between the quotes, escapes included.
    Quoted(&'a [u8]),
}

impl Written<'_> {
    fn node(self) -> Client {
        let inside = match self {
            Self::Token(token) => return node(token),
            Self::Quoted(inside) => inside,
        };
        let mut plain = [0; NODE_BYTES_MAX];
        let mut room = plain.iter_mut();
        let mut length = 0_usize;
        let mut escaped = false;
        for byte in inside {
            escaped = *byte == b'\\' && !escaped;
            if escaped {
                continue;
            }
            let Some(place) = room.next() else {
                return Client::Unknown;
            };
            *place = *byte;
            length += 1;
        }
        node(plain.get(..length).unwrap_or_default())
    }
}

/// `name=value` at the front, and what is behind the semicolon that ends it; blanks around the
/// semicolon are forgiven.
fn pair(text: &[u8]) -> Option<(&[u8], Written<'_>, &[u8])> {
    let equals = text.iter().position(|b| !is_token(*b))?;
    let (name, rest) = text.split_at_checked(equals)?;
    let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(rest) => {
            let closes = |at: &usize| {
                let before = rest.get(..*at).unwrap_or_default();
                rest.get(*at) == Some(&b'"') && !is_escaped(before)
            };
            let end = (0..rest.len()).find(closes)?;
            (Written::Quoted(rest.get(..end)?), rest.get(end + 1..)?)
        }
        None => {
            let end = rest
                .iter()
                .position(|b| !is_token(*b))
                .unwrap_or(rest.len());
            let (token, behind) = rest.split_at_checked(end)?;
            (Written::Token(token).filled()?, behind)
        }
    };
    let rest = rest.trim_ascii_start();
    match rest.split_first() {
        None => Some((name, value, rest)),
        Some((b';', behind)) => Some((name, value, behind.trim_ascii_start())),
        Some(_) => None,
    }
}

impl Written<'_> {
    /// Itself, unless it is an empty token.
    fn filled(self) -> Option<Self> {
        (!matches!(self, Self::Token([]))).then_some(self)
    }
}

/// A node of RFC 7239 section 6: `192.0.2.1`, `[2001:db8::1]`, with or without a port. `unknown`,
/// a hidden name such as `_gate`, and what is none of these stand for nobody that is known.
fn node(node: &[u8]) -> Client {
    let (host, port) = match node.strip_prefix(b"[") {
        Some(rest) => match cut(rest, b']') {
            Some((host, [])) => (host, None),
            Some((host, [b':', port @ ..])) => (host, Some(port)),
            Some(_) | None => return Client::Unknown,
        },
        None => match cut(node, b':') {
            Some((host, port)) => (host, Some(port)),
            None => (node, None),
        },
    };
    let bracketed = node.first() == Some(&b'[');
    match address(host) {
        Some(address) if address.is_ipv6() == bracketed && port.is_none_or(is_port) => {
            Client::from_address(address)
        }
        Some(_) | None => Client::Unknown,
    }
}

/// A member of X-Forwarded-For: a node, or an IPv6 address without brackets.
fn loose_node(member: &[u8]) -> Client {
    address(member).map_or_else(|| node(member), Client::from_address)
}

/// What stands before the first `mark` and what behind it.
fn cut(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == mark)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn address(text: &[u8]) -> Option<IpAddr> {
    from_utf8(text).ok()?.parse().ok()
}

/// One to five digits, or a hidden one: `_` and a name (RFC 7239 section 6).
fn is_port(port: &[u8]) -> bool {
    match port.strip_prefix(b"_") {
        Some(name) => {
            let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            !name.is_empty() && name.iter().all(letter)
        }
        None => (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests;
