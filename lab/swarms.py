"""The swarms: thousands of clients that mean no good, and one that does.

Owns: what each shape of client does, the good client beside it, and the course of one swarm.
Must not: judge.

The swarm comes over the link from many addresses, 8 connects at a time. The good client asks from
the server's own side, so that it waits for the server and not for a link full of flood.
"""

import collections
import errno
import heapq
import os
import select
import socket
import struct
import time

import clients
import link
import observe
import servers
import space

# What the clients of each shape do.
SWARMS = {
    "hold": "hold: have an answer, or a refusal, and never end the connection",
    "trickle": "trickle: an upload is refused, and a byte follows every half second",
    "flood": "flood: a refused upload of 128 KiB that does not end there",
    "half-send": "half-send: half a head, and nothing more",
    "vanish-idle": "vanish, idle: the machine is gone behind the first answer",
    "vanish-middle": "vanish, in mid-response: the machine is gone in a download",
}
# Those that come twice to the default flavour: they use slots, and all buffers.
TWICE = ("hold", "half-send")
ABREAST = 8
CONNECT_S = 20
# So long a swarm is watched at most, from the moment when all of it is there.
WATCH_S = 36
TRICKLE_S = 0.5
FLOOD_DECLARED = 128 << 10
# A flooder that is not cut stops here.
FLOOD_MOST = 1 << 20
# All flooders are connected for so long before the first of them sends: several samples.
READY_S = 1.0
DOWNLOAD_BYTES = 32 << 10
SAMPLE_S = 0.25
MEMORY_S = 2.0
GOOD_EVERY_S = 0.05
GOOD_PATIENCE_S = 5
BASELINE_S = 2.0
SWARM_NET = bytes(map(int, link.SWARM[0].split(".")[:3]))


class Member:
    """One client of a swarm. `busy` until it has done what is to be done at first."""

    def __init__(self, shape, index, target):
        self.shape, self.index = shape, index
        self.link = socket.socket()
        self.link.setblocking(False)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        self.link.bind((link.SWARM[index % len(link.SWARM)], 0))
        self.link.connect_ex(target)
        self.name = self.link.getsockname()
        self.began = time.monotonic()
        self.phase = "connecting"
        self.heard = b""
        self.sent = 0
        self.touched = self.cut = None

    def opening(self):
        """What it sends first, and whether it waits for an answer before it is settled."""
        refused = f"POST {servers.REFUSED} HTTP/1.1\r\nHost: lab\r\nContent-Length: "
        if self.shape == "hold":
            # A third asks for the end, a third is refused, a third keeps its connection.
            return [(clients.get("small", "Connection: close"), True),
                    ((refused + "8388608\r\n\r\n").encode() + bytes(1000), True),
                    (clients.get("small"), True)][self.index % 3]
        return {
            "trickle": ((refused + "8388608\r\n\r\n").encode(), True),
            "flood": ((refused + f"{FLOOD_DECLARED}\r\n\r\n").encode(), False),
            "half-send": (b"GET /small HTTP/1.1\r\nHost: lab\r\nX-Half", False),
            "vanish-idle": (clients.get("small"), True),
            "vanish-middle": (clients.get("large"), True),
        }[self.shape]

    def interest(self):
        """What it waits for."""
        if self.phase == "connecting" or self.phase == "flooding":
            return select.EPOLLOUT
        return select.EPOLLIN if self.phase == "hearing" else 0


