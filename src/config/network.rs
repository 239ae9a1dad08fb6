//! Lists of networks: whom a key means by `10.0.0.0/8, ::1, unix`.
//!
//! Owns [`Networks`], its parser and its membership. It must not decide what being in a list is
//! good for. Invariants: no bit beyond the prefix is set in a [`Network`]; IPv4 is never written as
//! IPv6 inside; a client of whom nothing is known is in no list, not even in `all`; what is
//! displayed is parsed back to the same list.

use super::fault::Fault;
use crate::connection::client::Client;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How to write a list.
const HINT: &str = "write networks such as 10.0.0.0/8, 192.168.1.5, fd00::/8, unix or all, with \
                    commas or blanks between them, or none";
/// The bits before the IPv4 address in an IPv6 address that holds one (::ffff:0:0/96).
const MAPPED_BITS: u8 = 96;

/// All addresses whose first `prefix` bits are those of `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address; nothing is set behind the prefix.
    address: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6, bits.
    prefix: u8,
}

/// One word of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A network, or one address.
    Network(Network),
    /// Whoever comes through a unix socket.
    Unix,
    /// Every address, and unix sockets.
    All,
}

/// A list of networks; `none` when it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Member>);

impl Network {
    /// `ADDRESS` or `ADDRESS/PREFIX`.
    fn parse(word: &str) -> Result<Self, Fault> {
        let fault = |what: String, cure: String| Fault::new(what, cure);
        let (address, prefix) = match word.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(fault(
                format!("\"{word}\" is no numeric address or network"),
                HINT.to_owned(),
            ));
        };
        let bits = bits(address);
        let prefix = match prefix {
            None => bits,
            Some(digits) => {
                let plain = digits.bytes().all(|b| b.is_ascii_digit());
                let number = digits.parse().ok().filter(|n| plain && *n <= bits);
                number.ok_or_else(|| {
                    fault(
                        format!("the prefix of \"{word}\" is no number from 0 to {bits}"),
                        format!("write {address}/{bits} for this one address"),
                    )
                })?
            }
        };
        let (address, prefix) = match address.to_canonical() {
            IpAddr::V4(v4) if bits == 128 && prefix >= MAPPED_BITS => {
                (IpAddr::V4(v4), prefix.saturating_sub(MAPPED_BITS))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => (address, prefix),
        };
        let first = cut(address, prefix);
        if first != address {
            return Err(fault(
                format!("\"{word}\" has bits set behind its prefix"),
                format!("write {first}/{prefix} for the network, {address} for the address"),
            ));
        }
        Ok(Self { address, prefix })
    }

    /// This address is in it. `address` is canonical; an IPv4 address is in no IPv6 network.
    fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && cut(address, self.prefix) == self.address
    }
}

