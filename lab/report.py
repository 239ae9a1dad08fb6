"""The page: tables in Markdown, and a plot for each swarm.

Owns: what a reader sees. Must not: measure, judge.
"""

import os
import platform
import statistics

import cells
import judge
import link
import observe
import plot
import servers
import swarms
import texts

MIB = 1 << 20
# A peer is named as better where it is so by this much.
BETTER = 0.9


def table(head, rows):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in lines)


def share(values, part):
    """The value below which `part` of the values lie."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


class Page:
    """What was measured, and the page made of it."""

    def __init__(self, measured, names, options, due):
        self.measured, self.due = measured, due
        self.results = {(cell.scenario, cell.link, cell.server): result
                        for cell, result in measured}
        self.names = [name for name in names if any(key[2] == name for key in self.results)]
        self.links = [name for name in link.SHAPES if any(key[1] == name for key in self.results)]
        self.options = options

    def label(self, name):
        label = servers.KINDS[name].label
        return f"**{label}**" if name == "linger" else label

    def get(self, scenario, where, name):
        return self.results.get((scenario, where, name))

    # ---- scenarios -----------------------------------------------------------------------------

    def cell(self, scenario, where, name):
        """One cell of a table of scenarios."""
        kind = servers.KINDS[name]
        if cells.unable(scenario, kind):
            return "-"
        result = self.get(scenario, where, name)
        if not result:
            return "not measured"
        if "rounds" not in result:
            return result.get("reason", "?")
        rounds = result["rounds"]
        words = [f"{sum(one['delivered'] for one in rounds)}/{sum(one['due'] for one in rounds)}"]
        resets = [one for one in rounds if one["reset"]]
        if resets:
            due = name == "linger" and all(judge.cut_as_due(scenario, where, one)
                                           for one in resets)
            after_s = statistics.median(one.get("cut_after_s") or 0 for one in resets)
            words.append(f"{len(resets)} reset{'s' * (len(resets) > 1)}{' as due' * due}"
                         + (f" after {after_s:.0f} s" if after_s >= 1 else ""))
        silent = sum("silent" in (one.get("end"), one.get("sent")) for one in rounds)
        if silent:
            words.append(f"{silent} given up")
        return ", ".join(words)

    def scenarios(self):
        """A table for each scenario but the races."""
        for scenario, words in cells.SCENARIOS.items():
            if scenario in ("race", "endless") or not any(key[0] == scenario
                                                          for key in self.results):
                continue
            links = [where for where in self.links
                     if any(key[:2] == (scenario, where) for key in self.results)]
            yield f"### {words[0].upper()}{words[1:]}"
            yield table(["server"] + [link.SHAPES[where].words for where in links],
                        [[self.label(name)] + [self.cell(scenario, where, name)
                                               for where in links] for name in self.names])

    def times(self):
        """How long uploads took that arrived, in the middle."""
        wanted = [(f"upload-{size}", where) for where in self.links for size in cells.UPLOADS]
        wanted = [key for key in wanted if any(found[:2] == key for found in self.results)]
        rows = []
        for name in self.names:
            row = [self.label(name)]
            for scenario, where in wanted:
                result = self.get(scenario, where, name) or {}
                good = [one["seconds"] for one in result.get("rounds", ())
                        if one["delivered"] and one["sent"] == "whole"]
                row.append(f"{statistics.median(good):.2f}" if good else "-")
            rows.append(row)
        head = [f"{scenario[7:-1]} {scenario[-1]}iB, {link.SHAPES[where].words.split(',')[0]}"
                for scenario, where in wanted]
        return table(["server", *head], rows)

    def races(self):
        """What became of second requests."""
        rows = []
        for name in self.names:
            if cells.unable("race", servers.KINDS[name]):
                rows.append([self.label(name)] + ["-"] * 6)
                continue
            for where in self.links:
                result = self.get("race", where, name)
                if not result:
                    continue
                if "rounds" not in result:
                    rows.append([self.label(name), link.SHAPES[where].words, result["reason"],
                                 "", "", "", ""])
                    continue
                counts = {"answered": 0, "fin": 0, "early": 0, "reset": 0}
                other = 0
                for one in result["rounds"]:
                    if one["outcome"] in counts:
                        counts[one["outcome"]] += 1
                    else:
                        other += 1
                behind = sum(one["reset"] for one in result["rounds"]
                             if one["outcome"] == "fin")
                fin = f"{counts['fin']}" + (f", {behind} with a reset behind it" if behind else "")
                rows.append([self.label(name), link.SHAPES[where].words, counts["answered"], fin,
                             counts["reset"], other, counts["early"]])
        return table(["server", "link", "answered", "FIN, no byte of an answer", "reset",
                      "anything else", "ended before it was sent"], rows)

    def endless(self):
        """How much of an upload without an end was taken."""
        rows = []
        for name in self.names:
            result = self.get("endless", cells.ENDLESS_LINKS[0], name)
            if result and "rounds" in result:
                one = result["rounds"][0]
                never = one["sent"] == "whole"
                rows.append([self.label(name), f"{one['bytes'] / MIB:.1f}"
                             + (", not cut" if never else ""), f"{one['seconds']:.1f}"])
        return table(["server", "MiB that left the client", "seconds"], rows)

    # ---- swarms --------------------------------------------------------------------------------

    def figures(self, scenario, name):
        """The figures of one swarm at one server."""
        result = self.get(scenario, cells.SWARM_LINK, name)
        if not result:
            return None
        samples, marks, crowd = result["samples"], result["marks"], result["crowd"]
        owned_s = sum(before["owned"] * (after["at"] - before["at"])
                      for before, after in zip(samples, samples[1:]))
        before = [one for one in samples if one["at"] <= marks["begin"]]
        good = [one for one in result["good"] if one[0] >= marks["begin"]]
        took = [one[1] for one in good if not one[2]]
        size = result["cell"]["rounds"]
        return {
            "seconds": owned_s / size,
            "most": max(one["owned"] for one in samples),
            "last": judge.last_owned(result),
            "left": samples[-1]["owned"],
            "nobodys": sum(count for state, count in samples[-1]["states"].items()
                           if state.endswith(observe.UNOWNED)),
            "orphans": max(one["orphans"] for one in samples),
            "orphans_left": samples[-1]["orphans"],
            "memory": (max(one["anonymous"] for one in samples)
                       - max(one["anonymous"] for one in before)) / MIB,
            "processes": max(one["processes"] for one in samples),
            "kernel": max(one["kernel"] for one in samples) / MIB,
            "p50": share(took, 0.5) * 1000 if took else None,
            "p99": share(took, 0.99) * 1000 if took else None,
            "failed": len(good) - len(took),
            "asked": len(good),
            "away": sum(crowd["failed"].values()),
        }

    def swarm(self, scenario):
        """The table of one swarm."""
        rows = []
        for name in self.names:
            one = self.figures(scenario, name)
            if not one:
                continue
            last = f"{one['last']:.1f}" + (f", {one['left']} left" if one["left"] else "")
            orphans = f"{one['orphans']}" + (
                f", {one['orphans_left']} left" if one["orphans_left"] else "")
            p50, p99 = (f"{one[key]:.1f}" if one[key] is not None else "-"
                        for key in ("p50", "p99"))
            rows.append([self.label(name), one["most"], f"{one['seconds']:.2f}", last, orphans,
                         one["nobodys"], f"{one['kernel']:.1f}", f"{one['memory']:.1f}",
                         one["processes"], f"{one['failed']}/{one['asked']}", p50, p99,
                         one["away"]])
        return table(["server", "sockets at once", "socket-seconds a client", "last one, s",
                      "orphans with data", "nobody's, left", "kernel, MiB", "process, MiB",
                      "processes", "good: failed", "p50, ms", "p99, ms", "turned away"], rows)

    def better(self):
        """Where a peer did better than the default flavour: lines, none is hidden."""
        keys = {"seconds": "socket-seconds a client", "last": "last socket, s",
                "kernel": "kernel, MiB", "memory": "process, MiB", "p99": "good client's p99, ms",
                "failed": "failures of the good client"}
        for scenario in [f"swarm-{shape}" for shape in swarms.SWARMS]:
            ours = self.figures(scenario, "linger")
            if not ours:
                continue
            for key, words in keys.items():
                found = []
                for name in self.names:
                    theirs = self.figures(scenario, name)
                    if (name not in servers.OURS and theirs and theirs[key] is not None
                            and ours[key] is not None and theirs[key] < ours[key] * BETTER
                            and ours[key] - theirs[key] >= 0.1):
                        found.append(f"{servers.KINDS[name].label} {theirs[key]:.1f}")
                if found:
                    yield f"- {scenario[6:]}, {words}: {', '.join(found)}; adieu {ours[key]:.1f}"
        for scenario in cells.SCENARIOS:
            for where in self.links:
                yield from self.surer(scenario, where)
                yield from self.quicker(scenario, where)
        for where in self.links:
            yield from self.calmer(where)

    def surer(self, scenario, where):
        """Peers whose clients all had their answer and saw no reset, where some of ours did."""
        def good(name):
            rounds = (self.get(scenario, where, name) or {}).get("rounds", ())
            return bool(rounds) and all(
                one["delivered"] == one["due"] and not one["reset"] and one["sent"] == "whole"
                and one["end"] in ("fin", "kept") for one in rounds)

        if scenario not in ("race", "endless") and self.get(scenario, where, "linger") and not \
                good("linger"):
            found = [servers.KINDS[name].label for name in self.names
                     if name not in servers.OURS and good(name)]
            if found:
                yield (f"- {cells.SCENARIOS[scenario]}, {link.SHAPES[where].words}: without a "
                       f"reset with {', '.join(found)}; adieu: {self.cell(scenario, where, 'linger')}")

    def calmer(self, where):
        """Peers of whose clients fewer saw a reset in the race, of those that had asked."""
        def share_of(name):
            rounds = (self.get("race", where, name) or {}).get("rounds", ())
            asked = [one for one in rounds if one["outcome"] != "early"]
            return sum(map(judge.saw_reset, asked)) / len(asked) if asked else None

        ours = share_of("linger")
        if not ours:
            return
        found = [f"{servers.KINDS[name].label} {theirs:.1%}" for name in self.names
                 if name not in servers.OURS and (theirs := share_of(name)) is not None
                 and theirs < ours * BETTER]
        if found:
            yield (f"- {cells.SCENARIOS['race']}, {link.SHAPES[where].words}, clients that saw a "
                   f"reset: {', '.join(found)}; adieu {ours:.1%}")

    def quicker(self, scenario, where):
        """Peers whose clients were done sooner, in the middle and as surely."""
        def middle(name):
            rounds = (self.get(scenario, where, name) or {}).get("rounds", ())
            times = [one["seconds"] for one in rounds if "due" in one
                     and one["delivered"] == one["due"] and not one["reset"]]
            return statistics.median(times) if times and len(times) == len(rounds) else None

        ours = middle("linger")
        if ours is None or scenario in ("race", "endless"):
            return
        found = [f"{servers.KINDS[name].label} {middle(name):.2f}" for name in self.names
                 if name not in servers.OURS and middle(name) is not None
                 and middle(name) < ours * BETTER and ours - middle(name) >= 0.1]
        if found:
            yield (f"- {cells.SCENARIOS[scenario]}, {link.SHAPES[where].words}, seconds: "
                   f"{', '.join(found)}; adieu {ours:.2f}")

    # ---- the page ------------------------------------------------------------------------------

    def facts(self):
        """What the figures depend on."""
        some = [result for _, result in self.measured]
        when = sorted(result["when"] for result in some)
        loads = [result["load"] for result in some]
        yield f"- command: `{self.options.words}`"
        yield f"- measured: {when[0]} to {when[-1]} UTC, {len(some)} cells, seed {some[0]['seed']}"
        yield (f"- machine: Linux {platform.release().split('-')[0]} {platform.machine()}, "
               f"{os.cpu_count()} cores; load of the last minute {min(loads):.1f} to "
               f"{max(loads):.1f}")
        yield f"- Python {platform.python_version()}"
        for name in self.names:
            version = next(result["version"] for cell, result in self.measured
                           if cell.server == name)
            yield f"- {servers.KINDS[name].label}: {version}"
        dropped = {key: sum(result["link"][way][key] for result in some if "link" in result
                            for way in ("up", "down"))
                   for key in ("packets", "lost", "queue_full")}
        yield (f"- the link carried {dropped['packets']} packets, lost {dropped['lost']} by its "
               f"dice and dropped {dropped['queue_full']} at a full queue")

    def claims(self):
        """The claims as lines; whether all held."""
        verdicts = judge.judge(self.measured, self.due)
        lines = [f"- {'PASS' if held else '**FAIL**'}: {claim} *{seen}*"
                 for claim, held, seen, _ in verdicts]
        return lines, all(held for _, held, _, _ in verdicts)

    def swarms(self):
        """The shapes that were measured: (scenario, words)."""
        for shape, words in swarms.SWARMS.items():
            if any(key[0] == f"swarm-{shape}" for key in self.results):
                yield f"swarm-{shape}", words

    def text(self):
        """The page."""
        parts = [texts.HEAD, "\n".join(self.facts()), "## What the default flavour must do",
                 "\n".join(self.claims()[0]), "## Where a peer is better",
                 "By a tenth or more, in what stands below:",
                 "\n".join(self.better()) or "Nowhere.", texts.SCENARIOS, *self.scenarios()]
        parts += ["### How long it took", texts.TIMES, self.times(),
                  "### Keep-alive race", texts.RACE, self.races(),
                  "### Endless upload", texts.ENDLESS, self.endless(), texts.SWARMS]
        for scenario, words in self.swarms():
            parts += [f"### {words[0].upper()}{words[1:]}", self.swarm(scenario),
                      f"![sockets by state]({scenario}.svg)"]
        return "\n\n".join([*parts, texts.METHOD, self.settings()]) + "\n"

    def brief(self):
        """The tables that a terminal is for."""
        parts = [*self.scenarios(), "### Keep-alive race", self.races(), "### Endless upload",
                 self.endless()]
        for scenario, words in self.swarms():
            parts += [f"### {words[0].upper()}{words[1:]}", self.swarm(scenario)]
        return "\n\n".join(parts)

    def write(self, folder):
        """Writes the page and its plots."""
        os.makedirs(folder, exist_ok=True)
        for scenario, words in self.swarms():
            self.draw(scenario, words, os.path.join(folder, f"{scenario}.svg"))
        with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as file:
            file.write(self.text())

    def draw(self, scenario, words, path):
        """The plot of one swarm."""
        panels, most = [], 1
        for name in self.names:
            result = self.get(scenario, cells.SWARM_LINK, name)
            if not result:
                continue
            begin = result["marks"]["begin"]
            series = [(one["at"] - begin, one["states"]) for one in result["samples"]
                      if one["at"] >= begin]
            # What is left at the end of the watch is not over: the line stops there.
            most = max(most, *(sum(counts.values()) for _, counts in series))
            panels.append((servers.KINDS[name].label, series))
        with open(path, "w", encoding="utf-8") as file:
            file.write(plot.states(words, panels, most))

    def settings(self):
        """What is set where, and what is refused by what."""
        rows = [[self.label(name), servers.KINDS[name].refuses,
                 "yes" if servers.KINDS[name].keeps else "no"] for name in self.names]
        return table(["server", "what refuses an upload", "keeps connections"], rows)
