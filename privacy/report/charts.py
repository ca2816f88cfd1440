"""Charts as inline SVG: no script, no font, no network; each is one pure function.

A chart is 400 units wide, so that its text stays readable on a phone. Colours are classes of the
page that shows it, which knows light from dark; whatever a colour says, a label says too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from privacy.report.chart_scale import Scale, nice_ticks, spread, tick_texts

WIDTH = 400
_ROW = 46
_LABEL_GAP = 15.0
_ROW_CHARACTERS = 48  # what a row has room for in the widest of the usual system fonts
_LEAST_SPAN = 0.1  # of an axis of shares: a hundredth more or less shall not look like a cliff


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
    ticks = nice_ticks(*_limits([*values, *([] if low is None else [low])]))
    last = max(x for line in lines for x, _ in line.points)
    x = Scale(0, max(last, 1), left + 4, right)
    y = Scale(ticks[0], ticks[-1], bottom, top)
    parts = [
        _grid_line(left, right, y(tick), text)
        for tick, text in zip(ticks, tick_texts(ticks), strict=True)
    ]
    parts += _round_axis(x, last, at=bottom)
    for level in levels:
        parts.append(_path(level.tone, [(left, y(level.value)), (right, y(level.value))]))
    for line in lines:
        places = [(x(a), y(b)) for a, b in line.points]
        parts.append(_path(line.tone, places))
        parts += [_circle(line.tone, *place, radius=3) for place in places]
    ends = [(level.label, level.tone, level.value) for level in levels]
    ends += [(line.label, line.tone, line.points[-1][1]) for line in lines]
    parts += _end_labels(ends, y, at=right)
    return _svg(bottom + 42, alt, parts)


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
        base = _ROW * i
        parts += _row_head(base, bar.label, bar.text)
        if bar.limit is not None:
            parts.append(_rectangle("limit", x(0), base + 22, x(bar.limit) - x(0)))
        parts.append(_rectangle("bar", x(0), base + 22, x(bar.value) - x(0)))
    return _svg(_ROW * len(bars), alt, parts)


def dot_plot(dots: Sequence[Dot], *, alt: str) -> Markup:
    """Draw one mean a row with a whisker of one standard deviation either side.

    Args:
        dots: At least one.
        alt: What the chart shows, for whoever does not see it.
    """
    ticks = nice_ticks(*_limits([d.mean + side * d.sd for d in dots for side in (-1, 1)]))
    x = Scale(ticks[0], ticks[-1], 14, WIDTH - 14)
    bottom = _ROW * len(dots)
    parts = [
        _text(x(tick), bottom + 16, text, "middle")
        for tick, text in zip(ticks, tick_texts(ticks), strict=True)
    ]
    for i, dot in enumerate(dots):
        base = _ROW * i
        parts += _row_head(base, dot.label, dot.text)
        parts += [_tick_mark(x(tick), base + 20) for tick in ticks]
        parts.append(
            _path(
                "whisker " + dot.tone,
                [(x(dot.mean - dot.sd), base + 28), (x(dot.mean + dot.sd), base + 28)],
            )
        )
        parts.append(_circle(dot.tone, x(dot.mean), base + 28, radius=5.5))
    return _svg(bottom + 24, alt, parts)


def _end_labels(ends: Sequence[tuple[str, str, float]], y: Scale, *, at: float) -> list[Markup]:
    """Name each line at its right end, with a short leader where the name had to move."""
    wanted = [y(value) for _, _, value in ends]
    placed = spread(wanted, gap=_LABEL_GAP, low=y.end, high=y.start)
    parts: list[Markup] = []
    for (label, tone, value), start, place in zip(ends, wanted, placed, strict=True):
        parts.append(_path("leader " + tone, [(at + 2, start), (at + 12, place)]))
        parts.append(
            Markup('<text class="end {}" x="{:.1f}" y="{:.1f}">{} {:.3f}</text>').format(
                tone, at + 15, place + 4, label, value
            )
        )
    return parts


def _round_axis(x: Scale, last: float, *, at: float) -> list[Markup]:
    ticks = (tick for tick in nice_ticks(0, max(last, 4)) if tick <= max(last, 1))
    parts = [_text(x(tick), at + 18, f"{tick:.0f}", "middle") for tick in ticks]
    return [*parts, _text((x.start + x.end) / 2, at + 36, "round", "middle")]


def _row_head(base: float, label: str, text: str) -> list[Markup]:
    room = max(_ROW_CHARACTERS - len(text), 8)
    label = label if len(label) <= room else label[: room - 1].rstrip() + "…"
    return [_text(0, base + 15, label, "start"), _text(WIDTH, base + 15, text, "end")]


def _grid_line(start: float, end: float, at: float, text: str) -> Markup:
    return Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>{}').format(
        start, end, at, at, _text(start - 5, at + 4, text, "end")
    )


def _tick_mark(x: float, y: float) -> Markup:
    return Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(
        x, y, y + 16
    )


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def _path(tone: str, places: Sequence[tuple[float, float]]) -> Markup:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    return Markup('<polyline class="stroke {}" points="{}"/>').format(tone, points)


def _circle(tone: str, x: float, y: float, *, radius: float) -> Markup:
    return Markup('<circle class="fill {}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(
        tone, x, y, radius
    )


def _rectangle(kind: str, x: float, y: float, width: float) -> Markup:
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12" rx="2"/>'
    ).format(kind, x, y, width)


def _svg(height: float, alt: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg xmlns="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        "http://www.w3.org/2000/svg", WIDTH, height, alt
    )
    return head + Markup("\n").join(parts) + Markup("</svg>")


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the least and largest value, apart enough for an axis of shares."""
    low, high = min(values), max(values)
    missing = max(_LEAST_SPAN - (high - low), 0.0)
    if low > 0:
        low = max(low - missing / 2, 0.0)
    return low, max(high, low + _LEAST_SPAN)
