//! Bytes that nobody can guess.
//!
//! Owns: getrandom(2), /dev/urandom. Must not: keep any, or make more of them by itself. Invariant:
//! all bytes asked for are the kernel's, or it is an error.
#![allow(unsafe_code, reason = "getrandom(2)")]

use std::fs::File;
use std::io::{self, Read};

use super::call::{counted, retried};

/// Fills `into`. Waits while the kernel has not gathered enough since boot, some seconds at most on
/// most devices: for the start only. Before Linux 3.17 they are those of /dev/urandom, which does
/// not wait.
///
/// # Errors
///
/// Before Linux 3.17 those of opening /dev/urandom; see random(4).
pub fn fill(into: &mut [u8]) -> io::Result<()> {
    match ask(into) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => read(into),
        done => done,
    }
}

/// /dev/urandom.
fn read(into: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(into)
}

/// getrandom(2): ENOSYS before Linux 3.17.
fn ask(into: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let count = retried(|| {
            // SAFETY: `rest` is valid for writes of its length.
            counted(unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) })
        })?;
        done = done.saturating_add(count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_filled_and_never_twice_alike() {
        // More than the kernel gives in one uninterrupted call.
        for way in [fill, ask, read] {
            let mut long = vec![0; 1000];
            way(&mut long).unwrap();
            assert!(long.chunks(100).all(|part| part.iter().any(|b| *b != 0)));
        }
        let (mut one, mut other) = ([0; 32], [0; 32]);
        fill(&mut one).unwrap();
        fill(&mut other).unwrap();
        assert_ne!(one, other);
        fill(&mut []).unwrap();
    }
}
