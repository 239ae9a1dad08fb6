//! Why a text is not what a key takes.
//!
//! Owns [`Fault`]. It must not know where the text stood: whoever read it does, and makes a
//! [`StartError`](super::StartError) of it. Invariant: it has a cure.

/// Why a text is no value of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong with it.
    pub what: String,
    /// How to write it.
    pub cure: String,
}

impl Fault {
    /// A fault and its cure.
    pub(super) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cure: cure.into(),
        }
    }
}