class Swarm:
    """All members, in one process and one epoll."""

    def __init__(self, shape, size, target):
        self.shape, self.size, self.target = shape, size, target
        self.poll = select.epoll()
        self.members = {}
        self.started = self.connecting = self.settled = 0
        self.failed = collections.Counter()
        self.cuts = []
        self.trickles = []
        # Connections that wait for the others, so that the whole swarm floods at once, and when
        # the last of them came.
        self.ready, self.full = [], None

    def set(self, member, phase):
        """Goes on to another phase."""
        before = member.interest()
        member.phase = phase
        if member.interest() != before:
            self.poll.modify(member.link.fileno(), member.interest())

    def begin(self):
        """As many connects as may be under way."""
        while self.started < self.size and self.connecting < ABREAST:
            member = Member(self.shape, self.started, self.target)
            self.members[member.link.fileno()] = member
            self.poll.register(member.link.fileno(), member.interest())
            self.started += 1
            self.connecting += 1

    def settle(self, member):
        """It has done what is to be done at first."""
        member.touched = time.monotonic()
        self.settled += 1
        if self.shape == "trickle":
            heapq.heappush(self.trickles, (member.touched + TRICKLE_S, member.link.fileno()))
        self.set(member, "flooding" if self.shape == "flood" else "silent")

    def lose(self, member, why):
        """The server has cut it, or never took it, or is not going to ("never")."""
        if member.cut is not None:
            return
        member.cut = time.monotonic()
        if member.phase == "connecting":
            self.connecting -= 1
        if member.touched is None:
            self.settled += 1
            self.failed[why] += 1
        else:
            self.cuts.append((round(member.cut - member.touched, 3), taken(member.link), why))
        self.set(member, "cut")
        self.poll.unregister(member.link.fileno())

    def hear(self, member):
        """Something has come, or the end."""
        try:
            piece = member.link.recv(DOWNLOAD_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.lose(member, clients.name(error))
            return
        member.heard += piece
        whole = clients.answers(member.heard, not piece)
        enough = self.shape == "vanish-middle" and len(member.heard) >= DOWNLOAD_BYTES
        if whole or enough or not piece:
            self.settle(member)
            member.heard = b""

    def flood(self, member):
        """As much as the socket takes."""
        try:
            member.sent += member.link.send(clients.PIECE[:16 << 10])
        except BlockingIOError:
            return
        except OSError as error:
            self.lose(member, clients.name(error))
            return
        if member.sent > FLOOD_MOST:
            self.lose(member, "never")

    def connected(self, member):
        """Connected, or not."""
        failed = member.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self.lose(member, errno.errorcode.get(failed, str(failed)))
            return
        self.connecting -= 1
        if self.shape == "flood":
            self.set(member, "ready")
            self.ready.append(member)
        else:
            self.open(member)

    def open(self, member):
        """Sends its opening."""
        data, waits = member.opening()
        try:
            member.link.send(data)
        except OSError as error:
            member.phase = "refused"
            self.lose(member, clients.name(error))
            return
        self.set(member, "hearing")
        if not waits:
            self.settle(member)

    def turn(self, wait_s):
        """One poll, and what follows from it."""
        self.begin()
        if self.ready and self.started == self.size and not self.connecting:
            self.full = self.full or time.monotonic()
            if time.monotonic() - self.full > READY_S:
                while self.ready:
                    self.open(self.ready.pop())
        for fd, events in self.poll.poll(wait_s):
            member = self.members[fd]
            if member.cut is not None:
                continue
            if member.phase == "connecting":
                self.connected(member)
            elif member.phase == "flooding":
                self.flood(member)
            elif member.phase == "hearing":
                self.hear(member)
            elif events & (select.EPOLLERR | select.EPOLLHUP):
                failed = member.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self.lose(member, errno.errorcode.get(failed, "ended"))
        now = time.monotonic()
        for member in list(self.members.values()) if self.connecting else ():
            if member.phase == "connecting" and now - member.began > CONNECT_S:
                self.lose(member, "no connection")
        while self.trickles and self.trickles[0][0] <= now:
            _, fd = heapq.heappop(self.trickles)
            member = self.members[fd]
            if member.cut is None:
                try:
                    member.link.send(b"x")
                    heapq.heappush(self.trickles, (now + TRICKLE_S, fd))
                except BlockingIOError:
                    heapq.heappush(self.trickles, (now + TRICKLE_S, fd))
                except OSError as error:
                    self.lose(member, clients.name(error))


def taken(connection):
    """The bytes that the other side has acknowledged (tcpi_bytes_acked of linux/tcp.h)."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    return struct.unpack_from("=Q", info, 120)[0]


def swarm(orders, shape, size, target, there):
    """Runs a swarm until it is told to end. To be run in a process.

    Writes a line to `there` when everybody is there and has done what is to be done at first.
    """
    crowd = Swarm(shape, size, target[:2])
    told = False
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    while not poll.poll(0):
        crowd.turn(0.02)
        if crowd.settled == size and not told:
            told = True
            os.write(there, b"there\n")
    left = sum(member.cut is None for member in crowd.members.values())
    return {"failed": dict(crowd.failed), "cuts": crowd.cuts, "left": left,
            "sent": sum(member.sent for member in crowd.members.values()),
            "members": [(*member.name, member.touched)
                        for member in crowd.members.values() if member.touched is not None]}


def good(orders, target):
    """Asks for a small file on a new connection all the time; how long each answer took."""
    answers = []
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    while not poll.poll(0):
        began = time.monotonic()
        try:
            with clients.connect("127.0.0.1", target[1], GOOD_PATIENCE_S) as connection:
                connection.sendall(clients.get("small", "Connection: close"))
                ear = clients.Ear(connection, 0)
                while ear.more():
                    pass
            whole = [status for status, _ in clients.answers(ear.data, ear.end == "fin")]
            failed = None if whole == [200] else f"{ear.end} {whole}"
        except OSError as error:
            failed = clients.name(error)
        now = time.monotonic()
        answers.append((round(began, 4), round(now - began, 5), failed))
        time.sleep(max(0.0, began + GOOD_EVERY_S - now))
    return answers


class Watch:
    """Samples of a server, taken all the time."""

    def __init__(self, far, server):
        self.diag = far.within(observe.Diag)
        self.server = server
        self.began = time.monotonic()
        self.samples = []
        self.late_s = 0.0
        self.memory, self.read = None, 0.0
        # When a process had the socket of a client in the last sample that has it, by its name.
        self.owned_at = {}

    def look(self):
        """One more sample."""
        now = time.monotonic()
        if self.samples:
            gap_s = now - self.began - self.samples[-1]["at"]
            self.late_s = max(self.late_s, gap_s - SAMPLE_S)
        owners = []
        sample = observe.sockets(self.diag, servers.PORT, SWARM_NET, owners)
        self.owned_at.update(dict.fromkeys(owners, now))
        # Two thousand processes are not read four times a second.
        if not self.memory or self.memory["processes"] < 50 or now - self.read > MEMORY_S:
            self.memory, self.read = observe.memory(self.server.processes()), now
        sample.update(self.memory)
        sample["at"] = round(now - self.began, 3)
        self.samples.append(sample)
        return sample

    def until(self, done, most_s):
        """Looks every SAMPLE_S until `done(sample)` or for `most_s`."""
        until = time.monotonic() + most_s
        while True:
            began = time.monotonic()
            if done(self.look()) or time.monotonic() > until:
                return
            time.sleep(max(0.01, began + SAMPLE_S - time.monotonic()))


def waits(descriptor):
    """Whether there is something to read; does not wait."""
    return bool(select.select([descriptor], [], [], 0)[0])


def quiet(sample):
    """Whether nothing of a swarm is left but what a client has to wait for."""
    return not any(count for state, count in sample["states"].items() if state != "TIME_WAIT")


def held_s(members, owned_at, gone):
    """How long each client's socket was owned behind the last thing that it did, or behind
    `gone`, when its machine went; only those that were ever seen with an owner."""
    return sorted(round(max(0.0, owned_at[address, port] - (gone or touched)), 3)
                  for address, port, touched in members if (address, port) in owned_at)


def once_more(shape, size, near, target, watch):
    """The same swarm again: what it adds to the process, how many sockets of it were owned at
    once, and who was turned away. The samples are not kept."""
    kept = watch.samples
    before = max(sample["rss"] for sample in kept)
    watch.samples = []
    there, theirs = os.pipe()
    crowd = space.Child(near, swarm, shape, size, target, theirs)
    watch.until(lambda sample: waits(there) or crowd.ended(), 120)
    watch.until(quiet, WATCH_S)
    failed = crowd.value()["failed"]
    most, owned = (max(sample[key] for sample in watch.samples) for key in ("rss", "owned"))
    watch.samples = kept
    return {"rss": most - before, "owned": owned, "failed": failed}


def measure(cell, near, far, carrier, server, target):
    """One swarm against one server, from quiet to quiet."""
    shape = cell.scenario.removeprefix("swarm-")
    watch = Watch(far, server)
    friend = space.Child(far, good, target)
    watch.until(lambda sample: False, BASELINE_S)
    there, theirs = os.pipe()
    marks = {"begin": time.monotonic() - watch.began}
    crowd = space.Child(near, swarm, shape, cell.rounds, target, theirs)
    watch.until(lambda sample: waits(there) or crowd.ended(), 120)
    marks["there"] = time.monotonic() - watch.began
    if shape.startswith("vanish"):
        carrier.tell("vanish")
        marks["vanish"] = time.monotonic() - watch.began

    watch.until(quiet, WATCH_S)
    marks["end"] = time.monotonic() - watch.began
    late_s = watch.late_s
    told = crowd.value()
    members = told.pop("members")
    gone = watch.began + marks["vanish"] if "vanish" in marks else None
    told["touched"] = sorted(round(touched - watch.began, 3) for _, _, touched in members)
    told["held"] = held_s(members, watch.owned_at, gone)
    asked = [(round(at - watch.began, 3), took, failed) for at, took, failed in friend.value()]
    again = None
    if server.kind.name == "linger" and shape in TWICE:
        again = once_more(shape, cell.rounds, near, target, watch)
    return {"samples": watch.samples, "marks": marks, "crowd": told, "good": asked,
            "late_s": round(late_s, 3), "again": again, "plan": server.plan() if
            server.kind.name in servers.OURS else None, "sockstat": observe.sockstat()}
