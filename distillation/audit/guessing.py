"""Coins and guesses: who is in, by chance alone, and who looks as if it were.

The coins are secret until the guesses are made. They stay where the canaries are: a coin that is
known to who trains would let a trainer behave for the audit only.
"""

import numpy as np
from numpy.typing import NDArray

from distillation.audit.errors import AuditError
from distillation.audit.one_run import Guesses
from privacy.noise import SecureStream


def secret_coins(count: int, stream: SecureStream) -> NDArray[np.bool_]:
    """Return a fair, independent coin for each canary, (m,)."""
    bits = np.frombuffer(stream.read((count + 7) // 8), dtype=np.uint8)
    return np.unpackbits(bits)[:count].astype(np.bool_)


def guess(scores: NDArray[np.float64], coins: NDArray[np.bool_], *, made: int) -> Guesses:
    """Guess "in" for the highest scores and "out" for the lowest, half each, and count.

    A score that is not a number is no guess that could be right.

    Args:
        scores: One a canary, (m,); high where the canary seems to be in.
        coins: Whether it was in, (m,).
        made: r, fixed before a score was seen, even, from 2 to m (or m itself).

    Raises:
        AuditError: If the shapes differ or r is out of range.
    """
    count = len(coins)
    if scores.shape != coins.shape or not 2 <= made <= count:
        raise AuditError(
            f"expected a score for each of {count} canaries and from 2 to {count} guesses, got "
            f"{scores.shape} scores and {made} guesses"
        )
    order = np.argsort(scores, kind="stable")  # NaN comes last
    readable = ~np.isnan(scores[order])
    low, high = order[: made // 2], order[count - (made - made // 2) :]
    sure_in, sure_out = readable[count - len(high) :], readable[: len(low)]
    right = int((coins[high] & sure_in).sum() + (~coins[low] & sure_out).sum())
    return Guesses(canaries=count, made=made, right=right)
