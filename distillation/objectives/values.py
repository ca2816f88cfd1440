"""What an objective is given: what the student says, and what is known of the records."""

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from distillation.errors import TrainingError

UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class Targets:
    """What is known of B records with up to T positions over K classes (or tokens).

    A classifier has T = 1. Positions that are padding are false in ``mask``.

    Attributes:
        log_probs: The teacher's log-probabilities at temperature 1, (B, T, K), float32.
        reference: The given label or next token, (B, T), int64; `UNLABELLED` where there is none.
        mask: Which positions belong to the record, (B, T), bool.
        features: The teacher's hidden states of each layer to be matched, each (B, T, H).
    """

    log_probs: Tensor
    reference: Tensor
    mask: Tensor
    features: tuple[Tensor, ...] = ()

    @classmethod
    def of_classes(cls, log_probs: Tensor, reference: Tensor) -> Self:
        """Return the targets of a classifier: one position a record, from (B, K) and (B,)."""
        mask = torch.ones(len(log_probs), 1, dtype=torch.bool)
        return cls(log_probs.unsqueeze(1), reference.unsqueeze(1), mask)

    def __getitem__(self, rows: Tensor) -> "Targets":
        """Return the targets of these records."""
        features = tuple(layer[rows] for layer in self.features)
        return Targets(self.log_probs[rows], self.reference[rows], self.mask[rows], features)

    def __len__(self) -> int:
        return len(self.log_probs)

    def joined(self, other: "Targets") -> "Targets":
        """Return the targets of these records and, behind them, of the others.

        Raises:
            TrainingError: If only one of them has hidden states to match.
        """
        if len(self.features) != len(other.features):
            raise TrainingError(
                f"expected targets with the same hidden states, got {len(self.features)} and "
                f"{len(other.features)} of them: give both, or use an objective without such terms"
            )
        return Targets(
            torch.cat([self.log_probs, other.log_probs]),
            torch.cat([self.reference, other.reference]),
            torch.cat([self.mask, other.mask]),
            tuple(torch.cat(pair) for pair in zip(self.features, other.features, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the student says of B records.

    Attributes:
        logits: (B, T, K).
        features: Its hidden states, each already in the teacher's width, (B, T, H): the map W of
            a pair of layers is a parameter of the student and is trained privately with it.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()


class Term(Protocol):
    """One summand of an objective: a frozen dataclass of public constants.

    Guarantees asked of every term: the value of a position depends on that position of that
    record and on constants alone. The mean over a record's own positions is not a term's business.
    """

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return the loss of every position, (B, T), padding included."""


def mean_over_own(per_position: Tensor, mask: Tensor) -> Tensor:
    """Return each record's mean over the positions that are its own, (B,)."""
    own = mask.to(per_position.dtype)
    return (per_position * own).sum(dim=1) / own.sum(dim=1).clamp(min=1)
