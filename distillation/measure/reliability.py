"""The reliability diagram as inline SVG, with the classes of the report's other charts.

A dot a bin, its whisker the interval of its accuracy; the diagonal is a model that knows how sure
it may be. Colours are classes of the page; a label says what a colour says.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from distillation.errors import TrainingError
from distillation.measure.calibration import Bin
from privacy.report.chart_scale import Scale

_WIDTH, _HEIGHT = 400, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 388, 12, 252
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability_chart(bins: Sequence[Bin], *, alt: str) -> Markup:
    """Draw accuracy against confidence.

    Args:
        bins: At least one, as `Calibration` has them.
        alt: What the chart shows, for whoever does not see it.

    Raises:
        TrainingError: If there are no bins.
    """
    if not bins:
        raise TrainingError("expected at least one bin to draw, got none")
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(0, 1, _BOTTOM, _TOP)
    parts = [*_axes(x, y), _line("stroke other", (x(0), y(0)), (x(1), y(1)))]
    for one in bins:
        place = x(one.confidence)
        parts.append(_line("stroke whisker student", (place, y(one.low)), (place, y(one.high))))
        parts.append(
            Markup(
                '<circle class="fill student" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}</title>'
                "</circle>"
            ).format(place, y(one.accuracy), _words(one))
        )
    head = Markup('<svg xmlns="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        "http://www.w3.org/2000/svg", _WIDTH, _HEIGHT, alt
    )
    return head + Markup("\n").join(parts) + Markup("</svg>")


def _words(one: Bin) -> str:
    return (
        f"{one.records} records, confidence {one.confidence:.3f}, accuracy {one.accuracy:.3f} "
        f"[{one.low:.3f}, {one.high:.3f}]"
    )


def _axes(x: Scale, y: Scale) -> list[Markup]:
    parts = []
    for tick in _TICKS:
        parts.append(_line("grid", (_LEFT, y(tick)), (_RIGHT, y(tick))))
        parts.append(_text(_LEFT - 6, y(tick) + 4, f"{tick:.1f}", "end"))
        parts.append(_text(x(tick), _BOTTOM + 18, f"{tick:.1f}", "middle"))
    middle = (_LEFT + _RIGHT) / 2
    parts.append(_text(middle, _BOTTOM + 38, "confidence; up: share that is right", "middle"))
    return parts


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> Markup:
    return Markup('<polyline class="{}" points="{:.1f},{:.1f} {:.1f},{:.1f}"/>').format(
        kind, *start, *end
    )


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )
