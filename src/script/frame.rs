//! What a script is started with: its name, who interprets it, and its environment.
//!
//! Owns the one buffer that all of it is written into, and the form in which it is sent. It must
//! not know a request, nor what a variable means. Invariants: nothing is allocated after `new`;
//! what does not fit changes nothing and says so; no name holds a `=`, and neither name nor value a
//! NUL, so that no value can become another variable.
//!
//! | launch | bytes |
//! |---|---|
//! | kind, flags | 1 each |
//! | ticket, processes, seconds of CPU, grace | 4 each |
//! | bytes of memory | 8 |
//! | lengths of name and interpreter | 1 each |
//! | length of the environment | 2 |
//! | name, interpreter, environment | as said |

use super::Bounds;

/// The longest name of a script, bytes: NAME_MAX of Linux.
pub const NAME_MAX: usize = 255;
/// The longest path of an interpreter, bytes.
pub const INTERPRETER_MAX: usize = 255;
/// The longest environment, each variable with its `=` and a NUL behind it, bytes.
pub const ENVIRONMENT_MAX: usize = 16 << 10;
/// So much of it is kept for a length that is known last.
const KEPT_BYTES: usize = LENGTH.len() + 1 + 20 + 1;

/// The variable with the bytes of the request body.
const LENGTH: &str = "CONTENT_LENGTH";
/// Before the name.
const HEAD_BYTES: usize = 30;
/// The longest launch.
pub(super) const FRAME_BYTES: usize = HEAD_BYTES + NAME_MAX + INTERPRETER_MAX + ENVIRONMENT_MAX;
/// The kind of a launch.
pub(super) const LAUNCH: u8 = b'l';
/// The flag of a launch that comes with an input.
const INPUT: u8 = 1;

/// It did not fit, or holds what it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

/// A launch in the making.
#[derive(Debug)]
pub struct Frame {
    bytes: Box<[u8]>,
    name_bytes: u8,
    interpreter_bytes: u8,
    /// All that is written, the head included.
    len: usize,
}

