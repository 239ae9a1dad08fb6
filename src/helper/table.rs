//! The words of the helper that are kept, each in its place.
//!
//! Owns their number, how long each counts, and whose place is taken for another. It must not know
//! who asks or who relies on what: it is told. Invariants: nothing is allocated after `new`; a
//! question that was asked keeps its place until it has its word.

use super::digest::Digest;
use super::waiters::WORDS;
use crate::connection::client::Client;
use crate::connection::time::Ms;

/// Credentials that are known at the same time: more than the users of a device.
pub(super) const KNOWN: usize = WORDS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Asked,
    Yes,
    No,
    /// The file cannot be read.
    Failed,
    /// The helper has ended before it said anything.
    Lost,
}

/// One pair of credentials, for one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    digest: Digest,
    pub(super) standing: Standing,
    /// Who did not wait for it does not believe it any more. Of a question: never.
    until: Ms,
    pub(super) ticket: u32,
    /// Who sent them first.
    pub(super) client: Client,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Table(Vec<Option<Known>>);

impl Table {
    /// Memory it takes, bytes.
    pub(super) const BYTES: usize = KNOWN * size_of::<Option<Known>>();

    pub(super) fn new() -> Self {
        Self(vec![None; KNOWN])
    }

    /// What is known of these, and its place. Of several: what is relied on.
    pub(super) fn find(
        &self,
        digest: &Digest,
        is_relied_on: impl Fn(usize) -> bool,
        now: Ms,
    ) -> Option<(usize, Known)> {
        let all = self.0.iter().enumerate();
        all.filter_map(|(place, known)| Some((place, (*known)?)))
            .filter(|(_, known)| known.digest == *digest)
            .filter(|(place, known)| now < known.until || is_relied_on(*place))
            .max_by_key(|(place, _)| is_relied_on(*place))
    }

    /// A place for one more: a free one, one whose time is over, or the one that ends first; but
    /// none of a question, nor one that is relied on.
    pub(super) fn free_place(
        &self,
        is_relied_on: impl Fn(usize) -> bool,
        now: Ms,
    ) -> Option<usize> {
        let rank = |known: &Option<Known>| match known {
            None => Some(Ms(0)),
            Some(known) if known.standing == Standing::Asked => None,
            Some(known) if now >= known.until => Some(Ms(0)),
            Some(known) => Some(known.until),
        };
        let all = self.0.iter().enumerate();
        all.filter(|(place, _)| !is_relied_on(*place))
            .filter_map(|(place, known)| Some((rank(known)?, place)))
            .min()
            .map(|(_, place)| place)
    }

    /// This question was asked, and stands there until it has its word.
    pub(super) fn asked(&mut self, place: usize, digest: Digest, ticket: u32, client: Client) {
        if let Some(place) = self.0.get_mut(place) {
            *place = Some(Known {
                digest,
                standing: Standing::Asked,
                until: Ms(u64::MAX),
                ticket,
                client,
            });
        }
    }

    /// The place of this question.
    pub(super) fn place_of(&self, ticket: u32) -> Option<usize> {
        let own = |known: &Option<Known>| known.is_some_and(|known| known.ticket == ticket);
        self.0.iter().position(own)
    }

    /// This question has no word yet.
    pub(super) fn is_asked(&self, ticket: u32) -> bool {
        let mut all = self.0.iter().flatten();
        all.any(|known| known.ticket == ticket && known.standing == Standing::Asked)
    }

    /// The word on this question, and until when it counts; who had asked. `None`: nobody had.
    pub(super) fn told(&mut self, ticket: u32, standing: Standing, until: Ms) -> Option<Client> {
        let mut all = self.0.iter_mut().flatten();
        let known = all.find(|k| k.ticket == ticket && k.standing == Standing::Asked)?;
        known.standing = standing;
        known.until = until;
        Some(known.client)
    }

    /// No question gets a word any more.
    pub(super) fn lose(&mut self, until: Ms) {
        for known in self.0.iter_mut().flatten() {
            if known.standing == Standing::Asked {
                known.standing = Standing::Lost;
                known.until = until;
            }
        }
    }
}
