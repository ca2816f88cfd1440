"""An assessment that tests start from: 1,834 records, 15 bins, as many parts as asked for."""

from __future__ import annotations

from decimal import Decimal

from privacy.report.assessment import (
    PUBLIC_BASIS,
    Answered,
    Assessment,
    Calibration,
    Estimate,
    FigureName,
    ModelCost,
    ReliabilityBin,
    Scaling,
    SideBySide,
    SliceQuality,
)
from privacy.report.part_checks import figure

_BINS = 15
_PER_BIN = 122
RECORDS = _BINS * _PER_BIN


def estimate(value: float, *, half: float = 0.02) -> Estimate:
    """A figure with a range of ``half`` either side."""
    return Estimate(figure(value), figure(max(0.0, value - half)), figure(value + half))


def bins(*, over: float) -> tuple[ReliabilityBin, ...]:
    """Bins whose confidence is ``over`` above what is right, as far as there is room."""
    right = [0.1 + 0.85 * place / (_BINS - 1) for place in range(_BINS)]
    return tuple(
        ReliabilityBin(
            _PER_BIN,
            figure(min(1.0, share + over)),
            figure(share),
            figure(max(0.0, share - 0.08)),
            figure(min(1.0, share + 0.08)),
        )
        for share in right
    )


def scaling(*, temperature: str = "1.37", over: float = 0.12) -> Scaling:
    """A student that is too sure, and what a temperature makes of it."""
    return Scaling(
        Decimal(temperature),
        Calibration(figure(over), figure(0.45), figure(1.1), bins(over=over)),
        Calibration(figure(0.02), figure(0.43), figure(1.03), bins(over=0.02)),
    )


def cost(parameters: int, latency: str) -> ModelCost:
    """What a model of so many parameters costs."""
    return ModelCost(
        parameters=parameters,
        size_bytes=4 * parameters,
        latency_p50_ms=Decimal(latency),
        latency_p95_ms=Decimal(latency) * 2,
        records_per_s=Decimal("412.5"),
        batch=32,
        peak_memory_bytes=4 * parameters + 400_000_000,
        libraries_bytes=400_000_000,
        threads=1,
        texts=64,
    )


def slices(number: int) -> tuple[SliceQuality, ...]:
    """Parts in ascending order of accuracy; the first is small."""
    return tuple(
        SliceQuality(
            by="label",
            value=f"Class {place} <of> many & more, with a name of some length",
            records=12 if place == 0 else 80,
            is_small=place == 0,
            accuracy=estimate(0.3 + 0.02 * place, half=0.1),
            f1=estimate(0.28 + 0.02 * place, half=0.1),
        )
        for place in range(number)
    )


def assessed(*, parts: int = 27, left_out: int = 0) -> Assessment:
    """A classifier's assessment."""
    pairs = {
        FigureName.ACCURACY: (0.684, 0.733),
        FigureName.MACRO_F1: (0.651, 0.702),
        FigureName.NLL: (1.1, 0.9),
        FigureName.BRIER: (0.45, 0.38),
    }
    figures = [
        SideBySide(name, estimate(student), estimate(teacher))
        for name, (student, teacher) in pairs.items()
    ]
    figures.insert(2, SideBySide(FigureName.AGREEMENT, estimate(0.79)))
    figures.insert(3, SideBySide(FigureName.TEACHER_KL, estimate(0.31)))
    return Assessment(
        basis=PUBLIC_BASIS,
        answered=Answered.RECORD,
        records=RECORDS,
        resamples=1000,
        coverage=Decimal("0.95"),
        seed=0,
        figures=tuple(figures),
        student_scaling=scaling(),
        teacher_scaling=scaling(temperature="1.12", over=0.05),
        slices=slices(parts),
        slices_left_out=left_out,
        student_cost=cost(15_492_501, "2.31"),
        teacher_cost=cost(22_713_216, "5.87"),
    )


def assessed_language() -> Assessment:
    """A language model's assessment: no ranges, bins or parts."""
    return Assessment(
        basis=PUBLIC_BASIS,
        answered=Answered.TOKEN,
        records=200,
        resamples=0,
        coverage=Decimal(0),
        seed=0,
        figures=(
            SideBySide(FigureName.PERPLEXITY, Estimate(Decimal("21.4")), Estimate(Decimal("14.2"))),
            SideBySide(FigureName.ACCURACY, Estimate(figure(0.41)), Estimate(figure(0.47))),
            SideBySide(FigureName.AGREEMENT, Estimate(figure(0.63))),
            SideBySide(FigureName.TEACHER_KL, Estimate(figure(0.42))),
        ),
        student_cost=cost(90_000_000, "42.1"),
        teacher_cost=cost(134_515_008, "81.5"),
    )
