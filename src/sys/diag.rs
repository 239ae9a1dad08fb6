//! What the kernel says of TCP sockets that are not ours to ask (`sock_diag(7)`).
//!
//! Owns: the netlink socket, the question that filters by local port and state in the kernel, and
//! the reading of its answers. Must not: add anything up, or know whose ports they are. Invariants:
//! nothing that the kernel says makes it panic; a message that is cut off is none, and so is one
//! that answers another question.
//!
//! A maintained crate would allocate for each message; these are three structures of fixed layout
//! (`linux/netlink.h`, `linux/inet_diag.h`), the same on every port but for the order of bytes.
#![allow(unsafe_code, reason = "socket(2)")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::call::checked;

/// NETLINK_SOCK_DIAG of linux/netlink.h.
const NETLINK_SOCK_DIAG: libc::c_int = 4;
/// The type of questions and answers (linux/sock_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// NLM_F_REQUEST and NLM_F_DUMP.
const REQUEST_DUMP: u16 = 0x1 | 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `struct nlmsghdr`, and the place of its nlmsg_seq.
const HEADER_BYTES: usize = 16;
const NUMBER: usize = 8;
/// `struct inet_diag_req_v2`.
const QUESTION_BYTES: usize = 56;
/// `struct inet_diag_msg`.
const ANSWER_BYTES: usize = 72;
/// INET_DIAG_REQ_BYTECODE.
const BYTECODE: u16 = 1;
/// INET_DIAG_SKMEMINFO, as an attribute and as a wish for it.
const MEMORY: u16 = 7;
const WISHES: u8 = 1 << (MEMORY - 1);
/// Places in that attribute: SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_WMEM_QUEUED.
const RECEIVE: usize = 0;
const SEND: usize = 5;
/// INET_DIAG_BC_JMP, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE.
const JUMP: u8 = 1;
const AT_LEAST: u8 = 2;
const AT_MOST: u8 = 3;
/// More ports than this make no question: what is jumped over has 16 bits.
pub const PORTS_MAX: usize = 256;

/// Which addresses a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, with sockets of it that speak IPv4.
    V6,
}

/// A socket, as far as it is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The number of its state (net/tcp_states.h), from 1 on.
    pub state: u8,
    /// Bytes that were not read; of a listener, connections that were not accepted.
    pub queued: u32,
    /// Memory of what was received, bytes.
    pub receive_bytes: u32,
    /// Memory of what is to be sent, bytes.
    pub send_bytes: u32,
}

/// A message of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// One socket.
    Socket(Found),
    /// There are no more.
    Done,
    /// It cannot, or may not.
    Error(i32),
}

/// A socket for questions: non-blocking, close-on-exec. [`super::socket::send`] and
/// [`super::socket::receive`] are for it.
///
/// # Errors
///
/// EPROTONOSUPPORT in a kernel without it; EPERM where a filter of system calls forbids it.
pub fn open() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the call takes three numbers.
    let fd = checked(unsafe { libc::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG) })?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kernel has nothing that answers, or somebody forbids it: to ask again is of no use, and may
/// make it look for a module each time, for which send(2) waits.
#[must_use]
pub fn refuses(error: &io::Error) -> bool {
    let refusals = [
        libc::ENOENT, // no module for this family or protocol
        libc::EOPNOTSUPP,
        libc::EPROTONOSUPPORT,
        libc::EPERM,
        libc::EACCES, // what SELinux says for EPERM
    ];
    error.raw_os_error().is_some_and(|e| refusals.contains(&e))
}

/// The question for all sockets of this family with one of these local ports, in a state of the
/// mask (`1 << number`). Allocates. `None` for no port, or more than [`PORTS_MAX`].
#[must_use]
pub fn question(family: Family, states: u32, ports: &[u16]) -> Option<Vec<u8>> {
    let code = bytecode(ports)?;
    let attribute = u16::try_from(code.len().checked_add(4)?).ok()?;
    let bytes = HEADER_BYTES + QUESTION_BYTES + usize::from(attribute);
    let family = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    let mut question = Vec::with_capacity(bytes);
    question.extend(u32::try_from(bytes).ok()?.to_ne_bytes());
    question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    question.extend(REQUEST_DUMP.to_ne_bytes());
    question.extend([0; 8]); // the number, and the sender: the kernel knows it
    question.extend([u8::try_from(family).ok()?]);
    question.extend([u8::try_from(libc::IPPROTO_TCP).ok()?, WISHES, 0]);
    question.extend(states.to_ne_bytes());
    question.resize(HEADER_BYTES + QUESTION_BYTES, 0); // any address
    question.extend(attribute.to_ne_bytes());
    question.extend(BYTECODE.to_ne_bytes());
    question.extend(code);
    Some(question)
}

