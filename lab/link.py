"""The link: two TUN devices, one in each namespace, and a process that carries packets between.

Owns: delay, rate, queue and seeded loss of each direction, and the counts of what became of the
packets.
Must not: look into a packet further than its addresses and flags.

A packet takes its turn at the rate, is lost there or not, and comes due a fixed delay after its
last bit. So packets of one direction never overtake each other, and a queue is enough where due
times could else need a heap. Given the seed and the arrivals, what is lost is determined: one draw
for each IPv4 packet that found room in the queue.
"""

import collections
import fcntl
import os
import random
import select
import struct
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000

SERVER = "192.0.2.1"
CLIENT = "192.0.2.2"
# Swarms come from many addresses, so that no share of one address counts.
SWARM = [f"198.18.0.{host}" for host in range(1, 17)]
MTU_BYTES = 1500
# The queue of a device, so long that only the link itself drops.
DEVICE_PACKETS = 50_000
# Read from one device before the other's turn.
BATCH = 64
RST = 0x04
TCP = 6

Shape = collections.namedtuple("Shape", "name words rtt_ms rate_bit_s queue_bytes loss")

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("loopback", "loopback", 0, None, None, 0.0),
        Shape("1ms", "1 ms", 1, None, None, 0.0),
        Shape("40ms", "40 ms, 10 Mbit/s", 40, 10_000_000, 125_000, 0.0),
        Shape("200ms", "200 ms, 1 Mbit/s, 1 % loss", 200, 1_000_000, 32_000, 0.01),
    )
}


class Way:
    """One direction. Times are in seconds, on any clock that only goes forward."""

    def __init__(self, shape, seed):
        self.delay_s = shape.rtt_ms / 2000
        self.rate_bit_s = shape.rate_bit_s
        self.queue_bytes = shape.queue_bytes
        self.loss = shape.loss
        self.dice = random.Random(seed)
        self.free_at = 0.0
        self.due = collections.deque()
        self.counts = {"packets": 0, "bytes": 0, "lost": 0, "queue_full": 0, "vanished": 0,
                       "resets": 0}

    def take(self, packet, now):
        """A packet has come in."""
        start = now
        if self.rate_bit_s:
            start = max(now, self.free_at)
            if (start - now) * self.rate_bit_s / 8 > self.queue_bytes:
                self.counts["queue_full"] += 1
                return
            start += len(packet) * 8 / self.rate_bit_s
            self.free_at = start
        if self.loss and self.dice.random() < self.loss:
            self.counts["lost"] += 1
            return
        self.due.append((start + self.delay_s, packet))

    def give(self, now):
        """The packets that have arrived at the other end."""
        while self.due and self.due[0][0] <= now:
            packet = self.due.popleft()[1]
            self.counts["packets"] += 1
            self.counts["bytes"] += len(packet)
            if packet[9] == TCP and packet[(packet[0] & 15) * 4 + 13] & RST:
                self.counts["resets"] += 1
            yield packet


def device(name):
    """A TUN device in the namespace of the caller; its descriptor does not block."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def join(near, far):
    """Devices in both namespaces, with addresses and routes; (descriptor near, far)."""
    ends = near.within(device, "near0"), far.within(device, "far0")
    for space, name, addresses in (
        (near, "near0", [CLIENT, *SWARM]),
        (far, "far0", [SERVER]),
    ):
        for address in addresses:
            space.ip("addr", "add", f"{address}/32", "dev", name)
        space.ip("link", "set", name, "mtu", str(MTU_BYTES),
                 "txqueuelen", str(DEVICE_PACKETS), "up")
        space.ip("route", "add", "default", "dev", name)
    return ends


def carry(orders, shape, seed, near, far):
    """Carries packets until the order "end"; what became of them. To be run in a process.

    The order "vanish" cuts off everybody of the swarm: nothing of theirs passes from then on.
    """
    up, down = Way(shape, f"{seed} up"), Way(shape, f"{seed} down")
    ways = {near: (up, far), far: (down, near)}
    gone = False
    swarm = bytes(map(int, SWARM[0].split(".")[:3]))
    while True:
        now = time.monotonic()
        firsts = [way.due[0][0] for way in (up, down) if way.due]
        wait_s = max(0.0, min(firsts) - now) if firsts else 1.0
        ready, _, _ = select.select([near, far, orders], [], [], wait_s)
        if orders in ready:
            order = os.read(orders, 64)
            if not order or b"end" in order:
                return {"up": up.counts, "down": down.counts}
            gone = gone or b"vanish" in order
        for end in ready:
            if end == orders:
                continue
            way = ways[end][0]
            for _ in range(BATCH):
                try:
                    packet = os.read(end, 65536)
                except BlockingIOError:
                    break
                if packet[0] >> 4 != 4:
                    continue
                if gone and swarm in (packet[12:15], packet[16:19]):
                    way.counts["vanished"] += 1
                    continue
                way.take(packet, time.monotonic())
        now = time.monotonic()
        for way, end in ways.values():
            for packet in way.give(now):
                try:
                    os.write(end, packet)
                except BlockingIOError:
                    way.counts["queue_full"] += 1
