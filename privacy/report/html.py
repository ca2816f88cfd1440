"""The report as a page for people: one file of HTML, no script, nothing loaded from anywhere.

The prose is in the template, with the page's style; here are the charts' data and the way numbers
are written.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from privacy.report.charts import Bar, Dot, Level, Line, bar_chart, dot_plot, line_chart
from privacy.report.claim import delta_text, guess_percent, in_plain_words
from privacy.report.model import Report
from privacy.report.parts import Arm, ArmName, RoundQuality

_TONES = {
    ArmName.TEACHER: "teacher",
    ArmName.DISTILLED: "student",
    ArmName.WITHOUT_TEACHER: "rival",
    ArmName.PUBLIC_ONLY: "public",
}
_LEVELS = {
    ArmName.TEACHER: "Teacher",
    ArmName.WITHOUT_TEACHER: "No teacher",
    ArmName.PUBLIC_ONLY: "Public only",
}


def render(report: Report) -> str:
    """Return the page: valid HTML5, complete in itself, light and dark, for screen and paper."""
    environment = Environment(
        loader=PackageLoader("privacy.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_typographic,
    )
    environment.filters.update(
        score=_score, percent=_percent, size=_size, count=_count, duration=_duration
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        charged=report.worst.charged,
        same_charge=len({region.charged for region in report.regions}) == 1,
        delta=delta_text,
        in_plain_words=in_plain_words,
        guess_percent=guess_percent,
        arm={name.replace("-", "_"): report.arm(name) for name in ArmName},
        charts={
            "quality": _quality_chart(report),
            "arms": _arms_chart(report),
            "budget": _budget_chart(report),
            "bytes": _bytes_chart(report),
            "calibration": _round_chart(report, "calibration_error", title="Calibration error"),
            "agreement": _round_chart(report, "agreement", title="Agreement with the teacher"),
        },
    )


def _quality_chart(report: Report) -> Markup:
    levels = [
        Level(label, _TONES[name], float(arm.accuracy))
        for name, label in _LEVELS.items()
        if (arm := report.arm(name)) is not None
    ]
    points = tuple((float(one.round), float(one.accuracy)) for one in report.rounds)
    against = ", ".join(f"{level.label.lower()} {level.value:.3f}" for level in levels)
    return line_chart(
        [Line("Student", "student", points)],
        levels,
        alt=f"Accuracy by round: student from {_from_to(report, 'accuracy')}. Levels: {against}.",
    )


def _round_chart(report: Report, name: str, *, title: str) -> Markup:
    points = tuple((float(one.round), float(getattr(one, name))) for one in report.rounds)
    alt = f"{title} by round: from {_from_to(report, name)}."
    return line_chart([Line("Student", "student", points)], [], alt=alt, low=0.0)


def _arms_chart(report: Report) -> Markup:
    arms = sorted(report.arms, key=lambda arm: arm.accuracy, reverse=True)
    dots = [
        Dot(
            label=arm.title,
            text=_with_spread(arm),
            tone=_TONES.get(arm.name, "other"),
            mean=float(arm.accuracy),
            sd=float(arm.accuracy_sd),
        )
        for arm in arms
    ]
    listing = "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    return dot_plot(dots, alt=f"Accuracy of each way of training, best first: {listing}.")


def _budget_chart(report: Report) -> Markup:
    bars = [
        Bar(
            label=region.name,
            text=f"{region.charged.epsilon} of {region.budget.epsilon}",
            value=float(region.charged.epsilon),
            limit=float(region.budget.epsilon),
        )
        for region in report.regions
    ]
    return bar_chart(bars, alt=f"ε charged and granted by region: {_listing(bars)}.")


def _bytes_chart(report: Report) -> Markup:
    bars = [
        Bar(label=region.name, text=_size(region.bytes_out), value=float(region.bytes_out))
        for region in report.regions
    ]
    return bar_chart(bars, alt=f"Masked bytes that left each region: {_listing(bars)}.")


def _listing(bars: list[Bar]) -> str:
    return "; ".join(f"{bar.label} {bar.text}" for bar in bars)


def _from_to(report: Report, name: str) -> str:
    def at(one: RoundQuality) -> str:
        return f"{getattr(one, name):.3f} in round {one.round}"

    return f"{at(report.rounds[0])} to {at(report.final)}"


def _with_spread(arm: Arm) -> str:
    if arm.seeds == 1:
        return f"{arm.accuracy:.3f}" if arm.is_fixed else f"{arm.accuracy:.3f}, one seed"
    return f"{arm.accuracy:.3f} ± {arm.accuracy_sd:.3f}"


def _typographic(value: object) -> object:
    """Set apostrophes and numbers as a printer would; what is markup already stays as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = value.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    text = re.sub(r"(?<=\de)-(?=\d)", "\N{MINUS SIGN}", text)  # no line ends within 1e-5
    return re.sub("([εδ]) = ", "\\1\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}", text)


def _score(value: Decimal) -> str:
    """Write a figure in [0, 1] with three decimals."""
    return f"{value:.3f}"


def _percent(value: Decimal | Fraction) -> str:
    """Write a share as a percentage, kept on one line."""
    return f"{float(100 * value):.3g}\N{NO-BREAK SPACE}%"


def _count(value: int) -> str:
    """Write an integer with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _size(value: int) -> str:
    """Write a number of bytes as people read it, in powers of 1000."""
    size, unit = float(value), "bytes"
    for larger in ("kB", "MB", "GB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    text = f"{size:.3g}" if size < 1000 else f"{size:.0f}"
    return f"{text}\N{NO-BREAK SPACE}{unit}"


def _duration(value: Decimal) -> str:
    """Write seconds, or minutes and seconds."""
    if value < 100:
        return f"{value:.1f}\N{NO-BREAK SPACE}s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes}\N{NO-BREAK SPACE}min {seconds}\N{NO-BREAK SPACE}s"
