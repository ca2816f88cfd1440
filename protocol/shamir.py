"""Shamir's secret sharing over GF(2**255 - 19) (Shamir 1979, "How to share a secret").

A secret is the constant term of a random polynomial of degree t - 1; share i is its value at i.
Any t shares give the secret by Lagrange interpolation at 0, fewer say nothing about it. One basis
serves every secret that the same holders reveal. Python's integers are not constant-time: secrets
are fresh for each round and shared in the region's own process (docs/threat-model.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from protocol.errors import MalformedMessageError
from protocol.wire import SHARE_BYTES, require_size

PRIME = 2**255 - 19


def random_element(randomness: Callable[[int], bytes]) -> int:
    """Return a uniform element of [0, p), by rejection.

    Args:
        randomness: Returns so many secret random bytes.
    """
    while (value := int.from_bytes(randomness(SHARE_BYTES), "big") >> 1) >= PRIME:
        pass  # 19 of 2**255 values
    return value


def split(
    secret: int, *, threshold: int, count: int, randomness: Callable[[int], bytes]
) -> tuple[int, ...]:
    """Return ``count`` shares, for the holders 1 to ``count``.

    Args:
        secret: In [0, p).
        threshold: How many shares give the secret, t; 1 to ``count``.
        count: Number of holders, below p.
        randomness: Returns so many secret random bytes.

    Raises:
        ValueError: If the secret or the threshold is out of its range.
    """
    if not (0 <= secret < PRIME and 1 <= threshold <= count):
        raise ValueError(f"expected a secret below p and a threshold of 1 to {count}")
    coefficients = [secret, *(random_element(randomness) for _ in range(threshold - 1))]
    return tuple(_value(coefficients, x) for x in range(1, count + 1))


def basis(holders: Sequence[int]) -> Mapping[int, int]:
    """Return Lagrange's coefficients at 0 for these holders, by holder.

    Raises:
        ValueError: If a holder is listed twice or is not in [1, p).
    """
    if len(set(holders)) != len(holders) or not all(0 < holder < PRIME for holder in holders):
        raise ValueError("expected distinct holders, numbered from 1")
    coefficients = {}
    for holder in holders:
        above = below = 1
        for other in holders:
            if other != holder:
                above = above * other % PRIME
                below = below * (other - holder) % PRIME
        coefficients[holder] = above * pow(below, -1, PRIME) % PRIME
    return coefficients


def combine(shares: Mapping[int, int], coefficients: Mapping[int, int]) -> int:
    """Return the secret of which ``shares``, by holder, are the holders' parts.

    Raises:
        KeyError: If a holder of ``coefficients`` has no share.
    """
    return sum(coefficients[holder] * shares[holder] for holder in coefficients) % PRIME


def to_bytes(element: int) -> bytes:
    """Return an element as 32 bytes, big-endian."""
    return element.to_bytes(SHARE_BYTES, "big")


def from_bytes(data: bytes) -> int:
    """Read an element.

    Raises:
        MalformedMessageError: If ``data`` has another size, or is not below p: an element has one
            spelling only.
    """
    require_size("a share", data, SHARE_BYTES)
    element = int.from_bytes(data, "big")
    if element >= PRIME:
        raise MalformedMessageError("expected a share below 2**255 - 19, got a larger number")
    return element


def _value(coefficients: Sequence[int], x: int) -> int:
    """Evaluate the polynomial at ``x`` (Horner)."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value
