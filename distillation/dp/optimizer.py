"""The one optimizer that may touch a region's records: clip, sum, noise, divide by a constant.

Opacus supplies the frame of the step; what its own optimizer does wrong for a claim that must hold
is replaced here: the noise comes from a cryptographic stream and is drawn in float64, the divisor
is a public constant, a unit with a non-finite gradient counts as zero, and an empty batch still
takes a noised step. A unit is a record, or all records of a person in the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import torch
from opacus.optimizers import DPOptimizer
from torch import Tensor
from torch.optim import Optimizer

from distillation.dp.books import Book, Grams
from distillation.dp.units import UnitRows
from privacy.noise import SecureStream, gaussian, noise_scale

_TINY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTerms:
    """What one private step is made of: public constants of the plan, nothing else.

    Attributes:
        noise_multiplier: σ, standard deviation of the noise over the clip norm.
        clip_norm: C, the largest L2 norm of one unit's gradient.
        sample_rate: q, the chance that one unit is in one step.
        public_size: The public bound on the region's number of units.
        max_records_per_unit: The public bound on a unit's number of records.
    """

    noise_multiplier: Decimal
    clip_norm: Decimal
    sample_rate: Fraction
    public_size: int
    max_records_per_unit: int = 1

    @property
    def batch_constant(self) -> float:
        """The divisor of every noised sum: q times the public size, never a realised count."""
        return float(self.sample_rate * self.public_size)


class PrivateOptimizer(DPOptimizer):  # type: ignore[misc]  # Opacus is untyped
    """A `DPOptimizer` whose step is exactly one sampled Gaussian release of the plan.

    Guarantees:
      - one unit changes the sum before noise by at most C (1 + 1e-3), whatever its values;
      - every coordinate of every covered tensor gets Gaussian noise of `noise_scale`;
      - neither the divisor nor the decision to step depends on the batch.
    """

    def __init__(self, optimizer: Optimizer, *, terms: StepTerms, stream: SecureStream) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=float(terms.noise_multiplier),
            max_grad_norm=float(terms.clip_norm),
            expected_batch_size=None,
            loss_reduction="sum",
        )
        self._terms = terms
        self._stream = stream
        self._units: UnitRows | None = None
        self.dropped_records = 0

    def group(self, units: UnitRows | None) -> None:
        """Say which rows of the next micro-batch are one unit; None: each is one."""
        self._units = units

    def clip_and_accumulate(self) -> None:
        """Clip each unit's gradient to C and add it to the sum.

        A unit whose gradient is not finite, or so large that its norm is not, adds zero.
        """
        kept: list[Tensor | Book] = [p.grad_sample for p in self.params]
        units, self._units = self._units or UnitRows.single(len(kept[0])), None
        norms = _joint_norms(kept, units)
        finite = torch.isfinite(norms)
        factors = (self.max_grad_norm / (norms + _TINY)).clamp(max=1.0).where(finite, 0.0)
        rows = units.spread(factors)
        if not finite.all():
            bad = units.spread(~finite)
            self.dropped_records += int(bad.sum())  # stays in the region
            kept = [_without(one, bad) for one in kept]  # zero times NaN would still be NaN
        kept.reverse()
        for p in self.params:
            p.grad_sample = None
            clipped = _weighted_sum(kept.pop(), rows)  # its book goes as its sum comes
            p.summed_grad = clipped if p.summed_grad is None else p.summed_grad + clipped

    def pre_step(self, closure: Callable[[], float] | None = None) -> bool:
        """Clip, and after the last micro-batch add noise and divide.

        Opacus's own looks at `grad_samples` first, which would write every book out.
        """
        self.clip_and_accumulate()
        self._is_last_step_skipped = self._check_skip_next_step()
        if self._is_last_step_skipped:
            return False
        self.add_noise()
        self.scale_grad()
        if self.step_hook:
            self.step_hook(self)
        return True

    def add_noise(self) -> None:
        """Set each gradient to its clipped sum plus float64 noise from the secure stream."""
        scale = noise_scale(self._terms.clip_norm, self._terms.noise_multiplier)
        for p in self.params:
            noise = torch.from_numpy(gaussian(self._stream, p.numel(), scale))
            p.grad = (p.summed_grad.double() + noise.view_as(p)).to(p.dtype)
            p.summed_grad = None

    def scale_grad(self) -> None:
        """Divide by the public batch constant."""
        for p in self.params:
            p.grad /= self._terms.batch_constant

    def count_no_record(self) -> None:
        """Let the next `step` stand for an empty batch: a sum of zero, and the same noise."""
        self._units = None
        for p in self.params:
            p.grad_sample = p.new_zeros((0, *p.shape))

    def _get_flat_grad_sample(self, p: Tensor) -> Tensor:
        """Write a book out, for whoever asks for `grad_samples`; a step does not."""
        kept = vars(p).get("grad_sample")
        written: Tensor = (
            kept.written_out() if isinstance(kept, Book) else super()._get_flat_grad_sample(p)
        )
        return written


def _joint_norms(kept: Sequence[Tensor | Book], units: UnitRows) -> Tensor:
    """Return the L2 norm of each unit's gradient over all tensors, (U,), float64."""
    grams = Grams()
    joint: Tensor = torch.stack([_norms(one, units, grams) for one in kept]).norm(dim=0)
    return joint


def _norms(kept: Tensor | Book, units: UnitRows, grams: Grams) -> Tensor:
    """Return the same of one tensor."""
    if isinstance(kept, Book):
        return kept.norms(units, grams)
    norms: Tensor = units.add_up(kept).flatten(1).norm(dim=1)
    return norms.double()


def _without(kept: Tensor | Book, rows: Tensor) -> Tensor | Book:
    """Return it with zero for these rows."""
    if isinstance(kept, Book):
        return kept.without(rows)
    kept[rows] = 0  # nobody else has it, and a copy would be large
    return kept


def _weighted_sum(kept: Tensor | Book, factors: Tensor) -> Tensor:
    """Return the sum over the rows, each times its factor."""
    if isinstance(kept, Book):
        return kept.weighted_sum(factors)
    total: Tensor = torch.einsum("i,i...", factors.to(kept.dtype), kept)
    return total
