//! The system calls: the only unsafe code of the crate.
//!
//! Owns: one safe, typed function for each system call the rest needs. Must not: decide anything
//! (which socket, when, for how long, what to do about an error), keep a connection's state, log,
//! or import the rest of the crate; it knows `libc`, `std` and `landlock` only.
//!
//! The map:
//!
//! - [`socket`]: TCP and unix sockets: listen, accept, move bytes, options, the ways to close
//! - [`file`](mod@file): open, stat and read below a directory
//! - [`directory`]: the names in a directory
//! - [`change`]: make, write, rename, lock and remove below a directory
//! - [`clock`]: the monotonic and the wall clock
//! - [`signal`]: SIGTERM and SIGINT as bytes in a pipe
//! - [`standard`]: standard error and standard output without blocking
//! - [`outlet`]: files and syslog sockets that logs are written to
//! - [`limits`]: how many files the process may open, what a program of ours may use
//! - [`account`]: users and groups by name
//! - [`mark`]: marks in a file that end with their process
//! - [`privilege`]: becoming another user, another root
//! - [`capability`]: giving up root's power
//! - [`confine`]: what this process may still reach
//! - [`process`]: other processes of ours, and the background: fork, a session, the standard
//!   streams, all other descriptors, the umask
//! - [`pair`](mod@pair): two connected sockets, for two processes of ours
//! - [`pipe`](mod@pipe), [`memory`]: what programs of ours are fed through
//! - [`splice`]: bytes from a socket into a file that pass through no memory of ours
//! - [`spawn`]: other programs: start, end, signals
//! - [`poll`]: which descriptors are ready, for a process beside the loop
//! - [`random`]: bytes that nobody can guess
//! - [`diag`]: what the kernel says of the TCP sockets of some ports
//! - [`inotify`]: what happens in directories
//! - [`inherit`]: descriptors that another process handed over by number
//! - [`rights`]: descriptors to and from another process, through a unix socket
//! - [`interface`]: network interfaces by name
//! - [`notify`]: messages to a supervisor
//!
//! Invariants:
//!
//! - an unsafe block holds one call and says why the call is sound;
//! - a file descriptor is an `OwnedFd` from the moment the kernel names it, and comes in as a
//!   `BorrowedFd`, so that none is used after its close; only [`inherit::claim`] takes a number,
//!   and only [`process::close_others`] closes what others own, in a child that uses none of it;
//! - EINTR never leaves: the calls do not block, or may wait for longer ([`rights`],
//!   [`pair`](mod@pair), [`random`], [`poll`]), so trying again is always right;
//! - an error is the kernel's own errno ([`std::io::Error::raw_os_error`]), made without
//!   allocation; an argument the kernel would misread is refused here with EINVAL;
//! - whatever is called once a request allocates nothing.

pub mod account;
mod address;
mod call;
pub mod capability;
pub mod change;
pub mod clock;
pub mod confine;
pub mod diag;
pub mod directory;
pub mod file;
pub mod inherit;
pub mod inotify;
pub mod interface;
pub mod limits;
mod listen;
pub mod made;
pub mod mark;
pub mod memory;
pub mod notify;
mod options;
pub mod outlet;
pub mod pair;
pub mod pipe;
pub mod poll;
pub mod privilege;
pub mod process;
pub mod random;
pub mod rights;
pub mod signal;
pub mod socket;
mod socket_file;
pub mod spawn;
pub mod splice;
pub mod standard;
mod transfer;

#[cfg(test)]
pub(crate) mod testing;
