"""Do the parts of a report fit together? Whatever does not is refused, also when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from privacy.errors import MalformedDocumentError
from privacy.report.dossier import several_regions
from privacy.report.parts import ArmName

if TYPE_CHECKING:
    from privacy.report.model import Report

REQUIRED_ARMS = (ArmName.TEACHER, ArmName.DISTILLED, ArmName.PUBLIC_ONLY)


def check_parts(report: Report) -> None:
    """Refuse a report whose parts contradict each other.

    Raises:
        MalformedDocumentError: Naming what was expected and what came.
    """
    _check_arms(report)
    _check_regions(report)
    _check_rounds(report)
    _check_ledgers(report)
    _check_several(report)


def _check_arms(report: Report) -> None:
    names = [arm.name for arm in report.arms]
    missing = [name for name in REQUIRED_ARMS if name not in names]
    if missing or len(set(names)) != len(names):
        raise MalformedDocumentError(
            f"expected each arm once, with {', '.join(REQUIRED_ARMS)} among them, "
            f"got {', '.join(names) or 'none'}"
        )
    if len({arm.tokens is None for arm in report.arms}) != 1:
        raise MalformedDocumentError("expected perplexities of all arms or of none, got some")


def _check_regions(report: Report) -> None:
    names = [region.name for region in report.regions]
    if not names or names != sorted(set(names)):
        raise MalformedDocumentError(
            f"expected regions with different names in ascending order, got {', '.join(names)}"
        )
    if len({region.charged.relation for region in report.regions}) != 1:
        raise MalformedDocumentError("expected all regions in one unit and relation, got several")


def _check_ledgers(report: Report) -> None:
    names = [region.name for region in report.regions]
    found = [one.region for one in report.ledgers]
    if found not in ([], names):
        raise MalformedDocumentError(
            f"expected the ledger of each region in order ({', '.join(names)}) or none, "
            f"got {', '.join(found)}"
        )
    for region, one in zip(report.regions, report.ledgers, strict=False):
        if one.protection[0].bound != region.charged:
            raise MalformedDocumentError(
                f"{region.name}: the report claims {region.charged}, and its own evidence says "
                f"{one.protection[0].bound}"
            )


def _check_several(report: Report) -> None:
    if report.several and report.several != several_regions([r.charged for r in report.regions]):
        raise MalformedDocumentError(
            "expected the bounds for several regions to be sums of the regions' charges"
        )


def _check_rounds(report: Report) -> None:
    numbers = [one.round for one in report.rounds]
    if not numbers or numbers != list(range(numbers[-1] + 1)):
        raise MalformedDocumentError(
            f"expected the quality of each round from 0 on, got {', '.join(map(str, numbers))}"
        )
