"""What is declared of several models at once: the worst lineage wins, and nothing is paid less.

An ensemble's answer depends on everything that any of its teachers was trained on, and a student
that starts from an earlier release on what that release was distilled from. Public models add
nothing to the others' declaration. Lineages that ask an account for different things do not become
one: that would drop a payment or a check, so they are refused.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from privacy.errors import LineageRefusedError
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import NEVER, WITHOUT_POPULATION, Declaration, TeacherLineage

_WITH_DP = (TeacherLineage.EXTERNAL_DP, TeacherLineage.FEDERATED_DP)


def joined(declarations: Sequence[Declaration]) -> Declaration:
    """Return one declaration for models that are used together.

    Guarantees: whatever `admit` asks of one of them it asks of the result, and the result's
    surcharge is the sum of theirs, also where two are declared in the same words: two models may
    be two trainings on the same people.

    Args:
        declarations: At least one.

    Raises:
        LineageRefusedError: If there is none, or no one declaration says as much.
    """
    if not declarations:
        raise LineageRefusedError("expected the lineage of at least one model, got none")
    for one in declarations:
        if one.lineage in NEVER:
            return one
    others = [one for one in declarations if one.lineage is not TeacherLineage.PUBLIC]
    plans = tuple(sorted({plan for one in declarations for plan in one.plans}))
    if not others:
        return replace(declarations[0], plans=plans)
    return replace(_one(_of_one_lineage(others)), plans=plans)


def continued(declaration: Declaration, former: Declaration, plan: str) -> Declaration:
    """Return what is declared of a study whose student starts from an earlier plan's release.

    What the earlier teacher's training costs was charged with the earlier plan, which has to be on
    the paying account's record; so a teacher of the same declaration is not paid for twice here.

    Args:
        declaration: Of the study's teacher.
        former: Of the earlier plan's.
        plan: Hash of the earlier plan; the account that pays must have been charged for it.

    Raises:
        LineageRefusedError: As `joined`.
    """
    same = replace(former, plans=declaration.plans) == declaration
    both = declaration if same else joined([declaration, former])
    plans = {*both.plans, *former.plans, plan}
    return replace(both, plans=tuple(sorted(plans)))


def _of_one_lineage(found: Sequence[Declaration]) -> list[Declaration]:
    """Return the declarations with one lineage; only what asks for nothing may take a worse one."""
    worst = TeacherLineage.EXTERNAL_PRIVATE
    if len({one.lineage for one in found}) > 1 and any(one.lineage is worst for one in found):
        found = [
            Declaration(worst, population=one.population)
            if one.lineage in _WITH_DP and one.disjoint_attested_by.strip()
            else one
            for one in found
        ]
    lineages = sorted({one.lineage for one in found})
    if len(lineages) > 1:
        raise LineageRefusedError(
            f"models of the lineages {' and '.join(lineages)} cannot be declared as one: each asks "
            "the accounts for something else, which the other would drop; use models of one "
            "lineage, beside public ones"
        )
    return list(found)


def _one(found: Sequence[Declaration]) -> Declaration:
    if len(found) == 1:
        return found[0]
    lineage = found[0].lineage
    unattested = [one for one in found if not one.disjoint_attested_by.strip()]
    if lineage in _WITH_DP and len({bool(one.guarantees) for one in unattested}) > 1:
        raise LineageRefusedError(
            f"some of the {lineage} models name what their training was charged and some do not: "
            "declare it for all of them, or have it attested that their people are disjoint"
        )
    named = all(one.population.strip() for one in found) or lineage in WITHOUT_POPULATION
    declared_public = [one.public_attested_by.strip() for one in found]
    return Declaration(
        lineage=lineage,
        population=_said(one.population for one in found) if named else "",
        guarantees=_sum([bound for one in unattested for bound in one.guarantees]),
        disjoint_attested_by="" if unattested else _said(one.disjoint_attested_by for one in found),
        public_attested_by=_said(declared_public) if all(declared_public) else "",
    )


def _sum(bounds: Sequence[Bound]) -> tuple[Bound, ...]:
    """Return one bound for each unit and relation: basic composition, (Σε, Σδ)."""
    totals: dict[tuple[Unit, Neighbours], tuple[Decimal, Decimal]] = {}
    for bound in bounds:
        epsilon, delta = totals.get(bound.relation, (Decimal(0), Decimal(0)))
        totals[bound.relation] = epsilon + bound.epsilon, delta + bound.delta
    return tuple(Bound(*relation, *total) for relation, total in totals.items())


def _said(texts: Iterable[str]) -> str:
    """Return each text once, in order."""
    return "; ".join(dict.fromkeys(text.strip() for text in texts if text.strip()))
