"""What the conformance test runs: the region's real trainer on records that nobody wrote.

The objects are those of a round: `Workbench.private_update`, the trained part, the recipe's
objective. The records are made of the token ids 0 to 7, the same on every start. Only public
constants are set apart: the noise next to nothing where a sum has to be seen, and the learning
rate such that a delta is the noised sum itself, in units of the clip norm.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from distillation.dp.conformance_statistics import Samples
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.layout import Vector
from distillation.objectives import Targets
from distillation.recipe import Recipe
from distillation.teacher import Teacher
from distillation.tokens import Tokens
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.workbench import Workbench
from privacy.noise import SecureStream

BASE = 20
"""Made-up short records; one more short and one long record stand behind them."""
SHORT, LONG = BASE, BASE + 1

_KNOWN_IDS = 8  # every vocabulary has ids below this
_SHORT_TOKENS, _LONG_TOKENS = 8, 32
_PUBLIC_SIZE = 64
_NO_NOISE = Decimal("1e-9")  # 0.001 C even over 1e12 coordinates


class Check(StrEnum):
    """What is checked, by name."""

    SENSITIVITY = "sensitivity"
    NON_FINITE = "non-finite record"
    LENGTH = "record length"
    COMPANY = "loss in company"
    CLIPPED_SUM = "clipped sum"
    DIVISOR = "public divisor"
    PAYLOAD = "payload"
    TEACHER = "teacher in company"
    NOISE_SCALE = "noise scale"
    NOISE_EVERYWHERE = "noise in every coordinate"
    NOISE_SHAPE = "noise shape"
    EMPTY_STEP = "noise of an empty step"
    FRESH_DRAWS = "fresh noise every draw"
    FRESH_STEPS = "fresh noise every step"
    FRESH_COORDINATES = "fresh noise every coordinate"
    SAMPLE_RATE = "sample rate"
    SAMPLE_SIZES = "sample sizes"
    SAMPLE_RECORDS = "sampled records"
    SAMPLE_INDEPENDENCE = "independent samples"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name.
        passed: Whether the trainer is as the accountant assumes, as far as this check sees.
        expected: What a right trainer does.
        came: What this one did.
    """

    check: Check
    passed: bool
    expected: str
    came: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The trainer of one plan, and made-up records for it.

    Attributes:
        part: The region's trained part.
        recipe: The plan's recipe.
        terms: The plan's terms of a step.
        teacher: The region's teacher.
        weights: Made-up weights to start from, (d,).
        tokens: The made-up records.
        bench: The same, labelled at random.
    """

    part: TrainedPart
    recipe: Recipe
    terms: StepTerms
    teacher: Teacher
    weights: Vector
    tokens: Tokens
    bench: Workbench

    def with_part(self, part: TrainedPart) -> "Subject":
        """Return the same with another trained part, as it is, over its own inputs."""
        bench = Workbench(part.inputs(self.tokens), self.bench.targets)
        return replace(self, part=part, weights=part.vector(), bench=bench)

    def released(self, bench: Workbench, terms: StepTerms, *, steps: int = 1) -> Samples:
        """Return what one private update releases: noised sums in units of C, (d,)."""
        rate = terms.batch_constant / float(terms.clip_norm)
        recipe = replace(self.recipe, optimizer=LocalOptimizer(learning_rate=rate))
        delta = bench.private_update(
            self.part, self.weights, recipe, steps=steps, terms=terms, stream=SecureStream()
        )
        return -delta.astype(np.float64)

    def every_record(self, clip_norm: Decimal | None = None) -> StepTerms:
        """Return terms under which each made-up record is in each step."""
        return replace(
            self.terms,
            clip_norm=clip_norm or self.terms.clip_norm,
            sample_rate=Fraction(1),
            public_size=_PUBLIC_SIZE,
        )

    def summed(self, bench: Workbench, clip_norm: Decimal) -> Samples:
        """Return the released sum over all records of ``bench``, with next to no noise."""
        terms = replace(self.every_record(clip_norm), noise_multiplier=_NO_NOISE)
        return self.released(bench, terms)

    def gradients(self, bench: Workbench) -> Samples:
        """Return each record's gradient, one record at a time and without Opacus, (n, d)."""
        self.part.load(self.weights)
        trained = {
            self.part.full_name(name): p
            for name, p in self.part.module.named_parameters()
            if p.requires_grad
        }
        rows = []
        for row in range(len(bench)):
            loss = bench.losses(self.part, self.part.module, torch.tensor([row]), self.recipe)
            found = torch.autograd.grad(loss.sum(), list(trained.values()))
            rows.append(self.part.layout.flatten(dict(zip(trained, found, strict=True))))
        return np.stack(rows, dtype=np.float64)

    def base(self, count: int = BASE) -> Workbench:
        """Return the first short records."""
        return self.bench.subset(torch.arange(count))

    def tensors(self, values: Samples) -> list[tuple[str, Samples]]:
        """Return the columns of each tensor, by name, from (R, d)."""
        found, start = [], 0
        for name, tensor_shape in self.part.layout.tensors:
            stop = start + int(np.prod(tensor_shape))
            found.append((name, values[:, start:stop]))
            start = stop
        return found


