//! Who is behind a connection, and under whom it counts.
//!
//! Owns [`Proxies`] (whom to believe, and what of it) and the change of the address under which a
//! connection is counted. It must not read bytes: the heart reads prefaces, the site fields.
//! Invariants: a connection is counted under at most one client, the one in [`Slot::counted`];
//! a trusted proxy is never counted under its own address; nobody else's word is taken.

use super::Reactor;
use super::addresses::{Addresses, Key};
use super::net::Net;
use super::slots::Slot;
use crate::config::network::Networks;
use crate::config::speaks::Speaks;
use crate::connection::client::Client;
use crate::connection::head::Request;
use crate::connection::reason::Reject;
use crate::connection::reply::{Reply, Status};
use crate::connection::state::State;
use crate::connection::time::Turn;
use crate::site;
use crate::sys::socket::Peer;
use std::net::IpAddr;

/// The proxies in front, and how they say whom they speak for.
#[derive(Clone, Debug)]
pub(super) struct Proxies {
    pub(super) trusted: Networks,
    pub(super) speaks: Speaks,
}

impl Proxies {
    /// This peer is a proxy whose word is taken.
    pub(super) fn trusts(&self, peer: &Client) -> bool {
        self.trusted.contains(peer)
    }

    /// Its connections begin with a preface.
    pub(super) fn introduces(&self, peer: &Client) -> bool {
        self.speaks == Speaks::ProxyProtocol && self.trusts(peer)
    }

    /// Its requests name their clients, each its own.
    fn names(&self, peer: &Client) -> bool {
        self.speaks != Speaks::ProxyProtocol && self.trusts(peer)
    }

    /// The client of a request, if it counts now.
    ///
    /// # Errors
    /// The client that has its share already.
    ///
    /// Behind a proxy that names clients the connection counts under this one from here until its
    /// answer is sent ([`Reactor::forget_client`]).
    pub(super) fn admit<S>(
        &self,
        slot: &mut Slot<S>,
        request: &Request<'_>,
        addresses: &mut Addresses,
        per_address: u16,
    ) -> Result<Client, Client> {
        if slot.of_status || !self.names(&slot.peer) {
            return Ok(slot.peer);
        }
        let client = site::forwarded::client(request, &slot.peer, self.speaks, &self.trusted);
        // Whom nobody is named for is the proxy itself, which has no share.
        let key = Key::of(&client).filter(|_| client != slot.peer);
        if key != slot.counted {
            addresses.remove(slot.counted.take());
            if addresses.count(key) >= per_address {
                return Err(client);
            }
            addresses.add(key);
            slot.counted = key;
        }
        Ok(client)
    }
}

/// The answer to a client that has its share of requests in progress (RFC 6585 section 4). The
/// connection may stay: it is the proxy's, and the next request on it may be somebody else's.
pub(super) fn too_many(reply: &mut Reply<'_>) -> site::Content {
    reply.status(Status::TOO_MANY_REQUESTS);
    site::Content::Page
}

/// The peer of a connection as a client.
pub(super) fn client(peer: Peer) -> Client {
    match peer {
        Peer::V4(address) => Client::from_address(IpAddr::from(address)),
        Peer::V6(address) => Client::from_address(IpAddr::from(address)),
        Peer::Unix => Client::Unix,
    }
}

impl<N: Net> Reactor<N> {
    /// A proxy has said for whom this connection is: from now on it is that client's, and counts
    /// as if the client had come by itself.
    pub(super) fn introduce(&mut self, index: u16, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else { return };
        let (input, _) = self.buffers.halves(buffer);
        // For itself, or for somebody it does not name: the proxy, which has no share.
        let Some(client) = slot.connection.introduce(input, turn) else {
            return;
        };
        slot.peer = client;
        let key = Key::of(&client);
        if self.addresses.count(key) >= self.per_address && !self.evict_own(key, turn) {
            self.counters.refuse_address();
            if let Some(slot) = self.slots.get_mut(index) {
                slot.connection.turn_away(turn);
            }
            return;
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.counted = key;
            self.addresses.add(key);
        }
    }

    /// When no request of the client that was named is in progress any more, the connection is the
    /// proxy's again.
    pub(super) fn forget_client(&mut self, index: u16) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let busy = [
            State::Verify,
            State::Queue,
            State::Body,
            State::Store,
            State::Script,
            State::Relay,
            State::Respond,
            State::Rest,
        ];
        let over = !busy.contains(&slot.state);
        if over && slot.counted.is_some() && self.proxies.names(&slot.peer) {
            self.addresses.remove(slot.counted.take());
        }
    }

    /// Tells the operator once what is most likely wrong.
    pub(super) fn hint(&self, reject: Reject) {
        if reject == Reject::BadPreface && self.counters.value("reject", "bad-preface") == Some(0) {
            log::warn!(
                "a trusted proxy did not begin with the PROXY protocol: 400; make it send that, \
                 or set proxy.speaks to what it sends"
            );
        }
    }
}
