"""What a region's guarantee says, in one exact sentence and in plain words.

The sentence claims no more than what is charged: the content of declared releases, everything
ever charged to one lineage, one unit, an adversary with bounded computing power (the noise comes
from a cryptographic generator), as the ledger stood on a date. The bound on guessing is from
Kairouz, Oh and Viswanath 2015, theorem 2.1 (the region of errors of an (ε, δ)-private test).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from privacy.guarantee import Bound, Neighbours
from privacy.report.evidence import RegionEvidence
from privacy.report.parts import Assumption, Region, Support

PROVEN, TESTED = Support.PROVEN, Support.TESTED
ATTESTED, ASSUMED = Support.ATTESTED, Support.ASSUMED

# What no report of this system covers, whatever the study; the teacher's people come on top.
ALWAYS_NOT_COVERED = (
    "Facts about a record that others' records tell as well: a guarantee for one unit is none "
    "for what a group shares.",
    "People who are named in another unit's record.",
    "Public constants: which regions took part, their public sizes, the schedule, the weights.",
    "How long a region takes to answer, and whoever controls its machine.",
    "Copies of the records that exist elsewhere, and anything that left outside the plan.",
)

# What must hold for any claim, and how this system supports it.
ALWAYS_ASSUMED = (
    Assumption("Each unit enters each step by an independent draw at the stated rate", TESTED),
    Assumption("A record's soft label depends on no other record of the region", TESTED),
    Assumption("No unit changes a step's sum by more than the clip norm", TESTED),
    Assumption("The noise is normal, of the stated size and fresh in each step", TESTED),
    Assumption(
        "The generator's key is secret, and its output looks random to the adversary", ASSUMED
    ),
    Assumption(
        "Plans that are charged in full add up in ε and δ, also where a later plan depends on "
        "earlier releases",
        PROVEN,
    ),
    Assumption("Noise in floating point behaves like noise in real numbers", ASSUMED),
    Assumption("The region runs this code, and its records are what was declared", ASSUMED),
    Assumption("The teacher's lineage is what was declared", ATTESTED),
    Assumption("No other ledger was ever charged for the same lineage", ASSUMED),
    Assumption("The ledger that was read is the region's latest one", ASSUMED),
)

# What a simulation must say above everything else.
SIMULATION_MARKS = (
    "One machine held the records of all regions, as a simulation does.",
    "Every way of training but the released student was run by the researcher, outside the "
    "ledgers. Those figures are for comparison; in a real federation most could not be had.",
)


def claim(
    region: Region,
    *,
    as_of: str,
    assumptions: int,
    exceptions: int,
    ledger: RegionEvidence | None = None,
) -> str:
    """Return what the region claims, with its conditions and exceptions by number.

    Args:
        region: The region.
        as_of: The date on which the ledger was read.
        assumptions: How many the report lists, as A1 and so on.
        exceptions: How many the report lists as not covered, as N1 and so on.
        ledger: What the region's ledger says, with the checkpoints of it; None if it was not read.
    """
    charged = region.charged
    return (
        f"For each single {charged.unit} of the lineage {region.lineage} in {region.name}, under "
        f"the {charged.neighbours} relation: the content of all releases declared in the plans "
        f"that were ever charged to this lineage, taken together, is (ε = {charged.epsilon}, "
        f"δ = {delta_text(charged)})-differentially private, as the ledger stood on {as_of} "
        f"{_freshness(ledger)}, against an adversary of bounded computing power who sees "
        "each of these releases by itself, all models and all other regions' data, provided "
        f"that the assumptions {_numbers('A', assumptions)} hold. "
        f"Not covered: {_numbers('N', exceptions)}."
    )


def _freshness(ledger: RegionEvidence | None) -> str:
    """Say who vouches that the ledger did not go on, and until when."""
    witnessed = [] if ledger is None else [c for c in ledger.integrity.checkpoints if c.witnesses]
    if ledger is None or not witnessed:
        return "(no witness vouches here that this was its end)"
    last = witnessed[-1]
    day = datetime.fromtimestamp(last.at, UTC).strftime("%Y-%m-%d")
    return (
        f"(its first {last.size} of {ledger.integrity.entries} entries by a checkpoint that "
        f"{', '.join(last.witnesses)} cosigned on {day})"
    )


def guess_percent(bound: Bound) -> int:
    """Return how often the best guess is right, in percent, rounded up.

    The guess is whether one record was used, or which of two, each with even odds beforehand, by
    somebody who sees every release and knows all else. Blind guessing is right 50 % of the time.
    """
    epsilon, delta = float(bound.epsilon), float(bound.delta)
    wrong = (1 - delta) / (1 + math.exp(min(epsilon, 700.0)))
    return min(100, math.ceil(100 * (1 - wrong) - 1e-9))


def in_plain_words(bound: Bound, *, percent: int | None = None) -> str:
    """Return what (ε, δ) means for one unit, for someone who never heard of it.

    Args:
        bound: The (ε, δ) with its unit and relation.
        percent: How often the best guess is right at most, where more than (ε, δ) is known.
    """
    bet = {
        Neighbours.ADD_OR_REMOVE_ONE: f"whether one given {bound.unit} was used at all",
        Neighbours.REPLACE_ONE: f"which of two given {bound.unit}s was used",
    }[bound.neighbours]
    percent = guess_percent(bound) if percent is None else percent
    if percent < 100:
        limit = f"they are right at most {percent} times in 100, however they do it"
    else:
        limit = "nothing worth the name limits how often they are right"
    return (
        f"Suppose somebody sees everything that was released, knows every other {bound.unit}, "
        f"and has to guess {bet}. By coin toss they are right 50 times in 100. With the releases "
        f"{limit}. This is a ceiling for the worst case, not an estimate."
    )


def delta_text(bound: Bound) -> str:
    """Return δ as people write it, such as ``1e-5``."""
    mantissa, exponent = f"{bound.delta.normalize():e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _numbers(letter: str, count: int) -> str:
    if not count:
        return "(none is listed)"
    return f"{letter}1" if count == 1 else f"{letter}1 to {letter}{count}"
