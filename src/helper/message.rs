//! What is said between the loop and the helper.
//!
//! Owns the form of both messages and every bound on them. It must not send or receive anything.
//! Invariants: a frame is made and read in fixed memory; a part that is too long is refused before
//! anything is sent; what is read has exactly the length that it says, or it is no message at all.
//!
//! | question | bytes | | answer | bytes |
//! |---|---|---|---|---|
//! | kind | 1 | | number | 4 |
//! | flags | 1 | | verdict | 1 |
//! | number | 4 | | | |
//! | lengths of file, user, password | 1 each | | | |
//! | file, user, password | as said | | | |
//!
//! Both are one message of the pair, so its length is known and nothing has to be remembered
//! between two of them. Another kind may have another form behind the number, and other lengths.

/// The longest path of a file, bytes.
pub const FILE_MAX: usize = 255;
/// The longest name of a user, bytes.
pub const USER_MAX: usize = 255;
/// The longest password, bytes.
pub const PASSWORD_MAX: usize = 255;

/// Kind, flags, number, and three lengths.
const HEAD_BYTES: usize = 9;
/// The longest question.
pub(super) const FRAME_BYTES: usize = HEAD_BYTES + FILE_MAX + USER_MAX + PASSWORD_MAX;
/// Every answer.
pub(super) const ANSWER_BYTES: usize = 5;

/// The kind of a question about a password.
const PASSWORD: u8 = b'p';
/// The flag that lets passwords stand in the file as they are.
const PLAIN: u8 = 1;

/// May this user come in with this password?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'q> {
    /// The path of the file with the users, as htpasswd(1) makes it; the helper opens it.
    pub file: &'q [u8],
    /// Who it is said to be.
    pub user: &'q [u8],
    /// What that one has said.
    pub password: &'q [u8],
    /// Passwords may stand in the file as they are.
    pub plain: bool,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is that user's password.
    Yes,
    /// There is no such user, or it is not the password.
    No,
    /// Nobody can be let in: the file cannot be read.
    Failed,
}

/// What the helper reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'r> {
    /// A question with its number.
    Password(u32, Question<'r>),
    /// A question of a kind that this helper does not know: nobody is let in.
    Unknown(u32),
}

/// Room for one question.
#[derive(Debug)]
pub(super) struct Frame([u8; FRAME_BYTES]);

impl Frame {
    pub(super) fn new() -> Self {
        Self([0; FRAME_BYTES])
    }

    /// The question as it is sent; `None` if a part of it is too long.
    pub(super) fn write(&mut self, id: u32, question: &Question<'_>) -> Option<&[u8]> {
        let parts = [question.file, question.user, question.password];
        let mut lengths = [0; 3];
        for (length, part) in lengths.iter_mut().zip(parts) {
            *length = u8::try_from(part.len()).ok()?;
        }
        let flags = if question.plain { PLAIN } else { 0 };
        let mut end = 0;
        let first = [&[PASSWORD, flags][..], &id.to_le_bytes(), &lengths];
        for part in first.into_iter().chain(parts) {
            let start = end;
            end = part.len().checked_add(start)?;
            self.0.get_mut(start..end)?.copy_from_slice(part);
        }
        self.0.get(..end)
    }
}

/// The question in a message; `None` if it is none.
pub(super) fn read(words: &[u8]) -> Option<Read<'_>> {
    let ([kind, flags], rest) = words.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let id = u32::from_le_bytes(*id);
    if *kind != PASSWORD {
        return Some(Read::Unknown(id));
    }
    let (lengths, rest) = rest.split_first_chunk()?;
    let [file, user, password] = lengths.map(usize::from);
    let (file, rest) = rest.split_at_checked(file)?;
    let (user, rest) = rest.split_at_checked(user)?;
    let (password, rest) = rest.split_at_checked(password)?;
    let plain = match *flags {
        0 => false,
        PLAIN => true,
        _ => return None,
    };
    let question = Question {
        file,
        user,
        password,
        plain,
    };
    rest.is_empty().then_some(Read::Password(id, question))
}

/// An answer as it is sent.
pub(super) fn answer(id: u32, verdict: Verdict) -> [u8; ANSWER_BYTES] {
    let [a, b, c, d] = id.to_le_bytes();
    let word = match verdict {
        Verdict::Yes => b'y',
        Verdict::No => b'n',
        Verdict::Failed => b'f',
    };
    [a, b, c, d, word]
}

/// The answer in a message; `None` if it is none.
pub(super) fn read_answer(words: &[u8]) -> Option<(u32, Verdict)> {
    let [a, b, c, d, word] = words.try_into().ok()?;
    let verdict = match word {
        b'y' => Verdict::Yes,
        b'n' => Verdict::No,
        b'f' => Verdict::Failed,
        _ => return None,
    };
    Some((u32::from_le_bytes([a, b, c, d]), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: Question<'static> = Question {
        file: b"/etc/users",
        user: b"alice",
        password: b"wonder: land",
        plain: true,
    };

    #[test]
    fn questions_arrive_as_they_were_asked() {
        let long = [b'l'; 255];
        for (file, user, password) in [
            (&b"/f"[..], &b"u"[..], &b"p"[..]),
            (b"", b"", b""),
            (&long, &long, &long),
            (b"/f", b"\xff\0:", b"\n"),
        ] {
            for (plain, id) in [(true, u32::MAX), (false, 0x0102_0304)] {
                let question = Question {
                    file,
                    user,
                    password,
                    plain,
                };
                let mut frame = Frame::new();
                let words = frame.write(id, &question).unwrap();
                assert_eq!(read(words), Some(Read::Password(id, question)));
            }
        }
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let long = [b'l'; 256];
        let mut frame = Frame::new();
        for change in [
            |q: &mut Question<'static>, long: &'static [u8]| q.file = long,
            |q: &mut Question<'static>, long: &'static [u8]| q.user = long,
            |q: &mut Question<'static>, long: &'static [u8]| q.password = long,
        ] {
            let mut question = QUESTION;
            change(&mut question, Box::leak(Box::new(long)));
            assert_eq!(frame.write(1, &question), None);
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_no_question() {
        let mut frame = Frame::new();
        let words = frame.write(7, &QUESTION).unwrap().to_vec();
        for end in 0..words.len() {
            assert_eq!(read(&words[..end]), None, "{end}");
        }
        let mut more = words.clone();
        more.push(0);
        assert_eq!(read(&more), None);
        let mut other = words.clone();
        other[1] = 2;
        assert_eq!(read(&other), None);
        other = words;
        other[0] = b's';
        assert_eq!(read(&other), Some(Read::Unknown(7)));
        assert_eq!(read(&other[..6]), Some(Read::Unknown(7)));
    }

    #[test]
    fn one_word_alone_lets_somebody_in() {
        for verdict in [Verdict::Yes, Verdict::No, Verdict::Failed] {
            let words = answer(0xfeed_beef, verdict);
            assert_eq!(read_answer(&words), Some((0xfeed_beef, verdict)));
            for end in 0..words.len() {
                assert_eq!(read_answer(&words[..end]), None);
            }
            let mut more = words.to_vec();
            more.push(b'y');
            assert_eq!(read_answer(&more), None);
        }
        let yes = |word: u8| read_answer(&[0, 0, 0, 0, word]) == Some((0, Verdict::Yes));
        assert_eq!((0..=u8::MAX).filter(|word| yes(*word)).count(), 1);
    }
}
