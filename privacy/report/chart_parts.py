"""The strokes that charts are made of: SVG elements as markup, one pure function each.

Colours are classes of the page that shows a chart.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from privacy.report.chart_scale import Scale, nice_ticks, spread

WIDTH = 400
ROW = 46
_LABEL_GAP = 15.0
_ROW_CHARACTERS = 48  # what a row has room for in the widest of the usual system fonts
_LEAST_SPAN = 0.1  # of an axis of shares: a hundredth more or less shall not look like a cliff


def end_labels(ends: Sequence[tuple[str, str, float]], y: Scale, *, at: float) -> list[Markup]:
    """Name each line at its right end, with a short leader where the name had to move."""
    wanted = [y(value) for _, _, value in ends]
    placed = spread(wanted, gap=_LABEL_GAP, low=y.end, high=y.start)
    parts: list[Markup] = []
    for (label, tone, value), start, place in zip(ends, wanted, placed, strict=True):
        parts.append(path("leader " + tone, [(at + 2, start), (at + 12, place)]))
        parts.append(
            Markup('<text class="end {}" x="{:.1f}" y="{:.1f}">{} {:.3f}</text>').format(
                tone, at + 15, place + 4, label, value
            )
        )
    return parts


def round_axis(x: Scale, last: float, *, at: float) -> list[Markup]:
    """Draw the axis of rounds, from 0 to ``last``."""
    ticks = (tick for tick in nice_ticks(0, max(last, 4)) if tick <= max(last, 1))
    parts = [written(x(tick), at + 18, f"{tick:.0f}", "middle") for tick in ticks]
    return [*parts, written((x.start + x.end) / 2, at + 36, "round", "middle")]


def row_head(base: float, label: str, text: str) -> list[Markup]:
    """Write a row's label and figure; a label that has no room is cut."""
    room = max(_ROW_CHARACTERS - len(text), 8)
    label = label if len(label) <= room else label[: room - 1].rstrip() + "…"
    return [written(0, base + 15, label, "start"), written(WIDTH, base + 15, text, "end")]


def grid_line(start: float, end: float, at: float, text: str) -> Markup:
    """Draw a line across with its value at the left."""
    return Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>{}').format(
        start, end, at, at, written(start - 5, at + 4, text, "end")
    )


def tick_mark(x: float, y: float) -> Markup:
    """Draw a short line up."""
    return Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(
        x, y, y + 16
    )


def written(x: float, y: float, text: str, anchor: str) -> Markup:
    """Write words."""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def path(tone: str, places: Sequence[tuple[float, float]]) -> Markup:
    """Draw a line through places."""
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    return Markup('<polyline class="stroke {}" points="{}"/>').format(tone, points)


def circle(tone: str, x: float, y: float, *, radius: float) -> Markup:
    """Draw a dot."""
    return Markup('<circle class="fill {}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
        tone, x, y, radius
    )


def ring(tone: str, x: float, y: float, *, radius: float) -> Markup:
    """Draw a dot that is hollow."""
    return Markup('<circle class="ring {}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
        tone, x, y, radius
    )


def rectangle(kind: str, x: float, y: float, width: float) -> Markup:
    """Draw a bar."""
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12" rx="2"/>'
    ).format(kind, x, y, width)


def svg(height: float, alt: str, parts: Sequence[Markup]) -> Markup:
    """Put a drawing together, with what it shows for whoever does not see it."""
    head = Markup('<svg xmlns="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        "http://www.w3.org/2000/svg", WIDTH, height, alt
    )
    return head + Markup("\n").join(parts) + Markup("</svg>")


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the least and largest value, apart enough for an axis of shares."""
    low, high = min(values), max(values)
    missing = max(_LEAST_SPAN - (high - low), 0.0)
    if low > 0:
        low = max(low - missing / 2, 0.0)
    return low, max(high, low + _LEAST_SPAN)
