"""What accounting takes: ``python bench/accounting.py [--quick | --full] [--out FILE]``.

A plan with 20 distinct events, as a steward's first approval prices it and again from the cache;
the noise multiplier of a plan, solved; one person of several records. Times are of one process
that has imported its libraries, one run each.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from measure import options, publish, say

from privacy.accountant import PldAccountant
from privacy.accounting_check import price
from privacy.accounting_solver import solve_noise_multiplier
from privacy.events import Composed, Gaussian, MixtureOfGaussians, SampledGaussian
from privacy.guarantee import Neighbours

DELTA = Decimal("0.00001")
EVENTS = 20
Result = TypeVar("Result")


def main() -> None:
    """Measure and publish."""
    args = options("Time the accountants.")
    steps = 1000 if args.full else 100
    # The libraries load on first use, in about a second; that is not the accountants' time.
    PldAccountant(interval=1e-2).epsilon(Gaussian(Decimal(8), 1), 1e-5)
    plan = distinct_events(steps)
    first, charged = timed(lambda: charge(plan))
    again, _ = timed(lambda: charge(plan))
    say(f"{EVENTS} distinct events: {first:.2f} s, again {again:.6f} s")
    solving, sigma = timed(lambda: solve(steps))
    say(f"solved a noise multiplier in {solving:.2f} s")
    person = MixtureOfGaussians(Decimal(4), Fraction(1, 100), 4, steps)
    pricing, persons = timed(lambda: PldAccountant().epsilon(person, float(DELTA)))
    say(f"priced a person of {person.records_per_unit} records in {pricing:.2f} s")
    publish(
        {
            "bench": "accounting",
            "distinct_events": EVENTS,
            "steps_each": steps,
            "delta": f"{DELTA:f}",
            "plan_epsilon": f"{charged:f}",
            "plan_first_s": round(first, 3),
            "plan_cached_s": round(again, 6),
            "solved_noise_multiplier": f"{sigma:f}",
            "solve_s": round(solving, 3),
            "person_records": person.records_per_unit,
            "person_epsilon": round(persons, 4),
            "person_s": round(pricing, 3),
        },
        args.out,
    )


def distinct_events(steps: int) -> Composed:
    """Return training at 20 sample rates, each with noise of its own."""
    return Composed(
        tuple(
            SampledGaussian(4 + Decimal(number) / 10, Fraction(1, 100 + number), steps)
            for number in range(EVENTS)
        )
    )


def charge(plan: Composed) -> Decimal:
    """Price the plan as its charge does: official and checked."""
    return price(plan, delta=DELTA, neighbours=Neighbours.ADD_OR_REMOVE_ONE).charged


def solve(steps: int) -> Decimal:
    """Solve the noise of a plan that promises ε = 2."""
    return solve_noise_multiplier(
        epsilon=Decimal(2), delta=DELTA, sample_rate=Fraction(1, 100), steps=steps
    )


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds of the wall clock that ``work`` took, and its result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
