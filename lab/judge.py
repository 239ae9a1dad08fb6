"""The claims about the default flavour, and whether what was measured bears them out.

Owns: what is claimed, and what is due to be cut.
Must not: measure, draw.

A machine that other programs use is late: what is claimed in seconds is allowed the longest time
by which the observer itself was late in that cell. An observer that was later than LATE_S, or saw
too little, bears nothing out.
"""

import fnmatch

import cells
import link
import swarms

IDLE_S = 2.0
TOTAL_S = 30.0
BUDGET_BYTES = 64 << 20
SLACK_BYTES = 64 << 10
# Read off by one call of adieu.
READ_BYTES = 64 << 10
# What the client's own kernel takes of an upload before the link has it.
SEND_BYTES = 8 << 20
# A cut is seen so much later at most: the reset may be lost, and the next one waits for a client
# that sends again.
CUT_LATE_S = 5.0
# An observer that was later than this has not looked well.
LATE_S = 1.0
# What had come so long before the server said FIN has been read, however busy the machine is.
READ_S = 0.5
# Pages that a second swarm may touch where the first did not.
PAGES_BYTES = 16 << 10
# All others are what the plan has for the process itself.
NOT_OF_THE_PROCESS = ("kernel", "program")
# The lines of the plan for what the kernel has received, and has to send.
RECEIVE = ("connections: receive", "large buffers")
SEND = ("connections: send",)
# Where bytes must be seen in the queue of a socket, from so many clients on: few flooders may be
# done before a sample finds anything unread.
QUEUED = {"swarm-flood": ("most_receive", 1000), "swarm-vanish-middle": ("most_send", 1)}


def cut_as_due(scenario, where, round_):
    """Whether a client was cut at the end of the total time, where its link cannot do it sooner."""
    after_s = round_.get("cut_after_s")
    return (cells.least_s(scenario, where) > TOTAL_S and after_s is not None
            and TOTAL_S <= after_s <= TOTAL_S + CUT_LATE_S
            and round_["sent"] in ("ECONNRESET", "EPIPE"))


def over_bytes(plan):
    """What a budget of bytes may be exceeded by before it is noticed: what one call reads off, and
    what one socket may have received meanwhile."""
    return READ_BYTES + sum(plan.get(name, {"each": 0})["each"] for name in RECEIVE)


def unseen(cell, result):
    """What the observer of a swarm did not see and must have seen, as a line, or None."""
    held, peak = len(result["crowd"]["held"]), max(one["owned"] for one in result["samples"])
    # A third of those that hold ask for the end, and may be gone between two samples.
    least = cell.rounds - (cell.rounds + 2) // 3 if cell.scenario == "swarm-hold" else cell.rounds
    # Flooders wait for each other, so that they are there at the same time.
    together = cell.rounds if cell.scenario == "swarm-flood" else 1
    if held < least or peak < together:
        return (f"{cells.name_of(cell)}: of {cell.rounds} clients {held} were seen with an owner, "
                f"{peak} at once")
    return None


def unwell(cell, result):
    """Why a swarm was not measured well enough for its times, as a line, or None."""
    if result["late_s"] > LATE_S:
        return (f"{cells.name_of(cell)}: not measured well, the observer was late by "
                f"{result['late_s']} s")
    return unseen(cell, result)


def delivered(results):
    """Every response that fits the budgets arrives; outside the race no reset comes undue."""
    whole = owed = cut = 0
    bad = []
    for cell, result in results:
        if cell.scenario in ("race", "endless") or cell.scenario.startswith("swarm-"):
            continue
        if "rounds" not in result:
            bad.append(f"{cells.name_of(cell)}: {result.get('reason')}")
            continue
        for round_ in result["rounds"]:
            as_due = cut_as_due(cell.scenario, cell.link, round_)
            cut += as_due
            owed += round_["due"]
            whole += round_["delivered"]
            if (round_["delivered"] < round_["due"] or (round_["reset"] and not as_due)
                    or not round_.get("right", True)):
                bad.append(f"{cells.name_of(cell)}: {round_}")
    if not owed + len(bad):
        return None
    return not bad, f"{whole} of {owed} arrived, {cut} clients cut as due", bad


def saw_reset(round_):
    """Whether the client of a race saw a reset, be it behind a FIN."""
    return round_["outcome"] == "reset" or bool(round_.get("reset"))


def left_alone(cell, round_):
    """Whether the server said FIN though it had the first byte of a request: of its packet nothing
    is lost, and the end came long behind it."""
    after_s, shape = round_.get("ended_after_s"), link.SHAPES[cell.link]
    return (after_s is not None and not shape.loss
            and after_s >= READ_S + shape.rtt_ms / 1000)


