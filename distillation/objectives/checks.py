"""Checks that several terms make of their constants."""

import math

from distillation.errors import TrainingError


def require_positive(name: str, value: float) -> None:
    """Raise a `TrainingError` unless ``value`` is finite and above zero."""
    if not (math.isfinite(value) and value > 0):
        raise TrainingError(f"expected a {name} > 0, got {value}")


def require_share(name: str, value: float) -> None:
    """Raise a `TrainingError` unless ``value`` is in [0, 1]."""
    if not 0 <= value <= 1:
        raise TrainingError(f"expected a {name} in [0, 1], got {value}")
