"""The tables of docs/close.md: what each flavour of adieu loses and costs.

Owns: what stands between the marks of that page. Must not: touch another line of it.
"""

import cells
import judge
import report
import servers
import swarms


def loss(page, scenarios, name, add):
    """The sum of `add` over the cells that the default flavour ends within its budgets."""
    total = 0
    for scenario in scenarios:
        for where in page.links:
            ours = page.get(scenario, where, "linger")
            theirs = page.get(scenario, where, name)
            if not ours or not theirs or "rounds" not in theirs or "rounds" not in ours:
                continue
            if not any(judge.cut_as_due(scenario, where, one) for one in ours["rounds"]):
                total += sum(add(one) for one in theirs["rounds"])
    return total


def losses(page):
    """What each flavour loses."""
    uploads = [f"{way}-{size}" for way in ("upload", "late") for size in cells.UPLOADS]
    groups = {
        "refused upload of 64 KiB": [name for name in uploads if name.endswith("-64K")],
        "refused upload of 512 KiB and more": [name for name in uploads
                                               if not name.endswith("-64K")],
        "refused upload, answer of 200 kB": ["page-512K"],
        "pipeline broken in the middle": ["pipeline"],
        "half-closed client": ["half-closed"],
        "slow reader": ["slow-reader"],
    }
    names = [name for name in servers.OURS if name in page.names]
    rows = []
    for words, scenarios in groups.items():
        row = [words]
        for name in names:
            came, due, reset = (loss(page, scenarios, name, add) for add in (
                lambda one: one["delivered"], lambda one: one["due"],
                lambda one: one["reset"]))
            row.append(f"{came}/{due}" + (f", {reset} resets" if reset else ""))
        rows.append(row)
    row = ["request at the end of an idle connection"]
    for name in names:
        came, fin, behind = (loss(page, ["race"], name, add) for add in (
            lambda one: one["outcome"] == "answered", lambda one: one["outcome"] == "fin",
            lambda one: one["reset"]))
        row.append(f"{came} answered, {fin} FIN" + (f", {behind} resets" if behind else ""))
    return report.table(["", *names], [*rows, row])


def costs(page):
    """What each flavour costs."""
    names = [name for name in servers.OURS if name in page.names]
    rows = []
    for shape, words in swarms.SWARMS.items():
        found = [page.figures(f"swarm-{shape}", name) for name in names]
        if all(found):
            rows.append([words.split(":")[0]] + [
                f"{one['seconds']:.1f} / {one['last']:.1f} / {one['orphans']} / "
                f"{one['nobodys']}" for one in found])
    return report.table(["", *names], rows)


def fill(page, path):
    """Writes the tables between the marks of another page."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for mark, content in (("losses", losses(page)), ("costs", costs(page))):
        before, _, rest = text.partition(f"<!-- {mark} -->\n")
        _, _, after = rest.partition("<!-- end -->\n")
        text = f"{before}<!-- {mark} -->\n{content}\n<!-- end -->\n{after}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