def race(results):
    """Keep-alive race: a request is answered or its client sees FIN, and never half an answer."""
    counts, bad, behind, paused = {}, [], 0, 0
    for cell, result in results:
        if cell.scenario != "race":
            continue
        for round_ in result.get("rounds", [{"outcome": result.get("reason")}]):
            outcome = round_["outcome"]
            counts[outcome] = counts.get(outcome, 0) + 1
            behind += outcome == "fin" and saw_reset(round_)
            paused += round_.get("pause_s", 0) > READ_S
            if outcome not in ("answered", "fin", "early") or left_alone(cell, round_):
                bad.append(f"{cells.name_of(cell)}: {round_}")
    words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    words += (f"; {behind} of the FIN had a reset behind them; {paused} requests paused behind "
              "their first byte")
    return (not bad, words, bad) if counts else None


def last_owned(result):
    """Seconds from the last thing that a client did to the last sample with a socket owned."""
    owned = [sample["at"] for sample in result["samples"] if sample["owned"]]
    touched = result["crowd"]["touched"]
    start = result["marks"].get("vanish", touched[-1] if touched else result["marks"]["there"])
    return max(0.0, max(owned) - start) if owned else 0.0


def after(results, scenario, most_s, cut):
    """No socket of a swarm is owned `most_s` after what its own client did last, nor at the end;
    with `cut` each client saw the end."""
    for cell, result in results:
        if cell.scenario != scenario:
            continue
        crowd, late_s, owned = result["crowd"], result["late_s"], result["samples"][-1]["owned"]
        seconds = max(crowd["held"], default=0.0)
        bad = [line] if (line := unwell(cell, result)) else []
        if seconds > most_s + late_s or owned:
            bad.append(f"{cells.name_of(cell)}: {seconds:.2f} s, {owned} owned at the end")
        if cut and (len(crowd["cuts"]) != cell.rounds or crowd["left"]):
            bad.append(f"{cells.name_of(cell)}: {len(crowd['cuts'])} of {cell.rounds} were cut, "
                       f"{crowd['left']} left")
        return not bad, (f"{seconds:.2f} s at most, {most_s:g} s allowed, observer late by "
                         f"{late_s:.2f} s"), bad
    return None


def hold(results):
    """Silent swarms: no socket is owned one idle period and a second later."""
    return after(results, "swarm-hold", IDLE_S + 1, False)


def trickle(results):
    """Trickle: cut within two idle periods."""
    return after(results, "swarm-trickle", 2 * IDLE_S, True)


def swarm_flood(cell, result):
    """What was taken of a flood of many, and what speaks against it."""
    cuts = result["crowd"]["cuts"]
    taken = [cut[1] for cut in cuts]
    most = swarms.FLOOD_DECLARED + SLACK_BYTES + over_bytes(result["plan"])
    # Who is cut before one idle period is over was cut for its bytes.
    soon = [cut for cut in cuts if cut[0] < IDLE_S and cut[1] < swarms.FLOOD_DECLARED]
    never = sum(cut[2] == "never" for cut in cuts)
    bad = [line] if (line := unseen(cell, result)) else []
    if len(cuts) != cell.rounds or never or soon or max(taken, default=0) > most:
        bad.append(f"{cells.name_of(cell)}: {len(cuts)} of {cell.rounds} were cut, {never} never, "
                   f"{len(soon)} too soon {soon[:1]}")
    sooner = sum(bytes_ < swarms.FLOOD_DECLARED for bytes_ in taken)
    return (f"of a declared 128 KiB at most {max(taken, default=0) >> 10} KiB were taken, "
            f"{most >> 10} allowed, and less than 128 of {sooner} clients, by time"), bad


def endless_flood(cell, result):
    """What left the client of an endless upload, and what speaks against it."""
    round_ = result.get("rounds", [{"sent": result.get("reason")}])[0]
    taken, seconds = round_.get("bytes", 0), round_.get("seconds", 0)
    most = BUDGET_BYTES + over_bytes(result.get("plan") or {}) + SEND_BYTES
    cut = round_["sent"] in ("ECONNRESET", "EPIPE") and seconds <= TOTAL_S + CUT_LATE_S
    good = cut and taken <= most and (taken >= BUDGET_BYTES or seconds >= TOTAL_S)
    return (f"of an endless upload {taken / (1 << 20):.1f} MiB left the client",
            [] if good else [f"{cells.name_of(cell)}: {round_}"])


def flood(results):
    """Flood: cut at the byte budget, or sooner by time."""
    words, bad = [], []
    for cell, result in results:
        kind = {"swarm-flood": swarm_flood, "endless": endless_flood}.get(cell.scenario)
        if kind:
            seen, against = kind(cell, result)
            words.append(seen)
            bad += against
    return (not bad, "; ".join(words), bad) if words else None


def vanish(results):
    """Vanish: no orphan has data after its deadline."""
    words, bad = [], []
    for cell, result in results:
        if cell.scenario.startswith("swarm-vanish"):
            most = max(sample["orphans"] for sample in result["samples"])
            owned = result["samples"][-1]["owned"]
            words.append(f"{cell.scenario[13:]}: {most} orphans with data at any time, the last "
                         f"socket {last_owned(result):.1f} s behind the end")
            if line := unwell(cell, result):
                bad.append(line)
            if most or owned:
                bad.append(f"{cells.name_of(cell)}: {most} orphans with data, {owned} owned")
    return (not bad, "; ".join(words), bad) if words else None