def make_up(part: TrainedPart, recipe: Recipe, terms: StepTerms, teacher: Teacher) -> Subject:
    """Return the subject; the same made-up weights and records on every start."""
    chance = torch.Generator().manual_seed(1)  # no privacy rests on it
    tokens = Tokens(tuple(_record(row, recipe.max_tokens, chance) for row in range(LONG + 1)), 0)
    classes = len(teacher.outcomes)
    log_probs = (3 * torch.randn(len(tokens), classes, generator=chance)).log_softmax(-1)
    reference = torch.randint(0, classes, (len(tokens),), generator=chance)
    start = part.vector()
    moved = start + 0.1 * torch.randn(start.shape, generator=chance).numpy()  # no zero head
    weights: Vector = moved.astype(np.float32)
    inputs = part.inputs(tokens)
    targets = Targets.of_classes(log_probs, reference)
    targets = replace(targets, features=made_up_states(part, inputs, recipe, chance))
    bench = Workbench(inputs, targets)
    return Subject(part, recipe, terms, teacher, weights, tokens, bench)


@torch.no_grad()
def made_up_states(
    part: TrainedPart, inputs: FrozenInputs, recipe: Recipe, chance: torch.Generator
) -> tuple[Tensor, ...]:
    """Return a teacher's hidden states that nobody has, if the objective compares any."""
    if not recipe.objective.matches_states:
        return ()
    ours = part.outputs(part.module, inputs).features
    return tuple(torch.randn(state.shape, generator=chance) for state in ours)


def scaled(bench: Workbench, factor: float) -> Workbench:
    """Return the bench with every input times ``factor``, which may be NaN."""
    return Workbench(FrozenInputs(bench.inputs.values * factor, bench.inputs.mask), bench.targets)


def joined(first: Workbench, second: Workbench) -> Workbench:
    """Return the records of both, of one input length."""
    a, b = first.inputs, second.inputs
    return Workbench(
        FrozenInputs(torch.cat([a.values, b.values]), torch.cat([a.mask, b.mask])),
        first.classes.joined(second.classes),
    )


def broken(check: Check, error: Exception) -> Finding:
    """Return the finding that a part of the test could not run."""
    came = f"the trainer stopped with {type(error).__name__}: {error}"
    return Finding(check, False, "made-up records can be trained on", came)


def _record(row: int, max_tokens: int, chance: torch.Generator) -> tuple[int, ...]:
    longest = _LONG_TOKENS if row == LONG else _SHORT_TOKENS
    shortest = longest if row == LONG else 2
    length = min(max_tokens, int(torch.randint(shortest, longest + 1, (1,), generator=chance)))
    ids: Tensor = torch.randint(0, _KNOWN_IDS, (length,), generator=chance)
    return tuple(int(i) for i in ids)
