//! How often an address was wrong, and how long it must pause.
//!
//! Owns a fixed table of addresses. It must not know what was wrong. Invariants: nothing is
//! allocated after `new`; an address that is not in the table does not pause; an IPv6 client
//! answers for all of its /64, which one host can fill at will.

use crate::config::AuthConfig;
use crate::connection::client::Client;
use crate::connection::time::Ms;
use std::net::{IpAddr, Ipv6Addr};

/// Addresses whose failures are counted at the same time.
const FAILING: usize = 64;
/// An address that was not wrong for so long is forgiven.
const FORGIVE_MS: u32 = 600_000;

/// The failures of an address.
#[derive(Clone, Copy, Debug)]
struct Failing {
    client: Client,
    count: u16,
    last: Ms,
    pauses_until: Ms,
}

/// The table.
#[derive(Debug)]
pub(super) struct Failures(Vec<Option<Failing>>);

impl Failures {
    /// Memory it takes, bytes.
    pub(super) const BYTES: usize = FAILING * size_of::<Option<Failing>>();

    pub(super) fn new() -> Self {
        Self(vec![None; FAILING])
    }

    /// It was right: what was wrong before does not count.
    pub(super) fn forgive(&mut self, client: &Client) {
        let client = share(client);
        for place in &mut self.0 {
            place.take_if(|failing| failing.client == client);
        }
    }

    /// It was wrong.
    pub(super) fn blame(&mut self, client: Client, settings: &AuthConfig, now: Ms) {
        let client = share(&client);
        let own = |place: &Option<Failing>| place.is_some_and(|f| f.client == client);
        let found = self.0.iter().position(own);
        // One that is not there yet takes the place of who was wrong the longest ago.
        let place = found.or_else(|| {
            let places = self.0.iter().enumerate();
            let oldest = places.min_by_key(|(_, place)| place.map_or(Ms(0), |f| f.last));
            oldest.map(|(place, _)| place)
        });
        let Some(place) = place.and_then(|place| self.0.get_mut(place)) else {
            return;
        };
        let before = place.filter(|f| f.client == client && now.since(f.last) < FORGIVE_MS.into());
        let count = before.map_or(0, |f| f.count).saturating_add(1);
        *place = Some(Failing {
            client,
            count,
            last: now,
            pauses_until: match count >= settings.failures {
                true => now.after(settings.pause_ms),
                false => now,
            },
        });
    }

    /// For how long this address must pause, s.
    pub(super) fn pause_s(&self, client: &Client, now: Ms) -> Option<u32> {
        let client = share(client);
        let mut all = self.0.iter().flatten();
        let failing = all.find(|failing| failing.client == client)?;
        let left_ms = failing.pauses_until.since(now);
        (left_ms > 0).then(|| u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

/// Who answers for a failure.
fn share(client: &Client) -> Client {
    match client {
        Client::Address(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Client::Address(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
        Client::Address(IpAddr::V4(_)) | Client::Unix | Client::Unknown => *client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_addresses_push_out_who_was_wrong_the_longest_ago() {
        let settings = AuthConfig {
            failures: 1,
            ..AuthConfig::default()
        };
        let client = |n: u8| Client::Address(IpAddr::from([192, 0, 2, n]));
        let mut failures = Failures::new();
        for n in 0..=64 {
            failures.blame(client(n), &settings, Ms(u64::from(n) + 1));
        }
        assert_eq!(failures.0.len(), FAILING);
        assert_eq!(failures.pause_s(&client(0), Ms(66)), None);
        for n in 1..=64 {
            assert!(failures.pause_s(&client(n), Ms(66)).is_some(), "{n}");
        }
        failures.forgive(&client(7));
        assert_eq!(failures.pause_s(&client(7), Ms(66)), None);
    }
}
