"""The page: tables in Markdown, a plot for each case, and the goals.

Owns: what a reader sees. Must not: measure.
"""

import os
import statistics

import bars
import cases
import flags
import goals
import servers
import texts


def table(head, rows):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in lines)


class Page:
    """What was measured, and the page made of it."""

    def __init__(self, results):
        self.results, self.facts = results, results["facts"]
        self.known = cases.all_cases(self.facts["quick"])
        self.names = list(self.facts["servers"])

    def label(self, name):
        label = self.facts["servers"][name]["label"]
        return f"**{label}**" if name.startswith("adieu") else label

    def faults(self):
        """Where adieu itself could not be measured."""
        parts = {**self.results.get("cases", {}),
                 **{f"calls, {case}": found for case, found in self.results["calls"].items()}}
        parts.update({part: self.results[part] for part in ("memory", "start")
                      if part in self.results})
        return [f"{part}, {self.facts['servers'][name]['label']}: {result['why']}"
                for part, found in parts.items() for name, result in found.items()
                if name.startswith("adieu") and "why" in result]

    # ---- processor time ------------------------------------------------------------------------

    def cost(self, case, name):
        """Median and lowest of one server in one case, in the unit of the case; or None."""
        if not goals.costs(self.results, case, name):
            return None
        low, middle = (of(self.results, case, name) for of in (goals.lowest, goals.median))
        scale = cases.scale(self.known[case])[0]
        return middle / scale, low / scale

    def cell(self, case, name):
        """One cell: median / lowest (ratio of the lowest to the best peer's)."""
        cost = self.cost(case, name)
        if not cost:
            return "-"
        peer = goals.best(self.results, case)
        ratio = f" ({goals.lowest(self.results, case, name) / peer[0]:.2f})" if peer else ""
        ended = sum(one.get("ended", 0) for one in self.results["cases"][case][name]["rounds"])
        form = cases.scale(self.known[case])[2]
        return f"{cost[0]:{form}} / {cost[1]:{form}}{ratio}" + " c" * bool(ended)

    def processor(self, large):
        """The table of all cases of one unit; none if there are none."""
        found = [case for case in self.known if case in self.results["cases"]
                 and cases.is_large(self.known[case]) == large]
        names = [name for name in self.names if any(self.cost(case, name) for case in found)]
        if not names:
            return None
        rows = [[self.label(name)] + [self.cell(case, name) for case in found] for name in names]
        return table(["server", *found], rows)

    def rates(self):
        """The highest requests per second, or MiB/s, of each server in each case."""
        found = [case for case in self.known if case in self.results["cases"]]
        rows = []
        for name in self.names:
            row = [self.label(name)]
            for case in found:
                rounds = self.results["cases"][case].get(name, {}).get("rounds", ())
                scale = 1024 * cases.gib(self.known[case]) if cases.is_large(
                    self.known[case]) else 1
                most = max((one["requests"] * scale * 1e9 / one["ns"] for one in rounds),
                           default=None)
                row.append(f"{most:,.0f}" if most else "-")
            rows.append(row)
        return table(["server", *found], rows)

    def whys(self):
        """Why a cell is empty."""
        for case, found in self.results["cases"].items():
            for name, result in found.items():
                if "why" in result:
                    yield f"- {case}, {self.facts['servers'][name]['label']}: {result['why']}"

    # ---- calls, memory, start ------------------------------------------------------------------

    def calls(self):
        """System calls of one request."""
        rows = []
        cases_of = list(self.results["calls"])
        for name in self.names:
            row, words = [self.label(name)], "-"
            for case in cases_of:
                calls = self.results["calls"][case].get(name, {}).get("calls")
                row.append(f"{sum(calls.values()):.2f}" if calls else "-")
                if calls and case == "ka64":
                    words = ", ".join(
                        f"{call} {count:.2g}" for call, count in
                        sorted(calls.items(), key=lambda pair: -pair[1]) if count >= 0.005)
            if len(set(row[1:])) > 1 or row[1] != "-":
                rows.append([*row, words])
        head = []
        for case, found in self.results["calls"].items():
            most = max((one.get("requests", 0) for one in found.values()), default=0)
            head.append(f"{case}, {most:,} requests")
        return table(["server", *head, "the calls of ka64"], rows)

    def memory(self):
        """What each takes."""
        rows = []
        for name in self.names:
            one = self.results["memory"].get(name)
            if not one:
                continue
            if "why" in one:
                rows.append([self.label(name), one["why"]] + [""] * 10)
                continue
            half = (one["half"]["dirty"] - one["start"]["dirty"]) * 1024 / one["held"]
            rows.append([self.label(name), *(f"{one['few'][key]:,}" for key in
                                             ("dirty", "pss", "rss")),
                         f"{one['start']['dirty']:,}",
                         f"{one['idle_held']:,}", f"{one['idle']['dirty']:,}",
                         f"{goals.idle_bytes(one):,.0f}", f"{one['idle_after']['dirty']:,}",
                         f"{one['half_held']:,}", f"{one['half']['dirty']:,}", f"{half:,.0f}",
                         f"{one['half_after']['dirty']:,}"])
        return table(["server", "start, few slots: dirty", "PSS", "RSS", "start, all slots: dirty",
                      "idle, held", "dirty", "user bytes each", "dirty after", "half-sent, held",
                      "dirty", "user bytes each", "dirty after"], rows)

    def start(self):
        """From exec to the first answer."""
        rows = []
        for name in self.names:
            rounds = self.results["start"].get(name, {}).get("rounds", ())
            if rounds:
                row = [self.label(name)]
                for key in ("cpu_ns", "ns"):
                    values = [one[key] / 1e6 for one in rounds]
                    row.append(f"{statistics.median(values):.2f} / {min(values):.2f}")
                rows.append(row)
        return table(["server", "processor ms: median / lowest", "ms that passed"], rows)

    # ---- the page ------------------------------------------------------------------------------

    def goals(self):
        """The goals, row by row."""
        word = {True: "met", False: "**missed**", None: "not judged"}
        return table(["goal", "asked", "seen", ""],
                     [[one.goal, one.asked, one.seen, word[one.met]]
                      for one in goals.judge(self.results)])

    def told(self):
        """What adieu was told, case by case."""
        first = next(name for name in self.names if name.startswith("adieu"))
        known = set(self.facts["servers"][first]["keys"])
        rows = []
        for case in flags.CASES:
            pairs, missing = flags.settings(case, "SLOTS", [], known)
            always = [key for key, _ in flags.ALWAYS]
            own = " ".join(f"{key}={value}" for key, value in pairs
                           if key not in always)
            rows.append([case, f"`{own}`" if own else "", ", ".join(missing)])
        always = " ".join(f"{key}={value}" for key, value in
                          flags.settings("", "SLOTS", [], known)[0])
        variants = [f"- {self.facts['servers'][name]['label']}: `" + " ".join(
            f"{key}={'its default' if value is None else value}"
            for key, value in flags.VARIANTS[name][1]) + "`"
            for name in flags.VARIANTS if name in self.names]
        return "\n\n".join(
            [f"In every case: `{always}`, where SLOTS is {servers.SLOTS:,}, in `small` "
             f"{flags.SMALL_SLOTS}, and in `memory` as said there.",
             table(["case", "further", "keys that this program does not have"], rows)]
            + ["\n".join(variants)] * bool(variants))

    def lines_of_facts(self):
        """What the figures depend on."""
        facts = self.facts
        yield f"- command: `{facts['words']}`"
        yield f"- measured: {facts['began']} to {facts.get('ended', '?')} UTC"
        yield (f"- machine: Linux {facts['kernel']} {facts['arch']}, {facts['cores']} cores "
               f"({facts['processor']}); server on processor {facts['pinned'][0]}, client on "
               f"{facts['pinned'][1]}; load of the last minute "
               f"{min(facts['load']):.1f} to {max(facts['load']):.1f}")
        yield f"- files on {facts['place']}; Python {facts['python']}"
        for name, one in facts["servers"].items():
            if name not in flags.VARIANTS and name != "nginx-defer" and name not in servers.FLOORS:
                yield f"- {one['label']}: {one['version']}; {one['bytes']:,} bytes"
        if facts["missing"]:
            yield f"- not installed: {', '.join(facts['missing'])}"
        if facts.get("untraced"):
            yield f"- no system calls: {facts['untraced']}"

    def parts(self):
        """(heading, words, content) of each part that was measured."""
        small, large = self.processor(False), self.processor(True)
        if small:
            yield "Processor time of a request", texts.SMALL, small
        if large:
            yield "Large bodies", texts.LARGE, large
        if self.results["cases"]:
            yield "How fast", texts.RATES, self.rates()
        whys = "\n".join(self.whys())
        if whys:
            yield "What was not measured, and why", "", whys
        if self.results["calls"]:
            yield "System calls of a request", texts.CALLS, self.calls()
        if self.results.get("memory"):
            yield "Memory", texts.MEMORY, self.memory()
        if self.results.get("start"):
            yield "Start", texts.START, self.start()

    def brief(self):
        """The tables that a terminal is for."""
        found = [f"### {title}\n\n{content}" for title, _, content in self.parts()]
        return "\n\n".join([*found, "### Goals", self.goals()])

    def text(self):
        """The page."""
        found = [texts.HEAD, "\n".join(self.lines_of_facts()), "## What adieu is to reach",
                 texts.GOALS, self.goals()]
        for title, words, content in self.parts():
            found += [f"## {title}", words, content]
            if title == "Processor time of a request":
                found += self.pictures(False)
            if title == "Large bodies":
                found += self.pictures(True)
        found += ["## How it is measured", texts.METHOD, "## What adieu was told", self.told()]
        return "\n\n".join(part for part in found if part) + "\n"

    def drawn(self):
        """The cases that have a plot."""
        return [case for case in self.known
                if any(self.cost(case, name) for name in self.names)]

    def pictures(self, large):
        """The plots of one unit."""
        return [f"![{self.known[case].words}]({case}.svg)" for case in self.drawn()
                if cases.is_large(self.known[case]) == large]

    def draw(self, case):
        """The plot of one case."""
        rows = []
        for name in self.names:
            cost = self.cost(case, name)
            if cost:
                rows.append((name, self.facts["servers"][name]["label"], cost[1], cost[0]))
        unit = cases.scale(self.known[case])[1]
        return bars.bars(f"{self.known[case].words}: processor time, {unit}", unit,
                         sorted(rows, key=lambda row: row[2]))

    def write(self, folder):
        """Writes the page and its plots."""
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            if name.endswith(".svg"):
                os.remove(os.path.join(folder, name))
        for case in self.drawn():
            with open(os.path.join(folder, f"{case}.svg"), "w", encoding="utf-8") as file:
                file.write(self.draw(case))
        with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as file:
            file.write(self.text())
