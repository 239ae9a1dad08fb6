"""The goals, and whether adieu reached them.

Owns: what was asked, which figures answer it, and the verdict. Must not: measure, draw.

Processor time is compared by the lowest round of each, and always with servers of the same run:
what else a machine does makes a round dearer, never cheaper. The ratio of the medians stands
beside it. A goal whose figures are not there is not judged.
"""

import collections
import statistics

import cases
import flags
import servers

# goal, what it allows, what was seen, True or False or None where it was not measured
Verdict = collections.namedtuple("Verdict", "goal asked seen met")

SMALL_KIB = 700
USER_BYTES = 256
START_MS = 3


def costs(results, case, name):
    """Processor ns of one request in each round, of one server."""
    result = results.get("cases", {}).get(case, {}).get(name, {})
    if "why" in result:
        return []
    return [one["cpu_ns"] / one["requests"] for one in result.get("rounds", ())]


def lowest(results, case, name):
    """The lowest round, in ns, or None."""
    return min(costs(results, case, name), default=None)


def median(results, case, name):
    """The median of the rounds, in ns, or None."""
    found = costs(results, case, name)
    return statistics.median(found) if found else None


def best(results, case, of=lowest):
    """The cheapest peer: (its cost, its name), or None."""
    found = [(cost, name) for name in servers.PEERS if (cost := of(results, case, name))]
    return min(found, default=None)


def against(results, goal, case, most, name, other, words):
    """One verdict: `name` may cost so many times what `other` does."""
    ours, theirs = lowest(results, case, name), lowest(results, case, other)
    if not ours or not theirs:
        return Verdict(goal, words, "not measured", None)
    middle = median(results, case, name) / median(results, case, other)
    scale, unit, form = cases.scale(cases.all_cases(results["facts"]["quick"])[case])
    seen = (f"{ours / theirs:.2f} ({ours / scale:{form}} to {theirs / scale:{form}} {unit}; "
            f"medians {middle:.2f})")
    return Verdict(goal, words, seen, ours / theirs <= most)


def against_best(results, goal, case, most, name="adieu"):
    """The same against the cheapest peer."""
    peer = best(results, case)
    words = f"<= {most:g} x the best peer"
    if not peer:
        return Verdict(goal, words, "not measured", None)
    found = against(results, goal, case, most, name, peer[1], words)
    return found._replace(seen=f"{found.seen}, {peer[1]}") if found.met is not None else found


def calls(results, goal, name, most, missing):
    """System calls of a request at 64 connections."""
    result = results.get("calls", {}).get("ka64", {}).get(name, {})
    if "calls" not in result:
        return Verdict(goal, f"<= {most:g}", missing or "not measured", None)
    total = sum(result["calls"].values())
    return Verdict(goal, f"<= {most:g}", f"{total:.2f}", total <= most)


def idle_bytes(result):
    """User bytes of an idle connection, those that its slot took at the start counted."""
    more = result["idle"]["dirty"] - result["few"]["dirty"]
    return more * 1024 / (result["idle_held"] - servers.FEW_SLOTS)


def of_memory(results):
    """Idle connections, and half-sent heads."""
    idle = "user memory of an idle connection, slots made at the start counted"
    half = "half-sent heads"
    bound = "growth <= the pool of buffers"
    result = results.get("memory", {}).get("adieu", {})
    if "idle" not in result:
        yield Verdict(idle, f"<= {USER_BYTES} bytes", "not measured", None)
        yield Verdict(half, bound, "not measured", None)
        return
    each = idle_bytes(result)
    yield Verdict(idle, f"<= {USER_BYTES} bytes", f"{each:.0f} bytes", each <= USER_BYTES)
    pairs, _ = flags.settings("memory", 0, [], {"memory.buffers"})
    # Two halves of 8 KiB each are the default.
    pool = int(dict(pairs)["memory.buffers"]) * 16
    # Slots are written to as they are taken, whatever then comes.
    slots = max(0, result["idle"]["dirty"] - result["start"]["dirty"])
    grown = result["half"]["dirty"] - result["start"]["dirty"]
    yield Verdict(half, bound, f"{grown} KiB with {result['held']:,} of them; buffers {pool} KiB, "
                  f"slots {slots} KiB", grown <= pool + slots)


def of_small(results):
    """The program for a small device."""
    goal = ("resident memory of the static musl program: 128 slots, 32 buffers of 4 KiB, "
            "128 KiB arena")
    result = results.get("small")
    if not result:
        return Verdict(goal, f"<= {SMALL_KIB} KiB", "no such program was given", None)
    if "why" in result:
        return Verdict(goal, f"<= {SMALL_KIB} KiB", f"not measured: {result['why']}", None)
    seen, met = f"{result['rss']:,} KiB", result["rss"] <= SMALL_KIB
    if result["missing"]:
        # With the arena it would have more, so only a miss is certain.
        seen, met = f"{seen}, without {', '.join(result['missing'])}", None if met else False
    return Verdict(goal, f"<= {SMALL_KIB} KiB", seen, met)


def of_start(results):
    """From exec to the first answer."""
    goal = "start to the first 200"
    rounds = results.get("start", {}).get("adieu", {}).get("rounds", ())
    if not rounds:
        return Verdict(goal, f"<= {START_MS} ms", "not measured", None)
    spent = [one["cpu_ns"] / 1e6 for one in rounds]
    seen = f"{min(spent):.2f} ms (median {statistics.median(spent):.2f})"
    return Verdict(goal, f"<= {START_MS} ms of processor time", seen, min(spent) <= START_MS)


def judge(results):
    """Every goal in order."""
    names = results["facts"]["servers"]
    cached = "adieu-fd" in names
    for case, words in (("ka64", "keep-alive, 64"), ("ka1000", "keep-alive, 1,000")):
        yield against_best(results, words, case, 0.85)
        yield against(results, words, case, 1.2, "adieu", "floor-mio", "<= 1.2 x the mio floor")
    yield against_best(results, "pipelined 16", "pipe16", 0.3)
    words = "new connection per request, with the full goodbye"
    yield against(results, f"{words}, both with TCP_DEFER_ACCEPT", "close", 0.9, "adieu-defer",
                  "nginx-defer", "<= 0.9 x nginx")
    yield against(results, f"{words}, both without", "close", 1.1, "adieu", "nginx",
                  "<= 1.1 x nginx")
    yield against_best(results, "304", "n304", 0.9)
    yield against_best(results, "404", "e404", 0.9)
    none = None if cached else "this program has no cache"
    words = "system calls of a keep-alive request at 64"
    yield calls(results, f"{words}, from memory", "adieu" if cached else "", 2.1, none)
    yield calls(results, f"{words}, from an open file", "adieu-fd" if cached else "adieu", 3.1,
                None)
    yield against_best(results, large_words(results, "file of"), "f1g", 1)
    yield against_best(results, large_words(results, "PUT of"), "put1g", 1)
    yield from of_memory(results)
    yield of_small(results)
    yield of_start(results)


def large_words(results, what):
    """The large cases are smaller in a quick run."""
    return f"{what} {'128 MiB' if results['facts']['quick'] else '1 GiB'}"
