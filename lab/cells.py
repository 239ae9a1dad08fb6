"""The cells of the laboratory: one scenario on one link with one server, each on its own.

Owns: which cells there are, how often each is repeated, and measuring one.
Must not: judge, draw.

A cell runs in a process of its own with its own namespaces, its own link and its own server, so
that cells can run side by side and none finds what another left. Its result is a dictionary that
can be written as JSON.
"""

import collections
import os
import shutil
import tempfile
import time

import clients
import link
import servers
import space
import swarms

Cell = collections.namedtuple("Cell", "scenario link server rounds")

KIB, MIB = 1 << 10, 1 << 20
UPLOADS = {"64K": 64 * KIB, "512K": 512 * KIB, "4M": 4 * MIB, "16M": 16 * MIB,
           "50M": 50 * MIB}
# An endless upload is not taken further than this.
ENDLESS_BYTES = 1024 * MIB

SCENARIOS = {}
for _size in UPLOADS:
    SCENARIOS[f"upload-{_size}"] = f"refused upload of {_size[:-1]} {_size[-1]}iB, writer first"
for _size in UPLOADS:
    SCENARIOS[f"late-{_size}"] = f"refused upload of {_size[:-1]} {_size[-1]}iB, reading late"
SCENARIOS.update({
    "page-512K": "refused upload of 512 KiB with an answer of 200 kB, writer first",
    "pipeline": "pipeline broken in the middle",
    "half-closed": "half-closed client",
    "slow-reader": "slow reader",
    "race": "keep-alive race",
    "endless": "endless upload",
})
# Where an endless upload meets the budget of bytes; elsewhere that of time comes first.
ENDLESS_LINKS = ("loopback",)
SWARM_LINK = "1ms"
# What needs a connection that is kept.
NEEDS_KEEPING = ("pipeline", "race")


def unable(scenario, kind):
    """The reason why a server has nothing to show in a scenario, or None."""
    if scenario in NEEDS_KEEPING and not kind.keeps:
        return "it closes after each answer"
    if scenario.startswith("page-") and not servers.has_page(kind):
        return "it has no pages of ours for its refusals"
    return None


def least_s(scenario, where):
    """Seconds that a refused upload needs on a link at the best, or 0.

    With loss the rate of one connection is that of Mathis and others ("The macroscopic behavior of
    the TCP congestion avoidance algorithm", 1997): segment / round trip * sqrt(3 / (2 * loss)).
    """
    way, _, size = scenario.partition("-")
    shape = link.SHAPES[where]
    if way not in ("upload", "late") or not shape.rate_bit_s:
        return 0.0
    rate_bit_s = shape.rate_bit_s
    if shape.loss:
        segment_bit = 8 * link.MTU_BYTES
        rate_bit_s = min(rate_bit_s, segment_bit * 1000 / shape.rtt_ms
                         * (1.5 / shape.loss) ** 0.5)
    return 8 * UPLOADS[size] / rate_bit_s


def rounds_of(scenario, where, quick):
    """How often a scenario is repeated on a link."""
    fast = where in ("loopback", "1ms")
    if scenario == "race":
        return 40 if quick else 120
    if scenario == "endless":
        return 1
    if scenario.endswith(("-16M", "-50M")):
        return 3 if fast and not quick else 1
    if scenario.endswith("-4M"):
        return (10 if fast else 3 if where == "40ms" else 1) if not quick else 1
    if quick:
        return 3
    return 20 if fast else 5


def all_cells(names, quick):
    """Every cell for these servers, the long ones first, swarms behind them."""
    found = []
    if quick:
        wanted = [(scenario, where) for scenario in ("upload-512K", "late-4M", "pipeline",
                                                      "half-closed", "race")
                  for where in ("loopback", "40ms")]
        wanted += [("upload-64K", "200ms"), ("slow-reader", "1ms"), ("endless", "loopback")]
        hostile = list(swarms.SWARMS)
    else:
        wanted = [(scenario, where) for scenario in SCENARIOS for where in link.SHAPES
                  if scenario != "endless" or where in ENDLESS_LINKS]
        hostile = list(swarms.SWARMS)
    for scenario, where in wanted:
        for name in names:
            if unable(scenario, servers.KINDS[name]):
                continue
            found.append(Cell(scenario, where, name, rounds_of(scenario, where, quick)))
    slow = {"200ms": 0, "40ms": 1}
    found.sort(key=lambda cell: (not cell.scenario.endswith(("-16M", "-50M")),
                              slow.get(cell.link, 2)))
    size = 200 if quick else 2000
    # The claims are about the default flavour.
    crowded = names[:1] if quick else names
    found += [Cell(f"swarm-{shape}", SWARM_LINK, name, size) for name in crowded
              for shape in hostile]
    return found


