"""What an event costs: ε for a δ, and δ for an ε.

Official is the privacy loss distribution (PLD) of dp_accounting, rounded pessimistically on a
grid of 1e-4 (Doroshenko et al. 2022, "Connect the dots", arXiv 2207.04380). Rényi accounting
(Mironov 2017, arXiv 1702.07476) is an independent check: a bound of another derivation. A third
one is in ``accounting_prv``; ``accounting_check`` compares them.

The noise multiplier of an event is relative to what one record *adds* to the sum, C. Replacing a
unit moves the sum by up to 2C; dp_accounting's PLD takes that into account for REPLACE_ONE, its
Rényi accountant (0.6.0) does not, so the latter is used for add-or-remove-one only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from privacy.accounting_mixture import mixture, replaced_delta, replaced_epsilon
from privacy.accounting_terms import check_delta, check_epsilon, mechanisms, noise, rate
from privacy.errors import UnsupportedEventError
from privacy.events import Event, Mechanism, MixtureOfGaussians
from privacy.guarantee import Neighbours

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
    from dp_accounting.rdp import RdpAccountant as Accumulator

INTERVAL = 1e-4
# Whole orders only: the fractional ones do not converge for large sample rates, and every set
# of orders gives a valid bound.
_ORDERS = (*range(2, 64), 80, 96, 128, 192, 256, 384, 512, 768, 1024)


class Accountant(Protocol):
    """Bounds the privacy loss of an event. Both answers are upper bounds."""

    def epsilon(self, event: Event, delta: float) -> float:
        """Return an ε for which ``event`` is (ε, δ)-DP; infinite if there is none."""
        ...

    def delta(self, event: Event, epsilon: float) -> float:
        """Return a δ for which ``event`` is (ε, δ)-DP."""
        ...


class PldAccountant:
    """Accounts by privacy loss distributions; the bound that is charged.

    To replace a unit of several records is to remove it and add another: dp_accounting has no
    distribution for that, so the two are combined (see ``accounting_mixture``).

    Args:
        neighbours: The relation to bound for.
        interval: Width of the grid of losses; finer is tighter and slower.
    """

    def __init__(
        self,
        neighbours: Neighbours = Neighbours.ADD_OR_REMOVE_ONE,
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._neighbours = neighbours
        self._interval = interval

    def epsilon(self, event: Event, delta: float) -> float:
        """Return the smallest ε on the grid for which ``event`` is (ε, ``delta``)-DP.

        Raises:
            InvalidBudgetError: If ``delta`` is not in (0, 1).
        """
        check_delta(delta)
        return _pld_epsilon(mechanisms(event), self._neighbours, self._interval, delta)

    def delta(self, event: Event, epsilon: float) -> float:
        """Return the δ for which ``event`` is (``epsilon``, δ)-DP.

        Raises:
            InvalidBudgetError: If ``epsilon`` is negative or not finite.
        """
        check_epsilon(epsilon)
        parts = mechanisms(event)
        if _is_replaced_in_two_steps(parts, self._neighbours):
            return replaced_delta(
                _pld(parts, Neighbours.ADD_OR_REMOVE_ONE, self._interval), epsilon
            )
        distribution = _pld(parts, self._neighbours, self._interval)
        return min(1.0, float(distribution.get_delta_for_epsilon(epsilon)))


class RdpAccountant:
    """Accounts by Rényi divergences of whole orders, for add-or-remove-one."""

    def epsilon(self, event: Event, delta: float) -> float:
        """Return an ε for which ``event`` is (ε, ``delta``)-DP.

        Raises:
            InvalidBudgetError: If ``delta`` is not in (0, 1).
            UnsupportedEventError: If one unit has several records in ``event``.
        """
        check_delta(delta)
        return float(_renyi(mechanisms(event)).get_epsilon(delta))

    def delta(self, event: Event, epsilon: float) -> float:
        """Return a δ for which ``event`` is (``epsilon``, δ)-DP.

        Raises:
            InvalidBudgetError: If ``epsilon`` is negative or not finite.
            UnsupportedEventError: If one unit has several records in ``event``.
        """
        check_epsilon(epsilon)
        return float(_renyi(mechanisms(event)).get_delta(epsilon))


@lru_cache(maxsize=4096)
def _pld_epsilon(
    parts: tuple[Mechanism, ...], neighbours: Neighbours, interval: float, delta: float
) -> float:
    if _is_replaced_in_two_steps(parts, neighbours):
        return replaced_epsilon(_pld(parts, Neighbours.ADD_OR_REMOVE_ONE, interval), delta)
    return float(_pld(parts, neighbours, interval).get_epsilon_for_delta(delta))


def _is_replaced_in_two_steps(parts: tuple[Mechanism, ...], neighbours: Neighbours) -> bool:
    several = any(isinstance(part, MixtureOfGaussians) for part in parts)
    return several and neighbours is Neighbours.REPLACE_ONE


@lru_cache(maxsize=8)  # a distribution holds up to some megabytes
def _pld(
    parts: tuple[Mechanism, ...], neighbours: Neighbours, interval: float
) -> PrivacyLossDistribution:
    # Imported on first use: it takes a second, and most commands account for nothing.
    from dp_accounting.pld import privacy_loss_distribution as pld

    total = pld.identity(value_discretization_interval=interval)
    for part in parts:
        total = total.compose(_steps(part, neighbours, interval))
    return total


@lru_cache(maxsize=32)  # a search for σ changes one mechanism of a plan and keeps the others
def _steps(part: Mechanism, neighbours: Neighbours, interval: float) -> PrivacyLossDistribution:
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld import privacy_loss_distribution as pld

    if isinstance(part, MixtureOfGaussians):
        return mixture(part, interval=interval).self_compose(part.steps)
    relation = {
        Neighbours.ADD_OR_REMOVE_ONE: NeighboringRelation.ADD_OR_REMOVE_ONE,
        Neighbours.REPLACE_ONE: NeighboringRelation.REPLACE_ONE,
    }[neighbours]
    one = pld.from_gaussian_mechanism(
        standard_deviation=noise(part),
        value_discretization_interval=interval,
        sampling_prob=rate(part),
        neighboring_relation=relation,
    )
    return one.self_compose(part.steps)


@lru_cache(maxsize=256)
def _renyi(parts: tuple[Mechanism, ...]) -> Accumulator:
    from dp_accounting.dp_event import ComposedDpEvent
    from dp_accounting.rdp import RdpAccountant as Accumulator

    accumulator = Accumulator(_ORDERS)
    accumulator.compose(ComposedDpEvent([_dp_event(part) for part in parts]))
    return accumulator


def _dp_event(part: Mechanism) -> DpEvent:
    from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    if isinstance(part, MixtureOfGaussians):
        raise UnsupportedEventError(
            "the Rényi accountant has no bound for a unit of several records; use the PLD"
        )
    sampled = PoissonSampledDpEvent(rate(part), GaussianDpEvent(noise(part)))
    return SelfComposedDpEvent(sampled, part.steps)
