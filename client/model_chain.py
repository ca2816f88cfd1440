"""The federation's model as this region computes it: it believes sums, not models.

Each round the coordinator publishes the integer sum. The region decodes it, applies the plan's
optimizer itself, and takes part in the next round only on the model that it got. That gives all
regions the same model; it does not say who contributed what (see docs/threat-model.md).
"""

import io
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
        last: Hash of the transcript of the last sum, 32 bytes; empty before the first.
    """

    next_round: int
    model: ModelState
    last: bytes = b""

    def after(
        self, mean_delta: NDArray[np.float64], optimizer: ServerOptimizer, transcript: bytes
    ) -> "ModelChain":
        """Return the chain one round further.

        Args:
            mean_delta: The published mean of round ``next_round``, checked, (d,).
            optimizer: The plan's.
            transcript: Hash of what was checked, 32 bytes.
        """
        model = advance(self.model, mean_delta, optimizer)
        return ModelChain(self.next_round + 1, model, transcript)


def save_chain(folder: RegionFolder, plan_hash: str, chain: ModelChain) -> None:
    """Keep the chain on disk; everything in it was published."""
    buffer = io.BytesIO()
    marks = np.frombuffer(bytes.fromhex(plan_hash), dtype=np.uint8)
    np.savez(
        buffer,
        allow_pickle=False,
        plan=marks,
        round=np.array([chain.next_round]),
        last=np.frombuffer(chain.last, dtype=np.uint8),
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
        model, last = ModelState.from_arrays(arrays), arrays["last"].tobytes()
        chain = ModelChain(int(arrays["round"][0]), model, last)
        owner = arrays["plan"].tobytes().hex()
    except UNREADABLE as error:
        raise ModelChainError(
            f"{folder.model.name} cannot be read ({type(error).__name__}): restore it from the "
            "region's backup"
        ) from error
    return chain if owner == plan_hash else ModelChain(0, start)