def name_of(cell):
    """The name of a cell, also that of its file."""
    return f"{cell.scenario}@{cell.link}@{cell.server}"


def alone(cell):
    """Whether no other cell may run beside it."""
    return cell.scenario.startswith("swarm-") or cell.scenario == "endless"


def _upload(cell, place):
    size = UPLOADS[cell.scenario.split("-")[1]]
    late = cell.scenario.startswith("late-")
    return {"rounds": [clients.upload(place, size, late) for _ in range(cell.rounds)]}


def _race(cell, place):
    idle = clients.together(clients.idle_s, [(place,)] * 3)
    if not all(isinstance(seconds, float) for seconds in idle):
        return {"reason": f"no connection is kept: {idle}"}
    # A request that is sent a round trip before the end is seen meets it at the server.
    low, high = min(idle) - place[2] - 0.06, max(idle) - place[2] + 0.06
    wave = 40
    rounds = []
    for start in range(0, cell.rounds, wave):
        # Every other wave is for servers whose clock has seconds: their end is anywhere in one.
        first = low if start // wave % 2 == 0 else low - 1.0
        # A first byte well before the end, and the rest behind it, in those waves alone.
        pause_s = clients.PAUSE_S if first == low else 1.0 + high - low
        many = [(place, first + (high - first) * index / wave, pause_s if index % 3 == 2 else 0.0)
                for index in range(min(wave, cell.rounds - start))]
        rounds += clients.together(clients.race, many)
    return {"rounds": rounds, "idle_s": idle}


def _scenario(cell, place):
    if cell.scenario.startswith(("upload-", "late-", "page-")):
        return _upload(cell, place)
    if cell.scenario == "race":
        return _race(cell, place)
    if cell.scenario == "endless":
        return {"rounds": [clients.endless(place, ENDLESS_BYTES)]}
    function = {"pipeline": clients.pipeline, "half-closed": clients.half_closed,
                "slow-reader": clients.slow_reader}[cell.scenario]
    rounds = []
    # Readers that pause are together; those that fill the link take turns.
    wave = 5 if cell.scenario == "slow-reader" else 1
    for start in range(0, cell.rounds, wave):
        rounds += clients.together(function, [(place,)] * min(wave, cell.rounds - start))
    return {"rounds": rounds}


def _run(_orders, cell, place):
    try:
        return _scenario(cell, place)
    except OSError as error:
        return {"reason": f"the client failed: {clients.name(error)}"}


def measure(cell, programs, seed):
    """Measures one cell. The process of the caller is for nothing else."""
    kind = servers.KINDS[cell.server]
    path = servers.find(kind, programs)
    shape = link.SHAPES[cell.link]
    place = tempfile.mkdtemp(prefix="adieu-lab-")
    os.chmod(place, 0o755)
    far = space.Space()
    near, carrier = far, None
    try:
        if cell.link != "loopback":
            near = space.Space()
            ends = link.join(near, far)
            carrier = space.Child(far, link.carry, shape, f"{seed} {name_of(cell)}", *ends)
        swarm = cell.scenario.startswith("swarm-")
        server = servers.Server(far, kind, path, place, servers.SLOTS if swarm else None,
                                cell.scenario.startswith("page-"))
        began = time.monotonic()
        address = "127.0.0.1" if near is far else link.SERVER
        target = (address, servers.PORT, shape.rtt_ms / 1000)
        if swarm:
            result = swarms.measure(cell, near, far, carrier, server, target)
        else:
            result = space.Child(near, _run, cell, target).value()
        if cell.scenario == "endless" and cell.server in servers.OURS:
            result["plan"] = server.plan()
        result["took_s"] = round(time.monotonic() - began, 2)
        result["counts"] = server.stop()
        if carrier:
            result["link"] = carrier.value()
        return result
    finally:
        shutil.rmtree(place, ignore_errors=True)
