"""A region's records made ready for private training, and one round's private update.

The teacher answers once a record (from the encrypted cache where it can), the frozen part of the
student runs once a record, and a round then costs only the private steps. Nothing here knows
rounds, ledgers or the network: it is given weights and terms and returns a delta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import train_privately
from distillation.labels import LabelCache, LabelSource
from distillation.layout import Vector
from distillation.objectives import UNLABELLED, Targets
from distillation.recipe import Recipe
from distillation.teacher import ClassifierTeacher
from distillation.tokens import Tokens
from distillation.trained_part import FrozenInputs, TrainedPart
from privacy.noise import SecureStream


@dataclass(frozen=True, slots=True)
class Workbench:
    """Inputs and targets of n records, row by row.

    Attributes:
        inputs: What the trained part sees.
        targets: What the objective compares with.
        units: The number of each record's person, (n,), from 0; None: each record is a unit.
    """

    inputs: FrozenInputs
    targets: Targets
    units: Tensor | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def unit_count(self) -> int:
        """Number of privacy units: what a public size bounds."""
        return len(self) if self.units is None else len(self.units.unique())

    def subset(self, rows: Tensor) -> "Workbench":
        """Return the bench with these records only."""
        units = None if self.units is None else self.units[rows].unique(return_inverse=True)[1]
        return Workbench(self.inputs[rows], self.targets[rows], units=units)

    def losses(self, part: TrainedPart, module: nn.Module, rows: Tensor, recipe: Recipe) -> Tensor:
        """Return one loss a record, (B,)."""
        inputs = self.inputs[rows]
        inputs.values.requires_grad_()  # Opacus's hooks expect a gradient to flow past the module
        logits = part.logits(module, inputs)
        return recipe.objective.per_record(logits, self.targets[rows])

    def private_update(
        self,
        part: TrainedPart,
        weights: Vector,
        recipe: Recipe,
        *,
        steps: int,
        terms: StepTerms,
        stream: SecureStream,
    ) -> Vector:
        """Train privately from ``weights`` and return the delta, (d,), float32.

        Guarantees: those of `train_privately`, since every record's inputs and targets depend
        on that record and public constants alone.

        Raises:
            TrainingError: As `train_privately`.
        """
        part.load(weights)
        change = train_privately(
            part.module,
            lambda module, rows: self.losses(part, module, rows, recipe),
            records=len(self),
            steps=steps,
            terms=terms,
            optimizer=recipe.optimizer,
            stream=stream,
            units=self.units,
        )
        return part.layout.flatten({part.full_name(name): v for name, v in change.items()})


def soft_labels(
    teacher: ClassifierTeacher,
    tokens: Tokens,
    *,
    cache: LabelCache,
    source: LabelSource,
    record_ids: Sequence[str],
    texts: Sequence[str],
) -> Tensor:
    """Return the teacher's log-probabilities, (n, T, K): cached where they are, else computed.

    Raises:
        LabelCacheError: If a cached label does not open.
    """
    found = [cache.get(source, i, t) for i, t in zip(record_ids, texts, strict=True)]
    missing = [row for row, label in enumerate(found) if label is None]
    if missing:
        some = Tokens(tuple(tokens.ids[row] for row in missing), tokens.padding)
        answers = teacher.answer(some).log_probs
        cache.put(source, [record_ids[r] for r in missing], [texts[r] for r in missing], answers)
        for place, row in enumerate(missing):
            found[row] = answers[place]
    return torch.stack([label for label in found if label is not None])


def unit_numbers(units: Sequence[str]) -> Tensor:
    """Return the number of each record's unit, (n,), from 0 in the order of appearance."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(unit, len(numbers)) for unit in units]
    return torch.tensor(found, dtype=torch.int64)


def references(labels: Sequence[str | None], outcomes: Sequence[str]) -> Tensor:
    """Return class indices, (n,), `UNLABELLED` where there is no label."""
    index = {name: number for number, name in enumerate(outcomes)}
    return torch.tensor([UNLABELLED if name is None else index[name] for name in labels])