/// The bits of an address.
const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with nothing set behind its first `prefix` bits.
fn cut(address: IpAddr, prefix: u8) -> IpAddr {
    let behind = u32::from(bits(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl Networks {
    /// The list that `text` stands for: words with commas or blanks between them; `none` alone is
    /// the empty list.
    ///
    /// # Errors
    /// A word that is no network, a network with bits set behind its prefix, or no word where one
    /// is due.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let mut members = Vec::new();
        for part in text.split(',') {
            let before = members.len();
            for word in part.split_whitespace() {
                members.push(match word {
                    "unix" => Member::Unix,
                    "all" => Member::All,
                    word => Member::Network(Network::parse(word)?),
                });
            }
            if members.len() == before {
                return Err(Fault::new(format!("\"{text}\" has an empty word"), HINT));
            }
        }
        Ok(Self(members))
    }

    /// Whoever is on this machine: the loopback, and unix sockets.
    #[must_use]
    pub fn own_machine() -> Self {
        let (v4, v6) = (Ipv4Addr::new(127, 0, 0, 0), Ipv6Addr::LOCALHOST);
        let networks = [(IpAddr::V4(v4), 8), (IpAddr::V6(v6), 128)];
        let networks = networks.map(|(address, prefix)| Network { address, prefix });
        let members = networks.map(Member::Network).into_iter();
        Self(members.chain([Member::Unix]).collect())
    }

    /// Nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This client is in the list. One of whom nothing is known is in none: whatever a list grants
    /// or believes, it is meant for somebody.
    #[must_use]
    pub fn contains(&self, client: &Client) -> bool {
        let address = match client {
            Client::Address(address) => Some(address.to_canonical()),
            Client::Unix => None,
            Client::Unknown => return false,
        };
        self.0.iter().any(|member| match (member, address) {
            (Member::All, _) | (Member::Unix, None) => true,
            (Member::Network(network), Some(address)) => network.contains(address),
            (Member::Unix, Some(_)) | (Member::Network(_), None) => false,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.prefix == bits(self.address) {
            return Ok(());
        }
        write!(f, "/{}", self.prefix)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, member) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match member {
                Member::Network(network) => write!(f, "{network}")?,
                Member::Unix => f.write_str("unix")?,
                Member::All => f.write_str("all")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
        match text {
            "unix" => Client::Unix,
            "unknown" => Client::Unknown,
            // Not normalised here: `contains` must do it.
            address => Client::Address(address.parse().unwrap()),
        }
    }

    #[test]
    fn lists_hold_whom_their_prefixes_name() {
        for (list, inside, outside) in [
            ("none", "", "127.0.0.1 ::1 unix unknown"),
            ("all", "0.0.0.0 255.255.255.255 :: ffff:: unix", "unknown"),
            ("unix", "unix", "127.0.0.1 ::1 unknown"),
            (
                "0.0.0.0/0",
                "0.0.0.0 255.255.255.255 ::ffff:1.2.3.4",
                ":: ::1 unix unknown",
            ),
            (
                "128.0.0.0/1",
                "128.0.0.0 255.255.255.255",
                "127.255.255.255 8000::",
            ),
            (
                "10.0.0.0/8",
                "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3",
                "9.255.255.255 11.0.0.0",
            ),
            ("10.0.0.6/31", "10.0.0.6 10.0.0.7", "10.0.0.5 10.0.0.8"),
            ("10.0.0.7/32", "10.0.0.7", "10.0.0.6 10.0.0.8"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.6 10.0.0.8 ::10.0.0.7"),
            (
                "::/0",
                ":: ::1 ffff:: ::10.0.0.7",
                "0.0.0.0 10.0.0.7 ::ffff:10.0.0.7 unix unknown",
            ),
            ("fd00::/8", "fd00:: fdff:ffff::1", "fc00::1 fe00::"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            (
                "2001:db8::6/127",
                "2001:db8::6 2001:db8::7",
                "2001:db8::5 2001:db8::8",
            ),
            ("2001:db8::7/128", "2001:db8::7", "2001:db8::6 2001:db8::8"),
            ("::1", "::1", ":: ::2 127.0.0.1"),
            (
                "::ffff:10.0.0.0/104",
                "10.1.2.3 ::ffff:10.1.2.3",
                "11.0.0.0 ::",
            ),
            ("::ffff:0:0/96", "0.0.0.0 255.255.255.255", ":: ::1"),
            (
                "10.0.0.0/8, ::1  unix",
                "10.2.3.4 ::1 unix",
                "127.0.0.1 ::2 unknown",
            ),
        ] {
            let networks = Networks::parse(list).unwrap();
            assert_eq!(networks.is_empty(), list == "none");
            for one in inside.split_whitespace() {
                assert!(networks.contains(&client(one)), "{one} is in {list}");
            }
            for one in outside.split_whitespace() {
                assert!(!networks.contains(&client(one)), "{one} is not in {list}");
            }
        }
    }

    #[test]
    fn lists_read_back_as_they_are_shown() {
        for (list, shown) in [
            (" none ", "none"),
            ("all", "all"),
            (
                "10.0.0.0/8  192.168.1.5,unix",
                "10.0.0.0/8,192.168.1.5,unix",
            ),
            ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
            ("10.0.0.7/32,2001:DB8::1/128", "10.0.0.7,2001:db8::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("10.0.0.6/31,fd00::/127", "10.0.0.6/31,fd00::/127"),
        ] {
            let networks = Networks::parse(list).unwrap();
            assert_eq!(networks.to_string(), shown);
            assert_eq!(Networks::parse(shown), Ok(networks));
        }
    }

    #[test]
    fn words_that_are_no_network_are_refused() {
        for list in [
            "none,::1",
            "localhost",
            "Unix",
            "10.0.0/8",
            "10.0.0.01",
            "[::1]",
            "fe80::1%1",
            "10.0.0.1:80",
        ] {
            let fault = Networks::parse(list).unwrap_err();
            let what = "is no numeric address or network";
            assert!(fault.what.ends_with(what), "{list}: {}", fault.what);
            assert_eq!(fault.cure, HINT);
        }
        for list in ["", "::1,", "::1,,unix", ",", "unix , "] {
            let fault = Networks::parse(list).unwrap_err();
            assert!(fault.what.ends_with("has an empty word"), "{}", fault.what);
        }
    }

    #[test]
    fn prefixes_that_do_not_fit_are_refused_with_one_that_does() {
        let (bits, v4, v6) = ("has bits set", "from 0 to 32", "from 0 to 128");
        for (list, what, cure) in [
            ("10.0.0.0/33", v4, "write 10.0.0.0/32 for"),
            ("10.0.0.0/", v4, "write 10.0.0.0/32 for"),
            ("10.0.0.0/+8", v4, "write 10.0.0.0/32 for"),
            ("10.0.0.0/8/8", v4, "write 10.0.0.0/32 for"),
            ("10.0.0.0/264", v4, "write 10.0.0.0/32 for"),
            ("fd00::/129", v6, "write fd00::/128 for"),
            ("10.0.0.1/8", bits, "write 10.0.0.0/8 for"),
            ("10.0.0.7/31", bits, "write 10.0.0.6/31 for"),
            ("0.0.0.1/0", bits, "write 0.0.0.0/0 for"),
            ("fd00::1/127", bits, "write fd00::/127 for"),
            ("::1/0", bits, "write ::/0 for"),
            ("::ffff:10.0.0.1/104", bits, "write 10.0.0.0/8 for"),
            ("::ffff:0:0/90", bits, "write ::ffc0:0:0/90 for"),
        ] {
            let fault = Networks::parse(list).unwrap_err();
            assert!(fault.what.contains(what), "{list}: {}", fault.what);
            assert!(fault.cure.starts_with(cure), "{list}: {}", fault.cure);
        }
    }
}
