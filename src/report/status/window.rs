//! A window on a text that is written anew for each piece.
//!
//! Owns what is left out before the window and behind it. It must not know the text. Invariant:
//! windows in a row show every byte of the text once.

use std::fmt;

/// See the module. Behind its end writing fails, so that nobody goes on in vain.
#[derive(Debug)]
pub(super) struct Window<'r> {
    /// Bytes before the window that are still to come.
    skip: usize,
    room: &'r mut [u8],
    len: usize,
}

impl<'r> Window<'r> {
    /// Shows what follows the first `from` bytes.
    pub(super) fn new(from: usize, room: &'r mut [u8]) -> Self {
        Self {
            skip: from,
            room,
            len: 0,
        }
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Some(rest) = text.as_bytes().get(self.skip..) else {
            self.skip = self.skip.saturating_sub(text.len());
            return Ok(());
        };
        self.skip = 0;
        let room = self.room.get_mut(self.len..).unwrap_or_default();
        let fits = rest.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..fits), rest.get(..fits)) {
            to.copy_from_slice(from);
        }
        self.len = self.len.saturating_add(fits);
        if fits < rest.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn windows_in_a_row_show_every_byte_once() {
        let write = |window: &mut Window<'_>| -> fmt::Result {
            window.write_str("")?;
            for number in 0..40 {
                write!(window, "{number}\u{e4}")?;
            }
            window.write_str("end")
        };
        let mut whole = [0; 1000];
        let mut window = Window::new(0, &mut whole);
        write(&mut window).unwrap();
        let len = window.len();
        for size in [1, 2, 3, 7, 64, len - 1, len, len + 1] {
            let mut all = Vec::new();
            loop {
                let mut room = vec![0; size];
                let mut window = Window::new(all.len(), &mut room);
                let last = write(&mut window).is_ok();
                let got = window.len();
                all.extend_from_slice(&room[..got]);
                if last {
                    break;
                }
                assert!(got > 0);
            }
            assert_eq!(all, &whole[..len], "{size}");
        }
    }
}