/// Gives a question a number, which its answer repeats ([`messages`]).
pub fn set_number(question: &mut [u8], number: u32) {
    if let Some(field) = question.get_mut(NUMBER..NUMBER + 4) {
        field.copy_from_slice(&number.to_ne_bytes());
    }
}

/// A program for the kernel that accepts these local ports. It accepts at its very end and refuses
/// behind it; each port is two comparisons, and a jump to the end. The kernel checks that whatever
/// is jumped to is on the way that goes on where all comparisons hold.
fn bytecode(ports: &[u16]) -> Option<Vec<u8>> {
    const BLOCK: usize = 20;
    if ports.is_empty() || ports.len() > PORTS_MAX {
        return None;
    }
    let total = ports.len() * BLOCK - 4;
    let mut code = Vec::with_capacity(total);
    let mut op = |code_of: u8, holds: u8, fails: usize, port: Option<u16>| -> Option<()> {
        code.extend([code_of, holds]);
        code.extend(u16::try_from(fails).ok()?.to_ne_bytes());
        if let Some(port) = port {
            code.extend([0, 0]);
            code.extend(port.to_ne_bytes());
        }
        Some(())
    };
    for (index, port) in ports.iter().enumerate() {
        let left = total - index * BLOCK;
        let last = index + 1 == ports.len();
        op(AT_LEAST, 8, 20, Some(*port))?; // of the last: four bytes behind the end
        op(AT_MOST, 8, 12, Some(*port))?;
        if !last {
            op(JUMP, 4, left - 16, None)?;
        }
    }
    Some(code)
}

/// The messages in what was received, up to one that is cut off, which answer the question of this
/// number ([`set_number`]).
pub fn messages(mut bytes: &[u8], question: u32) -> impl Iterator<Item = Said> + '_ {
    std::iter::from_fn(move || {
        loop {
            let length = usize::try_from(number(bytes, 0)?).ok()?;
            let message = bytes.get(..length)?;
            let content = message.get(HEADER_BYTES..)?;
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            if number(message, NUMBER)? != question {
                continue;
            }
            match short(message, 4)? {
                kind @ (NLMSG_DONE | NLMSG_ERROR) => {
                    let error = content.first_chunk().copied().map(i32::from_ne_bytes)?;
                    if kind == NLMSG_DONE && error >= 0 {
                        return Some(Said::Done);
                    }
                    return Some(Said::Error(error.saturating_neg())); // so does an end that failed
                }
                SOCK_DIAG_BY_FAMILY => return Some(Said::Socket(found(content)?)),
                _ => {}
            }
        }
    })
}

