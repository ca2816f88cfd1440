"""The third accountant: Opacus' privacy random variables (PRV), from another code base.

Gopi, Lee and Wutschitz 2021, "Numerical composition of differential privacy", arXiv 2106.02848.
It confirms or contradicts the official bound and is never charged, so nothing that is charged
depends on whether Opacus is installed: an auditor's machine needs none.

It knows one direction of add-or-remove-one, the removed unit, and Gaussians, sampled or not.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any, Protocol

from privacy.accountant import RdpAccountant
from privacy.accounting_terms import check_delta, check_epsilon, mechanisms, noise, rate
from privacy.errors import PrivacyError, UnsupportedEventError
from privacy.events import Composed, Event, Mechanism, MixtureOfGaussians

EPSILON_ERROR = 0.002
"""Most by which an answer exceeds the estimate; the estimate is as close to the exact value."""

_DELTA_SHARE = 1000  # the error of δ is at most this part of it
_DELTA_ERROR = 1e-12  # where ε is given and no δ
_MOST_POINTS = 2**23  # of one grid: 64 MiB, and some arrays of that size at a time
_MOST_POINTS_IN_ALL = 2**25


class _Composed(Protocol):
    """What is used of Opacus' ``DiscretePRV``."""

    def compute_epsilon(
        self, delta: float, delta_error: float, eps_error: float
    ) -> tuple[float, float, float]: ...

    def compute_delta_estimate(self, eps: float) -> float: ...


class PrvUnavailableError(PrivacyError):
    """The third accountant has no answer: not installed, or its numerics gave up."""


class PrvAccountant:
    """Accounts by privacy random variables, for add-or-remove-one."""

    def epsilon(self, event: Event, delta: float) -> float:
        """Return an ε for which ``event`` is (ε, ``delta``)-DP.

        Raises:
            InvalidBudgetError: If ``delta`` is not in (0, 1).
            UnsupportedEventError: If one unit has several records in ``event``.
            PrvUnavailableError: If Opacus is missing, or gives up.
        """
        check_delta(delta)
        return _epsilon(mechanisms(event), delta)

    def delta(self, event: Event, epsilon: float) -> float:
        """Return a δ for which ``event`` is (``epsilon``, δ)-DP.

        Raises:
            InvalidBudgetError: If ``epsilon`` is negative or not finite.
            UnsupportedEventError: If one unit has several records in ``event``.
            PrvUnavailableError: If Opacus is missing, or gives up.
        """
        check_epsilon(epsilon)
        composed = _composed(mechanisms(event), _DELTA_ERROR)
        estimate = float(composed.compute_delta_estimate(max(0.0, epsilon - EPSILON_ERROR)))
        return min(1.0, max(0.0, estimate) + _DELTA_ERROR)


@lru_cache(maxsize=256)
def _epsilon(parts: tuple[Mechanism, ...], delta: float) -> float:
    error = delta / _DELTA_SHARE
    composed = _composed(parts, error)
    try:
        _, _, upper = composed.compute_epsilon(delta, error, EPSILON_ERROR)
    except (ArithmeticError, RuntimeError, ValueError) as failure:
        raise PrvUnavailableError(f"Opacus' PRV accountant gave up: {failure}") from failure
    if not math.isfinite(upper):
        raise PrvUnavailableError(f"Opacus' PRV accountant answered ε = {upper}")
    return max(0.0, float(upper))


def _composed(parts: tuple[Mechanism, ...], delta_error: float) -> _Composed:
    """Return the random variable of all steps together, on one grid.

    Raises:
        UnsupportedEventError: If one unit has several records in a mechanism.
        PrvUnavailableError: If Opacus is missing, or gives up.
    """
    if any(isinstance(part, MixtureOfGaussians) for part in parts):
        raise UnsupportedEventError("Opacus' PRV accountant knows units of one record only")
    if not parts:
        raise PrvUnavailableError("Opacus' PRV accountant has no value for no mechanism")
    prv = _opacus()
    steps = [part.steps for part in parts]
    width = _mesh(parts, delta_error)
    try:
        # Opacus warns of its own search over Rényi orders, which only sizes the grid.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            variables = [prv.PoissonSubsampledGaussianPRV(rate(p), noise(p)) for p in parts]
            reach = prv.compute_safe_domain_size(
                prvs=variables,
                max_self_compositions=steps,
                eps_error=EPSILON_ERROR,
                delta_error=delta_error,
            )
            domain = prv.Domain.create_aligned(-reach, reach, width)
            cut = [prv.TruncatedPrivacyRandomVariable(v, -reach, reach) for v in variables]
            composed: _Composed = prv.compose_heterogeneous(
                dprvs=[prv.discretize(one, domain) for one in cut], num_self_compositions=steps
            )
            return composed
    except (ArithmeticError, MemoryError, RuntimeError, ValueError) as failure:
        raise PrvUnavailableError(f"Opacus' PRV accountant gave up: {failure}") from failure


def _mesh(parts: tuple[Mechanism, ...], delta_error: float) -> float:
    """Return the grid's width (Gopi et al. 2021, theorem 5.5); refuse a grid beyond memory."""
    steps = sum(part.steps for part in parts)
    width = EPSILON_ERROR / math.sqrt(steps * math.log(12 / delta_error) / 2)
    reach = RdpAccountant().epsilon(Composed(parts), delta_error / 4) + 3
    points = 2 * reach / width
    if points > _MOST_POINTS or points * len(parts) > _MOST_POINTS_IN_ALL:
        raise PrvUnavailableError(
            f"Opacus' PRV accountant would need {points:.1e} points for each of {len(parts)} "
            "mechanisms"
        )
    return width


def _opacus() -> Any:  # untyped
    """Load Opacus, with torch behind it: seconds, so only where an opinion is asked for.

    The one exception to the rule that this package imports neither Opacus nor torch: it must work
    where they are not installed, and does.
    """
    try:
        from opacus.accountants.analysis import prv
    except ImportError as error:
        raise PrvUnavailableError("Opacus is not installed") from error
    return prv