def served(results):
    """In every swarm, of half-sent heads too, the good client is served."""
    asked, words, bad = 0, [], []
    for cell, result in results:
        if cell.scenario.startswith("swarm-"):
            failed = [one for one in result["good"] if one[2]]
            during = [one for one in result["good"] if one[0] >= result["marks"]["begin"]]
            asked += len(result["good"])
            away = [result["crowd"]["failed"], (result["again"] or {}).get("failed")]
            if failed or not during or any(away):
                bad.append(f"{cells.name_of(cell)}: {len(during)} asked in it, failed "
                           f"{failed[:3]}, turned away {away}")
    words = f"{asked} requests of it"
    return (not bad, words, bad) if asked else None


def memory(results):
    """RSS: inside the plan of the process, and the same swarm once more adds nothing."""
    words, bad, again = [], [], []
    for cell, result in results:
        if not cell.scenario.startswith("swarm-"):
            continue
        before = max(sample["rss"] for sample in result["samples"]
                     if sample["at"] <= result["marks"]["begin"])
        most = max(sample["rss"] for sample in result["samples"])
        planned = sum(row["total"] for row in result["plan"].values()
                      if row["owner"] not in NOT_OF_THE_PROCESS)
        words.append((most - before, planned))
        once_more = result["again"]
        if once_more:
            again.append(once_more["rss"])
        twice = not once_more or (once_more["owned"] and once_more["rss"] <= PAGES_BYTES)
        if most - before > planned or not before or not twice:
            bad.append(f"{cells.name_of(cell)}: VmRSS {before >> 10} to {most >> 10} KiB, planned "
                       f"{planned >> 10} KiB, once more {once_more}")
    if not words:
        return None
    most = max(words)
    more = f", and by {max(again) >> 10} KiB when it came again" if again else ""
    return not bad, f"grew by {most[0] >> 10} KiB, of {most[1] >> 10} KiB planned{more}", bad


def kernel(results):
    """The kernel's memory for the connections stays inside the printed plan (SO_MEMINFO)."""
    words, bad = [], []
    for cell, result in results:
        if not cell.scenario.startswith("swarm-"):
            continue
        plan = result["plan"]
        # A goodbye whose client sends on has its part of both lines.
        last = [sum(plan[name][key] for name in names if name in plan)
                for key in ("each", "total") for names in (RECEIVE, SEND)]
        keys = ("most_receive", "most_send", "receive", "send")
        for sample in result["samples"]:
            if any(sample[key] > allowed for key, allowed in zip(keys, last)):
                bad.append(f"{cells.name_of(cell)}: {sample}")
        words.append([max(sample[key] for sample in result["samples"]) for key in keys])
        must, least = QUEUED.get(cell.scenario, (None, 0))
        if must and cell.rounds >= least and not words[-1][keys.index(must)]:
            bad.append(f"{cells.name_of(cell)}: no bytes were seen in a queue ({must})")
        if line := unseen(cell, result):
            bad.append(line)
    if not words:
        return None
    peaks = [max(column) for column in zip(*words)]
    return not bad, (
        f"one socket held {peaks[0] >> 10} KiB received and {peaks[1] >> 10} to be sent, of "
        f"{last[0] >> 10} and {last[1] >> 10}; all {peaks[2] >> 10} and {peaks[3] >> 10} KiB, of "
        f"{last[2] >> 10} and {last[3] >> 10}"), bad


# Each with the scenarios that it is about.
CLAIMS = (
    (delivered, ("upload-*", "late-*", "page-*", "pipeline", "half-closed", "slow-reader")),
    (race, ("race",)),
    (hold, ("swarm-hold",)),
    (trickle, ("swarm-trickle",)),
    (flood, ("swarm-flood", "endless")),
    (vanish, ("swarm-vanish-*",)),
    (served, ("swarm-*",)),
    (memory, ("swarm-*",)),
    (kernel, ("swarm-*",)),
)


def judge(measured, due=()):
    """(claim, whether it held, what was seen, what speaks against it) for what was measured. A
    claim of whose cells one of `due` was not measured has not held."""
    results = [(cell, result) for cell, result in measured if cell.server == "linger"]
    there = [cells.name_of(cell) for cell, _ in results]
    found = []
    for claim, scenarios in CLAIMS:
        verdict = claim(results) if results else None
        missing = [cells.name_of(cell) for cell in due if cell.server == "linger"
                   and cells.name_of(cell) not in there
                   and any(fnmatch.fnmatchcase(cell.scenario, one) for one in scenarios)]
        if missing:
            _, seen, bad = verdict or (False, "nothing was measured", [])
            verdict = False, f"{seen}; {len(missing)} cells are missing", [
                f"missing: {name}" for name in missing] + bad
        if verdict:
            found.append((claim.__doc__.strip().split("\n")[0], *verdict))
    return found
