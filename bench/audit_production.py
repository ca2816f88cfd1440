"""What a region's audit of its own real training sees: with the right noise, and with less.

Made-up records that share a direction, as real ones do, train a head of the demo's size with
canaries among them, in rounds of two steps. The audit then guesses the coins, once with the
records' own pull taken off and once from the releases as they are.
"""

from __future__ import annotations

import one_thread  # noqa: F401  # before numpy

# isort: split
import time
from decimal import Decimal
from fractions import Fraction

import torch
from measure import options, publish, say
from transformers import BertConfig

from distillation.audit.guessing import secret_coins
from distillation.audit.membership import membership
from distillation.audit.production import (
    Production,
    RoundSeen,
    judge,
    production_scores,
    require_canaries,
    with_production_canaries,
)
from distillation.classifier_part import HeadPart
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.kinds import Task, Train
from distillation.objectives import Objective, Targets
from distillation.recipe import Recipe
from distillation.students import MeanPoolClassifier, MeanPoolConfig
from distillation.trained_part import FrozenInputs
from distillation.workbench import Workbench
from privacy.accountant import PldAccountant
from privacy.events import SampledGaussian
from privacy.guarantee import GRID, Guarantee
from privacy.noise import SecureStream

RECORDS, CANARIES, OUTCOMES, WIDTH, ROUNDS, STEPS = 1500, 400, 21, 384, 20, 2
NOISE, CLIP, DELTA = Decimal("4.6"), 0.5, Decimal("0.00001")
SHARES = (Decimal(1), Decimal("0.5"), Decimal("0.3"), Decimal("0.1"))
RECIPE = Recipe(
    task=Task.CLASSIFICATION,
    train=Train.HEAD,
    max_tokens=16,
    objective=Objective(soft=1.0),
    optimizer=LocalOptimizer(learning_rate=1.0, momentum=0.0),
)


def main() -> None:
    """Audit each trainer and print one JSON object."""
    asked = options(__doc__ or "")
    runs = 3 if asked.full else 1
    claim = _claim()
    say(f"claim: {claim}")
    found = {}
    for share in SHARES:
        found[str(share)] = [_run(share, claim) for _ in range(runs)]
        say(f"noise x {share}: {found[str(share)]}")
    sizes = {"records": RECORDS, "canaries": CANARIES, "rounds": ROUNDS, "steps": STEPS}
    publish({**sizes, "epsilon": str(claim.epsilon), "noise": found}, asked.out)


def _claim() -> Guarantee:
    event = SampledGaussian(NOISE, Fraction(1, 2), ROUNDS * STEPS)
    epsilon = Decimal(str(PldAccountant().epsilon(event, float(DELTA))))
    return Guarantee(epsilon.quantize(GRID, rounding="ROUND_UP") + GRID, DELTA)


def _terms(share: Decimal) -> StepTerms:
    return StepTerms(
        noise_multiplier=NOISE * share,
        clip_norm=Decimal(str(CLIP)),
        sample_rate=Fraction(1, 2),
        public_size=RECORDS + CANARIES,
    )


def _run(share: Decimal, claim: Guarantee) -> dict[str, object]:
    part, own = _head(), _records()
    coins = secret_coins(CANARIES, SecureStream())
    bench = with_production_canaries(own, part, coins, clip_norm=CLIP)
    start = weights = part.vector()
    rounds = []
    for _ in range(ROUNDS):
        delta = bench.private_update(
            part, weights, RECIPE, steps=STEPS, terms=_terms(share), stream=SecureStream()
        )
        rounds.append(RoundSeen(weights, delta))
        weights = weights + delta
    began = time.perf_counter()
    scores = production_scores(part, own, RECIPE, rounds, canaries=CANARIES, clip_norm=CLIP)
    results = judge(
        scores,
        coins,
        Production(
            claim=claim,
            terms=_terms(Decimal(1)),
            steps=ROUNDS * STEPS,
            confidence=0.95,
            date="2026-11-24",
            who="bench",
        ),
    )
    took = time.perf_counter() - began
    blind = require_canaries(part, CANARIES).scores(start - weights)
    area, without = (membership(one, coins, epsilon=0, delta=0).area for one in (scores, blind))
    return {
        "seconds": round(took, 2),
        "bounds": {one.method.value: str(one.lower_bound) for one in results},
        "caps": {one.method.value: str(one.cap) for one in results},
        "powers": {one.method.value: str(one.power) for one in results},
        "flagged": any(one.flagged for one in results),
        "area": round(area.value, 3),
        "area_as_released": round(without.value, 3),
    }


def _records() -> Workbench:
    chance = torch.Generator().manual_seed(0)
    common = torch.randn(WIDTH, generator=chance)
    centres = torch.randn(OUTCOMES, WIDTH, generator=chance)
    labels = torch.randint(0, OUTCOMES, (RECORDS,), generator=chance)
    around = torch.randn(RECORDS, WIDTH, generator=chance)
    inputs = torch.nn.functional.normalize(common + 0.5 * centres[labels] + around, dim=1) * 4
    answers = torch.nn.functional.one_hot(labels, OUTCOMES).float().mul(4).log_softmax(-1)
    mask = torch.ones(RECORDS, 1, dtype=torch.bool)
    return Workbench(FrozenInputs(inputs[:, None], mask), Targets.of_classes(answers, labels))


def _head() -> HeadPart:
    config = BertConfig(
        vocab_size=30,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    names = dict(enumerate(map(str, range(OUTCOMES))))
    return HeadPart(MeanPoolClassifier(MeanPoolConfig(encoder=config.to_dict(), id2label=names)))


if __name__ == "__main__":
    main()
