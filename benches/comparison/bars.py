"""Plots as SVG: what one case costs with each server, as bars.

Owns: the drawing. Must not: know where the numbers come from.

The bar ends at the lowest round, the line behind it at the median. The colours are readable on
white and on dark, and the background is nobody's.
"""

from xml.sax.saxutils import escape

from lab.plot import INK, nice, text

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 860, 250, 110, 34, 24, 30
OURS, PEER, FLOOR = "#3182bd", "#e6a01a", "#9a9a9a"


def colour(name):
    """By who it is."""
    if name.startswith("adieu"):
        return OURS
    return FLOOR if name.startswith("floor") else PEER


def bars(title, unit, rows):
    """A plot of [(name, label, lowest, median)], in the order given."""
    most = nice(max(row[3] for row in rows))
    width = WIDTH - LEFT - RIGHT
    height = TOP + ROW * len(rows) + BOTTOM
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             f'width="{WIDTH}" height="{height}" font-family="sans-serif" role="img">',
             f"<title>{escape(title)}</title>", text(WIDTH / 2, 18, title, size=14)]
    for index, (name, label, low, middle) in enumerate(rows):
        y = TOP + index * ROW
        end, line = LEFT + width * low / most, LEFT + width * middle / most
        parts.append(text(LEFT - 8, y + 15, label, "end", 12))
        parts.append(f'<rect x="{LEFT}" y="{y + 4}" width="{end - LEFT:.1f}" height="{ROW - 8}" '
                     f'fill="{colour(name)}"/>')
        parts.append(f'<path d="M{end:.1f} {y + ROW / 2}H{line:.1f}M{line:.1f} {y + 7}'
                     f'V{y + ROW - 7}" stroke="{colour(name)}" fill="none"/>')
        parts.append(text(max(end, line) + 6, y + 15, f"{low:.3g} / {middle:.3g}", "start"))
    foot = TOP + ROW * len(rows)
    parts.append(f'<path d="M{LEFT} {TOP}V{foot}H{LEFT + width}" fill="none" stroke="{INK}"/>')
    parts += [text(LEFT + width * part / 4, foot + 14, f"{most * part / 4:g}", size=10)
              for part in range(5)]
    parts.append(text(LEFT + width, foot + 26, unit, "end", 10))
    return "\n".join(parts + ["</svg>"]) + "\n"
