"""Curves over an axis whose places have names of their own, such as powers of ten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from privacy.report.chart_parts import (
    WIDTH,
    circle,
    end_labels,
    grid_line,
    limits,
    path,
    svg,
    written,
)
from privacy.report.chart_scale import Scale, nice_ticks, tick_texts
from privacy.report.charts import Line


@dataclass(frozen=True, slots=True)
class Places:
    """A horizontal axis: what it is called, and its places with what is written there."""

    label: str
    marks: tuple[tuple[float, str], ...]


def curve_chart(lines: Sequence[Line], places: Places, *, alt: str) -> Markup:
    """Draw lines over named places, each named at its right end; the other axis begins at 0.

    Args:
        lines: At least one, each with at least one point.
        places: The horizontal axis; at least two marks, ascending.
        alt: What the chart shows, for whoever does not see it.
    """
    left, right, top, bottom = 40, WIDTH - 140, 14, 228
    ticks = nice_ticks(*limits([0.0, *(y for line in lines for _, y in line.points)]))
    x = Scale(places.marks[0][0], places.marks[-1][0], left + 8, right)
    y = Scale(ticks[0], ticks[-1], bottom, top)
    parts = [
        grid_line(left, right, y(tick), text)
        for tick, text in zip(ticks, tick_texts(ticks), strict=True)
    ]
    parts += [written(x(at), bottom + 18, text, "middle") for at, text in places.marks]
    parts.append(written((left + right) / 2, bottom + 36, places.label, "middle"))
    for line in lines:
        drawn = [(x(a), y(b)) for a, b in line.points]
        parts.append(path(line.tone, drawn))
        parts += [circle(line.tone, *place, radius=3) for place in drawn]
    ends = [(line.label, line.tone, line.points[-1][1]) for line in lines]
    return svg(bottom + 42, alt, [*parts, *end_labels(ends, y, at=right)])
