"""What an audit of the trainer takes, and what it says of right and broken trainers.

1,000 canaries go through the product's own trainer at the demo's head size (384 × 21). The faults
are planted in it here, one at a time; the conformance test is not asked. Two settings: that of the
design's table, and terms as in the demo study.
"""

from __future__ import annotations

import one_thread  # noqa: F401  # before numpy

# isort: split
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import torch
from measure import options, publish, say
from numpy.typing import NDArray
from transformers import BertConfig

from distillation.audit.bounds import Claim
from distillation.audit.one_run import Guesses
from distillation.audit.result import Access, AuditResult, Method
from distillation.audit.white_box import AuditTerms, TrainingAudit, audit_training
from distillation.classifier_part import HeadPart
from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.kinds import Task, Train
from distillation.objectives import Objective
from distillation.recipe import Recipe
from distillation.students import MeanPoolClassifier, MeanPoolConfig
from privacy.accountant import PldAccountant
from privacy.events import SampledGaussian
from privacy.guarantee import GRID, Guarantee
from privacy.noise import SecureStream, gaussian, poisson_sample

_CANARIES = 1000
_DELTA = Decimal("0.00001")
_CAPS = (200, 1000, 5000)
_RECIPE = Recipe(
    task=Task.CLASSIFICATION,
    train=Train.HEAD,
    max_tokens=16,
    objective=Objective(soft=1.0),
    optimizer=LocalOptimizer(learning_rate=0.1),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """Terms and steps, and what they cost.

    Attributes:
        name: For the table.
        terms: Of a step.
        steps: All steps of the plan.
    """

    name: str
    terms: StepTerms
    steps: int

    def audit(self) -> AuditTerms:
        """Return the audit of what the accountant charges for them."""
        event = SampledGaussian(self.terms.noise_multiplier, self.terms.sample_rate, self.steps)
        epsilon = Decimal(repr(PldAccountant().epsilon(event, float(_DELTA))))
        charged = epsilon.quantize(GRID, "ROUND_CEILING")
        return AuditTerms(
            claim=Guarantee(charged, _DELTA),
            steps=self.steps,
            canaries=_CANARIES,
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            who="bench/audit.py",
        )


SETTINGS = (
    Setting(
        "design",
        StepTerms(
            noise_multiplier=Decimal(1),
            clip_norm=Decimal(2),
            sample_rate=Fraction(1, 25),
            public_size=2000,
        ),
        400,
    ),
    Setting(
        "demo",
        StepTerms(
            noise_multiplier=Decimal("6.5"),
            clip_norm=Decimal(2),
            sample_rate=Fraction(1, 2),
            public_size=1100,
        ),
        40,
    ),
)


class _NoiseOverRootBatch(PrivateOptimizer):
    """Divides the noise by the root of the drawn batch."""

    def clip_and_accumulate(self) -> None:
        self._drawn = len(self.params[0].grad_sample)
        super().clip_and_accumulate()

    def add_noise(self) -> None:
        sums = [p.summed_grad for p in self.params]
        super().add_noise()
        for p, total in zip(self.params, sums, strict=True):
            p.grad = total + (p.grad - total) / max(1, self._drawn) ** 0.5


class _NoClipping(PrivateOptimizer):
    """Clips at a norm that nobody has."""

    def clip_and_accumulate(self) -> None:
        self.max_grad_norm = 1e30
        super().clip_and_accumulate()


class _Shuffled:
    """Goes through all records in a new order, batch by batch, instead of flipping coins."""

    def __init__(self) -> None:
        self._left: list[int] = []
        self._population = 0

    def __call__(self, stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
        size = round(population * rate)
        if len(self._left) < size or self._population != population:  # another run
            self._population = population
            self._left = np.argsort(stream.words(population)).tolist()
        taken, self._left = self._left[:size], self._left[size:]
        return np.array(taken, dtype=np.int64)


def _noise(share: float) -> tuple[str, object]:
    return (
        "distillation.dp.optimizer.gaussian",
        lambda stream, count, scale: share * gaussian(stream, count, scale),
    )


def _twice(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    return poisson_sample(stream, population, min(Fraction(1), 2 * rate))


_OPTIMIZER = "distillation.dp.trainer.PrivateOptimizer"
_SAMPLER = "distillation.dp.trainer.poisson_sample"
FAULTS: Mapping[str, tuple[str, object] | None] = {
    "right": None,
    "no noise": _noise(0.0),
    "noise over the root of the batch": (_OPTIMIZER, _NoiseOverRootBatch),
    "no clipping": (_OPTIMIZER, _NoClipping),
    "noise at 0.3": _noise(0.3),
    "noise at 0.5": _noise(0.5),
    "noise at 0.8": _noise(0.8),
    "twice the sample rate": (_SAMPLER, _twice),
    "shuffled epochs": (_SAMPLER, _Shuffled()),
}


def main() -> None:
    """Measure and print."""
    asked = options(__doc__ or "")
    torch.manual_seed(1)  # of made-up weights
    runs = 1 if asked.quick else 3
    settings = SETTINGS[:1] if asked.quick else SETTINGS
    found = {setting.name: _setting(setting, runs=runs) for setting in settings}
    figures: dict[str, object] = {
        "canaries": _CANARIES,
        "parameters": _head().layout.size,
        "runs": runs,
        "settings": found,
        "caps_of_all_guesses_right": {m: _caps(m) for m in _CAPS},
    }
    publish(figures, asked.out)


def _setting(setting: Setting, *, runs: int) -> dict[str, object]:
    audit = setting.audit()
    rows: dict[str, object] = {}
    for name, fault in FAULTS.items():
        began = time.perf_counter()
        with _planted(fault):
            audits = [audit_training(_head(), _RECIPE, setting.terms, audit) for _ in range(runs)]
        seconds = (time.perf_counter() - began) / runs
        rows[name] = _row(audits, seconds)
        say(_line(setting, audit, name, audits, seconds))
    return {"epsilon": str(audit.claim.epsilon), "delta": str(_DELTA), "trainers": rows}


@contextmanager
def _planted(fault: tuple[str, object] | None) -> Iterator[None]:
    if fault is None:
        yield
        return
    with patch(*fault):
        yield


def _row(audits: list[TrainingAudit], seconds: float) -> dict[str, object]:
    row: dict[str, object] = {
        "seconds": seconds,
        "flagged": sum(audit.flagged for audit in audits),
        "estimate_low": [audit.estimates[0].low for audit in audits],
    }
    for method, results in _by_method(audits).items():
        row[method.value] = {
            "lower_bounds": [str(result.lower_bound) for result in results],
            "guesses": results[0].guesses,
            "cap": str(results[0].cap),
            "power": str(results[0].power),
            "sentence": results[0].sentence,
        }
    return row


def _by_method(audits: list[TrainingAudit]) -> dict[Method, list[AuditResult]]:
    return {
        method: [r for audit in audits for r in audit.results if r.method is method]
        for method in Method
    }


def _line(
    setting: Setting, audit: AuditTerms, name: str, audits: list[TrainingAudit], seconds: float
) -> str:
    bounds = "  ".join(
        f"{method.value} {min(r.lower_bound for r in results)}-"
        f"{max(r.lower_bound for r in results)} (cap {results[0].cap}, power {results[0].power})"
        for method, results in _by_method(audits).items()
    )
    lows = [a.estimates[0].low for a in audits]
    return (
        f"{setting.name} ε {audit.claim.epsilon}  {name:<33} flagged "
        f"{sum(a.flagged for a in audits)}/{len(audits)}  {bounds}  estimate from "
        f"{min(lows):.1f}  {seconds:.1f} s"
    )


def _caps(canaries: int) -> dict[str, str]:
    """Return what a run could show at most if every canary were guessed, and rightly."""
    claim = Claim.of(Guarantee(Decimal(1), _DELTA), 0.95)
    made = Guesses(canaries=canaries, made=canaries, right=canaries)
    return {
        method.value: str(
            claim.result(
                method, made, access=Access.WHITE_BOX, power="unknown", date="-", who="-"
            ).cap
        )
        for method in Method
    }


def _head() -> HeadPart:
    config = BertConfig(
        vocab_size=30,
        hidden_size=384,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    return HeadPart(
        MeanPoolClassifier(
            MeanPoolConfig(encoder=config.to_dict(), id2label=dict(enumerate(map(str, range(21)))))
        )
    )


if __name__ == "__main__":
    main()
