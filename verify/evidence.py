"""Reading a stranger's ledgers: nothing in the folder changes, a database is read from a copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from privacy.accountant import RdpAccountant
from privacy.accounting_terms import mechanisms, round_down
from privacy.charging import charged_epsilon
from privacy.errors import (
    LedgerVersionError,
    PrivacyError,
    UnknownEntryError,
    UnsupportedEventError,
)
from privacy.events import Composed, Event, MixtureOfGaussians, SampledGaussian
from privacy.guarantee import Neighbours
from privacy.ledger_entries import Approval, Entry, Payload
from privacy.ledger_state import LedgerState, fold_all
from privacy.pack import bodies as ledger_bodies
from verify.errors import ContradictedError, MissingEvidenceError

_MAX_EPSILON = 200
_MAX_SHIFT = 50


@dataclass(frozen=True, slots=True)
class ReadLedger:
    """One region's ledger, folded, with every charge computed anew.

    Attributes:
        bodies: Its entries as they are stored.
        state: What they add up to.
    """

    bodies: Sequence[bytes]
    state: LedgerState

    def entries(self, *kinds: type[Payload]) -> Iterator[Entry]:
        """Yield the entries of these kinds, in order; the others are not read again."""
        marks = [f'"kind":"{kind.KIND}"'.encode() for kind in kinds]
        for body in self.bodies:
            if any(mark in body for mark in marks):
                entry = Entry.from_bytes(body)
                if isinstance(entry.payload, kinds):  # a text may hold a mark as well
                    yield entry


def region_folder(folder: Path, region: str) -> Path:
    """Return where the region's ledger is, inside the run's folder and nowhere else.

    Raises:
        ContradictedError: If the name is a path.
    """
    if Path(region).name != region:
        raise ContradictedError(f"expected the name of a region, got the path {region[:80]!r}")
    return folder / "regions" / region


def read_state(folder: Path) -> LedgerState:
    """Read and fold a region's ledger, and compute each of its charges anew.

    Raises:
        MissingEvidenceError: If there is no ledger, or this release cannot read it.
        ContradictedError: If it breaks its own rules.
    """
    return read_ledger(read_bodies(folder)).state


def read_ledger(bodies: Sequence[bytes]) -> ReadLedger:
    """Fold the entries of a ledger, and compute each of its charges anew.

    Raises:
        MissingEvidenceError: If this release cannot read them.
        ContradictedError: If they break their own rules.
    """
    try:
        state = fold_all(bodies)
        for plan in state.plans.values():
            _check_charges(plan.approval)
    except PrivacyError as error:
        _require_readable(bodies)
        raise ContradictedError(f"the ledger breaks its own rules: {error}") from error
    return ReadLedger(bodies, state)


def read_bodies(folder: Path) -> Sequence[bytes]:
    """Return the bodies of the ledger in a region's folder, and change nothing there.

    Raises:
        MissingEvidenceError: If there is no ledger, or this release cannot read it.
        ContradictedError: If the file is damaged.
    """
    try:
        bodies = ledger_bodies.read_bodies(folder)
    except LedgerVersionError as error:
        raise MissingEvidenceError(str(error)) from error
    except PrivacyError as error:
        raise ContradictedError(f"ledger.db cannot be read: {error}") from error
    if bodies is None:
        raise MissingEvidenceError(
            f"expected ledger.db or ledger.jsonl in {folder}, got neither; ask the region for it"
        )
    return bodies


@lru_cache(maxsize=256)
def cost_of(event: Event, delta: Decimal, neighbours: Neighbours) -> Decimal:
    """Return the ε of an event; many regions of a run have the same one.

    Raises:
        UnsupportedEventError: If there is none that the accountants agree on, or it is so large
            that computing it would take this machine's memory: a ledger may come from a stranger.
    """
    _require_priceable(event, round_down(Fraction(delta)))
    return charged_epsilon(event, delta=delta, neighbours=neighbours)


def _require_priceable(event: Event, delta: float) -> None:
    """Refuse what no steward grants, by the Rényi bound, which costs next to nothing.

    The grid of a PLD has one point for each 1e-4 of loss, so its size grows with ε.
    """
    singles = []
    for part in mechanisms(event):
        if isinstance(part, MixtureOfGaussians):
            if part.records_per_unit > _MAX_SHIFT * part.noise_multiplier:
                raise UnsupportedEventError(
                    f"{part.records_per_unit} records of one unit at a noise multiplier of "
                    f"{part.noise_multiplier}: no finite ε that anybody grants"
                )
            part = SampledGaussian(part.noise_multiplier, part.sample_rate, part.steps)
        singles.append(part)
    bound = RdpAccountant().epsilon(Composed(tuple(singles)), delta)
    if not bound <= _MAX_EPSILON:
        raise UnsupportedEventError(
            f"ε is about {bound:.0f} at this δ; above {_MAX_EPSILON} it is not computed"
        )


def _require_readable(bodies: Sequence[bytes]) -> None:
    """Tell entries that this release cannot read from entries that break the rules."""
    for body in bodies:
        try:
            Entry.from_bytes(body)
        except (UnknownEntryError, LedgerVersionError) as error:
            raise MissingEvidenceError(str(error)) from error
        except PrivacyError as error:
            raise ContradictedError(str(error)) from error


def _check_charges(approval: Approval) -> None:
    """Refuse an approval that charged less than its events cost."""
    for charge in approval.charges:
        event = approval.event_for(charge.unit)
        if event is None:
            raise ContradictedError(
                f"the plan {approval.plan[:16]}… was charged {charge}, and a plan on records that "
                "declares no cap says nothing about persons"
            )
        cost = cost_of(event, charge.delta, charge.neighbours)
        if cost > charge.epsilon:
            raise ContradictedError(
                f"the plan {approval.plan[:16]}… was charged {charge}, "
                f"and its events cost ε = {cost} at that δ"
            )
