//! The configuration file: read once, whole, and given to a draft.
//!
//! Owns how a file is opened and read, and whether this build can. What TOML it holds is `toml`'s
//! matter, what that means is `given`'s. It must not write anything. Invariants: nothing but a
//! regular file of at most [`FILE_BYTES_MAX`] is read; every fault names the file, and the line if
//! there is one; nothing in a file makes it panic.

#[cfg(feature = "config-file")]
mod entry;
#[cfg(feature = "config-file")]
mod given;
#[cfg(feature = "config-file")]
mod toml;
#[cfg(feature = "config-file")]
mod wrong;

use super::error::Text;
use super::{Draft, StartError};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// The largest file that is read, bytes. All keys with their comments take 7 KiB.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// This build reads configuration files.
pub const BUILT: bool = cfg!(feature = "config-file");

/// Reads the file and gives what it says to the draft, which must be new: what is set afterwards
/// replaces what the file gave. A relative path is relative to the working directory, as every path
/// is.
///
/// # Errors
/// Code 2 when this build reads no files, 78 for everything that is wrong with this one.
pub fn load(draft: &mut Draft, path: &Path) -> Result<(), StartError> {
    if !BUILT {
        return Err(StartError::usage(
            "-c",
            "this build reads no configuration file",
            "use --set KEY=VALUE, or build adieu with the feature config-file",
        ));
    }
    let shown = path.display().to_string();
    let text = read(path, &shown)?;
    draft.begin_file(path);
    let given = give(draft, &shown, &text);
    draft.end_file();
    given
}

/// Gives what a text says to the draft; `shown` is the name of its file.
///
/// # Errors
/// Code 78, with file, line, key and cure.
#[cfg(feature = "config-file")]
pub fn give(draft: &mut Draft, shown: &str, text: &str) -> Result<(), StartError> {
    given::give(draft, shown, text)
}

#[cfg(not(feature = "config-file"))]
fn give(_: &mut Draft, _: &str, _: &str) -> Result<(), StartError> {
    Ok(())
}

/// The text of the file.
fn read(path: &Path, shown: &str) -> Result<String, StartError> {
    let refused = |what: Text, cure: &'static str| StartError::configuration(shown, what, cure);
    let failed = |error: io::Error| {
        let cure = "name a file that this user may read";
        refused(format!("cannot read it: {error}").into(), cure)
    };
    // Before it is opened, for opening a pipe may wait for ever; and again, for it may change.
    let regular = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(refused(
            "it is no regular file".into(),
            "name a file, such as adieu.toml",
        )),
    };
    regular(fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    regular(file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX.saturating_add(1);
    let count = file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(count).is_ok_and(|count| count == most) {
        let what = format!("it is longer than {FILE_BYTES_MAX} bytes");
        return Err(refused(
            what.into(),
            "name a configuration file; comments can be shortened",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(sound);
        let line = before
            .filter(|byte| **byte == b'\n')
            .count()
            .saturating_add(1);
        let what = "a byte that is no UTF-8";
        StartError::configuration(format!("{shown}:{line}"), what, "write the file in UTF-8")
    })
}

#[cfg(feature = "config-file")]
#[cfg(test)]
mod tests;
