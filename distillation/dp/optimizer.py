"""The one optimizer that may touch a region's records: clip, sum, noise, divide by a constant.

Opacus supplies the per-record gradients and the clipping; what its own optimizer does wrong for a
claim that must hold is replaced here: the noise comes from a cryptographic stream and is drawn in
float64, the divisor is a public constant, a record with a non-finite gradient counts as zero, and
an empty batch still takes a noised step.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import torch
from opacus.optimizers import DPOptimizer
from torch import Tensor
from torch.optim import Optimizer

from privacy.noise import SecureStream, gaussian, noise_scale

_TINY = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTerms:
    """What one private step is made of: public constants of the plan, nothing else.

    Attributes:
        noise_multiplier: σ, standard deviation of the noise over the clip norm.
        clip_norm: C, the largest L2 norm of one record's gradient.
        sample_rate: q, the chance that one record is in one step.
        public_size: The public bound on the region's number of records.
    """

    noise_multiplier: Decimal
    clip_norm: Decimal
    sample_rate: Fraction
    public_size: int

    @property
    def batch_constant(self) -> float:
        """The divisor of every noised sum: q times the public size, never a realised count."""
        return float(self.sample_rate * self.public_size)


class PrivateOptimizer(DPOptimizer):  # type: ignore[misc]  # Opacus is untyped
    """A `DPOptimizer` whose step is exactly one sampled Gaussian release of the plan.

    Guarantees:
      - one record changes the sum before noise by at most C (1 + 1e-3), whatever its values;
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
        self.dropped_records = 0

    def clip_and_accumulate(self) -> None:
        """Clip each record's gradient to C and add it to the sum.

        A record whose gradient is not finite, or so large that its norm is not, adds zero.
        """
        grads: list[Tensor] = self.grad_samples
        norms = torch.stack([_norms(grad) for grad in grads]).norm(dim=0)
        finite = torch.isfinite(norms)
        factors = (self.max_grad_norm / (norms + _TINY)).clamp(max=1.0).where(finite, 0.0)
        if not finite.all():
            self.dropped_records += int((~finite).sum())  # stays in the region
            for grad in grads:
                grad[~finite] = 0  # zero times NaN would still be NaN
        for p, grad in zip(self.params, grads, strict=True):
            clipped = torch.einsum("i,i...", factors, grad)
            p.summed_grad = clipped if p.summed_grad is None else p.summed_grad + clipped
            p.grad_sample = None

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
        for p in self.params:
            p.grad_sample = p.new_zeros((0, *p.shape))


def _norms(grad: Tensor) -> Tensor:
    """Return the L2 norm of each record's gradient, (B,), from (B, …)."""
    norms: Tensor = grad.flatten(1).norm(dim=1)
    return norms
