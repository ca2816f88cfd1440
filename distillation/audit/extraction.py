"""What a language model gives away of planted sequences: an illustration, not a bound.

Two questions to whoever can be asked for text or likelihoods. Does the model go on with the planted
ending when it is given the beginning? And how high does the planted ending rank among others that
were not planted (the exposure of Carlini et al. 2019, "The secret sharer", arXiv 1802.08232,
section 4)? Endings that were never planted are asked for in the same way: what is found there too
was guessed, not remembered.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from distillation.audit.errors import AuditError
from distillation.audit.membership import Interval, clopper_pearson

Ids: TypeAlias = tuple[int, ...]
Generate: TypeAlias = Callable[[Ids, int], Sequence[int]]
"""Maps a beginning and a number n to the n tokens that the model goes on with."""

LogLikelihood: TypeAlias = Callable[[Ids, Ids], float]
"""Maps a beginning and an ending to the log-likelihood of the ending, in nats."""


@dataclass(frozen=True, slots=True)
class PlantedSequence:
    """A canary for a language model.

    Attributes:
        beginning: What an attacker knows.
        ending: What an attacker wants to know.
        planted: Whether it was in the training set.
    """

    beginning: Ids
    ending: Ids
    planted: bool


@dataclass(frozen=True, slots=True)
class Extraction:
    """How many endings the model gave away.

    Attributes:
        planted: Share of the planted ones, with its 95 % interval.
        controls: Share of those that were not planted.
    """

    planted: Interval
    controls: Interval


def extract(generate: Generate, canaries: Sequence[PlantedSequence]) -> Extraction:
    """Ask for the ending of each canary, planted or not.

    Raises:
        AuditError: If none was planted, or none was not.
    """
    found: dict[bool, list[bool]] = {True: [], False: []}
    for canary in canaries:
        answer = tuple(generate(canary.beginning, len(canary.ending)))
        found[canary.planted].append(answer == canary.ending)
    if not found[True] or not found[False]:
        raise AuditError("expected canaries that were planted and controls that were not")
    shares = {kind: clopper_pearson(sum(hits), len(hits)) for kind, hits in found.items()}
    return Extraction(planted=shares[True], controls=shares[False])


def exposure(
    log_likelihood: LogLikelihood, canary: PlantedSequence, others: Sequence[Ids]
) -> float:
    """Return log2 of the number of endings over the canary's rank among them, in bits.

    0 where every other ending is likelier; log2(n + 1) where none is. A tie counts against the
    canary, so that a model that knows nothing shows nothing.

    Args:
        log_likelihood: The model.
        canary: The canary.
        others: Endings of the same length that were not planted and might have been, (n,).

    Raises:
        AuditError: If there are no others, or one is the canary's own ending.
    """
    if not others or canary.ending in others:
        raise AuditError("expected other endings than the canary's to compare it with")
    own = log_likelihood(canary.beginning, canary.ending)
    rank = 1 + sum(log_likelihood(canary.beginning, other) >= own for other in others)
    return math.log2(len(others) + 1) - math.log2(rank)
