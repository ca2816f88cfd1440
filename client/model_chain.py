"""The federation's model as this region computes it: it believes sums, not models.

Each round the coordinator publishes the integer sum. The region decodes it, applies the plan's
optimizer itself, and takes part in the next round only on the model that it got. That gives all
regions the same model; it does not say who contributed what (see docs/threat-model.md).
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.errors import ModelChainError
from client.folder import RegionFolder, write_durably
from distillation.aggregate import UNREADABLE, ModelState, ServerOptimizer, advance


@dataclass(frozen=True, slots=True)
class ModelChain:
    """The model before the next round.

    Attributes:
        next_round: Index of the round that this model is for.
        model: Weights and the optimizer's memory.
    """

    next_round: int
    model: ModelState

    def after(
        self,
        round_: int,
        mean_delta: Callable[[], NDArray[np.float64]],
        optimizer: ServerOptimizer,
    ) -> "ModelChain":
        """Return the chain at ``round_``, one published mean further if need be.

        Args:
            round_: The round that the coordinator wants to start.
            mean_delta: Reads and verifies the published mean, (d,); called only if needed.
            optimizer: The plan's.

        Raises:
            ModelChainError: If the round is neither this chain's next one nor the one after.
        """
        if round_ == self.next_round:
            return self
        if round_ != self.next_round + 1:
            raise ModelChainError(
                f"expected round {self.next_round} or {self.next_round + 1}, got {round_}: this "
                "region missed published sums and cannot compute the model"
            )
        return ModelChain(round_, advance(self.model, mean_delta(), optimizer))


def save_chain(folder: RegionFolder, plan_hash: str, chain: ModelChain) -> None:
    """Keep the chain on disk; everything in it was published."""
    buffer = io.BytesIO()
    marks = np.frombuffer(bytes.fromhex(plan_hash), dtype=np.uint8)
    np.savez(
        buffer,
        allow_pickle=False,
        plan=marks,
        round=np.array([chain.next_round]),
        **chain.model.arrays(),
    )
    write_durably(folder.model, buffer.getvalue())


def load_chain(folder: RegionFolder, plan_hash: str, start: ModelState) -> ModelChain:
    """Read the chain of a plan; at its start if this region has taken part in no round yet.

    Raises:
        ModelChainError: If the file is damaged.
    """
    if not folder.model.exists():
        return ModelChain(0, start)
    try:
        with np.load(io.BytesIO(folder.model.read_bytes()), allow_pickle=False) as found:
            arrays = dict(found.items())
        chain = ModelChain(int(arrays["round"][0]), ModelState.from_arrays(arrays))
        owner = arrays["plan"].tobytes().hex()
    except UNREADABLE as error:
        raise ModelChainError(
            f"{folder.model.name} cannot be read ({type(error).__name__}): restore it from the "
            "region's backup"
        ) from error
    return chain if owner == plan_hash else ModelChain(0, start)
