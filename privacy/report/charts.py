"""Charts as inline SVG: no script, no font, no network; each is one pure function.

A chart is 400 units wide, so that its text stays readable on a phone. Colours are classes of the
page that shows it, which knows light from dark; whatever a colour says, a label says too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from privacy.report.chart_parts import (
    ROW,
    WIDTH,
    circle,
    end_labels,
    grid_line,
    limits,
    path,
    rectangle,
    round_axis,
    row_head,
    svg,
    tick_mark,
    written,
)
from privacy.report.chart_scale import Scale, nice_ticks, tick_texts


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity over rounds; ``tone`` is its class of colour and dash."""

    label: str
    tone: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A value to compare with, drawn across the chart."""

    label: str
    tone: str
    value: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A quantity from zero, with what is written beside it and, if any, its limit."""

    label: str
    text: str
    value: float
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """A mean with its spread."""

    label: str
    text: str
    tone: str
    mean: float
    sd: float


def line_chart(
    lines: Sequence[Line], levels: Sequence[Level], *, alt: str, low: float | None = None
) -> Markup:
    """Draw lines over rounds and levels across, each named at its right end.

    Args:
        lines: At least one, each with at least one point.
        levels: What to compare with.
        alt: What the chart shows, for whoever does not see it.
        low: A value that the axis reaches down to, if the data do not.
    """
    left, right, top, bottom = 40, WIDTH - 140, 14, 228
    values = [y for line in lines for _, y in line.points] + [level.value for level in levels]
    ticks = nice_ticks(*limits([*values, *([] if low is None else [low])]))
    last = max(x for line in lines for x, _ in line.points)
    x = Scale(0, max(last, 1), left + 4, right)
    y = Scale(ticks[0], ticks[-1], bottom, top)
    parts = [
        grid_line(left, right, y(tick), text)
        for tick, text in zip(ticks, tick_texts(ticks), strict=True)
    ]
    parts += round_axis(x, last, at=bottom)
    for level in levels:
        parts.append(path(level.tone, [(left, y(level.value)), (right, y(level.value))]))
    for line in lines:
        places = [(x(a), y(b)) for a, b in line.points]
        parts.append(path(line.tone, places))
        parts += [circle(line.tone, *place, radius=3) for place in places]
    ends = [(level.label, level.tone, level.value) for level in levels]
    ends += [(line.label, line.tone, line.points[-1][1]) for line in lines]
    parts += end_labels(ends, y, at=right)
    return svg(bottom + 42, alt, parts)


def bar_chart(bars: Sequence[Bar], *, alt: str) -> Markup:
    """Draw one bar a row from zero, inside its limit if it has one.

    Args:
        bars: At least one; values >= 0.
        alt: What the chart shows, for whoever does not see it.
    """
    reach = max(max(bar.value, bar.limit or 0.0) for bar in bars) or 1.0
    x = Scale(0, reach, 1, WIDTH - 1)
    parts: list[Markup] = []
    for i, bar in enumerate(bars):
        base = ROW * i
        parts += row_head(base, bar.label, bar.text)
        if bar.limit is not None:
            parts.append(rectangle("limit", x(0), base + 22, x(bar.limit) - x(0)))
        parts.append(rectangle("bar", x(0), base + 22, x(bar.value) - x(0)))
    return svg(ROW * len(bars), alt, parts)


def dot_plot(dots: Sequence[Dot], *, alt: str) -> Markup:
    """Draw one mean a row with a whisker of one standard deviation either side.

    Args:
        dots: At least one.
        alt: What the chart shows, for whoever does not see it.
    """
    ticks = nice_ticks(*limits([d.mean + side * d.sd for d in dots for side in (-1, 1)]))
    x = Scale(ticks[0], ticks[-1], 14, WIDTH - 14)
    bottom = ROW * len(dots)
    parts = [
        written(x(tick), bottom + 16, text, "middle")
        for tick, text in zip(ticks, tick_texts(ticks), strict=True)
    ]
    for i, dot in enumerate(dots):
        base = ROW * i
        parts += row_head(base, dot.label, dot.text)
        parts += [tick_mark(x(tick), base + 20) for tick in ticks]
        parts.append(
            path(
                "whisker " + dot.tone,
                [(x(dot.mean - dot.sd), base + 28), (x(dot.mean + dot.sd), base + 28)],
            )
        )
        parts.append(circle(dot.tone, x(dot.mean), base + 28, radius=5.5))
    return svg(bottom + 24, alt, parts)
