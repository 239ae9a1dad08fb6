"""What the kernel says about the sockets and the memory of a server.

Owns: sock_diag(7) and /proc, read from outside the server.
Must not: touch a connection, know who is hostile.

A sample is a dictionary: `states`, how many sockets there are in each TCP state; `owned`, those
that a process has; `orphans`, those without one whose queue has bytes of an answer; memory in
bytes.
"""

import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST_DUMP = 0x301
INET_DIAG_SKMEMINFO = 7
STATES = {1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2",
          6: "TIME_WAIT", 7: "CLOSE", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN",
          11: "CLOSING", 12: "NEW_SYN_RECV"}
# States that never have an owner; in the others one without stands in the queue of the listener
# (ESTABLISHED, CLOSE_WAIT), or its owner has closed it.
OWNERLESS = ("SYN_RECV", "TIME_WAIT", "NEW_SYN_RECV")
UNOWNED = ", nobody's"
# Our FIN is out and not acknowledged: it counts as one byte of the queue.
CLOSING = ("FIN_WAIT1", "LAST_ACK", "CLOSING")


class Diag:
    """A netlink socket of sock_diag, in the namespace where it is made."""

    def __init__(self):
        self.link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def sockets(self, family=socket.AF_INET):
        """Every TCP socket of one family: state, ports, address of the peer, queue, inode, memory.

        The numbers of the memory are those of SO_MEMINFO; a socket that is nobody's any more and
        waits for the peer's FIN has none.
        """
        request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP,
                              1 << (INET_DIAG_SKMEMINFO - 1), 0, 0xFFFFFFFF)
        self.link.send(struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY,
                                   NLM_F_REQUEST_DUMP, 1, 0) + request)
        while True:
            data = self.link.recv(1 << 20)
            at = 0
            while at < len(data):
                length, kind, _, _, _ = struct.unpack_from("=IHHII", data, at)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise OSError("sock_diag refused")
                yield parse(data, at + 16, at + length)
                at += (length + 3) & ~3


def parse(data, at, end):
    """One inet_diag_msg with its attributes."""
    state = data[at + 1]
    source, target = struct.unpack_from(">HH", data, at + 4)
    peer = data[at + 24:at + 40]
    _, _, queued, _, inode = struct.unpack_from("=IIIII", data, at + 52)
    memory = None
    at += 72
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, at)
        if kind == INET_DIAG_SKMEMINFO:
            memory = struct.unpack_from(f"={(length - 4) // 4}I", data, at + 4)
        at += max(4, (length + 3) & ~3)
    return STATES.get(state, str(state)), source, target, peer, queued, inode, memory


def mapped(peer):
    """The IPv4 address at the end of a mapped or plain one."""
    return peer[12:16] if peer[:12] == bytes(10) + b"\xff\xff" else peer[:4]


def sockets(diag, port, swarm, owners):
    """A sample of the sockets of a server: those whose peer is in `swarm`, three bytes.

    The addresses and ports of the peers whose sockets a process has are put into `owners`.
    """
    states = {}
    owned = orphans = receive = send = all_bytes = most_receive = most_send = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        for state, source, target, peer, queued, inode, memory in diag.sockets(family):
            if source != port or state == "LISTEN" or mapped(peer)[:3] != swarm:
                continue
            where = state if inode or state in OWNERLESS else state + UNOWNED
            states[where] = states.get(where, 0) + 1
            if inode:
                owned += 1
                owners.append((socket.inet_ntoa(mapped(peer)), target))
            if inode == 0 and memory and queued > (state in CLOSING):
                orphans += 1
            if memory:
                rmem, _, wmem, _, forward, queue, option, backlog = memory[:8]
                receive += rmem
                send += queue
                all_bytes += rmem + wmem + forward + option + backlog
                most_receive = max(most_receive, rmem)
                most_send = max(most_send, queue)
    return {"states": states, "owned": owned, "orphans": orphans, "receive": receive,
            "send": send, "kernel": all_bytes, "most_receive": most_receive,
            "most_send": most_send}


def memory(processes):
    """VmRSS of the first process and RssAnon of all, in bytes; how many processes."""
    rss = anonymous = count = 0
    for index, pid in enumerate(sorted(processes)):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        values = {line.split(":")[0]: line.split()[1] for line in text.splitlines()
                  if line.startswith(("VmRSS", "RssAnon"))}
        count += 1
        anonymous += int(values.get("RssAnon", 0)) << 10
        if index == 0:
            rss = int(values.get("VmRSS", 0)) << 10
    return {"rss": rss, "anonymous": anonymous, "processes": count}


def sockstat():
    """What /proc/net/sockstat says about TCP: inuse, tw, and for the whole host orphan and mem."""
    with open("/proc/thread-self/net/sockstat", encoding="ascii") as file:
        for line in file:
            if line.startswith("TCP:"):
                words = line.split()[1:]
                return dict(zip(words[::2], map(int, words[1::2])))
    return {}
