"""The charts of the page, from a report's figures; each says in words what it shows."""

from __future__ import annotations

from markupsafe import Markup

from privacy.report.chart_curves import Places, curve_chart
from privacy.report.chart_reliability import reliability_chart
from privacy.report.charts import Bar, Dot, Level, Line, bar_chart, dot_plot, line_chart
from privacy.report.model import Report
from privacy.report.page_format import percent, plain, size
from privacy.report.parts import Arm, ArmName, Region, RoundQuality
from privacy.report.protection import Protection

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
_LINE_TONES = ("student", "rival", "public", "other")
_RELATIONS = {"add-or-remove-one": "", "replace-one": " swap"}


def charts_of(report: Report) -> dict[str, Markup]:
    """Return the page's charts by name; those that need a ledger only where one was read."""
    found = {
        "quality": _quality_chart(report),
        "arms": _arms_chart(report),
        "budget": _budget_chart(report),
        "bytes": _bytes_chart(report),
        "calibration": _round_chart(report, "calibration_error", title="Calibration error"),
        "agreement": _round_chart(report, "agreement", title="Agreement with the teacher"),
    }
    scaling = None if report.assessment is None else report.assessment.student_scaling
    if scaling is not None and scaling.before.bins:
        found["reliability"] = reliability_chart(scaling)
    evidence = report.ledger(report.worst.name)
    if evidence is not None:
        found["odds"] = _odds_chart(evidence.protection[0])
        if any(one.profile for one in evidence.protection):
            found["profile"] = _profile_chart(evidence.protection)
        if any(one.executed for one in report.ledgers):
            found["executed"] = _executed_chart(report)
    return found


def _executed_chart(report: Report) -> Markup:
    """Draw each region's odometer; regions with the same line share it."""
    together: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for one in report.ledgers:
        if one.executed:
            points = tuple((float(p.round), float(p.epsilon)) for p in one.executed)
            together.setdefault(((0.0, 0.0), *points), []).append(one.region)
    ordered = sorted(together.items(), key=lambda item: item[0][-1][1], reverse=True)
    ordered = ordered[: len(_LINE_TONES)]
    lines = [
        Line(_together(names, len(report.regions)), tone, points)
        for tone, (points, names) in zip(_LINE_TONES, ordered, strict=False)
    ]
    worst = report.worst
    levels = [
        Level("Charged", "teacher", float(worst.charged.epsilon)),
        Level("Budget", "other", float(worst.budget.epsilon)),
    ]
    said = "; ".join(
        f"{', '.join(names)} reach {points[-1][1]:.3f} in round {points[-1][0]:.0f}"
        for points, names in ordered
    )
    alt = (
        f"ε of the released steps by round, not a guarantee: {said}. Charged "
        f"{worst.charged.epsilon}, budget {worst.budget.epsilon}."
    )
    return line_chart(lines, levels, alt=alt, low=0.0)


def _profile_chart(protections: tuple[Protection, ...]) -> Markup:
    shown = [one for one in protections if one.profile][: len(_LINE_TONES)]
    lines, texts = [], []
    for tone, one in zip(_LINE_TONES, shown, strict=False):
        name = f"{one.bound.unit}{_RELATIONS[one.bound.neighbours]}"
        points = tuple((-float(p.delta.log10()), float(p.epsilon)) for p in one.profile)
        lines.append(Line(name, tone, points))
        ends = (one.profile[0], one.profile[-1])
        texts.append(
            f"{name} from {ends[0].epsilon} at {plain(ends[0].delta)} to {ends[1].epsilon} at "
            f"{plain(ends[1].delta)}"
        )
    marks = tuple(
        (-float(p.delta.log10()), plain(p.delta).replace("e-", "e\N{MINUS SIGN}"))
        if p.delta < 1
        else (0.0, "1")
        for p in shown[0].profile
    )
    alt = f"ε at each δ, for all charges together: {'; '.join(texts)}."
    return curve_chart(lines, Places("δ", marks), alt=alt)


def _odds_chart(one: Protection) -> Markup:
    bars = [
        Bar(
            label=f"at {percent(odds.false_positives)} false alarms",
            text=f"at most {percent(odds.true_positives)} found",
            value=float(odds.true_positives),
            limit=1.0,
        )
        for odds in one.odds
    ]
    bars.append(
        Bar(
            label="right guesses of an even bet",
            text=f"at most {percent(one.right_guesses)}",
            value=float(one.right_guesses),
            limit=1.0,
        )
    )
    return bar_chart(
        bars, alt=f"What any attack on one {one.bound.unit} reaches: {_listing(bars)}."
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
            text=f"{_left(region)} left of {plain(region.budget.epsilon)}",
            value=float(region.charged.epsilon),
            limit=float(region.budget.epsilon),
        )
        for region in report.regions
    ]
    return bar_chart(bars, alt=f"ε that is left, by region: {_listing(bars)}.")


def _bytes_chart(report: Report) -> Markup:
    bars = [
        Bar(label=region.name, text=size(region.bytes_out), value=float(region.bytes_out))
        for region in report.regions
    ]
    return bar_chart(bars, alt=f"Masked bytes that left each region: {_listing(bars)}.")


def _left(region: Region) -> str:
    return plain(region.budget.guarantee.minus(region.charged.guarantee).epsilon)


def _together(names: list[str], regions: int) -> str:
    if len(names) == 1:
        return names[0]
    return f"All {regions} regions" if len(names) == regions else f"{len(names)} regions"


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
