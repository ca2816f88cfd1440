"""The reliability diagram: how often answers are right, against how sure the student was.

A dot a bin, its whisker the interval of its share of right answers; a ring is the same bin once a
temperature is applied. On the diagonal a model knows how sure it may be.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from privacy.report.assessment import ReliabilityBin, Scaling
from privacy.report.chart_parts import WIDTH, circle, grid_line, path, ring, svg, written
from privacy.report.chart_scale import Scale

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, WIDTH - 12, 12, 272
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability_chart(scaling: Scaling) -> Markup:
    """Draw the student's bins as it is, and at the fitted temperature.

    Args:
        scaling: At least one bin before and after.
    """
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(0, 1, _BOTTOM, _TOP)
    parts = [*_axes(x, y), path("diagonal", [(x(0), y(0)), (x(1), y(1))])]
    for one in scaling.before.bins:
        place = x(float(one.confidence))
        parts.append(path("interval student", [(place, y(float(e))) for e in (one.low, one.high)]))
    for one in scaling.after.bins:
        parts.append(ring("rival", x(float(one.confidence)), y(float(one.accuracy)), radius=3.5))
    for one in scaling.before.bins:
        parts.append(
            circle("student", x(float(one.confidence)), y(float(one.accuracy)), radius=3.5)
        )
    parts += [circle("student", _LEFT + 14, _TOP + 12, radius=3.5)]
    parts += [written(_LEFT + 24, _TOP + 16, "as it is", "start")]
    parts += [ring("rival", _LEFT + 14, _TOP + 32, radius=3.5)]
    parts += [written(_LEFT + 24, _TOP + 36, f"temperature {scaling.temperature:.2f}", "start")]
    return svg(_BOTTOM + 44, _in_words(scaling), parts)


def _in_words(scaling: Scaling) -> str:
    before, after = scaling.before, scaling.after
    return (
        f"Share of right answers against confidence, in {len(before.bins)} groups of like "
        f"confidence: {_ends(before.bins)}. Calibration error {before.error:.3f} as it is, "
        f"{after.error:.3f} at temperature {scaling.temperature:.2f}."
    )


def _ends(bins: Sequence[ReliabilityBin]) -> str:
    first, last = bins[0], bins[-1]
    return (
        f"from {first.accuracy:.3f} right at confidence {first.confidence:.3f} to "
        f"{last.accuracy:.3f} right at {last.confidence:.3f}"
    )


def _axes(x: Scale, y: Scale) -> list[Markup]:
    parts = [grid_line(_LEFT, _RIGHT, y(tick), f"{tick:.1f}") for tick in _TICKS]
    parts += [written(x(tick), _BOTTOM + 18, f"{tick:.1f}", "middle") for tick in _TICKS]
    middle = (_LEFT + _RIGHT) / 2
    return [*parts, written(middle, _BOTTOM + 37, "confidence", "middle")]
