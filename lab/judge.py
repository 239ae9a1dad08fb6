"""The claims about the default flavour, and whether what was measured bears them out.

Owns: what is claimed, and what is due to be cut.
Must not: measure, draw.

A machine that other programs use is late: what is claimed in seconds is allowed the longest time
by which the observer itself was late in that cell.
"""

import cells

IDLE_S = 2.0
TOTAL_S = 30.0
BUDGET_BYTES = 64 << 20
SLACK_BYTES = 64 << 10
# Read off by one call of adieu, and received by the kernel meanwhile: what a budget may be exceeded
# by before it is noticed.
OVER_BYTES = (64 << 10) + (64 << 10)
# Pages that a second swarm may touch where the first did not.
PAGES_BYTES = 16 << 10
# All others are what the plan has for the process itself.
NOT_OF_THE_PROCESS = ("kernel", "program")


def cut_as_due(round_):
    """Whether a client that was cut had used up a budget: its own clock shows the time at least."""
    after_s = round_.get("cut_after_s")
    return after_s is not None and after_s >= TOTAL_S and round_["sent"] != "whole"


def delivered(results):
    """Every response that fits the budgets arrives, and no reset comes where none is due."""
    whole = owed = cut = 0
    bad = []
    for cell, result in results:
        if cell.scenario in ("race", "endless") or cell.scenario.startswith("swarm-"):
            continue
        if "rounds" not in result:
            bad.append(f"{cells.name_of(cell)}: {result.get('reason')}")
            continue
        for round_ in result["rounds"]:
            if cut_as_due(round_):
                cut += 1
                continue
            owed += round_["due"]
            whole += round_["delivered"]
            if round_["delivered"] < round_["due"] or round_["reset"] or not \
                    round_.get("right", True):
                bad.append(f"{cells.name_of(cell)}: {round_}")
    if not owed + cut + len(bad):
        return None
    return not bad, f"{whole} of {owed} arrived, {cut} clients cut as due", bad


def race(results):
    """Keep-alive race: a request is answered or its client sees FIN, and never half an answer."""
    counts, bad = {}, []
    for cell, result in results:
        if cell.scenario != "race":
            continue
        for round_ in result.get("rounds", [{"outcome": result.get("reason")}]):
            outcome = round_["outcome"]
            counts[outcome] = counts.get(outcome, 0) + 1
            if outcome not in ("answered", "fin", "early"):
                bad.append(f"{cells.name_of(cell)}: {round_}")
    words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return (not bad, words, bad) if counts else None


def last_owned(result):
    """Seconds from the last thing that a client did to the last sample with a socket owned."""
    owned = [sample["at"] for sample in result["samples"] if sample["owned"]]
    touched = result["crowd"]["touched"]
    start = result["marks"].get("vanish", touched[-1] if touched else result["marks"]["there"])
    return max(0.0, max(owned) - start) if owned else 0.0


def after(results, scenario, most_s, words):
    """No socket of a swarm is owned `most_s` after its last act."""
    for cell, result in results:
        if cell.scenario == scenario:
            seconds, late_s = last_owned(result), result["late_s"]
            # The sample before may be as old as the interval.
            good = seconds <= most_s + late_s
            return good, f"{words} {seconds:.2f} s, {most_s:g} s allowed", [] if good else [
                f"{cells.name_of(cell)}: {seconds:.2f} s, observer late by {late_s} s"]
    return None


def hold(results):
    """Silent swarms: no socket is owned one idle period and a second later."""
    return after(results, "swarm-hold", IDLE_S + 1, "the last after")


def trickle(results):
    """Trickle: cut within two idle periods."""
    return after(results, "swarm-trickle", 2 * IDLE_S, "the last after")


def flood(results):
    """Flood: cut at the byte budget, or sooner by time."""
    words, bad = [], []
    for cell, result in results:
        if cell.scenario == "swarm-flood":
            taken = [cut[1] for cut in result["crowd"]["cuts"]]
            most = (128 << 10) + SLACK_BYTES + OVER_BYTES
            words.append(f"of a declared 128 KiB at most {max(taken, default=0) >> 10} KiB were "
                         f"taken, {most >> 10} allowed")
            if len(taken) < cell.rounds or max(taken) > most:
                bad.append(f"{cells.name_of(cell)}: {len(taken)} of {cell.rounds} were cut")
        if cell.scenario == "endless":
            round_ = result["rounds"][0]
            most = BUDGET_BYTES + OVER_BYTES + (8 << 20)
            words.append(f"of an endless upload {round_.get('bytes', 0) / (1 << 20):.1f} MiB left "
                         "the client")
            if not round_.get("bytes") or round_["bytes"] > most or round_["sent"] == "whole":
                bad.append(f"{cells.name_of(cell)}: {round_}")
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
            if most or owned:
                bad.append(f"{cells.name_of(cell)}: {most} orphans with data, {owned} owned")
    return (not bad, "; ".join(words), bad) if words else None


def served(results):
    """In every swarm, of half-sent heads too, the good client is served."""
    asked, words, bad = 0, [], []
    for cell, result in results:
        if cell.scenario.startswith("swarm-"):
            failed = [one for one in result["good"] if one[2]]
            asked += len(result["good"])
            if failed or result["crowd"]["failed"]:
                bad.append(f"{cells.name_of(cell)}: {failed[:3]} {result['crowd']['failed']}")
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
        if result["again"] is not None:
            again.append(result["again"])
        if most - before > planned or (result["again"] or 0) > PAGES_BYTES:
            bad.append(f"{cells.name_of(cell)}: VmRSS {before >> 10} to {most >> 10} KiB, planned "
                       f"{planned >> 10} KiB, once more {result['again']}")
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
        receive, send = plan["connections: receive"], plan["connections: send"]
        for sample in result["samples"]:
            if (sample["most_receive"] > receive["each"] or sample["most_send"] > send["each"]
                    or sample["receive"] > receive["total"] or sample["send"] > send["total"]):
                bad.append(f"{cells.name_of(cell)}: {sample}")
        words.append([max(sample[key] for sample in result["samples"])
                      for key in ("most_receive", "most_send", "receive", "send")])
        last = receive["each"], send["each"], receive["total"], send["total"]
    if not words:
        return None
    peaks = [max(column) for column in zip(*words)]
    return not bad, (
        f"one socket held {peaks[0] >> 10} KiB received and {peaks[1] >> 10} to be sent, of "
        f"{last[0] >> 10} and {last[1] >> 10}; all {peaks[2] >> 10} and {peaks[3] >> 10} KiB, of "
        f"{last[2] >> 10} and {last[3] >> 10}"), bad


CLAIMS = (delivered, race, hold, trickle, flood, vanish, served, memory, kernel)


def judge(measured):
    """(claim, whether it held, what was seen, what speaks against it) for what was measured."""
    results = [(cell, result) for cell, result in measured if cell.server == "linger"]
    found = []
    for claim in CLAIMS:
        verdict = claim(results) if results else None
        if verdict:
            found.append((claim.__doc__.strip().split("\n")[0], *verdict))
    return found
