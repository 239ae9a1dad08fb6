"""Plots as SVG: how many sockets of a swarm stood in which state, server by server.

Owns: the drawing. Must not: know where the numbers come from.

The colours are readable on white and on dark, and the background is nobody's.
"""

from xml.sax.saxutils import escape

WIDTH, PANEL_HEIGHT = 860, 120
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 46
COLUMNS, GAP_X, GAP_Y = 2, 66, 40
INK = "#808080"
COLOURS = {
    "SYN_RECV": "#b0b0b0",
    "ESTABLISHED, nobody's": "#9ecae1",
    "ESTABLISHED": "#3182bd",
    "CLOSE_WAIT": "#756bb1",
    "FIN_WAIT1": "#de2d26",
    "FIN_WAIT2": "#e6a01a",
    "CLOSING": "#8c564b",
    "LAST_ACK": "#e377c2",
    "FIN_WAIT1, nobody's": "#fc9272",
    "FIN_WAIT2, nobody's": "#74c476",
    "TIME_WAIT": "#4a7a4a",
}
OTHER = "#17becf"


def nice(most):
    """A round number at least as large."""
    step = 1
    while step * 10 < most:
        step *= 10
    for factor in (1, 2, 2.5, 4, 5, 8, 10):
        if step * factor >= most:
            return step * factor
    return most


def text(x, y, words, anchor="middle", size=11, extra=""):
    """One line of text."""
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{INK}" {extra}>{escape(words)}</text>')


def areas(series, names, scale_x, scale_y):
    """Stacked areas, the first name at the bottom."""
    below = [0] * len(series)
    for name in names:
        above = [base + counts.get(name, 0) for base, (_, counts) in zip(below, series)]
        if above != below:
            points = [(scale_x(at), scale_y(high)) for high, (at, _) in zip(above, series)]
            points += [(scale_x(at), scale_y(low))
                       for low, (at, _) in reversed(list(zip(below, series)))]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polygon points="{path}" fill="{COLOURS.get(name, OTHER)}"/>'
        below = above


def panel(x, y, width, most_x, most_y, title, series, names):
    """One server: its frame, its axes, its areas."""
    def scale_x(value):
        return x + width * min(value, most_x) / most_x

    def scale_y(value):
        return y + PANEL_HEIGHT * (1 - min(value, most_y) / most_y)

    yield text(x + width / 2, y - 6, title, size=12)
    yield from areas(series, names, scale_x, scale_y)
    yield (f'<path d="M{x} {y}V{y + PANEL_HEIGHT}H{x + width}" fill="none" stroke="{INK}"/>')
    for part in range(5):
        at = most_x * part / 4
        yield text(scale_x(at), y + PANEL_HEIGHT + 14, f"{at:g}", size=10)
    for part in range(3):
        at = most_y * part / 2
        yield text(x - 5, scale_y(at) + 4, f"{at:g}", "end", 10)


def states(title, panels, most_y):
    """A plot of several panels, [(title, [(seconds, {state: sockets})])]."""
    seen = {name for _, series in panels for _, counts in series for name in counts}
    names = [name for name in COLOURS if name in seen] + sorted(seen - set(COLOURS))
    most_x = nice(max((series[-1][0] for _, series in panels if series), default=1) or 1)
    most_y = nice(most_y)
    rows = -(-len(panels) // COLUMNS)
    width = (WIDTH - LEFT - RIGHT - GAP_X * (COLUMNS - 1)) / COLUMNS
    legend_rows = -(-len(names) // 4)
    height = TOP + 14 + rows * (PANEL_HEIGHT + GAP_Y) + BOTTOM + legend_rows * 18
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             f'width="{WIDTH}" height="{height}" font-family="sans-serif" role="img">',
             f"<title>{escape(title)}</title>", text(WIDTH / 2, 18, title, size=14)]
    for index, (name, series) in enumerate(panels):
        x = LEFT + (index % COLUMNS) * (width + GAP_X)
        y = TOP + 14 + (index // COLUMNS) * (PANEL_HEIGHT + GAP_Y)
        parts += panel(x, y, width, most_x, most_y, name, series, names)
    bottom = TOP + 14 + rows * (PANEL_HEIGHT + GAP_Y)
    parts.append(text(WIDTH / 2, bottom, "seconds since the swarm began"))
    middle = TOP + (bottom - TOP) / 2
    parts.append(text(14, middle, "sockets of the swarm at the server",
                      extra=f'transform="rotate(-90 14 {middle:.0f})"'))
    for index, name in enumerate(names):
        x = LEFT + (index % 4) * (WIDTH - LEFT) / 4
        y = bottom + 22 + (index // 4) * 18
        parts.append(f'<rect x="{x:.0f}" y="{y - 9:.0f}" width="10" height="10" '
                     f'fill="{COLOURS.get(name, OTHER)}"/>')
        parts.append(text(x + 15, y, name, "start"))
    return "\n".join(parts + ["</svg>"]) + "\n"
