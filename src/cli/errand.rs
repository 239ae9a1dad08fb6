//! What adieu does beside serving.
//!
//! Owns [`ERRANDS`], the table. It must not run any. Invariant: an errand is named by the first
//! argument, and what stands behind it is its own.

use std::ffi::OsString;

/// What is done instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Compare the system with a configuration.
    Doctor,
    /// Show the status of a running server.
    Status,
}

/// One of them, as help and manual show it.
#[derive(Debug)]
pub struct Row {
    /// Which.
    pub errand: Errand,
    /// The first argument.
    pub name: &'static str,
    /// The arguments behind it, in short.
    pub behind: &'static str,
    /// What it does, in a sentence or two.
    pub meaning: &'static str,
}

/// All of them, in the order of the help.
#[rustfmt::skip]
pub const ERRANDS: &[Row] = &[
    Row { errand: Errand::Doctor, name: "doctor", behind: "[FLAGS]",
        meaning: "Compare the sysctls and limits of this system with what the configuration needs, \
            say what to change, and exit: 0 nothing, 3 it would be better, 4 it must be." },
    Row { errand: Errand::Status, name: "status", behind: "[FLAGS] [SOCKET|URL]",
        meaning: "Show what a running server is doing; adieu status --help lists its flags." },
];

/// The errand that an argument names.
pub(super) fn of(argument: &OsString) -> Option<Errand> {
    let found = ERRANDS.iter().find(|row| argument == row.name);
    found.map(|row| row.errand)
}
