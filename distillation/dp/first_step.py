"""A gate after the first private step: the step did to every trained tensor what it should.

An optimizer that holds other tensors than the module (a wrapper that copied them, an adapter that
was added later) trains nothing and says nothing. This asks after one step, when it is still cheap.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from distillation.errors import TrainingError

_CLOSE = 1e-4


class FirstStep:
    """What the module was before its first step."""

    def __init__(
        self,
        module: nn.Module,
        stepped: Sequence[Tensor],
        before: Mapping[str, Tensor],
        learning_rate: float,
    ) -> None:
        """Remember the start.

        Args:
            module: The trained part.
            stepped: The tensors that the optimizer holds.
            before: The trained tensors' values before the step, by name.
            learning_rate: Of plain gradient descent, whose first step has no momentum yet.
        """
        self._module = module
        self._stepped = {id(p) for p in stepped}
        self._before = before
        self._rate = learning_rate

    def require(self) -> None:
        """Check that each trained tensor got a noised gradient and moved along it.

        The answer does not depend on the records: an empty batch moves every tensor by its noise.

        Raises:
            TrainingError: With the names of the tensors that did not.
        """
        trained = {n: p for n, p in self._module.named_parameters() if p.requires_grad}
        still = [name for name, p in trained.items() if not self._moved(name, p)]
        if still or self._stepped != {id(p) for p in trained.values()}:
            raise TrainingError(
                f"the first step did not move {still or 'the tensors that are trained'} as it "
                "should: the optimizer holds others than the module, so nothing would be learned"
            )

    def _moved(self, name: str, p: Tensor) -> bool:
        if p.grad is None:
            return False
        wanted = self._before[name] - self._rate * p.grad
        return torch.allclose(p.detach(), wanted, rtol=_CLOSE, atol=_CLOSE, equal_nan=True)