/// Memory a frame takes, bytes; for the plan.
pub const BYTES: usize = size_of::<Frame>() + FRAME_BYTES;

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; FRAME_BYTES].into_boxed_slice(),
            name_bytes: 0,
            interpreter_bytes: 0,
            len: HEAD_BYTES,
        }
    }

    /// Starts anew: the file of this name, interpreted by the program of this path if there is one.
    ///
    /// # Errors
    /// A name that is empty, too long, or no name in a directory; an interpreter that is too long
    /// or no path from `/` on. Then it is empty.
    pub fn begin(&mut self, name: &[u8], interpreter: Option<&[u8]>) -> Result<(), Unfit> {
        (self.name_bytes, self.interpreter_bytes) = (0, 0);
        self.len = HEAD_BYTES;
        let interpreter = interpreter.unwrap_or_default();
        if !is_name(name) || !is_interpreter(interpreter) {
            return Err(Unfit);
        }
        self.name_bytes = u8::try_from(name.len()).map_err(|_| Unfit)?;
        self.interpreter_bytes = u8::try_from(interpreter.len()).map_err(|_| Unfit)?;
        self.put(name, FRAME_BYTES)?;
        self.put(interpreter, FRAME_BYTES)
    }

    /// One variable more, its value the parts in a row.
    ///
    /// # Errors
    /// It does not fit, or holds what it must not: then nothing of it is there.
    pub fn variable(&mut self, name: &str, value: &[&[u8]]) -> Result<(), Unfit> {
        let end = self.environment_start().saturating_add(ENVIRONMENT_MAX);
        self.write(name, value, end.saturating_sub(KEPT_BYTES))
    }

    /// The length of the request body, where it is known only when all of it is there. Room is kept
    /// for it.
    pub fn content_length(&mut self, bytes: u64) {
        let digits = crate::connection::reply::Decimal::new(bytes);
        let end = self.environment_start().saturating_add(ENVIRONMENT_MAX);
        // It fits once, and is written once.
        let _ = self.write(LENGTH, &[digits.as_bytes()], end);
    }

    fn write(&mut self, name: &str, value: &[&[u8]], end: usize) -> Result<(), Unfit> {
        let before = self.len;
        let sound = !name.is_empty() && !name.bytes().any(|b| matches!(b, b'=' | 0));
        if !sound || value.iter().any(|part| part.contains(&0)) {
            return Err(Unfit);
        }
        let parts = [name.as_bytes(), b"="].into_iter();
        let parts = parts.chain(value.iter().copied()).chain([&b"\0"[..]]);
        for part in parts {
            if self.put(part, end).is_err() {
                self.len = before;
                return Err(Unfit);
            }
        }
        Ok(())
    }

    fn put(&mut self, part: &[u8], limit: usize) -> Result<(), Unfit> {
        let end = self.len.checked_add(part.len()).ok_or(Unfit)?;
        let room = self.bytes.get_mut(..limit.min(FRAME_BYTES)).ok_or(Unfit)?;
        room.get_mut(self.len..end)
            .ok_or(Unfit)?
            .copy_from_slice(part);
        self.len = end;
        Ok(())
    }

    fn environment_start(&self) -> usize {
        HEAD_BYTES + usize::from(self.name_bytes) + usize::from(self.interpreter_bytes)
    }

    /// The name of the script; empty if none was begun.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let end = HEAD_BYTES + usize::from(self.name_bytes);
        self.bytes.get(HEAD_BYTES..end).unwrap_or_default()
    }

    /// The path of its interpreter; empty for none.
    #[must_use]
    pub fn interpreter(&self) -> &[u8] {
        let start = HEAD_BYTES + usize::from(self.name_bytes);
        let written = self.bytes.get(start..self.environment_start());
        written.unwrap_or_default()
    }

    /// Its memory, for something else once the launch is sent: then it must be begun anew.
    pub fn memory(&mut self) -> &mut [u8] {
        self.len = HEAD_BYTES;
        (self.name_bytes, self.interpreter_bytes) = (0, 0);
        &mut self.bytes
    }

    /// The variables, `NAME=VALUE` each.
    pub fn environment(&self) -> impl Iterator<Item = &[u8]> {
        let written = self.bytes.get(self.environment_start()..self.len);
        variables(written.unwrap_or_default())
    }

    /// The launch as it is sent; `None` if none was begun.
    pub(super) fn launch(&mut self, ticket: u32, input: bool, bounds: &Bounds) -> Option<&[u8]> {
        if self.name_bytes == 0 {
            return None;
        }
        let environment = self.len.checked_sub(self.environment_start())?;
        let environment = u16::try_from(environment).ok()?;
        let flags = if input { INPUT } else { 0 };
        let parts: [&[u8]; 8] = [
            &[LAUNCH, flags],
            &ticket.to_le_bytes(),
            &bounds.processes.to_le_bytes(),
            &bounds.cpu_s.to_le_bytes(),
            &bounds.kill_ms.to_le_bytes(),
            &bounds.memory_bytes.to_le_bytes(),
            &[self.name_bytes, self.interpreter_bytes],
            &environment.to_le_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            let end = part.len().checked_add(at)?;
            self.bytes.get_mut(at..end)?.copy_from_slice(part);
            at = end;
        }
        self.bytes.get(..self.len)
    }
}

/// A launch as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch<'r> {
    pub(super) ticket: u32,
    /// A descriptor for standard input came along.
    pub(super) input: bool,
    pub(super) bounds: Bounds,
    pub(super) name: &'r [u8],
    pub(super) interpreter: Option<&'r [u8]>,
    environment: &'r [u8],
}

impl<'r> Launch<'r> {
    /// The variables, `NAME=VALUE` each.
    pub(super) fn environment(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        variables(self.environment)
    }
}

/// The launch behind its kind; `None` if it is none.
pub(super) fn read(words: &[u8]) -> Option<Launch<'_>> {
    let ([LAUNCH, flags], rest) = words.split_first_chunk()? else {
        return None;
    };
    let (ticket, rest) = number(rest)?;
    let (processes, rest) = number(rest)?;
    let (cpu_s, rest) = number(rest)?;
    let (kill_ms, rest) = number(rest)?;
    let (memory_bytes, rest) = rest.split_first_chunk()?;
    let ([name, interpreter], rest) = rest.split_first_chunk()?;
    let (environment, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(*name))?;
    let (interpreter, rest) = rest.split_at_checked(usize::from(*interpreter))?;
    let input = match *flags {
        0 => false,
        INPUT => true,
        _ => return None,
    };
    let whole = usize::from(u16::from_le_bytes(*environment)) == rest.len();
    let sound = whole && is_name(name) && is_interpreter(interpreter);
    sound.then_some(Launch {
        ticket,
        input,
        bounds: Bounds {
            processes,
            memory_bytes: u64::from_le_bytes(*memory_bytes),
            cpu_s,
            kill_ms,
        },
        name,
        interpreter: Some(interpreter).filter(|path| !path.is_empty()),
        environment: rest,
    })
}

