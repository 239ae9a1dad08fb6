"""What adieu is told: the one place where the flags of a case are written.

Owns: keys and values, for all cases, for each, and for the variants that are measured beside it.
Must not: start anything.

A key that the program does not have is left out, and the page says so. So a key of tomorrow may
stand here today, and an older program can be measured.
"""

import re
import subprocess

# Longer than any round, and as many requests on a connection as may be: so are the peers told.
# All clients have one address.
ALWAYS = [
    ("keepalive.idle_ms", "600000"),
    ("keepalive.requests", "65535"),
    ("timeout.head_ms", "600000"),
    ("memory.backlog", "4096"),
    ("memory.connections", "{slots}"),
    ("limits.connections_per_address", "{slots}"),
]

# Slots of a small device.
SMALL_SLOTS = 128
# What is served from memory, where the program can do that.
CACHE = [("memory.cache_bytes", "256KiB")]
# Room for sixteen answers at once: with the 16 KiB of the default they leave in two sends.
ROOM = [("memory.send_bytes", "64KiB")]
# A socket that lets a transfer run: what an operator sets who serves large files to a fast network.
FAST = [("memory.send_bytes", "1MiB")]

CASES = {
    "ka1": CACHE,
    "ka64": CACHE,
    "ka1000": CACHE,
    "pipe16": CACHE + ROOM,
    "close": CACHE,
    "n304": CACHE,
    "e404": CACHE,
    "f10m": FAST,
    "f1g": FAST,
    "put1g": [("site.uploads", "/put/* 2GiB"), ("memory.receive_bytes", "1MiB")],
    # Few buffers, so that it shows whether half-sent heads are bounded by them.
    "memory": [("memory.buffers", "64")],
    "start": [],
    # The goal of a small device: see goals.py.
    "small": [("memory.buffers", "32"), ("memory.buffer_bytes", "4KiB"),
              ("limits.target_bytes", "3KiB"), ("memory.cache_bytes", "128KiB")],
}

# name: what it is called behind "adieu", what it is told further (None: nothing, the default),
# where it takes part, and the key without which there is no such variant.
# The arena of adieu-fd is so small that the file of 1 KiB has no room in it, and is kept open.
VARIANTS = {
    "adieu-fd": ("files only open, not in memory", [("memory.cache_bytes", "2KiB")],
                 ("ka64", "n304"), "memory.cache_bytes"),
    "adieu-defer": ("TCP_DEFER_ACCEPT", [("listen.defer_accept_s", "1")],
                    ("close",), "listen.defer_accept_s"),
    "adieu-plain": ("buffers as they are by default",
                    [("memory.send_bytes", None), ("memory.receive_bytes", None)],
                    ("f10m", "f1g", "put1g"), "memory.send_bytes"),
}


def keys_of(path):
    """The keys that a program has, from its help."""
    done = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"\b[a-z]+\.[a-z_]+\b", done.stdout))


def settings(case, slots, further, known):
    """The pairs for one case, the last of each key, and the keys that were left out."""
    pairs = {}
    for key, value in [*ALWAYS, *CASES.get(case, []), *further]:
        if value is None:
            pairs.pop(key, None)
        else:
            pairs[key] = value.format(slots=slots)
    missing = sorted(key for key in pairs if key not in known)
    return [(key, value) for key, value in pairs.items() if key in known], missing


def command_line(pairs):
    """The pairs as flags."""
    return [word for key, value in pairs for word in ("--set", f"{key}={value}")]
