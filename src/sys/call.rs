//! What every wrapper does with a call's result.
//!
//! Owns: the turn from "-1 and errno" into `io::Result`, the retry on EINTR, and the sizes the
//! kernel takes. Must not: make a system call. Invariant: errno is read at once, before anything
//! that could change it.

use std::io;

use libc::{c_int, socklen_t, ssize_t};

/// No single transfer asks for more than this: within `isize` and the user half of the address
/// space on every 32-bit port, so the kernel never answers a large size with EFAULT or EINVAL.
const LARGEST: usize = 1 << 30;

/// The result of a call that answers -1 or a small number.
pub(super) fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// The result of a call that answers -1 or a count of bytes.
pub(super) fn counted(result: ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Calls again for as long as a signal came between.
pub(super) fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The refusal of an argument, made here rather than by the kernel: EINVAL.
pub(super) fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

/// A count of bytes to move, capped at what every kernel takes in one call. Zero is refused: its
/// answer would read as the end of the stream.
pub(super) fn some(max: usize) -> io::Result<usize> {
    if max == 0 {
        return Err(invalid());
    }
    Ok(max.min(LARGEST))
}

/// A file offset as the kernel takes it; beyond 2^63 - 1 is EINVAL.
pub(super) fn offset(bytes: u64) -> io::Result<libc::off64_t> {
    libc::off64_t::try_from(bytes).map_err(|_| invalid())
}

/// The size of a `T` as the socket calls take it.
pub(super) fn size<T>() -> socklen_t {
    // Nothing handed to the kernel here is larger than a socket address: the default is not met.
    socklen_t::try_from(size_of::<T>()).unwrap_or_default()
}

/// A number whose type has 32 or 64 bits, depending on the port, in 64.
pub(super) fn wide<Narrow: Into<Wide>, Wide>(number: Narrow) -> Wide {
    number.into()
}

/// A number in the type that a field or an argument has on this port; EINVAL if it does not fit.
pub(super) fn fit<From, To: TryFrom<From>>(number: From) -> io::Result<To> {
    To::try_from(number).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_calls_are_made_again() {
        let mut left = 3;
        let result = retried(|| {
            left -= 1;
            if left > 0 {
                return Err(io::Error::from_raw_os_error(libc::EINTR));
            }
            Ok(left)
        });
        assert_eq!(result.unwrap(), 0);
    }

    #[test]
    fn sizes_and_offsets_stay_in_range() {
        assert_eq!(some(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(some(1).unwrap(), 1);
        assert_eq!(some(usize::MAX).unwrap(), LARGEST);
        assert_eq!(offset(1 << 40).unwrap(), 1 << 40);
        assert!(offset(u64::MAX).is_err());
        assert_eq!(size::<[i32; 2]>(), 8);
        assert_eq!(fit::<usize, u8>(255).unwrap(), 255);
        let error = fit::<usize, u8>(256).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
