"""How a module's per-record gradients are found: book-keeping where it is right, else hooks."""

from dataclasses import dataclass
from enum import StrEnum

from opacus import GradSampleModule
from opacus.grad_sample import AbstractGradSampleModule
from torch import nn

from distillation.dp.book_keeping import BookKeepingModule, unknown_layers


class Clipping(StrEnum):
    """Where per-record norms come from; what is released is the same."""

    BOOK_KEEPING = "book-keeping"
    HOOKS = "opacus-hooks"


@dataclass(frozen=True, slots=True)
class ClippingChoice:
    """What was chosen for a module, for the report.

    Attributes:
        clipping: The way.
        because: The layers that book-keeping does not cover; empty if it was chosen.
    """

    clipping: Clipping
    because: tuple[str, ...] = ()


def choose(module: nn.Module) -> ClippingChoice:
    """Return how the module's gradients are clipped; it depends on its layers alone."""
    unknown = unknown_layers(module)
    if unknown:
        return ClippingChoice(Clipping.HOOKS, tuple(unknown))
    return ClippingChoice(Clipping.BOOK_KEEPING)


def wrap(module: nn.Module, clipping: Clipping) -> AbstractGradSampleModule:
    """Return the module with per-record gradients, in training mode.

    Raises:
        TrainingError: If book-keeping was asked for and does not cover the module.
    """
    if clipping is Clipping.BOOK_KEEPING:
        return BookKeepingModule(module).train()
    return GradSampleModule(module, loss_reduction="sum").train()
