"""A region's records made ready for private training, and one round's private update.

The teacher answers once a record (from the encrypted cache where it can), the frozen part of the
student runs once a record, and a round then costs only the private steps. Nothing here knows
rounds, ledgers or the network: it is given weights and terms and returns a delta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import train_privately
from distillation.errors import TrainingError
from distillation.label_stream import stream_labels
from distillation.labels import LabelCache, LabelSource
from distillation.layout import Vector
from distillation.objectives import UNLABELLED, Targets
from distillation.recipe import Recipe
from distillation.teacher import ClassifierTeacher
from distillation.tokens import Tokens
from distillation.top_k import TokenTargets
from distillation.trained_part import FrozenInputs, TrainedPart
from privacy.noise import SecureStream

AnyTargets: TypeAlias = Targets | TokenTargets
"""What records are compared with: whole distributions, or the top of a vocabulary's."""

Item = TypeVar("Item")

_ASKED = 256
"""Records that the teacher labels between two writes: what a killed run loses at most."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """Inputs and targets of n records, row by row.

    Attributes:
        inputs: What the trained part sees.
        targets: What the objective compares with.
        units: The number of each record's person, (n,), from 0; None: each record is a unit.
    """

    inputs: FrozenInputs
    targets: AnyTargets
    units: Tensor | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def classes(self) -> Targets:
        """The targets, where they are over classes.

        Raises:
            TrainingError: If they are top-k labels.
        """
        if not isinstance(self.targets, Targets):
            raise TrainingError("expected targets over classes, got top-k labels of tokens")
        return self.targets

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
        return part.losses(module, inputs, self.targets[rows], recipe.objective)

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
    with_states: bool = False,
) -> Tensor:
    """Return the teacher's log-probabilities, (n, T, K): cached where they are, else computed.

    With ``with_states`` the pooled state stands behind them, (n, 1, K + H): one box a record holds
    both, so that a record has both or neither.

    A labelling that was killed goes on where it stopped: each batch is kept before the next.
    Records of one length are asked for together, since their batches have one shape.

    Raises:
        LabelCacheError: If a cached label does not open, or a new one cannot be kept.
    """
    order = by_length(tokens)

    def answer(places: Sequence[int]) -> list[Tensor]:
        said = teacher.answer(tokens.rows([order[place] for place in places]))
        if not with_states:
            return list(said.log_probs)
        return list(torch.cat([said.log_probs, said.features.unsqueeze(1)], dim=-1))

    labels = stream_labels(
        [record_ids[row] for row in order],
        [texts[row] for row in order],
        get=lambda record, text: cache.get(source, record, text),
        put=lambda ids, some, new: cache.put(source, ids, some, torch.stack(list(new))),
        answer=answer,
        batch=_ASKED,
    )
    return torch.stack(in_order(labels, order))


def by_length(tokens: Tokens) -> list[int]:
    """Return the records' numbers, the shortest first."""
    return sorted(range(len(tokens)), key=lambda row: len(tokens.ids[row]))


def in_order(found: Sequence[Item], order: Sequence[int]) -> list[Item]:
    """Return what was found for ``order``'s records in the order of the records themselves."""
    place = {row: number for number, row in enumerate(order)}
    return [found[place[row]] for row in range(len(order))]


def unit_numbers(units: Sequence[str]) -> Tensor:
    """Return the number of each record's unit, (n,), from 0 in the order of appearance."""
    numbers: dict[str, int] = {}
    found = [numbers.setdefault(unit, len(numbers)) for unit in units]
    return torch.tensor(found, dtype=torch.int64)


def references(labels: Sequence[str | None], outcomes: Sequence[str]) -> Tensor:
    """Return class indices, (n,), `UNLABELLED` where there is no label."""
    index = {name: number for number, name in enumerate(outcomes)}
    return torch.tensor([UNLABELLED if name is None else index[name] for name in labels])