fn found(answer: &[u8]) -> Option<Found> {
    let mut found = Found {
        state: *answer.get(1)?,
        queued: number(answer, 56)?,
        ..Found::default()
    };
    let mut rest = answer.get(ANSWER_BYTES..)?;
    while let (Some(length), Some(kind)) = (short(rest, 0), short(rest, 2)) {
        let length = usize::from(length);
        let Some(attribute) = rest.get(4..length) else {
            break;
        };
        if kind == MEMORY {
            found.receive_bytes = number(attribute, 4 * RECEIVE).unwrap_or(0);
            found.send_bytes = number(attribute, 4 * SEND).unwrap_or(0);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let raw = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*raw))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*raw))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::socket;

    /// The states of all sockets that the kernel finds; `None`, and why, where it does not answer.
    fn states(family: Family, mask: u32, ports: &[u16]) -> Option<Vec<Found>> {
        let fd = match open() {
            Ok(fd) => fd,
            Err(error) => {
                println!("SKIP sys::diag: {error}");
                return None;
            }
        };
        let mut question = question(family, mask, ports).unwrap();
        set_number(&mut question, 0x0102_0304);
        assert_eq!(
            socket::send(fd.as_fd(), &question, false).unwrap(),
            question.len()
        );
        let mut all = Vec::new();
        let mut room = [0; 16384];
        loop {
            let count = socket::receive(fd.as_fd(), &mut room).unwrap();
            for said in messages(&room[..count], 0x0102_0304) {
                match said {
                    Said::Socket(found) => all.push(found),
                    Said::Done => return Some(all),
                    Said::Error(error) => {
                        println!("SKIP sys::diag: {}", io::Error::from_raw_os_error(error));
                        return None;
                    }
                }
            }
        }
    }

    #[test]
    fn sockets_are_found_by_port_and_state() {
        const ESTABLISHED: u8 = 1;
        const LISTEN: u8 = 10;
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners
            .each_ref()
            .map(|listener| listener.local_addr().unwrap().port());
        let mut clients = Vec::new();
        for port in ports {
            clients.push(TcpStream::connect(("127.0.0.1", port)).unwrap());
        }
        let (mut served, _) = listeners[2].accept().unwrap();
        served.write_all(&[7; 1000]).unwrap();
        // The handshake of the others is over, too: they wait to be accepted.
        let Some(found) = states(Family::V4, 1 << LISTEN, &ports[..2]) else {
            return;
        };
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|f| f.state == LISTEN && f.queued == 1));
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let ports = order.map(|at| ports[at]);
            let found = states(Family::V4, 1 << ESTABLISHED, &ports).unwrap();
            assert_eq!(found.len(), 3, "{found:?}");
            assert!(found.iter().all(|f| f.state == ESTABLISHED));
        }
        let found = states(Family::V4, (1 << ESTABLISHED) | (1 << LISTEN), &ports[..1]);
        assert_eq!(found.unwrap().len(), 2);
        let found = states(Family::V6, !0, &ports).unwrap();
        assert_eq!(found, []);
        // What the client has not read.
        let own = clients[2].local_addr().unwrap().port();
        let found = states(Family::V4, 1 << ESTABLISHED, &[own]).unwrap();
        assert_eq!(found.len(), 1);
        assert!(
            found[0].queued == 1000 && found[0].receive_bytes >= 1000,
            "{found:?}"
        );
    }

    #[test]
    fn as_many_ports_as_may_be_are_one_program() {
        let ports: Vec<u16> = (1..=256).collect();
        let Some(found) = states(Family::V4, 1 << 1, &ports) else {
            return;
        };
        drop(found);
        assert_eq!(question(Family::V4, 1, &[1; 257]), None);
        assert_eq!(question(Family::V4, 1, &[]), None);
    }

    #[test]
    fn nothing_that_is_cut_off_counts() {
        let mut message = message(SOCK_DIAG_BY_FAMILY, 7, &[0; 76]);
        message[17] = 5;
        message[88..90].copy_from_slice(&200_u16.to_ne_bytes()); // longer than there is
        let found = Found {
            state: 5,
            ..Found::default()
        };
        assert_eq!(
            messages(&message, 7).collect::<Vec<_>>(),
            [Said::Socket(found)]
        );
        for end in 0..92 {
            assert_eq!(messages(&message[..end], 7).count(), 0, "{end}");
        }
        message[..4].copy_from_slice(&[0; 4]); // a length of nothing does not go on for ever
        assert_eq!(messages(&message, 7).count(), 0);
    }

    fn message(kind: u16, number: u32, content: &[u8]) -> Vec<u8> {
        let bytes = u32::try_from(HEADER_BYTES + content.len()).unwrap();
        let mut message = bytes.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(number.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(content);
        message
    }

    #[test]
    fn an_end_that_failed_is_an_error() {
        let said =
            |kind, content: &[u8]| -> Vec<_> { messages(&message(kind, 7, content), 7).collect() };
        assert_eq!(said(NLMSG_ERROR, &(-1_i32).to_ne_bytes()), [Said::Error(1)]);
        assert_eq!(
            said(NLMSG_DONE, &(-12_i32).to_ne_bytes()),
            [Said::Error(12)]
        );
        assert_eq!(said(NLMSG_DONE, &0_i32.to_ne_bytes()), [Said::Done]);
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            assert_eq!(said(kind, &[0; 3]), [], "who cuts it off knows nothing");
        }
    }

    #[test]
    fn answers_to_another_question_are_skipped() {
        let done = 0_i32.to_ne_bytes();
        let mut heard = message(NLMSG_ERROR, 6, &(-16_i32).to_ne_bytes());
        heard.extend(message(SOCK_DIAG_BY_FAMILY, 6, &[0; 72]));
        heard.extend(message(NLMSG_DONE, 6, &done));
        assert_eq!(messages(&heard, 7).count(), 0);
        heard.extend(message(NLMSG_DONE, 7, &done));
        assert_eq!(messages(&heard, 7).collect::<Vec<_>>(), [Said::Done]);
    }

    #[test]
    fn a_protocol_that_the_kernel_does_not_know_is_a_refusal() {
        let mut question = question(Family::V4, !0, &[1]).unwrap();
        question[HEADER_BYTES + 1] = 200;
        let heard = open().and_then(|fd| {
            let mut room = [0; 16384];
            socket::send(fd.as_fd(), &question, false)?;
            let count = socket::receive(fd.as_fd(), &mut room)?;
            Ok(room[..count].to_vec())
        });
        let error = match heard.map(|heard| messages(&heard, 0).next()) {
            Ok(Some(Said::Error(error))) => io::Error::from_raw_os_error(error),
            Err(error) => error,
            Ok(said) => panic!("{said:?}"),
        };
        assert!(refuses(&error), "{error}");
        for other in [libc::EBUSY, libc::EAGAIN, libc::ENOBUFS, libc::EMFILE] {
            assert!(!refuses(&io::Error::from_raw_os_error(other)));
        }
    }
}
