//! Why a text is not what a key takes.
//!
//! Owns [`Fault`]. It must not know where the text stood: whoever read it does, and makes a
//! [`StartError`](super::StartError) of it. Invariant: it has a cure.

use super::error::Text;

/// Why a text is no value of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong with it.
    pub what: Text,
    /// How to write it.
    pub cure: Text,
}

impl Fault {
    /// A fault and its cure.
    pub(super) fn new(what: impl Into<Text>, cure: impl Into<Text>) -> Self {
        Self {
            what: what.into(),
            cure: cure.into(),
        }
    }
}
