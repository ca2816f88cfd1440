"""How much each region counts in the mean: by its public size, none above a cap."""

from collections.abc import Mapping
from fractions import Fraction


def capped_weights(sizes: Mapping[str, int]) -> dict[str, Fraction]:
    """Return shares in proportion to public sizes, none above the usual policy's cap.

    What a capped region loses is shared by the others in proportion. The cap is a quarter above
    four regions and a half up to four, as policies have it, but never below an equal share.
    """
    cap = max(Fraction(1, 4 if len(sizes) > 4 else 2), Fraction(1, len(sizes)))
    capped: set[str] = set()
    while True:
        free = {name: size for name, size in sizes.items() if name not in capped}
        rest, total = 1 - cap * len(capped), sum(free.values())
        shares = {name: rest * Fraction(size, total) for name, size in free.items()}
        over = {name for name, share in shares.items() if share > cap}
        if not over:
            return {name: shares.get(name, cap) for name in sizes}
        capped |= over