/// A number, and what is behind it.
pub(super) fn number(words: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = words.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

fn variables(environment: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ended = environment.strip_suffix(b"\0");
    ended
        .into_iter()
        .flat_map(|all| all.split(|byte| *byte == 0))
}

/// A name in a directory, which the kernel takes.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= NAME_MAX
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// None, or a path from `/` on.
fn is_interpreter(path: &[u8]) -> bool {
    path.is_empty() || (path.starts_with(b"/") && !path.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        processes: 1,
        memory_bytes: u64::MAX - 2,
        cpu_s: 3,
        kill_ms: 4,
    };

    fn environment(frame: &Frame) -> Vec<&[u8]> {
        frame.environment().collect()
    }

    #[test]
    fn launches_arrive_as_they_were_made() {
        let long = [b'l'; 255];
        let path = [b'/'; 255];
        let mut frame = Frame::new();
        for (name, interpreter, variables) in [
            (&b"a"[..], None, &[][..]),
            (b"-x", Some(&b"/bin/sh"[..]), &[("A", &b"1"[..])][..]),
            (&long, Some(&path), &[("A", b""), ("B", b"=\n\xff")]),
        ] {
            frame.begin(name, interpreter).unwrap();
            for (name, value) in variables {
                frame.variable(name, &[value, b"!"]).unwrap();
            }
            frame.content_length(u64::MAX);
            let expected: Vec<Vec<u8>> = environment(&frame).into_iter().map(Vec::from).collect();
            assert_eq!(expected.len(), variables.len() + 1);
            assert_eq!(
                expected.last().unwrap(),
                b"CONTENT_LENGTH=18446744073709551615"
            );
            let words = frame
                .launch(0x0102_0304, interpreter.is_some(), &BOUNDS)
                .unwrap();
            let read = read(words).unwrap();
            assert_eq!(
                (read.ticket, read.input),
                (0x0102_0304, interpreter.is_some())
            );
            assert_eq!((read.name, read.interpreter), (name, interpreter));
            assert_eq!(read.bounds, BOUNDS);
            assert_eq!(read.environment().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_does_not_fit_or_could_be_something_else_is_not_written() {
        let mut frame = Frame::new();
        assert!(frame.launch(1, false, &BOUNDS).is_none());
        let long = [b'x'; 256];
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0", &long] {
            assert_eq!(frame.begin(name, None), Err(Unfit));
            assert!(frame.launch(1, false, &BOUNDS).is_none());
        }
        for interpreter in [&b"sh"[..], b"/a\0", &[b'/'; 256]] {
            assert_eq!(frame.begin(b"a", Some(interpreter)), Err(Unfit));
        }
        frame.begin(b"a", None).unwrap();
        for (name, value) in [
            ("", &b"x"[..]),
            ("A=B", b"x"),
            ("A\0", b"x"),
            ("A", b"x\0B=y"),
        ] {
            assert_eq!(frame.variable(name, &[value]), Err(Unfit));
        }
        assert_eq!(environment(&frame), Vec::<&[u8]>::new());
        let full = vec![b'v'; ENVIRONMENT_MAX - KEPT_BYTES - "A=".len() - 1];
        assert_eq!(frame.variable("A", &[&full, b"x"]), Err(Unfit));
        frame.variable("A", &[&full]).unwrap();
        assert_eq!(frame.variable("B", &[]), Err(Unfit));
        frame.content_length(u64::MAX);
        let words = frame.launch(1, false, &BOUNDS).unwrap();
        assert_eq!(read(words).unwrap().environment().count(), 2);
    }

    #[test]
    fn no_mutilated_launch_is_read_or_panics() {
        let mut frame = Frame::new();
        frame.begin(b"name", Some(b"/bin/sh")).unwrap();
        frame.variable("A", &[b"1"]).unwrap();
        let words = frame.launch(7, true, &BOUNDS).unwrap().to_vec();
        for end in 0..words.len() {
            assert_eq!(read(&words[..end]), None, "{end}");
        }
        let mut more = words.clone();
        more.push(0);
        assert_eq!(read(&more), None);
        for at in 0..words.len() {
            for bit in 0..8 {
                let mut other = words.clone();
                other[at] ^= 1 << bit;
                if let Some(launch) = read(&other) {
                    assert!(is_name(launch.name));
                    assert!(launch.environment().count() < 3);
                }
            }
        }
    }
}
